/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "serve/form_log.h"
#include "serve/predict.h"
#include "serve/request.h"

enum {
    BUDGET_LEAST_BYTES = 64 << 20,
    BUDGET_BODIES = 4, /* of the largest size, at once */
    RESERVE_SHARE = 8  /* of the budget, for small bodies */
};

static void set_budget(struct body_budget *budget, size_t body_max_bytes)
{
    budget->body_max_bytes = body_max_bytes;
    budget->total_max_bytes = BUDGET_BODIES * body_max_bytes;
    if (budget->total_max_bytes < BUDGET_LEAST_BYTES)
        budget->total_max_bytes = BUDGET_LEAST_BYTES;
    budget->reserve_bytes = budget->total_max_bytes / RESERVE_SHARE;
}

struct service *service_create(const struct config *config, unsigned n_threads,
                               struct registry *registry, struct metrics *metrics)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return NULL;
    service->config = config;
    service->metrics = metrics;
    service->model = (struct served_model){config->model_name, registry,
                                           form_log_create(config->source.sparse_columns.n)};
    service->threads = calloc(n_threads, sizeof *service->threads);
    if (service->threads == NULL || service->model.form_lines == NULL) {
        service_free(service);
        return NULL;
    }
    service->n_threads = n_threads;
    for (unsigned i = 0; i < n_threads; i++)
        service->threads[i] = (struct service_thread){
            .service = service, .index = i, .metrics = metrics_shard(metrics, i)};
    set_budget(&service->budget, config->max_body_bytes);
    return service;
}

/* Requests that came with the last bytes of all may wait; their sessions are gone. */
static void free_thread(struct service_thread *thread)
{
    service_end_turn(thread);
    request_free_kept(thread);
    dcnv2_workspace_free(thread->workspace);
    inflater_free(thread->inflater);
    deflater_free(thread->deflater);
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    for (unsigned i = 0; i < service->n_threads; i++)
        free_thread(&service->threads[i]);
    free(service->threads);
    free(service->model.form_lines);
    free(service);
}

void service_drain(struct service *service)
{
    atomic_store(&service->draining, true);
}

bool service_is_draining(const struct service *service)
{
    return atomic_load_explicit(&service->draining, memory_order_relaxed);
}

bool service_has_its_model(const struct service *service)
{
    return !service->config->ready_needs_model || registry_has_model(service->model.registry);
}

const struct served_model *service_find_model(const struct service *service, struct text name)
{
    return text_is(name, service->model.name) ? &service->model : NULL;
}

/* ---- a thread ---- */

struct service_thread *service_thread_of(void *of_service, unsigned index)
{
    struct service *service = of_service;
    return &service->threads[index];
}

void service_end_turn(struct service_thread *thread)
{
    predict_score(thread);
    struct request *request = thread->answered;
    thread->answered = NULL;
    while (request) {
        struct request *next = request->next_pending;
        request->tell(request);
        request = next;
    }
}

bool service_has_work(const struct service_thread *thread)
{
    return thread->batch.first || thread->answered;
}

const char *service_date(struct service_thread *thread)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != thread->date_s) {
        struct tm t;
        gmtime_r(&now.tv_sec, &t);
        snprintf(thread->date, sizeof thread->date, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                 days[t.tm_wday], t.tm_mday % 100, months[t.tm_mon], (t.tm_year + 1900) % 10000,
                 t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100);
        thread->date_s = now.tv_sec;
    }
    return thread->date;
}
