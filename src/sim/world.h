/*
 * World: one host in virtual time: its guests, a manager, and the requests between them with their delays and faults.
 *
 * Everything is a function of the scenario, its seed and the manager: the same run gives the same figures anywhere.
 */
#pragma once
#include "sim/manager.h"
#include "sim/metrics.h"

/* Who held what over time: one row of n values per step. */
typedef struct {
    guint n, rows;
    int64_t step_us;
    GArray *held;  /* of uint64_t */
    GArray *needs; /* of uint64_t */
} History;

typedef struct World World;

typedef struct {
    Summary summary;
    Metrics *metrics;
    History history;
    double computed_s; /* processor time it took */
    guint64 beats;
} Run;

void run_free(Run *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

/* world_oracle: the work of the scenario's guests with unlimited memory, in seconds of full speed. */
double world_oracle(const Scenario *scenario);

/*
 * world_run:
 * @ops:           the manager
 * @oracle_work_s: from world_oracle(), 0 leaves work_percent 0
 * @history_rows:  how many rows of history to keep, 0 = none
 */
Run *world_run(const Scenario *scenario, const ManagerOps *ops, double oracle_work_s, guint history_rows);

/* For tests and recordings: a world that is stepped from outside. */
World *world_new(const Scenario *scenario, const ManagerOps *ops);
void world_free(World *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)
void world_advance(World *world, int64_t until_us);
Guest *world_guest(World *world, const char *name);
Manager *world_manager(World *world);
Metrics *world_metrics(World *world);
int64_t world_now(const World *world);
