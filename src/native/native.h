/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.h: what the native backend is made of; backend.h is its contract.
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

#include "native/team.h"
#include "native/train_kernels.h"
#include "train/backend.h"

enum {
    BLOCK_ROWS_MAX = 48, /* rows that go through the layers together */
    NATIVE_EMBEDDING_MAX = 4096
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
    char *memory; /* [n_rows] records of row_bytes */
    /* of the batch */
    uint32_t *slots;    /* [batch_rows] */
    uint32_t *distinct; /* [n_distinct] */
    float *sums;        /* gradients, [n_distinct][row_width] */
    uint32_t n_distinct;
    uint32_t capacity; /* of distinct and sums */
    bool is_outside;   /* an index was, or memory was not enough */
};

/* A linear layer, where its parameters stand in the flat arrays, and the batch's values, each
 * [batch_rows] rows of `stride`. */
struct layer {
    struct linear forward;
    struct linear backward; /* transposed, without a bias: packed again after each step */
    size_t weight, bias;
    size_t gamma, beta; /* of CROSS_LAYER_NORM */
    size_t input_stride, stride;
    const float *input; /* [batch_rows] rows of input_stride */
    float *output;      /* after a deep layer's ReLU; before the rest of a cross layer */
    float *delta;       /* gradient of the linear output */
    /* of cross layers: c after it, gradients of that and of the input */
    float *result;
    float *delta_result;
    float *delta_input;
};

/* What one task of the third job computes. */
struct part {
    enum { PART_PANEL, PART_VECTORS, PART_OUTPUT } kind;
    bool is_normed;
    const struct layer *layer;
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
    const struct network_shape *shape;
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
    size_t row_width; /* embedding, padded */
    size_t row_bytes;
    struct table *tables;
    uint32_t stamp;

    /* layers */
    size_t n_flat;
    float *p, *g, *m, *v; /* [n_flat] */
    struct layer cross[SHAPE_MAX_LAYERS], deep[SHAPE_MAX_LAYERS];
    size_t width, deep_width; /* of c and of d */
    size_t stride;
    size_t output_cross, output_deep, output_bias;
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
    float *x0, *dx0;            /* [batch_rows] of stride */
    float *c_last, *delta_last; /* after all cross layers */
    float *delta_first;         /* of x0, as far as it comes through the cross layers */
    const float *d_last;        /* after all deep layers */
    size_t d_stride;
    float *scores, *dz; /* [batch_rows] */
    double *losses;     /* [batch_rows] */
    float *buffers;     /* all of these */
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
