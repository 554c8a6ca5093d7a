/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/v1.h"

#include "number.h"
#include "protocol/json.h"
#include "protocol/request_json.h"

enum { SHORT_BYTES = 64 }; /* texts up to this cost as much as any cell */

/* How a column of the instance being read was given. */
enum given {
    GIVEN_NOT,
    GIVEN_LIST,   /* a value a row */
    GIVEN_SCALAR, /* one for every row */
    GIVEN_ARRAY   /* of a column of lists: one CELL_LIST, which may prove to be either */
};

struct v1_reader {
    struct json_reader *json;
    struct frame *frame;
    struct request_error *error;
    uint8_t *given;  /* enum given, [n_columns] */
    uint32_t n_rows; /* of the instances that are whole */
    uint32_t n_instances;
    uint64_t n_repeated_bytes; /* of the texts that stand for several rows */
};

static int read_cell(struct v1_reader *v1, uint32_t c)
{
    const struct column *column = &v1->frame->columns[c];
    return request_json_cell(v1->json, v1->frame, c, column->n + 1, v1->error);
}

/* Not inline, nor is settle_arrays(): requests without lists pay nothing for them. */
__attribute__((noinline)) static int read_array(struct v1_reader *v1, uint32_t c)
{
    struct cell list;
    v1->given[c] = GIVEN_ARRAY;
    if (request_json_list(v1->json, v1->frame, c, v1->n_rows + 1, true, &list, v1->error) != 0)
        return -1;
    return frame_append(v1->frame, c, list, v1->error);
}

static int read_column(struct v1_reader *v1, uint32_t c)
{
    frame_truncate(v1->frame, c, v1->n_rows); /* of equal keys the last one counts */
    if (json_peek(v1->json) != JSON_ARRAY) {
        v1->given[c] = GIVEN_SCALAR;
        return read_cell(v1, c);
    }
    if (schema_is_list(v1->frame->schema, c))
        return read_array(v1, c);
    v1->given[c] = GIVEN_LIST;
    if (!json_enter(v1->json))
        return -1;
    bool first = true;
    while (json_next_element(v1->json, &first))
        if (read_cell(v1, c) != 0)
            return -1;
    return v1->json->reason ? -1 : 0;
}

/* ---- lists ---- */

static bool holds_a_list(struct cell list)
{
    for (uint32_t i = 0; i < list.length; i++)
        if (list.items[i].kind == CELL_LIST)
            return true;
    return false;
}

/* Whether the instance gives a value a row. */
static bool is_columnar(const struct v1_reader *v1)
{
    const struct frame *frame = v1->frame;
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++)
        if (v1->given[c] == GIVEN_LIST ||
            (v1->given[c] == GIVEN_ARRAY && holds_a_list(frame->columns[c].cells[v1->n_rows])))
            return true;
    return false;
}

/* Makes one list of each array, or a value a row. */
__attribute__((noinline)) static int settle_arrays(struct v1_reader *v1)
{
    struct frame *frame = v1->frame;
    const bool by_row = is_columnar(v1);
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++) {
        if (v1->given[c] != GIVEN_ARRAY)
            continue;
        v1->given[c] = by_row ? GIVEN_LIST : GIVEN_SCALAR;
        if (!by_row)
            continue;
        const struct cell list = frame->columns[c].cells[v1->n_rows];
        frame_truncate(frame, c, v1->n_rows);
        for (uint32_t i = 0; i < list.length; i++)
            if (frame_append(frame, c, list.items[i], v1->error) != 0)
                return -1;
    }
    return 0;
}

/* A text that stands for every row is read once per row: without a bound a request of few bytes
 * could ask for hours. */
static int count_repeats(struct v1_reader *v1, uint32_t c, struct cell cell, uint32_t n_rows)
{
    if (cell.kind != CELL_TEXT || cell.length <= SHORT_BYTES)
        return 0;
    v1->n_repeated_bytes += (uint64_t)cell.length * n_rows;
    return v1->n_repeated_bytes <= V1_REPEATED_MAX_BYTES
               ? 0
               : request_error_set(v1->error, 413,
                                   "Instance %u: column \"%.*s\" has one text of %u bytes for %u "
                                   "rows; texts that stand for several rows may be %d bytes, "
                                   "counted once per row.",
                                   v1->n_instances, TEXT_SHOWN(v1->frame->schema->names[c]),
                                   cell.length, n_rows, V1_REPEATED_MAX_BYTES);
}

/* Every column present and of one length; scalars are repeated to it. */
static int finish_instance(struct v1_reader *v1)
{
    struct frame *frame = v1->frame;
    if (frame->schema->is_list && settle_arrays(v1) != 0)
        return -1;
    const struct text *names = frame->schema->names;
    const uint32_t base = v1->n_rows;
    uint32_t first_list = SCHEMA_NOT_FOUND;
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++) {
        if (v1->given[c] == GIVEN_NOT)
            return request_error_set(v1->error, 400, "Instance %u: column \"%.*s\" is missing.",
                                     v1->n_instances, TEXT_SHOWN(names[c]));
        if (v1->given[c] == GIVEN_SCALAR)
            continue;
        if (first_list == SCHEMA_NOT_FOUND)
            first_list = c;
        else if (frame->columns[c].n != frame->columns[first_list].n)
            return request_error_set(
                v1->error, 400,
                "Instance %u: column \"%.*s\" has %u values, column \"%.*s\" has %u.",
                v1->n_instances, TEXT_SHOWN(names[c]), frame->columns[c].n - base,
                TEXT_SHOWN(names[first_list]), frame->columns[first_list].n - base);
    }
    const uint32_t n_rows =
        first_list == SCHEMA_NOT_FOUND ? base + 1 : frame->columns[first_list].n;
    for (uint32_t c = 0; c < schema_n_columns(frame->schema); c++) {
        if (v1->given[c] == GIVEN_LIST)
            continue;
        const struct cell cell = frame->columns[c].cells[base];
        frame_truncate(frame, c, n_rows);
        if (n_rows - base > 1 && count_repeats(v1, c, cell, n_rows - base) != 0)
            return -1;
        while (frame->columns[c].n < n_rows)
            if (frame_append(frame, c, cell, v1->error) != 0)
                return -1;
    }
    v1->n_rows = n_rows;
    return 0;
}

static int read_instance(struct v1_reader *v1)
{
    v1->n_instances++;
    memset(v1->given, GIVEN_NOT, schema_n_columns(v1->frame->schema));
    if (!json_enter(v1->json))
        return -1;
    bool first = true;
    struct text name;
    uint32_t c = 0;
    while (json_next_key(v1->json, &first, &name)) {
        const uint32_t found = schema_find(v1->frame->schema, name, c);
        if (found == SCHEMA_NOT_FOUND) {
            json_skip(v1->json);
            continue;
        }
        if (read_column(v1, found) != 0)
            return -1;
        c = found + 1;
    }
    return v1->json->reason ? -1 : finish_instance(v1);
}

/* The value that comes next, of that kind, stands where an instance should. */
static int not_an_instance(struct v1_reader *v1, enum json_kind kind, bool in_list)
{
    return request_error_set(v1->error, 400,
                             "Instance %u is %s%s; expected an object of columns, "
                             "{\"%.*s\": VALUE or [VALUE, ..], ..}.",
                             v1->n_instances + 1, request_json_kind_name(kind),
                             in_list ? " in a list" : "", TEXT_SHOWN(v1->frame->schema->names[0]));
}

/* An array of instances; one of them may itself be an array of instances. */
static int read_instances(struct v1_reader *v1, const char *key, bool nested)
{
    if (json_peek(v1->json) != JSON_ARRAY)
        return request_error_set(v1->error, 400, "Expected \"%s\" to be a list", key);
    if (!json_enter(v1->json))
        return -1;
    bool first = true;
    while (json_next_element(v1->json, &first)) {
        const enum json_kind kind = json_peek(v1->json);
        int status;
        if (kind == JSON_OBJECT)
            status = read_instance(v1);
        else if (kind == JSON_ARRAY && !nested)
            status = read_instances(v1, key, true);
        else
            status = not_an_instance(v1, kind, nested);
        /* pandas makes one DataFrame of an object, and of a list of them. */
        if (status != 0 || (!nested && frame_end_segment(v1->frame, v1->n_rows, v1->error) != 0))
            return -1;
    }
    return v1->json->reason ? -1 : 0;
}

/* Whether the list at `json` is of tensors, as none of the model's instances could be. */
static bool holds_tensors(const struct frame *frame, const struct json_reader *json)
{
    return (request_json_first_members(*json) & MEMBERS_OF_A_TENSOR) == MEMBERS_OF_A_TENSOR &&
           schema_look_up(frame->schema, text_of("datatype")) == SCHEMA_NOT_FOUND;
}

int v1_parse(struct frame *frame, struct text body, const char *model_name, bool *ret_wants_logits,
             struct request_error *error)
{
    struct json_reader json, value;
    json_init(&json, body.at, body.length, frame->arena);
    struct v1_reader v1 = {.json = &json, .frame = frame};
    v1.given = arena_alloc(frame->arena, schema_n_columns(frame->schema));
    if (v1.given == NULL)
        return request_error_out_of_memory(error);
    if (request_json_enter_object(&json, error) != 0)
        return -1;

    /* "inputs" beats "instances", and the last of equal keys counts: what is wrong with
     * the others' meaning does not matter, so it is kept until the end is seen. */
    enum { NEITHER, INSTANCES, INPUTS } found = NEITHER;
    enum json_kind logit = JSON_NULL; /* of the last member of that name */
    enum request_flag wants_logits;
    struct request_error wrong;
    int status = 0;
    bool first = true;
    struct text key;
    v1.error = &wrong;
    while (json_next_key(&json, &first, &key)) {
        const int which = text_is(key, "inputs")      ? INPUTS
                          : text_is(key, "instances") ? INSTANCES
                                                      : NEITHER;
        if (which == NEITHER && text_is(key, "logit"))
            logit = json_peek(&json);
        if (which == NEITHER || which < (int)found) {
            json_skip(&json);
            continue;
        }
        found = which == INPUTS ? INPUTS : INSTANCES;
        frame_clear(frame);
        v1.n_instances = v1.n_rows = 0;
        v1.n_repeated_bytes = 0;
        value = json;
        status = read_instances(&v1, which == INPUTS ? "inputs" : "instances", false);
        if (status != 0 && json.reason == NULL) {
            json = value;
            json_skip(&json);
        }
    }
    if (!json_end(&json))
        return request_json_syntax_error(&json, error);
    if (found == NEITHER)
        return request_error_set(error, 400,
                                 "Expected \"inputs\" or \"instances\" in the request body.");
    if (status != 0 && holds_tensors(frame, &value))
        return request_error_set(error, 400,
                                 "The body holds tensors of the v2 protocol; they belong to "
                                 "/v2/models/%s/infer. Here instances are expected, objects of "
                                 "columns.",
                                 model_name);
    if (status != 0) {
        *error = wrong;
        return -1;
    }
    if (request_json_flag("logit", logit, &wants_logits, error) != 0)
        return -1;
    *ret_wants_logits = wants_logits == FLAG_TRUE;
    return request_json_require_rows(frame, error);
}

struct text v1_render(struct arena *arena, const float *scores, uint32_t n_rows)
{
    static const char head[] = "{\"predictions\":[";
    char *body = arena_alloc(arena, sizeof head + n_rows * (size_t)(NUMBER_FLOAT_MAX + 3) + 2);
    if (body == NULL)
        return (struct text){NULL, 0};
    char *at = body;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (uint32_t i = 0; i < n_rows; i++) {
        if (i > 0)
            *at++ = ',';
        *at++ = '[';
        at += number_print_float(scores[i], at);
        *at++ = ']';
    }
    *at++ = ']';
    *at++ = '}';
    return (struct text){body, (size_t)(at - body)};
}
