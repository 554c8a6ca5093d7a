/* SPDX-License-Identifier: Apache-2.0 */
/* server.c: the listening socket, and the start and end of the workers. */
#include "net/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "net/worker.h"

enum {
    FDS_RESERVED = 64,  /* for files, pipes and libraries .. */
    FDS_PER_WORKER = 2, /* .. and for each event loop */
    CONNECTIONS_DEFAULT = 8192,
    SPARE_LEAST = 8, /* connections beyond the limit, an eighth of it within these bounds .. */
    SPARE_MOST = 64,
    ON_THEIR_WAY = 64 /* .. and between the worker that accepts one and its own */
};

static unsigned spare_of(unsigned n_connections)
{
    const unsigned n = n_connections / 8;
    return n < SPARE_LEAST ? SPARE_LEAST : n > SPARE_MOST ? SPARE_MOST : n;
}

/* Files that the process may open, once it has asked for `wanted`. */
static rlim_t file_limit(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max,
                                .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

/* As many connections as are configured, or fewer if the process may not open so many files. */
static void limit_connections(struct server *server)
{
    const unsigned given = server->setup.config->max_connections;
    unsigned n = given ? given : CONNECTIONS_DEFAULT;
    const rlim_t reserved =
        FDS_RESERVED + ON_THEIR_WAY + (rlim_t)FDS_PER_WORKER * server->setup.n_workers;
    const rlim_t files = file_limit(n + spare_of(n) + reserved);
    if (files < n + spare_of(n) + reserved) {
        const rlim_t left = files > 2 * reserved ? files - reserved : files / 4 + 2;
        n = (unsigned)(left > 2 * SPARE_LEAST ? left - spare_of((unsigned)left) : left / 2 + 1);
        if (given || n < 1000)
            log_event(LOG_LEVEL_WARNING,
                      "connections limited to %u: the process may open %llu files", n,
                      (unsigned long long)files);
    }
    const unsigned n_workers = server->setup.n_workers;
    server->worker_connections = (n + n_workers - 1) / n_workers;
    server->worker_spare = (spare_of(n) + n_workers - 1) / n_workers;
    server->most_open =
        n_workers * (server->worker_connections + server->worker_spare) + ON_THEIR_WAY;
    metrics_connection_limit(server->setup.metrics, n);
}

/* A listening socket of that family, or -1 with errno. */
static int listen_on(int family, const struct sockaddr *address, socklen_t length)
{
    const int on = 1, off = 0;
    const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address, length) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    const int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* On all addresses of both families, or of IPv4 where the machine has no IPv6. */
static int open_port(uint16_t port)
{
    const struct sockaddr_in6 any_6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    const struct sockaddr_in any_4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = listen_on(AF_INET6, (const struct sockaddr *)&any_6, sizeof any_6);
    if (fd >= 0 || errno == EADDRINUSE)
        return fd;
    return listen_on(AF_INET, (const struct sockaddr *)&any_4, sizeof any_4);
}

static int start(struct server *server, char *message, size_t message_size)
{
    const struct server_setup *setup = &server->setup;
    server->workers = calloc(server->setup.n_workers, sizeof *server->workers);
    if (server->workers == NULL) {
        server->setup.n_workers = 0;
        snprintf(message, message_size, "out of memory");
        return -1;
    }
    for (unsigned i = 0; i < server->setup.n_workers; i++)
        server->workers[i] = (struct worker){.server = server,
                                             .index = i,
                                             .metrics = metrics_shard(server->setup.metrics, i),
                                             .service = setup->thread_of(setup->service, i),
                                             .epoll_fd = -1,
                                             .wake_fd = -1};
    server->listen_fd = open_port(server->setup.config->http_port);
    if (server->listen_fd < 0) {
        snprintf(message, message_size, "cannot listen on port %u: %s",
                 server->setup.config->http_port, strerror(errno));
        return -1;
    }
    int status = 0;
    for (unsigned i = 0; status == 0 && i < server->setup.n_workers; i++)
        status = worker_create(&server->workers[i]);
    for (unsigned i = 0; status == 0 && i < server->setup.n_workers; i++)
        status = worker_start(&server->workers[i]);
    if (status != 0)
        snprintf(message, message_size, "cannot start a worker: %s", strerror(errno));
    return status;
}

struct server *server_start(const struct server_setup *setup, char *message, size_t message_size)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        snprintf(message, message_size, "out of memory");
        return NULL;
    }
    server->setup = *setup;
    server->listen_fd = -1;
    limit_connections(server);
    if (start(server, message, message_size) != 0) {
        server_stop(server);
        return NULL;
    }
    return server;
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    atomic_store(&server->stopping, true);
    for (unsigned i = 0; i < server->setup.n_workers; i++)
        worker_join(&server->workers[i]);
    for (unsigned i = 0; i < server->setup.n_workers; i++)
        worker_free(&server->workers[i]);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    free(server->workers);
    free(server);
}
