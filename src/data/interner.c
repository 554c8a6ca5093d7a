/* SPDX-License-Identifier: Apache-2.0 */
#include "data/interner.h"

#include <stdlib.h>

#include "memory.h"

enum { FIRST_SLOTS = 64, FIRST_TEXT_BYTES = 4096 };

static size_t slot_bytes(uint32_t n_slots)
{
    return (size_t)n_slots * sizeof(struct vocabulary_slot);
}

void interner_init(struct interner *interner)
{
    *interner = (struct interner){.seed = hash_seed_random()};
}

static uint64_t slot_hash(const struct interner *interner, const struct vocabulary_slot *slot)
{
    if (!slot_is_long(slot))
        return hash_pair(&interner->seed, slot->low, slot->high);
    const struct text text = slot_text(slot, interner->texts, NULL);
    return hash_bytes(&interner->seed, text.at, text.length);
}

/* Twice the slots. Where a search starts is a fraction of them, so old ones go to new ones in
 * order. */
static int grow(struct interner *interner)
{
    if (interner->n_slots > UINT32_MAX / 2)
        return -1;
    const uint32_t n_slots = interner->n_slots ? 2 * interner->n_slots : FIRST_SLOTS;
    struct vocabulary_slot *slots = memory_alloc(slot_bytes(n_slots));
    if (slots == NULL)
        return -1;
    for (uint32_t old = 0; old < interner->n_slots; old++) {
        const struct vocabulary_slot *slot = &interner->slots[old];
        if (slot_is_empty(slot))
            continue;
        uint32_t i = first_slot(n_slots, slot_hash(interner, slot));
        while (!slot_is_empty(&slots[i]))
            i = next_slot(n_slots, i);
        slots[i] = *slot;
    }
    memory_free(interner->slots, slot_bytes(interner->n_slots));
    interner->slots = slots;
    interner->n_slots = n_slots;
    return 0;
}

/* Its place and length as a slot holds them in *ret_low. */
static int keep_long(struct interner *interner, struct text text, uint64_t *ret_low)
{
    if (text.length > interner->texts_capacity - interner->texts_size) {
        size_t capacity =
            interner->texts_capacity ? interner->texts_capacity * 2 : FIRST_TEXT_BYTES;
        while (text.length > capacity - interner->texts_size)
            capacity *= 2;
        char *larger =
            capacity <= (size_t)UINT32_MAX + 1 ? realloc(interner->texts, capacity) : NULL;
        if (larger == NULL)
            return -1;
        interner->texts = larger;
        interner->texts_capacity = capacity;
    }
    memcpy(interner->texts + interner->texts_size, text.at, text.length);
    *ret_low = interner->texts_size | (uint64_t)text.length << 32;
    interner->texts_size += text.length;
    return 0;
}

static uint32_t insert(struct interner *interner, const struct vocabulary_key *key,
                       struct text text)
{
    if (interner->n >= interner->n_slots / 8 * 5 && grow(interner) != 0)
        return INTERNER_FULL;
    uint64_t low = key->low;
    if (text.length > SHORT_MAX && keep_long(interner, text, &low) != 0)
        return INTERNER_FULL;
    uint32_t i = first_slot(interner->n_slots, key->hash);
    while (!slot_is_empty(&interner->slots[i]))
        i = next_slot(interner->n_slots, i);
    interner->slots[i] = (struct vocabulary_slot){low, key->high, interner->n};
    return interner->n++;
}

uint32_t interner_add(struct interner *interner, const struct vocabulary_key *key, struct text text)
{
    if (interner->n_slots == 0)
        return insert(interner, key, text);
    const struct vocabulary_slot *slot =
        find_slot(interner->slots, interner->n_slots, interner->texts, key, text);
    return slot_is_empty(slot) ? insert(interner, key, text) : slot->index;
}

size_t interner_bytes(const struct interner *interner)
{
    size_t size = interner->texts_size;
    for (uint32_t i = 0; i < interner->n_slots; i++) {
        const struct vocabulary_slot *slot = &interner->slots[i];
        if (!slot_is_empty(slot) && !slot_is_long(slot))
            size += slot_short_length(slot);
    }
    return size;
}

void interner_list(const struct interner *interner, struct text *ret_texts, char *bytes)
{
    for (uint32_t i = 0; i < interner->n_slots; i++) {
        const struct vocabulary_slot *slot = &interner->slots[i];
        if (slot_is_empty(slot))
            continue;
        char copy[SHORT_COPY];
        const struct text text = slot_text(slot, interner->texts, copy);
        if (text.length > 0)
            memcpy(bytes, text.at, text.length);
        ret_texts[slot->index] = (struct text){bytes, text.length};
        bytes += text.length;
    }
}

void interner_free(struct interner *interner)
{
    memory_free(interner->slots, slot_bytes(interner->n_slots));
    free(interner->texts);
    *interner = (struct interner){0};
}
