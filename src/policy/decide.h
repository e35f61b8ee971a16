/*
 * Decide: the whole policy for one beat, observation to plan, as one pure function over arrays.
 *
 * Daemon, simulator, fuzzers and property tests all call decision_make(), and nothing else decides anything.
 */
#pragma once
#include "policy/demand.h"
#include "policy/facts.h"
#include "policy/params.h"
#include "policy/plan.h"

/* One beat's outcome; arrays have one row per server in the caller's order. Reused from beat to beat: nothing
 * is allocated while the number of servers does not grow. */
typedef struct {
    size_t n;
    Demand *demands;
    uint64_t *allocations;
    PlanRow *rows;
    PlanTotals totals;
    PlanScratch scratch;
    size_t capacity;
} Decision;

Decision *decision_new(void);
void decision_free(Decision *decision);

/*
 * decision_make:
 * @host, @servers: the facts; (array length=n), 0 is valid
 * @tracks:         (array length=n) (inout): same order as @servers
 * @now_us:         monotonic, the only clock the policy sees; never going back
 * @decision:       (inout): overwritten
 *
 * Guarantees, for any facts and any order of events; docs/policy.md sketches the proofs, tests/property holds them
 * over random hosts. `held` and `committed` are the ledger's; movable = neither fixed, nor busy, nor under a hold
 * that pins; band = 0.5 % of the allocation, at least 1 MiB; settled = within a band.
 *
 * G1  Carrying out any subset of the rows in any order never lifts committed above max(pool, committed before).
 *     The ledger bounds what servers can really hold, as long as nobody else moves their balloons; a move of
 *     somebody else's counts from the beat that shows it. Above the pool no row raises what is held, and no target
 *     rises beyond need or floor.
 * G2  No target but a nudge's goes below min(minimum, held). A reclaim never goes below the minimum, the learned
 *     floor, or what the guest last said it uses (as far as it has touched that much) plus half its headroom and what
 *     its burst has touched since, file cache aside. No reclaim on statistics older than demand_stale_us() or of an
 *     earlier boot. Within 5 s of swap-in, major faults, refaults or stall above params' rates nothing is taken that
 *     could come back from swap: a reclaim takes then only what lies unused beyond a full headroom and all that was
 *     swapped out and not read back for good, half of it on one sample's word, and only while somebody waits; nothing
 *     where that is not known, or of a guest that has just grown fast (params->burst_bytes_per_s) or written to swap. A
 *     nudge may go one quantum (1 MiB) down.
 * G3  A fixed server's row is MOVE_NONE with its present target, and its held is at least its maximum.
 * G4  After a beat's grants, either less than one quantum of the pool is free, or every movable server has
 *     min(need, allocation) within a band. While any allocation is below its need, none that could be taken from
 *     is above its own need and floors. While somebody waits for what is not on its way (a reclaim counts whole for
 *     0.5 s, then as far as its speed brings within a second), every server that is movable, fresh and above its
 *     allocation and floors by two quanta is asked in the same beat, once for each sample.
 * G5  Allocations are weighted max-min in four tiers (minimum, need, comfort, maximum) above what G2 keeps, each
 *     within 1 % of the exact value; before the third are set aside slack, what bursts are about to touch and, where
 *     not all can have their maximum, half of what is left (or what they, those held just now as well, would lack
 *     if it were lent, where that is less). Settled targets are not more than 1 % below their allocation while the pool is not overcommitted; above
 *     it they may stay as long as nobody wants the difference.
 * G6  A claim of use, growth or lost cache beyond what the guest has touched on the host (residency + 16 MiB) lifts
 *     its share by at most 1 % and that margin, and costs the others together no more. A guest that has touched
 *     its memory once, or claims to swap, is believed: it keeps what it has (G2 comes first).
 * G7  With constant facts all rows become MOVE_NONE and stay so, once comfort, rests and learned floors have faded
 *     (at most 30 min and ten half-lives). A change within the band moves nothing, unless overcommitted. One change
 *     of need turns no server more than once by more than 1 %.
 * G8  Zeroed tracks are a right beginning at any instant: G1 to G3 hold from the first beat on, and nothing is
 *     reclaimed before a fresh sample. What is forgotten is caution: comfort, rests, learned floors, hands seen.
 * G9  A guest that took memory back from its balloon, with little of it left, gets a target of at least what it
 *     took in this very beat, also above the pool; its floor is then that plus its flat headroom, for at least 60 s,
 *     and fades by half every 10 min afterwards.
 */
void decision_make(const HostFacts *host, const ServerFacts *servers, ServerTrack *tracks, size_t n,
                   const PolicyParams *params, int64_t now_us, Decision *decision);

/* decision_bursts: between two decisions, plan_bursts() into decision->rows, with @before the rows of the last decision in
 * the order of @servers. Its guarantees are plan_bursts()'s; returns how many rows move. */
size_t decision_bursts(const HostFacts *host, const ServerFacts *servers, const Demand *demands,
                       const ServerTrack *tracks, const PlanRow *before, bool someone_waits, size_t n,
                       const PolicyParams *params, int64_t now_us, Decision *decision);
