/* SPDX-License-Identifier: Apache-2.0 */
/* test_fingerprint.c: what is said of the model in service is said of the bytes it was made of. */
#include "fingerprint.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "model/convert.h"
#include "model/model_files.h"
#include "registry.h"
#include "test.h"

static struct model_files files;
static struct dcnv2_source source;

/* What the two files hash to now. */
static struct fingerprint digests(const char *model_path, const char *encoder_path)
{
    struct fingerprint found = {.is_hashed = true};
    struct format_error error;
    struct file_bytes bytes;
    CHECK(file_read(model_path, &bytes, &error) == 0);
    sha256_print(bytes.at, bytes.size, found.model);
    file_free(&bytes);
    if (encoder_path) {
        CHECK(file_read(encoder_path, &bytes, &error) == 0);
        sha256_print(bytes.at, bytes.size, found.encoder);
        file_free(&bytes);
    }
    return found;
}

static bool same(const struct fingerprint *a, const struct fingerprint *b)
{
    return a->is_hashed && b->is_hashed && strcmp(a->model, b->model) == 0 &&
           strcmp(a->encoder, b->encoder) == 0;
}

/* Waits until the digests are known; a check fails after ten seconds. */
static struct fingerprint hashed(const struct registry *registry)
{
    struct fingerprint found = registry_fingerprint(registry);
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; !found.is_hashed && i < 10000; i++) {
        nanosleep(&step, NULL);
        found = registry_fingerprint(registry);
    }
    CHECK(found.is_hashed);
    return found;
}

static bool is_blank(const struct fingerprint *found)
{
    return !found->is_hashed && found->loaded_at.tv_sec == 0 && *found->model == '\0' &&
           *found->encoder == '\0';
}

static uint64_t time_of(const struct fingerprint *found)
{
    return (uint64_t)found->loaded_at.tv_sec * 1000000000 + (uint64_t)found->loaded_at.tv_nsec;
}

static struct registry *registry_of(const struct dcnv2_source *of)
{
    struct registry *registry = registry_create(of, 1);
    struct dcnv2_error error = {0};
    CHECK_MSG(registry_load(registry, &error) == DCNV2_OK, "%s", error.message);
    return registry;
}

static void put(float factor)
{
    files.factor = factor;
    model_files_put(&files);
}

TEST(nothing_is_said_without_a_model_and_the_time_before_the_digests)
{
    put(1);
    struct registry *registry = registry_create(&source, 1);
    struct fingerprint found = registry_fingerprint(registry);
    CHECK(is_blank(&found));
    struct dcnv2_error error;
    const time_t before = time(NULL);
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    found = registry_fingerprint(registry); /* no thread was started */
    CHECK(!found.is_hashed && found.loaded_at.tv_sec >= before);
    registry_free(registry);
}

/* The files are other ones, or gone, before the thread starts. */
TEST(the_bytes_that_were_loaded_are_hashed_not_what_lies_there_later)
{
    put(1);
    const struct fingerprint loaded = digests(files.model_path, files.encoder_path);
    struct registry *registry = registry_of(&source);
    put(2);
    CHECK(registry_start_fingerprints(registry, "m") == 0);
    struct fingerprint found = hashed(registry);
    CHECK(same(&found, &loaded));
    const struct fingerprint later = digests(files.model_path, files.encoder_path);
    CHECK(!same(&later, &loaded));
    registry_free(registry);
}

TEST(each_reload_has_its_own_digests_and_time_a_refused_one_has_none)
{
    struct dcnv2_error error;
    put(1);
    struct registry *registry = registry_of(&source);
    CHECK(registry_start_fingerprints(registry, "m") == 0);
    struct fingerprint before = hashed(registry);
    for (int i = 2; i < 6; i++) {
        put((float)i);
        CHECK(registry_load(registry, &error) == DCNV2_OK);
        const struct fingerprint found = hashed(registry);
        const struct fingerprint wanted = digests(files.model_path, files.encoder_path);
        CHECK(same(&found, &wanted) && !same(&found, &before));
        CHECK(time_of(&found) > time_of(&before));
        before = found;
    }
    write_whole_file(files.model_path, "not a model", 11);
    CHECK(registry_load(registry, &error) != DCNV2_OK);
    struct fingerprint found = registry_fingerprint(registry);
    CHECK(same(&found, &before) && time_of(&found) == time_of(&before));
    CHECK(registry_unload(registry));
    found = registry_fingerprint(registry);
    CHECK(is_blank(&found));
    registry_free(registry);
}

/* Tables that are most of the file are used where they lie: these bytes are the model's own. */
TEST(a_large_model_may_go_at_any_time_while_it_is_hashed)
{
    struct dcnv2_error error;
    put(1);
    for (size_t i = 0; i < files.n_tensors; i++)
        if (strncmp(files.tensors[i].name, "embeddings.", 11) == 0)
            files.tensors[i].sizes[0] = 100000;
    model_files_put(&files);
    struct registry *registry = registry_of(&source);
    CHECK(registry_start_fingerprints(registry, "m") == 0);
    for (int i = 0; i < 20; i++) {
        const struct timespec while_it_is_hashed = {.tv_nsec = i * 1000000};
        nanosleep(&while_it_is_hashed, NULL);
        if (i % 3 == 2)
            CHECK(registry_unload(registry));
        const struct fingerprint now = registry_fingerprint(registry);
        CHECK((i % 3 == 2) == is_blank(&now));
        CHECK(registry_load(registry, &error) == DCNV2_OK);
    }
    const struct fingerprint found = hashed(registry);
    const struct fingerprint wanted = digests(files.model_path, files.encoder_path);
    CHECK(same(&found, &wanted));
    CHECK(registry_load(registry, &error) == DCNV2_OK);
    registry_free(registry); /* in the middle of it */
    model_files_end(&files);
    model_files_start(&files);
    source = model_files_source(&files);
}

TEST(a_converted_file_has_one_digest_its_own)
{
    char path[256];
    struct dcnv2_error error = {0};
    put(1);
    snprintf(path, sizeof path, "%s/model.safetensors", files.folder);
    CHECK_MSG(model_convert(&source, NULL, NULL, path, &error) == DCNV2_OK, "%s", error.message);
    const struct dcnv2_source converted = {.model_path = path, .encoder_path = "/nowhere"};
    const struct fingerprint wanted = digests(path, NULL);
    struct registry *registry = registry_of(&converted);
    CHECK(registry_start_fingerprints(registry, "m") == 0);
    CHECK(unlink(path) == 0);
    const struct fingerprint found = hashed(registry);
    CHECK(same(&found, &wanted) && *found.encoder == '\0');
    registry_free(registry);
}

int main(void)
{
    log_start(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* its lines are for the tests of a live server */
    model_files_start(&files);
    source = model_files_source(&files);
    RUN(nothing_is_said_without_a_model_and_the_time_before_the_digests);
    RUN(the_bytes_that_were_loaded_are_hashed_not_what_lies_there_later);
    RUN(each_reload_has_its_own_digests_and_time_a_refused_one_has_none);
    RUN(a_large_model_may_go_at_any_time_while_it_is_hashed);
    RUN(a_converted_file_has_one_digest_its_own);
    put(1); /* what is removed must be there */
    model_files_end(&files);
    log_stop();
    return test_report();
}
