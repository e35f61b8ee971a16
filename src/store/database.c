#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "store/database.h"
#include "store/secret.h"

/* "Aero": tells this file from another program's database. */
#define APPLICATION_ID 0x4165726f
#define FOLDER_MODE    0750
#define FILE_MODE      0640
/* The daemon is the only writer; somebody with the sqlite3 shell gets one second, the daemon's loop loses no
 * more. */
#define BUSY_TIMEOUT_MS 1000

static gboolean fail(const char *path, const char *why, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "store %s: %s", path, why);
    return FALSE;
}

gboolean database_fail(sqlite3 *db, GError **error)
{
    int code = sqlite3_errcode(db) & 0xff;
    gboolean busy = code == SQLITE_BUSY || code == SQLITE_LOCKED;
    const char *path = sqlite3_db_filename(db, "main");
    const char *advice = "";
    if (busy)
        advice = "; another program holds it, try again when it is done";
    else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        advice = "; put a .bak copy in its place, or move it away to begin without settings";
    else if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM)
        advice = "; the daemon must be able to write the file and its folder";
    else if (code == SQLITE_FULL)
        advice = "; make room on that file system";
    g_set_error(error, AEROSTAT_ERROR, busy ? AEROSTAT_ERROR_UNAVAILABLE : AEROSTAT_ERROR_FAILED,
                "store %s: %s%s", path ? path : "?", sqlite3_errmsg(db), advice);
    return FALSE;
}

gboolean database_run(sqlite3 *db, const char *sql, GError **error)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || database_fail(db, error);
}

sqlite3_stmt *database_prepare(sqlite3 *db, const char *sql, GError **error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        database_fail(db, error);
    return statement;
}

static void bind_all(sqlite3_stmt *statement, const char *types, va_list values)
{
    for (int i = 0; types[i] != '\0'; i++) {
        if (types[i] == 't')
            sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
        else if (types[i] == 'i')
            sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
        else if (types[i] == 'd')
            sqlite3_bind_blob(statement, i + 1, va_arg(values, const guint8 *), DIGEST_BYTES, SQLITE_STATIC);
        else
            g_assert(types[i] == 'n');
    }
}

sqlite3_stmt *database_query(sqlite3 *db, GError **error, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = database_prepare(db, sql, error);
    if (!statement)
        return NULL;
    va_list values;
    va_start(values, types);
    bind_all(statement, types, values);
    va_end(values);
    return statement;
}

gboolean database_exec(sqlite3 *db, GError **error, const char *sql, const char *types, ...)
{
    g_autoptr(sqlite3_stmt) statement = database_prepare(db, sql, error);
    if (!statement)
        return FALSE;
    va_list values;
    va_start(values, types);
    bind_all(statement, types, values);
    va_end(values);
    return sqlite3_step(statement) == SQLITE_DONE || database_fail(db, error);
}

gboolean database_step(sqlite3 *db, sqlite3_stmt *statement, GError **error)
{
    int step = sqlite3_step(statement);
    return step == SQLITE_ROW || (step != SQLITE_DONE && database_fail(db, error));
}

char *database_text(sqlite3_stmt *statement, int column)
{
    return g_strdup((const char *)sqlite3_column_text(statement, column));
}

static gboolean read_number(sqlite3 *db, const char *sql, int *ret, GError **error)
{
    g_autoptr(sqlite3_stmt) statement = database_prepare(db, sql, error);
    if (!statement)
        return FALSE;
    if (sqlite3_step(statement) != SQLITE_ROW)
        return database_fail(db, error);
    *ret = sqlite3_column_int(statement, 0);
    return TRUE;
}

/* SQLite would make it 0644. Only a file that nobody has is opened here: closing it would drop another's
 * locks. */
static gboolean create_file(const char *path, GError **error)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return errno == EEXIST || fail(path, g_strerror(errno), error);
    close(fd);
    return TRUE;
}

static gboolean create_folder(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    return g_mkdir_with_parents(folder, FOLDER_MODE) == 0 || fail(folder, g_strerror(errno), error);
}

static sqlite3 *open_file(const char *path, int flags, GError **error)
{
    g_autoptr(sqlite3) db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK) {
        if (db)
            database_fail(db, error);
        else
            fail(path, "out of memory", error);
        return NULL;
    }
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    return g_steal_pointer(&db);
}

/* quick_check answers "ok", or what is wrong. Settings are a few pages, so it costs less than a millisecond.
 */
static gboolean check_pages(sqlite3 *db, const char *path, GError **error)
{
    g_autoptr(sqlite3_stmt) statement = database_prepare(db, "PRAGMA quick_check(1)", error);
    if (!statement)
        return FALSE;
    if (sqlite3_step(statement) != SQLITE_ROW)
        return database_fail(db, error);
    const char *answer = (const char *)sqlite3_column_text(statement, 0);
    if (g_strcmp0(answer, "ok") == 0)
        return TRUE;
    g_autofree char *why =
        g_strdup_printf("damaged (%s); put a .bak copy in its place, or move it away to begin "
                        "without settings",
                        answer ? answer : "?");
    return fail(path, why, error);
}

/* Whose it is, how old, and whether it can be read and written at all; before anything in it is touched. */
static gboolean check_file(sqlite3 *db, const char *path, guint newest, int *ret_version, GError **error)
{
    int tables = 0, owner = 0;
    if (!read_number(db, "PRAGMA user_version", ret_version, error) ||
        !read_number(db, "PRAGMA application_id", &owner, error) ||
        !read_number(db, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return FALSE;
    if (owner != APPLICATION_ID && (owner != 0 || *ret_version != 0 || tables != 0))
        return fail(path, "is another program's database; give [store] path a folder of its own", error);
    if (*ret_version < 0 || (guint)*ret_version > newest) {
        g_autofree char *why =
            g_strdup_printf("was written by a newer Aerostat (schema %d, this one knows %u); "
                            "install that version again, or put a .bak copy in its place",
                            *ret_version, newest);
        return fail(path, why, error);
    }
    /* SQLite opens a file it may not write for reading and says nothing. */
    if (sqlite3_db_readonly(db, "main") == 1)
        return fail(path, "is not writable; the daemon must be able to write it and its folder", error);
    return check_pages(db, path, error);
}

/* From a connection of its own: SQLite copies nothing from one that is in a transaction. A reader of a WAL
 * sees what was committed last, and the caller's lock keeps it the last. */
static gboolean copy_pages(const char *from, const char *to, GError **error)
{
    g_autoptr(sqlite3) source = NULL;
    g_autoptr(sqlite3) copy = NULL;
    if (!create_file(to, error) || !(source = open_file(from, 0, error)) || !(copy = open_file(to, 0, error)))
        return FALSE;
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source, "main");
    if (!backup)
        return database_fail(copy, error);
    sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK || database_fail(copy, error);
}

static gboolean sync_path(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC);
    gboolean ok = fd >= 0 && fsync(fd) == 0;
    int failure = errno;
    if (fd >= 0)
        close(fd);
    return ok || fail(path, g_strerror(failure), error);
}

/* Whole or not at all: a half copy must never look like one. An older copy of the same version gives way to
 * it. */
static gboolean copy_beside(const char *path, int version, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *name = g_strdup_printf("%s.v%d.bak", path, version);
    g_autofree char *part = g_strconcat(name, ".part", NULL);
    g_unlink(part); /* what an interrupted copy left */
    if (!copy_pages(path, part, error) || !sync_path(part, O_RDONLY, error))
        return FALSE;
    if (g_rename(part, name) != 0)
        return fail(name, g_strerror(errno), error);
    return sync_path(folder, O_RDONLY | O_DIRECTORY, error);
}

static gboolean run_steps(sqlite3 *db, int version, const Migration *steps, guint n_steps, GError **error)
{
    for (guint i = (guint)version; i < n_steps; i++)
        if (!steps[i](db, error)) {
            g_prefix_error(error, "upgrade to schema %u: ", i + 1);
            return FALSE;
        }
    g_autofree char *mark =
        g_strdup_printf("PRAGMA application_id = %d; PRAGMA user_version = %u", APPLICATION_ID, n_steps);
    return database_run(db, mark, error);
}

static gboolean migrate(sqlite3 *db, const char *path, const Migration *steps, guint n_steps, GError **error)
{
    int version = 0;
    if (!database_run(db, "BEGIN IMMEDIATE", error))
        return FALSE;
    /* Read again under the lock: another daemon may have been faster. */
    gboolean ok = read_number(db, "PRAGMA user_version", &version, error);
    if (ok && (guint)version < n_steps)
        ok = (version == 0 || copy_beside(path, version, error)) &&
             run_steps(db, version, steps, n_steps, error);
    ok = ok && database_run(db, "COMMIT", error);
    if (!ok)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

sqlite3 *database_open(const char *path, const Migration *steps, guint n_steps, GError **error)
{
    int version = 0;
    if (!create_folder(path, error) || !create_file(path, error))
        return NULL;
    g_autoptr(sqlite3) db = open_file(path, 0, error);
    if (!db)
        return NULL;
    /* Until the file has proved to be ours, closing it must not even move its log into it. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!check_file(db, path, n_steps, &version, error))
        return NULL;
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (!database_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
                      error))
        return NULL;
    if ((guint)version < n_steps && !migrate(db, path, steps, n_steps, error))
        return NULL;
    return g_steal_pointer(&db);
}

sqlite3 *database_connect(const char *path, GError **error)
{
    g_autoptr(sqlite3) db = open_file(path, 0, error);
    if (!db || !database_run(db, "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON", error))
        return NULL;
    return g_steal_pointer(&db);
}
