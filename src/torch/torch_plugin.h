/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_plugin.h: the C boundary of libtorch. torch_shim.cpp implements it as a plugin,
 * build/lib/dcnv2_torch.so, which dcnv2-train loads when it runs on several ranks or with
 * --backend torch. No C++ type, exception or PyTorch header passes it.
 *
 * Every function returns 0, or -1 with one line in `message`. Handles belong to the caller.
 */
#ifndef DCNV2_TORCH_TORCH_PLUGIN_H
#define DCNV2_TORCH_TORCH_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TORCH_PLUGIN_VERSION = 2, TORCH_MESSAGE_SIZE = 512, TORCH_MAX_ROLES = 4 };

struct torch_tensor {
    uint32_t n_dims;
    int64_t sizes[3]; /* [n_dims] */
};

/* network/kinds.h has the formulas. */
enum torch_layer_kind {
    TORCH_INPUT = 1,
    TORCH_LINEAR,
    TORCH_RELU,
    TORCH_CROSS_FULL,
    TORCH_CROSS_LAYER_NORM,
    TORCH_OUTPUT
};

/* A part of an input layer's value: a dense column of the batch, or rows of a table by one of its
 * index columns. */
struct torch_part {
    uint32_t is_table;
    uint32_t column;
    uint32_t tensor;
};

/* A layer makes one value per row, of those of earlier layers. */
struct torch_layer {
    uint32_t kind;
    uint32_t n_inputs;
    const uint32_t *inputs;            /* [n_inputs]: several stand behind each other */
    uint32_t x0;                       /* of TORCH_CROSS_FULL */
    uint32_t tensors[TORCH_MAX_ROLES]; /* by the roles of the kind: numbers of tensors */
    double epsilon;
    uint32_t n_parts; /* of TORCH_INPUT */
    const struct torch_part *parts;
};

/* A network and Adam's settings in plain numbers. Borrowed while network_create() runs. */
struct torch_network {
    uint32_t n_dense, n_sparse; /* columns of a batch */
    uint32_t n_tensors, n_layers;
    const struct torch_tensor *tensors; /* [n_tensors] */
    const struct torch_layer *layers;   /* [n_layers], the last is the output */
    double learning_rate, beta1, beta2, eps;
    uint32_t n_threads;
    uint32_t is_double; /* computes in float64: the reference of the reference */
};

/* A batch: dense [n_rows, n_dense], indices [n_rows, n_sparse], labels [n_rows], row-major. */
struct torch_batch {
    uint32_t n_rows;
    const float *dense;
    const int64_t *indices;
    const float *labels;
};

struct torch_plugin {
    uint32_t version; /* TORCH_PLUGIN_VERSION */
    const char *torch_version;

    /* ---- c10d: TCPStore and ProcessGroupGloo; ranks.h has the contract */
    int (*group_create)(const char *address, uint16_t port, uint32_t rank, uint32_t n_ranks,
                        uint32_t timeout_s, void **ret_group, char *message);
    void (*group_free)(void *group);
    int (*group_sum)(void *group, float *values, size_t n, char *message);
    int (*group_gather)(void *group, const void *mine, size_t size, void *ret_all, char *message);
    int (*group_broadcast)(void *group, void *bytes, size_t size, char *message);

    /* ---- the network on ATen tensors with autograd; parameters in the order of its tensors */
    int (*network_create)(const struct torch_network *network, void **ret_network, char *message);
    void (*network_free)(void *network);
    /* which: 0 values, 1 first moments, 2 second moments. values: [n_elements of parameter i] */
    int (*network_set)(void *network, int which, uint32_t i, const float *values, char *message);
    int (*network_get)(void *network, int which, uint32_t i, float *ret_values, char *message);
    int (*network_set_steps)(void *network, uint64_t n_steps, char *message);
    /* Forward and backward of the rows' losses, summed and divided by n_all_rows; gradients replace
     * the old. *ret_loss: the sum, not divided. n_rows may be 0. */
    int (*network_gradients)(void *network, const struct torch_batch *batch, uint32_t n_all_rows,
                             double *ret_loss, char *message);
    int (*network_get_gradient)(void *network, uint32_t i, float *ret_values, char *message);
    int (*network_set_gradient)(void *network, uint32_t i, const float *values, char *message);
    int (*network_adam)(void *network, char *message); /* one step on the gradients */
    int (*network_score)(void *network, const struct torch_batch *batch, float *ret_scores,
                         char *message);
};

/* The only symbol of the plugin. */
const struct torch_plugin *dcnv2_torch_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
