/* Host, servers and decisions as JSON: the fields of the outside interfaces, nothing invented where nothing is known. */
#include "base/json.h"
#include "control/methods.h"
#include "engine/ballooning.h"
#include "engine/explain.h"
#include "engine/reservation.h"
#include "policy/reasons.h"

/* An agent speaks once a second; three times unheard, it is taken to be gone. */
#define AGENT_SILENT_US INT64_C(3500000)
#include "store/accounts.h"

static void set(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

/* What a hypervisor or a library says in its own words need not be UTF-8, and a field must not be missing for that. */
static json_t *string_or_null(const char *text)
{
    if (!text)
        return json_null();
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return json_string(valid);
}

static json_t *strings_of(GPtrArray *texts)
{
    json_t *array = json_array();
    for (guint i = 0; i < texts->len; i++)
        json_array_append_new(array, string_or_null(texts->pdata[i]));
    return array;
}

static const char *state_name(EngineState state)
{
    static const char *const names[] = {
        [ENGINE_STARTING] = "starting",           [ENGINE_OK] = "ok",
        [ENGINE_OVERCOMMITTED] = "overcommitted", [ENGINE_INFEASIBLE] = "infeasible",
        [ENGINE_DISCONNECTED] = "disconnected",
    };
    return names[state];
}

static json_t *backends_of(Engine *engine)
{
    json_t *array = json_array();
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        json_t *one = json_object();
        set(one, "name", json_string(known->backend->ops->name));
        set(one, "uri", json_string(known->uri));
        set(one, "connected", json_boolean(known->connected));
        set(one, "problem", string_or_null(known->problem));
        json_array_append_new(array, one);
    }
    return array;
}

static void set_account(json_t *object, Engine *engine)
{
    const EngineHost *host = engine_host(engine);
    const Ledger *ledger = &host->totals.ledger;
    gboolean known = host->beats > 0;
    set(object, "pool_bytes", json_bytes_or_null(known ? host->pool_bytes : UNKNOWN));
    set(object, "committed_bytes", json_bytes_or_null(known ? ledger->committed_bytes : UNKNOWN));
    set(object, "slack_bytes",
        json_bytes_or_null(known ? u64_min(ledger->free_bytes, host->slack_wanted_bytes) : UNKNOWN));
    set(object, "memory_bytes", json_bytes_or_null(known ? host->memory_bytes : UNKNOWN));
    set(object, "available_bytes", json_bytes_or_null(known ? host->available_bytes : UNKNOWN));
    const struct {
        const char *name;
        uint64_t bytes;
    } figures[] = {
        {"free_bytes", ledger->free_bytes},
        {"over_bytes", ledger->over_bytes},
        {"fixed_bytes", ledger->fixed_bytes},
        {"overhead_bytes", ledger->overhead_bytes},
        {"short_bytes", host->totals.short_bytes},
        {"reclaiming_bytes", host->totals.reclaiming_bytes},
        {"slack_wanted_bytes", host->slack_wanted_bytes},
        {"reboot_safe_bytes", ledger->reboot_safe_bytes},
        {"committed_peak_bytes", host->committed_peak_bytes},
    };
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++)
        set(object, figures[i].name, json_bytes_or_null(known ? figures[i].bytes : UNKNOWN));
    set(object, "reserved_bytes", json_bytes(engine_reserved_bytes(engine)));
    set(object, "over_seconds", json_real(host->over_seconds));
}

json_t *json_of_host(Engine *engine)
{
    const EngineHost *host = engine_host(engine);
    g_autoptr(GPtrArray) problems = explain_problems(engine);
    json_t *object = json_object();
    set(object, "version", json_string(AEROSTAT_VERSION));
    set(object, "mode", json_string(host->mode == MODE_MANAGE ? "manage" : "observe"));
    set(object, "state", json_string(state_name(host->state)));
    set_account(object, engine);
    set(object, "pressure_some_avg10",
        host->pressure_some_avg10 < 0 ? json_null() : json_real(host->pressure_some_avg10));
    set(object, "servers", json_integer(host->servers));
    set(object, "beats", json_integer((json_int_t)host->beats));
    set(object, "relief_p50_us", json_bytes_or_null(host->relief_p50_us));
    set(object, "relief_p99_us", json_bytes_or_null(host->relief_p99_us));
    set(object, "first_grant_p50_us", json_bytes_or_null(host->first_grant_p50_us));
    set(object, "first_grant_p99_us", json_bytes_or_null(host->first_grant_p99_us));
    set(object, "uptime_us", json_integer(host->uptime_us));
    set(object, "problems", strings_of(problems));
    set(object, "backends", backends_of(engine));
    return object;
}

static json_t *ballooning_of(const Tracked *tracked)
{
    BallooningStatus status = ballooning_status(tracked);
    FixedReason fixed = tracked->decided ? tracked->facts.fixed : tracked->latest->fixed;
    HoldReason hold = tracked->decided ? tracked->row.hold : HOLD_NO;
    const char *reason = fixed != FIXED_NO ? fixed_name(fixed) : (hold != HOLD_NO ? hold_name(hold) : NULL);
    json_t *object = json_object();
    set(object, "state", json_string(ballooning_state_name(status.state)));
    set(object, "available", json_boolean(status.state != BALLOON_UNAVAILABLE));
    set(object, "reason",
        string_or_null(status.state == BALLOON_UNAVAILABLE ? fixed_name(status.reason) : reason));
    set(object, "sentence", string_or_null(status.sentence));
    return object;
}

/* Nothing when it is off; nothing known when it runs and the ledger has not seen it yet. */
static json_t *committed_of(const Tracked *tracked)
{
    if (!tracked_counts(tracked))
        return json_bytes(0);
    if (!tracked->decided)
        return json_null();
    return json_bytes(u64_add_sat(tracked->row.held_bytes, tracked->facts.overhead_bytes));
}

static void set_figures(json_t *object, Engine *engine, const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    gboolean on = tracked_counts(tracked), decided = on && tracked->decided;
    set(object, "maximum_bytes", json_bytes(latest->maximum_bytes));
    set(object, "minimum_bytes", json_bytes(tracked_minimum(tracked, engine_defaults(engine))));
    set(object, "weight", json_integer(tracked_weight(tracked, engine_defaults(engine))));
    set(object, "balloon_bytes", json_bytes_or_null(on ? latest->balloon_bytes : UNKNOWN));
    set(object, "target_bytes", json_bytes_or_null(on ? tracked->target_bytes : UNKNOWN));
    set(object, "used_bytes", json_bytes_or_null(decided ? tracked->demand.used_bytes : UNKNOWN));
    set(object, "resident_bytes",
        json_bytes_or_null(on && latest->pid > 0 ? latest->resident_bytes : UNKNOWN));
    set(object, "demand_bytes",
        json_bytes_or_null(decided && tracked->demand.known ? tracked->demand.need_bytes : UNKNOWN));
    set(object, "committed_bytes", committed_of(tracked));
    set(object, "overhead_bytes",
        json_bytes_or_null(on ? tracked_overhead(tracked, engine_defaults(engine)) : UNKNOWN));
    set(object, "allocation_bytes", json_bytes_or_null(decided ? tracked->row.allocation_bytes : UNKNOWN));
    set(object, "floor_bytes", json_bytes_or_null(decided ? tracked->demand.floor_bytes : UNKNOWN));
    set(object, "short_bytes", json_bytes(decided ? tracked->row.short_bytes : 0));
}

/* null until an agent has spoken. */
static json_t *agent_of(const Tracked *tracked)
{
    const AgentSample *said = tracked->agent ? agent_channel_latest(tracked->agent) : NULL;
    if (!said)
        return json_null();
    json_t *object = json_object();
    int64_t age_us = g_get_monotonic_time() - agent_channel_heard_us(tracked->agent);
    set(object, "version", json_string(said->version));
    set(object, "connected",
        json_boolean(agent_channel_connected(tracked->agent) && age_us < AGENT_SILENT_US));
    set(object, "age_us", json_integer(age_us));
    set(object, "dropped", json_integer((json_int_t)agent_channel_dropped(tracked->agent)));
    return object;
}

json_t *json_of_server(Engine *engine, const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    gboolean decided = tracked_counts(tracked) && tracked->decided;
    json_t *object = json_object();
    set(object, "name", json_string(latest->name));
    set(object, "id", json_string(latest->id));
    set(object, "kind", json_string(latest->kind == SERVER_KIND_LXC ? "lxc" : "kvm"));
    set(object, "state", json_string(tracked_state(tracked)));
    set_figures(object, engine, tracked);
    set(object, "ballooning", ballooning_of(tracked));
    set(object, "unlimited", json_boolean(latest->unlimited));
    set(object, "driver", string_or_null(latest->driver));
    set(object, "operation", tracked->operation ? json_integer(tracked->operation) : json_null());
    set(object, "agent", agent_of(tracked));
    set(object, "stalled_us", json_bytes_or_null(tracked->stalled_us));
    set(object, "waited_us", json_integer(tracked->waited_us));
    set(object, "relief_us",
        tracked->last_waited_us > 0 ? json_integer(tracked->last_waited_us) : json_null());
    set(object, "minimum_own", json_boolean(tracked->settings.has_minimum));
    set(object, "weight_own", json_boolean(tracked->settings.has_weight));
    set(object, "revision", json_integer((json_int_t)tracked->settings.revision));
    Store *store = engine_store(engine);
    set(object, "owner", string_or_null(store ? store_owner(store, latest->id) : NULL));
    FixedReason fixed = decided ? tracked->facts.fixed : latest->fixed;
    set(object, "fixed", fixed != FIXED_NO ? json_string(fixed_name(fixed)) : json_null());
    gboolean held = decided && tracked->row.hold != HOLD_NO;
    set(object, "hold", held ? json_string(hold_name(tracked->row.hold)) : json_null());
    gboolean waits = decided && tracked->row.wait != WAIT_NONE;
    set(object, "waiting", waits ? json_string(wait_name(tracked->row.wait)) : json_null());
    gboolean sampled = decided && tracked->sample_us != 0;
    set(object, "statistics_age_us",
        sampled ? json_integer(g_get_monotonic_time() - tracked->sample_us) : json_null());
    return object;
}

/* "free" is nobody's. */
static const char *source_name(const JournalEntry *entry, const JournalSource *source, gboolean names)
{
    gboolean own = g_strcmp0(source->from, entry->server) == 0 || g_str_equal(source->from, "free");
    return names || own ? source->from : "others";
}

static json_t *sources_of(const JournalEntry *entry, gboolean names)
{
    json_t *array = json_array();
    const GPtrArray *sources = entry->sources;
    for (guint i = 0; sources && i < sources->len; i++) {
        const JournalSource *source = sources->pdata[i];
        json_array_append_new(array, json_pack("{s:s, s:o}", "from", source_name(entry, source, names),
                                               "bytes", json_bytes(source->bytes)));
    }
    return array;
}

static json_t *relief_of(const JournalEntry *entry)
{
    const Rise *rise = &entry->rise;
    if (rise->waits == 0)
        return json_null();
    json_t *object = json_object();
    set(object, "began_unix_us", json_integer(entry->rise_unix_us));
    set(object, "first_grant_us", json_integer(rise->first_grant_us));
    set(object, "relief_us", json_integer(rise->longest_us));
    set(object, "lasted_us", json_integer(rise->lasted_us));
    set(object, "waits", json_integer(rise->waits));
    set(object, "bytes", json_bytes(rise->got_bytes));
    return object;
}

static json_t *burst_of(const JournalEntry *entry)
{
    if (entry->burst_bytes == 0)
        return json_null();
    return json_pack("{s:o, s:I}", "bytes", json_bytes(entry->burst_bytes), "within_us",
                     (json_int_t)entry->burst_us);
}

json_t *json_of_decision(const JournalEntry *entry, gboolean names)
{
    json_t *object = json_object();
    set(object, "time_us", json_integer(entry->wall_us));
    set(object, "time_unix_us", json_integer(entry->wall_us));
    set(object, "sent_unix_us", entry->sent_us ? json_integer(entry->sent_us) : json_null());
    set(object, "answered_unix_us", entry->answered_us ? json_integer(entry->answered_us) : json_null());
    set(object, "server", string_or_null(entry->server));
    set(object, "move", json_string(entry->move == MOVE_NONE ? "note" : move_name(entry->move)));
    gboolean note = entry->move == MOVE_NONE;
    set(object, "from_bytes", json_bytes_or_null(note ? UNKNOWN : entry->from_bytes));
    set(object, "to_bytes", json_bytes_or_null(note ? UNKNOWN : entry->to_bytes));
    set(object, "used_bytes", json_bytes_or_null(entry->used_bytes));
    set(object, "need_bytes", json_bytes_or_null(note ? UNKNOWN : entry->need_bytes));
    set(object, "allocation_bytes", json_bytes_or_null(note ? UNKNOWN : entry->allocation_bytes));
    set(object, "text", string_or_null(names || !entry->private_text ? entry->text : entry->private_text));
    set(object, "performed", json_boolean(entry->performed));
    set(object, "error", string_or_null(entry->error));
    set(object, "sources", sources_of(entry, names));
    set(object, "burst", burst_of(entry));
    set(object, "relief", relief_of(entry));
    return object;
}
