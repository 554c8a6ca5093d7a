/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of category values against pandas' own, for whole requests of both
 * protocols (tests/golden/make_pandas_golden.py), through the parsers and the encoder.
 */
#include "encode/cell_text.h"

#include <math.h>

#include "encode/encoder.h"
#include "fixture.h"
#include "golden.h"
#include "pair.h"
#include "protocol/v1.h"
#include "protocol/v2.h"
#include "test.h"

static struct arena arena = {.limit_bytes = SIZE_MAX}; /* of vocabularies */

enum { MAX_ROWS = 128 };

static struct fixture f;

TEST(a_column_of_floats_and_what_fits_among_them_is_float)
{
    const uint32_t missing = 1u << CELL_MISSING, boolean = 1u << CELL_BOOL,
                   integer = 1u << CELL_INTEGER, floating = 1u << CELL_FLOAT,
                   text = 1u << CELL_TEXT;
    CHECK(column_type_of(floating) == COLUMN_FLOAT);
    CHECK(column_type_of(floating | integer) == COLUMN_FLOAT);
    CHECK(column_type_of(floating | missing) == COLUMN_FLOAT);
    CHECK(column_type_of(integer | missing) == COLUMN_FLOAT);
    CHECK(column_type_of(floating | integer | missing) == COLUMN_FLOAT);
    CHECK(column_type_of(integer) == COLUMN_AS_WRITTEN);
    CHECK(column_type_of(missing) == COLUMN_AS_WRITTEN);
    CHECK(column_type_of(boolean) == COLUMN_AS_WRITTEN);
    CHECK(column_type_of(text) == COLUMN_AS_WRITTEN);
    for (uint32_t others = 0; others < 1u << 5; others++) { /* one bool or text makes it object */
        CHECK(column_type_of(others | text) == COLUMN_AS_WRITTEN);
        if (others & (integer | floating | missing))
            CHECK(column_type_of(others | boolean) == COLUMN_AS_WRITTEN);
    }
}

static bool text_of_cell_is(struct cell cell, enum column_type type, const char *expected)
{
    char scratch[NUMBER_REPR_MAX];
    const struct text text = cell_text(&cell, type, scratch);
    const bool same = text_is(text, expected);
    CHECK_MSG(same, "\"%.*s\", not \"%s\"", (int)text.length, text.at, expected);
    return same;
}

TEST(a_cell_is_written_as_its_columns_type_wants)
{
    const struct cell missing = {.kind = CELL_MISSING};
    const struct cell yes = {.boolean = true, .kind = CELL_BOOL};
    const struct cell no = {.boolean = false, .kind = CELL_BOOL};
    const struct cell integer = {.text = "33", .length = 2, .kind = CELL_INTEGER};
    const struct cell huge = {.text = "18446744073709551616", .length = 20, .kind = CELL_INTEGER};
    const struct cell whole = {.number = 1e20, .kind = CELL_FLOAT};
    const struct cell nan = {.number = (double)NAN, .kind = CELL_FLOAT};
    const struct cell text = {.text = "33.0x", .length = 4, .kind = CELL_TEXT};
    text_of_cell_is(missing, COLUMN_AS_WRITTEN, "None");
    text_of_cell_is(missing, COLUMN_FLOAT, "nan");
    text_of_cell_is(yes, COLUMN_AS_WRITTEN, "True");
    text_of_cell_is(no, COLUMN_AS_WRITTEN, "False");
    text_of_cell_is(yes, COLUMN_FLOAT, "1.0");
    text_of_cell_is(no, COLUMN_FLOAT, "0.0");
    text_of_cell_is(yes, COLUMN_INTEGER, "1");
    text_of_cell_is(no, COLUMN_INTEGER, "0");
    text_of_cell_is(integer, COLUMN_AS_WRITTEN, "33");
    text_of_cell_is(integer, COLUMN_INTEGER, "33");
    text_of_cell_is(integer, COLUMN_FLOAT, "33.0");
    text_of_cell_is(huge, COLUMN_AS_WRITTEN, "18446744073709551616");
    text_of_cell_is(huge, COLUMN_FLOAT, "1.8446744073709552e+19");
    text_of_cell_is(whole, COLUMN_AS_WRITTEN, "1e+20");
    text_of_cell_is(whole, COLUMN_FLOAT, "1e+20");
    text_of_cell_is(nan, COLUMN_FLOAT, "nan");
    text_of_cell_is(text, COLUMN_AS_WRITTEN, "33.0");
}

struct golden_case {
    struct text name, body;
    bool v2;
    size_t json_length;
    const struct text *texts;
    uint32_t n;
};

static int parse_case(const struct golden_case *c)
{
    struct v2_options options;
    bool wants_logits;
    fixture_reset(&f);
    return c->v2 ? v2_parse(&f.frame, c->body, c->json_length, "m", NULL, &options, &f.error)
                 : v1_parse(&f.frame, c->body, "dcnv2", &wants_logits, &f.error);
}

/* What cell_text.h says of column 0, row by row. */
static struct text our_text(uint32_t row, char scratch[NUMBER_REPR_MAX])
{
    const struct column *column = &f.frame.columns[0];
    uint32_t kinds[MAX_ROWS] = {0}, segment = 0;
    for (uint32_t r = 0, s = 0; r < f.frame.n_rows; r++) {
        while (s + 1 < f.frame.n_segments && r >= f.frame.segment_starts[s + 1])
            s++;
        kinds[s] |= 1u << column->cells[r].kind;
        if (r <= row)
            segment = s;
    }
    enum column_type type = f.frame.n_segments == 1 ? column_type_of(kinds[0])
                                                    : column_type_join(kinds, f.frame.n_segments);
    if (type == COLUMN_BY_SEGMENT)
        type = column_type_of(kinds[segment]);
    return cell_text(&column->cells[row], type, scratch);
}

/* The encoder finds each text as the class that it is: true where it does for all rows. */
static bool encoder_agrees(const struct golden_case *c)
{
    static const struct encode_options options = {0};
    struct encoded encoded;
    struct text classes[MAX_ROWS];
    uint32_t expected[MAX_ROWS], n_classes = 0;
    struct category_counts counts = {0};
    for (uint32_t row = 0; row < c->n; row++) {
        uint32_t i = 0;
        while (i < n_classes && !text_equal(classes[i], c->texts[row]))
            i++;
        if (i == n_classes)
            classes[n_classes++] = c->texts[row];
        expected[row] = i;
    }
    struct vocabulary vocabulary;
    double mean = 0, scale = 1;
    CHECK(vocabulary_init(&vocabulary, &hash_seed_fixed, &arena, classes, n_classes) == 0);
    const struct encoder encoder = pair_encoder(&arena, &f.schema, &vocabulary, &mean, &scale);
    const int status = encoder_encode(&encoder, &f.frame, &options, &encoded, &counts, &f.error);
    CHECK_MSG(status == 0, "%s", f.error.message);
    bool agrees = status == 0 && counts.n_unknown == 0;
    for (uint32_t row = 0; status == 0 && row < c->n; row++)
        agrees &= encoded.lookups[0].rows[row] == expected[row];
    arena_free(&arena);
    return agrees;
}

static bool ends_with(struct text text, const char *end)
{
    const size_t n = strlen(end);
    return text.length >= n && memcmp(text.at + text.length - n, end, n) == 0;
}

/* "instances: a / b / c": some are int64, some uint64, and nothing makes them floats or objects. */
static bool joins_signed_and_unsigned(struct text name)
{
    static const char start[] = "instances: ";
    char rest[120];
    bool is_signed = false, is_unsigned = false;
    snprintf(rest, sizeof rest, "%.*s", (int)name.length, name.at);
    if (strncmp(rest, start, strlen(start)) != 0)
        return false;
    char *left = NULL;
    for (char *word = strtok_r(rest + strlen(start), " /", &left); word;
         word = strtok_r(NULL, " /", &left)) {
        is_signed |= strcmp(word, "int") == 0;
        is_unsigned |= strcmp(word, "uint") == 0;
        if (strcmp(word, "int") && strcmp(word, "uint") && strcmp(word, "bool") &&
            strcmp(word, "null"))
            return false;
    }
    return is_signed && is_unsigned;
}

/* Where we differ from pandas on purpose. */
static bool differs_on_purpose(const struct golden_case *c)
{
    static const struct {
        const char *name;
        bool v1, v2;
    } cases[] = {
        /* An integer keeps its digits; orjson, which reads v1, makes it a float. */
        {"integer beyond 64 bits", true, false},
        {"integer beyond 64 bits beside a small one", true, false},
        {"integer beyond 64 bits beside text", true, false},
        /* Every integer is a number; pandas takes some of them for objects. */
        {"integer beyond 64 bits beside a null", false, true},
        {"unsigned 64-bit, negative and null", true, true},
        {"unsigned 64-bit, negative and float", true, true},
        /* A column's text depends on that column; pandas looks at blocks of columns. */
        {"float / null beside a column of floats / text", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ends_with(c->name, cases[i].name))
            return c->v2 ? cases[i].v2 : cases[i].v1;
    /* An integer keeps its digits; pandas makes instances of int64 and of uint64 floats. */
    return joins_signed_and_unsigned(c->name);
}

/* Texts that pandas has, of a request that is a 400 here. */
static bool is_refused_on_purpose(const struct golden_case *c)
{
    return ends_with(c->name, "an integer too large for its datatype");
}

TEST(every_value_of_a_request_has_the_text_that_pandas_gives_it)
{
    struct golden golden;
    struct text fields[4 + MAX_ROWS];
    size_t n;
    if (!golden_open(&golden, "tests/golden/cell_text.tsv"))
        return;
    while ((n = golden_next(&golden, fields, sizeof fields / sizeof *fields)) != 0) {
        const struct text body = fixture_copy(fields[3].at, fields[3].length);
        char digits[16] = "";
        CHECK(n >= 5 && fields[2].length < sizeof digits);
        memcpy(digits, fields[2].at, fields[2].length);
        const struct golden_case c = {
            fields[0],  body,           text_is(fields[1], "v2"), strtoul(digits, NULL, 10),
            fields + 4, (uint32_t)n - 4};
        const int status = parse_case(&c);
        if (is_refused_on_purpose(&c)) {
            CHECK(status == -1 && strstr(f.error.message, "outside the range of INT8"));
            fixture_drop(body);
            continue;
        }
        CHECK_MSG(status == 0, "%.*s: %s", (int)c.name.length, c.name.at, f.error.message);
        CHECK_MSG(f.frame.n_rows == c.n, "%.*s: %u rows", (int)c.name.length, c.name.at,
                  f.frame.n_rows);
        bool same = status == 0 && f.frame.n_rows == c.n;
        for (uint32_t row = 0; same && row < c.n; row++) {
            char scratch[NUMBER_REPR_MAX];
            const struct text ours = our_text(row, scratch);
            same = text_equal(ours, c.texts[row]);
            if (!same && !differs_on_purpose(&c))
                CHECK_MSG(false, "%.*s (%.*s), row %u: \"%.*s\", not \"%.*s\"", (int)c.name.length,
                          c.name.at, (int)fields[1].length, fields[1].at, row + 1, (int)ours.length,
                          ours.at, (int)c.texts[row].length, c.texts[row].at);
        }
        if (same)
            CHECK_MSG(encoder_agrees(&c), "%.*s: the encoder", (int)c.name.length, c.name.at);
        CHECK_MSG(!(same && differs_on_purpose(&c)), "%.*s (%.*s) is as pandas has it",
                  (int)c.name.length, c.name.at, (int)fields[1].length, fields[1].at);
        fixture_drop(body);
    }
    CHECK_MSG(golden.n_records > 700, "%u records", golden.n_records);
    golden_close(&golden);
}

int main(void)
{
    fixture_init(&f, "c,d", 1, 1, MAX_ROWS);
    RUN(a_column_of_floats_and_what_fits_among_them_is_float);
    RUN(a_cell_is_written_as_its_columns_type_wants);
    RUN(every_value_of_a_request_has_the_text_that_pandas_gives_it);
    fixture_free(&f);
    return test_report();
}
