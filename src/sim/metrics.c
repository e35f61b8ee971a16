/* Accounts of a run. */
#include "sim/metrics.h"
#include <math.h>
#include "base/u64.h"
#include "policy/allocation.h"

#define SECOND_US INT64_C(1000000)
/* A need is met when less than a hundredth of it is missing. */
#define MET_SHARE 100

typedef struct {
    Share *shares;
    uint64_t *fair;
    uint32_t *index;
    double *ratios;
} Scratch;

Metrics *metrics_new(guint n, uint64_t pool_bytes, int64_t from_us)
{
    Metrics *metrics = g_new0(Metrics, 1);
    Scratch *scratch = g_new0(Scratch, 1);
    metrics->n = n;
    metrics->pool_bytes = pool_bytes;
    metrics->from_us = metrics->next_fair_us = from_us;
    metrics->servers = g_new0(ServerMetrics, n);
    metrics->reliefs = g_array_new(FALSE, TRUE, sizeof(Relieved));
    for (guint i = 0; i < n; i++)
        metrics->servers[i].short_since_us = -1;
    scratch->shares = g_new0(Share, n);
    scratch->fair = g_new0(uint64_t, n);
    scratch->index = g_new0(uint32_t, n);
    scratch->ratios = g_new0(double, n);
    metrics->scratch = scratch;
    return metrics;
}

void metrics_free(Metrics *metrics)
{
    if (!metrics)
        return;
    Scratch *scratch = metrics->scratch;
    g_free(scratch->shares);
    g_free(scratch->fair);
    g_free(scratch->index);
    g_free(scratch->ratios);
    g_free(scratch);
    g_array_unref(metrics->reliefs);
    g_free(metrics->servers);
    g_free(metrics);
}

static void end_relief(Metrics *metrics, guint i, int64_t now_us, bool relieved)
{
    ServerMetrics *server = &metrics->servers[i];
    Relieved relief = {i, server->short_since_us, now_us, server->short_peak_bytes, relieved};
    g_array_append_val(metrics->reliefs, relief);
    server->short_since_us = -1;
    server->short_peak_bytes = 0;
}

static void follow_relief(Metrics *metrics, guint i, const Guest *guest)
{
    ServerMetrics *server = &metrics->servers[i];
    uint64_t need = guest_need(guest), missing = guest_missing(guest);
    bool below = need > guest->ram_bytes;
    if (server->short_since_us < 0) {
        if (!below || guest->down)
            return;
        server->short_since_us = guest->last_us;
    }
    server->short_peak_bytes =
        u64_max(server->short_peak_bytes, u64_max(missing, u64_sub_sat(need, guest->ram_bytes)));
    if (!below && !guest->down && missing <= need / MET_SHARE)
        end_relief(metrics, i, guest->last_us, true);
}

void metrics_server(Metrics *metrics, guint i, const Guest *guest, double seconds, double host_factor)
{
    ServerMetrics *server = &metrics->servers[i];
    if (guest->last_us <= metrics->from_us) {
        server->swapped_before = guest->swap_in_bytes + guest->swap_out_bytes;
        server->kills_before = guest->kills;
        return;
    }
    double rate = guest->rate * host_factor;
    if (guest->down)
        server->down_s += seconds;
    else
        server->stall_s += (1 - rate) * seconds;
    server->work_s += rate * seconds;
    server->held_byte_s += (double)guest->ram_bytes * seconds;
    if (guest->settled && server->short_since_us < 0)
        return;
    server->swapped_bytes = guest->swap_in_bytes + guest->swap_out_bytes - server->swapped_before;
    server->kills = guest->kills - server->kills_before;
    follow_relief(metrics, i, guest);
}

double metrics_jain(const double *values, guint n)
{
    double sum = 0, squares = 0;
    for (guint i = 0; i < n; i++) {
        sum += values[i];
        squares += values[i] * values[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 1;
}

double metrics_percentile(const double *sorted, guint n, double percent)
{
    if (n == 0)
        return 0;
    double rank = ceil(percent / 100 * n);
    return sorted[(guint)CLAMP(rank, 1, n) - 1];
}

/* Weighted max-min of what guests really need: the yardstick, not any policy's view. */
static void measure_fairness(Metrics *metrics, const Guest *guests)
{
    Scratch *scratch = metrics->scratch;
    uint64_t budget = metrics->pool_bytes;
    for (guint i = 0; i < metrics->n; i++) {
        const GuestSpec *spec = guests[i].spec;
        uint64_t need = u64_min(guest_need(&guests[i]), spec->maximum_bytes);
        uint64_t low = u64_min(spec->minimum_bytes, need);
        if (spec->fixed != FIXED_NO)
            low = need = spec->maximum_bytes;
        scratch->shares[i] = (Share){low, need, spec->weight};
        budget = u64_sub_sat(budget, spec->overhead_bytes);
    }
    allocation_fill(scratch->shares, metrics->n, budget, scratch->index, scratch->fair);
    double missing = 0, fair = 0;
    guint counted = 0;
    for (guint i = 0; i < metrics->n; i++) {
        if (scratch->fair[i] == 0 || guests[i].spec->fixed != FIXED_NO)
            continue;
        uint64_t has = u64_min(guests[i].ram_bytes, scratch->fair[i]);
        scratch->ratios[counted++] = (double)has / (double)scratch->fair[i];
        missing += (double)(scratch->fair[i] - has);
        fair += (double)scratch->fair[i];
    }
    metrics->jain_sum += metrics_jain(scratch->ratios, counted);
    metrics->unfair_sum += fair > 0 ? 100 * missing / fair : 0;
    metrics->fair_samples++;
}

void metrics_host(Metrics *metrics, const Guest *guests, uint64_t committed_bytes, uint64_t outside_bytes,
                  int64_t now_us, double seconds)
{
    uint64_t over = u64_sub_sat(committed_bytes, metrics->pool_bytes);
    /* What reboots added beyond the pool is excused until it is worked off; what is added on top is not. */
    metrics->excused_bytes = u64_min(u64_add_sat(metrics->excused_bytes, outside_bytes), over);
    metrics->now_us = now_us;
    if (now_us <= metrics->from_us)
        return;
    metrics->outside_byte_s += (double)metrics->excused_bytes * seconds;
    metrics->over_byte_s += (double)(over - metrics->excused_bytes) * seconds;
    metrics->committed_byte_s += (double)committed_bytes * seconds;
    if (now_us < metrics->next_fair_us)
        return;
    measure_fairness(metrics, guests);
    metrics->next_fair_us = now_us + SECOND_US;
}

void metrics_target(Metrics *metrics, guint i, uint64_t before_bytes, uint64_t after_bytes)
{
    ServerMetrics *server = &metrics->servers[i];
    uint64_t off = before_bytes > after_bytes ? before_bytes - after_bytes : after_bytes - before_bytes;
    if (off < MIB)
        return;
    int64_t direction = after_bytes > before_bytes ? 1 : -1;
    if (server->last_direction == -direction && metrics->now_us > metrics->from_us)
        server->reversals++;
    server->last_direction = direction;
}

double metrics_work(const Metrics *metrics)
{
    double sum = 0;
    for (guint i = 0; i < metrics->n; i++)
        sum += metrics->servers[i].work_s;
    return sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void sum_reliefs(Metrics *metrics, Summary *summary)
{
    g_autoptr(GArray) lengths = g_array_new(FALSE, FALSE, sizeof(double));
    for (guint i = 0; i < metrics->n; i++)
        if (metrics->servers[i].short_since_us >= 0)
            end_relief(metrics, i, metrics->now_us, false);
    for (guint k = 0; k < metrics->reliefs->len; k++) {
        const Relieved *relief = &g_array_index(metrics->reliefs, Relieved, k);
        double seconds = (double)(relief->until_us - relief->from_us) / 1e6;
        g_array_append_val(lengths, seconds);
        summary->unrelieved += !relief->relieved;
    }
    g_array_sort(lengths, by_value);
    summary->reliefs = lengths->len;
    summary->relief_p50_s = metrics_percentile((double *)(void *)lengths->data, lengths->len, 50);
    summary->relief_p99_s = metrics_percentile((double *)(void *)lengths->data, lengths->len, 99);
}

Summary metrics_finish(Metrics *metrics, double oracle_work_s)
{
    Summary summary = {0};
    for (guint i = 0; i < metrics->n; i++) {
        const ServerMetrics *server = &metrics->servers[i];
        summary.stall_s += server->stall_s;
        summary.down_s += server->down_s;
        summary.swapped_bytes += server->swapped_bytes;
        summary.kills += server->kills;
        summary.reversals += server->reversals;
    }
    sum_reliefs(metrics, &summary);
    summary.work_percent = oracle_work_s > 0 ? 100 * metrics_work(metrics) / oracle_work_s : 0;
    summary.over_byte_s = metrics->over_byte_s;
    summary.outside_byte_s = metrics->outside_byte_s;
    summary.jain = metrics->fair_samples > 0 ? metrics->jain_sum / metrics->fair_samples : 1;
    summary.unfair_percent = metrics->fair_samples > 0 ? metrics->unfair_sum / metrics->fair_samples : 0;
    summary.held_gib_min = metrics->committed_byte_s / (double)GIB / 60;
    return summary;
}
