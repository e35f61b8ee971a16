/* Disk: a new server's own disk, copied from an image's template by a process of its own. */
#pragma once
#include "manage/manage.h"

/* disk_path: (transfer full) where the disk of a new server goes; NULL when the image has none. */
char *disk_path(Manage *manage, const Image *image, const char *name, const char *id);
/* disk_check: AEROSTAT_ERROR_CONFLICT with the bytes missing when there is no room for it, or its folder is not there. */
gboolean disk_check(Manage *manage, const Image *image, GError **error);

typedef void (*DiskDone)(const GError *error, gpointer user_data);
/* disk_copy: the copy has its name only when it is whole; what a broken one left is overwritten. */
void disk_copy(const char *from, const char *to, DiskDone done, gpointer user_data);
/* disk_remove: the copy, and what a broken one left; fine when there is none. */
gboolean disk_remove(const char *path, GError **error);
