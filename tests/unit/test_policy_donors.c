/* What is taken from whom while others burst: at full speed, from who leaves it unused, and never what its own burst touches next. */
#include "burst_rig.h"

/* The first server has grown by 50 MiB; the two others use a tenth of what they have. */
static void bench_begin_beside_donors(Bench *bench)
{
    bench_begin(bench, 100 * MIB);
    for (int i = 1; i < 3; i++) {
        rig_sample(&bench->servers[i], 400 * MIB, 40 * MIB, START_US);
        bench->servers[i].minimum_bytes = 64 * MIB;
    }
    bench_look(bench, 0, 0);
    bench_decide(bench);
    for (int i = 0; i < 10; i++)
        bench_look(bench, 0, 5 * MIB);
    rig_sample(&bench->servers[0], 400 * MIB, 230 * MIB, bench->now_us);
    for (int i = 1; i < 3; i++)
        rig_sample(&bench->servers[i], 400 * MIB, 40 * MIB, bench->now_us);
}

/* While somebody bursts donors give at full speed, although nobody waits yet. */
static void test_slack_is_refilled_fast(void)
{
    Bench bench;
    bench_begin_beside_donors(&bench);
    bench.params.pace_bytes_per_s = MIB;
    bench_decide(&bench);
    g_assert_false(bench.decision->totals.someone_waits);
    g_assert_cmpuint(bench.decision->totals.reclaiming_bytes, >, 50 * MIB);
    bench_end(&bench);
}

/* Donors that have risen a moment ago are left alone, but for what they leave unused of it. */
static void test_risen_donors(void)
{
    static const struct {
        uint64_t unused_bytes;
        bool gives;
    } cases[] = {{UNKNOWN, false}, {20 * MIB, false}, {340 * MIB, true}};
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        for (int i = 1; i < 3; i++) {
            bench.servers[i].unused_bytes = cases[k].unused_bytes;
            bench.tracks[i].move.last_up_us = bench.now_us - SECOND_US;
        }
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->totals.reclaiming_bytes > 0, ==, cases[k].gives);
        bench_end(&bench);
    }
}

/* The second server has been asked for 32 MiB less than its allocation a second ago. */
static void bench_ask_a_donor(Bench *bench)
{
    bench_decide(bench);
    PlanRow asked = bench->decision->rows[1];
    asked.move = MOVE_RECLAIM_CALM;
    asked.target_bytes = asked.allocation_bytes - 32 * MIB;
    plan_carried_out(&bench->tracks[1].move, &bench->servers[1], &asked, &bench->params, bench->now_us);
    bench->servers[1].target_bytes = asked.target_bytes;
    bench->now_us += SECOND_US;
}

/* What was asked of a donor is called off for surplus that is its own again, but not while another one bursts. */
static void test_called_off_unless_others_burst(void)
{
    enum { OTHER, NOBODY, ITSELF };
    for (int bursts = OTHER; bursts <= ITSELF; bursts++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench_ask_a_donor(&bench);
        for (int k = 0; k < 5 && bursts != NOBODY; k++)
            bench_look(&bench, bursts == ITSELF ? 1 : 0, 2 * MIB);
        for (int i = 0; i < 3; i++)
            bench.servers[i].sample_us = bench.now_us;
        bench_decide(&bench);
        g_assert_cmpint(bench.decision->scratch.expected_bytes > 0, ==, bursts != NOBODY);
        g_assert_cmpint(bench.decision->rows[1].move == MOVE_WITHDRAW, ==, bursts != OTHER);
        bench_end(&bench);
    }
}

/* What it has begun to swap for, or is silent about, it keeps, whoever bursts. */
static void test_called_off_for_trouble(void)
{
    enum { NONE, FAULTS, SILENT };
    for (int trouble = NONE; trouble <= SILENT; trouble++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench_ask_a_donor(&bench);
        bench.now_us += 4 * SECOND_US;
        for (int k = 0; k < 5; k++)
            bench_look(&bench, 0, 2 * MIB);
        for (int i = 0; i < 3; i++)
            bench.servers[i].sample_us = i == 1 && trouble == SILENT ? START_US : bench.now_us;
        if (trouble == FAULTS)
            bench.servers[1].major_faults += 10000;
        bench_decide(&bench);
        g_assert_cmpuint(bench.decision->scratch.expected_bytes, >, 0);
        g_assert_cmpint(bench.decision->demands[1].faulting, ==, trouble == FAULTS);
        g_assert_cmpint(bench.decision->demands[1].stale, ==, trouble == SILENT);
        const PlanRow *row = &bench.decision->rows[1];
        g_assert_cmpint(row->move == MOVE_WITHDRAW, ==, trouble != NONE);
        g_assert_cmpint(row->target_bytes == 400 * MIB, ==, trouble != NONE);
        bench_end(&bench);
    }
}

/* Nobody gives before it has arrived where it was lifted to, unless somebody waits. */
static void test_rising_donor(void)
{
    for (int rises = 0; rises < 2; rises++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        for (int i = 1; i < 3; i++) {
            bench.servers[i].unused_bytes = 340 * MIB;
            bench.tracks[i].move.last_up_us = bench.now_us - SECOND_US;
        }
        if (rises)
            bench.servers[1].balloon_bytes -= 50 * MIB;
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[1].move, ==, rises ? MOVE_NONE : MOVE_RECLAIM_CALM);
        g_assert_cmpint(bench.decision->rows[2].move, ==, MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* Nobody is asked for a small piece: it would cost the donor and the hypervisor as much as a large one. */
static void test_no_small_pieces(void)
{
    static const struct {
        uint64_t maximum_bytes, gives_bytes;
        bool gives;
    } cases[] = {
        {GIB, 12 * MIB, false},
        {GIB, 20 * MIB, true},
        {400 * MIB, 12 * MIB, false}, /* a 32nd is 12.5 */
        {400 * MIB, 13 * MIB, true},
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench.servers[1].maximum_bytes = cases[k].maximum_bytes;
        bench.servers[1].minimum_bytes = 400 * MIB - cases[k].gives_bytes;
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[1].move, ==, cases[k].gives ? MOVE_RECLAIM_CALM : MOVE_NONE);
        g_assert_cmpint(bench.decision->rows[2].move, ==, MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* Nor a large one for what is within its band. */
static void test_nothing_within_the_band(void)
{
    for (int within = 0; within < 2; within++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench.host.pool_bytes += 5 * GIB - 400 * MIB;
        bench.servers[1] = rig_server(8 * GIB, 5 * GIB, 40 * MIB, bench.now_us);
        bench.servers[1].minimum_bytes = 5 * GIB - (within ? 20 : 30) * MIB; /* 0.5 % are 25 */
        bench.tracks[1] = (ServerTrack){0};
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[1].move, ==, within ? MOVE_NONE : MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* Where less than such a piece is still wanted a whole one is asked for. */
static void test_little_wanted(void)
{
    Bench bench;
    bench_begin_beside_donors(&bench);
    bench.servers[2].hold = HOLD_PAUSED;
    bench_decide(&bench);
    uint64_t wanted = bench.host.slack_bytes + bench.decision->scratch.expected_bytes;
    uint64_t left = bench.decision->totals.ledger.free_bytes - bench.decision->totals.granted_bytes;
    bench.host.pool_bytes += wanted - left - 5 * MIB;
    bench_decide(&bench);
    g_assert_cmpuint(bench.decision->rows[1].target_bytes, ==, 400 * MIB - 16 * MIB);
    bench_end(&bench);
}

/* Two donors leave much unused; one of them may begin to burst as well, by @grown a look. */
static void bench_burst_a_donor(Bench *bench, uint64_t grown)
{
    for (int i = 1; i < 3; i++)
        bench->servers[i].unused_bytes = 340 * MIB;
    for (int i = 0; i < 5 && grown > 0; i++)
        bench_look(bench, 1, grown);
    for (int i = 0; i < 2; i++)
        bench_look(bench, 0, 5 * MIB);
    bench_decide(bench);
    g_assert_false(bench->decision->totals.someone_waits);
    g_assert_cmpint(bench->decision->rows[2].move, ==, MOVE_RECLAIM_CALM);
}

/* Enough is free for all bursts: what is wanted beyond that comes from who does not burst. */
static void test_bursts_give_nothing_calmly(void)
{
    for (int bursts = 0; bursts < 2; bursts++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench.host.pool_bytes += 300 * MIB;
        bench.params.pace_bytes_per_s = 8 * MIB; /* one alone is not enough */
        bench_burst_a_donor(&bench, bursts ? 4 * MIB : 0);
        g_assert_cmpint(bench.decision->rows[1].move, ==, bursts ? MOVE_NONE : MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* Where it is not enough they give as well, but not what they are about to touch. */
static void test_bursts_keep_what_they_touch_next(void)
{
    Bench bench;
    bench_begin_beside_donors(&bench);
    bench_burst_a_donor(&bench, 30 * MIB);
    const PlanRow *row = &bench.decision->rows[1];
    uint64_t expected =
        plan_expected_of(&bench.servers[1], &bench.tracks[1].burst, &bench.params, bench.now_us);
    uint64_t kept = bench.decision->demands[1].floor_bytes + expected;
    g_assert_cmpint(row->move, ==, MOVE_RECLAIM_CALM);
    g_assert_cmpuint(row->target_bytes, >=, kept);
    g_assert_cmpuint(row->target_bytes, <, kept + MIB);
    bench_end(&bench);
}

/* What its own burst was granted in advance is no sign that it has risen for something that is over. */
static void test_bursts_keep_large_steps(void)
{
    for (int granted = 0; granted < 2; granted++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        bench.tracks[1] = (ServerTrack){0};
        bench.host.pool_bytes -= 130 * MIB;
        rig_sample(&bench.servers[1], 270 * MIB, 40 * MIB, bench.now_us);
        bench.servers[1].target_bytes = bench.servers[1].sample_balloon_bytes = 270 * MIB;
        bench.servers[1].available_bytes = bench.servers[1].unused_bytes = 230 * MIB;
        bench_decide(&bench); /* the policy meets it */
        for (int i = 0; i < 6; i++)
            bench_look(&bench, 1, 4 * MIB);
        for (int i = 0; i < 2; i++)
            bench_look(&bench, 0, 5 * MIB);
        bench.tracks[1].move.last_up_us = bench.now_us - SECOND_US;
        bench.tracks[1].burst.granted = granted == 1;
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[1].move, ==, granted ? MOVE_NONE : MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* What it has been seen to touch since it spoke is not taken for those who wait. */
static void test_touched_is_kept(void)
{
    Bench bench;
    bench_begin(&bench, 0);
    ServerFacts *large = &bench.servers[0];
    large->target_bytes = large->balloon_bytes = large->sample_balloon_bytes = 900 * MIB;
    large->available_bytes = large->unused_bytes = 900 * MIB - 200 * MIB;
    for (int i = 1; i < 3; i++) {
        rig_sample(&bench.servers[i], 400 * MIB, 390 * MIB, START_US);
        bench.servers[i].resident_bytes = 400 * MIB;
    }
    bench.host.pool_bytes += 500 * MIB;
    bench_look(&bench, 0, 0);
    bench_decide(&bench);
    g_assert_true(bench.decision->totals.someone_waits);
    uint64_t said = bench.decision->rows[0].target_bytes, floor_said = bench.decision->demands[0].floor_bytes;
    bench.tracks[0].move.reclaim_sample_us = 0;
    for (int i = 0; i < 40; i++)
        bench_look(&bench, 0, 10 * MIB);
    bench_decide(&bench);
    g_assert_cmpint(bench.decision->rows[0].move, ==, MOVE_RECLAIM_URGENT);
    g_assert_cmpuint(bench.decision->demands[0].floor_bytes, ==, floor_said + 400 * MIB);
    g_assert_cmpuint(bench.decision->rows[0].target_bytes, >, said + 150 * MIB);
    bench_end(&bench);
}

/* One that bursts and has room keeps it, unless another one bursts as well or waits. */
static void test_bursts_alone(void)
{
    for (int both = 0; both < 2; both++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        ServerFacts *large = &bench.servers[0];
        large->target_bytes = large->balloon_bytes = large->sample_balloon_bytes = 900 * MIB;
        large->available_bytes = 900 * MIB - 230 * MIB;
        large->unused_bytes = 600 * MIB;
        bench.host.pool_bytes += 500 * MIB;
        for (int i = 0; i < 5 && both; i++)
            bench_look(&bench, 1, 4 * MIB);
        for (int i = 0; i < 2; i++)
            bench_look(&bench, 0, 4 * MIB);
        bench_decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[0].move == MOVE_RECLAIM_CALM, ==, both == 1);
        bench_end(&bench);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/donors/slack-refilled-fast", test_slack_is_refilled_fast);
    g_test_add_func("/donors/risen-donors", test_risen_donors);
    g_test_add_func("/donors/rising-donors", test_rising_donor);
    g_test_add_func("/donors/called-off", test_called_off_unless_others_burst);
    g_test_add_func("/donors/called-off-for-trouble", test_called_off_for_trouble);
    g_test_add_func("/donors/no-small-pieces", test_no_small_pieces);
    g_test_add_func("/donors/within-the-band", test_nothing_within_the_band);
    g_test_add_func("/donors/little-wanted", test_little_wanted);
    g_test_add_func("/donors/give-nothing-calmly", test_bursts_give_nothing_calmly);
    g_test_add_func("/donors/keep-what-they-touch-next", test_bursts_keep_what_they_touch_next);
    g_test_add_func("/donors/keep-large-steps", test_bursts_keep_large_steps);
    g_test_add_func("/donors/touched-is-kept", test_touched_is_kept);
    g_test_add_func("/donors/alone", test_bursts_alone);
    return g_test_run();
}
