/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocabulary_key.h: how a text becomes a slot of a hash table: the one rule of vocabulary.c, whose
 * tables lie in files, and of the trainer's interner, which grows such tables.
 *
 * A text of up to 11 bytes is its own slot: bytes 0..7 in `low`, 8..10 and its length + 1
 * in `high`; a slot of zeros is empty. A longer one has its place in the texts in the lower half
 * of `low`, its length in the upper one, and part of its hash in `high`.
 */
#ifndef DCNV2_ENCODE_VOCABULARY_KEY_H
#define DCNV2_ENCODE_VOCABULARY_KEY_H

#include "encode/vocabulary.h"

enum {
    SHORT_MAX = 11,
    SHORT_COPY = 12, /* with the tag behind it */
    TAG_EMPTY = 0,   /* top byte of `high` */
    TAG_LONG = 0xFF,
    TAG_SHIFT = 24
};

_Static_assert(sizeof(struct vocabulary_slot) == 16, "four slots a cache line");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "slots and model files are little-endian");

struct vocabulary_key {
    uint64_t low;
    uint32_t high;
    uint64_t hash;
};

/* Up to 8 bytes as a word, without reading beyond them. */
static inline uint64_t load_short(const char *at, size_t length)
{
    if (length >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        return word;
    }
    if (length >= 4) {
        uint32_t first, last; /* they overlap where length < 8 */
        memcpy(&first, at, 4);
        memcpy(&last, at + length - 4, 4);
        return first | (uint64_t)last << (8 * (length - 4));
    }
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return word;
}

static inline struct vocabulary_key short_key(const struct hash_seed *seed, const char *text,
                                              size_t length)
{
    struct vocabulary_key key;
    key.low = load_short(text, length);
    const uint64_t rest = length > 8 ? load_short(text + 8, length - 8) : 0;
    key.high = (uint32_t)rest | (uint32_t)(length + 1) << TAG_SHIFT;
    key.hash = hash_pair(seed, key.low, key.high);
    return key;
}

/* `low` is left to whoever places the text. */
static inline struct vocabulary_key long_key(const struct hash_seed *seed, const char *text,
                                             size_t length)
{
    struct vocabulary_key key;
    key.low = 0;
    key.hash = hash_bytes(seed, text, length);
    key.high = (uint32_t)(key.hash >> 40) | (uint32_t)TAG_LONG << TAG_SHIFT;
    return key;
}

static inline struct vocabulary_key key_of(const struct hash_seed *seed, struct text text)
{
    return text.length <= SHORT_MAX ? short_key(seed, text.at, text.length)
                                    : long_key(seed, text.at, text.length);
}

static inline bool long_text_is(const char *texts, uint64_t low, const char *text, size_t length)
{
    return low >> 32 == length && memcmp(texts + (uint32_t)low, text, length) == 0;
}

static inline bool slot_is_empty(const struct vocabulary_slot *slot)
{
    return slot->high >> TAG_SHIFT == TAG_EMPTY;
}

static inline bool slot_is_long(const struct vocabulary_slot *slot)
{
    return slot->high >> TAG_SHIFT == TAG_LONG;
}

/* Length of the text in a slot that is neither empty nor long; above SHORT_MAX if the slot is
 * damaged. */
static inline size_t slot_short_length(const struct vocabulary_slot *slot)
{
    return (slot->high >> TAG_SHIFT) - 1;
}

/* The text of a slot that is not empty; a short one is copied to `copy`, [SHORT_COPY]. */
static inline struct text slot_text(const struct vocabulary_slot *slot, const char *texts,
                                    char *copy)
{
    if (slot_is_long(slot))
        return (struct text){texts + (uint32_t)slot->low, slot->low >> 32};
    memcpy(copy, &slot->low, 8);
    memcpy(copy + 8, &slot->high, 4);
    return (struct text){copy, slot_short_length(slot)};
}

/* Where the search for a hash starts: its lower half as a fraction of the slots. */
static inline uint32_t first_slot(uint32_t n_slots, uint64_t hash)
{
    return (uint32_t)((uint64_t)(uint32_t)hash * n_slots >> 32);
}

static inline uint32_t next_slot(uint32_t n_slots, uint32_t i)
{
    return i + 1 < n_slots ? i + 1 : 0;
}

static inline void prefetch_slot(const struct vocabulary_slot *slots, uint32_t n_slots,
                                 const struct vocabulary_key *key)
{
    __builtin_prefetch(slots + first_slot(n_slots, key->hash));
}

/* The slot of a text, or the empty one where it would be. */
static inline const struct vocabulary_slot *find_slot(const struct vocabulary_slot *slots,
                                                      uint32_t n_slots, const char *texts,
                                                      const struct vocabulary_key *key,
                                                      struct text text)
{
    for (uint32_t i = first_slot(n_slots, key->hash);; i = next_slot(n_slots, i)) {
        const struct vocabulary_slot *slot = &slots[i];
        if (slot_is_empty(slot))
            return slot;
        if (slot->high == key->high &&
            (text.length <= SHORT_MAX ? slot->low == key->low
                                      : long_text_is(texts, slot->low, text.at, text.length)))
            return slot;
    }
}

/* vocabulary_find() with the text's key at hand. */
static inline uint32_t vocabulary_find_key(const struct vocabulary *vocabulary,
                                           const struct vocabulary_key *key, struct text text)
{
    const struct vocabulary_slot *slot =
        find_slot(vocabulary->slots, vocabulary->n_slots, vocabulary->texts, key, text);
    return slot_is_empty(slot) ? vocabulary->n : slot->index;
}

#endif
