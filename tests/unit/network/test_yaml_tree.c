/* SPDX-License-Identifier: Apache-2.0 */
#include "network/yaml_tree.h"

#include <stdlib.h>

#include "test.h"

static struct arena arena;
static struct format_error error;
static const struct json_node *root;

static int read_bytes(const char *at, size_t length)
{
    arena_free(&arena);
    arena_init(&arena, 64 << 20);
    memset(error.message, 0, sizeof error.message);
    return yaml_tree_read(&root, &arena, (struct text){at, length}, &error);
}

static int read_yaml(const char *text)
{
    return read_bytes(text, strlen(text));
}

#define READ(text) CHECK_MSG(read_yaml(text) == 0, "found: %s", error.message)
#define REFUSED(text, part)                                                                        \
    do {                                                                                           \
        CHECK(read_yaml(text) == -1);                                                              \
        CHECK_MSG(strstr(error.message, part) != NULL, "found: %s", error.message);                \
    } while (0)

TEST(a_configuration_is_a_tree)
{
    READ("Base:\n  root: ./data/ # a comment\n  none: null\nrun:\n  units: [64, 32]\n"
         "  list:\n  - GELU\n  - 'ReLU'\n  rate: 1.0e-2\n  flag: True\n  off: no\n  empty:\n");
    const struct json_node *run = json_tree_find(root, "run");
    CHECK(root->kind == JSON_OBJECT && root->n == 2 && run && run->place == 1 && run->n == 6);
    CHECK(text_is(json_tree_find(json_tree_find(root, "Base"), "root")->text, "./data/"));
    CHECK(json_tree_find(json_tree_find(root, "Base"), "none")->kind == JSON_NULL);
    const struct json_node *units = json_tree_find(run, "units");
    CHECK(units->kind == JSON_ARRAY && units->n == 2 && units->child->number == 64);
    CHECK(units->child->next->number == 32 && units->child->next->place == 1);
    const struct json_node *list = json_tree_find(run, "list");
    CHECK(text_is(list->child->text, "GELU") && text_is(list->child->next->text, "ReLU"));
    CHECK(json_tree_find(run, "rate")->kind == JSON_NUMBER);
    CHECK(json_tree_find(run, "rate")->number == 0.01);
    CHECK(json_tree_find(run, "flag")->kind == JSON_TRUE);
    CHECK(json_tree_find(run, "off")->kind == JSON_FALSE);
    CHECK(json_tree_find(run, "empty")->kind == JSON_NULL);
}

TEST(what_is_quoted_or_no_number_is_a_text)
{
    READ("{a: '1', b: \"true\", c: null-1, d: 1e5x, e: \"\", f: l2(1.e-5), g: .inf, h: '~'}");
    for (const struct json_node *node = root->child; node; node = node->next)
        CHECK_MSG(node->kind == JSON_STRING, "%.*s", TEXT_SHOWN(node->key));
    READ("just a text");
    CHECK(root->kind == JSON_STRING && text_is(root->text, "just a text"));
}

TEST(places_are_told)
{
    READ("run:\n  list: [a, {b: [1, 2]}]\n");
    const struct json_node *list = json_tree_find(json_tree_find(root, "run"), "list");
    json_tree_unexpected(json_tree_find(list->child->next, "b")->child->next, &error, "a text");
    CHECK_MSG(strcmp(error.message, "run.list[1].b[1]: expected a text, found 2") == 0, "%s",
              error.message);
}

TEST(what_two_readers_may_see_differently_is_refused)
{
    REFUSED("a: 1\na: 2\n", "the key \"a\" stands twice");
    REFUSED("x:\n  a: 1\n  a: 2\n", "x: the key \"a\" stands twice");
    REFUSED("a: &x [1]\nb: *x\n", "line 2: aliases are not read: write the value out");
    REFUSED("a: !!python/object/apply:os.system [x]\n", "line 1: tags are not read");
    REFUSED("a: !!str 1\n", "tags are not read");
    REFUSED("a: !x {b: 1}\n", "tags are not read");
    REFUSED("[a]: 1\n", "a key that is no text");
    REFUSED("a: 1\n---\nb: 2\n", "holds a second document");
    REFUSED("", "holds no document");
}

TEST(what_is_no_yaml_is_refused_with_its_line)
{
    REFUSED("a: 1\nb: [1, 2\n", "line ");
    REFUSED("a: 1\n\tb: 2\n", "line 2: ");
    REFUSED("a: \"\\q\"\n", "line 1: ");
    REFUSED("a: \xFF\n", "line 1: ");
    CHECK(read_bytes("a: \0b", 5) == -1);
    CHECK(error.message[0] != '\0' && strchr(error.message, '\n') == NULL);
}

TEST(size_depth_and_number_of_keys_are_bounded)
{
    static char text[YAML_TREE_MAX_BYTES + 2];
    memset(text, '[', 40);
    CHECK(read_bytes(text, 40) == -1 && strstr(error.message, "nested deeper than 32"));
    memset(text, '{', 100000);
    CHECK(read_bytes(text, 100000) == -1);
    memset(text, ' ', sizeof text);
    CHECK(read_bytes(text, YAML_TREE_MAX_BYTES + 1) == -1);
    CHECK(strstr(error.message, "is larger than 1048576 bytes"));
    size_t n = 0;
    for (int i = 0; i <= YAML_TREE_MAX_KEYS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "k%d: 1\n", i);
    CHECK(read_bytes(text, n) == -1 && strstr(error.message, "more than 4096 keys"));
}

int main(void)
{
    RUN(a_configuration_is_a_tree);
    RUN(what_is_quoted_or_no_number_is_a_text);
    RUN(places_are_told);
    RUN(what_two_readers_may_see_differently_is_refused);
    RUN(what_is_no_yaml_is_refused_with_its_line);
    RUN(size_depth_and_number_of_keys_are_bounded);
    arena_free(&arena);
    return test_report();
}
