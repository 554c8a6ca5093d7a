/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* From 5 ms on prometheus_client's default buckets, which KServe uses; a stage of one row takes
 * microseconds here. */
static const uint64_t stage_bounds_us[] = {
    10,    25,    50,     100,    250,    500,    1000,    2500,    5000,    10000,   25000,
    50000, 75000, 100000, 250000, 500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000};
static const float score_bounds[] = {.001f, .002f, .005f, .01f, .02f, .05f, .1f, .2f,
                                     .3f,   .4f,   .5f,   .6f,  .7f,  .8f,  .9f};
static const unsigned statuses[] = {200, 204, 400, 404, 405, 408, 413,
                                    414, 415, 431, 500, 501, 503, 505};
static const char *const cut_names[METRICS_N_CUTS] = {
    [METRICS_CUT_HEADER] = "header", [METRICS_CUT_BODY] = "body",     [METRICS_CUT_REPLY] = "reply",
    [METRICS_CUT_ROOM] = "room",     [METRICS_CUT_MEMORY] = "memory",
};

enum {
    N_STAGE_BOUNDS = sizeof stage_bounds_us / sizeof stage_bounds_us[0],
    N_SCORE_BOUNDS = sizeof score_bounds / sizeof score_bounds[0],
    N_STATUSES = sizeof statuses / sizeof statuses[0],
    CACHE_LINE = 64
};

/* One thread writes, others read: relaxed atomics, no read-modify-write needed. */
typedef _Atomic uint64_t counter;

struct metrics_shard {
    counter started, ended, rows, body_bytes;
    counter connections[METRICS_CONNECTION_STATES]; /* now */
    counter cuts[METRICS_N_CUTS];
    counter stage_counts[METRICS_N_STAGES][N_STAGE_BOUNDS + 1]; /* by bucket, not cumulated */
    counter stage_sum_ns[METRICS_N_STAGES];
    counter score_counts[N_SCORE_BOUNDS + 1];
    _Atomic double score_sum;
    counter *replies;    /* [n_routes, N_STATUSES] */
    counter *unknown;    /* [n_columns] */
    counter *other_form; /* [n_columns] */
};

struct metrics {
    struct metrics_shard **shards;
    unsigned n_shards;
    const char *model_name;
    const char *const *routes;
    unsigned n_routes;
    const char *const *connection_states;
    unsigned max_connections;
    const struct text *columns;
    uint32_t n_columns;
    double start_time_s; /* of the process, since the epoch */
};

static void add(counter *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static uint64_t get(const counter *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

struct metrics *metrics_create(unsigned n_shards, const char *model_name, const char *const *routes,
                               unsigned n_routes, const char *const *connection_states,
                               const struct text *columns, uint32_t n_columns)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return NULL;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *metrics = (struct metrics){.n_shards = n_shards,
                                .model_name = model_name,
                                .routes = routes,
                                .n_routes = n_routes,
                                .connection_states = connection_states,
                                .columns = columns,
                                .n_columns = n_columns,
                                .start_time_s = (double)now.tv_sec + (double)now.tv_nsec * 1e-9};
    metrics->shards = calloc(n_shards, sizeof(struct metrics_shard *));
    if (metrics->shards == NULL) {
        metrics_free(metrics);
        return NULL;
    }
    /* A shard and its arrays in one piece of whole cache lines, so that no two threads share one.
     */
    const size_t n_counters = (size_t)n_routes * N_STATUSES + 2 * (size_t)n_columns;
    const size_t bytes =
        (sizeof(struct metrics_shard) + n_counters * sizeof(counter) + CACHE_LINE) / CACHE_LINE *
        CACHE_LINE;
    for (unsigned i = 0; i < n_shards; i++) {
        struct metrics_shard *shard = aligned_alloc(CACHE_LINE, bytes);
        if (shard == NULL) {
            metrics_free(metrics);
            return NULL;
        }
        memset(shard, 0, bytes);
        shard->replies = (counter *)(shard + 1);
        shard->unknown = shard->replies + (size_t)n_routes * N_STATUSES;
        shard->other_form = shard->unknown + n_columns;
        metrics->shards[i] = shard;
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (unsigned i = 0; metrics->shards && i < metrics->n_shards; i++)
        free(metrics->shards[i]);
    free(metrics->shards);
    free(metrics);
}

struct metrics_shard *metrics_shard(struct metrics *metrics, unsigned i)
{
    return metrics->shards[i];
}

void metrics_connection_limit(struct metrics *metrics, unsigned n)
{
    metrics->max_connections = n;
}

void metrics_connections(struct metrics_shard *shard, unsigned state, unsigned n)
{
    atomic_store_explicit(&shard->connections[state], n, memory_order_relaxed);
}

void metrics_connection_cut(struct metrics_shard *shard, enum metrics_cut cut)
{
    add(&shard->cuts[cut], 1);
}

void metrics_request_started(struct metrics_shard *shard)
{
    add(&shard->started, 1);
}

void metrics_request_ended(struct metrics_shard *shard)
{
    const uint64_t n = atomic_load_explicit(&shard->ended, memory_order_relaxed);
    atomic_store_explicit(&shard->ended, n + 1, memory_order_release); /* behind its start */
}

void metrics_reply(struct metrics_shard *shard, unsigned route, unsigned http_status)
{
    unsigned s = 0;
    while (s + 1 < N_STATUSES && statuses[s] != http_status)
        s++;
    add(&shard->replies[route * N_STATUSES + s], 1);
}

void metrics_stage(struct metrics_shard *shard, enum metrics_stage stage, uint64_t nanoseconds)
{
    unsigned bucket = 0; /* the short stages, of which there are many, find theirs first */
    while (bucket < N_STAGE_BOUNDS && nanoseconds > stage_bounds_us[bucket] * 1000)
        bucket++;
    add(&shard->stage_counts[stage][bucket], 1);
    add(&shard->stage_sum_ns[stage], nanoseconds);
}

void metrics_body(struct metrics_shard *shard, size_t n_bytes)
{
    add(&shard->body_bytes, n_bytes);
}

void metrics_rows(struct metrics_shard *shard, const float *scores, uint32_t n_rows)
{
    double sum = atomic_load_explicit(&shard->score_sum, memory_order_relaxed);
    for (uint32_t i = 0; i < n_rows; i++) {
        unsigned bucket = 0;
        while (bucket < N_SCORE_BOUNDS && scores[i] > score_bounds[bucket])
            bucket++;
        add(&shard->score_counts[bucket], 1);
        sum += (double)scores[i];
    }
    atomic_store_explicit(&shard->score_sum, sum, memory_order_relaxed);
    add(&shard->rows, n_rows);
}

void metrics_category(struct metrics_shard *shard, uint32_t column, uint32_t n_unknown,
                      uint32_t n_other_form)
{
    if (n_unknown)
        add(&shard->unknown[column], n_unknown);
    if (n_other_form)
        add(&shard->other_form[column], n_other_form);
}

uint64_t metrics_in_flight(const struct metrics *metrics)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < metrics->n_shards; i++) {
        /* Ended first: a request that ends in between is then counted, never a negative one. */
        const uint64_t ended =
            atomic_load_explicit(&metrics->shards[i]->ended, memory_order_acquire);
        n += get(&metrics->shards[i]->started) - ended;
    }
    return n;
}

/* ---- the text ---- */

/* Sum over the shards of the counter that lies `offset` bytes into each. */
static uint64_t sum_at(const struct metrics *metrics, size_t offset)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < metrics->n_shards; i++)
        n += get((const counter *)(const void *)((const char *)metrics->shards[i] + offset));
    return n;
}

#define SUM(metrics, member) sum_at(metrics, offsetof(struct metrics_shard, member))

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline are escaped. */
static void print_label(FILE *out, struct text value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] == '\n')
            fputs("\\n", out);
        else if (value.at[i] == '"' || value.at[i] == '\\')
            fprintf(out, "\\%c", value.at[i]);
        else
            fputc(value.at[i], out);
    }
}

static void print_plain(FILE *out, const char *name, const char *type, const char *help,
                        double value)
{
    print_head(out, name, type, help);
    fprintf(out, "%s %.17g\n", name, value);
}

static void print_stage(const struct metrics *metrics, FILE *out, const char *name, int stage)
{
    char full[64];
    snprintf(full, sizeof full, "request_%s_seconds", name);
    print_head(out, full, "histogram", "request latency of this stage");
    uint64_t below = 0;
    for (unsigned b = 0; b <= N_STAGE_BOUNDS; b++) {
        if (stage < METRICS_N_STAGES)
            below += SUM(metrics, stage_counts[stage][b]);
        fprintf(out, "%s_bucket{le=\"", full);
        if (b < N_STAGE_BOUNDS) /* as Python writes them */
            fprintf(out, stage_bounds_us[b] >= 1000000 ? "%.1f" : "%g",
                    (double)stage_bounds_us[b] / 1e6);
        else
            fputs("+Inf", out);
        fputs("\",model_name=\"", out);
        print_label(out, text_of(metrics->model_name));
        fprintf(out, "\"} %" PRIu64 "\n", below);
    }
    const uint64_t sum_ns = stage < METRICS_N_STAGES ? SUM(metrics, stage_sum_ns[stage]) : 0;
    fprintf(out, "%s_count{model_name=\"", full);
    print_label(out, text_of(metrics->model_name));
    fprintf(out, "\"} %" PRIu64 "\n%s_sum{model_name=\"", below, full);
    print_label(out, text_of(metrics->model_name));
    fprintf(out, "\"} %.9g\n", (double)sum_ns * 1e-9);
}

static void print_stages(const struct metrics *metrics, FILE *out)
{
    print_stage(metrics, out, "preprocess", METRICS_PREPROCESS);
    print_stage(metrics, out, "predict", METRICS_PREDICT);
    print_stage(metrics, out, "postprocess", METRICS_POSTPROCESS);
    print_stage(metrics, out, "explain", METRICS_N_STAGES); /* never happens, but KServe has it */
}

static void print_replies(const struct metrics *metrics, FILE *out)
{
    print_head(out, "dcnv2_requests_total", "counter", "requests answered, by route and status");
    for (unsigned r = 0; r < metrics->n_routes; r++) {
        for (unsigned s = 0; s < N_STATUSES; s++) {
            uint64_t n = 0;
            for (unsigned i = 0; i < metrics->n_shards; i++)
                n += get(&metrics->shards[i]->replies[r * N_STATUSES + s]);
            if (n)
                fprintf(out, "dcnv2_requests_total{route=\"%s\",code=\"%u\"} %" PRIu64 "\n",
                        metrics->routes[r], statuses[s], n);
        }
    }
}

static void print_connections(const struct metrics *metrics, FILE *out)
{
    print_head(out, "dcnv2_connections", "gauge", "open connections, by state");
    for (unsigned s = 0; s < METRICS_CONNECTION_STATES; s++)
        fprintf(out, "dcnv2_connections{state=\"%s\"} %" PRIu64 "\n", metrics->connection_states[s],
                SUM(metrics, connections[s]));
    print_plain(out, "dcnv2_connections_limit", "gauge",
                "connections with requests that the server has room for", metrics->max_connections);
    print_head(out, "dcnv2_connections_cut_total", "counter",
               "connections that the server ended before their time, by reason");
    for (unsigned c = 0; c < METRICS_N_CUTS; c++)
        fprintf(out, "dcnv2_connections_cut_total{reason=\"%s\"} %" PRIu64 "\n", cut_names[c],
                SUM(metrics, cuts[c]));
}

static void print_scores(const struct metrics *metrics, FILE *out)
{
    print_head(out, "dcnv2_score", "histogram", "scores answered");
    uint64_t below = 0;
    double sum = 0;
    for (unsigned b = 0; b < N_SCORE_BOUNDS; b++) {
        below += SUM(metrics, score_counts[b]);
        fprintf(out, "dcnv2_score_bucket{le=\"%g\"} %" PRIu64 "\n", (double)score_bounds[b], below);
    }
    below += SUM(metrics, score_counts[N_SCORE_BOUNDS]);
    for (unsigned i = 0; i < metrics->n_shards; i++)
        sum += atomic_load_explicit(&metrics->shards[i]->score_sum, memory_order_relaxed);
    fprintf(out,
            "dcnv2_score_bucket{le=\"+Inf\"} %" PRIu64 "\ndcnv2_score_count %" PRIu64
            "\ndcnv2_score_sum %.17g\n",
            below, below, sum);
}

static void print_category(const struct metrics *metrics, FILE *out, uint32_t column,
                           const char *name, uint64_t n)
{
    fprintf(out, "%s{column=\"", name);
    print_label(out, metrics->columns[column]);
    fprintf(out, "\"} %" PRIu64 "\n", n);
}

static void print_unknown(const struct metrics *metrics, FILE *out)
{
    static const char name[] = "dcnv2_out_of_vocabulary_total";
    print_head(out, name, "counter",
               "category values without an embedding of their own, by column");
    for (uint32_t c = 0; c < metrics->n_columns; c++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < metrics->n_shards; i++)
            n += get(&metrics->shards[i]->unknown[c]);
        print_category(metrics, out, c, name, n);
    }
}

static void print_other_form(const struct metrics *metrics, FILE *out)
{
    static const char name[] = "dcnv2_category_form_total";
    print_head(out, name, "counter",
               "category values that are a class in another form (884208.0, 884208), by column");
    for (uint32_t c = 0; c < metrics->n_columns; c++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < metrics->n_shards; i++)
            n += get(&metrics->shards[i]->other_form[c]);
        print_category(metrics, out, c, name, n);
    }
}

static void print_golden_gauge(const struct metrics *metrics, const struct golden *golden,
                               const char *name, const char *help, double value, FILE *out)
{
    print_head(out, name, "gauge", help);
    if (golden->n_rows == 0)
        return;
    fprintf(out, "%s{model=\"", name);
    print_label(out, text_of(metrics->model_name));
    fprintf(out, "\"} %.9g\n", value);
}

/* No samples without a golden set. */
static void print_golden(const struct metrics *metrics, const struct golden *golden, FILE *out)
{
    print_golden_gauge(metrics, golden, "dcnv2_golden_rows",
                       "rows of the golden set that the model reproduced", golden->n_rows, out);
    print_golden_gauge(metrics, golden, "dcnv2_golden_largest_difference",
                       "largest distance of a score from that of the golden set", golden->largest,
                       out);
}

/* Samples only of what is known: there may be no model, or its files are still being hashed. */
static void print_model(const struct metrics *metrics, const struct fingerprint *model, FILE *out)
{
    print_head(out, "dcnv2_model_info", "gauge", "SHA-256 of the files of the model in service");
    if (model->is_hashed) {
        fputs("dcnv2_model_info{model=\"", out);
        print_label(out, text_of(metrics->model_name));
        fprintf(out, "\",model_sha256=\"%s\",encoder_sha256=\"%s\"} 1\n", model->model,
                model->encoder);
    }
    print_golden(metrics, &model->golden, out);
    print_head(out, "dcnv2_model_loaded_timestamp_seconds", "gauge",
               "when the model in service was loaded, since the epoch");
    if (model->loaded_at.tv_sec) {
        fputs("dcnv2_model_loaded_timestamp_seconds{model=\"", out);
        print_label(out, text_of(metrics->model_name));
        fprintf(out, "\"} %lld.%03ld\n", (long long)model->loaded_at.tv_sec,
                model->loaded_at.tv_nsec / 1000000);
    }
}

static unsigned count_open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;
    if (directory == NULL)
        return 0;
    while (readdir(directory))
        n++;
    closedir(directory);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static void print_process(const struct metrics *metrics, FILE *out)
{
    struct rusage usage;
    struct rlimit limit;
    unsigned long long virtual_pages = 0, resident_pages = 0;
    const double page = (double)sysconf(_SC_PAGESIZE);
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm) {
        if (fscanf(statm, "%llu %llu", &virtual_pages, &resident_pages) != 2)
            virtual_pages = resident_pages = 0;
        fclose(statm);
    }
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    print_plain(out, "process_cpu_seconds_total", "counter", "user and system CPU time",
                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
    print_plain(out, "process_resident_memory_bytes", "gauge", "resident memory",
                (double)resident_pages * page);
    print_plain(out, "process_virtual_memory_bytes", "gauge", "virtual memory",
                (double)virtual_pages * page);
    print_plain(out, "process_start_time_seconds", "gauge", "start since the epoch",
                metrics->start_time_s);
    print_plain(out, "process_open_fds", "gauge", "open file descriptors", count_open_fds());
    print_plain(out, "process_max_fds", "gauge", "most open file descriptors",
                (double)limit.rlim_cur);
}

char *metrics_print(const struct metrics *metrics, const struct fingerprint *model,
                    size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);
    if (out == NULL)
        return NULL;
    print_stages(metrics, out);
    print_replies(metrics, out);
    print_plain(out, "dcnv2_requests_in_flight", "gauge", "requests being read or answered",
                (double)metrics_in_flight(metrics));
    print_connections(metrics, out);
    print_plain(out, "dcnv2_rows_total", "counter", "rows scored", (double)SUM(metrics, rows));
    print_plain(out, "dcnv2_request_body_bytes_total", "counter",
                "bytes of request bodies received", (double)SUM(metrics, body_bytes));
    print_unknown(metrics, out);
    print_other_form(metrics, out);
    print_scores(metrics, out);
    print_plain(out, "dcnv2_log_lines_dropped_total", "counter",
                "log lines lost because nobody read them in time", (double)log_dropped());
    print_model(metrics, model, out);
    print_process(metrics, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
