/* Bench: three servers whose residency is looked at between decisions, by hand. */
#pragma once
#include "policy_rig.h"

#define MS INT64_C(1000)

/* A pool, and servers whose residency is looked at every 20 ms. */
typedef struct {
    PolicyParams params;
    HostFacts host;
    ServerFacts servers[3];
    ServerTrack tracks[3];
    Decision *decision, *looking;
    int64_t now_us;
} Bench;

/* bench_begin: three servers of 1 GiB, each has 400 MiB and uses 200; @free_bytes are left of the pool, all of them its slack.
 * bench_end frees what it holds. */
void bench_begin(Bench *bench, uint64_t free_bytes);
void bench_end(Bench *bench);

/* bench_decide: one decision now, into bench->decision. */
void bench_decide(Bench *bench);

/* bench_look: one look 20 ms later, at which server @i has grown by @grown; returns whether it bursts. */
bool bench_look(Bench *bench, int i, uint64_t grown);
