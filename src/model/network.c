/* SPDX-License-Identifier: Apache-2.0 */
/* network.c: a plan made of a spec, and the places of its values. */
#include "model/network.h"

#include <inttypes.h>

#include "memory.h"
#include "model/plan.h"
#include "network/kinds.h"

/* ---- what plan.h gives to layers.c ---- */

void *plan_room(struct plan *plan, size_t n, size_t size)
{
    void *room = arena_calloc(plan->arena, n + 1, size);
    if (room == NULL)
        plan_fail_memory(plan);
    return room;
}

uint32_t plan_add_value(struct plan *plan, size_t width)
{
    const uint32_t value = plan->n_values++;
    if (plan->values)
        plan->values[value] =
            (struct plan_value){.width = (uint32_t)width, .first_op = plan->n_ops};
    return value;
}

struct plan_place plan_place(struct plan *plan, uint32_t value)
{
    return (struct plan_place){.value = value,
                               .width = plan->values ? plan->values[value].width : 1};
}

static void read_by(struct plan *plan, const struct plan_place *place, uint32_t op)
{
    if (place->width && plan->values[place->value].last_op < op)
        plan->values[place->value].last_op = op;
}

struct op *plan_add_op(struct plan *plan, struct op op)
{
    const uint32_t number = plan->n_ops++;
    if (plan->ops == NULL)
        return NULL;
    plan->ops[number] = op;
    read_by(plan, &op.in, number);
    read_by(plan, &op.x0, number);
    read_by(plan, &op.c, number);
    read_by(plan, &op.gates, number);
    read_by(plan, &op.out, number);
    for (size_t t = 0; t < op.n_terms; t++)
        read_by(plan, &op.terms[t].in, number);
    return &plan->ops[number];
}

uint32_t plan_input(struct plan *plan, const struct spec_layer *layer)
{
    if (layer->n_inputs == 1)
        return plan->layer_values[layer->inputs[0]];
    struct output_term *terms = plan_room(plan, layer->n_inputs, sizeof *terms);
    if (terms == NULL)
        return 0;
    for (uint32_t i = 0; i < layer->n_inputs; i++)
        terms[i].in = plan_place(plan, plan->layer_values[layer->inputs[i]]);
    const uint32_t value = plan_add_value(plan, layer->n_in);
    plan_add_op(plan, (struct op){.run = op_join,
                                  .terms = terms,
                                  .n_terms = layer->n_inputs,
                                  .out = plan_place(plan, value)});
    return value;
}

static void make_layers(struct plan *plan)
{
    plan->n_ops = plan->n_values = 0;
    plan->n_floats = 0;
    for (uint32_t i = 0; i < plan->spec->n_layers && !plan->failed; i++)
        plan->layer_values[i] = plan_layer(plan, &plan->spec->layers[i]);
}

/* ---- places ---- */

/* A stretch of the scratch memory that no value holds. */
struct gap {
    size_t at, size;
};

struct layout {
    struct plan *plan;
    struct gap *gaps; /* [n_values] at most */
    size_t n_gaps, end;
};

static size_t size_of(const struct plan_value *value)
{
    return NETWORK_BLOCK_ROWS * kernel_padded(value->width);
}

static size_t take(struct layout *layout, size_t size)
{
    for (size_t i = 0; i < layout->n_gaps; i++) {
        struct gap *gap = &layout->gaps[i];
        if (gap->size < size)
            continue;
        const size_t at = gap->at;
        gap->at += size;
        gap->size -= size;
        if (gap->size == 0)
            *gap = layout->gaps[--layout->n_gaps];
        return at;
    }
    layout->end += size;
    return layout->end - size;
}

/* Whether `out` may stand where `place` does: nobody reads that value behind this operation. */
static bool may_replace(const struct plan *plan, const struct op *op,
                        const struct plan_place *place)
{
    const struct plan_value *from = &plan->values[place->value], *to = &plan->values[op->out.value];
    return place->width && op->out.value != place->value && from->width == to->width &&
           from->last_op == (uint32_t)(op - plan->ops);
}

/* The place of the value that an operation makes. */
static void place_out(struct layout *layout, const struct op *op)
{
    struct plan *plan = layout->plan;
    struct plan_value *value = &plan->values[op->out.value];
    const struct plan_place *replaced = op->run == op_activate ? &op->in : &op->c;
    if (value->first_op != (uint32_t)(op - plan->ops))
        return; /* made before: it is changed in its place */
    if (may_replace(plan, op, replaced)) {
        value->at = plan->values[replaced->value].at;
        plan->values[replaced->value].width = 0; /* its place has gone on */
        return;
    }
    value->at = take(layout, size_of(value));
}

static void free_places(struct layout *layout, uint32_t op)
{
    struct plan *plan = layout->plan;
    for (uint32_t v = 0; v < plan->n_values; v++) {
        struct plan_value *value = &plan->values[v];
        if (value->width == 0 || value->last_op != op || value->first_op > op)
            continue;
        layout->gaps[layout->n_gaps++] = (struct gap){value->at, size_of(value)};
        value->width = 0;
    }
}

static void set_place(const struct plan *plan, struct plan_place *place)
{
    if (place->width == 0)
        return;
    place->at = plan->values[place->value].at;
    place->stride = kernel_padded(place->width);
}

static int lay_out(struct plan *plan, size_t *ret_floats)
{
    struct layout layout = {.plan = plan};
    layout.gaps = arena_calloc(plan->arena, (size_t)plan->n_values + 1, sizeof *layout.gaps);
    if (layout.gaps == NULL)
        return format_error_memory(plan->error);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct op *op = &plan->ops[i];
        place_out(&layout, op);
        if (op->run == op_output) /* two places of its own */
            plan->values[op->gates.value].at =
                take(&layout, size_of(&plan->values[op->gates.value]));
        free_places(&layout, i);
    }
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct op *op = &plan->ops[i];
        set_place(plan, &op->in);
        set_place(plan, &op->x0);
        set_place(plan, &op->c);
        set_place(plan, &op->gates);
        set_place(plan, &op->out);
        for (size_t t = 0; t < op->n_terms; t++)
            set_place(plan, (struct plan_place *)&op->terms[t].in);
    }
    *ret_floats = layout.end;
    return 0;
}

/* ---- the network ---- */

/* The operation that has the tables, and how much of it each linear layer asks for ahead. */
static void set_ahead(struct network *network)
{
    size_t n_linear = 0;
    const struct op *op = network->ops;
    for (size_t i = 0; i < network->n_ops; i++)
        n_linear += network->ops[i].linear.n_out > 0;
    while (op->run != op_gather && op->run != op_output)
        op++;
    network->x0 = op;
    network->n_ahead = n_linear ? (op->n_parts + n_linear - 1) / n_linear : 0;
}

static int count(struct plan *plan)
{
    plan->layer_values =
        arena_calloc(plan->arena, (size_t)plan->spec->n_layers + 1, sizeof *plan->layer_values);
    if (plan->layer_values == NULL)
        return format_error_memory(plan->error);
    make_layers(plan);
    if (plan->failed)
        return -1;
    const size_t n_floats = plan->n_floats + KERNEL_LANES;
    if (n_floats > plan->memory->most_bytes / sizeof(float))
        return format_error_set(plan->error, FORMAT_NO_OFFSET,
                                "its tensors are %zu MB, far more than the file: they repeat its "
                                "values",
                                n_floats * sizeof(float) >> 20);
    return 0;
}

int network_load(struct network *network, struct arena *arena, const struct network_spec *spec,
                 const struct tensor_list *list, const struct network_memory *memory,
                 struct format_error *error)
{
    struct plan plan = {
        .spec = spec, .list = list, .memory = memory, .arena = arena, .error = error};
    *network = (struct network){.spec = spec};
    if (count(&plan) != 0)
        return -1;
    network->n_weights = plan.n_floats + KERNEL_LANES;
    network->weights = memory_alloc(network->n_weights * sizeof(float)); /* zeros: the padding */
    plan.ops = arena_calloc(arena, (size_t)plan.n_ops + 1, sizeof *plan.ops);
    plan.values = arena_calloc(arena, (size_t)plan.n_values + 1, sizeof *plan.values);
    if (network->weights == NULL || plan.ops == NULL || plan.values == NULL) {
        network_free(network);
        return format_error_memory(error);
    }
    plan.at = network->weights;
    make_layers(&plan);
    if (plan.failed || lay_out(&plan, &network->scratch_floats) != 0) {
        network_free(network);
        return -1;
    }
    network->ops = plan.ops;
    network->n_ops = plan.n_ops;
    set_ahead(network);
    return 0;
}

void network_free(struct network *network)
{
    memory_free(network->weights, network->n_weights * sizeof(float));
    network->weights = NULL;
}
