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

/*
 * The list that comes next, of scalars and, if `may_nest`, of lists of scalars, as a CELL_LIST in
 * the frame's arena. -1: *error, or the reader has one.
 */
int request_json_list(struct json_reader *json, const struct frame *frame, uint32_t c, uint32_t row,
                      bool may_nest, struct cell *ret_cell, struct request_error *error);

/*
 * Which members the first object in a list has, as bits; `list` stands at its value, which is known
 * to be JSON. For a message only: a tensor of v2 was sent where an instance of v1 is expected, or
 * the other way round.
 */
enum {
    MEMBER_NAME = 1,
    MEMBER_DATATYPE = 2,
    MEMBER_SHAPE = 4,
    MEMBER_DATA = 8,
    MEMBER_OTHER = 16,
    MEMBERS_OF_A_TENSOR = MEMBER_NAME | MEMBER_DATATYPE | MEMBER_SHAPE
};
unsigned request_json_first_members(struct json_reader list);

/* What a client asks for with a boolean parameter. */
enum request_flag { FLAG_UNSET, FLAG_FALSE, FLAG_TRUE };

/* Of the parameter `name`, whose value is of that kind: unset if it is null. -1: it is no boolean.
 */
int request_json_flag(const char *name, enum json_kind kind, enum request_flag *ret_flag,
                      struct request_error *error);

#endif
