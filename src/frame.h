/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h: named columns of cells, N rows: where protocol/ and encode/ meet.
 *
 * A protocol fills a frame from a request body; encode/ turns it into numbers and
 * embedding rows. Cells point into the body or into the frame's arena and live as
 * long as both. One thread at a time.
 */
#ifndef DCNV2_FRAME_H
#define DCNV2_FRAME_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "hash.h"
#include "text.h"

/* Why a request cannot be answered. `message` names the column, the row or the byte; UTF-8. */
struct request_error {
    int http_status; /* 400, 413, .. */
    char message[384];
};

/*
 * Fills *error; returns -1. A long message is cut at a code point. A control character, or a byte
 * that is not UTF-8, becomes '?': a message quotes headers as the client sent them.
 */
int request_error_set(struct request_error *error, int http_status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int request_error_set_list(struct request_error *error, int http_status, const char *format,
                           va_list arguments) __attribute__((format(printf, 3, 0)));

/* 413: the arena is full. */
int request_error_out_of_memory(struct request_error *error);

/* What is said if the machine is out of memory. */
#define REQUEST_NO_MEMORY "The server is out of memory; try again."

/* 503: the machine is. */
int request_error_no_memory_now(struct request_error *error);

/* Column names that a model uses: the sparse ones in model order, then the dense ones. */
struct schema {
    const struct text *names; /* [n_sparse + n_dense] */
    uint32_t n_sparse;
    uint32_t n_dense;
    const bool *is_list;   /* [n_sparse + n_dense]; NULL: no column is of lists */
    const uint32_t *slots; /* hash table of column numbers, [slot_mask + 1] */
    uint32_t slot_mask;
    struct hash_seed seed;
};

enum { SCHEMA_NOT_FOUND = UINT32_MAX };

static inline uint32_t schema_n_columns(const struct schema *schema)
{
    return schema->n_sparse + schema->n_dense;
}

static inline bool schema_is_list(const struct schema *schema, uint32_t c)
{
    return schema->is_list && schema->is_list[c];
}

/* No column is of lists yet. `slots` and the copied names come from `arena`. -1: a name stands
 * twice (its number in *ret_twice) or, with *ret_twice SCHEMA_NOT_FOUND, out of memory. */
int schema_init(struct schema *schema, struct arena *arena, const struct text *names,
                uint32_t n_sparse, uint32_t n_dense, uint32_t *ret_twice);

/* The column of that name, or SCHEMA_NOT_FOUND. `hint`: the column that it probably is. */
static inline uint32_t schema_find(const struct schema *schema, struct text name, uint32_t hint);
uint32_t schema_look_up(const struct schema *schema, struct text name); /* without a hint */

enum cell_kind {
    CELL_MISSING = 0, /* JSON null */
    CELL_BOOL,
    CELL_INTEGER, /* decimal digits as Python's str(int) writes them */
    CELL_FLOAT,   /* a double; FP16 and FP32 tensors are widened, as KServe does */
    CELL_TEXT,
    CELL_LIST /* of cells that are none; in a column of lists alone */
};

struct cell {
    union {
        const char *text;         /* CELL_INTEGER, CELL_TEXT */
        double number;            /* CELL_FLOAT */
        bool boolean;             /* CELL_BOOL */
        const struct cell *items; /* CELL_LIST */
    };
    uint32_t length; /* of text, in bytes; of a float that was narrower, bits of its significand; of
                      * a list, its items */
    uint32_t kind;   /* enum cell_kind */
};

struct column {
    struct cell *cells; /* [n] */
    uint32_t n;
    uint32_t capacity;
    uint32_t kinds; /* bit k set: a cell of kind k was appended, and may have been cut off since */
};

/*
 * `segments`: pandas infers a column's type for each v1 instance (each becomes a
 * DataFrame) before it joins them, so where an instance starts matters to the text
 * of a value: [1, null] is "1.0", "nan"; [1] and [null] are "1", "None".
 */
struct frame {
    const struct schema *schema;
    struct arena *arena;
    struct column *columns; /* [n_sparse + n_dense] */
    uint32_t n_rows;
    uint32_t max_rows;
    uint32_t *segment_starts; /* first row of each, [n_segments] */
    uint32_t n_segments;
    uint32_t segment_capacity;
};

/* -1: out of memory. */
int frame_init(struct frame *frame, const struct schema *schema, struct arena *arena,
               uint32_t max_rows);

/* Back to no rows, keeping the memory. */
void frame_clear(struct frame *frame);

/* One more cell at the end of column `c`. -1 with *error: over max_rows, or out of memory. */
static inline int frame_append(struct frame *frame, uint32_t c, struct cell cell,
                               struct request_error *error);

/* Room for a cell more in column `c`. -1 as frame_append(). */
int frame_make_room(struct frame *frame, uint32_t c, struct request_error *error);

/* Cuts column `c` to its first `n` cells. */
void frame_truncate(struct frame *frame, uint32_t c, uint32_t n);

/* Rows frame->n_rows .. n_rows - 1 become a segment. -1: out of memory. */
int frame_end_segment(struct frame *frame, uint32_t n_rows, struct request_error *error);

/* -1: the frame has no rows. */
int frame_require_rows(const struct frame *frame, struct request_error *error);

static inline uint32_t schema_find(const struct schema *schema, struct text name, uint32_t hint)
{
    if (hint < schema_n_columns(schema) && text_equal(schema->names[hint], name))
        return hint;
    return schema_look_up(schema, name);
}

static inline int frame_append(struct frame *frame, uint32_t c, struct cell cell,
                               struct request_error *error)
{
    struct column *column = &frame->columns[c];
    if ((column->n == column->capacity || column->n == frame->max_rows) &&
        frame_make_room(frame, c, error) != 0)
        return -1;
    column->cells[column->n++] = cell;
    column->kinds |= 1u << cell.kind;
    return 0;
}

#endif
