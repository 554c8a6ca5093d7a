/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "net/worker.h"

enum { STEPS_A_TURN = 64 }; /* then the other connections have theirs */

void connection_enter(struct connection *c, enum connection_phase phase)
{
    c->phase = phase;
    c->since_ms = c->worker->now_ms;
    c->n_moved = 0;
    c->pace = (struct pace){0};
}

/* ---- reading ---- */

void connection_take(struct connection *c, size_t n)
{
    c->input.at += n;
    c->input.length -= n;
}

enum step connection_read(struct connection *c)
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

bool connection_has_more(const struct connection *c)
{
    int n = 0;
    return c->input.length > 0 || c->kept.length > 0 || (ioctl(c->fd, FIONREAD, &n) == 0 && n > 0);
}

/* ---- writing ---- */

static ssize_t send_out(int fd, const struct text out[2])
{
    if (out[1].length == 0)
        return send(fd, out[0].at, out[0].length, MSG_NOSIGNAL);
    struct iovec parts[2] = {{(char *)out[0].at, out[0].length},
                             {(char *)out[1].at, out[1].length}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

enum step connection_write(const struct connection *c, const struct text parts[2], size_t *ret_n)
{
    const ssize_t n = send_out(c->fd, parts);
    *ret_n = n > 0 ? (size_t)n : 0;
    if (n >= 0 || errno == EINTR)
        return STEP_AGAIN;
    return errno == EAGAIN ? STEP_WAIT : STEP_CLOSE;
}

/* ---- a turn ---- */

/* The worker's buffer is for the next connection: what is left in it is kept. -1: out of memory. */
static int keep_input(struct connection *c)
{
    struct body_budget *budget = c->worker->server->setup.budget;
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

static void take_kept(struct connection *c)
{
    if (c->kept.length == 0)
        return;
    memcpy(c->worker->input, c->kept.at, c->kept.length);
    c->input = (struct text){c->worker->input, c->kept.length};
    c->kept.length = 0;
}

/* What was read of a body is taken first: it would have to be kept elsewhere. */
static bool has_turn(const struct connection *c, int n_steps)
{
    return n_steps < STEPS_A_TURN || (c->phase == CONNECTION_BODY && c->input.length > 0);
}

/* There is no memory for what has come. A request that waits or is answered still has its reply. */
static enum step lose_input(struct connection *c, enum step next)
{
    c->input.length = 0;
    c->session->lose_input(c);
    if (c->phase == CONNECTION_WAITING || c->phase == CONNECTION_WRITING)
        return next;
    connection_note_cut(c->worker, (struct text){NULL, 0}, METRICS_CUT_MEMORY,
                        "no memory for its header");
    return STEP_CLOSE;
}

void connection_run(struct connection *c)
{
    enum step next = STEP_AGAIN;
    if (c->phase == CONNECTION_WAITING)
        return; /* it is known to be readable */
    take_kept(c);
    for (int i = 0; next == STEP_AGAIN && has_turn(c, i); i++)
        next = c->session->step(c);
    if (next != STEP_CLOSE && (c->input.length || c->kept.at) && keep_input(c) != 0)
        next = lose_input(c, next);
    if (next == STEP_CLOSE) {
        connection_close(c);
        return;
    }
    connection_list_update(c);
    if (next != STEP_WAIT)
        worker_wait_turn(c);
}

/* ---- the end ---- */

void connection_close(struct connection *c)
{
    c->session->close(c);
    body_reset(&c->kept, c->worker->server->setup.budget, 0);
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
    connection_note_cut(c->worker, c->session->request_id(c), cut, "%s", reason);
    connection_close(c);
}
