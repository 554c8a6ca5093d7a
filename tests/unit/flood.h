/* SPDX-License-Identifier: Apache-2.0 */
/* flood.h: ids that somebody who knows a seed would send: their searches start side by side. */
#ifndef DCNV2_TESTS_FLOOD_H
#define DCNV2_TESTS_FLOOD_H

#include <stdio.h>
#include <stdlib.h>

#include "encode/vocabulary_key.h"
#include "test.h"

enum { FLOOD_BYTES = 32 };

struct flood {
    char (*bytes)[FLOOD_BYTES];
    struct text *texts;
    uint32_t n;
};

/* `n` texts of `length` bytes, 10 to 31, whose searches start in one 16th of any table of that
 * seed. To be freed. */
static inline struct flood flood_make(const struct hash_seed *seed, uint32_t n, int length)
{
    struct flood flood = {calloc(n, sizeof *flood.bytes), calloc(n, sizeof *flood.texts), 0};
    CHECK(flood.bytes && flood.texts);
    for (uint32_t i = 0; flood.n < n && i < 1000 * n; i++) {
        char *const at = flood.bytes[flood.n];
        snprintf(at, FLOOD_BYTES, "u%0*u", length - 1, i);
        const struct text text = {at, (size_t)length};
        if ((uint32_t)key_of(seed, text).hash < UINT32_MAX / 16)
            flood.texts[flood.n++] = text;
    }
    CHECK(flood.n == n);
    return flood;
}

static inline void flood_free(struct flood *flood)
{
    free(flood->bytes);
    free(flood->texts);
}

/* Full slots in a row; where the last slot is full the first row goes on from there. */
static inline uint32_t longest_row(const struct vocabulary_slot *slots, uint32_t n_slots)
{
    uint32_t row = 0, longest = 0;
    for (uint32_t i = 0; i < 2 * n_slots && row < n_slots; i++) {
        row = slot_is_empty(&slots[i % n_slots]) ? 0 : row + 1;
        longest = row > longest ? row : longest;
    }
    return longest;
}

#endif
