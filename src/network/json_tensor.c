/* SPDX-License-Identifier: Apache-2.0 */
/* json_tensor.c: which tensor: "mlp.{}.weight", {"tensor": .., "index": ..} or a list of these. */
#include <stdio.h>
#include <stdlib.h>

#include "network/json_reading.h"

enum { MOST_PLUS = 1 << 20, MOST_REPEATS = SPEC_MAX_LAYERS };

int json_read_repeat(struct json_reading *reading, const struct json_node *node,
                     const uint32_t **ret, uint32_t *ret_n)
{
    uint32_t n = 1;
    const bool is_list = node && node->kind == JSON_ARRAY;
    if (is_list && (node->n == 0 || node->n > MOST_REPEATS))
        return json_tree_refuse(node, reading->error, "expected 1 to %d numbers, found %u",
                                MOST_REPEATS, node->n);
    if (is_list)
        n = node->n;
    else if (node && json_tree_whole(node, 1, MOST_REPEATS, &n, reading->error) != 0)
        return -1;
    uint32_t *numbers = json_room(reading, n, sizeof *numbers);
    if (numbers == NULL)
        return -1;
    const struct json_node *item = is_list ? node->child : NULL;
    for (uint32_t i = 0; i < n; i++) {
        numbers[i] = node ? i : SPEC_NONE;
        if (item && json_tree_whole(item, 0, MOST_PLUS, &numbers[i], reading->error) != 0)
            return -1;
        item = item ? item->next : NULL;
    }
    *ret = numbers;
    *ret_n = n;
    return 0;
}

/* ---- names ---- */

/* The number of "{}", "{+1}", "{outer}" or "{outer+1}", of which `inside` stands between the
 * braces. */
static int number_of(struct json_reading *reading, const struct json_node *node, struct text inside,
                     struct json_numbers numbers, uint32_t *ret)
{
    uint32_t number = numbers.own, plus = 0;
    struct text left = inside;
    if (left.length >= 5 && memcmp(left.at, "outer", 5) == 0) {
        number = numbers.outer;
        left = (struct text){left.at + 5, left.length - 5};
    }
    for (size_t i = left.length ? 1 : 0; i < left.length && plus < MOST_PLUS; i++)
        plus = left.at[i] >= '0' && left.at[i] <= '9' ? 10 * plus + (uint32_t)(left.at[i] - '0')
                                                      : MOST_PLUS;
    if (plus >= MOST_PLUS || (left.length && (left.length == 1 || *left.at != '+')))
        return json_tree_refuse(node, reading->error,
                                "expected {}, {+1}, {outer} or {{ for a brace, found {%.*s}",
                                TEXT_SHOWN(inside));
    if (number == SPEC_NONE)
        return json_tree_refuse(node, reading->error, "{%.*s} stands in no repetition",
                                TEXT_SHOWN(inside));
    *ret = number + plus;
    return 0;
}

/* `pattern` with its numbers into `out`. -1: *error. */
static int expand(struct json_reading *reading, const struct json_node *node, struct text pattern,
                  struct json_numbers numbers, char out[SPEC_JSON_MAX_NAME + 1])
{
    size_t length = 0;
    if (memchr(pattern.at, '\0', pattern.length))
        return json_tree_refuse(node, reading->error, "a NUL is in no name of a tensor");
    for (size_t i = 0; i < pattern.length && length < SPEC_JSON_MAX_NAME; i++) {
        const char c = pattern.at[i];
        const bool is_brace = c == '{' && i + 1 < pattern.length && pattern.at[i + 1] == '{';
        if (c == '{' && !is_brace) {
            const char *from = pattern.at + i + 1;
            const char *end = memchr(from, '}', pattern.length - i - 1);
            const size_t inside = end ? (size_t)(end - from) : pattern.length - i - 1;
            uint32_t number = 0;
            if (number_of(reading, node, (struct text){from, inside}, numbers, &number) != 0)
                return -1;
            length += (size_t)snprintf(out + length, SPEC_JSON_MAX_NAME + 1 - length, "%u", number);
            i += inside + 1;
        } else {
            out[length++] = c;
            i += is_brace;
        }
    }
    if (length >= SPEC_JSON_MAX_NAME)
        return json_tree_refuse(node, reading->error, "longer than %d bytes",
                                SPEC_JSON_MAX_NAME - 1);
    out[length] = '\0';
    return 0;
}

static int read_name(struct json_reading *reading, const struct json_node *node,
                     struct json_numbers numbers, struct text *ret)
{
    char name[SPEC_JSON_MAX_NAME + 1];
    struct text pattern;
    if (json_tree_text(node, &pattern, reading->error) != 0 ||
        expand(reading, node, pattern, numbers, name) != 0)
        return -1;
    if (++reading->n_parts > SPEC_JSON_MAX_PARTS)
        return json_tree_refuse(node, reading->error, "more than %d tensors", SPEC_JSON_MAX_PARTS);
    const char *copy = arena_copy_text(reading->arena, name, strlen(name));
    if (copy == NULL)
        return format_error_memory(reading->error);
    *ret = text_of(copy);
    return 0;
}

/* ---- parts ---- */

/* A number, or a text like "{}" that becomes one. */
static int read_index_at(struct json_reading *reading, const struct json_node *node,
                         struct json_numbers numbers, uint32_t *ret)
{
    char digits[SPEC_JSON_MAX_NAME + 1];
    if (node->kind != JSON_STRING)
        return json_tree_whole(node, 0, INT32_MAX, ret, reading->error);
    if (expand(reading, node, node->text, numbers, digits) != 0)
        return -1;
    const size_t length = strspn(digits, "0123456789");
    if (length == 0 || length > 9 || digits[length] != '\0')
        return json_tree_unexpected(node, reading->error, "a whole number or \"{}\"");
    *ret = (uint32_t)strtoul(digits, NULL, 10);
    return 0;
}

static int read_index(struct json_reading *reading, const struct json_node *node,
                      struct json_numbers numbers, struct tensor_part *ret)
{
    const uint32_t most = sizeof ret->index / sizeof *ret->index;
    if (node->kind != JSON_ARRAY || node->n == 0 || node->n > most)
        return json_tree_unexpected(node, reading->error, "a list of one or two numbers");
    for (const struct json_node *item = node->child; item; item = item->next)
        if (read_index_at(reading, item, numbers, &ret->index[ret->n_indices++]) != 0)
            return -1;
    return 0;
}

static int read_rows(struct json_reading *reading, const struct json_node *node,
                     struct tensor_part *ret)
{
    uint32_t first, n;
    if (node->kind != JSON_ARRAY || node->n != 2)
        return json_tree_unexpected(node, reading->error, "[the first row, the number of rows]");
    if (json_tree_whole(node->child, 0, INT32_MAX, &first, reading->error) != 0 ||
        json_tree_whole(node->child->next, 1, INT32_MAX, &n, reading->error) != 0)
        return -1;
    ret->first_row = first;
    ret->n_rows = n;
    return 0;
}

/* One repetition of an object. */
static int read_object(struct json_reading *reading, const struct json_node *node,
                       struct json_numbers numbers, struct tensor_part *ret)
{
    const struct json_node *name = json_tree_need(node, "tensor", reading->error);
    const struct json_node *index = json_tree_find(node, "index");
    const struct json_node *rows = json_tree_find(node, "rows");
    const struct json_node *transpose = json_tree_find(node, "transpose");
    *ret = (struct tensor_part){0};
    return name == NULL || read_name(reading, name, numbers, &ret->name) != 0 ||
                   (index && read_index(reading, index, numbers, ret) != 0) ||
                   (rows && read_rows(reading, rows, ret) != 0) ||
                   (transpose &&
                    json_tree_flag(transpose, &ret->is_transposed, reading->error) != 0)
               ? -1
               : 0;
}

static int check_object(struct json_reading *reading, const struct json_node *node, bool may_repeat)
{
    static const char *const keys[] = {"tensor", "index", "rows", "transpose", "repeat", NULL};
    if (node->kind != JSON_OBJECT)
        return json_tree_unexpected(node, reading->error, "the name of a tensor or an object");
    const struct json_node *repeat = json_tree_find(node, "repeat");
    if (repeat && !may_repeat)
        return json_tree_refuse(repeat, reading->error, "one tensor is expected here");
    return json_tree_check_keys(node, keys, reading->error);
}

int json_read_tensor(struct json_reading *reading, const struct json_node *node,
                     struct json_numbers numbers, struct tensor_part *ret)
{
    *ret = (struct tensor_part){0};
    if (node->kind == JSON_STRING)
        return read_name(reading, node, numbers, &ret->name);
    return check_object(reading, node, false) == 0 ? read_object(reading, node, numbers, ret) : -1;
}

/* ---- stacks ---- */

/* The parts of one item of a list, its repetitions counted; with `parts` NULL they are counted
 * only. */
static int read_item(struct json_reading *reading, const struct json_node *node,
                     struct json_numbers numbers, struct tensor_part *parts, uint32_t *n)
{
    const uint32_t *each;
    uint32_t n_each;
    const struct json_node *repeat = json_tree_find(node, "repeat");
    if (repeat == NULL) {
        const uint32_t i = (*n)++;
        return parts ? json_read_tensor(reading, node, numbers, &parts[i]) : 0;
    }
    if (json_read_repeat(reading, repeat, &each, &n_each) != 0)
        return -1;
    if (parts && check_object(reading, node, true) != 0)
        return -1;
    for (uint32_t i = 0; parts && i < n_each; i++) {
        const struct json_numbers inner = {.own = each[i], .outer = numbers.own};
        if (read_object(reading, node, inner, &parts[*n + i]) != 0)
            return -1;
    }
    *n += n_each;
    return 0;
}

static int read_items(struct json_reading *reading, const struct json_node *node,
                      struct json_numbers numbers, struct tensor_part *parts, uint32_t *n)
{
    *n = 0;
    if (node->kind != JSON_ARRAY)
        return read_item(reading, node, numbers, parts, n);
    if (node->n == 0)
        return json_tree_refuse(node, reading->error, "the list is empty");
    for (const struct json_node *item = node->child; item; item = item->next) {
        if (read_item(reading, item, numbers, parts, n) != 0)
            return -1;
        if (*n > SPEC_JSON_MAX_PARTS)
            return json_tree_refuse(node, reading->error, "more than %d tensors",
                                    SPEC_JSON_MAX_PARTS);
    }
    return 0;
}

int json_read_stack(struct json_reading *reading, const struct json_node *node,
                    struct json_numbers numbers, struct tensor_stack *ret)
{
    uint32_t n;
    if (read_items(reading, node, numbers, NULL, &n) != 0)
        return -1;
    struct tensor_part *parts = json_room(reading, n, sizeof *parts);
    if (parts == NULL || read_items(reading, node, numbers, parts, &n) != 0)
        return -1;
    *ret = (struct tensor_stack){parts, n};
    return 0;
}
