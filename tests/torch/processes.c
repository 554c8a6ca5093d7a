/* SPDX-License-Identifier: Apache-2.0 */
#include "processes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torch/torch_load.h"

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

struct ranks_options local_ranks(unsigned n, unsigned timeout_s)
{
    return (struct ranks_options){
        .address = "127.0.0.1", .port = free_port(), .n_ranks = n, .timeout_s = timeout_s};
}

void processes_start(struct processes *processes, const struct ranks_options *options, unsigned n,
                     rank_body *body)
{
    struct train_error error;
    if (torch_load(&error) == NULL) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    processes->n = n;
    processes->reports = mmap(NULL, n * sizeof *processes->reports, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (processes->reports == MAP_FAILED)
        abort();
    for (unsigned i = 0; i < n; i++) {
        processes->ids[i] = fork();
        if (processes->ids[i] < 0)
            abort();
        if (processes->ids[i] > 0)
            continue;
        struct ranks_options own = *options;
        own.rank += i;
        body(&own, &processes->reports[i]);
        processes->reports[i].is_done = true;
        _exit(0);
    }
}

bool processes_wait(struct processes *processes, unsigned n_left, double seconds)
{
    const double end = now_s() + seconds;
    unsigned n_running = processes->n;
    while (n_running > n_left && now_s() < end) {
        for (unsigned i = 0; i < processes->n; i++)
            if (processes->ids[i] > 0 && waitpid(processes->ids[i], NULL, WNOHANG) > 0) {
                processes->ids[i] = 0;
                n_running--;
            }
        usleep(5000);
    }
    for (unsigned i = 0; i < processes->n; i++)
        if (processes->ids[i] > 0) {
            kill(processes->ids[i], SIGKILL);
            (void)waitpid(processes->ids[i], NULL, 0);
        }
    return n_running <= n_left;
}

void processes_free(struct processes *processes)
{
    munmap(processes->reports, processes->n * sizeof *processes->reports);
}
