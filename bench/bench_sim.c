/* How fast the simulator runs: each scenario given, under Aerostat's policy, the best of three. */
#include <stdio.h>
#include "sim/report.h"

#define ROUNDS 3

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_sim SCENARIO...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Scenario) scenario = scenario_load(argv[i], NULL, &error);
        if (!scenario) {
            fprintf(stderr, "bench_sim: %s\n", error->message);
            return 1;
        }
        double best = 0;
        guint64 beats = 0;
        for (int round = 0; round < ROUNDS; round++) {
            g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, 0, 0);
            best = MAX(best, (double)scenario->duration_us / 1e6 / MAX(run->computed_s, 1e-6));
            beats = run->beats;
        }
        printf("%-20s %4u servers %8.0f x real time, %" G_GUINT64_FORMAT " beats\n", scenario->name,
               scenario->guests->len, best, beats);
    }
    return 0;
}
