/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h: what computes gradients and takes Adam's steps: the native one, or libtorch's.
 *
 * A backend owns parameters and both moments of Adam (D. Kingma and J. Ba, arXiv:1412.6980, as
 * torch.optim.Adam computes it: eps is added to the root, bias corrections apply to step size and
 * root). Loss: mean binary cross-entropy of the batch, over all ranks. One thread calls it.
 */
#ifndef DCNV2_BACKEND_BACKEND_H
#define DCNV2_BACKEND_BACKEND_H

#include "backend/parameters.h"

struct ranks;

struct adam_options {
    double learning_rate; /* 1e-3 */
    double beta1, beta2;  /* 0.9, 0.999 */
    double eps;           /* 1e-8 */
    bool is_dense;        /* every row of every table moves at each step, not when it is read */
};

struct backend_options {
    const struct network_spec *spec; /* with all widths; borrowed for the backend's life */
    struct adam_options adam;
    uint32_t batch_rows; /* the largest batch of this rank */
    unsigned n_threads;
    const struct ranks *ranks; /* NULL: one rank */
};

struct backend;

struct backend_class {
    const char *name;

    /* -1: *error, which names the layer that the backend cannot train. */
    int (*create)(struct backend **ret_backend, const struct backend_options *options,
                  struct train_error *error);
    void (*free)(struct backend *backend);

    /* Copies all parameters and both moments in or out; the count of steps so far. Out: each row
     * is as dense Adam would have it. moments may be NULL: zeros in, not wanted out. */
    int (*load)(struct backend *backend, const struct parameters *values,
                const struct parameters *moment1, const struct parameters *moment2,
                uint64_t n_steps, struct train_error *error);
    int (*store)(struct backend *backend, struct parameters *values, struct parameters *moment1,
                 struct parameters *moment2, struct train_error *error);

    /*
     * One step: rows: [n_rows] of data/dataset.h's records, of this rank; n_all_rows: of all ranks,
     * which the loss is the mean over. *ret_loss: the sum of this rank's rows' losses, before
     * the step. n_rows may be 0 where other ranks have rows.
     */
    int (*step)(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                uint32_t n_all_rows, double *ret_loss, struct train_error *error);

    /* Gradients of the mean loss at the current parameters, without a step. For tests. */
    int (*gradients)(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                     struct parameters *ret_gradients, struct train_error *error);

    /* scores: [n_rows], at the current parameters. */
    int (*score)(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                 float *scores, struct train_error *error);
};

extern const struct backend_class native_backend; /* native.c */
extern const struct backend_class torch_backend;  /* torch_backend.c, loads the plugin */

#endif
