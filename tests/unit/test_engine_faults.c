/* The engine when its surroundings are late, early, rude, numerous, or gone. */
#include <string.h>
#include <glib/gstdio.h>
#include <sys/resource.h>
#include "base/error.h"
#include "engine/promise.h"
#include "engine/reservation.h"
#include "engine_rig.h"

static guint count_entries(Rig *rig, const char *part)
{
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    guint n = 0;
    for (guint i = 0; i < all->len; i++)
        n += strstr(((const JournalEntry *)all->pdata[i])->text, part) != NULL;
    return n;
}

static uint64_t beats(Rig *rig)
{
    return engine_host(rig->engine)->beats;
}

static gboolean settled(Rig *rig, const char *name)
{
    const Tracked *tracked = rig_server(rig, name);
    return tracked && tracked->decided && !tracked->facts.busy;
}

/* Holds @bytes of its maximum. */
static FakeGuest *add_squeezed(FakeBackend *fake, const char *name, uint64_t maximum_bytes, uint64_t bytes)
{
    FakeGuest *guest = fake_guest_add(fake, name, maximum_bytes);
    FAKE(fake, guest->target_bytes = guest->truth_bytes = guest->shown_bytes = bytes);
    return guest;
}

/* ---- lifetimes */

/* Whatever is owed is answered while the engine is freed. */
static void test_freed_in_flight(void)
{
    for (unsigned ms = 0; ms < 60; ms += 7) {
        Rig rig;
        rig_begin(&rig, 5 * GIB, MODE_MANAGE);
        FakeGuest *guest = add_squeezed(rig.fake, "needy", 4 * GIB, GIB);
        FAKE(rig.fake, guest->used_bytes = 2 * GIB);
        FAKE(rig.fake, guest->answer_ms = 1000);
        rig_start(&rig, NULL);
        RIG_UNTIL(settled(&rig, "needy"));
        RIG_UNTIL(rig_server(&rig, "needy")->busy);
        rig_pass(ms);
        fake_hold_observations(rig.fake, ms % 2);
        rig_pass(ms % 2 ? 50 : 0);
        rig_end(&rig);
    }
}

/* The daemon before was killed while a raise was under way, and its hypervisor has not carried it out yet: what was promised
 * is promised to nobody else. */
static void test_killed_before(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    g_autofree char *path = g_build_filename(rig.proc, "promises", NULL);
    rig.options.promises = path;
    Promises *killed = promises_open(path, NULL);
    promises_note(killed, "fake:///first", "slow-id", 3 * GIB, NULL);
    promises_free(killed);
    FakeGuest *slow = add_squeezed(rig.fake, "slow", 4 * GIB, GIB);
    FAKE(rig.fake, slow->manner = FAKE_LOSES);
    FakeGuest *needy = add_squeezed(rig.fake, "needy", 4 * GIB, GIB);
    FAKE(rig.fake, needy->used_bytes = 4 * GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "needy"));
    RIG_UNTIL(rig_server(&rig, "needy")->row.short_bytes > 0 && beats(&rig) > 20);
    g_assert_cmpuint(rig_server(&rig, "slow")->facts.target_bytes, ==, 3 * GIB);
    FAKE(rig.fake, slow->target_bytes = 3 * GIB); /* late */
    g_assert_cmpuint(fake_peak(rig.fake), <=, 5 * GIB);
    rig_pass(100);
    g_assert_cmpuint(fake_committed(rig.fake), <=, 5 * GIB);
    FAKE(rig.fake, slow->manner = FAKE_ANSWERS);
    RIG_UNTIL(!rig_server(&rig, "slow")->unsure && rig_server(&rig, "slow")->noted_bytes == 0);
    g_autoptr(Promises) left = promises_open(path, NULL);
    g_assert_cmpuint(promises_open_bytes(left, "fake:///first", "slow-id"), ==, 0);
    /* And now it gives what it has too much. */
    RIG_UNTIL(rig_server(&rig, "needy")->facts.balloon_bytes > 3 * GIB);
    g_assert_cmpuint(fake_peak(rig.fake), <=, 5 * GIB);
    g_unlink(path);
    rig_end(&rig);
}

/* Undefined while a request to it is under way, and defined anew under the same id. */
static void test_vanishes(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    FakeGuest *guest = add_squeezed(rig.fake, "needy", 4 * GIB, GIB);
    FAKE(rig.fake, guest->used_bytes = 2 * GIB);
    FAKE(rig.fake, guest->answer_ms = 200);
    rig_start(&rig, NULL);
    RIG_UNTIL(rig_server(&rig, "needy") && rig_server(&rig, "needy")->busy);
    FAKE(rig.fake, guest->gone = TRUE);
    RIG_UNTIL(!rig_server(&rig, "needy"));
    g_assert_cmpuint(engine_host(rig.engine)->totals.ledger.committed_bytes, <=, 4 * GIB + FAKE_OVERHEAD);
    RIG_UNTIL(engine_host(rig.engine)->totals.ledger.committed_bytes == 0);
    rig_pass(300);
    FAKE(rig.fake, guest->gone = FALSE);
    FAKE(rig.fake, guest->answer_ms = 0);
    RIG_UNTIL(rig_server(&rig, "needy"));
    RIG_UNTIL(FAKE(rig.fake, guest->truth_bytes) >= 2 * GIB);
    rig_end(&rig);
}

/* Servers come and go at every beat, while something looks at them in between. */
static void test_comes_and_goes(void)
{
    Rig rig;
    rig_begin(&rig, 50 * GIB, MODE_MANAGE);
    FakeGuest *guests[20];
    for (guint i = 0; i < G_N_ELEMENTS(guests); i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);
        guests[i] = fake_guest_add(rig.fake, name, GIB);
    }
    rig_start(&rig, NULL);
    for (guint round = 0; round < 40; round++) {
        for (guint i = 0; i < G_N_ELEMENTS(guests); i++)
            FAKE(rig.fake, guests[i]->gone = (i + round) % 3 == 0);
        rig_pass(30);
    }
    rig_end(&rig);
}

/* A server goes while another backend is waited for: what looks at servers meanwhile does not find it. */
static void test_goes_in_a_look(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    rig.options.deadline_ms = 3000;
    FakeGuest *guest = fake_guest_add(rig.fake, "a", GIB);
    FakeBackend *second = fake_backend_new();
    rig_start(&rig, second);
    RIG_UNTIL(settled(&rig, "a"));
    fake_hold_observations(second, TRUE);
    FAKE(rig.fake, guest->gone = TRUE);
    RIG_UNTIL(!rig_server(&rig, "a"));
    rig_pass(250); /* two looks at residencies */
    fake_hold_observations(second, FALSE);
    rig_pass(50);
    rig_end(&rig);
}

/* ---- answers out of time */

/* A grant that has been carried out but not answered is spent: nobody else gets the same bytes. There is slack for two
 * of three, and nobody is asked for more of it meanwhile. */
static void test_slow_answers(void)
{
    Rig rig;
    rig_begin(&rig, 4 * GIB, MODE_MANAGE);
    rig.config->slack = (SizeSetting){.bytes = 800 * MIB};
    rig.config->minimum = (SizeSetting){.bytes = GIB};
    rig.params.reaction_us = 0;
    FakeGuest *guests[3];
    for (guint i = 0; i < G_N_ELEMENTS(guests); i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);
        guests[i] = add_squeezed(rig.fake, name, 3 * GIB, GIB);
        FAKE(rig.fake, guests[i]->answer_ms = 600);
        FAKE(rig.fake, guests[i]->deflate_bytes_per_s = 256 * MIB);
    }
    fake_forget_peak(rig.fake);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "s0") && settled(&rig, "s1") && settled(&rig, "s2"));
    for (guint i = 0; i < G_N_ELEMENTS(guests); i++) {
        FAKE(rig.fake, guests[i]->used_bytes = 5 * GIB / 4);
        rig_pass(150);
    }
    RIG_UNTIL(FAKE(rig.fake, guests[0]->targets_asked > 0 && guests[1]->targets_asked > 0));
    rig_pass(800);
    g_assert_cmpuint(fake_peak(rig.fake), <=, 4 * GIB);
    g_assert_cmpfloat(engine_host(rig.engine)->over_seconds, ==, 0);
    rig_end(&rig);
}

/* A backend that answers from within the question itself. */
static void test_at_once(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    fake_answer_at_once(rig.fake, TRUE);
    add_squeezed(rig.fake, "idle", 4 * GIB, 3 * GIB);
    FakeGuest *needy = add_squeezed(rig.fake, "needy", 4 * GIB, 3 * GIB / 2);
    fake_forget_peak(rig.fake);
    FakeBackend *second = fake_backend_new();
    fake_answer_at_once(second, TRUE);
    FakeGuest *other = fake_guest_add(second, "other", 64 * MIB);
    FAKE(second, other->fixed = FIXED_HUGEPAGES);
    rig_start(&rig, second);
    RIG_UNTIL(settled(&rig, "idle") && settled(&rig, "needy") && settled(&rig, "other"));
    FAKE(rig.fake, needy->used_bytes = 5 * GIB / 2);
    RIG_UNTIL(FAKE(rig.fake, needy->truth_bytes) >= 5 * GIB / 2);
    g_assert_cmpuint(fake_peak(rig.fake) + fake_peak(second), <=, 5 * GIB);
    rig_end(&rig);
}

/* One backend hangs: it is waited for once, its servers are left alone, the other's are not. */
static void test_one_backend_hangs(void)
{
    Rig rig;
    rig_begin(&rig, 8 * GIB, MODE_MANAGE);
    add_squeezed(rig.fake, "idle", 4 * GIB, 3 * GIB);
    FakeGuest *needy = add_squeezed(rig.fake, "needy", 4 * GIB, 3 * GIB / 2);
    FakeBackend *second = fake_backend_new();
    FakeGuest *far = add_squeezed(second, "far", 3 * GIB, GIB / 2);
    rig_start(&rig, second);
    RIG_UNTIL(settled(&rig, "idle") && settled(&rig, "needy") && settled(&rig, "far"));
    fake_hold_observations(second, TRUE);
    RIG_UNTIL(!((EngineBackend *)engine_backends(rig.engine)->pdata[1])->connected);
    g_assert_cmpuint(count_entries(&rig, "it does not answer"), ==, 1);
    unsigned far_asked = FAKE(second, far->targets_asked);
    uint64_t held = FAKE(second, far->target_bytes);
    g_assert_cmpuint(held, <, 2 * GIB);
    uint64_t before = beats(&rig);
    int64_t since_us = g_get_monotonic_time();
    FAKE(second, far->used_bytes = 2 * GIB);
    FAKE(rig.fake, needy->used_bytes = 5 * GIB / 2);
    RIG_UNTIL(FAKE(rig.fake, needy->truth_bytes) >= 5 * GIB / 2);
    RIG_UNTIL(beats(&rig) > before + 10);
    g_assert_cmpint(g_get_monotonic_time() - since_us, <, 10 * 300 * 1000); /* not a deadline each */
    g_assert_cmpint(engine_host(rig.engine)->state, ==, ENGINE_OK);
    g_assert_cmpuint(FAKE(second, far->targets_asked), ==, far_asked);
    fake_hold_observations(second, FALSE);
    RIG_UNTIL(((EngineBackend *)engine_backends(rig.engine)->pdata[1])->connected);
    RIG_UNTIL(FAKE(second, far->truth_bytes) >= 2 * GIB);
    rig_end(&rig);
}

/* The only backend hangs and comes back. */
static void test_only_backend_hangs(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    fake_guest_add(rig.fake, "a", GIB);
    fake_hold_observations(rig.fake, TRUE);
    rig_start(&rig, NULL);
    g_assert_cmpint(engine_host(rig.engine)->state, ==, ENGINE_STARTING);
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_DISCONNECTED);
    uint64_t before = beats(&rig);
    RIG_UNTIL(beats(&rig) > before + 5); /* it goes on */
    fake_hold_observations(rig.fake, FALSE);
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_OK);
    rig_end(&rig);
}

static void test_no_backend(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    rig.engine = engine_new(&rig.options);
    engine_start(rig.engine);
    RIG_UNTIL(beats(&rig) > 5);
    g_assert_cmpint(engine_host(rig.engine)->state, ==, ENGINE_DISCONNECTED);
    rig_end(&rig);
    backend_free(fake_base(rig.fake));
}

/* A start in the middle of a look is not left for the next beat, and a hundred of them are one look. */
static void test_events(void)
{
    Rig rig;
    rig_begin(&rig, 50 * GIB, MODE_OBSERVE);
    rig.options.slow_beat_ms = 60000;
    FakeGuest *guest = fake_guest_add(rig.fake, "a", GIB);
    FAKE(rig.fake, guest->running = FALSE);
    rig_start(&rig, NULL);
    RIG_UNTIL(beats(&rig) == 1);
    fake_hold_observations(rig.fake, TRUE);
    fake_start(rig.fake, guest);
    rig_pass(100); /* the look has begun */
    fake_stop(rig.fake, guest);
    fake_start(rig.fake, guest);
    fake_hold_observations(rig.fake, FALSE);
    RIG_UNTIL(beats(&rig) >= 3);
    g_assert_true(tracked_counts(rig_server(&rig, "a")));
    rig_pass(200);
    uint64_t before = beats(&rig);
    for (int i = 0; i < 100; i++)
        fake_reset(rig.fake, guest);
    RIG_UNTIL(beats(&rig) > before);
    rig_pass(200);
    g_assert_cmpuint(beats(&rig), <=, before + 2);
    rig_end(&rig);
}

/* ---- other hands */

static void test_setmem(void)
{
    Rig rig;
    rig_begin(&rig, 8 * GIB, MODE_MANAGE);
    rig.config->slack = (SizeSetting){.bytes = 0};
    FakeGuest *guest = fake_guest_add(rig.fake, "a", 4 * GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "a"));
    fake_setmem(rig.fake, guest, 2 * GIB);
    RIG_UNTIL(rig_server(&rig, "a")->row.hold == HOLD_MANUAL_OVERRIDE);
    RIG_UNTIL(rig_server(&rig, "a")->target_bytes == 2 * GIB);
    g_assert_cmpuint(FAKE(rig.fake, guest->targets_asked), ==, 0);
    RIG_UNTIL(FAKE(rig.fake, guest->truth_bytes) == 4 * GIB); /* respected for a while, not for ever */
    rig_end(&rig);
}

/* It runs out of memory under its balloon: it gets it back, rests, and others are not promised it. */
static void test_oom(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    rig.config->slack = (SizeSetting){.bytes = GIB}; /* nothing is given but for a need */
    add_squeezed(rig.fake, "other", 4 * GIB, 3 * GIB);
    FakeGuest *guest = add_squeezed(rig.fake, "oom", 4 * GIB, GIB);
    FAKE(rig.fake, guest->deflates_on_oom = TRUE);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "oom") && settled(&rig, "other"));
    FAKE(rig.fake, guest->inflate_bytes_per_s = 0);
    FAKE(rig.fake, guest->manner = FAKE_REFUSES); /* whatever is granted in time does not arrive in time */
    FAKE(rig.fake, guest->used_bytes = 3 * GIB / 2);
    RIG_UNTIL(FAKE(rig.fake, guest->ooms) > 0);
    FAKE(rig.fake, guest->manner = FAKE_ANSWERS);
    RIG_UNTIL(FAKE(rig.fake, guest->target_bytes) >= 3 * GIB / 2);
    RIG_UNTIL(rig_server(&rig, "oom")->row.short_bytes == 0);
    g_assert_cmpuint(rig_server(&rig, "oom")->track.demand.distress_count, >=, 1);
    g_assert_cmpuint(fake_committed(rig.fake), <=, 5 * GIB);
    rig_end(&rig);
}

static void test_start_and_stop(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    FakeGuest *idle = fake_guest_add(rig.fake, "idle", 4 * GIB);
    FakeGuest *late = fake_guest_add(rig.fake, "late", 2 * GIB);
    FAKE(rig.fake, late->running = FALSE);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "idle"));
    g_assert_cmpstr(tracked_state(rig_server(&rig, "late")), ==, "off");
    fake_start(rig.fake, late); /* by somebody who did not ask: over the pool until others have given */
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_OVERCOMMITTED);
    g_assert_cmpuint(rig_server(&rig, "late")->row.held_bytes, ==, 2 * GIB);
    RIG_UNTIL(engine_host(rig.engine)->state == ENGINE_OK);
    g_assert_cmpuint(FAKE(rig.fake, idle->lowest_target_bytes), <, 3 * GIB);
    RIG_UNTIL(g_str_equal(tracked_state(rig_server(&rig, "late")), "running"));
    fake_stop(rig.fake, late);
    RIG_UNTIL(!tracked_counts(rig_server(&rig, "late")));
    RIG_UNTIL(FAKE(rig.fake, idle->truth_bytes) == 4 * GIB);
    rig_end(&rig);
}

static void test_no_driver(void)
{
    Rig rig;
    rig_begin(&rig, 6 * GIB, MODE_MANAGE);
    FakeGuest *guest = fake_guest_add(rig.fake, "bare", 2 * GIB);
    FAKE(rig.fake, guest->running = FALSE);
    FAKE(rig.fake, guest->boot_ms = 3600000);
    rig_start(&rig, NULL);
    RIG_UNTIL(rig_server(&rig, "bare"));
    fake_start(rig.fake, guest);
    RIG_UNTIL(g_str_equal(tracked_state(rig_server(&rig, "bare")), "starting"));
    RIG_UNTIL(rig_server(&rig, "bare")->facts.fixed == FIXED_NO_DRIVER);
    g_assert_cmpstr(tracked_state(rig_server(&rig, "bare")), ==, "running");
    g_assert_cmpuint(rig_server(&rig, "bare")->row.held_bytes, ==, 2 * GIB);
    g_assert_cmpuint(FAKE(rig.fake, guest->targets_asked), ==, 0);
    rig_end(&rig);
}

/* ---- several backends */

static void test_same_names(void)
{
    Rig rig;
    rig_begin(&rig, 4 * GIB, MODE_MANAGE);
    FakeBackend *second = fake_backend_new();
    add_squeezed(rig.fake, "twin", 2 * GIB, 3 * GIB / 2);
    FakeGuest *needy = add_squeezed(second, "twin", 2 * GIB, GIB);
    FAKE(second, needy->used_bytes = 3 * GIB / 2);
    fake_forget_peak(rig.fake);
    fake_forget_peak(second);
    rig_start(&rig, second);
    RIG_UNTIL(FAKE(second, needy->truth_bytes) >= 3 * GIB / 2);
    g_assert_cmpuint(engine_servers(rig.engine)->len, ==, 2);
    g_assert_cmpuint(fake_peak(rig.fake) + fake_peak(second), <=, 4 * GIB);
    fake_disconnect(second);
    RIG_UNTIL(!((EngineBackend *)engine_backends(rig.engine)->pdata[1])->connected);
    g_assert_cmpint(engine_host(rig.engine)->state, ==, ENGINE_OK);
    g_assert_cmpuint(engine_servers(rig.engine)->len, ==, 2);
    rig_end(&rig);
}

/* ---- reservations */

/* Room that the newest decision has just given away is not ready. */
static void test_reservation(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    FakeGuest *idle = fake_guest_add(rig.fake, "idle", 4 * GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "idle"));
    g_autoptr(GError) error = NULL;
    g_assert_null(engine_reserve(rig.engine, 5 * GIB, NULL, G_USEC_PER_SEC, NULL, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM);
    const Reservation *made = engine_reserve(rig.engine, 2 * GIB, "late", 30 * G_USEC_PER_SEC, NULL, NULL);
    g_assert_nonnull(made);
    g_assert_false(made->ready);
    RIG_UNTIL(made->ready);
    g_assert_cmpuint(FAKE(rig.fake, idle->truth_bytes), <=, 3 * GIB - 2 * FAKE_OVERHEAD);
    FakeGuest *late = fake_guest_add(rig.fake, "late", 2 * GIB);
    fake_start(rig.fake, late);
    RIG_UNTIL(engine_reservations(rig.engine)->len == 0);
    g_assert_cmpfloat(engine_host(rig.engine)->over_seconds, ==, 0);
    g_assert_cmpuint(fake_committed(rig.fake), <=, 5 * GIB);
    rig_end(&rig);
}

/* A minimum that is given up makes room at once, and one that is raised takes it, whatever the newest decision knew. */
static void test_room_by_the_newest_minima(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    fake_guest_add(rig.fake, "idle", 4 * GIB);
    rig_start(&rig, NULL);
    RIG_UNTIL(settled(&rig, "idle"));
    Tracked *idle = engine_find(rig.engine, "idle", NULL);
    ServerSettings large = {.has_minimum = TRUE, .minimum_bytes = 4 * GIB};
    ServerSettings small = {.has_minimum = TRUE, .minimum_bytes = 1 * GIB};
    g_assert_true(engine_set_settings(rig.engine, idle, &large, NULL, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_null(engine_reserve(rig.engine, 2 * GIB, "late", G_USEC_PER_SEC, NULL, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM);
    g_assert_true(engine_set_settings(rig.engine, idle, &small, NULL, NULL));
    g_assert_nonnull(engine_reserve(rig.engine, 2 * GIB, "late", G_USEC_PER_SEC, NULL, NULL));
    rig_end(&rig);
}

typedef struct {
    Rig *rig;
    const Reservation *made;
} Asker;

/* Asks for all that was free, in the very beat that grants some of it. */
static void reserve_in_a_grant(Engine *engine, EngineEvent event, gconstpointer subject, gpointer user_data)
{
    Asker *asker = user_data;
    const PlanTotals *totals = &engine_host(engine)->totals;
    if (event != ENGINE_EVENT_BEAT || asker->made || totals->granted_bytes < MIB)
        return;
    asker->made =
        engine_reserve(engine, totals->ledger.free_bytes - FAKE_OVERHEAD, NULL, G_USEC_PER_SEC, NULL, NULL);
    g_assert_nonnull(asker->made);
    g_assert_false(asker->made->ready);
}

static void test_reservation_in_a_grant(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_MANAGE);
    FakeGuest *guest = add_squeezed(rig.fake, "needy", 4 * GIB, GIB);
    FAKE(rig.fake, guest->used_bytes = 2 * GIB);
    Asker asker = {&rig, NULL};
    rig_start(&rig, NULL);
    engine_listen(rig.engine, reserve_in_a_grant, &asker);
    RIG_UNTIL(asker.made);
    rig_end(&rig);
}

/* ---- numbers */

static void test_two_hundred(void)
{
    Rig rig;
    rig_begin(&rig, 60 * GIB, MODE_MANAGE);
    for (guint i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("server-%03u", i);
        add_squeezed(rig.fake, name, 512 * MIB, 200 * MIB);
    }
    rig_start(&rig, NULL);
    RIG_UNTIL(beats(&rig) > 20);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t beats_before = beats(&rig);
    RIG_UNTIL(beats(&rig) >= beats_before + 50);
    getrusage(RUSAGE_THREAD, &after);
    double us = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1e6 +
                (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    double each_us = us / (double)(beats(&rig) - beats_before);
    g_test_message("a beat over 200 servers: %.0f us", each_us);
    g_assert_cmpfloat(each_us, <, 50000); /* under sanitizers; without, a hundredth of that */
    rig_end(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/faults/freed-in-flight", test_freed_in_flight);
    g_test_add_func("/faults/killed-before", test_killed_before);
    g_test_add_func("/faults/vanishes", test_vanishes);
    g_test_add_func("/faults/comes-and-goes", test_comes_and_goes);
    g_test_add_func("/faults/goes-in-a-look", test_goes_in_a_look);
    g_test_add_func("/faults/slow-answers", test_slow_answers);
    g_test_add_func("/faults/at-once", test_at_once);
    g_test_add_func("/faults/one-backend-hangs", test_one_backend_hangs);
    g_test_add_func("/faults/only-backend-hangs", test_only_backend_hangs);
    g_test_add_func("/faults/no-backend", test_no_backend);
    g_test_add_func("/faults/events", test_events);
    g_test_add_func("/faults/setmem", test_setmem);
    g_test_add_func("/faults/oom", test_oom);
    g_test_add_func("/faults/start-and-stop", test_start_and_stop);
    g_test_add_func("/faults/no-driver", test_no_driver);
    g_test_add_func("/faults/same-names", test_same_names);
    g_test_add_func("/faults/reservation", test_reservation);
    g_test_add_func("/faults/room-by-the-newest-minima", test_room_by_the_newest_minima);
    g_test_add_func("/faults/reservation-in-a-grant", test_reservation_in_a_grant);
    g_test_add_func("/faults/two-hundred", test_two_hundred);
    return g_test_run();
}
