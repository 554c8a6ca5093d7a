/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several native backends that train one model together: threads of this program, with a plugin of
 * its own in the place of c10d.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "native/native_case.h"
#include "test.h"
#include "torch/torch_plugin.h"

enum { REPLICAS_MAX = 4, RECORDS = 320, STEPS = 40, BATCH = 24, N_TABLES = 5 };

/* What a collective call shares. */
static struct {
    pthread_barrier_t barrier;
    unsigned n_ranks;
    const void *theirs[REPLICAS_MAX];
    bool is_broken;         /* the next exchange fails */
    uint32_t count_of_last; /* not 0: what the last rank says it has read of the first table */
} group;

static int fake_gather(void *rank, const void *mine, size_t size, void *ret_all, char *message)
{
    group.theirs[*(unsigned *)rank] = mine;
    pthread_barrier_wait(&group.barrier);
    for (unsigned i = 0; i < group.n_ranks; i++)
        memcpy((char *)ret_all + i * size, group.theirs[i], size);
    if (group.count_of_last && size == N_TABLES * sizeof(uint32_t))
        memcpy((char *)ret_all + (group.n_ranks - 1) * size, &group.count_of_last,
               sizeof group.count_of_last);
    pthread_barrier_wait(&group.barrier);
    (void)message;
    return 0;
}

static int fake_sum(void *rank, float *values, size_t n, char *message)
{
    if (group.is_broken) {
        strcpy(message, "connection closed by peer");
        return -1;
    }
    float *all = malloc(group.n_ranks * n * sizeof *all);
    fake_gather(rank, values, n * sizeof *values, all, message);
    for (size_t i = 0; i < n; i++) {
        values[i] = 0;
        for (unsigned r = 0; r < group.n_ranks; r++)
            values[i] += all[r * n + i];
    }
    free(all);
    return 0;
}

static const struct torch_plugin plugin = {.group_sum = fake_sum, .group_gather = fake_gather};

/* ---- a run ---- */

struct replica {
    const struct native_case *c;
    struct ranks ranks;
    unsigned n_threads;
    struct case_state state;
    double loss;
    int result;
    struct train_error error;
};

/* Which rows of a step are whose: shares that differ, at times none. */
static uint32_t end_of_share(uint32_t step, unsigned rank, unsigned n_ranks)
{
    return rank == n_ranks ? BATCH : BATCH * rank / n_ranks + (rank ? step % 7 : 0);
}

static void *run(void *argument)
{
    struct replica *replica = argument;
    struct native_case c = *replica->c;
    c.options.ranks = &replica->ranks;
    c.options.n_threads = replica->n_threads;
    struct backend *backend = case_backend(&c);
    for (uint32_t t = 0; t < STEPS && replica->result == 0; t++) {
        const uint32_t *const *rows = c.rows + t * 13 % (RECORDS - BATCH);
        const unsigned n_ranks = replica->ranks.n_ranks, rank = replica->ranks.rank;
        const uint32_t first = end_of_share(t, rank, n_ranks);
        const uint32_t end = end_of_share(t, rank + 1, n_ranks);
        const uint32_t n = end > first ? end - first : 0;
        double loss = 0;
        replica->result =
            native_backend.step(backend, rows + first, n, BATCH, &loss, &replica->error);
        replica->loss += loss;
    }
    case_store(backend, &replica->state);
    native_backend.free(backend);
    return NULL;
}

static void run_ranks(const struct native_case *c, struct replica *replicas, unsigned n_ranks)
{
    pthread_t threads[REPLICAS_MAX];
    group.n_ranks = n_ranks;
    pthread_barrier_init(&group.barrier, NULL, n_ranks);
    for (unsigned i = 0; i < n_ranks; i++) {
        replicas[i] = (struct replica){.c = c, .n_threads = 1 + i % 2};
        replicas[i].ranks = (struct ranks){.rank = i, .n_ranks = n_ranks, .plugin = &plugin};
        replicas[i].ranks.group = &replicas[i].ranks.rank;
        case_state_create(c, &replicas[i].state);
        CHECK(pthread_create(&threads[i], NULL, run, &replicas[i]) == 0);
    }
    for (unsigned i = 0; i < n_ranks; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&group.barrier);
}

static void free_replicas(struct replica *replicas, unsigned n_ranks)
{
    for (unsigned i = 0; i < n_ranks; i++)
        case_state_free(&replicas[i].state);
}

static float largest_difference(const struct parameters *a, const struct parameters *b)
{
    float largest = 0;
    for (size_t i = 0; i < a->n; i++)
        for (uint64_t k = 0; k < a->all[i].n_elements; k++)
            largest = fmaxf(largest, fabsf(a->all[i].values[k] - b->all[i].values[k]));
    return largest;
}

static const struct published_sizes sizes = {
    .n_dense = 1, .n_sparse = N_TABLES, .embedding = 5, .n_cross = 2, .n_deep = 1, .deep = {20}};

TEST(replicas_have_equal_bits_and_follow_one_rank)
{
    struct native_case c;
    struct replica one[1], many[REPLICAS_MAX];
    case_create(&c, sizes, 60, RECORDS, 21);
    c.options.batch_rows = BATCH;
    run_ranks(&c, one, 1);
    for (unsigned n_ranks = 2; n_ranks <= REPLICAS_MAX; n_ranks++) {
        run_ranks(&c, many, n_ranks);
        double loss = 0;
        for (unsigned i = 0; i < n_ranks; i++) {
            CHECK(many[i].result == 0);
            CHECK(case_states_equal(&many[0].state, &many[i].state));
            loss += many[i].loss;
        }
        const float difference = largest_difference(&one[0].state.all[0], &many[0].state.all[0]);
        CHECK_MSG(difference < 2e-5f, "%u ranks: %g from one", n_ranks, (double)difference);
        CHECK_MSG(fabs(loss - one[0].loss) < 1e-4 * loss, "%.9g, %.9g", loss, one[0].loss);
        free_replicas(many, n_ranks);
    }
    free_replicas(one, 1);
    case_free(&c);
}

TEST(a_rank_that_is_lost_ends_the_step)
{
    struct native_case c;
    struct replica replicas[2];
    case_create(&c, sizes, 60, RECORDS, 22);
    c.options.batch_rows = BATCH;
    group.is_broken = true;
    run_ranks(&c, replicas, 2);
    group.is_broken = false;
    CHECK(replicas[0].result == -1 && replicas[1].result == -1);
    free_replicas(replicas, 2);
    case_free(&c);
}

TEST(a_count_that_no_batch_has_ends_the_step_before_it_is_used)
{
    struct native_case c;
    struct replica replicas[2];
    case_create(&c, sizes, 60, RECORDS, 23);
    c.options.batch_rows = BATCH;
    const uint32_t counts[] = {BATCH + 1, UINT32_MAX};
    for (int i = 0; i < 2; i++) {
        char expected[80];
        group.count_of_last = counts[i];
        run_ranks(&c, replicas, 2);
        for (unsigned rank = 0; rank < 2; rank++) {
            snprintf(expected, sizeof expected,
                     "rank %u: rank 1 has sent %u rows of table 0; a batch has 24", rank,
                     counts[i]);
            CHECK_MSG(replicas[rank].result == -1 &&
                          strcmp(replicas[rank].error.message, expected) == 0,
                      "%s", replicas[rank].error.message);
        }
        free_replicas(replicas, 2);
    }
    group.count_of_last = 0;
    case_free(&c);
}

int main(void)
{
    RUN(replicas_have_equal_bits_and_follow_one_rank);
    RUN(a_rank_that_is_lost_ends_the_step);
    RUN(a_count_that_no_batch_has_ends_the_step_before_it_is_used);
    return test_report();
}
