#include "base/error.h"
#include "base/size.h"
#include "store/accounts.h"
#include "store/store_private.h"

#define FILE_NAME  "aerostat.db"
#define WEIGHT_MAX 10000

Store *store_open(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, FILE_NAME, NULL);
    sqlite3 *db = database_open(path, SCHEMA_STEPS, SCHEMA_N_STEPS, error);
    if (!db)
        return NULL;
    /* The worker moves the log into the file, which waits for the disk. */
    sqlite3_wal_autocheckpoint(db, 0);
    g_autoptr(Store) store = g_new0(Store, 1);
    store->db = db;
    store->owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    store->history = history_buffer_new();
    store->asks = g_hash_table_new(NULL, NULL);
    store->worker = worker_new(path);
    return store_load_owners(store, error) ? g_steal_pointer(&store) : NULL;
}

static gboolean flush_history(sqlite3 *db, gpointer history, GError **error)
{
    return db && history_buffer_flush(history, db, error);
}

void store_free(Store *store)
{
    if (!store)
        return;
    /* What has not been written yet is worth a try. */
    worker_do(store->worker, TRUE, flush_history, store->history, NULL);
    worker_free(store->worker);
    history_cancel_asks(store);
    g_hash_table_unref(store->asks);
    history_buffer_free(store->history);
    sqlite3_close_v2(store->db);
    g_hash_table_unref(store->owners);
    g_free(store);
}

char *store_problem(Store *store)
{
    return worker_problem(store->worker);
}

gboolean store_change(Store *store, StoreWrite write, gpointer data, const AuditEntry *audit, GError **error)
{
    if (!database_run(store->db, "BEGIN IMMEDIATE", error))
        return FALSE;
    GError *problem = NULL;
    gboolean done = write(store, data, &problem) && (!audit || audit_insert(store->db, audit, &problem)) &&
                    database_run(store->db, "COMMIT", &problem);
    if (done) {
        worker_note(store->worker, NULL);
        return TRUE;
    }
    /* What was refused for its own sake says nothing of the file. */
    int code = sqlite3_errcode(store->db) & 0xff;
    if (code == SQLITE_FULL || code == SQLITE_IOERR)
        worker_note(store->worker, problem);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    g_propagate_error(error, problem);
    return FALSE;
}

gboolean store_get_settings(Store *store, const char *id, ServerSettings *ret, GError **error)
{
    g_autoptr(sqlite3_stmt) statement = database_prepare(
        store->db,
        "SELECT minimum_bytes, weight, ballooning_wanted, revision FROM server_settings WHERE id = ?", error);
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
    ret->ballooning_disabled = sqlite3_column_int(statement, 2) == 0;
    ret->revision = (uint64_t)sqlite3_column_int64(statement, 3);
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

typedef struct {
    const char *id, *name;
    ServerSettings *settings;
} SettingsWrite;

/* The row stays when nothing is set any more: its revision must not begin anew. */
static gboolean write_settings(Store *store, gpointer data, GError **error)
{
    const SettingsWrite *write = data;
    ServerSettings *settings = write->settings, before = {0};
    if (!store_get_settings(store, write->id, &before, error))
        return FALSE;
    settings->revision = before.revision + 1;
    g_autoptr(sqlite3_stmt) statement = database_query(
        store->db, error,
        "INSERT OR REPLACE INTO server_settings"
        " (id, name, ballooning_wanted, revision, minimum_bytes, weight) VALUES (?, ?, ?, ?, ?, ?)",
        "ttii", write->id, write->name, (int64_t)!settings->ballooning_disabled, (int64_t)settings->revision);
    if (!statement)
        return FALSE;
    /* What is not bound is NULL. */
    if (settings->has_minimum)
        sqlite3_bind_int64(statement, 5, (sqlite3_int64)settings->minimum_bytes);
    if (settings->has_weight)
        sqlite3_bind_int64(statement, 6, settings->weight);
    return sqlite3_step(statement) == SQLITE_DONE || database_fail(store->db, error);
}

gboolean store_set_settings(Store *store, const char *id, const char *name, ServerSettings *settings,
                            const AuditEntry *audit, GError **error)
{
    SettingsWrite write = {id, name, settings};
    return check_settings(id, name, settings, error) &&
           store_change(store, write_settings, &write, audit, error);
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

static gboolean write_mode(Store *store, gpointer mode, GError **error)
{
    return database_exec(store->db, error,
                         "INSERT OR REPLACE INTO daemon_settings (key, value) VALUES ('mode', ?)", "t", mode);
}

gboolean store_set_mode(Store *store, const char *mode, const AuditEntry *audit, GError **error)
{
    if (g_strcmp0(mode, "observe") != 0 && g_strcmp0(mode, "manage") != 0) {
        g_autofree char *quoted = error_printable(mode ? mode : "", -1, 60);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "mode \"%s\" is not known; give observe or manage", quoted);
        return FALSE;
    }
    return store_change(store, write_mode, (gpointer)mode, audit, error);
}
