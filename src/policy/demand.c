/* What one server would use well now, from what it is seen to use. */
#include "policy/demand.h"
#include <math.h>
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* Two looks at one guest closer than this say nothing about a rate. */
#define RATE_MIN_US INT64_C(20000)
/* Distress within the hour belongs to the same trouble: the rest doubles. */
#define TROUBLE_US (INT64_C(3600) * SECOND_US)
/* Doubling the headroom five times is more than any guest grows between two samples. */
#define STARVED_MAX 5

static double fade(int64_t elapsed_us, int64_t half_life_us)
{
    if (elapsed_us <= 0)
        return 1;
    return exp2(-(double)elapsed_us / (double)half_life_us);
}

static uint64_t scaled(uint64_t bytes, uint64_t permille)
{
    return bytes / 1000 * permille + bytes % 1000 * permille / 1000;
}

static uint64_t used_now(const ServerFacts *facts, const PolicyParams *params)
{
    uint64_t used = u64_sub_sat(facts->sample_balloon_bytes, facts->available_bytes);
    if (facts->resident_bytes != UNKNOWN && rule_on(params, RULE_CHECK_RESIDENCY))
        used = u64_min(used, u64_add_sat(facts->resident_bytes, params->residency_margin_bytes));
    return u64_min(used, facts->maximum_bytes);
}

/* Headroom without growth: the larger a server, the more it touches at once. */
static uint64_t base_headroom(const ServerFacts *facts, const PolicyParams *params,
                              uint64_t working_set_bytes)
{
    uint64_t flat = u64_min(params->headroom_bytes, facts->maximum_bytes / 8);
    return u64_add_sat(flat, scaled(working_set_bytes, params->headroom_permille));
}

/* Growth of a cumulative counter since the last sample, per second; 0 when unknown or when it went back. */
static uint64_t rate_of(uint64_t now, uint64_t before, int64_t elapsed_us)
{
    if (now == UNKNOWN || before == UNKNOWN || now <= before)
        return 0;
    return (uint64_t)((double)(now - before) * 1e6 / (double)elapsed_us);
}

static bool seen_faulting(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                          int64_t elapsed_us)
{
    return rate_of(facts->swap_in_bytes, state->swap_in_bytes, elapsed_us) > params->swap_in_bytes_per_s ||
           rate_of(facts->major_faults, state->major_faults, elapsed_us) > params->major_faults_per_s ||
           rate_of(facts->refaults, state->refaults, elapsed_us) > params->refaults_per_s ||
           rate_of(facts->stall_us, state->stall_us, elapsed_us) > params->stall_permille * UINT64_C(1000);
}

/* Faulting soon after a shrink: the shrink took cache that was in use, so it counts as working set from now
 * on. Quiet samples let it go again by one probe each. */
static void learn_cache(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    if (facts->sample_balloon_bytes + params->quantum_bytes < state->sample_balloon_bytes) {
        if (now_us - state->shrunk_us > params->probe_memory_us)
            state->unshrunk_bytes = state->sample_balloon_bytes;
        state->shrunk_us = now_us;
    }
    bool shrunk_lately = state->shrunk_us != 0 && now_us - state->shrunk_us <= params->probe_memory_us;
    if (now_us < state->faulting_until_us) {
        uint64_t base = base_headroom(facts, params, state->used_bytes);
        uint64_t missing = u64_sub_sat(u64_sub_sat(state->unshrunk_bytes, state->used_bytes), base);
        if (shrunk_lately)
            state->cache_bytes = u64_max(state->cache_bytes, missing);
    } else {
        state->cache_bytes =
            u64_sub_sat(state->cache_bytes, scaled(facts->balloon_bytes, params->probe_permille));
    }
}

static void take_sample(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    uint64_t used = used_now(facts, params);
    int64_t elapsed_us = facts->sample_us - state->last_sample_us;
    bool first = state->last_sample_us == 0;
    if (!first && elapsed_us >= RATE_MIN_US) {
        uint64_t faded =
            (uint64_t)((double)state->growth_bytes_per_s * fade(elapsed_us, params->growth_half_life_us));
        state->growth_bytes_per_s = u64_max(faded, rate_of(used, state->used_bytes, elapsed_us));
        if (seen_faulting(state, facts, params, elapsed_us))
            state->faulting_until_us = now_us + params->faulting_hold_us;
    }
    state->used_bytes = used;
    if (!first)
        learn_cache(state, facts, params, now_us);
    bool starved = facts->available_bytes < base_headroom(facts, params, used) / 4;
    state->starved_samples = starved ? state->starved_samples + 1 : 0;
    state->sample_balloon_bytes = facts->sample_balloon_bytes;
    state->swap_in_bytes = facts->swap_in_bytes;
    state->major_faults = facts->major_faults;
    state->refaults = facts->refaults;
    state->stall_us = facts->stall_us;
    state->last_sample_us = facts->sample_us;
}

/* A new boot begins with nothing known but the floor that trouble has taught. */
static void begin_boot(DemandState *state, const ServerFacts *facts)
{
    DemandState fresh = {
        .boot_count = facts->boot_count,
        .learned_floor_bytes = state->learned_floor_bytes,
        .rest_until_us = state->rest_until_us,
        .distress_count = state->distress_count,
        .last_distress_us = state->last_distress_us,
    };
    *state = fresh;
}

static uint64_t learned_floor(const DemandState *state, const PolicyParams *params, int64_t now_us)
{
    if (state->learned_floor_bytes == 0 || !rule_on(params, RULE_REST))
        return 0;
    return (uint64_t)((double)state->learned_floor_bytes *
                      fade(now_us - state->rest_until_us, params->learned_half_life_us));
}

static uint64_t headroom_now(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                             uint64_t working_set_bytes)
{
    uint64_t base = base_headroom(facts, params, working_set_bytes);
    uint64_t growth = (uint64_t)((double)state->growth_bytes_per_s * ((double)params->reaction_us / 1e6));
    uint64_t doublings = u64_min(state->starved_samples, STARVED_MAX);
    return u64_add_sat(u64_min(base, facts->maximum_bytes) << doublings, growth);
}

/* Comfort follows need up at once and down by half-lives, down to the last quantum. */
static uint64_t comfort_now(DemandState *state, const PolicyParams *params, uint64_t need_bytes,
                            int64_t now_us)
{
    uint64_t above = u64_sub_sat(state->comfort_bytes, need_bytes);
    above = (uint64_t)((double)above * fade(now_us - state->comfort_us, params->comfort_half_life_us));
    if (above < params->quantum_bytes)
        above = 0;
    state->comfort_bytes = need_bytes + above;
    state->comfort_us = now_us;
    return state->comfort_bytes;
}

static Demand demand_unknown(const ServerFacts *facts)
{
    uint64_t held = u64_clamp(facts->balloon_bytes, facts->minimum_bytes, facts->maximum_bytes);
    return (Demand){
        .used_bytes = UNKNOWN,
        .working_set_bytes = UNKNOWN,
        .need_bytes = held,
        .comfort_bytes = held,
        .floor_bytes = held,
        .active_permille = 1000,
    };
}

Demand demand_update(DemandState *state, const ServerFacts *facts, const PolicyParams *params, int64_t now_us)
{
    if (state->boot_count != facts->boot_count)
        begin_boot(state, facts);
    bool fresh = facts->sample_us != 0 && facts->available_bytes != UNKNOWN;
    if (fresh && facts->sample_us != state->last_sample_us)
        take_sample(state, facts, params, now_us);
    if (state->last_sample_us == 0)
        return demand_unknown(facts);

    const uint64_t low = facts->minimum_bytes, high = facts->maximum_bytes;
    uint64_t cache_room = u64_sub_sat(high, state->used_bytes);
    uint64_t working_set = state->used_bytes + u64_min(state->cache_bytes, cache_room);
    uint64_t headroom = headroom_now(state, facts, params, working_set);
    uint64_t learned = learned_floor(state, params, now_us);
    uint64_t margin = scaled(base_headroom(facts, params, state->used_bytes), params->margin_permille);
    uint64_t need = u64_clamp(u64_max(u64_add_sat(working_set, headroom), learned), low, high);
    return (Demand){
        .used_bytes = state->used_bytes,
        .working_set_bytes = working_set,
        .headroom_bytes = headroom,
        .need_bytes = need,
        .comfort_bytes = u64_clamp(comfort_now(state, params, need, now_us), need, high),
        .floor_bytes = u64_clamp(u64_max(state->used_bytes + margin, learned), low, high),
        .active_permille = need > 0 ? (uint32_t)fmin(1000, 1000 * (double)working_set / (double)need) : 1000,
        .known = true,
        .stale = now_us - state->last_sample_us > params->stale_us,
        .faulting = now_us < state->faulting_until_us,
        .resting = now_us < state->rest_until_us,
    };
}

void demand_distress(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     uint64_t floor_bytes, int64_t now_us)
{
    if (!rule_on(params, RULE_REST))
        return;
    bool again = state->last_distress_us != 0 && now_us - state->last_distress_us < TROUBLE_US;
    state->distress_count = again ? state->distress_count + 1 : 1;
    state->last_distress_us = now_us;
    int64_t rest_us = params->rest_us;
    for (uint32_t i = 1; i < state->distress_count && rest_us < params->rest_max_us; i++)
        rest_us *= 2;
    state->rest_until_us = now_us + (rest_us < params->rest_max_us ? rest_us : params->rest_max_us);
    state->learned_floor_bytes =
        u64_min(u64_max(state->learned_floor_bytes, floor_bytes), facts->maximum_bytes);
}
