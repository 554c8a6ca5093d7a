/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: the operations of a forward pass, and how they are made.
 *
 * plan.c makes them: twice, first to count operations and floats, then to fill both. layers.c has
 * one function per kind of layer that adds its operations; ops.c and gather.c run them. An
 * operation reads and writes places: activations of a block of rows in the scratch memory. A place
 * is given to another value behind the last operation that reads it.
 */
#ifndef DCNV2_MODEL_PLAN_H
#define DCNV2_MODEL_PLAN_H

#include "model/network.h"

/* A value of a block of rows: [NETWORK_BLOCK_ROWS, stride] floats from scratch + at. */
struct plan_place {
    uint32_t value; /* its number, of plan->values; SPEC_NONE: no place */
    size_t at, stride, width;
};

/* One pass over a block of rows. */
struct pass {
    const struct kernels *kernels;
    float *scratch;
    const struct network_batch *batch;
    size_t first, n; /* rows first .. first + n - 1 of the batch */
    float *scores;   /* of the block */
    float *logits;   /* of the block; NULL: not wanted */
    struct ahead *ahead;
};

/* A part of an input layer, see struct spec_input: what a row needs of it side by side. */
struct gather_part {
    const float *values; /* the table [n_rows, width], or the vector [width] */
    uint32_t n_rows, width;
    uint32_t source;
    uint32_t first; /* its place in the row */
    bool is_table;
    const struct spec_input *input;
};

/* An input of the output layer. */
struct output_term {
    struct plan_place in;
    const float *weight; /* [in.width] */
};

struct op {
    void (*run)(const struct op *op, struct pass *pass);
    struct plan_place in, x0, c, gates, out;
    struct linear linear;
    struct activation activation;
    const float *weight, *bias; /* vectors of the operation */
    float constant;
    size_t gate; /* the column of `gates` */
    const struct gather_part *parts;
    size_t n_parts;
    const struct output_term *terms;
    size_t n_terms;
};

/* ---- the making ---- */

/* A value on its way to a place. */
struct plan_value {
    uint32_t width;
    uint32_t first_op, last_op; /* that writes, that reads last */
    size_t at;
};

struct plan {
    const struct network_spec *spec;
    const struct tensor_list *list;
    const struct network_memory *memory;
    struct arena *arena;
    struct format_error *error;
    struct op *ops; /* NULL while they are counted */
    uint32_t n_ops;
    struct plan_value *values;
    uint32_t n_values;
    uint32_t *layer_values; /* [n_layers]: the value of each layer */
    float *at;              /* the next free float of the weights; NULL while they are counted */
    size_t n_floats;
    bool failed; /* *error is set */
};

/* Out of memory: plan->failed and *error are set, unless they were before. */
void plan_fail_memory(struct plan *plan);

/* Cleared memory of the plan's arena; NULL, and the plan has failed: there is none. */
void *plan_room(struct plan *plan, size_t n, size_t size);

/* A new value, and the place of one. */
uint32_t plan_add_value(struct plan *plan, size_t width);
struct plan_place plan_place(struct plan *plan, uint32_t value);

/* The next operation. Its places that are set are read by it, `out` is written. */
struct op *plan_add_op(struct plan *plan, struct op op);

/* The value that a layer reads: that of its input, or several behind each other. */
uint32_t plan_input(struct plan *plan, const struct spec_layer *layer);

/* Weights, packed; NULL, zeros or empty while they are counted, or if plan->failed. */
const float *plan_vector(struct plan *plan, const struct tensor_stack *stack, size_t width,
                         float otherwise);
const float *plan_table(struct plan *plan, const struct tensor_part *part);
/* Part `index` of a stack of matrices [n_out, n_in], or of its only tensor's first dimension. */
struct linear plan_linear(struct plan *plan, const struct tensor_stack *weight, uint32_t index,
                          bool is_stacked, const float *bias, size_t n_in, size_t n_out);
float plan_number(struct plan *plan, const struct tensor_stack *stack);
/* Batch norm as v * scale + shift: [width] doubles each. */
void plan_affine(struct plan *plan, const struct spec_layer *layer, const double **ret_scale,
                 const double **ret_shift);

/* layers.c: adds the operations of a layer; returns the value that it makes. */
uint32_t plan_layer(struct plan *plan, const struct spec_layer *layer);

/* ---- operations: ops.c, gather.c ---- */

void op_gather(const struct op *op, struct pass *pass);
void op_join(const struct op *op, struct pass *pass); /* terms behind each other */
void op_linear(const struct op *op, struct pass *pass);
void op_linear_relu(const struct op *op, struct pass *pass);
void op_activate(const struct op *op, struct pass *pass); /* in `out`, to which `in` is copied */
void op_softmax(const struct op *op, struct pass *pass);
void op_layer_norm_add(const struct op *op, struct pass *pass);
void op_multiply_add(const struct op *op, struct pass *pass);
void op_multiply_add_bias(const struct op *op, struct pass *pass);
void op_cross_vector(const struct op *op, struct pass *pass);
void op_mixture_add(const struct op *op, struct pass *pass);
void op_cross_gated(const struct op *op, struct pass *pass);
void op_output(const struct op *op, struct pass *pass);

/* Rows of tables that come next, asked for in parts, between operations that hide the misses. */
struct ahead {
    const struct op *gather; /* of which the tables are */
    size_t first, n;         /* rows; n: 0 behind the last block */
    size_t part, n_a_turn;
};
void gather_prefetch(struct ahead *ahead, const struct network_batch *batch);

#endif
