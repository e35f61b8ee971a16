/* Decisions in words: what moved, how much, why, and where it came from. */
#include "base/size.h"
#include "engine/journal.h"

/* Crumbs of a few pages make a sentence long and nobody wiser; the entry itself keeps them. */
#define TOLD_BYTES MIB

static void append_size(GString *text, uint64_t bytes)
{
    char buffer[32];
    g_string_append(text, size_format_buf(bytes, buffer, sizeof buffer));
}

static void append_sources(GString *text, const char *server, const GPtrArray *sources, gboolean names)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new();
    for (guint i = 0; sources && i < sources->len; i++)
        if (sources->len == 1 || ((const JournalSource *)sources->pdata[i])->bytes >= TOLD_BYTES)
            g_ptr_array_add(told, sources->pdata[i]);
    for (guint i = 0; i < told->len; i++) {
        const JournalSource *source = told->pdata[i];
        g_string_append(text, i == 0 ? "; paid with " : (i + 1 == told->len ? " and " : ", "));
        append_size(text, source->bytes);
        if (g_str_equal(source->from, "free"))
            g_string_append(text, " of free memory");
        else if (g_strcmp0(source->from, server) == 0)
            g_string_append(text, " that it gave back itself");
        else
            g_string_append_printf(text, " from %s", names ? source->from : "another server");
    }
}

static void append_use(GString *text, const JournalEntry *entry)
{
    if (entry->used_bytes == UNKNOWN) {
        g_string_append(text, "it has not said what it uses");
        return;
    }
    g_string_append(text, "it uses ");
    append_size(text, entry->used_bytes);
    g_string_append(text, " and needs ");
    append_size(text, entry->need_bytes);
}

static void append_burst(GString *text, const JournalEntry *entry)
{
    g_string_append(text, "it touched ");
    append_size(text, entry->burst_bytes);
    g_string_append_printf(text, " within %.0f ms", (double)entry->burst_us / 1e3);
}

static void append_step(GString *text, const JournalEntry *entry, gboolean would)
{
    gboolean up = entry->to_bytes >= entry->from_bytes;
    const char *verb = up ? (would ? "would get " : "gets ") : (would ? "would give back " : "gives back ");
    g_string_append_printf(text, "%s %s", entry->server, verb);
    append_size(text, up ? entry->to_bytes - entry->from_bytes : entry->from_bytes - entry->to_bytes);
    g_string_append(text, up ? " more (to " : " (down to ");
    append_size(text, entry->to_bytes);
    g_string_append(text, "): ");
}

char *journal_sentence(const JournalEntry *entry, const char *waiter, gboolean would, gboolean names)
{
    GString *text = g_string_new(NULL);
    append_step(text, entry, would);
    switch (entry->move) {
    case MOVE_GRANT_NEED:
        if (entry->burst_bytes > 0)
            append_burst(text, entry);
        else
            append_use(text, entry);
        append_sources(text, entry->server, entry->sources, names);
        break;
    case MOVE_GRANT_SURPLUS:
        g_string_append(text, "nobody else needs it now, and it is good as cache");
        append_sources(text, entry->server, entry->sources, names);
        break;
    case MOVE_WITHDRAW:
        g_string_append(text, "a reclaim is called off, ");
        append_use(text, entry);
        break;
    case MOVE_DISTRESS:
        g_string_append(text, "it ran out of memory and took it back; it now rests with a raised floor");
        break;
    case MOVE_NUDGE:
        g_string_append(text, "it has rebooted, and its balloon is set anew");
        break;
    case MOVE_RECLAIM_URGENT:
        append_use(text, entry);
        if (waiter)
            g_string_append_printf(text, ", and %s waits for memory", names ? waiter : "another server");
        break;
    case MOVE_RECLAIM_CALM:
        append_use(text, entry);
        g_string_append(text, ", and the rest is kept ready for whoever needs it next");
        break;
    case MOVE_NONE:
    case MOVE_N:
        break;
    }
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}
