/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "protocol/json_writer.h"

enum {
    MESSAGE_MAX = 1024,
    LINE_MAX_BYTES = 6 * MESSAGE_MAX + 2 * REQUEST_ID_MAX_BYTES + 160,
    BUFFER_BYTES = 256 * 1024
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* Two buffers: one is filled under the mutex while the writer writes the other without it. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool started, stopping, finished;
    enum log_level level;
    enum log_format format;
    char *filling, *writing; /* [BUFFER_BYTES] each */
    size_t n_filled;
    uint64_t n_dropped;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .level = LOG_LEVEL_INFO};

/* Returns how many lines could not be written: a full disk, or nobody is there any more. */
static uint64_t write_all(const char *at, size_t left)
{
    while (left > 0) {
        const ssize_t n = write(STDERR_FILENO, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += n;
        left -= (size_t)n;
    }
    uint64_t n_lost = 0;
    for (; left > 0; at++, left--)
        n_lost += *at == '\n';
    return n_lost;
}

static void *run_writer(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&state.mutex);
    for (;;) {
        while (state.n_filled == 0 && !state.stopping)
            pthread_cond_wait(&state.changed, &state.mutex);
        if (state.n_filled == 0)
            break;
        char *full = state.filling;
        const size_t n = state.n_filled;
        state.filling = state.writing;
        state.writing = full;
        state.n_filled = 0;
        pthread_mutex_unlock(&state.mutex);
        const uint64_t n_lost = write_all(full, n);
        pthread_mutex_lock(&state.mutex);
        state.n_dropped += n_lost;
    }
    state.finished = true;
    pthread_cond_broadcast(&state.changed);
    pthread_mutex_unlock(&state.mutex);
    return NULL;
}

int log_start(enum log_level level, enum log_format format)
{
    state.level = level;
    state.format = format;
    state.stopping = state.finished = false;
    state.filling = malloc(BUFFER_BYTES);
    state.writing = malloc(BUFFER_BYTES);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&state.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!state.filling || !state.writing ||
        pthread_create(&state.thread, NULL, run_writer, NULL) != 0) {
        free(state.filling);
        free(state.writing);
        return -1;
    }
    state.started = true;
    return 0;
}

void log_stop(void)
{
    if (!state.started)
        return;
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += 1;
    pthread_mutex_lock(&state.mutex);
    state.stopping = true;
    pthread_cond_broadcast(&state.changed);
    int status = 0;
    while (!state.finished && status == 0)
        status = pthread_cond_timedwait(&state.changed, &state.mutex, &deadline);
    const bool finished = state.finished;
    pthread_mutex_unlock(&state.mutex);
    if (!finished)
        return; /* it hangs in write(); the process is about to end */
    pthread_join(state.thread, NULL);
    free(state.filling);
    free(state.writing);
    state.started = false;
}

/* The id's bytes that are visible ASCII; others, blanks among them, could look like another line or
 * field. Returns their number. */
static size_t put_request_id(struct text id, char out[REQUEST_ID_MAX_BYTES])
{
    const size_t n = id.length < REQUEST_ID_MAX_BYTES ? id.length : REQUEST_ID_MAX_BYTES;
    for (size_t i = 0; i < n; i++)
        out[i] = id.at[i] > ' ' && id.at[i] <= '~' ? id.at[i] : '?';
    return n;
}

static size_t format_line(enum log_level level, struct text request_id, const char *message,
                          char *line)
{
    struct timespec now;
    char stamp[CLOCK_PRINTED_BYTES], id[REQUEST_ID_MAX_BYTES];
    char escaped[6 * MESSAGE_MAX + 2], escaped_id[2 * REQUEST_ID_MAX_BYTES + 2];
    clock_gettime(CLOCK_REALTIME, &now);
    clock_print(&now, stamp);
    const int id_length = (int)put_request_id(request_id, id);
    const size_t length = (size_t)(write_json_string(escaped, text_of(message)) - escaped);
    if (state.format == LOG_FORMAT_JSON) {
        const struct text shown = {id, (size_t)id_length};
        const int n = id_length ? (int)(write_json_string(escaped_id, shown) - escaped_id) : 0;
        return (size_t)snprintf(line, LINE_MAX_BYTES,
                                "{\"time\":\"%s\",\"level\":\"%s\",\"message\":%.*s%s%.*s}\n",
                                stamp, level_names[level], (int)length, escaped,
                                n ? ",\"request_id\":" : "", n, escaped_id);
    }
    /* Text: escapes only if a terminal would obey a character of it. */
    bool plain = true;
    for (const char *at = message, *end = message + strlen(message); at < end; at++)
        plain = plain && text_control_bytes(at, (size_t)(end - at)) == 0;
    return (size_t)snprintf(line, LINE_MAX_BYTES, "%s %-7s %.*s%s%.*s\n", stamp, level_names[level],
                            plain ? (int)strlen(message) : (int)length, plain ? message : escaped,
                            id_length ? " request_id=" : "", id_length, id);
}

static void put_line(const char *line, size_t n)
{
    if (!state.started) {
        write_all(line, n);
        return;
    }
    pthread_mutex_lock(&state.mutex);
    if (n > BUFFER_BYTES - state.n_filled) {
        state.n_dropped++;
    } else {
        memcpy(state.filling + state.n_filled, line, n);
        state.n_filled += n;
        pthread_cond_signal(&state.changed);
    }
    pthread_mutex_unlock(&state.mutex);
}

static void put(enum log_level level, struct text request_id, const char *format, va_list arguments)
{
    char message[MESSAGE_MAX], line[LINE_MAX_BYTES];
    if (level < state.level)
        return;
    const int wanted = vsnprintf(message, sizeof message, format, arguments);
    message[text_make_utf8(message, strlen(message), wanted >= MESSAGE_MAX)] = '\0';
    put_line(line, format_line(level, request_id, message, line));
}

void log_event(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(level, (struct text){NULL, 0}, format, arguments);
    va_end(arguments);
}

void log_request(enum log_level level, struct text request_id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(level, request_id, format, arguments);
    va_end(arguments);
}

uint64_t log_dropped(void)
{
    pthread_mutex_lock(&state.mutex);
    const uint64_t n = state.n_dropped;
    pthread_mutex_unlock(&state.mutex);
    return n;
}

/* Counts a line of the interval that `now_ns` lies in. false: it has had `most` of them. */
static bool take_line(struct log_limit *limit, uint64_t interval, uint64_t most)
{
    enum { COUNT_BITS = 16 };
    uint64_t taken = atomic_load_explicit(&limit->taken, memory_order_relaxed), next;
    do {
        const bool is_new = interval > taken >> COUNT_BITS;
        if (!is_new && (taken & ((1u << COUNT_BITS) - 1)) >= most)
            return false;
        next = is_new ? interval << COUNT_BITS | 1 : taken + 1;
    } while (!atomic_compare_exchange_weak(&limit->taken, &taken, next));
    return true;
}

bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, struct log_rate rate, uint64_t n,
                      uint64_t *ret_left_out)
{
    if (!take_line(limit, now_ns / rate.interval_ns + 1, rate.most)) {
        atomic_fetch_add_explicit(&limit->n_left_out, n, memory_order_relaxed);
        return false;
    }
    *ret_left_out = atomic_exchange_explicit(&limit->n_left_out, 0, memory_order_relaxed);
    return true;
}
