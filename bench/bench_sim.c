/*
 * bench_sim [SCENARIO...]: how fast the simulator runs, and what each policy does; of all shipped scenarios by default.
 *
 * Method: each scenario under Aerostat's policy, the best of three runs of virtual over computing time; a hundred servers or
 * more must reach 1,000. Exit 1 when they do not, or where Aerostat promised a byte twice or had a service killed.
 */
#include <stdio.h>
#include "sim/report.h"

#define ROUNDS       3
#define MANY_SERVERS 100
#define LEAST_SPEED  1000

static double speed_of(const Scenario *scenario)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, 0, 0);
        best = MAX(best, (double)scenario->duration_us / 1e6 / MAX(run->computed_s, 1e-6));
    }
    return best;
}

static gboolean bench(const char *path, GError **error)
{
    g_autoptr(Scenario) scenario = scenario_load(path, NULL, error);
    if (!scenario)
        return FALSE;
    double speed = speed_of(scenario), oracle = world_oracle(scenario);
    gboolean slow = scenario->guests->len >= MANY_SERVERS && speed < LEAST_SPEED;
    printf("%-18s %4u servers %8.0f x real time%s\n", scenario->name, scenario->guests->len, speed,
           slow ? "  TOO SLOW" : "");
    gboolean kept = TRUE;
    for (guint i = 0; i < N_MANAGERS; i++) {
        g_autoptr(Run) run = world_run(scenario, MANAGERS[i], oracle, 0);
        const Summary *sum = &run->summary;
        printf("  %-18s work %6.2f %%  stall %7.1f s  %5" G_GUINT64_FORMAT " kills  over %9.2f GiB s\n",
               MANAGERS[i]->name, sum->work_percent, sum->stall_s, (guint64)sum->kills,
               sum->over_byte_s / (1024.0 * 1024 * 1024));
        if (MANAGERS[i] == &MANAGER_AEROSTAT)
            kept = !(sum->over_byte_s > 0) && sum->kills == 0;
    }
    if (slow || !kept)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
                    slow ? "too slow" : "a byte promised twice, or a service killed");
    return !slow && kept;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *shipped(void)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open("scenarios", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".conf"))
            g_ptr_array_add(paths, g_build_filename("scenarios", name, NULL));
    g_ptr_array_sort(paths, by_name);
    return paths;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) paths = shipped();
    if (argc > 1)
        g_ptr_array_set_size(paths, 0);
    for (int i = 1; i < argc; i++)
        g_ptr_array_add(paths, g_strdup(argv[i]));
    if (paths->len == 0) {
        fprintf(stderr, "bench_sim: there are no scenarios here; name some\n");
        return 2;
    }
    int failed = 0;
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!bench(paths->pdata[i], &error)) {
            fprintf(stderr, "bench_sim: %s\n", error->message);
            failed = 1;
        }
    }
    return failed;
}
