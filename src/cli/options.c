#include <string.h>

#include "base/suggest.h"
#include "cli/cli.h"
#include "cli/text.h"

static const CliOption global_options[] = {
    {"socket", 's', "PATH", "the daemon's control socket (also: AEROSTAT_SOCKET)"},
    {"token-file", 'T', "PATH", "who asks: a token from a file (also: AEROSTAT_TOKEN)"},
    {"json", 'j', NULL, "print JSON, sizes as integers of bytes"},
    {"help", 'h', NULL, "show this help, or a command's"},
    {"version", 'V', NULL, "show the version"},
    {0},
};

static const CliOption *find_in(const CliOption *options, const char *name, gsize length)
{
    for (const CliOption *option = options; option != NULL && option->name != NULL; option++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const CliOption *find_letter(const CliOption *options, char letter)
{
    for (const CliOption *option = options; option != NULL && option->name != NULL; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

/* "--name", "--name=value", "-n", "-nvalue" to its option; what follows in the same word to @ret_value. */
static const CliOption *match(const CliVerb *verb, const char *word, const char **ret_value)
{
    const CliOption *own = verb != NULL ? verb->options : NULL, *found;
    *ret_value = NULL;
    if (word[1] != '-') {
        found = find_letter(global_options, word[1]);
        if (found == NULL)
            found = find_letter(own, word[1]);
        if (word[2] != '\0')
            *ret_value = word + 2;
        return found;
    }
    const char *equals = strchr(word, '=');
    gsize length = equals != NULL ? (gsize)(equals - word - 2) : strlen(word + 2);
    if (equals != NULL)
        *ret_value = equals + 1;
    found = find_in(global_options, word + 2, length);
    return found != NULL ? found : find_in(own, word + 2, length);
}

static gboolean is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* The first word that is neither an option nor a global option's value. */
static const CliVerb *find_verb(Cli *cli, int argc, char **argv, int *ret_index)
{
    *ret_index = 0;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--") == 0)
            return NULL;
        if (is_option(argv[i])) {
            const CliOption *option = match(NULL, argv[i], &value);
            i += option != NULL && option->argument != NULL && value == NULL ? 1 : 0;
            continue;
        }
        *ret_index = i;
        for (gsize v = 0; v < cli_n_verbs; v++)
            if (strcmp(cli_verbs[v]->name, argv[i]) == 0)
                return cli_verbs[v];
        return NULL;
    }
    return NULL;
}

static gboolean complain_verb(const Cli *cli, const char *word)
{
    g_autofree const char **names = g_new0(const char *, cli_n_verbs + 1);
    for (gsize i = 0; i < cli_n_verbs; i++)
        names[i] = cli_verbs[i]->name;
    names[cli_n_verbs] = "help";
    const char *near = suggest_nearest(word, names, cli_n_verbs + 1);
    if (near != NULL)
        cli_complain(cli, "there is no command \"%s\"; did you mean \"%s\"?", word, near);
    else
        cli_complain(cli, "there is no command \"%s\"; \"aerostat --help\" lists all", word);
    return FALSE;
}

static gboolean complain_option(const Cli *cli, const char *word)
{
    const char *names[16] = {0};
    gsize n = 0;
    for (const CliOption *option = global_options; option->name != NULL; option++)
        names[n++] = option->name;
    const CliOption *own = cli->verb != NULL ? cli->verb->options : NULL;
    for (; own != NULL && own->name != NULL && n < G_N_ELEMENTS(names); own++)
        names[n++] = own->name;
    g_autofree char *name = g_strdup(word + (word[1] == '-' ? 2 : 1));
    name[strcspn(name, "=")] = '\0';
    const char *near = word[1] == '-' ? suggest_nearest(name, names, n) : NULL;
    const char *of = cli->verb != NULL ? cli->verb->name : "";
    const char *space = cli->verb != NULL ? " " : "";
    if (near != NULL)
        cli_complain(cli, "unknown option %s; did you mean --%s?", word, near);
    else if (cli->verb == NULL)
        cli_complain(cli, "unknown option %s before the command; \"aerostat --help\" lists what there is",
                     word);
    else
        cli_complain(cli, "unknown option %s; \"aerostat%s%s --help\" lists what there is", word, space, of);
    return FALSE;
}

/* Its first word, as `aerostat token add` prints it. */
static gboolean read_token(Cli *cli, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, &error)) {
        cli_complain(cli, "--token-file: %s", error->message);
        return FALSE;
    }
    g_strstrip(text);
    if (*text == '\0' || strpbrk(text, " \t\r\n") != NULL) {
        cli_complain(cli, "--token-file %s: it should hold one token, as \"aerostat token add\" prints it",
                     path);
        return FALSE;
    }
    g_free(cli->token);
    cli->token = g_steal_pointer(&text);
    return TRUE;
}

static gboolean store(Cli *cli, const CliOption *option, const char *value)
{
    if (option->argument == NULL && value != NULL) {
        cli_complain(cli, "--%s takes no value", option->name);
        return FALSE;
    }
    if (strcmp(option->name, "socket") == 0) {
        g_free(cli->socket_path);
        cli->socket_path = g_strdup(value);
    } else if (strcmp(option->name, "token-file") == 0) {
        return read_token(cli, value);
    } else if (strcmp(option->name, "json") == 0) {
        cli->json = TRUE;
    } else if (strcmp(option->name, "help") == 0) {
        cli->help = TRUE;
    } else if (strcmp(option->name, "version") == 0) {
        cli->version = TRUE;
    } else if (!g_hash_table_insert(cli->values, (gpointer)option->name,
                                    g_strdup(value != NULL ? value : "")) &&
               option->argument != NULL) {
        cli_complain(cli, "--%s is given twice", option->name);
        return FALSE;
    }
    return TRUE;
}

/* One option word and, where it takes one, its value from the next word. */
static gboolean take_option(Cli *cli, int argc, char **argv, int *index)
{
    const char *word = argv[*index], *value;
    const CliOption *option = match(cli->verb, word, &value);
    if (option == NULL)
        return complain_option(cli, word);
    if (option->argument == NULL && word[1] != '-' &&
        value != NULL) /* -js is not -j -s here: too rare to guess */
        return complain_option(cli, word);
    if (option->argument != NULL && value == NULL) {
        if (*index + 1 >= argc) {
            cli_complain(cli, "--%s needs a value: --%s %s", option->name, option->name, option->argument);
            return FALSE;
        }
        value = argv[++*index];
    }
    return store(cli, option, value);
}

static gboolean check_operands(const Cli *cli)
{
    int n = (int)cli->operands->len;
    const CliVerb *verb = cli->verb;
    if (n >= verb->least && n <= verb->most)
        return TRUE;
    const char *space = *verb->operands != '\0' ? " " : "";
    if (n > verb->most)
        cli_complain(cli, "too many words: \"%s\" is not expected; usage: aerostat %s%s%s",
                     cli_operand(cli, (guint)verb->most), verb->name, space, verb->operands);
    else
        cli_complain(cli, "%s needs more; usage: aerostat %s%s%s", verb->name, verb->name, space,
                     verb->operands);
    return FALSE;
}

/* "aerostat help", "aerostat help VERB" are meant like "--help". */
static gboolean help_words(Cli *cli, int argc, char **argv, int index)
{
    cli->help = TRUE;
    if (index + 1 >= argc || is_option(argv[index + 1]))
        return TRUE;
    for (gsize v = 0; v < cli_n_verbs; v++)
        if (strcmp(cli_verbs[v]->name, argv[index + 1]) == 0)
            cli->verb = cli_verbs[v];
    return cli->verb != NULL || complain_verb(cli, argv[index + 1]);
}

gboolean cli_parse(Cli *cli, int argc, char **argv)
{
    int at;
    cli->verb = find_verb(cli, argc, argv, &at);
    if (cli->verb == NULL && at > 0)
        return strcmp(argv[at], "help") == 0 ? help_words(cli, argc, argv, at) : complain_verb(cli, argv[at]);
    gboolean only_operands = FALSE;
    for (int i = 1; i < argc; i++) {
        if (i == at)
            continue;
        if (!only_operands && strcmp(argv[i], "--") == 0)
            only_operands = TRUE;
        else if (only_operands || !is_option(argv[i]))
            g_ptr_array_add(cli->operands, argv[i]);
        else if (!take_option(cli, argc, argv, &i))
            return FALSE;
    }
    if (cli->help || cli->version)
        return TRUE;
    if (cli->verb == NULL) {
        cli_complain(
            cli, "which command? \"aerostat --help\" lists them; \"aerostat status\" is a good first one");
        return FALSE;
    }
    return check_operands(cli);
}

const char *cli_operand(const Cli *cli, guint index)
{
    return index < cli->operands->len ? g_ptr_array_index(cli->operands, index) : NULL;
}

const char *cli_value(const Cli *cli, const char *option)
{
    return g_hash_table_lookup(cli->values, option);
}

gboolean cli_number(Cli *cli, const char *option, guint64 least, guint64 most, guint64 fallback, guint64 *ret)
{
    const char *text = cli_value(cli, option);
    if (text == NULL) {
        *ret = fallback;
        return TRUE;
    }
    if (g_ascii_string_to_unsigned(text, 10, least, most, ret, NULL))
        return TRUE;
    cli_complain(cli, "--%s: \"%s\" is not a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                 option, text, least, most);
    return FALSE;
}

static void print_options(FILE *out, const CliOption *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        g_autofree char *left =
            g_strdup_printf("--%s%s%s", options->name, options->argument != NULL ? " " : "",
                            options->argument != NULL ? options->argument : "");
        char letter[5] = "    ";
        if (options->letter != 0)
            g_snprintf(letter, sizeof letter, "-%c, ", options->letter);
        fprintf(out, "  %s%-20s  %s\n", letter, left, options->help);
    }
}

static void print_verb_help(const Cli *cli)
{
    const CliVerb *verb = cli->verb;
    fprintf(cli->out, "Usage: aerostat %s%s%s%s\n\n%s\n\n", verb->name, *verb->operands != '\0' ? " " : "",
            verb->operands, verb->options != NULL ? " [OPTIONS]" : "", verb->text);
    if (verb->options != NULL) {
        fputs("Options:\n", cli->out);
        print_options(cli->out, verb->options);
        fputc('\n', cli->out);
    }
    fputs("Options of every command:\n", cli->out);
    print_options(cli->out, global_options);
}

void cli_print_help(const Cli *cli)
{
    if (cli->verb != NULL) {
        print_verb_help(cli);
        return;
    }
    fputs("Usage: aerostat [OPTIONS] COMMAND\n\n"
          "Shows and steers how this host's memory is shared among its virtual servers.\n\nCommands:\n",
          cli->out);
    for (gsize i = 0; i < cli_n_verbs; i++) {
        const CliVerb *verb = cli_verbs[i];
        g_autofree char *left = g_strdup_printf("%s %s", verb->name, verb->operands);
        fprintf(cli->out, "  %-24s  %s\n", left, verb->summary);
    }
    fputs("\nOptions (before or after the command):\n", cli->out);
    print_options(cli->out, global_options);
    fputs("\nExit status: 0 done, 1 failed, 2 wrong usage.  \"aerostat COMMAND --help\" shows examples.\n"
          "Manual: aerostat(1), aerostatd(8), aerostat.conf(5)\n",
          cli->out);
}
