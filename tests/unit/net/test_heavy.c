/* SPDX-License-Identifier: Apache-2.0 */
/* test_heavy.c: which of the heavy requests is next. */
#include "net/heavy.h"

#include "net/connection.h"
#include "serve/content_coding.h"
#include "test.h"

enum { N = 3, KIB = 1024 };

static struct worker worker;
static struct connection connections[N];
static struct task tasks[N];

/* A request of connection `i` waits since then with a body of so many bytes. */
static struct task *wait_since(int i, uint64_t since_ms, size_t bytes)
{
    const uint64_t now_ms = worker.now_ms;
    connections[i] = (struct connection){.worker = &worker, .fd = -1};
    worker.now_ms = since_ms;
    heavy_add(&tasks[i], &connections[i], bytes);
    worker.now_ms = now_ms;
    return &tasks[i];
}

static void start(uint64_t now_ms)
{
    worker = (struct worker){.now_ms = now_ms};
}

TEST(of_two_of_one_size_the_older_one_is_next)
{
    start(100);
    struct task *old = wait_since(0, 10, 60 * KIB), *young = wait_since(1, 20, 60 * KIB);
    CHECK(heavy_next(&worker) == old);
    CHECK(heavy_next(&worker) == young);
    CHECK(heavy_next(&worker) == NULL);
}

TEST(of_those_that_came_in_one_moment_the_smallest_and_then_the_first_is_next)
{
    start(10);
    struct task *first = wait_since(0, 10, 60 * KIB), *second = wait_since(1, 10, 60 * KIB);
    struct task *small = wait_since(2, 10, 9 * KIB);
    CHECK(heavy_next(&worker) == small);
    CHECK(heavy_next(&worker) == first);
    CHECK(heavy_next(&worker) == second);
}

TEST(a_small_one_overtakes_a_large_one_that_came_before_it)
{
    start(100);
    struct task *large = wait_since(0, 50, 64 * KIB), *small = wait_since(1, 90, 1 * KIB);
    CHECK(heavy_next(&worker) == small);
    CHECK(heavy_next(&worker) == large);
}

TEST(a_large_one_that_has_waited_long_is_not_overtaken)
{
    start(100000);
    struct task *large = wait_since(0, 0, 64 * KIB), *small = wait_since(1, 99999, 1 * KIB);
    CHECK(heavy_next(&worker) == large);
    CHECK(heavy_next(&worker) == small);
}

TEST(a_packed_body_counts_as_what_it_holds)
{
    static const char packed[] = "........\0\0\0\1"; /* 16 MiB, says its last word */
    const struct text content = {packed, sizeof packed - 1};
    CHECK(content_bytes(content, CODING_GZIP) == 16 * KIB * KIB);
    CHECK(content_bytes(content, CODING_IDENTITY) == content.length);
    CHECK(content_bytes(content, CODING_DEFLATE) > content.length);
    CHECK(content_bytes((struct text){packed, 3}, CODING_GZIP) == 3);
}

TEST(a_client_that_has_sent_its_end_comes_last)
{
    start(1000);
    struct task *ended = wait_since(0, 0, 1 * KIB), *other = wait_since(1, 999, 64 * KIB);
    ended->connection->peer_closed = true;
    CHECK(heavy_next(&worker) == other);
    CHECK(heavy_next(&worker) == ended);
}

TEST(any_of_them_can_leave_the_queue)
{
    for (int gone = 0; gone < N; gone++) {
        start(100);
        for (int i = 0; i < N; i++)
            wait_since(i, (uint64_t)i, 10 * KIB);
        heavy_remove(&tasks[gone]);
        heavy_remove(&tasks[gone]); /* twice is as once */
        for (int i = 0; i < N; i++)
            if (i != gone)
                CHECK(heavy_next(&worker) == &tasks[i]);
        CHECK(heavy_next(&worker) == NULL);
    }
}

int main(void)
{
    RUN(of_two_of_one_size_the_older_one_is_next);
    RUN(of_those_that_came_in_one_moment_the_smallest_and_then_the_first_is_next);
    RUN(a_small_one_overtakes_a_large_one_that_came_before_it);
    RUN(a_large_one_that_has_waited_long_is_not_overtaken);
    RUN(a_packed_body_counts_as_what_it_holds);
    RUN(a_client_that_has_sent_its_end_comes_last);
    RUN(any_of_them_can_leave_the_queue);
    return test_report();
}
