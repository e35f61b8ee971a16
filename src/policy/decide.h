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
 * Guarantees, for any facts and any order of events (docs/policy.md has the proofs' sketches; tests/property
 * holds them over random hosts): G1 carrying out the rows, in any order and partially, never lifts the
 * ledger's committed above max(pool, committed before): grants are paid from free bytes only. G2 no row's
 * target is below min(minimum, held) and no reclaim goes below the learned floor or used + margin; no reclaim
 * on statistics older than params->stale_us, or while the guest swaps in or faults. G3 a fixed server's row
 * is always MOVE_NONE. G4 a server with short_bytes > 0 gets every free byte of the pool, slack included, in
 * this very beat, and donors with anything above their own need are reclaimed from in parallel. G5
 * allocations are weighted max-min per tier: minimum, need, comfort, maximum. G6 a claim of use beyond
 * residency lifts nothing. G7 with constant facts the rows become MOVE_NONE and stay so. G9 a guest seen out
 * of memory gets what it took, rests, and its floor rises.
 */
void decision_make(const HostFacts *host, const ServerFacts *servers, ServerTrack *tracks, size_t n,
                   const PolicyParams *params, int64_t now_us, Decision *decision);
