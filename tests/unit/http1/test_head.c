/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_head.c: where the head of a request ends, and its request line; that neither the pieces in
 * which it comes nor the bytes around it change what is seen. Fields: test_head_fields.c.
 */
#include "head_fixture.h"

/* ---- where it ends */

TEST(a_head_ends_behind_its_empty_line_and_needs_all_of_it)
{
    const char bytes[] = LINE HOST "A: b\r\n" END "GET /next HTTP/1.1\r\n\r\n";
    const size_t n = strlen(LINE HOST "A: b\r\n" END);
    for (size_t length = 0; length < sizeof bytes; length++) {
        const struct outcome outcome = look((struct text){bytes, length});
        CHECK(outcome.size == (length < n ? HEAD_INCOMPLETE : HEAD_COMPLETE));
        CHECK(length < n || (is_read(&outcome) && outcome.n_bytes == n));
    }
    const struct outcome whole = look(text_of(bytes));
    CHECK(is_same_in_pieces(text_of(bytes), &whole));
}

TEST(what_was_looked_at_is_not_looked_at_again)
{
    struct request_error error;
    size_t scanned = 0, n_bytes;
    const size_t length = strlen(LINE HOST);
    CHECK(head_find_end(LINE HOST, length, &scanned, &n_bytes, &error) == HEAD_INCOMPLETE);
    CHECK(scanned == length);
    CHECK(head_find_end("\n\n\n", 2, &(size_t){2}, &n_bytes, &error) == HEAD_INCOMPLETE);
}

TEST(empty_lines_may_stand_before_it_four_of_them)
{
    static const char lines[] = "\r\n\r\n\r\n\r\n\r\n";
    for (size_t n = 0; n <= 4; n++) {
        char bytes[128];
        snprintf(bytes, sizeof bytes, "%.*s" LINE HOST END, (int)(2 * n), lines);
        const struct outcome outcome = look(text_of(bytes));
        CHECK(is_read(&outcome) && outcome.n_bytes == strlen(bytes));
        CHECK(text_is(outcome.head.request.method, "GET") &&
              text_is(outcome.head.request.target, "/v1/models"));
        CHECK(is_same_in_pieces(text_of(bytes), &outcome));
    }
    refuses("\r\n\r\n\r\n\r\n\r\n" LINE HOST END, 400, "The request line has no method: \"\".");
    refuses("\r\n\r\n\r\n\r\n\r\n\r\n", 400, "The request line has no method: \"\".");
    const struct outcome only = look(text_of("\r\n\r\n\r\n\r\n"));
    CHECK(only.size == HEAD_INCOMPLETE);
}

TEST(what_starts_with_no_token_is_refused_at_its_first_byte)
{
    for (int byte = 0; byte < 256; byte++) {
        const char bytes[] = {(char)byte};
        const struct outcome outcome = look((struct text){bytes, 1});
        char message[80];
        snprintf(message, sizeof message, "This is not an HTTP/1.1 request: its first byte is %d.",
                 byte);
        if (is_token_byte(byte) || byte == '\r')
            CHECK_MSG(outcome.size == HEAD_INCOMPLETE, "byte %d", byte);
        else
            CHECK_MSG(is_refusal(&outcome, 400, message), "byte %d", byte);
    }
    refuses("\r\n\x16\x03\x01", 400, "This is not an HTTP/1.1 request: its first byte is 22.");
    refuses("\r" LINE HOST END, 400, "The request line has no method: \"\".");
}

TEST(a_line_feed_without_its_carriage_return_is_refused_where_it_stands)
{
    static const char empty[] = "A line of the header does not end in CRLF: \"\".";
    refuses("GET / HTTP/1.1\n", 400,
            "A line of the header does not end in CRLF: \"GET / HTTP/1.1\".");
    refuses("\r\nG\n", 400, "A line of the header does not end in CRLF: \"G\".");
    refuses(LINE "Host: h\n", 400, "A line of the header does not end in CRLF: \"Host: h\".");
    refuses(LINE HOST "\n", 400, empty);
    refuses(LINE HOST "A: b\r\n\n", 400, empty);
    refuses(LINE "\n", 400, empty);
}

TEST(a_head_takes_as_many_bytes_as_it_may_and_not_one_more)
{
    static const size_t steps[] = {1 << 20, 4096, 997, HEAD_MAX_BYTES, HEAD_MAX_BYTES + 1};
    for (size_t extra = 0; extra <= 2; extra++) {
        struct builder builder = {0};
        builder_text(&builder, "\r\n" LINE HOST); /* the empty line does not count */
        while (builder.length < HEAD_MAX_BYTES + 2 + extra - 100)
            builder_text(&builder, "X-Many: fields with values\r\n");
        builder_text(&builder, "X: ");
        builder_repeat(&builder, "v", HEAD_MAX_BYTES + 2 + extra - 4 - builder.length);
        builder_text(&builder, "\r\n\r\n");
        const struct text bytes = builder_view(&builder);
        CHECK(bytes.length == HEAD_MAX_BYTES + 2 + extra);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            const struct outcome outcome = look_in_pieces(bytes, steps[i], steps[i]);
            if (extra == 0)
                CHECK(is_read(&outcome) && outcome.n_bytes == bytes.length);
            else
                CHECK(is_refusal(&outcome, 431, "The header is too large, more than 73728 bytes."));
        }
        builder_free(&builder);
    }
}

/* `first` and 'a' up to `n`, then `behind`: refused with that status whatever the pieces. */
static void refuses_long(const char *first, size_t n, const char *behind, int http_status,
                         const char *message)
{
    static const size_t steps[] = {1 << 20, 4096, 997, HEAD_MAX_BYTES, HEAD_MAX_BYTES + 1};
    struct builder builder = {0};
    builder_text(&builder, first);
    builder_repeat(&builder, "a", n - builder.length);
    builder_text(&builder, behind);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct outcome outcome = look_in_pieces(builder_view(&builder), steps[i], steps[i]);
        CHECK_MSG(is_refusal(&outcome, http_status, message), "step %zu: %d %s", steps[i],
                  outcome.error.http_status, outcome.error.message);
    }
    builder_free(&builder);
}

TEST(what_is_too_large_is_refused_in_the_same_way_however_it_comes)
{
    static const char too_large[] = "The header is too large, more than 73728 bytes.";
    static const char too_long[] = "The request line is too long, more than 73728 bytes.";
    refuses_long("GET /", HEAD_MAX_BYTES + 1, "", 414, too_long);
    refuses_long("GET /", HEAD_MAX_BYTES + 1, " HTTP/1.1\r\n" HOST END, 414, too_long);
    refuses_long("GET /", HEAD_MAX_BYTES + 1, "\n", 414, too_long);
    refuses_long(LINE HOST "A: ", HEAD_MAX_BYTES + 1, "", 431, too_large);
    refuses_long(LINE HOST "A: ", HEAD_MAX_BYTES + 9999, "\r\n\r\n", 431, too_large);
    refuses_long(LINE HOST "A: ", HEAD_MAX_BYTES + 9999, "\n", 431, too_large);
    struct builder builder = {0};
    builder_repeat(&builder, "G", HEAD_MAX_BYTES);
    CHECK(look(builder_view(&builder)).size == HEAD_INCOMPLETE);
    builder_free(&builder);
}

/* ---- the request line */

TEST(method_and_target_are_given_as_they_came)
{
    static const char *const lines[][3] = {
        {"GET / HTTP/1.1\r\n" HOST END, "GET", "/"},
        {"post /v1/models/%zz?a=b#c HTTP/1.1\r\n" HOST END, "post", "/v1/models/%zz?a=b#c"},
        {"OPTIONS * HTTP/1.1\r\n" HOST END, "OPTIONS", "*"},
        {"M-SEARCH! http://h:80/x HTTP/1.1\r\n" HOST END, "M-SEARCH!", "http://h:80/x"},
        {"CONNECT h:443 HTTP/1.0\r\n" END, "CONNECT", "h:443"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct seen head = accepted(lines[i][0]);
        CHECK(text_is(head.request.method, lines[i][1]) &&
              text_is(head.request.target, lines[i][2]));
        CHECK(!head.request.is_head);
    }
    CHECK(accepted("HEAD / HTTP/1.1\r\n" HOST END).request.is_head);
    CHECK(!accepted("head / HTTP/1.1\r\n" HOST END).request.is_head);
    CHECK(!accepted("HEADS / HTTP/1.1\r\n" HOST END).request.is_head);
}

TEST(each_byte_is_one_of_a_method_or_ends_it)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome outcome = look_with_byte("A", byte, "B / HTTP/1.1\r\n" HOST END);
        char line[32];
        shown_with_byte(line, sizeof line, "A", byte, "B / HTTP/1.1");
        if (is_token_byte(byte))
            CHECK_MSG(is_read(&outcome), "byte %d", byte);
        else if (byte == '\n')
            CHECK(is_refusal_of(&outcome, 400, "A line of the header does not end in CRLF", "A"));
        else if (byte == ' ')
            CHECK(is_refusal_of(&outcome, 400, "The request line is not METHOD TARGET HTTP/1.1",
                                line));
        else
            CHECK_MSG(is_refusal_of(&outcome, 400, "The request line has no method", line),
                      "byte %d: %s", byte, outcome.error.message);
    }
}

TEST(each_byte_is_one_of_a_target_or_is_refused)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome outcome = look_with_byte("GET /a", byte, "b HTTP/1.1\r\n" HOST END);
        char line[32];
        shown_with_byte(line, sizeof line, "GET /a", byte, "b HTTP/1.1");
        if (byte > ' ' && byte != 127)
            CHECK_MSG(is_read(&outcome), "byte %d", byte);
        else if (byte == '\n')
            CHECK(is_refusal_of(&outcome, 400, "A line of the header does not end in CRLF",
                                "GET /a"));
        else
            CHECK_MSG(is_refusal_of(&outcome, 400, "The request line is not METHOD TARGET HTTP/1.1",
                                    line),
                      "byte %d: %s", byte, outcome.error.message);
    }
}

TEST(a_target_takes_as_many_bytes_as_it_may_and_not_one_more)
{
    for (size_t extra = 0; extra <= 1; extra++) {
        struct builder builder = {0};
        builder_text(&builder, "GET /");
        builder_repeat(&builder, "a", TARGET_MAX_BYTES - 1 + extra);
        builder_text(&builder, " HTTP/1.1\r\n" HOST END);
        const struct outcome outcome = look(builder_view(&builder));
        if (extra == 0)
            CHECK(is_read(&outcome) && outcome.head.request.target.length == TARGET_MAX_BYTES);
        else
            CHECK(is_refusal(&outcome, 414, "The path is too long, more than 16384 bytes."));
        builder_free(&builder);
    }
}

TEST(a_request_line_is_three_words_with_a_space_between)
{
    static const char *const lines[] = {
        "GET /\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET\r\n",
        "GET \r\n",
        "GET / \r\n",
        "GET / HTTP/1.1x\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/1\r\n",
        "GET / HTTP/1,1\r\n",
        "GET / HTTPS/1.1\r\n",
        "GET / FTP/1.1\r\n",
        "GET / x HTTP/1.1\r\n",
        "GET /\tHTTP/1.1\r\n",
        "GET / HTTP/ 1.1\r\n",
        "GET / HTTP/1.1\r\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char bytes[128], message[128], line[64];
        snprintf(bytes, sizeof bytes, "%s" HOST END, lines[i]);
        snprintf(line, sizeof line, "%.*s", (int)strcspn(lines[i], "\r"), lines[i]);
        char *tab = strchr(line, '\t');
        if (tab)
            *tab = '?';
        snprintf(message, sizeof message, "%s: \"%s\".",
                 strchr(line, ' ') ? "The request line is not METHOD TARGET HTTP/1.1"
                                   : "The request line has no method",
                 line);
        refuses(bytes, 400, message);
    }
    refuses(": HTTP/1.1\r\n\r\n", 400, "This is not an HTTP/1.1 request: its first byte is 58.");
}

TEST(another_version_is_not_supported)
{
    static const char *const versions[] = {"2.0", "1.2", "0.9", "9.9", "1.9", "3.1", "x.1", "1.x"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        char bytes[64], message[64];
        snprintf(bytes, sizeof bytes, "GET / HTTP/%s\r\n" HOST END, versions[i]);
        snprintf(message, sizeof message, "The HTTP version is not 1.0 or 1.1: \"HTTP/%s\".",
                 versions[i]);
        refuses(bytes, 505, message);
    }
    refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505,
            "The HTTP version is not 1.0 or 1.1: \"HTTP/2.0\".");
    CHECK(accepted("GET / HTTP/1.0\r\n" END).framing.is_1_0);
    CHECK(!accepted("GET / HTTP/1.1\r\n" HOST END).framing.is_1_0);
}

/* ---- mutations */

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * limit) >> 32);
}

static const char *const seeds[] = {
    LINE HOST END,
    "\r\n" LINE HOST "Content-Length: 5\r\n" END "12345",
    "POST /v1/models/m:predict HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "0\r\n\r\n",
    "POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n" END,
    LINE HOST "Accept-Encoding: gzip;q=0.5, *;q=0\r\nContent-Encoding: gzip\r\n" END LINE,
    LINE HOST "Inference-Header-Content-Length: 99\r\nContent-Type: multipart/x\r\n" END,
};

static const char *const pieces[] = {
    "\r\n", "\n", "\r", "\r\n\r\n", " ",    "\t",       ":",
    ",",    ";",  "0",  "\xFF",     "\x7F", "HTTP/1.1", "Content-Length: 1\r\n",
    "Host"};

/* A seed of which up to four places are replaced, removed or have something put before them. */
static void mutate(struct builder *builder)
{
    builder->length = 0;
    builder_text(builder, seeds[random_below(sizeof seeds / sizeof *seeds)]);
    for (uint32_t n = random_below(5); n > 0; n--) {
        const size_t at = random_below((uint32_t)builder->length);
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        struct builder changed = {0};
        const uint32_t how = random_below(4);
        builder_add(&changed, builder->at, at);
        if (how == 0)
            builder_add(&changed, (const char[]){(char)random_below(256)}, 1);
        else if (how < 3)
            builder_text(&changed, piece);
        const size_t behind = at + (how != 1);
        builder_add(&changed, builder->at + behind, builder->length - behind);
        builder_free(builder);
        *builder = changed;
        if (builder->length == 0)
            builder_text(builder, "G");
    }
}

/* What another reader could take for the end of a line stands nowhere but at the end of lines. */
static bool has_plain_lines(struct text head)
{
    for (size_t i = 0; i < head.length; i++) {
        const unsigned char byte = (unsigned char)head.at[i];
        if (byte == '\r' && i + 1 < head.length && head.at[i + 1] == '\n')
            i++;
        else if ((byte < ' ' && byte != '\t') || byte == 127)
            return false;
    }
    return true;
}

TEST(no_mutation_is_read_beyond_its_end_or_seen_differently_in_pieces)
{
    struct builder builder = {0};
    unsigned n_read = 0, n_refused = 0;
    random_state = 1;
    for (int i = 0; i < 3000; i++) {
        mutate(&builder);
        const struct text bytes = builder_view(&builder);
        const struct outcome whole = look(bytes);
        n_read += is_read(&whole);
        n_refused += !is_read(&whole) && whole.size != HEAD_INCOMPLETE;
        CHECK_MSG(is_same_in_pieces(bytes, &whole), "mutation %d", i);
        if (is_read(&whole))
            CHECK_MSG(has_plain_lines((struct text){bytes.at, whole.n_bytes}), "mutation %d", i);
    }
    CHECK_MSG(n_read > 300 && n_refused > 300, "%u read, %u refused", n_read, n_refused);
    builder_free(&builder);
}

int main(void)
{
    RUN(a_head_ends_behind_its_empty_line_and_needs_all_of_it);
    RUN(what_was_looked_at_is_not_looked_at_again);
    RUN(empty_lines_may_stand_before_it_four_of_them);
    RUN(what_starts_with_no_token_is_refused_at_its_first_byte);
    RUN(a_line_feed_without_its_carriage_return_is_refused_where_it_stands);
    RUN(a_head_takes_as_many_bytes_as_it_may_and_not_one_more);
    RUN(what_is_too_large_is_refused_in_the_same_way_however_it_comes);
    RUN(method_and_target_are_given_as_they_came);
    RUN(each_byte_is_one_of_a_method_or_ends_it);
    RUN(each_byte_is_one_of_a_target_or_is_refused);
    RUN(a_target_takes_as_many_bytes_as_it_may_and_not_one_more);
    RUN(a_request_line_is_three_words_with_a_space_between);
    RUN(another_version_is_not_supported);
    RUN(no_mutation_is_read_beyond_its_end_or_seen_differently_in_pieces);
    return test_report();
}
