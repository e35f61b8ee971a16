/* Audit: who did what, from where, and what it was before and after; changes and refusals alike. Never deleted. */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct Store Store;

/* What is to be written; all borrowed for the call. A change and its entry are one transaction: every function of the
 * store that changes something takes one (nullable: then nothing is written down). */
typedef struct {
    const char *who;       /* "alice", "root@local" */
    const char *from;      /* "local", "web 192.0.2.7" */
    const char *action;    /* the method: "set", "user_add", "power" */
    const char *name;      /* (nullable) what it was done to: a server, an account */
    const char *server_id; /* (nullable) the server's id, which outlives its name */
    const char *before;    /* (nullable) JSON */
    const char *after;     /* (nullable) JSON */
    const char *result;    /* (nullable: "done") or why it was refused */
} AuditEntry;

typedef struct {
    int64_t id;
    int64_t time_us; /* Unix time */
    char *who, *from, *action;
    char *name, *server_id, *before, *after; /* (nullable) */
    char *result;
} AuditRow;

void audit_row_free(AuditRow *row);

/* store_audit: one entry by itself, for what was refused. Durable when it returns; see store_audit_later(). */
gboolean store_audit(Store *store, const AuditEntry *entry, GError **error);

/* store_audit_later: the same on the store's worker: returns at once, and is lost if the daemon is killed right then. For
 * what a stranger can cause as often as he likes. */
void store_audit_later(Store *store, const AuditEntry *entry);

typedef struct {
    guint limit;           /* at most so many; 0: 100 */
    int64_t before;        /* only ids below it; 0: the newest */
    const char *name;      /* (nullable) only about this name */
    const char *server_id; /* (nullable) only about this server */
    /* (nullable) only about servers this account owns, since it owns them; not whose they were before */
    const char *owner;
} AuditQuery;

/* store_audit_read: newest first. (element-type AuditRow) (transfer full) */
GPtrArray *store_audit_read(Store *store, const AuditQuery *query, GError **error);
