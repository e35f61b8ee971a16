/*
 * The inside of the libvirt backend. Its files, in the order of dependence:
 *
 *   libvirt_definition  a domain's XML -> plain facts                        pure
 *   libvirt_define      a domain's XML changed, or written anew              pure
 *   libvirt_stats       what a worker asks libvirt and makes of the answers  worker threads
 *   libvirt_lane        a connection for calls, and the handles on it        worker threads
 *   libvirt_call        one blocking call: worker, deadline, late return     engine thread
 *   libvirt_link        the link: made, lost, made again                     engine thread
 *   libvirt_event       libvirt's events                                     engine thread
 *   libvirt_server      what is known of one server                          engine thread
 *   libvirt_process     its QEMU process: pid, overhead                      engine thread
 *   libvirt_observe     one observation, and the search for a hung server    engine thread
 *   libvirt_glance      between two of those, only servers that move         engine thread
 *   libvirt_action      targets, fresh statistics, polling, jobs             engine thread
 *   libvirt_disks       which files a domain's disks stand on                worker threads
 *   libvirt_power       start, stop, definitions, setting aside              engine thread, and its workers
 *
 * Threads: everything belongs to the engine's thread, but a Call's @data and @error belong to its worker from
 * call_start() until the call has returned.
 */
#pragma once
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "backend/libvirt.h"
#include "base/error.h"
#include "base/size.h"

#define US_PER_S INT64_C(1000000)

typedef struct LibvirtBackend LibvirtBackend;
typedef struct Server Server;
typedef struct Call Call;
typedef struct Link Link;
typedef struct Observation Observation;

/* ---- libvirt_definition.c */

/* What a socket's address holds. */
#define AGENT_PATH_BYTES 108

/* How the owner's "ballooning off" is marked in a domain's definition:
 * <metadata><aerostat:server xmlns:aerostat="urn:aerostat:server:1" ballooning="off"/></metadata> */
#define AEROSTAT_METADATA_URI "urn:aerostat:server:1"

typedef struct {
    FixedReason fixed;
    const char *driver;      /* static: "virtio-balloon", "none" */
    uint64_t maximum_bytes;  /* or UNKNOWN */
    unsigned stats_period_s; /* 0: polling is off */
    gboolean deflates_on_oom;
    gboolean reports_free_pages;
    gboolean has_balloon, preallocated, locked;
    gboolean marked_off;               /* by its owner's wish */
    gboolean aside;                    /* set aside: not shown to anybody */
    char agent_path[AGENT_PATH_BYTES]; /* socket of the agent's port; empty: none */
} Definition;

/* definition_parse: FALSE when @xml is no domain; *ret untouched then. Any bytes are safe. */
gboolean definition_parse(const char *xml, Definition *ret);

/* ---- libvirt_define.c: (transfer full) XML, or NULL when @xml is no domain; any bytes are safe */

/* define_ballooning: off keeps in our mark what was there before, for the way back. */
char *define_ballooning(const char *xml, Ballooning ballooning);
/* define_aside: marks it as set aside from @name; NULL takes the mark away. define_aside_of: (nullable) that name. */
char *define_aside(const char *xml, const char *name, gboolean autostart);
char *define_aside_of(const char *xml, gboolean *ret_autostart);
/* define_disks: (element-type utf8) the files that are its disks, without CD-ROMs */
GPtrArray *define_disks(const char *xml);
/* define_has_hidden: whether a disk is in a storage pool, on a block device or on a network, so that nobody here can say
 * which file it stands on. */
gboolean define_has_hidden(const char *xml);
char *define_new(const BackendSpec *spec, gboolean kvm);

/* ---- libvirt_disks.c: runs on workers */

/* disks_stand_on: whether @file is @disk, or a backing file of it, near or far; TRUE as well where that cannot be read. */
gboolean disks_stand_on(const char *disk, const char *file);
/* disks_is_shared: whether another domain than @own_id has @file, or may have it. */
gboolean disks_is_shared(virConnectPtr conn, const char *own_id, const char *file);

/* ---- libvirt_lane.c: on workers, one at a time */

/* An id names the same domain for as long as the connection lives; name and number in a kept handle are those of when it was
 * looked up. */
typedef struct {
    virConnectPtr conn;  /* owned */
    GHashTable *domains; /* id -> virDomainPtr, owned */
} Lane;

/* lane_open: NULL with an AEROSTAT_ERROR. May block, as lane_close() may. */
Lane *lane_open(const char *uri, GError **error);
void lane_close(Lane *lane);
/* lane_keep: (transfer full) @domain: a handle for later. */
void lane_keep(Lane *lane, virDomainPtr domain);
/* lane_domain: (transfer none) the handle it has, or a new one; NULL with an AEROSTAT_ERROR when there is no such domain. One
 * that has gone since is found out by the call that uses it. */
virDomainPtr lane_domain(Lane *lane, const char *id, GError **error);
/* lane_forget_others: drops the handles whose ids are not in @wanted. */
void lane_forget_others(Lane *lane, GHashTable *wanted);

/* ---- libvirt_stats.c: runs on workers; plain data comes out */

typedef struct {
    gboolean running;
    int power; /* virDomainState */
    int reason;
    gboolean has_balloon; /* balloon_bytes below is there at all */
    gboolean asked;       /* QEMU itself has answered for this sample; FALSE: libvirt's cached values only */
    gboolean live;        /* balloon_bytes is QEMU's `actual`, not libvirt's cache of it */
    uint64_t balloon_bytes, maximum_bytes;
    uint64_t available_bytes, free_bytes, total_bytes, cache_bytes;
    uint64_t swap_in_bytes, swap_out_bytes, major_faults, guest_update_s;
} Sample;

typedef struct {
    char id[VIR_UUID_STRING_BUFLEN];
    char *name;          /* owned; valid UTF-8 without control characters */
    int domain_id;       /* -1: not running */
    gboolean persistent; /* valid with @xml */
    gboolean autostart;  /* valid with @xml */
    char *xml;           /* owned; NULL unless wanted and read */
    char *next_xml;      /* owned; the persistent definition, where @xml is a running machine's */
} Listed;

typedef struct {
    char id[VIR_UUID_STRING_BUFLEN];
    Sample sample;
} Sampled;

void listed_free(Listed *listed);
void sample_init(Sample *sample);

/* All below: FALSE with an AEROSTAT_ERROR. */
/* stats_list: (element-type Listed): all domains that match @globs; with XML for those not in @known (id -> anything) */
GPtrArray *stats_list(Lane *lane, const char *const *globs, GHashTable *known, GError **error);
/* stats_bulk: (element-type Sampled): of those in @wanted (a set of ids), in one call. @one_by_one: those that
 * the lane has no handle of are looked up, instead of listing all. Those that have gone are left out. */
GArray *stats_bulk(Lane *lane, GHashTable *wanted, gboolean one_by_one, GError **error);
/* stats_probe: one domain, without ever waiting for its job. @ret_occupied_us: how long somebody has been waiting for
 * its QEMU; 0 when nobody is. */
gboolean stats_probe(Lane *lane, const char *id, Sample *ret, int64_t *ret_occupied_us, GError **error);
/* stats_live: one domain from QEMU itself, with its live balloon size. May wait for the domain's job. */
gboolean stats_live(Lane *lane, const char *id, Sample *ret, GError **error);
/* stats_alive: makes QEMU itself answer something, whatever devices it has; waits for ever when it hangs. */
gboolean stats_alive(Lane *lane, const char *id, GError **error);
/* domain_lookup: (transfer full) asks libvirtd */
virDomainPtr domain_lookup(virConnectPtr conn, const char *id, GError **error);
/* set_libvirt_error: the calling thread's last libvirt error as ours. @what: "server web-3: set balloon" */
void set_libvirt_error(GError **error, const char *what);
char *name_clean(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

/* ---- libvirt_call.c */

typedef void (*CallRun)(Call *call);                       /* worker; sets call->error on failure */
typedef void (*CallDone)(Call *call, const GError *error); /* engine thread, once */

typedef enum { CALL_QUEUED, CALL_RUNNING, CALL_OVERDUE } CallState;

struct Call {
    /* Set by whoever makes it. */
    CallRun run;
    CallDone done; /* (nullable) the answer, or TIMEOUT; not called when the backend is gone */
    CallDone late; /* (nullable) it has returned after all */
    gpointer data; /* owned; the worker's while it runs */
    GDestroyNotify free_data;
    Server *server;        /* (nullable) owned reference */
    uint64_t observation;  /* serial of the one that waits for it; 0: none */
    BackendDone user_done; /* (nullable) */
    gpointer user_data;
    int64_t patience_us; /* 0: no deadline */
    gboolean urgent;     /* before others that wait for a lane */
    gboolean outside;    /* needs no lane: the connection's own calls, and /proc */
    gboolean is_long;    /* has a connection and takes no lane: others do not wait for it */
    char *about;         /* (nullable) owned: the id of the server that a long one is about */

    /* call_start()'s own. */
    LibvirtBackend *backend; /* NULL once the backend is gone */
    char *uri;               /* (nullable) owned: open a connection of its own first */
    Lane *lane;              /* (nullable) owned: nothing else is under way on it */
    unsigned generation;     /* of the link it was started under */
    GError *error;
    CallState state;
    guint timer;
    int handed_over; /* orders the worker's writes before the engine's reads, for all to see */
};

/* call_pool_new: for free with g_thread_pool_free(pool, FALSE, FALSE). */
GThreadPool *call_pool_new(void);
Call *call_new(CallRun run, CallDone done, gpointer data, GDestroyNotify free_data);
/* call_start: (transfer full) @call: done() comes later, never from within. Waits for a lane, unless outside. */
void call_start(LibvirtBackend *backend, Call *call);
/* call_free: of one that was never started, or has returned. */
void call_free(Call *call);
/* call_pump: starts what waits, as far as lanes and the link allow. */
void call_pump(LibvirtBackend *backend);
/* call_fail_queued: answers all that wait for a lane. */
void call_fail_queued(LibvirtBackend *backend, const GError *error);
/* call_drop_idle: closes the connections that nobody uses. */
void call_drop_idle(LibvirtBackend *backend);
/* call_forget_all: for backend_free(): no done() any more; what runs is freed when it returns. */
void call_forget_all(LibvirtBackend *backend);

/* ---- libvirt_link.c */

struct Link {
    int references;          /* atomic */
    LibvirtBackend *backend; /* engine thread only; NULL when this is not the current link any more */
    virConnectPtr conn;      /* owned by the link until retired */
    int lifecycle, reboot, balloon, device_added, device_removed, iteration; /* callback ids, -1: none */
};

Link *link_ref(Link *link);
void link_unref(Link *link);
void link_connect(LibvirtBackend *backend);
/* link_lost: the connection broke: says so once and begins anew. */
void link_lost(LibvirtBackend *backend, const char *reason);
void link_stop(LibvirtBackend *backend);
GError *link_error(const LibvirtBackend *backend);

/* ---- libvirt_event.c: registration runs on a worker, the callbacks on the engine's thread */
void event_register(Link *link);
void event_deregister(Link *link, virConnectPtr conn);

/* A guest that stands still says the same as before, and each answer costs it some milliseconds where it is emulated. */
#define STILL_PERIODS 2

/* ---- libvirt_server.c */

typedef enum {
    ADMITTED, /* asked with all the others */
    SUSPECT,  /* asked alone, without waiting for its job, and nobody waits for that, until it answers */
    STUCK,    /* a call on it has not returned: not asked anything */
} Admission;

struct Server {
    int references;
    char *id;
    char *name;
    gboolean listed; /* the last list had it */
    Admission admission;
    Call *in_flight; /* (nullable) the one call on this server */
    GQueue waiting;  /* of Call, owned: actions until in_flight has returned */

    gboolean defined; /* @definition was read */
    gboolean definition_stale;
    int64_t definition_us;
    Definition definition;
    NextStart next_start;
    gboolean persistent, autostart;

    Sample sample;
    uint64_t cached_bytes; /* libvirt's copy of the balloon size, up to 1 s behind */
    int64_t live_us;       /* when QEMU itself last told it */
    int64_t read_us;       /* when the question was put to which that was the answer */
    int domain_id;         /* libvirt's number of this run; -1: not running; -2: never seen */
    gboolean job_active;   /* migration, save, snapshot */
    gboolean quiet; /* running, yet its statistics were not there although nothing of ours was in the way */
    int64_t job_checked_us;
    int64_t period_tried_us; /* polling was last switched on, or changed */
    unsigned set_period_s;   /* the period that was last set by us in this run of it; 0: none was */
    gboolean still;          /* ... and that may be longer */
    int64_t alive_asked_us;  /* QEMU was last asked for a sign of life; 0: not in this run of the daemon */

    uint64_t boot_count;
    gboolean gap;        /* events may have been lost since the last sample */
    int64_t event_us;    /* when a start, reset or stop was last heard of */
    int64_t booted_us;   /* when the last start or reset was counted */
    int64_t boot_wall_s; /* samples up to this second belong to the guest before */
    uint64_t seen_swap_in_bytes, seen_swap_out_bytes, seen_major_faults, seen_update_s; /* or UNKNOWN */

    int64_t moved_us;      /* when its balloon last moved or was told to */
    int turn_looks;        /* looks still to come since a raise was cut short ... */
    int64_t turned_us;     /* ... then */
    int64_t asked_us;      /* when it was last asked for fresh statistics */
    uint64_t target_bytes; /* last accepted; 0: none */

    int pid;
    uint64_t pid_start;
    gboolean pid_adopt; /* the next process found belongs to a start that was already counted */
    uint64_t resident_bytes, overhead_bytes;
    gboolean measuring;
    int64_t measure_next_us;
    uint64_t measured_resident_bytes;
};

Server *server_get(LibvirtBackend *backend, const char *id); /* (transfer none) made when it is not there */
Server *server_ref(Server *server);
void server_unref(Server *server);
void server_emit(LibvirtBackend *backend, BackendEvent event, const char *id, const char *detail);
/* server_started: another run than before: counts it, and forgets the one before. */
void server_started(LibvirtBackend *backend, Server *server);
/* server_stopped: it holds nothing. */
void server_stopped(Server *server);
/* server_booted: counts a start or reset; what was known of the guest before is void. */
void server_booted(LibvirtBackend *backend, Server *server);
/* @asked_us: when the question was put: an answer older than the last event says nothing */
void server_apply_listed(LibvirtBackend *backend, Server *server, const Listed *listed, int64_t asked_us);
void server_apply_sample(LibvirtBackend *backend, Server *server, const Sample *sample, int64_t asked_us);
gboolean server_is_moving(const Server *server, int64_t now_us);
/* server_told: the hypervisor has taken @target_bytes. */
void server_told(Server *server, uint64_t target_bytes, int64_t now_us);
/* server_doubt_balloon: nobody has looked for a while: where its balloon stands is asked for as if it moved, if it was ever asked to. */
void server_doubt_balloon(Server *server);
/* server_facts: NULL when not even its maximum is known. */
BackendServer *server_facts(Server *server, const char *proc);
/* server_call: (transfer full) @call: one call on one server; waits for the one in flight when it is an action.
 * server_may_call: whether it would start at once. */
gboolean server_may_call(const Server *server);
void server_call(LibvirtBackend *backend, Server *server, Call *call);
void server_call_ended(LibvirtBackend *backend, Server *server);
void server_call_overdue(LibvirtBackend *backend, Server *server);
void server_forget_waiting(Server *server);
gboolean server_is_seen(const LibvirtBackend *backend, const char *name);

/* ---- libvirt_process.c */
void process_look_after(LibvirtBackend *backend);
/* process_expect_new: a start was counted: the process found next belongs to it. */
void process_expect_new(LibvirtBackend *backend, Server *server);
void process_verify(Server *server, const char *proc);

/* ---- libvirt_observe.c */
struct Observation {
    uint64_t serial;
    int64_t began_us;
    gboolean is_glance;
    guint impatience;     /* a glance's */
    int64_t asked_us;     /* when the list or bulk call that runs was begun */
    unsigned outstanding; /* calls on single servers that it waits for */
    GQueue hunt;          /* of Server, owned references: to be asked alone */
};
void observe(Backend *base, BackendObserved done, gpointer user_data);
/* observe_fail: ends the observation that runs, if any. */
void observe_fail(LibvirtBackend *backend, const GError *error);
void observe_clear(LibvirtBackend *backend);
/* observe_has_news: whether a server has started, stopped, come or been defined anew since then, as far as events tell. */
gboolean observe_has_news(const LibvirtBackend *backend, int64_t since_us);
GArray *observe_waiters_new(void);
/* For libvirt_glance: a call on @server that the observation waits for; and an end of the observation's own making. */
void observe_live(LibvirtBackend *backend, Server *server);
void observe_end(LibvirtBackend *backend);

/* ---- libvirt_glance.c */
/* glance_suffices: whether the last whole observation is young, and nothing has happened since but balloons that move. */
gboolean glance_suffices(const LibvirtBackend *backend, int64_t now_us);
/* glance_wants: whether @server may have something new to say. Each look takes from a processor that guests in need may be
 * waiting for. */
gboolean glance_wants(const Server *server, int64_t now_us);
/* glance: asks those that move or were asked for statistics, each by itself; ends the observation that has begun without
 * those that take too long. */
void glance(LibvirtBackend *backend, int64_t now_us);
/* glance_on: one of them has answered. */
void glance_on(LibvirtBackend *backend);

/* ---- libvirt_action.c */
void action_set_target(Backend *base, const char *id, uint64_t bytes, BackendDone done, gpointer user_data);
void action_ask_fresh(Backend *base, const char *id, BackendDone done, gpointer user_data);
void action_still(Backend *base, const char *id, gboolean still);
/* action_look_after: switches polling on and looks for jobs where it is time to. */
void action_look_after(LibvirtBackend *backend);

/* Answers from the main loop, never from within the request. */
void action_refuse(LibvirtBackend *backend, const char *id, BackendDone done, gpointer user_data,
                   AerostatError code, const char *message);

/* ---- libvirt_power.c */
void power_start(Backend *base, const char *id, BackendDone done, gpointer user_data);
void power_shutdown(Backend *base, const char *id, BackendDone done, gpointer user_data);
void power_stop(Backend *base, const char *id, BackendDone done, gpointer user_data);
void power_configure(Backend *base, const char *id, Ballooning ballooning, BackendDone done,
                     gpointer user_data);
void power_create(Backend *base, const BackendSpec *spec, BackendDone done, gpointer user_data);
void power_remove(Backend *base, const char *id, BackendDone done, gpointer user_data);
void power_set_aside(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);
void power_take_back(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);
void power_purge(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);

/* ---- libvirt.c */

struct LibvirtBackend {
    Backend base;
    char *uri;
    char **globs;
    const char *proc;
    int64_t deadline_us; /* of an action */
    int64_t patience_us; /* of a question: the others' facts wait this long at most, and only once */
    unsigned stats_period_s;
    gboolean read_only;

    GThreadPool *pool;
    GPtrArray *calls;    /* of Call: all that were handed to a worker and have not returned; not owned here */
    GQueue queue;        /* of Call, owned: waiting for a lane */
    GPtrArray *idle;     /* of Lane, owned: those that nobody uses */
    unsigned generation; /* grows with each loss of the link: older connections are as dead as it is */
    unsigned lanes;      /* calls in flight that have not passed their deadline */
    unsigned overdue;    /* calls that have, and have not returned */

    Link *link; /* (nullable) the current connection */
    gboolean connecting;
    gboolean said_down;
    char *down_reason; /* (nullable) one line */
    guint retry_timer;
    unsigned retry_ms;

    GHashTable *servers;      /* id -> Server */
    Observation *observation; /* (nullable) the one in flight */
    GArray *waiters;          /* who waits for it, or for the next idle turn when there is no link */
    guint fail_idle;
    uint64_t observations;  /* serial of the last one */
    int64_t whole_us;       /* when the last whole one was begun; 0: none that holds any more */
    int64_t listed_us;      /* when the last list was asked for; 0: none that holds any more */
    gboolean list_stuck;    /* a list hangs: until it returns the known servers stand for it */
    gboolean ping_stuck;    /* libvirtd itself does not answer */
    uint64_t boots;         /* starts and resets of all servers: one that is made anew repeats no number */
    gboolean finding;       /* a walk through /proc is under way */
    unsigned finds_stuck;   /* walks that have not come back in time ... */
    GHashTable *stuck_pids; /* ... and the processes they were looking at; owned */
    int64_t find_next_us;
    unsigned find_pause_s;
};
