/* Values of scenario files: durations, numbers, speeds, phases. */
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "sim/scenario_keys.h"

#define QUOTE_CHARS 60
/* A duration's digits before the point: 48 h in milliseconds has nine. */
#define DURATION_DIGITS 12

static gboolean refuse(const char *text, const char *wrong, GError **error)
{
    g_autofree char *quoted = error_printable(text, -1, QUOTE_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s", quoted, wrong);
    return FALSE;
}

static int64_t unit_us(const char *unit)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"us", 1},     {"ms", 1000},      {"s", 1000000},
                 {"", 1000000}, {"min", 60000000}, {"h", INT64_C(3600000000)}};
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(unit, units[i].name))
            return units[i].us;
    return 0;
}

/* "12", "12.5s", "200ms": no sign, no exponent, no "nan". */
static gboolean scan_duration(const char *text, int64_t *ret_us)
{
    gsize whole = strspn(text, "0123456789");
    const char *rest = text + whole;
    int64_t fraction = 0, scale = 1;
    if (whole == 0 || whole > DURATION_DIGITS)
        return FALSE;
    if (*rest == '.') {
        gsize digits = strspn(++rest, "0123456789");
        if (digits == 0 || digits > 6)
            return FALSE;
        for (gsize i = 0; i < digits; i++, scale *= 10)
            fraction = fraction * 10 + (rest[i] - '0');
        rest += digits;
    }
    int64_t unit = unit_us(rest);
    int64_t number = g_ascii_strtoll(text, NULL, 10);
    if (unit == 0 || number > SCENARIO_MAX_US / unit)
        return FALSE;
    *ret_us = number * unit + fraction * unit / scale;
    return TRUE;
}

gboolean value_duration(const char *text, int64_t low_us, int64_t high_us, int64_t *ret_us, GError **error)
{
    int64_t us;
    if (!scan_duration(text, &us))
        return refuse(text, "is not a time; write something like 200ms, 1.5s, 2min or 1h, at most 48h",
                      error);
    if (us < low_us || us > high_us) {
        g_autofree char *wrong = g_strdup_printf("is out of range; write a time from %.6gs to %.6gs",
                                                 (double)low_us / 1e6, (double)high_us / 1e6);
        return refuse(text, wrong, error);
    }
    *ret_us = us;
    return TRUE;
}

gboolean value_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret, GError **error)
{
    guint64 number;
    if (!g_ascii_string_to_unsigned(text, 10, low, high, &number, NULL)) {
        g_autofree char *wrong = g_strdup_printf(
            "does not do here; write a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
            (guint64)low, (guint64)high);
        return refuse(text, wrong, error);
    }
    *ret = number;
    return TRUE;
}

gboolean value_speed(const char *text, uint64_t *ret_bytes_per_s, GError **error)
{
    if (!g_str_has_suffix(text, "/s"))
        return refuse(text, "is not a speed; write something like 200MiB/s", error);
    g_autofree char *size = g_strndup(text, strlen(text) - 2);
    uint64_t bytes;
    if (!size_parse(size, 0, &bytes, error))
        return FALSE;
    if (bytes == 0)
        return refuse(text,
                      "stands still; write at least 1K/s, or model = stuck for a guest that never inflates",
                      error);
    *ret_bytes_per_s = bytes;
    return TRUE;
}

static gboolean phase_word(const char *word, const char *value, Phase *phase, GError **error)
{
    if (g_str_equal(word, "memory"))
        return size_parse(value, 0, &phase->memory_bytes, error);
    if (g_str_equal(word, "cache"))
        return size_parse(value, 0, &phase->cache_bytes, error);
    if (g_str_equal(word, "rate"))
        return value_speed(value, &phase->rate_bytes_per_s, error);
    return refuse(word, "is not known in a phase; write TIME [memory SIZE] [cache SIZE] [rate SIZE/s]",
                  error);
}

gboolean value_phase(const char *text, const Phase *before, Phase *ret, GError **error)
{
    g_autofree char *copy = g_strdelimit(g_strdup(text), "\t", ' ');
    g_auto(GStrv) pieces = g_strsplit(copy, " ", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    for (char **piece = pieces; *piece; piece++)
        if (**piece)
            g_ptr_array_add(words, *piece);
    Phase phase = before ? *before : (Phase){0};
    phase.rate_bytes_per_s = 0;
    if (words->len == 0)
        return refuse(text, "has no time; write TIME [memory SIZE] [cache SIZE] [rate SIZE/s]", error);
    if (!value_duration(words->pdata[0], 0, SCENARIO_MAX_US, &phase.at_us, error))
        return FALSE;
    for (guint i = 1; i < words->len; i += 2) {
        if (i + 1 == words->len)
            return refuse(words->pdata[i],
                          "has no value; write TIME [memory SIZE] [cache SIZE] [rate SIZE/s]", error);
        if (!phase_word(words->pdata[i], words->pdata[i + 1], &phase, error))
            return FALSE;
    }
    if (!before && phase.at_us != 0)
        return refuse(words->pdata[0], "is the time of the first phase; the first phase begins at 0s", error);
    if (before && phase.at_us <= before->at_us)
        return refuse(words->pdata[0],
                      "is not later than the phase before; write phases in the order of time", error);
    *ret = phase;
    return TRUE;
}

gboolean value_times(const char *text, GArray *times, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    for (char **word = words; *word; word++) {
        int64_t us;
        if (!value_duration(g_strstrip(*word), 0, SCENARIO_MAX_US, &us, error))
            return FALSE;
        if (times->len > 0 && us <= g_array_index(times, int64_t, times->len - 1))
            return refuse(*word, "is not later than the time before; write times in order", error);
        if (times->len >= SCENARIO_MAX_TIMES)
            return refuse(*word, "is one time too many; at most 1000", error);
        g_array_append_val(times, us);
    }
    return TRUE;
}
