/* SPDX-License-Identifier: Apache-2.0 */
/* ModelInferRequests into a frame: values of every datatype, typed and raw, and the reply. What is
 * refused: test_grpc_refused.c. */
#include "grpc_fixture.h"

static const double two_prices[] = {0.5, 2};

/* Userid, brand and, as given, price. */
static void write_price(struct input price)
{
    begin_request();
    put_ones("userid", price.rows);
    put_ones("brand", price.rows);
    put_input(price);
}

/* Of each datatype values as its field holds them packed, as they are raw, and what they are. */
static const struct typed {
    const char *datatype;
    uint32_t field;
    struct text packed, raw;
    const char *texts[4]; /* of integers */
    double numbers[4];    /* of floats and, 0 and 1, of booleans */
} typed[] = {
    {"BOOL", BOOLS, BYTES("\x00\x01\x80\x02\x01"), BYTES("\x00\x01\x02\x01"), {0}, {0, 1, 1, 1}},
    {"INT8",
     INTS,
     BYTES("\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x7F\xFF\xFF\xFF\xFF\x0F\x00"),
     BYTES("\x80\x7F\xFF\x00"),
     {"-128", "127", "-1", "0"},
     {0}},
    {"INT16",
     INTS,
     BYTES("\x80\x80\xFE\xFF\xFF\xFF\xFF\xFF\xFF\x01\xFF\xFF\x01\x01\x02"),
     BYTES("\x00\x80\xFF\x7F\x01\x00\x02\x00"),
     {"-32768", "32767", "1", "2"},
     {0}},
    {"INT32",
     INTS,
     BYTES("\x80\x80\x80\x80\xF8\xFF\xFF\xFF\xFF\x01\xFF\xFF\xFF\xFF\x07\x01\x90\xFB\x35"),
     BYTES("\x00\x00\x00\x80\xFF\xFF\xFF\x7F\x01\x00\x00\x00\x90\x7D\x0D\x00"),
     {"-2147483648", "2147483647", "1", "884112"},
     {0}},
    {"INT64",
     INT64S,
     BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x01"
           "\x81\x80\x80\x80\x80\x80\x80\x10"),
     BYTES("\x00\x00\x00\x00\x00\x00\x00\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"
           "\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x20\x00"),
     {"-9223372036854775808", "9223372036854775807", "1", "9007199254740993"},
     {0}},
    {"UINT8",
     UINTS,
     BYTES("\x80\x01\x7F\xFF\x01\x00"),
     BYTES("\x80\x7F\xFF\x00"),
     {"128", "127", "255", "0"},
     {0}},
    {"UINT16",
     UINTS,
     BYTES("\x80\x80\x02\xFF\xFF\x03\x01\x02"),
     BYTES("\x00\x80\xFF\xFF\x01\x00\x02\x00"),
     {"32768", "65535", "1", "2"},
     {0}},
    {"UINT32",
     UINTS,
     BYTES("\x80\x80\x80\x80\x08\xFF\xFF\xFF\xFF\x0F\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
     BYTES("\x00\x00\x00\x80\xFF\xFF\xFF\xFF\x01\x00\x00\x00\xFF\xFF\xFF\xFF"),
     {"2147483648", "4294967295", "1", "4294967295"},
     {0}},
    {"UINT64",
     UINT64S,
     BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x01"
           "\x02"),
     BYTES("\x00\x00\x00\x00\x00\x00\x00\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
           "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"),
     {"9223372036854775808", "18446744073709551615", "1", "2"},
     {0}},
    {"FP32",
     FP32S,
     BYTES("\x00\x00\x00\x3F\x00\x00\x00\x40\x00\x00\x80\xBF\x00\x00\x00\x00"),
     BYTES("\x00\x00\x00\x3F\x00\x00\x00\x40\x00\x00\x80\xBF\x00\x00\x00\x00"),
     {0},
     {0.5, 2, -1, 0}},
    {"FP64",
     FP64S,
     BYTES("\x00\x00\x00\x00\x00\x00\xE0\x3F\x00\x00\x00\x00\x00\x00\x00\x40"
           "\x00\x00\x00\x00\x00\x00\xF0\xBF\x00\x00\x00\x00\x00\x00\x00\x00"),
     BYTES("\x00\x00\x00\x00\x00\x00\xE0\x3F\x00\x00\x00\x00\x00\x00\x00\x40"
           "\x00\x00\x00\x00\x00\x00\xF0\xBF\x00\x00\x00\x00\x00\x00\x00\x00"),
     {0},
     {0.5, 2, -1, 0}},
    {"FP16", 0, {0}, BYTES("\x00\x38\x00\x40\x00\xBC\x00\x00"), {0}, {0.5, 2, -1, 0}},
};

enum { N_TYPED = sizeof typed / sizeof *typed };

static void check_typed(const struct typed *t, const char *how)
{
    if (!accepts_written(4))
        return;
    for (uint32_t row = 0; row < 4; row++) {
        const struct cell *found = cell(PRICE, row);
        if (t->texts[0])
            CHECK_MSG(cell_is(found, CELL_INTEGER, t->texts[row]), "%s %s, row %u: %.*s", how,
                      t->datatype, row, (int)found->length, found->text);
        else if (t->field == BOOLS)
            CHECK_MSG(found->kind == CELL_BOOL && found->boolean == (t->numbers[row] != 0),
                      "%s, row %u", how, row);
        else
            CHECK_MSG(found->kind == CELL_FLOAT && found->number == t->numbers[row],
                      "%s %s, row %u: %g", how, t->datatype, row, found->number);
    }
    if (t->texts[0] == NULL && t->field != BOOLS)
        CHECK(cell(PRICE, 0)->length == (t->field == FP64S ? 0 : t->field == FP32S ? 24 : 11));
}

TEST(packed_values_of_each_datatype_are_read)
{
    for (size_t i = 0; i < N_TYPED; i++) {
        if (typed[i].field == 0)
            continue;
        write_price((struct input){"price", typed[i].datatype, 4, typed[i].field, typed[i].packed});
        check_typed(&typed[i], "packed");
        CHECK(!options.raw_output);
    }
}

/* The same values, each a field of its own. */
static void put_unpacked(const struct typed *t)
{
    static const enum protobuf_wire wires[] = {
        [FP32S] = PROTOBUF_FIXED32, [FP64S] = PROTOBUF_FIXED64};
    const enum protobuf_wire wire = t->field >= FP32S ? wires[t->field] : PROTOBUF_VARINT;
    const size_t size = wire == PROTOBUF_FIXED32 ? 4 : 8;
    const char *at = t->packed.at, *end = at + t->packed.length;
    while (at < end) {
        size_t length = size;
        if (wire == PROTOBUF_VARINT)
            for (length = 1; (unsigned char)at[length - 1] >= 0x80;)
                length++;
        protobuf_put_packed(&w, t->field << 3 | wire);
        for (size_t i = 0; i < length; i++) {
            /* A byte alone: a varint below 128, or two of which the second is cut off again. */
            protobuf_put_packed(&w, (unsigned char)at[i]);
            w.length -= (unsigned char)at[i] >= 0x80;
        }
        at += length;
    }
}

TEST(values_that_are_not_packed_are_read)
{
    for (size_t i = 0; i < N_TYPED; i++) {
        if (typed[i].field == 0)
            continue;
        begin_request();
        put_ones("userid", 4);
        put_ones("brand", 4);
        const size_t input = begin_input("price", typed[i].datatype, 4);
        const size_t contents = protobuf_begin(&w, 5);
        put_unpacked(&typed[i]);
        protobuf_end(&w, contents);
        protobuf_end(&w, input);
        check_typed(&typed[i], "unpacked");
    }
}

static const char four_ones[] = "\x01\0\0\0"
                                "1\x01\0\0\0"
                                "1\x01\0\0\0"
                                "1\x01\0\0\0"
                                "1";

TEST(raw_values_of_each_datatype_are_read)
{
    for (size_t i = 0; i < N_TYPED; i++) {
        begin_request();
        put_input((struct input){"userid", "BYTES", 4, 0, {0}});
        put_input((struct input){"price", typed[i].datatype, 4, 0, {0}});
        put_input((struct input){"brand", "BYTES", 4, 0, {0}});
        protobuf_put_bytes(&w, 7, BYTES(four_ones));
        protobuf_put_bytes(&w, 7, typed[i].raw);
        protobuf_put_bytes(&w, 7, BYTES(four_ones));
        check_typed(&typed[i], "raw");
        CHECK(options.raw_output && cell_is(cell(BRAND, 3), CELL_TEXT, "1"));
    }
}

/* Raw contents may stand anywhere; the order among them counts. */
TEST(raw_contents_may_come_before_their_inputs)
{
    begin_request();
    protobuf_put_bytes(&w, 7, BYTES("\x01\0\0\0u"));
    put_input((struct input){"userid", "BYTES", 1, 0, {0}});
    protobuf_put_bytes(&w, 7, BYTES("\x01\0\0\0b"));
    protobuf_put_bytes(&w, 7, BYTES("\0\0\0\0\0\0\xE0\x3F"));
    put_input((struct input){"brand", "BYTES", 1, 0, {0}});
    put_input((struct input){"price", "FP64", 1, 0, {0}});
    if (accepts_written(1)) {
        CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "u") && cell_is(cell(BRAND, 0), CELL_TEXT, "b"));
        CHECK(cell(PRICE, 0)->number == 0.5);
    }
}

TEST(texts_are_read_as_they_are)
{
    begin_request();
    const size_t input = begin_input("userid", "BYTES", 3), contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, TEXTS, BYTES("a\0b"));
    protobuf_put_bytes(&w, TEXTS, BYTES(""));
    protobuf_put_bytes(&w, TEXTS, BYTES(" \xC3\xA9"));
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
    put_ones("brand", 3);
    put_ones("price", 3);
    if (accepts_written(3)) {
        CHECK(cell(USERID, 0)->length == 3 && memcmp(cell(USERID, 0)->text, "a\0b", 3) == 0);
        CHECK(cell_is(cell(USERID, 1), CELL_TEXT, "") &&
              cell_is(cell(USERID, 2), CELL_TEXT, " \xC3\xA9"));
    }
}

/* Members in another order than their numbers', contents and shape in parts, unknown fields. */
TEST(the_order_of_fields_does_not_count)
{
    begin_request();
    const size_t input = protobuf_begin(&w, 5);
    for (int i = 0; i < 2; i++) {
        const size_t contents = protobuf_begin(&w, 5);
        protobuf_put_bytes(&w, FP64S, (struct text){(const char *)&two_prices[i], 8});
        protobuf_put_varint(&w, 99, 1);
        protobuf_end(&w, contents);
        protobuf_put_varint(&w, 3, i == 0 ? 2 : 1); /* a shape of [2, 1], not packed */
    }
    protobuf_put_text(&w, 2, text_of("FP64"));
    protobuf_put_text(&w, 1, text_of("nothing"));
    protobuf_put_text(&w, 1, text_of("price")); /* of equal fields the last counts */
    protobuf_put_varint(&w, 2, 7);              /* of another wire type: unknown */
    protobuf_end(&w, input);
    put_ones("brand", 2);
    protobuf_put_varint(&w, 1000, 5);
    put_ones("userid", 2);
    if (accepts_written(2))
        CHECK(cell(PRICE, 0)->number == 0.5 && cell(PRICE, 1)->number == 2);
}

TEST(columns_that_the_model_lacks_are_passed_over)
{
    write_price((struct input){"price", "FP64", 2, FP64S, VALUES_OF(two_prices)});
    put_input((struct input){"more", "INT8", 2, INTS, BYTES("\x01\x02")});
    put_ones("others", 2);
    CHECK(accepts_written(2));
}

/* ---- options ---- */

static void write_two_rows(void)
{
    write_price((struct input){"price", "FP64", 2, FP64S, VALUES_OF(two_prices)});
}

TEST(names_and_id_are_kept)
{
    write_two_rows();
    CHECK(accepts_written(2) && options.id.length == 0 && options.model_version.length == 0);
    CHECK(text_is(options.model_name, "dcnv2") && !options.wants_logits);
    protobuf_put_text(&w, 3, text_of("r\xC3\xA9"));
    protobuf_put_text(&w, 2, text_of("7"));
    CHECK(accepts_written(2) && text_is(options.id, "r\xC3\xA9"));
    CHECK(text_is(options.model_version, "7"));
}

TEST(a_parameter_asks_for_logits)
{
    write_two_rows();
    put_parameter(4, "logit", 1, 1);
    CHECK(accepts_written(2) && options.wants_logits);
    put_parameter(4, "logit", 1, 0); /* of equal keys the last counts */
    CHECK(accepts_written(2) && !options.wants_logits);
    put_parameter(4, "logit", 1, 1);
    put_parameter(4, "logit", 0, 0); /* without a value */
    CHECK(accepts_written(2) && !options.wants_logits);
    put_parameter(4, "sequence_id", 2, 5);
    put_text_parameter(4, "content_type", "pd");
    CHECK(accepts_written(2));
}

static void put_output(const char *name, int binary)
{
    const size_t output = protobuf_begin(&w, 6);
    protobuf_put_text(&w, 1, text_of(name));
    if (binary >= 0)
        put_parameter(2, "binary_data", 1, (uint64_t)binary);
    protobuf_end(&w, output);
}

TEST(outputs_are_raw_where_parameters_say_so)
{
    write_two_rows();
    put_output("output-0", -1);
    CHECK(accepts_written(2) && !options.raw_output);
    put_parameter(4, "binary_data_output", 1, 1);
    CHECK(accepts_written(2) && options.raw_output);
    put_output("output-0", 0);
    CHECK(accepts_written(2) && !options.raw_output);
    put_output("output-0", 1);
    CHECK(accepts_written(2) && options.raw_output);
    put_output("output-0", -1); /* says nothing */
    CHECK(accepts_written(2) && options.raw_output);
    begin_request();
    put_input((struct input){"userid", "INT8", 1, 0, {0}});
    put_input((struct input){"brand", "INT8", 1, 0, {0}});
    put_input((struct input){"price", "INT8", 1, 0, {0}});
    for (int i = 0; i < N_COLUMNS; i++)
        protobuf_put_bytes(&w, 7, BYTES("\1"));
    put_parameter(4, "binary_data_output", 0, 0); /* without a value */
    CHECK(accepts_written(1) && options.raw_output);
    put_parameter(4, "binary_data_output", 1, 0);
    CHECK(accepts_written(1) && !options.raw_output);
}

TEST(base64_is_decoded)
{
    begin_request();
    put_ones("brand", 1);
    put_ones("price", 1);
    const size_t input = begin_input("userid", "BYTES", 1);
    put_text_parameter(4, "content_type", "base64");
    const size_t contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, TEXTS, BYTES("Nw=="));
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
    CHECK(accepts_written(1) && cell_is(cell(USERID, 0), CELL_TEXT, "7"));
}

/* ---- columns of lists ---- */

static void write_lists(uint64_t rows, uint64_t length, uint32_t n_values)
{
    begin_request();
    put_ones("userid", 2);
    put_ones("price", 2);
    const size_t input = begin_input("brand", "INT32", rows);
    if (length)
        protobuf_put_varint(&w, 3, length);
    const size_t contents = protobuf_begin(&w, 5);
    protobuf_put_bytes(&w, INTS, (struct text){"\1\2\3\4\5\6", n_values});
    protobuf_end(&w, contents);
    protobuf_end(&w, input);
}

TEST(columns_of_lists_are_read_row_by_row)
{
    static const bool is_list[] = {false, true, false};
    f.schema.is_list = is_list;
    write_lists(2, 3, 6);
    if (accepts_written(2)) {
        const struct cell *second = cell(BRAND, 1);
        CHECK(second->kind == CELL_LIST && second->length == 3);
        CHECK(cell_is(&second->items[0], CELL_INTEGER, "4"));
    }
    write_lists(2, 0, 2); /* [2]: a text, or here a number, per row */
    if (accepts_written(2))
        CHECK(cell_is(cell(BRAND, 1), CELL_INTEGER, "2"));
    write_lists(2, 3, 5);
    refuses_written(400, "a column of lists needs");
    write_lists(3, 2, 6);
    refuses_written(400, "\"brand\" has 3 values");
    f.schema.is_list = NULL;
}

/* ---- the whole ---- */

TEST(a_warm_arena_is_enough)
{
    write_two_rows();
    struct arena_block *first = NULL;
    size_t used_bytes = 0;
    for (int i = 0; i < 4; i++) {
        CHECK(accepts_written(2));
        if (i > 1)
            CHECK(f.arena.first == first && f.arena.last == first &&
                  f.arena.used_bytes == used_bytes);
        first = f.arena.first;
        used_bytes = f.arena.used_bytes;
    }
}

/* Of a message that is cut anywhere no row is scored that was not sent whole. */
TEST(a_message_that_is_cut_is_refused)
{
    write_two_rows();
    const struct text message = protobuf_written(&w);
    for (size_t length = 0; length < message.length; length++)
        CHECK_MSG(parse_message((struct text){message.at, length}) == -1, "%zu bytes", length);
}

TEST(one_pass_reads_all_but_the_tensors)
{
    struct grpc_infer_request request;
    write_two_rows();
    protobuf_put_text(&w, 1, text_of("other"));
    CHECK(grpc_infer_open(protobuf_written(&w), &request, &f.error) == 0);
    CHECK(text_is(request.options.model_name, "other") && request.n_inputs == 3);
    refuses_written(404, "Model with name other does not exist.");
}

/* ---- replies ---- */

static bool renders(const struct grpc_infer_options *told, const float *scores, uint32_t n,
                    struct text expected)
{
    const struct text reply = grpc_infer_render(&f.arena, "dcnv2", told, NULL, scores, n);
    return text_equal(reply, expected);
}

/* The bytes that KServe's server sends. */
TEST(a_reply_has_the_bytes_of_the_reference)
{
    static const float scores[] = {0.05672386288642883f, 0.06861408054828644f};
    const struct grpc_infer_options told = {.id = text_of("r1")},
                                    raw = {.id = text_of("r1"), .raw_output = true};
    fixture_reset(&f);
    CHECK(renders(&told, scores, 2,
                  BYTES("\x0A\x05"
                        "dcnv2\x1A\x02"
                        "r1\x2A\x20\x0A\x08output-0\x12\x04"
                        "FP32\x1A\x02\x02\x01\x2A\x0A\x32\x08\x48\x57\x68\x3D\x8A\x85\x8C\x3D")));
    CHECK(renders(&raw, scores, 1,
                  BYTES("\x0A\x05"
                        "dcnv2\x1A\x02"
                        "r1\x2A\x14\x0A\x08output-0\x12\x04"
                        "FP32\x1A\x02\x01\x01\x32\x04\x48\x57\x68\x3D")));
}

TEST(a_reply_gets_an_id_of_random_bytes)
{
    static const unsigned char random[16];
    static const float score = 1;
    const struct grpc_infer_options none = {0};
    fixture_reset(&f);
    const struct text reply = grpc_infer_render(&f.arena, "m", &none, random, &score, 1);
    CHECK(reply.length > 40 && memcmp(reply.at + 3, "\x1A\x24", 2) == 0);
    CHECK(memcmp(reply.at + 5, "00000000-0000-4000-8000-000000000000", 36) == 0);
}

int main(void)
{
    fixture_init(&f, "userid,brand,price", 2, 1, MAX_ROWS);
    arena_init(&written, 1 << 24);
    RUN(packed_values_of_each_datatype_are_read);
    RUN(values_that_are_not_packed_are_read);
    RUN(raw_values_of_each_datatype_are_read);
    RUN(raw_contents_may_come_before_their_inputs);
    RUN(texts_are_read_as_they_are);
    RUN(the_order_of_fields_does_not_count);
    RUN(columns_that_the_model_lacks_are_passed_over);
    RUN(names_and_id_are_kept);
    RUN(a_parameter_asks_for_logits);
    RUN(outputs_are_raw_where_parameters_say_so);
    RUN(base64_is_decoded);
    RUN(columns_of_lists_are_read_row_by_row);
    RUN(a_warm_arena_is_enough);
    RUN(a_message_that_is_cut_is_refused);
    RUN(one_pass_reads_all_but_the_tensors);
    RUN(a_reply_has_the_bytes_of_the_reference);
    RUN(a_reply_gets_an_id_of_random_bytes);
    arena_free(&written);
    fixture_free(&f);
    return test_report();
}
