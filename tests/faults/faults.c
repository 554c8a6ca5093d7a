/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.c: a library for LD_PRELOAD that lets calls on sockets fail or do less than asked, as a
 * kernel may at any time. Environment:
 *   FAULTS_SEED       of the choice of calls
 *   FAULTS_PER_MILLE  of the calls have a fault
 *   FAULTS_WHICH      the kinds that may come, by commas; their names are in fault_names
 *   FAULTS_COUNTS     a file of FAULT_KINDS uint64_t, which says at any time how many came
 *
 * Each fault is one that a kernel makes. EAGAIN, or fewer bytes than asked for, mean that the
 * socket is empty or full and that an edge comes later; here it is not, so that the library makes
 * that edge by EPOLL_CTL_MOD with the events that were asked for. A reset really resets the
 * connection: what the call then gives is the kernel's answer.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum fault {
    RECV_SHORT,
    RECV_AGAIN,
    RECV_INTERRUPTED,
    RECV_RESET,
    SEND_SHORT,
    SEND_AGAIN,
    SEND_INTERRUPTED,
    SEND_RESET,
    WAIT_FEW,
    WAIT_NONE,
    WAIT_INTERRUPTED,
    ACCEPT_AGAIN,
    ACCEPT_INTERRUPTED,
    ACCEPT_ABORTED,
    ACCEPT_FULL,
    FAULT_KINDS,
    NO_FAULT = FAULT_KINDS
};

static const char *const fault_names[FAULT_KINDS] = {
    "recv-short",       "recv-again",       "recv-interrupted",   "recv-reset",     "send-short",
    "send-again",       "send-interrupted", "send-reset",         "wait-few",       "wait-none",
    "wait-interrupted", "accept-again",     "accept-interrupted", "accept-aborted", "accept-full"};

enum {
    MOST_FDS = 1 << 16,
    FEW_BYTES = 16,   /* half of the short calls have so many at most */
    WHOLE_BYTES = 64, /* so few a socket takes whole or not at all */
    MOST_PARTS = 8    /* of a sendmsg; more are left as they are */
};

/* What a descriptor's epoll was asked for; epoll_fd 0: none, or not by edges. */
struct watch {
    _Atomic int epoll_fd;
    uint32_t events;
    uint64_t data;
};

static struct watch watches[MOST_FDS];
static _Atomic uint64_t n_calls;
static uint64_t seed;
static unsigned per_mille;
static bool may_come[FAULT_KINDS];
static _Atomic uint64_t own_counts[FAULT_KINDS];
static _Atomic uint64_t *counts = own_counts;

#define EXPORT __attribute__((visibility("default")))
/* The function of that name behind this library: a sanitizer's, or libc's. */
#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* ---- settings ---- */

static bool is_named(const char *names, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

static void share_counts(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof own_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED)
        counts = shared;
    NEXT(close)(fd);
}

__attribute__((constructor)) static void start(void)
{
    const char *of_seed = getenv("FAULTS_SEED"), *rate = getenv("FAULTS_PER_MILLE"),
               *which = getenv("FAULTS_WHICH"), *path = getenv("FAULTS_COUNTS");
    seed = of_seed ? strtoull(of_seed, NULL, 10) : 1;
    per_mille = rate ? (unsigned)atoi(rate) : 0;
    for (int i = 0; i < FAULT_KINDS; i++)
        may_come[i] = which && is_named(which, fault_names[i]);
    if (path)
        share_counts(path);
}

/* ---- choice ---- */

/* splitmix64 of the seed and the number of the call */
static uint64_t next_random(void)
{
    uint64_t x = (seed << 32) + atomic_fetch_add(&n_calls, 1);
    x = (x + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* One of the kinds from `first` to `last`, if the call has a fault and that kind may come. */
static enum fault choose(enum fault first, enum fault last)
{
    const uint64_t random = next_random();
    enum fault candidates[FAULT_KINDS];
    unsigned n = 0;
    for (enum fault fault = first; fault <= last; fault++)
        if (may_come[fault])
            candidates[n++] = fault;
    if (n == 0 || random % 1000 >= per_mille)
        return NO_FAULT;
    const enum fault fault = candidates[(random >> 32) % n];
    atomic_fetch_add(&counts[fault], 1);
    return fault;
}

/* From 1 to size; size is at least 1. */
static size_t part_of(size_t size)
{
    const uint64_t random = next_random();
    const size_t most = random & 1 && size > FEW_BYTES ? FEW_BYTES : size;
    return 1 + (random >> 1) % most;
}

static int fail(int reason)
{
    errno = reason;
    return -1;
}

/* ---- edges ---- */

/* If the descriptor is ready, its epoll tells so once more. */
static void make_edge(int fd)
{
    const int reason = errno;
    struct watch *watch = fd >= 0 && fd < MOST_FDS ? &watches[fd] : NULL;
    const int epoll_fd = watch ? atomic_load(&watch->epoll_fd) : 0;
    if (epoll_fd > 0) {
        struct epoll_event event = {.events = watch->events, .data.u64 = watch->data};
        NEXT(epoll_ctl)(epoll_fd, EPOLL_CTL_MOD, fd, &event);
    }
    errno = reason;
}

EXPORT int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    if (fd >= 0 && fd < MOST_FDS) {
        struct watch *watch = &watches[fd];
        const bool by_edges = what != EPOLL_CTL_DEL && event && event->events & EPOLLET;
        if (by_edges) {
            watch->events = event->events;
            watch->data = event->data.u64;
        }
        /* Before the call: another thread may have the first event at once. */
        atomic_store(&watch->epoll_fd, by_edges ? epoll_fd : 0);
    }
    return NEXT(epoll_ctl)(epoll_fd, what, fd, event);
}

EXPORT int close(int fd)
{
    if (fd >= 0 && fd < MOST_FDS)
        atomic_store(&watches[fd].epoll_fd, 0);
    return NEXT(close)(fd);
}

/* Sends a reset, as a peer's arrives: the socket has an error and hangs up. */
static void reset(int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    connect(fd, &nobody, sizeof nobody);
}

/* ---- bytes ---- */

EXPORT ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    switch (size ? choose(RECV_SHORT, RECV_RESET) : NO_FAULT) {
    case RECV_SHORT: {
        const ssize_t n = NEXT(recv)(fd, buffer, part_of(size), flags);
        make_edge(fd);
        return n;
    }
    case RECV_AGAIN:
        make_edge(fd);
        return fail(EAGAIN);
    case RECV_INTERRUPTED:
        return fail(EINTR);
    case RECV_RESET:
        reset(fd);
        break;
    default:
        break;
    }
    return NEXT(recv)(fd, buffer, size, flags);
}

/* The faults of both ways to send but for SEND_SHORT. */
static enum fault choose_send(int fd)
{
    const enum fault fault = choose(SEND_SHORT, SEND_RESET);
    if (fault == SEND_AGAIN)
        make_edge(fd);
    else if (fault == SEND_RESET)
        reset(fd);
    return fault;
}

EXPORT ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    const enum fault fault = choose_send(fd);
    if (fault == SEND_AGAIN || fault == SEND_INTERRUPTED)
        return fail(fault == SEND_AGAIN ? EAGAIN : EINTR);
    if (fault == SEND_SHORT && size > WHOLE_BYTES)
        size = part_of(size);
    const ssize_t n = NEXT(send)(fd, buffer, size, flags);
    if (fault == SEND_SHORT)
        make_edge(fd);
    return n;
}

static size_t total_of(const struct iovec *parts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += parts[i].iov_len;
    return total;
}

/* Shortens the parts to the first `left` bytes. */
static void cut(struct iovec *parts, size_t n, size_t left)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i].iov_len > left)
            parts[i].iov_len = left;
        left -= parts[i].iov_len;
    }
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    const enum fault fault = choose_send(fd);
    struct iovec parts[MOST_PARTS];
    struct msghdr copy = *message;
    if (fault == SEND_AGAIN || fault == SEND_INTERRUPTED)
        return fail(fault == SEND_AGAIN ? EAGAIN : EINTR);
    if (fault == SEND_SHORT && copy.msg_iovlen <= MOST_PARTS) {
        memcpy(parts, copy.msg_iov, copy.msg_iovlen * sizeof *parts);
        const size_t total = total_of(parts, copy.msg_iovlen);
        cut(parts, copy.msg_iovlen, total > WHOLE_BYTES ? part_of(total) : total);
        copy.msg_iov = parts;
    }
    const ssize_t n = NEXT(sendmsg)(fd, &copy, flags);
    if (fault == SEND_SHORT)
        make_edge(fd);
    return n;
}

/* ---- events and connections ---- */

EXPORT int epoll_wait(int epoll_fd, struct epoll_event *events, int most, int time_ms)
{
    switch (choose(WAIT_FEW, WAIT_INTERRUPTED)) {
    case WAIT_FEW:
        return NEXT(epoll_wait)(epoll_fd, events, 1, time_ms);
    case WAIT_NONE:
        return 0;
    case WAIT_INTERRUPTED:
        return fail(EINTR);
    default:
        return NEXT(epoll_wait)(epoll_fd, events, most, time_ms);
    }
}

/* 0: the call has no fault. */
static int reason_not_to_accept(void)
{
    static const int aborted[] = {ECONNABORTED, EPROTO, EHOSTUNREACH, ENETDOWN};
    static const int full[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    switch (choose(ACCEPT_AGAIN, ACCEPT_FULL)) {
    case ACCEPT_AGAIN:
        return EAGAIN;
    case ACCEPT_INTERRUPTED:
        return EINTR;
    case ACCEPT_ABORTED:
        return aborted[next_random() % 4];
    case ACCEPT_FULL:
        return full[next_random() % 4];
    default:
        return 0;
    }
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    const int reason = reason_not_to_accept();
    return reason ? fail(reason) : NEXT(accept4)(fd, address, length, flags);
}

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    const int reason = reason_not_to_accept();
    return reason ? fail(reason) : NEXT(accept)(fd, address, length);
}
