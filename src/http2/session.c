/* SPDX-License-Identifier: Apache-2.0 */
#include "http2/session.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "http2/grpc_stream.h"

enum {
    MOST_STREAMS = 256,            /* of a connection, at once */
    STREAM_WINDOW_BYTES = 1 << 20, /* the budget of bodies is what bounds memory */
    CONNECTION_WINDOW_BYTES = 4 << 20,
    GATHER_BYTES = 64 * 1024, /* of frames, sent in one piece */
    /* Streams that ended by a reset, of either side: more than so many, and than so many for each
     * that ended well, are an attack (CVE-2023-44487, CVE-2025-8671). */
    RESETS_MOST = 500,
    RESETS_MOST_SHARE = 4,
    LINGER_BODIES = 2, /* what is dropped behind the last reply, in bodies of the largest size */
    LAST_STREAM_WAIT_MS = 500 /* from the notice that the server drains to the last stream's number:
                                 requests on their way are still taken */
};

static struct http2 *http2_of(const struct connection *c)
{
    return c->state;
}

/* ---- what nghttp2 tells ---- */

static struct stream *stream_of(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

static bool is_request_head(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *of_session)
{
    struct http2 *h = of_session;
    if (!is_request_head(frame))
        return 0;
    struct stream *stream = stream_open(h, frame->hd.stream_id);
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h->connection->worker->n_streams++;
    return nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, stream);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *of_session)
{
    (void)flags, (void)of_session;
    struct stream *stream = stream_of(ng, frame->hd.stream_id);
    if (stream && is_request_head(frame)) /* trailers mean nothing here */
        stream_field(stream, (struct text){(const char *)name, name_length},
                     (struct text){(const char *)value, value_length});
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t length, void *of_session)
{
    (void)flags, (void)of_session;
    struct stream *stream = stream_of(ng, id);
    if (stream)
        stream_data(stream, (const char *)data, length);
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *of_session)
{
    (void)of_session;
    struct stream *stream = stream_of(ng, frame->hd.stream_id);
    if (stream == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    const bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    stream->wants_continue = stream->wants_continue && !is_last;
    if (is_request_head(frame))
        stream_begin(stream);
    if (is_last)
        stream_end(stream);
    return 0;
}

/* The last frame of a reply is sent before the request's body has come: the rest of it is not
 * wanted (RFC 9113 section 8.1). */
static int on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *of_session)
{
    struct http2 *h = of_session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->has_failed |= frame->goaway.error_code != NGHTTP2_NO_ERROR;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    const struct stream *stream = stream_of(ng, frame->hd.stream_id);
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !stream->has_body)
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *of_session)
{
    struct http2 *h = of_session;
    struct stream *stream = stream_of(ng, id);
    if (stream == NULL)
        return 0;
    stream_close(stream);
    h->connection->worker->n_streams--;
    if (code == NGHTTP2_NO_ERROR)
        h->n_ended++;
    else
        h->n_reset++;
    if (h->n_reset > RESETS_MOST && h->n_reset / RESETS_MOST_SHARE > h->n_ended && !h->is_calmed) {
        h->is_calmed = true;
        nghttp2_session_terminate_session(ng, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

/* ---- the session ---- */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    return callbacks;
}

static int make_session(struct http2 *h)
{
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = NULL;
    int status = callbacks ? nghttp2_option_new(&option) : -1;
    if (status == 0) {
        nghttp2_option_set_no_closed_streams(option, 1);
        status = nghttp2_session_server_new2(&h->ng, callbacks, h, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return status == 0 ? 0 : -1;
}

static int tell_settings(struct http2 *h)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MOST_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    const size_t n = sizeof settings / sizeof *settings;
    if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, n) != 0)
        return -1;
    return nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW_BYTES);
}

static const struct session_kind http2_session;

int http2_take_over(struct connection *c)
{
    struct http2 *h = calloc(1, sizeof *h);
    if (h == NULL)
        return -1;
    h->connection = c;
    if (make_session(h) != 0 || tell_settings(h) != 0) {
        nghttp2_session_del(h->ng);
        free(h);
        return -1;
    }
    c->session->close(c);
    c->session = &http2_session;
    c->state = h;
    connection_enter(c, CONNECTION_IDLE);
    return 0;
}

/* ---- writing ---- */

/* Keeps what the socket has not taken. */
static enum step keep(struct http2 *h, const char *at, size_t n)
{
    struct body_budget *budget = h->connection->worker->server->setup.budget;
    h->n_rest_sent = 0;
    if (n > 0 && !body_make_room(&h->rest, budget, n))
        return STEP_CLOSE;
    memcpy(h->rest.at, at, n);
    h->rest.length = n;
    h->blocked_ms = h->connection->worker->now_ms;
    return STEP_WAIT;
}

/* STEP_AGAIN: all of it is sent; STEP_WAIT: the rest is kept. */
static enum step send_or_keep(struct http2 *h, const char *at, size_t n)
{
    while (n > 0) {
        const struct text parts[2] = {{at, n}, {"", 0}};
        size_t n_sent;
        const enum step next = connection_write(h->connection, parts, &n_sent);
        if (next == STEP_WAIT)
            return keep(h, at, n);
        if (next == STEP_CLOSE)
            return next;
        at += n_sent;
        n -= n_sent;
    }
    return STEP_AGAIN;
}

static enum step send_rest(struct http2 *h)
{
    while (h->rest.length > h->n_rest_sent) {
        const struct text parts[2] = {
            {h->rest.at + h->n_rest_sent, h->rest.length - h->n_rest_sent}, {"", 0}};
        size_t n_sent;
        const enum step next = connection_write(h->connection, parts, &n_sent);
        if (next != STEP_AGAIN)
            return next;
        h->n_rest_sent += n_sent; /* the deadline is that of all of it, whatever drips off */
    }
    body_reset(&h->rest, h->connection->worker->server->setup.budget, 0);
    h->blocked_ms = 0;
    return STEP_AGAIN;
}

/* Sends the frames that nghttp2 has, many in one piece. */
static enum step send_frames(struct http2 *h)
{
    char gathered[GATHER_BYTES];
    size_t length = 0;
    enum step next = send_rest(h);
    while (next == STEP_AGAIN) {
        const uint8_t *frame;
        const ssize_t n = nghttp2_session_mem_send(h->ng, &frame);
        if (n < 0 || (size_t)n > sizeof gathered)
            return STEP_CLOSE;
        if (n == 0)
            break;
        if (length + (size_t)n > sizeof gathered) {
            next = send_or_keep(h, gathered, length);
            length = 0;
        }
        if (next == STEP_CLOSE)
            return next;
        if (next == STEP_WAIT) { /* the frame is taken from nghttp2: it goes behind the rest */
            struct body_budget *budget = h->connection->worker->server->setup.budget;
            body_append(&h->rest, budget, (const char *)frame, (size_t)n);
            return h->rest.state == BODY_WHOLE ? STEP_WAIT : STEP_CLOSE;
        }
        memcpy(gathered + length, frame, (size_t)n);
        length += (size_t)n;
    }
    return next == STEP_AGAIN ? send_or_keep(h, gathered, length) : next;
}

/* Whose client reads slowly, or has closed its window, holds no more than the bytes of its reply.
 */
static void shrink_streams(struct http2 *h)
{
    for (struct stream *s = h->streams; s; s = s->next)
        if (s->is_replied && !s->is_open && !s->is_reset && s->queue.length == 0 &&
            s->out[0].length + s->out[1].length > 0 && !request_keep_rest(s->request, s->out) &&
            (s->is_reset = true))
            nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- the end ---- */

static void close_streams(struct http2 *h)
{
    while (h->streams) {
        stream_close(h->streams);
        h->connection->worker->n_streams--;
    }
}

/* All is said. What the client still sends, such as a WINDOW_UPDATE for each part of a reply that
 * it reads, is answered by a closed socket with a reset, which drops what it has not read. */
static enum step end_session(struct http2 *h)
{
    struct connection *c = h->connection;
    if (h->has_failed || h->has_end)
        return STEP_CLOSE;
    close_streams(h);
    shutdown(c->fd, SHUT_WR);
    h->is_over = true;
    h->blocked_ms = c->worker->now_ms;
    return STEP_AGAIN;
}

/* Whether the client's machine has not yet taken all that was written. */
static bool has_unsent(const struct connection *c)
{
    int n = 0;
    return ioctl(c->fd, TIOCOUTQ, &n) == 0 && n > 0;
}

/* Drops what the client still sends, until it ends too. While it takes its replies it may pause;
 * then it has the time that is for closing. */
static enum step linger(struct http2 *h)
{
    struct connection *c = h->connection;
    const struct body_budget *budget = c->worker->server->setup.budget;
    h->n_lingered += c->input.length;
    c->input.length = 0;
    const enum connection_phase phase = has_unsent(c) ? CONNECTION_STREAMS : CONNECTION_LINGERING;
    if (c->phase != phase && c->phase != CONNECTION_LINGERING)
        connection_enter(c, phase);
    return h->n_lingered > LINGER_BODIES * (uint64_t)budget->body_max_bytes ? STEP_CLOSE
                                                                            : connection_read(c);
}

/* The client has sent its end. Requests that came whole have their replies, if it is still there:
 * if it is gone, its machine answers a PING by a reset. The others will never be whole, and a call
 * that stays open would stay for nobody. */
static enum step take_end(struct http2 *h)
{
    h->has_end = true;
    for (struct stream *s = h->streams; s; s = s->next) {
        if ((s->has_body && !s->is_open) || s->is_reset)
            continue;
        s->is_reset = true;
        nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    }
    if (h->streams)
        nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
    return STEP_AGAIN;
}

/* ---- a step ---- */

static bool is_draining(const struct connection *c)
{
    return atomic_load_explicit(&c->worker->server->draining, memory_order_relaxed);
}

/* While the server drains an idle connection is closed soon: none is whose client still has to take
 * a part of its replies. */
static void set_phase(struct http2 *h)
{
    struct connection *c = h->connection;
    const bool is_busy = h->n_streams || h->rest.length || (is_draining(c) && has_unsent(c));
    const enum connection_phase phase = is_busy ? CONNECTION_STREAMS : CONNECTION_IDLE;
    if (c->phase != phase)
        connection_enter(c, phase);
}

/* What has come goes to nghttp2, which has room for all of it. */
static enum step take_input(struct http2 *h)
{
    struct connection *c = h->connection;
    if (c->phase == CONNECTION_IDLE)
        c->since_ms = c->worker->now_ms;
    const ssize_t n =
        nghttp2_session_mem_recv(h->ng, (const uint8_t *)c->input.at, c->input.length);
    if (n < 0) { /* what is wrong was told to the client, if it can be told */
        send_frames(h);
        return STEP_CLOSE;
    }
    connection_take(c, (size_t)n);
    return STEP_AGAIN;
}

/* More of the client's frames, or its end. */
static enum step read_more(struct http2 *h)
{
    struct connection *c = h->connection;
    if (h->has_end)
        return h->n_streams || h->rest.length ? STEP_WAIT : STEP_CLOSE;
    const enum step next = connection_read(c);
    /* Of a connection that has failed nothing more can be read. */
    return next == STEP_CLOSE && c->readable && !c->peer_gone ? take_end(h) : next;
}

static enum step step(struct connection *c)
{
    struct http2 *h = http2_of(c);
    if (h->is_over)
        return linger(h);
    if (h->is_cut || (h->has_end && c->peer_gone) ||
        (c->input.length > 0 && take_input(h) == STEP_CLOSE))
        return STEP_CLOSE;
    const enum step sent = send_frames(h);
    if (sent == STEP_CLOSE)
        return sent;
    shrink_streams(h);
    set_phase(h);
    if (sent == STEP_AGAIN && !nghttp2_session_want_read(h->ng) &&
        !nghttp2_session_want_write(h->ng))
        return end_session(h);
    return read_more(h);
}

static void run_heavy(struct task *task)
{
    struct connection *c = task->connection;
    struct stream *stream =
        (struct stream *)((char *)task - offsetof(struct stream, task)); /* it lies in one */
    stream_answer(stream);
    connection_run(c);
}

/* A PING; the machine of a client that is gone resets the connection. */
static bool ask(struct connection *c)
{
    struct http2 *h = http2_of(c);
    nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
    return send_frames(h) != STEP_CLOSE;
}

/* ---- deadlines ---- */

static void refuse_stream(struct stream *stream, enum metrics_cut cut, int http_status,
                          const char *reason)
{
    struct request_error error;
    struct worker *worker = stream->owner->connection->worker;
    request_error_set(&error, http_status, "%s: %zu bytes of it after %.1f s.", reason,
                      stream->request->body.n_received,
                      (double)(worker->now_ms - stream->since_ms) / 1e3);
    connection_note_cut(worker, request_head_id(&stream->request->head), cut, "%s", error.message);
    stream_refuse(stream, &error);
}

static void reset_stream(struct stream *stream, enum metrics_cut cut, const char *reason)
{
    if (stream->is_reset) /* its RST_STREAM waits behind what the socket has not taken */
        return;
    stream->is_reset = true;
    connection_note_cut(stream->owner->connection->worker, request_head_id(&stream->request->head),
                        cut, "%s", reason);
    nghttp2_submit_rst_stream(stream->owner->ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
}

/* A call that has more than one answer may have none for a while. */
static bool is_idle(const struct stream *stream)
{
    return stream->is_open && stream->out[0].length == 0;
}

static void look_at_stream(struct stream *stream, const struct config *config, uint64_t now_ms)
{
    const uint64_t age_ms = now_ms > stream->since_ms ? now_ms - stream->since_ms : 0;
    if (!stream->has_head && age_ms >= config->header_timeout_s * UINT64_C(1000))
        reset_stream(stream, METRICS_CUT_HEADER, "its header did not come in time");
    else if (stream->has_head && !stream->has_body && !stream->is_replied &&
             age_ms >= config->body_timeout_s * UINT64_C(1000))
        refuse_stream(stream, METRICS_CUT_BODY, 408, "The request body did not come in time");
    else if (stream->is_replied && !is_idle(stream) &&
             age_ms >= config->body_timeout_s * UINT64_C(1000))
        reset_stream(stream, METRICS_CUT_REPLY, "its reply was not taken in time");
}

/* First a notice, so that no request which is on its way is lost; then the number of the last
 * stream that is answered (RFC 9113 section 6.8). */
static void go_away(struct http2 *h, uint64_t now_ms)
{
    if (!h->goes_away) {
        nghttp2_submit_shutdown_notice(h->ng);
        h->goes_away = true;
        h->told_ms = now_ms;
    } else if (!h->is_last_told && now_ms >= h->told_ms + LAST_STREAM_WAIT_MS) {
        nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
                              NULL, 0);
        h->is_last_told = true;
    }
}

static void look(struct connection *c)
{
    struct http2 *h = http2_of(c);
    const struct config *config = c->worker->server->setup.config;
    const uint64_t now_ms = c->worker->now_ms;
    if (h->blocked_ms && now_ms >= h->blocked_ms + config->body_timeout_s * UINT64_C(1000)) {
        connection_cut(c, METRICS_CUT_REPLY, "its replies were not taken in time");
        return;
    }
    for (struct stream *s = h->streams, *next; s; s = next) {
        next = s->next;
        look_at_stream(s, config, now_ms);
        grpc_look(s, h->is_last_told, now_ms);
    }
    if (is_draining(c) && !h->is_over)
        go_away(h, now_ms);
    connection_run(c);
}

/* ---- for the connection ---- */

static struct text request_id(const struct connection *c)
{
    (void)c; /* many may be under way */
    return (struct text){NULL, 0};
}

static size_t memory_of(const struct stream *stream)
{
    return stream->request->body.capacity + stream->queue.capacity;
}

/* The request that holds most memory; without one it is the replies that the socket does not take.
 */
static void refuse(struct connection *c, enum metrics_cut cut, int http_status, const char *reason)
{
    struct http2 *h = http2_of(c);
    struct stream *largest = NULL;
    for (struct stream *s = h->streams; s; s = s->next)
        if (!s->is_waiting && !s->is_reset && memory_of(s) > (largest ? memory_of(largest) : 0))
            largest = s;
    if (largest && largest->is_replied)
        reset_stream(largest, cut, reason);
    else if (largest)
        refuse_stream(largest, cut, http_status, reason);
    else if (h->rest.capacity > 0)
        h->is_cut = true;
    if (h->is_cut)
        connection_note_cut(c->worker, request_id(c), cut, "%s", reason);
}

static bool holds_memory(const struct connection *c)
{
    const struct http2 *h = http2_of(c);
    bool holds = h->rest.capacity > 0;
    for (const struct stream *s = h->streams; s && !holds; s = s->next)
        holds = memory_of(s) > 0;
    return holds;
}

static void lose_input(struct connection *c)
{
    nghttp2_session_terminate_session(http2_of(c)->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void close_session(struct connection *c)
{
    struct http2 *h = http2_of(c);
    close_streams(h);
    nghttp2_session_del(h->ng);
    body_reset(&h->rest, c->worker->server->setup.budget, 0);
    free(h);
    c->state = NULL;
}

static const struct session_kind http2_session = {.step = step,
                                                  .run_heavy = run_heavy,
                                                  .ask = ask,
                                                  .refuse = refuse,
                                                  .holds_memory = holds_memory,
                                                  .request_id = request_id,
                                                  .lose_input = lose_input,
                                                  .look = look,
                                                  .close = close_session};
