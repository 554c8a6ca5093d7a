/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/session.h"

#include <errno.h>
#include <sys/socket.h>

#include "http1/chunks.h"
#include "http1/head.h"
#include "http1/reply_bytes.h"
#include "http2/session.h"
#include "net/connection.h"
#include "serve/reply.h"

enum { LINGER_BODIES = 2 }; /* what is dropped behind a last reply, in bodies of the largest size */

struct http1 {
    struct connection connection;
    bool is_1; /* it is no HTTP/2: its first bytes say so */
    struct head head;
    size_t scanned; /* of the input, by head_find_end() */
    struct chunks chunks;
    struct request *request; /* that is read or answered, or NULL */
    struct task task;        /* of a heavy request */
    struct text out[2]; /* the bytes of the reply that are still to be sent: of its head, and of
                           its body */
    bool close_after;   /* the reply is the last one .. */
    bool linger_after;  /* .. to a client that may still be sending */
    uint64_t n_lingered;
};

static struct http1 *http1_of(struct connection *c)
{
    return (struct http1 *)c; /* its first member */
}

static void take_input(struct http1 *h, size_t n)
{
    connection_take(&h->connection, n);
    h->scanned = 0;
}

/* ---- writing ---- */

/* request->reply is set. While the server drains every reply is the last one of its connection,
 * but for those with requests behind them. */
static void start_reply(struct http1 *h)
{
    struct connection *c = &h->connection;
    const struct server *server = c->worker->server;
    if (!h->close_after && !h->head.keep_alive)
        h->close_after = true;
    if (!h->close_after && atomic_load_explicit(&server->draining, memory_order_relaxed))
        h->close_after = !connection_has_more(c);
    if (!reply_bytes(h->request, &h->head, h->close_after, h->out))
        h->close_after = h->linger_after = true;
    request_note_reply(h->request);
    connection_enter(c, CONNECTION_WRITING);
}

/* Answers what is wrong with the request's framing; where the next one starts cannot be known. */
static enum step refuse(struct http1 *h, const struct request_error *error)
{
    reply_error(h->request, error);
    h->close_after = h->linger_after = true;
    start_reply(h);
    return STEP_AGAIN;
}

/* The first `n` bytes of what is to be sent are. */
static void drop_sent(struct text out[2], size_t n)
{
    for (int i = 0; i < 2; i++) {
        const size_t gone = n < out[i].length ? n : out[i].length;
        out[i].at += gone;
        out[i].length -= gone;
        n -= gone;
    }
}

/* The whole reply is sent. */
static enum step end_reply(struct http1 *h)
{
    struct connection *c = &h->connection;
    request_release(h->request);
    h->request = NULL;
    c->is_probe = false;
    if (!h->close_after) {
        connection_enter(c, c->input.length ? CONNECTION_HEAD : CONNECTION_IDLE);
        return c->input.length || c->readable ? STEP_NEXT_TURN : STEP_WAIT; /* one request a turn */
    }
    if (c->peer_closed && !h->linger_after && !connection_has_more(c))
        return STEP_CLOSE;
    /* Its next bytes may be on their way: a closed socket answers them by a reset, which drops
     * from the client's socket what it has not read of this reply (RFC 9112 section 9.6). */
    shutdown(c->fd, SHUT_WR);
    connection_enter(c, CONNECTION_LINGERING);
    h->n_lingered = c->input.length;
    c->input.length = 0;
    return STEP_AGAIN;
}

static enum step write_reply(struct http1 *h)
{
    struct connection *c = &h->connection;
    size_t n;
    const enum step next = connection_write(c, h->out, &n);
    if (next == STEP_WAIT)
        return request_keep_rest(h->request, h->out) ? STEP_WAIT : STEP_CLOSE;
    if (next == STEP_CLOSE)
        return next;
    drop_sent(h->out, n);
    c->n_moved += n;
    return h->out[0].length + h->out[1].length > 0 ? STEP_AGAIN : end_reply(h);
}

/* Drops what the client still sends, until it ends too. */
static enum step linger(struct http1 *h)
{
    struct connection *c = &h->connection;
    h->n_lingered += c->input.length;
    c->input.length = 0;
    if (h->n_lingered > LINGER_BODIES * (uint64_t)c->worker->server->setup.budget->body_max_bytes)
        return STEP_CLOSE;
    return connection_read(c);
}

/* ---- a request ---- */

/* A 100 (Continue). If the socket is full the client goes on without it, after a while. false: the
 * connection has failed. */
static bool send_continue(const struct connection *c)
{
    static const char reply[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t n;
    do
        n = send(c->fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof reply - 1 || (n < 0 && errno == EAGAIN);
}

static enum step answer(struct http1 *h)
{
    if (!request_answer(h->request)) {
        connection_enter(&h->connection, CONNECTION_WAITING);
        return STEP_WAIT;
    }
    start_reply(h);
    return STEP_AGAIN;
}

/* The reply to a request that waited is set. */
static void answered(struct request *request)
{
    struct http1 *h = request->session;
    start_reply(h);
    connection_run(&h->connection);
}

/*
 * Whether there is a place for one more request. A request that is answered at once needs none,
 * unless its client does not take the reply. The last places are for probes.
 */
static bool has_place(const struct connection *c, bool in_place)
{
    const struct worker *worker = c->worker;
    const struct server *server = worker->server;
    if (atomic_load_explicit(&worker->n_connections, memory_order_relaxed) <=
        server->worker_connections)
        return true;
    const unsigned n_spare = in_place ? server->worker_spare / 2 : 0;
    return connection_list_n_busy(worker) < server->worker_connections + n_spare || c->is_probe;
}

/* A head is whole: takes it, and its body where that is read in place. */
static enum step start_request(struct http1 *h, size_t head_bytes)
{
    struct connection *c = &h->connection;
    struct request *request = h->request;
    struct request_head *head = &request->head;
    struct request_error error;
    const int status = head_read(&h->head, head, c->input.at, head_bytes, &error);
    take_input(h, head_bytes);
    if (status != 0)
        return refuse(h, &error);
    const bool in_place = !h->head.is_chunked && head->content_length <= c->input.length &&
                          head->content_length <= REQUEST_LIGHT_BYTES &&
                          head->coding == CODING_IDENTITY;
    connection_enter(c, CONNECTION_BODY);
    const bool is_answered = request_begin(request, in_place);
    c->is_probe = route_is_probe(request->match.route);
    if (is_answered) {
        h->close_after = h->linger_after = true;
        start_reply(h);
        return STEP_AGAIN;
    }
    if (!has_place(c, in_place)) {
        request_error_set(&error, 503, "Too many requests at once; try again.");
        return refuse(h, &error);
    }
    if (in_place) { /* it is read where it lies */
        request->content = (struct text){c->input.at, head->content_length};
        request->body.n_received = head->content_length;
        take_input(h, head->content_length);
        return answer(h);
    }
    request->body.expected = (size_t)head->content_length;
    h->chunks = (struct chunks){0};
    if (h->head.expects_continue && c->input.length == 0 && !send_continue(c))
        return STEP_CLOSE;
    return STEP_AGAIN;
}

/* Whether all that has come, and is the first of its connection, begins as HTTP/2 does. */
static bool begins_as_http2(const struct connection *c)
{
    const size_t n = c->input.length < HTTP2_PREFACE_BYTES ? c->input.length : HTTP2_PREFACE_BYTES;
    return memcmp(c->input.at, HTTP2_PREFACE, n) == 0;
}

static enum step read_head(struct http1 *h)
{
    struct connection *c = &h->connection;
    size_t head_bytes;
    struct request_error error;
    if (c->input.length == 0)
        return connection_read(c);
    if (!h->is_1 && begins_as_http2(c)) {
        if (c->input.length >= HTTP2_PREFACE_BYTES)
            return http2_take_over(c) == 0 ? STEP_AGAIN : STEP_CLOSE;
        if (c->phase != CONNECTION_HEAD)
            connection_enter(c, CONNECTION_HEAD);
        return connection_read(c);
    }
    h->is_1 = true;
    if (c->phase != CONNECTION_HEAD)
        connection_enter(c, CONNECTION_HEAD);
    const enum head_size size =
        head_find_end(c->input.at, c->input.length, &h->scanned, &head_bytes, &error);
    if (size == HEAD_INCOMPLETE)
        return connection_read(c);
    h->request = request_take(c->worker->service, h, answered);
    if (h->request == NULL)
        return STEP_CLOSE;
    if (size == HEAD_COMPLETE)
        return start_request(h, head_bytes);
    h->head = (struct head){0};
    return refuse(h, &error);
}

/* Takes what has come of a chunked body. -1: *error, it is malformed. */
static int take_chunks(struct http1 *h, bool *ret_whole, struct request_error *error)
{
    struct connection *c = &h->connection;
    const char *at = c->input.at, *end = at + c->input.length;
    struct text data;
    enum chunks_result result;
    while ((result = chunks_next(&h->chunks, &at, end, &data, error)) == CHUNKS_DATA)
        body_append(&h->request->body, c->worker->server->setup.budget, data.at, data.length);
    take_input(h, (size_t)(at - c->input.at));
    *ret_whole = result == CHUNKS_END;
    return result == CHUNKS_MALFORMED ? -1 : 0;
}

/* Takes what has come of a body whose length is known. Whether that is all of it. */
static bool take_length(struct http1 *h)
{
    struct connection *c = &h->connection;
    struct body *body = &h->request->body;
    const uint64_t left = h->request->head.content_length - body->n_received;
    const size_t n = left < c->input.length ? (size_t)left : c->input.length;
    body_append(body, c->worker->server->setup.budget, c->input.at, n);
    take_input(h, n);
    return n == left;
}

/* The body, or a part of it, from the input. */
static enum step read_body(struct http1 *h)
{
    struct connection *c = &h->connection;
    struct request *request = h->request;
    struct body *body = &request->body;
    struct request_error error;
    bool is_whole;
    if (!h->head.is_chunked)
        is_whole = take_length(h);
    else if (take_chunks(h, &is_whole, &error) != 0)
        return refuse(h, &error);
    c->n_moved = body->n_received;
    if (body->state == BODY_TOO_LARGE) {
        body_error(BODY_TOO_LARGE, c->worker->server->setup.budget, &error);
        return refuse(h, &error);
    }
    if (!is_whole)
        return connection_read(c);
    request->content = (struct text){body->at, body->length};
    if (body->length <= REQUEST_LIGHT_BYTES && !coding_is_packed(request->head.coding))
        return answer(h);
    if (c->peer_gone)
        return STEP_CLOSE;
    connection_enter(c, CONNECTION_WAITING);
    heavy_add(&h->task, c, content_bytes(request->content, request->head.coding));
    return STEP_WAIT;
}

/* ---- for the connection ---- */

static enum step step(struct connection *c)
{
    struct http1 *h = http1_of(c);
    switch (c->phase) {
    case CONNECTION_NEW:
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
        return read_head(h);
    case CONNECTION_BODY:
        return read_body(h);
    case CONNECTION_WAITING:
        return STEP_WAIT;
    case CONNECTION_WRITING:
        return write_reply(h);
    case CONNECTION_LINGERING:
        return linger(h);
    case CONNECTION_STREAMS:
    case CONNECTION_N_PHASES:
        break;
    }
    return STEP_CLOSE;
}

static void run_heavy(struct task *task)
{
    struct http1 *h = http1_of(task->connection);
    if (answer(h) == STEP_AGAIN)
        connection_run(&h->connection);
}

/* A 100 (Continue), which every client of HTTP/1.1 passes over (RFC 9110 section 15.2), makes the
 * machine of one that is gone reset the connection. One of HTTP/1.0 is not asked. */
static bool ask(struct connection *c)
{
    return http1_of(c)->head.is_1_0 || send_continue(c);
}

static void refuse_late(struct connection *c, enum metrics_cut cut, int http_status,
                        const char *reason)
{
    struct http1 *h = http1_of(c);
    struct request_error error;
    request_error_set(&error, http_status, "%s: %zu bytes of it after %.1f s.", reason,
                      h->request->body.n_received, (double)(c->worker->now_ms - c->since_ms) / 1e3);
    connection_note_cut(c->worker, request_head_id(&h->request->head), cut, "%s", error.message);
    refuse(h, &error);
}

static bool holds_memory(const struct connection *c)
{
    const struct http1 *h = (const struct http1 *)c;
    return h->request && h->request->body.capacity > 0;
}

static struct text request_id(const struct connection *c)
{
    const struct http1 *h = (const struct http1 *)c;
    return h->request ? request_head_id(&h->request->head) : (struct text){NULL, 0};
}

static void lose_input(struct connection *c)
{
    struct http1 *h = http1_of(c);
    h->close_after = h->linger_after = true;
}

static void close_session(struct connection *c)
{
    struct http1 *h = http1_of(c);
    heavy_remove(&h->task);
    if (h->request)
        request_release(h->request);
    h->request = NULL;
}

const struct session_kind http1_session = {.connection_bytes = sizeof(struct http1),
                                           .step = step,
                                           .run_heavy = run_heavy,
                                           .ask = ask,
                                           .refuse = refuse_late,
                                           .holds_memory = holds_memory,
                                           .request_id = request_id,
                                           .lose_input = lose_input,
                                           .close = close_session};
