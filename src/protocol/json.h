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
static inline enum json_kind json_peek(struct json_reader *reader);

/* Step into an object or array; json_peek() has said that it is one. false: too deep. */
static inline bool json_enter(struct json_reader *reader);

/*
 * The next key of the object, or element of the array, that was entered last.
 * `first`: true before the first one; cleared by the call.
 * true: the reader stands at a value, which must be read or skipped.
 * false: the object or array has ended and is left, or an error is set.
 */
static inline bool json_next_key(struct json_reader *reader, bool *first, struct text *ret_key);
static inline bool json_next_element(struct json_reader *reader, bool *first);

/* Read the value that json_peek() has named. */
static inline bool json_string(struct json_reader *reader, struct text *ret_string);
bool json_number(struct json_reader *reader, struct json_number *ret_number);
bool json_literal(struct json_reader *reader, enum json_kind kind); /* true, false, null */

/* Pass over one whole value of any kind, checking it. No recursion. */
bool json_skip(struct json_reader *reader);

/* Nothing but white space is left. */
bool json_end(struct json_reader *reader);

/* A cell from a scalar value. false: an error is set, or the value is an object or array (none
 * set). */
static inline bool json_cell(struct json_reader *reader, enum json_kind kind,
                             struct cell *ret_cell);

/* "REASON: line L column C (char N)", as KServe writes it; counted in characters, from 1 and from
 * 0. */
void json_describe_error(const struct json_reader *reader, char *out, size_t size);

/*
 * ---- for json.c and the inline functions below ----
 *
 * What every request goes through is inline; what is rare, and every error, is behind a call.
 */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

extern const uint8_t json_kind_of_byte[256]; /* by a value's first byte */

/* Keep the first error. They return their failure value, so that a caller can return it. */
bool json_fail(struct json_reader *reader, const char *at, const char *reason);
enum json_kind json_fail_value(struct json_reader *reader);
bool json_fail_member(struct json_reader *reader, char close);
bool json_fail_key(struct json_reader *reader);
bool json_fail_colon(struct json_reader *reader);

/* json_cell() of what is not a string. */
bool json_other_cell(struct json_reader *reader, enum json_kind kind, struct cell *ret_cell);

/* A string with escapes, or with more than ASCII, or with an error in it. */
bool json_string_in_full(struct json_reader *reader, struct text *ret_string);

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline void json_skip_space(struct json_reader *reader)
{
    const char *at = reader->at, *end = reader->end;
    while (at < end && json_is_space(*at)) {
        at++;
        for (uint64_t word; end - at >= 8; at += 8) { /* the indent of a pretty printer */
            memcpy(&word, at, 8);
            if (word != 0x2020202020202020u)
                break;
        }
    }
    reader->at = at;
}

/* Behind the bytes of a string that stand for themselves and need no look: 0x20..0x7F but '"' and
 * '\\'. */
static inline const char *json_skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
        const uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        /* A high bit for each byte that is 0 after the xor, below 0x20, or above 0x7F; the lowest
         * is right, those above it may come from a borrow. */
        const uint64_t found =
            ((quote - ones) | (backslash - ones) | (word - ones * 0x20) | word) & highs;
        if (found)
            return at + __builtin_ctzll(found) / 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

static inline enum json_kind json_peek(struct json_reader *reader)
{
    if (reader->reason)
        return JSON_INVALID;
    json_skip_space(reader);
    if (reader->at < reader->end && json_kind_of_byte[(unsigned char)*reader->at])
        return (enum json_kind)json_kind_of_byte[(unsigned char)*reader->at];
    return json_fail_value(reader);
}

static inline bool json_enter(struct json_reader *reader)
{
    if (reader->reason)
        return false;
    if (reader->depth == JSON_MAX_DEPTH)
        return json_fail(reader, reader->at, "depth limit exceeded");
    reader->depth++;
    reader->at++;
    return true;
}

/* Between two members: true when another follows, with the reader at its first byte. */
static inline bool json_next_member(struct json_reader *reader, bool *first, char close)
{
    if (reader->reason)
        return false;
    json_skip_space(reader);
    if (reader->at == reader->end)
        return json_fail_member(reader, close);
    if (*reader->at == close) {
        reader->at++;
        reader->depth--;
        return false;
    }
    if (*first) {
        *first = false;
        return true;
    }
    if (*reader->at != ',')
        return json_fail_member(reader, close);
    const char *comma = reader->at++;
    json_skip_space(reader);
    if (reader->at < reader->end && *reader->at == close)
        return json_fail(reader, comma, "trailing comma is not allowed");
    return true;
}

static inline bool json_next_element(struct json_reader *reader, bool *first)
{
    return json_next_member(reader, first, ']');
}

static inline bool json_string(struct json_reader *reader, struct text *ret_string)
{
    if (reader->reason)
        return false;
    const char *start = reader->at + 1;
    const char *end = json_skip_plain(start, reader->end);
    if (end == reader->end || *end != '"')
        return json_string_in_full(reader, ret_string);
    *ret_string = (struct text){start, (size_t)(end - start)};
    reader->at = end + 1;
    return true;
}

static inline bool json_cell(struct json_reader *reader, enum json_kind kind, struct cell *ret_cell)
{
    struct text text;
    if (kind != JSON_STRING)
        return json_other_cell(reader, kind, ret_cell);
    if (!json_string(reader, &text))
        return false;
    if (text.length > UINT32_MAX)
        return json_fail(reader, reader->at, "string is too long");
    *ret_cell = (struct cell){.text = text.at, .length = (uint32_t)text.length, .kind = CELL_TEXT};
    return true;
}

/* At the first byte of a key: whether it is one. */
static inline bool json_at_key(struct json_reader *reader)
{
    return (reader->at < reader->end && *reader->at == '"') || json_fail_key(reader);
}

static inline bool json_skip_colon(struct json_reader *reader)
{
    json_skip_space(reader);
    if (reader->at == reader->end || *reader->at != ':')
        return json_fail_colon(reader);
    reader->at++;
    return true;
}

static inline bool json_next_key(struct json_reader *reader, bool *first, struct text *ret_key)
{
    return json_next_member(reader, first, '}') && json_at_key(reader) &&
           json_string(reader, ret_key) && json_skip_colon(reader);
}

#endif
