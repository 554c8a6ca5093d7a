/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_deep.c: a deep part, which FuxiCTR numbers as torch.nn.Sequential does:
 *
 *   linear, batch norm (if there is one), activation (if there is one), dropout (if there is one)
 *
 * for each of its units. PReLU and Dice have tensors; other activations and dropout have none, and
 * leave gaps in the numbers.
 */
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "network/fuxictr_reading.h"
#include "network/kinds.h"

static const struct fuxictr_activation activations[] = {
    {"ReLU", ACTIVATE_RELU, 0, true},
    {"Sigmoid", ACTIVATE_SIGMOID, 0, true},
    {"Tanh", ACTIVATE_TANH, 0, true},
    {"PReLU", ACTIVATE_PRELU, 0, true},
    {"Dice", ACTIVATE_DICE, 0, true},
    {"GELU", ACTIVATE_GELU, 0, false},
    {"SiLU", ACTIVATE_SILU, 0, false},
    {"ELU", ACTIVATE_ELU, 1, false},
    {"LeakyReLU", ACTIVATE_LEAKY_RELU, 0.01f, false},
    {"Identity", ACTIVATE_NONE, 0, false}};

const struct fuxictr_activation *fuxictr_activation_called(struct text name, bool is_exact)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        const struct fuxictr_activation *found = &activations[i];
        if (text_is(name, found->name) ||
            (found->is_any_case && !is_exact && strlen(found->name) == name.length &&
             strncasecmp(found->name, name.at, name.length) == 0))
            return found;
    }
    return NULL;
}

/* ---- tensors and layers ---- */

const struct tensor *fuxictr_tensor(const struct fuxictr_reading *reading, const char *format, ...)
{
    char name[MAKER_NAME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return tensor_find(reading->source->tensors, name);
}

void fuxictr_add_role(struct fuxictr_reading *reading, struct spec_layer *layer, unsigned role,
                      struct text name)
{
    if (tensor_find_text(reading->source->tensors, name))
        layer->tensors[role] = maker_stack(&reading->maker, name);
}

void fuxictr_add_linear(struct fuxictr_reading *reading, struct text stem, uint32_t input)
{
    struct maker *maker = &reading->maker;
    struct spec_layer *layer = maker_layer(maker, LAYER_LINEAR, stem, input);
    layer->tensors[ROLE_WEIGHT] = maker_stack(maker, maker_text(maker, "%s.weight", stem.at));
    fuxictr_add_role(reading, layer, ROLE_BIAS, maker_text(maker, "%s.bias", stem.at));
}

void fuxictr_add_norm(struct fuxictr_reading *reading, struct text stem)
{
    static const char *const roles[] = {"weight", "bias", "running_mean", "running_var"};
    struct maker *maker = &reading->maker;
    struct spec_layer *layer = maker_layer(maker, LAYER_BATCH_NORM, stem, maker_last(maker));
    for (unsigned i = 0; i < 4; i++) /* ROLE_WEIGHT to NORM_VARIANCE */
        layer->tensors[i] = maker_stack(maker, maker_text(maker, "%s.%s", stem.at, roles[i]));
}

void fuxictr_add_activation(struct fuxictr_reading *reading, struct text stem,
                            enum activation_name function, float slope)
{
    struct maker *maker = &reading->maker;
    struct spec_layer *layer = maker_layer(maker, LAYER_ACTIVATION, stem, maker_last(maker));
    layer->activation = function;
    layer->slope = slope;
    if (function == ACTIVATE_PRELU)
        layer->tensors[PRELU_SLOPE] = maker_stack(maker, maker_text(maker, "%s.weight", stem.at));
    if (function != ACTIVATE_DICE)
        return;
    layer->epsilon = 1e-9f;
    layer->tensors[DICE_ALPHA] = maker_stack(maker, maker_text(maker, "%s.alpha", stem.at));
    layer->tensors[NORM_MEAN] =
        maker_stack(maker, maker_text(maker, "%s.bn.running_mean", stem.at));
    layer->tensors[NORM_VARIANCE] =
        maker_stack(maker, maker_text(maker, "%s.bn.running_var", stem.at));
}

/* ---- the units of a deep part ---- */

/* A linear layer, and what stands between the next one and it. */
struct unit {
    size_t linear, activation; /* their numbers */
    bool has_norm;
    enum activation_name told; /* PReLU or Dice, or ACTIVATE_NONE: no tensor tells */
    bool is_last;
    size_t gap; /* numbers without tensors before the next unit, unless is_last */
};

struct deep {
    struct fuxictr_reading *reading;
    const char *stem;
    struct unit units[FUXICTR_MAX_UNITS];
    uint32_t n;
};

static bool has_dims(const struct deep *deep, size_t number, unsigned n_dims)
{
    const struct tensor *weight =
        fuxictr_tensor(deep->reading, "%s.mlp.%zu.weight", deep->stem, number);
    return weight && weight->n_dims == n_dims;
}

static bool has(const struct deep *deep, size_t number, const char *what)
{
    return fuxictr_tensor(deep->reading, "%s.mlp.%zu.%s", deep->stem, number, what) != NULL;
}

/* Behind its linear layer. Returns the number behind those that have tensors. */
static size_t read_unit(const struct deep *deep, struct unit *unit)
{
    size_t at = unit->linear + 1;
    unit->has_norm = has(deep, at, "running_mean");
    at += unit->has_norm;
    unit->activation = at;
    if (has(deep, at, "alpha"))
        unit->told = ACTIVATE_DICE;
    else if (has_dims(deep, at, 1) && !has(deep, at, "running_mean"))
        unit->told = ACTIVATE_PRELU;
    return at + (unit->told != ACTIVATE_NONE);
}

static int read_units(struct deep *deep)
{
    struct fuxictr_reading *reading = deep->reading;
    const size_t *numbers;
    size_t n, behind = 0;
    const struct text stem = maker_text(&reading->maker, "%s.mlp.", deep->stem);
    if (stem.at == NULL ||
        tensor_list_numbers(reading->source->tensors, stem.at, &reading->nodes, &numbers, &n) != 0)
        return format_error_memory(reading->error);
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] < behind)
            continue;
        if (!has_dims(deep, numbers[i], 2) || deep->n == FUXICTR_MAX_UNITS)
            return FUXICTR_FAIL(reading,
                                "tensor \"%s.mlp.%zu.weight\" of shape [units, inputs] is missing: "
                                "a unit of FuxiCTR's MLP_Block, of which %d are possible, is a "
                                "linear layer, a batch norm, an activation and dropout",
                                deep->stem, numbers[i], FUXICTR_MAX_UNITS);
        struct unit *unit = &deep->units[deep->n++];
        if (deep->n > 1)
            unit[-1].gap = numbers[i] - behind;
        *unit = (struct unit){.linear = numbers[i], .is_last = true};
        if (deep->n > 1)
            unit[-1].is_last = false;
        behind = read_unit(deep, unit);
    }
    return 0;
}

/* ---- activations ---- */

static int refuse_setting(struct fuxictr_reading *reading, const struct json_node *node,
                          const char *expected)
{
    json_tree_unexpected(node, reading->error, expected);
    return fuxictr_name_file(reading, FUXICTR_CONFIG);
}

static int refuse_number(struct fuxictr_reading *reading, const struct json_node *node, uint32_t n)
{
    json_tree_refuse(node, reading->error,
                     "expected %u activations, one per unit that the tensors tell, found %u", n,
                     node->n);
    return fuxictr_name_file(reading, FUXICTR_CONFIG);
}

/* The configuration's name of the activation of unit `u`; *ret NULL: it tells that there is none.
 */
static int read_setting(struct deep *deep, uint32_t u, const struct fuxictr_activation **ret)
{
    struct fuxictr_reading *reading = deep->reading;
    const struct json_node *node = json_tree_find(reading->section, "dnn_activations");
    if (node == NULL && reading->base)
        node = json_tree_find(reading->base, "dnn_activations");
    *ret = &activations[0];
    if (node == NULL)
        return 0; /* the library's own default */
    if (node->kind == JSON_ARRAY) {
        if (node->n != deep->n)
            return refuse_number(reading, node, deep->n);
        node = node->child;
        for (uint32_t i = 0; i < u; i++)
            node = node->next;
    }
    *ret = NULL;
    if (node->kind == JSON_NULL)
        return 0;
    if (node->kind == JSON_STRING)
        *ret = fuxictr_activation_called(node->text, false);
    return *ret ? 0
                : refuse_setting(reading, node,
                                 "ReLU, Sigmoid, Tanh, PReLU, Dice, GELU, SiLU, ELU, LeakyReLU, "
                                 "Identity or null");
}

static int refuse_unit(const struct deep *deep, const struct unit *unit, const char *name)
{
    FUXICTR_FAIL(deep->reading,
                 "dnn_activations: is %s; the tensors \"%s.mlp.%zu.*\" tell otherwise", name,
                 deep->stem, unit->activation);
    return fuxictr_name_file(deep->reading, FUXICTR_CONFIG);
}

/* The activation, which tensors, the gap in the numbers and the configuration tell together. */
static int choose_activation(struct deep *deep, uint32_t u, const struct fuxictr_activation **ret)
{
    const struct unit *unit = &deep->units[u];
    const bool may_have_plain = unit->is_last || unit->gap > 0;
    if (deep->reading->section == NULL) {
        *ret = unit->told == ACTIVATE_PRELU  ? &activations[3]
               : unit->told == ACTIVATE_DICE ? &activations[4]
               : may_have_plain              ? &activations[0]
                                             : NULL;
        deep->reading->assumes_activation |= unit->told == ACTIVATE_NONE && may_have_plain;
        return 0;
    }
    if (read_setting(deep, u, ret) != 0)
        return -1;
    const enum activation_name wanted = *ret ? (*ret)->function : ACTIVATE_NONE;
    const bool has_tensors = wanted == ACTIVATE_PRELU || wanted == ACTIVATE_DICE;
    if ((has_tensors || unit->told != ACTIVATE_NONE) ? wanted != unit->told
                                                     : *ret && !may_have_plain)
        return refuse_unit(deep, unit, *ret ? (*ret)->name : "null");
    return 0;
}

static int add_unit(struct deep *deep, uint32_t u, uint32_t input)
{
    struct fuxictr_reading *reading = deep->reading;
    struct maker *maker = &reading->maker;
    const struct unit *unit = &deep->units[u];
    const struct fuxictr_activation *activation;
    fuxictr_add_linear(reading, maker_text(maker, "%s.mlp.%zu", deep->stem, unit->linear), input);
    if (unit->has_norm)
        fuxictr_add_norm(reading, maker_text(maker, "%s.mlp.%zu", deep->stem, unit->linear + 1));
    if (choose_activation(deep, u, &activation) != 0)
        return -1;
    if (activation && activation->function != ACTIVATE_NONE)
        fuxictr_add_activation(reading,
                               maker_text(maker, "%s.mlp.%zu", deep->stem, unit->activation),
                               activation->function, activation->slope);
    return 0;
}

/* The output that is the last linear layer of a deep part. */
static void add_output(struct deep *deep, const struct unit *unit, uint32_t input)
{
    struct maker *maker = &deep->reading->maker;
    struct spec_layer *layer = maker_layer(maker, LAYER_OUTPUT, text_of("output"), input);
    const struct text stem = maker_text(maker, "%s.mlp.%zu", deep->stem, unit->linear);
    layer->tensors[ROLE_WEIGHT] = maker_stack(maker, maker_text(maker, "%s.weight", stem.at));
    fuxictr_add_role(deep->reading, layer, ROLE_BIAS, maker_text(maker, "%s.bias", stem.at));
}

static int add_units(struct deep *deep, uint32_t input, bool has_output)
{
    if (read_units(deep) != 0)
        return -1;
    const uint32_t n = deep->n;
    deep->n -= has_output && n > 0; /* the output has no activation of its own */
    for (uint32_t u = 0; u < deep->n; u++)
        if (add_unit(deep, u, u ? maker_last(&deep->reading->maker) : input) != 0)
            return -1;
    if (has_output && n > 0)
        add_output(deep, &deep->units[n - 1], n > 1 ? maker_last(&deep->reading->maker) : input);
    return 0;
}

int fuxictr_add_deep(struct fuxictr_reading *reading, const char *stem, uint32_t input,
                     bool has_output)
{
    struct deep *deep = arena_calloc(&reading->nodes, 1, sizeof *deep);
    if (deep == NULL)
        return format_error_memory(reading->error);
    deep->reading = reading;
    deep->stem = stem;
    return add_units(deep, input, has_output);
}
