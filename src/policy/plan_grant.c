/* Grants: free pool bytes go to those below their need first, slack included; then to whom the surplus
 * belongs. */
#include "base/u64.h"
#include "policy/plan_internal.h"

static uint64_t entitled_need(const Beat *beat, size_t i)
{
    return u64_min(beat->rows[i].allocation_bytes, beat->demands[i].need_bytes);
}

static bool wants_need(const Beat *beat, size_t i)
{
    return beat_may_move(beat, i) &&
           entitled_need(beat, i) > u64_add_sat(beat->rows[i].target_bytes, beat_band(beat, i));
}

static bool wants_surplus(const Beat *beat, size_t i)
{
    const PlanRow *row = &beat->rows[i];
    if (!beat_may_move(beat, i) || row->allocation_bytes <= row->target_bytes)
        return false;
    return row->hold != HOLD_STALE_STATISTICS && beat_unsettled(beat, i);
}

static bool turned_lately(const Beat *beat, size_t i)
{
    int64_t last_us = beat->tracks[i].move.last_down_us;
    return rule_on(beat->params, RULE_DEAD_BAND) && last_us != 0 &&
           beat->now_us - last_us < beat->params->turn_us;
}

/* Each server that @wants is lifted towards its entitlement by max-min fairness over @budget; returns what is
 * left wanting. */
static uint64_t hand_out(Beat *beat, bool (*wants)(const Beat *, size_t),
                         uint64_t (*entitled)(const Beat *, size_t), Move move, uint64_t budget)
{
    Share *shares = beat->scratch->shares;
    size_t n_wanting = 0;
    uint64_t held = 0, wanted = 0;
    for (size_t i = 0; i < beat->n; i++) {
        if (!wants(beat, i))
            continue;
        uint64_t low = beat->rows[i].target_bytes;
        double weight = rule_on(beat->params, RULE_WEIGHTS) ? beat->servers[i].weight : 1;
        shares[n_wanting] =
            (Share){.low_bytes = low, .high_bytes = u64_max(low, entitled(beat, i)), .weight = weight};
        beat->scratch->donors[n_wanting++] = (uint32_t)i;
        held = u64_add_sat(held, low);
        wanted = u64_add_sat(wanted, shares[n_wanting - 1].high_bytes - low);
    }
    if (n_wanting == 0 || budget == 0)
        return wanted;
    allocation_fill(shares, n_wanting, u64_add_sat(held, budget), beat->scratch->index, beat->scratch->bytes);
    for (size_t k = 0; k < n_wanting; k++) {
        size_t i = beat->scratch->donors[k];
        uint64_t target = beat->scratch->bytes[k];
        if (target < shares[k].high_bytes)
            target = target / beat->params->quantum_bytes * beat->params->quantum_bytes;
        if (target <= shares[k].low_bytes)
            continue;
        wanted -= target - shares[k].low_bytes;
        Move kept = beat->rows[i].move == MOVE_DISTRESS ? MOVE_DISTRESS : move;
        beat_set(beat, i, kept, target);
    }
    return wanted;
}

static bool wants_surplus_now(const Beat *beat, size_t i)
{
    return wants_surplus(beat, i) && !turned_lately(beat, i);
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
    beat->waiting_bytes = hand_out(beat, wants_need, entitled_need, MOVE_GRANT_NEED, beat->free_bytes);
    uint64_t beyond_slack = u64_sub_sat(beat->free_bytes, beat->host->slack_bytes);
    if (beat->waiting_bytes == 0)
        hand_out(beat, wants_surplus_now, entitled_all, MOVE_GRANT_SURPLUS, beyond_slack);
    beat->levelling_bytes = sum_wanting_surplus(beat);
}
