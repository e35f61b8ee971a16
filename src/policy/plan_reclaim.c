/* Reclaims: whoever has more than its allocation gives, idlest first and in parallel, as much as is wanted.
 */
#include "base/u64.h"
#include "policy/plan_internal.h"

#define SECOND_US INT64_C(1000000)
/* Idleness in permille, so that donors are ordered by counting instead of comparing. */
#define IDLE_STEPS 1001
/* The last piece of a reclaim is not worth another sample. */
#define LAST_PIECE_BYTES (32 * MIB)
/* Inflating starts within milliseconds; only what shows no movement after this long is doubted. */
#define UNDER_WAY_US INT64_C(500000)
/* One that works is to give for an eighth of the time: it goes on meanwhile, at half its speed where it has one processor. */
#define WORK_PARTS 8
/* One whose need is over gives four times as fast while needs come in swarms: what a burst took is back within
 * seconds, as far as nothing is kept out of caution. */
#define SWARM_TIMES 4
/* Who keeps hardly any slack has no swarm for one small need. */
#define SWARM_LEAST_BYTES (64 * MIB)
/* A large guest has the processors to give faster: all it has within about half an hour. */
#define PACE_SHARE 2048
/* Less than this is not worth a move that nobody waits for, nor a turn ... */
#define PIECE_BYTES (16 * MIB)
/* ... and of a small server that may be needed soon, a 32nd. */
#define PIECE_SHARE 32

static uint64_t floor_of(const Beat *beat, size_t i)
{
    return u64_max(demand_floor(&beat->demands[i], beat->params), beat->params->quantum_bytes);
}

/* It gives only what it leaves unused, only while somebody waits, and is asked last. */
static bool holds_faulting(const Beat *beat, size_t i)
{
    return beat->demands[i].faulting && rule_on(beat->params, RULE_HOLD_FAULTING);
}

/* Never nothing: a hypervisor refuses 0, and takes 1 at its word. */
static uint64_t goal_of(const Beat *beat, size_t i)
{
    const uint64_t quantum = beat->params->quantum_bytes;
    uint64_t goal = u64_max(beat->rows[i].allocation_bytes, floor_of(beat, i));
    return u64_add_sat(goal, quantum - 1) / quantum * quantum;
}

static bool may_give(const Beat *beat, size_t i)
{
    const PlanRow *row = &beat->rows[i];
    const Demand *demand = &beat->demands[i];
    if (row->move != MOVE_NONE || !beat_may_move(beat, i) || !demand->known)
        return false;
    if ((demand->stale || row->hold == HOLD_STALE_STATISTICS) && rule_on(beat->params, RULE_FRESH_ONLY))
        return false;
    bool acted_on = beat->servers[i].sample_us == beat->tracks[i].move.reclaim_sample_us;
    if (acted_on && rule_on(beat->params, RULE_FRESH_ONLY))
        return false;
    return row->target_bytes > goal_of(beat, i);
}

static uint32_t idleness(const Beat *beat, size_t i)
{
    if (holds_faulting(beat, i))
        return 0;
    uint64_t target = beat->rows[i].target_bytes;
    uint64_t idle = u64_sub_sat(target, beat->demands[i].working_set_bytes);
    return target == 0 ? 0 : (uint32_t)(idle / (target / (IDLE_STEPS - 1) + 1));
}

/* Donors into scratch->donors, idlest first, by counting sort; returns how many. */
static size_t order_donors(Beat *beat)
{
    uint32_t starts[IDLE_STEPS] = {0};
    uint32_t *found = beat->scratch->index;
    uint64_t *step = beat->scratch->bytes;
    size_t n_found = 0;
    for (size_t i = 0; i < beat->n; i++) {
        if (!may_give(beat, i))
            continue;
        step[n_found] = IDLE_STEPS - 1 - u64_min(idleness(beat, i), IDLE_STEPS - 1);
        starts[step[n_found]]++;
        found[n_found++] = (uint32_t)i;
    }
    uint32_t sum = 0;
    for (size_t k = 0; k < IDLE_STEPS; k++) {
        uint32_t count = starts[k];
        starts[k] = sum;
        sum += count;
    }
    for (size_t k = 0; k < n_found; k++)
        beat->scratch->donors[starts[step[k]]++] = found[k];
    return n_found;
}

/* At most half of what lies idle on one sample's word: the guest may have begun to use it since. */
static uint64_t urgent_step(const Beat *beat, size_t i, uint64_t give)
{
    uint64_t idle = u64_sub_sat(beat->rows[i].target_bytes, floor_of(beat, i));
    return u64_min(give, holds_faulting(beat, i) ? idle / 2 : u64_max(idle / 2, LAST_PIECE_BYTES));
}

static bool rose_lately(const Beat *beat, size_t i)
{
    int64_t last_us = beat->tracks[i].move.last_up_us;
    return rule_on(beat->params, RULE_DEAD_BAND) && last_us != 0 &&
           beat->now_us - last_us < beat->params->turn_us;
}

/* What the guest has put to no use at all, beyond a headroom. What it was asked for since it said so counts against that. */
static uint64_t spare_of(const Beat *beat, size_t i)
{
    const ServerFacts *facts = &beat->servers[i];
    if (facts->unused_bytes == UNKNOWN)
        return 0;
    uint64_t asked = u64_sub_sat(facts->sample_balloon_bytes, beat->rows[i].target_bytes);
    return u64_sub_sat(u64_sub_sat(facts->unused_bytes, asked), beat->demands[i].headroom_bytes);
}

static uint64_t piece_of(const Beat *beat, size_t i)
{
    return u64_min(PIECE_BYTES, beat->servers[i].maximum_bytes / PIECE_SHARE);
}

/* At least half of what it has beyond its need, and beyond what its own burst is about to touch or was granted in advance, is
 * free, no cache: it has risen for something that is over. */
static bool leaves_unused(const Beat *beat, size_t i)
{
    const BurstState *burst = &beat->tracks[i].burst;
    uint64_t ahead = plan_ahead_of(burst, beat->params);
    if (burst->bursting && burst->granted)
        ahead = u64_add_sat(ahead, plan_large_step(&beat->servers[i]));
    uint64_t kept = u64_add_sat(beat->demands[i].need_bytes, ahead);
    uint64_t idle = u64_sub_sat(beat->rows[i].target_bytes, kept);
    return idle >= PIECE_BYTES && u64_sub_sat(spare_of(beat, i), ahead) >= idle / 2;
}

/* Whoever has risen a moment ago is not turned for anything that is not needed, unless it was for something that is over. */
static bool is_settled(const Beat *beat, size_t i)
{
    return !rose_lately(beat, i) || leaves_unused(beat, i);
}

/* Of late nobody has needed much. Needs come in swarms: what one has taken, the next may want as well. */
static bool is_lull(const Beat *beat)
{
    return beat->scratch->needed_bytes <= u64_max(beat->host->slack_bytes / 2, SWARM_LEAST_BYTES);
}

/* Less is free than the slack and half of what is kept ready, or all of it while needs come in swarms: the next burst may have to
 * wait for a donor. */
static bool is_scarce(const Beat *beat)
{
    uint64_t ready = is_lull(beat) ? beat->scratch->ready_bytes / 2 : beat->scratch->ready_bytes;
    return beat->free_bytes < u64_add_sat(beat->host->slack_bytes, ready);
}

static uint64_t pace_of(const Beat *beat, size_t i)
{
    uint64_t pace = beat->params->pace_bytes_per_s;
    if (!is_lull(beat))
        pace *= is_scarce(beat) && leaves_unused(beat, i) ? SWARM_TIMES : 1;
    else if (beat->servers[i].works)
        pace = u64_clamp(beat->tracks[i].move.gave_bytes_per_s / WORK_PARTS,
                         beat->params->working_pace_bytes_per_s, pace);
    return u64_max(pace, beat->servers[i].maximum_bytes / PACE_SHARE);
}

static uint64_t calm_step(const Beat *beat, size_t i, uint64_t give)
{
    int64_t elapsed_us = beat->now_us - beat->tracks[i].move.last_step_us;
    double seconds = elapsed_us > SECOND_US ? 1 : (double)elapsed_us / (double)SECOND_US;
    return u64_min(urgent_step(beat, i, give), (uint64_t)((double)pace_of(beat, i) * seconds));
}

/* Half of what lies unused: that needs no probing. Of one that has risen for something that is over it is taken at once where it
 * is scarce, and else when it has lasted, as from any. */
static uint64_t unused_step(const Beat *beat, size_t i, uint64_t give)
{
    if (rose_lately(beat, i) ? !is_scarce(beat) || !leaves_unused(beat, i) : !beat_unsettled(beat, i))
        return 0;
    return u64_min(calm_step(beat, i, give), spare_of(beat, i) / 2);
}

/* Of one that has risen a moment ago only what lies unused. */
static uint64_t slack_step(const Beat *beat, size_t i, uint64_t give)
{
    if (give <= beat_band(beat, i) || !is_settled(beat, i))
        return 0;
    uint64_t step = calm_step(beat, i, give);
    return rose_lately(beat, i) ? u64_min(step, spare_of(beat, i)) : step;
}

/* Cache may be in use: of that only a little at a time. */
static uint64_t probe_step(const Beat *beat, size_t i, uint64_t give)
{
    if (!beat_unsettled(beat, i))
        return 0;
    uint64_t probe = beat->servers[i].balloon_bytes / 1000 * beat->params->probe_permille;
    uint64_t gentle = u64_max(probe, 4 * beat->params->quantum_bytes);
    return u64_max(unused_step(beat, i, give), u64_min(calm_step(beat, i, give), gentle));
}

/* What is wanted back, most pressing first; reclaims under way already count towards it. */
typedef struct {
    uint64_t urgent_bytes; /* somebody waits */
    uint64_t soon_bytes;   /* somebody is about to: at full speed as well, but nobody is turned for it */
    uint64_t slack_bytes, level_bytes;
    uint64_t
        ready_bytes; /* what nobody uses, and nobody wants: from those who have more of it than their allocation */
} Wanted;

static uint64_t take(uint64_t *wanted, uint64_t bytes)
{
    uint64_t taken = u64_min(*wanted, bytes);
    *wanted -= taken;
    return bytes - taken;
}

/* While a server bursts the slack is about to be needed, and so is what it will touch next: both are taken back at full
 * speed before anybody has to wait for them. */
static uint64_t about_to_be_needed(const Beat *beat)
{
    uint64_t expected = beat->scratch->expected_bytes;
    if (expected == 0)
        return 0;
    return u64_sub_sat(u64_add_sat(beat->host->slack_bytes, expected), beat->free_bytes);
}

static Wanted wanted_back(const Beat *beat)
{
    Wanted wanted = {
        .urgent_bytes = u64_add_sat(beat->waiting_bytes, beat->over_bytes),
        .soon_bytes = about_to_be_needed(beat),
        .slack_bytes = u64_sub_sat(beat->host->slack_bytes, beat->free_bytes),
        .level_bytes = beat->levelling_bytes,
        .ready_bytes =
            u64_sub_sat(beat->scratch->ready_bytes, u64_sub_sat(beat->free_bytes, beat->host->slack_bytes)),
    };
    if (wanted.slack_bytes <= u64_max(beat->params->quantum_bytes, beat->host->slack_bytes / SLACK_NEAR))
        wanted.slack_bytes = 0;
    if (wanted.ready_bytes <= u64_max(beat->params->quantum_bytes, beat->scratch->ready_bytes / SLACK_NEAR))
        wanted.ready_bytes = 0;
    wanted.slack_bytes = u64_sub_sat(wanted.slack_bytes, wanted.soon_bytes);
    uint64_t coming = take(&wanted.urgent_bytes, beat->in_flight_bytes);
    coming = take(&wanted.soon_bytes, coming);
    coming = take(&wanted.slack_bytes, coming);
    coming = take(&wanted.level_bytes, coming);
    take(&wanted.ready_bytes, coming);
    return wanted;
}

static uint64_t expected_of(const Beat *beat, size_t i)
{
    return plan_expected_of(&beat->servers[i], &beat->tracks[i].burst, beat->params, beat->now_us);
}

/* What is about to be needed is its own need. To give some of what it has at the same time would only slow it down. */
static bool bursts_alone(const Beat *beat, size_t i)
{
    return beat->scratch->expected_bytes > 0 && !beat_others_burst(beat, i);
}

/* Of one that bursts nothing is taken calmly, and at full speed nothing that it is about to touch. */
static uint64_t free_of_its_burst(const Beat *beat, size_t i, const Wanted *wanted)
{
    uint64_t expected = expected_of(beat, i);
    if (expected > 0 && wanted->soon_bytes == 0)
        return 0;
    return u64_sub_sat(beat->rows[i].target_bytes, u64_add_sat(floor_of(beat, i), expected));
}

/* On its way up: how far it has got is not known to the moment, and what it was given for may be about to begin. */
static bool is_rising(const Beat *beat, size_t i)
{
    uint64_t arrived = u64_add_sat(beat->servers[i].balloon_bytes, beat->params->quantum_bytes);
    return arrived < beat->rows[i].target_bytes && !beat->tracks[i].move.untaken;
}

static void reclaim_from(Beat *beat, size_t i, Wanted *wanted)
{
    const uint64_t quantum = beat->params->quantum_bytes;
    if (wanted->urgent_bytes == 0 && (holds_faulting(beat, i) || bursts_alone(beat, i) || is_rising(beat, i)))
        return;
    uint64_t give = beat->rows[i].target_bytes - goal_of(beat, i);
    if (wanted->urgent_bytes == 0)
        give = u64_min(give, free_of_its_burst(beat, i, wanted));
    Move move = MOVE_RECLAIM_CALM;
    uint64_t step = 0, piece = 0, *account = NULL;
    if (wanted->urgent_bytes > 0) {
        move = MOVE_RECLAIM_URGENT;
        account = &wanted->urgent_bytes;
        step = urgent_step(beat, i, give);
    } else if (wanted->soon_bytes > 0) {
        account = &wanted->soon_bytes;
        piece = piece_of(beat, i);
        step = give >= u64_max(piece, beat_band(beat, i)) && is_settled(beat, i) ? urgent_step(beat, i, give)
                                                                                 : 0;
    } else if (wanted->slack_bytes > 0) {
        account = &wanted->slack_bytes;
        step = slack_step(beat, i, give);
    } else if (wanted->level_bytes > 0 && !rose_lately(beat, i)) {
        account = &wanted->level_bytes;
        step = probe_step(beat, i, give);
    } else if (wanted->ready_bytes > 0) {
        account = &wanted->ready_bytes;
        step = give >= PIECE_BYTES ? unused_step(beat, i, give) : 0;
    }
    if (!account)
        return;
    uint64_t rounded_want = u64_add_sat(u64_max(*account, piece), quantum - 1) / quantum * quantum;
    step = u64_min(step, rounded_want) / quantum * quantum;
    if (step == 0)
        return;
    take(account, step);
    beat->in_flight_bytes = u64_add_sat(beat->in_flight_bytes, step);
    beat_set(beat, i, move, beat->rows[i].target_bytes - step);
}

/* What of a reclaim under way can be counted on: all of it at first, then what its speed so far brings within a
 * second; its speed is taken anew every few seconds. A donor that is stuck or slow must not keep others from being asked. */
static uint64_t coming_from(const Beat *beat, size_t i)
{
    const MoveState *move = &beat->tracks[i].move;
    const uint64_t balloon = beat->servers[i].balloon_bytes;
    uint64_t rest = u64_sub_sat(balloon, beat->rows[i].target_bytes);
    int64_t elapsed_us = facts_balloon_us(&beat->servers[i], beat->now_us) - move->inflate_since_us;
    if (move->inflate_since_us == 0)
        return rest;
    if (elapsed_us < UNDER_WAY_US)
        return move->inflate_timed ? u64_min(move->inflate_bytes_per_s, rest) : rest;
    double moved = (double)u64_sub_sat(move->inflate_from_bytes, balloon);
    double within_a_second = moved * (double)SECOND_US / (double)elapsed_us;
    return within_a_second < (double)rest ? (uint64_t)within_a_second : rest;
}

static uint64_t sum_in_flight(const Beat *beat)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < beat->n; i++)
        if (beat_may_move(beat, i))
            sum = u64_add_sat(sum, coming_from(beat, i));
    return sum;
}

void plan_reclaims(Beat *beat)
{
    beat->in_flight_bytes = sum_in_flight(beat);
    Wanted wanted = wanted_back(beat);
    if (wanted.urgent_bytes == 0 && wanted.soon_bytes == 0 && wanted.slack_bytes == 0 &&
        wanted.level_bytes == 0 && wanted.ready_bytes == 0)
        return;
    size_t n_donors = order_donors(beat);
    for (size_t k = 0; k < n_donors; k++)
        reclaim_from(beat, beat->scratch->donors[k], &wanted);
}
