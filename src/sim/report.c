/* The table, the JSON object and the what-if list. */
#include "sim/report.h"
#include <math.h>
#include "base/json.h"
#include "base/size.h"

/* A what-if answer lists this many and counts the rest. */
#define SHORT_MAX 40
/* Less than this was not noticed by anybody. */
#define SHORT_MIN_US INT64_C(300000)

static void outcome_clear(gpointer data)
{
    run_free(((Outcome *)data)->run);
}

Report *report_new(const Scenario *scenario)
{
    Report *report = g_new0(Report, 1);
    report->scenario = scenario;
    report->oracle_work_s = world_oracle(scenario);
    report->outcomes = g_array_new(FALSE, TRUE, sizeof(Outcome));
    g_array_set_clear_func(report->outcomes, outcome_clear);
    return report;
}

void report_free(Report *report)
{
    if (!report)
        return;
    g_array_unref(report->outcomes);
    g_free(report);
}

const Run *report_run(Report *report, const ManagerOps *ops, guint history_rows)
{
    Outcome outcome = {ops, world_run(report->scenario, ops, report->oracle_work_s, history_rows)};
    g_array_append_val(report->outcomes, outcome);
    return outcome.run;
}

double report_speed(const Report *report)
{
    double virtual_s = 0, computed_s = 0;
    for (guint i = 0; i < report->outcomes->len; i++) {
        virtual_s += (double)report->scenario->duration_us / 1e6;
        computed_s += g_array_index(report->outcomes, Outcome, i).run->computed_s;
    }
    return virtual_s / MAX(computed_s, 1e-6);
}

typedef struct {
    const char *title;
    int width;
} Column;

static const Column columns[] = {
    {"policy", -18},   {"work %", 7},  {"stall s", 9}, {"down s", 7},      {"swap GiB", 9},
    {"kills", 6},      {"reliefs", 8}, {"p50 s", 7},   {"p99 s", 7},       {"never", 6},
    {"over GiBs", 10}, {"turns", 6},   {"Jain", 6},    {"off fair %", 11}, {"GiB min", 8},
};

static void append_row(GString *text, const char *name, const Summary *s)
{
    g_string_append_printf(text,
                           "%-18s %6.2f %8.1f %6.0f %8.2f %5" G_GUINT64_FORMAT
                           " %7u %6.2f %6.2f %5u %9.2f %5" G_GUINT64_FORMAT " %5.3f %10.2f %7.1f\n",
                           name, s->work_percent, s->stall_s, s->down_s,
                           (double)s->swapped_bytes / (double)GIB, (guint64)s->kills, s->reliefs,
                           s->relief_p50_s, s->relief_p99_s, s->unrelieved, s->over_byte_s / (double)GIB,
                           (guint64)s->reversals, s->jain, s->unfair_percent, s->held_gib_min);
}

char *report_table(const Report *report)
{
    const Scenario *scenario = report->scenario;
    GString *text = g_string_new(NULL);
    g_autofree char *pool = size_format(scenario->pool_bytes);
    g_string_append_printf(text, "%s: %u servers, pool %s, %.0f s, seed %" G_GUINT64_FORMAT "\n",
                           scenario->name, scenario->guests->len, pool, (double)scenario->duration_us / 1e6,
                           (guint64)scenario->seed);
    for (gsize i = 0; i < G_N_ELEMENTS(columns); i++) {
        int width = columns[i].width;
        g_string_append_printf(text, "%*s", width, columns[i].title);
    }
    g_string_append_c(text, '\n');
    double outside = 0;
    for (guint i = 0; i < report->outcomes->len; i++) {
        const Outcome *outcome = &g_array_index(report->outcomes, Outcome, i);
        append_row(text, outcome->ops->name, &outcome->run->summary);
        outside = MAX(outside, outcome->run->summary.outside_byte_s);
    }
    if (outside > 0)
        g_string_append_printf(
            text, "Reboots alone, which no policy can refuse, exceeded the pool by up to %.2f GiB s.\n",
            outside / (double)GIB);
    g_string_append_printf(text, "%.0f x real time.\n", report_speed(report));
    return g_string_free(text, FALSE);
}

/* Rounded so that a last digit's noise does not look like a result. */
static json_t *number(double value)
{
    return json_real(round(value * 1e6) / 1e6);
}

static json_t *server_json(const GuestSpec *spec, const ServerMetrics *m)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", spec->name, "work_s",
                     number(m->work_s), "stall_s", number(m->stall_s), "down_s", number(m->down_s),
                     "swapped_bytes", json_bytes(m->swapped_bytes), "kills", json_bytes(m->kills),
                     "reversals", json_bytes(m->reversals), "held_gib_min",
                     number(m->held_byte_s / (double)GIB / 60));
}

static json_t *outcome_json(const Scenario *scenario, const Outcome *outcome)
{
    const Summary *s = &outcome->run->summary;
    json_t *servers = json_array();
    for (guint i = 0; i < outcome->run->metrics->n; i++)
        json_array_append_new(servers,
                              server_json(scenario->guests->pdata[i], &outcome->run->metrics->servers[i]));
    json_t *object = json_object();
    json_object_set_new(object, "policy", json_string(outcome->ops->name));
    json_object_set_new(object, "work_percent", number(s->work_percent));
    json_object_set_new(object, "stall_s", number(s->stall_s));
    json_object_set_new(object, "down_s", number(s->down_s));
    json_object_set_new(object, "swapped_bytes", json_bytes(s->swapped_bytes));
    json_object_set_new(object, "oom_kills", json_bytes(s->kills));
    json_object_set_new(object, "reliefs", json_integer(s->reliefs));
    json_object_set_new(object, "unrelieved", json_integer(s->unrelieved));
    json_object_set_new(object, "relief_p50_s", number(s->relief_p50_s));
    json_object_set_new(object, "relief_p99_s", number(s->relief_p99_s));
    json_object_set_new(object, "overcommitted_byte_s", number(s->over_byte_s));
    json_object_set_new(object, "overcommitted_by_reboots_byte_s", number(s->outside_byte_s));
    json_object_set_new(object, "reversals", json_bytes(s->reversals));
    json_object_set_new(object, "jain", number(s->jain));
    json_object_set_new(object, "off_fair_percent", number(s->unfair_percent));
    json_object_set_new(object, "held_gib_min", number(s->held_gib_min));
    json_object_set_new(object, "beats", json_bytes(outcome->run->beats));
    json_object_set_new(object, "servers", servers);
    return object;
}

json_t *report_json(const Report *report)
{
    const Scenario *scenario = report->scenario;
    json_t *policies = json_array();
    for (guint i = 0; i < report->outcomes->len; i++)
        json_array_append_new(policies, outcome_json(scenario, &g_array_index(report->outcomes, Outcome, i)));
    json_t *object = json_object();
    json_object_set_new(object, "scenario", json_string(scenario->name));
    json_object_set_new(object, "servers", json_integer(scenario->guests->len));
    json_object_set_new(object, "pool_bytes", json_bytes(scenario->pool_bytes));
    json_object_set_new(object, "slack_bytes", json_bytes(scenario_slack(scenario)));
    json_object_set_new(object, "duration_s", number((double)scenario->duration_us / 1e6));
    json_object_set_new(object, "seed", json_bytes(scenario->seed));
    json_object_set_new(object, "oracle_work_s", number(report->oracle_work_s));
    json_object_set_new(object, "policies", policies);
    json_object_set_new(object, "speed", number(report_speed(report)));
    return object;
}

static int longest_first(const void *a, const void *b)
{
    const Relieved *x = a, *y = b;
    int64_t long_x = x->until_us - x->from_us, long_y = y->until_us - y->from_us;
    if (long_x != long_y)
        return long_x < long_y ? 1 : -1;
    return x->server < y->server ? -1 : x->server > y->server;
}

char *report_short(const Scenario *scenario, const Run *run)
{
    GString *text = g_string_new(NULL);
    g_autoptr(GArray) kept = g_array_new(FALSE, FALSE, sizeof(Relieved));
    for (guint i = 0; i < run->metrics->reliefs->len; i++) {
        const Relieved *relief = &g_array_index(run->metrics->reliefs, Relieved, i);
        if (relief->until_us - relief->from_us >= SHORT_MIN_US)
            g_array_append_vals(kept, relief, 1);
    }
    g_array_sort(kept, longest_first);
    if (kept->len == 0)
        g_string_append(text, "Nobody would have been short of memory for 0.3 s or longer.\n");
    for (guint i = 0; i < MIN(kept->len, SHORT_MAX); i++) {
        const Relieved *relief = &g_array_index(kept, Relieved, i);
        const GuestSpec *spec = scenario->guests->pdata[relief->server];
        g_autofree char *peak = size_format(relief->peak_bytes);
        g_string_append_printf(text, "%s would have been short of up to %s for %.1f s, from second %.1f%s\n",
                               spec->name, peak, (double)(relief->until_us - relief->from_us) / 1e6,
                               (double)relief->from_us / 1e6, relief->relieved ? "." : " to the end.");
    }
    if (kept->len > SHORT_MAX)
        g_string_append_printf(text, "... and %u shorter ones.\n", kept->len - SHORT_MAX);
    return g_string_free(text, FALSE);
}
