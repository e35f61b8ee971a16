/* The simulator: guests that behave as they are named, metrics on cases worked out by hand, and whole runs. */
#include <string.h>
#include "base/u64.h"
#include "sim/report.h"

#define S    INT64_C(1000000)
#define MS   INT64_C(1000)
#define TICK (10 * MS)

/* One guest without a host. */
typedef struct {
    GuestSpec *spec;
    Guest guest;
} Bench;

static void bench_begin(Bench *bench, GuestModel model, uint64_t ram, uint64_t memory)
{
    bench->spec = guest_spec_new("g");
    bench->spec->model = model;
    bench->spec->maximum_bytes = 4 * GIB;
    bench->spec->minimum_bytes = 512 * MIB;
    bench->spec->inflate_bytes_per_s = 300 * MIB;
    bench->spec->deflate_bytes_per_s = 2 * GIB;
    bench->spec->touch_bytes_per_s = 150 * MIB;
    bench->spec->statistics_lag_us = 0;
    if (model == MODEL_SLOW || model == MODEL_BUSY)
        bench->spec->inflate_bytes_per_s = 0;
    Phase phase = {.memory_bytes = memory};
    g_array_append_val(bench->spec->phases, phase);
    guest_init(&bench->guest, bench->spec, ram, 7);
}

static void bench_end(Bench *bench)
{
    guest_spec_free(bench->spec);
}

static void run_until(Bench *bench, int64_t until_us)
{
    while (bench->guest.last_us < until_us) {
        guest_step(&bench->guest, bench->guest.last_us + TICK);
        guest_hear(&bench->guest, bench->guest.last_us);
    }
}

static void add_phase(Bench *bench, int64_t at_us, uint64_t memory, uint64_t cache)
{
    Phase phase = {.at_us = at_us, .memory_bytes = memory, .cache_bytes = cache};
    g_array_append_val(bench->spec->phases, phase);
    bench->guest.settled = false;
}

#define assert_near(value, wanted, off)                                                                      \
    g_assert_true((value) + (off) >= (wanted) && (value) <= (wanted) + (off))

static void test_ideal(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, 2 * GIB, 500 * MIB);
    guest_set_target(&bench.guest, GIB);
    run_until(&bench, 1 * S);
    assert_near(bench.guest.ram_bytes, 2 * GIB - 300 * MIB, 4 * MIB); /* inflates at its speed */
    run_until(&bench, 4 * S);
    g_assert_cmpuint(bench.guest.ram_bytes, ==, GIB);
    g_assert_cmpuint(bench.guest.actual_bytes, ==, GIB);
    guest_set_target(&bench.guest, 3 * GIB);
    run_until(&bench, 4 * S + 500 * MS);
    assert_near(bench.guest.ram_bytes, 2 * GIB, 32 * MIB);
    run_until(&bench, 6 * S);
    g_assert_cmpuint(bench.guest.ram_bytes, ==, 3 * GIB);
    g_assert_cmpfloat(bench.guest.rate, ==, 1);
    uint64_t used = bench.guest.said.balloon_bytes - bench.guest.said.available_bytes;
    g_assert_cmpuint(used, ==, 500 * MIB + bench.guest.watermark_bytes);
    bench_end(&bench);
}

static void test_grows_and_falls(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, 4 * GIB, 500 * MIB);
    add_phase(&bench, 1 * S, 2 * GIB, 0);
    add_phase(&bench, 60 * S, 500 * MIB, 0);
    run_until(&bench, 3 * S);
    assert_near(bench.guest.anon_bytes, 800 * MIB, 4 * MIB); /* 150 MiB/s of first touch */
    assert_near(bench.guest.resident_bytes, 800 * MIB + bench.guest.watermark_bytes, 4 * MIB);
    run_until(&bench, 59 * S);
    g_assert_cmpuint(bench.guest.anon_bytes, ==, 2 * GIB);
    run_until(&bench, 60 * S + 100 * MS);
    g_assert_cmpuint(bench.guest.anon_bytes, ==, 500 * MIB);
    g_assert_cmpuint(bench.guest.resident_bytes, >, 2 * GIB); /* free pages are reported later */
    run_until(&bench, 64 * S);
    g_assert_cmpuint(bench.guest.resident_bytes, <, 600 * MIB);
    g_assert_true(bench.guest.settled);
    bench_end(&bench);
}

static void test_without_reporting(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, 4 * GIB, 2 * GIB);
    bench.spec->reports_free_pages = FALSE;
    add_phase(&bench, 1 * S, 500 * MIB, 0);
    run_until(&bench, 20 * S);
    g_assert_cmpuint(bench.guest.resident_bytes, >, 2 * GIB);
    guest_set_target(&bench.guest, GIB);
    run_until(&bench, 40 * S);
    g_assert_cmpuint(bench.guest.resident_bytes, ==,
                     GIB); /* the balloon gives back what reporting does not */
    bench_end(&bench);
}

static void test_slow_busy_stuck(void)
{
    static const struct {
        GuestModel model;
        uint64_t after_10s;
    } cases[] = {{MODEL_SLOW, 3 * GIB - 200 * MIB},
                 {MODEL_BUSY, 3 * GIB - 1090 * MIB},
                 {MODEL_STUCK, 3 * GIB},
                 {MODEL_DEAF, 3 * GIB},
                 {MODEL_INTERMITTENT, 3 * GIB - 1500 * MIB}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Bench bench;
        bench_begin(&bench, cases[i].model, 3 * GIB, 300 * MIB);
        guest_set_target(&bench.guest, GIB);
        run_until(&bench, 10 * S);
        assert_near(bench.guest.ram_bytes, cases[i].after_10s, 8 * MIB);
        guest_set_target(&bench.guest, 4 * GIB);
        run_until(&bench, 12 * S);
        g_assert_cmpuint(bench.guest.ram_bytes, ==, cases[i].model == MODEL_DEAF ? 3 * GIB : 4 * GIB);
        bench_end(&bench);
    }
}

static void test_statistics(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_SILENT, 2 * GIB, 300 * MIB);
    run_until(&bench, 5 * S);
    guest_ask(&bench.guest, 5 * S);
    run_until(&bench, 6 * S);
    g_assert_cmpint(bench.guest.said_us, ==, 0);
    bench_end(&bench);
    bench_begin(&bench, MODEL_STALE, 2 * GIB, 300 * MIB);
    bench.spec->stale_at_us = 3 * S;
    run_until(&bench, 10 * S);
    g_assert_cmpint(bench.guest.said.taken_us, <=, 3 * S);
    g_assert_cmpint(bench.guest.said.taken_us, >, 1 * S);
    bench_end(&bench);
    bench_begin(&bench, MODEL_IDEAL, 2 * GIB, 300 * MIB);
    run_until(&bench, 5 * S + 300 * MS);
    guest_ask(&bench.guest, bench.guest.last_us);
    run_until(&bench, 5 * S + 310 * MS); /* fresh within 5 ms */
    g_assert_cmpint(bench.guest.said.taken_us, ==, 5 * S + 300 * MS);
    bench_end(&bench);
}

static void test_liars(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_LIAR_HIGH, 2 * GIB, 300 * MIB);
    run_until(&bench, 3 * S);
    g_assert_cmpuint(bench.guest.said.available_bytes, <, 8 * MIB);
    g_assert_cmpuint(bench.guest.resident_bytes, <, 400 * MIB); /* the host sees better */
    bench_end(&bench);
    bench_begin(&bench, MODEL_LIAR_LOW, 2 * GIB, 1500 * MIB);
    run_until(&bench, 3 * S);
    g_assert_cmpuint(bench.guest.said.available_bytes, >, 1900 * MIB);
    g_assert_cmpuint(bench.guest.resident_bytes, >, 1500 * MIB);
    bench_end(&bench);
}

static void test_reboot(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_REBOOTING, GIB, 500 * MIB);
    bench.spec->reboot_every_us = bench.guest.next_regular_reboot_us = 10 * S;
    run_until(&bench, 10 * S);
    g_assert_cmpuint(bench.guest.boot_count, ==, 2);
    g_assert_cmpuint(bench.guest.ram_bytes, ==, 4 * GIB); /* it has all its RAM ... */
    g_assert_cmpuint(bench.guest.actual_bytes, ==, GIB);  /* ... whatever `actual` says */
    g_assert_true(bench.guest.down);
    g_assert_cmpuint(guest_committed(&bench.guest), ==, 4 * GIB + bench.spec->overhead_bytes);
    run_until(&bench, 15 * S + 500 * MS);
    g_assert_cmpuint(bench.guest.actual_bytes, ==, bench.guest.ram_bytes);
    g_assert_cmpuint(bench.guest.ram_bytes, <, 4 * GIB); /* its driver inflates to the old target again */
    bench_end(&bench);
}

static void test_killed(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, GIB, 500 * MIB);
    add_phase(&bench, 1 * S, 2 * GIB, 0);
    run_until(&bench, 8 * S);
    g_assert_cmpuint(bench.guest.kills, ==, 1);
    g_assert_true(bench.guest.down);
    g_assert_cmpfloat(bench.guest.rate, ==, 0);
    g_assert_cmpuint(guest_need(&bench.guest), >, GIB); /* it wants it still */
    guest_set_target(&bench.guest, 4 * GIB);
    run_until(&bench, 40 * S);
    g_assert_cmpuint(bench.guest.kills, ==, 1);
    g_assert_cmpfloat(bench.guest.rate, ==, 1);
    bench_end(&bench);
}

static void test_deflates_on_oom(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, GIB, 500 * MIB);
    bench.spec->deflates_on_oom = TRUE;
    add_phase(&bench, 1 * S, 2 * GIB, 0);
    run_until(&bench, 60 * S);
    g_assert_cmpuint(bench.guest.kills, ==, 0);
    g_assert_cmpuint(bench.guest.oom_deflates, >, 0);
    g_assert_cmpuint(bench.guest.actual_bytes, >, bench.guest.target_bytes); /* unasked */
    g_assert_cmpuint(bench.guest.anon_bytes, ==, 2 * GIB);
    bench_end(&bench);
}

static void test_swaps(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_THRASHING, GIB, 500 * MIB);
    bench.spec->swap_bytes = 4 * GIB;
    add_phase(&bench, 1 * S, 2 * GIB, 0);
    run_until(&bench, 8 * S);
    int64_t last_said_us = bench.guest.said.taken_us;
    run_until(&bench, 90 * S);
    g_assert_cmpuint(bench.guest.kills, ==, 0);
    g_assert_cmpuint(bench.guest.swapped_bytes, >, GIB);
    g_assert_cmpuint(bench.guest.major_faults, >, 1000);
    g_assert_cmpfloat(bench.guest.rate, <, 0.1);
    g_assert_cmpint(bench.guest.said.taken_us, <=, last_said_us); /* it does not answer while it thrashes */
    guest_set_target(&bench.guest, 4 * GIB);
    run_until(&bench, 190 * S);
    g_assert_cmpuint(bench.guest.swapped_bytes, ==, 0);
    g_assert_cmpfloat(bench.guest.rate, ==, 1);
    bench_end(&bench);
}

static void test_cache(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_CACHE_HEAVY, 2 * GIB, 300 * MIB);
    add_phase(&bench, 1 * S, 300 * MIB, GIB);
    run_until(&bench, 20 * S);
    g_assert_cmpuint(bench.guest.hot_bytes, ==, GIB);
    g_assert_cmpuint(bench.guest.said.available_bytes, >, 1500 * MIB); /* hot files count as available */
    g_assert_cmpfloat(bench.guest.rate, ==, 1);
    uint64_t faults = bench.guest.major_faults;
    guest_set_target(&bench.guest, GIB);
    run_until(&bench, 40 * S);
    g_assert_cmpuint(bench.guest.hot_bytes, <, 700 * MIB);
    g_assert_cmpfloat(bench.guest.rate, <, 0.5);
    g_assert_cmpuint(bench.guest.major_faults, >, faults + 1000);
    g_assert_cmpuint(bench.guest.kills, ==, 0);
    bench_end(&bench);
}

static void test_balloon_stalls(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, 2 * GIB, 1500 * MIB);
    guest_set_target(&bench.guest, GIB);
    run_until(&bench, 20 * S);
    g_assert_cmpuint(bench.guest.ram_bytes, ==, 1500 * MIB + bench.guest.watermark_bytes); /* out of puff */
    g_assert_cmpuint(bench.guest.kills, ==, 0);
    bench_end(&bench);
}

static void test_percentile_and_jain(void)
{
    const double values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    g_assert_cmpfloat(metrics_percentile(values, 10, 50), ==, 5);
    g_assert_cmpfloat(metrics_percentile(values, 10, 99), ==, 10);
    g_assert_cmpfloat(metrics_percentile(values, 1, 50), ==, 1);
    g_assert_cmpfloat(metrics_percentile(values, 0, 50), ==, 0);
    const double one[] = {1, 0, 0, 0}, all[] = {2, 2, 2}, mixed[] = {1, 3};
    g_assert_cmpfloat(metrics_jain(one, 4), ==, 0.25);
    g_assert_cmpfloat(metrics_jain(all, 3), ==, 1);
    g_assert_cmpfloat(metrics_jain(mixed, 2), ==, 0.8); /* 16 / (2 * 10) */
    g_assert_cmpfloat(metrics_jain(mixed, 0), ==, 1);
}

/* Two servers by hand: one needs 300 and has 100, the other needs 100 and has 300, of 400 in all. */
static void test_fairness_by_hand(void)
{
    Bench a, b;
    bench_begin(&a, MODEL_IDEAL, 100 * MIB, 0);
    bench_begin(&b, MODEL_IDEAL, 300 * MIB, 0);
    a.spec->overhead_bytes = b.spec->overhead_bytes = a.spec->minimum_bytes = b.spec->minimum_bytes = 0;
    Guest guests[2] = {a.guest, b.guest};
    guests[0].watermark_bytes = guests[1].watermark_bytes = 0;
    guests[0].ideal_anon_bytes = 300 * MIB;
    guests[1].ideal_anon_bytes = 100 * MIB;
    g_autoptr(Metrics) metrics = metrics_new(2, 400 * MIB, 0);
    metrics_host(metrics, guests, 500 * MIB, 60 * MIB, 1 * S, 2.0);
    Summary summary = metrics_finish(metrics, 0);
    g_assert_cmpfloat_with_epsilon(summary.unfair_percent, 50, 1e-9); /* 200 of 400 */
    /* ratios 1/3 and 1: (4/3)^2 / (2 * 10/9) = 0.8 */
    g_assert_cmpfloat_with_epsilon(summary.jain, 0.8, 1e-9);
    /* 100 MiB over the pool for 2 s, of which a reboot brought 60 */
    g_assert_cmpfloat(summary.over_byte_s, ==, 80.0 * MIB);
    g_assert_cmpfloat(summary.outside_byte_s, ==, 120.0 * MIB);
    bench_end(&a);
    bench_end(&b);
}

static void test_accounts_by_hand(void)
{
    Bench bench;
    bench_begin(&bench, MODEL_IDEAL, GIB, 100 * MIB);
    Guest guest = bench.guest;
    g_autoptr(Metrics) metrics = metrics_new(1, 8 * GIB, 0);
    guest.ideal_anon_bytes = 2 * GIB; /* rises above its balloon at 1 s ... */
    guest.rate = 0.25;
    for (int k = 1; k <= 4; k++) {
        guest.last_us = k * S;
        if (k == 4) { /* ... and has what it needs at 4 s */
            guest.ram_bytes = 3 * GIB;
            guest.anon_bytes = 2 * GIB;
            guest.rate = 1;
        }
        metrics_server(metrics, 0, &guest, 1, 1);
    }
    metrics_target(metrics, 0, GIB, 2 * GIB);
    metrics->now_us = 4 * S;
    metrics_target(metrics, 0, 2 * GIB, 3 * GIB);
    metrics_target(metrics, 0, 3 * GIB, 3 * GIB - 4096); /* too little to be a move */
    metrics_target(metrics, 0, 3 * GIB, 2 * GIB);
    Summary summary = metrics_finish(metrics, 4);
    g_assert_cmpfloat(summary.stall_s, ==, 2.25);
    g_assert_cmpfloat(summary.work_percent, ==, 100 * 1.75 / 4);
    g_assert_cmpuint(summary.reliefs, ==, 1);
    g_assert_cmpuint(summary.unrelieved, ==, 0);
    g_assert_cmpfloat(summary.relief_p50_s, ==, 3);
    g_assert_cmpuint(summary.reversals, ==, 1);
    bench_end(&bench);
}

static Scenario *load(const char *name, const char *const *sets)
{
    g_autofree char *file = g_strconcat(name, ".conf", NULL);
    g_autofree char *path = g_build_filename(SCENARIO_DIR, file, NULL);
    g_autoptr(GError) error = NULL;
    Scenario *scenario = scenario_load(path, sets, &error);
    g_assert_no_error(error);
    return scenario;
}

static char *json_of(const Scenario *scenario)
{
    g_autoptr(Report) report = report_new(scenario);
    report_run(report, &MANAGER_AEROSTAT, 0);
    report_run(report, &MANAGER_PROXMOX, 0);
    json_t *object = report_json(report);
    json_object_del(object, "speed"); /* the only thing that may differ */
    char *text = json_dumps(object, JSON_PRESERVE_ORDER);
    json_decref(object);
    return text;
}

static void test_deterministic(void)
{
    const char *const other[] = {"seed=2", NULL};
    g_autoptr(Scenario) one = load("burst-busy-donors", NULL);
    g_autoptr(Scenario) again = load("burst-busy-donors", NULL);
    g_autoptr(Scenario) different = load("burst-busy-donors", other);
    char *a = json_of(one), *b = json_of(again), *c = json_of(different);
    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    free(a);
    free(b);
    free(c);
}

/* What Aerostat promises in each shipped scenario. */
static const struct {
    const char *name;
    double work_percent; /* at least */
    guint64 kills;       /* at most */
} shipped[] = {
    {"burst-idle-donors", 99, 0}, {"burst-busy-donors", 99, 0}, {"rotating-30s", 95, 0},
    {"rotating-5s", 95, 0},       {"slow-leak", 99, 0},         {"everyone-bursts", 70, 0},
    {"cache-and-memory", 95, 0},  {"stuck-donor", 95, 0},       {"silent-guest", 95, 0},
    {"reboot-storm", 95, 0},      {"liar-high", 95, 0},         {"liar-low", 95, 0},
    {"fixed-servers", 95, 0},     {"weights", 50, 0},           {"overbooked-night", 99, 0},
};

static void test_shipped(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(shipped); i++) {
        g_autoptr(Scenario) scenario = load(shipped[i].name, NULL);
        g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, world_oracle(scenario), 0);
        g_test_message("%s: work %.2f %%, %" G_GUINT64_FORMAT " kills, %.0f B s over", shipped[i].name,
                       run->summary.work_percent, (guint64)run->summary.kills, run->summary.over_byte_s);
        g_assert_cmpfloat(run->summary.over_byte_s, ==, 0); /* G1 */
        g_assert_cmpfloat(run->summary.work_percent, >=, shipped[i].work_percent);
        g_assert_cmpuint(run->summary.kills, <=, shipped[i].kills);
    }
}

/* Lost, late and doubtful answers, hanging hypervisors, a daemon that is killed: never a byte twice. */
static void test_faults(void)
{
    static const char *const faults[][4] = {
        {"faults.lost-replies=100", NULL},
        {"faults.late-replies=200", "faults.late-by=5s", NULL},
        {"faults.restart-daemon=31s,33s,36s,60s", "faults.restart-takes=200ms", NULL},
        {"faults.lost-replies=50", "faults.late-replies=50", "faults.restart-daemon=35s,50s,95s", NULL},
    };
    static const char *const names[] = {"burst-idle-donors", "rotating-30s", "weights", "stuck-donor"};
    for (gsize i = 0; i < G_N_ELEMENTS(faults); i++)
        for (gsize k = 0; k < G_N_ELEMENTS(names); k++) {
            g_autoptr(Scenario) scenario = load(names[k], faults[i]);
            g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, world_oracle(scenario), 0);
            g_test_message("%s with %s: work %.2f %%, %.0f B s over", names[k], faults[i][0],
                           run->summary.work_percent, run->summary.over_byte_s);
            g_assert_cmpfloat(run->summary.over_byte_s, ==, 0);
            g_assert_cmpfloat(run->summary.work_percent, >, 50);
        }
}

static void test_hang(void)
{
    const char *const sets[] = {"hang-at.idle-1=31s", "hang-for.idle-1=20s", NULL};
    g_autoptr(Scenario) scenario = load("burst-idle-donors", sets);
    g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, world_oracle(scenario), 0);
    g_assert_cmpfloat(run->summary.over_byte_s, ==, 0);
    g_assert_cmpfloat(run->summary.work_percent, >, 95); /* the others are served all the same */
}

/* Without the rule that pays first, grants are made from memory that is not back: the simulator must see it. */
static void test_rule_off(void)
{
    g_autofree char *set = g_strdup_printf("policy.disabled_rules=%u", 1u << RULE_PAY_FIRST);
    const char *const sets[] = {set, NULL};
    g_autoptr(Scenario) scenario = load("rotating-5s", sets);
    g_autoptr(Run) run = world_run(scenario, &MANAGER_AEROSTAT, 0, 0);
    g_assert_cmpfloat(run->summary.over_byte_s, >, 0);
}

static void test_managers(void)
{
    g_autoptr(Scenario) scenario = load("burst-idle-donors", NULL);
    double oracle = world_oracle(scenario);
    for (guint i = 0; i < N_MANAGERS; i++) {
        g_assert_true(manager_find(MANAGERS[i]->name) == MANAGERS[i]);
        g_autoptr(Run) run = world_run(scenario, MANAGERS[i], oracle, 0);
        g_assert_cmpfloat(run->summary.work_percent, >, 50);
        g_assert_cmpfloat(run->summary.work_percent, <=, 100.0001);
    }
    g_assert_null(manager_find("nobody"));
}

static void test_picture(void)
{
    g_autoptr(Scenario) scenario = load("overbooked-night", NULL);
    g_autoptr(Run) run = world_run(scenario, &MANAGER_STATIC, 0, 100);
    g_autofree char *svg = svg_picture(scenario, &MANAGER_STATIC, run);
    g_assert_true(g_str_has_prefix(svg, "<svg "));
    g_assert_true(g_str_has_suffix(svg, "</svg>\n"));
    g_assert_null(strstr(svg, "<script"));
    g_assert_null(strstr(svg, "nan"));
    g_assert_nonnull(strstr(svg, "9 others"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sim/guest/ideal", test_ideal);
    g_test_add_func("/sim/guest/grows-and-falls", test_grows_and_falls);
    g_test_add_func("/sim/guest/without-reporting", test_without_reporting);
    g_test_add_func("/sim/guest/slow-busy-stuck", test_slow_busy_stuck);
    g_test_add_func("/sim/guest/statistics", test_statistics);
    g_test_add_func("/sim/guest/liars", test_liars);
    g_test_add_func("/sim/guest/reboot", test_reboot);
    g_test_add_func("/sim/guest/killed", test_killed);
    g_test_add_func("/sim/guest/deflates-on-oom", test_deflates_on_oom);
    g_test_add_func("/sim/guest/swaps", test_swaps);
    g_test_add_func("/sim/guest/cache", test_cache);
    g_test_add_func("/sim/guest/balloon-stalls", test_balloon_stalls);
    g_test_add_func("/sim/metrics/percentile-and-jain", test_percentile_and_jain);
    g_test_add_func("/sim/metrics/fairness", test_fairness_by_hand);
    g_test_add_func("/sim/metrics/accounts", test_accounts_by_hand);
    g_test_add_func("/sim/world/deterministic", test_deterministic);
    g_test_add_func("/sim/world/shipped", test_shipped);
    g_test_add_func("/sim/world/faults", test_faults);
    g_test_add_func("/sim/world/hang", test_hang);
    g_test_add_func("/sim/world/rule-off", test_rule_off);
    g_test_add_func("/sim/world/managers", test_managers);
    g_test_add_func("/sim/world/picture", test_picture);
    return g_test_run();
}
