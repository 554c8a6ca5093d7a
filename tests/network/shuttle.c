/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shuttle.c: runs a command on one side of a network that delays, limits the rate, loses and
 * reorders packets. The network is two namespaces of this process, each with a TUN device, and
 * ends with the process. Needs root.
 *
 * usage: shuttle [OPTION ..] -- COMMAND ..
 *   --delay MS         of each packet, one way
 *   --rate MBIT        per second, one way; packets that would wait longer than QUEUE_MS are lost,
 *                      but for those of up to SMALL_BYTES, for which a full queue still has room:
 *                      a lost SYN would cost its client a second
 *   --loss PERCENT     of the packets
 *   --reorder PERCENT  of the packets come late, behind packets that were sent after them
 *   --mtu BYTES        1500 unless told
 *   --buffers BYTES    the most that the kernel keeps for a socket, each way
 *   --seed N           of the choice of packets
 *   --report FILE      takes a line with the counts of packets
 *
 * The command runs on the client's side, with this in its environment:
 *   DCNV2_TEST_ADDRESS   the address of the server's side
 *   DCNV2_TEST_LAUNCHER  words that stand before a command which is to run on the server's side
 *
 * The exit code is the command's; 125 if the network cannot be made; 124 if the network did
 * nothing of what the options ask for, since then the command has shown nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sides.h"

enum {
    QUEUE_MS = 50,
    SMALL_BYTES = 100,
    QUEUE_PACKETS = 1 << 14, /* on their way in one direction */
    READS_A_TURN = 64,
    FEW_PACKETS = 2000, /* among which a rare event may be missing by chance */
    EXIT_NOTHING_DONE = 124,
    EXIT_NO_NETWORK = 125
};

static const char server_address[] = "10.77.0.1", client_address[] = "10.77.0.2";

struct options {
    double delay_ms, rate_mbit, loss_percent, reorder_percent;
    int mtu, buffer_bytes;
    uint64_t seed;
    const char *report;
};

struct packet {
    uint64_t due_ns;
    uint64_t number; /* in the order of coming: equal times keep that order */
    size_t length;
    unsigned char bytes[];
};

struct counts {
    uint64_t n, n_lost, n_late, n_overflowed;
};

/* One direction. */
struct line {
    int from_fd, to_fd;
    uint64_t free_ns; /* when the packets so far are sent at the line's rate */
    struct packet *heap[QUEUE_PACKETS];
    unsigned n;
    struct counts counts;
};

static struct line lines[2];
static uint64_t random_state;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* In [0, 1). */
static double next_fraction(void)
{
    return (double)(next_random() >> 11) * 0x1p-53;
}

static bool happens(double percent)
{
    return next_fraction() * 100 < percent;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- packets on their way ---- */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void swap(struct packet **a, struct packet **b)
{
    struct packet *kept = *a;
    *a = *b;
    *b = kept;
}

static void put(struct line *line, struct packet *packet)
{
    unsigned i = line->n++;
    line->heap[i] = packet;
    for (; i > 0 && is_before(line->heap[i], line->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&line->heap[i], &line->heap[(i - 1) / 2]);
}

static struct packet *take_first(struct line *line)
{
    struct packet *first = line->heap[0];
    line->heap[0] = line->heap[--line->n];
    for (unsigned i = 0, child; (child = 2 * i + 1) < line->n; i = child) {
        if (child + 1 < line->n && is_before(line->heap[child + 1], line->heap[child]))
            child++;
        if (!is_before(line->heap[child], line->heap[i]))
            break;
        swap(&line->heap[child], &line->heap[i]);
    }
    return first;
}

/* When a packet of that length arrives; 0: never. */
static uint64_t arrival(struct line *line, size_t length, const struct options *options)
{
    const uint64_t now = now_ns();
    const uint64_t start = line->free_ns > now ? line->free_ns : now;
    const bool is_late = start - now > QUEUE_MS * UINT64_C(1000000);
    if ((is_late && length > SMALL_BYTES) || line->n == QUEUE_PACKETS) {
        line->counts.n_overflowed++;
        return 0;
    }
    line->free_ns = start;
    if (options->rate_mbit > 0)
        line->free_ns += (uint64_t)((double)length * 8000 / options->rate_mbit);
    if (happens(options->loss_percent)) {
        line->counts.n_lost++;
        return 0;
    }
    double delay_ms = options->delay_ms;
    if (happens(options->reorder_percent)) {
        line->counts.n_late++;
        delay_ms += (1 + options->delay_ms) * next_fraction();
    }
    return line->free_ns + (uint64_t)(delay_ms * 1e6);
}

static void send_packet(struct line *line, const unsigned char *bytes, size_t length,
                        const struct options *options)
{
    enum { VERSION_4 = 4 }; /* the kernel itself looks for neighbours by IPv6: not the command's */
    if (length == 0 || bytes[0] >> 4 != VERSION_4)
        return;
    const uint64_t number = line->counts.n++;
    const uint64_t due_ns = arrival(line, length, options);
    struct packet *packet = due_ns ? malloc(sizeof *packet + length) : NULL;
    if (packet == NULL)
        return;
    packet->due_ns = due_ns;
    packet->number = number;
    packet->length = length;
    memcpy(packet->bytes, bytes, length);
    put(line, packet);
}

static void take_packets(struct line *line, const struct options *options)
{
    unsigned char bytes[MTU_MOST];
    ssize_t n = 1;
    for (int i = 0; i < READS_A_TURN && n > 0; i++) {
        n = read(line->from_fd, bytes, sizeof bytes);
        if (n > 0)
            send_packet(line, bytes, (size_t)n, options);
    }
}

static void deliver(struct line *line)
{
    while (line->n && line->heap[0]->due_ns <= now_ns()) {
        struct packet *packet = take_first(line);
        if (write(line->to_fd, packet->bytes, packet->length) < 0)
            line->counts.n_overflowed++; /* the device's queue is full */
        free(packet);
    }
}

/* How long until a packet is due, at most a second. */
static struct timespec wait_time(void)
{
    const uint64_t now = now_ns();
    uint64_t until = now + 999999999;
    for (int i = 0; i < 2; i++)
        if (lines[i].n && lines[i].heap[0]->due_ns < until)
            until = lines[i].heap[0]->due_ns;
    return (struct timespec){.tv_nsec = until > now ? (long)(until - now) : 0};
}

/* ---- the command ---- */

static int wait_for(pid_t child)
{
    int status;
    if (waitpid(child, &status, WNOHANG) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Carries packets until the command ends; its exit code. */
static int run(pid_t child, int signal_fd, const struct options *options)
{
    int code = -1;
    while (code < 0) {
        struct pollfd fds[3] = {
            {lines[0].from_fd, POLLIN, 0}, {lines[1].from_fd, POLLIN, 0}, {signal_fd, POLLIN, 0}};
        struct signalfd_siginfo signal;
        const struct timespec time = wait_time();
        ppoll(fds, 3, &time, NULL);
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents)
                take_packets(&lines[i], options);
            deliver(&lines[i]);
        }
        if (read(signal_fd, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo != SIGCHLD)
                kill(child, (int)signal.ssi_signo);
            code = wait_for(child);
        }
    }
    return code;
}

static pid_t start(char **command, int server_namespace, const sigset_t *former)
{
    const pid_t parent = getpid(), child = fork();
    char launcher[64];
    if (child != 0)
        return child;
    snprintf(launcher, sizeof launcher, "nsenter --net=/proc/%d/fd/%d", (int)parent,
             server_namespace);
    setenv("DCNV2_TEST_ADDRESS", server_address, 1);
    setenv("DCNV2_TEST_LAUNCHER", launcher, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigprocmask(SIG_SETMASK, former, NULL);
    execvp(command[0], command);
    fprintf(stderr, "shuttle: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

/* ---- the outcome ---- */

static struct counts total(void)
{
    const struct counts *a = &lines[0].counts, *b = &lines[1].counts;
    return (struct counts){a->n + b->n, a->n_lost + b->n_lost, a->n_late + b->n_late,
                           a->n_overflowed + b->n_overflowed};
}

static void report(const struct counts *counts, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    fprintf(file, "%llu packets, %llu lost by chance, %llu by a full queue, %llu late\n",
            (unsigned long long)counts->n, (unsigned long long)counts->n_lost,
            (unsigned long long)counts->n_overflowed, (unsigned long long)counts->n_late);
    fclose(file);
}

/* Why the command has shown nothing of this network, or NULL. */
static const char *what_is_missing(const struct counts *counts, const struct options *options)
{
    if (lines[0].counts.n == 0 || lines[1].counts.n == 0)
        return "the command sent no packet through the network";
    if (counts->n > FEW_PACKETS && options->loss_percent > 0 && counts->n_lost == 0)
        return "no packet was lost";
    if (counts->n > FEW_PACKETS && options->reorder_percent > 0 && counts->n_late == 0)
        return "no packet came late";
    return NULL;
}

static int outcome(int code, const struct options *options)
{
    const struct counts counts = total();
    const char *missing = what_is_missing(&counts, options);
    if (options->report)
        report(&counts, options->report);
    if (code != 0 || missing == NULL)
        return code;
    fprintf(stderr, "shuttle: %s\n", missing);
    return EXIT_NOTHING_DONE;
}

/* ---- start ---- */

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"delay", 1, NULL, 'd'},   {"rate", 1, NULL, 'r'},   {"loss", 1, NULL, 'l'},
        {"reorder", 1, NULL, 'o'}, {"mtu", 1, NULL, 'm'},    {"buffers", 1, NULL, 'b'},
        {"seed", 1, NULL, 's'},    {"report", 1, NULL, 'f'}, {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "+", known, NULL)) >= 0) {
        switch (letter) {
        case 'd':
            options->delay_ms = atof(optarg);
            break;
        case 'r':
            options->rate_mbit = atof(optarg);
            break;
        case 'l':
            options->loss_percent = atof(optarg);
            break;
        case 'o':
            options->reorder_percent = atof(optarg);
            break;
        case 'm':
            options->mtu = atoi(optarg);
            break;
        case 'b':
            options->buffer_bytes = atoi(optarg);
            break;
        case 's':
            options->seed = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            options->report = optarg;
            break;
        default:
            return false;
        }
    }
    return optind < argc && options->mtu >= MTU_LEAST && options->mtu <= MTU_MOST;
}

static int catch_signals(sigset_t *former)
{
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGCHLD);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigprocmask(SIG_BLOCK, &caught, former);
    return signalfd(-1, &caught, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct options options = {.mtu = 1500, .seed = 1};
    struct side server, client;
    sigset_t former;
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: shuttle [OPTION ..] -- COMMAND .. (the head of shuttle.c says more)\n");
        return EXIT_NO_NETWORK;
    }
    random_state = options.seed;
    /* The client's side is the second: the command is started in the namespace of this process. */
    if (side_enter_new(&server, server_address, options.mtu, options.buffer_bytes) != 0 ||
        side_enter_new(&client, client_address, options.mtu, options.buffer_bytes) != 0)
        return EXIT_NO_NETWORK;
    lines[0].from_fd = lines[1].to_fd = server.tun_fd;
    lines[1].from_fd = lines[0].to_fd = client.tun_fd;
    const int signal_fd = catch_signals(&former);
    const pid_t child = start(argv + optind, server.namespace_fd, &former);
    setpriority(PRIO_PROCESS, 0, -20); /* a network does not wait for a CPU */
    if (signal_fd < 0 || child < 0)
        return EXIT_NO_NETWORK;
    return outcome(run(child, signal_fd, &options), &options);
}
