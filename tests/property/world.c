/* Guests, hypervisor and bystanders, in virtual time. */
#include "world.h"
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
#define MS        INT64_C(1000)

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9E3779B97F4A7C15) + b + UINT64_C(0xD1B54A32D192ED03);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

uint64_t below(uint64_t *state, uint64_t n)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    return n == 0 ? 0 : mix(*state, 1) % n;
}

const char *event_name(EventKind kind)
{
    static const char *const names[EVENT_N] = {
        "use", "speed", "deflate",  "silent", "reboot", "start",   "stop",     "pool",   "slack",  "setmem",
        "oom", "lie",   "settings", "fix",    "hold",   "restart", "requests", "faults", "unknown"};
    return names[kind];
}

/* 64 MiB to 1 TiB, every order of magnitude as likely. */
static uint64_t random_size(uint64_t *rng)
{
    uint64_t size = (64 * MIB) << below(rng, 15);
    return u64_min(size + below(rng, size / 4096) * 4096, TIB);
}

Episode episode_make(uint64_t seed, int steps)
{
    Episode episode = {.seed = seed, .steps = steps};
    uint64_t rng = mix(seed, 7);
    episode.n_guests = (int)(below(&rng, 4) == 0 ? below(&rng, GUESTS_MAX + 1) : below(&rng, 9));
    for (int i = 0; i < episode.n_guests; i++)
        episode.present[i] = true;
    int n_events = (int)below(&rng, EVENTS_MAX + 1);
    for (int i = 0; i < n_events && episode.n_guests > 0; i++)
        episode.events[episode.n_events++] = (Event){
            .step = (int)below(&rng, (uint64_t)steps),
            .kind = below(&rng, 3) == 0 ? EVENT_USE : (EventKind)below(&rng, EVENT_N),
            .guest = (int)below(&rng, (uint64_t)episode.n_guests),
            .value = mix(rng, 11),
        };
    return episode;
}

static void start_guest(Guest *guest, int64_t now_us, uint64_t value)
{
    guest->on = true;
    guest->facts.boot_count++;
    guest->facts.booted = false;
    guest->facts.sample_us = 0;
    guest->real_bytes = guest->in_force_bytes = guest->facts.maximum_bytes;
    guest->facts.target_bytes = guest->facts.balloon_bytes = guest->last_shown_bytes = guest->real_bytes;
    guest->used_bytes = guest->touched_bytes = guest->facts.maximum_bytes / 16;
    guest->goal_bytes = guest->facts.maximum_bytes / (2 + value % 8);
    guest->request = (Request){0};
    guest->hold = HOLD_STARTING;
    guest->driver_us = now_us + (int64_t)(value % 4000) * MS;
    guest->wrong_until_us = 0;
    guest->foreign = false;
    guest->hold_until_us = 0;
}

static void init_guest(Guest *guest, uint64_t seed)
{
    uint64_t rng = seed;
    ServerFacts *facts = &guest->facts;
    *guest = (Guest){.on = below(&rng, 8) != 0};
    facts->maximum_bytes = random_size(&rng);
    facts->minimum_bytes = below(&rng, 5) == 0 ? below(&rng, facts->maximum_bytes + 1)
                                               : facts->maximum_bytes / (2 + below(&rng, 8));
    facts->weight = below(&rng, 3) == 0 ? (uint32_t)(1 + below(&rng, 10000)) : 100;
    facts->fixed = below(&rng, 12) == 0 ? (FixedReason)(1 + below(&rng, FIXED_N - 1)) : FIXED_NO;
    facts->overhead_bytes = below(&rng, 3) == 0 ? 0 : below(&rng, 256) * MIB;
    facts->boot_count = below(&rng, 3);
    facts->booted = true;
    facts->deflates_on_oom = below(&rng, 2) == 0;
    facts->available_bytes = facts->unused_bytes = facts->resident_bytes = UNKNOWN;
    facts->swap_in_bytes = facts->swap_out_bytes = facts->major_faults = 0;
    facts->refaults = facts->stall_us = UNKNOWN;
    guest->real_bytes =
        below(&rng, 2) == 0
            ? facts->maximum_bytes
            : facts->minimum_bytes + below(&rng, facts->maximum_bytes - facts->minimum_bytes + 1);
    guest->real_bytes = u64_max(guest->real_bytes, MIB);
    facts->balloon_bytes = facts->target_bytes = guest->in_force_bytes = guest->real_bytes;
    guest->last_shown_bytes = guest->real_bytes;
    guest->used_bytes = below(&rng, guest->real_bytes / 10 * 9 + 1);
    guest->goal_bytes = guest->used_bytes;
    guest->touched_bytes = guest->used_bytes;
    guest->use_bytes_per_s = (1 + below(&rng, 2048)) * MIB;
    guest->inflate_bytes_per_s = (20 + below(&rng, 1000)) * MIB;
    guest->deflates = true;
    guest->reports_free_pages = below(&rng, 2) == 0;
    facts->works = below(&rng, 2) == 0;
    facts->period_us = (int64_t)below(&rng, 6) * SECOND_US;
}

void world_init(World *world, const Episode *episode)
{
    *world = (World){.episode = episode, .params = policy_params_default(), .now_us = 1000 * SECOND_US};
    world->params.disabled_rules = episode->disabled_rules;
    world->params.ready_permille = (uint32_t)(mix(episode->seed, 5) % 3 * 500);
    world->restarted_us = world->now_us;
    uint64_t rng = mix(episode->seed, 3), sum = 0, most = 0;
    for (int i = 0; i < episode->n_guests; i++) {
        Guest *guest = &world->guests[i];
        init_guest(guest, mix(episode->seed, 1000 + (uint64_t)i));
        guest->on = guest->on && episode->present[i];
        uint64_t held = guest->facts.fixed != FIXED_NO ? guest->facts.maximum_bytes : guest->real_bytes;
        if (guest->on)
            sum += held + guest->facts.overhead_bytes;
        most += guest->facts.maximum_bytes + guest->facts.overhead_bytes;
    }
    uint64_t room = most > sum ? most - sum : 0;
    world->host.pool_bytes = sum + (below(&rng, 3) == 0 ? below(&rng, room + 1) : below(&rng, sum / 10 + 1));
    world->host.slack_bytes = world->host.pool_bytes / 1000 * below(&rng, 100);
    world->decision = decision_new();
    world->looking = decision_new();
}

void world_clear(World *world)
{
    decision_free(world->decision);
    decision_free(world->looking);
}

/* Memory that the guest must have and has not: it takes it back where the device lets it, else it swaps. */
static void run_short(Guest *guest)
{
    if (guest->used_bytes <= guest->real_bytes)
        return;
    if (guest->facts.deflates_on_oom && guest->driver_us == 0 &&
        guest->used_bytes <= guest->facts.maximum_bytes) {
        uint64_t spare =
            u64_min(MIB + guest->real_bytes / 64, guest->facts.maximum_bytes - guest->used_bytes);
        guest->real_bytes = guest->used_bytes + spare;
        guest->oom = true;
        return;
    }
    guest->swapped_out_bytes += guest->used_bytes - guest->real_bytes;
    guest->facts.swap_in_bytes += guest->used_bytes - guest->real_bytes;
    guest->facts.major_faults += (guest->used_bytes - guest->real_bytes) / 4096;
    guest->used_bytes = guest->real_bytes;
}

static void move_use(Guest *guest, double seconds)
{
    uint64_t step = (uint64_t)((double)guest->use_bytes_per_s * seconds);
    uint64_t goal = u64_min(guest->goal_bytes, guest->facts.maximum_bytes);
    if (guest->used_bytes < goal)
        guest->used_bytes += u64_min(step, goal - guest->used_bytes);
    else
        guest->used_bytes -= u64_min(step, guest->used_bytes - goal);
    run_short(guest);
}

static void move_balloon(Guest *guest, double seconds)
{
    if (guest->driver_us != 0 || guest->hold == HOLD_PAUSED)
        return;
    if (guest->real_bytes > guest->in_force_bytes) {
        uint64_t step = (uint64_t)((double)guest->inflate_bytes_per_s * seconds);
        uint64_t bottom = u64_min(guest->real_bytes, u64_max(guest->in_force_bytes, guest->used_bytes));
        guest->real_bytes -= u64_min(step, guest->real_bytes - bottom);
    } else if (guest->deflates) {
        uint64_t step = (uint64_t)(2.0 * (double)GIB * seconds);
        guest->real_bytes += u64_min(step, guest->in_force_bytes - guest->real_bytes);
    }
}

static void take_effect(Guest *guest)
{
    if (!guest->request.pending)
        return;
    guest->request.pending = false;
    guest->in_force_bytes = u64_min(guest->request.target_bytes, guest->facts.maximum_bytes);
    guest->foreign = false;
}

static void answer(World *world, Guest *guest)
{
    Request *request = &guest->request;
    if (request->pending && world->now_us >= request->effect_us)
        take_effect(guest);
    if (!request->busy || world->now_us < request->answer_us)
        return;
    request->busy = false;
    bool accepted = request->answer == ANSWER_ACCEPT || request->answer == ANSWER_SLOW;
    if (accepted) {
        take_effect(guest);
        if (request->boot_count != guest->facts.boot_count)
            return;
        guest->facts.target_bytes = request->target_bytes;
        plan_carried_out(&guest->track.move, &request->facts, &request->row, &world->params, world->now_us);
    } else if (request->answer != ANSWER_REFUSE) {
        guest->facts.target_bytes = u64_max(guest->facts.target_bytes, request->target_bytes);
        plan_uncertain(&guest->track.move, world->now_us);
    } else {
        plan_dropped(&guest->track.move);
    }
}

static void pass_boot(World *world, Guest *guest)
{
    ServerFacts *facts = &guest->facts;
    if (guest->driver_us != 0 && world->now_us >= guest->driver_us) {
        guest->driver_us = 0;
        facts->booted = true;
    }
    if (guest->hold == HOLD_STARTING && facts->booted)
        guest->hold = HOLD_NO;
    bool nudged = guest->track.move.last_up_us != 0 || guest->track.move.last_down_us != 0;
    if (guest->hold == HOLD_REBOOTING && facts->booted && nudged && world->now_us >= guest->wrong_until_us)
        guest->hold = HOLD_NO;
    if (guest->hold_until_us != 0 && world->now_us >= guest->hold_until_us) {
        guest->hold_until_us = 0;
        if (guest->hold == HOLD_PAUSED || guest->hold == HOLD_MIGRATING || guest->hold == HOLD_UNRESPONSIVE)
            guest->hold = HOLD_NO;
    }
}

static void pass_guest(World *world, Guest *guest, uint64_t noise, int64_t elapsed_us)
{
    double seconds = (double)elapsed_us / (double)SECOND_US;
    answer(world, guest);
    pass_boot(world, guest);
    move_use(guest, seconds);
    move_balloon(guest, seconds);
    run_short(guest);
    uint64_t cache =
        (guest->facts.maximum_bytes - u64_min(guest->used_bytes, guest->facts.maximum_bytes)) / 8;
    uint64_t touching =
        u64_min(guest->real_bytes,
                guest->used_bytes + (noise % 4 == 0 && world->now_us >= guest->faults_until_us ? cache : 0));
    guest->touched_bytes = guest->reports_free_pages
                               ? touching
                               : u64_min(guest->real_bytes, u64_max(guest->touched_bytes, touching));
    if (world->now_us < guest->faults_until_us) {
        guest->facts.swap_in_bytes += (uint64_t)((double)(8 * MIB) * seconds);
        guest->facts.major_faults += (uint64_t)(2000 * seconds);
    }
}

void world_pass(World *world, int64_t elapsed_us, bool noise)
{
    world->now_us += elapsed_us;
    for (int i = 0; i < world->episode->n_guests; i++) {
        uint64_t dice = mix(world->episode->seed, ((uint64_t)i << 32) + (uint64_t)world->step);
        if (world->guests[i].on)
            pass_guest(world, &world->guests[i], noise ? dice : 1, elapsed_us);
    }
}

static uint64_t claimed(const World *world, const Guest *guest)
{
    bool turn = world->step % 2 == 0;
    if (guest->lie == LIE_HIGH || (guest->lie == LIE_BY_TURNS && turn))
        return 0;
    if (guest->lie == LIE_LOW || guest->lie == LIE_BY_TURNS)
        return guest->real_bytes;
    return u64_sub_sat(guest->real_bytes, guest->used_bytes);
}

/* One guest's facts as the engine would gather them now. */
static void show(const World *world, Guest *guest, uint64_t dice)
{
    ServerFacts *facts = &guest->facts;
    bool wrong = world->now_us < guest->wrong_until_us;
    facts->balloon_bytes = wrong ? guest->wrong_bytes : guest->real_bytes;
    bool stands = facts->balloon_bytes == guest->last_shown_bytes && !guest->request.pending;
    if (guest->track.move.override_until_us > world->now_us && stands)
        facts->target_bytes = facts->balloon_bytes;
    facts->busy = guest->request.busy;
    facts->hold = guest->hold;
    facts->resident_bytes = guest->hides_residency ? UNKNOWN : guest->touched_bytes;
    bool asked = world->now_us - facts->sample_us >= SECOND_US || dice % 2 == 0;
    if (facts->booted && !guest->silent && asked) {
        /* A sample lies anywhere between the last look and this one. */
        bool late = dice % 8 == 3 && facts->sample_us != 0;
        facts->available_bytes = late ? guest->last_claimed_bytes : claimed(world, guest);
        facts->unused_bytes =
            guest->hides_residency ? UNKNOWN : u64_sub_sat(facts->available_bytes, guest->touched_bytes / 4);
        facts->swap_out_bytes = guest->hides_residency ? UNKNOWN : guest->swapped_out_bytes;
        facts->sample_us = world->now_us;
        facts->sample_balloon_bytes = u64_max(facts->balloon_bytes, guest->last_shown_bytes);
    }
    guest->last_shown_bytes = facts->balloon_bytes;
    guest->last_claimed_bytes = claimed(world, guest);
}

void world_decide(World *world)
{
    world->n = 0;
    for (int i = 0; i < world->episode->n_guests; i++) {
        Guest *guest = &world->guests[i];
        if (!guest->on)
            continue;
        show(world, guest, mix(world->episode->seed + 5, ((uint64_t)i << 32) + (uint64_t)world->step));
        ServerFacts *facts = &world->facts[world->n];
        *facts = guest->facts;
        if (guest->request.busy)
            facts->target_bytes = u64_max(facts->target_bytes, guest->request.target_bytes);
        world->tracks[world->n] = guest->track;
        world->ids[world->n++] = i;
    }
    decision_make(&world->host, world->facts, world->tracks, (size_t)world->n, &world->params, world->now_us,
                  world->decision);
    for (int k = 0; k < world->n; k++) {
        world->guests[world->ids[k]].track = world->tracks[k];
        world->guests[world->ids[k]].oom = false;
    }
}

static void send(World *world, int k, const PlanRow *row)
{
    Guest *guest = &world->guests[world->ids[k]];
    uint64_t dice = mix(world->episode->seed + 9, ((uint64_t)world->ids[k] << 32) + (uint64_t)world->step);
    take_effect(guest); /* requests arrive in order: one that was late is first */
    Answer kind = world->now_us < guest->answers_until_us ? guest->answers : ANSWER_ACCEPT;
    int64_t delay_us = kind == ANSWER_ACCEPT ? (int64_t)(dice % 30) * MS : (int64_t)(500 + dice % 4000) * MS;
    guest->request = (Request){
        .busy = true,
        .answer = kind,
        .answer_us = world->now_us + delay_us,
        .effect_us = world->now_us + (kind == ANSWER_LATE ? 3 : 1) * delay_us,
        .pending = kind != ANSWER_REFUSE && kind != ANSWER_LOSE,
        .target_bytes = row->target_bytes,
        .boot_count = guest->facts.boot_count,
        .facts = world->facts[k],
        .row = *row,
    };
    if (kind == ANSWER_ACCEPT && dice % 2 == 0) {
        guest->request.answer_us = world->now_us;
        answer(world, guest);
    }
}

void world_act(World *world)
{
    for (int k = 0; k < world->n; k++)
        if (world->decision->rows[k].move != MOVE_NONE)
            send(world, k, &world->decision->rows[k]);
}

size_t world_look(World *world)
{
    for (int k = 0; k < world->n; k++) {
        Guest *guest = &world->guests[world->ids[k]];
        uint64_t target = world->facts[k].target_bytes;
        HoldReason held = world->facts[k].hold;
        world->facts[k] = guest->facts;
        /* That a boot is over shows at a beat, together with the true balloon size. */
        bool boots = held == HOLD_STARTING || held == HOLD_REBOOTING;
        world->facts[k].hold = boots ? held : guest->hold;
        world->facts[k].busy = guest->request.busy;
        world->facts[k].resident_bytes = guest->hides_residency ? UNKNOWN : guest->touched_bytes;
        if (guest->request.busy)
            world->facts[k].target_bytes = u64_max(guest->facts.target_bytes, guest->request.target_bytes);
        else if (guest->track.move.override_until_us > world->now_us)
            world->facts[k].target_bytes = target;
        burst_look(&guest->track.burst, guest->facts.boot_count, world->facts[k].resident_bytes,
                   &world->params, world->now_us);
        world->tracks[k] = guest->track;
    }
    return decision_bursts(&world->host, world->facts, world->decision->demands, world->tracks,
                           world->decision->rows, world->decision->totals.someone_waits, (size_t)world->n,
                           &world->params, world->now_us, world->looking);
}

void world_act_look(World *world)
{
    for (int k = 0; k < world->n; k++) {
        if (world->looking->rows[k].move == MOVE_NONE)
            continue;
        world->guests[world->ids[k]].track.burst.granted = true;
        send(world, k, &world->looking->rows[k]);
    }
}

uint64_t world_truth(const Guest *guest)
{
    if (guest->facts.fixed != FIXED_NO || guest->driver_us != 0)
        return guest->facts.maximum_bytes;
    uint64_t held = u64_max(guest->real_bytes, guest->touched_bytes);
    if (!guest->foreign)
        held = u64_max(held, guest->in_force_bytes);
    if (guest->request.pending)
        held = u64_max(held, guest->request.target_bytes);
    return held;
}

static void reset_guest(World *world, Guest *guest, uint64_t value)
{
    if (guest->hold == HOLD_STARTING)
        return;
    guest->facts.boot_count++;
    guest->facts.booted = false;
    guest->wrong_bytes = guest->wrong_until_us > world->now_us ? guest->wrong_bytes : guest->real_bytes;
    guest->wrong_until_us = world->now_us + (int64_t)(value % 6000) * MS;
    guest->driver_us = world->now_us + (int64_t)(1 + value / 7 % 5000) * MS;
    guest->real_bytes = guest->facts.maximum_bytes;
    guest->used_bytes = guest->facts.maximum_bytes / 16;
    guest->hold = HOLD_REBOOTING;
    guest->facts.swap_in_bytes = guest->facts.major_faults = guest->swapped_out_bytes = 0;
}

static void restart_daemon(World *world)
{
    world->restarted_us = world->now_us;
    for (int i = 0; i < world->episode->n_guests; i++) {
        Guest *guest = &world->guests[i];
        take_effect(guest);
        guest->request = (Request){0};
        guest->track = (ServerTrack){0};
        if (!guest->on)
            continue;
        /* It looks on until balloons stand; one that refuses to deflate is nobody's promise any more. */
        if (guest->deflates)
            guest->real_bytes = u64_max(guest->real_bytes, guest->in_force_bytes);
        guest->foreign = true;
        guest->facts.target_bytes = guest->driver_us == 0 ? guest->real_bytes : guest->facts.maximum_bytes;
        if (guest->hold == HOLD_REBOOTING)
            guest->hold = HOLD_STARTING;
        guest->wrong_until_us = 0;
    }
}

/* As after a burst: it has freed most of it, what it still needs comes back from swap, and the next guest begins to burst. */
static void begin_faults(World *world, Guest *guest, uint64_t value)
{
    static const uint64_t parts[] = {0, 0, 1, 64};
    Guest *next = &world->guests[mix(value, 5) % (uint64_t)world->episode->n_guests];
    guest->faults_until_us = world->now_us + (int64_t)(value % 20000) * MS;
    guest->swapped_out_bytes += guest->facts.maximum_bytes / 128 * parts[mix(value, 3) % 4];
    if (mix(value, 4) % 4 == 0)
        return;
    next->goal_bytes = next->facts.maximum_bytes;
    guest->goal_bytes = guest->used_bytes / (2 + value % 8);
}

static void disturb(World *world, Guest *guest, EventKind kind, uint64_t value)
{
    ServerFacts *facts = &guest->facts;
    switch (kind) {
    case EVENT_USE:
        guest->goal_bytes = mix(value, 2) % (facts->maximum_bytes + 1);
        guest->use_bytes_per_s = (4 + value % 4096) * MIB;
        break;
    case EVENT_SPEED:
        guest->inflate_bytes_per_s = value % 3 == 0 ? 0 : (1 + value % 2000) * MIB;
        break;
    case EVENT_DEFLATE:
        guest->deflates = value % 2 == 0;
        break;
    case EVENT_SILENT:
        guest->silent = !guest->silent;
        break;
    case EVENT_SETMEM:
        guest->in_force_bytes = u64_max(MIB, value % (facts->maximum_bytes + 1));
        guest->foreign = true;
        break;
    case EVENT_OOM:
        guest->used_bytes = u64_min(facts->maximum_bytes, guest->real_bytes + guest->real_bytes / 16 + MIB);
        guest->goal_bytes = guest->used_bytes;
        run_short(guest);
        break;
    case EVENT_LIE:
        guest->lie = (Lie)(value % LIE_N);
        break;
    case EVENT_SETTINGS:
        facts->minimum_bytes =
            value % 4 == 0 ? facts->maximum_bytes : mix(value, 1) % (facts->maximum_bytes / 2 + 1);
        facts->weight = (uint32_t)(1 + mix(value, 2) % 1000);
        break;
    case EVENT_FIX:
        facts->fixed = facts->fixed == FIXED_NO ? FIXED_DISABLED_BY_OWNER : FIXED_NO;
        break;
    case EVENT_HOLD:
        if (guest->hold == HOLD_NO) {
            static const HoldReason holds[] = {HOLD_PAUSED, HOLD_MIGRATING, HOLD_UNRESPONSIVE};
            guest->hold = holds[value % 3];
            guest->hold_until_us = world->now_us + (int64_t)(value % 20000) * MS;
        }
        break;
    case EVENT_REQUESTS:
        guest->answers = (Answer)(value % ANSWER_N);
        guest->answers_until_us = world->now_us + (int64_t)(value / 5 % 30000) * MS;
        break;
    case EVENT_FAULTS:
        begin_faults(world, guest, value);
        break;
    case EVENT_UNKNOWN:
        guest->hides_residency = !guest->hides_residency;
        break;
    case EVENT_REBOOT:
        reset_guest(world, guest, value);
        break;
    case EVENT_STOP:
        guest->on = false;
        guest->track = (ServerTrack){0};
        break;
    case EVENT_START:
    case EVENT_POOL:
    case EVENT_SLACK:
    case EVENT_RESTART:
    case EVENT_N:
        break;
    }
}

void world_event(World *world, const Event *event)
{
    Guest *guest = &world->guests[event->guest];
    if (event->kind == EVENT_POOL)
        world->host.pool_bytes = world->host.pool_bytes / 1000 * (700 + event->value % 600);
    else if (event->kind == EVENT_SLACK)
        world->host.slack_bytes = world->host.pool_bytes / 1000 * (event->value % 150);
    else if (event->kind == EVENT_RESTART)
        restart_daemon(world);
    else if (event->kind == EVENT_START && !guest->on && world->episode->present[event->guest])
        start_guest(guest, world->now_us, event->value);
    else if (guest->on)
        disturb(world, guest, event->kind, event->value);
}

void world_freeze(World *world)
{
    for (int i = 0; i < world->episode->n_guests; i++) {
        Guest *guest = &world->guests[i];
        guest->answers_until_us = guest->faults_until_us = 0;
        guest->lie = LIE_NONE;
        guest->silent = guest->hides_residency = false;
        guest->deflates = true;
        guest->inflate_bytes_per_s = u64_max(guest->inflate_bytes_per_s, 100 * MIB);
        guest->goal_bytes = guest->used_bytes = u64_min(guest->used_bytes, guest->real_bytes / 2);
    }
}
