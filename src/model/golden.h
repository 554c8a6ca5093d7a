/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden.h: rows with the scores of the library that trained the model, which prove at each load
 * that this program computes the same network.
 *
 * A golden set is one JSON object, a v1 request beside its reply:
 *
 *   {"tolerance": 1e-5, "inputs": [{"COLUMN": [a value per row], ..}], "predictions": [p, ..]}
 *
 * `inputs` or `instances` as protocol/v1.h reads them; `predictions` are probabilities, or lists of
 * one. It is `golden.json` beside the weights, or the metadata "golden" of a converted file.
 */
#ifndef DCNV2_MODEL_GOLDEN_H
#define DCNV2_MODEL_GOLDEN_H

#include <stdint.h>

#include "model/reading.h"

#define GOLDEN_FILE "golden.json"
#define GOLDEN_NONE "none" /* of source->golden: no set is read */

enum {
    GOLDEN_MAX_ROWS = 10000,
    GOLDEN_MAX_BYTES = 16 << 20,
    GOLDEN_CONVERTED_BYTES = 1 << 20 /* of a set in a converted file, within its header */
};

/* The outcome of a check. n_rows 0: there was no set. */
struct golden {
    uint32_t n_rows;
    double largest; /* distance of a score from that of the set */
    double limit;
};

/* Finds the set of a source whose files are read, as reading->golden. Returns a status. */
int golden_find(struct reading *reading);

/* Scores its rows as requests are scored. A status other than DCNV2_OK: a score lies further than
 * the limit from that of the set, or the set cannot be used; the reading's error says which row. */
int golden_check(struct reading *reading, const dcnv2_model *model, struct golden *ret_golden);

#endif
