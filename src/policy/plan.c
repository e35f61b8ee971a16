/* The plan's frame: what may move, what costs nothing, then grants, then reclaims, then why the rest stays.
 */
#include "policy/plan.h"
#include <math.h>
#include "base/u64.h"
#include "policy/plan_internal.h"

/* A grant shows in the balloon within milliseconds; one that has not by then may have been lost on its way. */
#define ASK_AGAIN_US INT64_C(2000000)

static uint64_t round_up(uint64_t bytes, uint64_t quantum)
{
    return u64_add_sat(bytes, quantum - 1) / quantum * quantum;
}

void beat_set(Beat *beat, size_t i, Move move, uint64_t target_bytes)
{
    const ServerFacts *facts = &beat->servers[i];
    PlanRow *row = &beat->rows[i];
    uint64_t before =
        u64_max(row->held_bytes, ledger_held_with_target(facts, beat->params, row->target_bytes));
    uint64_t after = ledger_held_with_target(facts, beat->params, target_bytes);
    row->move = move;
    row->target_bytes = target_bytes;
    if (after > before)
        beat->free_bytes = u64_sub_sat(beat->free_bytes, after - before);
}

/* Since when the target has been off the allocation: small deviations are moved only when they last. */
static void note_settling(Beat *beat, size_t i)
{
    MoveState *move = &beat->tracks[i].move;
    uint64_t off = u64_distance(beat->rows[i].target_bytes, beat->rows[i].allocation_bytes);
    if (off <= beat_band(beat, i))
        move->unsettled_since_us = 0;
    else if (move->unsettled_since_us == 0)
        move->unsettled_since_us = beat->now_us;
}

/* Any real change makes a rebooted guest's `actual` tell the truth: upwards where there is room, else one
 * quantum down, even from the minimum; the next beats raise it again. */
static void nudge(Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    const uint64_t quantum = beat->params->quantum_bytes;
    uint64_t target = round_up(u64_max(facts->target_bytes, beat->demands[i].need_bytes), quantum);
    target = u64_min(target, facts->maximum_bytes);
    if (u64_distance(target, facts->target_bytes) < quantum) {
        bool room = u64_add_sat(target, quantum) <= facts->maximum_bytes;
        target = room ? target + quantum : u64_sub_sat(target, quantum);
    }
    if (target > 0)
        beat_set(beat, i, MOVE_NUDGE, target);
}

/* A raise that never reached the guest is asked again once: the memory is promised to it anyway. */
static bool lost_raise(const Beat *beat, size_t i)
{
    const MoveState *move = &beat->tracks[i].move;
    return move->untaken_since_us != 0 && !move->untaken && move->last_up_us <= move->untaken_since_us &&
           beat->now_us - move->untaken_since_us >= ASK_AGAIN_US;
}

bool beat_others_burst(const Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    /* As much as is counted of it in the sum of all. */
    uint64_t room = u64_sub_sat(facts->maximum_bytes, beat->rows[i].held_bytes);
    uint64_t own = plan_expected_of(facts, &beat->tracks[i].burst, beat->params, beat->now_us);
    return beat->scratch->expected_bytes > u64_min(own, room);
}

static void withdraw(Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    const MoveState *move = &beat->tracks[i].move;
    PlanRow *row = &beat->rows[i];
    uint64_t held = u64_min(u64_max(facts->balloon_bytes, row->target_bytes), facts->maximum_bytes);
    /* Also where its size is taken for its target already: the hypervisor has not been told so. */
    if (move->distressed)
        beat_set(beat, i, MOVE_DISTRESS, held);
    else if (move->stalled && held > row->target_bytes)
        beat_set(beat, i, MOVE_WITHDRAW, held);
    if (move->distressed || move->stalled)
        return;
    uint64_t back = u64_min(row->allocation_bytes, held);
    if (beat->over_bytes > 0)
        back = u64_min(back, beat->demands[i].need_bytes);
    const Demand *demand = &beat->demands[i];
    bool needed = demand->need_bytes > u64_add_sat(row->target_bytes, beat_band(beat, i));
    /* Who is silent, or faults and may need it for that, is to keep what it has, whoever bursts. */
    bool keeps = demand->stale || row->hold == HOLD_STALE_STATISTICS ||
                 (demand->faulting && row->target_bytes < demand_floor(demand, beat->params));
    /* A floor alone may be the larger of two readings: that stops a reclaim but does not undo one. Nor does surplus that what is
     * expected of another's burst leaves from one look to the next: it would be asked back with the next. */
    bool wanted = row->allocation_bytes > demand->floor_bytes && beat_unsettled(beat, i) &&
                  (keeps || !beat_others_burst(beat, i));
    if (back > u64_add_sat(row->target_bytes, beat->params->quantum_bytes) && (needed || wanted))
        beat_set(beat, i, MOVE_WITHDRAW, back);
}

/* Raising a target up to what the server holds anyway takes nothing from anybody. */
static void free_moves(Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    const MoveState *move = &beat->tracks[i].move;
    if (facts->hold == HOLD_REBOOTING && facts->booted && !facts->busy && facts->fixed == FIXED_NO) {
        if (move->last_up_us == 0 && move->last_down_us == 0)
            nudge(beat, i);
        return;
    }
    if (!beat_may_move(beat, i))
        return;
    if (lost_raise(beat, i))
        beat_set(beat, i, MOVE_GRANT_NEED, beat->rows[i].target_bytes);
    else
        withdraw(beat, i);
}

PlanRow plan_row(const ServerFacts *facts, const Demand *demand, const MoveState *state,
                 const PolicyParams *params, int64_t now_us)
{
    return (PlanRow){
        .hold = plan_hold(facts, demand, state, now_us),
        .target_bytes = state->foreign ? facts->balloon_bytes : facts->target_bytes,
        .held_bytes = ledger_held(facts, params),
    };
}

static void begin_row(Beat *beat, size_t i, uint64_t allocation_bytes)
{
    const ServerFacts *facts = &beat->servers[i];
    bool fixed = facts->fixed != FIXED_NO && rule_on(beat->params, RULE_FIXED);
    beat->rows[i].allocation_bytes = allocation_bytes;
    beat->scratch->pinned[i] = fixed || facts->busy || hold_pins(beat->rows[i].hold);
    note_settling(beat, i);
}

/* Why a server that has its share keeps all of it although others want more. */
static Wait why_kept(const PlanRow *row, const Demand *demand, const PlanTotals *totals)
{
    if (totals->short_bytes == 0 && totals->ledger.over_bytes == 0)
        return WAIT_SETTLED;
    if (demand->faulting)
        return WAIT_FAULTING;
    if (row->hold == HOLD_STALE_STATISTICS)
        return WAIT_HELD;
    return row->target_bytes <= demand->floor_bytes ? WAIT_FLOOR : WAIT_SETTLED;
}

static Wait why_not(const Beat *beat, size_t i, const PlanTotals *totals)
{
    const PlanRow *row = &beat->rows[i];
    const ServerFacts *facts = &beat->servers[i];
    const Demand *demand = &beat->demands[i];
    if (facts->fixed != FIXED_NO)
        return WAIT_FIXED;
    if (hold_pins(row->hold))
        return WAIT_HELD;
    bool promised = u64_add_sat(facts->balloon_bytes, beat->params->quantum_bytes) < row->target_bytes;
    if (beat->tracks[i].move.untaken && (promised || row->short_bytes > beat_band(beat, i)))
        return WAIT_NOT_TAKEN;
    if (row->short_bytes > beat_band(beat, i)) {
        if (totals->infeasible)
            return WAIT_INFEASIBLE;
        if (totals->ledger.over_bytes > 0)
            return WAIT_OVERCOMMITTED;
        return beat->in_flight_bytes > 0 ? WAIT_NO_ROOM : WAIT_POOL_EXHAUSTED;
    }
    if (u64_distance(row->target_bytes, row->allocation_bytes) <= beat_band(beat, i)) {
        if (facts->balloon_bytes > u64_add_sat(row->target_bytes, beat->params->quantum_bytes))
            return WAIT_IN_FLIGHT;
        return why_kept(row, demand, totals);
    }
    if (row->target_bytes < row->allocation_bytes)
        return beat->levelling_bytes > 0 ? WAIT_NO_ROOM : WAIT_PACE;
    if (facts->sample_us == beat->tracks[i].move.reclaim_sample_us)
        return WAIT_FRESH_SAMPLE;
    if (demand->faulting)
        return WAIT_FAULTING;
    return beat->waiting_bytes > 0 || beat->levelling_bytes > 0 ? WAIT_PACE : WAIT_NOT_NEEDED;
}

/* Where somebody else's hand left the balloon, and that is good: makes it the target. Lowering a promise that
 * nobody took up, or confirming what is held, takes nothing from anyone. */
static void adopt_foreign(Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    PlanRow *row = &beat->rows[i];
    if (row->move != MOVE_NONE || !beat->tracks[i].move.foreign)
        return;
    uint64_t balloon = facts->balloon_bytes;
    row->target_bytes = facts->target_bytes;
    if (!beat_may_move(beat, i) || u64_distance(balloon, facts->target_bytes) <= beat->params->quantum_bytes)
        return;
    if (balloon > facts->target_bytes)
        beat_set(beat, i, MOVE_WITHDRAW, u64_min(balloon, facts->maximum_bytes));
    else if (row->hold == HOLD_NO && !beat->demands[i].faulting && balloon >= beat->demands[i].floor_bytes)
        beat_set(beat, i, MOVE_RECLAIM_CALM, balloon);
}

/* Until somebody tells what became of it, it may have been carried out. */
static void note_asked(Beat *beat, size_t i)
{
    MoveState *move = &beat->tracks[i].move;
    if (beat->rows[i].move == MOVE_NONE)
        return;
    plan_uncertain(move, beat->now_us);
    move->asked_bytes = u64_min(beat->rows[i].target_bytes, beat->servers[i].target_bytes);
    move->asked_us = beat->now_us;
}

static uint64_t floors_sum(const Beat *beat)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < beat->n; i++) {
        const ServerFacts *facts = &beat->servers[i];
        uint64_t low = facts->fixed != FIXED_NO ? facts->maximum_bytes : facts->minimum_bytes;
        sum = u64_add_sat(sum, u64_add_sat(low, facts->overhead_bytes));
    }
    return sum;
}

/* What a row grants is its need, or what it took already, and beyond that surplus. */
static uint64_t needed_of(const Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    const PlanRow *row = &beat->rows[i];
    uint64_t need = beat->demands[i].need_bytes;
    if (row->move == MOVE_DISTRESS)
        need = u64_max(need, facts->balloon_bytes);
    else if (row->move != MOVE_GRANT_NEED)
        return 0;
    return u64_sub_sat(u64_min(row->target_bytes, need), facts->target_bytes);
}

static void finish_rows(Beat *beat, PlanTotals *totals)
{
    for (size_t i = 0; i < beat->n; i++) {
        PlanRow *row = &beat->rows[i];
        adopt_foreign(beat, i);
        note_asked(beat, i);
        row->needed_bytes = needed_of(beat, i);
        if (beat->servers[i].fixed == FIXED_NO && !hold_pins(row->hold))
            row->short_bytes = u64_sub_sat(beat->demands[i].need_bytes, row->target_bytes);
        totals->short_bytes = u64_add_sat(totals->short_bytes, row->short_bytes);
    }
    for (size_t i = 0; i < beat->n; i++)
        if (beat->rows[i].move == MOVE_NONE)
            beat->rows[i].wait = why_not(beat, i, totals);
    totals->reclaiming_bytes = beat->in_flight_bytes;
    totals->someone_waits = beat->waiting_bytes > 0;
}

void plan_make(const HostFacts *host, const ServerFacts *servers, const Demand *demands, ServerTrack *tracks,
               const uint64_t *allocations, size_t n, const PolicyParams *params, int64_t now_us,
               PlanScratch *scratch, PlanRow *rows, PlanTotals *ret_totals)
{
    Beat beat = {.host = host,
                 .servers = servers,
                 .demands = demands,
                 .tracks = tracks,
                 .n = n,
                 .params = params,
                 .now_us = now_us,
                 .scratch = scratch,
                 .rows = rows};
    PlanTotals totals = {.ledger = ledger_make(host, servers, n, params), .floors_bytes = floors_sum(&beat)};
    totals.infeasible = totals.floors_bytes > host->pool_bytes;
    beat.free_bytes = totals.ledger.free_bytes;
    beat.over_bytes = totals.ledger.over_bytes;
    if (!rule_on(params, RULE_PAY_FIRST))
        beat.free_bytes = host->pool_bytes;
    uint64_t free_before = beat.free_bytes;
    for (size_t i = 0; i < n; i++)
        begin_row(&beat, i, allocations[i]);
    for (size_t i = 0; i < n; i++)
        free_moves(&beat, i);
    plan_grants(&beat);
    totals.granted_bytes = free_before - beat.free_bytes;
    plan_reclaims(&beat);
    finish_rows(&beat, &totals);
    *ret_totals = totals;
}

uint64_t plan_needed_of(const MoveState *state, const PolicyParams *params, int64_t now_us)
{
    if (state->needed_bytes == 0)
        return 0;
    double half_lives = (double)(now_us - state->needed_us) / (double)params->needed_half_life_us;
    return u64_from_double((double)state->needed_bytes * exp2(-half_lives));
}

static void note_need(MoveState *state, uint64_t bytes, const PolicyParams *params, int64_t now_us)
{
    state->needed_bytes = u64_add_sat(plan_needed_of(state, params, now_us), bytes);
    state->needed_us = now_us;
}

/* Who needs more within moments of its last grant has used what that brought in advance. */
static void note_grant(MoveState *state, const ServerFacts *facts, const PlanRow *row,
                       const PolicyParams *params, int64_t now_us)
{
    if (row->needed_bytes == 0)
        return;
    bool at_once = now_us - state->last_up_us < params->turn_us;
    note_need(state, u64_add_sat(row->needed_bytes, at_once ? state->advance_bytes : 0), params, now_us);
    uint64_t granted = u64_sub_sat(row->target_bytes, facts->target_bytes);
    state->advance_bytes = u64_sub_sat(granted, row->needed_bytes);
}

/* A fall down to @bytes may yet be our own doing. */
static void note_doubt(MoveState *state, uint64_t bytes, int64_t now_us)
{
    bool lately = state->doubt_us != 0 && now_us - state->doubt_us < LATE_US;
    state->doubt_bytes = lately ? u64_min(state->doubt_bytes, bytes) : bytes;
    state->doubt_us = now_us;
}

void plan_carried_out(MoveState *state, const ServerFacts *facts, const PlanRow *row,
                      const PolicyParams *params, int64_t now_us)
{
    bool down = row->move == MOVE_RECLAIM_URGENT || row->move == MOVE_RECLAIM_CALM ||
                (row->move == MOVE_NUDGE && row->target_bytes < facts->target_bytes);
    if (down) {
        state->last_down_us = now_us;
        state->reclaim_sample_us = facts->sample_us;
        state->advance_bytes = 0;
        state->reached = false;
    } else {
        /* A guest that was on its way down may hear late that it is called back. */
        if (facts->balloon_bytes > u64_add_sat(facts->target_bytes, params->quantum_bytes))
            note_doubt(state, facts->target_bytes, now_us);
        note_grant(state, facts, row, params, now_us);
        state->last_up_us = now_us;
        state->reached = facts->balloon_bytes <= row->target_bytes;
    }
    state->asked_us = 0;
    state->foreign = false;
    state->last_step_us = now_us;
}

void plan_dropped(MoveState *state)
{
    state->asked_us = 0;
}

void plan_uncertain(MoveState *state, int64_t now_us)
{
    if (state->asked_us == 0)
        return;
    note_doubt(state, state->asked_bytes, now_us);
    state->asked_us = 0;
}
