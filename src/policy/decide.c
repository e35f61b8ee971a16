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
}

/* The first lows: what cannot or must not be taken from each. */
static void begin_tiers(Decision *decision, const ServerFacts *servers, const ServerTrack *tracks,
                        const PolicyParams *params, int64_t now_us)
{
    for (size_t i = 0; i < decision->n; i++) {
        const Demand *demand = &decision->demands[i];
        uint64_t held = ledger_held(&servers[i], params);
        HoldReason hold = plan_hold(&servers[i], demand, &tracks[i].move, now_us);
        bool pinned = servers[i].fixed != FIXED_NO || hold_pins(hold);
        bool shrinks = !pinned && demand->known && !demand->stale && !demand->faulting;
        if (!rule_on(params, RULE_SURPLUS_YIELDS))
            shrinks = false;
        decision->allocations[i] = shrinks ? u64_min(held, demand->floor_bytes) : held;
        decision->scratch.pinned[i] = pinned;
    }
}

typedef uint64_t (*TierHigh)(const ServerFacts *facts, const Demand *demand);

static uint64_t high_minimum(const ServerFacts *facts, const Demand *demand)
{
    (void)demand;
    return facts->minimum_bytes;
}

static uint64_t high_need(const ServerFacts *facts, const Demand *demand)
{
    (void)facts;
    return demand->need_bytes;
}

static uint64_t high_comfort(const ServerFacts *facts, const Demand *demand)
{
    (void)facts;
    return demand->comfort_bytes;
}

static uint64_t high_maximum(const ServerFacts *facts, const Demand *demand)
{
    (void)demand;
    return facts->maximum_bytes;
}

/* Lifts everyone that may move from where the tiers before left it towards this tier's high; the pinned ones
 * keep what they hold. */
static void fill_tier(Decision *decision, const ServerFacts *servers, const PolicyParams *params,
                      TierHigh high_of, bool taxed, uint64_t budget)
{
    Share *shares = decision->scratch.shares;
    for (size_t i = 0; i < decision->n; i++) {
        const Demand *demand = &decision->demands[i];
        shares[i].low_bytes = shares[i].high_bytes = decision->allocations[i];
        shares[i].weight = 1;
        if (decision->scratch.pinned[i])
            continue;
        shares[i].high_bytes = u64_max(shares[i].low_bytes, high_of(&servers[i], demand));
        if (rule_on(params, RULE_WEIGHTS))
            shares[i].weight = taxed ? allocation_taxed_weight(servers[i].weight, demand->active_permille,
                                                               params->tax_permille)
                                     : servers[i].weight;
    }
    allocation_fill(shares, decision->n, budget, decision->scratch.index, decision->scratch.bytes);
    for (size_t i = 0; i < decision->n; i++)
        decision->allocations[i] = decision->scratch.bytes[i];
}

static void allocate(const HostFacts *host, const ServerFacts *servers, const ServerTrack *tracks,
                     const PolicyParams *params, int64_t now_us, Decision *decision)
{
    begin_tiers(decision, servers, tracks, params, now_us);
    uint64_t overhead = 0;
    for (size_t i = 0; i < decision->n; i++)
        overhead = u64_add_sat(overhead, servers[i].overhead_bytes);
    uint64_t budget = u64_sub_sat(host->pool_bytes, overhead);
    uint64_t after_slack = u64_sub_sat(budget, host->slack_bytes);
    fill_tier(decision, servers, params, high_minimum, false, budget);
    fill_tier(decision, servers, params, high_need, true, budget);
    fill_tier(decision, servers, params, high_comfort, true, after_slack);
    fill_tier(decision, servers, params, high_maximum, false, after_slack);
}

void decision_make(const HostFacts *host, const ServerFacts *servers, ServerTrack *tracks, size_t n,
                   const PolicyParams *params, int64_t now_us, Decision *decision)
{
    reserve(decision, n);
    decision->n = n;
    for (size_t i = 0; i < n; i++) {
        plan_watch(&tracks[i], &servers[i], params, now_us);
        decision->demands[i] = demand_update(&tracks[i].demand, &servers[i], params, now_us);
    }
    allocate(host, servers, tracks, params, now_us, decision);
    plan_make(host, servers, decision->demands, tracks, decision->allocations, n, params, now_us,
              &decision->scratch, decision->rows, &decision->totals);
}
