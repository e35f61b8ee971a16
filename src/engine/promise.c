/* Keeps what is under way in a file of fixed lines: a key, and the bytes asked for. */
#include "engine/promise.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"

/* A SHA-256 in hexadecimal, a space, 19 digits, a newline, filled up: a power of two, so that no line lies on two pages, of
 * which a killed process may write only the first. */
#define LINE_BYTES 128
#define KEY_CHARS  64
#define FILE_MODE  0640

typedef struct {
    uint64_t bytes;
    off_t offset;
} Promise;

struct Promises {
    char *path;
    int fd;
    GHashTable *open; /* key -> Promise */
    GArray *vacant;   /* of off_t */
    off_t end;
};

static gboolean fail(const char *path, int number, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                "%s: %s; the daemon must be able to write the file and its folder", path, g_strerror(number));
    return FALSE;
}

static char *key_of(const char *uri, const char *id)
{
    g_autofree char *whole = g_strconcat(uri, "\n", id, NULL);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);
}

static void keep(Promises *promises, const char *key, uint64_t bytes, off_t offset)
{
    Promise *promise = g_new(Promise, 1);
    *promise = (Promise){bytes, offset};
    g_hash_table_insert(promises->open, g_strdup(key), promise);
}

/* Any line that says nothing is vacant. */
static void read_line(Promises *promises, const char *line, off_t offset)
{
    g_autofree char *key = g_strndup(line, KEY_CHARS);
    g_autofree char *digits = g_strndup(line + KEY_CHARS, LINE_BYTES - KEY_CHARS);
    guint64 bytes = 0;
    gboolean whole = strlen(key) == KEY_CHARS && strspn(key, "0123456789abcdef") == KEY_CHARS &&
                     g_ascii_string_to_unsigned(g_strstrip(digits), 10, 1, G_MAXINT64, &bytes, NULL);
    if (whole && !g_hash_table_contains(promises->open, key))
        keep(promises, key, bytes, offset);
    else
        g_array_append_val(promises->vacant, offset);
}

static gboolean read_all(Promises *promises, GError **error)
{
    char line[LINE_BYTES];
    ssize_t got;
    while ((got = pread(promises->fd, line, sizeof line, promises->end)) == (ssize_t)sizeof line) {
        read_line(promises, line, promises->end);
        promises->end += LINE_BYTES;
    }
    return got >= 0 || fail(promises->path, errno, error);
}

Promises *promises_open(const char *path, GError **error)
{
    g_autoptr(Promises) promises = g_new0(Promises, 1);
    promises->fd = -1;
    promises->path = g_strdup(path);
    promises->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    promises->vacant = g_array_new(FALSE, FALSE, sizeof(off_t));
    if (!path)
        return g_steal_pointer(&promises);
    promises->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (promises->fd < 0 && !fail(path, errno, error))
        return NULL;
    return read_all(promises, error) ? g_steal_pointer(&promises) : NULL;
}

void promises_free(Promises *promises)
{
    if (!promises)
        return;
    if (promises->fd >= 0)
        close(promises->fd);
    g_hash_table_unref(promises->open);
    g_array_unref(promises->vacant);
    g_free(promises->path);
    g_free(promises);
}

static gboolean write_line(const Promises *promises, off_t offset, const char *key, uint64_t bytes,
                           GError **error)
{
    char line[LINE_BYTES + 1];
    g_snprintf(line, sizeof line, "%-*s %*" G_GUINT64_FORMAT "\n", KEY_CHARS, key, LINE_BYTES - KEY_CHARS - 2,
               (guint64)bytes);
    ssize_t written = pwrite(promises->fd, line, LINE_BYTES, offset);
    return written == LINE_BYTES || fail(promises->path, written < 0 ? errno : ENOSPC, error);
}

static off_t vacancy(Promises *promises)
{
    off_t offset = promises->end;
    if (promises->vacant->len > 0) {
        offset = g_array_index(promises->vacant, off_t, promises->vacant->len - 1);
        g_array_set_size(promises->vacant, promises->vacant->len - 1);
    } else {
        promises->end += LINE_BYTES;
    }
    return offset;
}

gboolean promises_note(Promises *promises, const char *uri, const char *id, uint64_t bytes, GError **error)
{
    if (!promises || promises->fd < 0)
        return TRUE;
    g_autofree char *key = key_of(uri, id);
    Promise *promise = g_hash_table_lookup(promises->open, key);
    if (!promise) {
        keep(promises, key, bytes, vacancy(promises));
        promise = g_hash_table_lookup(promises->open, key);
    }
    promise->bytes = bytes;
    return write_line(promises, promise->offset, key, bytes, error);
}

void promises_kept(Promises *promises, const char *uri, const char *id)
{
    if (!promises || promises->fd < 0)
        return;
    g_autofree char *key = key_of(uri, id);
    const Promise *promise = g_hash_table_lookup(promises->open, key);
    if (!promise)
        return;
    /* A line that cannot be written over stays, and makes the next daemon ask once too often. */
    write_line(promises, promise->offset, "", 0, NULL);
    g_array_append_val(promises->vacant, promise->offset);
    g_hash_table_remove(promises->open, key);
}

uint64_t promises_open_bytes(const Promises *promises, const char *uri, const char *id)
{
    if (!promises || promises->fd < 0)
        return 0;
    g_autofree char *key = key_of(uri, id);
    const Promise *promise = g_hash_table_lookup(promises->open, key);
    return promise ? promise->bytes : 0;
}
