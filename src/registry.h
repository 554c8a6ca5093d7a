/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h: the model that is served now, and how another takes its place.
 *
 * A worker borrows the model for a request, or for those that it scores together, without a lock:
 * it announces the model in its own slot. Whoever swaps models waits until no slot holds the old
 * one, then frees it.
 */
#ifndef DCNV2_REGISTRY_H
#define DCNV2_REGISTRY_H

#include "fingerprint.h"

struct registry;

/* `source` and what it points to are borrowed for the registry's life. NULL: out of memory. */
struct registry *registry_create(const struct dcnv2_source *source, unsigned n_workers);

/* Starts to find out which files a model was made of, also of one that is loaded already; each
 * becomes a log line, under this name, which is borrowed. -1: no thread could be started. */
int registry_start_fingerprints(struct registry *registry, const char *model_name);

/* No worker may hold a model. */
void registry_free(struct registry *registry);

/*
 * Reads the files and puts their model in the place of the present one, which goes on
 * where that fails. Thread-safe; the caller holds no model.
 */
int registry_load(struct registry *registry, struct dcnv2_error *error);

/* false: there was none. */
bool registry_unload(struct registry *registry);

/* The model, until registry_release() by the same worker; NULL: none is loaded. */
const dcnv2_model *registry_acquire(struct registry *registry, unsigned worker);
void registry_release(struct registry *registry, unsigned worker);

/* Whether there is a model, without holding it. */
bool registry_has_model(const struct registry *registry);

/* Which files the model in service was made of, as far as it is known by now. */
struct fingerprint registry_fingerprint(const struct registry *registry);

#endif
