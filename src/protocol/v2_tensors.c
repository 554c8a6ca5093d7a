/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/v2_tensors.h"

#include <inttypes.h>

#include "protocol/request_json.h"

/* The members of one tensor object, of which the last of equal keys counts. */
struct tensor_members {
    struct has_members {
        bool name, datatype, shape, data, binary;
    } has;
    struct text name;
    struct text datatype_name;
    struct input_shape shape;
    uint64_t binary_size;
    struct text content_type_name; /* where the type is unknown */
    enum tensor_content content_type;
    const char *data_at;               /* where the value of "data" stands */
    const char *start;                 /* where the tensor does */
    const struct v2_opening *recalled; /* what it began with, or NULL */
    /* Data is read on the way where the name came first; and again if a later key changes it. */
    const char *read_as;    /* the name's bytes when it was read, NULL: not yet */
    uint32_t column;        /* that name's, or SCHEMA_NOT_FOUND */
    uint32_t n_nested;      /* lists in "data", each a row's */
    uint32_t nested_length; /* values in each of them */
};

static int read_text(struct v2_reader *v2, const char *what, struct text *ret_text, bool *ret_has)
{
    if (json_peek(v2->json) != JSON_STRING)
        return tensor_wrong(&v2->inputs, what);
    *ret_has = true;
    return json_string(v2->json, ret_text) ? 0 : -1;
}

/* A JSON integer from 0 to 2^63 - 1. */
static bool read_size(struct json_reader *json, uint64_t *ret_size)
{
    struct json_number number;
    if (json_peek(json) != JSON_NUMBER)
        return false;
    /* Nearly always one digit. */
    if (json->end - json->at >= 2 && *json->at != '-' &&
        (json->at[1] == ']' || json->at[1] == ',')) {
        *ret_size = (uint64_t)(*json->at++ - '0');
        return true;
    }
    if (!json_number(json, &number) || !number.is_integer)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < number.text.length; i++) {
        const char c = number.text.at[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value) || value > INT64_MAX)
            return false;
    }
    *ret_size = value;
    return true;
}

static int read_shape(struct v2_reader *v2, struct tensor_members *tensor)
{
    if (json_peek(v2->json) != JSON_ARRAY)
        return tensor_wrong(&v2->inputs, "\"shape\" must be a list of positive integers");
    if (!json_enter(v2->json))
        return -1;
    tensor->has.shape = true;
    tensor->shape = (struct input_shape){0};
    bool first = true;
    while (json_next_element(v2->json, &first)) {
        uint64_t size = UINT64_MAX; /* no size */
        read_size(v2->json, &size);
        const char *what = input_shape_add(&tensor->shape, size);
        if (what)
            return tensor_wrong(&v2->inputs, what);
    }
    if (tensor->shape.n_dims == 0)
        return tensor_wrong(&v2->inputs, "\"shape\" is empty");
    return 0;
}

/* A name, or null. */
static int read_content_type(struct v2_reader *v2, struct tensor_members *tensor)
{
    tensor->content_type = TENSOR_CONTENT_PLAIN;
    if (json_peek(v2->json) == JSON_NULL)
        return json_skip(v2->json) ? 0 : -1;
    if (json_peek(v2->json) != JSON_STRING)
        return tensor_wrong(&v2->inputs, "\"content_type\" must be a string or null");
    if (!json_string(v2->json, &tensor->content_type_name))
        return -1;
    tensor->content_type = tensor_content_find(tensor->content_type_name);
    return 0;
}

/* {"binary_data_size": N, "content_type": TEXT, ..} or null; others are the client's own. */
static int read_parameters(struct v2_reader *v2, struct tensor_members *tensor)
{
    const enum json_kind kind = json_peek(v2->json);
    tensor->has.binary = false;
    tensor->content_type = TENSOR_CONTENT_PLAIN;
    if (kind == JSON_NULL)
        return json_skip(v2->json) ? 0 : -1;
    if (kind != JSON_OBJECT)
        return tensor_wrong(&v2->inputs, "\"parameters\" must be an object or null");
    if (!json_enter(v2->json))
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(v2->json, &first, &key)) {
        if (text_is(key, "content_type")) {
            if (read_content_type(v2, tensor) != 0)
                return -1;
            continue;
        }
        if (!text_is(key, "binary_data_size") || json_peek(v2->json) == JSON_NULL) {
            json_skip(v2->json);
            continue;
        }
        if (!read_size(v2->json, &tensor->binary_size))
            return tensor_wrong(&v2->inputs, "\"binary_data_size\" must be a number of bytes");
        tensor->has.binary = true;
    }
    return v2->json->reason ? -1 : 0;
}

/* One value, or a row's: in a shape of [N, 1] one value in a list of its own, in a column of lists
 * as many as in the other rows. */
static int read_element(struct v2_reader *v2, struct json_reader *json, uint32_t c,
                        struct tensor_members *tensor)
{
    const uint32_t row = v2->inputs.frame->columns[c].n + 1;
    if (json_peek(json) != JSON_ARRAY)
        return request_json_cell(json, v2->inputs.frame, c, row, v2->inputs.error);
    tensor->n_nested++;
    if (!json_enter(json))
        return -1;
    bool first = true;
    uint32_t n = 0;
    const bool is_list = schema_is_list(v2->inputs.frame->schema, c);
    while (json_next_element(json, &first)) {
        if (n++ == 1 && !is_list)
            return request_error_set(v2->inputs.error, 400,
                                     "Input \"%.*s\", row %u: more than one value.",
                                     TEXT_SHOWN(tensor->name), row);
        if (request_json_cell(json, v2->inputs.frame, c, row, v2->inputs.error) != 0)
            return -1;
    }
    if (json->reason)
        return -1;
    if (tensor->n_nested > 1 && n != tensor->nested_length)
        return request_error_set(
            v2->inputs.error, 400,
            "Input \"%.*s\", row %u: %u values, row 1 has %u: fill the rows up "
            "with \"\".",
            TEXT_SHOWN(tensor->name), tensor->n_nested, n, tensor->nested_length);
    tensor->nested_length = n;
    return n >= 1 ? 0 : tensor_wrong(&v2->inputs, "an empty list in \"data\"");
}

static uint32_t find_column(const struct v2_reader *v2, struct tensor_members *tensor)
{
    tensor->column = tensor_find_column(&v2->inputs, tensor->name);
    return tensor->column;
}

/* ---- how tensors begin ---- */

static struct v2_opening *opening_of(const struct v2_reader *v2)
{
    if (v2->memory == NULL || v2->inputs.n > V2_OPENINGS)
        return NULL;
    return &v2->memory->openings[v2->inputs.n - 1];
}

/* Offset of a text within the opening, or -1: it had escapes and is not there as it is. */
static int place_in(const struct tensor_members *tensor, struct text text, const char *end)
{
    return text.at >= tensor->start && text.at < end ? (int)(text.at - tensor->start) : -1;
}

/* The reader stands behind the '[' of "data", all other members were read before. */
static void remember(const struct v2_reader *v2, const struct json_reader *json,
                     const struct tensor_members *tensor)
{
    struct v2_opening *opening = opening_of(v2);
    const size_t length = (size_t)(json->at - tensor->start);
    if (opening == NULL || json != v2->json || length > V2_OPENING_MAX || !tensor->has.datatype ||
        !tensor->has.shape || tensor->has.binary || tensor->content_type == TENSOR_CONTENT_UNKNOWN)
        return;
    const int name_at = place_in(tensor, tensor->name, json->at);
    const int datatype_at = place_in(tensor, tensor->datatype_name, json->at);
    if (name_at < 0 || datatype_at < 0)
        return;
    *opening = (struct v2_opening){.length = (uint16_t)length,
                                   .name_at = (uint16_t)name_at,
                                   .name_length = (uint16_t)tensor->name.length,
                                   .datatype_at = (uint16_t)datatype_at,
                                   .datatype_length = (uint16_t)tensor->datatype_name.length,
                                   .datatype = datatype_find(tensor->datatype_name),
                                   .content_type = tensor->content_type,
                                   .column = tensor->column,
                                   .shape = tensor->shape};
    memcpy(opening->text, tensor->start, length);
}

/* Where the tensor begins as the one at its place did before: its members, and the reader stands
 * behind the '[' of "data". */
static bool recall(const struct v2_reader *v2, struct tensor_members *tensor)
{
    struct json_reader *json = v2->json;
    const struct v2_opening *opening = opening_of(v2);
    const char *start = json->at;
    if (opening == NULL || opening->length == 0 || (size_t)(json->end - start) < opening->length ||
        memcmp(start, opening->text, opening->length) != 0)
        return false;
    tensor->recalled = opening;
    tensor->has = (struct has_members){.name = true, .datatype = true, .shape = true, .data = true};
    tensor->name = (struct text){start + opening->name_at, opening->name_length};
    tensor->datatype_name = (struct text){start + opening->datatype_at, opening->datatype_length};
    tensor->shape = opening->shape;
    tensor->column = tensor_take_column(&v2->inputs, opening->column);
    tensor->content_type = opening->content_type;
    tensor->read_as = tensor->name.at;
    tensor->n_nested = 0;
    json->at += opening->length;
    tensor->data_at = json->at - 1;
    json->depth += 2; /* the tensor and its data */
    return true;
}

/* ---- data ---- */

/* The elements of the list that was entered. */
static int read_elements(struct v2_reader *v2, struct json_reader *json,
                         struct tensor_members *tensor)
{
    bool first = true;
    while (json_next_element(json, &first))
        if (read_element(v2, json, tensor->column, tensor) != 0)
            return -1;
    return json->reason ? -1 : 0;
}

/* Reads "data" at `json` into the column of that name; a column that the model lacks is passed
 * over. */
static int read_data(struct v2_reader *v2, struct json_reader *json, struct tensor_members *tensor)
{
    const uint32_t c = find_column(v2, tensor);
    tensor->read_as = tensor->name.at;
    tensor->n_nested = 0;
    if (c == SCHEMA_NOT_FOUND)
        return json_skip(json) ? 0 : -1;
    if (v2->inputs.seen[c])
        return tensor_given_twice(&v2->inputs, tensor->name);
    frame_truncate(v2->inputs.frame, c, 0);
    if (json_peek(json) != JSON_ARRAY)
        return tensor_wrong(&v2->inputs, "\"data\" must be a list");
    if (!json_enter(json))
        return -1;
    remember(v2, json, tensor);
    return read_elements(v2, json, tensor);
}

static int read_data_as_before(struct v2_reader *v2, struct tensor_members *tensor)
{
    if (v2->inputs.seen[tensor->column])
        return tensor_given_twice(&v2->inputs, tensor->name);
    frame_truncate(v2->inputs.frame, tensor->column, 0);
    return read_elements(v2, v2->json, tensor);
}

/* Reads "data" where the name came behind it. The reader has left the tensor. */
static int read_data_again(struct v2_reader *v2, struct tensor_members *tensor)
{
    struct json_reader data = *v2->json;
    data.at = tensor->data_at;
    data.depth++;
    if (read_data(v2, &data, tensor) == 0)
        return 0;
    if (data.reason) { /* it was JSON before: the arena is full */
        v2->json->reason = data.reason;
        v2->json->error_at = data.error_at;
    }
    return -1;
}

static int read_member(struct v2_reader *v2, struct text key, struct tensor_members *tensor)
{
    if (text_is(key, "name"))
        return read_text(v2, "\"name\" must be a string", &tensor->name, &tensor->has.name);
    tensor->recalled = NULL; /* a later member may say otherwise */
    if (text_is(key, "datatype"))
        return read_text(v2, "\"datatype\" must be a string", &tensor->datatype_name,
                         &tensor->has.datatype);
    if (text_is(key, "shape"))
        return read_shape(v2, tensor);
    if (text_is(key, "parameters"))
        return read_parameters(v2, tensor);
    if (!text_is(key, "data"))
        return json_skip(v2->json) ? 0 : -1;
    tensor->has.data = json_peek(v2->json) != JSON_NULL;
    tensor->data_at = v2->json->at;
    tensor->read_as = NULL;
    if (tensor->has.data && tensor->has.name)
        return read_data(v2, v2->json, tensor);
    return json_skip(v2->json) ? 0 : -1;
}

static int check_count(struct v2_reader *v2, const struct tensor_members *tensor, uint32_t n)
{
    const struct input_shape *shape = &tensor->shape;
    if (tensor_check_count(&v2->inputs, tensor->name, shape, n) != 0)
        return -1;
    if (tensor->n_nested == 0 ||
        (tensor->n_nested == n && shape->n_dims == 2 && shape->last_dim == 1))
        return 0;
    return request_error_set(
        v2->inputs.error, 400,
        "Input \"%.*s\": nested \"data\" needs a \"shape\" of [N, 1] and every value nested.",
        TEXT_SHOWN(tensor->name));
}

/* Whether the values of a column of lists are nested as its shape says, or not at all. */
static bool is_nested_as_shape(const struct tensor_members *tensor, uint32_t n)
{
    if (!tensor->has.data || tensor->n_nested == 0)
        return true;
    return tensor->shape.n_dims != 1 && tensor->nested_length == tensor->shape.last_dim &&
           (uint64_t)tensor->n_nested * tensor->nested_length == n;
}

/* The bytes behind the JSON that belong to this tensor. */
static int take_binary(struct v2_reader *v2, const struct tensor_members *tensor,
                       struct text *ret_data)
{
    const size_t left = v2->binary.length - v2->binary_used;
    if (tensor->binary_size > left)
        return request_error_set(v2->inputs.error, 400,
                                 "Input \"%.*s\": \"binary_data_size\" is %" PRIu64
                                 ", %zu bytes are left behind the JSON.",
                                 TEXT_SHOWN(tensor->name), tensor->binary_size, left);
    *ret_data = (struct text){v2->binary.at + v2->binary_used, (size_t)tensor->binary_size};
    v2->binary_used += (size_t)tensor->binary_size;
    return 0;
}

/* The values of a whole tensor, which lie in its column by now if they came as JSON. */
static int finish_values(struct v2_reader *v2, struct tensor_members *tensor,
                         enum datatype datatype, struct text binary)
{
    const uint32_t c = tensor->column;
    int status;
    const bool is_list = schema_is_list(v2->inputs.frame->schema, c);
    if (tensor->has.data) {
        status = is_list ? 0 : check_count(v2, tensor, v2->inputs.frame->columns[c].n);
        if (status == 0)
            status = datatype_check(datatype, v2->inputs.frame, c, v2->inputs.error);
    } else {
        frame_truncate(v2->inputs.frame, c, 0);
        status = datatype_read_binary(datatype, binary, tensor->shape.n_elements, v2->inputs.frame,
                                      c, v2->inputs.error);
    }
    if (status == 0 && tensor->content_type != TENSOR_CONTENT_PLAIN)
        status = tensor_content_decode(tensor->content_type, tensor->content_type_name, datatype,
                                       v2->inputs.frame, c, v2->inputs.error);
    if (status != 0 || !is_list)
        return status;
    const uint32_t n = v2->inputs.frame->columns[c].n;
    return tensor_fold_lists(&v2->inputs, c, &tensor->shape, is_nested_as_shape(tensor, n));
}

static int finish_tensor(struct v2_reader *v2, struct tensor_members *tensor)
{
    if (!tensor->has.name)
        return tensor_wrong(&v2->inputs, "\"name\" is missing");
    if (!tensor->has.datatype || !tensor->has.shape || !(tensor->has.data || tensor->has.binary))
        return request_error_set(v2->inputs.error, 400, "Input \"%.*s\": \"%s\" is missing.",
                                 TEXT_SHOWN(tensor->name),
                                 !tensor->has.datatype ? "datatype"
                                 : !tensor->has.shape  ? "shape"
                                                       : "data");
    const enum datatype datatype =
        tensor->recalled ? tensor->recalled->datatype : datatype_find(tensor->datatype_name);
    if (datatype == DATATYPE_UNKNOWN)
        return tensor_unknown_datatype(&v2->inputs, tensor->name, tensor->datatype_name);
    if (tensor->has.data && datatype == DATATYPE_FP16)
        return request_error_set(v2->inputs.error, 400,
                                 "Sending FP16 data via JSON is not supported. Please use the "
                                 "binary data format for input %.*s",
                                 TEXT_SHOWN(tensor->name));
    struct text binary = {NULL, 0};
    if (tensor->has.data) {
        if (tensor->read_as != tensor->name.at && read_data_again(v2, tensor) != 0)
            return -1;
    } else {
        if (take_binary(v2, tensor, &binary) != 0)
            return -1;
        find_column(v2, tensor);
    }
    const uint32_t c = tensor->column;
    if (c == SCHEMA_NOT_FOUND)
        return 0;
    if (v2->inputs.seen[c])
        return tensor_given_twice(&v2->inputs, tensor->name);
    v2->inputs.seen[c] = true;
    return finish_values(v2, tensor, datatype, binary);
}

static int read_tensor(struct v2_reader *v2)
{
    v2->inputs.n++;
    const enum json_kind kind = json_peek(v2->json);
    if (kind != JSON_OBJECT)
        return request_error_set(v2->inputs.error, 400,
                                 "Input %u is %s; expected a tensor, {\"name\", \"shape\", "
                                 "\"datatype\", \"data\"}.",
                                 v2->inputs.n, request_json_kind_name(kind));
    struct tensor_members tensor;
    tensor.start = v2->json->at;
    bool first = true;
    if (recall(v2, &tensor)) {
        first = false;
        if (read_data_as_before(v2, &tensor) != 0)
            return -1;
    } else {
        tensor.has = (struct has_members){0};
        tensor.content_type = TENSOR_CONTENT_PLAIN;
        tensor.recalled = NULL;
        tensor.read_as = NULL;
        if (!json_enter(v2->json))
            return -1;
    }
    struct text key;
    while (json_next_key(v2->json, &first, &key))
        if (read_member(v2, key, &tensor) != 0)
            return -1;
    return v2->json->reason ? -1 : finish_tensor(v2, &tensor);
}

int v2_read_inputs(struct v2_reader *v2)
{
    tensor_inputs_begin(&v2->inputs);
    v2->binary_used = 0;
    if (json_peek(v2->json) != JSON_ARRAY)
        return request_error_set(v2->inputs.error, 400,
                                 "Expected \"inputs\" to be a list of tensors.");
    if (!json_enter(v2->json))
        return -1;
    bool first = true;
    int status = 0;
    while (status == 0 && json_next_element(v2->json, &first))
        status = read_tensor(v2);
    tensor_inputs_leave(&v2->inputs);
    if (status != 0 || v2->json->reason || tensor_inputs_finish(&v2->inputs) != 0)
        return -1;
    if (v2->binary_used == v2->binary.length)
        return 0;
    return request_error_set(v2->inputs.error, 400, "%zu bytes behind the JSON belong to no input.",
                             v2->binary.length - v2->binary_used);
}
