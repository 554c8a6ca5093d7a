/* SPDX-License-Identifier: Apache-2.0 */
/* json_step.c: "steps": what becomes of a number. */
#include <math.h>

#include "network/json_reading.h"

enum { MOST_STEPS = 64 };

const char *const json_step_names[STEP_N_KINDS] = {[STEP_FILL] = "fill",
                                                   [STEP_IS_MISSING] = "is_missing",
                                                   [STEP_ADD] = "add",
                                                   [STEP_SUBTRACT] = "subtract",
                                                   [STEP_MULTIPLY] = "multiply",
                                                   [STEP_DIVIDE] = "divide",
                                                   [STEP_CLIP] = "clip",
                                                   [STEP_LOG] = "log",
                                                   [STEP_SIGNED_LOG] = "signed_log",
                                                   [STEP_TRUNCATE] = "truncate",
                                                   [STEP_SQUARED_LOG] = "squared_log",
                                                   [STEP_BUCKET] = "bucket",
                                                   [STEP_FLOAT32] = "float32"};

bool json_step_is_bare(enum step_kind kind)
{
    return kind == STEP_IS_MISSING || kind == STEP_SIGNED_LOG || kind == STEP_TRUNCATE ||
           kind == STEP_SQUARED_LOG || kind == STEP_FLOAT32;
}

/* null: no bound on this side. */
static int read_bound(struct json_reading *reading, const struct json_node *node, double none,
                      double *ret)
{
    *ret = none;
    return node->kind == JSON_NULL ? 0 : json_tree_number(node, ret, reading->error);
}

static int read_clip(struct json_reading *reading, const struct json_node *node,
                     struct spec_step *ret)
{
    if (node->kind != JSON_ARRAY || node->n != 2)
        return json_tree_unexpected(node, reading->error, "[the least, the most]");
    if (read_bound(reading, node->child, -INFINITY, &ret->a) != 0 ||
        read_bound(reading, node->child->next, INFINITY, &ret->b) != 0)
        return -1;
    return ret->a <= ret->b ? 0
                            : json_tree_refuse(node, reading->error, "the least is above the most");
}

static int read_edges(struct json_reading *reading, const struct json_node *node,
                      struct spec_step *ret)
{
    if (node->kind != JSON_ARRAY || node->n == 0)
        return json_tree_unexpected(node, reading->error, "a list of 1 edge and more");
    double *edges = json_room(reading, node->n, sizeof *edges);
    if (edges == NULL)
        return -1;
    for (const struct json_node *item = node->child; item; item = item->next) {
        const uint32_t i = item->place;
        if (json_tree_number(item, &edges[i], reading->error) != 0)
            return -1;
        if (i > 0 && !(edges[i] > edges[i - 1]))
            return json_tree_refuse(item, reading->error, "edges have to rise");
    }
    ret->edges = edges;
    ret->n_edges = node->n;
    return 0;
}

/* {"divide": 3}: the member is the step. */
static int read_argument(struct json_reading *reading, const struct json_node *node,
                         struct spec_step *ret)
{
    if (ret->kind == STEP_CLIP)
        return read_clip(reading, node, ret);
    if (ret->kind == STEP_BUCKET)
        return read_edges(reading, node, ret);
    if (json_tree_number(node, &ret->a, reading->error) != 0)
        return -1;
    return ret->kind == STEP_DIVIDE && ret->a == 0
               ? json_tree_refuse(node, reading->error, "0 divides nothing")
               : 0;
}

static int read_step(struct json_reading *reading, const struct json_node *node,
                     struct spec_step *ret)
{
    static const char expected[] = "a step like \"float32\" or {\"divide\": 3}";
    const struct json_node *member = node->kind == JSON_OBJECT && node->n == 1 ? node->child : NULL;
    if (member == NULL && node->kind != JSON_STRING)
        return json_tree_unexpected(node, reading->error, expected);
    const struct text name = member ? member->key : node->text;
    const bool is_below = member && text_is(name, JSON_BUCKET_BELOW);
    const char *nearest = NULL;
    unsigned edits = TEXT_NOT_NEAR;
    for (int kind = 0; kind < STEP_N_KINDS; kind++) {
        if (text_is(name, json_step_names[kind]) || (is_below && kind == STEP_BUCKET)) {
            ret->kind = (enum step_kind)kind;
            ret->b = is_below;
            if (json_step_is_bare(ret->kind) == (member != NULL))
                return json_tree_unexpected(node, reading->error, expected);
            return member ? read_argument(reading, member, ret) : 0;
        }
        if (text_is_nearer(name, json_step_names[kind], &edits))
            nearest = json_step_names[kind];
    }
    if (nearest)
        return json_tree_refuse(node, reading->error, "unknown step \"%.*s\"; did you mean \"%s\"?",
                                TEXT_SHOWN(name), nearest);
    return json_tree_unexpected(node, reading->error, expected);
}

int json_read_steps(struct json_reading *reading, const struct json_node *node, uint32_t column,
                    const struct spec_step **ret, uint32_t *ret_n)
{
    const struct json_node *list = json_tree_find(node, "steps");
    if (list == NULL)
        return 0;
    if (list->kind != JSON_ARRAY || list->n > MOST_STEPS)
        return json_tree_unexpected(list, reading->error, "a list of up to 64 steps");
    if (!reading->spec->columns[column].is_number)
        return json_tree_refuse(list, reading->error,
                                "steps are for a column of \"type\": \"number\"");
    struct spec_step *steps = json_room(reading, list->n, sizeof *steps);
    if (steps == NULL)
        return -1;
    for (const struct json_node *item = list->child; item; item = item->next)
        if (read_step(reading, item, &steps[item->place]) != 0)
            return -1;
    *ret = steps;
    *ret_n = list->n;
    return 0;
}
