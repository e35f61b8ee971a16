/* Agents: what guests say of themselves, as it comes; under pressure the next beat does not wait. */
#include "engine/engine_private.h"

/* A guest under pressure is looked at as often as one that waits, and costs the others no more than that, whatever it
 * says. */
#define HURRY_US INT64_C(200000)

typedef struct {
    Engine *engine;
    Tracked *tracked;
} Listener;

static void on_heard(const AgentSample *sample, int64_t said_us, gpointer user_data)
{
    Listener *listener = user_data;
    Tracked *tracked = listener->tracked;
    int64_t now_us = g_get_monotonic_time();
    tracked_hear(tracked, sample, said_us);
    if (!sample->pressure || now_us - tracked->agent_hurried_us < HURRY_US)
        return;
    tracked->agent_hurried_us = now_us;
    engine_hurry(listener->engine);
}

static void follow(Engine *engine, Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    const char *path = tracked_counts(tracked) ? latest->agent_path : NULL;
    if (tracked->agent && g_strcmp0(agent_channel_path(tracked->agent), path) == 0) {
        agent_channel_set_maximum(tracked->agent, latest->maximum_bytes); /* memory can be plugged in */
        return;
    }
    g_clear_pointer(&tracked->agent, agent_channel_free);
    tracked->agent_us = 0;
    if (!path)
        return;
    Listener *listener = g_new0(Listener, 1);
    listener->engine = engine;
    listener->tracked = tracked;
    tracked->agent = agent_channel_new(path, latest->maximum_bytes, on_heard, listener, g_free);
}

void engine_follow_agents(Engine *engine)
{
    for (guint i = 0; i < engine->servers->len; i++)
        follow(engine, engine->servers->pdata[i]);
}
