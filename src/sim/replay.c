/* From a recording to a scenario. */
#include "sim/replay.h"
#include <string.h>
#include "base/error.h"
#include "base/u64.h"
#include "sim/guest_memory.h"

#define SECOND_US INT64_C(1000000)
/* A recording's own growth is the limit, not the model's. */
#define TOUCH_SPEED (64 * GIB)
/* Changes of use below this are noise. */
#define NOISE_BYTES MIB

typedef struct {
    GuestSpec *spec;
    uint64_t boot_count, used_bytes;
    int64_t sample_us, at_us;
    gboolean seen;
} Retold;

static uint64_t used_of(const ServerFacts *facts, uint64_t watermark_bytes)
{
    uint64_t used = u64_sub_sat(facts->sample_balloon_bytes, facts->available_bytes);
    bool swaps = facts->swap_out_bytes != UNKNOWN && facts->swap_in_bytes != UNKNOWN;
    uint64_t out = swaps ? u64_sub_sat(facts->swap_out_bytes, facts->swap_in_bytes) : 0;
    return u64_sub_sat(u64_min(u64_add_sat(used, out), facts->maximum_bytes), watermark_bytes);
}

static void add_phase(Retold *retold, int64_t at_us, uint64_t bytes, uint64_t rate)
{
    GArray *phases = retold->spec->phases;
    Phase phase = {.at_us = at_us, .memory_bytes = bytes, .rate_bytes_per_s = rate};
    if (phases->len > 0 && g_array_index(phases, Phase, phases->len - 1).at_us >= at_us)
        g_array_index(phases, Phase, phases->len - 1) =
            (Phase){g_array_index(phases, Phase, phases->len - 1).at_us, bytes, 0, rate};
    else
        g_array_append_val(phases, phase);
}

/* Growth happened between the samples, a fall at the later one at the latest. */
static void retell_use(Retold *retold, int64_t at_us, uint64_t used)
{
    if (retold->spec->phases->len == 0)
        add_phase(retold, 0, used, 0);
    uint64_t before = retold->used_bytes;
    if (used > before + NOISE_BYTES) {
        double seconds = (double)MAX(at_us - retold->at_us, 1000) / 1e6;
        uint64_t rate = u64_max((uint64_t)((double)(used - before) / seconds), 1);
        add_phase(retold, retold->at_us, used, rate);
        retold->used_bytes = used;
    } else if (used + NOISE_BYTES < before) {
        add_phase(retold, at_us, used, 0);
        retold->used_bytes = used;
    }
    retold->at_us = at_us;
}

static void begin(Retold *retold, const char *name, const RecordedFacts *row)
{
    GuestSpec *spec = retold->spec = guest_spec_new(name);
    const ServerFacts *facts = &row->facts;
    spec->maximum_bytes = facts->maximum_bytes;
    spec->minimum_bytes = facts->minimum_bytes;
    spec->weight = facts->weight;
    spec->fixed = facts->fixed;
    spec->overhead_bytes = facts->overhead_bytes;
    spec->deflates_on_oom = facts->deflates_on_oom;
    spec->start_bytes =
        u64_clamp(facts->balloon_bytes, u64_min(16 * MIB, facts->maximum_bytes), facts->maximum_bytes);
    spec->swap_bytes = facts->maximum_bytes; /* what it lacks shows as a stall, not as a kill */
    spec->touch_bytes_per_s = TOUCH_SPEED;
    retold->boot_count = facts->boot_count;
    if (row->t_us > 0)
        add_phase(retold, 0, 0, 0); /* it came later: until then it wants nothing */
    retold->at_us = row->t_us;
}

static void retell(Retold *retold, const char *name, const RecordedFacts *row)
{
    const ServerFacts *facts = &row->facts;
    if (!retold->seen) {
        retold->seen = TRUE;
        begin(retold, name, row);
    }
    if (row->gone) {
        retell_use(retold, row->t_us, 0);
        return;
    }
    if (facts->boot_count != retold->boot_count) {
        retold->boot_count = facts->boot_count;
        if (row->t_us > 0)
            g_array_append_val(retold->spec->reboots, row->t_us);
    }
    bool fresh =
        facts->sample_us != 0 && facts->sample_us != retold->sample_us && facts->available_bytes != UNKNOWN;
    if (!fresh)
        return;
    retold->sample_us = facts->sample_us;
    /* The sample's own time where it lies in order; never later than the beat that showed it. */
    int64_t at_us = CLAMP(facts->sample_us - RECORDING_EPOCH_US, retold->at_us, row->t_us);
    retell_use(retold, at_us, used_of(facts, guest_watermark(facts->maximum_bytes)));
}

gboolean replay_pool_moved(const Recording *recording)
{
    uint64_t first = recording->host.pool_bytes;
    for (guint i = 0; i < recording->pools->len; i++) {
        uint64_t pool = g_array_index(recording->pools, RecordedPool, i).host.pool_bytes;
        if (u64_max(pool, first) - u64_min(pool, first) > first / 100)
            return TRUE;
    }
    return FALSE;
}

/* What they held then does not fit a smaller pool, and would show as overcommitted by nobody's doing. */
static void fit_starts(Scenario *scenario)
{
    uint64_t sum = 0;
    for (guint i = 0; i < scenario->guests->len; i++) {
        const GuestSpec *spec = scenario->guests->pdata[i];
        sum = u64_add_sat(sum, u64_add_sat(spec->start_bytes, spec->overhead_bytes));
    }
    for (guint i = 0; sum > scenario->pool_bytes && i < scenario->guests->len; i++) {
        GuestSpec *spec = scenario->guests->pdata[i];
        if (spec->fixed == FIXED_NO)
            spec->start_bytes = UNKNOWN;
    }
}

Scenario *replay_scenario(const Recording *recording, const char *path, const char *const *sets,
                          GError **error)
{
    if (recording->facts->len == 0 || recording->host.pool_bytes == 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "%s: has no server or no pool; record a host that runs some", path);
        return NULL;
    }
    g_autofree char *base = g_path_get_basename(path);
    g_autoptr(Scenario) scenario = scenario_new(base);
    scenario->pool_bytes = recording->host.pool_bytes;
    scenario->slack_is_percent = TRUE;
    scenario->slack_percent =
        MIN(50.0, 100.0 * (double)recording->host.slack_bytes / (double)recording->host.pool_bytes);
    scenario->duration_us = MAX(recording->duration_us, SECOND_US);
    guint n = recording->names->len;
    g_autofree Retold *retold = g_new0(Retold, n);
    for (guint i = 0; i < recording->facts->len; i++) {
        const RecordedFacts *row = &g_array_index(recording->facts, RecordedFacts, i);
        retell(&retold[row->server], recording->names->pdata[row->server], row);
    }
    for (guint i = 0; i < n; i++) {
        if (!retold[i].spec)
            continue;
        if (retold[i].spec->phases->len == 0)
            add_phase(&retold[i], 0, 0, 0);
        g_ptr_array_add(scenario->guests, retold[i].spec);
    }
    if (sets && *sets && !scenario_apply_sets(scenario, sets, error))
        return NULL;
    if (scenario->pool_bytes < recording->host.pool_bytes)
        fit_starts(scenario);
    if (!scenario_finish(scenario, path, error))
        return NULL;
    return g_steal_pointer(&scenario);
}
