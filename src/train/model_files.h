/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_files.h: a trained model's files in a folder: model_weights.pth and
 * preprocess_metadata.pkl as the notebook writes them, and model.safetensors of the same
 * contents for the server.
 */
#ifndef DCNV2_TRAIN_MODEL_FILES_H
#define DCNV2_TRAIN_MODEL_FILES_H

#include "backend/parameters.h"
#include "data/fit.h"

#define MODEL_FILES_WEIGHTS   "model_weights.pth"
#define MODEL_FILES_ENCODER   "preprocess_metadata.pkl"
#define MODEL_FILES_CONVERTED "model.safetensors"

/* The version that the notebook's estimators are of. */
#define MODEL_FILES_SKLEARN_VERSION "1.7.1"

struct model_contents {
    const struct fitted_encoder *encoder;
    const struct parameters *values;
    const char *label;           /* column of the training data, or NULL */
    const char *sklearn_version; /* NULL: MODEL_FILES_SKLEARN_VERSION */
};

/*
 * Each file is written to a temporary name in the folder, all are read back as a server reads
 * them, and only then they take their places, one right behind the other. Equal contents give
 * equal bytes. -1: *error says which file and why (the folder is missing, the disk is full, a
 * parameter is not finite ..); the files of before are as they were, no temporary one is left.
 */
int model_files_write(const char *folder, const struct model_contents *contents,
                      struct train_error *error);

/* The same for one file of NUL-terminated text. */
int model_files_write_text(const char *folder, const char *name, const char *text,
                           struct train_error *error);

#endif
