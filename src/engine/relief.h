/*
 * Relief: how long servers wait for memory. Figures of the latest waits, and one server's wait under way. Pure.
 *
 * A wait begins when a server's demand rises above what it has, and ends when its balloon has reached what was needed then, or
 * what is needed now, and no more than half of its headroom is in use. Topping up a headroom that is more than half there is no
 * wait: one that comes to have half of it again, and all that it was granted, has waited until then.
 * Waits that follow each other closely are one rise: a server that grows for seconds has many of them, each with its own
 * time. A wait that ends without a grant keeps no rise open: need that hovers about what there is would join a rise to a
 * later one that has nothing to do with it.
 */
#pragma once
#include <stdint.h>
#include <glib.h>

#define RELIEF_KEPT 1000

typedef struct {
    uint64_t samples_us[RELIEF_KEPT]; /* a ring */
    unsigned n, next;
} Relief;

void relief_add(Relief *relief, uint64_t duration_us);
/* relief_percentile: @permille 500 for the median; UINT64_MAX when there is none. Nearest rank. */
uint64_t relief_percentile(const Relief *relief, unsigned permille);

/* What a rise came to. */
typedef struct {
    int64_t began_us;       /* monotonic: of the first wait that needed a grant */
    int64_t first_grant_us; /* from then until its first grant was sent; -1: none was needed */
    int64_t longest_us;     /* of its waits */
    int64_t lasted_us;      /* from the beginning to the end of the last wait */
    guint waits;
    uint64_t got_bytes;
} Rise;

/* One server's waits. Zero-initialised is the right beginning; relief_clear() ends it. */
typedef struct {
    int64_t since_us; /* of the wait under way; 0: it has what it needs */
    int64_t granted_us;
    uint64_t goal_bytes;
    Rise rise;
    int64_t ended_us; /* the last wait */
    int64_t
        paid_us; /* the end of the last wait of this rise that was granted something, or a later grant; 0: none */
    int64_t fine_us;     /* the latest sample that found it with what it needs ... */
    uint64_t fine_bytes; /* ... which was this */
    GPtrArray *paid;     /* (element-type JournalSource) what its grants were paid with */
    GPtrArray *helped;   /* (element-type JournalSource) who was asked to give meanwhile, and what */
} ReliefEpisode;

void relief_clear(ReliefEpisode *episode);
/* relief_begin: it waits since @since_us (moved to the end of the wait before, and to fine_us), until it has @goal_bytes. Nothing while it waits already. */
void relief_begin(ReliefEpisode *episode, int64_t since_us, uint64_t goal_bytes);
/* relief_granted: @bytes more were sent for. Returns how long it had waited for the first grant of this wait, or -1. */
int64_t relief_granted(ReliefEpisode *episode, uint64_t bytes, int64_t now_us);
/* relief_end: its wait is over. Returns how long it took. */
int64_t relief_end(ReliefEpisode *episode, int64_t now_us);
/* relief_over: whether nobody waits, and nothing that was granted has ended a wait of this rise for @pause_us. */
gboolean relief_over(const ReliefEpisode *episode, int64_t pause_us, int64_t now_us);
/* relief_told: the rise is over and told; what is known of when the server had enough stays. */
void relief_told(ReliefEpisode *episode);
