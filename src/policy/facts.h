/*
 * What the policy sees: plain facts about one host and its servers at one instant.
 *
 * Everything the policy knows comes through these structs and its parameters: no I/O, no clock, no globals.
 * All *_bytes are bytes, all *_us are monotonic microseconds of one clock. A fact nobody could read is
 * UNKNOWN, never 0.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNKNOWN UINT64_MAX

/* Why the engine never touches a server; it counts at its maximum. Names and sentences: reasons.h. */
typedef enum {
    FIXED_NO,
    FIXED_DISABLED_BY_OWNER,
    FIXED_CONTAINER,
    FIXED_NO_DRIVER,
    FIXED_DEVICE_ASSIGNMENT,
    FIXED_HUGEPAGES,
    FIXED_LOCKED_MEMORY,
    FIXED_N
} FixedReason;

/* Why the engine holds still for now. */
typedef enum {
    HOLD_NO,
    HOLD_STARTING,  /* counts at its maximum until its driver has answered */
    HOLD_REBOOTING, /* the same, after a reset: the guest really has all its RAM whatever `actual` says */
    HOLD_PAUSED,
    HOLD_MIGRATING,
    HOLD_UNRESPONSIVE, /* its QEMU does not answer: nothing can be asked of it, so it holds what it holds */
    HOLD_MANUAL_OVERRIDE,  /* somebody else moved its balloon */
    HOLD_STALE_STATISTICS, /* may be granted to, never reclaimed from */
    HOLD_RESTING, /* after an OOM, a stall or a boot loop: granted to, never below the learned floor */
    HOLD_N
} HoldReason;

typedef struct {
    uint64_t maximum_bytes; /* what the server was sold; > 0 */
    uint64_t minimum_bytes; /* <= maximum_bytes */
    uint32_t weight;        /* >= 1 */
    FixedReason fixed;
    HoldReason hold;
    uint64_t balloon_bytes;  /* QEMU's `actual`: guest RAM not in the balloon ... */
    int64_t balloon_us;      /* ... and when that was read; 0: now */
    uint64_t target_bytes;   /* last asked for; equals balloon_bytes when nothing was ever asked */
    uint64_t resident_bytes; /* guest RAM the host really holds for it; or UNKNOWN. Beyond balloon and target
                                      only as far as it is not counted as overhead */
    uint64_t overhead_bytes; /* what its QEMU holds beyond guest RAM */
    uint64_t boot_count;     /* changes at every start and every reset of the guest */
    int64_t period_us;       /* how often the guest speaks; 0: once a second */
    int64_t sample_us;       /* when the guest's statistics below were first seen; 0 = never */
    uint64_t sample_balloon_bytes; /* the balloon size that belongs to that sample (the larger one when it
                                      moved) */
    uint64_t available_bytes;      /* as the guest reports it; or UNKNOWN */
    uint64_t unused_bytes;         /* MemFree of that sample: neither used nor cache; or UNKNOWN */
    uint64_t swap_in_bytes;        /* cumulative since the guest booted; or UNKNOWN */
    uint64_t swap_out_bytes;
    uint64_t major_faults;
    uint64_t refaults;    /* from the agent; or UNKNOWN */
    uint64_t stall_us;    /* from the agent: PSI memory "some" total; or UNKNOWN */
    int64_t told_us;      /* when the agent said these two; 0: with the sample */
    bool deflates_on_oom; /* the device has deflate-on-oom */
    bool booted;          /* the guest's driver has answered since the last start or reset */
    bool idle;            /* its virtual processors have all but stood still of late: it touches nothing */
    bool works;           /* its virtual processors run, and not for its balloon alone; or nobody knows */
    bool busy; /* a request to its hypervisor is under way: nothing new is asked of it; target_bytes is
                  then the larger of the target in force and the one asked for */
} ServerFacts;

static inline int64_t facts_balloon_us(const ServerFacts *facts, int64_t now_us)
{
    return facts->balloon_us != 0 ? facts->balloon_us : now_us;
}

typedef struct {
    uint64_t pool_bytes;  /* all servers together may hold this, overhead included, fixed ones included */
    uint64_t slack_bytes; /* wanted: reclaimed and granted to nobody */
} HostFacts;
