/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/datatype.h"

#include <inttypes.h>

#include "half.h"
#include "protocol/json_writer.h"

enum {
    FP16_BITS = 11, /* of the significand */
    FP32_BITS = 24
};

static const struct {
    struct text name;
    unsigned size; /* bytes an element; 0: it says itself */
} datatypes[] = {[DATATYPE_BOOL] = {{"BOOL", 4}, 1},     [DATATYPE_INT8] = {{"INT8", 4}, 1},
                 [DATATYPE_INT16] = {{"INT16", 5}, 2},   [DATATYPE_INT32] = {{"INT32", 5}, 4},
                 [DATATYPE_INT64] = {{"INT64", 5}, 8},   [DATATYPE_UINT8] = {{"UINT8", 5}, 1},
                 [DATATYPE_UINT16] = {{"UINT16", 6}, 2}, [DATATYPE_UINT32] = {{"UINT32", 6}, 4},
                 [DATATYPE_UINT64] = {{"UINT64", 6}, 8}, [DATATYPE_FP16] = {{"FP16", 4}, 2},
                 [DATATYPE_FP32] = {{"FP32", 4}, 4},     [DATATYPE_FP64] = {{"FP64", 4}, 8},
                 [DATATYPE_BYTES] = {{"BYTES", 5}, 0}};

enum datatype datatype_find(struct text name)
{
    for (int i = DATATYPE_UNKNOWN; i-- > 0;) /* BYTES, the most frequent one, is the last */
        if (text_equal(name, datatypes[i].name))
            return (enum datatype)i;
    return DATATYPE_UNKNOWN;
}

const char *datatype_name(enum datatype datatype)
{
    return datatypes[datatype].name.at;
}

static char *write_signed(char *at, int64_t value)
{
    if (value >= 0)
        return write_unsigned(at, (uint64_t)value);
    *at++ = '-';
    return write_unsigned(at, 0 - (uint64_t)value);
}

struct cell datatype_cell(enum datatype datatype, uint64_t bits, char *digits)
{
    const unsigned unused = 64 - 8 * datatypes[datatype].size;
    struct cell cell = {.kind = CELL_INTEGER, .text = digits};
    float single;
    double number;
    switch (datatype) {
    case DATATYPE_BOOL:
        return (struct cell){.boolean = bits != 0, .kind = CELL_BOOL};
    case DATATYPE_FP16:
        return (struct cell){.number = (double)half_to_float((uint16_t)bits),
                             .length = FP16_BITS,
                             .kind = CELL_FLOAT};
    case DATATYPE_FP32:
        memcpy(&single, &bits, sizeof single);
        return (struct cell){.number = (double)single, .length = FP32_BITS, .kind = CELL_FLOAT};
    case DATATYPE_FP64:
        memcpy(&number, &bits, sizeof number);
        return (struct cell){.number = number, .kind = CELL_FLOAT};
    case DATATYPE_INT8:
    case DATATYPE_INT16:
    case DATATYPE_INT32:
    case DATATYPE_INT64:
        cell.length =
            (uint32_t)(write_signed(digits, (int64_t)(bits << unused) >> unused) - digits);
        return cell;
    default:
        cell.length = (uint32_t)(write_unsigned(digits, bits << unused >> unused) - digits);
        return cell;
    }
}

static int read_numbers(enum datatype datatype, struct text data, uint64_t n, struct frame *frame,
                        uint32_t c, struct request_error *error)
{
    const unsigned size = datatypes[datatype].size;
    const struct text name = frame->schema->names[c];
    if (n > UINT32_MAX || data.length != n * size)
        return request_error_set(
            error, 400, "Input \"%.*s\": %zu bytes of binary data for %" PRIu64 " values of %s.",
            TEXT_SHOWN(name), data.length, n, datatypes[datatype].name.at);
    if (n > frame->max_rows)
        n = (uint64_t)frame->max_rows + 1; /* frame_append() refuses the last one */
    const size_t step = datatype_is_integer(datatype) ? DATATYPE_DIGITS_MAX : 0;
    char *digits = arena_alloc(frame->arena, n * step);
    if (digits == NULL)
        return request_error_out_of_memory(error);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        memcpy(&bits, data.at + i * size, size);
        if (frame_append(frame, c, datatype_cell(datatype, bits, digits + i * step), error) != 0)
            return -1;
    }
    return 0;
}

int datatype_append_text(struct text value, uint64_t i, struct frame *frame, uint32_t c,
                         struct request_error *error)
{
    const struct cell cell = {
        .text = value.at, .length = (uint32_t)value.length, .kind = CELL_TEXT};
    if (text_utf8_valid_length(value.at, value.length) != value.length)
        return request_error_set(error, 400, "Input \"%.*s\": value %" PRIu64 " is not UTF-8.",
                                 TEXT_SHOWN(frame->schema->names[c]), i);
    return frame_append(frame, c, cell, error);
}

static int read_bytes(struct text data, uint64_t n, struct frame *frame, uint32_t c,
                      struct request_error *error)
{
    const struct text name = frame->schema->names[c];
    const char *at = data.at, *end = data.at + data.length;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t length;
        if ((size_t)(end - at) < sizeof length)
            return request_error_set(error, 400,
                                     "Input \"%.*s\": binary data ends before value %" PRIu64
                                     " of %" PRIu64 ".",
                                     TEXT_SHOWN(name), i + 1, n);
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        if ((size_t)(end - at) < length)
            return request_error_set(error, 400,
                                     "Input \"%.*s\": value %" PRIu64
                                     " is %u bytes long; %zu bytes of binary data are left.",
                                     TEXT_SHOWN(name), i + 1, length, (size_t)(end - at));
        if (datatype_append_text((struct text){at, length}, i + 1, frame, c, error) != 0)
            return -1;
        at += length;
    }
    if (at != end)
        return request_error_set(
            error, 400,
            "Input \"%.*s\": %zu bytes of binary data are left over after %" PRIu64 " values.",
            TEXT_SHOWN(name), (size_t)(end - at), n);
    return 0;
}

int datatype_read_binary(enum datatype datatype, struct text data, uint64_t n, struct frame *frame,
                         uint32_t c, struct request_error *error)
{
    if (datatype == DATATYPE_BYTES)
        return read_bytes(data, n, frame, c, error);
    return read_numbers(datatype, data, n, frame, c, error);
}

/* The magnitude of the largest integer of a datatype, and of the least. */
struct range {
    uint64_t max, min;
    uint32_t sure_length; /* of texts, with their sign, that lie within */
};

static struct range range_of(enum datatype datatype)
{
    const unsigned bits = 8 * datatypes[datatype].size;
    const bool is_signed = datatype <= DATATYPE_INT64;
    struct range range = {.max = UINT64_MAX >> (64 - bits) >> is_signed};
    range.min = is_signed ? range.max + 1 : 0;
    for (uint64_t left = range.max; left >= 10; left /= 10)
        range.sure_length++;
    return range;
}

/* A text that JSON's grammar has for an integer. */
static bool is_in_range(const struct cell *cell, const struct range *range)
{
    const bool is_negative = *cell->text == '-';
    uint64_t magnitude = 0;
    if (cell->length <= range->sure_length && (!is_negative || range->min > 0))
        return true;
    for (uint32_t i = is_negative; i < cell->length; i++)
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(cell->text[i] - '0'), &magnitude))
            return false;
    return magnitude <= (is_negative ? range->min : range->max);
}

static int check_integers(enum datatype datatype, const struct frame *frame, uint32_t c,
                          struct request_error *error)
{
    const struct column *column = &frame->columns[c];
    const struct range range = range_of(datatype);
    for (uint32_t row = 0; row < column->n; row++) {
        const struct cell *cell = &column->cells[row];
        if (cell->kind != CELL_INTEGER || is_in_range(cell, &range))
            continue;
        const struct text value = {cell->text, cell->length};
        return request_error_set(
            error, 400,
            "Input \"%.*s\", row %u: %.*s is outside the range of %s, %s%" PRIu64 " to %" PRIu64
            ".",
            TEXT_SHOWN(frame->schema->names[c]), row + 1, TEXT_SHOWN(value),
            datatypes[datatype].name.at, range.min > 0 ? "-" : "", range.min, range.max);
    }
    return 0;
}

int datatype_check(enum datatype datatype, struct frame *frame, uint32_t c,
                   struct request_error *error)
{
    const struct column *column = &frame->columns[c];
    if (datatype_is_integer(datatype) && column->kinds >> CELL_INTEGER & 1)
        return check_integers(datatype, frame, c, error);
    if (datatype == DATATYPE_FP32 && column->kinds >> CELL_FLOAT & 1 && c < frame->schema->n_sparse)
        for (uint32_t row = 0; row < column->n; row++)
            if (column->cells[row].kind == CELL_FLOAT)
                column->cells[row].length = FP32_BITS;
    return 0;
}
