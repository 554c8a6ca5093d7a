/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_header.h: which cells of one file of a click log are whose.
 *
 * The first record names the cells, or names are given for files without such a line. Where the
 * separator is not given, the first record tells: by comma, tab, semicolon or pipe, whichever makes
 * cells of all columns that are wanted (or as many cells as there are given names).
 */
#ifndef DCNV2_DATA_LOG_HEADER_H
#define DCNV2_DATA_LOG_HEADER_H

#include <stdint.h>

#include "data/click_log.h"
#include "data/csv.h"

enum { LOG_NOT_THERE = UINT32_MAX };

struct log_header {
    char **names; /* [n_names] of the cells */
    uint32_t n_names;
    uint32_t label_at, group_at; /* cell of the record, or LOG_NOT_THERE */
    uint32_t *sparse_at;         /* [n_sparse] */
    uint32_t *dense_at;          /* [n_dense] */
};

/* -1: out of memory: *error. */
int log_header_init(struct log_header *header, const struct log_columns *columns,
                    struct train_error *error);

/*
 * Of a file that was just opened: gives the reader its separator and the names, which stay the
 * header's until the next call. What is read next is the first row. -1: *error: the file is empty,
 * a column is not there or twice, a name is no text, two separators would do, or the first record
 * repeats the given names.
 */
int log_header_read(struct log_header *header, struct csv_reader *csv, const char *file,
                    const struct log_columns *columns, struct train_error *error);

/* Fits one that is all zero. */
void log_header_free(struct log_header *header);

#endif
