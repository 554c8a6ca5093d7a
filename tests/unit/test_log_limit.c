/* SPDX-License-Identifier: Apache-2.0 */
/* How often a line of one kind may be written. */
#include <pthread.h>

#include "log.h"
#include "test.h"

enum { INTERVAL = 1000, N_THREADS = 4, N_CALLS = 20000 };

static const struct log_rate one = {.interval_ns = INTERVAL, .most = 1};

TEST(one_caller_in_an_interval_may_and_hears_of_the_others)
{
    struct log_limit limit = {0};
    uint64_t left_out = 99;
    CHECK(log_limit_allows(&limit, 5000, one, 3, &left_out) && left_out == 0);
    CHECK(!log_limit_allows(&limit, 5000, one, 2, &left_out));
    CHECK(!log_limit_allows(&limit, 5999, one, 5, &left_out) && left_out == 0);
    CHECK(log_limit_allows(&limit, 6000, one, 1, &left_out) && left_out == 7);
    CHECK(!log_limit_allows(&limit, 6001, one, 1, &left_out));
    CHECK(log_limit_allows(&limit, 90000, one, 1, &left_out) && left_out == 1);
    CHECK(log_limit_allows(&limit, 91000, one, 1, &left_out) && left_out == 0);
}

TEST(a_rate_may_be_of_several_lines)
{
    const struct log_rate ten = {.interval_ns = INTERVAL, .most = 10};
    struct log_limit limit = {0};
    uint64_t n = 0, left_out = 0;
    for (int i = 0; i < 100; i++)
        n += log_limit_allows(&limit, 7000, ten, 1, &left_out);
    CHECK(n == 10 && left_out == 0);
    CHECK(!log_limit_allows(&limit, 6500, ten, 1, &left_out)); /* a thread that is late */
    CHECK(log_limit_allows(&limit, 8000, ten, 1, &left_out) && left_out == 91);
    CHECK(log_limit_allows(&limit, 8000, ten, 1, &left_out) && left_out == 0);
}

static struct log_limit shared;
static _Atomic uint64_t n_allowed, n_told;

static void *call(void *unused)
{
    for (uint64_t i = 0; i < N_CALLS; i++) {
        uint64_t left_out;
        if (log_limit_allows(&shared, i, one, 1, &left_out)) {
            atomic_fetch_add(&n_allowed, 1);
            atomic_fetch_add(&n_told, left_out);
        }
    }
    return unused;
}

TEST(threads_share_a_limit_and_no_event_is_lost)
{
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, call, NULL) == 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    const uint64_t left_out = atomic_load(&shared.n_left_out);
    CHECK(n_allowed <= N_CALLS / INTERVAL && n_allowed > 0);
    CHECK(n_allowed + n_told + left_out == (uint64_t)N_THREADS * N_CALLS);
}

int main(void)
{
    RUN(one_caller_in_an_interval_may_and_hears_of_the_others);
    RUN(a_rate_may_be_of_several_lines);
    RUN(threads_share_a_limit_and_no_event_is_lost);
    return test_report();
}
