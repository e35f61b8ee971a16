/*
 * Demand: from what one server is seen to use, what it would use well now.
 *
 *   used        = balloon size at the sample - available, and never more than is resident on the host (G6)
 *   working set = used + file cache that has proven to be in use
 *   need        = working set + headroom; rises at once, falls at once: this is what nobody may be refused
 *   comfort     = need, falling with a half-life of 20 s: kept out of caution, given up when somebody waits
 *   floor       = max(minimum, learned floor, used + margin): no target below it (G2)
 */
#pragma once
#include "policy/facts.h"
#include "policy/params.h"

/* What is remembered of one server between beats. Zero-initialised is the right beginning. The caller owns
 * it. */
typedef struct {
    uint64_t boot_count;
    int64_t last_sample_us;
    uint64_t used_bytes;
    uint64_t growth_bytes_per_s;
    uint64_t cache_bytes;          /* file cache that showed itself in use by faulting when squeezed */
    uint64_t sample_balloon_bytes; /* balloon size of the last sample */
    uint64_t unshrunk_bytes;       /* balloon size before the latest shrink ... */
    int64_t shrunk_us;             /* ... and when that was last seen shrinking */
    uint64_t comfort_bytes;
    int64_t comfort_us;
    uint64_t swap_in_bytes; /* cumulative values of the last sample */
    uint64_t major_faults;
    uint64_t refaults;
    uint64_t stall_us;
    int64_t faulting_until_us;    /* no shrink before this */
    uint32_t starved_samples;     /* samples in a row that found the headroom nearly gone */
    uint64_t learned_floor_bytes; /* raised by distress, forgotten over rest_us after the rest */
    int64_t rest_until_us;
    uint32_t distress_count;
    int64_t last_distress_us;
} DemandState;

typedef struct {
    uint64_t used_bytes; /* UNKNOWN until the guest has answered */
    uint64_t working_set_bytes;
    uint64_t headroom_bytes;
    uint64_t need_bytes;      /* within [minimum, maximum] */
    uint64_t comfort_bytes;   /* within [need, maximum] */
    uint64_t floor_bytes;     /* within [minimum, maximum] */
    uint32_t active_permille; /* share of the balloon size that is working set: ESX's f, for the idle tax */
    bool known;               /* the guest has told what it uses since it booted */
    bool stale;               /* ... but not within params->stale_us */
    bool faulting;            /* it swaps in, faults or stalls, or did so a moment ago */
    bool resting;             /* after distress: the floor is a learned one */
} Demand;

/*
 * demand_update: one beat for one server.
 * Takes up a new sample if facts->sample_us changed, lets comfort fall, and says what the server needs now.
 * A server whose statistics never came has need = comfort = floor = its present balloon size.
 * After a change of boot_count the cumulative counters start anew; the learned floor stays.
 */
Demand demand_update(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     int64_t now_us);

/*
 * demand_distress: the guest ran out of memory under its balloon, or stalled while inflating.
 * Raises the learned floor to @floor_bytes (at most the maximum) and lets the server rest: 60 s, doubling
 * with each distress within the hour, at most 30 min (G9).
 */
void demand_distress(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     uint64_t floor_bytes, int64_t now_us);
