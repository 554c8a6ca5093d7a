/* SPDX-License-Identifier: Apache-2.0 */
/* test_lookup_bag.c: lists, as v1 and v2 bring them, to rows. */
#include "spec_fixture.h"

static struct spec_fixture f;

/* Lists in column t, classes a, b, c, rows from 1, unseen dropped, an empty list gives nothing. */
static struct spec_lookup *start(const char *separator)
{
    spec_start(&f);
    struct spec_column *column = spec_column(&f, "t", false);
    column->is_list = true;
    column->separator = text_of(separator);
    return spec_lookup(&f, (struct spec_lookup){.vocabulary = spec_classes(&f, "a|b|c"),
                                                .first_row = 1,
                                                .unseen_row = SPEC_DROP,
                                                .missing_row = SPEC_DROP});
}

static void make(void)
{
    const char *reason = spec_make(&f);
    CHECK_MSG(reason == NULL, "%s", reason);
}

#define V1(value) "{\"instances\":[{\"t\":" value "}]}"
#define V2(shape, data)                                                                            \
    "{\"inputs\":[{\"name\":\"t\",\"datatype\":\"BYTES\",\"shape\":" shape ",\"data\":" data "}]}"

TEST(a_json_list_is_one_row)
{
    start("");
    make();
    GIVES(&f, 0, V1("[\"a\",\"c\",\"x\",\"a\"]"), "1,3,1");
    CHECK(f.counts[0].n_unknown == 1);
    GIVES(&f, 0, V1("[]"), "-");
    GIVES(&f, 0, V1("null"), "-");
    GIVES(&f, 0, V1("[null,\"b\",\"\"]"), "2");
    GIVES(&f, 0, "{\"instances\":[{\"t\":[\"a\"]},{\"t\":[]},{\"t\":[\"c\",\"b\"]}]}", "1 - 3,2");
    GIVES(&f, 0, "{\"inputs\":[[{\"t\":[\"a\"]},{\"t\":[\"b\"]}]]}", "1 2");
}

TEST(a_list_of_lists_is_a_row_each)
{
    start("");
    make();
    GIVES(&f, 0, V1("[[\"a\",\"b\"],[],null,[\"c\"]]"), "1,2 - - 3");
    REFUSES(&f, V1("[[\"a\"],\"b\"]"), "Column \"t\", row 2: a list of values is expected");
    REFUSES(&f, V1("[[[\"a\"]]]"), "a list where a value is expected");
    REFUSES(&f, V1("[{}]"), "an object where a value is expected");
    REFUSES(&f, V1("\"a\""), "a list of values is expected");
    REFUSES(&f, V1("1"), "a list of values is expected");
}

/* Beside a column with a value a row, a list of scalars has a value a row as well. */
TEST(a_columnar_instance_has_a_value_a_row)
{
    start("^");
    spec_column(&f, "u", false);
    spec_lookup(
        &f, (struct spec_lookup){.column = 1, .vocabulary = 0, .unseen_row = 9, .missing_row = 9});
    make();
    GIVES(&f, 0, "{\"instances\":[{\"t\":[\"a^b\",\"c\"],\"u\":[\"a\",\"b\"]}]}", "1,2 3");
    GIVES(&f, 0, "{\"instances\":[{\"t\":[[\"a\",\"b\"],[\"c\"]],\"u\":\"a\"}]}", "1,2 3");
    GIVES(&f, 1, "{\"instances\":[{\"t\":[[\"a\",\"b\"],[\"c\"]],\"u\":\"a\"}]}", "0 0");
    GIVES(&f, 0, "{\"instances\":[{\"t\":[\"a\",\"b\"],\"u\":\"a\"}]}", "1,2");
    GIVES(&f, 0, "{\"instances\":[{\"u\":[\"a\",\"b\"],\"t\":\"a^c\"}]}", "1,3 1,3");
    REFUSES(&f, "{\"instances\":[{\"t\":[\"a\",\"b\",\"c\"],\"u\":[\"a\",\"b\"]}]}", "has 3");
    REFUSES(&f, "{\"instances\":[{\"t\":\"a\",\"u\":[[\"a\"]]}]}",
            "Column \"u\", row 1: a list where a value is expected");
}

TEST(a_text_is_split_by_the_separator)
{
    start("::");
    make();
    GIVES(&f, 0, V1("\"a::b::::x::c\""), "1,2,3");
    GIVES(&f, 0, V1("\"\""), "-");
    GIVES(&f, 0, V1("\"::\""), "-");
    GIVES(&f, 0, V1("\"a:b\""), "-");
    GIVES(&f, 0, V1("[\"a::b\",\"c\"]"), "1,2,3");
}

TEST(tensors_have_a_row_of_values_or_a_text_a_row)
{
    start("^");
    make();
    GIVES(&f, 0, V2("[2,3]", "[\"a\",\"b\",\"\",\"c\",null,\"\"]"), "1,2 3");
    GIVES(&f, 0, V2("[2,3]", "[[\"a\",\"b\",\"\"],[\"\",\"\",\"\"]]"), "1,2 -");
    GIVES(&f, 0, V2("[3]", "[\"a^b\",\"\",\"c\"]"), "1,2 - 3");
    GIVES(&f, 0, V2("[3,1]", "[\"a^b\",\"\",\"c\"]"), "1,2 - 3");
    GIVES(&f, 0, V2("[2,1]", "[[\"a^b\"],[\"c\"]]"), "1,2 3");
    /* the name behind the data */
    GIVES(&f, 0,
          "{\"inputs\":[{\"data\":[\"a\",\"b\"],\"datatype\":\"BYTES\",\"shape\":[1,2],\"name\":"
          "\"t\"}]}",
          "1,2");
    REFUSES(&f, V2("[2,3]", "[\"a\",\"b\",\"c\"]"), "room for 6 values");
    REFUSES(&f, V2("[2,3]", "[[\"a\",\"b\",\"c\"],[\"a\"]]"), "row 2: 1 values, row 1 has 3");
    REFUSES(&f, V2("[3,2]", "[[\"a\",\"b\",\"c\"],[\"a\",\"b\",\"c\"]]"), "shape");
    REFUSES(&f, V2("[2]", "[[\"a\"],[\"b\"]]"), "shape");
    REFUSES(&f, V2("[1,2]", "[\"a\",[\"b\"]]"), "shape");
    REFUSES(&f, V2("[1,2,1]", "[\"a\",\"b\"]"), "shape");
    REFUSES(&f, V2("[0,2]", "[]"), "no rows");
}

/* SPEC_ROWS bounds rows, not the values of a list. */
TEST(more_values_than_rows_are_taken)
{
    start("");
    make();
    GIVES(&f, 0, V1("[\"a\",\"b\",\"c\",\"a\",\"b\",\"c\",\"a\",\"b\",\"c\",\"a\"]"),
          "1,2,3,1,2,3,1,2,3,1");
    GIVES(&f, 0, V2("[2,5]", "[\"a\",\"b\",\"c\",\"a\",\"b\",\"c\",\"a\",\"b\",\"c\",\"a\"]"),
          "1,2,3,1,2 3,1,2,3,1");
    CHECK(spec_encode(&f, V2("[9,1]", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]")) ==
              -1 &&
          f.error.http_status == 413);
    CHECK(spec_encode(&f, V2("[9]", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]")) ==
              -1 &&
          f.error.http_status == 413);
    CHECK(f.frame.max_rows == SPEC_ROWS);
}

TEST(of_too_many_values_the_first_or_the_last_count_and_others_are_padding)
{
    static const struct {
        enum list_end keep, pad;
        bool is_padded;
        const char *expected;
    } cases[] = {{LIST_FIRST, LIST_LAST, false, "1,2 3 -"},
                 {LIST_LAST, LIST_LAST, false, "1,3 3 -"},
                 {LIST_FIRST, LIST_LAST, true, "1,2 3,0 0,0"},
                 {LIST_LAST, LIST_FIRST, true, "1,3 0,3 0,0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spec_lookup *lookup = start(",");
        lookup->max_values = 2;
        lookup->keep = cases[i].keep;
        lookup->pad = cases[i].pad;
        lookup->is_padded = cases[i].is_padded;
        make();
        /* values that are dropped take no place */
        GIVES(&f, 0, V1("[[\"a\",\"x\",\"b\",\"a\",\"c\",\"x\"],[\"c\"],null]"), cases[i].expected);
    }
    struct spec_lookup *lookup = start(",");
    lookup->max_values = 1;
    lookup->keep = LIST_LAST;
    make();
    GIVES(&f, 0, V1("\"a,b\""), "2");
}

TEST(an_empty_list_and_unseen_values_have_rows_of_their_own)
{
    struct spec_lookup *lookup = start(",");
    lookup->unseen_row = 8;
    lookup->missing_row = 9;
    make();
    GIVES(&f, 0, V1("[[\"x\",\"a\",\"y\"],[],[\"\"],null,\"\"]"), "8,1,8 9 9 9 9");
    CHECK(f.counts[0].n_unknown == 2);
    lookup->missing_row = SPEC_REFUSE;
    make();
    REFUSES(&f, V1("[[\"a\"],[]]"), "Column \"t\", row 2: the value is missing");
}

TEST(hashes_and_integers_are_of_lists_as_well)
{
    struct spec_lookup *lookup = start(",");
    *lookup = (struct spec_lookup){
        .kind = LOOKUP_INTEGER, .modulus = 10, .first_row = 100, .missing_row = SPEC_DROP};
    make();
    GIVES(&f, 0, V1("[[1,\"12\",-1],[],[23]]"), "101,102,109 - 103");
    REFUSES(&f, V1("[[1],[2,\"z\"]]"), "Column \"t\", row 2: \"z\" is no whole number");
    lookup->kind = LOOKUP_HASH;
    lookup->modulus = 1;
    lookup->missing_row = SPEC_NONE;
    make();
    GIVES(&f, 0, V1("[[\"p\",\"q\"],[]]"), "100,100 100");
}

/* A row's rows are the same alone and joined to others, at any place. */
TEST(batches_are_joined)
{
    static const char *const bodies[] = {V1("[[\"a\",\"b\"],[]]"), V1("[\"c\"]"), V1("[]"),
                                         V1("[[\"b\",\"b\",\"a\"],[\"x\"]]")};
    enum { N = sizeof bodies / sizeof *bodies };
    struct encoded encoded[N], all;
    const struct encoded *parts[N];
    start("");
    spec_lookup(&f, f.lookups[0])->first_row = 11;
    make();
    for (size_t i = 0; i < N; i++) {
        CHECK(spec_encode(&f, bodies[i]) == 0);
        encoded[i] = f.encoded;
        parts[i] = &encoded[i];
    }
    CHECK(encoder_join(&f.encoder, &f.request, parts, N, &all) == 0 && all.n_rows == 6);
    spec_print(&f, &all, 0);
    CHECK_MSG(strcmp(f.text, "1,2 - 3 - 2,2,1 -") == 0, "%s", f.text);
    spec_print(&f, &all, 1);
    CHECK_MSG(strcmp(f.text, "11,12 - 13 - 12,12,11 -") == 0, "%s", f.text);
    CHECK(encoder_join(&f.encoder, &f.request, parts, 0, &all) == 0 && all.n_rows == 0);
}

TEST(values_and_flat_look_ups_are_joined_too)
{
    static const struct spec_step steps[] = {{.kind = STEP_FILL, .a = 4}};
    struct encoded encoded[2], all;
    const struct encoded *const parts[] = {&encoded[0], &encoded[1]};
    start("");
    f.columns[0].is_list = false;
    f.lookups[0].unseen_row = f.lookups[0].missing_row = 9;
    spec_column(&f, "p", true);
    f.values[0] = (struct spec_value){1, steps, 1};
    f.values[1] = (struct spec_value){1, NULL, 0};
    f.spec.n_values = 2;
    make();
    for (size_t i = 0; i < 2; i++) {
        static const char *const bodies[] = {"{\"instances\":[{\"t\":[\"a\",\"x\"],\"p\":[1,2]}]}",
                                             "{\"instances\":[{\"t\":\"c\",\"p\":3}]}"};
        CHECK(spec_encode(&f, bodies[i]) == 0);
        encoded[i] = f.encoded;
    }
    CHECK(encoder_join(&f.encoder, &f.request, parts, 2, &all) == 0 && all.n_rows == 3);
    spec_print(&f, &all, 0);
    CHECK_MSG(strcmp(f.text, "1 9 3") == 0, "%s", f.text);
    for (uint32_t r = 0; r < 3; r++)
        CHECK(all.dense[r] == (float)(r + 1) && all.dense[3 + r] == (float)(r + 1));
}

/* FuxiCTR: an empty text between others has a place and the padding's row. Behind them in a list it
 * fills a rectangular tensor, which matters if the last values are kept. */
TEST(empty_texts_of_a_class_have_a_place_but_at_the_end_of_a_list)
{
    spec_start(&f);
    struct spec_column *column = spec_column(&f, "t", false);
    column->is_list = true;
    column->separator = text_of("^");
    struct spec_lookup *lookup =
        spec_lookup(&f, (struct spec_lookup){.vocabulary = spec_classes(&f, "|a|b|c"),
                                             .unseen_row = 9,
                                             .missing_row = 0,
                                             .max_values = 2,
                                             .keep = LIST_LAST});
    make();
    GIVES(&f, 0, V1("\"a^^b\""), "0,2");
    GIVES(&f, 0, V1("\"a^b^\""), "2,0");
    GIVES(&f, 0, V1("[\"a\",\"\",\"b\"]"), "0,2");
    GIVES(&f, 0, V2("[2,3]", "[\"a\",\"b\",\"\",\"c\",\"\",\"\"]"), "1,2 3");
    GIVES(&f, 0, V2("[1,2]", "[\"\",\"\"]"), "0");
    lookup->keep = LIST_FIRST;
    GIVES(&f, 0, V1("\"a^^b\""), "1,0");
    lookup->missing_row = 9; /* the empty text is a class as others are */
    lookup->keep = LIST_LAST;
    make();
    GIVES(&f, 0, V2("[1,3]", "[\"a\",\"b\",\"\"]"), "2,0");
}

int main(void)
{
    RUN(a_json_list_is_one_row);
    RUN(a_list_of_lists_is_a_row_each);
    RUN(a_columnar_instance_has_a_value_a_row);
    RUN(a_text_is_split_by_the_separator);
    RUN(tensors_have_a_row_of_values_or_a_text_a_row);
    RUN(more_values_than_rows_are_taken);
    RUN(of_too_many_values_the_first_or_the_last_count_and_others_are_padding);
    RUN(an_empty_list_and_unseen_values_have_rows_of_their_own);
    RUN(hashes_and_integers_are_of_lists_as_well);
    RUN(batches_are_joined);
    RUN(values_and_flat_look_ups_are_joined_too);
    RUN(empty_texts_of_a_class_have_a_place_but_at_the_end_of_a_list);
    spec_end(&f);
    return test_report();
}
