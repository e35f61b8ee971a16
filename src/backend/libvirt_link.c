/*
 * The link to libvirtd: made in the background, watched, made again with growing pauses. It carries the events; calls
 * have connections of their own. Everything that may block (opening, registering, closing) runs on a worker.
 */
#include "backend/libvirt_private.h"

#include <string.h>

/* A first try again after 0.2 s (a restart of libvirtd takes about a second), then half as often each time. */
#define RETRY_FIRST_MS 200
#define RETRY_MOST_MS  5000
/* A dead peer is noticed after interval * (count + 1); patient enough for a host that swaps. */
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT      3
/* libvirt probes QEMU's capabilities while it opens, which takes seconds on a slow host. */
#define OPEN_PATIENCE_US (30 * US_PER_S)

typedef struct {
    char *uri;
    Link *link;      /* owned reference */
    gboolean opened; /* its connection is open and nobody has taken it */
} Opening;

Link *link_ref(Link *link)
{
    g_atomic_int_inc(&link->references);
    return link;
}

void link_unref(Link *link)
{
    if (g_atomic_int_dec_and_test(&link->references))
        g_free(link);
}

static const char *close_reason(int reason)
{
    switch (reason) {
    case VIR_CONNECT_CLOSE_REASON_EOF:
        return "libvirtd closed the connection";
    case VIR_CONNECT_CLOSE_REASON_KEEPALIVE:
        return "libvirtd has not answered for 20 s";
    case VIR_CONNECT_CLOSE_REASON_CLIENT:
        return "the connection was closed";
    default:
        return "the connection to libvirtd broke";
    }
}

/* Engine thread: libvirt's event loop is GLib's. */
static void on_close(virConnectPtr conn, int reason, void *opaque)
{
    Link *link = opaque;
    if (link->backend)
        link_lost(link->backend, close_reason(reason));
}

static void close_connection(Link *link, virConnectPtr conn)
{
    virConnectUnregisterCloseCallback(conn, on_close);
    event_deregister(link, conn);
    virConnectClose(conn);
}

static gpointer close_abandoned(gpointer data)
{
    Link *link = data;
    close_connection(link, link->conn);
    link_unref(link);
    return NULL;
}

static void opening_free(gpointer data)
{
    Opening *opening = data;
    if (opening->opened) /* the backend went while it opened; closing may block */
        g_thread_unref(g_thread_new("libvirt-close", close_abandoned, link_ref(opening->link)));
    link_unref(opening->link);
    g_free(opening->uri);
    g_free(opening);
}

static void run_open(Call *call)
{
    Opening *opening = call->data;
    virConnectPtr conn = virConnectOpen(opening->uri);
    if (!conn) {
        set_libvirt_error(&call->error, opening->uri);
        return;
    }
    opening->link->conn = conn;
    opening->opened = TRUE;
    virConnectSetKeepAlive(conn, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT);
    /* No reference of its own: drivers without this callback take it and never give it back. The link outlives it,
     * since unregistering waits for a callback that runs. */
    virConnectRegisterCloseCallback(conn, on_close, opening->link, NULL);
    event_register(opening->link);
}

static void run_close(Call *call)
{
    Opening *opening = call->data;
    close_connection(opening->link, opening->link->conn);
    opening->link->conn = NULL;
}

/* No word from this connection any more; its worker may take as long as it likes to close it. */
static void link_retire(LibvirtBackend *backend, Link *link)
{
    Opening *closing = g_new0(Opening, 1);
    Call *call = call_new(run_close, NULL, closing, opening_free);
    link->backend = NULL;
    closing->link = link;
    call->outside = TRUE;
    call_start(backend, call);
}

static void link_drop(LibvirtBackend *backend)
{
    Link *link = g_steal_pointer(&backend->link);
    backend->generation++;
    backend->whole_us = backend->listed_us = 0;
    call_drop_idle(backend);
    if (link)
        link_retire(backend, link);
}

GError *link_error(const LibvirtBackend *backend)
{
    return g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "libvirt: %s",
                       backend->down_reason ? backend->down_reason : "not connected yet");
}

static gboolean on_retry(gpointer data)
{
    LibvirtBackend *backend = data;
    backend->retry_timer = 0;
    link_connect(backend);
    return G_SOURCE_REMOVE;
}

static void retry_later(LibvirtBackend *backend)
{
    if (backend->retry_timer || backend->connecting)
        return;
    backend->retry_timer = g_timeout_add(backend->retry_ms, on_retry, backend);
    backend->retry_ms = MIN(backend->retry_ms * 3 / 2, RETRY_MOST_MS);
}

static void say_down(LibvirtBackend *backend, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_free(backend->down_reason);
    backend->down_reason = g_strdup(reason);
    error = link_error(backend);
    call_fail_queued(backend, error);
    observe_fail(backend, error);
    if (backend->said_down)
        return;
    backend->said_down = TRUE;
    server_emit(backend, BACKEND_EVENT_DISCONNECTED, NULL, backend->down_reason);
}

void link_lost(LibvirtBackend *backend, const char *reason)
{
    g_autofree char *why = g_strdup(reason);
    link_drop(backend);
    say_down(backend, why);
    retry_later(backend);
}

/* Events may have been lost: definitions are read again, and samples are looked at for signs of a reset. */
static void doubt_everything(LibvirtBackend *backend)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        server->definition_stale = TRUE;
        server->gap = TRUE;
        server_doubt_balloon(server);
    }
}

static void link_up(LibvirtBackend *backend, Opening *opening)
{
    Link *link = link_ref(opening->link);
    opening->opened = FALSE;
    backend->link = link;
    link->backend = backend;
    /* One that closed while it was being opened has said so to nobody, and will not again. */
    if (virConnectIsAlive(link->conn) != 1) {
        link_lost(backend, "libvirtd closed the connection");
        return;
    }
    backend->said_down = FALSE;
    backend->retry_ms = RETRY_FIRST_MS;
    g_clear_pointer(&backend->down_reason, g_free);
    doubt_everything(backend);
    call_pump(backend);
    server_emit(backend, BACKEND_EVENT_CONNECTED, NULL, NULL);
}

static void opened(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    Opening *opening = call->data;
    if (error && call->state == CALL_OVERDUE) {
        say_down(backend, "libvirtd takes the connection and says nothing");
        return; /* and go on waiting: there is no better one */
    }
    backend->connecting = FALSE;
    if (error) {
        say_down(backend, error->message);
        retry_later(backend);
        return;
    }
    link_up(backend, opening);
}

static void opened_late(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    backend->connecting = FALSE;
    if (error) {
        say_down(backend, error->message);
        retry_later(backend);
        return;
    }
    link_up(backend, call->data);
}

static Link *link_new(void)
{
    Link *link = g_new0(Link, 1);
    link->references = 1;
    link->lifecycle = link->reboot = link->balloon = -1;
    link->device_added = link->device_removed = link->iteration = -1;
    return link;
}

void link_connect(LibvirtBackend *backend)
{
    Opening *opening;
    Call *call;
    if (backend->connecting || backend->link)
        return;
    opening = g_new0(Opening, 1);
    opening->uri = g_strdup(backend->uri);
    opening->link = link_new();
    call = call_new(run_open, opened, opening, opening_free);
    call->late = opened_late;
    call->outside = TRUE;
    call->patience_us = OPEN_PATIENCE_US;
    backend->connecting = TRUE;
    call_start(backend, call);
}

void link_stop(LibvirtBackend *backend)
{
    if (backend->retry_timer)
        g_source_remove(backend->retry_timer);
    backend->retry_timer = 0;
    link_drop(backend);
}
