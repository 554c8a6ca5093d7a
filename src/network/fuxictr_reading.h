/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_reading.h: what the files fuxictr*.c share while one folder is read. */
#ifndef DCNV2_NETWORK_FUXICTR_READING_H
#define DCNV2_NETWORK_FUXICTR_READING_H

#include "format/fuxictr_file.h"
#include "network/fuxictr.h"
#include "network/json_tree.h"
#include "network/maker.h"

enum {
    FUXICTR_MAX_FEATURES = SPEC_JSON_MAX_ITEMS,
    FUXICTR_MAX_NAME = SPEC_JSON_MAX_NAME,
    FUXICTR_MAX_UNITS = 256 /* linear layers of a deep part */
};

/* A feature's table is the tensor "STEM" NAME ".weight", or one of those of fuxictr_pretrained.c;
 * the layers behind it are "STEM" NAME .. */
#define FUXICTR_TABLES   "embedding_layer.embedding_layer.embedding_layers."
#define FUXICTR_ENCODERS "embedding_layer.embedding_layer.feature_encoders."

enum fuxictr_type { FUXICTR_NUMERIC, FUXICTR_CATEGORICAL, FUXICTR_SEQUENCE };

struct fuxictr_feature {
    struct text name; /* in the spec's arena */
    enum fuxictr_type type;
    const struct json_node *node;        /* of feature_map.json */
    const struct fuxictr_column *column; /* of feature_processor.pkl */
    struct text table;                   /* the tensor, NUL-terminated */
    struct text ids, projection;         /* of a pretrained one; at NULL: there is none */
    uint32_t source;                     /* which of the spec's values or lookups */
};

struct fuxictr_reading {
    struct maker maker;
    struct spec_vocabularies *vocabularies;
    struct arena *classes;
    struct arena nodes; /* given back at the end */
    struct format_error *error;
    const struct fuxictr_source *source;
    const struct json_node *section, *base; /* of model_config.yaml; NULL: not there */
    struct fuxictr_file processor;
    struct fuxictr_feature *features; /* [n_features], in the order of x0 */
    uint32_t n_features;
    struct text *assumptions; /* [n_features + 1] at most */
    uint32_t n_assumptions;
    bool assumes_activation;
};

#define FUXICTR_FAIL(reading, ...) format_error_set((reading)->error, FORMAT_NO_OFFSET, __VA_ARGS__)

/* Puts the file's name before the error, and returns -1. */
int fuxictr_name_file(struct fuxictr_reading *reading, const char *file);

/* ---- model_config.yaml ---- */

int fuxictr_read_config(struct fuxictr_reading *reading);

/* The value of a key, or NULL: there is no configuration, or no such key in it, or it is null. */
const struct json_node *fuxictr_setting(const struct fuxictr_reading *reading, const char *key);

/* Whether a setting that is there has the value that the tensors tell. -1: *error. */
int fuxictr_check_text(struct fuxictr_reading *reading, const char *key, const char *told);
int fuxictr_check_number(struct fuxictr_reading *reading, const char *key, uint32_t told);

/* ---- features ---- */

/* The map's, in the order of x0, which the tensors confirm. */
int fuxictr_read_features(struct fuxictr_reading *reading);

/* The tensors of the feature's table, of which one has to be there. */
int fuxictr_find_tables(struct fuxictr_reading *reading, struct fuxictr_feature *feature);

/* Whether rows of all of the feature's tables add nothing to a sum, and count for nothing in a
 * mean. */
bool fuxictr_are_rows_zero(const struct fuxictr_reading *reading,
                           const struct fuxictr_feature *feature, uint64_t from, uint64_t end);

/* Columns, vocabularies, lookups and values of the spec. */
int fuxictr_add_columns(struct fuxictr_reading *reading);

/* The words of a feature into the vocabulary of the lookup, whose rows are set. */
int fuxictr_read_vocabulary(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                            const struct json_node *root, struct spec_lookup *ret);

/* Whether the feature is a number in the buckets of FuxiCTR's Criteo. */
bool fuxictr_has_buckets(const struct fuxictr_feature *feature);

/* The steps of such a lookup, and instead of the buckets' names the numbers that the steps give. */
int fuxictr_set_buckets(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                        struct spec_vocabulary *vocabulary, struct spec_lookup *ret);

/* The layers up to x0; *ret_x0 is its number. */
int fuxictr_add_inputs(struct fuxictr_reading *reading, uint32_t *ret_x0);

/* ---- layers ---- */

/* The tensor whose name is printed, or NULL. */
const struct tensor *fuxictr_tensor(const struct fuxictr_reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A role of a layer, if its tensor is there. */
void fuxictr_add_role(struct fuxictr_reading *reading, struct spec_layer *layer, unsigned role,
                      struct text name);

/* A linear layer, or a batch norm, of the tensors whose names start with `stem`. */
void fuxictr_add_linear(struct fuxictr_reading *reading, struct text stem, uint32_t input);
void fuxictr_add_norm(struct fuxictr_reading *reading, struct text stem);

/* torch.nn's name of an activation, or one of FuxiCTR's in any case of letters. */
struct fuxictr_activation {
    const char *name;
    enum activation_name function;
    float slope;
    bool is_any_case;
};

/* NULL: none that is known. */
const struct fuxictr_activation *fuxictr_activation_called(struct text name, bool is_exact);

void fuxictr_add_activation(struct fuxictr_reading *reading, struct text stem,
                            enum activation_name function, float slope);

/* The deep part "STEM.mlp" behind a layer; `has_output`: its last linear layer is the model's
 * output. */
int fuxictr_add_deep(struct fuxictr_reading *reading, const char *stem, uint32_t input,
                     bool has_output);

/* Cross layers, deep parts and the output. */
int fuxictr_add_network(struct fuxictr_reading *reading, uint32_t x0);

#endif
