/*
 * Plan: from where servers are to where the allocation wants them, by steps that keep the guarantees at every
 * instant.
 *
 * Frees before it grants: a grant is paid from free pool bytes only, and bytes are free only when a balloon
 * size, a target and residency have all come down (G1). A reclaim takes at most half of what a guest is seen
 * to leave idle on the word of one sample, never below its floor (G2), and waits for a fresh sample before
 * the next.
 */
#pragma once
#include "policy/allocation.h"
#include "policy/burst.h"
#include "policy/demand.h"
#include "policy/facts.h"
#include "policy/ledger.h"
#include "policy/params.h"

typedef enum {
    MOVE_NONE,
    MOVE_GRANT_NEED,     /* below its demand: paid at once, from slack too */
    MOVE_GRANT_SURPLUS,  /* idle memory is still good as cache: paid from what exceeds the slack */
    MOVE_WITHDRAW,       /* a reclaim under way is called off: costs nothing, the memory was not back yet */
    MOVE_DISTRESS,       /* ran out of memory under the balloon or stalled: what it asked for back at once */
    MOVE_NUDGE,          /* after a reboot: makes `actual` tell the truth again */
    MOVE_RECLAIM_URGENT, /* somebody waits */
    MOVE_RECLAIM_CALM,   /* refilling the slack or levelling, at a pace */
    MOVE_N
} Move;

/* Why a server is not at its allocation although nothing was done: what `explain` calls the rejected options.
 */
typedef enum {
    WAIT_NONE,
    WAIT_SETTLED, /* within the dead band */
    WAIT_FIXED,
    WAIT_HELD,
    WAIT_FRESH_SAMPLE,   /* acted already; the next sample decides */
    WAIT_IN_FLIGHT,      /* the last reclaim is still coming back */
    WAIT_NO_ROOM,        /* wants more; the pool has nothing free and donors are on their way */
    WAIT_POOL_EXHAUSTED, /* wants more; nobody has anything idle */
    WAIT_NOT_NEEDED,     /* could give; nobody wants it now */
    WAIT_FLOOR,          /* at its floor */
    WAIT_FAULTING, /* it swaps or faults: keeps all that may come back from swap, and all while nobody waits */
    WAIT_PACE,     /* nobody waits: moving gently, or too soon after the opposite move */
    WAIT_OVERCOMMITTED, /* only reclaims until the pool holds again */
    WAIT_INFEASIBLE,    /* the minima add up to more than the pool: not all can have what they must */
    WAIT_NOT_TAKEN,     /* wants more, but its guest did not take up what it was granted last */
    WAIT_N
} Wait;

/* What is remembered of one server's moves between beats. Zero-initialised is the right beginning. */
typedef struct {
    uint64_t boot_count;
    int64_t last_up_us, last_down_us; /* when its target last rose and fell */
    uint64_t needed_bytes;            /* what it was granted of late for its need, fading ... */
    int64_t needed_us;                /* ... as of then */
    uint64_t advance_bytes;      /* what its last grant brought beyond its need: used up when it needs more */
    int64_t reclaim_sample_us;   /* the sample the last reclaim was decided on */
    int64_t inflate_since_us;    /* stall detection: since when it has been above its target ... */
    uint64_t inflate_from_bytes; /* ... and where it was then */
    bool inflate_timed;          /* ... and it was so for a while before: */
    uint64_t inflate_bytes_per_s; /* how fast it inflated then */
    int64_t unsettled_since_us;   /* since when it has been off its allocation, within settle_permille */
    int64_t last_step_us;         /* pacing */
    int64_t override_until_us;    /* somebody else moved its balloon: hands off until then */
    uint64_t gave_bytes_per_s;    /* the most it was seen to give of late, from beat to beat */
    uint64_t seen_balloon_bytes;  /* balloon size of the last beat ... */
    int64_t seen_us;              /* ... and when that was read */
    bool distressed;              /* this beat: it took memory back from its balloon unasked */
    bool stalled;                 /* this beat: it cannot give what was asked of it */
    bool reached;                 /* its balloon has been at the target since the target was set */
    bool foreign;                 /* its balloon is where somebody else put it, until we next ask */
    int64_t rose_sample_us;       /* its rise is somebody's hand unless a newer sample says otherwise */
    bool untaken;                 /* it does not take up grants ... */
    int64_t untaken_since_us;     /* ... since then, or has not moved towards its target since then ... */
    uint64_t untaken_from_bytes;  /* ... from this balloon size */
    int64_t asked_us; /* a row was planned then, and nobody has told yet what became of it; 0 = none ... */
    uint64_t asked_bytes; /* ... the lower of its target and the one before */
    int64_t doubt_us;     /* the last request that may yet take effect, 0 = none ... */
    uint64_t doubt_bytes; /* ... and the lowest of those: a fall down to it is our own doing */
} MoveState;

typedef struct {
    Move move;
    Wait wait;
    HoldReason hold; /* in force: the facts' own, or what the policy concluded (stale, override, resting) */
    uint64_t target_bytes;     /* the new target; the present one when move is MOVE_NONE */
    uint64_t allocation_bytes; /* where the allocation wants it */
    uint64_t held_bytes;       /* from the ledger, before this beat's moves */
    uint64_t short_bytes;      /* need - what it has or is promised after this beat; 0 = not waiting */
    uint64_t needed_bytes;     /* of what it is granted by this row, what it needs; the rest is surplus */
} PlanRow;

typedef struct {
    Ledger ledger;             /* before this beat's moves */
    uint64_t granted_bytes;    /* newly committed by this beat's grants */
    uint64_t reclaiming_bytes; /* on its way back after this beat, in all */
    uint64_t short_bytes;      /* sum over servers */
    uint64_t floors_bytes;     /* sum of the minima + overhead + fixed: above the pool = infeasible */
    bool infeasible;           /* said, and nothing more: the guarantees hold all the same */
    bool someone_waits;
} PlanTotals;

/* What the policy remembers of one server between beats. Zero-initialised for a new server. */
typedef struct {
    DemandState demand;
    MoveState move;
    BurstState burst;
} ServerTrack;

/* Working memory of one decision, one entry per server; owned by the Decision. */
typedef struct {
    Share *shares;
    uint64_t *bytes;
    uint32_t *donors;
    bool *pinned; /* for the tiers: fixed or held; for the plan: or busy */
    /* Together, so that the tiers need not go through all of what is remembered. */
    bool *untaken; /* MoveState's */
    double *taxed; /* weights */
    uint32_t *index;
    uint64_t expected_bytes; /* of all: plan_expected_of() */
    uint64_t ready_bytes;    /* of the surplus, what is given to nobody */
    uint64_t needed_bytes;   /* of all: plan_needed_of() */
} PlanScratch;

/*
 * plan_watch: what the balloon's own movement says, before anything is decided. Sets track->move.distressed
 * or .stalled, and rests the server then (demand_distress); notices that somebody else moved the balloon
 * (override_until_us); begins anew after a boot. A rise above the target that nobody asked for is an
 * out-of-memory signal where the device deflates on OOM and the guest has little left; any other unasked move
 * is somebody's hand.
 */
void plan_watch(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params, int64_t now_us);

/* plan_hold: the hold in force: the facts' own, or manual-override, stale-statistics, resting. */
HoldReason plan_hold(const ServerFacts *facts, const Demand *demand, const MoveState *state, int64_t now_us);

/* hold_pins: whether a server under @hold is neither granted to nor reclaimed from. */
static inline bool hold_pins(HoldReason hold)
{
    switch (hold) {
    case HOLD_STARTING:
    case HOLD_REBOOTING:
    case HOLD_PAUSED:
    case HOLD_MIGRATING:
    case HOLD_UNRESPONSIVE:
    case HOLD_MANUAL_OVERRIDE:
        return true;
    case HOLD_NO:
    case HOLD_STALE_STATISTICS:
    case HOLD_RESTING:
    case HOLD_N:
        break;
    }
    return false;
}

/* plan_row: a row before anything is decided: what holds the server, its target, what it is held to have. */
PlanRow plan_row(const ServerFacts *facts, const Demand *demand, const MoveState *state,
                 const PolicyParams *params, int64_t now_us);

/*
 * plan_make: one row per server in the same order.
 * @rows:        (inout): as plan_row() begins them
 * @allocations: where the allocation wants each server
 * @tracks:      (inout): settling times, and what was tried; what is in force enters by plan_carried_out() alone
 */
void plan_make(const HostFacts *host, const ServerFacts *servers, const Demand *demands, ServerTrack *tracks,
               const uint64_t *allocations, size_t n, const PolicyParams *params, int64_t now_us,
               PlanScratch *scratch, PlanRow *rows, PlanTotals *ret_totals);

/*
 * plan_bursts: grants between two beats, to servers that burst, from free pool bytes and nothing else.
 * @host:    the pool, as for the last decision; slack is there to be used by this
 * @servers, @demands, @tracks, @before: facts with the newest residency, and what the last decision made of them
 * @someone_waits: ... that decision left somebody waiting: nobody bursts beyond its share then
 * @rows:    (out): as plan_make()'s; MOVE_GRANT_NEED, or MOVE_NONE with the present target
 * One that bursts on is lifted by 64 MiB or a sixteenth of its maximum at once, as far as all that can be granted now is, nobody waits and
 * what exceeds the slack suffices, by weight.
 * Returns how many rows move. Carrying out any subset of them in any order keeps G1 and G3, and no target falls. Free bytes are
 * divided by weighted max-min among those that burst.
 */
size_t plan_bursts(const HostFacts *host, const ServerFacts *servers, const Demand *demands,
                   const ServerTrack *tracks, const PlanRow *before, bool someone_waits, size_t n,
                   const PolicyParams *params, int64_t now_us, PlanScratch *scratch, PlanRow *rows);

/* plan_touched_of: what a server has touched of its burst since its last sample; 0 when it does not burst. */
uint64_t plan_touched_of(const BurstState *burst);

/* plan_expected_of: what a server's burst will touch within a reaction time: as good as asked for already. Nothing of one
 * whose residency has not been looked at for burst_quiet_us. */
uint64_t plan_expected_of(const ServerFacts *facts, const BurstState *burst, const PolicyParams *params,
                          int64_t now_us);

/* plan_needed_of: what it was granted of late for its need: half of it counts after params->needed_half_life_us. */
uint64_t plan_needed_of(const MoveState *state, const PolicyParams *params, int64_t now_us);

/*
 * What became of a row; told once for each, or never. Of a row that nothing is told of it is taken that it may still be
 * carried out within a minute, and so a fall of the balloon down to its target is not somebody else's hand.
 *
 * plan_carried_out: the hypervisor took the row's target; @facts: those it was decided from
 * plan_dropped:     it was not sent, or was refused; it is decided anew from the next facts
 * plan_uncertain:   nobody knows: it may have been carried out, or may be yet
 */
void plan_carried_out(MoveState *state, const ServerFacts *facts, const PlanRow *row,
                      const PolicyParams *params, int64_t now_us);
void plan_dropped(MoveState *state);
void plan_uncertain(MoveState *state, int64_t now_us);
