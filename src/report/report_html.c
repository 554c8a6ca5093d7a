/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_html.c: the page: a summary, plots, tables. It asks for nothing from elsewhere and runs
 * no script, so that it can be mailed, archived, and opened from a disk.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "report/html.h"
#include "report/report.h"
#include "report/report_plots.h"

static const char style[] =
    ":root{color-scheme:light dark;--ground:#fff;--panel:#f6f7f9;--text:#1b1f24;--faint:#5c6570;"
    "--rule:#dfe3e8;--s0:#0072b2;--s1:#d55e00;--s2:#00805e;--s3:#8592a0;--s4:#8a3fc0}\n"
    "@media(prefers-color-scheme:dark){:root{--ground:#14171b;--panel:#1d2126;--text:#e4e7eb;"
    "--faint:#9aa4b0;--rule:#343b44;--s0:#5ab4f0;--s1:#f0913a;--s2:#3fc79a;--s3:#7d8894;--s4:#"
    "c792f0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:16px;max-width:1040px;background:var(--ground);color:var(--text);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.15em;margin:1.8em 0 .5em}"
    "h3{font-size:1em;margin:0 0 .2em}\n"
    "p{margin:.2em 0}.faint,figcaption{color:var(--faint)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(45%,210px),1fr));gap:"
    "10px;"
    "margin:14px 0}\n"
    ".tiles div{background:var(--panel);border-radius:6px;padding:10px 12px}\n"
    "dl,dt,dd{margin:0}dt,.tiles small{color:var(--faint)}dt{font-size:.85em}"
    "dd{font-size:1.45em;font-variant-numeric:tabular-nums}.tiles "
    "small{display:block;font-size:.58em}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));"
    "gap:14px}\n"
    "figure{margin:0;background:var(--panel);border-radius:6px;padding:10px 12px}"
    "figcaption{font-size:.88em}\n"
    ".legend span{margin-right:1.1em;white-space:nowrap}"
    ".legend i{display:inline-block;width:.75em;height:.75em;border-radius:2px;"
    "margin-right:.4em;background:var(--c)}\n"
    ".s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}\n"
    "svg{display:block;width:100%;height:auto}text{fill:var(--text);font-size:12px}"
    ".tick{fill:var(--faint)}.end{text-anchor:end}.middle{text-anchor:middle}\n"
    "path{fill:none}.grid{stroke:var(--rule)}.axis{stroke:var(--faint)}"
    ".guide{stroke:var(--faint);stroke-dasharray:4 3}\n"
    ".line{stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}"
    ".whisker{stroke:var(--c);opacity:.55}.fill{fill:var(--c)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:4px 14px 4px 0;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid var(--rule)}\n"
    "th{color:var(--faint);font-weight:500}th:first-child,td:first-child{text-align:left}"
    ".kept td{font-weight:600}\n"
    ".settings th,.settings td{text-align:left}.settings "
    "td{white-space:normal;overflow-wrap:anywhere}\n";

struct page {
    FILE *out;
    const struct report *report;
    const struct report_epoch *best;    /* or NULL */
    const struct evaluation *evaluated; /* of the best, or NULL: there are no validation data */
    bool has_groups;
};

/* ---- summary ---- */

static void begin_tile(FILE *out, const char *name)
{
    fprintf(out, "<div><dt>%s</dt><dd>", name);
}

static void put_measure(FILE *out, const char *name, double value, int n_decimals)
{
    begin_tile(out, name);
    html_number(out, value, n_decimals);
}

static void end_tile(FILE *out)
{
    fputs("</dd></div>\n", out);
}

static void put_rate(FILE *out, double rate)
{
    if (rate >= 0 && rate < 1e15)
        html_count(out, (uint64_t)(rate + 0.5));
    else
        html_number(out, NAN, 0);
}

/* The log loss of giving each row the click rate: what a score has to beat. */
static double log_loss_of_rate(const struct evaluation *evaluation)
{
    const double rate = (double)evaluation->n_clicks / (double)evaluation->n_rows;
    return rate > 0 && rate < 1 ? -(rate * log(rate) + (1 - rate) * log(1 - rate)) : 0;
}

static void put_quality(const struct page *page)
{
    const struct evaluation *evaluated = page->evaluated;
    FILE *out = page->out;
    if (evaluated == NULL)
        return;
    put_measure(out, "AUC", evaluated->auc, 4);
    end_tile(out);
    if (page->has_groups) {
        put_measure(out, "Grouped AUC", evaluated->grouped_auc, 4);
        fputs("<small>", out);
        html_count(out, evaluated->n_groups);
        fputs(" groups</small>", out);
        end_tile(out);
    }
    put_measure(out, "Log loss", evaluated->log_loss, 4);
    fputs("<small>", out);
    html_number(out, log_loss_of_rate(evaluated), 4);
    fputs(" by the click rate alone</small>", out);
    end_tile(out);
    put_measure(out, "Calibration", evaluated->calibration, 3);
    fputs("<small>mean score / click rate</small>", out);
    end_tile(out);
}

static void put_tiles(const struct page *page)
{
    const struct report *report = page->report;
    FILE *out = page->out;
    fputs("<dl class=\"tiles\">\n", out);
    put_quality(page);
    begin_tile(out, "Training rows");
    html_count(out, report->n_train_rows);
    fputs("<small>", out);
    html_share(out, report->n_train_clicks, report->n_train_rows);
    fputs(" clicks</small>", out);
    end_tile(out);
    begin_tile(out, "Validation rows");
    html_count(out, report->n_valid_rows);
    end_tile(out);
    begin_tile(out, "Time");
    html_duration(out, report->seconds);
    end_tile(out);
    begin_tile(out, "Rows a second");
    put_rate(out, report_rows_per_second(report));
    end_tile(out);
    fputs("</dl>\n", out);
}

static void put_network(const struct page *page)
{
    const struct network_spec *network = page->report->network;
    char layers[1024];
    FILE *out = page->out;
    spec_describe(network, layers, sizeof layers);
    fprintf(out,
            "<p class=\"faint\">DCNv2: %u sparse columns with embeddings of %u, %u dense; %s; ",
            network->n_lookups, report_embedding(page->report), network->n_values, layers);
    html_count(out, page->report->n_parameters);
    fputs(" parameters.</p>\n", out);
}

static void put_summary(const struct page *page)
{
    const struct report *report = page->report;
    FILE *out = page->out;
    fputs("<h1>Training report</h1>\n<p class=\"faint\">dcnv2-train ", out);
    html_text(out, report->version);
    fputs(", backend ", out);
    html_text(out, report->backend);
    fprintf(out, "; ranks: %u, threads: %u</p>\n<p>", report->n_ranks, report->n_threads);
    if (page->best)
        fprintf(out, "Kept: epoch %u of %zu.", report->best_epoch, report->n_epochs);
    if (report->stopped) {
        fputs(" Stopped early: ", out);
        html_text(out, report->stopped);
        fputs(".", out);
    }
    if (report->n_bad_rows) {
        fputs(" Bad rows, skipped: ", out);
        html_count(out, report->n_bad_rows);
        fputs(".", out);
    }
    if (page->evaluated == NULL)
        fputs(" There are no validation data: nothing says how good the scores are.", out);
    fputs("</p>\n", out);
    put_tiles(page);
    put_network(page);
}

/* ---- tables ---- */

/* `names` in HTML, a '|' between them. */
static void begin_table(FILE *out, const char *title, const char *names)
{
    fprintf(out, "<h2>%s</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>", title);
    for (; *names; names++) {
        if (*names == '|')
            fputs("</th><th>", out);
        else
            fputc(*names, out);
    }
    fputs("</th></tr></thead>\n<tbody>\n", out);
}

static void end_table(FILE *out)
{
    fputs("</tbody></table></div>\n", out);
}

static void put_number_cell(FILE *out, double value, int n_decimals)
{
    fputs("<td>", out);
    html_number(out, value, n_decimals);
    fputs("</td>", out);
}

static void put_count_cell(FILE *out, uint64_t count)
{
    fputs("<td>", out);
    html_count(out, count);
    fputs("</td>", out);
}

static void put_share_cell(FILE *out, uint64_t part, uint64_t whole)
{
    fputs("<td>", out);
    html_share(out, part, whole);
    fputs("</td>", out);
}

static void put_epoch(const struct page *page, const struct report_epoch *epoch)
{
    const struct evaluation *evaluation = &epoch->evaluation;
    const bool is_known = evaluation->n_rows > 0;
    FILE *out = page->out;
    fprintf(out, "<tr%s><td>%u%s</td>", epoch == page->best ? " class=\"kept\"" : "", epoch->epoch,
            epoch == page->best ? " (kept)" : "");
    put_count_cell(out, epoch->step);
    put_number_cell(out, epoch->train_loss, 4);
    put_number_cell(out, is_known ? evaluation->log_loss : NAN, 4);
    put_number_cell(out, is_known ? evaluation->auc : NAN, 4);
    if (page->has_groups)
        put_number_cell(out, is_known ? evaluation->grouped_auc : NAN, 4);
    put_number_cell(out, is_known ? evaluation->calibration : NAN, 3);
    put_number_cell(out, is_known ? evaluation->mean_score : NAN, 4);
    fputs("<td>", out);
    html_duration(out, epoch->seconds);
    fputs("</td>", out);
    fputs("<td>", out);
    put_rate(out, epoch->rows_per_second);
    fputs("</td>", out);
    fputs("</tr>\n", out);
}

static void put_epochs(const struct page *page)
{
    begin_table(page->out, "Epochs",
                page->has_groups
                    ? "Epoch|Step|Training loss|Log loss|AUC|Grouped AUC|Calibration|Mean score|"
                      "Time|Rows a second"
                    : "Epoch|Step|Training loss|Log loss|AUC|Calibration|Mean score|Time|"
                      "Rows a second");
    for (size_t i = 0; i < page->report->n_epochs; i++)
        put_epoch(page, &page->report->epochs[i]);
    end_table(page->out);
}

static void put_columns(const struct page *page)
{
    const struct report *report = page->report;
    FILE *out = page->out;
    if (report->n_columns == 0)
        return;
    begin_table(out, "Sparse columns", "Column|Classes|Missing|Rare|Rare values|Unseen");
    for (size_t i = 0; i < report->n_columns; i++) {
        const struct report_column *column = &report->columns[i];
        fputs("<tr><td>", out);
        html_text(out, column->name);
        fputs("</td>", out);
        put_count_cell(out, column->n_classes);
        put_share_cell(out, column->n_missing, report->n_train_rows);
        put_share_cell(out, column->n_rare, report->n_train_rows);
        put_count_cell(out, column->n_rare_values);
        put_share_cell(out, column->n_unseen, report->n_valid_rows);
        fputs("</tr>\n", out);
    }
    end_table(out);
    fputs("<p class=\"faint\">Missing and rare: cells of the training data without a value, and "
          "with one too rare to be a class. Unseen: cells of the validation data whose value is "
          "no class; they share one embedding.</p>\n",
          out);
}

static void put_settings(const struct page *page)
{
    FILE *out = page->out;
    if (page->report->n_settings == 0)
        return;
    fputs("<div class=\"settings\">\n", out);
    begin_table(out, "Settings", "Name|Value");
    for (size_t i = 0; i < page->report->n_settings; i++) {
        fputs("<tr><td>", out);
        html_text(out, page->report->settings[i].name);
        fputs("</td><td>", out);
        html_text(out, page->report->settings[i].value);
        fputs("</td></tr>\n", out);
    }
    end_table(out);
    fputs("</div>\n", out);
}

/* ---- the page ---- */

static void put_page(const struct page *page)
{
    fprintf(page->out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<title>Training report</title>\n<style>\n%s</style>\n</head>\n<body>\n",
            style);
    put_summary(page);
    fputs("<h2>Plots</h2>\n<div class=\"plots\">\n", page->out);
    plot_loss(page->out, page->report);
    if (page->evaluated) {
        plot_auc(page->out, page->report, page->has_groups);
        plot_calibration(page->out, page->evaluated);
        plot_scores(page->out, page->evaluated);
    }
    fputs("</div>\n", page->out);
    put_epochs(page);
    put_columns(page);
    put_settings(page);
    fputs("</body>\n</html>\n", page->out);
}

static bool has_groups(const struct report *report)
{
    for (size_t i = 0; i < report->n_epochs; i++)
        if (report->epochs[i].evaluation.n_groups)
            return true;
    return false;
}

char *report_html(const struct report *report)
{
    char *text = NULL;
    size_t length;
    const struct report_epoch *best = report_best(report);
    struct page page = {.out = open_memstream(&text, &length),
                        .report = report,
                        .best = best,
                        .evaluated = best && best->evaluation.n_rows ? &best->evaluation : NULL,
                        .has_groups = has_groups(report)};
    if (page.out == NULL)
        return NULL;
    put_page(&page);
    const bool has_failed = ferror(page.out) != 0;
    if (fclose(page.out) != 0 || has_failed) {
        free(text);
        return NULL;
    }
    return text;
}
