/* SPDX-License-Identifier: Apache-2.0 */
#include "train/trainer.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/backend.h"
#include "cpus.h"
#include "train/checkpoint.h"
#include "train/model_files.h"
#include "train/progress.h"
#include "train/run_report.h"
#include "train/sampler.h"
#include "train/training_data.h"
#include "train/validation.h"

enum {
    LOSSES_PER_EPOCH = 100, /* points of the report's curve */
    STOP_CHECK_STEPS = 16   /* several ranks agree on stopping so often */
};

struct run {
    const struct train_options *options;
    struct train_error *error;
    struct ranks ranks;
    unsigned n_threads;
    struct training_data data;
    struct sampler sampler;
    const struct backend_class *class;
    struct backend *backend;
    struct parameters values, moment1, moment2;
    const uint32_t **batch; /* [batch_size] */
    struct history history;
    struct run_settings settings;
    struct progress progress;

    /* Where it stands. */
    uint64_t step, epoch, in_epoch;
    struct loss_sum pending;    /* of this rank, since the last exchange */
    struct loss_sum epoch_loss; /* of all ranks, before that */
    double epoch_seconds, seconds;
    uint64_t epochs_without_better;
};

static uint64_t batches_in_epoch(const struct run *run)
{
    return (run->sampler.n_own_rows + run->options->batch_size - 1) / run->options->batch_size;
}

/* ---- losses */

/* Adds up what all ranks have lost since the last time: a point of the curve. */
static int exchange_losses(struct run *run)
{
    struct loss_sum *all = calloc(run->ranks.n_ranks, sizeof *all);
    struct loss_sum total = {0};
    if (all == NULL)
        return train_error_memory(run->error);
    int status = ranks_gather(&run->ranks, &run->pending, sizeof run->pending, all, run->error);
    for (unsigned i = 0; i < run->ranks.n_ranks; i++) {
        total.sum += all[i].sum;
        total.n_rows += all[i].n_rows;
    }
    free(all);
    run->pending = (struct loss_sum){0};
    run->epoch_loss.sum += total.sum;
    run->epoch_loss.n_rows += total.n_rows;
    if (status == 0 && !isfinite(total.sum))
        status = train_error_set(run->error,
                                 "the loss is no longer a number after step %llu: the learning "
                                 "rate %g is too high, or a dense column has extreme values",
                                 (unsigned long long)run->step, run->options->learning_rate);
    if (status == 0 && total.n_rows > 0)
        status = history_add_loss(&run->history, run->step, total.sum / total.n_rows, run->error);
    return status;
}

/* ---- checkpoints */

static int path_in_output(const struct run *run, const char *name, char *out, size_t size)
{
    if ((size_t)snprintf(out, size, "%s/%s", run->options->output, name) >= size)
        return train_error_set(run->error, "%s: the folder's name is too long",
                               run->options->output);
    return 0;
}

static struct checkpoint checkpoint_of(struct run *run, struct loss_sum *pending)
{
    return (struct checkpoint){.step = run->step,
                               .epoch = run->epoch,
                               .batch = run->in_epoch,
                               .epoch_seconds = run->epoch_seconds,
                               .seconds = run->seconds,
                               .epoch_loss = run->epoch_loss,
                               .pending = pending,
                               .n_ranks = run->ranks.n_ranks,
                               .values = &run->values,
                               .moment1 = &run->moment1,
                               .moment2 = &run->moment2,
                               .history = &run->history,
                               .settings = run->settings.all,
                               .n_settings = run->settings.n_binding};
}

/* Collective; rank 0 writes. */
static int save(struct run *run)
{
    char path[4096];
    struct loss_sum *pending = calloc(run->ranks.n_ranks, sizeof *pending);
    if (pending == NULL)
        return train_error_memory(run->error);
    int status = ranks_gather(&run->ranks, &run->pending, sizeof run->pending, pending, run->error);
    if (status == 0 && run->ranks.rank == 0) {
        const struct checkpoint checkpoint = checkpoint_of(run, pending);
        status = path_in_output(run, CHECKPOINT_NAME, path, sizeof path);
        if (status == 0)
            status = run->class->store(run->backend, &run->values, &run->moment1, &run->moment2,
                                       run->error);
        if (status == 0)
            status = checkpoint_write(&checkpoint, path, run->error);
    }
    free(pending);
    return status;
}

/* What ranks other than 0 need of a checkpoint. */
struct resumption {
    uint64_t is_resumed, step, epoch, in_epoch, epochs_without_better;
    struct loss_sum epoch_loss;
};

/* Each step of each epoch is counted: other numbers are of another run, or no run's. `who` said
 * them. */
static int check_place(const struct run *run, const char *who)
{
    const uint64_t n = batches_in_epoch(run);
    if (run->epoch <= UINT32_MAX && run->in_epoch <= n &&
        run->epochs_without_better <= run->epoch && run->step == run->epoch * n + run->in_epoch)
        return 0;
    return train_error_set(run->error,
                           "rank %u: %s stands at step %llu, epoch %llu, batch %llu, with %llu "
                           "epochs since the best; an epoch has %llu batches here",
                           run->ranks.rank, who, (unsigned long long)run->step,
                           (unsigned long long)run->epoch, (unsigned long long)run->in_epoch,
                           (unsigned long long)run->epochs_without_better, (unsigned long long)n);
}

/* On rank 0: 0 with *is_resumed, or -1. */
static int read_checkpoint(struct run *run, struct loss_sum *pending, bool *is_resumed)
{
    char path[4096];
    struct checkpoint checkpoint = checkpoint_of(run, pending);
    *is_resumed = false;
    if (!run->options->resume)
        return 0;
    if (path_in_output(run, CHECKPOINT_NAME, path, sizeof path) != 0)
        return -1;
    const int status = checkpoint_read(&checkpoint, path, run->error);
    if (status < 0)
        return -1;
    *is_resumed = status == 0;
    if (*is_resumed) {
        run->step = checkpoint.step;
        run->epoch = checkpoint.epoch;
        run->in_epoch = checkpoint.batch;
        run->epoch_seconds = checkpoint.epoch_seconds;
        run->seconds = checkpoint.seconds;
        run->epoch_loss = checkpoint.epoch_loss;
        run->epochs_without_better = run->epoch - run->history.best_epoch;
        if (check_place(run, path) != 0)
            return -1;
        progress_line(&run->progress, "going on after epoch %llu, step %llu",
                      (unsigned long long)run->epoch, (unsigned long long)run->step);
    } else {
        progress_line(&run->progress, "no checkpoint in %s: starting anew", run->options->output);
    }
    return 0;
}

static int share_parameters(struct run *run, struct parameters *parameters)
{
    for (size_t i = 0; i < parameters->n; i++)
        if (ranks_broadcast(&run->ranks, parameters->all[i].values,
                            parameters->all[i].n_elements * sizeof(float), run->error) != 0)
            return -1;
    return 0;
}

/* Everything that a rank starts from, from rank 0's files or the seed. */
static int start_from(struct run *run)
{
    struct loss_sum *pending = calloc(run->ranks.n_ranks, sizeof *pending);
    bool is_resumed = false;
    int status = pending ? 0 : train_error_memory(run->error);
    parameters_initialise(&run->values, run->options->seed);
    if (status == 0 && run->ranks.rank == 0) {
        if (run->options->init_from)
            status = initial_model_copy(&run->data.initial, &run->values, run->error);
        if (status == 0)
            status = read_checkpoint(run, pending, &is_resumed);
    }
    struct resumption said = {
        is_resumed,     run->step, run->epoch, run->in_epoch, run->epochs_without_better,
        run->epoch_loss};
    if (status == 0)
        status = ranks_broadcast(&run->ranks, &said, sizeof said, run->error);
    if (status == 0)
        status =
            ranks_broadcast(&run->ranks, pending, run->ranks.n_ranks * sizeof *pending, run->error);
    if (status == 0) {
        run->step = said.step;
        run->epoch = said.epoch;
        run->in_epoch = said.in_epoch;
        run->epochs_without_better = said.epochs_without_better;
        run->epoch_loss = said.epoch_loss;
        run->pending = pending[run->ranks.rank];
        status = check_place(run, "rank 0");
    }
    if (status == 0)
        status = share_parameters(run, &run->values);
    if (status == 0 && said.is_resumed)
        status = share_parameters(run, &run->moment1) || share_parameters(run, &run->moment2);
    free(pending);
    return status ? -1
                  : run->class->load(run->backend, &run->values, &run->moment1, &run->moment2,
                                     run->step, run->error);
}

/* ---- an epoch */

static void collect_batch(struct run *run, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        run->batch[i] = dataset_row(&run->data.train, sampler_row(&run->sampler, first + i));
        __builtin_prefetch(run->batch[i]);
        __builtin_prefetch(run->batch[i] + 16);
    }
}

/* Whether any rank was told to stop. -1: *error. */
static int is_stop_wanted(struct run *run)
{
    const uint8_t mine = *run->options->stop != 0;
    uint8_t all[RANKS_MAX] = {0};
    if (run->ranks.n_ranks == 1)
        return mine;
    if (run->step % STOP_CHECK_STEPS != 0)
        return 0;
    if (ranks_gather(&run->ranks, &mine, sizeof mine, all, run->error) != 0)
        return -1;
    return memchr(all, 1, run->ranks.n_ranks) != NULL;
}

static void show_progress(struct run *run)
{
    char what[64], note[64];
    if (run->ranks.rank != 0 || !progress_is_due(&run->progress))
        return;
    const double n = run->epoch_loss.n_rows + run->pending.n_rows;
    snprintf(what, sizeof what, "epoch %llu/%u", (unsigned long long)run->epoch + 1,
             run->options->epochs);
    snprintf(note, sizeof note, "loss %.4f",
             n > 0 ? (run->epoch_loss.sum + run->pending.sum) / n : 0.0);
    const uint64_t rows_a_batch = (uint64_t)run->options->batch_size * run->ranks.n_ranks;
    const uint64_t n_rows = run->in_epoch * rows_a_batch;
    progress_show(&run->progress, what, n_rows,
                  (uint64_t)run->sampler.n_own_rows * run->ranks.n_ranks, n_rows, note);
}

/* Of the epoch that has been trained. */
static int validate_epoch(struct run *run, struct evaluation *ret_evaluation)
{
    char what[64];
    snprintf(what, sizeof what, "epoch %llu/%u, validation", (unsigned long long)run->epoch + 1,
             run->options->epochs);
    const struct validation validation = {.class = run->class,
                                          .backend = run->backend,
                                          .dataset = &run->data.valid,
                                          .ranks = &run->ranks,
                                          .batch_rows = run->options->batch_size,
                                          .progress = run->ranks.rank == 0 ? &run->progress : NULL,
                                          .what = what};
    progress_start(&run->progress, 0);
    return validate(&validation, ret_evaluation, run->error);
}

/* One step. 0; 1: stopped; -1: *error. */
static int step(struct run *run, uint64_t losses_every)
{
    const uint32_t size = run->options->batch_size;
    const uint32_t first = (uint32_t)run->in_epoch * size;
    const uint32_t left = run->sampler.n_own_rows - first;
    const uint32_t n = left < size ? left : size;
    double loss;
    collect_batch(run, first, n);
    if (run->class->step(run->backend, run->batch, n, n * run->ranks.n_ranks, &loss, run->error) !=
        0)
        return -1;
    run->pending.sum += loss;
    run->pending.n_rows += n;
    run->step++;
    run->in_epoch++;
    if (run->in_epoch % losses_every == 0 && exchange_losses(run) != 0)
        return -1;
    show_progress(run);
    const int stop = is_stop_wanted(run);
    if (stop < 0)
        return -1;
    if (stop || (run->options->checkpoint_steps && run->step % run->options->checkpoint_steps == 0))
        if (save(run) != 0)
            return -1;
    return stop;
}

static int train_epoch(struct run *run)
{
    const uint64_t n_batches = batches_in_epoch(run);
    const uint64_t losses_every = n_batches / LOSSES_PER_EPOCH + 1;
    const double seconds_before = run->epoch_seconds, all_before = run->seconds;
    const uint64_t rows_a_batch = (uint64_t)run->options->batch_size * run->ranks.n_ranks;
    sampler_shuffle(&run->sampler, run->options->seed, (unsigned)run->epoch);
    progress_start(&run->progress, run->in_epoch * rows_a_batch);
    int status = 0;
    while (run->in_epoch < n_batches && status == 0) {
        status = step(run, losses_every);
        run->epoch_seconds = seconds_before + progress_seconds(&run->progress);
        run->seconds = all_before + progress_seconds(&run->progress);
    }
    return status ? status : exchange_losses(run);
}

/* Whether `a` is better than `b`, which was before it. */
static bool is_better(const struct run *run, const struct evaluation *a, const struct evaluation *b)
{
    if (a->n_rows == 0) /* nothing to tell by: the last one */
        return true;
    if (run->options->best_by == TRAIN_BEST_BY_AUC && !isnan(a->auc) && !isnan(b->auc))
        return a->auc > b->auc;
    return a->log_loss < b->log_loss;
}

static void tell_epoch(struct run *run, const struct report_epoch *epoch)
{
    const struct evaluation *found = &epoch->evaluation;
    char valid[256] = "";
    if (found->n_rows > 0)
        snprintf(valid, sizeof valid, "; validation AUC %.4f, log loss %.4f, calibration %.3f",
                 found->auc, found->log_loss, found->calibration);
    if (found->n_groups > 0)
        snprintf(valid + strlen(valid), sizeof valid - strlen(valid), ", grouped AUC %.4f",
                 found->grouped_auc);
    progress_line(&run->progress, "epoch %u/%u: loss %.4f%s; %.0f rows/s%s", epoch->epoch,
                  run->options->epochs, epoch->train_loss, valid, epoch->rows_per_second,
                  run->history.best_epoch == epoch->epoch && found->n_rows > 0 ? "; the best so far"
                                                                               : "");
}

static int write_files(struct run *run, bool is_best)
{
    if (is_best) {
        const struct model_contents contents = {.encoder = training_data_encoder(&run->data),
                                                .values = &run->values,
                                                .label = run->options->label};
        if (run->class->store(run->backend, &run->values, NULL, NULL, run->error) != 0 ||
            model_files_write(run->options->output, &contents, run->error) != 0)
            return -1;
    }
    const struct run_report report = {.options = run->options,
                                      .data = &run->data,
                                      .values = &run->values,
                                      .history = &run->history,
                                      .settings = &run->settings,
                                      .n_ranks = run->ranks.n_ranks,
                                      .n_threads = run->n_threads,
                                      .seconds = run->seconds,
                                      .epochs_without_better = run->epochs_without_better};
    return run_report_write(&report, run->error);
}

/* On rank 0, which alone has the whole history of a run that goes on: whether the epoch is the best
 * so far, and the files. */
static int judge_epoch(struct run *run, const struct report_epoch *epoch)
{
    struct history *history = &run->history;
    const bool is_best =
        history->best_epoch == 0 ||
        is_better(run, &epoch->evaluation, &history->epochs[history->best_epoch - 1].evaluation);
    if (is_best)
        history->best_epoch = epoch->epoch;
    run->epochs_without_better = is_best ? 0 : run->epochs_without_better + 1;
    tell_epoch(run, epoch);
    return write_files(run, is_best);
}

/* Measures what the epoch brought, on all ranks; what follows from it is for rank 0 to say. */
static int finish_epoch(struct run *run)
{
    struct report_epoch epoch = {.epoch = (unsigned)run->epoch + 1,
                                 .step = run->step,
                                 .train_loss = run->epoch_loss.sum / run->epoch_loss.n_rows,
                                 .seconds = run->epoch_seconds,
                                 .rows_per_second = run->epoch_loss.n_rows / run->epoch_seconds};
    if (validate_epoch(run, &epoch.evaluation) != 0 ||
        history_add_epoch(&run->history, &epoch, run->error) != 0)
        return -1;
    if (run->ranks.rank == 0 && judge_epoch(run, &epoch) != 0)
        return -1;
    if (ranks_broadcast(&run->ranks, &run->epochs_without_better, sizeof run->epochs_without_better,
                        run->error) != 0)
        return -1;
    run->epoch++;
    run->in_epoch = 0;
    run->epoch_seconds = 0;
    run->epoch_loss = (struct loss_sum){0};
    return save(run);
}

static bool is_finished(const struct run *run)
{
    return run->epoch >= run->options->epochs ||
           (run->options->early_stop && run->epochs_without_better >= run->options->early_stop);
}

/* ---- a run */

enum { N_COMMON_FLAGS = 7 };

/* Flags that must be the same on all ranks, since steps and messages follow from them. */
static int compare_flags(struct run *run)
{
    static const char *const names[N_COMMON_FLAGS] = {
        "batch-size", "learning-rate",    "seed",   "epochs",
        "early-stop", "checkpoint-steps", "backend"};
    const struct train_options *options = run->options;
    uint64_t rate;
    memcpy(&rate, &options->learning_rate, sizeof rate);
    const uint64_t mine[N_COMMON_FLAGS] = {options->batch_size, rate,
                                           options->seed,       options->epochs,
                                           options->early_stop, options->checkpoint_steps,
                                           options->backend};
    uint64_t(*all)[N_COMMON_FLAGS] = calloc(run->ranks.n_ranks, sizeof *all);
    if (all == NULL)
        return train_error_memory(run->error);
    int status = ranks_gather(&run->ranks, mine, sizeof mine, all, run->error);
    for (unsigned rank = 1; rank < run->ranks.n_ranks && status == 0; rank++)
        for (size_t i = 0; i < N_COMMON_FLAGS && status == 0; i++)
            if (all[rank][i] != all[0][i])
                status = train_error_set(run->error, "rank %u has another --%s than rank 0", rank,
                                         names[i]);
    free(all);
    return status;
}

/* A folder and its parents, as far as they are missing. -1: errno. */
static int make_folders(const char *path)
{
    char part[PATH_MAX];
    for (const char *end = path; *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        const size_t length = (size_t)(end - path);
        if (length >= sizeof part) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path, length);
        part[length] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int make_output(struct run *run)
{
    struct stat found;
    if (run->ranks.rank != 0)
        return 0;
    if (make_folders(run->options->output) != 0)
        return train_error_set(run->error, "%s: cannot be made: %s", run->options->output,
                               strerror(errno));
    if (stat(run->options->output, &found) != 0 || !S_ISDIR(found.st_mode))
        return train_error_set(run->error, "%s: is not a folder", run->options->output);
    return 0;
}

static int make_backend(struct run *run)
{
    const struct train_options *options = run->options;
    const struct backend_options wanted = {
        .spec = &run->data.spec,
        .adam = {options->learning_rate, 0.9, 0.999, 1e-8, options->dense_adam},
        .batch_rows = options->batch_size,
        .n_threads = run->n_threads,
        .ranks = run->ranks.n_ranks > 1 ? &run->ranks : NULL};
    run->class = options->backend == TRAIN_TORCH ? &torch_backend : &native_backend;
    run->batch = calloc(options->batch_size, sizeof *run->batch);
    if (run->batch == NULL)
        return train_error_memory(run->error);
    if (parameters_create(&run->data.spec, &run->values, run->error) != 0 ||
        parameters_create(&run->data.spec, &run->moment1, run->error) != 0 ||
        parameters_create(&run->data.spec, &run->moment2, run->error) != 0)
        return -1;
    return run->class->create(&run->backend, &wanted, run->error);
}

static int train_all(struct run *run)
{
    int status = training_data_read(&run->data, run->options, &run->ranks, run->error);
    if (status != 0)
        return status;
    if (sampler_create(&run->sampler, run->data.train.n_rows, run->ranks.rank, run->ranks.n_ranks,
                       run->error) != 0 ||
        run_settings_make(&run->settings, run->options, &run->data, run->ranks.n_ranks,
                          run->error) != 0 ||
        make_backend(run) != 0 || start_from(run) != 0)
        return -1;
    if (is_finished(run) && run->ranks.rank == 0)
        progress_line(&run->progress, "nothing to do: all %llu epochs are done",
                      (unsigned long long)run->epoch);
    while (!is_finished(run)) {
        status = train_epoch(run);
        if (status == 0)
            status = finish_epoch(run);
        if (status != 0)
            return status;
    }
    return 0;
}

int train_run(const struct train_options *options, const struct ranks *ranks,
              struct train_error *error)
{
    struct run run = {.options = options,
                      .error = error,
                      .ranks = *ranks,
                      .n_threads = options->n_threads ? options->n_threads : cpus_available()};
    progress_start(&run.progress, 0);
    int status = compare_flags(&run);
    if (status == 0)
        status = make_output(&run);
    if (status == 0)
        status = train_all(&run);
    if (run.backend)
        run.class->free(run.backend);
    run_settings_free(&run.settings);
    history_free(&run.history);
    parameters_free(&run.values);
    parameters_free(&run.moment1);
    parameters_free(&run.moment2);
    free(run.batch);
    sampler_free(&run.sampler);
    training_data_free(&run.data);
    return status;
}
