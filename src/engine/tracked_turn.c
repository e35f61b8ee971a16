/* A raise that was cut short: how far it had come nobody knows until QEMU has told. */
#include "base/u64.h"
#include "engine/tracked.h"

/* A guest that does not follow by then stands where QEMU says that it stands. */
#define TURN_MOST_US INT64_C(2000000)
/* Hypervisors count in pages and KiB. */
#define GRAIN_BYTES (64 * KIB)

void tracked_turn(Tracked *tracked, uint64_t bytes, int64_t now_us)
{
    uint64_t before = tracked->target_bytes;
    bool rose = before > u64_add_sat(tracked->latest->balloon_bytes, GRAIN_BYTES);
    tracked->turned_bytes = rose && bytes < before ? before : 0;
    tracked->turned_us = now_us;
    tracked->turned_read = FALSE;
}

/* One reading is not enough: a step of up to 1 MiB may have been under way when the target was lowered. */
void tracked_see_turn(Tracked *tracked)
{
    uint64_t balloon = tracked->latest->balloon_bytes;
    int64_t read_us = tracked->latest->balloon_read_us;
    /* What is remembered of one that did not answer says nothing. */
    if (tracked->turned_bytes == 0 || !tracked->latest->responsive || read_us <= tracked->turned_us ||
        (tracked->turned_read && read_us <= tracked->turned_read_us))
        return;
    bool again = tracked->turned_read;
    bool fell = balloon < tracked->turned_balloon_bytes;
    bool there = balloon <= u64_add_sat(tracked->target_bytes, GRAIN_BYTES);
    bool stands = balloon == tracked->turned_balloon_bytes && read_us - tracked->turned_us >= TURN_MOST_US;
    if (again && (fell || there || stands))
        tracked->turned_bytes = 0;
    tracked->turned_read = TRUE;
    tracked->turned_read_us = read_us;
    tracked->turned_balloon_bytes = balloon;
}
