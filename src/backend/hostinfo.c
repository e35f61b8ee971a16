#include "backend/hostinfo.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"

/* Reads decimal digits at *@at and moves it behind them. FALSE without digits or beyond 64 bits. */
static gboolean take_number(const char **at, uint64_t *ret)
{
    const char *c = *at;
    uint64_t value = 0;
    if (!g_ascii_isdigit(*c))
        return FALSE;
    for (; g_ascii_isdigit(*c); c++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return FALSE;
    }
    *at = c;
    *ret = value;
    return TRUE;
}

static const char *skip_blanks(const char *c)
{
    while (*c == ' ' || *c == '\t')
        c++;
    return c;
}

/* The rest of the line that starts with @key, or NULL. */
static const char *find_line(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line && *line;) {
        if (strncmp(line, key, length) == 0)
            return line + length;
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return NULL;
}

static gboolean take_kib(const char *at, uint64_t *ret_bytes)
{
    uint64_t kib;
    if (!at)
        return FALSE;
    at = skip_blanks(at);
    if (!take_number(&at, &kib) || strncmp(skip_blanks(at), "kB", 2) != 0 || kib > SIZE_MAX_BYTES / KIB)
        return FALSE;
    *ret_bytes = kib * KIB;
    return TRUE;
}

gboolean hostinfo_parse_meminfo(const char *text, HostMemory *ret)
{
    uint64_t memory, available;
    if (!take_kib(find_line(text, "MemTotal:"), &memory) ||
        !take_kib(find_line(text, "MemAvailable:"), &available) || memory == 0)
        return FALSE;
    ret->memory_bytes = memory;
    ret->available_bytes = u64_min(available, memory);
    return TRUE;
}

gboolean hostinfo_parse_pressure(const char *text, double *ret_some_avg10)
{
    const char *at = find_line(text, "some ");
    char *end;
    double value;
    if (!at)
        return FALSE;
    at = skip_blanks(at);
    if (strncmp(at, "avg10=", 6) != 0 || !g_ascii_isdigit(at[6]))
        return FALSE;
    value = g_ascii_strtod(at + 6, &end);
    if ((*end != ' ' && *end != '\n' && *end != '\0') || !isfinite(value) || value > 100)
        return FALSE;
    *ret_some_avg10 = value;
    return TRUE;
}

/* A kstat line: name, type, value. */
static gboolean take_kstat(const char *text, const char *key, uint64_t *ret)
{
    const char *at = find_line(text, key);
    uint64_t type;
    if (!at || (*at != ' ' && *at != '\t'))
        return FALSE;
    at = skip_blanks(at);
    if (!take_number(&at, &type))
        return FALSE;
    at = skip_blanks(at);
    return take_number(&at, ret);
}

gboolean hostinfo_parse_arcstats(const char *text, uint64_t *ret_reclaimable_bytes)
{
    uint64_t size, minimum;
    if (!take_kstat(text, "size", &size) || !take_kstat(text, "c_min", &minimum) || size > SIZE_MAX_BYTES)
        return FALSE;
    *ret_reclaimable_bytes = u64_sub_sat(size, minimum);
    return TRUE;
}

gboolean hostinfo_parse_statm(const char *text, uint64_t page_bytes, uint64_t *ret_resident_bytes)
{
    uint64_t size, resident, bytes;
    if (!take_number(&text, &size) || *text != ' ')
        return FALSE;
    text = skip_blanks(text);
    if (!take_number(&text, &resident) || (*text != ' ' && *text != '\n' && *text != '\0'))
        return FALSE;
    if (__builtin_mul_overflow(resident, page_bytes, &bytes) || bytes > SIZE_MAX_BYTES)
        return FALSE;
    *ret_resident_bytes = bytes;
    return TRUE;
}

gboolean hostinfo_read(const char *proc, HostMemory *ret, GError **error)
{
    HostMemory host = {.pressure_some_avg10 = -1};
    g_autofree char *path = g_build_filename(proc, "meminfo", NULL);
    g_autofree char *pressure_path = g_build_filename(proc, "pressure", "memory", NULL);
    g_autofree char *arc_path = g_build_filename(proc, "spl", "kstat", "zfs", "arcstats", NULL);
    g_autofree char *meminfo = NULL, *pressure = NULL, *arc = NULL;
    g_autoptr(GError) cause = NULL;

    if (!g_file_get_contents(path, &meminfo, NULL, &cause)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "%s: %s", path, cause->message);
        return FALSE;
    }
    if (!hostinfo_parse_meminfo(meminfo, &host)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                    "%s: no usable MemTotal and MemAvailable in it", path);
        return FALSE;
    }
    /* Both are optional: a kernel without PSI refuses the read, a host without ZFS has no such file. */
    if (g_file_get_contents(pressure_path, &pressure, NULL, NULL))
        hostinfo_parse_pressure(pressure, &host.pressure_some_avg10);
    if (g_file_get_contents(arc_path, &arc, NULL, NULL))
        hostinfo_parse_arcstats(arc, &host.arc_reclaimable_bytes);
    host.available_bytes =
        u64_min(u64_add_sat(host.available_bytes, host.arc_reclaimable_bytes), host.memory_bytes);
    *ret = host;
    return TRUE;
}
