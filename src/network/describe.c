/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c: a network in one line, in numbers, and as the list of its parameters. */
#include <stdarg.h>
#include <stdio.h>

#include "network/kinds.h"

/* ---- a line for people ---- */

struct line {
    char *out;
    size_t size, n;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    if (line->n >= line->size)
        return;
    va_start(arguments, format);
    const int n = vsnprintf(line->out + line->n, line->size - line->n, format, arguments);
    va_end(arguments);
    line->n += n > 0 ? (size_t)n : 0;
}

static void put_cross(struct line *line, const struct network_spec *spec)
{
    const char *comma = "";
    put(line, "; cross layers:");
    for (int kind = 0; kind < LAYER_N_KINDS; kind++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < spec->n_layers; i++)
            n += spec->layers[i].kind == (enum layer_kind)kind;
        if (!layer_kinds[kind].is_cross || n == 0)
            continue;
        put(line, "%s %u %s", comma, n, layer_kinds[kind].people);
        comma = ",";
    }
    if (*comma == '\0')
        put(line, " none");
}

static void put_deep(struct line *line, const struct network_spec *spec)
{
    const char *comma = "";
    put(line, "; deep layers:");
    for (uint32_t i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].kind != LAYER_LINEAR)
            continue;
        put(line, "%s %u", comma, spec->layers[i].n_out);
        comma = ",";
    }
    if (*comma == '\0')
        put(line, " none");
}

void spec_describe(const struct network_spec *spec, char *out, size_t out_size)
{
    struct line line = {out, out_size, 0};
    put(&line, "x0 %u wide", spec->layers[0].n_out);
    put_cross(&line, spec);
    put_deep(&line, spec);
}

/* ---- a name ---- */

static struct text name_in(const struct spec_layer *layer)
{
    for (unsigned r = 0; r < SPEC_MAX_ROLES; r++)
        if (layer->tensors[r].n_parts)
            return layer->tensors[r].parts[0].name;
    for (uint32_t i = 0; layer->weights && i < layer->n_inputs; i++)
        if (layer->weights[i].n_parts)
            return layer->weights[i].parts[0].name;
    for (uint32_t p = 0; p < layer->n_parts; p++)
        if (layer->parts[p].kind != INPUT_VALUE)
            return layer->parts[p].tensor.name;
    return (struct text){NULL, 0};
}

const char *spec_anchor(const struct network_spec *spec)
{
    for (uint32_t i = spec->n_layers; i > 0; i--)
        if (name_in(&spec->layers[i - 1]).at)
            return name_in(&spec->layers[i - 1]).at;
    return NULL;
}

/* ---- parameters ---- */

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

/* The inputs of a layer that stand before input `i`. */
static uint32_t width_before(const struct network_spec *spec, const struct spec_layer *layer,
                             uint32_t i)
{
    uint32_t width = 0;
    for (uint32_t k = 0; k < i; k++)
        width += spec->layers[layer->inputs[k]].n_out;
    return width;
}

struct lister {
    const struct network_spec *spec;
    struct spec_parameter *all; /* NULL: they are counted */
    uint32_t n;
};

static struct spec_parameter *add(struct lister *lister, struct text name, uint32_t layer)
{
    static struct spec_parameter counted;
    for (uint32_t i = 0; lister->all && i < lister->n; i++)
        if (text_equal(lister->all[i].name, name))
            return &counted;
    struct spec_parameter *parameter = lister->all ? &lister->all[lister->n] : &counted;
    lister->n++;
    *parameter = (struct spec_parameter){.name = name, .layer = layer, .is_trained = true};
    return parameter;
}

static void list_input(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        const struct spec_input *part = &layer->parts[i];
        if (part->kind == INPUT_VALUE)
            continue;
        struct spec_parameter *parameter = add(lister, part->tensor.name, number);
        const bool is_table = part->kind == INPUT_TABLE;
        parameter->n_dims = is_table ? 2 : 1;
        parameter->sizes[0] = is_table ? part->n_rows : part->width;
        parameter->sizes[1] = part->width;
        parameter->start = is_table ? START_NORMAL : START_FAN_IN;
        parameter->fan_in = 1;
    }
}

static void list_roles(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    const struct role *roles = layer_kinds[layer->kind].roles;
    for (unsigned r = 0; r < SPEC_MAX_ROLES && roles[r].key; r++) {
        const struct tensor_stack *stack = &layer->tensors[r];
        for (uint32_t p = 0; p < stack->n_parts; p++) {
            struct spec_parameter *parameter = add(lister, stack->parts[p].name, number);
            for (unsigned d = stack->n_parts > 1; d < 3 && roles[r].dims[d] != DIM_NONE; d++)
                parameter->sizes[parameter->n_dims++] = size_of(layer, roles[r].dims[d]);
            parameter->start = roles[r].start;
            parameter->fan_in = layer->n_in;
            parameter->is_trained = !roles[r].is_statistic;
        }
    }
}

static void list_output(struct lister *lister, uint32_t number)
{
    const struct spec_layer *layer = &lister->spec->layers[number];
    const struct tensor_stack *whole = &layer->tensors[ROLE_WEIGHT];
    const struct tensor_stack *first = layer->weights ? &layer->weights[0] : whole;
    for (uint32_t i = 0; i < (layer->weights ? layer->n_inputs : 1); i++) {
        const struct tensor_stack *weight = layer->weights ? &layer->weights[i] : whole;
        if (weight->n_parts == 0)
            continue;
        const bool is_shared = i > 0 && text_equal(weight->parts[0].name, first->parts[0].name);
        if (is_shared)
            continue;
        struct spec_parameter *parameter = add(lister, weight->parts[0].name, number);
        const bool is_whole = !layer->weights || weight->parts[0].n_rows;
        parameter->n_dims = 2;
        parameter->sizes[0] = 1;
        parameter->sizes[1] = is_whole ? layer->n_in
                                       : width_before(lister->spec, layer, i + 1) -
                                             width_before(lister->spec, layer, i);
        parameter->start = START_FAN_IN;
        parameter->fan_in = layer->n_in;
    }
    for (uint32_t p = 0; p < layer->tensors[ROLE_BIAS].n_parts; p++) {
        struct spec_parameter *bias = add(lister, layer->tensors[ROLE_BIAS].parts[p].name, number);
        bias->n_dims = 1;
        bias->sizes[0] = 1;
        bias->start = START_FAN_IN;
        bias->fan_in = layer->n_in;
    }
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
                    struct spec_parameter **ret, uint32_t *ret_n)
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

/* ---- numbers ---- */

struct spec_size spec_size(const struct network_spec *spec)
{
    struct spec_size size = {0};
    for (uint32_t i = 0; i < spec->n_layers; i++) {
        const struct spec_layer *layer = &spec->layers[i];
        const struct role *roles = layer_kinds[layer->kind].roles;
        for (uint32_t p = 0; p < layer->n_parts; p++)
            if (layer->parts[p].kind == INPUT_TABLE)
                size.n_embedding_parameters +=
                    (uint64_t)layer->parts[p].n_rows * layer->parts[p].width;
        for (unsigned r = 0; r < SPEC_MAX_ROLES && roles[r].key; r++) {
            if (layer->tensors[r].n_parts == 0)
                continue;
            uint64_t n = 1;
            unsigned n_dims = 0;
            for (; n_dims < 3 && roles[r].dims[n_dims] != DIM_NONE; n_dims++)
                n *= size_of(layer, roles[r].dims[n_dims]);
            size.n_parameters += n;
            size.n_multiply_adds += n_dims > 1 || layer->kind == LAYER_CROSS_VECTOR ? n : 0;
        }
        if (layer->kind == LAYER_OUTPUT) {
            size.n_parameters += layer->n_in + layer->tensors[ROLE_BIAS].n_parts;
            size.n_multiply_adds += layer->n_in;
        }
    }
    size.n_parameters += size.n_embedding_parameters;
    return size;
}
