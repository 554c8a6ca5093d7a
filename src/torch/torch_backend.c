/* SPDX-License-Identifier: Apache-2.0 */
/* torch_backend.c: the reference: libtorch's autograd, every gradient summed over the ranks. */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "memory.h"
#include "torch/ranks.h"
#include "torch/torch_load.h"
#include "torch/torch_network.h"

struct backend {
    const struct torch_plugin *plugin;
    void *network;
    uint32_t n_dense, n_sparse;
    const struct ranks *ranks; /* NULL: one rank */
    uint32_t batch_rows;
    float *dense;     /* [batch_rows, n_dense] */
    int64_t *indices; /* [batch_rows, n_sparse] */
    float *labels;    /* [batch_rows] */
    size_t n_parameters;
    size_t *n_elements; /* [n_parameters] */
    float *gradients;   /* of all parameters in turn, [n_gradients]; NULL: one rank */
    size_t n_gradients;
    char message[TORCH_MESSAGE_SIZE];
};

enum { VALUES, MOMENT_1, MOMENT_2 }; /* torch_plugin.h's `which` */

static int failed(const struct backend *backend, struct train_error *error)
{
    return train_error_set(error, "libtorch: %s", backend->message);
}

/* ---- life ---- */

static void torch_free(struct backend *backend)
{
    if (backend == NULL)
        return;
    if (backend->network)
        backend->plugin->network_free(backend->network);
    free(backend->dense);
    free(backend->indices);
    free(backend->labels);
    free(backend->n_elements);
    memory_free(backend->gradients, backend->n_gradients * sizeof *backend->gradients);
    free(backend);
}

static int allocate_batch(struct backend *backend, struct train_error *error)
{
    const size_t n_rows = backend->batch_rows;
    backend->dense = calloc(n_rows * backend->n_dense + 1, sizeof *backend->dense);
    backend->indices = calloc(n_rows * backend->n_sparse + 1, sizeof *backend->indices);
    backend->labels = calloc(n_rows + 1, sizeof *backend->labels);
    return backend->dense && backend->indices && backend->labels ? 0 : train_error_memory(error);
}

static int count_elements(struct backend *backend, const struct torch_network *network,
                          struct train_error *error)
{
    backend->n_parameters = network->n_tensors;
    backend->n_elements = calloc(network->n_tensors + 1u, sizeof *backend->n_elements);
    for (size_t i = 0; backend->n_elements && i < network->n_tensors; i++) {
        const struct torch_tensor *tensor = &network->tensors[i];
        backend->n_elements[i] = 1;
        for (uint32_t d = 0; d < tensor->n_dims; d++)
            backend->n_elements[i] *= (size_t)tensor->sizes[d];
        backend->n_gradients += backend->n_elements[i];
    }
    return backend->n_elements ? 0 : train_error_memory(error);
}

static int create_network(struct backend *backend, struct torch_network *network,
                          const struct backend_options *options, struct train_error *error)
{
    network->learning_rate = options->adam.learning_rate;
    network->beta1 = options->adam.beta1;
    network->beta2 = options->adam.beta2;
    network->eps = options->adam.eps;
    network->n_threads = options->n_threads;
    backend->plugin = torch_load(error);
    if (backend->plugin == NULL)
        return -1;
    if (backend->plugin->network_create(network, &backend->network, backend->message) != 0)
        return failed(backend, error);
    return count_elements(backend, network, error);
}

/* The network as the spec says, which is described for as long as it takes to create it. */
static int create_from_spec(struct backend *backend, const struct backend_options *options,
                            struct train_error *error)
{
    struct torch_network network;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const int status = torch_network_make(options->spec, &arena, &network, error) != 0
                           ? -1
                           : create_network(backend, &network, options, error);
    arena_free(&arena);
    return status;
}

static int prepare(struct backend *backend, const struct backend_options *options,
                   struct train_error *error)
{
    if (create_from_spec(backend, options, error) != 0 || allocate_batch(backend, error) != 0)
        return -1;
    if (backend->ranks == NULL || backend->ranks->n_ranks == 1)
        return 0;
    backend->gradients = memory_alloc(backend->n_gradients * sizeof *backend->gradients);
    return backend->gradients ? 0 : train_error_memory(error);
}

static int torch_create(struct backend **ret_backend, const struct backend_options *options,
                        struct train_error *error)
{
    struct backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        return train_error_memory(error);
    backend->n_dense = options->spec->n_values;
    backend->n_sparse = options->spec->n_lookups;
    backend->ranks = options->ranks;
    backend->batch_rows = options->batch_rows;
    if (prepare(backend, options, error) != 0) {
        torch_free(backend);
        return -1;
    }
    *ret_backend = backend;
    return 0;
}

/* ---- parameters ---- */

/* values NULL: zeros. */
static int set_all(struct backend *backend, int which, const struct parameters *values,
                   struct train_error *error)
{
    for (uint32_t i = 0; i < backend->n_parameters; i++) {
        float *zeros = values ? NULL : calloc(backend->n_elements[i], sizeof *zeros);
        if (values == NULL && zeros == NULL)
            return train_error_memory(error);
        const int result = backend->plugin->network_set(
            backend->network, which, i, values ? values->all[i].values : zeros, backend->message);
        free(zeros);
        if (result != 0)
            return failed(backend, error);
    }
    return 0;
}

static int get_all(struct backend *backend, int which, struct parameters *ret_values,
                   struct train_error *error)
{
    for (uint32_t i = 0; ret_values && i < backend->n_parameters; i++)
        if (backend->plugin->network_get(backend->network, which, i, ret_values->all[i].values,
                                         backend->message) != 0)
            return failed(backend, error);
    return 0;
}

static int torch_backend_load(struct backend *backend, const struct parameters *values,
                              const struct parameters *moment1, const struct parameters *moment2,
                              uint64_t n_steps, struct train_error *error)
{
    if (set_all(backend, VALUES, values, error) != 0 ||
        set_all(backend, MOMENT_1, moment1, error) != 0 ||
        set_all(backend, MOMENT_2, moment2, error) != 0)
        return -1;
    if (backend->plugin->network_set_steps(backend->network, n_steps, backend->message) != 0)
        return failed(backend, error);
    return 0;
}

static int torch_backend_store(struct backend *backend, struct parameters *values,
                               struct parameters *moment1, struct parameters *moment2,
                               struct train_error *error)
{
    if (get_all(backend, VALUES, values, error) != 0 ||
        get_all(backend, MOMENT_1, moment1, error) != 0)
        return -1;
    return get_all(backend, MOMENT_2, moment2, error);
}

/* ---- rows ---- */

/* Records of dataset.h as tensors, at most a batch; scoring has no labels. */
static struct torch_batch make_batch(struct backend *backend, const uint32_t *const *rows,
                                     uint32_t n_rows, bool has_labels)
{
    const size_t n_dense = backend->n_dense, n_sparse = backend->n_sparse;
    for (uint32_t i = 0; i < n_rows; i++) {
        const uint32_t *row = rows[i];
        if (has_labels)
            memcpy(&backend->labels[i], row, sizeof *backend->labels);
        memcpy(backend->dense + i * n_dense, row + 1, n_dense * sizeof *backend->dense);
        for (size_t k = 0; k < n_sparse; k++)
            backend->indices[i * n_sparse + k] = row[1 + n_dense + k];
    }
    return (struct torch_batch){.n_rows = n_rows,
                                .dense = backend->dense,
                                .indices = backend->indices,
                                .labels = backend->labels};
}

static int compute_gradients(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                             uint32_t n_all_rows, double *ret_loss, struct train_error *error)
{
    if (n_rows > backend->batch_rows)
        return train_error_set(error, "%u rows in a batch of %u", n_rows, backend->batch_rows);
    const struct torch_batch batch = make_batch(backend, rows, n_rows, true);
    if (backend->plugin->network_gradients(backend->network, &batch, n_all_rows, ret_loss,
                                           backend->message) != 0)
        return failed(backend, error);
    return 0;
}

/* Every gradient becomes the sum over the ranks, in one exchange. */
static int exchange_gradients(struct backend *backend, struct train_error *error)
{
    if (backend->gradients == NULL)
        return 0;
    const struct torch_plugin *plugin = backend->plugin;
    float *at = backend->gradients;
    for (uint32_t i = 0; i < backend->n_parameters; at += backend->n_elements[i++])
        if (plugin->network_get_gradient(backend->network, i, at, backend->message) != 0)
            return failed(backend, error);
    if (ranks_sum(backend->ranks, backend->gradients, backend->n_gradients, error) != 0)
        return -1;
    at = backend->gradients;
    for (uint32_t i = 0; i < backend->n_parameters; at += backend->n_elements[i++])
        if (plugin->network_set_gradient(backend->network, i, at, backend->message) != 0)
            return failed(backend, error);
    return 0;
}

static int torch_step(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                      uint32_t n_all_rows, double *ret_loss, struct train_error *error)
{
    if (compute_gradients(backend, rows, n_rows, n_all_rows, ret_loss, error) != 0 ||
        exchange_gradients(backend, error) != 0)
        return -1;
    if (backend->plugin->network_adam(backend->network, backend->message) != 0)
        return failed(backend, error);
    return 0;
}

static int torch_gradients(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                           struct parameters *ret_gradients, struct train_error *error)
{
    double loss;
    if (compute_gradients(backend, rows, n_rows, n_rows, &loss, error) != 0)
        return -1;
    for (uint32_t i = 0; i < backend->n_parameters; i++)
        if (backend->plugin->network_get_gradient(backend->network, i, ret_gradients->all[i].values,
                                                  backend->message) != 0)
            return failed(backend, error);
    return 0;
}

static int torch_score(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                       float *scores, struct train_error *error)
{
    for (uint32_t first = 0; first < n_rows;) {
        const uint32_t left = n_rows - first;
        const uint32_t n = left < backend->batch_rows ? left : backend->batch_rows;
        const struct torch_batch batch = make_batch(backend, rows + first, n, false);
        if (backend->plugin->network_score(backend->network, &batch, scores + first,
                                           backend->message) != 0)
            return failed(backend, error);
        first += n;
    }
    return 0;
}

const struct backend_class torch_backend = {
    .name = "torch",
    .create = torch_create,
    .free = torch_free,
    .load = torch_backend_load,
    .store = torch_backend_store,
    .step = torch_step,
    .gradients = torch_gradients,
    .score = torch_score,
};
