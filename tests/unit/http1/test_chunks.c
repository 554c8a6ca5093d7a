/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chunks.c: bodies in chunks: what is let through and how the rest is refused, and that the
 * pieces in which a body comes change nothing. Each piece ends where its memory ends.
 */
#include "http1/chunks.h"

#include "fixture.h"
#include "test.h"

#define LAST "0\r\n\r\n"

static const char not_a_size[] = "A chunk's size is not a hexadecimal number.";
static const char not_crlf[] = "A line between chunks does not end in CRLF.";
static const char not_at_end[] = "A chunk does not end in CRLF where its size says.";
static const char control[] = "A line between chunks holds a control character.";
static const char no_name[] = "A trailer has a malformed name.";

struct outcome {
    enum chunks_result result;
    size_t n_taken; /* bytes of the input */
    struct builder data;
    struct request_error error;
};

static struct outcome outcome_of_pieces(struct text bytes, size_t first, size_t step)
{
    struct outcome outcome = {.result = CHUNKS_MORE};
    struct chunks chunks = {0};
    size_t start = 0, end = first;
    while (outcome.result == CHUNKS_MORE && start < bytes.length) {
        end = end < bytes.length ? end : bytes.length;
        const struct text copy = fixture_copy(bytes.at + start, end - start);
        const char *at = copy.at;
        struct text data;
        while ((outcome.result = chunks_next(&chunks, &at, copy.at + copy.length, &data,
                                             &outcome.error)) == CHUNKS_DATA) {
            CHECK(data.length > 0 && data.at + data.length == at);
            builder_add(&outcome.data, data.at, data.length);
        }
        outcome.n_taken = start + (size_t)(at - copy.at);
        CHECK(outcome.result != CHUNKS_MORE || outcome.n_taken == end);
        fixture_drop(copy);
        start = end;
        end += step;
    }
    return outcome;
}

static struct outcome outcome_of(struct text bytes)
{
    return outcome_of_pieces(bytes, bytes.length, 1);
}

static bool same(const struct outcome *a, struct outcome b)
{
    const bool equal =
        a->result == b.result && a->n_taken == b.n_taken &&
        text_equal(builder_view(&a->data), builder_view(&b.data)) &&
        (a->result != CHUNKS_MALFORMED || strcmp(a->error.message, b.error.message) == 0);
    builder_free(&b.data);
    return equal;
}

/* In any two pieces, and byte by byte. */
static bool is_same_in_pieces(struct text bytes, const struct outcome *whole)
{
    bool equal = same(whole, outcome_of_pieces(bytes, 1, 1));
    for (size_t first = 1; equal && first < bytes.length; first++)
        equal = same(whole, outcome_of_pieces(bytes, first, bytes.length));
    return equal;
}

/* The body is `data` and ends `n_left` bytes before the end of `bytes`. */
static void reads(const char *bytes, const char *data, size_t n_left)
{
    const struct text text = text_of(bytes);
    struct outcome outcome = outcome_of(text);
    CHECK_MSG(outcome.result == CHUNKS_END, "%s: %s", bytes, outcome.error.message);
    CHECK_MSG(text_is(builder_view(&outcome.data), data), "%s", bytes);
    CHECK_MSG(outcome.n_taken == text.length - n_left, "%s: %zu", bytes, outcome.n_taken);
    CHECK_MSG(is_same_in_pieces(text, &outcome), "%s", bytes);
    builder_free(&outcome.data);
}

static void refuses_bytes(struct text bytes, const char *message)
{
    struct outcome outcome = outcome_of(bytes);
    CHECK_MSG(outcome.result == CHUNKS_MALFORMED && outcome.error.http_status == 400 &&
                  strcmp(outcome.error.message, message) == 0,
              "%.*s: %d %s", (int)(bytes.length < 80 ? bytes.length : 80), bytes.at,
              (int)outcome.result, outcome.error.message);
    CHECK(error_is_for_clients(&outcome.error));
    if (bytes.length < 1000)
        CHECK_MSG(is_same_in_pieces(bytes, &outcome), "%s", message);
    builder_free(&outcome.data);
}

static void refuses(const char *bytes, const char *message)
{
    refuses_bytes(text_of(bytes), message);
}

/* `before`, a byte, `behind`. */
static struct outcome outcome_with_byte(const char *before, int byte, const char *behind)
{
    char bytes[64];
    const int n = snprintf(bytes, sizeof bytes, "%s?%s", before, behind);
    bytes[strlen(before)] = (char)byte;
    struct outcome outcome = outcome_of((struct text){bytes, (size_t)n});
    builder_free(&outcome.data);
    return outcome;
}

static bool is_refusal(const struct outcome *outcome, const char *message)
{
    return outcome->result == CHUNKS_MALFORMED && strcmp(outcome->error.message, message) == 0;
}

/* ---- what is read */

TEST(the_data_of_chunks_is_joined_up_to_the_last_one)
{
    reads(LAST, "", 0);
    reads("5\r\nhello\r\n" LAST, "hello", 0);
    reads("1\r\na\r\n2\r\nbc\r\n3\r\nd\r\n\r\n" LAST, "abcd\r\n", 0);
    reads("2\r\n\r\n\r\n" LAST, "\r\n", 0);
    reads("5\r\n" LAST "\r\n" LAST, LAST, 0);
}

TEST(what_follows_belongs_to_the_next_request)
{
    reads(LAST "GET / HTTP/1.1\r\n", "", 16);
    reads("1\r\na\r\n" LAST LAST, "a", 5);
    reads("1\r\na\r\n0\r\nA: b\r\n\r\n\r\n", "a", 2);
}

TEST(an_ended_body_takes_nothing_more)
{
    struct chunks chunks = {0};
    struct text data;
    struct request_error error;
    const char bytes[] = LAST LAST, *at = bytes;
    for (int i = 0; i < 3; i++)
        CHECK(chunks_next(&chunks, &at, bytes + strlen(bytes), &data, &error) == CHUNKS_END &&
              at == bytes + strlen(LAST));
}

TEST(a_body_that_is_cut_has_not_ended)
{
    static const char bytes[] = "a;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
    for (size_t length = 0; length < strlen(bytes); length++) {
        struct outcome outcome = outcome_of((struct text){bytes, length});
        CHECK_MSG(outcome.result == CHUNKS_MORE && outcome.n_taken == length, "%zu", length);
        builder_free(&outcome.data);
    }
}

TEST(sizes_are_hexadecimal_in_either_case)
{
    reads("a\r\n0123456789\r\n" LAST, "0123456789", 0);
    reads("A\r\n0123456789\r\n" LAST, "0123456789", 0);
    reads("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n00\r\n\r\n", "abcdefghijklmnopqrstuvwxyz", 0);
    reads("00000000000000b\r\nhello world\r\n000000000000000\r\n\r\n", "hello world", 0);
}

TEST(extensions_are_passed_over)
{
    reads("5;\r\nhello\r\n0;\r\n\r\n", "hello", 0);
    reads("5;name=value;q=\"a;b\"\r\nhello\r\n0;x\r\n\r\n", "hello", 0);
    reads("5; \t7 \xFF\r\nhello\r\n" LAST, "hello", 0);
}

TEST(trailers_are_passed_over)
{
    reads("0\r\nA: b\r\n\r\n", "", 0);
    reads("0\r\nA:\r\nX-Checksum: \t\xFF c \r\n!#$%&'*+-.^_`|~: x\r\n\r\n", "", 0);
    reads("0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n12345", "", 5);
}

/* ---- what is refused */

TEST(each_byte_is_a_digit_ends_the_size_or_is_refused)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome first = outcome_with_byte("", byte, "\r\n\r\n");
        const struct outcome later = outcome_with_byte("0", byte, "\r\n\r\n");
        const bool digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
                           (byte >= 'A' && byte <= 'F');
        CHECK_MSG(digit != is_refusal(&first, not_a_size), "byte %d", byte);
        if (byte == '\r')
            CHECK(is_refusal(&later, not_crlf));
        else
            CHECK_MSG((digit || byte == ';') != is_refusal(&later, not_a_size), "byte %d", byte);
    }
    refuses("\r\n", not_a_size);
    refuses(";x\r\n", not_a_size);
    refuses("-1\r\n", not_a_size);
    refuses("0x5\r\n", not_a_size);
    refuses("5 \r\nhello\r\n", not_a_size);
    refuses(" 5\r\nhello\r\n", not_a_size);
    refuses("1\r\na\r\n\r\n", not_a_size);
}

TEST(a_size_has_as_many_digits_as_it_may_and_not_one_more)
{
    struct chunks chunks = {0};
    struct text data;
    struct request_error error;
    const char most[] = "fffffffffffffff\r\nx", *at = most;
    CHECK(chunks_next(&chunks, &at, most + strlen(most), &data, &error) == CHUNKS_DATA);
    CHECK(text_is(data, "x") && chunks.left == 0xFFFFFFFFFFFFFFE);
    refuses("1000000000000000\r\n", "A chunk is too large.");
    refuses("0000000000000005\r\nhello\r\n" LAST, "A chunk is too large.");
    refuses("ffffffffffffffff5\r\n", "A chunk is too large.");
}

TEST(a_line_ends_in_carriage_return_and_line_feed)
{
    refuses("5\nhello\r\n", not_a_size);
    refuses("5\r\rhello\r\n", not_crlf);
    refuses("5\rhello", not_crlf);
    refuses("5;x\nhello\r\n", not_crlf);
    refuses("5;x\ry\r\n", not_crlf);
    refuses("0\r\n\n", no_name);
    refuses("0\r\n\rA", not_crlf);
    refuses("0\r\nA: b\n\r\n", not_crlf);
    refuses("0\r\nA: b\rC: d\r\n", not_crlf);
    refuses("0\r\nA\n", no_name);
}

TEST(a_chunk_ends_where_its_size_says)
{
    refuses("5\r\nhell\r\n" LAST, not_at_end);
    refuses("5\r\nhello\n" LAST, not_at_end);
    refuses("5\r\nhello\r" LAST, not_at_end);
    refuses("5\r\nhello!\r\n" LAST, not_at_end);
    refuses("5\r\nhello" LAST, not_at_end);
}

TEST(extensions_hold_no_control_bytes)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome outcome = outcome_with_byte("0;a", byte, "b\r\n\r\n");
        if ((byte >= ' ' && byte != 127) || byte == '\t')
            CHECK_MSG(outcome.result == CHUNKS_END, "byte %d", byte);
        else
            CHECK_MSG(is_refusal(&outcome, byte == '\r' || byte == '\n' ? not_crlf : control),
                      "byte %d", byte);
    }
}

TEST(trailers_are_fields)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome name = outcome_with_byte("0\r\nA", byte, "B: c\r\n\r\n");
        const struct outcome value = outcome_with_byte("0\r\nA: b", byte, "c\r\n\r\n");
        const bool token = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                           (byte >= 'A' && byte <= 'Z') ||
                           (byte && strchr("!#$%&'*+-.^_`|~", byte));
        if (token || byte == ':')
            CHECK_MSG(name.result == CHUNKS_END, "byte %d", byte);
        else
            CHECK_MSG(is_refusal(&name, no_name), "byte %d", byte);
        if ((byte >= ' ' && byte != 127) || byte == '\t')
            CHECK_MSG(value.result == CHUNKS_END, "byte %d", byte);
        else
            CHECK_MSG(is_refusal(&value, byte == '\r' || byte == '\n' ? not_crlf : control),
                      "byte %d", byte);
    }
    refuses("0\r\n: b\r\n\r\n", no_name);
    refuses("0\r\nno colon\r\n\r\n", no_name);
    refuses("0\r\nGET / HTTP/1.1\r\n\r\n", no_name);
    refuses("0\r\nA: b\r\n folded\r\n\r\n", no_name);
}

/* ---- limits */

/* `before`, then `n` bytes of 'a', then `behind`; as refused with `message`, or with NULL read. */
static void check_long(const char *before, size_t n, const char *behind, const char *message)
{
    struct builder builder = {0};
    builder_text(&builder, before);
    builder_repeat(&builder, "a", n);
    builder_text(&builder, behind);
    const struct text bytes = builder_view(&builder);
    if (message) {
        refuses_bytes(bytes, message);
    } else {
        struct outcome outcome = outcome_of(bytes);
        CHECK_MSG(outcome.result == CHUNKS_END && outcome.n_taken == bytes.length, "%s: %s", before,
                  outcome.error.message);
        CHECK(same(&outcome, outcome_of_pieces(bytes, 1, 1)));
        builder_free(&outcome.data);
    }
    builder_free(&builder);
}

TEST(a_line_takes_as_many_bytes_as_it_may_and_not_one_more)
{
    static const char message[] = "A line between chunks is too long.";
    const size_t most = CHUNK_LINE_MAX_BYTES;
    check_long("0;", most, "\r\n\r\n", NULL);
    check_long("0;", most + 1, "", message);
    check_long("0\r\nA:", most - 2, "\r\n\r\n", NULL);
    check_long("0\r\nA:", most - 1, "", message);
    check_long("0\r\n", most - 1, ":\r\n\r\n", NULL);
    check_long("0\r\n", most, ":", message);
    /* Each line anew. */
    check_long("1;a\r\nb\r\n0;", most, "\r\n\r\n", NULL);
    check_long("0;a\r\nA: b\r\nB:", most - 2, "\r\n\r\n", NULL);
}

TEST(trailers_take_as_many_bytes_as_they_may_and_not_one_more)
{
    enum { FIELD_BYTES = 1024, MOST = CHUNK_TRAILERS_MAX_BYTES };
    char field[FIELD_BYTES + 1];
    memset(field, 'a', FIELD_BYTES);
    memcpy(field, "A:", 2);
    memcpy(field + FIELD_BYTES - 2, "\r\n", 3);
    struct builder builder = {0};
    builder_text(&builder, "1;extensions do not count\r\nb\r\n0\r\n");
    builder_repeat(&builder, field, MOST / FIELD_BYTES - 1);
    builder_text(&builder, "B:");
    builder_add(&builder, "", 1); /* ends the text */
    check_long(builder.at, FIELD_BYTES - 6, "\r\n\r\n", NULL);
    check_long(builder.at, FIELD_BYTES - 5, "\r\n\r\n", "The trailers are too large.");
    builder_free(&builder);
}

/* ---- mutations */

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * limit) >> 32);
}

static const char *const seeds[] = {LAST, "5\r\nhello\r\n" LAST "GET /",
                                    "1;x=\"y\"\r\na\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n" LAST,
                                    "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n5\r\n",
                                    "2\r\n\r\n\r\n0;\r\n: \r\n\r\n"};

static const char pieces[] = "\r\n:; 0159afAFx\t\n\r\x7F\xFF";

TEST(no_mutation_is_read_beyond_its_end_or_seen_differently_in_pieces)
{
    unsigned n_results[CHUNKS_MALFORMED + 1] = {0};
    random_state = 1;
    for (int i = 0; i < 5000; i++) {
        char bytes[128];
        size_t length = strlen(seeds[i % (sizeof seeds / sizeof *seeds)]);
        memcpy(bytes, seeds[i % (sizeof seeds / sizeof *seeds)], length);
        for (uint32_t n = random_below(4); n > 0 && length > 0; n--) {
            const size_t at = random_below((uint32_t)length);
            if (random_below(2) == 0) {
                bytes[at] = pieces[random_below(sizeof pieces)];
            } else if (random_below(2) == 0) {
                memmove(bytes + at, bytes + at + 1, --length - at);
            } else {
                memmove(bytes + at + 1, bytes + at, length++ - at);
                bytes[at] = pieces[random_below(sizeof pieces)];
            }
        }
        const struct text text = {bytes, length};
        struct outcome whole = outcome_of(text);
        n_results[whole.result]++;
        CHECK_MSG(is_same_in_pieces(text, &whole), "mutation %d", i);
        builder_free(&whole.data);
    }
    CHECK(n_results[CHUNKS_END] > 500 && n_results[CHUNKS_MALFORMED] > 500);
}

int main(void)
{
    RUN(the_data_of_chunks_is_joined_up_to_the_last_one);
    RUN(what_follows_belongs_to_the_next_request);
    RUN(an_ended_body_takes_nothing_more);
    RUN(a_body_that_is_cut_has_not_ended);
    RUN(sizes_are_hexadecimal_in_either_case);
    RUN(extensions_are_passed_over);
    RUN(trailers_are_passed_over);
    RUN(each_byte_is_a_digit_ends_the_size_or_is_refused);
    RUN(a_size_has_as_many_digits_as_it_may_and_not_one_more);
    RUN(a_line_ends_in_carriage_return_and_line_feed);
    RUN(a_chunk_ends_where_its_size_says);
    RUN(extensions_hold_no_control_bytes);
    RUN(trailers_are_fields);
    RUN(a_line_takes_as_many_bytes_as_it_may_and_not_one_more);
    RUN(trailers_take_as_many_bytes_as_they_may_and_not_one_more);
    RUN(no_mutation_is_read_beyond_its_end_or_seen_differently_in_pieces);
    return test_report();
}
