/*
 * Ledger: the account of all bytes servers can hold right now against the pool. Always an upper bound of the
 * truth:
 *
 *   held      = max(balloon size, target, resident guest memory), or the maximum for a server that is fixed,
 * starting or rebooting: what it could touch without asking anyone committed = held + overhead
 */
#pragma once
#include "base/u64.h"
#include "policy/facts.h"
#include "policy/params.h"

typedef struct {
    uint64_t pool_bytes;
    uint64_t committed_bytes;
    uint64_t fixed_bytes;        /* the part of committed that belongs to fixed servers */
    uint64_t overhead_bytes;     /* the part of committed that is overhead */
    uint64_t free_bytes;         /* pool - committed; 0 when overcommitted */
    uint64_t over_bytes;         /* committed - pool; 0 when G1 holds */
    uint64_t reboot_extra_bytes; /* the most any one running server would add by rebooting now */
    uint64_t
        reboot_safe_bytes; /* the largest maximum among servers that could reboot now without over_bytes */
} Ledger;

/* ledger_held_with_target: what it would hold if its target were @target_bytes: what a grant would commit. Inline, as the
 * next: asked several times of every server in every beat. */
static inline uint64_t ledger_held_with_target(const ServerFacts *facts, const PolicyParams *params,
                                               uint64_t target_bytes)
{
    uint64_t held = u64_max(facts->balloon_bytes, target_bytes);
    if (facts->resident_bytes != UNKNOWN)
        held = u64_max(held, facts->resident_bytes);
    bool boots = facts->hold == HOLD_STARTING || facts->hold == HOLD_REBOOTING;
    if (facts->fixed != FIXED_NO || (boots && rule_on(params, RULE_COUNT_REBOOT_FULL)))
        held = u64_max(held, facts->maximum_bytes);
    return held;
}

static inline uint64_t ledger_held(const ServerFacts *facts, const PolicyParams *params)
{
    return ledger_held_with_target(facts, params, facts->target_bytes);
}

uint64_t ledger_committed(const ServerFacts *facts, const PolicyParams *params);

Ledger ledger_make(const HostFacts *host, const ServerFacts *servers, size_t n, const PolicyParams *params);
