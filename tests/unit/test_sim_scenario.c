/* Scenario files: what is understood, and what is refused with which words. */
#include <string.h>
#include "base/error.h"
#include "base/u64.h"
#include "sim/scenario.h"

#define HEAD "[host]\npool = 8GiB\n[server a]\nmaximum = 2GiB\nphase = 0s memory 1GiB\n"

static Scenario *parse(const char *text, const char *const *sets, GError **error)
{
    return scenario_parse(text, strlen(text), "a.conf", sets, error);
}

static Scenario *parse_ok(const char *text, const char *const *sets)
{
    g_autoptr(GError) error = NULL;
    Scenario *scenario = parse(text, sets, &error);
    g_assert_no_error(error);
    g_assert_nonnull(scenario);
    return scenario;
}

static void test_defaults(void)
{
    g_autoptr(Scenario) scenario = parse_ok(HEAD, NULL);
    g_assert_cmpstr(scenario->name, ==, "a");
    g_assert_cmpuint(scenario->pool_bytes, ==, 8 * GIB);
    g_assert_cmpuint(scenario_slack(scenario), ==, 8 * GIB / 100 * 5 + 8 * GIB % 100 * 5 / 100);
    g_assert_cmpint(scenario->beat_us, ==, 1000000);
    g_assert_cmpuint(scenario->guests->len, ==, 1);
    const GuestSpec *spec = scenario->guests->pdata[0];
    g_assert_cmpuint(spec->minimum_bytes, ==, 512 * MIB);
    g_assert_cmpuint(spec->weight, ==, 100);
    g_assert_cmpint(spec->model, ==, MODEL_IDEAL);
}

static void test_everything(void)
{
    g_autoptr(Scenario) scenario = parse_ok(
        "[host]\npool=8GiB\nslack=256MiB\nduration=1h\nseed=18446744073709551615\ntick=20ms\nwatch=0s\n"
        "[policy]\nreaction_us = 1.5s\nheadroom_bytes = 200MiB\ntax_permille = 500\n"
        "[faults]\nlost-replies = 10\nrestart-daemon = 5s, 1min\n"
        "[server "
        "a]\nmaximum=2GiB\nminimum=256MiB\nweight=300\nmodel=cache-heavy\nfixed=hugepages\nswap=1GiB\n"
        "reboot-at=1s,2s\nphase=0s memory 1GiB cache 512MiB\nphase = 10.5s memory 2GiB rate 100MiB/s\n",
        NULL);
    g_assert_cmpuint(scenario_slack(scenario), ==, 256 * MIB);
    g_assert_cmpuint(scenario->seed, ==, UINT64_MAX);
    g_assert_cmpint(scenario->params.reaction_us, ==, 1500000);
    g_assert_cmpuint(scenario->params.tax_permille, ==, 500);
    g_assert_cmpuint(scenario->restarts->len, ==, 2);
    const GuestSpec *spec = scenario->guests->pdata[0];
    g_assert_cmpint(spec->fixed, ==, FIXED_HUGEPAGES);
    g_assert_cmpuint(spec->reboots->len, ==, 2);
    const Phase *last = &g_array_index(spec->phases, Phase, 1);
    g_assert_cmpint(last->at_us, ==, 10500000);
    g_assert_cmpuint(last->cache_bytes, ==, 512 * MIB); /* what a phase does not say stays */
    g_assert_cmpuint(last->rate_bytes_per_s, ==, 100 * MIB);
}

static void test_copies(void)
{
    g_autoptr(Scenario) scenario =
        parse_ok("[host]\npool = 8GiB\n[server a]\ncount = 3\nstagger = 5s\nmaximum = 1GiB\n"
                 "reboot-at = 10s\nphase = 0s memory 1M\nphase = 9s memory 2M\n",
                 NULL);
    g_assert_cmpuint(scenario->guests->len, ==, 3);
    const GuestSpec *third = scenario_find(scenario, "a-3");
    g_assert_nonnull(third);
    g_assert_cmpint(third->shift_us, ==, 10000000);
    g_assert_cmpint(g_array_index(third->reboots, int64_t, 0), ==, 20000000);
    g_assert_null(scenario_find(scenario, "a"));
}

static void test_starts(void)
{
    g_autoptr(Scenario) scenario =
        parse_ok("[host]\npool = 4GiB\nslack = 0\n"
                 "[server a]\nmaximum = 4GiB\noverhead = 0\nphase = 0s memory 1M\n"
                 "[server b]\nmaximum = 4GiB\noverhead = 0\nphase = 0s memory 1M\n"
                 "[server c]\nmaximum = 1GiB\noverhead = 0\nfixed=hugepages\nphase = 0s memory 1M\n",
                 NULL);
    uint64_t starts[3];
    scenario_starts(scenario, starts);
    g_assert_cmpuint(starts[0], ==, 1536 * MIB);
    g_assert_cmpuint(starts[1], ==, 1536 * MIB);
    g_assert_cmpuint(starts[2], ==, GIB);
}

static void test_sets(void)
{
    const char *const sets[] = {
        "pool=50%", "weight.a=200", "policy.reaction_us=2s", "faults.lost-replies=5", "slack=1%", NULL};
    g_autoptr(Scenario) scenario = parse_ok(HEAD, sets);
    g_assert_cmpuint(scenario->pool_bytes, ==, 4 * GIB);
    g_assert_cmpuint(((GuestSpec *)scenario->guests->pdata[0])->weight, ==, 200);
    g_assert_cmpint(scenario->params.reaction_us, ==, 2000000);
    g_assert_cmpuint(scenario->lost_reply_permille, ==, 5);
}

static void test_bad_sets(void)
{
    static const char *const bad[] = {
        "pool",       "=1",          "pool=",      "pool=0",         "weight.b=1",
        "weight.a=0", "weight.a=-1", "policy.x=1", "minimum.a=3GiB", "count.a=2",
        "phase.a=0s", "pool=nan",    "pool=\xff",  "policy.half=1",  "maximum.a=99999999TiB",
        "weight.=1",  ".a=1",        "slack=51%",  "warmup=120s",    "policy.quantum_bytes=0"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *const sets[] = {bad[i], NULL};
        g_autoptr(GError) error = NULL;
        g_autoptr(Scenario) scenario = parse(HEAD, sets, &error);
        if (scenario)
            g_error("--set %s was taken", bad[i]);
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_assert_nonnull(strchr(error->message, ';'));
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
    }
}

typedef struct {
    const char *text, *says;
} Refused;

#define GUEST(lines) "[host]\npool = 8GiB\n[server a]\nmaximum = 2GiB\n" lines "\nphase = 0s memory 1GiB\n"

static const Refused refused[] = {
    {"", "there is no pool"},
    {"[host]\npool = 8GiB\n", "there is no server"},
    {"[host]\npool = 8GiB\n[server a]\nphase = 0s memory 1G\n", "a.conf:3: server a has no maximum"},
    {"[host]\npool = 8GiB\n[server a]\nmaximum = 1GiB\n", "a.conf:3: server a wants nothing"},
    {"pool = 8GiB\n", "a.conf:1: pool stands before any section"},
    {"[host]\npool = 8GiB\npool = 9GiB\n", "a.conf:3: pool stands twice"},
    {"[host]\n[host]\n", "a.conf:2: [host] stands twice"},
    {"[hosts]\n", "a.conf:1: [hosts] is not known"},
    {"[server ]\n", "a.conf:1:"},
    {"[server a/b]\n", "has no plain name"},
    {"[server a]\n[server  a]\n", "a.conf:2: server a stands twice"},
    {"[host]\npool = 8GiB\n[server a]\ncount=2\nmaximum=1G\nphase=0s\n[server a-1]\nmaximum=1G\nphase=0s\n",
     "a-1 stands twice"},
    {GUEST("minimum = 3GiB"), "its minimum is above its maximum"},
    {GUEST("start = 3GiB"), "it starts above its maximum"},
    {GUEST("weight = 0"), "a.conf:5: weight:"},
    {GUEST("weight = nan"), "a.conf:5: weight:"},
    {GUEST("weight = 1e3"), "a.conf:5: weight:"},
    {GUEST("weight = 99999999999999999999"), "a.conf:5: weight:"},
    {GUEST("maximum = 1GiB"), "a.conf:5: maximum stands twice"},
    {GUEST("swap = 18446744073709551616"), "a.conf:5: swap:"},
    {GUEST("swap = -1GiB"), "a.conf:5: swap:"},
    {GUEST("wieght = 5"), "did you mean \"weight\"?"},
    {GUEST("model = ideel"), "is not a guest model"},
    {GUEST("fixed = because"), "is no reason to be fixed"},
    {GUEST("deflate-on-oom = maybe"), "write yes or no"},
    {GUEST("touch-speed = 100MiB"), "is not a speed"},
    {GUEST("touch-speed = 0/s"), "stands still"},
    {GUEST("touch-speed = inf/s"), "a.conf:5: touch-speed:"},
    {GUEST("count = 0"), "a.conf:5: count:"},
    {GUEST("count = 2001"), "a.conf:5: count:"},
    {GUEST("repeat = 0s"), "a.conf:5: repeat:"},
    {GUEST("boot-time = 1e9s"), "is not a time"},
    {GUEST("boot-time = -1s"), "is not a time"},
    {GUEST("boot-time = infs"), "is not a time"},
    {GUEST("boot-time = 1 s"), "is not a time"},
    {GUEST("boot-time = 99999999999999999999s"), "is not a time"},
    {GUEST("boot-time = 49h"), "is not a time"},
    {GUEST("reboot-at = 2s, 1s"), "is not later"},
    {GUEST("reboot-at = 1s,,2s"), "is not a time"},
    {GUEST("phase = 1s memory 1G"), "the first phase begins at 0s"},
    {GUEST("phase = 0s memory"), "has no value"},
    {GUEST("phase = 0s memry 1G"), "is not known in a phase"},
    {GUEST("phase = 0s memory 1G rate 5"), "is not a speed"},
    {GUEST("phase ="), "has no time"},
    {GUEST("phase = 0s"), "is not later than the phase before"},
    {GUEST("repeat = 1s\nphase = 0s\nphase = 2s"), "is not later"},
    {"[host]\npool = 0\n", "leaves no pool"},
    {"[host]\npool = 99999999999999999999TiB\n", "a.conf:2: pool:"},
    {"[host]\nslack = 60%\n", "at most 50%"},
    {"[host]\nslack = nan%\n", "a.conf:2: slack:"},
    {"[host]\ntick = 1s\n", "is out of range"},
    {"[host]\nduration = 0s\n", "is out of range"},
    {"[policy]\nreaction = 1s\n", "did you mean \"reaction_us\"?"},
    {"[policy]\ncomfort_half_life_us = 0s\n", "is out of range"},
    {"[faults]\nlost-replies = 1001\n", "a.conf:2: lost-replies:"},
    {"[host\n", "a.conf:1:"},
    {"[host]\npool\n", "a.conf:2:"},
    {"[host]\npool = 8GiB\nwarmup = 120s\n[server a]\nmaximum=1G\nphase=0s\n", "warmup is not shorter"},
    {"[host]\npool = 1GiB\nslack = 1GiB\n[server a]\nmaximum=1G\nphase=0s\n", "slack is more than half"},
};

static void test_refused(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Scenario) scenario = parse(refused[i].text, NULL, &error);
        if (scenario)
            g_error("was taken: %s", refused[i].text);
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        if (!strstr(error->message, refused[i].says))
            g_error("\"%s\" does not say \"%s\"", error->message, refused[i].says);
        g_assert_true(g_str_has_prefix(error->message, "a.conf:"));
        g_assert_nonnull(strchr(error->message, ';'));
    }
}

/* Cut off anywhere, and with any byte turned over, it is understood or refused, never worse. */
static void test_mangled(void)
{
    const char *text = "[host]\npool = 8GiB\n[server a]\nmaximum = 2GiB\ncount = 2\nreboot-at = 1s, 2s\n"
                       "phase = 0s memory 1GiB cache 1M rate 5M/s\nphase = 5s memory 2GiB\n";
    gsize length = strlen(text);
    for (gsize cut = 0; cut <= length; cut++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Scenario) scenario = scenario_parse(text, cut, "a.conf", NULL, &error);
        g_assert_true((scenario == NULL) == (error != NULL));
    }
    for (gsize at = 0; at < length * 8; at++) {
        g_autofree char *copy = g_strdup(text);
        copy[at / 8] = (char)(copy[at / 8] ^ (1 << (at % 8)));
        g_autoptr(GError) error = NULL;
        g_autoptr(Scenario) scenario = scenario_parse(copy, length, "a.conf", NULL, &error);
        g_assert_true((scenario == NULL) == (error != NULL));
    }
}

static void test_limits(void)
{
    GString *text = g_string_new("[host]\npool = 8GiB\n[server a]\nmaximum = 1GiB\ncount = 2000\n");
    for (int i = 0; i < 200; i++)
        g_string_append_printf(text, "phase = %ds memory 1M\n", i);
    g_autoptr(GError) error = NULL;
    g_autoptr(Scenario) scenario = parse(text->str, NULL, &error);
    g_assert_null(scenario);
    g_assert_nonnull(strstr(error->message, "phases in all"));
    g_string_free(text, TRUE);
    g_autoptr(GError) huge = NULL;
    scenario =
        parse("[host]\npool = 8GiB\n[server a]\nmaximum = 60000TiB\ncount = 2000\nphase = 0s\n", NULL, &huge);
    g_assert_null(scenario);
    g_assert_nonnull(strstr(huge->message, "1 EiB"));
    g_autoptr(GError) absent = NULL;
    scenario = scenario_load("/nonexistent/x.conf", NULL, &absent);
    g_assert_null(scenario);
    g_assert_error(absent, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_autoptr(GError) endless = NULL;
    scenario = scenario_load("/dev/zero", NULL, &endless);
    g_assert_null(scenario);
    g_assert_nonnull(strstr(endless->message, "larger than 1 MiB"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sim/scenario/defaults", test_defaults);
    g_test_add_func("/sim/scenario/everything", test_everything);
    g_test_add_func("/sim/scenario/copies", test_copies);
    g_test_add_func("/sim/scenario/starts", test_starts);
    g_test_add_func("/sim/scenario/sets", test_sets);
    g_test_add_func("/sim/scenario/bad-sets", test_bad_sets);
    g_test_add_func("/sim/scenario/refused", test_refused);
    g_test_add_func("/sim/scenario/mangled", test_mangled);
    g_test_add_func("/sim/scenario/limits", test_limits);
    return g_test_run();
}
