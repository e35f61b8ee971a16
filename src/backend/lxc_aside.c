/*
 * Setting a container aside: its config gets another name, so that it is no container any more for any tool, and a mark
 * says whose doing that was. Everything else stays where it is, whatever kind of storage its root file system is on.
 * The mark comes first and goes last: what has it is never listed, so no crash shows a container half set aside.
 */
#include "backend/lxc_private.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lxc/lxccontainer.h>

#define OPEN_FOLDERS_MAX 32

static gboolean fail(const char *what, const char *path, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "%s %s: %s", what, path, g_strerror(errno));
    return FALSE;
}

static gboolean sync_folder(const char *folder, GError **error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean synced = fd >= 0 && fsync(fd) == 0;
    if (!synced)
        fail("write", folder, error);
    if (fd >= 0)
        close(fd);
    return synced;
}

static gboolean exists(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean rename_in(const char *folder, const char *from, const char *to, GError **error)
{
    g_autofree char *old = g_build_filename(folder, from, NULL), *new = g_build_filename(folder, to, NULL);
    return rename(old, new) == 0 ? sync_folder(folder, error) : fail("rename", old, error);
}

/* Whether @folder bears @keep's mark. FALSE: it bears another one's. */
static gboolean read_mark(const char *folder, const char *keep, gboolean *ret_marked, GError **error)
{
    g_autofree char *path = g_build_filename(folder, ASIDE_MARK, NULL), *text = NULL;
    *ret_marked = g_file_get_contents(path, &text, NULL, NULL);
    if (!*ret_marked || g_str_equal(g_strstrip(text), keep))
        return TRUE;
    g_autofree char *other = error_printable(text, -1, 60);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "%s was set aside before, as \"%s\"; purge that first", folder, other);
    return FALSE;
}

static gboolean mark(const char *folder, const char *keep, GError **error)
{
    g_autofree char *path = g_build_filename(folder, ASIDE_MARK, NULL);
    g_autofree char *text = g_strconcat(keep, "\n", NULL);
    g_autoptr(GError) local = NULL;
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                 0600, &local))
        return sync_folder(folder, error);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "%s", local->message);
    return FALSE;
}

/* (transfer full) (nullable): the folder of the container with @id. */
static char *find(const char *path, const char *id, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &local);
    const char *name;
    if (!dir) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "%s", local->message);
        return NULL;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *its_id = container_id(path, name);
        if (g_strcmp0(its_id, id) == 0)
            return g_build_filename(path, name, NULL);
    }
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "%s has no container with the id %s", path,
                id);
    return NULL;
}

char *aside_name_of(const char *path, const char *id, GError **error)
{
    g_autofree char *folder = find(path, id, error);
    if (!folder)
        return NULL;
    if (!exists(folder, ASIDE_MARK))
        return g_path_get_basename(folder);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "%s: the container is set aside", folder);
    return NULL;
}

static gboolean is_running(const char *path, const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    struct lxc_container *container = lxc_container_new(name, path);
    gboolean running = container && container->is_running(container);
    if (container)
        lxc_container_put(container);
    return running;
}

gboolean aside_put(const char *path, const char *id, const char *keep, GError **error)
{
    gboolean marked;
    g_autofree char *folder = find(path, id, error);
    if (!folder || !read_mark(folder, keep, &marked, error))
        return FALSE;
    if (is_running(path, folder)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "%s: the container runs; it can be set aside once it is stopped", folder);
        return FALSE;
    }
    if (!marked && !mark(folder, keep, error))
        return FALSE;
    if (!exists(folder, "config") && exists(folder, ASIDE_CONFIG))
        return TRUE;
    return rename_in(folder, "config", ASIDE_CONFIG, error);
}

gboolean aside_take_back(const char *path, const char *id, const char *keep, GError **error)
{
    gboolean marked;
    g_autofree char *folder = find(path, id, error);
    if (!folder || !read_mark(folder, keep, &marked, error))
        return FALSE;
    if (!marked) /* the mark goes last */
        return TRUE;
    if (exists(folder, ASIDE_CONFIG) && !rename_in(folder, ASIDE_CONFIG, "config", error))
        return FALSE;
    g_autofree char *path_of_mark = g_build_filename(folder, ASIDE_MARK, NULL);
    return unlink(path_of_mark) == 0 ? sync_folder(folder, error) : fail("remove", path_of_mark, error);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    return remove(path);
}

static gboolean destroy(const char *path, const char *name, GError **error)
{
    struct lxc_container *container = lxc_container_new(name, path);
    gboolean destroyed = container && container->destroy(container);
    if (!destroyed)
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
            "container %s: liblxc could not remove its root file system%s%s; remove it by hand, then purge "
            "again",
            name, container && container->error_string ? ": " : "",
            container && container->error_string ? container->error_string : "");
    if (container)
        lxc_container_put(container);
    return destroyed;
}

/* The root file system is liblxc's to remove: it may be a volume. For that the config has its name again; the mark keeps
 * the container hidden meanwhile. */
gboolean aside_purge(const char *path, const char *id, const char *keep, GError **error)
{
    gboolean marked;
    g_autoptr(GError) local = NULL;
    g_autofree char *folder = find(path, id, &local);
    if (g_error_matches(local, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND))
        return TRUE;
    if (!folder) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (!read_mark(folder, keep, &marked, error))
        return FALSE;
    if (!marked) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "%s is not set aside; nothing is removed",
                    folder);
        return FALSE;
    }
    if (exists(folder, ASIDE_CONFIG) && !rename_in(folder, ASIDE_CONFIG, "config", error))
        return FALSE;
    g_autofree char *name = g_path_get_basename(folder);
    if (exists(folder, "config") && !destroy(path, name, error)) {
        rename_in(folder, "config", ASIDE_CONFIG, NULL);
        return FALSE;
    }
    /* What liblxc did not make itself, such as the mark; FTW_MOUNT: nothing that is mounted in there. */
    if (g_file_test(folder, G_FILE_TEST_EXISTS) &&
        nftw(folder, remove_one, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return fail("remove", folder, error);
    return TRUE;
}
