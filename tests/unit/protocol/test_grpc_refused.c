/* SPDX-License-Identifier: Apache-2.0 */
/* ModelInferRequests that are refused, each with what it says: never a score for what was not
 * sent. */
#include "grpc_fixture.h"

static const double two_prices[] = {0.5, 2};

/* Userid and brand of two rows; a request that a price makes whole. */
static void write_categories(void)
{
    begin_request();
    put_ones("userid", 2);
    put_ones("brand", 2);
}

static void put_price(void)
{
    put_input((struct input){"price", "FP64", 2, FP64S, VALUES_OF(two_prices)});
}

static void refuses_price(struct input price, const char *word)
{
    write_categories();
    put_input(price);
    refuses_written(400, word);
}

TEST(a_datatype_has_to_be_known)
{
    static const char *const names[] = {"", "STRING", "int64", "BF16", "FP32 ", "FP128"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refuses_price((struct input){"price", names[i], 2, FP64S, VALUES_OF(two_prices)},
                      "\"price\": unknown datatype");
}

/* Each datatype with the values of each field but its own. */
TEST(values_in_the_field_of_another_datatype_are_refused)
{
    static const char *const names[] = {"BOOL",   "INT8",   "INT16",  "INT32", "INT64", "UINT8",
                                        "UINT16", "UINT32", "UINT64", "FP32",  "FP64",  "BYTES"};
    static const uint32_t fields[] = {BOOLS, INTS,  INTS,    INTS,  INT64S, UINTS,
                                      UINTS, UINTS, UINT64S, FP32S, FP64S,  TEXTS};
    static const char zeros[16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (uint32_t field = BOOLS; field <= TEXTS; field++)
            if (field != fields[i])
                refuses_price((struct input){"price", names[i], 2, field, VALUES_OF(zeros)},
                              "\"price\": values of ");
}

TEST(two_fields_with_values_are_refused)
{
    write_categories();
    const size_t input = begin_input("price", "FP64", 2), contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, FP64S, VALUES_OF(two_prices));
    protobuf_put_bytes(&w, INTS, BYTES(""));
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
    CHECK(accepts_written(2)); /* one that is empty holds none */
    write_categories();
    const size_t again = begin_input("price", "FP64", 2);
    const size_t both = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, FP64S, VALUES_OF(two_prices));
    protobuf_put_bytes(&w, INTS, BYTES("\1\2"));
    protobuf_end(&w, both);
    protobuf_end(&w, again);
    refuses_written(400, "belong in \"fp64_contents\", not in \"int_contents\"");
}

TEST(fp16_is_raw_alone)
{
    refuses_price((struct input){"price", "FP16", 2, 0, {0}}, "FP16 has no field in \"contents\"");
    refuses_price((struct input){"price", "FP16", 2, FP32S, BYTES("\0\0\0\0\0\0\0\0")},
                  "FP16 has no field in \"contents\"");
}

TEST(an_integer_lies_within_its_datatype)
{
    static const struct {
        const char *datatype;
        uint32_t field;
        struct text packed;
        const char *word;
    } cases[] = {
        {"INT8", INTS, BYTES("\x01\x80\x01"), "row 2: 128 is outside the range of INT8"},
        {"INT8", INTS, BYTES("\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x01"),
         "row 1: -129 is outside"},
        {"INT16", INTS, BYTES("\x01\x80\x80\x02"), "row 2: 32768 is outside the range of INT16"},
        {"UINT8", UINTS, BYTES("\x01\x80\x02"), "row 2: 256 is outside the range of UINT8"},
        {"UINT16", UINTS, BYTES("\x01\x80\x80\x04"), "row 2: 65536 is outside the range of UINT16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses_price(
            (struct input){"price", cases[i].datatype, 2, cases[i].field, cases[i].packed},
            cases[i].word);
}

TEST(a_shape_has_room_for_exactly_the_values)
{
    refuses_price((struct input){"price", "FP64", 1, FP64S, VALUES_OF(two_prices)},
                  "\"shape\" has room for 1 values, \"contents\" has 2");
    refuses_price((struct input){"price", "FP64", 3, FP64S, VALUES_OF(two_prices)},
                  "\"shape\" has room for 3 values, \"contents\" has 2");
    refuses_price((struct input){"price", "FP64", 2, 0, {0}}, "\"contents\" has 0");
    refuses_price((struct input){"price", "FP64", UINT64_MAX, FP64S, VALUES_OF(two_prices)},
                  "Input 3: \"shape\" must be");
    refuses_price((struct input){"price", "FP64", (uint64_t)1 << 63, FP64S, VALUES_OF(two_prices)},
                  "Input 3: \"shape\" must be");
}

/* Of a shape whose dimensions are these varints. */
static void write_shape(struct text dims)
{
    write_categories();
    const size_t input = protobuf_begin(&w, 5);
    protobuf_put_text(&w, 1, text_of("price"));
    protobuf_put_text(&w, 2, text_of("FP64"));
    protobuf_put_bytes(&w, 3, dims);
    const size_t contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, FP64S, VALUES_OF(two_prices));
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
}

TEST(a_shape_has_one_to_eight_dimensions)
{
    write_shape(BYTES("\2\1\1\1\1\1\1\1"));
    CHECK(accepts_written(2));
    write_shape(BYTES("\2\1\1\1\1\1\1\1\1"));
    refuses_written(400, "more than 8 dimensions");
    write_shape(BYTES(""));
    refuses_written(400, "\"price\": \"shape\" is missing");
    write_shape(BYTES("\2\2"));
    refuses_written(400, "room for 4 values");
    write_shape(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x40\x02\x02"));
    refuses_written(400, "\"shape\" overflows");
    write_shape(BYTES("\2\x81"));
    refuses_written(400, "not protobuf");
}

TEST(packed_numbers_end_with_one)
{
    refuses_price((struct input){"price", "FP64", 2, FP64S, BYTES("123456789")}, "end within one");
    refuses_price((struct input){"price", "FP32", 2, FP32S, BYTES("12345")}, "end within one");
    refuses_price((struct input){"price", "INT64", 2, INT64S, BYTES("\x01\xFF")}, "end within one");
    refuses_price((struct input){"price", "INT64", 2, INT64S,
                                 BYTES("\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01")},
                  "10 bytes");
    /* Also of a column that is passed over. */
    write_categories();
    put_price();
    put_input((struct input){"more", "FP64", 2, FP64S, BYTES("123456789")});
    refuses_written(400, "end within one");
}

TEST(columns_are_given_once_and_are_of_one_length)
{
    write_categories();
    refuses_written(400, "\"price\" is missing");
    put_price();
    CHECK(accepts_written(2));
    put_ones("brand", 2);
    refuses_written(400, "\"brand\" is given twice");
    begin_request();
    put_ones("userid", 2);
    put_ones("brand", 3);
    put_price();
    refuses_written(400, "\"brand\" has 3 values, input \"userid\" has 2");
    begin_request();
    put_ones("userid", 0);
    put_ones("brand", 0);
    put_ones("price", 0);
    refuses_written(400, "no rows");
    begin_request();
    refuses_written(400, "\"userid\" is missing");
    write_categories();
    put_price();
    put_ones("", 2);
    refuses_written(400, "Input 4: \"name\" is missing");
}

TEST(a_column_that_the_model_lacks_has_as_many_rows)
{
    static const uint64_t rows[] = {0, 1, 3, 100};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_request();
        put_ones("before", 2);
        put_ones("more", rows[i]);
        put_ones("behind", 2);
        put_ones("userid", 2);
        put_ones("brand", 2);
        put_price();
        refuses_written(400, "\"more\" has ");
    }
    write_categories();
    put_price();
    put_input((struct input){"more", "INT8", 2, INTS, BYTES("\1\2\3")});
    refuses_written(400, "\"more\": \"shape\" has room for 2 values, \"contents\" has 3");
}

TEST(texts_are_utf8)
{
    write_categories();
    const size_t input = begin_input("price", "BYTES", 2), contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, TEXTS, BYTES("1"));
    protobuf_put_bytes(&w, TEXTS, BYTES("\xED\xA0\x80"));
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
    refuses_written(400, "\"price\": value 2 is not UTF-8");
    static const uint32_t fields[] = {1, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        write_categories();
        put_price();
        protobuf_put_bytes(&w, fields[i], BYTES("\xFF"));
        refuses_written(400, "not UTF-8");
    }
}

static void put_raw_input(const char *name, const char *datatype, uint64_t rows)
{
    put_input((struct input){name, datatype, rows, 0, {0}});
}

static void write_raw(uint64_t rows, struct text prices)
{
    begin_request();
    put_raw_input("userid", "INT8", 2);
    put_raw_input("brand", "BYTES", 2);
    put_raw_input("price", "FP64", rows);
    protobuf_put_bytes(&w, 7, BYTES("\1\2"));
    protobuf_put_bytes(&w, 7, BYTES("\1\0\0\0a\1\0\0\0b"));
    protobuf_put_bytes(&w, 7, prices);
}

TEST(raw_contents_fit_their_inputs)
{
    write_raw(2, VALUES_OF(two_prices));
    CHECK(accepts_written(2));
    protobuf_put_bytes(&w, 7, BYTES(""));
    refuses_written(400, "The number of inputs, 3, is not that of \"raw_input_contents\", 4.");
    write_raw(2, BYTES("123456789012345"));
    refuses_written(400, "\"price\": 15 bytes of binary data for 2 values of FP64");
    write_raw(3, VALUES_OF(two_prices));
    refuses_written(400, "16 bytes of binary data for 3 values");
    write_raw((uint64_t)1 << 61, VALUES_OF(two_prices)); /* times 8 it is 0 */
    refuses_written(400, "\"price\": 16 bytes");
    begin_request();
    protobuf_put_bytes(&w, 7, BYTES(""));
    refuses_written(400, "The number of inputs, 0,");
}

TEST(values_are_raw_or_not)
{
    write_raw(2, VALUES_OF(two_prices));
    put_ones("more", 2);
    protobuf_put_bytes(&w, 7, BYTES("\1\0\0\0a\1\0\0\0b"));
    refuses_written(400, "\"more\" has \"contents\", and the request has \"raw_input_contents\"");
}

TEST(rows_are_bounded)
{
    static char zeros[8 * (MAX_ROWS + 1)];
    begin_request();
    put_input((struct input){"userid", "INT32", MAX_ROWS + 1, INTS, {zeros, MAX_ROWS + 1}});
    refuses_written(413, "more than 1000 rows");
    begin_request();
    put_ones("userid", MAX_ROWS + 1);
    refuses_written(413, "more than 1000 rows");
    begin_request();
    put_input((struct input){"userid", "FP64", MAX_ROWS + 1, FP64S, VALUES_OF(zeros)});
    refuses_written(413, "more than 1000 rows");
}

/* Nothing is allocated for rows that are refused. */
TEST(many_values_need_no_memory)
{
    static char zeros[400000];
    begin_request();
    put_input((struct input){"userid", "INT32", sizeof zeros, INTS, VALUES_OF(zeros)});
    f.arena.limit_bytes = 1 << 20;
    refuses_written(413, "more than 1000 rows");
    f.arena.limit_bytes = (size_t)1 << 30;
}

TEST(memory_is_bounded)
{
    static char zeros[MAX_ROWS];
    begin_request();
    put_input((struct input){"userid", "INT32", MAX_ROWS, INTS, {zeros, MAX_ROWS}});
    for (size_t limit = 1000; limit <= 40000; limit += 3000) {
        f.arena.limit_bytes = limit;
        refuses_written(413, "memory");
    }
    f.arena.limit_bytes = (size_t)1 << 30;
    refuses_written(400, "\"brand\" is missing");
}

TEST(another_model_or_output_is_refused)
{
    static const char *const names[] = {"", "dcnv", "dcnv22", "DCNV2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_categories();
        put_price();
        protobuf_put_bytes(&w, 1, text_of(names[i]));
        refuses_written(404, "does not exist");
    }
    write_categories();
    put_price();
    protobuf_put_bytes(&w, 1, BYTES("dcnv2\0x"));
    refuses_written(404, "does not exist");
    static const char *const outputs[] = {"nope", "", "output-00"};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        write_categories();
        put_price();
        for (int k = 0; k < 2; k++) { /* beside one that is right */
            const size_t output = protobuf_begin(&w, 6);
            protobuf_put_text(&w, 1, text_of(k == 0 ? outputs[i] : "output-0"));
            protobuf_end(&w, output);
        }
        refuses_written(400, "Unexpected inference output '");
    }
}

TEST(a_parameter_that_is_looked_at_has_its_kind)
{
    static const char *const names[] = {"logit", "binary_data_output"};
    for (size_t i = 0; i < 2; i++) {
        write_categories();
        put_price();
        put_parameter(4, names[i], 2, 1);
        refuses_written(400, "must be true or false, not an integer");
        write_categories();
        put_price();
        put_text_parameter(4, names[i], "true");
        refuses_written(400, "must be true or false, not a string");
    }
}

TEST(a_content_type_has_to_be_known)
{
    static const struct {
        const char *type, *datatype, *word;
    } cases[] = {{"datetime", "BYTES", "unknown content_type \"datetime\""},
                 {"base64", "FP64", "needs the datatype BYTES"},
                 {"base64", "BYTES", "not base64"}};
    for (size_t i = 0; i < 3; i++) {
        write_categories();
        const size_t input = begin_input("price", cases[i].datatype, 2);
        put_text_parameter(4, "content_type", cases[i].type);
        const size_t contents = protobuf_begin(&w, 5);
        if (i == 1)
            protobuf_put_bytes(&w, FP64S, VALUES_OF(two_prices));
        for (int k = 0; k < 2 && i != 1; k++)
            protobuf_put_bytes(&w, TEXTS, BYTES("1"));
        protobuf_end(&w, contents);
        protobuf_end(&w, input);
        refuses_written(400, cases[i].word);
    }
    write_categories();
    const size_t input = begin_input("price", "FP64", 2);
    put_parameter(4, "content_type", 1, 1);
    protobuf_end(&w, input);
    refuses_written(400, "\"content_type\" must be a string");
}

int main(void)
{
    fixture_init(&f, "userid,brand,price", 2, 1, MAX_ROWS);
    arena_init(&written, 1 << 24);
    RUN(a_datatype_has_to_be_known);
    RUN(values_in_the_field_of_another_datatype_are_refused);
    RUN(two_fields_with_values_are_refused);
    RUN(fp16_is_raw_alone);
    RUN(an_integer_lies_within_its_datatype);
    RUN(a_shape_has_room_for_exactly_the_values);
    RUN(a_shape_has_one_to_eight_dimensions);
    RUN(packed_numbers_end_with_one);
    RUN(columns_are_given_once_and_are_of_one_length);
    RUN(a_column_that_the_model_lacks_has_as_many_rows);
    RUN(texts_are_utf8);
    RUN(raw_contents_fit_their_inputs);
    RUN(values_are_raw_or_not);
    RUN(rows_are_bounded);
    RUN(many_values_need_no_memory);
    RUN(memory_is_bounded);
    RUN(another_model_or_output_is_refused);
    RUN(a_parameter_that_is_looked_at_has_its_kind);
    RUN(a_content_type_has_to_be_known);
    arena_free(&written);
    fixture_free(&f);
    return test_report();
}
