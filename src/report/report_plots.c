/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report_plots.h"

#include <math.h>

#include "report/report_svg.h"

enum { MOST_POINTS = 300, EARLY_PARTS = 20 };

/* A series keeps its colour in every figure. */
enum { OF_TRAINING = 0, OF_VALIDATION = 1, OF_GROUPS = 2, WITHOUT_CLICK = 3, WITH_CLICK = 4 };

/* ---- figures ---- */

static void begin_figure(FILE *out, const char *title)
{
    fprintf(out, "<figure>\n<h3>%s</h3>\n<p class=\"legend\">", title);
}

static void put_legend(FILE *out, unsigned series, const char *name)
{
    fprintf(out, "<span class=\"s%u\"><i></i>%s</span> ", series, name);
}

static void begin_plot(const struct svg_plot *plot, const char *description)
{
    fputs("</p>\n", plot->out);
    svg_begin(plot, description);
}

static void end_figure(const struct svg_plot *plot, const char *caption)
{
    svg_end(plot);
    fprintf(plot->out, "<figcaption>%s</figcaption>\n</figure>\n", caption);
}

/* ---- by step ---- */

/* To the last step of all, so that both plots have the same axis. */
static struct svg_axis step_axis(const struct report *report)
{
    struct svg_range range = {0, 1};
    if (report->n_losses)
        svg_range_add(&range, (double)report->losses[report->n_losses - 1].step);
    if (report->n_epochs)
        svg_range_add(&range, (double)report->epochs[report->n_epochs - 1].step);
    return svg_axis_to_end(range, SVG_COUNT, "step");
}

/*
 * More points than pixels are a smear: neighbours become their mean, weighted by the steps that
 * each stands for. Returns how many are left.
 */
static size_t thin_losses(const struct report *report, struct svg_point points[MOST_POINTS])
{
    const size_t n = report->n_losses, n_points = n < MOST_POINTS ? n : MOST_POINTS;
    uint64_t before = 0;
    for (size_t i = 0, k = 0; i < n_points; i++) {
        double weight = 0, sum = 0;
        for (const size_t end = n * (i + 1) / n_points; k < end; k++) {
            const struct report_loss *loss = &report->losses[k];
            const double steps = loss->step > before ? (double)(loss->step - before) : 1;
            sum += steps * loss->loss;
            weight += steps;
            before = loss->step;
            points[i].x = (double)loss->step;
        }
        points[i].y = sum / weight;
    }
    return n_points;
}

static void plot_kept(const struct svg_plot *plot, const struct report *report)
{
    const struct report_epoch *best = report_best(report);
    if (best == NULL)
        return;
    const double x = (double)best->step;
    svg_guide(plot, (struct svg_point){x, plot->y.low}, (struct svg_point){x, plot->y.high},
              "kept");
}

/* A measure of each epoch; NAN: there is none. */
typedef double measure_function(const struct report_epoch *epoch);

static double log_loss_of(const struct report_epoch *epoch)
{
    return epoch->evaluation.n_rows ? epoch->evaluation.log_loss : NAN;
}

static double auc_of(const struct report_epoch *epoch)
{
    return epoch->evaluation.n_rows ? epoch->evaluation.auc : NAN;
}

static double grouped_auc_of(const struct report_epoch *epoch)
{
    return epoch->evaluation.n_rows ? epoch->evaluation.grouped_auc : NAN;
}

static void add_measures(struct svg_range *range, const struct report *report,
                         measure_function *measure)
{
    for (size_t i = 0; i < report->n_epochs; i++)
        svg_range_add(range, measure(&report->epochs[i]));
}

static void plot_measures(const struct svg_plot *plot, unsigned series, const struct report *report,
                          measure_function *measure)
{
    struct svg_point before = {NAN, NAN};
    for (size_t i = 0; i < report->n_epochs; i++) {
        const struct report_epoch *epoch = &report->epochs[i];
        const struct svg_point points[] = {before, {(double)epoch->step, measure(epoch)}};
        svg_line(plot, series, points, 2);
        svg_dots(plot, series, points + 1, 1);
        before = points[1];
    }
}

/* The fall of the first steps would press all that follows into a line. Returns the axis on which
 * the rest can be told apart; points above it are gone, and *ret_start is the highest of them, or
 * NAN. */
static struct svg_axis loss_axis(const struct report *report, struct svg_point *points, size_t n,
                                 double *ret_start)
{
    struct svg_range range = SVG_NO_RANGE, all = SVG_NO_RANGE;
    for (size_t i = 0; i < n; i++) {
        svg_range_add(&all, points[i].y);
        if (i >= n / EARLY_PARTS)
            svg_range_add(&range, points[i].y);
    }
    add_measures(&range, report, log_loss_of);
    const struct svg_axis axis = svg_axis_around(range, SVG_NUMBER, "log loss");
    *ret_start = all.high > axis.high ? all.high : NAN;
    for (size_t i = 0; i < n; i++)
        if (points[i].y > axis.high || points[i].y < axis.low)
            points[i].y = NAN;
    return axis;
}

void plot_loss(FILE *out, const struct report *report)
{
    struct svg_point points[MOST_POINTS];
    char caption[160];
    double start;
    const size_t n_points = thin_losses(report, points);
    const struct svg_axis losses = loss_axis(report, points, n_points, &start);
    const struct svg_plot plot = {out, step_axis(report), losses};
    int length = snprintf(caption, sizeof caption,
                          "Lower is better. Training: mean of the steps since the point before.");
    if (isfinite(start))
        snprintf(caption + length, sizeof caption - (size_t)length,
                 " Its first steps, from %.3f, lie above the plot.", start);
    begin_figure(out, "Loss by step");
    put_legend(out, OF_TRAINING, "training");
    if (report->n_valid_rows)
        put_legend(out, OF_VALIDATION, "validation");
    begin_plot(&plot, "Log loss by step");
    plot_kept(&plot, report);
    svg_line(&plot, OF_TRAINING, points, n_points);
    plot_measures(&plot, OF_VALIDATION, report, log_loss_of);
    end_figure(&plot, caption);
}

void plot_auc(FILE *out, const struct report *report, bool has_groups)
{
    struct svg_range range = SVG_NO_RANGE;
    add_measures(&range, report, auc_of);
    if (has_groups)
        add_measures(&range, report, grouped_auc_of);
    const struct svg_plot plot = {out, step_axis(report),
                                  svg_axis_around(range, SVG_NUMBER, "AUC")};
    begin_figure(out, "AUC by step");
    put_legend(out, OF_VALIDATION, "validation");
    if (has_groups)
        put_legend(out, OF_GROUPS, "validation, grouped");
    begin_plot(&plot, "AUC of the validation data by step");
    plot_kept(&plot, report);
    plot_measures(&plot, OF_VALIDATION, report, auc_of);
    if (has_groups)
        plot_measures(&plot, OF_GROUPS, report, grouped_auc_of);
    end_figure(&plot, "The chance that a click scores above a row without one: 1 is perfect, 0.5 "
                      "is chance. Measured once an epoch, at its last step.");
}

/* ---- of the kept epoch ---- */

/* Wilson's interval: where the rate lies that gives so many clicks in 95 of 100 cases. */
static struct svg_range rate_interval(const struct evaluation_bin *bin)
{
    const double z = 1.96, n = (double)bin->n_rows, rate = (double)bin->n_clicks / n;
    const double scale = 1 / (1 + z * z / n), middle = scale * (rate + z * z / (2 * n));
    const double half = scale * z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n));
    return (struct svg_range){fmax(0, middle - half), fmin(1, middle + half)};
}

void plot_calibration(FILE *out, const struct evaluation *evaluation)
{
    struct svg_point points[EVALUATE_BINS];
    struct svg_range intervals[EVALUATE_BINS], range = {0, 0};
    size_t n = 0;
    for (unsigned i = 0; i < EVALUATE_BINS; i++) {
        const struct evaluation_bin *bin = &evaluation->bins[i];
        if (bin->n_rows == 0)
            continue;
        points[n] =
            (struct svg_point){bin->mean_score, (double)bin->n_clicks / (double)bin->n_rows};
        intervals[n] = rate_interval(bin);
        svg_range_add(&range, points[n].x);
        svg_range_add(&range, intervals[n++].high);
    }
    const struct svg_plot plot = {out, svg_axis_around(range, SVG_PERCENT, "mean score"),
                                  svg_axis_around(range, SVG_PERCENT, "click rate")};
    begin_figure(out, "Calibration");
    put_legend(out, OF_VALIDATION, "validation, kept epoch");
    begin_plot(&plot, "Click rate by mean score, in parts of equal size");
    svg_guide(&plot, (struct svg_point){plot.x.low, plot.y.low},
              (struct svg_point){plot.x.high, plot.y.high}, "score = rate");
    for (size_t i = 0; i < n; i++)
        svg_whisker(&plot, OF_VALIDATION, points[i].x, intervals[i].low, intervals[i].high);
    svg_line(&plot, OF_VALIDATION, points, n);
    svg_dots(&plot, OF_VALIDATION, points, n);
    end_figure(&plot, "Rows in 20 parts of equal size by score. Below the dashed line, scores "
                      "promise too many clicks. Upright lines: 95 % of chance.");
}

static double bar_height(const struct evaluation *evaluation, unsigned label, unsigned bin)
{
    const uint64_t n_clicks = evaluation->n_clicks;
    const uint64_t whole = label ? n_clicks : evaluation->n_rows - n_clicks;
    return whole ? (double)evaluation->histogram[label][bin] / (double)whole : NAN;
}

void plot_scores(FILE *out, const struct evaluation *evaluation)
{
    struct svg_range height = {0, 0}, scores = {0, 0};
    for (unsigned bin = 0; bin < EVALUATE_BINS; bin++)
        for (unsigned label = 0; label < 2; label++) {
            svg_range_add(&height, bar_height(evaluation, label, bin));
            if (evaluation->histogram[label][bin])
                svg_range_add(&scores, (bin + 1.0) / EVALUATE_BINS);
        }
    const struct svg_plot plot = {out, svg_axis_to_end(scores, SVG_NUMBER, "score"),
                                  svg_axis_around(height, SVG_PERCENT, "rows of the label")};
    begin_figure(out, "Scores");
    put_legend(out, WITHOUT_CLICK, "without a click");
    put_legend(out, WITH_CLICK, "clicks");
    begin_plot(&plot, "Histogram of the scores by label");
    for (unsigned bin = 0; bin < EVALUATE_BINS; bin++)
        for (unsigned label = 0; label < 2; label++) {
            const double left = (bin + 0.08 + 0.42 * label) / EVALUATE_BINS;
            if (evaluation->histogram[label][bin])
                svg_bar(&plot, label ? WITH_CLICK : WITHOUT_CLICK, left,
                        left + 0.42 / EVALUATE_BINS, bar_height(evaluation, label, bin));
        }
    end_figure(&plot, "Validation data, kept epoch; each label's rows are 100 %. The further the "
                      "two lie apart, the higher the AUC.");
}
