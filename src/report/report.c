/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "network/kinds.h"
#include "number.h"

const struct report_epoch *report_best(const struct report *report)
{
    for (size_t i = 0; i < report->n_epochs; i++)
        if (report->epochs[i].epoch == report->best_epoch)
            return &report->epochs[i];
    return NULL;
}

double report_rows_per_second(const struct report *report)
{
    double rows = 0, seconds = 0;
    for (size_t i = 0; i < report->n_epochs; i++) {
        rows += report->epochs[i].rows_per_second * report->epochs[i].seconds;
        seconds += report->epochs[i].seconds;
    }
    return seconds > 0 ? rows / seconds : NAN;
}

/* ---- items ---- */

/* A document that is being made. Once memory is out, nothing more is added. */
struct document {
    bool has_failed;
};

/* `item` becomes the last one of `parent`: of an array where it has no key. Returns it, or NULL. */
static cJSON *add(struct document *document, cJSON *parent, const char *key, cJSON *item)
{
    const bool is_added =
        parent && item &&
        (key ? cJSON_AddItemToObjectCS(parent, key, item) : cJSON_AddItemToArray(parent, item));
    if (is_added)
        return item;
    document->has_failed = true;
    cJSON_Delete(item);
    return NULL;
}

static cJSON *add_object(struct document *document, cJSON *parent, const char *key)
{
    return add(document, parent, key, cJSON_CreateObject());
}

static cJSON *add_array(struct document *document, cJSON *parent, const char *key)
{
    return add(document, parent, key, cJSON_CreateArray());
}

static void add_text(struct document *document, cJSON *parent, const char *key, const char *text)
{
    add(document, parent, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* Raw, as cJSON's own numbers are doubles: they leave counts above 2^53 out, and print doubles
 * that differ in their last bits alike. */
static void add_count(struct document *document, cJSON *parent, const char *key, uint64_t count)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    add(document, parent, key, cJSON_CreateRaw(text));
}

static void add_number(struct document *document, cJSON *parent, const char *key, double value)
{
    char text[NUMBER_REPR_MAX + 1];
    if (!isfinite(value)) {
        add(document, parent, key, cJSON_CreateNull());
        return;
    }
    text[number_print_repr(value, text)] = '\0';
    add(document, parent, key, cJSON_CreateRaw(text));
}

/* ---- parts ---- */

static void add_counts(struct document *document, cJSON *parent, const char *key,
                       const uint64_t counts[EVALUATE_BINS])
{
    cJSON *array = add_array(document, parent, key);
    for (unsigned i = 0; i < EVALUATE_BINS; i++)
        add_count(document, array, NULL, counts[i]);
}

static void add_measures(struct document *document, cJSON *parent,
                         const struct evaluation *evaluation)
{
    add_count(document, parent, "rows", evaluation->n_rows);
    add_count(document, parent, "clicks", evaluation->n_clicks);
    add_number(document, parent, "auc", evaluation->auc);
    add_number(document, parent, "log_loss", evaluation->log_loss);
    add_number(document, parent, "mean_score", evaluation->mean_score);
    add_number(document, parent, "calibration", evaluation->calibration);
    add_number(document, parent, "grouped_auc", evaluation->grouped_auc);
    add_count(document, parent, "groups", evaluation->n_groups);
}

static void add_plots(struct document *document, cJSON *parent, const struct evaluation *evaluation)
{
    cJSON *bins = add_object(document, parent, "calibration_bins");
    cJSON *rows = add_array(document, bins, "rows");
    cJSON *clicks = add_array(document, bins, "clicks");
    cJSON *means = add_array(document, bins, "mean_score");
    for (unsigned i = 0; i < EVALUATE_BINS; i++) {
        add_count(document, rows, NULL, evaluation->bins[i].n_rows);
        add_count(document, clicks, NULL, evaluation->bins[i].n_clicks);
        add_number(document, means, NULL, evaluation->bins[i].mean_score);
    }
    cJSON *histogram = add_object(document, parent, "score_histogram");
    add_counts(document, histogram, "no_click", evaluation->histogram[0]);
    add_counts(document, histogram, "click", evaluation->histogram[1]);
}

static void add_best(struct document *document, cJSON *root, const struct report *report)
{
    const struct report_epoch *epoch = report_best(report);
    if (epoch == NULL) {
        add(document, root, "best", cJSON_CreateNull());
        return;
    }
    cJSON *best = add_object(document, root, "best");
    add_count(document, best, "epoch", epoch->epoch);
    add_count(document, best, "step", epoch->step);
    add_number(document, best, "train_loss", epoch->train_loss);
    if (epoch->evaluation.n_rows)
        add_measures(document, best, &epoch->evaluation);
}

static void add_data(struct document *document, cJSON *root, const struct report *report)
{
    cJSON *data = add_object(document, root, "data");
    add_count(document, data, "train_rows", report->n_train_rows);
    add_count(document, data, "train_clicks", report->n_train_clicks);
    add_count(document, data, "valid_rows", report->n_valid_rows);
    add_count(document, data, "bad_rows", report->n_bad_rows);
}

uint32_t report_embedding(const struct report *report)
{
    const struct spec_layer *x0 = &report->network->layers[0];
    for (uint32_t i = 0; i < x0->n_parts; i++)
        if (x0->parts[i].kind == INPUT_TABLE)
            return x0->parts[i].width;
    return 0;
}

/* As dcnv2-train --cross has it. */
static const char *cross_name(const struct spec_layer *layer)
{
    return layer->kind == LAYER_CROSS_LAYER_NORM ? "layernorm" : layer_kinds[layer->kind].people;
}

static void add_network(struct document *document, cJSON *root, const struct report *report)
{
    const struct network_spec *spec = report->network;
    const char *cross = "none";
    uint32_t n_cross = 0;
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (layer_kinds[spec->layers[i].kind].is_cross && n_cross++ == 0)
            cross = cross_name(&spec->layers[i]);
    cJSON *network = add_object(document, root, "network");
    add_count(document, network, "dense", spec->n_values);
    add_count(document, network, "sparse", spec->n_lookups);
    add_count(document, network, "embedding", report_embedding(report));
    add_text(document, network, "cross", cross);
    add_count(document, network, "cross_layers", n_cross);
    cJSON *deep = add_array(document, network, "deep");
    for (uint32_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].kind == LAYER_LINEAR)
            add_count(document, deep, NULL, spec->layers[i].n_out);
    add_count(document, network, "parameters", report->n_parameters);
}

static void add_epochs(struct document *document, cJSON *root, const struct report *report)
{
    cJSON *epochs = add_array(document, root, "epochs");
    for (size_t i = 0; i < report->n_epochs; i++) {
        const struct report_epoch *epoch = &report->epochs[i];
        cJSON *object = add_object(document, epochs, NULL);
        add_count(document, object, "epoch", epoch->epoch);
        add_count(document, object, "step", epoch->step);
        add_number(document, object, "train_loss", epoch->train_loss);
        add_number(document, object, "seconds", epoch->seconds);
        add_number(document, object, "rows_per_second", epoch->rows_per_second);
        if (epoch->evaluation.n_rows) {
            cJSON *valid = add_object(document, object, "valid");
            add_measures(document, valid, &epoch->evaluation);
            add_plots(document, valid, &epoch->evaluation);
        } else {
            add(document, object, "valid", cJSON_CreateNull());
        }
    }
}

static void add_losses(struct document *document, cJSON *root, const struct report *report)
{
    cJSON *losses = add_object(document, root, "losses");
    cJSON *steps = add_array(document, losses, "step");
    cJSON *values = add_array(document, losses, "loss");
    for (size_t i = 0; i < report->n_losses; i++) {
        add_count(document, steps, NULL, report->losses[i].step);
        add_number(document, values, NULL, report->losses[i].loss);
    }
}

static void add_columns(struct document *document, cJSON *root, const struct report *report)
{
    cJSON *columns = add_array(document, root, "columns");
    for (size_t i = 0; i < report->n_columns; i++) {
        const struct report_column *column = &report->columns[i];
        cJSON *object = add_object(document, columns, NULL);
        add_text(document, object, "name", column->name);
        add_count(document, object, "classes", column->n_classes);
        add_count(document, object, "missing", column->n_missing);
        add_count(document, object, "rare", column->n_rare);
        add_count(document, object, "rare_values", column->n_rare_values);
        add_count(document, object, "unseen", column->n_unseen);
    }
}

static void add_settings(struct document *document, cJSON *root, const struct report *report)
{
    cJSON *settings = add_object(document, root, "settings");
    for (size_t i = 0; i < report->n_settings; i++)
        add_text(document, settings, report->settings[i].name, report->settings[i].value);
}

char *report_json(const struct report *report)
{
    struct document document = {false};
    cJSON *root = cJSON_CreateObject();
    add_text(&document, root, "version", report->version);
    add_text(&document, root, "backend", report->backend);
    add_count(&document, root, "ranks", report->n_ranks);
    add_count(&document, root, "threads", report->n_threads);
    add_number(&document, root, "seconds", report->seconds);
    add_number(&document, root, "rows_per_second", report_rows_per_second(report));
    add_text(&document, root, "stopped", report->stopped);
    add_best(&document, root, report);
    add_data(&document, root, report);
    add_network(&document, root, report);
    add_settings(&document, root, report);
    add_columns(&document, root, report);
    add_epochs(&document, root, report);
    add_losses(&document, root, report);
    char *text = document.has_failed ? NULL : cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}
