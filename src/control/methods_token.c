/* Tokens for programs, and the audit. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"

#define NAME_MAX_BYTES  256
#define LABEL_MAX_BYTES 100
#define EXPIRES_MAX_S   (UINT64_C(10) * 365 * 86400)
#define ENTRIES_DEFAULT 100
#define ENTRIES_MAX     1000
#define TOKEN_PREFIX    "aero_"

static json_t *time_or_null(int64_t time_us)
{
    return time_us ? json_integer(time_us) : json_null();
}

/* Whose tokens: operators choose, others have their own. NULL without error: everybody's. */
static gboolean read_user(const Call *call, const char **ret, GError **error)
{
    if (!call_needs_store(call, error) || !call_text(call, "user", FALSE, NAME_MAX_BYTES, ret, error))
        return FALSE;
    gboolean own = *ret && call->caller->account && g_ascii_strcasecmp(*ret, call->caller->account) == 0;
    if (*ret && !own && !call_needs_operator(call, "another account's tokens", error))
        return FALSE;
    if (!*ret && !call_is_operator(call))
        *ret = call->caller->account;
    return TRUE;
}

static gboolean read_expiry(const Call *call, int64_t *ret_us, GError **error)
{
    GError *problem = NULL;
    uint64_t seconds = 0;
    *ret_us = 0;
    if (!json_member_uint64(call->params, "expires_in_seconds", FALSE, &seconds, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        return problem == NULL;
    }
    if (seconds < 1 || seconds > EXPIRES_MAX_S) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "expires_in_seconds must be from 1 to %" G_GUINT64_FORMAT
                    ", or absent: it never expires then",
                    EXPIRES_MAX_S);
        return FALSE;
    }
    *ret_us = g_get_real_time() + (int64_t)seconds * G_USEC_PER_SEC;
    return TRUE;
}

static json_t *add_token(const Call *call, const char *user, const char *label, int64_t expires_us,
                         GError **error)
{
    g_autoptr(Account) account = store_account(call->store, user, error);
    if (!account)
        return NULL;
    guint8 digest[DIGEST_BYTES];
    char *token = secret_new(TOKEN_PREFIX);
    secret_digest(token, digest);
    g_autoptr(json_t) what =
        json_pack("{s:s, s:o}", "label", label, "expires_unix_us", time_or_null(expires_us));
    g_autofree char *after = json_dumps(what, JSON_COMPACT);
    AuditEntry audit = call_audit(call, account->name, NULL, after);
    int64_t id = store_token_add(call->store, account->name, label, digest, expires_us, &audit, error);
    json_t *result = NULL;
    if (id)
        result = json_pack("{s:I, s:s, s:s, s:s, s:o}", "id", (json_int_t)id, "token", token, "label", label,
                           "user", account->name, "expires_unix_us", time_or_null(expires_us));
    secret_free(token);
    return result;
}

static json_t *method_token_add(Call *call, GError **error)
{
    const char *user = NULL, *label = NULL;
    int64_t expires_us = 0;
    if (!read_user(call, &user, error) || !call_text(call, "label", TRUE, LABEL_MAX_BYTES, &label, error) ||
        !read_expiry(call, &expires_us, error))
        return NULL;
    if (label[0] == '\0') {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "label must say what the token is for; it is how you will know it again");
        return NULL;
    }
    if (!user)
        user = call->caller->account;
    if (!user) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "whose token? give user: the name of an account (`aerostat user list`)");
        return NULL;
    }
    return call_may_change_more(call, error) ? add_token(call, user, label, expires_us, error) : NULL;
}

static json_t *json_of_token(const Token *token)
{
    return json_pack("{s:I, s:s, s:s, s:I, s:o, s:o}", "id", (json_int_t)token->id, "label", token->label,
                     "user", token->account, "created_unix_us", (json_int_t)token->created_us,
                     "expires_unix_us", time_or_null(token->expires_us), "used_unix_us",
                     time_or_null(token->used_us));
}

static json_t *method_token_list(Call *call, GError **error)
{
    const char *user = NULL;
    if (!read_user(call, &user, error))
        return NULL;
    g_autoptr(GPtrArray) found = store_tokens(call->store, user, error);
    if (!found)
        return NULL;
    json_t *tokens = json_array();
    for (guint i = 0; i < found->len; i++)
        json_array_append_new(tokens, json_of_token(found->pdata[i]));
    return json_pack("{s:o}", "tokens", tokens);
}

static json_t *method_token_revoke(Call *call, GError **error)
{
    uint64_t id = 0;
    if (!call_needs_store(call, error) || !json_member_uint64(call->params, "id", TRUE, &id, error))
        return NULL;
    const char *account = call_is_operator(call) ? NULL : call->caller->account;
    g_autofree char *before = g_strdup_printf("{\"id\":%" G_GUINT64_FORMAT "}", id);
    AuditEntry audit = call_audit(call, NULL, before, NULL);
    if (!store_token_revoke(call->store, (int64_t)MIN(id, G_MAXINT64), account, &audit, error))
        return NULL;
    return json_pack("{s:I}", "revoked", (json_int_t)id);
}

/* ---- audit */

/* As JSON where it is some: what a killed writer or another program left must not lose the answer. */
static json_t *json_of_text(const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return value ? value : (text ? json_string(text) : json_null());
}

/* What an owner has no business to know of the host: where disks lie, and where an operator sits. */
static json_t *for_owner(json_t *entry, const char *account)
{
    static const char *const hosts_own[] = {"disk", "backend", "keep", "boot"};
    json_t *after = json_object_get(entry, "after");
    for (guint i = 0; i < G_N_ELEMENTS(hosts_own) && json_is_object(after); i++)
        json_object_del(after, hosts_own[i]);
    if (g_strcmp0(json_string_value(json_object_get(entry, "who")), account) != 0)
        json_object_set_new(entry, "from", json_string(""));
    return entry;
}

static json_t *json_of_row(const AuditRow *row)
{
    return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s?, s:o, s:o, s:s}", "id", (json_int_t)row->id, "time_us",
                     (json_int_t)row->time_us, "who", row->who, "from", row->from, "action", row->action,
                     "name", row->name, "before", json_of_text(row->before), "after",
                     json_of_text(row->after), "result", row->result);
}

/* An owner hears about one of his servers or about all of them; an operator about any name there ever was. */
static gboolean read_audit(const Call *call, AuditQuery *query, GError **error)
{
    GError *problem = NULL;
    uint64_t limit = ENTRIES_DEFAULT, before = 0;
    json_member_uint64(call->params, "limit", FALSE, &limit, &problem);
    if (!problem)
        json_member_uint64(call->params, "before", FALSE, &before, &problem);
    if (problem) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    if (limit < 1 || limit > ENTRIES_MAX) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "limit must be from 1 to %d", ENTRIES_MAX);
        return FALSE;
    }
    query->limit = (guint)limit;
    query->before = (int64_t)MIN(before, G_MAXINT64);
    if (!call_text(call, "name", FALSE, NAME_MAX_BYTES, &query->name, error))
        return FALSE;
    if (call_is_operator(call))
        return TRUE;
    query->owner = call->caller->account;
    const Tracked *server = query->name ? call_find(call, query->name, error) : NULL;
    if (query->name && !server)
        return FALSE;
    query->server_id = server ? server->latest->id : NULL;
    query->name = NULL;
    return TRUE;
}

static json_t *method_audit(Call *call, GError **error)
{
    AuditQuery query = {0};
    if (!call_needs_store(call, error) || !read_audit(call, &query, error))
        return NULL;
    g_autoptr(GPtrArray) rows = store_audit_read(call->store, &query, error);
    if (!rows)
        return NULL;
    json_t *entries = json_array();
    for (guint i = 0; i < rows->len; i++) {
        json_t *entry = json_of_row(rows->pdata[i]);
        json_array_append_new(entries, query.owner ? for_owner(entry, query.owner) : entry);
    }
    return json_pack("{s:o}", "entries", entries);
}

static const MethodRow ROWS[] = {
    {"token_add", method_token_add, ACCESS_ACCOUNT, TRUE},
    {"token_list", method_token_list, ACCESS_ACCOUNT, FALSE},
    {"token_revoke", method_token_revoke, ACCESS_ACCOUNT, TRUE},
    {"audit", method_audit, ACCESS_ACCOUNT, FALSE},
};
const MethodTable methods_token = {ROWS, G_N_ELEMENTS(ROWS)};
