/* The libvirt backend: KVM and TCG domains of one libvirt connection, local to this host. */
#pragma once
#include "backend/backend.h"

typedef struct {
    const char *uri; /* qemu:///system, qemu+unix:///system?socket=..., test:///default for tests */
    const char *const
        *servers;        /* NULL-terminated globs of names; a server that matches none is not seen at all */
    int64_t deadline_us; /* for one call; 2 s by default when 0 */
    unsigned stats_period_s; /* statistics polling to switch on where it is off; 1 by default when 0 */
    gboolean read_only;      /* observe mode from the start: sets no polling period either */
} LibvirtBackendOptions;

/*
 * libvirt_backend_new: connects in the background and again, with growing pauses up to 5 s, for as long as it lives.
 * Never fails; a connection that cannot be made shows as BACKEND_EVENT_DISCONNECTED and in observe's error.
 * Runs its callbacks in the thread-default main context of the caller, which must be the default one (libvirt-glib).
 * Must not be freed from within one of them. Ignores SIGPIPE for the process where nobody has chosen otherwise.
 *
 * Facts wait for a hung QEMU a quarter of the deadline at most, and once; that server is then not responsive until it
 * answers again. A target asked for while another call on that server is under way waits for it; if a newer one comes
 * meanwhile, it is answered with AEROSTAT_ERROR_CONFLICT. A target for a server that is being migrated, saved or
 * copied, is not running or has no balloon: the same. For one that does not answer: AEROSTAT_ERROR_UNAVAILABLE.
 *
 * The first target that is set ends read_only. Until then ask_fresh is AEROSTAT_ERROR_DENIED.
 */
Backend *libvirt_backend_new(const LibvirtBackendOptions *options);
