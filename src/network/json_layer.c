/* SPDX-License-Identifier: Apache-2.0 */
/* json_layer.c: "layers", with their repetitions and chains. */
#include <stdio.h>

#include "network/json_reading.h"
#include "network/kinds.h"

enum { MOST_KEYS = 24, MOST_NAME = 128 };

/* One element of "layers": layers that follow each other and share what stands here. */
struct block {
    const struct json_node *node;
    struct text name;
    const uint32_t *inputs;
    uint32_t n_inputs;
};

/* Where a layer stands in its block. */
struct place {
    const struct json_node *node; /* the block's, or the element of its "chain" */
    struct json_numbers numbers;
    struct text name;
    const uint32_t *inputs;
    uint32_t n_inputs;
};

/* ---- what a kind may hold ---- */

bool json_has_slope(enum activation_name function)
{
    return function == ACTIVATE_LEAKY_RELU || function == ACTIVATE_ELU;
}

float json_default_epsilon(enum layer_kind kind, enum activation_name function)
{
    if (kind == LAYER_ACTIVATION)
        return function == ACTIVATE_DICE               ? 1e-9f
               : function == ACTIVATE_SWISH_LAYER_NORM ? 1e-5f
                                                       : 0;
    return kind == LAYER_BATCH_NORM || kind == LAYER_LAYER_NORM || kind == LAYER_CROSS_LAYER_NORM
               ? 1e-5f
               : 0;
}

bool json_has_function(enum layer_kind kind)
{
    return kind == LAYER_ACTIVATION || kind == LAYER_CROSS_LOW_RANK || kind == LAYER_CROSS_MIXTURE;
}

/* The keys of a kind behind those that are given. */
static void add_keys(enum layer_kind kind, const char *keys[MOST_KEYS], unsigned n)
{
    const struct kind *layer = &layer_kinds[kind];
    for (const struct role *role = layer->roles; role->key; role++)
        keys[n++] = role->key;
    if (layer->is_cross)
        keys[n++] = "x0";
    if (json_has_function(kind))
        keys[n++] = "function";
    if (json_has_function(kind) && kind != LAYER_ACTIVATION)
        keys[n++] = "slope"; /* of an activation this is the key of a role already */
    if (kind == LAYER_ACTIVATION || json_default_epsilon(kind, ACTIVATE_NONE) > 0)
        keys[n++] = "epsilon";
    if (kind == LAYER_CROSS_FULL)
        keys[n++] = "bias_outside";
    if (kind == LAYER_INPUT)
        keys[n++] = "parts";
    if (kind == LAYER_OUTPUT) {
        keys[n++] = "weight";
        keys[n++] = "weights";
        keys[n++] = "bias";
    }
    keys[n] = NULL;
}

static int read_kind(struct json_reading *reading, const struct json_node *node,
                     enum layer_kind *ret)
{
    const char *names[LAYER_N_KINDS];
    unsigned which;
    for (int i = 0; i < LAYER_N_KINDS; i++)
        names[i] = layer_kinds[i].name;
    const struct json_node *kind = json_tree_need(node, "kind", reading->error);
    if (kind == NULL || json_tree_choice(kind, names, LAYER_N_KINDS, &which, reading->error) != 0)
        return -1;
    *ret = (enum layer_kind)which;
    return 0;
}

/* ---- what a layer holds ---- */

static int read_role(struct json_reading *reading, const struct place *place,
                     const struct role *role, bool is_needed, struct tensor_stack *ret)
{
    const struct json_node *node = json_tree_find(place->node, role->key);
    if (node == NULL && is_needed)
        return json_tree_need(place->node, role->key, reading->error) ? 0 : -1;
    return node ? json_read_stack(reading, node, place->numbers, ret) : 0;
}

/* The roles of an activation are those of its function, no more and no less. */
static int read_roles(struct json_reading *reading, const struct place *place,
                      struct spec_layer *ret)
{
    const struct role *roles = layer_kinds[ret->kind].roles;
    const bool is_activation = ret->kind == LAYER_ACTIVATION;
    const bool slope_is_number = json_has_slope(ret->activation);
    for (unsigned i = 0; roles[i].key; i++) {
        const bool is_of_function = activation_roles[ret->activation] >> i & 1;
        if (is_activation && slope_is_number && i == PRELU_SLOPE)
            continue;
        const struct json_node *node = json_tree_find(place->node, roles[i].key);
        if (is_activation && node && !is_of_function)
            return json_tree_refuse(node, reading->error, "the function \"%s\" has none",
                                    activation_names[ret->activation]);
        const bool is_needed = is_activation ? is_of_function : !roles[i].is_optional;
        if (read_role(reading, place, &roles[i], is_needed, &ret->tensors[i]) != 0)
            return -1;
    }
    return 0;
}

static int read_slope(struct json_reading *reading, const struct json_node *node,
                      struct spec_layer *ret)
{
    const struct json_node *slope = json_tree_find(node, "slope");
    if (json_has_slope(ret->activation)) {
        slope = json_tree_need(node, "slope", reading->error);
        return slope ? json_tree_float(slope, &ret->slope, reading->error) : -1;
    }
    return slope && ret->kind != LAYER_ACTIVATION
               ? json_tree_refuse(slope, reading->error, "the function \"%s\" has none",
                                  activation_names[ret->activation])
               : 0;
}

static int read_function(struct json_reading *reading, const struct json_node *node,
                         struct spec_layer *ret)
{
    unsigned which;
    if (!json_has_function(ret->kind))
        return 0;
    const struct json_node *function = json_tree_need(node, "function", reading->error);
    if (function == NULL ||
        json_tree_choice(function, activation_names, ACTIVATE_N_NAMES, &which, reading->error) != 0)
        return -1;
    ret->activation = (enum activation_name)which;
    if (ret->kind != LAYER_ACTIVATION && activation_roles[which])
        return json_tree_refuse(function, reading->error,
                                "\"%s\" has tensors, which the inside of a cross layer has not",
                                activation_names[which]);
    return read_slope(reading, node, ret);
}

static int read_epsilon(struct json_reading *reading, const struct json_node *node,
                        struct spec_layer *ret)
{
    const struct json_node *epsilon = json_tree_find(node, "epsilon");
    ret->epsilon = json_default_epsilon(ret->kind, ret->activation);
    if (epsilon == NULL)
        return 0;
    if (ret->epsilon == 0)
        return json_tree_refuse(epsilon, reading->error, "the function \"%s\" has none",
                                activation_names[ret->activation]);
    if (json_tree_float(epsilon, &ret->epsilon, reading->error) != 0)
        return -1;
    return ret->epsilon > 0 ? 0 : json_tree_unexpected(epsilon, reading->error, "a number above 0");
}

/* "weights": one per input; null stands for ones. */
static int read_weights(struct json_reading *reading, const struct place *place,
                        const struct json_node *list, struct spec_layer *ret)
{
    if (list->kind != JSON_ARRAY || list->n != ret->n_inputs)
        return json_tree_unexpected(list, reading->error, "a list of one tensor per input");
    struct tensor_stack *weights = json_room(reading, list->n, sizeof *weights);
    if (weights == NULL)
        return -1;
    for (const struct json_node *item = list->child; item; item = item->next)
        if (item->kind != JSON_NULL &&
            json_read_stack(reading, item, place->numbers, &weights[item->place]) != 0)
            return -1;
    ret->weights = weights;
    return 0;
}

static int read_output(struct json_reading *reading, const struct place *place,
                       struct spec_layer *ret)
{
    const struct json_node *weight = json_tree_find(place->node, "weight");
    const struct json_node *weights = json_tree_find(place->node, "weights");
    const struct json_node *bias = json_tree_find(place->node, "bias");
    if (!weight == !weights)
        return json_tree_refuse(
            place->node, reading->error,
            "expected \"weight\", of all inputs, or \"weights\", one per input");
    if (bias && json_read_stack(reading, bias, place->numbers, &ret->tensors[ROLE_BIAS]) != 0)
        return -1;
    return weight ? json_read_stack(reading, weight, place->numbers, &ret->tensors[ROLE_WEIGHT])
                  : read_weights(reading, place, weights, ret);
}

/* ---- names of layers ---- */

static uint32_t find_layer(const struct json_reading *reading, struct text name)
{
    for (uint32_t i = reading->spec->n_layers; i > 0; i--)
        if (text_equal(reading->spec->layers[i - 1].name, name))
            return i - 1;
    return SPEC_NONE;
}

static int read_layer_name(struct json_reading *reading, const struct json_node *node,
                           uint32_t *ret)
{
    struct text name;
    if (json_tree_text(node, &name, reading->error) != 0)
        return -1;
    *ret = find_layer(reading, name);
    return *ret != SPEC_NONE
               ? 0
               : json_tree_refuse(node, reading->error, "no layer before is called \"%.*s\"",
                                  TEXT_SHOWN(name));
}

static int read_x0(struct json_reading *reading, const struct block *block,
                   const struct json_node *node, struct spec_layer *ret)
{
    const struct json_node *x0 = json_tree_find(node, "x0");
    ret->x0 = SPEC_NONE;
    if (!layer_kinds[ret->kind].is_cross)
        return 0;
    if (x0)
        return read_layer_name(reading, x0, &ret->x0);
    if (block->n_inputs != 1)
        return json_tree_refuse(node, reading->error, "several inputs: \"x0\" has to name a layer");
    ret->x0 = block->inputs[0];
    return 0;
}

/* ---- one layer ---- */

static int check_layer_keys(struct json_reading *reading, const struct place *place, bool is_block,
                            enum layer_kind kind)
{
    static const char *const of_block[] = {"name", "repeat", "input", "inputs"};
    const char *keys[MOST_KEYS] = {"kind"};
    unsigned n = 1;
    for (size_t i = 0; is_block && i < sizeof of_block / sizeof *of_block; i++)
        keys[n++] = of_block[i];
    add_keys(kind, keys, n);
    return json_tree_check_keys(place->node, keys, reading->error);
}

static int check_place(struct json_reading *reading, const struct place *place,
                       enum layer_kind kind)
{
    const bool is_repeated = place->numbers.own != SPEC_NONE;
    if (kind == LAYER_INPUT && (place->n_inputs > 0 || is_repeated))
        return json_tree_refuse(place->node, reading->error,
                                "\"input\", \"inputs\" and \"repeat\" are not for an input layer");
    if (kind != LAYER_INPUT && place->n_inputs == 0)
        return json_tree_refuse(place->node, reading->error, "the key \"input\" is missing");
    if (find_layer(reading, place->name) != SPEC_NONE)
        return json_tree_refuse(place->node, reading->error, "another layer is called \"%.*s\"",
                                TEXT_SHOWN(place->name));
    return 0;
}

static int read_layer(struct json_reading *reading, const struct block *block,
                      const struct place *place)
{
    const struct json_node *node = place->node;
    const struct json_node *outside = json_tree_find(node, "bias_outside");
    struct spec_layer layer = {
        .name = place->name, .inputs = place->inputs, .n_inputs = place->n_inputs};
    if (read_kind(reading, node, &layer.kind) != 0 ||
        check_layer_keys(reading, place, node == block->node, layer.kind) != 0 ||
        check_place(reading, place, layer.kind) != 0 ||
        read_x0(reading, block, node, &layer) != 0 || read_function(reading, node, &layer) != 0 ||
        read_epsilon(reading, node, &layer) != 0 || read_roles(reading, place, &layer) != 0 ||
        (outside && json_tree_flag(outside, &layer.has_bias_outside, reading->error) != 0) ||
        (layer.kind == LAYER_INPUT && json_read_parts(reading, node, &layer) != 0) ||
        (layer.kind == LAYER_OUTPUT && read_output(reading, place, &layer) != 0))
        return -1;
    reading->spec->layers[reading->spec->n_layers++] = layer;
    return 0;
}

/* ---- blocks ---- */

static int read_inputs(struct json_reading *reading, struct block *block)
{
    const struct json_node *one = json_tree_find(block->node, "input");
    const struct json_node *several = json_tree_find(block->node, "inputs");
    if (one && several)
        return json_tree_refuse(several, reading->error, "\"input\" stands there already");
    if (several && json_check_list(reading, several, SPEC_JSON_MAX_ITEMS) != 0)
        return -1;
    uint32_t *inputs = json_room(reading, several ? several->n : 1, sizeof *inputs);
    if (inputs == NULL)
        return -1;
    for (const struct json_node *item = several ? several->child : one; item;
         item = several ? item->next : NULL)
        if (read_layer_name(reading, item, &inputs[block->n_inputs++]) != 0)
            return -1;
    block->inputs = inputs;
    return 0;
}

static int read_block_name(struct json_reading *reading, struct block *block)
{
    const struct json_node *name = json_tree_need(block->node, "name", reading->error);
    if (name == NULL || json_tree_text(name, &block->name, reading->error) != 0)
        return -1;
    return block->name.length <= MOST_NAME
               ? 0
               : json_tree_refuse(name, reading->error, "longer than %d bytes", MOST_NAME);
}

/* The last layer has the block's name; those before have "deep[0]" or, of a chain, "deep[0][1]". */
static int name_layer(struct json_reading *reading, const struct block *block, bool is_last,
                      uint32_t repetition, const struct json_node *link, struct text *ret)
{
    char name[MOST_NAME + 32];
    int length = snprintf(name, sizeof name, "%.*s[%u]", (int)block->name.length, block->name.at,
                          repetition);
    if (link)
        snprintf(name + length, sizeof name - (size_t)length, "[%u]", link->place);
    const char *copy =
        is_last ? block->name.at : arena_copy_text(reading->arena, name, strlen(name));
    if (copy == NULL)
        return format_error_memory(reading->error);
    *ret = is_last ? block->name : text_of(copy);
    return 0;
}

/* The layer behind the one that was read last, of a block that has begun. */
static int follow(struct json_reading *reading, struct place *place)
{
    uint32_t *before = json_room(reading, 1, sizeof *before);
    if (before == NULL)
        return -1;
    *before = reading->spec->n_layers - 1;
    place->inputs = before;
    place->n_inputs = 1;
    return 0;
}

static int check_block(struct json_reading *reading, const struct json_node *node)
{
    static const char *const keys[] = {"name", "input", "inputs", "repeat", "chain", NULL};
    const struct json_node *chain = json_tree_find(node, "chain");
    if (node->kind != JSON_OBJECT)
        return json_tree_unexpected(node, reading->error, "an object");
    if (chain == NULL)
        return 0;
    return json_tree_check_keys(node, keys, reading->error) == 0
               ? json_check_list(reading, chain, SPEC_MAX_LAYERS)
               : -1;
}

/* One repetition: the layers of the chain, or the one layer that the block itself is. */
static int read_repetition(struct json_reading *reading, const struct block *block,
                           struct place *place, uint32_t repetition, bool is_last)
{
    const struct json_node *chain = json_tree_find(block->node, "chain");
    const struct json_node *link = chain ? chain->child : NULL;
    do {
        const bool is_first = repetition == 0 && (link == NULL || link->place == 0);
        const bool is_named = is_last && (link == NULL || link->next == NULL);
        place->node = link ? link : block->node;
        if (reading->spec->n_layers == SPEC_MAX_LAYERS)
            return json_tree_refuse(block->node, reading->error, "more than %d layers",
                                    SPEC_MAX_LAYERS);
        if (name_layer(reading, block, is_named, repetition, link, &place->name) != 0 ||
            (!is_first && follow(reading, place) != 0) || read_layer(reading, block, place) != 0)
            return -1;
        link = link ? link->next : NULL;
    } while (link);
    return 0;
}

static int read_block(struct json_reading *reading, const struct json_node *node)
{
    struct block block = {.node = node};
    const uint32_t *numbers;
    uint32_t n;
    if (check_block(reading, node) != 0 || read_block_name(reading, &block) != 0 ||
        json_read_repeat(reading, json_tree_find(node, "repeat"), &numbers, &n) != 0 ||
        read_inputs(reading, &block) != 0)
        return -1;
    struct place place = {.inputs = block.inputs, .n_inputs = block.n_inputs};
    for (uint32_t i = 0; i < n; i++) {
        place.numbers = (struct json_numbers){.own = numbers[i], .outer = SPEC_NONE};
        if (read_repetition(reading, &block, &place, i, i + 1 == n) != 0)
            return -1;
    }
    return 0;
}

/* The output, and no other, is the last. */
static int check_order(struct json_reading *reading, const struct json_node *list)
{
    const struct network_spec *spec = reading->spec;
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if ((spec->layers[i].kind == LAYER_OUTPUT) != (i + 1 == spec->n_layers))
            return json_tree_refuse(list, reading->error,
                                    "one layer of \"kind\": \"output\" is expected, the last");
    return 0;
}

/* Room for the layers that a list gives. */
static uint32_t count_layers(const struct json_node *list)
{
    uint64_t n = 0;
    for (const struct json_node *node = list->child; node; node = node->next) {
        const struct json_node *chain = json_tree_find(node, "chain");
        const struct json_node *repeat = json_tree_find(node, "repeat");
        uint64_t times = 1;
        if (repeat && repeat->kind == JSON_ARRAY)
            times = repeat->n;
        else if (repeat && repeat->kind == JSON_NUMBER && repeat->number >= 1)
            times = repeat->number <= SPEC_MAX_LAYERS ? (uint64_t)repeat->number : SPEC_MAX_LAYERS;
        n += times * (chain && chain->n ? chain->n : 1);
    }
    return n < SPEC_MAX_LAYERS ? (uint32_t)n : SPEC_MAX_LAYERS;
}

int json_read_layers(struct json_reading *reading)
{
    const struct json_node *list = json_tree_need(reading->root, "layers", reading->error);
    if (list == NULL || json_check_list(reading, list, SPEC_MAX_LAYERS) != 0)
        return -1;
    reading->spec->layers = json_room(reading, count_layers(list), sizeof *reading->spec->layers);
    if (reading->spec->layers == NULL)
        return -1;
    for (const struct json_node *node = list->child; node; node = node->next)
        if (read_block(reading, node) != 0)
            return -1;
    return check_order(reading, list);
}
