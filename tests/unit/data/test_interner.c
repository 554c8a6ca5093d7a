/* SPDX-License-Identifier: Apache-2.0 */
#include "data/interner.h"

#include <stdlib.h>

#include "fixture.h"
#include "flood.h"
#include "test.h"

static uint32_t add(struct interner *interner, const char *bytes, size_t length)
{
    const struct text exact = fixture_copy(bytes, length);
    const struct vocabulary_key key = key_of(&interner->seed, exact);
    interner_prefetch(interner, &key);
    const uint32_t number = interner_add(interner, &key, exact);
    fixture_drop(exact);
    return number;
}

/* Number i's text: of every length up to 40, distinct. */
static size_t make(uint32_t i, char text[64])
{
    const int length = snprintf(text, 64, "%u", i);
    const size_t wanted = i % 41;
    for (size_t at = (size_t)length; at < wanted; at++)
        text[at] = (char)('a' + (i + at) % 26);
    return wanted > (size_t)length ? wanted : (size_t)length;
}

TEST(texts_get_numbers_in_the_order_of_first_appearance)
{
    struct interner interner;
    interner_init(&interner);
    CHECK(add(&interner, "b", 1) == 0);
    CHECK(add(&interner, "", 0) == 1);
    CHECK(add(&interner, "a longer text than a slot holds", 31) == 2);
    CHECK(add(&interner, "b", 1) == 0);
    CHECK(add(&interner, "a longer text than a slot holds", 31) == 2);
    CHECK(add(&interner, "a longer text than a slot holdS", 31) == 3);
    CHECK(add(&interner, "", 0) == 1);
    CHECK(interner.n == 4);
    interner_free(&interner);
    interner_free(&interner);
}

TEST(many_texts_keep_their_numbers_while_the_table_grows)
{
    enum { MANY = 200000 };
    struct interner interner;
    interner_init(&interner);
    char text[64];
    for (uint32_t i = 0; i < MANY; i++) {
        const size_t length = make(i, text);
        CHECK(add(&interner, text, length) == i);
        const uint32_t old = (uint32_t)((uint64_t)i * 7919 % (i + 1));
        CHECK(add(&interner, text, make(old, text)) == old);
    }
    CHECK(interner.n == MANY);
    struct text *texts = malloc(MANY * sizeof *texts);
    char *bytes = malloc(interner_bytes(&interner));
    interner_list(&interner, texts, bytes);
    for (uint32_t i = 0; i < MANY; i++)
        CHECK(text_equal(texts[i], (struct text){text, make(i, text)}));
    free(texts);
    free(bytes);
    interner_free(&interner);
}

/* Ids that collide in a table of the hash without a seed, as they do here with that one. */
TEST(texts_that_were_made_to_collide_do_not)
{
    enum { N = 5000, BY_CHANCE = 400 };
    for (int length = 10; length <= 20; length += 10) {
        struct flood flood = flood_make(&hash_seed_fixed, N, length);
        for (int is_known = 0; is_known < 2; is_known++) {
            struct interner interner;
            interner_init(&interner);
            if (is_known)
                interner.seed = hash_seed_fixed;
            for (uint32_t i = 0; i < N; i++)
                CHECK(add(&interner, flood.texts[i].at, flood.texts[i].length) == i);
            const uint32_t row = longest_row(interner.slots, interner.n_slots);
            CHECK_MSG(is_known ? row > N / 10 * 9 : row < BY_CHANCE, "seed known: %d, row of %u",
                      is_known, row);
            interner_free(&interner);
        }
        flood_free(&flood);
    }
}

TEST(each_table_has_a_seed_of_its_own)
{
    struct interner a, b;
    interner_init(&a);
    interner_init(&b);
    CHECK(memcmp(&a.seed, &b.seed, sizeof a.seed) != 0);
    interner_free(&a);
    interner_free(&b);
}

int main(void)
{
    RUN(texts_get_numbers_in_the_order_of_first_appearance);
    RUN(many_texts_keep_their_numbers_while_the_table_grows);
    RUN(texts_that_were_made_to_collide_do_not);
    RUN(each_table_has_a_seed_of_its_own);
    return test_report();
}
