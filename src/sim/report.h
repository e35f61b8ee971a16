/* Reports: what the runs of one scenario came to, for people and for programs. */
#pragma once
#include <jansson.h>
#include "sim/world.h"

typedef struct {
    const ManagerOps *ops;
    Run *run;
} Outcome;

typedef struct {
    const Scenario *scenario;
    double oracle_work_s;
    GArray *outcomes; /* of Outcome; owns the runs */
} Report;

Report *report_new(const Scenario *scenario);
void report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* report_run: adds one manager's run. */
const Run *report_run(Report *report, const ManagerOps *ops, guint history_rows);

/* report_table: (transfer full): aligned columns, one row per manager, speed at the end. */
char *report_table(const Report *report);

/* report_json: (transfer full): one object; everything but "speed" is the same in each run. */
json_t *report_json(const Report *report);

/* report_speed: virtual seconds per real second over all runs. */
double report_speed(const Report *report);

/* report_short: (transfer full): who would have been short, when, of how much and for how long; one line each. */
char *report_short(const Scenario *scenario, const Run *run);

/* svg_picture: (transfer full): who held what over time, as a picture that needs nothing but itself. */
char *svg_picture(const Scenario *scenario, const ManagerOps *ops, const Run *run);
