/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinds.h: what each kind of layer is called and holds: one row per kind in kinds.c.
 * docs/extending.md says how to add one.
 *
 *   input         the parts behind each other
 *   linear        W x + b                                       torch.nn.Linear
 *   batch_norm    (x - mean) / sqrt(variance + epsilon) * weight + bias
 *   layer_norm    (x - E[x]) / sqrt(Var[x] + epsilon) * weight + bias
 *   activation    function(x)
 *   cross         x0 * (W x + b) + x                            arXiv:2008.13535, equation 1;
 *                 x0 * (W x) + b + x with "bias_outside"        Torch-RecHub
 *   cross_vector  x0 * (w . x) + b + x                          arXiv:1708.05123, equation 3
 *   cross_low_rank    x0 * (U f(V x) + b) + x                   arXiv:2008.13535, equation 2
 *   cross_mixture     x + sum over e of gate_e * x0 * (U_e f(C_e f(V_e x)) + b)   equation 3;
 *                 gate = softmax(G x + g), one expert has none
 *   cross_layer_norm  LayerNorm(W x + b) + x                    the published TaobaoAd network
 *   cross_gated   x0 * (W x + b) * sigmoid(G x + g) + x         GDCN, arXiv:2311.04635;
 *                 the gate has no bias in FuxiCTR
 *   output        the sum over its inputs of weight . x, and biases: the logit
 */
#ifndef DCNV2_NETWORK_KINDS_H
#define DCNV2_NETWORK_KINDS_H

#include "network/spec.h"

/* A dimension of a tensor, by what it has to be equal to. */
enum dimension { DIM_NONE, DIM_IN, DIM_OUT, DIM_RANK, DIM_EXPERTS, DIM_ONE_OR_OUT, DIM_ONE };

/* The values that training starts from. */
enum start {
    START_UNIFORM, /* torch.nn.Linear: within 1 / sqrt(fan in) */
    START_NORMAL,  /* torch.nn.Embedding: mean 0, deviation 1 */
    START_ZEROS,
    START_ONES
};

struct role {
    const char *key; /* in a model.json; NULL ends the list */
    enum dimension dims[3];
    bool is_optional;
    bool is_statistic; /* of the data: no gradient moves it */
    enum start start;
};

/* Roles by their places in spec_layer.tensors. */
enum { ROLE_WEIGHT = 0, ROLE_BIAS = 1 };
enum { NORM_MEAN = 2, NORM_VARIANCE = 3, DICE_ALPHA = 4, PRELU_SLOPE = 5 };
enum { CROSS_U = 0, CROSS_V = 2, CROSS_C = 3, CROSS_GATE = 4, CROSS_GATE_BIAS = 5 };
enum { CROSS_NORM_WEIGHT = 2, CROSS_NORM_BIAS = 3 };
enum { GATED_GATE = 2, GATED_GATE_BIAS = 3 };

struct kind {
    const char *name;   /* in a model.json */
    const char *people; /* of a cross layer, in a line for people: "2 with layer norm" */
    struct role roles[SPEC_MAX_ROLES + 1];
    bool keeps_width;                                          /* n_out is n_in */
    bool is_cross;                                             /* has x0, whose width is n_in */
    uint64_t (*multiply_adds)(const struct spec_layer *layer); /* per row, see spec_count_layer() */
};

extern const struct kind layer_kinds[LAYER_N_KINDS];

/* Names in a model.json, by enum activation_name and so on. */
extern const char *const activation_names[ACTIVATE_N_NAMES];

/* Which roles an activation needs, as bits: 1 << PRELU_SLOPE. */
extern const unsigned activation_roles[ACTIVATE_N_NAMES];

#endif
