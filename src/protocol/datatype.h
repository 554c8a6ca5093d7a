/* SPDX-License-Identifier: Apache-2.0 */
/* datatype.h: the tensor datatypes of the Open Inference Protocol and their bytes as cells. */
#ifndef DCNV2_PROTOCOL_DATATYPE_H
#define DCNV2_PROTOCOL_DATATYPE_H

#include "frame.h"

enum datatype {
    DATATYPE_BOOL,
    DATATYPE_INT8,
    DATATYPE_INT16,
    DATATYPE_INT32,
    DATATYPE_INT64,
    DATATYPE_UINT8,
    DATATYPE_UINT16,
    DATATYPE_UINT32,
    DATATYPE_UINT64,
    DATATYPE_FP16,
    DATATYPE_FP32,
    DATATYPE_FP64,
    DATATYPE_BYTES,
    DATATYPE_UNKNOWN
};

enum { DATATYPE_DIGITS_MAX = 20 }; /* "-9223372036854775808" */

/* Exact names only, as the protocol writes them: "INT64", not "int64". */
enum datatype datatype_find(struct text name);
const char *datatype_name(enum datatype datatype);

static inline bool datatype_is_integer(enum datatype datatype)
{
    return datatype >= DATATYPE_INT8 && datatype <= DATATYPE_UINT64;
}

/* A number as a cell: the lower bits of `bits` are its own. `digits`: DATATYPE_DIGITS_MAX bytes
 * that outlive the cell of an integer; else not looked at. */
struct cell datatype_cell(enum datatype datatype, uint64_t bits, char *digits);

/* Value `i`, counted from 1, of BYTES: a cell more in column `c`. -1: it is not UTF-8, or as
 * frame_append(). */
int datatype_append_text(struct text value, uint64_t i, struct frame *frame, uint32_t c,
                         struct request_error *error);

/*
 * Appends `n` elements of a binary tensor to column `c`: little-endian numbers, or for
 * BYTES each element behind its length (uint32). `data` must hold exactly these. Cells
 * point into `data` or the frame's arena. -1: *error names the column.
 */
int datatype_read_binary(enum datatype datatype, struct text data, uint64_t n, struct frame *frame,
                         uint32_t c, struct request_error *error);

/*
 * Column `c` was read as written, whatever its datatype: -1 if an integer lies outside
 * the range of an integer datatype; *error names input, row and range. Floats are marked as FP32
 * where the datatype says so: the client has rounded them (struct cell).
 */
int datatype_check(enum datatype datatype, struct frame *frame, uint32_t c,
                   struct request_error *error);

#endif
