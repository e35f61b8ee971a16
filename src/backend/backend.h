/*
 * Backend: the one interface between the engine and a hypervisor. Facts come out in bytes; targets go in.
 *
 * Threads: every function is called on the engine's thread (the one of the GMainContext given to the constructor) and
 * returns at once; work that may block runs on the backend's own workers. Every callback runs on the engine's thread.
 * At most one call is in flight per server. A call that passes its deadline is answered with AEROSTAT_ERROR_TIMEOUT;
 * its late answer is dropped, and that server is not asked anything else until the call has really returned (it is
 * reported with responsive = FALSE meanwhile). One hung server never delays the facts of the others by more than one
 * deadline, and only once.
 */
#pragma once
#include <stdint.h>
#include <glib.h>
#include "policy/facts.h"

typedef enum { SERVER_KIND_KVM, SERVER_KIND_LXC } ServerKind;

typedef enum { POWER_OFF, POWER_RUNNING, POWER_PAUSED, POWER_MIGRATING, POWER_N } PowerState;

/* A machine's ballooning by its definition. OFF is without balloon device and with all memory made resident at the start;
 * OFF_LOCKED has it locked as well, which not every host lets a hypervisor do: then the start fails. */
typedef enum { BALLOONING_ON, BALLOONING_OFF, BALLOONING_OFF_LOCKED } Ballooning;

/* What the next cold start will make of a server: its persistent definition, as against the machine that runs now. */
typedef enum {
    NEXT_START_UNKNOWN,  /* not read yet, or there is none (a transient server) */
    NEXT_START_ON,       /* with a balloon */
    NEXT_START_OFF,      /* without, for whatever reason */
    NEXT_START_DISABLED, /* without, marked as its owner's wish */
} NextStart;

/* One server as the hypervisor and the host show it right now. UNKNOWN where nobody could say. */
typedef struct {
    char *id;   /* stable over restarts of the server and of daemons: the UUID for libvirt */
    char *name; /* as the hypervisor names it; valid UTF-8 */
    ServerKind kind;
    PowerState power;
    gboolean responsive;    /* FALSE: its QEMU does not answer; the facts below are the last known ones */
    uint64_t maximum_bytes; /* guest RAM the machine was defined with */
    gboolean
        unlimited; /* a container without a memory limit: its maximum is the host's memory, and says nothing */
    uint64_t balloon_bytes;  /* live `actual`; maximum when there is no balloon device */
    int64_t balloon_read_us; /* monotonic: when QEMU itself was last asked for that and told it; 0: not yet */
    uint64_t boot_count;     /* grows with each start and each reset that was seen */
    uint64_t
        guest_update_s; /* statistics' `last-update`: whole seconds of host wall clock; 0 = never; or UNKNOWN */
    int64_t stats_period_us;  /* from one answer to the next; 0: nobody knows */
    uint64_t available_bytes; /* MemAvailable */
    uint64_t free_bytes;      /* MemFree */
    uint64_t total_bytes;     /* MemTotal (shrinks with the balloon unless deflate-on-oom) */
    uint64_t cache_bytes;     /* disk caches */
    uint64_t swap_in_bytes, swap_out_bytes, major_faults; /* cumulative since the guest booted */
    int pid;                                              /* of the QEMU process; 0 = not found */
    uint64_t resident_bytes;                              /* RSS of that process, all of it */
    uint64_t overhead_bytes; /* the part of RSS that is not guest RAM, measured now and then; or UNKNOWN */
    gboolean deflates_on_oom;
    gboolean reports_free_pages; /* free page reporting */
    gboolean has_balloon;        /* the running machine's; of the definition when it is off */
    gboolean preallocated;       /* the same: all memory made resident at the start */
    gboolean locked;             /* the same: memory locked into RAM */
    gboolean marked_off;         /* the same: the definition says that its owner wants no ballooning */
    NextStart next_start;        /* of the persistent definition */
    gboolean autostart;          /* starts by itself when its host does */
    gboolean persistent; /* has a definition that outlives its stop; else it cannot be started again */
    FixedReason fixed;   /* what the definition shows: no device, VFIO, hugepages, locked, container;
                                  * "driver never answered" is for the engine to conclude */
    char *driver;        /* (nullable) for people: "virtio-balloon", "none" */
    char *agent_path;    /* (nullable) socket of the port that a guest's agent speaks on */
} BackendServer;

void backend_server_free(BackendServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendServer, backend_server_free)

typedef struct Backend Backend;

typedef enum {
    BACKEND_EVENT_CONNECTED,
    BACKEND_EVENT_DISCONNECTED, /* detail: why, one line */
    BACKEND_EVENT_STARTED,
    BACKEND_EVENT_STOPPED,
    BACKEND_EVENT_RESET,   /* the guest was reset: boot_count has grown */
    BACKEND_EVENT_CHANGED, /* anything else worth a fresh observation (defined, undefined, balloon, resumed) */
} BackendEvent;

/* @servers: (element-type BackendServer) (transfer full), running and defined ones, sorted by name; NULL with @error
 * set when the hypervisor cannot be reached (the engine keeps the last facts and says so). */
typedef void (*BackendObserved)(Backend *backend, GPtrArray *servers, const GError *error,
                                gpointer user_data);
typedef void (*BackendDone)(Backend *backend, const char *id, const GError *error, gpointer user_data);
/* @id is NULL for CONNECTED and DISCONNECTED. */
typedef void (*BackendEventFunc)(Backend *backend, BackendEvent event, const char *id, const char *detail,
                                 gpointer user_data);

/* What a new server is made of. Paths are absolute; all is borrowed for the call. */
typedef struct {
    const char *name;
    const char *id; /* (nullable) a UUID of the caller's choice, so that it knows its own after a crash */
    uint64_t memory_bytes;
    unsigned processors; /* 0: 1 */
    Ballooning ballooning;
    const char *kernel, *initramfs, *command_line; /* (nullable) direct boot */
    const char *disk, *disk_format; /* (nullable) a disk of its own, already made; "qcow2", "raw" */
    const char *network;            /* (nullable) the hypervisor's name of a network; none without */
    gboolean autostart;
} BackendSpec;

typedef struct {
    const char *name; /* "libvirt" */
    /* Facts of all servers. At most one observation in flight: a second call is answered with the first's result. */
    void (*observe)(Backend *backend, BackendObserved done, gpointer user_data);
    /* Asks for a balloon size. Success means it was accepted, not that anything moved. The caller has clamped @bytes
     * to (0, maximum]; 0 is refused with AEROSTAT_ERROR_INVALID. */
    void (*set_target)(Backend *backend, const char *id, uint64_t bytes, BackendDone done,
                       gpointer user_data);
    /* Makes the guest answer with fresh statistics at once (polling interval 0 -> N); they show in the next observe. */
    void (*ask_fresh)(Backend *backend, const char *id, BackendDone done, gpointer user_data);
    /*
     * From here on entries may be NULL: this backend cannot do it.
     */
    /* A hint, as often as one likes: the guest stands still, so that what it says may come half as often; or it does so no more.
     * A period of the operator's choice is kept. */
    void (*still)(Backend *backend, const char *id, gboolean still);
    /*
     * All are repeatable: asked again after a crash, what has been done already counts as done. Success of start and
     * stop means that the hypervisor has done it, of shutdown that it has asked the guest; facts tell what came of it.
     * Their deadlines are longer than a question's and the backend's own; start and stop may take tens of seconds.
     */
    void (*start)(Backend *backend, const char *id, BackendDone done, gpointer user_data);
    void (*shutdown)(Backend *backend, const char *id, BackendDone done, gpointer user_data);
    void (*stop)(Backend *backend, const char *id, BackendDone done, gpointer user_data);
    /* Writes @ballooning into the persistent definition; the running machine stays as it is. */
    void (*configure)(Backend *backend, const char *id, Ballooning ballooning, BackendDone done,
                      gpointer user_data);
    /* Defines a new server, off; done() gets its id. AEROSTAT_ERROR_CONFLICT when the name is taken by another id. */
    void (*create)(Backend *backend, const BackendSpec *spec, BackendDone done, gpointer user_data);
    /* Removes the definition of a server that is off; its disks stay. One that is not there: success. */
    void (*remove)(Backend *backend, const char *id, BackendDone done, gpointer user_data);
    /* set_aside: a server that is off is not seen by observe any more, unless somebody starts it, and its name is free; disks and definition are kept
     * under @keep, a name unique to the operation. take_back undoes that, under the name it had; purge removes it with
     * its disks for good. @id as it was before. */
    void (*set_aside)(Backend *backend, const char *id, const char *keep, BackendDone done,
                      gpointer user_data);
    void (*take_back)(Backend *backend, const char *id, const char *keep, BackendDone done,
                      gpointer user_data);
    void (*purge)(Backend *backend, const char *id, const char *keep, BackendDone done, gpointer user_data);
    /* Answers every callback that is still owed with AEROSTAT_ERROR_UNAVAILABLE before it returns, calls none after,
     * and does not wait for calls that hang. */
    void (*free)(Backend *backend);
} BackendOps;

struct Backend {
    const BackendOps *ops;
    BackendEventFunc on_event; /* set by the engine before the first observe; may be NULL */
    gpointer on_event_data;
};

static inline void backend_free(Backend *backend)
{
    if (backend)
        backend->ops->free(backend);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backend, backend_free)
