/* The engine's hands: sends targets, hears what became of them, and writes down both. */
#include "engine/engine_private.h"
#include "base/error.h"
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* A request that was refused is tried again after this long, from fresh facts. */
#define RETRY_US SECOND_US
/* In observe mode a proposal is written down again only when it differs by this share of the maximum. */
#define PROPOSAL_SHARE 50

typedef struct {
    Engine *engine;
    Backend *backend;
    char *id;
    guint64 sequence; /* of the journal entry */
    ServerFacts facts;
    PlanRow row;
    uint64_t boot_count;
} Request;

static const char *most_waiting(Engine *engine)
{
    const Tracked *most = NULL;
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        if (!most || tracked->row.short_bytes > most->row.short_bytes)
            most = tracked;
    }
    return most && most->row.short_bytes > 0 ? most->latest->name : NULL;
}

static JournalEntry *write_down(Engine *engine, Tracked *tracked, gboolean would)
{
    const PlanRow *row = &tracked->row;
    JournalEntry *entry = journal_entry_new(tracked->latest->id, tracked->latest->name);
    entry->move = row->move;
    entry->from_bytes = tracked->facts.target_bytes;
    entry->to_bytes = row->target_bytes;
    entry->used_bytes = tracked->demand.used_bytes;
    entry->need_bytes = tracked->demand.need_bytes;
    entry->allocation_bytes = row->allocation_bytes;
    gboolean grant = row->move == MOVE_GRANT_NEED || row->move == MOVE_GRANT_SURPLUS;
    if (grant && !would)
        entry->sources = journal_spent(engine->journal, tracked->latest->name,
                                       u64_sub_sat(row->target_bytes, tracked->facts.target_bytes));
    const char *waiter = row->move == MOVE_RECLAIM_URGENT ? most_waiting(engine) : NULL;
    entry->text = journal_sentence(entry, waiter, would);
    return journal_add(engine->journal, entry);
}

static void request_free(Request *request)
{
    g_free(request->id);
    g_free(request);
}

static void accepted(Request *request, Tracked *tracked)
{
    tracked->target_bytes = request->row.target_bytes;
    int64_t now_us = g_get_monotonic_time();
    plan_carried_out(&tracked->track.move, &request->facts, &request->row, now_us);
    if (request->row.move == MOVE_NUDGE)
        tracked->nudged_us = now_us;
}

/* Timed out is not refused: the larger of both targets may be in force until the balloon shows which. */
static void refused(Request *request, Tracked *tracked, const GError *error)
{
    if (g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT))
        tracked->target_bytes = u64_max(tracked->target_bytes, request->row.target_bytes);
    tracked->retry_us = g_get_monotonic_time() + RETRY_US;
}

static void on_target_set(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Request *request = user_data;
    Engine *engine = request->engine;
    Tracked *tracked = engine_by_id(engine, request->backend, request->id);
    gboolean same_boot = tracked && tracked->boot_count == request->boot_count;
    if (tracked)
        tracked->busy = FALSE;
    if (same_boot && !error)
        accepted(request, tracked);
    else if (tracked && error)
        refused(request, tracked, error);
    JournalEntry *entry = journal_by_sequence(engine->journal, request->sequence);
    if (entry) {
        entry->performed = error == NULL;
        entry->error = error ? g_strdup(error->message) : NULL;
        engine_emit(engine, ENGINE_EVENT_DECISION, entry);
    }
    request_free(request);
}

static void send_target(Engine *engine, Tracked *tracked)
{
    JournalEntry *entry = write_down(engine, tracked, FALSE);
    Request *request = g_new0(Request, 1);
    request->engine = engine;
    request->backend = tracked->backend;
    request->id = g_strdup(tracked->latest->id);
    request->sequence = entry->sequence;
    request->facts = tracked->facts;
    request->row = tracked->row;
    request->boot_count = tracked->boot_count;
    tracked->busy = TRUE;
    tracked->asked_bytes = tracked->row.target_bytes;
    tracked->backend->ops->set_target(tracked->backend, request->id, request->row.target_bytes, on_target_set,
                                      request);
}

static void propose(Engine *engine, Tracked *tracked)
{
    uint64_t target = tracked->row.target_bytes;
    uint64_t off = target > tracked->proposed_bytes ? target - tracked->proposed_bytes
                                                    : tracked->proposed_bytes - target;
    if (tracked->proposed_bytes != 0 && off < tracked->latest->maximum_bytes / PROPOSAL_SHARE)
        return;
    tracked->proposed_bytes = target;
    engine_emit(engine, ENGINE_EVENT_DECISION, write_down(engine, tracked, TRUE));
}

void engine_act(Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        if (tracked->row.hold == HOLD_MANUAL_OVERRIDE)
            tracked->target_bytes = tracked->latest->balloon_bytes;
        if (tracked->row.move == MOVE_NONE)
            continue;
        if (engine->host.mode == MODE_OBSERVE)
            propose(engine, tracked);
        else
            send_target(engine, tracked);
    }
}

typedef struct {
    Engine *engine;
    Backend *backend;
    char *id;
} Ask;

static void on_asked(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Ask *ask = user_data;
    Engine *engine = ask->engine;
    Tracked *tracked = engine_by_id(engine, ask->backend, ask->id);
    if (tracked)
        tracked->asking_fresh = FALSE;
    g_free(ask->id);
    g_free(ask);
}

static gboolean wants_fresh(const Engine *engine, const Tracked *tracked)
{
    const PlanRow *row = &tracked->row;
    if (tracked->busy || tracked->asking_fresh || tracked->facts.fixed != FIXED_NO || hold_pins(row->hold))
        return FALSE;
    gboolean moves = tracked->latest->balloon_bytes != tracked->target_bytes;
    gboolean gives = engine->host.totals.someone_waits && row->target_bytes > tracked->demand.floor_bytes;
    return moves || gives || row->short_bytes > 0;
}

void engine_ask_fresh(Engine *engine)
{
    if (engine->host.mode == MODE_OBSERVE)
        return;
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        if (!wants_fresh(engine, tracked))
            continue;
        Ask *ask = g_new0(Ask, 1);
        ask->engine = engine;
        ask->backend = tracked->backend;
        ask->id = g_strdup(tracked->latest->id);
        tracked->asking_fresh = TRUE;
        tracked->backend->ops->ask_fresh(tracked->backend, ask->id, on_asked, ask);
    }
}
