/* SPDX-License-Identifier: Apache-2.0 */
/* golden_rows.h: a golden set (model/golden.h) of a click log and the scores of its rows. */
#ifndef DCNV2_TOOLS_GOLDEN_ROWS_H
#define DCNV2_TOOLS_GOLDEN_ROWS_H

#include "data/click_log.h"
#include "data/train_error.h"
#include "dcnv2.h"

struct golden_rows {
    const char *log;    /* CSV or the like */
    const char *scores; /* a file of one probability per line, of the rows in their order */
    const struct log_form *form;
};

/*
 * The set as its file has it, of the columns of the source's model, for free(). Rows of text are
 * as the log has them; a missing text of the published pair is "nan", as pandas reads it. NULL:
 * *error.
 */
char *golden_rows_read(const struct golden_rows *rows, const struct dcnv2_source *source,
                       struct train_error *error);

#endif
