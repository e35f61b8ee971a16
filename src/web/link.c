#include "web/link.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib-unix.h>
#include "base/error.h"
#include "base/json.h"

#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS  2000
/* An answer of 10,000 servers is near 8 MiB; nothing that is the daemon's is longer than this. */
#define LINE_LIMIT_BYTES ((gsize)64 * 1024 * 1024)
/* What waits to be written to a daemon that does not read: then it counts as gone. */
#define OUT_LIMIT_BYTES ((gsize)8 * 1024 * 1024)
/* docs/control.md: the daemon takes no longer one, and closes the connection, which everybody shares. */
#define REQUEST_LIMIT_BYTES ((gsize)64 * 1024)
#define READ_BYTES          ((gsize)256 * 1024)
/* Reads in one turn of the loop; then clients have their turn. */
#define READS_A_TURN 8

typedef struct {
    WebLink *link;
    guint64 id;
    WebAnswered done;
    gpointer user_data;
    guint timer;
} Call;

struct WebLink {
    char *path;
    WebLinkEvents events;
    GMainContext *context;
    int fd; /* -1: not connected */
    GSource *source;
    gpointer tag;
    GByteArray *in, *out;
    gsize searched;    /* so much of `in` is known to hold no newline */
    GHashTable *calls; /* id -> Call */
    guint64 last_id;
    guint retry_timer;
    guint retry_ms;
};

static void call_free(gpointer data)
{
    Call *call = data;
    if (call->timer)
        g_source_remove(call->timer);
    g_free(call);
}

static void answer_failure(Call *call, AerostatError code, const char *message)
{
    WebAnswer answer = {
        .http_status = error_code_http(code), .kind = error_code_name(code), .message = message};
    call->done(&answer, call->user_data);
}

/* Takes the call out before it is answered: the answer may make new calls. */
static Call *take_call(WebLink *link, guint64 id)
{
    gpointer key, value;
    if (!g_hash_table_steal_extended(link->calls, &id, &key, &value))
        return NULL;
    return value;
}

static void fail_all(WebLink *link, const char *message)
{
    g_autoptr(GList) ids = NULL;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, link->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        ids = g_list_prepend(ids, value);
    for (GList *l = ids; l; l = l->next)
        g_hash_table_steal(link->calls, &((Call *)l->data)->id);
    for (GList *l = ids; l; l = l->next) {
        answer_failure(l->data, AEROSTAT_ERROR_UNAVAILABLE, message);
        call_free(l->data);
    }
}

static gboolean try_connect(gpointer user_data);

static void retry_later(WebLink *link)
{
    link->retry_timer = g_timeout_add(link->retry_ms, try_connect, link);
    link->retry_ms = MIN(link->retry_ms * 2, RETRY_LAST_MS);
}

static void disconnect(WebLink *link, const char *why)
{
    if (link->fd < 0)
        return;
    g_source_destroy(link->source);
    g_clear_pointer(&link->source, g_source_unref);
    close(link->fd);
    link->fd = -1;
    g_byte_array_set_size(link->in, 0);
    g_byte_array_set_size(link->out, 0);
    link->searched = 0;
    retry_later(link);
    fail_all(link, why);
    if (link->events.changed)
        link->events.changed(FALSE, link->events.user_data);
}

gsize web_line_result(const char *line, gsize length, guint64 *ret_id, gsize *ret_length)
{
    static const char HEAD[] = "{\"jsonrpc\":\"2.0\",\"id\":", MIDDLE[] = ",\"result\":";
    const gsize head = sizeof HEAD - 1, middle = sizeof MIDDLE - 1;
    if (length < head || memcmp(line, HEAD, head) != 0)
        return 0;
    gsize i = head;
    guint64 id = 0;
    for (; i < length && g_ascii_isdigit(line[i]) && i < head + 18; i++)
        id = id * 10 + (guint64)(line[i] - '0');
    if (i == head || length - i < middle + 1 || memcmp(line + i, MIDDLE, middle) != 0 ||
        line[length - 1] != '}')
        return 0;
    *ret_id = id;
    *ret_length = length - 1 - i - middle;
    return i + middle;
}

static void take_failure(Call *call, json_t *failure)
{
    json_t *data = json_object_get(failure, "data");
    const char *kind = json_string_value(json_object_get(data, "kind"));
    const char *message = json_string_value(json_object_get(failure, "message"));
    AerostatError code = error_code_from_name(kind ? kind : "failed");
    WebAnswer answer = {
        .http_status = error_code_http(code),
        .kind = error_code_name(code),
        .message = message ? message : "the daemon refused without saying why",
        .details = data,
    };
    call->done(&answer, call->user_data);
}

/* Only what was answered shows that the daemon has a place here: one that is full takes a connection, too, and closes it. */
static void heard(WebLink *link)
{
    link->retry_ms = RETRY_FIRST_MS;
}

/* Any line that is not a plain result: a notification, a refusal, or a result with another layout. */
static gboolean take_object(WebLink *link, const char *line, gsize length)
{
    g_autoptr(json_t) object = json_loadb(line, length, 0, NULL);
    if (!json_is_object(object))
        return FALSE;
    json_t *params = json_object_get(object, "params");
    if (json_object_get(object, "method")) {
        if (link->events.notified && json_is_object(params))
            link->events.notified(params, link->events.user_data);
        return TRUE;
    }
    json_t *id = json_object_get(object, "id"), *failure = json_object_get(object, "error");
    if (!json_is_integer(id)) /* about the connection itself: it is about to be closed */
        return TRUE;
    heard(link);
    Call *call = take_call(link, (guint64)json_integer_value(id));
    if (!call)
        return TRUE; /* given up meanwhile */
    if (failure) {
        take_failure(call, failure);
    } else {
        char *text = json_dumps(json_object_get(object, "result"), JSON_COMPACT | JSON_ENCODE_ANY);
        g_autoptr(GBytes) result =
            g_bytes_new_with_free_func(text ? text : "null", strlen(text ? text : "null"), free, text);
        WebAnswer answer = {.result = result};
        call->done(&answer, call->user_data);
    }
    call_free(call);
    return TRUE;
}

static gboolean take_line(WebLink *link, const char *line, gsize length)
{
    guint64 id = 0;
    gsize result_length = 0;
    gsize offset = web_line_result(line, length, &id, &result_length);
    if (offset == 0)
        return take_object(link, line, length);
    heard(link);
    Call *call = take_call(link, id);
    if (!call)
        return TRUE;
    g_autoptr(GBytes) result = g_bytes_new(line + offset, result_length);
    WebAnswer answer = {.result = result};
    call->done(&answer, call->user_data);
    call_free(call);
    return TRUE;
}

/* Whole lines out of `in`. Callbacks may disconnect, so the buffer is looked at anew after each. */
static gboolean take_lines(WebLink *link)
{
    gsize begin = 0;
    g_autoptr(GByteArray) in = g_byte_array_ref(link->in);
    while (link->fd >= 0 && in->len > link->searched) {
        const char *text = (const char *)in->data;
        const char *newline = memchr(text + link->searched, '\n', in->len - link->searched);
        if (!newline)
            break;
        gsize end = (gsize)(newline - text);
        link->searched = end + 1;
        if (!take_line(link, text + begin, end - begin))
            return FALSE;
        begin = end + 1;
    }
    if (link->fd < 0)
        return TRUE;
    if (begin > 0)
        g_byte_array_remove_range(in, 0, (guint)begin);
    link->searched = in->len;
    return in->len <= LINE_LIMIT_BYTES;
}

static void write_some(WebLink *link)
{
    while (link->out->len > 0) {
        ssize_t sent = send(link->fd, link->out->data, link->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            g_byte_array_remove_range(link->out, 0, (guint)sent);
        else if (errno != EINTR)
            break; /* full, or gone: then reading says so */
    }
    g_source_modify_unix_fd(link->source, link->tag, link->out->len > 0 ? G_IO_IN | G_IO_OUT : G_IO_IN);
}

/* 1: something came; 0: nothing now; -1: the daemon has gone. */
static int read_once(WebLink *link)
{
    guint before = link->in->len;
    g_byte_array_set_size(link->in, before + (guint)READ_BYTES);
    ssize_t got;
    do
        got = recv(link->fd, link->in->data + before, READ_BYTES, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    gboolean later = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    g_byte_array_set_size(link->in, before + (got > 0 ? (guint)got : 0));
    return got > 0 ? 1 : later ? 0 : -1;
}

static gboolean on_ready(gpointer user_data)
{
    WebLink *link = user_data;
    write_some(link);
    for (int n = 0; n < READS_A_TURN && link->fd >= 0; n++) {
        int got = read_once(link);
        if (got > 0 && !take_lines(link)) {
            disconnect(link, "what answers on the control socket does not speak JSON-RPC");
            break;
        }
        if (got < 0)
            disconnect(link, "the daemon has closed the connection; it is tried again");
        if (got <= 0)
            break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_source(GSource *source, GSourceFunc callback, gpointer user_data)
{
    return callback(user_data);
}

static GSourceFuncs source_funcs = {.dispatch = dispatch_source};

static gboolean open_socket(WebLink *link)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(link->path) >= sizeof address.sun_path)
        return FALSE;
    g_strlcpy(address.sun_path, link->path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return FALSE;
    /* A Unix socket connects at once or not at all (EAGAIN: the daemon's backlog is full). */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return FALSE;
    }
    link->fd = fd;
    return TRUE;
}

static gboolean try_connect(gpointer user_data)
{
    WebLink *link = user_data;
    link->retry_timer = 0;
    if (!open_socket(link)) {
        retry_later(link);
        return G_SOURCE_REMOVE;
    }
    link->source = g_source_new(&source_funcs, sizeof(GSource));
    link->tag = g_source_add_unix_fd(link->source, link->fd, G_IO_IN);
    g_source_set_callback(link->source, on_ready, link, NULL);
    g_source_attach(link->source, link->context);
    if (link->events.changed)
        link->events.changed(TRUE, link->events.user_data);
    return G_SOURCE_REMOVE;
}

WebLink *web_link_new(const char *socket_path, const WebLinkEvents *events)
{
    WebLink *link = g_new0(WebLink, 1);
    link->path = g_strdup(socket_path);
    link->events = *events;
    link->context = g_main_context_ref_thread_default();
    link->fd = -1;
    link->in = g_byte_array_new();
    link->out = g_byte_array_new();
    link->calls = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, call_free);
    link->retry_ms = RETRY_FIRST_MS;
    link->retry_timer = g_timeout_add(0, try_connect, link);
    return link;
}

void web_link_free(WebLink *link)
{
    if (!link)
        return;
    link->events = (WebLinkEvents){0};
    disconnect(link, "this process ends");
    if (link->retry_timer)
        g_source_remove(link->retry_timer);
    fail_all(link, "this process ends");
    g_hash_table_unref(link->calls);
    g_byte_array_unref(link->in);
    g_byte_array_unref(link->out);
    g_main_context_unref(link->context);
    g_free(link->path);
    g_free(link);
}

gboolean web_link_connected(const WebLink *link)
{
    return link->fd >= 0;
}

static gboolean on_timeout(gpointer user_data)
{
    Call *call = user_data;
    call->timer = 0;
    g_hash_table_steal(call->link->calls, &call->id);
    answer_failure(call, AEROSTAT_ERROR_TIMEOUT, "the daemon did not answer in time");
    call_free(call);
    return G_SOURCE_REMOVE;
}

static gboolean on_not_connected(gpointer user_data)
{
    Call *call = user_data;
    call->timer = 0;
    g_hash_table_steal(call->link->calls, &call->id);
    answer_failure(call, AEROSTAT_ERROR_UNAVAILABLE,
                   "the daemon cannot be reached now; it is tried again by itself");
    call_free(call);
    return G_SOURCE_REMOVE;
}

static gboolean on_too_long(gpointer user_data)
{
    Call *call = user_data;
    call->timer = 0;
    g_hash_table_steal(call->link->calls, &call->id);
    answer_failure(call, AEROSTAT_ERROR_INVALID, "the request is too long; all of it must fit into 64 KiB");
    call_free(call);
    return G_SOURCE_REMOVE;
}

static char *request_line(guint64 id, const char *method, json_t *params, const WebCredential *credential)
{
    g_autoptr(json_t) request =
        json_pack("{s:s, s:I, s:s}", "jsonrpc", "2.0", "id", (json_int_t)id, "method", method);
    json_object_set_new(request, "params", params ? params : json_object());
    if (credential && credential->session)
        json_object_set_new(request, "auth", json_pack("{s:s}", "session", credential->session));
    else if (credential && credential->token)
        json_object_set_new(request, "auth", json_pack("{s:s}", "token", credential->token));
    else if (credential) /* nobody in particular: never this process's own rights */
        json_object_set_new(request, "auth", json_object());
    if (credential && credential->from)
        json_object_set_new(request, "from", json_string(credential->from));
    return json_line(request);
}

guint64 web_link_call(WebLink *link, const char *method, json_t *params, const WebCredential *credential,
                      guint timeout_ms, WebAnswered done, gpointer user_data)
{
    Call *call = g_new0(Call, 1);
    call->link = link;
    call->id = ++link->last_id;
    call->done = done;
    call->user_data = user_data;
    g_hash_table_insert(link->calls, &call->id, call);
    g_autofree char *line = request_line(call->id, method, params, credential);
    gsize length = strlen(line);
    if (length > REQUEST_LIMIT_BYTES) {
        call->timer = g_timeout_add(0, on_too_long, call);
        return call->id;
    }
    if (link->fd < 0 || link->out->len + length > OUT_LIMIT_BYTES) {
        call->timer = g_timeout_add(0, on_not_connected, call);
        return call->id;
    }
    call->timer = g_timeout_add(timeout_ms, on_timeout, call);
    g_byte_array_append(link->out, (const guint8 *)line, (guint)length);
    write_some(link);
    return call->id;
}

void web_link_cancel(WebLink *link, guint64 id)
{
    Call *call = take_call(link, id);
    if (call)
        call_free(call);
}
