/* Operations that get no further, are found by the next daemon, or by one after the host was booted. */
#include <string.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include "base/error.h"
#include "engine/reservation.h"
#include "engine_rig.h"
#include "fake_power.h"
#include "manage/manage.h"
#include "manage/reinstall.h"
#include "store/accounts.h"

#define WEB "web-1"
#define ID  "web-1-id"

static const ManageCaller CALLER = {.who = "alice", .from = "local"};

typedef struct {
    Rig rig;
    char *folder, *state;
    Store *store;
    FakePower *power;
    FakeGuest *web;
    Manage *manage;
    int64_t operation;
    guint waited;
} House;

static void write_image(const House *house)
{
    g_autofree char *conf = g_build_filename(house->folder, "plain.conf", NULL);
    g_autofree char *disk = g_build_filename(house->folder, "template", NULL);
    g_assert_true(g_file_set_contents(disk, "a disk", -1, NULL));
    g_assert_true(g_file_set_contents(
        conf, "[image]\ntitle = Plain\nminimum = 64MiB\ndisk = template\nformat = raw\n", -1, NULL));
}

static void open_manage(House *house, const char *boot)
{
    const ManageOptions options = {.images = house->folder, .disks = house->folder, .boot_id = boot};
    house->manage = manage_new(house->rig.engine, house->store, &options);
}

static void begin(House *house, gconstpointer data)
{
    *house = (House){.folder = g_dir_make_tmp("aerostat-manage-XXXXXX", NULL)};
    house->state = g_build_filename(house->folder, "state", NULL);
    house->store = store_open(house->state, NULL);
    g_assert_nonnull(house->store);
    write_image(house);
    rig_begin(&house->rig, 4 * GIB, MODE_MANAGE);
    house->rig.options.store = house->store;
    house->power = fake_power_new(house->rig.fake);
    house->web = fake_guest_add(house->rig.fake, WEB, GIB);
    fake_guest_add(house->rig.fake, "other", GIB);
    rig_start(&house->rig, NULL);
    RIG_UNTIL(engine_servers(house->rig.engine)->len == 2 && engine_host(house->rig.engine)->beats > 1);
    open_manage(house, "first");
}

static void remove_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            remove_folder(path);
        else
            g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
}

static void end(House *house, gconstpointer data)
{
    manage_free(house->manage);
    rig_end(&house->rig);
    fake_power_free(house->power);
    store_free(house->store);
    remove_folder(house->folder);
    g_free(house->state);
    g_free(house->folder);
}

static void begin_reinstall(House *house)
{
    const ManageReinstall reinstall = {.image = "plain", .confirm = WEB};
    g_autoptr(GError) error = NULL;
    const Operation *operation =
        manage_reinstall(house->manage, rig_server(&house->rig, WEB), &reinstall, &CALLER, &error);
    g_assert_no_error(error);
    house->operation = operation->id;
}

static void begin_power(House *house, PowerAction action)
{
    g_autoptr(GError) error = NULL;
    const Operation *operation =
        manage_power(house->manage, rig_server(&house->rig, WEB), action, 60, &CALLER, &error);
    g_assert_no_error(error);
    house->operation = operation->id;
}

static Operation *operation_now(House *house)
{
    return manage_operation(house->manage, house->operation, NULL);
}

static gboolean is_in(House *house, const char *step)
{
    g_autoptr(Operation) operation = operation_now(house);
    return g_str_equal(operation->step, step);
}

static gboolean has_ended(House *house)
{
    g_autoptr(Operation) operation = operation_now(house);
    return !g_str_equal(operation->state, "running");
}

/* Waits for its end and for these words in what it says. */
static void check_ended(House *house, const char *state, const char *words)
{
    RIG_UNTIL(has_ended(house));
    g_autoptr(Operation) operation = operation_now(house);
    g_test_message("%s; %s", operation->text, house->power->log->str);
    g_assert_cmpstr(operation->state, ==, state);
    g_assert_nonnull(strstr(operation->text, words));
}

static gboolean runs(House *house)
{
    return FAKE(house->rig.fake, house->web->running);
}

static guint disks_left(const House *house)
{
    guint n = 0;
    GDir *dir = g_dir_open(house->folder, 0, NULL);
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir))
        n += g_str_has_prefix(name, WEB "-") ? 1 : 0;
    g_dir_close(dir);
    return n;
}

static void hear_power_button(House *house)
{
    RIG_UNTIL(fake_power_times(house->power, "shutdown:" ID) > 0);
    fake_stop(house->rig.fake, house->web);
}

/* ---- taken back */

static void test_restart_that_cannot_start(House *house, gconstpointer data)
{
    house->power->fails = "start";
    begin_power(house, ACTION_RESTART);
    hear_power_button(house);
    check_ended(house, "failed", "the test lets start fail");
    g_assert_cmpuint(fake_power_times(house->power, "start:" ID), ==, 2); /* as wished, and as before */
    g_assert_false(runs(house));
    house->power->fails = NULL;
    begin_power(house, ACTION_START);
    check_ended(house, "done", "is running");
}

static void test_reinstall_that_cannot_be_made(House *house, gconstpointer data)
{
    house->power->fails = "create";
    begin_reinstall(house);
    hear_power_button(house);
    check_ended(house, "failed", "The old server runs as before.");
    g_assert_true(runs(house));
    g_assert_cmpuint(disks_left(house), ==, 0);
    g_assert_cmpuint(engine_reservations(house->rig.engine)->len, ==, 0);
    g_assert_null(manage_aside(house->manage, WEB));
}

/* Its definition is still there: so is its disk. */
static void test_disk_of_what_is_still_defined(House *house, gconstpointer data)
{
    house->power->fails = "start remove";
    FAKE(house->rig.fake, house->web->running = FALSE);
    RIG_UNTIL(rig_server(&house->rig, WEB)->latest->power == POWER_OFF);
    begin_reinstall(house);
    check_ended(house, "failed", "Its new disk stays, since a definition still names it.");
    g_assert_cmpuint(disks_left(house), ==, 1);
}

/* What has not got its name and place back must not be started: nobody would see what it holds. */
static void test_old_one_stays_aside(House *house, gconstpointer data)
{
    house->power->fails = "create take_back";
    begin_reinstall(house);
    hear_power_button(house);
    check_ended(house, "failed", "is off, and is still called " WEB ".aside-");
    g_assert_cmpuint(fake_power_times(house->power, "start:" ID), ==, 0);
}

/* The power button was pressed before the daemon was killed; the guest hears it after the next one has taken it back. */
static void test_late_shutdown(House *house, gconstpointer data)
{
    begin_reinstall(house);
    RIG_UNTIL(fake_power_times(house->power, "shutdown:" ID) > 0);
    manage_free(house->manage);
    open_manage(house, "first");
    rig_pass(500);
    g_assert_false(has_ended(house));
    fake_stop(house->rig.fake, house->web);
    check_ended(house, "failed", "The old server runs as before.");
    g_assert_true(runs(house));
}

/* A new daemon has given the room to somebody else meanwhile: the old one starts when there is room, not before. */
static void test_no_room_to_take_it_back(House *house, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    begin_reinstall(house);
    RIG_UNTIL(fake_power_times(house->power, "shutdown:" ID) > 0);
    manage_free(house->manage);
    fake_stop(house->rig.fake, house->web);
    RIG_UNTIL(rig_server(&house->rig, WEB)->latest->power == POWER_OFF);
    const Reservation *taken =
        engine_reserve(house->rig.engine, 5 * GIB / 2, "new-1", 60 * G_USEC_PER_SEC, NULL, &error);
    g_assert_no_error(error);
    guint64 id = taken->id;
    open_manage(house, "first");
    rig_pass(1500);
    g_assert_false(has_ended(house));
    g_assert_false(runs(house));
    g_assert_true(engine_release(house->rig.engine, id, NULL, &error));
    check_ended(house, "failed", "The old server runs as before.");
    g_assert_true(runs(house));
}

/* A hypervisor that is away for a moment is no reason to end a guest that was given time. */
static void test_press_that_is_not_heard(House *house, gconstpointer data)
{
    house->power->away = "shutdown";
    begin_power(house, ACTION_RESTART);
    RIG_UNTIL(fake_power_times(house->power, "shutdown:" ID) > 0);
    rig_pass(1500);
    g_assert_true(is_in(house, "shutdown"));
    g_assert_cmpuint(fake_power_times(house->power, "stop:" ID), ==, 0);
    g_assert_true(runs(house));
    fake_stop(house->rig.fake, house->web);
    check_ended(house, "done", "was restarted");
}

/* ... nor one that nobody could ask at all, when its time is over. */
static void test_never_asked(House *house, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    house->power->away = "shutdown";
    const Operation *operation =
        manage_power(house->manage, rig_server(&house->rig, WEB), ACTION_RESTART, 3, &CALLER, &error);
    g_assert_no_error(error);
    house->operation = operation->id;
    rig_pass(5500);
    g_assert_cmpuint(fake_power_times(house->power, "shutdown:" ID), >, 1);
    g_assert_cmpuint(fake_power_times(house->power, "stop:" ID), ==, 0);
    g_assert_true(runs(house));
    fake_stop(house->rig.fake, house->web); /* it may still end, and is then started as before */
    check_ended(house, "failed", "could not be asked to shut down within 3 s");
}

/* One that is defined nowhere is gone once it is off. */
static void test_transient_is_stopped(House *house, gconstpointer data)
{
    house->power->loses = "stop";
    begin_power(house, ACTION_STOP);
    RIG_UNTIL(fake_power_times(house->power, "stop:" ID) > 0);
    FAKE(house->rig.fake, house->web->gone = TRUE);
    check_ended(house, "done", "is off");
}

/* Nothing is begun that could not be written down, however often it is tried. */
static void test_nothing_goes_unwritten(House *house, gconstpointer data)
{
    g_autofree char *path = g_build_filename(house->state, "aerostat.db", NULL);
    sqlite3 *other = NULL;
    begin_reinstall(house);
    RIG_UNTIL(fake_power_times(house->power, "shutdown:" ID) > 0);
    g_assert_cmpint(sqlite3_open(path, &other), ==, SQLITE_OK);
    sqlite3_busy_timeout(other, 10000);
    g_assert_cmpint(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
    fake_stop(house->rig.fake, house->web);
    rig_pass(6000);
    g_assert_cmpuint(fake_power_times(house->power, "set_aside:" ID), ==, 0);
    g_assert_cmpint(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(other);
    RIG_UNTIL(fake_power_times(house->power, "set_aside:" ID) > 0);
    RIG_UNTIL(has_ended(house));
}

/* ---- the host was booted */

static void leave_it_to_the_next_boot(House *house, PowerAction action, const char *loses, const char *sent)
{
    house->power->loses = loses;
    begin_power(house, action);
    RIG_UNTIL(fake_power_times(house->power, sent) > 0);
    manage_free(house->manage);
    house->power->loses = NULL;
}

static void test_stop_is_over(House *house, gconstpointer data)
{
    leave_it_to_the_next_boot(house, ACTION_STOP, "stop", "stop:" ID);
    open_manage(house, "second");
    check_ended(house, "failed", "the host was booted meanwhile");
    g_assert_cmpuint(fake_power_times(house->power, "stop:" ID), ==, 1);
    g_assert_true(runs(house));
}

/* ... but not for a daemon that was just started anew. */
static void test_stop_goes_on(House *house, gconstpointer data)
{
    leave_it_to_the_next_boot(house, ACTION_STOP, "stop", "stop:" ID);
    open_manage(house, "first");
    check_ended(house, "done", "is off");
    g_assert_false(runs(house));
}

static void test_restart_starts(House *house, gconstpointer data)
{
    leave_it_to_the_next_boot(house, ACTION_RESTART, "shutdown", "shutdown:" ID);
    fake_stop(house->rig.fake, house->web);
    RIG_UNTIL(rig_server(&house->rig, WEB)->latest->power == POWER_OFF);
    open_manage(house, "second");
    check_ended(house, "done", "was restarted");
    g_assert_true(runs(house));
    g_assert_cmpuint(fake_power_times(house->power, "shutdown:" ID), ==, 1);
}

/* It has come up with the host: that was its restart. */
static void test_restart_is_done(House *house, gconstpointer data)
{
    leave_it_to_the_next_boot(house, ACTION_RESTART, "shutdown", "shutdown:" ID);
    open_manage(house, "second");
    check_ended(house, "done", "was restarted");
    g_assert_cmpuint(fake_power_times(house->power, "stop:" ID), ==, 0);
    g_assert_cmpuint(fake_power_times(house->power, "start:" ID), ==, 0);
}

/* It was started; the daemon did not see it run, and its host was switched off. Somebody may have used it: it stays. */
static void test_started_is_kept(House *house, gconstpointer data)
{
    begin_reinstall(house);
    hear_power_button(house);
    RIG_UNTIL(fake_power_times(house->power, "create:" WEB) > 0);
    g_autoptr(Operation) operation = operation_now(house);
    g_autofree char *id = g_strdup(operation->server_id);
    FakeGuest *made = fake_guest_by_id(house->rig.fake, id);
    FAKE(house->rig.fake, made->gone = TRUE);
    RIG_UNTIL(is_in(house, "verify"));
    manage_free(house->manage);
    FAKE(house->rig.fake, made->running = FALSE);
    FAKE(house->rig.fake, made->gone = FALSE);
    RIG_UNTIL(rig_server(&house->rig, WEB) && g_str_equal(rig_server(&house->rig, WEB)->latest->id, id));
    open_manage(house, "second");
    check_ended(house, "done", "was reinstalled");
    g_autofree char *removed = g_strconcat("remove:", id, NULL);
    g_assert_cmpuint(fake_power_times(house->power, removed), ==, 0);
    g_assert_cmpuint(disks_left(house), ==, 1);
}

/* The new one could not be stopped: two servers in the room of one would be one too many. */
static void test_new_one_may_run(House *house, gconstpointer data)
{
    house->power->fails = "start stop";
    FAKE(house->rig.fake, house->web->running = TRUE);
    begin_reinstall(house);
    hear_power_button(house);
    check_ended(house, "failed", "the new one could not be stopped and may run");
    g_assert_cmpuint(fake_power_times(house->power, "start:" ID), ==, 0);
}

/* A container of the same name on the same host holds what it holds: a start has to find room beside it. */
static void test_namesake(House *house, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    FAKE(house->rig.fake, house->web->running = FALSE);
    FakeGuest *box = fake_guest_add(house->rig.fake, WEB, 3 * GIB);
    FAKE(house->rig.fake, (g_free(box->id), box->id = g_strdup("box-id")));
    FAKE(house->rig.fake, box->container = TRUE);
    FAKE(house->rig.fake, box->fixed = FIXED_CONTAINER);
    Tracked *web = NULL;
    RIG_UNTIL(engine_servers(house->rig.engine)->len == 3);
    for (guint i = 0; i < 3; i++) {
        Tracked *tracked = engine_servers(house->rig.engine)->pdata[i];
        web = g_str_equal(tracked->latest->id, ID) ? tracked : web;
    }
    RIG_UNTIL(web->latest->power == POWER_OFF);
    g_assert_null(manage_power(house->manage, web, ACTION_START, 60, &CALLER, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM);
    FAKE(house->rig.fake, box->running = FALSE);
    rig_pass(300);
    const Operation *operation = manage_power(house->manage, web, ACTION_START, 60, &CALLER, NULL);
    g_assert_nonnull(operation);
    house->operation = operation->id;
    check_ended(house, "done", "is running");
}

/* ---- what is asked */

static void test_name_that_no_machine_can_have(House *house, gconstpointer data)
{
    const ManageReinstall reinstall = {.image = "plain", .confirm = "old box"};
    g_autoptr(GError) error = NULL;
    FakeGuest *box = fake_guest_add(house->rig.fake, "old box", GIB);
    FAKE(house->rig.fake, box->container = TRUE);
    RIG_UNTIL(rig_server(&house->rig, "old box"));
    Tracked *tracked = rig_server(&house->rig, "old box");
    g_assert_null(manage_reinstall(house->manage, tracked, &reinstall, &CALLER, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "\"old box\" cannot be a server's name"));
    g_assert_cmpstr(house->power->log->str, ==, "");
}

static void test_autostart_is_kept(House *house, gconstpointer data)
{
    FAKE(house->rig.fake, house->web->autostart = TRUE);
    RIG_UNTIL(rig_server(&house->rig, WEB)->latest->autostart);
    begin_reinstall(house);
    hear_power_button(house);
    check_ended(house, "done", "was reinstalled");
    g_assert_true(house->power->autostart);
    g_assert_cmpuint(disks_left(house), ==, 1);
}

/* However much has happened since, what is set aside is found; and an owner sees the own servers' operations, however
 * many others' there are. */
static void test_found_among_many(House *house, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    begin_reinstall(house);
    hear_power_button(house);
    check_ended(house, "done", "was reinstalled");
    g_assert_true(store_account_add(house->store, "alice", ROLE_OWNER, "correct horse", NULL, &error));
    g_assert_true(
        store_own(house->store, rig_server(&house->rig, WEB)->latest->id, WEB, "alice", NULL, &error));
    for (guint i = 0; i < 250; i++) {
        g_autoptr(Operation) operation = g_new0(Operation, 1);
        operation->kind = g_strdup("start");
        operation->name = g_strdup(WEB);
        operation->server_id = g_strdup("other-id");
        operation->state = g_strdup("done");
        operation->step = g_strdup("verify");
        operation->text = g_strdup("");
        operation->who = g_strdup("bob");
        operation->from = g_strdup("local");
        g_assert_true(store_operation_add(house->store, operation, NULL, &error));
    }
    g_autoptr(Operation) aside = manage_aside(house->manage, WEB);
    g_assert_nonnull(aside);
    const OperationQuery query = {.account = "alice", .limit = 200};
    g_autoptr(GPtrArray) operations = manage_operations(house->manage, &query, &error);
    g_assert_cmpuint(operations->len, ==, 1);
    g_assert_cmpint(((Operation *)operations->pdata[0])->id, ==, house->operation);
}

#define ADD(name, test) g_test_add("/manage/" name, House, NULL, begin, test, end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("back/restart", test_restart_that_cannot_start);
    ADD("back/reinstall", test_reinstall_that_cannot_be_made);
    ADD("back/still-defined", test_disk_of_what_is_still_defined);
    ADD("back/still-aside", test_old_one_stays_aside);
    ADD("back/late-shutdown", test_late_shutdown);
    ADD("back/no-room", test_no_room_to_take_it_back);
    ADD("press-that-is-not-heard", test_press_that_is_not_heard);
    ADD("never-asked", test_never_asked);
    ADD("transient-is-stopped", test_transient_is_stopped);
    ADD("nothing-goes-unwritten", test_nothing_goes_unwritten);
    ADD("boot/stop-is-over", test_stop_is_over);
    ADD("boot/stop-goes-on", test_stop_goes_on);
    ADD("boot/restart-starts", test_restart_starts);
    ADD("boot/restart-is-done", test_restart_is_done);
    ADD("boot/started-is-kept", test_started_is_kept);
    ADD("back/new-one-may-run", test_new_one_may_run);
    ADD("room/namesake", test_namesake);
    ADD("name", test_name_that_no_machine_can_have);
    ADD("autostart", test_autostart_is_kept);
    ADD("found-among-many", test_found_among_many);
    return g_test_run();
}
