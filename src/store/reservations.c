#include "store/reservations.h"
#include "store/store_private.h"

void stored_reservation_free(StoredReservation *reservation)
{
    g_free(reservation->for_name);
    g_free(reservation);
}

static gboolean insert_reservation(Store *store, gpointer data, GError **error)
{
    StoredReservation *made = data;
    if (!database_exec(store->db, error,
                       "INSERT INTO reservations (for_name, bytes, expires_us) VALUES (?, ?, ?)", "tii",
                       made->for_name, (int64_t)made->bytes, made->expires_us))
        return FALSE;
    made->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

int64_t store_reservation_add(Store *store, const char *for_name, uint64_t bytes, int64_t expires_us,
                              const AuditEntry *audit, GError **error)
{
    StoredReservation made = {.for_name = (char *)for_name, .bytes = bytes, .expires_us = expires_us};
    return store_change(store, insert_reservation, &made, audit, error) ? made.id : 0;
}

static gboolean update_reservation(Store *store, gpointer data, GError **error)
{
    const StoredReservation *changed = data;
    return database_exec(store->db, error, "UPDATE reservations SET bytes = ?, expires_us = ? WHERE id = ?",
                         "iii", (int64_t)changed->bytes, changed->expires_us, changed->id);
}

gboolean store_reservation_change(Store *store, int64_t id, uint64_t bytes, int64_t expires_us,
                                  const AuditEntry *audit, GError **error)
{
    StoredReservation changed = {.id = id, .bytes = bytes, .expires_us = expires_us};
    return store_change(store, update_reservation, &changed, audit, error);
}

static gboolean delete_reservation(Store *store, gpointer data, GError **error)
{
    return database_exec(store->db, error, "DELETE FROM reservations WHERE id = ?", "i", *(int64_t *)data);
}

gboolean store_reservation_remove(Store *store, int64_t id, const AuditEntry *audit, GError **error)
{
    return store_change(store, delete_reservation, &id, audit, error);
}

static gboolean delete_later(sqlite3 *db, gpointer data, GError **error)
{
    return db && database_exec(db, error, "DELETE FROM reservations WHERE id = ?", "i", *(int64_t *)data);
}

void store_reservation_remove_later(Store *store, int64_t id)
{
    worker_do(store->worker, TRUE, delete_later, g_memdup2(&id, sizeof id), g_free);
}

GPtrArray *store_reservations(Store *store, int64_t now_us, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error,
        "SELECT id, for_name, bytes, expires_us FROM reservations WHERE expires_us > ? ORDER BY id", "i",
        now_us);
    if (!row)
        return NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)stored_reservation_free);
    while (database_step(store->db, row, &problem)) {
        StoredReservation *reservation = g_new0(StoredReservation, 1);
        reservation->id = sqlite3_column_int64(row, 0);
        reservation->for_name = database_text(row, 1);
        reservation->bytes = (uint64_t)sqlite3_column_int64(row, 2);
        reservation->expires_us = sqlite3_column_int64(row, 3);
        g_ptr_array_add(found, reservation);
    }
    if (!problem)
        return g_steal_pointer(&found);
    g_propagate_error(error, problem);
    return NULL;
}
