/* aerostat-web over real sockets, before a daemon that is made up: what reaches it of a request, and the limits. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/address.h"
#include "base/error.h"
#include "control/server.h"
#include "web/events.h"
#include "web/http.h"
#include "web/link.h"
#include "web/web.h"

#define PATIENCE_US (INT64_C(20) * G_USEC_PER_SEC)

typedef struct {
    char *folder, *path;
    ControlServer *server;
    Config *config;
    Web *web;
    GArray *clients; /* int */
} House;

/* A made-up daemon: a token "ROLE-NAME" is that account's, and no session is any good. */
static json_t *answer(ControlRequest *request, gpointer user_data, GError **error)
{
    const char *token = json_string_value(json_object_get(request->auth, "token"));
    if (json_object_get(request->auth, "session")) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED, "this session has ended");
        return NULL;
    }
    if (strcmp(request->method, "whoami") == 0) {
        g_auto(GStrv) parts = g_strsplit(token ? token : "none-none", "-", 2);
        return json_pack("{s:s, s:s}", "role", parts[0], "user", parts[1]);
    }
    if (strcmp(request->method, "events") == 0)
        return json_pack("{s:b}", "subscribed", 1);
    if (strcmp(request->method, "login") == 0)
        return json_pack("{s:s, s:s, s:s}", "session", "new", "user", "alice", "role", "owner");
    return json_pack("{s:O, s:s}", "asked", request->params, "from", request->from ? request->from : "");
}

static void begin(House *house, gconstpointer data)
{
    GError *error = NULL;
    house->folder = g_dir_make_tmp("aerostat-web-XXXXXX", &error);
    g_assert_no_error(error);
    house->path = g_build_filename(house->folder, "socket", NULL);
    house->server = control_server_new(house->path, NULL, answer, house, &error);
    g_assert_no_error(error);
    house->config = config_load(NULL, &error);
    g_assert_no_error(error);
    g_free(house->config->control_socket);
    house->config->control_socket = g_strdup(house->path);
    g_free(house->config->web_listen);
    house->config->web_listen = g_strdup("127.0.0.1:0");
    g_strfreev(house->config->web_proxies);
    house->config->web_proxies = g_strsplit("127.0.0.1", ",", -1);
    house->web = web_new(house->config, &error);
    g_assert_no_error(error);
    house->clients = g_array_new(FALSE, FALSE, sizeof(int));
}

static void hang_up(House *house)
{
    for (guint i = 0; i < house->clients->len; i++)
        close(g_array_index(house->clients, int, i));
    g_array_set_size(house->clients, 0);
}

static void end(House *house, gconstpointer data)
{
    hang_up(house);
    g_array_unref(house->clients);
    web_free(house->web);
    config_free(house->config);
    control_server_free(house->server);
    g_assert_cmpint(g_rmdir(house->folder), ==, 0);
    g_free(house->folder);
    g_free(house->path);
}

static int dial(guint port)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&where, sizeof where), ==, 0);
    return fd;
}

static gboolean on_tick(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

/* What comes until the head is there, or (@whole) the connection ends; the loop turns meanwhile. */
static char *hear(int fd, gboolean whole)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int64_t deadline_us = g_get_monotonic_time() + PATIENCE_US;
    guint tick = g_timeout_add(10, on_tick, NULL);
    while (whole || !strstr(text->str, "\r\n\r\n")) {
        char buffer[4096];
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0)
            g_string_append_len(text, buffer, got);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        g_main_context_iteration(NULL, got < 0);
    }
    g_source_remove(tick);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void say(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
}

/* @headers: each with its end of line. The whole answer. */
static char *ask(House *house, const char *what, const char *headers, const char *body)
{
    int fd = dial(web_port(house->web));
    g_autofree char *request =
        g_strdup_printf("%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
                        what, strlen(body), headers, body);
    say(fd, request);
    char *text = hear(fd, TRUE);
    close(fd);
    return text;
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("\"%s\" does not say \"%s\"", text, part);
}

/* The link to the daemon stands once the loop has turned. */
static void connect_link(House *house)
{
    char *text = NULL;
    do {
        g_free(text);
        text = ask(house, "GET /healthz", "", "");
    } while (!strstr(text, " 200 "));
    g_free(text);
}

/* A new stream of this account; the head of its answer. It stays open. */
static char *watch(House *house, const char *role, const char *name)
{
    int fd = dial(web_port(house->web));
    g_array_append_val(house->clients, fd);
    g_autofree char *request = g_strdup_printf(
        "GET /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s-%s\r\n\r\n", role, name);
    say(fd, request);
    return hear(fd, FALSE);
}

static void assert_watches(House *house, const char *role, const char *name)
{
    g_autofree char *head = watch(house, role, name);
    assert_says(head, "HTTP/1.1 200 ");
}

#define TOKEN "Authorization: Bearer owner-alice\r\n"

static void test_client_address(House *house, gconstpointer data)
{
    connect_link(house);
    g_autofree char *one =
        ask(house, "GET /api/v1/servers/a", TOKEN "X-Forwarded-For: 203.0.113.5, 198.51.100.9\r\n", "");
    assert_says(one, "\"from\":\"198.51.100.9\"");
    /* The client's own line, then the proxy's. */
    g_autofree char *two = ask(house, "GET /api/v1/servers/b",
                               TOKEN "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 198.51.100.9\r\n", "");
    assert_says(two, "\"from\":\"198.51.100.9\"");
    g_autofree char *plain = ask(house, "GET /api/v1/servers/c",
                                 TOKEN "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "");
    g_assert_null(strstr(plain, "Strict-Transport-Security"));
}

static void test_escapes(House *house, gconstpointer data)
{
    connect_link(house);
    g_autofree char *twice = ask(house, "GET /api/v1/servers/a%2525b", TOKEN, "");
    assert_says(twice, "\"name\":\"a%25b\"");
    g_autofree char *slash = ask(house, "GET /api/v1/servers/a%2Fb", TOKEN, "");
    assert_says(slash, "\"name\":\"a/b\"");
    g_autofree char *query = ask(house, "GET /api/v1/audit?name=a%2525+%2Bb", TOKEN, "");
    assert_says(query, "\"name\":\"a%25 +b\"");
    g_autofree char *bad = ask(house, "GET /api/v1/audit?name=%zz", TOKEN, "");
    assert_says(bad, "HTTP/1.1 400 ");
}

static void test_stale_cookie(House *house, gconstpointer data)
{
    connect_link(house);
    g_autofree char *refused = ask(house, "GET /api/v1/session", "Cookie: aerostat_session=old\r\n", "");
    assert_says(refused, "HTTP/1.1 401 ");
    g_autofree char *in = ask(house, "POST /api/v1/session",
                              "Cookie: aerostat_session=old\r\nContent-Type: application/json\r\n",
                              "{\"user\":\"alice\",\"password\":\"correct horse\"}");
    assert_says(in, "HTTP/1.1 201 ");
    assert_says(in, "aerostat_session=new;");
}

static void test_streams_of_one(House *house, gconstpointer data)
{
    connect_link(house);
    for (guint i = 0; i < WEB_STREAMS_OF_OWNER; i++)
        assert_watches(house, "owner", "alice");
    g_autofree char *refused = ask(house, "GET /api/v1/events", TOKEN, "");
    assert_says(refused, "HTTP/1.1 429 ");
    assert_says(refused, "application/problem+json");
    assert_says(refused, "Retry-After: 10\r\n");
    assert_says(refused, "\"retry_after_s\":10");
    assert_says(refused, "this account has 20 event streams open already");
    assert_watches(house, "owner", "bob");
    for (guint i = 0; i < WEB_STREAMS_OF_OWNER + 1; i++)
        assert_watches(house, "operator", "root");
    /* Those whose clients have hung up do not count. */
    hang_up(house);
    assert_watches(house, "owner", "alice");
}

static void test_watchers(House *house, gconstpointer data)
{
    connect_link(house);
    for (guint i = 0; i < WEB_WATCHERS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("user%u", i);
        assert_watches(house, "owner", name);
    }
    g_autofree char *refused = ask(house, "GET /api/v1/events", TOKEN, "");
    assert_says(refused, "HTTP/1.1 503 ");
    assert_says(refused, "Retry-After: 10\r\n");
    assert_says(refused, "too many accounts watch");
    assert_watches(house, "owner", "user0");
    g_autofree char *other = ask(house, "GET /api/v1/servers/a", TOKEN, "");
    assert_says(other, "HTTP/1.1 200 ");
}

/* ---- parts of it by themselves */

static void on_handed(HttpRequest *request, gpointer user_data)
{
    http_answer(request, 204, NULL, NULL);
}

static void on_gone(HttpRequest *request, gpointer user_data)
{
}

static gboolean on_drip(gpointer fd)
{
    return send(GPOINTER_TO_INT(fd), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void test_dripping_body(void)
{
    g_autoptr(GError) error = NULL;
    HttpOptions options = {.address = "127.0.0.1:0", .body_limit_us = 500000};
    g_autoptr(HttpServer) server = http_server_new(&options, on_handed, on_gone, NULL, &error);
    g_assert_no_error(error);
    int fast = dial(http_server_port(server)), slow = dial(http_server_port(server));
    say(fast, "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab");
    g_autofree char *answered = hear(fast, TRUE);
    assert_says(answered, "HTTP/1.1 204 ");
    say(slow, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    guint drip = g_timeout_add(50, on_drip, GINT_TO_POINTER(slow));
    g_autofree char *nothing = hear(slow, TRUE);
    g_assert_cmpstr(nothing, ==, "");
    GSource *left = g_main_context_find_source_by_id(NULL, drip);
    if (left)
        g_source_destroy(left);
    close(fast);
    close(slow);
}

/* A daemon that is full takes a connection and closes it again: it is not tried ever faster because of that. */
static void test_refused_link(void)
{
    g_autofree char *folder = g_dir_make_tmp("aerostat-web-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(listener, 10), ==, 0);
    WebLinkEvents events = {0};
    g_autoptr(WebLink) link = web_link_new(path, &events);
    g_assert_nonnull(link);
    guint taken = 0, tick = g_timeout_add(10, on_tick, NULL);
    static const char REFUSAL[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"message\":\"full\"}}\n";
    for (int64_t end_us = g_get_monotonic_time() + 2500000; g_get_monotonic_time() < end_us;) {
        g_main_context_iteration(NULL, TRUE);
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        taken++;
        say(fd, REFUSAL);
        close(fd);
    }
    g_source_remove(tick);
    /* After 0, 0.2, 0.6 and 1.4 s. */
    g_assert_cmpuint(taken, >=, 2);
    g_assert_cmpuint(taken, <=, 5);
    close(listener);
    g_unlink(path);
    g_rmdir(folder);
}

static void test_address_source(void)
{
    static const struct {
        const char *address, *source;
    } rows[] = {
        {"192.0.2.7", "192.0.2.7"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:DB8:1:2::", "2001:db8:1:2::/64"},
        {"2001:db8:1:3::1", "2001:db8:1:3::/64"},
        {"::1", "::/64"},
        {"unknown", "unknown"},
        {"", ""},
        {"2001:db8::/64", "2001:db8::/64"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *source = address_source(rows[i].address);
        g_assert_cmpstr(source, ==, rows[i].source);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *path;
        void (*run)(House *house, gconstpointer data);
    } tests[] = {
        {"/web-server/client-address", test_client_address},
        {"/web-server/escapes", test_escapes},
        {"/web-server/stale-cookie", test_stale_cookie},
        {"/web-server/streams-of-one", test_streams_of_one},
        {"/web-server/watchers", test_watchers},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, House, NULL, begin, tests[i].run, end);
    g_test_add_func("/web-server/dripping-body", test_dripping_body);
    g_test_add_func("/web-server/refused-link", test_refused_link);
    g_test_add_func("/web-server/address-source", test_address_source);
    return g_test_run();
}
