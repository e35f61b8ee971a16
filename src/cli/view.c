#include "cli/view.h"

#include <string.h>

#include "cli/text.h"

uint64_t view_figure(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return UNKNOWN_FACT;
    return (uint64_t)json_integer_value(value);
}

const char *view_raw(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && *text != '\0' ? text : NULL;
}

char *view_text(json_t *object, const char *name)
{
    return text_clean(view_raw(object, name));
}

/* Ballooning's state and whatever qualifies it, in as few words as a table has room for. */
static char *describe_ballooning(json_t *server, uint64_t short_by)
{
    json_t *ballooning = json_object_get(server, "ballooning");
    const char *state = view_raw(ballooning, "state");
    const char *reason = view_raw(ballooning, "reason");
    const char *hold = view_raw(server, "hold");
    if (reason == NULL)
        reason = view_raw(server, "fixed");
    GString *text = g_string_new(state != NULL ? state : text_dash());
    if (reason != NULL && g_strcmp0(reason, hold) != 0)
        g_string_append_printf(text, ": %s", reason);
    if (hold != NULL && strcmp(hold, "none") != 0)
        g_string_append_printf(text, ", %s", hold);
    if (short_by != UNKNOWN_FACT && short_by > 0) {
        g_autofree char *missing = text_bytes(short_by);
        g_string_append_printf(text, ", short of %s", missing);
    }
    char *clean = text_clean(text->str);
    g_string_free(text, TRUE);
    return clean;
}

static gboolean has_reason(json_t *server, const char *name)
{
    const char *reason = view_raw(server, name);
    return reason != NULL && strcmp(reason, "none") != 0;
}

ServerView *server_view_new(json_t *server)
{
    ServerView *view = g_new0(ServerView, 1);
    const char *name = view_raw(server, "name");
    view->raw_name = g_strdup(name != NULL ? name : "");
    view->name = view_text(server, "name");
    view->kind = view_text(server, "kind");
    view->state = view_text(server, "state");
    view->booked = view_figure(server, "maximum_bytes");
    view->available = view_figure(server, "balloon_bytes");
    view->in_use = view_figure(server, "used_bytes");
    view->resident = view_figure(server, "resident_bytes");
    view->demand = view_figure(server, "demand_bytes");
    view->minimum = view_figure(server, "minimum_bytes");
    view->weight = view_figure(server, "weight");
    view->target = view_figure(server, "target_bytes");
    view->committed = view_figure(server, "committed_bytes");
    view->short_by = view_figure(server, "short_bytes");
    view->ballooning = describe_ballooning(server, view->short_by);
    view->running = strcmp(view->state, "running") == 0;
    view->is_fixed = has_reason(server, "fixed");
    view->is_held = has_reason(server, "hold");
    view->unlimited = json_is_true(json_object_get(server, "unlimited"));
    return view;
}

char *server_view_booked(const ServerView *view)
{
    return view->unlimited ? g_strdup("no limit") : text_bytes(view->booked);
}

void server_view_free(ServerView *view)
{
    if (view == NULL)
        return;
    g_free(view->raw_name);
    g_free(view->name);
    g_free(view->kind);
    g_free(view->state);
    g_free(view->ballooning);
    g_free(view);
}

void host_view_init(HostView *view, json_t *host)
{
    *view = (HostView){
        .version = view_text(host, "version"),
        .mode = view_text(host, "mode"),
        .state = view_text(host, "state"),
        .pool = view_figure(host, "pool_bytes"),
        .committed = view_figure(host, "committed_bytes"),
        .slack = view_figure(host, "slack_bytes"),
        .slack_wanted = view_figure(host, "slack_wanted_bytes"),
        .memory = view_figure(host, "memory_bytes"),
        .available = view_figure(host, "available_bytes"),
        .free = view_figure(host, "free_bytes"),
        .over = view_figure(host, "over_bytes"),
        .fixed = view_figure(host, "fixed_bytes"),
        .short_by = view_figure(host, "short_bytes"),
        .reboot_safe = view_figure(host, "reboot_safe_bytes"),
        .servers = view_figure(host, "servers"),
        .beats = view_figure(host, "beats"),
        .relief_p50_us = view_figure(host, "relief_p50_us"),
        .relief_p99_us = view_figure(host, "relief_p99_us"),
        .uptime_us = view_figure(host, "uptime_us"),
    };
}

void host_view_clear(HostView *view)
{
    g_free(view->version);
    g_free(view->mode);
    g_free(view->state);
    memset(view, 0, sizeof *view);
}

static gboolean is_some(uint64_t figure)
{
    return figure != UNKNOWN_FACT && figure > 0;
}

char *host_headline(const HostView *host, Tone *ret_tone)
{
    g_autofree char *over = text_bytes(host->over), *short_by = text_bytes(host->short_by);
    Tone ignored;
    Tone *tone = ret_tone != NULL ? ret_tone : &ignored;
    *tone = TONE_BAD;
    if (strcmp(host->state, "overcommitted") == 0)
        return is_some(host->over)
                   ? g_strdup_printf(
                         "Overcommitted: the servers could hold %s more than the pool has; memory is only "
                         "taken back until it fits again.",
                         over)
                   : g_strdup(
                         "Overcommitted: the servers could hold more than the pool has; memory is only taken "
                         "back until it fits again.");
    if (strcmp(host->state, "infeasible") == 0)
        return g_strdup(
            "Infeasible: the servers' minima add up to more than the pool, so nothing is moved. Lower "
            "some minimum or enlarge the pool.");
    if (strcmp(host->state, "disconnected") == 0)
        return g_strdup(
            "Disconnected: no hypervisor answers, so nothing is moved; the servers go on as they are.");
    *tone = TONE_WARN;
    if (strcmp(host->state, "starting") == 0)
        return g_strdup("Starting: the first facts are being gathered.");
    if (strcmp(host->state, "ok") != 0)
        return g_strdup_printf("The daemon calls its state \"%s\".", host->state);
    if (is_some(host->short_by))
        return g_strdup_printf("Ok, everything fits the pool; but servers need %s more than they have now.",
                               short_by);
    *tone = TONE_GOOD;
    return g_strdup("Ok: everything fits the pool, and no server is short of memory.");
}

Tone server_state_tone(const ServerView *server)
{
    if (strcmp(server->state, "unresponsive") == 0)
        return TONE_BAD;
    if (server->running)
        return TONE_PLAIN;
    return strcmp(server->state, "off") == 0 ? TONE_DIM : TONE_WARN;
}

const char *bar_glyph(BarPart part)
{
    static const char *const glyphs[BAR_N][2] = {
        [BAR_USED] = {"#", "█"}, [BAR_HELD] = {"=", "▒"}, [BAR_REST] = {".", "░"}, [BAR_TICK] = {"|", "┃"}};
    return glyphs[part][text_is_utf8() ? 1 : 0];
}

/* Which cell @bytes of @whole reaches to, rounded; something is at least one cell, and less than all never all. */
static int cell_of(uint64_t bytes, uint64_t whole, int n)
{
    if (bytes == UNKNOWN_FACT || bytes == 0 || whole == 0)
        return 0;
    if (bytes >= whole)
        return n;
    int cell = (int)((double)bytes / (double)whole * n + 0.5);
    return CLAMP(cell, 1, MAX(n - 1, 1));
}

void bar_fill(BarPart *cells, int n, uint64_t used, uint64_t held, uint64_t whole, uint64_t tick)
{
    if (whole == UNKNOWN_FACT)
        whole = 0;
    int used_cells = cell_of(used, whole, n);
    int held_cells = MAX(cell_of(held, whole, n), used_cells);
    for (int i = 0; i < n; i++)
        cells[i] = i < used_cells ? BAR_USED : (i < held_cells ? BAR_HELD : BAR_REST);
    if (tick != UNKNOWN_FACT && tick > 0 && whole > 0 && n > 0)
        cells[MAX(cell_of(tick, whole, n) - 1, 0)] = BAR_TICK;
}

char *bar_text(int n, uint64_t used, uint64_t held, uint64_t whole, uint64_t tick)
{
    if (n <= 0)
        return g_strdup("");
    BarPart *cells = g_new(BarPart, (gsize)n);
    bar_fill(cells, n, used, held, whole, tick);
    GString *text = g_string_new(NULL);
    for (int i = 0; i < n; i++)
        g_string_append(text, bar_glyph(cells[i]));
    g_free(cells);
    return g_string_free(text, FALSE);
}
