/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

/* What one worker is using; alone on its cache line. */
struct slot {
    _Alignas(CACHE_LINE) _Atomic(dcnv2_model *) held;
};

struct registry {
    const struct dcnv2_source *source;
    _Atomic(dcnv2_model *) current;
    struct fingerprinter *fingerprinter;
    pthread_mutex_t swap; /* one load or unload at a time */
    unsigned n_workers;
    struct slot *slots; /* [n_workers] */
};

struct registry *registry_create(const struct dcnv2_source *source, unsigned n_workers)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return NULL;
    registry->source = source;
    registry->n_workers = n_workers;
    registry->slots = aligned_alloc(CACHE_LINE, n_workers * sizeof *registry->slots);
    registry->fingerprinter = fingerprinter_create(source);
    if (registry->slots == NULL || registry->fingerprinter == NULL) {
        fingerprinter_free(registry->fingerprinter);
        free(registry->slots);
        free(registry);
        return NULL;
    }
    for (unsigned i = 0; i < n_workers; i++)
        atomic_init(&registry->slots[i].held, NULL);
    pthread_mutex_init(&registry->swap, NULL);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    fingerprinter_free(registry->fingerprinter);
    dcnv2_model_free(atomic_load(&registry->current));
    pthread_mutex_destroy(&registry->swap);
    free(registry->slots);
    free(registry);
}

int registry_start_fingerprints(struct registry *registry, const char *model_name)
{
    return fingerprinter_start(registry->fingerprinter, model_name);
}

/* Puts `model` in place and frees the one before it once no worker uses it. Under the mutex. */
static bool replace(struct registry *registry, dcnv2_model *model)
{
    fingerprinter_forget(registry->fingerprinter);
    dcnv2_model *old = atomic_exchange(&registry->current, model);
    for (unsigned i = 0; old && i < registry->n_workers; i++)
        while (atomic_load(&registry->slots[i].held) == old)
            sched_yield(); /* a request's computation, never a client's pace */
    dcnv2_model_free(old);
    return old != NULL;
}

/* Scores a row of the first values: every weight's page and every kernel is then warm. */
static int warm_up(const dcnv2_model *model, struct dcnv2_error *error)
{
    const size_t n_values = model->spec.n_values, n_lookups = model->spec.n_lookups;
    const uint32_t first_row = 0;
    float *dense = calloc(n_values + 1, sizeof *dense);
    struct dcnv2_rows *lookups = calloc(n_lookups + 1, sizeof *lookups);
    dcnv2_workspace *workspace = NULL;
    float score;
    int status = error->status = DCNV2_ERROR_MEMORY;
    snprintf(error->message, sizeof error->message, "out of memory");
    if (dense && lookups && dcnv2_workspace_create(model, &workspace, error) == DCNV2_OK) {
        for (size_t i = 0; i < n_lookups; i++)
            lookups[i].rows = &first_row;
        status = dcnv2_predict(model, workspace, 1, dense, lookups, &score, error);
    }
    dcnv2_workspace_free(workspace);
    free(dense);
    free(lookups);
    return status;
}

int registry_load(struct registry *registry, struct dcnv2_error *error)
{
    dcnv2_model *model = NULL;
    struct source_bytes bytes = {0};
    pthread_mutex_lock(&registry->swap);
    int status = model_load_with_bytes(registry->source, &model, &bytes, error);
    if (status == DCNV2_OK)
        status = warm_up(model, error);
    if (status == DCNV2_OK) {
        replace(registry, model);
        fingerprinter_take(registry->fingerprinter, &bytes, &model->golden);
    } else {
        source_bytes_free(&bytes);
        dcnv2_model_free(model);
    }
    pthread_mutex_unlock(&registry->swap);
    return status;
}

bool registry_unload(struct registry *registry)
{
    pthread_mutex_lock(&registry->swap);
    const bool found = replace(registry, NULL);
    pthread_mutex_unlock(&registry->swap);
    return found;
}

const dcnv2_model *registry_acquire(struct registry *registry, unsigned worker)
{
    _Atomic(dcnv2_model *) *held = &registry->slots[worker].held;
    dcnv2_model *model = atomic_load(&registry->current);
    for (;;) {
        atomic_store(held, model);
        /* Checked again after the slot was written: if unchanged, the swapper sees the slot. */
        dcnv2_model *again = atomic_load(&registry->current);
        if (again == model)
            return model;
        model = again;
    }
}

void registry_release(struct registry *registry, unsigned worker)
{
    atomic_store_explicit(&registry->slots[worker].held, NULL, memory_order_release);
}

bool registry_has_model(const struct registry *registry)
{
    return atomic_load(&registry->current) != NULL;
}

struct fingerprint registry_fingerprint(const struct registry *registry)
{
    return fingerprinter_get(registry->fingerprinter);
}
