/*
 * Guest: one modelled virtual server.
 *
 *   RAM (balloon size) = watermarks + anonymous in RAM + hot files + files read once + free
 *
 * When memory is short it drops files read once, then hot files, then swaps out as fast as its swap takes it, and is
 * killed when nothing of that helps for 200 ms (or takes memory back from its balloon where the device deflates on
 * OOM). What of its working set is not in RAM slows its work down. Pure but for its own random numbers: time comes as
 * an argument.
 */
#pragma once
#include <stdbool.h>
#include "sim/random.h"
#include "sim/scenario.h"

/* What the guest says, as of some moment. */
typedef struct {
    int64_t taken_us;
    uint64_t balloon_bytes, available_bytes, free_bytes, total_bytes;
    uint64_t swap_in_bytes, swap_out_bytes, major_faults;
} GuestSample;

typedef struct {
    const GuestSpec *spec;
    Random random;
    /* Its own speeds, drawn from the measured ranges where the scenario is silent. */
    double inflate_speed, deflate_speed, touch_speed;
    uint64_t watermark_bytes;
    /* Memory. */
    uint64_t ram_bytes;    /* not in the balloon: the truth */
    uint64_t actual_bytes; /* what QEMU says of it: wrong for a while after a reboot */
    uint64_t target_bytes; /* of the device */
    uint64_t anon_bytes;   /* in RAM */
    uint64_t swapped_bytes;
    uint64_t hot_bytes, cold_bytes; /* files in RAM */
    uint64_t resident_bytes;        /* what the host holds for it */
    int64_t resident_peak_us;
    bool gave_back; /* deflated on OOM: its driver does not inflate again before it is asked anew */
    /* What it would have now if memory were no matter. */
    uint64_t ideal_anon_bytes, ideal_hot_bytes;
    guint phase;
    int64_t cycle_us; /* when the present round of phases began */
    /* Life. */
    uint64_t boot_count;
    int64_t driver_at_us;  /* while booting: when its balloon driver comes up; else 0 */
    int64_t down_until_us; /* after a kill its service starts anew */
    uint64_t killed_bytes; /* what it had in use when it was killed: it wants that still */
    int64_t blocked_us;    /* so long it has found no memory at all */
    int64_t last_us;
    guint next_reboot;
    int64_t next_regular_reboot_us;
    bool frozen; /* this step its balloon may not inflate */
    /* Statistics: what was said last, and what is on its way. */
    GuestSample said, saying;
    int64_t said_us;      /* when said became visible; 0 = never */
    int64_t saying_at_us; /* when saying becomes visible; 0 = nothing is on its way */
    int64_t next_sample_us;
    /* Counters, since the beginning (swap and faults of the samples: since the boot). */
    uint64_t swap_in_bytes, swap_out_bytes, major_faults;
    uint64_t boot_swap_in_bytes, boot_swap_out_bytes, boot_major_faults;
    uint64_t kills, oom_deflates, reboots;
    double rate;  /* of work in the last step: 0 ... 1 */
    bool down;    /* in the last step it was booting or starting its service anew */
    bool settled; /* nothing changes until wake_us by itself */
    int64_t wake_us;
} Guest;

/* @seed: of this guest alone, so that it behaves the same under every policy. */
void guest_init(Guest *guest, const GuestSpec *spec, uint64_t ram_bytes, uint64_t seed);

/* guest_step: from last_us to @now_us, at most a tick apart unless it is settled. */
void guest_step(Guest *guest, int64_t now_us);

/* guest_set_target: the device's target; the driver begins with the next step. */
void guest_set_target(Guest *guest, uint64_t bytes);

/* guest_ask: asks for statistics at once; they are visible 5 ms later, unless the guest cannot answer. */
void guest_ask(Guest *guest, int64_t now_us);

/* guest_hear: makes visible what has arrived by @now_us. */
void guest_hear(Guest *guest, int64_t now_us);

/* guest_reset: the guest reboots: it has all its RAM at once, whatever `actual` says. */
void guest_reset(Guest *guest, int64_t now_us);

/* Whether its processors stand still, as far as the host can see: no work but that of its balloon. */
bool guest_idles(const Guest *guest);

/* Whether its QEMU answers at all. */
bool guest_responds(const Guest *guest, int64_t now_us);

/* What it must have to work at full speed, by the scenario. */
uint64_t guest_need(const Guest *guest);
/* How much of that is not in RAM. */
uint64_t guest_missing(const Guest *guest);
/* The most it can hold at this instant without asking anybody, overhead included: the truth the ledger must cover. */
uint64_t guest_committed(const Guest *guest);
