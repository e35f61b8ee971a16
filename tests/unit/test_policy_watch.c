/* What the balloon's own movement says: distress, a stall, somebody else's hand, or nothing at all. */
#include "policy_rig.h"

typedef struct {
    PolicyParams params;
    ServerTrack track;
    ServerFacts facts;
    int64_t now_us;
} Rig;

/* A guest of 8 GiB that stands at its target of 4 GiB and uses 3. */
static Rig rig_new(void)
{
    Rig rig = {.params = policy_params_default(), .now_us = START_US};
    rig.facts = rig_server(8 * GIB, 4 * GIB, 3 * GIB, START_US);
    plan_watch(&rig.track, &rig.facts, &rig.params, rig.now_us);
    g_assert_true(rig.track.move.reached);
    return rig;
}

static void rig_watch(Rig *rig, int64_t elapsed_us, uint64_t balloon)
{
    rig->now_us += elapsed_us;
    rig->facts.balloon_bytes = balloon;
    plan_watch(&rig->track, &rig->facts, &rig->params, rig->now_us);
}

static void rig_sample_now(Rig *rig, uint64_t available)
{
    rig->facts.sample_us = rig->now_us;
    rig->facts.sample_balloon_bytes = rig->facts.balloon_bytes;
    rig->facts.available_bytes = available;
}

/* The plan asked for @target, and that was accepted. */
static void rig_ask(Rig *rig, Move move, uint64_t target)
{
    PlanRow row = {.move = move, .target_bytes = target};
    plan_carried_out(&rig->track.move, &rig->facts, &row, &rig->params, rig->now_us);
    rig->facts.target_bytes = target;
}

static bool overridden(const Rig *rig)
{
    return rig->now_us < rig->track.move.override_until_us;
}

/* Decisions between two readings of the balloon: its speed is that from reading to reading. */
static void test_speed_is_of_readings(void)
{
    Rig rig = rig_new();
    rig.facts.balloon_us = rig.now_us;
    rig_ask(&rig, MOVE_RECLAIM_CALM, 3584 * MIB);
    for (int i = 0; i < 10; i++)
        rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    g_assert_cmpuint(rig.track.move.gave_bytes_per_s, ==, 0);
    rig.facts.balloon_us = rig.now_us;
    rig_watch(&rig, 0, 4 * GIB - 100 * MIB);
    g_assert_cmpuint(rig.track.move.gave_bytes_per_s, ==, 100 * MIB);
    /* Nobody has looked again: that is no stall. */
    for (int i = 0; i < 100; i++) {
        rig_watch(&rig, SECOND_US / 10, 4 * GIB - 100 * MIB);
        g_assert_false(rig.track.move.stalled);
    }
    rig.facts.balloon_us = rig.now_us;
    rig_watch(&rig, 0, 4 * GIB - 100 * MIB);
    g_assert_true(rig.track.move.stalled);
}

/* It was last looked at long before it was asked: since then it has not inflated. */
static void test_speed_begins_with_the_request(void)
{
    Rig rig = rig_new();
    rig.facts.balloon_us = rig.now_us - 10 * SECOND_US;
    rig_ask(&rig, MOVE_RECLAIM_CALM, 3584 * MIB);
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    rig.facts.balloon_us = rig.now_us;
    rig_watch(&rig, 0, 4 * GIB);
    g_assert_false(rig.track.move.stalled);
    for (int i = 0; i < 50; i++) {
        rig.facts.balloon_us = rig.now_us;
        rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    }
    g_assert_cmpint(rig.track.demand.rest_until_us, >, 0);
}

typedef struct {
    const char *name;
    bool deflates_on_oom;
    uint64_t available_mib, balloon_mib;
    bool distressed, overridden;
} RiseCase;

static const RiseCase rise_cases[] = {
    {"out of memory", true, 10, 4608, true, false},
    {"out of memory, just short enough", true, 287, 4608, true, false},
    {"plenty left: somebody's hand", true, 1000, 4608, false, true},
    {"cannot deflate by itself", false, 10, 4608, false, true},
    {"one quantum is nothing", true, 10, 4097, false, false},
};

static void test_rises(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rise_cases); i++) {
        const RiseCase *one = &rise_cases[i];
        g_test_message("%s", one->name);
        Rig rig = rig_new();
        rig.facts.deflates_on_oom = one->deflates_on_oom;
        rig.facts.available_bytes = one->available_mib * MIB;
        rig_watch(&rig, SECOND_US / 10, one->balloon_mib * MIB);
        g_assert_true(rig.track.move.distressed == one->distressed);
        g_assert_true(overridden(&rig) == one->overridden);
        uint64_t floor_bytes = one->distressed ? one->balloon_mib * MIB + 96 * MIB : 0;
        g_assert_cmpuint(rig.track.demand.learned_floor_bytes, ==, floor_bytes);
    }
}

/* The sample is from before the rise: taken for a hand at first, for distress as soon as a new one says so. */
static void test_judged_again(void)
{
    Rig rig = rig_new();
    rig_watch(&rig, SECOND_US / 10, 5 * GIB);
    g_assert_true(overridden(&rig));
    rig.now_us += SECOND_US / 2;
    rig_sample_now(&rig, 20 * MIB);
    rig_watch(&rig, 0, 5 * GIB);
    g_assert_true(rig.track.move.distressed);
    g_assert_false(overridden(&rig));
    rig = rig_new();
    rig_watch(&rig, SECOND_US / 10, 5 * GIB);
    rig.now_us += SECOND_US / 2;
    rig_sample_now(&rig, GIB);
    rig_watch(&rig, 0, 5 * GIB);
    g_assert_false(rig.track.move.distressed);
    g_assert_true(overridden(&rig));
}

/* The same rise at every beat until the request that follows it is through: one incident. */
static void test_one_incident(void)
{
    Rig rig = rig_new();
    rig.facts.available_bytes = 0;
    for (int i = 0; i < 20; i++)
        rig_watch(&rig, SECOND_US / 10, 5 * GIB);
    g_assert_cmpuint(rig.track.demand.distress_count, ==, 1);
    g_assert_cmpint(rig.track.demand.rest_until_us, ==, rig.now_us + 60 * SECOND_US);
}

typedef struct {
    const char *name;
    uint64_t mib_per_s;
    bool busy_now_and_then, asked_again, stalls;
} StallCase;

static const StallCase stall_cases[] = {
    {"at speed", 400, false, false, false},
    {"just fast enough", 16, false, false, false},
    {"too slow", 14, false, false, true},
    {"not at all", 0, false, false, true},
    {"not at all, and asked at every beat", 0, false, true, true},
    {"not at all, and often busy", 0, true, false, true},
};

/* What is granted for a need is remembered, without what is granted beyond it, and fades. */
static void test_needs(void)
{
    Rig rig = rig_new();
    rig_ask(&rig, MOVE_GRANT_SURPLUS, 5 * GIB);
    g_assert_cmpuint(plan_needed_of(&rig.track.move, &rig.params, rig.now_us), ==, 0);
    PlanRow row = {.move = MOVE_GRANT_NEED, .target_bytes = 6 * GIB, .needed_bytes = GIB / 4};
    plan_carried_out(&rig.track.move, &rig.facts, &row, &rig.params, rig.now_us);
    g_assert_cmpuint(plan_needed_of(&rig.track.move, &rig.params, rig.now_us), ==, GIB / 4);
    int64_t later_us = rig.now_us + rig.params.needed_half_life_us;
    g_assert_cmpuint(plan_needed_of(&rig.track.move, &rig.params, later_us), ==, GIB / 8);
}

/* What was granted in advance of a need counts when more is needed soon after, and not much later, nor once some was taken. */
static void test_advances(void)
{
    enum { SOON, LATE, TAKEN };
    for (int when = SOON; when <= TAKEN; when++) {
        Rig rig = rig_new();
        uint64_t before = rig.facts.target_bytes;
        PlanRow row = {.move = MOVE_GRANT_NEED, .target_bytes = before + 64 * MIB, .needed_bytes = 8 * MIB};
        plan_carried_out(&rig.track.move, &rig.facts, &row, &rig.params, rig.now_us);
        rig.facts.target_bytes = row.target_bytes;
        if (when == TAKEN)
            rig_ask(&rig, MOVE_RECLAIM_CALM, before + 32 * MIB);
        rig.now_us += when == LATE ? rig.params.turn_us : SECOND_US;
        uint64_t faded = plan_needed_of(&rig.track.move, &rig.params, rig.now_us);
        row.target_bytes += 8 * MIB;
        plan_carried_out(&rig.track.move, &rig.facts, &row, &rig.params, rig.now_us);
        uint64_t needed = plan_needed_of(&rig.track.move, &rig.params, rig.now_us);
        g_assert_cmpuint(needed, ==, faded + 8 * MIB + (when == SOON ? 56 * MIB : 0));
    }
}

static void test_stalls(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stall_cases); i++) {
        const StallCase *one = &stall_cases[i];
        g_test_message("%s", one->name);
        Rig rig = rig_new();
        rig_ask(&rig, MOVE_RECLAIM_URGENT, 3 * GIB);
        bool stalled = false;
        uint64_t balloon = 4 * GIB;
        for (int beat = 0; beat < 60 && !stalled; beat++) {
            rig.facts.busy = one->busy_now_and_then && beat % 2 == 0;
            balloon = u64_max(3 * GIB, balloon - one->mib_per_s * MIB / 10);
            rig_watch(&rig, SECOND_US / 10, balloon);
            stalled = rig.track.move.stalled;
            g_assert_false(stalled && beat < 40);
            if (one->asked_again)
                rig_ask(&rig, MOVE_RECLAIM_URGENT, 3 * GIB - (uint64_t)beat * MIB);
        }
        g_assert_true(stalled == one->stalls);
        g_assert_false(rig.track.move.distressed);
        g_assert_cmpuint(rig.track.demand.learned_floor_bytes, ==, stalled ? balloon : 0);
    }
}

/* While its QEMU stands still so does the balloon: that is nothing its guest could do about. */
static void test_frozen(void)
{
    static const HoldReason holds[] = {HOLD_UNRESPONSIVE, HOLD_PAUSED};
    for (size_t i = 0; i < G_N_ELEMENTS(holds); i++) {
        Rig rig = rig_new();
        rig_ask(&rig, MOVE_RECLAIM_URGENT, 3 * GIB);
        rig_watch(&rig, SECOND_US / 10, 4 * GIB - 40 * MIB);
        rig.facts.hold = holds[i];
        for (int beat = 0; beat < 90; beat++) {
            rig.facts.busy = beat % 2 == 0;
            rig_watch(&rig, SECOND_US / 10, 4 * GIB - 40 * MIB);
            g_assert_false(rig.track.move.stalled);
        }
        rig.facts.hold = HOLD_NO;
        rig.facts.busy = false;
        for (int beat = 0; beat < 24; beat++) {
            rig_watch(&rig, SECOND_US / 10, 4 * GIB - (uint64_t)(beat + 2) * 40 * MIB);
            g_assert_false(rig.track.move.stalled);
        }
        g_assert_cmpuint(rig.track.demand.learned_floor_bytes, ==, 0);
    }
}

/* What looks like somebody's hand and is not. */
static void test_our_own(void)
{
    Rig rig = rig_new();
    rig_ask(&rig, MOVE_RECLAIM_CALM, 3 * GIB);
    rig_watch(&rig, SECOND_US / 10, 4 * GIB - 100 * MIB);
    rig_ask(&rig, MOVE_WITHDRAW, 4 * GIB);
    rig_watch(&rig, SECOND_US / 10, 4 * GIB - 200 * MIB); /* still going down for a moment */
    g_assert_false(overridden(&rig));

    rig = rig_new();
    rig.track.move.asked_us = rig.now_us;
    rig.track.move.asked_bytes = 3 * GIB;
    plan_uncertain(&rig.track.move, rig.now_us); /* timed out, and carried out later all the same */
    rig_watch(&rig, 20 * SECOND_US, 3 * GIB + 10 * MIB);
    g_assert_false(overridden(&rig));
    rig_watch(&rig, SECOND_US, 2 * GIB);
    g_assert_true(overridden(&rig));

    rig = rig_new();
    rig.facts.busy = true; /* the lowering is under way: target_bytes is still the larger one */
    rig_ask(&rig, MOVE_RECLAIM_CALM, 3 * GIB);
    rig.facts.target_bytes = 4 * GIB;
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    rig.facts.busy = false;
    rig.facts.target_bytes = 3 * GIB;
    rig_watch(&rig, SECOND_US / 10, 4 * GIB - 50 * MIB);
    g_assert_false(overridden(&rig));
    g_assert_false(rig.track.move.distressed);
}

/* What was carried out and raised again, or never sent, explains no later fall. */
static void test_hand_within_what_was_asked(void)
{
    static const bool dropped[] = {false, true};
    for (size_t i = 0; i < G_N_ELEMENTS(dropped); i++) {
        Rig rig = rig_new();
        rig.track.move.asked_us = rig.now_us;
        rig.track.move.asked_bytes = 2 * GIB;
        if (dropped[i])
            plan_dropped(&rig.track.move);
        else
            rig_ask(&rig, MOVE_RECLAIM_CALM, 2 * GIB);
        rig_watch(&rig, 3 * SECOND_US, dropped[i] ? 4 * GIB : 2 * GIB);
        rig_ask(&rig, MOVE_GRANT_NEED, 4 * GIB);
        rig_watch(&rig, 3 * SECOND_US, 4 * GIB);
        g_assert_false(overridden(&rig));
        rig_watch(&rig, SECOND_US, 3 * GIB);
        g_assert_true(overridden(&rig));
    }
    /* Of a row nobody has told anything yet it is taken that it was. */
    Rig rig = rig_new();
    rig.track.move.asked_us = rig.now_us;
    rig.track.move.asked_bytes = 2 * GIB;
    rig_watch(&rig, 10 * SECOND_US, 3 * GIB);
    g_assert_false(overridden(&rig));
    rig_watch(&rig, 60 * SECOND_US, 2 * GIB + GIB / 2);
    g_assert_true(overridden(&rig));
}

static void test_override(void)
{
    Rig rig = rig_new();
    rig_watch(&rig, 10 * SECOND_US, 2 * GIB);
    g_assert_true(overridden(&rig));
    Demand demand = {.known = true};
    g_assert_cmpint(plan_hold(&rig.facts, &demand, &rig.track.move, rig.now_us), ==, HOLD_MANUAL_OVERRIDE);
    rig_watch(&rig, 599 * SECOND_US, 2 * GIB);
    g_assert_true(overridden(&rig));
    rig_watch(&rig, 2 * SECOND_US, 2 * GIB);
    g_assert_false(overridden(&rig));
    rig_watch(&rig, SECOND_US, 2 * GIB); /* and it does not begin anew: our next request settles it */
    g_assert_false(overridden(&rig));
    g_assert_true(rig.track.move.foreign);
    rig_ask(&rig, MOVE_GRANT_NEED, 4 * GIB);
    g_assert_false(rig.track.move.foreign);
    rig = rig_new();
    rig_watch(&rig, 10 * SECOND_US, 2 * GIB);
    rig.facts.target_bytes = 2 * GIB; /* the engine took it over */
    rig_watch(&rig, 601 * SECOND_US, 2 * GIB);
    g_assert_false(rig.track.move.foreign);
}

/* After a reset `actual` jumps up without a request: neither distress nor a hand. */
static void test_reboot(void)
{
    Rig rig = rig_new();
    rig.facts.boot_count++;
    rig.facts.hold = HOLD_REBOOTING;
    rig.facts.sample_us = 0;
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    rig_watch(&rig, 5 * SECOND_US, 8 * GIB);
    rig_watch(&rig, SECOND_US, 7 * GIB);
    rig.facts.hold = HOLD_NO;
    rig_watch(&rig, SECOND_US / 10, 6 * GIB);
    g_assert_false(rig.track.move.distressed);
    g_assert_false(overridden(&rig));
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    g_assert_true(rig.track.move.reached);
}

static void test_holds(void)
{
    for (int hold = 0; hold < HOLD_N; hold++) {
        Rig rig = rig_new();
        rig.facts.hold = (HoldReason)hold;
        rig.facts.available_bytes = 0;
        rig_watch(&rig, SECOND_US / 10, 5 * GIB);
        g_assert_true(rig.track.move.distressed == (hold == HOLD_NO));
        bool pins = hold != HOLD_NO && hold != HOLD_STALE_STATISTICS && hold != HOLD_RESTING;
        g_assert_true(hold_pins((HoldReason)hold) == pins);
    }
    ServerFacts facts = rig_server(8 * GIB, 4 * GIB, GIB, START_US);
    MoveState move = {0};
    Demand resting = {.known = true, .resting = true}, stale = {.known = true, .stale = true}, unknown = {0};
    g_assert_cmpint(plan_hold(&facts, &resting, &move, START_US), ==, HOLD_RESTING);
    g_assert_cmpint(plan_hold(&facts, &stale, &move, START_US), ==, HOLD_STALE_STATISTICS);
    g_assert_cmpint(plan_hold(&facts, &unknown, &move, START_US), ==, HOLD_STALE_STATISTICS);
    facts.hold = HOLD_PAUSED;
    g_assert_cmpint(plan_hold(&facts, &resting, &move, START_US), ==, HOLD_PAUSED);
}

static void test_untaken(void)
{
    Rig rig = rig_new();
    rig_ask(&rig, MOVE_GRANT_NEED, 6 * GIB);
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    rig_watch(&rig, 9 * SECOND_US, 4 * GIB);
    g_assert_false(rig.track.move.untaken);
    rig_watch(&rig, SECOND_US, 4 * GIB);
    g_assert_true(rig.track.move.untaken);
    rig.facts.target_bytes = 4 * GIB; /* lowered for others: still known not to take */
    rig_watch(&rig, SECOND_US, 4 * GIB);
    g_assert_true(rig.track.move.untaken);
    rig_watch(&rig, 1800 * SECOND_US, 4 * GIB);
    g_assert_false(rig.track.move.untaken);

    rig = rig_new();
    rig_ask(&rig, MOVE_GRANT_NEED, 6 * GIB);
    rig_watch(&rig, SECOND_US / 10, 4 * GIB);
    rig_watch(&rig, 10 * SECOND_US, 4 * GIB);
    g_assert_true(rig.track.move.untaken);
    rig.facts.target_bytes = 2 * GIB;
    rig_watch(&rig, SECOND_US, 2 * GIB); /* it gives */
    g_assert_true(rig.track.move.untaken);
    rig.facts.target_bytes = 3 * GIB;
    rig_watch(&rig, SECOND_US, 2 * GIB + 8 * MIB); /* and takes again */
    g_assert_false(rig.track.move.untaken);

    rig = rig_new();
    rig_ask(&rig, MOVE_GRANT_NEED, 6 * GIB);
    for (uint64_t i = 0; i < 20; i++) /* slow, but it takes */
        rig_watch(&rig, SECOND_US, 4 * GIB + i * 5 * MIB);
    g_assert_false(rig.track.move.untaken);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/watch/speed-of-readings", test_speed_is_of_readings);
    g_test_add_func("/policy/watch/speed-begins-with-the-request", test_speed_begins_with_the_request);
    g_test_add_func("/policy/watch/needs", test_needs);
    g_test_add_func("/policy/watch/advances", test_advances);
    g_test_add_func("/policy/watch/rises", test_rises);
    g_test_add_func("/policy/watch/judged-again", test_judged_again);
    g_test_add_func("/policy/watch/one-incident", test_one_incident);
    g_test_add_func("/policy/watch/stalls", test_stalls);
    g_test_add_func("/policy/watch/frozen", test_frozen);
    g_test_add_func("/policy/watch/our-own", test_our_own);
    g_test_add_func("/policy/watch/hand-within-what-was-asked", test_hand_within_what_was_asked);
    g_test_add_func("/policy/watch/override", test_override);
    g_test_add_func("/policy/watch/reboot", test_reboot);
    g_test_add_func("/policy/watch/holds", test_holds);
    g_test_add_func("/policy/watch/untaken", test_untaken);
    return g_test_run();
}
