/*
 * The libvirt backend on a line: prints events and observations as JSON lines, takes commands on standard input.
 *   backend_watch URI DEADLINE_MS PERIOD_MS [GLOB...]
 *   commands: target ID BYTES | fresh ID | period MS | quit
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib-unix.h>

#include "backend/hostinfo.h"
#include "backend/libvirt.h"

typedef struct {
    GMainLoop *loop;
    Backend *backend;
    guint timer;
    int64_t last_tick_us;
    GIOChannel *in;
} Watch;

typedef struct {
    const char *what;
    int64_t asked_us;
} Asked;

static double since(int64_t us)
{
    return (double)(g_get_monotonic_time() - us) / 1e3;
}

static void number(const char *name, uint64_t value)
{
    if (value == UNKNOWN)
        printf("\"%s\":null,", name);
    else
        printf("\"%s\":%" PRIu64 ",", name, value);
}

static void print_server(const BackendServer *s)
{
    printf("{\"id\":\"%s\",\"power\":%d,\"responsive\":%s,", s->id, (int)s->power,
           s->responsive ? "true" : "false");
    number("maximum", s->maximum_bytes);
    number("balloon", s->balloon_bytes);
    number("boots", s->boot_count);
    number("update_s", s->guest_update_s);
    number("available", s->available_bytes);
    number("free", s->free_bytes);
    number("total", s->total_bytes);
    number("cache", s->cache_bytes);
    number("swap_in", s->swap_in_bytes);
    number("swap_out", s->swap_out_bytes);
    number("major_faults", s->major_faults);
    number("resident", s->resident_bytes);
    number("overhead", s->overhead_bytes);
    printf("\"pid\":%d,\"fixed\":%d,\"driver\":\"%s\",\"deflates\":%s,\"reports\":%s}", s->pid, (int)s->fixed,
           s->driver ? s->driver : "", s->deflates_on_oom ? "true" : "false",
           s->reports_free_pages ? "true" : "false");
}

static void observed(Backend *backend, GPtrArray *servers, const GError *error, gpointer user_data)
{
    Asked *asked = user_data;
    printf("{\"at\":%.3f,\"what\":\"observed\",\"ms\":%.3f,", (double)g_get_real_time() / 1e6,
           since(asked->asked_us));
    if (error)
        printf("\"error\":\"%s\"", error->message);
    else
        printf("\"servers\":{");
    for (guint i = 0; servers && i < servers->len; i++) {
        const BackendServer *one = g_ptr_array_index(servers, i);
        printf("%s\"%s\":", i ? "," : "", one->name);
        print_server(one);
    }
    printf("%s}\n", error ? "" : "}");
    fflush(stdout);
    if (servers)
        g_ptr_array_unref(servers);
    g_free(asked);
}

static void done(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Asked *asked = user_data;
    printf("{\"at\":%.3f,\"what\":\"%s\",\"id\":\"%s\",\"ms\":%.3f,\"error\":\"%s\"}\n",
           (double)g_get_real_time() / 1e6, asked->what, id, since(asked->asked_us),
           error ? error->message : "");
    fflush(stdout);
    g_free(asked);
}

static void on_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                     gpointer user_data)
{
    static const char *const names[] = {"connected", "disconnected", "started",
                                        "stopped",   "reset",        "changed"};
    printf("{\"at\":%.3f,\"what\":\"%s\",\"id\":\"%s\",\"detail\":\"%s\"}\n", (double)g_get_real_time() / 1e6,
           names[event], id ? id : "", detail ? detail : "");
    fflush(stdout);
}

static Asked *asked_new(const char *what)
{
    Asked *asked = g_new0(Asked, 1);
    asked->what = what;
    asked->asked_us = g_get_monotonic_time();
    return asked;
}

static gboolean tick(gpointer data)
{
    Watch *watch = data;
    watch->backend->ops->observe(watch->backend, observed, asked_new("observed"));
    return G_SOURCE_CONTINUE;
}

/* The engine's thread must never be held: a late tick of a 10 ms clock would show it. */
static gboolean metronome(gpointer data)
{
    Watch *watch = data;
    double gap_ms = since(watch->last_tick_us);
    if (watch->last_tick_us && gap_ms > 100) {
        printf("{\"at\":%.3f,\"what\":\"held\",\"ms\":%.3f}\n", (double)g_get_real_time() / 1e6, gap_ms);
        fflush(stdout);
    }
    watch->last_tick_us = g_get_monotonic_time();
    return G_SOURCE_CONTINUE;
}

static void command(Watch *watch, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 3);
    guint n = g_strv_length(words);
    if (n == 3 && strcmp(words[0], "target") == 0) {
        watch->backend->ops->set_target(watch->backend, words[1], g_ascii_strtoull(words[2], NULL, 10), done,
                                        asked_new("target"));
    } else if (n == 2 && strcmp(words[0], "fresh") == 0) {
        watch->backend->ops->ask_fresh(watch->backend, words[1], done, asked_new("fresh"));
    } else if (n == 3 && strcmp(words[0], "still") == 0) {
        watch->backend->ops->still(watch->backend, words[1], strcmp(words[2], "on") == 0);
    } else if (n == 2 && strcmp(words[0], "period") == 0) {
        g_source_remove(watch->timer);
        watch->timer = g_timeout_add((guint)atoi(words[1]), tick, watch);
    } else if (n == 1 && strcmp(words[0], "quit") == 0) {
        g_main_loop_quit(watch->loop);
    }
}

static gboolean readable(GIOChannel *channel, GIOCondition condition, gpointer data)
{
    Watch *watch = data;
    g_autofree char *line = NULL;
    if (g_io_channel_read_line(channel, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
        g_main_loop_quit(watch->loop);
        return G_SOURCE_REMOVE;
    }
    command(watch, g_strchomp(line));
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    Watch watch = {.loop = g_main_loop_new(NULL, FALSE)};
    LibvirtBackendOptions options = {0};
    guint clock;
    if (argc < 4)
        return 2;
    options.uri = argv[1];
    options.deadline_us = atoi(argv[2]) * 1000;
    options.servers = argc > 4 ? (const char *const *)argv + 4 : NULL;
    watch.backend = libvirt_backend_new(&options);
    watch.backend->on_event = on_event;
    watch.timer = g_timeout_add((guint)atoi(argv[3]), tick, &watch);
    clock = g_timeout_add(10, metronome, &watch);
    watch.in = g_io_channel_unix_new(0);
    g_io_add_watch(watch.in, G_IO_IN | G_IO_HUP, readable, &watch);
    g_main_loop_run(watch.loop);
    g_source_remove(watch.timer);
    g_source_remove(clock);
    g_io_channel_unref(watch.in);
    backend_free(watch.backend);
    for (int i = 0; i < 200 && g_main_context_iteration(NULL, FALSE); i++)
        ;
    g_main_loop_unref(watch.loop);
    return 0;
}
