#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define WEIGHT_MOST 10000

static const CliOption set_options[] = {
    {"minimum", 'm', "SIZE", "what it keeps under any pressure: 512M, 2GiB, 25%, or default"},
    {"weight", 'w', "N", "how it stands against others: 1 to 10000, or default"},
    {0},
};

/* A percentage is of what the server booked, which only the daemon knows. */
static gboolean booked_of(Cli *cli, const char *name, uint64_t *ret)
{
    g_autoptr(json_t) server = cli_call(cli, "show", json_pack("{s:s}", "name", name));
    if (server == NULL)
        return FALSE;
    *ret = view_figure(server, "maximum_bytes");
    if (*ret != UNKNOWN_FACT && *ret > 0)
        return TRUE;
    cli_complain(
        cli, "nobody knows what %s booked right now, so a percentage of it means nothing: give a size", name);
    return FALSE;
}

static int add_minimum(Cli *cli, const char *name, json_t *params)
{
    const char *text = cli_value(cli, "minimum");
    if (text == NULL)
        return CLI_OK;
    if (strcmp(text, "default") == 0) {
        json_object_set_new(params, "minimum_bytes", json_null());
        return CLI_OK;
    }
    g_autoptr(GError) error = NULL;
    uint64_t bytes, booked = 0;
    if (strchr(text, '%') != NULL) {
        if (!size_parse(text, 1, &bytes, &error)) { /* before asking anyone */
            cli_complain(cli, "--minimum: %s", error->message);
            return CLI_USAGE;
        }
        if (!booked_of(cli, name, &booked))
            return CLI_FAILED;
    }
    if (!size_parse(text, booked, &bytes, &error)) {
        cli_complain(cli, "--minimum: %s (or \"default\")", error->message);
        return CLI_USAGE;
    }
    json_object_set_new(params, "minimum_bytes", json_bytes(bytes));
    return CLI_OK;
}

static int add_weight(Cli *cli, json_t *params)
{
    const char *text = cli_value(cli, "weight");
    if (text == NULL)
        return CLI_OK;
    guint64 weight;
    if (strcmp(text, "default") == 0) {
        json_object_set_new(params, "weight", json_null());
        return CLI_OK;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 1, WEIGHT_MOST, &weight, NULL)) {
        cli_complain(cli, "--weight: \"%s\" is not a whole number from 1 to %d (or \"default\")", text,
                     WEIGHT_MOST);
        return CLI_USAGE;
    }
    json_object_set_new(params, "weight", json_integer((json_int_t)weight));
    return CLI_OK;
}

static int run_set(Cli *cli)
{
    const char *name = cli_operand(cli, 0);
    if (cli_value(cli, "minimum") == NULL && cli_value(cli, "weight") == NULL) {
        cli_complain(cli, "set what? give --minimum SIZE, --weight N or both");
        return CLI_USAGE;
    }
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    int status = add_weight(cli, params);
    if (status == CLI_OK)
        status = add_minimum(cli, name, params);
    if (status != CLI_OK)
        return status;
    g_autoptr(json_t) server = cli_call(cli, "set", json_incref(params));
    if (server == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, server, FALSE);
        return CLI_OK;
    }
    g_autofree char *clean = view_text(server, "name");
    g_autofree char *minimum = text_bytes(view_figure(server, "minimum_bytes"));
    g_autofree char *weight = text_count(view_figure(server, "weight"));
    fprintf(cli->out, "%s: minimum %s (%s), weight %s (%s)\n", clean, minimum,
            json_is_true(json_object_get(server, "minimum_own")) ? "its own" : "default", weight,
            json_is_true(json_object_get(server, "weight_own")) ? "its own" : "default");
    return CLI_OK;
}

const CliVerb verb_set = {
    .name = "set",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = set_options,
    .summary = "give a server its own minimum or weight",
    .text =
        "Gives a server a minimum or a weight of its own, at once and for good. \"default\" takes the own\n"
        "value back. A percentage is of what the server booked.\n\n"
        "Examples:\n"
        "  aerostat set web-1 --minimum 512M\n"
        "  aerostat set web-1 --minimum 25% --weight 200\n"
        "  aerostat set web-1 --minimum default",
    .run = run_set,
};
