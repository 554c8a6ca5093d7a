/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_batch.c: a row's score has the same bits however it is asked for. */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "model/network.h"
#include "network_golden.h"
#include "predict.h"
#include "test.h"

enum { POOL_ROWS = 200, MAX_FLOATS = GOLDEN_MAX_COLUMNS * POOL_ROWS };

static const char *const kernel_sets[] = {"scalar", "avx2"};

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * limit) >> 32);
}

/* The kernel set of models loaded from here on; NULL: the fastest. */
static void choose_set(const char *name)
{
    if (name)
        setenv("DCNV2_CPU", name, 1);
    else
        unsetenv("DCNV2_CPU");
}

/* Rows that mix the golden ones column by column, and also name the rows of a table. */
struct pool {
    struct golden_network network;
    size_t rows[GOLDEN_MAX_COLUMNS * 2][POOL_ROWS];
    float alone[POOL_ROWS]; /* each row's score, of itself */
    dcnv2_workspace *workspace;
};

static struct pool pool;

/* An array of `n` words that ends where the process's memory ends. */
static void *place_at_end(void *map, size_t map_bytes, size_t n)
{
    return (char *)map + map_bytes - n * 4;
}

static void *map_with_guard(size_t *ret_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *ret_bytes = (MAX_FLOATS * 4 + page - 1) / page * page;
    char *map =
        mmap(NULL, *ret_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + *ret_bytes, page, PROT_NONE) != 0) {
        fprintf(stderr, "tests: no guarded memory\n");
        exit(1);
    }
    return map;
}

static void *dense_map, *indices_map, *scores_map;
static size_t map_bytes;

static void map_all(void)
{
    dense_map = map_with_guard(&map_bytes);
    indices_map = map_with_guard(&map_bytes);
    scores_map = map_with_guard(&map_bytes);
}

/* Scores the pool's rows `chosen` in one call; valid until the next. NULL: a check has failed. */
static const float *score(const size_t *chosen, size_t n)
{
    const struct golden_network *network = &pool.network;
    float *dense = place_at_end(dense_map, map_bytes, network->n_dense * n);
    uint32_t *indices = place_at_end(indices_map, map_bytes, network->n_sparse * n);
    float *scores = place_at_end(scores_map, map_bytes, n);
    for (size_t at = 0; at < n; at++) {
        for (size_t c = 0; c < network->n_dense; c++)
            dense[c * n + at] = network->dense[c * network->n_rows + pool.rows[c][chosen[at]]];
        for (size_t c = 0; c < network->n_sparse; c++)
            indices[c * n + at] =
                network
                    ->indices[c * network->n_rows + pool.rows[GOLDEN_MAX_COLUMNS + c][chosen[at]]];
    }
    memset(scores, 0xFF, n * sizeof *scores);
    struct dcnv2_error error = {0};
    const int status =
        predict_one_each(network->model, pool.workspace, n, dense, indices, scores, &error);
    CHECK_MSG(status == DCNV2_OK, "%s", error.message);
    return status == DCNV2_OK ? scores : NULL;
}

static bool open_pool(const char *name)
{
    struct dcnv2_error error;
    if (!golden_network_open(&pool.network, name))
        return false;
    random_state = 1;
    for (size_t c = 0; c < GOLDEN_MAX_COLUMNS * 2; c++)
        for (size_t row = 0; row < POOL_ROWS; row++)
            pool.rows[c][row] = random_below((uint32_t)pool.network.n_rows);
    CHECK(dcnv2_workspace_create(pool.network.model, &pool.workspace, &error) == DCNV2_OK);
    for (size_t row = 0; row < POOL_ROWS; row++) {
        const float *scores = score(&row, 1);
        pool.alone[row] = scores ? scores[0] : -1;
    }
    return true;
}

static void close_pool(void)
{
    dcnv2_workspace_free(pool.workspace);
    pool.workspace = NULL;
    golden_network_close(&pool.network);
}

static void check_batch(const char *name, const size_t *chosen, size_t n)
{
    const float *scores = score(chosen, n);
    for (size_t at = 0; scores && at < n; at++) {
        if (memcmp(&scores[at], &pool.alone[chosen[at]], sizeof *scores) == 0)
            continue;
        CHECK_MSG(false, "%s: position %zu of %zu: %a, alone %a", name, at, n, (double)scores[at],
                  (double)pool.alone[chosen[at]]);
        return;
    }
}

/* Next to a multiple of the kernels' tiles and of the forward pass's blocks. */
static bool is_near_border(size_t n)
{
    const size_t block = n % NETWORK_BLOCK_ROWS;
    return n <= 20 || block <= 1 || block == NETWORK_BLOCK_ROWS - 1 || block == 6 || block == 8 ||
           n >= POOL_ROWS - 2;
}

/* Batches of all sizes, each starting at another row, and shuffled ones. */
static void check_batches(const char *name, bool every_size)
{
    size_t chosen[POOL_ROWS];
    for (size_t n = 1; n <= POOL_ROWS; n++) {
        if (!every_size && !is_near_border(n))
            continue;
        for (size_t at = 0; at < n; at++)
            chosen[at] = (n * 7 + at) % POOL_ROWS;
        check_batch(name, chosen, n);
        for (size_t at = 0; n % 8 == 0 && at < n; at++)
            chosen[at] = random_below(POOL_ROWS);
        if (n % 8 == 0)
            check_batch(name, chosen, n);
    }
}

TEST(a_rows_bits_are_the_same_alone_and_in_a_batch_of_any_size)
{
    choose_set(NULL);
    for (size_t i = 0; golden_networks[i]; i++) {
        if (open_pool(golden_networks[i]))
            check_batches(golden_networks[i], true);
        close_pool();
    }
    if (open_pool("paper"))
        check_batches("paper", true);
    close_pool();
}

TEST(so_they_are_with_every_kernel_set)
{
    for (size_t s = 0; s < sizeof kernel_sets / sizeof kernel_sets[0]; s++) {
        if (kernels_select(kernel_sets[s]) == NULL)
            continue;
        choose_set(kernel_sets[s]);
        for (size_t i = 0; golden_networks[i]; i++) {
            if (open_pool(golden_networks[i]))
                check_batches(golden_networks[i], false);
            close_pool();
        }
    }
    choose_set(NULL);
}

TEST(a_rows_bits_are_the_same_at_every_position)
{
    static const char *const names[] = {"norm_4", "full_3", "deep_only"};
    choose_set(NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!open_pool(names[i]))
            continue;
        size_t chosen[2 * NETWORK_BLOCK_ROWS + 7];
        const size_t n = sizeof chosen / sizeof chosen[0];
        for (size_t place = 0; place < n; place++) {
            for (size_t at = 0; at < n; at++)
                chosen[at] = at == place ? 11 : (at * 13 + 3) % POOL_ROWS;
            check_batch(names[i], chosen, n);
        }
        close_pool();
    }
}

TEST(a_rows_bits_are_the_same_on_every_kernel_set)
{
    const char *names[64];
    size_t n_names = 0;
    for (size_t i = 0; golden_networks[i]; i++)
        names[n_names++] = golden_networks[i];
    names[n_names++] = "paper";
    for (size_t i = 0; i < n_names; i++) {
        float fastest[POOL_ROWS];
        choose_set(NULL);
        if (open_pool(names[i]))
            memcpy(fastest, pool.alone, sizeof fastest);
        close_pool();
        for (size_t s = 0; s < sizeof kernel_sets / sizeof kernel_sets[0]; s++) {
            if (kernels_select(kernel_sets[s]) == NULL)
                continue;
            choose_set(kernel_sets[s]);
            if (open_pool(names[i]))
                CHECK_MSG(memcmp(fastest, pool.alone, sizeof fastest) == 0, "%s, %s", names[i],
                          kernel_sets[s]);
            close_pool();
        }
    }
    choose_set(NULL);
}

TEST(what_a_workspace_served_before_does_not_show)
{
    choose_set(NULL);
    if (!open_pool("norm_4"))
        return;
    size_t chosen[POOL_ROWS];
    for (size_t at = 0; at < POOL_ROWS; at++)
        chosen[at] = POOL_ROWS - 1 - at;
    for (size_t n = POOL_ROWS; n > 0; n -= n > 9 ? 9 : 1) {
        check_batch("norm_4", chosen, n);
        check_batch("norm_4", chosen + POOL_ROWS - n, n);
        /* a call that fails half way */
        float dense[POOL_ROWS] = {0}, scores[POOL_ROWS];
        uint32_t indices[6 * POOL_ROWS] = {0};
        struct dcnv2_error error;
        indices[5 * POOL_ROWS + n % POOL_ROWS] = UINT32_MAX;
        CHECK(predict_one_each(pool.network.model, pool.workspace, POOL_ROWS, dense, indices,
                               scores, &error) == DCNV2_ERROR_ARGUMENT);
    }
    close_pool();
}

/* ---- logits */

/* Logits of rows first .. first + n - 1 of the golden ones, and scores of the same call. */
static bool score_with_logits(size_t first, size_t n, float *scores, float *logits)
{
    const struct golden_network *network = &pool.network;
    float *dense = place_at_end(dense_map, map_bytes, network->n_dense * n);
    uint32_t *indices = place_at_end(indices_map, map_bytes, network->n_sparse * n);
    struct dcnv2_error error = {0};
    for (size_t c = 0; c < network->n_dense; c++)
        memcpy(dense + c * n, network->dense + c * network->n_rows + first, n * sizeof *dense);
    for (size_t c = 0; c < network->n_sparse; c++)
        memcpy(indices + c * n, network->indices + c * network->n_rows + first,
               n * sizeof *indices);
    const int status = predict_logits_of(network->model, pool.workspace, n, dense, indices, scores,
                                         logits, &error);
    CHECK_MSG(status == DCNV2_OK, "%s", error.message);
    return status == DCNV2_OK;
}

/* The logit of PyTorch's probability, and how far a float logit may be from it. */
static void check_logit(const char *name, size_t row, float score, float logit)
{
    const double p = pool.network.in_double[row], wanted = log(p / (1 - p));
    const double sigmoid = 1 / (1 + exp(-(double)logit));
    CHECK_MSG(fabs((double)logit - wanted) <= 2e-6 * fmax(1, fabs(wanted)),
              "%s, row %zu: %.9g, %.9g", name, row, (double)logit, wanted);
    /* The logit's rounding moves the probability by p * (1 - p) times as much; EXP_LOWEST. */
    CHECK_MSG(fabs(sigmoid - (double)score) <=
                  (double)score * (0x1p-24 + fabs((double)logit) * 0x1p-24 + 1e-9) + 1.7e-38,
              "%s, row %zu: sigmoid(%.9g) is %.9g, score %.9g", name, row, (double)logit, sigmoid,
              (double)score);
}

static void check_logits(const char *name)
{
    static float scores[POOL_ROWS], logits[POOL_ROWS], plain[POOL_ROWS];
    const size_t all = pool.network.n_rows, n_rows = all < POOL_ROWS ? all : POOL_ROWS;
    if (!score_with_logits(0, n_rows, plain, NULL) || !score_with_logits(0, n_rows, scores, logits))
        return;
    CHECK_MSG(memcmp(scores, plain, n_rows * sizeof *scores) == 0, "%s: other scores", name);
    for (size_t row = 0; row < n_rows; row++) {
        float score, logit;
        check_logit(name, row, scores[row], logits[row]);
        if (score_with_logits(row, 1, &score, &logit))
            CHECK_MSG(memcmp(&logit, &logits[row], sizeof logit) == 0, "%s, row %zu alone", name,
                      row);
    }
}

TEST(logits_stand_in_front_of_scores_of_the_same_bits)
{
    static const char *const sets[] = {NULL, "scalar", "avx2"};
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        if (kernels_select(sets[s]) == NULL)
            continue;
        choose_set(sets[s]);
        for (size_t i = 0; golden_networks[i]; i++) {
            if (open_pool(golden_networks[i]))
                check_logits(golden_networks[i]);
            close_pool();
        }
        if (open_pool("paper"))
            check_logits("paper");
        close_pool();
    }
    choose_set(NULL);
}

/* ---- indices */

/* A batch of `n` rows, all of classes 0, but one index. */
static int predict_with_index(size_t n, size_t row, size_t column, uint32_t index,
                              struct dcnv2_error *error)
{
    const struct golden_network *network = &pool.network;
    float *dense = place_at_end(dense_map, map_bytes, network->n_dense * n);
    uint32_t *indices = place_at_end(indices_map, map_bytes, network->n_sparse * n);
    float *scores = place_at_end(scores_map, map_bytes, n);
    memset(dense, 0, network->n_dense * n * sizeof *dense);
    memset(indices, 0, network->n_sparse * n * sizeof *indices);
    indices[column * n + row] = index;
    return predict_one_each(network->model, pool.workspace, n, dense, indices, scores, error);
}

TEST(an_index_outside_its_table_is_refused_wherever_it_stands)
{
    /* Rows of the tables of norm_4, with those that no class reaches. */
    static const uint32_t n_rows[] = {9, 2, 8, 21, 8, 20};
    static const size_t places[][2] = {{1, 0},   {2, 1},   {6, 5},     {48, 47}, {49, 48},
                                       {96, 48}, {100, 3}, {145, 144}, {200, 77}};
    choose_set(NULL);
    if (!open_pool("norm_4"))
        return;
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        const size_t n = places[p][0], row = places[p][1];
        for (size_t column = 0; column < 6; column++) {
            const uint32_t bad[] = {n_rows[column], n_rows[column] + 1, 0x3FFFFFFF,
                                    0x7FFFFFFF,     0x80000000,         UINT32_MAX};
            struct dcnv2_error error = {0};
            CHECK(predict_with_index(n, row, column, n_rows[column] - 1, &error) == DCNV2_OK);
            for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
                char place[32];
                snprintf(place, sizeof place, "row %zu", row + 1);
                error = (struct dcnv2_error){0};
                CHECK(predict_with_index(n, row, column, bad[b], &error) == DCNV2_ERROR_ARGUMENT);
                CHECK(error.status == DCNV2_ERROR_ARGUMENT);
                CHECK_MSG(strstr(error.message, place) && !strchr(error.message, '\n'), "'%s'",
                          error.message);
            }
        }
    }
    close_pool();
}

int main(void)
{
    map_all();
    RUN(a_rows_bits_are_the_same_alone_and_in_a_batch_of_any_size);
    RUN(so_they_are_with_every_kernel_set);
    RUN(a_rows_bits_are_the_same_at_every_position);
    RUN(a_rows_bits_are_the_same_on_every_kernel_set);
    RUN(what_a_workspace_served_before_does_not_show);
    RUN(logits_stand_in_front_of_scores_of_the_same_bits);
    RUN(an_index_outside_its_table_is_refused_wherever_it_stands);
    return test_report();
}
