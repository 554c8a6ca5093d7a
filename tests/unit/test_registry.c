/* SPDX-License-Identifier: Apache-2.0 */
/* test_registry.c: the model in service, and how it is replaced while it is used. */
#include "registry.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/model_files.h"
#include "model/predict.h"
#include "test.h"

/* Two models of one shape whose scores of the row of zeros differ, and no model at all. */
enum kind { MODEL_A, MODEL_B, N_MODELS, NOT_A_MODEL = N_MODELS };

static struct model_files files;
static struct dcnv2_source source;
static float scores[N_MODELS];

/* Puts the files of one of them where the registry reads. */
static void put(enum kind kind)
{
    files.factor = kind == MODEL_A ? 1.0f : 1.5f;
    model_files_put(&files);
    if (kind == NOT_A_MODEL)
        write_whole_file(files.model_path, "not a model", 11);
}

static float score_of(const dcnv2_model *model)
{
    const float dense[2] = {0, 0};
    const uint32_t indices[2] = {2, 3};
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error;
    float score = -1;
    if (dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK)
        predict_one_each(model, workspace, 1, dense, indices, &score, &error);
    dcnv2_workspace_free(workspace);
    return score;
}

/* The kind of the model in service, as a worker sees it. */
static enum kind serves(struct registry *registry, unsigned worker)
{
    enum kind kind = NOT_A_MODEL;
    const dcnv2_model *model = registry_acquire(registry, worker);
    if (model) {
        const float score = score_of(model);
        for (int i = 0; i < N_MODELS; i++)
            if (score == scores[i])
                kind = (enum kind)i;
        CHECK(kind != NOT_A_MODEL);
    }
    registry_release(registry, worker);
    return kind;
}

static void prepare(void)
{
    model_files_start(&files);
    source = model_files_source(&files);
    for (int i = 0; i < N_MODELS; i++) {
        dcnv2_model *model = NULL;
        struct dcnv2_error error = {0};
        put((enum kind)i);
        CHECK_MSG(dcnv2_model_load(&source, &model, &error) == DCNV2_OK, "%s", error.message);
        scores[i] = model ? score_of(model) : -1;
        dcnv2_model_free(model);
    }
    CHECK(scores[MODEL_A] != scores[MODEL_B]);
}

/* ---- one thread */

TEST(a_registry_starts_without_a_model)
{
    struct registry *registry = registry_create(&source, 2);
    CHECK(!registry_has_model(registry));
    CHECK(registry_acquire(registry, 0) == NULL);
    registry_release(registry, 0);
    CHECK(!registry_unload(registry));
    registry_free(registry);
    registry_free(NULL);
}

TEST(a_load_puts_the_model_of_the_files_in_service)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error;
    for (int i = 0; i < 4; i++) {
        put((enum kind)(i % 2));
        CHECK(registry_load(registry, &error) == DCNV2_OK);
        CHECK(registry_has_model(registry));
        CHECK(serves(registry, 0) == (enum kind)(i % 2));
    }
    registry_free(registry);
}

TEST(files_that_changed_are_not_seen_before_the_next_load)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error;
    put(MODEL_A);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    put(MODEL_B);
    CHECK(serves(registry, 0) == MODEL_A);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    CHECK(serves(registry, 0) == MODEL_B);
    registry_free(registry);
}

TEST(a_bad_file_keeps_the_old_model)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error = {0};
    put(MODEL_A);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    const dcnv2_model *before = registry_acquire(registry, 0);
    registry_release(registry, 0);

    put(NOT_A_MODEL);
    CHECK(registry_load(registry, &error) == DCNV2_ERROR_FORMAT);
    CHECK(error.status == DCNV2_ERROR_FORMAT && is_one_line_message(&error));
    CHECK(strncmp(error.message, files.model_path, strlen(files.model_path)) == 0);
    CHECK(unlink(files.model_path) == 0);
    CHECK(registry_load(registry, &error) == DCNV2_ERROR_IO);
    CHECK(registry_acquire(registry, 0) == before);
    registry_release(registry, 0);
    CHECK(serves(registry, 0) == MODEL_A);

    put(MODEL_B);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    CHECK(serves(registry, 0) == MODEL_B);
    registry_free(registry);
}

TEST(a_bad_file_at_the_start_leaves_no_model)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error = {0};
    put(NOT_A_MODEL);
    CHECK(registry_load(registry, &error) == DCNV2_ERROR_FORMAT);
    CHECK(!registry_has_model(registry) && registry_acquire(registry, 0) == NULL);
    registry_release(registry, 0);
    registry_free(registry);
}

/* Its weights are finite; its scores are not. */
TEST(a_model_that_cannot_score_is_refused_by_the_warm_up)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error = {0};
    put(MODEL_A);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    files.factor = 3e38f;
    model_files_put(&files);
    CHECK(registry_load(registry, &error) != DCNV2_OK);
    CHECK_MSG(is_one_line_message(&error), "%s", error.message);
    CHECK(serves(registry, 0) == MODEL_A);
    registry_free(registry);
}

TEST(an_unload_takes_the_model_away_until_the_next_load)
{
    struct registry *registry = registry_create(&source, 1);
    struct dcnv2_error error;
    put(MODEL_A);
    for (int i = 0; i < 3; i++) {
        CHECK(registry_load(registry, &error) == DCNV2_OK);
        CHECK(serves(registry, 0) == MODEL_A);
        CHECK(registry_unload(registry));
        CHECK(!registry_has_model(registry));
        CHECK(serves(registry, 0) == NOT_A_MODEL);
        CHECK(!registry_unload(registry));
    }
    registry_free(registry);
}

/* ---- several threads */

enum { N_WORKERS = 3, SECOND_LOADER_SWAPS = 25, LOADER_SWAPS = 60 };

struct swap {
    struct registry *registry;
    atomic_bool done;
};

static void *load_once(void *argument)
{
    struct swap *swap = argument;
    struct dcnv2_error error;
    const bool loaded = registry_load(swap->registry, &error) == DCNV2_OK;
    atomic_store(&swap->done, true);
    return loaded ? swap : NULL;
}

static void *unload_once(void *argument)
{
    struct swap *swap = argument;
    const bool unloaded = registry_unload(swap->registry);
    atomic_store(&swap->done, true);
    return unloaded ? swap : NULL;
}

/* Worker 0 holds a model; the swap is in place for worker 1, and waits for worker 0. */
static void check_held_while(void *(*run)(void *), enum kind after)
{
    struct swap swap = {.registry = registry_create(&source, 2)};
    struct dcnv2_error error;
    pthread_t thread;
    void *result = NULL;
    atomic_init(&swap.done, false);
    put(MODEL_A);
    CHECK(registry_load(swap.registry, &error) == DCNV2_OK);
    const dcnv2_model *held = registry_acquire(swap.registry, 0);
    put(MODEL_B);
    CHECK(pthread_create(&thread, NULL, run, &swap) == 0);
    while (serves(swap.registry, 1) != after)
        sched_yield();
    for (int i = 0; i < 20; i++) {
        CHECK(score_of(held) == scores[MODEL_A]);
        CHECK(!atomic_load(&swap.done));
        CHECK(serves(swap.registry, 1) == after);
    }
    registry_release(swap.registry, 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == &swap);
    CHECK(serves(swap.registry, 0) == after);
    registry_free(swap.registry);
}

TEST(a_model_in_use_lives_until_it_is_released_though_another_is_loaded)
{
    check_held_while(load_once, MODEL_B);
}

TEST(a_model_in_use_lives_until_it_is_released_though_it_is_unloaded)
{
    check_held_while(unload_once, NOT_A_MODEL);
}

struct crowd {
    struct registry *registry;
    atomic_bool over;
    atomic_uint n_served, n_wrong;
};

struct worker {
    struct crowd *crowd;
    unsigned number;
};

static void *work(void *argument)
{
    const struct worker *worker = argument;
    struct crowd *crowd = worker->crowd;
    while (!atomic_load(&crowd->over)) {
        const dcnv2_model *model = registry_acquire(crowd->registry, worker->number);
        if (model) {
            const float score = score_of(model);
            if (score != scores[MODEL_A] && score != scores[MODEL_B])
                atomic_fetch_add(&crowd->n_wrong, 1);
            atomic_fetch_add(&crowd->n_served, 1);
        }
        registry_release(crowd->registry, worker->number);
    }
    return NULL;
}

static void *load_again(void *argument)
{
    struct crowd *crowd = argument;
    struct dcnv2_error error;
    for (int i = 0; i < SECOND_LOADER_SWAPS; i++)
        registry_load(crowd->registry, &error); /* of whatever lies there now, also of nothing */
    return NULL;
}

TEST(workers_get_whole_models_while_others_swap_them)
{
    struct crowd crowd = {.registry = registry_create(&source, N_WORKERS)};
    struct worker workers[N_WORKERS];
    pthread_t threads[N_WORKERS], loader;
    struct dcnv2_error error;
    atomic_init(&crowd.over, false);
    atomic_init(&crowd.n_served, 0);
    atomic_init(&crowd.n_wrong, 0);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        workers[i] = (struct worker){&crowd, i};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    CHECK(pthread_create(&loader, NULL, load_again, &crowd) == 0);
    for (int i = 0; i < LOADER_SWAPS; i++) {
        const enum kind kind = i % 5 == 4 ? NOT_A_MODEL : (enum kind)(i % 2);
        put(kind);
        CHECK((registry_load(crowd.registry, &error) == DCNV2_OK) == (kind != NOT_A_MODEL));
        if (i % 7 == 6)
            registry_unload(crowd.registry);
    }
    CHECK(pthread_join(loader, NULL) == 0);
    put(MODEL_A);
    CHECK(registry_load(crowd.registry, &error) == DCNV2_OK);
    const unsigned served = atomic_load(&crowd.n_served);
    while (atomic_load(&crowd.n_served) < served + N_WORKERS)
        sched_yield();
    atomic_store(&crowd.over, true);
    for (unsigned i = 0; i < N_WORKERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_MSG(atomic_load(&crowd.n_wrong) == 0, "%u of %u", atomic_load(&crowd.n_wrong),
              atomic_load(&crowd.n_served));
    CHECK(serves(crowd.registry, 0) == MODEL_A);
    registry_free(crowd.registry);
}

int main(void)
{
    prepare();
    RUN(a_registry_starts_without_a_model);
    RUN(a_load_puts_the_model_of_the_files_in_service);
    RUN(files_that_changed_are_not_seen_before_the_next_load);
    RUN(a_bad_file_keeps_the_old_model);
    RUN(a_bad_file_at_the_start_leaves_no_model);
    RUN(a_model_that_cannot_score_is_refused_by_the_warm_up);
    RUN(an_unload_takes_the_model_away_until_the_next_load);
    RUN(a_model_in_use_lives_until_it_is_released_though_another_is_loaded);
    RUN(a_model_in_use_lives_until_it_is_released_though_it_is_unloaded);
    RUN(workers_get_whole_models_while_others_swap_them);
    put(MODEL_A); /* what is removed must be there */
    model_files_end(&files);
    return test_report();
}
