/* SPDX-License-Identifier: Apache-2.0 */
/*
 * predict.h: predictions, from a request's body to its reply.
 *
 * Small requests that come at the same moment, in one turn of a thread's loop, are scored
 * together: a weight that is loaded once serves them all, and a row's score has the same bits in
 * any batch. None waits for another to come. By the thread's thread only.
 */
#ifndef DCNV2_SERVE_PREDICT_H
#define DCNV2_SERVE_PREDICT_H

#include "serve/request.h"

/*
 * true: request->reply is set. false: the request waits for predict_score(); of its body nothing
 * is needed any more.
 */
bool predict(struct request *request);

/* Scores what waits, sets the replies, and puts the requests to the others in thread->answered. */
void predict_score(struct service_thread *thread);

/*
 * The model in service, held until model_release(); NULL: there is none, or the path names another.
 * While requests wait it is the one that they are scored with, and stays held.
 */
const dcnv2_model *model_acquire(const struct request *request);
void model_release(const struct request *request);

#endif
