/* SPDX-License-Identifier: Apache-2.0 */
/* json_writer.h: JSON into a buffer that is known to be large enough. No allocation, no NUL. */
#ifndef DCNV2_PROTOCOL_JSON_WRITER_H
#define DCNV2_PROTOCOL_JSON_WRITER_H

#include "text.h"

/* Bytes that write_json_string() can take for a text of that length. */
static inline size_t json_string_max(size_t length)
{
    return 2 + 6 * length;
}

/* Each returns the byte behind what it wrote. */
static inline char *write_raw(char *at, const char *nul_terminated)
{
    const size_t length = strlen(nul_terminated);
    memcpy(at, nul_terminated, length);
    return at + length;
}

char *write_unsigned(char *at, unsigned long long value);
/* Quoted and escaped, control characters (text.h) as well; `text` is UTF-8. */
char *write_json_string(char *at, struct text text);

/* {"error": "MESSAGE"} into out: json_string_max(length) + 16 bytes. Returns its length. */
size_t write_json_error(char *out, const char *message);

#endif
