/* Agent line: one line from a guest's agent, which may say anything: read, bounded, and held against itself. Pure. */
#pragma once
#include <stdint.h>
#include <glib.h>

#define AGENT_LINE_MAX 4096

/* What a guest claims. UNKNOWN where it says nothing; counters are since its boot. */
typedef struct {
    char version[24];
    char boot[40];
    gboolean pressure;  /* sent at once, because the guest waits for memory */
    uint64_t uptime_us; /* when it was said, by the guest's own clock */
    uint64_t psi_some_us;
    uint64_t total_bytes, available_bytes, free_bytes;
    uint64_t swap_in_bytes, swap_out_bytes, major_faults, refaults, oom_kills;
} AgentSample;

/*
 * agent_line_parse:
 * @maximum_bytes: what the machine has; no size may be larger
 * @before: (nullable): the sample before; counters of one boot do not fall
 * @ret:    (out): untouched on failure
 * Errors: AEROSTAT_ERROR_INVALID: no JSON object, another version of the protocol, a member of the wrong type, more free
 *         than available than there is, a counter that fell. Any bytes are safe.
 */
gboolean agent_line_parse(const char *text, gsize length, uint64_t maximum_bytes, const AgentSample *before,
                          AgentSample *ret, GError **error);
