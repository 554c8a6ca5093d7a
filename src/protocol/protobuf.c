/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/protobuf.h"

enum { END_GROUP = 4, WIRE_BITS = 3 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed numbers are little-endian");

/* ---- reading ---- */

void protobuf_init(struct protobuf_reader *reader, struct text message, struct request_error *error)
{
    const char *start = message.at ? message.at : ""; /* of no bytes */
    *reader = (struct protobuf_reader){
        .at = start, .end = start + message.length, .start = start, .error = error};
}

bool protobuf_fail(struct protobuf_reader *reader, const char *at, const char *what)
{
    reader->failed = true;
    reader->at = reader->end;
    request_error_set(reader->error, 400, "The message is not protobuf: byte %zu: %s.",
                      (size_t)(at - reader->start), what);
    return false;
}

bool protobuf_long_varint(struct protobuf_reader *reader, uint64_t *ret_value)
{
    const char *start = reader->at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 7 * PROTOBUF_VARINT_MAX; shift += 7) {
        if (reader->at == reader->end)
            return protobuf_fail(reader, start, "the bytes end in a varint");
        const unsigned char byte = (unsigned char)*reader->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return shift < 63 || byte <= 1 ||
                   protobuf_fail(reader, start, "a varint of more than 64 bits");
        }
    }
    return protobuf_fail(reader, start, "a varint of more than 10 bytes");
}

static bool read_fixed(struct protobuf_reader *reader, size_t size, uint64_t *ret_value)
{
    if ((size_t)(reader->end - reader->at) < size)
        return protobuf_fail(reader, reader->at, "the bytes end in a number");
    *ret_value = 0;
    memcpy(ret_value, reader->at, size);
    reader->at += size;
    return true;
}

static bool read_bytes(struct protobuf_reader *reader, struct text *ret_bytes)
{
    const char *start = reader->at;
    uint64_t length;
    if (!protobuf_varint(reader, &length))
        return false;
    if (length > (size_t)(reader->end - reader->at))
        return protobuf_fail(reader, start, "a length that leads past the end");
    *ret_bytes = (struct text){reader->at, (size_t)length};
    reader->at += length;
    return true;
}

/* The tag of a field, or of the end of a group. */
static bool read_tag(struct protobuf_reader *reader, uint32_t *ret_number, unsigned *ret_wire)
{
    const char *start = reader->at;
    uint64_t tag;
    if (!protobuf_varint(reader, &tag))
        return false;
    if (tag > UINT32_MAX || tag >> WIRE_BITS == 0)
        return protobuf_fail(reader, start, "a field number outside of 1 to 536870911");
    *ret_number = (uint32_t)(tag >> WIRE_BITS);
    *ret_wire = tag & 7;
    return *ret_wire <= PROTOBUF_FIXED32 ||
           protobuf_fail(reader, start, "a wire type that does not exist");
}

static bool read_scalar(struct protobuf_reader *reader, struct protobuf_field *field)
{
    switch (field->wire) {
    case PROTOBUF_VARINT:
        return protobuf_varint(reader, &field->value);
    case PROTOBUF_FIXED64:
        return read_fixed(reader, sizeof(uint64_t), &field->value);
    case PROTOBUF_FIXED32:
        return read_fixed(reader, sizeof(uint32_t), &field->value);
    default:
        return read_bytes(reader, &field->bytes);
    }
}

/* Behind the start of a group of that number: to behind its end. */
static bool skip_group(struct protobuf_reader *reader, uint32_t number)
{
    uint32_t open[PROTOBUF_GROUPS_MAX] = {number};
    struct protobuf_field field;
    unsigned depth = 1, wire;
    while (depth > 0) {
        const char *start = reader->at;
        if (reader->at == reader->end)
            return protobuf_fail(reader, start, "the bytes end in a group");
        if (!read_tag(reader, &field.number, &wire))
            return false;
        if (wire == END_GROUP) {
            if (open[--depth] != field.number)
                return protobuf_fail(reader, start, "the end of another group");
        } else if (wire == PROTOBUF_GROUP) {
            if (depth == PROTOBUF_GROUPS_MAX)
                return protobuf_fail(reader, start, "more than 100 groups in each other");
            open[depth++] = field.number;
        } else {
            field.wire = (enum protobuf_wire)wire;
            if (!read_scalar(reader, &field))
                return false;
        }
    }
    return true;
}

bool protobuf_next_of_any(struct protobuf_reader *reader, struct protobuf_field *ret_field)
{
    const char *start = reader->at;
    unsigned wire;
    if (reader->failed || start == reader->end || !read_tag(reader, &ret_field->number, &wire))
        return false;
    if (wire == END_GROUP)
        return protobuf_fail(reader, start, "the end of a group that did not begin");
    ret_field->wire = (enum protobuf_wire)wire;
    if (wire == PROTOBUF_GROUP)
        return skip_group(reader, ret_field->number);
    return read_scalar(reader, ret_field);
}

bool protobuf_text(struct protobuf_reader *reader, const struct protobuf_field *field,
                   struct text *ret_text)
{
    *ret_text = field->bytes;
    return text_utf8_valid_length(field->bytes.at, field->bytes.length) == field->bytes.length ||
           protobuf_fail(reader, field->bytes.at, "a text that is not UTF-8");
}

/* ---- writing ---- */

void protobuf_writer_init(struct protobuf_writer *writer, struct arena *arena, size_t size)
{
    *writer = (struct protobuf_writer){.arena = arena, .capacity = size + 1};
    writer->start = arena_alloc(arena, writer->capacity);
    writer->failed = writer->start == NULL;
}

struct text protobuf_written(const struct protobuf_writer *writer)
{
    return (struct text){writer->failed ? NULL : writer->start, writer->length};
}

/* Room for `size` bytes more, which count as written. NULL: out of memory. */
static char *take(struct protobuf_writer *writer, size_t size)
{
    if (writer->failed)
        return NULL;
    if (size > writer->capacity - writer->length) {
        const size_t capacity = 2 * (writer->length + size);
        char *grown = arena_alloc(writer->arena, capacity);
        writer->failed = grown == NULL;
        if (grown == NULL)
            return NULL;
        memcpy(grown, writer->start, writer->length);
        writer->start = grown;
        writer->capacity = capacity;
    }
    char *at = writer->start + writer->length;
    writer->length += size;
    return at;
}

/* Returns how many bytes were written. */
static size_t write_varint(char out[PROTOBUF_VARINT_MAX], uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (char)(value | 0x80);
    out[n++] = (char)value;
    return n;
}

void protobuf_put_packed(struct protobuf_writer *writer, uint64_t value)
{
    char bytes[PROTOBUF_VARINT_MAX];
    const size_t n = write_varint(bytes, value);
    char *at = take(writer, n);
    if (at)
        memcpy(at, bytes, n);
}

static void put_tag(struct protobuf_writer *writer, uint32_t number, enum protobuf_wire wire)
{
    protobuf_put_packed(writer, (uint64_t)number << WIRE_BITS | wire);
}

void protobuf_put_varint(struct protobuf_writer *writer, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(writer, number, PROTOBUF_VARINT);
    protobuf_put_packed(writer, value);
}

void protobuf_put_bytes(struct protobuf_writer *writer, uint32_t number, struct text bytes)
{
    put_tag(writer, number, PROTOBUF_BYTES);
    protobuf_put_packed(writer, bytes.length);
    char *at = take(writer, bytes.length);
    if (at && bytes.length)
        memcpy(at, bytes.at, bytes.length);
}

void protobuf_put_text(struct protobuf_writer *writer, uint32_t number, struct text text)
{
    if (text.length)
        protobuf_put_bytes(writer, number, text);
}

/* The length stands before the message: one byte is left for it, which is enough for most. */
size_t protobuf_begin(struct protobuf_writer *writer, uint32_t number)
{
    put_tag(writer, number, PROTOBUF_BYTES);
    take(writer, 1);
    return writer->length;
}

void protobuf_end(struct protobuf_writer *writer, size_t begun)
{
    char bytes[PROTOBUF_VARINT_MAX];
    const size_t length = writer->length - begun, n = write_varint(bytes, length);
    if (take(writer, n - 1) == NULL)
        return;
    char *message = writer->start + begun;
    if (n > 1)
        memmove(message + n - 1, message, length);
    memcpy(message - 1, bytes, n);
}
