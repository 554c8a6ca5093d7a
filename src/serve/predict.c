/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/predict.h"

#include "clock.h"
#include "serve/codec.h"
#include "serve/form_log.h"
#include "serve/reply.h"

enum {
    TOGETHER_MAX_ROWS = 8, /* a request of more uses the weights well enough by itself */
    BATCH_MAX_ROWS = 64
};

/* ---- the model ---- */

const dcnv2_model *model_acquire(const struct request *request)
{
    const struct service_thread *thread = request->thread;
    if (request->model == NULL)
        return NULL;
    return thread->batch.model ? thread->batch.model
                               : registry_acquire(request->model->registry, thread->index);
}

void model_release(const struct request *request)
{
    const struct service_thread *thread = request->thread;
    if (request->model && thread->batch.model == NULL)
        registry_release(request->model->registry, thread->index);
}

/* ---- body to numbers ---- */

static int encode(const struct request *request, const struct encoder *encoder,
                  const struct frame *frame, struct request_error *error)
{
    struct prediction *prediction = request->prediction;
    const struct schema *schema = &encoder->schema;
    const struct encode_options options = {
        .match_forms = request->thread->service->config->source.match_numbers};
    struct arena *arena = frame->arena;
    prediction->n_categories = schema->n_sparse;
    prediction->counts = arena_calloc(arena, schema->n_sparse, sizeof *prediction->counts);
    prediction->scores = arena_alloc(arena, frame->n_rows * sizeof(float));
    if (prediction->wants_logits)
        prediction->logits = arena_alloc(arena, frame->n_rows * sizeof(float));
    if (!prediction->counts || !prediction->scores ||
        (prediction->wants_logits && !prediction->logits))
        return request_error_out_of_memory(error);
    if (encoder_encode(encoder, frame, &options, &prediction->encoded, prediction->counts, error) !=
        0)
        return -1;
    if (!options.match_forms)
        form_log(request->model->form_lines, schema, prediction->counts);
    return 0;
}

/* request->content to request->prediction. */
static int read_request(struct request *request, const dcnv2_model *model,
                        struct request_error *error)
{
    struct prediction *prediction = arena_calloc(&request->arena, 1, sizeof *prediction);
    struct frame frame;
    request->prediction = prediction;
    if (prediction == NULL || frame_init(&frame, &model->encoder.schema, &request->arena,
                                         request->thread->service->config->max_rows) != 0)
        return request_error_out_of_memory(error);
    if (request->match.row->codec->parse(request, &frame, error) != 0)
        return -1;
    return encode(request, &model->encoder, &frame, error);
}

/* ---- numbers to scores ---- */

/* The thread's workspace, made anew where a reloaded model needs a larger one. */
static dcnv2_workspace *workspace_for(struct service_thread *thread, const dcnv2_model *model)
{
    const size_t n_floats = model->network.scratch_floats;
    if (thread->workspace_floats < n_floats) {
        struct dcnv2_error error;
        dcnv2_workspace_free(thread->workspace);
        thread->workspace = NULL;
        thread->workspace_floats = 0;
        if (dcnv2_workspace_create(model, &thread->workspace, &error) != DCNV2_OK)
            return NULL;
        thread->workspace_floats = n_floats;
    }
    return thread->workspace;
}

static int score(struct service_thread *thread, const dcnv2_model *model,
                 const struct encoded *encoded, float *scores, float *logits,
                 struct request_error *error)
{
    dcnv2_workspace *workspace = workspace_for(thread, model);
    struct dcnv2_error failure;
    if (workspace == NULL)
        return request_error_no_memory_now(error);
    if (dcnv2_predict_logits(model, workspace, encoded->n_rows, encoded->dense, encoded->lookups,
                             scores, logits, &failure) != DCNV2_OK)
        return request_error_set(error, 400, "Bad request: %s.", failure.message);
    return 0;
}

/* Scores all rows of the batch at once, in memory of its first request; if one request wants
 * logits, then those of all rows. -1: not for all. */
static int score_together(struct service_thread *thread)
{
    const struct batch *batch = &thread->batch;
    struct arena *arena = &batch->first->arena;
    const struct encoded *parts[BATCH_MAX_ROWS];
    uint32_t n_parts = 0;
    bool wants_logits = false;
    struct encoded all;
    struct request_error error;
    for (const struct request *e = batch->first; e; e = e->next_pending) {
        parts[n_parts++] = &e->prediction->encoded; /* of one row at least */
        wants_logits |= e->prediction->wants_logits;
    }
    float *scores = arena_alloc(arena, (wants_logits ? 2 : 1) * batch->n_rows * sizeof *scores);
    if (scores == NULL || encoder_join(&batch->model->encoder, arena, parts, n_parts, &all) != 0)
        return -1;
    float *logits = wants_logits ? scores + batch->n_rows : NULL;
    if (score(thread, batch->model, &all, scores, logits, &error) != 0)
        return -1;
    size_t first = 0;
    for (const struct request *e = batch->first; e; e = e->next_pending) {
        const uint32_t n = e->prediction->encoded.n_rows;
        memcpy(e->prediction->scores, scores + first, n * sizeof *scores);
        if (e->prediction->wants_logits)
            memcpy(e->prediction->logits, logits + first, n * sizeof *logits);
        first += n;
    }
    return 0;
}

/* ---- scores to reply ---- */

/* A scored request's reply. `scored_ns`: when it was. Returns the time when the reply is made. */
static uint64_t finish(struct request *request, uint64_t predict_ns, uint64_t scored_ns)
{
    const struct prediction *prediction = request->prediction;
    struct metrics_shard *metrics = request->thread->metrics;
    request->match.row->codec->render(request);
    if (request->reply.body.at == NULL)
        reply_no_memory(request);
    const uint64_t rendered_ns = clock_ns();
    metrics_stage(metrics, METRICS_PREDICT, predict_ns);
    metrics_stage(metrics, METRICS_POSTPROCESS, rendered_ns - scored_ns);
    metrics_rows(metrics, prediction->scores, prediction->encoded.n_rows);
    for (uint32_t c = 0; c < prediction->n_categories; c++)
        metrics_category(metrics, c, prediction->counts[c].n_unknown,
                         prediction->counts[c].n_other_form);
    return rendered_ns;
}

static void score_alone(struct request *request, const dcnv2_model *model)
{
    struct request_error error;
    const uint64_t start_ns = clock_ns();
    struct prediction *prediction = request->prediction;
    if (score(request->thread, model, &prediction->encoded, prediction->scores, prediction->logits,
              &error) != 0) {
        reply_error(request, &error);
        return;
    }
    const uint64_t scored_ns = clock_ns();
    finish(request, scored_ns - start_ns, scored_ns);
}

/* ---- a request ---- */

/* Leaves it to predict_score(). false: out of memory. */
static bool wait_for_others(struct request *request, const dcnv2_model *model)
{
    struct batch *batch = &request->thread->batch;
    struct text *id = &request->prediction->v2.id;
    if (id->at) { /* it may lie in the body */
        const char *copy = arena_copy_text(&request->arena, id->at, id->length);
        if (copy == NULL)
            return false;
        id->at = copy;
    }
    request->next_pending = NULL;
    if (batch->first)
        batch->last->next_pending = request;
    else
        batch->first = request;
    batch->last = request;
    batch->model = model;
    batch->n_rows += request->prediction->encoded.n_rows;
    return true;
}

/* Whether the reply is set; else it waits, and the model stays held. */
static bool predict_with(struct request *request, const dcnv2_model *model)
{
    struct service_thread *thread = request->thread;
    struct request_error error;
    const uint64_t start_ns = clock_ns();
    const int status = read_request(request, model, &error);
    metrics_stage(thread->metrics, METRICS_PREPROCESS, clock_ns() - start_ns);
    if (status != 0) {
        reply_error(request, &error);
        return true;
    }
    const uint32_t n_rows = request->prediction->encoded.n_rows;
    if (n_rows <= TOGETHER_MAX_ROWS && n_rows + thread->batch.n_rows <= BATCH_MAX_ROWS &&
        wait_for_others(request, model))
        return false;
    score_alone(request, model);
    return true;
}

bool predict(struct request *request)
{
    const dcnv2_model *model = model_acquire(request);
    bool answered = true;
    if (model)
        answered = predict_with(request, model);
    else
        reply_no_model(request);
    model_release(request); /* not while requests wait */
    return answered;
}

void predict_score(struct service_thread *thread)
{
    struct batch *batch = &thread->batch;
    if (batch->first == NULL)
        return;
    const uint64_t start_ns = clock_ns();
    const bool together = batch->first != batch->last && score_together(thread) == 0;
    const uint64_t scored_ns = clock_ns();
    uint64_t now_ns = scored_ns;
    for (struct request *e = batch->first; e; e = e->next_pending) {
        if (together)
            now_ns = finish(e, scored_ns - start_ns, now_ns);
        else
            score_alone(e, batch->model);
    }
    batch->last->next_pending = thread->answered;
    thread->answered = batch->first;
    *batch = (struct batch){0};
    model_release(thread->answered);
}
