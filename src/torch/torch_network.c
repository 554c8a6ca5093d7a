/* SPDX-License-Identifier: Apache-2.0 */
#include "torch/torch_network.h"

#include <string.h>

#include "network/parameters.h"

/* 0: the plugin has no such layer. */
static const uint32_t kinds[LAYER_N_KINDS] = {[LAYER_INPUT] = TORCH_INPUT,
                                              [LAYER_LINEAR] = TORCH_LINEAR,
                                              [LAYER_ACTIVATION] = TORCH_RELU,
                                              [LAYER_CROSS_FULL] = TORCH_CROSS_FULL,
                                              [LAYER_CROSS_LAYER_NORM] = TORCH_CROSS_LAYER_NORM,
                                              [LAYER_OUTPUT] = TORCH_OUTPUT};

struct maker {
    const struct network_spec *spec;
    struct arena *arena;
    const struct spec_parameter *parameters; /* [n] */
    uint32_t n;
};

static bool is_possible(const struct spec_layer *layer)
{
    return kinds[layer->kind] != 0 && spec_is_plain(layer) &&
           (layer->kind != LAYER_ACTIVATION || layer->activation == ACTIVATE_RELU);
}

static uint32_t number_of(const struct maker *maker, struct text name)
{
    for (uint32_t i = 0; i < maker->n; i++)
        if (text_is(name, maker->parameters[i].name))
            return i;
    return 0; /* each name is one of them */
}

static int make_parts(const struct maker *maker, const struct spec_layer *from,
                      struct torch_layer *layer)
{
    struct torch_part *parts = arena_calloc(maker->arena, from->n_parts + 1u, sizeof *parts);
    for (uint32_t i = 0; parts && i < from->n_parts; i++) {
        const struct spec_input *part = &from->parts[i];
        parts[i].column = part->source;
        parts[i].is_table = part->kind == INPUT_TABLE;
        parts[i].tensor = parts[i].is_table ? number_of(maker, part->tensor.name) : 0;
    }
    layer->parts = parts;
    layer->n_parts = from->n_parts;
    return parts ? 0 : -1;
}

static int make_layer(const struct maker *maker, const struct spec_layer *from,
                      struct torch_layer *layer)
{
    *layer = (struct torch_layer){.kind = kinds[from->kind],
                                  .n_inputs = from->n_inputs,
                                  .inputs = from->inputs,
                                  .x0 = from->x0,
                                  .epsilon = (double)from->epsilon};
    for (unsigned r = 0; r < TORCH_MAX_ROLES; r++)
        if (from->tensors[r].n_parts)
            layer->tensors[r] = number_of(maker, from->tensors[r].parts[0].name);
    return make_parts(maker, from, layer);
}

static struct torch_tensor tensor_of(const struct spec_parameter *parameter)
{
    struct torch_tensor tensor = {.n_dims = parameter->n_dims};
    for (uint32_t d = 0; d < parameter->n_dims; d++)
        tensor.sizes[d] = (int64_t)parameter->sizes[d];
    return tensor;
}

static int make_all(struct maker *maker, struct torch_network *network)
{
    const struct network_spec *spec = maker->spec;
    if (spec_parameters(spec, maker->arena, &maker->parameters, &maker->n) != 0)
        return -1;
    struct torch_tensor *tensors = arena_calloc(maker->arena, maker->n + 1u, sizeof *tensors);
    struct torch_layer *layers = arena_calloc(maker->arena, spec->n_layers + 1u, sizeof *layers);
    if (tensors == NULL || layers == NULL)
        return -1;
    for (uint32_t i = 0; i < maker->n; i++)
        tensors[i] = tensor_of(&maker->parameters[i]);
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (make_layer(maker, &spec->layers[i], &layers[i]) != 0)
            return -1;
    *network = (struct torch_network){.n_dense = spec->n_values,
                                      .n_sparse = spec->n_lookups,
                                      .tensors = tensors,
                                      .n_tensors = maker->n,
                                      .layers = layers,
                                      .n_layers = spec->n_layers};
    return 0;
}

int torch_network_make(const struct network_spec *spec, struct arena *arena,
                       struct torch_network *ret_network, struct train_error *error)
{
    struct maker maker = {.spec = spec, .arena = arena};
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (!is_possible(&spec->layers[i]))
            return train_error_set(error,
                                   "the libtorch backend cannot train layer \"%.*s\" (%s): such "
                                   "layers can be served only",
                                   TEXT_SHOWN(spec->layers[i].name),
                                   layer_kinds[spec->layers[i].kind].name);
    return make_all(&maker, ret_network) == 0 ? 0 : train_error_memory(error);
}
