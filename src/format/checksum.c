/* SPDX-License-Identifier: Apache-2.0 */
#include "format/checksum.h"

#include <string.h>

enum { N_SUMS = 8, BLOCK_BYTES = N_SUMS * 8 };

static inline uint64_t add(uint64_t sum, uint64_t word)
{
    const uint64_t product = (sum ^ word) * 0x9E3779B97F4A7C15u;
    return product << 29 | product >> 35;
}

/* The sums do not wait for each other: a multiplication a cycle. */
static inline void add_block(uint64_t sums[N_SUMS], const uint8_t *at)
{
#pragma GCC unroll 8
    for (int i = 0; i < N_SUMS; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, sizeof word);
        sums[i] = add(sums[i], word);
    }
}

uint64_t checksum_of(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t sums[N_SUMS] = {1, 2, 3, 4, 5, 6, 7, 8}, total = 0;
    size_t left = size;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES)
        add_block(sums, at);
    if (left) {
        uint8_t last[BLOCK_BYTES] = {0};
        memcpy(last, at, left);
        add_block(sums, last);
    }
    for (int i = 0; i < N_SUMS; i++)
        total = add(total, sums[i]);
    return add(total, size);
}

void checksum_print(uint64_t checksum, char out[CHECKSUM_DIGITS + 1])
{
    for (int i = 0; i < CHECKSUM_DIGITS; i++)
        out[i] = "0123456789abcdef"[checksum >> (60 - 4 * i) & 15];
    out[CHECKSUM_DIGITS] = '\0';
}
