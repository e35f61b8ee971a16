/* Scenario: from text to a checked description. */
#include "sim/scenario.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/keyfile.h"
#include "base/size.h"
#include "policy/allocation.h"
#include "sim/guest_memory.h"
#include "sim/scenario_keys.h"

#define SECOND_US INT64_C(1000000)
/* What a QEMU process holds beyond guest RAM: seen 60-125 MiB. */
#define OVERHEAD_BYTES (112 * MIB)
/* A virtual disk of a busy host: what swap and files come back with. */
#define SWAP_SPEED (100 * MIB)
#define DISK_SPEED (200 * MIB)
#define PATH_CHARS 128
/* Copies multiply: all together stay within what a small machine holds and 64 bits add up. */
#define ALL_PHASES_MAX 200000
#define ALL_BYTES_MAX  (UINT64_C(1) << 60)
/* A guest begins with what its first phase takes and an eighth more. */
#define START_SHARE 8

static const char *const model_names[MODEL_N] = {
    [MODEL_IDEAL] = "ideal",
    [MODEL_SLOW] = "slow",
    [MODEL_BUSY] = "busy",
    [MODEL_STUCK] = "stuck",
    [MODEL_INTERMITTENT] = "intermittent",
    [MODEL_SILENT] = "silent",
    [MODEL_STALE] = "stale",
    [MODEL_REBOOTING] = "rebooting",
    [MODEL_LIAR_HIGH] = "liar-high",
    [MODEL_LIAR_LOW] = "liar-low",
    [MODEL_DEAF] = "deaf",
    [MODEL_THRASHING] = "thrashing",
    [MODEL_CACHE_HEAVY] = "cache-heavy",
};

const char *guest_model_name(GuestModel model)
{
    return model_names[model];
}

GuestSpec *guest_spec_new(const char *name)
{
    GuestSpec *spec = g_new0(GuestSpec, 1);
    spec->name = g_strdup(name);
    spec->maximum_bytes = spec->minimum_bytes = spec->start_bytes = UNKNOWN;
    spec->weight = 100;
    spec->reports_free_pages = TRUE;
    spec->overhead_bytes = OVERHEAD_BYTES;
    spec->swap_bytes_per_s = SWAP_SPEED;
    spec->disk_bytes_per_s = DISK_SPEED;
    spec->statistics_period_us = SECOND_US;
    spec->statistics_lag_us = -1;
    spec->residency_lag_us = 3 * SECOND_US; /* measured: 2-4 s */
    spec->boot_us = 5 * SECOND_US;          /* measured: about 5 s until the driver answers */
    spec->stale_at_us = 10 * SECOND_US;
    spec->reboot_every_us = 30 * SECOND_US;
    spec->hang_us = 5 * SECOND_US;
    spec->count = 1;
    spec->phases = g_array_new(FALSE, TRUE, sizeof(Phase));
    spec->reboots = g_array_new(FALSE, TRUE, sizeof(int64_t));
    spec->hangs = g_array_new(FALSE, TRUE, sizeof(int64_t));
    return spec;
}

void guest_spec_free(GuestSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->name);
    g_array_unref(spec->phases);
    g_array_unref(spec->reboots);
    g_array_unref(spec->hangs);
    g_free(spec);
}

Scenario *scenario_new(const char *name)
{
    Scenario *scenario = g_new0(Scenario, 1);
    scenario->name = g_strdup(name);
    scenario->slack_is_percent = TRUE;
    scenario->slack_percent = 5;
    scenario->duration_us = 120 * SECOND_US;
    scenario->tick_us = INT64_C(10000);
    scenario->beat_us = SECOND_US;
    scenario->fast_beat_us = INT64_C(200000);
    scenario->observe_us = INT64_C(2500);
    scenario->watch_us = INT64_C(40000);
    scenario->seed = 1;
    scenario->late_reply_us = 5 * SECOND_US;
    scenario->deadline_us = 3 * SECOND_US;
    scenario->restart_us = 2 * SECOND_US;
    scenario->restarts = g_array_new(FALSE, TRUE, sizeof(int64_t));
    scenario->params = policy_params_default();
    scenario->guests = g_ptr_array_new_with_free_func((GDestroyNotify)guest_spec_free);
    return scenario;
}

void scenario_free(Scenario *scenario)
{
    if (!scenario)
        return;
    g_free(scenario->name);
    g_array_unref(scenario->restarts);
    g_ptr_array_unref(scenario->guests);
    g_free(scenario);
}

uint64_t scenario_slack(const Scenario *scenario)
{
    return scenario->slack_is_percent ? size_of_percent(scenario->pool_bytes, scenario->slack_percent)
                                      : scenario->slack_bytes;
}

GuestSpec *scenario_find(const Scenario *scenario, const char *name)
{
    for (guint i = 0; i < scenario->guests->len; i++) {
        GuestSpec *spec = scenario->guests->pdata[i];
        if (g_str_equal(spec->name, name))
            return spec;
    }
    return NULL;
}

static gboolean wrong(GError **error, const char *place, guint line, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

static gboolean wrong(GError **error, const char *place, guint line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (!place)
        g_set_error_literal(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, text);
    else if (line > 0)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s:%u: %s", place, line, text);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s: %s", place, text);
    return FALSE;
}

typedef struct {
    Scenario *scenario;
    GuestSpec *guest; /* the section that is open, when it is a server's */
    GHashTable *seen; /* SECTION/KEY given already */
} Reading;

static gboolean plain_name(const char *name)
{
    gsize length = strlen(name);
    return length > 0 && length <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length;
}

static gboolean open_section(Reading *reading, const char *section, guint line, GError **error)
{
    reading->guest = NULL;
    g_autofree char *quoted = error_printable(section, -1, 60);
    if (!g_hash_table_add(reading->seen, g_strdup(section)))
        return wrong(error, NULL, 0, "[%s] stands twice; give each section and each server once", quoted);
    if (g_str_equal(section, "host") || g_str_equal(section, "policy") || g_str_equal(section, "faults"))
        return TRUE;
    if (!g_str_has_prefix(section, "server "))
        return wrong(error, NULL, 0, "[%s] is not known; write [host], [policy], [faults] or [server NAME]",
                     quoted);
    g_autofree char *name = g_strstrip(g_strdup(section + strlen("server ")));
    if (!plain_name(name))
        return wrong(
            error, NULL, 0,
            "[%s] has no plain name; write [server NAME] with letters, digits, '-', '_' or '.', at most 64",
            quoted);
    if (scenario_find(reading->scenario, name))
        return wrong(error, NULL, 0, "server %s stands twice; give each server its own name", name);
    if (reading->scenario->guests->len >= SCENARIO_MAX_GUESTS)
        return wrong(error, NULL, 0, "server %s is one too many; at most %d", name, SCENARIO_MAX_GUESTS);
    reading->guest = guest_spec_new(name);
    reading->guest->line = line;
    g_ptr_array_add(reading->scenario->guests, reading->guest);
    return TRUE;
}

static gboolean take_line(const char *section, const char *key, const char *value, guint line,
                          gpointer user_data, GError **error)
{
    Reading *reading = user_data;
    if (!section)
        return wrong(error, NULL, 0, "%s stands before any section; begin with [host]", key);
    if (!key)
        return open_section(reading, section, line, error);
    g_autofree char *id = g_strconcat(section, "/", key, NULL);
    if (!g_hash_table_add(reading->seen, g_steal_pointer(&id)) && !g_str_equal(key, "phase"))
        return wrong(error, NULL, 0, "%s stands twice in [%s]; give it once", key, section);
    g_autoptr(GError) local = NULL;
    gboolean ok;
    if (reading->guest)
        ok = guest_spec_set(reading->guest, key, value, &local);
    else if (g_str_equal(section, "host"))
        ok = scenario_set_host(reading->scenario, key, value, &local);
    else if (g_str_equal(section, "faults"))
        ok = scenario_set_faults(reading->scenario, key, value, &local);
    else
        ok = scenario_set_policy(reading->scenario, key, value, &local);
    if (!ok)
        g_propagate_prefixed_error(error, g_steal_pointer(&local), "%s: ", key);
    return ok;
}

Scenario *scenario_parse(const char *text, gsize length, const char *name, const char *const *sets,
                         GError **error)
{
    g_autofree char *base = g_path_get_basename(name);
    if (g_str_has_suffix(base, ".conf"))
        base[strlen(base) - strlen(".conf")] = '\0';
    g_autoptr(Scenario) scenario = scenario_new(base);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Reading reading = {.scenario = scenario, .seen = seen};
    if (!keyfile_scan(text, length, name, take_line, &reading, error))
        return NULL;
    /* Copies of a server exist before --set names one of them. */
    if (!scenario_finish(scenario, name, error))
        return NULL;
    if (sets && *sets &&
        (!scenario_apply_sets(scenario, sets, error) || !scenario_finish(scenario, name, error)))
        return NULL;
    return g_steal_pointer(&scenario);
}

Scenario *scenario_load(const char *path, const char *const *sets, GError **error)
{
    g_autofree char *text = g_malloc(SCENARIO_FILE_MAX_BYTES + 1);
    FILE *file = fopen(path, "re");
    gsize length = file ? fread(text, 1, SCENARIO_FILE_MAX_BYTES + 1, file) : 0;
    int problem = !file || ferror(file) ? errno : 0;
    if (file)
        fclose(file);
    if (problem != 0) {
        wrong(error, path, 0, "cannot be read: %s; name a scenario file", g_strerror(problem));
        return NULL;
    }
    if (length > SCENARIO_FILE_MAX_BYTES) {
        wrong(error, path, 0, "is larger than 1 MiB; a scenario is a short text file");
        return NULL;
    }
    return scenario_parse(text, length, path, sets, error);
}

static gboolean apply_set(Scenario *scenario, const char *key, const char *value, GError **error)
{
    if (g_str_has_prefix(key, "policy."))
        return scenario_set_policy(scenario, key + strlen("policy."), value, error);
    if (g_str_has_prefix(key, "faults."))
        return scenario_set_faults(scenario, key + strlen("faults."), value, error);
    const char *dot = strchr(key, '.');
    if (!dot)
        return scenario_set_host(scenario, key, value, error);
    GuestSpec *spec = scenario_find(scenario, dot + 1);
    if (!spec) {
        g_autofree char *quoted = error_printable(dot + 1, -1, 60);
        return wrong(error, NULL, 0, "there is no server \"%s\"; name one of the scenario's servers", quoted);
    }
    g_autofree char *name = g_strndup(key, (gsize)(dot - key));
    if (g_str_equal(name, "count") || g_str_equal(name, "phase"))
        return wrong(error, name, 0, "cannot be set from outside; write it in the scenario file");
    return guest_spec_set(spec, name, value, error);
}

gboolean scenario_apply_sets(Scenario *scenario, const char *const *sets, GError **error)
{
    for (; *sets; sets++) {
        g_autofree char *quoted = error_printable(*sets, -1, PATH_CHARS);
        const char *equals = strchr(*sets, '=');
        if (!equals || equals == *sets || !g_utf8_validate(*sets, -1, NULL))
            return wrong(error, "--set", 0,
                         "\"%s\" is not KEY=VALUE; write something like pool=8GiB or weight.web-1=200",
                         quoted);
        g_autofree char *key = g_strndup(*sets, (gsize)(equals - *sets));
        g_autofree char *value = g_strdup(equals + 1);
        g_autoptr(GError) local = NULL;
        if (!apply_set(scenario, g_strstrip(key), g_strstrip(value), &local)) {
            g_propagate_prefixed_error(error, g_steal_pointer(&local), "--set %s: ", quoted);
            return FALSE;
        }
    }
    return TRUE;
}

static GArray *copy_array(GArray *array, gsize size)
{
    GArray *copy = g_array_sized_new(FALSE, TRUE, (guint)size, array->len);
    if (array->len > 0)
        g_array_append_vals(copy, array->data, array->len);
    return copy;
}

static GuestSpec *copy_spec(const GuestSpec *spec, guint number)
{
    GuestSpec *copy = g_new0(GuestSpec, 1);
    *copy = *spec;
    copy->name = g_strdup_printf("%s-%u", spec->name, number);
    copy->count = 1;
    copy->shift_us = spec->shift_us + spec->stagger_us * (number - 1);
    copy->phases = copy_array(spec->phases, sizeof(Phase));
    copy->reboots = copy_array(spec->reboots, sizeof(int64_t));
    copy->hangs = copy_array(spec->hangs, sizeof(int64_t));
    for (guint i = 0; i < copy->reboots->len; i++)
        g_array_index(copy->reboots, int64_t, i) += spec->stagger_us * (number - 1);
    return copy;
}

static gboolean expand_copies(Scenario *scenario, const char *place, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)guest_spec_free);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    gsize n_phases = 0;
    for (guint i = 0; i < scenario->guests->len; i++) {
        const GuestSpec *spec = scenario->guests->pdata[i];
        for (guint k = 1; k <= spec->count; k++) {
            GuestSpec *copy = copy_spec(spec, k);
            if (spec->count == 1) {
                g_free(copy->name);
                copy->name = g_strdup(spec->name);
            }
            g_ptr_array_add(all, copy);
            if (!g_hash_table_add(names, copy->name))
                return wrong(error, place, spec->line,
                             "server %s stands twice, once as a copy; give each server its own name",
                             copy->name);
            n_phases += copy->phases->len;
            if (n_phases > ALL_PHASES_MAX)
                return wrong(error, place, spec->line,
                             "server %s brings more than %d phases in all; use repeat, or fewer copies",
                             copy->name, ALL_PHASES_MAX);
            if (all->len > SCENARIO_MAX_GUESTS)
                return wrong(error, place, spec->line, "server %s is one too many; at most %d in all",
                             copy->name, SCENARIO_MAX_GUESTS);
        }
    }
    g_ptr_array_set_free_func(scenario->guests, (GDestroyNotify)guest_spec_free);
    g_ptr_array_unref(scenario->guests);
    scenario->guests = g_steal_pointer(&all);
    return TRUE;
}

static gboolean check_guest(const Scenario *scenario, const GuestSpec *spec, const char *place,
                            GError **error)
{
    if (spec->maximum_bytes == UNKNOWN)
        return wrong(error, place, spec->line, "server %s has no maximum; write maximum = SIZE", spec->name);
    if (spec->minimum_bytes != UNKNOWN && spec->minimum_bytes > spec->maximum_bytes)
        return wrong(error, place, spec->line,
                     "server %s: its minimum is above its maximum; write a minimum of at most the maximum",
                     spec->name);
    if (spec->start_bytes != UNKNOWN && spec->start_bytes > spec->maximum_bytes)
        return wrong(error, place, spec->line,
                     "server %s: it starts above its maximum; write a start of at most the maximum",
                     spec->name);
    if (spec->phases->len == 0)
        return wrong(error, place, spec->line, "server %s wants nothing; write phase = 0s memory SIZE",
                     spec->name);
    const Phase *last = &g_array_index(spec->phases, Phase, spec->phases->len - 1);
    if (spec->repeat_us > 0 && spec->repeat_us <= last->at_us)
        return wrong(error, place, spec->line,
                     "server %s repeats before its last phase; write repeat above %.6gs", spec->name,
                     (double)last->at_us / 1e6);
    if (spec->overhead_bytes > scenario->pool_bytes)
        return wrong(error, place, spec->line,
                     "server %s: its overhead is above the pool; write a smaller overhead", spec->name);
    return TRUE;
}

/* What its first phase takes, so that nobody begins by dying. */
static uint64_t first_need(const GuestSpec *spec)
{
    const Phase *first = &g_array_index(spec->phases, Phase, 0);
    uint64_t need = u64_add_sat(first->memory_bytes, first->cache_bytes);
    need = u64_add_sat(u64_add_sat(need, need / START_SHARE), guest_watermark(spec->maximum_bytes));
    return u64_clamp(need, spec->minimum_bytes, spec->maximum_bytes);
}

void scenario_starts(const Scenario *scenario, uint64_t *ret_bytes)
{
    guint n = scenario->guests->len;
    g_autofree Share *shares = g_new0(Share, n);
    g_autofree uint32_t *scratch = g_new0(uint32_t, n);
    uint64_t budget = u64_sub_sat(scenario->pool_bytes, scenario_slack(scenario));
    for (guint i = 0; i < n; i++) {
        const GuestSpec *spec = scenario->guests->pdata[i];
        gboolean given = spec->start_bytes != UNKNOWN;
        gboolean fixed = spec->fixed != FIXED_NO;
        uint64_t low = fixed ? spec->maximum_bytes : given ? spec->start_bytes : first_need(spec);
        shares[i] = (Share){low, fixed || given ? low : spec->maximum_bytes, 1};
        budget = u64_sub_sat(budget, spec->overhead_bytes);
    }
    allocation_fill(shares, n, budget, scratch, ret_bytes);
    for (guint i = 0; i < n; i++)
        ret_bytes[i] = u64_max(ret_bytes[i] / MIB * MIB, 16 * MIB);
}

gboolean scenario_finish(Scenario *scenario, const char *place, GError **error)
{
    if (scenario->pool_bytes == 0)
        return wrong(error, place, 0, "there is no pool; write pool = SIZE in [host]");
    if (scenario->guests->len == 0)
        return wrong(error, place, 0, "there is no server; write a section [server NAME]");
    if (scenario_slack(scenario) > scenario->pool_bytes / 2)
        return wrong(error, place, 0, "slack is more than half of the pool; write at most 50%%");
    if (scenario->warmup_us >= scenario->duration_us)
        return wrong(error, place, 0, "warmup is not shorter than duration; write a shorter warmup");
    if (!expand_copies(scenario, place, error))
        return FALSE;
    uint64_t all_bytes = 0;
    for (guint i = 0; i < scenario->guests->len; i++) {
        GuestSpec *spec = scenario->guests->pdata[i];
        if (!check_guest(scenario, spec, place, error))
            return FALSE;
        if (spec->minimum_bytes == UNKNOWN)
            spec->minimum_bytes = spec->maximum_bytes / 4; /* the daemon's default */
        all_bytes = u64_add_sat(all_bytes, u64_add_sat(spec->maximum_bytes, spec->overhead_bytes));
        if (all_bytes > ALL_BYTES_MAX)
            return wrong(error, place, spec->line,
                         "server %s makes all maxima together more than 1 EiB; write smaller ones",
                         spec->name);
    }
    return TRUE;
}
