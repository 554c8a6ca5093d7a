/* SPDX-License-Identifier: Apache-2.0 */
#include "network/kinds.h"

#define WIDE(role, value)                                                                          \
    {                                                                                              \
        .key = role, .dims = {DIM_OUT}, .is_optional = true, .start = value                        \
    }
#define STATISTIC(role, value, optional)                                                           \
    {                                                                                              \
        .key = role, .dims = {DIM_OUT}, .is_optional = optional, .is_statistic = true,             \
        .start = value                                                                             \
    }

/* ---- products per row ---- */

enum { NORM = 3 }; /* per element of a layer norm: its square, the factor, the weight */

/* Values times a vector; what the pooling of a list costs depends on the list. */
static uint64_t count_input(const struct spec_layer *layer)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < layer->n_parts; i++)
        n += layer->parts[i].kind == INPUT_TIMES ? layer->parts[i].width : 0;
    return n;
}

static uint64_t count_linear(const struct spec_layer *layer)
{
    return (uint64_t)layer->n_in * layer->n_out;
}

static uint64_t count_batch_norm(const struct spec_layer *layer)
{
    return layer->n_out;
}

static uint64_t count_layer_norm(const struct spec_layer *layer)
{
    return NORM * (uint64_t)layer->n_out;
}

/* Functions of one number are not products. */
static uint64_t count_activation(const struct spec_layer *layer)
{
    (void)layer;
    return 0;
}

static uint64_t count_cross(const struct spec_layer *layer)
{
    return count_linear(layer) + layer->n_out;
}

static uint64_t count_cross_vector(const struct spec_layer *layer)
{
    return 2 * (uint64_t)layer->n_out;
}

/* V x, U .. and x0 * .. of one expert. */
static uint64_t count_low_rank(const struct spec_layer *layer)
{
    return (uint64_t)layer->rank * (layer->n_in + layer->n_out) + layer->n_out;
}

static uint64_t count_mixture(const struct spec_layer *layer)
{
    uint64_t expert = count_low_rank(layer);
    if (layer->tensors[CROSS_C].n_parts)
        expert += (uint64_t)layer->rank * layer->rank;
    if (layer->tensors[CROSS_GATE].n_parts)
        expert += (uint64_t)layer->n_in + layer->n_out; /* the gate's logit, and times the gate */
    return layer->n_experts * expert;
}

static uint64_t count_cross_layer_norm(const struct spec_layer *layer)
{
    return count_linear(layer) + count_layer_norm(layer);
}

/* W x, G x, and the product of three. */
static uint64_t count_cross_gated(const struct spec_layer *layer)
{
    return 2 * count_cross(layer);
}

static uint64_t count_output(const struct spec_layer *layer)
{
    return layer->n_in;
}

/* ---- the table ---- */

const struct kind layer_kinds[LAYER_N_KINDS] = {
    [LAYER_INPUT] = {.name = "input", .multiply_adds = count_input},
    [LAYER_LINEAR] = {.name = "linear",
                      .multiply_adds = count_linear,
                      .roles = {{.key = "weight", .dims = {DIM_OUT, DIM_IN}},
                                WIDE("bias", START_UNIFORM)}},
    [LAYER_BATCH_NORM] = {.name = "batch_norm",
                          .multiply_adds = count_batch_norm,
                          .keeps_width = true,
                          .roles = {WIDE("weight", START_ONES), WIDE("bias", START_ZEROS),
                                    STATISTIC("mean", START_ZEROS, false),
                                    STATISTIC("variance", START_ONES, false)}},
    [LAYER_LAYER_NORM] = {.name = "layer_norm",
                          .multiply_adds = count_layer_norm,
                          .keeps_width = true,
                          .roles = {WIDE("weight", START_ONES), WIDE("bias", START_ZEROS)}},
    [LAYER_ACTIVATION] = {.name = "activation",
                          .multiply_adds = count_activation,
                          .keeps_width = true,
                          .roles = {WIDE("weight", START_ONES),
                                    WIDE("bias", START_ZEROS),
                                    STATISTIC("mean", START_ZEROS, true),
                                    STATISTIC("variance", START_ONES, true),
                                    {.key = "alpha",
                                     .dims = {DIM_ONE_OR_OUT},
                                     .is_optional = true,
                                     .start = START_ZEROS},
                                    {.key = "slope",
                                     .dims = {DIM_ONE_OR_OUT},
                                     .is_optional = true,
                                     .start = START_ZEROS}}},
    [LAYER_CROSS_FULL] = {.name = "cross",
                          .multiply_adds = count_cross,
                          .people = "full",
                          .keeps_width = true,
                          .is_cross = true,
                          .roles = {{.key = "weight", .dims = {DIM_OUT, DIM_IN}},
                                    WIDE("bias", START_UNIFORM)}},
    [LAYER_CROSS_VECTOR] = {.name = "cross_vector",
                            .multiply_adds = count_cross_vector,
                            .people = "of vectors",
                            .keeps_width = true,
                            .is_cross = true,
                            .roles = {{.key = "weight", .dims = {DIM_IN}},
                                      WIDE("bias", START_ZEROS)}},
    [LAYER_CROSS_LOW_RANK] = {.name = "cross_low_rank",
                              .multiply_adds = count_low_rank,
                              .people = "of low rank",
                              .keeps_width = true,
                              .is_cross = true,
                              .roles = {{.key = "u", .dims = {DIM_OUT, DIM_RANK}},
                                        WIDE("bias", START_ZEROS),
                                        {.key = "v", .dims = {DIM_RANK, DIM_IN}}}},
    [LAYER_CROSS_MIXTURE] =
        {.name = "cross_mixture",
         .multiply_adds = count_mixture,
         .people = "of experts",
         .keeps_width = true,
         .is_cross = true,
         .roles = {{.key = "u", .dims = {DIM_EXPERTS, DIM_OUT, DIM_RANK}},
                   WIDE("bias", START_ZEROS),
                   {.key = "v", .dims = {DIM_EXPERTS, DIM_RANK, DIM_IN}},
                   {.key = "c", .dims = {DIM_EXPERTS, DIM_RANK, DIM_RANK}, .is_optional = true},
                   {.key = "gate", .dims = {DIM_EXPERTS, DIM_IN}, .is_optional = true},
                   {.key = "gate_bias", .dims = {DIM_EXPERTS}, .is_optional = true}}},
    [LAYER_CROSS_LAYER_NORM] = {.name = "cross_layer_norm",
                                .multiply_adds = count_cross_layer_norm,
                                .people = "with layer norm",
                                .keeps_width = true,
                                .is_cross = true,
                                .roles = {{.key = "weight", .dims = {DIM_OUT, DIM_IN}},
                                          WIDE("bias", START_UNIFORM),
                                          WIDE("norm_weight", START_ONES),
                                          WIDE("norm_bias", START_ZEROS)}},
    [LAYER_CROSS_GATED] = {.name = "cross_gated",
                           .multiply_adds = count_cross_gated,
                           .people = "with gates",
                           .keeps_width = true,
                           .is_cross = true,
                           .roles = {{.key = "weight", .dims = {DIM_OUT, DIM_IN}},
                                     WIDE("bias", START_ZEROS),
                                     {.key = "gate", .dims = {DIM_OUT, DIM_IN}},
                                     WIDE("gate_bias", START_ZEROS)}},
    [LAYER_OUTPUT] = {.name = "output", .multiply_adds = count_output},
};

const char *const activation_names[ACTIVATE_N_NAMES] = {[ACTIVATE_NONE] = "none",
                                                        [ACTIVATE_RELU] = "relu",
                                                        [ACTIVATE_LEAKY_RELU] = "leaky_relu",
                                                        [ACTIVATE_PRELU] = "prelu",
                                                        [ACTIVATE_GELU] = "gelu",
                                                        [ACTIVATE_GELU_TANH] = "gelu_tanh",
                                                        [ACTIVATE_SILU] = "silu",
                                                        [ACTIVATE_SIGMOID] = "sigmoid",
                                                        [ACTIVATE_TANH] = "tanh",
                                                        [ACTIVATE_ELU] = "elu",
                                                        [ACTIVATE_DICE] = "dice",
                                                        [ACTIVATE_DICE_ROW] = "dice_row",
                                                        [ACTIVATE_SWISH_LAYER_NORM] =
                                                            "swish_layer_norm"};

const unsigned activation_roles[ACTIVATE_N_NAMES] = {
    [ACTIVATE_PRELU] = 1u << PRELU_SLOPE,
    [ACTIVATE_DICE] = 1u << DICE_ALPHA | 1u << NORM_MEAN | 1u << NORM_VARIANCE,
    [ACTIVATE_DICE_ROW] = 1u << DICE_ALPHA,
    [ACTIVATE_SWISH_LAYER_NORM] = 1u << ROLE_WEIGHT | 1u << ROLE_BIAS};
