/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interner.h: a growing table of texts: each gets a number, in the order of first appearance.
 *
 * Slots as in encode/vocabulary_key.h: 16 bytes, of which 5 in 8 at most are in use, and no other
 * memory for a text of up to 11 bytes.
 */
#ifndef DCNV2_DATA_INTERNER_H
#define DCNV2_DATA_INTERNER_H

#include "encode/vocabulary_key.h"

enum { INTERNER_FULL = UINT32_MAX };

struct interner {
    struct vocabulary_slot *slots; /* [n_slots] */
    uint32_t n_slots;
    uint32_t n;  /* texts, numbered 0 .. n - 1 */
    char *texts; /* those of more than 11 bytes, [texts_size] */
    size_t texts_size, texts_capacity;
    struct hash_seed seed;
};

/* Empty, owning nothing, with a seed of its own. */
void interner_init(struct interner *interner);

/* The slot is on its way to the cache when interner_add() needs it. */
static inline void interner_prefetch(const struct interner *interner,
                                     const struct vocabulary_key *key)
{
    prefetch_slot(interner->slots, interner->n_slots, key);
}

/* The number of a text, new or not; `key`: of key_of() with the seed. INTERNER_FULL: out of memory,
 * or more than 4 GiB of long texts. */
uint32_t interner_add(struct interner *interner, const struct vocabulary_key *key,
                      struct text text);

/* All texts by their numbers: [n]. `bytes`: of interner_bytes(), to which they are copied. */
void interner_list(const struct interner *interner, struct text *ret_texts, char *bytes);
size_t interner_bytes(const struct interner *interner);

/* Frees what it owns, once or more; to be used again it needs interner_init(). */
void interner_free(struct interner *interner);

#endif
