/* Residency from look to look: when a server began to grow fast, how fast, and whether that was use or cache. */
#include "policy/burst.h"
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* A burst of cache raises the guest's use by less than this part of what it grows by. */
#define CACHE_PART 4

static uint64_t per_second(uint64_t bytes, int64_t elapsed_us)
{
    double rate = (double)bytes * 1e6 / (double)elapsed_us;
    return u64_from_double(rate);
}

static void begin_quiet(BurstState *state, uint64_t resident_bytes, int64_t now_us)
{
    state->bursting = state->granted = false;
    state->rate_bytes_per_s = 0;
    state->quiet_us = now_us;
    state->quiet_bytes = state->peak_bytes = resident_bytes;
}

/* A burst that ends before it has used up its first grant was none. */
static void end_burst(BurstState *state, const PolicyParams *params, int64_t now_us)
{
    uint64_t shown = u64_sub_sat(u64_max(state->looked_bytes, state->peak_bytes), state->quiet_bytes);
    if (shown < params->burst_first_bytes)
        state->twitch_until_us = now_us + params->burst_twitch_us;
}

static void begin_burst(BurstState *state, int64_t now_us)
{
    state->bursting = true;
    state->onset_used_bytes = state->sample_used_bytes;
    state->rate_bytes_per_s =
        per_second(u64_sub_sat(state->looked_bytes, state->quiet_bytes), now_us - state->quiet_us);
}

bool burst_look(BurstState *state, uint64_t boot_count, uint64_t resident_bytes, const PolicyParams *params,
                int64_t now_us)
{
    if (state->boot_count != boot_count)
        *state = (BurstState){.boot_count = boot_count};
    bool first = state->looked_us == 0 || resident_bytes == UNKNOWN || state->looked_bytes == UNKNOWN;
    int64_t elapsed_us = now_us - state->looked_us;
    if (!first && elapsed_us <= 0)
        return state->bursting;
    uint64_t grown = first ? 0 : u64_sub_sat(resident_bytes, state->looked_bytes);
    uint64_t rate = first ? 0 : per_second(grown, elapsed_us);
    state->looked_us = now_us;
    state->looked_bytes = resident_bytes;
    bool fast = rate >= params->burst_bytes_per_s;
    if (fast)
        state->grew_us = now_us;
    if (state->bursting && !first)
        state->rate_bytes_per_s = state->rate_bytes_per_s / 2 + rate / 2;
    state->peak_bytes = first ? 0 : u64_max(state->peak_bytes, resident_bytes);
    if (!first && state->bursting && now_us - state->grew_us >= params->burst_quiet_us)
        end_burst(state, params, now_us);
    if (first || (state->bursting ? now_us - state->grew_us >= params->burst_quiet_us : !fast))
        begin_quiet(state, resident_bytes, now_us);
    else if (!state->bursting && u64_sub_sat(resident_bytes, state->quiet_bytes) >= params->burst_step_bytes)
        begin_burst(state, now_us);
    return state->bursting;
}

/* What the guest could drop of its memory without losing it: free pages are no cache. */
static uint64_t cache_of(const ServerFacts *facts)
{
    return facts->unused_bytes == UNKNOWN ? UINT64_MAX
                                          : u64_sub_sat(facts->available_bytes, facts->unused_bytes);
}

/* Against what was resident at the sample before: what the guest says now it uses must have grown past that. One that has
 * used it and let it go again has free pages to show for it, still resident until they are reported, and no cache. */
static bool was_cache(const BurstState *state, const ServerFacts *facts, uint64_t used_bytes,
                      const PolicyParams *params)
{
    uint64_t touched = u64_sub_sat(state->sample_bytes, state->quiet_bytes);
    uint64_t taken = u64_sub_sat(used_bytes, state->onset_used_bytes);
    return state->bursting && touched >= params->burst_cache_bytes && taken < touched / CACHE_PART &&
           cache_of(facts) >= touched / CACHE_PART;
}

void burst_learn(BurstState *state, const ServerFacts *facts, const Demand *demand,
                 const PolicyParams *params, int64_t now_us)
{
    if (state->boot_count != facts->boot_count || !demand->known || facts->sample_us == state->sample_us)
        return;
    if (was_cache(state, facts, demand->used_bytes, params))
        state->cache_until_us = now_us + params->burst_cache_us;
    state->sample_us = facts->sample_us;
    state->sample_bytes = state->looked_bytes == UNKNOWN ? 0 : state->looked_bytes;
    state->sample_used_bytes = demand->used_bytes;
}

uint64_t burst_expected_bytes(const BurstState *state, const PolicyParams *params)
{
    if (!state->bursting)
        return 0;
    uint64_t shown = u64_sub_sat(state->looked_bytes, state->quiet_bytes);
    double ahead = (double)state->rate_bytes_per_s * (double)params->reaction_us / (double)SECOND_US;
    double most = (double)shown * params->burst_lead;
    double expected = ahead < most ? ahead : most;
    return u64_from_double(expected);
}
