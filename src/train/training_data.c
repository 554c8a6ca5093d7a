/* SPDX-License-Identifier: Apache-2.0 */
#include "train/training_data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "hash.h"
#include "train/progress.h"
#include "train/received.h"

/* ---- what rank 0 says to the others */

enum state { STATE_READING, STATE_READY, STATE_FAILED, STATE_STOPPED };

/* Plain numbers: sent as they lie. */
struct announcement {
    uint32_t state;
    struct published_sizes sizes;
    uint64_t n_train, n_valid;
};

static int announce(const struct ranks *ranks, const struct training_data *data, enum state state,
                    struct train_error *error)
{
    struct announcement said = {.state = state,
                                .sizes = data->sizes,
                                .n_train = data->train.n_rows,
                                .n_valid = data->valid.n_rows};
    return ranks_broadcast(ranks, &said, sizeof said, error);
}

/* Room for what rank 0 is about to send. */
static int take_announced(struct training_data *data, const struct announcement *heard,
                          unsigned rank, struct train_error *error)
{
    const struct published_sizes *sizes = &heard->sizes;
    if (received_check_sizes(sizes, rank, error) != 0 ||
        received_check_rows_announced(sizes, heard->n_train, heard->n_valid, rank, error) != 0)
        return -1;
    data->sizes = *sizes;
    dataset_init(&data->train, sizes->n_dense, sizes->n_sparse);
    dataset_init(&data->valid, sizes->n_dense, sizes->n_sparse);
    data->n_rows_of_tables = calloc(sizes->n_sparse + 1u, sizeof(uint32_t));
    if (data->n_rows_of_tables == NULL)
        return train_error_memory(error);
    for (uint64_t i = 0; i < heard->n_train; i++)
        if (dataset_append(&data->train) == NULL)
            return train_error_memory(error);
    for (uint64_t i = 0; i < heard->n_valid; i++)
        if (dataset_append(&data->valid) == NULL)
            return train_error_memory(error);
    return 0;
}

/* Waits for rank 0 to have read everything. 1: it was told to stop, or this rank was. */
static int listen(const struct ranks *ranks, struct training_data *data,
                  const volatile sig_atomic_t *stop, struct train_error *error)
{
    struct announcement heard;
    for (;;) {
        if (ranks_broadcast(ranks, &heard, sizeof heard, error) != 0)
            return -1;
        if (heard.state != STATE_READING)
            break;
        if (*stop) /* rank 0 notices at its next sign of life */
            return 1;
    }
    if (heard.state == STATE_STOPPED)
        return 1;
    if (heard.state == STATE_FAILED)
        return train_error_set(error, "rank 0 cannot go on; its own message says why");
    return heard.state == STATE_READY
               ? take_announced(data, &heard, ranks->rank, error)
               : train_error_set(error, "rank %u: rank 0 has sent %u as its state", ranks->rank,
                                 heard.state);
}

static int share_rows(const struct ranks *ranks, struct dataset *dataset, const uint32_t *n_rows,
                      const char *what, struct train_error *error)
{
    const size_t words = dataset_words(dataset);
    for (uint64_t at = 0; at < dataset->n_rows; at += DATASET_BLOCK_ROWS) {
        const uint64_t left = dataset->n_rows - at;
        const uint64_t n = left < DATASET_BLOCK_ROWS ? left : DATASET_BLOCK_ROWS;
        if (ranks_broadcast(ranks, dataset_row(dataset, at), n * words * sizeof(uint32_t), error) !=
            0)
            return -1;
        if (ranks->rank != 0 &&
            received_check_rows(dataset, at, n, n_rows, what, ranks->rank, error) != 0)
            return -1;
    }
    return 0;
}

static int share(const struct ranks *ranks, struct training_data *data, struct train_error *error)
{
    if (ranks->n_ranks == 1)
        return 0;
    if (ranks_broadcast(ranks, data->n_rows_of_tables, data->sizes.n_sparse * sizeof(uint32_t),
                        error) != 0)
        return -1;
    const uint32_t *n_rows = data->n_rows_of_tables;
    if (ranks->rank != 0 &&
        received_check_tables(n_rows, data->sizes.n_sparse, ranks->rank, error) != 0)
        return -1;
    return share_rows(ranks, &data->train, n_rows, "training", error) ||
                   share_rows(ranks, &data->valid, n_rows, "validation", error)
               ? -1
               : 0;
}

/* ---- reading, on rank 0 */

/* From one sign of life to the next: as long as a rank that is told to stop may go on listening,
 * and well below the timeout. */
static const double TELL_SECONDS = 2, TELL_SHARE_OF_TIMEOUT = 0.25;

struct reading_progress {
    struct progress progress;
    const char *what;
    const struct train_options *options;
    const struct ranks *ranks;
    const struct training_data *data;
    uint64_t told_ns;
    bool is_cut_off; /* the other ranks are gone */
    uint64_t n_bad;
    struct train_error first_bad;
    struct train_error error;
};

static bool on_progress(void *context, const struct click_log_progress *log)
{
    struct reading_progress *reading = context;
    const double tell_every_s =
        fmin(TELL_SECONDS, TELL_SHARE_OF_TIMEOUT * reading->options->timeout_s);
    char note[64];
    snprintf(note, sizeof note, "%llu rows", (unsigned long long)log->n_records);
    progress_show(&reading->progress, reading->what, log->bytes, log->total_bytes, log->n_records,
                  note);
    reading->n_bad = log->n_bad;
    if (log->n_bad > 0)
        train_error_set(&reading->first_bad, "%s", log->first_bad);
    if (reading->ranks->n_ranks > 1 &&
        (double)(clock_ns() - reading->told_ns) / 1e9 > tell_every_s) {
        reading->told_ns = clock_ns();
        reading->is_cut_off =
            announce(reading->ranks, reading->data, STATE_READING, &reading->error) != 0;
    }
    return !*reading->options->stop && !reading->is_cut_off;
}

/* The columns to read: those of the model that is gone on from, or the options'. */
static struct fit_options columns_of(const struct train_options *options,
                                     const struct training_data *data)
{
    struct fit_options fit = {.min_count = options->min_count,
                              .max_bad_rows = options->max_bad_rows,
                              .on_progress = on_progress};
    fit.columns.label = options->label;
    fit.columns.form = options->log_form;
    if (options->init_from) {
        fit.columns.sparse = data->initial.sparse_names;
        fit.columns.n_sparse = data->initial.encoder.n_sparse;
        fit.columns.dense = data->initial.encoder.dense;
        fit.columns.n_dense = data->initial.encoder.n_dense;
    } else {
        fit.columns.sparse = options->sparse_columns.names;
        fit.columns.n_sparse = (uint32_t)options->sparse_columns.n;
        fit.columns.dense = options->dense_columns.names;
        fit.columns.n_dense = (uint32_t)options->dense_columns.n;
    }
    return fit;
}

static int read_train(struct training_data *data, struct fit_options *fit,
                      const struct train_options *options, struct train_error *error)
{
    if (options->init_from)
        return encode_files(options->train_data, (uint32_t)options->n_train_data, fit,
                            &data->initial.encoder, &data->train, NULL, error);
    return fit_encoder(options->train_data, (uint32_t)options->n_train_data, fit, &data->encoder,
                       &data->train, error);
}

static int read_valid(struct training_data *data, struct fit_options *fit,
                      const struct train_options *options, struct train_error *error)
{
    fit->columns.group = options->group;
    data->n_unseen = calloc(fit->columns.n_sparse + 1u, sizeof *data->n_unseen);
    if (data->n_unseen == NULL)
        return train_error_memory(error);
    if (options->n_valid_data == 0)
        return 0;
    return encode_files(options->valid_data, (uint32_t)options->n_valid_data, fit,
                        training_data_encoder(data), &data->valid, data->n_unseen, error);
}

const struct fitted_encoder *training_data_encoder(const struct training_data *data)
{
    return data->initial.encoder.n_sparse + data->initial.encoder.n_dense > 0
               ? &data->initial.encoder
               : &data->encoder;
}

static int make_sizes(struct training_data *data, const struct train_options *options,
                      struct train_error *error)
{
    const struct fitted_encoder *encoder = training_data_encoder(data);
    data->sizes = (struct published_sizes){.n_dense = encoder->n_dense,
                                           .n_sparse = encoder->n_sparse,
                                           .embedding = options->embedding,
                                           .cross = options->cross,
                                           .n_cross = options->n_cross,
                                           .n_deep = options->n_deep};
    memcpy(data->sizes.deep, options->deep_widths, sizeof data->sizes.deep);
    if (options->init_from)
        data->sizes = data->initial.sizes;
    data->n_rows_of_tables = calloc(encoder->n_sparse + 1u, sizeof(uint32_t));
    if (data->n_rows_of_tables == NULL)
        return train_error_memory(error);
    for (uint32_t i = 0; i < encoder->n_sparse; i++)
        data->n_rows_of_tables[i] = encoder->sparse[i].n_classes + 1;
    return 0;
}

/* Columns may be left out beside another model; those that are given must be its own. */
static int check_names(const struct dcnv2_columns *given, const char *const *names, uint32_t n,
                       const char *flag, struct train_error *error)
{
    char all[256] = "";
    size_t length = 0;
    bool is_same = given->n == 0 || given->n == n;
    for (uint32_t i = 0; i < n; i++) {
        is_same = is_same && (given->n == 0 || strcmp(given->names[i], names[i]) == 0);
        if (length < sizeof all)
            length +=
                (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? "," : "", names[i]);
    }
    return is_same ? 0
                   : train_error_set(error,
                                     "%s: the model of --init-from has %s%s; give the same ones or "
                                     "none",
                                     flag, *all ? all : "none", length < sizeof all ? "" : "..");
}

static int read_initial(struct training_data *data, const struct train_options *options,
                        struct train_error *error)
{
    const struct fitted_encoder *encoder = &data->initial.encoder;
    if (options->init_from == NULL)
        return 0;
    if (initial_model_read(&data->initial, options->init_from, error) != 0 ||
        check_names(&options->sparse_columns, data->initial.sparse_names, encoder->n_sparse,
                    "--sparse-cols or SPARSE_COLS", error) != 0)
        return -1;
    return check_names(&options->dense_columns, encoder->dense, encoder->n_dense,
                       "--dense-cols or DENSE_COLS", error);
}

/* Before the training data are read, which may take minutes. */
static int check_valid_data(const struct train_options *options, struct train_error *error)
{
    for (size_t i = 0; i < options->n_valid_data; i++)
        if (access(options->valid_data[i], R_OK) != 0)
            return train_error_set(error, "%s: %s", options->valid_data[i], strerror(errno));
    return 0;
}

static void tell_read(struct reading_progress *reading, const struct dataset *rows,
                      const char *what)
{
    char bad[sizeof reading->first_bad.message + 64] = "";
    if (reading->n_bad > 0)
        snprintf(bad, sizeof bad, "; %llu bad rows skipped, the first: %s",
                 (unsigned long long)reading->n_bad, reading->first_bad.message);
    progress_line(&reading->progress, "read %llu %s rows in %.1f s%s",
                  (unsigned long long)rows->n_rows, what, progress_seconds(&reading->progress),
                  bad);
}

static int read_all(struct training_data *data, struct reading_progress *reading,
                    struct train_error *error)
{
    const struct train_options *options = reading->options;
    if (check_valid_data(options, error) != 0 || read_initial(data, options, error) != 0)
        return -1;
    struct fit_options fit = columns_of(options, data);
    fit.progress_context = reading;
    int status = 0;
    for (int part = 0; part < 2 && status == 0; part++) {
        progress_start(&reading->progress, 0);
        reading->what = part == 0 ? "reading training data" : "reading validation data";
        status = part == 0 ? read_train(data, &fit, options, error)
                           : read_valid(data, &fit, options, error);
        const struct dataset *rows = part == 0 ? &data->train : &data->valid;
        if (status == 0 && rows->n_rows > 0)
            tell_read(reading, rows, part == 0 ? "training" : "validation");
        data->n_bad_rows += reading->n_bad;
        reading->n_bad = 0;
    }
    if (reading->is_cut_off) {
        *error = reading->error;
        return -1;
    }
    return status ? status : make_sizes(data, options, error);
}

/* ---- */

int training_data_read(struct training_data *data, const struct train_options *options,
                       const struct ranks *ranks, struct train_error *error)
{
    struct train_error unheard;
    int status;
    *data = (struct training_data){0};
    arena_init(&data->arena, SIZE_MAX);
    if (ranks->rank == 0) {
        struct reading_progress reading = {.options = options, .ranks = ranks, .data = data};
        status = read_all(data, &reading, error);
        if (status != 0 && !reading.is_cut_off)
            announce(ranks, data, status > 0 ? STATE_STOPPED : STATE_FAILED, &unheard);
        if (status != 0)
            return status;
        if (announce(ranks, data, STATE_READY, error) != 0)
            return -1;
    } else {
        status = listen(ranks, data, options->stop, error);
        if (status != 0)
            return status;
    }
    if (share(ranks, data, error) != 0)
        return -1;
    if (published_make(&data->spec, &data->arena, &data->sizes, data->n_rows_of_tables) != 0)
        return train_error_memory(error);
    const float one = 1;
    for (uint64_t i = 0; i < data->train.n_rows; i++)
        data->n_clicks += memcmp(dataset_row(&data->train, i), &one, sizeof one) == 0;
    return 0;
}

void training_data_free(struct training_data *data)
{
    fitted_encoder_free(&data->encoder);
    initial_model_free(&data->initial);
    free(data->n_unseen);
    free(data->n_rows_of_tables);
    arena_free(&data->arena);
    dataset_free(&data->train);
    dataset_free(&data->valid);
}

/* ---- fingerprints */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    return hash_pair(&hash_seed_fixed, hash, word);
}

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t size)
{
    return mix(hash, hash_bytes(&hash_seed_fixed, bytes, size));
}

static uint64_t fingerprint_of_rows(const struct dataset *dataset)
{
    const size_t row_bytes = dataset_words(dataset) * sizeof(uint32_t);
    uint64_t hash = dataset->n_rows;
    for (uint64_t i = 0; i < dataset->n_rows; i++)
        hash = add_bytes(hash, dataset_row(dataset, i), row_bytes);
    for (uint64_t i = 0; dataset->groups && i < dataset->n_rows; i++)
        hash = mix(hash, dataset->groups[i]);
    return hash;
}

static uint64_t fingerprint_of_encoder(const struct fitted_encoder *encoder)
{
    uint64_t hash = 0;
    for (uint32_t c = 0; c < encoder->n_sparse; c++) {
        const struct fitted_column *column = &encoder->sparse[c];
        hash = add_bytes(hash, column->name, strlen(column->name));
        hash = mix(hash, column->n_classes);
        for (uint32_t i = 0; i < column->n_classes; i++)
            hash = add_bytes(hash, column->classes[i].at, column->classes[i].length);
    }
    for (uint32_t c = 0; c < encoder->n_dense; c++) {
        const double numbers[] = {encoder->mean[c], encoder->scale[c]};
        hash = add_bytes(hash, encoder->dense[c], strlen(encoder->dense[c]));
        hash = add_bytes(hash, numbers, sizeof numbers);
    }
    return hash;
}

struct training_data_fingerprints training_data_fingerprints(const struct training_data *data)
{
    return (struct training_data_fingerprints){
        .encoder = fingerprint_of_encoder(training_data_encoder(data)),
        .train = fingerprint_of_rows(&data->train),
        .valid = fingerprint_of_rows(&data->valid)};
}
