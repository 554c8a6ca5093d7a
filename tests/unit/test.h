/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h: the small runner of the unit tests.
 *
 *     TEST(a_number_with_a_leading_zero_is_refused) { CHECK(!parses("01")); }
 *     int main(void) { RUN(a_number_with_a_leading_zero_is_refused); return test_report(); }
 *
 * A test passes when none of its checks failed. The last line of the output is
 * "N passed, N failed"; the exit code is 1 if any failed.
 */
#ifndef DCNV2_TESTS_TEST_H
#define DCNV2_TESTS_TEST_H

#include <stdio.h>
#include <string.h>

/* One of each in a program, however many of its files include this. */
__attribute__((weak)) unsigned test_n_passed, test_n_failed, test_n_failed_checks;

#define TEST(name) static void test_##name(void)

#define RUN(name) test_run(#name, test_##name)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)

/* The same with what was found: CHECK_MSG(n == 3, "n is %zu", n). */
#define CHECK_MSG(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, #condition);                                             \
            fprintf(stderr, "    " __VA_ARGS__);                                                   \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

static inline void test_fail(const char *file, int line, const char *condition)
{
    test_n_failed_checks++;
    fprintf(stderr, "%s:%d: CHECK(%s)\n", file, line, condition);
}

static inline void test_run(const char *name, void (*test)(void))
{
    unsigned before = test_n_failed_checks;
    test();
    if (test_n_failed_checks == before) {
        test_n_passed++;
    } else {
        test_n_failed++;
        fprintf(stderr, "FAIL %s\n", name);
    }
}

static inline int test_report(void)
{
    printf("%u passed, %u failed\n", test_n_passed, test_n_failed);
    return test_n_failed != 0;
}

#endif
