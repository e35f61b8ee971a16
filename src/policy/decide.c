/* One beat of the policy: watch, demand, allocation by tiers, plan. */
#include "policy/decide.h"
#include <stdlib.h>
#include "base/u64.h"

Decision *decision_new(void)
{
    return calloc(1, sizeof(Decision));
}

static void clear_arrays(Decision *decision)
{
    free(decision->demands);
    free(decision->allocations);
    free(decision->rows);
    free(decision->scratch.shares);
    free(decision->scratch.bytes);
    free(decision->scratch.index);
    free(decision->scratch.donors);
    free(decision->scratch.pinned);
    free(decision->scratch.untaken);
    free(decision->scratch.taxed);
}

void decision_free(Decision *decision)
{
    if (!decision)
        return;
    clear_arrays(decision);
    free(decision);
}

/* Doubles, so that a growing host costs few allocations. Out of memory is fatal everywhere in this program.
 */
static void *array_of(size_t count, size_t size)
{
    void *array = calloc(count, size);
    if (!array)
        abort();
    return array;
}

static void reserve(Decision *decision, size_t n)
{
    if (n <= decision->capacity)
        return;
    size_t capacity = decision->capacity * 2 > n ? decision->capacity * 2 : n;
    clear_arrays(decision);
    decision->capacity = capacity;
    decision->demands = array_of(capacity, sizeof *decision->demands);
    decision->allocations = array_of(capacity, sizeof *decision->allocations);
    decision->rows = array_of(capacity, sizeof *decision->rows);
    decision->scratch.shares = array_of(capacity, sizeof *decision->scratch.shares);
    decision->scratch.bytes = array_of(capacity, sizeof *decision->scratch.bytes);
    decision->scratch.index = array_of(capacity, sizeof *decision->scratch.index);
    decision->scratch.donors = array_of(capacity, sizeof *decision->scratch.donors);
    decision->scratch.pinned = array_of(capacity, sizeof *decision->scratch.pinned);
    decision->scratch.untaken = array_of(capacity, sizeof *decision->scratch.untaken);
    decision->scratch.taxed = array_of(capacity, sizeof *decision->scratch.taxed);
}

typedef enum { TIER_MINIMUM, TIER_NEED, TIER_COMFORT, TIER_MAXIMUM } Tier;

/* Whether what the guest says is too old to take memory on its word. */
static bool word_is_old(const ServerFacts *facts, const Demand *demand, const PolicyParams *params)
{
    return (demand->stale || facts->hold == HOLD_STALE_STATISTICS) && rule_on(params, RULE_FRESH_ONLY);
}

/* What is kept whatever the tiers say: all it holds where nothing may be taken, else the floors. */
static uint64_t first_low(const ServerFacts *facts, const Demand *demand, bool pinned, uint64_t held_bytes,
                          const PolicyParams *params)
{
    bool shrinks = !pinned && demand->known && !word_is_old(facts, demand, params);
    if (!shrinks || !rule_on(params, RULE_SURPLUS_YIELDS))
        return held_bytes;
    return u64_min(held_bytes, demand_floor(demand, params));
}

static double plain_weight(const ServerFacts *facts, const PolicyParams *params)
{
    return facts->weight > 0 && rule_on(params, RULE_WEIGHTS) ? facts->weight : 1;
}

/* What it has been seen to touch of its burst since it spoke is in use, whoever waits. */
static void raise_floor(Demand *demand, const ServerFacts *facts, const BurstState *burst, int64_t now_us)
{
    if (!demand->known || burst->boot_count != facts->boot_count || now_us < burst->cache_until_us)
        return;
    uint64_t touched = plan_touched_of(burst);
    uint64_t floor_bytes = u64_add_sat(demand->floor_bytes, touched);
    demand->floor_bytes = u64_min(floor_bytes, u64_max(demand->floor_bytes, facts->maximum_bytes));
    demand->enough_bytes = u64_min(u64_add_sat(demand->enough_bytes, touched), demand->floor_bytes);
}

/* Everything that needs all that is remembered of one server, while it is at hand. */
static void look_at(Decision *decision, size_t i, const ServerFacts *facts, ServerTrack *track,
                    const PolicyParams *params, int64_t now_us)
{
    PlanScratch *scratch = &decision->scratch;
    plan_watch(track, facts, params, now_us);
    Demand demand = demand_update(&track->demand, facts, params, now_us);
    burst_learn(&track->burst, facts, &demand, params, now_us);
    raise_floor(&demand, facts, &track->burst, now_us);
    PlanRow row = plan_row(facts, &demand, &track->move, params, now_us);
    bool pinned = facts->fixed != FIXED_NO || hold_pins(row.hold);
    scratch->pinned[i] = pinned;
    scratch->untaken[i] = track->move.untaken;
    scratch->taxed[i] = 1;
    if (rule_on(params, RULE_WEIGHTS))
        scratch->taxed[i] = allocation_taxed_weight(facts->weight > 0 ? facts->weight : 1,
                                                    demand.active_permille, params->tax_permille);
    /* Of what it is about to touch, what it does not hold yet. */
    uint64_t expected = u64_min(plan_expected_of(facts, &track->burst, params, now_us),
                                u64_sub_sat(facts->maximum_bytes, row.held_bytes));
    scratch->expected_bytes = u64_add_sat(scratch->expected_bytes, expected);
    scratch->needed_bytes = u64_add_sat(scratch->needed_bytes, plan_needed_of(&track->move, params, now_us));
    decision->allocations[i] = first_low(facts, &demand, pinned, row.held_bytes, params);
    decision->demands[i] = demand;
    decision->rows[i] = row;
}

/* How far a tier lifts one server. What could not be taken back is not lent: no comfort or surplus without
 * fresh statistics. A guest that does not take up grants is not promised more than it has. */
static uint64_t tier_high(Tier tier, const ServerFacts *facts, const Demand *demand, bool untaken)
{
    uint64_t high = 0;
    bool lends = demand->known && !demand->stale && facts->hold != HOLD_STALE_STATISTICS;
    switch (tier) {
    case TIER_MINIMUM:
        high = facts->minimum_bytes;
        break;
    case TIER_NEED:
        high = demand->need_bytes;
        break;
    case TIER_COMFORT:
        high = lends ? demand->comfort_bytes : 0;
        break;
    case TIER_MAXIMUM:
        high = lends ? facts->maximum_bytes : 0;
        break;
    }
    high = u64_min(high, facts->maximum_bytes);
    return untaken ? u64_min(high, u64_max(facts->balloon_bytes, demand->floor_bytes)) : high;
}

/* Lifts everyone that may move from where the tiers before left it towards this tier's high; the others keep what they
 * have. Returns the sum of all. */
static uint64_t fill_tier(Decision *decision, Tier tier, const ServerFacts *servers,
                          const PolicyParams *params, uint64_t budget)
{
    PlanScratch *scratch = &decision->scratch;
    const bool taxed = tier == TIER_NEED || tier == TIER_COMFORT;
    uint64_t kept = 0;
    size_t n_lifted = 0;
    for (size_t i = 0; i < decision->n; i++) {
        const Demand *demand = &decision->demands[i];
        uint64_t low = decision->allocations[i], high = low;
        if (!scratch->pinned[i])
            high = tier_high(tier, &servers[i], demand, scratch->untaken[i]);
        if (high <= low) {
            kept = u64_add_sat(kept, low);
            continue;
        }
        double weight = taxed ? scratch->taxed[i] : plain_weight(&servers[i], params);
        scratch->shares[n_lifted] = (Share){low, high, weight};
        scratch->donors[n_lifted++] = (uint32_t)i;
    }
    uint64_t sum =
        allocation_fill(scratch->shares, n_lifted, u64_sub_sat(budget, kept), scratch->index, scratch->bytes);
    for (size_t k = 0; k < n_lifted; k++)
        decision->allocations[scratch->donors[k]] = scratch->bytes[k];
    return u64_add_sat(kept, sum);
}

/* Of @room, which nobody needs, how much is given to nobody: a share of it, and no more than they would lack for their maximum
 * if all of it were lent. Who is silent or held just now will want it again: the host is no less overbooked for that. */
static uint64_t ready_of(const Decision *decision, const ServerFacts *servers, const PolicyParams *params,
                         uint64_t room)
{
    uint64_t lacking = 0;
    for (size_t i = 0; i < decision->n && lacking / 2 < room; i++) {
        if (servers[i].fixed != FIXED_NO)
            continue;
        uint64_t high = servers[i].maximum_bytes;
        if (decision->scratch.untaken[i])
            high = tier_high(TIER_MAXIMUM, &servers[i], &decision->demands[i], true);
        lacking = u64_add_sat(lacking, u64_sub_sat(high, decision->allocations[i]));
    }
    return u64_min(room / 1000 * params->ready_permille, u64_sub_sat(lacking, room));
}

static void allocate(const HostFacts *host, const ServerFacts *servers, const PolicyParams *params,
                     Decision *decision)
{
    uint64_t overhead = 0;
    for (size_t i = 0; i < decision->n; i++)
        overhead = u64_add_sat(overhead, servers[i].overhead_bytes);
    uint64_t budget = u64_sub_sat(host->pool_bytes, overhead);
    uint64_t after_slack = u64_sub_sat(budget, host->slack_bytes);
    uint64_t sum = fill_tier(decision, TIER_MINIMUM, servers, params, budget);
    if (sum < budget)
        sum = fill_tier(decision, TIER_NEED, servers, params, budget);
    /* Nobody keeps as surplus what others are about to touch. */
    uint64_t surplus = u64_sub_sat(after_slack, decision->scratch.expected_bytes);
    if (sum < surplus)
        decision->scratch.ready_bytes = ready_of(decision, servers, params, surplus - sum);
    uint64_t ready = decision->scratch.ready_bytes;
    if (sum < u64_sub_sat(surplus, ready))
        sum = fill_tier(decision, TIER_COMFORT, servers, params, surplus - ready);
    if (sum < u64_sub_sat(surplus, ready))
        fill_tier(decision, TIER_MAXIMUM, servers, params, surplus - ready);
}

void decision_make(const HostFacts *host, const ServerFacts *servers, ServerTrack *tracks, size_t n,
                   const PolicyParams *params, int64_t now_us, Decision *decision)
{
    reserve(decision, n);
    decision->n = n;
    decision->scratch.expected_bytes = decision->scratch.ready_bytes = 0;
    decision->scratch.needed_bytes = 0;
    for (size_t i = 0; i < n; i++)
        look_at(decision, i, &servers[i], &tracks[i], params, now_us);
    allocate(host, servers, params, decision);
    plan_make(host, servers, decision->demands, tracks, decision->allocations, n, params, now_us,
              &decision->scratch, decision->rows, &decision->totals);
}

size_t decision_bursts(const HostFacts *host, const ServerFacts *servers, const Demand *demands,
                       const ServerTrack *tracks, const PlanRow *before, bool someone_waits, size_t n,
                       const PolicyParams *params, int64_t now_us, Decision *decision)
{
    reserve(decision, n);
    decision->n = n;
    return plan_bursts(host, servers, demands, tracks, before, someone_waits, n, params, now_us,
                       &decision->scratch, decision->rows);
}
