/* SPDX-License-Identifier: Apache-2.0 */
/* The native backend: gradients, scores and steps against double precision, and its errors. */
#include <math.h>
#include <stdlib.h>

#include "backend/random.h"
#include "native/native_case.h"
#include "test.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const struct published_sizes networks[] = {
    {.n_dense = 1, .n_sparse = 16, .embedding = 8, .n_cross = 2, .n_deep = 2, .deep = {128, 64}},
    {.n_dense = 3, .n_sparse = 4, .embedding = 5, .n_cross = 3, .n_deep = 1, .deep = {33}},
    {.n_dense = 0, .n_sparse = 3, .embedding = 16, .n_cross = 1, .n_deep = 3, .deep = {17, 1, 9}},
    {.n_dense = 2, .n_sparse = 5, .embedding = 1, .n_cross = 0, .n_deep = 2, .deep = {7, 48}},
    {.n_dense = 0, .n_sparse = 7, .embedding = 9, .n_cross = 2, .n_deep = 0},
    {.n_dense = 20, .n_sparse = 0, .embedding = 8, .n_cross = 2, .n_deep = 1, .deep = {16}},
    {.n_dense = 1, .n_sparse = 1, .embedding = 12, .n_cross = 0, .n_deep = 0},
};

/* The loss as a function of one element. */
static double loss_at(const struct native_case *c, double **values, size_t i, uint64_t k,
                      double offset)
{
    const double before = values[i][k];
    values[i][k] += offset;
    const double loss = case_loss(c, values, c->rows, c->n_records, NULL);
    values[i][k] = before;
    return loss;
}

/* Each element of small parameters, some of large ones. */
static void check_gradient(const struct native_case *c, double **values, size_t i,
                           const struct parameter *gradient, struct random *random)
{
    enum { ALL = 8, SAMPLE = 4 };
    const double h = 1e-6; /* small, for it must not reach the bend of a ReLU */
    float largest = 0;
    for (uint64_t k = 0; k < gradient->n_elements; k++)
        largest = fmaxf(largest, fabsf(gradient->values[k]));
    const uint64_t n = gradient->n_elements <= ALL ? gradient->n_elements : SAMPLE;
    for (uint64_t j = 0; j < n; j++) {
        const uint64_t k =
            n == gradient->n_elements ? j : random_below(random, gradient->n_elements);
        const double expected =
            (loss_at(c, values, i, k, h) - loss_at(c, values, i, k, -h)) / (2 * h);
        const double difference = fabs(expected - (double)gradient->values[k]);
        CHECK_MSG(difference <= 1e-5 * (double)largest + 1e-8, "%s[%u]: %.9g, expected %.9g",
                  gradient->name, (unsigned)k, (double)gradient->values[k], expected);
    }
}

static void check_gradients(const struct published_sizes *sizes, enum published_cross cross,
                            uint32_t n_rows)
{
    struct native_case c;
    struct published_sizes with = *sizes;
    struct random random;
    random_start(&random, n_rows, 0);
    struct train_error error;
    struct parameters gradients;
    with.cross = cross;
    case_create(&c, with, 50, n_rows, 7 + n_rows);
    struct backend *backend = case_backend(&c);
    CHECK(parameters_create(&c.spec, &gradients, &error) == 0);
    CHECK(native_backend.gradients(backend, c.rows, n_rows, &gradients, &error) == 0);
    double **values = case_doubles(&c);
    for (size_t i = 0; i < gradients.n; i++)
        check_gradient(&c, values, i, &gradients.all[i], &random);
    case_doubles_free(&c, values);
    parameters_free(&gradients);
    native_backend.free(backend);
    case_free(&c);
}

TEST(gradients_are_those_of_central_differences)
{
    for (size_t i = 0; i < LENGTH(networks); i++)
        for (int cross = PUBLISHED_LAYER_NORM; cross <= PUBLISHED_FULL; cross++) {
            check_gradients(&networks[i], (enum published_cross)cross, 1);
            check_gradients(&networks[i], (enum published_cross)cross, i == 0 ? 50 : 130);
        }
}

/* More rows than a batch may have: scores are computed in several. */
static void check_scores(const struct published_sizes *sizes, enum published_cross cross)
{
    struct native_case c;
    struct published_sizes with = *sizes;
    struct train_error error;
    with.cross = cross;
    case_create(&c, with, 50, 300, 3);
    c.options.batch_rows = 77;
    struct backend *backend = case_backend(&c);
    float *scores = calloc(c.n_records, sizeof *scores);
    double *expected = calloc(c.n_records, sizeof *expected);
    double **values = case_doubles(&c);
    CHECK(native_backend.score(backend, c.rows, c.n_records, scores, &error) == 0);
    const double mean = case_loss(&c, values, c.rows, c.n_records, expected);
    for (uint32_t r = 0; r < c.n_records; r++)
        CHECK_MSG(fabs((double)scores[r] - expected[r]) < 1e-6, "row %u: %.9g, expected %.9g", r,
                  (double)scores[r], expected[r]);
    double loss = 0, part;
    CHECK(isfinite(mean));
    CHECK(native_backend.step(backend, c.rows, 77, 77, &loss, &error) == 0);
    part = 77 * case_loss(&c, values, c.rows, 77, NULL);
    CHECK_MSG(fabs(loss - part) < 1e-5 * part, "loss %.9g, expected %.9g", loss, part);
    case_doubles_free(&c, values);
    free(scores);
    free(expected);
    native_backend.free(backend);
    case_free(&c);
}

TEST(scores_and_loss_are_those_of_the_equations)
{
    for (size_t i = 0; i < LENGTH(networks); i++) {
        check_scores(&networks[i], PUBLISHED_LAYER_NORM);
        check_scores(&networks[i], PUBLISHED_FULL);
    }
}

/* torch.optim.Adam of one element, in double precision. */
static void adam_step(const struct adam_options *adam, double t, double g, double *p, double *m,
                      double *v)
{
    *m = adam->beta1 * *m + (1 - adam->beta1) * g;
    *v = adam->beta2 * *v + (1 - adam->beta2) * g * g;
    *p -= adam->learning_rate / (1 - pow(adam->beta1, t)) * *m /
          (sqrt(*v) / sqrt(1 - pow(adam->beta2, t)) + adam->eps);
}

static void check_step(const struct native_case *c, const struct case_state *before,
                       const struct parameters *gradients, const struct case_state *after, int t)
{
    for (size_t i = 0; i < gradients->n; i++)
        for (uint64_t k = 0; k < gradients->all[i].n_elements; k++) {
            double p = (double)before->all[0].all[i].values[k];
            double m = (double)before->all[1].all[i].values[k];
            double v = (double)before->all[2].all[i].values[k];
            adam_step(&c->options.adam, t, (double)gradients->all[i].values[k], &p, &m, &v);
            const double found = (double)after->all[0].all[i].values[k];
            CHECK_MSG(fabs(found - p) <= 1e-7 * fabs(p) + 1e-8, "%s[%u], step %d: %.9g for %.9g",
                      gradients->all[i].name, (unsigned)k, t, found, p);
            CHECK(fabs((double)after->all[1].all[i].values[k] - m) <= 1e-6 * fabs(m) + 1e-9);
            CHECK(fabs((double)after->all[2].all[i].values[k] - v) <= 1e-6 * v + 1e-12);
        }
}

TEST(a_step_is_that_of_adam)
{
    struct native_case c;
    struct case_state before, after;
    struct parameters gradients;
    struct train_error error;
    double loss;
    case_create(&c, networks[1], 50, 60, 5);
    struct backend *backend = case_backend(&c);
    case_state_create(&c, &before);
    case_state_create(&c, &after);
    CHECK(parameters_create(&c.spec, &gradients, &error) == 0);
    for (int t = 1; t <= 5; t++) {
        const uint32_t *const *rows = c.rows + 10 * t;
        case_store(backend, &before);
        CHECK(native_backend.gradients(backend, rows, 10, &gradients, &error) == 0);
        CHECK(native_backend.step(backend, rows, 10, 10, &loss, &error) == 0);
        case_store(backend, &after);
        check_step(&c, &before, &gradients, &after, t);
    }
    parameters_free(&gradients);
    case_state_free(&before);
    case_state_free(&after);
    native_backend.free(backend);
    case_free(&c);
}

/* The label says whether the first table's row is an even one. */
TEST(loss_falls_where_there_is_something_to_learn)
{
    struct native_case c;
    struct train_error error;
    double first = 0, loss = 0;
    case_create(&c, networks[1], 50, 128, 9);
    for (uint32_t r = 0; r < c.n_records; r++) {
        uint32_t *record = c.records + r * (1 + c.sizes.n_dense + c.sizes.n_sparse);
        const float label = record[1 + c.sizes.n_dense] % 2 == 0;
        memcpy(record, &label, sizeof label);
    }
    struct backend *backend = case_backend(&c);
    for (int t = 0; t < 600; t++) {
        CHECK(native_backend.step(backend, c.rows, c.n_records, c.n_records, &loss, &error) == 0);
        first = t == 0 ? loss : first;
    }
    CHECK_MSG(loss < first / 20, "%g at first, %g at last", first, loss);
    native_backend.free(backend);
    case_free(&c);
}

TEST(an_index_outside_its_table_is_an_error)
{
    struct native_case c;
    struct train_error error;
    double loss;
    case_create(&c, networks[1], 50, 20, 5);
    struct backend *backend = case_backend(&c);
    c.records[1 + c.sizes.n_dense + 1] = c.n_rows_of[1];
    CHECK(native_backend.step(backend, c.rows, 20, 20, &loss, &error) == -1);
    CHECK_MSG(strstr(error.message, "table 1"), "%s", error.message);
    CHECK(native_backend.step(backend, c.rows + 1, 19, 19, &loss, &error) == 0);
    native_backend.free(backend);
    case_free(&c);
}

TEST(what_cannot_be_is_an_error)
{
    struct native_case c;
    struct train_error error;
    struct backend *backend;
    double loss;
    case_create(&c, networks[1], 50, 20, 5);
    c.options.batch_rows = 10;
    backend = case_backend(&c);
    CHECK(native_backend.step(backend, c.rows, 11, 11, &loss, &error) == -1);
    CHECK(native_backend.load(backend, &c.start, NULL, NULL, UINT64_C(1) << 40, &error) == -1);
    native_backend.free(backend);
    struct backend_options options = c.options;
    options.spec = &c.spec;
    options.adam.beta1 = 1;
    CHECK(native_backend.create(&backend, &options, &error) == -1);
    options.adam.beta1 = 0.9;
    options.adam.eps = 0;
    CHECK(native_backend.create(&backend, &options, &error) == -1);
    case_free(&c);
}

/* With one thing of the spec changed. */
static void check_refused(struct native_case *c, const char *expected)
{
    struct train_error error;
    struct backend *backend;
    struct backend_options options = c->options;
    options.spec = &c->spec;
    CHECK(native_backend.create(&backend, &options, &error) == -1);
    CHECK_MSG(strcmp(error.message, expected) == 0, "%s", error.message);
    case_free(c);
}

TEST(a_layer_that_cannot_be_trained_is_named)
{
    struct native_case c;
    case_create(&c, networks[1], 50, 20, 5);
    c.spec.layers[2].kind = LAYER_CROSS_VECTOR;
    check_refused(&c,
                  "the native backend cannot train layer \"cross_layers.1\" (cross_vector): such "
                  "layers can be served only");
    case_create(&c, networks[1], 50, 20, 5);
    c.spec.layers[5].activation = ACTIVATE_GELU;
    check_refused(&c,
                  "the native backend cannot train layer \"dnn.1\" (activation): its form can be "
                  "served only");
    case_create(&c, networks[1], 50, 20, 5);
    c.spec.layers[3].epsilon = 1e-6f;
    check_refused(&c,
                  "the native backend cannot train layer \"cross_layers.2\" (cross_layer_norm): "
                  "its form can be served only");
    case_create(&c, networks[1], 50, 20, 5);
    ((struct spec_input *)c.spec.layers[0].parts)[4].kind = INPUT_TIMES;
    check_refused(&c,
                  "the native backend cannot train layer \"x0\" (input): its form can be served "
                  "only");
    case_create(&c, networks[1], 50, 20, 5);
    c.spec.layers[2].tensors[ROLE_BIAS] = c.spec.layers[1].tensors[ROLE_BIAS];
    check_refused(&c,
                  "the native backend cannot train a tensor that stands in several places of the "
                  "network");
}

int main(void)
{
    RUN(gradients_are_those_of_central_differences);
    RUN(scores_and_loss_are_those_of_the_equations);
    RUN(a_step_is_that_of_adam);
    RUN(loss_falls_where_there_is_something_to_learn);
    RUN(an_index_outside_its_table_is_an_error);
    RUN(what_cannot_be_is_an_error);
    RUN(a_layer_that_cannot_be_trained_is_named);
    return test_report();
}
