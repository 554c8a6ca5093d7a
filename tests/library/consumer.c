/* SPDX-License-Identifier: Apache-2.0 */
/* An ad server's use of libdcnv2: loads the demo model and prints the scores of two rows, one per
 * line. */
#include <dcnv2.h>
#include <stdio.h>
#include <string.h>

enum { N_ROWS = 2, N_COLUMNS = 16 };

static const char *const columns[N_COLUMNS] = {"userid",
                                               "cms_segid",
                                               "cms_group_id",
                                               "final_gender_code",
                                               "age_level",
                                               "pvalue_level",
                                               "shopping_level",
                                               "occupation",
                                               "new_user_class_level",
                                               "adgroup_id",
                                               "cate_id",
                                               "campaign_id",
                                               "customer",
                                               "brand",
                                               "pid",
                                               "btag"};
static const char *const texts[N_COLUMNS][N_ROWS] = {{"884208", "1076167"},
                                                     {"33", "unseen-369"},
                                                     {"4", "8"},
                                                     {"2", "2"},
                                                     {"4", "1"},
                                                     {"3", "1"},
                                                     {"3", "3"},
                                                     {"2", "2"},
                                                     {"2", "4"},
                                                     {"652419", "774001"},
                                                     {"1155", "5926"},
                                                     {"384153", "124715"},
                                                     {"37757", "250145"},
                                                     {"255616", "247154"},
                                                     {"1", "1"},
                                                     {"1", "1"}};
static const double prices[N_ROWS] = {0.1474, 1.121};

static int score(const dcnv2_model *model, dcnv2_workspace *workspace, struct dcnv2_error *error)
{
    uint32_t rows[N_COLUMNS][N_ROWS];
    struct dcnv2_rows lookups[N_COLUMNS];
    float dense[N_ROWS], scores[N_ROWS];
    for (size_t i = 0; i < N_COLUMNS; i++) {
        for (size_t r = 0; r < N_ROWS; r++)
            rows[i][r] = dcnv2_model_sparse_index(model, i, texts[i][r], strlen(texts[i][r]));
        lookups[i] = (struct dcnv2_rows){rows[i], NULL};
    }
    for (size_t r = 0; r < N_ROWS; r++)
        dense[r] = dcnv2_model_dense_value(model, 0, prices[r]);

    int result = dcnv2_predict(model, workspace, N_ROWS, dense, lookups, scores, error);
    for (size_t r = 0; result == DCNV2_OK && r < N_ROWS; r++)
        printf("%.9g\n", (double)scores[r]);
    return result;
}

static int load_and_score(const struct dcnv2_source *source, struct dcnv2_error *error)
{
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    int result = dcnv2_model_load(source, &model, error);
    if (result == DCNV2_OK)
        result = dcnv2_workspace_create(model, &workspace, error);
    if (result == DCNV2_OK)
        result = score(model, workspace, error);
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    return result;
}

/* usage: consumer WEIGHTS ENCODER */
int main(int argc, char **argv)
{
    static const char *const dense[] = {"price"};
    struct dcnv2_error error;
    if (argc != 3)
        return 2;
    const struct dcnv2_source source = {.model_path = argv[1],
                                        .encoder_path = argv[2],
                                        .dense_columns = {dense, 1},
                                        .sparse_columns = {columns, N_COLUMNS}};
    if (load_and_score(&source, &error) == DCNV2_OK)
        return 0;
    fprintf(stderr, "%s\n", error.message);
    return 1;
}
