/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle_writer.h"

#include "format/little_endian.h"

enum { HEAD_MAX = 9 }; /* an opcode and its longest length or number */

static void flush_frame(struct pickle_writer *writer)
{
    if (writer->n_frame == 0)
        return;
    uint8_t head[HEAD_MAX] = {OP_FRAME};
    put_le64(head + 1, writer->n_frame);
    output_put(&writer->output, head, sizeof head);
    output_put(&writer->output, writer->frame, writer->n_frame);
    writer->n_frame = 0;
}

/* One opcode whole, its head and what follows: no frame may end within it. */
static void put(struct pickle_writer *writer, const void *head, size_t head_size, const void *rest,
                size_t rest_size)
{
    const bool is_framed = writer->protocol >= 4 && head_size <= PICKLE_FRAME_MAX - HEAD_MAX &&
                           rest_size <= PICKLE_FRAME_MAX - HEAD_MAX - head_size;
    if (!is_framed || PICKLE_FRAME_MAX - writer->n_frame < head_size + rest_size)
        flush_frame(writer);
    if (!is_framed) {
        output_put(&writer->output, head, head_size);
        output_put(&writer->output, rest, rest_size);
        return;
    }
    memcpy(writer->frame + writer->n_frame, head, head_size);
    writer->n_frame += head_size;
    if (rest_size)
        memcpy(writer->frame + writer->n_frame, rest, rest_size);
    writer->n_frame += rest_size;
}

void pickle_writer_start(struct pickle_writer *writer, FILE *stream, unsigned protocol)
{
    writer->output = (struct output){.stream = stream};
    writer->protocol = protocol;
    writer->n_frame = 0;
    const uint8_t head[] = {OP_PROTO, (uint8_t)protocol};
    output_put(&writer->output, head, sizeof head); /* stands before the first frame */
}

void pickle_put_opcode(struct pickle_writer *writer, unsigned opcode)
{
    const uint8_t byte = (uint8_t)opcode;
    put(writer, &byte, 1, NULL, 0);
}

void pickle_put_integer(struct pickle_writer *writer, int64_t value)
{
    uint8_t bytes[10], *end;
    if (value >= 0 && value <= UINT8_MAX) {
        bytes[0] = OP_BININT1;
        bytes[1] = (uint8_t)value;
        end = bytes + 2;
    } else if (value >= 0 && value <= UINT16_MAX) {
        bytes[0] = OP_BININT2;
        end = put_le16(bytes + 1, (uint64_t)value);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        bytes[0] = OP_BININT;
        end = put_le32(bytes + 1, (uint64_t)value);
    } else {
        bytes[0] = OP_LONG1;
        bytes[1] = 8;
        end = put_le64(bytes + 2, (uint64_t)value);
    }
    put(writer, bytes, (size_t)(end - bytes), NULL, 0);
}

/* Opcode, length in as few bytes as one of the opcodes has, contents. Opcode 0: there is none. */
static void put_run(struct pickle_writer *writer, const void *bytes, size_t size, unsigned op8,
                    unsigned op32, unsigned op64)
{
    uint8_t head[HEAD_MAX], *end;
    if (op8 && size <= UINT8_MAX) {
        head[0] = (uint8_t)op8;
        head[1] = (uint8_t)size;
        end = head + 2;
    } else if (size <= UINT32_MAX) {
        head[0] = (uint8_t)op32;
        end = put_le32(head + 1, size);
    } else {
        head[0] = (uint8_t)op64;
        end = put_le64(head + 1, size);
    }
    put(writer, head, (size_t)(end - head), bytes, size);
}

void pickle_put_text(struct pickle_writer *writer, struct text text)
{
    put_run(writer, text.at, text.length, writer->protocol >= 4 ? OP_SHORT_BINUNICODE : 0,
            OP_BINUNICODE, OP_BINUNICODE8);
}

void pickle_put_bytes(struct pickle_writer *writer, const void *bytes, size_t size)
{
    put_run(writer, bytes, size, OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8);
}

void pickle_put_name(struct pickle_writer *writer, const char *module, const char *name)
{
    char line[128];
    const int length = snprintf(line, sizeof line, "%c%s\n%s\n", OP_GLOBAL, module, name);
    put(writer, line, (size_t)length, NULL, 0);
}

int pickle_writer_end(struct pickle_writer *writer, struct format_error *error)
{
    pickle_put_opcode(writer, OP_STOP);
    flush_frame(writer);
    return output_flush(&writer->output, error);
}
