#include "backend/hostsettings.h"
#include <string.h>
#include "base/size.h"
#include "base/u64.h"
#include "policy/facts.h"

/* The number that follows @key at the beginning of a line, after @skip further words. */
static gboolean find_number(const char *text, const char *key, int skip, uint64_t *ret)
{
    size_t length = strlen(key);
    for (const char *line = text; line && *line;) {
        const char *at = line;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
        if (strncmp(at, key, length) != 0)
            continue;
        at += length;
        for (int i = 0; i <= skip; i++) {
            at += strspn(at, " \t");
            if (i < skip)
                at += strcspn(at, " \t\n");
        }
        char *end;
        if (!g_ascii_isdigit(*at))
            return FALSE;
        *ret = g_ascii_strtoull(at, &end, 10);
        return *end == ' ' || *end == '\n' || *end == '\0';
    }
    return FALSE;
}

static void take_kib(const char *text, const char *key, uint64_t *ret_bytes)
{
    uint64_t kib;
    if (find_number(text, key, 0, &kib) && kib <= SIZE_MAX_BYTES / KIB)
        *ret_bytes = kib * KIB;
}

void hostsettings_parse_meminfo(const char *text, HostSettings *ret)
{
    take_kib(text, "SwapTotal:", &ret->swap_total_bytes);
    take_kib(text, "SwapFree:", &ret->swap_free_bytes);
    uint64_t page = UNKNOWN, total, free_pages;
    take_kib(text, "Hugepagesize:", &page);
    if (page == UNKNOWN || page == 0 || !find_number(text, "HugePages_Total:", 0, &total) ||
        !find_number(text, "HugePages_Free:", 0, &free_pages) || total > SIZE_MAX_BYTES / page)
        return;
    ret->huge_total_bytes = total * page;
    ret->huge_free_bytes = u64_min(free_pages, total) * page;
}

void hostsettings_parse_arcstats(const char *text, HostSettings *ret)
{
    uint64_t size, minimum;
    if (!find_number(text, "size ", 1, &size) || !find_number(text, "c_min ", 1, &minimum) ||
        size > SIZE_MAX_BYTES || minimum > SIZE_MAX_BYTES)
        return;
    ret->arc_bytes = size;
    ret->arc_minimum_bytes = minimum;
}

int hostsettings_parse_number(const char *text)
{
    if (!g_ascii_isdigit(text[0]) || (text[1] != '\n' && text[1] != '\0'))
        return -1;
    return text[0] - '0';
}

static gboolean has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    return g_strv_contains((const char *const *)words, word);
}

char *hostsettings_parse_cgroup(const char *text, gboolean *ret_unified)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *unified = NULL;
    *ret_unified = FALSE;
    for (guint i = 0; lines[i]; i++) {
        /* 4:cpu,cpuacct:/machine/a; the path may have colons itself. */
        g_auto(GStrv) parts = g_strsplit(lines[i], ":", 3);
        if (g_strv_length(parts) != 3 || parts[2][0] != '/')
            continue;
        if (has_word(parts[1], "cpu"))
            return g_strdup(parts[2]);
        if (parts[1][0] == '\0' && !unified)
            unified = g_strdup(parts[2]);
    }
    *ret_unified = unified != NULL;
    return g_steal_pointer(&unified);
}

static char *read_file(const char *root, const char *path)
{
    g_autofree char *whole = g_build_filename(root, path, NULL);
    char *text = NULL;
    return g_file_get_contents(whole, &text, NULL, NULL) ? text : NULL;
}

static int read_number(const char *root, const char *path)
{
    g_autofree char *text = read_file(root, path);
    return text ? hostsettings_parse_number(text) : -1;
}

void hostsettings_read(const char *proc, const char *sys, HostSettings *ret)
{
    *ret = (HostSettings){.swap_total_bytes = UNKNOWN,
                          .swap_free_bytes = UNKNOWN,
                          .huge_total_bytes = UNKNOWN,
                          .huge_free_bytes = UNKNOWN};
    g_autofree char *meminfo = read_file(proc, "meminfo"), *pressure = read_file(proc, "pressure/memory");
    g_autofree char *arc = read_file(proc, "spl/kstat/zfs/arcstats");
    ret->pressure = pressure != NULL;
    if (meminfo)
        hostsettings_parse_meminfo(meminfo, ret);
    if (arc)
        hostsettings_parse_arcstats(arc, ret);
    ret->overcommit_memory = read_number(proc, "sys/vm/overcommit_memory");
    ret->ksm_run = read_number(sys, "kernel/mm/ksm/run");
    ret->session_groups = read_number(proc, "sys/kernel/sched_autogroup_enabled");
}

gboolean hostsettings_by_session(const char *proc, const char *sys, int pid)
{
    gboolean unified;
    g_autofree char *name = g_strdup_printf("%d/cgroup", pid);
    g_autofree char *text = read_file(proc, name);
    g_autofree char *path = text ? hostsettings_parse_cgroup(text, &unified) : NULL;
    if (!path || !unified)
        return path && g_str_equal(path, "/");
    g_autofree char *weight = g_build_filename(sys, "fs/cgroup", path, "cpu.weight", NULL);
    return !g_file_test(weight, G_FILE_TEST_EXISTS);
}
