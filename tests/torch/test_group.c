/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks over c10d and Gloo, as processes on loopback: what they compute, and how they fail. */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "processes.h"
#include "test.h"

enum { N_VALUES = 50021, N_ROUNDS = 5, START_S = 60, SLACK_S = 6 };

/* Joins, with the time and error in the report. */
static int join(struct ranks *ranks, const struct ranks_options *options,
                struct rank_report *report)
{
    const double start = now_s();
    report->result = ranks_join(ranks, options, &report->error);
    report->seconds = now_s() - start;
    return report->result;
}

static void only_join(const struct ranks_options *options, struct rank_report *report)
{
    struct ranks ranks;
    if (join(&ranks, options, report) == 0)
        ranks_leave(&ranks);
}

/* ---- results */

/* Of value i on a rank: its sums depend on their order. */
static float value_of(unsigned rank, size_t i)
{
    return sinf((float)(i * 7 + rank * 1001)) * (rank % 2 ? 1e-3f : 1e3f);
}

static int sum_values(const struct ranks *ranks, size_t n, struct rank_report *report)
{
    for (size_t i = 0; i < n; i++)
        report->values[i] = value_of(ranks->rank, i);
    return ranks_sum(ranks, report->values, n, &report->error);
}

static void sum_of_all(const struct ranks_options *options, struct rank_report *report)
{
    static const size_t sizes[N_ROUNDS] = {0, 1, 3, 1000, N_VALUES};
    struct ranks ranks;
    if (join(&ranks, options, report) != 0)
        return;
    for (unsigned k = 0; k < N_ROUNDS && report->result == 0; k++)
        report->result = sum_values(&ranks, sizes[k], report);
    ranks_leave(&ranks);
}

static void check_done(const struct processes *processes)
{
    for (unsigned i = 0; i < processes->n; i++) {
        CHECK(processes->reports[i].is_done);
        CHECK_MSG(processes->reports[i].result == 0, "rank %u: %s", i,
                  processes->reports[i].error.message);
    }
}

TEST(a_sum_has_the_same_bits_on_every_rank)
{
    for (unsigned n = 2; n <= 4; n += 2) {
        struct processes processes;
        const struct ranks_options options = local_ranks(n, 30);
        processes_start(&processes, &options, n, sum_of_all);
        CHECK(processes_wait(&processes, 0, 60));
        check_done(&processes);
        const struct rank_report *reports = processes.reports;
        for (unsigned i = 1; i < n; i++)
            CHECK(memcmp(reports[0].values, reports[i].values, N_VALUES * sizeof(float)) == 0);
        for (size_t i = 0; i < N_VALUES; i++) {
            double wanted = 0;
            for (unsigned rank = 0; rank < n; rank++)
                wanted += value_of(rank, i);
            if (!(fabs(reports[0].values[i] - wanted) <= 5e-4)) {
                CHECK_MSG(false, "value %zu of %u ranks is %g, not %g", i, n, reports[0].values[i],
                          wanted);
                break;
            }
        }
        processes_free(&processes);
    }
}

/* Rank i gives bytes i + k; rank 0's are told to all. */
static void gather_and_broadcast(const struct ranks_options *options, struct rank_report *report)
{
    static const size_t sizes[] = {0, 1, 13, 60000};
    static unsigned char mine[60000], all[4 * 60000];
    struct ranks ranks;
    if (join(&ranks, options, report) != 0)
        return;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes && report->result == 0; s++) {
        const size_t size = sizes[s];
        for (size_t k = 0; k < size; k++)
            mine[k] = (unsigned char)(ranks.rank * 100 + k);
        memset(all, 0xEE, sizeof all);
        report->result = ranks_gather(&ranks, mine, size, all, &report->error);
        for (size_t k = 0; k < ranks.n_ranks * size && report->result == 0; k++)
            if (all[k] != (unsigned char)(k / size * 100 + k % size))
                report->result = train_error_set(&report->error, "byte %zu of %zu", k, size);
        if (report->result == 0)
            report->result = ranks_broadcast(&ranks, mine, size, &report->error);
        for (size_t k = 0; k < size && report->result == 0; k++)
            if (mine[k] != (unsigned char)k)
                report->result = train_error_set(&report->error, "told byte %zu of %zu", k, size);
    }
    ranks_leave(&ranks);
}

TEST(bytes_are_gathered_in_the_order_of_ranks_and_told_by_rank_0)
{
    for (unsigned n = 2; n <= 4; n += 2) {
        struct processes processes;
        const struct ranks_options options = local_ranks(n, 30);
        processes_start(&processes, &options, n, gather_and_broadcast);
        CHECK(processes_wait(&processes, 0, 60));
        check_done(&processes);
        processes_free(&processes);
    }
}

/* ---- ranks that die */

/* What happens to a rank after two sums. */
static unsigned unlucky_rank;
static int unlucky_signal; /* 0: it ends as a program does */

static void sum_until_one_is_lost(const struct ranks_options *options, struct rank_report *report)
{
    struct ranks ranks;
    if (join(&ranks, options, report) != 0)
        return;
    for (unsigned round = 0; report->result == 0 && round < 1000; round++) {
        if (round == 2 && ranks.rank == unlucky_rank) {
            if (unlucky_signal)
                raise(unlucky_signal);
            _exit(1);
        }
        const double start = now_s();
        report->result = sum_values(&ranks, N_VALUES, report);
        report->seconds = now_s() - start;
    }
    ranks_leave(&ranks);
}

static void check_the_others_notice(unsigned rank, int signal, unsigned n, unsigned timeout_s)
{
    unlucky_rank = rank;
    unlucky_signal = signal;
    struct processes processes;
    const struct ranks_options options = local_ranks(n, timeout_s);
    processes_start(&processes, &options, n, sum_until_one_is_lost);
    CHECK(processes_wait(&processes, signal == SIGSTOP, START_S + timeout_s + SLACK_S));
    for (unsigned i = 0; i < n; i++) {
        const struct rank_report *report = &processes.reports[i];
        CHECK_MSG(report->is_done == (i != rank), "rank %u", i);
        if (i == rank)
            continue;
        CHECK_MSG(report->result == -1, "rank %u", i);
        CHECK_MSG(report->seconds <= timeout_s + SLACK_S, "rank %u took %.1f s", i,
                  report->seconds);
        CHECK_MSG(strstr(report->error.message, "has lost the others: "), "rank %u: %s", i,
                  report->error.message);
        printf("rank %u of %u, %.2f s after rank %u ended: %s\n", i, n, report->seconds, rank,
               report->error.message);
    }
    processes_free(&processes);
}

TEST(a_rank_that_is_killed_ends_the_others)
{
    check_the_others_notice(1, SIGKILL, 2, 20);
    check_the_others_notice(2, SIGKILL, 4, 20);
}

TEST(rank_0_that_is_killed_ends_the_others)
{
    check_the_others_notice(0, SIGKILL, 2, 20);
    check_the_others_notice(0, SIGKILL, 4, 20);
}

TEST(a_rank_that_gives_up_ends_the_others)
{
    check_the_others_notice(3, 0, 4, 20);
}

TEST(a_rank_that_stands_still_ends_the_others_within_the_timeout)
{
    check_the_others_notice(1, SIGSTOP, 2, 4);
    check_the_others_notice(0, SIGSTOP, 4, 4);
}

/* ---- ranks that come late, or not at all, or to the wrong place */

static void join_late(const struct ranks_options *options, struct rank_report *report)
{
    if (options->rank == 1)
        sleep(20);
    sum_of_all(options, report);
}

static struct processes with_a_late_one;

/* The other tests run while these wait. */
static void start_a_late_one(void)
{
    const struct ranks_options options = local_ranks(3, 60);
    processes_start(&with_a_late_one, &options, 3, join_late);
}

TEST(a_rank_that_comes_20_seconds_late_is_waited_for)
{
    CHECK(processes_wait(&with_a_late_one, 0, 70));
    check_done(&with_a_late_one);
    CHECK(with_a_late_one.reports[0].seconds >= 15);
    processes_free(&with_a_late_one);
}

static void join_after_2_s(const struct ranks_options *options, struct rank_report *report)
{
    if (options->rank == 0)
        sleep(2);
    sum_of_all(options, report);
}

TEST(rank_0_may_come_last)
{
    struct processes processes;
    const struct ranks_options options = local_ranks(2, 30);
    processes_start(&processes, &options, 2, join_after_2_s);
    CHECK(processes_wait(&processes, 0, 40));
    check_done(&processes);
    processes_free(&processes);
}

static unsigned death_ms;

/* Rank 2 comes when the others wait for it, and is killed at some moment of its way in. */
static void die_while_joining(const struct ranks_options *options, struct rank_report *report)
{
    if (options->rank == 2) {
        sleep(1);
        (void)ualarm(death_ms * 1000, 0);
    }
    sum_until_one_is_lost(options, report);
}

TEST(a_rank_may_die_while_it_joins)
{
    enum { TIMEOUT_S = 4, N_MOMENTS = 6 };
    struct processes groups[N_MOMENTS];
    unlucky_rank = MAX_PROCESSES;
    for (unsigned k = 0; k < N_MOMENTS; k++) {
        const struct ranks_options options = local_ranks(3, TIMEOUT_S);
        death_ms = 1u << k;
        processes_start(&groups[k], &options, 3, die_while_joining);
    }
    for (unsigned k = 0; k < N_MOMENTS; k++) {
        CHECK(processes_wait(&groups[k], 0, START_S + 2 * TIMEOUT_S));
        for (unsigned i = 0; i < 2; i++) {
            const struct rank_report *report = &groups[k].reports[i];
            CHECK(report->is_done && report->result == -1);
            CHECK_MSG(report->seconds <= TIMEOUT_S + SLACK_S, "%.1f s", report->seconds);
            printf("rank 2 lived %u ms; after %.2f s: %s\n", 1u << k, report->seconds,
                   report->error.message);
        }
        processes_free(&groups[k]);
    }
}

/* `n` ranks from options->rank on try to join; each says why it cannot, the first of them this. */
static void check_refused(const struct ranks_options *options, unsigned n, double at_most_s,
                          const char *in_message)
{
    struct processes processes;
    processes_start(&processes, options, n, only_join);
    CHECK(processes_wait(&processes, 0, START_S + at_most_s));
    for (unsigned i = 0; i < n; i++) {
        const struct rank_report *report = &processes.reports[i];
        CHECK(report->is_done);
        CHECK_MSG(report->result == -1, "rank %u", options->rank + i);
        CHECK_MSG(report->seconds <= at_most_s + SLACK_S, "%.1f s", report->seconds);
        CHECK_MSG(strstr(report->error.message, i ? "cannot join" : in_message), "%s",
                  report->error.message);
        printf("%.2f s: %s\n", report->seconds, report->error.message);
    }
    processes_free(&processes);
}

TEST(a_rank_that_never_comes_is_named)
{
    const struct ranks_options options = local_ranks(4, 3);
    check_refused(&options, 3, 3, "rank 3 did not come within 3 s");
    const struct ranks_options alone = local_ranks(4, 3);
    check_refused(&alone, 1, 3, "rank 1, 2, 3 did not come within 3 s");
}

TEST(without_rank_0_its_address_is_named)
{
    struct ranks_options options = local_ranks(2, 3);
    options.rank = 1;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "127.0.0.1:%u", options.port);
    check_refused(&options, 1, 3, wanted);
}

TEST(a_host_that_does_not_exist_is_named)
{
    struct ranks_options options = local_ranks(2, 3);
    strcpy(options.address, "no..such.host"); /* no resolver is asked for an empty label */
    options.rank = 1;
    check_refused(&options, 1, 3, "no..such.host:");
    options.rank = 0;
    check_refused(&options, 1, 3, "no..such.host:");
}

/* Somebody else's port: connections are taken, nothing is ever said. */
TEST(a_port_that_never_answers_is_given_up)
{
    struct ranks_options options = local_ranks(2, 3);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
    options.rank = 1;
    check_refused(&options, 1, 3, "cannot join");
    options.rank = 0; /* cannot be the server there */
    check_refused(&options, 1, 3, "cannot join");
    close(fd);
}

static void join_as_rank_1(const struct ranks_options *options, struct rank_report *report)
{
    struct ranks_options own = *options;
    own.rank = options->rank > 0;
    only_join(&own, report);
}

TEST(two_processes_of_one_rank_are_refused)
{
    struct processes processes;
    const struct ranks_options options = local_ranks(3, 4);
    processes_start(&processes, &options, 3, join_as_rank_1);
    CHECK(processes_wait(&processes, 0, START_S + 4));
    unsigned n_told = 0;
    for (unsigned i = 0; i < 3; i++) {
        CHECK(processes.reports[i].result == -1);
        n_told += strstr(processes.reports[i].error.message, "is rank 1") != NULL;
    }
    CHECK_MSG(n_told == 1, "%u of 3", n_told);
    processes_free(&processes);
}

TEST(a_port_serves_the_next_run_at_once)
{
    const struct ranks_options options = local_ranks(2, 20);
    for (unsigned i = 0; i < 3; i++) {
        struct processes processes;
        processes_start(&processes, &options, 2, sum_of_all);
        CHECK(processes_wait(&processes, 0, 40));
        check_done(&processes);
        processes_free(&processes);
    }
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_a_late_one();
    RUN(a_sum_has_the_same_bits_on_every_rank);
    RUN(bytes_are_gathered_in_the_order_of_ranks_and_told_by_rank_0);
    RUN(a_rank_that_is_killed_ends_the_others);
    RUN(rank_0_that_is_killed_ends_the_others);
    RUN(a_rank_that_gives_up_ends_the_others);
    RUN(a_rank_that_stands_still_ends_the_others_within_the_timeout);
    RUN(rank_0_may_come_last);
    RUN(a_rank_may_die_while_it_joins);
    RUN(a_rank_that_never_comes_is_named);
    RUN(without_rank_0_its_address_is_named);
    RUN(a_host_that_does_not_exist_is_named);
    RUN(a_port_that_never_answers_is_given_up);
    RUN(two_processes_of_one_rank_are_refused);
    RUN(a_port_serves_the_next_run_at_once);
    RUN(a_rank_that_comes_20_seconds_late_is_waited_for);
    return test_report();
}
