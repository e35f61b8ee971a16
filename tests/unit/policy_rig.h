/* One host in a few lines, for table tests of the policy. */
#pragma once
#include <glib.h>
#include "base/u64.h"
#include "policy/decide.h"
#include "policy/reasons.h"

#define SECOND_US INT64_C(1000000)
#define START_US  (1000 * SECOND_US)

/* A running guest of @maximum at balloon size @balloon that uses @used, as a fresh sample at @now_us says it. */
static inline ServerFacts rig_server(uint64_t maximum, uint64_t balloon, uint64_t used, int64_t now_us)
{
    return (ServerFacts){
        .maximum_bytes = maximum,
        .minimum_bytes = maximum / 8,
        .weight = 100,
        .balloon_bytes = balloon,
        .target_bytes = balloon,
        .resident_bytes = UNKNOWN,
        .boot_count = 1,
        .sample_us = now_us,
        .sample_balloon_bytes = balloon,
        .available_bytes = balloon - used,
        .unused_bytes = UNKNOWN,
        .refaults = UNKNOWN,
        .stall_us = UNKNOWN,
        .deflates_on_oom = true,
        .booted = true,
    };
}

/* The same guest at a later look. */
static inline void rig_sample(ServerFacts *facts, uint64_t balloon, uint64_t used, int64_t now_us)
{
    facts->sample_balloon_bytes = facts->balloon_bytes > balloon ? facts->balloon_bytes : balloon;
    facts->balloon_bytes = balloon;
    facts->available_bytes = facts->sample_balloon_bytes - used;
    facts->sample_us = now_us;
}
