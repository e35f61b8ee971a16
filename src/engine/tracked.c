/* Follows one server from observation to observation. */
#include "engine/tracked.h"
#include <string.h>
#include "base/u64.h"
#include "policy/params.h"

#define SECOND_US INT64_C(1000000)
/* A guest whose driver has not answered by then has none: Linux loads it in seconds, a large Windows in a minute. */
#define DRIVER_GRACE_US (INT64_C(90) * SECOND_US)
/* After its driver's first answer a guest is still starting its services: their first use is not disturbed. */
#define BOOT_SETTLE_US (INT64_C(3) * SECOND_US)
/* A nudge is answered in milliseconds; a guest that has not by then was not listening yet. */
#define NUDGE_RETRY_US (INT64_C(5) * SECOND_US)
/* Balloons move by 1 MiB every few milliseconds: one that stands this long has arrived. */
#define ADOPT_STILL_US   (INT64_C(1500) * 1000)
#define ADOPT_NEAR_BYTES MIB
/* Statistics this old say that a guest was running before we came. */
#define ADOPT_FRESH_S 5

Tracked *tracked_new(Backend *backend)
{
    Tracked *tracked = g_new0(Tracked, 1);
    tracked->backend = backend;
    return tracked;
}

void tracked_free(Tracked *tracked)
{
    if (!tracked)
        return;
    backend_server_free(tracked->latest);
    g_free(tracked);
}

static gboolean known_target(const Tracked *tracked)
{
    return tracked->target_bytes != 0;
}

/* A start or reset: its statistics are those of the boot before, until new ones come. */
static void begin_boot(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    gboolean first_sight = tracked->latest == NULL;
    gboolean ran_before = !first_sight && tracked->latest->power != POWER_OFF;
    gboolean already_up = first_sight && facts->guest_update_s != UNKNOWN && facts->guest_update_s > 0 &&
                          (int64_t)facts->guest_update_s + ADOPT_FRESH_S >= wall_s;
    tracked->boot_count = facts->boot_count;
    tracked->boot_us = now_us;
    tracked->boot_wall_s = wall_s;
    tracked->booted = tracked->settled = already_up;
    tracked->booted_us = already_up ? now_us : 0;
    tracked->was_reset = ran_before && facts->balloon_bytes < facts->maximum_bytes;
    tracked->nudged_us = 0;
    tracked->adopting = already_up;
    tracked->adopted_us = now_us;
    tracked->adopt_balloon_bytes = facts->balloon_bytes;
    tracked->sample_us = 0;
    tracked->sample_balloon_bytes = 0;
    tracked->short_since_us = 0;
    tracked->decided = FALSE;
    if (!ran_before || !known_target(tracked))
        tracked->target_bytes = facts->balloon_bytes;
    if (!already_up) {
        tracked->last_update_s = facts->guest_update_s;
        tracked->last_available_bytes = facts->available_bytes;
        tracked->last_free_bytes = facts->free_bytes;
    }
}

/* Statistics carry whole seconds only; a change in the figures themselves tells of a fresh answer within one. */
static gboolean is_fresh_sample(const Tracked *tracked, const BackendServer *facts)
{
    if (facts->available_bytes == UNKNOWN || facts->guest_update_s == 0)
        return FALSE;
    if (!tracked->booted && facts->guest_update_s != UNKNOWN &&
        (int64_t)facts->guest_update_s <= tracked->boot_wall_s)
        return FALSE;
    return facts->guest_update_s != tracked->last_update_s ||
           facts->available_bytes != tracked->last_available_bytes ||
           facts->free_bytes != tracked->last_free_bytes || tracked->sample_us == 0;
}

static void take_sample(Tracked *tracked, const BackendServer *facts, int64_t now_us)
{
    /* The sample lies between the last look and this one: the larger balloon size is the safe one to pair it with. */
    tracked->sample_balloon_bytes = u64_max(facts->balloon_bytes, tracked->last_balloon_bytes);
    tracked->sample_us = now_us;
    tracked->last_update_s = facts->guest_update_s;
    tracked->last_available_bytes = facts->available_bytes;
    tracked->last_free_bytes = facts->free_bytes;
    if (!tracked->booted) {
        tracked->booted = TRUE;
        tracked->booted_us = now_us;
    }
}

/* A daemon that finds a balloon on its way does not know whereto: it follows until it stands, then that is the target. */
static void adopt(Tracked *tracked, const BackendServer *facts, int64_t now_us)
{
    uint64_t low = u64_min(facts->balloon_bytes, tracked->adopt_balloon_bytes);
    uint64_t high = u64_max(facts->balloon_bytes, tracked->adopt_balloon_bytes);
    tracked->target_bytes = facts->balloon_bytes;
    if (high - low > ADOPT_NEAR_BYTES) {
        tracked->adopted_us = now_us;
        tracked->adopt_balloon_bytes = facts->balloon_bytes;
    } else if (now_us - tracked->adopted_us >= ADOPT_STILL_US) {
        tracked->adopting = FALSE;
    }
}

static void advance_boot(Tracked *tracked, const BackendServer *facts, int64_t now_us)
{
    if (tracked->settled || !tracked->booted)
        return;
    if (!tracked->was_reset) {
        tracked->settled = now_us - tracked->booted_us >= BOOT_SETTLE_US;
        return;
    }
    if (tracked->nudged_us == 0)
        return;
    uint64_t off = facts->balloon_bytes > tracked->target_bytes
                       ? facts->balloon_bytes - tracked->target_bytes
                       : tracked->target_bytes - facts->balloon_bytes;
    if (off == 0 && !tracked->busy) {
        tracked->settled = TRUE;
    } else if (now_us - tracked->nudged_us > NUDGE_RETRY_US &&
               facts->balloon_bytes == tracked->last_balloon_bytes) {
        tracked->nudged_us = 0;
        tracked->track.move.last_up_us = tracked->track.move.last_down_us = 0;
    }
}

uint64_t tracked_take(Tracked *tracked, BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    gboolean new_boot = !tracked->latest || tracked->boot_count != facts->boot_count ||
                        (tracked->latest->power == POWER_OFF && facts->power != POWER_OFF);
    if (new_boot) {
        begin_boot(tracked, facts, now_us, wall_s);
        tracked->last_balloon_bytes = facts->balloon_bytes;
    }
    uint64_t returned = 0;
    if (!new_boot && tracked->target_bytes < tracked->last_balloon_bytes)
        returned =
            u64_sub_sat(tracked->last_balloon_bytes, u64_max(facts->balloon_bytes, tracked->target_bytes));
    if (facts->power == POWER_OFF)
        tracked->decided = FALSE;
    if (facts->responsive && is_fresh_sample(tracked, facts))
        take_sample(tracked, facts, now_us);
    if (tracked->adopting)
        adopt(tracked, facts, now_us);
    advance_boot(tracked, facts, now_us);
    tracked->last_balloon_bytes = facts->balloon_bytes;
    backend_server_free(tracked->latest);
    tracked->latest = facts;
    tracked->seen = TRUE;
    return returned;
}

gboolean tracked_counts(const Tracked *tracked)
{
    return tracked->latest && tracked->latest->power != POWER_OFF;
}

uint64_t tracked_minimum(const Tracked *tracked, const TrackedDefaults *defaults)
{
    uint64_t maximum = tracked->latest->maximum_bytes;
    uint64_t minimum = tracked->settings.has_minimum
                           ? tracked->settings.minimum_bytes
                           : size_setting_resolve(&defaults->minimum, maximum, maximum / 4);
    return u64_min(minimum, maximum);
}

uint32_t tracked_weight(const Tracked *tracked, const TrackedDefaults *defaults)
{
    return MAX(1, tracked->settings.has_weight ? tracked->settings.weight : defaults->weight);
}

static uint64_t measured_overhead(const Tracked *tracked)
{
    return tracked->latest->overhead_bytes == UNKNOWN ? TRACKED_OVERHEAD_GUESS_BYTES
                                                      : tracked->latest->overhead_bytes;
}

uint64_t tracked_overhead(const Tracked *tracked, const TrackedDefaults *defaults)
{
    return size_setting_resolve(&defaults->overhead, tracked->latest->maximum_bytes,
                                measured_overhead(tracked));
}

static HoldReason hold_now(const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    if (!latest->responsive)
        return HOLD_UNRESPONSIVE;
    if (latest->power == POWER_PAUSED)
        return HOLD_PAUSED;
    if (latest->power == POWER_MIGRATING)
        return HOLD_MIGRATING;
    if (!tracked->settled)
        return tracked->was_reset ? HOLD_REBOOTING : HOLD_STARTING;
    return HOLD_NO;
}

static FixedReason fixed_now(const Tracked *tracked, int64_t now_us)
{
    if (tracked->latest->fixed != FIXED_NO)
        return tracked->latest->fixed;
    gboolean waits =
        tracked->latest->power == POWER_RUNNING && tracked->latest->responsive && !tracked->booted;
    return waits && now_us - tracked->boot_us > DRIVER_GRACE_US ? FIXED_NO_DRIVER : FIXED_NO;
}

void tracked_facts(Tracked *tracked, const TrackedDefaults *defaults, gboolean reachable, int64_t now_us)
{
    const BackendServer *latest = tracked->latest;
    gboolean known = tracked->sample_us != 0;
    uint64_t resident = UNKNOWN;
    if (latest->pid > 0 && latest->resident_bytes != UNKNOWN)
        resident = u64_sub_sat(latest->resident_bytes, measured_overhead(tracked));
    tracked->facts = (ServerFacts){
        .maximum_bytes = latest->maximum_bytes,
        .minimum_bytes = tracked_minimum(tracked, defaults),
        .weight = tracked_weight(tracked, defaults),
        .fixed = fixed_now(tracked, now_us),
        .hold = hold_now(tracked),
        .balloon_bytes = latest->balloon_bytes,
        .target_bytes =
            tracked->busy ? u64_max(tracked->target_bytes, tracked->asked_bytes) : tracked->target_bytes,
        .resident_bytes = resident,
        .overhead_bytes = tracked_overhead(tracked, defaults),
        .boot_count = tracked->boot_count,
        .sample_us = tracked->sample_us,
        .sample_balloon_bytes = tracked->sample_balloon_bytes,
        .available_bytes = known ? latest->available_bytes : UNKNOWN,
        .swap_in_bytes = latest->swap_in_bytes,
        .swap_out_bytes = latest->swap_out_bytes,
        .major_faults = latest->major_faults,
        .refaults = UNKNOWN,
        .stall_us = UNKNOWN,
        .deflates_on_oom = latest->deflates_on_oom,
        .booted = tracked->booted,
        .busy = tracked->busy || tracked->adopting || !reachable || now_us < tracked->retry_us,
    };
}

const char *tracked_state(const Tracked *tracked)
{
    static const char *const names[HOLD_N] = {
        [HOLD_STARTING] = "starting",   [HOLD_REBOOTING] = "rebooting",       [HOLD_PAUSED] = "paused",
        [HOLD_MIGRATING] = "migrating", [HOLD_UNRESPONSIVE] = "unresponsive",
    };
    if (!tracked_counts(tracked))
        return "off";
    HoldReason hold = hold_now(tracked);
    if (tracked->latest->fixed != FIXED_NO && (hold == HOLD_STARTING || hold == HOLD_REBOOTING))
        return "running";
    return names[hold] ? names[hold] : "running";
}
