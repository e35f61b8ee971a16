#include "base/error.h"
#include "base/size.h"
#include "store/database.h"
#include "store/store.h"

#define FILE_NAME  "aerostat.db"
#define WEIGHT_MAX 10000

struct Store {
    sqlite3 *db;
};

/*
 * Version 1. The numbers repeat what store_set_settings() checks: SIZE_MAX_BYTES and WEIGHT_MAX. A value that
 * got into the file some other way must not become a decision. NULL is "not set: as the configuration says".
 */
static gboolean create_settings(sqlite3 *db, GError **error)
{
    return database_run(
        db,
        "CREATE TABLE server_settings ("
        "  id TEXT PRIMARY KEY NOT NULL CHECK (id <> ''),"
        "  name TEXT NOT NULL,"
        "  minimum_bytes INTEGER CHECK (minimum_bytes BETWEEN 0 AND 72057594037927935),"
        "  weight INTEGER CHECK (weight BETWEEN 1 AND 10000),"
        "  changed_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now'))" /* seconds since 1970 */
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE daemon_settings ("
        "  key TEXT PRIMARY KEY NOT NULL,"
        "  value TEXT NOT NULL,"
        "  CHECK (key <> 'mode' OR value IN ('observe', 'manage'))"
        ") STRICT, WITHOUT ROWID;",
        error);
}

/* A released step is never changed again: append. Each new one gets a fixture of the schema before it in the
 * tests. */
static const Migration STEPS[] = {
    create_settings,
};

Store *store_open(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, FILE_NAME, NULL);
    sqlite3 *db = database_open(path, STEPS, G_N_ELEMENTS(STEPS), error);
    if (!db)
        return NULL;
    Store *store = g_new0(Store, 1);
    store->db = db;
    return store;
}

void store_free(Store *store)
{
    if (!store)
        return;
    sqlite3_close_v2(store->db);
    g_free(store);
}

/* Runs @statement, which gives no row, to its end. */
static gboolean finish(Store *store, sqlite3_stmt *statement, GError **error)
{
    return sqlite3_step(statement) == SQLITE_DONE || database_fail(store->db, error);
}

gboolean store_get_settings(Store *store, const char *id, ServerSettings *ret, GError **error)
{
    g_autoptr(sqlite3_stmt) statement =
        database_prepare(store->db, "SELECT minimum_bytes, weight FROM server_settings WHERE id = ?", error);
    if (!statement)
        return FALSE;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(statement);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        return database_fail(store->db, error);
    *ret = (ServerSettings){0};
    if (step == SQLITE_DONE)
        return TRUE;
    ret->has_minimum = sqlite3_column_type(statement, 0) != SQLITE_NULL;
    if (ret->has_minimum)
        ret->minimum_bytes = (uint64_t)sqlite3_column_int64(statement, 0);
    ret->has_weight = sqlite3_column_type(statement, 1) != SQLITE_NULL;
    if (ret->has_weight)
        ret->weight = (uint32_t)sqlite3_column_int64(statement, 1);
    return TRUE;
}

static gboolean check_settings(const char *id, const char *name, const ServerSettings *settings,
                               GError **error)
{
    g_autofree char *printable = error_printable(name, -1, 80);
    if (id[0] == '\0') {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "server %s: it has no id", printable);
        return FALSE;
    }
    if (settings->has_minimum && settings->minimum_bytes > SIZE_MAX_BYTES) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "server %s: a minimum of %" G_GUINT64_FORMAT " bytes is too large; give less than 64 PiB",
                    printable, settings->minimum_bytes);
        return FALSE;
    }
    if (settings->has_weight && (settings->weight == 0 || settings->weight > WEIGHT_MAX)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "server %s: a weight of %u is out of range; give 1 to %d", printable, settings->weight,
                    WEIGHT_MAX);
        return FALSE;
    }
    return TRUE;
}

/* Nothing set is the same as never set: no row. */
static gboolean forget_settings(Store *store, const char *id, GError **error)
{
    g_autoptr(sqlite3_stmt) statement =
        database_prepare(store->db, "DELETE FROM server_settings WHERE id = ?", error);
    if (!statement)
        return FALSE;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    return finish(store, statement, error);
}

/* One statement is one transaction: both figures or neither. */
gboolean store_set_settings(Store *store, const char *id, const char *name, const ServerSettings *settings,
                            GError **error)
{
    if (!check_settings(id, name, settings, error))
        return FALSE;
    if (!settings->has_minimum && !settings->has_weight)
        return forget_settings(store, id, error);
    g_autoptr(sqlite3_stmt) statement = database_prepare(
        store->db,
        "INSERT OR REPLACE INTO server_settings (id, name, minimum_bytes, weight) VALUES (?, ?, ?, ?)",
        error);
    if (!statement)
        return FALSE;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
    /* What is not bound is NULL. */
    if (settings->has_minimum)
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)settings->minimum_bytes);
    if (settings->has_weight)
        sqlite3_bind_int64(statement, 4, settings->weight);
    return finish(store, statement, error);
}

char *store_get_mode(Store *store, GError **error)
{
    g_autoptr(sqlite3_stmt) statement =
        database_prepare(store->db, "SELECT value FROM daemon_settings WHERE key = 'mode'", error);
    if (!statement)
        return NULL;
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        return g_strdup((const char *)sqlite3_column_text(statement, 0));
    if (step != SQLITE_DONE)
        database_fail(store->db, error);
    return NULL;
}

gboolean store_set_mode(Store *store, const char *mode, GError **error)
{
    if (g_strcmp0(mode, "observe") != 0 && g_strcmp0(mode, "manage") != 0) {
        g_autofree char *quoted = error_printable(mode ? mode : "", -1, 60);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "mode \"%s\" is not known; give observe or manage", quoted);
        return FALSE;
    }
    g_autoptr(sqlite3_stmt) statement = database_prepare(
        store->db, "INSERT OR REPLACE INTO daemon_settings (key, value) VALUES ('mode', ?)", error);
    if (!statement)
        return FALSE;
    sqlite3_bind_text(statement, 1, mode, -1, SQLITE_STATIC);
    return finish(store, statement, error);
}
