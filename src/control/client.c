#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "control/listen.h"

#define CONNECT_TIMEOUT_S 5
#define ANSWER_LIMIT_BYTES                                                                                   \
    (UINT64_C(64) * 1024 * 1024) /* what no daemon sends: a guard against a socket that is not one's */
#define READ_BYTES           65536
#define PENDING_EVENTS_LIMIT 4096 /* kept while a call waits for its answer; then the oldest go */

struct ControlClient {
    int fd;
    char *path;
    char *token; /* (nullable) */
    json_int_t last_id;
    GByteArray *in;
    gsize searched; /* this much of it is known to hold no newline */
    GQueue events;  /* of json_t: notifications that came while a call waited */
    gboolean ended;
};

static void set_connect_error(const char *path, int code, GError **error)
{
    if (code == EACCES || code == EPERM)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_DENIED,
                    "%s may not be opened by this user: join the group aerostat, or run this as root", path);
    else if (code == EAGAIN)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "aerostatd does not take the connection on %s: is it stuck? systemctl status aerostatd",
                    path);
    else if (code == ENOENT || code == ECONNREFUSED || code == ENOTDIR || code == ENOTSOCK)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "no daemon answers on %s: is aerostatd running? systemctl status aerostatd", path);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "connecting to %s: %s", path,
                    g_strerror(code));
}

ControlClient *control_client_open(const char *socket_path, GError **error)
{
    struct sockaddr_un address;
    if (!socket_address(socket_path, &address, error))
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        set_connect_error(socket_path, errno, error);
        return NULL;
    }
    /* Bounds a connect that waits for a full backlog. */
    struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    int status;
    do
        status = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (status < 0 && errno == EINTR);
    if (status < 0) {
        set_connect_error(socket_path, errno, error);
        close(fd);
        return NULL;
    }
    ControlClient *client = g_new0(ControlClient, 1);
    client->fd = fd;
    client->path = g_strdup(socket_path);
    client->in = g_byte_array_new();
    g_queue_init(&client->events);
    return client;
}

void control_client_free(ControlClient *client)
{
    if (client == NULL)
        return;
    close(client->fd);
    g_byte_array_unref(client->in);
    g_queue_clear_full(&client->events, (GDestroyNotify)json_decref);
    g_free(client->path);
    g_free(client->token);
    g_free(client);
}

void control_client_set_token(ControlClient *client, const char *token)
{
    g_free(client->token);
    client->token = g_strdup(token);
}

int control_client_fd(const ControlClient *client)
{
    return client->fd;
}

static void *set_gone(const ControlClient *client, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                "the daemon has closed the connection on %s", client->path);
    return NULL;
}

/* Waits until the socket is ready for @events; FALSE when @deadline_us has passed. */
static gboolean wait_for(const ControlClient *client, short events, int64_t deadline_us)
{
    for (;;) {
        int64_t left_us = deadline_us - g_get_monotonic_time();
        if (left_us <= 0)
            return FALSE;
        struct pollfd poll_fd = {.fd = client->fd, .events = events};
        int ready = poll(&poll_fd, 1, (int)MIN((left_us + 999) / 1000, G_MAXINT));
        if (ready > 0)
            return TRUE;
        if (ready < 0 && errno != EINTR)
            return TRUE; /* the read or write that follows says what is wrong */
    }
}

static gboolean read_some(ControlClient *client, GError **error)
{
    guint8 buffer[READ_BYTES];
    ssize_t got;
    do
        got = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        g_byte_array_append(client->in, buffer, (guint)got);
    else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        client->ended = TRUE;
    if (client->in->len <= ANSWER_LIMIT_BYTES)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                "%s: an answer without end: is it aerostatd's socket?", client->path);
    return FALSE;
}

/* The next whole line as an object; NULL without error when none is complete. */
static json_t *next_object(ControlClient *client, GError **error)
{
    const guint8 *data = client->in->data;
    const guint8 *newline = client->in->len > client->searched
                                ? memchr(data + client->searched, '\n', client->in->len - client->searched)
                                : NULL;
    if (newline == NULL) {
        client->searched = client->in->len;
        return NULL;
    }
    gsize length = (gsize)(newline - data);
    json_error_t where;
    json_t *object = json_loadb((const char *)data, length, 0, &where);
    g_byte_array_remove_range(client->in, 0, (guint)length + 1);
    client->searched = 0;
    if (json_is_object(object))
        return object;
    json_decref(object);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                "%s: what answers there does not speak JSON-RPC: is it aerostatd's socket?", client->path);
    return NULL;
}

static gboolean send_all(ControlClient *client, const char *line, int64_t deadline_us, GError **error)
{
    gsize length = strlen(line), done = 0;
    while (done < length) {
        ssize_t sent = send(client->fd, line + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            done += (gsize)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(client, POLLOUT, deadline_us)) {
                g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT,
                            "the daemon takes no requests on %s: is it stuck? systemctl status aerostatd",
                            client->path);
                return FALSE;
            }
        } else if (errno != EINTR) {
            return TRUE; /* gone; what it said before going is still there to be read */
        }
    }
    return TRUE;
}

static void keep_event(ControlClient *client, json_t *notification)
{
    if (g_queue_get_length(&client->events) >= PENDING_EVENTS_LIMIT)
        json_decref(g_queue_pop_head(&client->events));
    g_queue_push_tail(&client->events, notification);
}

static json_t *take_answer(const ControlClient *client, json_t *object, GError **error)
{
    json_t *result = json_object_get(object, "result");
    if (result != NULL)
        return json_incref(result);
    json_t *failure = json_object_get(object, "error");
    const char *message = json_string_value(json_object_get(failure, "message"));
    const char *kind = json_string_value(json_object_get(json_object_get(failure, "data"), "kind"));
    AerostatError code = kind != NULL ? error_code_from_name(kind) : AEROSTAT_ERROR_FAILED;
    g_set_error(error, AEROSTAT_ERROR, (int)code, "%s",
                message != NULL ? message : "the daemon refused without saying why");
    return NULL;
}

static gboolean is_answer_to(json_t *object, json_int_t id)
{
    json_t *answered = json_object_get(object, "id");
    /* An error with id null is about the connection itself: refused, or a line that was too long. */
    return (json_is_integer(answered) && json_integer_value(answered) == id) ||
           (json_is_null(answered) && json_object_get(object, "error") != NULL);
}

static json_t *wait_answer(ControlClient *client, const char *method, json_int_t id, int64_t deadline_us,
                           GError **error)
{
    for (;;) {
        GError *failure = NULL;
        json_t *object;
        while ((object = next_object(client, &failure)) != NULL) {
            if (json_object_get(object, "method") != NULL) {
                keep_event(client, object);
                continue;
            }
            g_autoptr(json_t) answer = object;
            if (is_answer_to(answer, id))
                return take_answer(client, answer, error);
        }
        if (failure != NULL) {
            g_propagate_error(error, failure);
            return NULL;
        }
        if (client->ended)
            return set_gone(client, error);
        if (!wait_for(client, POLLIN, deadline_us)) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT,
                        "the daemon on %s did not answer \"%s\" in time: systemctl status aerostatd",
                        client->path, method);
            return NULL;
        }
        if (!read_some(client, error))
            return NULL;
    }
}

json_t *control_client_call(ControlClient *client, const char *method, json_t *params, int timeout_ms,
                            GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    json_int_t id = ++client->last_id;
    g_autoptr(json_t) request = json_pack("{s:s, s:I, s:s}", "jsonrpc", "2.0", "id", id, "method", method);
    if (params != NULL)
        json_object_set_new(request, "params", params);
    if (client->token != NULL)
        json_object_set_new(request, "auth", json_pack("{s:s}", "token", client->token));
    g_autofree char *line = json_line(request);
    if (!send_all(client, line, deadline_us, error))
        return NULL;
    return wait_answer(client, method, id, deadline_us, error);
}

json_t *control_client_next_event(ControlClient *client, GError **error)
{
    gboolean tried = FALSE;
    for (;;) {
        g_autoptr(json_t) object = g_queue_pop_head(&client->events);
        if (object == NULL) {
            GError *failure = NULL;
            object = next_object(client, &failure);
            if (failure != NULL) {
                g_propagate_error(error, failure);
                return NULL;
            }
        }
        if (object != NULL) {
            json_t *params = json_object_get(object, "params");
            if (json_object_get(object, "method") != NULL && json_is_object(params))
                return json_incref(params);
            continue; /* the answer to a call that was given up */
        }
        if (client->ended)
            return set_gone(client, error);
        if (tried)
            return NULL;
        if (!read_some(client, error))
            return NULL;
        tried = TRUE;
    }
}
