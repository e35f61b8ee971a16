#include "engine/chronicle.h"
#include <string.h>
#include "engine/engine_private.h"
#include "store/history.h"

typedef struct {
    uint64_t sum;
    guint n;
} Mean;

#define SERVER_FIGURES 6
#define HOST_FIGURES   4

typedef struct {
    char *name;
    Mean figures[SERVER_FIGURES];
    uint64_t stalled_us;
} Gathered;

struct Chronicle {
    Store *store;
    int64_t step_s;      /* of the step that is being gathered; 0: none yet */
    GHashTable *servers; /* id -> Gathered */
    Mean host[HOST_FIGURES];
    double pressure;
    guint pressures;
    gboolean told; /* that it cannot record */
};

static void gathered_free(gpointer data)
{
    Gathered *gathered = data;
    g_free(gathered->name);
    g_free(gathered);
}

Chronicle *chronicle_new(Store *store)
{
    Chronicle *chronicle = g_new0(Chronicle, 1);
    chronicle->store = store;
    chronicle->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, gathered_free);
    return chronicle;
}

void chronicle_free(Chronicle *chronicle)
{
    if (!chronicle)
        return;
    g_hash_table_unref(chronicle->servers);
    g_free(chronicle);
}

static void mean_add(Mean *mean, uint64_t value)
{
    if (value == UNKNOWN)
        return;
    mean->sum = u64_add_sat(mean->sum, value);
    mean->n++;
}

static uint64_t mean_of(const Mean *mean)
{
    return mean->n ? mean->sum / mean->n : UNKNOWN;
}

static void add_server(Chronicle *chronicle, const char *id, const Gathered *gathered, HistoryStep *step)
{
    HistoryServer *server = g_new0(HistoryServer, 1);
    server->id = g_strdup(id);
    server->name = g_strdup(gathered->name);
    const Mean *means = gathered->figures;
    server->figures = (HistoryFigures){
        .balloon_bytes = mean_of(&means[0]),
        .used_bytes = mean_of(&means[1]),
        .resident_bytes = mean_of(&means[2]),
        .target_bytes = mean_of(&means[3]),
        .maximum_bytes = mean_of(&means[4]),
        .demand_bytes = mean_of(&means[5]),
        .stalled_us = gathered->stalled_us,
    };
    g_ptr_array_add(step->servers, server);
}

static void hand_over(Chronicle *chronicle)
{
    HistoryStep *step = history_step_new(chronicle->step_s);
    step->host = (HistoryHost){
        .committed_bytes = mean_of(&chronicle->host[0]),
        .pool_bytes = mean_of(&chronicle->host[1]),
        .slack_bytes = mean_of(&chronicle->host[2]),
        .available_bytes = mean_of(&chronicle->host[3]),
        .pressure = chronicle->pressures ? chronicle->pressure / chronicle->pressures : -1,
    };
    GHashTableIter iter;
    gpointer id, gathered;
    g_hash_table_iter_init(&iter, chronicle->servers);
    while (g_hash_table_iter_next(&iter, &id, &gathered))
        add_server(chronicle, id, gathered, step);
    g_hash_table_remove_all(chronicle->servers);
    memset(chronicle->host, 0, sizeof chronicle->host);
    chronicle->pressure = 0;
    chronicle->pressures = 0;
    history_append(chronicle->store, step);
}

/* What has been added to its stall since the last look. */
static uint64_t stalled_since(Tracked *tracked)
{
    uint64_t now = tracked->stalled_us, before = tracked->chronicled_stalled_us;
    tracked->chronicled_stalled_us = now;
    return now == UNKNOWN || before == UNKNOWN ? 0 : u64_sub_sat(now, before);
}

/* Only servers that run: one that is off leaves a gap, not a line at zero. */
static void gather_server(Chronicle *chronicle, Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    if (!tracked_counts(tracked))
        return;
    Gathered *gathered = g_hash_table_lookup(chronicle->servers, latest->id);
    if (!gathered) {
        gathered = g_new0(Gathered, 1);
        g_hash_table_insert(chronicle->servers, g_strdup(latest->id), gathered);
    }
    g_free(gathered->name);
    gathered->name = g_strdup(latest->name);
    const uint64_t now[SERVER_FIGURES] = {
        latest->balloon_bytes,
        tracked->decided ? tracked->demand.used_bytes : UNKNOWN,
        latest->pid > 0 ? latest->resident_bytes : UNKNOWN,
        tracked->target_bytes,
        latest->maximum_bytes,
        tracked->decided && tracked->demand.known ? tracked->demand.need_bytes : UNKNOWN,
    };
    for (guint i = 0; i < SERVER_FIGURES; i++)
        mean_add(&gathered->figures[i], now[i]);
    gathered->stalled_us = u64_add_sat(gathered->stalled_us, stalled_since(tracked));
}

static void gather_host(Chronicle *chronicle, const EngineHost *host)
{
    const Ledger *ledger = &host->totals.ledger;
    const uint64_t now[HOST_FIGURES] = {ledger->committed_bytes, host->pool_bytes,
                                        u64_min(ledger->free_bytes, host->slack_wanted_bytes),
                                        host->available_bytes};
    for (guint i = 0; i < HOST_FIGURES; i++)
        mean_add(&chronicle->host[i], now[i]);
    if (host->pressure_some_avg10 < 0)
        return;
    chronicle->pressure += host->pressure_some_avg10;
    chronicle->pressures++;
}

static void tell_problem(Chronicle *chronicle, Engine *engine)
{
    g_autofree char *problem = store_problem(chronicle->store);
    if ((problem != NULL) == chronicle->told)
        return;
    chronicle->told = problem != NULL;
    g_autofree char *text = problem ? g_strdup_printf("History cannot be recorded now: %s", problem)
                                    : g_strdup("History is recorded again.");
    engine_note(engine, text);
}

void chronicle_beat(Chronicle *chronicle, Engine *engine, int64_t now_s)
{
    int64_t step_s = now_s / HISTORY_STEP_S * HISTORY_STEP_S;
    if (chronicle->step_s != 0 && step_s != chronicle->step_s) {
        hand_over(chronicle);
        tell_problem(chronicle, engine);
    }
    chronicle->step_s = step_s;
    gather_host(chronicle, &engine->host);
    for (guint i = 0; i < engine->servers->len; i++)
        gather_server(chronicle, engine->servers->pdata[i]);
}
