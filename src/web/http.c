/* Requests and answers. */
#include "web/http.h"
#include <string.h>
#include <zlib.h>
#include "base/error.h"
#include "web/http_private.h"
#include "web/problem.h"

/* Smaller than this a compressed answer saves no packet. */
#define COMPRESS_FROM_BYTES 1400

typedef struct {
    const char *name, *value;
} Header;

/* Nothing is loaded from elsewhere, nothing runs that is not a file of ours, nobody may frame or guess. */
static const Header EVERY_ANSWER[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
     "form-action 'self'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
};

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

typedef struct {
    const char *name, *last;
} LastHeader;

static enum MHD_Result keep_last(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    LastHeader *header = cls;
    if (g_ascii_strcasecmp(name, header->name) == 0)
        header->last = value;
    return MHD_YES;
}

/* Of a header that comes more than once the last: a proxy may add its own line below those that the client sent. */
static const char *last_header_of(struct MHD_Connection *connection, const char *name)
{
    LastHeader header = {.name = name};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, keep_last, &header);
    return header.last;
}

static HttpRequest *request_new(HttpServer *server, struct MHD_Connection *connection, const char *url,
                                const char *method)
{
    HttpRequest *request = g_new0(HttpRequest, 1);
    request->server = server;
    request->connection = connection;
    request->method = g_strdup(method);
    request->path = g_strdup(url);
    request->received = g_byte_array_new();
    request->added = g_ptr_array_new_with_free_func(g_free);
    request->headers = (WebHeaders){
        .cookie = header_of(connection, "Cookie"),
        .authorization = header_of(connection, "Authorization"),
        .host = header_of(connection, "Host"),
        .origin = header_of(connection, "Origin"),
        .fetch_site = header_of(connection, "Sec-Fetch-Site"),
        .requested_with = header_of(connection, "X-Requested-With"),
        .forwarded_for = last_header_of(connection, "X-Forwarded-For"),
        .forwarded_proto = last_header_of(connection, "X-Forwarded-Proto"),
    };
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info ? (int)info->connect_fd : -1;
    request->link = g_hash_table_lookup(server->connections, GINT_TO_POINTER(fd));
    if (request->link) {
        request->link->idle_since_us = 0;
        request->link->body_since_us = g_get_monotonic_time();
    }
    const char *peer = request->link ? request->link->peer : "unknown";
    request->client = web_client_address(peer, (const char *const *)server->proxies, &request->headers);
    request->secure =
        web_is_secure(server->tls, peer, (const char *const *)server->proxies, &request->headers);
    g_hash_table_add(server->requests, request);
    return request;
}

static void request_free(HttpRequest *request)
{
    g_hash_table_remove(request->server->requests, request);
    g_clear_pointer(&request->stream, http_stream_free);
    g_clear_pointer(&request->response, MHD_destroy_response);
    g_clear_pointer(&request->body, g_bytes_unref);
    g_byte_array_unref(request->received);
    g_ptr_array_unref(request->added);
    g_free(request->method);
    g_free(request->path);
    g_free(request->client);
    g_free(request);
}

static void take_upload(HttpRequest *request, const char *upload, size_t size)
{
    if (request->received->len + size > HTTP_BODY_LIMIT_BYTES) {
        request->too_large = TRUE;
        g_byte_array_set_size(request->received, 0);
        return;
    }
    if (!request->too_large)
        g_byte_array_append(request->received, (const guint8 *)upload, (guint)size);
}

static enum MHD_Result queue_response(HttpRequest *request)
{
    return MHD_queue_response(request->connection, (unsigned)request->status, request->response);
}

static gboolean announces_too_much(const HttpRequest *request)
{
    const char *length = header_of(request->connection, "Content-Length");
    guint64 bytes;
    return length && (!g_ascii_string_to_unsigned(length, 10, 0, G_MAXUINT64, &bytes, NULL) ||
                      bytes > HTTP_BODY_LIMIT_BYTES);
}

void http_refuse_closing(HttpRequest *request)
{
    http_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", "this process ends", NULL);
}

static void refuse_large(HttpRequest *request)
{
    http_add_header(request, "Connection", "close");
    http_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, "too-large",
                 "a request's body may have at most 65536 bytes", NULL);
}

enum MHD_Result http_on_access(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **con_cls)
{
    HttpRequest *request = *con_cls;
    if (!request) {
        *con_cls = request = request_new(cls, connection, url, method);
        if (!announces_too_much(request))
            return MHD_YES;
        /* Said before the body is read; MHD closes the connection after it. */
        request->handed = TRUE;
        refuse_large(request);
        return queue_response(request);
    }
    if (*upload_size > 0) {
        take_upload(request, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!request->handed) {
        request->handed = TRUE;
        if (request->link)
            request->link->body_since_us = 0;
        request->body = g_byte_array_free_to_bytes(g_steal_pointer(&request->received));
        request->received = g_byte_array_new();
        if (request->too_large)
            refuse_large(request);
        else if (request->server->closing)
            http_refuse_closing(request);
        else
            request->server->handler(request, request->server->user_data);
    }
    if (request->answered)
        return queue_response(request);
    request->suspended = TRUE;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

void http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                       enum MHD_RequestTerminationCode code)
{
    HttpRequest *request = *con_cls;
    if (!request)
        return;
    if (request->link) {
        request->link->idle_since_us = g_get_monotonic_time();
        request->link->body_since_us = 0;
    }
    if (request->handed)
        request->server->gone(request, request->server->user_data);
    request_free(request);
    *con_cls = NULL;
}

const char *http_method(const HttpRequest *request)
{
    return request->method;
}

const char *http_path(const HttpRequest *request)
{
    return request->path;
}

const WebHeaders *http_headers(const HttpRequest *request)
{
    return &request->headers;
}

const char *http_header(const HttpRequest *request, const char *name)
{
    return header_of(request->connection, name);
}

const char *http_client(const HttpRequest *request)
{
    return request->client;
}

gboolean http_is_secure(const HttpRequest *request)
{
    return request->secure;
}

GBytes *http_body(const HttpRequest *request)
{
    return request->body;
}

typedef struct {
    HttpQueryFunc each;
    gpointer user_data;
    gboolean all;
} QueryWalk;

static enum MHD_Result on_query(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    QueryWalk *walk = cls;
    g_autofree char *plain_name = g_uri_unescape_string(name, NULL);
    g_autofree char *plain_value = value ? g_uri_unescape_string(value, NULL) : NULL;
    walk->all = walk->each(plain_name ? plain_name : name, plain_value, walk->user_data);
    return walk->all ? MHD_YES : MHD_NO;
}

gboolean http_query(const HttpRequest *request, HttpQueryFunc each, gpointer user_data)
{
    QueryWalk walk = {each, user_data, TRUE};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_query, &walk);
    return walk.all;
}

gpointer http_data(const HttpRequest *request)
{
    return request->data;
}

void http_set_data(HttpRequest *request, gpointer data)
{
    request->data = data;
}

void http_add_header(HttpRequest *request, const char *name, const char *value)
{
    g_ptr_array_add(request->added, g_strdup(name));
    g_ptr_array_add(request->added, g_strdup(value));
}

static gboolean takes_gzip(const HttpRequest *request)
{
    const char *accepted = header_of(request->connection, "Accept-Encoding");
    return accepted && strstr(accepted, "gzip") && !strstr(accepted, "gzip;q=0");
}

static gboolean has_header(const HttpRequest *request, const char *name)
{
    for (guint i = 0; i < request->added->len; i += 2)
        if (g_ascii_strcasecmp(request->added->pdata[i], name) == 0)
            return TRUE;
    return FALSE;
}

struct WebBody {
    GBytes *plain, *small; /* small: NULL until somebody wants it, or where it would not be smaller */
    gboolean tried, lasting;
};

WebBody *web_body_new(GBytes *plain)
{
    WebBody *body = g_rc_box_new0(WebBody);
    body->plain = g_bytes_ref(plain);
    return body;
}

WebBody *web_body_new_lasting(GBytes *plain)
{
    WebBody *body = web_body_new(plain);
    body->lasting = TRUE;
    return body;
}

WebBody *web_body_ref(WebBody *body)
{
    return g_rc_box_acquire(body);
}

static void body_clear(gpointer data)
{
    WebBody *body = data;
    g_bytes_unref(body->plain);
    g_clear_pointer(&body->small, g_bytes_unref);
}

void web_body_unref(WebBody *body)
{
    g_rc_box_release_full(body, body_clear);
}

/* NULL when it does not get smaller. */
static GBytes *compressed(GBytes *body, int level)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(body, &size);
    z_stream stream = {0};
    /* 15 + 16: the largest window, with a gzip header. */
    if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    guint8 *out = g_malloc(size);
    stream.next_in = (Bytef *)(guintptr)data;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    int status = deflate(&stream, Z_FINISH);
    gsize made = stream.total_out;
    deflateEnd(&stream);
    if (status == Z_STREAM_END)
        return g_bytes_new_take(out, made);
    g_free(out);
    return NULL;
}

static void unref_bytes(void *bytes)
{
    g_bytes_unref(bytes);
}

static struct MHD_Response *response_of(GBytes *body)
{
    if (!body)
        return MHD_create_response_from_buffer(0, (void *)(guintptr) "", MHD_RESPMEM_PERSISTENT);
    gsize size;
    const void *data = g_bytes_get_data(body, &size);
    return MHD_create_response_from_buffer_with_free_callback_cls(size, (void *)(guintptr)data, unref_bytes,
                                                                  g_bytes_ref(body));
}

void http_finish(HttpRequest *request, int status, const char *type, struct MHD_Response *response)
{
    request->status = status;
    request->response = response;
    request->answered = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(EVERY_ANSWER); i++)
        MHD_add_response_header(response, EVERY_ANSWER[i].name, EVERY_ANSWER[i].value);
    if (request->secure)
        MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (!has_header(request, "Cache-Control"))
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (type)
        MHD_add_response_header(response, "Content-Type", type);
    for (guint i = 0; i + 1 < request->added->len; i += 2)
        MHD_add_response_header(response, request->added->pdata[i], request->added->pdata[i + 1]);
    if (!request->suspended)
        return; /* it is still within the handler, which queues it */
    request->suspended = FALSE;
    MHD_resume_connection(request->connection);
    http_run_soon(request->server);
}

void http_answer_body(HttpRequest *request, int status, const char *type, WebBody *body)
{
    GBytes *sent = body->plain;
    if (g_bytes_get_size(sent) >= COMPRESS_FROM_BYTES) {
        http_add_header(request, "Vary", "Accept-Encoding");
        if (takes_gzip(request)) {
            if (!body->tried)
                body->small = compressed(body->plain, body->lasting ? Z_BEST_COMPRESSION : Z_BEST_SPEED);
            body->tried = TRUE;
            sent = body->small ? body->small : sent;
        }
    }
    if (sent != body->plain)
        http_add_header(request, "Content-Encoding", "gzip");
    http_finish(request, status, type, response_of(sent));
}

void http_answer(HttpRequest *request, int status, const char *type, GBytes *body)
{
    if (!body) {
        http_finish(request, status, type, response_of(NULL));
        return;
    }
    WebBody *shared = web_body_new(body);
    http_answer_body(request, status, type, shared);
    web_body_unref(shared);
}

void http_problem(HttpRequest *request, int status, const char *kind, const char *detail, json_t *more)
{
    g_autoptr(GBytes) body = web_problem(status, kind, detail, request->path, more);
    http_answer(request, status, "application/problem+json", body);
}
