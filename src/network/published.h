/* SPDX-License-Identifier: Apache-2.0 */
/*
 * published.h: the spec of the published TaobaoAd network, and of DCN v2 with the paper's own cross
 * layers beside it, from the names of its tensors:
 *
 *   embeddings.{i}.weight                  the table of sparse column i
 *   cross_layers.{l}.{0,1}.{weight,bias}   a linear layer and a layer norm, or
 *   cross_layers.{l}.{weight,bias}         the paper's full cross layer
 *   dnn.{k}.{weight,bias}                  linear layers, a ReLU after each
 *   output.{weight,bias}                   over cross, then deep
 *
 *   x0 = [dense columns, embedding 0, .., embedding n - 1]
 */
#ifndef DCNV2_NETWORK_PUBLISHED_H
#define DCNV2_NETWORK_PUBLISHED_H

#include "network/spec.h"

/* What the encoder file tells of a column. */
struct published_category {
    struct text name;
    uint32_t n_classes;
    uint32_t unseen_row, missing_row; /* n_classes: the row behind the classes */
};

struct published_number {
    struct text name;
    const struct spec_step *steps;
    uint32_t n_steps;
};

struct published_columns {
    const struct published_category
        *categories; /* [n_categories], borrowed as names and steps are */
    uint32_t n_categories;
    const struct published_number *numbers; /* [n_numbers] */
    uint32_t n_numbers;
};

/* Not resolved yet. -1: *error names the tensor that a column lacks. */
int published_recognise(struct network_spec *spec, struct arena *arena,
                        const struct tensor_list *list, const struct published_columns *columns,
                        struct format_error *error);

/* ---- a network to be trained ---- */

enum { PUBLISHED_MAX_LAYERS = 32 }; /* cross layers; deep layers */

enum published_cross { PUBLISHED_LAYER_NORM, PUBLISHED_FULL, PUBLISHED_N_CROSS };

/* By enum published_cross: "layernorm", "full". */
extern const char *const published_cross_names[PUBLISHED_N_CROSS];

/* What the settings of a run and its columns say of the network. Plain numbers: rank 0 sends them
 * to the others as they lie. */
struct published_sizes {
    uint32_t n_dense, n_sparse;
    uint32_t embedding; /* width of every table */
    uint32_t cross;     /* enum published_cross */
    uint32_t n_cross, n_deep;
    uint32_t deep[PUBLISHED_MAX_LAYERS]; /* widths */
};

/*
 * The spec with all widths: its columns have no names, and `n_rows` [n_sparse] are those of the
 * tables, the last row for the values without a class. -1: out of memory.
 */
int published_make(struct network_spec *spec, struct arena *arena,
                   const struct published_sizes *sizes, const uint32_t *n_rows);

/* The sizes that published_make() would make the layers of a spec with widths from. NULL, or why no
 * sizes tell them: "it has ..", without a full stop. */
const char *published_measure(const struct network_spec *spec, struct published_sizes *ret_sizes);

/* Whether a tensor of this name is an embedding table. */
bool published_is_table(struct text name);

#endif
