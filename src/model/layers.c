/* SPDX-License-Identifier: Apache-2.0 */
/* layers.c: the operations of each kind of layer; network/kinds.h has their formulas. */
#include "model/plan.h"
#include "network/kinds.h"

static struct plan_place value_of(struct plan *plan, uint32_t layer)
{
    return plan_place(plan, plan->layer_values[layer]);
}

/* Adds an operation that makes a new value. */
static uint32_t make(struct plan *plan, size_t width, struct op op)
{
    const uint32_t value = plan_add_value(plan, width);
    op.out = plan_place(plan, value);
    plan_add_op(plan, op);
    return value;
}

static uint32_t make_linear(struct plan *plan, uint32_t input, struct linear linear)
{
    return make(plan, linear.n_out,
                (struct op){.run = op_linear, .in = plan_place(plan, input), .linear = linear});
}

static struct activation plain_activation(enum activation_name name, float slope)
{
    static const enum activation_kind kinds[ACTIVATE_N_NAMES] = {
        [ACTIVATE_NONE] = ACTIVATION_NONE,
        [ACTIVATE_RELU] = ACTIVATION_RELU,
        [ACTIVATE_LEAKY_RELU] = ACTIVATION_LEAKY_RELU,
        [ACTIVATE_PRELU] = ACTIVATION_PRELU,
        [ACTIVATE_GELU] = ACTIVATION_GELU,
        [ACTIVATE_GELU_TANH] = ACTIVATION_GELU_TANH,
        [ACTIVATE_SILU] = ACTIVATION_SILU,
        [ACTIVATE_SIGMOID] = ACTIVATION_SIGMOID,
        [ACTIVATE_TANH] = ACTIVATION_TANH,
        [ACTIVATE_ELU] = ACTIVATION_ELU,
        [ACTIVATE_DICE] = ACTIVATION_DICE,
        [ACTIVATE_DICE_ROW] = ACTIVATION_DICE_ROW,
        [ACTIVATE_SWISH_LAYER_NORM] = ACTIVATION_SWISH_LAYER_NORM};
    return (struct activation){.kind = kinds[name], .slope = slope};
}

static uint32_t make_activation(struct plan *plan, uint32_t input, size_t width,
                                struct activation activation)
{
    if (activation.kind == ACTIVATION_NONE)
        return input;
    return make(
        plan, width,
        (struct op){.run = op_activate, .in = plan_place(plan, input), .activation = activation});
}

/* ---- layers of one input ---- */

static uint32_t plan_input_layer(struct plan *plan, const struct spec_layer *layer)
{
    struct gather_part *parts = plan_room(plan, layer->n_parts, sizeof *parts);
    uint32_t first = 0;
    if (parts == NULL)
        return 0;
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        const struct spec_input *input = &layer->parts[i];
        const struct tensor_stack vector = {&input->tensor, 1};
        parts[i] = (struct gather_part){.input = input,
                                        .n_rows = input->n_rows,
                                        .width = input->width,
                                        .source = input->source,
                                        .first = first,
                                        .is_table = input->kind == INPUT_TABLE};
        if (input->kind == INPUT_TABLE)
            parts[i].values = plan_table(plan, &input->tensor);
        else if (input->kind == INPUT_TIMES)
            parts[i].values = plan_vector(plan, &vector, input->width, 0);
        first += input->width;
    }
    return make(plan, layer->n_out,
                (struct op){.run = op_gather, .parts = parts, .n_parts = layer->n_parts});
}

static uint32_t plan_linear_layer(struct plan *plan, const struct spec_layer *layer)
{
    const float *bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0);
    return make_linear(
        plan, plan_input(plan, layer),
        plan_linear(plan, &layer->tensors[ROLE_WEIGHT], 0, false, bias, layer->n_in, layer->n_out));
}

static uint32_t plan_batch_norm(struct plan *plan, const struct spec_layer *layer)
{
    struct activation affine = {.kind = ACTIVATION_AFFINE};
    plan_affine(plan, layer, &affine.scale, &affine.shift);
    return make_activation(plan, plan_input(plan, layer), layer->n_out, affine);
}

static struct activation norm_of(struct plan *plan, const struct spec_layer *layer,
                                 enum activation_kind kind)
{
    return (struct activation){
        .kind = kind,
        .eps = (double)layer->epsilon,
        .gamma = plan_vector(plan, &layer->tensors[ROLE_WEIGHT], layer->n_out, 1),
        .beta = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0)};
}

static uint32_t plan_layer_norm(struct plan *plan, const struct spec_layer *layer)
{
    return make_activation(plan, plan_input(plan, layer), layer->n_out,
                           norm_of(plan, layer, ACTIVATION_LAYER_NORM));
}

/* A ReLU right behind a linear layer that nobody else reads is done in that layer's registers. */
static bool fuse_relu(struct plan *plan, const struct spec_layer *layer, uint32_t input)
{
    const struct spec_layer *before = &plan->spec->layers[layer->inputs[0]];
    if (layer->activation != ACTIVATE_RELU || layer->n_inputs != 1 ||
        before->kind != LAYER_LINEAR || plan->n_ops == 0)
        return false;
    struct op *last = plan->ops ? &plan->ops[plan->n_ops - 1] : NULL;
    if (spec_count_readers(plan->spec, layer->inputs[0]) != 1 ||
        (last && last->out.value != input) || layer != before + 1)
        return false;
    if (last)
        last->run = op_linear_relu;
    return true;
}

static uint32_t plan_activation(struct plan *plan, const struct spec_layer *layer)
{
    const uint32_t input = plan_input(plan, layer);
    struct activation activation = plain_activation(layer->activation, layer->slope);
    if (fuse_relu(plan, layer, input))
        return input;
    switch (layer->activation) {
    case ACTIVATE_PRELU:
        activation.slopes = plan_vector(plan, &layer->tensors[PRELU_SLOPE], layer->n_out, 0);
        break;
    case ACTIVATE_DICE:
        activation.slopes = plan_vector(plan, &layer->tensors[DICE_ALPHA], layer->n_out, 0);
        plan_affine(plan, layer, &activation.scale, &activation.shift);
        break;
    case ACTIVATE_DICE_ROW:
        activation.slope = plan_number(plan, &layer->tensors[DICE_ALPHA]);
        break;
    case ACTIVATE_SWISH_LAYER_NORM:
        activation = norm_of(plan, layer, ACTIVATION_SWISH_LAYER_NORM);
        break;
    default:
        break;
    }
    return make_activation(plan, input, layer->n_out, activation);
}

/* ---- cross layers ---- */

static uint32_t plan_cross_full(struct plan *plan, const struct spec_layer *layer)
{
    const uint32_t c = plan_input(plan, layer);
    const bool is_outside = layer->has_bias_outside;
    const float *bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0);
    const float *inside = is_outside ? plan_vector(plan, NULL, layer->n_out, 0) : bias;
    const uint32_t y = make_linear(plan, c,
                                   plan_linear(plan, &layer->tensors[ROLE_WEIGHT], 0, false, inside,
                                               layer->n_in, layer->n_out));
    return make(plan, layer->n_out,
                (struct op){.run = is_outside ? op_multiply_add_bias : op_multiply_add,
                            .x0 = value_of(plan, layer->x0),
                            .in = plan_place(plan, y),
                            .c = plan_place(plan, c),
                            .bias = bias});
}

static uint32_t plan_cross_vector(struct plan *plan, const struct spec_layer *layer)
{
    return make(
        plan, layer->n_out,
        (struct op){.run = op_cross_vector,
                    .x0 = value_of(plan, layer->x0),
                    .c = plan_place(plan, plan_input(plan, layer)),
                    .weight = plan_vector(plan, &layer->tensors[ROLE_WEIGHT], layer->n_in, 0),
                    .bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0)});
}

/* U f(C f(V c)) + b of one expert; without C U f(V c) + b. */
static uint32_t plan_expert(struct plan *plan, const struct spec_layer *layer, uint32_t expert,
                            bool is_stacked, const float *bias, uint32_t c)
{
    const struct activation inside = plain_activation(layer->activation, layer->slope);
    const uint32_t rank = layer->rank;
    uint32_t low = make_linear(plan, c,
                               plan_linear(plan, &layer->tensors[CROSS_V], expert, is_stacked,
                                           plan_vector(plan, NULL, rank, 0), layer->n_in, rank));
    low = make_activation(plan, low, rank, inside);
    if (layer->tensors[CROSS_C].n_parts) {
        low = make_linear(plan, low,
                          plan_linear(plan, &layer->tensors[CROSS_C], expert, is_stacked,
                                      plan_vector(plan, NULL, rank, 0), rank, rank));
        low = make_activation(plan, low, rank, inside);
    }
    return make_linear(
        plan, low,
        plan_linear(plan, &layer->tensors[CROSS_U], expert, is_stacked, bias, rank, layer->n_out));
}

static uint32_t plan_cross_low_rank(struct plan *plan, const struct spec_layer *layer)
{
    const uint32_t c = plan_input(plan, layer);
    const float *bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0);
    const uint32_t y = plan_expert(plan, layer, 0, false, bias, c);
    return make(plan, layer->n_out,
                (struct op){.run = op_multiply_add,
                            .x0 = value_of(plan, layer->x0),
                            .in = plan_place(plan, y),
                            .c = plan_place(plan, c)});
}

static uint32_t plan_gates(struct plan *plan, const struct spec_layer *layer, uint32_t c)
{
    const uint32_t n = layer->n_experts;
    const float *bias = plan_vector(plan, &layer->tensors[CROSS_GATE_BIAS], n, 0);
    const uint32_t gates = make_linear(
        plan, c, plan_linear(plan, &layer->tensors[CROSS_GATE], 0, false, bias, layer->n_in, n));
    plan_add_op(plan, (struct op){.run = op_softmax,
                                  .in = plan_place(plan, gates),
                                  .out = plan_place(plan, gates)});
    return gates;
}

static uint32_t plan_cross_mixture(struct plan *plan, const struct spec_layer *layer)
{
    const uint32_t c = plan_input(plan, layer);
    const float *bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0);
    const bool has_gates = layer->tensors[CROSS_GATE].n_parts > 0;
    const uint32_t gates = has_gates ? plan_gates(plan, layer, c) : 0;
    uint32_t sum = c;
    for (uint32_t e = 0; e < layer->n_experts; e++) {
        const uint32_t y = plan_expert(plan, layer, e, true, bias, c);
        sum = make(plan, layer->n_out,
                   (struct op){.run = has_gates ? op_mixture_add : op_multiply_add,
                               .gates = has_gates ? plan_place(plan, gates)
                                                  : (struct plan_place){.value = SPEC_NONE},
                               .gate = e,
                               .x0 = value_of(plan, layer->x0),
                               .in = plan_place(plan, y),
                               .c = plan_place(plan, sum)});
    }
    return sum;
}

static uint32_t plan_cross_layer_norm(struct plan *plan, const struct spec_layer *layer)
{
    const uint32_t c = plan_input(plan, layer);
    const float *bias = plan_vector(plan, &layer->tensors[ROLE_BIAS], layer->n_out, 0);
    const uint32_t y = make_linear(
        plan, c,
        plan_linear(plan, &layer->tensors[ROLE_WEIGHT], 0, false, bias, layer->n_in, layer->n_out));
    return make(
        plan, layer->n_out,
        (struct op){.run = op_layer_norm_add,
                    .in = plan_place(plan, y),
                    .c = plan_place(plan, c),
                    .weight =
                        plan_vector(plan, &layer->tensors[CROSS_NORM_WEIGHT], layer->n_out, 1),
                    .bias = plan_vector(plan, &layer->tensors[CROSS_NORM_BIAS], layer->n_out, 0)});
}

static uint32_t plan_cross_gated(struct plan *plan, const struct spec_layer *layer)
{
    const struct tensor_stack *tensors = layer->tensors;
    const uint32_t c = plan_input(plan, layer), width = layer->n_out;
    const float *bias = plan_vector(plan, &tensors[ROLE_BIAS], width, 0);
    const float *gate_bias = plan_vector(plan, &tensors[GATED_GATE_BIAS], width, 0);
    const uint32_t y = make_linear(
        plan, c, plan_linear(plan, &tensors[ROLE_WEIGHT], 0, false, bias, layer->n_in, width));
    const uint32_t gates = make_linear(
        plan, c, plan_linear(plan, &tensors[GATED_GATE], 0, false, gate_bias, layer->n_in, width));
    return make(plan, width,
                (struct op){.run = op_cross_gated,
                            .x0 = value_of(plan, layer->x0),
                            .in = plan_place(plan, y),
                            .gates = plan_place(plan, gates),
                            .c = plan_place(plan, c)});
}

/* ---- the output ---- */

static uint32_t plan_output(struct plan *plan, const struct spec_layer *layer)
{
    struct output_term *terms = plan_room(plan, layer->n_inputs, sizeof *terms);
    float constant = 0;
    if (terms == NULL)
        return 0;
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        terms[i].in = value_of(plan, layer->inputs[i]);
        const size_t width = plan->spec->layers[layer->inputs[i]].n_out;
        terms[i].weight = plan_vector(plan, layer->weights ? &layer->weights[i] : NULL, width, 1);
    }
    for (uint32_t i = 0; i < layer->tensors[ROLE_BIAS].n_parts; i++)
        constant +=
            plan_number(plan, &(struct tensor_stack){&layer->tensors[ROLE_BIAS].parts[i], 1});
    /* The partial sums and the logits of the rows, in double. */
    const uint32_t sums = plan_add_value(plan, 2 * KERNEL_LANES);
    const uint32_t logits = plan_add_value(plan, 2);
    plan_add_op(plan, (struct op){.run = op_output,
                                  .terms = terms,
                                  .n_terms = layer->n_inputs,
                                  .constant = constant,
                                  .gates = plan_place(plan, logits),
                                  .out = plan_place(plan, sums)});
    return sums;
}

uint32_t plan_layer(struct plan *plan, const struct spec_layer *layer)
{
    static uint32_t (*const makers[LAYER_N_KINDS])(struct plan *, const struct spec_layer *) = {
        [LAYER_INPUT] = plan_input_layer,
        [LAYER_LINEAR] = plan_linear_layer,
        [LAYER_BATCH_NORM] = plan_batch_norm,
        [LAYER_LAYER_NORM] = plan_layer_norm,
        [LAYER_ACTIVATION] = plan_activation,
        [LAYER_CROSS_FULL] = plan_cross_full,
        [LAYER_CROSS_VECTOR] = plan_cross_vector,
        [LAYER_CROSS_LOW_RANK] = plan_cross_low_rank,
        [LAYER_CROSS_MIXTURE] = plan_cross_mixture,
        [LAYER_CROSS_LAYER_NORM] = plan_cross_layer_norm,
        [LAYER_CROSS_GATED] = plan_cross_gated,
        [LAYER_OUTPUT] = plan_output};
    return makers[layer->kind](plan, layer);
}
