/* The pool from config and host. */
#include "engine/pool.h"
#include "base/u64.h"

uint64_t pool_bytes(const Config *config, const HostMemory *host, uint64_t resident_bytes,
                    uint64_t before_bytes)
{
    if (!config->pool.is_auto)
        return u64_min(size_setting_resolve(&config->pool, host->memory_bytes, 0), host->memory_bytes);
    uint64_t reserve = size_setting_resolve(&config->reserve, host->memory_bytes, host->memory_bytes / 10);
    uint64_t used = u64_sub_sat(host->memory_bytes, host->available_bytes);
    uint64_t others = u64_sub_sat(used, resident_bytes);
    uint64_t pool = u64_sub_sat(host->memory_bytes, u64_add_sat(reserve, others));
    uint64_t step = host->memory_bytes / 100;
    if (before_bytes != 0 && pool > before_bytes && pool - before_bytes <= step)
        return before_bytes;
    return pool;
}

uint64_t pool_slack_bytes(const Config *config, uint64_t pool)
{
    return size_setting_resolve(&config->slack, pool, pool / 20);
}
