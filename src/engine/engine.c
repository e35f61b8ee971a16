/* The engine as a whole: its life, what is asked of it, and one decision. When that is taken: beat.c. */
#include "engine/engine.h"
#include "base/error.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/chronicle.h"
#include "engine/engine_private.h"
#include "engine/pool.h"
#include "engine/record.h"
#include "engine/reservation.h"

#define SECOND_US INT64_C(1000000)
/* The slow beat, and the beat while somebody waits or memory is on its way: a tenth of what a guest needs to fill
 * its headroom at the fastest first touch that was measured. */
#define SLOW_BEAT_MS 1000
#define FAST_BEAT_MS 100
/* A beat does not wait longer than this for a backend; what it does not know by then it leaves as it was. */
#define BEAT_DEADLINE_MS 3000
#define JOURNAL_CAPACITY 5000

static int64_t wall_s(void)
{
    return g_get_real_time() / SECOND_US;
}

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

/* What everybody is guaranteed; the pinned ones by what was guaranteed to them before they were pinned. */
static uint64_t guaranteed_bytes(const Engine *engine)
{
    uint64_t sum = 0;
    for (guint i = 0; i < engine->facts->len; i++) {
        const ServerFacts *facts = &g_array_index(engine->facts, ServerFacts, i);
        uint64_t low = facts->fixed != FIXED_NO ? facts->maximum_bytes : facts->minimum_bytes;
        sum = u64_add_sat(sum, u64_add_sat(low, facts->overhead_bytes));
    }
    return sum;
}

/* Whoever will be guaranteed all of its memory from its restart on has it guaranteed from now on, as far as the pool can
 * hold that beside what the others are guaranteed. */
static void pin(Engine *engine, uint64_t pool_bytes)
{
    uint64_t spare = u64_sub_sat(pool_bytes, guaranteed_bytes(engine));
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        ServerFacts *facts = &tracked->facts;
        if (!ballooning_pins(tracked) || facts->fixed != FIXED_NO)
            continue;
        uint64_t more = u64_min(u64_sub_sat(facts->maximum_bytes, facts->minimum_bytes), spare);
        facts->minimum_bytes += more;
        spare -= more;
        g_array_index(engine->facts, ServerFacts, i) = *facts;
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

/* What of the host's used memory is this server's. A QEMU that has not been found yet may be the whole host when the
 * daemon has just started: what its guest can have touched is taken, lest it pass for a stranger's and shrink the pool. A
 * guest that has not booted has touched next to nothing. */
static uint64_t resident_of(const Engine *engine, const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    if (latest->pid > 0 && latest->resident_bytes != UNKNOWN)
        return latest->resident_bytes;
    if (!tracked_counts(tracked) || !tracked->booted)
        return 0;
    return u64_add_sat(latest->balloon_bytes, tracked_overhead(tracked, &engine->defaults));
}

static void sense_host(Engine *engine)
{
    HostMemory memory = {.pressure_some_avg10 = -1};
    g_autoptr(GError) error = NULL;
    gboolean readable = hostinfo_read(engine->proc, &memory, &error);
    if (!readable && !engine->host_unreadable) {
        g_autofree char *text = g_strdup_printf(
            "The host's memory cannot be read, so the pool stays as it was: %s", error->message);
        engine_note(engine, text);
    }
    engine->host_unreadable = !readable;
    if (!readable)
        return;
    uint64_t resident = 0;
    for (guint i = 0; i < engine->servers->len; i++)
        resident = u64_add_sat(resident, resident_of(engine, engine->servers->pdata[i]));
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
    uint64_t taken = u64_add_sat(ledger->committed_bytes, engine_reserved_bytes(engine));
    ledger->free_bytes = u64_sub_sat(host->pool_bytes, taken);
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

/* For whoever has to find out why: G_MESSAGES_DEBUG=aerostat shows it. */
static void tell_over(Engine *engine)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        const ServerFacts *facts = &tracked->facts;
        g_debug("over the pool: %s balloon %" G_GUINT64_FORMAT " target %" G_GUINT64_FORMAT
                " resident %" G_GUINT64_FORMAT " overhead %" G_GUINT64_FORMAT " %s",
                tracked->latest->name, (guint64)facts->balloon_bytes, (guint64)facts->target_bytes,
                (guint64)facts->resident_bytes, (guint64)facts->overhead_bytes, tracked_state(tracked));
    }
}

uint64_t engine_pool_to_share(Engine *engine, guint n)
{
    /* What is promised to running servers comes first: a reservation that leaves too little waits, and expires. */
    uint64_t promised = u64_min(engine->guaranteed_bytes, engine->host.pool_bytes);
    uint64_t left = u64_sub_sat(engine->host.pool_bytes, engine_reserved_bytes(engine));
    /* A guest holds whole pages: up to one more than it was asked for, which the policy is not to hand out twice. */
    return u64_max(promised, u64_sub_sat(left, (uint64_t)n * PAGE_BYTES));
}

void engine_decide_between(Engine *engine)
{
    int64_t now_us = g_get_monotonic_time();
    collect(engine, now_us);
    engine->guaranteed_bytes = guaranteed_bytes(engine);
    HostFacts host = {.pool_bytes = engine_pool_to_share(engine, engine->counted->len),
                      .slack_bytes = engine->host.slack_wanted_bytes};
    pin(engine, host.pool_bytes);
    decision_make(&host, (ServerFacts *)(void *)engine->facts->data,
                  (ServerTrack *)(void *)engine->tracks->data, engine->facts->len, &engine->params, now_us,
                  engine->decision);
    distribute(engine);
    records_beat(engine, now_us);
    account(engine, now_us);
    engine->granted_since_bytes = 0;
    const PlanTotals *totals = &engine->host.totals;
    reservations_update(engine, u64_add_sat(totals->ledger.committed_bytes, totals->granted_bytes), now_us);
    engine_measure_relief(engine, now_us);
    if (engine->host.totals.ledger.over_bytes > 0)
        tell_over(engine);
    set_state(engine, state_now(engine));
    engine_act(engine, now_us);
    engine_ask_fresh(engine);
}

void engine_decide(Engine *engine)
{
    sense_host(engine);
    engine_decide_between(engine);
    if (engine->chronicle)
        chronicle_beat(engine->chronicle, engine, engine->wall_s());
    engine_emit(engine, ENGINE_EVENT_BEAT, NULL);
    for (guint i = 0; i < engine->servers->len; i++)
        engine_emit(engine, ENGINE_EVENT_SERVER, engine->servers->pdata[i]);
}

static void backend_entry_free(gpointer data)
{
    EngineBackend *known = data;
    backend_free(known->backend);
    g_hash_table_unref(known->by_id);
    g_free(known->uri);
    g_free(known->problem);
    g_free(known);
}

static void open_promises(Engine *engine, const char *path)
{
    g_autoptr(GError) error = NULL;
    engine->promises = promises_open(path, &error);
    if (error)
        engine_no_promises(engine, error);
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
    engine->params = options->params ? *options->params : policy_params_default();
    engine->times = options->times ? *options->times : tracked_times_default();
    engine->slow_beat_ms = options->slow_beat_ms ? options->slow_beat_ms : SLOW_BEAT_MS;
    engine->fast_beat_ms = options->fast_beat_ms ? options->fast_beat_ms : FAST_BEAT_MS;
    engine->deadline_ms = options->deadline_ms ? options->deadline_ms : BEAT_DEADLINE_MS;
    engine->wall_s = options->wall_s ? options->wall_s : wall_s;
    engine->tick_ms = options->tick_ms;
    engine_looking_init(engine);
    engine->decision = decision_new();
    engine->reservations = g_ptr_array_new_with_free_func((GDestroyNotify)reservation_free);
    engine->records = g_ptr_array_new_with_free_func((GDestroyNotify)record_free);
    engine->facts = g_array_new(FALSE, TRUE, sizeof(ServerFacts));
    engine->tracks = g_array_new(FALSE, TRUE, sizeof(ServerTrack));
    engine->counted = g_ptr_array_new();
    engine->host.mode = options->mode;
    engine->host.relief_p50_us = engine->host.relief_p99_us = UNKNOWN;
    engine->host.first_grant_p50_us = engine->host.first_grant_p99_us = UNKNOWN;
    engine->host.pressure_some_avg10 = -1;
    engine->started_us = g_get_monotonic_time();
    open_promises(engine, options->promises);
    if (engine->store) {
        engine->chronicle = chronicle_new(engine->store);
        reservations_load(engine);
    }
    return engine;
}

void engine_free(Engine *engine)
{
    if (!engine)
        return;
    engine->closing = TRUE;
    g_clear_handle_id(&engine->beat_source, g_source_remove);
    g_clear_handle_id(&engine->deadline_source, g_source_remove);
    g_clear_handle_id(&engine->burst_source, g_source_remove);
    /* Each answers what it still owes: the engine must be whole until the last has. */
    for (guint i = 0; i < engine->backends->len; i++) {
        EngineBackend *known = engine->backends->pdata[i];
        backend_free(known->backend);
        known->backend = NULL;
    }
    g_ptr_array_unref(engine->backends);
    g_ptr_array_unref(engine->counted);
    g_ptr_array_unref(engine->servers);
    journal_free(engine->journal);
    decision_free(engine->decision);
    engine_looking_clear(engine);
    g_ptr_array_unref(engine->reservations);
    g_ptr_array_unref(engine->records);
    chronicle_free(engine->chronicle);
    promises_free(engine->promises);
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
    known->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    backend->on_event = engine_on_backend_event;
    backend->on_event_data = engine;
    g_ptr_array_add(engine->backends, known);
}

void engine_start(Engine *engine)
{
    engine_watch_bursts(engine);
    engine_beat(engine);
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

Store *engine_store(Engine *engine)
{
    return engine->store;
}

Journal *engine_journal(Engine *engine)
{
    return engine->journal;
}
