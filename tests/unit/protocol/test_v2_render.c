/* SPDX-License-Identifier: Apache-2.0 */
/* v2 replies, byte for byte as KServe's server writes them but for the digits of a float. */
#include "protocol/v2.h"

#include "fixture.h"
#include "protocol/json.h"
#include "test.h"

static const unsigned char random_bytes[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0xF6, 0x77,
                                               0xF8, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
static const float scores[] = {0.056723863f, 1.0f, 0.5f};

static struct arena arena;

static struct v2_reply render(const char *model_name, struct text id, bool binary, uint32_t n_rows)
{
    const struct v2_options options = {.id = id, .binary_output = binary};
    return v2_render(&arena, model_name, &options, random_bytes, scores, n_rows);
}

static bool has(struct text text, const char *part)
{
    return text.at && memmem(text.at, text.length, part, strlen(part));
}

TEST(a_json_reply_has_kserves_keys_in_kserves_order)
{
    const struct v2_reply reply = render("dcnv2", text_of("req-42"), false, 3);
    CHECK(text_is(reply.body,
                  "{\"model_name\":\"dcnv2\",\"model_version\":null,\"id\":\"req-42\","
                  "\"parameters\":null,\"outputs\":[{\"name\":\"output-0\",\"shape\":[3,1],"
                  "\"datatype\":\"FP32\",\"parameters\":null,\"data\":[0.056723863,1,0.5]}]}"));
    CHECK(reply.json_length == reply.body.length);
}

TEST(one_row_is_a_list_of_one)
{
    CHECK(text_is(render("m", text_of(""), false, 1).body,
                  "{\"model_name\":\"m\",\"model_version\":null,\"id\":\"\","
                  "\"parameters\":null,\"outputs\":[{\"name\":\"output-0\",\"shape\":[1,1],"
                  "\"datatype\":\"FP32\",\"parameters\":null,\"data\":[0.056723863]}]}"));
}

TEST(a_binary_reply_is_its_json_and_the_floats)
{
    static const char json[] =
        "{\"id\":\"req-42\",\"model_name\":\"dcnv2\",\"model_version\":null,\"outputs\":[{"
        "\"name\":\"output-0\",\"shape\":[3,1],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":12}}]}";
    const struct v2_reply reply = render("dcnv2", text_of("req-42"), true, 3);
    CHECK(reply.json_length == sizeof json - 1);
    CHECK(reply.body.length == sizeof json - 1 + sizeof scores);
    CHECK(reply.body.at && memcmp(reply.body.at, json, sizeof json - 1) == 0);
    CHECK(reply.body.at && memcmp(reply.body.at + sizeof json - 1, scores, sizeof scores) == 0);
}

TEST(without_an_id_the_reply_has_a_uuid_of_version_4)
{
    static const char uuid[] = "\"00112233-4455-4677-b899-aabbccddeeff\"";
    for (int binary = 0; binary < 2; binary++) {
        const struct text body = render("m", (struct text){NULL, 0}, binary, 1).body;
        CHECK(has(body, uuid));
    }
    static const unsigned char zero[16],
        ones[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const struct v2_options options = {0};
    struct text body = v2_render(&arena, "m", &options, zero, scores, 1).body;
    CHECK(has(body, "\"00000000-0000-4000-8000-000000000000\""));
    body = v2_render(&arena, "m", &options, ones, scores, 1).body;
    CHECK(has(body, "\"ffffffff-ffff-4fff-bfff-ffffffffffff\""));
}

/* The string of that key in the JSON of a reply; {NULL, 0}: none. */
static struct text member(struct text json, const char *name)
{
    struct json_reader reader;
    struct text key, value = {NULL, 0};
    bool first = true;
    json_init(&reader, json.at, json.length, &arena);
    CHECK(json_peek(&reader) == JSON_OBJECT && json_enter(&reader));
    while (json_next_key(&reader, &first, &key)) {
        if (text_is(key, name) && json_peek(&reader) == JSON_STRING)
            json_string(&reader, &value);
        else
            json_skip(&reader);
    }
    CHECK(json_end(&reader));
    return value;
}

TEST(an_id_and_a_model_name_come_back_whatever_they_hold)
{
    char id[300];
    size_t length = 0;
    for (int c = 0; c < 0x80; c++)
        id[length++] = (char)c;
    for (uint32_t c = 0x80; c < 0x10FFFF; c = c * 2 + 1)
        if (c < 0xD800 || c > 0xDFFF)
            length = (size_t)(text_put_utf8(id + length, c) - id);
    static const char name[] = "m\"\\\n\x01\x1F\x7F\xC3\xA9\xF0\x9F\x98\x80";
    for (int binary = 0; binary < 2; binary++) {
        const struct v2_reply reply = render(name, (struct text){id, length}, binary, 1);
        const struct text json = {reply.body.at, reply.json_length};
        CHECK(text_equal(member(json, "id"), (struct text){id, length}));
        CHECK(text_is(member(json, "model_name"), name));
        CHECK(has(json, "m\\\"\\\\"));
        for (size_t i = 0; i < json.length; i++)
            CHECK((unsigned char)json.at[i] >= 0x20);
    }
}

TEST(an_id_of_any_length_comes_back)
{
    for (size_t length = 0; length <= 1 << 20; length = length * 7 + 1)
        for (int binary = 0; binary < 2; binary++) {
            struct builder builder = {0};
            builder_repeat(&builder, "\x01", length); /* six bytes each once escaped */
            const struct v2_reply reply =
                render("m", (struct text){length ? builder.at : "", length}, binary, 3);
            CHECK(reply.body.at != NULL && reply.body.length > 6 * length);
            builder_free(&builder);
            arena_reset(&arena, 0);
        }
}

TEST(a_reply_of_many_rows_is_whole)
{
    enum { N = 100000 };
    float *many = calloc(N, sizeof *many);
    CHECK(many != NULL);
    for (int i = 0; i < N; i++)
        many[i] = 1.1754944e-38f * (float)(i + 1); /* long texts */
    const struct v2_options options = {.id = {"x", 1}};
    const struct v2_reply reply = v2_render(&arena, "m", &options, random_bytes, many, N);
    CHECK(reply.body.at != NULL);
    if (reply.body.at) {
        char *copy = calloc(1, reply.body.length + 1);
        CHECK(copy != NULL);
        memcpy(copy, reply.body.at, reply.body.length);
        CHECK(strstr(copy, "\"shape\":[100000,1]"));
        char *at = strstr(copy, "\"data\":[") + 8;
        for (int i = 0; i < N; i++) {
            CHECK(strtof(at, &at) == many[i]);
            CHECK(*at++ == (i + 1 < N ? ',' : ']'));
        }
        CHECK(strcmp(at, "}]}") == 0);
        free(copy);
    }
    free(many);
}

TEST(a_reply_that_does_not_fit_the_arena_is_nothing)
{
    for (int binary = 0; binary < 2; binary++)
        for (size_t limit = 0; limit < 100; limit += 10) {
            struct arena small;
            arena_init(&small, limit);
            const struct v2_options options = {.id = {"x", 1}, .binary_output = binary};
            CHECK(v2_render(&small, "m", &options, random_bytes, scores, 3).body.at == NULL);
            arena_free(&small);
        }
}

int main(void)
{
    arena_init(&arena, (size_t)1 << 28);
    RUN(a_json_reply_has_kserves_keys_in_kserves_order);
    RUN(one_row_is_a_list_of_one);
    RUN(a_binary_reply_is_its_json_and_the_floats);
    RUN(without_an_id_the_reply_has_a_uuid_of_version_4);
    RUN(an_id_and_a_model_name_come_back_whatever_they_hold);
    RUN(an_id_of_any_length_comes_back);
    RUN(a_reply_of_many_rows_is_whole);
    RUN(a_reply_that_does_not_fit_the_arena_is_nothing);
    arena_free(&arena);
    return test_report();
}
