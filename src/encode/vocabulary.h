/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocabulary.h: the classes of one category column, text to position.
 *
 * Open addressing over 16-byte slots. A text of up to 11 bytes lies in its slot, so
 * that a look-up of an id touches one cache line. Immutable: shared by threads.
 */
#ifndef DCNV2_ENCODE_VOCABULARY_H
#define DCNV2_ENCODE_VOCABULARY_H

#include <stdint.h>

#include "arena.h"
#include "hash.h"
#include "text.h"

/* As files hold them: little-endian, see vocabulary.c. */
struct vocabulary_slot {
    uint64_t low;
    uint32_t high;
    uint32_t index;
};

struct vocabulary {
    const struct vocabulary_slot *slots; /* [n_slots], one at least is empty */
    uint32_t n_slots;
    uint32_t n;        /* number of classes: the index of an unknown text */
    const char *texts; /* where the texts are that do not fit in a slot */
    struct hash_seed seed;
};

enum { SPECIAL_ROW_NONE = UINT32_MAX };

/* Embedding rows of values that are no class. */
struct special_rows {
    uint32_t
        unknown; /* of all others: the number of classes, unless a class or another row is it */
    uint32_t missing; /* of missing values, whatever text they have; or SPECIAL_ROW_NONE */
};

/*
 * So many full slots may stand in a row, and a look-up sees one more at most, whoever made the
 * table and whatever is looked up. By chance so many do less than once in 2^100 tables of the
 * largest size: at 60 % full the longest row of 400,000 classes has some 100 slots.
 */
enum { VOCABULARY_LONGEST_ROW = 1024 };

/* What vocabulary_init() takes of its arena, for arena_reserve(). */
size_t vocabulary_bytes(const struct text *classes, uint32_t n);

/* -1: out of memory, or 4 GiB of texts or slots. The texts are distinct; they are copied. Slots and
 * texts are in the arena. */
int vocabulary_init(struct vocabulary *vocabulary, const struct hash_seed *seed,
                    struct arena *arena, const struct text *classes, uint32_t n);

/* The same of classes that lie within `texts`, below UINT32_MAX bytes, which is borrowed. */
int vocabulary_init_in_place(struct vocabulary *vocabulary, const struct hash_seed *seed,
                             struct arena *arena, const char *texts, const struct text *classes,
                             uint32_t n);

/*
 * The vocabulary of `n` classes that vocabulary_init_in_place() made, found again in a file:
 * nothing is copied. Returns NULL, or what is wrong with it: whatever the bytes are, a look-up
 * stays inside them, ends within VOCABULARY_LONGEST_ROW + 1 slots, and gives an index up to `n`.
 * With another seed than the table's, or another hash function, the classes of its first slots
 * are not found, and it is refused. Looking each class up would take a tenth of a start: that is
 * done when a file is written, and whoever forges single slots could forge the weights.
 */
const char *vocabulary_open(struct vocabulary *vocabulary, const struct hash_seed *seed,
                            const struct vocabulary_slot *slots, uint64_t n_slots,
                            struct text texts, uint32_t n);

/* Position of `text` among the classes, or `n`. */
uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);

#endif
