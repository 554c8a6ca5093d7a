/* SPDX-License-Identifier: Apache-2.0 */
#include "native/native_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/random.h"

enum { WIDTH_MAX = 256 };

static void ensure(bool is_fine, const char *what)
{
    if (!is_fine) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static void fill_records(struct native_case *c, struct random *random)
{
    const size_t words = 1 + c->sizes.n_dense + c->sizes.n_sparse;
    for (uint32_t r = 0; r < c->n_records; r++) {
        uint32_t *record = c->records + r * words;
        const float label = random_unit(random) < 0.3;
        memcpy(record, &label, sizeof label);
        for (uint32_t i = 0; i < c->sizes.n_dense; i++) {
            const float value = (float)(2 * random_unit(random) - 1);
            memcpy(record + 1 + i, &value, sizeof value);
        }
        for (uint32_t t = 0; t < c->sizes.n_sparse; t++) { /* few rows often, many seldom */
            const double unit = random_unit(random);
            record[1 + c->sizes.n_dense + t] = (uint32_t)(unit * unit * unit * c->n_rows_of[t]);
        }
        c->rows[r] = record;
    }
}

void case_create(struct native_case *c, struct published_sizes sizes, uint32_t largest_table,
                 uint32_t n_records, uint64_t seed)
{
    struct random random;
    struct train_error error;
    random_start(&random, seed, 0);
    *c = (struct native_case){.sizes = sizes, .n_records = n_records};
    for (uint32_t t = 0; t < sizes.n_sparse; t++)
        c->n_rows_of[t] = t % 3 == 2 ? 1 + (uint32_t)random_below(&random, 3)
                                     : 1 + (uint32_t)random_below(&random, largest_table);
    arena_init(&c->arena, SIZE_MAX);
    ensure(published_make(&c->spec, &c->arena, &sizes, c->n_rows_of) == 0, "no memory");
    ensure(parameters_create(&c->spec, &c->start, &error) == 0, "no memory");
    for (size_t i = 0; i < c->start.n; i++)
        for (uint64_t k = 0; k < c->start.all[i].n_elements; k++)
            c->start.all[i].values[k] =
                (float)(random_unit(&random) - 0.5) * (i < sizes.n_sparse ? 2.0f : 0.5f);
    const size_t words = 1 + sizes.n_dense + sizes.n_sparse;
    c->records = calloc(n_records * words + 1, sizeof *c->records);
    c->rows = calloc(n_records + 1, sizeof *c->rows);
    ensure(c->records && c->rows, "no memory");
    fill_records(c, &random);
    c->options = (struct backend_options){
        .adam = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
        .batch_rows = n_records,
        .n_threads = 1};
}

void case_free(struct native_case *c)
{
    parameters_free(&c->start);
    arena_free(&c->arena);
    free(c->records);
    free(c->rows);
}

struct backend *case_backend(const struct native_case *c)
{
    struct backend_options options = c->options;
    struct backend *backend;
    struct train_error error;
    options.spec = &c->spec;
    ensure(native_backend.create(&backend, &options, &error) == 0, "no backend");
    ensure(native_backend.load(backend, &c->start, NULL, NULL, 0, &error) == 0, "not loaded");
    return backend;
}

/* ---- state ---- */

void case_state_create(const struct native_case *c, struct case_state *state)
{
    struct train_error error;
    for (int i = 0; i < 3; i++)
        ensure(parameters_create(&c->spec, &state->all[i], &error) == 0, "no memory");
}

void case_state_free(struct case_state *state)
{
    for (int i = 0; i < 3; i++)
        parameters_free(&state->all[i]);
}

void case_store(struct backend *backend, struct case_state *state)
{
    struct train_error error;
    ensure(native_backend.store(backend, &state->all[0], &state->all[1], &state->all[2], &error) ==
               0,
           "not stored");
}

bool case_states_equal(const struct case_state *a, const struct case_state *b)
{
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < a->all[i].n; k++)
            if (memcmp(a->all[i].all[k].values, b->all[i].all[k].values,
                       a->all[i].all[k].n_elements * sizeof(float)) != 0) {
                fprintf(stderr, "    %s of %s differ\n", (const char *[]){"p", "m", "v"}[i],
                        a->all[i].all[k].name);
                return false;
            }
    return true;
}

/* ---- the loss ---- */

/* y = W x + b of the two parameters at *values, which moves on */
static void linear(double *const **values, const double *x, size_t n_in, double *y, size_t n_out)
{
    const double *weight = *(*values)++, *bias = *(*values)++;
    for (size_t o = 0; o < n_out; o++) {
        y[o] = bias[o];
        for (size_t i = 0; i < n_in; i++)
            y[o] += weight[o * n_in + i] * x[i];
    }
}

static void layer_norm(double *const **values, double *y, size_t n)
{
    const double *gamma = *(*values)++, *beta = *(*values)++;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += y[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (y[i] - mean) / sqrt(variance + 1e-5) * gamma[i] + beta[i];
}

static double score_of(const struct published_sizes *sizes, double *const *values,
                       const uint32_t *record)
{
    double x0[WIDTH_MAX], c[WIDTH_MAX], d[WIDTH_MAX], y[WIDTH_MAX];
    const size_t width = sizes->n_dense + sizes->n_sparse * sizes->embedding, e = sizes->embedding;
    size_t n_d = width;
    for (uint32_t i = 0; i < sizes->n_dense; i++) {
        float value;
        memcpy(&value, record + 1 + i, sizeof value);
        x0[i] = (double)value;
    }
    for (uint32_t t = 0; t < sizes->n_sparse; t++)
        memcpy(x0 + sizes->n_dense + t * e, values[t] + record[1 + sizes->n_dense + t] * e,
               e * sizeof *x0);
    values += sizes->n_sparse;
    memcpy(c, x0, sizeof c);
    memcpy(d, x0, sizeof d);
    for (uint32_t l = 0; l < sizes->n_cross; l++) {
        linear(&values, c, width, y, width);
        if (sizes->cross == PUBLISHED_LAYER_NORM)
            layer_norm(&values, y, width);
        for (size_t i = 0; i < width; i++)
            c[i] += sizes->cross == PUBLISHED_LAYER_NORM ? y[i] : x0[i] * y[i];
    }
    for (uint32_t l = 0; l < sizes->n_deep; l++) {
        linear(&values, d, n_d, y, sizes->deep[l]);
        n_d = sizes->deep[l];
        for (size_t i = 0; i < n_d; i++)
            d[i] = y[i] > 0 ? y[i] : 0;
    }
    double z = values[1][0];
    for (size_t i = 0; i < width; i++)
        z += values[0][i] * c[i];
    for (size_t i = 0; sizes->n_deep && i < n_d; i++)
        z += values[0][width + i] * d[i];
    return 1 / (1 + exp(-z));
}

double case_loss(const struct native_case *c, double *const *values, const uint32_t *const *rows,
                 uint32_t n_rows, double *ret_scores)
{
    double sum = 0;
    for (uint32_t r = 0; r < n_rows; r++) {
        float label;
        memcpy(&label, rows[r], sizeof label);
        const double score = score_of(&c->sizes, values, rows[r]);
        sum -= log(label != 0 ? score : 1 - score);
        if (ret_scores)
            ret_scores[r] = score;
    }
    return sum / n_rows;
}

double **case_doubles(const struct native_case *c)
{
    double **values = calloc(c->start.n, sizeof *values);
    ensure(values != NULL, "no memory");
    for (size_t i = 0; i < c->start.n; i++) {
        const struct parameter *parameter = &c->start.all[i];
        values[i] = calloc(parameter->n_elements + 1, sizeof **values);
        ensure(values[i] != NULL, "no memory");
        for (uint64_t k = 0; k < parameter->n_elements; k++)
            values[i][k] = (double)parameter->values[k];
    }
    return values;
}

void case_doubles_free(const struct native_case *c, double **values)
{
    for (size_t i = 0; i < c->start.n; i++)
        free(values[i]);
    free(values);
}
