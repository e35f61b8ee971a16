/* What the policy is to see of one server: the newest facts, and what they leave open read in the way that holds more. */
#include <string.h>
#include "base/u64.h"
#include "engine/tracked.h"

/* A word may have waited to be read by so much without anybody having noticed. */
#define SAID_EARLY_US INT64_C(1000000)

uint64_t tracked_bound(const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    if (!latest->unlimited)
        return latest->maximum_bytes;
    uint64_t held = latest->resident_bytes == UNKNOWN ? 0 : latest->resident_bytes;
    return u64_min(u64_max(held, PAGE_BYTES), latest->maximum_bytes);
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

uint64_t tracked_resident(const Tracked *tracked, uint64_t rss_bytes, uint64_t overhead_bytes)
{
    const BackendServer *latest = tracked->latest;
    if (rss_bytes == UNKNOWN)
        return UNKNOWN;
    /* QEMU grows between two measurements: what is beyond all of the guest's RAM is its own, see surely_overhead(); and what is
     * beyond the guest's share may be, as far as it is counted as overhead already. */
    uint64_t resident = u64_sub_sat(rss_bytes, measured_overhead(tracked));
    uint64_t given = u64_max(latest->balloon_bytes, tracked_target_at_most(tracked));
    if (resident > given)
        resident = u64_max(given, u64_sub_sat(rss_bytes, overhead_bytes));
    return u64_min(resident, latest->maximum_bytes);
}

/* What can be no guest's RAM, whatever was measured or configured. */
static uint64_t surely_overhead(const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    bool known = latest->pid > 0 && latest->resident_bytes != UNKNOWN;
    return known ? u64_sub_sat(latest->resident_bytes, latest->maximum_bytes) : 0;
}

uint64_t tracked_overhead(const Tracked *tracked, const TrackedDefaults *defaults)
{
    if (tracked->latest->kind == SERVER_KIND_LXC)
        return 0; /* there is no process that emulates a machine */
    uint64_t set = size_setting_resolve(&defaults->overhead, tracked->latest->maximum_bytes,
                                        tracked->overhead_bound_bytes);
    return u64_max(set, surely_overhead(tracked));
}

static HoldReason hold_now(const Tracked *tracked, FixedReason fixed)
{
    const BackendServer *latest = tracked->latest;
    /* First of all, since it decides what is counted: a guest that boots may have all its memory, also when its QEMU
     * hangs or is paused before it is through. */
    if (!tracked->settled && fixed == FIXED_NO)
        return tracked->was_reset ? HOLD_REBOOTING : HOLD_STARTING;
    if (!latest->responsive)
        return HOLD_UNRESPONSIVE;
    if (latest->power == POWER_PAUSED)
        return HOLD_PAUSED;
    if (latest->power == POWER_MIGRATING)
        return HOLD_MIGRATING;
    return HOLD_NO;
}

/* A look between two observations is newer than the last of them. */
static uint64_t resident_now(const Tracked *tracked)
{
    const BurstState *burst = &tracked->track.burst;
    bool looked = burst->boot_count == tracked->boot_count && burst->looked_us > tracked->taken_us;
    if (looked && burst->looked_bytes != UNKNOWN)
        return burst->looked_bytes;
    return tracked->latest->pid > 0 ? tracked->latest->resident_bytes : UNKNOWN;
}

/* Nobody can have waited for longer than has passed since the first word, whatever a guest says. */
static void add_stall(Tracked *tracked, const AgentSample *sample, int64_t said_us)
{
    if (sample->psi_some_us == UNKNOWN)
        return;
    gboolean same_boot = strcmp(tracked->agent_sample.boot, sample->boot) == 0;
    uint64_t before = same_boot ? tracked->agent_sample.psi_some_us : 0;
    /* What came before the first word is not ours to count. */
    if (tracked->stalled_us == UNKNOWN) {
        tracked->stalled_us = 0;
        tracked->stall_from_us = said_us;
        return;
    }
    int64_t since_us = MAX(said_us, tracked->agent_us) - tracked->stall_from_us;
    uint64_t grown = u64_add_sat(tracked->stalled_us, u64_sub_sat(sample->psi_some_us, before));
    tracked->stalled_us = u64_min(grown, (uint64_t)(MAX(since_us, 0) + SAID_EARLY_US));
}

void tracked_hear(Tracked *tracked, const AgentSample *sample, int64_t said_us)
{
    add_stall(tracked, sample, said_us);
    tracked->agent_sample = *sample;
    tracked->agent_us = MAX(tracked->agent_us, said_us);
    /* Its balloon may have moved since the last look, as far as to what was asked for. */
    tracked->agent_balloon_bytes = u64_max(tracked->latest->balloon_bytes, tracked_target_at_most(tracked));
}

/* Of two readings of one counter, the later: statistics are up to two seconds old when they are seen, nobody knows how
 * much, and a counter that seems to go back and forth would seem to leap. */
static uint64_t later(uint64_t a, uint64_t b)
{
    if (a == UNKNOWN || b == UNKNOWN)
        return a == UNKNOWN ? b : a;
    return u64_max(a, b);
}

/* The agent's word takes the place of older statistics: the same counters of the same kernel, heard by another way. */
static void add_agent(const Tracked *tracked, ServerFacts *facts)
{
    const AgentSample *said = &tracked->agent_sample;
    if (tracked->agent_us == 0)
        return;
    facts->refaults = said->refaults;
    facts->stall_us = said->psi_some_us;
    facts->told_us = tracked->agent_us;
    facts->swap_in_bytes = later(facts->swap_in_bytes, said->swap_in_bytes);
    facts->swap_out_bytes = later(facts->swap_out_bytes, said->swap_out_bytes);
    facts->major_faults = later(facts->major_faults, said->major_faults);
    if (tracked->agent_us <= tracked->sample_us || !tracked->booted)
        return;
    facts->sample_us = tracked->agent_us;
    facts->sample_balloon_bytes = u64_min(tracked->agent_balloon_bytes, facts->maximum_bytes);
    facts->available_bytes = said->available_bytes;
    facts->unused_bytes = said->free_bytes;
}

static FixedReason fixed_now(const Tracked *tracked, int64_t now_us)
{
    if (tracked->latest->fixed != FIXED_NO)
        return tracked->latest->fixed;
    gboolean waits =
        tracked->latest->power == POWER_RUNNING && tracked->latest->responsive && !tracked->booted;
    return waits && now_us - tracked->boot_us > tracked->times->driver_grace_us ? FIXED_NO_DRIVER : FIXED_NO;
}

/* Counted at the host's memory, which is all that is known of how far it can grow, it would leave nobody anything. Where it
 * grows at the others' cost, they are reclaimed from, as from any who exceed the pool. */
static void count_as_held(ServerFacts *facts, uint64_t held_bytes)
{
    facts->maximum_bytes = facts->minimum_bytes = held_bytes;
    facts->balloon_bytes = facts->target_bytes = facts->sample_balloon_bytes = held_bytes;
    facts->available_bytes = facts->available_bytes == UNKNOWN ? UNKNOWN : 0;
    facts->unused_bytes = facts->available_bytes;
}

void tracked_facts(Tracked *tracked, const TrackedDefaults *defaults, gboolean reachable, int64_t now_us)
{
    const BackendServer *latest = tracked->latest;
    gboolean known = tracked->sample_us != 0;
    FixedReason fixed = fixed_now(tracked, now_us);
    uint64_t overhead = tracked_overhead(tracked, defaults);
    uint64_t resident = tracked_resident(tracked, resident_now(tracked), overhead);
    /* A guest that boots may be nudged, but not while nothing can come of it. */
    gboolean mute = !latest->responsive || latest->power != POWER_RUNNING;
    gboolean unclear = tracked->unsure || tracked->adopting || tracked->turned_bytes != 0;
    gboolean waits = unclear || now_us < tracked->retry_us;
    tracked->facts = (ServerFacts){
        .maximum_bytes = latest->maximum_bytes,
        .minimum_bytes = tracked_minimum(tracked, defaults),
        .weight = tracked_weight(tracked, defaults),
        .fixed = fixed,
        .hold = hold_now(tracked, fixed),
        .balloon_bytes = latest->balloon_bytes,
        .balloon_us = tracked->balloon_us,
        .target_bytes = tracked_target_at_most(tracked),
        .resident_bytes = resident,
        .overhead_bytes = overhead,
        .boot_count = tracked->boot_count,
        .period_us = latest->stats_period_us,
        .sample_us = tracked->sample_us,
        .sample_balloon_bytes = tracked->sample_balloon_bytes,
        .available_bytes = known ? latest->available_bytes : UNKNOWN,
        .unused_bytes = known ? latest->free_bytes : UNKNOWN,
        .swap_in_bytes = latest->swap_in_bytes,
        .swap_out_bytes = latest->swap_out_bytes,
        .major_faults = latest->major_faults,
        .refaults = UNKNOWN,
        .stall_us = UNKNOWN,
        .deflates_on_oom = latest->deflates_on_oom,
        .booted = tracked->booted,
        .idle = tracked->processor_at_us != 0 && now_us >= tracked->awake_until_us,
        .works = tracked->processor_at_us == 0 || now_us < tracked->works_until_us,
        .busy = tracked->busy || waits || mute || !reachable,
    };
    add_agent(tracked, &tracked->facts);
    if (latest->unlimited)
        count_as_held(&tracked->facts, tracked_bound(tracked));
}

const char *tracked_state(const Tracked *tracked)
{
    static const char *const names[HOLD_N] = {
        [HOLD_STARTING] = "starting",   [HOLD_REBOOTING] = "rebooting",       [HOLD_PAUSED] = "paused",
        [HOLD_MIGRATING] = "migrating", [HOLD_UNRESPONSIVE] = "unresponsive",
    };
    if (!tracked_counts(tracked))
        return "off";
    HoldReason hold = hold_now(tracked, tracked->decided ? tracked->facts.fixed : tracked->latest->fixed);
    return names[hold] ? names[hold] : "running";
}
