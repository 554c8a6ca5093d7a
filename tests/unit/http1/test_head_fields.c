/* SPDX-License-Identifier: Apache-2.0 */
/* test_head_fields.c: header fields: what each rule lets through, and how it refuses. */
#include "head_fixture.h"

static const char malformed_name[] = "A header field has a malformed name";

/* ---- fields */

TEST(each_byte_is_one_of_a_field_name_or_is_refused)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome outcome = look_with_byte(LINE HOST "A", byte, "B: c\r\n" END);
        char line[32];
        shown_with_byte(line, sizeof line, "A", byte, "B: c");
        if (is_token_byte(byte) || byte == ':')
            CHECK_MSG(is_read(&outcome), "byte %d", byte);
        else if (byte == '\n')
            CHECK(is_refusal_of(&outcome, 400, "A line of the header does not end in CRLF", "A"));
        else
            CHECK_MSG(is_refusal_of(&outcome, 400, malformed_name, line), "byte %d: %s", byte,
                      outcome.error.message);
    }
    static const char *const lines[] = {": no name", "no colon", "NoColon", "Content-Length : 5"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        refuses_value(lines[i], 400, malformed_name, lines[i]);
    refuses_value("\r", 400, malformed_name, "");
}

TEST(each_byte_is_one_of_a_value_or_is_refused)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct outcome outcome = look_with_byte(LINE HOST "A: b", byte, "c\r\n" END);
        char message[80];
        snprintf(message, sizeof message,
                 "A header field holds a control character: \"A\", byte %d.", byte);
        if ((byte >= ' ' && byte != 127) || byte == '\t')
            CHECK_MSG(is_read(&outcome), "byte %d", byte);
        else if (byte == '\n')
            CHECK(
                is_refusal_of(&outcome, 400, "A line of the header does not end in CRLF", "A: b"));
        else
            CHECK_MSG(is_refusal(&outcome, 400, message), "byte %d: %s", byte,
                      outcome.error.message);
    }
    refuses_field("A: b\r\rB: c", 400, "A header field holds a control character: \"A\", byte 13.");
    refuses_field("A: b\r", 400, "A header field holds a control character: \"A\", byte 13.");
}

TEST(a_folded_field_is_refused)
{
    static const char folded[] = "A header field is folded over two lines";
    refuses_value("A: b\r\n c", 400, folded, " c");
    refuses_value("A: b\r\n\tc: d", 400, folded, "?c: d");
    refuses_value("Content-Lengt: 3\r\n h", 400, folded, " h");
    refuses_value("A: b\r\n \r\nC: d", 400, folded, " ");
    refuses(LINE " Host: h\r\n" END, 400, "A header field is folded over two lines: \" Host: h\".");
}

TEST(values_are_read_without_the_blanks_around_them_and_names_in_any_case)
{
    CHECK(with_field("content-length:7").request.content_length == 7);
    CHECK(with_field("CONTENT-LENGTH: \t 7 \t ").request.content_length == 7);
    CHECK(with_field("transfer-ENCODING:\tChunked").framing.is_chunked);
    CHECK(with_field("Content-Lengt: 7").request.content_length == 0);
    CHECK(with_field("Content-Lengthh: 7").request.content_length == 0);
    CHECK(with_field("A:").request.content_length == 0);
}

TEST(host_is_given_once_but_in_http_1_0)
{
    refuses(LINE END, 400, "Host is missing.");
    refuses(LINE "Hos: h\r\n" END, 400, "Host is missing.");
    refuses(LINE HOST "hOST: i\r\n" END, 400, "Host is given twice.");
    refuses("GET / HTTP/1.0\r\n" HOST HOST END, 400, "Host is given twice.");
    accepted("GET / HTTP/1.0\r\n" END);
    accepted(LINE "Host:\r\n" END);
}

TEST(the_length_is_digits_and_given_once)
{
    static const char *const bad[] = {"",    "5,5",  "5, 5", "+5",  "-1", "0X5",
                                      "5 5", "five", "5.0",  "1e3", ";5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char field[64];
        snprintf(field, sizeof field, "Content-Length: %s", bad[i]);
        refuses_value(field, 400, "Content-Length is not a number", bad[i]);
    }
    refuses_field("Content-Length: 5\r\nContent-Length: 5", 400, "Content-Length is given twice.");
    refuses_field("Content-Length: 0\r\nA: b\r\ncontent-length: 5", 400,
                  "Content-Length is given twice.");
    CHECK(with_field("A: b").request.content_length == 0);
    CHECK(with_field("Content-Length: 0").request.content_length == 0);
    CHECK(with_field("Content-Length: 0005").request.content_length == 5);
    CHECK(with_field("Content-Length: 1844674407370955160").request.content_length ==
          1844674407370955160u);
}

TEST(a_length_that_does_not_fit_is_a_large_one)
{
    static const char *const large[] = {
        "18446744073709551615", "18446744073709551616",           "18446744073709551625",
        "99999999999999999999", "100000000000000000000000000005", "184467440737095516160",
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        char field[64];
        snprintf(field, sizeof field, "Content-Length: %s", large[i]);
        CHECK_MSG(with_field(field).request.content_length > UINT64_MAX / 32, "%s", large[i]);
    }
}

TEST(chunked_is_the_only_transfer_coding)
{
    static const char *const bad[] = {
        "gzip, chunked", "xchunked", "chunked, chunked", "identity", "chunked, identity",
        "chunked;q=1",   "",         "chunke",           ", chunked"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char field[64];
        snprintf(field, sizeof field, "Transfer-Encoding: %s", bad[i]);
        refuses_value(field, 501, "Transfer-Encoding other than chunked is not supported", bad[i]);
    }
    CHECK(with_field("Transfer-Encoding: chunked").framing.is_chunked);
    CHECK(!with_field("A: chunked").framing.is_chunked);
    refuses_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501,
                  "Transfer-Encoding is given twice.");
    refuses_value("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501,
                  "Transfer-Encoding other than chunked is not supported", "gzip");
    refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, 400,
            "Transfer-Encoding in HTTP/1.0.");
}

TEST(a_length_and_chunks_together_are_refused)
{
    static const char message[] = "Both Content-Length and Transfer-Encoding are given.";
    refuses_field("Content-Length: 5\r\nTransfer-Encoding: chunked", 400, message);
    refuses_field("Transfer-Encoding: chunked\r\nContent-Length: 0", 400, message);
}

TEST(the_first_thing_wrong_is_said)
{
    refuses("GET / HTTP/3.0\r\nbad name: x\r\n" END, 505,
            "The HTTP version is not 1.0 or 1.1: \"HTTP/3.0\".");
    refuses(LINE "Content-Length: x\r\nTransfer-Encoding: y\r\n" END, 400,
            "Content-Length is not a number: \"x\".");
    refuses(LINE "Transfer-Encoding: y\r\nContent-Length: x\r\n" END, 501,
            "Transfer-Encoding other than chunked is not supported: \"y\".");
}

TEST(a_value_is_quoted_cut_and_printable)
{
    static const char not_a_number[] = "Content-Length is not a number";
    struct builder value = {0}, field = {0};
    builder_repeat(&value, "5,", 32); /* as much as is shown */
    builder_text(&field, "Content-Length: ");
    builder_repeat(&field, "5,", 200);
    builder_add(&field, "", 1);
    builder_add(&value, "", 1);
    refuses_value(field.at, 400, not_a_number, value.at);
    builder_free(&value);
    builder_free(&field);
    refuses_value("Content-Length: \xB2", 400, not_a_number, "?");
    refuses_value("Content-Length: a\tb", 400, not_a_number, "a?b");
    refuses_value("Content-Length: \xE6\xB7\x98\xE6\xB7", 400, not_a_number, "\xE6\xB7\x98??");
}

TEST(connection_and_version_say_whether_it_is_kept)
{
    static const struct {
        const char *version, *fields;
        bool keep;
    } cases[] = {
        {"1.1", "", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "connection: CLOSE\r\n", false},
        {"1.1", "Connection: upgrade, close\r\n", false},
        {"1.1", "Connection: upgrade\r\nConnection: close\r\n", false},
        {"1.1", "Connection: close\r\nConnection: keep-alive\r\n", false},
        {"1.1", "Connection: closed, not-close\r\n", true},
        {"1.1", "Connection:\r\n", true},
        {"1.1", "Connection: ,, \t,close ,\r\n", false},
        {"1.0", "", false},
        {"1.0", "Connection: keep-alive\r\n", true},
        {"1.0", "Connection: x, Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[256];
        snprintf(bytes, sizeof bytes, "GET / HTTP/%s\r\n" HOST "%s" END, cases[i].version,
                 cases[i].fields);
        CHECK_MSG(accepted(bytes).framing.keep_alive == cases[i].keep, "%s", bytes);
    }
}

/* RFC 9110 section 10.1.1 allows a 417 for another expectation, and does not ask for one: clients
 * whose library adds it, or empties it, are answered. */
TEST(the_only_expectation_is_a_continue_and_http_1_0_has_none)
{
    CHECK(with_field("Expect: 100-Continue").framing.expects_continue);
    CHECK(with_field("Expect: 100-continue, x").framing.expects_continue);
    CHECK(with_field("Expect: 100-continue\r\nExpect: x").framing.expects_continue);
    CHECK(!with_field("A: 100-continue").framing.expects_continue);
    CHECK(!with_field("Expect: 200-ok").framing.expects_continue);
    CHECK(!with_field("Expect:").framing.expects_continue);
    CHECK(!with_field("Expect: 100-continues").framing.expects_continue);
    /* RFC 9110 section 10.1.1: such a client could not read the 100. */
    CHECK(!accepted("POST / HTTP/1.0\r\nExpect: 100-continue\r\n" END).framing.expects_continue);
}

TEST(codings_of_the_body_are_gzip_or_deflate_once_or_none)
{
    static const struct {
        const char *fields;
        enum content_coding coding;
    } cases[] = {
        {"A: b", CODING_IDENTITY},
        {"Content-Encoding: identity", CODING_IDENTITY},
        {"Content-Encoding:", CODING_IDENTITY},
        {"Content-Encoding: , ,", CODING_IDENTITY},
        {"Content-Encoding: UTF-8", CODING_IDENTITY},
        {"Content-Encoding: None", CODING_IDENTITY},
        {"Content-Encoding: none\r\nContent-Encoding: utf-8", CODING_IDENTITY},
        {"Content-Encoding: gzip, identity", CODING_GZIP},
        {"Content-Encoding: utf-8, gzip", CODING_GZIP},
        {"Content-Encoding: deflate", CODING_DEFLATE},
        {"Content-Encoding: Deflate, none", CODING_DEFLATE},
        {"Content-Encoding: gzip, deflate", CODING_UNSUPPORTED},
        {"Content-Encoding: deflate\r\nContent-Encoding: gzip", CODING_UNSUPPORTED},
        {"Content-Encoding: br\r\nContent-Encoding: none", CODING_UNSUPPORTED},
        {"Content-Encoding: utf-16", CODING_UNSUPPORTED},
        {"Content-Encoding: deflate;q=1", CODING_UNSUPPORTED},
        {"Content-Encoding: GZIP", CODING_GZIP},
        {"Content-Encoding: x-gzip", CODING_GZIP},
        {"Content-Encoding: identity, gzip", CODING_GZIP},
        {"Content-Encoding: gzip, gzip", CODING_UNSUPPORTED},
        {"Content-Encoding: gzip\r\nContent-Encoding: gzip", CODING_UNSUPPORTED},
        {"Content-Encoding: br", CODING_UNSUPPORTED},
        {"Content-Encoding: br, gzip", CODING_UNSUPPORTED},
        {"Content-Encoding: gzi", CODING_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_MSG(with_field(cases[i].fields).request.coding == cases[i].coding, "%s",
                  cases[i].fields);
}

/* Texts that are given for a message, or to be compared. */
TEST(values_that_are_needed_are_given_as_they_came)
{
    static const char bytes[] = LINE HOST "Content-Encoding: gzip\r\nContent-Encoding: br, x\r\n"
                                          "Content-Encoding: zstd\r\n"
                                          "Content-Type: multipart/a; b\r\norigin:  http://h:8 \r\n"
                                          "Inference-Header-Content-Length: 5x\r\n" END;
    const struct seen head = accepted(bytes);
    CHECK(text_is(head.request.coding_value, "br, x"));
    CHECK(text_is(head.request.type_value, "multipart/a; b"));
    CHECK(text_is(head.request.origin, "http://h:8"));
    CHECK(text_is(head.request.inference_header_value, "5x"));
    const struct seen none =
        accepted(LINE HOST "Content-Encoding: gzip\r\nInference-Header-Content-Length: 5\r\n" END);
    CHECK(none.request.coding_value.at == NULL && none.request.type_value.at == NULL &&
          none.request.origin.at == NULL && none.request.inference_header_value.at == NULL);
}

TEST(gzip_is_sent_to_those_who_take_it)
{
    static const struct {
        const char *fields;
        bool accepts;
    } cases[] = {
        {"A: gzip", false},
        {"Accept-Encoding:", false},
        {"Accept-Encoding: gzip", true},
        {"Accept-Encoding: br, deflate, X-GZip", true},
        {"Accept-Encoding: *", true},
        {"Accept-Encoding: identity, br", false},
        {"Accept-Encoding: gzip;q=1", true},
        {"Accept-Encoding: gzip ; q=0.001", true},
        {"Accept-Encoding: gzip;q=0", false},
        {"Accept-Encoding: gzip; Q=0.000", false},
        {"Accept-Encoding: gzip;q=0.0, *", false},
        {"Accept-Encoding: *;q=0", false},
        {"Accept-Encoding: *;q=0, gzip", true},
        {"Accept-Encoding: gzip;", true},
        {"Accept-Encoding: ;q=0,gzip", true},
        {"Accept-Encoding: gzipped", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_MSG(with_field(cases[i].fields).request.accepts_gzip == cases[i].accepts, "%s",
                  cases[i].fields);
}

TEST(types_that_are_not_a_request_of_ours_are_known)
{
    CHECK(with_field("Content-Type: application/json").request.type == CONTENT_ANY);
    CHECK(with_field("Content-Type: Multipart/form-data; boundary=x").request.type ==
          CONTENT_MULTIPART);
    CHECK(with_field("Content-Type: application/CloudEvents+json; charset=utf-8").request.type ==
          CONTENT_CLOUD_EVENT);
    CHECK(with_field("Content-Type: application/cloudevents").request.type == CONTENT_ANY);
    CHECK(with_field("Content-Type: multipart").request.type == CONTENT_ANY);
}

TEST(the_inference_headers_length_is_counted_and_read)
{
    struct seen head = with_field("Inference-Header-Content-Length: 12");
    CHECK(head.request.n_inference_header_lengths == 1 &&
          head.request.inference_header_length_is_number &&
          head.request.inference_header_length == 12);
    head = with_field("inference-header-content-length: 12\r\n"
                      "Inference-Header-Content-Length: +5");
    CHECK(head.request.n_inference_header_lengths == 2 &&
          !head.request.inference_header_length_is_number);
    CHECK(with_field("A: b").request.n_inference_header_lengths == 0);
}

static bool has_id(const struct seen *head, const char *id)
{
    return text_is(request_head_id(&head->request), id);
}

TEST(a_request_id_is_kept_as_it_came_up_to_its_bound)
{
    char field[300];
    struct seen head = with_field("X-Request-Id: 6f1c2a9e-7c31-4b8e");
    CHECK(has_id(&head, "6f1c2a9e-7c31-4b8e"));
    head = with_field("x-request-id:\t \"a\\b\" \xc2\x85\xff ");
    CHECK(has_id(&head, "\"a\\b\" \xc2\x85\xff"));
    head = with_field("X-Request-Id: \r\nX-Request-Id: first\r\nX-Request-Id: second");
    CHECK(has_id(&head, "first"));
    static const char *const others[] = {"A: b",         "X-Request-Id:",       "X-Request-Ids: a",
                                         "X-Request: a", "X-Correlation-Id: a", "X: a"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        head = with_field(others[i]);
        CHECK_MSG(has_id(&head, ""), "%s", others[i]);
    }
    for (int length = REQUEST_ID_MAX_BYTES - 1; length < REQUEST_ID_MAX_BYTES + 50; length += 17) {
        snprintf(field, sizeof field, "X-Request-Id: %0*d", length, 7);
        head = with_field(field);
        const size_t kept =
            (size_t)length < REQUEST_ID_MAX_BYTES ? (size_t)length : REQUEST_ID_MAX_BYTES;
        CHECK(text_equal(request_head_id(&head.request), (struct text){field + 14, kept}));
    }
}

int main(void)
{
    RUN(each_byte_is_one_of_a_field_name_or_is_refused);
    RUN(each_byte_is_one_of_a_value_or_is_refused);
    RUN(a_folded_field_is_refused);
    RUN(values_are_read_without_the_blanks_around_them_and_names_in_any_case);
    RUN(host_is_given_once_but_in_http_1_0);
    RUN(the_length_is_digits_and_given_once);
    RUN(a_length_that_does_not_fit_is_a_large_one);
    RUN(chunked_is_the_only_transfer_coding);
    RUN(a_length_and_chunks_together_are_refused);
    RUN(the_first_thing_wrong_is_said);
    RUN(a_value_is_quoted_cut_and_printable);
    RUN(connection_and_version_say_whether_it_is_kept);
    RUN(the_only_expectation_is_a_continue_and_http_1_0_has_none);
    RUN(codings_of_the_body_are_gzip_or_deflate_once_or_none);
    RUN(values_that_are_needed_are_given_as_they_came);
    RUN(gzip_is_sent_to_those_who_take_it);
    RUN(types_that_are_not_a_request_of_ours_are_known);
    RUN(the_inference_headers_length_is_counted_and_read);
    RUN(a_request_id_is_kept_as_it_came_up_to_its_bound);
    return test_report();
}
