/*
 * Metrics: what a run cost and gave. Everything is measured on the modelled guests themselves, never on what a policy
 * believes of them.
 */
#pragma once
#include "sim/guest.h"

/* One server's account. */
typedef struct {
    double work_s;          /* seconds of full-speed work done */
    double stall_s;         /* seconds lost while running: the integral of 1 - rate */
    double down_s;          /* booting, or starting anew after a kill */
    uint64_t swapped_bytes; /* in and out */
    uint64_t kills, reversals;
    double held_byte_s;
    int64_t short_since_us; /* relief under way since; -1 = none */
    uint64_t short_peak_bytes;
    int64_t last_direction; /* of its target: +1, -1, 0 = never moved */
    uint64_t swapped_before, kills_before;
} ServerMetrics;

typedef struct {
    double work_percent; /* of the oracle's */
    double stall_s, down_s;
    uint64_t swapped_bytes, kills, reversals;
    guint reliefs,
        unrelieved; /* how many demands rose above the balloon size; how many were still waiting at the end */
    double relief_p50_s, relief_p99_s; /* 0 when there was none */
    double over_byte_s;                /* committed beyond the pool by the policy's doing */
    double outside_byte_s; /* ... by reboots, which no policy can refuse, until they are worked off */
    double jain;           /* Jain, Chiu, Hawe 1984, of held/fair; time average */
    double unfair_percent; /* bytes missing to the exact weighted max-min share of real needs; time average */
    double held_gib_min;
} Summary;

/* One relief, for what-if answers. */
typedef struct {
    guint server;
    int64_t from_us, until_us; /* until_us = end of the run when it was not relieved */
    uint64_t peak_bytes;       /* most that was missing */
    bool relieved;
} Relieved;

typedef struct {
    guint n;
    int64_t from_us, now_us, next_fair_us;
    ServerMetrics *servers;
    GArray *reliefs; /* of Relieved */
    uint64_t pool_bytes;
    double over_byte_s, outside_byte_s, committed_byte_s;
    uint64_t excused_bytes; /* committed by reboots and not yet worked off */
    uint64_t last_committed_bytes;
    double jain_sum, unfair_sum;
    guint fair_samples;
    void *scratch;
} Metrics;

Metrics *metrics_new(guint n, uint64_t pool_bytes, int64_t from_us);
void metrics_free(Metrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Metrics, metrics_free)

/* metrics_server: @guest after a step of @seconds that began with memory as @host_factor slowed it (1 = not at all). */
void metrics_server(Metrics *metrics, guint i, const Guest *guest, double seconds, double host_factor);

/* metrics_host: after all servers of a step. @outside_bytes: newly committed in it by reboots. */
void metrics_host(Metrics *metrics, const Guest *guests, uint64_t committed_bytes, uint64_t outside_bytes,
                  int64_t now_us, double seconds);

/* metrics_target: a target was set; counts changes of direction of at least 1 MiB. */
void metrics_target(Metrics *metrics, guint i, uint64_t before_bytes, uint64_t after_bytes);

/* metrics_finish: @oracle_work_s: the same scenario's work with unlimited memory; 0 when not known. */
Summary metrics_finish(Metrics *metrics, double oracle_work_s);

double metrics_work(const Metrics *metrics);
/* metrics_percentile: @sorted ascending; nearest rank; 0 of none. */
double metrics_percentile(const double *sorted, guint n, double percent);
/* metrics_jain: 1 when all are equal, 1/n when one has all; 1 of none. */
double metrics_jain(const double *values, guint n);
