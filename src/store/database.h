/*
 * Database: opens one SQLite file safely and brings its schema up to date. Knows no table of the store's.
 *
 * The schema version is PRAGMA user_version; the file says whose it is by PRAGMA application_id. An old database is
 * copied to FILE.vN.bak (N: its version) before it is upgraded; nothing is ever deleted.
 */
#pragma once
#include <glib.h>
#include <sqlite3.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3, sqlite3_close_v2)

/* Migration: brings the schema from version i to i + 1, i being its place in the array; runs inside a transaction
 * that all of them share. FALSE with an error takes everything back. */
typedef gboolean (*Migration)(sqlite3 *db, GError **error);

/*
 * database_open:
 * @path:   created (0640) when it is not there, with its folder (0750)
 * @steps:  (array length=n_steps): the newest schema is version @n_steps
 *
 * Returns: (transfer full): WAL, synchronous=FULL, foreign keys on, schema at version @n_steps. Or NULL:
 *          AEROSTAT_ERROR_UNAVAILABLE when another process holds it; AEROSTAT_ERROR_FAILED naming the file for anything
 *          else: not writable, not a database, damaged, another program's, written by a newer version, a step failed.
 *          In each of these cases the content of the file is as it was.
 */
sqlite3 *database_open(const char *path, const Migration *steps, guint n_steps, GError **error);

/* database_run: statements without results. */
gboolean database_run(sqlite3 *db, const char *sql, GError **error);

/* database_prepare: (transfer full), NULL with an error. */
sqlite3_stmt *database_prepare(sqlite3 *db, const char *sql, GError **error);

/*
 * database_query: the same with its parameters bound in order. @types has one letter for each:
 *   t const char* (NULL is NULL)    i int64_t    n nothing: NULL    d const guint8*, DIGEST_BYTES of them
 * Texts are borrowed until the statement is stepped for the last time.
 */
sqlite3_stmt *database_query(sqlite3 *db, GError **error, const char *sql, const char *types, ...);
/* database_exec: runs a query that gives no row to its end. */
gboolean database_exec(sqlite3 *db, GError **error, const char *sql, const char *types, ...);
/* database_step: TRUE with a row; FALSE at the end, or with an error. */
gboolean database_step(sqlite3 *db, sqlite3_stmt *statement, GError **error);
/* database_text: (transfer full) (nullable) a column's text. */
char *database_text(sqlite3_stmt *statement, int column);

/* database_connect: another connection to a file that database_open() has opened; foreign keys are on, the log is synced
 * only when it is moved into the file. */
sqlite3 *database_connect(const char *path, GError **error);

/* database_fail: always FALSE; what SQLite says went wrong last, with the file's name. */
gboolean database_fail(sqlite3 *db, GError **error);
