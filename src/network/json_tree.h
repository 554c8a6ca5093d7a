/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.h: a small JSON document as a tree whose nodes know their place, so that a message
 * names it: "layers[2].weight: expected a text, found the number 3".
 *
 * Strict as protocol/json.h, and no object may have one key twice: whoever wrote the file and who
 * reads it would count different ones. A tree takes up to 50 bytes per byte of the document.
 */
#ifndef DCNV2_NETWORK_JSON_TREE_H
#define DCNV2_NETWORK_JSON_TREE_H

#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "protocol/json.h"
#include "text.h"

enum { JSON_TREE_MAX_DEPTH = 32 };

struct json_node {
    const struct json_node *parent, *child, *next;
    struct text key; /* of a member of an object */
    union {
        struct text text; /* of JSON_STRING */
        double number;    /* of JSON_NUMBER, finite */
    };
    uint32_t n;     /* members of an object, elements of a list */
    uint32_t place; /* within the parent, from 0 */
    uint8_t kind;   /* enum json_kind */
};

/*
 * The part of a document that a JSON pointer names (RFC 6901; empty: all of it). Nodes are in
 * `nodes`; texts are in `texts` or lie in the document. -1: *error.
 */
int json_tree_read(const struct json_node **ret_root, struct arena *nodes, struct arena *texts,
                   struct text document, struct text pointer, struct format_error *error);

/* The member of an object, or NULL: it has none, or `node` is no object. */
const struct json_node *json_tree_find(const struct json_node *node, const char *key);
const struct json_node *json_tree_find_text(const struct json_node *node, struct text key);

/* The same, or NULL: *error says that the key is missing. */
const struct json_node *json_tree_need(const struct json_node *node, const char *key,
                                       struct format_error *error);

/* "layers[2].weight: " and the message. Returns -1. */
int json_tree_refuse(const struct json_node *node, struct format_error *error, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));

/* "layers[2].weight: expected a text, found the number 3". Returns -1. */
int json_tree_unexpected(const struct json_node *node, struct format_error *error,
                         const char *expected);

/* Whether a node is an object whose keys are all in `keys`, which NULL ends. -1: *error names the
 * nearest one. */
int json_tree_check_keys(const struct json_node *node, const char *const *keys,
                         struct format_error *error);

/* The value of a node, or -1: *error says what is expected. A text is not empty. */
int json_tree_text(const struct json_node *node, struct text *ret, struct format_error *error);
int json_tree_flag(const struct json_node *node, bool *ret, struct format_error *error);
int json_tree_number(const struct json_node *node, double *ret, struct format_error *error);
int json_tree_float(const struct json_node *node, float *ret, struct format_error *error);
int json_tree_whole(const struct json_node *node, uint32_t least, uint32_t most, uint32_t *ret,
                    struct format_error *error);

/* The place of a text among `n` names. */
int json_tree_choice(const struct json_node *node, const char *const *names, unsigned n,
                     unsigned *ret, struct format_error *error);

#endif
