/* Worker threads: what the host and liblxc say. */
#include "backend/lxc_private.h"
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <lxc/lxccontainer.h>
#include "backend/hostinfo.h"
#include "backend/process.h"

static void known_free(gpointer data)
{
    Known *known = data;
    g_free(known->folder);
    g_free(known);
}

static void sighting_free(gpointer data)
{
    Sighting *sighting = data;
    g_free(sighting->name);
    g_free(sighting->id);
    g_free(sighting);
}

Sweep *sweep_new(const char *path, const char *proc, char **globs)
{
    Sweep *sweep = g_new0(Sweep, 1);
    sweep->path = g_strdup(path);
    sweep->proc = g_strdup(proc);
    sweep->globs = g_strdupv(globs);
    sweep->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
    sweep->sighted = g_ptr_array_new_with_free_func(sighting_free);
    return sweep;
}

void sweep_know(Sweep *sweep, const char *name, Init init, const char *folder)
{
    Known *known = g_new0(Known, 1);
    known->init = init;
    known->folder = g_strdup(folder);
    g_hash_table_replace(sweep->known, g_strdup(name), known);
}

void sweep_free(Sweep *sweep)
{
    g_free(sweep->path);
    g_free(sweep->proc);
    g_strfreev(sweep->globs);
    g_hash_table_unref(sweep->known);
    g_ptr_array_unref(sweep->sighted);
    g_free(sweep);
}

static gboolean wanted(const Sweep *sweep, const char *name)
{
    g_autofree char *mark = g_build_filename(sweep->path, name, ASIDE_MARK, NULL);
    for (guint i = 0; sweep->globs[i]; i++)
        if (fnmatch(sweep->globs[i], name, 0) == 0)
            return !g_file_test(mark, G_FILE_TEST_EXISTS);
    return FALSE;
}

static Sighting *sighting_of(Sweep *sweep, GHashTable *by_name, const char *name)
{
    Sighting *sighting = g_hash_table_lookup(by_name, name);
    if (sighting || !wanted(sweep, name))
        return sighting;
    sighting = g_new0(Sighting, 1);
    sighting->name = g_strdup(name);
    sighting->id = container_id(sweep->path, name);
    g_hash_table_insert(by_name, sighting->name, sighting);
    g_ptr_array_add(sweep->sighted, sighting);
    return sighting;
}

static void free_names(char **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static int64_t changed_us(const char *path, const char *name)
{
    struct stat info;
    g_autofree char *file = g_build_filename(path, name, "config", NULL);
    if (stat(file, &info) != 0)
        return 0;
    return (int64_t)info.st_mtim.tv_sec * US_PER_S + info.st_mtim.tv_nsec / 1000;
}

static void measure(Sweep *sweep, Sighting *sighting)
{
    const Known *known = g_hash_table_lookup(sweep->known, sighting->name);
    uint64_t ticks;
    if (!known || known->init.pid == 0)
        return;
    sighting->alive =
        process_start_time(sweep->proc, known->init.pid, &ticks) && ticks == known->init.start_ticks;
    sighting->read = sighting->alive && known->folder && cgroup_read(known->folder, &sighting->memory);
}

void sweep_run(gpointer data, GError **error)
{
    Sweep *sweep = data;
    char **defined = NULL, **active = NULL;
    HostMemory memory;
    g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GDir) folder = g_dir_open(sweep->path, 0, NULL);
    int n_defined = folder ? list_defined_containers(sweep->path, &defined, NULL) : -1;
    if (n_defined < 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "%s cannot be read; is it the folder where this host's containers live?", sweep->path);
        return;
    }
    int n_active = list_active_containers(sweep->path, &active, NULL);
    for (int i = 0; i < n_defined; i++) {
        Sighting *sighting = sighting_of(sweep, by_name, defined[i]);
        if (sighting)
            sighting->config_us = changed_us(sweep->path, defined[i]);
    }
    for (int i = 0; i < n_active; i++) {
        Sighting *sighting = sighting_of(sweep, by_name, active[i]);
        if (sighting)
            sighting->active = TRUE;
    }
    free_names(defined, MAX(n_defined, 0));
    free_names(active, MAX(n_active, 0));
    for (guint i = 0; i < sweep->sighted->len; i++)
        measure(sweep, sweep->sighted->pdata[i]);
    sweep->wall_s = g_get_real_time() / US_PER_S;
    if (hostinfo_read(sweep->proc, &memory, error))
        sweep->host_bytes = memory.memory_bytes;
}

Inquiry *inquiry_new(const char *path, const char *proc, const char *name)
{
    Inquiry *inquiry = g_new0(Inquiry, 1);
    inquiry->path = g_strdup(path);
    inquiry->proc = g_strdup(proc);
    inquiry->name = g_strdup(name);
    inquiry->limit_bytes = UNKNOWN;
    return inquiry;
}

void inquiry_free(Inquiry *inquiry)
{
    g_free(inquiry->path);
    g_free(inquiry->proc);
    g_free(inquiry->name);
    g_free(inquiry->folder);
    g_free(inquiry->rootfs);
    g_free(inquiry);
}

/* (transfer full) (nullable): liblxc tells the length first. */
static char *config_item(struct lxc_container *container, const char *key)
{
    int length = container->get_config_item(container, key, NULL, 0);
    if (length <= 0)
        return NULL;
    char *value = g_malloc0((gsize)length + 1);
    if (container->get_config_item(container, key, value, length + 1) == length)
        return value;
    g_free(value);
    return NULL;
}

static PowerState power_of(const char *state)
{
    if (!state || g_str_equal(state, "STOPPED") || g_str_equal(state, "ABORTING"))
        return POWER_OFF;
    return g_str_equal(state, "FROZEN") ? POWER_PAUSED : POWER_RUNNING;
}

static uint64_t limit_of(struct lxc_container *container, const CgroupMounts *mounts)
{
    uint64_t limit = UNKNOWN;
    g_autofree char *text = config_item(container, mounts->v1_memory ? "lxc.cgroup.memory.limit_in_bytes"
                                                                     : "lxc.cgroup2.memory.max");
    /* A key that was set several times comes as several lines; the last one is in force. */
    char *last = text ? strrchr(g_strchomp(text), '\n') : NULL;
    if (text)
        cgroup_parse_limit(last ? last + 1 : text, &limit);
    return limit;
}

static void find_process(Inquiry *inquiry, struct lxc_container *container, const CgroupMounts *mounts)
{
    g_autofree char *inner = config_item(container, "lxc.cgroup.dir.container");
    g_autofree char *outer = config_item(container, "lxc.cgroup.dir");
    inquiry->init.pid = container->init_pid(container);
    if (inquiry->init.pid <= 0 ||
        !process_start_time(inquiry->proc, inquiry->init.pid, &inquiry->init.start_ticks)) {
        inquiry->init = (Init){0};
        inquiry->power = POWER_OFF;
        return;
    }
    inquiry->folder =
        cgroup_folder(inquiry->proc, mounts, inquiry->init.pid, inquiry->name, inner ? inner : outer);
    inquiry->measured = inquiry->folder && cgroup_read(inquiry->folder, &inquiry->memory);
}

void inquiry_run(gpointer data, GError **error)
{
    Inquiry *inquiry = data;
    CgroupMounts mounts;
    if (!cgroup_mounts_read(inquiry->proc, &mounts, error))
        return;
    struct lxc_container *container = lxc_container_new(inquiry->name, inquiry->path);
    if (container) {
        inquiry->limit_bytes = limit_of(container, &mounts);
        inquiry->rootfs = config_item(container, "lxc.rootfs.path");
        g_autofree char *autostart = config_item(container, "lxc.start.auto");
        inquiry->autostart = g_strcmp0(autostart, "1") == 0;
        inquiry->power = power_of(container->state(container));
        if (inquiry->power != POWER_OFF)
            find_process(inquiry, container, &mounts);
        lxc_container_put(container);
    } else {
        inquiry->unreadable = TRUE;
        inquiry->power = POWER_OFF;
    }
    cgroup_mounts_clear(&mounts);
}

/* When its folder was made, in nanoseconds; 0 where the file system does not say; -1: it cannot be looked at. */
static gint64 made_ns(const char *path, const char *name)
{
    struct statx info;
    g_autofree char *folder = g_build_filename(path, name, NULL);
    if (statx(AT_FDCWD, folder, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &info) != 0)
        return -1;
    if (!(info.stx_mask & STATX_BTIME))
        return 0;
    return (gint64)info.stx_btime.tv_sec * 1000 * US_PER_S + info.stx_btime.tv_nsec;
}

/* A name-based UUID as RFC 9562 makes it (version 5). */
char *container_id(const char *path, const char *name)
{
    static const guint8 space[16] = {0x3d, 0x0c, 0x52, 0x9a, 0x0d, 0x7e, 0x4f, 0x6b,
                                     0x9c, 0x1e, 0x6a, 0x35, 0x7f, 0x21, 0xb8, 0x44};
    guint8 bytes[20];
    gsize length = sizeof bytes;
    gint64 made = made_ns(path, name);
    if (made < 0)
        return NULL;
    made = GINT64_TO_BE(made);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, space, sizeof space);
    g_checksum_update(sum, (const guchar *)path, (gssize)strlen(path) + 1);
    g_checksum_update(sum, (const guchar *)name, (gssize)strlen(name) + 1);
    g_checksum_update(sum, (const guchar *)&made, sizeof made);
    g_checksum_get_digest(sum, bytes, &length);
    bytes[6] = (guint8)((bytes[6] & 0x0f) | 0x50);
    bytes[8] = (guint8)((bytes[8] & 0x3f) | 0x80);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < 16; i++)
        g_string_append_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return g_string_free(text, FALSE);
}
