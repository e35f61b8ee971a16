/*
 * The guest's own word on its memory: one line of JSON a second on a virtio-serial port, and at once when the kernel
 * reports pressure. Plain C and libc alone, so that a guest with only a compiler can build it:
 *
 *   cc -static -O2 -DAEROSTAT_VERSION='"0.1.0"' -o aerostat-agent src/agent/[a-z]*.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_PORT "org.aerostat.agent.0"
/* The longest line is near 700 bytes. */
#define AGENT_LINE_BYTES 1024
#define AGENT_UNKNOWN    UINT64_MAX

/* What the kernel shows at one instant; AGENT_UNKNOWN where it shows nothing. Counters are since boot. */
typedef struct {
    char boot_id[40];
    uint64_t uptime_us;
    uint64_t psi_some_us, psi_full_us; /* /proc/pressure/memory */
    uint64_t total_bytes, available_bytes, free_bytes, swap_total_bytes, swap_free_bytes;
    uint64_t swap_in_bytes, swap_out_bytes, major_faults, refaults, oom_kills;
} AgentSample;

typedef enum { WHY_HELLO, WHY_PERIOD, WHY_PRESSURE } AgentWhy;

/* sample.c: reads /proc below @root ("" on a real system). */
void agent_sample(const char *root, AgentSample *ret);

/* line.c: the line, newline included, without a NUL at its end. Returns its length, 0 when @room is too small. */
size_t agent_line(const AgentSample *sample, AgentWhy why, uint64_t sequence, bool triggers, char *line,
                  size_t room);

/* port.c: the port's descriptor, non-blocking; -1 when there is none. @path: (nullable) instead of looking for it. */
int agent_open_port(const char *path);
