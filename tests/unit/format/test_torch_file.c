/* SPDX-License-Identifier: Apache-2.0 */
/* test_torch_file.c: state dicts that are read, against PyTorch's own values of them. */
#include "format/torch_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "build.h"
#include "test.h"

#define GOLDEN "tests/golden/format/"

static struct arena arena;
static struct bytes bytes;
static struct tensor_list file;
static struct format_error error;

static void close_file(void)
{
    arena_free(&arena);
    bytes_free(&bytes);
}

static bool open_file(const char *path)
{
    close_file();
    arena_init(&arena, 64 * 1024 * 1024);
    bytes = bytes_of_file(path);
    error.message[0] = '\0';
    return torch_file_read(&file, &arena, bytes.at, bytes.size, NULL, &error) == 0;
}

static const char *const dtype_names[] = {
    [TENSOR_F32] = "f32", [TENSOR_F64] = "f64", [TENSOR_F16] = "f16", [TENSOR_BF16] = "bf16"};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Exactly n_elements floats on the heap, so that a sanitizer sees one too many. */
static float *copy_f32(const struct tensor *tensor)
{
    float *out = malloc(tensor->n_elements ? tensor->n_elements * sizeof *out : 1);
    tensor_copy_f32(tensor, out);
    return out;
}

/* The head of a tensor in an .expected file: "NAME DTYPE SIZE ..". */
static bool has_head(const struct tensor *tensor, char *head)
{
    char *at = strtok(head, " \n");
    if (at == NULL || !text_is(tensor->name, at))
        return false;
    at = strtok(NULL, " \n");
    if (at == NULL || strcmp(at, dtype_names[tensor->dtype]) != 0)
        return false;
    unsigned n_dims = 0;
    uint64_t n_elements = 1;
    while ((at = strtok(NULL, " \n")) != NULL) {
        uint64_t size = strtoull(at, NULL, 10);
        if (n_dims == tensor->n_dims || tensor->sizes[n_dims++] != size)
            return false;
        n_elements *= size;
    }
    return n_dims == tensor->n_dims && n_elements == tensor->n_elements;
}

/* The open file holds what GOLDEN "NAME.expected" says, in its order, bit by bit. */
static bool is_as_expected(const char *path)
{
    FILE *expected = fopen(path, "r");
    if (expected == NULL) {
        fprintf(stderr, "    %s is missing\n", path);
        return false;
    }
    char line[256];
    size_t n_tensors = 0, n_left = 0;
    float *values = NULL;
    uint64_t at = 0;
    bool good = true;
    while (good && fgets(line, sizeof line, expected)) {
        const struct tensor *tensor = n_tensors ? &file.tensors[n_tensors - 1] : NULL;
        if (strncmp(line, "tensor ", 7) == 0) {
            good = n_left == 0 && n_tensors < file.n_tensors;
            if (!good)
                break;
            tensor = &file.tensors[n_tensors++];
            good = has_head(tensor, line + 7);
            free(values);
            values = copy_f32(tensor);
            n_left = tensor->n_elements;
            at = 0;
        } else if (strncmp(line, "crc ", 4) == 0 && tensor) {
            uLong sum = crc32_z(0, (const Bytef *)values, n_left * sizeof *values);
            good = sum == strtoul(line + 4, NULL, 16);
            n_left = 0;
        } else {
            good = n_left > 0 && bits_of(values[at]) == strtoul(line, NULL, 16);
            n_left--;
            at++;
        }
    }
    if (!good || n_left || n_tensors != file.n_tensors)
        fprintf(stderr, "    %s: tensor %zu of %zu, element %" PRIu64 ", line %s\n", path,
                n_tensors, file.n_tensors, at, line);
    good = good && n_left == 0 && n_tensors == file.n_tensors;
    free(values);
    fclose(expected);
    return good;
}

static void check_golden(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.pth", name);
    bool opened = open_file(path);
    CHECK_MSG(opened, "%s: %s", path, error.message);
    snprintf(path, sizeof path, GOLDEN "%s.expected", name);
    if (opened)
        CHECK(is_as_expected(path));
    close_file();
}

/* ---- what torch.save() writes */

TEST(a_state_dict_is_read)
{
    check_golden("small");
}

TEST(the_pickle_protocol_makes_no_difference)
{
    check_golden("small_p3");
    check_golden("small_p4");
    check_golden("small_p5");
}

TEST(a_plain_dict_is_read)
{
    check_golden("plain_dict");
}

TEST(parameters_are_read_as_their_tensors)
{
    check_golden("parameters");
}

TEST(views_are_read_in_row_major_order)
{
    check_golden("views");
}

TEST(a_tensor_under_two_names_is_read_twice)
{
    check_golden("tied");
}

TEST(half_brain_and_double_precision_become_single_as_in_pytorch)
{
    check_golden("dtypes");
}

TEST(names_may_be_any_unicode)
{
    check_golden("unicode_names");
}

TEST(a_negated_view_is_refused_or_negated)
{
    if (open_file(GOLDEN "negative_bit.pth"))
        CHECK(is_as_expected(GOLDEN "negative_bit.expected"));
    else
        CHECK_MSG(strstr(error.message, "negative"), "%s", error.message);
    close_file();
}

TEST(a_tensor_without_elements_is_refused_or_empty)
{
    if (open_file(GOLDEN "empty.pth")) {
        const struct tensor *empty = tensor_find(&file, "empty");
        CHECK(empty && empty->n_elements == 0 && empty->n_dims == 2 && empty->sizes[1] == 3);
        const struct tensor *after = tensor_find(&file, "after");
        CHECK(after && after->n_elements == 2);
        if (empty)
            free(copy_f32(empty));
    } else {
        CHECK_MSG(strstr(error.message, "empty"), "%s", error.message);
    }
    close_file();
}

TEST(the_demo_weights_are_read)
{
    bool opened = open_file("model/model_weights.pth");
    CHECK_MSG(opened, "%s", error.message);
    CHECK(opened && is_as_expected(GOLDEN "demo_weights.expected"));
    close_file();
}

TEST(the_weights_of_the_paper_are_read)
{
    bool opened = open_file("tests/golden/paper/model_weights.pth");
    CHECK_MSG(opened, "%s", error.message);
    CHECK(opened && is_as_expected(GOLDEN "paper_weights.expected"));
    close_file();
}

TEST(weights_are_not_copied_when_read)
{
    CHECK(open_file("model/model_weights.pth"));
    CHECK_MSG(arena.used_bytes < 200 * 1024, "%zu bytes for 280 kB of weights", arena.used_bytes);
    for (size_t i = 0; i < file.n_tensors; i++)
        CHECK(file.tensors[i].data >= bytes.at && file.tensors[i].data < bytes.at + bytes.size);
    close_file();
}

/* ---- looking up */

TEST(tensors_are_found_by_their_whole_name)
{
    CHECK(open_file("model/model_weights.pth"));
    const struct tensor *found = tensor_find(&file, "embeddings.1.weight");
    CHECK(found && text_is(found->name, "embeddings.1.weight"));
    CHECK(found && found->n_dims == 2 && found->sizes[0] == 96 && found->sizes[1] == 8);
    CHECK(tensor_find(&file, "output.bias") == &file.tensors[file.n_tensors - 1]);
    static const char *const others[] = {"",       "embeddings.1",        "embeddings.1.weightx",
                                         "weight", "Embeddings.1.weight", "_metadata"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK_MSG(tensor_find(&file, others[i]) == NULL, "'%s'", others[i]);
    close_file();
}

/* ---- elements */

static float half_by_hand(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023;
    double value = exponent == 0    ? ldexp(fraction, -24)
                   : exponent == 31 ? (fraction == 0 ? HUGE_VAL : NAN)
                                    : ldexp(1024 + fraction, exponent - 25);
    return (float)(bits & 0x8000 ? -value : value);
}

TEST(every_half_precision_number_is_widened)
{
    uint8_t *data = malloc(2 * 65536);
    for (unsigned i = 0; i < 65536; i++)
        put_u16(data + 2 * i, i);
    struct tensor tensor = {.dtype = TENSOR_F16, .n_dims = 1, .sizes = {65536}, .strides = {1}};
    tensor.n_elements = 65536;
    tensor.data = data;
    float *out = copy_f32(&tensor);
    unsigned n_wrong = 0;
    for (unsigned i = 0; i < 65536; i++) {
        float expected = half_by_hand(i);
        if (isnan(expected) ? !isnan(out[i]) : bits_of(out[i]) != bits_of(expected))
            n_wrong++;
    }
    CHECK_MSG(n_wrong == 0, "%u numbers", n_wrong);
    free(out);
    free(data);
}

TEST(every_bfloat16_number_is_widened)
{
    uint8_t *data = malloc(2 * 65536);
    for (unsigned i = 0; i < 65536; i++)
        put_u16(data + 2 * i, i);
    struct tensor tensor = {.dtype = TENSOR_BF16, .n_dims = 1, .sizes = {65536}, .strides = {1}};
    tensor.n_elements = 65536;
    tensor.data = data;
    float *out = copy_f32(&tensor);
    unsigned n_wrong = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        bool nan = (i & 0x7F80) == 0x7F80 && (i & 0x7F);
        if (nan ? !isnan(out[i]) : bits_of(out[i]) != i << 16)
            n_wrong++;
    }
    CHECK_MSG(n_wrong == 0, "%u numbers", n_wrong);
    free(out);
    free(data);
}

TEST(infinities_and_nan_survive_each_type)
{
    static const struct {
        enum tensor_dtype dtype;
        unsigned width;
        uint64_t infinity, nan;
    } cases[] = {{TENSOR_F32, 4, 0x7F800000, 0x7FC00000},
                 {TENSOR_F64, 8, (uint64_t)0x7FF << 52, (uint64_t)0x7FF8 << 48},
                 {TENSOR_F16, 2, 0x7C00, 0x7E00},
                 {TENSOR_BF16, 2, 0x7F80, 0x7FC0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *data = malloc(2 * cases[i].width);
        for (unsigned k = 0; k < cases[i].width; k++) {
            data[k] = (uint8_t)(cases[i].infinity >> 8 * k);
            data[cases[i].width + k] = (uint8_t)(cases[i].nan >> 8 * k);
        }
        struct tensor tensor = {.dtype = cases[i].dtype, .n_dims = 1, .sizes = {2}};
        tensor.strides[0] = 1;
        tensor.n_elements = 2;
        tensor.data = data;
        float *out = copy_f32(&tensor);
        CHECK(isinf(out[0]) && out[0] > 0);
        CHECK(isnan(out[1]));
        free(out);
        free(data);
    }
}

TEST(unaligned_elements_are_read)
{
    static const unsigned widths[] = {
        [TENSOR_F32] = 4, [TENSOR_F64] = 8, [TENSOR_F16] = 2, [TENSOR_BF16] = 2};
    for (unsigned dtype = TENSOR_F32; dtype <= TENSOR_BF16; dtype++) {
        for (unsigned shift = 1; shift < 8; shift++) {
            uint8_t *data = malloc(shift + 6 * widths[dtype]);
            memset(data, 0, shift + 6 * widths[dtype]);
            struct tensor tensor = {.dtype = (enum tensor_dtype)dtype, .n_dims = 2};
            tensor.sizes[0] = 3, tensor.sizes[1] = 2;
            tensor.strides[0] = 1, tensor.strides[1] = 3; /* transposed */
            tensor.n_elements = 6;
            tensor.data = data + shift;
            float *out = copy_f32(&tensor);
            for (unsigned i = 0; i < 6; i++)
                CHECK(bits_of(out[i]) == 0);
            free(out);
            free(data);
        }
    }
}

TEST(columns_of_a_tensor_are_a_view_of_it)
{
    float numbers[4 * 5];
    for (unsigned i = 0; i < 20; i++)
        numbers[i] = (float)i;
    struct tensor tensor = {.dtype = TENSOR_F32, .n_dims = 2, .sizes = {4, 5}, .strides = {5, 1}};
    tensor.n_elements = 20;
    tensor.data = (const uint8_t *)numbers;
    for (unsigned first = 0; first < 5; first++) {
        for (unsigned n = 1; first + n <= 5; n++) {
            struct tensor view = tensor_columns(&tensor, first, n);
            CHECK(view.n_dims == 2 && view.sizes[0] == 4 && view.sizes[1] == n);
            CHECK(view.n_elements == 4 * n);
            float *out = copy_f32(&view);
            for (unsigned row = 0; row < 4; row++)
                for (unsigned column = 0; column < n; column++)
                    CHECK(out[row * n + column] == (float)(row * 5 + first + column));
            free(out);
        }
    }
    tensor = (struct tensor){.dtype = TENSOR_F32, .n_dims = 2, .sizes = {5, 4}, .strides = {1, 5}};
    tensor.n_elements = 20;
    tensor.data = (const uint8_t *)numbers; /* transposed: column c is row c of `numbers` */
    struct tensor view = tensor_columns(&tensor, 2, 1);
    float *out = copy_f32(&view);
    for (unsigned row = 0; row < 5; row++)
        CHECK(out[row] == (float)(10 + row));
    free(out);
}

/* ---- shapes in messages */

static bool prints(unsigned n_dims, const uint64_t *sizes, const char *expected)
{
    struct tensor tensor = {.n_dims = n_dims};
    for (unsigned i = 0; i < n_dims; i++)
        tensor.sizes[i] = sizes[i];
    char out[128];
    tensor_print_shape(&tensor, out, sizeof out);
    return strcmp(out, expected) == 0;
}

TEST(shapes_are_printed_as_python_lists)
{
    CHECK(prints(0, NULL, "[]"));
    CHECK(prints(1, (const uint64_t[]){129}, "[129]"));
    CHECK(prints(2, (const uint64_t[]){402, 8}, "[402, 8]"));
    CHECK(prints(4, (const uint64_t[]){1, 0, 3, UINT64_MAX}, "[1, 0, 3, 18446744073709551615]"));
}

TEST(a_shape_that_does_not_fit_is_cut)
{
    struct tensor tensor = {.n_dims = 4};
    for (unsigned i = 0; i < 4; i++)
        tensor.sizes[i] = UINT64_MAX;
    for (size_t size = 1; size < 100; size++) {
        char *out = malloc(size);
        memset(out, 'x', size);
        tensor_print_shape(&tensor, out, size);
        CHECK(memchr(out, '\0', size) != NULL);
        free(out);
    }
}

int main(void)
{
    RUN(a_state_dict_is_read);
    RUN(the_pickle_protocol_makes_no_difference);
    RUN(a_plain_dict_is_read);
    RUN(parameters_are_read_as_their_tensors);
    RUN(views_are_read_in_row_major_order);
    RUN(a_tensor_under_two_names_is_read_twice);
    RUN(half_brain_and_double_precision_become_single_as_in_pytorch);
    RUN(names_may_be_any_unicode);
    RUN(a_negated_view_is_refused_or_negated);
    RUN(a_tensor_without_elements_is_refused_or_empty);
    RUN(the_demo_weights_are_read);
    RUN(the_weights_of_the_paper_are_read);
    RUN(weights_are_not_copied_when_read);
    RUN(tensors_are_found_by_their_whole_name);
    RUN(every_half_precision_number_is_widened);
    RUN(every_bfloat16_number_is_widened);
    RUN(infinities_and_nan_survive_each_type);
    RUN(unaligned_elements_are_read);
    RUN(columns_of_a_tensor_are_a_view_of_it);
    RUN(shapes_are_printed_as_python_lists);
    RUN(a_shape_that_does_not_fit_is_cut);
    return test_report();
}
