/* History on the worker: steps in, averages made, old ones forgotten. */
#include <math.h>
#include "store/database.h"
#include "store/history_private.h"

#define FLUSH_STEPS 6
/* A quarter of an hour: what is kept while the disk is full. */
#define STEPS_MAX 90
#define KIB_SHIFT 10
#define DAY_S     INT64_C(86400)
/* Longer than any row lasts, and so little that no sum of them overflows: SQLite refuses one that does, and all history with it. */
#define STALLED_MOST_US 1000000000000
#define CLOCK_MOST_S    DAY_S
/* What a clock says that has leapt, or that nobody has watched before, is no reason yet to forget anything. */
#define STEADY_S 3600

const HistoryLevel HISTORY_LEVEL[HISTORY_LEVELS] = {
    {"10s", 10, DAY_S},
    {"5m", 300, 30 * DAY_S},
    {"1h", 3600, DAY_S * 2 * 366},
};

struct HistoryBuffer {
    GQueue steps; /* HistoryStep, oldest first */
    int64_t tidied_s;
    int64_t newest_s, steady_s; /* of the newest step; and of the first one since the clock has not leapt */
};

HistoryBuffer *history_buffer_new(void)
{
    HistoryBuffer *buffer = g_new0(HistoryBuffer, 1);
    g_queue_init(&buffer->steps);
    return buffer;
}

void history_buffer_free(HistoryBuffer *buffer)
{
    g_queue_clear_full(&buffer->steps, (GDestroyNotify)history_step_free);
    g_free(buffer);
}

static void bind_kib(sqlite3_stmt *statement, int at, uint64_t bytes)
{
    if (bytes == UINT64_MAX)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_int64(statement, at, (sqlite3_int64)(bytes >> KIB_SHIFT));
}

static gboolean finish_row(sqlite3 *db, sqlite3_stmt *statement, GError **error)
{
    gboolean ok = sqlite3_step(statement) == SQLITE_DONE || database_fail(db, error);
    sqlite3_reset(statement);
    return ok;
}

static int64_t number_of(sqlite3 *db, const HistoryServer *server, GError **error)
{
    g_autoptr(sqlite3_stmt) row =
        database_query(db, error,
                       "INSERT INTO history_servers (id, name) VALUES (?, ?)"
                       " ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING number",
                       "tt", server->id, server->name);
    if (!row || !database_step(db, row, error))
        return 0;
    int64_t number = sqlite3_column_int64(row, 0);
    return sqlite3_step(row) == SQLITE_DONE ? number : 0;
}

static gboolean write_server(sqlite3 *db, sqlite3_stmt *insert, int64_t time_s, const HistoryServer *server,
                             GError **error)
{
    int64_t number = number_of(db, server, error);
    if (number == 0)
        return FALSE;
    const HistoryFigures *figures = &server->figures;
    sqlite3_bind_int64(insert, 1, number);
    sqlite3_bind_int64(insert, 2, time_s);
    bind_kib(insert, 3, figures->balloon_bytes);
    bind_kib(insert, 4, figures->used_bytes);
    bind_kib(insert, 5, figures->resident_bytes);
    bind_kib(insert, 6, figures->target_bytes);
    bind_kib(insert, 7, figures->maximum_bytes);
    bind_kib(insert, 8, figures->demand_bytes);
    sqlite3_bind_int64(insert, 9, (sqlite3_int64)MIN(figures->stalled_us, (uint64_t)STALLED_MOST_US));
    return finish_row(db, insert, error);
}

static gboolean write_host(sqlite3 *db, const HistoryStep *step, GError **error)
{
    g_autoptr(sqlite3_stmt) insert =
        database_prepare(db, "INSERT OR REPLACE INTO history_host_10s VALUES (?, ?, ?, ?, ?, ?)", error);
    if (!insert)
        return FALSE;
    const HistoryHost *host = &step->host;
    sqlite3_bind_int64(insert, 1, step->time_s);
    bind_kib(insert, 2, host->committed_bytes);
    bind_kib(insert, 3, host->pool_bytes);
    bind_kib(insert, 4, host->slack_bytes);
    bind_kib(insert, 5, host->available_bytes);
    if (host->pressure >= 0)
        sqlite3_bind_int64(insert, 6, llround(host->pressure * 100));
    return finish_row(db, insert, error);
}

static gboolean write_step(sqlite3 *db, const HistoryStep *step, GError **error)
{
    g_autoptr(sqlite3_stmt) insert =
        database_prepare(db, "INSERT OR REPLACE INTO history_10s VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", error);
    if (!insert || !write_host(db, step, error))
        return FALSE;
    for (guint i = 0; i < step->servers->len; i++)
        if (!write_server(db, insert, step->time_s, step->servers->pdata[i], error))
            return FALSE;
    return TRUE;
}

static gboolean write_all(HistoryBuffer *buffer, sqlite3 *db, GError **error)
{
    if (!database_run(db, "BEGIN IMMEDIATE", error))
        return FALSE;
    gboolean ok = TRUE;
    int64_t newest_s = 0;
    for (GList *link = buffer->steps.head; ok && link; link = link->next) {
        newest_s = ((const HistoryStep *)link->data)->time_s;
        ok = write_step(db, link->data, error);
    }
    /* Every five minutes a few hundred rows become one each; that needs no clock but the steps' own. */
    gboolean tidy = newest_s / HISTORY_LEVEL[1].step_s != buffer->tidied_s / HISTORY_LEVEL[1].step_s;
    if (ok && tidy)
        ok = history_tidy(db, newest_s, newest_s - buffer->steady_s >= STEADY_S, error);
    ok = ok && database_run(db, "COMMIT", error);
    if (!ok)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    else if (tidy)
        buffer->tidied_s = newest_s;
    return ok;
}

gboolean history_buffer_flush(HistoryBuffer *buffer, sqlite3 *db, GError **error)
{
    if (g_queue_is_empty(&buffer->steps))
        return TRUE;
    if (!write_all(buffer, db, error))
        return FALSE;
    g_queue_clear_full(&buffer->steps, (GDestroyNotify)history_step_free);
    return TRUE;
}

gboolean history_buffer_add(HistoryBuffer *buffer, sqlite3 *db, HistoryStep *step, GError **error)
{
    if (ABS(step->time_s - buffer->newest_s) > CLOCK_MOST_S)
        buffer->steady_s = step->time_s;
    buffer->newest_s = step->time_s;
    g_queue_push_tail(&buffer->steps, step);
    while (g_queue_get_length(&buffer->steps) > STEPS_MAX)
        history_step_free(g_queue_pop_head(&buffer->steps));
    if (!db)
        return FALSE;
    return g_queue_get_length(&buffer->steps) >= FLUSH_STEPS && history_buffer_flush(buffer, db, error);
}

/* ---- averages */

int64_t history_level_end(sqlite3 *db, guint level, int64_t before_s, GError **error)
{
    GError *problem = NULL;
    g_autofree char *sql = g_strdup_printf("SELECT max(time_s) FROM history_host_%s WHERE time_s < ?",
                                           HISTORY_LEVEL[level].suffix);
    g_autoptr(sqlite3_stmt) row = database_query(db, error, sql, "i", before_s);
    if (!row)
        return -1;
    if (database_step(db, row, &problem))
        return sqlite3_column_type(row, 0) == SQLITE_NULL
                   ? 0
                   : sqlite3_column_int64(row, 0) + HISTORY_LEVEL[level].step_s;
    g_propagate_error(error, problem);
    return -1;
}

#define MEAN(column) "CAST(round(avg(h." column ")) AS INTEGER)"

/* A coarse row is the mean of the fine ones, and the sum of what was lost. */
static const char SERVER_MEANS[] =
    MEAN("balloon_kib") ", " MEAN("used_kib") ", " MEAN("resident_kib") ", " MEAN("target_kib") ", " MEAN(
        "maximum_kib") ", " MEAN("demand_kib") ", sum(min(h.stalled_us, " G_STRINGIFY(STALLED_MOST_US) "))";
static const char HOST_MEANS[] = MEAN("committed_kib") ", " MEAN("pool_kib") ", " MEAN("slack_kib") ", " MEAN(
    "available_kib") ", " MEAN("pressure_centi");

static gboolean average_servers(sqlite3 *db, guint level, int64_t from_s, int64_t to_s, GError **error)
{
    const HistoryLevel *coarse = &HISTORY_LEVEL[level], *fine = &HISTORY_LEVEL[level - 1];
    /* CROSS JOIN keeps the order of the loops: each server's own rows by their key, not a scan of all. */
    g_autofree char *sql = g_strdup_printf(
        "INSERT OR REPLACE INTO history_%s SELECT h.server, h.time_s / %d * %d, %s"
        " FROM history_servers AS s CROSS JOIN history_%s AS h"
        " ON h.server = s.number AND h.time_s >= ?1 AND h.time_s < ?2 GROUP BY h.server, h.time_s / %d",
        coarse->suffix, (int)coarse->step_s, (int)coarse->step_s, SERVER_MEANS, fine->suffix,
        (int)coarse->step_s);
    return database_exec(db, error, sql, "ii", from_s, to_s);
}

static gboolean average_host(sqlite3 *db, guint level, int64_t from_s, int64_t to_s, GError **error)
{
    const HistoryLevel *coarse = &HISTORY_LEVEL[level], *fine = &HISTORY_LEVEL[level - 1];
    g_autofree char *sql = g_strdup_printf(
        "INSERT OR REPLACE INTO history_host_%s SELECT h.time_s / %d * %d, %s"
        " FROM history_host_%s AS h WHERE h.time_s >= ?1 AND h.time_s < ?2 GROUP BY h.time_s / %d",
        coarse->suffix, (int)coarse->step_s, (int)coarse->step_s, HOST_MEANS, fine->suffix,
        (int)coarse->step_s);
    return database_exec(db, error, sql, "ii", from_s, to_s);
}

/* From where it was left, be it that the daemon was away, to the newest bucket that is complete. */
static gboolean average_level(sqlite3 *db, guint level, int64_t now_s, GError **error)
{
    int64_t step_s = HISTORY_LEVEL[level].step_s;
    int64_t to_s = now_s / step_s * step_s, from_s = history_level_end(db, level, to_s, error);
    if (from_s < 0)
        return FALSE;
    if (from_s >= to_s)
        return TRUE;
    return average_servers(db, level, from_s, to_s, error) && average_host(db, level, from_s, to_s, error);
}

static gboolean forget_level(sqlite3 *db, guint level, int64_t now_s, GError **error)
{
    const HistoryLevel *one = &HISTORY_LEVEL[level];
    int64_t before_s = now_s - one->keep_s;
    g_autofree char *servers =
        g_strdup_printf("DELETE FROM history_%s WHERE (server, time_s) IN (SELECT h.server, h.time_s FROM "
                        "history_servers AS s"
                        " CROSS JOIN history_%s AS h ON h.server = s.number AND h.time_s < ?)",
                        one->suffix, one->suffix);
    g_autofree char *host = g_strdup_printf("DELETE FROM history_host_%s WHERE time_s < ?", one->suffix);
    return database_exec(db, error, servers, "i", before_s) && database_exec(db, error, host, "i", before_s);
}

/* A clock that was ahead has averaged what it wrote, for times that are yet to come: these are averaged anew. One that is
 * behind by more than a day is more likely wrong itself: nothing goes on its word. */
static gboolean unaverage(sqlite3 *db, guint level, int64_t now_s, GError **error)
{
    const HistoryLevel *one = &HISTORY_LEVEL[level];
    int64_t to_s = now_s / one->step_s * one->step_s, end_s = history_level_end(db, level, G_MAXINT64, error);
    if (end_s < 0)
        return FALSE;
    if (end_s <= to_s || end_s - now_s > CLOCK_MOST_S)
        return TRUE;
    g_autofree char *servers = g_strdup_printf("DELETE FROM history_%s WHERE time_s >= ?", one->suffix);
    g_autofree char *host = g_strdup_printf("DELETE FROM history_host_%s WHERE time_s >= ?", one->suffix);
    return database_exec(db, error, servers, "i", to_s) && database_exec(db, error, host, "i", to_s);
}

gboolean history_tidy(sqlite3 *db, int64_t now_s, gboolean forget, GError **error)
{
    for (guint level = 1; level < HISTORY_LEVELS; level++)
        if (!unaverage(db, level, now_s, error))
            return FALSE;
    for (guint level = 1; level < HISTORY_LEVELS; level++)
        if (!average_level(db, level, now_s, error))
            return FALSE;
    for (guint level = 0; forget && level < HISTORY_LEVELS; level++)
        if (!forget_level(db, level, now_s, error))
            return FALSE;
    return TRUE;
}
