/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h: a DCNv2 network: weights checked by name and shape, packed once, and the
 * forward pass over them.
 *
 *   x0 = [dense, embedding_1, .., embedding_n]
 *   c  = x0, then for each cross layer
 *          CROSS_LAYER_NORM  c = LayerNorm(W c + b) + c   the published TaobaoAd network
 *          CROSS_FULL        c = x0 * (W c + b) + c       arXiv:2008.13535, equation 1
 *   d  = the deep network of x0: linear layers, a ReLU after each
 *   score = sigmoid(w . [c, d] + b)
 *
 * Immutable once loaded: shared by threads.
 */
#ifndef DCNV2_MODEL_NETWORK_H
#define DCNV2_MODEL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "format/tensor.h"
#include "kernels/kernels.h"

enum cross_kind { CROSS_LAYER_NORM, CROSS_FULL };

struct embedding {
    const float *rows; /* [n_rows, width] */
    uint32_t n_rows;
    uint32_t width;
};

struct cross_layer {
    enum cross_kind kind;
    struct linear linear;
    const float *gamma, *beta; /* [width], of CROSS_LAYER_NORM */
};

struct network {
    size_t n_dense;
    size_t n_embeddings;
    struct embedding *embeddings;
    size_t width; /* of x0 and c */
    size_t n_cross;
    struct cross_layer *cross;
    size_t n_deep;
    struct linear *deep;
    size_t deep_width; /* of d: 0 where the output does not look at it */
    size_t deep_widest;
    const float *output_cross; /* [width] */
    const float *output_deep;  /* [deep_width] */
    float output_bias;
    float *weights; /* all of the above, but tables in place, in one aligned block, [n_weights] */
    size_t n_weights;
};

/* What the encoder needs of the network. */
struct network_inputs {
    size_t n_dense;
    size_t n_sparse;
    const struct text *sparse_names;  /* [n_sparse], for messages */
    const uint32_t *vocabulary_sizes; /* [n_sparse], for messages */
    const uint64_t *rows_needed; /* [n_sparse], of the tables: one more than classes, or others */
    bool in_place;     /* the tensors outlive the network, which uses its tables where they lie */
    size_t most_bytes; /* of weights not in place: tensors may repeat a file's values */
};

/*
 * Names are PyTorch's: embeddings.{i}.weight, cross_layers.{l}.{0,1}.{weight,bias} or
 * cross_layers.{l}.{weight,bias}, dnn.{0,2,..}.{weight,bias}, output.{weight,bias}.
 * -1: *error names the tensor that is missing, unknown, misshapen (both shapes) or not finite; or
 * says that they are more than most_bytes.
 * The descriptions are in `arena`, which lives as long as the network.
 */
int network_load(struct network *network, struct arena *arena, const struct tensor_list *list,
                 const struct network_inputs *inputs, struct format_error *error);

/* Whether a tensor of this name is an embedding table. */
bool network_is_table(struct text name);

/* Frees the weights. */
void network_free(struct network *network);

/* "x0 129 wide; cross layers: 2 with layer norm, 0 full; deep layers: 128, 64", cut to fit. */
void network_describe(const struct network *network, char *out, size_t out_size);

enum { NETWORK_BLOCK_ROWS = 48 }; /* rows that go through the layers together, in cache */

/* Floats of scratch memory that network_score() needs. */
size_t network_scratch_floats(const struct network *network);

/*
 * dense: [n_dense, n_rows], indices: [n_embeddings, n_rows], scores: [n_rows];
 * scratch: aligned to KERNEL_ALIGNMENT. Returns the number of rows scored: fewer than
 * n_rows when the row after them has an index outside its table or a score that is not a number.
 */
size_t network_score(const struct network *network, const struct kernels *kernels, float *scratch,
                     size_t n_rows, const float *dense, const uint32_t *indices, float *scores);

#endif
