/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "dcnv2.h"
#include "model/model.h"
#include "model/plan.h"
#include "peak.h"

enum { POOL_ROWS = 4096, N_RUNS = 9 };

static const size_t row_counts[] = {1, 8, 64, 200, 1000, 4096};
enum { N_COUNTS = sizeof row_counts / sizeof row_counts[0] };
static size_t n_counts = N_COUNTS; /* of them, those that are measured */

static const double PEAK_SECONDS = 1e-3, RUN_SECONDS = 4e-3; /* of one measurement, about */

double bench_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- what is measured */

/* Of a look-up that gives any number of rows: those of the whole pool. */
struct pool_list {
    uint32_t *rows;    /* NULL: it gives one per row */
    uint32_t *offsets; /* [POOL_ROWS + 1] */
};

struct subject {
    dcnv2_model *model;
    const struct network *network;
    double flop_a_row;
    float *scratch, *dense, *scores;
    uint32_t *indices;
    struct dcnv2_rows *lookups; /* [n_lookups], of a batch */
    uint32_t *pool;             /* [POOL_ROWS, n_lookups] */
    struct pool_list *lists;    /* [n_lookups] */
};

/* The pool's rows as batches of `n_rows`, one behind the other, each column after column. */
static void lay_out_batches(const struct subject *subject, size_t n_rows)
{
    const size_t n_tables = subject->network->spec->n_lookups;
    for (size_t row = 0; row < POOL_ROWS / n_rows * n_rows; row++) {
        uint32_t *batch = subject->indices + row / n_rows * n_rows * n_tables;
        for (size_t t = 0; t < n_tables; t++)
            batch[t * n_rows + row % n_rows] = subject->pool[row * n_tables + t];
    }
}

/* A batch through everything that a prediction is, or through its linear layers alone. */
typedef void pass(const struct subject *subject, const struct kernels *kernels, size_t n_rows,
                  size_t batch);

static void pass_forward(const struct subject *subject, const struct kernels *kernels,
                         size_t n_rows, size_t batch)
{
    const struct network *network = subject->network;
    const size_t n_lookups = network->spec->n_lookups, n_values = network->spec->n_values;
    const uint32_t *indices = subject->indices + batch * n_rows * n_lookups;
    for (size_t t = 0; t < n_lookups; t++) {
        const struct pool_list *list = &subject->lists[t];
        subject->lookups[t] = list->rows
                                  ? (struct dcnv2_rows){list->rows, list->offsets + batch * n_rows}
                                  : (struct dcnv2_rows){indices + t * n_rows, NULL};
    }
    const struct network_batch asked = {n_rows, subject->dense + batch * n_rows * n_values,
                                        subject->lookups};
    if (network_score(network, kernels, subject->scratch, &asked, subject->scores, NULL) !=
        n_rows) {
        fprintf(stderr, "kernels: a row was not scored\n");
        exit(1);
    }
}

static void pass_products(const struct subject *subject, const struct kernels *kernels,
                          size_t n_rows, size_t batch)
{
    (void)batch;
    const struct network *network = subject->network;
    float *scratch = subject->scratch;
    for (size_t first = 0; first < n_rows; first += NETWORK_BLOCK_ROWS) {
        const size_t left = n_rows - first;
        const size_t n = left < NETWORK_BLOCK_ROWS ? left : NETWORK_BLOCK_ROWS;
        for (size_t i = 0; i < network->n_ops; i++) {
            const struct op *op = &network->ops[i];
            if (op->linear.n_out)
                (op->run == op_linear_relu ? kernels->linear_relu : kernels->linear)(
                    &op->linear, n, scratch + op->in.at, op->in.stride, scratch + op->out.at,
                    op->out.stride);
        }
    }
}

static const struct {
    const char *name;
    pass *run;
} passes[] = {{"forward", pass_forward}, {"products", pass_products}};
enum { N_PASSES = sizeof passes / sizeof passes[0] };

/* ---- measurements */

struct series {
    double us[N_RUNS], share[N_RUNS]; /* of a batch; of the peak measured right before */
    size_t n_calls;                   /* in one measurement */
};

struct bench_set {
    const struct kernels *kernels;
    const struct peak *peak;
    size_t peak_steps;
    double peak_gflops[N_COUNTS * N_PASSES * N_RUNS];
    size_t n_peaks;
    struct series series[N_PASSES][N_COUNTS];
};

static double seconds_of_peak(const struct peak *peak, size_t n_steps)
{
    const double start = bench_now();
    peak->run(n_steps);
    return bench_now() - start;
}

static double seconds_of_pass(const struct subject *subject, const struct kernels *kernels,
                              pass *run, size_t n_rows, size_t n_calls)
{
    const size_t n_batches = POOL_ROWS / n_rows;
    const double start = bench_now();
    for (size_t call = 0; call < n_calls; call++)
        run(subject, kernels, n_rows, call % n_batches);
    return bench_now() - start;
}

/* One measurement more of each size and pass, or with -1 how long a measurement is to be. */
static void measure(struct bench_set *set, const struct subject *subject, int run)
{
    for (size_t i = 0; i < n_counts; i++) {
        const size_t n_rows = row_counts[i];
        lay_out_batches(subject, n_rows);
        for (size_t p = 0; p < N_PASSES; p++) {
            struct series *series = &set->series[p][i];
            double peak = 0;
            if (run < 0) {
                const size_t n_trial = 1 + 20 / n_rows;
                const double seconds =
                    seconds_of_pass(subject, set->kernels, passes[p].run, n_rows, n_trial);
                series->n_calls = 1 + (size_t)(RUN_SECONDS * (double)n_trial / seconds);
                continue;
            }
            if (set->peak) {
                peak = (double)set->peak_steps * set->peak->flop_a_step * 1e-9 /
                       seconds_of_peak(set->peak, set->peak_steps);
                set->peak_gflops[set->n_peaks++] = peak;
            }
            const double seconds =
                seconds_of_pass(subject, set->kernels, passes[p].run, n_rows, series->n_calls) /
                (double)series->n_calls;
            series->us[run] = seconds * 1e6;
            series->share[run] =
                peak > 0 ? subject->flop_a_row * (double)n_rows * 1e-9 / seconds / peak : 0;
        }
    }
}

static void prepare(struct bench_set *set, const struct subject *subject)
{
    set->peak = peak_of(set->kernels->name);
    if (set->peak) {
        const size_t n_trial = 100000;
        seconds_of_peak(set->peak, n_trial);
        set->peak_steps =
            (size_t)(PEAK_SECONDS * (double)n_trial / seconds_of_peak(set->peak, n_trial));
    }
    measure(set, subject, -1);
}

static int ascending(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

double bench_median(double *values, size_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof *values, ascending);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* ---- what is printed */

static void cpu_name(char *name, size_t size)
{
    char line[256];
    snprintf(name, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(name, size, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\"\\\n"),
                     strchr(line, ':') + 2);
            break;
        }
    if (file)
        fclose(file);
}

static void print_set(struct bench_set *set, const struct subject *subject, bool as_json)
{
    const double peak = bench_median(set->peak_gflops, set->n_peaks);
    const double best = set->n_peaks ? set->peak_gflops[set->n_peaks - 1] : 0;
    if (as_json)
        printf("    \"%s\": {\"peak_gflops\": %.2f", set->kernels->name, peak);
    else
        printf("\n%s: peak %.1f GFLOP/s (median; %.1f to %.1f)\n", set->kernels->name, peak,
               set->n_peaks ? set->peak_gflops[0] : 0, best);
    for (size_t p = 0; p < N_PASSES; p++) {
        if (as_json)
            printf(",\n      \"%s\": [", passes[p].name);
        else
            printf("  %-8s  rows          us   (least ..      most)   GFLOP/s   of peak  (least us "
                   "of best peak)\n",
                   passes[p].name);
        for (size_t i = 0; i < n_counts; i++) {
            struct series *series = &set->series[p][i];
            const double us = bench_median(series->us, N_RUNS),
                         share = bench_median(series->share, N_RUNS);
            const double gflops = subject->flop_a_row * (double)row_counts[i] * 1e-3 / us;
            /* what the core does while nothing else on it takes caches or units */
            const double quiet =
                best > 0 ? subject->flop_a_row * (double)row_counts[i] * 1e-3 / series->us[0] / best
                         : 0;
            printf(as_json ? "%s\n        {\"rows\": %zu, \"us\": %.3f, \"us_min\": %.3f, "
                             "\"us_max\": %.3f, \"gflops\": %.2f, \"share_of_peak\": %.4f, "
                             "\"share_of_peak_quiet\": %.4f}"
                           : "%s          %6zu  %10.2f  (%8.2f .. %9.2f)  %8.1f  %8.3f  (%.3f)\n",
                   as_json && i ? "," : "", row_counts[i], us, series->us[0],
                   series->us[N_RUNS - 1], gflops, share, quiet);
        }
        if (as_json)
            printf("]");
    }
    if (as_json)
        printf("}");
}

/* ---- all of it */

static double flop_a_row(const struct network *network)
{
    double flop = 0;
    for (size_t i = 0; i < network->n_ops; i++)
        flop += 2.0 * (double)(network->ops[i].linear.n_in * network->ops[i].linear.n_out);
    return flop;
}

/* Rows of the table that a look-up is for. */
static uint32_t rows_of(const struct network *network, size_t lookup)
{
    const struct spec_layer *x0 = &network->spec->layers[0];
    for (uint32_t p = 0; p < x0->n_parts; p++)
        if (x0->parts[p].kind == INPUT_TABLE && x0->parts[p].source == lookup)
            return x0->parts[p].n_rows;
    return 1;
}

/* The published pair of a folder, or its model.json. */
static int load_model(dcnv2_model **ret_model, const char *directory)
{
    char model_path[1024], encoder_path[1024];
    snprintf(model_path, sizeof model_path, "%s/model.json", directory);
    const bool is_described = access(model_path, R_OK) == 0;
    if (is_described)
        snprintf(model_path, sizeof model_path, "%s", directory);
    else
        snprintf(model_path, sizeof model_path, "%s/model_weights.pth", directory);
    snprintf(encoder_path, sizeof encoder_path, "%s/preprocess_metadata.pkl", directory);
    const struct dcnv2_source source = {.model_path = model_path,
                                        .encoder_path = is_described ? NULL : encoder_path};
    struct dcnv2_error error;
    if (dcnv2_model_load(&source, ret_model, &error) == DCNV2_OK)
        return 0;
    fprintf(stderr, "kernels: %s\n", error.message);
    return -1;
}

/* Lists of 1 to the most values that are looked up, or to 20. -1: no memory. */
static int fill_list(struct pool_list *list, const struct spec_lookup *lookup, uint32_t n_rows)
{
    const size_t most = lookup->max_values ? lookup->max_values : 20;
    list->rows = calloc(POOL_ROWS * most, sizeof(uint32_t));
    list->offsets = calloc(POOL_ROWS + 1, sizeof(uint32_t));
    if (!list->rows || !list->offsets)
        return -1;
    for (size_t row = 0; row < POOL_ROWS; row++) {
        const uint32_t n = (uint32_t)random_between(1, most);
        list->offsets[row + 1] = list->offsets[row] + n;
        for (uint32_t i = list->offsets[row]; i < list->offsets[row + 1]; i++)
            list->rows[i] = (uint32_t)random_between(0, n_rows - 1);
    }
    return 0;
}

static int fill_lists(struct subject *subject)
{
    const struct network_spec *spec = subject->network->spec;
    for (uint32_t i = 0; i < spec->n_lookups; i++)
        if (spec->columns[spec->lookups[i].column].is_list &&
            fill_list(&subject->lists[i], &spec->lookups[i], rows_of(subject->network, i)) != 0)
            return -1;
    return 0;
}

static int open_subject(struct subject *subject, const char *directory)
{
    *subject = (struct subject){0};
    if (load_model(&subject->model, directory) != 0)
        return -1;
    const struct network *network = &subject->model->network;
    const size_t n_floats = network->scratch_floats, n_tables = network->spec->n_lookups;
    const size_t n_values = network->spec->n_values;
    subject->network = network;
    subject->flop_a_row = flop_a_row(network);
    subject->scratch = aligned_alloc(KERNEL_ALIGNMENT, n_floats * sizeof(float));
    subject->dense = calloc(POOL_ROWS * n_values + 1, sizeof(float));
    subject->indices = calloc(POOL_ROWS * n_tables + 1, sizeof(uint32_t));
    subject->lookups = calloc(n_tables + 1, sizeof *subject->lookups);
    subject->pool = calloc(POOL_ROWS * n_tables + 1, sizeof(uint32_t));
    subject->lists = calloc(n_tables + 1, sizeof *subject->lists);
    subject->scores = calloc(POOL_ROWS, sizeof(float));
    random_seed(1);
    if (!subject->scratch || !subject->dense || !subject->indices || !subject->lookups ||
        !subject->pool || !subject->scores || !subject->lists || fill_lists(subject) != 0) {
        fprintf(stderr, "kernels: out of memory\n");
        return -1;
    }
    memset(subject->scratch, 0, n_floats * sizeof(float));
    for (size_t i = 0; i < POOL_ROWS * n_values; i++)
        subject->dense[i] = random_value();
    for (size_t i = 0; i < POOL_ROWS * n_tables; i++)
        subject->pool[i] = (uint32_t)random_between(0, rows_of(network, i % n_tables) - 1);
    return 0;
}

static void close_subject(struct subject *subject)
{
    free(subject->scratch);
    free(subject->dense);
    free(subject->indices);
    free(subject->lookups);
    free(subject->pool);
    for (size_t i = 0; subject->lists && i < subject->network->spec->n_lookups; i++) {
        free(subject->lists[i].rows);
        free(subject->lists[i].offsets);
    }
    free(subject->lists);
    free(subject->scores);
    dcnv2_model_free(subject->model);
}

static void stay_on_this_core(void)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus); /* a wish */
}

int bench_run(const char *directory, bool as_json, size_t most_rows)
{
    while (n_counts > 1 && row_counts[n_counts - 1] > most_rows)
        n_counts--;
    static struct bench_set sets[N_SETS];
    struct subject subject;
    char cpu[128];
    const char *only = getenv("DCNV2_CPU"); /* as the server takes it */
    size_t n_sets = 0;
    if (directory == NULL)
        directory = access("../shared/taobao-full", R_OK) == 0 ? "../shared/taobao-full" : "model";
    stay_on_this_core();
    const int status = open_subject(&subject, directory);
    for (size_t s = 0; status == 0 && s < N_SETS; s++) {
        sets[n_sets].kernels = kernels_select(set_names[s]);
        if (sets[n_sets].kernels && (only == NULL || strcmp(only, set_names[s]) == 0))
            prepare(&sets[n_sets++], &subject);
    }
    for (int run = 0; status == 0 && run < N_RUNS; run++)
        for (size_t s = 0; s < n_sets; s++)
            measure(&sets[s], &subject, run);
    if (status == 0) {
        cpu_name(cpu, sizeof cpu);
        printf(as_json ? "{\"cpu\": \"%s\", \"model\": \"%s\", \"flop_a_row\": %.0f, \"sets\": {\n"
                       : "%s, one core; %s: %.0f FLOP a row in its linear layers, all that is "
                         "counted\n",
               cpu, directory, subject.flop_a_row);
        for (size_t s = 0; s < n_sets; s++) {
            print_set(&sets[s], &subject, as_json);
            if (as_json)
                printf(s + 1 < n_sets ? ",\n" : "}}\n");
        }
    }
    close_subject(&subject);
    if (as_json || status != 0)
        return status != 0;
    const struct kernels *kernels[N_SETS];
    for (size_t s = 0; s < n_sets; s++)
        kernels[s] = sets[s].kernels;
    return bench_kernels(kernels, n_sets) != 0;
}
