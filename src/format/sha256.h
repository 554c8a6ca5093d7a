/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.h: FIPS 180-4's SHA-256, by which a converted model names the files it was made from. */
#ifndef DCNV2_FORMAT_SHA256_H
#define DCNV2_FORMAT_SHA256_H

#include <stddef.h>

enum { SHA256_DIGITS = 64 };

/* Lower-case hexadecimal digits, NUL-terminated, as sha256sum prints them. */
void sha256_print(const void *bytes, size_t size, char out[SHA256_DIGITS + 1]);

#endif
