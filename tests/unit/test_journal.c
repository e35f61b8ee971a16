/* The journal: what is remembered, where memory came from, and the words for it. */
#include <string.h>
#include "base/u64.h"
#include "engine/journal.h"

static JournalEntry *note(Journal *journal, const char *server, const char *text)
{
    JournalEntry *entry = journal_entry_new(server, server);
    entry->text = g_strdup(text);
    return journal_add(journal, entry);
}

static void assert_sources(const GPtrArray *sources, const char *wanted)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < sources->len; i++) {
        const JournalSource *source = sources->pdata[i];
        g_string_append_printf(text, "%s%s:%" G_GUINT64_FORMAT, i ? " " : "", source->from,
                               source->bytes / MIB);
    }
    g_assert_cmpstr(text->str, ==, wanted);
}

/* Spends @mib for @server and has it taken. */
static void spend(Journal *journal, const char *server, uint64_t mib, const char *wanted)
{
    g_autoptr(GPtrArray) sources = journal_spend(journal, mib * MIB);
    assert_sources(sources, wanted);
    journal_spent(journal, server, server, sources);
}

static void test_recent(void)
{
    g_autoptr(Journal) journal = journal_new(3);
    note(journal, "a", "1");
    note(journal, "b", "2");
    note(journal, "a", "3");
    g_autoptr(GPtrArray) all = journal_recent(journal, NULL, 10);
    g_assert_cmpuint(all->len, ==, 3);
    g_assert_cmpstr(((JournalEntry *)all->pdata[0])->text, ==, "3");
    g_autoptr(GPtrArray) two = journal_recent(journal, NULL, 2);
    g_assert_cmpuint(two->len, ==, 2);
    g_autoptr(GPtrArray) of_a = journal_recent(journal, "a", 10);
    g_assert_cmpuint(of_a->len, ==, 2);
    g_assert_cmpstr(((JournalEntry *)of_a->pdata[1])->text, ==, "1");
    g_autoptr(GPtrArray) of_nobody = journal_recent(journal, "c", 10);
    g_assert_cmpuint(of_nobody->len, ==, 0);
}

/* What a request refers to may be pushed out before its answer comes. */
static void test_ring(void)
{
    g_autoptr(Journal) journal = journal_new(3);
    guint64 first = note(journal, "a", "first")->sequence;
    for (int i = 0; i < 2; i++)
        note(journal, "b", "more");
    g_assert_nonnull(journal_by_sequence(journal, first));
    JournalEntry *last = note(journal, "b", "one too many");
    g_assert_null(journal_by_sequence(journal, first));
    g_assert_true(journal_by_sequence(journal, last->sequence) == last);
    g_assert_null(journal_by_sequence(journal, last->sequence + 1));
    g_assert_cmpuint(last->sequence, ==, 4);
}

static void test_queue(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "a", "a", 100 * MIB);
    journal_returned(journal, "a", "a", 50 * MIB);
    journal_returned(journal, "b", "b", 200 * MIB);
    journal_returned(journal, "c", "c", 0);
    journal_returned(journal, "a", "a", 10 * MIB);
    spend(journal, "x", 120, "a:120");
    spend(journal, "x", 60, "a:30 b:30");
    spend(journal, "x", 300, "b:170 a:10 free:120");
    spend(journal, "x", 5, "free:5");
    g_assert_cmpuint(journal_lent(journal, "a", "x"), ==, 160 * MIB);
    g_assert_cmpuint(journal_lent(journal, "x", "a"), ==, 0);
}

/* One giver is named once, however its bytes came. */
static void test_merged(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "a", "a", 10 * MIB);
    journal_returned(journal, "b", "b", 10 * MIB);
    journal_returned(journal, "a", "a", 10 * MIB);
    spend(journal, "x", 30, "a:20 b:10");
}

/* A refused grant has moved nothing: its sources stand where they stood, in their order. */
static void test_unspent(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "a", "a", 10 * MIB);
    journal_returned(journal, "b", "b", 20 * MIB);
    g_autoptr(GPtrArray) sources = journal_spend(journal, 40 * MIB);
    assert_sources(sources, "a:10 b:20 free:10");
    journal_unspent(journal, sources);
    g_assert_cmpuint(journal_lent(journal, "a", "x"), ==, 0);
    spend(journal, "x", 40, "a:10 b:20 free:10");
}

/* Who lends and later borrows back owes the difference. */
static void test_netting(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "a", "a", 100 * MIB);
    spend(journal, "b", 100, "a:100");
    g_assert_cmpuint(journal_lent(journal, "a", "b"), ==, 100 * MIB);
    journal_returned(journal, "b", "b", 30 * MIB);
    spend(journal, "a", 30, "b:30");
    g_assert_cmpuint(journal_lent(journal, "a", "b"), ==, 70 * MIB);
    g_assert_cmpuint(journal_lent(journal, "b", "a"), ==, 0);
    journal_returned(journal, "a", "a", 5 * MIB);
    spend(journal, "a", 5, "a:5");
    g_assert_cmpuint(journal_lent(journal, "a", "a"), ==, 0);
}

/* What the pool has not got free has gone some other way: the oldest is forgotten. */
static void test_limit(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "a", "a", 100 * MIB);
    journal_returned(journal, "b", "b", 100 * MIB);
    journal_queue_limit(journal, 500 * MIB);
    journal_queue_limit(journal, 120 * MIB);
    spend(journal, "x", 200, "a:20 b:100 free:80");
    journal_queue_limit(journal, 0);
}

static void count_flow(const char *from, const char *to, uint64_t bytes, gpointer user_data)
{
    (*(guint *)user_data)++;
}

/* Servers come and go for years; what is remembered of them has an end, and the large remains. */
static void test_bounded(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "big", "big", GIB);
    spend(journal, "taker", 1024, "big:1024");
    for (guint i = 0; i < JOURNAL_FLOWS_MAX + 50; i++) {
        g_autofree char *name = g_strdup_printf("server-%u", i);
        journal_returned(journal, name, name, MIB);
        g_autoptr(GPtrArray) sources = journal_spend(journal, MIB);
        journal_spent(journal, "taker", "taker", sources);
    }
    guint n = 0;
    journal_flows(journal, count_flow, &n);
    g_assert_cmpuint(n, ==, JOURNAL_FLOWS_MAX);
    g_assert_cmpuint(journal_lent(journal, "big", "taker"), ==, GIB);
}

static JournalEntry *decision(Move move, uint64_t from_mib, uint64_t to_mib)
{
    JournalEntry *entry = journal_entry_new("id", "web-1");
    entry->move = move;
    entry->from_bytes = from_mib * MIB;
    entry->to_bytes = to_mib * MIB;
    return entry;
}

static void assert_sentence(Journal *journal, JournalEntry *entry, const char *waiter, gboolean would,
                            const char *wanted)
{
    entry->text = journal_sentence(entry, waiter, would, TRUE);
    g_assert_cmpstr(entry->text, ==, wanted);
    journal_add(journal, entry);
}

static void test_sentences(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    JournalEntry *grant = decision(MOVE_GRANT_NEED, 1024, 1536);
    grant->used_bytes = 900 * MIB;
    grant->need_bytes = 1200 * MIB;
    journal_returned(journal, "db-1", "db-1", 300 * MIB);
    journal_returned(journal, "web-1", "web-1", 100 * MIB);
    grant->sources = journal_spend(journal, 512 * MIB);
    assert_sentence(
        journal, grant, NULL, FALSE,
        "web-1 gets 512 MiB more (to 1.5 GiB): it uses 900 MiB and needs 1.2 GiB; paid with 300 MiB "
        "from db-1, 100 MiB that it gave back itself and 112 MiB of free memory.");
    JournalEntry *urgent = decision(MOVE_RECLAIM_URGENT, 2048, 1024);
    assert_sentence(
        journal, urgent, "db-1", FALSE,
        "web-1 gives back 1 GiB (down to 1 GiB): it has not said what it uses, and db-1 waits for "
        "memory.");
    for (Move move = MOVE_GRANT_NEED; move < MOVE_N; move++) {
        g_autofree char *text = NULL;
        JournalEntry *entry = decision(move, 1024, 2048);
        text = journal_sentence(entry, NULL, TRUE, TRUE);
        g_assert_true(g_str_has_prefix(text, "web-1 would get 1 GiB more (to 2 GiB): "));
        g_assert_true(g_str_has_suffix(text, "."));
        assert_sentence(journal, entry, NULL, TRUE, text);
    }
}

static void note_flow(const char *from, const char *to, uint64_t bytes, gpointer text)
{
    g_string_append_printf(text, "%s>%s:%" G_GUINT64_FORMAT " ", from, to, bytes / MIB);
}

/* Two backends may have a server of the same name, and one may even be called what nobody's memory is called. */
static void test_same_name(void)
{
    g_autoptr(Journal) journal = journal_new(10);
    journal_returned(journal, "kvm-web", "web", 100 * MIB);
    journal_returned(journal, "lxc-web", "web", 30 * MIB);
    journal_returned(journal, "kvm-free", "free", 20 * MIB);
    g_autoptr(GPtrArray) sources = journal_spend(journal, 150 * MIB);
    g_assert_cmpuint(sources->len, ==, 3);
    journal_spent(journal, "kvm-db", "db", sources);
    g_assert_cmpuint(journal_lent(journal, "kvm-web", "kvm-db"), ==, 100 * MIB);
    g_assert_cmpuint(journal_lent(journal, "lxc-web", "kvm-db"), ==, 30 * MIB);
    g_ptr_array_unref(journal_spend(journal, 0));
    journal_unspent(journal, sources);
    g_autoptr(GPtrArray) again = journal_spend(journal, 150 * MIB);
    g_assert_cmpuint(again->len, ==, 3); /* a server's, whatever it is called */
    journal_returned(journal, "kvm-db", "db-renamed", 5 * MIB);
    g_autoptr(GPtrArray) own = journal_spend(journal, 5 * MIB);
    journal_spent(journal, "lxc-web", "web", own);
    g_autoptr(GString) flows = g_string_new(NULL);
    journal_flows(journal, note_flow, flows);
    g_assert_cmpstr(flows->str, ==, "db-renamed>web:5 free>db:20 web>db:100 web>db:30 ");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/recent", test_recent);
    g_test_add_func("/journal/same-name", test_same_name);
    g_test_add_func("/journal/ring", test_ring);
    g_test_add_func("/journal/queue", test_queue);
    g_test_add_func("/journal/merged", test_merged);
    g_test_add_func("/journal/unspent", test_unspent);
    g_test_add_func("/journal/netting", test_netting);
    g_test_add_func("/journal/limit", test_limit);
    g_test_add_func("/journal/bounded", test_bounded);
    g_test_add_func("/journal/sentences", test_sentences);
    return g_test_run();
}
