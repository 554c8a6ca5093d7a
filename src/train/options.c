/* SPDX-License-Identifier: Apache-2.0 */
#include "train/options.h"

#include <stdlib.h>
#include <string.h>

#define AT(kind, member)            SETTING_AT(kind, struct train_options, member)
#define NUMBER(member, least, most) SETTING_NUMBER_AT(struct train_options, member, least, most)
#define CHOICE(member, choices)     SETTING_CHOICE_AT(struct train_options, member, choices)

static const struct setting all[] = {
    {"train-data", NULL, AT(SETTING_PATHS, train_data),
     "CSV or the like, also gzip or UTF-16: files, or folders of *.csv"},
    {"valid-data", NULL, AT(SETTING_PATHS, valid_data), "the same, to measure each epoch by"},
    {"output", NULL, AT(SETTING_TEXT, output),
     "folder for the model's files; made where missing, with its parents"},
    LOG_SETTINGS(struct train_options, log),
    {"label", NULL, AT(SETTING_TEXT, label), "the column of clicks, 0 or 1 (clk)"},
    {"dense-cols", "DENSE_COLS", AT(SETTING_LIST, dense_columns),
     "dense columns, by commas; \"a,b\" in quotes is one"},
    {"sparse-cols", "SPARSE_COLS", AT(SETTING_LIST, sparse_columns),
     "category columns, the same way"},
    {"group-col", NULL, AT(SETTING_TEXT, group), "the column of grouped AUC (none)"},
    {"min-count", NULL, NUMBER(min_count, 1, UINT32_MAX),
     "rarer values share the out-of-vocabulary row, which else is not trained (1)"},
    {"max-bad-rows", NULL, NUMBER(max_bad_rows, 0, UINT64_MAX), "bad rows to skip and count (0)"},

    {"embedding", NULL, NUMBER(embedding, 1, 256), "width of an embedding (8)"},
    {"cross", NULL, CHOICE(cross, "layernorm|full"),
     "cross layers LayerNorm(Wc+b)+c, or DCN v2's x0*(Wc+b)+c (layernorm)"},
    {"cross-layers", NULL, NUMBER(n_cross, 0, PUBLISHED_MAX_LAYERS), "how many (2)"},
    {"dnn", NULL, AT(SETTING_TEXT, deep), "widths of the deep layers, or none (128,64)"},
    {"init-from", NULL, AT(SETTING_TEXT, init_from),
     "go on from a model's weights, encoder and layers: model.safetensors, or a folder with the "
     "pair"},

    {"epochs", NULL, NUMBER(epochs, 1, 10000), "passes over the data (3)"},
    {"batch-size", NULL, NUMBER(batch_size, 1, 1 << 20), "rows a step, of each rank (128)"},
    {"learning-rate", NULL, AT(SETTING_REAL, learning_rate), "of Adam (0.001)"},
    {"seed", NULL, NUMBER(seed, 0, UINT64_MAX), "of the first weights and the shuffles (1)"},
    {"early-stop", NULL, NUMBER(early_stop, 0, 10000),
     "end after so many epochs without a better one (0: never)"},
    {"best-by", NULL, CHOICE(best_by, "auc|logloss"), "which epoch's files are kept (auc)"},
    {"dense-adam", NULL, AT(SETTING_FLAG, dense_adam),
     "move every row of every table at each step: the same bits, slower"},
    {"backend", NULL, CHOICE(backend, "native|torch"), "what computes gradients (native)"},
    {"threads", NULL, NUMBER(n_threads, 1, 1024), "threads of the backend (the container's CPUs)"},
    {"timeout", NULL, NUMBER(timeout_s, 1, 86400), "seconds that ranks wait for each other (60)"},

    {"resume", NULL, AT(SETTING_FLAG, resume),
     "go on from the checkpoint in the output folder, if there is one"},
    {"checkpoint-steps", NULL, NUMBER(checkpoint_steps, 0, UINT64_MAX),
     "steps from one checkpoint to the next (10000); also after each epoch and on SIGTERM"},
};

/* Numbers that another model would bring along, as long as they are not given. */
enum { NO_MIN_COUNT = 0, NOT_GIVEN = UINT16_MAX };

static const struct train_options defaults = {
    .label = "clk",
    .min_count = NO_MIN_COUNT,
    .embedding = NOT_GIVEN,
    .cross = NOT_GIVEN,
    .n_cross = NOT_GIVEN,
    .n_deep = 2,
    .deep_widths = {128, 64},
    .epochs = 3,
    .batch_size = 128,
    .learning_rate = 1e-3,
    .seed = 1,
    .timeout_s = 60,
    .checkpoint_steps = 10000,
};

/* "128,64" or "none" */
static int read_deep(struct train_options *options)
{
    const char *at = options->deep;
    if (at == NULL) /* the default */
        return 0;
    options->n_deep = 0;
    if (strcmp(at, "none") == 0)
        return 0;
    for (;;) {
        char *end;
        const unsigned long width = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (width < 1 || width > 16384 || options->n_deep == PUBLISHED_MAX_LAYERS)
            return -1;
        options->deep_widths[options->n_deep++] = (uint32_t)width;
        if (*end == '\0')
            return 0;
        if (*end != ',')
            return -1;
        at = end + 1;
    }
}

/* Whether anything is given that is a part of the model that --init-from brings. */
static bool describes_a_model(const struct train_options *options)
{
    return options->min_count != NO_MIN_COUNT || options->embedding != NOT_GIVEN ||
           options->cross != NOT_GIVEN || options->n_cross != NOT_GIVEN || options->deep != NULL;
}

static void set_default(unsigned *number, unsigned value)
{
    if (*number == NOT_GIVEN)
        *number = value;
}

static void set_defaults(struct train_options *options)
{
    if (options->min_count == NO_MIN_COUNT)
        options->min_count = 1;
    set_default(&options->embedding, 8);
    set_default(&options->cross, PUBLISHED_LAYER_NORM);
    set_default(&options->n_cross, 2);
}

/* What is wrong with the settings taken together, or NULL. */
static const char *find_fault(struct train_options *options)
{
    if (options->n_train_data == 0)
        return "--train-data: is missing: which files to learn from; see --help";
    if (options->output == NULL)
        return "--output: is missing: the folder to write to; see --help";
    if (options->init_from == NULL && options->sparse_columns.n + options->dense_columns.n == 0)
        return "--sparse-cols, --dense-cols: are missing: which columns to learn from; see --help";
    if (options->init_from && describes_a_model(options))
        return "--init-from: brings the model's encoder and layers; leave --min-count, "
               "--embedding, "
               "--cross, --cross-layers and --dnn out";
    const char *fault = log_settings_read(&options->log, &options->log_form);
    if (fault)
        return fault;
    set_defaults(options);
    if (read_deep(options) != 0)
        return "--dnn: expected widths from 1 to 16384 by commas, 32 at most, or none";
    if (options->n_cross + options->n_deep == 0)
        return "--cross-layers 0 and --dnn none leave nothing to train";
    if (options->early_stop && options->n_valid_data == 0)
        return "--early-stop: needs --valid-data to tell which epoch is better";
    return NULL;
}

static const struct settings settings = SETTINGS_OF(all);

enum settings_result train_options_read(struct train_options *options, struct arena *arena,
                                        int argc, char **argv, char *message, size_t message_size)
{
    *options = defaults;
    enum settings_result result =
        settings_read(&settings, options, arena, argc, argv, message, message_size);
    const char *fault = result == SETTINGS_RUN ? find_fault(options) : NULL;
    if (fault) {
        snprintf(message, message_size, "%s", fault);
        result = SETTINGS_WRONG;
    }
    return result;
}

void train_options_print_help(void)
{
    fputs(
        "usage: dcnv2-train --train-data FILE .. --valid-data FILE .. --output DIR \\\n"
        "           --label clk --dense-cols price --sparse-cols userid,..\n\n"
        "Trains a DCNv2 click-through-rate network. Writes model_weights.pth and\n"
        "preprocess_metadata.pkl (the notebook's files), model.safetensors (the same in one, for\n"
        "dcnv2-server and dcnv2-score), metrics.json and report.html.\n\n",
        stdout);
    settings_print_help(&settings, stdout);
    fputs("  --help, --version\n\n"
          "The second column is the environment variable of the same meaning; a flag beats it.\n"
          "Several machines: MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK as a PyTorchJob sets\n"
          "them, or PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT of a TrainJob.\n"
          "SIGTERM or Ctrl-C: writes a checkpoint and ends with exit code 143 or 130.\n"
          "Exit codes: 0 done, 1 training cannot go on (one line says why), 2 wrong usage.\n",
          stdout);
}
