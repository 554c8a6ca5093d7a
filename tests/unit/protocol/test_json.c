/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted and what is refused. Positions and typed reading: test_json_reader.c. */
#include "protocol/json.h"

#include "fixture.h"
#include "json_cases.h"
#include "test.h"

struct outcome {
    bool accepted;
    const char *reason;
    size_t error_at;
};

static struct outcome outcome_of(const struct json_reader *reader, bool accepted)
{
    struct outcome outcome = {accepted, reader->reason, 0};
    if (reader->reason)
        outcome.error_at = (size_t)(reader->error_at - reader->start);
    return outcome;
}

static struct outcome by_skipping(struct text text)
{
    struct arena arena;
    struct json_reader reader;
    arena_init(&arena, 1 << 20);
    json_init(&reader, text.at, text.length, &arena);
    const bool accepted = json_skip(&reader) && json_end(&reader);
    const struct outcome outcome = outcome_of(&reader, accepted);
    CHECK(arena.used_bytes == 0); /* passing over a value needs no memory */
    arena_free(&arena);
    return outcome;
}

/* Reads one value by the typed calls. `skips`: bit d % 64 set: at depth d values are skipped. */
static bool read_value(struct json_reader *reader, uint64_t skips, unsigned depth)
{
    struct text text;
    struct json_number number;
    bool first = true;
    const enum json_kind kind = json_peek(reader);
    if (kind != JSON_INVALID && skips >> (depth % 64) & 1)
        return json_skip(reader);
    switch (kind) {
    case JSON_OBJECT:
        if (!json_enter(reader))
            return false;
        while (json_next_key(reader, &first, &text))
            if (!read_value(reader, skips, depth + 1))
                return false;
        return reader->reason == NULL;
    case JSON_ARRAY:
        if (!json_enter(reader))
            return false;
        while (json_next_element(reader, &first))
            if (!read_value(reader, skips, depth + 1))
                return false;
        return reader->reason == NULL;
    case JSON_STRING:
        return json_string(reader, &text) &&
               text_utf8_valid_length(text.at, text.length) == text.length;
    case JSON_NUMBER:
        return json_number(reader, &number);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return json_literal(reader, kind);
    case JSON_INVALID:
        break;
    }
    return false;
}

static struct outcome by_reading(struct text text, uint64_t skips)
{
    struct arena arena;
    struct json_reader reader;
    arena_init(&arena, 1 << 24);
    json_init(&reader, text.at, text.length, &arena);
    const bool accepted = read_value(&reader, skips, 0) && json_end(&reader);
    const struct outcome outcome = outcome_of(&reader, accepted);
    arena_free(&arena);
    return outcome;
}

static bool same(struct outcome a, struct outcome b)
{
    return a.accepted == b.accepted && a.error_at == b.error_at &&
           (a.reason == NULL) == (b.reason == NULL) &&
           (a.reason == NULL || strcmp(a.reason, b.reason) == 0);
}

/* An error and a position within the text, or neither. */
static bool is_consistent(struct outcome outcome, size_t length)
{
    return outcome.accepted == (outcome.reason == NULL) && outcome.error_at <= length;
}

TEST(every_text_is_accepted_or_refused_as_the_table_says)
{
    for (size_t i = 0; i < N_JSON_CASES; i++) {
        const struct json_case *c = &json_cases[i];
        struct text text = fixture_copy(c->bytes, c->length);
        const struct outcome skipped = by_skipping(text), read = by_reading(text, 0);
        CHECK_MSG(skipped.accepted == c->accepted, "%s: json_skip(): %s", c->name,
                  skipped.reason ? skipped.reason : "accepted");
        CHECK_MSG(read.accepted == c->accepted, "%s: typed readers: %s", c->name,
                  read.reason ? read.reason : "accepted");
        CHECK_MSG(same(skipped, read), "%s: \"%s\" at %zu and \"%s\" at %zu", c->name,
                  skipped.reason ? skipped.reason : "", skipped.error_at,
                  read.reason ? read.reason : "", read.error_at);
        CHECK_MSG(is_consistent(skipped, c->length), "%s", c->name);
        CHECK_MSG(same(skipped, by_reading(text, 0xAAAAAAAAAAAAAAAAu)), "%s", c->name);
        fixture_drop(text);
    }
}

/* A value in an array or an object is as good or as bad as alone; only where it ends is not. */
TEST(every_text_is_accepted_or_refused_the_same_inside_a_document)
{
    static const struct {
        const char *before, *after;
    } around[] = {{"[", "]"}, {"{\"k\":", "}"}, {"[1,", ",2]"}, {"[{\"a\":[", "],\"b\":null}]"}};
    for (size_t i = 0; i < N_JSON_CASES; i++)
        for (size_t a = 0; a < sizeof around / sizeof *around; a++) {
            const struct json_case *c = &json_cases[i];
            struct builder builder = {0};
            builder_text(&builder, around[a].before);
            builder_add(&builder, c->bytes, c->length);
            builder_text(&builder, around[a].after);
            struct text text = fixture_copy(builder.at, builder.length);
            const struct outcome skipped = by_skipping(text);
            if (c->accepted)
                CHECK_MSG(skipped.accepted, "%s, in %s%s: %s", c->name, around[a].before,
                          around[a].after, skipped.reason);
            CHECK_MSG(same(skipped, by_reading(text, 0)), "%s, in %s%s", c->name, around[a].before,
                      around[a].after);
            CHECK_MSG(same(skipped, by_reading(text, 1 << 1)), "%s, in %s%s", c->name,
                      around[a].before, around[a].after);
            fixture_drop(text);
            builder_free(&builder);
        }
}

TEST(a_document_cut_anywhere_is_refused)
{
    for (size_t i = 0; i < N_JSON_CASES; i++) {
        const struct json_case *c = &json_cases[i];
        if (!c->accepted)
            continue;
        for (size_t length = 0; length < c->length; length++) {
            struct text text = fixture_copy(c->bytes, length);
            const struct outcome skipped = by_skipping(text);
            CHECK(is_consistent(skipped, length));
            CHECK(same(skipped, by_reading(text, 0)));
            /* white space and numbers may end early */
            const bool in_container = strspn(c->bytes, " \t\r\n") < length &&
                                      strchr("[{", c->bytes[strspn(c->bytes, " \t\r\n")]);
            bool closed = false;
            for (size_t at = length; at < c->length; at++)
                closed |= strchr(" \t\r\n", c->bytes[at]) == NULL;
            if (in_container && closed)
                CHECK_MSG(!skipped.accepted, "%s, cut to %zu bytes", c->name, length);
            fixture_drop(text);
        }
    }
}

TEST(skipping_and_reading_agree_on_every_changed_byte)
{
    static const unsigned char bytes[] = "\"\\/[]{}:,-+.0159eEuU tn\n\t\x7F\x80\xC2\xED\xF0\xFF";
    unsigned n_wrong = 0;
    for (size_t i = 0; i < N_JSON_CASES; i++) {
        const struct json_case *c = &json_cases[i];
        struct text text = fixture_copy(c->bytes, c->length);
        char *at = (char *)text.at;
        for (size_t b = 0; b < c->length; b++)
            for (size_t k = 0; k < sizeof bytes; k++) {
                const char kept = at[b];
                at[b] = (char)bytes[k];
                const struct outcome skipped = by_skipping(text);
                if (!is_consistent(skipped, c->length) || !same(skipped, by_reading(text, 0)))
                    if (n_wrong++ < 10)
                        CHECK_MSG(false, "%s, byte %zu turned to %02x", c->name, b, bytes[k]);
                at[b] = kept;
            }
        fixture_drop(text);
    }
    CHECK_MSG(n_wrong == 0, "%u texts", n_wrong);
}

/* `unit` of depth `per_unit`, n times, then `close` n times. */
static struct outcome nested(const char *unit, const char *close, size_t n)
{
    struct builder builder = {0};
    builder_repeat(&builder, unit, n);
    builder_repeat(&builder, close, n);
    const struct outcome skipped = by_skipping(builder_view(&builder));
    CHECK(same(skipped, by_reading(builder_view(&builder), 0)));
    builder_free(&builder);
    return skipped;
}

TEST(depth_1024_is_accepted_and_1025_refused)
{
    CHECK(nested("[", "]", 500).accepted);
    CHECK(nested("[", "]", JSON_MAX_DEPTH).accepted);
    CHECK(!nested("[", "]", JSON_MAX_DEPTH + 1).accepted);
    CHECK(nested("[", "]", JSON_MAX_DEPTH + 1).error_at == JSON_MAX_DEPTH);
    CHECK(nested("{\"a\":[", "]}", JSON_MAX_DEPTH / 2).accepted);
    CHECK(!nested("{\"a\":[", "]}", JSON_MAX_DEPTH / 2 + 1).accepted);
    CHECK(nested("[0,[", "],\"x\"]", JSON_MAX_DEPTH / 2).accepted);
    CHECK(!nested("[0,[", "],\"x\"]", JSON_MAX_DEPTH / 2 + 1).accepted);
}

TEST(a_quarter_of_a_million_brackets_are_refused_without_recursion)
{
    static const char *const units[] = {"[", "{\"a\":", "[{\"\":", "[1,{\"a\":["};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct builder builder = {0};
        builder_repeat(&builder, units[u], 250000);
        const struct outcome outcome = by_skipping(builder_view(&builder));
        CHECK(!outcome.accepted && outcome.error_at < 16 * JSON_MAX_DEPTH);
        builder_free(&builder);
    }
}

TEST(depth_counts_what_was_entered_before_a_skip)
{
    for (unsigned entered = 0; entered <= JSON_MAX_DEPTH; entered += 128)
        for (unsigned more = 0; more < 2; more++) {
            struct builder builder = {0};
            builder_repeat(&builder, "[", JSON_MAX_DEPTH + more);
            builder_repeat(&builder, "]", JSON_MAX_DEPTH + more);
            struct json_reader reader;
            struct arena arena;
            arena_init(&arena, 1 << 16);
            json_init(&reader, builder.at, builder.length, &arena);
            bool first = true, entered_all = true;
            for (unsigned i = 0; i < entered; i++) {
                entered_all &= json_peek(&reader) == JSON_ARRAY && json_enter(&reader);
                first = true;
                if (i + 1 < JSON_MAX_DEPTH || more)
                    entered_all &= json_next_element(&reader, &first);
            }
            CHECK(entered_all);
            if (entered < JSON_MAX_DEPTH || more)
                CHECK(json_skip(&reader) == (more == 0));
            arena_free(&arena);
            builder_free(&builder);
        }
}

TEST(leaving_a_container_gives_its_depth_back)
{
    struct builder builder = {0};
    builder_text(&builder, "[");
    builder_repeat(&builder, "[[]],{\"a\":{}},", 5000);
    builder_text(&builder, "0]");
    CHECK(by_skipping(builder_view(&builder)).accepted);
    CHECK(by_reading(builder_view(&builder), 0).accepted);
    CHECK(by_reading(builder_view(&builder), 1 << 2).accepted);
    builder_free(&builder);
}

TEST(large_documents_of_every_form_are_read_once)
{
    static const char *const units[] = {"0,",    "[],",          "\"\",",
                                        "{},",   "{\"a\":1},",   "1e5,",
                                        "null,", "\"\\u00e9\",", "\"\xF0\x9F\x98\x80\","};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct builder builder = {0};
        builder_text(&builder, "[");
        builder_repeat(&builder, units[u], 100000);
        builder_text(&builder, "0]");
        CHECK(by_skipping(builder_view(&builder)).accepted);
        CHECK(by_reading(builder_view(&builder), 0).accepted);
        builder_free(&builder);
    }
    struct builder builder = {0};
    builder_text(&builder, "{\"");
    builder_repeat(&builder, "0123456789", 100000);
    builder_text(&builder, "\":\"");
    builder_repeat(&builder, "\xE4\xB8\xAD\\n", 100000);
    builder_text(&builder, "\"}");
    CHECK(by_skipping(builder_view(&builder)).accepted);
    CHECK(by_reading(builder_view(&builder), 0).accepted);
    builder_free(&builder);
}

/* A reader that looks at eight bytes at a time must see each of them. */
TEST(a_bad_byte_is_found_at_every_offset_of_a_string)
{
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t before = 0; before < 20; before++)
            for (size_t after = 0; after < 20; after += 19) {
                struct builder builder = {0};
                builder_text(&builder, "\"");
                builder_repeat(&builder, "a", before);
                builder_add(&builder, (const char[]){(char)byte}, 1);
                builder_repeat(&builder, "a", after);
                builder_text(&builder, "\"");
                struct text text = fixture_copy(builder.at, builder.length);
                const struct outcome skipped = by_skipping(text);
                const bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                CHECK_MSG(skipped.accepted == good, "byte %02x behind %zu", byte, before);
                CHECK(same(skipped, by_reading(text, 0)));
                if (!good && byte != '"' && byte != '\\')
                    CHECK_MSG(skipped.error_at == 1 + before, "byte %02x behind %zu: at %zu", byte,
                              before, skipped.error_at);
                fixture_drop(text);
                builder_free(&builder);
            }
}

int main(void)
{
    RUN(every_text_is_accepted_or_refused_as_the_table_says);
    RUN(every_text_is_accepted_or_refused_the_same_inside_a_document);
    RUN(a_document_cut_anywhere_is_refused);
    RUN(skipping_and_reading_agree_on_every_changed_byte);
    RUN(depth_1024_is_accepted_and_1025_refused);
    RUN(a_quarter_of_a_million_brackets_are_refused_without_recursion);
    RUN(depth_counts_what_was_entered_before_a_skip);
    RUN(leaving_a_container_gives_its_depth_back);
    RUN(large_documents_of_every_form_are_read_once);
    RUN(a_bad_byte_is_found_at_every_offset_of_a_string);
    return test_report();
}
