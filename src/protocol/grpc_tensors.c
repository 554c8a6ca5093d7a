/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_tensors.h"

#include <inttypes.h>

#include "protocol/request_tensor.h"
#include "protocol/tensor_content.h"

/* Fields of InferTensorContents, by number: each holds the values of some datatypes. */
enum { N_CONTENTS = 8, BYTES_CONTENTS = 8 };

static const struct {
    const char *name;
    enum protobuf_wire wire;
    enum datatype as; /* what its values are, the widest of those datatypes */
} contents_fields[N_CONTENTS + 1] = {
    [1] = {"bool_contents", PROTOBUF_VARINT, DATATYPE_BOOL},
    [2] = {"int_contents", PROTOBUF_VARINT, DATATYPE_INT32},
    [3] = {"int64_contents", PROTOBUF_VARINT, DATATYPE_INT64},
    [4] = {"uint_contents", PROTOBUF_VARINT, DATATYPE_UINT32},
    [5] = {"uint64_contents", PROTOBUF_VARINT, DATATYPE_UINT64},
    [6] = {"fp32_contents", PROTOBUF_FIXED32, DATATYPE_FP32},
    [7] = {"fp64_contents", PROTOBUF_FIXED64, DATATYPE_FP64},
    [BYTES_CONTENTS] = {"bytes_contents", PROTOBUF_BYTES, DATATYPE_BYTES},
};

/* Field of a datatype's values; 0: raw_input_contents alone can hold them. */
static const uint8_t field_of[] = {
    [DATATYPE_BOOL] = 1,
    [DATATYPE_INT8] = 2,
    [DATATYPE_INT16] = 2,
    [DATATYPE_INT32] = 2,
    [DATATYPE_INT64] = 3,
    [DATATYPE_UINT8] = 4,
    [DATATYPE_UINT16] = 4,
    [DATATYPE_UINT32] = 4,
    [DATATYPE_UINT64] = 5,
    [DATATYPE_FP16] = 0,
    [DATATYPE_FP32] = 6,
    [DATATYPE_FP64] = 7,
    [DATATYPE_BYTES] = BYTES_CONTENTS,
};

/* One InferInputTensor. */
struct tensor {
    struct text name, datatype_name;
    enum datatype datatype;
    struct input_shape shape;
    struct text content_type_name;
    enum tensor_content content_type;
    struct text contents; /* that are not empty: from the first of their fields to the input's end;
                           * at == NULL: there are none */
    uint32_t column;      /* or SCHEMA_NOT_FOUND */
    uint64_t n_values;    /* in the contents, as far as they are read */
};

/* Columns that the model lacks: those of the fewest and of the most rows. */
struct other_columns {
    uint32_t n;
    struct {
        struct text name;
        uint64_t n_rows;
    } shortest, longest;
};

struct grpc_tensors {
    struct tensor_inputs inputs;
    struct protobuf_reader message; /* at the next input */
    struct protobuf_reader raw;     /* at the next of raw_input_contents */
    bool is_raw;
    struct other_columns others;
};

/* ---- an input without its values ---- */

static int add_dim(const struct grpc_tensors *tensors, struct input_shape *shape, uint64_t size)
{
    const char *what = input_shape_add(shape, size);
    return what ? tensor_wrong(&tensors->inputs, what) : 0;
}

/* Packed or not. */
static int read_shape(const struct grpc_tensors *tensors, const struct protobuf_reader *input,
                      const struct protobuf_field *field, struct input_shape *shape)
{
    if (field->wire == PROTOBUF_VARINT)
        return add_dim(tensors, shape, field->value);
    struct protobuf_reader packed = protobuf_embedded(input, field->bytes);
    uint64_t size;
    while (packed.at < packed.end)
        if (!protobuf_varint(&packed, &size) || add_dim(tensors, shape, size) != 0)
            return -1;
    return packed.failed ? -1 : 0;
}

/* "content_type": TEXT; other parameters are the client's own. */
static int read_parameter(const struct grpc_tensors *tensors, const struct protobuf_reader *input,
                          struct text entry, struct tensor *tensor)
{
    struct grpc_parameter parameter;
    if (grpc_parameter_read(input, entry, &parameter) != 0)
        return -1;
    if (!text_is(parameter.key, "content_type"))
        return 0;
    if (parameter.kind != PARAMETER_STRING && parameter.kind != PARAMETER_NONE)
        return tensor_wrong(&tensors->inputs, "\"content_type\" must be a string");
    tensor->content_type_name = parameter.text;
    tensor->content_type = tensor_content_find(parameter.text);
    return 0;
}

/* `start`: where the field begins. */
static int read_member(const struct grpc_tensors *tensors, struct protobuf_reader *input,
                       const struct protobuf_field *field, const char *start, struct tensor *tensor)
{
    if (field->number == 3 && (field->wire == PROTOBUF_BYTES || field->wire == PROTOBUF_VARINT))
        return read_shape(tensors, input, field, &tensor->shape);
    if (field->wire != PROTOBUF_BYTES)
        return 0;
    switch (field->number) {
    case 1:
        return protobuf_text(input, field, &tensor->name) ? 0 : -1;
    case 2:
        return protobuf_text(input, field, &tensor->datatype_name) ? 0 : -1;
    case 4:
        return read_parameter(tensors, input, field->bytes, tensor);
    case 5:
        if (tensor->contents.at == NULL && field->bytes.length > 0)
            tensor->contents = (struct text){start, (size_t)(input->end - start)};
        return 0;
    default:
        return 0;
    }
}

static int check_members(const struct grpc_tensors *tensors, const struct tensor *tensor)
{
    const struct tensor_inputs *inputs = &tensors->inputs;
    if (tensor->name.length == 0)
        return tensor_wrong(inputs, "\"name\" is missing");
    if (tensor->shape.n_dims == 0)
        return request_error_set(inputs->error, 400, "Input \"%.*s\": \"shape\" is missing.",
                                 TEXT_SHOWN(tensor->name));
    if (tensor->datatype == DATATYPE_UNKNOWN)
        return tensor_unknown_datatype(inputs, tensor->name, tensor->datatype_name);
    if (tensors->is_raw && tensor->contents.at)
        return request_error_set(inputs->error, 400,
                                 "Input \"%.*s\" has \"contents\", and the request has "
                                 "\"raw_input_contents\": one of them holds the values of all.",
                                 TEXT_SHOWN(tensor->name));
    if (!tensors->is_raw && field_of[tensor->datatype] == 0)
        return request_error_set(inputs->error, 400,
                                 "Input \"%.*s\": %s has no field in \"contents\"; send the values "
                                 "of all inputs in \"raw_input_contents\".",
                                 TEXT_SHOWN(tensor->name), datatype_name(tensor->datatype));
    return 0;
}

/* ---- its values in contents ---- */

static int wrong_field(const struct grpc_tensors *tensors, const struct tensor *tensor,
                       uint32_t number)
{
    return request_error_set(
        tensors->inputs.error, 400, "Input \"%.*s\": values of %s belong in \"%s\", not in \"%s\".",
        TEXT_SHOWN(tensor->name), datatype_name(tensor->datatype),
        contents_fields[field_of[tensor->datatype]].name, contents_fields[number].name);
}

static int append_number(const struct grpc_tensors *tensors, const struct tensor *tensor,
                         enum datatype as, uint64_t value, char *digits)
{
    const struct cell cell = datatype_cell(as, value, digits);
    return frame_append(tensors->inputs.frame, tensor->column, cell, tensors->inputs.error);
}

/* Room for the digits of `n` numbers, which are not all read if they are more than the rows that a
 * request may have. NULL: out of memory. */
static char *digits_for(const struct frame *frame, enum datatype as, uint64_t n)
{
    if (n > frame->max_rows)
        n = (uint64_t)frame->max_rows + 1;
    return arena_alloc(frame->arena, datatype_is_integer(as) ? n * DATATYPE_DIGITS_MAX : 0);
}

/* How many varints the bytes hold: those bytes that end one. */
static uint64_t count_varints(struct text packed)
{
    uint64_t n = 0;
    for (size_t i = 0; i < packed.length; i++)
        n += (unsigned char)packed.at[i] < 0x80;
    return n;
}

static int append_packed_varints(const struct grpc_tensors *tensors,
                                 const struct protobuf_reader *contents,
                                 const struct tensor *tensor, enum datatype as, struct text packed)
{
    struct protobuf_reader values = protobuf_embedded(contents, packed);
    const size_t step = datatype_is_integer(as) ? DATATYPE_DIGITS_MAX : 0;
    char *digits = digits_for(tensors->inputs.frame, as, count_varints(packed));
    uint64_t value;
    if (digits == NULL)
        return request_error_out_of_memory(tensors->inputs.error);
    for (; values.at < values.end; digits += step)
        if (!protobuf_varint(&values, &value) ||
            append_number(tensors, tensor, as, value, digits) != 0)
            return -1;
    return 0;
}

/* How many numbers are packed in the bytes. false: these end within one. */
static bool count_packed(enum protobuf_wire wire, struct text packed, uint64_t *ret_n)
{
    const size_t size = wire == PROTOBUF_FIXED64 ? sizeof(uint64_t) : sizeof(uint32_t);
    if (wire == PROTOBUF_VARINT) {
        *ret_n = count_varints(packed);
        return (unsigned char)packed.at[packed.length - 1] < 0x80;
    }
    *ret_n = packed.length / size;
    return packed.length % size == 0;
}

/* Of one byte or more. */
static int append_packed(const struct grpc_tensors *tensors, struct protobuf_reader *contents,
                         struct tensor *tensor, uint32_t number, struct text packed)
{
    const enum datatype as = contents_fields[number].as;
    uint64_t n;
    if (!count_packed(contents_fields[number].wire, packed, &n)) {
        protobuf_fail(contents, packed.at, "packed numbers that end within one");
        return -1;
    }
    tensor->n_values += n;
    if (tensor->column == SCHEMA_NOT_FOUND)
        return 0;
    if (contents_fields[number].wire == PROTOBUF_VARINT)
        return append_packed_varints(tensors, contents, tensor, as, packed);
    return datatype_read_binary(as, packed, n, tensors->inputs.frame, tensor->column,
                                tensors->inputs.error);
}

static int append_one(const struct grpc_tensors *tensors, struct tensor *tensor,
                      const struct protobuf_field *field)
{
    struct frame *frame = tensors->inputs.frame;
    tensor->n_values++;
    if (tensor->column == SCHEMA_NOT_FOUND)
        return 0;
    if (field->number == BYTES_CONTENTS)
        return datatype_append_text(field->bytes, tensor->n_values, frame, tensor->column,
                                    tensors->inputs.error);
    const enum datatype as = contents_fields[field->number].as;
    char *digits = digits_for(frame, as, 1);
    if (digits == NULL)
        return request_error_out_of_memory(tensors->inputs.error);
    return append_number(tensors, tensor, as, field->value, digits);
}

static int read_contents(const struct grpc_tensors *tensors, const struct protobuf_reader *input,
                         struct text bytes, struct tensor *tensor)
{
    struct protobuf_reader contents = protobuf_embedded(input, bytes);
    struct protobuf_field field;
    const uint32_t number = field_of[tensor->datatype];
    while (protobuf_next(&contents, &field)) {
        if (field.number > N_CONTENTS)
            continue;
        const enum protobuf_wire wire = contents_fields[field.number].wire;
        const bool is_packed = field.wire == PROTOBUF_BYTES && wire != PROTOBUF_BYTES;
        if ((field.wire != wire && !is_packed) || (is_packed && field.bytes.length == 0))
            continue;
        if (field.number != number)
            return wrong_field(tensors, tensor, field.number);
        if ((is_packed ? append_packed(tensors, &contents, tensor, number, field.bytes)
                       : append_one(tensors, tensor, &field)) != 0)
            return -1;
    }
    return contents.failed ? -1 : 0;
}

/* A message that comes in parts is one: the values of all parts, one after the other. */
static int read_parts(const struct grpc_tensors *tensors, struct tensor *tensor)
{
    struct protobuf_reader input = protobuf_embedded(&tensors->message, tensor->contents);
    struct protobuf_field field;
    while (protobuf_next(&input, &field))
        if (protobuf_is(&field, 5, PROTOBUF_BYTES) &&
            read_contents(tensors, &input, field.bytes, tensor) != 0)
            return -1;
    return 0; /* as a whole it was read before */
}

static int read_typed(const struct grpc_tensors *tensors, struct tensor *tensor)
{
    const struct tensor_inputs *inputs = &tensors->inputs;
    if (tensor->contents.at && read_parts(tensors, tensor) != 0)
        return -1;
    const bool is_list =
        tensor->column != SCHEMA_NOT_FOUND && schema_is_list(inputs->frame->schema, tensor->column);
    if (!is_list && tensor_check_count(inputs, tensor->name, &tensor->shape, tensor->n_values) != 0)
        return -1;
    /* A field may hold more than its datatype. */
    if (tensor->column == SCHEMA_NOT_FOUND || !datatype_is_integer(tensor->datatype) ||
        contents_fields[field_of[tensor->datatype]].as == tensor->datatype)
        return 0;
    return datatype_check(tensor->datatype, inputs->frame, tensor->column, inputs->error);
}

/* ---- all inputs ---- */

static int read_raw(struct grpc_tensors *tensors, const struct tensor *tensor)
{
    struct protobuf_field field;
    do {
        if (!protobuf_next(&tensors->raw, &field))
            return -1; /* never: they were counted */
    } while (!protobuf_is(&field, INFER_RAW_INPUT_CONTENTS, PROTOBUF_BYTES));
    if (tensor->column == SCHEMA_NOT_FOUND)
        return 0;
    return datatype_read_binary(tensor->datatype, field.bytes, tensor->shape.n_elements,
                                tensors->inputs.frame, tensor->column, tensors->inputs.error);
}

/* Its rows are compared when those of the model's columns are known. */
static void note_other_column(struct grpc_tensors *tensors, const struct tensor *tensor)
{
    struct other_columns *others = &tensors->others;
    const uint64_t n_rows = tensor->shape.first_dim;
    if (others->n == 0 || n_rows < others->shortest.n_rows) {
        others->shortest.name = tensor->name;
        others->shortest.n_rows = n_rows;
    }
    if (others->n++ == 0 || n_rows > others->longest.n_rows) {
        others->longest.name = tensor->name;
        others->longest.n_rows = n_rows;
    }
}

static int check_other_columns(const struct grpc_tensors *tensors)
{
    const struct frame *frame = tensors->inputs.frame;
    const struct other_columns *others = &tensors->others;
    const bool is_short = others->shortest.n_rows != frame->n_rows;
    const struct text name = is_short ? others->shortest.name : others->longest.name;
    const uint64_t n_rows = is_short ? others->shortest.n_rows : others->longest.n_rows;
    if (others->n == 0 || n_rows == frame->n_rows)
        return 0;
    return request_error_set(
        tensors->inputs.error, 400, "Input \"%.*s\" has %" PRIu64 " rows, input \"%.*s\" has %u.",
        TEXT_SHOWN(name), n_rows, TEXT_SHOWN(frame->schema->names[0]), frame->n_rows);
}

static int read_values(struct grpc_tensors *tensors, struct tensor *tensor)
{
    const struct tensor_inputs *inputs = &tensors->inputs;
    const uint32_t c = tensor_find_column(inputs, tensor->name);
    tensor->column = c;
    if (c != SCHEMA_NOT_FOUND && tensor_claim_column(inputs, c) != 0)
        return -1;
    if ((tensors->is_raw ? read_raw(tensors, tensor) : read_typed(tensors, tensor)) != 0)
        return -1;
    if (c == SCHEMA_NOT_FOUND) {
        note_other_column(tensors, tensor);
        return 0;
    }
    if (tensor->content_type != TENSOR_CONTENT_PLAIN &&
        tensor_content_decode(tensor->content_type, tensor->content_type_name, tensor->datatype,
                              inputs->frame, c, inputs->error) != 0)
        return -1;
    return schema_is_list(inputs->frame->schema, c)
               ? tensor_fold_lists(inputs, c, &tensor->shape, true)
               : 0;
}

static int read_input(struct grpc_tensors *tensors, struct text fields)
{
    struct tensor tensor = {.content_type = TENSOR_CONTENT_PLAIN};
    struct protobuf_reader input = protobuf_embedded(&tensors->message, fields);
    struct protobuf_field field;
    tensors->inputs.n++;
    const char *start = input.at;
    for (; protobuf_next(&input, &field); start = input.at)
        if (read_member(tensors, &input, &field, start, &tensor) != 0)
            return -1;
    if (input.failed)
        return -1;
    tensor.datatype = datatype_find(tensor.datatype_name);
    return check_members(tensors, &tensor) == 0 ? read_values(tensors, &tensor) : -1;
}

static int check_raw_count(const struct grpc_infer_request *request, struct request_error *error)
{
    if (request->n_raw == 0 || request->n_raw == request->n_inputs)
        return 0;
    return request_error_set(error, 400,
                             "The number of inputs, %u, is not that of \"raw_input_contents\", %u.",
                             request->n_inputs, request->n_raw);
}

/* The message was read once: it is one. */
static struct protobuf_reader reader_from(const struct grpc_infer_request *request, const char *at,
                                          struct request_error *error)
{
    struct protobuf_reader reader;
    protobuf_init(&reader, request->message, error);
    reader.at = at ? at : reader.end;
    return reader;
}

int grpc_tensors_read(const struct grpc_infer_request *request, struct frame *frame,
                      struct request_error *error)
{
    struct grpc_tensors tensors = {.message = reader_from(request, request->first_input, error),
                                   .raw = reader_from(request, request->first_raw, error),
                                   .is_raw = request->n_raw > 0};
    struct protobuf_field field;
    int status = 0;
    if (check_raw_count(request, error) != 0)
        return -1;
    if (tensor_inputs_init(&tensors.inputs, frame, "contents", error) != 0)
        return request_error_out_of_memory(error);
    tensor_inputs_begin(&tensors.inputs);
    while (status == 0 && protobuf_next(&tensors.message, &field))
        if (protobuf_is(&field, INFER_INPUTS, PROTOBUF_BYTES))
            status = read_input(&tensors, field.bytes);
    tensor_inputs_leave(&tensors.inputs);
    if (status != 0 || tensor_inputs_finish(&tensors.inputs) != 0)
        return -1;
    return check_other_columns(&tensors);
}
