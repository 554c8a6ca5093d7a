/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_messages.h"

#include "protocol/protobuf.h"
#include "protocol/request_tensor.h"

/* ---- requests ---- */

enum { MAX_FIELDS = 3 };

/* What a small message holds, by field number; a field of another wire type was not sent. */
struct small_message {
    struct text texts[MAX_FIELDS + 1]; /* of PROTOBUF_BYTES, the last of each */
    uint64_t numbers[MAX_FIELDS + 1];  /* of PROTOBUF_VARINT */
    bool has_text[MAX_FIELDS + 1];
};

/* The first `n_texts` fields are texts, the others may be anything. */
static int read_small(struct text message, unsigned n_texts, struct small_message *ret,
                      struct request_error *error)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    *ret = (struct small_message){0};
    for (unsigned i = 0; i <= MAX_FIELDS; i++)
        ret->texts[i].at = "";
    protobuf_init(&reader, message, error);
    while (protobuf_next(&reader, &field)) {
        if (field.number > MAX_FIELDS)
            continue;
        if (field.wire == PROTOBUF_VARINT)
            ret->numbers[field.number] = field.value;
        if (field.wire != PROTOBUF_BYTES)
            continue;
        ret->has_text[field.number] = true;
        if (field.number <= n_texts && !protobuf_text(&reader, &field, &ret->texts[field.number]))
            return -1;
    }
    return reader.failed ? -1 : 0;
}

int grpc_read_empty(struct text message, struct request_error *error)
{
    struct small_message small;
    return read_small(message, 0, &small, error);
}

int grpc_read_model_name(struct text message, struct grpc_model_name *ret,
                         struct request_error *error)
{
    struct small_message small;
    if (read_small(message, 2, &small, error) != 0)
        return -1;
    *ret = (struct grpc_model_name){.name = small.texts[1], .version = small.texts[2]};
    return 0;
}

/* KServe's model name is field 1; Triton's is field 2, and its field 1 a repository. */
int grpc_read_repository_model(struct text message, struct grpc_repository_model *ret,
                               struct request_error *error)
{
    struct small_message small;
    if (read_small(message, 2, &small, error) != 0)
        return -1;
    const bool is_tritons = small.has_text[2];
    *ret =
        (struct grpc_repository_model){.repository = is_tritons ? small.texts[1] : small.texts[0],
                                       .name = small.texts[is_tritons ? 2 : 1],
                                       .has_parameters = small.has_text[3]};
    return 0;
}

int grpc_read_index(struct text message, struct grpc_index_request *ret,
                    struct request_error *error)
{
    struct small_message small;
    if (read_small(message, 1, &small, error) != 0)
        return -1;
    *ret = (struct grpc_index_request){.repository = small.texts[1],
                                       .ready_only = small.numbers[2] != 0};
    return 0;
}

int grpc_read_health(struct text message, struct text *ret_service, struct request_error *error)
{
    struct small_message small;
    if (read_small(message, 1, &small, error) != 0)
        return -1;
    *ret_service = small.texts[1];
    return 0;
}

/* ---- replies ---- */

enum { SMALL_BYTES = 64, TENSOR_BYTES = 48 }; /* what most take, without their names */

struct text grpc_render_flag(struct arena *arena, bool value)
{
    struct protobuf_writer reply;
    protobuf_writer_init(&reply, arena, SMALL_BYTES);
    protobuf_put_varint(&reply, 1, value);
    return protobuf_written(&reply);
}

struct text grpc_render_server(struct arena *arena, const char *name, const char *version,
                               const char *const *extensions, size_t n_extensions)
{
    struct protobuf_writer reply;
    protobuf_writer_init(&reply, arena, SMALL_BYTES);
    protobuf_put_text(&reply, 1, text_of(name));
    protobuf_put_text(&reply, 2, text_of(version));
    for (size_t i = 0; i < n_extensions; i++)
        protobuf_put_bytes(&reply, 3, text_of(extensions[i]));
    return protobuf_written(&reply);
}

static void put_tensor(struct protobuf_writer *reply, uint32_t number,
                       const struct tensor_description *description)
{
    const size_t tensor = protobuf_begin(reply, number);
    protobuf_put_text(reply, 1, description->name);
    protobuf_put_text(reply, 2, text_of(description->datatype));
    const size_t shape = protobuf_begin(reply, 3);
    for (unsigned i = 0; i < description->n_dims; i++)
        protobuf_put_packed(reply, (uint64_t)(int64_t)description->shape[i]);
    protobuf_end(reply, shape);
    protobuf_end(reply, tensor);
}

struct text grpc_render_model(struct arena *arena, const char *name, const struct schema *schema)
{
    struct protobuf_writer reply;
    const uint32_t n = schema_n_columns(schema);
    struct tensor_description tensor;
    protobuf_writer_init(&reply, arena, (n + 2) * TENSOR_BYTES);
    protobuf_put_text(&reply, 1, text_of(name));
    protobuf_put_text(&reply, 3, text_of("dcnv2"));
    for (uint32_t c = 0; c < n; c++) {
        tensor = tensor_describe_input(schema, c);
        put_tensor(&reply, 4, &tensor);
    }
    tensor = tensor_describe_output();
    put_tensor(&reply, 5, &tensor);
    return protobuf_written(&reply);
}

struct text grpc_render_repository_model(struct arena *arena, const char *name)
{
    struct protobuf_writer reply;
    protobuf_writer_init(&reply, arena, SMALL_BYTES);
    protobuf_put_text(&reply, 1, text_of(name));
    protobuf_put_varint(&reply, 2, true);
    return protobuf_written(&reply);
}

struct text grpc_render_index(struct arena *arena, const char *name, bool is_ready,
                              const char *reason)
{
    struct protobuf_writer reply;
    protobuf_writer_init(&reply, arena, SMALL_BYTES);
    if (name) {
        const size_t model = protobuf_begin(&reply, 1);
        protobuf_put_text(&reply, 1, text_of(name));
        protobuf_put_text(&reply, 3, text_of(is_ready ? "READY" : "UNAVAILABLE"));
        protobuf_put_text(&reply, 4, text_of(reason));
        protobuf_end(&reply, model);
    }
    return protobuf_written(&reply);
}

struct text grpc_render_health(struct arena *arena, enum grpc_health health)
{
    struct protobuf_writer reply;
    protobuf_writer_init(&reply, arena, SMALL_BYTES);
    protobuf_put_varint(&reply, 1, health);
    return protobuf_written(&reply);
}
