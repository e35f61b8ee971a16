/*
 * Aerostat: the daemon's own policy, decision_make() and plan_carried_out(), behind the daemon's own following of
 * servers (engine/tracked.h): which sample is fresh, what a request's fate means, reboots, restarts. Only the loop that
 * drives both is written anew here, in virtual time; it follows src/engine/beat.c, act.c and burst.c.
 */
#include "sim/manager_aerostat.h"
#include "base/u64.h"
#include "engine/tracked.h"

#define SECOND_US INT64_C(1000000)
/* Any Unix time: statistics are stamped with whole seconds of it. */
#define WALL_EPOCH_S INT64_C(1000000000)
/* src/engine/burst.c: growth too slow for a burst that makes a guest worth asking all the same, and for how long. */
#define CREEP_BYTES (16 * MIB)
#define BURST_US    SECOND_US
/* src/engine/burst.c: from one decision to the next while one bursts. */
#define EARLY_US INT64_C(60000)
/* The policy takes a time of 0 for "never". */
#define CLOCK_EPOCH_US SECOND_US

struct Manager {
    const Scenario *scenario;
    TrackedTimes times;
    TrackedDefaults defaults;
    guint n;
    uint64_t *promises; /* borrowed; in the place of src/engine/promise.h */
    Tracked **tracked;
    PlanRow *asked_rows; /* of the requests under way */
    ServerFacts *asked_facts;
    uint64_t *asked_boots;
    ServerFacts *facts;
    ServerTrack *tracks;
    Decision *decision;
    HostFacts host;
    /* Between two beats. */
    int64_t decided_us;
    ServerFacts *look_facts;
    Demand *look_demands;
    ServerTrack *look_tracks;
    PlanRow *look_rows;
    Decision *look;
    DecisionFunc on_decision;
    gpointer on_decision_data;
};

static Manager *make(const Scenario *scenario, uint64_t *promises)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->promises = promises;
    manager->times = tracked_times_default();
    manager->defaults.weight = 100;
    manager->defaults.overhead.is_auto = TRUE;
    manager->n = scenario->guests->len;
    manager->tracked = g_new0(Tracked *, manager->n);
    manager->asked_rows = g_new0(PlanRow, manager->n);
    manager->asked_facts = g_new0(ServerFacts, manager->n);
    manager->asked_boots = g_new0(uint64_t, manager->n);
    manager->facts = g_new0(ServerFacts, manager->n);
    manager->tracks = g_new0(ServerTrack, manager->n);
    manager->decision = decision_new();
    manager->look_facts = g_new0(ServerFacts, manager->n);
    manager->look_demands = g_new0(Demand, manager->n);
    manager->look_tracks = g_new0(ServerTrack, manager->n);
    manager->look_rows = g_new0(PlanRow, manager->n);
    manager->look = decision_new();
    manager->host = (HostFacts){scenario->pool_bytes, scenario_slack(scenario)};
    for (guint i = 0; i < manager->n; i++) {
        const GuestSpec *spec = scenario->guests->pdata[i];
        Tracked *tracked = manager->tracked[i] = tracked_new(NULL, &manager->times);
        tracked->settings.has_minimum = tracked->settings.has_weight = TRUE;
        tracked->settings.minimum_bytes = spec->minimum_bytes;
        tracked->settings.weight = spec->weight;
    }
    return manager;
}

void manager_aerostat_listen(Manager *manager, DecisionFunc func, gpointer user_data)
{
    manager->on_decision = func;
    manager->on_decision_data = user_data;
}

static BackendServer *observe(const Seen *seen, int64_t now_us)
{
    const GuestSpec *spec = seen->spec;
    BackendServer *server = g_new0(BackendServer, 1);
    server->kind = SERVER_KIND_KVM;
    server->power = POWER_RUNNING;
    server->responsive = seen->responsive;
    server->maximum_bytes = spec->maximum_bytes;
    server->balloon_bytes = seen->balloon_bytes;
    server->balloon_read_us = now_us;
    server->boot_count = seen->boot_count;
    server->guest_update_s = seen->update_s == 0 ? 0 : seen->update_s + (uint64_t)WALL_EPOCH_S;
    server->available_bytes = seen->available_bytes;
    server->free_bytes = seen->free_bytes;
    server->total_bytes = server->cache_bytes = UNKNOWN;
    server->swap_in_bytes = seen->swap_in_bytes;
    server->swap_out_bytes = seen->swap_out_bytes;
    server->major_faults = seen->major_faults;
    server->pid = 1;
    server->resident_bytes = seen->resident_bytes + spec->overhead_bytes;
    server->overhead_bytes = spec->overhead_bytes;
    server->deflates_on_oom = spec->deflates_on_oom;
    server->reports_free_pages = spec->reports_free_pages;
    server->fixed = spec->fixed;
    return server;
}

static bool bursting(const Manager *manager, int64_t now_us)
{
    for (guint i = 0; i < manager->n; i++)
        if (now_us < manager->tracked[i]->burst_until_us)
            return true;
    return false;
}

static bool is_scarce(const Manager *manager)
{
    return manager->decision->totals.ledger.free_bytes < manager->host.slack_bytes / 2;
}

/* @wanted: somebody waits or bursts. */
static bool wants_fresh(const Manager *manager, guint i, bool wanted, int64_t now_us)
{
    const Tracked *tracked = manager->tracked[i];
    const PlanRow *row = &tracked->row;
    const ServerFacts *facts = &tracked->facts;
    const PolicyParams *params = &manager->scenario->params;
    if (!tracked->decided || tracked->busy || facts->busy || facts->fixed != FIXED_NO || hold_pins(row->hold))
        return false;
    uint64_t balloon = facts->balloon_bytes, target = tracked->target_bytes;
    bool moves = u64_max(balloon, target) - u64_min(balloon, target) > params->quantum_bytes;
    bool gives = wanted && row->target_bytes > tracked->demand.floor_bytes;
    bool old = tracked_is_due(tracked, params, now_us);
    bool refills = is_scarce(manager) && tracked_has_spare(tracked, params, now_us);
    return moves || gives || old || refills || row->short_bytes > 0 || now_us < tracked->burst_until_us;
}

static void wish_fresh(Manager *manager, guint i, bool wanted, int64_t now_us, Wish *wish)
{
    wish->ask = wants_fresh(manager, i, wanted, now_us);
    if (wish->ask)
        manager->tracked[i]->asked_fresh_us = now_us;
}

static void ask(Manager *manager, guint i, const PlanRow *row, Wish *wish)
{
    Tracked *tracked = manager->tracked[i];
    manager->asked_rows[i] = *row;
    manager->asked_facts[i] = tracked->facts;
    manager->asked_boots[i] = tracked->boot_count;
    tracked->busy = TRUE;
    tracked->asked_bytes = wish->target_bytes = row->target_bytes;
    manager->promises[i] = tracked_promised(tracked);
    if (row->move == MOVE_NUDGE)
        tracked->nudged_balloon_bytes = tracked->facts.balloon_bytes;
}

static void act(Manager *manager, guint i, int64_t now_us, Wish *wish)
{
    Tracked *tracked = manager->tracked[i];
    tracked->track = manager->tracks[i];
    tracked->demand = manager->decision->demands[i];
    tracked->row = manager->decision->rows[i];
    tracked->decided = TRUE;
    if (tracked->row.hold == HOLD_MANUAL_OVERRIDE)
        tracked->target_bytes = tracked->latest->balloon_bytes;
    if (tracked_wants_confirmation(tracked, now_us)) {
        Move move = tracked->unsure_move;
        bool reclaim = move == MOVE_RECLAIM_URGENT || move == MOVE_RECLAIM_CALM;
        PlanRow row = {.move = reclaim ? MOVE_WITHDRAW : move, .target_bytes = tracked->facts.target_bytes};
        ask(manager, i, &row, wish);
    } else if (tracked->row.move != MOVE_NONE) {
        ask(manager, i, &tracked->row, wish);
    }
}

/* Whether somebody's growth could only be seen in statistics, and soon. */
static bool wonders(const Manager *manager, int64_t now_us)
{
    for (guint i = 0; i < manager->n; i++) {
        const Tracked *tracked = manager->tracked[i];
        if (tracked->facts.fixed == FIXED_NO && !hold_pins(tracked->row.hold) &&
            (tracked_stirs(tracked, now_us) ||
             (is_scarce(manager) && tracked_has_spare(tracked, &manager->scenario->params, now_us)) ||
             demand_sample_age_us(&tracked->demand, &tracked->facts, &manager->scenario->params) !=
                 INT64_MAX))
            return true;
    }
    return false;
}

static void decide(Manager *manager, guint n, int64_t now_us, Wish *wishes)
{
    Decision *decision = manager->decision;
    for (guint i = 0; i < n; i++) {
        Tracked *tracked = manager->tracked[i];
        tracked_facts(tracked, &manager->defaults, TRUE, now_us);
        manager->facts[i] = tracked->facts;
        manager->tracks[i] = tracked->track;
    }
    decision_make(&manager->host, manager->facts, manager->tracks, n, &manager->scenario->params, now_us,
                  decision);
    if (manager->on_decision)
        manager->on_decision(&manager->host, manager->facts, decision, now_us, manager->on_decision_data);
    for (guint i = 0; i < n; i++)
        act(manager, i, now_us, &wishes[i]);
    manager->decided_us = now_us;
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t world_us, Wish *wishes)
{
    int64_t now_us = world_us + CLOCK_EPOCH_US;
    for (guint i = 0; i < n; i++) {
        Tracked *tracked = manager->tracked[i];
        bool is_new = tracked->latest == NULL;
        tracked_take(tracked, observe(&seen[i], now_us), now_us, WALL_EPOCH_S + world_us / SECOND_US);
        if (is_new)
            tracked_inherit(tracked, manager->promises[i], now_us);
        manager->promises[i] = tracked_promised(tracked);
        tracked->processor_at_us = now_us;
        if (!seen[i].idle)
            tracked_woke(tracked, now_us);
    }
    decide(manager, n, now_us, wishes);
    const PlanTotals *totals = &manager->decision->totals;
    bool wanted = totals->someone_waits || bursting(manager, now_us);
    for (guint i = 0; i < n; i++)
        wish_fresh(manager, i, wanted, now_us, &wishes[i]);
    bool moving = wanted || totals->reclaiming_bytes >= manager->scenario->params.quantum_bytes ||
                  totals->granted_bytes > 0 || wonders(manager, now_us);
    return (BeatEnd){moving ? manager->scenario->fast_beat_us : manager->scenario->beat_us};
}

static void replied(Manager *manager, guint i, Reply reply, int64_t world_us)
{
    int64_t now_us = world_us + CLOCK_EPOCH_US;
    Tracked *tracked = manager->tracked[i];
    const PlanRow *row = &manager->asked_rows[i];
    tracked->busy = FALSE;
    if (reply == REPLY_TIMEOUT || manager->asked_boots[i] != tracked->boot_count) {
        tracked_uncertain(tracked, row->move, row->target_bytes, now_us);
        plan_uncertain(&tracked->track.move, now_us);
        return;
    }
    bool rebooting = tracked->was_reset && !tracked->settled;
    tracked_accepted(tracked, row->move, row->target_bytes, now_us);
    if (!rebooting || row->move == MOVE_NUDGE)
        plan_carried_out(&tracked->track.move, &manager->asked_facts[i], row, &manager->scenario->params,
                         now_us);
}

static bool crept_up(Tracked *tracked, uint64_t resident)
{
    bool grew = tracked->burst_low_bytes != 0 && resident >= tracked->burst_low_bytes + CREEP_BYTES;
    if (grew || tracked->burst_low_bytes == 0 || resident < tracked->burst_low_bytes)
        tracked->burst_low_bytes = resident;
    return grew;
}

/* One look at one server: whether it grows. */
static bool look(const Manager *manager, guint i, const Seen *seen, int64_t now_us)
{
    Tracked *tracked = manager->tracked[i];
    if (!tracked->decided || tracked->facts.fixed != FIXED_NO)
        return false;
    BurstState *burst = &tracked->track.burst;
    uint64_t resident = seen->resident_bytes + seen->spec->overhead_bytes;
    bool bursts = burst_look(burst, tracked->boot_count, resident, &manager->scenario->params, now_us);
    bool grew = crept_up(tracked, resident) || (bursts && burst->grew_us == now_us);
    if (grew)
        tracked->burst_until_us = now_us + BURST_US;
    if (!seen->idle)
        tracked_woke(tracked, now_us);
    tracked->facts.idle = now_us >= tracked->awake_until_us;
    return tracked_is_due(tracked, &manager->scenario->params, now_us) || grew;
}

static void grant_burst(Manager *manager, guint i, const PlanRow *row, Wish *wish)
{
    Tracked *tracked = manager->tracked[i];
    tracked->track.burst.granted = true;
    ask(manager, i, row, wish);
    tracked->row = *row;
    tracked->row.move = MOVE_NONE;
    tracked->row.short_bytes = u64_sub_sat(tracked->demand.need_bytes, row->target_bytes);
}

static void grant_bursts(Manager *manager, guint n, int64_t now_us, Wish *wishes)
{
    for (guint i = 0; i < n; i++) {
        Tracked *tracked = manager->tracked[i];
        tracked_facts(tracked, &manager->defaults, TRUE, now_us);
        manager->look_facts[i] = tracked->facts;
        manager->look_demands[i] = tracked->decided ? tracked->demand : (Demand){.known = false};
        manager->look_tracks[i] = tracked->track;
        manager->look_rows[i] = tracked->row;
    }
    size_t n_moving = decision_bursts(
        &manager->host, manager->look_facts, manager->look_demands, manager->look_tracks, manager->look_rows,
        manager->decision->totals.someone_waits, n, &manager->scenario->params, now_us, manager->look);
    for (guint i = 0; i < n && n_moving > 0; i++)
        if (manager->look->rows[i].move != MOVE_NONE)
            grant_burst(manager, i, &manager->look->rows[i], &wishes[i]);
}

static WatchEnd watch(Manager *manager, const Seen *seen, guint n, int64_t world_us, Wish *wishes)
{
    int64_t now_us = world_us + CLOCK_EPOCH_US;
    bool grows = false, bursts = false;
    for (guint i = 0; i < n; i++) {
        grows |= look(manager, i, &seen[i], now_us);
        bursts |= manager->tracked[i]->track.burst.bursting;
    }
    if (bursts && !manager->decision->totals.infeasible) {
        grant_bursts(manager, n, now_us, wishes);
        if (now_us - manager->decided_us >= EARLY_US)
            decide(manager, n, now_us, wishes);
    }
    for (guint i = 0; grows && i < n; i++)
        wish_fresh(manager, i, true, now_us, &wishes[i]);
    int64_t pause_us = manager->scenario->watch_us;
    return (WatchEnd){.hurry = grows, .pause_us = bursts ? pause_us / 2 : pause_us};
}

static void release(Manager *manager)
{
    for (guint i = 0; i < manager->n; i++)
        tracked_free(manager->tracked[i]);
    g_free(manager->tracked);
    g_free(manager->asked_rows);
    g_free(manager->asked_facts);
    g_free(manager->asked_boots);
    g_free(manager->facts);
    g_free(manager->tracks);
    decision_free(manager->decision);
    g_free(manager->look_facts);
    g_free(manager->look_demands);
    g_free(manager->look_tracks);
    g_free(manager->look_rows);
    decision_free(manager->look);
    g_free(manager);
}

const ManagerOps MANAGER_AEROSTAT = {
    .name = "aerostat",
    .title = "by need, weighted max-min (this project)",
    .make = make,
    .beat = beat,
    .replied = replied,
    .watch = watch,
    .free = release,
};
