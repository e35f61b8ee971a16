/* The host of plan_rig.h: turns of the policy by hand. */
#include "plan_rig.h"

bool rig_seen_moves[MOVE_N], rig_seen_waits[WAIT_N];

Rig rig_new(uint64_t pool, uint64_t slack)
{
    return (Rig){.params = policy_params_default(),
                 .host = {.pool_bytes = pool, .slack_bytes = slack},
                 .now_us = START_US,
                 .decision = decision_new()};
}

ServerFacts *rig_add(Rig *rig, uint64_t maximum, uint64_t balloon, uint64_t used)
{
    rig->servers[rig->n] = rig_server(maximum, balloon, used, START_US);
    rig->used[rig->n] = used;
    return &rig->servers[rig->n++];
}

const PlanRow *rig_decide(Rig *rig)
{
    decision_make(&rig->host, rig->servers, rig->tracks, rig->n, &rig->params, rig->now_us, rig->decision);
    for (size_t i = 0; i < rig->n; i++) {
        rig_seen_moves[rig->decision->rows[i].move] = true;
        rig_seen_waits[rig->decision->rows[i].wait] = true;
    }
    return rig->decision->rows;
}

void rig_act(Rig *rig, bool obeys)
{
    for (size_t i = 0; i < rig->n; i++) {
        const PlanRow *row = &rig->decision->rows[i];
        if (row->move == MOVE_NONE)
            continue;
        plan_carried_out(&rig->tracks[i].move, &rig->servers[i], row, &rig->params, rig->now_us);
        rig->servers[i].target_bytes = row->target_bytes;
        if (obeys)
            rig->servers[i].balloon_bytes = row->target_bytes;
    }
}

void rig_pass(Rig *rig, int64_t elapsed_us, bool samples)
{
    rig->now_us += elapsed_us;
    for (size_t i = 0; i < rig->n && samples; i++) {
        ServerFacts *facts = &rig->servers[i];
        facts->sample_us = rig->now_us;
        facts->sample_balloon_bytes = facts->balloon_bytes;
        facts->available_bytes = u64_sub_sat(facts->balloon_bytes, rig->used[i]);
    }
}

const PlanRow *rig_beat(Rig *rig, int64_t elapsed_us)
{
    rig_act(rig, true);
    rig_pass(rig, elapsed_us, true);
    return rig_decide(rig);
}

void rig_clear(Rig *rig)
{
    decision_free(rig->decision);
}
