/* Who are you: logging in and out. */
#include "base/error.h"
#include "base/json.h"
#include "control/login.h"
#include "control/method.h"

#define USER_MAX_BYTES 256

static void audit_failure(Pending *pending, const char *user, const GError *error)
{
    AuditEntry entry = call_audit(&pending->call, user, NULL, NULL);
    g_autofree char *who = error_printable(user, -1, 64);
    entry.who = who;
    entry.result = error->message;
    store_audit_later(pending->call.store, &entry);
}

static json_t *begin_session(Pending *pending, const char *user, GError **error)
{
    Store *store = pending->call.store;
    g_autoptr(Account) account = store_account(store, user, error);
    if (!account)
        return NULL;
    char *session = secret_new("");
    guint8 digest[DIGEST_BYTES];
    secret_digest(session, digest);
    AuditEntry audit = call_audit(&pending->call, account->name, NULL, NULL);
    audit.who = account->name;
    json_t *result = NULL;
    if (store_session_add(store, account->name, digest, g_get_real_time(), &audit, error))
        result = json_pack("{s:s, s:s, s:s, s:I}", "session", session, "user", account->name, "role",
                           role_name(account->role), "expires_in_us", (json_int_t)SESSION_LIFE_US);
    secret_free(session);
    return result;
}

static void on_checked(const GError *wrong, gpointer user_data)
{
    Pending *pending = user_data;
    const char *user = json_string_value(json_object_get(pending->call.params, "user"));
    g_autoptr(GError) error = NULL;
    json_t *result = NULL;
    if (wrong) {
        error = g_error_copy(wrong);
        audit_failure(pending, user, error);
    } else {
        result = begin_session(pending, user, &error);
    }
    pending_finish(pending, result, error);
}

static json_t *method_login(Call *call, GError **error)
{
    const char *user = NULL, *password = NULL;
    if (!call_needs_store(call, error) || !call_text(call, "user", TRUE, USER_MAX_BYTES, &user, error) ||
        !call_text(call, "password", TRUE, PASSWORD_MAX_BYTES, &password, error))
        return NULL;
    g_autofree char *source = caller_source(call->request);
    Pending *pending = call_defer(call);
    g_autoptr(GError) refusal = NULL;
    if (!login_check(call->context->login, user, password, source, on_checked, pending, &refusal))
        pending_finish(pending, NULL, refusal);
    return NULL;
}

static json_t *method_logout(Call *call, GError **error)
{
    if (!g_str_equal(call->caller->via, "session")) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "there is no session to end; a token is revoked with token_revoke");
        return NULL;
    }
    AuditEntry audit = call_audit(call, call->caller->account, NULL, NULL);
    if (!store_session_end(call->store, call->caller->digest, &audit, error))
        return NULL;
    return json_pack("{s:b}", "logged_out", 1);
}

static json_t *method_whoami(Call *call, GError **error)
{
    return json_pack("{s:s, s:s, s:s}", "user", call->caller->who, "role", role_name(call->caller->role),
                     "via", call->caller->via);
}

static const MethodRow ROWS[] = {
    {"login", method_login, ACCESS_ANYONE, FALSE},
    {"logout", method_logout, ACCESS_ACCOUNT, FALSE},
    {"whoami", method_whoami, ACCESS_ACCOUNT, FALSE},
};
const MethodTable methods_login = {ROWS, G_N_ELEMENTS(ROWS)};
