/* What is asked of a server: a balloon size, fresh statistics, polling; and whether a job forbids that. */
#include "backend/libvirt_private.h"

/* Below this libvirt and QEMU accept sizes that no guest survives. */
#define TARGET_LEAST_BYTES MIB
/* A failed attempt to switch polling on is not repeated sooner. */
#define PERIOD_RETRY_US (30 * US_PER_S)
/* libvirt announces migrations, and a job that keeps statistics back is looked for at once. Any other is looked for this often, and
 * before a size is set. */
#define JOB_LOOK_US (30 * US_PER_S)

typedef struct {
    char *id;
    char *name;
    uint64_t bytes;
    unsigned period_s;
    gboolean toggle;     /* ask_fresh: through 0 */
    gboolean kept;       /* the period is somebody else's choice */
    gboolean job_active; /* out */
    gboolean off;        /* out: polling was left switched off */
} Action;

static Action *action_new(const Server *server)
{
    Action *action = g_new0(Action, 1);
    action->id = g_strdup(server->id);
    action->name = g_strdup(server->name);
    return action;
}

static void action_free(gpointer data)
{
    Action *action = data;
    g_free(action->id);
    g_free(action->name);
    g_free(action);
}

static void fail(Call *call, const Action *action, const char *what)
{
    g_autofree char *text = g_strdup_printf("server %s: %s", action->name, what);
    set_libvirt_error(&call->error, text);
}

/* ---- workers */

/* Migration, save, dump, snapshot. A driver without jobs has none. */
static gboolean has_job(virDomainPtr domain)
{
    virDomainJobInfo info;
    return virDomainGetJobInfo(domain, &info) == 0 &&
           (info.type == VIR_DOMAIN_JOB_BOUNDED || info.type == VIR_DOMAIN_JOB_UNBOUNDED);
}

static void run_target(Call *call)
{
    Action *action = call->data;
    virDomainPtr domain = lane_domain(call->lane, action->id, &call->error);
    if (!domain)
        return;
    action->job_active = has_job(domain);
    if (action->job_active)
        g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "server %s: set balloon: it is being migrated, saved or copied", action->name);
    else if (virDomainSetMemoryFlags(domain, (unsigned long)(action->bytes / KIB), VIR_DOMAIN_AFFECT_LIVE) !=
             0)
        fail(call, action, "set balloon");
}

static void run_period(Call *call)
{
    Action *action = call->data;
    virDomainPtr domain = lane_domain(call->lane, action->id, &call->error);
    if (!domain)
        return;
    /* libvirt would let it wait for the end of that. */
    action->job_active = has_job(domain);
    if (action->job_active) {
        g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "server %s: ask for statistics: it is being migrated, saved or copied", action->name);
        return;
    }
    if (action->toggle) {
        if (virDomainSetMemoryStatsPeriod(domain, 0, VIR_DOMAIN_AFFECT_LIVE) != 0) {
            fail(call, action, "ask for statistics");
            return;
        }
        action->off = TRUE;
    }
    if (virDomainSetMemoryStatsPeriod(domain, (int)action->period_s, VIR_DOMAIN_AFFECT_LIVE) != 0)
        fail(call, action, "switch statistics on");
    else
        action->off = FALSE;
}

static void run_job(Call *call)
{
    Action *action = call->data;
    virDomainPtr domain = lane_domain(call->lane, action->id, &call->error);
    if (domain)
        action->job_active = has_job(domain);
}

/* ---- answers */

static void answer(Call *call, const GError *error)
{
    if (call->user_done)
        call->user_done(&call->backend->base, call->server->id, error, call->user_data);
}

static void target_done(Call *call, const GError *error)
{
    const Action *action = call->data;
    Server *server = call->server;
    if (call->state == CALL_RUNNING)
        server->job_active = action->job_active;
    if (!error)
        server_told(server, action->bytes, g_get_monotonic_time());
    answer(call, error);
}

static void period_done(Call *call, const GError *error)
{
    const Action *action = call->data;
    Server *server = call->server;
    if (call->state == CALL_RUNNING)
        server->job_active = action->job_active;
    if (!error) {
        if (!action->kept)
            server->set_period_s = action->period_s;
        server->definition.stats_period_s = action->period_s;
        if (action->toggle)
            server->asked_us = g_get_monotonic_time(); /* what came before that was no answer */
    } else if (call->state == CALL_RUNNING && action->off) {
        server->definition.stats_period_s = 0; /* switched on again by action_look_after() */
    }
    answer(call, error);
}

static void period_late(Call *call, const GError *error)
{
    call->server->definition_stale = TRUE; /* what it left behind */
}

static void job_done(Call *call, const GError *error)
{
    const Action *action = call->data;
    if (!error)
        call->server->job_active = action->job_active;
}

/* ---- requests */

typedef struct {
    char *id;
    GError *error;
    BackendDone done;
    gpointer user_data;
} Refusal;

static void run_nothing(Call *call)
{
}

static void refused(Call *call, const GError *error)
{
    Refusal *refusal = call->data;
    if (refusal->done)
        refusal->done(&call->backend->base, refusal->id, refusal->error, refusal->user_data);
}

static void refusal_free(gpointer data)
{
    Refusal *refusal = data;
    g_free(refusal->id);
    g_error_free(refusal->error);
    g_free(refusal);
}

void action_refuse(LibvirtBackend *backend, const char *id, BackendDone done, gpointer user_data,
                   AerostatError code, const char *message)
{
    Refusal *refusal = g_new0(Refusal, 1);
    const Server *server = g_hash_table_lookup(backend->servers, id);
    Call *call = call_new(run_nothing, refused, refusal, refusal_free);
    refusal->id = g_strdup(id);
    refusal->error =
        g_error_new(AEROSTAT_ERROR, (gint)code, "server %s: %s", server ? server->name : id, message);
    refusal->done = done;
    refusal->user_data = user_data;
    call->outside = TRUE;
    call_start(backend, call);
}

/* The server that may be asked, or NULL after a refusal. */
static Server *askable(LibvirtBackend *backend, const char *id, BackendDone done, gpointer user_data)
{
    Server *server = g_hash_table_lookup(backend->servers, id);
    if (!server || !server->listed)
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_NOT_FOUND, "no such server");
    else if (!backend->link)
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_UNAVAILABLE, "libvirt is not connected");
    else if (server->admission != ADMITTED)
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_UNAVAILABLE, "its QEMU does not answer");
    else if (!server->sample.running)
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_CONFLICT, "it is not running");
    else if (g_strcmp0(server->definition.driver, "virtio-balloon") != 0)
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_CONFLICT, "it has no balloon");
    else
        return server;
    return NULL;
}

static Call *action_call(LibvirtBackend *backend, CallRun run, CallDone done, Action *action)
{
    Call *call = call_new(run, done, action, action_free);
    call->urgent = TRUE;
    call->patience_us = backend->deadline_us;
    return call;
}

/* A target that still waits for its turn is overtaken: its asker learns so, and only the new one is set. */
static void supersede_waiting(LibvirtBackend *backend, Server *server)
{
    for (GList *l = server->waiting.head; l; l = l->next) {
        Call *call = l->data;
        if (call->run != run_target)
            continue;
        g_queue_delete_link(&server->waiting, l);
        action_refuse(backend, server->id, call->user_done, call->user_data, AEROSTAT_ERROR_CONFLICT,
                      "set balloon: a newer size was asked for before this one was set");
        call_free(call);
        return;
    }
}

void action_set_target(Backend *base, const char *id, uint64_t bytes, BackendDone done, gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Server *server;
    Action *action;
    Call *call;
    if (bytes == 0) {
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_INVALID, "set balloon: 0 is no size");
        return;
    }
    server = askable(backend, id, done, user_data);
    if (!server)
        return;
    backend->read_only = FALSE; /* whoever sets sizes manages */
    supersede_waiting(backend, server);
    action = action_new(server);
    /* In whole pages: one that is told another size never gets there. */
    action->bytes = u64_clamp(bytes, TARGET_LEAST_BYTES,
                              u64_min(server->sample.maximum_bytes, server->definition.maximum_bytes)) /
                    PAGE_BYTES * PAGE_BYTES;
    call = action_call(backend, run_target, target_done, action);
    call->user_done = done;
    call->user_data = user_data;
    server_call(backend, server, call);
}

/* A period that somebody else has chosen. */
static gboolean keeps_period(const Server *server)
{
    unsigned has = server->definition.stats_period_s;
    return has != 0 && has != server->set_period_s;
}

static unsigned period_wanted(const LibvirtBackend *backend, const Server *server)
{
    if (keeps_period(server))
        return server->definition.stats_period_s;
    return server->still ? STILL_PERIODS * backend->stats_period_s : backend->stats_period_s;
}

static void ask_period(LibvirtBackend *backend, Server *server, gboolean toggle, BackendDone done,
                       gpointer user_data)
{
    Action *action = action_new(server);
    Call *call;
    action->period_s = period_wanted(backend, server);
    action->kept = keeps_period(server);
    action->toggle = toggle && server->definition.stats_period_s != 0;
    call = action_call(backend, run_period, period_done, action);
    call->late = period_late;
    call->urgent = toggle;
    call->user_done = done;
    call->user_data = user_data;
    server_call(backend, server, call);
}

void action_ask_fresh(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Server *server;
    if (backend->read_only) {
        action_refuse(backend, id, done, user_data, AEROSTAT_ERROR_DENIED,
                      "nothing is touched in observe mode");
        return;
    }
    server = askable(backend, id, done, user_data);
    if (!server)
        return;
    server->asked_us = g_get_monotonic_time();
    ask_period(backend, server, TRUE, done, user_data);
}

static gboolean lacks_period(const LibvirtBackend *backend, const Server *server, int64_t now_us)
{
    return !backend->read_only && server->defined && !server->job_active &&
           server->definition.stats_period_s != period_wanted(backend, server) &&
           g_strcmp0(server->definition.driver, "virtio-balloon") == 0 &&
           (server->period_tried_us == 0 || now_us - server->period_tried_us >= PERIOD_RETRY_US ||
            server->period_tried_us < server->booted_us);
}

static void mend_period(LibvirtBackend *backend, Server *server, int64_t now_us)
{
    server->period_tried_us = now_us;
    ask_period(backend, server, FALSE, NULL, NULL);
}

void action_still(Backend *base, const char *id, gboolean still)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Server *server = g_hash_table_lookup(backend->servers, id);
    int64_t now_us = g_get_monotonic_time();
    if (!server || server->still == still)
        return;
    server->still = still;
    server->period_tried_us = 0;
    /* What it says is wanted soon again; that it may come less often is not urgent. */
    if (!still && server->sample.power == VIR_DOMAIN_RUNNING && server->definition.stats_period_s != 0 &&
        server->admission == ADMITTED && server_may_call(server) && lacks_period(backend, server, now_us))
        mend_period(backend, server, now_us);
}

static gboolean wants_job_look(const Server *server, int64_t now_us)
{
    return server->sample.power == VIR_DOMAIN_RUNNING &&
           (server->job_active || server->quiet || now_us - server->job_checked_us >= JOB_LOOK_US);
}

static void look_after(LibvirtBackend *backend, Server *server, int64_t now_us)
{
    if (lacks_period(backend, server, now_us)) {
        mend_period(backend, server, now_us);
    } else if (wants_job_look(server, now_us)) {
        Call *call = action_call(backend, run_job, job_done, action_new(server));
        server->job_checked_us = now_us;
        call->urgent = FALSE;
        server_call(backend, server, call);
    }
}

void action_look_after(LibvirtBackend *backend)
{
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        if (server->listed && server->sample.running && server->admission == ADMITTED &&
            server_may_call(server))
            look_after(backend, server, now_us);
    }
}
