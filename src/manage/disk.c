#include "manage/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "base/size.h"
#include "manage/manage_private.h"

typedef struct {
    char *part, *to;
    DiskDone done;
    gpointer user_data;
} Copy;

char *disk_path(Manage *manage, const Image *image, const char *name, const char *id)
{
    if (!image->disk)
        return NULL;
    g_autofree char *file = g_strdup_printf("%s-%.8s.%s", name, id, image->format);
    return g_build_filename(manage->disks, file, NULL);
}

gboolean disk_check(Manage *manage, const Image *image, GError **error)
{
    struct stat template;
    struct statvfs space;
    if (!image->disk)
        return TRUE;
    if (stat(image->disk, &template) != 0 || statvfs(manage->disks, &space) != 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "image %s: no disk can be made in %s: %s",
                    image->name, manage->disks, g_strerror(errno));
        return FALSE;
    }
    uint64_t needed = (uint64_t) template.st_blocks * 512;
    uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    if (free_bytes >= needed)
        return TRUE;
    g_autofree char *missing = size_format(needed - free_bytes);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "image %s: its disk does not fit into %s: %s missing (%" G_GUINT64_FORMAT " bytes)",
                image->name, manage->disks, missing, (guint64)(needed - free_bytes));
    return FALSE;
}

static void finish(Copy *copy, const GError *error)
{
    copy->done(error, copy->user_data);
    g_free(copy->part);
    g_free(copy->to);
    g_free(copy);
}

/* What a program said at last, without the paths before it, which are the host's business; the log has all of it. */
static GError *complaint(const char *what, const char *words)
{
    g_autofree char *shown = error_printable(words, -1, 300);
    const char *reason = strrchr(shown, ':');
    g_message("%s: %s", what, *shown ? shown : "it failed");
    return g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "%s:%s", what,
                       reason ? reason + 1 : " it failed");
}

static gboolean ended_well(GSubprocess *process, GAsyncResult *result, const char *what, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *words = NULL;
    if (!g_subprocess_communicate_utf8_finish(process, result, NULL, &words, &problem)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (g_subprocess_get_successful(process))
        return TRUE;
    g_propagate_error(error, complaint(what, g_strstrip(words)));
    return FALSE;
}

static void run(const char *const *command, Copy *copy, GAsyncReadyCallback then)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocess) process = g_subprocess_newv(
        command, G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
    if (process)
        g_subprocess_communicate_utf8_async(process, NULL, NULL, then, copy);
    else
        finish(copy, error);
}

static void folder_synced(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    ended_well(G_SUBPROCESS(source), result, "write the disk's folder", &error);
    finish(user_data, error);
}

static void synced(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Copy *copy = user_data;
    g_autoptr(GError) error = NULL;
    if (ended_well(G_SUBPROCESS(source), result, "write the disk", &error) &&
        g_rename(copy->part, copy->to) != 0)
        error = complaint("name the disk", g_strerror(errno));
    if (error) {
        finish(copy, error);
        return;
    }
    g_autofree char *folder = g_path_get_dirname(copy->to);
    run((const char *[]){"sync", "--", folder, NULL}, copy, folder_synced);
}

static void copied(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Copy *copy = user_data;
    g_autoptr(GError) error = NULL;
    if (ended_well(G_SUBPROCESS(source), result, "copy the disk", &error))
        run((const char *[]){"sync", "--", copy->part, NULL}, copy, synced);
    else
        finish(copy, error);
}

/* On stable storage before anybody writes down that it is there. */
void disk_copy(const char *from, const char *to, DiskDone done, gpointer user_data)
{
    Copy *copy = g_new0(Copy, 1);
    *copy = (Copy){
        .part = g_strconcat(to, ".part", NULL), .to = g_strdup(to), .done = done, .user_data = user_data};
    run((const char *[]){"cp", "--reflink=auto", "--sparse=always", "--", from, copy->part, NULL}, copy,
        copied);
}

gboolean disk_remove(const char *path, GError **error)
{
    g_autofree char *part = g_strconcat(path, ".part", NULL);
    const char *const files[] = {path, part};
    for (guint i = 0; i < G_N_ELEMENTS(files); i++)
        if (g_unlink(files[i]) != 0 && errno != ENOENT) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "remove the disk %s: %s", files[i],
                        g_strerror(errno));
            return FALSE;
        }
    return TRUE;
}
