/* The control methods: good and bad parameters, and every field with its type, as docs/control.md has them. */
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "control/methods.h"
#include "engine_rig.h"

/* s string, i integer, n number, b true or false, o object, a array; ? null as well */
typedef struct {
    const char *name, *type;
} Field;

static const Field host_fields[] = {
    {"version", "s"},
    {"mode", "s"},
    {"pool_bytes", "i?"},
    {"committed_bytes", "i?"},
    {"slack_bytes", "i?"},
    {"memory_bytes", "i?"},
    {"available_bytes", "i?"},
    {"pressure_some_avg10", "n?"},
    {"servers", "i"},
    {"beats", "i"},
    {"relief_p50_us", "i?"},
    {"first_grant_p50_us", "i?"},
    {"first_grant_p99_us", "i?"},
    {"relief_p99_us", "i?"},
    {"free_bytes", "i?"},
    {"over_bytes", "i?"},
    {"fixed_bytes", "i?"},
    {"overhead_bytes", "i?"},
    {"short_bytes", "i?"},
    {"reclaiming_bytes", "i?"},
    {"reserved_bytes", "i"},
    {"slack_wanted_bytes", "i?"},
    {"reboot_safe_bytes", "i?"},
    {"committed_peak_bytes", "i?"},
    {"over_seconds", "n"},
    {"state", "s"},
    {"problems", "a"},
    {"backends", "a"},
    {"uptime_us", "i"},
    {NULL, NULL},
};
static const Field backend_fields[] = {
    {"name", "s"}, {"uri", "s"}, {"connected", "b"}, {"problem", "s?"}, {NULL, NULL}};
static const Field server_fields[] = {
    {"name", "s"},
    {"id", "s"},
    {"kind", "s"},
    {"state", "s"},
    {"maximum_bytes", "i"},
    {"minimum_bytes", "i"},
    {"weight", "i"},
    {"balloon_bytes", "i?"},
    {"target_bytes", "i?"},
    {"used_bytes", "i?"},
    {"resident_bytes", "i?"},
    {"demand_bytes", "i?"},
    {"committed_bytes", "i?"},
    {"ballooning", "o"},
    {"unlimited", "b"},
    {"driver", "s?"},
    {"operation", "i?"},
    {"agent", "?"},
    {"stalled_us", "?"},
    {"waited_us", "i"},
    {"relief_us", "i?"},
    {"allocation_bytes", "i?"},
    {"floor_bytes", "i?"},
    {"short_bytes", "i"},
    {"overhead_bytes", "i?"},
    {"minimum_own", "b"},
    {"weight_own", "b"},
    {"revision", "i"},
    {"owner", "s?"},
    {"fixed", "s?"},
    {"hold", "s?"},
    {"waiting", "s?"},
    {"statistics_age_us", "i?"},
    {NULL, NULL},
};
static const Field ballooning_fields[] = {
    {"state", "s"}, {"available", "b"}, {"reason", "s?"}, {"sentence", "s"}, {NULL, NULL}};
static const Field details_fields[] = {
    {"fixed_sentence", "s?"},
    {"remedy", "s?"},
    {"hold_sentence", "s?"},
    {"lent", "a"},
    {"deflates_on_oom", "b"},
    {"reports_free_pages", "b"},
    {"pid", "i?"},
    {NULL, NULL},
};
static const Field explain_fields[] = {{"name", "s"},   {"summary", "s"},   {"sentences", "a"},
                                       {"server", "o"}, {"decisions", "a"}, {NULL, NULL}};
static const Field decision_fields[] = {
    {"time_us", "i"},
    {"server", "s?"},
    {"move", "s"},
    {"from_bytes", "i?"},
    {"time_unix_us", "i"},
    {"sent_unix_us", "i?"},
    {"answered_unix_us", "i?"},
    {"to_bytes", "i?"},
    {"used_bytes", "i?"},
    {"need_bytes", "i?"},
    {"allocation_bytes", "i?"},
    {"text", "s"},
    {"performed", "b"},
    {"error", "s?"},
    {"sources", "a"},
    {"burst", "?"},
    {"relief", "?"},
    {NULL, NULL},
};
static const Field source_fields[] = {{"from", "s"}, {"bytes", "i"}, {NULL, NULL}};
static const Field flow_fields[] = {{"from", "s"}, {"to", "s"}, {"bytes", "i"}, {NULL, NULL}};
static const Field reservation_fields[] = {{"id", "i"},    {"for", "s?"},          {"bytes", "i"},
                                           {"ready", "b"}, {"missing_bytes", "i"}, {"expires_in_us", "i"},
                                           {NULL, NULL}};

static gboolean has_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return type[0] == 's';
    case JSON_INTEGER:
        return type[0] == 'i' || type[0] == 'n';
    case JSON_REAL:
        return type[0] == 'n';
    case JSON_TRUE:
    case JSON_FALSE:
        return type[0] == 'b';
    case JSON_OBJECT:
        return type[0] == 'o';
    case JSON_ARRAY:
        return type[0] == 'a';
    case JSON_NULL:
        return strchr(type, '?') != NULL;
    }
    return FALSE;
}

/* Every field of @fields with its type, and none beside them. A negative figure is never right. */
static void assert_fields(json_t *object, const Field *fields)
{
    g_assert_true(json_is_object(object));
    size_t n = 0;
    for (; fields[n].name; n++) {
        json_t *value = json_object_get(object, fields[n].name);
        if (!value || !has_type(value, fields[n].type))
            g_error("%s: %s", fields[n].name, value ? "wrong type" : "missing");
        g_assert_false(json_is_integer(value) && json_integer_value(value) < 0);
    }
    if (json_object_size(object) != n) {
        g_autofree char *text = json_line(object);
        g_error("%zu fields instead of %zu: %s", json_object_size(object), n, text);
    }
}

static void assert_all_fields(json_t *array, const Field *fields)
{
    g_assert_true(json_is_array(array));
    for (size_t i = 0; i < json_array_size(array); i++)
        assert_fields(json_array_get(array, i), fields);
}

static void assert_server(json_t *server)
{
    assert_fields(server, server_fields);
    assert_fields(json_object_get(server, "ballooning"), ballooning_fields);
}

static void assert_decisions(json_t *decisions)
{
    assert_all_fields(decisions, decision_fields);
    for (size_t i = 0; i < json_array_size(decisions); i++) {
        json_t *one = json_array_get(decisions, i);
        assert_all_fields(json_object_get(one, "sources"), source_fields);
        gboolean moved = json_is_true(json_object_get(one, "performed")) &&
                         g_strcmp0(json_string_value(json_object_get(one, "move")), "note") != 0;
        json_int_t taken = json_integer_value(json_object_get(one, "time_unix_us"));
        json_int_t sent = json_integer_value(json_object_get(one, "sent_unix_us"));
        if (moved)
            g_assert_cmpint(taken, <=, sent);
        if (moved)
            g_assert_cmpint(sent, <=, json_integer_value(json_object_get(one, "answered_unix_us")));
    }
}

/* ---- calls */

static json_t *call(Rig *rig, const char *method, const char *params, GError **error)
{
    const ControlPeer peer = {.operator_ = TRUE};
    g_autoptr(json_t) object = json_loads(params, 0, NULL);
    g_assert_nonnull(object);
    MethodsContext context = {.engine = rig->engine};
    ControlRequest request = {.peer = &peer, .method = method, .params = object};
    return methods_dispatch(&request, &context, error);
}

static json_t *call_well(Rig *rig, const char *method, const char *params)
{
    g_autoptr(GError) error = NULL;
    json_t *result = call(rig, method, params, &error);
    g_assert_no_error(error);
    g_assert_nonnull(result);
    return result;
}

static void call_badly(Rig *rig, const char *method, const char *params, AerostatError code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(call(rig, method, params, &error));
    g_assert_error(error, AEROSTAT_ERROR, (int)code);
    if (!strstr(error->message, part))
        g_error("%s %s: \"%s\" has no \"%s\"", method, params, error->message, part);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_null(strchr(error->message, '\n'));
}

static int64_t figure(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    g_assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void assert_null_field(json_t *object, const char *name)
{
    if (!json_is_null(json_object_get(object, name)))
        g_error("%s is not null", name);
}

static const char *word(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Three servers: one that gave to the other, one that is off. */
static void begin(Rig *rig, gconstpointer data)
{
    rig_begin(rig, 5 * GIB, MODE_MANAGE);
    FakeGuest *idle = fake_guest_add(rig->fake, "idle", 4 * GIB);
    FakeGuest *needy = fake_guest_add(rig->fake, "needy", 4 * GIB);
    FakeGuest *off = fake_guest_add(rig->fake, "off", GIB);
    FakeGuest *bare = fake_guest_add(rig->fake, "bare", 64 * MIB);
    fake_lock(rig->fake);
    idle->target_bytes = idle->truth_bytes = idle->shown_bytes = 3 * GIB;
    needy->target_bytes = needy->truth_bytes = needy->shown_bytes = 5 * GIB / 4;
    off->running = FALSE;
    bare->fixed = FIXED_HUGEPAGES;
    fake_unlock(rig->fake);
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "needy") && !rig_server(rig, "needy")->adopting);
    FAKE(rig->fake, needy->used_bytes = 9 * GIB / 4);
    RIG_UNTIL(FAKE(rig->fake, needy->truth_bytes) >= 9 * GIB / 4);
    RIG_UNTIL(rig_server(rig, "needy")->demand.known &&
              rig_server(rig, "needy")->demand.used_bytes > 2 * GIB);
    RIG_UNTIL(journal_lent(engine_journal(rig->engine), "idle-id", "needy-id") > MIB);
}

static void end(Rig *rig, gconstpointer data)
{
    rig_end(rig);
}

/* ---- each method */

static void test_status(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) host = call_well(rig, "status", "{}");
    assert_fields(host, host_fields);
    assert_all_fields(json_object_get(host, "backends"), backend_fields);
    g_assert_cmpint(figure(host, "pool_bytes"), ==, 5 * (int64_t)GIB);
    g_assert_cmpint(figure(host, "memory_bytes"), ==, 64 * (int64_t)GIB);
    g_assert_cmpint(figure(host, "servers"), ==, 4);
    g_assert_cmpint(figure(host, "committed_bytes") + figure(host, "free_bytes"), ==,
                    figure(host, "pool_bytes"));
    g_assert_cmpint(figure(host, "fixed_bytes"), ==, (int64_t)(64 * MIB + FAKE_OVERHEAD));
    g_assert_cmpstr(word(host, "mode"), ==, "manage");
    g_assert_cmpstr(word(host, "state"), ==, "ok");
    assert_null_field(host, "pressure_some_avg10");
    json_t *backend = json_array_get(json_object_get(host, "backends"), 0);
    assert_null_field(backend, "problem");
    fake_disconnect(rig->fake);
    g_autoptr(json_t) cut = call_well(rig, "status", "{}");
    backend = json_array_get(json_object_get(cut, "backends"), 0);
    g_assert_cmpstr(word(backend, "problem"), ==, "the line was cut");
    g_assert_cmpuint(json_array_size(json_object_get(cut, "problems")), ==, 1);
}

static void test_list(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) list = call_well(rig, "list", "{}");
    json_t *servers = json_object_get(list, "servers");
    g_assert_cmpuint(json_array_size(servers), ==, 4);
    for (size_t i = 0; i < 4; i++)
        assert_server(json_array_get(servers, i));
    g_assert_cmpstr(word(json_array_get(servers, 0), "name"), ==, "bare");
    g_assert_cmpstr(word(json_array_get(servers, 3), "name"), ==, "off");
}

static void test_show(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) server = call_well(rig, "show", "{\"name\": \"needy\"}");
    json_t *details = json_object_get(server, "details");
    assert_fields(details, details_fields);
    json_t *lent = json_object_get(details, "lent");
    g_assert_cmpuint(json_array_size(lent), ==, 1);
    g_assert_cmpstr(word(json_array_get(lent, 0), "from"), ==, "idle");
    g_assert_cmpint(figure(json_array_get(lent, 0), "bytes"), >, (int64_t)MIB);
    json_object_del(server, "details");
    assert_server(server);
    g_assert_cmpint(figure(server, "maximum_bytes"), ==, 4 * (int64_t)GIB);
    g_assert_cmpint(figure(server, "minimum_bytes"), ==, (int64_t)GIB);
    g_assert_cmpint(figure(server, "weight"), ==, 100);
    g_assert_cmpint(figure(server, "used_bytes"), >, 5 * (int64_t)GIB / 4);
    g_assert_cmpint(figure(server, "committed_bytes"), >=,
                    figure(server, "balloon_bytes") + (int64_t)FAKE_OVERHEAD);
    g_assert_cmpstr(word(json_object_get(server, "ballooning"), "state"), ==, "on");
    g_autoptr(json_t) giver = call_well(rig, "show", "{\"name\": \"idle\"}");
    lent = json_object_get(json_object_get(giver, "details"), "lent");
    g_assert_cmpstr(word(json_array_get(lent, 0), "to"), ==, "needy");
}

/* What is off holds nothing, and nothing is known of it. */
static void test_show_off(Rig *rig, gconstpointer data)
{
    static const char *const unknown[] = {
        "balloon_bytes", "target_bytes", "used_bytes",     "resident_bytes",
        "demand_bytes",  "floor_bytes",  "overhead_bytes", "allocation_bytes",
        "hold",          "waiting",      "fixed",          "statistics_age_us"};
    g_autoptr(json_t) server = call_well(rig, "show", "{\"name\": \"off\"}");
    assert_null_field(json_object_get(server, "details"), "pid");
    json_object_del(server, "details");
    assert_server(server);
    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_null_field(server, unknown[i]);
    g_assert_cmpint(figure(server, "committed_bytes"), ==, 0);
    g_assert_cmpstr(word(server, "state"), ==, "off");
}

static void test_show_fixed(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) server = call_well(rig, "show", "{\"name\": \"bare\"}");
    g_assert_cmpstr(word(server, "fixed"), ==, "hugepages");
    g_assert_cmpstr(word(server, "state"), ==, "running");
    assert_null_field(server, "hold");
    json_t *ballooning = json_object_get(server, "ballooning");
    g_assert_cmpstr(word(ballooning, "state"), ==, "unavailable");
    g_assert_cmpstr(word(ballooning, "reason"), ==, "hugepages");
    g_assert_nonnull(word(json_object_get(server, "details"), "remedy"));
}

/* A guest that has said nothing yet uses an unknown amount, which is not 0. */
static void test_unknown_use(Rig *rig, gconstpointer data)
{
    FakeGuest *guest = fake_guest_add(rig->fake, "new", 256 * MIB);
    FAKE(rig->fake, guest->boot_ms = 3600000);
    fake_start(rig->fake, guest);
    RIG_UNTIL(rig_server(rig, "new") && rig_server(rig, "new")->decided);
    g_autoptr(json_t) server = call_well(rig, "show", "{\"name\": \"new\"}");
    assert_null_field(server, "used_bytes");
    assert_null_field(server, "demand_bytes");
    assert_null_field(server, "statistics_age_us");
    g_assert_cmpstr(word(server, "hold"), ==, "starting");
    g_assert_cmpint(figure(server, "committed_bytes"), ==, (int64_t)(256 * MIB + FAKE_OVERHEAD));
    g_autoptr(json_t) words = call_well(rig, "explain", "{\"name\": \"new\"}");
    g_assert_nonnull(strstr(word(words, "summary"), "has not said yet"));
}

static void test_explain(Rig *rig, gconstpointer data)
{
    static const char *const names[] = {"{\"name\": \"idle\"}", "{\"name\": \"needy\"}",
                                        "{\"name\": \"off\"}", "{\"name\": \"bare\"}"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(json_t) result = call_well(rig, "explain", names[i]);
        assert_fields(result, explain_fields);
        assert_server(json_object_get(result, "server"));
        assert_decisions(json_object_get(result, "decisions"));
        json_t *sentences = json_object_get(result, "sentences");
        for (size_t k = 0; k < json_array_size(sentences); k++)
            g_assert_true(g_str_has_suffix(json_string_value(json_array_get(sentences, k)), "."));
    }
    g_autoptr(json_t) idle = call_well(rig, "explain", names[0]);
    g_autofree char *text = json_line(json_object_get(idle, "sentences"));
    g_assert_nonnull(strstr(text, "went to needy"));
    g_assert_cmpuint(json_array_size(json_object_get(idle, "decisions")), >, 0);
}

/* A server has never lent more than it is missing, whatever once flowed. */
static void test_lent_ends(Rig *rig, gconstpointer data)
{
    FakeGuest *idle = fake_guest_find(rig->fake, "idle"), *needy = fake_guest_find(rig->fake, "needy");
    FAKE(rig->fake, needy->used_bytes = 64 * MIB);
    FAKE(rig->fake, idle->used_bytes = 3 * GIB);
    RIG_UNTIL(rig_server(rig, "idle")->latest->balloon_bytes >= 13 * GIB / 4);
    uint64_t missing = 4 * GIB - rig_server(rig, "idle")->latest->balloon_bytes;
    journal_returned(engine_journal(rig->engine), "idle-id", "idle", 2 * GIB);
    g_autoptr(GPtrArray) sources = journal_spend(engine_journal(rig->engine), 2 * GIB);
    journal_spent(engine_journal(rig->engine), "needy-id", "needy", sources);
    g_autoptr(json_t) server = call_well(rig, "show", "{\"name\": \"idle\"}");
    json_t *lent = json_object_get(json_object_get(server, "details"), "lent");
    for (size_t i = 0; i < json_array_size(lent); i++)
        g_assert_cmpint(figure(json_array_get(lent, i), "bytes"), <=, (int64_t)missing);
    fake_stop(rig->fake, idle);
    RIG_UNTIL(!tracked_counts(rig_server(rig, "idle")));
    g_autoptr(json_t) off = call_well(rig, "show", "{\"name\": \"idle\"}");
    g_assert_cmpuint(json_array_size(json_object_get(json_object_get(off, "details"), "lent")), ==, 0);
}

static void test_journal(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) all = call_well(rig, "journal", "{\"limit\": 1000}");
    g_assert_cmpuint(json_object_size(all), ==, 2);
    assert_decisions(json_object_get(all, "decisions"));
    assert_all_fields(json_object_get(all, "flows"), flow_fields);
    g_assert_cmpuint(json_array_size(json_object_get(all, "flows")), >, 0);
    g_autoptr(json_t) one = call_well(rig, "journal", "{\"limit\": 1, \"name\": \"idle\"}");
    json_t *decisions = json_object_get(one, "decisions");
    g_assert_cmpuint(json_array_size(decisions), ==, 1);
    g_assert_cmpstr(word(json_array_get(decisions, 0), "server"), ==, "idle");
    g_autoptr(json_t) note = call_well(rig, "journal", "{\"limit\": 1000}");
    decisions = json_object_get(note, "decisions");
    json_t *oldest = json_array_get(decisions, json_array_size(decisions) - 1);
    g_assert_cmpstr(word(oldest, "move"), ==, "note");
    assert_null_field(oldest, "to_bytes");
    assert_null_field(oldest, "server");
    call_badly(rig, "journal", "{\"limit\": 0}", AEROSTAT_ERROR_INVALID, "1 to 1000");
    call_badly(rig, "journal", "{\"limit\": 1001}", AEROSTAT_ERROR_INVALID, "1 to 1000");
    call_badly(rig, "journal", "{\"limit\": \"1\"}", AEROSTAT_ERROR_INVALID, "limit");
    call_badly(rig, "journal", "{\"limit\": -1}", AEROSTAT_ERROR_INVALID, "limit");
    call_badly(rig, "journal", "{\"name\": \"nobody\"}", AEROSTAT_ERROR_NOT_FOUND, "nobody");
    call_badly(rig, "journal", "{\"name\": null}", AEROSTAT_ERROR_INVALID, "name");
}

static void test_names(Rig *rig, gconstpointer data)
{
    static const char *const methods[] = {"show", "explain", "set"};
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        call_badly(rig, methods[i], "{}", AEROSTAT_ERROR_INVALID, "\"name\" is missing");
        call_badly(rig, methods[i], "{\"name\": 1}", AEROSTAT_ERROR_INVALID, "\"name\" is");
        call_badly(rig, methods[i], "{\"name\": \"\"}", AEROSTAT_ERROR_NOT_FOUND, "no server");
        call_badly(rig, methods[i], "{\"name\": \"w\\u00e9b\\n\\u001b[31m\"}", AEROSTAT_ERROR_NOT_FOUND, "w");
    }
}

static void test_mode(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) now = call_well(rig, "mode", "{}");
    g_assert_cmpstr(word(now, "mode"), ==, "manage");
    g_autoptr(json_t) set = call_well(rig, "mode", "{\"mode\": \"observe\"}");
    g_assert_cmpstr(word(set, "mode"), ==, "observe");
    g_assert_cmpstr(word(set, "before"), ==, "manage");
    g_assert_cmpuint(json_object_size(set), ==, 2);
    g_assert_cmpint(engine_host(rig->engine)->mode, ==, MODE_OBSERVE);
    call_badly(rig, "mode", "{\"mode\": \"\"}", AEROSTAT_ERROR_INVALID, "observe or manage");
    call_badly(rig, "mode", "{\"mode\": true}", AEROSTAT_ERROR_INVALID, "mode");
    call_badly(rig, "mode", "{\"mode\": null}", AEROSTAT_ERROR_INVALID, "mode");
    g_autofree char *long_name = g_strnfill(30, 'x');
    g_autofree char *params =
        g_strdup_printf("{\"mode\": \"%s\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\n\"}", long_name);
    call_badly(rig, "mode", params, AEROSTAT_ERROR_INVALID, "observe or manage");
}

static void test_set(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) after =
        call_well(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 1610612736, \"weight\": 7}");
    assert_server(after);
    g_assert_cmpint(figure(after, "minimum_bytes"), ==, 1610612736);
    g_assert_cmpint(figure(after, "weight"), ==, 7);
    g_assert_true(json_is_true(json_object_get(after, "minimum_own")));
    g_autoptr(json_t) half = call_well(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": null}");
    g_assert_cmpint(figure(half, "minimum_bytes"), ==, (int64_t)GIB);
    g_assert_cmpint(figure(half, "weight"), ==, 7);
    g_assert_true(json_is_false(json_object_get(half, "minimum_own")));
    g_assert_true(json_is_true(json_object_get(half, "weight_own")));
    call_badly(rig, "set", "{\"name\": \"idle\"}", AEROSTAT_ERROR_INVALID, "nothing to set");
    call_badly(rig, "set", "{\"name\": \"idle\", \"weight\": 0}", AEROSTAT_ERROR_INVALID, "1 to 10000");
    call_badly(rig, "set", "{\"name\": \"idle\", \"weight\": 10001}", AEROSTAT_ERROR_INVALID, "1 to 10000");
    call_badly(rig, "set", "{\"name\": \"idle\", \"weight\": 4294967297}", AEROSTAT_ERROR_INVALID,
               "1 to 10000");
    call_badly(rig, "set", "{\"name\": \"idle\", \"weight\": 1.5}", AEROSTAT_ERROR_INVALID, "weight");
    call_badly(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 0}", AEROSTAT_ERROR_INVALID, "above 0");
    call_badly(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": -5}", AEROSTAT_ERROR_INVALID,
               "minimum_bytes");
    call_badly(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": \"1G\"}", AEROSTAT_ERROR_INVALID,
               "minimum_bytes");
    call_badly(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 4294967297}", AEROSTAT_ERROR_INVALID,
               "at most its maximum");
    g_autoptr(json_t) same = call_well(rig, "show", "{\"name\": \"idle\"}");
    g_assert_cmpint(figure(same, "minimum_bytes"), ==, (int64_t)GIB);
    g_assert_cmpint(figure(same, "weight"), ==, 7);
}

static json_t *preview_row(json_t *preview, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(
        json_object_get(preview, "servers"), i,
        row) if (g_str_equal(json_string_value(json_object_get(row, "name")), name)) return row;
    g_assert_not_reached();
}

/* With a larger minimum it would have more, and the other less; asking has changed nothing. */
static void test_preview(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) before = call_well(rig, "show", "{\"name\": \"idle\"}");
    g_autoptr(json_t) preview =
        call_well(rig, "preview", "{\"name\": \"idle\", \"minimum_bytes\": 3221225472}");
    g_assert_true(json_is_true(json_object_get(preview, "feasible")));
    g_assert_true(json_is_null(json_object_get(preview, "reason")));
    json_t *idle = preview_row(preview, "idle"), *needy = preview_row(preview, "needy");
    g_assert_cmpint(figure(idle, "after_bytes"), >, figure(idle, "before_bytes"));
    g_assert_cmpint(figure(needy, "after_bytes"), <, figure(needy, "before_bytes"));
    g_autoptr(json_t) after = call_well(rig, "show", "{\"name\": \"idle\"}");
    g_assert_cmpint(figure(after, "minimum_bytes"), ==, figure(before, "minimum_bytes"));
    g_assert_cmpint(figure(after, "revision"), ==, figure(before, "revision"));
    g_autoptr(json_t) none = call_well(rig, "preview", "{\"name\": \"idle\", \"minimum_bytes\": 4294967296}");
    g_assert_true(json_is_false(json_object_get(none, "feasible")));
    g_assert_nonnull(strstr(json_string_value(json_object_get(none, "reason")), "268435456 bytes"));
    call_badly(rig, "preview", "{\"name\": \"idle\"}", AEROSTAT_ERROR_INVALID, "nothing to set");
    call_badly(rig, "preview", "{\"name\": \"idle\", \"weight\": 0}", AEROSTAT_ERROR_INVALID, "1 to 10000");
    call_badly(rig, "preview", "{\"name\": \"idle\", \"ballooning_enabled\": false}", AEROSTAT_ERROR_INVALID,
               "restart");
    call_badly(rig, "preview", "{\"name\": \"nobody\", \"weight\": 5}", AEROSTAT_ERROR_NOT_FOUND, "nobody");
}

static void test_no_room(Rig *rig, gconstpointer data)
{
    /* 4 GiB + 1 GiB of the other's minimum + 64 MiB fixed + 3 overheads of 64 MiB: 256 MiB more than there are. */
    call_badly(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 4294967296}", AEROSTAT_ERROR_NO_ROOM,
               "268435456 bytes");
    g_autoptr(json_t) fits = call_well(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 4026531840}");
    g_assert_cmpint(figure(fits, "minimum_bytes"), ==, 4026531840);
    call_badly(rig, "set", "{\"name\": \"needy\", \"minimum_bytes\": 1073741825}", AEROSTAT_ERROR_NO_ROOM,
               "1 bytes");
    g_autoptr(json_t) off = call_well(rig, "set", "{\"name\": \"off\", \"minimum_bytes\": 1073741824}");
    g_assert_cmpint(figure(off, "minimum_bytes"), ==, (int64_t)GIB);
    g_autoptr(json_t) less = call_well(rig, "set", "{\"name\": \"idle\", \"minimum_bytes\": 1048576}");
    g_assert_cmpint(figure(less, "minimum_bytes"), ==, (int64_t)MIB);
}

static void test_reservations(Rig *rig, gconstpointer data)
{
    g_autoptr(json_t) made = call_well(rig, "reserve", "{\"bytes\": 268435456, \"for\": \"next\"}");
    assert_fields(made, reservation_fields);
    g_assert_cmpstr(word(made, "for"), ==, "next");
    g_autoptr(json_t) nameless = call_well(rig, "reserve", "{\"bytes\": 1048576, \"lifetime_seconds\": 1}");
    assert_null_field(nameless, "for");
    g_autoptr(json_t) list = call_well(rig, "reservations", "{}");
    assert_all_fields(json_object_get(list, "reservations"), reservation_fields);
    g_assert_cmpuint(json_array_size(json_object_get(list, "reservations")), ==, 2);
    g_autofree char *id = g_strdup_printf("{\"id\": %" G_GINT64_FORMAT "}", figure(made, "id"));
    g_autoptr(json_t) released = call_well(rig, "release", id);
    g_assert_cmpint(figure(released, "released"), ==, figure(made, "id"));
    call_badly(rig, "release", id, AEROSTAT_ERROR_NOT_FOUND, "no reservation");
    call_badly(rig, "release", "{}", AEROSTAT_ERROR_INVALID, "id");
    call_badly(rig, "reserve", "{}", AEROSTAT_ERROR_INVALID, "bytes");
    call_badly(rig, "reserve", "{\"bytes\": 0}", AEROSTAT_ERROR_INVALID, "above 0");
    call_badly(rig, "reserve", "{\"bytes\": 1, \"lifetime_seconds\": 0}", AEROSTAT_ERROR_INVALID, "1 to");
    call_badly(rig, "reserve", "{\"bytes\": 1, \"for\": 3}", AEROSTAT_ERROR_INVALID, "for");
    call_badly(rig, "reserve", "{\"bytes\": 1, \"for\": \"idle\"}", AEROSTAT_ERROR_CONFLICT, "runs already");
    call_badly(rig, "reserve", "{\"bytes\": 8589934592}", AEROSTAT_ERROR_NO_ROOM, "bytes missing");
}

static void test_dispatch(Rig *rig, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(call(rig, "sudo", "{}", &error));
    g_assert_no_error(error); /* no such method */
    const ControlPeer stranger = {.uid = 1234};
    g_autoptr(json_t) params = json_object();
    MethodsContext context = {.engine = rig->engine};
    ControlRequest request = {.peer = &stranger, .method = "status", .params = params};
    g_assert_null(methods_dispatch(&request, &context, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED);
    g_clear_error(&error);
    request.method = "version";
    g_autoptr(json_t) version = methods_dispatch(&request, &context, &error);
    g_assert_cmpstr(word(version, "version"), ==, AEROSTAT_VERSION);
    context.engine = NULL;
    g_assert_null(methods_dispatch(&request, &context, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
}

/* Before the first beat nothing is known, and nothing is 0 for that. */
static void test_before_the_first_beat(void)
{
    Rig rig;
    rig_begin(&rig, 5 * GIB, MODE_OBSERVE);
    fake_hold_observations(rig.fake, TRUE);
    rig_start(&rig, NULL);
    g_autoptr(json_t) host = call_well(&rig, "status", "{}");
    assert_fields(host, host_fields);
    for (guint i = 0; host_fields[i].name; i++)
        if (g_str_has_suffix(host_fields[i].name, "_bytes") && strchr(host_fields[i].type, '?'))
            assert_null_field(host, host_fields[i].name);
    g_assert_cmpstr(word(host, "state"), ==, "starting");
    g_autoptr(json_t) list = call_well(&rig, "list", "{}");
    g_assert_cmpuint(json_array_size(json_object_get(list, "servers")), ==, 0);
    call_badly(&rig, "reserve", "{\"bytes\": 1048576}", AEROSTAT_ERROR_UNAVAILABLE, "try again");
    rig_end(&rig);
}

#define ADD(name, test) g_test_add("/methods/" name, Rig, NULL, begin, test, end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("status", test_status);
    ADD("list", test_list);
    ADD("show", test_show);
    ADD("show/off", test_show_off);
    ADD("show/fixed", test_show_fixed);
    ADD("show/unknown-use", test_unknown_use);
    ADD("explain", test_explain);
    ADD("lent-ends", test_lent_ends);
    ADD("journal", test_journal);
    ADD("names", test_names);
    ADD("mode", test_mode);
    ADD("set", test_set);
    ADD("set/no-room", test_no_room);
    ADD("preview", test_preview);
    ADD("reservations", test_reservations);
    ADD("dispatch", test_dispatch);
    g_test_add_func("/methods/before-the-first-beat", test_before_the_first_beat);
    return g_test_run();
}
