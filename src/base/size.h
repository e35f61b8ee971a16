/* Sizes in bytes: text to number and back, and arithmetic that cannot wrap. */
#pragma once
#include <stdint.h>
#include <glib.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)
#define TIB (UINT64_C(1024) * GIB)

/* The largest size anything here accepts: 2^56 - 1 bytes, 64 PiB. Sums of 100 such sizes still fit 64 bits. */
#define SIZE_MAX_BYTES ((UINT64_C(1) << 56) - 1)

/*
 * size_parse:
 * @text:      "4096KiB", "512M", "2GiB", "1048576", "1.5G", "5%" (K, M, G, T are binary; with or without "iB" or "B";
 *             letters in either case; spaces around it are allowed, inside between number and unit too)
 * @of_bytes:  what a percentage is of; 0 refuses percentages
 * @ret_bytes: (out): untouched on failure
 * @error:     AEROSTAT_ERROR_INVALID: empty, negative, not a number, unknown unit, above SIZE_MAX_BYTES. The message
 *             quotes the text and says what would be right; the caller prefixes where it stood.
 */
gboolean size_parse(const char *text, uint64_t of_bytes, uint64_t *ret_bytes, GError **error);

/* size_format: for people, "1.4 GiB", "512 MiB", "0 B": one decimal below 100 of a unit where it matters, binary units. */
char *size_format(uint64_t bytes);

/* The same into a buffer of the caller's, always terminated; returns @buffer. 16 bytes are always enough. */
char *size_format_buf(uint64_t bytes, char *buffer, size_t size);

static inline uint64_t u64_add_sat(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t u64_sub_sat(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
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
