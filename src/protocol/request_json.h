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

/* -1: what comes next, of that kind, is not a scalar, or the reader has an error. */
int request_json_not_a_cell(const struct json_reader *json, enum json_kind kind,
                            const struct frame *frame, uint32_t c, uint32_t row,
                            struct request_error *error);

/* Reads one scalar to the end of column `c`; `row`, counted from 1, stands in messages only. */
static inline int request_json_cell(struct json_reader *json, struct frame *frame, uint32_t c,
                                    uint32_t row, struct request_error *error)
{
    struct cell cell;
    const enum json_kind kind = json_peek(json);
    if (!json_cell(json, kind, &cell))
        return request_json_not_a_cell(json, kind, frame, c, row, error);
    return frame_append(frame, c, cell, error);
}

/* -1: the frame has no rows. */
int request_json_require_rows(const struct frame *frame, struct request_error *error);

#endif
