/* A sample as one line of JSON; what is not known is left out. */
#include "agent.h"
#include <inttypes.h>
#include <stdio.h>

typedef struct {
    const char *name;
    uint64_t value;
} Member;

size_t agent_line(const AgentSample *sample, AgentWhy why, uint64_t sequence, bool triggers, char *line,
                  size_t room)
{
    static const char *const REASONS[] = {
        [WHY_HELLO] = "hello", [WHY_PERIOD] = "period", [WHY_PRESSURE] = "pressure"};
    const Member members[] = {
        {"uptime_us", sample->uptime_us},
        {"psi_some_us", sample->psi_some_us},
        {"psi_full_us", sample->psi_full_us},
        {"total_bytes", sample->total_bytes},
        {"available_bytes", sample->available_bytes},
        {"free_bytes", sample->free_bytes},
        {"swap_total_bytes", sample->swap_total_bytes},
        {"swap_free_bytes", sample->swap_free_bytes},
        {"swap_in_bytes", sample->swap_in_bytes},
        {"swap_out_bytes", sample->swap_out_bytes},
        {"major_faults", sample->major_faults},
        {"refaults", sample->refaults},
        {"oom_kills", sample->oom_kills},
    };
    int used = snprintf(
        line, room,
        "{\"v\":1,\"version\":\"%s\",\"why\":\"%s\",\"sequence\":%" PRIu64 ",\"boot\":\"%s\",\"triggers\":%s",
        AEROSTAT_VERSION, REASONS[why], sequence, sample->boot_id, triggers ? "true" : "false");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (used < 0 || (size_t)used >= room)
            return 0;
        if (members[i].value != AGENT_UNKNOWN)
            used += snprintf(line + used, room - (size_t)used, ",\"%s\":%" PRIu64, members[i].name,
                             members[i].value);
    }
    if (used < 0 || (size_t)used + 2 >= room)
        return 0;
    line[used] = '}';
    line[used + 1] = '\n';
    return (size_t)used + 2;
}
