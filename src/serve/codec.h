/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h: how a protocol writes a prediction: a body to a frame, and scores to a reply.
 * Of what lies between, encoding and scoring, no codec knows.
 */
#ifndef DCNV2_SERVE_CODEC_H
#define DCNV2_SERVE_CODEC_H

#include "protocol/v2.h"
#include "serve/request.h"

/* Of one request; in its arena, as all that it points to. */
struct prediction {
    struct v2_options v2;
    struct encoded encoded;
    bool wants_logits; /* in the reply */
    float *scores;     /* [encoded.n_rows], probabilities */
    float *logits;     /* [encoded.n_rows]; NULL: not wanted */
    uint32_t n_categories;
    struct category_counts *counts; /* [n_categories] */
};

/* What the reply tells of each row, [encoded.n_rows]. */
static inline const float *prediction_values(const struct prediction *prediction)
{
    return prediction->logits ? prediction->logits : prediction->scores;
}

struct codec {
    /* request->content into the frame; what the client wants of the reply into
     * request->prediction. -1: *error. */
    int (*parse)(struct request *request, struct frame *frame, struct request_error *error);
    /* request->prediction is scored: sets request->reply. */
    void (*render)(struct request *request);
};

extern const struct codec codec_v1;
/* JSON, with binary tensors in either direction. */
extern const struct codec codec_v2;

#endif
