/* SPDX-License-Identifier: Apache-2.0 */
/*
 * click_log.h: the records of a click log, read as a stream from CSV files.
 *
 * CSV is RFC 4180, by commas or another separator: quotes, doubled quotes, line ends in quotes; LF
 * as well as CRLF; empty lines are skipped; the last line may lack its end. gzip files are unpacked
 * on the way, UTF-16 is converted (log_text.h). A path may be a folder: its *.csv and *.csv.gz in
 * the order of their names. Columns are found by name, in each file anew, and others are left out
 * (log_header.h).
 *
 * An empty cell and the words that pandas.read_csv takes for missing ("", "NA", "N/A", "NaN",
 * "nan", "null", "NULL", "None", "#N/A", .. its whole list) are missing values.
 */
#ifndef DCNV2_DATA_CLICK_LOG_H
#define DCNV2_DATA_CLICK_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "data/train_error.h"
#include "text.h"

/* How the files are written. All zero: CSV with a header line. */
struct log_form {
    char separator;            /* between cells; 0: what log_header.h finds in each file */
    const char *const *header; /* [n_header] names of all cells of files without a header line */
    uint32_t n_header;
};

struct log_columns {
    const char *label; /* NULL: not read */
    const char *group; /* of grouped AUC; NULL: none. May also be among the sparse ones */
    const char *const *sparse;
    const char *const *dense;
    uint32_t n_sparse, n_dense;
    double missing; /* what a missing dense value is: 0, or NaN */
    struct log_form form;
    bool label_is_optional; /* a file, or a row, without it is read all the same: label -1 */
    /* What the encoder of these columns can take of dense column i; NULL: every float. */
    bool (*is_in_range)(const void *encoder, uint32_t i, double value);
    const void *encoder;
};

/* One row. Texts are valid until the next call. */
struct click_record {
    const struct text *sparse; /* [n_sparse], as written, without quotes; see click_is_missing() */
    const double *dense;       /* [n_dense], finite, or log_columns.missing */
    struct text group;
    int label; /* 0 or 1; -1: there is none */
};

struct click_log;

/*
 * Opens the first file and reads its header. `max_bad_rows`: so many bad records are skipped and
 * counted before one is an error (UINT64_MAX: any number). Paths and columns are borrowed.
 * -1: *error: a file is missing, empty or unreadable, a column unknown or named twice, ...
 */
int click_log_open(struct click_log **ret_log, const char *const *paths, uint32_t n_paths,
                   const struct log_columns *columns, uint64_t max_bad_rows,
                   struct train_error *error);

/*
 * 1: *ret_record; 0: the end of the last file; -1: *error, "FILE:LINE: column NAME: REASON".
 * ("cell N" where the header has no name for it).
 * Bad records: another number of cells than the header has, text in a dense column or a number
 * beyond the range of a float or of the encoder, a label that is neither 0 nor 1, a NUL byte, bytes
 * that are not UTF-8.
 * Not to be skipped: a quote that is open at the end of the file, a header that cannot be used.
 */
int click_log_next(struct click_log *log, struct click_record *ret_record,
                   struct train_error *error);

/* For progress: bytes read of the files as they are on disk, the bytes in all (0: a pipe), and
 * records so far, and those that were skipped, with the message of the first one, or "". */
struct click_log_progress {
    uint64_t bytes, total_bytes;
    uint64_t n_records, n_bad;
    const char *first_bad; /* the log's */
};
struct click_log_progress click_log_progress(const struct click_log *log);

/* Of a log that was read to its end. -1: *error says that it has no rows, or none that is good. */
int click_log_check_rows(const struct click_log *log, struct train_error *error);

/* The message of the first bad record that was skipped, or "". */
const char *click_log_first_bad(const struct click_log *log);

/* Where a record starts. */
struct click_log_place {
    const char *file; /* the log's */
    uint64_t line;
};

/* That of the record that was read last. */
struct click_log_place click_log_place(const struct click_log *log);

/* Accepts NULL. */
void click_log_close(struct click_log *log);

/* Whether pandas.read_csv takes the cell for a missing value. */
bool click_is_missing(struct text cell);

#endif
