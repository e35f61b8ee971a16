#include "engine/preview.h"
#include "engine/engine_private.h"

typedef struct {
    HostFacts host;
    GArray *facts, *tracks;
    Decision *decision;
} Trial;

static Trial trial_new(Engine *engine)
{
    Trial trial = {
        .host = {.pool_bytes = engine_pool_to_share(engine, engine->counted->len),
                 .slack_bytes = engine->host.slack_wanted_bytes},
        .facts = g_array_new(FALSE, FALSE, sizeof(ServerFacts)),
        .tracks = g_array_new(FALSE, FALSE, sizeof(ServerTrack)),
        .decision = decision_new(),
    };
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        g_array_append_val(trial.facts, tracked->facts);
        g_array_append_val(trial.tracks, tracked->track);
    }
    return trial;
}

static void trial_decide(Trial *trial, const Engine *engine)
{
    decision_make(&trial->host, (ServerFacts *)(void *)trial->facts->data,
                  (ServerTrack *)(void *)trial->tracks->data, trial->facts->len, &engine->params,
                  engine->last_decided_us, trial->decision);
}

static void trial_clear(Trial *trial)
{
    g_array_unref(trial->facts);
    g_array_unref(trial->tracks);
    decision_free(trial->decision);
}

/* The settings, for as long as it takes to ask what follows from them. */
static void apply(Trial *trial, Engine *engine, const Tracked *tracked, const ServerSettings *settings)
{
    Tracked wished = *tracked;
    wished.settings = *settings;
    for (guint i = 0; i < engine->counted->len; i++)
        if (engine->counted->pdata[i] == tracked) {
            ServerFacts *facts = &g_array_index(trial->facts, ServerFacts, i);
            facts->minimum_bytes = tracked_minimum(&wished, &engine->defaults);
            facts->weight = tracked_weight(&wished, &engine->defaults);
        }
}

GArray *engine_preview(Engine *engine, const Tracked *tracked, const ServerSettings *settings)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(PreviewRow));
    if (engine->host.beats == 0)
        return rows;
    /* Both by the same way, so that what differs is due to the settings alone. */
    Trial before = trial_new(engine), after = trial_new(engine);
    apply(&after, engine, tracked, settings);
    trial_decide(&before, engine);
    trial_decide(&after, engine);
    for (guint i = 0; i < engine->counted->len; i++) {
        PreviewRow row = {engine->counted->pdata[i], before.decision->allocations[i],
                          after.decision->allocations[i]};
        g_array_append_val(rows, row);
    }
    trial_clear(&before);
    trial_clear(&after);
    return rows;
}
