/* From a method's name to its function, and who may call it. */
#include "control/methods.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "control/refusals.h"

/* A new file of methods adds its table here. */
const MethodTable *const METHOD_TABLES[] = {
    &methods_host,    &methods_server,    &methods_reservation, &methods_record,
    &methods_doctor,  &methods_operation, &methods_reinstall,   &methods_login,
    &methods_account, &methods_token,     &methods_history,
};
const guint N_METHOD_TABLES = G_N_ELEMENTS(METHOD_TABLES);

static const MethodRow *find_row(const char *name)
{
    for (guint i = 0; i < N_METHOD_TABLES; i++)
        for (guint j = 0; j < METHOD_TABLES[i]->n; j++)
            if (g_str_equal(METHOD_TABLES[i]->rows[j].name, name))
                return &METHOD_TABLES[i]->rows[j];
    return NULL;
}

gboolean call_is_operator(const Call *call)
{
    return call->caller->role == ROLE_OPERATOR;
}

gboolean call_may_see(const Call *call, const Tracked *tracked)
{
    return caller_may_see(call->caller, call->store, tracked->latest->id);
}

Tracked *call_find(const Call *call, const char *name, GError **error)
{
    GPtrArray *servers = engine_servers(call->engine);
    for (guint i = 0; i < servers->len; i++) {
        Tracked *tracked = servers->pdata[i];
        if (g_str_equal(tracked->latest->name, name) && call_may_see(call, tracked))
            return tracked;
    }
    return engine_no_server(name, error);
}

gboolean call_needs_store(const Call *call, GError **error)
{
    if (call->store)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the daemon has no store to keep this in");
    return FALSE;
}

gboolean call_needs_operator(const Call *call, const char *what, GError **error)
{
    if (call_is_operator(call))
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FORBIDDEN,
                "%s is for operators; you are logged in as %s", what, call->caller->who);
    return FALSE;
}

AuditEntry call_audit(const Call *call, const char *name, const char *before, const char *after)
{
    return (AuditEntry){
        .who = call->caller->who,
        .from = call->caller->from,
        .action = call->row->name,
        .name = name,
        .server_id = call->server ? call->server->latest->id : NULL,
        .before = before,
        .after = after,
    };
}

static gboolean may_call(const Call *call, GError **error)
{
    Role role = call->caller->role;
    switch (call->row->access) {
    case ACCESS_ANYONE:
        return TRUE;
    case ACCESS_ACCOUNT:
    case ACCESS_SERVER:
    case ACCESS_SERVER_OR_ALL:
        if (role != ROLE_NONE)
            return TRUE;
        break;
    case ACCESS_OPERATOR:
    case ACCESS_OPERATOR_SERVER:
        if (role == ROLE_OPERATOR)
            return TRUE;
        break;
    case ACCESS_UNSET:
        break;
    }
    if (role != ROLE_NONE)
        return call_needs_operator(call, call->row->name, error);
    g_set_error(
        error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED,
        "%s needs a login or a token; on this host, root and members of the control group need neither",
        call->row->name);
    return FALSE;
}

static gboolean find_server(Call *call, GError **error)
{
    Access access = call->row->access;
    gboolean optional = access == ACCESS_SERVER_OR_ALL && json_object_get(call->params, "name");
    if (access != ACCESS_SERVER && access != ACCESS_OPERATOR_SERVER && !optional)
        return TRUE;
    const char *name = NULL;
    if (!json_member_string(call->params, "name", TRUE, &name, error))
        return FALSE;
    call->server = call_find(call, name, error);
    return call->server != NULL;
}

#define REFUSED_NAME_CHARS 80

static void audit_unwritten(Call *call, const char *result)
{
    AuditEntry entry = call_audit(call, NULL, NULL, NULL);
    entry.server_id = NULL; /* they were about any server */
    entry.result = result;
    store_audit_later(call->store, &entry);
}

/* Whether this one is written down; who is refused without end would otherwise fill the store. */
static gboolean is_written(Call *call)
{
    guint left = 0;
    RefusalFate fate = call->context->refusals ? refusals_take(call->context->refusals, call->caller->who,
                                                               g_get_monotonic_time(), &left)
                                               : REFUSAL_WRITE;
    if (left > 0) {
        g_autofree char *result = g_strdup_printf("%s: %u refusals before this were not recorded",
                                                  error_code_name(AEROSTAT_ERROR_RATE_LIMITED), left);
        audit_unwritten(call, result);
    }
    if (fate == REFUSAL_LAST) {
        g_autofree char *result = g_strdup_printf("%s: more refusals were not recorded",
                                                  error_code_name(AEROSTAT_ERROR_RATE_LIMITED));
        audit_unwritten(call, result);
    }
    return fate == REFUSAL_WRITE;
}

/* Refusals are written down, too; on the worker, since anybody can cause them. Who is nobody is left to the log in. */
static void audit_refusal(Call *call, const GError *error)
{
    if (!call->store || !call->row->changes || call->caller->role == ROLE_NONE || !is_written(call))
        return;
    const char *asked = json_string_value(json_object_get(call->params, "name"));
    /* Anything may have been asked for: what is kept of it is enough to know it by. */
    g_autofree char *name = asked ? error_printable(asked, -1, REFUSED_NAME_CHARS) : NULL;
    AuditEntry entry = call_audit(call, name, NULL, NULL);
    g_autofree char *result =
        g_strdup_printf("%s: %s", error_code_name((AerostatError)error->code), error->message);
    entry.result = result;
    store_audit_later(call->store, &entry);
}

Pending *call_defer(Call *call)
{
    Pending *pending = g_new0(Pending, 1);
    pending->reply = control_request_defer(call->request);
    pending->caller = *call->caller;
    pending->caller.account = g_strdup(call->caller->account);
    pending->caller.who = g_strdup(call->caller->who);
    pending->caller.from = g_strdup(call->caller->from);
    pending->call = *call;
    pending->call.caller = &pending->caller;
    pending->call.params = json_incref(call->params);
    pending->call.server = NULL;
    pending->call.request = NULL;
    return pending;
}

void pending_finish(Pending *pending, json_t *result, const GError *error)
{
    if (!result)
        audit_refusal(&pending->call, error);
    control_reply_finish(pending->reply, result, error);
    json_decref(pending->call.params);
    caller_clear(&pending->caller);
    g_free(pending);
}

gboolean call_text(const Call *call, const char *name, gboolean required, gsize max, const char **ret,
                   GError **error)
{
    GError *problem = NULL;
    *ret = NULL;
    if (!json_member_string(call->params, name, required, ret, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        return problem == NULL;
    }
    gboolean one_line = TRUE;
    for (const char *c = *ret; *c; c++)
        one_line = one_line && !g_ascii_iscntrl(*c);
    if (strlen(*ret) <= max && one_line)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s must be one line of at most %zu bytes",
                name, max);
    return FALSE;
}

gboolean call_may_change_more(const Call *call, GError **error)
{
    guint left;
    if (!call->context->changes || call_is_operator(call) ||
        refusals_take(call->context->changes, call->caller->account, g_get_monotonic_time(), &left) ==
            REFUSAL_WRITE)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_RATE_LIMITED,
                "more than %d changes in a minute; try again in a minute", REFUSALS_A_MINUTE);
    if (error)
        error_set_retry_after(*error, 60);
    return FALSE;
}

static json_t *run(Call *call, GError **error)
{
    g_autoptr(GError) problem = NULL;
    json_t *result = NULL;
    if (may_call(call, &problem) && find_server(call, &problem))
        result = call->row->method(call, &problem);
    if (problem) {
        audit_refusal(call, problem);
        g_propagate_error(error, g_steal_pointer(&problem));
    }
    return result;
}

json_t *methods_dispatch(ControlRequest *request, gpointer user_data, GError **error)
{
    MethodsContext *context = user_data;
    if (!context->engine) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "the daemon is just starting; try again");
        return NULL;
    }
    const MethodRow *row = find_row(request->method);
    if (!row)
        return NULL;
    g_auto(ControlCaller) caller = {0};
    if (!caller_identify(request, context->store, &caller, error))
        return NULL;
    Call call = {
        .context = context,
        .engine = context->engine,
        .store = context->store,
        .caller = &caller,
        .params = request->params,
        .request = request,
        .row = row,
    };
    /* What it returns holds nothing of the call. */
    // cppcheck-suppress returnDanglingLifetime
    return run(&call, error);
}
