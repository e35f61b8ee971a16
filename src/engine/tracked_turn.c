/* A raise that was cut short: how far it had come nobody knows until it has been looked at. */
#include "base/u64.h"
#include "engine/tracked.h"

/* The first look may show what libvirt remembers; the next one is of QEMU. */
#define TURN_LOOKS 2
/* libvirt hears of a balloon once a second: what has been seen for longer than that is true. */
#define TURN_MOST_US INT64_C(2000000)
/* Hypervisors count in pages and KiB. */
#define GRAIN_BYTES (64 * KIB)

void tracked_turn(Tracked *tracked, uint64_t bytes, int64_t now_us)
{
    uint64_t before = tracked->target_bytes;
    bool rose = before > u64_add_sat(tracked->latest->balloon_bytes, GRAIN_BYTES);
    tracked->turned_bytes = rose && bytes < before ? before : 0;
    tracked->turned_us = now_us;
    tracked->turned_looks = 0;
}

void tracked_see_turn(Tracked *tracked, int64_t began_us)
{
    uint64_t balloon = tracked->latest->balloon_bytes;
    if (tracked->turned_bytes == 0 || began_us <= tracked->turned_us)
        return;
    bool fell = tracked->turned_looks > 0 && balloon < tracked->turned_balloon_bytes;
    bool there = balloon <= u64_add_sat(tracked->target_bytes, GRAIN_BYTES);
    tracked->turned_looks++;
    tracked->turned_balloon_bytes = balloon;
    if ((tracked->turned_looks >= TURN_LOOKS && (fell || there)) ||
        began_us - tracked->turned_us >= TURN_MOST_US)
        tracked->turned_bytes = 0;
}
