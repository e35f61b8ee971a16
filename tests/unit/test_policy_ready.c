/* What is kept ready in the pool, and the slack: who fills them, how fast, and with what. */
#include "plan_rig.h"

/* What a guest does not use at all, and nobody needs, is divided between it and the pool; its cache is left to it. */
static void test_kept_ready(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig_add(&rig, 8 * GIB, 4 * GIB, GIB);
    rig_add(&rig, 8 * GIB, 4 * GIB, GIB);
    rig.servers[1].unused_bytes = 200 * MIB; /* the rest is cache */
    rig_decide(&rig);
    for (int i = 0; i < 120; i++) {
        rig.servers[0].unused_bytes = rig.servers[0].balloon_bytes - GIB;
        rig_beat(&rig, SECOND_US);
    }
    const PlanRow *rows = rig.decision->rows;
    uint64_t need = rig.decision->demands[0].need_bytes, pool = rig.host.pool_bytes;
    g_assert_cmpuint(rows[0].allocation_bytes, ==, rows[1].allocation_bytes);
    g_assert_cmpuint(u64_distance(rows[0].allocation_bytes, need + (pool - 2 * need) / 4), <, MIB);
    g_assert_cmpuint(rows[0].target_bytes, <, rows[0].allocation_bytes / 100 * 102);
    g_assert_cmpuint(rows[1].target_bytes, >, 4 * GIB - 200 * MIB);
    assert_row(rows[0], MOVE_NONE, WAIT_SETTLED);
    assert_row(rows[1], MOVE_NONE, WAIT_NOT_NEEDED);
    rig_clear(&rig);
}

/* One that falls silent will want its memory again: the others are not lent for it what was kept ready. */
static void test_ready_beside_silent(void)
{
    Rig rig = rig_new(8 * GIB, GIB / 2);
    for (int i = 0; i < 3; i++)
        rig_add(&rig, 4 * GIB, GIB, GIB / 2);
    rig_decide(&rig);
    rig_pass(&rig, 4 * SECOND_US, true);
    rig.servers[2].sample_us = START_US;
    const PlanRow *rows = rig_decide(&rig);
    g_assert_true(rig.decision->demands[2].stale);
    uint64_t room = 8 * GIB - GIB / 2 - GIB - 2 * rig.decision->demands[0].need_bytes;
    uint64_t share = rig.decision->demands[0].need_bytes + room / 4;
    g_assert_cmpuint(u64_distance(rows[0].allocation_bytes, share), <, MIB);
    rig_clear(&rig);
}

/* Whose surplus only has to wait because it gave a moment ago gets it from the pool: nobody's cache is asked for it. */
static void test_no_levelling_while_free(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig_add(&rig, 8 * GIB, 3 * GIB / 2, GIB);
    rig_add(&rig, 8 * GIB, 4 * GIB, GIB);
    rig_decide(&rig);
    rig.tracks[0].move.last_down_us = rig.now_us - SECOND_US;
    rig_pass(&rig, SECOND_US, true);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_NONE, WAIT_PACE);
    g_assert_cmpuint(rows[0].allocation_bytes, >, 2 * GIB);
    assert_row(rows[1], MOVE_NONE, WAIT_NOT_NEEDED);
    for (int i = 0; i < 6; i++)
        rows = rig_beat(&rig, SECOND_US);
    g_assert_cmpuint(rig.servers[0].target_bytes, >, 2 * GIB);
    g_assert_cmpuint(rig.servers[1].target_bytes, ==, 4 * GIB);
    rig_clear(&rig);
}

/* Whoever has risen a moment ago fills up half of what is kept ready, and nobody's surplus, with what it does not use at all. */
static void test_ready_from_risen(void)
{
    static const struct {
        uint64_t free_bytes, unused_bytes, gives_bytes;
    } cases[] = {{0, 3 * GIB, 48 * MIB}, {0, GIB / 2, 0}, {0, UNKNOWN, 0}, {4 * GIB, 3 * GIB, 0}};
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Rig rig = rig_new(6 * GIB + cases[k].free_bytes, 0);
        rig_add(&rig, 8 * GIB, 5 * GIB, GIB)->unused_bytes = cases[k].unused_bytes;
        rig_add(&rig, 8 * GIB, GIB, GIB / 2);
        rig_decide(&rig); /* the policy meets them */
        rig.tracks[0].move.last_up_us = rig.now_us - SECOND_US;
        rig.tracks[0].move.reclaim_sample_us = 0;
        rig.servers[0].target_bytes = rig.servers[0].balloon_bytes;
        const PlanRow *rows = rig_decide(&rig);
        g_assert_cmpuint(rig.servers[0].target_bytes - rows[0].target_bytes, ==, cases[k].gives_bytes);
        rig_clear(&rig);
    }
}

/* Needs come in swarms: after one, what lies unused and is scarce is given four times as fast. */
static void test_quick_after_needs(void)
{
    static const struct {
        uint64_t slack_bytes, needed_bytes, unused_bytes, gives_bytes;
    } cases[] = {
        {GIB / 2, GIB / 2, 3 * GIB, 192 * MIB},
        {GIB / 2, GIB / 4, 3 * GIB, 48 * MIB},     /* little was needed */
        {GIB / 2, GIB / 2, 3 * GIB / 2, 48 * MIB}, /* cache */
        {100 * MIB, 60 * MIB, 3 * GIB, 48 * MIB},  /* much of a small slack is little */
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Rig rig = rig_new(5 * GIB, cases[k].slack_bytes);
        rig_add(&rig, 8 * GIB, 5 * GIB, GIB)->unused_bytes = cases[k].unused_bytes;
        rig_decide(&rig); /* the policy meets it */
        MoveState *move = &rig.tracks[0].move;
        move->needed_us = rig.now_us;
        move->needed_bytes = cases[k].needed_bytes;
        move->reclaim_sample_us = 0;
        const PlanRow *rows = rig_decide(&rig);
        g_assert_cmpuint(5 * GIB - rows[0].target_bytes, ==, cases[k].gives_bytes);
        rig_clear(&rig);
    }
}

/* A grant beyond the need is no need: who is given plenty makes no swarm. */
static void test_surplus_is_no_need(void)
{
    Rig rig = rig_new(8 * GIB, GIB / 2);
    rig_add(&rig, 8 * GIB, GIB, GIB - 100 * MIB);
    rig_decide(&rig);
    const PlanRow *row = rig.decision->rows;
    uint64_t lacks = rig.decision->demands[0].need_bytes - GIB;
    assert_row(*row, MOVE_GRANT_NEED, WAIT_NONE);
    g_assert_cmpuint(row->target_bytes, >, 2 * GIB);
    rig_act(&rig, true);
    g_assert_cmpuint(rig.tracks[0].move.needed_bytes, ==, lacks);
    rig_clear(&rig);
}

/* Nor is what the rescue of one in distress brings beyond its need. */
static void test_distress_is_need(void)
{
    Rig rig = rig_new(8 * GIB, GIB / 2);
    rig_add(&rig, 8 * GIB, GIB, GIB - 200 * MIB);
    rig_decide(&rig);
    rig.servers[0].target_bytes = GIB;
    rig.tracks[0].move.needed_bytes = 0;
    rig.servers[0].balloon_bytes = GIB + 256 * MIB; /* it deflated by itself */
    rig.used[0] = GIB + 240 * MIB;
    rig_pass(&rig, SECOND_US, true);
    const PlanRow *row = rig_decide(&rig);
    assert_row(*row, MOVE_DISTRESS, WAIT_NONE);
    uint64_t need = rig.decision->demands[0].need_bytes;
    g_assert_cmpuint(row->target_bytes, >, need + GIB);
    g_assert_cmpuint(row->needed_bytes, ==, need - GIB);
    rig_clear(&rig);
}

/* Less than all that is to be kept ready is free, and more than half of it: that is scarce only where much was needed of late. */
static void test_scarce_after_needs(void)
{
    for (int needed = 0; needed < 2; needed++) {
        Rig rig = rig_new(6 * GIB, GIB / 2);
        rig_add(&rig, 8 * GIB, 4 * GIB, GIB)->unused_bytes = 3 * GIB;
        rig_decide(&rig); /* the policy meets it */
        MoveState *move = &rig.tracks[0].move;
        move->last_up_us = rig.now_us - SECOND_US;
        move->needed_us = rig.now_us;
        move->needed_bytes = needed ? GIB : 0;
        move->reclaim_sample_us = 0;
        rig_decide(&rig);
        uint64_t free_bytes = rig.decision->totals.ledger.free_bytes,
                 kept = rig.decision->scratch.ready_bytes;
        g_assert_cmpuint(free_bytes, >, GIB / 2 + kept / 2);
        g_assert_cmpuint(free_bytes, <, GIB / 2 + kept);
        g_assert_cmpint(rig.decision->rows[0].move, ==, needed ? MOVE_RECLAIM_CALM : MOVE_NONE);
        rig_clear(&rig);
    }
}

/* With room for everybody's maximum nothing is kept back. */
static void test_nothing_to_keep(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig_add(&rig, 4 * GIB, GIB, GIB / 2);
    rig_add(&rig, 4 * GIB, GIB, GIB / 2);
    const PlanRow *rows = rig_decide(&rig);
    g_assert_cmpuint(rows[0].allocation_bytes, ==, 4 * GIB);
    g_assert_cmpuint(rows[1].allocation_bytes, ==, 4 * GIB);
    rig_clear(&rig);
}

/* Whoever has risen a moment ago fills the slack only with what it does not use at all: free pages beyond its headroom. */
static void test_slack_from_risen(void)
{
    static const struct {
        uint64_t balloon_bytes, unused_bytes, gives_bytes;
    } cases[] = {
        {5 * GIB, 3 * GIB, 48 * MIB},
        {5 * GIB, GIB / 2, 0},
        {5 * GIB, UNKNOWN, 0},
        /* 1222.4 are needed, 198.4 of those headroom. */
        {1284 * MIB, 260 * MIB, 48 * MIB},
        {1284 * MIB, 240 * MIB, 41 * MIB},
        {1284 * MIB, 215 * MIB, 0},
        {1236 * MIB, 212 * MIB, 0},
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Rig rig = rig_new(cases[k].balloon_bytes, GIB);
        rig_add(&rig, 8 * GIB, cases[k].balloon_bytes, GIB)->unused_bytes = cases[k].unused_bytes;
        rig_decide(&rig); /* the policy meets it */
        rig.tracks[0].move.last_up_us = rig.now_us - SECOND_US;
        const PlanRow *rows = rig_decide(&rig);
        g_assert_cmpuint(cases[k].balloon_bytes - rows[0].target_bytes, ==, cases[k].gives_bytes);
        rig_clear(&rig);
    }
}

static void test_slack_refill(void)
{
    Rig rig = rig_new(8 * GIB, GIB);
    rig_add(&rig, 8 * GIB, 8 * GIB, GIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_RECLAIM_CALM, WAIT_NONE);
    for (int i = 0; i < 40; i++)
        rows = rig_beat(&rig, SECOND_US);
    assert_row(rows[0], MOVE_NONE, WAIT_NOT_NEEDED); /* the last sixteenth */
    g_assert_cmpuint(rig.decision->totals.ledger.free_bytes, >=, GIB / 16 * 15);
    rig_clear(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/ready/kept-ready", test_kept_ready);
    g_test_add_func("/policy/ready/ready-beside-silent", test_ready_beside_silent);
    g_test_add_func("/policy/ready/no-levelling-while-free", test_no_levelling_while_free);
    g_test_add_func("/policy/ready/ready-from-risen", test_ready_from_risen);
    g_test_add_func("/policy/ready/quick-after-needs", test_quick_after_needs);
    g_test_add_func("/policy/ready/surplus-is-no-need", test_surplus_is_no_need);
    g_test_add_func("/policy/ready/distress-is-need", test_distress_is_need);
    g_test_add_func("/policy/ready/scarce-after-needs", test_scarce_after_needs);
    g_test_add_func("/policy/ready/nothing-to-keep", test_nothing_to_keep);
    g_test_add_func("/policy/ready/slack-from-risen", test_slack_from_risen);
    g_test_add_func("/policy/ready/slack-refill", test_slack_refill);
    return g_test_run();
}
