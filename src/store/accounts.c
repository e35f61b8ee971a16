#include <string.h>
#include "base/error.h"
#include "store/accounts.h"
#include "store/secret.h"
#include "store/store_private.h"

#define NAME_MAX_CHARS 64
#define LOCAL_SUFFIX   "@local"

static const char *const ROLE_NAMES[] = {
    [ROLE_NONE] = "none", [ROLE_OWNER] = "owner", [ROLE_OPERATOR] = "operator"};

const char *role_name(Role role)
{
    return ROLE_NAMES[role];
}

Role role_from_name(const char *name)
{
    if (g_strcmp0(name, "operator") == 0)
        return ROLE_OPERATOR;
    return g_strcmp0(name, "owner") == 0 ? ROLE_OWNER : ROLE_NONE;
}

void account_free(Account *account)
{
    if (!account)
        return;
    g_free(account->name);
    g_free(account);
}

gboolean account_name_check(const char *name, GError **error)
{
    static const char LETTERS[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._+@-";
    gsize length = strlen(name);
    g_autofree char *shown = error_printable(name, -1, NAME_MAX_CHARS);
    if (length == 0 || length > NAME_MAX_CHARS || strspn(name, LETTERS) != length ||
        !g_ascii_isalnum(name[0])) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "\"%s\" cannot be the name of an account; use 1 to %d of the characters A-Z a-z 0-9 . _ + @ -, "
            "beginning with a letter or a digit",
            shown, NAME_MAX_CHARS);
        return FALSE;
    }
    gsize suffix = strlen(LOCAL_SUFFIX);
    if (length >= suffix && g_ascii_strcasecmp(name + length - suffix, LOCAL_SUFFIX) == 0) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "\"%s\" cannot be the name of an account; names ending in %s stand for this host's own users",
            shown, LOCAL_SUFFIX);
        return FALSE;
    }
    return TRUE;
}

static gboolean no_account(const char *name, GError **error)
{
    g_autofree char *shown = error_printable(name, -1, NAME_MAX_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                "there is no account \"%s\"; `aerostat user list` shows all", shown);
    return FALSE;
}

typedef struct {
    const char *name;
    Role role;
    const char *password_hash;
    const guint8 *keep_session;
    gboolean revoke_tokens;
} AccountWrite;

static gboolean insert_account(Store *store, gpointer data, GError **error)
{
    const AccountWrite *write = data;
    int64_t now_us = g_get_real_time();
    g_autoptr(sqlite3_stmt) taken =
        database_query(store->db, error, "SELECT 1 FROM accounts WHERE name = ?", "t", write->name);
    if (!taken)
        return FALSE;
    GError *problem = NULL;
    if (database_step(store->db, taken, &problem)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "there is an account \"%s\" already",
                    write->name);
        return FALSE;
    }
    if (problem) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    return database_exec(store->db, error,
                         "INSERT INTO accounts (name, role, password_hash, created_us, password_us)"
                         " VALUES (?, ?, ?, ?, ?)",
                         "tttii", write->name, role_name(write->role), write->password_hash, now_us, now_us);
}

gboolean store_account_add(Store *store, const char *name, Role role, const char *password_hash,
                           const AuditEntry *audit, GError **error)
{
    AccountWrite write = {.name = name, .role = role, .password_hash = password_hash};
    return account_name_check(name, error) && store_change(store, insert_account, &write, audit, error);
}

static gboolean delete_account(Store *store, gpointer data, GError **error)
{
    const AccountWrite *write = data;
    if (!database_exec(store->db, error, "DELETE FROM accounts WHERE name = ?", "t", write->name))
        return FALSE;
    return sqlite3_changes(store->db) > 0 || no_account(write->name, error);
}

static gboolean is_owned_by(gpointer id, gpointer owner, gpointer name)
{
    return g_ascii_strcasecmp(owner, name) == 0;
}

gboolean store_account_remove(Store *store, const char *name, const AuditEntry *audit, GError **error)
{
    AccountWrite write = {.name = name};
    if (!store_change(store, delete_account, &write, audit, error))
        return FALSE;
    g_hash_table_foreach_remove(store->owners, is_owned_by, (gpointer)name);
    return TRUE;
}

static gboolean update_password(Store *store, gpointer data, GError **error)
{
    static const guint8 NONE[DIGEST_BYTES] = {0};
    const AccountWrite *write = data;
    if (!database_exec(store->db, error,
                       "UPDATE accounts SET password_hash = ?, password_us = ? WHERE name = ?", "tit",
                       write->password_hash, (int64_t)g_get_real_time(), write->name))
        return FALSE;
    if (sqlite3_changes(store->db) == 0)
        return no_account(write->name, error);
    if (write->revoke_tokens &&
        !database_exec(store->db, error, "DELETE FROM tokens WHERE account = ?", "t", write->name))
        return FALSE;
    return database_exec(store->db, error, "DELETE FROM sessions WHERE account = ? AND digest <> ?", "td",
                         write->name, write->keep_session ? write->keep_session : NONE);
}

gboolean store_account_set_password(Store *store, const char *name, const char *password_hash,
                                    const guint8 *keep_session, gboolean revoke_tokens,
                                    const AuditEntry *audit, GError **error)
{
    AccountWrite write = {.name = name,
                          .password_hash = password_hash,
                          .keep_session = keep_session,
                          .revoke_tokens = revoke_tokens};
    return store_change(store, update_password, &write, audit, error);
}

#define ACCOUNT_COLUMNS                                                                                      \
    "name, role, created_us, password_us, (SELECT count(*) FROM ownership WHERE account = accounts.name)"

static Account *take_account(sqlite3_stmt *row)
{
    Account *account = g_new0(Account, 1);
    account->name = database_text(row, 0);
    account->role = role_from_name((const char *)sqlite3_column_text(row, 1));
    account->created_us = sqlite3_column_int64(row, 2);
    account->password_us = sqlite3_column_int64(row, 3);
    account->servers = (guint)sqlite3_column_int64(row, 4);
    return account;
}

Account *store_account(Store *store, const char *name, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error, "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE name = ?", "t", name);
    if (!row)
        return NULL;
    if (database_step(store->db, row, &problem))
        return take_account(row);
    if (problem)
        g_propagate_error(error, problem);
    else
        no_account(name, error);
    return NULL;
}

char *store_account_password(Store *store, const char *name, GError **error)
{
    g_autoptr(sqlite3_stmt) row =
        database_query(store->db, error, "SELECT password_hash FROM accounts WHERE name = ?", "t", name);
    return row && database_step(store->db, row, error) ? database_text(row, 0) : NULL;
}

GPtrArray *store_accounts(Store *store, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row =
        database_query(store->db, error, "SELECT " ACCOUNT_COLUMNS " FROM accounts ORDER BY name", "");
    if (!row)
        return NULL;
    g_autoptr(GPtrArray) accounts = g_ptr_array_new_with_free_func((GDestroyNotify)account_free);
    while (database_step(store->db, row, &problem))
        g_ptr_array_add(accounts, take_account(row));
    if (!problem)
        return g_steal_pointer(&accounts);
    g_propagate_error(error, problem);
    return NULL;
}

gboolean store_load_owners(Store *store, GError **error)
{
    GError *problem = NULL;
    /* The name as the account has it: "Alice" may have been written "alice" when the server was given to her. */
    g_autoptr(sqlite3_stmt) row = database_query(
        store->db, error,
        "SELECT o.server_id, a.name FROM ownership AS o JOIN accounts AS a ON a.name = o.account", "");
    if (!row)
        return FALSE;
    g_hash_table_remove_all(store->owners);
    while (database_step(store->db, row, &problem))
        g_hash_table_insert(store->owners, database_text(row, 0), database_text(row, 1));
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

const char *store_owner(Store *store, const char *server_id)
{
    return g_hash_table_lookup(store->owners, server_id);
}

typedef struct {
    const char *server_id, *server_name, *account, *new_id;
} OwnWrite;

static gboolean write_owner(Store *store, gpointer data, GError **error)
{
    const OwnWrite *write = data;
    if (!write->account)
        return database_exec(store->db, error, "DELETE FROM ownership WHERE server_id = ?", "t",
                             write->server_id);
    return database_exec(store->db, error,
                         "INSERT OR REPLACE INTO ownership (server_id, server_name, account, since_us)"
                         " VALUES (?, ?, ?, ?)",
                         "ttti", write->server_id, write->server_name, write->account,
                         (int64_t)g_get_real_time());
}

gboolean store_own(Store *store, const char *server_id, const char *server_name, const char *account,
                   const AuditEntry *audit, GError **error)
{
    g_autoptr(Account) owner = account ? store_account(store, account, error) : NULL;
    if (account && !owner)
        return FALSE;
    OwnWrite write = {
        .server_id = server_id, .server_name = server_name, .account = owner ? owner->name : NULL};
    if (!store_change(store, write_owner, &write, audit, error))
        return FALSE;
    if (owner)
        g_hash_table_insert(store->owners, g_strdup(server_id), g_strdup(owner->name));
    else
        g_hash_table_remove(store->owners, server_id);
    return TRUE;
}

/* What the new id may have of its own by now gives way, but history, which is only added to. */
static gboolean move_server(Store *store, gpointer data, GError **error)
{
    static const char *const STATEMENTS[] = {
        "UPDATE OR REPLACE server_settings SET id = ?1, name = ?2 WHERE id = ?3",
        "UPDATE OR REPLACE ownership SET server_id = ?1, server_name = ?2 WHERE server_id = ?3",
        "UPDATE audit SET server_id = ?1 WHERE ?2 IS NOT NULL AND server_id = ?3",
        ("DELETE FROM history_servers WHERE id = ?1 AND ?2 IS NOT NULL"
         "  AND EXISTS (SELECT 1 FROM history_servers WHERE id = ?3)"),
        "UPDATE history_servers SET id = ?1, name = ?2 WHERE id = ?3",
    };
    const OwnWrite *write = data;
    for (guint i = 0; i < G_N_ELEMENTS(STATEMENTS); i++)
        if (!database_exec(store->db, error, STATEMENTS[i], "ttt", write->new_id, write->server_name,
                           write->server_id))
            return FALSE;
    return TRUE;
}

gboolean store_move_server(Store *store, const char *old_id, const char *new_id, const char *name,
                           const AuditEntry *audit, GError **error)
{
    OwnWrite write = {.server_id = old_id, .server_name = name, .new_id = new_id};
    return store_change(store, move_server, &write, audit, error) && store_load_owners(store, error);
}
