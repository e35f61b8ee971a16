/* Bursts as residency shows them: when one begins and ends, what it is granted, and what is refused. */
#include "burst_rig.h"

static size_t grant(Bench *bench, bool someone_waits)
{
    return decision_bursts(&bench->host, bench->servers, bench->decision->demands, bench->tracks,
                           bench->decision->rows, someone_waits, 3, &bench->params, bench->now_us,
                           bench->looking);
}

static void settle(Bench *bench)
{
    bench_look(bench, 0, 0);
    bench_decide(bench);
    bench_look(bench, 0, 0);
    g_assert_cmpuint(grant(bench, false), ==, 0);
}

static void test_begins_and_ends(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    g_assert_false(bench_look(&bench, 0, 2 * MIB)); /* fast, but too little yet */
    g_assert_true(bench_look(&bench, 0, 2 * MIB));
    for (int i = 0; i < 14; i++)
        g_assert_true(bench_look(&bench, 0, 0)); /* a guest that is not scheduled for a moment */
    for (int i = 0; i < 3; i++)
        bench_look(&bench, 0, 0);
    g_assert_false(bench_look(&bench, 0, 0));
    bench_end(&bench);
}

static void test_slow_growth_is_none(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    for (int i = 0; i < 100; i++)
        g_assert_false(bench_look(&bench, 0, MIB / 2)); /* 25 MiB/s */
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
    g_assert_true(bench_look(&bench, 0, 4 * MIB));
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
        bench_look(&bench, 0, 4 * MIB);
    bench.host.slack_bytes = 100 * MIB; /* with all of the slack left */
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    uint64_t resident = bench.servers[0].resident_bytes;
    g_assert_cmpuint(bench.looking->rows[0].target_bytes, >, resident + 96 * MIB + 100 * MIB);
    bench_end(&bench);
}

/* A burst that goes on and needs a little more is granted a large step from what exceeds the slack, while nobody waits. */
static void test_large_steps(void)
{
    static const struct {
        uint64_t maximum_bytes, slack_bytes, least_bytes, most_bytes;
        bool waits;
    } cases[] = {
        {4 * GIB, 100 * MIB, 64 * MIB, 64 * MIB, false},
        {GIB, 100 * MIB, 64 * MIB, 64 * MIB, false},
        {GIB / 2, 100 * MIB, 32 * MIB, 32 * MIB, false},
        {GIB, 150 * MIB, 46 * MIB, 50 * MIB, false}, /* more would be of the slack */
        {GIB, 240 * MIB, 4 * MIB, 20 * MIB, false},
        {GIB, 100 * MIB, 4 * MIB, 20 * MIB, true},
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        Bench bench;
        bench_begin(&bench, 200 * MIB);
        ServerFacts *facts = &bench.servers[0];
        *facts = rig_server(cases[k].maximum_bytes, 400 * MIB, 100 * MIB, START_US);
        facts->minimum_bytes = 64 * MIB;
        facts->resident_bytes = 340 * MIB;
        settle(&bench);
        bench.host.slack_bytes = cases[k].slack_bytes;
        bench.tracks[0].burst.granted = true;
        g_assert_true(bench_look(&bench, 0, 4 * MIB));
        g_assert_cmpuint(grant(&bench, cases[k].waits), ==, 0); /* needs less than it has */
        size_t granted = 0;
        for (int i = 0; i < 30 && granted == 0; i++) {
            bench_look(&bench, 0, 4 * MIB);
            granted = grant(&bench, cases[k].waits);
        }
        g_assert_cmpuint(granted, ==, 1);
        uint64_t step = bench.looking->rows[0].target_bytes - 400 * MIB;
        g_assert_cmpuint(step, >=, cases[k].least_bytes);
        g_assert_cmpuint(step, <=, cases[k].most_bytes);
        g_assert_cmpuint(bench.looking->rows[0].needed_bytes, >, 0);
        g_assert_cmpuint(bench.looking->rows[0].needed_bytes, <=, 20 * MIB);
        bench_end(&bench);
    }
}

/* Nobody gets a large step before another one has what it needs. */
static void test_need_before_large_steps(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    bench.host.slack_bytes = 0;
    bench.tracks[0].burst.granted = true;
    ServerFacts *little = &bench.servers[1];
    little->maximum_bytes = 800 * MIB;
    for (int i = 0; i < 30; i++) {
        little->resident_bytes += i < 25 ? 0 : 5 * MIB;
        bench_look(&bench, 0, 5 * MIB);
    }
    bench.tracks[1].burst.granted = true;
    g_assert_cmpuint(grant(&bench, false), ==, 2);
    const PlanRow *much = &bench.looking->rows[0];
    g_assert_cmpuint(much->needed_bytes, ==, much->target_bytes - 400 * MIB);
    g_assert_cmpuint(much->target_bytes, >, 400 * MIB + 120 * MIB);
    g_assert_cmpuint(bench.looking->rows[1].target_bytes - 400 * MIB, <, 32 * MIB);
    bench_end(&bench);
}

/* What exceeds the slack is divided among those that burst on. */
static void test_large_steps_are_shared(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    bench.tracks[0].burst.granted = bench.tracks[1].burst.granted = true;
    size_t granted = 0;
    for (int i = 0; i < 20 && granted == 0; i++) {
        bench.servers[1].resident_bytes += 4 * MIB;
        bench_look(&bench, 0, 4 * MIB);
        granted = grant(&bench, false);
    }
    g_assert_cmpuint(granted, ==, 2);
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++)
        sum += bench.looking->rows[i].needed_bytes;
    bench.host.slack_bytes = 200 * MIB - sum - 40 * MIB;
    g_assert_cmpuint(grant(&bench, false), ==, 2);
    for (int i = 0; i < 2; i++) {
        const PlanRow *row = &bench.looking->rows[i];
        g_assert_cmpuint(row->target_bytes - 400 * MIB - row->needed_bytes, >=, 19 * MIB);
        g_assert_cmpuint(row->target_bytes - 400 * MIB - row->needed_bytes, <=, 20 * MIB);
    }
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
        bench_look(&bench, 0, 4 * MIB);
    /* Room for 90 MiB at 200 MiB/s lasts 0.45 s. */
    g_assert_cmpuint(bench.servers[0].resident_bytes, ==, 310 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    for (int i = 0; i < 3; i++)
        bench_look(&bench, 0, 4 * MIB);
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
        bench_look(&bench, 0, 4 * MIB); /* 200 MiB/s */
        g_assert_cmpuint(grant(&bench, false), ==, cases[k].grants);
        bench_end(&bench);
    }
}

static void test_twitch(void)
{
    Bench bench;
    bench_begin(&bench, 200 * MIB);
    settle(&bench);
    bench_look(&bench, 0, 5 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1);
    for (int i = 0; i < 30; i++)
        bench_look(&bench, 0, 0);
    g_assert_true(bench_look(&bench, 0, 5 * MIB)); /* the same again */
    g_assert_cmpuint(grant(&bench, false), ==, 0);
    bench_look(&bench, 0, 5 * MIB);
    bench_look(&bench, 0, 5 * MIB);
    bench_look(&bench, 0, 5 * MIB);
    g_assert_cmpuint(grant(&bench, false), ==, 1); /* this time it goes on */
    bench_end(&bench);
}

static void test_only_what_is_free(void)
{
    Bench bench;
    bench_begin(&bench, 10 * MIB);
    settle(&bench);
    bench_look(&bench, 0, 5 * MIB);
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
    bench_look(&bench, 0, 0);
    bench.servers[1].resident_bytes += 5 * MIB;
    bench_look(&bench, 0, 5 * MIB);
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
    bench_look(&bench, 0, 8 * MIB);
    /* By its weight a third of 1400 MiB is its own, and the last decision gave it no less. */
    bench.decision->rows[0].allocation_bytes = 405 * MIB;
    for (int i = 0; i < 30; i++)
        bench_look(&bench, 0, 8 * MIB);
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
    bench_look(&bench, 0, 8 * MIB);
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
                bench_look(&bench, 0, 4 * MIB);
            rig_sample(&bench.servers[0], 400 * MIB, 202 * MIB, bench.now_us);
            bench.servers[0].unused_bytes = cases[k].unused_bytes;
            bench_decide(&bench);
        }
        g_assert_true(bench.tracks[0].burst.bursting);
        bench_look(&bench, 0, 4 * MIB);
        g_assert_cmpint(grant(&bench, false) > 0, ==, cases[k].granted);
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
    g_test_add_func("/burst/large-steps", test_large_steps);
    g_test_add_func("/burst/need-before-large-steps", test_need_before_large_steps);
    g_test_add_func("/burst/large-steps-are-shared", test_large_steps_are_shared);
    g_test_add_func("/burst/room", test_room);
    g_test_add_func("/burst/twitch", test_twitch);
    g_test_add_func("/burst/only-what-is-free", test_only_what_is_free);
    g_test_add_func("/burst/by-weight", test_shared_by_weight);
    g_test_add_func("/burst/others-wait", test_others_wait);
    g_test_add_func("/burst/refused", test_refused);
    g_test_add_func("/burst/cache", test_cache);
    g_test_add_func("/burst/scarce-slack-kept", test_scarce_slack_is_kept);
    return g_test_run();
}
