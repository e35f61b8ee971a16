/* Accounts, and whose each server is. */
#include "base/error.h"
#include "base/json.h"
#include "control/login.h"
#include "control/method.h"
#include "store/tokens.h"

#define NAME_MAX_BYTES 256

static char *role_text(Role role)
{
    return g_strdup_printf("{\"role\":\"%s\"}", role_name(role));
}

static gboolean read_role(const Call *call, Role *ret, GError **error)
{
    const char *name = NULL;
    if (!call_text(call, "role", TRUE, NAME_MAX_BYTES, &name, error))
        return FALSE;
    *ret = role_from_name(name);
    if (*ret != ROLE_NONE)
        return TRUE;
    g_autofree char *shown = error_printable(name, -1, 40);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "role \"%s\" is not known; give operator or owner", shown);
    return FALSE;
}

/* Not by call_text(): password_check() says more of what would be right. */
static gboolean read_password(const Call *call, const char **ret, GError **error)
{
    return json_member_string(call->params, "password", TRUE, ret, error) && password_check(*ret, error);
}

static json_t *json_of_account(const Account *account)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:i}", "name", account->name, "role", role_name(account->role),
                     "created_unix_us", (json_int_t)account->created_us, "password_unix_us",
                     (json_int_t)account->password_us, "servers", (int)account->servers);
}

static json_t *account_now(const Call *call, const char *name, GError **error)
{
    g_autoptr(Account) account = store_account(call->store, name, error);
    return account ? json_of_account(account) : NULL;
}

static void on_new_hash(const char *hash, const GError *problem, gpointer user_data)
{
    Pending *pending = user_data;
    const Call *call = &pending->call;
    g_autoptr(GError) error = problem ? g_error_copy(problem) : NULL;
    const char *name = json_string_value(json_object_get(call->params, "name"));
    Role role = role_from_name(json_string_value(json_object_get(call->params, "role")));
    g_autofree char *after = role_text(role);
    AuditEntry audit = call_audit(call, name, NULL, after);
    json_t *result = NULL;
    if (hash && store_account_add(call->store, name, role, hash, &audit, &error))
        result = account_now(call, name, &error);
    pending_finish(pending, result, error);
}

static json_t *method_user_add(Call *call, GError **error)
{
    const char *name = NULL, *password = NULL;
    Role role = ROLE_NONE;
    if (!call_needs_store(call, error) || !call_text(call, "name", TRUE, NAME_MAX_BYTES, &name, error) ||
        !account_name_check(name, error) || !read_role(call, &role, error) ||
        !read_password(call, &password, error))
        return NULL;
    login_hash(call->context->login, password, on_new_hash, call_defer(call));
    return NULL;
}

static json_t *method_user_list(Call *call, GError **error)
{
    if (!call_needs_store(call, error))
        return NULL;
    g_autoptr(GPtrArray) accounts = store_accounts(call->store, error);
    if (!accounts)
        return NULL;
    json_t *users = json_array();
    for (guint i = 0; i < accounts->len; i++)
        json_array_append_new(users, json_of_account(accounts->pdata[i]));
    return json_pack("{s:o}", "users", users);
}

static json_t *method_user_remove(Call *call, GError **error)
{
    const char *name = NULL;
    if (!call_needs_store(call, error) || !call_text(call, "name", TRUE, NAME_MAX_BYTES, &name, error))
        return NULL;
    g_autoptr(Account) account = store_account(call->store, name, error);
    if (!account)
        return NULL;
    g_autofree char *before = role_text(account->role);
    AuditEntry audit = call_audit(call, account->name, before, NULL);
    if (!store_account_remove(call->store, account->name, &audit, error))
        return NULL;
    return json_pack("{s:s}", "removed", account->name);
}

/* ---- passwords: perhaps the old one is checked, then the new one is hashed, then it is kept. */

static const char *target_account(const Call *call)
{
    const char *name = json_string_value(json_object_get(call->params, "name"));
    return name ? name : call->caller->account;
}

/* The account, and how many tokens still stand for it: a new password alone does not end them. */
static json_t *account_with_tokens(const Call *call, const char *name, GError **error)
{
    guint tokens = 0;
    if (!store_token_count(call->store, name, g_get_real_time(), &tokens, error))
        return NULL;
    json_t *account = account_now(call, name, error);
    if (account)
        json_object_set_new(account, "tokens", json_integer(tokens));
    return account;
}

static void on_next_hash(const char *hash, const GError *problem, gpointer user_data)
{
    Pending *pending = user_data;
    const Call *call = &pending->call;
    g_autoptr(GError) error = problem ? g_error_copy(problem) : NULL;
    const char *name = target_account(call);
    gboolean own = call->caller->account && g_ascii_strcasecmp(call->caller->account, name) == 0;
    const guint8 *keep = own && g_str_equal(call->caller->via, "session") ? call->caller->digest : NULL;
    gboolean revoke = json_is_true(json_object_get(call->params, "revoke_tokens"));
    AuditEntry audit = call_audit(call, name, NULL, revoke ? "{\"revoke_tokens\":true}" : NULL);
    json_t *result = NULL;
    if (hash && store_account_set_password(call->store, name, hash, keep, revoke, &audit, &error))
        result = account_with_tokens(call, name, &error);
    pending_finish(pending, result, error);
}

static void hash_next(Pending *pending)
{
    const char *password = json_string_value(json_object_get(pending->call.params, "password"));
    login_hash(pending->call.context->login, password, on_next_hash, pending);
}

static void on_current(const GError *wrong, gpointer user_data)
{
    Pending *pending = user_data;
    if (!wrong) {
        hash_next(pending);
        return;
    }
    g_autoptr(GError) error = g_error_copy(wrong);
    g_free(error->message);
    error->code = AEROSTAT_ERROR_FORBIDDEN; /* the session is fine, and must not be thrown away for this */
    error->message = g_strdup("the current password is wrong");
    pending_finish(pending, NULL, error);
}

/* Whoever changes his own shows the old one: a session left open is not enough to take the account over. */
static gboolean needs_current(const Call *call, const char *name)
{
    return call->caller->account && g_ascii_strcasecmp(call->caller->account, name) == 0;
}

static gboolean read_revoke(const Call *call, GError **error)
{
    GError *problem = NULL;
    gboolean revoke = FALSE;
    json_member_bool(call->params, "revoke_tokens", FALSE, &revoke, &problem);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

static json_t *method_user_password(Call *call, GError **error)
{
    const char *name = NULL, *password = NULL, *current = NULL;
    if (!call_needs_store(call, error) || !call_text(call, "name", FALSE, NAME_MAX_BYTES, &name, error) ||
        !read_password(call, &password, error) ||
        !call_text(call, "current", FALSE, PASSWORD_MAX_BYTES, &current, error) || !read_revoke(call, error))
        return NULL;
    name = target_account(call);
    if (!name) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "whose password? give the name of an account");
        return NULL;
    }
    gboolean own = needs_current(call, name);
    if (!own && !call_needs_operator(call, "another account's password", error))
        return NULL;
    if (own && !current) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "give the current password, too");
        return NULL;
    }
    g_autofree char *source = caller_source(call->request);
    Pending *pending = call_defer(call);
    g_autoptr(GError) refusal = NULL;
    if (!own)
        hash_next(pending);
    else if (!login_check(call->context->login, name, current, source, on_current, pending, &refusal))
        pending_finish(pending, NULL, refusal);
    return NULL;
}

/* ---- ownership */

static char *owner_text(const char *account)
{
    return account ? g_strdup_printf("{\"owner\":\"%s\"}", account) : g_strdup("{\"owner\":null}");
}

static json_t *method_own(Call *call, GError **error)
{
    const BackendServer *server = call->server->latest;
    const char *user = NULL;
    json_t *member = json_object_get(call->params, "user");
    if (!call_needs_store(call, error))
        return NULL;
    if (!json_is_null(member) && !call_text(call, "user", TRUE, NAME_MAX_BYTES, &user, error))
        return NULL;
    g_autoptr(Account) account = user ? store_account(call->store, user, error) : NULL;
    if (user && !account)
        return NULL;
    g_autofree char *before = owner_text(store_owner(call->store, server->id));
    g_autofree char *after = owner_text(account ? account->name : NULL);
    AuditEntry audit = call_audit(call, server->name, before, after);
    if (!store_own(call->store, server->id, server->name, account ? account->name : NULL, &audit, error))
        return NULL;
    return json_of_server(call->engine, call->server);
}

static const MethodRow ROWS[] = {
    {"user_add", method_user_add, ACCESS_OPERATOR, TRUE},
    {"user_list", method_user_list, ACCESS_OPERATOR, FALSE},
    {"user_remove", method_user_remove, ACCESS_OPERATOR, TRUE},
    {"user_password", method_user_password, ACCESS_ACCOUNT, TRUE},
    {"own", method_own, ACCESS_OPERATOR_SERVER, TRUE},
};
const MethodTable methods_account = {ROWS, G_N_ELEMENTS(ROWS)};
