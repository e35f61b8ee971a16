/*
 * Aerostat: the daemon's own policy, decision_make() and plan_carried_out(), fed as the daemon's engine feeds it: the
 * same beats, the same way of telling a fresh sample from an old one, the same account of requests under way, reboots
 * and restarts. What src/engine does with a hypervisor is done here with the modelled one.
 */
#include "base/u64.h"
#include "policy/decide.h"
#include "sim/manager_aerostat.h"

#define SECOND_US INT64_C(1000000)
/* src/engine: a guest that answered for the first time is still starting its services. */
#define BOOT_SETTLE_US  (3 * SECOND_US)
#define NUDGE_RETRY_US  (5 * SECOND_US)
#define DRIVER_GRACE_US (90 * SECOND_US)
/* src/engine: a balloon found on its way is followed until it has stood this long. */
#define ADOPT_STILL_US   INT64_C(1500000)
#define ADOPT_NEAR_BYTES MIB
#define RETRY_US         SECOND_US
/* A guest that has touched this much since it last told is worth asking. */
#define WATCH_GROWTH_BYTES (16 * MIB)

typedef struct {
    ServerTrack track;
    uint64_t boot_count, target_bytes, asked_bytes, last_balloon_bytes, adopt_balloon_bytes;
    uint64_t last_update_s, last_available_bytes, last_free_bytes;
    uint64_t sample_balloon_bytes, sample_resident_bytes;
    int64_t sample_us, boot_us, booted_us, nudged_us, adopted_us, retry_us;
    bool booted, settled, was_reset, adopting, busy;
    PlanRow row;
    ServerFacts facts;
} Followed;

struct Manager {
    const Scenario *scenario;
    PolicyParams params;
    guint n;
    Followed *followed;
    ServerFacts *facts;
    ServerTrack *tracks;
    Decision *decision;
    HostFacts host;
    DecisionFunc on_decision;
    gpointer on_decision_data;
};

static Manager *make(const Scenario *scenario)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->params = scenario->params;
    manager->n = scenario->guests->len;
    manager->followed = g_new0(Followed, manager->n);
    manager->facts = g_new0(ServerFacts, manager->n);
    manager->tracks = g_new0(ServerTrack, manager->n);
    manager->decision = decision_new();
    manager->host = (HostFacts){scenario->pool_bytes, scenario_slack(scenario)};
    return manager;
}

void manager_aerostat_listen(Manager *manager, DecisionFunc func, gpointer user_data)
{
    manager->on_decision = func;
    manager->on_decision_data = user_data;
}

static void begin_boot(Followed *followed, const Seen *seen, int64_t now_us)
{
    bool first_sight = followed->boot_count == 0;
    bool already_up = first_sight && seen->update_s > 0;
    followed->boot_count = seen->boot_count;
    followed->boot_us = now_us;
    followed->booted = followed->settled = already_up;
    followed->booted_us = already_up ? now_us : 0;
    followed->was_reset = !first_sight && seen->balloon_bytes < seen->spec->maximum_bytes;
    followed->nudged_us = 0;
    followed->adopting = already_up;
    followed->adopted_us = now_us;
    followed->adopt_balloon_bytes = followed->last_balloon_bytes = seen->balloon_bytes;
    followed->sample_us = 0;
    if (first_sight)
        followed->target_bytes = seen->balloon_bytes;
    followed->last_update_s = already_up ? 0 : seen->update_s;
    followed->last_available_bytes = seen->available_bytes;
    followed->last_free_bytes = seen->free_bytes;
}

static bool fresh_sample(const Followed *followed, const Seen *seen, int64_t now_us)
{
    if (!seen->responsive || seen->update_s == 0 || seen->available_bytes == UNKNOWN)
        return false;
    if (!followed->booted && followed->boot_us != now_us && seen->update_s == followed->last_update_s &&
        seen->available_bytes == followed->last_available_bytes)
        return false;
    return seen->update_s != followed->last_update_s ||
           seen->available_bytes != followed->last_available_bytes ||
           seen->free_bytes != followed->last_free_bytes;
}

static void take_sample(Followed *followed, const Seen *seen, int64_t now_us)
{
    followed->sample_balloon_bytes = u64_max(seen->balloon_bytes, followed->last_balloon_bytes);
    followed->sample_resident_bytes = seen->resident_bytes;
    followed->sample_us = now_us > 0 ? now_us : 1;
    followed->last_update_s = seen->update_s;
    followed->last_available_bytes = seen->available_bytes;
    followed->last_free_bytes = seen->free_bytes;
    if (!followed->booted) {
        followed->booted = true;
        followed->booted_us = now_us;
    }
}

static void adopt(Followed *followed, const Seen *seen, int64_t now_us)
{
    uint64_t low = u64_min(seen->balloon_bytes, followed->adopt_balloon_bytes);
    uint64_t high = u64_max(seen->balloon_bytes, followed->adopt_balloon_bytes);
    followed->target_bytes = seen->balloon_bytes;
    if (high - low > ADOPT_NEAR_BYTES) {
        followed->adopted_us = now_us;
        followed->adopt_balloon_bytes = seen->balloon_bytes;
    } else if (now_us - followed->adopted_us >= ADOPT_STILL_US) {
        followed->adopting = false;
    }
}

static void advance_boot(Followed *followed, const Seen *seen, int64_t now_us)
{
    if (followed->settled || !followed->booted)
        return;
    if (!followed->was_reset) {
        followed->settled = now_us - followed->booted_us >= BOOT_SETTLE_US;
        return;
    }
    if (followed->nudged_us == 0)
        return;
    if (seen->balloon_bytes == followed->target_bytes && !followed->busy) {
        followed->settled = true;
    } else if (now_us - followed->nudged_us > NUDGE_RETRY_US &&
               seen->balloon_bytes == followed->last_balloon_bytes) {
        followed->nudged_us = 0;
        followed->track.move.last_up_us = followed->track.move.last_down_us = 0;
    }
}

static void follow(Followed *followed, const Seen *seen, int64_t now_us)
{
    if (followed->boot_count != seen->boot_count)
        begin_boot(followed, seen, now_us);
    if (fresh_sample(followed, seen, now_us))
        take_sample(followed, seen, now_us);
    if (followed->adopting)
        adopt(followed, seen, now_us);
    advance_boot(followed, seen, now_us);
    followed->last_balloon_bytes = seen->balloon_bytes;
}

static ServerFacts facts_of(const Followed *followed, const Seen *seen, int64_t now_us)
{
    const GuestSpec *spec = seen->spec;
    HoldReason hold = HOLD_NO;
    if (!seen->responsive)
        hold = HOLD_UNRESPONSIVE;
    else if (!followed->settled)
        hold = followed->was_reset ? HOLD_REBOOTING : HOLD_STARTING;
    FixedReason fixed = spec->fixed;
    if (fixed == FIXED_NO && !followed->booted && seen->responsive &&
        now_us - followed->boot_us > DRIVER_GRACE_US)
        fixed = FIXED_NO_DRIVER;
    bool known = followed->sample_us != 0;
    return (ServerFacts){
        .maximum_bytes = spec->maximum_bytes,
        .minimum_bytes = spec->minimum_bytes,
        .weight = spec->weight,
        .fixed = fixed,
        .hold = hold,
        .balloon_bytes = seen->balloon_bytes,
        .target_bytes =
            followed->busy ? u64_max(followed->target_bytes, followed->asked_bytes) : followed->target_bytes,
        .resident_bytes = seen->resident_bytes,
        .overhead_bytes = spec->overhead_bytes,
        .boot_count = followed->boot_count,
        .sample_us = followed->sample_us,
        .sample_balloon_bytes = followed->sample_balloon_bytes,
        .available_bytes = known ? seen->available_bytes : UNKNOWN,
        .swap_in_bytes = seen->swap_in_bytes,
        .swap_out_bytes = seen->swap_out_bytes,
        .major_faults = seen->major_faults,
        .refaults = UNKNOWN,
        .stall_us = UNKNOWN,
        .deflates_on_oom = spec->deflates_on_oom,
        .booted = followed->booted,
        .busy = followed->busy || followed->adopting || now_us < followed->retry_us,
    };
}

static bool wants_fresh(const Manager *manager, guint i)
{
    const Followed *followed = &manager->followed[i];
    const Demand *demand = &manager->decision->demands[i];
    if (followed->busy || followed->facts.fixed != FIXED_NO || hold_pins(followed->row.hold))
        return false;
    bool moves = followed->facts.balloon_bytes != followed->target_bytes;
    bool gives = manager->decision->totals.someone_waits && followed->row.target_bytes > demand->floor_bytes;
    return moves || gives || followed->row.short_bytes > 0;
}

static void act(Manager *manager, guint i, Wish *wish)
{
    Followed *followed = &manager->followed[i];
    followed->row = manager->decision->rows[i];
    followed->facts = manager->facts[i];
    followed->track = manager->tracks[i];
    if (followed->row.hold == HOLD_MANUAL_OVERRIDE)
        followed->target_bytes = followed->facts.balloon_bytes;
    if (followed->row.move == MOVE_NONE || followed->facts.busy)
        return;
    wish->target_bytes = followed->row.target_bytes;
    followed->asked_bytes = wish->target_bytes;
    followed->busy = true;
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    for (guint i = 0; i < n; i++) {
        follow(&manager->followed[i], &seen[i], now_us);
        manager->facts[i] = facts_of(&manager->followed[i], &seen[i], now_us);
        manager->tracks[i] = manager->followed[i].track;
    }
    Decision *decision = manager->decision;
    decision_make(&manager->host, manager->facts, manager->tracks, n, &manager->params, now_us, decision);
    if (manager->on_decision)
        manager->on_decision(&manager->host, manager->facts, decision, now_us, manager->on_decision_data);
    for (guint i = 0; i < n; i++)
        act(manager, i, &wishes[i]);
    for (guint i = 0; i < n; i++)
        wishes[i].ask = wants_fresh(manager, i);
    const PlanTotals *totals = &decision->totals;
    bool moving = totals->someone_waits || totals->reclaiming_bytes > 0 || totals->granted_bytes > 0;
    return (BeatEnd){moving ? manager->scenario->fast_beat_us : manager->scenario->beat_us};
}

static void replied(Manager *manager, guint i, Reply reply, int64_t now_us)
{
    Followed *followed = &manager->followed[i];
    bool same_boot = followed->facts.boot_count == followed->boot_count;
    followed->busy = false;
    if (reply == REPLY_TIMEOUT) {
        followed->target_bytes = u64_max(followed->target_bytes, followed->row.target_bytes);
        followed->retry_us = now_us + RETRY_US;
        return;
    }
    if (!same_boot)
        return;
    followed->target_bytes = followed->row.target_bytes;
    plan_carried_out(&followed->track.move, &followed->facts, &followed->row, now_us);
    if (followed->row.move == MOVE_NUDGE)
        followed->nudged_us = now_us;
}

/* Residency costs nothing to read: a guest that touches much, near the size of its balloon, is asked at once. */
static bool watch(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    bool burst = false;
    for (guint i = 0; i < n; i++) {
        Followed *followed = &manager->followed[i];
        uint64_t touched = u64_sub_sat(seen[i].resident_bytes, followed->sample_resident_bytes);
        if (touched < WATCH_GROWTH_BYTES || seen[i].spec->fixed != FIXED_NO)
            continue;
        followed->sample_resident_bytes = seen[i].resident_bytes;
        wishes[i].ask = burst = true;
    }
    return burst;
}

static void release(Manager *manager)
{
    g_free(manager->followed);
    g_free(manager->facts);
    g_free(manager->tracks);
    decision_free(manager->decision);
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
