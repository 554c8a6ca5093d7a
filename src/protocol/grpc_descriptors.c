/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_descriptors.h"

#include <stdio.h>

/* ---- the table ---- */

enum kind {
    MESSAGE_ROW,
    ENUM_ROW,
    SERVICE_ROW,
    END_ROW,
    FIELD_ROW,
    MAP_ROW,
    VALUE_ROW,
    METHOD_ROW
};

/* As descriptor.proto numbers them. */
enum type {
    TYPE_DOUBLE = 1,
    TYPE_FLOAT = 2,
    TYPE_INT64 = 3,
    TYPE_UINT64 = 4,
    TYPE_INT32 = 5,
    TYPE_BOOL = 8,
    TYPE_STRING = 9,
    TYPE_MESSAGE = 11,
    TYPE_BYTES = 12,
    TYPE_UINT32 = 13,
    TYPE_ENUM = 14
};

enum label { ONE = 1, MANY = 3 };

/* A line of a .proto file: what belongs to a message, an enum or a service stands between its line
 * and its END. Names of types are those within the file's package. */
struct row {
    enum kind kind;
    const char *name;
    uint32_t number;
    enum type type;
    enum label label;
    const char *of;    /* the type of a field, the values of a map, the request of a method */
    const char *reply; /* of a method */
    const char *oneof; /* the choice that a field belongs to; a message has one at most */
    bool streams_in, streams_out;
};

#define MESSAGE(name_)                                                                             \
    {                                                                                              \
        .kind = MESSAGE_ROW, .name = name_                                                         \
    }
#define ENUM(name_)                                                                                \
    {                                                                                              \
        .kind = ENUM_ROW, .name = name_                                                            \
    }
#define SERVICE(name_)                                                                             \
    {                                                                                              \
        .kind = SERVICE_ROW, .name = name_                                                         \
    }
#define END                                                                                        \
    {                                                                                              \
        .kind = END_ROW                                                                            \
    }
#define VALUE(number_, name_)                                                                      \
    {                                                                                              \
        .kind = VALUE_ROW, .name = name_, .number = number_                                        \
    }
#define MAP(number_, name_, of_)                                                                   \
    {                                                                                              \
        .kind = MAP_ROW, .name = name_, .number = number_, .of = of_                               \
    }
#define FIELD(number_, name_, label_, type_)                                                       \
    {                                                                                              \
        .kind = FIELD_ROW, .name = name_, .number = number_, .label = label_, .type = TYPE_##type_ \
    }
#define FIELD_OF(number_, name_, label_, type_, of_)                                               \
    {                                                                                              \
        .kind = FIELD_ROW, .name = name_, .number = number_, .label = label_,                      \
        .type = TYPE_##type_, .of = of_                                                            \
    }
#define CHOICE(oneof_, number_, name_, type_)                                                      \
    {                                                                                              \
        .kind = FIELD_ROW, .name = name_, .number = number_, .label = ONE, .type = TYPE_##type_,   \
        .oneof = oneof_                                                                            \
    }
#define CHOICE_OF(oneof_, number_, name_, of_)                                                     \
    {                                                                                              \
        .kind = FIELD_ROW, .name = name_, .number = number_, .label = ONE, .type = TYPE_MESSAGE,   \
        .of = of_, .oneof = oneof_                                                                 \
    }
#define METHOD(name_)                                                                              \
    {                                                                                              \
        .kind = METHOD_ROW, .name = name_, .of = name_ "Request", .reply = name_ "Response"        \
    }

/* The Open Inference Protocol as KServe has it; of Triton's, the index of the repository and the
 * last two choices of a parameter. */
static const struct row inference[] = {
    MESSAGE("ServerLiveRequest"),
    END,
    MESSAGE("ServerLiveResponse"),
    FIELD(1, "live", ONE, BOOL),
    END,
    MESSAGE("ServerReadyRequest"),
    END,
    MESSAGE("ServerReadyResponse"),
    FIELD(1, "ready", ONE, BOOL),
    END,
    MESSAGE("ModelReadyRequest"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "version", ONE, STRING),
    END,
    MESSAGE("ModelReadyResponse"),
    FIELD(1, "ready", ONE, BOOL),
    END,
    MESSAGE("ServerMetadataRequest"),
    END,
    MESSAGE("ServerMetadataResponse"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "version", ONE, STRING),
    FIELD(3, "extensions", MANY, STRING),
    END,
    MESSAGE("ModelMetadataRequest"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "version", ONE, STRING),
    END,
    MESSAGE("ModelMetadataResponse"),
    MESSAGE("TensorMetadata"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "datatype", ONE, STRING),
    FIELD(3, "shape", MANY, INT64),
    END,
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "versions", MANY, STRING),
    FIELD(3, "platform", ONE, STRING),
    FIELD_OF(4, "inputs", MANY, MESSAGE, "ModelMetadataResponse.TensorMetadata"),
    FIELD_OF(5, "outputs", MANY, MESSAGE, "ModelMetadataResponse.TensorMetadata"),
    END,
    MESSAGE("ModelInferRequest"),
    MESSAGE("InferInputTensor"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "datatype", ONE, STRING),
    FIELD(3, "shape", MANY, INT64),
    MAP(4, "parameters", "InferParameter"),
    FIELD_OF(5, "contents", ONE, MESSAGE, "InferTensorContents"),
    END,
    MESSAGE("InferRequestedOutputTensor"),
    FIELD(1, "name", ONE, STRING),
    MAP(2, "parameters", "InferParameter"),
    END,
    FIELD(1, "model_name", ONE, STRING),
    FIELD(2, "model_version", ONE, STRING),
    FIELD(3, "id", ONE, STRING),
    MAP(4, "parameters", "InferParameter"),
    FIELD_OF(5, "inputs", MANY, MESSAGE, "ModelInferRequest.InferInputTensor"),
    FIELD_OF(6, "outputs", MANY, MESSAGE, "ModelInferRequest.InferRequestedOutputTensor"),
    FIELD(7, "raw_input_contents", MANY, BYTES),
    END,
    MESSAGE("ModelInferResponse"),
    MESSAGE("InferOutputTensor"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "datatype", ONE, STRING),
    FIELD(3, "shape", MANY, INT64),
    MAP(4, "parameters", "InferParameter"),
    FIELD_OF(5, "contents", ONE, MESSAGE, "InferTensorContents"),
    END,
    FIELD(1, "model_name", ONE, STRING),
    FIELD(2, "model_version", ONE, STRING),
    FIELD(3, "id", ONE, STRING),
    MAP(4, "parameters", "InferParameter"),
    FIELD_OF(5, "outputs", MANY, MESSAGE, "ModelInferResponse.InferOutputTensor"),
    FIELD(6, "raw_output_contents", MANY, BYTES),
    END,
    MESSAGE("InferParameter"),
    CHOICE("parameter_choice", 1, "bool_param", BOOL),
    CHOICE("parameter_choice", 2, "int64_param", INT64),
    CHOICE("parameter_choice", 3, "string_param", STRING),
    CHOICE("parameter_choice", 4, "double_param", DOUBLE),
    CHOICE("parameter_choice", 5, "uint64_param", UINT64),
    END,
    MESSAGE("InferTensorContents"),
    FIELD(1, "bool_contents", MANY, BOOL),
    FIELD(2, "int_contents", MANY, INT32),
    FIELD(3, "int64_contents", MANY, INT64),
    FIELD(4, "uint_contents", MANY, UINT32),
    FIELD(5, "uint64_contents", MANY, UINT64),
    FIELD(6, "fp32_contents", MANY, FLOAT),
    FIELD(7, "fp64_contents", MANY, DOUBLE),
    FIELD(8, "bytes_contents", MANY, BYTES),
    END,
    MESSAGE("RepositoryModelLoadRequest"),
    FIELD(1, "model_name", ONE, STRING),
    END,
    MESSAGE("RepositoryModelLoadResponse"),
    FIELD(1, "model_name", ONE, STRING),
    FIELD(2, "isLoaded", ONE, BOOL),
    END,
    MESSAGE("RepositoryModelUnloadRequest"),
    FIELD(1, "model_name", ONE, STRING),
    END,
    MESSAGE("RepositoryModelUnloadResponse"),
    FIELD(1, "model_name", ONE, STRING),
    FIELD(2, "isUnloaded", ONE, BOOL),
    END,
    MESSAGE("RepositoryIndexRequest"),
    FIELD(1, "repository_name", ONE, STRING),
    FIELD(2, "ready", ONE, BOOL),
    END,
    MESSAGE("RepositoryIndexResponse"),
    MESSAGE("ModelIndex"),
    FIELD(1, "name", ONE, STRING),
    FIELD(2, "version", ONE, STRING),
    FIELD(3, "state", ONE, STRING),
    FIELD(4, "reason", ONE, STRING),
    END,
    FIELD_OF(1, "models", MANY, MESSAGE, "RepositoryIndexResponse.ModelIndex"),
    END,
    SERVICE("GRPCInferenceService"),
    METHOD("ServerLive"),
    METHOD("ServerReady"),
    METHOD("ModelReady"),
    METHOD("ServerMetadata"),
    METHOD("ModelMetadata"),
    METHOD("ModelInfer"),
    METHOD("RepositoryModelLoad"),
    METHOD("RepositoryModelUnload"),
    METHOD("RepositoryIndex"),
    END,
};

static const struct row health[] = {
    MESSAGE("HealthCheckRequest"),
    FIELD(1, "service", ONE, STRING),
    END,
    MESSAGE("HealthCheckResponse"),
    ENUM("ServingStatus"),
    VALUE(0, "UNKNOWN"),
    VALUE(1, "SERVING"),
    VALUE(2, "NOT_SERVING"),
    VALUE(3, "SERVICE_UNKNOWN"),
    END,
    FIELD_OF(1, "status", ONE, ENUM, "HealthCheckResponse.ServingStatus"),
    END,
    SERVICE("Health"),
    {.kind = METHOD_ROW,
     .name = "Check",
     .of = "HealthCheckRequest",
     .reply = "HealthCheckResponse"},
    {.kind = METHOD_ROW,
     .name = "Watch",
     .of = "HealthCheckRequest",
     .reply = "HealthCheckResponse",
     .streams_out = true},
    END,
};

/* The same in v1 and v1alpha. */
static const struct row reflection[] = {
    MESSAGE("ServerReflectionRequest"),
    FIELD(1, "host", ONE, STRING),
    CHOICE("message_request", 3, "file_by_filename", STRING),
    CHOICE("message_request", 4, "file_containing_symbol", STRING),
    CHOICE_OF("message_request", 5, "file_containing_extension", "ExtensionRequest"),
    CHOICE("message_request", 6, "all_extension_numbers_of_type", STRING),
    CHOICE("message_request", 7, "list_services", STRING),
    END,
    MESSAGE("ExtensionRequest"),
    FIELD(1, "containing_type", ONE, STRING),
    FIELD(2, "extension_number", ONE, INT32),
    END,
    MESSAGE("ServerReflectionResponse"),
    FIELD(1, "valid_host", ONE, STRING),
    FIELD_OF(2, "original_request", ONE, MESSAGE, "ServerReflectionRequest"),
    CHOICE_OF("message_response", 4, "file_descriptor_response", "FileDescriptorResponse"),
    CHOICE_OF("message_response", 5, "all_extension_numbers_response", "ExtensionNumberResponse"),
    CHOICE_OF("message_response", 6, "list_services_response", "ListServiceResponse"),
    CHOICE_OF("message_response", 7, "error_response", "ErrorResponse"),
    END,
    MESSAGE("FileDescriptorResponse"),
    FIELD(1, "file_descriptor_proto", MANY, BYTES),
    END,
    MESSAGE("ExtensionNumberResponse"),
    FIELD(1, "base_type_name", ONE, STRING),
    FIELD(2, "extension_number", MANY, INT32),
    END,
    MESSAGE("ListServiceResponse"),
    FIELD_OF(1, "service", MANY, MESSAGE, "ServiceResponse"),
    END,
    MESSAGE("ServiceResponse"),
    FIELD(1, "name", ONE, STRING),
    END,
    MESSAGE("ErrorResponse"),
    FIELD(1, "error_code", ONE, INT32),
    FIELD(2, "error_message", ONE, STRING),
    END,
    SERVICE("ServerReflection"),
    {.kind = METHOD_ROW,
     .name = "ServerReflectionInfo",
     .of = "ServerReflectionRequest",
     .reply = "ServerReflectionResponse",
     .streams_in = true,
     .streams_out = true},
    END,
};

#define ROWS(rows_) rows_, sizeof(rows_) / sizeof(rows_)[0]

static const struct grpc_file {
    const char *name, *package;
    const struct row *rows;
    size_t n_rows;
} files[] = {
    {"grpc_predict_v2.proto", "inference", ROWS(inference)},
    {"grpc/health/v1/health.proto", "grpc.health.v1", ROWS(health)},
    {"grpc/reflection/v1/reflection.proto", "grpc.reflection.v1", ROWS(reflection)},
    {"grpc/reflection/v1alpha/reflection.proto", "grpc.reflection.v1alpha", ROWS(reflection)},
};

enum { N_FILES = sizeof files / sizeof files[0], MAX_DEPTH = 3 };

/* ---- full names ---- */

/* The names of what is open, each with a dot before it, behind the package. */
struct scope {
    char name[GRPC_SYMBOL_MAX];
    size_t lengths[MAX_DEPTH]; /* before each that is open */
    size_t length;
    unsigned depth;
};

static void scope_init(struct scope *scope, const struct grpc_file *file)
{
    *scope = (struct scope){.length = strlen(file->package)};
    memcpy(scope->name, file->package, scope->length);
}

static void scope_enter(struct scope *scope, const char *name)
{
    scope->lengths[scope->depth++] = scope->length;
    scope->length += (size_t)snprintf(scope->name + scope->length,
                                      sizeof scope->name - scope->length, ".%s", name);
}

static void scope_leave(struct scope *scope)
{
    scope->length = scope->lengths[--scope->depth];
    scope->name[scope->length] = '\0';
}

/* A message, an enum or a service begins. */
static bool is_opening(const struct row *row)
{
    return row->kind < END_ROW;
}

static bool is_named(const struct scope *scope, const char *name, struct text symbol)
{
    return symbol.length == scope->length + 1 + strlen(name) &&
           memcmp(symbol.at, scope->name, scope->length) == 0 && symbol.at[scope->length] == '.' &&
           memcmp(symbol.at + scope->length + 1, name, strlen(name)) == 0;
}

static bool has_symbol(const struct grpc_file *file, struct text symbol, bool of_messages)
{
    struct scope scope;
    scope_init(&scope, file);
    for (const struct row *row = file->rows; row < file->rows + file->n_rows; row++) {
        const bool is_meant =
            of_messages ? row->kind == MESSAGE_ROW : row->kind != END_ROW && row->kind != VALUE_ROW;
        if (is_meant && is_named(&scope, row->name, symbol))
            return true;
        if (is_opening(row))
            scope_enter(&scope, row->name);
        else if (row->kind == END_ROW)
            scope_leave(&scope);
    }
    return false;
}

const struct grpc_file *grpc_file_find(struct text name)
{
    for (size_t i = 0; i < N_FILES; i++)
        if (text_is(name, files[i].name))
            return &files[i];
    return NULL;
}

const struct grpc_file *grpc_file_of_symbol(struct text symbol, bool of_messages)
{
    for (size_t i = 0; i < N_FILES; i++)
        if (has_symbol(&files[i], symbol, of_messages))
            return &files[i];
    return NULL;
}

/* Each file has one service. */
bool grpc_service_name(size_t i, char out[GRPC_SYMBOL_MAX])
{
    if (i >= N_FILES)
        return false;
    const struct row *row = files[i].rows;
    while (row->kind != SERVICE_ROW)
        row++;
    snprintf(out, GRPC_SYMBOL_MAX, "%s.%s", files[i].package, row->name);
    return true;
}

/* ---- as descriptor.proto has them ---- */

/* ".inference.ModelInferRequest" */
static void put_type_name(struct protobuf_writer *writer, uint32_t number, const char *scope,
                          const char *name)
{
    char full[GRPC_SYMBOL_MAX];
    const int length = snprintf(full, sizeof full, ".%s.%s", scope, name);
    protobuf_put_text(writer, number, (struct text){full, (size_t)length});
}

/* FieldDescriptorProto, but for what its message has to be asked for. */
static size_t begin_field(struct protobuf_writer *writer, const char *name, uint32_t number,
                          enum label label, enum type type)
{
    const size_t field = protobuf_begin(writer, 2);
    protobuf_put_text(writer, 1, text_of(name));
    protobuf_put_varint(writer, 3, number);
    protobuf_put_varint(writer, 4, label);
    protobuf_put_varint(writer, 5, type);
    return field;
}

static void put_field(struct protobuf_writer *writer, const struct grpc_file *file,
                      const struct row *row)
{
    const size_t field = begin_field(writer, row->name, row->number, row->label, row->type);
    if (row->of)
        put_type_name(writer, 6, file->package, row->of);
    if (row->oneof) { /* index 0, which is written although it is 0: a field may have none */
        protobuf_put_packed(writer, 9 << 3 | PROTOBUF_VARINT);
        protobuf_put_packed(writer, 0);
    }
    protobuf_end(writer, field);
}

/* map<string, OF> is a list of a message of its own, {1: key, 2: value}. All are "parameters". */
static void put_map(struct protobuf_writer *writer, const struct grpc_file *file,
                    const struct scope *scope, const struct row *row)
{
    static const char entry_name[] = "ParametersEntry";
    const size_t entry = protobuf_begin(writer, 3);
    protobuf_put_text(writer, 1, text_of(entry_name));
    protobuf_end(writer, begin_field(writer, "key", 1, ONE, TYPE_STRING));
    const size_t value = begin_field(writer, "value", 2, ONE, TYPE_MESSAGE);
    put_type_name(writer, 6, file->package, row->of);
    protobuf_end(writer, value);
    const size_t options = protobuf_begin(writer, 7);
    protobuf_put_varint(writer, 7, true); /* map_entry */
    protobuf_end(writer, options);
    protobuf_end(writer, entry);
    const size_t field = begin_field(writer, row->name, row->number, MANY, TYPE_MESSAGE);
    put_type_name(writer, 6, scope->name, entry_name);
    protobuf_end(writer, field);
}

/* EnumValueDescriptorProto; the number of the first is 0 and has to be there. */
static void put_value(struct protobuf_writer *writer, const struct row *row)
{
    const size_t value = protobuf_begin(writer, 2);
    protobuf_put_text(writer, 1, text_of(row->name));
    protobuf_put_packed(writer, 2 << 3 | PROTOBUF_VARINT);
    protobuf_put_packed(writer, row->number);
    protobuf_end(writer, value);
}

static void put_method(struct protobuf_writer *writer, const struct grpc_file *file,
                       const struct row *row)
{
    const size_t method = protobuf_begin(writer, 2);
    protobuf_put_text(writer, 1, text_of(row->name));
    put_type_name(writer, 2, file->package, row->of);
    put_type_name(writer, 3, file->package, row->reply);
    protobuf_put_varint(writer, 5, row->streams_in);
    protobuf_put_varint(writer, 6, row->streams_out);
    protobuf_end(writer, method);
}

/* Within a file, and within a message. */
static size_t begin_type(struct protobuf_writer *writer, const struct row *row, bool is_nested)
{
    static const uint32_t numbers[][2] = {
        [MESSAGE_ROW] = {4, 3}, [ENUM_ROW] = {5, 4}, [SERVICE_ROW] = {6, 0}};
    const size_t begun = protobuf_begin(writer, numbers[row->kind][is_nested]);
    protobuf_put_text(writer, 1, text_of(row->name));
    /* The choice of its fields. */
    for (const struct row *next = row + 1; next->kind == FIELD_ROW; next++)
        if (next->oneof) {
            const size_t oneof = protobuf_begin(writer, 8);
            protobuf_put_text(writer, 1, text_of(next->oneof));
            protobuf_end(writer, oneof);
            break;
        }
    return begun;
}

static void put_row(struct protobuf_writer *writer, const struct grpc_file *file,
                    const struct scope *scope, const struct row *row)
{
    if (row->kind == FIELD_ROW)
        put_field(writer, file, row);
    else if (row->kind == MAP_ROW)
        put_map(writer, file, scope, row);
    else if (row->kind == VALUE_ROW)
        put_value(writer, row);
    else
        put_method(writer, file, row);
}

void grpc_file_put(struct protobuf_writer *writer, const struct grpc_file *file)
{
    struct scope scope;
    size_t begun[MAX_DEPTH];
    scope_init(&scope, file);
    protobuf_put_text(writer, 1, text_of(file->name));
    protobuf_put_text(writer, 2, text_of(file->package));
    for (const struct row *row = file->rows; row < file->rows + file->n_rows; row++) {
        if (is_opening(row)) {
            begun[scope.depth] = begin_type(writer, row, scope.depth > 0);
            scope_enter(&scope, row->name);
        } else if (row->kind == END_ROW) {
            scope_leave(&scope);
            protobuf_end(writer, begun[scope.depth]);
        } else {
            put_row(writer, file, &scope, row);
        }
    }
    protobuf_put_text(writer, 12, text_of("proto3"));
}
