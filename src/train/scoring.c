/* SPDX-License-Identifier: Apache-2.0 */
#include "train/scoring.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "native/team.h"
#include "number.h"

enum { TASK_ROWS = 512, BLOCK_TASKS = 32, BLOCK_ROWS = TASK_ROWS * BLOCK_TASKS };

/* Rows on their way; two of them take turns. */
struct block {
    uint32_t n_rows;
    uint32_t *words;                /* [BLOCK_ROWS, n_words]: dense values, then embedding rows */
    float *scores;                  /* [BLOCK_ROWS]; NAN: none */
    struct click_log_place *places; /* [BLOCK_ROWS] */
};

/* What a thread has of its own. */
struct member {
    dcnv2_workspace *workspace;
    float *dense;      /* [n_dense, TASK_ROWS] */
    uint32_t *indices; /* [n_sparse, TASK_ROWS] */
};

struct scoring {
    const struct initial_model *initial;
    const struct scoring_options *options;
    struct log_columns columns; /* the log borrows them */
    struct click_log *log;
    struct cell_encoder *encoder;
    uint64_t *n_other_form; /* [n_sparse] */
    struct team *team;
    struct member *members; /* [n_threads] */
    uint32_t n_dense, n_sparse, n_words;
    struct block blocks[2];
    struct block *filled, *scored; /* of the job under way */
    bool at_end;
    int status;                /* of reading, or of a task that failed */
    struct train_error *error; /* of reading */

    /* To measure by. */
    bool lacks_labels; /* of a row or more: nothing is measured */
    uint8_t *labels;
    float *scores;
    uint64_t n_rows, n_labels, capacity, scores_capacity;
};

/* ---- tasks: one reads the next block, the others score the last one */

static int keep_label(struct scoring *scoring, int label)
{
    scoring->lacks_labels |= label < 0;
    if (scoring->lacks_labels)
        return 0;
    if (scoring->n_labels == scoring->capacity) {
        const uint64_t wanted = scoring->capacity ? 2 * scoring->capacity : BLOCK_ROWS;
        uint8_t *grown = realloc(scoring->labels, wanted);
        if (grown == NULL)
            return train_error_memory(scoring->error);
        scoring->labels = grown;
        scoring->capacity = wanted;
    }
    scoring->labels[scoring->n_labels++] = (uint8_t)label;
    return 0;
}

static void fill(struct scoring *scoring)
{
    struct block *block = scoring->filled;
    struct click_record record;
    block->n_rows = 0;
    while (block->n_rows < BLOCK_ROWS && !scoring->at_end) {
        const int status = click_log_next(scoring->log, &record, scoring->error);
        scoring->at_end = status <= 0;
        if (status < 0 || (status > 0 && keep_label(scoring, record.label) != 0)) {
            scoring->status = -1;
            return;
        }
        if (status > 0) {
            block->places[block->n_rows] = click_log_place(scoring->log);
            cell_encoder_encode(scoring->encoder, &record,
                                block->words + (size_t)block->n_rows++ * scoring->n_words, NULL,
                                scoring->n_other_form);
        }
    }
}

/* Rows behind one whose score is not a number may be left without one. */
static void score_rows(struct scoring *scoring, uint32_t first, const struct member *member)
{
    const struct block *block = scoring->scored;
    const uint32_t left = block->n_rows - first;
    const uint32_t n = left < TASK_ROWS ? left : TASK_ROWS;
    struct dcnv2_error error;
    float *const scores = block->scores + first;
    for (uint32_t r = 0; r < n; r++) {
        scores[r] = NAN;
        const uint32_t *row = block->words + (size_t)(first + r) * scoring->n_words;
        for (uint32_t i = 0; i < scoring->n_dense; i++)
            memcpy(&member->dense[i * n + r], &row[i], sizeof *row);
        for (uint32_t i = 0; i < scoring->n_sparse; i++)
            member->indices[i * n + r] = row[scoring->n_dense + i];
    }
    (void)dcnv2_predict(scoring->initial->model, member->workspace, n, member->dense,
                        member->indices, scores, &error); /* write_scores() finds the row */
}

static void run_task(void *context, uint32_t task, unsigned member)
{
    struct scoring *scoring = context;
    if (task == 0)
        fill(scoring);
    else
        score_rows(scoring, (task - 1) * TASK_ROWS, &scoring->members[member]);
}

/* ---- results */

static int keep_scores(struct scoring *scoring)
{
    const struct block *block = scoring->scored;
    if (scoring->lacks_labels || block->n_rows == 0)
        return 0;
    if (scoring->n_rows + block->n_rows > scoring->scores_capacity) {
        const uint64_t wanted = 2 * scoring->scores_capacity + BLOCK_ROWS;
        float *grown = realloc(scoring->scores, wanted * sizeof *grown);
        if (grown == NULL)
            return train_error_memory(scoring->error);
        scoring->scores = grown;
        scoring->scores_capacity = wanted;
    }
    memcpy(scoring->scores + scoring->n_rows, block->scores, block->n_rows * sizeof(float));
    return 0;
}

static int write_scores(struct scoring *scoring, FILE *out)
{
    char line[NUMBER_FLOAT_MAX + 1];
    const struct block *block = scoring->scored;
    for (uint32_t i = 0; i < block->n_rows; i++) {
        if (isnan(block->scores[i]))
            return train_error_set(scoring->error,
                                   "%s:%llu: the score is not a number: the row's dense values are "
                                   "out of the range of the model",
                                   block->places[i].file,
                                   (unsigned long long)block->places[i].line);
        const size_t length = number_print_float(block->scores[i], line);
        line[length] = '\n';
        if (fwrite(line, 1, length + 1, out) != length + 1)
            return train_error_set(scoring->error, "scores cannot be written: %s", strerror(errno));
    }
    return 0;
}

static int run(struct scoring *scoring, FILE *out)
{
    scoring->filled = &scoring->blocks[0];
    scoring->scored = &scoring->blocks[1];
    for (;;) {
        const uint32_t n_tasks = (scoring->scored->n_rows + TASK_ROWS - 1) / TASK_ROWS;
        team_run(scoring->team, 1 + n_tasks, run_task, scoring);
        if (keep_scores(scoring) != 0 || write_scores(scoring, out) != 0)
            return -1;
        scoring->n_rows += scoring->scored->n_rows;
        if (scoring->status != 0)
            return -1;
        struct block *read = scoring->filled;
        scoring->filled = scoring->scored;
        scoring->scored = read;
        scoring->filled->n_rows = 0;
        if (scoring->at_end && scoring->scored->n_rows == 0)
            return 0;
    }
}

/* ---- */

static int open_all(struct scoring *scoring)
{
    const struct fitted_encoder *encoder = &scoring->initial->encoder;
    const struct scoring_options *options = scoring->options;
    scoring->columns = (struct log_columns){.label = options->label,
                                            .label_is_optional = options->label_is_optional,
                                            .form = options->form,
                                            .sparse = scoring->initial->sparse_names,
                                            .n_sparse = encoder->n_sparse,
                                            .dense = encoder->dense,
                                            .n_dense = encoder->n_dense};
    fitted_encoder_check(encoder, &scoring->columns);
    struct dcnv2_error error;
    if (click_log_open(&scoring->log, options->paths, options->n_paths, &scoring->columns,
                       options->max_bad_rows, scoring->error) != 0)
        return -1;
    scoring->encoder = cell_encoder_create(encoder, options->match_numbers);
    scoring->n_other_form = calloc(encoder->n_sparse + 1, sizeof *scoring->n_other_form);
    scoring->team = team_create(options->n_threads);
    scoring->members = calloc(options->n_threads, sizeof *scoring->members);
    bool good = scoring->encoder && scoring->n_other_form && scoring->team && scoring->members;
    for (unsigned i = 0; good && i < options->n_threads; i++) {
        struct member *member = &scoring->members[i];
        member->dense = calloc((size_t)encoder->n_dense * TASK_ROWS + 1, sizeof(float));
        member->indices = calloc((size_t)encoder->n_sparse * TASK_ROWS + 1, sizeof(uint32_t));
        good =
            member->dense && member->indices &&
            dcnv2_workspace_create(scoring->initial->model, &member->workspace, &error) == DCNV2_OK;
    }
    for (int i = 0; good && i < 2; i++) {
        scoring->blocks[i].words = calloc((size_t)BLOCK_ROWS * scoring->n_words, sizeof(uint32_t));
        scoring->blocks[i].scores = calloc(BLOCK_ROWS, sizeof(float));
        scoring->blocks[i].places = calloc(BLOCK_ROWS, sizeof *scoring->blocks[i].places);
        good = scoring->blocks[i].words && scoring->blocks[i].scores && scoring->blocks[i].places;
    }
    return good ? 0 : train_error_memory(scoring->error);
}

static void close_all(struct scoring *scoring)
{
    for (unsigned i = 0; scoring->members && i < scoring->options->n_threads; i++) {
        dcnv2_workspace_free(scoring->members[i].workspace);
        free(scoring->members[i].dense);
        free(scoring->members[i].indices);
    }
    for (int i = 0; i < 2; i++) {
        free(scoring->blocks[i].words);
        free(scoring->blocks[i].scores);
        free(scoring->blocks[i].places);
    }
    free(scoring->members);
    free(scoring->n_other_form);
    free(scoring->labels);
    free(scoring->scores);
    team_free(scoring->team);
    cell_encoder_free(scoring->encoder);
    click_log_close(scoring->log);
}

static int measure(struct scoring *scoring, struct scoring_result *result)
{
    result->is_measured = scoring->n_rows > 0 && !scoring->lacks_labels;
    return result->is_measured ? evaluate(scoring->scores, scoring->labels, NULL, scoring->n_rows,
                                          &result->evaluation, scoring->error)
                               : 0;
}

/* Tells of ids that score as unknown because of their form. */
static void tell_forms(const struct scoring *scoring, struct train_error *ret_forms)
{
    uint64_t n = 0;
    uint32_t most = 0;
    for (uint32_t c = 0; scoring->n_other_form && c < scoring->n_sparse; c++) {
        n += scoring->n_other_form[c];
        if (scoring->n_other_form[c] > scoring->n_other_form[most])
            most = c;
    }
    if (n > 0 && !scoring->options->match_numbers)
        train_error_set(ret_forms,
                        "%llu values score as unknown, but were learnt in another form (3, 3.0), "
                        "most in column %s: --match-numbers finds them",
                        (unsigned long long)n, scoring->columns.sparse[most]);
}

int score_files(const struct initial_model *initial, const struct scoring_options *options,
                FILE *out, struct scoring_result *ret_result, struct train_error *error)
{
    struct scoring scoring = {.initial = initial,
                              .options = options,
                              .error = error,
                              .n_dense = initial->encoder.n_dense,
                              .n_sparse = initial->encoder.n_sparse,
                              .n_words = initial->encoder.n_dense + initial->encoder.n_sparse};
    const uint64_t start_ns = clock_ns();
    *ret_result = (struct scoring_result){0};
    int status = open_all(&scoring);
    if (status == 0)
        status = run(&scoring, out);
    if (status == 0 && fflush(out) != 0)
        status = train_error_set(error, "scores cannot be written: %s", strerror(errno));
    if (status == 0)
        status = measure(&scoring, ret_result);
    ret_result->n_rows = scoring.n_rows;
    tell_forms(&scoring, &ret_result->forms);
    if (scoring.log) {
        const struct click_log_progress progress = click_log_progress(scoring.log);
        ret_result->n_bad_rows = progress.n_bad;
        train_error_set(&ret_result->first_bad, "%s", progress.first_bad);
    }
    ret_result->seconds = (double)(clock_ns() - start_ns) / 1e9;
    close_all(&scoring);
    return status;
}
