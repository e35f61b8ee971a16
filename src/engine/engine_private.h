/* The engine's inside, shared by its decisions (engine.c), its loop (beat.c) and its hands (act.c). */
#pragma once
#include "engine/engine.h"
#include "engine/promise.h"
#include "engine/relief.h"

/* Between two beats: who bursts now; kept so that a look allocates nothing. */
typedef struct {
    GPtrArray *servers; /* Tracked, borrowed */
    GArray *facts, *demands, *tracks, *rows;
    Decision *decision;
    guint next_awake; /* whose processors are looked at next, where that is not everybody's */
} Looking;

struct Engine {
    const Config *config;
    Store *store;
    char *proc;
    Promises *promises;
    gboolean promises_fail; /* and that has been said */
    TrackedDefaults defaults;
    GPtrArray *backends; /* EngineBackend */
    GPtrArray *servers;  /* Tracked, sorted by name */
    Journal *journal;
    PolicyParams params;
    TrackedTimes times;
    guint slow_beat_ms, fast_beat_ms, deadline_ms;
    int64_t (*wall_s)(void);
    Decision *decision;
    GPtrArray *reservations; /* Reservation */
    guint64 last_reservation, last_kept;
    uint64_t granted_since_bytes; /* between beats, since the newest decision */
    uint64_t guaranteed_bytes;    /* in the newest decision: to those that run, before anybody is pinned */
    GPtrArray *records;           /* EngineRecord */
    struct Chronicle *chronicle;  /* (nullable) without a store */
    GArray *facts;                /* ServerFacts of the counted servers, in order */
    GArray *tracks;               /* ServerTrack, same order */
    GPtrArray *counted;           /* Tracked (borrowed), same order */
    EngineHost host;
    Relief relief, first_grants;
    Looking looking;
    guint tick_ms, fast_tick_ms, ticking_ms; /* from a look at residencies to the next */
    EngineListener listener;
    gpointer listener_data;
    int64_t started_us;
    int64_t last_decided_us, beat_ended_us, beat_due_us;
    guint beat_source, deadline_source, burst_source;
    gboolean beating;         /* a look is under way */
    gboolean look_again;      /* ... and something has happened since it began */
    gboolean hurried;         /* the next beat has been moved forward already */
    gboolean host_unreadable; /* and that has been said */
    gboolean closing;         /* answers that come now change nothing any more */
};

/* beat.c: asks all backends; ends in engine_decide(), which sets when the next one is due. */
void engine_beat(Engine *engine);
void engine_on_backend_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                             gpointer user_data);
/* beat.c: something happened that cannot wait for the next beat. */
void engine_hurry(Engine *engine);
/* burst.c: begins to watch residencies; and whether any guest has grown within the last second. */
void engine_watch_bursts(Engine *engine);
void engine_looking_init(Engine *engine);
void engine_looking_clear(Engine *engine);
gboolean engine_bursting(const Engine *engine, int64_t now_us);
/* Whether one that stirs or grows has been asked a moment ago, and its answer is not here yet. */
gboolean engine_awaits(const Engine *engine, int64_t now_us);
/* Whether less than half of the slack is there. */
gboolean engine_is_scarce(const Engine *engine);
/* Whether a server has just woken, or is awake and full of what residency cannot tell from use: statistics must show its growth.
 * Or the slack is scarce, and one that has risen of late may have done with that. */
gboolean engine_wonders(const Engine *engine, int64_t now_us);
/* engine_tell_still: tells backends who stands still; TRUE while all do that could be moved. */
gboolean engine_tell_still(Engine *engine, int64_t now_us);
/* agent.c: listens to the agents of those that run. */
void engine_follow_agents(Engine *engine);
/* engine.c: from the newest facts to actions. */
void engine_decide(Engine *engine);
/* The same while answers are still awaited: with the pool as it was, since the host's memory and what servers hold of it must be
 * of one age; and nobody is told but of what it decides. */
void engine_decide_between(Engine *engine);
/* engine.c: what of the pool the policy may share among @n servers now. */
uint64_t engine_pool_to_share(Engine *engine, guint n);
/* waiting.c: at each decision, who waits and who does no longer; and at each request what it was for. */
void engine_measure_relief(Engine *engine, int64_t now_us);
/* waiting.c: tells of the server's rise if that is over: before another one begins between two decisions. */
void engine_end_rise(Engine *engine, Tracked *tracked, int64_t now_us);
void engine_note_sent(Engine *engine, Tracked *tracked, const JournalEntry *entry, int64_t now_us);
/* act.c: sends a grant that was decided on residency alone. */
void engine_grant_burst(Engine *engine, Tracked *tracked, const PlanRow *row, int64_t now_us);
/* act.c: writes down what the server may yet rise to, where that has changed. */
void engine_keep_promise(Engine *engine, Tracked *tracked);
/* act.c: the file of raises under way cannot be written; said once. */
void engine_no_promises(Engine *engine, const GError *error);
/* act.c: carries out the newest decision. */
void engine_act(Engine *engine, int64_t now_us);
/* act.c: whether the server may be asked for fresh statistics at all: not in observe mode, and not while it does something else. */
gboolean engine_can_ask(const Engine *engine, const Tracked *tracked);
/* act.c: asks the guests that move or wait for fresh statistics. */
void engine_ask_fresh(Engine *engine);
void engine_emit(Engine *engine, EngineEvent event, gconstpointer subject);
EngineBackend *engine_backend_of(Engine *engine, const Backend *backend);
Tracked *engine_by_id(Engine *engine, const Backend *backend, const char *id);
