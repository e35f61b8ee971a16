/* The servers of burst_rig.h. */
#include "burst_rig.h"

void bench_begin(Bench *bench, uint64_t free_bytes)
{
    *bench = (Bench){.params = policy_params_default(), .now_us = START_US};
    for (int i = 0; i < 3; i++) {
        bench->servers[i] = rig_server(GIB, 400 * MIB, 200 * MIB, START_US);
        bench->servers[i].resident_bytes = 210 * MIB;
    }
    bench->host = (HostFacts){.pool_bytes = 1200 * MIB + free_bytes, .slack_bytes = free_bytes};
    bench->decision = decision_new();
    bench->looking = decision_new();
}

void bench_end(Bench *bench)
{
    decision_free(bench->decision);
    decision_free(bench->looking);
}

void bench_decide(Bench *bench)
{
    decision_make(&bench->host, bench->servers, bench->tracks, 3, &bench->params, bench->now_us,
                  bench->decision);
}

bool bench_look(Bench *bench, int i, uint64_t grown)
{
    bench->now_us += 20 * MS;
    bench->servers[i].resident_bytes += grown;
    bool bursting = false;
    for (int k = 0; k < 3; k++) {
        bool one = burst_look(&bench->tracks[k].burst, 1, bench->servers[k].resident_bytes + 100 * MIB,
                              &bench->params, bench->now_us);
        bursting = k == i ? one : bursting;
    }
    return bursting;
}
