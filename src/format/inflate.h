/* SPDX-License-Identifier: Apache-2.0 */
/* inflate.h: files that are compressed as a whole, as joblib.dump(.., compress=..) writes them. */
#ifndef DCNV2_FORMAT_INFLATE_H
#define DCNV2_FORMAT_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"

/* "zlib", "gzip", "bz2", ..: how the bytes are compressed; NULL: they are not. */
const char *compression_name(const uint8_t *bytes, size_t size);

/*
 * Contents of zlib or gzip, in the arena. -1: *error: damaged, cut, followed by something, of
 * another compression, or INFLATE_MOST_BYTES + INFLATE_MOST_RATIO times as large and more.
 */
int inflate_whole(struct arena *arena, const uint8_t *bytes, size_t size, const uint8_t **ret_bytes,
                  size_t *ret_size, struct format_error *error);

enum { INFLATE_MOST_BYTES = 8 << 20, INFLATE_MOST_RATIO = 16 };

#endif
