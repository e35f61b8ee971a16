#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

static Tone tone_of(const char *severity)
{
    if (g_strcmp0(severity, "problem") == 0)
        return TONE_BAD;
    if (g_strcmp0(severity, "warning") == 0)
        return TONE_WARN;
    return g_strcmp0(severity, "ok") == 0 ? TONE_GOOD : TONE_DIM;
}

static void print_finding(const Cli *cli, json_t *finding)
{
    const char *severity = view_raw(finding, "severity"), *name = view_raw(finding, "name");
    Tone tone = tone_of(severity);
    g_autofree char *clean = text_clean(severity), *label = text_pad(clean, 8, FALSE);
    g_autofree char *who = text_clean(name != NULL ? name : "host"), *what = view_text(finding, "what");
    fprintf(cli->out, "%s%s%s %s%s%s\n", tone_begin(tone, cli->colour), label, tone_end(tone, cli->colour),
            tone_begin(TONE_BOLD, cli->colour), who, tone_end(TONE_BOLD, cli->colour));
    cli_paragraph(cli, 9, "", what);
    if (view_raw(finding, "fix") == NULL)
        return;
    g_autofree char *fix = view_text(finding, "fix"), *arrow = g_strconcat(text_arrow(), " ", NULL);
    cli_paragraph(cli, 9, arrow, fix);
}

static guint count_of(json_t *findings, const char *severity)
{
    size_t i;
    guint n = 0;
    json_t *finding;
    json_array_foreach(findings, i, finding) n += g_strcmp0(view_raw(finding, "severity"), severity) == 0;
    return n;
}

static void print_summary(const Cli *cli, json_t *findings)
{
    guint problems = count_of(findings, "problem"), warnings = count_of(findings, "warning");
    guint notes = count_of(findings, "note");
    if (problems + warnings + notes > 0)
        fprintf(cli->out, "\n%u problem%s, %u warning%s, %u note%s.\n", problems, problems == 1 ? "" : "s",
                warnings, warnings == 1 ? "" : "s", notes, notes == 1 ? "" : "s");
}

static int run_doctor(Cli *cli)
{
    json_t *params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    g_autoptr(json_t) result = cli_call(cli, "doctor", params);
    if (result == NULL)
        return CLI_FAILED;
    json_t *findings = json_object_get(result, "findings");
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
    } else {
        json_t *finding;
        size_t i;
        json_array_foreach(findings, i, finding) print_finding(cli, finding);
        print_summary(cli, findings);
    }
    return count_of(findings, "problem") > 0 ? CLI_FAILED : CLI_OK;
}

const CliVerb verb_doctor = {
    .name = "doctor",
    .operands = "[SERVER]",
    .most = 1,
    .summary = "what keeps memory from being shared well, and what mends it",
    .text =
        "Looks at the host and at every running server, or at one server, for what keeps memory from being\n"
        "shared well: the worst first, each with the one line that mends it. A problem does not work as it\n"
        "should, a warning works worse than it could, a note is worth knowing.\n"
        "Exit status: 0 without problems, 1 with some.\n\n"
        "Examples:\n"
        "  aerostat doctor\n"
        "  aerostat doctor web-1\n"
        "  aerostat doctor --json | jq -r '.findings[] | select(.severity == \"problem\") | .what'",
    .run = run_doctor,
};
