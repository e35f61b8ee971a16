/* An engine over guests in memory, on a host of 64 GiB, ten times faster than life. */
#include "engine_rig.h"
#include <glib/gstdio.h>

#define SECOND_US INT64_C(1000000)

static void hurry(PolicyParams *params)
{
    params->reaction_us /= FAKE_SPEED;
    params->comfort_half_life_us /= FAKE_SPEED;
    params->growth_half_life_us /= FAKE_SPEED;
    params->faulting_hold_us /= FAKE_SPEED;
    params->probe_memory_us /= FAKE_SPEED;
    params->stale_us /= FAKE_SPEED;
    params->settle_us /= FAKE_SPEED;
    params->turn_us /= FAKE_SPEED;
    params->stall_us /= FAKE_SPEED;
    params->rest_us /= FAKE_SPEED;
    params->rest_max_us /= FAKE_SPEED;
    params->override_us /= FAKE_SPEED * 20;
    params->pace_bytes_per_s *= FAKE_SPEED;
    params->working_pace_bytes_per_s *= FAKE_SPEED;
    params->burst_bytes_per_s *= FAKE_SPEED;
    params->burst_quiet_us /= FAKE_SPEED;
    params->burst_twitch_us /= FAKE_SPEED;
    params->burst_cache_us /= FAKE_SPEED;
    params->burst_room_us /= FAKE_SPEED;
    params->burst_near_us /= FAKE_SPEED;
}

static char *make_proc(void)
{
    /* Written every millisecond: not where another test's fsync would hold that up. */
    const char *memory = "/dev/shm";
    char *proc = g_build_filename(g_access(memory, W_OK) == 0 ? memory : g_get_tmp_dir(),
                                  "aerostat-proc-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(proc));
    g_autofree char *path = g_build_filename(proc, "meminfo", NULL);
    g_assert_true(g_file_set_contents(path, "MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n", -1, NULL));
    return proc;
}

static gboolean on_tick(gpointer user_data)
{
    Rig *rig = user_data;
    int64_t now_us = g_get_monotonic_time();
    if (rig->ticked_us != 0)
        rig->longest_pause_us = MAX(rig->longest_pause_us, now_us - rig->ticked_us);
    rig->ticked_us = now_us;
    return G_SOURCE_CONTINUE;
}

void rig_begin(Rig *rig, uint64_t pool_bytes, Mode mode)
{
    *rig = (Rig){.config = config_new(), .proc = make_proc(), .params = policy_params_default()};
    rig->config->pool = (SizeSetting){.bytes = pool_bytes};
    rig->config->overhead = (SizeSetting){.bytes = FAKE_OVERHEAD};
    rig->config->overhead = (SizeSetting){.bytes = FAKE_OVERHEAD};
    hurry(&rig->params);
    rig->times = (TrackedTimes){
        .wall_second_us = SECOND_US / FAKE_SPEED,
        .driver_grace_us = 500 * 1000,
        .boot_settle_us = 50 * 1000,
        .nudge_retry_us = 150 * 1000,
        .adopt_still_us = 60 * 1000,
        .adopt_silent_us = 400 * 1000,
        .retry_us = 50 * 1000,
    };
    rig->options = (EngineOptions){
        .config = rig->config,
        .proc = rig->proc,
        .mode = mode,
        .params = &rig->params,
        .times = &rig->times,
        .slow_beat_ms = 40,
        .fast_beat_ms = 10,
        .tick_ms = 5,
        .deadline_ms = 300,
        .wall_s = fake_wall_s,
    };
    rig->fake = fake_backend_new();
    rig->tick = g_timeout_add(2, on_tick, rig);
}

void rig_start(Rig *rig, FakeBackend *second)
{
    rig->engine = engine_new(&rig->options);
    engine_add_backend(rig->engine, fake_base(rig->fake), "fake:///first");
    if (second)
        engine_add_backend(rig->engine, fake_base(second), "fake:///second");
    engine_start(rig->engine);
}

void rig_end(Rig *rig)
{
    g_source_remove(rig->tick);
    fake_hide_residency(rig->fake, rig->proc);
    if (rig->engine)
        engine_free(rig->engine);
    else
        backend_free(fake_base(rig->fake));
    g_autofree char *path = g_build_filename(rig->proc, "meminfo", NULL);
    g_unlink(path);
    g_rmdir(rig->proc);
    g_free(rig->proc);
    config_free(rig->config);
}

Tracked *rig_server(Rig *rig, const char *name)
{
    return engine_find(rig->engine, name, NULL);
}

void rig_pass(unsigned ms)
{
    int64_t end_us = g_get_monotonic_time() + ms * INT64_C(1000);
    while (g_get_monotonic_time() < end_us)
        g_main_context_iteration(NULL, TRUE);
}
