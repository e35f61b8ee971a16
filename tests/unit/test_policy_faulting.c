/* A guest that swaps or faults: what it gives all the same, to whom, and what it keeps. */
#include "policy_rig.h"

enum { DONOR, WAITING, SERVERS };

typedef struct {
    PolicyParams params;
    HostFacts host;
    ServerFacts servers[SERVERS];
    ServerTrack tracks[SERVERS];
    int64_t now_us;
    Decision *decision;
} Rig;

static const PlanRow *rig_decide(Rig *rig)
{
    decision_make(&rig->host, rig->servers, rig->tracks, SERVERS, &rig->params, rig->now_us, rig->decision);
    return rig->decision->rows;
}

/* Fresh samples; the donor's of @used and @unused, the rest of what it has being cache. */
static void rig_look(Rig *rig, uint64_t used, uint64_t unused)
{
    rig->now_us += SECOND_US;
    ServerFacts *donor = &rig->servers[DONOR], *waiting = &rig->servers[WAITING];
    rig_sample(donor, donor->balloon_bytes, used, rig->now_us);
    donor->unused_bytes = unused;
    rig_sample(waiting, waiting->balloon_bytes, waiting->balloon_bytes - waiting->available_bytes,
               rig->now_us);
}

/* As it was measured: a guest that swapped a little in its burst and freed 450 MiB; what it still uses comes back from
 * swap page by page. Another holds 296 MiB and needs 768. */
static Rig rig_new(uint64_t swapped_out, bool waits)
{
    Rig rig = {.params = policy_params_default(),
               .host = {.pool_bytes = 948 * MIB},
               .now_us = START_US,
               .decision = decision_new()};
    rig.servers[DONOR] = rig_server(GIB, 652 * MIB, 600 * MIB, START_US);
    rig.servers[DONOR].unused_bytes = 10 * MIB;
    rig.servers[WAITING] = rig_server(GIB, 296 * MIB, waits ? 290 * MIB : 100 * MIB, START_US);
    rig_decide(&rig);
    rig_look(&rig, 602 * MIB, 8 * MIB);
    rig.servers[DONOR].swap_out_bytes = swapped_out;
    rig_decide(&rig);
    for (int i = 0; i < 8; i++) {
        rig_look(&rig, 187 * MIB, 450 * MIB);
        rig.servers[DONOR].swap_in_bytes += 512 * KIB;
        rig.servers[DONOR].major_faults += 128;
        rig_decide(&rig);
    }
    return rig;
}

static void rig_clear(Rig *rig)
{
    decision_free(rig->decision);
}

typedef struct {
    const char *name;
    uint64_t swapped_out, used, unused;
    bool waits, swap_known;
    Move move;
    uint64_t least, most; /* what is taken, in MiB */
} FaultingCase;

/* Headroom is 96 MiB and a tenth of the 187 in use: 450 unused, less 36 still in swap, less 115 leave 299 to give, half at once. */
static const FaultingCase cases[] = {
    {"as measured", 40 * MIB, 187 * MIB, 450 * MIB, true, true, MOVE_RECLAIM_URGENT, 140, 150},
    {"nothing in swap", 0, 187 * MIB, 450 * MIB, true, true, MOVE_RECLAIM_URGENT, 160, 168},
    {"nobody waits", 40 * MIB, 187 * MIB, 450 * MIB, false, true, MOVE_NONE, 0, 0},
    {"counters unknown", 40 * MIB, 187 * MIB, 450 * MIB, true, false, MOVE_NONE, 0, 0},
    {"unused unknown", 40 * MIB, 187 * MIB, UNKNOWN, true, true, MOVE_NONE, 0, 0},
    {"little unused, the rest cache", 40 * MIB, 187 * MIB, 150 * MIB, true, true, MOVE_NONE, 0, 0},
    {"more in swap than unused", 451 * MIB, 187 * MIB, 450 * MIB, true, true, MOVE_NONE, 0, 0},
    {"no headroom beyond what is in swap", 350 * MIB, 187 * MIB, 450 * MIB, true, true, MOVE_NONE, 0, 0},
    {"growing", 0, 232 * MIB, 405 * MIB, true, true, MOVE_NONE, 0, 0},
    {"growing slowly", 0, 200 * MIB, 437 * MIB, true, true, MOVE_RECLAIM_URGENT, 100, 168},
};

static void test_gives(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const FaultingCase *one = &cases[i];
        g_test_message("%s", one->name);
        Rig rig = rig_new(one->swapped_out, one->waits);
        ServerFacts *donor = &rig.servers[DONOR];
        rig_look(&rig, one->used, one->unused);
        donor->major_faults += 128;
        donor->swap_in_bytes = one->swap_known ? donor->swap_in_bytes + 512 * KIB : UNKNOWN;
        const PlanRow *row = &rig_decide(&rig)[DONOR];
        g_assert_true(rig.decision->demands[DONOR].faulting);
        g_assert_cmpstr(move_name(row->move), ==, move_name(one->move));
        g_assert_cmpuint((donor->target_bytes - row->target_bytes) / MIB, >=, one->least);
        g_assert_cmpuint((donor->target_bytes - row->target_bytes) / MIB, <=, one->most);
        if (row->move == MOVE_NONE && one->waits)
            g_assert_cmpstr(wait_name(row->wait), ==, wait_name(WAIT_FAULTING));
        rig_clear(&rig);
    }
}

/* Step by step while it goes on faulting: each sample's half, never into what swap may bring back and the headroom. */
static void test_steps(void)
{
    Rig rig = rig_new(40 * MIB, true);
    ServerFacts *donor = &rig.servers[DONOR];
    uint64_t unused = 450 * MIB;
    rig.servers[WAITING].available_bytes = 0;
    for (int i = 0; i < 12; i++) {
        const PlanRow *rows = rig_decide(&rig);
        g_assert_true(rig.decision->demands[DONOR].faulting);
        g_assert_cmpint(rows[DONOR].move, !=, MOVE_WITHDRAW);
        uint64_t taken = donor->target_bytes - rows[DONOR].target_bytes;
        g_assert_cmpuint(taken, <=, (unused - 115 * MIB) / 2);
        for (size_t k = 0; k < SERVERS; k++)
            if (rows[k].move != MOVE_NONE) {
                plan_carried_out(&rig.tracks[k].move, &rig.servers[k], &rows[k], &rig.params, rig.now_us);
                rig.servers[k].target_bytes = rig.servers[k].balloon_bytes = rows[k].target_bytes;
            }
        unused -= taken + 512 * KIB;
        uint64_t balloon = donor->balloon_bytes;
        donor->balloon_bytes = balloon + taken; /* the sample's is the larger of two */
        rig.now_us += SECOND_US;
        rig_sample(donor, balloon, 187 * MIB, rig.now_us);
        donor->unused_bytes = unused;
        donor->swap_in_bytes += 512 * KIB;
        donor->major_faults += 128;
        ServerFacts *waiting = &rig.servers[WAITING];
        rig_sample(waiting, waiting->balloon_bytes, waiting->balloon_bytes - MIB, rig.now_us);
    }
    g_assert_cmpuint(unused, >=, 130 * MIB);
    g_assert_cmpuint(unused, <=, 200 * MIB);
    g_assert_cmpuint(rig.servers[WAITING].balloon_bytes, >, 500 * MIB);
    rig_clear(&rig);
}

typedef struct {
    PolicyParams params;
    DemandState state;
    ServerFacts facts;
    Demand demand;
    int64_t now_us;
} One;

static void one_next(One *one, uint64_t unused, uint64_t in, uint64_t out)
{
    one->now_us += SECOND_US;
    rig_sample(&one->facts, 4 * GIB, GIB, one->now_us);
    one->facts.unused_bytes = unused;
    one->facts.swap_in_bytes = in;
    one->facts.swap_out_bytes = out;
    one->facts.major_faults += 1000;
    one->demand = demand_update(&one->state, &one->facts, &one->params, one->now_us);
}

/* What swap may bring back: everything ever written, until it is read where there is room. */
static void test_swapped(void)
{
    static const struct {
        const char *name;
        uint64_t unused, in, out, swapped;
    } steps[] = {
        {"all before the first sample", 2 * GIB, 200 * MIB, 300 * MIB, 300 * MIB},
        {"read with room", 2 * GIB, 250 * MIB, 300 * MIB, 250 * MIB},
        {"read, and no room at its end", 20 * MIB, 300 * MIB, 300 * MIB, 250 * MIB},
        {"read, and no room at its beginning", 2 * GIB, 350 * MIB, 300 * MIB, 250 * MIB},
        {"written", 2 * GIB, 350 * MIB, 400 * MIB, 350 * MIB},
        {"both", 2 * GIB, 360 * MIB, 420 * MIB, 360 * MIB},
        {"read more than was written", 2 * GIB, GIB, 420 * MIB, 0},
        {"a counter went back", 2 * GIB, 0, 100 * MIB, 100 * MIB},
        {"unknown", 2 * GIB, UNKNOWN, 100 * MIB, UNKNOWN},
        {"known again", 2 * GIB, 50 * MIB, 120 * MIB, 120 * MIB},
        {"room unknown", UNKNOWN, 90 * MIB, 120 * MIB, 120 * MIB},
    };
    One one = {.params = policy_params_default(), .now_us = START_US};
    one.facts = rig_server(8 * GIB, 4 * GIB, GIB, START_US);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_test_message("%s", steps[i].name);
        one_next(&one, steps[i].unused, steps[i].in, steps[i].out);
        g_assert_cmpuint(one.state.swapped_bytes, ==, steps[i].swapped);
    }
}

/* A guest that writes to swap has nothing unused, whatever it says; and what it says counts only while it faults. */
static void test_floor(void)
{
    One one = {.params = policy_params_default(), .now_us = START_US};
    one.facts = rig_server(8 * GIB, 4 * GIB, GIB, START_US);
    for (int i = 0; i < 8; i++)
        one_next(&one, 2 * GIB, (uint64_t)i * MIB, 100 * MIB);
    uint64_t spare = 2 * GIB - (100 - 7) * MIB - one.demand.headroom_bytes;
    g_assert_cmpuint(one.demand.faulting_floor_bytes, ==, 4 * GIB - spare);
    g_assert_cmpuint(one.demand.comfort_bytes, ==, 4 * GIB);
    one_next(&one, 2 * GIB, 7 * MIB, 101 * MIB);
    g_assert_cmpuint(one.demand.faulting_floor_bytes, ==, UINT64_MAX);
    one_next(&one, 2 * GIB, 7 * MIB, 101 * MIB);
    g_assert_cmpuint(one.demand.faulting_floor_bytes, ==, UINT64_MAX);
    one_next(&one, 2 * GIB, 7 * MIB, 101 * MIB);
    g_assert_cmpuint(one.demand.faulting_floor_bytes, <, 4 * GIB);
    one.now_us += 6 * SECOND_US;
    one.demand = demand_update(&one.state, &one.facts, &one.params, one.now_us);
    g_assert_cmpuint(one.demand.faulting_floor_bytes, ==, 0);
    g_assert_cmpuint(one.demand.comfort_bytes, <, 4 * GIB);
}

/* What is taken while it faults lay unused: it is not taken for cache in use. */
static void test_teaches_nothing(void)
{
    One one = {.params = policy_params_default(), .now_us = START_US};
    one.facts = rig_server(8 * GIB, 4 * GIB, GIB, START_US);
    for (int i = 0; i < 3; i++)
        one_next(&one, 2 * GIB, 0, 0);
    for (int i = 0; i < 3; i++) {
        one.now_us += SECOND_US;
        rig_sample(&one.facts, 3 * GIB, GIB, one.now_us);
        one.facts.major_faults += 1000;
        one.demand = demand_update(&one.state, &one.facts, &one.params, one.now_us);
        g_assert_cmpuint(one.demand.working_set_bytes, ==, GIB);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/faulting/gives", test_gives);
    g_test_add_func("/policy/faulting/steps", test_steps);
    g_test_add_func("/policy/faulting/swapped", test_swapped);
    g_test_add_func("/policy/faulting/floor", test_floor);
    g_test_add_func("/policy/faulting/teaches-nothing", test_teaches_nothing);
    return g_test_run();
}
