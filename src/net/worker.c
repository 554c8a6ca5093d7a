/* SPDX-License-Identifier: Apache-2.0 */
#include "net/worker.h"

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
#include "log.h"
#include "net/connection.h"
#include "net/heavy.h"

enum {
    EVENTS_A_TURN = 256,
    ACCEPTS_A_TURN = 4096, /* the longest backlog: some 30 ms */
    LIGHT_TURNS = 32,      /* without a heavy request, while more and more events come */
    LOOK_MS = 250,         /* between two looks at the deadlines .. */
    LOOK_BUSY = 4,         /* times as long where there is something to do */
    LOOK_STOPPING_MS = 20  /* .. and while the server stops */
};

/* ---- the connections of a worker ---- */

/* The worker sees it for the first time. Its place may have to be made. Those that are on their way
 * to this worker do not count: with them nobody here would be left. */
static void adopt(struct connection *c)
{
    struct worker *worker = c->worker;
    const struct server *server = worker->server;
    if (c->is_listed)
        return;
    connection_list_update(c);
    while (connection_list_n(worker) > server->worker_connections + server->worker_spare &&
           deadlines_make_room(worker) && c->fd >= 0)
        ;
}

bool worker_may_log(const struct worker *worker, struct log_limit *limit, uint64_t *ret_left_out)
{
    static const struct log_rate rate = {.interval_ns = UINT64_C(10000000000), .most = 1};
    return log_limit_allows(limit, worker->now_ms * UINT64_C(1000000), rate, 1, ret_left_out);
}

void worker_wait_turn(struct connection *c)
{
    if (c->is_waiting)
        return;
    c->is_waiting = true;
    c->next_waiting = c->worker->first_waiting;
    c->worker->first_waiting = c;
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
    connection_list_remove(c);
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
    struct task *task = heavy_next(worker);
    if (task)
        task->connection->session->run_heavy(task);
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
    for (unsigned i = 1; i < server->setup.n_workers; i++)
        if (atomic_load_explicit(&server->workers[i].n_connections, memory_order_relaxed) <
            atomic_load_explicit(&least->n_connections, memory_order_relaxed))
            least = &server->workers[i];
    return least;
}

/* Gives the socket to a worker, which hears of it at once, since the socket can be written to. If
 * that is another worker, the connection may already be freed when this returns.
 * NULL: no memory, and it is closed. */
static struct connection *hand_over(struct worker *worker, int fd)
{
    const int on = 1;
    const struct session_kind *session = worker->server->setup.session;
    struct connection *c = calloc(1, session->connection_bytes);
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = c};
    if (c) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->worker = worker;
        c->session = session;
        c->fd = fd;
        c->phase = CONNECTION_NEW;
        c->since_ms = c->bytes_came_ms = clock_ms();
        atomic_fetch_add(&worker->n_connections, 1);
        if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
            return c;
        atomic_fetch_sub(&worker->n_connections, 1);
    }
    close(fd);
    free(c);
    return NULL;
}

/* A place for a connection that is accepted next, so that each always is in the backlog or in the
 * count. */
static bool take_place(struct worker *worker)
{
    struct server *server = worker->server;
    if (atomic_fetch_add(&server->n_connections, 1) < server->most_open)
        return true;
    atomic_store(&server->backlog_waits, true);
    atomic_fetch_sub(&server->n_connections, 1);
    /* Looked at once more: who closes one from now on sees that somebody waits. */
    if (atomic_load(&server->n_connections) >= server->most_open)
        listen_no_more(worker);
    return false;
}

/* The process or the machine has no more files: an idle connection gives its own. */
static bool make_file(struct worker *worker, int reason)
{
    uint64_t n_more;
    if (reason != EMFILE && reason != ENFILE && reason != ENOBUFS && reason != ENOMEM)
        return false;
    if (worker_may_log(worker, &worker->server->accept_limit, &n_more))
        log_event(LOG_LEVEL_WARNING, "a connection cannot be accepted now: %s", strerror(reason));
    if (deadlines_make_room(worker))
        return true;
    listen_no_more(worker); /* until the next look */
    return false;
}

/* false: no more wait, or none can be taken now. */
static bool accept_one(struct worker *worker)
{
    struct server *server = worker->server;
    if (!take_place(worker))
        return false;
    const int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int reason = fd < 0 ? errno : ENOMEM;
    struct worker *owner = least_busy(server);
    struct connection *c = fd < 0 ? NULL : hand_over(owner, fd);
    if (c == NULL) {
        atomic_fetch_sub(&server->n_connections, 1);
        return make_file(worker, reason) || reason == ECONNABORTED || reason == EINTR;
    }
    if (owner != worker)
        return true; /* it is the other thread's */
    adopt(c);        /* its request may have come with it: it does not wait for the next turn */
    if (c->fd < 0)
        return true;
    c->readable = true;
    connection_run(c);
    return true;
}

/* All that wait in the backlog, so that whoever comes behind them waits for none of their requests.
 */
static void accept_waiting(struct worker *worker)
{
    for (int i = 0; i < ACCEPTS_A_TURN && accept_one(worker); i++)
        ;
}

/* If there is room again: who has stopped to listen starts anew. */
static void welcome(struct worker *worker)
{
    struct server *server = worker->server;
    if (atomic_load(&server->n_connections) >= server->most_open)
        return;
    if (atomic_exchange(&server->backlog_waits, false) || !worker->listens)
        listen_again(worker);
}

/* ---- the loop ---- */

static void take_event(struct worker *worker, const struct epoll_event *event)
{
    uint64_t n;
    if (event->data.ptr == NULL) {
        accept_waiting(worker);
    } else if (event->data.ptr == worker) {
        if (read(worker->wake_fd, &n, sizeof n) < 0)
            return; /* nothing to do: the flags are looked at in any case */
    } else {
        struct connection *c = event->data.ptr;
        if (c->fd < 0)
            return; /* closed earlier in this turn */
        adopt(c);
        if (c->fd < 0)
            return;
        c->readable |= (event->events & ~(uint32_t)EPOLLOUT) != 0;
        c->has_urgent |= (event->events & EPOLLPRI) != 0;
        c->peer_closed |= (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        c->peer_gone |= (event->events & (EPOLLHUP | EPOLLERR)) != 0;
        if (c->peer_gone && c->n_heavy)
            connection_close(c); /* nobody waits for its answer */
        else
            connection_run(c);
    }
}

static bool has_work(const struct worker *worker)
{
    return worker->first_waiting || worker->first_heavy ||
           worker->server->setup.has_work(worker->service);
}

static void *run(void *of_worker)
{
    struct worker *worker = of_worker;
    struct server *server = worker->server;
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t looked_ms = clock_ms();
    unsigned n_light = 0; /* turns since the last one with a heavy request */
    while (!atomic_load_explicit(&server->stopping, memory_order_relaxed)) {
        const bool quiesced = atomic_load_explicit(&server->quiesced, memory_order_relaxed);
        const int look_ms = quiesced ? LOOK_STOPPING_MS : LOOK_MS;
        const int n =
            epoll_wait(worker->epoll_fd, events, EVENTS_A_TURN, has_work(worker) ? 0 : look_ms);
        worker->now_ms = clock_ms();
        run_waiting(worker);
        for (int i = 0; i < n; i++)
            take_event(worker, &events[i]);
        server->setup.end_turn(worker->service);
        /* More events than fit wait for the next turn, not for a heavy request. */
        n_light = n < EVENTS_A_TURN ? LIGHT_TURNS : n_light + 1;
        if (n_light >= LIGHT_TURNS) {
            n_light = 0;
            deadlines_ease_budget(worker); /* while all that has come is read: who is slow, is it */
            run_one_heavy(worker);
        }
        worker->now_ms = clock_ms();
        /* Better when nothing comes: if a request of a proxy has come, more of its requests are on
         * their way, maybe on connections that would now be closed for being idle. */
        const uint64_t not_looked_ms = worker->now_ms - looked_ms;
        if (not_looked_ms >= (uint64_t)look_ms * (n > 0 ? LOOK_BUSY : 1)) {
            looked_ms = worker->now_ms;
            deadlines_look(worker);
            welcome(worker);
        } else if (worker->closed &&
                   atomic_load_explicit(&server->backlog_waits, memory_order_relaxed)) {
            welcome(worker);
        }
        free_closed(worker);
    }
    server->setup.end_turn(worker->service); /* lets go of the model, for which a reload may wait */
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
    for (unsigned turn = 0; n > 0 && turn < worker->server->most_open; turn++) {
        n = epoll_wait(worker->epoll_fd, events, EVENTS_A_TURN, 0);
        for (int i = 0; i < n; i++)
            connection_list_update(events[i].data.ptr);
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
    for (int phase = 0; phase < CONNECTION_N_PHASES; phase++)
        while (worker->lists[phase].first)
            connection_close(worker->lists[phase].first);
    free_closed(worker);
    free(worker->input);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
}
