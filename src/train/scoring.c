/* SPDX-License-Identifier: Apache-2.0 */
#include "train/scoring.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "data/pandas_text.h"
#include "model/model.h"
#include "native/team.h"
#include "number.h"

enum { TASK_ROWS = 512, BLOCK_TASKS = 32, BLOCK_ROWS = TASK_ROWS * BLOCK_TASKS };

/* The first row of a task that the encoder refuses. */
struct refusal {
    uint32_t row; /* of the block; BLOCK_ROWS: there is none */
    struct request_error error;
};

/* Rows on their way; two of them take turns. */
struct block {
    uint32_t n_rows;
    struct arena texts; /* of the cells */
    struct cell *cells; /* [n_columns, BLOCK_ROWS], column after column, in the schema's order */
    float *scores;      /* [BLOCK_ROWS]; NAN: none */
    float *logits;      /* [BLOCK_ROWS], where the scores are some; NULL: not wanted */
    struct click_log_place *places; /* [BLOCK_ROWS] */
    struct refusal refusals[BLOCK_TASKS];
};

/* What a thread has of its own. */
struct member {
    dcnv2_workspace *workspace;
    struct arena arena;
    struct category_counts *counts; /* [n_sparse] */
};

struct scoring {
    const struct initial_model *initial;
    const struct scoring_options *options;
    struct log_columns columns; /* the log borrows them */
    struct click_log *log;
    const struct encoder *encoder; /* the model's */
    const char **names;            /* of its columns */
    enum pandas_type *types;       /* of the classes of each column, for CELLS_AS_PANDAS */
    struct encode_options encode_options;
    struct team *team;
    struct member *members; /* [n_threads] */
    uint32_t n_sparse, n_dense;
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

/* Keeps the cells of a record behind the block's rows. */
static int keep_cells(struct scoring *scoring, const struct click_record *record)
{
    struct block *block = scoring->filled;
    struct cell *cells = block->cells + block->n_rows;
    size_t size = 0;
    for (uint32_t c = 0; c < scoring->n_sparse; c++)
        size += record->sparse[c].length;
    char *texts = arena_alloc(&block->texts, size);
    if (texts == NULL)
        return train_error_memory(scoring->error);
    for (uint32_t c = 0; c < scoring->n_sparse; c++, cells += BLOCK_ROWS) {
        const struct text text = record->sparse[c];
        if (text.length > 0)
            memcpy(texts, text.at, text.length);
        *cells = (struct cell){.text = texts, .length = (uint32_t)text.length, .kind = CELL_TEXT};
        texts += text.length;
    }
    for (uint32_t c = 0; c < scoring->n_dense; c++, cells += BLOCK_ROWS)
        *cells = (struct cell){.number = record->dense[c], .kind = CELL_FLOAT};
    block->places[block->n_rows++] = click_log_place(scoring->log);
    return 0;
}

static void fill(struct scoring *scoring)
{
    struct block *block = scoring->filled;
    struct click_record record;
    block->n_rows = 0;
    arena_reset(&block->texts, SIZE_MAX);
    while (block->n_rows < BLOCK_ROWS && !scoring->at_end) {
        const int status = click_log_next(scoring->log, &record, scoring->error);
        scoring->at_end = status <= 0;
        if (status < 0 || (status > 0 && (keep_label(scoring, record.label) != 0 ||
                                          keep_cells(scoring, &record) != 0))) {
            scoring->status = -1;
            return;
        }
    }
}

/* Rows first .. first + n - 1 of the block, encoded in the member's arena. */
static int encode_rows(const struct scoring *scoring, struct member *member, uint32_t first,
                       uint32_t n, struct encoded *ret, struct request_error *error)
{
    const struct schema *schema = &scoring->encoder->schema;
    struct frame frame;
    arena_reset(&member->arena, SIZE_MAX);
    if (frame_init(&frame, schema, &member->arena, n) != 0)
        return request_error_out_of_memory(error);
    for (uint32_t c = 0; c < schema_n_columns(schema); c++)
        frame.columns[c] =
            (struct column){.cells = scoring->scored->cells + (size_t)c * BLOCK_ROWS + first,
                            .n = n,
                            .capacity = n,
                            .kinds = 1u << (c < scoring->n_sparse ? CELL_TEXT : CELL_FLOAT)};
    return frame_end_segment(&frame, n, error) == 0
               ? encoder_encode(scoring->encoder, &frame, &scoring->encode_options, ret,
                                member->counts, error)
               : -1;
}

/* The rows before the first one that is refused; that one in *refusal. */
static uint32_t count_good_rows(const struct scoring *scoring, struct member *member,
                                uint32_t first, uint32_t n, struct refusal *refusal)
{
    struct encoded encoded;
    uint32_t r = 0;
    while (r < n && encode_rows(scoring, member, first + r, 1, &encoded, &refusal->error) == 0)
        r++;
    refusal->row = first + r;
    return r;
}

static void score_rows(struct scoring *scoring, uint32_t task, struct member *member)
{
    struct block *block = scoring->scored;
    struct refusal *refusal = &block->refusals[task];
    const uint32_t first = task * TASK_ROWS, left = block->n_rows - first;
    const uint32_t n = left < TASK_ROWS ? left : TASK_ROWS;
    uint32_t n_good = n;
    struct encoded encoded;
    struct dcnv2_error error;
    refusal->row = BLOCK_ROWS;
    for (uint32_t r = 0; r < n; r++)
        block->scores[first + r] = NAN;
    if (encode_rows(scoring, member, first, n, &encoded, &refusal->error) != 0) {
        n_good = count_good_rows(scoring, member, first, n, refusal);
        if (n_good == 0 ||
            encode_rows(scoring, member, first, n_good, &encoded, &refusal->error) != 0)
            return;
    }
    (void)dcnv2_predict_logits(scoring->initial->model, member->workspace, n_good, encoded.dense,
                               encoded.lookups, block->scores + first,
                               block->logits ? block->logits + first : NULL,
                               &error); /* write_scores() finds the row */
}

static void run_task(void *context, uint32_t task, unsigned member)
{
    struct scoring *scoring = context;
    if (task == 0)
        fill(scoring);
    else
        score_rows(scoring, task - 1, &scoring->members[member]);
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
    const float *written = block->logits ? block->logits : block->scores;
    for (uint32_t i = 0; i < block->n_rows; i++) {
        const struct refusal *refusal = &block->refusals[i / TASK_ROWS];
        if (refusal->row == i)
            return train_error_set(scoring->error, "%s:%llu: %s", block->places[i].file,
                                   (unsigned long long)block->places[i].line,
                                   refusal->error.message);
        if (isnan(block->scores[i]))
            return train_error_set(scoring->error,
                                   "%s:%llu: the score is not a number: the row's dense values are "
                                   "out of the range of the model",
                                   block->places[i].file,
                                   (unsigned long long)block->places[i].line);
        const size_t length = number_print_float(written[i], line);
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

/* ---- how a log is read ---- */

/* As pandas.read_csv and astype(str) would write the cell in a column of its classes. */
static bool reread(const void *context, uint32_t vocabulary, struct text written,
                   char scratch[NUMBER_REPR_MAX], struct text *ret_text)
{
    const enum pandas_type *types = context;
    const bool is_missing = click_is_missing(written);
    *ret_text = is_missing ? text_of("nan") : pandas_text(types[vocabulary], written, scratch);
    return is_missing;
}

/* Whether all that is made of a dense column's value is a float. */
static bool is_in_range(const void *context, uint32_t dense, double number)
{
    const struct encoder *encoder = context;
    for (uint32_t i = 0; i < encoder->n_values; i++)
        if (encoder->values[i].spec->column == encoder->schema.n_sparse + dense &&
            !isfinite(encoder_value(encoder, i, number)))
            return false;
    return true;
}

static int describe_log(struct scoring *scoring)
{
    const struct fitted_encoder *fitted = &scoring->initial->encoder;
    const struct scoring_options *options = scoring->options;
    const struct schema *schema = &scoring->encoder->schema;
    const uint32_t n = schema_n_columns(schema);
    scoring->names = calloc(n + 1u, sizeof *scoring->names);
    scoring->types = calloc(fitted->n_sparse + 1u, sizeof *scoring->types);
    if (scoring->names == NULL || scoring->types == NULL)
        return train_error_memory(scoring->error);
    for (uint32_t c = 0; c < n; c++)
        scoring->names[c] = schema->names[c].at; /* the schema's copies end in NUL */
    for (uint32_t c = 0; c < fitted->n_sparse; c++)
        scoring->types[c] =
            pandas_type_of_classes(fitted->sparse[c].classes, fitted->sparse[c].n_classes);
    scoring->encode_options = (struct encode_options){
        .match_forms = options->match_numbers, .reread = reread, .context = scoring->types};
    scoring->columns = (struct log_columns){.label = options->label,
                                            .label_is_optional = options->label_is_optional,
                                            .form = options->form,
                                            .sparse = scoring->names,
                                            .n_sparse = schema->n_sparse,
                                            .dense = scoring->names + schema->n_sparse,
                                            .n_dense = schema->n_dense,
                                            .missing = (double)NAN,
                                            .is_in_range = is_in_range,
                                            .encoder = scoring->encoder};
    return 0;
}

/* ---- */

static bool open_member(const struct scoring *scoring, struct member *member)
{
    struct dcnv2_error error;
    arena_init(&member->arena, SIZE_MAX);
    member->counts = calloc(scoring->n_sparse + 1u, sizeof *member->counts);
    return member->counts &&
           dcnv2_workspace_create(scoring->initial->model, &member->workspace, &error) == DCNV2_OK;
}

static bool open_block(const struct scoring *scoring, struct block *block)
{
    const size_t n_columns = schema_n_columns(&scoring->encoder->schema);
    arena_init(&block->texts, SIZE_MAX);
    block->cells = calloc(BLOCK_ROWS * n_columns, sizeof *block->cells);
    block->scores = calloc(BLOCK_ROWS, sizeof *block->scores);
    block->places = calloc(BLOCK_ROWS, sizeof *block->places);
    if (scoring->options->writes_logits)
        block->logits = calloc(BLOCK_ROWS, sizeof *block->logits);
    return block->cells && block->scores && block->places &&
           (block->logits || !scoring->options->writes_logits);
}

static int open_all(struct scoring *scoring)
{
    const struct scoring_options *options = scoring->options;
    if (describe_log(scoring) != 0 ||
        click_log_open(&scoring->log, options->paths, options->n_paths, &scoring->columns,
                       options->max_bad_rows, scoring->error) != 0)
        return -1;
    scoring->team = team_create(options->n_threads);
    scoring->members = calloc(options->n_threads, sizeof *scoring->members);
    bool good = scoring->team && scoring->members;
    for (unsigned i = 0; good && i < options->n_threads; i++)
        good = open_member(scoring, &scoring->members[i]);
    for (int i = 0; good && i < 2; i++)
        good = open_block(scoring, &scoring->blocks[i]);
    return good ? 0 : train_error_memory(scoring->error);
}

static void close_all(struct scoring *scoring)
{
    for (unsigned i = 0; scoring->members && i < scoring->options->n_threads; i++) {
        dcnv2_workspace_free(scoring->members[i].workspace);
        arena_free(&scoring->members[i].arena);
        free(scoring->members[i].counts);
    }
    for (int i = 0; i < 2; i++) {
        arena_free(&scoring->blocks[i].texts);
        free(scoring->blocks[i].cells);
        free(scoring->blocks[i].scores);
        free(scoring->blocks[i].logits);
        free(scoring->blocks[i].places);
    }
    free(scoring->members);
    free(scoring->names);
    free(scoring->types);
    free(scoring->labels);
    free(scoring->scores);
    team_free(scoring->team);
    click_log_close(scoring->log);
}

static int measure(struct scoring *scoring, struct scoring_result *result)
{
    result->is_measured = scoring->n_rows > 0 && !scoring->lacks_labels;
    return result->is_measured ? evaluate(scoring->scores, scoring->labels, NULL, scoring->n_rows,
                                          &result->evaluation, scoring->error)
                               : 0;
}

/* Cells of a category column that are a class in another form. */
static uint64_t count_other_forms(const struct scoring *scoring, uint32_t c)
{
    uint64_t n = 0;
    for (unsigned i = 0; scoring->members && i < scoring->options->n_threads; i++)
        n += scoring->members[i].counts ? scoring->members[i].counts[c].n_other_form : 0;
    return n;
}

/* Tells of ids that score as unknown because of their form. */
static void tell_forms(const struct scoring *scoring, struct train_error *ret_forms)
{
    uint64_t n = 0, n_most = 0;
    uint32_t most = 0;
    for (uint32_t c = 0; c < scoring->n_sparse; c++) {
        const uint64_t n_column = count_other_forms(scoring, c);
        n += n_column;
        if (n_column > n_most) {
            n_most = n_column;
            most = c;
        }
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
                              .encoder = &initial->model->encoder,
                              .n_sparse = initial->model->encoder.schema.n_sparse,
                              .n_dense = initial->model->encoder.schema.n_dense};
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
        if (status == 0 && progress.n_bad == 0)
            click_log_check_rows(scoring.log, &ret_result->no_rows);
    }
    ret_result->seconds = (double)(clock_ns() - start_ns) / 1e9;
    close_all(&scoring);
    return status;
}
