/* Follows one server from observation to observation. */
#include "engine/tracked.h"
#include <unistd.h>
#include "backend/hostinfo.h"
#include "base/u64.h"

#define SECOND_US          INT64_C(1000000)
#define TARGET_GRAIN_BYTES (4 * KIB)
/* Overhead is counted as the most it was in the last ten minutes, and some: seen to grow by 8-12 MiB under load. */
#define OVERHEAD_MARGIN_BYTES (16 * MIB)
#define OVERHEAD_MEMORY_US    (INT64_C(600) * 1000 * 1000)
/* Balloons move by 1 MiB every few milliseconds: less than this between two looks is standing still. */
#define ADOPT_NEAR_BYTES MIB
/* A balloon that moves is read more often than this. */
#define READ_AGAIN_US INT64_C(1000000)
/* Statistics this old say that a guest was running before we came. */
#define ADOPT_FRESH_S 5
/* One that nobody has asked for a while answers at once when it is up. One that boots hardly ends that within this. */
#define UNASKED_US (2 * SECOND_US)
/* Doubled so often, the pause after a refusal grows no more. */
#define REFUSALS_DOUBLED 4
TrackedTimes tracked_times_default(void)
{
    return (TrackedTimes){
        .wall_second_us = SECOND_US,
        /* Linux loads the driver in seconds, a large Windows in a minute. */
        .driver_grace_us = 90 * SECOND_US,
        /* The guest is still starting its services: their first use is not disturbed. */
        .boot_settle_us = 3 * SECOND_US,
        /* A nudge is answered in milliseconds; a guest that has not by then was not listening yet. */
        .nudge_retry_us = 5 * SECOND_US,
        .adopt_still_us = SECOND_US * 3 / 2,
        /* Ten periods of statistics, or five where they come half as often. */
        .adopt_silent_us = 10 * SECOND_US,
        .retry_us = SECOND_US,
    };
}

Tracked *tracked_new(Backend *backend, const TrackedTimes *times)
{
    Tracked *tracked = g_new0(Tracked, 1);
    tracked->backend = backend;
    tracked->times = times;
    tracked->statm_fd = tracked->stat_fd = -1;
    tracked->read_at_us = UNKNOWN;
    tracked->stalled_us = UNKNOWN;
    tracked->chronicled_stalled_us = UNKNOWN;
    return tracked;
}

void tracked_follow(Tracked *tracked, const char *proc, int pid)
{
    if (tracked->statm_fd >= 0)
        close(tracked->statm_fd);
    if (tracked->stat_fd >= 0)
        close(tracked->stat_fd);
    tracked->statm_fd = process_open_statm(proc, pid);
    tracked->has_clock = process_find_clock(proc, pid, &tracked->clock);
    tracked->stat_fd = tracked->has_clock ? -1 : process_open_stat(proc, pid);
    tracked->statm_pid = pid;
    tracked->processor_at_us = 0;
    tracked->still_since_us = 0;
    tracked->still = FALSE;
    tracked->read_at_us = UNKNOWN;
}

void tracked_free(Tracked *tracked)
{
    if (!tracked)
        return;
    tracked_follow(tracked, "", 0);
    agent_channel_free(tracked->agent);
    relief_clear(&tracked->relief);
    backend_server_free(tracked->latest);
    g_free(tracked);
}

/* Facts that contradict each other are read in the way that holds more. */
static void sanitize(BackendServer *facts)
{
    if (facts->power == POWER_OFF)
        return;
    if (facts->balloon_bytes == UNKNOWN)
        facts->balloon_bytes = facts->maximum_bytes;
    facts->maximum_bytes = u64_max(facts->maximum_bytes, facts->balloon_bytes);
}

static void begin_adopting(Tracked *tracked, uint64_t balloon_bytes, int64_t now_us)
{
    tracked->adopting = TRUE;
    tracked->adopt_answered = FALSE;
    tracked->adopting_us = tracked->adopted_us = now_us;
    tracked->adopt_balloon_bytes = balloon_bytes;
}

static void wait_for_boot(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    tracked->boot_us = now_us;
    tracked->boot_wall_s = wall_s;
    tracked->booted = tracked->settled = FALSE;
    tracked->booted_us = tracked->nudged_us = tracked->sample_us = tracked->sample_before_us = 0;
    tracked->last_update_s = facts->guest_update_s;
    tracked->last_available_bytes = facts->available_bytes;
    tracked->last_free_bytes = facts->free_bytes;
}

/* What is in force now? A started QEMU has what it shows. A reset one keeps its target, but one with all of its memory
 * may as well have been started anew between two looks: then all of it counts until it has been asked for. */
static void begin_target(Tracked *tracked, const BackendServer *facts, gboolean ran_before, int64_t now_us)
{
    tracked->refusals = 0;
    tracked->retry_us = 0;
    tracked->turned_bytes = 0;
    if (!ran_before || facts->power == POWER_OFF) {
        tracked->target_bytes = facts->balloon_bytes;
        tracked->unsure = FALSE;
        tracked->inherited_bytes = 0;
    } else if (facts->balloon_bytes >= facts->maximum_bytes &&
               tracked->target_bytes != facts->balloon_bytes) {
        tracked_uncertain(tracked, MOVE_NUDGE, facts->balloon_bytes, now_us);
    }
}

/* A start or reset: its statistics are those of the boot before, until new ones come. */
static void begin_boot(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    gboolean first_sight = tracked->latest == NULL;
    gboolean ran_before = !first_sight && tracked->latest->power != POWER_OFF;
    gboolean already_up = first_sight && facts->power != POWER_OFF && facts->guest_update_s != UNKNOWN &&
                          facts->guest_update_s > 0 &&
                          (int64_t)facts->guest_update_s + ADOPT_FRESH_S >= wall_s;
    tracked->boot_count = facts->boot_count;
    tracked->was_reset = ran_before && facts->balloon_bytes < facts->maximum_bytes;
    tracked->adopting = FALSE;
    tracked->unasked = first_sight && facts->power == POWER_RUNNING && !already_up &&
                       facts->guest_update_s != UNKNOWN && facts->guest_update_s > 0;
    relief_clear(&tracked->relief);
    tracked->sample_balloon_bytes = 0;
    tracked->agent_us = 0;
    tracked->decided = FALSE;
    wait_for_boot(tracked, facts, now_us, wall_s);
    begin_target(tracked, facts, ran_before, now_us);
    if (already_up) {
        tracked->booted = tracked->settled = TRUE;
        tracked->booted_us = now_us;
        begin_adopting(tracked, facts->balloon_bytes, now_us);
    }
}

/* Statistics carry whole seconds only; a change in the figures themselves tells of a fresh answer within one. */
static gboolean is_fresh_sample(const Tracked *tracked, const BackendServer *facts)
{
    if (facts->available_bytes == UNKNOWN || facts->guest_update_s == 0)
        return FALSE;
    gboolean changed = facts->guest_update_s != tracked->last_update_s ||
                       facts->available_bytes != tracked->last_available_bytes ||
                       facts->free_bytes != tracked->last_free_bytes;
    /* What comes in the second in which we came may be older than that; one that nobody asked says nothing by itself. */
    int64_t first_s = tracked->boot_wall_s + (tracked->unasked ? 0 : 1);
    if (!tracked->booted && facts->guest_update_s != UNKNOWN && (int64_t)facts->guest_update_s < first_s)
        return FALSE;
    return changed || (tracked->sample_us == 0 && !tracked->unasked);
}

/* When the guest spoke, as far as whole seconds tell: not later than now, and later than the time before. */
static int64_t sampled_us(const Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    int64_t age_s = facts->guest_update_s == UNKNOWN ? 0 : wall_s - (int64_t)facts->guest_update_s;
    int64_t age_us = age_s > 1 && age_s < G_MAXINT32 ? (age_s - 1) * tracked->times->wall_second_us : 0;
    return MAX(now_us - age_us, tracked->sample_us + 1);
}

/* Counters of a guest that was reset begin at 0 again. */
static gboolean counts_anew(const Tracked *tracked, const BackendServer *facts)
{
    const BackendServer *before = tracked->latest;
    return (before->major_faults != UNKNOWN && facts->major_faults < before->major_faults) ||
           (before->swap_in_bytes != UNKNOWN && facts->swap_in_bytes < before->swap_in_bytes);
}

static void take_sample(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    /* The sample lies between the last look and this one: the larger balloon size is the safe one to pair it with. */
    tracked->sample_balloon_bytes = u64_max(facts->balloon_bytes, tracked->last_balloon_bytes);
    tracked->sample_before_us = tracked->sample_us;
    tracked->sample_us = sampled_us(tracked, facts, now_us, wall_s);
    tracked->last_update_s = facts->guest_update_s;
    tracked->last_available_bytes = facts->available_bytes;
    tracked->last_free_bytes = facts->free_bytes;
    if (tracked->booted)
        return;
    tracked->booted = TRUE;
    tracked->booted_us = now_us;
    if (tracked->unasked && now_us - tracked->boot_us <= UNASKED_US && !counts_anew(tracked, facts)) {
        tracked->settled = TRUE;
        begin_adopting(tracked, facts->balloon_bytes, now_us);
    }
}

/* A daemon that finds a balloon on its way does not know whereto: it follows until it stands, then that is the target. A
 * guest that was reset a moment ago still shows its old size, but says nothing: that one is not up. */
static void adopt(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    uint64_t low = u64_min(facts->balloon_bytes, tracked->adopt_balloon_bytes);
    uint64_t high = u64_max(facts->balloon_bytes, tracked->adopt_balloon_bytes);
    tracked->target_bytes = u64_max(facts->balloon_bytes, tracked->inherited_bytes);
    if (high - low > ADOPT_NEAR_BYTES || !facts->responsive) {
        tracked->adopted_us = now_us;
        tracked->adopt_balloon_bytes = facts->balloon_bytes;
    } else if (tracked->adopt_answered && now_us - tracked->adopted_us >= tracked->times->adopt_still_us) {
        tracked->adopting = FALSE;
    }
    if (facts->power != POWER_RUNNING || !facts->responsive)
        tracked->adopting_us = now_us; /* it cannot speak now */
    if (!tracked->adopt_answered && now_us - tracked->adopting_us >= tracked->times->adopt_silent_us) {
        tracked->adopting = FALSE;
        tracked->was_reset = facts->balloon_bytes < facts->maximum_bytes;
        wait_for_boot(tracked, facts, now_us, wall_s);
    }
}

/* Hypervisors count in pages and KiB: a target is not met to the byte. */
static gboolean arrived(uint64_t balloon_bytes, uint64_t target_bytes)
{
    return u64_max(balloon_bytes, target_bytes) - u64_min(balloon_bytes, target_bytes) < TARGET_GRAIN_BYTES;
}

/* After a reset `actual` is the old size until the guest's driver has set it again, for which it is nudged. */
static void advance_reset(Tracked *tracked, const BackendServer *facts, int64_t now_us)
{
    if (tracked->nudged_us == 0 || tracked->busy)
        return;
    gboolean in_time = now_us - tracked->nudged_us <= tracked->times->nudge_retry_us;
    if (facts->balloon_bytes != tracked->nudged_balloon_bytes) {
        /* The size is true again. When it does not come to the target, that is the policy's business. */
        tracked->settled = arrived(facts->balloon_bytes, tracked->target_bytes) || !in_time;
    } else if (!in_time) {
        tracked->nudged_us = 0;
        tracked->track.move.last_up_us = tracked->track.move.last_down_us = 0;
    }
}

static void advance_boot(Tracked *tracked, const BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    if (!tracked->booted) {
        if (facts->power != POWER_RUNNING || !facts->responsive) {
            tracked->boot_us = now_us; /* it cannot boot now: that is not its driver's fault */
            tracked->unasked = FALSE;
        }
        tracked->boot_wall_s = MIN(tracked->boot_wall_s, wall_s); /* the clock was set back */
    } else if (!tracked->settled && tracked->was_reset) {
        advance_reset(tracked, facts, now_us);
    } else if (!tracked->settled) {
        tracked->settled = now_us - tracked->booted_us >= tracked->times->boot_settle_us;
    }
}

/* What came back of what we asked for, whether or not the hypervisor has said yet that it took the request. */
static uint64_t returned_bytes(const Tracked *tracked, const BackendServer *facts)
{
    uint64_t target =
        tracked->busy ? u64_min(tracked->target_bytes, tracked->asked_bytes) : tracked->target_bytes;
    if (facts->power == POWER_OFF)
        return 0;
    return u64_sub_sat(tracked->last_balloon_bytes, u64_max(facts->balloon_bytes, target));
}

/* QEMU's own memory grows by itself, in its first minutes and with load: the account must not be surprised by it. */
static void bound_overhead(Tracked *tracked, const BackendServer *facts, gboolean new_boot, int64_t now_us)
{
    if (new_boot) {
        tracked->overhead_bound_bytes = TRACKED_OVERHEAD_GUESS_BYTES;
        tracked->overhead_bound_us = now_us;
    }
    if (facts->overhead_bytes == UNKNOWN)
        return;
    uint64_t bound = u64_add_sat(facts->overhead_bytes, OVERHEAD_MARGIN_BYTES);
    if (bound >= tracked->overhead_bound_bytes || now_us - tracked->overhead_bound_us >= OVERHEAD_MEMORY_US) {
        tracked->overhead_bound_bytes = bound;
        tracked->overhead_bound_us = now_us;
    }
}

/* It runs no more: nothing of what was asked of it can come to be. */
static void forget(Tracked *tracked)
{
    tracked->decided = tracked->adopting = tracked->unsure = FALSE;
    tracked->inherited_bytes = tracked->turned_bytes = 0;
}

/* When the balloon had the size that @facts tell. One that moves and was not looked at since is where it was: speeds are from
 * reading to reading. One that nobody looks at for long stands. */
static int64_t balloon_as_of(const Tracked *tracked, const BackendServer *facts, bool new_boot,
                             int64_t now_us)
{
    const BackendServer *before = tracked->latest;
    if (new_boot || facts->balloon_read_us == 0)
        return now_us;
    if (facts->balloon_read_us != before->balloon_read_us)
        return MAX(tracked->balloon_us, facts->balloon_read_us);
    bool stands = u64_distance(facts->balloon_bytes, tracked->target_bytes) <= ADOPT_NEAR_BYTES;
    bool fresh =
        facts->balloon_bytes != before->balloon_bytes || now_us - tracked->balloon_us >= READ_AGAIN_US;
    return stands || fresh ? now_us : tracked->balloon_us;
}

uint64_t tracked_take(Tracked *tracked, BackendServer *facts, int64_t now_us, int64_t wall_s)
{
    sanitize(facts);
    gboolean new_boot = !tracked->latest || tracked->boot_count != facts->boot_count ||
                        (tracked->latest->power == POWER_OFF && facts->power != POWER_OFF);
    uint64_t returned = 0;
    if (new_boot) {
        begin_boot(tracked, facts, now_us, wall_s);
        tracked->last_balloon_bytes = facts->balloon_bytes;
    } else {
        returned = returned_bytes(tracked, facts);
    }
    if (facts->power == POWER_OFF)
        forget(tracked);
    advance_boot(tracked, facts, now_us, wall_s);
    if (facts->responsive && is_fresh_sample(tracked, facts)) {
        take_sample(tracked, facts, now_us, wall_s);
        tracked->adopt_answered = !new_boot;
    }
    if (tracked->adopting)
        adopt(tracked, facts, now_us, wall_s);
    bound_overhead(tracked, facts, new_boot, now_us);
    tracked->last_balloon_bytes = facts->balloon_bytes;
    tracked->balloon_us = balloon_as_of(tracked, facts, new_boot, now_us);
    backend_server_free(tracked->latest);
    tracked->latest = facts;
    tracked->taken_us = now_us;
    tracked_see_turn(tracked);
    tracked->seen = TRUE;
    return returned;
}

void tracked_accepted(Tracked *tracked, Move move, uint64_t bytes, int64_t now_us)
{
    tracked_turn(tracked, bytes, now_us);
    tracked->target_bytes = bytes;
    tracked->unsure = tracked->adopting = FALSE;
    tracked->inherited_bytes = 0;
    tracked->refusals = 0;
    tracked->retry_us = 0;
    if (move == MOVE_NUDGE)
        tracked->nudged_us = now_us;
}

void tracked_refused(Tracked *tracked, int64_t now_us)
{
    tracked->retry_us = now_us + (tracked->times->retry_us << MIN(tracked->refusals, REFUSALS_DOUBLED));
    tracked->refusals++;
}

void tracked_uncertain(Tracked *tracked, Move move, uint64_t bytes, int64_t now_us)
{
    if (!tracked_counts(tracked))
        return;
    tracked->target_bytes = u64_max(tracked->target_bytes, bytes);
    tracked->unsure = TRUE;
    tracked->unsure_move = move;
    tracked_refused(tracked, now_us);
}

void tracked_inherit(Tracked *tracked, uint64_t bytes, int64_t now_us)
{
    if (bytes == 0 || !tracked_counts(tracked))
        return;
    /* Also what is no more than it holds: its balloon may be on its way down, to rise again. */
    tracked->inherited_bytes = u64_min(bytes, tracked->latest->maximum_bytes);
    tracked_uncertain(tracked, MOVE_GRANT_NEED, tracked->inherited_bytes, now_us);
}

/* The largest target that may be in force. */
static uint64_t in_force_at_most(const Tracked *tracked)
{
    return tracked->busy ? u64_max(tracked->target_bytes, tracked->asked_bytes) : tracked->target_bytes;
}

uint64_t tracked_target_at_most(const Tracked *tracked)
{
    return u64_max(in_force_at_most(tracked), tracked->turned_bytes);
}

uint64_t tracked_promised(const Tracked *tracked)
{
    if (!tracked_counts(tracked))
        return 0;
    bool raises = tracked->busy && tracked->asked_bytes > tracked->target_bytes;
    uint64_t most = in_force_at_most(tracked);
    bool rises = most > u64_add_sat(tracked->latest->balloon_bytes, ADOPT_NEAR_BYTES);
    return raises || rises || tracked->unsure ? most : 0;
}

void tracked_observe_reset(Tracked *tracked)
{
    if (tracked->was_reset && tracked->booted && tracked->nudged_us == 0)
        tracked->settled = TRUE;
}

void tracked_manage_reset(Tracked *tracked)
{
    if (tracked->was_reset && tracked->nudged_us == 0)
        tracked->settled = FALSE;
}

void tracked_adopt(Tracked *tracked, int64_t now_us)
{
    tracked->unsure = FALSE;
    tracked->inherited_bytes = 0;
    begin_adopting(tracked, tracked->latest->balloon_bytes, now_us);
    tracked->adopt_answered = TRUE;
}

gboolean tracked_wants_confirmation(const Tracked *tracked, int64_t now_us)
{
    bool known_up = !tracked->adopting || tracked->adopt_answered;
    return tracked->unsure && !tracked->busy && tracked->booted && known_up && tracked->latest->responsive &&
           tracked->latest->power == POWER_RUNNING && tracked->facts.fixed == FIXED_NO &&
           now_us >= tracked->retry_us;
}

gboolean tracked_counts(const Tracked *tracked)
{
    return tracked->latest && tracked->latest->power != POWER_OFF;
}
