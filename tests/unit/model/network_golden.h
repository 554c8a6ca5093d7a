/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network_golden.h: the networks of tests/golden/network, loaded, with their rows as
 * dcnv2_predict() takes them and PyTorch's scores; and the paper network likewise.
 */
#ifndef DCNV2_TESTS_MODEL_NETWORK_GOLDEN_H
#define DCNV2_TESTS_MODEL_NETWORK_GOLDEN_H

#include <stdbool.h>

#include "dcnv2.h"

enum { GOLDEN_MAX_COLUMNS = 20, GOLDEN_REFERENCE_ROWS = 300 };

/* Names of the networks, NULL at the end. */
extern const char *const golden_networks[];

struct golden_network {
    char model_path[128], encoder_path[128];
    char *dense_names[GOLDEN_MAX_COLUMNS], *sparse_names[GOLDEN_MAX_COLUMNS];
    uint32_t n_classes[GOLDEN_MAX_COLUMNS];
    bool dense_named, sparse_named; /* whether the names must be given */
    size_t n_dense, n_sparse, n_rows;
    double *raw[GOLDEN_MAX_COLUMNS]; /* [n_rows] each */
    char **texts[GOLDEN_MAX_COLUMNS];
    double *in_double, *in_single; /* PyTorch's scores, [n_rows] */

    dcnv2_model *model;
    float *dense;      /* [n_dense, n_rows] */
    uint32_t *indices; /* [n_sparse, n_rows] */
};

/* Reads the .expected file alone. Ends the test if it is missing. */
void golden_network_read(struct golden_network *network, const char *name);

/* The same from the predictions of the paper network, which has no .expected file. */
void golden_network_read_paper(struct golden_network *network);

/* Loads the model, naming all columns or only those that must be named, and encodes the rows.
 * Says why not. */
bool golden_network_load(struct golden_network *network, bool name_all);

/* Both of these, all columns named: "paper" is the paper network. */
bool golden_network_open(struct golden_network *network, const char *name);

struct dcnv2_source golden_network_source(const struct golden_network *network, bool name_all);

void golden_network_close(struct golden_network *network);

#endif
