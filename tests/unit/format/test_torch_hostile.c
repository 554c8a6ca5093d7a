/* SPDX-License-Identifier: Apache-2.0 */
/* test_torch_hostile.c: state dicts that lie, and damaged files. */
#include "format/torch_file.h"

#include <stdlib.h>
#include <time.h>

#include "build.h"
#include "build_pickle.h"
#include "test.h"

#define GOLDEN "tests/golden/format/"

enum { STORED_BYTES = 96, N_STORED = 24 }; /* 24 floats */

static uint8_t stored[STORED_BYTES];

/* A tensor [2, 3] of the storage "0". */
static const struct tensor_spec good = {.name = "weight",
                                        .storage_type = "FloatStorage",
                                        .key = "0",
                                        .storage_elements = N_STORED,
                                        .n_dims = 2,
                                        .sizes = {2, 3},
                                        .strides = {3, 1}};

static bool pickle_is(bool (*verdict)(format_reader *, const struct bytes *), struct bytes *pickle)
{
    struct zip_image image;
    zip_image_torch(&image, pickle, stored, STORED_BYTES);
    bool result = verdict(read_as_torch_file, &image.bytes);
    zip_image_free(&image);
    bytes_free(pickle);
    return result;
}

/* The pickle in an archive; empties it. */
static bool pickle_refused(struct bytes *pickle, const char *needle)
{
    struct zip_image image;
    zip_image_torch(&image, pickle, stored, STORED_BYTES);
    bool result = is_refused(read_as_torch_file, &image.bytes, needle);
    zip_image_free(&image);
    bytes_free(pickle);
    return result;
}

static bool tensor_refused(struct tensor_spec tensor, const char *needle)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &tensor, 1);
    return pickle_refused(&pickle, needle);
}

static bool tensor_read(struct tensor_spec tensor)
{
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, &tensor, 1);
    return pickle_is(is_read, &pickle);
}

/* ---- tensors that lie */

TEST(a_tensor_that_reaches_beyond_its_storage_is_refused_naming_it)
{
    static const struct {
        long long offset;
        unsigned n_dims;
        long long sizes[4], strides[4];
    } cases[] = {
        {19, 2, {2, 3}, {3, 1}}, /* the last element is 24 */
        {24, 0, {0}, {0}},
        {0, 1, {25}, {1}},
        {23, 1, {2}, {1}},
        {0, 2, {2, 3}, {22, 1}},
        {0, 2, {2, 3}, {3, 11}},
        {0, 4, {2, 2, 2, 2}, {12, 6, 3, 3}},
        {-1, 2, {2, 3}, {3, 1}},
        {5, 2, {2, 3}, {-3, 1}},
        {5, 2, {2, 3}, {3, -1}},
        {0, 2, {-2, -3}, {3, 1}},
        {0, 2, {-1, 3}, {3, 1}},
        {INT64_MAX, 2, {2, 3}, {3, 1}},
        {INT64_MIN, 2, {2, 3}, {3, 1}},
        {(long long)1 << 62, 2, {2, 3}, {3, 1}}, /* times four, 0 in 64 bits */
        {0, 1, {INT64_MAX}, {1}},
        {0, 1, {2}, {INT64_MAX}},
        {0, 1, {3}, {INT64_MAX}},
        {0, 1, {5}, {(long long)1 << 62}}, /* four strides: 0 in 64 bits */
        {1, 2, {2, 2}, {INT64_MAX, INT64_MAX}},
        {3, 2, {2, 2}, {INT64_MAX, INT64_MAX}}, /* 1 in 64 bits */
        {0, 2, {1, 3}, {-3, 1}},
        {0, 2, {0, -3}, {3, 1}},
        {0, 2, {(long long)1 << 32, (long long)1 << 32}, {0, 0}}, /* 0 elements in 64 bits */
        {0, 2, {(long long)1 << 32, ((long long)1 << 32) + 1}, {0, 0}},
        {0, 4, {1 << 16, 1 << 16, 1 << 16, 1 << 16}, {0, 0, 0, 0}},
        {0, 3, {(long long)1 << 62, 2, 2}, {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tensor_spec tensor = good;
        tensor.offset = cases[i].offset;
        tensor.n_dims = cases[i].n_dims;
        memcpy(tensor.sizes, cases[i].sizes, sizeof cases[i].sizes);
        memcpy(tensor.strides, cases[i].strides, sizeof cases[i].strides);
        CHECK_MSG(tensor_refused(tensor, "weight"), "case %zu", i);
    }
}

TEST(a_tensor_to_the_end_of_its_storage_is_read)
{
    struct tensor_spec tensor = good;
    tensor.offset = 18;
    CHECK(tensor_read(tensor));
    tensor.offset = 23;
    tensor.n_dims = 0;
    CHECK(tensor_read(tensor));
    tensor = good;
    tensor.strides[0] = 21;
    CHECK(tensor_read(tensor));
}

/* The tensor's seven arguments, `which` of them replaced. */
static struct bytes with_argument(unsigned which, const void *at, size_t size)
{
    struct bytes bytes = {0};
    pickle_proto(&bytes, 2);
    pickle_empty_ordered_dict(&bytes);
    pickle_text(&bytes, "weight");
    pickle_global(&bytes, "torch._utils", "_rebuild_tensor_v2");
    pickle_op(&bytes, OP_MARK);
    for (unsigned i = 0; i < 6; i++) {
        if (i == which)
            bytes_add(&bytes, at, size);
        else if (i == 0)
            pickle_storage(&bytes, &good);
        else if (i == 1)
            pickle_int(&bytes, 0);
        else if (i == 2)
            pickle_int_tuple(&bytes, good.sizes, 2);
        else if (i == 3)
            pickle_int_tuple(&bytes, good.strides, 2);
        else if (i == 4)
            pickle_op(&bytes, OP_NEWFALSE);
        else
            pickle_empty_ordered_dict(&bytes);
    }
    pickle_op(&bytes, OP_TUPLE);
    pickle_op(&bytes, OP_REDUCE);
    pickle_op(&bytes, OP_SETITEM);
    pickle_op(&bytes, OP_STOP);
    return bytes;
}

TEST(a_tensor_with_arguments_of_other_kinds_is_refused_naming_it)
{
    static const struct opcodes others[] = {
        {BYTES("N")},
        {BYTES("\x88")},
        {BYTES("G\0\0\0\0\0\0\0\0")},
        {BYTES("X\001\0\0\0x")},
        {BYTES("C\001x")},
        {BYTES("]")},
        {BYTES("}")},
        {BYTES("X\007\0\0\0storageQ")},
        {BYTES("X\007\0\0\0storage\x85Q")},
        {BYTES(")Q")},
        {BYTES("K\001K\002\x86")},
        {BYTES("NN\x86")},
        {BYTES("K\001N\x86")},
        {BYTES("K\001\x85")},
        {BYTES(")")},
        {BYTES("K\001K\001K\001\x87")},
        {BYTES("ccollections\nOrderedDict\n)R")},
        {BYTES("ctorch\nFloatStorage\n")},
    };
    for (unsigned which = 0; which < 4; which++) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            if (which >= 2 && strcmp(others[i].at, "K\001K\002\x86") == 0)
                continue; /* a good tuple of two */
            struct bytes pickle = with_argument(which, others[i].at, others[i].size);
            CHECK_MSG(pickle_refused(&pickle, "weight"), "argument %u, case %zu", which, i);
        }
        struct bytes pickle = with_argument(which, "", 0); /* left out */
        CHECK_MSG(pickle_refused(&pickle, "weight"), "argument %u", which);
    }
}

TEST(a_storage_described_in_another_way_is_refused)
{
    static const struct opcodes ids[] = {
        {BYTES("(X\006\0\0\0modulectorch\nFloatStorage\nX\001\0\0\0"
               "0X\003\0\0\0cpuK\x18tQ")},
        {BYTES("(X\007\0\0\0storagecnumpy\nndarray\nX\001\0\0\0"
               "0X\003\0\0\0cpuK\x18tQ")},
        {BYTES("(X\007\0\0\0storageX\001\0\0\0fX\001\0\0\0"
               "0X\003\0\0\0cpuK\x18tQ")},
        {BYTES("(X\007\0\0\0storagectorch\nFloatStorage\nK\000X\003\0\0\0cpuK\x18tQ")},
        {BYTES("(X\007\0\0\0storagectorch\nFloatStorage\nX\001\0\0\0"
               "0X\003\0\0\0cpuNtQ")},
        {BYTES("(X\007\0\0\0storagectorch\nFloatStorage\nX\001\0\0\0"
               "0X\003\0\0\0cputQ")},
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct bytes pickle = with_argument(0, ids[i].at, ids[i].size);
        CHECK_MSG(pickle_refused(&pickle, NULL), "case %zu", i);
    }
}

TEST(a_tensor_with_unlike_sizes_and_strides_is_refused)
{
    struct bytes pickle = with_argument(3, "K\001\x85", 3);
    CHECK(pickle_refused(&pickle, "weight"));
    pickle = with_argument(2, "K\002\x85", 3);
    CHECK(pickle_refused(&pickle, "weight"));
    pickle = with_argument(2, ")", 1);
    CHECK(pickle_refused(&pickle, "weight"));
}

/* ---- dicts that lie */

TEST(a_name_twice_is_refused_or_the_last_one)
{
    struct tensor_spec tensors[2] = {good, good};
    tensors[1].offset = 6;
    struct bytes pickle = {0};
    pickle_state_dict(&pickle, tensors, 2);
    struct zip_image image;
    zip_image_torch(&image, &pickle, stored, STORED_BYTES);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct tensor_list file;
    struct format_error error;
    if (torch_file_read(&file, &arena, image.bytes.at, image.bytes.size, NULL, &error) == 0) {
        CHECK(file.n_tensors == 1);
        CHECK(file.tensors[0].data == image.bytes.at + image.entries[2].data + 6 * 4);
    } else {
        CHECK_MSG(strstr(error.message, "weight"), "%s", error.message);
    }
    arena_free(&arena);
    zip_image_free(&image);
    bytes_free(&pickle);
}

TEST(a_value_that_is_no_tensor_is_refused_naming_its_key)
{
    static const struct opcodes values[] = {
        {BYTES("N")},
        {BYTES("K\003")},
        {BYTES("]")},
        {BYTES("}")},
        {BYTES(")")},
        {BYTES("X\001\0\0\0x")},
        {BYTES("cnumpy\nndarray\n")},
        {BYTES("ctorch._utils\n_rebuild_tensor_v2\n")},
        {BYTES("ctorch._utils\n_rebuild_tensor_v2\n)R")},
        {BYTES("ctorch._utils\n_rebuild_parameter\n)R")},
        {BYTES("ctorch._utils\n_rebuild_parameter\nN\x85R")},
        {BYTES("ctorch._utils\n_rebuild_parameter\n]\x88}\x87R")},
        {BYTES("ccollections\nOrderedDict\n)R")}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct bytes pickle = {0};
        pickle_proto(&pickle, 2);
        pickle_op(&pickle, OP_EMPTY_DICT);
        pickle_text(&pickle, "the key");
        bytes_add(&pickle, values[i].at, values[i].size);
        pickle_op(&pickle, OP_SETITEM);
        pickle_op(&pickle, OP_STOP);
        CHECK_MSG(pickle_refused(&pickle, "the key"), "case %zu", i);
    }
}

TEST(a_dict_within_itself_is_refused)
{
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    pickle_empty_ordered_dict(&pickle);
    pickle_put(&pickle, 0);
    pickle_text(&pickle, "itself");
    pickle_get_slot(&pickle, 0);
    pickle_op(&pickle, OP_SETITEM);
    pickle_op(&pickle, OP_STOP);
    CHECK(pickle_refused(&pickle, "itself"));
}

TEST(parameters_of_parameters_without_end_are_survived)
{
    enum { DEPTH = 200000 };
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    pickle_op(&pickle, OP_EMPTY_DICT);
    pickle_text(&pickle, "deep");
    pickle_global(&pickle, "torch._utils", "_rebuild_parameter");
    pickle_put(&pickle, 0);
    for (unsigned i = 1; i < DEPTH; i++)
        pickle_get_slot(&pickle, 0);
    pickle_tensor(&pickle, &good);
    for (unsigned i = 0; i < DEPTH; i++) {
        pickle_op(&pickle, OP_TUPLE1);
        pickle_op(&pickle, OP_REDUCE);
    }
    pickle_op(&pickle, OP_SETITEM);
    pickle_op(&pickle, OP_STOP);
    CHECK(pickle_is(is_survived, &pickle));
}

TEST(hostile_names_of_tensors_cannot_break_the_message)
{
    static const char *const names[] = {
        "",
        "a\nb",
        "\033[2J\x7f",
        "%s%n%d",
        "\xE2\x82\xAC\xE2\x82\xAC",
        "\"quoted\"",
        "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
        "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
        "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tensor_spec tensor = good;
        tensor.storage_elements = 1;
        tensor.name = names[i];
        CHECK_MSG(tensor_refused(tensor, NULL), "name %zu", i);
    }
    for (size_t length = 50; length < 100000; length = length * 5 / 3) {
        char *name = malloc(length + 2);
        for (size_t i = 0; i <= length; i++)
            name[i] = i < length % 2 ? 'x' : "\xC3\xA9"[(i - length % 2) % 2];
        name[length + 1 - (length + 1 - length % 2) % 2] = '\0';
        struct tensor_spec tensors[2] = {good, good};
        tensors[0].name = tensors[1].name = name;
        struct bytes pickle = {0};
        pickle_state_dict(&pickle, tensors, 2); /* twice */
        CHECK_MSG(pickle_is(is_survived, &pickle), "%zu bytes", length);
        tensors[0].storage_elements = 1;
        pickle_state_dict(&pickle, tensors, 1);
        CHECK_MSG(pickle_refused(&pickle, NULL), "%zu bytes", length);
        free(name);
    }
}

TEST(many_tensors_of_one_storage_are_read_in_linear_time)
{
    enum { N = 20000, SIZE = 4 * 1024 * 1024 };
    uint8_t *storage = calloc(1, SIZE);
    struct bytes pickle = {0};
    pickle_proto(&pickle, 2);
    pickle_op(&pickle, OP_EMPTY_DICT);
    pickle_op(&pickle, OP_MARK);
    for (unsigned i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", (i * 7919) % N);
        struct tensor_spec tensor = good;
        tensor.name = name;
        tensor.storage_elements = SIZE / 4;
        pickle_text(&pickle, name);
        pickle_tensor(&pickle, &tensor);
    }
    pickle_op(&pickle, OP_SETITEMS);
    pickle_op(&pickle, OP_STOP);
    struct zip_image image;
    zip_image_start(&image, ZIP_TORCH);
    zip_image_add(&image, "m/data.pkl", pickle.at, pickle.size);
    zip_image_add(&image, "m/data/0", storage, SIZE);
    zip_image_finish(&image);
    clock_t start = clock();
    CHECK(is_read(read_as_torch_file, &image.bytes));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK_MSG(seconds < 5, "%.1f s", seconds);
    zip_image_free(&image);
    bytes_free(&pickle);
    free(storage);
}

/* ---- damage of any kind */

TEST(a_cut_file_is_refused_at_every_length)
{
    struct bytes bytes = bytes_of_file(GOLDEN "small.pth");
    CHECK(every_cut_is_refused(read_as_torch_file, &bytes));
    bytes_free(&bytes);
}

/* Same names, types, shapes and elements. */
static bool same_tensors(const struct tensor_list *a, const struct tensor_list *b)
{
    if (a->n_tensors != b->n_tensors)
        return false;
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct tensor *left = &a->tensors[i], *right = &b->tensors[i];
        if (!text_equal(left->name, right->name) || left->dtype != right->dtype ||
            left->n_dims != right->n_dims || left->n_elements != right->n_elements ||
            memcmp(left->sizes, right->sizes, left->n_dims * sizeof left->sizes[0]) != 0)
            return false;
        float out[2][64];
        if (left->n_elements > 64)
            return false;
        tensor_copy_f32(left, out[0]);
        tensor_copy_f32(right, out[1]);
        if (memcmp(out[0], out[1], left->n_elements * sizeof out[0][0]) != 0)
            return false;
    }
    return true;
}

TEST(any_flipped_byte_is_refused_or_gives_the_same_tensors)
{
    struct bytes bytes = bytes_of_file(GOLDEN "small.pth");
    struct arena arena, other_arena;
    arena_init(&arena, 1 << 20);
    arena_init(&other_arena, 1 << 20);
    struct tensor_list expected, found;
    struct format_error error;
    CHECK(torch_file_read(&expected, &arena, bytes.at, bytes.size, NULL, &error) == 0);
    unsigned n_wrong = 0, n_read = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            if (mask != 0xFF && mask & (mask - 1))
                continue; /* one bit, or all */
            uint8_t *copy = malloc(bytes.size);
            memcpy(copy, bytes.at, bytes.size);
            copy[i] ^= (uint8_t)mask;
            bool good_one = true;
            if (torch_file_read(&found, &other_arena, copy, bytes.size, NULL, &error) == 0) {
                good_one = same_tensors(&expected, &found);
                n_read++;
            } else {
                good_one = is_one_line(&error);
            }
            if (!good_one && n_wrong++ < 5)
                fprintf(stderr, "    byte %zu with 0x%02x flipped: %s\n", i, mask, error.message);
            free(copy);
            arena_reset(&other_arena, 1 << 20);
        }
    }
    CHECK_MSG(n_wrong == 0, "%u of %zu flips", n_wrong, 9 * bytes.size);
    CHECK(n_read > 0); /* the padding may change */
    arena_free(&arena);
    arena_free(&other_arena);
    bytes_free(&bytes);
}

TEST(some_flipped_bytes_of_the_demo_weights_are_survived)
{
    struct bytes bytes = bytes_of_file("model/model_weights.pth");
    for (size_t i = 0; i < bytes.size; i += 4999) {
        bytes.at[i] ^= 0x40;
        CHECK(is_survived(read_as_torch_file, &bytes));
        bytes.at[i] ^= 0x40;
    }
    bytes_free(&bytes);
}

TEST(running_out_of_memory_refuses_the_file)
{
    struct bytes bytes = bytes_of_file(GOLDEN "small.pth");
    CHECK(running_out_of_memory_is_refused(read_as_torch_file, &bytes));
    bytes_free(&bytes);
}

int main(void)
{
    RUN(a_tensor_that_reaches_beyond_its_storage_is_refused_naming_it);
    RUN(a_tensor_to_the_end_of_its_storage_is_read);
    RUN(a_tensor_with_arguments_of_other_kinds_is_refused_naming_it);
    RUN(a_storage_described_in_another_way_is_refused);
    RUN(a_tensor_with_unlike_sizes_and_strides_is_refused);
    RUN(a_name_twice_is_refused_or_the_last_one);
    RUN(a_value_that_is_no_tensor_is_refused_naming_its_key);
    RUN(a_dict_within_itself_is_refused);
    RUN(parameters_of_parameters_without_end_are_survived);
    RUN(hostile_names_of_tensors_cannot_break_the_message);
    RUN(many_tensors_of_one_storage_are_read_in_linear_time);
    RUN(a_cut_file_is_refused_at_every_length);
    RUN(any_flipped_byte_is_refused_or_gives_the_same_tensors);
    RUN(some_flipped_bytes_of_the_demo_weights_are_survived);
    RUN(running_out_of_memory_refuses_the_file);
    return test_report();
}
