/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: the settings of dcnv2-train, from its command line and environment. */
#ifndef DCNV2_TRAIN_OPTIONS_H
#define DCNV2_TRAIN_OPTIONS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "dcnv2.h"
#include "network/published.h"
#include "settings.h"
#include "train/log_settings.h"

enum train_backend { TRAIN_NATIVE, TRAIN_TORCH };
enum train_best_by { TRAIN_BEST_BY_AUC, TRAIN_BEST_BY_LOG_LOSS };

struct train_options {
    const char *const *train_data; /* files or folders */
    size_t n_train_data;
    const char *const *valid_data;
    size_t n_valid_data;
    const char *label, *group; /* columns; group may be NULL */
    struct dcnv2_columns dense_columns, sparse_columns;
    struct log_settings log; /* what they say is in .. */
    struct log_form log_form;
    uint64_t min_count, max_bad_rows;

    unsigned embedding;
    unsigned cross; /* enum published_cross */
    unsigned n_cross;
    const char *deep; /* widths as text, NULL: the default; what it says is in .. */
    uint32_t n_deep;
    uint32_t deep_widths[PUBLISHED_MAX_LAYERS];
    const char *init_from; /* or NULL */

    unsigned epochs, batch_size;
    double learning_rate;
    uint64_t seed;
    unsigned early_stop; /* epochs without a better one; 0: none */
    unsigned best_by;    /* enum train_best_by */
    bool dense_adam;
    unsigned backend;   /* enum train_backend */
    unsigned n_threads; /* 0: as many as the container has CPUs */
    unsigned timeout_s; /* of ranks for each other */

    const char *output;
    bool resume;
    uint64_t checkpoint_steps; /* 0: only when stopped, and after each epoch */

    const volatile sig_atomic_t *stop; /* not 0: write a checkpoint and end */
};

/* With the table's defaults; see settings_read(). Checks what the table cannot. */
enum settings_result train_options_read(struct train_options *options, struct arena *arena,
                                        int argc, char **argv, char *message, size_t message_size);
void train_options_print_help(void);

#endif
