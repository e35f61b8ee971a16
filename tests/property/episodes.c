/* Runs episodes, and makes failing ones smaller. */
#include "episodes.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/u64.h"
#include "policy/reasons.h"

#define SECOND_US INT64_C(1000000)
/* Calm must come within this: rests end in 30 min, a learned floor has faded by half every 10 min then. */
#define CALM_BEATS  12000
#define QUIET_BEATS 40

static void print_row(const World *world, int k)
{
    const ServerFacts *facts = &world->facts[k];
    const PlanRow *row = &world->decision->rows[k];
    const Demand *demand = &world->decision->demands[k];
    const Guest *guest = &world->guests[world->ids[k]];
    printf("    guest %-2d %s%s%s balloon %" PRIu64 " target %" PRIu64 " real %" PRIu64 " in force %" PRIu64
           " used %" PRIu64 " need %" PRIu64 " floor %" PRIu64 " alloc %" PRIu64 ": %s -> %" PRIu64
           " (%s)%s%s%s\n",
           world->ids[k], hold_name(row->hold), facts->fixed != FIXED_NO ? " fixed" : "",
           facts->busy ? " busy" : "", facts->balloon_bytes / KIB, facts->target_bytes / KIB,
           guest->real_bytes / KIB, guest->in_force_bytes / KIB, guest->used_bytes / KIB,
           demand->need_bytes / KIB, demand->floor_bytes / KIB, row->allocation_bytes / KIB,
           move_name(row->move), row->target_bytes / KIB, wait_name(row->wait), demand->stale ? " stale" : "",
           demand->faulting ? " faulting" : "", demand->known ? "" : " unknown");
}

static void print_step(const World *world)
{
    const PlanTotals *totals = &world->decision->totals;
    printf("  step %d at %.3f s: pool %" PRIu64 " slack %" PRIu64 " committed %" PRIu64 " KiB\n", world->step,
           (double)world->now_us / 1e6, world->host.pool_bytes / KIB, world->host.slack_bytes / KIB,
           totals->ledger.committed_bytes / KIB);
    for (int k = 0; k < world->n; k++)
        print_row(world, k);
}

/* Whether the guest stood at its target under the policy's eyes when it ran out of memory. */
static bool saw_oom(const World *world, const Guest *guest)
{
    return guest->on && guest->oom && guest->track.move.reached && !guest->track.move.foreign &&
           !guest->request.busy && !guest->request.pending && guest->hold == HOLD_NO &&
           guest->track.move.override_until_us <= world->now_us &&
           guest->last_shown_bytes <= guest->facts.target_bytes + MIB &&
           guest->facts.target_bytes == guest->in_force_bytes;
}

static void decide(World *world, Checks *checks, Violation *violation, bool trace)
{
    bool ooms[GUESTS_MAX];
    for (int i = 0; i < world->episode->n_guests; i++)
        ooms[i] = saw_oom(world, &world->guests[i]);
    world_decide(world);
    checks_run(checks, world, ooms, violation);
    if (trace)
        print_step(world);
    world_act(world);
    world->step++;
}

static int64_t beat_of(uint64_t seed, int step)
{
    uint64_t dice = mix(seed + 77, (uint64_t)step);
    if (dice % 10 < 6)
        return 100 * 1000;
    return dice % 10 < 9 ? SECOND_US : (int64_t)(5 + dice / 10 % 3000) * 1000;
}

/* Looks between this decision and the next. Returns how many grants there were. */
static uint64_t look_for_bursts(World *world, Violation *violation)
{
    uint64_t dice = mix(world->episode->seed + 31, (uint64_t)world->step), granted = 0;
    for (int look = (int)(dice % 8); look > 0 && !violation->found; look--) {
        world_pass(world, (int64_t)(5 + dice / 8 % 40) * 1000, true);
        granted += world_look(world);
        checks_look(world, violation);
        world_act_look(world);
    }
    return granted;
}

static bool all_still(const World *world)
{
    for (int k = 0; k < world->n; k++)
        if (world->decision->rows[k].move != MOVE_NONE)
            return false;
    return true;
}

/* Counts turns of direction per guest over the beats of one settling; a turn of less than 1 % is within what a late
 * sample leaves open. */
typedef struct {
    int direction[GUESTS_MAX], turns[GUESTS_MAX];
    uint64_t furthest[GUESTS_MAX]; /* in that direction */
} Turns;

static void count_turns(const World *world, Turns *turns)
{
    for (int k = 0; k < world->n; k++) {
        const PlanRow *row = &world->decision->rows[k];
        int i = world->ids[k];
        if (row->move == MOVE_NONE || row->target_bytes == world->facts[k].target_bytes)
            continue;
        uint64_t from = turns->direction[i] == 0 ? world->facts[k].target_bytes : turns->furthest[i];
        int direction = row->target_bytes > from ? 1 : -1;
        uint64_t way = direction > 0 ? row->target_bytes - from : from - row->target_bytes;
        if (turns->direction[i] != 0 && turns->direction[i] != direction && way <= from / 100 + MIB)
            continue;
        turns->turns[i] += turns->direction[i] != 0 && turns->direction[i] != direction;
        turns->direction[i] = direction;
        turns->furthest[i] = row->target_bytes;
    }
}

/* Whether balloons stand where they were asked to, no override is running out, and what the allocation wants has
 * stopped drifting too: comfort and learned floors fade slowly. */
static bool at_rest(const World *world, uint64_t *last)
{
    bool same = true;
    for (int k = 0; k < world->n; k++) {
        same = same && last[k] == world->decision->rows[k].allocation_bytes;
        last[k] = world->decision->rows[k].allocation_bytes;
        const ServerFacts *facts = &world->facts[k];
        same =
            same && world->decision->rows[k].hold != HOLD_MANUAL_OVERRIDE && !world->tracks[k].move.untaken;
        bool moves = facts->balloon_bytes > facts->target_bytes && facts->fixed == FIXED_NO;
        same = same && (!moves || facts->balloon_bytes == world->guests[world->ids[k]].used_bytes);
    }
    return same;
}

/* One second beats until nothing has moved for a while. */
static void settle(World *world, Checks *checks, Violation *violation, Turns *turns, bool trace)
{
    uint64_t last[GUESTS_MAX] = {0};
    int quiet = 0;
    for (int beat = 0; beat < CALM_BEATS && quiet < QUIET_BEATS && !violation->found; beat++) {
        world_pass(world, SECOND_US, false);
        decide(world, checks, violation, trace);
        count_turns(world, turns);
        quiet = all_still(world) && at_rest(world, last) ? quiet + 1 : 0;
    }
    if (quiet < QUIET_BEATS)
        violate(violation, "G7", world, -1, "still moving after %d s of constant facts", CALM_BEATS);
    checks_settled(world, violation);
}

static void check_turns(const World *world, const Turns *turns, Violation *violation)
{
    for (int k = 0; k < world->n; k++)
        if (turns->turns[world->ids[k]] > 1)
            violate(violation, "G7", world, k, "turned %d times on one change", turns->turns[world->ids[k]]);
}

/* Less than the dead band is no reason to move; a floor that fades meanwhile may be one. */
static void jitter(World *world, Checks *checks, Violation *violation, bool trace)
{
    Guest *guest = &world->guests[mix(world->episode->seed, 21) % (uint64_t)world->episode->n_guests];
    uint64_t used = guest->used_bytes, more = guest->facts.maximum_bytes / 2048;
    uint64_t began[GUESTS_MAX];
    for (int k = 0; k < world->n; k++)
        began[k] = world->decision->rows[k].allocation_bytes;
    for (int beat = 0; beat < 30 && !violation->found; beat++) {
        guest->goal_bytes = guest->used_bytes = used + (beat % 2 == 0 ? u64_min(more, 256 * KIB) : 0);
        world_pass(world, SECOND_US, false);
        decide(world, checks, violation, trace);
        bool drifted = false;
        for (int k = 0; k < world->n; k++) {
            uint64_t allocation = world->decision->rows[k].allocation_bytes, before = began[k];
            uint64_t off = allocation > before ? allocation - before : before - allocation;
            drifted = drifted || off > u64_max(MIB, before / 400);
        }
        if (!all_still(world) && !drifted)
            violate(violation, "G7", world, -1, "moved although the change is within the dead band");
    }
    guest->goal_bytes = guest->used_bytes = used;
}

static void calm(World *world, Checks *checks, Violation *violation, bool trace)
{
    Turns turns = {0};
    world_freeze(world);
    settle(world, checks, violation, &turns, trace);
    if (violation->found)
        return;
    if (world->decision->totals.ledger.over_bytes == 0)
        jitter(world, checks, violation, trace);
    Guest *guest = &world->guests[mix(world->episode->seed, 23) % (uint64_t)world->episode->n_guests];
    uint64_t room = u64_sub_sat(guest->real_bytes, guest->used_bytes);
    uint64_t changes[] = {guest->used_bytes + room / 10 * 9, guest->used_bytes};
    for (int i = 0; i < 2 && !violation->found; i++) {
        turns = (Turns){0};
        guest->goal_bytes = changes[i];
        guest->use_bytes_per_s = UINT64_C(1) << 40;
        if (trace)
            printf("  guest %d goes to %" PRIu64 " KiB\n", (int)(guest - world->guests), changes[i] / KIB);
        settle(world, checks, violation, &turns, trace);
        check_turns(world, &turns, violation);
    }
}

uint64_t granted_bursts;

uint64_t episode_run(const Episode *episode, Violation *violation, bool trace)
{
    World world;
    Checks checks = {0};
    world_init(&world, episode);
    for (int step = 0; step < episode->steps && !violation->found; step++) {
        for (int i = 0; i < episode->n_events; i++) {
            if (episode->events[i].step != step || !episode->present[episode->events[i].guest])
                continue;
            world_event(&world, &episode->events[i]);
            if (trace)
                printf("  %s guest %d\n", event_name(episode->events[i].kind), episode->events[i].guest);
        }
        world_pass(&world, beat_of(episode->seed, step), true);
        decide(&world, &checks, violation, trace);
        granted_bursts += look_for_bursts(&world, violation);
    }
    if (!violation->found && episode->n_guests > 0)
        calm(&world, &checks, violation, trace);
    uint64_t taken = (uint64_t)world.step;
    world_clear(&world);
    return taken;
}

/* What each guest is allocated and holds at the end, on average over the last beats. */
static uint64_t liar_world(const Episode *episode, Lie lie, uint64_t *ret_mean)
{
    World world;
    Checks checks = {0};
    Violation ignored = {.only = "none"};
    world_init(&world, episode);
    uint64_t need = 0, rng = mix(episode->seed, 40);
    for (int i = 0; i < episode->n_guests; i++) {
        Guest *guest = &world.guests[i];
        guest->on = guest->deflates = guest->reports_free_pages = true;
        guest->facts.fixed = FIXED_NO;
        guest->facts.maximum_bytes = (1 + below(&rng, 16)) * GIB;
        guest->facts.minimum_bytes = guest->facts.maximum_bytes / 8;
        guest->facts.overhead_bytes = 0;
        guest->real_bytes = guest->in_force_bytes = guest->facts.target_bytes = guest->facts.maximum_bytes;
        guest->used_bytes = guest->facts.maximum_bytes / 10 * (2 + below(&rng, 6));
        guest->goal_bytes = guest->used_bytes;
        guest->inflate_bytes_per_s = 400 * MIB;
        need += guest->used_bytes + guest->used_bytes / 20 + 48 * MIB;
        ret_mean[i] = 0;
    }
    world.guests[0].lie = lie;
    world.host.pool_bytes = need + need / 100 * below(&rng, 8);
    world.host.slack_bytes = world.host.pool_bytes / 20;
    for (int beat = 0; beat < 400; beat++) {
        world_pass(&world, beat % 4 == 0 ? SECOND_US : 100 * 1000, false);
        decide(&world, &checks, &ignored, false);
        for (int k = 0; k < world.n && beat >= 360; k++)
            ret_mean[world.ids[k]] += world.decision->rows[k].allocation_bytes / 40;
    }
    uint64_t taken = (uint64_t)world.step;
    world_clear(&world);
    return taken;
}

uint64_t liar_run(uint64_t seed, uint32_t disabled_rules, Violation *violation)
{
    Episode episode = {.seed = seed, .disabled_rules = disabled_rules};
    episode.n_guests = 2 + (int)(mix(seed, 1) % 8);
    for (int i = 0; i < episode.n_guests; i++)
        episode.present[i] = true;
    uint64_t honest[GUESTS_MAX], lied[GUESTS_MAX];
    const uint64_t margin = 20 * MIB; /* residency is believed to 16 MiB, and headroom is a tenth of it */
    uint64_t taken = liar_world(&episode, LIE_NONE, honest);
    for (Lie lie = LIE_HIGH; lie < LIE_N; lie++) {
        taken += liar_world(&episode, lie, lied);
        World world = {.episode = &episode, .ids = {0}};
        if (lied[0] > honest[0] + honest[0] / 100 + margin)
            violate(violation, "G6", &world, 0, "lying raises its share from %" PRIu64 " to %" PRIu64,
                    honest[0], lied[0]);
        for (int i = 1; i < episode.n_guests; i++) {
            world.ids[0] = i;
            if (lied[i] + honest[i] / 50 + margin < honest[i])
                violate(violation, "G6", &world, 0, "an honest server falls from %" PRIu64 " to %" PRIu64,
                        honest[i], lied[i]);
        }
    }
    return taken;
}

static bool still_fails(const Episode *episode, const Violation *violation)
{
    Violation again = {.only = violation->guarantee};
    episode_run(episode, &again, false);
    return again.found;
}

static void without_events(Episode *episode, int from, int count)
{
    memmove(&episode->events[from], &episode->events[from + count],
            (size_t)(episode->n_events - from - count) * sizeof(Event));
    episode->n_events -= count;
}

Episode episode_shrink(const Episode *episode, const Violation *violation)
{
    Episode small = *episode;
    if (violation->step + 1 < small.steps)
        small.steps = violation->step + 1;
    if (!still_fails(&small, violation))
        return *episode;
    for (int chunk = small.n_events; chunk > 0; chunk /= 2)
        for (int from = 0; from + chunk <= small.n_events;) {
            Episode less = small;
            without_events(&less, from, chunk);
            if (still_fails(&less, violation))
                small = less;
            else
                from += chunk;
        }
    for (int i = 0; i < small.n_guests; i++) {
        Episode less = small;
        less.present[i] = false;
        if (still_fails(&less, violation))
            small = less;
    }
    for (int cut = small.steps / 2; cut > 0; cut /= 2)
        while (small.steps > cut) {
            Episode less = small;
            less.steps -= cut;
            if (!still_fails(&less, violation))
                break;
            small = less;
        }
    return small;
}
