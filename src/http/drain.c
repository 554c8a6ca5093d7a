/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c: the end of service without a lost request.
 *
 * 1. Readiness is 503 and every reply closes its connection; new connections are still taken
 *    for --drain_wait, and on while requests are under way.
 * 2. The listening socket takes no more handshakes; what has already connected is accepted.
 * 3. Connections that got bytes lately are waited for: a client may have sent a request on
 *    an idle connection before it learned that we stop.
 */
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>
#include <netinet/in.h>

#include "clock.h"
#include "http/exchange.h"
#include "log.h"

enum {
    STEP_US = 2000,
    QUIET_MS = 200,         /* an idle connection without bytes for so long is left */
    BACKLOG_WAIT_MS = 1000, /* for the accept queue to be emptied */
    ACCEPT_MORE_SHARE = 3   /* of the grace period, while requests never pause */
};

/* Drops what would open a connection, so that no client is refused after its handshake. */
static void refuse_handshakes(int listen_fd)
{
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &drop_all};
    if (setsockopt(listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        log_event(LOG_LEVEL_DEBUG, "no socket filter here: a late connection may be reset");
}

/* Connections that wait to be accepted; Linux tells it of a listening socket in this field. */
static unsigned backlog(int listen_fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(listen_fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return 0;
    return info.tcpi_unacked;
}

/* A step of the wait, with the deadlines of slow clients kept. */
static void step(struct server *server, uint64_t *last_tick_ms)
{
    usleep(STEP_US);
    if (clock_ms() - *last_tick_ms >= 1000) {
        server_tick(server);
        *last_tick_ms = clock_ms();
    }
}

static void stop_listening(struct server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (info) {
        refuse_handshakes(info->listen_fd);
        const uint64_t start_ms = clock_ms();
        while (backlog(info->listen_fd) > 0 && clock_ms() - start_ms < BACKLOG_WAIT_MS)
            usleep(STEP_US);
    }
    const MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

size_t server_drain(struct server *server)
{
    const uint64_t start_ms = clock_ms();
    const uint64_t grace_ms = server->config->grace_period_s * UINT64_C(1000);
    const uint64_t wait_ms = server->config->drain_wait_s * UINT64_C(1000);
    uint64_t last_tick_ms = start_ms;
    atomic_store(&server->draining, true);
    for (;;) {
        const uint64_t age_ms = clock_ms() - start_ms;
        if (age_ms >= grace_ms || age_ms >= wait_ms + grace_ms / ACCEPT_MORE_SHARE ||
            (age_ms >= wait_ms && metrics_in_flight(server->metrics) == 0))
            break;
        step(server, &last_tick_ms);
    }
    stop_listening(server);
    while (connections_busy(server->connections, QUIET_MS) > 0 && clock_ms() - start_ms < grace_ms)
        step(server, &last_tick_ms);
    return metrics_in_flight(server->metrics);
}
