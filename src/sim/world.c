/* The world's clock, its messages and its faults. */
#include "sim/world.h"
#include <time.h>
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* Measured: a target starts to move in 3-10 ms; the answer to a request comes within as much. */
#define REQUEST_US 5000
#define REPLY_US   5000
/* src/engine/beat.c: a look that something asks for waits this long for more of it. */
#define HURRY_US 20000
/* The host's own swapping slows everybody: a tenth of all memory out means this many times slower. */
#define HOST_SWAP_COST 50.0

/* A request under way to one server. */
typedef struct {
    uint64_t bytes;    /* 0 = none */
    int64_t effect_us; /* when the device takes it; INT64_MAX = it has */
    int64_t reply_us;  /* when the manager hears */
    Reply reply;
} Request;

struct World {
    const Scenario *scenario;
    const ManagerOps *ops;
    Manager *manager; /* NULL while the daemon is down */
    guint n;
    Guest *guests;
    Seen *seen;
    Wish *wishes;
    Request *requests;
    Metrics *metrics;
    uint64_t *committed;
    uint64_t *promises; /* the manager's, over its death */
    uint64_t committed_sum, resident_sum;
    uint64_t *resident;
    Random faults;
    int64_t now_us, next_beat_us, observed_us, next_watch_us, next_event_us, back_us;
    guint next_restart;
    guint64 beats;
    double host_factor;
};

World *world_new(const Scenario *scenario, const ManagerOps *ops)
{
    World *world = g_new0(World, 1);
    world->scenario = scenario;
    world->ops = ops;
    world->n = scenario->guests->len;
    world->guests = g_new0(Guest, world->n);
    world->seen = g_new0(Seen, world->n);
    world->wishes = g_new0(Wish, world->n);
    world->requests = g_new0(Request, world->n);
    world->committed = g_new0(uint64_t, world->n);
    world->promises = g_new0(uint64_t, world->n);
    world->resident = g_new0(uint64_t, world->n);
    world->metrics = metrics_new(world->n, ops ? scenario->pool_bytes : UINT64_MAX, scenario->warmup_us);
    world->faults.state = scenario->seed ^ UINT64_C(0x5eed);
    world->host_factor = 1;
    world->next_event_us = INT64_MAX;
    world->back_us = INT64_MAX;
    g_autofree uint64_t *starts = g_new0(uint64_t, world->n);
    scenario_starts(scenario, starts);
    Random seeds = {.state = scenario->seed};
    for (guint i = 0; i < world->n; i++) {
        const GuestSpec *spec = scenario->guests->pdata[i];
        guest_init(&world->guests[i], spec, ops ? starts[i] : spec->maximum_bytes, random_next(&seeds));
        world->committed[i] = guest_committed(&world->guests[i]);
        world->resident[i] = world->guests[i].resident_bytes + spec->overhead_bytes;
        world->committed_sum += world->committed[i];
        world->resident_sum += world->resident[i];
        world->seen[i].spec = spec;
    }
    if (ops)
        world->manager = ops->make(scenario, world->promises);
    return world;
}

void world_free(World *world)
{
    if (!world)
        return;
    if (world->manager)
        world->ops->free(world->manager);
    metrics_free(world->metrics);
    g_free(world->guests);
    g_free(world->seen);
    g_free(world->wishes);
    g_free(world->requests);
    g_free(world->committed);
    g_free(world->promises);
    g_free(world->resident);
    g_free(world);
}

/* Its caller has been told of a time-out or is dead, and it may have its effect yet. */
static bool is_overdue(const Request *request)
{
    return request->bytes != 0 && request->reply_us == INT64_MAX;
}

static void look(World *world, guint i)
{
    Guest *guest = &world->guests[i];
    Seen *seen = &world->seen[i];
    /* As in the daemon: while a call is overdue its server is asked nothing, and shows as one that does not answer. */
    seen->responsive = guest_responds(guest, world->now_us) && !is_overdue(&world->requests[i]);
    if (!seen->responsive)
        return;
    guest_hear(guest, world->now_us);
    seen->balloon_bytes = guest->actual_bytes;
    seen->boot_count = guest->boot_count;
    seen->resident_bytes = guest->resident_bytes;
    seen->idle = guest_idles(guest);
    bool heard = guest->said_us != 0;
    seen->update_s = heard ? (uint64_t)(guest->said.taken_us / SECOND_US) + 1 : 0;
    seen->available_bytes = heard ? guest->said.available_bytes : UNKNOWN;
    seen->free_bytes = heard ? guest->said.free_bytes : UNKNOWN;
    seen->swap_in_bytes = heard ? guest->said.swap_in_bytes : UNKNOWN;
    seen->swap_out_bytes = heard ? guest->said.swap_out_bytes : UNKNOWN;
    seen->major_faults = heard ? guest->said.major_faults : UNKNOWN;
}

static void send_request(World *world, guint i, uint64_t bytes)
{
    Request *request = &world->requests[i];
    const Scenario *scenario = world->scenario;
    *request = (Request){
        .bytes = u64_clamp(bytes, 1, world->guests[i].spec->maximum_bytes),
        .effect_us = world->now_us + REQUEST_US,
        .reply_us = world->now_us + REQUEST_US + REPLY_US,
        .reply = REPLY_DONE,
    };
    if (!guest_responds(&world->guests[i], world->now_us))
        request->effect_us = INT64_MAX, request->reply_us = INT64_MAX, request->reply = REPLY_TIMEOUT;
    if (random_chance(&world->faults, scenario->lost_reply_permille)) {
        /* Half of the lost ones were lost on the way there. */
        if (random_chance(&world->faults, 500))
            request->effect_us = INT64_MAX;
        request->reply_us = INT64_MAX;
    } else if (random_chance(&world->faults, scenario->late_reply_permille)) {
        request->effect_us = world->now_us + scenario->late_reply_us;
        request->reply_us = request->effect_us + REPLY_US;
    }
    int64_t deadline_us = world->now_us + scenario->deadline_us;
    if (request->reply_us > deadline_us) {
        request->reply_us = deadline_us;
        request->reply = REPLY_TIMEOUT;
    }
}

static void take_wishes(World *world)
{
    for (guint i = 0; i < world->n; i++) {
        const Wish *wish = &world->wishes[i];
        if (wish->ask)
            guest_ask(&world->guests[i], world->now_us);
        if (wish->target_bytes != 0 && world->requests[i].bytes == 0)
            send_request(world, i, wish->target_bytes);
        else if (wish->target_bytes != 0 && world->ops->replied)
            world->ops->replied(world->manager, i, REPLY_TIMEOUT, world->now_us);
        int64_t next_us = MIN(world->requests[i].effect_us, world->requests[i].reply_us);
        if (world->requests[i].bytes != 0)
            world->next_event_us = MIN(world->next_event_us, next_us);
    }
}

static void beat(World *world)
{
    for (guint i = 0; i < world->n; i++) {
        look(world, i);
        world->wishes[i] = (Wish){0};
    }
    BeatEnd end = world->ops->beat(world->manager, world->seen, world->n, world->now_us, world->wishes);
    world->next_beat_us = world->now_us + MAX(end.pause_us, world->scenario->tick_us);
    world->observed_us = world->now_us + world->scenario->observe_us * world->n;
    world->beats++;
    take_wishes(world);
}

static void watch(World *world)
{
    for (guint i = 0; i < world->n; i++) {
        world->wishes[i] = (Wish){0};
        world->seen[i].resident_bytes = world->guests[i].resident_bytes;
        world->seen[i].idle = guest_idles(&world->guests[i]);
    }
    WatchEnd end = world->ops->watch(world->manager, world->seen, world->n, world->now_us, world->wishes);
    world->next_watch_us = world->now_us + MAX(end.pause_us, world->scenario->tick_us);
    if (end.hurry)
        world->next_beat_us = MIN(world->next_beat_us, MAX(world->now_us, world->observed_us) + HURRY_US);
    take_wishes(world);
}

static void deliver(World *world, guint i)
{
    Request *request = &world->requests[i];
    if (request->bytes == 0)
        return;
    Guest *guest = &world->guests[i];
    if (request->effect_us <= world->now_us) {
        metrics_target(world->metrics, i, guest->target_bytes, request->bytes);
        guest_set_target(guest, request->bytes);
        request->effect_us = INT64_MAX;
    }
    if (request->reply_us <= world->now_us) {
        if (world->manager && world->ops->replied)
            world->ops->replied(world->manager, i, request->reply, world->now_us);
        request->reply_us = INT64_MAX;
        if (request->effect_us == INT64_MAX) {
            request->bytes = 0;
            return;
        }
    }
    world->next_event_us = MIN(world->next_event_us, MIN(request->effect_us, request->reply_us));
    if (request->effect_us == INT64_MAX && request->reply_us == INT64_MAX)
        request->bytes = 0;
}

static void deliver_all(World *world)
{
    if (world->now_us < world->next_event_us)
        return;
    world->next_event_us = INT64_MAX;
    for (guint i = 0; i < world->n; i++)
        deliver(world, i);
}

/* The daemon dies: nobody hears the answers under way; a new one begins with what it sees and what the dead one has written down. */
static void kill_daemon(World *world)
{
    GArray *restarts = world->scenario->restarts;
    if (world->next_restart < restarts->len &&
        world->now_us >= g_array_index(restarts, int64_t, world->next_restart)) {
        world->next_restart++;
        if (world->manager)
            world->ops->free(world->manager);
        world->manager = NULL;
        for (guint i = 0; i < world->n; i++) {
            world->requests[i].reply_us = INT64_MAX;
            if (world->requests[i].effect_us == INT64_MAX)
                world->requests[i].bytes = 0;
        }
        world->back_us = world->now_us + world->scenario->restart_us;
    }
    if (!world->manager && world->now_us >= world->back_us) {
        world->manager = world->ops->make(world->scenario, world->promises);
        world->back_us = INT64_MAX;
        world->next_beat_us = world->now_us;
    }
}

/* All guests by one tick; returns what reboots newly committed. */
static uint64_t step_guests(World *world, double seconds)
{
    uint64_t outside = 0;
    for (guint i = 0; i < world->n; i++) {
        Guest *guest = &world->guests[i];
        uint64_t boots = guest->boot_count;
        bool quiet = guest->settled && world->now_us < guest->wake_us;
        guest_step(guest, world->now_us);
        metrics_server(world->metrics, i, guest, seconds, world->host_factor);
        if (quiet)
            continue;
        uint64_t committed = guest_committed(guest);
        if (guest->boot_count != boots) {
            outside += u64_sub_sat(committed, world->committed[i]);
            world->next_beat_us =
                MIN(world->next_beat_us, world->now_us); /* the hypervisor tells of a reset */
        }
        world->committed_sum += committed - world->committed[i];
        world->committed[i] = committed;
        uint64_t resident = guest->resident_bytes + guest->spec->overhead_bytes;
        world->resident_sum += resident - world->resident[i];
        world->resident[i] = resident;
    }
    return outside;
}

static void slow_host(World *world)
{
    uint64_t beyond = u64_sub_sat(world->resident_sum, world->metrics->pool_bytes);
    world->host_factor =
        beyond > 0 ? 1 / (1 + HOST_SWAP_COST * (double)beyond / (double)world->resident_sum) : 1;
}

static void tick(World *world)
{
    double seconds = (double)world->scenario->tick_us / 1e6;
    world->now_us += world->scenario->tick_us;
    deliver_all(world);
    uint64_t outside = step_guests(world, seconds);
    slow_host(world);
    /* A target that rose commits at once, whether or not its guest has moved. */
    metrics_host(world->metrics, world->guests, world->committed_sum, outside, world->now_us, seconds);
    if (!world->ops)
        return;
    kill_daemon(world);
    if (!world->manager)
        return;
    if (world->now_us >= world->next_beat_us)
        beat(world);
    else if (world->scenario->watch_us > 0 && world->ops->watch && world->now_us >= world->next_watch_us)
        watch(world);
}

void world_advance(World *world, int64_t until_us)
{
    while (world->now_us < until_us)
        tick(world);
}

Guest *world_guest(World *world, const char *name)
{
    for (guint i = 0; i < world->n; i++)
        if (g_str_equal(world->guests[i].spec->name, name))
            return &world->guests[i];
    return NULL;
}

Manager *world_manager(World *world)
{
    return world->manager;
}

Metrics *world_metrics(World *world)
{
    return world->metrics;
}

int64_t world_now(const World *world)
{
    return world->now_us;
}

double world_oracle(const Scenario *scenario)
{
    g_autoptr(World) world = world_new(scenario, NULL);
    world_advance(world, scenario->duration_us);
    return metrics_work(world->metrics);
}

static void keep_row(World *world, History *history)
{
    for (guint i = 0; i < world->n; i++) {
        const Guest *guest = &world->guests[i];
        uint64_t need = guest_need(guest), held = guest->ram_bytes;
        g_array_append_val(history->held, held);
        g_array_append_val(history->needs, need);
    }
    history->rows++;
}

void run_free(Run *run)
{
    if (!run)
        return;
    metrics_free(run->metrics);
    g_array_unref(run->history.held);
    g_array_unref(run->history.needs);
    g_free(run);
}

/* Of this thread: what else the machine does at the time says nothing about us. */
static double processor_s(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

Run *world_run(const Scenario *scenario, const ManagerOps *ops, double oracle_work_s, guint history_rows)
{
    g_autoptr(World) world = world_new(scenario, ops);
    Run *run = g_new0(Run, 1);
    run->history.n = world->n;
    run->history.held = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    run->history.needs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    double started_s = processor_s();
    if (history_rows > 0) {
        run->history.step_us = MAX(scenario->duration_us / history_rows, scenario->tick_us);
        keep_row(world, &run->history);
    }
    while (world->now_us < scenario->duration_us) {
        int64_t until_us = scenario->duration_us;
        if (history_rows > 0)
            until_us = MIN(until_us, world->now_us + run->history.step_us);
        world_advance(world, until_us);
        if (history_rows > 0)
            keep_row(world, &run->history);
    }
    run->computed_s = processor_s() - started_s;
    run->beats = world->beats;
    run->metrics = g_steal_pointer(&world->metrics);
    run->summary = metrics_finish(run->metrics, oracle_work_s);
    return run;
}
