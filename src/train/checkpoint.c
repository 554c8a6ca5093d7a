/* SPDX-License-Identifier: Apache-2.0 */
#include "train/checkpoint.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file.h"
#include "format/new_file.h"
#include "format/output.h"
#include "format/safetensors.h"

/* ---- where a run stands, as numbers of the file */

static const double WHOLE_MOST = 9007199254740992; /* 2^53: a double counts so far */

enum { STEP, EPOCH, BATCH, BEST_EPOCH, EPOCH_SECONDS, SECONDS, LOSS_SUM, LOSS_ROWS, N_NUMBERS };

static void get_numbers(const struct checkpoint *checkpoint, double numbers[N_NUMBERS])
{
    numbers[STEP] = (double)checkpoint->step;
    numbers[EPOCH] = (double)checkpoint->epoch;
    numbers[BATCH] = (double)checkpoint->batch;
    numbers[BEST_EPOCH] = checkpoint->history->best_epoch;
    numbers[EPOCH_SECONDS] = checkpoint->epoch_seconds;
    numbers[SECONDS] = checkpoint->seconds;
    numbers[LOSS_SUM] = checkpoint->epoch_loss.sum;
    numbers[LOSS_ROWS] = checkpoint->epoch_loss.n_rows;
}

/* Before they are cast: a double beyond the integer's range has no value there. */
static int check_numbers(const double numbers[N_NUMBERS], const char *path,
                         struct train_error *error)
{
    static const struct {
        const char *name;
        double most;
        bool is_whole;
    } rules[N_NUMBERS] = {
        [STEP] = {"step", WHOLE_MOST, true},
        [EPOCH] = {"epoch", UINT32_MAX, true},
        [BATCH] = {"batch", WHOLE_MOST, true},
        [BEST_EPOCH] = {"best epoch", UINT32_MAX, true},
        [EPOCH_SECONDS] = {"seconds of the epoch", DBL_MAX, false},
        [SECONDS] = {"seconds", DBL_MAX, false},
        [LOSS_SUM] = {"sum of losses", DBL_MAX, false},
        [LOSS_ROWS] = {"rows of losses", WHOLE_MOST, true},
    };
    for (int i = 0; i < N_NUMBERS; i++)
        if (!(numbers[i] >= 0 && numbers[i] <= rules[i].most) ||
            (rules[i].is_whole && numbers[i] != floor(numbers[i])))
            return train_error_set(error, "%s: its %s is %g, which no run has", path, rules[i].name,
                                   numbers[i]);
    return 0;
}

static int check_pending(const struct checkpoint *checkpoint, const char *path,
                         struct train_error *error)
{
    for (unsigned i = 0; i < checkpoint->n_ranks; i++) {
        const struct loss_sum *pending = &checkpoint->pending[i];
        if (!(pending->sum >= 0 && pending->sum <= DBL_MAX && pending->n_rows >= 0 &&
              pending->n_rows <= WHOLE_MOST && pending->n_rows == floor(pending->n_rows)))
            return train_error_set(error,
                                   "%s: its loss of rank %u is %g in %g rows, which no run has",
                                   path, i, pending->sum, pending->n_rows);
    }
    return 0;
}

static void set_numbers(struct checkpoint *checkpoint, const double numbers[N_NUMBERS])
{
    checkpoint->step = (uint64_t)numbers[STEP];
    checkpoint->epoch = (uint64_t)numbers[EPOCH];
    checkpoint->batch = (uint64_t)numbers[BATCH];
    checkpoint->history->best_epoch = (unsigned)numbers[BEST_EPOCH];
    checkpoint->epoch_seconds = numbers[EPOCH_SECONDS];
    checkpoint->seconds = numbers[SECONDS];
    checkpoint->epoch_loss = (struct loss_sum){numbers[LOSS_SUM], numbers[LOSS_ROWS]};
}

/* ---- parameters */

enum { N_SETS = 3, RUN_TENSORS = 4 };

static const char *const set_names[N_SETS] = {"value", "moment1", "moment2"};

static struct parameters *set_of(const struct checkpoint *checkpoint, int i)
{
    struct parameters *const sets[N_SETS] = {checkpoint->values, checkpoint->moment1,
                                             checkpoint->moment2};
    return sets[i];
}

/* "moment1.output.bias" */
static struct text set_name(struct arena *arena, int set, const char *name)
{
    char *text = arena_alloc(arena, strlen(name) + 16);
    if (text == NULL)
        return (struct text){"", 0};
    return (struct text){text, (size_t)sprintf(text, "%s.%s", set_names[set], name)};
}

/* ---- writing */

static void add_tensor(struct tensor_list *list, struct text name, enum tensor_dtype dtype,
                       uint64_t rows, uint64_t columns, const void *data)
{
    if (rows > 0)
        list->tensors[list->n_tensors++] =
            (struct tensor){.name = name,
                            .dtype = dtype,
                            .n_dims = columns ? 2 : 1,
                            .sizes = {rows, columns},
                            .n_elements = rows * (columns ? columns : 1),
                            .data = data};
}

static void add_run(struct tensor_list *list, const struct checkpoint *checkpoint,
                    const double *numbers)
{
    const struct history *history = checkpoint->history;
    add_tensor(list, text_of("run.numbers"), TENSOR_F64, N_NUMBERS, 0, numbers);
    add_tensor(list, text_of("run.pending"), TENSOR_F64, checkpoint->n_ranks, 2,
               checkpoint->pending);
    add_tensor(list, text_of("run.losses"), TENSOR_U64, history->n_losses,
               sizeof *history->losses / sizeof(uint64_t), history->losses);
    add_tensor(list, text_of("run.epochs"), TENSOR_U64, history->n_epochs,
               sizeof *history->epochs / sizeof(uint64_t), history->epochs);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_entry *)a)->key,
                  ((const struct safetensors_entry *)b)->key);
}

/* "setting.seed": "1" .. */
static int add_settings(struct safetensors_metadata *metadata, const struct checkpoint *checkpoint,
                        struct arena *arena)
{
    metadata->entries = arena_calloc(arena, checkpoint->n_settings + 1, sizeof *metadata->entries);
    for (size_t i = 0; metadata->entries && i < checkpoint->n_settings; i++) {
        const struct report_setting *setting = &checkpoint->settings[i];
        char *key = arena_alloc(arena, strlen(setting->name) + 16);
        if (key == NULL)
            return -1;
        sprintf(key, "setting.%s", setting->name);
        metadata->entries[metadata->n_entries++] = (struct safetensors_entry){key, setting->value};
    }
    if (metadata->entries == NULL)
        return -1;
    qsort(metadata->entries, metadata->n_entries, sizeof *metadata->entries, compare_entries);
    return 0;
}

static int write_to(FILE *stream, const struct checkpoint *checkpoint, struct arena *arena,
                    struct format_error *error)
{
    double numbers[N_NUMBERS];
    struct tensor_list list = {0};
    struct safetensors_metadata metadata = {0};
    struct text header;
    list.tensors =
        arena_calloc(arena, N_SETS * checkpoint->values->n + RUN_TENSORS, sizeof *list.tensors);
    if (list.tensors == NULL || add_settings(&metadata, checkpoint, arena) != 0)
        return format_error_memory(error);
    get_numbers(checkpoint, numbers);
    add_run(&list, checkpoint, numbers);
    for (int s = 0; s < N_SETS; s++)
        for (size_t i = 0; i < checkpoint->values->n; i++) {
            const struct parameter *parameter = &set_of(checkpoint, s)->all[i];
            struct tensor *tensor = &list.tensors[list.n_tensors++];
            *tensor = parameter_tensor(parameter);
            tensor->name = set_name(arena, s, parameter->name);
        }
    if (safetensors_header(&list, &metadata, arena, &header, error) != 0)
        return -1;
    struct output output = {.stream = stream};
    output_put(&output, header.at, header.length);
    for (size_t i = 0; i < list.n_tensors; i++)
        output_put(&output, list.tensors[i].data, safetensors_bytes(&list.tensors[i]));
    return output_flush(&output, error);
}

int checkpoint_write(const struct checkpoint *checkpoint, const char *path,
                     struct train_error *error)
{
    struct arena arena;
    struct format_error reason;
    struct new_file file;
    if (new_file_open(&file, path, NEW_FILE_REPLACES_LINKS, &reason) != 0)
        return train_error_set(error, "%s: %s", path, reason.message);
    arena_init(&arena, SIZE_MAX);
    const bool good = write_to(file.stream, checkpoint, &arena, &reason) == 0 &&
                      new_file_finish(&file, &reason) == 0 && new_file_keep(&file, &reason) == 0;
    arena_free(&arena);
    new_file_close(&file);
    return good ? 0 : train_error_set(error, "%s: %s", path, reason.message);
}

/* ---- reading */

struct source {
    const char *path;
    struct arena arena;
    struct file_bytes bytes;
    struct safetensors file;
    struct train_error *error;
};

/* The data of a tensor of so many bytes. NULL: it is missing or of another size. */
static const void *find_data(struct source *source, const char *name, uint64_t size)
{
    const struct tensor *tensor = tensor_find(&source->file.list, name);
    if (tensor && safetensors_bytes(tensor) == size)
        return tensor->data;
    train_error_set(source->error, "%s: is not a checkpoint of this program: %s is %s",
                    source->path, name, tensor ? "of another size" : "missing");
    return NULL;
}

static int check_settings(struct source *source, const struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->n_settings; i++) {
        char key[64];
        const struct report_setting *setting = &checkpoint->settings[i];
        snprintf(key, sizeof key, "setting.%s", setting->name);
        const char *was = safetensors_find(&source->file.metadata, key);
        if (was == NULL)
            return train_error_set(source->error, "%s: is not a checkpoint of this program",
                                   source->path);
        if (strcmp(was, setting->value) != 0)
            return train_error_set(source->error,
                                   "%s: is of another run: its %s was %s, and is %s now; give "
                                   "another --output, or leave --resume out",
                                   source->path, setting->name, was, setting->value);
    }
    return 0;
}

/* The records of a tensor that may be missing, one behind the other. */
static int read_records(struct source *source, const char *name, size_t size, size_t *ret_n,
                        const void **ret_records)
{
    const struct tensor *tensor = tensor_find(&source->file.list, name);
    *ret_n = tensor ? safetensors_bytes(tensor) / size : 0;
    *ret_records = tensor ? tensor->data : NULL;
    return tensor == NULL || find_data(source, name, *ret_n * size) ? 0 : -1;
}

static int read_history(struct source *source, const struct checkpoint *checkpoint)
{
    struct history *history = checkpoint->history;
    size_t n_losses, n_epochs;
    const void *losses, *epochs;
    if (read_records(source, "run.losses", sizeof *history->losses, &n_losses, &losses) != 0 ||
        read_records(source, "run.epochs", sizeof *history->epochs, &n_epochs, &epochs) != 0)
        return -1;
    for (size_t i = 0; i < n_losses; i++) {
        struct report_loss loss;
        memcpy(&loss, (const char *)losses + i * sizeof loss, sizeof loss);
        if (history_add_loss(history, loss.step, loss.loss, source->error) != 0)
            return -1;
    }
    for (size_t i = 0; i < n_epochs; i++) {
        struct report_epoch epoch;
        memcpy(&epoch, (const char *)epochs + i * sizeof epoch, sizeof epoch);
        if (epoch.epoch != i + 1)
            return train_error_set(source->error, "%s: its epoch %zu is numbered %u", source->path,
                                   i + 1, epoch.epoch);
        if (history_add_epoch(history, &epoch, source->error) != 0)
            return -1;
    }
    if (n_epochs != checkpoint->epoch || history->best_epoch > n_epochs)
        return train_error_set(
            source->error, "%s: it has measured %zu epochs; %llu are done, and the best is %u",
            source->path, n_epochs, (unsigned long long)checkpoint->epoch, history->best_epoch);
    return 0;
}

static int read_parameters(struct source *source, const struct checkpoint *checkpoint)
{
    for (int s = 0; s < N_SETS; s++)
        for (size_t i = 0; i < checkpoint->values->n; i++) {
            struct parameter *parameter = &set_of(checkpoint, s)->all[i];
            const struct text name = set_name(&source->arena, s, parameter->name);
            const size_t size = parameter->n_elements * sizeof(float);
            const void *data = find_data(source, name.at, size);
            if (data == NULL)
                return -1;
            memcpy(parameter->values, data, size);
        }
    return 0;
}

static int read_from(struct source *source, struct checkpoint *checkpoint)
{
    double numbers[N_NUMBERS];
    struct format_error reason;
    if (safetensors_read(&source->file, &source->arena, source->bytes.at, source->bytes.size,
                         &reason) != 0)
        return train_error_set(source->error, "%s: %s", source->path, reason.message);
    if (check_settings(source, checkpoint) != 0)
        return -1;
    const void *found = find_data(source, "run.numbers", sizeof numbers);
    const size_t pending_bytes = checkpoint->n_ranks * sizeof *checkpoint->pending;
    const void *pending = found ? find_data(source, "run.pending", pending_bytes) : NULL;
    if (pending == NULL)
        return -1;
    memcpy(numbers, found, sizeof numbers);
    memcpy(checkpoint->pending, pending, pending_bytes);
    if (check_numbers(numbers, source->path, source->error) != 0 ||
        check_pending(checkpoint, source->path, source->error) != 0)
        return -1;
    set_numbers(checkpoint, numbers);
    return read_history(source, checkpoint) != 0 ? -1 : read_parameters(source, checkpoint);
}

int checkpoint_read(struct checkpoint *checkpoint, const char *path, struct train_error *error)
{
    struct source source = {.path = path, .error = error};
    struct format_error reason;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 1;
    if (file_read(path, &source.bytes, &reason) != 0)
        return train_error_set(error, "%s: %s", path, reason.message);
    arena_init(&source.arena, SIZE_MAX);
    const int status = read_from(&source, checkpoint);
    arena_free(&source.arena);
    file_free(&source.bytes);
    return status;
}
