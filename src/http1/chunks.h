/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunks.h: a body in the chunked transfer coding (RFC 9112 section 7.1), piece by piece as it
 * arrives. Extensions and trailers are passed over, within bounds; trailers must be fields as those
 * of a head are (head.h), extensions without control bytes. No I/O, no allocation.
 */
#ifndef DCNV2_HTTP1_CHUNKS_H
#define DCNV2_HTTP1_CHUNKS_H

#include "frame.h"

enum {
    CHUNK_SIZE_MAX_DIGITS = 15,          /* so that a size never overflows */
    CHUNK_LINE_MAX_BYTES = 16 * 1024,    /* of an extension or a trailer */
    CHUNK_TRAILERS_MAX_BYTES = 64 * 1024 /* of all lines behind the last chunk */
};

enum chunks_result {
    CHUNKS_DATA, /* *ret_data is a piece of the body; there may be more */
    CHUNKS_MORE, /* all bytes are taken, the body has not ended */
    CHUNKS_END,  /* the body has ended; what is left belongs to the next request */
    CHUNKS_MALFORMED
};

/* Zero at the start of a body. */
struct chunks {
    int state;
    unsigned n_digits;     /* of the size that is being read */
    unsigned n_line_bytes; /* of the extension or trailer that is being passed over */
    size_t n_trailer_bytes;
    uint64_t left; /* of the chunk */
};

/* Takes bytes from *at, which moves, up to `end`. CHUNKS_MALFORMED: *error says why. */
enum chunks_result chunks_next(struct chunks *chunks, const char **at, const char *end,
                               struct text *ret_data, struct request_error *error);

#endif
