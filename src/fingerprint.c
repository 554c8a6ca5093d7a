/* SPDX-License-Identifier: Apache-2.0 */
#include "fingerprint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

enum {
    PIECE_BYTES = 64 * 1024, /* half a millisecond, then it sleeps .. */
    SLEEP_SHARE = 3,         /* .. so many times as long .. */
    SLEEP_MAX_NS = 5000000   /* .. but not for longer than this */
};

struct fingerprinter {
    const struct dcnv2_source *source;
    const char *model_name;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex: */
    bool stopping;
    bool is_hashing;           /* the thread looks at `bytes` without the mutex */
    bool is_waiting;           /* `bytes` are to be hashed */
    struct source_bytes bytes; /* of the model in service, until they are hashed */
    struct fingerprint now;
    atomic_bool cancelled; /* what is hashed is not wanted any more */
};

struct fingerprinter *fingerprinter_create(const struct dcnv2_source *source)
{
    struct fingerprinter *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->source = source;
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

/* ---- the thread ---- */

static void sleep_after(uint64_t worked_ns)
{
    const uint64_t wanted_ns = SLEEP_SHARE * worked_ns;
    const struct timespec time = {.tv_nsec =
                                      (long)(wanted_ns < SLEEP_MAX_NS ? wanted_ns : SLEEP_MAX_NS)};
    nanosleep(&time, NULL);
}

/* false: cancelled. */
static bool hash(const struct fingerprinter *f, const struct file_bytes *file,
                 char out[SHA256_DIGITS + 1])
{
    struct sha256 sha256;
    size_t done = 0;
    sha256_start(&sha256);
    for (; file->size - done > PIECE_BYTES; done += PIECE_BYTES) {
        const uint64_t start_ns = clock_ns();
        if (atomic_load(&f->cancelled))
            return false;
        sha256_add_blocks(&sha256, file->at + done, PIECE_BYTES);
        sleep_after(clock_ns() - start_ns);
    }
    sha256_end(&sha256, file->at + done, file->size - done, out);
    return !atomic_load(&f->cancelled);
}

static void log_model(const struct fingerprinter *f, const struct fingerprint *model)
{
    char time[CLOCK_PRINTED_BYTES];
    clock_print(&model->loaded_at, time);
    const bool has_encoder = *model->encoder != '\0';
    const char *encoder = f->bytes.is_described ? "its description" : f->source->encoder_path;
    /* A path's length is bounded, so that no digest is cut off. */
    log_event(LOG_LEVEL_INFO, "model %.64s: %.256s sha256 %s%s%.256s%s%s, loaded at %s",
              f->model_name, f->source->model_path, model->model, has_encoder ? ", " : "",
              has_encoder ? encoder : "", has_encoder ? " sha256 " : "", model->encoder, time);
    if (model->golden.n_rows)
        log_event(LOG_LEVEL_INFO,
                  "model %.64s: golden set of %u row%s, largest distance of a score %.2g, limit %g",
                  f->model_name, model->golden.n_rows, model->golden.n_rows == 1 ? "" : "s",
                  model->golden.largest, model->golden.limit);
}

/* Hashes f->bytes, and gives them back. Enters and leaves with the mutex; works without it. */
static void digest_pieces(struct fingerprinter *f)
{
    f->is_waiting = false;
    f->is_hashing = true;
    struct fingerprint model = f->now;
    pthread_mutex_unlock(&f->mutex);
    model.is_hashed = hash(f, &f->bytes.model, model.model) &&
                      (f->bytes.encoder.size == 0 || hash(f, &f->bytes.encoder, model.encoder));
    if (model.is_hashed)
        log_model(f, &model);
    pthread_mutex_lock(&f->mutex);
    source_bytes_free(&f->bytes);
    if (model.is_hashed)
        f->now = model; /* fingerprinter_forget() waits, and takes it back if it was too late */
    f->is_hashing = false;
    pthread_cond_broadcast(&f->changed);
}

static void *run(void *argument)
{
    struct fingerprinter *f = argument;
    pthread_mutex_lock(&f->mutex);
    while (!f->stopping) {
        if (f->is_waiting)
            digest_pieces(f);
        else
            pthread_cond_wait(&f->changed, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* ---- for the others ---- */

int fingerprinter_start(struct fingerprinter *f, const char *model_name)
{
    f->model_name = model_name;
    f->is_running = pthread_create(&f->thread, NULL, run, f) == 0;
    return f->is_running ? 0 : -1;
}

void fingerprinter_forget(struct fingerprinter *f)
{
    pthread_mutex_lock(&f->mutex);
    f->is_waiting = false;
    atomic_store(&f->cancelled, true);
    while (f->is_hashing)
        pthread_cond_wait(&f->changed, &f->mutex);
    atomic_store(&f->cancelled, false);
    source_bytes_free(&f->bytes);
    f->now = (struct fingerprint){0};
    pthread_mutex_unlock(&f->mutex);
}

void fingerprinter_take(struct fingerprinter *f, const struct source_bytes *bytes,
                        const struct golden *golden)
{
    pthread_mutex_lock(&f->mutex);
    f->bytes = *bytes;
    f->now.golden = *golden;
    clock_gettime(CLOCK_REALTIME, &f->now.loaded_at);
    f->is_waiting = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

struct fingerprint fingerprinter_get(struct fingerprinter *f)
{
    pthread_mutex_lock(&f->mutex);
    const struct fingerprint now = f->now;
    pthread_mutex_unlock(&f->mutex);
    return now;
}

void fingerprinter_free(struct fingerprinter *f)
{
    if (f == NULL)
        return;
    fingerprinter_forget(f);
    pthread_mutex_lock(&f->mutex);
    f->stopping = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
    if (f->is_running)
        pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->mutex);
    free(f);
}
