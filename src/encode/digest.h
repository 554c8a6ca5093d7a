/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.h: the hash functions by which trained models place values in hashed tables.
 *
 * They are the models' choice and no defence: tables of this program use hash.h. All are taken of
 * a prefix and a text as of one run of bytes.
 */
#ifndef DCNV2_ENCODE_DIGEST_H
#define DCNV2_ENCODE_DIGEST_H

#include <stdint.h>

#include "text.h"

/* zlib.crc32(), which binascii.crc32() is as well: the CRC of IEEE 802.3. */
uint32_t digest_crc32(struct text prefix, struct text text);

/* MurmurHash3_x86_32 by A. Appleby, seed 0, as an unsigned number. */
uint32_t digest_murmur3_32(struct text prefix, struct text text);

/* XXH64 by Y. Collet, seed 0. */
uint64_t digest_xxhash64(struct text prefix, struct text text);

#endif
