/* What the balloon's own movement says: distress, stall, somebody else's hand. */
#include "policy/plan.h"
#include "base/u64.h"

/* A reading may be this much older than our own last request: until then its direction proves nothing. */
#define ECHO_US INT64_C(2000000)
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

static void watch_above(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    MoveState *move = &track->move;
    if (move->reached) {
        if (facts->deflates_on_oom && short_of_memory(facts))
            note_distress(track, facts, params, now_us);
        else
            move->override_until_us = now_us + params->override_us;
        return;
    }
    if (move->inflate_since_us == 0) {
        move->inflate_since_us = now_us;
        move->inflate_from_bytes = facts->balloon_bytes;
        return;
    }
    int64_t elapsed_us = now_us - move->inflate_since_us;
    if (elapsed_us < params->stall_us)
        return;
    double moved = (double)u64_sub_sat(move->inflate_from_bytes, facts->balloon_bytes);
    if (moved * 1e6 < (double)params->stall_bytes_per_s * (double)elapsed_us) {
        move->stalled = true;
        demand_distress(&track->demand, facts, params, facts->balloon_bytes, now_us);
    }
    move->inflate_since_us = now_us;
    move->inflate_from_bytes = facts->balloon_bytes;
}

static bool fell_unasked(const MoveState *move, const ServerFacts *facts, const PolicyParams *params,
                         int64_t now_us)
{
    int64_t last_us = move->last_up_us > move->last_down_us ? move->last_up_us : move->last_down_us;
    uint64_t near = u64_add_sat(facts->balloon_bytes, 2 * params->quantum_bytes);
    bool ours_long_ago = last_us == 0 || now_us - last_us > ECHO_US;
    return ours_long_ago && near < facts->target_bytes && near < move->seen_balloon_bytes;
}

void plan_watch(ServerTrack *track, const ServerFacts *facts, const PolicyParams *params, int64_t now_us)
{
    MoveState *move = &track->move;
    if (move->boot_count != facts->boot_count)
        *move = (MoveState){.boot_count = facts->boot_count, .seen_balloon_bytes = facts->balloon_bytes};
    move->distressed = move->stalled = false;
    bool quiet =
        facts->hold != HOLD_NO || facts->fixed != FIXED_NO || facts->busy || now_us < move->override_until_us;
    bool above = facts->balloon_bytes > u64_add_sat(facts->target_bytes, params->quantum_bytes);
    if (!above) {
        move->reached = true;
        move->inflate_since_us = 0;
    } else if (quiet) {
        move->inflate_since_us = 0;
    } else {
        watch_above(track, facts, params, now_us);
    }
    if (!quiet && fell_unasked(move, facts, params, now_us))
        move->override_until_us = now_us + params->override_us;
    move->seen_balloon_bytes = facts->balloon_bytes;
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

bool hold_pins(HoldReason hold)
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
