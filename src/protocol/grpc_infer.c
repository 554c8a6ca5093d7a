/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_infer.h"

#include "protocol/grpc_tensors.h"
#include "protocol/request_tensor.h"
#include "protocol/v2.h"

/* ---- parameters ---- */

/* InferParameter, a choice of one: the last counts, also where the message comes in parts. */
static int read_choice(const struct protobuf_reader *outer, struct text bytes,
                       struct grpc_parameter *parameter)
{
    static const enum protobuf_wire wires[] = {
        [PARAMETER_BOOL] = PROTOBUF_VARINT,   [PARAMETER_INT64] = PROTOBUF_VARINT,
        [PARAMETER_STRING] = PROTOBUF_BYTES,  [PARAMETER_DOUBLE] = PROTOBUF_FIXED64,
        [PARAMETER_UINT64] = PROTOBUF_VARINT,
    };
    struct protobuf_reader choice = protobuf_embedded(outer, bytes);
    struct protobuf_field field;
    while (protobuf_next(&choice, &field)) {
        if (field.number > PARAMETER_UINT64 || field.wire != wires[field.number])
            continue;
        parameter->kind = field.number;
        if (parameter->kind == PARAMETER_BOOL)
            parameter->boolean = field.value != 0;
        if (parameter->kind == PARAMETER_STRING &&
            !protobuf_text(&choice, &field, &parameter->text))
            return -1;
    }
    return choice.failed ? -1 : 0;
}

int grpc_parameter_read(const struct protobuf_reader *outer, struct text bytes,
                        struct grpc_parameter *ret)
{
    struct protobuf_reader entry = protobuf_embedded(outer, bytes);
    struct protobuf_field field;
    *ret = (struct grpc_parameter){.kind = PARAMETER_NONE};
    while (protobuf_next(&entry, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_BYTES) && !protobuf_text(&entry, &field, &ret->key))
            return -1;
        if (protobuf_is(&field, 2, PROTOBUF_BYTES) && read_choice(&entry, field.bytes, ret) != 0)
            return -1;
    }
    return entry.failed ? -1 : 0;
}

/* What a client asks for with a boolean parameter. */
struct flag {
    const char *name;
    bool is_set, value;
};

/* Sets the flag if the entry is of its name; one without a value unsets it. */
static int read_flag(const struct protobuf_reader *outer, struct text entry, struct flag *flags,
                     size_t n)
{
    static const char *const kinds[] = {
        "", "", "an integer", "a string", "a number", "an integer",
    };
    struct grpc_parameter parameter;
    if (grpc_parameter_read(outer, entry, &parameter) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!text_is(parameter.key, flags[i].name))
            continue;
        if (parameter.kind > PARAMETER_BOOL)
            return request_error_set(outer->error, 400, "\"%s\" must be true or false, not %s.",
                                     flags[i].name, kinds[parameter.kind]);
        flags[i].is_set = parameter.kind == PARAMETER_BOOL;
        flags[i].value = flags[i].is_set && parameter.boolean;
    }
    return 0;
}

/* ---- the message without its tensors ---- */

/* Of the request; and of the output, which beats BINARY_OUTPUTS. */
enum { BINARY_OUTPUTS, LOGITS, N_REQUEST_FLAGS, BINARY = N_REQUEST_FLAGS, N_FLAGS };

/* There is one output: what is said last counts. */
static int read_output(const struct protobuf_reader *outer, struct text bytes, struct flag *binary,
                       struct text *ret_unknown)
{
    struct protobuf_reader output = protobuf_embedded(outer, bytes);
    struct protobuf_field field;
    struct text name = {"", 0};
    while (protobuf_next(&output, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_BYTES) && !protobuf_text(&output, &field, &name))
            return -1;
        if (protobuf_is(&field, 2, PROTOBUF_BYTES) &&
            read_flag(&output, field.bytes, binary, 1) != 0)
            return -1;
    }
    if (ret_unknown->at == NULL && !text_is(name, TENSOR_OUTPUT_NAME))
        *ret_unknown = name;
    return output.failed ? -1 : 0;
}

/* `start`: where the field begins. */
static int open_field(struct grpc_infer_request *request, struct protobuf_reader *reader,
                      const struct protobuf_field *field, const char *start, struct flag *flags)
{
    struct grpc_infer_options *options = &request->options;
    if (field->wire != PROTOBUF_BYTES)
        return 0;
    switch (field->number) {
    case INFER_MODEL_NAME:
        return protobuf_text(reader, field, &options->model_name) ? 0 : -1;
    case INFER_MODEL_VERSION:
        return protobuf_text(reader, field, &options->model_version) ? 0 : -1;
    case INFER_ID:
        return protobuf_text(reader, field, &options->id) ? 0 : -1;
    case INFER_PARAMETERS:
        return read_flag(reader, field->bytes, flags, N_REQUEST_FLAGS);
    case INFER_OUTPUTS:
        return read_output(reader, field->bytes, &flags[BINARY], &request->unknown_output);
    case INFER_INPUTS:
        if (request->n_inputs++ == 0)
            request->first_input = start;
        return 0;
    case INFER_RAW_INPUT_CONTENTS:
        if (request->n_raw++ == 0)
            request->first_raw = start;
        return 0;
    default:
        return 0;
    }
}

int grpc_infer_open(struct text message, struct grpc_infer_request *ret,
                    struct request_error *error)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    struct flag flags[N_FLAGS] = {[BINARY_OUTPUTS] = {.name = "binary_data_output"},
                                  [LOGITS] = {.name = "logit"},
                                  [BINARY] = {.name = "binary_data"}};
    const struct text none = {"", 0};
    *ret = (struct grpc_infer_request){
        .message = message, .options = {.model_name = none, .model_version = none, .id = none}};
    if (message.length > INT32_MAX)
        return request_error_set(error, 413, "A message of protobuf has less than 2 GiB.");
    protobuf_init(&reader, message, error);
    const char *start = reader.at;
    for (; protobuf_next(&reader, &field); start = reader.at)
        if (open_field(ret, &reader, &field, start, flags) != 0)
            return -1;
    const struct flag *binary = flags[BINARY].is_set ? &flags[BINARY] : &flags[BINARY_OUTPUTS];
    ret->options.wants_logits = flags[LOGITS].value;
    ret->options.raw_output = binary->is_set ? binary->value : ret->n_raw > 0;
    return reader.failed ? -1 : 0;
}

int grpc_infer_read(const struct grpc_infer_request *request, struct frame *frame,
                    const char *model_name, struct request_error *error)
{
    if (!text_is(request->options.model_name, model_name))
        return request_error_set(error, 404, "Model with name %.*s does not exist.",
                                 TEXT_SHOWN(request->options.model_name));
    if (request->unknown_output.at)
        return tensor_check_output(request->unknown_output, model_name, error);
    if (grpc_tensors_read(request, frame, error) != 0)
        return -1;
    return frame_require_rows(frame, error);
}

int grpc_infer_parse(struct frame *frame, struct text message, const char *model_name,
                     struct grpc_infer_options *ret, struct request_error *error)
{
    struct grpc_infer_request request;
    if (grpc_infer_open(message, &request, error) != 0 ||
        grpc_infer_read(&request, frame, model_name, error) != 0)
        return -1;
    *ret = request.options;
    return 0;
}

/* ---- the reply ---- */

enum { FP32_CONTENTS = 6, RAW_OUTPUT_CONTENTS = 6, FIXED_BYTES_MAX = 128 };

/* InferOutputTensor, with its values if there are any. */
static void put_output(struct protobuf_writer *reply, uint32_t n_rows, struct text values)
{
    const size_t output = protobuf_begin(reply, 5);
    protobuf_put_text(reply, 1, text_of(TENSOR_OUTPUT_NAME));
    protobuf_put_text(reply, 2, text_of("FP32"));
    const size_t shape = protobuf_begin(reply, 3);
    protobuf_put_packed(reply, n_rows);
    protobuf_put_packed(reply, 1);
    protobuf_end(reply, shape);
    if (values.length) {
        const size_t contents = protobuf_begin(reply, 5);
        protobuf_put_bytes(reply, FP32_CONTENTS, values);
        protobuf_end(reply, contents);
    }
    protobuf_end(reply, output);
}

struct text grpc_infer_render(struct arena *arena, const char *model_name,
                              const struct grpc_infer_options *options,
                              const unsigned char random[16], const float *scores, uint32_t n_rows)
{
    struct protobuf_writer reply;
    char uuid[V2_UUID_LENGTH];
    const struct text name = text_of(model_name);
    const struct text values = {(const char *)scores, n_rows * sizeof *scores};
    struct text id = options->id;
    if (id.length == 0 && random) {
        v2_print_uuid(random, uuid);
        id = (struct text){uuid, sizeof uuid};
    }
    protobuf_writer_init(&reply, arena, FIXED_BYTES_MAX + name.length + id.length + values.length);
    protobuf_put_text(&reply, 1, name);
    protobuf_put_text(&reply, 3, id);
    put_output(&reply, n_rows, options->raw_output ? (struct text){"", 0} : values);
    if (options->raw_output)
        protobuf_put_bytes(&reply, RAW_OUTPUT_CONTENTS, values);
    return protobuf_written(&reply);
}
