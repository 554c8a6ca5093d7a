/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash table of a column as a converted file holds it: 32 bytes of seed, the numbers of classes
 * and of slots as 16 bits each, the slots, the texts.
 */
#include <string.h>

#include "encode/vocabulary_key.h"
#include "fuzz.h"

static uint32_t n_full_in_a_row(const struct vocabulary *vocabulary, uint32_t first)
{
    uint32_t n = 0;
    while (!slot_is_empty(&vocabulary->slots[(first + n) % vocabulary->n_slots]))
        n++;
    return n;
}

static void look_up(const struct vocabulary *vocabulary, struct text text)
{
    const struct vocabulary_key key = key_of(&vocabulary->seed, text);
    REQUIRE(vocabulary_find(vocabulary, text.at, text.length) <= vocabulary->n);
    REQUIRE(n_full_in_a_row(vocabulary, first_slot(vocabulary->n_slots, key.hash)) <=
            VOCABULARY_LONGEST_ROW);
}

static void open_table(const uint8_t *data, size_t size, const struct hash_seed *seed, uint32_t n,
                       const struct vocabulary_slot *slots, uint32_t n_slots)
{
    const struct text texts = {(const char *)data, size};
    struct vocabulary vocabulary;
    const char *wrong = vocabulary_open(&vocabulary, seed, slots, n_slots, texts, n);
    if (wrong) {
        REQUIRE(*wrong);
        return;
    }
    for (uint32_t i = 0; i < n_slots; i++)
        if (!slot_is_empty(&slots[i]) &&
            (slot_is_long(&slots[i]) || slot_short_length(&slots[i]) <= SHORT_MAX)) {
            char copy[SHORT_COPY];
            look_up(&vocabulary, slot_text(&slots[i], texts.at, copy));
        }
    for (size_t length = 0; length <= size && length < 64; length++)
        look_up(&vocabulary, (struct text){texts.at, length});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash_seed seed;
    uint16_t n, n_slots;
    if (size < sizeof seed + sizeof n + sizeof n_slots)
        return 0;
    memcpy(&seed, data, sizeof seed);
    memcpy(&n, data + sizeof seed, sizeof n);
    memcpy(&n_slots, data + sizeof seed + sizeof n, sizeof n_slots);
    data += sizeof seed + sizeof n + sizeof n_slots;
    size -= sizeof seed + sizeof n + sizeof n_slots;
    const size_t slots_size = n_slots * sizeof(struct vocabulary_slot);
    if (size < slots_size)
        return 0;
    struct vocabulary_slot *slots = malloc(slots_size + 1);
    REQUIRE(slots);
    memcpy(slots, data, slots_size);
    open_table(data + slots_size, size - slots_size, &seed, n, slots, n_slots);
    free(slots);
    return 0;
}
