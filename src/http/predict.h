/* SPDX-License-Identifier: Apache-2.0 */
/*
 * predict.h: predictions, from a request's body to its reply.
 *
 * Small requests that come at the same moment, in one turn of a worker's loop, are scored
 * together: a weight that is loaded once serves them all, and a row's score has the same bits in
 * any batch. None waits for another to come. By the worker's thread only.
 */
#ifndef DCNV2_HTTP_PREDICT_H
#define DCNV2_HTTP_PREDICT_H

#include "http/exchange.h"

/*
 * true: exchange->reply is set. false: the exchange waits for predict_score(); of its body nothing
 * is needed any more.
 */
bool predict(struct exchange *exchange);

/* Scores what waits, sets the replies, and puts the exchanges to the others in worker->answered. */
void predict_score(struct worker *worker);

/*
 * The model in service, held until model_release(); NULL: there is none, or the path names another.
 * While exchanges wait it is the one that they are scored with, and stays held.
 */
const dcnv2_model *model_acquire(const struct exchange *exchange);
void model_release(struct worker *worker);

#endif
