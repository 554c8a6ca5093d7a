/* SPDX-License-Identifier: Apache-2.0 */
/* request_json.h: what v1 and v2 share: JSON of a request to cells, and its mistakes to messages.
 */
#ifndef DCNV2_PROTOCOL_REQUEST_JSON_H
#define DCNV2_PROTOCOL_REQUEST_JSON_H

#include "frame.h"
#include "protocol/json.h"

/* "a list", "a string", .. */
const char *request_json_kind_name(enum json_kind kind);

/* Returns -1 with *error set. */
int request_json_syntax_error(const struct json_reader *json, struct request_error *error);

/* Steps into the object that the whole body must be. */
int request_json_enter_object(struct json_reader *json, struct request_error *error);

/* Reads one scalar to the end of column `c`; `row`, counted from 1, stands in messages only. */
int request_json_cell(struct json_reader *json, struct frame *frame, uint32_t c, uint32_t row,
                      struct request_error *error);

/* -1: the frame has no rows. */
int request_json_require_rows(const struct frame *frame, struct request_error *error);

#endif
