/* The store's inside, shared by its files: the connections, and how a change is made whole. */
#pragma once
#include "store/database.h"
#include "store/history_private.h"
#include "store/store.h"
#include "store/worker.h"

struct Store {
    sqlite3 *db; /* the engine thread's */
    Worker *worker;
    GHashTable *owners;     /* server id -> account */
    HistoryBuffer *history; /* the worker's, but for its life */
    GHashTable *asks;       /* of HistoryAsk: questions that have not been answered */
};

/* In a transaction that store_change() has begun. */
typedef gboolean (*StoreWrite)(Store *store, gpointer data, GError **error);

/* store_change: @write and the entry of @audit (nullable), both or neither; durable when it returns. */
gboolean store_change(Store *store, StoreWrite write, gpointer data, const AuditEntry *audit, GError **error);

/* audit_insert: within a transaction, on any connection. */
gboolean audit_insert(sqlite3 *db, const AuditEntry *entry, GError **error);

/* schema.c */
extern const Migration SCHEMA_STEPS[];
extern const guint SCHEMA_N_STEPS;

/* accounts.c: fills store->owners. */
gboolean store_load_owners(Store *store, GError **error);
