/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/vocabulary.h"

#include "encode/vocabulary_key.h"

/* At most 60 % full. */
static uint64_t slots_for(uint32_t n)
{
    return ((uint64_t)n + n / 3 * 2 + 4) / 4 * 4;
}

/* Of the texts that do not fit in a slot. */
static size_t long_bytes(const struct text *classes, uint32_t n)
{
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++)
        size += classes[i].length > SHORT_MAX ? classes[i].length : 0;
    return size;
}

size_t vocabulary_bytes(const struct text *classes, uint32_t n)
{
    return slots_for(n) * sizeof(struct vocabulary_slot) + long_bytes(classes, n) + ARENA_ALIGNMENT;
}

static void insert(struct vocabulary_slot *slots, uint32_t n_slots,
                   const struct vocabulary_key *key, uint32_t index)
{
    uint32_t i = first_slot(n_slots, key->hash);
    while (!slot_is_empty(&slots[i]))
        i = next_slot(n_slots, i);
    slots[i] = (struct vocabulary_slot){key->low, key->high, index};
}

/* Where a long text lies; a copy of it where `*copy` says, unless that is NULL. */
static uint64_t place_of(const struct vocabulary *vocabulary, struct text text, char **copy)
{
    if (*copy == NULL)
        return (uint64_t)(text.at - vocabulary->texts);
    char *const place = *copy;
    memcpy(place, text.at, text.length);
    *copy += text.length;
    return (uint64_t)(place - vocabulary->texts);
}

/* Makes the slots. -1: too many, or out of memory. */
static int fill(struct vocabulary *vocabulary, struct arena *arena, const struct text *classes,
                char *copy)
{
    enum { BATCH = 16 }; /* slots that are on their way from memory together */
    const uint32_t n = vocabulary->n;
    const uint64_t n_slots = slots_for(n);
    struct vocabulary_slot *slots =
        n_slots <= UINT32_MAX ? arena_calloc(arena, n_slots, sizeof *slots) : NULL;
    if (slots == NULL)
        return -1;
    for (uint32_t first = 0; first < n; first += BATCH) {
        struct vocabulary_key keys[BATCH];
        const uint32_t count = n - first < BATCH ? n - first : BATCH;
        for (uint32_t i = 0; i < count; i++) {
            const struct text text = classes[first + i];
            keys[i] = key_of(text);
            if (text.length > SHORT_MAX)
                keys[i].low = place_of(vocabulary, text, &copy) | (uint64_t)text.length << 32;
            __builtin_prefetch(&slots[first_slot((uint32_t)n_slots, keys[i].hash)], 1);
        }
        for (uint32_t i = 0; i < count; i++)
            insert(slots, (uint32_t)n_slots, &keys[i], first + i);
    }
    vocabulary->slots = slots;
    vocabulary->n_slots = (uint32_t)n_slots;
    return 0;
}

int vocabulary_init(struct vocabulary *vocabulary, struct arena *arena, const struct text *classes,
                    uint32_t n)
{
    const size_t texts_size = long_bytes(classes, n);
    char *texts = texts_size <= UINT32_MAX ? arena_alloc(arena, texts_size) : NULL;
    if (texts == NULL)
        return -1;
    *vocabulary = (struct vocabulary){.n = n, .texts = texts};
    return fill(vocabulary, arena, classes, texts);
}

int vocabulary_init_in_place(struct vocabulary *vocabulary, struct arena *arena, const char *texts,
                             const struct text *classes, uint32_t n)
{
    *vocabulary = (struct vocabulary){.n = n, .texts = texts};
    return fill(vocabulary, arena, classes, NULL);
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

uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length)
{
    if (length <= SHORT_MAX) {
        const struct vocabulary_key key = short_key(text, length);
        return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
    }
    const struct vocabulary_key key = long_key(text, length);
    return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
}
