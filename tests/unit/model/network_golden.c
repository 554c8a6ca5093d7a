/* SPDX-License-Identifier: Apache-2.0 */
#include "network_golden.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/build.h"
#include "golden.h"

#define FOLDER "tests/golden/network/"

const char *const golden_networks[] = {"linear",
                                       "linear_twice",
                                       "one_number",
                                       "one_number_twice",
                                       "deep_only",
                                       "deep_narrow",
                                       "norm_1",
                                       "norm_2_only",
                                       "norm_2_twice",
                                       "norm_3",
                                       "norm_4",
                                       "norm_aligned",
                                       "full_1",
                                       "full_2",
                                       "full_2_twice",
                                       "full_3",
                                       "full_3_only",
                                       "full_4",
                                       "half",
                                       "views",
                                       NULL};

static void *claim(size_t count, size_t size)
{
    void *result = calloc(count ? count : 1, size);
    if (result == NULL) {
        fprintf(stderr, "tests: out of memory\n");
        exit(1);
    }
    return result;
}

static char *copy_of(struct text text)
{
    char *copy = claim(text.length + 1, 1);
    memcpy(copy, text.at, text.length);
    return copy;
}

static double number_of(struct text text)
{
    char digits[64];
    snprintf(digits, sizeof digits, "%.*s", (int)text.length, text.at);
    return strtod(digits, NULL);
}

static void claim_rows(struct golden_network *network)
{
    for (size_t i = 0; i < network->n_dense; i++)
        network->raw[i] = claim(GOLDEN_REFERENCE_ROWS, sizeof(double));
    for (size_t i = 0; i < network->n_sparse; i++)
        network->texts[i] = claim(GOLDEN_REFERENCE_ROWS, sizeof(char *));
    network->in_double = claim(GOLDEN_REFERENCE_ROWS, sizeof(double));
    network->in_single = claim(GOLDEN_REFERENCE_ROWS, sizeof(double));
}

static void read_row(struct golden_network *network, const struct text *fields, size_t n)
{
    if (network->n_rows == 0)
        claim_rows(network);
    CHECK(n == 3 + network->n_dense + network->n_sparse && network->n_rows < GOLDEN_REFERENCE_ROWS);
    const size_t row = network->n_rows++;
    network->in_double[row] = number_of(fields[1]);
    network->in_single[row] = number_of(fields[2]);
    for (size_t i = 0; i < network->n_dense; i++)
        network->raw[i][row] = number_of(fields[3 + i]);
    for (size_t i = 0; i < network->n_sparse; i++)
        network->texts[i][row] = copy_of(fields[3 + network->n_dense + i]);
}

void golden_network_read(struct golden_network *network, const char *name)
{
    *network = (struct golden_network){0};
    snprintf(network->model_path, sizeof network->model_path, FOLDER "%s.pth", name);
    snprintf(network->encoder_path, sizeof network->encoder_path, FOLDER "%s.pkl", name);
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s.expected", name);
    struct golden golden;
    struct text fields[3 + 2 * GOLDEN_MAX_COLUMNS];
    if (!golden_open(&golden, path))
        exit(1);
    size_t n;
    while ((n = golden_next(&golden, fields, sizeof fields / sizeof fields[0])) != 0) {
        if (text_is(fields[0], "dense")) {
            network->dense_names[network->n_dense++] = copy_of(fields[1]);
        } else if (text_is(fields[0], "sparse")) {
            network->n_classes[network->n_sparse] = (uint32_t)number_of(fields[2]);
            network->sparse_names[network->n_sparse++] = copy_of(fields[1]);
        } else if (text_is(fields[0], "named")) {
            network->dense_named = !text_is(fields[1], "sparse");
            network->sparse_named = !text_is(fields[1], "dense");
        } else if (text_is(fields[0], "row")) {
            read_row(network, fields, n);
        } else {
            CHECK_MSG(false, "%s: unknown record", path);
        }
    }
    golden_close(&golden);
}

static void read_paper_column(struct golden_network *network, const cJSON *column)
{
    const bool dense = cJSON_IsNumber(column->child);
    const size_t i = dense ? network->n_dense++ : network->n_sparse++;
    char **name = dense ? &network->dense_names[i] : &network->sparse_names[i];
    *name = copy_of(text_of(column->string));
    if (dense)
        network->raw[i] = claim(GOLDEN_REFERENCE_ROWS, sizeof(double));
    else
        network->texts[i] = claim(GOLDEN_REFERENCE_ROWS, sizeof(char *));
    size_t row = 0;
    for (const cJSON *cell = column->child; cell && row < GOLDEN_REFERENCE_ROWS;
         cell = cell->next) {
        if (dense)
            network->raw[i][row++] = cell->valuedouble;
        else
            network->texts[i][row++] = copy_of(text_of(cell->valuestring));
    }
    network->n_rows = row;
}

static double *numbers_of(const cJSON *list)
{
    double *numbers = claim(GOLDEN_REFERENCE_ROWS, sizeof *numbers);
    size_t n = 0;
    for (const cJSON *item = list->child; item && n < GOLDEN_REFERENCE_ROWS; item = item->next)
        numbers[n++] = item->valuedouble;
    return numbers;
}

void golden_network_read_paper(struct golden_network *network)
{
    *network = (struct golden_network){0};
    snprintf(network->model_path, sizeof network->model_path, "%s",
             "tests/golden/paper/model_weights.pth");
    snprintf(network->encoder_path, sizeof network->encoder_path, "%s",
             "model/preprocess_metadata.pkl");
    struct bytes bytes = bytes_of_file("tests/golden/paper/expected.json");
    cJSON *root = cJSON_ParseWithLength((const char *)bytes.at, bytes.size);
    const cJSON *columns = cJSON_GetObjectItem(root, "columns");
    const cJSON *in_single = cJSON_GetObjectItem(root, "predictions");
    const cJSON *in_double = cJSON_GetObjectItem(root, "predictions_float64");
    if (!columns || !in_single || !in_double) {
        fprintf(stderr, "tests: the paper network's expected.json is not as it was\n");
        exit(1);
    }
    for (const cJSON *column = columns->child; column; column = column->next)
        read_paper_column(network, column);
    network->in_single = numbers_of(in_single);
    network->in_double = numbers_of(in_double);
    cJSON_Delete(root);
    bytes_free(&bytes);
}

struct dcnv2_source golden_network_source(const struct golden_network *network, bool name_all)
{
    struct dcnv2_source source = {.model_path = network->model_path,
                                  .encoder_path = network->encoder_path};
    if (name_all || network->dense_named)
        source.dense_columns =
            (struct dcnv2_columns){(const char *const *)network->dense_names, network->n_dense};
    if (name_all || network->sparse_named)
        source.sparse_columns =
            (struct dcnv2_columns){(const char *const *)network->sparse_names, network->n_sparse};
    return source;
}

bool golden_network_load(struct golden_network *network, bool name_all)
{
    const struct dcnv2_source source = golden_network_source(network, name_all);
    struct dcnv2_error error = {0};
    if (dcnv2_model_load(&source, &network->model, &error) != DCNV2_OK) {
        fprintf(stderr, "    %s\n", error.message);
        return false;
    }
    const size_t n = network->n_rows;
    network->dense = claim(network->n_dense * n, sizeof *network->dense);
    network->indices = claim(network->n_sparse * n, sizeof *network->indices);
    for (size_t i = 0; i < network->n_dense; i++)
        for (size_t row = 0; row < n; row++)
            network->dense[i * n + row] =
                dcnv2_model_dense_value(network->model, i, network->raw[i][row]);
    for (size_t i = 0; i < network->n_sparse; i++)
        for (size_t row = 0; row < n; row++)
            network->indices[i * n + row] = dcnv2_model_sparse_index(
                network->model, i, network->texts[i][row], strlen(network->texts[i][row]));
    return true;
}

bool golden_network_open(struct golden_network *network, const char *name)
{
    if (strcmp(name, "paper") == 0)
        golden_network_read_paper(network);
    else
        golden_network_read(network, name);
    const bool loaded = golden_network_load(network, true);
    CHECK_MSG(loaded, "%s was not loaded", name);
    return loaded;
}

void golden_network_close(struct golden_network *network)
{
    for (size_t i = 0; i < GOLDEN_MAX_COLUMNS; i++) {
        free(network->dense_names[i]);
        free(network->sparse_names[i]);
        free(network->raw[i]);
        for (size_t row = 0; network->texts[i] && row < network->n_rows; row++)
            free(network->texts[i][row]);
        free(network->texts[i]);
    }
    free(network->in_double);
    free(network->in_single);
    free(network->dense);
    free(network->indices);
    dcnv2_model_free(network->model);
    *network = (struct golden_network){0};
}
