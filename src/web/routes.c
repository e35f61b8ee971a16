#include "web/routes.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"

#define API          "/api/v1"
#define QUOTED_CHARS 60
/* The longest path of ours has five segments below /api/v1. */
#define SEGMENTS_MAX 12

static const Route ROUTES[] = {
    {"GET", API "/host", "status", ROUTE_CALL, 200, "", NULL},
    {"GET", API "/host/history", "history", ROUTE_CALL, 200, "from:uint to:uint points:uint servers:boolean",
     NULL},
    {"GET", API "/mode", "mode", ROUTE_CALL, 200, "", NULL},
    {"PUT", API "/mode", "mode", ROUTE_CALL, 200, "", "mode:string"},
    {"GET", API "/servers", "list", ROUTE_CALL, 200, "", NULL},
    {"POST", API "/servers", "create", ROUTE_CALL, 202, "",
     "name:string image:string memory_bytes:uint user:string|null"},
    {"GET", API "/servers/{name}", "show", ROUTE_CALL, 200, "", NULL},
    {"GET", API "/servers/{name}/history", "history", ROUTE_CALL, 200, "from:uint to:uint points:uint", NULL},
    {"GET", API "/servers/{name}/decisions", "journal", ROUTE_CALL, 200, "limit:uint", NULL},
    {"GET", API "/servers/{name}/explanation", "explain", ROUTE_CALL, 200, "", NULL},
    {"GET", API "/servers/{name}/preview", "preview", ROUTE_CALL, 200, "minimum_bytes:uint weight:uint",
     NULL},
    {"PATCH", API "/servers/{name}/settings", "set", ROUTE_CALL, 200, "",
     "ballooning_enabled:boolean minimum_bytes:uint|null weight:uint|null revision:uint"},
    {"PUT", API "/servers/{name}/owner", "own", ROUTE_CALL, 200, "", "user:string|null"},
    {"POST", API "/servers/{name}/actions/{action}", "power", ROUTE_CALL, 202, "", ""},
    {"POST", API "/servers/{name}/reinstall", "reinstall", ROUTE_CALL, 202, "",
     "image:string confirm:string"},
    {"POST", API "/servers/{name}/purge", "purge", ROUTE_CALL, 200, "", "confirm:string"},
    {"GET", API "/decisions", "journal", ROUTE_CALL, 200, "limit:uint", NULL},
    {"GET", API "/operations", "operations", ROUTE_CALL, 200, "name:string", NULL},
    {"GET", API "/operations/{id}", "operation", ROUTE_CALL, 200, "", NULL},
    {"GET", API "/images", "images", ROUTE_CALL, 200, "", NULL},
    {"GET", API "/doctor", "doctor", ROUTE_CALL, 200, "name:string", NULL},
    {"GET", API "/audit", "audit", ROUTE_CALL, 200, "limit:uint before:uint name:string", NULL},
    {"GET", API "/reservations", "reservations", ROUTE_CALL, 200, "", NULL},
    {"POST", API "/reservations", "reserve", ROUTE_CALL, 201, "",
     "bytes:uint for:string lifetime_seconds:uint"},
    {"DELETE", API "/reservations/{id}", "release", ROUTE_CALL, 204, "", ""},
    {"GET", API "/session", "whoami", ROUTE_CALL, 200, "", NULL},
    {"POST", API "/session", "login", ROUTE_LOGIN, 201, "", "user:string password:string"},
    {"DELETE", API "/session", "logout", ROUTE_LOGOUT, 204, "", ""},
    {"GET", API "/users", "user_list", ROUTE_CALL, 200, "", NULL},
    {"POST", API "/users", "user_add", ROUTE_CALL, 201, "", "name:string role:string password:string"},
    {"DELETE", API "/users/{name}", "user_remove", ROUTE_CALL, 204, "", ""},
    {"PUT", API "/users/{name}/password", "user_password", ROUTE_CALL, 200, "",
     "password:string current:string revoke_tokens:boolean"},
    {"GET", API "/tokens", "token_list", ROUTE_CALL, 200, "user:string", NULL},
    {"POST", API "/tokens", "token_add", ROUTE_CALL, 201, "",
     "label:string user:string expires_in_seconds:uint"},
    {"DELETE", API "/tokens/{id}", "token_revoke", ROUTE_CALL, 204, "", ""},
    {"GET", API "/events", NULL, ROUTE_EVENTS, 200, "", NULL},
    {"GET", API "/metrics", "status", ROUTE_METRICS, 200, "", NULL},
    {"GET", "/metrics", "status", ROUTE_METRICS, 200, "", NULL},
    {"GET", API "/healthz", NULL, ROUTE_HEALTH, 200, "", NULL},
    {"GET", "/healthz", NULL, ROUTE_HEALTH, 200, "", NULL},
    {"GET", API "/openapi.json", NULL, ROUTE_OPENAPI, 200, "", NULL},
    {0},
};

const Route *route_table(void)
{
    return ROUTES;
}

static gboolean refuse(GError **error, const char *what, const char *name, const char *right)
{
    g_autofree char *quoted = error_printable(name, -1, QUOTED_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s \"%s\" %s", what, quoted, right);
    return FALSE;
}

/* One decoded segment as a parameter: whatever a name may hold, it is one segment and valid text. */
static gboolean take_segment(json_t *params, const char *variable, const char *segment, GError **error)
{
    g_autofree char *decoded = g_uri_unescape_string(segment, NULL);
    if (!decoded || !g_utf8_validate(decoded, -1, NULL))
        return refuse(error, "the path's part", segment, "is not percent-encoded UTF-8");
    g_autofree char *name = g_strndup(variable + 1, strlen(variable) - 2);
    guint64 id;
    if (strcmp(name, "id") != 0)
        json_object_set_new(params, name, json_string(decoded));
    else if (g_ascii_string_to_unsigned(decoded, 10, 0, G_MAXINT64, &id, NULL))
        json_object_set_new(params, name, json_integer((json_int_t)id));
    else
        return refuse(error, "the id", decoded, "is not a whole number");
    return TRUE;
}

static gboolean is_variable(const char *segment)
{
    return segment[0] == '{';
}

/* Whether the segments are those of @pattern; literal ones to the letter. */
static gboolean fits(char **segments, char **pattern)
{
    guint i = 0;
    for (; segments[i] && pattern[i]; i++)
        if (is_variable(pattern[i]) ? segments[i][0] == '\0' : strcmp(segments[i], pattern[i]) != 0)
            return FALSE;
    return !segments[i] && !pattern[i];
}

static gboolean take_segments(char **segments, char **pattern, json_t *params, GError **error)
{
    for (guint i = 0; pattern[i]; i++)
        if (is_variable(pattern[i]) && !take_segment(params, pattern[i], segments[i], error))
            return FALSE;
    return TRUE;
}

static gboolean take_match(const Route *route, char **segments, char **pattern, RouteMatch *ret,
                           GError **error)
{
    g_autoptr(json_t) params = json_object();
    if (!take_segments(segments, pattern, params, error))
        return FALSE;
    ret->route = route;
    ret->params = g_steal_pointer(&params);
    return TRUE;
}

gboolean route_match(const char *http_method, const char *path, RouteMatch *ret, char **ret_allow,
                     GError **error)
{
    g_autoptr(GString) allow = g_string_new(NULL);
    g_auto(GStrv) segments = g_strsplit(path, "/", SEGMENTS_MAX);
    const char *wanted = strcmp(http_method, "HEAD") == 0 ? "GET" : http_method;
    for (const Route *route = ROUTES; route->http_method; route++) {
        g_auto(GStrv) pattern = g_strsplit(route->path, "/", SEGMENTS_MAX);
        if (!fits(segments, pattern))
            continue;
        if (strcmp(route->http_method, wanted) == 0)
            return take_match(route, segments, pattern, ret, error);
        g_string_append_printf(allow, "%s%s", allow->len > 0 ? ", " : "", route->http_method);
    }
    g_autofree char *quoted = error_printable(path, -1, QUOTED_CHARS);
    if (allow->len == 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                    "there is nothing at %s; " API "/openapi.json lists what there is", quoted);
        return FALSE;
    }
    g_autofree char *method = error_printable(http_method, -1, QUOTED_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "%s does not know the method %s; it knows %s",
                quoted, method, allow->str);
    *ret_allow = g_string_free(g_steal_pointer(&allow), FALSE);
    return FALSE;
}

void route_match_clear(RouteMatch *match)
{
    g_clear_pointer(&match->params, json_decref);
    match->route = NULL;
}

/* The type of @name in "a:uint b:string|null"; NULL with a sentence when it is not there. (transfer full) */
static char *type_in(const char *spec, const char *name, const char *what, GError **error)
{
    g_auto(GStrv) words = g_strsplit(spec, " ", -1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; words[i] && words[i][0]; i++) {
        const char *colon = strchr(words[i], ':');
        g_ptr_array_add(names, g_strndup(words[i], (gsize)(colon - words[i])));
        if (strcmp(g_ptr_array_index(names, names->len - 1), name) == 0)
            return g_strdup(colon + 1);
    }
    if (names->len == 0) {
        refuse(error, what, name, "is not known here: nothing is");
        return NULL;
    }
    g_ptr_array_add(names, NULL);
    g_autofree char *known = g_strjoinv(", ", (char **)names->pdata);
    g_autofree char *right = g_strdup_printf("is not known here; known: %s", known);
    refuse(error, what, name, right);
    return NULL;
}

gboolean route_query(RouteMatch *match, const char *name, const char *value, GError **error)
{
    g_autofree char *type = type_in(match->route->query, name, "the query's parameter", error);
    if (!type)
        return FALSE;
    if (!value || !g_utf8_validate(value, -1, NULL))
        return refuse(error, "the query's parameter", name, "needs a value in UTF-8");
    guint64 number;
    gboolean is_boolean = strcmp(type, "boolean") == 0, is_true = strcmp(value, "true") == 0;
    if (is_boolean && !is_true && strcmp(value, "false") != 0)
        return refuse(error, "the query's parameter", name, "must be true or false");
    if (is_boolean)
        json_object_set_new(match->params, name, json_boolean(is_true));
    else if (strcmp(type, "string") == 0)
        json_object_set_new(match->params, name, json_string(value));
    else if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        json_object_set_new(match->params, name, json_integer((json_int_t)number));
    else
        return refuse(error, "the query's parameter", name,
                      "must be a whole number from 0 to 9223372036854775807");
    return TRUE;
}

static const char *wanted_type(const char *type)
{
    if (g_str_has_prefix(type, "uint"))
        return strstr(type, "|null") ? "must be a whole number from 0 on, or null"
                                     : "must be a whole number from 0 on";
    if (g_str_has_prefix(type, "boolean"))
        return "must be true or false";
    return strstr(type, "|null") ? "must be a string, or null" : "must be a string";
}

static gboolean has_type(json_t *value, const char *type)
{
    if (json_is_null(value))
        return strstr(type, "|null") != NULL;
    if (g_str_has_prefix(type, "uint"))
        return json_is_integer(value) && json_integer_value(value) >= 0;
    return g_str_has_prefix(type, "boolean") ? json_is_boolean(value) : json_is_string(value);
}

gboolean route_body(RouteMatch *match, const char *text, gsize length, GError **error)
{
    const char *spec = match->route->body;
    if (length == 0)
        return TRUE;
    if (!spec) {
        g_set_error_literal(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "this request takes no body");
        return FALSE;
    }
    g_autoptr(json_t) body = json_parse_object(text, length, error);
    if (!body) {
        g_prefix_error(error, "the body: ");
        return FALSE;
    }
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value)
    {
        g_autofree char *type = type_in(spec, name, "the body's member", error);
        if (!type)
            return FALSE;
        if (!has_type(value, type))
            return refuse(error, "the body's member", name, wanted_type(type));
        json_object_set(match->params, name, value);
    }
    return TRUE;
}
