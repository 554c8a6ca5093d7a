/* SPDX-License-Identifier: Apache-2.0 */
/* The native backend beside libtorch's: gradients at the same parameters, and 50 steps alone. */
#include <math.h>
#include <stdlib.h>

#include "networks.h"
#include "test.h"
#include "torch/torch_load.h"

enum { N_STEPS = 50, BATCH = 128 };

static const double NEAR = 1e-5;
/* Measured with the kernels that ATen and OpenBLAS choose, and with others of theirs: up to 3 of
 * 1500 tensors, and medians of the distance from float64 that are alike to 4 percent. */
static const double CANCELLED_SHARE = 1 / 250.0, AS_NEAR = 1.05;

static struct train_error error;
static char message[TORCH_MESSAGE_SIZE];

/* Stops at the first error: what follows would only repeat it. */
static void must(int result, const char *text)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s\n", text);
    exit(1);
}

static struct backend *make_backend(const struct backend_class *class,
                                    const struct test_shape *shape, const struct parameters *start,
                                    unsigned n_threads)
{
    const struct backend_options options = {.spec = make_spec(shape),
                                            .adam = default_adam(),
                                            .batch_rows = BATCH,
                                            .n_threads = n_threads};
    struct backend *backend;
    must(class->create(&backend, &options, &error), error.message);
    must(class->load(backend, start, NULL, NULL, 0, &error), error.message);
    return backend;
}

/* Everything that takes part, on rows for N_STEPS batches. */
struct match {
    struct test_shape shape;
    struct rows rows;
    struct backend *native, *torch;
    const struct torch_plugin *plugin;
    void *reference; /* libtorch in float64 */
    struct parameters values, of_native, of_torch, of_reference;
};

static struct match make_match(enum published_cross cross, uint64_t seed)
{
    struct match match = {.shape = published_shape(cross), .plugin = torch_load(&error)};
    must(match.plugin ? 0 : -1, error.message);
    match.rows = make_rows(&match.shape, N_STEPS * BATCH, seed);
    match.values = make_parameters(&match.shape, seed);
    match.of_native = make_parameters(&match.shape, 0);
    match.of_torch = make_parameters(&match.shape, 0);
    match.of_reference = make_parameters(&match.shape, 0);
    const struct torch_network network = plugin_network(make_spec(&match.shape));
    must(match.plugin->network_create(&network, &match.reference, message), message);
    return match;
}

static void start_match(struct match *match, unsigned n_threads)
{
    match->native = make_backend(&native_backend, &match->shape, &match->values, n_threads);
    match->torch = make_backend(&torch_backend, &match->shape, &match->values, 1);
}

static void free_match(struct match *match)
{
    native_backend.free(match->native);
    torch_backend.free(match->torch);
    match->plugin->network_free(match->reference);
    struct parameters *const all[] = {&match->values, &match->of_native, &match->of_torch,
                                      &match->of_reference};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        parameters_free(all[i]);
    free_rows(&match->rows);
}

static const uint32_t *const *batch_of(const struct match *match, unsigned step)
{
    return match->rows.all + (size_t)step * BATCH;
}

static void set_reference(struct match *match)
{
    for (uint32_t i = 0; i < match->values.n; i++)
        must(match->plugin->network_set(match->reference, 0, i, match->values.all[i].values,
                                        message),
             message);
}

static void reference_gradients(struct match *match, unsigned step)
{
    struct plugin_batch batch = make_plugin_batch(&match->shape, batch_of(match, step), BATCH);
    double loss;
    must(match->plugin->network_gradients(match->reference, &batch.batch, BATCH, &loss, message),
         message);
    free_plugin_batch(&batch);
}

/* ---- gradients */

enum { MAX_COMPARED = N_STEPS * 64 };

/* Of each step and tensor. */
struct compared {
    size_t n, n_cancelled;
    unsigned n_steps_beyond;
    double worst;
    double native[MAX_COMPARED], torch[MAX_COMPARED]; /* distance from float64 over the length */
};

/*
 * A gradient may be a sum in which the rows almost cancel: two float32 programs are then as far
 * from each other as from float64. So where native is farther than NEAR from libtorch, it must be
 * no farther from float64 than libtorch is. Returns whether it is near in one way or the other.
 */
static bool compare_tensor(const struct parameter *native, const struct parameter *torch,
                           const struct parameter *reference, unsigned step,
                           struct compared *compared)
{
    const double scale = largest(reference);
    const double difference = largest_difference(native, torch) / scale;
    const double native_error = largest_difference(native, reference) / scale;
    const double torch_error = largest_difference(torch, reference) / scale;
    const double length = distance(reference, NULL);
    compared->native[compared->n] = distance(native, reference) / length;
    compared->torch[compared->n++] = distance(torch, reference) / length;
    if (difference <= NEAR) {
        compared->worst = fmax(compared->worst, difference);
        return true;
    }
    printf(
        "step %u, %s: native within %.1e of libtorch; from float64: native %.1e, libtorch %.1e\n",
        step, native->name, difference, native_error, torch_error);
    compared->n_cancelled++;
    return native_error <= torch_error;
}

static void compare_gradients(struct match *match, unsigned step, struct compared *compared)
{
    const uint32_t *const *rows = batch_of(match, step);
    must(native_backend.gradients(match->native, rows, BATCH, &match->of_native, &error),
         error.message);
    must(torch_backend.gradients(match->torch, rows, BATCH, &match->of_torch, &error),
         error.message);
    reference_gradients(match, step);
    bool is_near = true;
    for (uint32_t i = 0; i < match->values.n; i++) {
        const struct parameter *reference = &match->of_reference.all[i];
        must(match->plugin->network_get_gradient(match->reference, i, reference->values, message),
             message);
        is_near &= compare_tensor(&match->of_native.all[i], &match->of_torch.all[i], reference,
                                  step, compared);
    }
    compared->n_steps_beyond += !is_near;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* At the native parameters of each step, which all take over. */
static void check_gradients(enum published_cross cross, uint64_t seed)
{
    static struct compared compared;
    memset(&compared, 0, sizeof compared);
    struct match match = make_match(cross, seed);
    start_match(&match, 2);
    for (unsigned step = 0; step < N_STEPS; step++) {
        must(native_backend.store(match.native, &match.values, NULL, NULL, &error), error.message);
        must(torch_backend.load(match.torch, &match.values, NULL, NULL, step, &error),
             error.message);
        set_reference(&match);
        compare_gradients(&match, step, &compared);
        double loss;
        must(native_backend.step(match.native, batch_of(&match, step), BATCH, BATCH, &loss, &error),
             error.message);
    }
    CHECK_MSG(compared.n_steps_beyond == 0, "%u steps", compared.n_steps_beyond);
    CHECK_MSG((double)compared.n_cancelled <= CANCELLED_SHARE * (double)compared.n, "%zu of %zu",
              compared.n_cancelled, compared.n);
    const double native = median(compared.native, compared.n);
    const double torch = median(compared.torch, compared.n);
    printf("gradients: %zu of %zu within %.1e of libtorch's largest; from float64, median: native "
           "%.1e, libtorch %.1e\n",
           compared.n - compared.n_cancelled, compared.n, compared.worst, native, torch);
    CHECK_MSG(native <= AS_NEAR * torch, "%.3e and %.3e", native, torch);
    free_match(&match);
}

TEST(gradients_with_layer_norm_agree_at_50_steps)
{
    check_gradients(PUBLISHED_LAYER_NORM, 3);
}

TEST(gradients_of_full_cross_layers_agree_at_50_steps)
{
    check_gradients(PUBLISHED_FULL, 4);
}

/* ---- steps */

/* Returns whether all are near. */
static bool compare_parameters(const struct parameters *a, const struct parameters *b,
                               const char *names)
{
    double most = 0;
    uint64_t n = 0, n_beyond = 0;
    for (size_t i = 0; i < a->n; i++) {
        most = fmax(most, largest_difference(&a->all[i], &b->all[i]));
        n += a->all[i].n_elements;
        for (uint64_t k = 0; k < a->all[i].n_elements; k++)
            n_beyond += !(fabsf(a->all[i].values[k] - b->all[i].values[k]) <= (float)NEAR);
    }
    printf("%s: parameters within %.1e, %llu of %llu beyond %.0e\n", names, most,
           (unsigned long long)n_beyond, (unsigned long long)n, NEAR);
    return most <= NEAR;
}

/* Each takes its own steps from one start. Returns whether native and libtorch end near. */
static bool take_steps(enum published_cross cross, uint64_t seed)
{
    struct match match = make_match(cross, seed);
    start_match(&match, 2);
    set_reference(&match);
    double native_loss, torch_loss;
    for (unsigned step = 0; step < N_STEPS; step++) {
        const uint32_t *const *rows = batch_of(&match, step);
        must(native_backend.step(match.native, rows, BATCH, BATCH, &native_loss, &error),
             error.message);
        must(torch_backend.step(match.torch, rows, BATCH, BATCH, &torch_loss, &error),
             error.message);
        reference_gradients(&match, step);
        must(match.plugin->network_adam(match.reference, message), message);
        CHECK_MSG(fabs(native_loss - torch_loss) <= 1e-5 * torch_loss, "step %u: %.9g and %.9g",
                  step, native_loss, torch_loss);
    }
    must(native_backend.store(match.native, &match.of_native, NULL, NULL, &error), error.message);
    must(torch_backend.store(match.torch, &match.of_torch, NULL, NULL, &error), error.message);
    for (uint32_t i = 0; i < match.values.n; i++)
        must(match.plugin->network_get(match.reference, 0, i, match.of_reference.all[i].values,
                                       message),
             message);
    (void)compare_parameters(&match.of_torch, &match.of_reference, "libtorch and float64");
    (void)compare_parameters(&match.of_native, &match.of_reference, "native and float64  ");
    const bool is_near =
        compare_parameters(&match.of_native, &match.of_torch, "native and libtorch ");
    free_match(&match);
    return is_near;
}

/*
 * Not from every start: Adam divides a gradient by its own size, so one that happens to be almost
 * 0 moves its parameter by rounding noise up to a whole step, and a ReLU may open in one program
 * alone. libtorch's float32 leaves its own float64 as often. Measured: one start of seven at most
 * with the vector kernels, by one or two parameters and 1.5e-5.
 */
static void check_steps(enum published_cross cross, uint64_t seed)
{
#ifdef __SANITIZE_ADDRESS__
    enum { N_STARTS = 2 }; /* the other build counts; here each takes ten times as long */
#else
    enum { N_STARTS = 7 };
#endif
    unsigned n_near = 0;
    for (unsigned i = 0; i < N_STARTS; i++)
        n_near += take_steps(cross, seed + i);
    printf("after %d steps: native and libtorch within %.0e from %u of %d starts\n", N_STEPS, NEAR,
           n_near, N_STARTS);
    CHECK_MSG(n_near >= N_STARTS - 1, "%u of %d", n_near, N_STARTS);
}

TEST(fifty_steps_alone_end_in_the_same_place_with_layer_norm)
{
    check_steps(PUBLISHED_LAYER_NORM, 100);
}

TEST(fifty_steps_alone_end_in_the_same_place_with_full_cross_layers)
{
    check_steps(PUBLISHED_FULL, 200);
}

/* Moments and count of steps go from one to the other and on. */
TEST(a_backend_goes_on_where_the_other_was)
{
    struct match match = make_match(PUBLISHED_LAYER_NORM, 8);
    start_match(&match, 1);
    struct parameters moment1 = make_parameters(&match.shape, 0);
    struct parameters moment2 = make_parameters(&match.shape, 0);
    double loss;
    for (unsigned step = 0; step < 10; step++) {
        const uint32_t *const *rows = batch_of(&match, step);
        must(native_backend.step(match.native, rows, BATCH, BATCH, &loss, &error), error.message);
        if (step < 5)
            continue;
        if (step > 5) {
            must(torch_backend.step(match.torch, rows, BATCH, BATCH, &loss, &error), error.message);
            continue;
        }
        must(native_backend.store(match.native, &match.values, &moment1, &moment2, &error),
             error.message);
        must(torch_backend.load(match.torch, &match.values, &moment1, &moment2, step + 1, &error),
             error.message);
    }
    must(native_backend.store(match.native, &match.of_native, NULL, NULL, &error), error.message);
    must(torch_backend.store(match.torch, &match.of_torch, NULL, NULL, &error), error.message);
    CHECK(compare_parameters(&match.of_native, &match.of_torch, "native and libtorch, taken over"));
    parameters_free(&moment1);
    parameters_free(&moment2);
    free_match(&match);
}

TEST(scores_agree)
{
    struct match match = make_match(PUBLISHED_FULL, 9);
    start_match(&match, 1);
    enum { N = 3 * BATCH + 5 };
    float native[N], torch[N];
    must(native_backend.score(match.native, match.rows.all, N, native, &error), error.message);
    must(torch_backend.score(match.torch, match.rows.all, N, torch, &error), error.message);
    for (unsigned i = 0; i < N; i++)
        CHECK_MSG(fabsf(native[i] - torch[i]) <= 1e-6f, "row %u: %g and %g", i, native[i],
                  torch[i]);
    free_match(&match);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    RUN(gradients_with_layer_norm_agree_at_50_steps);
    RUN(gradients_of_full_cross_layers_agree_at_50_steps);
    RUN(fifty_steps_alone_end_in_the_same_place_with_layer_norm);
    RUN(fifty_steps_alone_end_in_the_same_place_with_full_cross_layers);
    RUN(a_backend_goes_on_where_the_other_was);
    RUN(scores_agree);
    return test_report();
}
