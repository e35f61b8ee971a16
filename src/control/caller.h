/* Caller: who asks, found out from the peer's credentials or from what the request shows. */
#pragma once
#include "control/server.h"
#include "store/tokens.h"

typedef struct {
    Role role;
    char *account;               /* NULL: a user of this host, without an account */
    char *who;                   /* for the audit: the account, "root@local", "uid-1000@local" */
    char *from;                  /* for the audit: "local", "web 192.0.2.7" */
    const char *via;             /* "peer", "session", "token" */
    guint8 digest[DIGEST_BYTES]; /* of the session or token */
    gboolean has_digest;
} ControlCaller;

/*
 * caller_identify: "auth" decides where there is one; without it the peer's credentials do. A stranger has ROLE_NONE.
 * @store: (nullable): without it there are no accounts.
 * AEROSTAT_ERROR_UNAUTHENTICATED: a session or token that is not valid; AEROSTAT_ERROR_INVALID: an "auth" with neither.
 */
gboolean caller_identify(const ControlRequest *request, Store *store, ControlCaller *ret, GError **error);
void caller_clear(ControlCaller *caller);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ControlCaller, caller_clear)

/* caller_source: (transfer full) whose attempts count together: an address that the web server names (see
 * address_source()), or a local user. */
char *caller_source(const ControlRequest *request);

/* caller_may_see: whether a server of this id is the caller's to know of. */
gboolean caller_may_see(const ControlCaller *caller, Store *store, const char *server_id);
