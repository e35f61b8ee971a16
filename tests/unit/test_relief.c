/* One server's waits and what a rise of them is said to have come to; the figures of many. */
#include "engine/relief.h"

static void test_percentiles(void)
{
    Relief relief = {0};
    g_assert_cmpuint(relief_percentile(&relief, 500), ==, UINT64_MAX);
    for (uint64_t us = 1; us <= 100; us++)
        relief_add(&relief, us);
    g_assert_cmpuint(relief_percentile(&relief, 500), ==, 50);
    g_assert_cmpuint(relief_percentile(&relief, 990), ==, 99);
    for (unsigned i = 0; i < RELIEF_KEPT; i++)
        relief_add(&relief, 7);
    g_assert_cmpuint(relief_percentile(&relief, 990), ==, 7);
}

static void test_rise_of_two_waits(void)
{
    ReliefEpisode one = {0};
    relief_begin(&one, 1000, 10);
    relief_begin(&one, 1500, 20); /* it waits already */
    g_assert_cmpint(relief_granted(&one, 5, 1400), ==, 400);
    g_assert_cmpint(relief_granted(&one, 5, 1600), ==, -1); /* not the first */
    g_assert_cmpint(relief_end(&one, 3000), ==, 2000);
    relief_begin(&one, 2000, 30); /* not before the end of the one before */
    g_assert_cmpint(one.since_us, ==, 3000);
    g_assert_cmpint(relief_granted(&one, 7, 3200), ==, 200);
    relief_end(&one, 3300);
    g_assert_cmpint(one.rise.began_us, ==, 1000);
    g_assert_cmpint(one.rise.first_grant_us, ==, 400);
    g_assert_cmpint(one.rise.longest_us, ==, 2000);
    g_assert_cmpint(one.rise.lasted_us, ==, 2300);
    g_assert_cmpuint(one.rise.waits, ==, 2);
    g_assert_cmpuint(one.rise.got_bytes, ==, 17);
    g_assert_false(relief_over(&one, 500, 3700));
    g_assert_true(relief_over(&one, 500, 3800));
    relief_clear(&one);
}

/* What it needed came by itself; the burst after that begins anew, and its first grant is as quick as it was. */
static void test_wait_without_a_grant(void)
{
    ReliefEpisode one = {0};
    relief_begin(&one, 1000, 10);
    relief_end(&one, 2000);
    relief_begin(&one, 3000, 20);
    g_assert_cmpint(relief_granted(&one, 5, 3050), ==, 50);
    relief_end(&one, 3200);
    g_assert_cmpint(one.rise.began_us, ==, 3000);
    g_assert_cmpint(one.rise.first_grant_us, ==, 50);
    g_assert_cmpint(one.rise.longest_us, ==, 200);
    g_assert_cmpuint(one.rise.waits, ==, 1);
    relief_clear(&one);
}

/* Need that hovers about what there is begins waits that end by themselves: none of them joins a rise to the next. */
static void test_hovering(void)
{
    ReliefEpisode one = {0};
    relief_begin(&one, 1000, 10);
    relief_granted(&one, 5, 1100);
    relief_end(&one, 1200);
    for (int64_t us = 1300; us < 1700; us += 100) {
        g_assert_false(relief_over(&one, 500, us));
        relief_begin(&one, us, 10);
        relief_end(&one, us + 50);
    }
    g_assert_true(relief_over(&one, 500, 1700));
    g_assert_cmpuint(one.rise.waits, ==, 5);
    relief_told(&one);
    g_assert_cmpuint(one.rise.waits, ==, 0);
    relief_begin(&one, 1500, 20); /* not before the end of the one before, told or not */
    g_assert_cmpint(relief_granted(&one, 5, 1750), ==, 100);
    relief_end(&one, 1800);
    g_assert_cmpint(one.rise.began_us, ==, 1650);
    g_assert_false(relief_over(&one, 500, 2299));
    relief_clear(&one);
}

/* A grant between two waits pays for the rise; what hovers after it keeps it open no longer than a wait that was paid. */
static void test_granted_between(void)
{
    ReliefEpisode one = {0};
    relief_begin(&one, 1000, 10);
    relief_end(&one, 1100);
    g_assert_cmpint(relief_granted(&one, 5, 1200), ==, -1);
    for (int64_t us = 1300; us < 1700; us += 100) {
        relief_begin(&one, us, 10);
        relief_end(&one, us + 50);
    }
    g_assert_false(relief_over(&one, 500, 1699));
    g_assert_true(relief_over(&one, 500, 1700));
    relief_clear(&one);
}

/* A burst that had room for seconds has waited since it was last seen with enough, not since it began. */
static void test_had_room_before(void)
{
    ReliefEpisode one = {.fine_us = 4000};
    relief_begin(&one, 1000, 20);
    g_assert_cmpint(relief_granted(&one, 5, 4080), ==, 80);
    g_assert_cmpint(one.rise.first_grant_us, ==, 80);
    relief_clear(&one);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relief/percentiles", test_percentiles);
    g_test_add_func("/relief/two-waits", test_rise_of_two_waits);
    g_test_add_func("/relief/without-a-grant", test_wait_without_a_grant);
    g_test_add_func("/relief/hovering", test_hovering);
    g_test_add_func("/relief/granted-between", test_granted_between);
    g_test_add_func("/relief/had-room", test_had_room_before);
    return g_test_run();
}
