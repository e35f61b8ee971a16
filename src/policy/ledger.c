/* The account of what servers can hold right now. */
#include "policy/ledger.h"
#include "base/u64.h"

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
