/* The guarantees, one function each. */
#include "checks.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/u64.h"
#include "policy/reasons.h"
#include "reference.h"

#define SECOND_US INT64_C(1000000)

uint64_t reclaims_while_faulting;

void violate(Violation *violation, const char *guarantee, const World *world, int k, const char *format, ...)
{
    if (violation->found || (violation->only && strcmp(violation->only, guarantee) != 0))
        return;
    violation->found = true;
    snprintf(violation->guarantee, sizeof violation->guarantee, "%s", guarantee);
    violation->step = world->step;
    violation->guest = k < 0 ? -1 : world->ids[k];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(violation->text, sizeof violation->text, format, arguments);
    va_end(arguments);
}

static uint64_t held_at(const ServerFacts *facts, uint64_t target_bytes)
{
    uint64_t held = u64_max(facts->balloon_bytes, target_bytes);
    if (facts->resident_bytes != UNKNOWN)
        held = u64_max(held, facts->resident_bytes);
    bool full = facts->fixed != FIXED_NO || facts->hold == HOLD_STARTING || facts->hold == HOLD_REBOOTING;
    return full ? u64_max(held, facts->maximum_bytes) : held;
}

static bool movable(const World *world, int k)
{
    const ServerFacts *facts = &world->facts[k];
    return facts->fixed == FIXED_NO && !facts->busy && !hold_pins(world->decision->rows[k].hold);
}

/* G1, for the ledger and for the truth: the worst order is all raises first, all reclaims never. */
static void check_g1(const World *world, Violation *violation)
{
    uint64_t before = 0, after = 0, true_before = 0, true_after = 0;
    for (int k = 0; k < world->n; k++) {
        const ServerFacts *facts = &world->facts[k];
        const Guest *guest = &world->guests[world->ids[k]];
        uint64_t target = u64_max(facts->target_bytes, world->decision->rows[k].target_bytes);
        uint64_t held = held_at(facts, facts->target_bytes), truth = world_truth(guest);
        before += held + facts->overhead_bytes;
        after += held_at(facts, target) + facts->overhead_bytes;
        if (truth > held)
            violate(violation, "G1", world, k, "it can hold %" PRIu64 ", the ledger says %" PRIu64 "", truth,
                    held);
        const PlanRow *row = &world->decision->rows[k];
        const Demand *demand = &world->decision->demands[k];
        bool lifts = (row->move == MOVE_WITHDRAW && !world->tracks[k].move.stalled &&
                      !world->tracks[k].move.foreign) ||
                     row->move == MOVE_GRANT_SURPLUS;
        if (world->decision->totals.ledger.over_bytes > 0 && lifts &&
            row->target_bytes > u64_max(demand->need_bytes, demand->floor_bytes) + MIB)
            violate(violation, "G1", world, k, "overcommitted, and yet raised beyond its need to %" PRIu64,
                    row->target_bytes);
        true_before += truth + facts->overhead_bytes;
        bool asks = world->decision->rows[k].move != MOVE_NONE;
        true_after +=
            u64_max(truth, asks ? world->decision->rows[k].target_bytes : 0) + facts->overhead_bytes;
    }
    if (after > u64_max(world->host.pool_bytes, before))
        violate(violation, "G1", world, -1,
                "committed rises from %" PRIu64 " to %" PRIu64 ", the pool is %" PRIu64 "", before, after,
                world->host.pool_bytes);
    if (true_after > u64_max(world->host.pool_bytes, u64_max(before, true_before)))
        violate(violation, "G1", world, -1,
                "in truth committed rises from %" PRIu64 " to %" PRIu64 ", the pool is %" PRIu64 "",
                true_before, true_after, world->host.pool_bytes);
}

/* What the statistics shown say the guest uses, and half its headroom. */
static uint64_t claimed_floor(const ServerFacts *facts)
{
    uint64_t used = u64_sub_sat(facts->sample_balloon_bytes, facts->available_bytes);
    if (facts->resident_bytes != UNKNOWN)
        used = u64_min(used, facts->resident_bytes + 16 * MIB);
    used = u64_min(used, facts->maximum_bytes);
    uint64_t headroom = u64_min(96 * MIB, facts->maximum_bytes / 8) + used / 10;
    return u64_min(u64_max(used + headroom / 2 - u64_min(headroom / 2, 4), facts->minimum_bytes),
                   facts->maximum_bytes);
}

/* All but what lies unused beyond what is in swap, by the plainest reading of the counters, and a full headroom. */
static uint64_t swap_floor(const ServerFacts *facts)
{
    if (facts->unused_bytes == UNKNOWN || facts->swap_in_bytes == UNKNOWN || facts->swap_out_bytes == UNKNOWN)
        return UINT64_MAX;
    uint64_t used =
        u64_sub_sat(u64_min(facts->sample_balloon_bytes, facts->balloon_bytes), facts->available_bytes);
    if (facts->resident_bytes != UNKNOWN)
        used = u64_min(used, facts->resident_bytes + 16 * MIB);
    used = u64_min(used, facts->maximum_bytes);
    uint64_t headroom = u64_min(96 * MIB, facts->maximum_bytes / 8) + used / 10;
    uint64_t kept = u64_sub_sat(facts->swap_out_bytes, facts->swap_in_bytes) + headroom;
    if (facts->unused_bytes <= kept)
        return UINT64_MAX;
    return u64_sub_sat(facts->sample_balloon_bytes, facts->unused_bytes - kept + 4);
}

static void remember_swap(Memory *memory, const ServerFacts *facts, const World *world, bool first)
{
    bool known = facts->swap_out_bytes != UNKNOWN;
    if (first)
        memory->wrote_us = 0;
    memory->wrote = !first && known && memory->swap_known && facts->swap_out_bytes > memory->swapped_out;
    if (memory->wrote)
        memory->wrote_us = world->now_us;
    memory->swap_known = known;
    memory->swapped_out = facts->swap_out_bytes;
    memory->swap_floor_bytes = swap_floor(facts);
}

static void remember_rates(Memory *memory, const ServerFacts *facts, const World *world)
{
    if (memory->boot_count != facts->boot_count || memory->rate_us <= world->restarted_us)
        memory->rate_us = 0;
    if (memory->boot_count != facts->boot_count) {
        memory->sample_us = facts->sample_us;
        memory->swap_known = false;
    }
    memory->boot_count = facts->boot_count;
    if (facts->sample_us == 0 || facts->sample_us == memory->sample_us)
        return;
    remember_swap(memory, facts, world, memory->sample_us <= world->restarted_us || !memory->swap_known);
    memory->sample_us = facts->sample_us;
    int64_t elapsed_us = facts->sample_us - memory->rate_us;
    if (memory->rate_us != 0 && elapsed_us < 20000)
        return;
    double seconds = (double)elapsed_us / 1e6;
    double swapped = facts->swap_in_bytes > memory->swap_in_bytes
                         ? (double)(facts->swap_in_bytes - memory->swap_in_bytes)
                         : 0;
    double faults =
        facts->major_faults > memory->major_faults ? (double)(facts->major_faults - memory->major_faults) : 0;
    if (memory->rate_us != 0 && (swapped / seconds > 257 * 1024 || faults / seconds > 51))
        memory->faulting_until_us = world->now_us + 5 * SECOND_US;
    memory->rate_us = facts->sample_us;
    memory->swap_in_bytes = facts->swap_in_bytes;
    memory->major_faults = facts->major_faults;
}

/* While it swaps or faults only what lies unused is taken, of that half at once, and only for somebody who waits. */
static void check_faulting(const Memory *memory, const World *world, int k, Violation *violation)
{
    const ServerFacts *facts = &world->facts[k];
    const PlanRow *row = &world->decision->rows[k];
    uint64_t bottom = memory->swap_floor_bytes;
    if (row->move == MOVE_RECLAIM_CALM)
        violate(violation, "G2", world, k, "calm reclaim while it swaps in or faults");
    if (memory->wrote || (memory->wrote_us != 0 && world->now_us - memory->wrote_us < 2 * SECOND_US))
        violate(violation, "G2", world, k, "reclaim while it faults and has written to swap");
    if (!world->tracks[k].move.foreign && facts->target_bytes > bottom)
        bottom += (facts->target_bytes - bottom) / 2;
    if (row->target_bytes < bottom)
        violate(violation, "G2", world, k, "reclaim while it faults to %" PRIu64 ", below %" PRIu64,
                row->target_bytes, bottom);
    if (world->params.disabled_rules == 0)
        reclaims_while_faulting++;
}

static void check_g2(Checks *checks, const World *world, int k, Violation *violation)
{
    const ServerFacts *facts = &world->facts[k];
    const PlanRow *row = &world->decision->rows[k];
    Memory *memory = &checks->guests[world->ids[k]];
    bool restarted = memory->rate_us <= world->restarted_us;
    remember_rates(memory, facts, world);
    if (restarted)
        memory->faulting_until_us = 0;
    if (row->move == MOVE_NONE || row->move == MOVE_NUDGE)
        return;
    if (row->target_bytes < u64_min(facts->minimum_bytes, facts->balloon_bytes) || row->target_bytes == 0)
        violate(violation, "G2", world, k, "target %" PRIu64 " below the minimum of %" PRIu64,
                row->target_bytes, facts->minimum_bytes);
    if (row->move != MOVE_RECLAIM_CALM && row->move != MOVE_RECLAIM_URGENT)
        return;
    uint64_t bottom = claimed_floor(facts);
    if (row->target_bytes < bottom)
        violate(violation, "G2", world, k, "reclaim to %" PRIu64 " below its floor of %" PRIu64 "",
                row->target_bytes, bottom);
    int64_t oldest_us = (facts->period_us >= 2 * SECOND_US ? 6 : 3) * SECOND_US;
    if (facts->sample_us == 0 || world->now_us - facts->sample_us > oldest_us)
        violate(violation, "G2", world, k, "reclaim on statistics of %ld ms ago",
                (long)(world->now_us - facts->sample_us) / 1000);
    if (world->now_us < memory->faulting_until_us)
        check_faulting(memory, world, k, violation);
    if (world->now_us < memory->rest_until_us &&
        row->target_bytes < u64_min(memory->rest_bytes, facts->maximum_bytes))
        violate(violation, "G9", world, k, "reclaim to %" PRIu64 " while it rests at %" PRIu64 "",
                row->target_bytes, memory->rest_bytes);
}

static void check_g3(const World *world, int k, Violation *violation)
{
    const PlanRow *row = &world->decision->rows[k];
    if (world->facts[k].fixed == FIXED_NO)
        return;
    if (row->move != MOVE_NONE || row->target_bytes != world->facts[k].target_bytes)
        violate(violation, "G3", world, k, "a fixed server is to go to %" PRIu64 "", row->target_bytes);
}

static uint64_t band_of(const PlanRow *row)
{
    return u64_max(MIB, row->allocation_bytes / 200);
}

/* Free bytes go to whoever waits, in this very beat; and nobody keeps more than its need while another's
 * allocation is below its own. */
static void check_g4_grants(const World *world, Violation *violation)
{
    const PlanRow *rows = world->decision->rows;
    uint64_t after = 0;
    int shortest = -1, richest = -1;
    for (int k = 0; k < world->n; k++) {
        const ServerFacts *facts = &world->facts[k];
        const Demand *demand = &world->decision->demands[k];
        after += held_at(facts, u64_max(facts->target_bytes, rows[k].target_bytes)) + facts->overhead_bytes;
        if (!movable(world, k) || world->tracks[k].move.untaken)
            continue;
        if (rows[k].allocation_bytes + band_of(&rows[k]) < demand->need_bytes)
            shortest = k;
        bool gives = demand->known && !demand->stale && rows[k].hold != HOLD_STALE_STATISTICS;
        uint64_t most =
            u64_max(u64_max(demand->need_bytes, demand->floor_bytes), demand->faulting_floor_bytes);
        if (gives && rows[k].allocation_bytes > u64_add_sat(most, MIB))
            richest = k;
    }
    if (shortest >= 0 && richest >= 0)
        violate(violation, "G4", world, richest, "allocated beyond its need while guest %d is not",
                world->ids[shortest]);
    uint64_t left = u64_sub_sat(world->host.pool_bytes, after);
    for (int k = 0; k < world->n; k++) {
        uint64_t entitled = u64_min(rows[k].allocation_bytes, world->decision->demands[k].need_bytes);
        uint64_t has =
            u64_max(rows[k].target_bytes, world->tracks[k].move.foreign ? world->facts[k].balloon_bytes : 0);
        if (movable(world, k) && entitled > has + band_of(&rows[k]) && left > 2 * MIB)
            violate(violation, "G4", world, k, "lacks %" PRIu64 " of its need while %" PRIu64 " are free",
                    entitled - has, left);
    }
}

/* Whoever has more than its allocation is asked while others wait, unless enough is really on its way. */
static void check_g4_donors(Checks *checks, const World *world, Violation *violation)
{
    const PlanRow *rows = world->decision->rows;
    uint64_t waiting = 0, coming = 0;
    for (int k = 0; k < world->n; k++) {
        const ServerFacts *facts = &world->facts[k];
        uint64_t entitled = u64_min(rows[k].allocation_bytes, world->decision->demands[k].need_bytes);
        Memory *memory = &checks->guests[world->ids[k]];
        if (!movable(world, k)) {
            memory->still = true;
            continue;
        }
        if (memory->still)
            memory->asked_us = world->now_us;
        memory->still = false;
        if (facts->target_bytes < memory->target_bytes) /* what it was asked for has been accepted */
            memory->asked_us = world->now_us;
        if (entitled > rows[k].target_bytes + band_of(&rows[k]))
            waiting += entitled - rows[k].target_bytes;
        bool reclaim = rows[k].move == MOVE_RECLAIM_CALM || rows[k].move == MOVE_RECLAIM_URGENT;
        bool moves = facts->balloon_bytes + MIB < memory->asked_balloon_bytes;
        if (reclaim || moves || world->now_us - memory->asked_us < SECOND_US)
            coming += u64_sub_sat(facts->balloon_bytes, rows[k].target_bytes) +
                      (reclaim ? u64_sub_sat(facts->target_bytes, rows[k].target_bytes) : 0);
        memory->asked_balloon_bytes = facts->balloon_bytes;
        memory->target_bytes = facts->target_bytes;
        if (reclaim) {
            memory->asked_us = world->now_us;
            memory->reclaimed_sample_us = facts->sample_us;
        }
    }
    for (int k = 0; k < world->n && waiting > coming; k++) {
        const Demand *demand = &world->decision->demands[k];
        const ServerFacts *facts = &world->facts[k];
        bool old = !demand->known || demand->stale || rows[k].hold == HOLD_STALE_STATISTICS;
        bool asked = facts->sample_us == checks->guests[world->ids[k]].reclaimed_sample_us;
        uint64_t keeps = u64_max(rows[k].allocation_bytes, demand->floor_bytes);
        keeps = u64_max(keeps, demand->faulting_floor_bytes);
        if (movable(world, k) && rows[k].move == MOVE_NONE && !old && !asked &&
            facts->target_bytes > u64_add_sat(keeps, 2 * MIB) && !world->tracks[k].move.foreign)
            violate(violation, "G4", world, k,
                    "holds %" PRIu64 " more than its share and is not asked, %" PRIu64 " wait",
                    facts->target_bytes - keeps, waiting - coming);
    }
}

static void check_g5(const World *world, Violation *violation)
{
    long double share[GUESTS_MAX];
    reference_allocate(world, share);
    for (int k = 0; k < world->n; k++) {
        long double got = world->decision->rows[k].allocation_bytes;
        long double off = got > share[k] ? got - share[k] : share[k] - got;
        if (off > share[k] / 100 + 4096)
            violate(violation, "G5", world, k, "allocated %.0Lf, exactly it would be %.0Lf", got, share[k]);
    }
}

/* A guest that took memory back from its balloon keeps it, at once, and rests. */
static void check_g9(Checks *checks, const World *world, const bool *ooms, int k, Violation *violation)
{
    const ServerFacts *facts = &world->facts[k];
    const PlanRow *row = &world->decision->rows[k];
    Memory *memory = &checks->guests[world->ids[k]];
    if (memory->rest_us <= world->restarted_us)
        memory->rest_until_us = 0;
    if (!ooms[world->ids[k]] || !movable(world, k) || facts->hold != HOLD_NO)
        return;
    if (facts->sample_us != world->now_us || facts->available_bytes > facts->balloon_bytes / 32)
        return;
    if (facts->balloon_bytes <= facts->target_bytes + 2 * MIB)
        return;
    if (row->target_bytes < u64_min(facts->balloon_bytes, facts->maximum_bytes))
        violate(violation, "G9", world, k, "ran out of memory, took %" PRIu64 ", and is held to %" PRIu64 "",
                facts->balloon_bytes, row->target_bytes);
    memory->rest_us = world->now_us;
    memory->rest_until_us = world->now_us + 59 * SECOND_US;
    memory->rest_bytes = facts->balloon_bytes;
}

void checks_look(const World *world, Violation *violation)
{
    uint64_t before = 0, after = 0, truth = 0, after_truth = 0;
    for (int k = 0; k < world->n; k++) {
        const ServerFacts *facts = &world->facts[k];
        const PlanRow *row = &world->looking->rows[k];
        const Guest *guest = &world->guests[world->ids[k]];
        uint64_t real = world_truth(guest);
        /* What others do to a balloon, and a guest that takes memory back, count from the beat that shows it. */
        if (guest->foreign || guest->oom)
            real = u64_min(real, held_at(facts, facts->target_bytes));
        before += held_at(facts, facts->target_bytes) + facts->overhead_bytes;
        after += held_at(facts, u64_max(facts->target_bytes, row->target_bytes)) + facts->overhead_bytes;
        truth += real + facts->overhead_bytes;
        after_truth += u64_max(real, row->move == MOVE_NONE ? 0 : row->target_bytes) + facts->overhead_bytes;
        if (row->move == MOVE_NONE)
            continue;
        if (facts->fixed != FIXED_NO)
            violate(violation, "G3", world, k, "a fixed server bursts to %" PRIu64, row->target_bytes);
        if (row->target_bytes <= facts->target_bytes || row->target_bytes > facts->maximum_bytes)
            violate(violation, "G2", world, k, "a burst leads from %" PRIu64 " to %" PRIu64,
                    facts->target_bytes, row->target_bytes);
    }
    if (after > u64_max(world->host.pool_bytes, before) ||
        after_truth > u64_max(world->host.pool_bytes, u64_max(before, truth)))
        violate(violation, "G1", world, -1,
                "a burst: committed rises from %" PRIu64 " to %" PRIu64 ", the pool is %" PRIu64, before,
                after, world->host.pool_bytes);
}

void checks_run(Checks *checks, const World *world, const bool *ooms, Violation *violation)
{
    for (int i = 0; i < world->episode->n_guests; i++)
        if (!world->guests[i].on)
            checks->guests[i] = (Memory){0};
    check_g1(world, violation);
    for (int k = 0; k < world->n; k++) {
        check_g9(checks, world, ooms, k, violation);
        check_g2(checks, world, k, violation);
        check_g3(world, k, violation);
    }
    check_g4_grants(world, violation);
    check_g4_donors(checks, world, violation);
    check_g5(world, violation);
}

void checks_settled(const World *world, Violation *violation)
{
    const PlanRow *rows = world->decision->rows;
    if (world->decision->totals.ledger.over_bytes > 0)
        return;
    for (int k = 0; k < world->n; k++) {
        const Demand *demand = &world->decision->demands[k];
        if (!movable(world, k) || world->tracks[k].move.untaken || !demand->known || demand->stale)
            continue;
        uint64_t allocation = rows[k].allocation_bytes;
        uint64_t off = u64_sub_sat(allocation, rows[k].target_bytes);
        if (off > allocation / 100 + MIB && rows[k].wait != WAIT_NO_ROOM)
            violate(violation, "G5", world, k, "settled at %" PRIu64 " (%s), its share is %" PRIu64 "",
                    rows[k].target_bytes, wait_name(rows[k].wait), allocation);
    }
}
