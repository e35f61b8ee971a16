/* The schema, version by version. A released step is never changed again: append. Each new one gets a fixture of the
 * schema before it in tests/fixtures/store. */
#include "store/store_private.h"

/*
 * Version 1. The numbers repeat what store_set_settings() checks: SIZE_MAX_BYTES and WEIGHT_MAX. A value that
 * got into the file some other way must not become a decision. NULL is "not set: as the configuration says".
 */
static gboolean create_settings(sqlite3 *db, GError **error)
{
    return database_run(
        db,
        "CREATE TABLE server_settings ("
        "  id TEXT PRIMARY KEY NOT NULL CHECK (id <> ''),"
        "  name TEXT NOT NULL,"
        "  minimum_bytes INTEGER CHECK (minimum_bytes BETWEEN 0 AND 72057594037927935),"
        "  weight INTEGER CHECK (weight BETWEEN 1 AND 10000),"
        "  changed_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now'))" /* seconds since 1970 */
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE daemon_settings ("
        "  key TEXT PRIMARY KEY NOT NULL,"
        "  value TEXT NOT NULL,"
        "  CHECK (key <> 'mode' OR value IN ('observe', 'manage'))"
        ") STRICT, WITHOUT ROWID;",
        error);
}

/* Version 2, first part: people. Times named _us are Unix time. Names differ by more than case. */
static gboolean create_accounts(sqlite3 *db, GError **error)
{
    return database_run(db,
                        "CREATE TABLE accounts ("
                        "  name TEXT PRIMARY KEY NOT NULL COLLATE NOCASE CHECK (name <> ''),"
                        "  role TEXT NOT NULL CHECK (role IN ('operator', 'owner')),"
                        "  password_hash TEXT NOT NULL,"
                        "  created_us INTEGER NOT NULL,"
                        "  password_us INTEGER NOT NULL"
                        ") STRICT, WITHOUT ROWID;"
                        "CREATE TABLE ownership ("
                        "  server_id TEXT PRIMARY KEY NOT NULL CHECK (server_id <> ''),"
                        "  server_name TEXT NOT NULL,"
                        "  account TEXT NOT NULL COLLATE NOCASE REFERENCES accounts (name) ON DELETE CASCADE,"
                        "  since_us INTEGER NOT NULL"
                        ") STRICT, WITHOUT ROWID;"
                        "CREATE INDEX ownership_account ON ownership (account);"
                        "CREATE TABLE tokens ("
                        "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
                        "  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),"
                        "  label TEXT NOT NULL,"
                        "  account TEXT NOT NULL COLLATE NOCASE REFERENCES accounts (name) ON DELETE CASCADE,"
                        "  created_us INTEGER NOT NULL,"
                        "  expires_us INTEGER," /* NULL: never */
                        "  used_us INTEGER"
                        ") STRICT;"
                        "CREATE INDEX tokens_account ON tokens (account);"
                        "CREATE TABLE sessions ("
                        "  digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),"
                        "  account TEXT NOT NULL COLLATE NOCASE REFERENCES accounts (name) ON DELETE CASCADE,"
                        "  created_us INTEGER NOT NULL,"
                        "  used_us INTEGER NOT NULL"
                        ") STRICT, WITHOUT ROWID;"
                        "CREATE INDEX sessions_account ON sessions (account);",
                        error);
}

/* Second part: what was done. */
static gboolean create_records(sqlite3 *db, GError **error)
{
    return database_run(db,
                        "CREATE TABLE audit ("
                        "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
                        "  time_us INTEGER NOT NULL,"
                        "  who TEXT NOT NULL,"
                        "  source TEXT NOT NULL,"
                        "  action TEXT NOT NULL,"
                        "  name TEXT,"
                        "  server_id TEXT,"
                        "  before TEXT,"
                        "  after TEXT,"
                        "  result TEXT NOT NULL"
                        ") STRICT;"
                        "CREATE INDEX audit_server ON audit (server_id, id) WHERE server_id IS NOT NULL;"
                        "CREATE TABLE operations ("
                        "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
                        "  kind TEXT NOT NULL,"
                        "  name TEXT NOT NULL,"
                        "  server_id TEXT,"
                        "  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),"
                        "  step TEXT NOT NULL,"
                        "  text TEXT NOT NULL,"
                        "  progress_permille INTEGER NOT NULL CHECK (progress_permille BETWEEN 0 AND 1000),"
                        "  error TEXT,"
                        "  who TEXT NOT NULL,"
                        "  source TEXT NOT NULL,"
                        "  started_us INTEGER NOT NULL,"
                        "  changed_us INTEGER NOT NULL,"
                        "  data TEXT"
                        ") STRICT;"
                        "CREATE INDEX operations_running ON operations (state) WHERE state = 'running';"
                        "CREATE TABLE reservations ("
                        "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
                        "  for_name TEXT,"
                        "  bytes INTEGER NOT NULL CHECK (bytes > 0),"
                        "  expires_us INTEGER NOT NULL"
                        ") STRICT;",
                        error);
}

/* One table for each resolution: figures in KiB, which take half the space of bytes. A server's number stands for its id
 * and stays when its id changes. */
static gboolean create_history_table(sqlite3 *db, const char *suffix, GError **error)
{
    g_autofree char *sql =
        g_strdup_printf("CREATE TABLE history_%s ("
                        "  server INTEGER NOT NULL REFERENCES history_servers (number) ON DELETE CASCADE,"
                        "  time_s INTEGER NOT NULL,"
                        "  balloon_kib INTEGER, used_kib INTEGER, resident_kib INTEGER, target_kib INTEGER,"
                        "  maximum_kib INTEGER, demand_kib INTEGER, stalled_us INTEGER NOT NULL,"
                        "  PRIMARY KEY (server, time_s)"
                        ") STRICT, WITHOUT ROWID;"
                        "CREATE TABLE history_host_%s ("
                        "  time_s INTEGER PRIMARY KEY NOT NULL,"
                        "  committed_kib INTEGER, pool_kib INTEGER, slack_kib INTEGER, available_kib INTEGER,"
                        "  pressure_centi INTEGER" /* hundredths of PSI's some avg10 */
                        ") STRICT, WITHOUT ROWID;",
                        suffix, suffix);
    return database_run(db, sql, error);
}

/* Version 2: settings get the owner's wish and a revision; accounts, records and history are new. */
static gboolean create_version_2(sqlite3 *db, GError **error)
{
    return database_run(db,
                        "ALTER TABLE server_settings ADD COLUMN ballooning_wanted INTEGER NOT NULL DEFAULT 1"
                        "  CHECK (ballooning_wanted IN (0, 1));"
                        "ALTER TABLE server_settings ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;",
                        error) &&
           create_accounts(db, error) && create_records(db, error) &&
           database_run(db,
                        "CREATE TABLE history_servers ("
                        "  number INTEGER PRIMARY KEY,"
                        "  id TEXT NOT NULL UNIQUE,"
                        "  name TEXT NOT NULL"
                        ") STRICT;",
                        error) &&
           create_history_table(db, "10s", error) && create_history_table(db, "5m", error) &&
           create_history_table(db, "1h", error);
}

const Migration SCHEMA_STEPS[] = {
    create_settings,
    create_version_2,
};
const guint SCHEMA_N_STEPS = G_N_ELEMENTS(SCHEMA_STEPS);
