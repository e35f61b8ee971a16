/* The LXC backend: observations. */
#include "backend/lxc_private.h"
#include <string.h>

#define DEADLINE_DEFAULT_US (2 * US_PER_S)
/* Others' facts wait this part of the deadline for one that hangs, and only once. */
#define PATIENCE_PART 4
/* Inquiries at once: each is a connection to a container's monitor, answered in well under a millisecond. */
#define LANES 4

typedef struct {
    BackendObserved done;
    gpointer user_data;
} Waiter;

static int by_name(const void *a, const void *b)
{
    const BackendServer *x = *(BackendServer *const *)a, *y = *(BackendServer *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->id, y->id);
}

static GPtrArray *collect(LxcBackend *backend)
{
    GPtrArray *servers = g_ptr_array_new_with_free_func((GDestroyNotify)backend_server_free);
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Container *container = value;
        BackendServer *facts = container->listed ? container_facts(container, backend->host_bytes) : NULL;
        if (facts)
            g_ptr_array_add(servers, facts);
    }
    g_ptr_array_sort(servers, by_name);
    return servers;
}

static GArray *waiters_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Waiter));
}

static void tell(LxcBackend *backend, const GError *error)
{
    gboolean down = error != NULL;
    if (backend->said_down == down)
        return;
    backend->said_down = down;
    if (backend->base.on_event)
        backend->base.on_event(&backend->base, down ? BACKEND_EVENT_DISCONNECTED : BACKEND_EVENT_CONNECTED,
                               NULL, down ? error->message : NULL, backend->base.on_event_data);
}

static void finish(LxcBackend *backend, const GError *error)
{
    GArray *waiters = backend->waiters;
    g_clear_handle_id(&backend->patience_timer, g_source_remove);
    backend->observing = FALSE;
    backend->awaited = 0;
    backend->waiters = waiters_new();
    for (guint i = 0; i < waiters->len; i++) {
        Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->done(&backend->base, error ? NULL : collect(backend), error, waiter->user_data);
    }
    g_array_unref(waiters);
}

/* ---- inquiries */

static void inquiry_answered(Container *container, gpointer data, const GError *error)
{
    LxcBackend *backend = container->backend;
    if (data && !error)
        container_answered(container, data);
    if (!container->awaited)
        return;
    container->awaited = FALSE;
    if (backend->observing && backend->awaited > 0 && --backend->awaited == 0)
        finish(backend, NULL);
}

static void inquire(Container *container, int64_t now_us)
{
    LxcBackend *backend = container->backend;
    Errand *errand = g_new0(Errand, 1);
    errand->run = inquiry_run;
    errand->answered = inquiry_answered;
    errand->data = inquiry_new(backend->path, backend->proc, container->name);
    errand->free_data = (GDestroyNotify)inquiry_free;
    errand->deadline_us = backend->deadline_us;
    container->asked_us = now_us;
    container->asked_config_us = container->config_us;
    container->awaited = TRUE;
    backend->awaited++;
    container_send(container, errand);
}

static gboolean on_impatient(gpointer user_data)
{
    LxcBackend *backend = user_data;
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value))
        ((Container *)value)->awaited = FALSE;
    backend->patience_timer = 0;
    finish(backend, NULL);
    return G_SOURCE_REMOVE;
}

/* ---- sweeps */

static void take_sighting(LxcBackend *backend, const Sighting *sighting, int64_t wall_s, int64_t now_us)
{
    Container *container = g_hash_table_lookup(backend->containers, sighting->name);
    /* Another one of the same name: nothing of the first is its. */
    if (container && !container->busy && sighting->id && !g_str_equal(container->id, sighting->id)) {
        g_hash_table_remove(backend->containers, sighting->name);
        container = NULL;
    }
    if (!container && !sighting->id)
        return;
    if (!container) {
        container = container_new(backend, sighting->name, sighting->id);
        g_hash_table_insert(backend->containers, container->name, container);
    }
    container_sighted(container, sighting, wall_s);
    if (container_wants_inquiry(container, sighting, now_us))
        inquire(container, now_us);
}

static gboolean has_gone(gpointer key, gpointer value, gpointer user_data)
{
    const Container *container = value;
    return !container->listed && !container->busy;
}

static void take_sweep(LxcBackend *backend, const Sweep *sweep)
{
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value))
        ((Container *)value)->listed = FALSE;
    backend->host_bytes = sweep->host_bytes;
    for (guint i = 0; i < sweep->sighted->len; i++)
        take_sighting(backend, sweep->sighted->pdata[i], sweep->wall_s, now_us);
    g_hash_table_foreach_remove(backend->containers, has_gone, NULL);
}

static void sweep_done(gpointer data, const GError *error, gpointer user_data)
{
    LxcBackend *backend = user_data;
    tell(backend, error);
    if (error) {
        finish(backend, error);
        return;
    }
    take_sweep(backend, data);
    if (backend->awaited == 0)
        finish(backend, NULL);
    else
        backend->patience_timer = g_timeout_add((guint)(backend->patience_us / 1000), on_impatient, backend);
}

static void sweep_returned(gpointer user_data)
{
    ((LxcBackend *)user_data)->sweeping = FALSE;
}

static void begin_sweep(LxcBackend *backend)
{
    Sweep *sweep = sweep_new(backend->path, backend->proc, backend->globs);
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Container *container = value;
        if (container->init.pid != 0)
            sweep_know(sweep, container->name, container->init, container->folder);
    }
    WorkSpec spec = {
        .run = sweep_run,
        .done = sweep_done,
        .returned = sweep_returned,
        .data = sweep,
        .free_data = (GDestroyNotify)sweep_free,
        .user_data = backend,
        .deadline_us = backend->deadline_us,
        .is_long = TRUE, /* it does not wait behind inquiries */
        .what = backend->path,
    };
    backend->sweeping = TRUE;
    work_start(backend->pool, &spec);
}

static gboolean on_fail(gpointer user_data)
{
    LxcBackend *backend = user_data;
    g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT,
                                          "%s: the file system does not answer", backend->path);
    backend->fail_idle = 0;
    tell(backend, error);
    finish(backend, error);
    return G_SOURCE_REMOVE;
}

static void observe(Backend *base, BackendObserved done, gpointer user_data)
{
    LxcBackend *backend = (LxcBackend *)base;
    Waiter waiter = {done, user_data};
    g_array_append_val(backend->waiters, waiter);
    if (backend->observing)
        return;
    backend->observing = TRUE;
    if (backend->sweeping)
        backend->fail_idle = g_idle_add(on_fail, backend);
    else
        begin_sweep(backend);
}

/* ---- the whole */

Container *lxc_find(LxcBackend *backend, const char *id)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Container *container = value;
        if (container->listed && g_str_equal(container->id, id))
            return container;
    }
    return NULL;
}

static void answer_owed(LxcBackend *backend, const GError *error)
{
    while (backend->owed->len > 0) {
        Errand *errand = g_ptr_array_steal_index_fast(backend->owed, backend->owed->len - 1);
        BackendDone done = g_steal_pointer(&errand->done);
        if (done)
            done(&backend->base, errand->container->id, error, errand->user_data);
    }
}

static void forget_waiting(LxcBackend *backend)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->containers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Container *container = value;
        Errand *errand;
        while ((errand = g_queue_pop_head(&container->waiting)))
            errand_free(errand);
    }
}

static void lxc_backend_free(Backend *base)
{
    LxcBackend *backend = (LxcBackend *)base;
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "%s: the daemon is stopping", backend->path);
    backend->base.on_event = NULL;
    g_clear_handle_id(&backend->fail_idle, g_source_remove);
    finish(backend, error);
    answer_owed(backend, error);
    forget_waiting(backend);
    work_pool_free(backend->pool);
    g_hash_table_unref(backend->containers);
    g_ptr_array_unref(backend->owed);
    g_array_unref(backend->waiters);
    g_strfreev(backend->globs);
    g_free(backend->path);
    g_free(backend->proc);
    g_free(backend);
}

static const BackendOps ops = {
    .name = "lxc",
    .observe = observe,
    .set_target = lxc_set_target,
    .ask_fresh = lxc_ask_fresh,
    .start = lxc_start,
    .shutdown = lxc_shutdown,
    .stop = lxc_stop,
    .set_aside = lxc_set_aside,
    .take_back = lxc_take_back,
    .purge = lxc_purge,
    .free = lxc_backend_free,
};

static char *without_last_slash(const char *path)
{
    char *copy = g_strdup(path);
    for (gsize n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    return copy;
}

Backend *lxc_backend_new(const LxcBackendOptions *options)
{
    static const char *const all[] = {"*", NULL};
    LxcBackend *backend = g_new0(LxcBackend, 1);
    backend->base.ops = &ops;
    /* liblxc names its sockets after the folder, letter by letter. */
    backend->path = without_last_slash(options->path);
    backend->proc = g_strdup(options->proc ? options->proc : "/proc");
    backend->globs = g_strdupv((char **)(options->servers ? options->servers : all));
    backend->deadline_us = options->deadline_us ? options->deadline_us : DEADLINE_DEFAULT_US;
    backend->patience_us = backend->deadline_us / PATIENCE_PART;
    backend->pool = work_pool_new(LANES);
    backend->containers =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)container_unref);
    backend->owed = g_ptr_array_new();
    backend->waiters = waiters_new();
    backend->said_down = TRUE;
    return &backend->base;
}
