#include "control/server.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>

#include "base/error.h"
#include "base/json.h"
#include "control/connection.h"
#include "control/listen.h"
#include "control/request.h"

#define CONNECTIONS_LIMIT 128
#define ACCEPTS_A_TURN    16
/* Out of descriptors: the listener stays readable, so it rests instead of spinning. */
#define ACCEPT_REST_US G_USEC_PER_SEC

struct ControlServer {
    Listener listener;
    gid_t group;
    ControlDispatch dispatch;
    gpointer user_data;
    GMainContext *context;
    GSource *source;
    gpointer tag;
    GPtrArray *connections;
};

static gid_t find_group(const char *name)
{
    if (name == NULL || *name == '\0')
        return NO_GROUP;
    struct group entry, *found = NULL;
    gsize size = 1024;
    char *buffer = g_malloc(size);
    while (getgrnam_r(name, &entry, buffer, size, &found) == ERANGE) {
        size *= 2;
        buffer = g_realloc(buffer, size);
    }
    gid_t group = found != NULL ? found->gr_gid : NO_GROUP;
    g_free(buffer);
    return group;
}

/* The groups the peer had when it connected, from the kernel: asking a user database here could block. */
static gboolean peer_in_group(int fd, gid_t primary, gid_t group)
{
    if (group == NO_GROUP)
        return FALSE;
    if (primary == group)
        return TRUE;
    socklen_t size = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
        return FALSE;
    g_autofree gid_t *groups = g_malloc(size);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return FALSE;
    for (gsize i = 0; i < size / sizeof *groups; i++)
        if (groups[i] == group)
            return TRUE;
    return FALSE;
}

static gboolean identify(const ControlServer *server, int fd, ControlCaller *ret)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return FALSE;
    *ret = (ControlCaller){
        .uid = peer.uid,
        .gid = peer.gid,
        .pid = peer.pid,
        .operator_ = peer.uid == 0 || peer.uid == geteuid() || peer_in_group(fd, peer.gid, server->group),
    };
    return TRUE;
}

static json_t *call(ControlServer *server, Connection *connection, const Request *request, GError **error)
{
    if (strcmp(request->method, "events") != 0)
        return server->dispatch(connection_caller(connection), request->method, request->params,
                                server->user_data, error);
    connection_subscribe(connection);
    return json_pack("{s:b}", "subscribed", 1);
}

static json_t *on_request(Connection *connection, const char *line, gsize length, gpointer user_data)
{
    ControlServer *server = user_data;
    Request request;
    json_t *refusal = NULL;
    if (!request_parse(line, length, &request, &refusal))
        return refusal;

    g_autoptr(GError) error = NULL;
    json_t *result = call(server, connection, &request, &error);
    json_t *answer = NULL;
    if (request.id == NULL) {
        json_decref(result); /* a notification asks for no answer */
    } else if (result != NULL) {
        answer = response_result(request.id, result);
    } else if (error != NULL) {
        answer = response_gerror(request.id, error);
    } else {
        g_autofree char *name = error_printable(request.method, -1, 40);
        g_autofree char *message = g_strdup_printf("there is no method \"%s\"", name);
        answer = response_error(request.id, JSONRPC_METHOD_NOT_FOUND, message,
                                error_code_name(AEROSTAT_ERROR_NOT_FOUND));
    }
    request_clear(&request);
    return answer;
}

static void on_closed(Connection *connection, gpointer user_data)
{
    ControlServer *server = user_data;
    g_ptr_array_remove_fast(server->connections, connection);
}

static void take_client(ControlServer *server, int fd)
{
    ControlCaller caller;
    if (server->connections->len > CONNECTIONS_LIMIT || !identify(server, fd, &caller)) {
        close(fd);
        return;
    }
    Connection *connection = connection_new(fd, &caller, server->context, on_request, on_closed, server);
    g_ptr_array_add(server->connections, connection);
    g_autoptr(GError) error = NULL;
    if (!caller.operator_)
        g_set_error(&error, AEROSTAT_ERROR, AEROSTAT_ERROR_DENIED,
                    "user %u may not manage this host: only root and members of the control group may",
                    (unsigned)caller.uid);
    else if (server->connections->len > CONNECTIONS_LIMIT)
        g_set_error(&error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "%d connections are open already; try again when one has closed", CONNECTIONS_LIMIT);
    if (error != NULL)
        connection_refuse(connection, error);
}

static gboolean on_listener(gpointer user_data)
{
    ControlServer *server = user_data;
    g_source_set_ready_time(server->source, -1);
    g_source_modify_unix_fd(server->source, server->tag, G_IO_IN);
    for (int n = 0; n < ACCEPTS_A_TURN; n++) {
        int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take_client(server, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            g_source_modify_unix_fd(server->source, server->tag, 0);
            g_source_set_ready_time(server->source, g_get_monotonic_time() + ACCEPT_REST_US);
        }
        break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_source(GSource *source, GSourceFunc callback, gpointer user_data)
{
    return callback(user_data);
}

static GSourceFuncs source_funcs = {.dispatch = dispatch_source};

ControlServer *control_server_new(const char *socket_path, const char *group, ControlDispatch dispatch,
                                  gpointer user_data, GError **error)
{
    gid_t gid = find_group(group);
    Listener listener;
    if (!listener_open(socket_path, gid, &listener, error))
        return NULL;
    ControlServer *server = g_new0(ControlServer, 1);
    server->listener = listener;
    server->group = gid;
    server->dispatch = dispatch;
    server->user_data = user_data;
    server->context = g_main_context_ref_thread_default();
    server->connections = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
    server->source = g_source_new(&source_funcs, sizeof(GSource));
    server->tag = g_source_add_unix_fd(server->source, listener.fd, G_IO_IN);
    g_source_set_priority(server->source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(server->source, on_listener, server, NULL);
    g_source_attach(server->source, server->context);
    return server;
}

void control_server_free(ControlServer *server)
{
    if (server == NULL)
        return;
    g_source_destroy(server->source);
    g_source_unref(server->source);
    g_ptr_array_unref(server->connections);
    listener_close(&server->listener);
    g_main_context_unref(server->context);
    g_free(server);
}

guint control_server_subscribers(const ControlServer *server)
{
    guint n = 0;
    for (guint i = 0; i < server->connections->len; i++)
        n += connection_is_subscribed(g_ptr_array_index(server->connections, i)) ? 1 : 0;
    return n;
}

void control_server_emit(ControlServer *server, const char *type, json_t *data)
{
    g_autoptr(GBytes) bytes = NULL;
    for (guint i = 0; i < server->connections->len; i++) {
        Connection *connection = g_ptr_array_index(server->connections, i);
        if (!connection_is_subscribed(connection))
            continue;
        if (bytes == NULL) {
            g_autoptr(json_t) event = json_pack("{s:s, s:s, s:{s:s, s:O}}", "jsonrpc", "2.0", "method",
                                                "event", "params", "type", type, "data", data);
            char *line = json_line(event);
            bytes = g_bytes_new_take(line, strlen(line));
        }
        connection_event(connection, bytes);
    }
}
