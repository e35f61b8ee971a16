#include "store/store_private.h"

#define LIMIT_DEFAULT 100

static char *text_or_null(const char *text)
{
    return text ? g_utf8_make_valid(text, -1) : NULL;
}

gboolean audit_insert(sqlite3 *db, const AuditEntry *entry, GError **error)
{
    /* A name in a refused request may be anything, and must not lose the entry. */
    g_autofree char *name = text_or_null(entry->name), *result = text_or_null(entry->result);
    return database_exec(
        db, error,
        "INSERT INTO audit (time_us, who, source, action, name, server_id, before, after, result) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "itttttttt", (int64_t)g_get_real_time(), entry->who, entry->from, entry->action, name,
        entry->server_id, entry->before, entry->after, result ? result : "done");
}

static gboolean write_nothing(Store *store, gpointer data, GError **error)
{
    return TRUE;
}

gboolean store_audit(Store *store, const AuditEntry *entry, GError **error)
{
    return store_change(store, write_nothing, NULL, entry, error);
}

/* An AuditEntry that owns its texts. */
static AuditEntry *entry_copy(const AuditEntry *entry)
{
    AuditEntry *copy = g_new(AuditEntry, 1);
    *copy = (AuditEntry){g_strdup(entry->who),   g_strdup(entry->from),      g_strdup(entry->action),
                         g_strdup(entry->name),  g_strdup(entry->server_id), g_strdup(entry->before),
                         g_strdup(entry->after), g_strdup(entry->result)};
    return copy;
}

static void entry_free(gpointer data)
{
    AuditEntry *entry = data;
    g_free((char *)entry->who);
    g_free((char *)entry->from);
    g_free((char *)entry->action);
    g_free((char *)entry->name);
    g_free((char *)entry->server_id);
    g_free((char *)entry->before);
    g_free((char *)entry->after);
    g_free((char *)entry->result);
    g_free(entry);
}

static gboolean insert_later(sqlite3 *db, gpointer data, GError **error)
{
    return db && audit_insert(db, data, error);
}

void store_audit_later(Store *store, const AuditEntry *entry)
{
    worker_do(store->worker, TRUE, insert_later, entry_copy(entry), entry_free);
}

void audit_row_free(AuditRow *row)
{
    g_free(row->who);
    g_free(row->from);
    g_free(row->action);
    g_free(row->name);
    g_free(row->server_id);
    g_free(row->before);
    g_free(row->after);
    g_free(row->result);
    g_free(row);
}

static AuditRow *take_row(sqlite3_stmt *statement)
{
    AuditRow *row = g_new0(AuditRow, 1);
    row->id = sqlite3_column_int64(statement, 0);
    row->time_us = sqlite3_column_int64(statement, 1);
    row->who = database_text(statement, 2);
    row->from = database_text(statement, 3);
    row->action = database_text(statement, 4);
    row->name = database_text(statement, 5);
    row->server_id = database_text(statement, 6);
    row->before = database_text(statement, 7);
    row->after = database_text(statement, 8);
    row->result = database_text(statement, 9);
    return row;
}

GPtrArray *store_audit_read(Store *store, const AuditQuery *query, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(sqlite3_stmt) statement = database_query(
        store->db, error,
        "SELECT a.id, a.time_us, a.who, a.source, a.action, a.name, a.server_id, a.before, a.after, a.result"
        " FROM audit AS a LEFT JOIN ownership AS o ON o.server_id = a.server_id"
        " WHERE (?1 = 0 OR a.id < ?1) AND (?2 IS NULL OR a.name = ?2) AND (?3 IS NULL OR a.server_id = ?3)"
        "   AND (?4 IS NULL OR (o.account = ?4 AND a.time_us >= o.since_us AND a.action <> 'own'))"
        " ORDER BY a.id DESC LIMIT ?5",
        "ittti", query->before, query->name, query->server_id, query->owner,
        (int64_t)(query->limit ? query->limit : LIMIT_DEFAULT));
    if (!statement)
        return NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)audit_row_free);
    while (database_step(store->db, statement, &problem))
        g_ptr_array_add(rows, take_row(statement));
    if (!problem)
        return g_steal_pointer(&rows);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}
