/*
 * MoM: the rule of oVirt's Memory Overcommitment Manager (doc/balloon.rules), in this project's own words. While less
 * than a fifth of the host is free every guest shrinks, by at most 5 % a round; otherwise every guest grows by 5 %.
 * Figures are averages over the last ten samples. Shares and needs of single guests do not enter.
 */
#include <math.h>
#include <string.h>
#include "base/u64.h"
#include "sim/manager.h"

#define SAMPLE_US       INT64_C(5000000) /* host and guest monitor interval */
#define SAMPLES_PER_ACT 2                /* policy interval 10 s */
#define HISTORY         10               /* sample-history-length */
#define PRESSURE        0.20             /* pressure_threshold */
#define CRITICAL        0.05             /* pressure_critical */
#define GUEST_FREE      0.20             /* min_guest_free_percent */
#define MAX_CHANGE      0.05             /* max_balloon_change_percent */
#define MIN_CHANGE      0.0025           /* min_balloon_change_percent */

typedef struct {
    double balloon[HISTORY], unused[HISTORY];
} Past;

struct Manager {
    const Scenario *scenario;
    Past *past;
    double host_free[HISTORY];
    guint n_samples;
};

static Manager *make(const Scenario *scenario, uint64_t *promises)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->past = g_new0(Past, scenario->guests->len);
    return manager;
}

static double mean(const double *values, guint n_samples)
{
    guint n = MIN(n_samples, HISTORY);
    double sum = 0;
    for (guint i = 0; i < n; i++)
        sum += values[i];
    return n > 0 ? sum / n : 0;
}

static bool managed(const Seen *seen)
{
    return seen->spec->fixed == FIXED_NO && seen->responsive && seen->update_s > 0;
}

static void take_samples(Manager *manager, const Seen *seen, guint n)
{
    guint slot = manager->n_samples % HISTORY;
    double used = 0;
    for (guint i = 0; i < n; i++) {
        used += (double)(seen[i].resident_bytes + seen[i].spec->overhead_bytes);
        manager->past[i].balloon[slot] = (double)seen[i].balloon_bytes;
        manager->past[i].unused[slot] = seen[i].free_bytes == UNKNOWN ? 0 : (double)seen[i].free_bytes;
    }
    manager->host_free[slot] = fmax(0, (double)manager->scenario->pool_bytes - used);
    manager->n_samples++;
}

static uint64_t next_size(const Manager *manager, const Seen *seen, const Past *past, double host_free)
{
    double now = (double)seen->balloon_bytes;
    double used = mean(past->balloon, manager->n_samples) - mean(past->unused, manager->n_samples);
    double next;
    if (host_free < PRESSURE) {
        double guest_free =
            host_free <= CRITICAL ? host_free - CRITICAL : GUEST_FREE * (host_free / PRESSURE);
        double low = fmin((double)seen->spec->minimum_bytes, used + guest_free * now);
        next = fmax(now * (1 - MAX_CHANGE), low);
        if (next > now)
            return 0;
    } else {
        double low = fmin((double)seen->spec->minimum_bytes, used + GUEST_FREE * now);
        next = fmax(fmin(now * (1 + MAX_CHANGE), (double)seen->spec->maximum_bytes), low);
    }
    return fabs(next - now) > MIN_CHANGE * now ? (uint64_t)fmax(next, (double)MIB) : 0;
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    take_samples(manager, seen, n);
    double host_free = mean(manager->host_free, manager->n_samples) / (double)manager->scenario->pool_bytes;
    for (guint i = 0; i < n && manager->n_samples % SAMPLES_PER_ACT == 0; i++)
        if (managed(&seen[i]))
            wishes[i].target_bytes = next_size(manager, &seen[i], &manager->past[i], host_free);
    return (BeatEnd){SAMPLE_US};
}

static void release(Manager *manager)
{
    g_free(manager->past);
    g_free(manager);
}

const ManagerOps MANAGER_MOM = {
    .name = "mom",
    .title = "all shrink or all grow by 5 % a round (oVirt MoM)",
    .make = make,
    .beat = beat,
    .free = release,
};
