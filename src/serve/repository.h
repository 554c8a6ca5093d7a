/* SPDX-License-Identifier: Apache-2.0 */
/* repository.h: a model is loaded again or unloaded by a request, whichever protocol brings it. */
#ifndef DCNV2_SERVE_REPOSITORY_H
#define DCNV2_SERVE_REPOSITORY_H

#include "serve/request.h"

/* Of request->model, NULL if the request names none of ours. true: done, and logged. false: the
 * reply says why not. */
bool repository_load(struct request *request);
bool repository_unload(struct request *request);

#endif
