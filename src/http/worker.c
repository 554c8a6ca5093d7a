/* SPDX-License-Identifier: Apache-2.0 */
#include "http/worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "http/predict.h"
#include "log.h"

enum {
    EVENTS_A_TURN = 64,
    LOOK_MS = 250,        /* between two looks at the deadlines .. */
    LOOK_BUSY = 4,        /* times as long where there is something to do */
    LOOK_STOPPING_MS = 20 /* .. and while the server stops */
};

/* ---- the connections of a worker ---- */

static void adopt(struct worker *worker, struct connection *c)
{
    if (c->is_listed)
        return;
    c->is_listed = true;
    c->next = worker->connections;
    if (c->next)
        c->next->previous = c;
    worker->connections = c;
}

void worker_wait_turn(struct connection *c)
{
    if (c->is_waiting)
        return;
    c->is_waiting = true;
    c->next_waiting = c->worker->first_waiting;
    c->worker->first_waiting = c;
}

void worker_wait_heavy(struct connection *c)
{
    struct worker *worker = c->worker;
    c->next_heavy = NULL;
    if (worker->first_heavy)
        worker->last_heavy->next_heavy = c;
    else
        worker->first_heavy = c;
    worker->last_heavy = c;
}

static void forget_turn(struct connection *c)
{
    struct connection **link = &c->worker->first_waiting;
    while (*link && *link != c)
        link = &(*link)->next_waiting;
    if (*link)
        *link = c->next_waiting;
}

void worker_remove(struct connection *c)
{
    struct worker *worker = c->worker;
    if (c->is_waiting)
        forget_turn(c);
    if (c->previous)
        c->previous->next = c->next;
    else
        worker->connections = c->next;
    if (c->next)
        c->next->previous = c->previous;
    c->next_closed = worker->closed;
    worker->closed = c;
    atomic_fetch_sub(&worker->n_connections, 1);
    atomic_fetch_sub(&worker->server->n_connections, 1);
}

static void free_closed(struct worker *worker)
{
    while (worker->closed) {
        struct connection *c = worker->closed;
        worker->closed = c->next_closed;
        free(c);
    }
}

static void run_waiting(struct worker *worker)
{
    struct connection *c = worker->first_waiting;
    worker->first_waiting = NULL;
    while (c) {
        struct connection *next = c->next_waiting;
        c->is_waiting = false;
        connection_run(c);
        c = next;
    }
}

static void run_one_heavy(struct worker *worker)
{
    struct connection *c = worker->first_heavy;
    if (c == NULL)
        return;
    worker->first_heavy = c->next_heavy;
    connection_run_heavy(c);
}

/* What came in this turn is scored together, and sent. */
static void answer_waiting(struct worker *worker)
{
    predict_score(worker);
    struct exchange *exchange = worker->answered;
    worker->answered = NULL;
    while (exchange) {
        struct exchange *next = exchange->next_pending;
        connection_answered(exchange->connection);
        exchange = next;
    }
}

/* ---- accepting ---- */

/* All workers watch the listening socket, and one is woken for a connection. */
static void listen_again(struct worker *worker)
{
    const struct server *server = worker->server;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    if (atomic_load(&server->quiesced))
        return;
    if (worker->listens) /* anew, since it may have been another worker that was told */
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, server->listen_fd, NULL);
    worker->listens = epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) == 0;
}

static void listen_no_more(struct worker *worker)
{
    if (worker->listens)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->server->listen_fd, NULL);
    worker->listens = false;
}

static struct worker *least_busy(struct server *server)
{
    struct worker *least = &server->workers[0];
    for (unsigned i = 1; i < server->n_workers; i++)
        if (atomic_load_explicit(&server->workers[i].n_connections, memory_order_relaxed) <
            atomic_load_explicit(&least->n_connections, memory_order_relaxed))
            least = &server->workers[i];
    return least;
}

/* Gives the socket to a worker. That one hears of it at once, since it can be written to. false: no
 * memory, and it is closed. */
static bool hand_over(struct server *server, int fd)
{
    const int on = 1;
    struct worker *worker = least_busy(server);
    struct connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (c) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->worker = worker;
        c->fd = fd;
        c->since_ms = c->bytes_came_ms = clock_ms();
        atomic_fetch_add(&worker->n_connections, 1);
        if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
            return true; /* from now on it is the other thread's */
        atomic_fetch_sub(&worker->n_connections, 1);
    }
    close(fd);
    free(c);
    return false;
}

/* One connection a turn, so that the workers share a burst. It is counted before it is accepted, so
 * that it always is in the backlog or in the count. */
static void accept_one(struct worker *worker)
{
    struct server *server = worker->server;
    if (atomic_fetch_add(&server->n_connections, 1) >= server->max_connections) {
        atomic_store(&server->backlog_waits, true);
        atomic_fetch_sub(&server->n_connections, 1);
        /* Looked at once more: who closes one from now on sees that somebody waits. */
        if (atomic_load(&server->n_connections) >= server->max_connections)
            listen_no_more(worker);
        return;
    }
    const int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && hand_over(server, fd))
        return;
    const int reason = errno;
    atomic_fetch_sub(&server->n_connections, 1);
    if (fd < 0 && (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM)) {
        log_event(LOG_LEVEL_WARNING, "a connection cannot be accepted now: %s", strerror(reason));
        listen_no_more(worker); /* until the next look */
    }
}

/* Where there is room again: who has stopped to listen starts anew. */
static void welcome(struct worker *worker)
{
    struct server *server = worker->server;
    if (atomic_load(&server->n_connections) >= server->max_connections)
        return;
    if (atomic_exchange(&server->backlog_waits, false) || !worker->listens)
        listen_again(worker);
}

/* ---- the loop ---- */

static void look_at_deadlines(struct worker *worker)
{
    struct connection *next;
    for (struct connection *c = worker->connections; c; c = next) {
        next = c->next; /* only c itself can be closed */
        connection_check_deadline(c, worker->now_ms);
    }
}

static void take_event(struct worker *worker, const struct epoll_event *event)
{
    uint64_t n;
    if (event->data.ptr == NULL) {
        accept_one(worker);
    } else if (event->data.ptr == worker) {
        if (read(worker->wake_fd, &n, sizeof n) < 0)
            return; /* nothing to do: the flags are looked at in any case */
    } else {
        struct connection *c = event->data.ptr;
        if (c->fd < 0)
            return; /* closed earlier in this turn */
        adopt(worker, c);
        c->readable |= (event->events & ~(uint32_t)EPOLLOUT) != 0;
        c->peer_closed |= (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        connection_run(c);
    }
}

static bool has_work(const struct worker *worker)
{
    return worker->first_waiting || worker->first_heavy || worker->batch.first || worker->answered;
}

static void *run(void *of_worker)
{
    struct worker *worker = of_worker;
    struct server *server = worker->server;
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t looked_ms = clock_ms();
    while (!atomic_load_explicit(&server->stopping, memory_order_relaxed)) {
        const bool quiesced = atomic_load_explicit(&server->quiesced, memory_order_relaxed);
        const int look_ms = quiesced ? LOOK_STOPPING_MS : LOOK_MS;
        const int n =
            epoll_wait(worker->epoll_fd, events, EVENTS_A_TURN, has_work(worker) ? 0 : look_ms);
        worker->now_ms = clock_ms();
        run_waiting(worker);
        for (int i = 0; i < n; i++)
            take_event(worker, &events[i]);
        answer_waiting(worker);
        run_one_heavy(worker);
        worker->now_ms = clock_ms();
        /* Better when nothing comes: where a request of a proxy's has, others of its are on their
         * way, maybe on connections that would now be closed for being idle. */
        const uint64_t not_looked_ms = worker->now_ms - looked_ms;
        if (not_looked_ms >= (uint64_t)look_ms * (n > 0 ? LOOK_BUSY : 1)) {
            looked_ms = worker->now_ms;
            look_at_deadlines(worker);
            welcome(worker);
        } else if (worker->closed &&
                   atomic_load_explicit(&server->backlog_waits, memory_order_relaxed)) {
            welcome(worker);
        }
        free_closed(worker);
    }
    predict_score(worker); /* lets go of the model, for which a reload may wait */
    return NULL;
}

int worker_create(struct worker *worker)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
    worker->input = malloc(WORKER_INPUT_BYTES);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->now_ms = clock_ms();
    const bool is_whole = worker->input && worker->epoll_fd >= 0 && worker->wake_fd >= 0;
    return is_whole ? epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) : -1;
}

int worker_start(struct worker *worker)
{
    listen_again(worker);
    if (!worker->listens)
        return -1;
    const int reason = pthread_create(&worker->thread, NULL, run, worker);
    worker->is_running = reason == 0;
    errno = reason;
    return worker->is_running ? 0 : -1;
}

void worker_wake(struct worker *worker)
{
    const uint64_t one = 1;
    if (write(worker->wake_fd, &one, sizeof one) < 0)
        return; /* it is awake */
}

/* Connections that were given to the worker when it had already stopped: each is told of once. */
static void adopt_the_last(struct worker *worker)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = 1;
    listen_no_more(worker);
    /* It may never have been read, and would be told of again and again. */
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->wake_fd, NULL);
    for (unsigned turn = 0; n > 0 && turn < worker->server->max_connections; turn++) {
        n = epoll_wait(worker->epoll_fd, events, EVENTS_A_TURN, 0);
        for (int i = 0; i < n; i++)
            adopt(worker, events[i].data.ptr);
    }
}

void worker_join(struct worker *worker)
{
    if (!worker->is_running)
        return;
    worker_wake(worker);
    pthread_join(worker->thread, NULL);
    worker->is_running = false;
}

void worker_free(struct worker *worker)
{
    if (worker->epoll_fd >= 0)
        adopt_the_last(worker);
    while (worker->connections)
        connection_close(worker->connections);
    free_closed(worker);
    exchange_free_kept(worker);
    dcnv2_workspace_free(worker->workspace);
    inflater_free(worker->inflater);
    deflater_free(worker->deflater);
    free(worker->input);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
}
