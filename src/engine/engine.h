/*
 * Engine: owns the loop. Observes through the backends, lets the policy decide, carries out what it decided, and keeps
 * the journal. Everything runs on one thread and one GMainContext and never blocks: backends have their own workers.
 */
#pragma once
#include <stdint.h>
#include <glib.h>
#include "backend/backend.h"
#include "base/config.h"
#include "engine/journal.h"
#include "engine/tracked.h"
#include "policy/decide.h"
#include "store/store.h"

typedef enum {
    ENGINE_STARTING, /* nothing has been observed yet */
    ENGINE_OK,
    ENGINE_OVERCOMMITTED, /* servers hold more than the pool: only reclaims until that is mended */
    ENGINE_INFEASIBLE,    /* the minima add up to more than the pool: nothing is touched */
    ENGINE_DISCONNECTED,  /* no backend answers */
} EngineState;

typedef struct {
    Backend *backend;
    char *uri;
    gboolean connected;
    char *problem;     /* NULL when connected */
    gboolean pending;  /* an observation has not been answered */
    gboolean awaited;  /* ... and this beat waits for it */
    GHashTable *by_id; /* id -> Tracked, borrowed */
} EngineBackend;

typedef struct {
    Mode mode;
    EngineState state;
    uint64_t pool_bytes, slack_wanted_bytes;
    uint64_t memory_bytes, available_bytes;
    double pressure_some_avg10;    /* negative: the kernel has none */
    PlanTotals totals;             /* of the newest beat */
    uint64_t committed_peak_bytes; /* highest ledger sum since the engine started */
    double over_seconds;           /* time spent with committed above the pool since then */
    guint64 beats;
    guint servers;                                   /* known, running or not */
    uint64_t relief_p50_us, relief_p99_us;           /* of the latest waits; UNKNOWN until there was one */
    uint64_t first_grant_p50_us, first_grant_p99_us; /* from a wait's beginning to its first grant sent */
    int64_t uptime_us;
} EngineHost;

typedef struct Engine Engine;

typedef enum { ENGINE_EVENT_BEAT, ENGINE_EVENT_SERVER, ENGINE_EVENT_DECISION } EngineEvent;

/* @subject: NULL, const Tracked*, or const JournalEntry*; valid during the call. */
typedef void (*EngineListener)(Engine *engine, EngineEvent event, gconstpointer subject, gpointer user_data);

typedef struct {
    const Config *config; /* borrowed for the engine's life */
    Store *store;         /* (nullable) borrowed; NULL keeps settings in memory only */
    const char *proc;     /* "/proc" when NULL */
    const char *promises; /* (nullable) the file of raises under way; NULL: none outlives the daemon */
    Mode mode;            /* to start in */
    /* For tests, which have less time than guests; 0 and NULL for the daemon's own. */
    const PolicyParams *params;
    const TrackedTimes *times;
    guint slow_beat_ms, fast_beat_ms; /* 1000, 100 */
    guint tick_ms;                    /* 50: from a look at residencies to the next */
    guint deadline_ms;                /* 3000: how long a beat waits for a backend */
    int64_t (*wall_s)(void);          /* Unix time */
} EngineOptions;

Engine *engine_new(const EngineOptions *options);
void engine_free(Engine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Engine, engine_free)

/* engine_add_backend: (transfer full) @backend; @uri for people. Before engine_start(). */
void engine_add_backend(Engine *engine, Backend *backend, const char *uri);
void engine_start(Engine *engine);
void engine_listen(Engine *engine, EngineListener listener, gpointer user_data);

const EngineHost *engine_host(Engine *engine);
/* (element-type Tracked) sorted by name; borrowed, valid until the next turn of the main loop. */
GPtrArray *engine_servers(Engine *engine);
/* engine_find: by name; NULL with AEROSTAT_ERROR_NOT_FOUND. Two backends' servers of one name: the first. */
Tracked *engine_find(Engine *engine, const char *name, GError **error);
/* engine_no_server: always NULL; says that there is no server of this name. */
Tracked *engine_no_server(const char *name, GError **error);
const TrackedDefaults *engine_defaults(const Engine *engine);
Journal *engine_journal(Engine *engine);
Store *engine_store(Engine *engine);        /* (nullable) */
GPtrArray *engine_backends(Engine *engine); /* (element-type EngineBackend) */
/* engine_note: something that happened on this host, into the journal: one sentence. */
void engine_note(Engine *engine, const char *text);
/* engine_look: has the servers looked at soon: something was done to one. */
void engine_look(Engine *engine);

/* What follows changes something for good: it goes into the store together with @audit (nullable), or does not happen. */

/* engine_set_mode: AEROSTAT_ERROR_FAILED when the store cannot be written. */
gboolean engine_set_mode(Engine *engine, Mode mode, const AuditEntry *audit, GError **error);

/*
 * engine_set_settings: a server's own minimum and weight and the owner's wish for ballooning; all or nothing takes effect.
 * @settings' revision does not matter; the server's is a new one afterwards.
 * AEROSTAT_ERROR_INVALID: a minimum above the maximum, a weight outside 1..10000; AEROSTAT_ERROR_NO_ROOM: a minimum
 * that would make the minima of all running servers exceed what of the pool is not reserved, with the bytes missing.
 */
gboolean engine_set_settings(Engine *engine, Tracked *tracked, const ServerSettings *settings,
                             const AuditEntry *audit, GError **error);
/* engine_check_settings: whether that would be refused, and with which error; changes nothing. */
gboolean engine_check_settings(Engine *engine, const Tracked *tracked, const ServerSettings *settings,
                               GError **error);
