/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h: a strict JSON reader without a tree (RFC 8259).
 *
 * Walks the text once; the caller asks for what it expects. Every byte that is
 * passed over is checked: grammar, UTF-8, escapes, no lone surrogates, no control
 * bytes, numbers within the range of a double, depth. Keys come as they stand, so
 * which of two equal keys counts is the caller's choice.
 *
 * On the first error every call returns its failure value and `reason`/`error_at`
 * stay as they are. Strings without escapes point into the text; others are in the arena.
 */
#ifndef DCNV2_PROTOCOL_JSON_H
#define DCNV2_PROTOCOL_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "frame.h"
#include "text.h"

enum { JSON_MAX_DEPTH = 1024 };

enum json_kind {
    JSON_INVALID = 0, /* an error is set */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

struct json_reader {
    const char *start;
    const char *at;
    const char *end;
    struct arena *arena;
    unsigned depth;
    const char *reason; /* NULL: no error yet */
    const char *error_at;
};

struct json_number {
    struct text text; /* as written, "-0" as an integer is "0" */
    bool is_integer;  /* no fraction and no exponent */
    double value;     /* finite */
};

/* `reason` when the arena is full: not the text's fault. */
extern const char json_out_of_memory[];

void json_init(struct json_reader *reader, const char *text, size_t length, struct arena *arena);

/* What the value that comes next is. Passes over white space only. */
enum json_kind json_peek(struct json_reader *reader);

/* Step into an object or array; json_peek() has said that it is one. false: too deep. */
bool json_enter(struct json_reader *reader);

/*
 * The next key of the object, or element of the array, that was entered last.
 * `first`: true before the first one; cleared by the call.
 * true: the reader stands at a value, which must be read or skipped.
 * false: the object or array has ended and is left, or an error is set.
 */
bool json_next_key(struct json_reader *reader, bool *first, struct text *ret_key);
bool json_next_element(struct json_reader *reader, bool *first);

/* Read the value that json_peek() has named. */
bool json_string(struct json_reader *reader, struct text *ret_string);
bool json_number(struct json_reader *reader, struct json_number *ret_number);
bool json_literal(struct json_reader *reader, enum json_kind kind); /* true, false, null */

/* Pass over one whole value of any kind, checking it. No recursion. */
bool json_skip(struct json_reader *reader);

/* Nothing but white space is left. */
bool json_end(struct json_reader *reader);

/* A cell from a scalar value. false: an error is set, or the value is an object or array (none
 * set). */
bool json_cell(struct json_reader *reader, enum json_kind kind, struct cell *ret_cell);

/* "REASON: line L column C (char N)", as KServe writes it; counted in characters, from 1 and from
 * 0. */
void json_describe_error(const struct json_reader *reader, char *out, size_t size);

#endif
