#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define BAR_CELLS 40

static void print_figures(const Cli *cli, const ServerView *server)
{
    g_autofree char *bar =
        bar_text(BAR_CELLS, server->in_use, server->available, server->booked, server->resident);
    g_autofree char *in_use = text_bytes(server->in_use), *available = text_bytes(server->available);
    g_autofree char *booked = server_view_booked(server), *resident = text_bytes(server->resident);
    fprintf(cli->out, "\n  %s\n", bar);
    fprintf(cli->out,
            "  %s " LABEL_IN_USE " %s   %s " LABEL_AVAILABLE " %s   %s " LABEL_BOOKED
            " %s   %s " LABEL_RESIDENT " %s\n",
            bar_glyph(BAR_USED), in_use, bar_glyph(BAR_HELD), available, bar_glyph(BAR_REST), booked,
            bar_glyph(BAR_TICK), resident);
}

static int run_explain(Cli *cli)
{
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    g_autoptr(json_t) result = cli_call(cli, "explain", params);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    g_autofree char *summary = view_text(result, "summary");
    fputs(tone_begin(TONE_BOLD, cli->colour), cli->out);
    cli_paragraph(cli, 0, "", summary);
    fputs(tone_end(TONE_BOLD, cli->colour), cli->out);
    g_autoptr(ServerView) server = server_view_new(json_object_get(result, "server"));
    print_figures(cli, server);
    size_t i;
    json_t *item;
    json_t *sentences = json_object_get(result, "sentences");
    if (json_array_size(sentences) > 0)
        fputc('\n', cli->out);
    json_array_foreach(sentences, i, item)
    {
        g_autofree char *sentence = text_clean(json_string_value(item));
        cli_paragraph(cli, 2, "- ", sentence);
    }
    json_t *decisions = json_object_get(result, "decisions");
    if (json_array_size(decisions) > 0)
        cli_heading(cli, "Recent decisions, the newest first");
    json_array_foreach(decisions, i, item) cli_decision(cli, item, FALSE);
    return CLI_OK;
}

const CliVerb verb_explain = {
    .name = "explain",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .summary = "why a server holds what it holds, and when it gets more",
    .text = "Why a server holds what it holds, who has the rest, and what comes next, in plain sentences;\n"
            "then the recent decisions about it, the newest first.\n\n"
            "Examples:\n"
            "  aerostat explain web-1\n"
            "  aerostat explain web-1 --json | jq -r .summary",
    .run = run_explain,
};
