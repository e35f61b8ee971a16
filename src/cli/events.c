#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/json.h"
#include "base/suggest.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

static const CliOption events_options[] = {
    {"only", 'o', "TYPE", "only host, server, gone or decision events"},
    {"count", 'n', "N", "end after this many"},
    {0},
};

static void print_host(const Cli *cli, json_t *data)
{
    g_auto(HostView) host;
    host_view_init(&host, data);
    g_autofree char *committed = text_bytes(host.committed), *pool = text_bytes(host.pool);
    g_autofree char *free_text = text_bytes(host.free);
    fprintf(cli->out, "host  %s, %s: committed %s of %s, free %s\n", host.mode, host.state, committed, pool,
            free_text);
}

static void print_server(const Cli *cli, json_t *data)
{
    g_autoptr(ServerView) server = server_view_new(data);
    g_autofree char *in_use = text_bytes(server->in_use), *available = text_bytes(server->available);
    g_autofree char *booked = server_view_booked(server);
    fprintf(cli->out, "server %s  %s: in use %s, available now %s, booked %s, ballooning %s\n", server->name,
            server->state, in_use, available, booked, server->ballooning);
}

static void print_event(const Cli *cli, const char *type, json_t *data)
{
    if (strcmp(type, "decision") == 0) {
        cli_decision(cli, data, TRUE);
        return;
    }
    g_autofree char *now = text_time(g_get_real_time(), FALSE);
    fprintf(cli->out, "%s%s%s  ", tone_begin(TONE_DIM, cli->colour), now, tone_end(TONE_DIM, cli->colour));
    if (strcmp(type, "host") == 0) {
        print_host(cli, data);
    } else if (strcmp(type, "server") == 0) {
        print_server(cli, data);
    } else if (strcmp(type, "gone") == 0) {
        g_autofree char *name = view_text(data, "name");
        fprintf(cli->out, "gone   %s\n", name);
    } else if (strcmp(type, "lost") == 0) {
        g_autofree char *missed = text_count(view_figure(data, "events"));
        fprintf(cli->out, "this terminal was too slow: %s events were lost\n", missed);
    } else {
        g_autofree char *clean = text_clean(type);
        fprintf(cli->out, "%s\n", clean);
    }
}

static gboolean check_only(const Cli *cli, const char *only)
{
    static const char *const types[] = {"host", "server", "gone", "decision"};
    if (only == NULL)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(types[i], only) == 0)
            return TRUE;
    cli_complain(cli, "--only: \"%s\" is none of host, server, gone, decision", only);
    return FALSE;
}

static gboolean wanted(const char *type, const char *only)
{
    return only == NULL || strcmp(type, only) == 0 || strcmp(type, "lost") == 0;
}

/* Prints until @count (0: until the daemon goes, which is a failure). */
static int follow(Cli *cli, const char *only, guint64 count)
{
    guint64 seen = 0;
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) event = control_client_next_event(cli->client, &error);
        if (error != NULL) {
            cli_complain(cli, "%s", error->message);
            return CLI_FAILED;
        }
        if (event == NULL) {
            if (fflush(cli->out) != 0)
                return CLI_FAILED;
            struct pollfd fd = {.fd = control_client_fd(cli->client), .events = POLLIN};
            if (poll(&fd, 1, -1) < 0 && errno != EINTR)
                return CLI_FAILED;
            continue;
        }
        const char *type = view_raw(event, "type");
        if (type == NULL || !wanted(type, only))
            continue;
        if (cli->json)
            cli_print_json(cli, event, TRUE);
        else
            print_event(cli, type, json_object_get(event, "data"));
        if (++seen == count)
            return CLI_OK;
    }
}

static int run_events(Cli *cli)
{
    guint64 count;
    const char *only = cli_value(cli, "only");
    if (!check_only(cli, only) || !cli_number(cli, "count", 1, G_MAXINT64, 0, &count))
        return CLI_USAGE;
    g_autoptr(json_t) subscribed = cli_call(cli, "events", NULL);
    return subscribed != NULL ? follow(cli, only, count) : CLI_FAILED;
}

const CliVerb verb_events = {
    .name = "events",
    .operands = "",
    .options = events_options,
    .summary = "follow what happens, as it happens",
    .text =
        "Prints what happens as it happens, until interrupted: the host every beat, a server when any of\n"
        "its figures changed or it has gone, each decision as it is taken. With --json one object per "
        "line.\n\n"
        "Examples:\n"
        "  aerostat events --only decision\n"
        "  aerostat events --json | jq -r 'select(.type == \"decision\") | .data.text'",
    .run = run_events,
};
