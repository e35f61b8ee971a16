/* What the daemon says of a host and its servers, as the command line shows it: clean text, figures, one headline. */
#pragma once
#include <stdint.h>
#include <glib.h>
#include <jansson.h>

#include "cli/table.h"

/* The names of the three figures, and the operators' fourth: the same everywhere. */
#define LABEL_BOOKED    "Booked"
#define LABEL_IN_USE    "In use"
#define LABEL_AVAILABLE "Available now"
#define LABEL_RESIDENT  "Resident"

/* All texts are clean (text.h); all figures may be UNKNOWN_FACT. */
typedef struct {
    char *raw_name; /* as the daemon knows it: for requests, never for printing */
    char *name, *kind, *state;
    uint64_t booked, available, in_use, resident, demand, minimum, weight, target, committed, short_by;
    char *ballooning; /* "on", "off: disabled-by-owner", "on, resting", ... */
    gboolean running, is_fixed, is_held;
    gboolean
        unlimited; /* a container without a memory limit: `booked` is the host's memory, and says nothing */
} ServerView;

typedef struct {
    char *version, *mode, *state;
    uint64_t pool, committed, slack, slack_wanted, memory, available, free, over, fixed, short_by,
        reboot_safe;
    uint64_t servers, beats, relief_p50_us, relief_p99_us, uptime_us;
} HostView;

ServerView *server_view_new(json_t *server);
void server_view_free(ServerView *view);
/* What it booked, for people: a size, or that there is no limit. */
char *server_view_booked(const ServerView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ServerView, server_view_free)

void host_view_init(HostView *view, json_t *host);
void host_view_clear(HostView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostView, host_view_clear)

/* A figure; UNKNOWN_FACT when it is absent, null or no count. */
uint64_t view_figure(json_t *object, const char *name);
/* A text member, clean; a dash when absent. */
char *view_text(json_t *object, const char *name);
/* The raw text; NULL when absent or empty. */
const char *view_raw(json_t *object, const char *name);

/* One plain sentence on how the host is; @ret_tone may be NULL. */
char *host_headline(const HostView *host, Tone *ret_tone);
Tone server_state_tone(const ServerView *server);

typedef enum { BAR_USED, BAR_HELD, BAR_REST, BAR_TICK, BAR_N } BarPart;
/* What a bar's cell looks like without any colour. */
const char *bar_glyph(BarPart part);
/*
 * bar_fill: @cells of them: BAR_USED up to @used, BAR_HELD up to @held, BAR_REST up to @whole; a tick where @tick is.
 * UNKNOWN_FACT leaves a part out; anything not nothing shows at least one cell where there is room.
 */
void bar_fill(BarPart *cells, int n, uint64_t used, uint64_t held, uint64_t whole, uint64_t tick);
/* The same as text. */
char *bar_text(int n, uint64_t used, uint64_t held, uint64_t whole, uint64_t tick);
