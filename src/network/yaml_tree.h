/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_tree.h: a small YAML document as the tree of json_tree.h: mappings are objects, sequences
 * are lists, scalars are null, true, false, numbers or texts.
 *
 * Stricter than YAML: no aliases, tags or second document, and no key twice.
 */
#ifndef DCNV2_NETWORK_YAML_TREE_H
#define DCNV2_NETWORK_YAML_TREE_H

#include "network/json_tree.h"

enum { YAML_TREE_MAX_BYTES = 1 << 20, YAML_TREE_MAX_KEYS = 4096 };

/* Nodes and texts are in `nodes`. -1: *error. */
int yaml_tree_read(const struct json_node **ret_root, struct arena *nodes, struct text document,
                   struct format_error *error);

#endif
