/* aerostat-web's pure parts: who asks, what a request is, the text of metrics and events, the daemon's lines. */
#include <string.h>
#include <glib.h>
#include "base/error.h"
#include "base/json.h"
#include "web/credential.h"
#include "web/events.h"
#include "web/link.h"
#include "web/metrics.h"
#include "web/problem.h"
#include "web/routes.h"

static void test_cookie(void)
{
    static const struct {
        const char *header, *session;
    } rows[] = {
        {NULL, NULL},
        {"", NULL},
        {"aerostat_session=abc", "abc"},
        {"a=b; aerostat_session=A-b_9; c=d", "A-b_9"},
        {"a=b;aerostat_session=x", "x"},
        {"xaerostat_session=abc", NULL},
        {"aerostat_session=", NULL},
        {"aerostat_session=a b", NULL},
        {"aerostat_session=\"abc\"", NULL},
        {"aerostat_session=a%00b", NULL},
        {"aerostat_session=<script>; aerostat_session=good", "good"},
        {";;;=;", NULL},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *session = web_cookie_session(rows[i].header);
        g_assert_cmpstr(session, ==, rows[i].session);
    }
    g_autofree char *long_value = g_strnfill(100000, 'a');
    g_autofree char *header = g_strconcat("aerostat_session=", long_value, NULL);
    g_assert_null(web_cookie_session(header));
}

static void test_bearer(void)
{
    static const struct {
        const char *header, *token;
    } rows[] = {
        {NULL, NULL},          {"Bearer abc", "abc"}, {"bearer  abc ", "abc"}, {"Bearer", NULL},
        {"Bearer ", NULL},     {"Basic YTpi", NULL},  {"Bearer a b", NULL},    {"Bearer a\tb", NULL},
        {"Bearer a\"b", NULL}, {"Bearer \xff", NULL},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *token = web_bearer_token(rows[i].header);
        g_assert_cmpstr(token, ==, rows[i].token);
    }
}

static void test_cross_site(void)
{
    static const struct {
        WebHeaders headers;
        gboolean has_body_type, refused;
    } rows[] = {
        {{.fetch_site = "same-origin"}, FALSE, FALSE},
        {{.fetch_site = "none"}, FALSE, FALSE},
        {{.fetch_site = "cross-site"}, TRUE, TRUE},
        {{.fetch_site = "same-site"}, TRUE, TRUE},
        {{.fetch_site = "cross-site", .requested_with = "x"}, TRUE, TRUE},
        {{.origin = "http://a:1", .host = "a:1"}, FALSE, FALSE},
        {{.origin = "http://A:1", .host = "a:1"}, FALSE, FALSE},
        {{.origin = "http://b:1", .host = "a:1"}, TRUE, TRUE},
        {{.origin = "null", .host = "a:1"}, TRUE, TRUE},
        {{.origin = "http://a:1", .host = NULL}, TRUE, TRUE},
        {{.origin = "http://a:1.evil", .host = "a:1"}, TRUE, TRUE},
        {{.fetch_site = "same-origin", .origin = "http://b", .host = "a"}, TRUE, TRUE},
        {{0}, FALSE, TRUE},
        {{0}, TRUE, FALSE},
        {{.requested_with = "curl"}, FALSE, FALSE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *why = web_cross_site(&rows[i].headers, rows[i].has_body_type);
        if ((why != NULL) != rows[i].refused)
            g_error("row %zu: %s", i, why ? why : "let through");
    }
}

static void test_client(void)
{
    static const char *const proxies[] = {"127.0.0.1", NULL};
    static const struct {
        const char *peer, *forwarded, *client;
    } rows[] = {
        {"192.0.2.1", NULL, "192.0.2.1"},
        {"192.0.2.1", "198.51.100.9", "192.0.2.1"}, /* not a proxy of ours: its word is nothing */
        {"127.0.0.1", "198.51.100.9", "198.51.100.9"},
        {"127.0.0.1", "6.6.6.6, 198.51.100.9", "198.51.100.9"}, /* only what our proxy itself has added */
        {"127.0.0.1", "2001:db8::1", "2001:db8::1"},
        {"127.0.0.1", "<script>", "127.0.0.1"},
        {"127.0.0.1", "", "127.0.0.1"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        WebHeaders headers = {.forwarded_for = rows[i].forwarded};
        g_autofree char *client = web_client_address(rows[i].peer, proxies, &headers);
        g_assert_cmpstr(client, ==, rows[i].client);
    }
    WebHeaders https = {.forwarded_proto = "https"};
    g_assert_true(web_is_secure(FALSE, "127.0.0.1", proxies, &https));
    g_assert_false(web_is_secure(FALSE, "192.0.2.1", proxies, &https));
    g_assert_false(web_is_secure(FALSE, "127.0.0.1", NULL, &https));
    g_assert_true(web_is_secure(TRUE, "192.0.2.1", NULL, &https));
}

/* The params that a request comes to, or the error's words. */
static char *taken(const char *method, const char *path, const char *query, const char *value,
                   const char *body)
{
    g_auto(RouteMatch) match = {0};
    g_autofree char *allow = NULL;
    g_autoptr(GError) error = NULL;
    if (!route_match(method, path, &match, &allow, &error))
        return g_strdup_printf("%d %s %s", error->code, allow ? allow : "-", error->message);
    if (query && !route_query(&match, query, value, &error))
        return g_strdup(error->message);
    if (body && !route_body(&match, body, strlen(body), &error))
        return g_strdup(error->message);
    g_autofree char *params = json_dumps(match.params, JSON_COMPACT | JSON_SORT_KEYS);
    return g_strconcat(match.route->rpc ? match.route->rpc : "-", " ", params, NULL);
}

static void test_routes(void)
{
    static const struct {
        const char *method, *path, *query, *value, *body, *outcome;
    } rows[] = {
        {"GET", "/api/v1/host", NULL, NULL, NULL, "status {}"},
        {"HEAD", "/api/v1/host", NULL, NULL, NULL, "status {}"},
        {"GET", "/api/v1/servers/web-1", NULL, NULL, NULL, "show {\"name\":\"web-1\"}"},
        {"GET", "/api/v1/servers/a%2Fb%20c", NULL, NULL, NULL, "show {\"name\":\"a/b c\"}"},
        {"GET", "/api/v1/servers/..", NULL, NULL, NULL, "show {\"name\":\"..\"}"},
        {"POST", "/api/v1/servers/web-1/actions/restart", NULL, NULL, NULL,
         "power {\"action\":\"restart\",\"name\":\"web-1\"}"},
        {"PATCH", "/api/v1/servers/a/settings", NULL, NULL,
         "{\"ballooning_enabled\":false,\"minimum_bytes\":null}",
         "set {\"ballooning_enabled\":false,\"minimum_bytes\":null,\"name\":\"a\"}"},
        {"GET", "/api/v1/servers/a/history", "points", "30", NULL, "history {\"name\":\"a\",\"points\":30}"},
        {"DELETE", "/api/v1/tokens/7", NULL, NULL, NULL, "token_revoke {\"id\":7}"},
        {"PUT", "/api/v1/users/a/password", NULL, NULL, "{\"password\":\"x\",\"revoke_tokens\":true}",
         "user_password {\"name\":\"a\",\"password\":\"x\",\"revoke_tokens\":true}"},
        {"GET", "/api/v1/events", NULL, NULL, NULL, "- {}"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *outcome =
            taken(rows[i].method, rows[i].path, rows[i].query, rows[i].value, rows[i].body);
        g_assert_cmpstr(outcome, ==, rows[i].outcome);
    }
}

static void assert_says(char *outcome, const char *part)
{
    if (!strstr(outcome, part))
        g_error("\"%s\" does not say \"%s\"", outcome, part);
    g_free(outcome);
}

static void test_bad_requests(void)
{
    assert_says(taken("GET", "/api/v1/nothing", NULL, NULL, NULL), "there is nothing at /api/v1/nothing");
    assert_says(taken("GET", "/api/v1/servers/", NULL, NULL, NULL), "there is nothing at");
    assert_says(taken("GET", "/api/v1/servers/a/b/c/d/e/f/g/h/i/j/k/l/m/n", NULL, NULL, NULL),
                "there is nothing at");
    assert_says(taken("PUT", "/api/v1/servers", NULL, NULL, NULL), "GET, POST");
    assert_says(taken("BREW", "/api/v1/host", NULL, NULL, NULL), "does not know the method BREW");
    assert_says(taken("GET", "/api/v1/servers/%ff", NULL, NULL, NULL), "not percent-encoded UTF-8");
    assert_says(taken("GET", "/api/v1/servers/%00", NULL, NULL, NULL), "not percent-encoded UTF-8");
    assert_says(taken("GET", "/api/v1/servers/%zz", NULL, NULL, NULL), "not percent-encoded UTF-8");
    assert_says(taken("DELETE", "/api/v1/tokens/-1", NULL, NULL, NULL), "\"-1\" is not a whole number");
    assert_says(taken("GET", "/api/v1/host", "x", "1", NULL), "\"x\" is not known here");
    assert_says(taken("GET", "/api/v1/servers/a/history", "from", "1e9", NULL), "must be a whole number");
    assert_says(taken("GET", "/api/v1/servers/a/history", "from", "-1", NULL), "must be a whole number");
    assert_says(taken("GET", "/api/v1/servers/a/history", "from", "9223372036854775808", NULL),
                "whole number");
    assert_says(taken("GET", "/api/v1/audit", "name", "\xff", NULL), "UTF-8");
    const char *settings = "/api/v1/servers/a/settings";
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"weight\":\"5\"}"),
                "\"weight\" must be a whole number");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"weight\":-5}"), "\"weight\" must be a whole number");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"weight\":1.5}"),
                "\"weight\" must be a whole number");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"ballooning_enabled\":1}"), "must be true or false");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"ballooning_enabled\":null}"),
                "must be true or false");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"name\":\"b\"}"), "\"name\" is not known here");
    assert_says(taken("PATCH", settings, NULL, NULL, "{\"weight\":1,\"weight\":2}"), "the body: ");
    assert_says(taken("PATCH", settings, NULL, NULL, "[1]"), "the body: ");
    assert_says(taken("PATCH", settings, NULL, NULL, "{"), "the body: ");
    assert_says(taken("GET", "/api/v1/host", NULL, NULL, "{}"), "takes no body");
}

static void test_metrics(void)
{
    g_autoptr(json_t) host =
        json_pack("{s:I, s:n, s:f, s:I}", "pool_bytes", (json_int_t)1 << 40, "slack_bytes",
                  "pressure_some_avg10", 12.5, "relief_p50_us", (json_int_t)38000);
    g_autoptr(json_t) list = json_pack("{s:[{s:s, s:I, s:n}]}", "servers", "name", "a\"b\\c\nd", "used_bytes",
                                       (json_int_t)123456789012345, "resident_bytes");
    json_object_set_new(json_array_get(json_object_get(list, "servers"), 0), "kind", json_string("lxc"));
    g_autoptr(GBytes) bytes = web_metrics(host, list);
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_nonnull(strstr(text, "\naerostat_pool_bytes 1099511627776\n"));
    g_assert_nonnull(strstr(text, "\naerostat_host_pressure_some_ratio 0.125\n"));
    g_assert_nonnull(strstr(text, "\naerostat_relief_p50_seconds 0.038\n"));
    g_assert_nonnull(strstr(
        text, "\naerostat_server_used_bytes{server=\"a\\\"b\\\\c\\nd\",kind=\"lxc\"} 123456789012345\n"));
    g_assert_null(strstr(text, "\naerostat_slack_bytes "));
    g_assert_null(strstr(text, "aerostat_server_resident_bytes{"));
    g_assert_true(g_str_has_suffix(text, "\n# EOF\n"));
}

static void test_line(void)
{
    static const struct {
        const char *line, *result;
        guint64 id;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":1}}", "{\"a\":1}", 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":123456789012,\"result\":null}", "null", 123456789012},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{}}", NULL, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":1}", NULL, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":,\"result\":1}", NULL, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":", NULL, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":99999999999999999999999,\"result\":1}", NULL, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":7", NULL, 0},
        {"", NULL, 0},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        guint64 id = 0;
        gsize length = 0, offset = web_line_result(rows[i].line, strlen(rows[i].line), &id, &length);
        g_autofree char *result = offset ? g_strndup(rows[i].line + offset, length) : NULL;
        g_assert_cmpstr(result, ==, rows[i].result);
        if (offset)
            g_assert_cmpuint(id, ==, rows[i].id);
    }
}

static void test_texts(void)
{
    g_autoptr(GBytes) event = web_event_text("server", "{\"a\":1}");
    g_autofree char *text = g_strndup(g_bytes_get_data(event, NULL), g_bytes_get_size(event));
    g_assert_cmpstr(text, ==, "event: server\ndata: {\"a\":1}\n\n");
    g_autoptr(json_t) more = json_pack("{s:I, s:s}", "missing_bytes", (json_int_t)5, "status", "no");
    g_autoptr(GBytes) bytes = web_problem(507, "no-room", "bad \xff byte", "/x", more);
    g_autoptr(json_t) problem = json_loadb(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0, NULL);
    g_assert_cmpint(json_integer_value(json_object_get(problem, "status")), ==, 507);
    g_assert_cmpint(json_integer_value(json_object_get(problem, "missing_bytes")), ==, 5);
    g_assert_cmpstr(json_string_value(json_object_get(problem, "type")), ==, "urn:aerostat:problem:no-room");
    g_assert_cmpstr(json_string_value(json_object_get(problem, "title")), ==, "Insufficient Storage");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/web/cookie", test_cookie);
    g_test_add_func("/web/bearer", test_bearer);
    g_test_add_func("/web/cross-site", test_cross_site);
    g_test_add_func("/web/client", test_client);
    g_test_add_func("/web/routes", test_routes);
    g_test_add_func("/web/bad-requests", test_bad_requests);
    g_test_add_func("/web/metrics", test_metrics);
    g_test_add_func("/web/line", test_line);
    g_test_add_func("/web/texts", test_texts);
    return g_test_run();
}
