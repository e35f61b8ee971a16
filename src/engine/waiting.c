/* Who waits for memory, since when and until when; and what is told about it when it is over. */
#include "base/size.h"
#include "engine/engine_private.h"

/* Waits this close belong to one rise, and what it came to is told once. */
#define RISE_PAUSE_US INT64_C(2000000)
/* More names than this make no sentence. */
#define NAMES_TOLD 3

static gboolean can_wait(const Tracked *tracked)
{
    return tracked->facts.fixed == FIXED_NO && !hold_pins(tracked->row.hold) && tracked->demand.known;
}

static uint64_t band_of(const Engine *engine, const Tracked *tracked)
{
    uint64_t band = tracked->row.allocation_bytes / 1000 * engine->params.band_permille;
    return u64_max(band, engine->params.quantum_bytes);
}

/* When it last had what it needed, as far as anybody can tell: before its residency began to grow; or between two samples, the
 * second of which shows it short of @has_bytes, when its use had risen to that if it rose evenly. */
static int64_t had_enough_us(const Tracked *tracked, uint64_t has_bytes, int64_t now_us)
{
    const ReliefEpisode *relief = &tracked->relief;
    uint64_t enough = tracked->demand.enough_bytes;
    if (tracked->track.burst.bursting)
        return tracked->track.burst.quiet_us;
    if (relief->fine_us == 0 || relief->fine_us >= tracked->facts.sample_us || enough <= relief->fine_bytes)
        return tracked->sample_before_us != 0 ? tracked->sample_before_us : now_us;
    double part = (double)u64_sub_sat(has_bytes, relief->fine_bytes) / (double)(enough - relief->fine_bytes);
    double passed_us = (double)(tracked->facts.sample_us - relief->fine_us) * MIN(part, 1);
    return relief->fine_us + (int64_t)passed_us;
}

static void look_for_wait(Engine *engine, Tracked *tracked, int64_t now_us)
{
    const Demand *demand = &tracked->demand;
    uint64_t has = u64_add_sat(tracked->facts.balloon_bytes, band_of(engine, tracked));
    gboolean squeezed = demand->enough_bytes > has;
    gboolean bursts = tracked->track.burst.bursting && demand->need_bytes > has;
    if (squeezed || bursts) {
        relief_begin(&tracked->relief, had_enough_us(tracked, has, now_us), demand->need_bytes);
        return;
    }
    tracked->relief.fine_us = tracked->facts.sample_us;
    tracked->relief.fine_bytes = demand->enough_bytes;
}

static void count_wait(Engine *engine, Tracked *tracked, int64_t now_us)
{
    int64_t waited_us = relief_end(&tracked->relief, now_us);
    tracked->waited_us += waited_us;
    tracked->last_waited_us = waited_us;
    relief_add(&engine->relief, (uint64_t)waited_us);
    engine->host.relief_p50_us = relief_percentile(&engine->relief, 500);
    engine->host.relief_p99_us = relief_percentile(&engine->relief, 990);
}

static void look_for_end(Engine *engine, Tracked *tracked, int64_t now_us)
{
    ReliefEpisode *relief = &tracked->relief;
    uint64_t has = u64_add_sat(tracked->facts.balloon_bytes, band_of(engine, tracked));
    uint64_t goal = u64_min(relief->goal_bytes, tracked->facts.maximum_bytes);
    const Demand *demand = &tracked->demand;
    /* It was short for a moment, and is no more: the rest of its headroom is not what it waits for. What it was granted must have
     * come, and a burst must have told that it is over: one that has filled its balloon looks as quiet. */
    gboolean come =
        relief->granted_us == 0 ||
        u64_add_sat(tracked->facts.balloon_bytes, engine->params.quantum_bytes) >= tracked->target_bytes;
    gboolean told =
        !tracked->track.burst.bursting && tracked->facts.sample_us >= tracked->track.burst.grew_us;
    gboolean passed = come && told && tracked->facts.balloon_bytes >= demand->enough_bytes;
    /* It has what it asked for when the wait began, or what it asks for now: it may need less than it did. */
    if (passed || (has >= demand->enough_bytes && (has >= goal || has >= demand->need_bytes)))
        count_wait(engine, tracked, now_us);
}

static void append_amounts(GString *text, const GPtrArray *sources, const char *server, gboolean names)
{
    guint told = 0;
    for (guint i = 0; sources && i < sources->len && told < NAMES_TOLD; i++) {
        const JournalSource *source = sources->pdata[i];
        if (source->bytes < MIB || g_strcmp0(source->from, server) == 0)
            continue;
        g_autofree char *size = size_format(source->bytes);
        gboolean is_free = g_str_equal(source->from, "free");
        g_string_append_printf(text, "%s%s %s", told == 0 ? "" : ", ", size, is_free ? "of slack" : "from ");
        if (!is_free)
            g_string_append(text, names ? source->from : "another server");
        told++;
    }
}

static void append_part(GString *text, const char *label, const GPtrArray *sources, const char *server,
                        gboolean names)
{
    g_autoptr(GString) amounts = g_string_new(NULL);
    append_amounts(amounts, sources, server, names);
    if (amounts->len > 0)
        g_string_append_printf(text, "; %s %s", label, amounts->str);
}

/* @names: FALSE leaves out what other servers are called, which is not their neighbour's business. */
static char *sentence_of(const Tracked *tracked, gboolean names)
{
    const Rise *rise = &tracked->relief.rise;
    g_autofree char *got = size_format(rise->got_bytes);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%s got the first of %s %.0f ms after it began to need it, ",
                           tracked->latest->name, got, (double)rise->first_grant_us / 1e3);
    g_string_append_printf(text, "and never waited longer than %.0f ms", (double)rise->longest_us / 1e3);
    append_part(text, "paid with", tracked->relief.paid, tracked->latest->name, names);
    append_part(text, "meanwhile asked back", tracked->relief.helped, tracked->latest->name, names);
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

static void tell(Engine *engine, Tracked *tracked, int64_t now_us)
{
    if (tracked->relief.rise.first_grant_us >= 0) {
        JournalEntry *entry = journal_entry_new(tracked->latest->id, tracked->latest->name);
        entry->performed = TRUE;
        entry->rise = tracked->relief.rise;
        entry->rise_unix_us = entry->wall_us - (now_us - tracked->relief.rise.began_us);
        entry->text = sentence_of(tracked, TRUE);
        entry->private_text = sentence_of(tracked, FALSE);
        engine_emit(engine, ENGINE_EVENT_DECISION, journal_add(engine->journal, entry));
    }
    relief_told(&tracked->relief);
}

void engine_end_rise(Engine *engine, Tracked *tracked, int64_t now_us)
{
    if (relief_over(&tracked->relief, RISE_PAUSE_US, now_us))
        tell(engine, tracked, now_us);
}

void engine_measure_relief(Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        if (!can_wait(tracked)) {
            relief_clear(&tracked->relief);
            tracked->relief.ended_us = now_us; /* no wait began before */
            continue;
        }
        if (tracked->relief.since_us != 0)
            look_for_end(engine, tracked, now_us);
        /* Before the next wait begins, which may be at once. */
        engine_end_rise(engine, tracked, now_us);
        if (tracked->relief.since_us == 0)
            look_for_wait(engine, tracked, now_us);
    }
}

static void add_source(GPtrArray **sources, const char *id, const char *from, uint64_t bytes)
{
    if (!*sources)
        *sources = g_ptr_array_new_with_free_func((GDestroyNotify)journal_source_free);
    for (guint i = 0; i < (*sources)->len; i++) {
        JournalSource *known = (*sources)->pdata[i];
        if (g_str_equal(known->id, id)) {
            known->bytes = u64_add_sat(known->bytes, bytes);
            return;
        }
    }
    g_ptr_array_add(*sources, journal_source_new(id, from, bytes));
}

static void note_grant(Engine *engine, Tracked *tracked, const JournalEntry *entry, int64_t now_us)
{
    int64_t waited_us =
        relief_granted(&tracked->relief, u64_sub_sat(entry->to_bytes, entry->from_bytes), now_us);
    if (waited_us >= 0) {
        relief_add(&engine->first_grants, (uint64_t)waited_us);
        engine->host.first_grant_p50_us = relief_percentile(&engine->first_grants, 500);
        engine->host.first_grant_p99_us = relief_percentile(&engine->first_grants, 990);
    }
    for (guint i = 0; entry->sources && i < entry->sources->len && tracked->relief.rise.waits > 0; i++) {
        const JournalSource *source = entry->sources->pdata[i];
        add_source(&tracked->relief.paid, source->id, source->from, source->bytes);
    }
}

static void note_help(Engine *engine, const Tracked *donor, const JournalEntry *entry)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        Tracked *tracked = engine->counted->pdata[i];
        if (tracked != donor && tracked->relief.rise.waits > 0)
            add_source(&tracked->relief.helped, donor->latest->id, donor->latest->name,
                       u64_sub_sat(entry->from_bytes, entry->to_bytes));
    }
}

void engine_note_sent(Engine *engine, Tracked *tracked, const JournalEntry *entry, int64_t now_us)
{
    if (entry->to_bytes > entry->from_bytes && entry->move == MOVE_GRANT_NEED)
        note_grant(engine, tracked, entry, now_us);
    else if (entry->to_bytes < entry->from_bytes)
        note_help(engine, tracked, entry);
}
