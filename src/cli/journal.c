#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MOST    1000

static const CliOption journal_options[] = {
    {"limit", 'n', "N", "how many decisions, 1 to 1000; default 20"},
    {0},
};

static void print_flows(const Cli *cli, json_t *flows)
{
    if (json_array_size(flows) == 0)
        return;
    cli_heading(cli, "Where memory went");
    g_autoptr(Table) table = table_new();
    table_column(table, "From", FALSE, 0);
    table_column(table, "To", FALSE, 0);
    table_column(table, "Moved", TRUE, 0);
    size_t i;
    json_t *flow;
    json_array_foreach(flows, i, flow)
    {
        const char *from = view_raw(flow, "from"), *to = view_raw(flow, "to");
        table_cell(table, text_clean(g_strcmp0(from, "free") == 0 ? "free memory" : from), TONE_PLAIN);
        table_cell(table, text_clean(g_strcmp0(to, "free") == 0 ? "free memory" : to), TONE_PLAIN);
        table_cell(table, text_bytes(view_figure(flow, "bytes")), TONE_PLAIN);
    }
    g_free(table_print(table, cli->out, cli->width, cli->colour));
}

static int run_journal(Cli *cli)
{
    guint64 limit;
    if (!cli_number(cli, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, &limit))
        return CLI_USAGE;
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    json_object_set_new(params, "limit", json_integer((json_int_t)limit));
    g_autoptr(json_t) result = cli_call(cli, "journal", params);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_t *decisions = json_object_get(result, "decisions");
    size_t n = json_array_size(decisions);
    if (n == 0)
        fputs("Nothing has been decided yet.\n", cli->out);
    /* They come newest first; on a screen the newest belongs at the bottom. */
    for (size_t i = n; i-- > 0;)
        cli_decision(cli, json_array_get(decisions, i), TRUE);
    print_flows(cli, json_object_get(result, "flows"));
    return CLI_OK;
}

const CliVerb verb_journal = {
    .name = "journal",
    .operands = "[SERVER]",
    .most = 1,
    .options = journal_options,
    .summary = "what was decided lately, and why",
    .text =
        "The latest decisions, the newest last, each with its reason and who gave the memory; then where\n"
        "memory went in all. With a server's name: only what concerns it.\n\n"
        "Examples:\n"
        "  aerostat journal\n"
        "  aerostat journal web-1 --limit 100\n"
        "  aerostat journal --json | jq '.flows'",
    .run = run_journal,
};
