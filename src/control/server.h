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

struct Connection;

typedef struct {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    gboolean operator_;            /* root, the daemon's own user, or a member of the control group */
    struct Connection *connection; /* (nullable) its own; for control_stream_open() alone */
} ControlCaller;

/*
 * ControlDispatch: answers one call, at once.
 * @method:  never NULL; @params: an object (an empty one when the request had none); borrowed
 * Returns:  (transfer full) the result, or NULL with an AEROSTAT_ERROR (mapped by error_code_jsonrpc());
 *           NULL with an unset *error means "no such method".
 */
typedef json_t *(*ControlDispatch)(const ControlCaller *caller, const char *method, json_t *params,
                                   gpointer user_data, GError **error);

typedef struct ControlServer ControlServer;

/*
 * control_server_new:
 * @socket_path: created with mode 0660 and @group (nullable; a group that does not exist is not an error: then it is
 *               root and the daemon's own user alone). Missing parent folder is created 0755.
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
 * method `events` (handled in the server itself). @data is borrowed. Costs nothing without subscribers. */
void control_server_emit(ControlServer *server, const char *type, json_t *data);
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
ControlStream *control_stream_open(const ControlCaller *caller, const char *method, GDestroyNotify closed,
                                   gpointer user_data, GError **error);
/* control_stream_close: nothing more is sent; the connection stays. Calls @closed. */
void control_stream_close(ControlStream *stream);
/* control_stream_ready: less than CONTROL_STREAM_LIMIT_BYTES wait for its reader. */
#define CONTROL_STREAM_LIMIT_BYTES ((gsize)2 * 1024 * 1024)
gboolean control_stream_ready(const ControlStream *stream);
/* control_stream_send: @params (transfer full), an object. */
void control_stream_send(ControlStream *stream, json_t *params);
