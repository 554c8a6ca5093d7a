/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickle_writer.h: opcodes of a Python pickle, protocol 2 or 4: pickle.h the other way.
 *
 * Nothing is remembered: whatever stands twice is written twice (no memo). Protocol 4 puts the
 * opcodes into frames of up to 64 KiB, and longer texts between frames, as Python does.
 */
#ifndef DCNV2_FORMAT_PICKLE_WRITER_H
#define DCNV2_FORMAT_PICKLE_WRITER_H

#include "format/output.h"
#include "format/pickle_opcodes.h"
#include "text.h"

enum { PICKLE_FRAME_MAX = 1 << 16 };

struct pickle_writer {
    struct output output;
    unsigned protocol;
    size_t n_frame;
    uint8_t frame[PICKLE_FRAME_MAX]; /* opcodes that wait until the frame's length is known */
};

void pickle_writer_start(struct pickle_writer *writer, FILE *stream, unsigned protocol);

/* An opcode without argument: OP_MARK, OP_TUPLE, .. */
void pickle_put_opcode(struct pickle_writer *writer, unsigned opcode);

void pickle_put_integer(struct pickle_writer *writer, int64_t value);
void pickle_put_text(struct pickle_writer *writer, struct text text); /* str; UTF-8 */
void pickle_put_bytes(struct pickle_writer *writer, const void *bytes, size_t size); /* not in 2 */

/* A class or function, by module and name without line ends. */
void pickle_put_name(struct pickle_writer *writer, const char *module, const char *name);

/* The end of the pickle. -1: *error; the stream is then half written. */
int pickle_writer_end(struct pickle_writer *writer, struct format_error *error);

#endif
