/* SPDX-License-Identifier: Apache-2.0 */
/* Backends on several ranks: equal replicas, which follow one rank with the whole batch. */
#include <math.h>
#include <stdlib.h>

#include "networks.h"
#include "processes.h"
#include "test.h"

enum { N_STEPS = 20, BATCH = 128 };

static const struct backend_class *class;
static enum published_cross cross;
static bool is_uneven; /* rank 0 has the whole batch, the others have no rows */

/* Tables small enough for a report. */
static struct test_shape shape_of_test(void)
{
    static const uint32_t n_rows[] = {900, 40, 300};
    struct test_shape shape = small_shape(cross);
    shape.n_rows = n_rows;
    shape.sizes.embedding = 8;
    return shape;
}

/* This rank's part of a step's rows: every n-th, as DistributedSampler takes them. */
static uint32_t own_rows(const struct ranks *ranks, const struct rows *rows, unsigned step,
                         const uint32_t **ret_rows)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < BATCH; i++)
        if ((is_uneven ? 0 : i % ranks->n_ranks) == ranks->rank)
            ret_rows[n++] = rows->all[step * BATCH + i];
    return n;
}

static int train(struct backend *backend, const struct ranks *ranks, const struct rows *rows,
                 struct train_error *error)
{
    const uint32_t *own[BATCH];
    for (unsigned step = 0; step < N_STEPS; step++) {
        double loss = -1;
        const uint32_t n = own_rows(ranks, rows, step, own);
        if (class->step(backend, own, n, BATCH, &loss, error) != 0)
            return -1;
        if (n == 0 && loss != 0)
            return train_error_set(error, "no rows lose %g", loss);
    }
    return 0;
}

/* Values and moments of everything, one after another. */
static int report_state(struct backend *backend, const struct test_shape *shape,
                        struct rank_report *report)
{
    struct parameters state[3];
    for (unsigned i = 0; i < 3; i++)
        state[i] = make_parameters(shape, 0);
    if (class->store(backend, &state[0], &state[1], &state[2], &report->error) != 0)
        return -1;
    size_t n = 0;
    for (unsigned i = 0; i < 3; i++) {
        for (size_t k = 0; k < state[i].n; k++) {
            const struct parameter *parameter = &state[i].all[k];
            if (n + parameter->n_elements > REPORT_FLOATS)
                return train_error_set(&report->error, "the report is too small");
            memcpy(report->values + n, parameter->values, parameter->n_elements * sizeof(float));
            n += parameter->n_elements;
        }
        parameters_free(&state[i]);
    }
    return 0;
}

static int run_rank(const struct ranks_options *options, struct rank_report *report)
{
    struct ranks ranks;
    if (ranks_join(&ranks, options, &report->error) != 0)
        return -1;
    const struct test_shape shape = shape_of_test();
    struct parameters start = make_parameters(&shape, 5);
    struct rows rows = make_rows(&shape, N_STEPS * BATCH, 6);
    const struct backend_options backend_options = {.spec = make_spec(&shape),
                                                    .adam = default_adam(),
                                                    .batch_rows = BATCH,
                                                    .n_threads = 1,
                                                    .ranks = &ranks};
    struct backend *backend;
    if (class->create(&backend, &backend_options, &report->error) != 0)
        return -1;
    int result = class->load(backend, &start, NULL, NULL, 0, &report->error);
    if (result == 0)
        result = train(backend, &ranks, &rows, &report->error);
    if (result == 0)
        result = report_state(backend, &shape, report);
    class->free(backend);
    free_rows(&rows);
    parameters_free(&start);
    ranks_leave(&ranks);
    return result;
}

static void rank_of_test(const struct ranks_options *options, struct rank_report *report)
{
    report->result = run_rank(options, report);
}

/* Returns whether all ranks came to the end. */
static bool run_ranks(struct processes *processes, unsigned n)
{
    const struct ranks_options options = local_ranks(n, 30);
    processes_start(processes, &options, n, rank_of_test);
    CHECK(processes_wait(processes, 0, 100));
    bool is_well = true;
    for (unsigned i = 0; i < n; i++) {
        const struct rank_report *report = &processes->reports[i];
        CHECK_MSG(report->is_done && report->result == 0, "%s, rank %u of %u: %s", class->name, i,
                  n, report->error.message);
        is_well &= report->is_done && report->result == 0;
    }
    return is_well;
}

static void check_replicas(void)
{
    struct processes one, many;
    if (!run_ranks(&one, 1))
        return;
    for (unsigned n = 2; n <= 4; n += 2) {
        if (!run_ranks(&many, n))
            return;
        for (unsigned i = 1; i < n; i++)
            CHECK_MSG(memcmp(many.reports[0].values, many.reports[i].values,
                             sizeof many.reports[i].values) == 0,
                      "%s, rank %u of %u", class->name, i, n);
        unsigned n_far = 0;
        double most = 0;
        for (size_t k = 0; k < REPORT_FLOATS; k++) {
            const double difference =
                fabs((double)many.reports[0].values[k] - one.reports[0].values[k]);
            n_far += !(difference <= 1e-5);
            most = fmax(most, difference);
        }
        printf("%s, %u ranks: within %.1e of one after %d steps, %u values beyond 1e-5\n",
               class->name, n, most, N_STEPS, n_far);
        CHECK_MSG(n_far <= 40 && most <= 1e-3, "%u values, %g", n_far, most);
        processes_free(&many);
    }
    processes_free(&one);
}

TEST(native_replicas_are_equal_and_follow_one_rank)
{
    class = &native_backend;
    cross = PUBLISHED_LAYER_NORM;
    check_replicas();
    cross = PUBLISHED_FULL;
    check_replicas();
}

TEST(libtorch_replicas_are_equal_and_follow_one_rank)
{
    class = &torch_backend;
    cross = PUBLISHED_LAYER_NORM;
    check_replicas();
    cross = PUBLISHED_FULL;
    check_replicas();
}

TEST(a_rank_may_have_no_rows)
{
    is_uneven = true;
    class = &native_backend;
    check_replicas();
    class = &torch_backend;
    check_replicas();
    is_uneven = false;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    RUN(native_replicas_are_equal_and_follow_one_rank);
    RUN(libtorch_replicas_are_equal_and_follow_one_rank);
    RUN(a_rank_may_have_no_rows);
    return test_report();
}
