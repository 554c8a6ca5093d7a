/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/request_json.h"

const char *request_json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_INVALID] = "not JSON", [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",
        [JSON_STRING] = "a string",  [JSON_NUMBER] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return names[kind];
}

int request_json_syntax_error(const struct json_reader *json, struct request_error *error)
{
    if (json->reason == json_out_of_memory)
        return request_error_out_of_memory(error);
    char description[160];
    json_describe_error(json, description, sizeof description);
    return request_error_set(error, 400, "Unrecognized request format: %s", description);
}

int request_json_enter_object(struct json_reader *json, struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    if (kind == JSON_OBJECT)
        return json_enter(json) ? 0 : -1;
    if (kind == JSON_INVALID || !json_skip(json) || !json_end(json))
        return request_json_syntax_error(json, error);
    return request_error_set(error, 400, "Expected the request body to be an object; it is %s.",
                             request_json_kind_name(kind));
}

int request_json_not_a_cell(const struct json_reader *json, enum json_kind kind,
                            const struct frame *frame, uint32_t c, uint32_t row,
                            struct request_error *error)
{
    if (json->reason)
        return -1;
    return request_error_set(error, 400, "Column \"%.*s\", row %u: %s where a value is expected.",
                             TEXT_SHOWN(frame->schema->names[c]), row,
                             request_json_kind_name(kind));
}

/* Items of a list while their number is not known. */
struct items {
    struct cell *cells;
    uint32_t n, capacity;
};

static int add_item(struct items *items, struct arena *arena, struct cell cell)
{
    if (items->n == items->capacity) {
        const uint32_t wanted = items->capacity ? 2 * items->capacity : 8;
        struct cell *cells =
            wanted > items->capacity ? arena_alloc(arena, wanted * sizeof *cells) : NULL;
        if (cells == NULL)
            return -1;
        if (items->n > 0)
            memcpy(cells, items->cells, items->n * sizeof *cells);
        items->cells = cells;
        items->capacity = wanted;
    }
    items->cells[items->n++] = cell;
    return 0;
}

int request_json_list(struct json_reader *json, const struct frame *frame, uint32_t c, uint32_t row,
                      bool may_nest, struct cell *ret_cell, struct request_error *error)
{
    struct items items = {0};
    bool first = true;
    if (!json_enter(json))
        return -1;
    while (json_next_element(json, &first)) {
        struct cell cell;
        const enum json_kind kind = json_peek(json);
        if (kind == JSON_ARRAY && may_nest) {
            if (request_json_list(json, frame, c, row, false, &cell, error) != 0)
                return -1;
        } else if (!json_cell(json, kind, &cell)) {
            return request_json_not_a_cell(json, kind, frame, c, row, error);
        }
        if (add_item(&items, frame->arena, cell) != 0)
            return request_error_out_of_memory(error);
    }
    *ret_cell = (struct cell){.items = items.cells, .length = items.n, .kind = CELL_LIST};
    return json->reason ? -1 : 0;
}

unsigned request_json_first_members(struct json_reader list)
{
    static const struct {
        const char *key;
        unsigned bit;
    } known[] = {{"name", MEMBER_NAME},
                 {"datatype", MEMBER_DATATYPE},
                 {"shape", MEMBER_SHAPE},
                 {"data", MEMBER_DATA}};
    enum { N_KNOWN = sizeof known / sizeof known[0] };
    unsigned found = 0;
    bool first = true;
    struct text key;
    if (json_peek(&list) != JSON_ARRAY || !json_enter(&list) || !json_next_element(&list, &first) ||
        json_peek(&list) != JSON_OBJECT || !json_enter(&list))
        return 0;
    first = true;
    while (json_next_key(&list, &first, &key)) {
        size_t i = 0;
        while (i < N_KNOWN && !text_is(key, known[i].key))
            i++;
        found |= i < N_KNOWN ? known[i].bit : MEMBER_OTHER;
        json_skip(&list);
    }
    return found;
}

int request_json_flag(const char *name, enum json_kind kind, enum request_flag *ret_flag,
                      struct request_error *error)
{
    *ret_flag = kind == JSON_TRUE ? FLAG_TRUE : kind == JSON_FALSE ? FLAG_FALSE : FLAG_UNSET;
    if (*ret_flag == FLAG_UNSET && kind != JSON_NULL)
        return request_error_set(error, 400, "\"%s\" must be true or false, not %s.", name,
                                 request_json_kind_name(kind));
    return 0;
}
