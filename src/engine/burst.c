/*
 * Bursts: the residency of each QEMU ten times a second, from the host alone. With free page reporting it follows the
 * guest's use up at once, long before the next statistics: a guest that begins to touch memory is asked, and looked
 * at, without waiting for the beat.
 */
#include "backend/hostinfo.h"
#include "engine/engine_private.h"

#define TICK_MS 100
/* More than a running service touches in passing; a tenth of a second at the fastest first touch that was measured. */
#define STEP_BYTES (16 * MIB)
/* A guest that has grown keeps being asked this long after its last step. */
#define BURST_US INT64_C(1000000)

static gboolean grew(Engine *engine, Tracked *tracked, int64_t now_us)
{
    uint64_t resident;
    if (tracked->facts.fixed != FIXED_NO || tracked->latest->pid <= 0 ||
        !process_resident(engine->proc, tracked->latest->pid, &resident))
        return FALSE;
    if (tracked->burst_low_bytes == 0 || resident < tracked->burst_low_bytes)
        tracked->burst_low_bytes = resident;
    if (resident < tracked->burst_low_bytes + STEP_BYTES)
        return FALSE;
    tracked->burst_low_bytes = resident;
    tracked->burst_until_us = now_us + BURST_US;
    return TRUE;
}

static gboolean on_tick(gpointer user_data)
{
    Engine *engine = user_data;
    int64_t now_us = g_get_monotonic_time();
    gboolean any = FALSE;
    for (guint i = 0; i < engine->counted->len; i++)
        any |= grew(engine, engine->counted->pdata[i], now_us);
    if (any) {
        engine_ask_fresh(engine);
        engine_hurry(engine);
    }
    return G_SOURCE_CONTINUE;
}

void engine_watch_bursts(Engine *engine)
{
    engine->burst_source = g_timeout_add(TICK_MS, on_tick, engine);
}

gboolean engine_bursting(const Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++)
        if (now_us < ((const Tracked *)engine->counted->pdata[i])->burst_until_us)
            return TRUE;
    return FALSE;
}
