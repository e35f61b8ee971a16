/* A server's memory over time. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define BAR_CELLS 24

static const CliOption history_options[] = {
    {"hours", 'H', "N", "how far back, from 1 to 17568 (6)"},
    {"points", 'n', "N", "at most so many lines, from 1 to 2000 (36)"},
    {0},
};

static int run_history(Cli *cli)
{
    guint64 hours, points;
    if (!cli_number(cli, "hours", 1, 17568, 6, &hours) || !cli_number(cli, "points", 1, 2000, 36, &points))
        return CLI_USAGE;
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC + 1;
    json_object_set_new(params, "to", json_integer(now_s));
    json_object_set_new(params, "from", json_integer(now_s - (gint64)hours * 3600));
    json_object_set_new(params, "points", json_integer((json_int_t)points));
    g_autoptr(json_t) result = cli_call(cli, "history", params);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_t *all = json_object_get(result, "points"), *point;
    if (json_array_size(all) == 0)
        fputs("Nothing has been recorded for this time yet.\n", cli->out);
    g_autoptr(Table) table = table_new();
    table_column(table, "Time", FALSE, 0);
    table_column(table, LABEL_AVAILABLE, TRUE, 0);
    table_column(table, LABEL_IN_USE, TRUE, 0);
    table_column(table, LABEL_BOOKED, TRUE, 0);
    table_column(table, "", FALSE, 1);
    size_t i;
    json_array_foreach(all, i, point)
    {
        uint64_t held = view_figure(point, "balloon_bytes"), used = view_figure(point, "used_bytes"),
                 whole = view_figure(point, "maximum_bytes");
        gint64 time_us = json_integer_value(json_object_get(point, "time")) * G_USEC_PER_SEC;
        table_cell(table, text_time(time_us, FALSE), TONE_PLAIN);
        table_cell(table, text_bytes(held), TONE_PLAIN);
        table_cell(table, text_bytes(used), TONE_PLAIN);
        table_cell(table, text_bytes(whole), TONE_PLAIN);
        table_cell(table, bar_text(BAR_CELLS, used, held, whole, UNKNOWN_FACT), TONE_PLAIN);
    }
    if (json_array_size(all) > 0)
        g_free(table_print(table, cli->out, cli->width, cli->colour));
    return CLI_OK;
}

const CliVerb verb_history = {
    .name = "history",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = history_options,
    .summary = "a server's memory over time",
    .text = "What a server had and used: averages over each step, the newest last. Kept are a day in steps "
            "of ten\n"
            "seconds, 30 days in steps of five minutes and two years in steps of an hour.\n\n"
            "Examples:\n"
            "  aerostat history web-1\n"
            "  aerostat history web-1 --hours 168 --points 84\n"
            "  aerostat history web-1 --json | jq '.points[-1]'",
    .run = run_history,
};
