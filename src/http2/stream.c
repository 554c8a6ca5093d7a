/* SPDX-License-Identifier: Apache-2.0 */
#include "http2/stream.h"

#include <stdlib.h>

#include "http2/grpc_stream.h"
#include "protocol/grpc_status.h"
#include "protocol/json_writer.h"
#include "serve/reply.h"
#include "serve/reply_fields.h"

enum { FIELD_OVERHEAD_BYTES = 32 }; /* RFC 9113 section 6.5.2 */

static uint64_t now_ms(const struct stream *stream)
{
    return stream->owner->connection->worker->now_ms;
}

/* ---- the beginning and the end ---- */

static void answered(struct request *request);

struct stream *stream_open(struct http2 *h, int32_t id)
{
    struct stream *stream = calloc(1, sizeof *stream);
    struct request *request =
        stream ? request_take(h->connection->worker->service, stream, answered) : NULL;
    if (request == NULL) {
        free(stream);
        return NULL;
    }
    *stream = (struct stream){.owner = h,
                              .id = id,
                              .request = request,
                              .since_ms = h->connection->worker->now_ms,
                              .next = h->streams};
    if (stream->next)
        stream->next->previous = stream;
    h->streams = stream;
    h->n_streams++;
    return stream;
}

void stream_close(struct stream *stream)
{
    struct http2 *h = stream->owner;
    heavy_remove(&stream->task);
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        h->streams = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    h->n_streams--;
    body_reset(&stream->queue, stream_budget(stream), 0);
    if (stream->is_waiting) {
        h->n_waiting--;
        request_abandon(stream->request);
    } else {
        request_release(stream->request);
    }
    free(stream);
}

/* ---- the reply ---- */

void stream_replied(struct stream *stream)
{
    stream->is_replied = true;
    stream->since_ms = now_ms(stream);
}

size_t stream_take_out(struct stream *stream, uint8_t *buffer, size_t length)
{
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        struct text *out = &stream->out[i];
        const size_t taken = length - n < out->length ? length - n : out->length;
        if (taken == 0)
            continue;
        memcpy(buffer + n, out->at, taken);
        out->at += taken;
        out->length -= taken;
        n += taken;
    }
    stream->owner->connection->n_moved += n;
    return n;
}

/* nghttp2 asks for bytes of the reply's body. */
static ssize_t read_reply(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *unused)
{
    struct stream *stream = source->ptr;
    (void)ng, (void)id, (void)unused;
    const size_t n = stream_take_out(stream, buffer, length);
    if (stream->out[0].length == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* The reply is set: gives it to nghttp2, which copies all but the body. */
static void send_reply(struct stream *stream)
{
    struct request *request = stream->request;
    struct reply_fields fields;
    nghttp2_nv pairs[1 + REPLY_FIELDS_MAX];
    char status[4] = {0};
    if (request->is_grpc) {
        grpc_send_reply(stream);
        return;
    }
    if (request->reply.content_type == NULL) {
        reply_lost(request);
        request->reply.content_type = "application/json";
        request->reply.body = text_of("{\"error\":\"" REQUEST_NO_MEMORY "\"}");
        request->reply.retry_after = true;
    }
    const bool packed = reply_compress(request);
    fields.n = 0;
    reply_fields(&fields, request, packed);
    write_unsigned(status, (unsigned)request->reply.http_status); /* of three digits */
    pairs[0] = stream_field_pair(text_of(":status"), text_of(status));
    for (unsigned i = 0; i < fields.n; i++)
        pairs[1 + i] = stream_field_pair(fields.at[i].name, fields.at[i].value);
    const bool has_body = !request->head.is_head && request->reply.body.length > 0;
    const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_reply};
    stream->out[0] = has_body ? request->reply.body : (struct text){"", 0};
    stream->out[1] = (struct text){"", 0};
    stream_replied(stream);
    request_note_reply(request);
    if (nghttp2_submit_response(stream->owner->ng, stream->id, pairs, 1 + fields.n,
                                has_body ? &body : NULL) != 0)
        nghttp2_submit_rst_stream(stream->owner->ng, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_INTERNAL_ERROR);
}

void stream_refuse(struct stream *stream, const struct request_error *error)
{
    if (stream->is_replied && !stream->is_open)
        return;
    heavy_remove(&stream->task);
    reply_error(stream->request, error);
    send_reply(stream);
}

/* ---- the head ---- */

static void read_pseudo_field(struct request_head *head, struct text name, struct text value)
{
    if (text_is(name, ":method")) {
        head->method = value;
        head->is_head = text_is(value, "HEAD");
    } else if (text_is(name, ":path")) {
        head->target = value;
    }
}

/* nghttp2 lets names in lower case through alone. */
void stream_field(struct stream *stream, struct text name, struct text value)
{
    struct request *request = stream->request;
    struct request_head *head = &request->head;
    stream->head_bytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (stream->head_bytes > HEAD_MAX_BYTES || request->error.http_status) {
        if (request->error.http_status == 0)
            request_error_set(&request->error, 431, "The header is too large, more than %d bytes.",
                              HEAD_MAX_BYTES);
        return;
    }
    const char *copy = arena_copy_text(&request->arena, value.at, value.length);
    if (copy == NULL) {
        request_error_no_memory_now(&request->error);
        return;
    }
    value.at = copy;
    if (name.length && name.at[0] == ':')
        read_pseudo_field(head, name, value);
    else if (text_is(name, "content-length"))
        request_head_read_length(value, &head->content_length); /* nghttp2 has checked the number */
    else if (text_is(name, "expect"))
        stream->wants_continue = text_is_word(value, "100-continue");
    else if (name.length)
        request_head_field(head, name, value);
}

static void send_continue(const struct stream *stream)
{
    const nghttp2_nv pair = stream_field_pair(text_of(":status"), text_of("100"));
    nghttp2_submit_headers(stream->owner->ng, NGHTTP2_FLAG_NONE, stream->id, NULL, &pair, 1, NULL);
}

/* A connection carries many requests, so that each takes a place of its own. */
static bool has_place(const struct stream *stream)
{
    const struct worker *worker = stream->owner->connection->worker;
    const struct route_match *match = &stream->request->match;
    const bool may_stay = match->row && (match->row->kind == ROUTE_GRPC_WATCHED ||
                                         match->row->kind == ROUTE_GRPC_MESSAGES);
    /* Calls that stay open leave half of the places to others. */
    const unsigned n_places = worker->server->worker_connections / (may_stay ? 2 : 1);
    return worker->n_streams <= n_places || route_is_probe(match->route);
}

void stream_begin(struct stream *stream)
{
    struct request *request = stream->request;
    struct request_error error = request->error;
    stream->has_head = true;
    request->is_grpc = request->head.type == CONTENT_GRPC;
    if (request->head.target.at == NULL)
        request->head.target = text_of(""); /* CONNECT has none */
    if (error.http_status) {
        stream_refuse(stream, &error);
        return;
    }
    if (request_begin(request, true)) { /* the texts are copies */
        send_reply(stream);
        return;
    }
    if (!has_place(stream)) {
        request_error_set(&error, 503, "Too many requests at once; try again.");
        stream_refuse(stream, &error);
        return;
    }
    request->body.expected = (size_t)request->head.content_length;
    request->body.n_framing = request->is_grpc ? GRPC_PREFIX_BYTES : 0;
    if (stream->wants_continue)
        send_continue(stream);
}

/* ---- the body ---- */

void stream_data(struct stream *stream, const char *at, size_t n)
{
    struct body *body = &stream->request->body;
    struct request_error error;
    stream->owner->connection->n_moved += n;
    if (stream->is_replied && !stream->is_open)
        return;
    body_append(body, stream_budget(stream), at, n);
    if (body->state == BODY_TOO_LARGE) {
        body_error(BODY_TOO_LARGE, stream_budget(stream), &error);
        stream_refuse(stream, &error);
    } else if (stream->request->is_grpc && body->state == BODY_WHOLE) {
        grpc_data(stream);
    }
}

void stream_answer(struct stream *stream)
{
    if (request_answer(stream->request)) {
        send_reply(stream);
        return;
    }
    stream->is_waiting = true;
    stream->owner->n_waiting++;
}

/* A request that waited is scored. The frames of all that waited on a connection go together. */
static void answered(struct request *request)
{
    struct stream *stream = request->session;
    struct http2 *h = stream->owner;
    stream->is_waiting = false;
    h->n_waiting--;
    send_reply(stream);
    if (h->n_waiting == 0)
        connection_run(h->connection);
}

void stream_end(struct stream *stream)
{
    struct request *request = stream->request;
    const struct body *body = &request->body;
    stream->has_body = true;
    if (request->is_grpc && grpc_end(stream))
        return;
    if (stream->is_replied)
        return;
    request->content = (struct text){body->at, body->length};
    if (body->length <= REQUEST_LIGHT_BYTES && !coding_is_packed(request->head.coding))
        stream_answer(stream);
    else
        heavy_add(&stream->task, stream->owner->connection,
                  content_bytes(request->content, request->head.coding));
}
