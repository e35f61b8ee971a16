#include "base/error.h"
#include "store/operations.h"
#include "store/store_private.h"

#define COLUMNS                                                                                              \
    "id, kind, name, server_id, state, step, text, progress_permille, error, who, source, started_us, "      \
    "changed_us, data"

Operation *operation_copy(const Operation *operation)
{
    Operation *copy = g_new(Operation, 1);
    *copy = *operation;
    copy->kind = g_strdup(operation->kind);
    copy->name = g_strdup(operation->name);
    copy->server_id = g_strdup(operation->server_id);
    copy->state = g_strdup(operation->state);
    copy->step = g_strdup(operation->step);
    copy->text = g_strdup(operation->text);
    copy->error = g_strdup(operation->error);
    copy->who = g_strdup(operation->who);
    copy->from = g_strdup(operation->from);
    copy->data = g_strdup(operation->data);
    return copy;
}

void operation_free(Operation *operation)
{
    if (!operation)
        return;
    g_free(operation->kind);
    g_free(operation->name);
    g_free(operation->server_id);
    g_free(operation->state);
    g_free(operation->step);
    g_free(operation->text);
    g_free(operation->error);
    g_free(operation->who);
    g_free(operation->from);
    g_free(operation->data);
    g_free(operation);
}

static gboolean insert_operation(Store *store, gpointer data, GError **error)
{
    Operation *operation = data;
    if (!database_exec(
            store->db, error,
            "INSERT INTO operations (kind, name, server_id, state, step, text, progress_permille, error,"
            " who, source, started_us, changed_us, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "ttttttitttiit", operation->kind, operation->name, operation->server_id, operation->state,
            operation->step, operation->text, (int64_t)operation->progress_permille, operation->error,
            operation->who, operation->from, operation->started_us, operation->changed_us, operation->data))
        return FALSE;
    operation->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

gboolean store_operation_add(Store *store, Operation *operation, const AuditEntry *audit, GError **error)
{
    operation->started_us = operation->changed_us = g_get_real_time();
    return store_change(store, insert_operation, operation, audit, error);
}

static gboolean update_operation(Store *store, gpointer data, GError **error)
{
    const Operation *operation = data;
    if (!database_exec(
            store->db, error,
            "UPDATE operations SET server_id = ?, state = ?, step = ?, text = ?, progress_permille = ?,"
            " error = ?, changed_us = ?, data = ? WHERE id = ?",
            "ttttititi", operation->server_id, operation->state, operation->step, operation->text,
            (int64_t)operation->progress_permille, operation->error, operation->changed_us, operation->data,
            operation->id))
        return FALSE;
    if (sqlite3_changes(store->db) > 0)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "there is no operation %" G_GINT64_FORMAT,
                operation->id);
    return FALSE;
}

gboolean store_operation_update(Store *store, Operation *operation, const AuditEntry *audit, GError **error)
{
    operation->changed_us = g_get_real_time();
    return store_change(store, update_operation, operation, audit, error);
}

static Operation *take_operation(sqlite3_stmt *row)
{
    Operation *operation = g_new0(Operation, 1);
    operation->id = sqlite3_column_int64(row, 0);
    operation->kind = database_text(row, 1);
    operation->name = database_text(row, 2);
    operation->server_id = database_text(row, 3);
    operation->state = database_text(row, 4);
    operation->step = database_text(row, 5);
    operation->text = database_text(row, 6);
    operation->progress_permille = (guint)sqlite3_column_int(row, 7);
    operation->error = database_text(row, 8);
    operation->who = database_text(row, 9);
    operation->from = database_text(row, 10);
    operation->started_us = sqlite3_column_int64(row, 11);
    operation->changed_us = sqlite3_column_int64(row, 12);
    operation->data = database_text(row, 13);
    return operation;
}

Operation *store_operation(Store *store, int64_t id, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row =
        database_query(store->db, error, "SELECT " COLUMNS " FROM operations WHERE id = ?", "i", id);
    if (!row)
        return NULL;
    if (database_step(store->db, row, &problem))
        return take_operation(row);
    if (problem)
        g_propagate_error(error, problem);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                    "there is no operation %" G_GINT64_FORMAT, id);
    return NULL;
}

gboolean operation_is_of(const Operation *operation, const char *kinds)
{
    g_auto(GStrv) words = g_strsplit(kinds, " ", -1);
    return g_strv_contains((const char *const *)words, operation->kind);
}

GPtrArray *store_operations(Store *store, const OperationQuery *query, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error,
        "SELECT " COLUMNS " FROM operations WHERE (?1 IS NULL OR name = ?1)"
        " AND (?2 = 0 OR state = 'running')"
        " AND (?3 IS NULL OR server_id IN (SELECT server_id FROM ownership WHERE account = ?3))"
        " AND (?4 IS NULL OR instr(' ' || ?4 || ' ', ' ' || kind || ' ') > 0)"
        " ORDER BY id DESC LIMIT ?5",
        "titti", query->name, (int64_t)query->running_only, query->account, query->kinds,
        (int64_t)query->limit);
    if (!row)
        return NULL;
    g_autoptr(GPtrArray) operations = g_ptr_array_new_with_free_func((GDestroyNotify)operation_free);
    while (database_step(store->db, row, &problem))
        g_ptr_array_add(operations, take_operation(row));
    if (!problem)
        return g_steal_pointer(&operations);
    g_propagate_error(error, problem);
    return NULL;
}
