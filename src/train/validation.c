/* SPDX-License-Identifier: Apache-2.0 */
#include "train/validation.h"

#include <stdlib.h>
#include <string.h>

/* scores: [n] of rows first .. first + n - 1; those behind the last row are left out. */
static int score_part(const struct backend_class *class, struct backend *backend,
                      const struct dataset *dataset, uint64_t first, uint64_t n,
                      uint32_t batch_rows, float *scores, struct train_error *error)
{
    const uint32_t **rows = calloc(batch_rows, sizeof *rows);
    int status = rows ? 0 : train_error_memory(error);
    const uint64_t end = first + n < dataset->n_rows ? first + n : dataset->n_rows;
    for (uint64_t at = first; at < end && status == 0; at += batch_rows) {
        const uint32_t count = end - at < batch_rows ? (uint32_t)(end - at) : batch_rows;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = dataset_row(dataset, at + i);
        status = class->score(backend, rows, count, scores + (at - first), error);
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

int validate(const struct backend_class *class, struct backend *backend,
             const struct dataset *dataset, const struct ranks *ranks, uint32_t batch_rows,
             struct evaluation *ret_evaluation, struct train_error *error)
{
    *ret_evaluation = (struct evaluation){0};
    if (dataset->n_rows == 0)
        return 0;
    const uint64_t part = (dataset->n_rows + ranks->n_ranks - 1) / ranks->n_ranks;
    float *mine = calloc(part, sizeof *mine);
    float *all = calloc(part * ranks->n_ranks, sizeof *all);
    int status = mine && all ? 0 : train_error_memory(error);
    if (status == 0)
        status =
            score_part(class, backend, dataset, part * ranks->rank, part, batch_rows, mine, error);
    if (status == 0)
        status = ranks_gather(ranks, mine, part * sizeof *mine, all, error);
    if (status == 0)
        status = evaluate_scores(dataset, all, ret_evaluation, error);
    free(mine);
    free(all);
    return status;
}
