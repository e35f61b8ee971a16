/* Accounts and ownership: who may log in, with which role, and whose each server is. */
#pragma once
#include "store/audit.h"

typedef enum {
    ROLE_NONE,     /* nobody in particular: may log in */
    ROLE_OWNER,    /* own servers only */
    ROLE_OPERATOR, /* everything */
} Role;

const char *role_name(Role role);      /* "none", "owner", "operator" */
Role role_from_name(const char *name); /* ROLE_NONE for any other */

typedef struct {
    char *name;
    Role role;
    int64_t created_us, password_us; /* Unix time: made; its password last set */
    guint servers;                   /* how many it owns */
} Account;

void account_free(Account *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Account, account_free)

/* account_name_check: 1 to 64 characters of A-Z a-z 0-9 . _ + @ -, beginning with a letter or digit, and not ending in
 * "@local", which is how callers without an account are written. AEROSTAT_ERROR_INVALID says so. */
gboolean account_name_check(const char *name, GError **error);

/* Names are compared without regard to case. @password_hash: of secret.h, never a password.
 * AEROSTAT_ERROR_CONFLICT when the name is taken; AEROSTAT_ERROR_NOT_FOUND for the others when there is none. */
gboolean store_account_add(Store *store, const char *name, Role role, const char *password_hash,
                           const AuditEntry *audit, GError **error);
/* Its sessions, tokens and ownerships go with it; the servers stay, with no owner. */
gboolean store_account_remove(Store *store, const char *name, const AuditEntry *audit, GError **error);
/* Ends all sessions of the account but the one with @keep_session (nullable, a digest of secret.h), and, with
 * @revoke_tokens, all of its tokens. */
gboolean store_account_set_password(Store *store, const char *name, const char *password_hash,
                                    const guint8 *keep_session, gboolean revoke_tokens,
                                    const AuditEntry *audit, GError **error);
/* (transfer full) NULL with AEROSTAT_ERROR_NOT_FOUND. */
Account *store_account(Store *store, const char *name, GError **error);
/* (transfer full) the stored hash; NULL without error when there is no such account. */
char *store_account_password(Store *store, const char *name, GError **error);
/* Sorted by name. (element-type Account) (transfer full) */
GPtrArray *store_accounts(Store *store, GError **error);

/* store_owner: from memory, (nullable), valid until the next store_own() or store_account_remove(). */
const char *store_owner(Store *store, const char *server_id);
/* @account: NULL takes the owner away. AEROSTAT_ERROR_NOT_FOUND when there is no such account. */
gboolean store_own(Store *store, const char *server_id, const char *server_name, const char *account,
                   const AuditEntry *audit, GError **error);

/* store_move_server: a server made anew keeps its owner, settings, audit and history under its new id. */
gboolean store_move_server(Store *store, const char *old_id, const char *new_id, const char *name,
                           const AuditEntry *audit, GError **error);
