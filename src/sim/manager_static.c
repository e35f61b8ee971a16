/*
 * Static shares: set once and never again. Equal shares of the pool (by weight), or shares by maximum: what an operator
 * does who trusts no balloon. Whoever needs less than its share leaves it idle.
 */
#include "base/u64.h"
#include "policy/allocation.h"
#include "sim/manager.h"

/* Once in a while, so that a server that rebooted is put back. */
#define BEAT_US INT64_C(10000000)

struct Manager {
    const Scenario *scenario;
    gboolean by_maximum;
};

static Manager *make(const Scenario *scenario, gboolean by_maximum)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->by_maximum = by_maximum;
    return manager;
}

static Manager *make_equal(const Scenario *scenario, uint64_t *promises)
{
    return make(scenario, FALSE);
}

static Manager *make_by_maximum(const Scenario *scenario, uint64_t *promises)
{
    return make(scenario, TRUE);
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    g_autofree Share *shares = g_new0(Share, n);
    g_autofree uint64_t *bytes = g_new0(uint64_t, n);
    g_autofree uint32_t *scratch = g_new0(uint32_t, n);
    uint64_t budget = manager->scenario->pool_bytes;
    for (guint i = 0; i < n; i++) {
        const GuestSpec *spec = seen[i].spec;
        uint64_t low = spec->fixed != FIXED_NO ? spec->maximum_bytes : spec->minimum_bytes;
        double weight = manager->by_maximum ? (double)spec->maximum_bytes : spec->weight;
        shares[i] = (Share){.low_bytes = low, .high_bytes = spec->maximum_bytes, .weight = weight};
        budget = u64_sub_sat(budget, spec->overhead_bytes);
    }
    allocation_fill(shares, n, budget, scratch, bytes);
    /* Those that shrink go first, so that nobody is paid before it is back. */
    bool shrinking = false;
    for (guint i = 0; i < n; i++)
        shrinking = shrinking || (seen[i].spec->fixed == FIXED_NO && seen[i].balloon_bytes > bytes[i] + MIB);
    for (guint i = 0; i < n; i++)
        if (seen[i].spec->fixed == FIXED_NO && (!shrinking || bytes[i] < seen[i].balloon_bytes))
            wishes[i].target_bytes = bytes[i];
    return (BeatEnd){shrinking ? BEAT_US / 10 : BEAT_US};
}

static void release(Manager *manager)
{
    g_free(manager);
}

const ManagerOps MANAGER_STATIC = {
    .name = "static",
    .title = "equal shares of the pool, for ever",
    .make = make_equal,
    .beat = beat,
    .free = release,
};

const ManagerOps MANAGER_STATIC_MAXIMUM = {
    .name = "static-by-maximum",
    .title = "shares of the pool by maximum, for ever",
    .make = make_by_maximum,
    .beat = beat,
    .free = release,
};
