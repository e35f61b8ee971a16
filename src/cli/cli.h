/* The command line's frame: one Cli per run, one file per verb, exit statuses as documented. */
#pragma once
#include <stdio.h>
#include <glib.h>
#include <jansson.h>

#include "control/client.h"

#define CLI_OK     0
#define CLI_FAILED 1
#define CLI_USAGE  2

#define CLI_TIMEOUT_MS     10000
#define CLI_DEFAULT_SOCKET "/run/aerostat/control.sock"

typedef struct {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* what stands for its value in the help; NULL: a switch */
    const char *help;
} CliOption;

typedef struct Cli Cli;

typedef struct {
    const char *name;
    const char *operands;     /* as the help shows them: "SERVER", "[SERVER]" */
    int least, most;          /* how many operands */
    const CliOption *options; /* ends with a NULL name; NULL for none */
    const char *summary;      /* one line, for the list of commands */
    const char *text;         /* paragraphs and examples, as they are printed */
    int (*run)(Cli *cli);
} CliVerb;

struct Cli {
    const CliVerb *verb;
    char *socket_path;
    char *token; /* (nullable) who asks, instead of the user who runs this */
    gboolean json, help, version;
    gboolean is_tty, colour; /* of standard output */
    int width;               /* of the terminal; 0 when there is none: then nothing is cut */
    FILE *out, *err;
    GPtrArray *operands; /* of char* */
    GHashTable *values;  /* option name -> text; "" for a switch */
    ControlClient *client;
};

extern const CliVerb verb_status, verb_list, verb_show, verb_explain, verb_mode, verb_set, verb_journal,
    verb_events, verb_top, verb_reserve, verb_release, verb_record, verb_doctor, verb_ballooning, verb_start,
    verb_shutdown, verb_restart, verb_stop, verb_create, verb_images, verb_operations, verb_reinstall,
    verb_purge, verb_user, verb_own, verb_token, verb_audit, verb_history;
extern const CliVerb *const cli_verbs[];
extern const gsize cli_n_verbs;

/* cli_main: the whole program; returns the exit status. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);

/* cli_parse: fills @cli from @argv; FALSE after having said what is wrong and what would be right. */
gboolean cli_parse(Cli *cli, int argc, char **argv);
void cli_init(Cli *cli, FILE *out, FILE *err);
void cli_clear(Cli *cli);
void cli_print_help(const Cli *cli);

const char *cli_operand(const Cli *cli, guint index); /* NULL when it was not given */
const char *cli_value(const Cli *cli, const char *option);
/* A whole number from @least to @most; @fallback when the option was not given. FALSE after having complained. */
gboolean cli_number(Cli *cli, const char *option, guint64 least, guint64 most, guint64 fallback,
                    guint64 *ret);

/* "aerostat: MESSAGE", clean, to standard error. */
void cli_complain(const Cli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* cli_call: (transfer full) the result, or NULL after having said why. @params (transfer full, nullable). */
json_t *cli_call(Cli *cli, const char *method, json_t *params);
ControlClient *cli_connect(Cli *cli);
/* {"name": the first operand}, empty without one; NULL after having complained of a name that is not UTF-8. */
json_t *cli_name_params(const Cli *cli);

/* The result as it is, indented, for --json. */
void cli_print_json(const Cli *cli, const json_t *value, gboolean one_line);

/* "Heading" in bold; and one "  Label   value" line, with the value's tone. @value is clean (transfer full). */
void cli_heading(const Cli *cli, const char *text);
void cli_fact(const Cli *cli, const char *label, char *value);
/* A clean paragraph, wrapped to the terminal. */
void cli_paragraph(const Cli *cli, int indent, const char *first, const char *text);
/* One entry of the journal, as `journal`, `explain` and `events` show it. */
void cli_decision(const Cli *cli, json_t *decision, gboolean with_server);
