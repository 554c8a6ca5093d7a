/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/grpc_reflection.h"

#include "protocol/grpc_descriptors.h"
#include "protocol/grpc_status.h"

/* Field numbers of ServerReflectionRequest; of the choices the last one counts. */
enum {
    HOST = 1,
    FILE_BY_FILENAME = 3,
    FILE_CONTAINING_SYMBOL = 4,
    FILE_CONTAINING_EXTENSION = 5,
    ALL_EXTENSION_NUMBERS_OF_TYPE = 6,
    LIST_SERVICES = 7
};

/* And of ServerReflectionResponse. */
enum {
    VALID_HOST = 1,
    ORIGINAL_REQUEST = 2,
    FILE_DESCRIPTOR_RESPONSE = 4,
    ALL_EXTENSION_NUMBERS_RESPONSE = 5,
    LIST_SERVICES_RESPONSE = 6,
    ERROR_RESPONSE = 7
};

struct question {
    struct text host;
    uint32_t choice; /* 0: none */
    struct text of;  /* a name; of FILE_CONTAINING_EXTENSION a message, which is not looked at */
};

static int read_question(struct text message, struct question *ret, struct request_error *error)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    *ret = (struct question){.host = {"", 0}};
    protobuf_init(&reader, message, error);
    while (protobuf_next(&reader, &field)) {
        if (field.wire != PROTOBUF_BYTES)
            continue;
        if (field.number == HOST && !protobuf_text(&reader, &field, &ret->host))
            return -1;
        if (field.number < FILE_BY_FILENAME || field.number > LIST_SERVICES)
            continue;
        ret->choice = field.number;
        ret->of = field.bytes;
        if (field.number != FILE_CONTAINING_EXTENSION && !protobuf_text(&reader, &field, &ret->of))
            return -1;
    }
    return reader.failed ? -1 : 0;
}

static void put_error(struct protobuf_writer *reply, enum grpc_status status, const char *message)
{
    const size_t error = protobuf_begin(reply, ERROR_RESPONSE);
    protobuf_put_varint(reply, 1, status);
    protobuf_put_text(reply, 2, text_of(message));
    protobuf_end(reply, error);
}

static void put_unknown(struct protobuf_writer *reply, struct text name)
{
    struct request_error unknown; /* whose text is UTF-8, as one has to be */
    request_error_set(&unknown, 404, "\"%.*s\" is not known here; list_services says what is.",
                      TEXT_SHOWN(name));
    put_error(reply, GRPC_NOT_FOUND, unknown.message);
}

static void put_file(struct protobuf_writer *reply, const struct grpc_file *file)
{
    const size_t response = protobuf_begin(reply, FILE_DESCRIPTOR_RESPONSE);
    const size_t bytes = protobuf_begin(reply, 1);
    grpc_file_put(reply, file);
    protobuf_end(reply, bytes);
    protobuf_end(reply, response);
}

static void put_services(struct protobuf_writer *reply)
{
    const size_t response = protobuf_begin(reply, LIST_SERVICES_RESPONSE);
    char name[GRPC_SYMBOL_MAX];
    for (size_t i = 0; grpc_service_name(i, name); i++) {
        const size_t service = protobuf_begin(reply, 1);
        protobuf_put_text(reply, 1, text_of(name));
        protobuf_end(reply, service);
    }
    protobuf_end(reply, response);
}

/* No message here has extensions. */
static void put_no_extensions(struct protobuf_writer *reply, struct text type)
{
    const size_t response = protobuf_begin(reply, ALL_EXTENSION_NUMBERS_RESPONSE);
    protobuf_put_text(reply, 1, type);
    protobuf_end(reply, response);
}

static void put_answer(struct protobuf_writer *reply, const struct question *question)
{
    const struct text of = question->of;
    const struct grpc_file *file = NULL;
    switch (question->choice) {
    case FILE_BY_FILENAME:
        file = grpc_file_find(of);
        break;
    case FILE_CONTAINING_SYMBOL:
        file = grpc_file_of_symbol(of, false);
        break;
    case ALL_EXTENSION_NUMBERS_OF_TYPE:
        if (grpc_file_of_symbol(of, true)) {
            put_no_extensions(reply, of);
            return;
        }
        break;
    case LIST_SERVICES:
        put_services(reply);
        return;
    case FILE_CONTAINING_EXTENSION:
        put_error(reply, GRPC_NOT_FOUND, "No message has extensions.");
        return;
    default:
        put_error(reply, GRPC_INVALID_ARGUMENT, "The message asks for nothing.");
        return;
    }
    if (file)
        put_file(reply, file);
    else
        put_unknown(reply, of);
}

int grpc_reflect(struct arena *arena, struct text message, struct text *ret_reply,
                 struct request_error *error)
{
    enum { REPLY_BYTES = 8192 }; /* the largest file takes 5000 */
    struct question question;
    struct protobuf_writer reply;
    if (read_question(message, &question, error) != 0)
        return -1;
    protobuf_writer_init(&reply, arena, REPLY_BYTES + message.length);
    protobuf_put_text(&reply, VALID_HOST, question.host);
    protobuf_put_bytes(&reply, ORIGINAL_REQUEST, message);
    put_answer(&reply, &question);
    *ret_reply = protobuf_written(&reply);
    return ret_reply->at ? 0 : request_error_out_of_memory(error);
}
