/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_file.h: a state dict as torch.save() writes it: a zip of data.pkl and one entry a storage.
 */
#ifndef DCNV2_FORMAT_TORCH_FILE_H
#define DCNV2_FORMAT_TORCH_FILE_H

#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "text.h"

enum { TENSOR_MAX_DIMS = 4 };

enum tensor_dtype { TENSOR_F32, TENSOR_F64, TENSOR_F16, TENSOR_BF16 };

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

struct torch_file {
    struct tensor *tensors; /* in file order, names distinct, in the arena */
    size_t n_tensors;
};

/* -1: *error. Points into `bytes`. Checksums of all storages used are verified. */
int torch_file_read(struct torch_file *file, struct arena *arena, const uint8_t *bytes, size_t size,
                    struct format_error *error);

/* NULL: no tensor of that name. */
const struct tensor *torch_file_find(const struct torch_file *file, const char *name);

/* Widens or narrows to FP32 in row-major order: out: [n_elements]. */
void tensor_copy_f32(const struct tensor *tensor, float *out);

/* The view of columns first .. first + n - 1 of a tensor of two dimensions. */
struct tensor tensor_columns(const struct tensor *tensor, uint64_t first, uint64_t n);

/* "[402, 8]" */
void tensor_print_shape(const struct tensor *tensor, char *out, size_t out_size);

#endif
