/*
 * The inside of the LXC backend. Its files, in the order of dependence:
 *
 *   lxc_cgroup   what a control group says                            pure, and reading
 *   lxc_look     what workers ask the host and liblxc                 worker threads
 *   lxc_aside    setting aside, taking back, purging                  worker threads
 *   lxc_server   what is known of one container                       engine thread
 *   lxc          observations                                         engine thread
 *   lxc_power    what is done to a container                          both
 *
 * liblxc asks a container's monitor process over a socket, without a deadline: one that hangs holds its caller for ever.
 * So what is asked of all containers in one go (the sweep) never asks liblxc anything of that kind: names, and the
 * control groups of those whose process is known, are files. liblxc is asked about one container at a time (the inquiry),
 * when it is new, when its config or its process has changed, and every few seconds.
 */
#pragma once
#include "backend/lxc.h"
#include "backend/lxc_cgroup.h"
#include "backend/work.h"
#include "base/error.h"
#include "base/size.h"

#define US_PER_S INT64_C(1000000)

typedef struct LxcBackend LxcBackend;
typedef struct Container Container;

/* ---- lxc_look.c */

/* One process for good. */
typedef struct {
    int pid; /* 0: none */
    uint64_t start_ticks;
} Init;

/* What the sweep sees of one container. */
typedef struct {
    char *name;        /* the folder's, any bytes */
    char *id;          /* (nullable) container_id() */
    int64_t config_us; /* when its config was last changed; 0: it has none */
    gboolean active;   /* its monitor's socket is there */
    gboolean alive;    /* the process given for it is */
    gboolean read;     /* @memory was read */
    CgroupMemory memory;
} Sighting;

typedef struct {
    Init init;
    char *folder; /* of its control group */
} Known;

typedef struct {
    char *path, *proc; /* owned */
    char **globs;
    GHashTable *known;   /* name -> Known */
    GPtrArray *sighted;  /* (element-type Sighting) out */
    uint64_t host_bytes; /* out */
    int64_t wall_s;      /* out */
} Sweep;

Sweep *sweep_new(const char *path, const char *proc, char **globs);
void sweep_know(Sweep *sweep, const char *name, Init init, const char *folder);
void sweep_free(Sweep *sweep);
void sweep_run(gpointer data, GError **error);

/* What liblxc says of one container. */
typedef struct {
    char *path, *proc, *name; /* owned */
    PowerState power;         /* out, all below */
    Init init;
    char *folder;         /* (nullable) of its control group */
    uint64_t limit_bytes; /* of its config; UNKNOWN: none */
    gboolean autostart;   /* by its config */
    char *rootfs;         /* (nullable) */
    gboolean unreadable;  /* its config is one that liblxc refuses */
    gboolean measured;    /* @memory was read */
    CgroupMemory memory;
} Inquiry;

Inquiry *inquiry_new(const char *path, const char *proc, const char *name);
void inquiry_free(Inquiry *inquiry);
void inquiry_run(gpointer data, GError **error);

/* container_id: (transfer full): the UUID of @name in @path, as long as its folder is not made anew; NULL while
 * that cannot be looked at. */
char *container_id(const char *path, const char *name);
/* ---- lxc_aside.c */

/* In the folder of a container that was set aside. */
#define ASIDE_CONFIG "config.aside"
#define ASIDE_MARK   "aerostat.aside"

/* By id, since one that is set aside is not listed. All can be repeated after a crash at any instant. One that is not
 * there any more: purge succeeds, the others do not. */
/* aside_name_of: (transfer full): of one that is not set aside; NULL with AEROSTAT_ERROR_NOT_FOUND. */
char *aside_name_of(const char *path, const char *id, GError **error);
gboolean aside_put(const char *path, const char *id, const char *keep, GError **error);
gboolean aside_take_back(const char *path, const char *id, const char *keep, GError **error);
gboolean aside_purge(const char *path, const char *id, const char *keep, GError **error);

/* ---- lxc_server.c */

/* Something to be done with one container: at most one at a time runs. */
typedef struct {
    Container *container; /* owned reference */
    void (*run)(gpointer data, GError **error);
    void (*answered)(Container *container, gpointer data, const GError *error); /* (nullable) */
    gpointer data; /* owned; the worker's while it runs */
    GDestroyNotify free_data;
    BackendDone done; /* (nullable) */
    gpointer user_data;
    int64_t deadline_us;
    gboolean is_long;
} Errand;

struct Container {
    int references;
    LxcBackend *backend;
    char *id, *name, *shown_name;
    gboolean listed, active;
    gboolean asked;   /* an inquiry was answered at all */
    gboolean busy;    /* an errand on it has not returned */
    gboolean stuck;   /* ... in time: it is not asked anything */
    gboolean awaited; /* the observation waits for its inquiry */
    GQueue waiting;   /* of Errand, owned: until the one that runs has returned */
    int64_t asked_us; /* when it was last asked */
    int64_t config_us, asked_config_us;
    gboolean told_unreadable;
    PowerState power;
    Init init;
    char *folder;
    uint64_t limit_bytes; /* of its config */
    gboolean autostart;   /* by its config */
    uint64_t boot_count;
    gboolean measured;
    CgroupMemory memory;
    int64_t measured_wall_s;
};

/* @id: (nullable): of one that is not listed, whose name is not known; else it follows from the name. */
Container *container_new(LxcBackend *backend, const char *name, const char *id);
Container *container_ref(Container *container);
void container_unref(Container *container);
void container_sighted(Container *container, const Sighting *sighting, int64_t wall_s);
void container_answered(Container *container, const Inquiry *inquiry);
gboolean container_wants_inquiry(const Container *container, const Sighting *sighting, int64_t now_us);
/* container_facts: NULL when nothing was ever said of it. */
BackendServer *container_facts(const Container *container, uint64_t host_bytes);
/* container_send: (transfer full) @errand. */
void container_send(Container *container, Errand *errand);
void errand_free(Errand *errand);

/* ---- lxc.c */

struct LxcBackend {
    Backend base;
    char *path, *proc;
    char **globs;
    int64_t deadline_us, patience_us;
    WorkPool *pool;
    GHashTable *containers; /* name -> Container */
    GPtrArray *owed;        /* of Errand, not owned: whose done() is still to be called */
    GArray *waiters;        /* who waits for an observation */
    gboolean sweeping;      /* one has not returned */
    gboolean observing;
    unsigned awaited; /* inquiries that the observation waits for */
    guint patience_timer, fail_idle;
    uint64_t host_bytes;
    uint64_t boots;
    gboolean said_down;
};

/* lxc_find: (transfer none) (nullable): among those that are listed. */
Container *lxc_find(LxcBackend *backend, const char *id);

/* ---- lxc_power.c: as backend.h has them */
void lxc_set_target(Backend *base, const char *id, uint64_t bytes, BackendDone done, gpointer user_data);
void lxc_ask_fresh(Backend *base, const char *id, BackendDone done, gpointer user_data);
void lxc_start(Backend *base, const char *id, BackendDone done, gpointer user_data);
void lxc_shutdown(Backend *base, const char *id, BackendDone done, gpointer user_data);
void lxc_stop(Backend *base, const char *id, BackendDone done, gpointer user_data);
void lxc_set_aside(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);
void lxc_take_back(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);
void lxc_purge(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data);
