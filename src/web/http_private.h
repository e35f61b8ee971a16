/* The inside that http.c (requests and answers), http_loop.c (the listener and its turns) and http_stream.c share. */
#pragma once
#include <microhttpd.h>
#include "web/http.h"

struct HttpServer {
    struct MHD_Daemon *daemon;
    GSource *source;
    gboolean run_again; /* something was resumed: MHD must be run although no descriptor says so */
    gboolean closing;
    HttpHandler handler;
    HttpGone gone;
    gpointer user_data;
    char **proxies;
    gboolean tls;
    guint port;
    GHashTable *connections; /* socket -> HttpConnection */
    GHashTable *requests;    /* HttpRequest, those that are open */
    guint sweep_timer;
    int64_t body_limit_us;
};

/* One TCP connection: how long it has been without a whole request. */
typedef struct {
    int fd;
    char *peer;
    char *source;          /* what it is counted by, see address_source() */
    int64_t idle_since_us; /* 0: a request is being taken or answered */
    int64_t body_since_us; /* its head was there then, its body is not yet; 0 otherwise */
} HttpConnection;

struct HttpStream {
    HttpRequest *request;
    GQueue queue; /* GBytes */
    gsize queued_bytes, offset;
    gboolean suspended, ended;
};

struct HttpRequest {
    HttpServer *server;
    struct MHD_Connection *connection;
    HttpConnection *link; /* borrowed; NULL when unknown */
    char *method, *path, *client;
    gboolean secure;
    WebHeaders headers;
    GByteArray *received;
    GBytes *body;
    gboolean too_large, handed, suspended, answered;
    gpointer data;
    GPtrArray *added; /* name, value, name, value, ... */
    struct MHD_Response *response;
    int status;
    HttpStream *stream;
};

/* http_loop.c */
void http_run_soon(HttpServer *server);
/* http.c: says that the process ends; then MHD's callbacks */
void http_refuse_closing(HttpRequest *request);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **con_cls);
void http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                       enum MHD_RequestTerminationCode code);
/* http.c: @response (transfer full) is the answer, with the headers that every answer has. */
void http_finish(HttpRequest *request, int status, const char *type, struct MHD_Response *response);
/* http_stream.c */
void http_stream_free(HttpStream *stream);
