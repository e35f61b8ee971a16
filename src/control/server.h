/*
 * Control server: JSON-RPC 2.0 on a Unix socket, one object per line. Framing, who is asking, limits, and event
 * delivery; what the methods do is in methods.h.
 *
 * Runs on one GMainContext (the thread-default one at construction), never blocks it, and survives any client:
 * a request line is at most 64 KiB, a connection at most 64 pipelined answers waiting, at most 128 connections, events
 * to a slow reader are dropped and counted ("lost").
 */
#pragma once
#include <sys/types.h>
#include <glib.h>
#include <jansson.h>

/* Who is at the other end, by the kernel's word. */
typedef struct {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    gboolean operator_; /* root, the daemon's own user, or a member of the control group */
    gboolean relays;    /* ... or the web server's user: asks for others, and is believed where they sit */
} ControlPeer;

/* One call; everything is borrowed for the time of the dispatch. */
typedef struct {
    const ControlPeer *peer;
    const char *method;
    json_t *params;           /* an object; an empty one when the request had none */
    json_t *auth;             /* (nullable) the request's "auth": an object */
    const char *from;         /* (nullable) the request's "from": where the human sits, as the caller says */
    struct ControlTurn *turn; /* the server's own */
} ControlRequest;

/*
 * ControlDispatch: answers one call, at once or (control_request_defer()) later.
 * Returns: (transfer full) the result, or NULL with an AEROSTAT_ERROR (mapped by error_code_jsonrpc());
 *          NULL with an unset *error means "no such method", unless the answer is deferred.
 * A result for the method `events` makes the connection a subscriber.
 */
typedef json_t *(*ControlDispatch)(ControlRequest *request, gpointer user_data, GError **error);

typedef struct ControlServer ControlServer;

/* control_request_defer: the answer comes by control_reply_finish(), on the same thread, which must be called once; also
 * when the client or the server has gone meanwhile, when it does nothing. The dispatch returns NULL without error. */
typedef struct ControlReply ControlReply;
ControlReply *control_request_defer(ControlRequest *request);
/* @reply, @result: (transfer full); @result NULL: @error says why. */
void control_reply_finish(ControlReply *reply, json_t *result, const GError *error);

typedef enum { HEARS_NOTHING, HEARS_RESTRICTED, HEARS_ALL } Hearing;

/* control_request_filter: in the dispatch of `events`: which events this connection gets; without one, all. Asked for every
 * event: @server_id is the server it is about, NULL for the host. @destroy frees @user_data with the connection, or when
 * another filter takes its place. */
typedef Hearing (*ControlFilter)(const char *type, const char *server_id, gpointer user_data);
void control_request_filter(ControlRequest *request, ControlFilter filter, gpointer user_data,
                            GDestroyNotify destroy);

/*
 * control_server_new:
 * @socket_path: created with mode 0666: who may do what is the dispatch's to say. Members of @group (nullable; one that does
 *               not exist is not an error) are peers with operator_, as root and the daemon's own user. Missing parent
 *               folder is created 0755.
 * Errors: AEROSTAT_ERROR_CONFLICT when another daemon answers on it ("another aerostatd (process 123) listens on PATH;
 *         stop it or give [control] socket another path"); a dead socket file is replaced. Two daemons starting at
 *         once cannot both win (a lock file PATH.lock is held for life). AEROSTAT_ERROR_INVALID when the path is too long.
 */
ControlServer *control_server_new(const char *socket_path, const char *group, ControlDispatch dispatch,
                                  gpointer user_data, GError **error);
/* Closes all connections and removes the socket file. */
void control_server_free(ControlServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlServer, control_server_free)

/* control_server_emit: an `event` notification {"type": @type, "data": @data} to every connection that has called the
 * method `events` and may have it. @server_id: the server it is about, NULL for the host. @restricted: (nullable: the same as
 * @data) what those get that hear it restricted. Both are borrowed. Costs nothing without subscribers. */
void control_server_emit(ControlServer *server, const char *type, const char *server_id, json_t *data,
                         json_t *restricted);
guint control_server_subscribers(const ControlServer *server);

/*
 * A stream: notifications of one method to one connection, in order and none left out, until it closes. Nothing waits
 * for its reader: whoever sends asks control_stream_ready() first, and leaves out what is not to be kept.
 */
typedef struct ControlStream ControlStream;

/*
 * control_stream_open: from within a dispatch, to the connection that asked.
 * @method:  of the notifications; a static string
 * @closed:  called once with @user_data when the connection is over; the stream is gone then
 * AEROSTAT_ERROR_CONFLICT when that connection has a stream already.
 */
ControlStream *control_stream_open(ControlRequest *request, const char *method, GDestroyNotify closed,
                                   gpointer user_data, GError **error);
/* control_stream_close: nothing more is sent; the connection stays. Calls @closed. */
void control_stream_close(ControlStream *stream);
/* control_stream_ready: less than CONTROL_STREAM_LIMIT_BYTES wait for its reader. */
#define CONTROL_STREAM_LIMIT_BYTES ((gsize)2 * 1024 * 1024)
gboolean control_stream_ready(const ControlStream *stream);
/* control_stream_send: @params (transfer full), an object. */
void control_stream_send(ControlStream *stream, json_t *params);
