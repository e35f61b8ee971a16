#include "web/web.h"
#include <string.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include "base/error.h"
#include "base/json.h"
#include "web/assets.h"
#include "web/cache.h"
#include "web/events.h"
#include "web/http.h"
#include "web/link.h"
#include "web/metrics.h"
#include "web/routes.h"

/* Longer than the daemon's own deadline for what it asks of a hypervisor. */
#define CALL_TIMEOUT_MS 15000
#define JSON_TYPE       "application/json"
/* How long a browser keeps the cookie; the daemon ends the session when it sees fit. */
#define COOKIE_SECONDS (7 * 86400)

struct Web {
    HttpServer *http;
    WebLink *link;
    WebEvents *events;
    WebCache *cache;
    WebAssets *assets;
};

/* One request of the API while it is open. */
typedef struct {
    Web *web;
    HttpRequest *request;
    RouteMatch match;
    char *session, *token;
    guint64 call;       /* 0 = none */
    json_t *host_facts; /* metrics: the first of two answers */
} Exchange;

static WebCredential credential_of(const Exchange *exchange)
{
    return (WebCredential){
        .session = exchange->session, .token = exchange->token, .from = http_client(exchange->request)};
}

static void exchange_free(Exchange *exchange)
{
    if (exchange->call)
        web_link_cancel(exchange->web->link, exchange->call);
    web_cache_forget(exchange->web->cache, exchange);
    route_match_clear(&exchange->match);
    json_decref(exchange->host_facts);
    g_free(exchange->session);
    g_free(exchange->token);
    g_free(exchange);
}

static void set_cookie(HttpRequest *request, const char *session, int seconds)
{
    g_autofree char *cookie =
        g_strdup_printf(WEB_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", session, seconds,
                        http_is_secure(request) ? "; Secure" : "");
    http_add_header(request, "Set-Cookie", cookie);
}

static void answer_failure(Exchange *exchange, const WebAnswer *answer)
{
    HttpRequest *request = exchange->request;
    json_t *retry = json_object_get(answer->details, "retry_after_s");
    if (json_is_integer(retry) || answer->http_status == 503) {
        g_autofree char *seconds =
            g_strdup_printf("%" JSON_INTEGER_FORMAT, json_is_integer(retry) ? json_integer_value(retry) : 1);
        http_add_header(request, "Retry-After", seconds);
    }
    if (answer->http_status == 401) {
        http_add_header(request, "WWW-Authenticate", "Bearer realm=\"aerostat\"");
        if (exchange->session)
            set_cookie(request, "", 0);
    }
    http_problem(request, answer->http_status, answer->kind, answer->message, answer->details);
}

static void refuse(HttpRequest *request, int status, const char *kind, const char *detail)
{
    http_problem(request, status, kind, detail, NULL);
}

static json_t *json_of(GBytes *bytes)
{
    gsize size;
    const char *text = g_bytes_get_data(bytes, &size);
    return json_loadb(text, size, 0, NULL);
}

/* The session goes into the cookie alone: no script of the page ever sees it. */
static void answer_login(Exchange *exchange, GBytes *result)
{
    g_autoptr(json_t) who = json_of(result);
    const char *session = json_string_value(json_object_get(who, "session"));
    if (!session) {
        refuse(exchange->request, 500, "failed", "the daemon gave no session");
        return;
    }
    set_cookie(exchange->request, session, COOKIE_SECONDS);
    json_object_del(who, "session");
    char *line = json_line(who);
    g_autoptr(GBytes) body = g_bytes_new_take(line, strlen(line));
    http_answer(exchange->request, exchange->match.route->status, JSON_TYPE, body);
}

static void answer_logout(Exchange *exchange)
{
    if (exchange->session)
        web_events_end_session(exchange->web->events, exchange->session);
    set_cookie(exchange->request, "", 0);
    http_answer(exchange->request, exchange->match.route->status, NULL, NULL);
}

static void on_answer(const WebAnswer *answer, gpointer user_data)
{
    Exchange *exchange = user_data;
    const Route *route = exchange->match.route;
    exchange->call = 0;
    /* A change was made, or tried: what was read before it is old. */
    web_cache_clear(exchange->web->cache);
    if (!answer->result)
        answer_failure(exchange, answer);
    else if (route->kind == ROUTE_LOGIN)
        answer_login(exchange, answer->result);
    else if (route->kind == ROUTE_LOGOUT)
        answer_logout(exchange);
    else
        http_answer(exchange->request, route->status, route->status == 204 ? NULL : JSON_TYPE,
                    route->status == 204 ? NULL : answer->result);
}

static void on_read(WebBody *body, const WebAnswer *answer, gpointer user_data)
{
    Exchange *exchange = user_data;
    if (body)
        http_answer_body(exchange->request, exchange->match.route->status, JSON_TYPE, body);
    else
        answer_failure(exchange, answer);
}

static void on_metrics_list(const WebAnswer *answer, gpointer user_data)
{
    Exchange *exchange = user_data;
    exchange->call = 0;
    if (!answer->result) {
        answer_failure(exchange, answer);
        return;
    }
    g_autoptr(json_t) list = json_of(answer->result);
    g_autoptr(GBytes) text = web_metrics(exchange->host_facts, list);
    http_answer(exchange->request, 200, METRICS_TYPE, text);
}

static void on_metrics_host(const WebAnswer *answer, gpointer user_data)
{
    Exchange *exchange = user_data;
    exchange->call = 0;
    if (!answer->result) {
        answer_failure(exchange, answer);
        return;
    }
    exchange->host_facts = json_of(answer->result);
    WebCredential credential = credential_of(exchange);
    exchange->call = web_link_call(exchange->web->link, "list", NULL, &credential, CALL_TIMEOUT_MS,
                                   on_metrics_list, exchange);
}

static void answer_health(Web *web, HttpRequest *request)
{
    if (web_link_connected(web->link)) {
        g_autoptr(GBytes) body = g_bytes_new_static("{\"status\":\"ok\"}\n", 16);
        http_answer(request, 200, JSON_TYPE, body);
        return;
    }
    http_add_header(request, "Retry-After", "1");
    refuse(request, 503, "unavailable", "the daemon cannot be reached now; it is tried again by itself");
}

static void answer_openapi(HttpRequest *request)
{
    g_autoptr(GBytes) body =
        g_resources_lookup_data("/org/aerostat/web/openapi.json", G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    http_answer(request, 200, JSON_TYPE, body);
}

static void ask_daemon(Exchange *exchange)
{
    Web *web = exchange->web;
    const Route *route = exchange->match.route;
    WebCredential credential = credential_of(exchange);
    json_t *params = json_incref(exchange->match.params);
    if (route->kind == ROUTE_CALL && strcmp(route->http_method, "GET") == 0) {
        web_cache_ask(web->cache, route->rpc, params, &credential, CALL_TIMEOUT_MS, on_read, exchange);
        return;
    }
    if (route->kind != ROUTE_METRICS)
        web_cache_clear(web->cache);
    exchange->call = web_link_call(web->link, route->rpc, params, &credential, CALL_TIMEOUT_MS,
                                   route->kind == ROUTE_METRICS ? on_metrics_host : on_answer, exchange);
}

typedef struct {
    RouteMatch *match;
    GError *error;
} QueryTaken;

static gboolean take_query(const char *name, const char *value, gpointer user_data)
{
    QueryTaken *taken = user_data;
    return route_query(taken->match, name, value, &taken->error);
}

static gboolean is_json(const char *type)
{
    return type && g_ascii_strncasecmp(type, JSON_TYPE, strlen(JSON_TYPE)) == 0 &&
           (type[strlen(JSON_TYPE)] == '\0' || strchr("; \t", type[strlen(JSON_TYPE)]));
}

/* Query and body into parameters; FALSE when the request has been answered with what is wrong. */
static gboolean take_input(Exchange *exchange)
{
    HttpRequest *request = exchange->request;
    QueryTaken taken = {&exchange->match, NULL};
    http_query(request, take_query, &taken);
    g_autoptr(GError) error = taken.error;
    gsize size;
    const char *text = g_bytes_get_data(http_body(request), &size);
    if (!error && size > 0 && exchange->match.route->body && !is_json(http_header(request, "Content-Type"))) {
        refuse(request, 415, "unsupported-media-type",
               "the body must be JSON, with Content-Type: application/json");
        return FALSE;
    }
    if (error || !route_body(&exchange->match, text, size, &error)) {
        refuse(request, 400, "invalid", error->message);
        return FALSE;
    }
    return TRUE;
}

/* Who asks, and whether it is meant; FALSE when the request has been answered. */
static gboolean take_credential(Exchange *exchange)
{
    HttpRequest *request = exchange->request;
    const WebHeaders *headers = http_headers(request);
    const Route *route = exchange->match.route;
    exchange->token = web_bearer_token(headers->authorization);
    exchange->session = exchange->token ? NULL : web_cookie_session(headers->cookie);
    gboolean by_browser = exchange->token == NULL && strcmp(route->http_method, "GET") != 0;
    const char *problem =
        by_browser ? web_cross_site(headers, is_json(http_header(request, "Content-Type"))) : NULL;
    if (problem) {
        refuse(request, 403, "cross-site", problem);
        return FALSE;
    }
    if (route->kind == ROUTE_LOGIN) {
        /* Whoever logs in is nobody yet; what a browser still has of an ended session must not stand in the way. */
        g_clear_pointer(&exchange->session, g_free);
        g_clear_pointer(&exchange->token, g_free);
        return TRUE;
    }
    if (exchange->session || exchange->token)
        return TRUE;
    http_add_header(request, "WWW-Authenticate", "Bearer realm=\"aerostat\"");
    refuse(request, 401, "unauthenticated",
           "log in first (POST /api/v1/session), or send a token: "
           "Authorization: Bearer TOKEN");
    return FALSE;
}

static void answer_no_route(HttpRequest *request, const char *allow, const GError *error)
{
    if (allow)
        http_add_header(request, "Allow", allow);
    if (g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID))
        refuse(request, 400, "invalid", error->message);
    else
        refuse(request, allow ? 405 : 404, allow ? "method-not-allowed" : "not-found", error->message);
}

static void on_api(Web *web, HttpRequest *request)
{
    g_auto(RouteMatch) match = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *allow = NULL;
    if (!route_match(http_method(request), http_path(request), &match, &allow, &error)) {
        answer_no_route(request, allow, error);
        return;
    }
    if (match.route->kind == ROUTE_HEALTH) {
        answer_health(web, request);
        return;
    }
    if (match.route->kind == ROUTE_OPENAPI) {
        answer_openapi(request);
        return;
    }
    Exchange *exchange = g_new0(Exchange, 1);
    exchange->web = web;
    exchange->request = request;
    exchange->match = match;
    match = (RouteMatch){0};
    http_set_data(request, exchange);
    if (!take_credential(exchange) || !take_input(exchange))
        return;
    WebCredential credential = credential_of(exchange);
    if (exchange->match.route->kind == ROUTE_EVENTS)
        web_events_open(web->events, request, &credential);
    else
        ask_daemon(exchange);
}

static void on_request(HttpRequest *request, gpointer user_data)
{
    Web *web = user_data;
    const char *path = http_path(request);
    if (g_str_has_prefix(path, "/api/") || strcmp(path, "/metrics") == 0 || strcmp(path, "/healthz") == 0)
        on_api(web, request);
    else
        web_assets_answer(web->assets, request);
}

static void on_gone(HttpRequest *request, gpointer user_data)
{
    Web *web = user_data;
    web_events_gone(web->events, request);
    Exchange *exchange = http_data(request);
    if (exchange)
        exchange_free(exchange);
}

/* What a daemon that has gone said last is not passed on any more. */
static void on_link_changed(gboolean connected, gpointer user_data)
{
    Web *web = user_data;
    if (!connected && web->cache)
        web_cache_clear(web->cache);
}

Web *web_new(const Config *config, GError **error)
{
    Web *web = g_new0(Web, 1);
    WebLinkEvents events = {.changed = on_link_changed, .user_data = web};
    web->link = web_link_new(config->control_socket, &events);
    web->events = web_events_new(web->link, config->control_socket);
    web->cache = web_cache_new(web->link);
    web->assets = web_assets_new();
    HttpOptions options = {
        .address = config->web_listen,
        .certificate_file = config->web_certificate,
        .key_file = config->web_key,
        .proxies = (const char *const *)config->web_proxies,
    };
    web->http = http_server_new(&options, on_request, on_gone, web, error);
    if (web->http)
        return web;
    web_free(web);
    return NULL;
}

void web_free(Web *web)
{
    if (!web)
        return;
    http_server_free(web->http);
    web_events_free(web->events);
    web_cache_free(web->cache);
    web_link_free(web->link);
    web_assets_free(web->assets);
    g_free(web);
}

guint web_port(const Web *web)
{
    return http_server_port(web->http);
}

static gboolean on_stop(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

void web_run(Web *web)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    guint term = g_unix_signal_add(SIGTERM, on_stop, loop),
          interrupt = g_unix_signal_add(SIGINT, on_stop, loop);
    g_main_loop_run(loop);
    g_source_remove(term);
    g_source_remove(interrupt);
}
