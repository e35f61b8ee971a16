/* What one server would use well now, from what it is seen to use. */
#include "policy/demand.h"
#include <math.h>
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* Two looks at one guest closer than this say nothing about a rate. */
#define RATE_MIN_US INT64_C(20000)
/* Distress within the hour belongs to the same trouble: the rest doubles. */
#define TROUBLE_US (INT64_C(3600) * SECOND_US)
/* Distress this soon after the last is still the same incident, seen by another beat. */
#define INCIDENT_US (INT64_C(10) * SECOND_US)
/* Statistics older than so many periods of their own are stale; of a longer period than our own longest one they are so all the
 * same: much may have happened since. */
#define STALE_PERIODS  3
#define PERIOD_MOST_US (INT64_C(2) * SECOND_US)
/* Doubling the headroom five times is more than any guest grows between two samples. */
#define STARVED_MAX 5
/* What a guest in need may leave untouched all the same: what its kernel sets aside at boot for a crash kernel, an eighth
 * and some for the smallest, and free pages that are too few to be used. */
#define UNTOUCHED_PART       8
#define UNTOUCHED_FLAT_BYTES (48 * MIB)

static double fade(int64_t elapsed_us, int64_t half_life_us)
{
    if (elapsed_us <= 0)
        return 1;
    return exp2(-(double)elapsed_us / (double)half_life_us);
}

static uint64_t scaled(uint64_t bytes, uint32_t permille)
{
    if (bytes <= UINT32_MAX * UINT64_C(0x10000) &&
        permille <= 0xffff) /* nothing overflows: one division less */
        return bytes * permille / 1000;
    return bytes / 1000 * permille + bytes % 1000 * permille / 1000;
}

/* What the host saw the guest touch: no claim of use goes beyond it (G6). */
static uint64_t touched_now(const ServerFacts *facts, const PolicyParams *params)
{
    if (facts->resident_bytes == UNKNOWN || !rule_on(params, RULE_CHECK_RESIDENCY))
        return UINT64_MAX;
    return u64_add_sat(facts->resident_bytes, params->residency_margin_bytes);
}

static uint64_t used_of(const ServerFacts *facts, const PolicyParams *params, uint64_t balloon_bytes)
{
    uint64_t claimed = u64_sub_sat(balloon_bytes, facts->available_bytes);
    return u64_min(u64_min(claimed, touched_now(facts, params)), facts->maximum_bytes);
}

/* Headroom without growth: the larger a server, the more it touches at once. */
static uint64_t base_headroom(const ServerFacts *facts, const PolicyParams *params,
                              uint64_t working_set_bytes)
{
    uint64_t flat = u64_min(params->headroom_bytes, facts->maximum_bytes / 8);
    return u64_add_sat(flat, scaled(working_set_bytes, params->headroom_permille));
}

/* Growth of a cumulative counter since the last look, per second; 0 when unknown or when it went back. */
static uint64_t rate_of(uint64_t now, uint64_t before, int64_t elapsed_us)
{
    if (now == UNKNOWN || before == UNKNOWN || now <= before)
        return 0;
    return u64_from_double((double)(now - before) * 1e6 / (double)elapsed_us);
}

/* Whether a cumulative counter has grown by more than @limit_per_s; what nobody knows, or what went back, has not. */
static bool grew_faster(uint64_t now, uint64_t before, int64_t elapsed_us, uint64_t limit_per_s)
{
    if (now == UNKNOWN || before == UNKNOWN || now <= before)
        return false;
    return (double)(now - before) * 1e6 > (double)limit_per_s * (double)elapsed_us;
}

/* A guest that waits for memory has touched what it has. One that has not waits for another reason, a limit within it, or
 * says so to keep what it has no use for. (One that swaps back in after a grant has not touched it yet: that shows by its
 * swapping.) */
static bool may_lack(const ServerFacts *facts, const PolicyParams *params)
{
    uint64_t untouched = u64_add_sat(facts->maximum_bytes / UNTOUCHED_PART, UNTOUCHED_FLAT_BYTES);
    return u64_add_sat(touched_now(facts, params), untouched) >= facts->balloon_bytes;
}

static bool seen_faulting(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                          int64_t elapsed_us)
{
    return grew_faster(facts->swap_in_bytes, state->swap_in_bytes, elapsed_us, params->swap_in_bytes_per_s) ||
           grew_faster(facts->major_faults, state->major_faults, elapsed_us, params->major_faults_per_s);
}

/* The agent speaks at moments of its own: what grew between two of its lines did so in the time between these, however
 * soon after other statistics the second of them came. */
static bool told_faulting(DemandState *state, const ServerFacts *facts, const PolicyParams *params)
{
    int64_t told_us = facts->told_us != 0 ? facts->told_us : facts->sample_us;
    int64_t elapsed_us = told_us - state->told_us;
    bool first = state->told_us == 0;
    if (!first && elapsed_us >= 0 && elapsed_us < RATE_MIN_US)
        return false;
    bool faulting =
        !first && elapsed_us > 0 &&
        (grew_faster(facts->refaults, state->refaults, elapsed_us, params->refaults_per_s) ||
         grew_faster(facts->stall_us, state->stall_us, elapsed_us, params->stall_permille * UINT64_C(1000)));
    state->told_us = told_us;
    state->refaults = facts->refaults;
    state->stall_us = facts->stall_us;
    return faulting;
}

/* How long nothing is probed after that many squeezes. */
static int64_t backed_off_us(const DemandState *state, const PolicyParams *params)
{
    int64_t wait_us = params->probe_memory_us;
    for (uint32_t i = 1; i < state->squeezed_count && wait_us < params->rest_max_us; i++)
        wait_us *= 2;
    return wait_us < params->rest_max_us ? wait_us : params->rest_max_us;
}

static void note_squeeze(DemandState *state, const PolicyParams *params, int64_t now_us)
{
    int64_t since_us = now_us - state->squeezed_us;
    if (state->squeezed_us == 0 || since_us >= TROUBLE_US)
        state->squeezed_count = 1;
    else if (since_us > params->probe_memory_us)
        state->squeezed_count++;
    state->squeezed_us = now_us;
}

/* Faulting soon after a shrink: the shrink took memory that was in use, so what the guest had touched of it counts as
 * working set from now on. It is let go again by one probe a second, after a quiet time that doubles with each squeeze.
 * @faulted: before this sample; what is taken from then on lies unused, and does not make it fault. */
static void learn_cache(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                        bool faulted, int64_t now_us)
{
    bool shrunk =
        u64_add_sat(facts->sample_balloon_bytes, params->quantum_bytes) < state->sample_balloon_bytes;
    bool anew = state->shrunk_us == 0 || now_us - state->shrunk_us > params->probe_memory_us;
    if (shrunk && !(anew && faulted)) {
        if (anew)
            state->unshrunk_bytes = u64_min(state->sample_balloon_bytes, state->touched_bytes);
        state->shrunk_us = now_us;
    }
    bool shrunk_lately = state->shrunk_us != 0 && now_us - state->shrunk_us <= params->probe_memory_us;
    if (now_us < state->faulting_until_us) {
        uint64_t base = base_headroom(facts, params, state->used_bytes);
        uint64_t missing = u64_sub_sat(u64_sub_sat(state->unshrunk_bytes, state->used_bytes), base);
        if (shrunk_lately && missing > 0) {
            state->cache_bytes = u64_max(state->cache_bytes, missing);
            note_squeeze(state, params, now_us);
        }
    } else if (state->cache_bytes == 0) {
        return;
    } else if (state->squeezed_us == 0 || now_us - state->squeezed_us >= backed_off_us(state, params)) {
        double seconds = (double)(facts->sample_us - state->last_sample_us) / (double)SECOND_US;
        uint64_t probe = scaled(facts->balloon_bytes, params->probe_permille);
        state->cache_bytes = u64_sub_sat(state->cache_bytes, u64_from_double((double)probe * seconds));
    }
}

/* Rates since the last look. */
static void take_rates(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                       int64_t now_us)
{
    int64_t elapsed_us = facts->sample_us - state->rate_us;
    bool first = state->rate_us == 0;
    if (told_faulting(state, facts, params) && may_lack(facts, params))
        state->faulting_until_us = now_us + params->faulting_hold_us;
    if (!first && elapsed_us >= 0 && elapsed_us < RATE_MIN_US)
        return;
    if (!first && elapsed_us >= RATE_MIN_US) {
        bool grew = state->growth_bytes_per_s != 0 || state->resident_growth_bytes_per_s != 0;
        double faded = grew ? fade(elapsed_us, params->growth_half_life_us) : 1;
        uint64_t growth = rate_of(state->sure_bytes, state->rate_used_bytes, elapsed_us);
        uint64_t touching = rate_of(facts->resident_bytes, state->rate_resident_bytes, elapsed_us);
        if (u64_max(growth, touching) > params->burst_bytes_per_s)
            state->grew_us = now_us;
        state->growth_bytes_per_s =
            u64_max(u64_from_double((double)state->growth_bytes_per_s * faded), growth);
        state->resident_growth_bytes_per_s =
            u64_max(u64_from_double((double)state->resident_growth_bytes_per_s * faded), touching);
        if (seen_faulting(state, facts, params, elapsed_us))
            state->faulting_until_us = now_us + params->faulting_hold_us;
    }
    state->rate_us = facts->sample_us;
    state->rate_used_bytes = state->used_bytes;
    state->rate_resident_bytes = facts->resident_bytes;
    state->swap_in_bytes = facts->swap_in_bytes;
    state->major_faults = facts->major_faults;
}

/*
 * What may come back from swap, at most: whatever was written out, less what was read back. A page that was read stays in
 * the swap cache, though, and a guest short of memory drops it again without writing it: so reading counts only between
 * two samples that both found room, for a guest with free memory drops nothing. What was freed while in swap never
 * comes back, and no counter tells: it stays in this sum, on the safe side. Of what was before the first sample nobody
 * knows whether it came back for good.
 */
static void count_swapped(DemandState *state, const ServerFacts *facts, uint64_t unused_bytes,
                          uint64_t room_bytes, int64_t now_us)
{
    const uint64_t in = facts->swap_in_bytes, out = facts->swap_out_bytes;
    bool first = state->last_sample_us == 0 || state->swapped_bytes == UNKNOWN;
    state->wrote = false;
    if (in == UNKNOWN || out == UNKNOWN) {
        state->swapped_bytes = UNKNOWN;
    } else if (first || out < state->swapped_out_bytes || in < state->swapped_in_bytes) {
        state->swapped_bytes = first ? out : u64_max(state->swapped_bytes, out);
    } else {
        bool roomy = u64_min(unused_bytes, state->unused_bytes) >= room_bytes;
        uint64_t back = roomy ? in - state->swapped_in_bytes : 0;
        uint64_t gone = out - state->swapped_out_bytes;
        state->wrote = gone > 0;
        if (gone > 0)
            state->swapped_out_us = now_us;
        state->swapped_bytes = u64_sub_sat(u64_add_sat(state->swapped_bytes, gone), back);
    }
    state->swapped_in_bytes = in;
    state->swapped_out_bytes = out;
}

static void take_sample(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                        int64_t now_us)
{
    uint64_t used = used_of(facts, params, facts->sample_balloon_bytes);
    uint64_t least = used_of(facts, params, u64_min(facts->sample_balloon_bytes, facts->balloon_bytes));
    uint64_t base = base_headroom(facts, params, used);
    bool let_go = u64_add_sat(used, base) < state->sure_bytes;
    state->used_bytes = used;
    state->sure_bytes = u64_clamp(state->sure_bytes, least, used);
    state->claimed_bytes = u64_sub_sat(facts->sample_balloon_bytes, facts->available_bytes);
    bool faulted = now_us < state->faulting_until_us;
    take_rates(state, facts, params, now_us);
    if (state->last_sample_us != 0)
        learn_cache(state, facts, params, faulted, now_us);
    uint64_t left = u64_sub_sat(facts->sample_balloon_bytes, used);
    bool starved = left < base / 4;
    state->starved_samples = starved ? (uint32_t)u64_min(state->starved_samples + 1, STARVED_MAX) : 0;
    state->sample_balloon_bytes = facts->sample_balloon_bytes;
    state->touched_bytes = touched_now(facts, params);
    uint64_t unused = facts->unused_bytes == UNKNOWN ? 0 : facts->unused_bytes;
    count_swapped(state, facts, unused, scaled(base, params->margin_permille), now_us);
    /* What it has let go of it can touch again without anybody's help; what went to swap it has not let go of. */
    if (let_go && !state->wrote)
        state->growth_bytes_per_s = state->resident_growth_bytes_per_s = 0;
    state->unused_bytes = unused;
    state->last_sample_us = facts->sample_us;
}

/* A new boot begins with nothing known but the floor that trouble has taught. */
static void begin_boot(DemandState *state, const ServerFacts *facts)
{
    bool booted_under_us = state->last_sample_us != 0 || state->old_boot_sample_us != 0;
    DemandState fresh = {
        .boot_count = facts->boot_count,
        .learned_floor_bytes = state->learned_floor_bytes,
        .rest_until_us = state->rest_until_us,
        .distress_count = state->distress_count,
        .last_distress_us = state->last_distress_us,
        .old_boot_sample_us = booted_under_us ? facts->sample_us : 0,
    };
    *state = fresh;
}

static uint64_t learned_floor(const DemandState *state, const PolicyParams *params, int64_t now_us)
{
    if (state->learned_floor_bytes == 0 || !rule_on(params, RULE_REST))
        return 0;
    return u64_from_double((double)state->learned_floor_bytes *
                           fade(now_us - state->rest_until_us, params->learned_half_life_us));
}

/* What the guest will touch until the next grant can arrive, as its use has been growing and as far as the
 * host has seen it touch that much. */
static uint64_t growth_now(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                           int64_t now_us)
{
    if (state->growth_bytes_per_s == 0)
        return 0;
    double faded = fade(now_us - state->rate_us, params->growth_half_life_us);
    double reaction_s = (double)params->reaction_us / (double)SECOND_US * faded;
    uint64_t growth = u64_from_double((double)state->growth_bytes_per_s * reaction_s);
    uint64_t touched = touched_now(facts, params);
    if (touched == UINT64_MAX || state->rate_resident_bytes == UNKNOWN)
        return growth;
    uint64_t touching = u64_from_double((double)state->resident_growth_bytes_per_s * reaction_s);
    return u64_min(growth, u64_sub_sat(u64_add_sat(touched, touching), state->sure_bytes));
}

static uint64_t headroom_now(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                             uint64_t working_set_bytes, int64_t now_us)
{
    uint64_t base = base_headroom(facts, params, working_set_bytes);
    for (uint32_t i = 0; i < state->starved_samples; i++)
        base = u64_add_sat(base, base);
    return u64_add_sat(u64_min(base, facts->maximum_bytes), growth_now(state, facts, params, now_us));
}

static bool lately(int64_t last_us, int64_t within_us, int64_t now_us)
{
    return last_us != 0 && now_us - last_us < within_us;
}

/* By what lies unused at the last sample, and so below the balloon size of that sample: what was asked back since is part
 * of it. Where that balloon size is the larger of two the floor is the higher for it. A guest that writes to swap has
 * nothing unused, whatever it says. */
static uint64_t faulting_floor(const DemandState *state, const PolicyParams *params, uint64_t headroom_bytes,
                               int64_t now_us)
{
    if (now_us >= state->faulting_until_us)
        return 0;
    bool grows = lately(state->grew_us, params->growth_half_life_us, now_us);
    bool swaps_out = state->wrote || lately(state->swapped_out_us, params->growth_half_life_us, now_us);
    if (state->swapped_bytes == UNKNOWN || grows || swaps_out)
        return UINT64_MAX;
    uint64_t kept = u64_add_sat(state->swapped_bytes, headroom_bytes);
    uint64_t spare = u64_sub_sat(state->unused_bytes, kept);
    return spare == 0 ? UINT64_MAX : u64_sub_sat(state->sample_balloon_bytes, spare);
}

/* Comfort follows need up at once and down by half-lives, down to the last quantum. */
static uint64_t comfort_now(DemandState *state, const PolicyParams *params, uint64_t need_bytes,
                            int64_t now_us)
{
    uint64_t above = u64_sub_sat(state->comfort_bytes, need_bytes);
    if (above >= params->quantum_bytes)
        above =
            u64_from_double((double)above * fade(now_us - state->comfort_us, params->comfort_half_life_us));
    if (above < params->quantum_bytes)
        above = 0;
    state->comfort_bytes = need_bytes + above;
    state->comfort_us = now_us;
    return state->comfort_bytes;
}

static Demand demand_unknown(const ServerFacts *facts)
{
    uint64_t low = u64_min(facts->minimum_bytes, facts->maximum_bytes);
    uint64_t held = u64_clamp(facts->balloon_bytes, low, facts->maximum_bytes);
    return (Demand){
        .used_bytes = UNKNOWN,
        .working_set_bytes = UNKNOWN,
        .need_bytes = held,
        .comfort_bytes = held,
        .floor_bytes = held,
        .enough_bytes = held,
        .active_permille = 1000,
    };
}

/* Residency that rose since the sample and nears the balloon size: the guest is bursting, whatever it last said
 * and even if it says nothing any more. File cache looks the same, so this waits until the room runs out. */
static uint64_t bursting_to(const DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                            uint64_t used_bytes)
{
    uint64_t resident = facts->resident_bytes, before = state->rate_resident_bytes;
    if (resident == UNKNOWN || before == UNKNOWN || resident <= before)
        return used_bytes;
    uint64_t has = u64_max(facts->balloon_bytes, facts->target_bytes);
    if (u64_add_sat(resident, base_headroom(facts, params, used_bytes) / 2) < has)
        return used_bytes;
    return u64_max(used_bytes, u64_min(resident, u64_add_sat(used_bytes, resident - before)));
}

static uint64_t with_margin(const ServerFacts *facts, const PolicyParams *params, uint64_t used_bytes)
{
    return u64_add_sat(used_bytes, scaled(base_headroom(facts, params, used_bytes), params->margin_permille));
}

/* ESX's f. */
static uint32_t active_share(uint64_t working_set_bytes, uint64_t need_bytes)
{
    if (working_set_bytes >= need_bytes)
        return 1000;
    return (uint32_t)(1000 * (double)working_set_bytes / (double)need_bytes);
}

int64_t demand_stale_us(const ServerFacts *facts, const PolicyParams *params)
{
    int64_t period_us = facts->period_us < PERIOD_MOST_US ? facts->period_us : PERIOD_MOST_US;
    return STALE_PERIODS * period_us > params->stale_us ? STALE_PERIODS * period_us : params->stale_us;
}

Demand demand_update(DemandState *state, const ServerFacts *facts, const PolicyParams *params, int64_t now_us)
{
    if (state->boot_count != facts->boot_count)
        begin_boot(state, facts);
    bool fresh = facts->sample_us != 0 && facts->available_bytes != UNKNOWN &&
                 facts->sample_us != state->old_boot_sample_us;
    if (fresh && facts->sample_us != state->last_sample_us)
        take_sample(state, facts, params, now_us);
    if (state->last_sample_us == 0)
        return demand_unknown(facts);

    const uint64_t high = facts->maximum_bytes, low = u64_min(facts->minimum_bytes, high);
    /* What it claimed may have been touched since. */
    uint64_t used = u64_max(state->used_bytes, u64_min(state->claimed_bytes, touched_now(facts, params)));
    used = u64_min(used, high);
    uint64_t sure = u64_min(bursting_to(state, facts, params, state->sure_bytes), high);
    uint64_t working_set = sure + u64_min(state->cache_bytes, high - sure);
    uint64_t headroom = headroom_now(state, facts, params, working_set, now_us);
    uint64_t learned = learned_floor(state, params, now_us);
    uint64_t floor_bytes = u64_max(with_margin(facts, params, used), learned);
    uint64_t enough = u64_max(with_margin(facts, params, u64_min(sure, used)), learned);
    uint64_t need = u64_clamp(u64_max(u64_add_sat(working_set, headroom), learned), low, high);
    uint64_t faulting_floor_bytes = faulting_floor(state, params, headroom, now_us);
    uint64_t comfort = comfort_now(state, params, need, now_us);
    if (faulting_floor_bytes > 0 && rule_on(params, RULE_HOLD_FAULTING))
        comfort = u64_max(comfort, u64_max(facts->balloon_bytes, facts->target_bytes));
    return (Demand){
        .used_bytes = used,
        .working_set_bytes = working_set,
        .headroom_bytes = headroom,
        .need_bytes = need,
        .comfort_bytes = u64_clamp(comfort, need, high),
        .floor_bytes = u64_clamp(floor_bytes, low, high),
        .enough_bytes = u64_clamp(enough, low, high),
        .faulting_floor_bytes = faulting_floor_bytes,
        .active_permille = active_share(working_set, need),
        .known = true,
        .stale = now_us - state->last_sample_us > demand_stale_us(facts, params),
        .faulting = now_us < state->faulting_until_us,
        .resting = now_us < state->rest_until_us,
    };
}

bool demand_is_blind(const Demand *demand, const ServerFacts *facts, const PolicyParams *params)
{
    if (!demand->known || params->blind_bytes_per_s == 0)
        return false;
    return facts->resident_bytes == UNKNOWN ||
           u64_add_sat(facts->resident_bytes, demand->headroom_bytes / 2) >= facts->balloon_bytes;
}

int64_t demand_sample_age_us(const Demand *demand, const ServerFacts *facts, const PolicyParams *params)
{
    if (facts->idle || !demand_is_blind(demand, facts, params))
        return INT64_MAX;
    uint64_t left = u64_sub_sat(facts->balloon_bytes, demand->used_bytes);
    double lasts_us = (double)left * (double)SECOND_US / (double)params->blind_bytes_per_s;
    return lasts_us < 2.0 * (double)SECOND_US ? (int64_t)(lasts_us / 2) : INT64_MAX;
}

void demand_distress(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     uint64_t floor_bytes, int64_t now_us)
{
    if (!rule_on(params, RULE_REST))
        return;
    int64_t since_us = now_us - state->last_distress_us;
    if (state->last_distress_us == 0 || since_us >= TROUBLE_US)
        state->distress_count = 1;
    else if (since_us >= INCIDENT_US)
        state->distress_count++;
    int64_t rest_us = params->rest_us;
    for (uint32_t i = 1; i < state->distress_count && rest_us < params->rest_max_us; i++)
        rest_us *= 2;
    uint64_t learned = learned_floor(state, params, now_us);
    state->learned_floor_bytes = u64_min(u64_max(learned, floor_bytes), facts->maximum_bytes);
    state->last_distress_us = now_us;
    state->rest_until_us = now_us + (rest_us < params->rest_max_us ? rest_us : params->rest_max_us);
}
