/* Which servers a glance asks: every look costs a guest in need some of its processor, and one left out keeps others waiting. */
#include "backend/libvirt_private.h"

#define NOW (INT64_C(100) * US_PER_S)
#define MS  INT64_C(1000)

/* Running, known, and at the size that was asked for long ago. */
static Server settled(void)
{
    Server server = {.admission = ADMITTED, .target_bytes = GIB, .moved_us = NOW - 90 * US_PER_S};
    server.definition.driver = (char *)"virtio-balloon";
    sample_init(&server.sample);
    server.sample.running = server.sample.has_balloon = TRUE;
    server.sample.balloon_bytes = GIB;
    server.read_us = NOW - US_PER_S / 2;
    return server;
}

/* It was told so long ago to have @target, and was at @balloon when it was last asked. */
static Server moving(int64_t told_us, uint64_t target, int64_t read_us, uint64_t balloon)
{
    Server server = settled();
    server.moved_us = NOW - told_us;
    server.target_bytes = target;
    server.read_us = NOW - read_us;
    server.sample.balloon_bytes = balloon;
    server.sample.live = TRUE;
    return server;
}

static void test_settled(void)
{
    Server server = settled();
    g_assert_false(glance_wants(&server, NOW));
    server.sample.has_balloon = FALSE; /* a driver that tells it only when it is asked */
    g_assert_true(glance_wants(&server, NOW));
    server.sample.running = FALSE;
    g_assert_false(glance_wants(&server, NOW));
}

static void test_on_its_way(void)
{
    Server down = moving(200 * MS, GIB, 50 * MS, 2 * GIB);
    g_assert_true(glance_wants(&down, NOW));
    down.read_us = NOW - 49 * MS;
    g_assert_false(glance_wants(&down, NOW));
    Server up = moving(200 * MS, 2 * GIB, 80 * MS, GIB);
    g_assert_true(glance_wants(&up, NOW));
    up.read_us = NOW - 79 * MS;
    g_assert_false(glance_wants(&up, NOW));
    /* Since it was told it has not been asked: what it had before says nothing. */
    Server told = moving(10 * MS, GIB, 90 * MS, GIB);
    g_assert_true(glance_wants(&told, NOW));
    Server suspect = down;
    suspect.read_us = NOW - US_PER_S;
    suspect.admission = SUSPECT;
    g_assert_false(glance_wants(&suspect, NOW));
}

/* Its guest may take back what it gave, and an event does not always say so. */
static void test_arrived(void)
{
    Server arrived = moving(600 * MS, GIB, 249 * MS, GIB);
    g_assert_false(glance_wants(&arrived, NOW));
    arrived.read_us = NOW - 250 * MS;
    g_assert_true(glance_wants(&arrived, NOW));
    arrived.read_us = NOW - 60 * MS;
    arrived.moved_us = NOW - 5 * MS; /* an event: it has moved since */
    g_assert_true(glance_wants(&arrived, NOW));
    arrived.moved_us = NOW - 4 * US_PER_S;
    arrived.read_us = NOW - 2 * US_PER_S;
    g_assert_false(glance_wants(&arrived, NOW));
}

static void test_turned(void)
{
    Server server = moving(200 * MS, 3 * GIB, 5 * MS, 2 * GIB);
    server_told(&server, GIB, NOW - 2 * MS);
    g_assert_cmpint(server.turn_looks, >, 1);
    g_assert_true(glance_wants(&server, NOW));
    server.turn_looks = 0;
    g_assert_false(glance_wants(&server, NOW));
    g_assert_cmpuint(server.target_bytes, ==, GIB);
    g_assert_cmpint(server.moved_us, ==, NOW - 2 * MS);
    /* It had arrived; it was told for the first time; it was called back on its way down. */
    Server arrived = moving(200 * MS, 2 * GIB, 5 * MS, 2 * GIB);
    server_told(&arrived, GIB, NOW);
    g_assert_cmpint(arrived.turn_looks, ==, 0);
    Server first = moving(200 * MS, 0, 5 * MS, 2 * GIB);
    server_told(&first, GIB, NOW);
    g_assert_cmpint(first.turn_looks, ==, 0);
    Server up = moving(200 * MS, GIB, 5 * MS, 2 * GIB);
    server_told(&up, 3 * GIB / 2, NOW);
    g_assert_cmpint(up.turn_looks, ==, 0);
}

/* Only what was asked after it turned counts as a look at that. */
static void test_turn_looks(void)
{
    Server server = moving(200 * MS, 3 * GIB, 5 * MS, 2 * GIB);
    Sample sample;
    sample_init(&sample);
    sample.running = sample.has_balloon = sample.live = sample.asked = TRUE;
    sample.balloon_bytes = 2 * GIB;
    server_told(&server, GIB, NOW);
    int looks = server.turn_looks;
    server_apply_sample(NULL, &server, &sample, NOW - MS);
    g_assert_cmpint(server.turn_looks, ==, looks);
    for (int i = 1; i <= looks; i++)
        server_apply_sample(NULL, &server, &sample, NOW + i * MS);
    g_assert_cmpint(server.turn_looks, ==, 0);
}

/* An answer that is the same as before cannot be told from none: the looks for it become rarer, and end. */
static void test_expected(void)
{
    Server server = settled();
    unsigned looks = 0;
    server.asked_us = NOW;
    for (int64_t ms = 1; ms < 2000; ms++) {
        if (!glance_wants(&server, NOW + ms * MS))
            continue;
        looks++;
        server.read_us = NOW + ms * MS;
        g_assert_cmpint(ms, <, 500);
    }
    g_assert_cmpuint(looks, >=, 6);
    g_assert_cmpuint(looks, <=, 10);
    /* The answer has come. */
    server.asked_us = 0;
    g_assert_false(glance_wants(&server, server.read_us + 10 * MS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/glance/settled", test_settled);
    g_test_add_func("/glance/on-its-way", test_on_its_way);
    g_test_add_func("/glance/arrived", test_arrived);
    g_test_add_func("/glance/turned", test_turned);
    g_test_add_func("/glance/turn-looks", test_turn_looks);
    g_test_add_func("/glance/expected", test_expected);
    return g_test_run();
}
