#include "control/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>

#include "base/error.h"
#include "base/json.h"
#include "control/request.h"

typedef struct {
    GBytes *bytes;
    gboolean is_answer;
} Chunk;

struct ControlStream {
    Connection *connection;
    const char *method; /* NULL: there is none */
    GDestroyNotify closed;
    gpointer user_data;
};

struct Debt {
    Connection *connection; /* NULL: it has gone */
};

struct Connection {
    int fd;
    ControlPeer peer;
    ConnectionAnswer answer;
    ConnectionClosed closed;
    gpointer user_data;
    GSource *source;
    gpointer tag;

    GByteArray *in; /* never more than LINE_LIMIT_BYTES + 1 */
    gsize searched; /* this much of it is known to hold no newline */
    gboolean line_ready;

    GQueue out;       /* of Chunk */
    gsize out_offset; /* of the first chunk, written already */
    gsize out_bytes;
    guint answers_waiting;
    int64_t progress_us; /* when output last moved, or began to wait */

    GHashTable *debts; /* of Debt: answers that come later */

    gboolean subscribed;
    ControlFilter filter;
    gpointer filter_data;
    GDestroyNotify filter_destroy;
    guint64 lost;
    ControlStream stream;
    gboolean closing; /* nothing more is read; closed when the output has gone */
    gboolean eof;     /* the client has said all it will */
    gboolean dead;
};

static void chunk_free(Chunk *chunk)
{
    g_bytes_unref(chunk->bytes);
    g_free(chunk);
}

static void push(Connection *connection, GBytes *bytes, gboolean is_answer)
{
    Chunk *chunk = g_new(Chunk, 1);
    *chunk = (Chunk){.bytes = bytes, .is_answer = is_answer};
    if (g_queue_is_empty(&connection->out))
        connection->progress_us = g_get_monotonic_time();
    g_queue_push_tail(&connection->out, chunk);
    connection->out_bytes += g_bytes_get_size(bytes);
    if (is_answer)
        connection->answers_waiting++;
}

static void push_json(Connection *connection, json_t *object, gboolean is_answer)
{
    char *line = json_line(object);
    push(connection, g_bytes_new_take(line, strlen(line)), is_answer);
}

static gboolean may_answer(const Connection *connection)
{
    return !connection->closing &&
           connection->answers_waiting + g_hash_table_size(connection->debts) < ANSWERS_LIMIT &&
           connection->out_bytes < ANSWERS_LIMIT_BYTES;
}

static void flush_out(Connection *connection)
{
    Chunk *chunk;
    while (!connection->dead && (chunk = g_queue_peek_head(&connection->out)) != NULL) {
        gsize size;
        const char *data = g_bytes_get_data(chunk->bytes, &size);
        ssize_t sent = send(connection->fd, data + connection->out_offset, size - connection->out_offset,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            connection->dead = errno != EAGAIN && errno != EWOULDBLOCK;
            return;
        }
        connection->progress_us = g_get_monotonic_time();
        connection->out_bytes -= (gsize)sent;
        connection->out_offset += (gsize)sent;
        if (connection->out_offset < size)
            continue;
        connection->out_offset = 0;
        connection->answers_waiting -= chunk->is_answer ? 1 : 0;
        chunk_free(g_queue_pop_head(&connection->out));
    }
}

/* A reader that has caught up hears first how much it missed. */
static void tell_lost(Connection *connection)
{
    if (connection->lost == 0 || connection->out_bytes > EVENTS_LIMIT_BYTES / 2)
        return;
    g_autoptr(json_t) event =
        json_pack("{s:s, s:s, s:{s:s, s:{s:I}}}", "jsonrpc", "2.0", "method", "event", "params", "type",
                  "lost", "data", "events", (json_int_t)connection->lost);
    connection->lost = 0;
    push_json(connection, event, FALSE);
}

static void find_line(Connection *connection)
{
    const guint8 *newline = connection->in->len > connection->searched
                                ? memchr(connection->in->data + connection->searched, '\n',
                                         connection->in->len - connection->searched)
                                : NULL;
    connection->line_ready = newline != NULL;
    connection->searched = newline != NULL ? (gsize)(newline - connection->in->data) : connection->in->len;
}

static void fill_in(Connection *connection)
{
    gsize room = LINE_LIMIT_BYTES + 1 - connection->in->len;
    if (connection->eof || connection->closing || connection->line_ready || room == 0)
        return;
    gsize before = connection->in->len;
    g_byte_array_set_size(connection->in, (guint)(before + room));
    ssize_t got;
    do
        got = recv(connection->fd, connection->in->data + before, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    connection->dead = got < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
    connection->eof = got == 0;
    g_byte_array_set_size(connection->in, (guint)(before + (got > 0 ? (gsize)got : 0)));
    find_line(connection);
}

static void take_line(Connection *connection, const char *line, gsize length)
{
    gsize i = 0;
    while (i < length && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'))
        i++;
    if (i == length)
        return; /* an empty line is nobody's request */
    g_autoptr(json_t) answer = connection->answer(connection, line, length, connection->user_data);
    if (answer != NULL)
        push_json(connection, answer, TRUE);
}

static void take_lines(Connection *connection)
{
    gsize start = 0;
    for (int n = 0; n < REQUESTS_A_TURN && connection->line_ready && may_answer(connection); n++) {
        gsize end = connection->searched;
        take_line(connection, (const char *)connection->in->data + start, end - start);
        start = end + 1;
        connection->searched = start;
        find_line(connection);
    }
    if (start > 0) {
        g_byte_array_remove_range(connection->in, 0, (guint)start);
        connection->searched -= start;
    }
    if (!connection->line_ready && connection->in->len > LINE_LIMIT_BYTES && !connection->closing) {
        g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                                              "the request line is longer than %zu bytes", LINE_LIMIT_BYTES);
        connection_refuse(connection, error);
    }
}

static gboolean is_over(const Connection *connection)
{
    if (connection->dead)
        return TRUE;
    if (connection->out.head != NULL)
        return g_get_monotonic_time() - connection->progress_us >= STALLED_LIMIT_US;
    gboolean listens = connection->subscribed || connection->stream.method != NULL ||
                       g_hash_table_size(connection->debts) > 0;
    return connection->closing || (connection->eof && !connection->line_ready && !listens);
}

/* What to wait for next: room to write, something to read, or just the next turn when a line is waiting
 * already. */
static void arm(Connection *connection)
{
    GIOCondition wanted = 0;
    if (!connection->eof && !connection->closing && !connection->line_ready)
        wanted |= G_IO_IN;
    if (!g_queue_is_empty(&connection->out))
        wanted |= G_IO_OUT;
    g_source_modify_unix_fd(connection->source, connection->tag, wanted);

    int64_t ready_us = -1;
    if (connection->line_ready && may_answer(connection))
        ready_us = 0;
    else if (!g_queue_is_empty(&connection->out))
        ready_us = connection->progress_us + STALLED_LIMIT_US;
    g_source_set_ready_time(connection->source, ready_us);
}

static gboolean on_turn(gpointer user_data)
{
    Connection *connection = user_data;
    /* A peer that hung up is still read to its end: what it asked for was asked. Nobody reads the answers
     * then, and the first one that cannot be written ends it. */
    GIOCondition seen = g_source_query_unix_fd(connection->source, connection->tag);
    flush_out(connection);
    fill_in(connection);
    take_lines(connection);
    flush_out(connection);
    tell_lost(connection);
    flush_out(connection);
    if ((seen & (G_IO_HUP | G_IO_ERR)) != 0 && !connection->line_ready && connection->eof)
        connection->dead = TRUE;
    if (is_over(connection)) {
        connection->closed(connection, connection->user_data);
        return G_SOURCE_REMOVE;
    }
    arm(connection);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_source(GSource *source, GSourceFunc callback, gpointer user_data)
{
    return callback(user_data);
}

static GSourceFuncs source_funcs = {.dispatch = dispatch_source};

Connection *connection_new(int fd, const ControlPeer *peer, GMainContext *context, ConnectionAnswer answer,
                           ConnectionClosed closed, gpointer user_data)
{
    Connection *connection = g_new0(Connection, 1);
    connection->fd = fd;
    connection->peer = *peer;
    connection->answer = answer;
    connection->closed = closed;
    connection->user_data = user_data;
    connection->in = g_byte_array_new();
    connection->debts = g_hash_table_new(NULL, NULL);
    g_queue_init(&connection->out);
    connection->source = g_source_new(&source_funcs, sizeof(GSource));
    connection->tag = g_source_add_unix_fd(connection->source, fd, G_IO_IN);
    /* The engine's beats go first, whatever a client sends. */
    g_source_set_priority(connection->source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(connection->source, on_turn, connection, NULL);
    g_source_attach(connection->source, context);
    return connection;
}

static void forget_debts(Connection *connection)
{
    GHashTableIter iter;
    gpointer debt;
    g_hash_table_iter_init(&iter, connection->debts);
    while (g_hash_table_iter_next(&iter, &debt, NULL))
        ((Debt *)debt)->connection = NULL;
    g_hash_table_unref(connection->debts);
}

void connection_free(Connection *connection)
{
    if (connection == NULL)
        return;
    flush_out(connection); /* a last try, without waiting */
    control_stream_close(&connection->stream);
    g_source_destroy(connection->source);
    g_source_unref(connection->source);
    g_queue_clear_full(&connection->out, (GDestroyNotify)chunk_free);
    forget_debts(connection);
    connection_filter(connection, NULL, NULL, NULL);
    g_byte_array_unref(connection->in);
    close(connection->fd);
    g_free(connection);
}

const ControlPeer *connection_peer(const Connection *connection)
{
    return &connection->peer;
}

void connection_subscribe(Connection *connection)
{
    connection->subscribed = TRUE;
}

void connection_filter(Connection *connection, ControlFilter filter, gpointer user_data,
                       GDestroyNotify destroy)
{
    if (connection->filter_destroy)
        connection->filter_destroy(connection->filter_data);
    connection->filter = filter;
    connection->filter_data = user_data;
    connection->filter_destroy = destroy;
}

Hearing connection_hears(const Connection *connection, const char *type, const char *server_id)
{
    if (!connection->subscribed)
        return HEARS_NOTHING;
    return connection->filter == NULL ? HEARS_ALL
                                      : connection->filter(type, server_id, connection->filter_data);
}

Debt *connection_owe(Connection *connection)
{
    Debt *debt = g_new(Debt, 1);
    debt->connection = connection;
    g_hash_table_add(connection->debts, debt);
    return debt;
}

void connection_pay(Debt *debt, json_t *answer)
{
    Connection *connection = debt->connection;
    if (connection != NULL) {
        g_hash_table_remove(connection->debts, debt);
        if (answer != NULL && !connection->closing && !connection->dead)
            push_json(connection, answer, TRUE);
        /* Its next turn writes, reads on where the answers were too many, and ends it when this was the last. */
        arm(connection);
        g_source_set_ready_time(connection->source, 0);
    }
    json_decref(answer);
    g_free(debt);
}

gboolean connection_is_subscribed(const Connection *connection)
{
    return connection->subscribed;
}

void connection_event(Connection *connection, GBytes *line)
{
    if (connection->closing || connection->dead)
        return;
    if (connection->lost > 0 || connection->out_bytes + g_bytes_get_size(line) > EVENTS_LIMIT_BYTES) {
        connection->lost++;
        return;
    }
    push(connection, g_bytes_ref(line), FALSE);
    arm(connection);
}

void connection_refuse(Connection *connection, const GError *error)
{
    g_autoptr(json_t) answer = response_gerror(NULL, error);
    push_json(connection, answer, TRUE);
    connection->closing = TRUE;
    arm(connection);
}

ControlStream *connection_stream(Connection *connection, const char *method, GDestroyNotify closed,
                                 gpointer user_data, GError **error)
{
    if (connection->stream.method != NULL) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "this connection has a stream already; open another one");
        return NULL;
    }
    connection->stream = (ControlStream){connection, method, closed, user_data};
    return &connection->stream;
}

void control_stream_close(ControlStream *stream)
{
    ControlStream was = *stream;
    *stream = (ControlStream){0};
    if (was.method != NULL)
        was.closed(was.user_data);
}

gboolean control_stream_ready(const ControlStream *stream)
{
    const Connection *connection = stream->connection;
    return !connection->closing && !connection->dead && connection->out_bytes < CONTROL_STREAM_LIMIT_BYTES;
}

void control_stream_send(ControlStream *stream, json_t *params)
{
    g_autoptr(json_t) notification =
        json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", stream->method, "params", params);
    if (!stream->connection->dead && notification != NULL) {
        push_json(stream->connection, notification, FALSE);
        arm(stream->connection);
    }
}
