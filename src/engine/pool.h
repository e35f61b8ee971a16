/* Pool: how many bytes the servers may hold together, from the config and what the host shows. Pure. */
#pragma once
#include "backend/hostinfo.h"
#include "base/config.h"

/*
 * pool_bytes:
 * @resident_bytes: RSS of all servers together, overhead included
 * @before_bytes:   the pool of the beat before; 0 = none
 * A configured size is taken as it is, up to the host's memory. `auto`: memory - reserve - what others use, where reclaimable cache and ZFS ARC
 * above its minimum are not use: others = memory - available - resident. It falls at once and rises only by steps of
 * more than 1 % of memory, so that the noise of other processes does not move balloons.
 */
uint64_t pool_bytes(const Config *config, const HostMemory *host, uint64_t resident_bytes,
                    uint64_t before_bytes);
uint64_t pool_slack_bytes(const Config *config, uint64_t pool);
