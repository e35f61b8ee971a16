#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

static int show(const Cli *cli, json_t *server)
{
    json_t *ballooning = json_object_get(server, "ballooning");
    g_autofree char *name = view_text(server, "name"), *state = view_text(ballooning, "state");
    if (cli->json) {
        cli_print_json(cli, ballooning, FALSE);
        return CLI_OK;
    }
    fprintf(cli->out, "%s: %s\n", name, state);
    const char *sentence = view_raw(ballooning, "sentence");
    if (sentence != NULL)
        cli_paragraph(cli, 0, "", sentence);
    if (g_str_has_suffix(state, "-pending-restart"))
        fprintf(cli->out, "`aerostat restart %s` applies it.\n", name);
    return CLI_OK;
}

static int run_ballooning(Cli *cli)
{
    const char *wish = cli_operand(cli, 1);
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    if (wish != NULL && strcmp(wish, "on") != 0 && strcmp(wish, "off") != 0) {
        cli_complain(cli, "ballooning: \"%s\" is neither on nor off", wish);
        return CLI_USAGE;
    }
    if (wish != NULL)
        json_object_set_new(params, "ballooning_enabled", json_boolean(strcmp(wish, "on") == 0));
    g_autoptr(json_t) server = cli_call(cli, wish != NULL ? "set" : "show", json_incref(params));
    return server == NULL ? CLI_FAILED : show(cli, server);
}

const CliVerb verb_ballooning = {
    .name = "ballooning",
    .operands = "SERVER [on|off]",
    .least = 1,
    .most = 2,
    .summary = "show or choose whether a server takes part in ballooning",
    .text =
        "Off is for a server that needs fixed, guaranteed memory. It applies at the next cold start, which\n"
        "`aerostat restart` does and a reboot inside the server does not; until then nothing is taken from\n"
        "it and it gets all its memory back as there is room. The way back on is the same.\n\n"
        "Examples:\n"
        "  aerostat ballooning web-1\n"
        "  aerostat ballooning web-1 off && aerostat restart web-1",
    .run = run_ballooning,
};
