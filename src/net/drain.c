/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c: the end of service without a lost request.
 *
 * 1. Readiness is 503 and every reply that has no request behind it closes its connection; new
 *    connections are still taken for --drain_wait, and on while requests are under way.
 * 2. The listening socket takes no more handshakes; what has already connected is accepted.
 * 3. Connections end when they are quiet: a client may have sent a request on an idle connection
 *    before it learned that we stop.
 */
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>
#include <netinet/in.h>

#include "clock.h"
#include "log.h"
#include "net/worker.h"

enum {
    STEP_US = 2000,
    BACKLOG_WAIT_MS = 1000, /* for the accept queue to be emptied */
    HANDSHAKE_WAIT_MS = 50, /* for handshakes that had begun to end */
    ACCEPT_MORE_SHARE = 3   /* of the grace period, while requests never pause */
};

/* Drops a SYN, so that no client is refused after its handshake. One that has begun ends as ever.
 */
static void refuse_handshakes(int listen_fd)
{
    enum { FLAGS_AT = 13, SYN = 2 }; /* of the TCP header, RFC 9293 section 3.1 */
    struct sock_filter steps[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
                                  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, 0),
                                  BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {.len = sizeof steps / sizeof steps[0], .filter = steps};
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

static void stop_listening(struct server *server)
{
    refuse_handshakes(server->listen_fd);
    const uint64_t start_ms = clock_ms();
    uint64_t age_ms = 0;
    while (age_ms < HANDSHAKE_WAIT_MS ||
           (backlog(server->listen_fd) > 0 && age_ms < BACKLOG_WAIT_MS)) {
        usleep(STEP_US);
        age_ms = clock_ms() - start_ms;
    }
    atomic_store(&server->quiesced, true);
    for (unsigned i = 0; i < server->setup.n_workers; i++)
        worker_wake(&server->workers[i]);
}

size_t server_drain(struct server *server)
{
    const uint64_t start_ms = clock_ms();
    const uint64_t grace_ms = server->setup.config->grace_period_s * UINT64_C(1000);
    const uint64_t wait_ms = server->setup.config->drain_wait_s * UINT64_C(1000);
    atomic_store(&server->draining, true);
    for (;;) {
        const uint64_t age_ms = clock_ms() - start_ms;
        if (age_ms >= grace_ms || age_ms >= wait_ms + grace_ms / ACCEPT_MORE_SHARE ||
            (age_ms >= wait_ms && metrics_in_flight(server->setup.metrics) == 0))
            break;
        usleep(STEP_US);
    }
    stop_listening(server);
    while (atomic_load(&server->n_connections) > 0 && clock_ms() - start_ms < grace_ms)
        usleep(STEP_US);
    return metrics_in_flight(server->setup.metrics);
}
