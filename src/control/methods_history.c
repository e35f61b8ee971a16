/* What was, over time. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "store/history.h"

#define SPAN_DEFAULT_S (INT64_C(6) * 3600)
#define TIME_MAX_S     INT64_C(253402300799) /* the last second of the year 9999 */

static gboolean read_time(const Call *call, const char *name, int64_t *value, GError **error)
{
    GError *problem = NULL;
    uint64_t seconds = 0;
    if (!json_member_uint64(call->params, name, FALSE, &seconds, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        return problem == NULL;
    }
    if (seconds <= TIME_MAX_S) {
        *value = (int64_t)seconds;
        return TRUE;
    }
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s is a time in seconds since 1970", name);
    return FALSE;
}

static gboolean read_query(const Call *call, HistoryQuery *query, GError **error)
{
    GError *problem = NULL;
    uint64_t points = HISTORY_POINTS_DEFAULT;
    query->to_s = g_get_real_time() / G_USEC_PER_SEC + 1;
    if (!read_time(call, "to", &query->to_s, error))
        return FALSE;
    query->from_s = query->to_s - MIN(query->to_s, SPAN_DEFAULT_S);
    if (!read_time(call, "from", &query->from_s, error))
        return FALSE;
    json_member_uint64(call->params, "points", FALSE, &points, &problem);
    if (!problem)
        json_member_bool(call->params, "servers", FALSE, &query->with_servers, &problem);
    if (problem) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    query->points = (guint)MIN(points, HISTORY_POINTS_MAX + 1);
    if (query->from_s < query->to_s && points >= 1 && points <= HISTORY_POINTS_MAX)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "from must be before to, and points from 1 to %d", HISTORY_POINTS_MAX);
    return FALSE;
}

static void on_read(json_t *result, const GError *error, gpointer user_data)
{
    Pending *pending = user_data;
    json_t *name = json_object_get(pending->call.params, "name");
    if (result && name)
        json_object_set(result, "name", name);
    pending_finish(pending, result, error);
}

static json_t *method_history(Call *call, GError **error)
{
    HistoryQuery query = {0};
    if (!call_needs_store(call, error) || !read_query(call, &query, error) ||
        (!call->server && !call_needs_operator(call, "the host's history", error)))
        return NULL;
    query.server_id = call->server ? call->server->latest->id : NULL;
    history_read(call->store, &query, on_read, call_defer(call));
    return NULL;
}

static const MethodRow ROWS[] = {
    {"history", method_history, ACCESS_SERVER_OR_ALL, FALSE},
};
const MethodTable methods_history = {ROWS, G_N_ELEMENTS(ROWS)};
