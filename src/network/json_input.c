/* SPDX-License-Identifier: Apache-2.0 */
/* json_input.c: the "parts" of an input layer. */
#include "network/json_reading.h"

const char *const json_pooling_names[4] = {
    [POOLING_NONE] = "none", [POOLING_SUM] = "sum", [POOLING_MEAN] = "mean", [POOLING_MAX] = "max"};

static const struct json_numbers no_numbers = {SPEC_NONE, SPEC_NONE};

/* "none", "nonzero" or {"row": 0} */
static int read_mask(struct json_reading *reading, const struct json_node *node,
                     struct spec_input *ret)
{
    static const char *const keys[] = {"row", NULL};
    if (node->kind == JSON_STRING && text_is(node->text, "none"))
        return 0;
    if (node->kind == JSON_STRING && text_is(node->text, "nonzero")) {
        ret->mask = MASK_NONZERO;
        return 0;
    }
    if (node->kind != JSON_OBJECT)
        return json_tree_unexpected(node, reading->error, "\"none\", \"nonzero\" or {\"row\": 0}");
    const struct json_node *row = json_tree_need(node, "row", reading->error);
    ret->mask = MASK_ROW;
    return row == NULL || json_tree_check_keys(node, keys, reading->error) != 0
               ? -1
               : json_tree_whole(row, 0, INT32_MAX, &ret->masked_row, reading->error);
}

/* What divides the sum of a mean: max(count + epsilon, at_least). */
static int read_divisor(struct json_reading *reading, const struct json_node *node,
                        struct spec_input *ret)
{
    const struct json_node *epsilon = json_tree_find(node, "epsilon");
    const struct json_node *at_least = json_tree_find(node, "at_least");
    if (ret->pooling != POOLING_MEAN)
        return epsilon || at_least ? json_tree_refuse(epsilon ? epsilon : at_least, reading->error,
                                                      "only \"pooling\": \"mean\" divides")
                                   : 0;
    ret->at_least = epsilon ? 0 : 1;
    if ((epsilon && json_tree_float(epsilon, &ret->epsilon, reading->error) != 0) ||
        (at_least && json_tree_float(at_least, &ret->at_least, reading->error) != 0))
        return -1;
    if (!(ret->epsilon >= 0 && ret->at_least >= 0 && ret->epsilon + ret->at_least > 0))
        return json_tree_refuse(
            node, reading->error,
            "\"epsilon\" and \"at_least\" are not negative, and one is above 0");
    return 0;
}

static int read_pooling(struct json_reading *reading, const struct json_node *node,
                        struct spec_input *ret)
{
    const struct spec_lookup *lookup = &reading->spec->lookups[ret->source];
    const struct spec_column *column = &reading->spec->columns[lookup->column];
    const struct json_node *pooling = json_tree_find(node, "pooling");
    const struct json_node *mask = json_tree_find(node, "mask");
    unsigned which = POOLING_NONE;
    if (pooling && json_tree_choice(pooling, json_pooling_names, 4, &which, reading->error) != 0)
        return -1;
    ret->pooling = (enum pooling)which;
    if (which == POOLING_NONE && column->is_list && lookup->max_values != 1)
        return json_tree_refuse(node, reading->error,
                                "the column \"%.*s\" is a list: \"pooling\" has to be \"sum\", "
                                "\"mean\" or \"max\"",
                                TEXT_SHOWN(column->name));
    if (which != POOLING_NONE && !column->is_list)
        return json_tree_refuse(pooling, reading->error, "the column \"%.*s\" is no list",
                                TEXT_SHOWN(column->name));
    if (mask && which == POOLING_NONE)
        return json_tree_refuse(mask, reading->error, "a mask is for a \"pooling\"");
    if (mask == NULL && lookup->is_padded && which != POOLING_NONE)
        return json_tree_refuse(node, reading->error,
                                "the list is padded: \"mask\" has to be \"none\", \"nonzero\" or "
                                "{\"row\": %u}",
                                lookup->pad_row);
    return mask && read_mask(reading, mask, ret) != 0 ? -1 : read_divisor(reading, node, ret);
}

static int read_table(struct json_reading *reading, const struct json_node *node,
                      struct spec_input *ret)
{
    static const char *const keys[] = {"table",   "lookup",   "pooling", "mask",
                                       "epsilon", "at_least", "one_row", NULL};
    const struct json_node *lookup = json_tree_need(node, "lookup", reading->error);
    const struct json_node *one_row = json_tree_find(node, "one_row");
    bool is_row = false;
    ret->kind = INPUT_TABLE;
    if (lookup == NULL || json_tree_check_keys(node, keys, reading->error) != 0 ||
        json_read_tensor(reading, json_tree_find(node, "table"), no_numbers, &ret->tensor) != 0 ||
        json_read_lookup_of(reading, lookup, &ret->source) != 0 ||
        (one_row && json_tree_flag(one_row, &is_row, reading->error) != 0))
        return -1;
    ret->n_rows = is_row;
    return read_pooling(reading, node, ret);
}

static int read_number(struct json_reading *reading, const struct json_node *node,
                       struct spec_input *ret)
{
    static const char *const keys[] = {"value", "times", NULL};
    const struct json_node *times = json_tree_find(node, "times");
    ret->kind = times ? INPUT_TIMES : INPUT_VALUE;
    if (json_tree_check_keys(node, keys, reading->error) != 0 ||
        json_read_value_of(reading, json_tree_find(node, "value"), &ret->source) != 0)
        return -1;
    return times ? json_read_tensor(reading, times, no_numbers, &ret->tensor) : 0;
}

static int read_part(struct json_reading *reading, const struct json_node *node,
                     struct spec_input *ret)
{
    if (json_tree_find(node, "value"))
        return read_number(reading, node, ret);
    if (json_tree_find(node, "table"))
        return read_table(reading, node, ret);
    return json_tree_unexpected(node, reading->error,
                                "{\"table\": .., \"lookup\": ..} or {\"value\": ..}");
}

int json_read_parts(struct json_reading *reading, const struct json_node *layer,
                    struct spec_layer *ret)
{
    const struct json_node *list = json_tree_need(layer, "parts", reading->error);
    if (list == NULL || json_check_list(reading, list, SPEC_JSON_MAX_ITEMS) != 0)
        return -1;
    struct spec_input *parts = json_room(reading, list->n, sizeof *parts);
    if (parts == NULL)
        return -1;
    for (const struct json_node *item = list->child; item; item = item->next)
        if (read_part(reading, item, &parts[item->place]) != 0)
            return -1;
    ret->parts = parts;
    ret->n_parts = list->n;
    return 0;
}
