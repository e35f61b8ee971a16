/* What is known of one server, and the rule that at most one call of ours is on it. */
#include "backend/libvirt_private.h"

#include <fnmatch.h>

#include "backend/hostinfo.h"

/* Long enough for the slowest notice: libvirt's cached size lags QEMU by up to 1 s (BALLOON_CHANGE is sent once a
 * second), the same again for the guest to start. */
#define MOVING_US (3 * US_PER_S)
/* Where a raise was cut short, the balloon's way is known by two looks; two that answer late may be taken for one. */
#define TURN_LOOKS 3
/* A target that is not reached by then is stuck; the cached size is right again. */
#define TARGET_US (60 * US_PER_S)

Server *server_ref(Server *server)
{
    server->references++;
    return server;
}

void server_unref(Server *server)
{
    if (--server->references > 0)
        return;
    g_free(server->id);
    g_free(server->name);
    g_free(server);
}

Server *server_get(LibvirtBackend *backend, const char *id)
{
    Server *server = g_hash_table_lookup(backend->servers, id);
    if (server)
        return server;
    server = g_new0(Server, 1);
    server->references = 1;
    server->id = g_strdup(id);
    server->name = g_strdup(id);
    server->domain_id = -2;
    server->definition.maximum_bytes = UNKNOWN;
    server->definition.fixed = FIXED_NO_DRIVER; /* until its definition is known nothing is asked of it */
    server->pid_adopt = TRUE;
    server->resident_bytes = server->overhead_bytes = UNKNOWN;
    server->seen_swap_in_bytes = server->seen_swap_out_bytes = UNKNOWN;
    server->seen_major_faults = server->seen_update_s = UNKNOWN;
    sample_init(&server->sample);
    g_queue_init(&server->waiting);
    g_hash_table_insert(backend->servers, server->id, server);
    return server;
}

gboolean server_is_seen(const LibvirtBackend *backend, const char *name)
{
    for (guint i = 0; backend->globs[i]; i++)
        if (fnmatch(backend->globs[i], name, 0) == 0)
            return TRUE;
    return FALSE;
}

void server_emit(LibvirtBackend *backend, BackendEvent event, const char *id, const char *detail)
{
    if (backend->base.on_event)
        backend->base.on_event(&backend->base, event, id, detail, backend->base.on_event_data);
}

/* ---- boots and resets */

void server_booted(LibvirtBackend *backend, Server *server)
{
    server->boot_count = ++backend->boots;
    server->booted_us = server->event_us = g_get_monotonic_time();
    server->boot_wall_s = g_get_real_time() / US_PER_S;
    server->job_active = FALSE;
    server->target_bytes = 0;
    server->turn_looks = 0;
    server->moved_us = g_get_monotonic_time();
    server->seen_swap_in_bytes = server->seen_swap_out_bytes = UNKNOWN;
    server->seen_major_faults = server->seen_update_s = UNKNOWN;
}

void server_started(LibvirtBackend *backend, Server *server)
{
    server_booted(backend, server);
    sample_init(&server->sample);
    server->sample.running = TRUE;
    server->sample.power = VIR_DOMAIN_RUNNING;
    server->still = FALSE;
    server->set_period_s = 0;
    process_expect_new(backend, server);
}

void server_stopped(Server *server)
{
    server->domain_id = -1; /* a libvirtd that was restarted may use its number again */
    server->pid = 0;
    server->job_active = FALSE;
    sample_init(&server->sample);
}

static gboolean went_back(uint64_t seen, uint64_t now)
{
    return seen != UNKNOWN && now != UNKNOWN && now < seen;
}

/* While events could not be heard a guest may have been reset: its counters begin at 0 again. Only then: a guest that
 * plays with its counters must not be able to have itself taken for rebooting. */
static void look_for_missed_reset(LibvirtBackend *backend, Server *server, const Sample *sample)
{
    gboolean reset;
    if (!sample->asked || sample->guest_update_s == UNKNOWN)
        return;
    if (sample->guest_update_s != 0 && (int64_t)sample->guest_update_s <= server->boot_wall_s)
        return; /* still of the guest before the last reset that was counted */
    reset = server->gap &&
            (went_back(server->seen_swap_in_bytes, sample->swap_in_bytes) ||
             went_back(server->seen_swap_out_bytes, sample->swap_out_bytes) ||
             went_back(server->seen_major_faults, sample->major_faults) ||
             (sample->guest_update_s == 0 && server->seen_update_s != 0 && server->seen_update_s != UNKNOWN));
    if (sample->guest_update_s != server->seen_update_s)
        server->gap = FALSE;
    if (reset) {
        server_booted(backend, server);
        server_emit(backend, BACKEND_EVENT_RESET, server->id,
                    "its counters began again while libvirt was away");
        return;
    }
    server->seen_swap_in_bytes = sample->swap_in_bytes;
    server->seen_swap_out_bytes = sample->swap_out_bytes;
    server->seen_major_faults = sample->major_faults;
    server->seen_update_s = sample->guest_update_s;
}

/* ---- facts in */

static NextStart next_start_of(const Definition *definition)
{
    if (definition->has_balloon)
        return NEXT_START_ON;
    return definition->marked_off ? NEXT_START_DISABLED : NEXT_START_OFF;
}

/* Between the two halves of a question of ours polling is off. */
#define ASKING_US (2 * US_PER_S)

/* A running machine's period that its definition does not have is the one that a daemon before us has set. */
static gboolean is_daemons(const LibvirtBackend *backend, unsigned period_s, const Definition *next)
{
    unsigned usual_s = backend->stats_period_s;
    return next->stats_period_s == 0 && (period_s == usual_s || period_s == STILL_PERIODS * usual_s);
}

/* Returns whether its period may have been set by a daemon before us. */
static gboolean apply_definition(const LibvirtBackend *backend, Server *server, const Listed *listed)
{
    Definition next;
    unsigned before_s = server->defined ? server->definition.stats_period_s : 0;
    gboolean asking =
        listed->domain_id == server->domain_id && g_get_monotonic_time() - server->asked_us < ASKING_US;
    const char *next_xml = listed->next_xml;
    if (!definition_parse(listed->xml, &server->definition))
        return FALSE;
    if (!next_xml && listed->domain_id < 0)
        next_xml = listed->xml;
    server->persistent = listed->persistent;
    server->autostart = listed->autostart;
    gboolean persists = next_xml && definition_parse(next_xml, &next);
    server->next_start = persists ? next_start_of(&next) : NEXT_START_UNKNOWN;
    if (server->definition.stats_period_s == 0 && asking)
        server->definition.stats_period_s = before_s;
    server->defined = TRUE;
    server->definition_stale = FALSE;
    server->definition_us = g_get_monotonic_time();
    return persists && is_daemons(backend, server->definition.stats_period_s, &next);
}

void server_apply_listed(LibvirtBackend *backend, Server *server, const Listed *listed, int64_t asked_us)
{
    gboolean first = server->domain_id == -2;
    server->listed = TRUE;
    g_free(server->name);
    server->name = g_strdup(listed->name);
    gboolean is_new = !server->defined;
    gboolean daemons = listed->xml && apply_definition(backend, server, listed);
    if (server->event_us > asked_us)
        return;
    if (listed->domain_id < 0) {
        server_stopped(server);
    } else if (listed->domain_id != server->domain_id) {
        server->domain_id = listed->domain_id;
        server_started(backend, server);
        if (first)
            server->boot_wall_s = 0; /* it has been running for a while: its statistics are its own */
        else
            server->definition_stale = listed->xml == NULL;
    }
    if (is_new && daemons)
        server->set_period_s = server->definition.stats_period_s;
}

static void note_movement(Server *server, const Sample *sample)
{
    if (sample->has_balloon && server->sample.has_balloon &&
        sample->balloon_bytes != server->sample.balloon_bytes)
        server->moved_us = g_get_monotonic_time();
}

/* Facts that QEMU was not asked for stay as they were last known; a live sample has no power state. */
void server_apply_sample(LibvirtBackend *backend, Server *server, const Sample *sample, int64_t asked_us)
{
    Sample merged = *sample;
    if (server->event_us > asked_us)
        return;
    server->quiet = sample->running && !sample->asked && sample->has_balloon;
    if (sample->live) {
        merged.power = server->sample.power;
        merged.reason = server->sample.reason;
        merged.maximum_bytes = server->sample.maximum_bytes;
    } else if (!sample->asked && sample->running && server->sample.running) {
        merged = server->sample;
        merged.power = sample->power;
        merged.reason = sample->reason;
        if (merged.balloon_bytes == UNKNOWN) { /* nothing better is known: libvirt's copy */
            merged.balloon_bytes = sample->balloon_bytes;
            merged.has_balloon = sample->has_balloon;
            merged.maximum_bytes = sample->maximum_bytes;
        }
    }
    if (sample->has_balloon && !sample->live) {
        server->cached_bytes = sample->balloon_bytes;
        if (server->sample.live && server_is_moving(server, g_get_monotonic_time())) {
            merged.balloon_bytes = server->sample.balloon_bytes;
            merged.live = TRUE;
        }
    }
    note_movement(server, &merged);
    if (sample->asked && (sample->guest_update_s != server->sample.guest_update_s ||
                          sample->available_bytes != server->sample.available_bytes))
        server->asked_us = 0; /* the answer has come */
    if (sample->live)
        server->live_us = g_get_monotonic_time();
    if (sample->live && sample->has_balloon) {
        server->read_us = asked_us;
        if (server->turn_looks > 0 && asked_us > server->turned_us)
            server->turn_looks--;
    }
    server->sample = merged;
    if (sample->running)
        look_for_missed_reset(backend, server, sample);
}

void server_told(Server *server, uint64_t target_bytes, int64_t now_us)
{
    const uint64_t held = server->sample.balloon_bytes, before = server->target_bytes;
    if (target_bytes < before && held < before) {
        server->turn_looks = TURN_LOOKS;
        server->turned_us = now_us;
    }
    server->moved_us = now_us;
    server->target_bytes = target_bytes;
}

void server_doubt_balloon(Server *server)
{
    if (server->target_bytes != 0)
        server->moved_us = g_get_monotonic_time();
}

gboolean server_is_moving(const Server *server, int64_t now_us)
{
    int64_t age_us = now_us - server->moved_us;
    return (server->moved_us && age_us < MOVING_US) ||
           (server->target_bytes && server->target_bytes != server->sample.balloon_bytes &&
            age_us < TARGET_US);
}

/* ---- facts out */

static PowerState power_of(const Server *server)
{
    const Sample *sample = &server->sample;
    if (!sample->running)
        return POWER_OFF;
    if (server->job_active)
        return POWER_MIGRATING;
    switch (sample->power) {
    case VIR_DOMAIN_PAUSED:
        switch (sample->reason) {
        case VIR_DOMAIN_PAUSED_MIGRATION:
        case VIR_DOMAIN_PAUSED_SAVE:
        case VIR_DOMAIN_PAUSED_DUMP:
        case VIR_DOMAIN_PAUSED_SNAPSHOT:
        case VIR_DOMAIN_PAUSED_FROM_SNAPSHOT:
        case VIR_DOMAIN_PAUSED_POSTCOPY:
        case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
            return POWER_MIGRATING;
        default:
            return POWER_PAUSED;
        }
    case VIR_DOMAIN_PMSUSPENDED:
    case VIR_DOMAIN_CRASHED:
        return POWER_PAUSED;
    default:
        return POWER_RUNNING;
    }
}

static void fill_running(BackendServer *facts, Server *server, const char *proc)
{
    const Sample *sample = &server->sample;
    process_verify(server, proc);
    facts->balloon_bytes =
        server->definition.fixed == FIXED_NO_DRIVER || server->definition.fixed == FIXED_DISABLED_BY_OWNER
            ? facts->maximum_bytes
            : sample->balloon_bytes;
    if (facts->balloon_bytes == UNKNOWN) /* it has not answered since it started: it may hold everything */
        facts->balloon_bytes = facts->maximum_bytes;
    facts->balloon_read_us = server->read_us;
    facts->guest_update_s = sample->guest_update_s;
    facts->available_bytes = sample->available_bytes;
    facts->free_bytes = sample->free_bytes;
    facts->total_bytes = sample->total_bytes;
    facts->cache_bytes = sample->cache_bytes;
    facts->swap_in_bytes = sample->swap_in_bytes;
    facts->swap_out_bytes = sample->swap_out_bytes;
    facts->major_faults = sample->major_faults;
    facts->pid = server->pid;
    facts->resident_bytes = server->resident_bytes;
    facts->overhead_bytes = server->overhead_bytes;
}

BackendServer *server_facts(Server *server, const char *proc)
{
    BackendServer *facts;
    gboolean sized = server->sample.maximum_bytes != UNKNOWN || server->definition.maximum_bytes != UNKNOWN;
    /* One that was set aside is nobody's any more, unless it runs all the same: then it holds memory. */
    if (!sized || (server->definition.aside && power_of(server) == POWER_OFF))
        return NULL;
    facts = g_new0(BackendServer, 1);
    facts->id = g_strdup(server->id);
    facts->name = g_strdup(server->name);
    facts->kind = SERVER_KIND_KVM;
    facts->power = power_of(server);
    facts->responsive = server->admission == ADMITTED;
    facts->maximum_bytes = server->sample.maximum_bytes != UNKNOWN ? server->sample.maximum_bytes
                                                                   : server->definition.maximum_bytes;
    facts->boot_count = server->boot_count;
    facts->stats_period_us = (int64_t)server->definition.stats_period_s * US_PER_S;
    facts->deflates_on_oom = server->definition.deflates_on_oom;
    facts->reports_free_pages = server->definition.reports_free_pages;
    facts->has_balloon = server->definition.has_balloon;
    facts->preallocated = server->definition.preallocated;
    facts->locked = server->definition.locked;
    facts->marked_off = server->definition.marked_off;
    facts->next_start = server->next_start;
    facts->persistent = server->persistent;
    facts->autostart = server->autostart;
    facts->fixed = server->definition.fixed;
    facts->driver = g_strdup(server->definition.driver);
    facts->agent_path = server->definition.agent_path[0] ? g_strdup(server->definition.agent_path) : NULL;
    facts->balloon_bytes = facts->guest_update_s = UNKNOWN;
    facts->available_bytes = facts->free_bytes = facts->total_bytes = facts->cache_bytes = UNKNOWN;
    facts->swap_in_bytes = facts->swap_out_bytes = facts->major_faults = UNKNOWN;
    facts->resident_bytes = facts->overhead_bytes = UNKNOWN;
    if (facts->power != POWER_OFF)
        fill_running(facts, server, proc);
    return facts;
}

/* ---- one call at a time */

gboolean server_may_call(const Server *server)
{
    return !server->in_flight && server->admission != STUCK;
}

void server_call(LibvirtBackend *backend, Server *server, Call *call)
{
    call->server = server_ref(server);
    if (server->in_flight) {
        call->backend = backend;
        g_queue_push_tail(&server->waiting, call);
        return;
    }
    server->in_flight = call;
    call_start(backend, call);
}

void server_call_ended(LibvirtBackend *backend, Server *server)
{
    Call *next = g_queue_pop_head(&server->waiting);
    server->in_flight = NULL;
    if (server->admission == STUCK)
        server->admission = SUSPECT;
    if (next) {
        server->in_flight = next;
        call_start(backend, next);
    }
}

/* Its QEMU hangs: what waits behind that call will not be tried. */
void server_call_overdue(LibvirtBackend *backend, Server *server)
{
    Call *call;
    server->admission = STUCK;
    while ((call = g_queue_pop_head(&server->waiting))) {
        g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                                              "server %s: its QEMU does not answer", server->name);
        if (call->done)
            call->done(call, error);
        call_free(call);
    }
}

void server_forget_waiting(Server *server)
{
    Call *call;
    while ((call = g_queue_pop_head(&server->waiting)))
        call_free(call);
    server->in_flight = NULL;
}
