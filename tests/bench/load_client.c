/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_client.c: sends ready-made requests over keep-alive connections, each connection its next
 * one as soon as the reply is whole, and counts. It looks at its sockets without sleeping, so that
 * the server's core never pays for waking it, and does less for a request than any server can:
 * beside one on another core it is the server that is measured. --wait lets it sleep instead,
 * where it must share the server's cores.
 *
 * usage: load_client [--wait] PORT CONNECTIONS SECONDS REQUEST-FILE ..
 *
 * A REQUEST-FILE holds a whole HTTP request; beside it NAME.reply holds the text that the body of
 * a right reply contains. Connections take the requests in turn. A reply is right when its status
 * is 200 and it contains that text. Printed: a line of JSON. Exit code 1, with the reason, when a
 * connection fails or no reply comes for STALL_S seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_BYTES = 16 << 20, /* the largest reply: that of 100,000 rows has 2 MiB */
    N_EVENTS = 64,
    N_LATENCIES = 1 << 20, /* a count for each microsecond; what is slower counts as the last */
    STALL_S = 30
};

struct text {
    char *bytes;
    size_t size;
};

struct request {
    struct text sent, expected;
};

struct connection {
    int socket;
    const struct request *request;
    size_t n_sent, n_received,
        n_expected; /* n_expected: of the whole reply, 0 until its head is in */
    size_t head_size;
    double began;
    struct text reply;
};

struct tally {
    unsigned long n_right, n_wrong;
    unsigned *latencies;
    double slowest_s;
};

static const char *program = "load_client";

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, detail);
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        fail("memory", "not enough");
    return memory;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct text read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path, strerror(errno));
    struct text text = {NULL, 0};
    if (fseek(file, 0, SEEK_END) == 0) {
        const long size = ftell(file);
        rewind(file);
        text.size = size < 0 ? 0 : (size_t)size;
        text.bytes = allocate(text.size + 1);
        if (fread(text.bytes, 1, text.size, file) != text.size)
            fail(path, "cannot be read");
    }
    fclose(file);
    return text;
}

static struct request read_request(const char *path)
{
    char reply_path[4096];
    const int length = snprintf(reply_path, sizeof reply_path, "%s.reply", path);
    if (length < 0 || (size_t)length >= sizeof reply_path)
        fail(path, "too long a path");
    return (struct request){read_file(path), read_file(reply_path)};
}

/* ---- a connection ---- */

static void open_connection(struct connection *connection, int poll, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->socket < 0 ||
        connect(connection->socket, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("connect", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(connection->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->socket, &event) != 0)
        fail("epoll_ctl", strerror(errno));
    /* Pages that no reply reaches are never touched. */
    connection->reply.bytes = allocate(REPLY_BYTES);
}

/* Sends what the socket takes of the request. */
static void send_more(struct connection *connection)
{
    const struct text *sent = &connection->request->sent;
    while (connection->n_sent < sent->size) {
        const ssize_t n = send(connection->socket, sent->bytes + connection->n_sent,
                               sent->size - connection->n_sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            fail("send", strerror(errno));
        connection->n_sent += (size_t)n;
    }
}

static void begin(struct connection *connection, const struct request *request)
{
    connection->request = request;
    connection->n_sent = connection->n_received = connection->n_expected = 0;
    connection->began = now_s();
    send_more(connection);
}

/* The whole reply's size, once its head is in; 0 before. */
static size_t reply_size(struct connection *connection)
{
    const char *bytes = connection->reply.bytes;
    const char *end = memmem(bytes, connection->n_received, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    connection->head_size = (size_t)(end - bytes) + 4;
    for (const char *line = bytes; line < end;) {
        line = (const char *)memchr(line, '\n', (size_t)(end + 4 - line)) + 1;
        if (strncasecmp(line, "content-length:", 15) == 0)
            return connection->head_size + strtoul(line + 15, NULL, 10);
    }
    fail("a reply", "has no Content-Length");
    return 0;
}

/* Takes what has come in; true when the reply is whole. */
static bool receive_more(struct connection *connection)
{
    for (;;) {
        const size_t space = REPLY_BYTES - 1 - connection->n_received;
        const ssize_t n =
            recv(connection->socket, connection->reply.bytes + connection->n_received, space, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n <= 0)
            fail("a connection",
                 n == 0 ? "was closed, or its reply is too large" : strerror(errno));
        connection->n_received += (size_t)n;
        connection->reply.bytes[connection->n_received] = '\0';
        if (connection->n_expected == 0)
            connection->n_expected = reply_size(connection);
        if (connection->n_expected != 0 && connection->n_received >= connection->n_expected)
            return true;
    }
}

static bool is_right(const struct connection *connection)
{
    const struct text *expected = &connection->request->expected;
    return strncmp(connection->reply.bytes, "HTTP/1.1 200", 12) == 0 &&
           connection->n_received == connection->n_expected &&
           memmem(connection->reply.bytes + connection->head_size,
                  connection->n_received - connection->head_size, expected->bytes,
                  expected->size) != NULL;
}

static void count(struct tally *tally, const struct connection *connection, double now)
{
    if (!is_right(connection)) {
        if (tally->n_wrong++ == 0)
            fprintf(stderr, "%s: a wrong reply: %.300s\n", program, connection->reply.bytes);
        return;
    }
    const double seconds = now - connection->began, us = seconds * 1e6;
    tally->n_right++;
    tally->latencies[us < N_LATENCIES - 1 ? (size_t)us : N_LATENCIES - 1]++;
    if (seconds > tally->slowest_s)
        tally->slowest_s = seconds;
}

/* ---- all of them ---- */

/* Keeps every connection busy until the time is over, and one reply has come: on a busy machine a
 * short time may pass without any. What is under way then does not count.
 * Returns the seconds that it took. */
static double drive(struct connection *connections, int n_connections, int poll, bool sleeps,
                    double seconds, const struct request *requests, size_t n_requests,
                    struct tally *tally)
{
    struct epoll_event events[N_EVENTS];
    size_t next = 0;
    const double start = now_s();
    for (int i = 0; i < n_connections; i++)
        begin(&connections[i], &requests[next++ % n_requests]);
    for (double now = start, progress = start;;) {
        const int n = epoll_wait(poll, events, N_EVENTS, sleeps ? 100 : 0);
        now = now_s();
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            send_more(connection);
            if (!receive_more(connection))
                continue;
            progress = now = now_s();
            count(tally, connection, now);
            begin(connection, &requests[next++ % n_requests]);
        }
        if (now - start >= seconds && tally->n_right + tally->n_wrong > 0)
            return now - start;
        if (now - progress > STALL_S)
            fail("no reply", "for too long");
    }
}

/* The latency in microseconds that this share of the replies did not exceed. */
static double percentile(const struct tally *tally, double share)
{
    const double wanted = share * (double)tally->n_right;
    unsigned long seen = 0;
    for (size_t us = 0; us + 1 < N_LATENCIES; us++)
        if ((double)(seen += tally->latencies[us]) >= wanted)
            return (double)us + 1;
    return tally->slowest_s * 1e6;
}

int main(int argc, char **argv)
{
    const bool sleeps = argc > 1 && strcmp(argv[1], "--wait") == 0;
    argc -= sleeps, argv += sleeps;
    if (argc < 5) {
        fprintf(stderr, "usage: %s [--wait] PORT CONNECTIONS SECONDS REQUEST-FILE ..\n", program);
        return 2;
    }
    const int n_connections = atoi(argv[2]), n_requests = argc - 4;
    const double seconds = atof(argv[3]);
    if (n_connections < 1 || n_connections > 10000 || !(seconds > 0 && seconds <= 3600))
        fail("arguments", "1 to 10000 connections, up to 3600 seconds");

    struct request *requests = allocate((size_t)n_requests * sizeof *requests);
    for (int i = 0; i < n_requests; i++)
        requests[i] = read_request(argv[4 + i]);
    struct connection *connections = allocate((size_t)n_connections * sizeof *connections);
    const int poll = epoll_create1(0);
    for (int i = 0; i < n_connections; i++)
        open_connection(&connections[i], poll, (uint16_t)atoi(argv[1]));

    struct tally tally = {.latencies = allocate(N_LATENCIES * sizeof(unsigned))};
    const double took = drive(connections, n_connections, poll, sleeps, seconds, requests,
                              (size_t)n_requests, &tally);
    printf("{\"right\": %lu, \"wrong\": %lu, \"seconds\": %.6f, \"rate\": %.1f, \"us_50\": %.0f, "
           "\"us_99\": %.0f, \"us_max\": %.0f}\n",
           tally.n_right, tally.n_wrong, took, (double)tally.n_right / took,
           percentile(&tally, 0.5), percentile(&tally, 0.99), tally.slowest_s * 1e6);
    for (int i = 0; i < n_connections; i++) {
        close(connections[i].socket);
        free(connections[i].reply.bytes);
    }
    for (int i = 0; i < n_requests; i++) {
        free(requests[i].sent.bytes);
        free(requests[i].expected.bytes);
    }
    free(connections);
    free(requests);
    free(tally.latencies);
    close(poll);
    return 0;
}
