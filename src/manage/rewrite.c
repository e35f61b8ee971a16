/*
 * Definitions follow wishes: whatever a server's owner has chosen is written into its persistent definition, so that also
 * a cold start by somebody else makes it true. Declared, not commanded: a daemon that was killed in between just does it.
 */
#include "base/error.h"
#include "engine/ballooning.h"
#include "manage/manage_private.h"
#include "policy/reasons.h"

/* Time for the engine to look at what was written, and before a failed attempt is repeated. */
#define LOOK_US  INT64_C(3000000)
#define RETRY_US INT64_C(30000000)

typedef struct {
    Alive *alive;
    char *id, *name;
} Rewriting;

static void wait_with(Manage *manage, const char *id, int64_t until_us)
{
    int64_t *after = g_new(int64_t, 1);
    *after = until_us;
    g_hash_table_insert(manage->rewrite_after, g_strdup(id), after);
}

static void rewritten(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Rewriting *rewriting = user_data;
    Manage *manage = rewriting->alive->manage;
    if (manage) {
        int64_t now_us = g_get_monotonic_time();
        g_hash_table_remove(manage->rewriting, rewriting->id);
        wait_with(manage, rewriting->id, now_us + (error ? RETRY_US : LOOK_US));
        engine_look(manage->engine);
    }
    if (manage && error) {
        g_autofree char *text = g_strdup_printf(
            "%s: its ballooning cannot be written into its definition: %s", rewriting->name, error->message);
        engine_note(manage->engine, text);
    }
    alive_unref(rewriting->alive);
    g_free(rewriting->id);
    g_free(rewriting->name);
    g_free(rewriting);
}

/* Locking is only tried by a restart of ours, which can fall back: a definition that does not start helps nobody. */
static gboolean wants(const Tracked *tracked, Ballooning *ret)
{
    const BackendServer *latest = tracked->latest;
    if (latest->kind != SERVER_KIND_KVM || !latest->persistent || !tracked->backend->ops->configure ||
        latest->next_start == NEXT_START_UNKNOWN)
        return FALSE;
    gboolean off = ballooning_wants_off(tracked), defined_off = latest->next_start == NEXT_START_DISABLED;
    *ret = off ? BALLOONING_OFF : BALLOONING_ON;
    return off != defined_off && (off || defined_off);
}

static void rewrite(Manage *manage, const Tracked *tracked, Ballooning ballooning)
{
    Rewriting *rewriting = g_new0(Rewriting, 1);
    rewriting->alive = manage_alive(manage);
    rewriting->id = g_strdup(tracked->latest->id);
    rewriting->name = g_strdup(tracked->latest->name);
    g_hash_table_add(manage->rewriting, g_strdup(rewriting->id));
    tracked->backend->ops->configure(tracked->backend, rewriting->id, ballooning, rewritten, rewriting);
}

void rewrite_definitions(Manage *manage, int64_t now_us)
{
    GPtrArray *servers = engine_servers(manage->engine);
    for (guint i = 0; i < servers->len; i++) {
        const Tracked *tracked = servers->pdata[i];
        const char *id = tracked->latest->id;
        const int64_t *after = g_hash_table_lookup(manage->rewrite_after, id);
        Ballooning ballooning;
        if (wants(tracked, &ballooning) && !g_hash_table_contains(manage->rewriting, id) &&
            (!after || now_us >= *after) && !manage_operation_on(manage, id))
            rewrite(manage, tracked, ballooning);
    }
}

gboolean manage_check_ballooning(Manage *manage, const Tracked *tracked, gboolean enabled, GError **error)
{
    const BackendServer *latest = tracked->latest;
    BallooningStatus status = ballooning_status(tracked);
    const char *why = NULL, *remedy = NULL;
    if (latest->kind == SERVER_KIND_LXC || (enabled && status.state == BALLOON_UNAVAILABLE)) {
        why = status.sentence;
        remedy = fixed_remedy(status.reason);
    } else if (!tracked->backend->ops->configure) {
        why = "Its hypervisor does not let definitions be changed.";
    } else if (!latest->persistent) {
        why = "It is transient: there is no definition that a restart would use.";
        remedy = "Define it persistently, then choose again.";
    }
    if (!why)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "server %s: ballooning cannot be switched %s: %s%s%s", latest->name, enabled ? "on" : "off",
                why, remedy ? " " : "", remedy ? remedy : "");
    return FALSE;
}
