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

#include "text.h"

struct vocabulary_slot;

struct vocabulary {
    struct vocabulary_slot *slots; /* [slot_mask + 1] */
    uint32_t slot_mask;
    uint32_t n;       /* number of classes: the index of an unknown text */
    char *long_texts; /* those that do not fit in a slot, each behind its length */
    size_t long_bytes;
};

/* -1: out of memory. The texts are distinct; they are copied. */
int vocabulary_init(struct vocabulary *vocabulary, const struct text *classes, uint32_t n);
void vocabulary_free(struct vocabulary *vocabulary);

/* Position of `text` among the classes, or `n`. */
uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);

#endif
