/*
 * Tracked: one server as the engine follows it from observation to observation: raw facts of the backend, settings,
 * what was asked of it, and what follows for the policy's facts (starting, rebooting, no driver, ...).
 * Time enters as an argument; nothing here does I/O.
 */
#pragma once
#include "backend/agent_channel.h"
#include "backend/backend.h"
#include "base/config.h"
#include "base/u64.h"
#include "engine/relief.h"
#include "policy/decide.h"
#include "store/store.h"

/* QEMU beyond guest RAM until it has been measured: seen 60-125 MiB. */
#define TRACKED_OVERHEAD_GUESS_BYTES (128 * MIB)

/* How long things take; tests have their own. */
typedef struct {
    int64_t wall_second_us;  /* one second of the wall clock that statistics are stamped with */
    int64_t driver_grace_us; /* a guest whose driver has not answered by then has none */
    int64_t boot_settle_us;  /* after its driver's first answer a guest is left alone this long */
    int64_t nudge_retry_us;  /* a nudge that had no effect by then is repeated */
    int64_t adopt_still_us;  /* a balloon that stands this long has arrived */
    int64_t adopt_silent_us; /* a guest found running that says nothing for so long is not up */
    int64_t retry_us;        /* a refused request is repeated after this, then twice that, at most 16 times */
} TrackedTimes;

TrackedTimes tracked_times_default(void);

typedef struct {
    Backend *backend;
    const TrackedTimes *times;
    BackendServer *latest; /* owned; the newest facts ... */
    int64_t taken_us;      /* ... and when they came */
    int64_t balloon_us;    /* ... and as of when their balloon size is */
    ServerSettings settings;
    ServerTrack track; /* the policy's memory */
    ServerFacts facts; /* as the policy saw them in the last beat */
    Demand demand;     /* ... and what it made of them */
    PlanRow row;
    gboolean decided; /* the three above are valid */

    uint64_t target_bytes;    /* in force as far as we know */
    uint64_t asked_bytes;     /* of the request under way, when busy */
    gboolean busy;            /* a set_target has not been answered */
    gboolean asking_fresh;    /* an ask_fresh has not been answered */
    uint64_t noted_bytes;     /* what of it is written down for the next daemon */
    uint64_t inherited_bytes; /* while unsure: what a daemon that is gone has left */
    gboolean unsure;  /* a request's fate is unknown; target_bytes is the larger of what may be in force */
    Move unsure_move; /* ... and this is what it was for */
    int64_t retry_us; /* a refused request is not repeated before this */
    guint refusals;   /* in a row */

    gboolean seen; /* in the newest observation */
    uint64_t boot_count;
    int64_t boot_us; /* when this boot was noticed; 0 when it was running before us */
    int64_t boot_wall_s;
    gboolean was_reset; /* this boot began by a reset: `actual` may be wrong until nudged */
    gboolean booted;
    int64_t booted_us;
    gboolean unasked; /* found running, and nobody had asked it for statistics of late */
    gboolean settled; /* past the holds of a boot */
    int64_t nudged_us;
    uint64_t nudged_balloon_bytes; /* as it was then: any other size is the truth again */
    gboolean adopting;             /* found running, perhaps with a balloon on its way: wait till it stands */
    gboolean adopt_answered;       /* ... and until the guest has shown that it lives */
    int64_t adopting_us;           /* since when */
    int64_t adopted_us;            /* since when its balloon has stood still */
    uint64_t adopt_balloon_bytes;

    uint64_t
        turned_bytes; /* lowered while it rose to this: it may have got that far; 0: no, or that is over */
    int64_t turned_us;
    gboolean turned_read; /* QEMU has told its size since then, at turned_read_us */
    int64_t turned_read_us;
    uint64_t turned_balloon_bytes;

    uint64_t last_balloon_bytes;
    uint64_t last_update_s;
    uint64_t last_available_bytes, last_free_bytes;
    int64_t sample_us, sample_before_us;
    uint64_t sample_balloon_bytes;

    uint64_t
        overhead_bound_bytes; /* what is counted for its QEMU beyond guest RAM, where the config says auto */
    int64_t overhead_bound_us;

    int statm_fd, stat_fd;    /* its process's residency and processor time, kept open; -1: none */
    int statm_pid;            /* ... that process */
    clockid_t clock;          /* the kernel's clock of what it uses of the processors ... */
    gboolean has_clock;       /* ... where there is one; else stat_fd has it */
    uint64_t read_at_us;      /* what it had used when its residency was last read; UNKNOWN: not read yet */
    uint64_t processor_us;    /* what it had used when it last stood still ... */
    int64_t processor_at_us;  /* ... then; 0: not looked at yet */
    int64_t awake_until_us;   /* its processors have run a moment ago */
    int64_t stirs_until_us;   /* ... and had stood still before */
    uint64_t still_used_us;   /* what it had used of its processors ... */
    int64_t still_since_us;   /* ... then; it has been still since; 0: not looked at yet */
    gboolean still;           /* ... and for long enough */
    int64_t works_until_us;   /* they have run while its balloon asked nothing of it */
    int64_t asked_fresh_us;   /* when it was last asked for fresh statistics */
    uint64_t burst_low_bytes; /* the lowest residency since its last step up */
    int64_t burst_until_us;   /* it touches memory: asked for fresh statistics until then */

    AgentChannel *agent; /* (nullable) owned: what its guest says by itself */
    AgentSample agent_sample;
    int64_t agent_us;             /* when that was said within this boot; 0 = never */
    int64_t agent_hurried_us;     /* when it last moved a beat forward */
    uint64_t agent_balloon_bytes; /* the largest balloon size that can belong to it */
    uint64_t
        stalled_us; /* PSI "some" of its guest since it was first heard, over all its boots; or UNKNOWN */
    int64_t stall_from_us; /* when that was */

    ReliefEpisode relief;           /* its demand rises, or has risen a moment ago */
    int64_t waited_us;              /* all its waits together since it was first seen */
    int64_t last_waited_us;         /* how long the last of them took; 0 before the first */
    uint64_t chronicled_stalled_us; /* what of stalled_us history has already; UNKNOWN: nothing yet */
    int64_t operation;              /* the number of what is being done to it as a whole; 0: nothing */
    uint64_t proposed_bytes;        /* observe mode: the last target that was journalled */
} Tracked;

/* tracked_new: @times: borrowed. */
Tracked *tracked_new(Backend *backend, const TrackedTimes *times);
void tracked_free(Tracked *tracked);

/* tracked_follow: from now on it is @pid whose residency and processor time are looked at between the beats; 0: nobody. */
void tracked_follow(Tracked *tracked, const char *proc, int pid);

/* tracked_take: a new observation. @facts: (transfer full). @now_us monotonic, @wall_s Unix time.
 * Returns how many bytes came back from a reclaim of ours since the last one. */
uint64_t tracked_take(Tracked *tracked, BackendServer *facts, int64_t now_us, int64_t wall_s);

/* tracked_see_processor: @used_us: what its processors have run altogether; UNKNOWN where nobody can tell. TRUE: it has just
 * stopped standing still.
 * tracked_is_still: it has stood still for seconds, has what it is to have, and would show if it began to touch memory: there is
 * nothing to be heard from it for now. */
gboolean tracked_see_processor(Tracked *tracked, uint64_t used_us, int64_t now_us);
gboolean tracked_is_still(const Tracked *tracked, const PolicyParams *params, int64_t now_us);

/* tracked_woke: its processors run. tracked_stirs: they have begun to a moment ago, and not for its balloon.
 * tracked_is_due: whether it is awake, and its statistics are older than they may be: because it is blind for bursts, stirs,
 * or was growing like a burst when they were taken. */
void tracked_woke(Tracked *tracked, int64_t now_us);
gboolean tracked_stirs(const Tracked *tracked, int64_t now_us);
gboolean tracked_is_due(const Tracked *tracked, const PolicyParams *params, int64_t now_us);
/* tracked_has_room: it bursts, and what it has will last for a while. */
gboolean tracked_has_room(const Tracked *tracked);
/* tracked_has_spare: it has risen of late, for something that may be over: it has more than it was last seen to need, or is to have,
 * and its next word may show that this lies unused. One that idles is not asked for that: it has nothing new to say. */
gboolean tracked_has_spare(const Tracked *tracked, const PolicyParams *params, int64_t now_us);

/* tracked_hear: what its guest's agent says of itself, and when it said so. */
void tracked_hear(Tracked *tracked, const AgentSample *sample, int64_t said_us);

typedef struct {
    SizeSetting minimum;
    uint32_t weight;
    SizeSetting overhead;
} TrackedDefaults;

/*
 * What became of a set_target:
 *   tracked_accepted: @bytes is in force
 *   tracked_refused:  it is not, and is not tried again for a while, longer each time
 *   tracked_uncertain: it may or may not be, or may come to be: the larger counts, and nothing else is asked, until
 *                      tracked_wants_confirmation() and a target that was accepted
 *   tracked_inherit:  a daemon that is gone left @bytes as what may come to be in force; 0: nothing
 *   tracked_adopt:    the same without asking: what its balloon comes to stand at is taken for the target
 */
void tracked_accepted(Tracked *tracked, Move move, uint64_t bytes, int64_t now_us);
void tracked_refused(Tracked *tracked, int64_t now_us);
void tracked_uncertain(Tracked *tracked, Move move, uint64_t bytes, int64_t now_us);
void tracked_inherit(Tracked *tracked, uint64_t bytes, int64_t now_us);
void tracked_adopt(Tracked *tracked, int64_t now_us);
/*
 * A target that is lowered before the balloon has risen to the one before: what was seen of it is older than the request, and
 * a guest may be in the middle of a step. What it was rising to counts until QEMU has told its size twice since, and it has
 * fallen or is no more than the target, or stands where it stood for long.
 *   tracked_turn:      @bytes is about to take the place of target_bytes; called by tracked_accepted()
 *   tracked_see_turn:  a look has been taken; called by tracked_take()
 */
void tracked_turn(Tracked *tracked, uint64_t bytes, int64_t now_us);
void tracked_see_turn(Tracked *tracked);
/* tracked_promised: what it may yet rise to, of what was asked of it: while a raise is under way, its fate is unknown, or its guest
 * has not taken it; else 0. */
uint64_t tracked_promised(const Tracked *tracked);
/* tracked_target_at_most: the largest target that it may be following. */
uint64_t tracked_target_at_most(const Tracked *tracked);
gboolean tracked_wants_confirmation(const Tracked *tracked, int64_t now_us);

/* After a reset a server waits for a nudge, which in observe mode never comes: what it shows is taken as it is then, and
 * doubted again as soon as the daemon manages. */
void tracked_observe_reset(Tracked *tracked);
void tracked_manage_reset(Tracked *tracked);

/* tracked_facts: what the policy is to see now. @reachable: its backend is connected. */
void tracked_facts(Tracked *tracked, const TrackedDefaults *defaults, gboolean reachable, int64_t now_us);

/* tracked_resident: what of @rss_bytes (or UNKNOWN) is guest RAM, with @overhead_bytes counted besides. Beyond balloon and target
 * only as much as makes both together @rss_bytes. */
uint64_t tracked_resident(const Tracked *tracked, uint64_t rss_bytes, uint64_t overhead_bytes);

/* Whether it takes part in the account at all: running in some way. */
gboolean tracked_counts(const Tracked *tracked);
/* What it may come to hold without anybody's doing: its maximum; of a container without a limit, which nothing bounds, what
 * it holds now. */
uint64_t tracked_bound(const Tracked *tracked);
uint64_t tracked_minimum(const Tracked *tracked, const TrackedDefaults *defaults);
uint32_t tracked_weight(const Tracked *tracked, const TrackedDefaults *defaults);
uint64_t tracked_overhead(const Tracked *tracked, const TrackedDefaults *defaults);
/* "off", "starting", "running", "rebooting", "paused", "migrating", "unresponsive" */
const char *tracked_state(const Tracked *tracked);
