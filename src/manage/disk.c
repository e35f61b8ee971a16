#include "manage/disk.h"

#include <errno.h>
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

static void copied(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GSubprocess *process = G_SUBPROCESS(source);
    Copy *copy = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) told = NULL;
    g_autofree char *words = NULL;
    g_autofree char *out = NULL;
    gboolean read = g_subprocess_communicate_utf8_finish(process, result, &out, &words, &error);
    if (!read || !g_subprocess_get_successful(process)) {
        g_autofree char *shown = error_printable(g_strstrip(words ? words : (words = g_strdup(""))), -1, 300);
        told = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "copy the disk: %s",
                           *shown ? shown : (error ? error->message : "cp failed"));
    } else if (g_rename(copy->part, copy->to) != 0) {
        told = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "name the disk %s: %s", copy->to,
                           g_strerror(errno));
    }
    copy->done(told, copy->user_data);
    g_free(copy->part);
    g_free(copy->to);
    g_free(copy);
}

void disk_copy(const char *from, const char *to, DiskDone done, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *part = g_strconcat(to, ".part", NULL);
    g_autoptr(GSubprocess) process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error, "cp",
                         "--reflink=auto", "--sparse=always", "--", from, part, NULL);
    if (!process) {
        done(error, user_data);
        return;
    }
    Copy *copy = g_new0(Copy, 1);
    *copy = (Copy){.part = g_steal_pointer(&part), .to = g_strdup(to), .done = done, .user_data = user_data};
    g_subprocess_communicate_utf8_async(process, NULL, NULL, copied, copy);
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
