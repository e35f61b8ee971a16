#include "backend/lxc_cgroup.h"
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "policy/facts.h"

/* A v1 group without a limit shows the largest count of pages there is; no machine comes near a quarter of it. */
#define V1_UNLIMITED_BYTES (UINT64_C(1) << 61)

void cgroup_mounts_clear(CgroupMounts *mounts)
{
    g_clear_pointer(&mounts->v1_memory, g_free);
    g_clear_pointer(&mounts->v2, g_free);
}

/* Whether @list, divided by commas, has @word. */
static gboolean has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    return g_strv_contains((const char *const *)words, word);
}

static void keep_first(char **slot, const char *value)
{
    if (!*slot)
        *slot = g_strcompress(value); /* blanks stand there as \040 */
}

/* "36 35 98:0 /root /mount/point options [tags...] - type source super-options" */
static void parse_mount(const char *line, CgroupMounts *ret)
{
    const char *dash = strstr(line, " - ");
    if (!dash)
        return;
    g_auto(GStrv) before = g_strsplit(line, " ", 6), after = g_strsplit(dash + 3, " ", 3);
    if (g_strv_length(before) < 6 || g_strv_length(after) < 3 || before[4][0] != '/')
        return;
    if (g_str_equal(after[0], "cgroup2"))
        keep_first(&ret->v2, before[4]);
    else if (g_str_equal(after[0], "cgroup") && has_word(after[2], "memory"))
        keep_first(&ret->v1_memory, before[4]);
}

gboolean cgroup_parse_mounts(const char *mountinfo, CgroupMounts *ret)
{
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
    *ret = (CgroupMounts){0};
    for (guint i = 0; lines[i]; i++)
        parse_mount(lines[i], ret);
    return ret->v1_memory || ret->v2;
}

gboolean cgroup_mounts_read(const char *proc, CgroupMounts *ret, GError **error)
{
    g_autofree char *path = g_build_filename(proc, "self", "mountinfo", NULL), *text = NULL;
    g_autoptr(GError) local = NULL;
    *ret = (CgroupMounts){0};
    if (!g_file_get_contents(path, &text, NULL, &local)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "%s", local->message);
        return FALSE;
    }
    if (cgroup_parse_mounts(text, ret))
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                "%s: no control groups are mounted, so nobody counts the memory of containers; mount them at "
                "/sys/fs/cgroup",
                path);
    return FALSE;
}

char *cgroup_parse_membership(const char *text, gboolean v1)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], ":", 3);
        if (g_strv_length(fields) < 3 || fields[2][0] != '/')
            continue;
        if (v1 ? has_word(fields[1], "memory") : g_str_has_prefix(lines[i], "0::"))
            return g_strdup(fields[2]);
    }
    return NULL;
}

/* "lxc.payload.NAME", or with -1, -2, ... where a group of that name was left over. */
static gboolean is_numbered(const char *part, const char *stem)
{
    gsize length = strlen(stem);
    if (strncmp(part, stem, length) != 0)
        return FALSE;
    if (part[length] == '\0')
        return TRUE;
    return part[length] == '-' && part[length + 1] != '\0' &&
           strspn(part + length + 1, G_CSET_DIGITS) == strlen(part + length + 1);
}

static char *join(char **parts, guint n)
{
    GString *path = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        if (parts[i][0] != '\0')
            g_string_append_printf(path, "/%s", parts[i]);
    return g_string_free(path, FALSE);
}

char *cgroup_payload_path(const char *path, const char *name, const char *own_dir)
{
    g_autofree char *stem = g_strconcat("lxc.payload.", name, NULL);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    gsize own = own_dir ? strspn(own_dir, "/") : 0;
    g_autofree char *configured = own_dir && own_dir[own] ? g_strconcat("/", own_dir + own, NULL) : NULL;
    if (configured && g_str_has_suffix(configured, "/"))
        configured[strlen(configured) - 1] = '\0';
    for (guint i = 0; parts[i]; i++) {
        g_autofree char *so_far = join(parts, i + 1);
        gboolean old_style = i > 0 && g_str_equal(parts[i - 1], "lxc") && is_numbered(parts[i], name);
        if (is_numbered(parts[i], stem) || old_style || (configured && g_str_has_suffix(so_far, configured)))
            return g_steal_pointer(&so_far);
    }
    /* A layout of somebody's own: what systemd in the container puts itself into is still known. */
    guint n = g_strv_length(parts);
    if (n > 1 && (g_str_equal(parts[n - 1], "init.scope") || g_str_equal(parts[n - 1], "init")))
        n--;
    return join(parts, n);
}

char *cgroup_folder(const char *proc, const CgroupMounts *mounts, int pid, const char *name,
                    const char *own_dir)
{
    g_autofree char *file = g_strdup_printf("%s/%d/cgroup", proc, pid), *text = NULL;
    if (!g_file_get_contents(file, &text, NULL, NULL))
        return NULL;
    g_autofree char *path = cgroup_parse_membership(text, mounts->v1_memory != NULL);
    if (!path)
        return NULL;
    g_autofree char *payload = cgroup_payload_path(path, name, own_dir);
    /* The root is everybody's. */
    if (payload[0] == '\0')
        return NULL;
    return g_strconcat(mounts->v1_memory ? mounts->v1_memory : mounts->v2, payload, NULL);
}

gboolean cgroup_parse_stat(const char *text, CgroupMemory *ret)
{
    gboolean found = FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    ret->cache_bytes = UNKNOWN;
    for (guint i = 0; lines[i]; i++) {
        guint64 bytes;
        const char *blank = strchr(lines[i], ' ');
        if (!blank || !g_ascii_string_to_unsigned(blank + 1, 10, 0, SIZE_MAX_BYTES, &bytes, NULL))
            continue;
        g_autofree char *key = g_strndup(lines[i], (gsize)(blank - lines[i]));
        /* v1 also has figures without "total_": those of this group without the ones below it, and they come first. */
        if (g_str_equal(key, "total_inactive_file") || (g_str_equal(key, "inactive_file") && !found)) {
            ret->inactive_file_bytes = bytes;
            found = TRUE;
        } else if (g_str_equal(key, "total_cache") || g_str_equal(key, "file") ||
                   (g_str_equal(key, "cache") && ret->cache_bytes == UNKNOWN)) {
            ret->cache_bytes = bytes;
        }
    }
    return found;
}

static gboolean parse_number(const char *text, uint64_t *ret)
{
    static const char suffixes[] = "KMGTPE";
    char *end = NULL;
    guint64 bytes = g_ascii_strtoull(text, &end, 0);
    const char *suffix = *end ? strchr(suffixes, g_ascii_toupper(*end)) : NULL;
    if (end == text || !g_ascii_isdigit(text[0]) || (*end && (!suffix || end[1] != '\0')))
        return FALSE;
    unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    *ret = bytes >= (V1_UNLIMITED_BYTES >> shift) ? UNKNOWN : bytes << shift;
    return TRUE;
}

gboolean cgroup_parse_limit(const char *text, uint64_t *ret)
{
    g_autofree char *word = g_strstrip(g_strdup(text));
    if (g_str_equal(word, "max") || g_str_equal(word, "-1")) {
        *ret = UNKNOWN;
        return TRUE;
    }
    return parse_number(word, ret);
}

static char *read_file(const char *folder, const char *name)
{
    char *text = NULL;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

gboolean cgroup_read(const char *folder, CgroupMemory *ret)
{
    g_autofree char *v2 = read_file(folder, "memory.current");
    g_autofree char *usage = v2 ? g_steal_pointer(&v2) : read_file(folder, "memory.usage_in_bytes");
    g_autofree char *max = read_file(folder, "memory.max");
    g_autofree char *limit = max ? g_steal_pointer(&max) : read_file(folder, "memory.limit_in_bytes");
    g_autofree char *stat = read_file(folder, "memory.stat");
    CgroupMemory memory = {.limit_bytes = UNKNOWN};
    if (!usage || !parse_number(g_strstrip(usage), &memory.usage_bytes) || memory.usage_bytes == UNKNOWN)
        return FALSE;
    if (limit)
        cgroup_parse_limit(limit, &memory.limit_bytes);
    if (!stat || !cgroup_parse_stat(stat, &memory))
        memory.inactive_file_bytes = 0;
    *ret = memory;
    return TRUE;
}
