/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_evaluation.c: the trainer's measures of rows from elsewhere, for test_evaluate.py.
 *
 * Reads a line "SCORE LABEL GROUP" for each row from stdin, writes a line "NAME VALUE" for each
 * measure, all numbers in full.
 */
#include <stdio.h>
#include <stdlib.h>

#include "report/evaluate.h"

struct rows {
    float *scores;
    uint8_t *labels;
    uint32_t *groups;
    size_t n, capacity;
};

static void grow(struct rows *rows)
{
    rows->capacity = 2 * rows->capacity + 1024;
    rows->scores = realloc(rows->scores, rows->capacity * sizeof *rows->scores);
    rows->labels = realloc(rows->labels, rows->capacity);
    rows->groups = realloc(rows->groups, rows->capacity * sizeof *rows->groups);
    if (!rows->scores || !rows->labels || !rows->groups)
        abort();
}

static int read_rows(struct rows *rows)
{
    float score;
    unsigned label, group;
    int n_read;
    while ((n_read = scanf("%f %u %u", &score, &label, &group)) == 3) {
        if (rows->n == rows->capacity)
            grow(rows);
        rows->scores[rows->n] = score;
        rows->labels[rows->n] = (uint8_t)label;
        rows->groups[rows->n++] = group;
    }
    return n_read == EOF ? 0 : -1;
}

int main(void)
{
    struct rows rows = {0};
    struct evaluation found;
    struct train_error error;
    if (read_rows(&rows) != 0) {
        fprintf(stderr, "line %zu is not \"SCORE LABEL GROUP\"\n", rows.n + 1);
        return 1;
    }
    if (evaluate(rows.scores, rows.labels, rows.groups, rows.n, &found, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("rows %llu\nclicks %llu\ngroups %llu\n", (unsigned long long)found.n_rows,
           (unsigned long long)found.n_clicks, (unsigned long long)found.n_groups);
    printf("auc %.17g\nlog_loss %.17g\nmean_score %.17g\ncalibration %.17g\ngrouped_auc %.17g\n",
           found.auc, found.log_loss, found.mean_score, found.calibration, found.grouped_auc);
    for (unsigned i = 0; i < EVALUATE_BINS; i++)
        printf("bin%u %.17g\nhistogram%u %llu\n", i, found.bins[i].mean_score, i,
               (unsigned long long)(found.histogram[0][i] + found.histogram[1][i]));
    free(rows.scores);
    free(rows.labels);
    free(rows.groups);
    return 0;
}
