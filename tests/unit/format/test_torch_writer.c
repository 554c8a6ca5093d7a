/* SPDX-License-Identifier: Apache-2.0 */
/* test_torch_writer.c: state dicts that torch_file.h reads as they were written. */
#include "format/torch_writer.h"

#include <stdlib.h>

#include "build.h"
#include "format/torch_file.h"
#include "test.h"

enum { ARENA_BYTES = 16 << 20, N_VALUES = 70000 };

static float values[N_VALUES];

static void fill_values(void)
{
    uint32_t bits = 1;
    for (size_t i = 0; i < N_VALUES; i++) {
        bits = bits * 1664525 + 1013904223;
        memcpy(&values[i], &bits, sizeof bits); /* any bits: NaN and infinity are values, too */
    }
}

static struct tensor tensor_of(const char *name, unsigned n_dims, uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = text_of(name),
                           .n_dims = n_dims,
                           .sizes = {rows, columns},
                           .n_elements = n_dims == 2 ? rows * columns : rows,
                           .data = (const uint8_t *)values};
}

/* The file's bytes. */
static struct bytes written(const struct tensor_list *list)
{
    char *at = NULL;
    size_t size = 0;
    struct bytes bytes = {0};
    struct format_error error = {0};
    FILE *stream = open_memstream(&at, &size);
    CHECK_MSG(stream && torch_write(stream, list, &error) == 0, "%s", error.message);
    fclose(stream);
    bytes_add(&bytes, at, size);
    free(at);
    return bytes;
}

static bool is_same(const struct tensor *a, const struct tensor *b)
{
    return text_equal(a->name, b->name) && b->dtype == TENSOR_F32 && a->n_dims == b->n_dims &&
           memcmp(a->sizes, b->sizes, a->n_dims * sizeof *a->sizes) == 0 &&
           a->n_elements == b->n_elements && tensor_is_contiguous(b) &&
           memcmp(a->data, b->data, a->n_elements * sizeof(float)) == 0;
}

static void check_round_trip(const struct tensor_list *list)
{
    struct arena arena;
    struct tensor_list found = {0};
    struct format_error error = {0};
    struct bytes bytes = written(list);
    arena_init(&arena, ARENA_BYTES);
    const int status = torch_file_read(&found, &arena, bytes.at, bytes.size, NULL, &error);
    CHECK_MSG(status == 0, "%s", error.message);
    CHECK(status == 0 && found.n_tensors == list->n_tensors);
    for (size_t i = 0; i < list->n_tensors && i < found.n_tensors; i++) {
        CHECK_MSG(is_same(&list->tensors[i], &found.tensors[i]), "tensor %zu", i);
        CHECK((found.tensors[i].data - bytes.at) % 64 == 0);
    }
    arena_free(&arena);
    bytes_free(&bytes);
}

TEST(tensors_come_back_bit_for_bit)
{
    struct tensor tensors[] = {
        tensor_of("embeddings.0.weight", 2, 8750, 8), /* shapes of one, two and four bytes */
        tensor_of("embeddings.1.weight", 2, 300, 8),
        tensor_of("dnn.0.bias", 1, 128, 0),
        tensor_of("output.weight", 2, 1, 193),
        tensor_of("output.bias", 1, 1, 0),
        tensor_of("no.elements", 2, 0, 8),
        tensor_of("gr\xC3\xBCn", 1, N_VALUES, 0),
    };
    check_round_trip(
        &(struct tensor_list){.tensors = tensors, .n_tensors = sizeof tensors / sizeof *tensors});
}

TEST(a_scalar_and_four_dimensions_come_back)
{
    struct tensor scalar = {.name = text_of("s"), .n_elements = 1, .data = (const uint8_t *)values};
    struct tensor deep = {.name = text_of("d"),
                          .n_dims = 4,
                          .sizes = {2, 3, 5, 7},
                          .n_elements = 210,
                          .data = (const uint8_t *)values};
    struct tensor tensors[] = {scalar, deep};
    check_round_trip(&(struct tensor_list){.tensors = tensors, .n_tensors = 2});
}

TEST(no_tensors_and_many_come_back)
{
    enum { N = 1500 };
    static struct tensor tensors[N];
    static char names[N][16];
    for (size_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "layer.%zu", i);
        tensors[i] = tensor_of(names[i], 1, i % 50, 0);
    }
    check_round_trip(&(struct tensor_list){.tensors = tensors, .n_tensors = 0});
    check_round_trip(&(struct tensor_list){.tensors = tensors, .n_tensors = N});
}

TEST(equal_tensors_give_equal_bytes)
{
    struct tensor tensors[] = {tensor_of("a", 2, 30, 8), tensor_of("b", 1, 30, 0)};
    const struct tensor_list list = {.tensors = tensors, .n_tensors = 2};
    struct bytes first = written(&list), second = written(&list);
    CHECK(first.size == second.size && memcmp(first.at, second.at, first.size) == 0);
    bytes_free(&first);
    bytes_free(&second);
}

TEST(a_cut_file_is_refused)
{
    struct tensor tensors[] = {tensor_of("a", 2, 3, 2), tensor_of("b", 1, 3, 0)};
    struct bytes bytes = written(&(struct tensor_list){.tensors = tensors, .n_tensors = 2});
    CHECK(is_read(read_as_torch_file, &bytes));
    CHECK(every_cut_is_refused(read_as_torch_file, &bytes));
    bytes_free(&bytes);
}

TEST(a_full_disk_is_an_error)
{
    struct tensor tensors[] = {tensor_of("a", 1, N_VALUES, 0)};
    struct format_error error = {0};
    FILE *full = fopen("/dev/full", "w");
    CHECK(torch_write(full, &(struct tensor_list){.tensors = tensors, .n_tensors = 1}, &error) ==
          -1);
    CHECK_MSG(strcmp(error.message, "cannot be written: No space left on device") == 0, "%s",
              error.message);
    fclose(full);
}

int main(void)
{
    fill_values();
    RUN(tensors_come_back_bit_for_bit);
    RUN(a_scalar_and_four_dimensions_come_back);
    RUN(no_tensors_and_many_come_back);
    RUN(equal_tensors_give_equal_bytes);
    RUN(a_cut_file_is_refused);
    RUN(a_full_disk_is_an_error);
    return test_report();
}
