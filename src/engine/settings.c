/* What an operator changes while the engine runs: the mode, and a server's own minimum and weight. */
#include "base/error.h"
#include "base/size.h"
#include "engine/engine_private.h"
#include "engine/reservation.h"

#define WEIGHT_MAX 10000

Tracked *engine_find(Engine *engine, const char *name, GError **error)
{
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (g_str_equal(tracked->latest->name, name))
            return tracked;
    }
    return engine_no_server(name, error);
}

Tracked *engine_no_server(const char *name, GError **error)
{
    g_autofree char *shown = g_strescape(name, NULL);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                "no server is named \"%.80s\"; `aerostat list` shows all", shown);
    return NULL;
}

gboolean engine_set_mode(Engine *engine, Mode mode, const AuditEntry *audit, GError **error)
{
    const char *name = mode == MODE_MANAGE ? "manage" : "observe";
    if (engine->store && !store_set_mode(engine->store, name, audit, error))
        return FALSE;
    if (engine->host.mode == mode)
        return TRUE;
    engine->host.mode = mode;
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        tracked->proposed_bytes = 0;
        if (mode == MODE_MANAGE)
            tracked_manage_reset(tracked);
    }
    engine_note(engine, mode == MODE_MANAGE
                            ? "Mode is now manage: decisions are carried out."
                            : "Mode is now observe: decisions are written down, nothing is touched.");
    engine_hurry(engine);
    return TRUE;
}

static uint64_t minima_with(Engine *engine, const Tracked *changed, uint64_t minimum_bytes)
{
    uint64_t sum = 0;
    for (guint i = 0; i < engine->servers->len; i++) {
        const Tracked *tracked = engine->servers->pdata[i];
        uint64_t low = tracked == changed ? minimum_bytes : tracked_minimum(tracked, &engine->defaults);
        sum = u64_add_sat(sum, engine_promised(engine, tracked, low));
    }
    return sum;
}

gboolean engine_check_settings(Engine *engine, const Tracked *tracked, const ServerSettings *settings,
                               GError **error)
{
    const char *name = tracked->latest->name;
    if (settings->has_weight && (settings->weight < 1 || settings->weight > WEIGHT_MAX)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "server %s: weight %u is not allowed; a weight is from 1 to %d", name, settings->weight,
                    WEIGHT_MAX);
        return FALSE;
    }
    if (!settings->has_minimum)
        return TRUE;
    uint64_t maximum = tracked->latest->maximum_bytes;
    if (settings->minimum_bytes > maximum || settings->minimum_bytes == 0) {
        g_autofree char *wrong = size_format(settings->minimum_bytes), *right = size_format(maximum);
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "server %s: a minimum of %s is not allowed; it must be above 0 and at most its maximum of %s",
            name, wrong, right);
        return FALSE;
    }
    if (tracked_counts(tracked) && engine->host.beats == 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "server %s: the pool is not known yet; try again", name);
        return FALSE;
    }
    uint64_t before = minima_with(engine, tracked, tracked_minimum(tracked, &engine->defaults));
    uint64_t after = minima_with(engine, tracked, settings->minimum_bytes);
    /* What is reserved has been promised before. */
    uint64_t reserved = engine_reserved_besides(engine, NULL, NULL);
    uint64_t pool = u64_sub_sat(engine->host.pool_bytes, reserved);
    if (tracked_counts(tracked) && after > pool && after > before) {
        g_autofree char *missing = size_format(after - pool), *sum = size_format(after),
                        *has = size_format(pool), *kept = size_format(reserved);
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM,
            "server %s: with this minimum all minima add up to %s, and the pool%s%s%s is %s: %s missing "
            "(%" G_GUINT64_FORMAT " bytes); lower another minimum or enlarge the pool",
            name, sum, reserved ? " without the " : "", reserved ? kept : "", reserved ? " reserved" : "",
            has, missing, (guint64)(after - pool));
        if (error)
            error_set_missing(*error, after - pool);
        return FALSE;
    }
    return TRUE;
}

gboolean engine_set_settings(Engine *engine, Tracked *tracked, const ServerSettings *settings,
                             const AuditEntry *audit, GError **error)
{
    ServerSettings now = *settings;
    now.revision = tracked->settings.revision + 1; /* without a store */
    if (!engine_check_settings(engine, tracked, settings, error))
        return FALSE;
    if (engine->store &&
        !store_set_settings(engine->store, tracked->latest->id, tracked->latest->name, &now, audit, error))
        return FALSE;
    tracked->settings = now;
    g_autofree char *minimum = size_format(tracked_minimum(tracked, &engine->defaults));
    g_autofree char *text =
        g_strdup_printf("%s: its minimum is now %s, its weight %u.", tracked->latest->name, minimum,
                        tracked_weight(tracked, &engine->defaults));
    engine_note(engine, text);
    engine_hurry(engine);
    return TRUE;
}
