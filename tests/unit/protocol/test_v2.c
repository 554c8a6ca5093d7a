/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a v2 request in JSON. The rest of it: test_v2_request.c; binary tensors:
 * test_v2_binary.c; replies: test_v2_render.c. */
#include "v2_fixture.h"

TEST(a_tensor_is_a_column)
{
    if (!accepts("{" INPUTS2 "}", 2))
        return;
    CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "7"));
    CHECK(cell_is(cell(USERID, 1), CELL_TEXT, "8"));
    CHECK(cell_is(cell(BRAND, 1), CELL_INTEGER, "2"));
    CHECK(cell(PRICE, 0)->kind == CELL_FLOAT && cell(PRICE, 0)->number == 0.5);
    CHECK(cell_is(cell(PRICE, 1), CELL_INTEGER, "1"));
    CHECK(options.id.at == NULL && !options.binary_output);
}

TEST(tensors_may_come_in_any_order_and_with_others_between)
{
    accepts("{\"inputs\": [" PRICE2 ", " TENSOR("x", "[7]", "BYTES", "[[], {}]") ", " BRAND2
                                                                                 ", " USERID2 "]}",
            2);
    CHECK(cell_is(cell(USERID, 1), CELL_TEXT, "8"));
    accepts("{\"inputs\": [" TENSOR("", "[1]", "BOOL", "[true]") ", " USERID2 ", " BRAND2
                                                                 ", " PRICE2 "]}",
            2);
}

TEST(every_order_of_a_tensors_keys_reads_the_same)
{
    static const char *const members[] = {"\"name\": \"price\"", "\"shape\": [2]",
                                          "\"datatype\": \"FP64\"", "\"data\": [0.25, \"\\u0031\"]",
                                          "\"parameters\": null"};
    for (int order = 0; order < 120; order++) {
        int left[] = {0, 1, 2, 3, 4}, rest = order;
        char tensor[300] = "{";
        for (int n = 5; n > 0; n--) {
            const int pick = rest % n;
            rest /= n;
            strcat(tensor, members[left[pick]]);
            strcat(tensor, n > 1 ? ", " : "}");
            left[pick] = left[n - 1];
        }
        if (!accepts(with_price(tensor), 2))
            return;
        CHECK(cell(PRICE, 0)->kind == CELL_FLOAT && cell(PRICE, 0)->number == 0.25);
        CHECK(cell_is(cell(PRICE, 1), CELL_TEXT, "1"));
        CHECK(cell_is(cell(USERID, 1), CELL_TEXT, "8"));
    }
}

TEST(every_datatype_but_FP16_is_taken_and_values_stay_as_written)
{
    static const char *const datatypes[] = {"BOOL",   "INT8",  "INT16",  "INT32",
                                            "INT64",  "UINT8", "UINT16", "UINT32",
                                            "UINT64", "FP32",  "FP64",   "BYTES"};
    static const char large[] = "18446744073709551616";
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++) {
        char tensor[200];
        const bool is_integer = strstr(datatypes[i], "INT");
        snprintf(tensor, sizeof tensor,
                 "{\"name\": \"price\", \"shape\": [6], \"datatype\": \"%s\", "
                 "\"data\": [1, 2.5, true, null, \"x\", %s]}",
                 datatypes[i], is_integer ? "127" : large);
        char body[1000];
        snprintf(body, sizeof body, "{\"inputs\": [%s, %s, %s]}",
                 TENSOR("userid", "[6]", "BYTES", "[1, 2, 3, 4, 5, 6]"),
                 TENSOR("brand", "[6]", "BYTES", "[1, 2, 3, 4, 5, 6]"), tensor);
        if (!accepts(body, 6))
            continue;
        CHECK(cell_is(cell(PRICE, 0), CELL_INTEGER, "1"));
        CHECK(cell(PRICE, 1)->kind == CELL_FLOAT && cell(PRICE, 1)->number == 2.5);
        CHECK(cell(PRICE, 2)->kind == CELL_BOOL && cell(PRICE, 2)->boolean);
        CHECK(cell(PRICE, 3)->kind == CELL_MISSING);
        CHECK(cell_is(cell(PRICE, 4), CELL_TEXT, "x"));
        CHECK(cell_is(cell(PRICE, 5), CELL_INTEGER, is_integer ? "127" : large));
    }
}

TEST(an_integer_outside_the_range_of_its_datatype_is_refused_with_row_and_range)
{
    static const struct {
        const char *datatype, *least, *most, *below, *above;
    } cases[] = {
        {"INT8", "-128", "127", "-129", "128"},
        {"INT16", "-32768", "32767", "-32769", "32768"},
        {"INT32", "-2147483648", "2147483647", "-2147483649", "2147483648"},
        {"INT64", "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
         "9223372036854775808"},
        {"UINT8", "0", "255", "-1", "256"},
        {"UINT16", "0", "65535", "-1", "65536"},
        {"UINT32", "0", "4294967295", "-1", "4294967296"},
        {"UINT64", "0", "18446744073709551615", "-1", "18446744073709551616"},
    };
    static const char form[] =
        "{\"name\": \"price\", \"shape\": [2%s], \"datatype\": \"%s\", \"data\": %s}";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tensor[300], data[100], range[100];
        snprintf(data, sizeof data, "[%s, %s]", cases[i].least, cases[i].most);
        snprintf(tensor, sizeof tensor, form, "", cases[i].datatype, data);
        accepts(with_price(tensor), 2);
        snprintf(range, sizeof range, "row 2: %s is outside the range of %s, %s to %s.",
                 cases[i].below, cases[i].datatype, cases[i].least, cases[i].most);
        snprintf(data, sizeof data, "[1, %s]", cases[i].below);
        snprintf(tensor, sizeof tensor, form, "", cases[i].datatype, data);
        refuses(with_price(tensor), "\"price\"", range);
        snprintf(data, sizeof data, "[[%s], [1]]", cases[i].above);
        snprintf(tensor, sizeof tensor, form, ", 1", cases[i].datatype, data);
        refuses(with_price(tensor), "row 1", cases[i].above);
        snprintf(data, sizeof data, "[1, %s%s]", cases[i].above, "00000000000000000000000");
        snprintf(tensor, sizeof tensor, form, "", cases[i].datatype, data);
        refuses(with_price(tensor), "row 2", cases[i].datatype);
        snprintf(data, sizeof data, "[-0, \"%s\"]", cases[i].above); /* a text is one */
        snprintf(tensor, sizeof tensor, form, "", cases[i].datatype, data);
        accepts(with_price(tensor), 2);
    }
    /* a column that the model lacks, and floats, stay as they are */
    accepts("{\"inputs\": [" USERID2 ", " BRAND2 ", " PRICE2
            ", " TENSOR("other", "[2]", "INT8", "[1000, 1]") "]}",
            2);
    accepts(with_price(TENSOR("price", "[2]", "INT8", "[1000.0, 1e9]")), 2);
}

TEST(a_float_knows_how_narrow_it_was_sent)
{
    static const char form[] = "{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], "
                               "\"datatype\": \"%s\", \"data\": [7.0, 8]}, %s, %s]}";
    static const struct {
        const char *datatype;
        uint32_t bits;
    } cases[] = {{"FP32", 24}, {"FP64", 0}, {"INT64", 0}, {"BYTES", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1000];
        snprintf(body, sizeof body, form, cases[i].datatype, BRAND2, PRICE2);
        if (!accepts(body, 2))
            continue;
        CHECK(cell(USERID, 0)->kind == CELL_FLOAT && cell(USERID, 0)->length == cases[i].bits);
        CHECK(cell_is(cell(USERID, 1), CELL_INTEGER, "8"));
    }
}

TEST(FP16_and_unknown_datatypes_are_refused_by_name)
{
    refuses(with_price(TENSOR("price", "[2]", "FP16", "[0.5, 1]")), "FP16", "price");
    static const char *const unknown[] = {"fp32",   "FLOAT", "INT128", "BF16",         "",
                                          "STRING", "INT",   "BYTES ", "UINT64\\u0000"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char tensor[200];
        snprintf(tensor, sizeof tensor,
                 "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"%s\", \"data\": [1, 2]}",
                 unknown[i]);
        refuses(with_price(tensor), "price", "datatype");
    }
    refuses(with_price(TENSOR("price", "[2]", "f\\u00e9", "[0.5, 1]")), "f\xC3\xA9", NULL);
}

TEST(a_member_that_is_missing_is_named)
{
    refuses(with_price("{\"name\": \"price\", \"datatype\": \"FP32\", \"data\": [1, 2]}"), "price",
            "shape");
    refuses(with_price("{\"name\": \"price\", \"shape\": [2], \"data\": [1, 2]}"), "price",
            "datatype");
    refuses(with_price("{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\"}"), "price",
            "data");
    refuses(with_price("{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"data\": null}"),
            "price", "data");
    refuses(with_price("{\"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2]}"), "name", NULL);
    refuses(with_price("{\"Name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"data\": [1, 2]}"),
            "name", NULL);
    refuses(with_price("{}"), "name", NULL);
}

TEST(a_member_of_the_wrong_kind_is_a_400)
{
    static const char *const tensors[] = {
        "{\"name\": 5, \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": null, \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": [\"price\"], \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": 2, \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": null, \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": \"[2]\", \"datatype\": \"FP32\", \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": 5, \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": null, \"data\": [1, 2]}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": 5}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": \"12\"}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": {}}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, {}]}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2], "
        "\"parameters\": 5}",
        "{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", \"data\": [1, 2], "
        "\"parameters\": []}",
        "5",
        "null",
        "\"price\"",
        "[]",
        "[" PRICE2 "]",
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        refuses(with_price(tensors[i]), NULL, NULL);
    refuses(with_price("{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"data\": [1, {}]}"),
            "price", "row 2");
}

TEST(a_shape_that_is_no_list_of_positive_integers_is_refused)
{
    static const char *const shapes[] = {
        "[]",
        "[-1]",
        "[0]",
        "[1.5]",
        "[2.0]",
        "[2e0]",
        "[\"2\"]",
        "[null]",
        "[true]",
        "[[2]]",
        "[{}]",
        "[2, -1]",
        "[-2, -1]",
        "[2, 0]",
        "[2, null]",
        "[-0]",
        "[2, 1.0]",
        "[9223372036854775808]",
        "[18446744073709551618]",
        "[-9223372036854775809]",
        "[4294967298]",
        "[100000000000000000000000000000000000000002]",
        /* products that wrap around to 2, or to 0 */
        "[4294967296, 4294967296]",
        "[2, 9223372036854775808]",
        "[4611686018427387904, 4, 2]",
        "[2, 4294967296, 4294967296, 1]",
        "[6148914691236517206, 3]",
        "[3, 6148914691236517206]",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char tensor[300];
        snprintf(tensor, sizeof tensor,
                 "{\"name\": \"price\", \"shape\": %s, \"datatype\": \"FP32\", \"data\": [1, 2]}",
                 shapes[i]);
        refuses(with_price(tensor), NULL, NULL);
        snprintf(tensor, sizeof tensor,
                 "{\"data\": [1, 2], \"name\": \"price\", \"datatype\": \"FP32\", \"shape\": %s}",
                 shapes[i]);
        refuses(with_price(tensor), NULL, NULL);
    }
    struct builder builder = {0};
    builder_text(&builder, "{\"name\": \"price\", \"datatype\": \"FP32\", \"data\": [1, 2], "
                           "\"shape\": [2");
    builder_repeat(&builder, ",1", 999);
    builder_add(&builder, "]}", 3);
    refuses(with_price(builder.at), NULL, NULL);
    builder_free(&builder);
}

TEST(a_shape_has_room_for_exactly_the_values)
{
    accepts(with_price(TENSOR("price", "[2]", "FP32", "[1, 2]")), 2);
    accepts(with_price(TENSOR("price", "[2, 1]", "FP32", "[1, 2]")), 2);
    accepts(with_price(TENSOR("price", "[2, 1]", "FP32", "[[1], [2]]")), 2);
    refuses(with_price(TENSOR("price", "[3]", "FP32", "[1, 2]")), "price", "3");
    refuses(with_price(TENSOR("price", "[1]", "FP32", "[1, 2]")), "price", "1");
    refuses(with_price(TENSOR("price", "[2]", "FP32", "[1]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2]", "FP32", "[]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2, 2]", "FP32", "[1, 2]")), "price", "4");
    refuses(with_price(TENSOR("price", "[2, 2]", "FP32", "[[1, 2], [3, 4]]")), "price", NULL);
}

TEST(nested_data_needs_a_shape_of_n_by_one)
{
    if (accepts(with_price(TENSOR("price", "[2, 1]", "BYTES", "[[\"a\"], [null]]")), 2)) {
        CHECK(cell_is(cell(PRICE, 0), CELL_TEXT, "a"));
        CHECK(cell(PRICE, 1)->kind == CELL_MISSING);
    }
    accepts(with_price("{\"data\": [[1], [2]], \"shape\": [2, 1], \"datatype\": \"FP32\", "
                       "\"name\": \"price\"}"),
            2);
    refuses(with_price(TENSOR("price", "[2]", "FP32", "[[1], [2]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[1, 2]", "FP32", "[[1], [2]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[1, 2]", "FP32", "[[1, 2]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2, 1, 1]", "FP32", "[[1], [2]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2, 1, 1]", "FP32", "[[[1]], [[2]]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2, 1]", "FP32", "[[1], []]")), NULL, NULL);
    refuses(with_price(TENSOR("price", "[2, 1]", "FP32", "[[], [1], [2]]")), NULL, NULL);
    refuses(with_price(TENSOR("price", "[2, 1]", "FP32", "[[1], [[2]]]")), "price", NULL);
    refuses(with_price(TENSOR("price", "[2, 1]", "FP32", "[[1], {\"a\": 2}]")), "price", NULL);
}

TEST(a_missing_column_is_named)
{
    refuses("{\"inputs\": [" BRAND2 ", " PRICE2 "]}", "userid", "missing");
    refuses("{\"inputs\": [" USERID2 ", " PRICE2 "]}", "brand", "missing");
    refuses("{\"inputs\": [" USERID2 ", " BRAND2 "]}", "price", "missing");
    refuses("{\"inputs\": [" USERID2 ", " BRAND2 ", " TENSOR("Price", "[2]", "FP32", "[1, 2]") "]}",
            "price", "missing");
}

TEST(columns_of_different_length_are_named_with_both_lengths)
{
    refuses(with_price(TENSOR("price", "[3]", "FP32", "[1, 2, 3]")), "price", "3");
    CHECK(strstr(f.error.message, "2"));
    refuses(with_price(TENSOR("price", "[1]", "FP32", "[1]")), "price", "2");
}

TEST(a_tensor_that_comes_twice_is_named)
{
    refuses("{\"inputs\": [" USERID2 ", " BRAND2 ", " PRICE2 ", " BRAND2 "]}", "brand", NULL);
    refuses("{\"inputs\": [" USERID2 ", " USERID2 ", " BRAND2 ", " PRICE2 "]}", "userid", NULL);
    refuses(with_price("{\"data\": [1, 2], \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"name\": \"userid\"}"),
            "userid", NULL);
}

TEST(of_equal_keys_the_last_counts)
{
    accepts("{\"inputs\": [], " INPUTS2 "}", 2);
    accepts("{\"inputs\": 7, " INPUTS2 "}", 2);
    accepts("{\"inputs\": [" USERID2 "], " INPUTS2 "}", 2);
    refuses("{" INPUTS2 ", \"inputs\": []}", NULL, NULL);
    if (accepts("{\"id\": \"a\", \"id\": \"b\", " INPUTS2 "}", 2))
        CHECK(text_is(options.id, "b"));
    if (accepts("{\"id\": 5, \"id\": \"b\", " INPUTS2 "}", 2))
        CHECK(text_is(options.id, "b"));
    if (accepts("{\"id\": \"a\", \"id\": null, " INPUTS2 "}", 2))
        CHECK(options.id.at == NULL);
    if (accepts(with_price("{\"name\": \"price\", \"data\": [9, 9, 9], \"shape\": [7], "
                           "\"datatype\": \"x\", \"data\": [3, 4], \"shape\": [2], "
                           "\"datatype\": \"FP32\"}"),
                2))
        CHECK(cell_is(cell(PRICE, 0), CELL_INTEGER, "3"));
    if (accepts(with_price("{\"name\": \"x\", \"data\": [3, 4], \"shape\": [2], "
                           "\"datatype\": \"FP32\", \"name\": \"price\"}"),
                2))
        CHECK(cell_is(cell(PRICE, 1), CELL_INTEGER, "4"));
    if (accepts("{\"inputs\": [{\"name\": \"brand\", \"data\": [\"u\", \"v\"], \"shape\": [2], "
                "\"datatype\": \"BYTES\", \"name\": \"userid\"}, " BRAND2 ", " PRICE2 "]}",
                2)) {
        CHECK(cell_is(cell(USERID, 0), CELL_TEXT, "u"));
        CHECK(cell_is(cell(BRAND, 0), CELL_INTEGER, "1"));
    }
}

TEST(an_id_is_kept_as_text_and_must_be_one)
{
    if (accepts("{\"id\": \"req-42\", " INPUTS2 "}", 2))
        CHECK(text_is(options.id, "req-42"));
    if (accepts("{" INPUTS2 ", \"id\": \"\\u00e9\\n\\u0000\"}", 2))
        CHECK(text_equal(options.id, (struct text){"\xC3\xA9\n\0", 4}));
    if (accepts("{\"id\": null, " INPUTS2 "}", 2))
        CHECK(options.id.at == NULL);
    static const char *const bad[] = {"5", "true", "[]", "{}", "0.5", "[\"a\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[1000];
        snprintf(body, sizeof body, "{\"id\": %s, " INPUTS2 "}", bad[i]);
        refuses(body, "id", NULL);
    }
}

TEST(what_the_clients_add_is_ignored)
{
    accepts("{\"id\": null, \"model_name\": \"other\", \"model_version\": null, "
            "\"from_grpc\": false, " INPUTS2 ", \"parameters\": {\"content_type\": \"pd\"}, "
            "\"outputs\": null}",
            2);
    accepts("{\"parameters\": null, " INPUTS2 ", \"x\": [{}]}", 2);
    accepts("{\"parameters\": {}, " INPUTS2 "}", 2);
    accepts("{\"parameters\": {\"content_type\": \"np\", \"x\": [1, {\"y\": 2}]}, " INPUTS2 "}", 2);
    accepts(with_price("{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"parameters\": {\"x\": {\"y\": []}}, \"data\": [1, 2], \"z\": null}"),
            2);
    accepts(with_price("{\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP32\", "
                       "\"parameters\": {\"binary_data_size\": null}, \"data\": [1, 2]}"),
            2);
}

int main(void)
{
    fixture_init(&f, COLUMNS, 2, 1, MAX_ROWS);
    RUN(a_tensor_is_a_column);
    RUN(tensors_may_come_in_any_order_and_with_others_between);
    RUN(every_order_of_a_tensors_keys_reads_the_same);
    RUN(every_datatype_but_FP16_is_taken_and_values_stay_as_written);
    RUN(an_integer_outside_the_range_of_its_datatype_is_refused_with_row_and_range);
    RUN(a_float_knows_how_narrow_it_was_sent);
    RUN(FP16_and_unknown_datatypes_are_refused_by_name);
    RUN(a_member_that_is_missing_is_named);
    RUN(a_member_of_the_wrong_kind_is_a_400);
    RUN(a_shape_that_is_no_list_of_positive_integers_is_refused);
    RUN(a_shape_has_room_for_exactly_the_values);
    RUN(nested_data_needs_a_shape_of_n_by_one);
    RUN(a_missing_column_is_named);
    RUN(columns_of_different_length_are_named_with_both_lengths);
    RUN(a_tensor_that_comes_twice_is_named);
    RUN(of_equal_keys_the_last_counts);
    RUN(an_id_is_kept_as_text_and_must_be_one);
    RUN(what_the_clients_add_is_ignored);
    fixture_free(&f);
    return test_report();
}
