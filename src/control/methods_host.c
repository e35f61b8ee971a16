/* The host: how it is, its mode, its version, and who hears its events. */
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"

/* A session that ends, or an account that is removed, stops hearing events within this. */
#define RECHECK_US (INT64_C(5) * G_USEC_PER_SEC)

static json_t *method_version(Call *call, GError **error)
{
    return json_pack("{s:s}", "version", AEROSTAT_VERSION);
}

/* An owner learns how the daemon is, and nothing of the others. */
static json_t *status_for_owner(const Call *call)
{
    g_autoptr(json_t) whole = json_of_host(call->engine);
    guint own = 0;
    for (guint i = 0; i < engine_servers(call->engine)->len; i++)
        own += call_may_see(call, engine_servers(call->engine)->pdata[i]) ? 1 : 0;
    return json_pack("{s:O, s:O, s:O, s:I}", "version", json_object_get(whole, "version"), "mode",
                     json_object_get(whole, "mode"), "state", json_object_get(whole, "state"), "servers",
                     (json_int_t)own);
}

static json_t *method_status(Call *call, GError **error)
{
    return call_is_operator(call) ? json_of_host(call->engine) : status_for_owner(call);
}

static gboolean change_mode(Call *call, const char *wanted, const char *before, GError **error)
{
    gboolean manage = g_str_equal(wanted, "manage");
    if (!manage && !g_str_equal(wanted, "observe")) {
        g_autofree char *shown = error_printable(wanted, -1, 40);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "mode \"%s\" is not known; use observe or manage", shown);
        return FALSE;
    }
    g_autofree char *was = g_strdup_printf("{\"mode\":\"%s\"}", before);
    g_autofree char *is = g_strdup_printf("{\"mode\":\"%s\"}", wanted);
    AuditEntry audit = call_audit(call, NULL, was, is);
    return engine_set_mode(call->engine, manage ? MODE_MANAGE : MODE_OBSERVE, &audit, error);
}

static json_t *method_mode(Call *call, GError **error)
{
    const char *wanted = NULL;
    const char *before = engine_host(call->engine)->mode == MODE_MANAGE ? "manage" : "observe";
    if (!json_member_string(call->params, "mode", FALSE, &wanted, error) && *error)
        return NULL;
    if (wanted && !change_mode(call, wanted, before, error))
        return NULL;
    return json_pack("{s:s, s:s}", "mode", wanted ? wanted : before, "before", before);
}

/* ---- events */

typedef struct {
    Store *store; /* (nullable) */
    ControlCaller caller;
    int64_t checked_us;
    gboolean ended;
} Hearer;

static void hearer_free(gpointer data)
{
    Hearer *hearer = data;
    caller_clear(&hearer->caller);
    g_free(hearer);
}

/* Its session or token may have ended since, and its role may be another. */
static void check_hearer(Hearer *hearer)
{
    int64_t now_us = g_get_monotonic_time();
    if (!hearer->caller.has_digest || now_us - hearer->checked_us < RECHECK_US)
        return;
    hearer->checked_us = now_us;
    gboolean session = strcmp(hearer->caller.via, "session") == 0;
    g_autoptr(Account) account =
        session ? store_session_account(hearer->store, hearer->caller.digest, g_get_real_time(), NULL)
                : store_token_account(hearer->store, hearer->caller.digest, g_get_real_time(), NULL);
    hearer->ended = account == NULL;
    if (account)
        hearer->caller.role = account->role;
}

static Hearing hears(const char *type, const char *server_id, gpointer user_data)
{
    Hearer *hearer = user_data;
    check_hearer(hearer);
    if (hearer->ended || !caller_may_see(&hearer->caller, hearer->store, server_id))
        return HEARS_NOTHING;
    return hearer->caller.role == ROLE_OPERATOR ? HEARS_ALL : HEARS_RESTRICTED;
}

static json_t *method_events(Call *call, GError **error)
{
    Hearer *hearer = g_new0(Hearer, 1);
    hearer->store = call->store;
    hearer->caller = *call->caller;
    hearer->caller.account = g_strdup(call->caller->account);
    hearer->caller.who = g_strdup(call->caller->who);
    hearer->caller.from = g_strdup(call->caller->from);
    hearer->checked_us = g_get_monotonic_time();
    control_request_filter(call->request, hears, hearer, hearer_free);
    return json_pack("{s:b}", "subscribed", 1);
}

static const MethodRow ROWS[] = {
    {"version", method_version, ACCESS_ANYONE, FALSE},
    {"status", method_status, ACCESS_ACCOUNT, FALSE},
    {"mode", method_mode, ACCESS_OPERATOR, TRUE},
    {"events", method_events, ACCESS_ACCOUNT, FALSE},
};
const MethodTable methods_host = {ROWS, G_N_ELEMENTS(ROWS)};
