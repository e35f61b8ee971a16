/* The journal's entries for people. */
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

/* "from db-1 300 MiB, free memory 100 MiB"; NULL when nobody gave anything. */
static char *describe_sources(json_t *sources)
{
    if (json_array_size(sources) == 0)
        return NULL;
    GString *text = g_string_new("paid from ");
    size_t i;
    json_t *source;
    json_array_foreach(sources, i, source)
    {
        const char *raw = view_raw(source, "from");
        g_autofree char *from = text_clean(g_strcmp0(raw, "free") == 0 ? "free memory" : raw);
        g_autofree char *bytes = text_bytes(view_figure(source, "bytes"));
        g_string_append_printf(text, "%s%s (%s)", i > 0 ? ", " : "", from, bytes);
    }
    return g_string_free(text, FALSE);
}

static void print_change(const Cli *cli, json_t *decision)
{
    uint64_t from = view_figure(decision, "from_bytes"), to = view_figure(decision, "to_bytes");
    if (g_strcmp0(view_raw(decision, "move"), "note") == 0 || (from == UNKNOWN_FACT && to == UNKNOWN_FACT))
        return;
    g_autofree char *from_text = text_bytes(from), *to_text = text_bytes(to);
    Tone tone = to > from ? TONE_GOOD : TONE_PLAIN;
    fprintf(cli->out, "  %s %s %s%s%s", from_text, text_arrow(), tone_begin(tone, cli->colour), to_text,
            tone_end(tone, cli->colour));
}

void cli_decision(const Cli *cli, json_t *decision, gboolean with_server)
{
    json_t *time_us = json_object_get(decision, "time_us");
    g_autofree char *time =
        json_is_integer(time_us) ? text_time(json_integer_value(time_us), FALSE) : g_strdup(text_dash());
    fprintf(cli->out, "%s%s%s", tone_begin(TONE_DIM, cli->colour), time, tone_end(TONE_DIM, cli->colour));
    if (with_server && view_raw(decision, "server") != NULL) {
        g_autofree char *server = view_text(decision, "server");
        fprintf(cli->out, "  %s%s%s", tone_begin(TONE_BOLD, cli->colour), server,
                tone_end(TONE_BOLD, cli->colour));
    }
    print_change(cli, decision);
    g_autofree char *move = view_text(decision, "move");
    fprintf(cli->out, "  %s\n", move);

    g_autofree char *text = view_text(decision, "text");
    if (view_raw(decision, "text") != NULL)
        cli_paragraph(cli, 4, "", text);
    g_autofree char *sources = describe_sources(json_object_get(decision, "sources"));
    if (sources != NULL)
        cli_paragraph(cli, 4, "", sources);
    if (view_raw(decision, "error") != NULL) {
        g_autofree char *error = view_text(decision, "error");
        fputs(tone_begin(TONE_BAD, cli->colour), cli->out);
        cli_paragraph(cli, 4, "failed: ", error);
        fputs(tone_end(TONE_BAD, cli->colour), cli->out);
    } else if (json_is_false(json_object_get(decision, "performed"))) {
        cli_paragraph(cli, 4, "", "only decided, not done: the daemon observes");
    }
}
