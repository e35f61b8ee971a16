/* The anonymous working set: grows at a rate, is re-written all the time at random, and is given back. */
#define _GNU_SOURCE
#include "lab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Address space only; no guest of the lab is larger. */
#define REGION_BYTES (UINT64_C(256) << 30)
/* From one portion of work to the next; short against the manager's fast beat of 100 ms. */
#define TICK_US 10000
/* The same for a trickle, which is not to wake an emulated processor more often than it must. */
#define TRICKLE_TICK_US  30000
#define TRICKLE_PER_TICK 150
/* Work of a stalled tick that is caught up with; what is beyond is lost, so a stall shows in the counters. */
#define CATCH_UP_US 50000
/* Pages between two looks at the clock and the goal when there is no rate. */
#define CHUNK_PAGES 256

struct anon {
    struct shared *shared;
    int notes;
    uint64_t *region;
    uint64_t pages, goal_pages, from_pages;
    int64_t goal_seen_us;
    uint64_t random;
    bool burst_told, huge_pages;
};

static uint64_t next_random(struct anon *anon)
{
    anon->random ^= anon->random << 13;
    anon->random ^= anon->random >> 7;
    anon->random ^= anon->random << 17;
    return anon->random;
}

static void tell(const struct anon *anon, enum note_kind kind, int64_t now_us)
{
    struct note note = {.kind = kind,
                        .time_us = now_us,
                        .took_us = now_us - anon->goal_seen_us,
                        .from_bytes = anon->from_pages * PAGE_BYTES,
                        .goal_bytes = anon->goal_pages * PAGE_BYTES};
    if (write(anon->notes, &note, sizeof note) != (ssize_t)sizeof note)
        _exit(1);
}

/* Every word of a page differs from its neighbours and from every other page: nothing to merge or compress. */
static void fill_page(struct anon *anon, uint64_t page)
{
    uint64_t *words = anon->region + page * (PAGE_BYTES / sizeof(uint64_t));
    uint64_t value = next_random(anon);
    for (size_t i = 0; i < PAGE_BYTES / sizeof(uint64_t); i++) {
        words[i] = value;
        value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
}

static void grow(struct anon *anon, uint64_t pages)
{
    if (!anon->burst_told) {
        anon->burst_told = true;
        tell(anon, NOTE_BURST, time_us(CLOCK_REALTIME));
    }
    for (uint64_t i = 0; i < pages && anon->pages < anon->goal_pages; i++) {
        fill_page(anon, anon->pages++);
        atomic_fetch_add_explicit(&anon->shared->anon_ops, 1, memory_order_relaxed);
        atomic_store_explicit(&anon->shared->anon_bytes, anon->pages * PAGE_BYTES, memory_order_relaxed);
    }
    if (anon->pages == anon->goal_pages)
        tell(anon, NOTE_REACHED, time_us(CLOCK_REALTIME));
}

static void shrink(struct anon *anon)
{
    char *base = (char *)anon->region;
    madvise(base + anon->goal_pages * PAGE_BYTES, (anon->pages - anon->goal_pages) * PAGE_BYTES,
            MADV_DONTNEED);
    anon->pages = anon->goal_pages;
    atomic_store(&anon->shared->anon_bytes, anon->pages * PAGE_BYTES);
    tell(anon, NOTE_REACHED, time_us(CLOCK_REALTIME));
}

static void touch(struct anon *anon, uint64_t pages)
{
    if (anon->pages == 0)
        return;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t random = next_random(anon);
        uint64_t page = (uint64_t)(((unsigned __int128)random * anon->pages) >> 64);
        anon->region[page * (PAGE_BYTES / sizeof(uint64_t)) + (random & 511)] = random;
        atomic_fetch_add_explicit(&anon->shared->anon_ops, 1, memory_order_relaxed);
    }
}

static void read_goal(struct anon *anon)
{
    bool huge_pages = atomic_load(&anon->shared->huge_pages);
    if (huge_pages != anon->huge_pages) {
        madvise(anon->region, REGION_BYTES, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        anon->huge_pages = huge_pages;
    }
    uint64_t goal = atomic_load(&anon->shared->anon_goal_bytes) / PAGE_BYTES;
    if (goal == anon->goal_pages)
        return;
    anon->goal_pages = goal;
    anon->from_pages = anon->pages;
    anon->goal_seen_us = time_us(CLOCK_REALTIME);
    anon->burst_told = false;
    if (goal <= anon->pages)
        shrink(anon);
}

/* Pages due after @elapsed_us at @per_second, carrying the rest over in @rest (millionths of a page). */
static uint64_t due(uint64_t per_second, int64_t elapsed_us, uint64_t *rest)
{
    uint64_t millionths = per_second * (uint64_t)elapsed_us + *rest;
    *rest = millionths % 1000000;
    return millionths / 1000000;
}

static void tick(struct anon *anon, int64_t elapsed_us)
{
    static uint64_t grow_rest, touch_rest;
    uint64_t rate = atomic_load(&anon->shared->anon_rate_bytes) / PAGE_BYTES;
    uint64_t touches = atomic_load(&anon->shared->touch_rate);
    if (anon->pages < anon->goal_pages) {
        uint64_t pages = rate == 0 ? CHUNK_PAGES : due(rate, elapsed_us, &grow_rest);
        if (pages > 0)
            grow(anon, pages);
    }
    touch(anon, touches == TOUCH_MAX ? CHUNK_PAGES : due(touches, elapsed_us, &touch_rest));
}

static void prepare(struct anon *anon)
{
    void *region =
        mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) {
        fprintf(stderr, "aerolab: mmap: %s\n", strerror(errno));
        _exit(1);
    }
    anon->region = region;
    anon->huge_pages = true;
    anon->random = (uint64_t)time_us(CLOCK_REALTIME) | 1;
}

/* 0: it has more to do than it can; negative: nothing. */
static int64_t sleep_us(const struct anon *anon)
{
    uint64_t touches = anon->pages > 0 ? atomic_load(&anon->shared->touch_rate) : 0;
    if (anon->pages < anon->goal_pages)
        return atomic_load(&anon->shared->anon_rate_bytes) == 0 ? 0 : TICK_US;
    if (touches == TOUCH_MAX || touches == 0)
        return touches == 0 ? -1 : 0;
    return touches * TRICKLE_TICK_US / 1000000 <= TRICKLE_PER_TICK ? TRICKLE_TICK_US : TICK_US;
}

void anon_run(struct shared *shared, int notes)
{
    struct anon anon = {.shared = shared, .notes = notes};
    prepare(&anon);
    for (int64_t last_us = time_us(CLOCK_MONOTONIC);;) {
        uint32_t seen = atomic_load(&shared->changes);
        read_goal(&anon);
        int64_t now_us = time_us(CLOCK_MONOTONIC);
        int64_t elapsed_us = now_us - last_us;
        last_us = now_us;
        tick(&anon, elapsed_us < CATCH_UP_US ? elapsed_us : CATCH_UP_US);
        int64_t pause_us = sleep_us(&anon);
        if (pause_us != 0)
            pause_until_changed(shared, seen, pause_us);
        if (pause_us < 0)
            last_us = time_us(CLOCK_MONOTONIC); /* nothing was due meanwhile */
    }
}
