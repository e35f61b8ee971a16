/* The worked example of docs/policy.md: its tables are what the policy says today, or this fails and prints them. */
#include <string.h>
#include "policy_rig.h"

#define N 3

static const char *const names[N] = {"web", "db", "idle"};

static void make_host(ServerFacts *servers)
{
    static const struct {
        uint64_t balloon, used;
        uint32_t weight;
    } rows[N] = {{1024 * MIB, 900 * MIB, 100}, {3072 * MIB, 1536 * MIB, 200}, {3072 * MIB, 300 * MIB, 100}};
    for (size_t i = 0; i < N; i++) {
        servers[i] = rig_server(4 * GIB, rows[i].balloon, rows[i].used, START_US);
        servers[i].weight = rows[i].weight;
        servers[i].overhead_bytes = 128 * MIB;
    }
}

static char *in_mib(uint64_t bytes)
{
    return g_strdup_printf("%.0f", (double)bytes / (double)MIB);
}

static char *row_of(size_t i, const ServerFacts *facts, const Decision *decision)
{
    const Demand *demand = &decision->demands[i];
    const PlanRow *row = &decision->rows[i];
    g_autofree char *held = in_mib(facts->balloon_bytes), *used = in_mib(demand->used_bytes),
                    *floor = in_mib(demand->floor_bytes), *need = in_mib(demand->need_bytes),
                    *share = in_mib(row->allocation_bytes), *target = in_mib(row->target_bytes);
    return g_strdup_printf("| %s | %u | %s | %s | %s | %s | %s | %s, to %s |", names[i], facts->weight, held,
                           used, floor, need, share, move_name(row->move), target);
}

static void check(uint64_t pool_bytes)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(POLICY_DOC, &text, NULL, &error);
    g_assert_no_error(error);
    HostFacts host = {.pool_bytes = pool_bytes, .slack_bytes = 512 * MIB};
    PolicyParams params = policy_params_default();
    ServerFacts servers[N];
    ServerTrack tracks[N] = {0};
    Decision *decision = decision_new();
    make_host(servers);
    decision_make(&host, servers, tracks, N, &params, START_US, decision);
    gboolean same = TRUE;
    for (size_t i = 0; i < N; i++) {
        g_autofree char *row = row_of(i, &servers[i], decision);
        gboolean there = strstr(text, row) != NULL;
        if (!there)
            g_test_message("not in the document: %s", row);
        same = same && there;
    }
    decision_free(decision);
    g_assert_true(same);
}

static void test_enough(void)
{
    check(8 * GIB);
}

static void test_short(void)
{
    check(3700 * MIB);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/example/enough", test_enough);
    g_test_add_func("/policy/example/short", test_short);
    return g_test_run();
}
