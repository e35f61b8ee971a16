/* Sentences from the newest decision; the figures are the ones the policy used. */
#include "engine/explain.h"
#include "base/size.h"
#include "policy/reasons.h"

/* More names than this make no sentence. */
#define NAMES_SHOWN 3

typedef struct {
    const char *name;
    uint64_t bytes;
} Amount;

static void add(GPtrArray *sentences, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add(GPtrArray *sentences, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_ptr_array_add(sentences, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

/* Flows are sums over the daemon's life; a server that has its memory back, by whatever way, has lent nothing. */
uint64_t explain_lent(Engine *engine, const Tracked *from, const Tracked *to)
{
    const BackendServer *giver = from->latest, *taker = to->latest;
    if (from == to || !tracked_counts(from) || !tracked_counts(to))
        return 0;
    uint64_t missing = u64_sub_sat(giver->maximum_bytes, giver->balloon_bytes);
    return u64_min(journal_lent(engine_journal(engine), giver->id, taker->id), missing);
}

char *explain_summary(Engine *engine, const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    g_autofree char *maximum = size_format(latest->maximum_bytes);
    if (!tracked_counts(tracked))
        return g_strdup_printf("%s is off. It was sold %s and holds nothing now.", latest->name, maximum);
    g_autofree char *balloon = size_format(latest->balloon_bytes);
    gboolean whole = latest->balloon_bytes >= latest->maximum_bytes;
    g_autofree char *has = whole ? g_strdup_printf("has all of its %s", maximum)
                                 : g_strdup_printf("has %s of its %s available now", balloon, maximum);
    if (!tracked->decided || tracked->demand.used_bytes == UNKNOWN)
        return g_strdup_printf("%s %s; it has not said yet what it uses.", latest->name, has);
    g_autofree char *used = size_format(tracked->demand.used_bytes);
    return g_strdup_printf("%s %s and uses %s.", latest->name, has, used);
}

static void add_demand(GPtrArray *sentences, const Tracked *tracked)
{
    const Demand *demand = &tracked->demand;
    if (!demand->known)
        return;
    g_autofree char *need = size_format(demand->need_bytes),
                    *working_set = size_format(demand->working_set_bytes);
    g_autofree char *headroom = size_format(u64_sub_sat(demand->need_bytes, demand->working_set_bytes));
    add(sentences, "It needs %s: a working set of %s and %s of headroom for what it may touch next.", need,
        working_set, headroom);
}

static void insert_amount(Amount *top, guint *n, Amount amount)
{
    guint at = *n < NAMES_SHOWN ? (*n)++ : NAMES_SHOWN - 1;
    if (at == NAMES_SHOWN - 1 && *n == NAMES_SHOWN && top[at].name && top[at].bytes >= amount.bytes)
        return;
    top[at] = amount;
    for (; at > 0 && top[at - 1].bytes < top[at].bytes; at--) {
        Amount moved = top[at - 1];
        top[at - 1] = top[at];
        top[at] = moved;
    }
}

static char *amounts_text(const Amount *top, guint n)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < n; i++) {
        g_autofree char *size = size_format(top[i].bytes);
        g_string_append_printf(text, "%s%s from %s", i == 0 ? "" : (i + 1 == n ? " and " : ", "), size,
                               top[i].name);
    }
    return g_string_free(text, FALSE);
}

static guint top_donors(Engine *engine, const Tracked *tracked, Amount *top)
{
    guint n = 0;
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *other = engine_servers(engine)->pdata[i];
        if (other == tracked || !other->decided || !tracked_counts(other) || other->facts.fixed != FIXED_NO ||
            hold_pins(other->row.hold) || !other->demand.known)
            continue;
        uint64_t idle = u64_sub_sat(other->facts.balloon_bytes, other->demand.need_bytes);
        if (idle >= MIB)
            insert_amount(top, &n, (Amount){other->latest->name, idle});
    }
    return n;
}

static guint top_holders(Engine *engine, const Tracked *tracked, Amount *top)
{
    guint n = 0;
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *other = engine_servers(engine)->pdata[i];
        uint64_t lent = explain_lent(engine, tracked, other);
        if (lent >= MIB)
            insert_amount(top, &n, (Amount){other->latest->name, lent});
    }
    return n;
}

static void add_lent(GPtrArray *sentences, Engine *engine, const Tracked *tracked, gboolean names)
{
    uint64_t lent = u64_sub_sat(tracked->latest->maximum_bytes, tracked->latest->balloon_bytes);
    HoldReason hold = tracked->row.hold;
    gboolean boots =
        hold == HOLD_STARTING || hold == HOLD_REBOOTING; /* it has all of it, whatever `actual` says */
    if (lent < MIB || boots || tracked->facts.fixed != FIXED_NO)
        return;
    Amount holders[NAMES_SHOWN] = {0}, donors[NAMES_SHOWN] = {0};
    guint n_holders = names ? top_holders(engine, tracked, holders) : 0,
          n_donors = top_donors(engine, tracked, donors);
    g_autofree char *size = size_format(lent);
    GString *whom = g_string_new(NULL);
    uint64_t left = lent;
    for (guint i = 0; i < n_holders && left >= MIB; i++) {
        uint64_t bytes = u64_min(holders[i].bytes, left);
        left -= bytes;
        g_autofree char *part = size_format(bytes);
        g_string_append_printf(whom, "%s%s went to %s",
                               i == 0 ? ", of which " : (i + 1 == n_holders ? " and " : ", "), part,
                               holders[i].name);
    }
    add(sentences, "The other %s are in the host's pool for whoever needs them%s.", size, whom->str);
    g_string_free(whom, TRUE);
    g_autofree char *ready = size_format(u64_min(engine_host(engine)->totals.ledger.free_bytes, lent));
    g_autofree char *idle = amounts_text(donors, n_donors);
    if (n_donors > 0 && !names)
        add(sentences,
            "When it needs more it gets up to %s of free memory at once, then what other servers leave idle.",
            ready);
    else if (n_donors > 0)
        add(sentences,
            "When it needs more it gets up to %s of free memory at once, then what others leave idle: %s.",
            ready, idle);
    else
        add(sentences,
            "When it needs more it gets up to %s of free memory at once; nobody has anything idle beyond "
            "that.",
            ready);
}

static void add_state(GPtrArray *sentences, const Tracked *tracked)
{
    const PlanRow *row = &tracked->row;
    if (tracked->facts.fixed != FIXED_NO) {
        add(sentences, "It is fixed and counts at its maximum. %s", fixed_sentence(tracked->facts.fixed));
        if (fixed_remedy(tracked->facts.fixed))
            add(sentences, "%s", fixed_remedy(tracked->facts.fixed));
        return;
    }
    if (row->hold != HOLD_NO)
        add(sentences, "%s", hold_sentence(row->hold));
    if (row->hold != HOLD_NO && hold_remedy(row->hold))
        add(sentences, "%s", hold_remedy(row->hold));
    if (row->move == MOVE_NONE && row->wait != WAIT_HELD && row->wait != WAIT_FIXED)
        add(sentences, "%s", wait_sentence(row->wait));
    if (row->short_bytes >= MIB) {
        g_autofree char *missing = size_format(row->short_bytes);
        add(sentences, "It is %s short of what it needs.", missing);
    }
}

static void add_share(GPtrArray *sentences, Engine *engine, const Tracked *tracked)
{
    if (tracked->facts.fixed != FIXED_NO)
        return;
    g_autofree char *share = size_format(tracked->row.allocation_bytes);
    g_autofree char *minimum = size_format(tracked->facts.minimum_bytes);
    g_autofree char *floor = size_format(tracked->demand.floor_bytes);
    add(sentences,
        "Its fair share now is %s at weight %u; it keeps its minimum of %s under any pressure, and nothing "
        "below %s is "
        "taken while it uses what it uses.",
        share, tracked->facts.weight, minimum, floor);
    if (engine_host(engine)->mode == MODE_OBSERVE)
        add(sentences, "The daemon only observes: nothing is moved. `aerostat mode manage` lets it act.");
}

GPtrArray *explain_sentences(Engine *engine, const Tracked *tracked, gboolean names)
{
    GPtrArray *sentences = g_ptr_array_new_with_free_func(g_free);
    if (!tracked_counts(tracked) || !tracked->decided)
        return sentences;
    add_demand(sentences, tracked);
    add_lent(sentences, engine, tracked, names);
    add_state(sentences, tracked);
    add_share(sentences, engine, tracked);
    return sentences;
}

static void add_host_state(GPtrArray *problems, Engine *engine)
{
    const EngineHost *host = engine_host(engine);
    g_autofree char *pool = size_format(host->pool_bytes);
    if (host->state == ENGINE_OVERCOMMITTED) {
        g_autofree char *over = size_format(host->totals.ledger.over_bytes);
        add(problems,
            "Servers hold %s more than the pool of %s: only reclaims happen until it holds again. Stop a "
            "server, "
            "or enlarge [host] pool.",
            over, pool);
    }
    if (host->state == ENGINE_INFEASIBLE) {
        g_autofree char *floors = size_format(host->totals.floors_bytes);
        add(problems,
            "Minima, fixed servers and overhead add up to %s, and the pool is %s: nothing is touched. Lower "
            "minima "
            "(`aerostat set NAME --minimum SIZE`), stop a server, or enlarge [host] pool.",
            floors, pool);
    }
}

GPtrArray *explain_problems(Engine *engine)
{
    GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
    add_host_state(problems, engine);
    g_autofree char *unwritten = engine_store(engine) ? store_problem(engine_store(engine)) : NULL;
    if (unwritten)
        add(problems, "History cannot be recorded now: %s. Memory is shared all the same.", unwritten);
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (!known->connected)
            add(problems, "No connection to %s: %s. It is tried again and again; guests keep what they have.",
                known->uri, known->problem);
    }
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *tracked = engine_servers(engine)->pdata[i];
        if (!tracked->decided || !tracked_counts(tracked))
            continue;
        if (tracked->facts.fixed == FIXED_NO_DRIVER)
            add(problems, "%s: %s %s", tracked->latest->name, fixed_sentence(FIXED_NO_DRIVER),
                fixed_remedy(FIXED_NO_DRIVER));
        else if (hold_remedy(tracked->row.hold) && tracked->facts.fixed == FIXED_NO)
            add(problems, "%s: %s %s", tracked->latest->name, hold_sentence(tracked->row.hold),
                hold_remedy(tracked->row.hold));
    }
    return problems;
}
