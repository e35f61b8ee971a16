/* Binary units and arithmetic on byte counts that cannot wrap. Needs nothing but the language, so the policy may use it. */
#pragma once
#include <stdint.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)
#define TIB (UINT64_C(1024) * GIB)
/* What balloons are counted in, whatever the pages of guest and host are (virtio 1.2, section 5.5). */
#define PAGE_BYTES (UINT64_C(4) * KIB)

/* The largest size anything here accepts: 2^56 - 1 bytes, 64 PiB. Sums of 100 such sizes still fit 64 bits. */
#define SIZE_MAX_BYTES ((UINT64_C(1) << 56) - 1)

static inline uint64_t u64_add_sat(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t u64_sub_sat(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t u64_distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t u64_clamp(uint64_t x, uint64_t low, uint64_t high)
{
    return x < low ? low : (x > high ? high : x);
}

/* u64_from_double: 0 for what is not above it, NaN included; 2^63 from there on: no size or rate here means anything beyond
 * it, and the conversion of more would be undefined. */
static inline uint64_t u64_from_double(double x)
{
    if (!(x > 0))
        return 0;
    /* By way of the signed type, which processors convert in one step. */
    return x < 9223372036854775808.0 ? (uint64_t)(int64_t)x : UINT64_C(1) << 63;
}
