/* Grants: free pool bytes go to those below their need first, slack included; then to whom the surplus
 * belongs. */
#include "base/u64.h"
#include "policy/plan_internal.h"

static uint64_t entitled_need(const Beat *beat, size_t i)
{
    return u64_min(beat->rows[i].allocation_bytes, beat->demands[i].need_bytes);
}

/* The band spares moves that nobody would notice; a target below the minimum is no such thing. */
static bool wants_need(const Beat *beat, size_t i)
{
    uint64_t entitled = entitled_need(beat, i), target = beat->rows[i].target_bytes;
    bool below = target < u64_min(entitled, beat->servers[i].minimum_bytes);
    return beat_may_move(beat, i) && (below || entitled > u64_add_sat(target, beat_band(beat, i)));
}

static bool wants_surplus(const Beat *beat, size_t i)
{
    const PlanRow *row = &beat->rows[i];
    if (!beat_may_move(beat, i) || row->allocation_bytes <= row->target_bytes)
        return false;
    /* A floor alone may be the larger of two readings: it stops a reclaim and undoes none. */
    bool surplus = row->allocation_bytes > beat->demands[i].floor_bytes;
    return surplus && row->hold != HOLD_STALE_STATISTICS && beat_unsettled(beat, i);
}

static bool fell_lately(const Beat *beat, size_t i)
{
    int64_t last_us = beat->tracks[i].move.last_down_us;
    return rule_on(beat->params, RULE_DEAD_BAND) && last_us != 0 &&
           beat->now_us - last_us < beat->params->turn_us;
}

/* The servers that @wants, into scratch->donors and scratch->shares; returns how many. */
static size_t gather_wanting(Beat *beat, bool (*wants)(const Beat *, size_t),
                             uint64_t (*entitled)(const Beat *, size_t), uint64_t *ret_low,
                             uint64_t *ret_wanted)
{
    size_t n_wanting = 0;
    *ret_low = *ret_wanted = 0;
    for (size_t i = 0; i < beat->n; i++) {
        if (!wants(beat, i))
            continue;
        const PlanRow *row = &beat->rows[i];
        uint64_t high = u64_max(row->target_bytes, entitled(beat, i));
        uint64_t low = u64_max(row->target_bytes, u64_min(row->held_bytes, high)); /* this much is paid for */
        uint32_t weight = rule_on(beat->params, RULE_WEIGHTS) ? beat->servers[i].weight : 1;
        beat->scratch->shares[n_wanting] =
            (Share){.low_bytes = low, .high_bytes = high, .weight = weight > 0 ? weight : 1};
        beat->scratch->donors[n_wanting++] = (uint32_t)i;
        *ret_low = u64_add_sat(*ret_low, low);
        *ret_wanted = u64_add_sat(*ret_wanted, high - low);
    }
    return n_wanting;
}

/* Whole quanta of what max-min fairness gives, and what that leaves over one quantum each, so that a budget
 * smaller than one quantum per server is not lost on all of them: to those first whose share was cut for it, so that the next
 * beat's go to others. */
static void round_shares(const Beat *beat, size_t n_wanting, uint64_t budget)
{
    const Share *shares = beat->scratch->shares;
    const uint64_t quantum = beat->params->quantum_bytes;
    uint64_t *targets = beat->scratch->bytes;
    uint32_t *turns = beat->scratch->index; /* the fill has done with it */
    for (size_t k = 0; k < n_wanting; k++) {
        uint64_t fair = targets[k];
        if (fair < shares[k].high_bytes)
            targets[k] = u64_max(fair / quantum * quantum, shares[k].low_bytes);
        turns[k] = targets[k] < fair ? 0 : 1;
        budget = u64_sub_sat(budget, targets[k] - shares[k].low_bytes);
    }
    for (uint32_t turn = 0; turn <= 1; turn++)
        for (size_t k = 0; k < n_wanting && budget >= quantum; k++) {
            uint64_t more = turns[k] == turn ? u64_min(quantum, shares[k].high_bytes - targets[k]) : 0;
            targets[k] += more;
            budget -= more;
        }
}

/* Each server that @wants is lifted towards its entitlement by max-min fairness over @budget; returns what is
 * left wanting. */
static uint64_t grant_to(Beat *beat, bool (*wants)(const Beat *, size_t),
                         uint64_t (*entitled)(const Beat *, size_t), Move move, uint64_t budget)
{
    uint64_t low, wanted;
    PlanScratch *scratch = beat->scratch;
    size_t n_wanting = gather_wanting(beat, wants, entitled, &low, &wanted);
    if (n_wanting == 0 || budget == 0)
        return wanted;
    allocation_fill(scratch->shares, n_wanting, u64_add_sat(low, budget), scratch->index, scratch->bytes);
    round_shares(beat, n_wanting, budget);
    for (size_t k = 0; k < n_wanting; k++) {
        size_t i = scratch->donors[k];
        if (scratch->bytes[k] <= beat->rows[i].target_bytes)
            continue;
        wanted -= scratch->bytes[k] - scratch->shares[k].low_bytes;
        Move before = beat->rows[i].move;
        Move kept = before == MOVE_DISTRESS || before == MOVE_GRANT_NEED ? before : move;
        beat_set(beat, i, kept, scratch->bytes[k]);
    }
    return wanted;
}

static bool wants_surplus_now(const Beat *beat, size_t i)
{
    return wants_surplus(beat, i) && !fell_lately(beat, i);
}

static uint64_t entitled_all(const Beat *beat, size_t i)
{
    return beat->rows[i].allocation_bytes;
}

static uint64_t sum_wanting_surplus(const Beat *beat)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < beat->n; i++)
        if (wants_surplus(beat, i))
            sum = u64_add_sat(sum, beat->rows[i].allocation_bytes - beat->rows[i].target_bytes);
    return sum;
}

void plan_grants(Beat *beat)
{
    beat->waiting_bytes = grant_to(beat, wants_need, entitled_need, MOVE_GRANT_NEED, beat->free_bytes);
    uint64_t beyond_slack = u64_sub_sat(beat->free_bytes, beat->host->slack_bytes);
    if (beat->waiting_bytes == 0)
        grant_to(beat, wants_surplus_now, entitled_all, MOVE_GRANT_SURPLUS, beyond_slack);
    /* What is free for it only has to wait until who gave a moment ago may rise again: no donor is needed for that. */
    beyond_slack = u64_sub_sat(beat->free_bytes, beat->host->slack_bytes);
    beat->levelling_bytes = u64_sub_sat(sum_wanting_surplus(beat), beyond_slack);
}
