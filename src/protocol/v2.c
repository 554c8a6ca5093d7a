/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/v2.h"

#include "protocol/request_json.h"
#include "protocol/v2_tensors.h"

/* A boolean parameter that is looked at; the client's own are not. */
struct parameter {
    const char *name;
    enum request_flag flag;
};

/* Sets those that stand in an object of parameters, or null; the others are unset. */
static int read_parameters(struct json_reader *json, struct parameter *parameters, size_t n,
                           struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    for (size_t i = 0; i < n; i++)
        parameters[i].flag = FLAG_UNSET;
    if (kind == JSON_NULL)
        return json_skip(json) ? 0 : -1;
    if (kind != JSON_OBJECT)
        return request_error_set(error, 400, "\"parameters\" must be an object or null, not %s.",
                                 request_json_kind_name(kind));
    if (!json_enter(json))
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(json, &first, &key)) {
        for (size_t i = 0; i < n; i++)
            if (text_is(key, parameters[i].name) &&
                request_json_flag(parameters[i].name, json_peek(json), &parameters[i].flag,
                                  error) != 0)
                return -1;
        json_skip(json);
    }
    return json->reason ? -1 : 0;
}

static int read_output(struct json_reader *json, const char *model_name, struct parameter *binary,
                       struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    if (kind != JSON_OBJECT)
        return request_error_set(error, 400,
                                 "Expected \"outputs\" to be a list of objects; it holds %s.",
                                 request_json_kind_name(kind));
    if (!json_enter(json))
        return -1;
    bool first = true;
    struct text key, name = {NULL, 0};
    while (json_next_key(json, &first, &key)) {
        if (text_is(key, "name") && json_peek(json) == JSON_STRING) {
            json_string(json, &name);
        } else if (text_is(key, "parameters")) {
            if (read_parameters(json, binary, 1, error) != 0)
                return -1;
        } else {
            json_skip(json);
        }
    }
    if (json->reason)
        return -1;
    if (name.at == NULL)
        return request_error_set(error, 400, "An output has no \"name\".");
    return tensor_check_output(name, model_name, error);
}

/* A list of outputs, or null for all. There is one output: what is said last counts. */
static int read_outputs(struct json_reader *json, const char *model_name, struct parameter *binary,
                        struct request_error *error)
{
    const enum json_kind kind = json_peek(json);
    binary->flag = FLAG_UNSET;
    if (kind == JSON_NULL)
        return json_skip(json) ? 0 : -1;
    if (kind != JSON_ARRAY)
        return request_error_set(error, 400, "Expected \"outputs\" to be a list, not %s.",
                                 request_json_kind_name(kind));
    if (!json_enter(json))
        return -1;
    bool first = true;
    while (json_next_element(json, &first))
        if (read_output(json, model_name, binary, error) != 0)
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
    return request_error_set(error, 400, "\"id\" must be a string or null, not %s.",
                             request_json_kind_name(kind));
}

/* Of the request. */
enum { BINARY_OUTPUTS, LOGITS, N_PARAMETERS };

/* The members of the request, of which the last of equal keys counts. */
struct request_members {
    bool has_inputs, has_instances;
    struct json_reader inputs; /* at the value of "inputs" */
    struct text id;
    struct parameter parameters[N_PARAMETERS];
    struct parameter binary; /* of the output in "outputs": beats BINARY_OUTPUTS */
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
        request->inputs = before;
        v2->inputs.error = error;
        status = v2_read_inputs(v2);
        break;
    case ID:
        status = read_id(json, &request->id, error);
        break;
    case PARAMETERS:
        status = read_parameters(json, request->parameters, N_PARAMETERS, error);
        break;
    case OUTPUTS:
        status = read_outputs(json, model_name, &request->binary, error);
        break;
    default: /* the client's own */
        request->has_instances |= text_is(key, "instances");
        json_skip(json);
        return;
    }
    request->status[member] = status;
    if (status != 0 && json->reason == NULL) {
        *json = before;
        json_skip(json);
    }
}

/* Whether the request is one of v1: "instances", or "inputs" that are objects of columns. */
static bool is_of_v1(const struct request_members *request)
{
    if (!request->has_inputs)
        return request->has_instances;
    return request->status[INPUTS] != 0 &&
           request_json_first_members(request->inputs) == MEMBER_OTHER;
}

int v2_parse(struct frame *frame, struct text body, size_t json_length, const char *model_name,
             struct v2_memory *memory, struct v2_options *ret_options, struct request_error *error)
{
    if (memory && memory->schema != frame->schema)
        *memory = (struct v2_memory){.schema = frame->schema};
    struct json_reader json;
    json_init(&json, body.at, json_length, frame->arena);
    struct v2_reader v2 = {.json = &json,
                           .memory = memory,
                           .binary = {body.at + json_length, body.length - json_length}};
    struct request_members request = {
        .parameters =
            {[BINARY_OUTPUTS] = {.name = "binary_data_output"}, [LOGITS] = {.name = "logit"}},
        .binary = {.name = "binary_data"},
        .errors = arena_alloc(frame->arena, N_MEMBERS * sizeof(struct request_error))};
    if (tensor_inputs_init(&v2.inputs, frame, "data", error) != 0 || request.errors == NULL)
        return request_error_out_of_memory(error);
    if (request_json_enter_object(&json, error) != 0)
        return -1;
    bool first = true;
    struct text key;
    while (json_next_key(&json, &first, &key))
        read_request_member(&v2, key, model_name, &request);
    if (!json_end(&json))
        return request_json_syntax_error(&json, error);
    if (is_of_v1(&request))
        return request_error_set(error, 400,
                                 "The body holds instances of the v1 protocol; they belong to "
                                 "/v1/models/%s:predict. Here \"inputs\" is a list of tensors, "
                                 "{\"name\", \"shape\", \"datatype\", \"data\"}.",
                                 model_name);
    for (int member = 0; member < N_MEMBERS; member++) {
        if (request.status[member] != 0) {
            *error = request.errors[member];
            return -1;
        }
    }
    if (!request.has_inputs)
        return request_error_set(error, 400, "\"inputs\" is missing.");
    ret_options->id = request.id;
    ret_options->wants_logits = request.parameters[LOGITS].flag == FLAG_TRUE;
    ret_options->binary_output =
        request.binary.flag == FLAG_TRUE ||
        (request.binary.flag == FLAG_UNSET && request.parameters[BINARY_OUTPUTS].flag == FLAG_TRUE);
    return frame_require_rows(frame, error);
}
