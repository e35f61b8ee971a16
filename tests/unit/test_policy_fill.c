/* Weighted max-min filling: exactness, extremes, and the ledger's sums. */
#include <string.h>
#include "policy/allocation.h"
#include "policy/ledger.h"
#include "policy_rig.h"

typedef struct {
    const char *name;
    size_t n;
    Share shares[4];
    uint64_t budget, expected[4];
} FillCase;

static const FillCase fill_cases[] = {
    {"equal weights", 2, {{0, 100, 1}, {0, 100, 1}}, 100, {50, 50}},
    {"by weight", 2, {{0, 100, 1}, {0, 100, 3}}, 80, {20, 60}},
    {"one is full early", 3, {{0, 10, 1}, {0, 100, 1}, {0, 100, 1}}, 110, {10, 50, 50}},
    {"a floor above the level", 3, {{60, 100, 1}, {0, 100, 1}, {0, 100, 1}}, 100, {60, 20, 20}},
    {"less than the floors", 2, {{60, 100, 1}, {50, 100, 1}}, 100, {60, 50}},
    {"exactly the floors", 2, {{60, 100, 1}, {40, 100, 1}}, 100, {60, 40}},
    {"more than all want", 2, {{0, 10, 1}, {0, 20, 1}}, 100, {10, 20}},
    {"nothing to give", 2, {{0, 10, 1}, {0, 20, 1}}, 0, {0, 0}},
    {"nobody can take", 2, {{7, 7, 1}, {9, 9, 1}}, 100, {7, 9}},
    {"a tiny weight", 2, {{0, 1000000, 1e-6}, {0, 1000000, 1}}, 1000000, {0, 999999}},
    {"a large weight", 2, {{0, 1000, 4e9}, {0, 1000, 1}}, 1500, {1000, 500}},
    {"flat between two corners", 2, {{0, 100, 1}, {200, 400, 1}}, 300, {100, 200}},
};

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fill_cases); i++) {
        const FillCase *one = &fill_cases[i];
        uint32_t scratch[4];
        uint64_t got[4], sum = 0;
        g_test_message("%s", one->name);
        uint64_t returned = allocation_fill(one->shares, one->n, one->budget, scratch, got);
        for (size_t k = 0; k < one->n; k++) {
            sum += got[k];
            g_assert_cmpuint(got[k] + 1, >=, one->expected[k]);
            g_assert_cmpuint(got[k], <=, one->expected[k] + 1);
        }
        g_assert_cmpuint(sum, ==, returned);
    }
    g_assert_cmpuint(allocation_fill(NULL, 0, 100, NULL, NULL), ==, 0);
}

/* Sizes of 2^56 and weights nine orders apart: sums hold, nobody leaves its bounds, nothing is lost but rounding. */
static void test_extremes(void)
{
    enum { N = 200 };
    const uint64_t huge = SIZE_MAX_BYTES;
    Share shares[N];
    uint32_t scratch[N];
    uint64_t got[N];
    for (size_t i = 0; i < N; i++)
        shares[i] = (Share){i % 3 == 0 ? huge / 4 : 0, huge, i % 2 == 0 ? 4294967295.0 : 1};
    const uint64_t budget = huge * 100;
    uint64_t sum = allocation_fill(shares, N, budget, scratch, got);
    g_assert_cmpuint(sum, <=, budget);
    g_assert_cmpuint(budget - sum, <, budget >> 40);
    for (size_t i = 0; i < N; i++) {
        g_assert_cmpuint(got[i], >=, shares[i].low_bytes);
        g_assert_cmpuint(got[i], <=, shares[i].high_bytes);
    }
    Share hostile[] = {{0, UINT64_MAX, 1}, {0, UINT64_MAX, 1}};
    sum = allocation_fill(hostile, 2, UINT64_MAX - 1, scratch, got);
    g_assert_cmpuint(sum, <=, UINT64_MAX - 1);
}

/* No transfer from one to another would make the smaller share per weight larger: max-min, straight from its
 * definition. */
static void test_ten_thousand(void)
{
    enum { N = 10000 };
    g_autofree Share *shares = g_new(Share, N);
    g_autofree uint32_t *scratch = g_new(uint32_t, N);
    g_autofree uint64_t *got = g_new(uint64_t, N);
    uint64_t state = 1, lows = 0, highs = 0;
    for (size_t i = 0; i < N; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t high = (state >> 33) * 64, low = high / (1 + (state >> 20) % 7) / 2;
        shares[i] = (Share){low, high, (double)(1 + (state >> 40) % 1000)};
        lows += low;
        highs += high;
    }
    const uint64_t budget = lows / 2 + highs / 2;
    uint64_t sum = allocation_fill(shares, N, budget, scratch, got);
    g_assert_cmpuint(sum, <=, budget);
    g_assert_cmpuint(budget - sum, <=, N);
    double highest_that_could_give = 0, lowest_that_could_take = 1e300;
    for (size_t i = 0; i < N; i++) {
        double level = (double)got[i] / shares[i].weight;
        if (got[i] > shares[i].low_bytes + 1)
            highest_that_could_give = MAX(highest_that_could_give, level);
        if (got[i] + 1 < shares[i].high_bytes)
            lowest_that_could_take = MIN(lowest_that_could_take, level);
    }
    g_assert_cmpfloat(highest_that_could_give, <=, lowest_that_could_take + 1.001);
}

/* 5,000 have all they want at level 10, 5,000 begin at level 20, and the budget ends exactly between. */
static void test_all_corners_equal(void)
{
    enum { N = 10000 };
    g_autofree Share *shares = g_new(Share, N);
    g_autofree uint32_t *scratch = g_new(uint32_t, N);
    g_autofree uint64_t *got = g_new(uint64_t, N);
    for (size_t i = 0; i < N; i++)
        shares[i] = i % 2 == 0 ? (Share){0, 10 * GIB, 1} : (Share){20 * GIB, 40 * GIB, 1};
    uint64_t budget = N / 2 * (10 * GIB + 20 * GIB);
    g_assert_cmpuint(allocation_fill(shares, N, budget, scratch, got), <=, budget);
    g_assert_cmpuint(got[0], ==, 10 * GIB);
    g_assert_cmpuint(got[1], ==, 20 * GIB);
}

static void test_tax(void)
{
    g_assert_cmpfloat(allocation_taxed_weight(100, 1000, 750), ==, 100);
    g_assert_cmpfloat(allocation_taxed_weight(100, 0, 750), ==, 25);
    g_assert_cmpfloat(allocation_taxed_weight(100, 500, 750), ==, 40);
    g_assert_cmpfloat(allocation_taxed_weight(100, 5000, 750), ==, 100);
    g_assert_cmpfloat(allocation_taxed_weight(1, 0, 1000), >, 0);
}

typedef struct {
    const char *name;
    FixedReason fixed;
    HoldReason hold;
    uint64_t balloon, target, resident, held;
} LedgerCase;

static const LedgerCase ledger_cases[] = {
    {"the balloon", FIXED_NO, HOLD_NO, 4, 2, 1, 4},
    {"the target", FIXED_NO, HOLD_NO, 2, 4, 1, 4},
    {"residency", FIXED_NO, HOLD_NO, 2, 1, 4, 4},
    {"residency unknown", FIXED_NO, HOLD_NO, 2, 1, UNKNOWN, 2},
    {"fixed", FIXED_CONTAINER, HOLD_NO, 1, 1, 1, 8},
    {"starting", FIXED_NO, HOLD_STARTING, 1, 1, 1, 8},
    {"rebooting", FIXED_NO, HOLD_REBOOTING, 1, 1, 1, 8},
    {"unresponsive", FIXED_NO, HOLD_UNRESPONSIVE, 3, 1, 1, 3},
    {"more than its maximum", FIXED_NO, HOLD_NO, 1, 1, 9, 9},
};

static void test_ledger(void)
{
    PolicyParams params = policy_params_default();
    for (size_t i = 0; i < G_N_ELEMENTS(ledger_cases); i++) {
        const LedgerCase *one = &ledger_cases[i];
        g_test_message("%s", one->name);
        ServerFacts facts = {.maximum_bytes = 8, .fixed = one->fixed, .hold = one->hold, .overhead_bytes = 5};
        facts.balloon_bytes = one->balloon;
        facts.target_bytes = one->target;
        facts.resident_bytes = one->resident;
        g_assert_cmpuint(ledger_held(&facts, &params), ==, one->held);
        g_assert_cmpuint(ledger_committed(&facts, &params), ==, one->held + 5);
        g_assert_cmpuint(ledger_held_with_target(&facts, &params, 100), ==, 100);
    }
}

static void test_ledger_sums(void)
{
    PolicyParams params = policy_params_default();
    ServerFacts servers[] = {
        rig_server(8 * GIB, 4 * GIB, GIB, START_US),
        rig_server(6 * GIB, 2 * GIB, GIB, START_US),
        rig_server(GIB, GIB, GIB / 2, START_US),
    };
    servers[2].fixed = FIXED_HUGEPAGES;
    servers[2].overhead_bytes = GIB;
    HostFacts host = {.pool_bytes = 12 * GIB};
    Ledger ledger = ledger_make(&host, servers, 3, &params);
    g_assert_cmpuint(ledger.committed_bytes, ==, 8 * GIB);
    g_assert_cmpuint(ledger.fixed_bytes, ==, 2 * GIB);
    g_assert_cmpuint(ledger.overhead_bytes, ==, GIB);
    g_assert_cmpuint(ledger.free_bytes, ==, 4 * GIB);
    g_assert_cmpuint(ledger.reboot_extra_bytes, ==, 4 * GIB);
    g_assert_cmpuint(ledger.reboot_safe_bytes, ==, 8 * GIB);
    host.pool_bytes = 7 * GIB;
    ledger = ledger_make(&host, servers, 3, &params);
    g_assert_cmpuint(ledger.over_bytes, ==, GIB);
    g_assert_cmpuint(ledger.free_bytes, ==, 0);
    g_assert_cmpuint(ledger.reboot_safe_bytes, ==, 0);
    servers[0].overhead_bytes = UINT64_MAX;
    g_assert_cmpuint(ledger_make(&host, servers, 3, &params).committed_bytes, ==, UINT64_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/fill/cases", test_cases);
    g_test_add_func("/policy/fill/extremes", test_extremes);
    g_test_add_func("/policy/fill/ten-thousand", test_ten_thousand);
    g_test_add_func("/policy/fill/all-corners-equal", test_all_corners_equal);
    g_test_add_func("/policy/fill/tax", test_tax);
    g_test_add_func("/policy/ledger/held", test_ledger);
    g_test_add_func("/policy/ledger/sums", test_ledger_sums);
    return g_test_run();
}
