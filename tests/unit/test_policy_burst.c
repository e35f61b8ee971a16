/* Bursts as residency shows them: when one begins and ends, what it is granted, and what is refused. */
#include "policy_rig.h"

#define MS INT64_C(1000)

/* A pool, and servers whose residency is looked at every 20 ms. */
typedef struct {
    PolicyParams params;
    HostFacts host;
    ServerFacts servers[3];
    ServerTrack tracks[3];
    Decision *decision, *looking;
    int64_t now_us;
} Bench;

/* Three servers of 1 GiB: each has 400 MiB and uses 200. */
static void bench_begin(Bench *bench, uint64_t free_bytes)
{
    *bench = (Bench){.params = policy_params_default(), .now_us = START_US};
    for (int i = 0; i < 3; i++) {
        bench->servers[i] = rig_server(GIB, 400 * MIB, 200 * MIB, START_US);
        bench->servers[i].resident_bytes = 210 * MIB;
    }
    bench->host = (HostFacts){.pool_bytes = 1200 * MIB + free_bytes, .slack_bytes = free_bytes};
    bench->decision = decision_new();
    bench->looking = decision_new();
}

static void bench_end(Bench *bench)
{
    decision_free(bench->decision);
    decision_free(bench->looking);
}

static void decide(Bench *bench)
{
    decision_make(&bench->host, bench->servers, bench->tracks, 3, &bench->params, bench->now_us,
                  bench->decision);
}

/* One look 20 ms later, at which server @i has grown by @grown. */
static bool look(Bench *bench, int i, uint64_t grown)
{
    bench->now_us += 20 * MS;
    bench->servers[i].resident_bytes += grown;
    bool bursting = false;
    for (int k = 0; k < 3; k++) {
        bool one = burst_look(&bench->tracks[k].burst, 1, bench->servers[k].resident_bytes + 100 * MIB,
                              &bench->params, bench->now_us);
        bursting = k == i ? one : bursting;
    }
    return bursting;
}

static size_t grant(Bench *bench, bool someone_waits)
{
    return decision_bursts(&bench->host, bench->servers, bench->decision->demands, bench->tracks,
                           bench->decision->rows, someone_waits, 3, &bench->params, bench->now_us,
                           bench->looking);
}

static void settle(Bench *bench)
{
    look(bench, 0, 0);
    decide(bench);
    look(bench, 0, 0);
    g_assert_cmpuint(grant(bench, false), ==, 0);
}

static void test_begins_and_ends(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    g_assert_false(look(&bench, 0, 2 * MIB)); /* fast, but too little yet */
    g_assert_true(look(&bench, 0, 2 * MIB));
    for (int i = 0; i < 14; i++)
        g_assert_true(look(&bench, 0, 0)); /* a guest that is not scheduled for a moment */
    for (int i = 0; i < 3; i++)
        look(&bench, 0, 0);
    g_assert_false(look(&bench, 0, 0));
    bench_end(&bench);
}

static void test_slow_growth_is_none(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    for (int i = 0; i < 100; i++)
        g_assert_false(look(&bench, 0, MIB / 2)); /* 25 MiB/s */
    bench_end(&bench);
}

static void test_unknown_residency(void)
{
    BurstState state = {0};
    PolicyParams params = policy_params_default();
    int64_t now_us = START_US;
    const uint64_t looks[] = {100 * MIB, UNKNOWN, 200 * MIB, UNKNOWN, 400 * MIB, 0, UNKNOWN - 1};
    for (gsize i = 0; i + 1 < G_N_ELEMENTS(looks); i++)
        g_assert_false(burst_look(&state, 1, looks[i], &params, now_us += 20 * MS));
    g_assert_true(burst_look(&state, 1, looks[6], &params, now_us += 20 * MS)); /* absurd, and bounded */
    g_assert_cmpuint(burst_expected_bytes(&state, &params), <=, UINT64_C(1) << 63);
    g_assert_false(burst_look(&state, 2, 900 * MIB, &params, now_us += 20 * MS)); /* another boot */
}

static void test_first_grant_at_once(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    g_assert_true(look(&bench, 0, 4 * MIB));
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    const PlanRow *row = &bench.looking->rows[0];
    g_assert_cmpint(row->move, ==, MOVE_GRANT_NEED);
    g_assert_cmpuint(row->target_bytes, ==, 416 * MIB); /* the first step: it still has room */
    g_assert_cmpint(bench.looking->rows[1].move, ==, MOVE_NONE);
    g_assert_cmpuint(bench.looking->rows[1].target_bytes, ==, 400 * MIB);

    /* Not again, but what it needs as it goes on. */
    bench.tracks[0].burst.granted = true;
    bench.servers[0].target_bytes = bench.servers[0].balloon_bytes = 416 * MIB;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    for (int i = 0; i < 20; i++)
        look(&bench, 0, 4 * MIB);
    bench.host.slack_bytes = 100 * MIB; /* with all of the slack left */
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    uint64_t resident = bench.servers[0].resident_bytes;
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, >, resident + 96 * MIB + 100 * MIB);
    bench_end(&bench);
}

/* Of a slack that is not whole nobody gets what he will not touch soon: it is there for who bursts next. */
static void test_scarce_slack_is_kept(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    bench.host.slack_bytes = 240 * MIB;
    bench.tracks[0].burst.granted = true;
    for (int i = 0; i < 25; i++)
        look(&bench, 0, 4 * MIB);
    /* Room for 90 MiB at 200 MiB/s lasts 0.45 s. */
    g_assert_cmpuint(bench.servers[0].resident_bytes, ==, 310 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    for (int i = 0; i < 3; i++)
        look(&bench, 0, 4 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    bench_end(&bench);
}

/* Free pages that are still resident are room as well: no first step for one that has enough of them. */
static void test_room(void)
{
    static const struct {
        uint64_t unused_bytes;
        size_t grants;
    } cases[] = {{UNKNOWN, 1}, {200 * MIB, 1}, {350 * MIB, 0}};
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Bench bench;
        bench_begin(&bench, 200 * MIB);
        bench.servers[0].resident_bytes = 390 * MIB;
        bench.servers[0].unused_bytes = cases[k].unused_bytes;
        settle(&bench);
        look(&bench, 0, 4 * MIB); /* 200 MiB/s */
        g_assert_cmpuint(grant(&bench, false), ==, cases[k].grants);
        bench_end(&bench);
    }
}

static void test_twitch(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    look(&bench, 0, 5 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    for (int i = 0; i < 30; i++)
        look(&bench, 0, 0);
    g_assert_true(look(&bench, 0, 5 * MIB)); /* the same again */
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    look(&bench, 0, 5 * MIB);
    look(&bench, 0, 5 * MIB);
    look(&bench, 0, 5 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1); /* this time it goes on */
    bench_end(&bench);
}

static void test_only_what_is_free(void)
{
    Bench bench;
    bench_begin(&bench, 10 * MIB);
    settle(&bench);
    look(&bench, 0, 5 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, >=, 409 * MIB); /* whole quanta */
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, <=, 410 * MIB);
    bench.host.pool_bytes = 1200 * MIB;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench.host.pool_bytes = 1100 * MIB; /* overcommitted */
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench_end(&bench);
}

static void test_shared_by_weight(void)
{
    Bench bench;
    bench_begin(&bench, 24 * MIB);
    settle(&bench);
    bench.servers[1].weight = 300;
    look(&bench, 0, 0);
    bench.servers[1].resident_bytes += 5 * MIB;
    look(&bench, 0, 5 * MIB);
    /* Shares per weight are levelled: the heavier one is served in full first. */
    g_assert_cmpuint(grant(&bench, false), ==, 2);
    g_assert_cmpuint(bench.looking->rows[1].target_bytes, ==, 416 * MIB);
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, <=, 408 * MIB);
    bench.servers[1].weight = 100;
    g_assert_cmpuint(grant(&bench, false), ==, 2);
    uint64_t first = bench.looking->rows[0].target_bytes, second = bench.looking->rows[1].target_bytes;
    g_assert_cmpuint(first, ==, second);
    g_assert_cmpuint(first + second, <=, 824 * MIB);
    bench_end(&bench);
}

static void test_others_wait(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    look(&bench, 0, 8 * MIB);
    /* By its weight a third of 1400 MiB is its own, and the last decision gave it no less. */
    bench.decision->rows[0].allocation_bytes = 405 * MIB;
    for (int i = 0; i < 30; i++)
        look(&bench, 0, 8 * MIB);
    g_assert_cmpuint(grant(&bench, true), ==, 1);
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, ==, 466 * MIB);
    bench.servers[0].target_bytes = bench.servers[0].balloon_bytes = 466 * MIB;
    g_assert_cmpuint(grant(&bench, true), ==, 0);
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    bench_end(&bench);
}

static void test_refused(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    look(&bench, 0, 8 * MIB);
    ServerFacts *facts = &bench.servers[0];
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    facts->busy = true;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    facts->busy = false;
    facts->hold = HOLD_PAUSED;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    facts->hold = HOLD_NO;
    facts->fixed = FIXED_NO_DRIVER;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    facts->fixed = FIXED_NO;
    facts->resident_bytes = UNKNOWN;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    facts->resident_bytes = 218 * MIB;
    bench.tracks[0].move.untaken = true;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench.tracks[0].move.untaken = false;
    bench.decision->demands[0].known = false;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench.decision->demands[0].known = true;
    facts->target_bytes = facts->balloon_bytes = GIB; /* all it was sold */
    bench.host.pool_bytes = 2 * GIB;
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench_end(&bench);
}

/* Residency grows by file cache just the same: the guest's word tells them apart. One that has used what it touched and let
 * it go again has free pages instead, and bursts the next time as well. */
static void test_cache(void)
{
    static const struct {
        uint64_t unused_bytes;
        bool granted;
    } cases[] = {{UNKNOWN, false}, {60 * MIB, false}, {190 * MIB, true}};
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Bench bench;
        bench_begin(&bench, 200 * MIB);
        settle(&bench);
        for (int sample = 0; sample < 3; sample++) {
            for (int i = 0; i < 10; i++)
                look(&bench, 0, 4 * MIB);
            rig_sample(&bench.servers[0], 400 * MIB, 202 * MIB, bench.now_us);
            bench.servers[0].unused_bytes = cases[k].unused_bytes;
            decide(&bench);
        }
        g_assert_true(bench.tracks[0].burst.bursting);
        look(&bench, 0, 4 * MIB);
        g_assert_cmpint(grant(&bench, false) > 0, ==, cases[k].granted);
        bench_end(&bench);
    }
}

/* The first server has grown by 50 MiB; the two others use a tenth of what they have. */
static void bench_begin_beside_donors(Bench *bench)
{
    bench_begin(bench, 100 * MIB);
    for (int i = 1; i < 3; i++) {
        rig_sample(&bench->servers[i], 400 * MIB, 40 * MIB, START_US);
        bench->servers[i].minimum_bytes = 64 * MIB;
    }
    look(bench, 0, 0);
    decide(bench);
    for (int i = 0; i < 10; i++)
        look(bench, 0, 5 * MIB);
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
    decide(&bench);
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
        decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->totals.reclaiming_bytes > 0, ==, cases[k].gives);
        bench_end(&bench);
    }
}

/* What was asked of a donor is called off for surplus that is its own again, but not while another one bursts. */
static void test_called_off_unless_others_burst(void)
{
    enum { OTHER, NOBODY, ITSELF };
    for (int bursts = OTHER; bursts <= ITSELF; bursts++) {
        Bench bench;
        bench_begin_beside_donors(&bench);
        decide(&bench);
        PlanRow asked = bench.decision->rows[1];
        asked.move = MOVE_RECLAIM_CALM;
        asked.target_bytes = asked.allocation_bytes - 32 * MIB;
        plan_carried_out(&bench.tracks[1].move, &bench.servers[1], &asked, &bench.params, bench.now_us);
        bench.servers[1].target_bytes = asked.target_bytes;
        bench.now_us += bursts == OTHER ? 0 : SECOND_US;
        for (int k = 0; k < 5 && bursts == ITSELF; k++)
            look(&bench, 1, 2 * MIB);
        for (int i = 0; i < 3 && bursts != OTHER; i++)
            bench.servers[i].sample_us = bench.now_us;
        decide(&bench);
        g_assert_cmpint(bench.decision->scratch.expected_bytes > 0, ==, bursts != NOBODY);
        g_assert_cmpint(bench.decision->rows[1].move == MOVE_WITHDRAW, ==, bursts != OTHER);
        bench_end(&bench);
    }
}

/* Nor does one give before it has arrived where it was lifted to, unless somebody waits. */
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
        decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[1].move, ==, rises ? MOVE_NONE : MOVE_RECLAIM_CALM);
        g_assert_cmpint(bench.decision->rows[2].move, ==, MOVE_RECLAIM_CALM);
        bench_end(&bench);
    }
}

/* Two donors leave much unused; one of them may begin to burst as well, by @grown a look. */
static void bench_burst_a_donor(Bench *bench, uint64_t grown)
{
    for (int i = 1; i < 3; i++)
        bench->servers[i].unused_bytes = 340 * MIB;
    for (int i = 0; i < 5 && grown > 0; i++)
        look(bench, 1, grown);
    for (int i = 0; i < 2; i++)
        look(bench, 0, 5 * MIB);
    decide(bench);
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
    look(&bench, 0, 0);
    decide(&bench);
    g_assert_true(bench.decision->totals.someone_waits);
    uint64_t said = bench.decision->rows[0].target_bytes, floor_said = bench.decision->demands[0].floor_bytes;
    bench.tracks[0].move.reclaim_sample_us = 0;
    for (int i = 0; i < 40; i++)
        look(&bench, 0, 10 * MIB);
    decide(&bench);
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
            look(&bench, 1, 4 * MIB);
        for (int i = 0; i < 2; i++)
            look(&bench, 0, 4 * MIB);
        decide(&bench);
        g_assert_false(bench.decision->totals.someone_waits);
        g_assert_cmpint(bench.decision->rows[0].move == MOVE_RECLAIM_CALM, ==, both == 1);
        bench_end(&bench);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/burst/begins-and-ends", test_begins_and_ends);
    g_test_add_func("/burst/slow-growth", test_slow_growth_is_none);
    g_test_add_func("/burst/unknown-residency", test_unknown_residency);
    g_test_add_func("/burst/first-grant", test_first_grant_at_once);
    g_test_add_func("/burst/room", test_room);
    g_test_add_func("/burst/twitch", test_twitch);
    g_test_add_func("/burst/only-what-is-free", test_only_what_is_free);
    g_test_add_func("/burst/by-weight", test_shared_by_weight);
    g_test_add_func("/burst/others-wait", test_others_wait);
    g_test_add_func("/burst/refused", test_refused);
    g_test_add_func("/burst/cache", test_cache);
    g_test_add_func("/burst/scarce-slack-kept", test_scarce_slack_is_kept);
    g_test_add_func("/burst/slack-refilled-fast", test_slack_is_refilled_fast);
    g_test_add_func("/burst/risen-donors", test_risen_donors);
    g_test_add_func("/burst/rising-donors", test_rising_donor);
    g_test_add_func("/burst/called-off", test_called_off_unless_others_burst);
    g_test_add_func("/burst/give-nothing-calmly", test_bursts_give_nothing_calmly);
    g_test_add_func("/burst/keep-what-they-touch-next", test_bursts_keep_what_they_touch_next);
    g_test_add_func("/burst/touched-is-kept", test_touched_is_kept);
    g_test_add_func("/burst/alone", test_bursts_alone);
    return g_test_run();
}
