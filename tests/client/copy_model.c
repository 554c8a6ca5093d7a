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

static int copy(struct initial_model *initial, char **argv, struct train_error *error)
{
    struct parameters values;
    if (initial_model_read(initial, argv[1], error) != 0 ||
        parameters_create(&initial->shape, &values, error) != 0)
        return -1;
    initial_model_copy(initial, &values);
    const struct model_contents contents = {.encoder = &initial->encoder,
                                            .values = &values,
                                            .label = "clk",
                                            .sklearn_version = argv[3]};
    const int status = model_files_write(argv[2], &contents, error);
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
