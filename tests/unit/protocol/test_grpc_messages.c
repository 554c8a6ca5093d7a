/* SPDX-License-Identifier: Apache-2.0 */
/* The small messages of gRPC's v2, health and reflection; statuses, deadlines and prefixes. That
 * protobuf's own reader takes the descriptors: tests/client/test_descriptors.py. */
#include "protocol/grpc_messages.h"

#include "fixture.h"
#include "protocol/grpc_descriptors.h"
#include "protocol/grpc_reflection.h"
#include "protocol/grpc_status.h"
#include "test.h"

static struct fixture f;

#define BYTES(literal) ((struct text){literal, sizeof(literal) - 1})

static const struct text garbage[] = {
    {"\xFF\xFF\xFF\xFF", 4}, {"\x0A\x05", 2}, {"\x0A\x01\xFF", 3}, {"\x14", 1}, {"\x00", 1}};

enum { N_GARBAGE = sizeof garbage / sizeof *garbage };

/* ---- requests ---- */

TEST(a_message_without_fields_may_have_unknown_ones)
{
    CHECK(grpc_read_empty((struct text){NULL, 0}, &f.error) == 0);
    CHECK(grpc_read_empty(BYTES("\x3A\x05hello\x48\x05\x0A\x01\xFF"), &f.error) == 0);
    CHECK(grpc_read_empty(BYTES("\xFF\xFF\xFF\xFF"), &f.error) == -1);
    CHECK(f.error.http_status == 400 && error_is_for_clients(&f.error));
}

TEST(a_model_is_asked_for_by_name)
{
    struct grpc_model_name model;
    CHECK(grpc_read_model_name(BYTES("\x0A\x05"
                                     "dcnv2\x12\x01"
                                     "7"),
                               &model, &f.error) == 0);
    CHECK(text_is(model.name, "dcnv2") && text_is(model.version, "7"));
    CHECK(grpc_read_model_name(BYTES(""), &model, &f.error) == 0);
    CHECK(model.name.at && model.name.length == 0 && model.version.length == 0);
    for (int i = 0; i < N_GARBAGE; i++)
        CHECK(grpc_read_model_name(garbage[i], &model, &f.error) == -1);
}

TEST(a_repository_model_is_kserves_or_tritons)
{
    struct grpc_repository_model model;
    CHECK(grpc_read_repository_model(BYTES("\x0A\x01m"), &model, &f.error) == 0);
    CHECK(text_is(model.name, "m") && model.repository.length == 0 && !model.has_parameters);
    CHECK(grpc_read_repository_model(BYTES("\x12\x01m"), &model, &f.error) == 0);
    CHECK(text_is(model.name, "m") && model.repository.length == 0);
    CHECK(grpc_read_repository_model(BYTES("\x0A\x01r\x12\x01m\x1A\x00"), &model, &f.error) == 0);
    CHECK(text_is(model.name, "m") && text_is(model.repository, "r") && model.has_parameters);
    CHECK(grpc_read_repository_model(BYTES(""), &model, &f.error) == 0 && model.name.length == 0);
    for (int i = 0; i < N_GARBAGE; i++)
        CHECK(grpc_read_repository_model(garbage[i], &model, &f.error) == -1);
}

TEST(an_index_and_a_health_check_are_read)
{
    struct grpc_index_request index;
    struct text service;
    CHECK(grpc_read_index(BYTES("\x0A\x01r\x10\x01"), &index, &f.error) == 0);
    CHECK(text_is(index.repository, "r") && index.ready_only);
    CHECK(grpc_read_index(BYTES(""), &index, &f.error) == 0 && !index.ready_only);
    CHECK(grpc_read_health(BYTES(""), &service, &f.error) == 0 && service.length == 0);
    CHECK(grpc_read_health(BYTES("\x0A\x01s"), &service, &f.error) == 0 && text_is(service, "s"));
    for (int i = 0; i < N_GARBAGE; i++) {
        CHECK(grpc_read_index(garbage[i], &index, &f.error) == -1);
        CHECK(grpc_read_health(garbage[i], &service, &f.error) == -1);
    }
}

/* ---- replies ---- */

TEST(small_replies_have_their_bytes)
{
    static const char *const extensions[] = {"a", "b"};
    fixture_reset(&f);
    struct arena *arena = &f.arena;
    CHECK(text_equal(grpc_render_flag(arena, true), BYTES("\x08\x01")));
    CHECK(text_equal(grpc_render_flag(arena, false), BYTES("")));
    CHECK(grpc_render_flag(arena, false).at != NULL);
    CHECK(text_equal(grpc_render_server(arena, "n", "v", extensions, 2),
                     BYTES("\x0A\x01n\x12\x01v\x1A\x01"
                           "a\x1A\x01"
                           "b")));
    CHECK(text_equal(grpc_render_repository_model(arena, "m"), BYTES("\x0A\x01m\x10\x01")));
    CHECK(text_equal(grpc_render_index(arena, "m", true, ""),
                     BYTES("\x0A\x0A\x0A\x01m\x1A\x05READY")));
    CHECK(text_equal(grpc_render_index(arena, "m", false, "no"), BYTES("\x0A\x14\x0A\x01m\x1A\x0B"
                                                                       "UNAVAILABLE\x22\x02no")));
    CHECK(text_equal(grpc_render_index(arena, NULL, true, ""), BYTES("")));
    CHECK(text_equal(grpc_render_health(arena, GRPC_HEALTH_SERVING), BYTES("\x08\x01")));
    CHECK(text_equal(grpc_render_health(arena, GRPC_HEALTH_SERVICE_UNKNOWN), BYTES("\x08\x03")));
}

TEST(metadata_lists_the_columns)
{
    static const bool is_list[] = {false, true, false};
    fixture_reset(&f);
    f.schema.is_list = is_list;
    const struct text reply = grpc_render_model(&f.arena, "m", &f.schema);
    f.schema.is_list = NULL;
    CHECK(text_equal(reply, BYTES("\x0A\x01m\x1A\x05"
                                  "dcnv2"
                                  "\x22\x1B\x0A\x06userid\x12\x05"
                                  "BYTES\x1A\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                                  "\x22\x24\x0A\x05"
                                  "brand\x12\x05"
                                  "BYTES\x1A\x14\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                                  "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                                  "\x22\x19\x0A\x05price\x12\x04"
                                  "FP64\x1A\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                                  "\x2A\x1D\x0A\x08output-0\x12\x04"
                                  "FP32\x1A\x0B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x01")));
}

/* ---- reflection ---- */

/* The fields of the reply: its choice, and what that holds. */
static uint32_t reflect(struct text message, struct text *ret_answer)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    struct text reply;
    uint32_t choice = 0;
    fixture_reset(&f);
    if (grpc_reflect(&f.arena, message, &reply, &f.error) != 0)
        return 0;
    protobuf_init(&reader, reply, &f.error);
    while (protobuf_next(&reader, &field)) {
        if (field.number == 2)
            CHECK(text_equal(field.bytes, message));
        if (field.number > 2) {
            choice = field.number;
            *ret_answer = field.bytes;
        }
    }
    CHECK(!reader.failed);
    return choice;
}

static bool holds(struct text text, const char *part)
{
    return memmem(text.at, text.length, part, strlen(part)) != NULL;
}

static struct text question(uint32_t number, const char *name)
{
    static char message[200];
    message[0] = (char)(number << 3 | PROTOBUF_BYTES);
    message[1] = (char)strlen(name);
    memcpy(message + 2, name, strlen(name));
    return (struct text){message, 2 + strlen(name)};
}

TEST(services_are_listed)
{
    struct text answer;
    CHECK(reflect(question(7, "*"), &answer) == 6);
    CHECK(holds(answer, "\x0A\x20\x0A\x1Einference.GRPCInferenceService\x0A"));
    CHECK(holds(answer, "grpc.health.v1.Health") && holds(answer, "grpc.reflection.v1.Server") &&
          holds(answer, "grpc.reflection.v1alpha.ServerReflection"));
}

TEST(files_are_found_by_name_and_symbol)
{
    static const char *const symbols[] = {
        "inference.GRPCInferenceService", "inference.GRPCInferenceService.ModelInfer",
        "inference.ModelInferRequest",    "inference.ModelInferRequest.InferInputTensor",
        "inference.InferParameter",       "inference.InferTensorContents.fp32_contents"};
    struct text answer;
    CHECK(reflect(question(3, "grpc_predict_v2.proto"), &answer) == 4);
    CHECK(holds(answer, "raw_input_contents"));
    CHECK(holds(answer, ".inference.ModelInferRequest.ParametersEntry"));
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        CHECK_MSG(reflect(question(4, symbols[i]), &answer) == 4 &&
                      holds(answer, "grpc_predict_v2.proto"),
                  "%s", symbols[i]);
    CHECK(reflect(question(4, "grpc.health.v1.HealthCheckResponse.ServingStatus"), &answer) == 4);
    CHECK(holds(answer, "grpc/health/v1/health.proto"));
    CHECK(reflect(question(4, "grpc.reflection.v1alpha.ServerReflection"), &answer) == 4);
    CHECK(holds(answer, "v1alpha/reflection.proto"));
}

TEST(what_is_unknown_gets_an_error_reply)
{
    static const char *const symbols[] = {"",
                                          ".",
                                          "inference",
                                          "inference.",
                                          "inference.Nope",
                                          "inference.ModelInferRequestX",
                                          "inference.ModelInferRequest.nope",
                                          "ModelInferRequest",
                                          "grpc.reflection.v1.v1alpha"};
    struct text answer;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        CHECK_MSG(reflect(question(4, symbols[i]), &answer) == 7 &&
                      memcmp(answer.at, "\x08\x05", 2) == 0,
                  "%s", symbols[i]);
    CHECK(reflect(question(3, "health.proto"), &answer) == 7 && holds(answer, "\"health.proto\""));
    CHECK(reflect(question(5, ""), &answer) == 7);
    CHECK(reflect(BYTES(""), &answer) == 7 && memcmp(answer.at, "\x08\x03", 2) == 0);
    CHECK(reflect(question(6, "inference.ModelInferRequest"), &answer) == 5);
    CHECK(reflect(question(6, "inference.ModelInferRequest.id"), &answer) == 7);
    for (int i = 0; i < N_GARBAGE; i++)
        CHECK(reflect(garbage[i], &answer) == 0 && f.error.http_status == 400);
}

/* ---- status, message, deadline ---- */

TEST(each_status_of_http_has_one_of_grpc)
{
    static const struct {
        int http_status;
        enum grpc_status status;
    } cases[] = {{200, GRPC_OK},
                 {400, GRPC_INVALID_ARGUMENT},
                 {404, GRPC_NOT_FOUND},
                 {405, GRPC_UNIMPLEMENTED},
                 {413, GRPC_RESOURCE_EXHAUSTED},
                 {500, GRPC_INTERNAL},
                 {501, GRPC_UNIMPLEMENTED},
                 {503, GRPC_UNAVAILABLE},
                 {504, GRPC_DEADLINE_EXCEEDED},
                 {418, GRPC_UNKNOWN},
                 {0, GRPC_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_MSG(grpc_status_of_http(cases[i].http_status) == cases[i].status, "%d",
                  cases[i].http_status);
}

/* As the reference sends it. */
TEST(a_message_is_percent_encoded)
{
    char out[64];
    const struct text message = BYTES("a\r\n%\xC3\xA9~ \x7F\0");
    const size_t length = grpc_message_encode(out, message);
    CHECK(text_is((struct text){out, length}, "a%0D%0A%25%C3%A9~ %7F%00"));
    CHECK(length <= grpc_message_max(message.length));
}

TEST(a_deadline_is_digits_and_a_unit)
{
    static const struct {
        const char *value;
        uint64_t ns;
    } right[] = {{"1n", 1},
                 {"0S", 0},
                 {"5u", 5000},
                 {"7m", 7000000},
                 {"20S", 20000000000},
                 {"1M", 60000000000},
                 {"1H", 3600000000000},
                 {"99999999n", 99999999},
                 {"99999999H", UINT64_MAX},
                 {"00000001S", 1000000000}};
    static const char *const wrong[] = {"",     "S",   "1",   "1s",   "1h",         "-1S", "+1S",
                                        "1.5S", " 1S", "1S ", "0x1S", "100000000S", "1SS"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        CHECK_MSG(grpc_timeout_read(text_of(right[i].value), &ns, &f.error) == 0 &&
                      ns == right[i].ns,
                  "%s", right[i].value);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_MSG(grpc_timeout_read(text_of(wrong[i]), &ns, &f.error) == -1, "%s", wrong[i]);
        CHECK(f.error.http_status == 400 && strstr(f.error.message, "grpc-timeout"));
    }
}

/* ---- the prefix ---- */

TEST(a_prefix_may_come_in_pieces)
{
    static const char bytes[] = "\x01\x00\x01\x02\x03message";
    for (size_t step = 1; step <= 12; step++) {
        struct grpc_prefix prefix = {0};
        struct text data = {bytes, 0};
        enum grpc_prefix_state state = GRPC_PREFIX_CUT;
        for (size_t n = 0; n < 12 && state == GRPC_PREFIX_CUT; n += step) {
            CHECK(data.length == 0);
            data = (struct text){bytes + n, n + step < 12 ? step : 12 - n};
            state = grpc_prefix_read(&prefix, &data, 66051, &f.error);
        }
        CHECK(state == GRPC_PREFIX_WHOLE && prefix.is_compressed && prefix.length == 66051);
        CHECK(data.at == bytes + 5);
    }
}

TEST(a_prefix_that_is_wrong_is_refused_at_once)
{
    struct grpc_prefix prefix = {0};
    struct text data = BYTES("\x02");
    CHECK(grpc_prefix_read(&prefix, &data, 100, &f.error) == GRPC_PREFIX_WRONG);
    CHECK(grpc_status_of_http(f.error.http_status) == GRPC_INTERNAL);
    prefix = (struct grpc_prefix){0};
    data = BYTES("\x00\x00\x00\x00\x65");
    CHECK(grpc_prefix_read(&prefix, &data, 100, &f.error) == GRPC_PREFIX_WRONG);
    CHECK(f.error.http_status == 413 && strstr(f.error.message, "101 bytes"));
    prefix = (struct grpc_prefix){0};
    data = BYTES("\x00\xFF\xFF\xFF\xFF");
    CHECK(grpc_prefix_read(&prefix, &data, 1 << 20, &f.error) == GRPC_PREFIX_WRONG);
    prefix = (struct grpc_prefix){0};
    data = BYTES("\x00\x00\x00\x00\x64");
    CHECK(grpc_prefix_read(&prefix, &data, 100, &f.error) == GRPC_PREFIX_WHOLE);
    CHECK(prefix.length == 100 && !prefix.is_compressed && data.length == 0);
}

TEST(a_prefix_is_written_as_it_is_read)
{
    static const uint32_t lengths[] = {0, 1, 255, 256, 0x01020304, UINT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char out[GRPC_PREFIX_BYTES];
        struct grpc_prefix prefix = {0};
        struct text data = {out, sizeof out};
        grpc_prefix_write(out, lengths[i], i % 2);
        CHECK(grpc_prefix_read(&prefix, &data, UINT32_MAX, &f.error) == GRPC_PREFIX_WHOLE);
        CHECK(prefix.length == lengths[i] && prefix.is_compressed == (i % 2 == 1));
    }
}

int main(void)
{
    fixture_init(&f, "userid,brand,price", 2, 1, 1000);
    RUN(a_message_without_fields_may_have_unknown_ones);
    RUN(a_model_is_asked_for_by_name);
    RUN(a_repository_model_is_kserves_or_tritons);
    RUN(an_index_and_a_health_check_are_read);
    RUN(small_replies_have_their_bytes);
    RUN(metadata_lists_the_columns);
    RUN(services_are_listed);
    RUN(files_are_found_by_name_and_symbol);
    RUN(what_is_unknown_gets_an_error_reply);
    RUN(each_status_of_http_has_one_of_grpc);
    RUN(a_message_is_percent_encoded);
    RUN(a_deadline_is_digits_and_a_unit);
    RUN(a_prefix_may_come_in_pieces);
    RUN(a_prefix_that_is_wrong_is_refused_at_once);
    RUN(a_prefix_is_written_as_it_is_read);
    fixture_free(&f);
    return test_report();
}
