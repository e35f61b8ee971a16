#include <stdio.h>
#include <pwd.h>
#include <string.h>
#include "base/address.h"
#include "base/error.h"
#include "base/json.h"
#include "control/caller.h"

#define SECRET_MAX_BYTES 256

/* From the file alone: a user database over the network would make the engine wait. */
static char *local_name(uid_t uid)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *entry;
    char *name = NULL;
    while (file && !name && (entry = fgetpwent(file)) != NULL)
        if (entry->pw_uid == uid)
            name = g_strconcat(entry->pw_name, "@local", NULL);
    if (file)
        fclose(file);
    return name ? name : g_strdup_printf("uid-%u@local", (unsigned)uid);
}

/* What a caller says of itself must not look like anything else in the audit. */
static char *source_of(const ControlRequest *request)
{
    if (!request->from || !request->peer->relays)
        return g_strdup("local");
    g_autofree char *clean = error_printable(request->from, -1, 64);
    return g_strconcat("web ", clean, NULL);
}

static gboolean is_secret(const char *secret)
{
    return secret && *secret != '\0' && strlen(secret) <= SECRET_MAX_BYTES;
}

static gboolean identify_by_secret(const ControlRequest *request, Store *store, ControlCaller *caller,
                                   GError **error)
{
    const char *session = json_string_value(json_object_get(request->auth, "session"));
    const char *token = json_string_value(json_object_get(request->auth, "token"));
    if ((session == NULL) == (token == NULL)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "auth must be either {\"session\": \"...\"} or {\"token\": \"...\"}");
        return FALSE;
    }
    const char *secret = session ? session : token;
    if (!store || !is_secret(secret)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED,
                    "this session or token is not valid, or not any more; log in again");
        return FALSE;
    }
    secret_digest(secret, caller->digest);
    int64_t now_us = g_get_real_time();
    g_autoptr(Account) account = session ? store_session_account(store, caller->digest, now_us, error)
                                         : store_token_account(store, caller->digest, now_us, error);
    if (!account)
        return FALSE;
    caller->has_digest = TRUE;
    caller->role = account->role;
    caller->account = g_strdup(account->name);
    caller->who = g_strdup(account->name);
    caller->via = session ? "session" : "token";
    return TRUE;
}

gboolean caller_identify(const ControlRequest *request, Store *store, ControlCaller *ret, GError **error)
{
    g_auto(ControlCaller) caller = {.via = "peer"};
    if (request->auth && json_object_size(request->auth) == 0) {
        /* Who relays for somebody that is not logged in asks with nobody's rights, not with its own. */
        caller.who = g_strdup("nobody");
        caller.via = "none";
    } else if (request->auth) {
        if (!identify_by_secret(request, store, &caller, error))
            return FALSE;
    } else {
        caller.role = request->peer->operator_ ? ROLE_OPERATOR : ROLE_NONE;
        caller.who = local_name(request->peer->uid);
    }
    caller.from = source_of(request);
    *ret = caller;
    caller = (ControlCaller){0};
    return TRUE;
}

char *caller_source(const ControlRequest *request)
{
    if (request->from && request->peer->relays) {
        g_autofree char *source = address_source(request->from);
        g_autofree char *clean = error_printable(source, -1, 64);
        return g_strconcat("web ", clean, NULL);
    }
    return g_strdup_printf("uid %u", (unsigned)request->peer->uid);
}

void caller_clear(ControlCaller *caller)
{
    g_free(caller->account);
    g_free(caller->who);
    g_free(caller->from);
    *caller = (ControlCaller){0};
}

gboolean caller_may_see(const ControlCaller *caller, Store *store, const char *server_id)
{
    if (caller->role == ROLE_OPERATOR)
        return TRUE;
    if (caller->role != ROLE_OWNER || !store || !server_id)
        return FALSE;
    const char *owner = store_owner(store, server_id);
    return owner && caller->account && g_ascii_strcasecmp(owner, caller->account) == 0;
}
