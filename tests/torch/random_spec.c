/* SPDX-License-Identifier: Apache-2.0 */
#include "random_spec.h"

#include <stdlib.h>

#include "network/kinds.h"
#include "random_input.h"

enum {
    MOST_HIDDEN = 9, /* layers between the inputs and the output */
    MOST_LAYERS = MOST_HIDDEN + 4,
    MOST_INPUTS = MOST_LAYERS + 3,
    MOST_JOINED = 400,
    ARENA_BYTES = 1 << 30
};

/* A spec on its way; `widths` of its layers so far. */
struct making {
    struct random_tensors tensors;
    struct random *random;
    struct network_spec *spec;
    uint32_t widths[MOST_LAYERS];
};

static const uint32_t odd_widths[] = {1, 2, 8, 15, 16, 17, 31, 32, 33, 48, 257};

static uint32_t odd_width(struct making *making)
{
    return odd_widths[random_of(making->random, sizeof odd_widths / sizeof *odd_widths)];
}

/* ---- tensors of roles ---- */

static const struct random_values around_zero = {.spread = 0.3f};
static const struct random_values around_one = {.centre = 1, .spread = 0.3f};
static const struct random_values variance = {.centre = 0.5f, .spread = 0.5f, .is_positive = true};

/* Sums of products stay near 1. */
static struct random_values weight_of(uint32_t n_in)
{
    float root = 1;
    while (root * root < (float)n_in)
        root += 0.5f;
    return (struct random_values){.spread = 0.6f / root};
}

static struct tensor_stack stack_of(struct making *making, unsigned n_dims, const uint64_t *sizes,
                                    struct random_values values)
{
    return random_stack(&making->tensors, sizes, n_dims, &values);
}

static struct tensor_stack matrix(struct making *making, uint32_t n_out, uint32_t n_in)
{
    return stack_of(making, 2, (const uint64_t[]){n_out, n_in}, weight_of(n_in));
}

static struct tensor_stack vector(struct making *making, uint32_t n, struct random_values values)
{
    return stack_of(making, 1, (const uint64_t[]){n}, values);
}

static void maybe_vector(struct making *making, struct tensor_stack *to, uint32_t n,
                         struct random_values values)
{
    if (!random_once_in(making->random, 4))
        *to = vector(making, n, values);
}

/* One number, or one per unit. */
static struct tensor_stack slopes(struct making *making, uint32_t n)
{
    return vector(making, random_once_in(making->random, 2) ? 1 : n, around_zero);
}

/* ---- layers ---- */

static float epsilon_of(struct making *making)
{
    static const float epsilons[] = {1e-5f, 1e-3f, 1e-9f};
    return epsilons[random_of(making->random, 3)];
}

static void make_norm(struct making *making, struct spec_layer *layer, uint32_t n)
{
    layer->epsilon = layer->kind == LAYER_LAYER_NORM && random_once_in(making->random, 2)
                         ? 1e-5f
                         : epsilon_of(making);
    maybe_vector(making, &layer->tensors[ROLE_WEIGHT], n, around_one);
    maybe_vector(making, &layer->tensors[ROLE_BIAS], n, around_zero);
    if (layer->kind != LAYER_BATCH_NORM)
        return;
    layer->tensors[NORM_MEAN] = vector(making, n, around_zero);
    layer->tensors[NORM_VARIANCE] = vector(making, n, variance);
}

static void set_slope(struct making *making, struct spec_layer *layer)
{
    static const float slopes_of[] = {0.01f, 0.2f, 1, 0.5f};
    if (layer->activation == ACTIVATE_LEAKY_RELU || layer->activation == ACTIVATE_ELU)
        layer->slope = slopes_of[random_of(making->random, 4)];
}

static void make_activation(struct making *making, struct spec_layer *layer, uint32_t n)
{
    layer->activation = (enum activation_name)random_of(making->random, ACTIVATE_N_NAMES);
    set_slope(making, layer);
    const unsigned roles = activation_roles[layer->activation];
    if (layer->activation == ACTIVATE_DICE || layer->activation == ACTIVATE_SWISH_LAYER_NORM)
        layer->epsilon = epsilon_of(making);
    if (roles & 1u << ROLE_WEIGHT)
        layer->tensors[ROLE_WEIGHT] = vector(making, n, around_one);
    if (roles & 1u << ROLE_BIAS)
        layer->tensors[ROLE_BIAS] = vector(making, n, around_zero);
    if (roles & 1u << NORM_MEAN)
        layer->tensors[NORM_MEAN] = vector(making, n, around_zero);
    if (roles & 1u << NORM_VARIANCE)
        layer->tensors[NORM_VARIANCE] = vector(making, n, variance);
    if (layer->activation == ACTIVATE_DICE_ROW)
        layer->tensors[DICE_ALPHA] = vector(making, 1, around_zero);
    else if (roles & 1u << DICE_ALPHA)
        layer->tensors[DICE_ALPHA] = slopes(making, n);
    if (roles & 1u << PRELU_SLOPE)
        layer->tensors[PRELU_SLOPE] = slopes(making, n);
}

/* Inside a low rank or a mixture stand functions without tensors. */
static void set_inside(struct making *making, struct spec_layer *layer)
{
    do
        layer->activation = (enum activation_name)random_of(making->random, ACTIVATE_N_NAMES);
    while (activation_roles[layer->activation]);
    set_slope(making, layer);
}

static uint32_t rank_of(struct making *making)
{
    static const uint32_t ranks[] = {1, 2, 4, 15, 16, 17, 33};
    return ranks[random_of(making->random, sizeof ranks / sizeof *ranks)];
}

static void make_low_rank(struct making *making, struct spec_layer *layer, uint32_t n)
{
    const uint32_t rank = rank_of(making);
    set_inside(making, layer);
    layer->tensors[CROSS_U] = matrix(making, n, rank);
    layer->tensors[CROSS_V] = matrix(making, rank, n);
    maybe_vector(making, &layer->tensors[ROLE_BIAS], n, around_zero);
}

static void make_mixture(struct making *making, struct spec_layer *layer, uint32_t n)
{
    const uint32_t rank = rank_of(making), n_experts = 1 + random_of(making->random, 5);
    struct tensor_stack *tensors = layer->tensors;
    set_inside(making, layer);
    tensors[CROSS_U] = stack_of(making, 3, (const uint64_t[]){n_experts, n, rank}, weight_of(rank));
    tensors[CROSS_V] = stack_of(making, 3, (const uint64_t[]){n_experts, rank, n}, weight_of(n));
    if (random_once_in(making->random, 2))
        tensors[CROSS_C] =
            stack_of(making, 3, (const uint64_t[]){n_experts, rank, rank}, weight_of(rank));
    maybe_vector(making, &tensors[ROLE_BIAS], n, around_zero);
    if (n_experts == 1 && random_once_in(making->random, 2))
        return;
    tensors[CROSS_GATE] = matrix(making, n_experts, n);
    maybe_vector(making, &tensors[CROSS_GATE_BIAS], n_experts, around_zero);
}

static void make_cross(struct making *making, struct spec_layer *layer, uint32_t n)
{
    struct tensor_stack *tensors = layer->tensors;
    tensors[ROLE_WEIGHT] =
        layer->kind == LAYER_CROSS_VECTOR ? vector(making, n, weight_of(n)) : matrix(making, n, n);
    maybe_vector(making, &tensors[ROLE_BIAS], n, around_zero);
    if (layer->kind == LAYER_CROSS_FULL)
        layer->has_bias_outside =
            tensors[ROLE_BIAS].n_parts > 0 && random_once_in(making->random, 2);
    if (layer->kind == LAYER_CROSS_LAYER_NORM) {
        layer->epsilon = 1e-5f;
        maybe_vector(making, &tensors[CROSS_NORM_WEIGHT], n, around_one);
        maybe_vector(making, &tensors[CROSS_NORM_BIAS], n, around_zero);
    }
    if (layer->kind == LAYER_CROSS_GATED) {
        tensors[GATED_GATE] = matrix(making, n, n);
        maybe_vector(making, &tensors[GATED_GATE_BIAS], n, around_zero);
    }
}

/* The layer's tensors; returns its width. */
static uint32_t make_kind(struct making *making, struct spec_layer *layer, uint32_t n)
{
    const uint32_t n_out = layer->kind == LAYER_LINEAR ? odd_width(making) : n;
    switch (layer->kind) {
    case LAYER_LINEAR:
        layer->tensors[ROLE_WEIGHT] = matrix(making, n_out, n);
        maybe_vector(making, &layer->tensors[ROLE_BIAS], n_out, around_zero);
        break;
    case LAYER_BATCH_NORM:
    case LAYER_LAYER_NORM:
        make_norm(making, layer, n);
        break;
    case LAYER_ACTIVATION:
        make_activation(making, layer, n);
        break;
    case LAYER_CROSS_LOW_RANK:
        make_low_rank(making, layer, n);
        break;
    case LAYER_CROSS_MIXTURE:
        make_mixture(making, layer, n);
        break;
    default:
        make_cross(making, layer, n);
    }
    return n_out;
}

/* ---- structure ---- */

static struct spec_layer *next_layer(struct making *making, enum layer_kind kind)
{
    struct spec_layer *layer = &making->spec->layers[making->spec->n_layers];
    char *name = random_room(making->tensors.arena, 16, 1);
    const int length = snprintf(name, 16, "v%u", making->spec->n_layers++);
    layer->name = (struct text){name, (size_t)length};
    layer->kind = kind;
    return layer;
}

/* The last layer mostly, any other at times; several join. Returns their width. */
static uint32_t choose_inputs(struct making *making, struct spec_layer *layer, uint32_t number)
{
    uint32_t *inputs = random_room(making->tensors.arena, MOST_INPUTS, sizeof *inputs);
    const uint32_t n = random_once_in(making->random, 4) ? 2 + random_of(making->random, 2) : 1;
    uint32_t width = 0;
    for (uint32_t i = 0; i < n; i++) {
        const bool is_last = i == 0 && !random_once_in(making->random, 3);
        const uint32_t chosen = is_last ? number - 1 : random_of(making->random, number);
        if (i > 0 && width + making->widths[chosen] > MOST_JOINED)
            break;
        inputs[layer->n_inputs++] = chosen;
        width += making->widths[chosen];
    }
    layer->inputs = inputs;
    return width;
}

/* Any layer of that width; without one the inputs become their first alone. Returns the width. */
static uint32_t choose_x0(struct making *making, struct spec_layer *layer, uint32_t number,
                          uint32_t width)
{
    const uint32_t from = random_of(making->random, number);
    for (uint32_t i = 0; i < number; i++) {
        layer->x0 = (from + i) % number;
        if (making->widths[layer->x0] == width)
            return width;
    }
    layer->n_inputs = 1;
    layer->x0 = layer->inputs[0];
    return making->widths[layer->x0];
}

static void add_hidden(struct making *making)
{
    static const enum layer_kind twice[] = {LAYER_LINEAR, LAYER_ACTIVATION};
    const uint32_t number = making->spec->n_layers;
    const uint32_t kind = 1 + random_of(making->random, LAYER_N_KINDS);
    struct spec_layer *layer = next_layer(making, kind < LAYER_OUTPUT ? (enum layer_kind)kind
                                                                      : twice[kind - LAYER_OUTPUT]);
    uint32_t width = choose_inputs(making, layer, number);
    if (layer_kinds[layer->kind].is_cross)
        width = choose_x0(making, layer, number, width);
    making->widths[number] = make_kind(making, layer, width);
}

static void add_input(struct making *making, uint32_t width)
{
    const uint32_t number = making->spec->n_layers;
    struct spec_layer *layer = next_layer(making, LAYER_INPUT);
    random_input(&making->tensors, making->spec, layer, width);
    making->widths[number] = width;
}

static void make_weights(struct making *making, struct spec_layer *layer)
{
    struct tensor_stack *weights =
        random_room(making->tensors.arena, layer->n_inputs, sizeof *weights);
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        const uint32_t width = making->widths[layer->inputs[i]];
        if (random_once_in(making->random, 5))
            continue; /* ones */
        const uint64_t sizes[2] = {1, width};
        const struct random_values values = weight_of(width);
        struct tensor_part *part = random_room(making->tensors.arena, 1, sizeof *part);
        *part = random_part(&making->tensors, sizes, 2, &values);
        weights[i] = (struct tensor_stack){part, 1};
    }
    layer->weights = weights;
}

/* One weight over all inputs, which is cut: one row of a tensor cannot be. */
static void make_whole_weight(struct making *making, struct spec_layer *layer, uint32_t width)
{
    const uint64_t sizes[2] = {1, width};
    const struct random_values values = weight_of(width);
    struct tensor_part *part = random_room(making->tensors.arena, 1, sizeof *part);
    const size_t n_before = making->tensors.n;
    do {
        making->tensors.n = n_before;
        *part = random_part(&making->tensors, sizes, 2, &values);
    } while (part->n_rows == 1);
    layer->tensors[ROLE_WEIGHT] = (struct tensor_stack){part, 1};
}

/* Everything that nobody has read, and some others. */
static void add_output(struct making *making)
{
    const uint32_t number = making->spec->n_layers;
    struct spec_layer *layer = next_layer(making, LAYER_OUTPUT);
    uint32_t *inputs = random_room(making->tensors.arena, MOST_INPUTS, sizeof *inputs);
    uint32_t width = 0;
    layer->inputs = inputs;
    for (uint32_t i = 0; i < number; i++) {
        if (spec_count_readers(making->spec, i) && !random_once_in(making->random, 8))
            continue;
        inputs[layer->n_inputs++] = i;
        width += making->widths[i];
    }
    if (random_once_in(making->random, 3))
        make_whole_weight(making, layer, width);
    else
        make_weights(making, layer);
    const uint32_t n_biases = random_of(making->random, 4);
    struct tensor_part *biases = random_room(making->tensors.arena, n_biases, sizeof *biases);
    for (uint32_t i = 0; i < n_biases; i++)
        biases[i] = random_part(&making->tensors, (const uint64_t[]){1}, 1, &around_zero);
    layer->tensors[ROLE_BIAS] = (struct tensor_stack){biases, n_biases};
}

static void make_layers(struct making *making)
{
    making->spec->layers =
        random_room(making->tensors.arena, MOST_LAYERS, sizeof *making->spec->layers);
    const uint32_t width = odd_width(making);
    add_input(making, width);
    if (random_once_in(making->random, 3)) /* another one, which may be an x0 */
        add_input(making, random_once_in(making->random, 2) ? width : odd_width(making));
    const uint32_t n_hidden = random_of(making->random, MOST_HIDDEN + 1);
    for (uint32_t i = 0; i < n_hidden; i++)
        add_hidden(making);
    add_output(making);
}

/* ---- the whole ---- */

static void sort_tensors(struct random_spec *made)
{
    const struct tensor *twice;
    if (tensor_list_sort(&made->list, &made->arena, &twice) == 0)
        return;
    fprintf(stderr, "tests: the tensors cannot be sorted\n");
    exit(1);
}

void random_spec_make(struct random_spec *ret, uint64_t seed)
{
    *ret = (struct random_spec){.seed = seed};
    arena_init(&ret->arena, ARENA_BYTES);
    struct making making = {.tensors = {.arena = &ret->arena}, .spec = &ret->spec};
    making.random = &making.tensors.random;
    random_start(making.random, seed, 0);
    making.tensors.tensors =
        random_room(&ret->arena, RANDOM_MAX_TENSORS, sizeof *making.tensors.tensors);
    random_sources(&making.tensors, &ret->spec);
    make_layers(&making);
    random_columns(&making.tensors, &ret->spec);
    ret->batch = random_batch(&making.tensors, &ret->spec);
    ret->list = (struct tensor_list){making.tensors.tensors, making.tensors.n, NULL};
    sort_tensors(ret);
}

void random_spec_free(struct random_spec *made)
{
    arena_free(&made->arena);
}

/* ---- batches ---- */

static struct dcnv2_rows pick_rows(struct arena *arena, const struct dcnv2_rows *from,
                                   const uint32_t *rows, size_t n)
{
    size_t total = 0;
    for (size_t r = 0; r < n; r++)
        total += from->offsets ? from->offsets[rows[r] + 1] - from->offsets[rows[r]] : 1;
    uint32_t *picked = random_room(arena, total, sizeof *picked);
    uint32_t *offsets = from->offsets ? random_room(arena, n + 1, sizeof *offsets) : NULL;
    uint32_t at = 0;
    for (size_t r = 0; r < n; r++) {
        const uint32_t first = from->offsets ? from->offsets[rows[r]] : rows[r];
        const uint32_t end = from->offsets ? from->offsets[rows[r] + 1] : rows[r] + 1;
        for (uint32_t i = first; i < end; i++)
            picked[at++] = from->rows[i];
        if (offsets)
            offsets[r + 1] = at;
    }
    return (struct dcnv2_rows){.rows = picked, .offsets = offsets};
}

struct network_batch random_spec_pick(const struct network_spec *spec, struct arena *arena,
                                      const struct network_batch *batch, const uint32_t *rows,
                                      size_t n)
{
    float *dense = random_room(arena, n * spec->n_values, sizeof *dense);
    struct dcnv2_rows *lookups = random_room(arena, spec->n_lookups, sizeof *lookups);
    for (uint32_t v = 0; v < spec->n_values; v++)
        for (size_t r = 0; r < n; r++)
            dense[v * n + r] = batch->dense[v * batch->n_rows + rows[r]];
    for (uint32_t i = 0; i < spec->n_lookups; i++)
        lookups[i] = pick_rows(arena, &batch->lookups[i], rows, n);
    return (struct network_batch){.n_rows = n, .dense = dense, .lookups = lookups};
}
