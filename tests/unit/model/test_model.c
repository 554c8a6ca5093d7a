/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c: models that are loaded, their scores against PyTorch's. */
#include "dcnv2.h"

#include <math.h>
#include <stdlib.h>

#include "format/build.h"
#include "format/sklearn_file.h"
#include "network_golden.h"
#include "predict.h"
#include "test.h"

static const double MOST = 1e-6;            /* what a score may differ from float64 */
static const double FLOOR_OF_SINGLE = 3e-7; /* a few units in the last place of a score near 1 */

static float *score_all(const struct golden_network *network)
{
    float *scores = malloc(network->n_rows * sizeof *scores);
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    const bool good = scores &&
                      dcnv2_workspace_create(network->model, &workspace, &error) == DCNV2_OK &&
                      predict_one_each(network->model, workspace, network->n_rows, network->dense,
                                       network->indices, scores, &error) == DCNV2_OK;
    dcnv2_workspace_free(workspace);
    CHECK_MSG(good, "%s", error.message);
    if (good)
        return scores;
    free(scores);
    return NULL;
}

/* The largest distances to float64 of all networks: ours and of PyTorch's float32. */
static double ours_of_all, theirs_of_all;

static void check_near_pytorch(const char *name)
{
    struct golden_network network;
    if (!golden_network_open(&network, name))
        return;
    float *scores = score_all(&network);
    double ours = 0, theirs = 0;
    for (size_t row = 0; scores && row < network.n_rows; row++) {
        const double distance = fabs((double)scores[row] - network.in_double[row]);
        CHECK_MSG(distance <= MOST && scores[row] >= 0 && scores[row] <= 1,
                  "%s, row %zu: %.9g; PyTorch in double %.17g", name, row + 1, scores[row],
                  network.in_double[row]);
        ours = fmax(ours, distance);
        theirs = fmax(theirs, fabs(network.in_single[row] - network.in_double[row]));
    }
    printf("%-18s %3zu rows, largest distance to float64: %.2e, of PyTorch's float32 %.2e\n", name,
           network.n_rows, ours, theirs);
    CHECK_MSG(ours <= fmax(2 * theirs, FLOOR_OF_SINGLE), "%s: %g", name, ours);
    ours_of_all = fmax(ours_of_all, ours);
    theirs_of_all = fmax(theirs_of_all, theirs);
    free(scores);
    golden_network_close(&network);
}

TEST(scores_of_networks_of_any_shape_are_pytorchs)
{
    for (size_t i = 0; golden_networks[i]; i++)
        check_near_pytorch(golden_networks[i]);
}

TEST(scores_of_the_paper_network_are_pytorchs)
{
    check_near_pytorch("paper");
}

TEST(the_largest_distance_is_no_larger_than_of_pytorchs_float32)
{
    printf("%-18s          largest distance to float64: %.2e, of PyTorch's float32 %.2e\n", "all",
           ours_of_all, theirs_of_all);
    CHECK(ours_of_all > 0 && ours_of_all <= theirs_of_all);
}

TEST(a_value_is_its_position_among_the_classes_or_their_number)
{
    for (size_t i = 0; golden_networks[i]; i++) {
        struct golden_network network;
        if (!golden_network_open(&network, golden_networks[i]))
            continue;
        for (size_t c = 0; c < network.n_sparse; c++) {
            const uint32_t n_classes = network.n_classes[c];
            CHECK(dcnv2_model_vocabulary_size(network.model, c) == n_classes);
            /* the first row of every file knows no value, the second all */
            CHECK(network.indices[c * network.n_rows] == n_classes);
            CHECK(network.indices[c * network.n_rows + 1] < n_classes);
        }
        golden_network_close(&network);
    }
}

/* ---- columns */

TEST(columns_have_the_names_and_the_order_that_was_asked_for)
{
    for (size_t i = 0; golden_networks[i]; i++) {
        struct golden_network network;
        if (!golden_network_open(&network, golden_networks[i]))
            continue;
        CHECK(dcnv2_model_n_dense(network.model) == network.n_dense);
        CHECK(dcnv2_model_n_sparse(network.model) == network.n_sparse);
        for (size_t c = 0; c < network.n_dense; c++)
            CHECK(strcmp(dcnv2_model_dense_name(network.model, c), network.dense_names[c]) == 0);
        for (size_t c = 0; c < network.n_sparse; c++)
            CHECK(strcmp(dcnv2_model_sparse_name(network.model, c), network.sparse_names[c]) == 0);
        golden_network_close(&network);
    }
}

TEST(columns_left_out_are_those_of_the_encoder_file_in_its_order)
{
    size_t n_without_names = 0;
    for (size_t i = 0; golden_networks[i]; i++) {
        struct golden_network named, unnamed;
        if (!golden_network_open(&named, golden_networks[i]))
            continue;
        golden_network_read(&unnamed, golden_networks[i]);
        n_without_names += !unnamed.dense_named && !unnamed.sparse_named;
        CHECK(golden_network_load(&unnamed, false));
        for (size_t c = 0; unnamed.model && c < named.n_dense; c++)
            CHECK(strcmp(dcnv2_model_dense_name(unnamed.model, c), named.dense_names[c]) == 0);
        for (size_t c = 0; unnamed.model && c < named.n_sparse; c++)
            CHECK(strcmp(dcnv2_model_sparse_name(unnamed.model, c), named.sparse_names[c]) == 0);
        float *one = score_all(&named), *other = unnamed.model ? score_all(&unnamed) : NULL;
        CHECK(one && other && memcmp(one, other, named.n_rows * sizeof *one) == 0);
        free(one);
        free(other);
        golden_network_close(&named);
        golden_network_close(&unnamed);
    }
    CHECK(n_without_names > 10);
}

TEST(names_may_be_gone_once_a_model_is_loaded)
{
    struct golden_network network;
    if (!golden_network_open(&network, "norm_4"))
        return;
    char kept[GOLDEN_MAX_COLUMNS][64];
    for (size_t c = 0; c < network.n_sparse; c++) {
        snprintf(kept[c], sizeof kept[c], "%s", network.sparse_names[c]);
        memset(network.sparse_names[c], '#', strlen(network.sparse_names[c]));
    }
    for (size_t c = 0; c < network.n_sparse; c++)
        CHECK(strcmp(dcnv2_model_sparse_name(network.model, c), kept[c]) == 0);
    golden_network_close(&network);
}

/* ---- dense values */

TEST(a_dense_value_is_scaled_in_double_and_rounded_once)
{
    for (size_t i = 0; golden_networks[i]; i++) {
        struct golden_network network;
        if (!golden_network_open(&network, golden_networks[i]))
            continue;
        struct bytes bytes = bytes_of_file(network.encoder_path);
        struct arena arena;
        struct sklearn_file fitted;
        struct format_error error;
        arena_init(&arena, 1 << 24);
        const bool read = sklearn_file_read(&fitted, &arena, bytes.at, bytes.size, &error) == 0;
        CHECK_MSG(read, "%s", error.message);
        for (size_t c = 0; read && c < network.n_dense; c++) {
            for (size_t row = 0; row < network.n_rows; row++) {
                const double scaled =
                    (network.raw[c][row] - fitted.scaling[c].mean) / fitted.scaling[c].scale;
                CHECK(network.dense[c * network.n_rows + row] == (float)scaled);
            }
        }
        arena_free(&arena);
        bytes_free(&bytes);
        golden_network_close(&network);
    }
}

TEST(zero_rows_are_scored_without_a_look_at_the_arrays)
{
    struct golden_network network;
    if (!golden_network_open(&network, "norm_3"))
        return;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    CHECK(dcnv2_workspace_create(network.model, &workspace, &error) == DCNV2_OK);
    if (workspace)
        CHECK(predict_one_each(network.model, workspace, 0, NULL, NULL, NULL, &error) == DCNV2_OK);
    dcnv2_workspace_free(workspace);
    golden_network_close(&network);
}

/* ---- the demo model */

TEST(the_demo_model_is_loaded_and_tells_rows_apart)
{
    const struct dcnv2_source source = {.model_path = "model/model_weights.pth",
                                        .encoder_path = "model/preprocess_metadata.pkl"};
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error = {0};
    CHECK_MSG(dcnv2_model_load(&source, &model, &error) == DCNV2_OK, "%s", error.message);
    if (model == NULL)
        return;
    CHECK(dcnv2_model_n_sparse(model) == 16 && dcnv2_model_n_dense(model) == 1);
    CHECK(strcmp(dcnv2_model_dense_name(model, 0), "price") == 0);
    CHECK(dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK);
    /* All unknown, then all of class 0. */
    float dense[2], scores[2] = {-1, -1};
    uint32_t indices[16 * 2];
    for (size_t row = 0; row < 2; row++)
        dense[row] = dcnv2_model_dense_value(model, 0, 0.1474);
    for (size_t c = 0; c < 16; c++) {
        indices[2 * c] = dcnv2_model_sparse_index(model, c, "no such value", 13);
        CHECK(indices[2 * c] == dcnv2_model_vocabulary_size(model, c));
        indices[2 * c + 1] = 0;
    }
    if (workspace)
        CHECK(predict_one_each(model, workspace, 2, dense, indices, scores, &error) == DCNV2_OK);
    CHECK(scores[0] > 0 && scores[0] < 1 && scores[1] > 0 && scores[1] < 1);
    CHECK(scores[0] != scores[1]);
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
}

TEST(nothing_is_freed_without_harm)
{
    dcnv2_model_free(NULL);
    dcnv2_workspace_free(NULL);
}

int main(void)
{
    RUN(scores_of_networks_of_any_shape_are_pytorchs);
    RUN(scores_of_the_paper_network_are_pytorchs);
    RUN(the_largest_distance_is_no_larger_than_of_pytorchs_float32);
    RUN(a_value_is_its_position_among_the_classes_or_their_number);
    RUN(columns_have_the_names_and_the_order_that_was_asked_for);
    RUN(columns_left_out_are_those_of_the_encoder_file_in_its_order);
    RUN(names_may_be_gone_once_a_model_is_loaded);
    RUN(a_dense_value_is_scaled_in_double_and_rounded_once);
    RUN(zero_rows_are_scored_without_a_look_at_the_arrays);
    RUN(the_demo_model_is_loaded_and_tells_rows_apart);
    RUN(nothing_is_freed_without_harm);
    return test_report();
}
