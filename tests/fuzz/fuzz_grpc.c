/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message of gRPC's v2, read as each of those that a client sends: a ModelInferRequest, for the
 * model that it names, a small one, a question of reflection; and as the bytes of a connection, in
 * which the prefix of a message may come in pieces.
 */
#include "protocol/grpc_infer.h"
#include "protocol/grpc_messages.h"
#include "protocol/grpc_reflection.h"
#include "protocol/grpc_status.h"
#include "protocol/protobuf.h"

#include "fuzz_frame.h"

/* What is written here is read here. */
static void check_reply(struct text reply)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    struct request_error error;
    if (reply.at == NULL)
        return;
    fuzz_touch(reply.at, reply.length);
    protobuf_init(&reader, reply, &error);
    while (protobuf_next(&reader, &field))
        ;
    REQUIRE(!reader.failed);
}

static void infer(struct fixture *f, struct text message)
{
    static const float scores[FUZZ_MAX_ROWS] = {0.25f, 0.5f};
    static const unsigned char random[16];
    struct grpc_infer_request request;
    fixture_reset(f);
    if (grpc_infer_open(message, &request, &f->error) != 0) {
        fuzz_check_error(&f->error);
        return;
    }
    const struct text name = request.options.model_name;
    const char *model = arena_copy_text(&f->arena, name.at, name.length);
    if (model == NULL || strlen(model) != name.length)
        return;
    if (grpc_infer_read(&request, &f->frame, model, &f->error) != 0) {
        fuzz_check_error(&f->error);
        return;
    }
    fuzz_check_frame(&f->frame);
    REQUIRE(text_utf8_valid_length(request.options.id.at, request.options.id.length) ==
            request.options.id.length);
    check_reply(
        grpc_infer_render(&f->arena, model, &request.options, random, scores, f->frame.n_rows));
}

static void small_messages(struct fixture *f, struct text message)
{
    struct grpc_model_name model;
    struct grpc_repository_model repository;
    struct grpc_index_request index;
    struct text text;
    fixture_reset(f);
    const bool is_message = grpc_read_empty(message, &f->error) == 0;
    if (grpc_read_model_name(message, &model, &f->error) == 0)
        fuzz_touch(model.name.at, model.name.length);
    if (grpc_read_repository_model(message, &repository, &f->error) == 0)
        fuzz_touch(repository.name.at, repository.name.length);
    if (grpc_read_index(message, &index, &f->error) == 0)
        fuzz_touch(index.repository.at, index.repository.length);
    if (grpc_read_health(message, &text, &f->error) == 0)
        fuzz_touch(text.at, text.length);
    if (grpc_reflect(&f->arena, message, &text, &f->error) == 0) {
        REQUIRE(is_message);
        check_reply(text);
    } else {
        fuzz_check_error(&f->error);
    }
}

/* In one piece and byte by byte a prefix is the same. */
static void prefix(struct text bytes)
{
    enum { LIMIT = 1 << 20 };
    struct request_error error;
    struct grpc_prefix whole = {0}, pieces = {0};
    struct text rest = bytes;
    const enum grpc_prefix_state state = grpc_prefix_read(&whole, &rest, LIMIT, &error);
    enum grpc_prefix_state last = GRPC_PREFIX_CUT;
    for (size_t i = 0; i < bytes.length && last == GRPC_PREFIX_CUT; i++) {
        struct text one = {bytes.at + i, 1};
        last = grpc_prefix_read(&pieces, &one, LIMIT, &error);
    }
    REQUIRE(last == state);
    if (state == GRPC_PREFIX_WHOLE)
        REQUIRE(whole.length == pieces.length && whole.length <= LIMIT &&
                rest.length == bytes.length - GRPC_PREFIX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    const struct text message = {(const char *)data, size};
    uint64_t ns;
    fuzz_frame_init(&f);
    for (int has_lists = 0; has_lists < 2; has_lists++) {
        fuzz_make_lists(&f, has_lists);
        infer(&f, message);
    }
    small_messages(&f, message);
    prefix(message);
    if (grpc_timeout_read(message, &ns, &f.error) != 0)
        fuzz_check_error(&f.error);
    fixture_free(&f);
    return 0;
}
