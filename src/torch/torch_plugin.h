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

enum { TORCH_PLUGIN_VERSION = 1, TORCH_MESSAGE_SIZE = 512 };

/* A network's shape and Adam's settings, in plain numbers. */
struct torch_network {
    uint32_t n_dense, n_sparse, embedding;
    const uint32_t *n_rows; /* [n_sparse] */
    uint32_t is_full_cross; /* DCN v2's own layers instead of those with layer norm */
    uint32_t n_cross, n_deep;
    const uint32_t *deep; /* [n_deep] */
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

    /* ---- the network on ATen tensors with autograd; parameters in the order of shape.h */
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
