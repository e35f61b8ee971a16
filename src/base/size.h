/* Sizes in bytes: text to number and back. */
#pragma once
#include <stdint.h>
#include <glib.h>
#include "base/u64.h"

/*
 * size_parse:
 * @text:      "4096KiB", "512M", "2GiB", "1048576", "1.5G", "5%" (K, M, G, T are binary; with or without "iB" or "B";
 *             letters in either case; spaces around it are allowed, inside between number and unit too). What a
 *             fraction leaves below one byte is dropped; a fraction of bytes ("1.5") lacks its unit and is refused.
 * @of_bytes:  what a percentage is of; 0 refuses percentages
 * @ret_bytes: (out): untouched on failure
 * @error:     AEROSTAT_ERROR_INVALID: empty, negative, not a number, unknown unit, above SIZE_MAX_BYTES. The message
 *             quotes the text and says what would be right; the caller prefixes where it stood.
 */
gboolean size_parse(const char *text, uint64_t of_bytes, uint64_t *ret_bytes, GError **error);

/* size_parse_percent: a percentage alone, "5%", "12.5 %", of something known only later: 0-100, to 9 decimals. */
gboolean size_parse_percent(const char *text, double *ret_percent, GError **error);

/* size_of_percent: @percent (0-100) of @of_bytes, a part of a byte dropped; the very bytes size_parse() gives. */
uint64_t size_of_percent(uint64_t of_bytes, double percent);

/* size_format: for people, "1.4 GiB", "2 GiB", "512 MiB", "0 B": one decimal below 100 of a unit unless it is 0, binary units. */
char *size_format(uint64_t bytes);

/* The same into a buffer of the caller's, always terminated; returns @buffer. 16 bytes are always enough. */
char *size_format_buf(uint64_t bytes, char *buffer, size_t size);
