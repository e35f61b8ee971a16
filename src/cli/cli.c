#include "cli/cli.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/text.h"
#include "cli/view.h"

const CliVerb *const cli_verbs[] = {
    &verb_status,  &verb_list,       &verb_show,       &verb_explain,   &verb_doctor,  &verb_top,
    &verb_journal, &verb_events,     &verb_set,        &verb_mode,      &verb_reserve, &verb_release,
    &verb_record,  &verb_ballooning, &verb_start,      &verb_shutdown,  &verb_restart, &verb_stop,
    &verb_create,  &verb_images,     &verb_operations, &verb_reinstall, &verb_purge,   &verb_user,
    &verb_own,     &verb_token,      &verb_audit,      &verb_history,
};
const gsize cli_n_verbs = G_N_ELEMENTS(cli_verbs);

/* A login without any locale set is nearly always a UTF-8 terminal; one that says "C" means it. */
static void set_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    gboolean chosen = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        chosen |= g_getenv(names[i]) != NULL && *g_getenv(names[i]) != '\0';
    /* Characters only: numbers are printed alike everywhere. */
    setlocale(LC_CTYPE, chosen ? "" : "C.UTF-8");
    text_set_utf8(strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
}

static int terminal_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void cli_init(Cli *cli, FILE *out, FILE *err)
{
    memset(cli, 0, sizeof *cli);
    cli->out = out;
    cli->err = err;
    int fd = fileno(out);
    cli->is_tty = fd >= 0 && isatty(fd);
    const char *no_colour = g_getenv("NO_COLOR"), *term = g_getenv("TERM");
    cli->colour = cli->is_tty && (no_colour == NULL || *no_colour == '\0') && g_strcmp0(term, "dumb") != 0;
    cli->width = cli->is_tty ? terminal_width(fd) : 0;
    const char *path = g_getenv("AEROSTAT_SOCKET");
    cli->socket_path = g_strdup(path != NULL && *path != '\0' ? path : CLI_DEFAULT_SOCKET);
    const char *token = g_getenv("AEROSTAT_TOKEN");
    cli->token = token != NULL && *token != '\0' ? g_strdup(token) : NULL;
    cli->operands = g_ptr_array_new();
    cli->values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
}

void cli_clear(Cli *cli)
{
    g_clear_pointer(&cli->client, control_client_free);
    g_clear_pointer(&cli->operands, g_ptr_array_unref);
    g_clear_pointer(&cli->values, g_hash_table_unref);
    g_clear_pointer(&cli->socket_path, g_free);
    g_clear_pointer(&cli->token, g_free);
}

void cli_complain(const Cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *clean = text_clean(message);
    fflush(cli->out);
    fprintf(cli->err, "aerostat: %s\n", clean);
}

ControlClient *cli_connect(Cli *cli)
{
    if (cli->client != NULL)
        return cli->client;
    g_autoptr(GError) error = NULL;
    cli->client = control_client_open(cli->socket_path, &error);
    if (cli->client == NULL)
        cli_complain(cli, "%s", error->message);
    else if (cli->token != NULL)
        control_client_set_token(cli->client, cli->token);
    return cli->client;
}

json_t *cli_call(Cli *cli, const char *method, json_t *params)
{
    if (cli_connect(cli) == NULL) {
        json_decref(params);
        return NULL;
    }
    g_autoptr(GError) error = NULL;
    json_t *result = control_client_call(cli->client, method, params, CLI_TIMEOUT_MS, &error);
    if (result == NULL)
        cli_complain(cli, "%s", error->message);
    return result;
}

json_t *cli_name_params(const Cli *cli)
{
    const char *name = cli_operand(cli, 0);
    json_t *params = json_object();
    if (name == NULL || json_object_set_new(params, "name", json_string(name)) == 0)
        return params;
    cli_complain(cli, "\"%s\" is not UTF-8, so it is no server's name", name);
    json_decref(params);
    return NULL;
}

void cli_print_json(const Cli *cli, const json_t *value, gboolean one_line)
{
    /* On a terminal nothing beyond ASCII, so that no name can reach it raw; elsewhere as readable as it came. */
    size_t flags = (one_line ? JSON_COMPACT : JSON_INDENT(2)) | (cli->is_tty ? JSON_ENSURE_ASCII : 0u);
    json_dumpf(value, cli->out, flags | JSON_ENCODE_ANY);
    fputc('\n', cli->out);
}

void cli_heading(const Cli *cli, const char *text)
{
    fprintf(cli->out, "\n%s%s%s\n", tone_begin(TONE_BOLD, cli->colour), text,
            tone_end(TONE_BOLD, cli->colour));
}

void cli_fact(const Cli *cli, const char *label, char *value)
{
    g_autofree char *left = text_pad(label, 14, FALSE);
    fprintf(cli->out, "  %s  %s\n", left, value);
    g_free(value);
}

void cli_paragraph(const Cli *cli, int indent, const char *first, const char *text)
{
    int hang = indent + text_width(first);
    g_autoptr(GPtrArray) lines = text_wrap(text, cli->width > 0 ? MAX(cli->width - hang, 20) : G_MAXINT);
    for (guint i = 0; i < lines->len; i++)
        fprintf(cli->out, "%*s%s%s\n", i == 0 ? indent : hang, "", i == 0 ? first : "",
                (char *)g_ptr_array_index(lines, i));
}

static int run(Cli *cli, int argc, char **argv)
{
    if (!cli_parse(cli, argc, argv))
        return CLI_USAGE;
    if (cli->version && !cli->help) {
        fputs("aerostat " AEROSTAT_VERSION "\n", cli->out);
        return CLI_OK;
    }
    if (cli->help) {
        cli_print_help(cli);
        return CLI_OK;
    }
    return cli->verb->run(cli);
}

int cli_main(int argc, char **argv, FILE *out, FILE *err)
{
    set_locale();
    Cli cli;
    cli_init(&cli, out, err);
    int status = run(&cli, argc, argv);
    errno = 0;
    if ((fflush(out) != 0 || ferror(out)) && status == CLI_OK) {
        cli_complain(&cli, "cannot write the output: %s",
                     errno != 0 ? g_strerror(errno) : "an earlier write failed");
        status = CLI_FAILED;
    }
    cli_clear(&cli);
    return status;
}
