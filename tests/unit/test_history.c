/* History: steps in, averages of three resolutions out; and the first schema, upgraded with what was in it. */
#include <glib/gstdio.h>
#include "base/json.h"
#include "store/accounts.h"
#include "store/database.h"
#include "store/history_private.h"

#define MIB UINT64_C(1048576)

typedef struct {
    char *folder, *file;
} Place;

static void begin(Place *place, gconstpointer data)
{
    place->folder = g_dir_make_tmp("aerostat-history-XXXXXX", NULL);
    place->file = g_build_filename(place->folder, "aerostat.db", NULL);
}

static void end(Place *place, gconstpointer data)
{
    const char *name;
    g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(place->folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(place->folder);
    g_free(place->folder);
    g_free(place->file);
}

static Store *open_well(const Place *place)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(place->folder, &error);
    g_assert_no_error(error);
    return store;
}

static void append_stalled(Store *store, int64_t time_s, uint64_t mib, uint64_t stalled_us)
{
    HistoryStep *step = history_step_new(time_s);
    HistoryServer *server = g_new0(HistoryServer, 1);
    server->id = g_strdup("id-1");
    server->name = g_strdup("web-1");
    server->figures =
        (HistoryFigures){.balloon_bytes = mib * MIB, .used_bytes = UINT64_MAX, .stalled_us = stalled_us};
    g_ptr_array_add(step->servers, server);
    step->host = (HistoryHost){.committed_bytes = mib * MIB, .pressure = 1.5};
    history_append(store, step);
}

static void append(Store *store, int64_t time_s, uint64_t mib)
{
    append_stalled(store, time_s, mib, 5);
}

static void on_answer(json_t *result, const GError *error, gpointer user_data)
{
    g_assert_no_error(error);
    *(json_t **)user_data = result;
}

static json_t *ask(Store *store, const HistoryQuery *query)
{
    json_t *result = NULL;
    history_read(store, query, on_answer, &result);
    while (!result)
        g_main_context_iteration(NULL, TRUE);
    return result;
}

static json_int_t at(json_t *points, gsize i, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(points, i), name));
}

static void test_levels(Place *place, gconstpointer data)
{
    Store *store = open_well(place);
    int64_t now_s = g_get_real_time() / G_USEC_PER_SEC, hour_s = now_s / 3600 * 3600 - 7200;
    /* An hour at 100 MiB, an hour at 300 MiB, a hole of ten minutes in it, and the newest not yet complete. */
    for (int64_t t = hour_s; t < hour_s + 7210; t += 10)
        if (t < hour_s + 4200 || t >= hour_s + 4800)
            append(store, t, t < hour_s + 3600 ? 100 : 300);
    HistoryQuery fine = {.server_id = "id-1", .from_s = hour_s, .to_s = hour_s + 600, .points = 60};
    g_autoptr(json_t) tens = ask(store, &fine);
    json_t *points = json_object_get(tens, "points");
    g_assert_cmpint(json_integer_value(json_object_get(tens, "step_seconds")), ==, 10);
    g_assert_cmpuint(json_array_size(points), ==, 60);
    g_assert_cmpint(at(points, 0, "time"), ==, hour_s);
    g_assert_cmpint(at(points, 59, "balloon_bytes"), ==, 100 * (json_int_t)MIB);
    g_assert_true(json_is_null(json_object_get(json_array_get(points, 0), "used_bytes")));
    HistoryQuery coarse = {.server_id = "id-1", .from_s = hour_s, .to_s = hour_s + 10800, .points = 3};
    g_autoptr(json_t) hours = ask(store, &coarse);
    points = json_object_get(hours, "points");
    g_assert_cmpint(json_integer_value(json_object_get(hours, "step_seconds")), ==, 3600);
    g_assert_cmpuint(json_array_size(points), ==, 3); /* the third is the one step that is not averaged yet */
    g_assert_cmpint(at(points, 0, "balloon_bytes"), ==, 100 * (json_int_t)MIB);
    g_assert_cmpint(at(points, 0, "stalled_us"), ==, 360 * 5);
    g_assert_cmpint(at(points, 1, "balloon_bytes"), ==, 300 * (json_int_t)MIB);
    g_assert_cmpint(at(points, 1, "stalled_us"), ==, 300 * 5);
    g_assert_cmpint(at(points, 2, "balloon_bytes"), ==, 300 * (json_int_t)MIB);
    HistoryQuery hole = {.server_id = "id-1", .from_s = hour_s + 4200, .to_s = hour_s + 4800, .points = 10};
    g_autoptr(json_t) nothing = ask(store, &hole);
    g_assert_cmpuint(json_array_size(json_object_get(nothing, "points")), ==, 0);
    HistoryQuery host = {.from_s = hour_s, .to_s = hour_s + 7200, .points = 24, .with_servers = TRUE};
    g_autoptr(json_t) whole = ask(store, &host);
    json_t *balloons = json_object_get(json_object_get(whole, "servers"), "web-1");
    g_assert_cmpuint(json_array_size(balloons), ==, json_array_size(json_object_get(whole, "points")));
    g_assert_cmpint(json_integer_value(json_array_get(balloons, 0)), ==, 100 * (json_int_t)MIB);
    HistoryQuery nobody = {.server_id = "id-9", .from_s = 0, .to_s = now_s, .points = 2000};
    g_autoptr(json_t) unknown = ask(store, &nobody);
    g_assert_cmpuint(json_array_size(json_object_get(unknown, "points")), ==, 0);
    store_free(store);
}

/* What a guest says it waited for does not keep others' history from being written, also where it is in the file already. */
static void test_absurd_stall(Place *place, gconstpointer data)
{
    Store *store = open_well(place);
    int64_t hour_s = g_get_real_time() / G_USEC_PER_SEC / 3600 * 3600 - 7200;
    for (int64_t t = hour_s; t < hour_s + 1200; t += 10)
        append_stalled(store, t, 100, G_MAXUINT64);
    store_free(store);
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open(place->file, &db), ==, SQLITE_OK);
    g_assert_cmpint(
        sqlite3_exec(db, "UPDATE history_10s SET stalled_us = 9223372036854775807", NULL, NULL, NULL), ==,
        SQLITE_OK);
    sqlite3_close(db);
    store = open_well(place);
    for (int64_t t = hour_s + 1200; t < hour_s + 3610; t += 10)
        append(store, t, 100);
    HistoryQuery since = {.server_id = "id-1", .from_s = hour_s + 900, .to_s = hour_s + 3600, .points = 9};
    g_autoptr(json_t) found = ask(store, &since);
    json_t *points = json_object_get(found, "points");
    g_assert_cmpint(json_integer_value(json_object_get(found, "step_seconds")), ==, 300);
    g_assert_cmpuint(json_array_size(points), ==, 9);
    g_assert_cmpint(at(points, 0, "stalled_us"), >, 300 * (json_int_t)G_USEC_PER_SEC);
    g_assert_cmpint(at(points, 8, "stalled_us"), ==, 30 * 5);
    store_free(store);
}

/* A clock that was 40 minutes ahead: what was written meanwhile is averaged anew once these times have really come. */
static void test_clock_was_ahead(Place *place, gconstpointer data)
{
    Store *store = open_well(place);
    int64_t hour_s = g_get_real_time() / G_USEC_PER_SEC / 3600 * 3600 - 7200;
    for (int64_t t = hour_s + 2400; t < hour_s + 3610; t += 10)
        append(store, t, 700);
    for (int64_t t = hour_s; t < hour_s + 3610; t += 10)
        append(store, t, 100);
    HistoryQuery query = {.server_id = "id-1", .from_s = hour_s, .to_s = hour_s + 3600, .points = 12};
    g_autoptr(json_t) found = ask(store, &query);
    json_t *points = json_object_get(found, "points");
    g_assert_cmpint(json_integer_value(json_object_get(found, "step_seconds")), ==, 300);
    g_assert_cmpuint(json_array_size(points), ==, 12);
    for (gsize i = 0; i < 12; i++)
        g_assert_cmpint(at(points, i, "balloon_bytes"), ==, 100 * (json_int_t)MIB);
    store_free(store);
}

/* A clock that is set years ahead for a moment: nothing is forgotten on its word. */
static void test_clock_leaps(Place *place, gconstpointer data)
{
    Store *store = open_well(place);
    int64_t hour_s = g_get_real_time() / G_USEC_PER_SEC / 3600 * 3600 - 7200,
            years_s = 5 * 365 * INT64_C(86400);
    for (int64_t t = hour_s; t < hour_s + 5400; t += 10)
        append(store, t, 100);
    for (int64_t t = hour_s; t < hour_s + 600; t += 10)
        append(store, years_s + t, 700);
    for (int64_t t = hour_s + 5400; t < hour_s + 7210; t += 10)
        append(store, t, 100);
    HistoryQuery fine = {.server_id = "id-1", .from_s = hour_s, .to_s = hour_s + 600, .points = 60};
    g_autoptr(json_t) tens = ask(store, &fine);
    g_assert_cmpuint(json_array_size(json_object_get(tens, "points")), ==, 60);
    HistoryQuery coarse = {.server_id = "id-1", .from_s = hour_s, .to_s = hour_s + 7200, .points = 2};
    g_autoptr(json_t) hours = ask(store, &coarse);
    json_t *points = json_object_get(hours, "points");
    g_assert_cmpint(json_integer_value(json_object_get(hours, "step_seconds")), ==, 3600);
    g_assert_cmpuint(json_array_size(points), ==, 2);
    g_assert_cmpint(at(points, 1, "balloon_bytes"), ==, 100 * (json_int_t)MIB);
    store_free(store);
}

/* A question that is still on its way when the store goes is answered, too; and what was not yet due is written. */
static void on_any(json_t *result, const GError *error, gpointer user_data)
{
    json_decref(result);
    (*(guint *)user_data)++;
}

static void test_closing(Place *place, gconstpointer data)
{
    Store *store = open_well(place);
    guint answers = 0;
    int64_t now_s = g_get_real_time() / 10000000 * 10;
    HistoryQuery query = {.server_id = "id-1", .from_s = now_s - 60, .to_s = now_s + 60, .points = 12};
    append(store, now_s, 7);
    history_read(store, &query, on_any, &answers);
    store_free(store);
    g_assert_cmpuint(answers, ==, 1);
    store = open_well(place);
    g_autoptr(json_t) kept = ask(store, &query);
    g_assert_cmpuint(json_array_size(json_object_get(kept, "points")), ==, 1);
    store_free(store);
}

static void test_first_schema(Place *place, gconstpointer data)
{
    g_autofree char *sql = NULL, *copy = g_strconcat(place->file, ".v1.bak", NULL);
    g_assert_true(g_file_get_contents(FIXTURES "/v1.sql", &sql, NULL, NULL));
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open(place->file, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
    Store *store = open_well(place);
    ServerSettings settings;
    g_assert_true(store_get_settings(store, "6f2c", &settings, NULL));
    g_assert_cmpuint(settings.minimum_bytes, ==, 268435456);
    g_assert_cmpuint(settings.weight, ==, 250);
    g_assert_false(settings.ballooning_disabled);
    g_assert_cmpuint(settings.revision, ==, 1);
    g_autofree char *mode = store_get_mode(store, NULL);
    g_assert_cmpstr(mode, ==, "manage");
    g_assert_true(store_account_add(store, "alice", ROLE_OWNER, "hash", NULL, NULL));
    g_assert_true(store_own(store, "6f2c", "web-1", "ALICE", NULL, NULL));
    g_assert_cmpstr(store_owner(store, "6f2c"), ==, "alice");
    g_assert_true(store_move_server(store, "6f2c", "new", "web-1", NULL, NULL));
    g_assert_cmpstr(store_owner(store, "new"), ==, "alice");
    g_assert_true(store_get_settings(store, "new", &settings, NULL));
    g_assert_cmpuint(settings.weight, ==, 250);
    store_free(store);
    g_assert_true(g_file_test(copy, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/history/levels", Place, NULL, begin, test_levels, end);
    g_test_add("/history/absurd-stall", Place, NULL, begin, test_absurd_stall, end);
    g_test_add("/history/clock-was-ahead", Place, NULL, begin, test_clock_was_ahead, end);
    g_test_add("/history/clock-leaps", Place, NULL, begin, test_clock_leaps, end);
    g_test_add("/history/closing", Place, NULL, begin, test_closing, end);
    g_test_add("/history/first-schema", Place, NULL, begin, test_first_schema, end);
    return g_test_run();
}
