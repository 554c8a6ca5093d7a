/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head_fixture.h: what test_head.c and test_head_fields.c share: all that is learned of some bytes,
 * whole and in pieces, each time in memory that ends with them.
 */
#ifndef DCNV2_TESTS_HEAD_FIXTURE_H
#define DCNV2_TESTS_HEAD_FIXTURE_H

#include "http1/head.h"

#include "fixture.h"
#include "test.h"

#define LINE "GET /v1/models HTTP/1.1\r\n"
#define HOST "Host: h\r\n"
#define END  "\r\n"

/* A head as it was read. */
struct seen {
    struct head framing;
    struct request_head request;
};

/* The texts of a head, which point into what was read. */
#define HEAD_TEXTS(head)                                                                           \
    {                                                                                              \
        &(head)->request.method, &(head)->request.target, &(head)->request.coding_value,           \
            &(head)->request.type_value, &(head)->request.origin,                                  \
            &(head)->request.inference_header_value                                                \
    }

/* All that is learned of some bytes. */
struct outcome {
    enum head_size size;
    size_t n_bytes; /* of a whole head */
    int read;       /* what head_read() gave */
    struct seen head;
    struct request_error error;
};

/* Reads a whole head in memory that ends with it; texts of the head then point into `at`. */
static inline void read_whole(struct outcome *outcome, const char *at)
{
    const struct text copy = fixture_copy(at, outcome->n_bytes);
    struct seen *head = &outcome->head;
    outcome->read =
        head_read(&head->framing, &head->request, copy.at, copy.length, &outcome->error);
    struct text *const texts[] = HEAD_TEXTS(head);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]->at)
            texts[i]->at = at + (texts[i]->at - copy.at);
    fixture_drop(copy);
}

/* The bytes come `first` at once, then by `step`; each time in memory that ends with them. */
static inline struct outcome look_in_pieces(struct text bytes, size_t first, size_t step)
{
    struct outcome outcome = {.size = HEAD_INCOMPLETE};
    size_t scanned = 0;
    for (size_t n = first; outcome.size == HEAD_INCOMPLETE; n += step) {
        n = n < bytes.length ? n : bytes.length;
        const struct text copy = fixture_copy(bytes.at, n);
        outcome.size = head_find_end(copy.at, n, &scanned, &outcome.n_bytes, &outcome.error);
        fixture_drop(copy);
        if (n == bytes.length)
            break;
    }
    if (outcome.size == HEAD_COMPLETE)
        read_whole(&outcome, bytes.at);
    return outcome;
}

static inline struct outcome look(struct text bytes)
{
    return look_in_pieces(bytes, bytes.length, 1);
}

static inline bool same_head(const struct seen *a, const struct seen *b)
{
    const struct text *const of_a[] = HEAD_TEXTS(a), *const of_b[] = HEAD_TEXTS(b);
    for (size_t i = 0; i < sizeof of_a / sizeof *of_a; i++)
        if (!text_equal(*of_a[i], *of_b[i]) || (of_a[i]->at == NULL) != (of_b[i]->at == NULL))
            return false;
    return a->request.is_head == b->request.is_head && a->framing.is_1_0 == b->framing.is_1_0 &&
           a->framing.keep_alive == b->framing.keep_alive &&
           a->framing.is_chunked == b->framing.is_chunked &&
           a->request.content_length == b->request.content_length &&
           a->request.coding == b->request.coding &&
           a->request.accepts_gzip == b->request.accepts_gzip &&
           a->framing.expects_continue == b->framing.expects_continue &&
           a->request.type == b->request.type &&
           a->request.n_inference_header_lengths == b->request.n_inference_header_lengths &&
           a->request.inference_header_length_is_number ==
               b->request.inference_header_length_is_number &&
           a->request.inference_header_length == b->request.inference_header_length &&
           text_equal(request_head_id(&a->request), request_head_id(&b->request));
}

static inline bool same(const struct outcome *a, const struct outcome *b)
{
    if (a->size != b->size)
        return false;
    if (a->size == HEAD_INCOMPLETE)
        return true;
    const bool is_read = a->size == HEAD_COMPLETE;
    if (is_read && (a->n_bytes != b->n_bytes || a->read != b->read))
        return false;
    if (!is_read || a->read != 0)
        return a->error.http_status == b->error.http_status &&
               strcmp(a->error.message, b->error.message) == 0;
    return same_head(&a->head, &b->head);
}

/* In any two pieces, and byte by byte. */
static inline bool is_same_in_pieces(struct text bytes, const struct outcome *whole)
{
    const struct outcome by_byte = look_in_pieces(bytes, 1, 1);
    if (!same(whole, &by_byte))
        return false;
    for (size_t first = 0; first < bytes.length; first++) {
        const struct outcome two = look_in_pieces(bytes, first, bytes.length);
        if (!same(whole, &two))
            return false;
    }
    return true;
}

static inline bool is_read(const struct outcome *outcome)
{
    return outcome->size == HEAD_COMPLETE && outcome->read == 0;
}

/* The head of a request that is read, whatever the pieces; else a check fails. */
static inline struct seen accepted(const char *bytes)
{
    const struct outcome outcome = look(text_of(bytes));
    CHECK_MSG(is_read(&outcome), "%s: %s", bytes, outcome.error.message);
    CHECK_MSG(is_same_in_pieces(text_of(bytes), &outcome), "%s", bytes);
    return outcome.head;
}

/* The same with one field behind the Host. */
static inline struct seen with_field(const char *field)
{
    char bytes[512];
    snprintf(bytes, sizeof bytes, LINE HOST "%s\r\n\r\n", field);
    struct seen head = accepted(bytes);
    struct text *const texts[] = HEAD_TEXTS(&head); /* they end with this call */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = (struct text){NULL, 0};
    return head;
}

static inline bool is_refusal(const struct outcome *outcome, int http_status, const char *message)
{
    const bool refused =
        outcome->size == HEAD_MALFORMED || (outcome->size == HEAD_COMPLETE && outcome->read == -1);
    return refused && outcome->error.http_status == http_status &&
           strcmp(outcome->error.message, message) == 0 && error_is_for_clients(&outcome->error);
}

static inline void refuses_bytes(struct text bytes, int http_status, const char *message)
{
    const struct outcome outcome = look(bytes);
    CHECK_MSG(is_refusal(&outcome, http_status, message), "%.*s: size %d, %d %s",
              (int)(bytes.length < 80 ? bytes.length : 80), bytes.at, (int)outcome.size,
              outcome.error.http_status, outcome.error.message);
    if (bytes.length < 1000)
        CHECK_MSG(is_same_in_pieces(bytes, &outcome), "%s", message);
}

static inline void refuses(const char *bytes, int http_status, const char *message)
{
    refuses_bytes(text_of(bytes), http_status, message);
}

static inline void refuses_field(const char *field, int http_status, const char *message)
{
    char bytes[512];
    snprintf(bytes, sizeof bytes, LINE HOST "%s\r\n\r\n", field);
    refuses(bytes, http_status, message);
}

/* Refused with "WHAT: "VALUE"." */
static inline bool is_refusal_of(const struct outcome *outcome, int http_status, const char *what,
                                 const char *value)
{
    char message[384];
    snprintf(message, sizeof message, "%s: \"%s\".", what, value);
    return is_refusal(outcome, http_status, message);
}

static inline void refuses_value(const char *field, int http_status, const char *what,
                                 const char *value)
{
    char message[384];
    snprintf(message, sizeof message, "%s: \"%s\".", what, value);
    refuses_field(field, http_status, message);
}

/* The line that look_with_byte() has put that byte into, as a message shows it: a CR ends the line,
 * and a NUL what is shown of it. */
static inline void shown_with_byte(char *line, size_t size, const char *before, int byte,
                                   const char *behind)
{
    const bool ends = byte == '\r' || byte == '\0';
    const bool printable = byte >= ' ' && byte < 127;
    if (ends)
        snprintf(line, size, "%s", before);
    else
        snprintf(line, size, "%s%c%s", before, printable ? byte : '?', behind);
}

/* `before`, a byte, `behind`. */
static inline struct outcome look_with_byte(const char *before, int byte, const char *behind)
{
    char bytes[256];
    const int n = snprintf(bytes, sizeof bytes, "%s?%s", before, behind);
    bytes[strlen(before)] = (char)byte;
    struct outcome outcome = look((struct text){bytes, (size_t)n});
    outcome.head = (struct seen){0}; /* its texts end with this call */
    return outcome;
}

static inline bool is_token_byte(int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

#endif
