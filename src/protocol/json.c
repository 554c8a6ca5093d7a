/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

#include "number.h"

static const char expected_value[] = "unexpected character, expected a JSON value";
const char json_out_of_memory[] = "out of memory";
static const char end_of_data[] = "unexpected end of data";

bool json_fail(struct json_reader *r, const char *at, const char *reason)
{
    if (r->reason == NULL) {
        r->reason = reason;
        r->error_at = at;
    }
    return false;
}

/* At a byte that is not the one expected, or behind the last one. */
static bool fail_here(struct json_reader *r, const char *reason)
{
    return json_fail(r, r->at, r->at == r->end ? end_of_data : reason);
}

/* Whether the word stands at `at`, in any case. */
static bool has_word(const char *at, const char *end, const char *word)
{
    const size_t length = strlen(word);
    return (size_t)(end - at) >= length && strncasecmp(at, word, length) == 0 &&
           (at + length == end || !isalnum((unsigned char)at[length]));
}

/* A word that many writers put where a double is no JSON number: why it is refused; or NULL. */
static const char *not_finite(const char *at, const char *end)
{
    if (has_word(at, end, "nan"))
        return "NaN is not JSON; send null for a missing value";
    if (has_word(at, end, "infinity") || has_word(at, end, "inf"))
        return "Infinity is not JSON; a number must be finite";
    return NULL;
}

/* No value begins where the reader stands. */
static const char *no_value(const struct json_reader *r)
{
    const char *reason = not_finite(r->at, r->end);
    return reason ? reason : expected_value;
}

enum json_kind json_fail_value(struct json_reader *r)
{
    fail_here(r, no_value(r));
    return JSON_INVALID;
}

bool json_fail_member(struct json_reader *r, char close)
{
    return fail_here(r, close == '}' ? "unexpected character, expected ',' or '}'"
                                     : "unexpected character, expected ',' or ']'");
}

bool json_fail_key(struct json_reader *r)
{
    return fail_here(r, "unexpected character, expected a string key");
}

bool json_fail_colon(struct json_reader *r)
{
    return fail_here(r, "unexpected character, expected ':' after key");
}

void json_init(struct json_reader *reader, const char *text, size_t length, struct arena *arena)
{
    *reader = (struct json_reader){.start = text, .at = text, .end = text + length, .arena = arena};
    if (length == 0)
        json_fail(reader, text, "input is a zero-length, empty document");
    else if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        json_fail(reader, text, "UTF-8 byte order mark (BOM) is not supported");
}

const uint8_t json_kind_of_byte[256] = {
    ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY,  ['"'] = JSON_STRING, ['t'] = JSON_TRUE,
    ['f'] = JSON_FALSE,  ['n'] = JSON_NULL,   ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER,
    ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER, ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER,
    ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER, ['8'] = JSON_NUMBER,
    ['9'] = JSON_NUMBER};

/* ---- strings ---- */

/* The value of four hexadecimal digits, or -1. */
static int hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = text_hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* r->at is behind "\u". Reads the digits, and a second escape where the first is half a pair. */
static bool unicode_escape(struct json_reader *r, uint32_t *ret_code_point)
{
    const char *escape = r->at - 2;
    const int first = hex4(r->at, r->end);
    if (first < 0)
        return json_fail(r, escape, "invalid escape: \\u takes four hexadecimal digits");
    r->at += 4;
    if (first < 0xD800 || first > 0xDFFF) {
        *ret_code_point = (uint32_t)first;
        return true;
    }
    if (first <= 0xDBFF && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        const int second = hex4(r->at + 2, r->end);
        if (second >= 0xDC00 && second <= 0xDFFF) {
            r->at += 6;
            *ret_code_point =
                0x10000 + ((uint32_t)(first - 0xD800) << 10 | (uint32_t)(second - 0xDC00));
            return true;
        }
    }
    return json_fail(r, escape, "invalid escape: a surrogate without its other half");
}

/* r->at is behind the backslash. *out: NULL only to check. */
static bool escape(struct json_reader *r, char **out)
{
    if (r->at == r->end)
        return json_fail(r, r->at, end_of_data);
    uint32_t c;
    switch (*r->at++) {
    case '"':
        c = '"';
        break;
    case '\\':
        c = '\\';
        break;
    case '/':
        c = '/';
        break;
    case 'b':
        c = '\b';
        break;
    case 'f':
        c = '\f';
        break;
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case 't':
        c = '\t';
        break;
    case 'u':
        if (!unicode_escape(r, &c))
            return false;
        break;
    default:
        return json_fail(r, r->at - 2, "invalid escape");
    }
    if (*out)
        *out = text_put_utf8(*out, c);
    return true;
}

/* Reads to the closing quote, checking; copies to *out where that is not NULL. */
static bool string_body(struct json_reader *r, char **out)
{
    for (;;) {
        const char *run = r->at;
        r->at = json_skip_plain(r->at, r->end);
        while (r->at < r->end && (unsigned char)*r->at >= 0x80) {
            const char *high = r->at;
            while (r->at < r->end && (unsigned char)*r->at >= 0x80)
                r->at++;
            const size_t length = (size_t)(r->at - high);
            const size_t valid = text_utf8_valid_length(high, length);
            if (valid != length)
                return json_fail(r, high + valid, "str is not valid UTF-8");
            r->at = json_skip_plain(r->at, r->end);
        }
        if (*out && r->at > run) {
            memcpy(*out, run, (size_t)(r->at - run));
            *out += r->at - run;
        }
        if (r->at == r->end)
            return json_fail(r, r->at, end_of_data);
        if (*r->at == '"') {
            r->at++;
            return true;
        }
        if (*r->at != '\\')
            return json_fail(r, r->at, "control character in a string must be escaped");
        r->at++;
        if (!escape(r, out))
            return false;
    }
}

bool json_string_in_full(struct json_reader *r, struct text *ret_string)
{
    /* Find the end first: it bounds the copy. */
    const char *start = ++r->at;
    char *nowhere = NULL;
    if (!string_body(r, &nowhere))
        return false;
    const size_t length = (size_t)(r->at - 1 - start);
    if (memchr(start, '\\', length) == NULL) {
        *ret_string = (struct text){start, length};
        return true;
    }
    char *copy = arena_alloc(r->arena, length);
    if (copy == NULL)
        return json_fail(r, start, json_out_of_memory);
    char *out = copy;
    r->at = start;
    if (!string_body(r, &out))
        return false;
    *ret_string = (struct text){copy, (size_t)(out - copy)};
    return true;
}

/* ---- numbers and literals ---- */

/* One digit or more; *ret_value is right where they are INTEGER_DIGITS at most. */
static bool digits(struct json_reader *r, uint64_t *ret_value)
{
    const char *at = r->at, *end = r->end;
    uint64_t value = 0;
    while (at < end && *at >= '0' && *at <= '9')
        value = 10 * value + (uint64_t)(*at++ - '0');
    const bool none = at == r->at;
    r->at = at;
    *ret_value = value;
    return !none || fail_here(r, "invalid number");
}

bool json_number(struct json_reader *r, struct json_number *ret_number)
{
    enum { INTEGER_DIGITS = 18 }; /* below 2^63 */
    if (r->reason)
        return false;
    const char *start = r->at;
    uint64_t integer, unused;
    bool is_integer = true;
    if (*r->at == '-')
        r->at++;
    const char *first = r->at;
    const char *reason = first > start ? not_finite(first, r->end) : NULL;
    if (reason)
        return json_fail(r, start, reason);
    if (!digits(r, &integer))
        return false;
    if (*first == '0' && r->at - first > 1)
        return json_fail(r, first, "number with leading zero is not allowed");
    if (r->at < r->end && *r->at == '.') {
        is_integer = false;
        r->at++;
        if (!digits(r, &unused))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        is_integer = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!digits(r, &unused))
            return false;
    }
    struct text text = {start, (size_t)(r->at - start)};
    double value;
    if (is_integer && r->at - first <= INTEGER_DIGITS)
        value = first > start ? -(double)integer : (double)integer;
    else
        value = number_parse(text.at, text.length);
    if (!isfinite(value))
        return json_fail(r, start, "number is out of the range of a double");
    if (is_integer && text_is(text, "-0"))
        text = (struct text){start + 1, 1};
    *ret_number = (struct json_number){text, is_integer, value};
    return true;
}

bool json_literal(struct json_reader *r, enum json_kind kind)
{
    if (r->reason)
        return false;
    const struct text word = text_of(kind == JSON_TRUE    ? "true"
                                     : kind == JSON_FALSE ? "false"
                                                          : "null");
    for (size_t i = 0; i < word.length; i++) {
        if (r->at + i == r->end)
            return json_fail(r, r->end, end_of_data);
        if (r->at[i] != word.at[i])
            return json_fail(r, r->at, no_value(r));
    }
    r->at += word.length;
    return true;
}

/* ---- whole values ---- */

static bool skip_scalar(struct json_reader *r, enum json_kind kind)
{
    struct json_number number;
    char *nowhere = NULL;
    switch (kind) {
    case JSON_STRING:
        r->at++;
        return string_body(r, &nowhere);
    case JSON_NUMBER:
        return json_number(r, &number);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return json_literal(r, kind);
    default:
        return false;
    }
}

bool json_skip(struct json_reader *r)
{
    /* One bit a level that was entered here: set for an object. */
    uint64_t is_object[JSON_MAX_DEPTH / 64];
    unsigned level = 0;
    bool first = false;
    do {
        const enum json_kind kind = json_peek(r);
        if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
            if (!json_enter(r))
                return false;
            const uint64_t bit = UINT64_C(1) << (level % 64);
            if (kind == JSON_OBJECT)
                is_object[level / 64] |= bit;
            else
                is_object[level / 64] &= ~bit;
            level++;
            first = true;
        } else if (!skip_scalar(r, kind)) {
            return false;
        }
        /* Step to the next value, out of every container that ends here. */
        while (level > 0) {
            const bool object = is_object[(level - 1) / 64] >> ((level - 1) % 64) & 1;
            if (json_next_member(r, &first, object ? '}' : ']')) {
                if (object &&
                    !(json_at_key(r) && skip_scalar(r, JSON_STRING) && json_skip_colon(r)))
                    return false;
                break;
            }
            if (r->reason)
                return false;
            level--;
            first = false;
        }
    } while (level > 0);
    return r->reason == NULL;
}

bool json_end(struct json_reader *r)
{
    if (r->reason)
        return false;
    json_skip_space(r);
    if (r->at != r->end)
        return json_fail(r, r->at, "unexpected content after document");
    return true;
}

bool json_other_cell(struct json_reader *r, enum json_kind kind, struct cell *ret_cell)
{
    struct json_number number;
    switch (kind) {
    case JSON_NUMBER:
        if (!json_number(r, &number))
            return false;
        if (number.is_integer)
            *ret_cell = (struct cell){.text = number.text.at,
                                      .length = (uint32_t)number.text.length,
                                      .kind = CELL_INTEGER};
        else
            *ret_cell = (struct cell){.number = number.value, .kind = CELL_FLOAT};
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret_cell = (struct cell){.boolean = kind == JSON_TRUE, .kind = CELL_BOOL};
        return json_literal(r, kind);
    case JSON_NULL:
        *ret_cell = (struct cell){.kind = CELL_MISSING};
        return json_literal(r, kind);
    default:
        return false;
    }
}

void json_describe_error(const struct json_reader *r, char *out, size_t size)
{
    size_t line = 1, column = 1, character = 0;
    for (const char *at = r->start; at < r->error_at; at++) {
        if (((unsigned char)*at & 0xC0) == 0x80)
            continue; /* not the first byte of a character */
        character++;
        column++;
        if (*at == '\n') {
            line++;
            column = 1;
        }
    }
    snprintf(out, size, "%s: line %zu column %zu (char %zu)", r->reason, line, column, character);
}
