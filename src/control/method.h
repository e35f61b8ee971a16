/*
 * Method: what a control method is made of. Each file methods_TOPIC.c has one table of them; methods.c finds the row, asks
 * who may, and calls. A row without an access rule is never called, and a test finds it.
 */
#pragma once
#include "control/caller.h"
#include "control/methods.h"

typedef enum {
    ACCESS_UNSET,   /* nobody */
    ACCESS_ANYONE,  /* also who has not logged in */
    ACCESS_ACCOUNT, /* operators and owners; the method itself leaves out what is not the caller's */
    ACCESS_SERVER, /* operators, and the owner of the server that params' `name` names: it is in call->server */
    ACCESS_SERVER_OR_ALL, /* the same, and `name` may be missing: then call->server is NULL, and as ACCESS_ACCOUNT */
    ACCESS_OPERATOR,        /* operators */
    ACCESS_OPERATOR_SERVER, /* operators, with the server that `name` names in call->server */
} Access;

typedef struct {
    MethodsContext *context;
    Engine *engine;
    Store *store; /* (nullable) unit tests do without */
    const ControlCaller *caller;
    json_t *params;
    Tracked *server;         /* see Access */
    ControlRequest *request; /* for control_request_defer(); everything here is borrowed for the call only */
    const struct MethodRow *row;
} Call;

/* (transfer full) the result; NULL with an error, or without one when the answer was deferred. */
typedef json_t *(*Method)(Call *call, GError **error);

typedef struct MethodRow {
    const char *name;
    Method method;
    Access access;
    gboolean
        changes; /* it changes something: what is refused is written into the audit. What is done, the method itself
                         hands to the store with call_audit(), so that both are one transaction. */
} MethodRow;

typedef struct {
    const MethodRow *rows;
    guint n;
} MethodTable;

/* One per file; methods.c lists them. */
extern const MethodTable methods_host, methods_server, methods_reservation, methods_record, methods_doctor,
    methods_operation, methods_reinstall, methods_login, methods_account, methods_token, methods_history;
/* All of them, for tests. */
extern const MethodTable *const METHOD_TABLES[];
extern const guint N_METHOD_TABLES;

/* call_audit: an entry for what this call is about to do; @name, @before, @after: (nullable), borrowed. */
AuditEntry call_audit(const Call *call, const char *name, const char *before, const char *after);

/* call_defer: the answer comes later: a copy of the call (with neither server nor request), and where the answer goes. The
 * method returns NULL without error, and pending_finish() is called once. */
typedef struct {
    Call call;
    ControlCaller caller;
    ControlReply *reply;
} Pending;
Pending *call_defer(Call *call);
/* @pending, @result: (transfer full); @result NULL: @error says why, and a refused change is written into the audit. */
void pending_finish(Pending *pending, json_t *result, const GError *error);

/* call_find: a server of this name that the caller may see. NULL with AEROSTAT_ERROR_NOT_FOUND, in the same words whether
 * there is none or it is somebody else's. */
Tracked *call_find(const Call *call, const char *name, GError **error);
gboolean call_may_see(const Call *call, const Tracked *tracked);

/* call_text: a member that must be a string of at most @max bytes of one line; @required or not (then *ret is NULL). */
gboolean call_text(const Call *call, const char *name, gboolean required, gsize max, const char **ret,
                   GError **error);

/* call_needs_store: FALSE with AEROSTAT_ERROR_UNAVAILABLE when there is none. */
gboolean call_needs_store(const Call *call, GError **error);
/* call_needs_operator: for a parameter that is not for owners; @what: "weight". AEROSTAT_ERROR_FORBIDDEN. */
gboolean call_needs_operator(const Call *call, const char *what, GError **error);
/* call_may_change_more: one more change that is written to disk while all wait, and kept: who makes them without end, in a program
 * gone wrong, is stopped with AEROSTAT_ERROR_RATE_LIMITED, unless an operator. Not asked by what puts an end to that. */
gboolean call_may_change_more(const Call *call, GError **error);
/* call_is_operator: who is not does not hear what others' servers are called. */
gboolean call_is_operator(const Call *call);
