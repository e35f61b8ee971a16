/* What the kernel shows of memory: a few small files, read into one buffer that is never freed. */
#include "agent.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* /proc/vmstat has some 4 KiB, and 6 KiB on large machines. */
#define FILE_BYTES 16384
#define PATH_BYTES 256

static const char *read_file(const char *root, const char *path)
{
    static char text[FILE_BYTES];
    char where[PATH_BYTES];
    snprintf(where, sizeof where, "%s%s", root, path);
    int fd = open(where, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t used = 0;
    for (ssize_t got; used < sizeof text - 1 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    close(fd);
    text[used] = '\0';
    return used > 0 ? text : NULL;
}

/* The number behind @name at the beginning of a line, in units of @unit. */
static uint64_t number_of(const char *text, const char *name, uint64_t unit)
{
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, length) != 0)
            continue;
        char *end;
        unsigned long long number = strtoull(line + length, &end, 10);
        return end != line + length ? number * unit : AGENT_UNKNOWN;
    }
    return AGENT_UNKNOWN;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345" */
static uint64_t total_of(const char *text, const char *kind)
{
    const char *line = strstr(text, kind), *total = line ? strstr(line, "total=") : NULL;
    const char *end = line ? strchr(line, '\n') : NULL;
    if (!total || (end && total > end))
        return AGENT_UNKNOWN;
    return strtoull(total + strlen("total="), NULL, 10);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    if (a == AGENT_UNKNOWN)
        return b;
    return b == AGENT_UNKNOWN ? a : a + b;
}

static void take_memory(const char *text, AgentSample *sample)
{
    sample->total_bytes = number_of(text, "MemTotal:", 1024);
    sample->available_bytes = number_of(text, "MemAvailable:", 1024);
    sample->free_bytes = number_of(text, "MemFree:", 1024);
    sample->swap_total_bytes = number_of(text, "SwapTotal:", 1024);
    sample->swap_free_bytes = number_of(text, "SwapFree:", 1024);
}

static void take_counters(const char *text, AgentSample *sample)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    sample->swap_in_bytes = number_of(text, "pswpin ", page_bytes);
    sample->swap_out_bytes = number_of(text, "pswpout ", page_bytes);
    sample->major_faults = number_of(text, "pgmajfault ", 1);
    sample->oom_kills = number_of(text, "oom_kill ", 1);
    /* Before Linux 5.9 anonymous and file pages were counted as one. */
    sample->refaults =
        sum(number_of(text, "workingset_refault_anon ", 1), number_of(text, "workingset_refault_file ", 1));
    sample->refaults = sum(sample->refaults, number_of(text, "workingset_refault ", 1));
}

void agent_sample(const char *root, AgentSample *ret)
{
    struct timespec up;
    memset(ret, 0, sizeof *ret);
    clock_gettime(CLOCK_BOOTTIME, &up);
    ret->uptime_us = (uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / 1000;
    const char *text = read_file(root, "/proc/sys/kernel/random/boot_id");
    if (text)
        snprintf(ret->boot_id, sizeof ret->boot_id, "%.36s", text);
    ret->boot_id[strcspn(ret->boot_id, "\n\"\\")] = '\0';
    text = read_file(root, "/proc/meminfo");
    take_memory(text ? text : "", ret);
    text = read_file(root, "/proc/vmstat");
    take_counters(text ? text : "", ret);
    text = read_file(root, "/proc/pressure/memory");
    ret->psi_some_us = total_of(text ? text : "", "some");
    ret->psi_full_us = total_of(text ? text : "", "full");
}
