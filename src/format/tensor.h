/* SPDX-License-Identifier: Apache-2.0 */
/* tensor.h: a named array in a file's bytes, whichever format describes it. */
#ifndef DCNV2_FORMAT_TENSOR_H
#define DCNV2_FORMAT_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "text.h"

enum { TENSOR_MAX_DIMS = 4 };

/* A network's weights are of the first four, tensor_is_float(); offsets of its tables may be whole
 * numbers. U8, U32 and U64 hold vocabularies. */
enum tensor_dtype {
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_U8,
    TENSOR_U32,
    TENSOR_U64,
    TENSOR_I8,
    TENSOR_I16,
    TENSOR_I32,
    TENSOR_I64,
    TENSOR_BOOL,
    TENSOR_N_DTYPES
};

/* A view of a storage; several may share one. Every element was found to lie inside it. */
struct tensor {
    struct text name;
    enum tensor_dtype dtype;
    unsigned n_dims;
    uint64_t sizes[TENSOR_MAX_DIMS];
    uint64_t strides[TENSOR_MAX_DIMS]; /* in elements */
    uint64_t n_elements;
    const uint8_t *data; /* the first element, little-endian, unaligned */
};

/* All tensors of a file, in its order, names distinct. A list that is to be written is not sorted:
 * nobody looks for one in it. */
struct tensor_list {
    struct tensor *tensors;
    size_t n_tensors;
    const struct tensor **by_name; /* [n_tensors], or NULL */
};

/*
 * Makes `by_name` in the arena. -1: out of memory, or a name stands twice: *ret_twice, else NULL.
 */
int tensor_list_sort(struct tensor_list *list, struct arena *arena,
                     const struct tensor **ret_twice);

/* Of a sorted list. NULL: no tensor of that name. */
const struct tensor *tensor_find(const struct tensor_list *list, const char *name);
const struct tensor *tensor_find_text(const struct tensor_list *list, struct text name);

/* Bytes of an element, and the name that safetensors files give the type. */
unsigned tensor_element_size(enum tensor_dtype dtype);
const char *tensor_dtype_name(enum tensor_dtype dtype);

static inline bool tensor_is_float(const struct tensor *tensor)
{
    return tensor->dtype <= TENSOR_BF16;
}

/*
 * Takes what all names have before them off: "module.", "_orig_mod.model.", whatever wrapped the
 * network. It ends with a point, and with it the network has `anchor`, a tensor that each has;
 * without one of that name nothing is taken off. `anchor` NULL: the longest that leaves every
 * tensor a name. Returns what was taken.
 */
struct text tensor_list_take_off_prefix(struct tensor_list *list, const char *anchor);

/*
 * The numbers of a Sequential's layers that have tensors, ascending: of "dnn.0.weight",
 * "dnn.0.bias", "dnn.3.weight" and the stem "dnn." 0 and 3. Those between are layers without.
 * -1: out of memory.
 */
int tensor_list_numbers(const struct tensor_list *list, const char *stem, struct arena *arena,
                        const size_t **ret_numbers, size_t *ret_n);

/* Whether it is a counter that training keeps among a network's tensors, and no score needs:
 * "n_averaged", "bn.num_batches_tracked". */
bool tensor_name_is_counter(struct text name);

/* Row-major without gaps, as a copy of it would be. */
bool tensor_is_contiguous(const struct tensor *tensor);

/* Widens or narrows a floating-point tensor to FP32 in row-major order: out: [n_elements]. */
void tensor_copy_f32(const struct tensor *tensor, float *out);

/* The view of columns first .. first + n - 1 of a tensor of two dimensions. */
struct tensor tensor_columns(const struct tensor *tensor, uint64_t first, uint64_t n);

/* "[402, 8]" */
void tensor_print_shape(const struct tensor *tensor, char *out, size_t out_size);

#endif
