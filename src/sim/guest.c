/* Life of a modelled guest: boots, statistics, and each step's order. Its memory is in guest_memory.c. */
#include "sim/guest.h"
#include <string.h>
#include "base/u64.h"
#include "sim/guest_memory.h"

#define SECOND_US INT64_C(1000000)
/* Measured on real guests (QEMU 7.2, Linux 6.1): docs/simulator.md. */
#define INFLATE_LOW  (210.0 * MIB)
#define INFLATE_HIGH (420.0 * MIB)
#define DEFLATE_LOW  (2.0 * GIB)
#define DEFLATE_HIGH (2.6 * GIB)
#define TOUCH_LOW    (120.0 * MIB)
#define TOUCH_HIGH   (195.0 * MIB)
#define INFLATE_BUSY (109.0 * MIB)
#define INFLATE_SLOW (20.0 * MIB) /* just above what counts as a stall */
#define LAG_HIGH_US  600000       /* at period 1 s samples are 0.4-1.6 s old when seen: the period and this */
#define LAG_BUSY_US  600000
#define FRESH_US     5000            /* asked by setting the polling interval 0 -> N */
#define SPELL_US     (5 * SECOND_US) /* an intermittently stuck guest's spells */
/* A liar's figures: nothing left; all but a twentieth free. */
#define LIAR_HIGH_LEFT (4 * MIB)
#define LIAR_LOW_SHARE 20

bool guest_responds(const Guest *guest, int64_t now_us)
{
    const GArray *hangs = guest->spec->hangs;
    for (guint i = 0; i < hangs->len; i++) {
        int64_t at_us = g_array_index(hangs, int64_t, i);
        if (now_us >= at_us && now_us < at_us + guest->spec->hang_us)
            return false;
    }
    return true;
}

static bool can_answer(const Guest *guest, int64_t now_us)
{
    const GuestSpec *spec = guest->spec;
    if (guest->driver_at_us != 0 || spec->model == MODEL_SILENT || !guest_responds(guest, now_us))
        return false;
    if (spec->model == MODEL_STALE && now_us >= spec->stale_at_us)
        return false;
    /* Statistics stop exactly when a guest thrashes. */
    return !(spec->model == MODEL_THRASHING && guest->swapped_bytes > 0);
}

static GuestSample look(const Guest *guest, int64_t now_us)
{
    uint64_t busy = u64_add_sat(guest->anon_bytes, guest->watermark_bytes);
    uint64_t files = guest->hot_bytes + guest->cold_bytes;
    GuestSample sample = {
        .taken_us = now_us,
        .balloon_bytes = guest->ram_bytes,
        .available_bytes = u64_sub_sat(guest->ram_bytes, busy),
        .free_bytes = u64_sub_sat(guest->ram_bytes, u64_add_sat(guest->anon_bytes, files)),
        .total_bytes = guest->spec->deflates_on_oom ? guest->spec->maximum_bytes : guest->ram_bytes,
        .swap_in_bytes = guest->swap_in_bytes - guest->boot_swap_in_bytes,
        .swap_out_bytes = guest->swap_out_bytes - guest->boot_swap_out_bytes,
        .major_faults = guest->major_faults - guest->boot_major_faults,
    };
    if (guest->spec->model == MODEL_LIAR_HIGH)
        sample.available_bytes = sample.free_bytes = u64_min(sample.available_bytes, LIAR_HIGH_LEFT);
    if (guest->spec->model == MODEL_LIAR_LOW)
        sample.available_bytes = sample.free_bytes = guest->ram_bytes - guest->ram_bytes / LIAR_LOW_SHARE;
    return sample;
}

void guest_init(Guest *guest, const GuestSpec *spec, uint64_t ram_bytes, uint64_t seed)
{
    memset(guest, 0, sizeof *guest);
    guest->spec = spec;
    guest->random.state = seed;
    double inflate = random_between(&guest->random, INFLATE_LOW, INFLATE_HIGH);
    double deflate = random_between(&guest->random, DEFLATE_LOW, DEFLATE_HIGH);
    double touch = random_between(&guest->random, TOUCH_LOW, TOUCH_HIGH);
    if (spec->model == MODEL_BUSY)
        inflate = INFLATE_BUSY;
    if (spec->model == MODEL_SLOW)
        inflate = INFLATE_SLOW;
    guest->inflate_speed = spec->inflate_bytes_per_s ? (double)spec->inflate_bytes_per_s : inflate;
    guest->deflate_speed = spec->deflate_bytes_per_s ? (double)spec->deflate_bytes_per_s : deflate;
    guest->touch_speed = spec->touch_bytes_per_s ? (double)spec->touch_bytes_per_s : touch;
    guest->watermark_bytes = guest_watermark(spec->maximum_bytes);
    guest->ram_bytes = guest->actual_bytes = guest->target_bytes = ram_bytes;
    guest->boot_count = 1;
    guest->next_regular_reboot_us = spec->reboot_every_us;
    guest->next_sample_us = (int64_t)random_between(&guest->random, 0, (double)spec->statistics_period_us);
    guest_memory_begin(guest);
    if (can_answer(guest, 0)) {
        guest->said = look(guest, 0);
        guest->said_us = 1; /* it has been running for a while */
    }
}

static void begin_saying(Guest *guest, int64_t now_us, int64_t lag_us)
{
    guest->saying = look(guest, now_us);
    guest->saying_at_us = now_us + lag_us;
}

void guest_ask(Guest *guest, int64_t now_us)
{
    guest_hear(guest, now_us);
    if (!can_answer(guest, now_us))
        return;
    /* One answer at a time: asking again does not put off the one that is on its way. */
    int64_t lag_us = guest->spec->model == MODEL_BUSY ? LAG_BUSY_US / 10 : FRESH_US;
    if (guest->saying_at_us == 0 || guest->saying_at_us > now_us + lag_us)
        begin_saying(guest, now_us, lag_us);
    guest->next_sample_us = now_us + guest->spec->statistics_period_us;
}

/* The period's own sample is taken when it is due, though nobody may look before later. */
static void sample_by_timer(Guest *guest, int64_t now_us)
{
    int64_t period_us = guest->spec->statistics_period_us;
    int64_t lag_us = guest->spec->statistics_lag_us;
    if (lag_us < 0)
        lag_us = (int64_t)random_between(&guest->random, 0, LAG_HIGH_US);
    if (guest->spec->model == MODEL_BUSY)
        lag_us = LAG_BUSY_US;
    if (can_answer(guest, now_us))
        begin_saying(guest, guest->next_sample_us, lag_us);
    guest->next_sample_us += (now_us - guest->next_sample_us) / period_us * period_us + period_us;
}

void guest_hear(Guest *guest, int64_t now_us)
{
    if (guest->saying_at_us != 0 && guest->saying_at_us <= now_us) {
        guest->said = guest->saying;
        guest->said_us = guest->saying_at_us;
        guest->saying_at_us = 0;
    }
    if (now_us >= guest->next_sample_us) {
        sample_by_timer(guest, now_us);
        guest_hear(guest, now_us);
    }
}

void guest_set_target(Guest *guest, uint64_t bytes)
{
    guest->target_bytes = u64_min(bytes, guest->spec->maximum_bytes);
    guest->gave_back = false;
    guest->settled = false;
}

void guest_reset(Guest *guest, int64_t now_us)
{
    guest->boot_count++;
    guest->reboots++;
    guest->driver_at_us = now_us + guest->spec->boot_us;
    guest->down_until_us = 0;
    guest->ram_bytes = guest->spec->maximum_bytes;
    guest->saying_at_us = 0;
    guest->boot_swap_in_bytes = guest->swap_in_bytes;
    guest->boot_swap_out_bytes = guest->swap_out_bytes;
    guest->boot_major_faults = guest->major_faults;
    guest->gave_back = false;
    guest_memory_forget(guest);
    guest->settled = false;
}

static int64_t next_reboot_us(const Guest *guest)
{
    int64_t next_us = INT64_MAX;
    if (guest->next_reboot < guest->spec->reboots->len)
        next_us = g_array_index(guest->spec->reboots, int64_t, guest->next_reboot);
    if (guest->spec->model == MODEL_REBOOTING)
        next_us = MIN(next_us, guest->next_regular_reboot_us);
    return next_us;
}

static void reboot_when_due(Guest *guest, int64_t now_us)
{
    if (now_us < next_reboot_us(guest))
        return;
    if (guest->next_reboot < guest->spec->reboots->len &&
        now_us >= g_array_index(guest->spec->reboots, int64_t, guest->next_reboot))
        guest->next_reboot++;
    if (now_us >= guest->next_regular_reboot_us)
        guest->next_regular_reboot_us += guest->spec->reboot_every_us;
    guest_reset(guest, now_us);
}

static bool balloon_frozen(const Guest *guest, int64_t now_us)
{
    switch (guest->spec->model) {
    case MODEL_STUCK:
    case MODEL_DEAF:
        return true;
    case MODEL_INTERMITTENT:
        return now_us / SPELL_US % 2 == 1;
    case MODEL_IDEAL:
    case MODEL_SLOW:
    case MODEL_BUSY:
    case MODEL_SILENT:
    case MODEL_STALE:
    case MODEL_REBOOTING:
    case MODEL_LIAR_HIGH:
    case MODEL_LIAR_LOW:
    case MODEL_THRASHING:
    case MODEL_CACHE_HEAVY:
    case MODEL_N:
        break;
    }
    return false;
}

bool guest_idles(const Guest *guest)
{
    return guest->spec->model != MODEL_BUSY && guest->driver_at_us == 0 && guest->down_until_us == 0 &&
           guest_missing(guest) == 0 && guest->swapped_bytes == 0 && guest_memory_still(guest);
}

static bool still(const Guest *guest)
{
    bool arrived = guest->ram_bytes == guest->target_bytes || guest->gave_back ||
                   guest->spec->model == MODEL_DEAF ||
                   (guest->spec->model == MODEL_STUCK && guest->ram_bytes > guest->target_bytes);
    return arrived && guest->driver_at_us == 0 && guest->down_until_us == 0 && guest_missing(guest) == 0 &&
           guest->swapped_bytes == 0 && guest_memory_still(guest);
}

void guest_step(Guest *guest, int64_t now_us)
{
    if (guest->settled && now_us < guest->wake_us) {
        guest->last_us = guest->resident_peak_us = now_us;
        return;
    }
    double seconds = (double)(now_us - guest->last_us) / 1e6;
    reboot_when_due(guest, now_us);
    if (guest->driver_at_us != 0 && now_us >= guest->driver_at_us) {
        guest->driver_at_us = 0;
        guest->next_sample_us = now_us;
    }
    if (guest->down_until_us != 0 && now_us >= guest->down_until_us)
        guest->down_until_us = 0;
    guest->down = guest->driver_at_us != 0 || guest->down_until_us != 0;
    guest->frozen = balloon_frozen(guest, now_us);
    int64_t next_phase_us = guest_memory_want(guest, now_us, seconds);
    if (guest->driver_at_us == 0)
        guest_memory_balloon(guest, seconds);
    guest_memory_use(guest, now_us, seconds);
    guest_memory_reside(guest, now_us, seconds);
    guest->rate = guest->down ? 0 : guest_memory_rate(guest);
    guest->last_us = now_us;
    guest->settled = still(guest);
    guest->wake_us = MIN(next_phase_us, next_reboot_us(guest));
}
