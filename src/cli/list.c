#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

static void add_row(Table *table, json_t *server)
{
    g_autoptr(ServerView) view = server_view_new(server);
    gboolean is_short = view->short_by != UNKNOWN_FACT && view->short_by > 0;
    Tone why = is_short ? TONE_BAD : (view->is_fixed || view->is_held ? TONE_WARN : TONE_PLAIN);
    table_cell(table, g_strdup(view->name), TONE_PLAIN);
    table_cell(table, g_strdup(view->kind), TONE_PLAIN);
    table_cell(table, g_strdup(view->state), server_state_tone(view));
    table_cell(table, server_view_booked(view), TONE_PLAIN);
    table_cell(table, text_bytes(view->available), TONE_PLAIN);
    table_cell(table, text_bytes(view->in_use), TONE_PLAIN);
    table_cell(table, text_bytes(view->demand), TONE_PLAIN);
    table_cell(table, text_count(view->weight), TONE_PLAIN);
    table_cell(table, g_strdup(view->ballooning), why);
}

static int run_list(Cli *cli)
{
    g_autoptr(json_t) result = cli_call(cli, "list", NULL);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_t *servers = json_object_get(result, "servers");
    if (json_array_size(servers) == 0) {
        fputs("No servers. \"aerostat status\" says whether the hypervisor answers.\n", cli->out);
        return CLI_OK;
    }
    g_autoptr(Table) table = table_new();
    table_column(table, "Name", FALSE, 0);
    table_column(table, "Kind", FALSE, 4);
    table_column(table, "State", FALSE, 1);
    table_column(table, LABEL_BOOKED, TRUE, 0);
    table_column(table, LABEL_AVAILABLE, TRUE, 0);
    table_column(table, LABEL_IN_USE, TRUE, 0);
    table_column(table, "Demand", TRUE, 2);
    table_column(table, "Weight", TRUE, 3);
    table_column(table, "Ballooning", FALSE, 0);
    size_t i;
    json_t *server;
    json_array_foreach(servers, i, server) add_row(table, server);
    g_autofree char *dropped = table_print(table, cli->out, cli->width, cli->colour);
    if (dropped != NULL)
        fprintf(cli->out, "%s(not shown at this width: %s)%s\n", tone_begin(TONE_DIM, cli->colour), dropped,
                tone_end(TONE_DIM, cli->colour));
    return CLI_OK;
}

const CliVerb verb_list = {
    .name = "list",
    .operands = "",
    .summary = "all servers and their memory, one line each",
    .text =
        "All servers, one line each. Booked is what a server was sold, Available now what it has at this\n"
        "moment, In use what its programs use. Demand is what it would use well. A dash is a fact that\n"
        "nobody could read. Columns that a narrow terminal has no room for are left out and named.\n\n"
        "Examples:\n"
        "  aerostat list\n"
        "  aerostat list --json | jq -r '.servers[] | select(.short_bytes > 0) | .name'",
    .run = run_list,
};
