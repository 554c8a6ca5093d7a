/* SPDX-License-Identifier: Apache-2.0 */
/* native.c: the backend in plain C, and the jobs of a step. native.h has the design. */
#include "native/native.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native/float_mode.h"

/* ---- a batch ---- */

static void read_table(void *context, uint32_t task, unsigned member)
{
    struct backend *backend = context;
    native_table_read(backend, task, member);
    if (backend->n_threads > 1)
        native_catch_up_rest(backend, member);
}

static void run_block(void *context, uint32_t task, unsigned member)
{
    native_block(context, task, member);
}

static void take_gradient(void *context, uint32_t task, unsigned member)
{
    struct backend *backend = context;
    (void)member;
    if (task < backend->n_parts)
        native_part_gradient(backend, task);
    else
        native_table_sum(backend, task - backend->n_parts);
}

static void update(void *context, uint32_t task, unsigned member)
{
    struct backend *backend = context;
    (void)member;
    if (task < backend->n_parts)
        native_part_update(backend, task);
    else
        native_table_update(backend, task - backend->n_parts);
}

/* While the gradient is in the cache. */
static void take_gradient_and_update(void *context, uint32_t task, unsigned member)
{
    take_gradient(context, task, member);
    update(context, task, member);
}

static void run_parts_and_tables(struct backend *backend, team_task task)
{
    team_run(backend->team, backend->n_parts + backend->n_tables, task, backend);
}

/* Three blocks or more a thread, but no smaller than a kernel's tiles want them. */
static uint32_t block_rows_for(uint32_t n_rows, unsigned n_threads)
{
    enum { TILE = 12 };
    if (n_threads == 1)
        return BLOCK_ROWS_MAX;
    const uint32_t wanted = (n_rows / (3 * n_threads) + TILE - 1) / TILE * TILE;
    return wanted < TILE ? TILE : wanted > BLOCK_ROWS_MAX ? BLOCK_ROWS_MAX : wanted;
}

/* Forward, and back if it is training; the rows read are caught up. */
static int run_batch(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                     bool is_training, struct train_error *error)
{
    const uint32_t n_tables = backend->n_tables;
    backend->rows = rows;
    backend->n_rows = n_rows;
    backend->is_training = is_training;
    backend->block_rows = block_rows_for(n_rows, backend->n_threads);
    backend->stamp++;
    team_run(backend->team, n_tables, read_table, backend);
    if (backend->n_threads == 1) /* all tables' at once: the more, the faster */
        native_catch_up_rest(backend, 0);
    for (uint32_t t = 0; t < n_tables; t++)
        if (backend->tables[t].is_outside)
            return train_error_set(error, "a row index is outside of table %u", (unsigned)t);
    team_run(backend->team, (n_rows + backend->block_rows - 1) / backend->block_rows, run_block,
             backend);
    return 0;
}

static double sum_of_losses(const struct backend *backend)
{
    double sum = 0;
    for (uint32_t r = 0; r < backend->n_rows; r++)
        sum += backend->losses[r];
    return sum;
}

static int check_batch(const struct backend *backend, uint32_t n_rows, struct train_error *error)
{
    if (n_rows <= backend->batch_rows)
        return 0;
    return train_error_set(error, "a batch of %u rows, where %u were the most", (unsigned)n_rows,
                           (unsigned)backend->batch_rows);
}

static int run_step(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                    struct train_error *error)
{
    if (run_batch(backend, rows, n_rows, true, error) != 0)
        return -1;
    if (backend->ranks && backend->ranks->n_ranks > 1) {
        run_parts_and_tables(backend, take_gradient);
        if (native_exchange(backend, error) != 0)
            return -1;
        run_parts_and_tables(backend, update);
    } else {
        run_parts_and_tables(backend, take_gradient_and_update);
    }
    backend->n_steps++;
    return 0;
}

static int step(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                uint32_t n_all_rows, double *ret_loss, struct train_error *error)
{
    if (check_batch(backend, n_rows, error) != 0 ||
        native_know_step(backend, backend->n_steps + 1, error) != 0)
        return -1;
    backend->factor = 1 / (float)n_all_rows;
    const uint64_t mode = float_mode_flush();
    const int result = run_step(backend, rows, n_rows, error);
    float_mode_restore(mode);
    *ret_loss = sum_of_losses(backend);
    return result;
}

static int gradients(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                     struct parameters *ret_gradients, struct train_error *error)
{
    if (check_batch(backend, n_rows, error) != 0)
        return -1;
    backend->factor = 1 / (float)n_rows;
    const uint64_t mode = float_mode_flush();
    const int result = run_batch(backend, rows, n_rows, true, error);
    if (result == 0)
        run_parts_and_tables(backend, take_gradient);
    float_mode_restore(mode);
    if (result == 0)
        native_gradients_out(backend, ret_gradients);
    return result;
}

static int score(struct backend *backend, const uint32_t *const *rows, uint32_t n_rows,
                 float *scores, struct train_error *error)
{
    const uint64_t mode = float_mode_flush();
    int result = 0;
    for (uint32_t first = 0, n; first < n_rows && result == 0; first += n) {
        n = n_rows - first < backend->batch_rows ? n_rows - first : backend->batch_rows;
        result = run_batch(backend, rows + first, n, false, error);
        if (result == 0)
            memcpy(scores + first, backend->scores, n * sizeof *scores);
    }
    float_mode_restore(mode);
    return result;
}

/* ---- the whole ---- */

static void catch_up_table(void *context, uint32_t task, unsigned member)
{
    struct backend *backend = context;
    native_catch_up(backend, &backend->tables[task], NULL, backend->tables[task].n_rows, member);
    native_catch_up_rest(backend, member);
}

static int store(struct backend *backend, struct parameters *values, struct parameters *moment1,
                 struct parameters *moment2, struct train_error *error)
{
    (void)error;
    const uint64_t mode = float_mode_flush();
    team_run(backend->team, backend->n_tables, catch_up_table, backend);
    float_mode_restore(mode);
    native_values_out(backend, values, moment1, moment2);
    return 0;
}

static int load(struct backend *backend, const struct parameters *values,
                const struct parameters *moment1, const struct parameters *moment2,
                uint64_t n_steps, struct train_error *error)
{
    if (n_steps >= ROW_UNTOUCHED / 2)
        return train_error_set(error, "%llu steps are too many", (unsigned long long)n_steps);
    native_set_steps(backend, (uint32_t)n_steps);
    native_values_in(backend, values, moment1, moment2);
    return 0;
}

static int check_adam(const struct adam_options *adam, struct train_error *error)
{
    if (adam->learning_rate >= 0 && adam->learning_rate < INFINITY && adam->beta1 >= 0 &&
        adam->beta1 < 1 && adam->beta2 >= 0 && adam->beta2 < 1 && adam->eps > 0)
        return 0;
    return train_error_set(error, "Adam needs a learning rate of 0 or more, betas from 0 to below "
                                  "1, and an eps above 0");
}

static int create(struct backend **ret_backend, const struct backend_options *options,
                  struct train_error *error)
{
    if (check_adam(&options->adam, error) != 0)
        return -1;
    struct backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        return train_error_memory(error);
    backend->spec = options->spec;
    backend->ranks = options->ranks;
    backend->adam = options->adam;
    backend->batch_rows = options->batch_rows;
    backend->n_threads = options->n_threads ? options->n_threads : 1;
    backend->kernels = kernels_select(getenv("DCNV2_CPU"));
    int result = native_lay_out(backend, error);
    if (result == 0 && backend->kernels == NULL)
        result = train_error_set(error, "this CPU has no kernels named %s", getenv("DCNV2_CPU"));
    if (result == 0) {
        backend->train = train_kernels_select(backend->kernels);
        backend->team = team_create(backend->n_threads);
        if (backend->team == NULL)
            result = train_error_set(error, "cannot start %u threads", backend->n_threads);
    }
    if (result != 0) {
        native_free(backend);
        return -1;
    }
    native_set_steps(backend, 0);
    *ret_backend = backend;
    return 0;
}

const struct backend_class native_backend = {
    .name = "native",
    .create = create,
    .free = native_free,
    .load = load,
    .store = store,
    .step = step,
    .gradients = gradients,
    .score = score,
};
