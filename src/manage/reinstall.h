/*
 * Reinstall: a server made anew on KVM from an image, under the same name, with the same memory, settings and owner. The
 * old one, a container or a virtual machine, is set aside with its disk until it is purged. Whatever fails, the old server
 * is as it was before, and runs if it ran.
 */
#pragma once
#include "manage/manage.h"

typedef struct {
    const char *image;
    const char *confirm;   /* the server's name, once more */
    uint64_t memory_bytes; /* 0: as it has now */
} ManageReinstall;

/*
 * manage_reinstall: begins the operation; (transfer none) valid until the next turn of the main loop. NULL, and nothing
 * was touched, with
 *   AEROSTAT_ERROR_INVALID   @confirm is not the name; too little memory for the image; a container without a limit and no
 *                            memory given
 *   AEROSTAT_ERROR_NOT_FOUND no such image
 *   AEROSTAT_ERROR_CONFLICT  being migrated; transient; an earlier one of this name is still set aside; the disk does not
 *                            fit; a file of the image is missing
 *   AEROSTAT_ERROR_BUSY, AEROSTAT_ERROR_NO_ROOM, AEROSTAT_ERROR_UNAVAILABLE
 */
const Operation *manage_reinstall(Manage *manage, Tracked *tracked, const ManageReinstall *reinstall,
                                  const ManageCaller *caller, GError **error);

/* manage_purge: removes what a reinstallation of @name has set aside, with its disks, for good. The same errors;
 * AEROSTAT_ERROR_NOT_FOUND when there is nothing. */
const Operation *manage_purge(Manage *manage, const char *name, const char *confirm,
                              const ManageCaller *caller, GError **error);

/* manage_aside: (transfer full) (nullable): the reinstallation whose old server is still there. */
Operation *manage_aside(Manage *manage, const char *name);
