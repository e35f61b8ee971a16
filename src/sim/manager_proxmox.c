/*
 * Proxmox: the rule of Proxmox VE's automatic ballooning (PVE/AutoBalloon.pm and pvestatd), in this project's own words.
 * The host is kept at 80 % use. What is missing or left is spread by shares between minimum and maximum, first over
 * those under pressure when there is something to give, first over the others when something is to be taken.
 */
#include <math.h>
#include "base/u64.h"
#include "sim/manager.h"

#define BEAT_US       INT64_C(10000000)     /* pvestatd's round */
#define HOST_USE      0.80                  /* "goal": 80 % of host memory */
#define STEP_BYTES    ((double)(100 * MIB)) /* at most this per server and round */
#define BAND_BYTES    ((double)(10 * MIB))  /* nothing is done for less */
#define PRESSED_SHARE 0.25                  /* under pressure: MemFree at most 25 % of its minimum */
#define MAX_PASSES    64

struct Manager {
    const Scenario *scenario;
    double *wanted; /* of this round; what each has where nothing is wanted */
    bool *chosen;
};

static Manager *make(const Scenario *scenario, uint64_t *promises)
{
    Manager *manager = g_new0(Manager, 1);
    manager->scenario = scenario;
    manager->wanted = g_new0(double, scenario->guests->len);
    manager->chosen = g_new0(bool, scenario->guests->len);
    return manager;
}

static bool managed(const Seen *seen)
{
    return seen->spec->fixed == FIXED_NO && seen->responsive && seen->update_s > 0;
}

static bool pressed(const Seen *seen)
{
    return seen->free_bytes == UNKNOWN ||
           (double)seen->free_bytes <= PRESSED_SHARE * (double)seen->spec->minimum_bytes ||
           seen->balloon_bytes < seen->spec->minimum_bytes;
}

/* One pass by shares over the chosen; returns what was moved. */
static double pass(Manager *manager, const Seen *seen, guint n, double rest, bool grow)
{
    double shares = 0, above = rest, moved = 0;
    for (guint i = 0; i < n; i++) {
        if (!manager->chosen[i])
            continue;
        above += manager->wanted[i] - (double)seen[i].spec->minimum_bytes;
        shares += seen[i].spec->weight;
    }
    for (guint i = 0; i < n && shares > 0; i++) {
        if (!manager->chosen[i])
            continue;
        const GuestSpec *spec = seen[i].spec;
        double low = (double)spec->minimum_bytes, now = (double)seen[i].balloon_bytes;
        double desired = CLAMP(low + above / shares * spec->weight, low, (double)spec->maximum_bytes);
        double next = manager->wanted[i];
        if (grow && desired > now)
            next = fmin(desired, now + STEP_BYTES);
        else if (desired < now)
            next = fmax(desired, now - STEP_BYTES);
        else
            manager->chosen[i] = false;
        moved += next - manager->wanted[i];
        manager->wanted[i] = next;
    }
    return moved;
}

/* Returns what could not be placed. */
static double spread(Manager *manager, const Seen *seen, guint n, double goal)
{
    double rest = goal;
    for (int i = 0; i < MAX_PASSES && fabs(rest) >= 1; i++) {
        double moved = pass(manager, seen, n, rest, goal > 0);
        if (fabs(moved) < 1)
            break;
        rest -= moved;
    }
    return rest;
}

static void choose(Manager *manager, const Seen *seen, guint n, bool all, bool under_pressure)
{
    for (guint i = 0; i < n; i++)
        manager->chosen[i] = managed(&seen[i]) && (all || pressed(&seen[i]) == under_pressure);
}

static BeatEnd beat(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes)
{
    double used = 0, host = (double)manager->scenario->pool_bytes;
    for (guint i = 0; i < n; i++) {
        used += (double)(seen[i].resident_bytes + seen[i].spec->overhead_bytes);
        manager->wanted[i] = (double)seen[i].balloon_bytes;
    }
    double goal = host * HOST_USE - used;
    if (fabs(goal) > BAND_BYTES) {
        bool grow = goal > 0;
        choose(manager, seen, n, false, grow);
        double rest = spread(manager, seen, n, goal);
        bool no_progress = grow ? rest >= goal : rest <= goal;
        if (no_progress) {
            choose(manager, seen, n, true, false);
            spread(manager, seen, n, rest);
        }
    }
    for (guint i = 0; i < n; i++)
        if (managed(&seen[i]) && fabs(manager->wanted[i] - (double)seen[i].balloon_bytes) >= 1)
            wishes[i].target_bytes = (uint64_t)manager->wanted[i];
    return (BeatEnd){BEAT_US};
}

static void release(Manager *manager)
{
    g_free(manager->wanted);
    g_free(manager->chosen);
    g_free(manager);
}

const ManagerOps MANAGER_PROXMOX = {
    .name = "proxmox",
    .title = "host at 80 %, 100 MiB a round by shares (Proxmox VE)",
    .make = make,
    .beat = beat,
    .free = release,
};
