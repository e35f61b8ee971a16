/*
 * Bursts: the residency of each QEMU between the beats, from the host alone. With free page reporting it follows the
 * guest's use up at once, long before the next statistics: a guest that begins to touch memory is granted free bytes of
 * the pool in the same moment, asked what it uses, and looked at without waiting for the beat.
 */
#include "backend/hostinfo.h"
#include "engine/ballooning.h"
#include "engine/engine_private.h"
#include <unistd.h>

/* From a look to the next: a burst's first grant is to be on its way some 60 ms after its first page, and each look wakes a
 * processor of a host that may have nothing else to do. */
#define TICK_MS 50
/* While one grows: as often as its grants can follow each other. */
#define FAST_TICK_MS 20
/* Growth too slow for a burst: more than a running service touches in passing. */
#define STEP_BYTES (16 * MIB)
/* A guest that has grown keeps being asked this long after its last step. */
#define BURST_US INT64_C(1000000)
/* A guest is awake that has used half of a processor, and so much of one, since it last stood still. One that touches memory
 * does so in 25 to 40 ms; one that idles was not seen to use more than 20 ms in 40 where it is emulated. */
#define AWAKE_LEAST_US UINT64_C(24000)
#define AWAKE_PART     2
/* While one runs and may be about to wake. */
#define STIR_TICK_MS 10
/* Residency is told from noise over no less than this. */
#define LOOK_LEAST_US INT64_C(15000)
/* An answer that has not come by then comes late: the usual beats will find it. */
#define AWAITED_US INT64_C(150000)
/* From one decision to the next when those in between burst. */
#define EARLY_US INT64_C(60000)
/* Looks at processors where the kernel has no clock for them, of 5 us each, in one tick. */
#define AWAKE_LOOKS 64
/* A QEMU that has run less than this since its residency was read has not touched more than 10 MiB, at 10 GiB/s. */
#define STILL_US UINT64_C(1000)

/* @used_us: of its processors; UNKNOWN where nobody knows. */
static uint64_t read_resident(Tracked *tracked, uint64_t used_us)
{
    uint64_t resident = tracked->track.burst.looked_bytes;
    /* Only the kernel's clock is that fine. */
    if (tracked->has_clock && used_us != UNKNOWN && tracked->read_at_us != UNKNOWN && resident != UNKNOWN &&
        tracked->track.burst.boot_count == tracked->boot_count && used_us - tracked->read_at_us < STILL_US)
        return resident;
    resident = UNKNOWN;
    if (tracked->statm_fd >= 0 && !process_read_statm(tracked->statm_fd, &resident)) {
        close(tracked->statm_fd);
        tracked->statm_fd = -1;
    }
    tracked->read_at_us = used_us;
    return resident;
}

static gboolean crept_up(Tracked *tracked, uint64_t resident)
{
    if (resident == UNKNOWN)
        return FALSE;
    gboolean grew = tracked->burst_low_bytes != 0 && resident >= tracked->burst_low_bytes + STEP_BYTES;
    if (grew || tracked->burst_low_bytes == 0 || resident < tracked->burst_low_bytes)
        tracked->burst_low_bytes = resident;
    return grew;
}

/* What its processors have run altogether; UNKNOWN when nobody can tell. */
static uint64_t read_processor(const Tracked *tracked)
{
    uint64_t used_us;
    gboolean known = tracked->has_clock ? process_read_clock(tracked->clock, &used_us)
                                        : process_read_processor(tracked->stat_fd, &used_us);
    return known ? used_us : UNKNOWN;
}

/* Whether its processors have run of late; where nobody knows, they may have. TRUE while it runs and idled before, and it
 * takes another look to tell. */
static gboolean look_awake(Tracked *tracked, uint64_t used_us, int64_t now_us)
{
    if (used_us == UNKNOWN) {
        tracked->processor_at_us = 0;
        tracked->facts.idle = false;
        return FALSE;
    }
    uint64_t ran_us = u64_sub_sat(used_us, tracked->processor_us);
    bool first = tracked->processor_at_us == 0;
    bool runs = ran_us >= (uint64_t)(now_us - tracked->processor_at_us) / AWAKE_PART;
    bool awake = first || (runs && ran_us >= AWAKE_LEAST_US);
    if (awake)
        tracked_woke(tracked, now_us);
    if (awake || !runs) {
        tracked->processor_us = used_us;
        tracked->processor_at_us = now_us;
    }
    tracked->facts.idle = now_us >= tracked->awake_until_us;
    return tracked->facts.idle && runs && !awake;
}

static gboolean look_grows(Engine *engine, Tracked *tracked, uint64_t used_us, int64_t now_us)
{
    BurstState *burst = &tracked->track.burst;
    if (burst->boot_count == tracked->boot_count && now_us - burst->looked_us < LOOK_LEAST_US)
        return FALSE;
    uint64_t resident = read_resident(tracked, used_us);
    gboolean bursting = burst_look(burst, tracked->boot_count, resident, &engine->params, now_us);
    gboolean grew = crept_up(tracked, resident) || (bursting && burst->grew_us == now_us);
    if (grew)
        tracked->burst_until_us = now_us + BURST_US;
    return grew;
}

/* What the looks of one tick found. */
typedef struct {
    gboolean grows, bursts, stirs;
} Found;

/* @its_turn: to have its processors looked at also where that is costly. */
static void look(Engine *engine, Tracked *tracked, gboolean its_turn, int64_t now_us, Found *found)
{
    if (!tracked_counts(tracked) || tracked->latest->fixed != FIXED_NO)
        return;
    if (tracked->latest->pid != tracked->statm_pid)
        tracked_follow(tracked, engine->proc, tracked->latest->pid);
    gboolean also_awake = tracked->has_clock || its_turn;
    uint64_t used_us = also_awake ? read_processor(tracked) : UNKNOWN;
    found->grows |= look_grows(engine, tracked, used_us, now_us);
    found->bursts |= tracked->track.burst.bursting;
    if (also_awake) {
        found->stirs |= look_awake(tracked, used_us, now_us);
        found->grows |= tracked_see_processor(tracked, used_us, now_us);
    }
    found->grows |= engine_can_ask(engine, tracked) && tracked_is_due(tracked, &engine->params, now_us);
}

/* Facts as they are now, of all that hold anything: a beat under way may have brought servers nobody has decided on yet. */
static void gather(Engine *engine, int64_t now_us)
{
    Looking *looking = &engine->looking;
    g_ptr_array_set_size(looking->servers, 0);
    g_array_set_size(looking->facts, 0);
    g_array_set_size(looking->demands, 0);
    g_array_set_size(looking->tracks, 0);
    g_array_set_size(looking->rows, 0);
    for (guint i = 0; i < engine->servers->len; i++) {
        Tracked *tracked = engine->servers->pdata[i];
        if (!tracked_counts(tracked))
            continue;
        /* What it was pinned to in the newest decision stays its minimum until the next. */
        uint64_t pinned = tracked->decided && ballooning_pins(tracked) ? tracked->facts.minimum_bytes : 0;
        tracked_facts(tracked, &engine->defaults, engine_backend_of(engine, tracked->backend)->connected,
                      now_us);
        tracked->facts.minimum_bytes = u64_max(tracked->facts.minimum_bytes, pinned);
        Demand demand = tracked->decided ? tracked->demand : (Demand){.known = false};
        g_ptr_array_add(looking->servers, tracked);
        g_array_append_val(looking->facts, tracked->facts);
        g_array_append_val(looking->demands, demand);
        g_array_append_val(looking->tracks, tracked->track);
        g_array_append_val(looking->rows, tracked->row);
    }
}

static void grant(Engine *engine, int64_t now_us)
{
    Looking *looking = &engine->looking;
    gather(engine, now_us);
    HostFacts host = {.pool_bytes = engine_pool_to_share(engine, looking->servers->len),
                      .slack_bytes = engine->host.slack_wanted_bytes};
    size_t n_moving = decision_bursts(
        &host, (ServerFacts *)(void *)looking->facts->data, (Demand *)(void *)looking->demands->data,
        (ServerTrack *)(void *)looking->tracks->data, (PlanRow *)(void *)looking->rows->data,
        engine->host.totals.someone_waits, looking->servers->len, &engine->params, now_us, looking->decision);
    for (guint i = 0; i < looking->servers->len && n_moving > 0; i++)
        if (looking->decision->rows[i].move != MOVE_NONE)
            engine_grant_burst(engine, looking->servers->pdata[i], &looking->decision->rows[i], now_us);
}

static gboolean on_tick(gpointer user_data);

/* Answers of guests that burst take longer the more do: who has more than it uses, as far as is known, is asked to give without
 * waiting for them. */
static void decide_early(Engine *engine, int64_t now_us)
{
    if (now_us - engine->last_decided_us >= EARLY_US)
        engine_decide_between(engine);
}

/* The next look comes sooner while somebody grows, or may. */
static gboolean pace(Engine *engine, const Found *found)
{
    guint tick_ms = found->bursts ? engine->fast_tick_ms : engine->tick_ms;
    if (found->stirs)
        tick_ms = MIN(tick_ms, STIR_TICK_MS);
    if (tick_ms == engine->ticking_ms)
        return G_SOURCE_CONTINUE;
    engine->ticking_ms = tick_ms;
    engine->burst_source = g_timeout_add(tick_ms, on_tick, engine);
    return G_SOURCE_REMOVE;
}

static gboolean on_tick(gpointer user_data)
{
    Engine *engine = user_data;
    int64_t now_us = g_get_monotonic_time();
    Found found = {FALSE, FALSE, FALSE};
    const guint n = engine->counted->len, first = engine->looking.next_awake;
    for (guint i = 0; i < n; i++) {
        /* A few in turn where they are many. */
        gboolean its_turn = (i + n - first % MAX(n, 1)) % n < AWAKE_LOOKS;
        look(engine, engine->counted->pdata[i], its_turn, now_us, &found);
    }
    engine->looking.next_awake = n > AWAKE_LOOKS ? (first + AWAKE_LOOKS) % n : 0;
    if (found.bursts && engine->host.mode == MODE_MANAGE && !engine->host.totals.infeasible) {
        grant(engine, now_us);
        decide_early(engine, now_us);
    }
    if (found.grows) {
        engine_ask_fresh(engine);
        engine_hurry(engine);
    }
    return pace(engine, &found);
}

void engine_watch_bursts(Engine *engine)
{
    engine->ticking_ms = engine->tick_ms;
    engine->burst_source = g_timeout_add(engine->tick_ms, on_tick, engine);
}

void engine_looking_init(Engine *engine)
{
    if (engine->tick_ms == 0)
        engine->tick_ms = TICK_MS;
    engine->fast_tick_ms = MIN(FAST_TICK_MS, engine->tick_ms);
    engine->looking = (Looking){
        .servers = g_ptr_array_new(),
        .facts = g_array_new(FALSE, TRUE, sizeof(ServerFacts)),
        .demands = g_array_new(FALSE, TRUE, sizeof(Demand)),
        .tracks = g_array_new(FALSE, TRUE, sizeof(ServerTrack)),
        .rows = g_array_new(FALSE, TRUE, sizeof(PlanRow)),
        .decision = decision_new(),
    };
}

void engine_looking_clear(Engine *engine)
{
    g_ptr_array_unref(engine->looking.servers);
    g_array_unref(engine->looking.facts);
    g_array_unref(engine->looking.demands);
    g_array_unref(engine->looking.tracks);
    g_array_unref(engine->looking.rows);
    decision_free(engine->looking.decision);
}

gboolean engine_awaits(const Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        if ((tracked_stirs(tracked, now_us) || now_us < tracked->burst_until_us) &&
            !tracked_has_room(tracked) && tracked->asked_fresh_us > tracked->sample_us &&
            now_us - tracked->asked_fresh_us < AWAITED_US)
            return TRUE;
    }
    return FALSE;
}

gboolean engine_is_scarce(const Engine *engine)
{
    return engine->host.totals.ledger.free_bytes < engine->host.slack_wanted_bytes / 2;
}

gboolean engine_wonders(const Engine *engine, int64_t now_us)
{
    const gboolean scarce = engine_is_scarce(engine);
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        if (tracked->turned_bytes != 0)
            return TRUE;
        if (!tracked->decided || tracked->facts.fixed != FIXED_NO || hold_pins(tracked->row.hold))
            continue;
        if (tracked_stirs(tracked, now_us) ||
            (scarce && tracked_has_spare(tracked, &engine->params, now_us)) ||
            demand_sample_age_us(&tracked->demand, &tracked->facts, &engine->params) != INT64_MAX)
            return TRUE;
    }
    return FALSE;
}

gboolean engine_tell_still(Engine *engine, int64_t now_us)
{
    guint n_moving = 0, n_still = 0;
    for (guint i = 0; i < engine->counted->len; i++) {
        const Tracked *tracked = engine->counted->pdata[i];
        gboolean still = tracked_is_still(tracked, &engine->params, now_us);
        if (tracked->facts.fixed == FIXED_NO && tracked->backend->ops->still)
            tracked->backend->ops->still(tracked->backend, tracked->latest->id, still);
        if (still)
            n_still++;
        else if (tracked->facts.fixed == FIXED_NO || tracked->latest->unlimited)
            n_moving++;
    }
    return n_still > 0 && n_moving == 0;
}

gboolean engine_bursting(const Engine *engine, int64_t now_us)
{
    for (guint i = 0; i < engine->counted->len; i++)
        if (now_us < ((const Tracked *)engine->counted->pdata[i])->burst_until_us)
            return TRUE;
    return FALSE;
}
