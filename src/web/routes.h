/*
 * Routes: which control method an HTTP request is, and its parameters, checked. Pure: no sockets, any bytes are safe.
 * The daemon decides who may do what; this only translates.
 */
#pragma once
#include <glib.h>
#include <jansson.h>

typedef enum {
    ROUTE_CALL,    /* the daemon's answer is the answer */
    ROUTE_LOGIN,   /* a session becomes a cookie */
    ROUTE_LOGOUT,  /* ... and goes */
    ROUTE_EVENTS,  /* a stream */
    ROUTE_METRICS, /* OpenMetrics */
    ROUTE_HEALTH,
    ROUTE_OPENAPI,
} RouteKind;

typedef struct {
    const char *http_method;
    const char *path; /* "{name}" stands for one segment, which becomes the parameter of that name */
    const char *rpc;  /* control method; NULL for what this process answers itself */
    RouteKind kind;
    int status;        /* of success; 204 sends no body */
    const char *query; /* parameters of the query: "from:uint points:uint" */
    const char
        *body; /* members of the body: "image:string minimum_bytes:uint|null"; NULL: no body is taken */
} Route;

typedef struct {
    const Route *route;
    json_t *params; /* an object */
} RouteMatch;

/*
 * route_match:
 * @path:      as asked, without the query, percent-encoded
 * @ret:       (out): route_match_clear() it; untouched on failure
 * @ret_allow: (out) (transfer full) (nullable): with AEROSTAT_ERROR_CONFLICT, the methods that this path knows ("GET, PATCH")
 *
 * Errors: AEROSTAT_ERROR_NOT_FOUND: no such path; AEROSTAT_ERROR_CONFLICT: the path has other methods; both with a sentence.
 * HEAD is taken as GET.
 */
gboolean route_match(const char *http_method, const char *path, RouteMatch *ret, char **ret_allow,
                     GError **error);
void route_match_clear(RouteMatch *match);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RouteMatch, route_match_clear)

/* route_query: one decoded parameter of the query into match->params. AEROSTAT_ERROR_INVALID naming it when the route has no
 * such parameter or it is of another type. */
gboolean route_query(RouteMatch *match, const char *name, const char *value, GError **error);

/* route_body: the members of a JSON body into match->params. AEROSTAT_ERROR_INVALID for bytes that are no JSON object, an
 * unknown member, or one of another type. An empty body is an empty object. */
gboolean route_body(RouteMatch *match, const char *text, gsize length, GError **error);

/* route_table: all routes, ended by one without http_method; for the tests that hold the documents against it. */
const Route *route_table(void);
