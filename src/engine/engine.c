/* The loop: observe, decide, act, and again. */
#include "engine/engine.h"
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "engine/engine_private.h"
#include "engine/pool.h"
#include "engine/reservation.h"

#define SECOND_US INT64_C(1000000)
/* The slow beat, and the beat while somebody waits or memory is on its way: a fifth of what a guest needs to fill its
 * headroom at the fastest first touch that was measured. */
#define SLOW_BEAT_MS 1000
#define FAST_BEAT_MS 200
/* A beat does not wait longer than this for a backend; what it does not know by then it leaves as it was. */
#define BEAT_DEADLINE_MS 3000
#define JOURNAL_CAPACITY 5000

static void begin_beat(Engine *engine);

void engine_emit(Engine *engine, EngineEvent event, gconstpointer subject)
{
    if (engine->listener && !engine->closing)
        engine->listener(engine, event, subject, engine->listener_data);
}

void engine_note(Engine *engine, const char *text)
{
    JournalEntry *entry = journal_entry_new(NULL, NULL);
    entry->text = g_strdup(text);
    entry->performed = TRUE;
    engine_emit(engine, ENGINE_EVENT_DECISION, journal_add(engine->journal, entry));
}

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
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (tracked->backend == backend && g_str_equal(tracked->latest->id, id))
            return tracked;
    }
    return NULL;
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
    if (engine->store && !store_get_settings(engine->store, tracked->latest->id, &tracked->settings, &error))
        g_warning("server %s: its settings cannot be read: %s", tracked->latest->name, error->message);
}

static void take_server(Engine *engine, Backend *backend, BackendServer *facts, int64_t now_us)
{
    Tracked *tracked = engine_by_id(engine, backend, facts->id);
    gboolean is_new = tracked == NULL;
    if (is_new) {
        tracked = tracked_new(backend);
        g_ptr_array_add(engine->servers, tracked);
    }
    uint64_t returned = tracked_take(tracked, facts, now_us, g_get_real_time() / SECOND_US);
    journal_returned(engine->journal, tracked->latest->name, returned);
    if (is_new)
        load_settings(engine, tracked);
}

static void take_observation(Engine *engine, Backend *backend, GPtrArray *observed)
{
    int64_t now_us = g_get_monotonic_time();
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (tracked->backend == backend)
            tracked->seen = FALSE;
    }
    while (observed->len > 0)
        take_server(engine, backend, g_ptr_array_steal_index_fast(observed, observed->len - 1), now_us);
    for (guint i = engine->servers->len; i > 0; i--) {
        Tracked *tracked = engine->servers->pdata[i - 1];
        if (tracked->backend == backend && !tracked->seen)
            g_ptr_array_remove_index(engine->servers, i - 1);
    }
    g_ptr_array_sort(engine->servers, compare_names);
}

static void collect(Engine *engine, int64_t now_us)
{
    g_array_set_size(engine->facts, 0);
    g_array_set_size(engine->tracks, 0);
    g_ptr_array_set_size(engine->counted, 0);
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (!tracked_counts(tracked))
            continue;
        tracked_facts(tracked, &engine->defaults, engine_backend_of(engine, tracked->backend)->connected,
                      now_us);
        g_array_append_val(engine->facts, tracked->facts);
        g_array_append_val(engine->tracks, tracked->track);
        g_ptr_array_add(engine->counted, tracked);
    }
}

static void distribute(Engine *engine)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        tracked->track = g_array_index(engine->tracks, ServerTrack, i);
        tracked->demand = engine->decision->demands[i];
        tracked->row = engine->decision->rows[i];
        tracked->decided = TRUE;
    }
}

/* From the beat that finds a server below its need to the one that finds the balloon where the need was met. */
static void measure_relief(Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        uint64_t need = tracked->demand.need_bytes, has = tracked->facts.balloon_bytes;
        gboolean may_have =
            tracked->facts.fixed == FIXED_NO && !hold_pins(tracked->row.hold) && tracked->demand.known;
        gboolean is_short = may_have && need > has + engine->params.quantum_bytes;
        if (is_short && tracked->short_since_us == 0) {
            tracked->short_since_us = now_us;
        } else if (!is_short && tracked->short_since_us != 0) {
            if (may_have)
                relief_add(&engine->relief, (uint64_t)(now_us - tracked->short_since_us));
            tracked->short_since_us = 0;
        }
    }
    engine->host.relief_p50_us = relief_percentile(&engine->relief, 500);
    engine->host.relief_p99_us = relief_percentile(&engine->relief, 990);
}

static gboolean any_connected(const Engine *engine)
{
    for (guint i = 0; i < engine->backends->len; i++)
        if (((EngineBackend *)engine->backends->pdata[i])->connected)
            return TRUE;
    return FALSE;
}

static const char *state_sentence(const EngineHost *host)
{
    switch (host->state) {
    case ENGINE_OVERCOMMITTED:
        return "Servers hold more than the pool: only reclaims happen until it holds again.";
    case ENGINE_INFEASIBLE:
        return "The minima add up to more than the pool: nothing is touched.";
    case ENGINE_DISCONNECTED:
        return "No hypervisor answers: nothing is touched until one does.";
    case ENGINE_OK:
        return "All servers together are within the pool.";
    case ENGINE_STARTING:
        break;
    }
    return NULL;
}

static void set_state(Engine *engine, EngineState state)
{
    if (engine->host.state == state)
        return;
    gboolean first = engine->host.state == ENGINE_STARTING;
    engine->host.state = state;
    const char *sentence = state_sentence(&engine->host);
    if (sentence && !(first && state == ENGINE_OK))
        engine_note(engine, sentence);
}

static void sense_host(Engine *engine)
{
    HostMemory memory = {.pressure_some_avg10 = -1};
    g_autoptr(GError) error = NULL;
    if (!hostinfo_read(engine->proc, &memory, &error)) {
        g_warning("%s", error->message);
        return;
    }
    uint64_t resident = 0;
    for (guint i = 0; i < engine->servers->len; i++) {
        const BackendServer *latest = ((Tracked *)engine->servers->pdata[i])->latest;
        if (latest->pid > 0 && latest->resident_bytes != UNKNOWN)
            resident += latest->resident_bytes;
    }
    EngineHost *host = &engine->host;
    host->memory_bytes = memory.memory_bytes;
    host->available_bytes = memory.available_bytes;
    host->pressure_some_avg10 = memory.pressure_some_avg10;
    host->pool_bytes = pool_bytes(engine->config, &memory, resident, host->pool_bytes);
    host->slack_wanted_bytes = pool_slack_bytes(engine->config, host->pool_bytes);
}

static void account(Engine *engine, int64_t now_us)
{
    EngineHost *host = &engine->host;
    host->totals = engine->decision->totals;
    /* The policy saw a pool without what is reserved; whether servers exceed it is a question of the whole one. */
    Ledger *ledger = &host->totals.ledger;
    ledger->pool_bytes = host->pool_bytes;
    ledger->over_bytes = u64_sub_sat(ledger->committed_bytes, host->pool_bytes);
    host->committed_peak_bytes = MAX(host->committed_peak_bytes, ledger->committed_bytes);
    if (ledger->over_bytes > 0 && engine->last_decided_us != 0)
        host->over_seconds += (double)(now_us - engine->last_decided_us) / SECOND_US;
    host->beats++;
    host->servers = engine->servers->len;
    host->uptime_us = now_us - engine->started_us;
    engine->last_decided_us = now_us;
    journal_queue_limit(engine->journal, ledger->free_bytes);
}

static EngineState state_now(const Engine *engine)
{
    if (!any_connected(engine))
        return ENGINE_DISCONNECTED;
    if (engine->host.totals.infeasible)
        return ENGINE_INFEASIBLE;
    return engine->host.totals.ledger.over_bytes > 0 ? ENGINE_OVERCOMMITTED : ENGINE_OK;
}

static void decide(Engine *engine)
{
    int64_t now_us = g_get_monotonic_time();
    sense_host(engine);
    collect(engine, now_us);
    uint64_t pool = u64_sub_sat(engine->host.pool_bytes, engine_reserved_bytes(engine));
    HostFacts host = {.pool_bytes = pool, .slack_bytes = engine->host.slack_wanted_bytes};
    decision_make(&host, (ServerFacts *)(void *)engine->facts->data,
                  (ServerTrack *)(void *)engine->tracks->data, engine->facts->len, &engine->params, now_us,
                  engine->decision);
    distribute(engine);
    account(engine, now_us);
    reservations_update(engine, engine->host.totals.ledger.committed_bytes, now_us);
    measure_relief(engine, now_us);
    set_state(engine, state_now(engine));
    engine_act(engine, now_us);
    engine_ask_fresh(engine);
    engine_emit(engine, ENGINE_EVENT_BEAT, NULL);
    for (guint i = 0; i < engine->servers->len; i++)
        engine_emit(engine, ENGINE_EVENT_SERVER, engine->servers->pdata[i]);
}

static gboolean on_beat(gpointer user_data)
{
    Engine *engine = user_data;
    engine->beat_source = 0;
    begin_beat(engine);
    return G_SOURCE_REMOVE;
}

static void end_beat(Engine *engine)
{
    if (engine->closing)
        return;
    g_clear_handle_id(&engine->deadline_source, g_source_remove);
    decide(engine);
    const PlanTotals *totals = &engine->host.totals;
    gboolean moving = totals->someone_waits || totals->reclaiming_bytes > 0 || totals->granted_bytes > 0;
    guint pause_ms = moving && engine->host.mode == MODE_MANAGE ? FAST_BEAT_MS : SLOW_BEAT_MS;
    if (engine->beat_source == 0)
        engine->beat_source = g_timeout_add(pause_ms, on_beat, engine);
}

static gboolean on_deadline(gpointer user_data)
{
    Engine *engine = user_data;
    engine->deadline_source = 0;
    engine->pending = 0;
    end_beat(engine);
    return G_SOURCE_REMOVE;
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

static void on_observed(Backend *backend, GPtrArray *servers, const GError *error, gpointer user_data)
{
    Engine *engine = user_data;
    EngineBackend *known = engine_backend_of(engine, backend);
    if (engine->closing) {
        if (servers)
            g_ptr_array_unref(servers);
        return;
    }
    known->pending = FALSE;
    connection_changed(engine, known, servers != NULL, error ? error->message : NULL);
    if (servers) {
        take_observation(engine, backend, servers);
        g_ptr_array_unref(servers);
    }
    if (engine->pending > 0 && --engine->pending == 0)
        end_beat(engine);
}

static void begin_beat(Engine *engine)
{
    engine->pending = 0;
    for (guint i = 0; i < engine->backends->len; i++)
        engine->pending += !((EngineBackend *)engine->backends->pdata[i])->pending;
    if (engine->deadline_source == 0)
        engine->deadline_source = g_timeout_add(BEAT_DEADLINE_MS, on_deadline, engine);
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        if (known->pending)
            continue;
        known->pending = TRUE;
        known->backend->ops->observe(known->backend, on_observed, engine);
    }
}

/* Something changed between beats: look at once, unless a look is under way. */
static void on_backend_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                             gpointer user_data)
{
    Engine *engine = user_data;
    if (engine->closing)
        return;
    if (event == BACKEND_EVENT_DISCONNECTED)
        connection_changed(engine, engine_backend_of(engine, backend), FALSE, detail);
    if (event == BACKEND_EVENT_CHANGED || engine->beat_source == 0)
        return;
    g_source_remove(engine->beat_source);
    engine->beat_source = g_idle_add(on_beat, engine);
}

static void backend_entry_free(gpointer data)
{
    EngineBackend *known = data;
    backend_free(known->backend);
    g_free(known->uri);
    g_free(known->problem);
    g_free(known);
}

Engine *engine_new(const EngineOptions *options)
{
    Engine *engine = g_new0(Engine, 1);
    engine->config = options->config;
    engine->store = options->store;
    engine->proc = g_strdup(options->proc ? options->proc : "/proc");
    engine->defaults =
        (TrackedDefaults){options->config->minimum, options->config->weight, options->config->overhead};
    engine->backends = g_ptr_array_new_with_free_func(backend_entry_free);
    engine->servers = g_ptr_array_new_with_free_func((GDestroyNotify)tracked_free);
    engine->journal = journal_new(JOURNAL_CAPACITY);
    engine->params = policy_params_default();
    engine->decision = decision_new();
    engine->reservations = g_ptr_array_new_with_free_func((GDestroyNotify)reservation_free);
    engine->facts = g_array_new(FALSE, TRUE, sizeof(ServerFacts));
    engine->tracks = g_array_new(FALSE, TRUE, sizeof(ServerTrack));
    engine->counted = g_ptr_array_new();
    engine->host.mode = options->mode;
    engine->host.relief_p50_us = engine->host.relief_p99_us = UNKNOWN;
    engine->host.pressure_some_avg10 = -1;
    engine->started_us = g_get_monotonic_time();
    return engine;
}

void engine_free(Engine *engine)
{
    if (!engine)
        return;
    engine->closing = TRUE;
    g_clear_handle_id(&engine->beat_source, g_source_remove);
    g_clear_handle_id(&engine->deadline_source, g_source_remove);
    g_ptr_array_unref(engine->backends);
    g_ptr_array_unref(engine->counted);
    g_ptr_array_unref(engine->servers);
    journal_free(engine->journal);
    decision_free(engine->decision);
    g_ptr_array_unref(engine->reservations);
    g_array_unref(engine->facts);
    g_array_unref(engine->tracks);
    g_free(engine->proc);
    g_free(engine);
}

void engine_add_backend(Engine *engine, Backend *backend, const char *uri)
{
    EngineBackend *known = g_new0(EngineBackend, 1);
    known->backend = backend;
    known->uri = g_strdup(uri);
    known->problem = g_strdup("not connected yet");
    backend->on_event = on_backend_event;
    backend->on_event_data = engine;
    g_ptr_array_add(engine->backends, known);
}

void engine_start(Engine *engine)
{
    begin_beat(engine);
}

void engine_listen(Engine *engine, EngineListener listener, gpointer user_data)
{
    engine->listener = listener;
    engine->listener_data = user_data;
}

const EngineHost *engine_host(Engine *engine)
{
    engine->host.uptime_us = g_get_monotonic_time() - engine->started_us;
    return &engine->host;
}

GPtrArray *engine_servers(Engine *engine)
{
    return engine->servers;
}

GPtrArray *engine_backends(Engine *engine)
{
    return engine->backends;
}

const TrackedDefaults *engine_defaults(const Engine *engine)
{
    return &engine->defaults;
}

Journal *engine_journal(Engine *engine)
{
    return engine->journal;
}
