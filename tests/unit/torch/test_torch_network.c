/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin is told of a network. */
#include "torch/torch_network.h"

#include "network/kinds.h"
#include "network/published.h"
#include "test.h"

static struct arena arena;
static const uint32_t n_rows[] = {3, 40};
static const struct published_sizes sizes = {
    .n_dense = 2, .n_sparse = 2, .embedding = 8, .n_cross = 1, .n_deep = 1, .deep = {6}};

static void make(struct network_spec *spec)
{
    CHECK(published_make(spec, &arena, &sizes, n_rows) == 0);
}

TEST(layers_and_tensors_are_those_of_the_spec)
{
    static const uint32_t kinds[] = {TORCH_INPUT, TORCH_CROSS_LAYER_NORM, TORCH_LINEAR, TORCH_RELU,
                                     TORCH_OUTPUT};
    struct network_spec spec;
    struct torch_network network;
    struct train_error error;
    make(&spec);
    CHECK_MSG(torch_network_make(&spec, &arena, &network, &error) == 0, "%s", error.message);
    CHECK(network.n_dense == 2 && network.n_sparse == 2);
    CHECK(network.n_tensors == 2 + 4 + 2 + 2 && network.n_layers == 5);
    for (uint32_t i = 0; i < 5; i++)
        CHECK_MSG(network.layers[i].kind == kinds[i], "%u: %u", i, network.layers[i].kind);
    const struct torch_part *table = &network.layers[0].parts[3];
    CHECK(network.layers[0].n_parts == 4 && !network.layers[0].parts[1].is_table);
    CHECK(table->is_table && table->column == 1 && table->tensor == 1);
    CHECK(network.tensors[1].n_dims == 2 && network.tensors[1].sizes[0] == 40 &&
          network.tensors[1].sizes[1] == 8);
    for (uint32_t r = 0; r < TORCH_MAX_ROLES; r++)
        CHECK(network.layers[1].tensors[r] == 2 + r);
    const struct torch_layer *output = &network.layers[4];
    CHECK(output->n_inputs == 2 && output->inputs[0] == 1 && output->inputs[1] == 3);
    CHECK(output->tensors[0] == 8 && output->tensors[1] == 9);
    CHECK(network.tensors[8].sizes[1] == 18 + 6 && network.tensors[9].n_dims == 1);
}

static void check_refused(const struct network_spec *spec, const char *layer)
{
    struct torch_network network;
    struct train_error error = {{0}};
    CHECK(torch_network_make(spec, &arena, &network, &error) == -1);
    CHECK_MSG(strstr(error.message, layer), "%s", error.message);
}

TEST(a_layer_that_the_plugin_lacks_is_named)
{
    struct network_spec spec;
    make(&spec);
    spec.layers[1].kind = LAYER_CROSS_MIXTURE;
    check_refused(&spec, "cannot train layer \"cross_layers.0\" (cross_mixture)");
    make(&spec);
    spec.layers[3].activation = ACTIVATE_TANH;
    check_refused(&spec, "cannot train layer \"dnn.1\" (activation)");
    make(&spec);
    spec.layers[2].tensors[ROLE_BIAS].n_parts = 0;
    check_refused(&spec, "cannot train layer \"dnn.0\" (linear)");
    make(&spec);
    ((struct spec_input *)spec.layers[0].parts)[2].pooling = POOLING_MEAN;
    check_refused(&spec, "cannot train layer \"x0\" (input)");
}

int main(void)
{
    arena_init(&arena, SIZE_MAX);
    RUN(layers_and_tensors_are_those_of_the_spec);
    RUN(a_layer_that_the_plugin_lacks_is_named);
    arena_free(&arena);
    return test_report();
}
