/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/tensor_content.h"

enum tensor_content tensor_content_find(struct text name)
{
    if (text_is(name, "base64"))
        return TENSOR_CONTENT_BASE64;
    const bool is_known =
        name.length == 0 || text_is(name, "str") || text_is(name, "np") || text_is(name, "pd");
    return is_known ? TENSOR_CONTENT_PLAIN : TENSOR_CONTENT_UNKNOWN;
}

/* ---- base64 ---- */

/* 0 to 63, or -1. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The last group may end with padding, before which no bits are lost. */
static size_t padding_of(const char *group)
{
    if (group[3] != '=')
        return 0;
    if (group[2] == '=')
        return (digit_of(group[1]) & 15) == 0 ? 2 : SIZE_MAX;
    return (digit_of(group[2]) & 3) == 0 ? 1 : SIZE_MAX;
}

/* Three bytes, of which the last `padding` mean nothing. false: not base64. */
static bool decode_group(const char *group, size_t padding, char out[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        const int digit = i + padding < 4 ? digit_of(group[i]) : 0;
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
    }
    out[0] = (char)(bits >> 16);
    out[1] = (char)(bits >> 8);
    out[2] = (char)bits;
    return true;
}

/* `out`: three bytes for each four. Returns the length, or -1: not base64. */
static int64_t decode_base64(struct text text, char *out)
{
    if (text.length % 4 != 0)
        return -1;
    if (text.length == 0)
        return 0;
    const size_t padding = padding_of(text.at + text.length - 4);
    if (padding > 2)
        return -1;
    for (size_t i = 0; i < text.length; i += 4, out += 3)
        if (!decode_group(text.at + i, i + 4 == text.length ? padding : 0, out))
            return -1;
    return (int64_t)(text.length / 4 * 3 - padding);
}

/* ---- a column ---- */

static int wrong_value(struct request_error *error, struct text name, uint32_t row,
                       const char *what)
{
    return request_error_set(error, 400, "Input \"%.*s\", row %u: %s.", TEXT_SHOWN(name), row + 1,
                             what);
}

/* The room that the texts of a column take at most once decoded. */
static size_t decoded_bytes(const struct column *column)
{
    size_t size = 0;
    for (uint32_t row = 0; row < column->n; row++)
        if (column->cells[row].kind == CELL_TEXT)
            size += column->cells[row].length / 4 * 3;
    return size;
}

static int decode_column(struct frame *frame, uint32_t c, struct request_error *error)
{
    const struct column *column = &frame->columns[c];
    const struct text name = frame->schema->names[c];
    char *out = arena_alloc(frame->arena, decoded_bytes(column) + 1);
    if (out == NULL)
        return request_error_out_of_memory(error);
    for (uint32_t row = 0; row < column->n; row++) {
        struct cell *cell = &column->cells[row];
        if (cell->kind == CELL_MISSING)
            continue;
        if (cell->kind != CELL_TEXT)
            return wrong_value(error, name, row, "not a text, which content_type base64 needs");
        const int64_t length = decode_base64((struct text){cell->text, cell->length}, out);
        if (length < 0)
            return wrong_value(error, name, row, "not base64, which its content_type says it is");
        if (text_utf8_valid_length(out, (size_t)length) != (size_t)length)
            return wrong_value(error, name, row, "base64 of bytes that are not UTF-8");
        cell->text = out;
        cell->length = (uint32_t)length;
        out += length;
    }
    return 0;
}

int tensor_content_decode(enum tensor_content type, struct text name, enum datatype datatype,
                          struct frame *frame, uint32_t c, struct request_error *error)
{
    const struct text column = frame->schema->names[c];
    if (type == TENSOR_CONTENT_PLAIN)
        return 0;
    if (type == TENSOR_CONTENT_UNKNOWN)
        return request_error_set(error, 400,
                                 "Input \"%.*s\": unknown content_type \"%.*s\"; known are str, "
                                 "np, pd and base64.",
                                 TEXT_SHOWN(column), TEXT_SHOWN(name));
    if (datatype != DATATYPE_BYTES)
        return request_error_set(error, 400,
                                 "Input \"%.*s\": content_type base64 needs the datatype BYTES.",
                                 TEXT_SHOWN(column));
    return decode_column(frame, c, error);
}
