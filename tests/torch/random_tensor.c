/* SPDX-License-Identifier: Apache-2.0 */
#include "random_tensor.h"

#include <math.h>
#include <stdlib.h>

void *random_room(struct arena *arena, size_t n, size_t size)
{
    void *room = arena_calloc(arena, n + 1, size);
    if (room)
        return room;
    fprintf(stderr, "tests: out of memory\n");
    exit(1);
}

uint32_t random_of(struct random *random, uint32_t n)
{
    return (uint32_t)random_below(random, n);
}

bool random_once_in(struct random *random, uint32_t n)
{
    return random_below(random, n) == 0;
}

float random_normal(struct random *random)
{
    double pair[2];
    random_normal_pair(random, pair);
    return (float)pair[0];
}

/* ---- values ---- */

/* Cut, not rounded: any value will do. */
static uint16_t half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = bits >> 23 & 0xFF;
    if (exponent < 113 || exponent > 142)
        return 0;
    return (uint16_t)((bits >> 16 & 0x8000) | (exponent - 112) << 10 | (bits >> 13 & 0x3FF));
}

static void put(uint8_t *to, enum tensor_dtype dtype, float value)
{
    const double wide = (double)value;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t half = dtype == TENSOR_BF16 ? (uint16_t)(bits >> 16) : half_of(value);
    if (dtype == TENSOR_F64)
        memcpy(to, &wide, sizeof wide);
    else if (dtype == TENSOR_F32)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &half, sizeof half);
}

/*
 * The kernels sum a row in floats to find whether its sum is 0: one that nearly cancels may count
 * in one order and not in another, which is no error of either.
 */
static void mend_row(struct random *random, float *row, uint64_t width)
{
    float sum = 0;
    const bool is_zero = random_once_in(random, 5);
    for (uint64_t i = 0; i < width; i++) {
        row[i] = is_zero ? 0 : row[i];
        sum += row[i];
    }
    if (!is_zero && fabsf(sum) < 0.5f)
        row[0] += sum < 0 ? -1.0f : 1.0f;
}

static float *make_values(struct random_tensors *tensors, uint64_t n, uint64_t width,
                          const struct random_values *values)
{
    float *all = random_room(tensors->arena, n, sizeof *all);
    for (uint64_t i = 0; i < n; i++) {
        all[i] = values->centre + values->spread * random_normal(&tensors->random);
        if (values->is_positive)
            all[i] = 0.1f + fabsf(all[i]);
    }
    for (uint64_t i = 0; values->is_table && i < n; i += width)
        mend_row(&tensors->random, all + i, width);
    return all;
}

/* ---- layout ---- */

/* Row-major, or with the dimensions in the other order in memory, or with gaps. */
static void set_strides(struct random *random, struct tensor *tensor, uint64_t *ret_room)
{
    uint64_t stride = random_once_in(random, 8) ? 2 : 1;
    const bool is_reversed = random_once_in(random, 8);
    for (unsigned k = 0; k < tensor->n_dims; k++) {
        const unsigned d = is_reversed ? k : tensor->n_dims - 1 - k;
        tensor->strides[d] = stride;
        stride *= tensor->sizes[d];
    }
    *ret_room = stride;
}

static void fill(struct tensor *tensor, const float *values, uint8_t *room)
{
    const unsigned size = tensor_element_size(tensor->dtype);
    for (uint64_t i = 0; i < tensor->n_elements; i++) {
        uint64_t left = i, place = 0;
        for (unsigned k = 0; k < tensor->n_dims; k++) {
            const unsigned d = tensor->n_dims - 1 - k;
            place += left % tensor->sizes[d] * tensor->strides[d];
            left /= tensor->sizes[d];
        }
        put(room + place * size, tensor->dtype, values[i]);
    }
    tensor->data = room;
}

static struct text make_name(struct random_tensors *tensors)
{
    char name[32];
    const int length = snprintf(name, sizeof name, "t%zu", tensors->n);
    char *copy = random_room(tensors->arena, (size_t)length, 1);
    memcpy(copy, name, (size_t)length);
    return (struct text){copy, (size_t)length};
}

static struct text add_tensor(struct random_tensors *tensors, const uint64_t *sizes,
                              unsigned n_dims, uint64_t row, const struct random_values *values)
{
    static const enum tensor_dtype dtypes[] = {TENSOR_F32, TENSOR_F32, TENSOR_F32, TENSOR_F32,
                                               TENSOR_F64, TENSOR_F16, TENSOR_BF16};
    if (tensors->n == RANDOM_MAX_TENSORS) {
        fprintf(stderr, "tests: too many tensors\n");
        exit(1);
    }
    struct tensor *tensor = &tensors->tensors[tensors->n];
    *tensor = (struct tensor){.name = make_name(tensors), .n_dims = n_dims, .n_elements = 1};
    tensor->dtype = dtypes[random_of(&tensors->random, sizeof dtypes / sizeof *dtypes)];
    for (unsigned d = 0; d < n_dims; d++) {
        tensor->sizes[d] = sizes[d];
        tensor->n_elements *= sizes[d];
    }
    uint64_t room;
    set_strides(&tensors->random, tensor, &room);
    fill(tensor, make_values(tensors, tensor->n_elements, row, values),
         random_room(tensors->arena, room, tensor_element_size(tensor->dtype)));
    tensors->n++;
    return tensor->name;
}

/* ---- parts ---- */

/* Tables are not transposed: a row is along the last dimension, which mend_row() has to know. */
struct tensor_part random_part(struct random_tensors *tensors, const uint64_t *sizes,
                               unsigned n_dims, const struct random_values *values)
{
    struct random *random = &tensors->random;
    struct tensor_part part = {0};
    uint64_t stored[TENSOR_MAX_DIMS];
    part.n_indices = random_once_in(random, 6) ? 1 + random_of(random, 2) : 0;
    if (part.n_indices + n_dims > TENSOR_MAX_DIMS)
        part.n_indices = TENSOR_MAX_DIMS - n_dims;
    for (uint32_t i = 0; i < part.n_indices; i++) {
        stored[i] = 1 + random_of(random, 3);
        part.index[i] = random_of(random, (uint32_t)stored[i]);
    }
    uint64_t *own = stored + part.n_indices;
    memcpy(own, sizes, n_dims * sizeof *sizes);
    if (n_dims >= 2 && !values->is_table && random_once_in(random, 4)) {
        part.is_transposed = true;
        own[n_dims - 1] = sizes[n_dims - 2];
        own[n_dims - 2] = sizes[n_dims - 1];
    }
    if (random_once_in(random, 4)) {
        part.n_rows = own[0];
        part.first_row = random_of(random, 4);
        own[0] += part.first_row + 1 + random_of(random, 3);
    }
    const uint64_t row = n_dims ? own[n_dims - 1] : 1;
    part.name = add_tensor(tensors, stored, part.n_indices + n_dims, row, values);
    return part;
}

struct tensor_stack random_stack(struct random_tensors *tensors, const uint64_t *sizes,
                                 unsigned n_dims, const struct random_values *values)
{
    enum { MOST_STACKED = 33 };
    const bool is_stacked =
        sizes[0] > 1 && sizes[0] <= MOST_STACKED && random_once_in(&tensors->random, 4);
    static const uint64_t one = 1;
    struct tensor_stack stack = {.n_parts = is_stacked ? (uint32_t)sizes[0] : 1};
    struct tensor_part *parts = random_room(tensors->arena, stack.n_parts, sizeof *parts);
    for (uint32_t i = 0; i < stack.n_parts; i++)
        parts[i] = !is_stacked  ? random_part(tensors, sizes, n_dims, values)
                   : n_dims > 1 ? random_part(tensors, sizes + 1, n_dims - 1, values)
                                : random_part(tensors, &one, 1, values);
    stack.parts = parts;
    return stack;
}
