/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_model_memory.c: loading when memory runs out, at one allocation after the other:
 * refused with one line, nothing left behind.
 *
 * The allocator is glibc's behind a counter; under a sanitizer, which brings its own, the
 * model is only loaded.
 */
#include "dcnv2.h"

#include <errno.h>
#include <stdlib.h>

#include "model_files.h"
#include "predict.h"
#include "test.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* Behind them: __libc_malloc and its kin, under names that are not reserved to the compiler. */
void *libc_malloc(size_t) __asm__("__libc_malloc");
void *libc_calloc(size_t, size_t) __asm__("__libc_calloc");
void *libc_realloc(void *, size_t) __asm__("__libc_realloc");
void *libc_memalign(size_t, size_t) __asm__("__libc_memalign");
void libc_free(void *) __asm__("__libc_free");

static const size_t NEVER = (size_t)-1;
static size_t n_until_failure = (size_t)-1;
static bool failed;
static long n_live;

static bool fails(void)
{
    if (n_until_failure == NEVER || n_until_failure-- > 0)
        return false;
    n_until_failure = NEVER;
    failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory)
{
    n_live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return fails() ? NULL : counted(libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(libc_calloc(count, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(libc_memalign(alignment, size));
}

void *realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    n_live += memory == NULL;
    return libc_realloc(memory, size);
}

void free(void *memory)
{
    n_live -= memory != NULL;
    libc_free(memory);
}

#else

static const size_t NEVER = (size_t)-1;
static size_t n_until_failure;
static bool failed;
static long n_live;

#endif

/* Fails each allocation in turn; ret_n_other: refusals with another status than memory's. */
static void check_load(const struct dcnv2_source *source, size_t *ret_n, size_t *ret_n_other)
{
    size_t n = 0, n_other = 0;
    for (;; n++) {
        dcnv2_model *model = NULL;
        struct dcnv2_error error;
        memset(&error, '\n', sizeof error);
        failed = false;
        const long before = n_live;
        n_until_failure = n;
        const int status = dcnv2_model_load(source, &model, &error);
        n_until_failure = NEVER;
        if (status == DCNV2_OK) {
            CHECK_MSG(!failed, "loaded although allocation %zu failed", n);
            dcnv2_model_free(model);
            CHECK(n_live == before);
            break;
        }
        CHECK_MSG(failed, "%s", error.message);
        CHECK_MSG(model == NULL && status < 0 && error.status == (enum dcnv2_status)status,
                  "allocation %zu", n);
        CHECK_MSG(is_one_line_message(&error) && strstr(error.message, "memory"),
                  "allocation %zu: '%.*s'", n, (int)sizeof error.message, error.message);
        n_other += status != DCNV2_ERROR_MEMORY;
        CHECK_MSG(n_live == before, "allocation %zu: %ld blocks left", n, n_live - before);
        if (!failed || n > 10000)
            break;
    }
    *ret_n = n;
    *ret_n_other = n_other;
}

TEST(a_load_that_runs_out_of_memory_is_refused_and_leaves_nothing)
{
    struct model_files files;
    size_t n, n_other;
    model_files_start(&files);
    model_files_put(&files);
    const struct dcnv2_source small = model_files_source(&files);
    check_load(&small, &n, &n_other);
    const struct dcnv2_source demo = {.model_path = "model/model_weights.pth",
                                      .encoder_path = "model/preprocess_metadata.pkl"};
    check_load(&demo, &n, &n_other);
    printf("the demo model is loaded with %zu allocations\n", n);
    model_files_end(&files);
}

TEST(a_load_that_runs_out_of_memory_says_so_by_its_status)
{
    const struct dcnv2_source demo = {.model_path = "model/model_weights.pth",
                                      .encoder_path = "model/preprocess_metadata.pkl"};
    size_t n, n_other;
    check_load(&demo, &n, &n_other);
    CHECK_MSG(n_other == 0, "%zu of %zu refusals have another status", n_other, n);
}

TEST(a_workspace_that_runs_out_of_memory_is_refused_and_leaves_nothing)
{
    struct model_files files;
    dcnv2_model *model = NULL;
    struct dcnv2_error error;
    model_files_start(&files);
    model_files_put(&files);
    const struct dcnv2_source source = model_files_source(&files);
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    for (size_t n = 0; model && n < 10; n++) {
        dcnv2_workspace *workspace = NULL;
        const long before = n_live;
        failed = false;
        n_until_failure = n;
        const int status = dcnv2_workspace_create(model, &workspace, &error);
        n_until_failure = NEVER;
        CHECK(status == (failed ? DCNV2_ERROR_MEMORY : DCNV2_OK));
        CHECK(failed == (workspace == NULL));
        if (failed)
            CHECK(is_one_line_message(&error));
        dcnv2_workspace_free(workspace);
        CHECK(n_live == before);
        if (!failed)
            break;
    }
    dcnv2_model_free(model);
    model_files_end(&files);
}

TEST(scoring_allocates_nothing)
{
    struct model_files files;
    dcnv2_model *model = NULL;
    dcnv2_workspace *workspace = NULL;
    struct dcnv2_error error;
    model_files_start(&files);
    model_files_put(&files);
    const struct dcnv2_source source = model_files_source(&files);
    CHECK(dcnv2_model_load(&source, &model, &error) == DCNV2_OK);
    if (model && dcnv2_workspace_create(model, &workspace, &error) == DCNV2_OK) {
        enum { N = 150 };
        float dense[2 * N] = {0}, scores[N];
        uint32_t indices[2 * N] = {0};
        failed = false;
        n_until_failure = 0;
        int status = predict_one_each(model, workspace, N, dense, indices, scores, &error);
        const uint32_t known = dcnv2_model_sparse_index(model, 0, "c01", 3);
        indices[7] = 1000;
        const int refused = predict_one_each(model, workspace, N, dense, indices, scores, &error);
        n_until_failure = NEVER;
        CHECK(!failed && status == DCNV2_OK && known == 1 && refused == DCNV2_ERROR_ARGUMENT);
    }
    dcnv2_workspace_free(workspace);
    dcnv2_model_free(model);
    model_files_end(&files);
}

int main(void)
{
    RUN(a_load_that_runs_out_of_memory_is_refused_and_leaves_nothing);
    RUN(a_load_that_runs_out_of_memory_says_so_by_its_status);
    RUN(a_workspace_that_runs_out_of_memory_is_refused_and_leaves_nothing);
    RUN(scoring_allocates_nothing);
    return test_report();
}
