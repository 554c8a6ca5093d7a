/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h: a network that is ready to score: the plan of operations that was made of a spec
 * (network/spec.h) and its tensors once, with all weights packed, and the forward pass over it.
 *
 * Immutable once loaded: shared by threads.
 */
#ifndef DCNV2_MODEL_NETWORK_H
#define DCNV2_MODEL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "dcnv2.h"
#include "format/format_error.h"
#include "format/tensor.h"
#include "kernels/kernels.h"
#include "network/spec.h"

struct op;

struct network {
    const struct network_spec *spec;
    const struct op *ops; /* [n_ops], in order; the last one makes the scores */
    size_t n_ops;
    const struct op *x0; /* the operation that gathers the tables; the last one if there are none */
    size_t n_ahead;      /* parts of x0 that an operation may ask for ahead */
    size_t scratch_floats;
    float *weights; /* all but tables in place, in one aligned block, [n_weights] */
    size_t n_weights;
};

/* Where weights may stay, and how much they may be. */
struct network_memory {
    bool in_place;     /* the tensors outlive the network, which uses its tables where they lie */
    size_t most_bytes; /* of weights not in place: tensors may repeat a file's values */
};

/*
 * Packs the tensors of a resolved spec, both of which `arena` outlives. -1: *error names the tensor
 * that is not finite, or says that they are more than most_bytes.
 */
int network_load(struct network *network, struct arena *arena, const struct network_spec *spec,
                 const struct tensor_list *list, const struct network_memory *memory,
                 struct format_error *error);

/* Frees the weights. */
void network_free(struct network *network);

enum { NETWORK_BLOCK_ROWS = 48 }; /* rows that go through the layers together, in cache */

/* A batch: dense: [n_values, n_rows], column after column; lookups: [n_lookups]. */
struct network_batch {
    size_t n_rows;
    const float *dense;
    const struct dcnv2_rows *lookups;
};

/*
 * scores: [n_rows], probabilities; logits: [n_rows], of the same rows, or NULL: not wanted;
 * scratch: [network->scratch_floats], aligned to KERNEL_ALIGNMENT. Returns the number of rows
 * scored: fewer than n_rows if the row after them has an index outside its table, or a score or a
 * wanted logit that is not a finite number. The scores have the same bits with logits and without.
 */
size_t network_score(const struct network *network, const struct kernels *kernels, float *scratch,
                     const struct network_batch *batch, float *scores, float *logits);

#endif
