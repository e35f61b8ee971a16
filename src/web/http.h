/*
 * HTTP: libmicrohttpd in one GMainContext: requests with their body complete, answers whenever they are ready, streams
 * that end when they are told to. Limits, time-outs and the headers that every answer has are here; what a path means
 * is not.
 *
 * One thread, the one of the GMainContext that is the default at construction: a handler may answer at once or later.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include "web/credential.h"

#define HTTP_BODY_LIMIT_BYTES ((gsize)64 * 1024)
#define HTTP_BODY_LIMIT_US    INT64_C(30000000)

typedef struct HttpServer HttpServer;
typedef struct HttpRequest HttpRequest;
typedef struct HttpStream HttpStream;

/* A whole request has come. http_answer() or http_stream() it once, now or later, unless it is gone first. */
typedef void (*HttpHandler)(HttpRequest *request, gpointer user_data);
/* The client has gone, or the answer is out: the request must not be used any more. */
typedef void (*HttpGone)(HttpRequest *request, gpointer user_data);

typedef struct {
    const char *address;                     /* "127.0.0.1:8470", "[::1]:8470"; port 0 takes any */
    const char *certificate_file, *key_file; /* (nullable): both or none: TLS */
    const char *const *proxies; /* (nullable), NULL-terminated: addresses whose X-Forwarded-* is believed */
    int64_t body_limit_us;      /* from a request's head to the end of its body; 0: HTTP_BODY_LIMIT_US */
} HttpOptions;

/* http_server_new: AEROSTAT_ERROR_UNAVAILABLE when the address cannot be listened on, AEROSTAT_ERROR_INVALID for a
 * certificate or key that cannot be read or used; naming it. */
HttpServer *http_server_new(const HttpOptions *options, HttpHandler handler, HttpGone gone,
                            gpointer user_data, GError **error);
/* Ends all connections. Requests that are still open are reported gone. */
void http_server_free(HttpServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpServer, http_server_free)

/* http_server_port: the port it really listens on. */
guint http_server_port(const HttpServer *server);

/* What was asked; all borrowed, valid as long as the request. */
const char *http_method(const HttpRequest *request);
const char *http_path(const HttpRequest *request); /* as asked, percent-encoded, without the query */
const WebHeaders *http_headers(const HttpRequest *request);
const char *http_header(const HttpRequest *request, const char *name); /* NULL when it is not there */
const char *http_client(const HttpRequest *request);                   /* the person's address */
gboolean http_is_secure(const HttpRequest *request);
GBytes *http_body(const HttpRequest *request); /* never NULL */
/* http_query: calls @each for each parameter, decoded (value NULL where there is none, or it cannot be), until it returns
 * FALSE; returns whether all returned TRUE. */
typedef gboolean (*HttpQueryFunc)(const char *name, const char *value, gpointer user_data);
gboolean http_query(const HttpRequest *request, HttpQueryFunc each, gpointer user_data);

gpointer http_data(const HttpRequest *request);
void http_set_data(HttpRequest *request, gpointer data);

/* http_add_header: on the answer to come; before http_answer(). */
void http_add_header(HttpRequest *request, const char *name, const char *value);

/* An answer's body that many requests may share, compressed at most once. */
typedef struct WebBody WebBody;
WebBody *web_body_new(GBytes *plain); /* takes a reference */
WebBody *
web_body_new_lasting(GBytes *plain); /* the same, compressed with care: it is sent for as long as this runs */
WebBody *web_body_ref(WebBody *body);
void web_body_unref(WebBody *body);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebBody, web_body_unref)

/* http_answer: @body may be NULL (none). @type is its Content-Type. A HEAD gets the headers alone. A body of some
 * size is sent compressed where the client takes it so. */
void http_answer(HttpRequest *request, int status, const char *type, GBytes *body);
void http_answer_body(HttpRequest *request, int status, const char *type, WebBody *body);

/* http_problem: answers with a problem document, see web_problem(). */
void http_problem(HttpRequest *request, int status, const char *kind, const char *detail, json_t *more);

/*
 * http_stream: answers 200 with a body that goes on. @type: its Content-Type.
 * Returns: borrowed; gone with the request.
 */
HttpStream *http_stream(HttpRequest *request, const char *type);
/* http_stream_send: queues @bytes (a reference is taken). FALSE when more than @limit_bytes wait already: nothing is queued. */
gboolean http_stream_send(HttpStream *stream, GBytes *bytes, gsize limit_bytes);
/* http_stream_is_left: its client has hung up; it is told gone only once something cannot be sent. */
gboolean http_stream_is_left(const HttpStream *stream);
/* http_stream_end: what is queued is still sent; then the connection ends. */
void http_stream_end(HttpStream *stream);
