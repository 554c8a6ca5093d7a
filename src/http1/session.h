/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h: HTTP/1.1 on a connection (RFC 9112): requests from bytes, replies to bytes, one after
 * the other.
 */
#ifndef DCNV2_HTTP1_SESSION_H
#define DCNV2_HTTP1_SESSION_H

#include "net/session.h"

extern const struct session_kind http1_session;

#endif
