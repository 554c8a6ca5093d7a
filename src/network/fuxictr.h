/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr.h: the spec of a model that FuxiCTR trained, from the library's own files.
 *
 *   ID.model               the tensors, whose names and shapes tell the class (DCN, DCNv2, GDCN),
 *                          its structure, depths, batch norms, PReLU and Dice
 *   feature_map.json       the features in the order of x0, and their encoders
 *   feature_vocab.json     the rows of categories
 *   feature_processor.pkl  normalisers, values for missing ones, separators, lengths of lists
 *   model_config.yaml      if it is there: the other activations, use_features
 *
 * What the tensors tell counts; a configuration that says otherwise is refused.
 */
#ifndef DCNV2_NETWORK_FUXICTR_H
#define DCNV2_NETWORK_FUXICTR_H

#include "network/json_spec.h"

#define FUXICTR_MAP        "feature_map.json"
#define FUXICTR_VOCABULARY "feature_vocab.json"
#define FUXICTR_PROCESSOR  "feature_processor.pkl"
#define FUXICTR_CONFIG     "model_config.yaml"

struct fuxictr_source {
    struct text map, vocabulary, processor; /* the files' bytes */
    struct text config;                     /* at NULL: there is none */
    struct text id;                         /* of the model: its file's name without ".model" */
    const struct tensor_list *tensors;
};

/*
 * Not resolved yet. The spec is in `arena`; vocabularies are in `classes`, and in the source's
 * bytes. -1: *error names the file, the place in it, what stood there and what is expected.
 */
int fuxictr_read(struct network_spec *spec, struct spec_vocabularies *vocabularies,
                 struct arena *arena, struct arena *classes, const struct fuxictr_source *source,
                 struct format_error *error);

#endif
