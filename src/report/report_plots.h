/* SPDX-License-Identifier: Apache-2.0 */
/* report_plots.h: the report's figures: each with title, legend, plot, and how to read it. */
#ifndef DCNV2_REPORT_REPORT_PLOTS_H
#define DCNV2_REPORT_REPORT_PLOTS_H

#include <stdbool.h>
#include <stdio.h>

#include "report/report.h"

/* Of training by step, of validation at the end of each epoch. */
void plot_loss(FILE *out, const struct report *report);
void plot_auc(FILE *out, const struct report *report, bool has_groups);

/* Of one epoch, with rows. */
void plot_calibration(FILE *out, const struct evaluation *evaluation);
void plot_scores(FILE *out, const struct evaluation *evaluation);

#endif
