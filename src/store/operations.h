/* Operations: what was begun with a server and how far it came, written before each step, so that a daemon that was
 * killed finishes it or takes it back. The steps are their owner's; nothing here knows one. */
#pragma once
#include "store/audit.h"

typedef struct {
    int64_t id;                     /* set by store_operation_add() */
    char *kind, *name;              /* "restart"; the server's name */
    char *server_id;                /* (nullable) */
    char *state;                    /* "running", "done", "failed" */
    char *step, *text;              /* a word for machines, one sentence for people */
    guint progress_permille;        /* 0 to 1000 */
    char *error;                    /* (nullable) */
    char *who, *from;               /* as in the audit */
    int64_t started_us, changed_us; /* Unix time; both kept by the store */
    char *data;                     /* (nullable) its owner's own JSON, for going on after a restart */
} Operation;

Operation *operation_copy(const Operation *operation);
void operation_free(Operation *operation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Operation, operation_free)

/* Durable when they return. store_operation_add() sets @operation's id and times. */
gboolean store_operation_add(Store *store, Operation *operation, const AuditEntry *audit, GError **error);
/* AEROSTAT_ERROR_NOT_FOUND when there is no such id. kind, name, who, from and started_us stay as they were. */
gboolean store_operation_update(Store *store, Operation *operation, const AuditEntry *audit, GError **error);
/* (transfer full) NULL with AEROSTAT_ERROR_NOT_FOUND. */
Operation *store_operation(Store *store, int64_t id, GError **error);

/* Which operations. */
typedef struct {
    const char *name;      /* (nullable) of this server */
    const char *account;   /* (nullable) of servers that this account owns */
    const char *kinds;     /* (nullable) of these kinds, a space between them */
    gboolean running_only; /* what a new daemon has to take up */
    guint limit;
} OperationQuery;
/* Newest first. (element-type Operation) (transfer full) */
GPtrArray *store_operations(Store *store, const OperationQuery *query, GError **error);
/* Whether its kind is one of @kinds, a space between them. */
gboolean operation_is_of(const Operation *operation, const char *kinds);
