/* SPDX-License-Identifier: Apache-2.0 */
/* FuxiCTR's model_config.yaml: of one that is read every node knows its place. */
#include "network/yaml_tree.h"

#include "format/build.h"
#include "fuzz.h"

enum { ARENA_BYTES = 64 << 20 };

static void check_node(const struct json_node *node)
{
    uint32_t n = 0;
    fuzz_touch(node->key.at, node->key.length);
    if (node->kind == JSON_STRING)
        fuzz_touch(node->text.at, node->text.length);
    REQUIRE(node->kind >= JSON_OBJECT && node->kind <= JSON_NULL);
    for (const struct json_node *child = node->child; child; child = child->next) {
        REQUIRE(child->parent == node && child->place == n++);
        REQUIRE(node->kind != JSON_OBJECT || json_tree_find_text(node, child->key) == child);
        check_node(child); /* JSON_TREE_MAX_DEPTH */
    }
    REQUIRE(n == node->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct format_error error;
    const struct json_node *root;
    arena_init(&arena, ARENA_BYTES);
    if (yaml_tree_read(&root, &arena, (struct text){(const char *)data, size}, &error) == 0)
        check_node(root);
    else
        REQUIRE(is_one_line(&error));
    arena_free(&arena);
    return 0;
}
