/* Grants between two beats: who bursts gets free pool bytes on its residency's word. */
#include "base/u64.h"
#include "policy/plan_internal.h"

#define SECOND_US INT64_C(1000000)
/* A grant of less than this is not worth a request: the next look brings more. */
#define LEAST_QUANTA 4

/* One look's working state. */
typedef struct {
    const HostFacts *host;
    const ServerFacts *servers;
    const Demand *demands;
    const ServerTrack *tracks;
    const PlanRow *before;
    bool someone_waits;
    size_t n;
    const PolicyParams *params;
    int64_t now_us;
    uint64_t weights;
    bool is_scarce; /* the slack is not whole */
} Look;

static bool may_get(const Look *look, size_t i)
{
    const ServerFacts *facts = &look->servers[i];
    const ServerTrack *track = &look->tracks[i];
    if (!track->burst.bursting || facts->resident_bytes == UNKNOWN ||
        track->burst.boot_count != facts->boot_count || look->now_us < track->burst.cache_until_us)
        return false;
    bool fixed = facts->fixed != FIXED_NO && rule_on(look->params, RULE_FIXED);
    if (fixed || facts->busy || track->move.untaken || track->move.foreign || !look->demands[i].known)
        return false;
    return !hold_pins(plan_hold(facts, &look->demands[i], &track->move, look->now_us));
}

uint64_t plan_touched_of(const BurstState *burst)
{
    if (!burst->bursting)
        return 0;
    uint64_t since = burst->sample_bytes == 0 ? 0 : u64_sub_sat(burst->looked_bytes, burst->sample_bytes);
    return u64_min(since, u64_sub_sat(burst->looked_bytes, burst->quiet_bytes));
}

uint64_t plan_ahead_of(const BurstState *burst, const PolicyParams *params)
{
    return burst->bursting ? u64_add_sat(plan_touched_of(burst), burst_expected_bytes(burst, params)) : 0;
}

/* What it needs now: as of the last sample, what it has touched since, and what it is about to touch. */
static uint64_t needs_now(const Look *look, size_t i)
{
    return u64_add_sat(look->demands[i].need_bytes, plan_ahead_of(&look->tracks[i].burst, look->params));
}

/* What it can touch before it runs short. Pages that it has let go of can still be resident: its own word counts, too, as long
 * as it is fresh, less what it was asked for and has touched since. */
static uint64_t room_of(const ServerFacts *facts, const Demand *demand, const BurstState *burst)
{
    uint64_t room = u64_sub_sat(facts->target_bytes, facts->resident_bytes);
    if (facts->unused_bytes == UNKNOWN || demand->stale || burst->sample_bytes == 0)
        return room;
    uint64_t gone = u64_add_sat(u64_sub_sat(facts->sample_balloon_bytes, facts->target_bytes),
                                u64_sub_sat(burst->looked_bytes, burst->sample_bytes));
    return u64_max(room, u64_sub_sat(facts->unused_bytes, gone));
}

/* How long that lasts if it goes on as it does. */
static double room_us(const Look *look, size_t i)
{
    const BurstState *burst = &look->tracks[i].burst;
    uint64_t room = room_of(&look->servers[i], &look->demands[i], burst);
    return (double)room * 1e6 / (double)u64_max(burst->rate_bytes_per_s, 1);
}

/* A burst's first step, unless there is room for long: nobody knows yet how far it goes. */
static uint64_t first_step(const Look *look, size_t i)
{
    const ServerFacts *facts = &look->servers[i];
    const BurstState *burst = &look->tracks[i].burst;
    uint64_t shown = u64_sub_sat(burst->looked_bytes, burst->quiet_bytes);
    bool twitches = look->now_us < burst->twitch_until_us && shown < look->params->burst_first_bytes;
    if (burst->granted || twitches)
        return 0;
    if (room_us(look, i) >= (double)look->params->burst_room_us)
        return 0;
    uint64_t first = u64_min(look->params->burst_first_bytes, facts->maximum_bytes / 16);
    return u64_add_sat(facts->target_bytes, first);
}

/* While others wait, what is beyond its share is theirs: the share of the last decision, or what its weight alone
 * would give it of the whole pool. */
static uint64_t share_of(const Look *look, size_t i)
{
    if (!look->someone_waits)
        return UINT64_MAX;
    double part = (double)look->servers[i].weight / (double)u64_max(look->weights, 1);
    double share = (double)look->host->pool_bytes * part;
    uint64_t by_weight = u64_from_double(share);
    by_weight = u64_sub_sat(by_weight, look->servers[i].overhead_bytes);
    return u64_max(look->before[i].allocation_bytes, by_weight);
}

static uint64_t wanted(const Look *look, size_t i)
{
    /* Where little is left, what it will not touch soon is kept for who bursts next: its turn comes with the next looks. */
    bool can_wait = look->is_scarce && room_us(look, i) >= (double)look->params->burst_near_us;
    uint64_t want = u64_max(can_wait ? 0 : needs_now(look, i), first_step(look, i));
    return u64_min(u64_min(want, share_of(look, i)), look->servers[i].maximum_bytes);
}

static size_t gather_bursting(const Look *look, PlanScratch *scratch, const PlanRow *rows, uint64_t *ret_low)
{
    size_t n_wanting = 0;
    *ret_low = 0;
    for (size_t i = 0; i < look->n; i++) {
        const uint64_t quantum = look->params->quantum_bytes, target = rows[i].target_bytes;
        if (!may_get(look, i))
            continue;
        uint64_t high = wanted(look, i);
        if (high < u64_add_sat(target, LEAST_QUANTA * quantum))
            continue;
        uint64_t low = u64_max(target, u64_min(rows[i].held_bytes, high)); /* this much is paid for */
        uint32_t weight = rule_on(look->params, RULE_WEIGHTS) ? look->servers[i].weight : 1;
        scratch->shares[n_wanting] = (Share){low, high, weight > 0 ? weight : 1};
        scratch->donors[n_wanting++] = (uint32_t)i;
        *ret_low = u64_add_sat(*ret_low, low);
    }
    return n_wanting;
}

/* What of a large step the look's own grant leaves to one that goes on bursting. */
static uint64_t missing_step(const Look *look, size_t i, const PlanRow *row)
{
    const ServerFacts *facts = &look->servers[i];
    if (row->move == MOVE_NONE || !look->tracks[i].burst.granted)
        return 0;
    uint64_t large = u64_add_sat(facts->target_bytes, plan_large_step(facts));
    return u64_sub_sat(u64_min(large, facts->maximum_bytes), row->target_bytes);
}

/* Who goes on bursting gets the rest of a large step from what exceeds the slack when all that can be granted now is: each grant
 * costs the burst's own processor and the hypervisor's time, and one may be lost. */
static void enlarge_steps(const Look *look, size_t n_wanting, uint64_t free_bytes, const PlanScratch *scratch,
                          PlanRow *rows)
{
    const uint64_t quantum = look->params->quantum_bytes;
    uint64_t beyond_slack = u64_sub_sat(free_bytes, look->host->slack_bytes);
    double weights = 0;
    for (size_t k = 0; k < n_wanting; k++)
        if (missing_step(look, scratch->donors[k], &rows[scratch->donors[k]]) > 0)
            weights += scratch->shares[k].weight;
    for (size_t k = 0; k < n_wanting; k++) {
        PlanRow *row = &rows[scratch->donors[k]];
        uint64_t missing = missing_step(look, scratch->donors[k], row);
        if (missing == 0)
            continue;
        uint64_t part = u64_from_double((double)beyond_slack * scratch->shares[k].weight / weights);
        row->target_bytes += u64_min(missing, part) / quantum * quantum;
    }
}

static size_t grant_bursts(const Look *look, uint64_t free_bytes, PlanScratch *scratch, PlanRow *rows)
{
    const uint64_t quantum = look->params->quantum_bytes;
    uint64_t low, left = free_bytes;
    size_t n_wanting = gather_bursting(look, scratch, rows, &low), n_moving = 0;
    if (n_wanting == 0)
        return 0;
    allocation_fill(scratch->shares, n_wanting, u64_add_sat(low, free_bytes), scratch->index, scratch->bytes);
    for (size_t k = 0; k < n_wanting; k++) {
        size_t i = scratch->donors[k];
        PlanRow *row = &rows[i];
        uint64_t target = u64_max(scratch->bytes[k] / quantum * quantum, scratch->shares[k].low_bytes);
        if (target < u64_add_sat(row->target_bytes, LEAST_QUANTA * quantum))
            continue;
        row->move = MOVE_GRANT_NEED;
        row->needed_bytes = u64_sub_sat(u64_min(target, needs_now(look, i)), row->target_bytes);
        row->target_bytes = target;
        left = u64_sub_sat(left, target - scratch->shares[k].low_bytes);
        n_moving++;
    }
    if (!look->someone_waits)
        enlarge_steps(look, n_wanting, left, scratch, rows);
    return n_moving;
}

uint64_t plan_expected_of(const ServerFacts *facts, const BurstState *burst, const PolicyParams *params,
                          int64_t now_us)
{
    bool seen = burst->bursting && now_us - burst->looked_us < params->burst_quiet_us;
    bool grows = seen && facts->fixed == FIXED_NO && burst->boot_count == facts->boot_count &&
                 now_us >= burst->cache_until_us;
    return grows ? burst_expected_bytes(burst, params) : 0;
}

size_t plan_bursts(const HostFacts *host, const ServerFacts *servers, const Demand *demands,
                   const ServerTrack *tracks, const PlanRow *before, bool someone_waits, size_t n,
                   const PolicyParams *params, int64_t now_us, PlanScratch *scratch, PlanRow *rows)
{
    Look look = {.host = host,
                 .servers = servers,
                 .demands = demands,
                 .tracks = tracks,
                 .before = before,
                 .someone_waits = someone_waits,
                 .n = n,
                 .params = params,
                 .now_us = now_us};
    Ledger ledger = ledger_make(host, servers, n, params);
    look.is_scarce = ledger.free_bytes < host->slack_bytes - host->slack_bytes / SLACK_NEAR;
    for (size_t i = 0; i < n; i++) {
        rows[i] = before[i];
        rows[i].move = MOVE_NONE;
        rows[i].needed_bytes = 0;
        rows[i].target_bytes = servers[i].target_bytes;
        rows[i].held_bytes = ledger_held(&servers[i], params);
        look.weights += servers[i].weight;
    }
    uint64_t free_bytes = rule_on(params, RULE_PAY_FIRST) ? ledger.free_bytes : host->pool_bytes;
    if (ledger.over_bytes > 0)
        return 0;
    return grant_bursts(&look, free_bytes, scratch, rows);
}
