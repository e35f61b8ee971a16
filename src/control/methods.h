/* Methods: what each control method does, and the JSON of hosts, servers and decisions; docs/control.md has the words. */
#pragma once
#include "control/server.h"
#include "engine/engine.h"
#include "store/operations.h"

/* What the methods work on; all borrowed. */
typedef struct {
    Engine *engine;            /* NULL until it stands */
    Store *store;              /* (nullable) */
    struct Login *login;       /* (nullable) login.h */
    struct Manage *manage;     /* (nullable) manage/manage.h */
    struct Refusals *refusals; /* (nullable: all are written) refusals.h */
    struct Refusals *changes;  /* (nullable: no limit) the same count of what owners have changed */
} MethodsContext;

/* methods_dispatch: a ControlDispatch; @user_data is a MethodsContext *. */
json_t *methods_dispatch(ControlRequest *request, gpointer user_data, GError **error);

/* methods_publish: sends the engine's events to the server's subscribers for as long as both live. A server event only
 * when any of its fields has changed. Free with methods_publisher_free() before either. */
typedef struct MethodsPublisher MethodsPublisher;
MethodsPublisher *methods_publisher_new(Engine *engine, ControlServer *server);
void methods_publisher_free(MethodsPublisher *publisher);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MethodsPublisher, methods_publisher_free)

json_t *json_of_operation(const Operation *operation);
json_t *json_of_host(Engine *engine);
json_t *json_of_server(Engine *engine, const Tracked *tracked);
/* methods_publish_operations: the same for operations; NULL for @server ends it. */
void methods_publish_operations(struct Manage *manage, ControlServer *server);

/* @names: FALSE leaves out what other servers are called. */
json_t *json_of_decision(const JournalEntry *entry, gboolean names);
