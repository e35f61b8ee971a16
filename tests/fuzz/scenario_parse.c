#include <string.h>
#include "base/error.h"
#include "base/u64.h"
#include "fuzz.h"
#include "sim/world.h"

/* Long enough for a first beat of everything, short enough for a fuzzer. */
#define RUN_US    INT64_C(300000)
#define RUN_MAX_N 20

static void check_guest(const GuestSpec *spec)
{
    g_assert_true(spec->maximum_bytes > 0 && spec->maximum_bytes <= SIZE_MAX_BYTES);
    g_assert_cmpuint(spec->minimum_bytes, <=, spec->maximum_bytes);
    g_assert_true(spec->weight >= 1 && spec->weight <= 10000);
    g_assert_cmpuint(spec->phases->len, >, 0);
    g_assert_cmpint(g_array_index(spec->phases, Phase, 0).at_us, ==, 0);
}

/* What was let in can be run, and keeps G1 as far as it is the policy's doing. */
static void check_scenario(const Scenario *scenario)
{
    g_assert_true(scenario->pool_bytes > 0 && scenario->pool_bytes <= SIZE_MAX_BYTES);
    g_assert_true(scenario->guests->len >= 1 && scenario->guests->len <= SCENARIO_MAX_GUESTS);
    for (guint i = 0; i < scenario->guests->len; i++)
        check_guest(scenario->guests->pdata[i]);
    if (scenario->guests->len > RUN_MAX_N)
        return;
    g_autoptr(World) world = world_new(scenario, &MANAGER_AEROSTAT);
    world_advance(world, RUN_US);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Scenario) scenario = scenario_parse((const char *)data, size, "a.conf", NULL, &error);
    g_assert_true((scenario == NULL) == (error != NULL));
    if (scenario) {
        check_scenario(scenario);
        return 0;
    }
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_true(g_str_has_prefix(error->message, "a.conf:"));
    g_assert_nonnull(strchr(error->message, ';'));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    return 0;
}
