/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_buckets.c: numbers in the buckets of FuxiCTR's Criteo, whose feature processor has
 *
 *   convert_to_bucket(v) = floor(ln(v)^2) if v > 2, else v; cut to a whole number
 *
 * The bucket's number is a word of the feature. One bucket may stand for two runs of numbers: 1 for
 * 1 to 2, and for e to 4.1. So the spec counts the edges of runs, and looks the count up.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "network/fuxictr_reading.h"

/* Numbers from `start` on, up to `end` without it. */
struct run {
    double start, end;
    uint32_t row;
};

bool fuxictr_has_buckets(const struct fuxictr_feature *feature)
{
    static const char function[] = "convert_to_bucket";
    const struct fuxictr_column *column = feature->column;
    struct text call = column->preprocess;
    const size_t length = sizeof function - 1;
    if (feature->type != FUXICTR_CATEGORICAL || column->dtype == FUXICTR_TEXT ||
        call.length < length || memcmp(call.at, function, length) != 0)
        return false;
    call = (struct text){call.at + length, call.length - length};
    return call.length == 0 ||
           (call.length == feature->name.length + 2 && call.at[0] == '(' &&
            call.at[call.length - 1] == ')' &&
            text_equal((struct text){call.at + 1, call.length - 2}, feature->name));
}

static double bucket_of(double value)
{
    const double logarithm = log(value);
    return floor(logarithm * logarithm);
}

/* The least number above 2 of a bucket or of a later one; infinite: there is none. Numbers above 0
 * have the order of their bits. */
static double start_of_logarithmic(double bucket)
{
    union {
        double number;
        uint64_t bits;
    } low = {.number = 2}, high = {.number = DBL_MAX}, middle;
    if (!(bucket_of(high.number) >= bucket))
        return INFINITY;
    while (high.bits - low.bits > 1) {
        middle.bits = low.bits + (high.bits - low.bits) / 2;
        if (bucket_of(middle.number) >= bucket)
            high = middle;
        else
            low = middle;
    }
    return high.number;
}

/* Up to 2 a number is cut towards 0: bucket -1 is above -2 and up to -1. */
static struct run cut_run(double bucket, uint32_t row)
{
    const double start = bucket > 0 ? bucket : nextafter(bucket - 1, INFINITY);
    const double end = bucket < 0 || bucket == 2 ? nextafter(bucket, INFINITY) : bucket + 1;
    return (struct run){start, end, row};
}

/* Appends the runs of a word; a text that Python's str(int) does not write is no bucket. */
static uint32_t add_runs(struct text word, uint32_t row, struct run *runs)
{
    double bucket = 0;
    uint32_t n = 0;
    const bool is_negative = word.length > 0 && word.at[0] == '-';
    if (word.length == is_negative || word.length > 11 ||
        (word.at[is_negative] == '0' && word.length > 1))
        return 0;
    for (size_t i = is_negative; i < word.length; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return 0;
        bucket = bucket * 10 + (word.at[i] - '0');
    }
    bucket = is_negative ? -bucket : bucket;
    if (bucket <= 2)
        runs[n++] = cut_run(bucket, row);
    const double start = bucket < 0 ? INFINITY : start_of_logarithmic(bucket);
    if (isfinite(start))
        runs[n++] = (struct run){start, start_of_logarithmic(bucket + 1), row};
    return n;
}

static int compare_starts(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* The runs of all words, ascending; they do not overlap. */
static uint32_t list_runs(const struct spec_vocabulary *vocabulary, struct run *runs)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < vocabulary->n; i++)
        n += add_runs(vocabulary->classes[i],
                      vocabulary->rows ? vocabulary->rows[i] : vocabulary->first_row + i, runs + n);
    qsort(runs, n, sizeof *runs, compare_starts);
    return n;
}

/* The edges of runs, and as words how many edges are before a number of each run. */
static int set_edges(struct fuxictr_reading *reading, const struct run *runs, uint32_t n,
                     struct spec_vocabulary *vocabulary, struct spec_step *step)
{
    struct text *words = arena_calloc(reading->classes, (size_t)n + 1, sizeof *words);
    uint32_t *rows = arena_calloc(reading->classes, (size_t)n + 1, sizeof *rows);
    double *edges = maker_room(&reading->maker, 2 * (size_t)n, sizeof *edges);
    uint32_t n_edges = 0;
    if (words == NULL || rows == NULL || edges == NULL)
        return format_error_memory(reading->error);
    for (uint32_t i = 0; i < n; i++) {
        if (n_edges == 0 || edges[n_edges - 1] < runs[i].start)
            edges[n_edges++] = runs[i].start;
        words[i] = maker_text(&reading->maker, "%u", n_edges);
        rows[i] = runs[i].row;
        if (isfinite(runs[i].end))
            edges[n_edges++] = runs[i].end;
    }
    *step = (struct spec_step){.kind = STEP_BUCKET, .edges = edges, .n_edges = n_edges};
    *vocabulary = (struct spec_vocabulary){vocabulary->name, words, n, rows, 0};
    return 0;
}

int fuxictr_set_buckets(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                        struct spec_vocabulary *vocabulary, struct spec_lookup *ret)
{
    struct spec_step *steps = maker_room(&reading->maker, 2, sizeof *steps);
    struct run *runs = arena_calloc(&reading->nodes, 2 * (size_t)vocabulary->n + 1, sizeof *runs);
    if (steps == NULL || runs == NULL)
        return format_error_memory(reading->error);
    const uint32_t n = list_runs(vocabulary, runs);
    if (n == 0)
        return FUXICTR_FAIL(reading, "%s: %s: no word is a bucket of convert_to_bucket",
                            FUXICTR_VOCABULARY, feature->name.at);
    steps[0] = (struct spec_step){.kind = STEP_FILL, .a = feature->column->fill_number};
    ret->steps = steps;
    ret->n_steps = 2;
    return set_edges(reading, runs, n, vocabulary, &steps[1]);
}
