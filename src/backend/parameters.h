/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parameters.h: the values of a network's tensors, and those that training starts from.
 *
 * network/parameters.h has their order, names and shapes.
 */
#ifndef DCNV2_BACKEND_PARAMETERS_H
#define DCNV2_BACKEND_PARAMETERS_H

#include <stddef.h>
#include <stdint.h>

#include "data/train_error.h"
#include "format/tensor.h"
#include "network/parameters.h"

/* One array for each parameter, row-major FP32 in PyTorch's shape, in the order of the spec. */
struct parameters {
    size_t n;
    struct parameter {
        const char *name; /* the spec's */
        unsigned n_dims;
        uint64_t sizes[PARAMETER_MAX_DIMS];
        uint64_t n_elements;
        enum start start;
        uint32_t fan_in;
        float *values; /* [n_elements], aligned to 64 bytes */
    } * all;
};

/* Zeros in all of them. The spec's names are borrowed. -1: out of memory, *error. */
int parameters_create(const struct network_spec *spec, struct parameters *ret_parameters,
                      struct train_error *error);
void parameters_free(struct parameters *parameters);

/* From a seed, as their roles say (network/kinds.h). Equal seeds, equal bits, on any machine; a
 * parameter's values follow from its name and shape, whatever others there are. */
void parameters_initialise(struct parameters *parameters, uint64_t seed);

/* NULL: there is none of that name. */
struct parameter *parameters_find(const struct parameters *parameters, const char *name);

/* A parameter as a tensor of a file, pointing at its values and its name. */
struct tensor parameter_tensor(const struct parameter *parameter);

/* All of them. NULL: out of memory. */
struct tensor *parameters_tensors(const struct parameters *parameters);

#endif
