#include "web/metrics.h"

typedef struct {
    const char *member, *name, *help;
    double scale; /* from the member's unit to the metric's base unit */
    gboolean counter;
} Metric;

static const Metric HOST[] = {
    {"pool_bytes", "pool_bytes", "What all managed servers may hold together.", 1, FALSE},
    {"committed_bytes", "committed_bytes", "The most that servers can hold right now.", 1, FALSE},
    {"slack_bytes", "slack_bytes", "Reclaimed and granted to nobody, ready for a burst.", 1, FALSE},
    {"short_bytes", "short_bytes", "What servers need and do not have.", 1, FALSE},
    {"memory_bytes", "host_memory_bytes", "The host's physical memory.", 1, FALSE},
    {"available_bytes", "host_available_bytes", "What the host's kernel calls available.", 1, FALSE},
    {"pressure_some_avg10", "host_pressure_some_ratio",
     "Part of the last 10 s in which some task waited for memory.", 0.01, FALSE},
    {"servers", "servers", "Servers that are known.", 1, FALSE},
    {"relief_p50_us", "relief_p50_seconds", "Median time from need to relief.", 1e-6, FALSE},
    {"relief_p99_us", "relief_p99_seconds", "99th percentile of the time from need to relief.", 1e-6, FALSE},
    {"beats", "beats", "Decisions taken.", 1, TRUE},
    {"over_seconds", "over_seconds", "Time with more committed than the pool holds.", 1, TRUE},
};

static const Metric SERVER[] = {
    {"maximum_bytes", "server_maximum_bytes", "What the server was sold.", 1, FALSE},
    {"minimum_bytes", "server_minimum_bytes", "What it keeps under any pressure.", 1, FALSE},
    {"balloon_bytes", "server_balloon_bytes", "Guest memory that is not in the balloon: available now.", 1,
     FALSE},
    {"target_bytes", "server_target_bytes", "The balloon size last asked for.", 1, FALSE},
    {"used_bytes", "server_used_bytes", "What the guest uses.", 1, FALSE},
    {"resident_bytes", "server_resident_bytes", "What the host really holds for it.", 1, FALSE},
    {"demand_bytes", "server_demand_bytes", "What it would use well now.", 1, FALSE},
    {"committed_bytes", "server_committed_bytes", "The most it can hold right now.", 1, FALSE},
    {"weight", "server_weight", "How it stands against others.", 1, FALSE},
    {"stalled_us", "server_stalled_seconds", "Time in which it waited for memory.", 1e-6, TRUE},
};

static void add_value(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == '"')
            g_string_append_c(out, '\\');
        if (*p == '\n')
            g_string_append(out, "\\n");
        else
            g_string_append_c(out, *p);
    }
}

/* A virtual machine and a container may have the same name. */
static void add_labels(GString *out, const char *name, const char *kind)
{
    g_string_append(out, "{server=\"");
    add_value(out, name);
    g_string_append(out, "\",kind=\"");
    add_value(out, kind ? kind : "");
    g_string_append(out, "\"}");
}

static void add_sample(GString *out, const Metric *metric, json_t *object, const char *server)
{
    json_t *value = json_object_get(object, metric->member);
    if (!json_is_number(value))
        return;
    double number = json_number_value(value) * metric->scale;
    if (number < 0)
        return; /* how some members say that nobody knows */
    g_string_append_printf(out, "aerostat_%s%s", metric->name, metric->counter ? "_total" : "");
    if (server)
        add_labels(out, server, json_string_value(json_object_get(object, "kind")));
    if (metric->scale >= 1 && json_is_integer(value)) {
        g_string_append_printf(out, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
        return;
    }
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(out, " %s\n", g_ascii_formatd(text, sizeof text, "%.9g", number));
}

static void add_family(GString *out, const Metric *metric)
{
    g_string_append_printf(out, "# TYPE aerostat_%s %s\n", metric->name,
                           metric->counter ? "counter" : "gauge");
    if (g_str_has_suffix(metric->name, "_bytes"))
        g_string_append_printf(out, "# UNIT aerostat_%s bytes\n", metric->name);
    if (g_str_has_suffix(metric->name, "_seconds"))
        g_string_append_printf(out, "# UNIT aerostat_%s seconds\n", metric->name);
    if (g_str_has_suffix(metric->name, "_ratio"))
        g_string_append_printf(out, "# UNIT aerostat_%s ratio\n", metric->name);
    g_string_append_printf(out, "# HELP aerostat_%s %s\n", metric->name, metric->help);
}

GBytes *web_metrics(json_t *host, json_t *list)
{
    GString *out = g_string_new(NULL);
    for (gsize m = 0; m < G_N_ELEMENTS(HOST); m++) {
        add_family(out, &HOST[m]);
        add_sample(out, &HOST[m], host, NULL);
    }
    json_t *servers = json_object_get(list, "servers");
    for (gsize m = 0; m < G_N_ELEMENTS(SERVER); m++) {
        add_family(out, &SERVER[m]);
        for (gsize i = 0; i < json_array_size(servers); i++) {
            json_t *server = json_array_get(servers, i);
            const char *name = json_string_value(json_object_get(server, "name"));
            if (name)
                add_sample(out, &SERVER[m], server, name);
        }
    }
    g_string_append(out, "# EOF\n");
    return g_string_free_to_bytes(out);
}
