/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v1.h: KServe's v1 protocol ("TensorFlow V1 HTTP API"), request body to frame and
 * scores to reply.
 *
 * {"inputs": [instance, ..]} or {"instances": [..]}; "inputs" wins. An instance is an
 * object of columns; a column is a list (a value a row) or a scalar (repeated for every
 * row of its instance). In a column of lists a list of scalars is one row's, unless the instance
 * gives a value a row: another column as a list, or a list of lists. An instance may also be a list
 * of such objects. Of equal keys the last counts. Columns that the model does not use are checked
 * as JSON and ignored. {"logit": true} beside them asks for logits instead of probabilities.
 */
#ifndef DCNV2_PROTOCOL_V1_H
#define DCNV2_PROTOCOL_V1_H

#include "frame.h"

/* Of texts of more than some bytes that stand for several rows: in all rows of a request. */
enum { V1_REPEATED_MAX_BYTES = 16 << 20 };

/* 0: *frame holds one row or more, every column full. -1: *error is set; `model_name` stands in
 * messages only. */
int v1_parse(struct frame *frame, struct text body, const char *model_name, bool *ret_wants_logits,
             struct request_error *error);

/* {"predictions":[[p],..]}, of scores or logits. The reply is in `arena`; at == NULL: out of
 * memory. */
struct text v1_render(struct arena *arena, const float *scores, uint32_t n_rows);

#endif
