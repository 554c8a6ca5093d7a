/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor_content.h: what a client says of a tensor's values, "parameters": {"content_type": ..}, as
 * MLServer's clients name their codecs.
 *
 * "str", "np" and "pd" leave the values as they are. "base64" is of BYTES: each value is base64
 * (RFC 4648 section 4, padded, nothing else between) of a text. Any other one ("datetime") would
 * give the values a meaning that is not known here.
 */
#ifndef DCNV2_PROTOCOL_TENSOR_CONTENT_H
#define DCNV2_PROTOCOL_TENSOR_CONTENT_H

#include "frame.h"
#include "protocol/datatype.h"

enum tensor_content { TENSOR_CONTENT_PLAIN, TENSOR_CONTENT_BASE64, TENSOR_CONTENT_UNKNOWN };

/* "" is none, as to MLServer. */
enum tensor_content tensor_content_find(struct text name);

/*
 * Column `c`, which is full, as its content type means it: texts that were encoded are in the
 * frame's arena. A missing value stays one. -1: *error names the input, and the row or what
 * cannot be; `name` is the content type's, for an unknown one.
 */
int tensor_content_decode(enum tensor_content type, struct text name, enum datatype datatype,
                          struct frame *frame, uint32_t c, struct request_error *error);

#endif
