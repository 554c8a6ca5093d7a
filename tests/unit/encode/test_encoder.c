/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of categories as pandas writes them: test_cell_text.c. */
#include "encode/encoder.h"

#include <float.h>
#include <math.h>

#include "fixture.h"
#include "pair.h"
#include "test.h"

static struct arena arena = {.limit_bytes = SIZE_MAX}; /* of vocabularies */

/* Categories a and b, dense p and q. */
enum { A, B, P, Q, MAX_ROWS = 2000 };

static struct fixture f;
static struct encoder encoder;
static struct encoded encoded;
static struct category_counts counts[2];

static double mean[2] = {0.5, -3.0};
static double scale[2] = {2.0, 0.1};

static void init(void)
{
    static struct vocabulary vocabularies[2];
    static const struct text a[] = {{"1", 1}, {"2", 1}, {"None", 4}, {"True", 4}, {"x", 1}};
    static const struct text b[] = {{"1.0", 3}, {"nan", 3}, {"\xC3\xA9", 2}};
    fixture_init(&f, "a,b,p,q", 2, 2, MAX_ROWS);
    CHECK(vocabulary_init(&vocabularies[0], &hash_seed_fixed, &arena, a, 5) == 0);
    CHECK(vocabulary_init(&vocabularies[1], &hash_seed_fixed, &arena, b, 3) == 0);
    encoder = pair_encoder(&arena, &f.schema, vocabularies, mean, scale);
}

static struct cell integer(const char *digits)
{
    return (struct cell){.text = digits, .length = (uint32_t)strlen(digits), .kind = CELL_INTEGER};
}

static struct cell text(const char *nul_terminated)
{
    return (struct cell){
        .text = nul_terminated, .length = (uint32_t)strlen(nul_terminated), .kind = CELL_TEXT};
}

static struct cell number(double value)
{
    return (struct cell){.number = value, .kind = CELL_FLOAT};
}

static struct cell boolean(bool value)
{
    return (struct cell){.boolean = value, .kind = CELL_BOOL};
}

static const struct cell missing = {.kind = CELL_MISSING};

static void add_row(struct cell a, struct cell b, struct cell p, struct cell q)
{
    CHECK(frame_append(&f.frame, A, a, &f.error) == 0);
    CHECK(frame_append(&f.frame, B, b, &f.error) == 0);
    CHECK(frame_append(&f.frame, P, p, &f.error) == 0);
    CHECK(frame_append(&f.frame, Q, q, &f.error) == 0);
}

static void end_segment(void)
{
    CHECK(frame_end_segment(&f.frame, f.frame.columns[A].n, &f.error) == 0);
}

static int encode_more(void)
{
    static const struct encode_options options = {0};
    return encoder_encode(&encoder, &f.frame, &options, &encoded, counts, &f.error);
}

/* Of column c, dense value and row of a frame's row. */
static float dense(uint32_t c, uint32_t row)
{
    return encoded.dense[c * encoded.n_rows + row];
}

static uint32_t found(uint32_t c, uint32_t row)
{
    return encoded.lookups[c].rows[row];
}

static int encode(void)
{
    memset(counts, 0, sizeof counts);
    return encode_more();
}

/* Encodes one row whose p is this cell. */
static int encode_p(struct cell p)
{
    fixture_reset(&f);
    add_row(text("x"), text("x"), p, integer("0"));
    end_segment();
    return encode();
}

TEST(values_are_scaled_in_double_and_then_rounded_to_float)
{
    for (int i = 0; i < 20000; i++) {
        const double value = sin(i) * pow(10, i % 60 - 30);
        CHECK(encoder_value(&encoder, 0, value) == (float)((value - 0.5) / 2.0));
        CHECK(encoder_value(&encoder, 1, value) == (float)((value + 3.0) / 0.1));
    }
    /* where float arithmetic would give another result */
    const double value = 16777217.0;
    CHECK(encode_p(number(value)) == 0 && dense(0, 0) == (float)((16777217.0 - 0.5) / 2.0));
}

TEST(each_kind_of_cell_is_a_number)
{
    static const struct {
        struct cell cell;
        double value;
    } cases[] = {
        {{.kind = CELL_MISSING}, 0.0},
        {{.boolean = true, .kind = CELL_BOOL}, 1.0},
        {{.boolean = false, .kind = CELL_BOOL}, 0.0},
        {{.text = "7", .length = 1, .kind = CELL_INTEGER}, 7.0},
        {{.text = "-12", .length = 3, .kind = CELL_INTEGER}, -12.0},
        {{.text = "9007199254740993", .length = 16, .kind = CELL_INTEGER}, 9007199254740992.0},
        {{.text = "18446744073709551616", .length = 20, .kind = CELL_INTEGER},
         18446744073709551616.0},
        {{.number = 0.1474, .kind = CELL_FLOAT}, 0.1474},
        {{.number = -0.0, .kind = CELL_FLOAT}, 0.0},
        {{.number = 5e-324, .kind = CELL_FLOAT}, 5e-324},
        {{.number = (double)NAN, .kind = CELL_FLOAT}, 0.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int status = encode_p(cases[i].cell);
        CHECK_MSG(status == 0, "case %zu: %s", i, f.error.message);
        CHECK_MSG(dense(0, 0) == (float)((cases[i].value - 0.5) / 2.0), "case %zu: %g", i,
                  (double)dense(0, 0));
    }
}

TEST(text_is_a_number_as_python_reads_it)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0.1474", 0.1474}, {" 1 ", 1.0}, {"\t-1.5\n", -1.5}, {"1e3", 1000.0},
                 {"1_0", 10.0},      {".5", 0.5},  {"5.", 5.0},        {"+2", 2.0},
                 {"1e-400", 0.0},    {"007", 7.0}, {"1_000.5", 1000.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_MSG(encode_p(text(cases[i].text)) == 0, "\"%s\": %s", cases[i].text, f.error.message);
        CHECK_MSG(dense(0, 0) == (float)((cases[i].value - 0.5) / 2.0), "\"%s\"", cases[i].text);
    }
}

static void is_refused(struct cell cell, const char *what)
{
    fixture_reset(&f);
    add_row(text("1"), text("1"), integer("1"), integer("1"));
    end_segment();
    add_row(text("1"), text("1"), integer("1"), integer("1"));
    add_row(text("1"), text("1"), integer("1"), cell);
    add_row(text("1"), text("1"), integer("1"), integer("1"));
    end_segment();
    CHECK_MSG(encode() == -1, "%s is accepted", what);
    CHECK_MSG(f.error.http_status == 400, "%s: %d", what, f.error.http_status);
    CHECK_MSG(error_is_for_clients(&f.error), "%s: \"%s\"", what, f.error.message);
    CHECK_MSG(strstr(f.error.message, "q") && strstr(f.error.message, "row 3"), "%s: \"%s\"", what,
              f.error.message);
}

TEST(what_is_not_a_number_is_refused_by_column_and_row)
{
    static const char *const texts[] = {"abc", "",    " ",  "1,5",  "1x",   "1__0", "_1",
                                        "1_",  "--1", "1e", "None", "True", "null", "1 2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_refused(text(texts[i]), texts[i]);
    is_refused((struct cell){.text = "1\0", .length = 2, .kind = CELL_TEXT}, "1 and a NUL");
}

TEST(what_is_not_finite_is_refused_by_column_and_row)
{
    static const char *const texts[] = {"inf",  "-inf",  "Infinity", "nan",  "NaN",
                                        "-NAN", "1e400", "-1e999",   "1e308"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_refused(text(texts[i]), texts[i]);
    is_refused(number((double)INFINITY), "infinity");
    is_refused(number(-(double)INFINITY), "-infinity");
    is_refused(number(1e300), "1e300");
    is_refused(number(-3.5e38), "-3.5e38");
    is_refused(integer("1000000000000000000000000000000000000000"), "1e39");
    is_refused(number(DBL_MAX), "the largest double");
}

TEST(a_refused_text_is_shown_and_cut_at_a_character)
{
    is_refused(text("abc"), "abc");
    CHECK_MSG(strstr(f.error.message, "abc"), "%s", f.error.message);
    for (size_t before = 0; before < 4; before++) {
        struct builder builder = {0};
        builder_repeat(&builder, "a", before);
        builder_repeat(&builder, "\xE4\xB8\xAD", 1000);
        is_refused((struct cell){.text = builder.at,
                                 .length = (uint32_t)builder.length,
                                 .kind = CELL_TEXT},
                   "a long text");
        CHECK(strstr(f.error.message, "number"));
        builder_free(&builder);
    }
}

TEST(numbers_that_fit_a_float_once_scaled_are_taken)
{
    CHECK(encode_p(number(6e38)) == 0 && dense(0, 0) == (float)((6e38 - 0.5) / 2.0));
    CHECK(encode_p(number(1e-300)) == 0 && dense(0, 0) == -0.25f);
    const double kept = mean[0];
    mean[0] = 1e300;
    encoder = pair_encoder(&arena, &f.schema, encoder.vocabularies, mean, scale);
    CHECK(encode_p(number(1e300)) == 0 && dense(0, 0) == 0.0f);
    mean[0] = kept;
    encoder = pair_encoder(&arena, &f.schema, encoder.vocabularies, mean, scale);
}

TEST(columns_lie_one_behind_the_other)
{
    enum { N = 1000 };
    fixture_reset(&f);
    for (int i = 0; i < N; i++)
        add_row(i % 2 ? text("2") : text("?"), i % 3 ? text("\xC3\xA9") : text(""), number(i),
                number(-i));
    end_segment();
    CHECK(encode() == 0);
    CHECK(encoded.n_rows == N && !encoded.lookups[A].offsets && !encoded.lookups[B].offsets);
    for (uint32_t i = 0; i < N; i++) {
        CHECK(encoded.dense[i] == (float)((i - 0.5) / 2.0));
        CHECK(encoded.dense[N + i] == (float)((-(double)i + 3.0) / 0.1));
        CHECK(found(A, i) == (i % 2 ? 1 : 5));
        CHECK(found(B, i) == (i % 3 ? 2 : 3));
    }
    CHECK(counts[0].n_unknown == N / 2 && counts[1].n_unknown == 334);
}

TEST(unknown_values_are_the_number_of_classes_and_are_added)
{
    fixture_reset(&f);
    add_row(text("1"), text("1.0"), missing, missing);
    add_row(text(""), text("1"), missing, missing);
    add_row(text("X"), text("\xC3"), missing, missing);
    end_segment();
    counts[0].n_unknown = 10;
    counts[1].n_unknown = 20;
    CHECK(encode_more() == 0);
    CHECK(counts[0].n_unknown == 12 && counts[1].n_unknown == 22);
    CHECK(found(A, 0) == 0 && found(A, 1) == 5 && found(A, 2) == 5);
    CHECK(found(B, 0) == 0 && found(B, 1) == 3 && found(B, 2) == 3);
}

TEST(unseen_and_missing_values_take_the_rows_that_the_model_names)
{
    struct spec_lookup *lookup = (struct spec_lookup *)encoder.lookups[0].spec;
    const struct spec_lookup kept = *lookup;
    for (unsigned match_forms = 0; match_forms < 2; match_forms++) {
        const struct encode_options options = {.match_forms = match_forms};
        lookup->unseen_row = 4;
        lookup->missing_row = 9;
        fixture_reset(&f);
        add_row(text("?"), text("?"), missing, missing);
        add_row(number(NAN), text("1.0"), missing, missing);
        add_row(text("1"), text("nan"), missing, missing);
        add_row(text("x"), missing, missing, missing);
        end_segment();
        memset(counts, 0, sizeof counts);
        CHECK(encoder_encode(&encoder, &f.frame, &options, &encoded, counts, &f.error) == 0);
        CHECK(found(A, 0) == 4 && found(A, 1) == 9 && found(A, 2) == 0 && found(A, 3) == 4);
        CHECK(found(B, 0) == 3 && found(B, 1) == 0 && found(B, 2) == 1);
        CHECK(counts[0].n_unknown == 1); /* neither the missing one, nor the class of that row */
    }
    lookup->missing_row = SPEC_NONE;
    fixture_reset(&f);
    add_row(number(NAN), text("1.0"), missing, missing);
    end_segment();
    CHECK(encode() == 0 && found(A, 0) == 4);
    *lookup = kept;
}

TEST(a_category_is_written_as_its_column_is_typed)
{
    fixture_reset(&f); /* a: object; b: float64 */
    add_row(integer("1"), integer("1"), missing, missing);
    add_row(boolean(true), missing, missing, missing);
    add_row(missing, number(1.0), missing, missing);
    end_segment();
    CHECK(encode() == 0);
    CHECK(found(A, 0) == 0 && found(A, 1) == 3 && found(A, 2) == 2);
    CHECK(found(B, 0) == 0 && found(B, 1) == 1 && found(B, 2) == 0);
    CHECK(counts[0].n_unknown == 0 && counts[1].n_unknown == 0);
}

TEST(each_instance_is_typed_by_itself_before_they_are_joined)
{
    fixture_reset(&f);
    add_row(integer("1"), integer("1"), missing, missing);
    end_segment();
    add_row(missing, missing, missing, missing);
    end_segment();
    CHECK(encode() == 0); /* int64 beside an object: "1", "None" */
    CHECK(found(A, 0) == 0 && found(A, 1) == 2);
    CHECK(found(B, 0) == 3 && found(B, 1) == 3);
    fixture_reset(&f);
    add_row(integer("1"), integer("1"), missing, missing);
    end_segment();
    add_row(number(2.5), number(1.0), missing, missing);
    end_segment();
    CHECK(encode() == 0); /* int64 and float64: "1.0" */
    CHECK(found(A, 0) == 5 && found(A, 1) == 5);
    CHECK(found(B, 0) == 0 && found(B, 1) == 0);
}

TEST(a_value_that_was_replaced_does_not_type_its_column)
{
    uint32_t rows[2];
    for (int stale = 0; stale < 2; stale++) {
        fixture_reset(&f);
        add_row(integer("1"), integer("1"), missing, missing);
        if (stale) /* of a cell that a later equal key replaced */
            f.frame.columns[0].kinds |= 1u << CELL_FLOAT | 1u << CELL_MISSING;
        end_segment();
        CHECK(encode() == 0);
        rows[stale] = found(A, 0);
    }
    CHECK(rows[0] == rows[1]);
}

TEST(a_category_may_be_any_text)
{
    fixture_reset(&f);
    struct builder builder = {0};
    builder_repeat(&builder, "x", 1 << 20);
    add_row((struct cell){.text = builder.at, .length = 1 << 20, .kind = CELL_TEXT},
            (struct cell){.text = "\xC3\xA9\0", .length = 3, .kind = CELL_TEXT}, missing, missing);
    end_segment();
    CHECK(encode() == 0 && found(A, 0) == 5 && found(B, 0) == 3);
    builder_free(&builder);
}

int main(void)
{
    init();
    RUN(values_are_scaled_in_double_and_then_rounded_to_float);
    RUN(each_kind_of_cell_is_a_number);
    RUN(text_is_a_number_as_python_reads_it);
    RUN(what_is_not_a_number_is_refused_by_column_and_row);
    RUN(what_is_not_finite_is_refused_by_column_and_row);
    RUN(a_refused_text_is_shown_and_cut_at_a_character);
    RUN(numbers_that_fit_a_float_once_scaled_are_taken);
    RUN(columns_lie_one_behind_the_other);
    RUN(unknown_values_are_the_number_of_classes_and_are_added);
    RUN(unseen_and_missing_values_take_the_rows_that_the_model_names);
    RUN(a_category_is_written_as_its_column_is_typed);
    RUN(each_instance_is_typed_by_itself_before_they_are_joined);
    RUN(a_value_that_was_replaced_does_not_type_its_column);
    RUN(a_category_may_be_any_text);
    arena_free(&arena);
    fixture_free(&f);
    return test_report();
}
