/* Bodies that go on: a queue of shared texts per client, suspended while there is nothing to send. */
#include <poll.h>
#include <string.h>
#include "web/http_private.h"

/* What MHD takes at once; a stream's buffer lives as long as the stream. */
#define BLOCK_BYTES 4096

static ssize_t on_read(void *cls, uint64_t position, char *buffer, size_t room)
{
    HttpStream *stream = cls;
    gsize done = 0;
    while (done < room && stream->queue.length > 0) {
        GBytes *first = g_queue_peek_head(&stream->queue);
        gsize size;
        const char *data = g_bytes_get_data(first, &size);
        gsize part = MIN(size - stream->offset, room - done);
        memcpy(buffer + done, data + stream->offset, part);
        done += part;
        stream->offset += part;
        stream->queued_bytes -= part;
        if (stream->offset == size) {
            g_bytes_unref(g_queue_pop_head(&stream->queue));
            stream->offset = 0;
        }
    }
    if (done > 0)
        return (ssize_t)done;
    if (stream->ended || stream->request->server->closing)
        return MHD_CONTENT_READER_END_OF_STREAM;
    stream->suspended = TRUE;
    MHD_suspend_connection(stream->request->connection);
    return 0;
}

static void wake(HttpStream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = FALSE;
    MHD_resume_connection(stream->request->connection);
    http_run_soon(stream->request->server);
}

HttpStream *http_stream(HttpRequest *request, const char *type)
{
    HttpStream *stream = g_new0(HttpStream, 1);
    stream->request = request;
    g_queue_init(&stream->queue);
    request->stream = stream;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, stream, NULL);
    http_finish(request, MHD_HTTP_OK, type, response);
    return stream;
}

gboolean http_stream_send(HttpStream *stream, GBytes *bytes, gsize limit_bytes)
{
    if (stream->ended || stream->queued_bytes + g_bytes_get_size(bytes) > limit_bytes)
        return FALSE;
    g_queue_push_tail(&stream->queue, g_bytes_ref(bytes));
    stream->queued_bytes += g_bytes_get_size(bytes);
    wake(stream);
    return TRUE;
}

gboolean http_stream_is_left(const HttpStream *stream)
{
    const HttpConnection *link = stream->request->link;
    struct pollfd socket = {.fd = link ? link->fd : -1, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void http_stream_end(HttpStream *stream)
{
    stream->ended = TRUE;
    wake(stream);
}

void http_stream_free(HttpStream *stream)
{
    g_queue_clear_full(&stream->queue, (GDestroyNotify)g_bytes_unref);
    g_free(stream);
}
