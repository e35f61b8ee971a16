#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/size.h"
#include "store/database.h"
#include "store/store.h"

#define NOBODY              65534
#define DATABASE_PAGE_BYTES UINT64_C(4096) /* SQLite's own default */

typedef struct {
    char *folder; /* writable by us; the store's is "state" in it, not there yet */
    char *state;
    char *file;
} Place;

static void place_begin(Place *place, gconstpointer data)
{
    place->folder = g_dir_make_tmp("aerostat-store-XXXXXX", NULL);
    g_assert_nonnull(place->folder);
    place->state = g_build_filename(place->folder, "state", NULL);
    place->file = g_build_filename(place->state, "aerostat.db", NULL);
}

static void place_end(Place *place, gconstpointer data)
{
    const char *name;
    g_autoptr(GDir) dir = g_dir_open(place->state, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(place->state, name, NULL);
        g_unlink(path);
    }
    g_rmdir(place->state);
    g_unlink(place->state);
    g_rmdir(place->folder);
    g_free(place->folder);
    g_free(place->state);
    g_free(place->file);
}

static Store *open_well(const char *folder)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(folder, &error);
    g_assert_no_error(error);
    g_assert_nonnull(store);
    return store;
}

/* The store must not open, and say so about the file, with @wrong in it. */
static void assert_refused(const Place *place, AerostatError code, const char *wrong)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open(place->state, &error));
    g_assert_error(error, AEROSTAT_ERROR, (int)code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, place->state));
    g_assert_nonnull(strstr(error->message, wrong));
}

static void set(Store *store, const char *id, ServerSettings *settings)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(store_set_settings(store, id, "a-name", settings, NULL, &error));
    g_assert_no_error(error);
}

static ServerSettings get(Store *store, const char *id)
{
    g_autoptr(GError) error = NULL;
    ServerSettings settings;
    memset(&settings, 0xa5, sizeof settings);
    g_assert_true(store_get_settings(store, id, &settings, &error));
    g_assert_no_error(error);
    return settings;
}

static void assert_settings(Store *store, const char *id, gint64 minimum, gint64 weight) /* -1: not set */
{
    ServerSettings got = get(store, id);
    g_assert_cmpint(got.has_minimum, ==, minimum >= 0);
    g_assert_cmpuint(got.minimum_bytes, ==, minimum >= 0 ? (uint64_t)minimum : 0);
    g_assert_cmpint(got.has_weight, ==, weight >= 0);
    g_assert_cmpuint(got.weight, ==, weight >= 0 ? (uint32_t)weight : 0);
}

static guint mode_of(const char *path)
{
    struct stat found;
    g_assert_cmpint(stat(path, &found), ==, 0);
    return found.st_mode & 07777;
}

static void test_reopen(Place *place, gconstpointer data)
{
    Store *store = open_well(place->state);
    assert_settings(store, "nobody", -1, -1);
    set(store, "a",
        &(ServerSettings){.has_minimum = TRUE, .minimum_bytes = 5, .has_weight = TRUE, .weight = 7});
    set(store, "b", &(ServerSettings){.has_minimum = TRUE, .minimum_bytes = 0});
    set(store, "c", &(ServerSettings){.has_weight = TRUE, .weight = 10000});
    set(store, "größe'; DROP TABLE server_settings; --", &(ServerSettings){.has_weight = TRUE, .weight = 1});
    set(store, "max", &(ServerSettings){.has_minimum = TRUE, .minimum_bytes = SIZE_MAX_BYTES});
    g_assert_null(store_get_mode(store, NULL));
    g_assert_true(store_set_mode(store, "manage", NULL, NULL));
    store_free(store);
    store_free(NULL);

    store = open_well(place->state);
    assert_settings(store, "a", 5, 7);
    assert_settings(store, "A", -1, -1);
    assert_settings(store, "b", 0, -1);
    assert_settings(store, "c", -1, 10000);
    assert_settings(store, "größe'; DROP TABLE server_settings; --", -1, 1);
    assert_settings(store, "max", (gint64)SIZE_MAX_BYTES, -1);
    g_autofree char *mode = store_get_mode(store, NULL);
    g_assert_cmpstr(mode, ==, "manage");
    set(store, "a", &(ServerSettings){.has_weight = TRUE, .weight = 8}); /* takes the minimum back */
    assert_settings(store, "a", -1, 8);
    set(store, "a", &(ServerSettings){0});
    assert_settings(store, "a", -1, -1);
    assert_settings(store, "c", -1, 10000);
    g_assert_true(store_set_mode(store, "observe", NULL, NULL));
    g_autofree char *after = store_get_mode(store, NULL);
    g_assert_cmpstr(after, ==, "observe");
    store_free(store);

    g_assert_cmpuint(mode_of(place->state) & ~0750U, ==, 0);
    g_assert_cmpuint(mode_of(place->file) & ~0640U, ==, 0);
}

static void test_bad_input(Place *place, gconstpointer data)
{
    static const struct {
        const char *id;
        ServerSettings settings;
    } ROWS[] = {
        {"", {.has_weight = TRUE, .weight = 1}},
        {"a", {.has_weight = TRUE, .weight = 0}},
        {"a", {.has_weight = TRUE, .weight = 10001}},
        {"a", {.has_weight = TRUE, .weight = UINT32_MAX}},
        {"a", {.has_minimum = TRUE, .minimum_bytes = SIZE_MAX_BYTES + 1}},
        {"a", {.has_minimum = TRUE, .minimum_bytes = UINT64_MAX, .has_weight = TRUE, .weight = 5}},
    };
    static const char *const MODES[] = {NULL, "", "Manage", "manage ", "auto"};
    g_autoptr(Store) store = open_well(place->state);
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        ServerSettings settings = ROWS[i].settings;
        g_assert_false(store_set_settings(store, ROWS[i].id, "web-3", &settings, NULL, &error));
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "server web-3: "));
        assert_settings(store, ROWS[i].id, -1, -1);
    }
    for (guint i = 0; i < G_N_ELEMENTS(MODES); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(store_set_mode(store, MODES[i], NULL, &error));
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_assert_null(store_get_mode(store, NULL));
    }
}

static void write_file(const Place *place, const void *bytes, gsize length)
{
    g_assert_cmpint(g_mkdir_with_parents(place->state, 0750), ==, 0);
    g_assert_true(g_file_set_contents(place->file, bytes, (gssize)length, NULL));
}

static GBytes *read_file(const char *path)
{
    char *text = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    return g_bytes_new_take(text, length);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    g_assert_cmpstr(message, ==, NULL);
    sqlite3_close(db);
}

static void test_not_a_database(Place *place, gconstpointer data)
{
    g_autofree char *junk = g_strnfill(100000, 'x');
    write_file(place, junk, 100000);
    g_autoptr(GBytes) before = read_file(place->file);
    assert_refused(place, AEROSTAT_ERROR_FAILED, "not a database; put a .bak copy in its place");
    g_autoptr(GBytes) after = read_file(place->file);
    g_assert_true(g_bytes_equal(before, after));
    write_file(place, "", 0); /* an interrupted first start */
    g_autoptr(Store) store = open_well(place->state);
    assert_settings(store, "a", -1, -1);
}

/* Any page of a real file overwritten: either it is refused, or (a page that holds nothing) it still works. */
static void test_corrupted(Place *place, gconstpointer data)
{
    guint refused = 0;
    Store *store = open_well(place->state);
    for (guint i = 0; i < 500; i++) {
        g_autofree char *id = g_strdup_printf("server-%u", i);
        set(store, id, &(ServerSettings){.has_weight = TRUE, .weight = i + 1});
    }
    store_free(store);
    g_autoptr(GBytes) whole = read_file(place->file);
    gsize length;
    const char *bytes = g_bytes_get_data(whole, &length);
    g_assert_cmpuint(length, >, 4 * DATABASE_PAGE_BYTES);
    for (gsize at = 0; at < length; at += DATABASE_PAGE_BYTES) {
        g_autoptr(GError) error = NULL;
        g_autofree char *broken = g_memdup2(bytes, length);
        memset(broken + at, 0xa5, MIN(DATABASE_PAGE_BYTES, length - at));
        write_file(place, broken, length);
        g_autoptr(Store) opened = store_open(place->state, &error);
        g_assert_true((opened == NULL) == (error != NULL));
        refused += opened == NULL;
    }
    g_assert_cmpuint(refused, ==, length / DATABASE_PAGE_BYTES);
    write_file(place, bytes, length / 2); /* a disk that was full */
    assert_refused(place, AEROSTAT_ERROR_FAILED, ".bak copy");
    write_file(place, bytes, length);
    g_autoptr(Store) again = open_well(place->state);
    assert_settings(again, "server-499", -1, 500);
}

static void test_newer_version(Place *place, gconstpointer data)
{
    Store *store = open_well(place->state);
    set(store, "a", &(ServerSettings){.has_weight = TRUE, .weight = 5});
    store_free(store);
    run_sql(place->file, "PRAGMA user_version = 99");
    g_autoptr(GBytes) before = read_file(place->file);
    assert_refused(place, AEROSTAT_ERROR_FAILED, "newer Aerostat (schema 99, this one knows 2)");
    g_autoptr(GBytes) after = read_file(place->file);
    g_assert_true(g_bytes_equal(before, after));
}

static void test_foreign(Place *place, gconstpointer data)
{
    static const char *const OTHERS[] = {"CREATE TABLE accounts (x)",
                                         "PRAGMA application_id = 7; CREATE TABLE t (x)",
                                         "PRAGMA user_version = 1; CREATE TABLE t (x)"};
    for (guint i = 0; i < G_N_ELEMENTS(OTHERS); i++) {
        write_file(place, "", 0);
        run_sql(place->file, OTHERS[i]);
        g_autoptr(GBytes) before = read_file(place->file);
        assert_refused(place, AEROSTAT_ERROR_FAILED, "another program's database");
        g_autoptr(GBytes) after = read_file(place->file);
        g_assert_true(g_bytes_equal(before, after));
    }
}

static void test_not_a_folder(Place *place, gconstpointer data)
{
    g_assert_true(g_file_set_contents(place->state, "a file", -1, NULL));
    assert_refused(place, AEROSTAT_ERROR_FAILED, "Not a directory");
}

/* Root writes anywhere, so root becomes nobody for this. */
static gboolean become_ordinary(void)
{
    return geteuid() != 0 || seteuid(NOBODY) == 0;
}

static void become_root_again(void)
{
    if (getuid() == 0)
        g_assert_cmpint(seteuid(0), ==, 0);
}

static void test_read_only(Place *place, gconstpointer data)
{
    store_free(open_well(place->state));
    g_chmod(place->folder, 0755);
    if (!become_ordinary()) {
        g_test_skip("runs as root and may not become anybody else, and root can write anywhere");
        return;
    }
    become_root_again();
    g_autofree char *log = g_strconcat(place->file, "-wal", NULL),
                    *index = g_strconcat(place->file, "-shm", NULL);
    static const struct {
        guint folder, file;
        const char *wrong;
    } ROWS[] = {
        {0555, 0444, "must be able to write"}, {0777, 0444, "must be able to write"}, {0555, 0666, "write"}};
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_chmod(place->file, ROWS[i].file);
        g_chmod(place->state, ROWS[i].folder);
        g_assert_true(become_ordinary());
        assert_refused(place, AEROSTAT_ERROR_FAILED, ROWS[i].wrong);
        become_root_again();
        g_chmod(place->state, 0750);
        g_unlink(log); /* a refused start may leave them, and with them the folder need not be writable */
        g_unlink(index);
    }
    g_chmod(place->file, 0640);
    g_unlink(place->file);
    g_chmod(place->state, 0555);
    g_assert_true(become_ordinary());
    assert_refused(place, AEROSTAT_ERROR_FAILED, "Permission denied");
    become_root_again();
    g_chmod(place->state, 0750);
}

static void test_busy(Place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Store) store = open_well(place->state);
    sqlite3 *other = NULL;
    g_assert_cmpint(sqlite3_open(place->file, &other), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
    gint64 begin = g_get_monotonic_time();
    g_assert_false(store_set_mode(store, "manage", NULL, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, INT64_C(10) * G_USEC_PER_SEC);
    assert_settings(store, "a", -1, -1); /* readers do not wait */
    g_assert_cmpint(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(other);
    g_assert_true(store_set_mode(store, "manage", NULL, NULL));
}

/* Writes figures that belong together, and tells each one through @fd once it is durable. Never returns. */
static void write_for_ever(const char *folder, int fd, uint32_t from)
{
    Store *store = store_open(folder, NULL);
    for (uint32_t i = from; store; i++) {
        ServerSettings settings = {
            .has_minimum = TRUE, .minimum_bytes = i, .has_weight = TRUE, .weight = i % 10000 + 1};
        if (!store_set_settings(store, "a", "a-name", &settings, NULL, NULL) ||
            !store_set_mode(store, i % 2 ? "manage" : "observe", NULL, NULL) ||
            write(fd, &i, sizeof i) != sizeof i)
            break;
    }
    _exit(1);
}

/* Returns the last figure the child, killed after @delay_us, had been told is durable; @from when none was. @writing: killed so
 * long after its first one, however long it took to begin. */
static uint32_t kill_a_writer(const char *folder, gulong delay_us, gboolean writing, uint32_t from)
{
    int ends[2], status;
    uint32_t told = from, next;
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        close(ends[0]);
        write_for_ever(folder, ends[1], from + 1);
    }
    close(ends[1]);
    if (writing && read(ends[0], &next, sizeof next) == sizeof next)
        told = next;
    g_usleep(delay_us);
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(ends[0], &next, sizeof next) == sizeof next)
        told = next;
    close(ends[0]);
    return told;
}

static void test_killed_writer(Place *place, gconstpointer data)
{
    uint32_t written = 0, rounds_with_writes = 0;
    for (guint round = 0; round < 50; round++) {
        uint32_t before = written;
        gulong delay_us = (gulong)g_test_rand_int_range(0, 40000);
        uint32_t told = kill_a_writer(place->state, delay_us, round % 2 == 0, written);
        g_autoptr(Store) store = open_well(place->state);
        ServerSettings got = get(store, "a");
        g_assert_true(got.has_minimum == got.has_weight);
        if (got.has_minimum)
            g_assert_cmpuint(got.weight, ==, got.minimum_bytes % 10000 + 1); /* both or neither */
        g_assert_cmpuint(got.minimum_bytes, >=, told);                       /* what was told is there */
        g_assert_cmpuint(got.minimum_bytes, <=, told + 1);
        written = (uint32_t)got.minimum_bytes;
        rounds_with_writes += written > before;
    }
    g_test_message("%u writes, in %u of 50 rounds", written, rounds_with_writes);
    g_assert_cmpuint(rounds_with_writes, >=, 25); /* those that began to write */
}

/* Schemas of a store that never was: what an upgrade does is proved before the first real one. */
static gboolean step_one(sqlite3 *db, GError **error)
{
    return database_run(db, "CREATE TABLE t (x INTEGER NOT NULL); INSERT INTO t VALUES (1)", error);
}

static gboolean step_two(sqlite3 *db, GError **error)
{
    return database_run(db, "ALTER TABLE t ADD COLUMN y INTEGER NOT NULL DEFAULT 2", error);
}

static gboolean step_broken(sqlite3 *db, GError **error)
{
    return database_run(db, "CREATE TABLE half (z); INSERT INTO t (nowhere) VALUES (3)", error);
}

static int number(sqlite3 *db, const char *sql)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(sqlite3_stmt) statement = database_prepare(db, sql, &error);
    g_assert_no_error(error);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    return sqlite3_column_int(statement, 0);
}

static void test_upgrade(Place *place, gconstpointer data)
{
    static const Migration OLD[] = {step_one}, NEW[] = {step_one, step_two},
                           BAD[] = {step_one, step_two, step_broken};
    g_autoptr(GError) error = NULL;
    g_autofree char *copy = g_strconcat(place->file, ".v1.bak", NULL),
                    *part = g_strconcat(copy, ".part", NULL);
    sqlite3 *db = database_open(place->file, OLD, 1, &error);
    g_assert_no_error(error);
    g_assert_cmpint(number(db, "PRAGMA foreign_keys"), ==, 1);
    g_assert_cmpint(number(db, "PRAGMA synchronous"), ==, 2);
    g_assert_true(database_run(db, "INSERT INTO t VALUES (10)", NULL));
    sqlite3_close_v2(db);
    g_assert_false(g_file_test(copy, G_FILE_TEST_EXISTS)); /* there was nothing to lose */

    g_assert_true(g_file_set_contents(part, "half a copy", -1, NULL));
    db = database_open(place->file, NEW, 2, &error);
    g_assert_no_error(error);
    g_assert_cmpint(number(db, "SELECT sum(x) + sum(y) FROM t"), ==, 15);
    g_assert_cmpint(number(db, "PRAGMA user_version"), ==, 2);
    sqlite3_close_v2(db);
    g_assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(mode_of(copy) & ~0640U, ==, 0);

    db = database_open(place->file, BAD, 3, &error);
    g_assert_null(db);
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED);
    g_assert_true(g_str_has_prefix(error->message, "upgrade to schema 3: "));
    g_clear_error(&error);
    db = database_open(place->file, NEW, 2, &error); /* as it was */
    g_assert_no_error(error);
    g_assert_cmpint(number(db, "SELECT sum(x) + sum(y) FROM t"), ==, 15);
    g_assert_cmpint(number(db, "SELECT count(*) FROM sqlite_schema"), ==, 1);
    sqlite3_close_v2(db);

    db = database_open(copy, OLD, 1, &error); /* the copy is a whole database of the old version */
    g_assert_no_error(error);
    g_assert_cmpint(number(db, "SELECT sum(x) FROM t"), ==, 11);
    sqlite3_close_v2(db);
}

/* The journal tells that WAL is really on, which nothing else shows. */
static void test_wal(Place *place, gconstpointer data)
{
    static const Migration STEPS[] = {step_one};
    g_autoptr(sqlite3) db = database_open(place->file, STEPS, 1, NULL);
    g_autoptr(sqlite3_stmt) statement = database_prepare(db, "PRAGMA journal_mode", NULL);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    g_assert_cmpstr((const char *)sqlite3_column_text(statement, 0), ==, "wal");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add("/store/" path, Place, NULL, place_begin, func, place_end)
    ADD("reopen", test_reopen);
    ADD("bad-input", test_bad_input);
    ADD("not-a-database", test_not_a_database);
    ADD("corrupted", test_corrupted);
    ADD("newer-version", test_newer_version);
    ADD("foreign", test_foreign);
    ADD("not-a-folder", test_not_a_folder);
    ADD("read-only", test_read_only);
    ADD("busy", test_busy);
    ADD("killed-writer", test_killed_writer);
    ADD("upgrade", test_upgrade);
    ADD("wal", test_wal);
    return g_test_run();
}
