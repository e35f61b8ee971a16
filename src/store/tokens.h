/* Tokens and sessions: what a caller shows instead of a password. Only digests of them are kept. */
#pragma once
#include "store/accounts.h"
#include "store/secret.h"

typedef struct {
    int64_t id;
    char *label, *account;
    int64_t created_us, expires_us, used_us; /* Unix time; 0: never */
} Token;

void token_free(Token *token);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Token, token_free)

/* Those that have expired make room. */
#define TOKENS_PER_ACCOUNT 100

/* @expires_us: Unix time, 0 for never. Returns the id, 0 with an error: AEROSTAT_ERROR_CONFLICT when the account has
 * TOKENS_PER_ACCOUNT already. */
int64_t store_token_add(Store *store, const char *account, const char *label,
                        const guint8 digest[DIGEST_BYTES], int64_t expires_us, const AuditEntry *audit,
                        GError **error);
/* @account: (nullable) only of this one. Sorted by id. (element-type Token) (transfer full) */
GPtrArray *store_tokens(Store *store, const char *account, GError **error);
/* store_token_count: how many of @account's are valid at @now_us (Unix time). */
gboolean store_token_count(Store *store, const char *account, int64_t now_us, guint *ret, GError **error);
/* AEROSTAT_ERROR_NOT_FOUND when there is none, or it is not @account's (nullable: anybody's). */
gboolean store_token_revoke(Store *store, int64_t id, const char *account, const AuditEntry *audit,
                            GError **error);

/* How long a session lasts without being used, and altogether. */
#define SESSION_IDLE_US (INT64_C(12) * 3600 * G_USEC_PER_SEC)
#define SESSION_LIFE_US (INT64_C(7) * 24 * 3600 * G_USEC_PER_SEC)
/* The oldest go beyond this. */
#define SESSIONS_PER_ACCOUNT 50

gboolean store_session_add(Store *store, const char *account, const guint8 digest[DIGEST_BYTES],
                           int64_t now_us, const AuditEntry *audit, GError **error);
gboolean store_session_end(Store *store, const guint8 digest[DIGEST_BYTES], const AuditEntry *audit,
                           GError **error);

/* store_session_account / store_token_account: whose it is, while it is valid at @now_us (Unix time); its use is written
 * down on the worker, now and then. (transfer full) NULL with AEROSTAT_ERROR_UNAUTHENTICATED. */
Account *store_session_account(Store *store, const guint8 digest[DIGEST_BYTES], int64_t now_us,
                               GError **error);
Account *store_token_account(Store *store, const guint8 digest[DIGEST_BYTES], int64_t now_us, GError **error);
