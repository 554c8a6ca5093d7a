/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are no class as they are written, and are one in another form. */
#include "encode/other_form.h"

#include <math.h>

#include "encode/cell_text.h"
#include "encode/encoder.h"
#include "fixture.h"
#include "test.h"

enum { MAX_CLASSES = 8, MAX_ROWS = 64 };

static struct arena arena = {.limit_bytes = SIZE_MAX};

static struct cell text(const char *at)
{
    return (struct cell){.text = at, .length = (uint32_t)strlen(at), .kind = CELL_TEXT};
}

static struct cell integer(const char *digits)
{
    return (struct cell){.text = digits, .length = (uint32_t)strlen(digits), .kind = CELL_INTEGER};
}

/* `bits`: 24 of FP32, 11 of FP16, 0 of a double. */
static struct cell number(double value, uint32_t bits)
{
    return (struct cell){.number = value, .length = bits, .kind = CELL_FLOAT};
}

static struct cell boolean(bool value)
{
    return (struct cell){.boolean = value, .kind = CELL_BOOL};
}

static const struct cell missing = {.kind = CELL_MISSING};

static uint32_t split(const char *classes, struct text *ret_texts)
{
    uint32_t n = 0;
    while (*classes) {
        const size_t length = strcspn(classes, "|");
        ret_texts[n++] = (struct text){classes, length};
        classes += length + (classes[length] == '|');
    }
    return n;
}

/* The class that a value finds among some, by '|', or "". */
static struct text found_among(const char *classes, struct cell cell)
{
    static struct other_form form;
    char scratch[NUMBER_REPR_MAX];
    struct text texts[MAX_CLASSES];
    struct vocabulary vocabulary;
    const uint32_t n = split(classes, texts);
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, texts, n) == 0);
    const struct text own = cell_text(&cell, COLUMN_AS_WRITTEN, scratch);
    uint32_t found = vocabulary_find(&vocabulary, own.at, own.length);
    if (found == n)
        found = other_form_find(&vocabulary, &cell, own, &form);
    const struct text result = found < n ? texts[found] : text_of("");
    if (found < n && !text_equal(own, result))
        CHECK(text_equal(form.text, result));
    arena_free(&arena);
    return result;
}

static void finds(const char *classes, struct cell cell, const char *expected, int line)
{
    const struct text found = found_among(classes, cell);
    CHECK_MSG(text_is(found, expected), "line %d: \"%.*s\", not \"%s\"", line, (int)found.length,
              found.at, expected);
}

#define FINDS(classes, cell, expected) finds(classes, cell, expected, __LINE__)

TEST(a_number_finds_the_class_of_the_same_number)
{
    FINDS("884208", number(884208.0, 0), "884208");
    FINDS("884208", number(884208.0, 24), "884208");
    FINDS("884208", text("884208.0"), "884208");
    FINDS("3.0|nan", integer("3"), "3.0");
    FINDS("3.0|nan", text("3"), "3.0");
    FINDS("-3.0|nan", integer("-3"), "-3.0");
    FINDS("-3", text("-3.00"), "-3");
    FINDS("100000", text("1e5"), "100000");
    FINDS("100000.0", text("1E+5"), "100000.0");
    FINDS("15", text("1.5e1"), "15");
    FINDS("0", number(-0.0, 0), "0");
    FINDS("0.0", integer("0"), "0.0");
    FINDS("0", text("-0"), "0");
    FINDS("0", text("0e99"), "0");
    FINDS("3.5", text("3.50"), "3.5");
    FINDS("0.1", text("0.10"), "0.1");
    FINDS("0.1", text("1e-1"), "0.1");
    FINDS("1e-05", text("0.00001"), "1e-05");
    FINDS("1", boolean(true), "1");
    FINDS("0.0|1.0", boolean(false), "0.0");
}

TEST(a_missing_value_finds_either_of_its_texts)
{
    FINDS("nan", missing, "nan");
    FINDS("None", missing, "None");
    FINDS("None", number((double)NAN, 0), "None");
    FINDS("None", text("nan"), "None");
    FINDS("nan", text("None"), "nan");
    FINDS("None|nan", missing, "None");
    FINDS("None|nan", number((double)NAN, 24), "nan");
    FINDS("None|nan", text("nan"), "nan");
    FINDS("nan", text(""), "");
    FINDS("nan", text("none"), "");
    FINDS("nan", text("NaN"), "");
    FINDS("nan", text("null"), "");
    FINDS("NULL|null|", missing, "");
}

TEST(its_own_text_comes_first_then_the_integer)
{
    FINDS("3|3.0", integer("3"), "3");
    FINDS("3|3.0", number(3.0, 0), "3.0");
    FINDS("3|3.0", number(3.0, 24), "3.0");
    FINDS("3|3.0", text("3"), "3");
    FINDS("3|3.0", text("3.0"), "3.0");
    FINDS("3|3.0", text("3.00"), "3");
    FINDS("3|3.0", text("3e0"), "3");
    FINDS("3|3.0|3.00", text("3.00"), "3.00");
    FINDS("1|1.0|True", boolean(true), "True");
    FINDS("1|1.0", boolean(true), "1");
}

TEST(no_value_finds_another_number)
{
    FINDS("9007199254740992.0", integer("9007199254740993"), "");
    FINDS("9007199254740992|9007199254740993", number(9007199254740992.0, 0), "");
    FINDS("9007199254740993|9007199254740992.0", text("9007199254740993.0"), "");
    FINDS("9007199254740991", number(9007199254740991.0, 0), "9007199254740991");
    FINDS("9007199254740991.0", integer("9007199254740991"), "9007199254740991.0");
    FINDS("-9007199254740991", number(-9007199254740991.0, 0), "-9007199254740991");
    FINDS("9007199254740991", text("9007199254740991.00"), "9007199254740991");
    FINDS("9007199254740992|9007199254740991", text("9007199254740991.5"), "");
    FINDS("9007199254740991|9007199254740990", text("9007199254740990.99"), "");
    FINDS("16777216|16777217", number(16777216.0, 24), ""); /* numpy's float32(16777217) */
    FINDS("16777215", number(16777215.0, 24), "16777215");
    FINDS("16777216", number(16777216.0, 0), "16777216");
    FINDS("2048|2049", number(2048.0, 11), "");
    FINDS("2047", number(2047.0, 11), "2047");
    FINDS("1e+22", integer("10000000000000000000000"), "");
    FINDS("10000000000000000000000", number(1e22, 0), "");
    FINDS("0.1", number((double)0.1f, 24), "");
    FINDS("0.1", text("0.1000000000000000055511151231257827"), "");
    FINDS("0.1", text("0.10000000000000000"), "0.1");
    FINDS("0.1", text("0.10000000000000001"), "");
    FINDS("0|0.0", text("1e-400"), "");
    FINDS("inf", text("1e400"), "");
    FINDS("3", number(3.5, 0), "");
    FINDS("3", number((double)INFINITY, 0), "");
    FINDS("3", number(-3.0, 0), "");
    FINDS("1", text("True"), "");
    FINDS("True|False", integer("1"), "");
}

TEST(codes_are_no_numbers)
{
    static const char *const codes[] = {
        "07",  "007", "+7",   " 7",  "7 ",  "7_0",     "7.", ".7e1", "0x7",   "--7",          "7e",
        "7e+", "7,0", "7.0x", "7\n", "-07", "7e00000", "-",  "7-",   "7.0.0", "\xEF\xBC\x97", "00"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        FINDS("7|7.0|70|70.0|0|0.0|-7", text(codes[i]), "");
    FINDS("7|7.0", ((struct cell){.text = "7.0\0", .length = 4, .kind = CELL_TEXT}), "");
    /* and no number finds a class that is one */
    FINDS("007|+7|1e5|7.00", integer("7"), "");
    FINDS("007|+7|1e5|7.00", text("100000"), "");
}

TEST(texts_of_any_length_end_where_they_end)
{
    static const char *const starts[] = {"0.", "1", "1.", "1e", "1e-", "-0.", "9"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        for (size_t n = 0; n < 2000; n = n < 40 ? n + 1 : 2 * n) {
            struct builder builder = {0};
            builder_text(&builder, starts[i]);
            builder_repeat(&builder, i == 6 ? "9" : "0", n);
            const struct text copy = fixture_copy(builder.at, builder.length);
            const struct cell kinds[] = {
                {.text = copy.at, .length = (uint32_t)copy.length, .kind = CELL_TEXT},
                {.text = copy.at, .length = (uint32_t)copy.length, .kind = CELL_INTEGER}};
            found_among("0|1|1.0", kinds[0]);
            if (i == 1 || i == 6)
                found_among("0|1|1.0", kinds[1]);
            fixture_drop(copy);
            builder_free(&builder);
        }
    }
}

/* ---- through the encoder ---- */

static struct fixture f;

static int encode(const char *classes, bool match_forms, uint32_t *ret_indices,
                  struct category_counts *counts)
{
    struct text texts[MAX_CLASSES];
    struct vocabulary vocabulary;
    struct special_rows special = {0, SPECIAL_ROW_NONE};
    const struct encoder encoder = {
        .schema = f.schema, .vocabularies = &vocabulary, .special = &special};
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, texts, split(classes, texts)) ==
          0);
    special.unknown = vocabulary.n;
    memset(counts, 0, sizeof *counts);
    const int status =
        encoder_encode(&encoder, &f.frame, match_forms, NULL, ret_indices, counts, &f.error);
    arena_free(&arena);
    return status;
}

TEST(the_encoder_counts_them_and_finds_them_if_asked)
{
    const struct cell cells[] = {text("x"), text("884208.0"), text("7"), text("3.0"), text("9")};
    uint32_t indices[5];
    struct category_counts counts;
    fixture_reset(&f);
    for (int i = 0; i < 5; i++)
        CHECK(frame_append(&f.frame, 0, cells[i], &f.error) == 0);
    CHECK(frame_end_segment(&f.frame, 5, &f.error) == 0);
    for (int match = 0; match < 2; match++) {
        CHECK(encode("3|7|884208", match, indices, &counts) == 0);
        CHECK(indices[0] == 3 && indices[1] == (match ? 2 : 3) && indices[2] == 1);
        CHECK(indices[3] == (match ? 0 : 3) && indices[4] == 3);
        CHECK(counts.n_other_form == 2 && counts.n_unknown == (match ? 2 : 4));
        CHECK(text_is(counts.value, "884208.0") && text_is(counts.class, "884208"));
    }
}

TEST(an_integer_beside_a_null_keeps_its_digits)
{
    uint32_t indices[2];
    struct category_counts counts;
    fixture_reset(&f);
    CHECK(frame_append(&f.frame, 0, integer("9007199254740993"), &f.error) == 0);
    CHECK(frame_append(&f.frame, 0, missing, &f.error) == 0);
    CHECK(frame_end_segment(&f.frame, 2, &f.error) == 0);
    for (int match = 0; match < 2; match++) { /* pandas writes it as a float */
        CHECK(encode("9007199254740993|nan", match, indices, &counts) == 0);
        CHECK(indices[0] == (match ? 0 : 2) && indices[1] == 1);
        CHECK(counts.n_other_form == (match ? 1 : 1));
    }
}

/* Rows of all kinds, in every pair, in one segment and in two: each as it is alone. */
TEST(a_value_has_the_same_class_alone_and_beside_any_other)
{
    const struct cell cells[] = {integer("3"),
                                 integer("5"),
                                 number(3.0, 0),
                                 number(5.0, 24),
                                 number((double)NAN, 0),
                                 boolean(true),
                                 missing,
                                 text("3"),
                                 text("3.0"),
                                 text("5.0"),
                                 text("None"),
                                 integer("9007199254740993"),
                                 text("x")};
    enum { N = sizeof cells / sizeof *cells };
    static const char *const vocabularies[] = {"3|5", "3.0|5.0|nan", "3|3.0|5|None|nan",
                                               "1|1.0|True|9007199254740992.0|9007199254740993"};
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        uint32_t alone[N], both[2];
        struct category_counts counts;
        for (int i = 0; i < N; i++) {
            fixture_reset(&f);
            CHECK(frame_append(&f.frame, 0, cells[i], &f.error) == 0);
            CHECK(frame_end_segment(&f.frame, 1, &f.error) == 0);
            CHECK(encode(vocabularies[v], true, &alone[i], &counts) == 0);
        }
        for (int i = 0; i < N * N * 2; i++) {
            const int a = i % N, b = i / N % N;
            fixture_reset(&f);
            CHECK(frame_append(&f.frame, 0, cells[a], &f.error) == 0);
            if (i >= N * N)
                CHECK(frame_end_segment(&f.frame, 1, &f.error) == 0);
            CHECK(frame_append(&f.frame, 0, cells[b], &f.error) == 0);
            CHECK(frame_end_segment(&f.frame, 2, &f.error) == 0);
            CHECK(encode(vocabularies[v], true, both, &counts) == 0);
            CHECK_MSG(both[0] == alone[a] && both[1] == alone[b], "%zu: %d beside %d", v, a, b);
        }
    }
}

int main(void)
{
    fixture_init(&f, "c", 1, 0, MAX_ROWS);
    RUN(a_number_finds_the_class_of_the_same_number);
    RUN(a_missing_value_finds_either_of_its_texts);
    RUN(its_own_text_comes_first_then_the_integer);
    RUN(no_value_finds_another_number);
    RUN(codes_are_no_numbers);
    RUN(texts_of_any_length_end_where_they_end);
    RUN(the_encoder_counts_them_and_finds_them_if_asked);
    RUN(an_integer_beside_a_null_keeps_its_digits);
    RUN(a_value_has_the_same_class_alone_and_beside_any_other);
    fixture_free(&f);
    return test_report();
}
