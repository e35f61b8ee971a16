/* The file cache: reads a part of a disk over and over, so that the guest's page cache wants to hold it. */
#define _GNU_SOURCE
#include "lab.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (64 * 1024)
#define TICK_US     10000
#define CATCH_UP_US 50000

struct cache {
    struct shared *shared;
    int notes, disk;
    uint64_t goal_bytes, at_bytes, random;
    int64_t goal_seen_us;
    char buffer[CHUNK_BYTES];
};

static void tell(const struct cache *cache)
{
    int64_t now_us = time_us(CLOCK_REALTIME);
    struct note note = {.kind = NOTE_CACHED,
                        .time_us = now_us,
                        .took_us = now_us - cache->goal_seen_us,
                        .goal_bytes = cache->goal_bytes};
    if (write(cache->notes, &note, sizeof note) != (ssize_t)sizeof note)
        _exit(1);
}

/* The first pass goes from the start to the end; after it chunks are picked at random, as real caches are used. */
static void read_chunk(struct cache *cache)
{
    bool first_pass = cache->at_bytes < cache->goal_bytes;
    uint64_t offset = cache->at_bytes;
    if (!first_pass) {
        cache->random = cache->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        offset = (cache->random >> 33) % (cache->goal_bytes / CHUNK_BYTES) * CHUNK_BYTES;
    }
    ssize_t got = pread(cache->disk, cache->buffer, CHUNK_BYTES, (off_t)offset);
    if (got <= 0) {
        usleep(TICK_US);
        return;
    }
    atomic_fetch_add_explicit(&cache->shared->cache_ops, (uint64_t)got / PAGE_BYTES, memory_order_relaxed);
    if (!first_pass)
        return;
    cache->at_bytes += CHUNK_BYTES;
    atomic_store(&cache->shared->cache_bytes, cache->at_bytes);
    if (cache->at_bytes >= cache->goal_bytes)
        tell(cache);
}

static void read_goal(struct cache *cache)
{
    uint64_t goal = atomic_load(&cache->shared->cache_goal_bytes) / CHUNK_BYTES * CHUNK_BYTES;
    if (goal == cache->goal_bytes)
        return;
    cache->goal_bytes = goal;
    cache->goal_seen_us = time_us(CLOCK_REALTIME);
    if (cache->at_bytes > goal)
        cache->at_bytes = goal;
    atomic_store(&cache->shared->cache_bytes, cache->at_bytes);
}

void cache_run(struct shared *shared, int notes)
{
    static struct cache cache;
    char path[32];
    if (!boot_find_disk("cache", path, sizeof path))
        _exit(1);
    cache = (struct cache){.shared = shared, .notes = notes, .random = (uint64_t)time_us(CLOCK_REALTIME)};
    cache.disk = open(path, O_RDONLY | O_CLOEXEC);
    if (cache.disk < 0)
        _exit(1);
    posix_fadvise(cache.disk, 0, 0, POSIX_FADV_RANDOM);

    uint64_t budget = 0;
    for (int64_t last_us = time_us(CLOCK_MONOTONIC);;) {
        uint32_t seen = atomic_load(&shared->changes);
        read_goal(&cache);
        uint64_t rate = atomic_load(&shared->cache_rate_bytes);
        int64_t now_us = time_us(CLOCK_MONOTONIC);
        int64_t elapsed_us = now_us - last_us < CATCH_UP_US ? now_us - last_us : CATCH_UP_US;
        last_us = now_us;
        budget += rate == 0 ? CHUNK_BYTES : rate / 1000 * (uint64_t)elapsed_us / 1000;
        for (; cache.goal_bytes > 0 && budget >= CHUNK_BYTES; budget -= CHUNK_BYTES)
            read_chunk(&cache);
        if (cache.goal_bytes == 0)
            budget = 0;
        bool idles = cache.goal_bytes == 0;
        if (idles || rate != 0)
            pause_until_changed(shared, seen, idles ? -1 : TICK_US);
        if (idles)
            last_us = time_us(CLOCK_MONOTONIC); /* nothing was due meanwhile */
    }
}
