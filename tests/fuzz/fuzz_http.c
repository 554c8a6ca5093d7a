/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a connection: heads, routes and bodies, one request behind the other. What is seen
 * must not depend on the pieces in which the bytes come: the first byte says how large these are.
 */
#include "http1/chunks.h"
#include "http1/head.h"
#include "serve/routes.h"

#include "fuzz.h"

enum { BODY_MAX_BYTES = 1 << 16, ROUTE_ARENA_BYTES = 1 << 20 };

/* A connection that is read; `seen` sums up all that was. */
struct reader {
    const char *at, *end; /* what has come and is not taken */
    size_t scanned;
    bool in_body, is_chunked, ended;
    uint64_t left; /* of a body that is not chunked */
    struct chunks chunks;
    uint64_t seen;
};

static void see(struct reader *reader, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        reader->seen = (reader->seen ^ ((const unsigned char *)at)[i]) * 0x100000001B3u;
}

static void see_number(struct reader *reader, uint64_t number)
{
    see(reader, &number, sizeof number);
}

static void refuse(struct reader *reader, const struct request_error *error)
{
    static const int statuses[] = {400, 414, 431, 501, 505};
    bool known = false;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        known |= error->http_status == statuses[i];
    REQUIRE(known && error->message[0]);
    for (const char *at = error->message; *at; at++)
        REQUIRE((unsigned char)*at >= 0x20 && *at != 0x7F);
    see_number(reader, (uint64_t)error->http_status);
    see(reader, error->message, strlen(error->message));
    reader->ended = true;
}

static void see_head(struct reader *reader, const struct head *framing,
                     const struct request_head *head)
{
    struct arena arena;
    arena_init(&arena, ROUTE_ARENA_BYTES);
    const struct route_match match = route_find(&arena, head->method, head->target);
    REQUIRE(head->method.length > 0 && head->target.length > 0);
    REQUIRE(!framing->is_chunked || head->content_length == 0);
    see(reader, head->method.at, head->method.length);
    see(reader, head->target.at, head->target.length);
    see_number(reader, match.route);
    see(reader, match.model.at, match.model.length);
    see_number(reader, framing->is_1_0 | framing->keep_alive << 1 | framing->is_chunked << 2 |
                           head->accepts_gzip << 3 | framing->expects_continue << 4 |
                           head->is_head << 5);
    see_number(reader, head->content_length);
    see_number(reader, (uint64_t)head->coding << 32 | (uint64_t)head->type);
    see_number(reader, head->n_inference_header_lengths);
    see_number(reader, head->inference_header_length_is_number);
    see_number(reader, head->inference_header_length);
    see(reader, head->coding_value.at, head->coding_value.length);
    see(reader, head->type_value.at, head->type_value.length);
    see(reader, head->origin.at, head->origin.length);
    see(reader, head->inference_header_value.at, head->inference_header_value.length);
    see_number(reader, match.is_options);
    REQUIRE(!match.is_options || match.allow);
    arena_free(&arena);
}

/* Whether there is more to do with what has come. */
static bool step_head(struct reader *reader)
{
    struct request_error error;
    struct head framing;
    struct request_head head;
    size_t n;
    const enum head_size size =
        head_find_end(reader->at, (size_t)(reader->end - reader->at), &reader->scanned, &n, &error);
    if (size == HEAD_MALFORMED)
        refuse(reader, &error);
    if (size != HEAD_COMPLETE)
        return false;
    REQUIRE(n <= (size_t)(reader->end - reader->at));
    if (head_read(&framing, &head, reader->at, n, &error) != 0) {
        refuse(reader, &error);
        return false;
    }
    see_head(reader, &framing, &head);
    reader->at += n;
    reader->scanned = 0;
    reader->in_body = true;
    reader->is_chunked = framing.is_chunked;
    reader->left = head.content_length;
    reader->chunks = (struct chunks){0};
    reader->ended = head.content_length > BODY_MAX_BYTES;
    return !reader->ended;
}

static bool step_chunks(struct reader *reader)
{
    struct request_error error;
    struct text data;
    enum chunks_result result;
    while ((result = chunks_next(&reader->chunks, &reader->at, reader->end, &data, &error)) ==
           CHUNKS_DATA) {
        REQUIRE(data.length > 0 && data.at + data.length == reader->at);
        see(reader, data.at, data.length);
    }
    REQUIRE(result != CHUNKS_MORE || reader->at == reader->end);
    if (result == CHUNKS_MALFORMED)
        refuse(reader, &error);
    reader->in_body = result != CHUNKS_END;
    return result == CHUNKS_END;
}

static bool step_body(struct reader *reader)
{
    if (reader->is_chunked)
        return step_chunks(reader);
    const size_t there = (size_t)(reader->end - reader->at);
    const size_t n = reader->left < there ? (size_t)reader->left : there;
    see(reader, reader->at, n);
    reader->at += n;
    reader->left -= n;
    reader->in_body = reader->left > 0;
    return !reader->in_body;
}

static uint64_t seen_in_pieces(const char *at, size_t size, size_t piece)
{
    struct reader reader = {.at = at, .end = at};
    for (size_t n = 0; n < size && !reader.ended;) {
        n = size - n < piece ? size : n + piece;
        reader.end = at + n;
        while (!reader.ended && (reader.in_body ? step_body(&reader) : step_head(&reader)))
            see_number(&reader, 1);
    }
    see_number(&reader, (uint64_t)reader.in_body << 1 | reader.ended);
    return reader.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *at = (const char *)data + 1;
    const uint64_t seen = seen_in_pieces(at, size - 1, size);
    REQUIRE(seen == seen_in_pieces(at, size - 1, 1));
    REQUIRE(seen == seen_in_pieces(at, size - 1, 2 + data[0]));
    return 0;
}
