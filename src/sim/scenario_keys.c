/* The tables of keys: one row per key with its kind, its limits and where it goes. */
#include "sim/scenario_keys.h"
#include <stddef.h>
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "base/suggest.h"
#include "policy/reasons.h"

typedef enum { KIND_SIZE, KIND_SPEED, KIND_TIME, KIND_U32, KIND_U64, KIND_BOOL, KIND_TIMES } Kind;

typedef struct {
    const char *name;
    Kind kind;
    gsize offset;
    uint64_t low, high;
} Key;

#define SECOND UINT64_C(1000000)
#define LONG   ((uint64_t)SCENARIO_MAX_US)

static const Key host_keys[] = {
    {"duration", KIND_TIME, offsetof(Scenario, duration_us), SECOND, LONG},
    {"tick", KIND_TIME, offsetof(Scenario, tick_us), 1000, 50000},
    {"beat", KIND_TIME, offsetof(Scenario, beat_us), 20000, 60 * SECOND},
    {"fast-beat", KIND_TIME, offsetof(Scenario, fast_beat_us), 20000, 60 * SECOND},
    {"observe", KIND_TIME, offsetof(Scenario, observe_us), 0, SECOND},
    {"watch", KIND_TIME, offsetof(Scenario, watch_us), 0, 60 * SECOND},
    {"warmup", KIND_TIME, offsetof(Scenario, warmup_us), 0, LONG},
    {"seed", KIND_U64, offsetof(Scenario, seed), 0, UINT64_MAX},
};

static const Key fault_keys[] = {
    {"lost-replies", KIND_U32, offsetof(Scenario, lost_reply_permille), 0, 1000},
    {"late-replies", KIND_U32, offsetof(Scenario, late_reply_permille), 0, 1000},
    {"late-by", KIND_TIME, offsetof(Scenario, late_reply_us), 0, 600 * SECOND},
    {"deadline", KIND_TIME, offsetof(Scenario, deadline_us), 100000, 600 * SECOND},
    {"restart-daemon", KIND_TIMES, offsetof(Scenario, restarts), 0, 0},
    {"restart-takes", KIND_TIME, offsetof(Scenario, restart_us), 10000, 600 * SECOND},
};

#define SPEC(member) offsetof(GuestSpec, member)

static const Key guest_keys[] = {
    {"maximum", KIND_SIZE, SPEC(maximum_bytes), 16 * MIB, SIZE_MAX_BYTES},
    {"minimum", KIND_SIZE, SPEC(minimum_bytes), 0, SIZE_MAX_BYTES},
    {"start", KIND_SIZE, SPEC(start_bytes), MIB, SIZE_MAX_BYTES},
    {"weight", KIND_U32, SPEC(weight), 1, 10000},
    {"deflate-on-oom", KIND_BOOL, SPEC(deflates_on_oom), 0, 0},
    {"free-page-reporting", KIND_BOOL, SPEC(reports_free_pages), 0, 0},
    {"swap", KIND_SIZE, SPEC(swap_bytes), 0, SIZE_MAX_BYTES},
    {"cold-cache", KIND_SIZE, SPEC(cold_cache_bytes), 0, SIZE_MAX_BYTES},
    {"overhead", KIND_SIZE, SPEC(overhead_bytes), 0, SIZE_MAX_BYTES},
    {"inflate-speed", KIND_SPEED, SPEC(inflate_bytes_per_s), 0, 0},
    {"deflate-speed", KIND_SPEED, SPEC(deflate_bytes_per_s), 0, 0},
    {"touch-speed", KIND_SPEED, SPEC(touch_bytes_per_s), 0, 0},
    {"swap-speed", KIND_SPEED, SPEC(swap_bytes_per_s), 0, 0},
    {"disk-speed", KIND_SPEED, SPEC(disk_bytes_per_s), 0, 0},
    {"statistics-period", KIND_TIME, SPEC(statistics_period_us), 50000, 600 * SECOND},
    {"statistics-lag", KIND_TIME, SPEC(statistics_lag_us), 0, 600 * SECOND},
    {"residency-lag", KIND_TIME, SPEC(residency_lag_us), 0, 600 * SECOND},
    {"boot-time", KIND_TIME, SPEC(boot_us), 10000, 600 * SECOND},
    {"repeat", KIND_TIME, SPEC(repeat_us), 100000, LONG},
    {"shift", KIND_TIME, SPEC(shift_us), 0, LONG},
    {"stale-at", KIND_TIME, SPEC(stale_at_us), 0, LONG},
    {"reboot-every", KIND_TIME, SPEC(reboot_every_us), SECOND, LONG},
    {"reboot-at", KIND_TIMES, SPEC(reboots), 0, 0},
    {"hang-at", KIND_TIMES, SPEC(hangs), 0, 0},
    {"hang-for", KIND_TIME, SPEC(hang_us), 10000, 3600 * SECOND},
    {"count", KIND_U32, SPEC(count), 1, SCENARIO_MAX_GUESTS},
    {"stagger", KIND_TIME, SPEC(stagger_us), 0, LONG},
};

#define PARAM(member, kind, low, high)                                                                       \
    {                                                                                                        \
#member, kind, offsetof(PolicyParams, member), low, high                                             \
    }

/* By the names of params.h. Half-lives and quanta divide: never 0. */
static const Key policy_keys[] = {
    PARAM(headroom_bytes, KIND_SIZE, 0, SIZE_MAX_BYTES),
    PARAM(headroom_permille, KIND_U32, 0, 10000),
    PARAM(reaction_us, KIND_TIME, 0, 60 * SECOND),
    PARAM(margin_permille, KIND_U32, 0, 1000),
    PARAM(comfort_half_life_us, KIND_TIME, 1000, LONG),
    PARAM(growth_half_life_us, KIND_TIME, 1000, LONG),
    PARAM(faulting_hold_us, KIND_TIME, 0, LONG),
    PARAM(major_faults_per_s, KIND_U32, 0, UINT32_MAX),
    PARAM(swap_in_bytes_per_s, KIND_SIZE, 0, SIZE_MAX_BYTES),
    PARAM(refaults_per_s, KIND_U32, 0, UINT32_MAX),
    PARAM(stall_permille, KIND_U32, 0, 1000),
    PARAM(probe_memory_us, KIND_TIME, 0, LONG),
    PARAM(probe_permille, KIND_U32, 0, 1000),
    PARAM(residency_margin_bytes, KIND_SIZE, 0, SIZE_MAX_BYTES),
    PARAM(stale_us, KIND_TIME, 0, LONG),
    PARAM(tax_permille, KIND_U32, 0, 999),
    PARAM(ready_permille, KIND_U32, 0, 1000),
    PARAM(quantum_bytes, KIND_SIZE, 4096, GIB),
    PARAM(band_permille, KIND_U32, 0, 1000),
    PARAM(settle_us, KIND_TIME, 0, LONG),
    PARAM(settle_permille, KIND_U32, 0, 1000),
    PARAM(pace_bytes_per_s, KIND_SIZE, 1, SIZE_MAX_BYTES),
    PARAM(needed_half_life_us, KIND_TIME, 1, LONG),
    PARAM(working_pace_bytes_per_s, KIND_SIZE, 1, SIZE_MAX_BYTES),
    PARAM(turn_us, KIND_TIME, 0, LONG),
    PARAM(stall_bytes_per_s, KIND_SIZE, 0, SIZE_MAX_BYTES),
    PARAM(stall_us, KIND_TIME, 0, LONG),
    PARAM(rest_us, KIND_TIME, 0, LONG),
    PARAM(rest_max_us, KIND_TIME, 0, LONG),
    PARAM(learned_half_life_us, KIND_TIME, 1000, LONG),
    PARAM(override_us, KIND_TIME, 0, LONG),
    PARAM(disabled_rules, KIND_U32, 0, (1 << RULE_N) - 1),
};

static gboolean fail(const char *value, const char *wrong, GError **error)
{
    g_autofree char *quoted = error_printable(value, -1, 60);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s", quoted, wrong);
    return FALSE;
}

static gboolean set_bool(const char *value, gboolean *ret, GError **error)
{
    gboolean yes = g_str_equal(value, "yes") || g_str_equal(value, "true");
    if (!yes && !g_str_equal(value, "no") && !g_str_equal(value, "false"))
        return fail(value, "is neither yes nor no; write yes or no", error);
    *ret = yes;
    return TRUE;
}

static gboolean set_size(const Key *key, const char *value, uint64_t *ret, GError **error)
{
    uint64_t bytes;
    if (!size_parse(value, 0, &bytes, error))
        return FALSE;
    if (bytes < key->low || bytes > key->high) {
        g_autofree char *low = size_format(key->low);
        g_autofree char *wrong =
            g_strdup_printf("is too small or too large for %s; write at least %s", key->name, low);
        return fail(value, wrong, error);
    }
    *ret = bytes;
    return TRUE;
}

static gboolean set_key(void *base, const Key *key, const char *value, GError **error)
{
    void *member = (char *)base + key->offset;
    uint64_t number;
    switch (key->kind) {
    case KIND_SIZE:
        return set_size(key, value, member, error);
    case KIND_SPEED:
        return value_speed(value, member, error);
    case KIND_TIME:
        return value_duration(value, (int64_t)key->low, (int64_t)key->high, member, error);
    case KIND_U32:
        if (!value_number(value, key->low, key->high, &number, error))
            return FALSE;
        *(uint32_t *)member = (uint32_t)number;
        return TRUE;
    case KIND_U64:
        return value_number(value, key->low, key->high, member, error);
    case KIND_BOOL:
        return set_bool(value, member, error);
    case KIND_TIMES:
        g_array_set_size(*(GArray **)member, 0);
        return value_times(value, *(GArray **)member, error);
    }
    return FALSE;
}

/* @more: names that the caller knows besides the table's, NULL-terminated; for suggestions. */
static gboolean set_from(void *base, const Key *keys, gsize n, const char *const *more, const char *name,
                         const char *value, GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (gsize i = 0; i < n; i++) {
        if (g_str_equal(keys[i].name, name))
            return set_key(base, &keys[i], value, error);
        g_ptr_array_add(known, (gpointer)keys[i].name);
    }
    for (; *more; more++)
        g_ptr_array_add(known, (gpointer)*more);
    const char *near = suggest_nearest(name, (const char *const *)known->pdata, known->len);
    if (!near)
        return fail(name, "is not a key here; docs/simulator.md has them all", error);
    g_autofree char *wrong = g_strdup_printf("is not a key here; did you mean \"%s\"?", near);
    return fail(name, wrong, error);
}

static gboolean set_pool(Scenario *scenario, const char *value, GError **error)
{
    uint64_t bytes;
    if (!size_parse(value, scenario->pool_bytes, &bytes, error))
        return FALSE;
    if (bytes == 0)
        return fail(value, "leaves no pool; write a size above 0", error);
    scenario->pool_bytes = bytes;
    return TRUE;
}

static gboolean set_slack(Scenario *scenario, const char *value, GError **error)
{
    if (!strchr(value, '%')) {
        if (!size_parse(value, 0, &scenario->slack_bytes, error))
            return FALSE;
        scenario->slack_is_percent = FALSE;
        return TRUE;
    }
    double percent;
    if (!size_parse_percent(value, &percent, error))
        return FALSE;
    if (percent > 50)
        return fail(value, "is more than half of the pool; write at most 50%", error);
    scenario->slack_percent = percent;
    scenario->slack_is_percent = TRUE;
    return TRUE;
}

gboolean scenario_set_host(Scenario *scenario, const char *key, const char *value, GError **error)
{
    static const char *const more[] = {"pool", "slack", NULL};
    if (g_str_equal(key, "pool"))
        return set_pool(scenario, value, error);
    if (g_str_equal(key, "slack"))
        return set_slack(scenario, value, error);
    return set_from(scenario, host_keys, G_N_ELEMENTS(host_keys), more, key, value, error);
}

gboolean scenario_set_faults(Scenario *scenario, const char *key, const char *value, GError **error)
{
    static const char *const more[] = {NULL};
    return set_from(scenario, fault_keys, G_N_ELEMENTS(fault_keys), more, key, value, error);
}

gboolean scenario_set_policy(Scenario *scenario, const char *key, const char *value, GError **error)
{
    static const char *const more[] = {NULL};
    return set_from(&scenario->params, policy_keys, G_N_ELEMENTS(policy_keys), more, key, value, error);
}

static gboolean set_model(GuestSpec *spec, const char *value, GError **error)
{
    for (unsigned model = 0; model < MODEL_N; model++)
        if (g_str_equal(value, guest_model_name((GuestModel)model))) {
            spec->model = (GuestModel)model;
            return TRUE;
        }
    return fail(
        value,
        "is not a guest model; write ideal, slow, busy, stuck, intermittent, silent, stale, rebooting, "
        "liar-high, liar-low, deaf, thrashing or cache-heavy",
        error);
}

static gboolean set_fixed(GuestSpec *spec, const char *value, GError **error)
{
    for (unsigned reason = 0; reason < FIXED_N; reason++)
        if (g_str_equal(value, fixed_name((FixedReason)reason))) {
            spec->fixed = (FixedReason)reason;
            return TRUE;
        }
    return fail(
        value,
        "is no reason to be fixed; write none, disabled-by-owner, container, no-driver, device-assignment, "
        "hugepages or locked-memory",
        error);
}

static gboolean add_phase(GuestSpec *spec, const char *value, GError **error)
{
    Phase phase;
    const Phase *before =
        spec->phases->len > 0 ? &g_array_index(spec->phases, Phase, spec->phases->len - 1) : NULL;
    if (spec->phases->len >= SCENARIO_MAX_PHASES)
        return fail(value, "is one phase too many; at most 10000, or use repeat", error);
    if (!value_phase(value, before, &phase, error))
        return FALSE;
    g_array_append_val(spec->phases, phase);
    return TRUE;
}

gboolean guest_spec_set(GuestSpec *spec, const char *key, const char *value, GError **error)
{
    static const char *const more[] = {"model", "fixed", "phase", NULL};
    if (g_str_equal(key, "model"))
        return set_model(spec, value, error);
    if (g_str_equal(key, "fixed"))
        return set_fixed(spec, value, error);
    if (g_str_equal(key, "phase"))
        return add_phase(spec, value, error);
    return set_from(spec, guest_keys, G_N_ELEMENTS(guest_keys), more, key, value, error);
}
