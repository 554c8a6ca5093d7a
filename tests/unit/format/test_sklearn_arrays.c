/* SPDX-License-Identifier: Apache-2.0 */
/* test_sklearn_arrays.c: pairs put together by hand, and the ways in which numpy arrays lie. */
#include "format/sklearn_file.h"

#include <stdlib.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

static bool refused(struct pair *pair, const char *needle)
{
    struct bytes bytes = pair_pickle(pair);
    bool result = is_refused(read_as_sklearn_file, &bytes, needle);
    bytes_free(&bytes);
    return result;
}

static bool survived(struct pair *pair)
{
    struct bytes bytes = pair_pickle(pair);
    bool result = is_survived(read_as_sklearn_file, &bytes);
    bytes_free(&bytes);
    return result;
}

static bool mean_refused(const struct array_spec *array)
{
    struct pair pair = pair_good();
    part_set_array(&pair.mean, array);
    return refused(&pair, "mean_");
}

static bool classes_refused(const struct array_spec *array)
{
    struct pair pair = pair_good();
    pair_set_classes(&pair, array);
    return refused(&pair, "cate");
}

static struct arena arena;
static struct bytes bytes;
static struct sklearn_file file;

static void close_pair(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

/* Into `file`, until close_pair(). */
static bool open_pair(struct pair *pair)
{
    struct format_error error;
    close_pair();
    bytes = pair_pickle(pair);
    arena_init(&arena, 64 * 1024 * 1024);
    if (sklearn_file_read(&file, &arena, bytes.at, bytes.size, &error) == 0)
        return true;
    fprintf(stderr, "    refused: %s\n", error.message);
    return false;
}

/* ---- good ones */

TEST(a_hand_made_pair_is_read)
{
    struct pair pair = pair_good();
    if (!open_pair(&pair)) {
        CHECK(!"read");
        return;
    }
    CHECK(file.n_dense == 2 && file.scaling[0].mean == 0.5 && file.scaling[1].mean == -2);
    CHECK(file.scaling[0].scale == 0.5 && file.scaling[1].scale == -2);
    CHECK(file.dense_names && text_is(file.dense_names[1], "b"));
    CHECK(file.n_encoders == 1 && text_is(file.encoders[0].column, "cate"));
    CHECK(file.encoders[0].n_classes == 2 && text_is(file.encoders[0].classes[0], "a"));
    CHECK(text_is(file.encoders[0].classes[1], "bc"));
    close_pair();
}

TEST(every_spelling_of_the_same_doubles_is_read_right_or_refused)
{
    static const char big[] = "\x3F\xE0\0\0\0\0\0\0\xC0\0\0\0\0\0\0\0";
    static const char single[] = "\0\0\0\x3F\0\0\0\xC0";
    const struct array_spec spellings[] = {
        {.dtype = "f8", .shape = 2, .data = TWO_DOUBLES, .size = 16, .fortran = true},
        {.dtype = "f8", .shape = 2, .data = TWO_DOUBLES, .size = 16, .buffer = true},
        {.dtype = "f8",
         .shape = 2,
         .data = TWO_DOUBLES,
         .size = 16,
         .buffer = true,
         .fortran = true},
        {.dtype = "<f8", .shape = 2, .data = TWO_DOUBLES, .size = 16},
        {.dtype = "f8", .order = "=", .shape = 2, .data = TWO_DOUBLES, .size = 16},
        {.dtype = "f8", .state_size = NO_STATE, .shape = 2, .data = TWO_DOUBLES, .size = 16},
        {.dtype = "f8", .order = ">", .shape = 2, .data = big, .size = 16},
        {.dtype = "f8", .order = ">", .shape = 2, .data = big, .size = 16, .buffer = true},
        {.dtype = ">f8", .order = ">", .shape = 2, .data = big, .size = 16},
        {.dtype = ">f8", .state_size = NO_STATE, .shape = 2, .data = big, .size = 16},
        {.dtype = "f4", .shape = 2, .data = single, .size = 8},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct pair pair = pair_good();
        part_set_array(&pair.mean, &spellings[i]);
        bool opened = open_pair(&pair);
        CHECK_MSG(i >= 6 || opened, "spelling %zu", i);
        CHECK_MSG(!opened || (file.scaling[0].mean == 0.5 && file.scaling[1].mean == -2),
                  "spelling %zu", i);
        close_pair();
    }
}

/* np.array([1]), as FuxiCTR writes the scale of a column that is constant. */
TEST(integers_are_numbers_of_a_scaler)
{
    const struct array_spec spellings[] = {
        {.dtype = "i8",
         .shape = 2,
         .data = "\3\0\0\0\0\0\0\0\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
         .size = 16},
        {.dtype = "i4", .shape = 2, .data = "\3\0\0\0\xFE\xFF\xFF\xFF", .size = 8},
        {.dtype = "i2", .order = ">", .shape = 2, .data = "\0\3\xFF\xFE", .size = 4},
        {.dtype = "u1", .shape = 2, .data = "\3\xFE", .size = 2},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct pair pair = pair_good();
        part_set_array(&pair.mean, &spellings[i]);
        CHECK_MSG(open_pair(&pair) && file.scaling[0].mean == 3 &&
                      file.scaling[1].mean == (i == 3 ? 254 : -2),
                  "spelling %zu", i);
        close_pair();
    }
}

TEST(wide_texts_keep_inner_zeros_and_lose_those_at_the_end)
{
    static const char data[] = "\0\0\0\0a\0\0\0\0\0\0\0"
                               "a\0\0\0\0\0\0\0b\0\0\0";
    const struct array_spec array = {.dtype = "U3", .shape = 2, .data = data, .size = 24};
    struct pair pair = pair_good();
    pair_set_classes(&pair, &array);
    CHECK(open_pair(&pair));
    CHECK(file.encoders[0].classes[0].length == 2);
    CHECK(memcmp(file.encoders[0].classes[0].at, "\0a", 2) == 0);
    CHECK(file.encoders[0].classes[1].length == 3);
    CHECK(memcmp(file.encoders[0].classes[1].at, "a\0b", 3) == 0);
    close_pair();
}

TEST(wide_texts_become_utf_8_of_every_length)
{
    static const struct {
        const char *code_point, *utf8;
    } cases[] = {
        {"\x01\0\0\0", "\x01"},
        {"\x7F\0\0\0", "\x7F"},
        {"\x80\0\0\0", "\xC2\x80"},
        {"\xFC\0\0\0", "\xC3\xBC"},
        {"\xFF\x07\0\0", "\xDF\xBF"},
        {"\0\x08\0\0", "\xE0\xA0\x80"},
        {"\x2D\x4E\0\0", "\xE4\xB8\xAD"},
        {"\xFF\xFF\0\0", "\xEF\xBF\xBF"},
        {"\0\0\x01\0", "\xF0\x90\x80\x80"},
        {"\0\xF6\x01\0", "\xF0\x9F\x98\x80"},
        {"\xFF\xFF\x10\0", "\xF4\x8F\xBF\xBF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct array_spec array = {
            .dtype = "U1", .shape = 1, .data = cases[i].code_point, .size = 4};
        struct pair pair = pair_good();
        pair_set_classes(&pair, &array);
        bool opened = open_pair(&pair);
        CHECK_MSG(opened && text_is(file.encoders[0].classes[0], cases[i].utf8), "case %zu", i);
        close_pair();
    }
}

TEST(two_columns_may_share_one_array)
{
    struct pair pair = pair_good();
    pair_share_classes(&pair, &array_objects, 2);
    CHECK(open_pair(&pair));
    CHECK(file.n_encoders == 2 && file.encoders[1].n_classes == 2);
    CHECK(text_is(file.encoders[1].classes[1], "b"));
    close_pair();
}

/* ---- arrays that lie */

TEST(a_shape_unlike_the_data_is_refused)
{
    static const long long shapes[] = {
        0, 1, 3, -1, INT32_MAX, UINT32_MAX, (1LL << 32) + 2, (1LL << 61) + 2, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct array_spec array = array_doubles;
        array.shape = shapes[i];
        CHECK_MSG(mean_refused(&array), "%lld doubles", shapes[i]);
        array.buffer = true;
        CHECK_MSG(mean_refused(&array), "%lld doubles", shapes[i]);
        array = array_wide;
        array.shape = shapes[i];
        CHECK_MSG(classes_refused(&array), "%lld wide texts", shapes[i]);
        array = array_objects;
        array.shape = shapes[i];
        CHECK_MSG(classes_refused(&array), "%lld objects", shapes[i]);
    }
}

TEST(a_shape_that_is_not_of_one_dimension_is_refused)
{
    static const struct opcodes shapes[] = {{BYTES("N")},
                                            {BYTES("K\002")},
                                            {BYTES(")")},
                                            {BYTES("](K\002e")},
                                            {BYTES("K\002K\001\x86")},
                                            {BYTES("K\001K\002\x86")},
                                            {BYTES("N\x85")},
                                            {BYTES("X\001\0\0\0"
                                                   "2\x85")},
                                            {BYTES("G@\0\0\0\0\0\0\0\x85")}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct array_spec array = array_doubles;
        array.shape_as = shapes[i].at;
        array.shape_size = shapes[i].size;
        CHECK_MSG(mean_refused(&array), "shape %zu", i);
        array.buffer = true;
        CHECK_MSG(mean_refused(&array), "shape %zu", i);
        array = array_wide;
        array.shape_as = shapes[i].at;
        array.shape_size = shapes[i].size;
        CHECK_MSG(classes_refused(&array), "shape %zu", i);
    }
}

TEST(another_type_of_numbers_is_refused)
{
    static const char *const types[] = {"f0",          "f2",
                                        "f16",         "f",
                                        "f80",         "f4294967304",
                                        "f1000000000", "f18446744073709551624",
                                        "f-8",         "f 8",
                                        "f8 ",         "f8\n",
                                        "8f",          "",
                                        "<",           ">",
                                        "<<f8",        "i0",
                                        "i9",          "u16",
                                        "b1",          "c16",
                                        "O8",          "U2",
                                        "S8",          "V8",
                                        "M8",          "m8",
                                        "F8",          "x"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct array_spec array = array_doubles;
        array.dtype = types[i];
        CHECK_MSG(mean_refused(&array), "'%s'", types[i]);
        array.buffer = true;
        CHECK_MSG(mean_refused(&array), "'%s'", types[i]);
    }
}

TEST(another_type_of_texts_is_refused)
{
    static const char *const types[] = {"U0",
                                        "U1",
                                        "U2",
                                        "U4",
                                        "U6",
                                        "U1000000000",
                                        "U4294967296",
                                        "U4294967299",
                                        "U-3",
                                        "U 3",
                                        "U",
                                        "U1073741827",
                                        "U18446744073709551619",
                                        "u3",
                                        "S12",
                                        "f8",
                                        "i4",
                                        "V12",
                                        "T",
                                        "O8",
                                        "",
                                        ">"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct array_spec array = array_wide;
        array.dtype = types[i];
        CHECK_MSG(classes_refused(&array), "'%s'", types[i]);
    }
    struct array_spec array = array_objects;
    array.dtype = "U3"; /* a list for bytes */
    CHECK(classes_refused(&array));
    array = array_wide;
    array.dtype = "O8"; /* bytes for a list */
    CHECK(classes_refused(&array));
}

TEST(a_dtype_with_another_state_is_refused)
{
    static const struct opcodes states[] = {{BYTES("N")},
                                            {BYTES("K\003")},
                                            {BYTES("]")},
                                            {BYTES(")")},
                                            {BYTES("K\003\x85")},
                                            {BYTES("K\003N\x86")},
                                            {BYTES("K\003K\001\x86")},
                                            {BYTES("K\003X\000\0\0\0\x86")},
                                            {BYTES("K\003X\002\0\0\0<>\x86")}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct array_spec array = array_doubles;
        array.state = states[i].at;
        array.state_size = states[i].size;
        CHECK_MSG(mean_refused(&array), "state %zu", i);
    }
}

TEST(objects_that_are_neither_texts_nor_numbers_are_refused)
{
    static const struct opcodes lists[] = {{BYTES("](C\001aC\001be")},
                                           {BYTES("](X\001\0\0\0a]e")},
                                           {BYTES("X\001\0\0\0aX\001\0\0\0b\x86")},
                                           {BYTES("}(X\001\0\0\0aNX\001\0\0\0bNu")},
                                           {BYTES("N")},
                                           {BYTES("X\002\0\0\0ab")}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct array_spec array = array_objects;
        array.data = lists[i].at;
        array.size = lists[i].size;
        CHECK_MSG(classes_refused(&array), "list %zu", i);
        struct pair pair = pair_good();
        part_set_array(&pair.names, &array);
        CHECK_MSG(refused(&pair, "feature_names_in_"), "list %zu", i);
    }
}

TEST(text_in_place_of_the_bytes_is_refused)
{
    struct array_spec array = array_doubles;
    array.data = "X\020\0\0\0abcdefgh01234567";
    array.size = 5 + 16;
    array.objects = true;
    CHECK(mean_refused(&array));
    array.buffer = true;
    CHECK(mean_refused(&array));
    array.dtype = "U2";
    CHECK(classes_refused(&array));
}

TEST(wide_texts_beyond_unicode_are_refused)
{
    static const char *const words[] = {"\0\0\x11\0", "\xFF\xFF\xFF\xFF", "\0\0\0\x80", "\0\0\0a"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const struct array_spec array = {.dtype = "U1", .shape = 1, .data = words[i], .size = 4};
        CHECK_MSG(classes_refused(&array), "word %zu", i);
    }
    const struct array_spec surrogate = {
        .dtype = "U1", .shape = 1, .data = "\0\xD8\0\0", .size = 4};
    struct pair pair = pair_good();
    pair_set_classes(&pair, &surrogate);
    CHECK(survived(&pair));
}

TEST(wide_texts_are_read_in_any_order)
{
    static const char ascending[] = "\xFF\xFF\0\0\0\0\x01\0"; /* descending in UTF-16 */
    struct array_spec array = {.dtype = "U1", .shape = 2, .data = ascending, .size = 8};
    struct pair pair = pair_good();
    pair_set_classes(&pair, &array);
    CHECK(open_pair(&pair));
    close_pair();
    static const char descending[] = "\0\0\x01\0\xFF\xFF\0\0";
    array.data = descending;
    pair = pair_good();
    pair_set_classes(&pair, &array);
    CHECK(open_pair(&pair));
    close_pair();
}

TEST(other_values_than_arrays_are_refused)
{
    static const struct opcodes values[] = {
        {BYTES("N")},
        {BYTES("K\001")},
        {BYTES("](G?\xE0\0\0\0\0\0\0G?\xE0\0\0\0\0\0\0e")},
        {BYTES("}")},
        {BYTES("X\002\0\0\0ab")},
        {BYTES("cnumpy\nndarray\n")},
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R")},
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R)b")},
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R(NNNNNtb")},
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R}b")},
        {BYTES("cnumpy._core.numeric\n_frombuffer\n)R")},
        {BYTES("cnumpy._core.numeric\n_frombuffer\n(NNNNtR")},
        {BYTES("cnumpy.core.multiarray\nscalar\n)R")},
        {BYTES("cnumpy\ndtype\nX\002\0\0\0f8\x85R")}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct pair pair = pair_good();
        part_set(&pair.mean, values[i].at, values[i].size);
        CHECK_MSG(refused(&pair, "mean_"), "value %zu", i);
        pair = pair_good();
        struct bytes classes = {0};
        bytes_add(&classes, values[i].at, values[i].size);
        bytes_free(&pair.encoders);
        pickle_encoder(&pair.encoders, "cate", &classes);
        CHECK_MSG(refused(&pair, "cate"), "value %zu", i);
        bytes_free(&classes);
    }
}

int main(void)
{
    RUN(a_hand_made_pair_is_read);
    RUN(every_spelling_of_the_same_doubles_is_read_right_or_refused);
    RUN(integers_are_numbers_of_a_scaler);
    RUN(wide_texts_keep_inner_zeros_and_lose_those_at_the_end);
    RUN(wide_texts_become_utf_8_of_every_length);
    RUN(two_columns_may_share_one_array);
    RUN(a_shape_unlike_the_data_is_refused);
    RUN(a_shape_that_is_not_of_one_dimension_is_refused);
    RUN(another_type_of_numbers_is_refused);
    RUN(another_type_of_texts_is_refused);
    RUN(a_dtype_with_another_state_is_refused);
    RUN(objects_that_are_neither_texts_nor_numbers_are_refused);
    RUN(text_in_place_of_the_bytes_is_refused);
    RUN(wide_texts_beyond_unicode_are_refused);
    RUN(wide_texts_are_read_in_any_order);
    RUN(other_values_than_arrays_are_refused);
    return test_report();
}
