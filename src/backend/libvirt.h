/* The libvirt backend: KVM and TCG domains of one libvirt connection, local to this host. */
#pragma once
#include "backend/backend.h"

typedef struct {
    const char *uri;             /* qemu:///system, qemu+unix:///system?socket=..., test:///default for tests */
    const char *const *servers;  /* NULL-terminated globs of names; a server that matches none is not seen at all */
    int64_t deadline_us;         /* for one call; 2 s by default when 0 */
    unsigned stats_period_s;     /* statistics polling to switch on where it is off; 1 by default when 0 */
    gboolean read_only;          /* observe mode from the start: sets no polling period either */
} LibvirtBackendOptions;

/*
 * libvirt_backend_new: connects in the background and again, with growing pauses up to 5 s, for as long as it lives.
 * Never fails; a connection that cannot be made shows as BACKEND_EVENT_DISCONNECTED and in observe's error.
 * Runs its callbacks in the thread-default main context of the caller, which must be the default one (libvirt-glib).
 */
Backend *libvirt_backend_new(const LibvirtBackendOptions *options);
