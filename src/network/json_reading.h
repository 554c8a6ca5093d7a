/* SPDX-License-Identifier: Apache-2.0 */
/* json_reading.h: what the files json_*.c share while one model.json is read. */
#ifndef DCNV2_NETWORK_JSON_READING_H
#define DCNV2_NETWORK_JSON_READING_H

#include "network/json_spec.h"
#include "network/json_tree.h"

struct json_reading {
    struct network_spec *spec;
    struct spec_vocabularies *vocabularies;
    struct spec_json_files *files;
    struct arena *arena;
    struct arena nodes; /* given back at the end */
    struct format_error *error;
    const struct json_node *root;
    uint32_t n_parts; /* of tensors so far */
    /* What is used, by index: what nobody uses is a slip of the pen. */
    bool *column_used, *vocabulary_used, *lookup_used, *value_used;
};

/* `n` cleared elements in the arena, at least one; or NULL, and the error is set. */
void *json_room(struct json_reading *reading, size_t n, size_t size);

/* The list of a node, of 1 to `most` elements. -1: no list, or another number. */
int json_check_list(struct json_reading *reading, const struct json_node *node, uint32_t most);

int json_read_vocabularies(struct json_reading *reading);

/* The classes of a list of texts, or of an object of rows by text. Of the reading its arenas and
 * its error are used. */
int json_read_classes(struct json_reading *reading, const struct json_node *node,
                      struct spec_vocabulary *ret);

/* The lookup or value of a node: a name or an object. -1: *error. */
int json_read_lookup_of(struct json_reading *reading, const struct json_node *node, uint32_t *ret);
int json_read_value_of(struct json_reading *reading, const struct json_node *node, uint32_t *ret);

/* The named lookups and values, and room for those that layers hold. */
int json_read_sources(struct json_reading *reading, uint32_t n_inline);

/* The "steps" of a value or a lookup of a column, if there are any. */
int json_read_steps(struct json_reading *reading, const struct json_node *node, uint32_t column,
                    const struct spec_step **ret, uint32_t *ret_n);

/* The parts of an input layer. */
int json_read_parts(struct json_reading *reading, const struct json_node *layer,
                    struct spec_layer *ret);

/* What stands for {} in a tensor's name. */
struct json_numbers {
    uint32_t own, outer; /* SPEC_NONE: none */
};

/* The numbers of "repeat": 3 or "repeat": [0, 4]; of NULL one, SPEC_NONE. */
int json_read_repeat(struct json_reading *reading, const struct json_node *node,
                     const uint32_t **ret, uint32_t *ret_n);

int json_read_tensor(struct json_reading *reading, const struct json_node *node,
                     struct json_numbers numbers, struct tensor_part *ret);
int json_read_stack(struct json_reading *reading, const struct json_node *node,
                    struct json_numbers numbers, struct tensor_stack *ret);

int json_read_layers(struct json_reading *reading);

/* Names of what model.json spells, by their enums. */
extern const char *const json_hash_names[3], *const json_end_names[2], *const json_pad_names[2];
extern const char *const json_pooling_names[4], *const json_step_names[STEP_N_KINDS];

#define JSON_BUCKET_BELOW "bucket_below" /* STEP_BUCKET with b = 1 */

/* Whether a step is a name alone, without an argument. */
bool json_step_is_bare(enum step_kind kind);

/* Whether layers of a kind apply a function. */
bool json_has_function(enum layer_kind kind);

/* Whether an activation has a slope that is a number. */
bool json_has_slope(enum activation_name function);

/* The epsilon of a layer that tells none; 0: the layer has no epsilon. */
float json_default_epsilon(enum layer_kind kind, enum activation_name function);

#endif
