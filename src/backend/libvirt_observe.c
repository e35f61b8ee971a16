/*
 * One observation: list where there may be news, bulk statistics, then the live balloon size of those that move.
 *
 * A QEMU that hangs takes the bulk call with it: libvirt asks one after the other and waits for ever. When the bulk
 * call (or the list) is not back in time, libvirtd itself is asked for a sign of life; if it gives one, every server
 * is asked alone. Those that do not answer, or whose QEMU libvirt knows to be occupied for long, are STUCK and left
 * out from then on; the others' answers are this observation. So one hung server costs one wait, once.
 */
#include "backend/libvirt_private.h"

/* libvirtd has 20 workers for all its clients: no more than half of them may hang for us. */
#define OVERDUE_MOST 10
/* Changes that come without an event, like metadata or a device edited in place. */
#define DEFINITION_US (60 * US_PER_S)
/* ... or after this where statistics that should come do not: somebody may have switched them off, for which there is no event. */
#define OVERDUE_DEFINITION_US (10 * US_PER_S)
#define OVERDUE_LEAST_S       8
#define OVERDUE_PERIODS       3
/* Statistics make a QEMU with a balloon answer every other second at least; one without is asked by itself, this often. */
#define ALIVE_US (10 * US_PER_S)
/* Starts, stops and definitions are told by events; who else is there is asked for this often. */
#define LIST_EVERY_US (5 * US_PER_S)
/* Longer than libvirt's copy may be behind and a question may take. */
#define LIVE_HOLDS_US (2 * US_PER_S)

typedef struct {
    BackendObserved done;
    gpointer user_data;
} Waiter;

typedef struct {
    char **globs;      /* owned */
    GHashTable *known; /* ids whose definition is known; owned */
    GPtrArray *listed; /* (nullable) out; owned */
} Listing;

typedef struct {
    GHashTable *wanted; /* ids; owned */
    gboolean one_by_one;
    GArray *samples; /* (nullable) out; owned */
} Bulk;

typedef struct {
    char *id;
    Sample sample;
    int64_t occupied_us;
    int64_t asked_us;
} Probe;

/* ---- the end */

static int by_name(const void *a, const void *b)
{
    const BackendServer *x = *(BackendServer *const *)a, *y = *(BackendServer *const *)b;
    int order = g_strcmp0(x->name, y->name);
    return order ? order : g_strcmp0(x->id, y->id);
}

static GPtrArray *collect(LibvirtBackend *backend)
{
    GPtrArray *servers = g_ptr_array_new_with_free_func((GDestroyNotify)backend_server_free);
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        BackendServer *facts = server->listed ? server_facts(server, backend->proc) : NULL;
        if (facts)
            g_ptr_array_add(servers, facts);
    }
    g_ptr_array_sort(servers, by_name);
    return servers;
}

GArray *observe_waiters_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Waiter));
}

static void answer_waiters(LibvirtBackend *backend, const GError *error)
{
    GArray *waiters = backend->waiters;
    backend->waiters = observe_waiters_new();
    for (guint i = 0; i < waiters->len; i++) {
        Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->done(&backend->base, error ? NULL : collect(backend), error, waiter->user_data);
    }
    g_array_unref(waiters);
}

static void observation_free(Observation *observation)
{
    Server *server;
    while ((server = g_queue_pop_head(&observation->hunt)))
        server_unref(server);
    g_clear_handle_id(&observation->impatience, g_source_remove);
    g_free(observation);
}

static void finish(LibvirtBackend *backend, const GError *error)
{
    if (!backend->observation->is_glance)
        backend->whole_us = error ? 0 : backend->observation->began_us;
    if (error)
        backend->listed_us = 0;
    g_clear_pointer(&backend->observation, observation_free);
    if (!error) {
        process_look_after(backend);
        action_look_after(backend);
    }
    answer_waiters(backend, error);
}

void observe_fail(LibvirtBackend *backend, const GError *error)
{
    if (backend->observation)
        finish(backend, error);
}

void observe_clear(LibvirtBackend *backend)
{
    if (backend->fail_idle)
        g_source_remove(backend->fail_idle);
    g_clear_pointer(&backend->observation, observation_free);
    g_array_unref(backend->waiters);
}

static gboolean is_current(const LibvirtBackend *backend, uint64_t serial)
{
    return backend->observation && serial == backend->observation->serial;
}

static void one_less(LibvirtBackend *backend, uint64_t serial)
{
    if (!is_current(backend, serial))
        return; /* it ended without this call */
    if (--backend->observation->outstanding == 0)
        finish(backend, NULL);
}

void observe_end(LibvirtBackend *backend)
{
    finish(backend, NULL);
}

/* ---- one server alone */

static Probe *probe_new(const char *id)
{
    Probe *one = g_new0(Probe, 1);
    one->id = g_strdup(id);
    one->asked_us = g_get_monotonic_time();
    sample_init(&one->sample);
    return one;
}

static void probe_free(gpointer data)
{
    Probe *one = data;
    g_free(one->id);
    g_free(one);
}

static void run_probe(Call *call)
{
    Probe *one = call->data;
    stats_probe(call->lane, one->id, &one->sample, &one->occupied_us, &call->error);
}

static void run_live(Call *call)
{
    Probe *one = call->data;
    stats_live(call->lane, one->id, &one->sample, &call->error);
}

static void hunt_on(LibvirtBackend *backend);

static void admit(LibvirtBackend *backend, Server *server)
{
    if (server->admission == ADMITTED)
        return;
    server->admission = ADMITTED;
    server_doubt_balloon(server);
    server_emit(backend, BACKEND_EVENT_CHANGED, server->id, "its QEMU answers again");
}

static void probed(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    Server *server = call->server;
    Probe *one = call->data;
    if (!error) {
        server_apply_sample(backend, server, &one->sample, one->asked_us);
        /* Somebody's call hangs in its QEMU: our own bulk call, or another program's. */
        if (one->occupied_us >= backend->patience_us / 2)
            server->admission = SUSPECT;
        else
            admit(backend, server);
    }
    if (is_current(backend, call->observation))
        hunt_on(backend);
    one_less(backend, call->observation);
}

static void probe(LibvirtBackend *backend, Server *server, Observation *observation)
{
    Call *call = call_new(run_probe, probed, probe_new(server->id), probe_free);
    call->patience_us = backend->patience_us;
    if (observation) {
        call->observation = observation->serial;
        observation->outstanding++;
    }
    server_call(backend, server, call);
}

/* What QEMU itself said a moment ago is newer than libvirt's copy, unless an event has said more since (live_us is 0 then):
 * taking the larger of the two would count as held what has come back and been granted already. */
static gboolean knows_live(const Server *server)
{
    return server->sample.live && g_get_monotonic_time() - server->live_us < LIVE_HOLDS_US;
}

static void lived(Call *call, const GError *error)
{
    Probe *one = call->data;
    Server *server = call->server;
    if (!error)
        server_apply_sample(call->backend, server, &one->sample, one->asked_us);
    else if (server->sample.has_balloon && !knows_live(server)) /* the larger one can only be too careful */
        server->sample.balloon_bytes = u64_max(server->sample.balloon_bytes, server->cached_bytes);
    if (is_current(call->backend, call->observation) && call->backend->observation->is_glance)
        glance_on(call->backend);
    one_less(call->backend, call->observation);
}

void observe_live(LibvirtBackend *backend, Server *server)
{
    Call *call = call_new(run_live, lived, probe_new(server->id), probe_free);
    call->patience_us = backend->patience_us;
    call->observation = backend->observation->serial;
    backend->observation->outstanding++;
    server_call(backend, server, call);
}

/* libvirt's size is a copy that QEMU refreshes once a second at most: those that move are asked for the real one. So
 * are all of a driver that puts no balloon into its bulk statistics. */
static void ask_moving(LibvirtBackend *backend)
{
    Observation *observation = backend->observation;
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter each;
    gpointer value;
    observation->outstanding++; /* keeps it open until all are on their way */
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        const Sample *sample = &server->sample;
        if (server->listed && sample->running && server->admission == ADMITTED && server_may_call(server) &&
            server->definition.driver && (!sample->has_balloon || server_is_moving(server, now_us)))
            observe_live(backend, server);
    }
    one_less(backend, observation->serial);
}

/* ---- the search for the one that hangs */

/* Two lanes: the third stays free for actions. */
#define HUNT_WIDTH 2

static void hunt_on(LibvirtBackend *backend)
{
    Observation *observation = backend->observation;
    while (observation->outstanding <= HUNT_WIDTH && !g_queue_is_empty(&observation->hunt)) {
        Server *server = g_queue_pop_head(&observation->hunt);
        if (backend->overdue >= OVERDUE_MOST)
            server->admission = server->admission == ADMITTED ? SUSPECT : server->admission;
        else if (server_may_call(server))
            probe(backend, server, observation);
        server_unref(server);
    }
}

static void hunt(LibvirtBackend *backend)
{
    Observation *observation = backend->observation;
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        if (server->listed && server->admission == ADMITTED && server_may_call(server))
            g_queue_push_tail(&observation->hunt, server_ref(server));
    }
    observation->outstanding++;
    hunt_on(backend);
    one_less(backend, observation->serial);
}

static void run_ping(Call *call)
{
    unsigned long version;
    if (virConnectGetLibVersion(call->lane->conn, &version) != 0)
        set_libvirt_error(&call->error, "ask libvirtd for its version");
}

/* No answer in time, or not even a lane: others hang in them. Which of the two it is the ping tells. */
static gboolean ran_out(const GError *error)
{
    return g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT);
}

static void pinged(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    g_autoptr(GError) silent = NULL;
    if (call->state == CALL_OVERDUE)
        backend->ping_stuck = TRUE;
    if (ran_out(error))
        silent = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT, "libvirt: libvirtd does not answer");
    if (!is_current(backend, call->observation))
        return;
    if (error)
        finish(backend, silent ? silent : error);
    else
        hunt(backend);
}

static void pinged_late(Call *call, const GError *error)
{
    call->backend->ping_stuck = FALSE;
}

static void ping(LibvirtBackend *backend)
{
    Call *call = call_new(run_ping, pinged, NULL, NULL);
    call->late = pinged_late;
    call->urgent = TRUE;
    call->patience_us = backend->patience_us;
    call->observation = backend->observation->serial;
    call_start(backend, call);
}

/* ---- list and bulk statistics */

static void listing_free(gpointer data)
{
    Listing *listing = data;
    g_strfreev(listing->globs);
    g_hash_table_unref(listing->known);
    g_clear_pointer(&listing->listed, g_ptr_array_unref);
    g_free(listing);
}

static void bulk_free(gpointer data)
{
    Bulk *bulk = data;
    g_hash_table_unref(bulk->wanted);
    g_clear_pointer(&bulk->samples, g_array_unref);
    g_free(bulk);
}

static void run_list(Call *call)
{
    Listing *listing = call->data;
    listing->listed =
        stats_list(call->lane, (const char *const *)listing->globs, listing->known, &call->error);
}

static void run_bulk(Call *call)
{
    Bulk *bulk = call->data;
    bulk->samples = stats_bulk(call->lane, bulk->wanted, bulk->one_by_one, &call->error);
}

static void bulk_done(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    const Bulk *bulk = call->data;
    if (!is_current(backend, call->observation))
        return;
    if (ran_out(error)) {
        ping(backend);
        return;
    }
    if (error) {
        finish(backend, error);
        return;
    }
    for (guint i = 0; i < bulk->samples->len; i++) {
        const Sampled *one = &g_array_index(bulk->samples, Sampled, i);
        Server *server = g_hash_table_lookup(backend->servers, one->id);
        if (server)
            server_apply_sample(backend, server, &one->sample, backend->observation->asked_us);
    }
    ask_moving(backend);
}

/* All that may be asked with the others. */
static void start_bulk(LibvirtBackend *backend)
{
    Bulk *bulk = g_new0(Bulk, 1);
    Call *call = call_new(run_bulk, bulk_done, bulk, bulk_free);
    call->urgent = TRUE;
    GHashTableIter each;
    gpointer value;
    bulk->one_by_one = backend->list_stuck;
    bulk->wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Server *server = value;
        if (server->listed && server->admission == ADMITTED)
            g_hash_table_add(bulk->wanted, g_strdup(server->id));
    }
    call->patience_us = backend->patience_us;
    call->observation = backend->observation->serial;
    backend->observation->asked_us = g_get_monotonic_time();
    call_start(backend, call);
}

static gboolean is_gone(gpointer key, gpointer value, gpointer user_data)
{
    const Server *server = value;
    return !server->listed; /* a call in flight has its own reference, and those behind it find no domain */
}

static void apply_list(LibvirtBackend *backend, GPtrArray *listed)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value))
        ((Server *)value)->listed = FALSE;
    for (guint i = 0; i < listed->len; i++) {
        const Listed *one = g_ptr_array_index(listed, i);
        server_apply_listed(backend, server_get(backend, one->id), one, backend->observation->asked_us);
    }
    g_hash_table_foreach_remove(backend->servers, is_gone, NULL);
}

static void list_done(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    const Listing *listing = call->data;
    if (call->state == CALL_OVERDUE)
        backend->list_stuck = TRUE;
    if (!is_current(backend, call->observation))
        return;
    if (ran_out(error)) {
        ping(backend);
        return;
    }
    if (error) {
        finish(backend, error);
        return;
    }
    apply_list(backend, listing->listed);
    backend->listed_us = backend->observation->asked_us;
    start_bulk(backend);
}

static void list_late(Call *call, const GError *error)
{
    call->backend->list_stuck = FALSE;
}

static gboolean is_overdue(const Server *server)
{
    const Sample *sample = &server->sample;
    uint64_t wall_s = (uint64_t)(g_get_real_time() / US_PER_S);
    uint64_t told_s = MIN(sample->guest_update_s, wall_s), missing = OVERDUE_PERIODS;
    /* One that has never told of anything may have no driver; one that does not run tells nothing. */
    return sample->power == VIR_DOMAIN_RUNNING && server->admission == ADMITTED && told_s != 0 &&
           wall_s - told_s > MAX(OVERDUE_LEAST_S, missing * server->definition.stats_period_s);
}

static gboolean knows_definition(const Server *server, int64_t now_us)
{
    int64_t for_us = is_overdue(server) ? OVERDUE_DEFINITION_US : DEFINITION_US;
    return server->defined && !server->definition_stale && now_us - server->definition_us < for_us;
}

static void start_list(LibvirtBackend *backend)
{
    Listing *listing = g_new0(Listing, 1);
    Call *call = call_new(run_list, list_done, listing, listing_free);
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter each;
    gpointer value;
    listing->globs = g_strdupv(backend->globs);
    listing->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Server *server = value;
        if (knows_definition(server, now_us))
            g_hash_table_add(listing->known, g_strdup(server->id));
    }
    call->late = list_late;
    call->urgent = TRUE; /* glances that hang may have the lanes, and it must not expire behind them */
    call->patience_us = backend->patience_us;
    call->observation = backend->observation->serial;
    backend->observation->asked_us = now_us;
    call_start(backend, call);
}

/* ---- the beginning */

static void probe_suspects(LibvirtBackend *backend)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        if (server->listed && server->admission == SUSPECT && server_may_call(server) &&
            backend->overdue < OVERDUE_MOST)
            probe(backend, server, NULL);
    }
}

static void run_alive(Call *call)
{
    const Probe *one = call->data;
    stats_alive(call->lane, one->id, &call->error);
}

/* Nobody waits for the answer: one that does not come makes the server STUCK, as any call on it does. */
static void check_alive(LibvirtBackend *backend)
{
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        Call *call;
        if (!server->listed || !server->defined || server->definition.has_balloon ||
            !server->sample.running || server->admission != ADMITTED || !server_may_call(server) ||
            backend->overdue >= OVERDUE_MOST ||
            (server->alive_asked_us != 0 && now_us - server->alive_asked_us < ALIVE_US))
            continue;
        server->alive_asked_us = now_us;
        call = call_new(run_alive, NULL, probe_new(server->id), probe_free);
        call->patience_us = backend->patience_us;
        server_call(backend, server, call);
    }
}

gboolean observe_has_news(const LibvirtBackend *backend, int64_t since_us)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Server *server = value;
        if (!server->listed || !server->defined || server->definition_stale || server->event_us >= since_us)
            return TRUE;
    }
    return FALSE;
}

static gboolean list_holds(const LibvirtBackend *backend, int64_t now_us)
{
    return backend->listed_us != 0 && now_us - backend->listed_us < LIST_EVERY_US &&
           backend->link->lifecycle >= 0 && !observe_has_news(backend, backend->listed_us);
}

static gboolean on_fail_idle(gpointer data)
{
    LibvirtBackend *backend = data;
    g_autoptr(GError) error = backend->ping_stuck ? g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT,
                                                                "libvirt: libvirtd does not answer")
                                                  : link_error(backend);
    backend->fail_idle = 0;
    if (!backend->observation)
        answer_waiters(backend, error);
    return G_SOURCE_REMOVE;
}

void observe(Backend *base, BackendObserved done, gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Waiter waiter = {done, user_data};
    int64_t now_us = g_get_monotonic_time();
    g_array_append_val(backend->waiters, waiter);
    if (backend->observation || backend->fail_idle)
        return;
    if (!backend->link || backend->ping_stuck) {
        backend->fail_idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_fail_idle, backend, NULL);
        return;
    }
    backend->observation = g_new0(Observation, 1);
    backend->observation->serial = ++backend->observations;
    backend->observation->began_us = now_us;
    g_queue_init(&backend->observation->hunt);
    probe_suspects(backend);
    if (glance_suffices(backend, now_us)) {
        glance(backend, now_us);
        return;
    }
    check_alive(backend);
    if (backend->overdue >= OVERDUE_MOST)
        ping(backend);
    else if (backend->list_stuck || list_holds(backend, now_us))
        start_bulk(backend);
    else
        start_list(backend);
}
