#include "control/server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
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
/* Of those, what is left for operators of this host is nobody else's: */
#define WEB_LIMIT       84 /* the web server's (web/events.h counts on them) */
#define STRANGERS_LIMIT 28 /* all other users' ... */
#define STRANGER_LIMIT  16 /* ... and one of them's */
#define WEB_USER        "aerostat-web"
#define ACCEPTS_A_TURN  16
/* Out of descriptors: the listener stays readable, so it rests instead of spinning. */
#define ACCEPT_REST_US G_USEC_PER_SEC

struct ControlServer {
    Listener listener;
    gid_t group;
    uid_t web_uid; /* the web server's; (uid_t)-1 when there is none */
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

static gboolean identify(const ControlServer *server, int fd, ControlPeer *ret)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return FALSE;
    gboolean manages = peer.uid == 0 || peer.uid == geteuid() || peer_in_group(fd, peer.gid, server->group);
    *ret = (ControlPeer){
        .uid = peer.uid,
        .gid = peer.gid,
        .pid = peer.pid,
        .operator_ = manages,
        .relays = manages || peer.uid == server->web_uid,
    };
    return TRUE;
}

/* One request while it is dispatched. */
struct ControlTurn {
    Connection *connection;
    const Request *request;
    gboolean deferred;
};

struct ControlReply {
    Debt *debt;
    json_t *id; /* NULL: a notification asks for no answer */
};

ControlReply *control_request_defer(ControlRequest *request)
{
    struct ControlTurn *turn = request->turn;
    turn->deferred = TRUE;
    ControlReply *reply = g_new(ControlReply, 1);
    reply->debt = connection_owe(turn->connection);
    reply->id = json_incref(turn->request->id);
    return reply;
}

void control_reply_finish(ControlReply *reply, json_t *result, const GError *error)
{
    json_t *answer = NULL;
    if (reply->id == NULL)
        json_decref(result);
    else
        answer = result != NULL ? response_result(reply->id, result) : response_gerror(reply->id, error);
    connection_pay(reply->debt, answer);
    json_decref(reply->id);
    g_free(reply);
}

ControlStream *control_stream_open(ControlRequest *request, const char *method, GDestroyNotify closed,
                                   gpointer user_data, GError **error)
{
    return connection_stream(request->turn->connection, method, closed, user_data, error);
}

void control_request_filter(ControlRequest *request, ControlFilter filter, gpointer user_data,
                            GDestroyNotify destroy)
{
    connection_filter(request->turn->connection, filter, user_data, destroy);
}

static json_t *unknown_method(const Request *request)
{
    g_autofree char *name = error_printable(request->method, -1, 40);
    g_autofree char *message = g_strdup_printf("there is no method \"%s\"", name);
    return response_error(request->id, JSONRPC_METHOD_NOT_FOUND, message,
                          error_code_name(AEROSTAT_ERROR_NOT_FOUND));
}

static json_t *answer_request(ControlServer *server, Connection *connection, const Request *parsed)
{
    struct ControlTurn turn = {.connection = connection, .request = parsed};
    ControlRequest request = {
        .peer = connection_peer(connection),
        .method = parsed->method,
        .params = parsed->params,
        .auth = parsed->auth,
        .from = parsed->from,
        .turn = &turn,
    };
    g_autoptr(GError) error = NULL;
    json_t *result = server->dispatch(&request, server->user_data, &error);
    if (result != NULL && strcmp(parsed->method, "events") == 0)
        connection_subscribe(connection);
    if (parsed->id == NULL || turn.deferred) {
        json_decref(result); /* a notification asks for no answer */
        return NULL;
    }
    if (result != NULL)
        return response_result(parsed->id, result);
    return error != NULL ? response_gerror(parsed->id, error) : unknown_method(parsed);
}

static json_t *on_request(Connection *connection, const char *line, gsize length, gpointer user_data)
{
    Request request;
    json_t *refusal = NULL;
    if (!request_parse(line, length, &request, &refusal))
        return refusal;
    json_t *answer = answer_request(user_data, connection, &request);
    request_clear(&request);
    return answer;
}

static void on_closed(Connection *connection, gpointer user_data)
{
    ControlServer *server = user_data;
    g_ptr_array_remove_fast(server->connections, connection);
}

/* Strangers may not take all the places there are: some stay for who manages the host, and one user among them has few. */
static gboolean may_connect(const ControlServer *server, const ControlPeer *peer)
{
    guint strangers = 0, same = 0;
    for (guint i = 0; i < server->connections->len; i++) {
        const ControlPeer *other = connection_peer(g_ptr_array_index(server->connections, i));
        strangers += !other->operator_ && other->uid != server->web_uid ? 1 : 0;
        same += other->uid == peer->uid && !other->operator_ ? 1 : 0;
    }
    if (peer->operator_)
        return TRUE;
    return peer->uid == server->web_uid ? same <= WEB_LIMIT
                                        : strangers <= STRANGERS_LIMIT && same <= STRANGER_LIMIT;
}

static void take_client(ControlServer *server, int fd)
{
    ControlPeer peer;
    if (server->connections->len > CONNECTIONS_LIMIT || !identify(server, fd, &peer)) {
        close(fd);
        return;
    }
    Connection *connection = connection_new(fd, &peer, server->context, on_request, on_closed, server);
    g_ptr_array_add(server->connections, connection);
    g_autoptr(GError) error = NULL;
    if (!may_connect(server, &peer))
        g_set_error(&error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "user %u has too many connections open; try again when one has closed",
                    (unsigned)peer.uid);
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
    struct passwd *web = getpwnam(WEB_USER);
    server->web_uid = web != NULL ? web->pw_uid : (uid_t)-1;
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

static GBytes *event_line(const char *type, json_t *data)
{
    g_autoptr(json_t) event = json_pack("{s:s, s:s, s:{s:s, s:O}}", "jsonrpc", "2.0", "method", "event",
                                        "params", "type", type, "data", data);
    char *line = json_line(event);
    return g_bytes_new_take(line, strlen(line));
}

void control_server_emit(ControlServer *server, const char *type, const char *server_id, json_t *data,
                         json_t *restricted)
{
    g_autoptr(GBytes) whole = NULL;
    g_autoptr(GBytes) part = NULL;
    for (guint i = 0; i < server->connections->len; i++) {
        Connection *connection = g_ptr_array_index(server->connections, i);
        Hearing hearing = connection_hears(connection, type, server_id);
        if (hearing == HEARS_NOTHING)
            continue;
        gboolean is_whole = hearing == HEARS_ALL || restricted == NULL;
        GBytes **line = is_whole ? &whole : &part;
        if (*line == NULL)
            *line = event_line(type, is_whole ? data : restricted);
        connection_event(connection, *line);
    }
}
