/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/vocabulary.h"

#include "fixture.h"
#include "test.h"

static struct arena arena = {.limit_bytes = SIZE_MAX}; /* of vocabularies */

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* Looks a text up at the end of its own memory. */
static uint32_t find(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    const struct text exact = fixture_copy(bytes, length);
    const uint32_t index = vocabulary_find(vocabulary, exact.at, exact.length);
    fixture_drop(exact);
    return index;
}

TEST(an_empty_vocabulary_knows_nothing)
{
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, NULL, 0) == 0);
    CHECK(vocabulary.n == 0);
    static const char zeros[64];
    for (size_t length = 0; length <= sizeof zeros; length++)
        CHECK(find(&vocabulary, zeros, length) == 0);
    CHECK(find(&vocabulary, "884208", 6) == 0);
    arena_free(&arena);
}

TEST(one_class_is_0_and_everything_else_is_1)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    for (size_t length = 0; length <= 40; length++) {
        struct vocabulary vocabulary;
        const struct text only = {letters, length};
        CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, &only, 1) == 0);
        for (size_t other = 0; other <= 41; other++)
            CHECK_MSG(find(&vocabulary, letters, other) == (other == length ? 0 : 1),
                      "class of %zu bytes, text of %zu", length, other);
        arena_free(&arena);
    }
}

TEST(classes_of_every_length_differ_in_every_byte)
{
    for (size_t length = 1; length <= 40; length++) {
        struct vocabulary vocabulary;
        char bytes[40], changed[40];
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)('a' + i % 26);
        const struct text only = {bytes, length};
        CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, &only, 1) == 0);
        for (size_t at = 0; at < length; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                memcpy(changed, bytes, length);
                changed[at] = (char)(changed[at] ^ (1 << bit));
                CHECK_MSG(find(&vocabulary, changed, length) == 1, "length %zu, byte %zu, bit %u",
                          length, at, bit);
            }
        CHECK(find(&vocabulary, bytes, length) == 0);
        arena_free(&arena);
    }
}

TEST(nul_bytes_count)
{
    enum { N = 41 };
    static const char zeros[N];
    struct text classes[2 * N];
    char ends[N][N + 1]; /* "a", "a\0", "a\0\0", .. */
    for (size_t i = 0; i < N; i++) {
        classes[i] = (struct text){zeros, i};
        memset(ends[i], 0, sizeof ends[i]);
        ends[i][0] = 'a';
        classes[N + i] = (struct text){ends[i], i + 1};
    }
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, 2 * N) == 0);
    for (uint32_t i = 0; i < 2 * N; i++)
        CHECK(find(&vocabulary, classes[i].at, classes[i].length) == i);
    CHECK(find(&vocabulary, "\0a", 2) == 2 * N);
    CHECK(find(&vocabulary, "a\0b", 3) == 2 * N);
    CHECK(find(&vocabulary, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16) == 2 * N);
    arena_free(&arena);
}

TEST(the_classes_are_copied)
{
    struct text classes[3] = {fixture_copy("short", 5), fixture_copy("a text of 21 bytes ..", 21),
                              fixture_copy("", 0)};
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, 3) == 0);
    for (int i = 0; i < 3; i++)
        fixture_drop(classes[i]);
    CHECK(find(&vocabulary, "short", 5) == 0);
    CHECK(find(&vocabulary, "a text of 21 bytes ..", 21) == 1);
    CHECK(find(&vocabulary, "", 0) == 2);
    arena_free(&arena);
}

/* Texts that a hash of too few bytes, or of too little mixing, would put together. */
TEST(texts_that_are_nearly_equal_are_told_apart)
{
    enum { N = 3000 };
    static const struct {
        const char *before, *after;
        int n_digits;
    } forms[] = {{"", "", 1},
                 {"", "", 12},
                 {"00000000000000000000", "", 1},
                 {"", "xxxxxxxxxxx", 1},
                 {"", "xxxxxxxxxxxxxxxxxxxxxxxx", 1},
                 {"xxxxxxxxxx", "xxxxxxxxxx", 1},
                 {"\xE4\xB8\xAD", "\n", 8}};
    static char bytes[N][64];
    static struct text classes[N];
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct vocabulary vocabulary;
        for (unsigned i = 0; i < N; i++) {
            snprintf(bytes[i], sizeof bytes[i], "%s%0*u%s", forms[f].before, forms[f].n_digits, i,
                     forms[f].after);
            classes[i] = text_of(bytes[i]);
        }
        CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, N / 2) == 0);
        unsigned n_wrong = 0;
        for (uint32_t i = 0; i < N; i++)
            n_wrong += find(&vocabulary, bytes[i], classes[i].length) != (i < N / 2 ? i : N / 2);
        CHECK_MSG(n_wrong == 0, "form %zu: %u", f, n_wrong);
        arena_free(&arena);
    }
}

static int by_text(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* Position in a sorted array, or n. */
static uint32_t find_sorted(const struct text *sorted, uint32_t n, struct text text)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (text_compare(sorted[middle], text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && text_equal(sorted[low], text) ? low : n;
}

TEST(random_texts_are_found_as_in_a_sorted_array)
{
    enum { N = 60000, MAX_LENGTH = 40 };
    char *bytes = malloc((size_t)N * MAX_LENGTH);
    struct text *texts = malloc(N * sizeof *texts);
    CHECK(bytes != NULL && texts != NULL);
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        char *at = bytes + (size_t)i * MAX_LENGTH;
        const uint32_t length = random_below(MAX_LENGTH + 1);
        const uint32_t alphabet = i % 3 ? 3 : 256; /* few letters: many texts alike */
        for (uint32_t j = 0; j < length; j++)
            at[j] = (char)random_below(alphabet);
        texts[i] = (struct text){at, length};
    }
    qsort(texts, N, sizeof *texts, by_text);
    for (uint32_t i = 0; i < N; i++)
        if (i == 0 || !text_equal(texts[i], texts[n - 1]))
            texts[n++] = texts[i];
    struct text *classes = malloc(n * sizeof *classes);
    CHECK(classes != NULL);
    uint32_t n_classes = 0;
    for (uint32_t i = 0; i < n; i += 2) /* the others are unknown */
        classes[n_classes++] = texts[i];
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, n_classes) == 0);
    unsigned n_wrong = 0;
    for (uint32_t i = 0; i < n; i++)
        n_wrong += find(&vocabulary, texts[i].at, texts[i].length) !=
                   find_sorted(classes, n_classes, texts[i]);
    CHECK_MSG(n_wrong == 0, "%u of %u", n_wrong, n);
    arena_free(&arena);
    free(classes);
    free(texts);
    free(bytes);
}

TEST(four_hundred_thousand_ids_are_found)
{
    enum { N = 400000 };
    char(*bytes)[16] = malloc(N * sizeof *bytes);
    struct text *classes = malloc(N * sizeof *classes);
    CHECK(bytes != NULL && classes != NULL);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(bytes[i], sizeof bytes[i], "%u", i * 3u);
        classes[i] = text_of(bytes[i]);
    }
    struct vocabulary vocabulary;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, N) == 0);
    CHECK(vocabulary.n == N);
    unsigned n_wrong = 0;
    for (uint32_t i = 0; i < 3 * N; i++) {
        char id[16];
        const size_t length = (size_t)snprintf(id, sizeof id, "%u", i);
        n_wrong += vocabulary_find(&vocabulary, id, length) != (i % 3 ? N : i / 3);
    }
    CHECK_MSG(n_wrong == 0, "%u ids", n_wrong);
    arena_free(&arena);
    free(classes);
    free(bytes);
}

TEST(every_number_of_classes_leaves_room_to_stop)
{
    enum { N = 300 };
    static char bytes[N][32];
    static struct text classes[N];
    for (unsigned i = 0; i < N; i++) {
        snprintf(bytes[i], sizeof bytes[i], "%s%u", i % 2 ? "" : "long class ", i);
        classes[i] = text_of(bytes[i]);
    }
    for (uint32_t n = 0; n <= N; n++) {
        struct vocabulary vocabulary;
        CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, n) == 0);
        for (uint32_t i = 0; i < N; i++)
            CHECK(find(&vocabulary, bytes[i], classes[i].length) == (i < n ? i : n));
        arena_free(&arena);
    }
}

TEST(a_vocabulary_may_be_made_again_of_other_classes)
{
    struct vocabulary vocabulary;
    const struct text one = text_of("1"), two = text_of("a class of 19 bytes");
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, &one, 1) == 0);
    arena_free(&arena);
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, &two, 1) == 0);
    CHECK(find(&vocabulary, "1", 1) == 1 && find(&vocabulary, two.at, two.length) == 0);
    arena_free(&arena);
}

int main(void)
{
    RUN(an_empty_vocabulary_knows_nothing);
    RUN(one_class_is_0_and_everything_else_is_1);
    RUN(classes_of_every_length_differ_in_every_byte);
    RUN(nul_bytes_count);
    RUN(the_classes_are_copied);
    RUN(texts_that_are_nearly_equal_are_told_apart);
    RUN(random_texts_are_found_as_in_a_sorted_array);
    RUN(four_hundred_thousand_ids_are_found);
    RUN(every_number_of_classes_leaves_room_to_stop);
    RUN(a_vocabulary_may_be_made_again_of_other_classes);
    return test_report();
}
