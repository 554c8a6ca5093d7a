/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protobuf.h: the wire format of protocol buffers, read and written without a description of the
 * messages (https://protobuf.dev/programming-guides/encoding). Hostile input.
 *
 * Reading makes no copy and allocates nothing. A message is a run of fields; an embedded one is
 * read by a reader of its own over the bytes of its field:
 *
 *     struct protobuf_reader reader;
 *     struct protobuf_field field;
 *     protobuf_init(&reader, message, error);
 *     while (protobuf_next(&reader, &field))
 *         if (protobuf_is(&field, 3, PROTOBUF_BYTES))
 *             ..
 *     return reader.failed ? -1 : 0;
 *
 * A field of another number or wire type than is asked for is passed over, as every reader of
 * protocol buffers does; groups are passed over with all that they hold.
 */
#ifndef DCNV2_PROTOCOL_PROTOBUF_H
#define DCNV2_PROTOCOL_PROTOBUF_H

#include "arena.h"
#include "frame.h"
#include "text.h"

enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2, /* texts, bytes, embedded messages, packed numbers */
    PROTOBUF_GROUP = 3, /* a whole one, which was passed over */
    PROTOBUF_FIXED32 = 5
};

enum {
    PROTOBUF_VARINT_MAX = 10, /* bytes */
    PROTOBUF_GROUPS_MAX = 100 /* in each other; as many as the reference reads */
};

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    uint64_t value;    /* of PROTOBUF_VARINT, PROTOBUF_FIXED32, PROTOBUF_FIXED64 */
    struct text bytes; /* of PROTOBUF_BYTES */
};

struct protobuf_reader {
    const char *at, *end;
    const char *start; /* of the whole message, from which errors count bytes */
    struct request_error *error;
    bool failed; /* *error is set */
};

void protobuf_init(struct protobuf_reader *reader, struct text message,
                   struct request_error *error);

/* Of the bytes of a field of `outer`. */
static inline struct protobuf_reader protobuf_embedded(const struct protobuf_reader *outer,
                                                       struct text bytes)
{
    return (struct protobuf_reader){.at = bytes.at,
                                    .end = bytes.at + bytes.length,
                                    .start = outer->start,
                                    .error = outer->error};
}

bool protobuf_next_of_any(struct protobuf_reader *reader, struct protobuf_field *ret_field);

/* The next field. false: there is none, or reader->failed. Most are of bytes, with a tag and a
 * length of one byte each. */
static inline bool protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret_field)
{
    const char *at = reader->at;
    const size_t left = (size_t)(reader->end - at);
    if (left < 2)
        return protobuf_next_of_any(reader, ret_field);
    const unsigned tag = (unsigned char)at[0], length = (unsigned char)at[1];
    if ((tag & 0x87) != PROTOBUF_BYTES || tag < 8 || length >= 0x80 || length > left - 2)
        return protobuf_next_of_any(reader, ret_field);
    ret_field->number = tag >> 3;
    ret_field->wire = PROTOBUF_BYTES;
    ret_field->bytes = (struct text){at + 2, length};
    reader->at = at + 2 + length;
    return true;
}

static inline bool protobuf_is(const struct protobuf_field *field, uint32_t number,
                               enum protobuf_wire wire)
{
    return field->number == number && field->wire == wire;
}

/* false, and the reader has failed, with nothing left to read: there the bytes are no message,
 * `what` says why. */
bool protobuf_fail(struct protobuf_reader *reader, const char *at, const char *what);

bool protobuf_long_varint(struct protobuf_reader *reader, uint64_t *ret_value);

/* A number of packed ones, of which there is one. Most take a byte. */
static inline bool protobuf_varint(struct protobuf_reader *reader, uint64_t *ret_value)
{
    if (reader->at < reader->end && (unsigned char)*reader->at < 0x80) {
        *ret_value = (unsigned char)*reader->at++;
        return true;
    }
    return protobuf_long_varint(reader, ret_value);
}

/* The field's bytes as a text, which have to be UTF-8. */
bool protobuf_text(struct protobuf_reader *reader, const struct protobuf_field *field,
                   struct text *ret_text);

/* ---- writing ---- */

/* Fields one after the other, into memory that grows in the arena. */
struct protobuf_writer {
    struct arena *arena;
    char *start;
    size_t length, capacity;
    bool failed; /* out of memory: what is written from then on is lost */
};

/* `size`: what the message will probably take. */
void protobuf_writer_init(struct protobuf_writer *writer, struct arena *arena, size_t size);

/* All that was written; at == NULL: out of memory. */
struct text protobuf_written(const struct protobuf_writer *writer);

/* Each writes a whole field. A number that is 0 and a text that is empty are left out, as
 * proto3 says, but for those of repeated fields, which protobuf_put_bytes() writes. */
void protobuf_put_varint(struct protobuf_writer *writer, uint32_t number, uint64_t value);
void protobuf_put_text(struct protobuf_writer *writer, uint32_t number, struct text text);
void protobuf_put_bytes(struct protobuf_writer *writer, uint32_t number, struct text bytes);

/* An embedded message: what is written between the two belongs to it. */
size_t protobuf_begin(struct protobuf_writer *writer, uint32_t number);
void protobuf_end(struct protobuf_writer *writer, size_t begun);

/* A varint alone, such as one of packed numbers. */
void protobuf_put_packed(struct protobuf_writer *writer, uint64_t value);

#endif
