/* SPDX-License-Identifier: Apache-2.0 */
#include "network/json_tree.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = 320, PATH_BYTES = 160 };

/* ---- messages ---- */

/* "layers[2].weight", the part that fits. Returns its length. */
static size_t put_path(const struct json_node *node, char out[PATH_BYTES])
{
    if (node->parent == NULL)
        return out[0] = '\0', 0;
    const size_t length = put_path(node->parent, out);
    char *at = out + length;
    const size_t room = PATH_BYTES - length;
    const int wanted = node->parent->kind == JSON_ARRAY
                           ? snprintf(at, room, "[%u]", node->place)
                           : snprintf(at, room, "%s%.*s", length ? "." : "", TEXT_SHOWN(node->key));
    return wanted < 0 || (size_t)wanted >= room ? PATH_BYTES - 1 : length + (size_t)wanted;
}

int json_tree_refuse(const struct json_node *node, struct format_error *error, const char *format,
                     ...)
{
    char path[PATH_BYTES], message[MESSAGE_BYTES];
    const size_t length = put_path(node, path);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return format_error_set(error, FORMAT_NO_OFFSET, "%s%s%s", path, length ? ": " : "", message);
}

static void describe(const struct json_node *node, char *out, size_t out_size)
{
    static const char *const names[] = {[JSON_OBJECT] = "an object",
                                        [JSON_ARRAY] = "a list",
                                        [JSON_TRUE] = "true",
                                        [JSON_FALSE] = "false",
                                        [JSON_NULL] = "null"};
    if (node->kind == JSON_STRING)
        snprintf(out, out_size, "\"%.*s\"", TEXT_SHOWN(node->text));
    else if (node->kind == JSON_NUMBER)
        snprintf(out, out_size, "%.9g", node->number);
    else
        snprintf(out, out_size, "%s", names[node->kind]);
}

int json_tree_unexpected(const struct json_node *node, struct format_error *error,
                         const char *expected)
{
    char found[96];
    describe(node, found, sizeof found);
    return json_tree_refuse(node, error, "expected %s, found %s", expected, found);
}

/* ---- reading ---- */

struct building {
    struct json_reader reader;
    struct arena *nodes;
    struct format_error *error;
};

static int syntax_error(const struct building *b)
{
    char reason[192];
    if (b->reader.reason == json_out_of_memory)
        return format_error_memory(b->error);
    json_describe_error(&b->reader, reason, sizeof reason);
    return format_error_set(b->error, FORMAT_NO_OFFSET, "%s", reason);
}

static int compare_keys(const void *a, const void *b)
{
    return text_compare((*(const struct json_node *const *)a)->key,
                        (*(const struct json_node *const *)b)->key);
}

static int refuse_twice(const struct building *b, const struct json_node *node, struct text key)
{
    return json_tree_refuse(node, b->error, "the key \"%.*s\" stands twice", TEXT_SHOWN(key));
}

static int check_distinct(const struct building *b, const struct json_node *object)
{
    const struct json_node **sorted = arena_calloc(b->nodes, object->n, sizeof *sorted);
    size_t n = 0;
    if (object->n > 0 && sorted == NULL)
        return format_error_memory(b->error);
    for (const struct json_node *member = object->child; member; member = member->next)
        sorted[n++] = member;
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (text_equal(sorted[i - 1]->key, sorted[i]->key))
            return refuse_twice(b, object, sorted[i]->key);
    return 0;
}

static int read_value(struct building *b, struct json_node *node, unsigned depth);

static int read_members(struct building *b, struct json_node *node, unsigned depth)
{
    const struct json_node **link = &node->child;
    struct text key = {0};
    const bool is_object = node->kind == JSON_OBJECT;
    if (depth == JSON_TREE_MAX_DEPTH)
        return json_tree_refuse(node, b->error, "nested deeper than %d", JSON_TREE_MAX_DEPTH);
    json_enter(&b->reader);
    for (bool first = true; is_object ? json_next_key(&b->reader, &first, &key)
                                      : json_next_element(&b->reader, &first);) {
        struct json_node *member = arena_alloc(b->nodes, sizeof *member);
        if (member == NULL)
            return format_error_memory(b->error);
        *member = (struct json_node){.parent = node, .key = key, .place = node->n++};
        *link = member;
        link = &member->next;
        if (read_value(b, member, depth + 1) != 0)
            return -1;
    }
    if (b->reader.reason)
        return syntax_error(b);
    return is_object ? check_distinct(b, node) : 0;
}

static int read_value(struct building *b, struct json_node *node, unsigned depth)
{
    const enum json_kind kind = json_peek(&b->reader);
    struct json_number number;
    bool good = true;
    node->kind = (uint8_t)kind;
    switch (kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return read_members(b, node, depth);
    case JSON_STRING:
        good = json_string(&b->reader, &node->text);
        break;
    case JSON_NUMBER:
        good = json_number(&b->reader, &number);
        node->number = good ? number.value : 0;
        break;
    default:
        good = json_literal(&b->reader, kind);
    }
    return good ? 0 : syntax_error(b);
}

/* ---- one part of a document ---- */

/* Whether a token of a pointer, in which "~1" stands for '/' and "~0" for '~', is the key. */
static bool is_token(struct text token, struct text key)
{
    size_t i = 0;
    for (size_t k = 0; k < token.length; k++, i++) {
        char c = token.at[k];
        if (c == '~' && k + 1 < token.length)
            c = token.at[++k] == '1' ? '/' : '~';
        if (i >= key.length || key.at[i] != c)
            return false;
    }
    return i == key.length;
}

static struct text next_token(struct text *pointer)
{
    pointer->at++;
    pointer->length--;
    const char *slash = memchr(pointer->at, '/', pointer->length);
    const size_t length = slash ? (size_t)(slash - pointer->at) : pointer->length;
    const struct text token = {pointer->at, length};
    pointer->at += length;
    pointer->length -= length;
    return token;
}

static int descend(struct building *b, struct json_node *node, struct text pointer, unsigned depth)
{
    if (pointer.length == 0)
        return read_value(b, node, depth);
    if (*pointer.at != '/' || depth == JSON_TREE_MAX_DEPTH)
        return format_error_set(b->error, FORMAT_NO_OFFSET,
                                "expected a JSON pointer like \"/city\", found \"%.*s\"",
                                TEXT_SHOWN(pointer));
    const struct text token = next_token(&pointer);
    struct text key;
    bool is_found = false;
    if (json_peek(&b->reader) == JSON_OBJECT)
        json_enter(&b->reader);
    else
        return b->reader.reason
                   ? syntax_error(b)
                   : json_tree_refuse(node, b->error, "an object with \"%.*s\" is missing",
                                      TEXT_SHOWN(token));
    for (bool first = true; json_next_key(&b->reader, &first, &key);) {
        if (!is_token(token, key)) {
            json_skip(&b->reader);
            continue;
        }
        if (is_found)
            return refuse_twice(b, node, key);
        is_found = true;
        if (descend(b, node, pointer, depth + 1) != 0)
            return -1;
    }
    if (b->reader.reason)
        return syntax_error(b);
    return is_found
               ? 0
               : json_tree_refuse(node, b->error, "the key \"%.*s\" is missing", TEXT_SHOWN(token));
}

int json_tree_read(const struct json_node **ret_root, struct arena *nodes, struct arena *texts,
                   struct text document, struct text pointer, struct format_error *error)
{
    struct building b = {.nodes = nodes, .error = error};
    struct json_node *root = arena_calloc(nodes, 1, sizeof *root);
    if (root == NULL)
        return format_error_memory(error);
    json_init(&b.reader, document.at, document.length, texts);
    if (descend(&b, root, pointer, 0) != 0)
        return -1;
    if (!json_end(&b.reader))
        return syntax_error(&b);
    *ret_root = root;
    return 0;
}

/* ---- values ---- */

const struct json_node *json_tree_find_text(const struct json_node *node, struct text key)
{
    const struct json_node *member = node->kind == JSON_OBJECT ? node->child : NULL;
    while (member && !text_equal(member->key, key))
        member = member->next;
    return member;
}

const struct json_node *json_tree_find(const struct json_node *node, const char *key)
{
    return json_tree_find_text(node, text_of(key));
}

const struct json_node *json_tree_need(const struct json_node *node, const char *key,
                                       struct format_error *error)
{
    const struct json_node *member = json_tree_find(node, key);
    if (member == NULL)
        json_tree_refuse(node, error, "the key \"%s\" is missing", key);
    return member;
}

static const char *find_nearest(struct text name, const char *const *keys)
{
    const char *nearest = NULL;
    unsigned edits = TEXT_NOT_NEAR;
    for (; *keys; keys++)
        if (text_is_nearer(name, *keys, &edits))
            nearest = *keys;
    return nearest;
}

static bool is_key(struct text name, const char *const *keys)
{
    while (*keys && !text_is(name, *keys))
        keys++;
    return *keys != NULL;
}

/* "a, b or c", the part that fits. */
static void list_names(const char *const *names, char *out, size_t out_size)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; names[i] && length < out_size; i++)
        length += (size_t)snprintf(out + length, out_size - length, "%s%s",
                                   i == 0         ? ""
                                   : names[i + 1] ? ", "
                                                  : " or ",
                                   names[i]);
}

int json_tree_check_keys(const struct json_node *node, const char *const *keys,
                         struct format_error *error)
{
    char known[MESSAGE_BYTES / 2];
    if (node->kind != JSON_OBJECT)
        return json_tree_unexpected(node, error, "an object");
    for (const struct json_node *member = node->child; member; member = member->next) {
        if (is_key(member->key, keys))
            continue;
        const char *nearest = find_nearest(member->key, keys);
        if (nearest)
            return json_tree_refuse(member, error, "unknown key; did you mean \"%s\"?", nearest);
        list_names(keys, known, sizeof known);
        return json_tree_refuse(member, error, "unknown key; expected %s", known);
    }
    return 0;
}

int json_tree_text(const struct json_node *node, struct text *ret, struct format_error *error)
{
    if (node->kind != JSON_STRING || node->text.length == 0)
        return json_tree_unexpected(node, error, "a text");
    *ret = node->text;
    return 0;
}

int json_tree_flag(const struct json_node *node, bool *ret, struct format_error *error)
{
    if (node->kind != JSON_TRUE && node->kind != JSON_FALSE)
        return json_tree_unexpected(node, error, "true or false");
    *ret = node->kind == JSON_TRUE;
    return 0;
}

int json_tree_number(const struct json_node *node, double *ret, struct format_error *error)
{
    if (node->kind != JSON_NUMBER)
        return json_tree_unexpected(node, error, "a number");
    *ret = node->number;
    return 0;
}

int json_tree_float(const struct json_node *node, float *ret, struct format_error *error)
{
    if (node->kind != JSON_NUMBER || !(fabs(node->number) <= FLT_MAX))
        return json_tree_unexpected(node, error, "a number in the range of a float");
    *ret = (float)node->number;
    return 0;
}

int json_tree_whole(const struct json_node *node, uint32_t least, uint32_t most, uint32_t *ret,
                    struct format_error *error)
{
    if (node->kind == JSON_NUMBER && node->number >= least && node->number <= most &&
        node->number == floor(node->number)) {
        *ret = (uint32_t)node->number;
        return 0;
    }
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from %u to %u", least, most);
    return json_tree_unexpected(node, error, expected);
}

int json_tree_choice(const struct json_node *node, const char *const *names, unsigned n,
                     unsigned *ret, struct format_error *error)
{
    enum { MOST = 16 };
    const char *listed[MOST + 1] = {NULL};
    char known[MESSAGE_BYTES / 2];
    for (unsigned i = 0; i < n && i < MOST; i++) {
        listed[i] = names[i];
        if (node->kind == JSON_STRING && text_is(node->text, names[i])) {
            *ret = i;
            return 0;
        }
    }
    list_names(listed, known, sizeof known);
    return json_tree_unexpected(node, error, known);
}
