#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define BAR_CELLS 40

static char *join3(char *a, const char *between, char *b)
{
    char *joined = g_strconcat(a, between, b, NULL);
    g_free(a);
    g_free(b);
    return joined;
}

static void print_pool(const Cli *cli, const HostView *host)
{
    uint64_t slack = host->slack != UNKNOWN_FACT ? host->slack : 0;
    uint64_t held = host->committed != UNKNOWN_FACT ? host->committed + slack : UNKNOWN_FACT;
    g_autofree char *bar = bar_text(BAR_CELLS, host->committed, held, host->pool, UNKNOWN_FACT);
    g_autofree char *pool = text_bytes(host->pool), *committed = text_bytes(host->committed);
    uint64_t rest = host->free != UNKNOWN_FACT ? host->free - MIN(slack, host->free) : UNKNOWN_FACT;
    g_autofree char *slack_text = text_bytes(host->slack), *free_text = text_bytes(rest);

    cli_heading(cli, "Pool");
    fprintf(cli->out, "  %s  %s\n", bar, pool);
    fprintf(cli->out, "  %s committed %s   %s slack %s   %s free %s\n", bar_glyph(BAR_USED), committed,
            bar_glyph(BAR_HELD), slack_text, bar_glyph(BAR_REST), free_text);
    if (host->over != UNKNOWN_FACT && host->over > 0) {
        g_autofree char *over = text_bytes(host->over);
        fprintf(cli->out, "  %sover the pool by %s%s\n", tone_begin(TONE_BAD, cli->colour), over,
                tone_end(TONE_BAD, cli->colour));
    }
}

static void print_relief(const Cli *cli, const HostView *host)
{
    g_autofree char *p50 = text_duration(host->relief_p50_us), *p99 = text_duration(host->relief_p99_us);
    gboolean measured = host->relief_p50_us != UNKNOWN_FACT && host->relief_p99_us != UNKNOWN_FACT;
    cli_fact(cli, "Relief",
             measured ? g_strdup_printf("half within %s, 99 %% within %s", p50, p99)
                      : g_strconcat(text_dash(), " (no server has been short yet)", NULL));
}

static void print_facts(const Cli *cli, const HostView *host, json_t *status)
{
    cli_heading(cli, "Host");
    gboolean observes = strcmp(host->mode, "observe") == 0;
    cli_fact(cli, "Mode",
             g_strconcat(host->mode, observes ? " (decides and journals, touches nothing)" : "", NULL));
    cli_fact(cli, "Servers", text_count(host->servers));
    cli_fact(cli, "Memory", join3(text_bytes(host->available), " available of ", text_bytes(host->memory)));
    cli_fact(cli, "Fixed servers", join3(text_bytes(host->fixed), " of the pool", g_strdup("")));
    cli_fact(cli, "Short", text_bytes(host->short_by));
    cli_fact(cli, "Coming back", text_bytes(view_figure(status, "reclaiming_bytes")));
    cli_fact(cli, "Reserved", text_bytes(view_figure(status, "reserved_bytes")));
    cli_fact(cli, "Safe reboot", join3(g_strdup("of a server of up to "), "", text_bytes(host->reboot_safe)));
    json_t *pressure = json_object_get(status, "pressure_some_avg10");
    cli_fact(cli, "Pressure",
             json_is_number(pressure)
                 ? g_strdup_printf("%.2f %% of the last 10 s", json_number_value(pressure))
                 : g_strdup(text_dash()));
    print_relief(cli, host);
    cli_fact(
        cli, "Running",
        join3(join3(text_duration(host->uptime_us), ", ", text_count(host->beats)), " beats", g_strdup("")));
    cli_fact(cli, "Version", g_strdup(host->version));
}

static void print_backends(const Cli *cli, json_t *backends)
{
    if (json_array_size(backends) == 0)
        return;
    cli_heading(cli, "Backends");
    size_t i;
    json_t *backend;
    json_array_foreach(backends, i, backend)
    {
        gboolean connected = json_is_true(json_object_get(backend, "connected"));
        Tone tone = connected ? TONE_GOOD : TONE_BAD;
        g_autofree char *name = view_text(backend, "name"), *uri = view_text(backend, "uri");
        fprintf(cli->out, "  %s %s: %s%s%s", name, uri, tone_begin(tone, cli->colour),
                connected ? "connected" : "not connected", tone_end(tone, cli->colour));
        g_autofree char *problem = view_text(backend, "problem");
        fprintf(cli->out, "%s%s\n", view_raw(backend, "problem") != NULL ? ": " : "",
                view_raw(backend, "problem") != NULL ? problem : "");
    }
}

static void print_problems(const Cli *cli, json_t *problems)
{
    if (json_array_size(problems) == 0)
        return;
    cli_heading(cli, "Problems");
    size_t i;
    json_t *problem;
    json_array_foreach(problems, i, problem)
    {
        g_autofree char *text = text_clean(json_string_value(problem));
        cli_paragraph(cli, 2, "- ", text);
    }
}

static int run_status(Cli *cli)
{
    g_autoptr(json_t) status = cli_call(cli, "status", NULL);
    if (status == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, status, FALSE);
        return CLI_OK;
    }
    g_auto(HostView) host;
    host_view_init(&host, status);
    Tone tone;
    g_autofree char *headline = host_headline(&host, &tone);
    fputs(tone_begin(tone, cli->colour), cli->out);
    cli_paragraph(cli, 0, "", headline);
    fputs(tone_end(tone, cli->colour), cli->out);
    print_problems(cli, json_object_get(status, "problems"));
    print_pool(cli, &host);
    print_facts(cli, &host, status);
    print_backends(cli, json_object_get(status, "backends"));
    return CLI_OK;
}

const CliVerb verb_status = {
    .name = "status",
    .operands = "",
    .summary = "how the host's memory stands, in one look",
    .text =
        "How the host's memory stands: one line first, then problems, the pool and the backends.\n"
        "\"Safe reboot\" is the largest server that could reboot right now, taking all its memory at once,\n"
        "without the pool being exceeded.\n\n"
        "Examples:\n"
        "  aerostat status\n"
        "  aerostat status --json | jq .over_bytes",
    .run = run_status,
};
