/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256.h: FIPS 180-4's SHA-256, by which a converted model names the files it was made from, and
 * a server those that it serves. Digests are lower-case hexadecimal digits, NUL-terminated, as
 * sha256sum prints them.
 */
#ifndef DCNV2_FORMAT_SHA256_H
#define DCNV2_FORMAT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_DIGITS = 64, SHA256_BLOCK_BYTES = 64, SHA256_WORDS = 8 };

void sha256_print(const void *bytes, size_t size, char out[SHA256_DIGITS + 1]);

/* The same for bytes in pieces, of which all but the last are whole blocks. */
struct sha256 {
    uint32_t words[SHA256_WORDS];
    uint64_t n_bytes;
};

void sha256_start(struct sha256 *sha256);
void sha256_add_blocks(struct sha256 *sha256, const void *bytes, size_t size);
void sha256_end(struct sha256 *sha256, const void *bytes, size_t size, char out[SHA256_DIGITS + 1]);

#endif
