/* The reference the policy's allocation is held against. */
#include "reference.h"
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    long double x = *(const long double *)a, y = *(const long double *)b;
    return (x > y) - (x < y);
}

static long double clamped(long double x, long double low, long double high)
{
    return x < low ? low : (x > high ? high : x);
}

static long double sum_at(const long double *low, const long double *high, const long double *weight, int n,
                          long double level)
{
    long double sum = 0;
    for (int i = 0; i < n; i++)
        sum += clamped(level * weight[i], low[i], high[i]);
    return sum;
}

void reference_fill(const long double *low, const long double *high, const long double *weight, int n,
                    long double budget, long double *ret_share)
{
    if (n == 0)
        return;
    long double *corners = calloc(2 * (size_t)n, sizeof *corners);
    for (int i = 0; i < n; i++) {
        corners[2 * i] = low[i] / weight[i];
        corners[2 * i + 1] = high[i] / weight[i];
    }
    qsort(corners, 2 * (size_t)n, sizeof *corners, by_value);
    long double level = 0;
    for (int c = 0; c < 2 * n && sum_at(low, high, weight, n, corners[c]) <= budget; c++)
        level = corners[c];
    free(corners);
    long double rising = 0, left = budget - sum_at(low, high, weight, n, level);
    for (int i = 0; i < n; i++)
        if (low[i] / weight[i] <= level && level < high[i] / weight[i])
            rising += weight[i];
    if (rising > 0 && left > 0)
        level += left / rising;
    for (int i = 0; i < n; i++)
        ret_share[i] = clamped(level * weight[i], low[i], high[i]);
}

static long double held_bytes(const ServerFacts *facts)
{
    uint64_t held = facts->balloon_bytes > facts->target_bytes ? facts->balloon_bytes : facts->target_bytes;
    if (facts->resident_bytes != UNKNOWN && facts->resident_bytes > held)
        held = facts->resident_bytes;
    bool full = facts->fixed != FIXED_NO || facts->hold == HOLD_STARTING || facts->hold == HOLD_REBOOTING;
    return full && facts->maximum_bytes > held ? facts->maximum_bytes : held;
}

/* What this tier lifts a server to, and at which weight. */
static long double tier(int number, const ServerFacts *facts, const Demand *demand, bool untaken,
                        long double *ret_weight)
{
    const uint64_t highs[] = {facts->minimum_bytes, demand->need_bytes, demand->comfort_bytes,
                              facts->maximum_bytes};
    bool lent = number >= 2;
    long double high = highs[number], active = demand->active_permille / 1000.0L;
    if (lent && (!demand->known || demand->stale))
        high = 0;
    long double kept =
        facts->balloon_bytes > demand->floor_bytes ? facts->balloon_bytes : demand->floor_bytes;
    if (untaken && high > kept)
        high = kept;
    *ret_weight = facts->weight;
    if (number == 1 || number == 2)
        *ret_weight /= active + (1 - active) * 4;
    return high;
}

static bool moves(const World *world, int k)
{
    return world->facts[k].fixed == FIXED_NO && !hold_pins(world->decision->rows[k].hold);
}

/* A share of what needs leave of @budget, and no more than would lack to lift everybody all the way, also those who just now
 * cannot be. */
static long double ready(const World *world, const long double *share, long double budget)
{
    long double left = budget, lacking = 0, weight;
    for (int k = 0; k < world->n; k++) {
        left -= share[k];
        long double most = world->facts[k].maximum_bytes;
        if (world->tracks[k].move.untaken)
            most = tier(3, &world->facts[k], &world->decision->demands[k], true, &weight);
        if (world->facts[k].fixed == FIXED_NO && most > share[k])
            lacking += most - share[k];
    }
    long double part = left * world->params.ready_permille / 1000;
    long double kept = lacking - left < part ? lacking - left : part;
    return left > 0 && kept > 0 ? kept : 0;
}

void reference_allocate(const World *world, long double *ret_share)
{
    long double low[GUESTS_MAX], high[GUESTS_MAX], weight[GUESTS_MAX], budget = world->host.pool_bytes;
    for (int k = 0; k < world->n; k++) {
        const Demand *demand = &world->decision->demands[k];
        HoldReason hold = world->decision->rows[k].hold;
        long double held = held_bytes(&world->facts[k]), floor_bytes = demand->floor_bytes;
        bool still = world->facts[k].fixed != FIXED_NO || hold_pins(hold) || !demand->known || demand->stale;
        if (floor_bytes < demand->faulting_floor_bytes)
            floor_bytes = demand->faulting_floor_bytes;
        ret_share[k] = still || held < floor_bytes ? held : floor_bytes;
        budget -= world->facts[k].overhead_bytes;
    }
    if (budget < 0)
        budget = 0;
    long double expected = 0, kept = 0;
    for (int k = 0; k < world->n; k++) {
        long double touched =
            plan_expected_of(&world->facts[k], &world->tracks[k].burst, &world->params, world->now_us);
        long double room = (long double)world->facts[k].maximum_bytes - held_bytes(&world->facts[k]);
        expected += touched < room ? touched : (room > 0 ? room : 0);
    }
    for (int number = 0; number < 4; number++) {
        long double tier_budget = number < 2 ? budget : budget - world->host.slack_bytes;
        if (number == 2)
            kept = ready(world, ret_share, tier_budget - expected);
        tier_budget -= kept + (number >= 2 ? expected : 0);
        long double sum = 0;
        for (int k = 0; k < world->n; k++) {
            low[k] = high[k] = ret_share[k];
            weight[k] = 1;
            sum += low[k];
            if (!moves(world, k))
                continue;
            long double wanted = tier(number, &world->facts[k], &world->decision->demands[k],
                                      world->tracks[k].move.untaken, &weight[k]);
            high[k] = wanted > low[k] ? wanted : low[k];
        }
        if (sum < tier_budget)
            reference_fill(low, high, weight, world->n, tier_budget, ret_share);
    }
}
