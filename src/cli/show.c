#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define BAR_CELLS 40

static char *with_origin(char *value, json_t *server, const char *member)
{
    json_t *own = json_object_get(server, member);
    char *text = json_is_boolean(own)
                     ? g_strconcat(value, json_is_true(own) ? " (its own)" : " (default)", NULL)
                     : g_strdup(value);
    g_free(value);
    return text;
}

static char *yes_no(json_t *value)
{
    if (!json_is_boolean(value))
        return g_strdup(text_dash());
    return g_strdup(json_is_true(value) ? "yes" : "no");
}

/* A text, a flag or a count, whatever the daemon has there. */
static char *any_value(json_t *value)
{
    if (json_is_string(value))
        return text_clean(json_string_value(value));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return yes_no(value);
}

static void bytes_fact(const Cli *cli, const char *label, json_t *server, const char *member)
{
    cli_fact(cli, label, text_bytes(view_figure(server, member)));
}

static void print_memory(const Cli *cli, const ServerView *view, json_t *server)
{
    g_autofree char *bar = bar_text(BAR_CELLS, view->in_use, view->available, view->booked, view->resident);
    fprintf(cli->out, "  %s\n\n", bar);
    cli_fact(cli, LABEL_BOOKED, server_view_booked(view));
    cli_fact(cli, LABEL_AVAILABLE, text_bytes(view->available));
    cli_fact(cli, LABEL_IN_USE, text_bytes(view->in_use));
    cli_fact(cli, LABEL_RESIDENT, text_bytes(view->resident));
    cli_fact(cli, "Demand", text_bytes(view->demand));
    bytes_fact(cli, "Allocation", server, "allocation_bytes");
    cli_fact(cli, "Target", text_bytes(view->target));
    cli_fact(cli, "Committed", text_bytes(view->committed));
    bytes_fact(cli, "Overhead", server, "overhead_bytes");
    bytes_fact(cli, "Floor", server, "floor_bytes");
    cli_fact(cli, "Short", text_bytes(view->short_by));
    cli_fact(cli, "Minimum", with_origin(text_bytes(view->minimum), server, "minimum_own"));
    cli_fact(cli, "Weight", with_origin(text_count(view->weight), server, "weight_own"));
}

static void print_sentence(const Cli *cli, json_t *object, const char *member)
{
    if (view_raw(object, member) == NULL)
        return;
    g_autofree char *text = view_text(object, member);
    cli_paragraph(cli, 2, "- ", text);
}

static void print_state(const Cli *cli, const ServerView *view, json_t *server, json_t *details)
{
    cli_heading(cli, "Ballooning");
    cli_fact(cli, "State", g_strdup(view->ballooning));
    cli_fact(cli, "Waiting", view_text(server, "waiting"));
    cli_fact(cli, "Driver", any_value(json_object_get(server, "driver")));
    cli_fact(cli, "Agent", any_value(json_object_get(server, "agent")));
    cli_fact(cli, "Statistics",
             view_figure(server, "statistics_age_us") == UNKNOWN_FACT
                 ? g_strdup(text_dash())
                 : text_duration(view_figure(server, "statistics_age_us")));
    cli_fact(cli, "Stalled", text_duration(view_figure(server, "stalled_us")));
    cli_fact(cli, "Frees on OOM", yes_no(json_object_get(details, "deflates_on_oom")));
    cli_fact(cli, "Reports free", yes_no(json_object_get(details, "reports_free_pages")));
    cli_fact(cli, "Process", any_value(json_object_get(details, "pid")));
    print_sentence(cli, details, "fixed_sentence");
    print_sentence(cli, details, "hold_sentence");
    print_sentence(cli, details, "remedy");
}

static void print_lent(const Cli *cli, json_t *lent)
{
    if (json_array_size(lent) == 0)
        return;
    cli_heading(cli, "Lent to, or lent by");
    size_t i;
    json_t *entry;
    json_array_foreach(lent, i, entry)
    {
        const char *direction = json_object_get(entry, "to") != NULL ? "to" : "from";
        g_autofree char *name = view_text(entry, direction);
        g_autofree char *who = g_strdup_printf("%s %s", direction, name);
        cli_fact(cli, who, text_bytes(view_figure(entry, "bytes")));
    }
}

static int run_show(Cli *cli)
{
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    g_autoptr(json_t) server = cli_call(cli, "show", params);
    if (server == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, server, FALSE);
        return CLI_OK;
    }
    g_autoptr(ServerView) view = server_view_new(server);
    Tone tone = server_state_tone(view);
    fprintf(cli->out, "%s%s%s  %s, %s%s%s\n\n", tone_begin(TONE_BOLD, cli->colour), view->name,
            tone_end(TONE_BOLD, cli->colour), view->kind, tone_begin(tone, cli->colour), view->state,
            tone_end(tone, cli->colour));
    print_memory(cli, view, server);
    json_t *details = json_object_get(server, "details");
    print_state(cli, view, server, details);
    print_lent(cli, json_object_get(details, "lent"));
    return CLI_OK;
}

const CliVerb verb_show = {
    .name = "show",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .summary = "everything known of one server",
    .text =
        "Everything known of one server. The bar is what it booked: full where it is in use, half where it\n"
        "is available now, light where it is lent out; the tick is what the host really holds for it.\n"
        "A dash is a fact that nobody could read. A name that begins with \"-\" goes after \"--\".\n\n"
        "Examples:\n"
        "  aerostat show web-1\n"
        "  aerostat show web-1 --json | jq .balloon_bytes",
    .run = run_show,
};
