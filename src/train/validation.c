/* SPDX-License-Identifier: Apache-2.0 */
#include "train/validation.h"

#include <stdlib.h>
#include <string.h>

/* Rows of all ranks are shown, as far as this one's part tells of them. */
static void show_progress(const struct validation *validation, uint64_t done, uint64_t n)
{
    const uint64_t n_ranks = validation->ranks->n_ranks;
    if (validation->progress)
        progress_show(validation->progress, validation->what, done * n_ranks, n * n_ranks,
                      done * n_ranks, "");
}

/* scores: [n] of rows first .. first + n - 1; those behind the last row are left out. */
static int score_part(const struct validation *validation, uint64_t first, uint64_t n,
                      float *scores, struct train_error *error)
{
    const struct dataset *dataset = validation->dataset;
    const uint32_t batch_rows = validation->batch_rows;
    const uint32_t **rows = calloc(batch_rows, sizeof *rows);
    int status = rows ? 0 : train_error_memory(error);
    const uint64_t end = first + n < dataset->n_rows ? first + n : dataset->n_rows;
    for (uint64_t at = first; at < end && status == 0; at += batch_rows) {
        const uint32_t count = end - at < batch_rows ? (uint32_t)(end - at) : batch_rows;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = dataset_row(dataset, at + i);
        status = validation->class->score(validation->backend, rows, count, scores + (at - first),
                                          error);
        show_progress(validation, at + count - first, n);
    }
    free(rows);
    return status;
}

static int evaluate_scores(const struct dataset *dataset, const float *scores,
                           struct evaluation *ret_evaluation, struct train_error *error)
{
    const float one = 1;
    uint8_t *labels = malloc(dataset->n_rows);
    if (labels == NULL)
        return train_error_memory(error);
    for (uint64_t i = 0; i < dataset->n_rows; i++)
        labels[i] = memcmp(dataset_row(dataset, i), &one, sizeof one) == 0;
    const int status =
        evaluate(scores, labels, dataset->groups, dataset->n_rows, ret_evaluation, error);
    free(labels);
    return status;
}

int validate(const struct validation *validation, struct evaluation *ret_evaluation,
             struct train_error *error)
{
    const struct dataset *dataset = validation->dataset;
    const struct ranks *ranks = validation->ranks;
    *ret_evaluation = (struct evaluation){0};
    if (dataset->n_rows == 0)
        return 0;
    const uint64_t part = (dataset->n_rows + ranks->n_ranks - 1) / ranks->n_ranks;
    float *mine = calloc(part, sizeof *mine);
    float *all = calloc(part * ranks->n_ranks, sizeof *all);
    int status = mine && all ? 0 : train_error_memory(error);
    if (status == 0)
        status = score_part(validation, part * ranks->rank, part, mine, error);
    if (status == 0)
        status = ranks_gather(ranks, mine, part * sizeof *mine, all, error);
    if (status == 0)
        status = evaluate_scores(dataset, all, ret_evaluation, error);
    free(mine);
    free(all);
    return status;
}
