/* Engine events to subscribers; a server's only when it has changed. */
#include "base/json.h"
#include "control/methods.h"

struct MethodsPublisher {
    Engine *engine;
    ControlServer *server;
    GHashTable *last; /* backend and id -> json_t* last sent */
};

static char *key_of(const Tracked *tracked)
{
    return g_strdup_printf("%p %s", (void *)tracked->backend, tracked->latest->id);
}

typedef struct {
    MethodsPublisher *publisher;
    GHashTable *there; /* keys */
} Roll;

static void tell_gone(MethodsPublisher *publisher, json_t *last)
{
    g_autoptr(json_t) data = json_pack("{s:O}", "name", json_object_get(last, "name"));
    const char *id = json_string_value(json_object_get(last, "id"));
    control_server_emit(publisher->server, "gone", id, data, NULL);
}

static gboolean is_gone(gpointer key, gpointer value, gpointer user_data)
{
    const Roll *roll = user_data;
    if (g_hash_table_contains(roll->there, key))
        return FALSE;
    tell_gone(roll->publisher, value);
    return TRUE;
}

/* Servers come and go for as long as somebody listens: only those there are stay remembered. */
static void forget_gone(MethodsPublisher *publisher)
{
    GPtrArray *servers = engine_servers(publisher->engine);
    if (g_hash_table_size(publisher->last) <= servers->len)
        return;
    g_autoptr(GHashTable) there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < servers->len; i++)
        g_hash_table_add(there, key_of(servers->pdata[i]));
    Roll roll = {publisher, there};
    g_hash_table_foreach_remove(publisher->last, is_gone, &roll);
}

static void publish_server(MethodsPublisher *publisher, const Tracked *tracked)
{
    g_autoptr(json_t) now = json_of_server(publisher->engine, tracked);
    g_autoptr(json_t) compared = json_deep_copy(now);
    json_object_del(compared, "statistics_age_us");
    json_object_del(json_object_get(compared, "agent"), "age_us");
    g_autofree char *key = key_of(tracked);
    json_t *before = g_hash_table_lookup(publisher->last, key);
    if (before && json_equal(before, compared))
        return;
    /* To whoever knows servers by name a new name is another server. */
    if (before && !json_equal(json_object_get(before, "name"), json_object_get(now, "name")))
        tell_gone(publisher, before);
    g_hash_table_insert(publisher->last, g_steal_pointer(&key), g_steal_pointer(&compared));
    control_server_emit(publisher->server, "server", tracked->latest->id, now, NULL);
}

static void publish_decision(MethodsPublisher *publisher, const JournalEntry *decision)
{
    g_autoptr(json_t) whole = json_of_decision(decision, TRUE);
    g_autoptr(json_t) restricted = json_of_decision(decision, FALSE);
    control_server_emit(publisher->server, "decision", decision->server_id, whole, restricted);
}

static void on_engine_event(Engine *engine, EngineEvent event, gconstpointer subject, gpointer user_data)
{
    MethodsPublisher *publisher = user_data;
    if (control_server_subscribers(publisher->server) == 0) {
        g_hash_table_remove_all(publisher->last);
        return;
    }
    if (event == ENGINE_EVENT_SERVER) {
        publish_server(publisher, subject);
        return;
    }
    if (event == ENGINE_EVENT_BEAT)
        forget_gone(publisher);
    if (event == ENGINE_EVENT_DECISION) {
        publish_decision(publisher, subject);
        return;
    }
    g_autoptr(json_t) host = json_of_host(engine);
    control_server_emit(publisher->server, "host", NULL, host, NULL);
}

static void drop_json(gpointer value)
{
    json_decref(value);
}

MethodsPublisher *methods_publisher_new(Engine *engine, ControlServer *server)
{
    MethodsPublisher *publisher = g_new0(MethodsPublisher, 1);
    publisher->engine = engine;
    publisher->server = server;
    publisher->last = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, drop_json);
    engine_listen(engine, on_engine_event, publisher);
    return publisher;
}

void methods_publisher_free(MethodsPublisher *publisher)
{
    if (!publisher)
        return;
    engine_listen(publisher->engine, NULL, NULL);
    g_hash_table_unref(publisher->last);
    g_free(publisher);
}
