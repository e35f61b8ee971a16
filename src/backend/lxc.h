/* The LXC backend: the containers of one folder, through liblxc. They have no balloon, so they are fixed. */
#pragma once
#include "backend/backend.h"

typedef struct {
    const char *path; /* where containers live: /var/lib/lxc */
    const char *const
        *servers; /* NULL-terminated globs of names; a container that matches none is not seen at all */
    int64_t deadline_us; /* for one question; 2 s by default when 0 */
    const char *proc;    /* "/proc" when NULL */
} LxcBackendOptions;

/*
 * lxc_backend_new: never fails; a folder that cannot be read shows as BACKEND_EVENT_DISCONNECTED and in observe's error,
 * and is tried again with each observe.
 *
 * What it says of a container: its memory limit as maximum and as balloon size (`unlimited` where there is none: then
 * both are the host's memory); what its control group holds, less file pages that the kernel drops first, as resident
 * size; the difference as available. Statistics are as old as the observation. overhead_bytes is 0: the kernel counts
 * its own memory for the container in the same group. Stopped containers need no more than their config.
 * id: a UUID made of folder, name, and when the folder was made, the same after every restart. A container that is made anew
 * under a name that was there before is another one: whoever owned the first has no claim to it. So is one that is
 * restored from a backup.
 *
 * Set aside (what a reinstallation does to the old container): its config is renamed, so that no tool starts it, its
 * files stay where they are. One that is set aside is not listed.
 */
Backend *lxc_backend_new(const LxcBackendOptions *options);
