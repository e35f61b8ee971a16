#include "backend/libvirt_private.h"

#include <signal.h>
#include <libvirt-glib/libvirt-glib.h>

/* Connections that are opened and servers that are started take longer than this without being hung; a beat is 1 s. */
#define DEADLINE_DEFAULT_US (2 * US_PER_S)
/* Others' facts wait this part of the deadline for one that hangs: half a second of the default. */
#define PATIENCE_PART 4

static void keep_quiet(void *user_data, virErrorPtr error)
{
    /* Every error is read where it occurs; libvirt would print each to standard error as well. */
}

/* libvirt's client writes to its socket from the event loop too, and there does not block SIGPIPE: a libvirtd that is
 * killed at that moment would take us with it. */
static void survive_broken_pipes(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static void libvirt_backend_free(Backend *base)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    GHashTableIter each;
    gpointer value;
    link_stop(backend);
    observe_clear(backend);
    g_hash_table_unref(backend->stuck_pids);
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value))
        server_forget_waiting(value);
    call_forget_all(backend);
    g_thread_pool_free(backend->pool, FALSE, FALSE);
    g_hash_table_unref(backend->servers);
    g_ptr_array_unref(backend->calls);
    g_ptr_array_unref(backend->idle);
    g_strfreev(backend->globs);
    g_free(backend->down_reason);
    g_free(backend->uri);
    g_free(backend);
}

static const BackendOps ops = {
    .name = "libvirt",
    .observe = observe,
    .set_target = action_set_target,
    .ask_fresh = action_ask_fresh,
    .still = action_still,
    .start = power_start,
    .shutdown = power_shutdown,
    .stop = power_stop,
    .configure = power_configure,
    .create = power_create,
    .remove = power_remove,
    .set_aside = power_set_aside,
    .take_back = power_take_back,
    .purge = power_purge,
    .free = libvirt_backend_free,
};

Backend *libvirt_backend_new(const LibvirtBackendOptions *options)
{
    static const char *const all[] = {"*", NULL};
    LibvirtBackend *backend = g_new0(LibvirtBackend, 1);
    survive_broken_pipes();
    virSetErrorFunc(NULL, keep_quiet);
    gvir_event_register();
    backend->base.ops = &ops;
    backend->uri = g_strdup(options->uri);
    backend->globs = g_strdupv((char **)(options->servers ? options->servers : all));
    backend->proc = "/proc";
    backend->deadline_us = options->deadline_us ? options->deadline_us : DEADLINE_DEFAULT_US;
    backend->patience_us = backend->deadline_us / PATIENCE_PART;
    backend->stats_period_s = options->stats_period_s ? options->stats_period_s : 1;
    backend->read_only = options->read_only;
    backend->retry_ms = 200;
    backend->find_pause_s = 1;
    backend->servers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)server_unref);
    backend->calls = g_ptr_array_new();
    backend->idle = g_ptr_array_new();
    backend->waiters = observe_waiters_new();
    backend->stuck_pids = g_hash_table_new(NULL, NULL);
    g_queue_init(&backend->queue);
    backend->pool = call_pool_new();
    link_connect(backend);
    return &backend->base;
}
