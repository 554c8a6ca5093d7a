/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/vocabulary.h"

#include <stdlib.h>

#include "encode/vocabulary_key.h"
#include "memory.h"

static size_t slot_bytes(const struct vocabulary *vocabulary)
{
    return (size_t)vocabulary->n_slots * sizeof(struct vocabulary_slot);
}

static void insert(struct vocabulary *vocabulary, const struct vocabulary_key *key, uint32_t index)
{
    uint32_t i = first_slot(vocabulary->n_slots, key->hash);
    while (!slot_is_empty(&vocabulary->own_slots[i]))
        i = next_slot(vocabulary->n_slots, i);
    vocabulary->own_slots[i] = (struct vocabulary_slot){key->low, key->high, index};
}

/* Where a long text lies; without borrowed texts it is copied behind the last one. */
static uint64_t place_of(struct vocabulary *vocabulary, struct text text)
{
    if (vocabulary->own_texts == NULL)
        return (uint64_t)(text.at - vocabulary->texts);
    const size_t place = vocabulary->own_texts_size;
    memcpy(vocabulary->own_texts + place, text.at, text.length);
    vocabulary->own_texts_size += text.length;
    return place;
}

/* Makes the slots. -1: too many, or out of memory. */
static int fill(struct vocabulary *vocabulary, const struct text *classes)
{
    enum { BATCH = 16 }; /* slots that are on their way from memory together */
    const uint32_t n = vocabulary->n;
    const uint64_t n_slots = ((uint64_t)n + n / 3 * 2 + 4) / 4 * 4; /* at most 60 % full */
    vocabulary->n_slots = (uint32_t)n_slots;
    vocabulary->own_slots = n_slots <= UINT32_MAX ? memory_alloc(slot_bytes(vocabulary)) : NULL;
    vocabulary->slots = vocabulary->own_slots;
    if (vocabulary->slots == NULL)
        return -1;
    for (uint32_t first = 0; first < n; first += BATCH) {
        struct vocabulary_key keys[BATCH];
        const uint32_t count = n - first < BATCH ? n - first : BATCH;
        for (uint32_t i = 0; i < count; i++) {
            const struct text text = classes[first + i];
            keys[i] = key_of(text);
            if (text.length > SHORT_MAX)
                keys[i].low = place_of(vocabulary, text) | (uint64_t)text.length << 32;
            __builtin_prefetch(&vocabulary->slots[first_slot(vocabulary->n_slots, keys[i].hash)],
                               1);
        }
        for (uint32_t i = 0; i < count; i++)
            insert(vocabulary, &keys[i], first + i);
    }
    return 0;
}

int vocabulary_init(struct vocabulary *vocabulary, const struct text *classes, uint32_t n)
{
    size_t long_bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        if (classes[i].length > SHORT_MAX)
            long_bytes += classes[i].length;
    *vocabulary = (struct vocabulary){.n = n};
    if (long_bytes > UINT32_MAX)
        return -1;
    vocabulary->own_texts = malloc(long_bytes + 1);
    vocabulary->texts = vocabulary->own_texts;
    if (vocabulary->texts == NULL || fill(vocabulary, classes) != 0) {
        vocabulary_free(vocabulary);
        return -1;
    }
    return 0;
}

int vocabulary_init_in_place(struct vocabulary *vocabulary, const char *texts,
                             const struct text *classes, uint32_t n)
{
    *vocabulary = (struct vocabulary){.n = n, .texts = texts};
    return fill(vocabulary, classes);
}

const char *vocabulary_open(struct vocabulary *vocabulary, const struct vocabulary_slot *slots,
                            uint64_t n_slots, const char *texts, size_t texts_size, uint32_t n)
{
    if (n_slots == 0 || n_slots > UINT32_MAX)
        return "there are none, or too many";
    uint64_t n_full = 0;
    bool is_index_wrong = false, is_place_wrong = false; /* no branches: slots come in any order */
    for (uint64_t i = 0; i < n_slots; i++) {
        const uint32_t tag = slots[i].high >> TAG_SHIFT;
        const uint64_t end = (slots[i].low & UINT32_MAX) + (slots[i].low >> 32);
        n_full += tag != TAG_EMPTY;
        is_index_wrong |= (tag != TAG_EMPTY) & (slots[i].index >= n);
        is_place_wrong |= (tag == TAG_LONG) & (end > texts_size);
    }
    if (is_index_wrong)
        return "an index is not below the number of classes";
    if (is_place_wrong)
        return "a text lies outside the texts";
    if (n_full != n || n_full == n_slots)
        return "there are not as many as classes, and an empty one";
    *vocabulary =
        (struct vocabulary){.slots = slots, .n_slots = (uint32_t)n_slots, .n = n, .texts = texts};
    return NULL;
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    memory_free(vocabulary->own_slots, slot_bytes(vocabulary));
    free(vocabulary->own_texts);
    *vocabulary = (struct vocabulary){0};
}

uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length)
{
    if (length <= SHORT_MAX) {
        const struct vocabulary_key key = short_key(text, length);
        return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
    }
    const struct vocabulary_key key = long_key(text, length);
    return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
}
