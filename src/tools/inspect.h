/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h: what a model's file holds, for people. */
#ifndef DCNV2_TOOLS_INSPECT_H
#define DCNV2_TOOLS_INSPECT_H

#include <stdio.h>

#include "dcnv2.h"

/*
 * Prints what the file holds: weights (a PyTorch state dict, safetensors), a pickled encoder or a
 * converted file, found by its content, or a folder with a model.json or FuxiCTR's files. Weights
 * beside which these lie are read with them, as MODEL_PATH=FILE is, others by the names of their
 * tensors. Everything is read and checked as a server does before the first line is printed.
 * Returns a status; otherwise nothing is printed and *error is set.
 */
int inspect_file(const char *path, FILE *out, struct dcnv2_error *error);

#endif
