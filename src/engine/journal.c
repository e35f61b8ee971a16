/* Keeps decisions and the flow of memory between servers. */
#include "engine/journal.h"
#include <string.h>
#include "base/u64.h"

/* Stand for pool memory that nobody held, where a server's id and name would stand. */
#define FREE_ID   ""
#define FREE_NAME "free"

typedef struct {
    char *from, *to; /* names */
    uint64_t bytes;
} Flow;

struct Journal {
    GQueue entries; /* JournalEntry, oldest first */
    guint capacity;
    guint64 next_sequence;
    GQueue returned; /* JournalSource, oldest first */
    uint64_t returned_bytes;
    GTree *flows; /* "id\nid" of giver and taker -> Flow */
};

void journal_source_free(JournalSource *source)
{
    g_free(source->id);
    g_free(source->from);
    g_free(source);
}

static void flow_free(gpointer data)
{
    Flow *flow = data;
    g_free(flow->from);
    g_free(flow->to);
    g_free(flow);
}

JournalSource *journal_source_new(const char *id, const char *from, uint64_t bytes)
{
    JournalSource *source = g_new0(JournalSource, 1);
    source->id = g_strdup(id);
    source->from = g_strdup(from);
    source->bytes = bytes;
    return source;
}

static void entry_free(gpointer data)
{
    JournalEntry *entry = data;
    g_free(entry->server_id);
    g_free(entry->server);
    g_free(entry->error);
    g_free(entry->text);
    g_free(entry->private_text);
    if (entry->sources)
        g_ptr_array_unref(entry->sources);
    g_free(entry);
}

static int compare_keys(gconstpointer a, gconstpointer b, gpointer user_data)
{
    return strcmp(a, b);
}

Journal *journal_new(guint capacity)
{
    Journal *journal = g_new0(Journal, 1);
    journal->capacity = MAX(capacity, 1);
    journal->next_sequence = 1;
    g_queue_init(&journal->entries);
    g_queue_init(&journal->returned);
    journal->flows = g_tree_new_full(compare_keys, NULL, g_free, flow_free);
    return journal;
}

void journal_free(Journal *journal)
{
    if (!journal)
        return;
    g_queue_clear_full(&journal->entries, entry_free);
    g_queue_clear_full(&journal->returned, (GDestroyNotify)journal_source_free);
    g_tree_unref(journal->flows);
    g_free(journal);
}

JournalEntry *journal_entry_new(const char *server_id, const char *server)
{
    JournalEntry *entry = g_new0(JournalEntry, 1);
    entry->server_id = g_strdup(server_id);
    entry->server = g_strdup(server);
    entry->wall_us = g_get_real_time();
    entry->used_bytes = UNKNOWN;
    return entry;
}

JournalEntry *journal_add(Journal *journal, JournalEntry *entry)
{
    entry->sequence = journal->next_sequence++;
    g_queue_push_tail(&journal->entries, entry);
    while (journal->entries.length > journal->capacity)
        entry_free(g_queue_pop_head(&journal->entries));
    return entry;
}

JournalEntry *journal_by_sequence(Journal *journal, guint64 sequence)
{
    for (GList *link = journal->entries.tail; link; link = link->prev) {
        JournalEntry *entry = link->data;
        if (entry->sequence == sequence)
            return entry;
        if (entry->sequence < sequence)
            break;
    }
    return NULL;
}

GPtrArray *journal_recent(Journal *journal, const char *server_id, guint limit)
{
    GPtrArray *found = g_ptr_array_new();
    for (GList *link = journal->entries.tail; link && found->len < limit; link = link->prev) {
        JournalEntry *entry = link->data;
        if (!server_id || g_strcmp0(entry->server_id, server_id) == 0)
            g_ptr_array_add(found, entry);
    }
    return found;
}

void journal_returned(Journal *journal, const char *id, const char *name, uint64_t bytes)
{
    if (bytes == 0)
        return;
    journal->returned_bytes += bytes;
    JournalSource *last = g_queue_peek_tail(&journal->returned);
    if (last && g_str_equal(last->id, id))
        last->bytes += bytes;
    else
        g_queue_push_tail(&journal->returned, journal_source_new(id, name, bytes));
}

/* Takes up to @bytes from the head of the queue into @into (nullable), one source a giver. */
static uint64_t take_returned(Journal *journal, uint64_t bytes, GPtrArray *into)
{
    uint64_t taken = 0;
    while (taken < bytes && journal->returned.length > 0) {
        JournalSource *head = g_queue_peek_head(&journal->returned);
        uint64_t part = MIN(head->bytes, bytes - taken);
        head->bytes -= part;
        taken += part;
        JournalSource *known = NULL;
        for (guint i = 0; into && i < into->len; i++)
            if (g_str_equal(((JournalSource *)into->pdata[i])->id, head->id))
                known = into->pdata[i];
        if (known)
            known->bytes += part;
        else if (into)
            g_ptr_array_add(into, journal_source_new(head->id, head->from, part));
        if (head->bytes == 0)
            journal_source_free(g_queue_pop_head(&journal->returned));
    }
    journal->returned_bytes -= taken;
    return taken;
}

void journal_queue_limit(Journal *journal, uint64_t free_bytes)
{
    if (journal->returned_bytes > free_bytes)
        take_returned(journal, journal->returned_bytes - free_bytes, NULL);
}

typedef struct {
    const char *key;
    uint64_t bytes;
} Smallest;

static gboolean note_smallest(gpointer key, gpointer value, gpointer data)
{
    Smallest *smallest = data;
    uint64_t bytes = ((const Flow *)value)->bytes;
    if (!smallest->key || bytes < smallest->bytes)
        *smallest = (Smallest){key, bytes};
    return FALSE;
}

/* Under the names that both have now: a server may have been renamed. */
static void add_flow(Journal *journal, const JournalSource *source, const char *to_id, const char *to)
{
    g_autofree char *key = g_strdup_printf("%s\n%s", source->id, to_id);
    const Flow *before = g_tree_lookup(journal->flows, key);
    Flow *flow = g_new0(Flow, 1);
    flow->from = g_strdup(source->from);
    flow->to = g_strdup(to);
    flow->bytes = u64_add_sat(before ? before->bytes : 0, source->bytes);
    if (before) {
        g_tree_insert(journal->flows, g_steal_pointer(&key), flow);
        return;
    }
    if (g_tree_nnodes(journal->flows) >= JOURNAL_FLOWS_MAX) {
        Smallest smallest = {0};
        g_tree_foreach(journal->flows, note_smallest, &smallest);
        g_tree_remove(journal->flows, smallest.key);
    }
    g_tree_insert(journal->flows, g_steal_pointer(&key), flow);
}

GPtrArray *journal_spend(Journal *journal, uint64_t bytes)
{
    GPtrArray *sources = g_ptr_array_new_with_free_func((GDestroyNotify)journal_source_free);
    uint64_t taken = take_returned(journal, bytes, sources);
    if (taken < bytes)
        g_ptr_array_add(sources, journal_source_new(FREE_ID, FREE_NAME, bytes - taken));
    return sources;
}

void journal_spent(Journal *journal, const char *id, const char *name, const GPtrArray *sources)
{
    for (guint i = 0; i < sources->len; i++) {
        const JournalSource *source = sources->pdata[i];
        if (!g_str_equal(source->id, id))
            add_flow(journal, source, id, name);
    }
}

void journal_unspent(Journal *journal, const GPtrArray *sources)
{
    for (guint i = sources->len; i > 0; i--) {
        const JournalSource *source = sources->pdata[i - 1];
        if (g_str_equal(source->id, FREE_ID))
            continue;
        g_queue_push_head(&journal->returned, journal_source_new(source->id, source->from, source->bytes));
        journal->returned_bytes += source->bytes;
    }
}

typedef struct {
    JournalFlowFunc func;
    gpointer user_data;
} FlowVisit;

static gboolean visit_flow(gpointer key, gpointer value, gpointer data)
{
    FlowVisit *visit = data;
    const Flow *flow = value;
    visit->func(flow->from, flow->to, flow->bytes, visit->user_data);
    return FALSE;
}

void journal_flows(Journal *journal, JournalFlowFunc func, gpointer user_data)
{
    FlowVisit visit = {func, user_data};
    g_tree_foreach(journal->flows, visit_flow, &visit);
}

static uint64_t flow_between(Journal *journal, const char *from, const char *to)
{
    g_autofree char *key = g_strdup_printf("%s\n%s", from, to);
    const Flow *flow = g_tree_lookup(journal->flows, key);
    return flow ? flow->bytes : 0;
}

uint64_t journal_lent(Journal *journal, const char *from, const char *to)
{
    uint64_t there = flow_between(journal, from, to), back = flow_between(journal, to, from);
    return there > back ? there - back : 0;
}
