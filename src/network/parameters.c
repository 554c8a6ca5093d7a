/* SPDX-License-Identifier: Apache-2.0 */
#include "network/parameters.h"

static uint64_t size_of(const struct spec_layer *layer, enum dimension dimension)
{
    switch (dimension) {
    case DIM_IN:
        return layer->n_in;
    case DIM_OUT:
    case DIM_ONE_OR_OUT:
        return layer->n_out;
    case DIM_RANK:
        return layer->rank;
    case DIM_EXPERTS:
        return layer->n_experts;
    case DIM_ONE:
    case DIM_NONE:
        break;
    }
    return 1;
}

/* They are counted if `all` is NULL, a shared tensor in each of its places. */
struct lister {
    const struct network_spec *spec;
    struct spec_parameter *all;
    uint32_t n;
};

static void add(struct lister *lister, struct text name, struct spec_parameter parameter)
{
    parameter.name = name.at;
    for (uint32_t i = 0; lister->all && i < lister->n; i++)
        if (text_is(name, lister->all[i].name))
            return;
    if (lister->all)
        lister->all[lister->n] = parameter;
    lister->n++;
}

static void list_input(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        const struct spec_input *part = &layer->parts[i];
        struct spec_parameter parameter = {
            .layer = number, .role = i, .fan_in = 1, .is_trained = true};
        if (part->kind == INPUT_VALUE)
            continue;
        if (part->kind == INPUT_TABLE)
            parameter.sizes[parameter.n_dims++] = part->n_rows;
        parameter.sizes[parameter.n_dims++] = part->width;
        parameter.start = part->kind == INPUT_TABLE ? START_NORMAL : START_UNIFORM;
        add(lister, part->tensor.name, parameter);
    }
}

static void list_roles(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    const struct role *roles = layer_kinds[layer->kind].roles;
    for (uint32_t r = 0; r < SPEC_MAX_ROLES && roles[r].key; r++) {
        const struct tensor_stack *stack = &layer->tensors[r];
        struct spec_parameter parameter = {.layer = number,
                                           .role = r,
                                           .start = roles[r].start,
                                           .fan_in = layer->n_in,
                                           .is_trained = !roles[r].is_statistic};
        /* of a stack each part lacks the first dimension */
        for (unsigned d = stack->n_parts > 1; d < PARAMETER_MAX_DIMS && roles[r].dims[d]; d++)
            parameter.sizes[parameter.n_dims++] = size_of(layer, roles[r].dims[d]);
        if (parameter.n_dims > 1)
            parameter.fan_in = (uint32_t)parameter.sizes[parameter.n_dims - 1];
        for (uint32_t p = 0; p < stack->n_parts; p++)
            add(lister, stack->parts[p].name, parameter);
    }
}

/* Of all inputs in one tensor, or one tensor per input. */
static void list_output(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    const struct tensor_stack *bias = &layer->tensors[ROLE_BIAS];
    struct spec_parameter parameter = {.layer = number,
                                       .role = ROLE_WEIGHT,
                                       .n_dims = 2,
                                       .sizes = {1, layer->n_in},
                                       .start = START_UNIFORM,
                                       .fan_in = layer->n_in,
                                       .is_trained = true};
    if (layer->weights == NULL)
        add(lister, layer->tensors[ROLE_WEIGHT].parts[0].name, parameter);
    for (uint32_t i = 0; layer->weights && i < layer->n_inputs; i++) {
        if (layer->weights[i].n_parts == 0)
            continue;
        const struct tensor_part *part = &layer->weights[i].parts[0];
        parameter.sizes[1] =
            part->n_rows ? layer->n_in : lister->spec->layers[layer->inputs[i]].n_out;
        add(lister, part->name, parameter);
    }
    parameter.role = ROLE_BIAS;
    parameter.n_dims = 1;
    for (uint32_t p = 0; p < bias->n_parts; p++)
        add(lister, bias->parts[p].name, parameter);
}

static void list_all(struct lister *lister)
{
    lister->n = 0;
    for (uint32_t i = 0; i < lister->spec->n_layers; i++) {
        if (lister->spec->layers[i].kind == LAYER_INPUT)
            list_input(lister, i);
        else if (lister->spec->layers[i].kind == LAYER_OUTPUT)
            list_output(lister, i);
        else
            list_roles(lister, i);
    }
}

int spec_parameters(const struct network_spec *spec, struct arena *arena,
                    const struct spec_parameter **ret, uint32_t *ret_n)
{
    struct lister lister = {.spec = spec};
    list_all(&lister);
    lister.all = arena_calloc(arena, (size_t)lister.n + 1, sizeof *lister.all);
    if (lister.all == NULL)
        return -1;
    list_all(&lister);
    *ret = lister.all;
    *ret_n = lister.n;
    return 0;
}

/* ---- plain layers ---- */

static bool has_plain_parts(const struct spec_layer *layer)
{
    for (uint32_t i = 0; i < layer->n_parts; i++)
        if (layer->parts[i].kind == INPUT_TIMES || layer->parts[i].pooling != POOLING_NONE)
            return false;
    return true;
}

bool spec_is_plain(const struct spec_layer *layer)
{
    const struct role *roles = layer_kinds[layer->kind].roles;
    if (layer->kind == LAYER_INPUT)
        return has_plain_parts(layer);
    if (layer->kind == LAYER_OUTPUT)
        return layer->weights == NULL && layer->tensors[ROLE_WEIGHT].n_parts == 1 &&
               layer->tensors[ROLE_BIAS].n_parts == 1;
    for (unsigned r = 0; r < SPEC_MAX_ROLES && roles[r].key; r++) {
        const bool is_needed =
            layer->kind != LAYER_ACTIVATION || (activation_roles[layer->activation] >> r & 1) != 0;
        if (layer->tensors[r].n_parts != is_needed)
            return false;
    }
    return !layer->has_bias_outside;
}
