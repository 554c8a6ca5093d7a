/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "http/reply.h"
#include "http/worker.h"
#include "log.h"

enum {
    READS_A_TURN = 64,         /* then the other connections have theirs */
    IN_PLACE_MAX_BYTES = 8192, /* a body up to this is read where it lies. A larger one may hold
                                  rows for milliseconds of work, and waits for its turn */
    QUIET_MS = 200,   /* while the server stops, a connection without bytes for so long ends */
    LINGER_BODIES = 2 /* what is dropped behind a last reply, in bodies of the largest size */
};

enum step { STEP_AGAIN, STEP_WAIT, STEP_NEXT_TURN, STEP_CLOSE };

static void enter(struct connection *c, enum connection_phase phase)
{
    c->phase = phase;
    c->since_ms = c->worker->now_ms;
}

static void take_input(struct connection *c, size_t n)
{
    c->input.at += n;
    c->input.length -= n;
    c->scanned = 0;
}

/* ---- reading ---- */

/* More bytes behind those that no request has taken. */
static enum step read_more(struct connection *c)
{
    char *buffer = c->worker->input;
    if (!c->readable)
        return STEP_WAIT;
    if (c->input.length == 0) {
        c->input.at = buffer;
    } else if (c->input.at != buffer) { /* a part of a head: room for the rest */
        memmove(buffer, c->input.at, c->input.length);
        c->input.at = buffer;
    }
    const size_t room = WORKER_INPUT_BYTES - c->input.length;
    ssize_t n;
    do
        n = recv(c->fd, buffer + c->input.length, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        c->readable = false;
        return errno == EAGAIN ? STEP_WAIT : STEP_CLOSE;
    }
    if (n == 0)
        return STEP_CLOSE; /* an answer to a part of a request is not owed */
    c->input.length += (size_t)n;
    c->bytes_came_ms = c->worker->now_ms;
    /* A short read has emptied the socket: epoll tells of what comes later, but has already told
     * of the client's end. */
    c->readable = (size_t)n == room || c->peer_closed;
    return STEP_AGAIN;
}

/* ---- writing ---- */

/* Whether more requests have come behind the one that is answered. */
static bool has_more(const struct connection *c)
{
    int n = 0;
    return c->input.length > 0 || c->n_kept > 0 || (ioctl(c->fd, FIONREAD, &n) == 0 && n > 0);
}

static void log_access(const struct exchange *exchange)
{
    log_event(LOG_LEVEL_INFO, "%.*s %.*s %d %llu us", TEXT_SHOWN(exchange->head.method),
              TEXT_SHOWN(exchange->head.target), exchange->reply.http_status,
              (unsigned long long)(clock_ns() - exchange->started_ns) / 1000);
}

/* exchange->reply is set. While the server drains every reply is the last one of its connection,
 * but for those with requests behind them. */
static void start_reply(struct connection *c)
{
    struct exchange *exchange = c->exchange;
    const struct server *server = c->worker->server;
    if (!c->close_after && !exchange->head.keep_alive)
        c->close_after = true;
    if (!c->close_after && atomic_load_explicit(&server->draining, memory_order_relaxed))
        c->close_after = !has_more(c);
    if (!reply_lay_out(exchange, c->close_after))
        c->close_after = c->linger_after = true;
    metrics_reply(c->worker->metrics, exchange->match.route, (unsigned)exchange->reply.http_status);
    if (server->config->access_log)
        log_access(exchange);
    enter(c, CONNECTION_WRITING);
}

/* Answers what is wrong with the request's framing; where the next one starts cannot be known. */
static enum step refuse(struct connection *c, const struct request_error *error)
{
    reply_error(c->exchange, error);
    c->close_after = c->linger_after = true;
    start_reply(c);
    return STEP_AGAIN;
}

static ssize_t send_out(int fd, const struct text out[2])
{
    if (out[1].length == 0)
        return send(fd, out[0].at, out[0].length, MSG_NOSIGNAL);
    struct iovec parts[2] = {{(char *)out[0].at, out[0].length},
                             {(char *)out[1].at, out[1].length}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static enum step write_reply(struct connection *c)
{
    const struct text *out = c->exchange->out;
    const ssize_t n = send_out(c->fd, out);
    if (n < 0 && errno == EAGAIN)
        return exchange_keep_rest(c->exchange) ? STEP_WAIT : STEP_CLOSE;
    if (n < 0)
        return errno == EINTR ? STEP_AGAIN : STEP_CLOSE;
    exchange_sent(c->exchange, (size_t)n);
    if (out[0].length + out[1].length > 0)
        return STEP_AGAIN;
    exchange_release(c->exchange);
    c->exchange = NULL;
    if (!c->close_after) {
        enter(c, c->input.length ? CONNECTION_HEAD : CONNECTION_IDLE);
        return c->input.length || c->readable ? STEP_NEXT_TURN : STEP_WAIT; /* one request a turn */
    }
    if (!c->linger_after && !has_more(c))
        return STEP_CLOSE;
    shutdown(c->fd, SHUT_WR);
    enter(c, CONNECTION_LINGERING);
    c->n_lingered = c->input.length;
    c->input.length = 0;
    return STEP_AGAIN;
}

/* Drops what the client still sends, until it ends too. */
static enum step linger(struct connection *c)
{
    c->n_lingered += c->input.length;
    c->input.length = 0;
    if (c->n_lingered > LINGER_BODIES * (uint64_t)c->worker->server->budget.body_max_bytes)
        return STEP_CLOSE;
    return read_more(c);
}

/* ---- a request ---- */

/* Where the socket is full the client goes on without it, after a while. */
static enum step send_continue(const struct connection *c)
{
    static const char reply[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t n;
    do
        n = send(c->fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof reply - 1 || (n < 0 && errno == EAGAIN) ? STEP_AGAIN : STEP_CLOSE;
}

static enum step answer(struct connection *c)
{
    if (!exchange_answer(c->exchange)) {
        enter(c, CONNECTION_WAITING);
        return STEP_WAIT;
    }
    start_reply(c);
    return STEP_AGAIN;
}

/* A head is whole: takes it, and its body where that is read in place. */
static enum step start_request(struct connection *c, size_t head_bytes)
{
    struct exchange *exchange = c->exchange;
    struct head *head = &exchange->head;
    struct request_error error;
    if (head_read(head, c->input.at, head_bytes, &error) != 0) {
        take_input(c, head_bytes);
        return refuse(c, &error);
    }
    take_input(c, head_bytes);
    const bool in_place = !head->is_chunked && head->content_length <= c->input.length &&
                          head->content_length <= IN_PLACE_MAX_BYTES &&
                          head->coding == CODING_IDENTITY;
    enter(c, CONNECTION_BODY);
    if (exchange_begin(exchange, in_place)) {
        c->close_after = c->linger_after = true;
        start_reply(c);
        return STEP_AGAIN;
    }
    if (in_place) { /* it is read where it lies */
        exchange->content = (struct text){c->input.at, head->content_length};
        exchange->body.n_received = head->content_length;
        take_input(c, head->content_length);
        return answer(c);
    }
    c->chunks = (struct chunks){0};
    return head->expects_continue && c->input.length == 0 ? send_continue(c) : STEP_AGAIN;
}

static enum step read_head(struct connection *c)
{
    size_t head_bytes;
    struct request_error error;
    if (c->input.length == 0)
        return read_more(c);
    if (c->phase == CONNECTION_IDLE)
        enter(c, CONNECTION_HEAD);
    const enum head_size size =
        head_find_end(c->input.at, c->input.length, &c->scanned, &head_bytes, &error);
    if (size == HEAD_INCOMPLETE)
        return read_more(c);
    c->exchange = exchange_take(c->worker, c);
    if (c->exchange == NULL)
        return STEP_CLOSE;
    if (size == HEAD_COMPLETE)
        return start_request(c, head_bytes);
    return refuse(c, &error);
}

/* The body, or a part of it, from the input. */
static enum step read_body(struct connection *c)
{
    struct exchange *exchange = c->exchange;
    struct body *body = &exchange->body;
    struct body_budget *budget = &c->worker->server->budget;
    struct request_error error;
    bool is_whole;
    if (exchange->head.is_chunked) {
        const char *at = c->input.at, *end = at + c->input.length;
        struct text data;
        enum chunks_result result;
        while ((result = chunks_next(&c->chunks, &at, end, &data, &error)) == CHUNKS_DATA)
            body_append(body, budget, data.at, data.length);
        take_input(c, (size_t)(at - c->input.at));
        if (result == CHUNKS_MALFORMED)
            return refuse(c, &error);
        is_whole = result == CHUNKS_END;
    } else {
        const uint64_t left = exchange->head.content_length - body->n_received;
        const size_t n = left < c->input.length ? (size_t)left : c->input.length;
        body_append(body, budget, c->input.at, n);
        take_input(c, n);
        is_whole = n == left;
    }
    if (body->state == BODY_TOO_LARGE) {
        body_error(BODY_TOO_LARGE, budget, &error);
        return refuse(c, &error);
    }
    if (!is_whole)
        return read_more(c);
    exchange->content = (struct text){body->at, body->length};
    if (body->length > IN_PLACE_MAX_BYTES || exchange->head.coding == CODING_GZIP) {
        enter(c, CONNECTION_WAITING);
        worker_wait_heavy(c);
        return STEP_WAIT;
    }
    return answer(c);
}

static enum step step(struct connection *c)
{
    switch (c->phase) {
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
        return read_head(c);
    case CONNECTION_BODY:
        return read_body(c);
    case CONNECTION_WAITING:
        return STEP_WAIT;
    case CONNECTION_WRITING:
        return write_reply(c);
    case CONNECTION_LINGERING:
        return linger(c);
    }
    return STEP_CLOSE;
}

/* ---- a turn ---- */

/* The worker's buffer is for the next connection: what is left in it is kept. -1: out of memory. */
static int keep_input(struct connection *c)
{
    const size_t n = c->input.length;
    if (n > c->kept_capacity) {
        char *grown = realloc(c->kept, n);
        if (grown == NULL)
            return -1;
        c->kept = grown;
        c->kept_capacity = n;
    }
    if (n == 0 && c->kept) { /* an idle connection needs no memory */
        free(c->kept);
        c->kept = NULL;
        c->kept_capacity = 0;
    } else if (n > 0) {
        memcpy(c->kept, c->input.at, n);
    }
    c->n_kept = n;
    c->input.length = 0;
    return 0;
}

void connection_run(struct connection *c)
{
    enum step next = STEP_AGAIN;
    if (c->phase == CONNECTION_WAITING)
        return; /* it is known to be readable */
    if (c->n_kept) {
        memcpy(c->worker->input, c->kept, c->n_kept);
        c->input = (struct text){c->worker->input, c->n_kept};
        c->n_kept = 0;
    }
    for (int i = 0; i < READS_A_TURN && next == STEP_AGAIN; i++)
        next = step(c);
    if (next != STEP_CLOSE && (c->input.length || c->kept) && keep_input(c) != 0) {
        c->input.length = 0;
        c->close_after = c->linger_after = true;
        if (c->phase != CONNECTION_WAITING && c->phase != CONNECTION_WRITING)
            next = STEP_CLOSE;
    }
    if (next == STEP_CLOSE)
        connection_close(c);
    else if (next != STEP_WAIT)
        worker_wait_turn(c);
}

void connection_run_heavy(struct connection *c)
{
    if (answer(c) == STEP_AGAIN)
        connection_run(c);
}

void connection_answered(struct connection *c)
{
    start_reply(c);
    connection_run(c);
}

void connection_close(struct connection *c)
{
    if (c->exchange)
        exchange_release(c->exchange);
    c->exchange = NULL;
    free(c->kept);
    c->kept = NULL;
    close(c->fd);
    c->fd = -1;
    worker_remove(c);
}

/* ---- deadlines ---- */

/* Nothing is expected: ends it, unless something has come at this moment. */
static void close_idle(struct connection *c)
{
    const uint64_t since_ms = c->since_ms;
    c->readable = true;
    connection_run(c);
    if (c->fd >= 0 && c->phase == CONNECTION_IDLE && c->since_ms == since_ms)
        connection_close(c);
}

static void cut(struct connection *c, const char *what)
{
    log_event(LOG_LEVEL_INFO, "connection cut: %s in time", what);
    connection_close(c);
}

void connection_check_deadline(struct connection *c, uint64_t now_ms)
{
    const struct server *server = c->worker->server;
    const struct config *config = server->config;
    const uint64_t age_ms = now_ms > c->since_ms ? now_ms - c->since_ms : 0;
    const uint64_t body_ms = config->body_timeout_s * UINT64_C(1000);
    const uint64_t quiet_ms = now_ms > c->bytes_came_ms ? now_ms - c->bytes_came_ms : 0;
    const bool is_quiet = atomic_load(&server->quiesced) && quiet_ms >= QUIET_MS;
    switch (c->phase) {
    case CONNECTION_IDLE:
        if (is_quiet || age_ms >= config->idle_timeout_s * UINT64_C(1000))
            close_idle(c);
        break;
    case CONNECTION_HEAD:
        if (is_quiet || age_ms > config->header_timeout_s * UINT64_C(1000))
            cut(c, "its header did not come");
        break;
    case CONNECTION_BODY:
        if (age_ms > body_ms)
            cut(c, "its body did not come");
        break;
    case CONNECTION_WAITING:
        break;
    case CONNECTION_WRITING:
        if (age_ms > body_ms)
            cut(c, "its reply was not taken");
        break;
    case CONNECTION_LINGERING:
        if (is_quiet || age_ms > body_ms)
            connection_close(c);
        break;
    }
}
