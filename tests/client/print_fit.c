/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_fit.c: what the trainer makes of CSV files, for test_fit.py.
 *
 *     print_fit LABEL SPARSE,.. DENSE,.. MIN_COUNT FILE ..
 *
 *     class COLUMN HEX        each class in its order, as hexadecimal digits
 *     column COLUMN MISSING RARE RARE_VALUES
 *     scaler COLUMN MEAN VAR SCALE
 *     row LABEL DENSE .. INDEX ..     each row as the encoder was fitted on it
 *     again LABEL DENSE .. INDEX ..   and as it is encoded with the fitted classes
 */
#include <stdio.h>
#include <stdlib.h>

#include "data/fit.h"

enum { MAX_COLUMNS = 64 };

static uint32_t cut(char *names, const char **ret_names)
{
    uint32_t n = 0;
    for (char *name = strtok(names, ","); name && n < MAX_COLUMNS; name = strtok(NULL, ","))
        ret_names[n++] = name;
    return n;
}

static void print_encoder(const struct fitted_encoder *encoder)
{
    for (uint32_t c = 0; c < encoder->n_sparse; c++) {
        const struct fitted_column *column = &encoder->sparse[c];
        for (uint32_t i = 0; i < column->n_classes; i++) {
            printf("class %s ", column->name);
            for (size_t b = 0; b < column->classes[i].length; b++)
                printf("%02x", (unsigned char)column->classes[i].at[b]);
            printf("\n");
        }
        printf("column %s %llu %llu %u\n", column->name, (unsigned long long)column->n_missing,
               (unsigned long long)column->n_rare, column->n_rare_values);
    }
    for (uint32_t c = 0; c < encoder->n_dense; c++)
        printf("scaler %s %.17g %.17g %.17g\n", encoder->dense[c], encoder->mean[c],
               encoder->var[c], encoder->scale[c]);
}

static void print_rows(const char *head, const struct dataset *dataset)
{
    for (uint64_t i = 0; i < dataset->n_rows; i++) {
        const uint32_t *row = dataset_row(dataset, i);
        float value;
        printf("%s", head);
        for (uint32_t w = 0; w < 1 + dataset->n_dense; w++) {
            memcpy(&value, &row[w], sizeof value);
            printf(" %.9g", (double)value);
        }
        for (uint32_t w = 0; w < dataset->n_sparse; w++)
            printf(" %u", row[1 + dataset->n_dense + w]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const char *sparse[MAX_COLUMNS], *dense[MAX_COLUMNS];
    const struct fit_options options = {.columns = {.label = argv[1],
                                                    .sparse = sparse,
                                                    .dense = dense,
                                                    .n_sparse = cut(argv[2], sparse),
                                                    .n_dense = cut(argv[3], dense)},
                                        .min_count = strtoull(argv[4], NULL, 10)};
    const char *const *paths = (const char *const *)argv + 5;
    const uint32_t n_paths = (uint32_t)argc - 5;
    struct fitted_encoder encoder;
    struct dataset dataset;
    struct train_error error;
    if (fit_encoder(paths, n_paths, &options, &encoder, &dataset, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    print_encoder(&encoder);
    print_rows("row", &dataset);
    dataset_free(&dataset);
    if (encode_files(paths, n_paths, &options, &encoder, &dataset, NULL, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    print_rows("again", &dataset);
    dataset_free(&dataset);
    fitted_encoder_free(&encoder);
    return 0;
}
