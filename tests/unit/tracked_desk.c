/* A server of 4 GiB with 2 GiB of it, found running. */
#include "tracked_desk.h"

void desk_begin(Desk *desk, gconstpointer data)
{
    *desk = (Desk){.times = tracked_times_default(), .now_us = 1000 * S, .wall_us = 1700000000 * S};
    desk->defaults.weight = 100;
    desk->defaults.minimum = desk->defaults.overhead = (SizeSetting){.is_auto = TRUE};
    desk->facts = (BackendServer){
        .power = POWER_RUNNING,
        .responsive = TRUE,
        .maximum_bytes = MAX_BYTES,
        .balloon_bytes = 2 * GIB,
        .boot_count = 1,
        .guest_update_s = 1700000000,
        .available_bytes = GIB,
        .free_bytes = GIB / 2,
        .swap_in_bytes = UNKNOWN,
        .swap_out_bytes = UNKNOWN,
        .major_faults = UNKNOWN,
        .resident_bytes = UNKNOWN,
        .overhead_bytes = UNKNOWN,
    };
    desk->tracked = tracked_new(NULL, &desk->times);
}

void desk_end(Desk *desk, gconstpointer data)
{
    tracked_free(desk->tracked);
}

static BackendServer *copy(const BackendServer *facts)
{
    BackendServer *server = g_memdup2(facts, sizeof *facts);
    server->id = g_strdup("web-1-id");
    server->name = g_strdup("web-1");
    return server;
}

/* Lets @us pass, then looks. */
const ServerFacts *look(Desk *desk, int64_t us)
{
    desk->now_us += us;
    desk->wall_us += us;
    desk->returned = tracked_take(desk->tracked, copy(&desk->facts), desk->now_us, desk->wall_us / S);
    tracked_facts(desk->tracked, &desk->defaults, TRUE, desk->now_us);
    return &desk->tracked->facts;
}

/* The guest speaks now, and says something new. */
void speak(Desk *desk)
{
    desk->facts.guest_update_s = (uint64_t)(desk->wall_us / S);
    desk->facts.available_bytes -= MIB;
}

/* A second goes by with statistics in it. */
const ServerFacts *live(Desk *desk)
{
    desk->now_us += S;
    desk->wall_us += S;
    speak(desk);
    return look(desk, 0);
}

void adopt_all(Desk *desk)
{
    look(desk, 0);
    for (int i = 0; i < 3; i++)
        live(desk);
    g_assert_false(desk->tracked->adopting);
}
