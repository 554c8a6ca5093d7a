/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/json.h"

#include <math.h>
#include <stdio.h>

#include "number.h"

static const char expected_value[] = "unexpected character, expected a JSON value";
const char json_out_of_memory[] = "out of memory";
static const char end_of_data[] = "unexpected end of data";

/* Keeps the first error. Returns false, so that a caller can return it. */
static bool fail(struct json_reader *r, const char *at, const char *reason)
{
    if (r->reason == NULL) {
        r->reason = reason;
        r->error_at = at;
    }
    return false;
}

void json_init(struct json_reader *reader, const char *text, size_t length, struct arena *arena)
{
    *reader = (struct json_reader){.start = text, .at = text, .end = text + length, .arena = arena};
    if (length == 0)
        fail(reader, text, "input is a zero-length, empty document");
    else if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        fail(reader, text, "UTF-8 byte order mark (BOM) is not supported");
}

static void skip_space(struct json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

enum json_kind json_peek(struct json_reader *r)
{
    if (r->reason)
        return JSON_INVALID;
    skip_space(r);
    if (r->at == r->end) {
        fail(r, r->at, end_of_data);
        return JSON_INVALID;
    }
    switch (*r->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
            return JSON_NUMBER;
        fail(r, r->at, expected_value);
        return JSON_INVALID;
    }
}

bool json_enter(struct json_reader *r)
{
    if (r->reason)
        return false;
    if (r->depth == JSON_MAX_DEPTH)
        return fail(r, r->at, "depth limit exceeded");
    r->depth++;
    r->at++;
    return true;
}

/* Between two members: true when another follows, with the reader at its first byte. */
static bool next_member(struct json_reader *r, bool *first, char close)
{
    if (r->reason)
        return false;
    skip_space(r);
    if (r->at == r->end)
        return fail(r, r->at, end_of_data);
    if (*r->at == close) {
        r->at++;
        r->depth--;
        return false;
    }
    if (*first) {
        *first = false;
        return true;
    }
    if (*r->at != ',')
        return fail(r, r->at,
                    close == '}' ? "unexpected character, expected ',' or '}'"
                                 : "unexpected character, expected ',' or ']'");
    const char *comma = r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == close)
        return fail(r, comma, "trailing comma is not allowed");
    return true;
}

bool json_next_element(struct json_reader *r, bool *first)
{
    return next_member(r, first, ']');
}

static bool skip_colon(struct json_reader *r)
{
    skip_space(r);
    if (r->at == r->end)
        return fail(r, r->at, end_of_data);
    if (*r->at != ':')
        return fail(r, r->at, "unexpected character, expected ':' after key");
    r->at++;
    return true;
}

/* At the first byte of a key: whether it is one. */
static bool at_key(struct json_reader *r)
{
    if (r->at == r->end)
        return fail(r, r->at, end_of_data);
    if (*r->at != '"')
        return fail(r, r->at, "unexpected character, expected a string key");
    return true;
}

bool json_next_key(struct json_reader *r, bool *first, struct text *ret_key)
{
    return next_member(r, first, '}') && at_key(r) && json_string(r, ret_key) && skip_colon(r);
}

/* ---- strings ---- */

/* The value of four hexadecimal digits, or -1. */
static int hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        int digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        else
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
        return fail(r, escape, "invalid escape: \\u takes four hexadecimal digits");
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
    return fail(r, escape, "invalid escape: a surrogate without its other half");
}

/* r->at is behind the backslash. *out: NULL only to check. */
static bool escape(struct json_reader *r, char **out)
{
    if (r->at == r->end)
        return fail(r, r->at, end_of_data);
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
        return fail(r, r->at - 2, "invalid escape");
    }
    if (*out)
        *out = text_put_utf8(*out, c);
    return true;
}

/* Bytes of a string that stand for themselves and need no look: 0x20..0x7F but '"' and '\\'. */
static const char *skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
        const uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        /* a high bit for each byte that is 0 after the xor, below 0x20, or above 0x7F */
        const uint64_t found = ((quote - ones) | (backslash - ones) | (word - ones * 0x20) | word);
        if (found & highs)
            break;
        at += 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

/* Reads to the closing quote, checking; copies to *out where that is not NULL. */
static bool string_body(struct json_reader *r, char **out)
{
    for (;;) {
        const char *run = r->at;
        r->at = skip_plain(r->at, r->end);
        while (r->at < r->end && (unsigned char)*r->at >= 0x80) {
            const char *high = r->at;
            while (r->at < r->end && (unsigned char)*r->at >= 0x80)
                r->at++;
            const size_t length = (size_t)(r->at - high);
            const size_t valid = text_utf8_valid_length(high, length);
            if (valid != length)
                return fail(r, high + valid, "str is not valid UTF-8");
            r->at = skip_plain(r->at, r->end);
        }
        if (*out && r->at > run) {
            memcpy(*out, run, (size_t)(r->at - run));
            *out += r->at - run;
        }
        if (r->at == r->end)
            return fail(r, r->at, end_of_data);
        if (*r->at == '"') {
            r->at++;
            return true;
        }
        if (*r->at != '\\')
            return fail(r, r->at, "control character in a string must be escaped");
        r->at++;
        if (!escape(r, out))
            return false;
    }
}

bool json_string(struct json_reader *r, struct text *ret_string)
{
    if (r->reason)
        return false;
    const char *start = ++r->at;
    r->at = skip_plain(r->at, r->end);
    if (r->at < r->end && *r->at == '"') {
        *ret_string = (struct text){start, (size_t)(r->at - start)};
        r->at++;
        return true;
    }
    /* Find the end first: it bounds the copy. */
    char *nowhere = NULL;
    r->at = start;
    if (!string_body(r, &nowhere))
        return false;
    const size_t length = (size_t)(r->at - 1 - start);
    if (memchr(start, '\\', length) == NULL) {
        *ret_string = (struct text){start, length};
        return true;
    }
    char *copy = arena_alloc(r->arena, length);
    if (copy == NULL)
        return fail(r, start, json_out_of_memory);
    char *out = copy;
    r->at = start;
    if (!string_body(r, &out))
        return false;
    *ret_string = (struct text){copy, (size_t)(out - copy)};
    return true;
}

/* ---- numbers and literals ---- */

static bool is_digit_at(const struct json_reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool digits(struct json_reader *r)
{
    if (!is_digit_at(r))
        return fail(r, r->at, r->at == r->end ? end_of_data : "invalid number");
    while (is_digit_at(r))
        r->at++;
    return true;
}

bool json_number(struct json_reader *r, struct json_number *ret_number)
{
    if (r->reason)
        return false;
    const char *start = r->at;
    bool is_integer = true;
    if (*r->at == '-')
        r->at++;
    const char *first = r->at;
    if (!digits(r))
        return false;
    if (*first == '0' && r->at - first > 1)
        return fail(r, first, "number with leading zero is not allowed");
    if (r->at < r->end && *r->at == '.') {
        is_integer = false;
        r->at++;
        if (!digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        is_integer = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!digits(r))
            return false;
    }
    struct text text = {start, (size_t)(r->at - start)};
    const double value = number_parse(text.at, text.length);
    if (!isfinite(value))
        return fail(r, start, "number is out of the range of a double");
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
            return fail(r, r->end, end_of_data);
        if (r->at[i] != word.at[i])
            return fail(r, r->at, expected_value);
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
            if (next_member(r, &first, object ? '}' : ']')) {
                char *nowhere = NULL;
                if (object && !(at_key(r) && (r->at++, string_body(r, &nowhere)) && skip_colon(r)))
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
    skip_space(r);
    if (r->at != r->end)
        return fail(r, r->at, "unexpected content after document");
    return true;
}

bool json_cell(struct json_reader *r, enum json_kind kind, struct cell *ret_cell)
{
    struct text text;
    struct json_number number;
    switch (kind) {
    case JSON_STRING:
        if (!json_string(r, &text))
            return false;
        if (text.length > UINT32_MAX)
            return fail(r, r->at, "string is too long");
        *ret_cell =
            (struct cell){.text = text.at, .length = (uint32_t)text.length, .kind = CELL_TEXT};
        return true;
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
