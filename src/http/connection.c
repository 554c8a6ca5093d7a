/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "http/heavy.h"
#include "http/reply.h"
#include "http/worker.h"
#include "log.h"

enum {
    READS_A_TURN = 64,         /* then the other connections have theirs */
    IN_PLACE_MAX_BYTES = 8192, /* a body up to this is read where it lies. A larger one may hold
                                  rows for milliseconds of work, and waits for its turn */
    LINGER_BODIES = 2 /* what is dropped behind a last reply, in bodies of the largest size */
};

enum step { STEP_AGAIN, STEP_WAIT, STEP_NEXT_TURN, STEP_CLOSE };

static void enter(struct connection *c, enum connection_phase phase)
{
    c->phase = phase;
    c->since_ms = c->worker->now_ms;
    c->pace = (struct pace){0};
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
     * of the client's end. Only at an urgent byte a read stops before what has come behind it. */
    c->readable = (size_t)n == room || c->peer_closed || c->has_urgent;
    return STEP_AGAIN;
}

/* ---- writing ---- */

/* Whether more requests have come behind the one that is answered. */
static bool has_more(const struct connection *c)
{
    int n = 0;
    return c->input.length > 0 || c->kept.length > 0 || (ioctl(c->fd, FIONREAD, &n) == 0 && n > 0);
}

static void log_access(const struct exchange *exchange)
{
    log_request(LOG_LEVEL_INFO, head_request_id(&exchange->head), "%.*s %.*s %d %llu us",
                TEXT_SHOWN(exchange->head.method), TEXT_SHOWN(exchange->head.target),
                exchange->reply.http_status,
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
    c->n_sent = 0;
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
    c->n_sent += (size_t)n;
    if (out[0].length + out[1].length > 0)
        return STEP_AGAIN;
    exchange_release(c->exchange);
    c->exchange = NULL;
    if (!c->close_after) {
        enter(c, c->input.length ? CONNECTION_HEAD : CONNECTION_IDLE);
        return c->input.length || c->readable ? STEP_NEXT_TURN : STEP_WAIT; /* one request a turn */
    }
    if (c->peer_closed && !c->linger_after && !has_more(c))
        return STEP_CLOSE;
    /* Its next bytes may be on their way: a closed socket answers them by a reset, which drops
     * from the client's socket what it has not read of this reply (RFC 9112 section 9.6). */
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

/* If the socket is full the client goes on without it, after a while. */
bool connection_send_continue(const struct connection *c)
{
    static const char reply[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t n;
    do
        n = send(c->fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof reply - 1 || (n < 0 && errno == EAGAIN);
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
    return connection_list_n_busy(worker) < server->worker_connections + n_spare ||
           route_is_probe(c->exchange->match.route);
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
    if (!has_place(c, in_place)) {
        request_error_set(&error, 503, "Too many requests at once; try again.");
        return refuse(c, &error);
    }
    if (in_place) { /* it is read where it lies */
        exchange->content = (struct text){c->input.at, head->content_length};
        exchange->body.n_received = head->content_length;
        take_input(c, head->content_length);
        return answer(c);
    }
    exchange->body.expected = (size_t)head->content_length;
    c->chunks = (struct chunks){0};
    if (head->expects_continue && c->input.length == 0 && !connection_send_continue(c))
        return STEP_CLOSE;
    return STEP_AGAIN;
}

static enum step read_head(struct connection *c)
{
    size_t head_bytes;
    struct request_error error;
    if (c->input.length == 0)
        return read_more(c);
    if (c->phase != CONNECTION_HEAD)
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
    if (body->length > IN_PLACE_MAX_BYTES || coding_is_packed(exchange->head.coding)) {
        if (c->peer_gone)
            return STEP_CLOSE;
        enter(c, CONNECTION_WAITING);
        heavy_add(c);
        return STEP_WAIT;
    }
    return answer(c);
}

static enum step step(struct connection *c)
{
    switch (c->phase) {
    case CONNECTION_NEW:
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
    case CONNECTION_N_PHASES:
        break;
    }
    return STEP_CLOSE;
}

/* ---- a turn ---- */

/* The worker's buffer is for the next connection: what is left in it is kept. -1: out of memory. */
static int keep_input(struct connection *c)
{
    struct body_budget *budget = &c->worker->server->budget;
    const size_t n = c->input.length;
    if (n == 0 || n > c->kept.capacity) /* an idle connection needs no memory */
        body_reset(&c->kept, budget, 0);
    if (n > c->kept.capacity && !body_make_room(&c->kept, budget, n))
        return -1;
    if (n > 0)
        memcpy(c->kept.at, c->input.at, n);
    c->kept.length = n;
    c->input.length = 0;
    return 0;
}

/* What was read of a body is taken first: it would have to be kept elsewhere. */
static bool has_turn(const struct connection *c, int n_steps)
{
    return n_steps < READS_A_TURN || (c->phase == CONNECTION_BODY && c->input.length > 0);
}

void connection_run(struct connection *c)
{
    enum step next = STEP_AGAIN;
    if (c->phase == CONNECTION_WAITING)
        return; /* it is known to be readable */
    if (c->kept.length) {
        memcpy(c->worker->input, c->kept.at, c->kept.length);
        c->input = (struct text){c->worker->input, c->kept.length};
        c->kept.length = 0;
    }
    for (int i = 0; next == STEP_AGAIN && has_turn(c, i); i++)
        next = step(c);
    if (next != STEP_CLOSE && (c->input.length || c->kept.at) && keep_input(c) != 0) {
        c->input.length = 0;
        c->close_after = c->linger_after = true;
        if (c->phase != CONNECTION_WAITING && c->phase != CONNECTION_WRITING) {
            connection_note_cut(c->worker, (struct text){NULL, 0}, METRICS_CUT_MEMORY,
                                "no memory for its header");
            next = STEP_CLOSE;
        }
    }
    if (next == STEP_CLOSE) {
        connection_close(c);
        return;
    }
    connection_list_update(c);
    if (next != STEP_WAIT)
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

/* ---- the end ---- */

void connection_close(struct connection *c)
{
    if (c->exchange)
        exchange_release(c->exchange);
    c->exchange = NULL;
    body_reset(&c->kept, &c->worker->server->budget, 0);
    close(c->fd);
    c->fd = -1;
    worker_remove(c);
}

void connection_note_cut(struct worker *worker, struct text id, enum metrics_cut cut,
                         const char *format, ...)
{
    char reason[128];
    uint64_t n_more;
    va_list arguments;
    metrics_connection_cut(worker->metrics, cut);
    if (!worker_may_log(worker, &worker->server->cut_limits[cut], &n_more))
        return;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    const bool is_ours = cut == METRICS_CUT_ROOM || cut == METRICS_CUT_MEMORY;
    const enum log_level level = is_ours ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;
    if (n_more)
        log_request(level, id, "connection cut: %s; %llu more like it since the last line", reason,
                    (unsigned long long)n_more);
    else
        log_request(level, id, "connection cut: %s", reason);
}

void connection_cut(struct connection *c, enum metrics_cut cut, const char *reason)
{
    const struct text none = {NULL, 0};
    connection_note_cut(c->worker, c->exchange ? head_request_id(&c->exchange->head) : none, cut,
                        "%s", reason);
    connection_close(c);
}

void connection_refuse(struct connection *c, enum metrics_cut cut, int http_status,
                       const char *reason)
{
    struct request_error error;
    const struct exchange *exchange = c->exchange;
    request_error_set(&error, http_status, "%s: %zu bytes of it after %.1f s.", reason,
                      exchange->body.n_received, (double)(c->worker->now_ms - c->since_ms) / 1e3);
    connection_note_cut(c->worker, head_request_id(&exchange->head), cut, "%s", error.message);
    refuse(c, &error);
    connection_run(c);
}
