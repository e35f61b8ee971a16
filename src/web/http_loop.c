/* The listener, its turns in the main loop, and who is let in. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/address.h"
#include "base/error.h"
#include "web/http_private.h"

/* Event streams are connections, too: 500 of them and as many again for requests. */
#define CONNECTIONS_LIMIT 1500
/* One source (address_source()) away from this host: several people behind one router. */
#define CONNECTIONS_A_PEER 100
/* The whole head of a request, and what MHD needs to answer it. */
#define CONNECTION_MEMORY_BYTES ((size_t)24 * 1024)
/* Nothing sent or taken for so long: closed. */
#define QUIET_LIMIT_S 30
/* From the connection, or the last answer, to the next whole head: a client that drips is closed. */
#define HEAD_LIMIT_US INT64_C(20000000)
#define SWEEP_MS      INT64_C(5000)

typedef struct {
    GSource source;
    HttpServer *server;
    gpointer tag;
} LoopSource;

static int wait_ms(HttpServer *server)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (server->run_again)
        return 0;
    if (MHD_get_timeout(server->daemon, &ms) != MHD_YES)
        return -1;
    return (int)MIN(ms, (MHD_UNSIGNED_LONG_LONG)G_MAXINT);
}

static gboolean loop_prepare(GSource *source, int *timeout_ms)
{
    *timeout_ms = wait_ms(((LoopSource *)source)->server);
    return *timeout_ms == 0;
}

static gboolean loop_check(GSource *source)
{
    LoopSource *loop = (LoopSource *)source;
    return g_source_query_unix_fd(source, loop->tag) != 0 || wait_ms(loop->server) == 0;
}

static gboolean loop_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    HttpServer *server = ((LoopSource *)source)->server;
    server->run_again = FALSE;
    MHD_run(server->daemon);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs loop_funcs = {.prepare = loop_prepare, .check = loop_check, .dispatch = loop_dispatch};

void http_run_soon(HttpServer *server)
{
    server->run_again = TRUE;
}

static char *address_text(const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6))
            inet_ntop(AF_INET, v6->s6_addr + 12, text, sizeof text);
        else
            inet_ntop(AF_INET6, v6, text, sizeof text);
    }
    return g_strdup(text);
}

static gboolean is_loopback(const char *peer)
{
    return g_str_has_prefix(peer, "127.") || strcmp(peer, "::1") == 0;
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *address, socklen_t length)
{
    HttpServer *server = cls;
    g_autofree char *peer = address_text(address);
    /* A reverse proxy is one peer for everybody. */
    if (is_loopback(peer) || (server->proxies && g_strv_contains((const char *const *)server->proxies, peer)))
        return MHD_YES;
    guint n = 0;
    g_autofree char *source = address_source(peer);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, server->connections);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += strcmp(((HttpConnection *)value)->source, source) == 0 ? 1 : 0;
    return n < CONNECTIONS_A_PEER ? MHD_YES : MHD_NO;
}

static void connection_free(gpointer data)
{
    HttpConnection *connection = data;
    g_free(connection->peer);
    g_free(connection->source);
    g_free(connection);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    HttpServer *server = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    int fd = (int)info->connect_fd;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        g_hash_table_remove(server->connections, GINT_TO_POINTER(fd));
        return;
    }
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    HttpConnection *known = g_new0(HttpConnection, 1);
    known->fd = fd;
    known->peer = address ? address_text(address->client_addr) : g_strdup("unknown");
    known->source = address_source(known->peer);
    known->idle_since_us = g_get_monotonic_time();
    g_hash_table_replace(server->connections, GINT_TO_POINTER(fd), known);
}

static gboolean is_late(const HttpServer *server, const HttpConnection *connection, int64_t now_us)
{
    if (connection->idle_since_us != 0)
        return now_us - connection->idle_since_us > HEAD_LIMIT_US;
    /* MHD's own time-out begins anew with every byte. */
    return connection->body_since_us != 0 && now_us - connection->body_since_us > server->body_limit_us;
}

static gboolean on_sweep(gpointer user_data)
{
    HttpServer *server = user_data;
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, server->connections);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const HttpConnection *connection = value;
        if (is_late(server, connection, now_us))
            shutdown(connection->fd, SHUT_RDWR); /* MHD reads the end and closes it */
    }
    return G_SOURCE_CONTINUE;
}

/* "127.0.0.1:8470" or "[::1]:8470"; the config has checked the form. */
static gboolean parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length)
{
    const char *colon = strrchr(text, ':');
    guint64 port;
    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, G_MAXUINT16, &port, NULL))
        return FALSE;
    memset(ret, 0, sizeof *ret);
    if (text[0] == '[') {
        g_autofree char *host = g_strndup(text + 1, (gsize)(colon - text) - 2);
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *ret_length = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    g_autofree char *host = g_strndup(text, (gsize)(colon - text));
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    *ret_length = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

/* Bound by ourselves, so that a refusal has its reason. */
static int open_listener(const char *address, GError **error)
{
    struct sockaddr_storage where;
    socklen_t length;
    if (!parse_address(address, &where, &length)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "\"%s\" is not an address to listen on; write ADDRESS:PORT such as 127.0.0.1:8470",
                    address);
        return -1;
    }
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (struct sockaddr *)&where, length) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int code = errno;
    const char *what =
        code == EADDRINUSE ? "; another program listens there: give [web] listen another port" : "";
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "listening on %s: %s%s", address,
                g_strerror(code), what);
    if (fd >= 0)
        close(fd);
    return -1;
}

static gboolean read_pem(const char *path, const char *what, char **ret, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (g_file_get_contents(path, ret, NULL, &failure))
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "the TLS %s: %s", what, failure->message);
    return FALSE;
}

/* Paths are matched by segment first, and decoded after that; decoded here already, they would be decoded twice. */
static size_t leave_escaped(void *cls, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(HttpServer *server, int fd, const char *certificate, const char *key)
{
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(guintptr)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(guintptr)key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (certificate ? MHD_USE_TLS : 0);
    return MHD_start_daemon(flags, 0, on_accept, server, http_on_access, server, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, server,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)QUIET_LIMIT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            CONNECTION_MEMORY_BYTES, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
                            MHD_OPTION_ARRAY, certificate ? tls : tls + 2, MHD_OPTION_END);
}

static guint port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } where = {.v6 = {0}};
    socklen_t length = sizeof where;
    if (getsockname(fd, &where.any, &length) < 0)
        return 0;
    return where.any.sa_family == AF_INET6 ? ntohs(where.v6.sin6_port) : ntohs(where.v4.sin_port);
}

static void attach(HttpServer *server)
{
    server->source = g_source_new(&loop_funcs, sizeof(LoopSource));
    LoopSource *loop = (LoopSource *)server->source;
    loop->server = server;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    loop->tag = g_source_add_unix_fd(server->source, info->epoll_fd, G_IO_IN);
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    g_source_attach(server->source, context);
    server->sweep_timer = g_timeout_add((guint)MIN(SWEEP_MS, server->body_limit_us / 2000), on_sweep, server);
}

HttpServer *http_server_new(const HttpOptions *options, HttpHandler handler, HttpGone gone,
                            gpointer user_data, GError **error)
{
    g_autofree char *certificate = NULL, *key = NULL;
    if (options->certificate_file &&
        (!read_pem(options->certificate_file, "certificate", &certificate, error) ||
         !read_pem(options->key_file, "key", &key, error)))
        return NULL;
    int fd = open_listener(options->address, error);
    if (fd < 0)
        return NULL;
    HttpServer *server = g_new0(HttpServer, 1);
    server->handler = handler;
    server->gone = gone;
    server->user_data = user_data;
    server->proxies = g_strdupv((char **)(guintptr)options->proxies);
    server->tls = certificate != NULL;
    server->body_limit_us = options->body_limit_us ? options->body_limit_us : HTTP_BODY_LIMIT_US;
    server->port = port_of(fd);
    server->connections = g_hash_table_new_full(NULL, NULL, NULL, connection_free);
    server->requests = g_hash_table_new(NULL, NULL);
    server->daemon = start_daemon(server, fd, certificate, key);
    if (!server->daemon) {
        close(fd);
        http_server_free(server);
        if (certificate)
            g_set_error(
                error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "%s and %s cannot be used for TLS: are they a certificate and its own key, in PEM form?",
                options->certificate_file, options->key_file);
        else
            g_set_error_literal(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                                "the HTTP server cannot be started");
        return NULL;
    }
    attach(server);
    return server;
}

/* MHD must not be stopped while a connection is suspended: what waits is answered, what streams is ended. */
static void end_requests(HttpServer *server)
{
    g_autoptr(GList) open = g_hash_table_get_keys(server->requests);
    for (GList *l = open; l; l = l->next) {
        HttpRequest *request = l->data;
        if (request->stream)
            http_stream_end(request->stream);
        else if (request->suspended)
            http_refuse_closing(request);
    }
    if (server->daemon)
        MHD_run(server->daemon);
}

void http_server_free(HttpServer *server)
{
    if (!server)
        return;
    server->closing = TRUE;
    g_clear_handle_id(&server->sweep_timer, g_source_remove);
    if (server->source) {
        g_source_destroy(server->source);
        g_source_unref(server->source);
    }
    end_requests(server);
    g_clear_pointer(&server->daemon, MHD_stop_daemon);
    g_hash_table_unref(server->requests);
    g_hash_table_unref(server->connections);
    g_strfreev(server->proxies);
    g_free(server);
}

guint http_server_port(const HttpServer *server)
{
    return server->port;
}
