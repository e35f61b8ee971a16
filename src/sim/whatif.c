#include "sim/whatif.h"
#include "base/size.h"
#include "base/u64.h"

#define NAME_WIDTH   20
#define SERVERS_MOST 60

char *whatif_about(const Recording *recording, const char *name)
{
    g_autoptr(GDateTime) began = g_date_time_new_from_unix_local(recording->started_s);
    g_autofree char *time =
        began ? g_date_time_format(began, "%Y-%m-%d %H:%M:%S") : g_strdup("an unknown time");
    g_autofree char *pool = size_format(recording->host.pool_bytes);
    guint n = recording->names->len, moves = recording->moves->len;
    return g_strdup_printf(
        "%s: %u server%s, recorded from %s on for %.0f s with a pool of %s: %u decision%s%s.\n", name, n,
        n == 1 ? "" : "s", time, (double)recording->duration_us / 1e6, pool, moves, moves == 1 ? "" : "s",
        g_strcmp0(recording->mode, "observe") == 0 ? ", none carried out (mode observe)" : "");
}

static void append_row(GString *text, const char *name, const Scenario *scenario, const Summary *s)
{
    g_autofree char *pool = size_format(scenario->pool_bytes);
    g_string_append_printf(
        text, "  %-*s %9s %7.2f %9.1f %9.2f %6" G_GUINT64_FORMAT " %8u %7.2f %7.2f %9.1f\n", NAME_WIDTH, name,
        pool, s->work_percent, s->stall_s, (double)s->swapped_bytes / (double)GIB, (guint64)s->kills,
        s->reliefs, s->relief_p50_s, s->relief_p99_s, s->held_gib_min);
}

static char *average_held(const Report *report, const ServerMetrics *metrics)
{
    double seconds = (double)report->scenario->duration_us / 1e6;
    return size_format((uint64_t)(metrics->held_byte_s / MAX(seconds, 1e-6)) / MIB * MIB);
}

static void append_server(GString *text, const Report *was, const Report *then, const Outcome *a,
                          const Outcome *b, guint i)
{
    const GuestSpec *spec = was->scenario->guests->pdata[i];
    const ServerMetrics *before = &a->run->metrics->servers[i], *after = &b->run->metrics->servers[i];
    g_autofree char *held_before = average_held(was, before), *held_after = average_held(then, after);
    g_string_append_printf(text, "  %-*s %12s %12s %12.1f %12.1f %12.2f %12.2f\n", NAME_WIDTH, spec->name,
                           held_before, held_after, before->stall_s, after->stall_s,
                           (double)before->swapped_bytes / (double)GIB,
                           (double)after->swapped_bytes / (double)GIB);
}

/* One answer in words, which is what was asked for. */
static void append_answer(GString *text, const Summary *was, const Summary *then)
{
    double lost = was->work_percent - then->work_percent;
    if (then->kills > was->kills)
        g_string_append_printf(
            text, "%" G_GUINT64_FORMAT " more programs would have been killed for want of memory.\n",
            then->kills - was->kills);
    if (lost < 0.05 && then->stall_s < was->stall_s + 0.5)
        g_string_append(text, "It would have made no difference to speak of.\n");
    else if (lost > 0)
        g_string_append_printf(text,
                               "The servers would have done %.1f %% less work and waited for memory %.1f s "
                               "longer, all together.\n",
                               lost, MAX(then->stall_s - was->stall_s, 0));
    else
        g_string_append_printf(text,
                               "The servers would have done %.1f %% more work and waited for memory %.1f s "
                               "less, all together.\n",
                               -lost, MAX(was->stall_s - then->stall_s, 0));
}

static void append_policy(GString *text, const Report *was, const Report *then, guint i, const char *change)
{
    const Outcome *a = &g_array_index(was->outcomes, Outcome, i);
    const Outcome *b = &g_array_index(then->outcomes, Outcome, i);
    g_string_append_printf(text, "\nUnder %s:\n  %-*s %9s %7s %9s %9s %6s %8s %7s %7s %9s\n", a->ops->name,
                           NAME_WIDTH, "", "pool", "work %", "stall s", "swap GiB", "kills", "reliefs",
                           "p50 s", "p99 s", "GiB min");
    append_row(text, "as recorded", was->scenario, &a->run->summary);
    append_row(text, change, then->scenario, &b->run->summary);
    g_string_append_printf(text, "\n  %-*s %25s %25s %25s\n  %-*s %12s %12s %12s %12s %12s %12s\n",
                           NAME_WIDTH, "", "held on average", "stalled s", "swapped GiB", NAME_WIDTH,
                           "server", "as recorded", "then", "as recorded", "then", "as recorded", "then");
    guint n = was->scenario->guests->len;
    for (guint server = 0; server < MIN(n, SERVERS_MOST); server++)
        append_server(text, was, then, a, b, server);
    if (n > SERVERS_MOST)
        g_string_append_printf(text, "  ... and %u more; --json has all.\n", n - SERVERS_MOST);
    g_string_append_c(text, '\n');
    append_answer(text, &a->run->summary, &b->run->summary);
    g_autofree char *list = report_short(then->scenario, b->run);
    g_string_append(text, list);
}

char *whatif_text(const Report *was, const Report *then, const char *const *sets)
{
    GString *text = g_string_new(NULL);
    g_autofree char *all = g_strjoinv(" ", (char **)sets);
    gboolean long_name = g_utf8_strlen(all, -1) > NAME_WIDTH;
    if (long_name)
        g_string_append_printf(text, "Changed: %s\n", all);
    for (guint i = 0; i < was->outcomes->len; i++)
        append_policy(text, was, then, i, long_name ? "changed" : all);
    return g_string_free(text, FALSE);
}
