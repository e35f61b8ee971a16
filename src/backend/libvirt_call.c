/*
 * One blocking call: it runs on a worker, is answered by a deadline on the engine's thread whatever happens, and is
 * kept until it has really returned.
 *
 * Lanes: LANES calls at most are under way at once, besides the long ones that somebody has asked for by hand (a start);
 * a call that passes its deadline leaves its lane. Each call has a
 * connection to itself while it runs, for two reasons. libvirtd reads no more than 5 requests of one client at a time
 * (max_client_requests), so calls that hang in a QEMU would soon stop every other one. And up to libvirt 10.0 a second
 * call on a connection may not be sent at all while the first one waits: the first one's thread does the I/O of both,
 * and the word that there is more to send is lost when it comes just before that thread goes to sleep.
 */
#include "backend/libvirt_private.h"

/* An observation, an action, and one more of either. */
#define LANES 3

Call *call_new(CallRun run, CallDone done, gpointer data, GDestroyNotify free_data)
{
    Call *call = g_new0(Call, 1);
    call->run = run;
    call->done = done;
    call->data = data;
    call->free_data = free_data;
    return call;
}

void call_free(Call *call)
{
    if (call->timer)
        g_source_remove(call->timer);
    if (call->free_data)
        call->free_data(call->data);
    if (call->server)
        server_unref(call->server);
    g_free(call->uri);
    g_free(call->about);
    g_clear_error(&call->error);
    g_free(call);
}

static gboolean call_returned(gpointer data);

static gpointer close_in_thread(gpointer data)
{
    lane_close(data);
    return NULL;
}

/* Closing may block. */
static void dispose(Lane *lane)
{
    g_thread_unref(g_thread_new("libvirt-close", close_in_thread, lane));
}

/* Worker threads. */
static void run_connected(Call *call)
{
    if (call->uri)
        call->lane = lane_open(call->uri, &call->error);
    if (!call->lane)
        return;
    call->run(call);
    if (virConnectIsAlive(call->lane->conn) != 1)
        lane_close(g_steal_pointer(&call->lane));
}

static void work(gpointer data, gpointer user_data)
{
    Call *call = data;
    GSource *source;
    g_atomic_int_get(&call->handed_over);
    if (call->outside)
        call->run(call);
    else
        run_connected(call);
    source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, call_returned, call, NULL);
    g_atomic_int_inc(&call->handed_over);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

GThreadPool *call_pool_new(void)
{
    /* No bound of its own: lanes bound what runs, and what hangs must not keep others from running. */
    return g_thread_pool_new(work, NULL, -1, FALSE, NULL);
}

static void leave_lane(LibvirtBackend *backend, Call *call)
{
    if (!call->outside && !call->is_long)
        backend->lanes--;
}

/* Its connection is as good as before: the call has returned. */
static void take_back_connection(LibvirtBackend *backend, Call *call)
{
    Lane *lane = g_steal_pointer(&call->lane);
    if (!lane)
        return;
    if (backend && backend->link && call->generation == backend->generation && backend->idle->len < LANES)
        g_ptr_array_add(backend->idle, lane);
    else
        dispose(lane);
}

void call_drop_idle(LibvirtBackend *backend)
{
    for (guint i = 0; i < backend->idle->len; i++)
        dispose(g_ptr_array_index(backend->idle, i));
    g_ptr_array_set_size(backend->idle, 0);
}

/* Engine thread: the worker is done with it, in time or late. */
static gboolean call_returned(gpointer data)
{
    Call *call = data;
    LibvirtBackend *backend = call->backend;
    gboolean in_time;
    g_atomic_int_get(&call->handed_over);
    take_back_connection(backend, call);
    if (!backend) {
        call_free(call);
        return G_SOURCE_REMOVE;
    }
    g_ptr_array_remove_fast(backend->calls, call);
    in_time = call->state == CALL_RUNNING;
    if (in_time)
        leave_lane(backend, call);
    else if (!call->outside)
        backend->overdue--;
    if (call->server)
        server_call_ended(backend, call->server);
    if (in_time && call->done)
        call->done(call, call->error);
    else if (!in_time && call->late)
        call->late(call, call->error);
    call_free(call);
    call_pump(backend);
    return G_SOURCE_REMOVE;
}

static gboolean call_expired(gpointer data)
{
    Call *call = data;
    LibvirtBackend *backend = call->backend;
    g_autoptr(GError) error = g_error_new(
        AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT, "%s%sno answer within %.1f s",
        call->server ? call->server->name : "", call->server ? ": " : "", (double)call->patience_us / 1e6);
    call->timer = 0;
    if (call->state == CALL_QUEUED) {
        g_queue_remove(&backend->queue, call);
        if (call->server)
            server_call_ended(backend, call->server);
        if (call->done)
            call->done(call, error);
        call_free(call);
        return G_SOURCE_REMOVE;
    }
    call->state = CALL_OVERDUE;
    leave_lane(backend, call);
    if (!call->outside)
        backend->overdue++;
    if (call->server)
        server_call_overdue(backend, call->server);
    if (call->done)
        call->done(call, error);
    call_pump(backend);
    return G_SOURCE_REMOVE;
}

static void set_timer(Call *call)
{
    if (call->timer)
        g_source_remove(call->timer);
    call->timer =
        call->patience_us ? g_timeout_add((guint)(call->patience_us / 1000), call_expired, call) : 0;
}

static void call_run(LibvirtBackend *backend, Call *call)
{
    call->state = CALL_RUNNING;
    if (!call->outside) {
        backend->lanes += call->is_long ? 0 : 1;
        call->generation = backend->generation;
        if (backend->idle->len)
            call->lane = g_ptr_array_steal_index_fast(backend->idle, backend->idle->len - 1);
        else
            call->uri = g_strdup(backend->uri);
    }
    set_timer(call);
    g_ptr_array_add(backend->calls, call);
    g_atomic_int_inc(&call->handed_over);
    g_thread_pool_push(backend->pool, call, NULL);
}

/* Before all that can wait, behind those that cannot either. */
static void push_urgent(GQueue *queue, Call *call)
{
    GList *at = queue->head;
    while (at && ((const Call *)at->data)->urgent)
        at = at->next;
    g_queue_insert_before(queue, at, call);
}

void call_start(LibvirtBackend *backend, Call *call)
{
    call->backend = backend;
    if (call->outside || (call->is_long && backend->link)) {
        call_run(backend, call);
        return;
    }
    call->state = CALL_QUEUED;
    set_timer(call);
    if (call->urgent)
        push_urgent(&backend->queue, call);
    else
        g_queue_push_tail(&backend->queue, call);
    call_pump(backend);
}

void call_pump(LibvirtBackend *backend)
{
    while (backend->link && backend->lanes < LANES && !g_queue_is_empty(&backend->queue))
        call_run(backend, g_queue_pop_head(&backend->queue));
}

void call_fail_queued(LibvirtBackend *backend, const GError *error)
{
    GQueue failed = backend->queue;
    Call *call;
    g_queue_init(&backend->queue);
    while ((call = g_queue_pop_head(&failed))) {
        if (call->server)
            server_call_ended(backend, call->server);
        if (call->done)
            call->done(call, error);
        call_free(call);
    }
}

void call_forget_all(LibvirtBackend *backend)
{
    Call *call;
    while ((call = g_queue_pop_head(&backend->queue)))
        call_free(call);
    for (guint i = 0; i < backend->calls->len; i++) {
        call = g_ptr_array_index(backend->calls, i);
        if (call->timer)
            g_source_remove(call->timer);
        call->timer = 0;
        call->backend = NULL;
        g_clear_pointer(&call->server, server_unref);
    }
    g_ptr_array_set_size(backend->calls, 0);
}
