/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of protocol buffers, bytes from the encoding's own description and hostile ones.
 */
#include "protocol/protobuf.h"

#include "fixture.h"
#include "test.h"

static struct request_error error;

#define BYTES(literal) literal, sizeof(literal) - 1

/* Reads all fields of a copy that ends where its memory does. Returns how many, or -1; the last one
 * is in *ret. */
static int read_all(const char *bytes, size_t length, struct protobuf_field *ret)
{
    static struct text copy;
    struct protobuf_reader reader;
    int n = 0;
    fixture_drop(copy);
    copy = fixture_copy(bytes, length);
    error = (struct request_error){0};
    protobuf_init(&reader, copy, &error);
    while (protobuf_next(&reader, ret))
        n++;
    CHECK(!protobuf_next(&reader, ret)); /* nothing comes behind the end or an error */
    if (!reader.failed) {
        CHECK(reader.at == reader.end);
        return n;
    }
    CHECK_MSG(error_is_for_clients(&error) && error.http_status == 400, "%s", error.message);
    return -1;
}

static void refuses(const char *bytes, size_t length, const char *word)
{
    struct protobuf_field field;
    CHECK_MSG(read_all(bytes, length, &field) == -1, "expected: %s", word);
    CHECK_MSG(strstr(error.message, word), "\"%s\" has no \"%s\"", error.message, word);
}

TEST(each_wire_type_is_read)
{
    struct protobuf_field field;
    CHECK(read_all(BYTES("\x08\x96\x01"), &field) == 1);
    CHECK(protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value == 150);
    CHECK(read_all(BYTES("\x12\x07testing"), &field) == 1);
    CHECK(protobuf_is(&field, 2, PROTOBUF_BYTES) && text_is(field.bytes, "testing"));
    CHECK(read_all(BYTES("\x1D\x01\x02\x03\x84"), &field) == 1);
    CHECK(protobuf_is(&field, 3, PROTOBUF_FIXED32) && field.value == 0x84030201);
    CHECK(read_all(BYTES("\x21\x01\x02\x03\x04\x05\x06\x07\x88"), &field) == 1);
    CHECK(protobuf_is(&field, 4, PROTOBUF_FIXED64) && field.value == 0x8807060504030201);
    CHECK(read_all(BYTES("\x0A\x00"), &field) == 1 && field.bytes.length == 0);
    CHECK(read_all(BYTES("\xF8\xFF\xFF\xFF\x0F\x01"), &field) == 1 && field.number == 536870911);
    CHECK(read_all(BYTES("\x08\x01\x08\x02\x08\x03"), &field) == 3 && field.value == 3);
    CHECK(read_all(NULL, 0, &field) == 0);
}

TEST(a_varint_has_up_to_ten_bytes_and_64_bits)
{
    struct protobuf_field field;
    CHECK(read_all(BYTES("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), &field) == 1);
    CHECK(field.value == UINT64_MAX);
    CHECK(read_all(BYTES("\x08\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00"), &field) == 1);
    CHECK(field.value == 2);
    refuses(BYTES("\x08\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), "10 bytes");
    refuses(BYTES("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"), "64 bits");
    for (size_t n = 1; n < 11; n++)
        refuses("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", n, "byte 1: the bytes end");
}

TEST(groups_are_passed_over_with_what_they_hold)
{
    struct protobuf_field field;
    /* 2 { 1: 5  3: "ab"  4 { }  5: fixed32  6: fixed64 }, and 1: 7 behind it */
    CHECK(read_all(BYTES("\x13\x08\x05\x1A\x02"
                         "ab\x23\x24\x2D"
                         "abcd\x31"
                         "abcdefgh\x14\x08\x07"),
                   &field) == 2);
    CHECK(protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value == 7);
    refuses(BYTES("\x13"), "end in a group");
    refuses(BYTES("\x13\x08\x05"), "end in a group");
    refuses(BYTES("\x13\x1C"), "another group");
    refuses(BYTES("\x13\x1B\x14\x1C"), "another group");
    refuses(BYTES("\x14"), "did not begin");
    refuses(BYTES("\x08\x05\x14"), "byte 2:");
}

TEST(groups_are_bounded)
{
    struct protobuf_field field;
    char bytes[2 * PROTOBUF_GROUPS_MAX + 2];
    memset(bytes, 0x13, PROTOBUF_GROUPS_MAX);
    memset(bytes + PROTOBUF_GROUPS_MAX, 0x14, PROTOBUF_GROUPS_MAX);
    CHECK(read_all(bytes, 2 * PROTOBUF_GROUPS_MAX, &field) == 1);
    memset(bytes, 0x13, sizeof bytes);
    refuses(bytes, sizeof bytes, "100 groups");
}

TEST(what_leads_past_the_end_is_refused)
{
    refuses(BYTES("\x0A\x01"), "past the end");
    refuses(BYTES("\x0A\x05"
                  "abcd"),
            "byte 1: a length");
    refuses(BYTES("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                  "abcd"),
            "past the end");
    refuses(BYTES("\x0A\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "past the end");
    refuses(BYTES("\x0D"
                  "abc"),
            "end in a number");
    refuses(BYTES("\x09"
                  "abcdefg"),
            "end in a number");
}

TEST(a_tag_that_cannot_be_is_refused)
{
    refuses(BYTES("\x00\x01"), "field number");
    refuses(BYTES("\x02\x00"), "field number");
    refuses(BYTES("\x80\x80\x80\x80\x10\x00"), "field number");
    refuses(BYTES("\x0E"), "wire type");
    refuses(BYTES("\x0F"), "wire type");
}

TEST(a_text_has_to_be_utf8)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    struct text text;
    protobuf_init(&reader, (struct text){BYTES("\x0A\x02\xC3\xA9\x0A\x02\xC3(")}, &error);
    CHECK(protobuf_next(&reader, &field) && protobuf_text(&reader, &field, &text));
    CHECK(text_is(text, "\xC3\xA9"));
    CHECK(protobuf_next(&reader, &field) && !protobuf_text(&reader, &field, &text));
    CHECK(reader.failed && strstr(error.message, "byte 6: a text that is not UTF-8"));
}

/* An error within says where in the whole message it is. */
TEST(an_embedded_message_counts_bytes_from_the_start)
{
    struct protobuf_reader reader;
    struct protobuf_field field;
    protobuf_init(&reader, (struct text){BYTES("\x08\x01\x0A\x02\x08\xFF\x08\x01")}, &error);
    CHECK(protobuf_next(&reader, &field) && protobuf_next(&reader, &field));
    struct protobuf_reader inner = protobuf_embedded(&reader, field.bytes);
    CHECK(!protobuf_next(&inner, &field) && inner.failed && !reader.failed);
    CHECK_MSG(strstr(error.message, "byte 5"), "%s", error.message);
}

/* ---- writing ---- */

static bool wrote(const struct protobuf_writer *writer, const char *bytes, size_t length)
{
    return text_equal(protobuf_written(writer), (struct text){bytes, length});
}

TEST(fields_are_written_as_they_are_read)
{
    struct arena arena;
    struct protobuf_writer writer;
    arena_init(&arena, 1 << 20);
    protobuf_writer_init(&writer, &arena, 0);
    CHECK(wrote(&writer, "", 0));
    protobuf_put_varint(&writer, 1, 150);
    protobuf_put_varint(&writer, 2, 0); /* a default is not on the wire */
    protobuf_put_text(&writer, 2, text_of(""));
    protobuf_put_text(&writer, 2, text_of("testing"));
    protobuf_put_bytes(&writer, 3, text_of(""));
    protobuf_put_varint(&writer, 16, UINT64_MAX);
    CHECK(wrote(&writer, BYTES("\x08\x96\x01\x12\x07testing\x1A\x00"
                               "\x80\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01")));
    arena_free(&arena);
}

/* A length of one byte, of two and of three is put before what was written by then. */
TEST(embedded_messages_get_their_length)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 16380, 16384, 70000};
    static char filler[70000];
    struct arena arena;
    struct protobuf_writer writer;
    struct protobuf_reader reader;
    struct protobuf_field outer, inner;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        protobuf_writer_init(&writer, &arena, 10);
        const size_t a = protobuf_begin(&writer, 5), b = protobuf_begin(&writer, 6);
        protobuf_put_bytes(&writer, 7, (struct text){filler, sizes[i]});
        protobuf_end(&writer, b);
        protobuf_put_varint(&writer, 8, 1);
        protobuf_end(&writer, a);
        protobuf_init(&reader, protobuf_written(&writer), &error);
        CHECK(protobuf_next(&reader, &outer) && protobuf_is(&outer, 5, PROTOBUF_BYTES));
        CHECK(reader.at == reader.end);
        struct protobuf_reader within = protobuf_embedded(&reader, outer.bytes);
        CHECK(protobuf_next(&within, &inner) && protobuf_is(&inner, 6, PROTOBUF_BYTES));
        CHECK(protobuf_next(&within, &outer) && protobuf_is(&outer, 8, PROTOBUF_VARINT));
        within = protobuf_embedded(&reader, inner.bytes);
        CHECK(protobuf_next(&within, &inner) && inner.bytes.length == sizes[i]);
        CHECK(within.at == within.end);
        arena_reset(&arena, SIZE_MAX);
    }
    arena_free(&arena);
}

TEST(a_full_arena_gives_no_message)
{
    struct arena arena;
    struct protobuf_writer writer;
    static char filler[5000];
    arena_init(&arena, 4096);
    protobuf_writer_init(&writer, &arena, 10);
    const size_t begun = protobuf_begin(&writer, 1);
    protobuf_put_bytes(&writer, 2, (struct text){filler, sizeof filler});
    protobuf_put_varint(&writer, 3, 1);
    protobuf_end(&writer, begun);
    CHECK(protobuf_written(&writer).at == NULL);
    protobuf_writer_init(&writer, &arena, 1 << 20);
    protobuf_put_varint(&writer, 3, 1);
    CHECK(protobuf_written(&writer).at == NULL);
    arena_free(&arena);
}

int main(void)
{
    RUN(each_wire_type_is_read);
    RUN(a_varint_has_up_to_ten_bytes_and_64_bits);
    RUN(groups_are_passed_over_with_what_they_hold);
    RUN(groups_are_bounded);
    RUN(what_leads_past_the_end_is_refused);
    RUN(a_tag_that_cannot_be_is_refused);
    RUN(a_text_has_to_be_utf8);
    RUN(an_embedded_message_counts_bytes_from_the_start);
    RUN(fields_are_written_as_they_are_read);
    RUN(embedded_messages_get_their_length);
    RUN(a_full_arena_gives_no_message);
    return test_report();
}
