/* Servers: how they are, why, and what is set for them. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "manage/manage.h"
#include "engine/explain.h"
#include "engine/preview.h"
#include "policy/reasons.h"

#define DECISIONS_DEFAULT 20
#define DECISIONS_MAX     1000

static json_t *method_list(Call *call, GError **error)
{
    json_t *servers = json_array();
    GPtrArray *all = engine_servers(call->engine);
    for (guint i = 0; i < all->len; i++)
        if (call_may_see(call, all->pdata[i]))
            json_array_append_new(servers, json_of_server(call->engine, all->pdata[i]));
    return json_pack("{s:o}", "servers", servers);
}

static json_t *string_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

/* To an owner, somebody else's server has no name. */
static json_t *lent_of(const Call *call, const Tracked *tracked)
{
    Engine *engine = call->engine;
    json_t *array = json_array();
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *other = engine_servers(engine)->pdata[i];
        uint64_t out = explain_lent(engine, tracked, other), in = explain_lent(engine, other, tracked);
        if (out == 0 && in == 0)
            continue;
        const char *direction = out > 0 ? "to" : "from";
        json_array_append_new(array, json_pack("{s:s, s:o}", direction,
                                               call_may_see(call, other) ? other->latest->name : "others",
                                               "bytes", json_bytes(out > 0 ? out : in)));
    }
    return array;
}

static json_t *method_show(Call *call, GError **error)
{
    const Tracked *tracked = call->server;
    FixedReason fixed = tracked->decided ? tracked->facts.fixed : tracked->latest->fixed;
    HoldReason hold = tracked->decided ? tracked->row.hold : HOLD_NO;
    const char *remedy = fixed != FIXED_NO ? fixed_remedy(fixed) : hold_remedy(hold);
    json_t *server = json_of_server(call->engine, tracked);
    json_t *details = json_object();
    json_object_set_new(details, "fixed_sentence", string_or_null(fixed_sentence(fixed)));
    json_object_set_new(details, "hold_sentence", string_or_null(hold_sentence(hold)));
    json_object_set_new(details, "remedy", string_or_null(remedy));
    json_object_set_new(details, "lent", lent_of(call, tracked));
    json_object_set_new(details, "deflates_on_oom", json_boolean(tracked->latest->deflates_on_oom));
    json_object_set_new(details, "reports_free_pages", json_boolean(tracked->latest->reports_free_pages));
    json_object_set_new(details, "pid",
                        tracked->latest->pid > 0 && call_is_operator(call)
                            ? json_integer(tracked->latest->pid)
                            : json_null());
    json_object_set_new(server, "details", details);
    return server;
}

static json_t *decisions_of(const Call *call, const char *id, guint limit)
{
    g_autoptr(GPtrArray) recent = journal_recent(engine_journal(call->engine), id, limit);
    json_t *array = json_array();
    for (guint i = 0; i < recent->len; i++)
        json_array_append_new(array, json_of_decision(recent->pdata[i], call_is_operator(call)));
    return array;
}

static json_t *method_explain(Call *call, GError **error)
{
    Engine *engine = call->engine;
    const Tracked *tracked = call->server;
    g_autofree char *summary = explain_summary(engine, tracked);
    g_autoptr(GPtrArray) sentences = explain_sentences(engine, tracked, call_is_operator(call));
    json_t *texts = json_array();
    for (guint i = 0; i < sentences->len; i++)
        json_array_append_new(texts, json_string(sentences->pdata[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", tracked->latest->name, "summary", summary,
                     "sentences", texts, "server", json_of_server(call->engine, tracked), "decisions",
                     decisions_of(call, tracked->latest->id, DECISIONS_DEFAULT));
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

static gboolean read_ballooning(json_t *params, ServerSettings *settings, gboolean *any, GError **error)
{
    GError *problem = NULL;
    gboolean enabled = !settings->ballooning_disabled;
    if (json_member_bool(params, "ballooning_enabled", FALSE, &enabled, &problem))
        *any = TRUE;
    settings->ballooning_disabled = !enabled;
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

/* Minimum and weight are a matter between servers. */
static gboolean may_set(const Call *call, GError **error)
{
    static const char *const OPERATORS[] = {"minimum_bytes", "weight"};
    for (guint i = 0; i < G_N_ELEMENTS(OPERATORS); i++)
        if (json_object_get(call->params, OPERATORS[i]) && !call_needs_operator(call, OPERATORS[i], error))
            return FALSE;
    return TRUE;
}

static gboolean check_revision(const Call *call, GError **error)
{
    GError *problem = NULL;
    uint64_t seen = 0, now = call->server->settings.revision;
    if (!json_member_uint64(call->params, "revision", FALSE, &seen, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        return problem == NULL;
    }
    if (seen == now)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "server %s: somebody else has changed its settings meanwhile (revision %" G_GUINT64_FORMAT
                ", now %" G_GUINT64_FORMAT "); look at them again, then repeat the change",
                call->server->latest->name, seen, now);
    return FALSE;
}

static gboolean read_settings(const Call *call, ServerSettings *settings, GError **error)
{
    uint64_t weight = settings->weight;
    gboolean any = FALSE;
    if (!read_setting(call->params, "minimum_bytes", &settings->has_minimum, &settings->minimum_bytes, &any,
                      error) ||
        !read_setting(call->params, "weight", &settings->has_weight, &weight, &any, error) ||
        !read_ballooning(call->params, settings, &any, error))
        return FALSE;
    settings->weight = (uint32_t)MIN(weight, UINT32_MAX);
    if (!any)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "nothing to set; give minimum_bytes, weight, ballooning_enabled or several of them");
    return any;
}

static char *settings_text(const ServerSettings *settings)
{
    g_autoptr(json_t) object = json_object();
    json_object_set_new(object, "minimum_bytes",
                        settings->has_minimum ? json_bytes(settings->minimum_bytes) : json_null());
    json_object_set_new(object, "weight",
                        settings->has_weight ? json_integer(settings->weight) : json_null());
    json_object_set_new(object, "ballooning_enabled", json_boolean(!settings->ballooning_disabled));
    return json_dumps(object, JSON_COMPACT);
}

static json_t *method_set(Call *call, GError **error)
{
    Tracked *tracked = call->server;
    ServerSettings settings = tracked->settings;
    if (!may_set(call, error) || !check_revision(call, error) || !read_settings(call, &settings, error))
        return NULL;
    gboolean changes = json_object_get(call->params, "ballooning_enabled") != NULL;
    if (changes && call->context->manage &&
        !manage_check_ballooning(call->context->manage, tracked, !settings.ballooning_disabled, error))
        return NULL;
    g_autofree char *before = settings_text(&tracked->settings), *after = settings_text(&settings);
    AuditEntry audit = call_audit(call, tracked->latest->name, before, after);
    /* Nothing to write down, or to tell anybody. But who has never said anything is asked for more by what is defined. */
    if (tracked->settings.revision != 0 && g_str_equal(before, after))
        return json_of_server(call->engine, tracked);
    if (!call_may_change_more(call, error) ||
        !engine_set_settings(call->engine, tracked, &settings, &audit, error))
        return NULL;
    return json_of_server(call->engine, tracked);
}

/* What minimum and weight would do now; a minimum that has no room is an answer, too. */
static json_t *method_preview(Call *call, GError **error)
{
    if (json_object_get(call->params, "ballooning_enabled")) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "a preview is of minimum_bytes and weight; ballooning changes nothing before a restart");
        return NULL;
    }
    ServerSettings settings = call->server->settings;
    g_autoptr(GError) refusal = NULL;
    if (!read_settings(call, &settings, error))
        return NULL;
    gboolean feasible = engine_check_settings(call->engine, call->server, &settings, &refusal);
    if (!feasible && !g_error_matches(refusal, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM)) {
        g_propagate_error(error, g_steal_pointer(&refusal));
        return NULL;
    }
    g_autoptr(GArray) rows = engine_preview(call->engine, call->server, &settings);
    json_t *servers = json_array();
    for (guint i = 0; i < rows->len; i++) {
        const PreviewRow *row = &g_array_index(rows, PreviewRow, i);
        json_array_append_new(servers, json_pack("{s:s, s:o, s:o}", "name", row->server->latest->name,
                                                 "before_bytes", json_bytes(row->before_bytes), "after_bytes",
                                                 json_bytes(row->after_bytes)));
    }
    return json_pack("{s:o, s:b, s:o}", "servers", servers, "feasible", feasible, "reason",
                     string_or_null(refusal ? refusal->message : NULL));
}

static void append_flow(const char *from, const char *to, uint64_t bytes, gpointer array)
{
    json_array_append_new(array,
                          json_pack("{s:s, s:s, s:o}", "from", from, "to", to, "bytes", json_bytes(bytes)));
}

/* Newest first, of those servers that the caller may see. */
static json_t *visible_decisions(const Call *call, guint limit)
{
    g_autoptr(GPtrArray) recent = journal_recent(engine_journal(call->engine), NULL, G_MAXUINT);
    json_t *array = json_array();
    for (guint i = 0; i < recent->len && json_array_size(array) < limit; i++) {
        const JournalEntry *entry = recent->pdata[i];
        if (caller_may_see(call->caller, call->store, entry->server_id))
            json_array_append_new(array, json_of_decision(entry, call_is_operator(call)));
    }
    return array;
}

static json_t *method_journal(Call *call, GError **error)
{
    uint64_t limit = DECISIONS_DEFAULT;
    if (!json_member_uint64(call->params, "limit", FALSE, &limit, error) && *error)
        return NULL;
    if (limit < 1 || limit > DECISIONS_MAX) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "limit must be from 1 to %d",
                    DECISIONS_MAX);
        return NULL;
    }
    json_t *flows = json_array();
    if (call_is_operator(call))
        journal_flows(engine_journal(call->engine), append_flow, flows);
    json_t *decisions = call->server ? decisions_of(call, call->server->latest->id, (guint)limit)
                                     : visible_decisions(call, (guint)limit);
    return json_pack("{s:o, s:o}", "decisions", decisions, "flows", flows);
}

static const MethodRow ROWS[] = {
    {"list", method_list, ACCESS_ACCOUNT, FALSE},
    {"show", method_show, ACCESS_SERVER, FALSE},
    {"explain", method_explain, ACCESS_SERVER, FALSE},
    {"set", method_set, ACCESS_SERVER, TRUE},
    {"preview", method_preview, ACCESS_OPERATOR_SERVER, FALSE},
    {"journal", method_journal, ACCESS_SERVER_OR_ALL, FALSE},
};
const MethodTable methods_server = {ROWS, G_N_ELEMENTS(ROWS)};
