/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.h: what the native backend is made of; backend.h is its contract.
 *
 * The layers of the spec become a plan that runs both ways: for each layer a row of native_layers.c
 * with its forward and its backward operation. A kind without a row cannot be trained here.
 *
 * The parameters outside the tables (layers, layer norms, output) stand in one flat array, each
 * weight in the panels of kernels/kernels.h; gradients and moments stand in arrays of the same
 * layout, so Adam is one loop over them. A row of a table keeps its parameters, its moments and
 * the step they are of in one record.
 *
 * A step is three jobs of the team, whose tasks write to places of their own:
 *   1. each table: which rows the batch reads, and what they missed since they were last read
 *   2. each block of rows: forward, loss, backward; activations and deltas stay for the batch
 *   3. each panel of weights and each table: gradient, each sum in the order of rows, and Adam
 * so that no sum depends on the number of threads. Between ranks, job 3 is done in two halves.
 */
#ifndef DCNV2_NATIVE_NATIVE_H
#define DCNV2_NATIVE_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "native/team.h"
#include "native/train_kernels.h"
#include "torch/ranks.h"

enum {
    BLOCK_ROWS_MAX = 48, /* rows that go through the layers together */
    NATIVE_EMBEDDING_MAX = 4096,
    LAYER_INPUTS_MAX = 2,
    LAYER_VECTORS_MAX = 3
};

/* One row of a table. */
struct row {
    uint32_t last;  /* the step that its values are of; ROW_UNTOUCHED */
    uint32_t stamp; /* of the batch that read it last */
    uint32_t slot;  /* its number among the rows of that batch */
    uint32_t unused[5];
    float values[]; /* p, m, v: [3][row_width], zeros in the padding */
};

#define ROW_UNTOUCHED UINT32_MAX /* m and v are 0: no step changes it */

struct table {
    uint32_t n_rows;
    uint32_t parameter; /* its number among the network's */
    uint32_t word;      /* of a record: the row's number */
    size_t first;       /* of x0: the column that the table begins at */
    char *memory;       /* [n_rows] records of row_bytes */
    /* of the batch */
    uint32_t *slots;    /* [batch_rows] */
    uint32_t *distinct; /* [n_distinct] */
    float *sums;        /* gradients, [n_distinct][row_width] */
    uint32_t n_distinct;
    uint32_t capacity; /* of distinct and sums */
    bool is_outside;   /* an index was, or memory was not enough */
};

struct backend;
struct layout;

/* A column of a record that goes into x0. */
struct column {
    uint32_t word;
    const struct table *table; /* NULL: a number */
};

/* What a layer makes of the batch, and the gradient of the loss by it: [batch_rows] rows of
 * `stride`. */
struct value {
    size_t width, stride;
    float *rows, *gradient;
};

/* A parameter that is a vector, or a part of one. Its gradient is the sum of the batch's rows, each
 * times its factor; without rows, of the factors. */
struct vector {
    size_t place, width;  /* in the flat arrays */
    const float *factors; /* [batch_rows], NULL: ones */
    const float *rows;
    size_t stride;
};

/* A layer of the spec in the plan: native_layers.c says by its kind which members it has. */
struct layer {
    const struct layer_class *class;
    const struct value *inputs[LAYER_INPUTS_MAX];
    bool is_added[LAYER_INPUTS_MAX]; /* backward, a later layer has begun the input's gradient */
    uint32_t n_inputs;
    const struct value *x0;
    bool is_x0_added;
    const struct value *value; /* an activation has that of the linear layer before it */
    bool has_relu;             /* a linear layer, in the same kernel */
    struct linear forward;     /* n_out 0: there is none */
    struct linear backward;    /* transposed, without a bias: packed again after each step */
    size_t weight;
    float *product, *delta; /* the linear output, and the gradient of it; as a value's */
    struct vector vectors[LAYER_VECTORS_MAX];
    uint32_t n_vectors;
};

/* What the backend can do with a kind of layer. */
struct layer_class {
    bool has_product; /* its linear output is not its value */
    bool is_in_place; /* its value is its input's, and so is the gradient */
    bool reads_x0;
    /* Of a plain layer (network/parameters.h): whether it can be computed. */
    bool (*is_possible)(const struct network_spec *spec, const struct spec_layer *layer);
    /* Places for its parameters. */
    void (*lay_out)(struct layout *layout, struct layer *layer, const struct spec_layer *of);
    /* Of rows first .. first + n - 1 of the batch: its value; the gradients of what it reads, from
     * that of its value. scratch: [n] rows of the widest stride. Either may be NULL. */
    void (*forward)(const struct backend *backend, const struct layer *layer, uint32_t first,
                    uint32_t n);
    void (*backward)(const struct backend *backend, const struct layer *layer, uint32_t first,
                     uint32_t n, float *scratch);
};

/* By enum layer_kind; NULL: such a layer cannot be trained. native_layers.c */
extern const struct layer_class *const layer_classes[LAYER_N_KINDS];

/* Where a parameter outside the tables stands, or a part of it from element `first` on. */
struct home {
    uint32_t parameter;
    const struct layer *layer; /* the weight of its linear layer; NULL: a vector */
    size_t first, place, width;
};

/* What one task of the third job computes. */
struct part {
    const struct layer *layer;
    bool is_vectors; /* else a panel of the weight */
    size_t panel;
};

struct pending {
    struct row *row;
    uint32_t n_steps; /* that it has missed */
};

enum { PENDING_MAX = 4096 };

/* One thread's. */
struct scratch {
    float *rows;             /* [BLOCK_ROWS_MAX] of the widest stride */
    struct row *idle;        /* stands in where fewer rows are left than a kernel takes */
    struct pending *pending; /* [PENDING_MAX] */
    uint32_t n_pending;
};

struct backend {
    const struct network_spec *spec;
    const struct ranks *ranks; /* NULL: one */
    const struct kernels *kernels;
    struct train_kernels train;
    struct team *team;
    unsigned n_threads;
    struct scratch *scratch; /* [n_threads] */

    /* Adam */
    struct adam_options adam;
    struct adam_constants constants;
    uint32_t n_steps;
    uint32_t first_step;     /* the count of steps at the last load */
    uint32_t shrinking_from; /* from this step on, steps without gradients only get smaller */
    struct adam_step *steps; /* [n_known], of steps first_step + 1 .. */
    size_t n_known, steps_capacity;

    /* tables */
    size_t embedding; /* width of every table */
    size_t row_width; /* padded */
    size_t row_bytes;
    struct table *tables;
    uint32_t n_tables;
    uint32_t stamp;
    struct column *columns; /* [n_columns] of x0, in its order */
    uint32_t n_columns;

    /* layers */
    size_t n_flat;
    float *p, *g, *m, *v; /* [n_flat] */
    struct value *values; /* [n_layers], by layer of the spec */
    struct layer *layers; /* [n_layers] */
    uint32_t n_layers;
    struct home *homes; /* [n_homes] */
    uint32_t n_homes;
    struct part *parts;
    uint32_t n_parts;
    float *transposed; /* all layers' second packing */
    size_t n_transposed;

    /* the batch */
    uint32_t batch_rows, block_rows;
    const uint32_t *const *rows;
    uint32_t n_rows;
    float factor; /* 1 / all ranks' rows */
    bool is_training;
    size_t widest;      /* the largest stride of a value */
    float *scores, *dz; /* [batch_rows] */
    double *losses;     /* [batch_rows] */
    float *buffers;     /* all of these, and those of values and layers */
    size_t n_buffers;
};

static inline struct row *table_row(const struct backend *backend, const struct table *table,
                                    uint32_t row)
{
    return (struct row *)(void *)(table->memory + row * backend->row_bytes);
}

/* native_layout.c: memory. */
int native_lay_out(struct backend *backend, struct train_error *error);
void native_free(struct backend *backend);

/* The network's parameters, of which each layer takes its own. */
struct layout {
    struct backend *backend;
    const struct spec_parameter *parameters; /* [n] */
    uint32_t n;
    bool is_shared; /* a layer has found that another holds its parameter */
};

/* Places for a layer's parameters, while they are laid out. Those of a linear layer [n_out, n_in],
 * its weight and its bias; a vector of `width` of the parameter in a role, from element `first`. */
void layout_linear(struct layout *layout, struct layer *layer, size_t n_in, size_t n_out);
struct vector *layout_vector(struct layout *layout, struct layer *layer, uint32_t role,
                             size_t first, size_t width);

/* native_values.c: to and from PyTorch's shapes. Moments may be NULL. */
void native_values_in(struct backend *backend, const struct parameters *values,
                      const struct parameters *moment1, const struct parameters *moment2);
void native_values_out(const struct backend *backend, struct parameters *values,
                       struct parameters *moment1, struct parameters *moment2);
void native_gradients_out(const struct backend *backend, struct parameters *gradients);

/* native_adam.c: steps, and rows that catch up. */
int native_know_step(struct backend *backend, uint32_t step, struct train_error *error);
void native_set_steps(struct backend *backend, uint32_t n_steps);
struct adam_step native_step(const struct backend *backend, uint32_t step);

/* Takes rows to the step n_steps as dense Adam would. rows: [n]; NULL: 0 .. n - 1. Moments of rows
 * that have missed many steps stay behind until native_catch_up_rest(). */
void native_catch_up(struct backend *backend, struct table *table, const uint32_t *rows, uint32_t n,
                     unsigned member);

void native_catch_up_rest(struct backend *backend, unsigned member);

/* native_tables.c: tasks of a table. */
void native_table_read(struct backend *backend, uint32_t table, unsigned member);
void native_table_sum(struct backend *backend, uint32_t table);
void native_table_update(struct backend *backend, uint32_t table);
int native_table_reserve(const struct backend *backend, struct table *table, uint32_t n);

/* native_dense.c: a block of rows through the layers and back; gradient and update of a part. */
void native_block(struct backend *backend, uint32_t block, unsigned member);
void native_part_gradient(struct backend *backend, uint32_t part);
void native_part_update(struct backend *backend, uint32_t part);
void native_part_pack(struct backend *backend, uint32_t part);

/* native_exchange.c: gradients summed over ranks; distinct rows become those of all ranks. */
int native_exchange(struct backend *backend, struct train_error *error);

#endif
