/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_inputs.c: the layers up to x0: tables and numbers, and the encoder that a feature may
 * have behind its own: "layers.MaskedSumPooling()", or a list as ["nn.Linear(6, 3)", "nn.ReLU()"].
 */
#include <stdio.h>

#include "network/fuxictr_reading.h"

/* One call of an encoder: "nn.Linear(6, 3)" is the name "nn.Linear" and the rest "6, 3)". */
struct call {
    const struct json_node *node;
    struct text name, rest;
    struct text stem; /* of its tensors */
};

static int refuse_encoder(struct fuxictr_reading *reading, const struct json_node *node)
{
    json_tree_unexpected(
        node, reading->error,
        "layers.MaskedAveragePooling() or layers.MaskedSumPooling() of a sequence, "
        "then nn.Linear(..), nn.BatchNorm1d(UNITS), nn.Dropout(..) or an activation "
        "as nn.ReLU()");
    return fuxictr_name_file(reading, FUXICTR_MAP);
}

static int read_call(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                     const struct json_node *node, bool is_in_list, struct call *ret)
{
    const char *open =
        node->kind == JSON_STRING ? memchr(node->text.at, '(', node->text.length) : NULL;
    if (open == NULL)
        return refuse_encoder(reading, node);
    const size_t length = (size_t)(open - node->text.at);
    *ret = (struct call){.node = node,
                         .name = {node->text.at, length},
                         .rest = {open + 1, node->text.length - length - 1}};
    ret->stem = is_in_list ? maker_text(&reading->maker, FUXICTR_ENCODERS "%s.%u", feature->name.at,
                                        node->place)
                           : maker_text(&reading->maker, FUXICTR_ENCODERS "%s", feature->name.at);
    return ret->stem.at ? 0 : format_error_memory(reading->error);
}

/* Calls of an encoder; none: NULL. */
static const struct json_node *first_call(const struct fuxictr_feature *feature, bool *ret_is_list)
{
    const struct json_node *encoder = json_tree_find(feature->node, "feature_encoder");
    *ret_is_list = encoder && encoder->kind == JSON_ARRAY;
    if (encoder == NULL || encoder->kind == JSON_NULL)
        return NULL;
    return *ret_is_list ? encoder->child : encoder;
}

static const struct json_node *next_call(const struct json_node *node, bool is_list)
{
    return is_list ? node->next : NULL;
}

/* ---- pooling ---- */

static enum pooling pooling_of(struct text name)
{
    return text_is(name, "layers.MaskedAveragePooling") ? POOLING_MEAN
           : text_is(name, "layers.MaskedSumPooling")   ? POOLING_SUM
                                                        : POOLING_NONE;
}

static int set_pooling(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                       struct spec_input *part)
{
    struct call call = {0};
    bool is_list;
    const struct json_node *node = first_call(feature, &is_list);
    if (node && read_call(reading, feature, node, is_list, &call) != 0)
        return -1;
    part->pooling = node && text_is(call.rest, ")") ? pooling_of(call.name) : POOLING_NONE;
    if (part->pooling == POOLING_NONE)
        return refuse_encoder(reading, node ? node : feature->node);
    if (part->pooling == POOLING_MEAN && feature->projection.at)
        return FUXICTR_FAIL(reading,
                            FUXICTR_MAP ": %s: a mean of pretrained vectors behind a projection is "
                                        "not read, since the library counts what the projection "
                                        "leaves; train with layers.MaskedSumPooling(), or with a "
                                        "pretrain_dim of the feature's width",
                            feature->name.at);
    if (part->pooling == POOLING_MEAN) {
        part->mask = MASK_NONZERO;
        part->epsilon = 1e-12f;
    }
    return 0;
}

/* ---- what follows a table ---- */

static int add_call(struct fuxictr_reading *reading, const struct call *call)
{
    const bool is_of_torch = call->name.length > 3 && memcmp(call->name.at, "nn.", 3) == 0;
    const struct text name = is_of_torch ? (struct text){call->name.at + 3, call->name.length - 3}
                                         : (struct text){"", 0};
    const uint32_t input = maker_last(&reading->maker);
    if (text_is(name, "Dropout"))
        return 0;
    if (text_is(name, "Linear")) {
        fuxictr_add_linear(reading, call->stem, input);
        return 0;
    }
    /* A further argument may be its epsilon, of which no tensor tells. */
    if (text_is(name, "BatchNorm1d") && !memchr(call->rest.at, ',', call->rest.length)) {
        fuxictr_add_norm(reading, call->stem);
        return 0;
    }
    const struct fuxictr_activation *activation = fuxictr_activation_called(name, true);
    const bool is_plain = text_is(call->rest, ")");
    if (activation == NULL || !is_plain)
        return refuse_encoder(reading, call->node);
    fuxictr_add_activation(reading, call->stem, activation->function, activation->slope);
    return 0;
}

static bool has_layers(const struct fuxictr_feature *feature)
{
    bool is_list;
    if (feature->projection.at)
        return true;
    const struct json_node *node = first_call(feature, &is_list);
    if (node && feature->type == FUXICTR_SEQUENCE)
        node = next_call(node, is_list);
    return node != NULL;
}

static int add_encoder(struct fuxictr_reading *reading, const struct fuxictr_feature *feature)
{
    struct call call;
    bool is_list;
    const struct json_node *node = first_call(feature, &is_list);
    if (feature->projection.at)
        fuxictr_add_linear(reading, feature->projection, maker_last(&reading->maker));
    if (feature->type == FUXICTR_SEQUENCE)
        node = next_call(node, is_list);
    for (; node; node = next_call(node, is_list))
        if (read_call(reading, feature, node, is_list, &call) != 0 || add_call(reading, &call) != 0)
            return -1;
    return 0;
}

/* ---- x0 ---- */

/* Appends the feature's table or number, and the table beside it. */
static int add_parts(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                     struct spec_input *parts, uint32_t *n)
{
    struct spec_input *part = &parts[(*n)++];
    *part =
        (struct spec_input){.kind = feature->type == FUXICTR_NUMERIC ? INPUT_TIMES : INPUT_TABLE,
                            .source = feature->source,
                            .tensor = {.name = feature->table}};
    if (feature->type == FUXICTR_SEQUENCE && set_pooling(reading, feature, part) != 0)
        return -1;
    if (feature->ids.at) {
        parts[*n] = *part;
        parts[(*n)++].tensor.name = feature->ids;
    }
    return 0;
}

/* An input layer of the features `from` to `end` - 1, whose parts stand behind the *n before. */
static int add_input(struct fuxictr_reading *reading, struct spec_input *parts, uint32_t *n,
                     uint32_t from, uint32_t end, struct text name)
{
    struct spec_layer *layer = maker_layer(&reading->maker, LAYER_INPUT, name, 0);
    layer->n_inputs = 0;
    layer->parts = parts + *n;
    const uint32_t before = *n;
    for (uint32_t i = from; i < end; i++)
        if (add_parts(reading, &reading->features[i], parts, n) != 0)
            return -1;
    layer->n_parts = *n - before;
    return 0;
}

/* Features without layers of their own, as many as follow each other, make one input. */
static uint32_t end_of_run(const struct fuxictr_reading *reading, uint32_t from)
{
    uint32_t end = from;
    while (end < reading->n_features && !has_layers(&reading->features[end]))
        end++;
    return end == from ? from + 1 : end;
}

/* Inputs one behind the other; *ret_ends: the layers whose values are x0, [n_features]. */
static int add_runs(struct fuxictr_reading *reading, struct spec_input *parts, uint32_t *ends,
                    uint32_t *ret_n)
{
    const uint32_t n = reading->n_features;
    uint32_t n_parts = 0;
    for (uint32_t from = 0, end; from < n; from = end) {
        const struct fuxictr_feature *feature = &reading->features[from];
        end = end_of_run(reading, from);
        const bool is_all = from == 0 && end == n && !has_layers(feature);
        if (add_input(reading, parts, &n_parts, from, end,
                      is_all ? text_of("x0") : maker_text(&reading->maker, "features.%u", from)) !=
                0 ||
            (has_layers(feature) && add_encoder(reading, feature) != 0))
            return -1;
        ends[(*ret_n)++] = maker_last(&reading->maker);
    }
    return 0;
}

int fuxictr_add_inputs(struct fuxictr_reading *reading, uint32_t *ret_x0)
{
    struct maker *maker = &reading->maker;
    const uint32_t n = reading->n_features;
    struct spec_input *parts = maker_room(maker, 2 * (size_t)n, sizeof *parts);
    uint32_t *ends = arena_calloc(&reading->nodes, (size_t)n + 1, sizeof *ends);
    uint32_t n_ends = 0;
    if (parts == NULL || ends == NULL)
        return format_error_memory(reading->error);
    if (add_runs(reading, parts, ends, &n_ends) != 0)
        return -1;
    if (n_ends > 1) { /* one behind the other, as they are */
        struct spec_layer *x0 = maker_layer(maker, LAYER_ACTIVATION, text_of("x0"), 0);
        maker_set_inputs(maker, x0, ends, n_ends);
        x0->activation = ACTIVATE_NONE;
    }
    *ret_x0 = maker_last(maker);
    return 0;
}
