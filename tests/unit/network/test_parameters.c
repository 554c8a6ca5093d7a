/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a network in their order: names, shapes, how they start; and published_make(). */
#include "network/parameters.h"

#include <stdlib.h>

#include "network/published.h"
#include "test.h"

static struct arena arena;
static const uint32_t n_rows[] = {3, 4000};

/* The notebook's layers on two tables of 8; x0 is 18 wide. */
static const struct published_sizes notebook = {
    .n_dense = 2, .n_sparse = 2, .embedding = 8, .n_cross = 2, .n_deep = 2, .deep = {128, 64}};

struct expected {
    const char *name;
    uint32_t n_dims;
    uint64_t sizes[PARAMETER_MAX_DIMS];
    enum start start;
    uint32_t fan_in;
};

static void check_listed(const struct network_spec *spec, const struct expected *expected, size_t n)
{
    const struct spec_parameter *all;
    uint32_t n_all;
    CHECK(spec_parameters(spec, &arena, &all, &n_all) == 0);
    CHECK_MSG(n_all == n, "%u", n_all);
    for (size_t i = 0; i < n && i < n_all; i++) {
        CHECK_MSG(strcmp(all[i].name, expected[i].name) == 0, "%s", all[i].name);
        CHECK_MSG(all[i].n_dims == expected[i].n_dims, "%s: %u", all[i].name, all[i].n_dims);
        for (uint32_t d = 0; d < all[i].n_dims; d++)
            CHECK_MSG(all[i].sizes[d] == expected[i].sizes[d], "%s: %llu", all[i].name,
                      (unsigned long long)all[i].sizes[d]);
        CHECK_MSG(all[i].start == expected[i].start, "%s", all[i].name);
        CHECK_MSG(all[i].start != START_UNIFORM || all[i].fan_in == expected[i].fan_in, "%s: %u",
                  all[i].name, all[i].fan_in);
        CHECK_MSG(all[i].is_trained == (strcmp(all[i].name, "mean") != 0), "%s", all[i].name);
    }
}

#define CHECK_LISTED(spec, expected)                                                               \
    check_listed(spec, expected, sizeof(expected) / sizeof *(expected))

TEST(tensors_are_those_of_the_notebook)
{
    static const struct expected expected[] = {
        {"embeddings.0.weight", 2, {3, 8}, START_NORMAL, 0},
        {"embeddings.1.weight", 2, {4000, 8}, START_NORMAL, 0},
        {"cross_layers.0.0.weight", 2, {18, 18}, START_UNIFORM, 18},
        {"cross_layers.0.0.bias", 1, {18}, START_UNIFORM, 18},
        {"cross_layers.0.1.weight", 1, {18}, START_ONES, 0},
        {"cross_layers.0.1.bias", 1, {18}, START_ZEROS, 0},
        {"cross_layers.1.0.weight", 2, {18, 18}, START_UNIFORM, 18},
        {"cross_layers.1.0.bias", 1, {18}, START_UNIFORM, 18},
        {"cross_layers.1.1.weight", 1, {18}, START_ONES, 0},
        {"cross_layers.1.1.bias", 1, {18}, START_ZEROS, 0},
        {"dnn.0.weight", 2, {128, 18}, START_UNIFORM, 18},
        {"dnn.0.bias", 1, {128}, START_UNIFORM, 18},
        {"dnn.2.weight", 2, {64, 128}, START_UNIFORM, 128},
        {"dnn.2.bias", 1, {64}, START_UNIFORM, 128},
        {"output.weight", 2, {1, 18 + 64}, START_UNIFORM, 82},
        {"output.bias", 1, {1}, START_UNIFORM, 82},
    };
    struct network_spec spec;
    CHECK(published_make(&spec, &arena, &notebook, n_rows) == 0);
    CHECK_LISTED(&spec, expected);
}

TEST(full_cross_layers_and_no_deep_ones)
{
    static const struct expected expected[] = {
        {"embeddings.0.weight", 2, {3, 8}, START_NORMAL, 0},
        {"embeddings.1.weight", 2, {4000, 8}, START_NORMAL, 0},
        {"cross_layers.0.weight", 2, {18, 18}, START_UNIFORM, 18},
        {"cross_layers.0.bias", 1, {18}, START_UNIFORM, 18},
        {"cross_layers.1.weight", 2, {18, 18}, START_UNIFORM, 18},
        {"cross_layers.1.bias", 1, {18}, START_UNIFORM, 18},
        {"output.weight", 2, {1, 18}, START_UNIFORM, 18},
        {"output.bias", 1, {1}, START_UNIFORM, 18},
    };
    struct published_sizes sizes = notebook;
    struct network_spec spec;
    sizes.cross = PUBLISHED_FULL;
    sizes.n_deep = 0;
    CHECK(published_make(&spec, &arena, &sizes, n_rows) == 0);
    CHECK_LISTED(&spec, expected);
}

/* ---- kinds that the trainer does not make ---- */

static struct tensor_part names[] = {
    {.name = {"table", 5}}, {.name = {"times", 5}}, {.name = {"gamma", 5}},
    {.name = {"mean", 4}},  {.name = {"u0", 2}},    {.name = {"u1", 2}},
    {.name = {"v", 1}},     {.name = {"gate", 4}},  {.name = {"w", 1}}};
enum { TABLE, TIMES, GAMMA, MEAN, U, U_NEXT, V, GATE, W };

static struct tensor_stack stack(int first, uint32_t n)
{
    return (struct tensor_stack){&names[first], n};
}

TEST(each_kind_says_how_its_tensors_start)
{
    static const struct expected expected[] = {
        {"table", 2, {50, 4}, START_NORMAL, 0},
        {"times", 1, {4}, START_UNIFORM, 1},
        {"gamma", 1, {12}, START_ONES, 0},
        {"mean", 1, {12}, START_ZEROS, 0},
        {"u0", 2, {12, 3}, START_UNIFORM, 3}, /* one tensor per expert: they are stacked */
        {"u1", 2, {12, 3}, START_UNIFORM, 3},
        {"v", 3, {2, 3, 12}, START_UNIFORM, 12}, /* one of both experts */
        {"gate", 2, {2, 12}, START_UNIFORM, 12},
        {"w", 2, {1, 12}, START_UNIFORM, 24}, /* of one of two inputs */
    };
    const struct spec_input parts[] = {
        {.kind = INPUT_TABLE, .tensor = names[TABLE], .n_rows = 50, .width = 4},
        {.kind = INPUT_TIMES, .tensor = names[TIMES], .width = 4},
        {.kind = INPUT_TABLE, .tensor = names[TABLE], .n_rows = 50, .width = 4}}; /* shared */
    static const uint32_t inputs[] = {1, 2};
    const struct tensor_stack weights[] = {{0}, stack(W, 1)}; /* ones, and a weight */
    struct spec_layer layers[] = {
        {.kind = LAYER_INPUT, .parts = parts, .n_parts = 3, .n_out = 12},
        {.kind = LAYER_BATCH_NORM, .n_in = 12, .n_out = 12},
        {.kind = LAYER_CROSS_MIXTURE, .n_in = 12, .n_out = 12, .rank = 3, .n_experts = 2},
        {.kind = LAYER_OUTPUT,
         .inputs = inputs,
         .n_inputs = 2,
         .weights = weights,
         .n_in = 24,
         .n_out = 1}};
    layers[1].tensors[ROLE_WEIGHT] = stack(GAMMA, 1);
    layers[1].tensors[NORM_MEAN] = stack(MEAN, 1);
    layers[2].tensors[CROSS_U] = stack(U, 2);
    layers[2].tensors[CROSS_V] = stack(V, 1);
    layers[2].tensors[CROSS_GATE] = stack(GATE, 1);
    const struct network_spec spec = {.layers = layers, .n_layers = 4};
    CHECK_LISTED(&spec, expected);
}

TEST(forms_that_only_checkpoints_have_are_not_plain)
{
    struct network_spec spec;
    CHECK(published_make(&spec, &arena, &notebook, n_rows) == 0);
    struct spec_layer *layers = spec.layers, *relu = &layers[4],
                      *output = &layers[spec.n_layers - 1];
    for (uint32_t i = 0; i < spec.n_layers; i++)
        CHECK_MSG(spec_is_plain(&layers[i]), "%u", i);
    relu->activation = ACTIVATE_PRELU; /* its slope is missing */
    CHECK(!spec_is_plain(relu));
    relu->tensors[PRELU_SLOPE] = stack(GAMMA, 1);
    CHECK(spec_is_plain(relu));
    layers[1].tensors[ROLE_BIAS].n_parts = 0;
    CHECK(!spec_is_plain(&layers[1]));
    layers[2].has_bias_outside = true;
    CHECK(!spec_is_plain(&layers[2]));
    output->weights = output->tensors;
    CHECK(!spec_is_plain(output));
    ((struct spec_input *)layers[0].parts)[2].pooling = POOLING_SUM;
    CHECK(!spec_is_plain(&layers[0]));
}

/* ---- sizes ---- */

static void check_measured(const struct published_sizes *sizes)
{
    struct network_spec spec;
    struct published_sizes found;
    CHECK(published_make(&spec, &arena, sizes, n_rows) == 0);
    const char *reason = published_measure(&spec, &found);
    CHECK_MSG(reason == NULL, "%s", reason);
    CHECK(memcmp(&found, sizes, sizeof found) == 0);
}

TEST(the_sizes_of_a_network_are_those_that_it_was_made_from)
{
    struct published_sizes sizes = notebook;
    sizes.cross = PUBLISHED_FULL;
    check_measured(&notebook);
    check_measured(&sizes);
    sizes.n_cross = 0;
    sizes.cross = PUBLISHED_LAYER_NORM; /* of no layer */
    check_measured(&sizes);
    sizes.n_cross = 3;
    sizes.n_deep = 0;
    memset(sizes.deep, 0, sizeof sizes.deep);
    check_measured(&sizes);
}

static void check_no_sizes(const struct network_spec *spec, const char *expected)
{
    struct published_sizes sizes;
    const char *reason = published_measure(spec, &sizes);
    CHECK_MSG(reason && strcmp(reason, expected) == 0, "%s", reason ? reason : "(none)");
}

TEST(what_no_sizes_tell_is_said)
{
    struct network_spec spec;
    CHECK(published_make(&spec, &arena, &notebook, n_rows) == 0);
    spec.layers[2].kind = LAYER_CROSS_FULL;
    check_no_sizes(&spec, "it has cross layers of both kinds");
    spec.layers[2].kind = LAYER_CROSS_VECTOR;
    check_no_sizes(&spec, "it has layers of a kind that is not trained");
    spec.layers[2].kind = LAYER_CROSS_LAYER_NORM;
    spec.layers[4].activation = ACTIVATE_GELU;
    check_no_sizes(&spec, "an activation is not ReLU");
    spec.layers[4].activation = ACTIVATE_RELU;
    ((uint32_t *)spec.layers[3].inputs)[0] = 2; /* the deep layers behind the cross layers */
    check_no_sizes(&spec, "its layers are connected in another way than the published network's");
    ((uint32_t *)spec.layers[3].inputs)[0] = 0;
    ((uint32_t *)spec.layers[7].inputs)[1] = 4; /* a deep layer is left out */
    check_no_sizes(&spec, "its layers are connected in another way than the published network's");
    ((uint32_t *)spec.layers[7].inputs)[1] = 6;
    ((struct spec_input *)spec.layers[0].parts)[3].width = 4;
    check_no_sizes(&spec, "its embedding tables are of different width");
    ((struct spec_input *)spec.layers[0].parts)[3].kind = INPUT_TIMES;
    check_no_sizes(&spec, "its x0 is not numbers, then one row of a table per category");
}

int main(void)
{
    arena_init(&arena, SIZE_MAX);
    RUN(tensors_are_those_of_the_notebook);
    RUN(full_cross_layers_and_no_deep_ones);
    RUN(each_kind_says_how_its_tensors_start);
    RUN(forms_that_only_checkpoints_have_are_not_plain);
    RUN(the_sizes_of_a_network_are_those_that_it_was_made_from);
    RUN(what_no_sizes_tell_is_said);
    arena_free(&arena);
    return test_report();
}
