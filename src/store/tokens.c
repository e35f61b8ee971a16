#include <string.h>
#include "base/error.h"
#include "store/store_private.h"
#include "store/tokens.h"

/* When a token or session was used last is written down this often: it is for people, and for the idle limit. */
#define USE_STEP_US (INT64_C(300) * G_USEC_PER_SEC)

void token_free(Token *token)
{
    if (!token)
        return;
    g_free(token->label);
    g_free(token->account);
    g_free(token);
}

typedef struct {
    int64_t id, time_us;
    const char *account, *label;
    const guint8 *digest;
} SecretWrite;

static gboolean count_tokens(Store *store, const char *account, int64_t after_us, guint *ret, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error, "SELECT count(*) FROM tokens WHERE account = ? AND coalesce(expires_us > ?, TRUE)",
        "ti", account, after_us);
    if (!row)
        return FALSE;
    if (database_step(store->db, row, &problem))
        *ret = (guint)sqlite3_column_int64(row, 0);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

gboolean store_token_count(Store *store, const char *account, int64_t now_us, guint *ret, GError **error)
{
    return count_tokens(store, account, now_us, ret, error);
}

static gboolean make_room(Store *store, const char *account, GError **error)
{
    guint n = 0;
    if (!count_tokens(store, account, G_MININT64, &n, error))
        return FALSE;
    if (n < TOKENS_PER_ACCOUNT)
        return TRUE;
    if (!database_exec(store->db, error, "DELETE FROM tokens WHERE account = ? AND expires_us <= ?", "ti",
                       account, (int64_t)g_get_real_time()))
        return FALSE;
    if (sqlite3_changes(store->db) > 0)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "%s has %u tokens, as many as an account may have; revoke one that is not used any more "
                "(`aerostat token list` shows when each was used last)",
                account, n);
    return FALSE;
}

static gboolean insert_token(Store *store, gpointer data, GError **error)
{
    SecretWrite *write = data;
    if (!make_room(store, write->account, error))
        return FALSE;
    if (!database_exec(store->db, error,
                       "INSERT INTO tokens (digest, label, account, created_us, expires_us)"
                       " VALUES (?, ?, ?, ?, nullif(?, 0))",
                       "dttii", write->digest, write->label, write->account, (int64_t)g_get_real_time(),
                       write->time_us))
        return FALSE;
    write->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

int64_t store_token_add(Store *store, const char *account, const char *label,
                        const guint8 digest[DIGEST_BYTES], int64_t expires_us, const AuditEntry *audit,
                        GError **error)
{
    g_autoptr(Account) known = store_account(store, account, error);
    if (!known)
        return 0;
    SecretWrite write = {.account = known->name, .label = label, .digest = digest, .time_us = expires_us};
    return store_change(store, insert_token, &write, audit, error) ? write.id : 0;
}

GPtrArray *store_tokens(Store *store, const char *account, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error,
        "SELECT t.id, t.label, a.name, t.created_us, t.expires_us, t.used_us FROM tokens AS t"
        " JOIN accounts AS a ON a.name = t.account WHERE (?1 IS NULL OR t.account = ?1) ORDER BY t.id",
        "t", account);
    if (!row)
        return NULL;
    g_autoptr(GPtrArray) tokens = g_ptr_array_new_with_free_func((GDestroyNotify)token_free);
    while (database_step(store->db, row, &problem)) {
        Token *token = g_new0(Token, 1);
        token->id = sqlite3_column_int64(row, 0);
        token->label = database_text(row, 1);
        token->account = database_text(row, 2);
        token->created_us = sqlite3_column_int64(row, 3);
        token->expires_us = sqlite3_column_int64(row, 4);
        token->used_us = sqlite3_column_int64(row, 5);
        g_ptr_array_add(tokens, token);
    }
    if (!problem)
        return g_steal_pointer(&tokens);
    g_propagate_error(error, problem);
    return NULL;
}

static gboolean delete_token(Store *store, gpointer data, GError **error)
{
    const SecretWrite *write = data;
    if (!database_exec(store->db, error, "DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR account = ?2)",
                       "it", write->id, write->account))
        return FALSE;
    if (sqlite3_changes(store->db) > 0)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                "there is no token %" G_GINT64_FORMAT "; `aerostat token list` shows all", write->id);
    return FALSE;
}

gboolean store_token_revoke(Store *store, int64_t id, const char *account, const AuditEntry *audit,
                            GError **error)
{
    SecretWrite write = {.id = id, .account = account};
    return store_change(store, delete_token, &write, audit, error);
}

/* Those that have ended and those that are too many go first. */
static gboolean insert_session(Store *store, gpointer data, GError **error)
{
    const SecretWrite *write = data;
    return database_exec(store->db, error, "DELETE FROM sessions WHERE used_us < ? OR created_us < ?", "ii",
                         write->time_us - SESSION_IDLE_US, write->time_us - SESSION_LIFE_US) &&
           database_exec(store->db, error,
                         "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE account = ?"
                         " ORDER BY created_us DESC LIMIT -1 OFFSET ?)",
                         "ti", write->account, (int64_t)SESSIONS_PER_ACCOUNT - 1) &&
           database_exec(store->db, error,
                         "INSERT INTO sessions (digest, account, created_us, used_us) VALUES (?, ?, ?, ?)",
                         "dtii", write->digest, write->account, write->time_us, write->time_us);
}

gboolean store_session_add(Store *store, const char *account, const guint8 digest[DIGEST_BYTES],
                           int64_t now_us, const AuditEntry *audit, GError **error)
{
    SecretWrite write = {.account = account, .digest = digest, .time_us = now_us};
    return store_change(store, insert_session, &write, audit, error);
}

static gboolean delete_session(Store *store, gpointer data, GError **error)
{
    return database_exec(store->db, error, "DELETE FROM sessions WHERE digest = ?", "d", data);
}

gboolean store_session_end(Store *store, const guint8 digest[DIGEST_BYTES], const AuditEntry *audit,
                           GError **error)
{
    return store_change(store, delete_session, (gpointer)digest, audit, error);
}

typedef struct {
    const char *sql;
    guint8 digest[DIGEST_BYTES];
    int64_t now_us;
} Use;

static gboolean write_use(sqlite3 *db, gpointer data, GError **error)
{
    const Use *use = data;
    return db && database_exec(db, error, use->sql, "id", use->now_us, use->digest);
}

/* @update: takes the time and the digest. */
static Account *find_secret(Store *store, const char *select, const char *update, const guint8 *digest,
                            int64_t now_us, int64_t idle_us, int64_t life_us, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row =
        database_query(store->db, error, select, "diii", digest, now_us, now_us - idle_us, now_us - life_us);
    if (!row)
        return NULL;
    if (!database_step(store->db, row, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        else
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED,
                        "this session or token is not valid, or not any more; log in again");
        return NULL;
    }
    g_autofree char *name = database_text(row, 0);
    if (now_us - sqlite3_column_int64(row, 1) >= USE_STEP_US) {
        Use *use = g_new0(Use, 1);
        use->sql = update;
        use->now_us = now_us;
        memcpy(use->digest, digest, DIGEST_BYTES);
        worker_do(store->worker, TRUE, write_use, use, g_free);
    }
    return store_account(store, name, error);
}

Account *store_session_account(Store *store, const guint8 digest[DIGEST_BYTES], int64_t now_us,
                               GError **error)
{
    return find_secret(store,
                       "SELECT account, used_us FROM sessions"
                       " WHERE digest = ?1 AND ?2 > 0 AND used_us > ?3 AND created_us > ?4",
                       "UPDATE sessions SET used_us = max(used_us, ?) WHERE digest = ?", digest, now_us,
                       SESSION_IDLE_US, SESSION_LIFE_US, error);
}

Account *store_token_account(Store *store, const guint8 digest[DIGEST_BYTES], int64_t now_us, GError **error)
{
    return find_secret(store,
                       "SELECT account, coalesce(used_us, 0) FROM tokens WHERE digest = ?1"
                       " AND (expires_us IS NULL OR expires_us > ?2) AND ?3 <= ?2 AND ?4 <= ?2",
                       "UPDATE tokens SET used_us = max(coalesce(used_us, 0), ?) WHERE digest = ?", digest,
                       now_us, 0, 0, error);
}
