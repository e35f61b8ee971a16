/*
 * Proportional: xapi squeezed's rule. Each server stands at the same fraction of the way from its dynamic minimum to
 * its dynamic maximum, so that all together fill the host; nobody's demand is asked. Frees first, then allocates; a
 * server that makes no progress is left out.
 */
#include "base/u64.h"
#include "sim/manager.h"

/* xapi-project/squeezed: the balancer's period. */
#define BEAT_US INT64_C(10000000)
/* squeezed: "if no progress for 5 s, the VM is uncooperative" and counts with what it holds. */
#define UNCOOPERATIVE_US INT64_C(5000000)
/* It looks this often while balloons move. */
#define MOVING_US INT64_C(1000000)

typedef struct {
    uint64_t last_bytes;
    int64_t progress_us;
    uint64_t target_bytes;
} Watched;

struct Manager {
    const Scenario *scenario;
    Watched *watched;
};

static Manager *make(const Scenario *scenario, uint64_t *promises)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->watched = g_new0(Watched, scenario->guests->len);
    return manager;
}

static bool cooperative(Watched *watched, const Seen *seen, int64_t now_us)
{
    bool arrived = watched->target_bytes == 0 || seen->balloon_bytes <= watched->target_bytes + MIB;
    if (arrived || seen->balloon_bytes + MIB < watched->last_bytes || watched->progress_us == 0) {
        watched->last_bytes = seen->balloon_bytes;
        watched->progress_us = now_us;
    }
    return now_us - watched->progress_us < UNCOOPERATIVE_US;
}

/* The common fraction: (host - sum of minima) / (sum of ranges). */
static double fraction(Manager *manager, const Seen *seen, guint n, const bool *left_out)
{
    double room = (double)u64_sub_sat(manager->scenario->pool_bytes, scenario_slack(manager->scenario)),
           range = 0;
    for (guint i = 0; i < n; i++) {
        const GuestSpec *spec = seen[i].spec;
        room -= (double)spec->overhead_bytes;
        if (left_out[i]) {
            room -= (double)(spec->fixed != FIXED_NO ? spec->maximum_bytes : seen[i].balloon_bytes);
            continue;
        }
        room -= (double)spec->minimum_bytes;
        range += (double)(spec->maximum_bytes - spec->minimum_bytes);
    }
    return range > 0 ? CLAMP(room / range, 0, 1) : 0;
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    g_autofree bool *left_out = g_new0(bool, n);
    for (guint i = 0; i < n; i++)
        left_out[i] = seen[i].spec->fixed != FIXED_NO || !seen[i].responsive ||
                      !cooperative(&manager->watched[i], &seen[i], now_us);
    double gamma = fraction(manager, seen, n, left_out);
    g_autofree uint64_t *ideal = g_new0(uint64_t, n);
    bool freeing = false;
    for (guint i = 0; i < n; i++) {
        const GuestSpec *spec = seen[i].spec;
        ideal[i] =
            spec->minimum_bytes + (uint64_t)(gamma * (double)(spec->maximum_bytes - spec->minimum_bytes));
        freeing = freeing || (!left_out[i] && seen[i].balloon_bytes > ideal[i] + MIB);
    }
    for (guint i = 0; i < n; i++) {
        if (left_out[i] || (freeing && ideal[i] >= seen[i].balloon_bytes))
            continue;
        wishes[i].target_bytes = manager->watched[i].target_bytes = ideal[i];
    }
    return (BeatEnd){freeing ? MOVING_US : BEAT_US};
}

static void release(Manager *manager)
{
    g_free(manager->watched);
    g_free(manager);
}

const ManagerOps MANAGER_PROPORTIONAL = {
    .name = "proportional",
    .title = "the same fraction between minimum and maximum (xapi squeezed)",
    .make = make,
    .beat = beat,
    .free = release,
};
