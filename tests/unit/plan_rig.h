/* Rig: a host of a few servers that the whole policy decides for, turn by turn; balloons follow at once or not at all. */
#pragma once
#include "policy_rig.h"

#define RIG_SERVERS_MAX 6

typedef struct {
    PolicyParams params;
    HostFacts host;
    ServerFacts servers[RIG_SERVERS_MAX];
    ServerTrack tracks[RIG_SERVERS_MAX];
    uint64_t used[RIG_SERVERS_MAX];
    size_t n;
    int64_t now_us;
    Decision *decision;
} Rig;

/* What all tests of a program have reached. */
extern bool rig_seen_moves[MOVE_N], rig_seen_waits[WAIT_N];

/* rig_new: a host without servers; rig_clear frees what it holds. */
Rig rig_new(uint64_t pool, uint64_t slack);
void rig_clear(Rig *rig);

/* rig_add: one more guest of @maximum at balloon size @balloon that uses @used; returns what is known of it, the rig's own. */
ServerFacts *rig_add(Rig *rig, uint64_t maximum, uint64_t balloon, uint64_t used);

/* rig_decide: one decision now; returns its rows, one for each server, the rig's own and good until the next. */
const PlanRow *rig_decide(Rig *rig);

/* rig_act: every row is accepted; balloons follow at once where @obeys. */
void rig_act(Rig *rig, bool obeys);

/* rig_pass: @elapsed_us go by, and where @samples every guest says what it uses now. */
void rig_pass(Rig *rig, int64_t elapsed_us, bool samples);

/* rig_beat: the last decision carried out by guests that obey, and the next one @elapsed_us later with fresh samples. */
const PlanRow *rig_beat(Rig *rig, int64_t elapsed_us);

#define assert_row(row, wanted_move, wanted_wait)                                                            \
    do {                                                                                                     \
        g_assert_cmpstr(move_name((row).move), ==, move_name(wanted_move));                                  \
        g_assert_cmpstr(wait_name((row).wait), ==, wait_name(wanted_wait));                                  \
    } while (0)
