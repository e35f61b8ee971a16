/* What the balloon's own movement says: distress, stall, somebody else's hand. */
#include "policy/plan.h"
#include "base/u64.h"
#include "policy/plan_internal.h"

/* A reading may be this much older than our own last request: until then its direction proves nothing. */
#define ECHO_US INT64_C(2000000)
/* A speed seen once counts for less with each other one. */
#define GAVE_PARTS 8
/* A guest takes its memory back in milliseconds; one that has taken none of a grant for this long will not. */
#define UNTAKEN_US INT64_C(10000000)
/* A guest with less than this share of its balloon size left, or 32 MiB, had a reason to take memory back. */
#define SHORT_SHARE 16
#define SHORT_BYTES (32 * MIB)

static void note_distress(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params,
                          int64_t now_us)
{
    uint64_t margin = u64_min(params->headroom_bytes, facts->maximum_bytes / 8);
    track->move.distressed = true;
    demand_distress(&track->demand, facts, params, u64_add_sat(facts->balloon_bytes, margin), now_us);
}

static bool short_of_memory(const ServerFacts *facts)
{
    if (facts->sample_us == 0 || facts->available_bytes == UNKNOWN)
        return true;
    return facts->available_bytes < u64_max(SHORT_BYTES, facts->balloon_bytes / SHORT_SHARE);
}

/* Hands off; and since target_bytes says nothing any more, our next request must say it anew. */
static void begin_override(MoveState *move, const PolicyParams *params, int64_t now_us)
{
    move->override_until_us = now_us + params->override_us;
    move->foreign = true;
}

static void watch_above(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    MoveState *move = &track->move;
    const int64_t read_us = facts_balloon_us(facts, now_us);
    if (move->reached) {
        if (facts->deflates_on_oom && short_of_memory(facts)) {
            note_distress(track, facts, params, now_us);
        } else {
            begin_override(move, params, now_us);
            move->rose_sample_us = facts->deflates_on_oom ? facts->sample_us : 0;
        }
        return;
    }
    if (move->inflate_since_us == 0) {
        move->inflate_timed = false;
        /* What was read before it was asked to give is older than its inflating. */
        move->inflate_since_us = read_us > move->last_down_us ? read_us : move->last_down_us;
        move->inflate_from_bytes = facts->balloon_bytes;
        return;
    }
    int64_t elapsed_us = read_us - move->inflate_since_us;
    if (elapsed_us < params->stall_us)
        return;
    double moved = (double)u64_sub_sat(move->inflate_from_bytes, facts->balloon_bytes);
    if (moved * 1e6 < (double)params->stall_bytes_per_s * (double)elapsed_us) {
        move->stalled = true;
        demand_distress(&track->demand, facts, params, facts->balloon_bytes, now_us);
    }
    move->inflate_timed = true;
    move->inflate_bytes_per_s = u64_from_double(moved * 1e6 / (double)elapsed_us);
    move->inflate_since_us = read_us;
    move->inflate_from_bytes = facts->balloon_bytes;
}

/* A request whose fate nobody knows may be what moved it. */
static bool may_be_ours(const MoveState *move, uint64_t near, int64_t now_us)
{
    bool asked = move->asked_us != 0 && now_us - move->asked_us < LATE_US && near >= move->asked_bytes;
    return asked || (move->doubt_us != 0 && now_us - move->doubt_us < LATE_US && near >= move->doubt_bytes);
}

static bool fell_unasked(const MoveState *move, const ServerFacts *facts, const PolicyParams *params,
                         int64_t now_us)
{
    int64_t last_us = move->last_up_us > move->last_down_us ? move->last_up_us : move->last_down_us;
    uint64_t near = u64_add_sat(facts->balloon_bytes, 2 * params->quantum_bytes);
    bool ours_long_ago = last_us == 0 || now_us - last_us > ECHO_US;
    if (may_be_ours(move, near, now_us))
        return false;
    /* Since the last look a reclaim has been called off: how far it had come by then nobody has seen. */
    if (move->last_down_us != 0 && move->seen_us <= move->last_up_us)
        return false;
    return ours_long_ago && near < facts->target_bytes && near < move->seen_balloon_bytes;
}

/* A grant that the guest does not take up is a promise that keeps memory from others: it is noted, and retried
 * no sooner than the longest rest, or as soon as the guest moves. */
static void watch_below(MoveState *move, const ServerFacts *facts, const PolicyParams *params, bool quiet,
                        int64_t now_us)
{
    bool rose = facts->balloon_bytes > u64_add_sat(move->untaken_from_bytes, params->quantum_bytes);
    if (move->untaken && (rose || now_us - move->untaken_since_us > params->rest_max_us)) {
        move->untaken = false;
        move->untaken_since_us = 0;
    }
    bool below = u64_add_sat(facts->balloon_bytes, params->quantum_bytes) < facts->target_bytes;
    if (move->untaken) {
        /* What it gives meanwhile it may take up again: that is seen from there. */
        move->untaken_from_bytes = u64_min(move->untaken_from_bytes, facts->balloon_bytes);
        return;
    }
    if (!below || quiet) {
        move->untaken_since_us = 0;
    } else if (move->untaken_since_us == 0 || rose) {
        move->untaken_since_us = now_us;
        move->untaken_from_bytes = facts->balloon_bytes;
    } else if (now_us - move->untaken_since_us >= UNTAKEN_US) {
        move->untaken = true;
        move->untaken_since_us = now_us;
    }
}

/* How fast its balloon has grown since it was last read: less than it can, where it stood still for a part of that. */
static void watch_giving(MoveState *move, const ServerFacts *facts, int64_t read_us)
{
    int64_t since_us = read_us - move->seen_us;
    if (move->seen_us == 0 || since_us <= 0 || facts->balloon_bytes >= move->seen_balloon_bytes)
        return;
    double gave = (double)(move->seen_balloon_bytes - facts->balloon_bytes);
    uint64_t rate = u64_from_double(gave * 1e6 / (double)since_us);
    move->gave_bytes_per_s = u64_max(rate, move->gave_bytes_per_s / GAVE_PARTS * (GAVE_PARTS - 1));
}

/* The sample that made a rise look like somebody's hand was from before it: the next one tells. */
static void judge_again(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    MoveState *move = &track->move;
    if (move->rose_sample_us == 0 || facts->sample_us == move->rose_sample_us)
        return;
    move->rose_sample_us = 0;
    if (!move->foreign || !short_of_memory(facts))
        return;
    move->foreign = false;
    move->override_until_us = 0;
    note_distress(track, facts, params, now_us);
}

void plan_watch(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params, int64_t now_us)
{
    MoveState *move = &track->move;
    if (move->boot_count != facts->boot_count)
        *move = (MoveState){.boot_count = facts->boot_count,
                            .seen_balloon_bytes = facts->balloon_bytes,
                            .asked_us = move->asked_us,
                            .asked_bytes = move->asked_bytes,
                            .doubt_us = move->doubt_us,
                            .doubt_bytes = move->doubt_bytes};
    move->distressed = move->stalled = false;
    judge_again(track, facts, params, now_us);
    bool boots = facts->hold == HOLD_STARTING || facts->hold == HOLD_REBOOTING;
    bool quiet = facts->hold != HOLD_NO || facts->fixed != FIXED_NO || facts->busy || move->foreign;
    bool above = facts->balloon_bytes > u64_add_sat(facts->target_bytes, params->quantum_bytes);
    bool below = u64_add_sat(facts->balloon_bytes, params->quantum_bytes) < facts->target_bytes;
    if (!above && !below && !facts->busy && now_us >= move->override_until_us)
        move->foreign = false;
    /* While it boots `actual` is not to be trusted, and while it is busy target_bytes is not yet the one. */
    if (boots)
        move->reached = false;
    else if (!above && !facts->busy)
        move->reached = true;
    /* A QEMU that stands still says nothing of its guest, whatever was asked of it. */
    bool frozen = facts->hold == HOLD_UNRESPONSIVE || facts->hold == HOLD_PAUSED;
    if (!above || frozen || (quiet && !facts->busy))
        move->inflate_since_us = 0;
    else if (!quiet)
        watch_above(track, facts, params, now_us);
    if (!quiet && fell_unasked(move, facts, params, now_us))
        begin_override(move, params, now_us);
    watch_below(move, facts, params, quiet, now_us);
    watch_giving(move, facts, facts_balloon_us(facts, now_us));
    move->seen_balloon_bytes = facts->balloon_bytes;
    move->seen_us = facts_balloon_us(facts, now_us);
}

HoldReason plan_hold(const ServerFacts *facts, const Demand *demand, const MoveState *state, int64_t now_us)
{
    if (facts->hold != HOLD_NO)
        return facts->hold;
    if (now_us < state->override_until_us)
        return HOLD_MANUAL_OVERRIDE;
    if (!demand->known || demand->stale)
        return HOLD_STALE_STATISTICS;
    return demand->resting ? HOLD_RESTING : HOLD_NO;
}
