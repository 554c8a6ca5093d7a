/* SPDX-License-Identifier: Apache-2.0 */
/* test_vocabulary_flood.c: classes that were made to collide, and tables that hold such. */
#include "encode/vocabulary.h"

#include <stdlib.h>

#include "flood.h"
#include "test.h"

enum { N = 5000, BY_CHANCE = 400 /* a row as long comes once in 10^15 tables of N */ };

static struct arena arena = {.limit_bytes = SIZE_MAX};

static unsigned n_not_found(const struct vocabulary *vocabulary, const struct flood *flood)
{
    unsigned n_wrong = 0;
    for (uint32_t i = 0; i < flood->n; i++)
        n_wrong += vocabulary_find(vocabulary, flood->texts[i].at, flood->texts[i].length) != i;
    return n_wrong;
}

static void check_flood(const struct hash_seed *known, int length)
{
    const struct hash_seed unknown = hash_seed_random();
    struct flood flood = flood_make(known, N, length);
    struct vocabulary slow, fast;
    CHECK(vocabulary_init(&slow, known, &arena, flood.texts, N) == 0);
    CHECK(vocabulary_init(&fast, &unknown, &arena, flood.texts, N) == 0);
    const uint32_t slow_row = longest_row(slow.slots, slow.n_slots);
    const uint32_t fast_row = longest_row(fast.slots, fast.n_slots);
    CHECK_MSG(slow_row > N / 10 * 9, "%u: no flood", slow_row);
    CHECK_MSG(fast_row < BY_CHANCE, "a row of %u", fast_row);
    CHECK(n_not_found(&fast, &flood) == 0);
    arena_free(&arena);
    flood_free(&flood);
}

TEST(ids_for_the_hash_without_a_seed_do_not_collide)
{
    check_flood(&hash_seed_fixed, 10);
    check_flood(&hash_seed_fixed, 20);
}

TEST(ids_for_a_seed_that_is_known_do_not_collide_under_another)
{
    const struct hash_seed known = hash_seed_random();
    check_flood(&known, 10);
    check_flood(&known, 20);
}

/* What vocabulary_open() says of a table. */
static const char *open_again(const struct vocabulary *vocabulary, const struct hash_seed *seed,
                              size_t texts_size)
{
    struct vocabulary opened;
    const char *wrong =
        vocabulary_open(&opened, seed, vocabulary->slots, vocabulary->n_slots,
                        (struct text){vocabulary->texts, texts_size}, vocabulary->n);
    return wrong ? wrong : "";
}

TEST(a_table_of_classes_that_collide_is_not_opened)
{
    const struct hash_seed other = hash_seed_random();
    struct flood flood = flood_make(&hash_seed_fixed, N, 20);
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, flood.texts, N) == 0);
    CHECK(strstr(open_again(&vocabulary, &hash_seed_fixed, (size_t)N * 20), "in a row"));
    CHECK(vocabulary_init(&vocabulary, &other, &arena, flood.texts, N) == 0);
    CHECK(strcmp(open_again(&vocabulary, &other, (size_t)N * 20), "") == 0);
    arena_free(&arena);
    flood_free(&flood);
}

TEST(a_table_with_the_seed_of_another_is_not_opened)
{
    const struct hash_seed seed = hash_seed_random();
    for (uint32_t n = 200; n <= N; n *= 10)
        for (int length = 10; length <= 20; length += 10) {
            struct flood flood = flood_make(&hash_seed_fixed, n, length);
            struct vocabulary vocabulary;
            CHECK(vocabulary_init(&vocabulary, &seed, &arena, flood.texts, n) == 0);
            CHECK(strcmp(open_again(&vocabulary, &seed, (size_t)n * 20), "") == 0);
            for (size_t word = 0; word < HASH_SEED_WORDS; word++) {
                struct hash_seed other = seed;
                other.words[word] ^= 1ull << 40;
                CHECK(strstr(open_again(&vocabulary, &other, (size_t)n * 20), "is not found"));
            }
            arena_free(&arena);
            flood_free(&flood);
        }
}

TEST(the_longest_row_goes_on_from_the_last_slot_to_the_first)
{
    enum { N_SLOTS = 4096, AT_THE_START = 600 };
    for (uint32_t n = VOCABULARY_LONGEST_ROW; n <= VOCABULARY_LONGEST_ROW + 1; n++) {
        struct vocabulary_slot *slots = calloc(N_SLOTS, sizeof *slots);
        CHECK(slots != NULL);
        for (uint32_t i = 0; i < n; i++)
            slots[(N_SLOTS + AT_THE_START - n + i) % N_SLOTS] =
                (struct vocabulary_slot){.high = 1u << TAG_SHIFT, .index = i};
        const struct vocabulary vocabulary = {.slots = slots, .n_slots = N_SLOTS, .n = n};
        const char *wrong = open_again(&vocabulary, &hash_seed_fixed, 0);
        CHECK_MSG(strstr(wrong, n > VOCABULARY_LONGEST_ROW ? "in a row" : "is not found"), "%u: %s",
                  n, wrong);
        free(slots);
    }
}

/* Each class goes from its place to the end of the texts: to hash all of them takes as many times
 * the texts as there are classes. */
TEST(long_classes_that_overlap_are_not_opened)
{
    enum { N_CLASSES = 100, SIZE = 1000 };
    static char texts[SIZE];
    struct text classes[N_CLASSES];
    struct vocabulary vocabulary;
    memset(texts, 'a', sizeof texts);
    for (size_t i = 0; i < N_CLASSES; i++)
        classes[i] = (struct text){texts + i, SIZE - i};
    CHECK(vocabulary_init_in_place(&vocabulary, &hash_seed_fixed, &arena, texts, classes,
                                   N_CLASSES) == 0);
    CHECK(vocabulary_find(&vocabulary, texts, SIZE - 7) == 7);
    CHECK(strstr(open_again(&vocabulary, &hash_seed_fixed, SIZE), "is not found"));
    arena_free(&arena);
}

int main(void)
{
    RUN(ids_for_the_hash_without_a_seed_do_not_collide);
    RUN(ids_for_a_seed_that_is_known_do_not_collide_under_another);
    RUN(a_table_of_classes_that_collide_is_not_opened);
    RUN(a_table_with_the_seed_of_another_is_not_opened);
    RUN(the_longest_row_goes_on_from_the_last_slot_to_the_first);
    RUN(long_classes_that_overlap_are_not_opened);
    return test_report();
}
