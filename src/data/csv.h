/* SPDX-License-Identifier: Apache-2.0 */
/*
 * csv.h: the records of one CSV file, as a stream of cells.
 *
 * Cells are separated by commas unless another byte is given. RFC 4180, and where it is silent as
 * pandas.read_csv: a line ends with LF, CRLF or CR; a quote inside a cell that does not start with
 * one stands for itself; what follows a closing quote belongs to the cell; an empty line is no
 * record. What columns mean it does not know; it may be told their names, for its messages.
 */
#ifndef DCNV2_DATA_CSV_H
#define DCNV2_DATA_CSV_H

#include <stdbool.h>
#include <stdint.h>

#include "data/train_error.h"
#include "text.h"

enum {
    CSV_MAX_CELLS = 1 << 16,        /* of one record; more are counted, but not given */
    CSV_MAX_RECORD_BYTES = 1 << 24, /* beyond it a quote was left open */
    CSV_PADDING = 64                /* bytes behind a cell's last one that may be read */
};

struct csv_record {
    const struct text *cells; /* [n_cells], without quotes; valid until the next call */
    uint32_t n_cells;
    uint64_t line;    /* where it starts, from 1 */
    bool has_high;    /* a byte beyond ASCII is in it */
    bool has_control; /* a byte below the space is in it: perhaps NUL */
};

struct csv_reader;

/* `path` is borrowed. What the file may be is log_text.h's. -1: *error. */
int csv_open(struct csv_reader **ret_reader, const char *path, struct train_error *error);

/* Between cells from now on: a byte of ASCII, and neither a quote nor a line end. */
void csv_set_separator(struct csv_reader *reader, char separator);
char csv_separator(const struct csv_reader *reader);

/*
 * As csv_next(), but the record stays the next one: what its cells would be under another
 * separator. An error here is not one of the file: it may have come from the separator.
 */
int csv_peek(struct csv_reader *reader, char separator, struct csv_record *ret_record,
             struct train_error *error);

/* Names of cells from now on, borrowed: messages call them "column NAME", others "cell 3". */
void csv_name_cells(struct csv_reader *reader, char *const *names, uint32_t n_names);

/*
 * 1: *ret_record; 0: the end; -1: *error: a quote is open at the end, a record is longer than
 * CSV_MAX_RECORD_BYTES, or the file cannot be read or unpacked any further: the records before are
 * given first, and the message counts them. Nothing can be read after an error.
 */
int csv_next(struct csv_reader *reader, struct csv_record *ret_record, struct train_error *error);

/*
 * After a record that makes no sense: -1, *error if the gzip member that it was in is damaged,
 * since its bytes are then not those that were packed; 0 otherwise. Nothing can be read afterwards.
 */
int csv_check_file(struct csv_reader *reader, struct train_error *error);

/* Why the bytes of a cell are no text, or NULL. */
const char *csv_cell_fault(struct text cell);

/* Bytes of the file as it is on disk that were read so far. */
uint64_t csv_bytes_read(const struct csv_reader *reader);

/* Accepts NULL. */
void csv_close(struct csv_reader *reader);

#endif
