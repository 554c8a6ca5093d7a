/* SPDX-License-Identifier: Apache-2.0 */
/* form_log.h: log lines about ids that are unknown because of their form (encode/other_form.h). */
#ifndef DCNV2_SERVE_FORM_LOG_H
#define DCNV2_SERVE_FORM_LOG_H

#include "log.h"
#include "model/model.h"

/* The state of the lines about each of `n` columns, zeroed, to free(). NULL: out of memory. */
struct log_limit *form_log_create(size_t n);

/* Of one request: a line per column that has such values, and per column one every ten seconds at
 * most, whichever thread writes it. counts: [schema->n_sparse]. */
void form_log(struct log_limit *lines, const struct schema *schema,
              const struct category_counts *counts);

#endif
