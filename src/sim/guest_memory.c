/* Memory of a modelled guest: who has which page, and what it costs when it is not there. */
#include "sim/guest_memory.h"
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)
/* Linux keeps some memory free (zone watermarks) and some for itself. */
#define WATERMARK_BYTES (16 * MIB)
#define WATERMARK_SHARE 100
/* Direct reclaim retries for about this long before the OOM killer comes; then the service starts anew. */
#define OOM_PATIENCE_US INT64_C(200000)
#define RESTART_US      (5 * SECOND_US)
/* With one percent of its memory in swap a guest does two thirds of its work; with a tenth of its hot files gone too. */
#define SWAP_COST  50.0
#define FILES_COST 5.0
/* Mapped files are read by 128 KiB (Linux readahead): one major fault for so many bytes. */
#define READAHEAD_BYTES (128 * KIB)
/* Files read once come in at this speed. */
#define COLD_SPEED      (50.0 * MIB)
#define SLOW_SWAP_SPEED (20.0 * MIB)
/* The guest's OOM notifier gives back 256 pages at a time, as often as it takes. */
#define OOM_DEFLATE_BYTES (32 * MIB)

uint64_t guest_watermark(uint64_t maximum_bytes)
{
    return u64_min(WATERMARK_BYTES + maximum_bytes / WATERMARK_SHARE, maximum_bytes / 8);
}

static uint64_t part(double bytes)
{
    return bytes > 0 ? (uint64_t)bytes : 0;
}

static uint64_t room(const Guest *guest)
{
    uint64_t taken = guest->watermark_bytes + guest->anon_bytes + guest->hot_bytes + guest->cold_bytes;
    return u64_sub_sat(guest->ram_bytes, taken);
}

void guest_memory_begin(Guest *guest)
{
    const Phase *first = &g_array_index(guest->spec->phases, Phase, 0);
    guest->ideal_anon_bytes = first->memory_bytes;
    guest->ideal_hot_bytes = first->cache_bytes;
    guest->anon_bytes = u64_min(first->memory_bytes, room(guest));
    guest->swapped_bytes = u64_min(first->memory_bytes - guest->anon_bytes, guest->spec->swap_bytes);
    guest->hot_bytes = u64_min(first->cache_bytes, room(guest));
    guest->cold_bytes = u64_min(guest->spec->cold_cache_bytes, room(guest));
    guest->resident_bytes = u64_sub_sat(guest->ram_bytes, room(guest));
    guest->rate = guest_memory_rate(guest);
}

void guest_memory_forget(Guest *guest)
{
    guest->anon_bytes = guest->swapped_bytes = guest->hot_bytes = guest->cold_bytes = 0;
    guest->ideal_anon_bytes = guest->ideal_hot_bytes = 0;
    guest->blocked_us = 0;
}

/* A phase's time in the present cycle; the first phase is not shifted in the first cycle. */
static int64_t phase_at(const Guest *guest, guint index)
{
    int64_t at_us = g_array_index(guest->spec->phases, Phase, index).at_us;
    return guest->cycle_us + (index == 0 && guest->cycle_us == 0 ? 0 : at_us + guest->spec->shift_us);
}

static int64_t advance_phase(Guest *guest, int64_t now_us)
{
    const GuestSpec *spec = guest->spec;
    while (true) {
        while (guest->phase + 1 < spec->phases->len && phase_at(guest, guest->phase + 1) <= now_us)
            guest->phase++;
        if (guest->phase + 1 < spec->phases->len)
            return phase_at(guest, guest->phase + 1);
        if (spec->repeat_us == 0)
            return INT64_MAX;
        int64_t again_us = guest->cycle_us + spec->repeat_us;
        int64_t starts_us = again_us + g_array_index(spec->phases, Phase, 0).at_us + spec->shift_us;
        if (now_us < starts_us)
            return starts_us;
        guest->cycle_us = again_us;
        guest->phase = 0;
    }
}

/* Grows at most by @step towards @goal, falls at once. */
static uint64_t approach(uint64_t now, uint64_t goal, double step)
{
    return now >= goal ? goal : u64_min(goal, now + part(step + 0.5));
}

int64_t guest_memory_want(Guest *guest, int64_t now_us, double seconds)
{
    int64_t next_us = advance_phase(guest, now_us);
    if (guest->down)
        return next_us;
    const Phase *phase = &g_array_index(guest->spec->phases, Phase, guest->phase);
    double speed = guest->touch_speed;
    if (phase->rate_bytes_per_s > 0 && (double)phase->rate_bytes_per_s < speed)
        speed = (double)phase->rate_bytes_per_s;
    guest->ideal_anon_bytes = approach(guest->ideal_anon_bytes, phase->memory_bytes, speed * seconds);
    double disk = (double)guest->spec->disk_bytes_per_s;
    guest->ideal_hot_bytes = approach(guest->ideal_hot_bytes, phase->cache_bytes, disk * seconds);
    return next_us;
}

static uint64_t drop_files(Guest *guest, uint64_t wanted)
{
    uint64_t cold = u64_min(guest->cold_bytes, wanted);
    uint64_t hot = u64_min(guest->hot_bytes, wanted - cold);
    guest->cold_bytes -= cold;
    guest->hot_bytes -= hot;
    return cold + hot;
}

static double swap_speed(const Guest *guest)
{
    double speed = (double)guest->spec->swap_bytes_per_s;
    return guest->spec->model == MODEL_THRASHING ? MIN(speed, SLOW_SWAP_SPEED) : speed;
}

static uint64_t swap_out(Guest *guest, uint64_t wanted, double seconds)
{
    uint64_t left = u64_sub_sat(guest->spec->swap_bytes, guest->swapped_bytes);
    uint64_t out =
        u64_min(u64_min(wanted, left), u64_min(guest->anon_bytes, part(swap_speed(guest) * seconds)));
    guest->anon_bytes -= out;
    guest->swapped_bytes += out;
    guest->swap_out_bytes += out;
    return out;
}

/* Frees up to @wanted: what is free, files, then swap; returns what could be had in this step. */
static uint64_t make_room(Guest *guest, uint64_t wanted, double seconds)
{
    uint64_t got = u64_min(wanted, room(guest));
    if (got < wanted)
        got += drop_files(guest, wanted - got);
    if (got < wanted)
        got += swap_out(guest, wanted - got, seconds);
    return got;
}

void guest_memory_balloon(Guest *guest, double seconds)
{
    if (guest->spec->model == MODEL_DEAF || guest->ram_bytes == guest->target_bytes)
        return;
    if (guest->target_bytes > guest->ram_bytes) {
        uint64_t step = part(guest->deflate_speed * seconds);
        guest->ram_bytes = u64_min(guest->target_bytes, guest->ram_bytes + step);
    } else if (!guest->frozen && !guest->gave_back) {
        uint64_t step = u64_min(guest->ram_bytes - guest->target_bytes, part(guest->inflate_speed * seconds));
        guest->ram_bytes -= make_room(guest, step, seconds);
    }
    guest->actual_bytes = guest->ram_bytes;
}

static void kill_service(Guest *guest, int64_t now_us)
{
    guest->kills++;
    uint64_t hot = guest->hot_bytes;
    guest->killed_bytes = guest->ideal_anon_bytes;
    guest_memory_forget(guest);
    guest->hot_bytes = hot;
    guest->down_until_us = now_us + RESTART_US;
    guest->down = true;
}

static void out_of_memory(Guest *guest, uint64_t wanted, int64_t now_us)
{
    if (guest->spec->deflates_on_oom && guest->ram_bytes < guest->spec->maximum_bytes) {
        guest->oom_deflates++;
        guest->gave_back = true;
        guest->ram_bytes =
            u64_min(guest->spec->maximum_bytes, guest->ram_bytes + u64_max(wanted, OOM_DEFLATE_BYTES));
        guest->actual_bytes = guest->ram_bytes;
        guest->blocked_us = 0;
        return;
    }
    kill_service(guest, now_us);
}

static void touch(Guest *guest, int64_t now_us, double seconds)
{
    uint64_t total = guest->anon_bytes + guest->swapped_bytes;
    if (total > guest->ideal_anon_bytes) {
        uint64_t freed = total - guest->ideal_anon_bytes;
        uint64_t from_swap = part((double)freed * ((double)guest->swapped_bytes / (double)total));
        from_swap = u64_min(guest->swapped_bytes, u64_max(from_swap, u64_sub_sat(freed, guest->anon_bytes)));
        guest->swapped_bytes -= from_swap;
        guest->anon_bytes -= freed - from_swap;
        return;
    }
    uint64_t grow = u64_min(guest->ideal_anon_bytes - total, part(guest->touch_speed * seconds + 0.5));
    uint64_t got = make_room(guest, grow, seconds);
    guest->anon_bytes += got;
    if (got > 0 || grow == 0) {
        guest->blocked_us = 0;
        return;
    }
    guest->blocked_us += (int64_t)(seconds * 1e6);
    if (guest->blocked_us >= OOM_PATIENCE_US)
        out_of_memory(guest, grow, now_us);
}

/* What is swapped out is wanted back: into free memory, or against something else that is swapped out for it. */
static void swap_in(Guest *guest, double seconds)
{
    uint64_t wanted = u64_min(guest->swapped_bytes, part(swap_speed(guest) * seconds));
    if (wanted == 0)
        return;
    uint64_t space = room(guest);
    if (space < wanted)
        space += drop_files(guest, wanted - space);
    uint64_t in = u64_min(wanted, space);
    uint64_t exchanged = (wanted - in) / 2; /* one way out for each way in */
    guest->anon_bytes += in;
    guest->swapped_bytes -= in;
    guest->swap_in_bytes += in + exchanged;
    guest->swap_out_bytes += exchanged;
    guest->major_faults += (in + exchanged) / PAGE_BYTES;
}

/* Hot files are read again as soon as they are missed; without room each read evicts another. */
static void read_files(Guest *guest, double seconds)
{
    if (guest->hot_bytes > guest->ideal_hot_bytes)
        guest->hot_bytes = guest->ideal_hot_bytes;
    uint64_t missing = guest->ideal_hot_bytes - guest->hot_bytes;
    uint64_t reading = u64_min(missing, part((double)guest->spec->disk_bytes_per_s * seconds + 0.5));
    guest->major_faults += reading / READAHEAD_BYTES;
    uint64_t space = room(guest);
    if (space < reading) {
        uint64_t cold = u64_min(guest->cold_bytes, reading - space);
        guest->cold_bytes -= cold;
        space += cold;
    }
    guest->hot_bytes += u64_min(reading, space);
    uint64_t cold = u64_min(room(guest), part(COLD_SPEED * seconds));
    cold = u64_min(cold, u64_sub_sat(guest->spec->cold_cache_bytes, guest->cold_bytes));
    guest->cold_bytes += cold;
}

void guest_memory_use(Guest *guest, int64_t now_us, double seconds)
{
    if (guest->down)
        return;
    touch(guest, now_us, seconds);
    if (guest->down)
        return;
    swap_in(guest, seconds);
    read_files(guest, seconds);
}

void guest_memory_reside(Guest *guest, int64_t now_us, double seconds)
{
    uint64_t touched = u64_sub_sat(guest->ram_bytes, room(guest));
    guest->resident_bytes = u64_min(guest->resident_bytes, guest->ram_bytes);
    if (touched >= guest->resident_bytes) {
        guest->resident_bytes = touched;
        guest->resident_peak_us = now_us;
        return;
    }
    if (!guest->spec->reports_free_pages ||
        now_us - guest->resident_peak_us < guest->spec->residency_lag_us / 2)
        return;
    /* Free pages are reported after a while, then within about as long again. */
    double lag_s = (double)MAX(guest->spec->residency_lag_us, 1000) / 2e6;
    uint64_t step = part((double)guest->spec->maximum_bytes / 4 * (seconds / lag_s)) + 1;
    guest->resident_bytes -= u64_min(step, guest->resident_bytes - touched);
}

double guest_memory_rate(const Guest *guest)
{
    double rate = 1;
    if (guest->ideal_anon_bytes > guest->anon_bytes) {
        uint64_t missing = guest->ideal_anon_bytes - guest->anon_bytes;
        rate /= 1 + SWAP_COST * ((double)missing / (double)guest->ideal_anon_bytes);
    }
    if (guest->ideal_hot_bytes > guest->hot_bytes) {
        uint64_t missing = guest->ideal_hot_bytes - guest->hot_bytes;
        rate /= 1 + FILES_COST * ((double)missing / (double)guest->ideal_hot_bytes);
    }
    return rate;
}

bool guest_memory_still(const Guest *guest)
{
    const Phase *phase = &g_array_index(guest->spec->phases, Phase, guest->phase);
    bool reached =
        guest->ideal_anon_bytes == phase->memory_bytes && guest->ideal_hot_bytes == phase->cache_bytes;
    bool filled = guest->cold_bytes >= guest->spec->cold_cache_bytes || room(guest) == 0;
    uint64_t touched = u64_sub_sat(guest->ram_bytes, room(guest));
    return reached && filled && (guest->resident_bytes == touched || !guest->spec->reports_free_pages);
}

uint64_t guest_need(const Guest *guest)
{
    uint64_t anon = guest->down_until_us != 0 ? guest->killed_bytes : guest->ideal_anon_bytes;
    return guest->watermark_bytes + anon + guest->ideal_hot_bytes;
}

uint64_t guest_missing(const Guest *guest)
{
    return u64_sub_sat(guest->ideal_anon_bytes, guest->anon_bytes) +
           u64_sub_sat(guest->ideal_hot_bytes, guest->hot_bytes);
}

uint64_t guest_committed(const Guest *guest)
{
    uint64_t held = u64_max(u64_max(guest->ram_bytes, guest->target_bytes), guest->resident_bytes);
    if (guest->spec->fixed != FIXED_NO)
        held = guest->spec->maximum_bytes;
    return held + guest->spec->overhead_bytes;
}
