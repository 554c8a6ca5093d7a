/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/v2.h"

#include <inttypes.h>

#include "protocol/datatype.h"
#include "protocol/json.h"
#include "protocol/request_json.h"

enum { SHAPE_MAX_DIMS = 8 };

struct v2_reader {
    struct json_reader *json;
    struct frame *frame;
    struct request_error *error;
    struct text binary; /* what follows the JSON */
    size_t binary_used; /* bytes of it that tensors have taken */
    uint8_t *seen;      /* [n_columns]: a tensor of that name was read */
    uint32_t n_inputs;  /* number of the tensor being read, from 1 */
};

/* The members of one tensor object, of which the last of equal keys counts. */
struct tensor_members {
    struct has_members {
        bool name, datatype, shape, data, binary;
    } has;
    struct text name;
    struct text datatype_name;
    uint64_t n_elements; /* product of the shape */
    unsigned n_dims;
    uint64_t last_dim;
    uint64_t binary_size;
    const char *data_at; /* where the value of "data" stands */
    /* Data is read on the way where the name came first; and again if a later key changes it. */
    const char *read_as; /* the name's bytes when it was read, NULL: not yet */
    uint32_t column;     /* that name's, or SCHEMA_NOT_FOUND */
    uint32_t n_nested;   /* values that stood in a list of their own */
};

static int wrong(struct v2_reader *v2, const char *what)
{
    return request_error_set(v2->error, 400, "Input %u: %s.", v2->n_inputs, what);
}

static int read_text(struct v2_reader *v2, const char *what, struct text *ret_text, bool *ret_has)
{
    if (json_peek(v2->json) != JSON_STRING)
        return wrong(v2, what);
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
        return wrong(v2, "\"shape\" must be a list of positive integers");
    if (!json_enter(v2->json))
        return -1;
    tensor->has.shape = true;
    tensor->n_elements = 1;
    tensor->n_dims = 0;
    bool first = true;
    while (json_next_element(v2->json, &first)) {
        uint64_t size;
        if (!read_size(v2->json, &size))
            return wrong(v2, "\"shape\" must be a list of positive integers");
        if (++tensor->n_dims > SHAPE_MAX_DIMS)
            return wrong(v2, "\"shape\" has more than 8 dimensions");
        tensor->last_dim = size;
        if (__builtin_mul_overflow(tensor->n_elements, size, &tensor->n_elements))
            return wrong(v2, "\"shape\" overflows");
    }
    if (tensor->n_dims == 0)
        return wrong(v2, "\"shape\" is empty");
    return 0;
}

/* {"binary_data_size": N, ..} or null; other parameters are the client's own. */
static int read_parameters(struct v2_reader *v2, struct tensor_members *tensor)
{
    const enum json_kind kind = json_peek(v2->json);
    tensor->has.binary = false;
    if (kind == JSON_NULL)
        return json_skip(v2->json) ? 0 : -1;
    if (kind != JSON_OBJECT)
        return wrong(v2, "\"parameters\" must be an object or null");
    if (!json_enter(v2->json))
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(v2->json, &first, &key)) {
        if (!text_is(key, "binary_data_size") || json_peek(v2->json) == JSON_NULL) {
            json_skip(v2->json);
            continue;
        }
        if (!read_size(v2->json, &tensor->binary_size))
            return wrong(v2, "\"binary_data_size\" must be a number of bytes");
        tensor->has.binary = true;
    }
    return v2->json->reason ? -1 : 0;
}

/* One value, or in a shape of [N, 1] one value in a list of its own. */
static int read_element(struct v2_reader *v2, struct json_reader *json, uint32_t c,
                        struct tensor_members *tensor)
{
    const uint32_t row = v2->frame->columns[c].n + 1;
    if (json_peek(json) != JSON_ARRAY)
        return request_json_cell(json, v2->frame, c, row, v2->error);
    tensor->n_nested++;
    if (!json_enter(json))
        return -1;
    bool first = true;
    uint32_t n = 0;
    while (json_next_element(json, &first)) {
        if (n++ == 1)
            return request_error_set(v2->error, 400, "Input \"%.*s\", row %u: more than one value.",
                                     TEXT_SHOWN(tensor->name), row);
        if (request_json_cell(json, v2->frame, c, row, v2->error) != 0)
            return -1;
    }
    if (json->reason)
        return -1;
    return n == 1 ? 0 : wrong(v2, "an empty list in \"data\"");
}

static uint32_t find_column(const struct v2_reader *v2, struct tensor_members *tensor)
{
    tensor->column = schema_find(v2->frame->schema, tensor->name, v2->n_inputs - 1);
    return tensor->column;
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
    if (v2->seen[c])
        return request_error_set(v2->error, 400, "Input \"%.*s\" is given twice.",
                                 TEXT_SHOWN(tensor->name));
    frame_truncate(v2->frame, c, 0);
    if (json_peek(json) != JSON_ARRAY)
        return wrong(v2, "\"data\" must be a list");
    if (!json_enter(json))
        return -1;
    bool first = true;
    while (json_next_element(json, &first))
        if (read_element(v2, json, c, tensor) != 0)
            return -1;
    return json->reason ? -1 : 0;
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
    if (tensor->n_elements == n &&
        (tensor->n_nested == 0 ||
         (tensor->n_nested == n && tensor->n_dims == 2 && tensor->last_dim == 1)))
        return 0;
    if (tensor->n_elements == n)
        return request_error_set(
            v2->error, 400,
            "Input \"%.*s\": nested \"data\" needs a \"shape\" of [N, 1] and every value nested.",
            TEXT_SHOWN(tensor->name));
    return request_error_set(v2->error, 400,
                             "Input \"%.*s\": \"shape\" has room for %" PRIu64
                             " values, \"data\" has %u.",
                             TEXT_SHOWN(tensor->name), tensor->n_elements, n);
}

/* The bytes behind the JSON that belong to this tensor. */
static int take_binary(struct v2_reader *v2, const struct tensor_members *tensor,
                       struct text *ret_data)
{
    const size_t left = v2->binary.length - v2->binary_used;
    if (tensor->binary_size > left)
        return request_error_set(v2->error, 400,
                                 "Input \"%.*s\": \"binary_data_size\" is %" PRIu64
                                 ", %zu bytes are left behind the JSON.",
                                 TEXT_SHOWN(tensor->name), tensor->binary_size, left);
    *ret_data = (struct text){v2->binary.at + v2->binary_used, (size_t)tensor->binary_size};
    v2->binary_used += (size_t)tensor->binary_size;
    return 0;
}

static int finish_tensor(struct v2_reader *v2, struct tensor_members *tensor)
{
    if (!tensor->has.name)
        return wrong(v2, "\"name\" is missing");
    if (!tensor->has.datatype || !tensor->has.shape || !(tensor->has.data || tensor->has.binary))
        return request_error_set(v2->error, 400, "Input \"%.*s\": \"%s\" is missing.",
                                 TEXT_SHOWN(tensor->name),
                                 !tensor->has.datatype ? "datatype"
                                 : !tensor->has.shape  ? "shape"
                                                       : "data");
    const enum datatype datatype = datatype_find(tensor->datatype_name);
    if (datatype == DATATYPE_UNKNOWN)
        return request_error_set(v2->error, 400, "Input \"%.*s\": unknown datatype \"%.*s\".",
                                 TEXT_SHOWN(tensor->name), TEXT_SHOWN(tensor->datatype_name));
    if (tensor->has.data && datatype == DATATYPE_FP16)
        return request_error_set(v2->error, 400,
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
    if (v2->seen[c])
        return request_error_set(v2->error, 400, "Input \"%.*s\" is given twice.",
                                 TEXT_SHOWN(tensor->name));
    v2->seen[c] = true;
    if (tensor->has.data)
        return check_count(v2, tensor, v2->frame->columns[c].n);
    frame_truncate(v2->frame, c, 0);
    return datatype_read_binary(datatype, binary, tensor->n_elements, v2->frame, c, v2->error);
}

static int read_tensor(struct v2_reader *v2)
{
    v2->n_inputs++;
    if (json_peek(v2->json) != JSON_OBJECT)
        return wrong(v2, "a tensor must be an object");
    if (!json_enter(v2->json))
        return -1;
    struct tensor_members tensor;
    tensor.has = (struct has_members){0};
    tensor.read_as = NULL;
    bool first = true;
    struct text key;
    while (json_next_key(v2->json, &first, &key))
        if (read_member(v2, key, &tensor) != 0)
            return -1;
    return v2->json->reason ? -1 : finish_tensor(v2, &tensor);
}

static uint32_t n_columns(const struct frame *frame)
{
    return frame->schema->n_sparse + frame->schema->n_dense;
}

/* Every column given and of one length. */
static int finish_inputs(struct v2_reader *v2)
{
    struct frame *frame = v2->frame;
    const struct text *names = frame->schema->names;
    for (uint32_t c = 0; c < n_columns(frame); c++) {
        if (!v2->seen[c])
            return request_error_set(v2->error, 400, "Input \"%.*s\" is missing.",
                                     TEXT_SHOWN(names[c]));
        if (frame->columns[c].n != frame->columns[0].n)
            return request_error_set(v2->error, 400,
                                     "Input \"%.*s\" has %u values, input \"%.*s\" has %u.",
                                     TEXT_SHOWN(names[c]), frame->columns[c].n,
                                     TEXT_SHOWN(names[0]), frame->columns[0].n);
    }
    if (v2->binary_used != v2->binary.length)
        return request_error_set(v2->error, 400, "%zu bytes behind the JSON belong to no input.",
                                 v2->binary.length - v2->binary_used);
    return frame_end_segment(frame, frame->columns[0].n, v2->error);
}

static int read_inputs(struct v2_reader *v2)
{
    frame_clear(v2->frame);
    memset(v2->seen, 0, n_columns(v2->frame));
    v2->n_inputs = 0;
    v2->binary_used = 0;
    if (json_peek(v2->json) != JSON_ARRAY)
        return request_error_set(v2->error, 400, "Expected \"inputs\" to be a list of tensors.");
    if (!json_enter(v2->json))
        return -1;
    bool first = true;
    while (json_next_element(v2->json, &first))
        if (read_tensor(v2) != 0)
            return -1;
    return v2->json->reason ? -1 : finish_inputs(v2);
}

/* What a client asks for with a boolean parameter. */
enum flag { FLAG_UNSET, FLAG_FALSE, FLAG_TRUE };

/* Finds the boolean `name` in an object of parameters, or null. */
static int read_flag(struct json_reader *json, const char *name, enum flag *ret_flag,
                     struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    *ret_flag = FLAG_UNSET;
    if (kind == JSON_NULL)
        return json_skip(json) ? 0 : -1;
    if (kind != JSON_OBJECT)
        return request_error_set(error, 400, "\"parameters\" must be an object or null.");
    if (!json_enter(json))
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(json, &first, &key)) {
        const enum json_kind value = json_peek(json);
        if (text_is(key, name)) {
            if (value != JSON_TRUE && value != JSON_FALSE && value != JSON_NULL)
                return request_error_set(error, 400, "\"%s\" must be true or false.", name);
            *ret_flag = value == JSON_TRUE    ? FLAG_TRUE
                        : value == JSON_FALSE ? FLAG_FALSE
                                              : FLAG_UNSET;
        }
        json_skip(json);
    }
    return json->reason ? -1 : 0;
}

static int read_output(struct json_reader *json, const char *model_name, enum flag *ret_binary,
                       struct request_error *error)
{
    if (json_peek(json) != JSON_OBJECT)
        return request_error_set(error, 400, "Expected \"outputs\" to be a list of objects.");
    if (!json_enter(json))
        return -1;
    bool first = true;
    struct text key, name = {NULL, 0};
    while (json_next_key(json, &first, &key)) {
        if (text_is(key, "name") && json_peek(json) == JSON_STRING) {
            json_string(json, &name);
        } else if (text_is(key, "parameters")) {
            if (read_flag(json, "binary_data", ret_binary, error) != 0)
                return -1;
        } else {
            json_skip(json);
        }
    }
    if (json->reason)
        return -1;
    if (name.at == NULL)
        return request_error_set(error, 400, "An output has no \"name\".");
    if (!text_is(name, V2_OUTPUT_NAME))
        return request_error_set(error, 400, "Unexpected inference output '%.*s' for model '%s'",
                                 TEXT_SHOWN(name), model_name);
    return 0;
}

/* A list of outputs, or null for all. There is one output: what is said last counts. */
static int read_outputs(struct json_reader *json, const char *model_name, enum flag *ret_binary,
                        struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    *ret_binary = FLAG_UNSET;
    if (kind == JSON_NULL)
        return json_skip(json) ? 0 : -1;
    if (kind != JSON_ARRAY)
        return request_error_set(error, 400, "Expected \"outputs\" to be a list.");
    if (!json_enter(json))
        return -1;
    bool first = true;
    while (json_next_element(json, &first))
        if (read_output(json, model_name, ret_binary, error) != 0)
            return -1;
    return json->reason ? -1 : 0;
}

static int read_id(struct json_reader *json, struct text *ret_id, struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    *ret_id = (struct text){NULL, 0};
    if (kind == JSON_STRING)
        return json_string(json, ret_id) ? 0 : -1;
    if (kind == JSON_NULL)
        return json_skip(json) ? 0 : -1;
    return request_error_set(error, 400, "\"id\" must be a string or null.");
}

/* The members of the request, of which the last of equal keys counts. */
struct request_members {
    bool has_inputs;
    struct text id;
    enum flag binary_outputs; /* of "parameters": all outputs */
    enum flag binary_output;  /* of the one in "outputs" */
    /* A mistake in what a member means waits until the whole text is known to be JSON and
     * no later member of that name replaces it. */
    enum { INPUTS, ID, PARAMETERS, OUTPUTS, N_MEMBERS } member;
    int status[N_MEMBERS];
    struct request_error *errors; /* [N_MEMBERS], written where the status is not 0 */
};

static void read_request_member(struct v2_reader *v2, struct text key, const char *model_name,
                                struct request_members *request)
{
    static const char *const names[N_MEMBERS] = {"inputs", "id", "parameters", "outputs"};
    struct json_reader *json = v2->json;
    const struct json_reader before = *json;
    int member = 0;
    while (member < N_MEMBERS && !text_is(key, names[member]))
        member++;
    int status = 0;
    struct request_error *error = &request->errors[member < N_MEMBERS ? member : 0];
    switch (member) {
    case INPUTS:
        request->has_inputs = true;
        v2->error = error;
        status = read_inputs(v2);
        break;
    case ID:
        status = read_id(json, &request->id, error);
        break;
    case PARAMETERS:
        status = read_flag(json, "binary_data_output", &request->binary_outputs, error);
        break;
    case OUTPUTS:
        status = read_outputs(json, model_name, &request->binary_output, error);
        break;
    default: /* the client's own */
        json_skip(json);
        return;
    }
    request->status[member] = status;
    if (status != 0 && json->reason == NULL) {
        *json = before;
        json_skip(json);
    }
}

int v2_parse(struct frame *frame, struct text body, size_t json_length, const char *model_name,
             struct v2_options *ret_options, struct request_error *error)
{
    struct json_reader json;
    json_init(&json, body.at, json_length, frame->arena);
    struct v2_reader v2 = {.json = &json,
                           .frame = frame,
                           .binary = {body.at + json_length, body.length - json_length}};
    v2.seen = arena_calloc(frame->arena, n_columns(frame), 1);
    struct request_members request = {
        .errors = arena_alloc(frame->arena, N_MEMBERS * sizeof(struct request_error))};
    if (v2.seen == NULL || request.errors == NULL)
        return request_error_out_of_memory(error);
    if (request_json_enter_object(&json, error) != 0)
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(&json, &first, &key))
        read_request_member(&v2, key, model_name, &request);
    if (!json_end(&json))
        return request_json_syntax_error(&json, error);
    for (int member = 0; member < N_MEMBERS; member++) {
        if (request.status[member] != 0) {
            *error = request.errors[member];
            return -1;
        }
    }
    if (!request.has_inputs)
        return request_error_set(error, 400, "\"inputs\" is missing.");
    ret_options->id = request.id;
    ret_options->binary_output =
        request.binary_output == FLAG_TRUE ||
        (request.binary_output == FLAG_UNSET && request.binary_outputs == FLAG_TRUE);
    return request_json_require_rows(frame, error);
}
