/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/codec.h"

#include <inttypes.h>
#include <sys/random.h>

#include "clock.h"
#include "protocol/v1.h"
#include "serve/reply.h"

/* ---- v1 ---- */

static int parse_v1(struct request *request, struct frame *frame, struct request_error *error)
{
    return v1_parse(frame, request->content, request->model->name,
                    &request->prediction->wants_logits, error);
}

static void render_v1(struct request *request)
{
    const struct prediction *prediction = request->prediction;
    reply_text(
        request, 200,
        v1_render(&request->arena, prediction_values(prediction), prediction->encoded.n_rows));
}

const struct codec codec_v1 = {parse_v1, render_v1};

/* ---- v2 ---- */

/* The length of the JSON part of a v2 body. */
static int inference_header_length(const struct request *request, size_t *ret_length,
                                   struct request_error *error)
{
    const struct request_head *head = &request->head;
    *ret_length = request->content.length;
    if (head->n_inference_header_lengths == 0)
        return 0;
    if (head->n_inference_header_lengths > 1)
        return request_error_set(error, 400, "Inference-Header-Content-Length is given twice.");
    if (!head->inference_header_length_is_number)
        return request_error_set(error, 400,
                                 "Inference-Header-Content-Length is not a number: \"%.*s\".",
                                 TEXT_SHOWN(head->inference_header_value));
    if (head->inference_header_length > request->content.length)
        return request_error_set(error, 400,
                                 "Inference-Header-Content-Length, %" PRIu64
                                 ", is larger than the body of %zu bytes.",
                                 head->inference_header_length, request->content.length);
    *ret_length = (size_t)head->inference_header_length;
    return 0;
}

static int parse_v2(struct request *request, struct frame *frame, struct request_error *error)
{
    struct prediction *prediction = request->prediction;
    size_t json_length;
    if (inference_header_length(request, &json_length, error) != 0)
        return -1;
    if (v2_parse(frame, request->content, json_length, request->model->name,
                 &request->thread->v2_memory, &prediction->v2, error) != 0)
        return -1;
    prediction->wants_logits = prediction->v2.wants_logits;
    return 0;
}

static const unsigned char *take_random(struct service_thread *thread)
{
    enum { ID_BYTES = 16 };
    if (thread->n_random < ID_BYTES) {
        /* Up to 256 bytes never come short where the call exists. Without it an id is unique by
         * its time and its thread. */
        for (size_t i = 0; i < sizeof thread->random; i += 256) {
            if (getrandom(thread->random + i, 256, 0) == 256)
                continue;
            for (size_t k = i; k < i + 256; k += ID_BYTES) {
                const uint64_t parts[2] = {clock_ns() + k, (uint64_t)thread->index << 32 | k};
                memcpy(thread->random + k, parts, sizeof parts);
            }
        }
        thread->n_random = sizeof thread->random;
    }
    thread->n_random -= ID_BYTES;
    return thread->random + thread->n_random;
}

static void render_v2(struct request *request)
{
    const struct prediction *prediction = request->prediction;
    const unsigned char *random = prediction->v2.id.at ? NULL : take_random(request->thread);
    const struct v2_reply reply =
        v2_render(&request->arena, request->model->name, &prediction->v2, random,
                  prediction_values(prediction), prediction->encoded.n_rows);
    reply_text(request, 200, reply.body);
    if (prediction->v2.binary_output) {
        request->reply.content_type = "application/octet-stream";
        request->reply.json_length = reply.json_length;
    }
}

const struct codec codec_v2 = {parse_v2, render_v2};
