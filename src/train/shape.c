/* SPDX-License-Identifier: Apache-2.0 */
#include "train/shape.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "train/random.h"

/* ---- names and shapes ---- */

/* Describes the next parameter: [rows, columns], or [rows] where columns is 0. */
__attribute__((format(printf, 4, 5))) static void add(struct parameters *parameters, uint64_t rows,
                                                      uint64_t columns, const char *format, ...)
{
    struct parameter *parameter = &parameters->all[parameters->n++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parameter->name, sizeof parameter->name, format, arguments);
    va_end(arguments);
    parameter->n_dims = columns ? 2 : 1;
    parameter->sizes[0] = rows;
    parameter->sizes[1] = columns;
    parameter->n_elements = columns ? rows * columns : rows;
}

static void describe(const struct network_shape *shape, struct parameters *parameters)
{
    const uint32_t width = shape_width(shape);
    for (uint32_t i = 0; i < shape->n_sparse; i++)
        add(parameters, shape->n_rows[i], shape->embedding, "embeddings.%" PRIu32 ".weight", i);
    for (uint32_t l = 0; l < shape->n_cross; l++) {
        const char *linear = shape->cross == CROSS_FULL ? "" : ".0";
        add(parameters, width, width, "cross_layers.%" PRIu32 "%s.weight", l, linear);
        add(parameters, width, 0, "cross_layers.%" PRIu32 "%s.bias", l, linear);
        if (shape->cross == CROSS_FULL)
            continue;
        add(parameters, width, 0, "cross_layers.%" PRIu32 ".1.weight", l);
        add(parameters, width, 0, "cross_layers.%" PRIu32 ".1.bias", l);
    }
    uint32_t n_in = width;
    for (uint32_t l = 0; l < shape->n_deep; l++) {
        add(parameters, shape->deep[l], n_in, "dnn.%" PRIu32 ".weight", 2 * l);
        add(parameters, shape->deep[l], 0, "dnn.%" PRIu32 ".bias", 2 * l);
        n_in = shape->deep[l];
    }
    add(parameters, 1, width + (shape->n_deep ? n_in : 0), "output.weight");
    add(parameters, 1, 0, "output.bias");
}

int parameters_create(const struct network_shape *shape, struct parameters *ret_parameters,
                      struct train_error *error)
{
    const size_t n_most =
        (size_t)shape->n_sparse + 4 * (size_t)shape->n_cross + 2 * (size_t)shape->n_deep + 2;
    struct parameters parameters = {.all = calloc(n_most, sizeof *parameters.all)};
    if (parameters.all == NULL)
        return train_error_memory(error);
    describe(shape, &parameters);
    for (size_t i = 0; i < parameters.n; i++) {
        struct parameter *parameter = &parameters.all[i];
        parameter->values = memory_alloc(parameter->n_elements * sizeof *parameter->values);
        if (parameter->values == NULL) {
            parameters_free(&parameters);
            return train_error_memory(error);
        }
    }
    *ret_parameters = parameters;
    return 0;
}

void parameters_free(struct parameters *parameters)
{
    for (size_t i = 0; i < parameters->n; i++)
        memory_free(parameters->all[i].values,
                    parameters->all[i].n_elements * sizeof *parameters->all[i].values);
    free(parameters->all);
    *parameters = (struct parameters){0};
}

struct parameter *parameters_find(const struct parameters *parameters, const char *name)
{
    for (size_t i = 0; i < parameters->n; i++)
        if (strcmp(parameters->all[i].name, name) == 0)
            return &parameters->all[i];
    return NULL;
}

struct tensor *parameters_tensors(const struct parameters *parameters)
{
    struct tensor *tensors = calloc(parameters->n + 1, sizeof *tensors);
    for (size_t i = 0; tensors && i < parameters->n; i++) {
        const struct parameter *parameter = &parameters->all[i];
        tensors[i] =
            (struct tensor){.name = text_of(parameter->name),
                            .dtype = TENSOR_F32,
                            .n_dims = parameter->n_dims,
                            .sizes = {parameter->sizes[0], parameter->sizes[1]},
                            .strides = {parameter->n_dims == 2 ? parameter->sizes[1] : 1, 1},
                            .n_elements = parameter->n_elements,
                            .data = (const uint8_t *)parameter->values};
    }
    return tensors;
}

/* ---- values to start from ---- */

/* Of a name, so that a parameter's values do not depend on which others there are: FNV-1a. */
static uint64_t stream_of(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash;
}

static void fill_normal(struct parameter *parameter, struct random *random)
{
    double pair[2];
    for (uint64_t i = 0; i < parameter->n_elements; i++) {
        if (i % 2 == 0)
            random_normal_pair(random, pair);
        parameter->values[i] = (float)pair[i % 2];
    }
}

static void fill_uniform(struct parameter *parameter, struct random *random, double bound)
{
    for (uint64_t i = 0; i < parameter->n_elements; i++)
        parameter->values[i] = (float)((2 * random_unit(random) - 1) * bound);
}

static void fill_constant(struct parameter *parameter, float value)
{
    for (uint64_t i = 0; i < parameter->n_elements; i++)
        parameter->values[i] = value;
}

/* 'w' of a layer norm's weight, 'b' of its bias, 0 of any other parameter: a full cross layer 1 has
 * names that are almost the same. */
static char layer_norm_part(const struct parameter *parameter)
{
    char part = 0;
    return sscanf(parameter->name, "cross_layers.%*u.1.%c", &part) == 1 ? part : 0;
}

/* In the order of parameters a linear layer's weight stands before its bias. */
void parameters_initialise(struct parameters *parameters, uint64_t seed)
{
    uint64_t n_in = 1;
    for (size_t i = 0; i < parameters->n; i++) {
        struct parameter *parameter = &parameters->all[i];
        struct random random;
        random_start(&random, seed, stream_of(parameter->name));
        if (strncmp(parameter->name, "embeddings.", strlen("embeddings.")) == 0) {
            fill_normal(parameter, &random);
        } else if (layer_norm_part(parameter)) {
            fill_constant(parameter, layer_norm_part(parameter) == 'w' ? 1 : 0);
        } else {
            if (parameter->n_dims == 2)
                n_in = parameter->sizes[1];
            fill_uniform(parameter, &random, 1 / sqrt((double)n_in));
        }
    }
}
