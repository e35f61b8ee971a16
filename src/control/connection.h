/* One client of the control server: its buffers, its limits, its turn of the loop. */
#pragma once
#include "control/server.h"

#define LINE_LIMIT_BYTES ((gsize)64 * 1024) /* docs/control.md */
#define ANSWERS_LIMIT    64 /* pipelined answers waiting: then its requests are no longer read */
#define ANSWERS_LIMIT_BYTES                                                                                  \
    ((gsize)1024 * 1024) /* the same by size: a list of 1,000 servers is about this long */
#define EVENTS_LIMIT_BYTES                                                                                   \
    ((gsize)256 * 1024)    /* waiting output beyond which events are dropped and counted */
#define REQUESTS_A_TURN 16 /* then everything else in the daemon has its turn */
#define STALLED_LIMIT_US                                                                                     \
    (INT64_C(60) * G_USEC_PER_SEC) /* takes nothing of its waiting output for so long: closed */

typedef struct Connection Connection;

/* Asked for every complete request line that is not a notification; returns (transfer full) the answer or
 * NULL. */
typedef json_t *(*ConnectionAnswer)(Connection *connection, const char *line, gsize length,
                                    gpointer user_data);
/* The connection is over; the owner frees it. */
typedef void (*ConnectionClosed)(Connection *connection, gpointer user_data);

Connection *connection_new(int fd, const ControlPeer *peer, GMainContext *context, ConnectionAnswer answer,
                           ConnectionClosed closed, gpointer user_data);
void connection_free(Connection *connection);
const ControlPeer *connection_peer(const Connection *connection);

void connection_subscribe(Connection *connection);
/* connection_filter: see control_request_filter(). */
void connection_filter(Connection *connection, ControlFilter filter, gpointer user_data,
                       GDestroyNotify destroy);
/* HEARS_NOTHING for one that has not subscribed. */
Hearing connection_hears(const Connection *connection, const char *type, const char *server_id);

/* connection_stream: see control_stream_open(). */
ControlStream *connection_stream(Connection *connection, const char *method, GDestroyNotify closed,
                                 gpointer user_data, GError **error);

/* An answer that comes later: connection_owe() gives what outlives the connection, connection_pay() answers on it, if it is
 * still there. @answer: (transfer full) (nullable: nothing is sent). */
typedef struct Debt Debt;
Debt *connection_owe(Connection *connection);
void connection_pay(Debt *debt, json_t *answer);
gboolean connection_is_subscribed(const Connection *connection);

/* connection_event: queues @line, or drops and counts it when the reader is too slow. Never writes by itself.
 */
void connection_event(Connection *connection, GBytes *line);

/* connection_refuse: says why as an answer to nobody (id null), then closes. */
void connection_refuse(Connection *connection, const GError *error);
