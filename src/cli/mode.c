#include <string.h>

#include "base/json.h"
#include "base/suggest.h"
#include "cli/cli.h"
#include "cli/view.h"

static gboolean check_mode(const Cli *cli, const char *mode)
{
    static const char *const modes[] = {"observe", "manage"};
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++)
        if (strcmp(modes[i], mode) == 0)
            return TRUE;
    const char *near = suggest_nearest(mode, modes, G_N_ELEMENTS(modes));
    cli_complain(cli, "\"%s\" is no mode: it is observe or manage%s%s%s", mode,
                 near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
    return FALSE;
}

static int run_mode(Cli *cli)
{
    const char *wanted = cli_operand(cli, 0);
    if (wanted != NULL && !check_mode(cli, wanted))
        return CLI_USAGE;
    g_autoptr(json_t) result =
        cli_call(cli, "mode", wanted != NULL ? json_pack("{s:s}", "mode", wanted) : json_object());
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    g_autofree char *mode = view_text(result, "mode"), *before = view_text(result, "before");
    const char *means = strcmp(mode, "observe") == 0 ? "it decides and journals, and touches nothing"
                                                     : "it moves memory between the servers";
    if (wanted == NULL)
        fprintf(cli->out, "%s: %s\n", mode, means);
    else if (strcmp(mode, before) == 0)
        fprintf(cli->out, "%s, as before: %s\n", mode, means);
    else
        fprintf(cli->out, "%s (before: %s): %s\n", mode, before, means);
    return CLI_OK;
}

const CliVerb verb_mode = {
    .name = "mode",
    .operands = "[observe|manage]",
    .most = 1,
    .summary = "show or change whether memory is really moved",
    .text = "Shows the mode, or changes it. In observe the daemon decides and journals and touches nothing;\n"
            "in manage it acts. What is chosen here outlives a restart of the daemon.\n\n"
            "Examples:\n"
            "  aerostat mode\n"
            "  aerostat mode manage",
    .run = run_mode,
};
