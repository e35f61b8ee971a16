/* The loop: when backends are asked, what becomes of their answers, and when the next decision is due. */
#include <string.h>
#include "engine/engine_private.h"

/* An event rarely comes alone, a host that starts brings hundreds: the look it asks for waits this long for the rest. */
#define EVENT_PAUSE_MS 20
/* A guest that was asked answers within 5 ms where it is idle, within some tens where it is busy. */
#define ANSWER_PAUSE_MS 10
/* From one decision to the next look, however much happens: looks and answers take from the very processors that guests in
 * need run on. */
#define BEAT_LEAST_MS 60
/* While all stand still, statistics come half as often, and so do looks at them; whoever wakes is seen between the beats. */
#define STILL_BEATS 2

EngineBackend *engine_backend_of(Engine *engine, const Backend *backend)
{
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        if (known->backend == backend)
            return known;
    }
    return NULL;
}

Tracked *engine_by_id(Engine *engine, const Backend *backend, const char *id)
{
    EngineBackend *known = engine_backend_of(engine, backend);
    return known ? g_hash_table_lookup(known->by_id, id) : NULL;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    const Tracked *x = *(Tracked *const *)a, *y = *(Tracked *const *)b;
    int names = strcmp(x->latest->name, y->latest->name);
    return names != 0 ? names : strcmp(x->latest->id, y->latest->id);
}

static void load_settings(Engine *engine, Tracked *tracked)
{
    g_autoptr(GError) error = NULL;
    if (!engine->store || store_get_settings(engine->store, tracked->latest->id, &tracked->settings, &error))
        return;
    g_autofree char *text = g_strdup_printf("%s: its settings cannot be read, so it has none of its own: %s",
                                            tracked->latest->name, error->message);
    engine_note(engine, text);
}

static void take_server(Engine *engine, EngineBackend *known, BackendServer *facts, int64_t now_us)
{
    if (facts->maximum_bytes == 0 || facts->maximum_bytes > SIZE_MAX_BYTES) {
        backend_server_free(facts); /* nothing can be said of a server without a size */
        return;
    }
    Tracked *tracked = g_hash_table_lookup(known->by_id, facts->id);
    gboolean is_new = tracked == NULL;
    if (is_new) {
        tracked = tracked_new(known->backend, &engine->times);
        g_ptr_array_add(engine->servers, tracked);
        g_hash_table_insert(known->by_id, g_strdup(facts->id), tracked);
    }
    uint64_t returned = tracked_take(tracked, facts, now_us, engine->wall_s());
    journal_returned(engine->journal, tracked->latest->id, tracked->latest->name, returned);
    if (is_new) {
        load_settings(engine, tracked);
        tracked->noted_bytes = promises_open_bytes(engine->promises, known->uri, tracked->latest->id);
        tracked_inherit(tracked, tracked->noted_bytes, now_us);
    }
    engine_keep_promise(engine, tracked);
}

static void take_observation(Engine *engine, EngineBackend *known, GPtrArray *observed)
{
    int64_t now_us = g_get_monotonic_time();
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (tracked->backend == known->backend)
            tracked->seen = FALSE;
    }
    while (observed->len > 0)
        take_server(engine, known, g_ptr_array_steal_index_fast(observed, observed->len - 1), now_us);
    for (guint i = engine->servers->len; i > 0; i--) {
        Tracked *tracked = engine->servers->pdata[i - 1];
        if (tracked->backend != known->backend || tracked->seen)
            continue;
        promises_kept(engine->promises, known->uri, tracked->latest->id);
        g_hash_table_remove(known->by_id, tracked->latest->id);
        g_ptr_array_remove(engine->counted, tracked); /* what looks at it between beats must not find it */
        g_ptr_array_remove_index_fast(engine->servers, i - 1);
    }
    g_ptr_array_sort(engine->servers, compare_names);
}

static void connection_changed(Engine *engine, EngineBackend *known, gboolean connected, const char *detail)
{
    if (known->connected == connected && (connected || g_strcmp0(known->problem, detail) == 0))
        return;
    known->connected = connected;
    g_free(known->problem);
    known->problem = connected ? NULL : g_strdup(detail ? detail : "not connected");
    g_autofree char *text = connected
                                ? g_strdup_printf("Connected to %s.", known->uri)
                                : g_strdup_printf("No connection to %s: %s", known->uri, known->problem);
    engine_note(engine, text);
}

static void end_beat(Engine *engine);

static gboolean on_beat(gpointer user_data)
{
    Engine *engine = user_data;
    engine->beat_source = 0;
    engine->hurried = FALSE;
    engine_beat(engine);
    return G_SOURCE_REMOVE;
}

static void plan_beat(Engine *engine, guint pause_ms)
{
    engine->beat_due_us = g_get_monotonic_time() + (int64_t)pause_ms * 1000;
    engine->beat_source = g_timeout_add(pause_ms, on_beat, engine);
}

static void end_beat(Engine *engine)
{
    engine->beating = FALSE;
    g_clear_handle_id(&engine->deadline_source, g_source_remove);
    engine_decide(engine);
    engine->beat_ended_us = engine->last_decided_us;
    const PlanTotals *totals = &engine->host.totals;
    int64_t now_us = g_get_monotonic_time();
    /* Balloons move in pages: a few bytes between one and its target are no move. */
    gboolean reclaiming = totals->reclaiming_bytes >= engine->params.quantum_bytes;
    gboolean moving = totals->someone_waits || reclaiming || totals->granted_bytes > 0 ||
                      engine_bursting(engine, now_us) || engine_wonders(engine, now_us);
    gboolean still = engine_tell_still(engine, now_us);
    guint pause_ms = engine->slow_beat_ms * (still ? STILL_BEATS : 1);
    if (moving && engine->host.mode == MODE_MANAGE)
        pause_ms = engine->fast_beat_ms;
    engine->hurried = engine->look_again;
    if (engine->look_again)
        pause_ms = MIN(pause_ms, BEAT_LEAST_MS);
    if (engine->host.mode == MODE_MANAGE && engine_awaits(engine, now_us))
        pause_ms = MIN(pause_ms, ANSWER_PAUSE_MS);
    plan_beat(engine, pause_ms);
}

static void end_beat_if_answered(Engine *engine)
{
    if (!engine->beating)
        return;
    for (guint i = 0; i < engine->backends->len; i++)
        if (((EngineBackend *)engine->backends->pdata[i])->awaited)
            return;
    end_beat(engine);
}

/* Who has not answered by now is not waited for again until it has; its servers are left alone meanwhile, since
 * nobody knows how they are. */
static gboolean on_deadline(gpointer user_data)
{
    Engine *engine = user_data;
    engine->deadline_source = 0;
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        if (known->awaited)
            connection_changed(engine, known, FALSE, "it does not answer");
        known->awaited = FALSE;
    }
    end_beat(engine);
    return G_SOURCE_REMOVE;
}

/* May come at any time: from within observe(), in a later beat, between two, or when the engine is being freed. */
static void on_observed(Backend *backend, GPtrArray *servers, const GError *error, gpointer user_data)
{
    Engine *engine = user_data;
    if (engine->closing) {
        g_clear_pointer(&servers, g_ptr_array_unref);
        return;
    }
    EngineBackend *known = engine_backend_of(engine, backend);
    known->pending = known->awaited = FALSE;
    connection_changed(engine, known, servers != NULL, error ? error->message : NULL);
    if (servers) {
        take_observation(engine, known, servers);
        engine_follow_agents(engine);
    }
    g_clear_pointer(&servers, g_ptr_array_unref);
    end_beat_if_answered(engine);
}

void engine_beat(Engine *engine)
{
    engine->beating = TRUE;
    engine->look_again = FALSE;
    engine->deadline_source = g_timeout_add(engine->deadline_ms, on_deadline, engine);
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        known->awaited = !known->pending;
    }
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        if (!known->awaited)
            continue;
        known->pending = TRUE;
        known->backend->ops->observe(known->backend, on_observed, engine);
    }
    end_beat_if_answered(engine);
}

static guint soon_ms(const Engine *engine)
{
    int64_t now_us = g_get_monotonic_time(), since_ms = (now_us - engine->beat_ended_us) / 1000;
    int64_t least_ms = engine_awaits(engine, now_us) ? ANSWER_PAUSE_MS : EVENT_PAUSE_MS;
    return (guint)CLAMP(BEAT_LEAST_MS - since_ms, least_ms, BEAT_LEAST_MS);
}

void engine_hurry(Engine *engine)
{
    if (engine->beating)
        engine->look_again = TRUE;
    if (engine->hurried || engine->beat_source == 0)
        return;
    guint pause_ms = soon_ms(engine);
    if (g_get_monotonic_time() + (int64_t)pause_ms * 1000 < engine->beat_due_us) {
        g_source_remove(engine->beat_source);
        plan_beat(engine, pause_ms);
    }
    engine->hurried = TRUE;
}

/* Something changed: what is being looked at now may be older than that, so there is another look soon. */
void engine_on_backend_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                             gpointer user_data)
{
    Engine *engine = user_data;
    if (engine->closing)
        return;
    if (event == BACKEND_EVENT_DISCONNECTED)
        connection_changed(engine, engine_backend_of(engine, backend), FALSE, detail);
    if (event == BACKEND_EVENT_CHANGED)
        return;
    engine_hurry(engine);
}

void engine_look(Engine *engine)
{
    engine_hurry(engine);
}
