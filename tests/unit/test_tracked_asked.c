/* One server followed through virtual time: what an earlier daemon left, and what becomes of requests. */
#include "tracked_desk.h"

/* ---- daemon restarts */

static void test_already_up(Desk *desk, gconstpointer data)
{
    const ServerFacts *facts = look(desk, 0);
    g_assert_true(facts->booted && facts->busy);
    g_assert_cmpint(facts->hold, ==, HOLD_NO);
    g_assert_cmpuint(facts->target_bytes, ==, 2 * GIB);
    g_assert_true(live(desk)->busy);
    g_assert_false(live(desk)->busy);
    g_assert_cmpstr(tracked_state(desk->tracked), ==, "running");
}

/* Found while it inflates: what it comes to stand at is the target. */
static void test_mid_inflation(Desk *desk, gconstpointer data)
{
    look(desk, 0);
    for (int i = 0; i < 10; i++) {
        desk->facts.balloon_bytes -= 100 * MIB;
        const ServerFacts *facts = live(desk);
        g_assert_true(facts->busy);
        g_assert_cmpuint(facts->target_bytes, ==, desk->facts.balloon_bytes);
        g_assert_cmpuint(desk->returned, ==, 0);
    }
    live(desk);
    g_assert_false(live(desk)->busy);
    g_assert_cmpuint(desk->tracked->facts.target_bytes, ==, 2 * GIB - 1000 * MIB);
}

/* The daemon before has asked for more and was killed: that counts, and is asked again as soon as the guest has shown that it
 * lives. */
static void test_inherits(Desk *desk, gconstpointer data)
{
    look(desk, 0);
    tracked_inherit(desk->tracked, 3 * GIB, desk->now_us);
    g_assert_cmpuint(look(desk, 0)->target_bytes, ==, 3 * GIB);
    look(desk, 2 * S);
    g_assert_false(tracked_wants_confirmation(desk->tracked, desk->now_us));
    desk->facts.balloon_bytes += 100 * MIB;
    g_assert_cmpuint(live(desk)->target_bytes, ==, 3 * GIB);
    g_assert_true(desk->tracked->facts.busy);
    g_assert_true(tracked_wants_confirmation(desk->tracked, desk->now_us));
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    /* Its balloon is on its way: that tells nothing new. */
    g_assert_cmpuint(look(desk, 100 * MS)->target_bytes, ==, 3 * GIB);
    g_assert_false(desk->tracked->facts.busy);
}

static void test_inherits_nothing(Desk *desk, gconstpointer data)
{
    look(desk, 0);
    tracked_inherit(desk->tracked, 0, desk->now_us);
    g_assert_false(desk->tracked->unsure);
    tracked_inherit(desk->tracked, 9 * GIB, desk->now_us);
    g_assert_cmpuint(look(desk, 0)->target_bytes, ==, MAX_BYTES);
    desk->facts.power = POWER_OFF;
    look(desk, 0);
    g_assert_cmpuint(tracked_promised(desk->tracked), ==, 0);
}

/* Its balloon is on its way down, and was to rise again when the daemon before was killed. */
static void test_inherits_a_withdrawal(Desk *desk, gconstpointer data)
{
    desk->facts.balloon_bytes = 3 * GIB + 512 * MIB;
    look(desk, 0);
    tracked_inherit(desk->tracked, 3 * GIB, desk->now_us);
    for (int i = 0; i < 15; i++) {
        desk->facts.balloon_bytes -= 100 * MIB;
        g_assert_cmpuint(live(desk)->target_bytes, ==, MAX(desk->facts.balloon_bytes, 3 * GIB));
    }
    g_assert_true(tracked_wants_confirmation(desk->tracked, desk->now_us));
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    g_assert_cmpuint(tracked_promised(desk->tracked), ==, 3 * GIB); /* until the guest has taken it */
    desk->facts.balloon_bytes = 3 * GIB;
    live(desk);
    g_assert_cmpuint(tracked_promised(desk->tracked), ==, 0);
}

/* What the next daemon must know: raises from before they are sent until the guest has taken them, and whatever is uncertain. */
static void test_promised(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    Tracked *tracked = desk->tracked;
    g_assert_cmpuint(tracked_promised(tracked), ==, 0);
    tracked->busy = TRUE;
    tracked->asked_bytes = GIB;
    g_assert_cmpuint(tracked_promised(tracked), ==, 0); /* a reclaim */
    tracked->asked_bytes = 3 * GIB;
    g_assert_cmpuint(tracked_promised(tracked), ==, 3 * GIB);
    tracked->busy = FALSE;
    tracked_uncertain(tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    g_assert_cmpuint(tracked_promised(tracked), ==, 3 * GIB);
    tracked_refused(tracked, desk->now_us); /* asking anew did not tell */
    g_assert_cmpuint(tracked_promised(tracked), ==, 3 * GIB);
    tracked_accepted(tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    g_assert_cmpuint(tracked_promised(tracked), ==, 3 * GIB); /* the guest has not moved yet */
    tracked_accepted(tracked, MOVE_RECLAIM_CALM, GIB, desk->now_us);
    g_assert_cmpuint(tracked_promised(tracked), ==, 0);
}

/* Processors that run for the balloon alone are no work; and where nobody sees them, they may be at work. */
static void test_works(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    Tracked *tracked = desk->tracked;
    g_assert_true(live(desk)->works);
    tracked->processor_at_us = desk->now_us;
    g_assert_false(live(desk)->works);
    tracked_woke(tracked, desk->now_us);
    g_assert_true(live(desk)->works);
    for (int i = 0; i < 3; i++)
        live(desk);
    g_assert_false(live(desk)->works);
    tracked_accepted(tracked, MOVE_RECLAIM_CALM, GIB, desk->now_us);
    g_assert_cmpuint(live(desk)->balloon_bytes, >, GIB);
    tracked_woke(tracked, desk->now_us);
    g_assert_false(live(desk)->works);
}

/* Still for long enough; and one that runs for a moment is not. */
static void test_processor_is_still(Desk *desk, gconstpointer data)
{
    Tracked *tracked = desk->tracked;
    uint64_t used_us = 7 * S;
    for (int i = 0; i <= 500; i++)
        tracked_see_processor(tracked, used_us += 200, desk->now_us += 10 * MS); /* 2 % */
    g_assert_true(tracked->still);
    tracked_see_processor(tracked, used_us += 20 * MS, desk->now_us += 10 * MS);
    g_assert_true(tracked->still);
    tracked_see_processor(tracked, used_us += 10 * MS, desk->now_us += 10 * MS);
    g_assert_false(tracked->still);
    for (int i = 0; i < 100; i++)
        tracked_see_processor(tracked, used_us += 10 * MS, desk->now_us += 100 * MS); /* 10 % */
    g_assert_false(tracked->still);
    for (int i = 0; i <= 50; i++)
        tracked_see_processor(tracked, used_us, desk->now_us += 100 * MS);
    g_assert_true(tracked->still);
    tracked_see_processor(tracked, UNKNOWN, desk->now_us += 100 * MS);
    g_assert_false(tracked->still);
}

static void test_is_still(Desk *desk, gconstpointer data)
{
    const PolicyParams params = policy_params_default();
    adopt_all(desk);
    live(desk);
    Tracked *tracked = desk->tracked;
    tracked->decided = TRUE;
    tracked->demand = (Demand){.known = true, .headroom_bytes = 100 * MIB, .used_bytes = 0};
    tracked->facts.resident_bytes = tracked->facts.balloon_bytes / 2;
    tracked->latest->reports_free_pages = TRUE;
    g_assert_false(tracked_is_still(tracked, &params, desk->now_us));
    tracked->still = TRUE;
    g_assert_true(tracked_is_still(tracked, &params, desk->now_us));
    tracked->facts.resident_bytes = tracked->facts.balloon_bytes; /* a burst would not show */
    g_assert_false(tracked_is_still(tracked, &params, desk->now_us));
    tracked->facts.resident_bytes = tracked->facts.balloon_bytes / 2;
    tracked->track.move.last_step_us = desk->now_us - 4 * S; /* it is being moved */
    g_assert_false(tracked_is_still(tracked, &params, desk->now_us));
    g_assert_true(tracked_is_still(tracked, &params, desk->now_us + 2 * S));
    tracked->row.short_bytes = MIB;
    g_assert_false(tracked_is_still(tracked, &params, desk->now_us + 2 * S));
}

/* Asked, where slack is scarce: who has risen a moment ago, and has more than it needs and is to have. */
static void test_has_spare(Desk *desk, gconstpointer data)
{
    const PolicyParams params = policy_params_default();
    adopt_all(desk);
    Tracked *tracked = desk->tracked;
    tracked->decided = TRUE;
    tracked->demand = (Demand){.known = true, .need_bytes = GIB};
    tracked->facts.idle = tracked->facts.busy = false;
    tracked->facts.unused_bytes = GIB / 2;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us)); /* it never rose */
    tracked->track.move.last_up_us = desk->now_us;
    g_assert_true(tracked_has_spare(tracked, &params, desk->now_us + 4 * S));
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us + 6 * S));
    tracked->row.allocation_bytes = tracked->target_bytes;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us));
    tracked->row.allocation_bytes = 0;
    tracked->demand.need_bytes = tracked->target_bytes - 10 * MIB;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us));
    tracked->demand.need_bytes = tracked->target_bytes - 20 * MIB;
    g_assert_true(tracked_has_spare(tracked, &params, desk->now_us));
    tracked->facts.idle = true;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us));
    tracked->facts.idle = false;
    tracked->facts.unused_bytes = UNKNOWN;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us));
    tracked->facts.unused_bytes = GIB;
    tracked->demand.faulting = true;
    g_assert_false(tracked_has_spare(tracked, &params, desk->now_us));
}

/* Its last word is seconds old and no other comes: it was reset just before, and has all its memory. */
static void test_reset_before_us(Desk *desk, gconstpointer data)
{
    const ServerFacts *facts = look(desk, 3 * S);
    g_assert_true(facts->booted && facts->busy);
    for (int i = 0; i < 9; i++)
        g_assert_true(look(desk, S)->busy);
    facts = look(desk, S);
    g_assert_false(facts->booted);
    g_assert_cmpint(facts->hold, ==, HOLD_REBOOTING);
    g_assert_false(facts->busy);
}

/* A guest that was paused when we came cannot speak; that is not silence. */
static void test_adopts_paused(Desk *desk, gconstpointer data)
{
    desk->facts.power = POWER_PAUSED;
    for (int i = 0; i < 60; i++)
        g_assert_true(look(desk, S)->booted);
    desk->facts.power = POWER_RUNNING;
    g_assert_true(look(desk, S)->booted);
    live(desk);
    g_assert_false(live(desk)->busy);
}

/* Statistics from long before: it may be booting, hung or stopped, so all of its memory counts. One that is up
 * answers us at once, in the same second, and is as good as one that has spoken before. */
static void test_unasked(Desk *desk, gconstpointer data)
{
    const ServerFacts *facts = look(desk, 60 * S);
    g_assert_false(facts->booted);
    g_assert_cmpint(facts->hold, ==, HOLD_STARTING);
    g_assert_cmpint(facts->sample_us, ==, 0);
    g_assert_cmpuint(facts->available_bytes, ==, UNKNOWN);
    g_assert_false(look(desk, 10 * MS)->booted); /* nothing new */
    speak(desk);
    facts = look(desk, 50 * MS);
    g_assert_true(facts->booted);
    g_assert_true(desk->tracked->adopting);
    g_assert_cmpuint(facts->target_bytes, ==, 2 * GIB);
    desk->facts.balloon_bytes += GIB; /* on its way */
    look(desk, S);
    g_assert_true(desk->tracked->adopting);
    g_assert_cmpuint(desk->tracked->facts.target_bytes, ==, 3 * GIB);
    live(desk);
    facts = live(desk);
    g_assert_false(desk->tracked->adopting);
    g_assert_cmpint(facts->hold, ==, HOLD_NO);
}

/* After @us it speaks, its counters as they are now, and that is the end of a boot. */
static void assert_boots(Desk *desk, int64_t us, uint64_t major_faults)
{
    look(desk, us);
    desk->facts.major_faults = major_faults;
    speak(desk);
    const ServerFacts *facts = look(desk, 100 * MS);
    g_assert_true(facts->booted);
    g_assert_false(desk->tracked->adopting);
    g_assert_cmpint(facts->hold, ==, HOLD_STARTING);
    look(desk, 3 * S);
    g_assert_cmpint(desk->tracked->facts.hold, ==, HOLD_NO);
}

/* One that does not answer at once is booting. */
static void test_unasked_boots(Desk *desk, gconstpointer data)
{
    look(desk, 60 * S);
    assert_boots(desk, 2 * S, UNKNOWN);
}

/* So is one that never spoke before. */
static void test_never_spoke(Desk *desk, gconstpointer data)
{
    desk->facts.guest_update_s = 0;
    look(desk, 60 * S);
    assert_boots(desk, S, UNKNOWN);
}

/* One whose counters began anew was reset before we came. */
static void test_reset_before(Desk *desk, gconstpointer data)
{
    desk->facts.major_faults = 500;
    look(desk, 60 * S);
    assert_boots(desk, S, 20);
}

/* Old statistics that could not be had at first are no answer. */
static void test_late_old_statistics(Desk *desk, gconstpointer data)
{
    BackendServer with = desk->facts;
    desk->facts.guest_update_s = desk->facts.available_bytes = desk->facts.free_bytes = UNKNOWN;
    g_assert_false(look(desk, 60 * S)->booted);
    desk->facts = with;
    g_assert_false(look(desk, 200 * MS)->booted);
    desk->facts.available_bytes -= MIB;
    g_assert_false(look(desk, 200 * MS)->booted);
}

/* ---- turns */

/* QEMU is asked for its size, and tells; or is not. */
static const ServerFacts *look_at(Desk *desk, int64_t us, gboolean asked)
{
    if (asked)
        desk->facts.balloon_read_us = desk->now_us + us;
    return look(desk, us);
}

/* Nobody looked at it while it moved: its size is as old as it was, until nothing has been heard of it for long. */
static void test_old_reading(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    look_at(desk, 50 * MS, TRUE);
    g_assert_cmpint(look_at(desk, 50 * MS, FALSE)->balloon_us, ==,
                    desk->now_us); /* it is where it was asked to be */
    tracked_accepted(desk->tracked, MOVE_RECLAIM_URGENT, GIB, desk->now_us);
    g_assert_cmpint(look_at(desk, 50 * MS, TRUE)->balloon_us, ==, desk->now_us);
    int64_t read_us = desk->now_us;
    g_assert_cmpint(look_at(desk, 50 * MS, FALSE)->balloon_us, ==, read_us);
    read_us = desk->facts.balloon_read_us = desk->now_us + 10 * MS; /* others answered 40 ms later */
    g_assert_cmpint(look_at(desk, 50 * MS, FALSE)->balloon_us, ==, read_us);
    desk->facts.balloon_bytes -= 16 * MIB; /* an event said so */
    g_assert_cmpint(look_at(desk, 50 * MS, FALSE)->balloon_us, ==, desk->now_us);
    read_us = desk->now_us;
    g_assert_cmpint(look_at(desk, 900 * MS, FALSE)->balloon_us, ==, read_us);
    g_assert_cmpint(look_at(desk, 200 * MS, FALSE)->balloon_us, ==, desk->now_us);
}

/* Called back in the middle of a raise: it may have come as far as that, until QEMU has shown otherwise twice. */
static void test_turned(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    desk->facts.balloon_read_us = desk->now_us += 50 * MS;
    tracked_accepted(desk->tracked, MOVE_RECLAIM_URGENT, GIB, desk->now_us);
    for (int i = 0; i < 100; i++) { /* what is known is from before */
        const ServerFacts *facts = look_at(desk, 50 * MS, FALSE);
        g_assert_cmpuint(facts->target_bytes, ==, 3 * GIB);
        g_assert_true(facts->busy);
    }
    tracked_hear(desk->tracked, &(AgentSample){0}, desk->now_us);
    g_assert_cmpuint(desk->tracked->agent_balloon_bytes, ==, 3 * GIB);
    desk->facts.balloon_bytes = 5 * GIB / 2; /* it had come far */
    g_assert_cmpuint(look_at(desk, 50 * MS, TRUE)->target_bytes, ==, 3 * GIB);
    g_assert_cmpuint(look_at(desk, 50 * MS, FALSE)->target_bytes, ==, 3 * GIB);
    desk->facts.balloon_bytes += MIB; /* the step it was in */
    g_assert_cmpuint(look_at(desk, 50 * MS, TRUE)->target_bytes, ==, 3 * GIB);
    desk->facts.balloon_bytes -= 16 * MIB;
    desk->facts.responsive = FALSE;
    g_assert_cmpuint(look_at(desk, 50 * MS, TRUE)->target_bytes, ==, 3 * GIB);
    desk->facts.responsive = TRUE;
    const ServerFacts *facts = look_at(desk, 50 * MS, TRUE);
    g_assert_cmpuint(facts->target_bytes, ==, GIB);
    g_assert_false(facts->busy);
}

/* It had not begun, or does not move at all. */
static void test_turned_in_vain(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    tracked_accepted(desk->tracked, MOVE_RECLAIM_CALM, 2 * GIB, desk->now_us);
    g_assert_true(look_at(desk, 50 * MS, TRUE)->busy);
    g_assert_false(look_at(desk, 50 * MS, TRUE)->busy);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    tracked_accepted(desk->tracked, MOVE_RECLAIM_CALM, GIB, desk->now_us);
    for (int i = 0; i < 20; i++)
        g_assert_cmpuint(look_at(desk, 100 * MS, TRUE)->target_bytes, ==, i < 19 ? 3 * GIB : GIB);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us); /* risen above: no turn */
    g_assert_cmpuint(look_at(desk, 50 * MS, TRUE)->target_bytes, ==, 3 * GIB);
    g_assert_false(desk->tracked->facts.busy);
}

/* ---- requests */

static void test_refused(Desk *desk, gconstpointer data)
{
    static const int pause_s[] = {1, 2, 4, 8, 16, 16};
    adopt_all(desk);
    for (guint i = 0; i < G_N_ELEMENTS(pause_s); i++) {
        tracked_refused(desk->tracked, desk->now_us);
        g_assert_true(look(desk, pause_s[i] * S - 1)->busy);
        g_assert_false(look(desk, 1)->busy);
    }
    g_assert_cmpuint(desk->tracked->facts.target_bytes, ==, 2 * GIB);
    tracked_accepted(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    tracked_refused(desk->tracked, desk->now_us);
    g_assert_false(look(desk, S)->busy);
}

/* Neither taken nor refused: the larger counts and nothing else is asked, however its balloon moves. */
static void test_uncertain(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    tracked_uncertain(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    g_assert_cmpuint(look(desk, 0)->target_bytes, ==, 3 * GIB);
    g_assert_false(tracked_wants_confirmation(desk->tracked, desk->now_us));
    g_assert_true(live(desk)->busy);
    g_assert_true(live(desk)->busy);
    g_assert_true(tracked_wants_confirmation(desk->tracked, desk->now_us));
    desk->facts.responsive = FALSE;
    live(desk);
    g_assert_false(tracked_wants_confirmation(desk->tracked, desk->now_us));
    desk->facts.responsive = TRUE;
    tracked_uncertain(desk->tracked, MOVE_RECLAIM_CALM, GIB, desk->now_us);
    g_assert_cmpuint(look(desk, 0)->target_bytes, ==, 3 * GIB);
    tracked_accepted(desk->tracked, MOVE_WITHDRAW, 3 * GIB, desk->now_us);
    g_assert_false(live(desk)->busy);
}

/* In observe mode nothing is asked: what it comes to stand at is the target. */
static void test_uncertain_adopts(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    tracked_uncertain(desk->tracked, MOVE_GRANT_NEED, 3 * GIB, desk->now_us);
    tracked_adopt(desk->tracked, desk->now_us);
    desk->facts.balloon_bytes = 5 * GIB / 2;
    look(desk, S);
    g_assert_true(look(desk, S)->busy);
    g_assert_false(look(desk, S)->busy);
    g_assert_cmpuint(desk->tracked->facts.target_bytes, ==, 5 * GIB / 2);
}

static void test_returned(Desk *desk, gconstpointer data)
{
    adopt_all(desk);
    desk->tracked->busy = TRUE; /* a reclaim that has not been answered is moving already */
    desk->tracked->asked_bytes = GIB;
    desk->facts.balloon_bytes -= 100 * MIB;
    g_assert_cmpuint(look(desk, 100 * MS)->target_bytes, ==, 2 * GIB);
    g_assert_cmpuint(desk->returned, ==, 100 * MIB);
    desk->tracked->busy = FALSE;
    desk->tracked->target_bytes = GIB;
    desk->facts.balloon_bytes = GIB - MIB; /* a little below what was asked is not ours */
    look(desk, 100 * MS);
    g_assert_cmpuint(desk->returned, ==, GIB - 100 * MIB);
    desk->facts.balloon_bytes = 2 * GIB;
    look(desk, 100 * MS);
    g_assert_cmpuint(desk->returned, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("processor-is-still", test_processor_is_still);
    ADD("is-still", test_is_still);
    ADD("asked/has-spare", test_has_spare);
    ADD("works", test_works);
    ADD("adopt/already-up", test_already_up);
    ADD("adopt/mid-inflation", test_mid_inflation);
    ADD("adopt/inherits", test_inherits);
    ADD("adopt/inherits-nothing", test_inherits_nothing);
    ADD("adopt/inherits-a-withdrawal", test_inherits_a_withdrawal);
    ADD("request/promised", test_promised);
    ADD("adopt/reset-before-us", test_reset_before_us);
    ADD("adopt/paused", test_adopts_paused);
    ADD("adopt/unasked", test_unasked);
    ADD("adopt/unasked-boots", test_unasked_boots);
    ADD("adopt/never-spoke", test_never_spoke);
    ADD("adopt/reset-before", test_reset_before);
    ADD("adopt/late-old-statistics", test_late_old_statistics);
    ADD("turned", test_turned);
    ADD("turned/in-vain", test_turned_in_vain);
    ADD("request/refused", test_refused);
    ADD("request/uncertain", test_uncertain);
    ADD("request/uncertain-observed", test_uncertain_adopts);
    ADD("request/returned", test_returned);
    ADD("request/old-reading", test_old_reading);
    return g_test_run();
}
