/* Accounts: user add, list, remove, password; and whose a server is. */
#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define PASSWORD_MAX 1024

static const CliOption user_options[] = {
    {"role", 'r', "ROLE", "of a new account: owner (the default) or operator"},
    {"password-file", 'p', "PATH", "read the password from the first line of this file; - is standard input"},
    {"revoke-tokens", 'R', NULL, "with a new password: revoke the account's tokens, too"},
    {0},
};

/* The first line of @file, without its end. */
static char *read_line(FILE *file)
{
    char buffer[PASSWORD_MAX + 2];
    if (fgets(buffer, sizeof buffer, file) == NULL)
        return NULL;
    buffer[strcspn(buffer, "\r\n")] = '\0';
    char *line = g_strdup(buffer);
    memset(buffer, 0, sizeof buffer);
    return line;
}

static char *prompt(const char *text)
{
    struct termios before, silent;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return NULL;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fputs(text, stderr);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    char *line = read_line(stdin);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return line;
}

static char *prompt_twice(Cli *cli)
{
    g_autofree char *first = prompt("New password: "), *second = prompt("Again: ");
    if (first != NULL && g_strcmp0(first, second) == 0)
        return g_steal_pointer(&first);
    cli_complain(cli, "the two are not the same; nothing was changed");
    return NULL;
}

/* Never from an argument, which everybody on the host can read. */
static char *read_password(Cli *cli)
{
    const char *path = cli_value(cli, "password-file");
    if (path == NULL && isatty(STDIN_FILENO))
        return prompt_twice(cli);
    if (path == NULL) {
        cli_complain(
            cli, "there is no terminal to ask for the password: give --password-file PATH, or - for standard "
                 "input");
        return NULL;
    }
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *password = file != NULL ? read_line(file) : NULL;
    if (password == NULL)
        cli_complain(cli, "--password-file %s: %s", path, file != NULL ? "it is empty" : g_strerror(errno));
    if (file != NULL && file != stdin)
        fclose(file);
    return password;
}

static int print_users(Cli *cli)
{
    g_autoptr(json_t) result = cli_call(cli, "user_list", NULL);
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    g_autoptr(Table) table = table_new();
    table_column(table, "Name", FALSE, 0);
    table_column(table, "Role", FALSE, 0);
    table_column(table, "Servers", TRUE, 0);
    table_column(table, "Since", FALSE, 1);
    size_t i;
    json_t *user;
    json_array_foreach(json_object_get(result, "users"), i, user)
    {
        table_cell(table, view_text(user, "name"), TONE_PLAIN);
        table_cell(table, view_text(user, "role"), TONE_PLAIN);
        table_cell(table, text_count(view_figure(user, "servers")), TONE_PLAIN);
        table_cell(table, text_time(json_integer_value(json_object_get(user, "created_unix_us")), FALSE),
                   TONE_PLAIN);
    }
    g_free(table_print(table, cli->out, cli->width, cli->colour));
    return CLI_OK;
}

/* A new password alone does not end what stands for the account in programs. */
static void print_tokens_left(Cli *cli, const char *name, json_int_t tokens)
{
    if (tokens <= 0)
        return;
    fprintf(cli->out,
            "%" JSON_INTEGER_FORMAT " %s of it %s valid: \"aerostat token list --user %s\" shows them, and "
            "--revoke-tokens\nwith a new password revokes them.\n",
            tokens, tokens == 1 ? "token" : "tokens", tokens == 1 ? "stays" : "stay", name);
}

static int finish(Cli *cli, const char *method, json_t *params, const char *done)
{
    g_autoptr(json_t) result = cli_call(cli, method, params);
    if (result == NULL)
        return CLI_FAILED;
    g_autofree char *clean = text_clean(cli_operand(cli, 1));
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    fprintf(cli->out, "%s: %s\n", clean, done);
    print_tokens_left(cli, clean, json_integer_value(json_object_get(result, "tokens")));
    return CLI_OK;
}

static int with_password(Cli *cli, json_t *params, const char *method, const char *done)
{
    g_autofree char *password = read_password(cli);
    json_t *value = password != NULL ? json_string(password) : NULL;
    if (value == NULL) {
        if (password != NULL)
            cli_complain(cli, "the password is not valid UTF-8");
        json_decref(params);
        return CLI_FAILED;
    }
    memset(password, 0, strlen(password));
    json_object_set_new(params, "password", value);
    return finish(cli, method, params, done);
}

/* An option that means nothing to @verb was meant for something else. */
static gboolean check_options(Cli *cli, const char *verb)
{
    static const struct {
        const char *option, *verbs;
    } meant[] = {{"role", "add"}, {"password-file", "add password"}, {"revoke-tokens", "password"}};
    for (guint i = 0; i < G_N_ELEMENTS(meant); i++) {
        g_auto(GStrv) verbs = g_strsplit(meant[i].verbs, " ", -1);
        if (cli_value(cli, meant[i].option) == NULL || g_strv_contains((const char *const *)verbs, verb))
            continue;
        cli_complain(cli, "user %s: --%s goes with user %s only", verb, meant[i].option,
                     g_str_equal(meant[i].verbs, "add password") ? "add and user password" : meant[i].verbs);
        return FALSE;
    }
    return TRUE;
}

static int run_user(Cli *cli)
{
    const char *verb = cli_operand(cli, 0), *name = cli_operand(cli, 1);
    gboolean list = strcmp(verb, "list") == 0;
    if (list && name == NULL)
        return print_users(cli);
    gboolean known = strcmp(verb, "add") == 0 || strcmp(verb, "remove") == 0 || strcmp(verb, "password") == 0;
    if (!known || list) {
        g_autofree char *clean = text_clean(verb);
        cli_complain(cli, "user %s: use add NAME, list, remove NAME or password NAME", clean);
        return CLI_USAGE;
    }
    if (!check_options(cli, verb))
        return CLI_USAGE;
    json_t *value = name != NULL ? json_string(name) : NULL;
    if (value == NULL) {
        cli_complain(cli, "user %s: which account? give its name", verb);
        return CLI_USAGE;
    }
    json_t *params = json_pack("{s:o}", "name", value);
    if (strcmp(verb, "remove") == 0)
        return finish(cli, "user_remove", params, "removed; its servers stay, without an owner");
    gboolean revoke = cli_value(cli, "revoke-tokens") != NULL;
    if (strcmp(verb, "password") == 0) {
        json_object_set_new(params, "revoke_tokens", json_boolean(revoke));
        return with_password(cli, params, "user_password", "it has a new password");
    }
    const char *role = cli_value(cli, "role");
    json_object_set_new(params, "role", json_string(role != NULL ? role : "owner"));
    return with_password(cli, params, "user_add", "added");
}

const CliVerb verb_user = {
    .name = "user",
    .operands = "add|list|remove|password [NAME]",
    .least = 1,
    .most = 2,
    .options = user_options,
    .summary = "accounts of owners and operators",
    .text =
        "Accounts for the dashboard and for tokens. An owner sees and changes only the servers that are his\n"
        "(aerostat own), an operator everything. The password is asked for, or read from a file, and never "
        "an\n"
        "argument. A new password ends the account's sessions; its tokens only with --revoke-tokens.\n\n"
        "Examples:\n"
        "  aerostat user add alice\n"
        "  aerostat user add bob --role operator --password-file /root/bob\n"
        "  aerostat user password alice --revoke-tokens\n"
        "  aerostat user list",
    .run = run_user,
};

static int run_own(Cli *cli)
{
    const char *user = cli_operand(cli, 1);
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    gboolean nobody = strcmp(user, "-") == 0;
    json_object_set_new(params, "user", nobody ? json_null() : json_string(user));
    g_autoptr(json_t) server = cli_call(cli, "own", params);
    if (server == NULL)
        return CLI_FAILED;
    g_autofree char *name = view_text(server, "name"), *owner = view_text(server, "owner");
    if (cli->json)
        cli_print_json(cli, server, FALSE);
    else if (nobody)
        fprintf(cli->out, "%s: nobody's\n", name);
    else
        fprintf(cli->out, "%s: %s's\n", name, owner);
    return CLI_OK;
}

const CliVerb verb_own = {
    .name = "own",
    .operands = "SERVER USER",
    .least = 2,
    .most = 2,
    .summary = "say whose a server is",
    .text =
        "Gives a server to an account, which sees and changes it from then on; - takes it away from whoever\n"
        "has it.\n\n"
        "Examples:\n"
        "  aerostat own web-1 alice\n"
        "  aerostat own web-1 -",
    .run = run_own,
};
