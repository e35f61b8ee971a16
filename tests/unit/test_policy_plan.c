/* The plan: every move and every wait, from the smallest host that has it; and what must not be planned. */
#include "plan_rig.h"

/* One server in need, one with plenty: the grant takes the slack at once, the donor gives the rest and rests
 * until its next sample. */
static void test_grant_and_urgent(void)
{
    Rig rig = rig_new(8 * GIB + 512 * MIB, 512 * MIB);
    rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - 16 * MIB);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_GRANT_NEED, WAIT_NONE);
    g_assert_cmpuint(rows[0].target_bytes, >, 2 * GIB);
    g_assert_cmpuint(rows[0].target_bytes, <=, 2 * GIB + 512 * MIB);
    g_assert_cmpuint(rig.decision->totals.granted_bytes, ==, rows[0].target_bytes - 2 * GIB);
    rig.used[0] = 4 * GIB;
    rig.servers[0].available_bytes = 0;
    rig_pass(&rig, SECOND_US, true);
    rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_GRANT_NEED, WAIT_NONE);
    assert_row(rows[1], MOVE_RECLAIM_URGENT, WAIT_NONE);
    g_assert_cmpuint(rows[1].target_bytes, >=, rig.decision->demands[1].floor_bytes);
    rig_act(&rig, false);
    rig_pass(&rig, SECOND_US / 10, false);
    rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_NONE, WAIT_NO_ROOM);
    assert_row(rows[1], MOVE_NONE, WAIT_FRESH_SAMPLE);
    rig_clear(&rig);
}

static void test_surplus_and_levelling(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    rig_add(&rig, 8 * GIB, GIB + GIB / 2, GIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[1], MOVE_GRANT_SURPLUS, WAIT_NONE);
    assert_row(rows[0], MOVE_RECLAIM_CALM, WAIT_NONE);
    g_assert_cmpuint(6 * GIB - rows[0].target_bytes, <=, 48 * MIB);
    rows = rig_beat(&rig, SECOND_US / 100);
    assert_row(rows[0], MOVE_NONE, WAIT_PACE);
    bool settled = false;
    for (int i = 0; i < 400 && !settled; i++) {
        rows = rig_beat(&rig, SECOND_US);
        settled = rows[0].wait == WAIT_NOT_NEEDED && rows[1].wait == WAIT_SETTLED;
    }
    g_assert_true(settled);
    g_assert_cmpuint(rows[1].target_bytes, >, rows[1].allocation_bytes / 100 * 98);
    g_assert_cmpuint(rows[0].target_bytes + rows[1].target_bytes, <=, 8 * GIB);
    g_assert_cmpuint(rows[0].target_bytes, <, 6 * GIB - 512 * MIB); /* as far as the other wanted it */
    rig_clear(&rig);
}

/* Nobody waiting, one that works loses little of its work to what it gives; while somebody waits that counts more. */
static void test_working_donor(void)
{
    Rig rig = rig_new(16 * GIB, 2 * GIB);
    rig_add(&rig, 8 * GIB, 8 * GIB, GIB);
    rig_add(&rig, 8 * GIB, 8 * GIB, GIB);
    rig.servers[1].works = true;
    const PlanRow *rows = rig_decide(&rig);
    g_assert_cmpuint(8 * GIB - rows[0].target_bytes, ==, 48 * MIB);
    g_assert_cmpuint(8 * GIB - rows[1].target_bytes, ==, 6 * MIB);
    rig.tracks[1].move.gave_bytes_per_s = 80 * MIB; /* seen to be no great trouble */
    rows = rig_decide(&rig);
    g_assert_cmpuint(8 * GIB - rows[1].target_bytes, ==, 10 * MIB);
    rig.tracks[0].move.needed_bytes = 1100 * MIB; /* more than half of the slack, a moment ago */
    rig.tracks[0].move.needed_us = rig.now_us - SECOND_US;
    rows = rig_decide(&rig);
    g_assert_cmpuint(8 * GIB - rows[1].target_bytes, ==, 48 * MIB);
    rig.tracks[0].move.needed_us = rig.now_us - 10 * SECOND_US;
    rows = rig_decide(&rig);
    g_assert_cmpuint(8 * GIB - rows[1].target_bytes, ==, 10 * MIB);
    rig.host.pool_bytes -= 6 * GIB;
    rows = rig_decide(&rig);
    assert_row(rows[1], MOVE_RECLAIM_URGENT, WAIT_NONE);
    g_assert_cmpuint(8 * GIB - rows[1].target_bytes, >=, GIB);
    rig_clear(&rig);
}

/* A reclaim under way is called off when its donor needs the memory itself. */
static void test_withdraw(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - MIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_RECLAIM_URGENT, WAIT_NONE);
    rig_act(&rig, false);
    rig.used[0] = 5 * GIB;
    rig.used[1] = GIB;
    rig_pass(&rig, SECOND_US, true);
    rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_WITHDRAW, WAIT_NONE);
    g_assert_cmpuint(rows[0].target_bytes, <=, 6 * GIB);
    rig_clear(&rig);
}

static void test_in_flight(void)
{
    Rig rig = rig_new(8 * GIB, GIB);
    rig.params.ready_permille = 0;
    ServerFacts *facts = rig_add(&rig, 8 * GIB, 7 * GIB + 512 * MIB, GIB);
    facts->target_bytes = 7 * GIB;
    assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_IN_FLIGHT);
    rig_clear(&rig);
}

/* It took 512 MiB back from its balloon: it keeps them at once although the pool is overcommitted then. */
static void test_distress(void)
{
    Rig rig = rig_new(4 * GIB, 0);
    rig_add(&rig, 4 * GIB, 2 * GIB, 2 * GIB - 200 * MIB);
    rig_add(&rig, 4 * GIB, 2 * GIB, GIB);
    rig_decide(&rig);
    rig.used[0] = 2 * GIB + 500 * MIB;
    rig.servers[0].balloon_bytes = 2 * GIB + 512 * MIB;
    rig_pass(&rig, SECOND_US / 10, true);
    rig.now_us += SECOND_US / 10;
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_DISTRESS, WAIT_NONE);
    g_assert_cmpuint(rows[0].target_bytes, ==, 2 * GIB + 512 * MIB);
    g_assert_cmpuint(rig.decision->totals.ledger.over_bytes, ==, 512 * MIB);
    assert_row(rows[1], MOVE_RECLAIM_URGENT, WAIT_NONE);
    rows = rig_beat(&rig, SECOND_US / 10);
    g_assert_cmpint(rows[0].hold, ==, HOLD_RESTING);
    rig_clear(&rig);
}

static void test_nudge(void)
{
    static const struct {
        uint64_t minimum, target, expected;
    } cases[] = {
        {GIB, 3 * GIB, 4 * GIB},              /* up to its need, which is what it seems to hold */
        {GIB, 5 * GIB, 5 * GIB + MIB},        /* nothing to change but to change something */
        {GIB, 8 * GIB, 8 * GIB - MIB},        /* no room above */
        {8 * GIB, 8 * GIB, 8 * GIB - MIB},    /* even from the minimum, for a moment */
        {GIB, 8 * GIB - 1000, 8 * GIB - MIB}, /* less than a quantum of room above */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Rig rig = rig_new(16 * GIB, 0);
        ServerFacts *facts = rig_add(&rig, 8 * GIB, 4 * GIB, GIB);
        facts->minimum_bytes = cases[i].minimum;
        facts->target_bytes = cases[i].target;
        facts->hold = HOLD_REBOOTING;
        facts->sample_us = 0;
        facts->booted = false;
        assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_HELD);
        facts->booted = true;
        const PlanRow *rows = rig_decide(&rig);
        assert_row(rows[0], MOVE_NUDGE, WAIT_NONE);
        g_assert_cmpuint(rows[0].target_bytes, ==, cases[i].expected);
        rig_act(&rig, true);
        assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_HELD);
        facts->hold = HOLD_NO;
        rig_pass(&rig, SECOND_US, true);
        rows = rig_decide(&rig);
        g_assert_cmpuint(rows[0].target_bytes, >=, facts->minimum_bytes);
        rig_clear(&rig);
    }
}

typedef struct {
    const char *name;
    uint64_t pool;
    uint64_t balloon, used;
    FixedReason fixed;
    HoldReason hold;
    int64_t age_us;
    bool faults;
    Wait wait;
} WaitCase;

/* One server of 8 GiB beside one of 4 GiB that wants more than there is. */
static const WaitCase wait_cases[] = {
    {"fixed", 12 * GIB, 4 * GIB, GIB, FIXED_CONTAINER, HOLD_NO, 0, false, WAIT_FIXED},
    {"paused", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_PAUSED, 0, false, WAIT_HELD},
    {"migrating", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_MIGRATING, 0, false, WAIT_HELD},
    {"unresponsive", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_UNRESPONSIVE, 0, false, WAIT_HELD},
    {"override", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_MANUAL_OVERRIDE, 0, false, WAIT_HELD},
    {"starting", 12 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_STARTING, 0, false, WAIT_HELD},
    {"stale by the engine's word", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_STALE_STATISTICS, 0, false,
     WAIT_HELD},
    {"stale by age", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_NO, 3 * SECOND_US + 1, false, WAIT_HELD},
    {"fresh enough", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_NO, 3 * SECOND_US, false, WAIT_NONE},
    {"faulting", 8 * GIB, 4 * GIB, GIB, FIXED_NO, HOLD_NO, 0, true, WAIT_FAULTING},
    {"nothing to give", 8 * GIB, 4 * GIB, 4 * GIB - 200 * MIB, FIXED_NO, HOLD_NO, 0, false,
     WAIT_POOL_EXHAUSTED},
};

static void test_waits(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(wait_cases); i++) {
        const WaitCase *one = &wait_cases[i];
        g_test_message("%s", one->name);
        Rig rig = rig_new(one->pool, 0);
        ServerFacts *facts = rig_add(&rig, 8 * GIB, one->balloon, one->used);
        facts->fixed = one->fixed;
        facts->hold = one->hold;
        rig_add(&rig, 4 * GIB, 4 * GIB - 300 * MIB, 4 * GIB - 400 * MIB);
        rig.host.pool_bytes -= 300 * MIB;
        rig_decide(&rig);
        facts->major_faults = one->faults ? 1000 : 0;
        rig_pass(&rig, SECOND_US, true);
        rig_decide(&rig);
        rig_pass(&rig, one->age_us, false);
        const PlanRow *rows = rig_decide(&rig);
        g_assert_cmpstr(wait_name(rows[0].wait), ==, wait_name(one->wait));
        g_assert_true((rows[0].move == MOVE_NONE) == (one->wait != WAIT_NONE));
        rig_clear(&rig);
    }
}

static void test_overcommitted(void)
{
    Rig rig = rig_new(5 * GIB, 0);
    rig_add(&rig, 8 * GIB, 4 * GIB, GIB);
    rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - 64 * MIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_RECLAIM_URGENT, WAIT_NONE);
    rig_act(&rig, false);
    rig_pass(&rig, SECOND_US / 10, false);
    rows = rig_decide(&rig);
    assert_row(rows[1], MOVE_NONE, WAIT_OVERCOMMITTED);
    g_assert_cmpuint(rows[1].target_bytes, ==, 2 * GIB);
    rig_clear(&rig);
}

/* All it has is guaranteed to it, however much others want it. */
static void test_floor(void)
{
    Rig rig = rig_new(5 * GIB, 0);
    rig_add(&rig, 8 * GIB, 4 * GIB, GIB)->minimum_bytes = 4 * GIB;
    rig_add(&rig, 8 * GIB, 2 * GIB, GIB);
    assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_FLOOR);
    rig_clear(&rig);
}

/* The minima do not fit: that is said, and what can be done is done all the same. */
static void test_infeasible(void)
{
    Rig rig = rig_new(4 * GIB, 0);
    rig_add(&rig, 8 * GIB, 3 * GIB, GIB)->minimum_bytes = 2 * GIB;
    rig_add(&rig, 8 * GIB, GIB, GIB - 256 * MIB)->minimum_bytes = 6 * GIB;
    const PlanRow *rows = rig_decide(&rig);
    g_assert_true(rig.decision->totals.infeasible);
    assert_row(rows[0], MOVE_RECLAIM_URGENT, WAIT_NONE);
    g_assert_cmpuint(rows[0].target_bytes, >=, 2 * GIB);
    assert_row(rows[1], MOVE_NONE, WAIT_INFEASIBLE);
    for (int i = 0; i < 20; i++)
        rows = rig_beat(&rig, SECOND_US);
    g_assert_cmpuint(rows[0].target_bytes, ==, 2 * GIB);
    g_assert_cmpuint(rows[1].target_bytes, ==, 2 * GIB);
    rig_clear(&rig);
}

/* The others, reached by what each is called after. */
static void test_other_waits(void)
{
    Rig rig = rig_new(16 * GIB, 0);
    rig_add(&rig, 8 * GIB, 8 * GIB, GIB);
    assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_SETTLED);
    rig.servers[0].weight = 0; /* hostile */
    assert_row(rig_decide(&rig)[0], MOVE_NONE, WAIT_SETTLED);
    rig_clear(&rig);
}

/* A promise nobody takes up is asked again after 2 s, given up after 10 s, and lent to others then. */
static void test_not_taken(void)
{
    Rig rig = rig_new(8 * GIB, 0);
    rig.params.ready_permille = 0;
    rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - 64 * MIB);
    rig_add(&rig, 8 * GIB, 4 * GIB, 3 * GIB);
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_GRANT_NEED, WAIT_NONE);
    bool asked_again = false;
    for (int i = 0; i < 14; i++) {
        rig_act(&rig, false);
        rig_pass(&rig, SECOND_US, true);
        rows = rig_decide(&rig);
        asked_again |= i >= 2 && i < 5 && rows[0].move == MOVE_GRANT_NEED;
    }
    g_assert_true(asked_again);
    g_assert_true(rig.tracks[0].move.untaken);
    rig_act(&rig, false);
    rig_pass(&rig, SECOND_US / 10, false);
    rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_NONE, WAIT_NOT_TAKEN);
    g_assert_cmpuint(rows[0].allocation_bytes, <=, u64_max(2 * GIB, rig.decision->demands[0].floor_bytes));
    rig.servers[0].balloon_bytes = 2 * GIB + 512 * MIB;
    rig_pass(&rig, SECOND_US, true);
    rig_decide(&rig);
    g_assert_false(rig.tracks[0].move.untaken);
    rig_clear(&rig);
}

/* A donor that does not move must not keep the others from being asked. */
static void test_stuck_donor(void)
{
    Rig rig = rig_new(12 * GIB, 0);
    rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - MIB);
    rig_add(&rig, 8 * GIB, 6 * GIB, 100 * MIB);
    rig_add(&rig, 8 * GIB, 4 * GIB, 2 * GIB);
    rig_decide(&rig);
    bool other_asked = false, stalled = false;
    for (int i = 0; i < 60; i++) {
        for (size_t k = 0; k < rig.n; k++) {
            const PlanRow *row = &rig.decision->rows[k];
            if (row->move == MOVE_NONE)
                continue;
            plan_carried_out(&rig.tracks[k].move, &rig.servers[k], row, &rig.params, rig.now_us);
            rig.servers[k].target_bytes = row->target_bytes;
        }
        rig_pass(&rig, SECOND_US / 10, true);
        const PlanRow *rows = rig_decide(&rig);
        other_asked |= i < 10 && rows[2].target_bytes < 4 * GIB;
        stalled |= rig.tracks[1].move.stalled;
    }
    g_assert_true(other_asked);
    g_assert_true(stalled);
    rig_clear(&rig);
}

/* One inflates slowly: whether it has just been asked, and may bring all of it, or its speed is only being taken anew. */
static void test_slow_donor(void)
{
    for (int timed = 0; timed < 2; timed++) {
        Rig rig = rig_new(14 * GIB, 0);
        rig_add(&rig, 8 * GIB, 2 * GIB, 2 * GIB - MIB);
        rig_add(&rig, 8 * GIB, 6 * GIB, GIB)->target_bytes = 2 * GIB;
        rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
        MoveState *slow = &rig.tracks[1].move;
        *slow = (MoveState){.boot_count = 1,
                            .last_down_us = START_US - SECOND_US,
                            .reclaim_sample_us = START_US,
                            .inflate_since_us = START_US,
                            .inflate_from_bytes = 6 * GIB,
                            .inflate_timed = timed == 1,
                            .inflate_bytes_per_s = 20 * MIB};
        const PlanRow *rows = rig_decide(&rig);
        g_assert_cmpuint(rows[0].short_bytes, >, 100 * MIB);
        g_assert_cmpint(rows[2].move == MOVE_RECLAIM_URGENT, ==, timed == 1);
        rig_clear(&rig);
    }
}

/* Less than one quantum for each of those who wait: some get one, nothing lies idle. */
static void test_small_budget(void)
{
    Rig rig = rig_new(12 * GIB + 2 * MIB, 0);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    for (int i = 1; i < 4; i++)
        rig_add(&rig, 4 * GIB, 2 * GIB, 2 * GIB - MIB);
    const PlanRow *rows = rig_decide(&rig);
    int granted = 0;
    for (int i = 1; i < 4; i++)
        granted += rows[i].move == MOVE_GRANT_NEED;
    g_assert_cmpint(granted, ==, 2);
    g_assert_cmpuint(rig.decision->totals.granted_bytes, ==, 2 * MIB);
    assert_row(rows[0], MOVE_RECLAIM_URGENT, WAIT_NONE);
    rig_clear(&rig);
}

/* A rise that a late sample shows to be distress: the hypervisor is told its size, which was taken for its target already. */
static void test_distress_seen_late(void)
{
    Rig rig = rig_new(12 * GIB, 0);
    rig_add(&rig, 8 * GIB, 4 * GIB, 4 * GIB - 8 * MIB);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    rig.servers[0].deflates_on_oom = true;
    rig_decide(&rig);
    rig.tracks[0].move.foreign = true;
    rig.tracks[0].move.override_until_us = rig.now_us + 600 * SECOND_US;
    rig.tracks[0].move.rose_sample_us = rig.now_us - SECOND_US;
    const PlanRow *rows = rig_decide(&rig);
    assert_row(rows[0], MOVE_DISTRESS, WAIT_NONE);
    g_assert_cmpuint(rows[0].target_bytes, >=, 4 * GIB);
    rig_clear(&rig);
}

/* ... and with the next beat's the others: nobody is last for his name. */
static void test_small_budget_goes_round(void)
{
    enum { WAITERS = 5 };
    Rig rig = rig_new((6 + 2 * WAITERS) * GIB + 2 * MIB, 0);
    for (int i = 0; i < WAITERS; i++)
        rig_add(&rig, 4 * GIB, 2 * GIB, 2 * GIB - MIB);
    rig_add(&rig, 8 * GIB, 6 * GIB, GIB);
    int granted[WAITERS] = {0};
    for (int beat = 0; beat < 2; beat++) {
        const PlanRow *rows = rig_decide(&rig);
        for (int i = 0; i < WAITERS; i++)
            granted[i] += rows[i].move == MOVE_GRANT_NEED;
        rig_act(&rig, false);
        for (int i = 0; i < WAITERS; i++) /* and the donor has given nothing yet */
            rig.servers[i].balloon_bytes = rig.servers[i].target_bytes;
        rig.host.pool_bytes += 2 * MIB;
        rig_pass(&rig, SECOND_US / 10, true);
    }
    for (int i = 0; i < WAITERS; i++)
        g_assert_cmpint(granted[i], ==, i < 4);
    rig_clear(&rig);
}

/* Every combination of absurd sizes and facts: no undefined behaviour, and G1 in its sums. */
static void test_hostile(void)
{
    const uint64_t values[] = {0, 1, 64 * MIB, SIZE_MAX_BYTES, UINT64_MAX - 1, UINT64_MAX};
    const size_t n = G_N_ELEMENTS(values);
    Rig rig = rig_new(0, 0);
    for (size_t round = 0; round < n * n * n; round++) {
        rig.n = 0;
        for (size_t k = 0; k < RIG_SERVERS_MAX; k++) {
            ServerFacts *facts = rig_add(&rig, values[(round + k) % n], values[round / n % n], 0);
            facts->minimum_bytes = values[(round + 2 * k + 1) % n];
            facts->target_bytes = values[(round / n / n + k) % n];
            facts->weight = k == 0 ? 0 : UINT32_MAX;
            facts->overhead_bytes = values[(round / n + k) % n];
            facts->resident_bytes = values[(round + 3 * k) % n];
            facts->sample_us = rig.now_us;
            facts->hold = (HoldReason)((round + k) % HOLD_N);
        }
        rig.host = (HostFacts){values[round % n], values[(round + 1) % n]};
        const PlanRow *rows = rig_decide(&rig);
        for (size_t k = 0; k < RIG_SERVERS_MAX; k++)
            g_assert_cmpint(rows[k].move, <, MOVE_N);
        rig_act(&rig, round % 2 == 0);
        rig_pass(&rig, SECOND_US / 3, true);
    }
    rig_clear(&rig);
}

static void test_empty(void)
{
    Rig rig = rig_new(GIB, MIB);
    rig_decide(&rig);
    g_assert_cmpuint(rig.decision->totals.ledger.free_bytes, ==, GIB);
    rig_clear(&rig);
    decision_free(NULL);
}

static void test_words(void)
{
    for (int i = 0; i < MOVE_N; i++)
        g_assert_nonnull(move_name((Move)i));
    for (int i = 0; i < WAIT_N; i++) {
        g_assert_nonnull(wait_name((Wait)i));
        g_assert_nonnull(wait_sentence((Wait)i));
    }
    for (int i = 0; i < FIXED_N; i++)
        g_assert_nonnull(fixed_sentence((FixedReason)i));
    for (int i = 0; i < HOLD_N; i++)
        g_assert_nonnull(hold_sentence((HoldReason)i));
    g_assert_cmpstr(move_name(MOVE_N), ==, "none");
}

static void test_all_reached(void)
{
    for (int i = 0; i < MOVE_N; i++)
        if (!rig_seen_moves[i])
            g_error("no test reached %s", move_name((Move)i));
    for (int i = 0; i < WAIT_N; i++)
        if (!rig_seen_waits[i])
            g_error("no test reached %s", wait_name((Wait)i));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/plan/grant-and-urgent", test_grant_and_urgent);
    g_test_add_func("/policy/plan/surplus-and-levelling", test_surplus_and_levelling);
    g_test_add_func("/policy/plan/working-donor", test_working_donor);
    g_test_add_func("/policy/plan/withdraw", test_withdraw);
    g_test_add_func("/policy/plan/in-flight", test_in_flight);
    g_test_add_func("/policy/plan/distress", test_distress);
    g_test_add_func("/policy/plan/nudge", test_nudge);
    g_test_add_func("/policy/plan/waits", test_waits);
    g_test_add_func("/policy/plan/overcommitted", test_overcommitted);
    g_test_add_func("/policy/plan/floor", test_floor);
    g_test_add_func("/policy/plan/infeasible", test_infeasible);
    g_test_add_func("/policy/plan/other-waits", test_other_waits);
    g_test_add_func("/policy/plan/not-taken", test_not_taken);
    g_test_add_func("/policy/plan/stuck-donor", test_stuck_donor);
    g_test_add_func("/policy/plan/slow-donor", test_slow_donor);
    g_test_add_func("/policy/plan/small-budget", test_small_budget);
    g_test_add_func("/policy/plan/distress-seen-late", test_distress_seen_late);
    g_test_add_func("/policy/plan/small-budget-goes-round", test_small_budget_goes_round);
    g_test_add_func("/policy/plan/hostile", test_hostile);
    g_test_add_func("/policy/plan/empty", test_empty);
    g_test_add_func("/policy/plan/words", test_words);
    g_test_add_func("/policy/plan/all-reached", test_all_reached);
    return g_test_run();
}
