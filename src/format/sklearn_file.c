/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sklearn_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/numpy_array.h"
#include "format/pickle.h"

enum {
    WHAT_MAX = 128
}; /* "column \"NAME\": LabelEncoder.classes_" with the name as TEXT_SHOWN cuts it */

struct sklearn_reader {
    struct arena *arena;
    struct format_error *error;
};

/* The attributes of an object of class `name`; NULL: it is something else. */
static const struct pickle_value *attributes(const struct pickle_value *value,
                                             enum pickle_name name)
{
    if (value->kind != PICKLE_RECORD || value->name != name || value->record.state == NULL ||
        value->record.state->kind != PICKLE_DICT)
        return NULL;
    return value->record.state;
}

static bool is_none(const struct pickle_value *value)
{
    return value == NULL || value->kind == PICKLE_NONE;
}

static bool is_false(const struct pickle_value *value)
{
    return value && value->kind == PICKLE_BOOL && value->integer == 0;
}

/* `mean_` or `scale_`, or `neutral` for every column where the scaler does not use it. */
static int read_statistic(struct sklearn_reader *sklearn, const struct pickle_value *scaler,
                          const char *switch_name, const char *name, double neutral,
                          uint32_t n_dense, double **ret_values)
{
    double *values;
    uint32_t n = n_dense;
    if (n_dense == 0 || is_false(pickle_get(scaler, switch_name))) {
        values = arena_calloc(sklearn->arena, (size_t)n_dense + 1, sizeof *values);
        if (values == NULL)
            return format_error_memory(sklearn->error);
        for (uint32_t i = 0; i < n_dense; i++)
            values[i] = neutral;
    } else {
        const struct pickle_value *array = pickle_get(scaler, name);
        char what[64];
        snprintf(what, sizeof what, "StandardScaler.%s", name);
        if (is_none(array))
            return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                    "%s is missing: the scaler was not fitted", what);
        if (numpy_array_doubles(array, what, sklearn->arena, &values, &n, sklearn->error) != 0)
            return -1;
    }
    if (n != n_dense)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "StandardScaler.%s has %u values for %u columns", name, n, n_dense);
    *ret_values = values;
    return 0;
}

/* How many columns the scaler was fitted on. */
static int read_n_dense(struct sklearn_reader *sklearn, const struct pickle_value *scaler,
                        uint32_t *ret_n)
{
    const struct pickle_value *n = pickle_get(scaler, "n_features_in_");
    if (is_none(n) && is_none(pickle_get(scaler, "mean_"))) {
        *ret_n = 0; /* never fitted: a model without dense columns */
        return 0;
    }
    if (is_none(n))
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "StandardScaler.n_features_in_ is missing");
    if (n->kind != PICKLE_INTEGER || n->integer < 0 || n->integer > 1000000)
        return format_error_set(sklearn->error, n->offset,
                                "StandardScaler.n_features_in_ is out of range");
    *ret_n = (uint32_t)n->integer;
    return 0;
}

static int read_scaler(struct sklearn_reader *sklearn, struct sklearn_file *file,
                       const struct pickle_value *value)
{
    const struct pickle_value *scaler = attributes(value, PICKLE_STANDARD_SCALER);
    if (scaler == NULL)
        return format_error_set(sklearn->error, value->offset,
                                "the first of the pair is %s, not a StandardScaler",
                                pickle_describe(value));
    if (read_n_dense(sklearn, scaler, &file->n_dense) != 0 ||
        read_statistic(sklearn, scaler, "with_mean", "mean_", 0, file->n_dense, &file->mean) != 0 ||
        read_statistic(sklearn, scaler, "with_std", "scale_", 1, file->n_dense, &file->scale) != 0)
        return -1;
    const struct pickle_value *names = pickle_get(scaler, "feature_names_in_");
    uint32_t n_names = file->n_dense;
    if (!is_none(names) &&
        numpy_array_texts(names, "StandardScaler.feature_names_in_", sklearn->arena,
                          &file->dense_names, &n_names, sklearn->error) != 0)
        return -1;
    if (n_names != file->n_dense)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "StandardScaler has %u names for %u columns", n_names,
                                file->n_dense);
    for (uint32_t i = 0; i < file->n_dense; i++) {
        char column[WHAT_MAX];
        if (file->dense_names)
            snprintf(column, sizeof column, "dense column \"%.*s\"",
                     TEXT_SHOWN(file->dense_names[i]));
        else
            snprintf(column, sizeof column, "dense column %u", i + 1);
        if (!isfinite(file->mean[i]) || !isfinite(file->scale[i]) || file->scale[i] == 0)
            return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                    "%s: mean %g and scale %g cannot be used", column,
                                    file->mean[i], file->scale[i]);
    }
    return 0;
}

static int read_encoder(struct sklearn_reader *sklearn, struct sklearn_encoder *encoder,
                        const struct pickle_value *value)
{
    char what[WHAT_MAX];
    snprintf(what, sizeof what, "column \"%.*s\": LabelEncoder.classes_",
             TEXT_SHOWN(encoder->column));
    const struct pickle_value *fitted = attributes(value, PICKLE_LABEL_ENCODER);
    if (fitted == NULL)
        return format_error_set(sklearn->error, value->offset,
                                "column \"%.*s\": %s where a LabelEncoder is expected",
                                TEXT_SHOWN(encoder->column), pickle_describe(value));
    const struct pickle_value *classes = pickle_get(fitted, "classes_");
    if (is_none(classes))
        return format_error_set(sklearn->error, value->offset,
                                "%s is missing: the encoder was not fitted", what);
    if (numpy_array_texts(classes, what, sklearn->arena, &encoder->classes, &encoder->n_classes,
                          sklearn->error) != 0)
        return -1;
    for (uint32_t i = 1; i < encoder->n_classes; i++) {
        const struct text text = encoder->classes[i];
        const int order = text_compare(encoder->classes[i - 1], text);
        if (order >= 0)
            return format_error_set(sklearn->error, classes->offset, "%s: \"%.*s\" %s", what,
                                    TEXT_SHOWN(text),
                                    order == 0 ? "stands twice" : "is not in sorted order");
    }
    return 0;
}

static int by_column(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

static int check_columns(struct sklearn_reader *sklearn, const struct sklearn_file *file)
{
    struct text *columns =
        arena_calloc(sklearn->arena, (size_t)file->n_encoders + 1, sizeof *columns);
    if (columns == NULL)
        return format_error_memory(sklearn->error);
    for (uint32_t i = 0; i < file->n_encoders; i++)
        columns[i] = file->encoders[i].column;
    qsort(columns, file->n_encoders, sizeof *columns, by_column);
    for (uint32_t i = 1; i < file->n_encoders; i++)
        if (text_equal(columns[i - 1], columns[i]))
            return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                    "column \"%.*s\" has two encoders", TEXT_SHOWN(columns[i]));
    return 0;
}

static int read_encoders(struct sklearn_reader *sklearn, struct sklearn_file *file,
                         const struct pickle_value *dict)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(dict, &n);
    if (pairs == NULL)
        return format_error_set(sklearn->error, dict->offset,
                                "the second of the pair is %s, not a dict of LabelEncoders",
                                pickle_describe(dict));
    file->n_encoders = n;
    file->encoders = arena_calloc(sklearn->arena, (size_t)n + 1, sizeof *file->encoders);
    if (file->encoders == NULL)
        return format_error_memory(sklearn->error);
    for (uint32_t i = 0; i < n; i++) {
        if (pairs[2 * i]->kind != PICKLE_TEXT)
            return format_error_set(sklearn->error, pairs[2 * i]->offset,
                                    "a column name is %s, not a text",
                                    pickle_describe(pairs[2 * i]));
        file->encoders[i].column = pairs[2 * i]->text;
        if (read_encoder(sklearn, &file->encoders[i], pairs[2 * i + 1]) != 0)
            return -1;
    }
    return check_columns(sklearn, file);
}

int sklearn_file_read(struct sklearn_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error)
{
    struct sklearn_reader sklearn = {arena, error};
    struct pickle_value *pair;
    if (pickle_read(arena, bytes, size, &pair, error) != 0)
        return -1;
    if ((pair->kind != PICKLE_TUPLE && pair->kind != PICKLE_LIST) || pair->n != 2)
        return format_error_set(
            error, FORMAT_NO_OFFSET,
            "holds %s, not a pair of a StandardScaler and a dict of LabelEncoders",
            pickle_describe(pair));
    *file = (struct sklearn_file){0};
    if (read_scaler(&sklearn, file, pair->items[0]) != 0)
        return -1;
    return read_encoders(&sklearn, file, pair->items[1]);
}
