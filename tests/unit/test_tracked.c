/* One server followed through virtual time: its samples, boots, and facts. */
#include <string.h>
#include "tracked_desk.h"

/* ---- samples */

static void test_larger_size(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    desk->tracked->target_bytes = GIB;
    desk->facts.balloon_bytes = 3 * GIB / 2;
    g_assert_cmpuint(live(desk)->sample_balloon_bytes, ==, 2 * GIB);
    desk->facts.balloon_bytes = GIB;
    const ServerFacts *facts = look(desk, 100 * MS);
    g_assert_cmpuint(facts->sample_balloon_bytes, ==, 2 * GIB);
    speak(desk);
    g_assert_cmpuint(look(desk, 100 * MS)->sample_balloon_bytes, ==, GIB);
    desk->facts.balloon_bytes = 2 * GIB;
    speak(desk);
    g_assert_cmpuint(look(desk, 100 * MS)->sample_balloon_bytes, ==, 2 * GIB);
}

static void test_same_second(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    int64_t before_us = live(desk)->sample_us;
    g_assert_cmpint(look(desk, 10 * MS)->sample_us, ==, before_us);
    desk->facts.available_bytes -= MIB;
    int64_t second_us = look(desk, 10 * MS)->sample_us;
    g_assert_cmpint(second_us, ==, desk->now_us);
    desk->facts.free_bytes -= MIB;
    g_assert_cmpint(look(desk, 10 * MS)->sample_us, >, second_us);
}

/* A sample that took its time is as old as it says, and never older than the one before. */
static void test_sample_age(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    int64_t before_us = desk->tracked->sample_us;
    speak(desk);
    int64_t spoken_us = desk->now_us;
    int64_t seen_us = look(desk, 5 * S)->sample_us;
    g_assert_cmpint(seen_us, >=, spoken_us);
    g_assert_cmpint(seen_us, <=, spoken_us + S);
    g_assert_cmpint(seen_us, >, before_us);
    desk->wall_us += 3600 * S; /* the clock was set */
    desk->facts.available_bytes -= MIB;
    g_assert_cmpint(look(desk, MS)->sample_us, ==, seen_us + 1);
}

static void test_unknown_statistics(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    int64_t before_us = desk->tracked->sample_us;
    desk->facts.available_bytes = UNKNOWN;
    desk->facts.guest_update_s++;
    g_assert_cmpint(look(desk, S)->sample_us, ==, before_us);
    g_assert_cmpuint(desk->tracked->facts.available_bytes, ==, UNKNOWN);
}

static void test_unresponsive(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    int64_t before_us = desk->tracked->sample_us;
    desk->facts.responsive = FALSE;
    speak(desk);
    const ServerFacts *facts = look(desk, S);
    g_assert_cmpint(facts->hold, ==, HOLD_UNRESPONSIVE);
    g_assert_cmpint(facts->sample_us, ==, before_us);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "unresponsive");
}

/* ---- boots */

static void start(Desk *desk)
{
    desk->facts.power = POWER_OFF;
    desk->facts.balloon_bytes = UNKNOWN;
    look(desk, S);
    g_assert_false(tracked_counts(desk->tracked));
    g_assert_cmpuint(desk->returned, ==, 0);
    desk->facts.power = POWER_RUNNING;
    desk->facts.balloon_bytes = MAX_BYTES;
    desk->facts.boot_count++;
    desk->facts.guest_update_s = 0;
    desk->facts.available_bytes = UNKNOWN;
    look(desk, S);
    desk->facts.available_bytes = 3 * GIB;
}

static void test_no_driver(Desk *desk, gconstpointer data)
{
    start(desk);
    g_assert_cmpint(desk->tracked->facts.hold, ==, HOLD_STARTING);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "starting");
    for (int i = 0; i < 89; i++)
        g_assert_cmpint(look(desk, S)->fixed, ==, FIXED_NO);
    const ServerFacts *facts = look(desk, 2 * S);
    g_assert_cmpint(facts->fixed, ==, FIXED_NO_DRIVER);
    g_assert_cmpint(facts->hold, ==, HOLD_NO);
    desk->tracked->decided = TRUE;
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "running");
    facts = live(desk); /* a disk check took its time */
    g_assert_cmpint(facts->fixed, ==, FIXED_NO);
    g_assert_cmpint(facts->hold, ==, HOLD_STARTING);
}

/* The time it is paused or hangs is not its driver's. */
static void test_grace_stands_still(Desk *desk, gconstpointer data)
{
    start(desk);
    look(desk, 60 * S);
    desk->facts.power = POWER_PAUSED;
    for (int i = 0; i < 10; i++)
        look(desk, 60 * S);
    desk->facts.power = POWER_RUNNING;
    g_assert_cmpint(look(desk, 60 * S)->fixed, ==, FIXED_NO);
    g_assert_cmpint(look(desk, 60 * S)->fixed, ==, FIXED_NO_DRIVER);
}

static void test_clock_set_back(Desk *desk, gconstpointer data)
{
    start(desk);
    desk->wall_us -= 3600 * S;
    look(desk, S);
    g_assert_false(desk->tracked->booted);
    live(desk);
    g_assert_true(desk->tracked->booted);
}

static void test_old_sample_is_not_booted(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    desk->facts.boot_count++;
    look(desk, 100 * MS);
    desk->facts.available_bytes -= 10 * MIB; /* spoken before the reset, seen after it */
    g_assert_false(look(desk, 100 * MS)->booted);
    g_assert_true(live(desk)->booted);
}

static void begin_reset(Desk *desk)
{
    adopt_all(desk);
    desk->tracked->target_bytes = desk->facts.balloon_bytes;
    desk->facts.boot_count++;
    const ServerFacts *facts = look(desk, S);
    g_assert_cmpint(facts->hold, ==, HOLD_REBOOTING);
    g_assert_false(facts->booted);
    live(desk);
    facts = live(desk);
    g_assert_cmpint(facts->hold, ==, HOLD_REBOOTING);
    g_assert_true(facts->booted);
    g_assert_false(facts->busy);
}

static void nudge(Desk *desk)
{
    desk->tracked->nudged_balloon_bytes = desk->facts.balloon_bytes;
    tracked_accepted(desk->tracked, MOVE_NUDGE, desk->tracked->target_bytes + MIB, desk->now_us);
    desk->tracked->track.move.last_up_us = desk->now_us;
}

static void test_reset(Desk *desk, gconstpointer data)
{
    begin_reset(desk);
    nudge(desk);
    g_assert_cmpint(live(desk)->hold, ==, HOLD_REBOOTING);
    desk->facts.balloon_bytes = MAX_BYTES; /* now it tells the truth, and comes down */
    g_assert_cmpint(live(desk)->hold, ==, HOLD_REBOOTING);
    desk->facts.balloon_bytes = desk->tracked->target_bytes;
    g_assert_cmpint(live(desk)->hold, ==, HOLD_NO);
    g_assert_cmpuint(desk->returned, ==, MAX_BYTES - desk->tracked->target_bytes);
}

/* A nudge to a guest that is paused or hangs would be lost; all of its memory counts all the same. */
static void test_reset_then_paused(Desk *desk, gconstpointer data)
{
    begin_reset(desk);
    desk->facts.power = POWER_PAUSED;
    const ServerFacts *facts = look(desk, S);
    g_assert_true(facts->busy);
    g_assert_cmpint(facts->hold, ==, HOLD_REBOOTING);
    desk->facts.power = POWER_RUNNING;
    desk->facts.responsive = FALSE;
    g_assert_true(look(desk, S)->busy);
    desk->facts.responsive = TRUE;
    g_assert_false(look(desk, S)->busy);
}

static void test_nudge_again(Desk *desk, gconstpointer data)
{
    begin_reset(desk);
    nudge(desk);
    for (int i = 0; i < 5; i++)
        live(desk);
    g_assert_cmpint(desk->tracked->nudged_us, !=, 0);
    live(desk);
    g_assert_cmpint(desk->tracked->nudged_us, ==, 0);
    g_assert_cmpint(desk->tracked->track.move.last_up_us, ==, 0);
    g_assert_cmpint(desk->tracked->facts.hold, ==, HOLD_REBOOTING);
}

/* It tells the truth again but cannot give what was asked: that is no reboot any more. */
static void test_nudged_but_stuck(Desk *desk, gconstpointer data)
{
    begin_reset(desk);
    nudge(desk);
    desk->facts.balloon_bytes += 100 * MIB;
    for (int i = 0; i < 6; i++)
        live(desk);
    g_assert_cmpint(desk->tracked->facts.hold, ==, HOLD_NO);
    g_assert_cmpuint(desk->tracked->facts.balloon_bytes, >, desk->tracked->facts.target_bytes);
}

/* Stopped and started between two looks: its old target is gone with its old QEMU. */
static void test_restart_unseen(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    desk->facts.boot_count++;
    desk->facts.balloon_bytes = MAX_BYTES;
    const ServerFacts *facts = look(desk, S);
    g_assert_cmpint(facts->hold, ==, HOLD_STARTING);
    g_assert_cmpuint(facts->target_bytes, ==, MAX_BYTES);
    g_assert_false(tracked_wants_confirmation(desk->tracked, desk->now_us));
    live(desk);
    live(desk);
    g_assert_true(tracked_wants_confirmation(desk->tracked, desk->now_us));
    tracked_accepted(desk->tracked, MOVE_NUDGE, MAX_BYTES, desk->now_us);
    for (int i = 0; i < 4; i++)
        live(desk);
    g_assert_cmpint(desk->tracked->facts.hold, ==, HOLD_NO);
    g_assert_false(desk->tracked->facts.busy);
}

/* ---- facts that make no sense */

static void test_impossible_sizes(Desk *desk, gconstpointer data)
{
    desk->facts.balloon_bytes = UNKNOWN;
    g_assert_cmpuint(look(desk, 0)->balloon_bytes, ==, MAX_BYTES);
    desk->facts.balloon_bytes = 5 * GIB;
    const ServerFacts *facts = look(desk, S);
    g_assert_cmpuint(facts->maximum_bytes, ==, 5 * GIB);
    g_assert_cmpuint(facts->balloon_bytes, ==, 5 * GIB);
    desk->tracked->settings = (ServerSettings){.has_minimum = TRUE, .minimum_bytes = 9 * GIB};
    g_assert_cmpuint(look(desk, S)->minimum_bytes, ==, 5 * GIB);
}

/* A container: at its limit; without one at what it holds, which nobody can lend or lose. */
static void test_unlimited(Desk *desk, gconstpointer data)
{
    desk->facts.kind = SERVER_KIND_LXC;
    desk->facts.fixed = FIXED_CONTAINER;
    desk->facts.balloon_bytes = MAX_BYTES;
    desk->facts.pid = 1;
    desk->facts.resident_bytes = 300 * MIB;
    desk->facts.overhead_bytes = 0;
    desk->facts.available_bytes = MAX_BYTES - 300 * MIB;
    const ServerFacts *facts = look(desk, 0);
    g_assert_cmpuint(facts->maximum_bytes, ==, MAX_BYTES);
    g_assert_cmpuint(facts->overhead_bytes, ==, 0);
    g_assert_cmpuint(tracked_bound(desk->tracked), ==, MAX_BYTES);
    desk->facts.unlimited = TRUE;
    facts = look(desk, S);
    g_assert_cmpuint(facts->maximum_bytes, ==, 300 * MIB);
    g_assert_cmpuint(facts->balloon_bytes, ==, 300 * MIB);
    g_assert_cmpuint(facts->target_bytes, ==, 300 * MIB);
    g_assert_cmpuint(facts->sample_balloon_bytes - facts->available_bytes, ==, 300 * MIB);
    g_assert_cmpint(facts->fixed, ==, FIXED_CONTAINER);
    desk->facts.resident_bytes = UNKNOWN;
    g_assert_cmpuint(look(desk, S)->maximum_bytes, <=, 4 * KIB);
}

static void test_residency(Desk *desk, gconstpointer data)
{
    desk->facts.resident_bytes = 3 * GIB;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, UNKNOWN); /* nobody knows whose that is */
    desk->facts.pid = 77;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, 3 * GIB - TRACKED_OVERHEAD_GUESS_BYTES);
    desk->facts.overhead_bytes = 10 * MIB;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, 3 * GIB - TRACKED_OVERHEAD_GUESS_BYTES);
    g_assert_cmpuint(desk->tracked->facts.overhead_bytes, ==, TRACKED_OVERHEAD_GUESS_BYTES);
    /* What QEMU has grown since is not taken for guest RAM beyond the balloon: it is counted already. */
    desk->facts.resident_bytes = 2 * GIB + 50 * MIB;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, 2 * GIB);
    desk->facts.resident_bytes = 2 * GIB - 50 * MIB;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, 2 * GIB - 60 * MIB);
    desk->facts.resident_bytes = 3 * GIB;
    desk->facts.overhead_bytes = 200 * MIB;
    g_assert_cmpuint(look(desk, 0)->overhead_bytes, ==, 216 * MIB);
    desk->facts.overhead_bytes = 10 * MIB;
    g_assert_cmpuint(look(desk, 599 * S)->overhead_bytes, ==, 216 * MIB);
    g_assert_cmpuint(look(desk, 601 * S)->overhead_bytes, ==, 26 * MIB);
    desk->facts.resident_bytes = MIB;
    g_assert_cmpuint(look(desk, 0)->resident_bytes, ==, 0);
}

/* A look at residency since then is newer than the last observation; one before it, or of another boot, is not. */
static void test_residency_between(Desk *desk, gconstpointer data)
{
    desk->facts.pid = 77;
    desk->facts.resident_bytes = GIB;
    desk->facts.overhead_bytes = 0;
    look(desk, 0);
    Tracked *tracked = desk->tracked;
    const int64_t taken_us = tracked->taken_us;
    static const struct {
        int64_t since_us;
        uint64_t boots_since, looked_bytes, resident_bytes;
    } cases[] = {{1, 0, GIB + 300 * MIB, GIB + 300 * MIB},
                 {1, 0, UNKNOWN, GIB},
                 {1, 1, GIB + 300 * MIB, GIB},
                 {-1, 0, GIB + 300 * MIB, GIB}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        tracked->track.burst = (BurstState){.boot_count = tracked->boot_count + cases[i].boots_since,
                                            .looked_us = taken_us + cases[i].since_us,
                                            .looked_bytes = cases[i].looked_bytes};
        tracked_facts(tracked, &desk->defaults, TRUE, taken_us + 2);
        g_assert_cmpuint(tracked->facts.resident_bytes, ==, cases[i].resident_bytes);
        g_assert_cmpint(tracked->facts.balloon_us, ==, taken_us);
    }
}

static void test_states(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    desk->facts.power = POWER_PAUSED;
    g_assert_cmpint(look(desk, S)->hold, ==, HOLD_PAUSED);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "paused");
    desk->facts.power = POWER_MIGRATING;
    g_assert_cmpint(look(desk, S)->hold, ==, HOLD_MIGRATING);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "migrating");
    desk->facts.power = POWER_OFF;
    look(desk, S);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "off");
}

static AgentSample claim(uint64_t available, uint64_t stall_us)
{
    return (AgentSample){.version = "1",
                         .boot = "a",
                         .uptime_us = UNKNOWN,
                         .psi_some_us = stall_us,
                         .total_bytes = MAX_BYTES,
                         .available_bytes = available,
                         .free_bytes = available / 2,
                         .swap_in_bytes = UNKNOWN,
                         .swap_out_bytes = UNKNOWN,
                         .major_faults = 100,
                         .refaults = 7,
                         .oom_kills = UNKNOWN};
}

/* The newest word counts, whoever brought it; of counters the later. */
static void test_agent(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    AgentSample said = claim(3 * GIB, 5000);
    desk->facts.major_faults = 99;
    tracked_hear(desk->tracked, &said, desk->now_us + 500 * MS);
    const ServerFacts *facts = look(desk, S / 2);
    g_assert_cmpint(facts->sample_us, ==, desk->now_us);
    g_assert_cmpint(facts->told_us, ==, desk->now_us);
    g_assert_cmpuint(facts->available_bytes, ==, 3 * GIB);
    g_assert_cmpuint(facts->major_faults, ==, 100);
    g_assert_cmpuint(facts->refaults, ==, 7);
    g_assert_cmpuint(facts->stall_us, ==, 5000);
    int64_t told_us = facts->told_us;
    facts = live(desk);
    g_assert_cmpint(facts->sample_us, >, told_us);
    g_assert_cmpint(facts->told_us, ==, told_us);
    g_assert_cmpuint(facts->available_bytes, ==, desk->facts.available_bytes);
    g_assert_cmpuint(facts->major_faults, ==, 100);
    /* What waited to be read is older than what has been seen since. */
    said = claim(GIB / 2, 6000);
    tracked_hear(desk->tracked, &said, told_us - S);
    facts = look(desk, 100 * MS);
    g_assert_cmpuint(facts->available_bytes, ==, desk->facts.available_bytes);
    g_assert_cmpint(facts->told_us, ==, told_us);
    g_assert_cmpuint(desk->tracked->stalled_us, ==, 1000);
}

/* While its balloon grows, the larger size it may have had is the safe one. After a reset nothing of before counts, and
 * stall is added up. */
static void test_agent_pairing(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    AgentSample said = claim(GIB, 5000);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    tracked_hear(desk->tracked, &said, desk->now_us + MS);
    desk->facts.balloon_bytes = 2 * GIB + GIB / 2;
    g_assert_cmpuint(look(desk, 100 * MS)->sample_balloon_bytes, ==, 3 * GIB);
    desk->facts.boot_count++;
    const ServerFacts *facts = look(desk, 100 * MS);
    g_assert_true(facts->refaults == UNKNOWN && facts->stall_us == UNKNOWN && facts->told_us == 0);
    said = claim(GIB, 300);
    g_strlcpy(said.boot, "b", sizeof said.boot);
    tracked_hear(desk->tracked, &said, desk->now_us + MS);
    g_assert_cmpuint(desk->tracked->stalled_us, ==, 300);
    g_assert_false(look(desk, 100 * MS)->booted); /* an agent is no driver */
}

/* Nobody waits for longer than time goes by, whatever it says and in however many boots. */
static void test_agent_stall_is_bounded(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    int64_t first_us = desk->now_us;
    for (unsigned boot = 0; boot < 20; boot++) {
        AgentSample said = claim(GIB, boot == 0 ? 0 : G_MAXINT64);
        g_snprintf(said.boot, sizeof said.boot, "boot-%u", boot);
        tracked_hear(desk->tracked, &said, desk->now_us);
        look(desk, 100 * MS);
    }
    g_assert_cmpuint(desk->tracked->stalled_us, >=, 1900 * MS);
    g_assert_cmpuint(desk->tracked->stalled_us, <=, (uint64_t)(desk->now_us - first_us + S));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("sample/larger-size", test_larger_size);
    ADD("sample/same-second", test_same_second);
    ADD("sample/age", test_sample_age);
    ADD("sample/unknown", test_unknown_statistics);
    ADD("sample/unresponsive", test_unresponsive);
    ADD("agent/newest", test_agent);
    ADD("agent/pairing", test_agent_pairing);
    ADD("agent/stall-is-bounded", test_agent_stall_is_bounded);
    ADD("boot/no-driver", test_no_driver);
    ADD("boot/grace-stands-still", test_grace_stands_still);
    ADD("boot/clock-set-back", test_clock_set_back);
    ADD("boot/old-sample", test_old_sample_is_not_booted);
    ADD("reset/nudged", test_reset);
    ADD("reset/then-paused", test_reset_then_paused);
    ADD("reset/nudge-again", test_nudge_again);
    ADD("reset/stuck", test_nudged_but_stuck);
    ADD("reset/restart-unseen", test_restart_unseen);
    ADD("facts/impossible-sizes", test_impossible_sizes);
    ADD("facts/residency", test_residency);
    ADD("facts/residency-between", test_residency_between);
    ADD("facts/unlimited", test_unlimited);
    ADD("facts/states", test_states);
    return g_test_run();
}
