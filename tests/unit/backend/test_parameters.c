/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a network's parameters, and the random numbers that they start from. */
#include "backend/parameters.h"

#include <math.h>
#include <stdlib.h>

#include "backend/random.h"
#include "network/published.h"
#include "test.h"

static const uint32_t n_rows[] = {3, 4000};

/* The notebook's layers on two tables of 8; x0 is 18 wide. */
static const struct published_sizes notebook = {
    .n_dense = 2, .n_sparse = 2, .embedding = 8, .n_cross = 2, .n_deep = 2, .deep = {128, 64}};

static struct arena arena; /* of the specs */

static struct parameters create(const struct published_sizes *sizes)
{
    struct network_spec spec;
    struct parameters parameters = {0};
    struct train_error error = {{0}};
    CHECK(published_make(&spec, &arena, sizes, n_rows) == 0);
    CHECK_MSG(parameters_create(&spec, &parameters, &error) == 0, "%s", error.message);
    return parameters;
}

TEST(they_begin_as_zeros)
{
    struct parameters parameters = create(&notebook);
    CHECK(parameters.n == 16);
    for (size_t i = 0; i < parameters.n; i++) {
        const struct parameter *found = &parameters.all[i];
        CHECK(found->n_elements == found->sizes[0] * (found->n_dims == 2 ? found->sizes[1] : 1));
        CHECK((uintptr_t)found->values % 64 == 0);
        for (uint64_t k = 0; k < found->n_elements; k++)
            CHECK(found->values[k] == 0);
    }
    parameters_free(&parameters);
    CHECK(parameters.n == 0 && parameters.all == NULL);
}

TEST(parameters_are_found_by_name_and_seen_as_tensors)
{
    struct parameters parameters = create(&notebook);
    CHECK(parameters_find(&parameters, "dnn.2.bias") == &parameters.all[13]);
    CHECK(parameters_find(&parameters, "dnn.1.bias") == NULL);
    struct tensor *tensors = parameters_tensors(&parameters);
    for (size_t i = 0; tensors && i < parameters.n; i++) {
        CHECK(text_is(tensors[i].name, parameters.all[i].name));
        CHECK(tensors[i].dtype == TENSOR_F32 && tensor_is_contiguous(&tensors[i]));
        CHECK(tensors[i].n_dims == parameters.all[i].n_dims);
        CHECK(tensors[i].n_elements == parameters.all[i].n_elements);
        CHECK(tensors[i].data == (const uint8_t *)parameters.all[i].values);
    }
    free(tensors);
    parameters_free(&parameters);
}

/* ---- initial values */

struct moments {
    double mean, deviation, least, most;
};

static struct moments moments_of(const struct parameter *parameter)
{
    const double n = (double)parameter->n_elements;
    struct moments found = {.least = INFINITY, .most = -INFINITY};
    for (uint64_t i = 0; i < parameter->n_elements; i++) {
        const double value = (double)parameter->values[i];
        found.mean += value / n;
        found.deviation += value * value / n;
        found.least = fmin(found.least, value);
        found.most = fmax(found.most, value);
    }
    found.deviation = sqrt(found.deviation - found.mean * found.mean);
    return found;
}

/* Uniform within the bound, and near to it. */
static void check_uniform(const struct parameters *parameters, const char *name, double n_in)
{
    const struct parameter *parameter = parameters_find(parameters, name);
    const struct moments found = moments_of(parameter);
    const double bound = 1 / sqrt(n_in), slack = 5 / sqrt((double)parameter->n_elements);
    CHECK_MSG(found.least >= -bound && found.most <= bound, "%s: %g to %g", name, found.least,
              found.most);
    CHECK_MSG(fabs(found.mean) < slack * bound, "%s: mean %g", name, found.mean);
    CHECK_MSG(fabs(found.deviation / bound - 1 / sqrt(3.0)) < slack, "%s: deviation %g", name,
              found.deviation);
}

static void check_constant(const struct parameters *parameters, const char *name, float value)
{
    const struct parameter *parameter = parameters_find(parameters, name);
    for (uint64_t i = 0; i < parameter->n_elements; i++)
        CHECK(parameter->values[i] == value);
}

TEST(values_start_as_pytorch_starts_them)
{
    struct parameters parameters = create(&notebook);
    parameters_initialise(&parameters, 7);
    const struct moments table = moments_of(parameters_find(&parameters, "embeddings.1.weight"));
    CHECK_MSG(fabs(table.mean) < 0.02 && fabs(table.deviation - 1) < 0.02, "mean %g deviation %g",
              table.mean, table.deviation);
    CHECK_MSG(table.most > 3 && table.least < -3 && table.most < 7, "%g to %g", table.least,
              table.most);
    check_uniform(&parameters, "cross_layers.0.0.weight", 18);
    check_uniform(&parameters, "cross_layers.1.0.bias", 18);
    check_uniform(&parameters, "dnn.0.weight", 18);
    check_uniform(&parameters, "dnn.0.bias", 18);
    check_uniform(&parameters, "dnn.2.weight", 128);
    check_uniform(&parameters, "dnn.2.bias", 128);
    check_uniform(&parameters, "output.weight", 82);
    check_uniform(&parameters, "output.bias", 82);
    check_constant(&parameters, "cross_layers.1.1.weight", 1);
    check_constant(&parameters, "cross_layers.1.1.bias", 0);
    parameters_free(&parameters);
}

/* Its name is almost that of a layer norm. */
TEST(full_cross_layer_1_is_a_linear_layer)
{
    struct published_sizes sizes = notebook;
    sizes.cross = PUBLISHED_FULL;
    struct parameters parameters = create(&sizes);
    parameters_initialise(&parameters, 7);
    check_uniform(&parameters, "cross_layers.1.weight", 18);
    check_uniform(&parameters, "cross_layers.1.bias", 18);
    parameters_free(&parameters);
}

static bool is_same(const struct parameters *a, const struct parameters *b, const char *name)
{
    const struct parameter *x = parameters_find(a, name), *y = parameters_find(b, name);
    return x->n_elements == y->n_elements &&
           memcmp(x->values, y->values, x->n_elements * sizeof *x->values) == 0;
}

TEST(values_follow_from_seed_and_name_alone)
{
    struct published_sizes sizes = notebook;
    struct parameters a = create(&sizes);
    sizes.n_cross = 1;
    sizes.cross = PUBLISHED_FULL;
    struct parameters b = create(&sizes);
    parameters_initialise(&a, 7);
    parameters_initialise(&b, 7);
    CHECK(is_same(&a, &b, "embeddings.1.weight"));
    CHECK(is_same(&a, &b, "dnn.2.weight"));
    parameters_initialise(&b, 8);
    CHECK(!is_same(&a, &b, "embeddings.1.weight"));
    CHECK(!is_same(&a, &b, "dnn.2.bias"));
    parameters_free(&a);
    parameters_free(&b);
}

/* ---- random numbers */

TEST(the_generator_is_xoshiro256_starstar)
{
    /* The first numbers of the reference implementation from this state. */
    struct random random = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        CHECK(random_next(&random) == expected[i]);
}

TEST(streams_differ_and_repeat)
{
    struct random a, b;
    random_start(&a, 1, 2);
    random_start(&b, 1, 2);
    for (int i = 0; i < 100; i++)
        CHECK(random_next(&a) == random_next(&b));
    random_start(&b, 2, 1);
    CHECK(random_next(&a) != random_next(&b));
    random_start(&a, 0, 0);
    random_start(&b, 0, 1);
    CHECK(random_next(&a) != random_next(&b));
}

TEST(numbers_below_a_bound_are_all_as_likely)
{
    enum { BOUND = 7, N = 70000 };
    unsigned counts[BOUND] = {0};
    struct random random;
    random_start(&random, 3, 0);
    for (int i = 0; i < N; i++) {
        const uint64_t found = random_below(&random, BOUND);
        CHECK(found < BOUND);
        counts[found]++;
    }
    for (int i = 0; i < BOUND; i++)
        CHECK_MSG(counts[i] > 9500 && counts[i] < 10500, "%u times %d", counts[i], i);
    for (int i = 0; i < 100; i++)
        CHECK(random_below(&random, 1) == 0);
    /* Of a bound of 3/4 of all numbers a quarter would come twice as often without care. */
    const uint64_t bound = UINT64_C(3) << 62;
    unsigned n_low = 0;
    for (int i = 0; i < N; i++)
        n_low += random_below(&random, bound) < bound / 3;
    CHECK_MSG(fabs(n_low / (double)N - 1.0 / 3) < 0.01, "%u", n_low);
}

TEST(unit_and_normal_numbers_are_where_they_should_be)
{
    enum { N = 100000 };
    struct random random;
    double sum = 0, within = 0, pair[2];
    random_start(&random, 5, 5);
    for (int i = 0; i < N; i++) {
        const double unit = random_unit(&random);
        CHECK(unit >= 0 && unit < 1);
        sum += unit;
        random_normal_pair(&random, pair);
        within += (fabs(pair[0]) < 1) + (fabs(pair[1]) < 1);
    }
    CHECK_MSG(fabs(sum / N - 0.5) < 0.005, "mean %g", sum / N);
    CHECK_MSG(fabs(within / (2 * N) - 0.6827) < 0.005, "%g within 1", within / (2 * N));
}

/* The sum is that of the same steps in Python's floats. */
TEST(normal_numbers_have_the_same_bits_everywhere)
{
    struct random random;
    uint64_t sum = 0;
    random_start(&random, 1, 1);
    for (int i = 0; i < 10000; i++) {
        double pair[2];
        uint64_t bits[2];
        random_normal_pair(&random, pair);
        memcpy(bits, pair, sizeof bits);
        sum = sum * 31 + bits[0];
        sum = sum * 31 + bits[1];
    }
    CHECK_MSG(sum == UINT64_C(0x2f299ec560ddfbf1), "%llx", (unsigned long long)sum);
}

int main(void)
{
    arena_init(&arena, SIZE_MAX);
    RUN(they_begin_as_zeros);
    RUN(parameters_are_found_by_name_and_seen_as_tensors);
    RUN(values_start_as_pytorch_starts_them);
    RUN(full_cross_layer_1_is_a_linear_layer);
    RUN(values_follow_from_seed_and_name_alone);
    RUN(the_generator_is_xoshiro256_starstar);
    RUN(streams_differ_and_repeat);
    RUN(numbers_below_a_bound_are_all_as_likely);
    RUN(unit_and_normal_numbers_are_where_they_should_be);
    RUN(normal_numbers_have_the_same_bits_everywhere);
    arena_free(&arena);
    return test_report();
}
