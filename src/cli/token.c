/* Tokens for programs, and the audit. */
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define DAY_S     86400
#define DAYS_MOST 3650

static const CliOption token_options[] = {
    {"user", 'u', "NAME", "whose token: operators give one to anybody"},
    {"days", 'd', "N", "it ends after so many days; without, never"},
    {0},
};

static gboolean add_user(Cli *cli, json_t *params)
{
    const char *user = cli_value(cli, "user");
    if (user == NULL || json_object_set_new(params, "user", json_string(user)) == 0)
        return TRUE;
    cli_complain(cli, "--user: the name is not valid UTF-8");
    return FALSE;
}

static int token_add(Cli *cli, const char *label)
{
    guint64 days = 0;
    g_autoptr(json_t) params = json_object();
    if (label == NULL || json_object_set_new(params, "label", json_string(label)) != 0) {
        cli_complain(cli, "token add: what is it for? give a label, such as backup-script");
        return CLI_USAGE;
    }
    if (!add_user(cli, params) || !cli_number(cli, "days", 1, DAYS_MOST, 0, &days))
        return CLI_USAGE;
    if (days > 0)
        json_object_set_new(params, "expires_in_seconds", json_integer((json_int_t)days * DAY_S));
    g_autoptr(json_t) made = cli_call(cli, "token_add", json_incref(params));
    if (made == NULL)
        return CLI_FAILED;
    g_autofree char *token = view_text(made, "token");
    if (cli->json)
        cli_print_json(cli, made, FALSE);
    else
        fprintf(cli->out, "%s\n", token);
    if (!cli->json && cli->is_tty)
        fputs("Keep it now: it is not shown again.\n", cli->out);
    return CLI_OK;
}

static int token_list(Cli *cli)
{
    g_autoptr(json_t) params = json_object();
    if (!add_user(cli, params))
        return CLI_USAGE;
    g_autoptr(json_t) result = cli_call(cli, "token_list", json_incref(params));
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    g_autoptr(Table) table = table_new();
    table_column(table, "Id", TRUE, 0);
    table_column(table, "Label", FALSE, 0);
    table_column(table, "User", FALSE, 0);
    table_column(table, "Last used", FALSE, 1);
    table_column(table, "Ends", FALSE, 0);
    size_t i;
    json_t *token;
    json_array_foreach(json_object_get(result, "tokens"), i, token)
    {
        json_int_t used = json_integer_value(json_object_get(token, "used_unix_us"));
        json_int_t ends = json_integer_value(json_object_get(token, "expires_unix_us"));
        table_cell(table, text_count(view_figure(token, "id")), TONE_PLAIN);
        table_cell(table, view_text(token, "label"), TONE_PLAIN);
        table_cell(table, view_text(token, "user"), TONE_PLAIN);
        table_cell(table, used ? text_time(used, FALSE) : g_strdup(text_dash()), TONE_PLAIN);
        table_cell(table, ends ? text_time(ends, FALSE) : g_strdup("never"), TONE_PLAIN);
    }
    g_free(table_print(table, cli->out, cli->width, cli->colour));
    return CLI_OK;
}

static int token_revoke(Cli *cli, const char *text)
{
    guint64 id;
    if (text == NULL || !g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT64, &id, NULL)) {
        cli_complain(cli, "token revoke: which one? give its number from \"aerostat token list\"");
        return CLI_USAGE;
    }
    g_autoptr(json_t) result = cli_call(cli, "token_revoke", json_pack("{s:I}", "id", (json_int_t)id));
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json)
        cli_print_json(cli, result, FALSE);
    else
        fprintf(cli->out, "token %" G_GUINT64_FORMAT " is revoked\n", id);
    return CLI_OK;
}

static int run_token(Cli *cli)
{
    const char *verb = cli_operand(cli, 0), *what = cli_operand(cli, 1);
    if (strcmp(verb, "add") == 0)
        return token_add(cli, what);
    if (strcmp(verb, "list") == 0 && what == NULL)
        return token_list(cli);
    if (strcmp(verb, "revoke") == 0)
        return token_revoke(cli, what);
    g_autofree char *clean = text_clean(verb);
    cli_complain(cli, "token %s: use add LABEL, list or revoke ID", clean);
    return CLI_USAGE;
}

const CliVerb verb_token = {
    .name = "token",
    .operands = "add|list|revoke [LABEL|ID]",
    .least = 1,
    .most = 2,
    .options = token_options,
    .summary = "tokens for programs",
    .text =
        "A token stands for its account in programs: put it into a file and give --token-file, or into the\n"
        "environment as AEROSTAT_TOKEN. It is shown once; only its digest is kept.\n\n"
        "Examples:\n"
        "  aerostat token add backup-script --user alice --days 90\n"
        "  aerostat token list\n"
        "  aerostat token revoke 3",
    .run = run_token,
};

static const CliOption audit_options[] = {
    {"limit", 'n', "N", "how many entries, from 1 to 1000 (100)"},
    {0},
};

static void print_entry(Cli *cli, json_t *entry)
{
    g_autofree char *time = text_time(json_integer_value(json_object_get(entry, "time_us")), FALSE);
    g_autofree char *who = view_text(entry, "who"), *from = view_text(entry, "from"),
                    *action = view_text(entry, "action"), *name = view_text(entry, "name"),
                    *result = view_text(entry, "result");
    fprintf(cli->out, "%s  %s (%s)  %s %s: %s\n", time, who, from, action, name, result);
    json_t *before = json_object_get(entry, "before"), *after = json_object_get(entry, "after");
    if (json_is_null(before) && json_is_null(after))
        return;
    g_autofree char *was = json_dumps(before, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    g_autofree char *is = json_dumps(after, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    fprintf(cli->out, "    %s %s %s\n", was, text_arrow(), is);
}

static int run_audit(Cli *cli)
{
    guint64 limit;
    if (!cli_number(cli, "limit", 1, 1000, 100, &limit))
        return CLI_USAGE;
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    json_object_set_new(params, "limit", json_integer((json_int_t)limit));
    g_autoptr(json_t) result = cli_call(cli, "audit", params);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_t *entries = json_object_get(result, "entries");
    for (size_t i = json_array_size(entries); i-- > 0;)
        print_entry(cli, json_array_get(entries, i));
    return CLI_OK;
}

const CliVerb verb_audit = {
    .name = "audit",
    .operands = "[NAME]",
    .most = 1,
    .options = audit_options,
    .summary = "who changed what, and what was refused",
    .text = "Every change and every refusal, the newest last: who, from where, what it was before and after. "
            "With a\n"
            "name: what was done to that server or account.\n\n"
            "Examples:\n"
            "  aerostat audit\n"
            "  aerostat audit web-1 --limit 20",
    .run = run_audit,
};
