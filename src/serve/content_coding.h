/* SPDX-License-Identifier: Apache-2.0 */
/* content_coding.h: bodies that come or go packed (RFC 9110 section 8.4). One thread at a time. */
#ifndef DCNV2_SERVE_CONTENT_CODING_H
#define DCNV2_SERVE_CONTENT_CODING_H

#include "body.h"

enum content_coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_UNSUPPORTED };

static inline bool coding_is_packed(enum content_coding coding)
{
    return coding == CODING_GZIP || coding == CODING_DEFLATE;
}

/* How large a body is once it is unpacked, as far as its own bytes tell. */
uint64_t content_bytes(struct text content, enum content_coding coding);

/*
 * Collects in `inflated`, which is empty, what a packed body holds: gzip (RFC 1952, one member or
 * more), or deflate (RFC 1950, or as some clients mean it RFC 1951 alone). -1: 400 it is not one,
 * 413 it is too large, 503 no room.
 */
struct inflater;
struct inflater *inflater_create(void);
void inflater_free(struct inflater *inflater);
int body_inflate(struct text packed, enum content_coding coding, struct body *inflated,
                 struct body_budget *budget, struct inflater *inflater,
                 struct request_error *error);

/* `text` as gzip in `arena`; at == NULL: no memory. */
struct deflater;
struct deflater *deflater_create(void);
void deflater_free(struct deflater *deflater);
struct text deflater_run(struct deflater *deflater, struct arena *arena, struct text text);

#endif
