/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints whose checksums are right and whose numbers are those of no run. */
#include "train/checkpoint.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "network/published.h"
#include "test.h"

enum { N_RANKS = 2 };

static char path[] = "/tmp/dcnv2-checkpoint-XXXXXX";
static const uint32_t table_rows[] = {3};
static const struct published_sizes sizes = {
    .n_dense = 1, .n_sparse = 1, .embedding = 2, .n_deep = 1, .deep = {2}};
static struct network_spec spec; /* made of them */
static const struct report_setting settings[] = {{"seed", "1"}};

/* A run after two epochs and three batches of the third. */
struct stand {
    struct parameters sets[3];
    struct loss_sum pending[N_RANKS];
    struct history history;
    struct checkpoint checkpoint;
};

static void stand_init(struct stand *stand, unsigned n_epochs)
{
    struct train_error error;
    *stand = (struct stand){.pending = {{1.5, 8}, {0.5, 7}}};
    for (int i = 0; i < 3; i++)
        CHECK(parameters_create(&spec, &stand->sets[i], &error) == 0);
    for (unsigned i = 0; i < n_epochs; i++)
        CHECK(history_add_epoch(&stand->history, &(struct report_epoch){.epoch = i + 1}, &error) ==
              0);
    stand->history.best_epoch = n_epochs ? 1 : 0;
    stand->checkpoint = (struct checkpoint){.step = 23,
                                            .epoch = n_epochs,
                                            .batch = 3,
                                            .epoch_seconds = 0.5,
                                            .seconds = 9.25,
                                            .epoch_loss = {7.5, 40},
                                            .pending = stand->pending,
                                            .n_ranks = N_RANKS,
                                            .values = &stand->sets[0],
                                            .moment1 = &stand->sets[1],
                                            .moment2 = &stand->sets[2],
                                            .history = &stand->history,
                                            .settings = settings,
                                            .n_settings = 1};
}

static void stand_free(struct stand *stand)
{
    for (int i = 0; i < 3; i++)
        parameters_free(&stand->sets[i]);
    history_free(&stand->history);
}

/* What checkpoint_read() finds in what checkpoint_write() made of `written`. */
static int read_back(const struct stand *written, struct stand *found, struct train_error *error)
{
    stand_init(found, 0);
    if (checkpoint_write(&written->checkpoint, path, error) != 0)
        return -1;
    return checkpoint_read(&found->checkpoint, path, error);
}

/* Writes and frees `written`. `message`: what stands behind the path. */
static void check_refused(struct stand *written, const char *message)
{
    struct stand found;
    struct train_error error;
    CHECK(read_back(written, &found, &error) == -1);
    CHECK_MSG(strncmp(error.message, path, strlen(path)) == 0 &&
                  strcmp(error.message + strlen(path), message) == 0,
              "\"%s\" instead of \"%s\"", error.message, message);
    stand_free(&found);
    stand_free(written);
}

TEST(numbers_of_a_run_come_back)
{
    struct stand written, found;
    struct train_error error;
    stand_init(&written, 2);
    written.checkpoint.step = (UINT64_C(1) << 53) - 1;
    CHECK(read_back(&written, &found, &error) == 0);
    const struct checkpoint *a = &written.checkpoint, *b = &found.checkpoint;
    CHECK(a->step == b->step && a->epoch == b->epoch && a->batch == b->batch);
    CHECK(a->seconds == b->seconds && a->epoch_seconds == b->epoch_seconds);
    CHECK(a->epoch_loss.sum == b->epoch_loss.sum && a->epoch_loss.n_rows == b->epoch_loss.n_rows);
    CHECK(found.history.best_epoch == 1 && found.history.n_epochs == 2);
    CHECK(memcmp(written.pending, found.pending, sizeof found.pending) == 0);
    stand_free(&written);
    stand_free(&found);
}

/* One number of a checkpoint changed. */
#define REFUSED(change, message)                                                                   \
    do {                                                                                           \
        struct stand stand;                                                                        \
        stand_init(&stand, 2);                                                                     \
        stand.change;                                                                              \
        check_refused(&stand, message);                                                            \
    } while (0)

TEST(a_number_beyond_what_it_is_cast_to_is_refused)
{
    REFUSED(checkpoint.step = UINT64_MAX, ": its step is 1.84467e+19, which no run has");
    REFUSED(checkpoint.epoch = UINT64_C(1) << 32, ": its epoch is 4.29497e+09, which no run has");
    REFUSED(checkpoint.batch = UINT64_MAX, ": its batch is 1.84467e+19, which no run has");
}

TEST(a_number_that_nothing_measures_is_refused)
{
    REFUSED(checkpoint.seconds = -1, ": its seconds is -1, which no run has");
    REFUSED(checkpoint.seconds = INFINITY, ": its seconds is inf, which no run has");
    REFUSED(checkpoint.epoch_seconds = NAN, ": its seconds of the epoch is nan, which no run has");
    REFUSED(checkpoint.epoch_loss.sum = NAN, ": its sum of losses is nan, which no run has");
    REFUSED(checkpoint.epoch_loss.n_rows = 0.5, ": its rows of losses is 0.5, which no run has");
    REFUSED(checkpoint.epoch_loss.n_rows = -8, ": its rows of losses is -8, which no run has");
}

TEST(a_loss_of_a_rank_that_nothing_measures_is_refused)
{
    REFUSED(pending[1].sum = NAN, ": its loss of rank 1 is nan in 7 rows, which no run has");
    REFUSED(pending[1].sum = INFINITY, ": its loss of rank 1 is inf in 7 rows, which no run has");
    REFUSED(pending[0].n_rows = 1e300,
            ": its loss of rank 0 is 1.5 in 1e+300 rows, which no run has");
    REFUSED(pending[0].n_rows = 8.5, ": its loss of rank 0 is 1.5 in 8.5 rows, which no run has");
}

TEST(epochs_that_do_not_fit_the_history_are_refused)
{
    REFUSED(checkpoint.epoch = 5, ": it has measured 2 epochs; 5 are done, and the best is 1");
    REFUSED(checkpoint.epoch = 1, ": it has measured 2 epochs; 1 are done, and the best is 1");
    REFUSED(history.best_epoch = 3, ": it has measured 2 epochs; 2 are done, and the best is 3");
    REFUSED(history.epochs[1].epoch = 7, ": its epoch 2 is numbered 7");
}

int main(void)
{
    struct arena arena;
    const int file = mkstemp(path);
    arena_init(&arena, SIZE_MAX);
    if (file < 0 || published_make(&spec, &arena, &sizes, table_rows) != 0)
        return 1;
    close(file);
    RUN(numbers_of_a_run_come_back);
    RUN(a_number_beyond_what_it_is_cast_to_is_refused);
    RUN(a_number_that_nothing_measures_is_refused);
    RUN(a_loss_of_a_rank_that_nothing_measures_is_refused);
    RUN(epochs_that_do_not_fit_the_history_are_refused);
    unlink(path);
    arena_free(&arena);
    return test_report();
}
