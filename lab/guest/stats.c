/* Reads the guest kernel's own counters and writes the report line. */
#define _GNU_SOURCE
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t time_us(int clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Without stdio: nothing here may allocate while the guest is short of memory. */
static char *slurp(const char *path)
{
    static char text[16384];
    text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return text;
    size_t used = 0;
    for (ssize_t got; used < sizeof text - 1; used += (size_t)got)
        if ((got = read(fd, text + used, sizeof text - 1 - used)) <= 0)
            break;
    text[used] = '\0';
    close(fd);
    return text;
}

/* The number after the line that starts with @key; 0 when the kernel has no such line. */
static uint64_t number(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, length) == 0)
            return strtoull(line + length, NULL, 10);
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return 0;
}

static uint64_t psi_total_us(const char *text, const char *kind)
{
    const char *line = strstr(text, kind);
    const char *total = line == NULL ? NULL : strstr(line, "total=");
    return total == NULL ? 0 : strtoull(total + strlen("total="), NULL, 10);
}

struct meminfo stats_meminfo(void)
{
    const char *text = slurp("/proc/meminfo");
    return (struct meminfo){
        .total_bytes = number(text, "MemTotal:") * 1024,
        .free_bytes = number(text, "MemFree:") * 1024,
        .available_bytes = number(text, "MemAvailable:") * 1024,
        .cached_bytes = number(text, "Cached:") * 1024,
        .buffers_bytes = number(text, "Buffers:") * 1024,
        .swap_total_bytes = number(text, "SwapTotal:") * 1024,
        .swap_free_bytes = number(text, "SwapFree:") * 1024,
    };
}

static uint64_t resident_bytes(pid_t pid)
{
    char path[48];
    if (pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    const char *second = strchr(slurp(path), ' ');
    return second == NULL ? 0 : strtoull(second, NULL, 10) * PAGE_BYTES;
}

struct out {
    char *text;
    size_t size, used;
};

static void put(struct out *out, const char *key, uint64_t value)
{
    int n = snprintf(out->text + out->used, out->size - out->used, ",\"%s\":%" PRIu64, key, value);
    if (n > 0 && (size_t)n < out->size - out->used)
        out->used += (size_t)n;
}

static void put_workload(struct out *out, const struct shared *shared, const struct worker *anon)
{
    put(out, "anon_goal_bytes", atomic_load(&shared->anon_goal_bytes));
    put(out, "anon_bytes", atomic_load(&shared->anon_bytes));
    put(out, "anon_ops", atomic_load(&shared->anon_ops));
    put(out, "cache_goal_bytes", atomic_load(&shared->cache_goal_bytes));
    put(out, "cache_bytes", atomic_load(&shared->cache_bytes));
    put(out, "cache_ops", atomic_load(&shared->cache_ops));
    put(out, "worker_alive", anon->pid != 0);
    put(out, "worker_restarts", anon->starts == 0 ? 0 : anon->starts - 1);
    put(out, "worker_rss_bytes", resident_bytes(anon->pid));
}

static void put_memory(struct out *out)
{
    struct meminfo info = stats_meminfo();
    put(out, "mem_total_bytes", info.total_bytes);
    put(out, "mem_free_bytes", info.free_bytes);
    put(out, "mem_available_bytes", info.available_bytes);
    put(out, "cached_bytes", info.cached_bytes);
    put(out, "buffers_bytes", info.buffers_bytes);
    put(out, "swap_total_bytes", info.swap_total_bytes);
    put(out, "swap_free_bytes", info.swap_free_bytes);
}

static void put_kernel(struct out *out)
{
    const char *psi = slurp("/proc/pressure/memory");
    put(out, "psi_some_us", psi_total_us(psi, "some"));
    put(out, "psi_full_us", psi_total_us(psi, "full"));
    const char *vmstat = slurp("/proc/vmstat");
    put(out, "oom_kill", number(vmstat, "oom_kill "));
    put(out, "pswpin", number(vmstat, "pswpin "));
    put(out, "pswpout", number(vmstat, "pswpout "));
    put(out, "pgmajfault", number(vmstat, "pgmajfault "));
    put(out, "workingset_refault_anon", number(vmstat, "workingset_refault_anon "));
    put(out, "workingset_refault_file", number(vmstat, "workingset_refault_file "));
    put(out, "balloon_inflate", number(vmstat, "balloon_inflate "));
    put(out, "balloon_deflate", number(vmstat, "balloon_deflate "));
}

size_t stats_report(char *line, size_t size, const struct shared *shared, const struct worker *anon)
{
    struct out out = {.text = line, .size = size - 3};
    int n = snprintf(line, size, "{\"type\":\"report\",\"time_us\":%" PRId64 ",\"uptime_us\":%" PRId64,
                     time_us(CLOCK_REALTIME), time_us(CLOCK_BOOTTIME));
    out.used = (size_t)n;
    put_workload(&out, shared, anon);
    put_memory(&out);
    put_kernel(&out);
    memcpy(line + out.used, "}\n", 3);
    return out.used + 2;
}
