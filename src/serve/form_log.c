/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/form_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

static const struct log_rate rate = {.interval_ns = UINT64_C(10000000000), .most = 1};

struct log_limit *form_log_create(size_t n)
{
    return calloc(n + 1, sizeof(struct log_limit));
}

static void log_column(struct log_limit *line, struct text name,
                       const struct category_counts *counts)
{
    uint64_t n_left_out;
    if (counts->value.at == NULL || counts->class.at == NULL ||
        !log_limit_allows(line, clock_ns(), rate, counts->n_other_form, &n_left_out))
        return;
    char others[64] = "";
    n_left_out += counts->n_other_form - 1;
    if (n_left_out > 0)
        snprintf(others, sizeof others, " (and %" PRIu64 " more like this)", n_left_out);
    log_event(LOG_LEVEL_WARNING,
              "column \"%.*s\": \"%.*s\" scores as an unknown value, though the same value was "
              "learnt as \"%.*s\"%s: send ids as the text that was learnt, or start with "
              "--match_numbers true",
              TEXT_SHOWN(name), TEXT_SHOWN(counts->value), TEXT_SHOWN(counts->class), others);
}

void form_log(struct log_limit *lines, const struct schema *schema,
              const struct category_counts *counts)
{
    for (uint32_t c = 0; c < schema->n_sparse; c++)
        if (counts[c].n_other_form > 0)
            log_column(&lines[c], schema->names[c], &counts[c]);
}
