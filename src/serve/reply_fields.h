/* SPDX-License-Identifier: Apache-2.0 */
/* reply_fields.h: the header fields of a reply (RFC 9110), but for those of a version of HTTP. */
#ifndef DCNV2_SERVE_REPLY_FIELDS_H
#define DCNV2_SERVE_REPLY_FIELDS_H

#include "serve/request.h"

struct reply_field {
    struct text name, value;
};

enum { REPLY_FIELDS_MAX = 16 };

/* `n` is 0 at first. Names and values are static, of the thread, of the configuration, or in
 * `digits`: they last until the thread's next reply, and as long as the struct stays where it is.
 */
struct reply_fields {
    unsigned n;
    struct reply_field at[REPLY_FIELDS_MAX];
    char digits[2][24];
};

/* request->reply is as it will be sent; `packed`: by reply_compress(). */
void reply_fields(struct reply_fields *fields, struct request *request, bool packed);

#endif
