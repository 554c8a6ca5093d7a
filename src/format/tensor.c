/* SPDX-License-Identifier: Apache-2.0 */
#include "format/tensor.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/little_endian.h"
#include "half.h"

static int compare_names(const void *a, const void *b)
{
    return text_compare((*(const struct tensor *const *)a)->name,
                        (*(const struct tensor *const *)b)->name);
}

int tensor_list_sort(struct tensor_list *list, struct arena *arena, const struct tensor **ret_twice)
{
    const struct tensor **sorted = arena_calloc(arena, list->n_tensors + 1, sizeof *sorted);
    *ret_twice = NULL;
    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < list->n_tensors; i++)
        sorted[i] = &list->tensors[i];
    qsort(sorted, list->n_tensors, sizeof *sorted, compare_names);
    for (size_t i = 1; i < list->n_tensors; i++) {
        if (text_equal(sorted[i - 1]->name, sorted[i]->name)) {
            *ret_twice = sorted[i];
            return -1;
        }
    }
    list->by_name = sorted;
    return 0;
}

const struct tensor *tensor_find(const struct tensor_list *list, const char *name)
{
    return tensor_find_text(list, text_of(name));
}

const struct tensor *tensor_find_text(const struct tensor_list *list, struct text name)
{
    const struct tensor wanted = {.name = name}, *key = &wanted;
    if (list->n_tensors == 0)
        return NULL;
    const struct tensor *const *found =
        bsearch(&key, list->by_name, list->n_tensors, sizeof *list->by_name, compare_names);
    return found ? *found : NULL;
}

/* Length of what all names have in common, up to and with a point; shorter than each name. */
static size_t common_length(const struct tensor_list *list)
{
    const struct text first = list->tensors[0].name;
    size_t length = first.length;
    for (size_t i = 1; i < list->n_tensors; i++) {
        const struct text name = list->tensors[i].name;
        size_t n = 0;
        while (n < length && n < name.length && name.at[n] == first.at[n])
            n++;
        length = n;
    }
    if (length == first.length && length > 0)
        length--; /* a name alone, or one that starts the others: it keeps its last part */
    while (length > 0 && first.at[length - 1] != '.')
        length--;
    return length;
}

static bool has_behind(const struct tensor_list *list, size_t length, const char *anchor)
{
    for (size_t i = 0; i < list->n_tensors; i++) {
        const struct text name = list->tensors[i].name;
        if (name.length > length &&
            text_is((struct text){name.at + length, name.length - length}, anchor))
            return true;
    }
    return false;
}

struct text tensor_list_take_off_prefix(struct tensor_list *list, const char *anchor)
{
    if (list->n_tensors == 0)
        return (struct text){"", 0};
    const char *const start = list->tensors[0].name.at;
    const size_t longest = common_length(list);
    size_t length = anchor ? 0 : longest;
    while (anchor && !has_behind(list, length, anchor)) {
        if (length == longest)
            return (struct text){"", 0};
        const char *point = memchr(start + length, '.', longest - length);
        length = (size_t)(point - start) + 1;
    }
    for (size_t i = 0; i < list->n_tensors; i++) { /* their order stays */
        list->tensors[i].name.at += length;
        list->tensors[i].name.length -= length;
    }
    return (struct text){start, length};
}

enum { NUMBER_DIGITS_MAX = 6 };

/* The number in "STEM NUMBER." at the start of a name; false: it has none. */
static bool read_number(struct text name, const char *stem, size_t *ret_number)
{
    const size_t before = strlen(stem);
    size_t i = before, number = 0;
    if (name.length <= before || memcmp(name.at, stem, before) != 0)
        return false;
    for (; i < name.length && i - before <= NUMBER_DIGITS_MAX && name.at[i] >= '0' &&
           name.at[i] <= '9';
         i++)
        number = 10 * number + (size_t)(name.at[i] - '0');
    *ret_number = number;
    const bool is_plain = i - before == 1 || name.at[before] != '0'; /* as Python writes it */
    return i > before && i - before <= NUMBER_DIGITS_MAX && is_plain && i < name.length &&
           name.at[i] == '.';
}

static int compare_numbers(const void *a, const void *b)
{
    const size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return (left > right) - (left < right);
}

int tensor_list_numbers(const struct tensor_list *list, const char *stem, struct arena *arena,
                        const size_t **ret_numbers, size_t *ret_n)
{
    size_t *numbers = arena_calloc(arena, list->n_tensors + 1, sizeof *numbers);
    size_t n = 0, n_distinct = 0;
    if (numbers == NULL)
        return -1;
    for (size_t i = 0; i < list->n_tensors; i++)
        n += read_number(list->tensors[i].name, stem, &numbers[n]);
    qsort(numbers, n, sizeof *numbers, compare_numbers);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || numbers[i] != numbers[n_distinct - 1])
            numbers[n_distinct++] = numbers[i];
    *ret_numbers = numbers;
    *ret_n = n_distinct;
    return 0;
}

bool tensor_name_is_counter(struct text name)
{
    const char *point = memrchr(name.at, '.', name.length);
    const size_t before = point ? (size_t)(point + 1 - name.at) : 0;
    const struct text last = {name.at + before, name.length - before};
    return text_is(last, "num_batches_tracked") || text_is(last, "n_averaged");
}

unsigned tensor_element_size(enum tensor_dtype dtype)
{
    static const unsigned sizes[] = {
        [TENSOR_F32] = 4, [TENSOR_F64] = 8, [TENSOR_F16] = 2, [TENSOR_BF16] = 2,
        [TENSOR_U8] = 1,  [TENSOR_U32] = 4, [TENSOR_U64] = 8, [TENSOR_I8] = 1,
        [TENSOR_I16] = 2, [TENSOR_I32] = 4, [TENSOR_I64] = 8, [TENSOR_BOOL] = 1};
    return sizes[dtype];
}

const char *tensor_dtype_name(enum tensor_dtype dtype)
{
    static const char *const names[] = {
        [TENSOR_F32] = "F32", [TENSOR_F64] = "F64", [TENSOR_F16] = "F16", [TENSOR_BF16] = "BF16",
        [TENSOR_U8] = "U8",   [TENSOR_U32] = "U32", [TENSOR_U64] = "U64", [TENSOR_I8] = "I8",
        [TENSOR_I16] = "I16", [TENSOR_I32] = "I32", [TENSOR_I64] = "I64", [TENSOR_BOOL] = "BOOL"};
    return names[dtype];
}

static float element(enum tensor_dtype dtype, const uint8_t *at)
{
    float single;
    double number;
    switch (dtype) {
    case TENSOR_F64:
        memcpy(&number, at, sizeof number);
        return (float)number;
    case TENSOR_F16:
        return half_to_float(le16(at));
    case TENSOR_BF16:
        return bfloat16_to_float(le16(at));
    case TENSOR_F32:
        break;
    default:
        return NAN; /* whoever asks has seen that it is a floating-point type */
    }
    memcpy(&single, at, sizeof single);
    return single;
}

bool tensor_is_contiguous(const struct tensor *tensor)
{
    uint64_t expected = 1;
    for (unsigned i = tensor->n_dims; i > 0; i--) {
        if (tensor->sizes[i - 1] != 1 && tensor->strides[i - 1] != expected)
            return false;
        expected *= tensor->sizes[i - 1];
    }
    return true;
}

void tensor_copy_f32(const struct tensor *tensor, float *out)
{
    const unsigned size = tensor_element_size(tensor->dtype);
    if (tensor->dtype == TENSOR_F32 && tensor_is_contiguous(tensor)) {
        memcpy(out, tensor->data, tensor->n_elements * sizeof *out);
        return;
    }
    uint64_t at[TENSOR_MAX_DIMS] = {0};
    uint64_t offset = 0;
    for (uint64_t i = 0; i < tensor->n_elements; i++) {
        out[i] = element(tensor->dtype, tensor->data + offset * size);
        /* the next index, the last dimension first */
        for (unsigned d = tensor->n_dims; d > 0; d--) {
            offset += tensor->strides[d - 1];
            if (++at[d - 1] < tensor->sizes[d - 1])
                break;
            offset -= tensor->strides[d - 1] * tensor->sizes[d - 1];
            at[d - 1] = 0;
        }
    }
}

struct tensor tensor_columns(const struct tensor *tensor, uint64_t first, uint64_t n)
{
    struct tensor view = *tensor;
    view.sizes[1] = n;
    view.n_elements = tensor->sizes[0] * n;
    view.data += first * tensor->strides[1] * tensor_element_size(tensor->dtype);
    return view;
}

void tensor_print_shape(const struct tensor *tensor, char *out, size_t out_size)
{
    size_t n = (size_t)snprintf(out, out_size, "[");
    for (unsigned i = 0; i < tensor->n_dims && n < out_size; i++)
        n += (size_t)snprintf(out + n, out_size - n, "%s%llu", i ? ", " : "",
                              (unsigned long long)tensor->sizes[i]);
    if (n < out_size)
        snprintf(out + n, out_size - n, "]");
}
