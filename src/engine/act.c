/* The engine's hands: sends targets, hears what became of them, and writes down both. */
#include "engine/engine_private.h"
#include "base/error.h"
#include "base/size.h"

/* In observe mode a proposal is written down again only when it differs by this share of the maximum. */
#define PROPOSAL_SHARE 50

typedef struct {
    Engine *engine;
    Backend *backend;
    char *id;
    guint64 sequence;   /* of the journal entry */
    GPtrArray *sources; /* (nullable) what it is paid with */
    ServerFacts facts;
    PlanRow row;
    uint64_t boot_count;
} Request;

/* Whom an urgent reclaim is for. */
static const char *most_waiting(const Engine *engine)
{
    const Tracked *most = NULL;
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        if (!most || tracked->row.short_bytes > most->row.short_bytes)
            most = tracked;
    }
    return most && most->row.short_bytes > 0 ? most->latest->name : NULL;
}

/* What the ledger is charged for the row: what a server holds already is not paid again. */
static uint64_t cost_of(const Engine *engine, const Tracked *tracked)
{
    return u64_sub_sat(ledger_held_with_target(&tracked->facts, &engine->params, tracked->row.target_bytes),
                       ledger_held(&tracked->facts, &engine->params));
}

static JournalEntry *entry_of(Engine *engine, const Tracked *tracked)
{
    const PlanRow *row = &tracked->row;
    gboolean would = engine->host.mode == MODE_OBSERVE;
    JournalEntry *entry = journal_entry_new(tracked->latest->id, tracked->latest->name);
    entry->move = row->move;
    entry->from_bytes = tracked->facts.target_bytes;
    entry->to_bytes = row->target_bytes;
    entry->used_bytes = tracked->demand.used_bytes;
    entry->need_bytes = tracked->demand.need_bytes;
    entry->allocation_bytes = row->allocation_bytes;
    uint64_t cost = cost_of(engine, tracked);
    if (cost > 0 && !would)
        entry->sources = journal_spend(engine->journal, cost);
    return entry;
}

static void write_sentences(JournalEntry *entry, const char *waiter, gboolean would)
{
    entry->text = journal_sentence(entry, waiter, would, TRUE);
    entry->private_text = journal_sentence(entry, waiter, would, FALSE);
}

static JournalEntry *write_down(Engine *engine, Tracked *tracked, const char *waiter)
{
    JournalEntry *entry = entry_of(engine, tracked);
    gboolean urgent = tracked->row.move == MOVE_RECLAIM_URGENT;
    write_sentences(entry, urgent ? waiter : NULL, engine->host.mode == MODE_OBSERVE);
    return journal_add(engine->journal, entry);
}

static void request_free(Request *request)
{
    if (request->sources)
        g_ptr_array_unref(request->sources);
    g_free(request->id);
    g_free(request);
}

/* The hypervisor may have carried it out although nobody could say so. */
static gboolean outcome_unknown(const GError *error)
{
    return g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT) ||
           g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
}

static void answered(Request *request, Tracked *tracked, const GError *error, int64_t now_us)
{
    const PlanRow *row = &request->row;
    gboolean same_boot = tracked->boot_count == request->boot_count;
    if (!error && same_boot) {
        gboolean rebooting = tracked->was_reset && !tracked->settled;
        tracked_accepted(tracked, row->move, row->target_bytes, now_us);
        /* What is confirmed after a reset is no nudge: that is still to come. */
        if (!rebooting || row->move == MOVE_NUDGE)
            plan_carried_out(&tracked->track.move, &request->facts, row, &request->engine->params, now_us);
    } else if (!error || outcome_unknown(error)) {
        tracked_uncertain(tracked, row->move, row->target_bytes, now_us);
        plan_uncertain(&tracked->track.move, now_us);
    } else {
        tracked_refused(tracked, now_us);
        plan_dropped(&tracked->track.move);
    }
}

void engine_no_promises(Engine *engine, const GError *error)
{
    if (engine->promises_fail)
        return;
    engine->promises_fail = TRUE;
    g_autofree char *text = g_strdup_printf(
        "If this daemon is killed, the next one will not know which raises were under way: %s",
        error->message);
    engine_note(engine, text);
}

void engine_keep_promise(Engine *engine, Tracked *tracked)
{
    g_autoptr(GError) error = NULL;
    const EngineBackend *known = engine_backend_of(engine, tracked->backend);
    uint64_t promised = tracked_promised(tracked);
    if (promised == tracked->noted_bytes)
        return;
    /* What could not be written is tried again with the next look. */
    if (promised == 0)
        promises_kept(engine->promises, known->uri, tracked->latest->id);
    else if (!promises_note(engine->promises, known->uri, tracked->latest->id, promised, &error))
        return engine_no_promises(engine, error);
    tracked->noted_bytes = promised;
}

static void on_target_set(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Request *request = user_data;
    Engine *engine = request->engine;
    Tracked *tracked = engine_by_id(engine, request->backend, request->id);
    if (tracked) {
        tracked->busy = FALSE;
        answered(request, tracked, error, g_get_monotonic_time());
        engine_keep_promise(engine, tracked);
    }
    gboolean moved = tracked && (!error || outcome_unknown(error));
    if (request->sources && moved)
        journal_spent(engine->journal, tracked->latest->id, tracked->latest->name, request->sources);
    else if (request->sources)
        journal_unspent(engine->journal, request->sources);
    JournalEntry *entry = journal_by_sequence(engine->journal, request->sequence);
    if (entry) {
        entry->performed = error == NULL;
        entry->answered_us = g_get_real_time();
        entry->error = error ? g_strdup(error->message) : NULL;
        engine_emit(engine, ENGINE_EVENT_DECISION, entry);
    }
    request_free(request);
}

static void send_target(Engine *engine, Tracked *tracked, const PlanRow *row, JournalEntry *entry)
{
    Request *request = g_new0(Request, 1);
    request->engine = engine;
    request->backend = tracked->backend;
    request->id = g_strdup(tracked->latest->id);
    request->sequence = entry->sequence;
    request->sources = entry->sources ? g_ptr_array_ref(entry->sources) : NULL;
    request->facts = tracked->facts;
    request->row = *row;
    request->boot_count = tracked->boot_count;
    tracked->busy = TRUE;
    tracked->asked_bytes = row->target_bytes;
    if (row->move == MOVE_NUDGE)
        tracked->nudged_balloon_bytes = tracked->facts.balloon_bytes;
    /* Before it is sent: what comes after a killed daemon must know of it. */
    engine_keep_promise(engine, tracked);
    entry->sent_us = g_get_real_time();
    engine_note_sent(engine, tracked, entry, g_get_monotonic_time());
    /* May answer at once: the request is not ours any more. */
    tracked->backend->ops->set_target(tracked->backend, request->id, row->target_bytes, on_target_set,
                                      request);
}

/* Asks for the larger of what may be in force: it is counted already, and after that it is known. */
static void confirm(Engine *engine, Tracked *tracked)
{
    Move move = tracked->unsure_move;
    gboolean reclaim = move == MOVE_RECLAIM_URGENT || move == MOVE_RECLAIM_CALM;
    PlanRow row = {.move = reclaim ? MOVE_WITHDRAW : move, .target_bytes = tracked->facts.target_bytes};
    JournalEntry *entry = journal_entry_new(tracked->latest->id, tracked->latest->name);
    entry->move = row.move;
    entry->from_bytes = entry->to_bytes = row.target_bytes;
    entry->used_bytes = tracked->demand.used_bytes;
    entry->need_bytes = tracked->demand.need_bytes;
    entry->allocation_bytes = tracked->row.allocation_bytes;
    g_autofree char *size = size_format(row.target_bytes);
    entry->text = g_strdup_printf(
        "%s is asked for %s again: it is not known what became of the last request.", entry->server, size);
    send_target(engine, tracked, &row, journal_add(engine->journal, entry));
}

static void propose(Engine *engine, Tracked *tracked, const char *waiter)
{
    if (tracked->row.move == MOVE_NUDGE)
        tracked_observe_reset(tracked);
    uint64_t target = tracked->row.target_bytes;
    uint64_t off = target > tracked->proposed_bytes ? target - tracked->proposed_bytes
                                                    : tracked->proposed_bytes - target;
    if (tracked->proposed_bytes != 0 && off < tracked->latest->maximum_bytes / PROPOSAL_SHARE)
        return;
    tracked->proposed_bytes = target;
    engine_emit(engine, ENGINE_EVENT_DECISION, write_down(engine, tracked, waiter));
}

/* Minima beyond the pool are for people to mend: until then only what a guest holds anyway is given back to it. */
static gboolean may_act(const Engine *engine, Move move)
{
    if (engine->host.totals.infeasible)
        return move == MOVE_DISTRESS || move == MOVE_WITHDRAW;
    return move != MOVE_NONE;
}

static void act_on(Engine *engine, Tracked *tracked, const char *waiter, int64_t now_us)
{
    gboolean observes = engine->host.mode == MODE_OBSERVE;
    if (tracked->row.hold == HOLD_MANUAL_OVERRIDE)
        tracked->target_bytes = tracked->latest->balloon_bytes;
    if (tracked->unsure && observes && !tracked->busy)
        tracked_adopt(tracked, now_us);
    else if (tracked_wants_confirmation(tracked, now_us) &&
             engine_backend_of(engine, tracked->backend)->connected)
        confirm(engine, tracked);
    if (tracked->row.move == MOVE_NONE)
        return;
    gboolean may = may_act(engine, tracked->row.move);
    if (may && !observes) {
        send_target(engine, tracked, &tracked->row, write_down(engine, tracked, waiter));
        return;
    }
    plan_dropped(&tracked->track.move);
    if (may)
        propose(engine, tracked, waiter);
}

void engine_act(Engine *engine, int64_t now_us)
{
    const char *waiter = most_waiting(engine);
    for (guint i = 0; i < engine->counted->len; i++)
        act_on(engine, engine->counted->pdata[i], waiter, now_us);
}

void engine_grant_burst(Engine *engine, Tracked *tracked, const PlanRow *row, int64_t now_us)
{
    BurstState *burst = &tracked->track.burst;
    Wait before = tracked->row.wait;
    tracked->row = *row;
    JournalEntry *entry = entry_of(engine, tracked);
    entry->burst_bytes = u64_sub_sat(burst->looked_bytes, burst->quiet_bytes);
    entry->burst_us = now_us - burst->quiet_us;
    write_sentences(entry, NULL, FALSE);
    journal_add(engine->journal, entry);
    burst->granted = true;
    engine->granted_since_bytes =
        u64_add_sat(engine->granted_since_bytes,
                    u64_sub_sat(row->target_bytes, ledger_held(&tracked->facts, &engine->params)));
    engine_end_rise(engine, tracked, now_us);
    relief_begin(&tracked->relief, burst->quiet_us, row->target_bytes);
    send_target(engine, tracked, row, entry);
    /* What the last decision planned for it has been carried out: this is not to be taken for a part of that. */
    tracked->row.move = MOVE_NONE;
    tracked->row.wait = before;
    tracked->row.short_bytes = u64_sub_sat(tracked->demand.need_bytes, row->target_bytes);
}

/* Each answer takes some milliseconds of an emulated guest's processor, most wanted just then. */
#define ASK_PAUSE_US INT64_C(80000)
/* A donor is busy giving for longer than that, and one that has room for longer can wait as well. */
#define ASK_LESS_US INT64_C(200000)
/* Statistics come once a second by themselves. */
#define SPOKEN_US INT64_C(1000000)
/* Asks go the same way as grants, which are not to wait behind them. */
#define REFILLS_AT_ONCE 4

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

/* Whose answer is waited for, and not only useful. */
static gboolean is_pressing(const Engine *engine, const Tracked *tracked, int64_t now_us)
{
    return tracked_stirs(tracked, now_us) || now_us < tracked->burst_until_us ||
           tracked->row.short_bytes > engine->params.quantum_bytes;
}

gboolean engine_can_ask(const Engine *engine, const Tracked *tracked)
{
    const ServerFacts *facts = &tracked->facts;
    return engine->host.mode != MODE_OBSERVE && !tracked->busy && !facts->busy && !tracked->asking_fresh &&
           facts->fixed == FIXED_NO && !hold_pins(tracked->row.hold);
}

static gboolean may_be_asked(const Engine *engine, const Tracked *tracked, int64_t now_us)
{
    if (!engine_can_ask(engine, tracked))
        return FALSE;
    /* Residency shows what it touches meanwhile, as long as it has room to. */
    gboolean shows = tracked->track.burst.bursting && tracked->latest->reports_free_pages &&
                     !demand_is_blind(&tracked->demand, &tracked->facts, &engine->params);
    gboolean hurries = is_pressing(engine, tracked, now_us) && !tracked_has_room(tracked) && !shows;
    return now_us - tracked->asked_fresh_us >= (hurries ? ASK_PAUSE_US : ASK_LESS_US);
}

/* Its newest sample has been acted on, or is one that would have been followed by another from any guest that speaks. */
static gboolean has_spent_sample(const Tracked *tracked, int64_t now_us)
{
    const ServerFacts *facts = &tracked->facts;
    return facts->sample_us == tracked->track.move.reclaim_sample_us ||
           now_us - facts->sample_us >= SPOKEN_US;
}

/* By what its newest sample says, no more can be asked back. */
static gboolean has_nothing_left(const Engine *engine, const Tracked *tracked)
{
    const PlanRow *row = &tracked->row;
    uint64_t kept = u64_max(row->allocation_bytes, demand_floor(&tracked->demand, &engine->params));
    return row->target_bytes < u64_add_sat(kept, engine->params.quantum_bytes);
}

/* @waits: somebody does; @soon: or is about to. What nobody is in a hurry for is decided on the statistics that come by
 * themselves. */
static gboolean wants_fresh(const Engine *engine, const Tracked *tracked, gboolean waits, gboolean soon,
                            int64_t now_us)
{
    uint64_t balloon = tracked->facts.balloon_bytes, target = tracked->target_bytes;
    gboolean moves = u64_max(balloon, target) - u64_min(balloon, target) > engine->params.quantum_bytes;
    gboolean has_more = tracked->row.target_bytes > tracked->demand.floor_bytes;
    gboolean tells = has_spent_sample(tracked, now_us) || (waits && has_nothing_left(engine, tracked));
    return (waits && moves) || ((waits || soon) && has_more && tells) ||
           is_pressing(engine, tracked, now_us) || tracked_is_due(tracked, &engine->params, now_us);
}

static void ask_now(Engine *engine, Tracked *tracked, int64_t now_us)
{
    Ask *asked = g_new0(Ask, 1);
    asked->engine = engine;
    asked->backend = tracked->backend;
    asked->id = g_strdup(tracked->latest->id);
    tracked->asking_fresh = TRUE;
    tracked->asked_fresh_us = now_us;
    tracked->backend->ops->ask_fresh(tracked->backend, asked->id, on_asked, asked);
}

/* With little slack left the next burst would have to wait for a donor: who may have done with what it was granted is asked,
 * a few at a time. */
static void ask_for_refill(Engine *engine, int64_t now_us)
{
    guint n_asked = 0;
    for (guint i = 0; i < engine->counted->len && n_asked < REFILLS_AT_ONCE; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        if (!tracked_has_spare(tracked, &engine->params, now_us) || !may_be_asked(engine, tracked, now_us))
            continue;
        ask_now(engine, tracked, now_us);
        n_asked++;
    }
}

void engine_ask_fresh(Engine *engine)
{
    int64_t now_us = g_get_monotonic_time();
    /* What one takes that bursts comes from what is kept free, as long as there is enough of it. */
    gboolean ready = engine->host.totals.ledger.free_bytes > engine->host.slack_wanted_bytes;
    gboolean waits = engine->host.totals.someone_waits, soon = !ready && engine_bursting(engine, now_us);
    /* Few are asked at a time; the others wait for their turn. */
    for (int pressing = 1; pressing >= 0; pressing--)
        for (guint i = 0; i < engine->counted->len; i++) {
            Tracked *tracked = engine->counted->pdata[i];
            if (is_pressing(engine, tracked, now_us) == pressing && may_be_asked(engine, tracked, now_us) &&
                wants_fresh(engine, tracked, waits, soon, now_us))
                ask_now(engine, tracked, now_us);
        }
    if (engine_is_scarce(engine))
        ask_for_refill(engine, now_us);
}
