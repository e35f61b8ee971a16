/* Whether one server stands still, is awake, works or bursts, and so when its guest is to be asked. */
#include "base/u64.h"
#include "engine/tracked.h"
#include "policy/params.h"

#define SECOND_US INT64_C(1000000)
/* A guest whose processors have run is taken to be awake for that long. */
#define AWAKE_US SECOND_US
/* A guest stands still that has used no more than a twentieth of a processor for so long: one that idles was seen to use 2 % of
 * one where it is emulated, answers to us included, and up to 20 ms at once. */
#define STILL_US       (5 * SECOND_US)
#define STILL_PART     20
#define STILL_LEAST_US UINT64_C(25000)
/* One that works shows it between two steps of a paced reclaim, which are a second apart. */
#define WORKS_US (3 * SECOND_US)
#define GAVE_US  (SECOND_US / 2)
/* For so long after it woke nobody knows yet whether it wakes for a burst; it is asked so often meanwhile ... */
#define STIRS_US    INT64_C(500000)
#define STIRRING_US INT64_C(100000)
/* ... and so often while its statistics show it growing as fast as a burst. */
#define GROWING_US INT64_C(80000)
/* A balloon further above its target than this is inflating. */
#define GIVES_BYTES (4 * MIB)
/* Less than this is not worth asking about. */
#define SPARE_BYTES (16 * MIB)
/* A guest that bursts with room for so long is in no hurry to be asked. */
#define ROOMY_US 400000.0

gboolean tracked_see_processor(Tracked *tracked, uint64_t used_us, int64_t now_us)
{
    int64_t since_us = now_us - tracked->still_since_us;
    bool first = tracked->still_since_us == 0, was_still = tracked->still;
    bool new_clock = used_us == UNKNOWN || first || used_us < tracked->still_used_us;
    uint64_t most_us = STILL_LEAST_US + (uint64_t)since_us / STILL_PART;
    bool ran = new_clock || used_us - tracked->still_used_us > most_us;
    if (!ran && since_us < STILL_US)
        return FALSE;
    tracked->still = !ran;
    tracked->still_since_us = used_us == UNKNOWN ? 0 : now_us;
    tracked->still_used_us = used_us;
    return was_still && !tracked->still;
}

gboolean tracked_is_still(const Tracked *tracked, const PolicyParams *params, int64_t now_us)
{
    const PlanRow *row = &tracked->row;
    const Demand *demand = &tracked->demand;
    int64_t moved_us = tracked->track.move.last_step_us;
    gboolean known = tracked->decided && tracked->settled && !tracked->adopting && !tracked->unsure;
    gboolean needs_nothing = row->hold == HOLD_NO && row->move == MOVE_NONE && !tracked->busy &&
                             row->short_bytes < params->quantum_bytes && !demand->faulting;
    gboolean would_show = tracked->latest->reports_free_pages && demand->known &&
                          !demand_is_blind(demand, &tracked->facts, params);
    return tracked->still && known && tracked->facts.fixed == FIXED_NO && needs_nothing && would_show &&
           (moved_us == 0 || now_us - moved_us >= STILL_US);
}

void tracked_woke(Tracked *tracked, int64_t now_us)
{
    /* One that gives memory back runs for that, and what was seen of its balloon may be a beat old. */
    gboolean gives = tracked->facts.balloon_bytes > u64_add_sat(tracked->target_bytes, GIVES_BYTES);
    gboolean gave = now_us - tracked->track.move.last_down_us < GAVE_US;
    if (now_us >= tracked->awake_until_us && !gives)
        tracked->stirs_until_us = now_us + STIRS_US;
    if (!gives && !gave)
        tracked->works_until_us = now_us + WORKS_US;
    tracked->awake_until_us = now_us + AWAKE_US;
}

gboolean tracked_stirs(const Tracked *tracked, int64_t now_us)
{
    return now_us < tracked->stirs_until_us;
}

gboolean tracked_has_room(const Tracked *tracked)
{
    const BurstState *burst = &tracked->track.burst;
    if (!burst->bursting || burst->looked_bytes == UNKNOWN)
        return FALSE;
    double room = (double)u64_sub_sat(tracked->facts.balloon_bytes, burst->looked_bytes);
    return room * (double)SECOND_US > ROOMY_US * (double)MAX(burst->rate_bytes_per_s, MIB);
}

gboolean tracked_is_due(const Tracked *tracked, const PolicyParams *params, int64_t now_us)
{
    if (tracked->facts.idle || !tracked->demand.known)
        return FALSE;
    int64_t age_us = demand_sample_age_us(&tracked->demand, &tracked->facts, params);
    const DemandState *seen = &tracked->track.demand;
    bool grows = seen->growth_bytes_per_s >= params->burst_bytes_per_s && now_us - seen->rate_us < AWAKE_US;
    if (grows)
        age_us = GROWING_US;
    else if (tracked_stirs(tracked, now_us))
        age_us = MIN(age_us, STIRRING_US);
    return now_us - MAX(tracked->facts.sample_us, tracked->asked_fresh_us) >= age_us;
}

gboolean tracked_has_spare(const Tracked *tracked, const PolicyParams *params, int64_t now_us)
{
    const Demand *demand = &tracked->demand;
    const ServerFacts *facts = &tracked->facts;
    int64_t rose_us = tracked->track.move.last_up_us;
    gboolean rose = rose_us != 0 && now_us - rose_us < params->turn_us;
    gboolean can_tell = tracked->decided && demand->known && !demand->faulting && !facts->idle &&
                        !facts->busy && facts->unused_bytes != UNKNOWN;
    uint64_t keeps = u64_max(demand->need_bytes, tracked->row.allocation_bytes);
    return rose && can_tell && tracked->target_bytes > u64_add_sat(keeps, SPARE_BYTES);
}
