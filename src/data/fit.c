/* SPDX-License-Identifier: Apache-2.0 */
#include "data/fit.h"

#include <math.h>
#include <stdlib.h>

#include "data/classes.h"
#include "data/dense_values.h"

enum { PROGRESS_ROWS = 4096 };

/* ---- reading rows, whatever becomes of them ---- */

struct reader {
    const struct fit_options *options;
    struct dataset *dataset;
    struct click_log *log;
    struct interner groups;
    /* Fills the row behind its label. -1: *error. */
    int (*take)(struct reader *reader, const struct click_record *record, uint32_t *row,
                struct train_error *error);
    void *context;
};

static int read_row(struct reader *reader, const struct click_record *record,
                    struct train_error *error)
{
    uint32_t *row = dataset_append(reader->dataset);
    if (row == NULL)
        return train_error_memory(error);
    const float label = (float)record->label;
    memcpy(row, &label, sizeof label);
    if (reader->options->columns.group) {
        const struct vocabulary_key key = key_of(&reader->groups.seed, record->group);
        const uint32_t group = interner_add(&reader->groups, &key, record->group);
        if (group == INTERNER_FULL || dataset_set_group(reader->dataset, group) != 0)
            return train_error_memory(error);
    }
    return reader->take(reader, record, row + 1, error);
}

static bool may_go_on(const struct reader *reader)
{
    if (reader->options->on_progress == NULL)
        return true;
    const struct click_log_progress progress = click_log_progress(reader->log);
    return reader->options->on_progress(reader->options->progress_context, &progress);
}

/* 0: all rows; 1: stopped; -1: *error. The log stays open for may_go_on() until end_reading(). */
static int read_rows(struct reader *reader, const char *const *paths, uint32_t n_paths,
                     struct train_error *error)
{
    const struct fit_options *options = reader->options;
    interner_init(&reader->groups);
    if (click_log_open(&reader->log, paths, n_paths, &options->columns, options->max_bad_rows,
                       error) != 0)
        return -1;
    struct click_record record;
    int result;
    while ((result = click_log_next(reader->log, &record, error)) > 0) {
        result = read_row(reader, &record, error);
        if (result != 0)
            break;
        if (reader->dataset->n_rows % PROGRESS_ROWS == 0 && !may_go_on(reader)) {
            result = 1;
            break;
        }
    }
    if (result == 0 && !may_go_on(reader))
        result = 1;
    return result == 0 ? click_log_check_rows(reader->log, error) : result;
}

static void end_reading(struct reader *reader)
{
    click_log_close(reader->log);
    interner_free(&reader->groups);
}

/* ---- fitting ---- */

struct fitting {
    const struct fit_options *options;
    struct dataset dataset;
    struct dense_values dense;
    struct interner *sparse;     /* [n_sparse] */
    struct vocabulary_key *keys; /* [n_sparse] of the row */
    uint32_t **rows;             /* [n_sparse][of each number]: the embedding row */
    struct fitted_encoder encoder;
};

/* Cells become numbers in the order of first appearance; each table is asked when all that the
 * row needs of them are on their way from memory. */
static int take_new(struct reader *reader, const struct click_record *record, uint32_t *row,
                    struct train_error *error)
{
    struct fitting *fitting = reader->context;
    const uint32_t n_sparse = fitting->dataset.n_sparse;
    for (uint32_t c = 0; c < n_sparse; c++) {
        fitting->keys[c] = key_of(&fitting->sparse[c].seed, record->sparse[c]);
        interner_prefetch(&fitting->sparse[c], &fitting->keys[c]);
    }
    row += fitting->dataset.n_dense;
    for (uint32_t c = 0; c < n_sparse; c++) {
        row[c] = interner_add(&fitting->sparse[c], &fitting->keys[c], record->sparse[c]);
        if (row[c] == INTERNER_FULL)
            return train_error_memory(error);
    }
    if (dense_values_append(&fitting->dense, record->dense) != 0)
        return train_error_memory(error);
    return 0;
}

static int fitting_init(struct fitting *fitting, const struct fit_options *options,
                        struct train_error *error)
{
    const uint32_t n_sparse = options->columns.n_sparse, n_dense = options->columns.n_dense;
    struct fitted_encoder *encoder = &fitting->encoder;
    *fitting = (struct fitting){.options = options, .dense.n_columns = n_dense};
    dataset_init(&fitting->dataset, n_dense, n_sparse);
    fitting->sparse = calloc(n_sparse + 1, sizeof *fitting->sparse);
    fitting->keys = calloc(n_sparse + 1, sizeof *fitting->keys);
    fitting->rows = calloc(n_sparse + 1, sizeof *fitting->rows);
    arena_init(&encoder->arena, SIZE_MAX);
    encoder->n_sparse = n_sparse;
    encoder->n_dense = n_dense;
    encoder->sparse = arena_calloc(&encoder->arena, n_sparse, sizeof *encoder->sparse);
    encoder->mean = arena_calloc(&encoder->arena, n_dense, sizeof(double));
    encoder->var = arena_calloc(&encoder->arena, n_dense, sizeof(double));
    encoder->scale = arena_calloc(&encoder->arena, n_dense, sizeof(double));
    const char **dense = arena_calloc(&encoder->arena, n_dense, sizeof *dense);
    encoder->dense = dense;
    if (!fitting->sparse || !fitting->keys || !fitting->rows || !encoder->sparse ||
        !encoder->mean || !encoder->var || !encoder->scale || !dense)
        return train_error_memory(error);
    for (uint32_t c = 0; c < n_sparse; c++) {
        encoder->sparse[c].name = options->columns.sparse[c];
        interner_init(&fitting->sparse[c]);
    }
    for (uint32_t c = 0; c < n_dense; c++)
        dense[c] = options->columns.dense[c];
    return 0;
}

/* All but the data set and the encoder, which the caller may get. */
static void fitting_end(struct fitting *fitting)
{
    for (uint32_t c = 0; c < fitting->dataset.n_sparse; c++) {
        if (fitting->sparse)
            interner_free(&fitting->sparse[c]);
        if (fitting->rows)
            free(fitting->rows[c]);
    }
    free(fitting->sparse);
    free(fitting->keys);
    free(fitting->rows);
    dense_values_free(&fitting->dense);
}

/* As read_rows(). */
static int fit_classes(struct fitting *fitting, const struct reader *reader,
                       struct train_error *error)
{
    struct fitted_encoder *encoder = &fitting->encoder;
    for (uint32_t c = 0; c < encoder->n_sparse; c++) {
        struct interner *cells = &fitting->sparse[c];
        if (!may_go_on(reader))
            return 1;
        fitting->rows[c] = malloc(cells->n * sizeof *fitting->rows[c]);
        if (fitting->rows[c] == NULL ||
            classes_fit(cells, &fitting->dataset, c, fitting->options->min_count, &encoder->arena,
                        &encoder->sparse[c], fitting->rows[c]) != 0)
            return train_error_memory(error);
        interner_free(cells);
    }
    return 0;
}

/* 0, or 1: stopped. */
static int fit_scaler(struct fitting *fitting, const struct reader *reader)
{
    struct fitted_encoder *encoder = &fitting->encoder;
    for (uint32_t c = 0; c < encoder->n_dense; c++) {
        if (!may_go_on(reader))
            return 1;
        dense_values_fit(&fitting->dense, c, &encoder->mean[c], &encoder->var[c],
                         &encoder->scale[c]);
    }
    return 0;
}

/* Numbers of cells become embedding rows, dense values are scaled. 0, or 1: stopped. */
static int encode_rows(struct fitting *fitting, const struct reader *reader)
{
    const struct fitted_encoder *encoder = &fitting->encoder;
    const uint32_t n_dense = encoder->n_dense, n_sparse = encoder->n_sparse;
    for (uint64_t i = 0; i < fitting->dataset.n_rows; i++) {
        uint32_t *row = dataset_row(&fitting->dataset, i) + 1;
        for (uint32_t c = 0; c < n_dense; c++)
            row[c] = fitted_encoder_scale(encoder, c, dense_values_at(&fitting->dense, i, c));
        row += n_dense;
        for (uint32_t c = 0; c < n_sparse; c++)
            row[c] = fitting->rows[c][row[c]];
        if ((i + 1) % DATASET_BLOCK_ROWS != 0)
            continue;
        if (n_dense)
            dense_values_drop_block(&fitting->dense, i / DATASET_BLOCK_ROWS);
        if (!may_go_on(reader))
            return 1;
    }
    return 0;
}

static int fit_rows(struct fitting *fitting, const struct reader *reader, struct train_error *error)
{
    fitting->encoder.n_rows = fitting->dataset.n_rows;
    int result = fit_classes(fitting, reader, error);
    if (result == 0)
        result = fit_scaler(fitting, reader);
    return result ? result : encode_rows(fitting, reader);
}

static int fit(struct fitting *fitting, const char *const *paths, uint32_t n_paths,
               struct train_error *error)
{
    struct reader reader = {.options = fitting->options,
                            .dataset = &fitting->dataset,
                            .take = take_new,
                            .context = fitting};
    int result = read_rows(&reader, paths, n_paths, error);
    if (result == 0)
        result = fit_rows(fitting, &reader, error);
    end_reading(&reader);
    return result;
}

int fit_encoder(const char *const *paths, uint32_t n_paths, const struct fit_options *options,
                struct fitted_encoder *ret_encoder, struct dataset *ret_dataset,
                struct train_error *error)
{
    struct fitting fitting;
    int result = fitting_init(&fitting, options, error);
    if (result == 0)
        result = fit(&fitting, paths, n_paths, error);
    fitting_end(&fitting);
    if (result == 0) {
        *ret_encoder = fitting.encoder;
        *ret_dataset = fitting.dataset;
    } else {
        fitted_encoder_free(&fitting.encoder);
        dataset_free(&fitting.dataset);
    }
    return result;
}

void fitted_encoder_free(struct fitted_encoder *encoder)
{
    arena_free(&encoder->arena);
}

/* ---- encoding with what was fitted before ---- */

struct encoding {
    struct cell_encoder *cells;
    uint64_t *n_unknown;
};

static int take_known(struct reader *reader, const struct click_record *record, uint32_t *row,
                      struct train_error *error)
{
    const struct encoding *encoding = reader->context;
    (void)error;
    cell_encoder_encode(encoding->cells, record, row, encoding->n_unknown);
    return 0;
}

static bool is_in_range(const void *encoder, uint32_t column, double value)
{
    const uint32_t word = fitted_encoder_scale(encoder, column, value);
    float scaled;
    memcpy(&scaled, &word, sizeof scaled);
    return isfinite(scaled);
}

void fitted_encoder_check(const struct fitted_encoder *encoder, struct log_columns *columns)
{
    columns->is_in_range = is_in_range;
    columns->encoder = encoder;
}

int encode_files(const char *const *paths, uint32_t n_paths, const struct fit_options *options,
                 const struct fitted_encoder *encoder, struct dataset *ret_dataset,
                 uint64_t *n_unknown, struct train_error *error)
{
    struct dataset dataset;
    dataset_init(&dataset, encoder->n_dense, encoder->n_sparse);
    struct encoding encoding = {cell_encoder_create(encoder), n_unknown};
    if (encoding.cells == NULL)
        return train_error_memory(error);
    struct fit_options checked = *options;
    fitted_encoder_check(encoder, &checked.columns);
    struct reader reader = {
        .options = &checked, .dataset = &dataset, .take = take_known, .context = &encoding};
    const int result = read_rows(&reader, paths, n_paths, error);
    end_reading(&reader);
    cell_encoder_free(encoding.cells);
    if (result == 0)
        *ret_dataset = dataset;
    else
        dataset_free(&dataset);
    return result;
}
