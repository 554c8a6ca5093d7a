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

/* Whether a tensor of this name is an embedding table. */
bool published_is_table(struct text name);

#endif
