#include "cli/text.h"

#include <string.h>

#include "base/size.h"

static gboolean is_utf8 = TRUE;

void text_set_utf8(gboolean utf8)
{
    is_utf8 = utf8;
}

gboolean text_is_utf8(void)
{
    return is_utf8;
}

const char *text_dash(void)
{
    return is_utf8 ? "–" : "-";
}

const char *text_ellipsis(void)
{
    return is_utf8 ? "…" : "...";
}

const char *text_arrow(void)
{
    return is_utf8 ? "→" : "->";
}

const char *text_dot(void)
{
    return is_utf8 ? "·" : "|";
}

/* The typography of the daemon's own sentences, for terminals without it. */
static const char *plain_form(gunichar c)
{
    static const struct {
        gunichar c;
        const char *plain;
    } forms[] = {{0x2013, "-"},  {0x2014, "-"},  {0x2018, "'"},   {0x2019, "'"},
                 {0x201c, "\""}, {0x201d, "\""}, {0x2026, "..."}, {0x2192, "->"},
                 {0x00b7, "|"},  {0x00d7, "x"},  {0x2264, "<="},  {0x2265, ">="}};
    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++)
        if (forms[i].c == c)
            return forms[i].plain;
    return NULL;
}

/* Direction overrides, joiners, and what no terminal agrees on the width of. */
static gboolean is_harmless(gunichar c)
{
    static const GUnicodeType harmful[] = {
        G_UNICODE_CONTROL,     G_UNICODE_FORMAT,    G_UNICODE_LINE_SEPARATOR, G_UNICODE_PARAGRAPH_SEPARATOR,
        G_UNICODE_PRIVATE_USE, G_UNICODE_SURROGATE, G_UNICODE_UNASSIGNED};
    GUnicodeType type = g_unichar_type(c);
    for (gsize i = 0; i < G_N_ELEMENTS(harmful); i++)
        if (harmful[i] == type)
            return FALSE;
    return TRUE;
}

static void append_clean(GString *text, gunichar c)
{
    const char *plain = is_utf8 ? NULL : plain_form(c);
    if (c < 0x80 && g_ascii_isprint((char)c))
        g_string_append_c(text, (char)c);
    else if (c < 0x100 && g_unichar_iscntrl(c))
        g_string_append_printf(text, "\\x%02x", c);
    else if (plain != NULL)
        g_string_append(text, plain);
    else if (is_utf8 && is_harmless(c))
        g_string_append_unichar(text, c);
    else
        g_string_append_printf(text, c > 0xffff ? "\\U%06x" : "\\u%04x", c);
}

char *text_clean(const char *raw)
{
    if (raw == NULL)
        return g_strdup(text_dash());
    GString *text = g_string_new(NULL);
    for (const char *p = raw; *p != '\0';) {
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(text, "\\x%02x", (guchar)*p++);
            continue;
        }
        append_clean(text, c);
        p = g_utf8_next_char(p);
    }
    return g_string_free(text, FALSE);
}

static int char_width(gunichar c)
{
    if (g_unichar_iszerowidth(c))
        return 0;
    return g_unichar_iswide(c) ? 2 : 1;
}

int text_width(const char *text)
{
    int width = 0;
    for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p))
        width += char_width(g_utf8_get_char(p));
    return width;
}

/* Where the longest beginning of at most @columns ends. */
static const char *cut_at(const char *text, int columns, int *ret_width)
{
    const char *p = text;
    int width = 0;
    while (*p != '\0') {
        int next = char_width(g_utf8_get_char(p));
        if (width + next > columns)
            break;
        width += next;
        p = g_utf8_next_char(p);
    }
    if (ret_width != NULL)
        *ret_width = width;
    return p;
}

char *text_fit(const char *text, int columns)
{
    if (columns <= 0)
        return g_strdup("");
    if (text_width(text) <= columns)
        return g_strdup(text);
    const char *mark = text_width(text_ellipsis()) < columns ? text_ellipsis() : "";
    const char *end = cut_at(text, columns - text_width(mark), NULL);
    g_autofree char *kept = g_strndup(text, (gsize)(end - text));
    return g_strconcat(kept, mark, NULL);
}

char *text_pad(const char *text, int columns, gboolean right)
{
    g_autofree char *fitted = text_fit(text, columns);
    int missing = MAX(columns - text_width(fitted), 0);
    return right ? g_strdup_printf("%*s%s", missing, "", fitted)
                 : g_strdup_printf("%s%*s", fitted, missing, "");
}

GPtrArray *text_wrap(const char *text, int columns)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    columns = MAX(columns, 2); /* a wide character must fit */
    const char *p = text;
    while (text_width(p) > columns) {
        const char *end = cut_at(p, columns, NULL);
        const char *space = *end == ' ' ? end : g_strrstr_len(p, end - p, " ");
        if (space == NULL || space == p) /* one word longer than the line */
            space = end;
        g_ptr_array_add(lines, g_strndup(p, (gsize)(space - p)));
        for (p = space; *p == ' ';)
            p++;
    }
    if (*p != '\0' || lines->len == 0)
        g_ptr_array_add(lines, g_strdup(p));
    return lines;
}

char *text_bytes(uint64_t bytes)
{
    return bytes == UNKNOWN_FACT ? g_strdup(text_dash()) : size_format(bytes);
}

/* With a space between thousands. */
char *text_count(uint64_t count)
{
    if (count == UNKNOWN_FACT)
        return g_strdup(text_dash());
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, count);
    gsize length = strlen(digits);
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && length > 4)
            g_string_append_c(text, ' ');
        g_string_append_c(text, digits[i]);
    }
    return g_string_free(text, FALSE);
}

char *text_duration(uint64_t duration_us)
{
    if (duration_us == UNKNOWN_FACT)
        return g_strdup(text_dash());
    uint64_t s = duration_us / G_USEC_PER_SEC;
    if (duration_us == 0)
        return g_strdup("0 s");
    if (duration_us < 1000)
        return g_strdup_printf("%" G_GUINT64_FORMAT " %s", duration_us, is_utf8 ? "µs" : "us");
    if (s < 1)
        return g_strdup_printf("%" G_GUINT64_FORMAT " ms", duration_us / 1000);
    if (s < 60)
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " s", s, duration_us / 100000 % 10);
    if (s < 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT " min %" G_GUINT64_FORMAT " s", s / 60, s % 60);
    if (s < 86400)
        return g_strdup_printf("%" G_GUINT64_FORMAT " h %" G_GUINT64_FORMAT " min", s / 3600, s / 60 % 60);
    return g_strdup_printf("%" G_GUINT64_FORMAT " d %" G_GUINT64_FORMAT " h", s / 86400, s / 3600 % 24);
}

char *text_time(int64_t time_us, gboolean clock_only)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);
    g_autoptr(GDateTime) local = utc != NULL ? g_date_time_to_local(utc) : NULL;
    if (local == NULL)
        return g_strdup(text_dash());
    return g_date_time_format(local, clock_only ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S");
}
