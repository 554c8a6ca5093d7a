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
            keys[i] = key_of(&vocabulary->seed, text);
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

int vocabulary_init(struct vocabulary *vocabulary, const struct hash_seed *seed,
                    struct arena *arena, const struct text *classes, uint32_t n)
{
    const size_t texts_size = long_bytes(classes, n);
    char *texts = texts_size <= UINT32_MAX ? arena_alloc(arena, texts_size) : NULL;
    if (texts == NULL)
        return -1;
    *vocabulary = (struct vocabulary){.n = n, .texts = texts, .seed = *seed};
    return fill(vocabulary, arena, classes, texts);
}

int vocabulary_init_in_place(struct vocabulary *vocabulary, const struct hash_seed *seed,
                             struct arena *arena, const char *texts, const struct text *classes,
                             uint32_t n)
{
    *vocabulary = (struct vocabulary){.n = n, .texts = texts, .seed = *seed};
    return fill(vocabulary, arena, classes, NULL);
}

/* Whether look-ups of the texts in the first slots give what those slots hold. */
static bool are_first_found(const struct vocabulary *vocabulary, size_t texts_size)
{
    enum { MOST = 256 };
    const uint32_t n_slots = vocabulary->n_slots < MOST ? vocabulary->n_slots : MOST;
    size_t left = texts_size; /* texts that overlap could be hashed for hours */
    for (uint32_t i = 0; i < n_slots; i++) {
        const struct vocabulary_slot *slot = &vocabulary->slots[i];
        const bool is_long = slot_is_long(slot);
        char copy[SHORT_COPY];
        if (slot_is_empty(slot))
            continue;
        if (!is_long && slot_short_length(slot) > SHORT_MAX)
            return false;
        const struct text text = slot_text(slot, vocabulary->texts, copy);
        if (text.length > left || vocabulary_find(vocabulary, text.at, text.length) != slot->index)
            return false;
        left -= is_long ? text.length : 0;
    }
    return true;
}

/* What one pass over the slots tells. */
struct slots_seen {
    uint64_t n_full;
    uint64_t longest_row; /* of full ones; the last slot stands before the first */
    bool is_index_wrong, is_place_wrong;
};

/* Without branches on what is in a slot: they come in any order. */
static struct slots_seen see_slots(const struct vocabulary *vocabulary, size_t texts_size)
{
    struct slots_seen seen = {0};
    uint64_t row = 0;
    const struct vocabulary_slot *const slots = vocabulary->slots;
    for (uint32_t i = 0; i < vocabulary->n_slots; i++) {
        const uint32_t tag = slots[i].high >> TAG_SHIFT;
        const uint64_t is_full = tag != TAG_EMPTY;
        const uint64_t end = (slots[i].low & UINT32_MAX) + (slots[i].low >> 32);
        seen.n_full += is_full;
        row = (row + 1) & -is_full;
        seen.longest_row = row > seen.longest_row ? row : seen.longest_row;
        seen.is_index_wrong |= is_full & (slots[i].index >= vocabulary->n);
        seen.is_place_wrong |= (tag == TAG_LONG) & (end > texts_size);
    }
    for (uint32_t i = 0; i < vocabulary->n_slots && !slot_is_empty(&slots[i]); i++)
        row++;
    seen.longest_row = row > seen.longest_row ? row : seen.longest_row;
    return seen;
}

const char *vocabulary_open(struct vocabulary *vocabulary, const struct hash_seed *seed,
                            const struct vocabulary_slot *slots, uint64_t n_slots,
                            struct text texts, uint32_t n)
{
    if (n_slots == 0 || n_slots > UINT32_MAX)
        return "there are none, or too many";
    *vocabulary = (struct vocabulary){slots, (uint32_t)n_slots, n, texts.at, *seed};
    const struct slots_seen seen = see_slots(vocabulary, texts.length);
    if (seen.is_index_wrong)
        return "an index is not below the number of classes";
    if (seen.is_place_wrong)
        return "a text lies outside the texts";
    if (seen.n_full != n || seen.n_full == n_slots)
        return "there are not as many as classes, and an empty one";
    if (seen.longest_row > VOCABULARY_LONGEST_ROW)
        return "too many full ones in a row, by classes that were made to collide: look-ups would "
               "be slow; convert the model again";
    if (!are_first_found(vocabulary, texts.length))
        return "a class is not found by its text: the hash_seed, or the slots, are another table's";
    return NULL;
}

uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length)
{
    if (length <= SHORT_MAX) {
        const struct vocabulary_key key = short_key(&vocabulary->seed, text, length);
        return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
    }
    const struct vocabulary_key key = long_key(&vocabulary->seed, text, length);
    return vocabulary_find_key(vocabulary, &key, (struct text){text, length});
}
