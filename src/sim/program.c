/* aerostat-sim's command line. */
#include "sim/program.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "base/suggest.h"
#include "recording/recording.h"
#include "sim/replay.h"
#include "sim/report.h"
#include "sim/whatif.h"

#define EXIT_FAILED  1
#define EXIT_USAGE   2
#define HISTORY_ROWS 400

typedef struct {
    char *policy, *svg, **sets, **files;
    gboolean json, version;
    const char *path;
} Options;

static void options_clear(Options *options)
{
    g_free(options->policy);
    g_free(options->svg);
    g_strfreev(options->sets);
    g_strfreev(options->files);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean check_policy(const char *name, GError **error)
{
    if (!name || g_str_equal(name, "all") || manager_find(name))
        return TRUE;
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (guint i = 0; i < N_MANAGERS; i++)
        g_ptr_array_add(known, (gpointer)MANAGERS[i]->name);
    g_ptr_array_add(known, (gpointer) "all");
    const char *near = suggest_nearest(name, (const char *const *)known->pdata, known->len);
    g_autofree char *quoted = error_printable(name, -1, 40);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "--policy %s is not known; write aerostat, static, static-by-maximum, proportional, proxmox, "
                "mom or all%s%s%s",
                quoted, near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    return FALSE;
}

static gboolean parse_options(int argc, char **argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"policy", 'p', 0, G_OPTION_ARG_STRING, &options->policy,
         "aerostat, static, static-by-maximum, proportional, proxmox, mom or all (default)", "NAME"},
        {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options->sets,
         "Change a value: pool=8GiB, pool=80%, weight.web-1=200, policy.reaction_us=1s; may be repeated",
         "KEY=VALUE"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json, "Print one JSON object", NULL},
        {"svg", 0, 0, G_OPTION_ARG_FILENAME, &options->svg,
         "Draw who held what (of the chosen policy, else aerostat)", "FILE"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->files, NULL, NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("SCENARIO|RECORDING");
    g_option_context_set_summary(
        context, "Runs Aerostat's policy, and others to compare, on modelled guests in virtual time.\n"
                 "See aerostat-sim(1).");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return FALSE;
    if (options->version)
        return TRUE;
    if (!options->files || !options->files[0] || options->files[1]) {
        g_set_error_literal(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "name one scenario or recording");
        return FALSE;
    }
    options->path = options->files[0];
    return check_policy(options->policy, error);
}

/* A recording begins with its header's first key, a scenario never with a brace. */
static gboolean is_recording(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return FALSE;
    int first = fgetc(file);
    fclose(file);
    return first == '{';
}

/* What a file has to say: a scenario, and of a recording also what it was as it stands. */
typedef struct {
    Scenario *scenario;
    Scenario *was; /* (nullable): a recording without the --set */
    char *about;   /* (nullable): of a recording */
} Loaded;

static void loaded_clear(Loaded *loaded)
{
    g_clear_pointer(&loaded->scenario, scenario_free);
    g_clear_pointer(&loaded->was, scenario_free);
    g_free(loaded->about);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Loaded, loaded_clear)

static void warn(const Options *options, const Recording *recording, FILE *err)
{
    if (recording->note)
        fprintf(err, "aerostat-sim: %s: %s\n", options->path, recording->note);
    if (recording->lost > 0)
        fprintf(err, "aerostat-sim: %s: %" G_GUINT64_FORMAT " beats are missing in it\n", options->path,
                recording->lost);
    if (replay_pool_moved(recording))
        fprintf(err,
                "aerostat-sim: %s: its pool changed meanwhile; it is replayed with what it was at first\n",
                options->path);
}

static gboolean load(const Options *options, gboolean is_recording, FILE *err, Loaded *ret, GError **error)
{
    const char *const *sets = (const char *const *)options->sets;
    if (!is_recording) {
        ret->scenario = scenario_load(options->path, sets, error);
        return ret->scenario != NULL;
    }
    g_autoptr(Recording) recording = recording_load(options->path, error);
    if (!recording)
        return FALSE;
    warn(options, recording, err);
    g_autofree char *base = g_path_get_basename(options->path);
    ret->about = whatif_about(recording, base);
    if (sets && *sets && !(ret->was = replay_scenario(recording, options->path, NULL, error)))
        return FALSE;
    ret->scenario = replay_scenario(recording, options->path, sets, error);
    return ret->scenario != NULL;
}

static gboolean write_svg(const Options *options, const Report *report, GError **error)
{
    const char *wanted =
        options->policy && !g_str_equal(options->policy, "all") ? options->policy : "aerostat";
    for (guint i = 0; i < report->outcomes->len; i++) {
        const Outcome *outcome = &g_array_index(report->outcomes, Outcome, i);
        if (!g_str_equal(outcome->ops->name, wanted))
            continue;
        g_autofree char *svg = svg_picture(report->scenario, outcome->ops, outcome->run);
        return g_file_set_contents(options->svg, svg, -1, error);
    }
    return TRUE;
}

static void print_json(const Report *report, const Report *was, FILE *out)
{
    g_autoptr(json_t) object = report_json(report);
    if (was) {
        g_autoptr(json_t) before = report_json(was);
        json_object_set(object, "as_recorded", before);
    }
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    fprintf(out, "%s\n", text);
    free(text);
}

static void print(const Options *options, const Loaded *loaded, const Report *report, const Report *was,
                  FILE *out)
{
    if (options->json) {
        print_json(report, was, out);
        return;
    }
    if (loaded->about)
        fputs(loaded->about, out);
    if (was) {
        g_autofree char *text = whatif_text(was, report, (const char *const *)options->sets);
        fputs(text, out);
        return;
    }
    g_autofree char *table = report_table(report);
    fputs(table, out);
    if (!loaded->about || report->outcomes->len == 0)
        return;
    const Outcome *first = &g_array_index(report->outcomes, Outcome, 0);
    g_autofree char *list = report_short(report->scenario, first->run);
    fprintf(out, "\nUnder %s:\n%s", first->ops->name, list);
}

static Report *run_policies(const Options *options, const Scenario *scenario, const char *policy)
{
    Report *report = report_new(scenario);
    for (guint i = 0; i < N_MANAGERS; i++)
        if (g_str_equal(policy, "all") || g_str_equal(policy, MANAGERS[i]->name))
            report_run(report, MANAGERS[i], options->svg ? HISTORY_ROWS : 0);
    return report;
}

static int run(const Options *options, FILE *out, FILE *err)
{
    g_autoptr(GError) error = NULL;
    g_auto(Loaded) loaded = {0};
    gboolean recording = is_recording(options->path);
    if (!load(options, recording, err, &loaded, &error)) {
        fprintf(err, "aerostat-sim: %s\n", error->message);
        return EXIT_FAILED;
    }
    const char *policy = options->policy ? options->policy : recording ? "aerostat" : "all";
    g_autoptr(Report) report = run_policies(options, loaded.scenario, policy);
    g_autoptr(Report) was = loaded.was ? run_policies(options, loaded.was, policy) : NULL;
    print(options, &loaded, report, was, out);
    if (options->svg && !write_svg(options, report, &error)) {
        fprintf(err, "aerostat-sim: %s\n", error->message);
        return EXIT_FAILED;
    }
    if (fflush(out) != 0 || ferror(out)) {
        fprintf(err, "aerostat-sim: the output cannot be written\n");
        return EXIT_FAILED;
    }
    return 0;
}

int sim_main(int argc, char **argv, FILE *out, FILE *err)
{
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;
    if (!parse_options(argc, argv, &options, &error)) {
        fprintf(err, "aerostat-sim: %s; see aerostat-sim --help\n", error->message);
        return EXIT_USAGE;
    }
    if (options.version) {
        fprintf(out, "aerostat-sim %s\n", AEROSTAT_VERSION);
        return 0;
    }
    return run(&options, out, err);
}
