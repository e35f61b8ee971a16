/* The control methods, each a small function in one table. */
#include "control/methods_private.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/explain.h"
#include "engine/reservation.h"
#include "policy/reasons.h"

#define DECISIONS_DEFAULT     20
#define DECISIONS_MAX         1000
#define RESERVATION_DEFAULT_S 300
#define RESERVATION_MAX_S     86400

typedef json_t *(*Method)(Engine *engine, json_t *params, GError **error);

static Tracked *named_server(Engine *engine, json_t *params, GError **error)
{
    const char *name = NULL;
    if (!json_member_string(params, "name", TRUE, &name, error))
        return NULL;
    return engine_find(engine, name, error);
}

static json_t *method_status(Engine *engine, json_t *params, GError **error)
{
    return json_of_host(engine);
}

static json_t *method_list(Engine *engine, json_t *params, GError **error)
{
    json_t *servers = json_array();
    for (guint i = 0; i < engine_servers(engine)->len; i++)
        json_array_append_new(servers, json_of_server(engine, engine_servers(engine)->pdata[i]));
    return json_pack("{s:o}", "servers", servers);
}

static json_t *string_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *lent_of(Engine *engine, const Tracked *tracked)
{
    json_t *array = json_array();
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *other = engine_servers(engine)->pdata[i];
        uint64_t out = explain_lent(engine, tracked, other), in = explain_lent(engine, other, tracked);
        if (out == 0 && in == 0)
            continue;
        const char *direction = out > 0 ? "to" : "from";
        json_array_append_new(array, json_pack("{s:s, s:o}", direction, other->latest->name, "bytes",
                                               json_bytes(out > 0 ? out : in)));
    }
    return array;
}

static json_t *method_show(Engine *engine, json_t *params, GError **error)
{
    const Tracked *tracked = named_server(engine, params, error);
    if (!tracked)
        return NULL;
    FixedReason fixed = tracked->decided ? tracked->facts.fixed : tracked->latest->fixed;
    HoldReason hold = tracked->decided ? tracked->row.hold : HOLD_NO;
    const char *remedy = fixed != FIXED_NO ? fixed_remedy(fixed) : hold_remedy(hold);
    json_t *server = json_of_server(engine, tracked);
    json_t *details = json_object();
    json_object_set_new(details, "fixed_sentence", string_or_null(fixed_sentence(fixed)));
    json_object_set_new(details, "hold_sentence", string_or_null(hold_sentence(hold)));
    json_object_set_new(details, "remedy", string_or_null(remedy));
    json_object_set_new(details, "lent", lent_of(engine, tracked));
    json_object_set_new(details, "deflates_on_oom", json_boolean(tracked->latest->deflates_on_oom));
    json_object_set_new(details, "reports_free_pages", json_boolean(tracked->latest->reports_free_pages));
    json_object_set_new(details, "pid",
                        tracked->latest->pid > 0 ? json_integer(tracked->latest->pid) : json_null());
    json_object_set_new(server, "details", details);
    return server;
}

static json_t *decisions_of(Engine *engine, const char *id, guint limit)
{
    g_autoptr(GPtrArray) recent = journal_recent(engine_journal(engine), id, limit);
    json_t *array = json_array();
    for (guint i = 0; i < recent->len; i++)
        json_array_append_new(array, json_of_decision(recent->pdata[i]));
    return array;
}

static json_t *method_explain(Engine *engine, json_t *params, GError **error)
{
    const Tracked *tracked = named_server(engine, params, error);
    if (!tracked)
        return NULL;
    g_autofree char *summary = explain_summary(engine, tracked);
    g_autoptr(GPtrArray) sentences = explain_sentences(engine, tracked);
    json_t *texts = json_array();
    for (guint i = 0; i < sentences->len; i++)
        json_array_append_new(texts, json_string(sentences->pdata[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", tracked->latest->name, "summary", summary,
                     "sentences", texts, "server", json_of_server(engine, tracked), "decisions",
                     decisions_of(engine, tracked->latest->id, DECISIONS_DEFAULT));
}

static json_t *method_mode(Engine *engine, json_t *params, GError **error)
{
    const char *wanted = NULL;
    const char *before = engine_host(engine)->mode == MODE_MANAGE ? "manage" : "observe";
    if (!json_member_string(params, "mode", FALSE, &wanted, error) && *error)
        return NULL;
    if (wanted) {
        gboolean manage = g_str_equal(wanted, "manage");
        if (!manage && !g_str_equal(wanted, "observe")) {
            g_autofree char *shown = error_printable(wanted, -1, 40);
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                        "mode \"%s\" is not known; use observe or manage", shown);
            return NULL;
        }
        if (!engine_set_mode(engine, manage ? MODE_MANAGE : MODE_OBSERVE, error))
            return NULL;
    }
    return json_pack("{s:s, s:s}", "mode", wanted ? wanted : before, "before", before);
}

/* Absent leaves the setting, null takes it back, a number sets it. */
static gboolean read_setting(json_t *params, const char *name, gboolean *has, uint64_t *value, gboolean *any,
                             GError **error)
{
    json_t *member = json_object_get(params, name);
    if (!member)
        return TRUE;
    *any = TRUE;
    *has = !json_is_null(member);
    return !*has || json_member_uint64(params, name, TRUE, value, error);
}

static json_t *method_set(Engine *engine, json_t *params, GError **error)
{
    Tracked *tracked = named_server(engine, params, error);
    if (!tracked)
        return NULL;
    ServerSettings settings = tracked->settings;
    uint64_t weight = settings.weight;
    gboolean any = FALSE;
    if (!read_setting(params, "minimum_bytes", &settings.has_minimum, &settings.minimum_bytes, &any, error) ||
        !read_setting(params, "weight", &settings.has_weight, &weight, &any, error))
        return NULL;
    if (!any) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "nothing to set; give minimum_bytes, weight or both");
        return NULL;
    }
    settings.weight = (uint32_t)MIN(weight, UINT32_MAX);
    if (!engine_set_settings(engine, tracked, &settings, error))
        return NULL;
    return json_of_server(engine, tracked);
}

static void append_flow(const char *from, const char *to, uint64_t bytes, gpointer array)
{
    json_array_append_new(array,
                          json_pack("{s:s, s:s, s:o}", "from", from, "to", to, "bytes", json_bytes(bytes)));
}

static json_t *method_journal(Engine *engine, json_t *params, GError **error)
{
    uint64_t limit = DECISIONS_DEFAULT;
    const char *id = NULL;
    if (!json_member_uint64(params, "limit", FALSE, &limit, error) && *error)
        return NULL;
    if (limit < 1 || limit > DECISIONS_MAX) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "limit must be from 1 to %d",
                    DECISIONS_MAX);
        return NULL;
    }
    if (json_object_get(params, "name")) {
        const Tracked *tracked = named_server(engine, params, error);
        if (!tracked)
            return NULL;
        id = tracked->latest->id;
    }
    json_t *flows = json_array();
    journal_flows(engine_journal(engine), append_flow, flows);
    return json_pack("{s:o, s:o}", "decisions", decisions_of(engine, id, (guint)limit), "flows", flows);
}

static json_t *json_of_reservation(const Reservation *reservation)
{
    int64_t left_us = reservation->expires_us - g_get_monotonic_time();
    return json_pack("{s:I, s:s?, s:o, s:b, s:I}", "id", (json_int_t)reservation->id, "for",
                     reservation->for_name, "bytes", json_bytes(reservation->bytes), "ready",
                     reservation->ready, "expires_in_us", (json_int_t)MAX(left_us, 0));
}

static json_t *method_reserve(Engine *engine, json_t *params, GError **error)
{
    uint64_t bytes = 0, seconds = RESERVATION_DEFAULT_S;
    const char *for_name = NULL;
    if (!json_member_uint64(params, "bytes", TRUE, &bytes, error))
        return NULL;
    if (!json_member_string(params, "for", FALSE, &for_name, error) && *error)
        return NULL;
    if (!json_member_uint64(params, "lifetime_seconds", FALSE, &seconds, error) && *error)
        return NULL;
    if (seconds < 1 || seconds > RESERVATION_MAX_S) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "lifetime_seconds must be from 1 to %d",
                    RESERVATION_MAX_S);
        return NULL;
    }
    const Reservation *made =
        engine_reserve(engine, bytes, for_name, (int64_t)seconds * G_USEC_PER_SEC, error);
    return made ? json_of_reservation(made) : NULL;
}

static json_t *method_reservations(Engine *engine, json_t *params, GError **error)
{
    json_t *array = json_array();
    for (guint i = 0; i < engine_reservations(engine)->len; i++)
        json_array_append_new(array, json_of_reservation(engine_reservations(engine)->pdata[i]));
    return json_pack("{s:o}", "reservations", array);
}

static json_t *method_release(Engine *engine, json_t *params, GError **error)
{
    uint64_t id = 0;
    if (!json_member_uint64(params, "id", TRUE, &id, error) || !engine_release(engine, id, error))
        return NULL;
    return json_pack("{s:I}", "released", (json_int_t)id);
}

/* A method asks either for the engine alone or for its caller, too. */
static const struct {
    const char *name;
    Method method;
    json_t *(*of_caller)(Engine *engine, const ControlCaller *caller, json_t *params, GError **error);
} methods[] = {
    {"status", method_status, NULL},   {"list", method_list, NULL},
    {"show", method_show, NULL},       {"explain", method_explain, NULL},
    {"mode", method_mode, NULL},       {"set", method_set, NULL},
    {"journal", method_journal, NULL}, {"reserve", method_reserve, NULL},
    {"release", method_release, NULL}, {"reservations", method_reservations, NULL},
    {"record", NULL, method_record},
};

json_t *methods_dispatch(const ControlCaller *caller, const char *method, json_t *params, gpointer user_data,
                         GError **error)
{
    Engine *engine = *(Engine **)user_data;
    if (!engine) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "the daemon is just starting; try again");
        return NULL;
    }
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (!g_str_equal(methods[i].name, method))
            continue;
        if (!caller->operator_) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_DENIED,
                        "this needs root or membership of the control group; user id %u has neither",
                        (unsigned)caller->uid);
            return NULL;
        }
        g_autoptr(GError) problem = NULL;
        json_t *result = methods[i].of_caller ? methods[i].of_caller(engine, caller, params, &problem)
                                              : methods[i].method(engine, params, &problem);
        if (!result)
            g_propagate_error(error, g_steal_pointer(&problem));
        return result;
    }
    return NULL;
}
