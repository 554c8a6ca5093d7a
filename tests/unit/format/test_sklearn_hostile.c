/* SPDX-License-Identifier: Apache-2.0 */
/* test_sklearn_hostile.c: scalers and encoders that lie, and pairs that try to cost too much. */
#include "format/sklearn_file.h"

#include <stdlib.h>
#include <time.h>

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

static struct arena arena;
static struct bytes bytes;
static struct sklearn_file file;

static void close_pair(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

/* ---- scalers and encoders that lie */

TEST(an_impossible_number_of_columns_is_refused)
{
    static const long long widths[] = {0, 1, 3, -1, 1000000, INT32_MAX, (1LL << 32) + 2, INT64_MAX};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct pair pair = pair_good();
        bytes_free(&pair.width);
        pickle_int(&pair.width, widths[i]);
        CHECK_MSG(refused(&pair, "StandardScaler"), "%lld columns", widths[i]);
    }
    struct pair pair = pair_good();
    part_set(&pair.width, BYTES("X\001\0\0\0"
                                "2"));
    CHECK(refused(&pair, "n_features_in_"));
}

TEST(a_scaler_with_means_of_an_unknown_number_of_columns_is_refused)
{
    struct pair pair = pair_good();
    bytes_free(&pair.names);
    bytes_free(&pair.width);
    CHECK(refused(&pair, "StandardScaler"));
}

TEST(a_scale_that_cannot_divide_is_refused)
{
    static const uint64_t scales[] = {0,
                                      (uint64_t)1 << 63,
                                      (uint64_t)0x7FF << 52,
                                      (uint64_t)0xFFF << 52,
                                      (uint64_t)0x7FF8 << 48,
                                      UINT64_MAX};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        char data[16];
        memcpy(data, TWO_DOUBLES, sizeof data);
        put_u64((uint8_t *)data + 8, scales[i]);
        const struct array_spec array = {.dtype = "f8", .shape = 2, .data = data, .size = 16};
        struct pair pair = pair_good();
        part_set_array(&pair.scale, &array);
        CHECK_MSG(refused(&pair, "\"b\""), "scale %zu", i);
        if (i < 2)
            continue; /* a mean may be zero */
        pair = pair_good();
        part_set_array(&pair.mean, &array);
        CHECK_MSG(refused(&pair, "\"b\""), "mean %zu", i);
    }
}

TEST(a_column_twice_is_refused_or_the_last_one)
{
    struct pair pair = pair_good();
    struct bytes classes = {0};
    pickle_array(&classes, &array_objects);
    pickle_encoder(&pair.encoders, "cate", &classes);
    bytes_free(&classes);
    bytes = pair_pickle(&pair);
    arena_init(&arena, 1 << 20);
    struct format_error error;
    if (sklearn_file_read(&file, &arena, bytes.at, bytes.size, &error) == 0)
        CHECK(file.n_encoders == 1 && text_is(file.encoders[0].classes[1], "b"));
    else
        CHECK_MSG(strstr(error.message, "cate"), "%s", error.message);
    close_pair();
}

TEST(a_pair_whose_objects_have_no_state_is_refused)
{
    static const struct opcodes states[] = {{BYTES("")},
                                            {BYTES(")b")},
                                            {BYTES("Nb")},
                                            {BYTES("]b")},
                                            {BYTES("N}\x86"
                                                   "b")}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct bytes out = {0};
        pickle_proto(&out, 2);
        pickle_global(&out, "sklearn.preprocessing._data", "StandardScaler");
        bytes_add(&out, ")\x81", 2);
        bytes_add(&out, states[i].at, states[i].size);
        bytes_add(&out, "}\x86.", 3);
        CHECK_MSG(is_refused(read_as_sklearn_file, &out, "StandardScaler"), "state %zu", i);
        bytes_free(&out);

        struct pair pair = pair_good();
        bytes_free(&pair.encoders);
        pickle_text(&pair.encoders, "cate");
        pickle_global(&pair.encoders, "sklearn.preprocessing._label", "LabelEncoder");
        bytes_add(&pair.encoders, ")\x81", 2);
        bytes_add(&pair.encoders, states[i].at, states[i].size);
        CHECK_MSG(refused(&pair, "cate"), "state %zu", i);
    }
}

TEST(hostile_names_of_columns_cannot_break_the_message)
{
    static const char *const names[] = {"",       "a\nb",         "\033[2J\x7f",
                                        "%s%n%d", "\xE2\x82\xAC", "\"q\""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct pair pair = pair_good();
        struct bytes none = {0};
        pickle_op(&none, OP_NONE);
        pickle_encoder(&pair.encoders, names[i], &none);
        bytes_free(&none);
        CHECK_MSG(refused(&pair, "column"), "name %zu", i);
    }
    for (size_t length = 20; length < 100000; length = length * 5 / 3 + 1) {
        for (unsigned shift = 0; shift < 2; shift++) {
            struct bytes name = {0}; /* cut anywhere, the message stays UTF-8 */
            bytes_fill(&name, 'x', shift);
            for (size_t i = 0; i < length; i++)
                bytes_text(&name, "\xC3\xA9");
            bytes_u8(&name, 0);
            struct pair pair = pair_good();
            struct bytes none = {0};
            pickle_op(&none, OP_NONE);
            pickle_encoder(&pair.encoders, (const char *)name.at, &none);
            bytes_free(&none);
            bytes_free(&name);
            CHECK_MSG(refused(&pair, "column"), "%zu characters, shift %u", length, shift);
        }
    }
}

/* ---- cost */

static bool within_seconds(struct bytes *content, double limit)
{
    clock_t start = clock();
    bool result = is_survived(read_as_sklearn_file, content);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > limit)
        fprintf(stderr, "    took %.1f s\n", seconds);
    bytes_free(content);
    return result && seconds <= limit;
}

TEST(cycles_are_refused)
{
    static const struct opcodes arrays[] = {
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R\x94h\000b")},
        {BYTES("cnumpy.core.multiarray\n_reconstruct\n)R\x94(K\001K\001\x85h\000\x89h\000tb")},
        {BYTES("]\x94h\000"
               "a")},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        struct pair pair = pair_good();
        part_set(&pair.mean, arrays[i].at, arrays[i].size);
        CHECK_MSG(refused(&pair, "mean_"), "array %zu", i);
    }
    struct bytes list = {0};
    bytes_add(&list, BYTES("\x80\004]\x94h\000ah\000a.")); /* a pair of itself and itself */
    CHECK(is_refused(read_as_sklearn_file, &list, NULL));
    bytes_free(&list);
}

TEST(depth_is_refused)
{
    struct bytes deep = {0};
    pickle_proto(&deep, 2);
    pickle_op(&deep, OP_NONE);
    bytes_fill(&deep, OP_TUPLE1, 1000000);
    pickle_op(&deep, OP_STOP);
    CHECK(is_refused(read_as_sklearn_file, &deep, NULL));
    bytes_free(&deep);
}

TEST(many_columns_that_share_one_large_array_do_not_take_for_ever)
{
    enum { N_CLASSES = 60000, N_COLUMNS = 5000 };
    for (unsigned kind = 0; kind < 2; kind++) {
        struct bytes data = {0};
        if (kind == 0)
            bytes_add(&data, "](", 2);
        for (unsigned i = 0; i < N_CLASSES; i++) {
            char text[8];
            snprintf(text, sizeof text, "%05u", i);
            if (kind == 0)
                pickle_text(&data, text);
            else
                for (unsigned k = 0; k < 5; k++)
                    bytes_u32(&data, (uint8_t)text[k]);
        }
        if (kind == 0)
            bytes_add(&data, "e", 1);
        const struct array_spec array = {.dtype = kind == 0 ? "O8" : "U5",
                                         .shape = N_CLASSES,
                                         .data = (const char *)data.at,
                                         .size = data.size,
                                         .objects = kind == 0};
        struct pair pair = pair_good();
        pair_share_classes(&pair, &array, N_COLUMNS);
        bytes_free(&data);
        struct bytes content = pair_pickle(&pair);
        CHECK(within_seconds(&content, 5));
    }
}

TEST(many_columns_are_read_in_linear_time)
{
    enum { N = 50000 };
    struct pair pair = pair_good();
    struct bytes none = {0};
    pickle_array(&none, &array_objects);
    bytes_free(&pair.encoders);
    for (unsigned i = 0; i < N; i++) {
        char column[16];
        snprintf(column, sizeof column, "c%u", (i * 7919) % N);
        pickle_encoder(&pair.encoders, column, &none);
    }
    bytes_free(&none);
    struct bytes content = pair_pickle(&pair);
    CHECK(within_seconds(&content, 5));
}

int main(void)
{
    RUN(an_impossible_number_of_columns_is_refused);
    RUN(a_scaler_with_means_of_an_unknown_number_of_columns_is_refused);
    RUN(a_scale_that_cannot_divide_is_refused);
    RUN(a_column_twice_is_refused_or_the_last_one);
    RUN(a_pair_whose_objects_have_no_state_is_refused);
    RUN(hostile_names_of_columns_cannot_break_the_message);
    RUN(cycles_are_refused);
    RUN(depth_is_refused);
    RUN(many_columns_that_share_one_large_array_do_not_take_for_ever);
    RUN(many_columns_are_read_in_linear_time);
    return test_report();
}
