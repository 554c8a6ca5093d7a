/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parameters.h: the tensors of a network in one fixed order, for the code that trains, writes or
 * lists them.
 *
 * The order is that of the layers, and within a layer that of its kind's roles (kinds.h): of the
 * published network that is the order of the notebook's state_dict().
 */
#ifndef DCNV2_NETWORK_PARAMETERS_H
#define DCNV2_NETWORK_PARAMETERS_H

#include "network/kinds.h"

enum { PARAMETER_MAX_DIMS = 3 };

struct spec_parameter {
    const char *name; /* NUL-terminated */
    uint32_t n_dims;
    uint64_t sizes[PARAMETER_MAX_DIMS]; /* [n_dims] */
    enum start start;
    uint32_t fan_in; /* of START_UNIFORM */
    bool is_trained; /* false: a statistic of the data, which no gradient moves */
    uint32_t layer;  /* the first one that holds it */
    uint32_t role;   /* of an input layer: which of its parts */
};

static inline uint64_t parameter_size(const struct spec_parameter *parameter)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < parameter->n_dims; d++)
        n *= parameter->sizes[d];
    return n;
}

/*
 * Those of a spec whose widths are set. A tensor that stands in several places is one parameter.
 * *ret is in the arena and borrows the spec's names. -1: out of memory.
 */
int spec_parameters(const struct network_spec *spec, struct arena *arena,
                    const struct spec_parameter **ret, uint32_t *ret_n);

/*
 * Whether a layer is as its kind's formula stands, without the forms that only checkpoints have:
 * one tensor in each role, of the output one over all inputs; no bias outside the product; of an
 * input layer numbers and rows of tables, neither scaled nor pooled.
 */
bool spec_is_plain(const struct spec_layer *layer);

#endif
