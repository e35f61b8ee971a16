#include <string.h>
#include "base/error.h"

typedef struct {
    const char *name;
    int jsonrpc;
    int http;
} ErrorRow;

/* -32602 is JSON-RPC's own "invalid params"; the others take -32000 - code from the range it leaves to
 * servers. */
static const ErrorRow ERRORS[] = {
    [AEROSTAT_ERROR_FAILED] = {"failed", -32000, 500},
    [AEROSTAT_ERROR_INVALID] = {"invalid", -32602, 400},
    [AEROSTAT_ERROR_NOT_FOUND] = {"not-found", -32002, 404},
    [AEROSTAT_ERROR_DENIED] = {"denied", -32003, 403},
    [AEROSTAT_ERROR_CONFLICT] = {"conflict", -32004, 409},
    [AEROSTAT_ERROR_UNAVAILABLE] = {"unavailable", -32005, 503},
    [AEROSTAT_ERROR_TIMEOUT] = {"timeout", -32006, 504},
    [AEROSTAT_ERROR_NO_ROOM] = {"no-room", -32007, 507},
    [AEROSTAT_ERROR_UNAUTHENTICATED] = {"unauthenticated", -32008, 401},
    [AEROSTAT_ERROR_FORBIDDEN] = {"forbidden", -32009, 403},
    [AEROSTAT_ERROR_RATE_LIMITED] = {"rate-limited", -32010, 429},
    [AEROSTAT_ERROR_BUSY] = {"busy", -32011, 409},
};
G_STATIC_ASSERT(G_N_ELEMENTS(ERRORS) == AEROSTAT_N_ERRORS);

typedef struct {
    int retry_after_s;
    uint64_t missing_bytes;
} AerostatErrorPrivate;

static void aerostat_error_private_init(AerostatErrorPrivate *figures)
{
    *figures = (AerostatErrorPrivate){0};
}

static void aerostat_error_private_copy(const AerostatErrorPrivate *from, AerostatErrorPrivate *to)
{
    *to = *from;
}

static void aerostat_error_private_clear(AerostatErrorPrivate *figures)
{
}

G_DEFINE_EXTENDED_ERROR(AerostatError, aerostat_error)

void error_set_retry_after(GError *error, int seconds)
{
    aerostat_error_get_private(error)->retry_after_s = seconds;
}

int error_retry_after_s(const GError *error)
{
    return error->domain == AEROSTAT_ERROR ? aerostat_error_get_private(error)->retry_after_s : 0;
}

void error_set_missing(GError *error, uint64_t bytes)
{
    aerostat_error_get_private(error)->missing_bytes = bytes;
}

uint64_t error_missing_bytes(const GError *error)
{
    return error->domain == AEROSTAT_ERROR ? aerostat_error_get_private(error)->missing_bytes : 0;
}

/* A code may come from a GError of another domain, cast: whatever it says, the answer is a row of the table.
 */
static const ErrorRow *error_row(AerostatError code)
{
    gsize index = (gsize)code;
    return &ERRORS[index < AEROSTAT_N_ERRORS ? index : AEROSTAT_ERROR_FAILED];
}

const char *error_code_name(AerostatError code)
{
    return error_row(code)->name;
}

AerostatError error_code_from_name(const char *name)
{
    for (gsize i = 0; i < AEROSTAT_N_ERRORS; i++)
        if (g_strcmp0(name, ERRORS[i].name) == 0)
            return (AerostatError)i;
    return AEROSTAT_ERROR_FAILED;
}

int error_code_jsonrpc(AerostatError code)
{
    return error_row(code)->jsonrpc;
}

int error_code_http(AerostatError code)
{
    return error_row(code)->http;
}

/* Line and paragraph separators break a line on some terminals although GLib calls them printable. */
static gboolean fits_one_line(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);
    return g_unichar_isprint(c) && type != G_UNICODE_LINE_SEPARATOR && type != G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *error_printable(const char *text, gssize length, guint max_chars)
{
    gsize left = length < 0 ? strlen(text) : (gsize)length;
    GString *out = g_string_new(NULL);
    for (guint n = 0; left > 0; n++) {
        if (n == max_chars) {
            g_string_append(out, "...");
            break;
        }
        gunichar c = g_utf8_get_char_validated(text, (gssize)left);
        gboolean whole = c != (gunichar)-1 && c != (gunichar)-2;
        gsize size = whole ? (gsize)(g_utf8_next_char(text) - text) : 1;
        if (whole && fits_one_line(c))
            g_string_append_len(out, text, (gssize)size);
        else
            for (gsize i = 0; i < size; i++)
                g_string_append_printf(out, "\\x%02x", (guint)(guchar)text[i]);
        text += size;
        left -= size;
    }
    return g_string_free(out, FALSE);
}
