/* Demand: what a guest is seen to use, what it grows by, what it must keep. */
#include "policy_rig.h"

typedef struct {
    PolicyParams params;
    DemandState state;
    ServerFacts facts;
    Demand demand;
    int64_t now_us;
} Rig;

static Rig rig_new(uint64_t maximum, uint64_t balloon, uint64_t used)
{
    Rig rig = {.params = policy_params_default(), .now_us = START_US};
    rig.facts = rig_server(maximum, balloon, used, START_US);
    rig.facts.minimum_bytes = maximum / 64;
    rig.demand = demand_update(&rig.state, &rig.facts, &rig.params, START_US);
    return rig;
}

static void rig_next(Rig *rig, int64_t elapsed_us, uint64_t balloon, uint64_t used)
{
    rig->now_us += elapsed_us;
    rig_sample(&rig->facts, balloon, used, rig->now_us);
    rig->demand = demand_update(&rig->state, &rig->facts, &rig->params, rig->now_us);
}

/* Time without a sample. */
static void rig_wait(Rig *rig, int64_t elapsed_us)
{
    rig->now_us += elapsed_us;
    rig->demand = demand_update(&rig->state, &rig->facts, &rig->params, rig->now_us);
}

typedef struct {
    const char *name;
    uint64_t maximum, balloon, available, resident;
    uint64_t used, need, floor;
} DemandCase;

/* In MiB; a maximum of 8 GiB has 96 MiB of flat headroom, 64 MiB has 8. */
static const DemandCase demand_cases[] = {
    {"a plain guest", 8192, 4096, 3096, UNKNOWN, 1000, 1196, 1098},
    {"nothing in use", 8192, 4096, 4096, UNKNOWN, 0, 1024, 1024},
    {"more available than there is", 8192, 4096, 99999, UNKNOWN, 0, 1024, 1024},
    {"everything in use: starved", 8192, 4096, 0, UNKNOWN, 4096, 5107, 4349},
    {"everything said to be, little touched", 8192, 4096, 0, 1000, 1016, 1214, 1115},
    {"all touched", 8192, 4096, 3096, 4096, 1000, 1196, 1098},
    {"a small one", 64, 64, 32, UNKNOWN, 32, 43, 38},
    {"at its maximum", 1024, 1024, 24, UNKNOWN, 1000, 1024, 1024},
};

static void test_cases(void)
{
    PolicyParams params = policy_params_default();
    for (size_t i = 0; i < G_N_ELEMENTS(demand_cases); i++) {
        const DemandCase *one = &demand_cases[i];
        g_test_message("%s", one->name);
        ServerFacts facts = rig_server(one->maximum * MIB, one->balloon * MIB, 0, START_US);
        facts.available_bytes = one->available * MIB;
        facts.resident_bytes = one->resident == UNKNOWN ? UNKNOWN : one->resident * MIB;
        DemandState state = {0};
        Demand demand = demand_update(&state, &facts, &params, START_US);
        g_assert_true(demand.known);
        g_assert_cmpuint(demand.used_bytes / MIB, ==, one->used);
        g_assert_cmpuint((demand.need_bytes + MIB / 2) / MIB, ==, one->need);
        g_assert_cmpuint((demand.floor_bytes + MIB / 2) / MIB, ==, one->floor);
        g_assert_cmpuint(demand.comfort_bytes, >=, demand.need_bytes);
        g_assert_cmpuint(demand.active_permille, <=, 1000);
    }
}

/* Without deflate-on-oom total shrinks with the balloon, with it ballooned pages count as used; available is the
 * same in both, and so is what is made of it. */
static void test_both_ways_of_counting(void)
{
    Rig off = rig_new(8 * GIB, 4 * GIB, GIB), on = off;
    off.facts.deflates_on_oom = false;
    rig_next(&off, SECOND_US, 3 * GIB, GIB);
    rig_next(&on, SECOND_US, 3 * GIB, GIB);
    g_assert_cmpuint(off.demand.used_bytes, ==, on.demand.used_bytes);
    g_assert_cmpuint(off.demand.need_bytes, ==, on.demand.need_bytes);
}

static void test_unknown(void)
{
    PolicyParams params = policy_params_default();
    DemandState state = {0};
    ServerFacts facts = rig_server(8 * GIB, 4 * GIB, GIB, 0);
    Demand demand = demand_update(&state, &facts, &params, START_US);
    g_assert_false(demand.known);
    g_assert_cmpuint(demand.need_bytes, ==, 4 * GIB);
    g_assert_cmpuint(demand.floor_bytes, ==, 4 * GIB);
    facts.sample_us = START_US;
    facts.available_bytes = UNKNOWN;
    g_assert_false(demand_update(&state, &facts, &params, START_US).known);
    facts.balloon_bytes = GIB / 2;
    g_assert_cmpuint(demand_update(&state, &facts, &params, START_US).need_bytes, ==, GIB);
}

/* UNKNOWN is all ones: as a cumulative counter it must look neither like growth nor like a step back. */
static void test_unknown_counters(void)
{
    Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
    rig.facts.swap_in_bytes = rig.facts.major_faults = UNKNOWN;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    g_assert_false(rig.demand.faulting);
    rig.facts.swap_in_bytes = rig.facts.major_faults = 0;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    g_assert_false(rig.demand.faulting);
    rig.facts.swap_in_bytes = UINT64_MAX - 1;
    rig_next(&rig, 20 * 1000, 4 * GIB, GIB);
    g_assert_true(rig.demand.faulting);
}

static void test_counters_going_back(void)
{
    Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
    rig.facts.swap_in_bytes = 100 * GIB;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    rig_wait(&rig, 6 * SECOND_US);
    rig.facts.swap_in_bytes = 0;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    g_assert_false(rig.demand.faulting);
}

static void test_growth(void)
{
    Rig rig = rig_new(64 * GIB, 8 * GIB, GIB);
    uint64_t quiet = rig.demand.need_bytes;
    rig_next(&rig, SECOND_US, 8 * GIB, 2 * GIB);
    uint64_t grown = quiet + GIB + GIB / 10 + (uint64_t)(0.7 * (double)GIB);
    g_assert_cmpuint(rig.demand.need_bytes, >=, grown - MIB);
    g_assert_cmpuint(rig.demand.need_bytes, <=, grown + MIB);
    rig_next(&rig, 2 * SECOND_US, 8 * GIB, 2 * GIB);
    g_assert_cmpuint(rig.demand.need_bytes, <, grown - 300 * MIB);
    rig_wait(&rig, 60 * SECOND_US);
    g_assert_cmpuint(rig.demand.need_bytes, <=, quiet + GIB + GIB / 10 + MIB);
    g_assert_true(rig.demand.stale);
}

/* A growth that is over is none: but not when it is in swap. */
static void test_growth_let_go(void)
{
    for (int swaps = 0; swaps < 2; swaps++) {
        Rig rig = rig_new(64 * GIB, 8 * GIB, GIB);
        uint64_t quiet = rig.demand.need_bytes;
        rig.facts.swap_in_bytes = rig.facts.swap_out_bytes = 0;
        rig_next(&rig, SECOND_US, 8 * GIB, 4 * GIB);
        rig_next(&rig, SECOND_US / 10, 8 * GIB,
                 4 * GIB - 300 * MIB); /* less than a headroom: that may have been cache */
        g_assert_cmpuint(rig.state.growth_bytes_per_s, >, 2 * GIB);
        rig.facts.swap_out_bytes = swaps ? 3 * GIB : 0;
        rig_next(&rig, SECOND_US / 10, 8 * GIB, GIB);
        if (swaps)
            g_assert_cmpuint(rig.demand.need_bytes, >, quiet + GIB);
        else
            g_assert_cmpuint(rig.demand.need_bytes, ==, quiet);
    }
}

/* Samples a few milliseconds apart add up to a rate; none is lost. */
static void test_growth_in_quick_samples(void)
{
    Rig rig = rig_new(64 * GIB, 8 * GIB, GIB);
    for (int i = 1; i <= 100; i++)
        rig_next(&rig, 5000, 8 * GIB, GIB + (uint64_t)i * 5 * MIB);
    g_assert_cmpuint(rig.state.growth_bytes_per_s, >, 900 * MIB);
    g_assert_cmpuint(rig.state.growth_bytes_per_s, <, 1100 * MIB);
}

/* Inflating, the sample is paired with the larger size: that is no growth, and the need stays, and so does what is enough. */
static void test_inflating_is_no_growth(void)
{
    Rig rig = rig_new(8 * GIB, 8 * GIB, 2 * GIB);
    uint64_t need = rig.demand.need_bytes, enough = rig.demand.enough_bytes;
    g_assert_cmpuint(enough, ==, rig.demand.floor_bytes);
    for (uint64_t balloon = 7 * GIB; balloon >= 3 * GIB; balloon -= GIB) {
        rig.now_us += SECOND_US;
        rig.facts.sample_balloon_bytes = rig.facts.balloon_bytes;
        rig.facts.balloon_bytes = balloon;
        rig.facts.available_bytes = balloon - 2 * GIB;
        rig.facts.sample_us = rig.now_us;
        rig.demand = demand_update(&rig.state, &rig.facts, &rig.params, rig.now_us);
        g_assert_cmpuint(rig.demand.need_bytes, ==, need);
        g_assert_cmpuint(rig.demand.enough_bytes, ==, enough);
        g_assert_cmpuint(rig.demand.floor_bytes, >, 3 * GIB);
    }
}

static void test_growth_beyond_residency(void)
{
    Rig rig = rig_new(64 * GIB, 8 * GIB, GIB);
    rig.facts.resident_bytes = GIB;
    rig_next(&rig, SECOND_US, 8 * GIB, GIB);
    uint64_t need = rig.demand.need_bytes;
    for (int i = 0; i < 10; i++)
        rig_next(&rig, SECOND_US / 10, 8 * GIB, i % 2 == 0 ? 8 * GIB : 0);
    rig_next(&rig, SECOND_US / 10, 8 * GIB, 8 * GIB);
    g_assert_cmpuint(rig.demand.need_bytes, <=, need + 20 * MIB);
}

static void test_burst_seen_by_residency(void)
{
    Rig rig = rig_new(64 * GIB, 4 * GIB, GIB);
    rig.facts.resident_bytes = GIB;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    rig.facts.resident_bytes = 2 * GIB;
    rig_wait(&rig, SECOND_US / 10);
    g_assert_cmpuint(rig.demand.need_bytes, <, 2 * GIB);
    rig.facts.resident_bytes = 4 * GIB - 10 * MIB;
    rig_wait(&rig, 10 * SECOND_US);
    g_assert_true(rig.demand.stale);
    g_assert_cmpuint(rig.demand.need_bytes, >, 4 * GIB);
}

static void test_comfort_fades(void)
{
    Rig rig = rig_new(64 * GIB, 16 * GIB, 8 * GIB);
    uint64_t high = rig.demand.need_bytes;
    rig_next(&rig, SECOND_US, 16 * GIB, GIB);
    uint64_t low = rig.demand.need_bytes;
    g_assert_cmpuint(low, <, 9 * GIB);
    for (int i = 0; i < 200; i++)
        rig_next(&rig, SECOND_US / 10, 16 * GIB, GIB);
    low = rig.demand.need_bytes;
    uint64_t middle = low + (high - low) / 2;
    g_assert_cmpuint(rig.demand.comfort_bytes, >, middle - middle / 20);
    g_assert_cmpuint(rig.demand.comfort_bytes, <, middle + middle / 20);
    rig_wait(&rig, 600 * SECOND_US);
    g_assert_cmpuint(rig.demand.comfort_bytes, ==, rig.demand.need_bytes);
}

static void test_starved(void)
{
    Rig rig = rig_new(64 * GIB, 4 * GIB, 4 * GIB - 8 * MIB);
    uint64_t last = 0;
    for (int i = 0; i < 4; i++) {
        rig_next(&rig, SECOND_US, 4 * GIB, 4 * GIB - 8 * MIB);
        g_assert_cmpuint(rig.demand.headroom_bytes, >, last + last / 2);
        last = rig.demand.headroom_bytes;
    }
    for (int i = 0; i < 100; i++)
        rig_next(&rig, SECOND_US, 4 * GIB, 4 * GIB - 8 * MIB);
    g_assert_cmpuint(rig.demand.headroom_bytes, <=, 64 * GIB);
    rig_next(&rig, SECOND_US, 6 * GIB, 4 * GIB);
    g_assert_cmpuint(rig.demand.headroom_bytes, <, GIB);
}

typedef enum { SWAP, FAULTS, REFAULTS, STALL } Sign;

static void test_faulting(void)
{
    static const struct {
        Sign sign;
        uint64_t below, above; /* in one second */
    } cases[] = {{SWAP, 256 * KIB, 257 * KIB}, {FAULTS, 50, 51}, {REFAULTS, 500, 501}, {STALL, 10000, 10001}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
        rig.facts.refaults = rig.facts.stall_us = 0;
        rig_next(&rig, SECOND_US, 4 * GIB, GIB);
        uint64_t *counters[] = {&rig.facts.swap_in_bytes, &rig.facts.major_faults, &rig.facts.refaults,
                                &rig.facts.stall_us};
        *counters[cases[i].sign] += cases[i].below;
        rig_next(&rig, SECOND_US, 4 * GIB, GIB);
        g_assert_false(rig.demand.faulting);
        *counters[cases[i].sign] += cases[i].above;
        rig_next(&rig, SECOND_US, 4 * GIB, GIB);
        g_assert_true(rig.demand.faulting);
        rig_wait(&rig, 4900 * 1000);
        g_assert_true(rig.demand.faulting);
        rig_wait(&rig, 200 * 1000);
        g_assert_false(rig.demand.faulting);
    }
}

/* Statistics soon before or after an agent's line do not make its counters grow faster than they do. */
static void test_told(void)
{
    Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
    rig.facts.stall_us = 0;
    rig.facts.told_us = rig.now_us;
    for (int i = 0; i < 10; i++) {
        rig_next(&rig, 970 * 1000, 4 * GIB, GIB); /* other statistics */
        rig.facts.stall_us += 9 * 1000;
        rig.facts.told_us = rig.now_us + 30 * 1000;
        rig_next(&rig, 30 * 1000, 4 * GIB, GIB);
        g_assert_false(rig.demand.faulting);
    }
    rig_next(&rig, 970 * 1000, 4 * GIB, GIB);
    rig.facts.stall_us += 11 * 1000;
    rig.facts.told_us = rig.now_us + 30 * 1000;
    rig_next(&rig, 30 * 1000, 4 * GIB, GIB);
    g_assert_true(rig.demand.faulting);
}

/* An agent whose guest has not touched what it has is not believed that it waits for memory. */
static void test_faulting_untouched(void)
{
    static const struct {
        uint64_t resident;
        bool believed;
    } cases[] = {{UNKNOWN, true}, {4 * GIB, true}, {3 * GIB, true}, {3 * GIB - 65 * MIB, false}, {0, false}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int sign = REFAULTS; sign <= STALL; sign++) {
            Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
            uint64_t *counter = sign == STALL ? &rig.facts.stall_us : &rig.facts.refaults;
            rig.facts.resident_bytes = cases[i].resident;
            *counter = 0;
            rig_next(&rig, SECOND_US, 4 * GIB, GIB);
            *counter += GIB;
            rig_next(&rig, SECOND_US, 4 * GIB, GIB);
            g_assert_cmpint(rig.demand.faulting, ==, cases[i].believed);
        }
    }
}

/* Faulting soon after a shrink: the cache that was taken counts as working set, and is let go again in time,
 * however often the guest is looked at. */
static void test_cache_learning(void)
{
    for (int per_second = 1; per_second <= 10; per_second *= 10) {
        Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
        rig_next(&rig, SECOND_US, 4 * GIB, GIB);
        rig_next(&rig, SECOND_US, 3 * GIB, GIB);
        rig.facts.major_faults = 10000;
        rig_next(&rig, SECOND_US, 3 * GIB, GIB);
        g_assert_cmpuint(rig.demand.working_set_bytes, >, 3 * GIB);
        g_assert_cmpuint(rig.demand.need_bytes, >=, 4 * GIB - MIB);
        for (int i = 0; i < 30 * per_second; i++)
            rig_next(&rig, SECOND_US / per_second, 4 * GIB, GIB);
        g_assert_cmpuint(rig.demand.working_set_bytes, >, 2 * GIB + GIB / 2);
        for (int i = 0; i < 100 * per_second; i++)
            rig_next(&rig, SECOND_US / per_second, 4 * GIB, GIB);
        g_assert_cmpuint(rig.demand.working_set_bytes, ==, GIB);
    }
}

/* Faults without a shrink before them, or cache that was never touched, teach nothing. */
static void test_cache_not_learnt(void)
{
    Rig rig = rig_new(8 * GIB, 4 * GIB, GIB);
    rig.facts.major_faults = 10000;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    g_assert_cmpuint(rig.demand.working_set_bytes, ==, GIB);
    rig = rig_new(8 * GIB, 4 * GIB, GIB);
    rig.facts.resident_bytes = GIB;
    rig_next(&rig, SECOND_US, 4 * GIB, GIB);
    rig_next(&rig, SECOND_US, 3 * GIB, GIB);
    rig.facts.major_faults = 10000;
    rig_next(&rig, SECOND_US, 3 * GIB, GIB);
    g_assert_cmpuint(rig.demand.working_set_bytes, <, GIB + 20 * MIB);
}

static void test_distress(void)
{
    Rig rig = rig_new(8 * GIB, 2 * GIB, GIB);
    int64_t rest_us[] = {60, 120, 240, 480, 960, 1800, 1800};
    for (size_t i = 0; i < G_N_ELEMENTS(rest_us); i++) {
        demand_distress(&rig.state, &rig.facts, &rig.params, 3 * GIB, rig.now_us);
        /* The same incident, seen by three more beats. */
        for (int beat = 0; beat < 3; beat++)
            demand_distress(&rig.state, &rig.facts, &rig.params, 3 * GIB, rig.now_us);
        g_assert_cmpint(rig.state.rest_until_us, ==, rig.now_us + rest_us[i] * SECOND_US);
        rig_next(&rig, 20 * SECOND_US, 3 * GIB, GIB);
        g_assert_true(rig.demand.resting);
        g_assert_cmpuint(rig.demand.floor_bytes, ==, 3 * GIB);
        g_assert_cmpuint(rig.demand.need_bytes, ==, 3 * GIB);
    }
    rig_next(&rig, 1800 * SECOND_US + 580 * SECOND_US, 3 * GIB, GIB);
    g_assert_false(rig.demand.resting);
    g_assert_cmpuint(rig.demand.floor_bytes, >, GIB + GIB / 4);
    g_assert_cmpuint(rig.demand.floor_bytes, <, GIB + GIB / 4 * 3);
    rig_next(&rig, 7200 * SECOND_US, 3 * GIB, GIB);
    demand_distress(&rig.state, &rig.facts, &rig.params, 2 * GIB, rig.now_us);
    g_assert_cmpint(rig.state.rest_until_us, ==, rig.now_us + 60 * SECOND_US);
    g_assert_cmpuint(rig.state.learned_floor_bytes, ==, 2 * GIB);
    demand_distress(&rig.state, &rig.facts, &rig.params, UINT64_MAX, rig.now_us);
    g_assert_cmpuint(rig.state.learned_floor_bytes, ==, 8 * GIB);
}

static void test_boot(void)
{
    Rig rig = rig_new(8 * GIB, 4 * GIB, 3 * GIB);
    demand_distress(&rig.state, &rig.facts, &rig.params, 4 * GIB, rig.now_us);
    rig.facts.boot_count++;
    rig_wait(&rig, SECOND_US);
    g_assert_false(rig.demand.known);
    rig_wait(&rig, SECOND_US);
    g_assert_false(rig.demand.known);
    rig_next(&rig, SECOND_US, 8 * GIB, GIB);
    g_assert_true(rig.demand.known);
    g_assert_cmpuint(rig.demand.used_bytes, ==, GIB);
    g_assert_cmpuint(rig.demand.floor_bytes, ==, 4 * GIB);
}

static void test_hostile(void)
{
    PolicyParams params = policy_params_default();
    const uint64_t values[] = {0, 1, MIB, SIZE_MAX_BYTES, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    const size_t n = G_N_ELEMENTS(values);
    DemandState state = {0};
    for (size_t i = 0; i < n * n * n; i++) {
        ServerFacts facts = rig_server(values[i % n], values[i / n % n], 0, START_US + (int64_t)i * 30000);
        facts.minimum_bytes = values[(i + 3) % n];
        facts.available_bytes = values[i / n / n];
        facts.resident_bytes = values[(i + 5) % n];
        facts.swap_in_bytes = facts.major_faults = facts.stall_us = values[i / n / n];
        Demand demand = demand_update(&state, &facts, &params, facts.sample_us);
        g_assert_cmpuint(demand.need_bytes, <=, facts.maximum_bytes);
        g_assert_cmpuint(demand.floor_bytes, <=, facts.maximum_bytes);
        g_assert_cmpuint(demand.enough_bytes, <=, demand.floor_bytes);
        demand_distress(&state, &facts, &params, values[i % n], facts.sample_us);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/demand/cases", test_cases);
    g_test_add_func("/policy/demand/both-ways-of-counting", test_both_ways_of_counting);
    g_test_add_func("/policy/demand/unknown", test_unknown);
    g_test_add_func("/policy/demand/unknown-counters", test_unknown_counters);
    g_test_add_func("/policy/demand/counters-going-back", test_counters_going_back);
    g_test_add_func("/policy/demand/growth", test_growth);
    g_test_add_func("/policy/demand/growth-let-go", test_growth_let_go);
    g_test_add_func("/policy/demand/growth-in-quick-samples", test_growth_in_quick_samples);
    g_test_add_func("/policy/demand/inflating-is-no-growth", test_inflating_is_no_growth);
    g_test_add_func("/policy/demand/growth-beyond-residency", test_growth_beyond_residency);
    g_test_add_func("/policy/demand/burst-seen-by-residency", test_burst_seen_by_residency);
    g_test_add_func("/policy/demand/comfort-fades", test_comfort_fades);
    g_test_add_func("/policy/demand/starved", test_starved);
    g_test_add_func("/policy/demand/faulting", test_faulting);
    g_test_add_func("/policy/demand/told", test_told);
    g_test_add_func("/policy/demand/faulting-untouched", test_faulting_untouched);
    g_test_add_func("/policy/demand/cache-learning", test_cache_learning);
    g_test_add_func("/policy/demand/cache-not-learnt", test_cache_not_learnt);
    g_test_add_func("/policy/demand/distress", test_distress);
    g_test_add_func("/policy/demand/boot", test_boot);
    g_test_add_func("/policy/demand/hostile", test_hostile);
    return g_test_run();
}
