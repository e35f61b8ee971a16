/* The account of what servers can hold right now. */
#include "policy/ledger.h"
#include "base/u64.h"

static bool counts_full(const ServerFacts *facts, const PolicyParams *params)
{
    if (facts->fixed != FIXED_NO)
        return true;
    bool boots = facts->hold == HOLD_STARTING || facts->hold == HOLD_REBOOTING;
    return boots && rule_on(params, RULE_COUNT_REBOOT_FULL);
}

uint64_t ledger_held_with_target(const ServerFacts *facts, const PolicyParams *params, uint64_t target_bytes)
{
    uint64_t held = u64_max(facts->balloon_bytes, target_bytes);
    if (facts->resident_bytes != UNKNOWN)
        held = u64_max(held, facts->resident_bytes);
    if (counts_full(facts, params))
        held = u64_max(held, facts->maximum_bytes);
    return held;
}

uint64_t ledger_held(const ServerFacts *facts, const PolicyParams *params)
{
    return ledger_held_with_target(facts, params, facts->target_bytes);
}

uint64_t ledger_committed(const ServerFacts *facts, const PolicyParams *params)
{
    return u64_add_sat(ledger_held(facts, params), facts->overhead_bytes);
}

Ledger ledger_make(const HostFacts *host, const ServerFacts *servers, size_t n, const PolicyParams *params)
{
    Ledger ledger = {.pool_bytes = host->pool_bytes};
    for (size_t i = 0; i < n; i++) {
        uint64_t committed = ledger_committed(&servers[i], params);
        ledger.committed_bytes = u64_add_sat(ledger.committed_bytes, committed);
        ledger.overhead_bytes = u64_add_sat(ledger.overhead_bytes, servers[i].overhead_bytes);
        if (servers[i].fixed != FIXED_NO)
            ledger.fixed_bytes = u64_add_sat(ledger.fixed_bytes, committed);
    }
    ledger.free_bytes = u64_sub_sat(ledger.pool_bytes, ledger.committed_bytes);
    ledger.over_bytes = u64_sub_sat(ledger.committed_bytes, ledger.pool_bytes);
    for (size_t i = 0; i < n; i++) {
        uint64_t extra = u64_sub_sat(servers[i].maximum_bytes, ledger_held(&servers[i], params));
        ledger.reboot_extra_bytes = u64_max(ledger.reboot_extra_bytes, extra);
        if (extra <= ledger.free_bytes && ledger.over_bytes == 0)
            ledger.reboot_safe_bytes = u64_max(ledger.reboot_safe_bytes, servers[i].maximum_bytes);
    }
    return ledger;
}
