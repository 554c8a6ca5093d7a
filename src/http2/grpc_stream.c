/* SPDX-License-Identifier: Apache-2.0 */
#include "http2/grpc_stream.h"

#include "protocol/grpc_status.h"
#include "protocol/json_writer.h"
#include "serve/content_coding.h"
#include "serve/grpc.h"
#include "serve/reply.h"

enum {
    MOST_MESSAGES = 1000,    /* of a call: each takes memory until the call ends */
    MESSAGE_MAX_BYTES = 1024 /* of grpc-message, encoded */
};

static const char content_type[] = "application/grpc";
static const char accepted_codings[] = "identity, deflate, gzip";

static enum route_kind kind_of(const struct stream *stream)
{
    const struct route_row *row = stream->request->match.row;
    return row ? row->kind : ROUTE_REST;
}

static bool has_several(const struct stream *stream)
{
    return kind_of(stream) == ROUTE_GRPC_MESSAGES || kind_of(stream) == ROUTE_GRPC_WATCHED;
}

/* ---- status ---- */

/* grpc-status and grpc-message of request->reply, which is an error's text if it is no 200. */
struct status {
    char code[4], message[MESSAGE_MAX_BYTES];
    struct text code_text, message_text;
};

static void set_status(struct status *status, const struct reply *reply)
{
    const bool is_lost = reply->content_type == NULL;
    const enum grpc_status code =
        is_lost ? GRPC_UNAVAILABLE : grpc_status_of_http(reply->http_status);
    struct text text = is_lost ? text_of(REQUEST_NO_MEMORY) : reply->body;
    if (grpc_message_max(text.length) > sizeof status->message)
        text.length = sizeof status->message / grpc_message_max(1);
    status->code_text =
        (struct text){status->code, (size_t)(write_unsigned(status->code, code) - status->code)};
    status->message_text = (struct text){status->message, 0};
    if (code != GRPC_OK)
        status->message_text.length = grpc_message_encode(status->message, text);
}

/* ---- sending ---- */

/* The reply has ended: its trailers. */
static void send_trailers(struct stream *stream)
{
    struct status status;
    set_status(&status, &stream->request->reply);
    const nghttp2_nv pairs[] = {stream_field_pair(text_of("grpc-status"), status.code_text),
                                stream_field_pair(text_of("grpc-message"), status.message_text)};
    nghttp2_submit_trailer(stream->owner->ng, stream->id, pairs,
                           status.message_text.length ? 2 : 1);
}

/* nghttp2 asks for bytes: of a message behind its prefix, or of the messages that wait. */
static ssize_t read_messages(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length,
                             uint32_t *flags, nghttp2_data_source *source, void *unused)
{
    struct stream *stream = source->ptr;
    (void)ng, (void)id, (void)unused;
    const size_t n = stream_take_out(stream, buffer, length);
    if (stream->out[0].length + stream->out[1].length > 0)
        return (ssize_t)n;
    if (stream->is_open) {
        body_reset(&stream->queue, stream_budget(stream), 0);
        return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    send_trailers(stream);
    return (ssize_t)n;
}

static void send_head(struct stream *stream, bool is_packed)
{
    const nghttp2_nv pairs[] = {
        stream_field_pair(text_of(":status"), text_of("200")),
        stream_field_pair(text_of("content-type"), text_of(content_type)),
        stream_field_pair(text_of("grpc-accept-encoding"), text_of(accepted_codings)),
        stream_field_pair(text_of("grpc-encoding"), text_of("gzip"))};
    const nghttp2_data_provider messages = {.source.ptr = stream, .read_callback = read_messages};
    stream_replied(stream);
    nghttp2_submit_response(stream->owner->ng, stream->id, pairs, is_packed ? 4 : 3, &messages);
}

/* A head alone, which is its own trailers. */
static void send_error(struct stream *stream)
{
    struct status status;
    set_status(&status, &stream->request->reply);
    const nghttp2_nv pairs[] = {
        stream_field_pair(text_of(":status"), text_of("200")),
        stream_field_pair(text_of("content-type"), text_of(content_type)),
        stream_field_pair(text_of("grpc-status"), status.code_text),
        stream_field_pair(text_of("grpc-message"), status.message_text),
        stream_field_pair(text_of("grpc-accept-encoding"), text_of(accepted_codings))};
    stream_replied(stream);
    nghttp2_submit_response(stream->owner->ng, stream->id, pairs, sizeof pairs / sizeof *pairs,
                            NULL);
}

/* The message as gzip, if the client takes that and it pays. */
static bool pack(struct request *request)
{
    request->head.accepts_gzip = request->head.accepts_gzip_messages;
    return reply_compress(request);
}

void grpc_send_reply(struct stream *stream)
{
    struct request *request = stream->request;
    struct reply *reply = &request->reply;
    if (reply->content_type == NULL)
        reply_lost(request);
    request_note_reply(request);
    if (stream->is_replied) { /* of a call with several answers: this one ends the call */
        stream->is_open = false;
        nghttp2_session_resume_data(stream->owner->ng, stream->id);
        return;
    }
    char *prefix = arena_alloc(&request->arena, GRPC_PREFIX_BYTES);
    if (reply->http_status != 200 || prefix == NULL) {
        send_error(stream);
        return;
    }
    const bool is_packed = pack(request);
    grpc_prefix_write(prefix, (uint32_t)reply->body.length, is_packed);
    stream->out[0] = (struct text){prefix, GRPC_PREFIX_BYTES};
    stream->out[1] = reply->body;
    send_head(stream, is_packed);
}

/* ---- calls with several answers ---- */

static void refuse(struct stream *stream, int http_status, const char *message)
{
    struct request_error error;
    request_error_set(&error, http_status, "%s", message);
    reply_error(stream->request, &error);
    grpc_send_reply(stream);
}

/* Puts the answer that is set behind those that wait. */
static void add_answer(struct stream *stream)
{
    const struct reply *reply = &stream->request->reply;
    char prefix[GRPC_PREFIX_BYTES];
    if (reply->http_status != 200 || reply->content_type == NULL) {
        grpc_send_reply(stream);
        return;
    }
    const size_t n_sent = stream->queue.length - stream->out[0].length;
    grpc_prefix_write(prefix, (uint32_t)reply->body.length, false);
    body_append(&stream->queue, stream_budget(stream), prefix, sizeof prefix);
    body_append(&stream->queue, stream_budget(stream), reply->body.at, reply->body.length);
    if (stream->queue.state != BODY_WHOLE) {
        refuse(stream, 413, "Too many answers wait to be read.");
        return;
    }
    stream->out[0] = (struct text){stream->queue.at + n_sent, stream->queue.length - n_sent};
    if (!stream->is_replied) {
        stream->is_open = true;
        send_head(stream, false);
    } else {
        nghttp2_session_resume_data(stream->owner->ng, stream->id);
    }
}

static void answer_message(struct stream *stream, struct text message)
{
    if (++stream->n_messages > MOST_MESSAGES) {
        refuse(stream, 413, "Too many messages in one call.");
        return;
    }
    grpc_answer_message(stream->request, message);
    stream->since_ms = stream->owner->connection->worker->now_ms;
    add_answer(stream);
}

/* Whether the call goes on. */
static bool goes_on(const struct stream *stream)
{
    return !stream->is_replied || stream->is_open;
}

/* Answers the whole messages that have come. */
static void answer_messages(struct stream *stream)
{
    struct request *request = stream->request;
    struct body *body = &request->body;
    struct text data = {body->at, body->length}, message;
    struct request_error error;
    int n = 1;
    while (goes_on(stream) && (n = grpc_take_message(request, &data, &message, &error)) == 1)
        answer_message(stream, message);
    if (n < 0) {
        reply_error(request, &error);
        grpc_send_reply(stream);
    }
    if (data.length > 0 && goes_on(stream))
        memmove(body->at, data.at, data.length);
    body->length = data.length;
    if (data.length == 0)
        body_reset(body, stream_budget(stream), 0);
}

void grpc_data(struct stream *stream)
{
    struct request_error error;
    if (kind_of(stream) == ROUTE_GRPC_MESSAGES) {
        answer_messages(stream);
    } else if (grpc_check_prefix(stream->request, &error) != 0) {
        stream_refuse(stream, &error);
    }
}

/* Who watches has one question, to which there is an answer each time that it changes. */
static void begin_watch(struct stream *stream)
{
    struct request *request = stream->request;
    struct text data = {request->body.at, request->body.length}, message;
    struct request_error error;
    const int n = grpc_take_message(request, &data, &message, &error);
    if (n == 1) {
        stream->was_ready = grpc_is_ready(request);
        answer_message(stream, message);
        return;
    }
    if (n == 0)
        request_error_set(&error, 500, "The call ends before its message is whole.");
    reply_error(request, &error);
    grpc_send_reply(stream);
}

bool grpc_end(struct stream *stream)
{
    if (!has_several(stream))
        return false;
    if (!goes_on(stream))
        return true;
    if (kind_of(stream) == ROUTE_GRPC_WATCHED) {
        begin_watch(stream);
    } else {
        stream->request->reply = (struct reply){.http_status = 200, .content_type = content_type};
        if (stream->request->body.length > 0)
            refuse(stream, 500, "The call ends before its message is whole.");
        else if (stream->is_replied)
            grpc_send_reply(stream);
        else
            refuse(stream, 500, "The call ends without a message.");
    }
    return true;
}

/* Whether the client has more to say, and has said nothing for too long. */
static bool is_late(const struct stream *stream, uint64_t now_ms)
{
    const struct config *config = stream->owner->connection->worker->server->setup.config;
    return !stream->has_body &&
           now_ms >= stream->since_ms + config->idle_timeout_s * UINT64_C(1000);
}

void grpc_look(struct stream *stream, bool ends, uint64_t now_ms)
{
    struct request *request = stream->request;
    if (!stream->is_open)
        return;
    if (is_late(stream, now_ms)) {
        refuse(stream, 408, "No message came in time.");
    } else if (ends) {
        refuse(stream, 503, "The server is stopping.");
    } else if (kind_of(stream) == ROUTE_GRPC_WATCHED &&
               stream->was_ready != grpc_is_ready(request)) {
        stream->was_ready = !stream->was_ready;
        answer_message(stream, request->content);
    }
}
