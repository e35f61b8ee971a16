/*
 * What one full decision costs: watch, demand, four tiers, plan, for 10 to 10,000 servers.
 *
 * Method: one thread; modelled servers whose use drifts and bursts from a fixed seed, obeying every row; after a
 * warm-up each decision is timed alone by the monotonic clock, facts gathered outside. Medians of several rounds, since
 * whatever else runs on a machine only ever adds: the quietest round is what a decision costs, the loudest what it may
 * cost beside others. Calls of malloc, calloc and realloc during the timed decisions are counted and must be none. Exit 1
 * when the quietest median is above its limit.
 */
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/u64.h"
#include "policy/decide.h"
#include "../tests/property/world.h"

#define SECOND_US INT64_C(1000000)
#define WARM_UP   60
#define ROUNDS    15
#define TIMED     301

static uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

typedef enum {
    HOST_CALM,      /* everyone has more than it needs; one in ten answers in each beat */
    HOST_CONTENDED, /* needs exceed the pool, and everyone answers in each beat */
    HOST_EQUAL,     /* contended, and all servers are the same: all corners of the filling coincide */
    HOST_N
} HostKind;

static const char *const host_names[HOST_N] = {"calm", "contended", "all equal"};

typedef struct {
    HostKind kind;
    size_t n;
    HostFacts host;
    ServerFacts *servers;
    ServerTrack *tracks;
    uint64_t *used;
    Decision *decision;
    int64_t now_us;
    uint64_t rng;
} Bench;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static Bench bench_new(HostKind kind, size_t n)
{
    Bench bench = {.kind = kind, .n = n, .decision = decision_new(), .now_us = 1000 * SECOND_US, .rng = 42};
    bench.servers = calloc(n, sizeof *bench.servers);
    bench.tracks = calloc(n, sizeof *bench.tracks);
    bench.used = calloc(n, sizeof *bench.used);
    if (!bench.servers || !bench.tracks || !bench.used)
        abort();
    uint64_t used = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        ServerFacts *facts = &bench.servers[i];
        uint64_t maximum = kind == HOST_EQUAL ? 8 * GIB : GIB << below(&bench.rng, 7);
        bench.used[i] = kind == HOST_EQUAL ? 4 * GIB : maximum / 16 * (2 + below(&bench.rng, 8));
        *facts =
            (ServerFacts){.maximum_bytes = maximum,
                          .minimum_bytes = maximum / 8,
                          .weight = kind == HOST_EQUAL ? 100 : (uint32_t)(50 + 50 * below(&bench.rng, 4)),
                          .balloon_bytes = maximum,
                          .target_bytes = maximum,
                          .resident_bytes = maximum,
                          .overhead_bytes = 40 * MIB,
                          .boot_count = 1,
                          .booted = true,
                          .unused_bytes = UNKNOWN,
                          .refaults = UNKNOWN,
                          .stall_us = UNKNOWN};
        used += bench.used[i] + 40 * MIB;
        most += maximum + 40 * MIB;
    }
    bench.host.pool_bytes = kind == HOST_CALM ? used / 4 + most / 4 * 3 : used + used / 16;
    bench.host.slack_bytes = bench.host.pool_bytes / 20;
    return bench;
}

static void bench_clear(Bench *bench)
{
    decision_free(bench->decision);
    free(bench->servers);
    free(bench->tracks);
    free(bench->used);
}

/* The next observation: rows carried out, balloons at their targets, some guests a little larger or smaller. */
static void observe(Bench *bench, const PolicyParams *params, size_t beat)
{
    bench->now_us += SECOND_US / 10;
    for (size_t i = 0; i < bench->n; i++) {
        ServerFacts *facts = &bench->servers[i];
        const PlanRow *row = &bench->decision->rows[i];
        if (row->move != MOVE_NONE) {
            plan_carried_out(&bench->tracks[i].move, facts, row, params, bench->now_us);
            facts->target_bytes = row->target_bytes;
        }
        facts->sample_balloon_bytes = u64_max(facts->balloon_bytes, row->target_bytes);
        facts->balloon_bytes = facts->resident_bytes = row->target_bytes;
        if (bench->kind == HOST_CALM && (i + beat) % 10 != 0)
            continue;
        if (bench->kind != HOST_EQUAL && below(&bench->rng, 20) == 0)
            bench->used[i] = facts->maximum_bytes / 16 * (2 + below(&bench->rng, 8));
        facts->sample_us = bench->now_us;
        facts->sample_balloon_bytes = facts->balloon_bytes;
        facts->available_bytes = u64_sub_sat(facts->balloon_bytes, bench->used[i]);
        facts->major_faults += below(&bench->rng, 3);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    double median_us, p99_us;
    uint64_t moves, allocations;
} Round;

static Round run_round(Bench *bench, const PolicyParams *params)
{
    static int64_t taken_ns[TIMED];
    Round round = {0};
    for (size_t beat = 0; beat < TIMED; beat++) {
        observe(bench, params, beat);
        uint64_t before = allocations;
        int64_t begun_ns = now_ns();
        decision_make(&bench->host, bench->servers, bench->tracks, bench->n, params, bench->now_us,
                      bench->decision);
        taken_ns[beat] = now_ns() - begun_ns;
        round.allocations += allocations - before;
        for (size_t i = 0; i < bench->n; i++)
            round.moves += bench->decision->rows[i].move != MOVE_NONE;
    }
    qsort(taken_ns, TIMED, sizeof *taken_ns, by_value);
    round.median_us = (double)taken_ns[TIMED / 2] / 1e3;
    round.p99_us = (double)taken_ns[TIMED - 1 - TIMED / 100] / 1e3;
    return round;
}

/* Three hosts of one size, a round of each in turn: a slow while of the machine meets all of them, and ends. */
typedef struct {
    Bench bench;
    Round quietest;
    double loudest_us;
    uint64_t allocations;
} Measured;

static void warm_up(Bench *bench, const PolicyParams *params)
{
    decision_make(&bench->host, bench->servers, bench->tracks, bench->n, params, bench->now_us,
                  bench->decision);
    for (size_t beat = 0; beat < WARM_UP; beat++) {
        observe(bench, params, beat);
        decision_make(&bench->host, bench->servers, bench->tracks, bench->n, params, bench->now_us,
                      bench->decision);
    }
}

static void add_round(Measured *measured, const PolicyParams *params)
{
    Round round = run_round(&measured->bench, params);
    measured->allocations += round.allocations;
    if (round.median_us > measured->loudest_us)
        measured->loudest_us = round.median_us;
    if (round.median_us < measured->quietest.median_us)
        measured->quietest = round;
}

/* Returns whether the quietest median keeps @limit_us (0 = none) and nothing was allocated. */
static bool report(const Measured *measured, double limit_us)
{
    const Round *quietest = &measured->quietest;
    bool good = (limit_us <= 0 || quietest->median_us <= limit_us) && measured->allocations == 0;
    printf("%6zu servers, %-9s  median %8.1f us (loudest round %8.1f)  p99 %8.1f us  %6.1f moves a decision  "
           "%" PRIu64 " allocations%s\n",
           measured->bench.n, host_names[measured->bench.kind], quietest->median_us, measured->loudest_us,
           quietest->p99_us, (double)quietest->moves / TIMED, measured->allocations,
           good ? "" : "  ABOVE ITS LIMIT");
    return good;
}

static bool measure(size_t n, double limit_us)
{
    PolicyParams params = policy_params_default();
    Measured hosts[HOST_N];
    bool good = true;
    for (int kind = 0; kind < HOST_N; kind++) {
        hosts[kind] = (Measured){.bench = bench_new((HostKind)kind, n), .quietest.median_us = DBL_MAX};
        warm_up(&hosts[kind].bench, &params);
    }
    for (int number = 0; number < ROUNDS; number++)
        for (int kind = 0; kind < HOST_N; kind++)
            add_round(&hosts[kind], &params);
    for (int kind = 0; kind < HOST_N; kind++) {
        good = report(&hosts[kind], limit_us) && good;
        bench_clear(&hosts[kind].bench);
    }
    return good;
}

int main(void)
{
    static const size_t sizes[] = {10, 100, 1000, 10000};
    static const double limits_us[] = {0, 0, 200, 4000};
    bool good = true;
    printf("A full decision, one thread, %d rounds of %d timed after %d, the quietest round; limits: 1,000 "
           "servers "
           "200 us, 10,000 servers 4 ms\n",
           ROUNDS, TIMED, WARM_UP);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        good = measure(sizes[s], limits_us[s]) && good;
    return good ? 0 : 1;
}
