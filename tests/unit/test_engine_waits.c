/* Who is taken to wait for memory, since when and until when: looks at one server whose facts the test sets. */
#include "engine/engine_private.h"
#include "engine_rig.h"

#define BALLOON (UINT64_C(300) * MIB)
#define SECOND  ((int64_t)G_USEC_PER_SEC)

typedef struct {
    Rig rig;
    Tracked *donor;
    int64_t now_us;
} Waits;

/* One server that has what it needs: a donor down to its floor, 60 MiB below its need. The looks of the engine itself do not come
 * in between: its loop does not turn. */
static void waits_begin(Waits *waits)
{
    rig_begin(&waits->rig, UINT64_C(5) * GIB, MODE_MANAGE);
    fake_guest_add(waits->rig.fake, "donor", GIB);
    rig_start(&waits->rig, NULL);
    RIG_UNTIL(rig_server(&waits->rig, "donor") && rig_server(&waits->rig, "donor")->decided &&
              !rig_server(&waits->rig, "donor")->adopting);
    Tracked *donor = waits->donor = rig_server(&waits->rig, "donor");
    waits->now_us = g_get_monotonic_time();
    relief_clear(&donor->relief);
    donor->waited_us = 0;
    donor->track.burst.bursting = false;
    donor->row.hold = HOLD_NO;
    donor->row.allocation_bytes = donor->facts.balloon_bytes = donor->target_bytes = BALLOON;
    donor->facts.fixed = FIXED_NO;
    donor->demand = (Demand){.known = true,
                             .enough_bytes = BALLOON - 4 * MIB,
                             .floor_bytes = BALLOON,
                             .need_bytes = BALLOON + 60 * MIB};
    donor->facts.sample_us = donor->sample_us = waits->now_us;
}

static void look_after(Waits *waits, int64_t elapsed_us)
{
    waits->now_us += elapsed_us;
    engine_measure_relief(waits->rig.engine, waits->now_us);
}

static void sample_after(Waits *waits, int64_t elapsed_us, uint64_t enough_bytes)
{
    Tracked *donor = waits->donor;
    donor->sample_before_us = donor->sample_us;
    donor->sample_us = donor->facts.sample_us = waits->now_us + elapsed_us;
    donor->demand.enough_bytes = enough_bytes;
    donor->demand.floor_bytes = u64_max(donor->demand.floor_bytes, enough_bytes);
    look_after(waits, elapsed_us);
}

/* The floor is the larger of two readings while a balloon inflates: it stops a reclaim, and makes nobody wait. */
static void test_floor_alone(void)
{
    Waits waits;
    waits_begin(&waits);
    waits.donor->demand.floor_bytes = BALLOON + 20 * MIB;
    look_after(&waits, 0);
    g_assert_cmpint(waits.donor->relief.since_us, ==, 0);
    sample_after(&waits, SECOND, BALLOON + 20 * MIB);
    g_assert_cmpint(waits.donor->relief.since_us, !=, 0);
    rig_end(&waits.rig);
}

/* Its statistics are seconds apart: it ran short in between, when its use had risen to what it has if it rose evenly. */
static void test_since_use_rose(void)
{
    Waits waits;
    waits_begin(&waits);
    look_after(&waits, 0);
    const int64_t fine_us = waits.now_us;
    /* From 4 MiB below its balloon to 12 above, of which the band spares 1.5. */
    sample_after(&waits, 4 * SECOND, BALLOON + 12 * MIB);
    double band = (double)(BALLOON / 1000 * waits.rig.params.band_permille) / (double)MIB;
    int64_t since_us = fine_us + (int64_t)((4 + band) / 16 * 4e6);
    g_assert_cmpint(waits.donor->relief.since_us, >=, since_us - 1000);
    g_assert_cmpint(waits.donor->relief.since_us, <=, since_us + 1000);
    rig_end(&waits.rig);
}

/* Short for a moment, and then no more by itself: it does not wait for its whole headroom, which others have while they need
 * it more. */
static void test_passes(void)
{
    Waits waits;
    waits_begin(&waits);
    look_after(&waits, 0);
    sample_after(&waits, SECOND, BALLOON + 12 * MIB);
    g_assert_cmpint(waits.donor->relief.since_us, !=, 0);
    sample_after(&waits, SECOND / 2, BALLOON + MIB);
    g_assert_cmpint(waits.donor->relief.since_us, !=, 0); /* it hovers */
    sample_after(&waits, SECOND / 2, BALLOON);
    g_assert_cmpint(waits.donor->relief.since_us, ==, 0);
    g_assert_cmpint(waits.donor->waited_us, >=, SECOND);
    g_assert_cmpint(waits.donor->waited_us, <=, 2 * SECOND);
    rig_end(&waits.rig);
}

/* What was granted something waits until it has come, also when half of its headroom is there before. */
static void test_granted_waits_for_all(void)
{
    Waits waits;
    waits_begin(&waits);
    Tracked *donor = waits.donor;
    look_after(&waits, 0);
    sample_after(&waits, SECOND, BALLOON + 12 * MIB);
    relief_granted(&donor->relief, 60 * MIB, waits.now_us);
    donor->target_bytes = BALLOON + 60 * MIB;
    donor->facts.balloon_bytes = BALLOON + 20 * MIB;
    look_after(&waits, SECOND / 10);
    g_assert_cmpint(donor->relief.since_us, !=, 0);
    donor->facts.balloon_bytes = BALLOON + 60 * MIB;
    look_after(&waits, SECOND / 10);
    g_assert_cmpint(donor->relief.since_us, ==, 0);
    rig_end(&waits.rig);
}

/* A part was granted, there is no more, and its use falls back: that was all it waited for. */
static void test_passes_with_a_part(void)
{
    Waits waits;
    waits_begin(&waits);
    Tracked *donor = waits.donor;
    look_after(&waits, 0);
    sample_after(&waits, SECOND, BALLOON + 12 * MIB);
    relief_granted(&donor->relief, 4 * MIB, waits.now_us);
    donor->target_bytes = donor->facts.balloon_bytes = BALLOON + 4 * MIB;
    look_after(&waits, SECOND / 10);
    g_assert_cmpint(donor->relief.since_us, !=, 0);
    sample_after(&waits, SECOND, BALLOON - 4 * MIB);
    g_assert_cmpint(donor->relief.since_us, ==, 0);
    rig_end(&waits.rig);
}

/* One that has filled its balloon grows no more, and may have no time to say so: it waits until it has. */
static void test_at_the_wall(void)
{
    Waits waits;
    waits_begin(&waits);
    Tracked *donor = waits.donor;
    look_after(&waits, 0);
    BurstState *burst = &donor->track.burst;
    burst->bursting = true;
    burst->quiet_us = waits.now_us + SECOND / 10;
    burst->grew_us = waits.now_us + SECOND / 4;
    look_after(&waits, SECOND / 4);
    g_assert_cmpint(donor->relief.since_us, ==, burst->quiet_us);
    burst->bursting = false;
    look_after(&waits, SECOND);
    g_assert_cmpint(donor->relief.since_us, ==, burst->quiet_us);
    sample_after(&waits, SECOND / 10, BALLOON - 4 * MIB);
    g_assert_cmpint(donor->relief.since_us, ==, 0);
    rig_end(&waits.rig);
}

/* Nobody waits while it is paused, and what is found short afterwards has not been so since before. */
static void test_after_a_pause(void)
{
    Waits waits;
    waits_begin(&waits);
    Tracked *donor = waits.donor;
    look_after(&waits, 0);
    donor->row.hold = HOLD_PAUSED;
    look_after(&waits, 3600 * SECOND);
    const int64_t paused_us = waits.now_us;
    donor->row.hold = HOLD_NO;
    look_after(&waits, SECOND / 10);
    sample_after(&waits, SECOND, BALLOON + 12 * MIB);
    g_assert_cmpint(donor->relief.since_us, >=, paused_us);
    g_assert_cmpint(donor->relief.since_us, <=, waits.now_us);
    rig_end(&waits.rig);
}

/* One that bursts needs more than it has by what it is about to touch, and waits for that although half its headroom is there. */
static void test_bursts(void)
{
    Waits waits;
    waits_begin(&waits);
    Tracked *donor = waits.donor;
    look_after(&waits, 0);
    donor->track.burst.bursting = true;
    donor->track.burst.quiet_us = waits.now_us + SECOND / 4;
    look_after(&waits, SECOND / 2);
    g_assert_cmpint(donor->relief.since_us, ==, donor->track.burst.quiet_us);
    look_after(&waits, SECOND / 10);
    g_assert_cmpint(donor->relief.since_us, ==, donor->track.burst.quiet_us);
    rig_end(&waits.rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine-waits/floor-alone", test_floor_alone);
    g_test_add_func("/engine-waits/since", test_since_use_rose);
    g_test_add_func("/engine-waits/passes", test_passes);
    g_test_add_func("/engine-waits/granted", test_granted_waits_for_all);
    g_test_add_func("/engine-waits/bursts", test_bursts);
    g_test_add_func("/engine-waits/part", test_passes_with_a_part);
    g_test_add_func("/engine-waits/wall", test_at_the_wall);
    g_test_add_func("/engine-waits/pause", test_after_a_pause);
    return g_test_run();
}
