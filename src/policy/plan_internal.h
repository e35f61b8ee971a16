/* One beat's working state, shared by the two halves of the plan: grants and reclaims. Private to the policy.
 */
#pragma once
#include "base/u64.h"
#include "policy/plan.h"

/* A request that timed out takes effect within this or never. */
#define LATE_US INT64_C(60000000)
/* A slack, or what is kept ready, is full when it is this near to it: a refill of a few pages would never end. */
#define SLACK_NEAR 16

typedef struct {
    const HostFacts *host;
    const ServerFacts *servers;
    const Demand *demands;
    ServerTrack *tracks;
    size_t n;
    const PolicyParams *params;
    int64_t now_us;
    PlanScratch *scratch;
    PlanRow *rows;
    uint64_t free_bytes;      /* of the pool, less what this beat has granted */
    uint64_t over_bytes;      /* committed beyond the pool */
    uint64_t waiting_bytes;   /* entitled and needed, but not granted for want of free bytes */
    uint64_t levelling_bytes; /* entitled beyond need, not granted for want of free bytes */
    uint64_t in_flight_bytes; /* asked back and not yet back */
} Beat;

/* These are asked several times of every server in every beat: inline, since calls of them cost as much as what they do. */

/* Whether @target may be set on server @i in this beat at all. */
static inline bool beat_may_move(const Beat *beat, size_t i)
{
    return !beat->scratch->pinned[i];
}

/* Distance below which a target is as good as its allocation. */
static inline uint64_t beat_band(const Beat *beat, size_t i)
{
    if (!rule_on(beat->params, RULE_DEAD_BAND))
        return 0;
    uint64_t band = beat->rows[i].allocation_bytes / 1000 * beat->params->band_permille;
    return u64_max(band, beat->params->quantum_bytes);
}

/* Whether the distance between the row's target and its allocation is worth a move while nobody waits. */
static inline bool beat_unsettled(const Beat *beat, size_t i)
{
    const PlanRow *row = &beat->rows[i];
    uint64_t off = u64_distance(row->target_bytes, row->allocation_bytes);
    if (off <= beat_band(beat, i))
        return false;
    uint64_t wide = row->allocation_bytes / 1000 * beat->params->settle_permille;
    int64_t since_us = beat->tracks[i].move.unsettled_since_us;
    return off > wide || !rule_on(beat->params, RULE_DEAD_BAND) ||
           (since_us != 0 && beat->now_us - since_us >= beat->params->settle_us);
}

/* What a burst that goes on gets at once where there is plenty: 64 MiB, and of a small server a sixteenth. */
static inline uint64_t plan_large_step(const ServerFacts *facts)
{
    return u64_min(64 * MIB, facts->maximum_bytes / 16);
}

/* Records a move and charges the pool for what it newly commits. */
void beat_set(Beat *beat, size_t i, Move move, uint64_t target_bytes);

/* What a server has touched of its burst since its last sample, and what it is about to touch; 0 when it does not burst. */
uint64_t plan_ahead_of(const BurstState *burst, const PolicyParams *params);

/* Whether anything is expected of the bursts of others than server @i. */
bool beat_others_burst(const Beat *beat, size_t i);

void plan_grants(Beat *beat);
void plan_reclaims(Beat *beat);
