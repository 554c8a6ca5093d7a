/* SPDX-License-Identifier: Apache-2.0 */
/* test_lookup.c: look-ups of one value per cell; those of lists: test_lookup_bag.c. */
#include "encode/digest.h"
#include "spec_fixture.h"

#include <math.h>

static struct spec_fixture f;

#define ROW(value) "{\"instances\":[{\"c\":" value "}]}"

/* Column c, classes a, b and 3, rows 10 .., unseen 7, missing 8. */
static void start_vocabulary(void)
{
    spec_start(&f);
    spec_column(&f, "c", false);
    spec_lookup(&f, (struct spec_lookup){.vocabulary = spec_classes(&f, "a|b|3"),
                                         .first_row = 10,
                                         .unseen_row = 7,
                                         .missing_row = 8});
}

TEST(a_class_an_unseen_and_a_missing_value_have_rows_of_their_own)
{
    start_vocabulary();
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, ROW("\"a\""), "10");
    GIVES(&f, 0, ROW("3"), "12");
    GIVES(&f, 0, ROW("\"x\""), "7");
    CHECK(f.counts[0].n_unknown == 1);
    GIVES(&f, 0, ROW("null"), "8");
    CHECK(f.counts[0].n_unknown == 0);
    GIVES(&f, 0, ROW("\"\""), "8");
    CHECK(f.encoded.lookups[0].offsets == NULL);
}

TEST(a_cell_is_read_by_itself)
{
    start_vocabulary();
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, "{\"instances\":[{\"c\":[3,null,2.5,\"a\"]}]}", "12 8 7 10");
    GIVES(&f, 0, ROW("3.0"), "7");
    CHECK(f.counts[0].n_other_form == 1);
    f.options.match_forms = true;
    GIVES(&f, 0, ROW("3.0"), "12");
}

TEST(an_empty_text_that_is_a_class_is_that_class_and_null_is_missing)
{
    spec_start(&f);
    spec_column(&f, "c", false);
    spec_lookup(&f, (struct spec_lookup){
                        .vocabulary = spec_classes(&f, "a|"), .unseen_row = 7, .missing_row = 8});
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, ROW("\"\""), "1");
    GIVES(&f, 0, ROW("null"), "8");
}

TEST(values_are_refused_by_column_and_row)
{
    start_vocabulary();
    f.lookups[0].unseen_row = f.lookups[0].missing_row = SPEC_REFUSE;
    CHECK(spec_make(&f) == NULL);
    REFUSES(&f, "{\"instances\":[{\"c\":[\"a\",\"x\"]}]}", "Column \"c\", row 2: \"x\" is unknown");
    REFUSES(&f, ROW("null"), "Column \"c\", row 1: the value is missing");
    GIVES(&f, 0, ROW("\"b\""), "11");
}

TEST(a_dropped_value_leaves_an_empty_bag)
{
    start_vocabulary();
    f.lookups[0].missing_row = SPEC_DROP;
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, "{\"instances\":[{\"c\":[null,\"b\",\"x\",\"\"]}]}", "- 11 7 -");
}

TEST(classes_may_have_any_rows)
{
    static const uint32_t rows[] = {5, SPEC_DROP, 9};
    start_vocabulary();
    f.lookups[0].rows = rows;
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, "{\"instances\":[{\"c\":[\"a\",\"b\",\"3\",\"x\"]}]}", "5 - 9 7");
}

TEST(look_ups_that_share_a_column_count_once)
{
    start_vocabulary();
    spec_lookup(&f, f.lookups[0])->first_row = 20;
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 1, "{\"instances\":[{\"c\":[\"a\",\"x\",\"y\"]}]}", "20 7 7");
    CHECK(f.counts[0].n_unknown == 2);
}

TEST(a_hash_is_of_prefix_and_text)
{
    char expected[16];
    for (enum hash_kind hash = HASH_CRC32; hash <= HASH_XXHASH64; hash++) {
        const struct text prefix = text_of("c="), text = text_of("a");
        const uint64_t digest = hash == HASH_CRC32        ? digest_crc32(prefix, text)
                                : hash == HASH_MURMUR3_32 ? digest_murmur3_32(prefix, text)
                                                          : digest_xxhash64(prefix, text);
        spec_start(&f);
        spec_column(&f, "c", false);
        spec_lookup(&f, (struct spec_lookup){.kind = LOOKUP_HASH,
                                             .hash = hash,
                                             .prefix = prefix,
                                             .modulus = 211,
                                             .first_row = 422,
                                             .missing_row = SPEC_NONE});
        CHECK(spec_make(&f) == NULL);
        snprintf(expected, sizeof expected, "%u", 422 + (unsigned)(digest % 211));
        GIVES(&f, 0, ROW("\"a\""), expected);
    }
    /* binascii.crc32(b"c=") % 211, as a missing value; and of its own row */
    f.lookups[0].hash = HASH_CRC32;
    CHECK(spec_make(&f) == NULL);
    snprintf(expected, sizeof expected, "%u", 422 + digest_crc32(text_of("c="), text_of("")) % 211);
    GIVES(&f, 0, ROW("\"\""), expected);
    GIVES(&f, 0, ROW("null"), expected);
    f.lookups[0].missing_row = 3;
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, ROW("\"\""), "3");
}

TEST(an_integer_is_taken_modulo_as_python_has_it)
{
    spec_start(&f);
    spec_column(&f, "c", false);
    spec_lookup(&f, (struct spec_lookup){
                        .kind = LOOKUP_INTEGER, .modulus = 7, .first_row = 100, .missing_row = 99});
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, "{\"instances\":[{\"c\":[\"15\",-1,\"-7\",null,\"+3\",8.0]}]}",
          "101 106 100 99 103 101");
    GIVES(&f, 0, ROW("\"123456789012345678901234567890\""), "100"); /* 123..890 % 7 == 0 */
    for (size_t i = 0; i < 5; i++) {
        static const char *const bodies[] = {ROW("\"3.0\""), ROW("2.5"), ROW("\"a\""), ROW("\"-\""),
                                             ROW("\" 1\"")};
        REFUSES(&f, bodies[i], "is no whole number");
    }
    f.lookups[0].modulus = 0;
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, ROW("5"), "105");
    REFUSES(&f, ROW("-1"), "is no whole number");
    REFUSES(&f, ROW("4294967290"), "is no whole number");
    REFUSES(&f, ROW("99999999999999999999"), "is no whole number");
}

TEST(a_number_is_looked_up_as_the_whole_number_of_its_steps)
{
    static const struct spec_step steps[] = {{.kind = STEP_MULTIPLY, .a = 10}};
    spec_start(&f);
    spec_column(&f, "c", true);
    spec_lookup(&f, (struct spec_lookup){.vocabulary = spec_classes(&f, "5|20|-30"),
                                         .steps = steps,
                                         .n_steps = 1,
                                         .unseen_row = 7,
                                         .missing_row = 8});
    CHECK(spec_make(&f) == NULL);
    GIVES(&f, 0, "{\"instances\":[{\"c\":[0.5,\"2\",-3,null,\"\",4]}]}", "0 1 2 8 8 7");
    REFUSES(&f, ROW("0.55"), "Column \"c\", row 1: \"0.55\" gives no whole number");
    REFUSES(&f, ROW("1e16"), "gives no whole number");
    REFUSES(&f, ROW("\"x\""), "is not a number");
}

TEST(a_value_without_a_rule_for_missing_ones_refuses_them)
{
    static const struct spec_step steps[] = {{.kind = STEP_LOG, .a = 3}};
    spec_start(&f);
    spec_column(&f, "c", true);
    f.values[0] = (struct spec_value){0, steps, 1};
    f.spec.n_values = 1;
    CHECK(spec_make(&f) == NULL);
    CHECK(spec_encode(&f, ROW("5")) == 0 && f.encoded.dense[0] == (float)log(8));
    REFUSES(&f, ROW("null"), "Column \"c\", row 1: the value is missing");
    REFUSES(&f, ROW("\"\""), "the value is missing");
    REFUSES(&f, ROW("-3"), "Column \"c\", row 1: -3 is out of range");
    REFUSES(&f, ROW("-4"), "-4 is out of range");
}

static void is_no_encoder(const char *part)
{
    const char *reason = spec_make(&f);
    CHECK_MSG(reason && strstr(reason, part), "%s", reason ? reason : "taken");
    start_vocabulary();
}

TEST(a_description_that_cannot_be_is_refused)
{
    start_vocabulary();
    f.lookups[0].column = 1;
    is_no_encoder("look-up 0: its column");
    f.lookups[0].vocabulary = 1;
    is_no_encoder("its vocabulary");
    f.lookups[0].kind = LOOKUP_HASH;
    is_no_encoder("modulus");
    f.lookups[0].is_padded = true;
    is_no_encoder("padding");
    f.lookups[0].first_row = UINT32_MAX - 4;
    is_no_encoder("too many");
    f.lookups[0].n_steps = 1;
    is_no_encoder("steps");
    spec_column(&f, "n", true)->is_list = true;
    f.lookups[0].column = 1;
    is_no_encoder("a list of numbers");
    f.values[0] = (struct spec_value){.column = 0};
    f.spec.n_values = 1;
    is_no_encoder("value 0");
    spec_column(&f, "c", true);
    is_no_encoder("\"c\" is named twice");
}

int main(void)
{
    RUN(a_class_an_unseen_and_a_missing_value_have_rows_of_their_own);
    RUN(a_cell_is_read_by_itself);
    RUN(an_empty_text_that_is_a_class_is_that_class_and_null_is_missing);
    RUN(values_are_refused_by_column_and_row);
    RUN(a_dropped_value_leaves_an_empty_bag);
    RUN(classes_may_have_any_rows);
    RUN(look_ups_that_share_a_column_count_once);
    RUN(a_hash_is_of_prefix_and_text);
    RUN(an_integer_is_taken_modulo_as_python_has_it);
    RUN(a_number_is_looked_up_as_the_whole_number_of_its_steps);
    RUN(a_value_without_a_rule_for_missing_ones_refuses_them);
    RUN(a_description_that_cannot_be_is_refused);
    spec_end(&f);
    return test_report();
}
