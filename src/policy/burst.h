/*
 * Burst: what residency alone says between two beats, and what is granted on that word from free pool bytes at once.
 *
 * The host sees a guest touch memory in the same moment, long before the guest says so: a server whose residency grows
 * fast is bursting. It is granted, before anybody has asked it, what it has grown by and what it will touch until a
 * grant decided on statistics can arrive; the next decision, on fresh statistics, corrects that. File cache grows
 * residency just the same: a burst that turns out to have been cache gives its server no early grants for a while.
 *
 * Pure, as the rest of the policy.
 */
#pragma once
#include "policy/demand.h"
#include "policy/facts.h"
#include "policy/params.h"

/* What is remembered of one server's residency. Zero-initialised is the right beginning. */
typedef struct {
    uint64_t boot_count;
    int64_t looked_us; /* the last look, and what it found */
    uint64_t looked_bytes;
    int64_t quiet_us; /* the last look before it began to grow, and what that found */
    uint64_t quiet_bytes;
    uint64_t peak_bytes; /* the most since then */
    int64_t grew_us;     /* the last look that found it growing fast */
    bool bursting;
    bool granted;              /* this burst has had its first grant */
    uint64_t rate_bytes_per_s; /* while bursting */
    int64_t sample_us;         /* the sample in force ... */
    uint64_t sample_bytes;     /* ... what was resident at the last look when it came ... */
    uint64_t sample_used_bytes;
    uint64_t onset_used_bytes; /* what the guest said it used when the burst began */
    int64_t cache_until_us;    /* its last burst was file cache */
    int64_t twitch_until_us;   /* its last burst came to nothing */
} BurstState;

/*
 * burst_look: one look at all that is resident of a server, overhead included since only differences count; or UNKNOWN.
 * Returns whether it is bursting: grown by params->burst_step_bytes since it was quiet, and by more than
 * params->burst_bytes_per_s since the last look, or did so within params->burst_quiet_us.
 */
bool burst_look(BurstState *state, uint64_t boot_count, uint64_t resident_bytes, const PolicyParams *params,
                int64_t now_us);

/* burst_learn: holds a burst against what the guest says it uses; to be called at each decision, after demand_update(). */
void burst_learn(BurstState *state, const ServerFacts *facts, const Demand *demand,
                 const PolicyParams *params, int64_t now_us);

/* burst_expected_bytes: what it touches in one reaction time if it goes on as it does; no more than burst_lead times what
 * it has shown so far, so that a twitch brings little and a real burst more from look to look. 0 when it does not burst. */
uint64_t burst_expected_bytes(const BurstState *state, const PolicyParams *params);
