#include <string.h>
#include "base/error.h"
#include "base/keyfile.h"

#define QUOTE_CHARS 60

typedef struct {
    char *section; /* NULL before the first */
    KeyfileFunc func;
    gpointer user_data;
} Scan;

static gboolean refuse(const char *line, const char *wrong, const char *right, GError **error)
{
    g_autofree char *quoted = error_printable(line, -1, QUOTE_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s; %s", quoted, wrong, right);
    return FALSE;
}

/* Text that a person wrote: otherwise the rest of the line means nothing. */
static gboolean check_bytes(const char *line, gsize length, GError **error)
{
    const char *wrong = NULL;
    for (gsize i = 0; i < length && !wrong; i++)
        if (line[i] == '\0')
            wrong = "has a NUL byte";
        else if (g_ascii_iscntrl(line[i]) && line[i] != '\t')
            wrong = "has a control character";
    if (!wrong && !g_utf8_validate_len(line, length, NULL))
        wrong = "is not UTF-8";
    if (!wrong)
        return TRUE;
    g_autofree char *quoted = error_printable(line, (gssize)length, QUOTE_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s; write plain UTF-8 text", quoted,
                wrong);
    return FALSE;
}

static gboolean scan_section(Scan *scan, char *line, guint number, GError **error)
{
    char *end = strchr(line, ']');
    if (!end)
        return refuse(line, "has no closing ]", "write a section as [name]", error);
    if (end[1] != '\0')
        return refuse(line, "goes on after the ]", "give what follows a line of its own", error);
    *end = '\0';
    g_free(scan->section);
    scan->section = g_strdup(g_strstrip(line + 1));
    return scan->func(scan->section, NULL, NULL, number, scan->user_data, error);
}

static gboolean scan_line(Scan *scan, char *line, guint number, GError **error)
{
    g_strstrip(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
        return TRUE;
    if (line[0] == '[')
        return scan_section(scan, line, number, error);
    char *equals = strchr(line, '=');
    if (!equals)
        return refuse(line, "has no =", "write KEY = VALUE, or [name] to begin a section", error);
    if (equals == line)
        return refuse(line, "has no key before the =", "write KEY = VALUE", error);
    /* Taken as part of the value it would be found only where values are checked, and a name is hardly
     * checked. */
    if (strstr(equals, " #") || strstr(equals, "\t#"))
        return refuse(line, "has a comment after the value", "give the comment a line of its own", error);
    *equals = '\0';
    return scan->func(scan->section, g_strchomp(line), g_strchug(equals + 1), number, scan->user_data, error);
}

static gboolean scan_raw_line(Scan *scan, const char *begin, gsize length, guint number, GError **error)
{
    if (length > 0 && begin[length - 1] == '\r')
        length--;
    if (!check_bytes(begin, length, error))
        return FALSE;
    g_autofree char *line = g_strndup(begin, length);
    return scan_line(scan, line, number, error);
}

gboolean keyfile_scan(const char *text, gsize length, const char *name, KeyfileFunc func, gpointer user_data,
                      GError **error)
{
    static const char MARK[] = "\xef\xbb\xbf";
    Scan scan = {.func = func, .user_data = user_data};
    gboolean ok = TRUE;
    gsize at = length >= 3 && memcmp(text, MARK, 3) == 0 ? 3 : 0;
    for (guint number = 1; ok && at < length; number++) {
        const char *newline = memchr(text + at, '\n', length - at);
        gsize end = newline ? (gsize)(newline - text) : length;
        ok = scan_raw_line(&scan, text + at, end - at, number, error);
        if (!ok) {
            g_autofree char *printable = error_printable(name, -1, G_MAXUINT);
            g_prefix_error(error, "%s:%u: ", printable, number);
        }
        at = end + 1;
    }
    g_free(scan.section);
    return ok;
}
