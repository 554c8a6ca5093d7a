/* SPDX-License-Identifier: Apache-2.0 */
/* libtorch's network against one written out here in double: loss, gradients, Adam, scores. */
#include <math.h>
#include <stdlib.h>

#include "networks.h"
#include "test.h"
#include "torch/torch_load.h"

enum { N_ROWS = 24, WIDEST = 64, N_STEPS = 20 };

static struct train_error error;
static char message[TORCH_MESSAGE_SIZE];

/* ---- the network by hand */

/* Takes the next linear layer off `at`: out = W x + b. */
static const struct parameter *linear(const struct parameter *at, const double *x, double *out)
{
    const uint64_t n_out = at[0].sizes[0], n_in = at[0].sizes[1];
    for (uint64_t o = 0; o < n_out; o++) {
        out[o] = at[1].values[o];
        for (uint64_t i = 0; i < n_in; i++)
            out[o] += (double)at[0].values[o * n_in + i] * x[i];
    }
    return at + 2;
}

static const struct parameter *layer_norm(const struct parameter *at, double *x, size_t n)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-5) * at[0].values[i] + at[1].values[i];
    return at + 2;
}

static double score_by_hand(const struct test_shape *shape, const struct parameters *parameters,
                            const uint32_t *row)
{
    const uint32_t width = shape->sizes.n_dense + shape->sizes.n_sparse * shape->sizes.embedding;
    double x0[WIDEST], last[2 * WIDEST], deep[WIDEST], out[WIDEST];
    for (uint32_t i = 0; i < width; i++) {
        float dense = 0;
        if (i < shape->sizes.n_dense) {
            memcpy(&dense, row + 1 + i, sizeof dense);
            x0[i] = dense;
            continue;
        }
        const uint32_t table = (i - shape->sizes.n_dense) / shape->sizes.embedding;
        const uint32_t at = row[1 + shape->sizes.n_dense + table] * shape->sizes.embedding +
                            (i - shape->sizes.n_dense) % shape->sizes.embedding;
        x0[i] = parameters->all[table].values[at];
    }
    const struct parameter *at = parameters->all + shape->sizes.n_sparse;
    memcpy(last, x0, sizeof x0);
    for (uint32_t l = 0; l < shape->sizes.n_cross; l++) {
        at = linear(at, last, out);
        if (shape->sizes.cross == PUBLISHED_LAYER_NORM)
            at = layer_norm(at, out, width);
        for (uint32_t i = 0; i < width; i++)
            last[i] += shape->sizes.cross == PUBLISHED_FULL ? x0[i] * out[i] : out[i];
    }
    memcpy(deep, x0, sizeof x0);
    for (uint32_t l = 0; l < shape->sizes.n_deep; l++) {
        at = linear(at, deep, out);
        for (uint32_t i = 0; i < shape->sizes.deep[l]; i++)
            deep[i] = last[width + i] = fmax(out[i], 0);
    }
    (void)linear(at, last, out);
    return 1 / (1 + exp(-out[0]));
}

/* The sum over rows. */
static double loss_by_hand(const struct test_shape *shape, const struct parameters *parameters,
                           const struct rows *rows)
{
    double loss = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        float label;
        memcpy(&label, rows->all[i], sizeof label);
        const double score = score_by_hand(shape, parameters, rows->all[i]);
        loss -= label ? log(score) : log(1 - score);
    }
    return loss;
}

/* ---- both side by side */

struct pair {
    struct test_shape shape;
    struct parameters values;
    struct rows rows;
    struct plugin_batch batch;
    const struct torch_plugin *plugin;
    void *network;
};

/* Values of about one, so that no gradient is tiny; layer norms that are not 1 and 0. */
static struct pair make_pair(struct test_shape shape, bool is_double)
{
    struct pair pair = {.shape = shape, .plugin = torch_load(&error)};
    if (pair.plugin == NULL) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    pair.values = make_parameters(&shape, 7);
    for (size_t i = 0; i < pair.values.n; i++)
        for (uint64_t k = 0; k < pair.values.all[i].n_elements; k++)
            pair.values.all[i].values[k] += 0.2f * sinf((float)(3 * k + i));
    pair.rows = make_rows(&shape, N_ROWS, 11);
    pair.batch = make_plugin_batch(&shape, pair.rows.all, N_ROWS);
    struct torch_network network = plugin_network(make_spec(&shape));
    network.is_double = is_double;
    CHECK_MSG(pair.plugin->network_create(&network, &pair.network, message) == 0, "%s", message);
    for (uint32_t i = 0; i < pair.values.n; i++)
        CHECK(pair.plugin->network_set(pair.network, 0, i, pair.values.all[i].values, message) ==
              0);
    return pair;
}

static void free_pair(struct pair *pair)
{
    pair->plugin->network_free(pair->network);
    free_plugin_batch(&pair->batch);
    free_rows(&pair->rows);
    parameters_free(&pair->values);
}

/* As one of two ranks: the loss is the sum over N_ROWS, the gradient is over 2 N_ROWS. */
static void check_gradients(struct test_shape shape)
{
    struct pair pair = make_pair(shape, true);
    double loss = -1;
    CHECK_MSG(pair.plugin->network_gradients(pair.network, &pair.batch.batch, 2 * N_ROWS, &loss,
                                             message) == 0,
              "%s", message);
    const double by_hand = loss_by_hand(&pair.shape, &pair.values, &pair.rows);
    CHECK_MSG(fabs(loss - by_hand) <= 1e-9 * by_hand, "%.12g, not %.12g", loss, by_hand);

    double worst = 0;
    for (uint32_t i = 0; i < pair.values.n; i++) {
        struct parameter *values = &pair.values.all[i];
        float *gradient = malloc(values->n_elements * sizeof *gradient);
        CHECK(pair.plugin->network_get_gradient(pair.network, i, gradient, message) == 0);
        for (uint64_t k = 0; k < values->n_elements; k++) {
            const float at = values->values[k], above = at + 1e-4f, below = at - 1e-4f;
            values->values[k] = above;
            const double more = loss_by_hand(&pair.shape, &pair.values, &pair.rows);
            values->values[k] = below;
            const double less = loss_by_hand(&pair.shape, &pair.values, &pair.rows);
            values->values[k] = at;
            const double wanted = (more - less) / ((double)above - below) / (2 * N_ROWS);
            worst = fmax(worst, fabs(gradient[k] - wanted));
            if (!(fabs(gradient[k] - wanted) <= 2e-7))
                CHECK_MSG(false, "%s[%llu] is %g, not %g", values->name, (unsigned long long)k,
                          gradient[k], wanted);
        }
        free(gradient);
    }
    printf("gradients: within %.1e of finite differences\n", worst);
    free_pair(&pair);
}

TEST(gradients_with_layer_norm_are_those_of_finite_differences)
{
    check_gradients(small_shape(PUBLISHED_LAYER_NORM));
}

TEST(gradients_of_full_cross_layers_are_those_of_finite_differences)
{
    check_gradients(small_shape(PUBLISHED_FULL));
}

TEST(a_network_may_lack_any_of_its_parts)
{
    struct test_shape shape = small_shape(PUBLISHED_LAYER_NORM);
    shape.sizes.n_deep = 0;
    check_gradients(shape);
    shape = small_shape(PUBLISHED_FULL);
    shape.sizes.n_cross = 0;
    check_gradients(shape);
    shape = small_shape(PUBLISHED_FULL);
    shape.sizes.n_dense = 0;
    check_gradients(shape);
    shape = small_shape(PUBLISHED_FULL);
    shape.sizes.n_sparse = 0;
    check_gradients(shape);
}

TEST(scores_are_those_by_hand)
{
    for (int is_double = 0; is_double < 2; is_double++) {
        struct pair pair = make_pair(small_shape(PUBLISHED_FULL), is_double);
        float scores[N_ROWS];
        CHECK(pair.plugin->network_score(pair.network, &pair.batch.batch, scores, message) == 0);
        for (uint32_t i = 0; i < N_ROWS; i++) {
            const double wanted = score_by_hand(&pair.shape, &pair.values, pair.rows.all[i]);
            CHECK_MSG(fabs(scores[i] - wanted) <= 1e-6, "%g, not %g", scores[i], wanted);
        }
        free_pair(&pair);
    }
}

/* D. Kingma and J. Ba's algorithm 1 on the gradients that the network gives. */
TEST(adam_is_that_of_the_paper)
{
    struct pair pair = make_pair(small_shape(PUBLISHED_LAYER_NORM), true);
    enum { PARAMETER = 3 }; /* the first cross layer's weight */
    const struct parameter *parameter = &pair.values.all[PARAMETER];
    const uint64_t n = parameter->n_elements;
    double *p = calloc(n, sizeof *p), *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
    float *g = calloc(n, sizeof *g), *got = calloc(n, sizeof *got);
    for (uint64_t k = 0; k < n; k++)
        p[k] = parameter->values[k];
    for (int t = 1; t <= N_STEPS; t++) {
        double loss;
        CHECK(pair.plugin->network_gradients(pair.network, &pair.batch.batch, N_ROWS, &loss,
                                             message) == 0);
        CHECK(pair.plugin->network_get_gradient(pair.network, PARAMETER, g, message) == 0);
        CHECK(pair.plugin->network_adam(pair.network, message) == 0);
        for (uint64_t k = 0; k < n; k++) {
            m[k] = 0.9 * m[k] + (1 - 0.9) * g[k];
            v[k] = 0.999 * v[k] + (1 - 0.999) * (double)g[k] * g[k];
            p[k] -= 1e-3 * (m[k] / (1 - pow(0.9, t))) / (sqrt(v[k] / (1 - pow(0.999, t))) + 1e-8);
        }
    }
    const double *const wanted[] = {p, m, v};
    for (int which = 0; which < 3; which++) {
        CHECK(pair.plugin->network_get(pair.network, which, PARAMETER, got, message) == 0);
        for (uint64_t k = 0; k < n; k++)
            CHECK_MSG(fabs(got[k] - wanted[which][k]) <= 1e-7 + 1e-7 * fabs(wanted[which][k]),
                      "%d[%d]: %g, not %g", which, (int)k, got[k], wanted[which][k]);
    }
    free(p), free(m), free(v), free(g), free(got);
    free_pair(&pair);
}

TEST(no_rows_give_no_gradients)
{
    struct pair pair = make_pair(small_shape(PUBLISHED_FULL), false);
    struct torch_batch none = pair.batch.batch;
    none.n_rows = 0;
    double loss = -1;
    float gradient[WIDEST];
    CHECK(pair.plugin->network_gradients(pair.network, &pair.batch.batch, 1, &loss, message) == 0);
    CHECK(pair.plugin->network_gradients(pair.network, &none, 128, &loss, message) == 0);
    CHECK(loss == 0);
    CHECK(pair.plugin->network_get_gradient(pair.network, 0, gradient, message) == 0);
    for (uint64_t k = 0; k < pair.values.all[0].n_elements; k++)
        CHECK(gradient[k] == 0);
    CHECK(pair.plugin->network_score(pair.network, &none, gradient, message) == 0);
    free_pair(&pair);
}

TEST(exceptions_become_messages_of_a_line)
{
    struct pair pair = make_pair(small_shape(PUBLISHED_FULL), false);
    float values[WIDEST];
    double loss;
    CHECK(pair.plugin->network_get_gradient(pair.network, 0, values, message) == -1);
    CHECK_MSG(strcmp(message, "there are no gradients yet") == 0, "%s", message);
    CHECK(pair.plugin->network_get(pair.network, 0, 999, values, message) == -1);
    CHECK(message[0] && !strchr(message, '\n'));
    pair.batch.indices[1] = 7; /* table 1 has rows 0 to 6 */
    CHECK(pair.plugin->network_gradients(pair.network, &pair.batch.batch, 1, &loss, message) == -1);
    CHECK_MSG(strstr(message, "index out of range") && !strchr(message, '\n'), "%s", message);
    free_pair(&pair);
}

/* ---- layers in another order than the published one ---- */

enum { X0, CROSS_0, CROSS_1, DNN_0, RELU_0, DNN_2, RELU_2, OUTPUT };

struct wiring {
    const char *what;
    uint32_t deep_reads; /* what layer DNN_0 reads */
    uint32_t n_outputs, outputs[2];
    bool is_mixed; /* the first cross layer is full, the second has a layer norm */
};

static const struct network_spec *wire(const struct wiring *wiring)
{
    const struct test_shape shape = small_shape(PUBLISHED_LAYER_NORM);
    const struct network_spec *spec = make_spec(&shape);
    struct spec_layer *layers = spec->layers;
    ((uint32_t *)layers[DNN_0].inputs)[0] = wiring->deep_reads;
    memcpy((uint32_t *)layers[OUTPUT].inputs, wiring->outputs, sizeof wiring->outputs);
    layers[OUTPUT].n_inputs = wiring->n_outputs;
    layers[OUTPUT].n_in = 0;
    for (uint32_t i = 0; i < wiring->n_outputs; i++)
        layers[OUTPUT].n_in += layers[wiring->outputs[i]].n_out;
    if (wiring->is_mixed)
        layers[CROSS_0].kind = LAYER_CROSS_FULL;
    return spec;
}

static void *reference_of(const struct torch_plugin *plugin, const struct network_spec *spec,
                          const struct parameters *values, const struct rows *rows)
{
    const struct test_shape shape = small_shape(PUBLISHED_LAYER_NORM);
    const struct torch_network network = plugin_network(spec);
    struct plugin_batch batch = make_plugin_batch(&shape, rows->all, N_ROWS);
    void *made = NULL;
    double loss;
    CHECK_MSG(plugin->network_create(&network, &made, message) == 0, "%s", message);
    for (uint32_t i = 0; i < values->n; i++)
        CHECK(plugin->network_set(made, 0, i, values->all[i].values, message) == 0);
    CHECK(plugin->network_gradients(made, &batch.batch, N_ROWS, &loss, message) == 0);
    free_plugin_batch(&batch);
    return made;
}

static void check_wiring(const struct wiring *wiring, const struct torch_plugin *plugin)
{
    const struct test_shape shape = small_shape(PUBLISHED_LAYER_NORM);
    const struct network_spec *spec = wire(wiring);
    const struct backend_options options = {
        .spec = spec, .adam = default_adam(), .batch_rows = N_ROWS, .n_threads = 2};
    struct parameters values, native, torch;
    struct rows rows = make_rows(&shape, N_ROWS, 12);
    struct backend *backend;
    CHECK(parameters_create(spec, &values, &error) == 0);
    CHECK(parameters_create(spec, &native, &error) == 0);
    CHECK(parameters_create(spec, &torch, &error) == 0);
    parameters_initialise(&values, 3);
    CHECK_MSG(native_backend.create(&backend, &options, &error) == 0, "%s", error.message);
    CHECK(native_backend.load(backend, &values, NULL, NULL, 0, &error) == 0);
    CHECK(native_backend.gradients(backend, rows.all, N_ROWS, &native, &error) == 0);
    void *reference = reference_of(plugin, spec, &values, &rows);
    for (uint32_t i = 0; i < values.n; i++) {
        struct parameter *wanted = &torch.all[i];
        CHECK(plugin->network_get_gradient(reference, i, wanted->values, message) == 0);
        const double difference = largest_difference(&native.all[i], wanted);
        CHECK_MSG(largest(wanted) > 0 && difference <= 1e-5 * largest(wanted),
                  "%s, %s: %.1e of %.1e", wiring->what, wanted->name, difference, largest(wanted));
    }
    plugin->network_free(reference);
    native_backend.free(backend);
    parameters_free(&values);
    parameters_free(&native);
    parameters_free(&torch);
    free_rows(&rows);
}

TEST(native_and_libtorch_follow_the_layers_in_any_order)
{
    static const struct wiring wirings[] = {
        {"stacked", CROSS_1, 1, {RELU_2, 0}, false},
        {"stacked, mixed cross layers", CROSS_1, 1, {RELU_2, 0}, true},
        {"deep layers from within the cross layers", CROSS_0, 2, {CROSS_1, RELU_2}, true},
        {"the output reads x0 itself", CROSS_1, 2, {X0, RELU_2}, false},
        {"the output reads the deep layers first", X0, 2, {RELU_2, CROSS_1}, true}};
    const struct torch_plugin *plugin = torch_load(&error);
    for (size_t i = 0; plugin && i < sizeof wirings / sizeof *wirings; i++)
        check_wiring(&wirings[i], plugin);
}

int main(void)
{
    RUN(gradients_with_layer_norm_are_those_of_finite_differences);
    RUN(gradients_of_full_cross_layers_are_those_of_finite_differences);
    RUN(a_network_may_lack_any_of_its_parts);
    RUN(scores_are_those_by_hand);
    RUN(adam_is_that_of_the_paper);
    RUN(no_rows_give_no_gradients);
    RUN(exceptions_become_messages_of_a_line);
    RUN(native_and_libtorch_follow_the_layers_in_any_order);
    return test_report();
}
