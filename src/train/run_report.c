/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcnv2.h"
#include "train/model_files.h"

/* ---- settings */

enum { SETTINGS_MAX = 32 };

__attribute__((format(printf, 3, 4))) static void add(struct run_settings *settings,
                                                      const char *name, const char *format, ...)
{
    char value[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    char *copy = arena_copy_text(&settings->arena, value, strlen(value));
    settings->all[settings->n++] = (struct report_setting){name, copy ? copy : "?"};
}

static void add_sizes(struct run_settings *settings, const struct published_sizes *sizes)
{
    char deep[256] = "none";
    size_t length = 0;
    for (uint32_t i = 0; i < sizes->n_deep; i++)
        length += (size_t)snprintf(deep + length, sizeof deep - length, "%s%u", i ? "," : "",
                                   sizes->deep[i]);
    add(settings, "embedding", "%u", sizes->embedding);
    add(settings, "cross", "%s", published_cross_names[sizes->cross]);
    add(settings, "cross-layers", "%u", sizes->n_cross);
    add(settings, "dnn", "%s", deep);
}

int run_settings_make(struct run_settings *ret_settings, const struct train_options *options,
                      const struct training_data *data, unsigned n_ranks, struct train_error *error)
{
    struct run_settings *settings = ret_settings;
    const struct training_data_fingerprints fingerprints = training_data_fingerprints(data);
    arena_init(&settings->arena, SIZE_MAX);
    settings->n = 0;
    settings->all = arena_calloc(&settings->arena, SETTINGS_MAX, sizeof *settings->all);
    if (settings->all == NULL)
        return train_error_memory(error);
    add(settings, "version", "%s", DCNV2_VERSION);
    add_sizes(settings, &data->sizes);
    add(settings, "batch-size", "%u", options->batch_size);
    add(settings, "learning-rate", "%.17g", options->learning_rate);
    add(settings, "seed", "%" PRIu64, options->seed);
    if (options->init_from)
        add(settings, "min-count", "that of the first model");
    else
        add(settings, "min-count", "%" PRIu64, options->min_count);
    add(settings, "backend", "%s", options->backend == TRAIN_TORCH ? "torch" : "native");
    add(settings, "ranks", "%u", n_ranks);
    add(settings, "best-by", "%s", options->best_by == TRAIN_BEST_BY_AUC ? "auc" : "logloss");
    add(settings, "label", "%s", options->label);
    add(settings, "group-col", "%s", options->group ? options->group : "none");
    add(settings, "encoder", "%016" PRIx64, fingerprints.encoder);
    add(settings, "training data", "%016" PRIx64, fingerprints.train);
    add(settings, "validation data", "%016" PRIx64, fingerprints.valid);
    settings->n_binding = settings->n;
    add(settings, "epochs", "%u", options->epochs);
    add(settings, "early-stop", "%u", options->early_stop);
    if (options->init_from)
        add(settings, "init-from", "%s", options->init_from);
    return 0;
}

void run_settings_free(struct run_settings *settings)
{
    arena_free(&settings->arena);
}

/* ---- files */

static struct report_column *make_columns(const struct training_data *data)
{
    const struct fitted_encoder *encoder = training_data_encoder(data);
    struct report_column *columns = calloc(encoder->n_sparse + 1u, sizeof *columns);
    for (uint32_t i = 0; columns && i < encoder->n_sparse; i++) {
        const struct fitted_column *from = &encoder->sparse[i];
        columns[i] = (struct report_column){.name = from->name,
                                            .n_classes = from->n_classes,
                                            .n_missing = from->n_missing,
                                            .n_rare = from->n_rare,
                                            .n_rare_values = from->n_rare_values,
                                            .n_unseen = data->n_unseen[i]};
    }
    return columns;
}

static uint64_t count_parameters(const struct parameters *values)
{
    uint64_t n = 0;
    for (size_t i = 0; i < values->n; i++)
        n += values->all[i].n_elements;
    return n;
}

/* Why the run is over before its last epoch, or NULL. */
static const char *why_stopped(const struct run_report *run, char *out, size_t size)
{
    const unsigned patience = run->options->early_stop;
    if (patience == 0 || run->epochs_without_better < patience ||
        run->history->n_epochs == run->options->epochs)
        return NULL;
    snprintf(out, size, "%u epochs without a better one", patience);
    return out;
}

static int write_one(const char *folder, const char *name, char *text, struct train_error *error)
{
    const int status =
        text ? model_files_write_text(folder, name, text, error) : train_error_memory(error);
    free(text);
    return status;
}

int run_report_write(const struct run_report *run, struct train_error *error)
{
    char why[64];
    const struct training_data *data = run->data;
    struct report_column *columns = make_columns(data);
    if (columns == NULL)
        return train_error_memory(error);
    const struct report report = {.version = DCNV2_VERSION,
                                  .backend =
                                      run->options->backend == TRAIN_TORCH ? "torch" : "native",
                                  .network = &data->spec,
                                  .n_parameters = count_parameters(run->values),
                                  .n_train_rows = data->train.n_rows,
                                  .n_train_clicks = data->n_clicks,
                                  .n_valid_rows = data->valid.n_rows,
                                  .n_bad_rows = data->n_bad_rows,
                                  .n_ranks = run->n_ranks,
                                  .n_threads = run->n_threads,
                                  .best_epoch = run->history->best_epoch,
                                  .stopped = why_stopped(run, why, sizeof why),
                                  .seconds = run->seconds,
                                  .losses = run->history->losses,
                                  .n_losses = run->history->n_losses,
                                  .epochs = run->history->epochs,
                                  .n_epochs = run->history->n_epochs,
                                  .columns = columns,
                                  .n_columns = data->sizes.n_sparse,
                                  .settings = run->settings->all,
                                  .n_settings = run->settings->n};
    const char *folder = run->options->output;
    int status = write_one(folder, "metrics.json", report_json(&report), error);
    if (status == 0)
        status = write_one(folder, "report.html", report_html(&report), error);
    free(columns);
    return status;
}
