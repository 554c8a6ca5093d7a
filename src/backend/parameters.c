/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/parameters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/random.h"
#include "memory.h"

static struct parameter parameter_of(const struct spec_parameter *from)
{
    struct parameter parameter = {.name = from->name,
                                  .n_dims = from->n_dims,
                                  .n_elements = parameter_size(from),
                                  .start = from->start,
                                  .fan_in = from->fan_in};
    memcpy(parameter.sizes, from->sizes, sizeof parameter.sizes);
    return parameter;
}

static int create_listed(const struct spec_parameter *listed, uint32_t n,
                         struct parameters *parameters)
{
    parameters->all = calloc(n + 1u, sizeof *parameters->all);
    if (parameters->all == NULL)
        return -1;
    for (; parameters->n < n; parameters->n++) {
        struct parameter parameter = parameter_of(&listed[parameters->n]);
        parameter.values = memory_alloc(parameter.n_elements * sizeof *parameter.values);
        if (parameter.values == NULL)
            return -1;
        parameters->all[parameters->n] = parameter;
    }
    return 0;
}

int parameters_create(const struct network_spec *spec, struct parameters *ret_parameters,
                      struct train_error *error)
{
    struct arena arena;
    const struct spec_parameter *listed;
    uint32_t n;
    *ret_parameters = (struct parameters){0};
    arena_init(&arena, SIZE_MAX);
    const int status = spec_parameters(spec, &arena, &listed, &n) != 0
                           ? -1
                           : create_listed(listed, n, ret_parameters);
    arena_free(&arena);
    if (status == 0)
        return 0;
    parameters_free(ret_parameters);
    return train_error_memory(error);
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

struct tensor parameter_tensor(const struct parameter *parameter)
{
    struct tensor tensor = {.name = text_of(parameter->name),
                            .dtype = TENSOR_F32,
                            .n_dims = parameter->n_dims,
                            .n_elements = parameter->n_elements,
                            .data = (const uint8_t *)parameter->values};
    uint64_t stride = 1;
    for (unsigned d = parameter->n_dims; d-- > 0; stride *= parameter->sizes[d]) {
        tensor.sizes[d] = parameter->sizes[d];
        tensor.strides[d] = stride;
    }
    return tensor;
}

struct tensor *parameters_tensors(const struct parameters *parameters)
{
    struct tensor *tensors = calloc(parameters->n + 1, sizeof *tensors);
    for (size_t i = 0; tensors && i < parameters->n; i++)
        tensors[i] = parameter_tensor(&parameters->all[i]);
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

static void fill(struct parameter *parameter, struct random *random)
{
    switch (parameter->start) {
    case START_NORMAL:
        fill_normal(parameter, random);
        break;
    case START_UNIFORM:
        fill_uniform(parameter, random, 1 / sqrt((double)parameter->fan_in));
        break;
    case START_ZEROS:
        fill_constant(parameter, 0);
        break;
    case START_ONES:
        fill_constant(parameter, 1);
        break;
    }
}

void parameters_initialise(struct parameters *parameters, uint64_t seed)
{
    for (size_t i = 0; i < parameters->n; i++) {
        struct random random;
        random_start(&random, seed, stream_of(parameters->all[i].name));
        fill(&parameters->all[i], &random);
    }
}
