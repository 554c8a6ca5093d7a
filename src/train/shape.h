/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape.h: what a network is made of, and its parameters by PyTorch's names.
 *
 * The parameters of a network stand in one fixed order, that of the notebook's state_dict():
 *   embeddings.{i}.weight        [n_classes + 1, embedding]
 *   CROSS_LAYER_NORM: cross_layers.{l}.0.weight [w, w], .0.bias [w], .1.weight [w], .1.bias [w]
 *   CROSS_FULL:       cross_layers.{l}.weight   [w, w], .bias [w]
 *   dnn.{2 k}.weight [out, in], .bias [out]
 *   output.weight [1, w + last], output.bias [1]     last: of the last deep layer, 0 without any
 * w = n_dense + n_sparse * embedding. model/network.h has the equations.
 */
#ifndef DCNV2_TRAIN_SHAPE_H
#define DCNV2_TRAIN_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#include "data/train_error.h"
#include "format/tensor.h"

enum { SHAPE_MAX_LAYERS = 32 };

enum cross_kind { CROSS_LAYER_NORM, CROSS_FULL };

struct network_shape {
    uint32_t n_dense;
    uint32_t n_sparse;
    const uint32_t *n_rows; /* [n_sparse] of each table: classes and the out-of-vocabulary row */
    uint32_t embedding;     /* width of every table */
    enum cross_kind cross;
    uint32_t n_cross;
    uint32_t n_deep;
    uint32_t deep[SHAPE_MAX_LAYERS]; /* widths */
};

static inline uint32_t shape_width(const struct network_shape *shape)
{
    return shape->n_dense + shape->n_sparse * shape->embedding;
}

/* One array for each parameter, row-major FP32 in PyTorch's shape, in the order above. */
struct parameters {
    size_t n;
    struct parameter {
        char name[64];
        unsigned n_dims;
        uint64_t sizes[2];
        uint64_t n_elements;
        float *values; /* [n_elements], aligned to 64 bytes */
    } * all;
};

/* Zeros in all of them. -1: out of memory, *error. */
int parameters_create(const struct network_shape *shape, struct parameters *ret_parameters,
                      struct train_error *error);
void parameters_free(struct parameters *parameters);

/* PyTorch's default initialisation, from a seed: embeddings normal(0, 1), linear layers and their
 * biases uniform within 1 / sqrt(inputs), layer norms 1 and 0. Equal seeds, equal bits, on any
 * machine; a parameter's values follow from its name and shape, whatever others there are. */
void parameters_initialise(struct parameters *parameters, uint64_t seed);

/* NULL: there is none of that name. */
struct parameter *parameters_find(const struct parameters *parameters, const char *name);

/* The same as tensors of a file, pointing at the values and names. NULL: out of memory. */
struct tensor *parameters_tensors(const struct parameters *parameters);

#endif
