/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_model.c: reads a model as --init-from does and writes it as the trainer does.
 *
 *     copy_model FROM FOLDER SKLEARN_VERSION
 */
#include <stdio.h>
#include <stdlib.h>

#include "train/init_from.h"
#include "train/model_files.h"

/* Of a network of its sizes, in the model's own memory. */
static int make_spec(struct initial_model *initial, struct network_spec *spec,
                     struct train_error *error)
{
    struct fitted_encoder *encoder = &initial->encoder;
    uint32_t *n_rows = arena_calloc(&encoder->arena, encoder->n_sparse + 1u, sizeof *n_rows);
    for (uint32_t i = 0; n_rows && i < encoder->n_sparse; i++)
        n_rows[i] = encoder->sparse[i].n_classes + 1;
    return n_rows && published_make(spec, &encoder->arena, &initial->sizes, n_rows) == 0
               ? 0
               : train_error_memory(error);
}

static int copy(struct initial_model *initial, char **argv, struct train_error *error)
{
    struct network_spec spec;
    struct parameters values;
    if (initial_model_read(initial, argv[1], error) != 0 || make_spec(initial, &spec, error) != 0 ||
        parameters_create(&spec, &values, error) != 0)
        return -1;
    const struct model_contents contents = {.encoder = &initial->encoder,
                                            .values = &values,
                                            .label = "clk",
                                            .sklearn_version = argv[3]};
    int status = initial_model_copy(initial, &values, error);
    if (status == 0)
        status = model_files_write(argv[2], &contents, error);
    parameters_free(&values);
    return status;
}

int main(int argc, char **argv)
{
    struct initial_model initial;
    struct train_error error;
    if (argc != 4)
        return EXIT_FAILURE;
    const int status = copy(&initial, argv, &error);
    if (status != 0)
        fprintf(stderr, "%s\n", error.message);
    initial_model_free(&initial);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
