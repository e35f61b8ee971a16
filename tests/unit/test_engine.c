/* The engine over guests in memory: what flows, what is left alone, what is said. The account is held against theirs. */
#include <string.h>
#include <glib/gstdio.h>
#include "base/error.h"
#include "engine/reservation.h"
#include "engine_rig.h"

static gboolean journal_has(Rig *rig, const char *server, const char *part)
{
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    for (guint i = 0; i < all->len; i++) {
        const JournalEntry *entry = all->pdata[i];
        if (g_strcmp0(entry->server, server) == 0 && strstr(entry->text, part))
            return TRUE;
    }
    return FALSE;
}

static const JournalEntry *newest_move(Rig *rig, const char *server)
{
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    for (guint i = 0; i < all->len; i++) {
        const JournalEntry *entry = all->pdata[i];
        if (entry->move != MOVE_NONE && g_strcmp0(entry->server, server) == 0)
            return entry;
    }
    return NULL;
}

static uint64_t balloon(Rig *rig, FakeGuest *guest)
{
    return FAKE(rig->fake, guest->truth_bytes);
}

static unsigned asked(Rig *rig, FakeGuest *guest)
{
    return FAKE(rig->fake, guest->targets_asked);
}

/* Nobody is asked anything for a while. */
static void assert_untouched(Rig *rig, unsigned ms, FakeGuest *const *guests, guint n)
{
    unsigned before = 0, after = 0;
    for (guint i = 0; i < n; i++)
        before += asked(rig, guests[i]);
    rig_pass(ms);
    for (guint i = 0; i < n; i++)
        after += asked(rig, guests[i]);
    g_assert_cmpuint(after, ==, before);
}

static void assert_within_pool(Rig *rig)
{
    const EngineHost *host = engine_host(rig->engine);
    g_test_message("%u MiB at most, the ledger said %u MiB, the pool is %u MiB",
                   (unsigned)(fake_peak(rig->fake) / MIB), (unsigned)(host->committed_peak_bytes / MIB),
                   (unsigned)(host->pool_bytes / MIB));
    g_assert_cmpuint(fake_peak(rig->fake), <=, host->pool_bytes);
    g_assert_cmpuint(host->committed_peak_bytes, <=, host->pool_bytes);
    g_assert_cmpfloat(host->over_seconds, ==, 0);
}

#define POOL (UINT64_C(5) * GIB)

/* Two servers of 4 GiB share 5 GiB; one holds 3, the other 1.5, and the third is small. */
typedef struct {
    Rig rig;
    FakeGuest *idle, *needy;
} Pair;

static void pair_begin(Pair *pair, Mode mode)
{
    rig_begin(&pair->rig, POOL, mode);
    pair->idle = fake_guest_add(pair->rig.fake, "idle", 4 * GIB);
    pair->needy = fake_guest_add(pair->rig.fake, "needy", 4 * GIB);
    fake_lock(pair->rig.fake);
    pair->idle->target_bytes = pair->idle->truth_bytes = pair->idle->shown_bytes = 3 * GIB;
    pair->needy->target_bytes = pair->needy->truth_bytes = pair->needy->shown_bytes = 3 * GIB / 2;
    fake_unlock(pair->rig.fake);
    fake_forget_peak(pair->rig.fake);
}

static void pair_adopted(Pair *pair)
{
    rig_start(&pair->rig, NULL);
    RIG_UNTIL(rig_server(&pair->rig, "needy"));
    RIG_UNTIL(!rig_server(&pair->rig, "needy")->adopting && !rig_server(&pair->rig, "idle")->adopting);
}

/* The needy one begins to use more than it holds. */
static void pair_hunger(Pair *pair)
{
    FAKE(pair->rig.fake, pair->needy->used_bytes = 5 * GIB / 2);
}

static void test_flow(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    pair_adopted(&pair);
    pair_hunger(&pair);
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    g_assert_cmpuint(balloon(rig, pair.idle), <, 3 * GIB);
    g_assert_cmpuint(journal_lent(engine_journal(rig->engine), "idle-id", "needy-id"), >, 100 * MIB);
    RIG_UNTIL(journal_has(rig, "needy", "from idle"));
    g_assert_true(journal_has(rig, "idle", "gives back"));
    RIG_UNTIL(engine_host(rig->engine)->relief_p50_us != UNKNOWN);
    assert_within_pool(rig);
    rig_end(rig);
}

static void test_observe(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_OBSERVE);
    pair_adopted(&pair);
    pair_hunger(&pair);
    RIG_UNTIL(journal_has(rig, "needy", "would get"));
    RIG_UNTIL(journal_has(rig, "idle", "would give back"));
    rig_pass(200);
    const JournalEntry *entry = newest_move(rig, "needy");
    g_assert_false(entry->performed);
    g_assert_null(entry->error);
    g_assert_cmpuint(asked(rig, pair.idle) + asked(rig, pair.needy), ==, 0);
    g_assert_cmpuint(FAKE(rig->fake, pair.needy->fresh_asked), ==, 0);
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    g_assert_cmpuint(all->len, <, 40); /* a proposal that stands is not repeated */

    g_assert_true(engine_set_mode(rig->engine, MODE_MANAGE, NULL, NULL));
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    g_assert_true(engine_set_mode(rig->engine, MODE_OBSERVE, NULL, NULL));
    rig_pass(50);
    FakeGuest *guests[] = {pair.idle, pair.needy};
    FAKE(rig->fake, pair.idle->used_bytes = 5 * GIB / 2);
    assert_untouched(rig, 300, guests, 2);
    rig_end(rig);
}

static void test_disconnect(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    FakeGuest *guests[] = {NULL, NULL};
    pair_begin(&pair, MODE_MANAGE);
    guests[0] = pair.idle, guests[1] = pair.needy;
    pair_adopted(&pair);
    fake_disconnect(rig->fake);
    RIG_UNTIL(engine_host(rig->engine)->state == ENGINE_DISCONNECTED);
    const EngineBackend *known = engine_backends(rig->engine)->pdata[0];
    g_assert_false(known->connected);
    g_assert_nonnull(known->problem);
    pair_hunger(&pair);
    assert_untouched(rig, 300, guests, 2);
    g_assert_nonnull(rig_server(rig, "idle"));
    g_assert_cmpuint(engine_host(rig->engine)->totals.ledger.committed_bytes, >=, 9 * GIB / 2);
    fake_connect(rig->fake);
    RIG_UNTIL(engine_host(rig->engine)->state == ENGINE_OK);
    g_assert_true(known->connected);
    g_assert_null(known->problem);
    g_assert_true(journal_has(rig, NULL, "the line was cut"));
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    assert_within_pool(rig);
    rig_end(rig);
}

static guint count_refusals(Rig *rig)
{
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    guint n = 0;
    for (guint i = 0; i < all->len; i++)
        n += ((const JournalEntry *)all->pdata[i])->error != NULL;
    return n;
}

static void test_refused(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    FAKE(rig->fake, pair.needy->manner = FAKE_REFUSES);
    pair_adopted(&pair);
    pair_hunger(&pair);
    RIG_UNTIL(count_refusals(rig) >= 2);
    const JournalEntry *entry = newest_move(rig, "needy");
    g_assert_false(entry->performed);
    RIG_UNTIL(newest_move(rig, "needy")->error && strstr(newest_move(rig, "needy")->error, "not today"));
    g_assert_cmpuint(rig_server(rig, "needy")->target_bytes, ==, 3 * GIB / 2);
    g_assert_cmpuint(journal_lent(engine_journal(rig->engine), "idle-id", "needy-id"), ==, 0);
    rig_pass(1000);
    g_assert_cmpuint(count_refusals(rig), <, 12); /* not at every beat */
    FAKE(rig->fake, pair.needy->manner = FAKE_ANSWERS);
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    assert_within_pool(rig);
    rig_end(rig);
}

/* A request without an answer: the larger counts, and when the server answers again it is asked for, whether the request
 * had been carried out or not. */
static void test_lost(gconstpointer data)
{
    FakeManner manner = (FakeManner)GPOINTER_TO_INT(data);
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    pair_adopted(&pair);
    FAKE(rig->fake, pair.needy->manner = manner);
    pair_hunger(&pair);
    RIG_UNTIL(rig_server(rig, "needy")->unsure);
    uint64_t counted = rig_server(rig, "needy")->target_bytes;
    g_assert_cmpuint(counted, >, 3 * GIB / 2);
    RIG_UNTIL(rig_server(rig, "needy")->facts.target_bytes >= counted);
    g_assert_cmpuint(rig_server(rig, "needy")->row.held_bytes, >=, counted);
    FAKE(rig->fake, pair.needy->manner = FAKE_ANSWERS);
    RIG_UNTIL(!rig_server(rig, "needy")->unsure);
    g_assert_true(journal_has(rig, "needy", "again"));
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    rig_pass(100);
    g_assert_cmpint(rig_server(rig, "needy")->row.hold, !=, HOLD_MANUAL_OVERRIDE);
    assert_within_pool(rig);
    rig_end(rig);
}

/* The same for memory that was asked back: it may come after all, and that is nobody else's hand. */
static void test_lost_reclaim(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    pair_adopted(&pair);
    FAKE(rig->fake, pair.idle->manner = FAKE_CARRIES_OUT_SILENTLY);
    pair_hunger(&pair);
    RIG_UNTIL(rig_server(rig, "idle")->unsure);
    g_assert_cmpuint(balloon(rig, pair.idle), <, 3 * GIB);
    g_assert_cmpuint(rig_server(rig, "idle")->target_bytes, >, balloon(rig, pair.idle));
    FAKE(rig->fake, pair.idle->manner = FAKE_ANSWERS);
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    g_assert_cmpint(rig_server(rig, "idle")->row.hold, !=, HOLD_MANUAL_OVERRIDE);
    g_assert_false(journal_has(rig, "idle", "Somebody"));
    assert_within_pool(rig);
    rig_end(rig);
}

static void test_hung(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    FakeGuest *stuck = fake_guest_add(rig->fake, "stuck", 256 * MIB);
    pair_adopted(&pair);
    FAKE(rig->fake, stuck->hangs = TRUE);
    RIG_UNTIL(g_str_equal(tracked_state(rig_server(rig, "stuck")), "unresponsive"));
    uint64_t beats = engine_host(rig->engine)->beats;
    pair_hunger(&pair);
    RIG_UNTIL(balloon(rig, pair.needy) >= 5 * GIB / 2);
    g_assert_cmpuint(engine_host(rig->engine)->beats, >, beats + 3);
    g_assert_cmpuint(asked(rig, stuck), ==, 0);
    assert_within_pool(rig);
    rig_end(rig);
}

/* All of its memory counts from the reset on; then it is nudged, and gives back. */
static void test_reboot(void)
{
    Rig rig;
    rig_begin(&rig, 6 * GIB, MODE_MANAGE);
    FakeGuest *guest = fake_guest_add(rig.fake, "web", 4 * GIB);
    FAKE(rig.fake, guest->target_bytes = guest->truth_bytes = guest->shown_bytes = GIB);
    FAKE(rig.fake, guest->boot_ms = 300);
    rig.config->slack = (SizeSetting){.bytes = 6 * GIB}; /* nothing is given, so nothing is under way */
    rig_start(&rig, NULL);
    RIG_UNTIL(rig_server(&rig, "web") && !rig_server(&rig, "web")->adopting);
    fake_reset(rig.fake, guest);
    RIG_UNTIL(rig_server(&rig, "web")->facts.hold == HOLD_REBOOTING);
    g_assert_cmpuint(rig_server(&rig, "web")->facts.balloon_bytes, <, 2 * GIB);
    g_assert_cmpuint(rig_server(&rig, "web")->row.held_bytes, ==, 4 * GIB);
    g_assert_cmpstr(tracked_state(rig_server(&rig, "web")), ==, "rebooting");
    RIG_UNTIL(newest_move(&rig, "web") && newest_move(&rig, "web")->move == MOVE_NUDGE);
    RIG_UNTIL(rig_server(&rig, "web")->facts.hold == HOLD_NO);
    g_assert_false(FAKE(rig.fake, guest->actual_stale));
    RIG_UNTIL(rig_server(&rig, "web")->facts.balloon_bytes == balloon(&rig, guest));
    assert_within_pool(&rig);
    rig_end(&rig);
}

/* Nobody nudges in observe mode: a reboot must end all the same, and be made good when the daemon manages. */
static void test_reboot_observed(void)
{
    Rig rig;
    rig_begin(&rig, 6 * GIB, MODE_OBSERVE);
    FakeGuest *guest = fake_guest_add(rig.fake, "web", 4 * GIB);
    FAKE(rig.fake, guest->target_bytes = guest->truth_bytes = guest->shown_bytes = GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(rig_server(&rig, "web") && !rig_server(&rig, "web")->adopting);
    fake_reset(rig.fake, guest);
    RIG_UNTIL(rig_server(&rig, "web")->facts.hold == HOLD_REBOOTING);
    RIG_UNTIL(rig_server(&rig, "web")->facts.hold == HOLD_NO);
    g_assert_cmpuint(asked(&rig, guest), ==, 0);
    g_assert_true(engine_set_mode(rig.engine, MODE_MANAGE, NULL, NULL));
    RIG_UNTIL(FAKE(rig.fake, !guest->actual_stale));
    RIG_UNTIL(rig_server(&rig, "web")->facts.hold == HOLD_NO);
    rig_end(&rig);
}

/* The pool follows the host; a QEMU that nobody has found yet does not pass for a stranger's memory. */
static void test_auto_pool(void)
{
    Rig rig;
    rig_begin(&rig, 0, MODE_MANAGE);
    rig.config->pool = (SizeSetting){.is_auto = TRUE};
    rig.config->reserve = (SizeSetting){.bytes = 4 * GIB};
    FakeGuest *guest = fake_guest_add(rig.fake, "web", 20 * GIB);
    fake_lock(rig.fake);
    guest->used_bytes = 18 * GIB;
    guest->unfound = TRUE;
    fake_unlock(rig.fake);
    rig_start(&rig, NULL);
    RIG_UNTIL(engine_host(rig.engine)->beats > 0 && rig_server(&rig, "web")->decided);
    /* 64 less 4 in reserve and 12 of others: 32 in use, 20 of these the guest's. */
    g_assert_cmpuint(engine_host(rig.engine)->pool_bytes, ==, 48 * GIB + FAKE_OVERHEAD);
    FAKE(rig.fake, guest->unfound = FALSE);
    RIG_UNTIL(engine_host(rig.engine)->pool_bytes == 46 * GIB + FAKE_OVERHEAD);
    g_assert_cmpfloat(engine_host(rig.engine)->over_seconds, ==, 0);
    rig_end(&rig);
}

/* Killed while memory moves: the next daemon carries on from what it finds. */
static void test_restart(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_MANAGE);
    FAKE(rig->fake, pair.idle->inflate_bytes_per_s = 2 * GIB);
    pair_adopted(&pair);
    pair_hunger(&pair);
    RIG_UNTIL(balloon(rig, pair.idle) < 3 * GIB);

    /* Its successor, over guests in the same state. */
    Rig next;
    rig_begin(&next, POOL, MODE_MANAGE);
    FakeGuest *guests[2], *const old[2] = {pair.idle, pair.needy};
    fake_lock(rig->fake);
    for (int i = 0; i < 2; i++) {
        guests[i] = fake_guest_add(next.fake, old[i]->name, 4 * GIB);
        fake_lock(next.fake);
        guests[i]->target_bytes = old[i]->target_bytes;
        guests[i]->truth_bytes = guests[i]->shown_bytes = old[i]->truth_bytes;
        guests[i]->used_bytes = old[i]->used_bytes;
        fake_unlock(next.fake);
    }
    fake_unlock(rig->fake);
    rig_end(rig);
    fake_forget_peak(next.fake);
    rig_start(&next, NULL);
    RIG_UNTIL(rig_server(&next, "needy"));
    for (int i = 0; i < 100 && balloon(&next, guests[1]) < 5 * GIB / 2; i++) {
        rig_pass(10);
        for (int k = 0; k < 2; k++)
            g_assert_cmpint(rig_server(&next, old[k] == pair.idle ? "idle" : "needy")->row.hold, !=,
                            HOLD_MANUAL_OVERRIDE);
    }
    RIG_UNTIL(balloon(&next, guests[1]) >= 5 * GIB / 2);
    assert_within_pool(&next);
    rig_end(&next);
}

/* A balloon on its way when we come is left alone until it stands; it is nobody else's hand. */
static void test_adopts(void)
{
    Rig rig;
    rig_begin(&rig, 8 * GIB, MODE_MANAGE);
    FakeGuest *guest = fake_guest_add(rig.fake, "web", 4 * GIB);
    fake_lock(rig.fake);
    guest->target_bytes = GIB;
    guest->inflate_bytes_per_s = 4 * GIB;
    fake_unlock(rig.fake);
    rig_start(&rig, NULL);
    while (balloon(&rig, guest) > GIB) {
        g_assert_cmpuint(asked(&rig, guest), ==, 0);
        rig_pass(5);
        const Tracked *tracked = rig_server(&rig, "web");
        g_assert_true(!tracked || tracked->row.hold != HOLD_MANUAL_OVERRIDE);
    }
    RIG_UNTIL(!rig_server(&rig, "web")->adopting);
    rig_pass(50);
    g_assert_cmpint(rig_server(&rig, "web")->row.hold, !=, HOLD_MANUAL_OVERRIDE);
    rig_end(&rig);
}

static void test_infeasible(void)
{
    Rig rig;
    rig_begin(&rig, 2 * GIB, MODE_MANAGE);
    rig.config->minimum = (SizeSetting){.is_percent = TRUE, .percent = 50};
    FakeGuest *guests[2] = {fake_guest_add(rig.fake, "a", 4 * GIB), fake_guest_add(rig.fake, "b", 4 * GIB)};
    rig_start(&rig, NULL);
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_INFEASIBLE);
    g_assert_true(journal_has(&rig, NULL, "minima add up to more than the pool"));
    rig_pass(500);
    for (int i = 0; i < 2; i++)
        g_assert_cmpuint(FAKE(rig.fake, guests[i]->lowest_target_bytes), >=, 2 * GIB);
    g_assert_cmpint(engine_host(rig.engine)->state, ==, ENGINE_INFEASIBLE);
    g_assert_true(engine_set_settings(rig.engine, rig_server(&rig, "a"),
                                      &(ServerSettings){.has_minimum = TRUE, .minimum_bytes = 600 * MIB},
                                      NULL, NULL));
    g_assert_true(engine_set_settings(rig.engine, rig_server(&rig, "b"),
                                      &(ServerSettings){.has_minimum = TRUE, .minimum_bytes = 600 * MIB},
                                      NULL, NULL));
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_OK);
    g_assert_cmpfloat(engine_host(rig.engine)->over_seconds, >, 0);
    g_assert_cmpuint(fake_committed(rig.fake), <=, 2 * GIB);
    rig_end(&rig);
}

/* A reservation may take the pool to its last byte: that is no reason to leave the servers alone. */
static void test_reserved_to_the_last_byte(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    g_autoptr(GError) error = NULL;
    pair_begin(&pair, MODE_MANAGE);
    pair_adopted(&pair);
    uint64_t bytes = rig->config->pool.bytes;
    g_assert_null(engine_reserve(rig->engine, bytes, "new", 60 * G_USEC_PER_SEC, NULL, &error));
    bytes -= error_missing_bytes(error);
    g_clear_error(&error);
    g_assert_nonnull(engine_reserve(rig->engine, bytes, "new", 60 * G_USEC_PER_SEC, NULL, &error));
    g_assert_no_error(error);
    uint64_t beats = engine_host(rig->engine)->beats;
    RIG_UNTIL(engine_host(rig->engine)->beats > beats + 3);
    g_assert_cmpint(engine_host(rig->engine)->state, ==, ENGINE_OK);
    assert_within_pool(rig);
    rig_end(rig);
}

static void test_pool_beyond_host(void)
{
    Rig rig;
    rig_begin(&rig, 900 * GIB, MODE_MANAGE);
    fake_guest_add(rig.fake, "a", 4 * GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(engine_host(rig.engine)->beats > 2);
    g_assert_cmpuint(engine_host(rig.engine)->pool_bytes, ==, 64 * GIB);
    rig_end(&rig);
}

/* Whose memory cannot be read is not the servers' to give: the pool stays, and one line says so. */
static void test_host_unreadable(void)
{
    Pair pair;
    Rig *rig = &pair.rig;
    pair_begin(&pair, MODE_OBSERVE);
    pair_adopted(&pair);
    g_autofree char *path = g_build_filename(rig->proc, "meminfo", NULL);
    g_assert_cmpint(g_unlink(path), ==, 0);
    uint64_t beats = engine_host(rig->engine)->beats;
    RIG_UNTIL(engine_host(rig->engine)->beats > beats + 5);
    g_assert_cmpuint(engine_host(rig->engine)->pool_bytes, ==, POOL);
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 1000);
    guint said = 0;
    for (guint i = 0; i < all->len; i++)
        said += strstr(((const JournalEntry *)all->pdata[i])->text, "cannot be read") != NULL;
    g_assert_cmpuint(said, ==, 1);
    rig_end(rig);
}

/* ---- what outlives the engine */

static char *make_folder(void)
{
    char *folder = g_dir_make_tmp("aerostat-engine-XXXXXX", NULL);
    g_assert_nonnull(folder);
    return folder;
}

static void remove_folder(char *folder)
{
    static const char *const names[] = {"aerostat.db", "aerostat.db-wal", "aerostat.db-shm"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

static void stored_begin(Rig *rig, Store *store)
{
    rig_begin(rig, 6 * GIB, MODE_OBSERVE);
    rig->options.store = store;
    fake_guest_add(rig->fake, "a", 4 * GIB);
    fake_guest_add(rig->fake, "b", 4 * GIB);
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "a") && engine_host(rig->engine)->beats > 0);
}

static void test_settings(void)
{
    char *folder = make_folder();
    g_autoptr(Store) store = store_open(folder, NULL);
    g_assert_nonnull(store);
    g_autoptr(GError) error = NULL;
    Rig rig;
    stored_begin(&rig, store);
    const ServerSettings too_much = {
        .has_minimum = TRUE, .minimum_bytes = 4 * GIB, .has_weight = TRUE, .weight = 9};
    const ServerSettings both = {
        .has_minimum = TRUE, .minimum_bytes = 2 * GIB, .has_weight = TRUE, .weight = 7};
    const ServerSettings one = {.has_weight = TRUE, .weight = 7};
    g_assert_true(engine_set_settings(rig.engine, rig_server(&rig, "b"), &both, NULL, NULL));
    /* 4 + 2 GiB and twice 64 MiB in 6 GiB. */
    g_assert_false(engine_set_settings(rig.engine, rig_server(&rig, "a"), &too_much, NULL, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM);
    g_assert_nonnull(strstr(error->message, "134217728 bytes"));
    g_assert_false(rig_server(&rig, "a")->settings.has_weight); /* both or neither */
    rig_end(&rig);

    stored_begin(&rig, store);
    g_assert_cmpuint(rig_server(&rig, "b")->settings.minimum_bytes, ==, 2 * GIB);
    g_assert_cmpuint(rig_server(&rig, "b")->facts.weight, ==, 7);
    g_assert_false(rig_server(&rig, "a")->settings.has_minimum);
    g_assert_true(engine_set_settings(rig.engine, rig_server(&rig, "b"), &one, NULL, NULL));
    RIG_UNTIL(rig_server(&rig, "b")->facts.minimum_bytes == GIB);
    rig_end(&rig);

    stored_begin(&rig, store);
    g_assert_false(rig_server(&rig, "b")->settings.has_minimum);
    g_assert_true(rig_server(&rig, "b")->settings.has_weight);
    rig_end(&rig);
    remove_folder(folder);
}

static void test_mode_kept(void)
{
    char *folder = make_folder();
    Rig rig;
    {
        g_autoptr(Store) store = store_open(folder, NULL);
        stored_begin(&rig, store);
        g_assert_null(store_get_mode(store, NULL));
        g_assert_true(engine_set_mode(rig.engine, MODE_MANAGE, NULL, NULL));
        g_assert_true(journal_has(&rig, NULL, "Mode is now manage"));
        rig_end(&rig);
    }
    g_autoptr(Store) store = store_open(folder, NULL);
    g_autofree char *mode = store_get_mode(store, NULL);
    g_assert_cmpstr(mode, ==, "manage");
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/flow", test_flow);
    g_test_add_func("/engine/observe", test_observe);
    g_test_add_func("/engine/disconnect", test_disconnect);
    g_test_add_func("/engine/refused", test_refused);
    g_test_add_data_func("/engine/lost/not-carried-out", GINT_TO_POINTER(FAKE_LOSES), test_lost);
    g_test_add_data_func("/engine/lost/carried-out", GINT_TO_POINTER(FAKE_CARRIES_OUT_SILENTLY), test_lost);
    g_test_add_func("/engine/lost/reclaim", test_lost_reclaim);
    g_test_add_func("/engine/hung", test_hung);
    g_test_add_func("/engine/reboot", test_reboot);
    g_test_add_func("/engine/reboot-observed", test_reboot_observed);
    g_test_add_func("/engine/auto-pool", test_auto_pool);
    g_test_add_func("/engine/restart", test_restart);
    g_test_add_func("/engine/adopts", test_adopts);
    g_test_add_func("/engine/infeasible", test_infeasible);
    g_test_add_func("/engine/reserved-to-the-last-byte", test_reserved_to_the_last_byte);
    g_test_add_func("/engine/pool-beyond-host", test_pool_beyond_host);
    g_test_add_func("/engine/host-unreadable", test_host_unreadable);
    g_test_add_func("/engine/settings", test_settings);
    g_test_add_func("/engine/mode-kept", test_mode_kept);
    return g_test_run();
}
