/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connections.h"

#include <linux/tcp.h> /* TCP_INFO with tcpi_bytes_received, which netinet/tcp.h may lack */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "clock.h"
#include "log.h"

enum { STATE_CLOSE_WAIT = 8 }; /* the kernel's TCP_CLOSE_WAIT: the peer has sent its end */

struct connection {
    struct connection *next, *previous;
    int fd;
    _Atomic uint64_t phase_and_since; /* enum connection_phase in the low 2 bits, then ms */
    _Atomic uint64_t consumed_bytes;  /* by the requests that have ended */
    /* What the reaping thread has seen: */
    uint64_t seen_phase;      /* phase_and_since at the last look */
    uint64_t seen_bytes;      /* bytes received by then */
    uint64_t bytes_came_ms;   /* when the count last changed */
    uint64_t header_since_ms; /* when a header began to come; 0: none has */
    bool pending;             /* bytes have come that no request has taken yet */
    bool peer_closed; /* at this look and the one before: it has sent its end and all was read */
    bool cut;
};

struct connections {
    pthread_mutex_t mutex;
    struct connection *first;
    uint64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
};

struct connections *connections_create(unsigned header_timeout_s, unsigned body_timeout_s,
                                       unsigned idle_timeout_s)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (connections == NULL)
        return NULL;
    pthread_mutex_init(&connections->mutex, NULL);
    connections->header_timeout_ms = header_timeout_s * UINT64_C(1000);
    connections->body_timeout_ms = body_timeout_s * UINT64_C(1000);
    connections->idle_timeout_ms = idle_timeout_s * UINT64_C(1000);
    return connections;
}

void connections_free(struct connections *connections)
{
    if (connections == NULL)
        return;
    while (connections->first)
        connections_remove(connections, connections->first);
    pthread_mutex_destroy(&connections->mutex);
    free(connections);
}

struct connection *connections_add(struct connections *connections, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->fd = fd;
    connection->bytes_came_ms = clock_ms();
    connection_enter(connection, CONNECTION_IDLE);
    connection->seen_phase = atomic_load(&connection->phase_and_since);
    pthread_mutex_lock(&connections->mutex);
    connection->next = connections->first;
    if (connection->next)
        connection->next->previous = connection;
    connections->first = connection;
    pthread_mutex_unlock(&connections->mutex);
    return connection;
}

void connections_remove(struct connections *connections, struct connection *connection)
{
    if (connection == NULL)
        return;
    pthread_mutex_lock(&connections->mutex);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connections->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    pthread_mutex_unlock(&connections->mutex);
    free(connection);
}

void connection_enter(struct connection *connection, enum connection_phase phase)
{
    if (connection)
        atomic_store_explicit(&connection->phase_and_since, clock_ms() << 2 | (uint64_t)phase,
                              memory_order_relaxed);
}

void connection_consumed(struct connection *connection, uint64_t n_bytes)
{
    if (connection)
        atomic_fetch_add_explicit(&connection->consumed_bytes, n_bytes, memory_order_relaxed);
}

static struct tcp_info tcp_info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info;
}

void connection_consumed_all(struct connection *connection)
{
    if (connection)
        atomic_store_explicit(&connection->consumed_bytes,
                              tcp_info_of(connection->fd).tcpi_bytes_received,
                              memory_order_relaxed);
}

bool connection_has_more(const struct connection *connection, uint64_t n_bytes)
{
    return connection && tcp_info_of(connection->fd).tcpi_bytes_received >
                             atomic_load(&connection->consumed_bytes) + n_bytes;
}

static int unread_bytes(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

/* Brings what was seen of the connection up to date. Under the mutex. */
static void look(struct connection *connection, uint64_t now_ms)
{
    const uint64_t phase = atomic_load_explicit(&connection->phase_and_since, memory_order_relaxed);
    const struct tcp_info info = tcp_info_of(connection->fd);
    const uint64_t bytes = info.tcpi_bytes_received;
    const bool pending =
        bytes > atomic_load_explicit(&connection->consumed_bytes, memory_order_relaxed);
    const bool closed = info.tcpi_state == STATE_CLOSE_WAIT && unread_bytes(connection->fd) == 0;
    if (bytes != connection->seen_bytes)
        connection->bytes_came_ms = now_ms;
    if (phase != connection->seen_phase) { /* a request has passed since the last look */
        connection->header_since_ms = 0;
        connection->peer_closed = false;
    } else {
        if (pending && connection->header_since_ms == 0)
            connection->header_since_ms = now_ms;
        connection->peer_closed = closed;
    }
    connection->pending = pending;
    connection->seen_phase = phase;
    connection->seen_bytes = bytes;
}

/* Why the connection is over its deadline, or NULL. */
static const char *overdue(const struct connections *connections,
                           const struct connection *connection, uint64_t now_ms)
{
    const uint64_t since_ms = connection->seen_phase >> 2;
    const uint64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    switch ((enum connection_phase)(connection->seen_phase & 3)) {
    case CONNECTION_IDLE:
        return connection->header_since_ms &&
                       now_ms - connection->header_since_ms > connections->header_timeout_ms
                   ? "its header did not come"
                   : NULL;
    case CONNECTION_BODY:
        return age_ms > connections->body_timeout_ms ? "its body did not come" : NULL;
    case CONNECTION_WRITING:
        return age_ms > connections->body_timeout_ms ? "its reply was not taken" : NULL;
    }
    return NULL;
}

/* Nothing has come for so long that nothing is expected. */
static bool idle_too_long(const struct connections *connections,
                          const struct connection *connection, uint64_t now_ms)
{
    const uint64_t since_ms = connection->seen_phase >> 2;
    return (connection->seen_phase & 3) == CONNECTION_IDLE && !connection->pending &&
           now_ms > since_ms && now_ms - since_ms >= connections->idle_timeout_ms;
}

void connections_reap(struct connections *connections)
{
    const uint64_t now_ms = clock_ms();
    pthread_mutex_lock(&connections->mutex);
    for (struct connection *c = connections->first; c; c = c->next) {
        if (c->cut)
            continue;
        look(c, now_ms);
        /* The rest of the request will never come. libmicrohttpd misses an end that comes
         * together with a part of a request. */
        const bool gone = c->peer_closed && (c->seen_phase & 3) != CONNECTION_WRITING;
        const char *why = overdue(connections, c, now_ms);
        if (why == NULL && !gone) {
            /* What has come since is read and answered; after it, or at once, the read ends and
             * libmicrohttpd closes. Its own timeout would drop a request that it has not read. */
            if (idle_too_long(connections, c, now_ms))
                shutdown(c->fd, SHUT_RD);
            continue;
        }
        /* The fd is not closed before connections_remove(), which waits for this mutex. */
        shutdown(c->fd, SHUT_RDWR);
        c->cut = true;
        if (why)
            log_event(LOG_LEVEL_INFO, "connection cut: %s in time", why);
    }
    pthread_mutex_unlock(&connections->mutex);
}

size_t connections_busy(struct connections *connections, unsigned quiet_ms)
{
    const uint64_t now_ms = clock_ms();
    size_t n = 0;
    pthread_mutex_lock(&connections->mutex);
    for (struct connection *c = connections->first; c; c = c->next) {
        look(c, now_ms);
        const bool idle = (c->seen_phase & 3) == CONNECTION_IDLE;
        n += !idle || now_ms - c->bytes_came_ms < quiet_ms;
    }
    pthread_mutex_unlock(&connections->mutex);
    return n;
}
