/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.h: one file of a model's two, which loads without unpickling, hashing or copying.
 *
 * A safetensors file (format/safetensors.h says what else holds) with these tensors:
 *
 *   as PyTorch names them    F32              the network's, in PyTorch's shapes
 *   vocabulary.{i}.text      U8  [n_bytes]    the classes of sparse column i behind each other
 *   vocabulary.{i}.offsets   U32 [n + 1]      class k is bytes offsets[k] .. offsets[k + 1] - 1
 *   vocabulary.{i}.slots     U64 [n_slots, 2] its hash table (encode/vocabulary.c)
 *
 * and in its metadata sparse_columns and dense_columns, in the model's order, mean and scale of
 * the dense ones (each a JSON array, numbers with all digits), network (for people), the SHA-256 of
 * both sources, hash_seed, of the hash tables, and label_column, of the data that it was trained
 * on, where that is known.
 *
 * What older programs do not know, in files of version 3: factor and shift of the dense columns
 * (scaling.h) and what they are clipped to, unknown_rows and missing_rows of the sparse ones, -1
 * for none. Each is there if it differs from what it was before there were such keys.
 *
 * A golden set (golden.h) stands under golden as its file has it.
 *
 * Of a model with a model.json there is its description (network/json_spec.h) under model_json in
 * the place of columns, mean and scale; column i is then vocabulary i.
 *
 * The seed is the SHA-256 of the sources' SHA-256, so that equal sources give equal bytes. It is no
 * secret to whoever has the file, and need not be: whoever chooses ids changes with each choice the
 * encoder file, and with it the seed, as if it were drawn again; and a table that is made already
 * bounds what a look-up of any text takes.
 *
 * Files of version 1 have no seed (hash_seed_fixed). They are read as those of version 2 are: with
 * the same bound.
 */
#ifndef DCNV2_MODEL_CONVERT_H
#define DCNV2_MODEL_CONVERT_H

#include "dcnv2.h"

#define CONVERTED_SPARSE     "sparse_columns"
#define CONVERTED_DENSE      "dense_columns"
#define CONVERTED_MEAN       "mean"
#define CONVERTED_SCALE      "scale"
#define CONVERTED_FACTOR     "factor"
#define CONVERTED_SHIFT      "shift"
#define CONVERTED_CLIP       "clip"
#define CONVERTED_UNKNOWN    "unknown_rows"
#define CONVERTED_MISSING    "missing_rows"
#define CONVERTED_LABEL      "label_column"
#define CONVERTED_MODEL      "model_json"
#define CONVERTED_SEED       "hash_seed"
#define CONVERTED_GOLDEN     "golden"
#define CONVERTED_VOCABULARY "vocabulary."
#define CONVERTED_TEXT       "text"
#define CONVERTED_OFFSETS    "offsets"
#define CONVERTED_SLOTS      "slots"

enum { CONVERTED_PARTS = 3 }; /* tensors of a vocabulary */

/* A golden set as its file would have it, and the file that it was made of, for messages. */
struct made_golden {
    const char *json, *path;
};

/*
 * Reads the source as dcnv2_model_load() does and writes the converted file. It is written
 * beside `path`, read back, and takes the place of `path` in one step: whoever has the old file
 * open keeps it. Equal sources give equal bytes. `label`: the label column's name, UTF-8, or NULL.
 * `golden`: a golden set in the place of the source's, or NULL.
 * Otherwise a status and *error, which names the file at fault; `path` is as it was.
 */
int model_convert(const struct dcnv2_source *source, const char *label,
                  const struct made_golden *golden, const char *path, struct dcnv2_error *error);

#endif
