/* SPDX-License-Identifier: Apache-2.0 */
#include "http/predict.h"

#include <inttypes.h>
#include <sys/random.h>

#include "clock.h"
#include "http/form_log.h"
#include "http/reply.h"
#include "protocol/v1.h"
#include "protocol/v2.h"

enum {
    TOGETHER_MAX_ROWS = 8, /* a request of more uses the weights well enough by itself */
    BATCH_MAX_ROWS = 64
};

/* In the exchange's arena, as all that it points to. */
struct prediction {
    struct v2_options v2;
    struct encoded encoded;
    bool wants_logits; /* in the reply */
    float *scores;     /* [encoded.n_rows], probabilities */
    float *logits;     /* [encoded.n_rows]; NULL: not wanted */
    uint32_t n_categories;
    struct category_counts *counts; /* [n_categories] */
};

/* ---- the model ---- */

const dcnv2_model *model_acquire(const struct exchange *exchange)
{
    const struct worker *worker = exchange->worker;
    if (!exchange_names_model(exchange))
        return NULL;
    return worker->batch.model ? worker->batch.model
                               : registry_acquire(worker->server->registry, worker->index);
}

void model_release(struct worker *worker)
{
    if (worker->batch.model == NULL)
        registry_release(worker->server->registry, worker->index);
}

/* ---- body to numbers ---- */

/* The length of the JSON part of a v2 body. */
static int inference_header_length(const struct exchange *exchange, size_t *ret_length,
                                   struct request_error *error)
{
    const struct head *head = &exchange->head;
    *ret_length = exchange->content.length;
    if (head->n_inference_header_lengths == 0)
        return 0;
    if (head->n_inference_header_lengths > 1)
        return request_error_set(error, 400, "Inference-Header-Content-Length is given twice.");
    if (!head->inference_header_length_is_number)
        return request_error_set(error, 400,
                                 "Inference-Header-Content-Length is not a number: \"%.*s\".",
                                 TEXT_SHOWN(head->inference_header_value));
    if (head->inference_header_length > exchange->content.length)
        return request_error_set(error, 400,
                                 "Inference-Header-Content-Length, %" PRIu64
                                 ", is larger than the body of %zu bytes.",
                                 head->inference_header_length, exchange->content.length);
    *ret_length = (size_t)head->inference_header_length;
    return 0;
}

static int parse(struct exchange *exchange, struct frame *frame, struct prediction *prediction,
                 struct request_error *error)
{
    const char *name = exchange->worker->server->config->model_name;
    if (exchange->match.route == ROUTE_V1_PREDICT)
        return v1_parse(frame, exchange->content, name, &prediction->wants_logits, error);
    size_t json_length;
    if (inference_header_length(exchange, &json_length, error) != 0)
        return -1;
    if (v2_parse(frame, exchange->content, json_length, name, &exchange->worker->v2_memory,
                 &prediction->v2, error) != 0)
        return -1;
    prediction->wants_logits = prediction->v2.wants_logits;
    return 0;
}

static int encode(struct server *server, const struct encoder *encoder, const struct frame *frame,
                  struct prediction *prediction, struct request_error *error)
{
    const struct schema *schema = &encoder->schema;
    const struct encode_options options = {.match_forms = server->config->source.match_numbers};
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
        form_log(server->form_lines, schema, prediction->counts);
    return 0;
}

/* exchange->content to exchange->prediction. */
static int read_request(struct exchange *exchange, const dcnv2_model *model,
                        struct request_error *error)
{
    struct prediction *prediction = arena_calloc(&exchange->arena, 1, sizeof *prediction);
    struct frame frame;
    exchange->prediction = prediction;
    if (prediction == NULL || frame_init(&frame, &model->encoder.schema, &exchange->arena,
                                         exchange->worker->server->config->max_rows) != 0)
        return request_error_out_of_memory(error);
    if (parse(exchange, &frame, prediction, error) != 0)
        return -1;
    return encode(exchange->worker->server, &model->encoder, &frame, prediction, error);
}

/* ---- numbers to scores ---- */

/* The worker's workspace, made anew where a reloaded model needs a larger one. */
static dcnv2_workspace *workspace_for(struct worker *worker, const dcnv2_model *model)
{
    const size_t n_floats = model->network.scratch_floats;
    if (worker->workspace_floats < n_floats) {
        struct dcnv2_error error;
        dcnv2_workspace_free(worker->workspace);
        worker->workspace = NULL;
        worker->workspace_floats = 0;
        if (dcnv2_workspace_create(model, &worker->workspace, &error) != DCNV2_OK)
            return NULL;
        worker->workspace_floats = n_floats;
    }
    return worker->workspace;
}

static int score(struct worker *worker, const dcnv2_model *model, const struct encoded *encoded,
                 float *scores, float *logits, struct request_error *error)
{
    dcnv2_workspace *workspace = workspace_for(worker, model);
    struct dcnv2_error failure;
    if (workspace == NULL)
        return request_error_no_memory_now(error);
    if (dcnv2_predict_logits(model, workspace, encoded->n_rows, encoded->dense, encoded->lookups,
                             scores, logits, &failure) != DCNV2_OK)
        return request_error_set(error, 400, "Bad request: %s.", failure.message);
    return 0;
}

/* Scores all rows of the batch at once, in memory of its first exchange; if one exchange wants
 * logits, then those of all rows. -1: not for all. */
static int score_together(struct worker *worker)
{
    const struct batch *batch = &worker->batch;
    struct arena *arena = &batch->first->arena;
    const struct encoded *parts[BATCH_MAX_ROWS];
    uint32_t n_parts = 0;
    bool wants_logits = false;
    struct encoded all;
    struct request_error error;
    for (const struct exchange *e = batch->first; e; e = e->next_pending) {
        parts[n_parts++] = &e->prediction->encoded; /* of one row at least */
        wants_logits |= e->prediction->wants_logits;
    }
    float *scores = arena_alloc(arena, (wants_logits ? 2 : 1) * batch->n_rows * sizeof *scores);
    if (scores == NULL || encoder_join(&batch->model->encoder, arena, parts, n_parts, &all) != 0)
        return -1;
    float *logits = wants_logits ? scores + batch->n_rows : NULL;
    if (score(worker, batch->model, &all, scores, logits, &error) != 0)
        return -1;
    size_t first = 0;
    for (const struct exchange *e = batch->first; e; e = e->next_pending) {
        const uint32_t n = e->prediction->encoded.n_rows;
        memcpy(e->prediction->scores, scores + first, n * sizeof *scores);
        if (e->prediction->wants_logits)
            memcpy(e->prediction->logits, logits + first, n * sizeof *logits);
        first += n;
    }
    return 0;
}

/* ---- scores to reply ---- */

static const unsigned char *take_random(struct worker *worker)
{
    enum { ID_BYTES = 16 };
    if (worker->n_random < ID_BYTES) {
        /* Up to 256 bytes never come short where the call exists. Without it an id is unique by
         * its time and its worker. */
        for (size_t i = 0; i < sizeof worker->random; i += 256) {
            if (getrandom(worker->random + i, 256, 0) == 256)
                continue;
            for (size_t k = i; k < i + 256; k += ID_BYTES) {
                const uint64_t parts[2] = {clock_ns() + k, (uint64_t)worker->index << 32 | k};
                memcpy(worker->random + k, parts, sizeof parts);
            }
        }
        worker->n_random = sizeof worker->random;
    }
    worker->n_random -= ID_BYTES;
    return worker->random + worker->n_random;
}

static void render(struct exchange *exchange)
{
    const struct prediction *prediction = exchange->prediction;
    const float *values = prediction->logits ? prediction->logits : prediction->scores;
    if (exchange->match.route == ROUTE_V1_PREDICT) {
        reply_text(exchange, 200, v1_render(&exchange->arena, values, prediction->encoded.n_rows));
    } else {
        const char *name = exchange->worker->server->config->model_name;
        const unsigned char *random = prediction->v2.id.at ? NULL : take_random(exchange->worker);
        const struct v2_reply reply = v2_render(&exchange->arena, name, &prediction->v2, random,
                                                values, prediction->encoded.n_rows);
        reply_text(exchange, 200, reply.body);
        if (prediction->v2.binary_output) {
            exchange->reply.content_type = "application/octet-stream";
            exchange->reply.json_length = reply.json_length;
        }
    }
    if (exchange->reply.body.at == NULL)
        reply_no_memory(exchange);
}

/* A scored request's reply. `scored_ns`: when it was. Returns the time when the reply is made. */
static uint64_t finish(struct exchange *exchange, uint64_t predict_ns, uint64_t scored_ns)
{
    const struct prediction *prediction = exchange->prediction;
    struct metrics_shard *metrics = exchange->worker->metrics;
    render(exchange);
    const uint64_t rendered_ns = clock_ns();
    metrics_stage(metrics, METRICS_PREDICT, predict_ns);
    metrics_stage(metrics, METRICS_POSTPROCESS, rendered_ns - scored_ns);
    metrics_rows(metrics, prediction->scores, prediction->encoded.n_rows);
    for (uint32_t c = 0; c < prediction->n_categories; c++)
        metrics_category(metrics, c, prediction->counts[c].n_unknown,
                         prediction->counts[c].n_other_form);
    return rendered_ns;
}

static void score_alone(struct exchange *exchange, const dcnv2_model *model)
{
    struct request_error error;
    const uint64_t start_ns = clock_ns();
    struct prediction *prediction = exchange->prediction;
    if (score(exchange->worker, model, &prediction->encoded, prediction->scores, prediction->logits,
              &error) != 0) {
        reply_error(exchange, &error);
        return;
    }
    const uint64_t scored_ns = clock_ns();
    finish(exchange, scored_ns - start_ns, scored_ns);
}

/* ---- a request ---- */

/* Leaves it to predict_score(). false: out of memory. */
static bool wait_for_others(struct exchange *exchange, const dcnv2_model *model)
{
    struct batch *batch = &exchange->worker->batch;
    struct text *id = &exchange->prediction->v2.id;
    if (id->at) { /* it may lie in the body */
        const char *copy = arena_copy_text(&exchange->arena, id->at, id->length);
        if (copy == NULL)
            return false;
        id->at = copy;
    }
    exchange->next_pending = NULL;
    if (batch->first)
        batch->last->next_pending = exchange;
    else
        batch->first = exchange;
    batch->last = exchange;
    batch->model = model;
    batch->n_rows += exchange->prediction->encoded.n_rows;
    return true;
}

/* Whether the reply is set; else it waits, and the model stays held. */
static bool predict_with(struct exchange *exchange, const dcnv2_model *model)
{
    struct worker *worker = exchange->worker;
    struct request_error error;
    const uint64_t start_ns = clock_ns();
    const int status = read_request(exchange, model, &error);
    metrics_stage(worker->metrics, METRICS_PREPROCESS, clock_ns() - start_ns);
    if (status != 0) {
        reply_error(exchange, &error);
        return true;
    }
    const uint32_t n_rows = exchange->prediction->encoded.n_rows;
    if (n_rows <= TOGETHER_MAX_ROWS && n_rows + worker->batch.n_rows <= BATCH_MAX_ROWS &&
        wait_for_others(exchange, model))
        return false;
    score_alone(exchange, model);
    return true;
}

bool predict(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    const dcnv2_model *model = model_acquire(exchange);
    bool answered = true;
    if (model)
        answered = predict_with(exchange, model);
    else
        reply_no_model(exchange);
    model_release(worker); /* not while exchanges wait */
    return answered;
}

void predict_score(struct worker *worker)
{
    struct batch *batch = &worker->batch;
    if (batch->first == NULL)
        return;
    const uint64_t start_ns = clock_ns();
    const bool together = batch->first != batch->last && score_together(worker) == 0;
    const uint64_t scored_ns = clock_ns();
    uint64_t now_ns = scored_ns;
    for (struct exchange *e = batch->first; e; e = e->next_pending) {
        if (together)
            now_ns = finish(e, scored_ns - start_ns, now_ns);
        else
            score_alone(e, batch->model);
    }
    batch->last->next_pending = worker->answered;
    worker->answered = batch->first;
    *batch = (struct batch){0};
    model_release(worker);
}
