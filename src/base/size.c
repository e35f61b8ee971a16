#include <math.h>
#include <stdio.h>
#include "base/error.h"
#include "base/size.h"

__extension__ typedef unsigned __int128 Wide;

/* Fraction digits beyond these are dropped: 10^18 still fits 64 bits, and is finer than a byte of a TiB. */
#define FRACTION_DIGITS 18
/* Percentages are kept to 9 decimals: a hundred of them times 2^64 fits 128 bits, and a double holds them
 * exactly. */
#define NANO        UINT64_C(1000000000)
#define QUOTE_CHARS 60

typedef struct {
    uint64_t whole;    /* UINT64_MAX when it does not fit */
    uint64_t fraction; /* of scale */
    uint64_t scale;    /* a power of ten */
    gboolean has_fraction;
} Decimal;

static const char *skip_spaces(const char *p)
{
    while (g_ascii_isspace(*p))
        p++;
    return p;
}

/* "12" or "12.5": digits on both sides of the point, no sign, no exponent. Returns its end, NULL when it is
 * neither. */
static const char *scan_decimal(const char *p, Decimal *ret)
{
    *ret = (Decimal){.scale = 1};
    if (!g_ascii_isdigit(*p))
        return NULL;
    for (; g_ascii_isdigit(*p); p++) {
        uint64_t digit = (uint64_t)g_ascii_digit_value(*p);
        if (__builtin_mul_overflow(ret->whole, UINT64_C(10), &ret->whole) ||
            __builtin_add_overflow(ret->whole, digit, &ret->whole))
            ret->whole = UINT64_MAX;
    }
    if (*p != '.')
        return p;
    p++;
    ret->has_fraction = TRUE;
    if (!g_ascii_isdigit(*p))
        return NULL;
    for (guint n = 0; g_ascii_isdigit(*p); p++, n++) {
        if (n >= FRACTION_DIGITS)
            continue;
        ret->fraction = ret->fraction * 10 + (uint64_t)g_ascii_digit_value(*p);
        ret->scale *= 10;
    }
    return p;
}

/* K, M, G, T with or without B or iB, or B alone, or nothing. Returns its end; @p itself when no unit is
 * there. */
static const char *scan_unit(const char *p, uint64_t *ret_unit)
{
    static const char LETTERS[] = "bkmgt";
    const char *letter = *p ? strchr(LETTERS, g_ascii_tolower(*p)) : NULL;
    *ret_unit = 1;
    if (!letter)
        return p;
    *ret_unit = UINT64_C(1) << (10 * (letter - LETTERS));
    p++;
    if (*letter == 'b')
        return p;
    if (g_ascii_strncasecmp(p, "ib", 2) == 0)
        return p + 2;
    return g_ascii_tolower(*p) == 'b' ? p + 1 : p;
}

static gboolean refuse(const char *text, const char *wrong, const char *right, GError **error)
{
    g_autofree char *quoted = error_printable(text, -1, QUOTE_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s; write %s", quoted, wrong, right);
    return FALSE;
}

static gboolean only_letters(const char *p)
{
    while (g_ascii_isalpha(*p))
        p++;
    return *skip_spaces(p) == '\0';
}

static uint64_t of_nano_percent(uint64_t of_bytes, uint64_t nano_percent)
{
    return (uint64_t)((Wide)of_bytes * nano_percent / ((Wide)100 * NANO));
}

/* FALSE above 100 %. */
static gboolean decimal_nano(const Decimal *decimal, uint64_t *ret_nano)
{
    if (decimal->whole > 100)
        return FALSE;
    *ret_nano = decimal->whole * NANO + (uint64_t)((Wide)decimal->fraction * NANO / decimal->scale);
    return *ret_nano <= 100 * NANO;
}

static gboolean decimal_bytes(const Decimal *decimal, uint64_t unit, uint64_t *ret_bytes)
{
    Wide bytes = (Wide)decimal->whole * unit + (Wide)decimal->fraction * unit / decimal->scale;
    if (bytes > SIZE_MAX_BYTES)
        return FALSE;
    *ret_bytes = (uint64_t)bytes;
    return TRUE;
}

gboolean size_parse(const char *text, uint64_t of_bytes, uint64_t *ret_bytes, GError **error)
{
    const char *right =
        of_bytes ? "a size such as 512M or 2GiB, or a percentage such as 5%" : "a size such as 512M or 2GiB";
    const char *p = skip_spaces(text);
    if (*p == '\0')
        return refuse(text, "is empty", right, error);
    if (*p == '-')
        return refuse(text, "is negative", right, error);
    Decimal decimal;
    p = scan_decimal(p, &decimal);
    if (!p)
        return refuse(text, "is not a size", right, error);
    p = skip_spaces(p);
    uint64_t bytes, nano, unit;
    if (*p == '%') {
        if (*skip_spaces(p + 1) != '\0')
            return refuse(text, "is not a percentage", right, error);
        if (of_bytes == 0)
            return refuse(text, "is a percentage, and here it would be of nothing", right, error);
        if (!decimal_nano(&decimal, &nano))
            return refuse(text, "is more than all of it", "at most 100%", error);
        bytes = of_nano_percent(of_bytes, nano);
        if (bytes > SIZE_MAX_BYTES)
            return refuse(text, "of it is too large", "a size of less than 64 PiB", error);
        *ret_bytes = bytes;
        return TRUE;
    }
    const char *end = skip_spaces(scan_unit(p, &unit));
    if (*end != '\0')
        return refuse(text, only_letters(p) ? "has no known unit" : "is not a size", right, error);
    if (decimal.has_fraction && unit == 1)
        return refuse(text, "is a fraction of bytes", "its unit too, such as 1.5G", error);
    if (!decimal_bytes(&decimal, unit, &bytes))
        return refuse(text, "is too large", "a size of less than 64 PiB", error);
    *ret_bytes = bytes;
    return TRUE;
}

gboolean size_parse_percent(const char *text, double *ret_percent, GError **error)
{
    static const char RIGHT[] = "a percentage such as 5%";
    const char *p = skip_spaces(text);
    Decimal decimal;
    uint64_t nano;
    if (*p == '-')
        return refuse(text, "is negative", RIGHT, error);
    p = scan_decimal(p, &decimal);
    p = p ? skip_spaces(p) : NULL;
    if (!p || *p != '%' || *skip_spaces(p + 1) != '\0')
        return refuse(text, "is not a percentage", RIGHT, error);
    if (!decimal_nano(&decimal, &nano))
        return refuse(text, "is more than all of it", "at most 100%", error);
    *ret_percent = (double)nano / (double)NANO;
    return TRUE;
}

uint64_t size_of_percent(uint64_t of_bytes, double percent)
{
    if (!(percent > 0))
        return 0;
    return percent >= 100 ? of_bytes : of_nano_percent(of_bytes, (uint64_t)llround(percent * (double)NANO));
}

char *size_format_buf(uint64_t bytes, char *buffer, size_t size)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    g_assert(size > 0);
    guint index = 0;
    while (index + 1 < G_N_ELEMENTS(UNITS) && bytes >> (10 * (index + 1)))
        index++;
    Wide unit = (Wide)1 << (10 * index);
    guint tenths = (guint)(((Wide)bytes * 10 + unit / 2) / unit);
    guint whole = (guint)((bytes + unit / 2) / unit);
    if (index > 0 && whole == 1024 && index + 1 < G_N_ELEMENTS(UNITS))
        snprintf(buffer, size, "1 %s", UNITS[index + 1]);
    else if (index == 0 || tenths >= 1000)
        snprintf(buffer, size, "%u %s", whole, UNITS[index]);
    else if (tenths % 10 == 0)
        snprintf(buffer, size, "%u %s", tenths / 10, UNITS[index]);
    else
        snprintf(buffer, size, "%u.%u %s", tenths / 10, tenths % 10, UNITS[index]);
    return buffer;
}

char *size_format(uint64_t bytes)
{
    char buffer[16];
    return g_strdup(size_format_buf(bytes, buffer, sizeof buffer));
}
