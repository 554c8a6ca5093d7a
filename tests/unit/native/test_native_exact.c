/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the native backend promises to the bit: a row that is caught up when it is read is as dense
 * Adam has it, threads change nothing, and neither does a stop between two steps.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "backend/random.h"
#include "native/float_mode.h"
#include "native/native_case.h"
#include "test.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

enum { RECORDS = 400, BATCH_MAX = 12 };

/* ---- runs ---- */

/* One batch of a run: a few records from a window that moves, so that rows come late, rest long and
 * come again. */
struct batch {
    const uint32_t *rows[BATCH_MAX];
    uint32_t n;
};

static struct batch batch_of(const struct native_case *c, uint64_t seed, uint32_t step)
{
    struct random random;
    random_start(&random, seed, step);
    struct batch batch = {.n = 1 + (uint32_t)random_below(&random, BATCH_MAX)};
    const uint32_t window = 5 + (uint32_t)random_below(&random, 20);
    const uint32_t first = step / 3 * 7 % (c->n_records - 30);
    for (uint32_t i = 0; i < batch.n; i++)
        batch.rows[i] = c->rows[first + random_below(&random, window)];
    return batch;
}

/* Steps first + 1 .. last; the sum of losses. */
static double run(struct backend *backend, const struct native_case *c, uint64_t seed,
                  uint32_t first, uint32_t last)
{
    double sum = 0, loss;
    struct train_error error;
    for (uint32_t t = first; t < last; t++) {
        const struct batch batch = batch_of(c, seed, t);
        if (native_backend.step(backend, batch.rows, batch.n, batch.n, &loss, &error) != 0)
            test_fail(__FILE__, __LINE__, error.message);
        sum += loss;
    }
    return sum;
}

/* Zeros, the smallest and the largest among the parameters. */
static void scatter_edges(const struct native_case *c, uint64_t seed)
{
    static const float edges[] = {0.0f,    -0.0f,  FLT_MIN, -FLT_MIN / 2, FLT_TRUE_MIN, 1e-30f,
                                  -1e-20f, 1e-15f, 3e-16f,  1e-8f,        100.0f,       -1e6f};
    struct random random;
    random_start(&random, seed, UINT64_MAX);
    for (size_t i = 0; i < c->start.n; i++)
        for (uint64_t k = 0; k < c->start.all[i].n_elements; k++)
            if (random_below(&random, i < c->sizes.n_sparse ? 4 : 50) == 0)
                c->start.all[i].values[k] = edges[random_below(&random, LENGTH(edges) - 2)];
}

/* ---- lazy and dense ---- */

static const struct published_sizes networks[] = {
    {.n_dense = 1, .n_sparse = 6, .embedding = 8, .n_cross = 1, .n_deep = 1, .deep = {16}},
    {.n_dense = 0, .n_sparse = 5, .embedding = 5, .n_cross = 2, .n_deep = 0},
    {.n_dense = 2, .n_sparse = 3, .embedding = 19, .n_cross = 0, .n_deep = 2, .deep = {9, 4}},
    {.n_dense = 2, .n_sparse = 4, .embedding = 2, .cross = PUBLISHED_FULL, .n_cross = 2},
};

static const struct adam_options adams[] = {
    {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
    {.learning_rate = 0.3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
    {.learning_rate = 1e-2, .beta1 = 0.5, .beta2 = 0.9, .eps = 1e-8},
    {.learning_rate = 1e-2, .beta1 = 0, .beta2 = 0.99, .eps = 1e-8},
    {.learning_rate = 1e-3, .beta1 = 0.95, .beta2 = 0.9, .eps = 1e-8}, /* steps may grow */
    {.learning_rate = 1e-3, .beta1 = 0.99, .beta2 = 0.9999, .eps = 1e-3},
    {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-20},
    {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0, .eps = 1e-8},
    {.learning_rate = 0, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
};

/* Moments from an earlier life: tiny, huge, and zeros of both signs. */
static void invent_moments(const struct native_case *c, struct case_state *state, uint64_t seed)
{
    struct random random;
    random_start(&random, seed, 1);
    for (size_t i = 0; i < c->start.n; i++)
        for (uint64_t k = 0; k < c->start.all[i].n_elements; k++) {
            const double size = pow(10, -45 * random_unit(&random));
            const bool is_zero = random_below(&random, 3) == 0;
            const float sign = random_below(&random, 2) ? 1.0f : -1.0f;
            state->all[0].all[i].values[k] = c->start.all[i].values[k];
            state->all[1].all[i].values[k] = sign * (is_zero ? 0 : (float)size);
            state->all[2].all[i].values[k] = is_zero ? 0 : (float)(size * size);
        }
}

static void compare_lazy_with_dense(size_t number, uint32_t n_steps, bool has_moments)
{
    struct native_case c;
    struct case_state start, lazy, dense;
    struct train_error error;
    const uint32_t n_steps_before = has_moments ? 5 + (uint32_t)number * 1000 : 0;
    case_create(&c, networks[number % LENGTH(networks)], 90, RECORDS, number);
    c.options.adam = adams[number % LENGTH(adams)];
    c.options.batch_rows = BATCH_MAX;
    scatter_edges(&c, number);
    case_state_create(&c, &start);
    case_state_create(&c, &lazy);
    case_state_create(&c, &dense);
    invent_moments(&c, &start, number);
    struct backend *backends[2];
    for (int is_dense = 0; is_dense < 2; is_dense++) {
        c.options.adam.is_dense = is_dense;
        backends[is_dense] = case_backend(&c);
        if (has_moments)
            CHECK(native_backend.load(backends[is_dense], &start.all[0], &start.all[1],
                                      &start.all[2], n_steps_before, &error) == 0);
    }
    for (uint32_t first = 0, last; first < n_steps; first = last) {
        last = first + n_steps / 2;
        const double a = run(backends[0], &c, number, first, last);
        const double b = run(backends[1], &c, number, first, last);
        CHECK_MSG(memcmp(&a, &b, sizeof a) == 0, "losses of run %zu: %.17g, %.17g", number, a, b);
        case_store(backends[0], &lazy);
        case_store(backends[1], &dense);
        CHECK_MSG(case_states_equal(&lazy, &dense), "run %zu after step %u", number, last);
    }
    native_backend.free(backends[0]);
    native_backend.free(backends[1]);
    case_state_free(&start);
    case_state_free(&lazy);
    case_state_free(&dense);
    case_free(&c);
}

TEST(lazy_adam_has_the_bits_of_dense_adam)
{
    for (size_t number = 0; number < LENGTH(networks) * LENGTH(adams); number++)
        compare_lazy_with_dense(number, 600, false);
}

TEST(lazy_adam_has_them_from_any_start)
{
    for (size_t number = 0; number < LENGTH(networks) * LENGTH(adams); number++)
        compare_lazy_with_dense(number, 200, true);
}

TEST(lazy_adam_has_them_after_moments_have_died)
{
    compare_lazy_with_dense(0, 4000, false);
    compare_lazy_with_dense(2, 4000, false);
    compare_lazy_with_dense(29, 4000, false); /* beta2 0.9: v dies */
}

/* A step that leaves p as it is, and later ones that do not: no reason to rest. */
static void compare_growing(struct adam_options adam, float p, float m, float v)
{
    static const struct published_sizes one_table = {.n_dense = 1, .n_sparse = 1, .embedding = 3};
    struct native_case c;
    struct case_state start, after[2];
    struct train_error error;
    case_create(&c, one_table, 50, RECORDS, 1);
    c.options.batch_rows = BATCH_MAX;
    for (uint32_t r = 0; r < RECORDS; r++)
        c.records[3 * r + 2] = 0; /* no other row is read */
    case_state_create(&c, &start);
    const float values[] = {p, m, v};
    for (int which = 0; which < 3; which++)
        for (uint64_t k = 3; k < start.all[which].all[0].n_elements; k++)
            start.all[which].all[0].values[k] = values[which];
    for (int is_dense = 0; is_dense < 2; is_dense++) {
        c.options.adam = adam;
        c.options.adam.is_dense = is_dense;
        struct backend *backend = case_backend(&c);
        CHECK(native_backend.load(backend, &start.all[0], &start.all[1], &start.all[2], 100000,
                                  &error) == 0);
        run(backend, &c, 1, 0, 100);
        case_state_create(&c, &after[is_dense]);
        case_store(backend, &after[is_dense]);
        native_backend.free(backend);
    }
    const float moved = after[1].all[0].all[0].values[3];
    CHECK_MSG(moved != p, "%.9g has not moved: the test says nothing", (double)p);
    CHECK(case_states_equal(&after[0], &after[1]));
    case_state_free(&start);
    case_state_free(&after[0]);
    case_state_free(&after[1]);
    case_free(&c);
}

TEST(steps_that_grow_again_are_taken)
{
    struct adam_options growing = {9.5e-4, 0.95, 0.9, 1e-8, false};
    compare_growing(growing, 20000.0f, 1, 1);
    /* v becomes 0, and with it all but eps that m is divided by */
    struct adam_options small_eps = {1e-3, 0.9, 0.999, 1e-20, false};
    compare_growing(small_eps, 1e5f, 4e-19f, 1.199e-38f);
}

/* ---- dense Adam as it is written ---- */

static void expect_step(const struct adam_options *adam, uint32_t t, float g, float *p, float *m,
                        float *v)
{
    const float size = (float)(adam->learning_rate / (1 - pow(adam->beta1, t)));
    const float root = (float)(1 / sqrt(1 - pow(adam->beta2, t)));
    *m = (float)adam->beta1 * *m + (float)(1 - adam->beta1) * g;
    *v = (float)adam->beta2 * *v + (float)(1 - adam->beta2) * (g * g);
    *p = *p - (size * *m) / (root * sqrtf(*v) + (float)adam->eps);
}

TEST(dense_adam_is_adam_element_by_element)
{
    struct native_case c;
    struct case_state state, after;
    struct parameters gradients;
    struct train_error error;
    double loss;
    case_create(&c, networks[0], 30, RECORDS, 4);
    case_state_create(&c, &state);
    case_state_create(&c, &after);
    CHECK(parameters_create(&c.spec, &gradients, &error) == 0);
    struct backend *backend = case_backend(&c); /* lazy */
    case_store(backend, &state);
    const uint64_t mode = float_mode_flush();
    for (uint32_t t = 1; t <= 300; t++) {
        const struct batch batch = batch_of(&c, 4, t);
        CHECK(native_backend.gradients(backend, batch.rows, batch.n, &gradients, &error) == 0);
        CHECK(native_backend.step(backend, batch.rows, batch.n, batch.n, &loss, &error) == 0);
        for (size_t i = 0; i < gradients.n; i++)
            for (uint64_t k = 0; k < gradients.all[i].n_elements; k++)
                expect_step(&c.options.adam, t, gradients.all[i].values[k],
                            &state.all[0].all[i].values[k], &state.all[1].all[i].values[k],
                            &state.all[2].all[i].values[k]);
    }
    float_mode_restore(mode);
    case_store(backend, &after);
    CHECK(case_states_equal(&state, &after));
    parameters_free(&gradients);
    case_state_free(&state);
    case_state_free(&after);
    native_backend.free(backend);
    case_free(&c);
}

/* ---- threads, and stops ---- */

static void run_with_threads(struct native_case *c, unsigned n_threads, struct case_state *state,
                             float *scores, double *loss)
{
    struct train_error error;
    c->options.n_threads = n_threads;
    struct backend *backend = case_backend(c);
    *loss = 0;
    for (int t = 0; t < 60; t++) {
        double part;
        const uint32_t first = (uint32_t)t * 37 % 200, n = 130 + (uint32_t)t % 70;
        CHECK(native_backend.step(backend, c->rows + first, n, n, &part, &error) == 0);
        *loss += part;
    }
    CHECK(native_backend.score(backend, c->rows, c->n_records, scores, &error) == 0);
    case_store(backend, state);
    native_backend.free(backend);
}

TEST(threads_change_no_bit)
{
    struct native_case c;
    struct case_state one, many;
    float scores[2][RECORDS];
    double losses[2];
    for (size_t i = 0; i < LENGTH(networks); i++) {
        case_create(&c, networks[i], 300, RECORDS, i);
        c.options.batch_rows = 250;
        case_state_create(&c, &one);
        case_state_create(&c, &many);
        run_with_threads(&c, 1, &one, scores[0], &losses[0]);
        for (unsigned n_threads = 2; n_threads <= 5; n_threads++) {
            run_with_threads(&c, n_threads, &many, scores[1], &losses[1]);
            CHECK(case_states_equal(&one, &many));
            CHECK(memcmp(scores[0], scores[1], sizeof scores[0]) == 0);
            CHECK(memcmp(&losses[0], &losses[1], sizeof losses[0]) == 0);
        }
        case_state_free(&one);
        case_state_free(&many);
        case_free(&c);
    }
}

TEST(a_run_that_is_stored_and_loaded_goes_on_with_the_same_bits)
{
    struct native_case c;
    struct case_state through, middle, resumed;
    struct train_error error;
    case_create(&c, networks[0], 90, RECORDS, 11);
    case_state_create(&c, &through);
    case_state_create(&c, &middle);
    case_state_create(&c, &resumed);
    struct backend *backend = case_backend(&c), *half = case_backend(&c);
    run(backend, &c, 11, 0, 500);
    run(half, &c, 11, 0, 223);
    case_store(half, &middle);
    native_backend.free(half);
    half = case_backend(&c);
    CHECK(native_backend.load(half, &middle.all[0], &middle.all[1], &middle.all[2], 223, &error) ==
          0);
    run(half, &c, 11, 223, 500);
    case_store(backend, &through);
    case_store(half, &resumed);
    CHECK(case_states_equal(&through, &resumed));
    native_backend.free(backend);
    native_backend.free(half);
    case_state_free(&through);
    case_state_free(&middle);
    case_state_free(&resumed);
    case_free(&c);
}

int main(void)
{
    RUN(lazy_adam_has_the_bits_of_dense_adam);
    RUN(lazy_adam_has_them_from_any_start);
    RUN(lazy_adam_has_them_after_moments_have_died);
    RUN(steps_that_grow_again_are_taken);
    RUN(dense_adam_is_adam_element_by_element);
    RUN(threads_change_no_bit);
    RUN(a_run_that_is_stored_and_loaded_goes_on_with_the_same_bits);
    return test_report();
}
