/* SPDX-License-Identifier: Apache-2.0 */
/* cors.h: whose pages a browser lets read a reply (Fetch standard, CORS), by --cors_origin. */
#ifndef DCNV2_SERVE_CORS_H
#define DCNV2_SERVE_CORS_H

#include "text.h"

/*
 * `allowed`: config->cors_origin. The value of Access-Control-Allow-Origin for a request with that
 * Origin header, which lies in `allowed`; {NULL, 0}: the field is not sent.
 */
struct text cors_find(const char *allowed, struct text origin);

/* Whether replies differ by Origin, which a cache must know (Vary). */
bool cors_depends_on_origin(const char *allowed);

#endif
