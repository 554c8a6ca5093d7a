/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sklearn_scaler.h"

#include <stddef.h>
#include <stdio.h>

#include "format/numpy_array.h"

enum { WHAT_MAX = 128, COLUMNS_MAX = 1000000, PARTS_MAX = 2 };

/* An array of a scaler, and where its values go. */
struct part {
    const char *switch_name; /* an attribute that is False if the array is not used; or NULL */
    const char *name;        /* of the array; NULL: there are no more */
    size_t member;           /* of struct scaling */
};

#define PART(switch_name, name, member)                                                            \
    {                                                                                              \
        switch_name, name, offsetof(struct scaling, member)                                        \
    }

static const struct scaler_class {
    enum pickle_name value;
    const char *name;
    struct part parts[PARTS_MAX];
} classes[] = {
    {PICKLE_STANDARD_SCALER,
     "StandardScaler",
     {PART("with_mean", "mean_", mean), PART("with_std", "scale_", scale)}},
    {PICKLE_ROBUST_SCALER,
     "RobustScaler",
     {PART("with_centering", "center_", mean), PART("with_scaling", "scale_", scale)}},
    {PICKLE_MAX_ABS_SCALER, "MaxAbsScaler", {PART(NULL, "scale_", scale)}},
    {PICKLE_MIN_MAX_SCALER,
     "MinMaxScaler",
     {PART(NULL, "scale_", factor), PART(NULL, "min_", shift)}},
};

/* One reading: the class and the object's attributes. */
struct scaler {
    struct sklearn_reader *sklearn;
    const struct scaler_class *class;
    const struct pickle_value *attributes;
};

#define FAIL(scaler, ...) format_error_set((scaler)->sklearn->error, FORMAT_NO_OFFSET, __VA_ARGS__)

const struct pickle_value *sklearn_attributes(const struct pickle_value *value,
                                              enum pickle_name name)
{
    if (!pickle_is_record(value, name) || value->record.state == NULL ||
        value->record.state->kind != PICKLE_DICT)
        return NULL;
    return value->record.state;
}

static const struct scaler_class *class_of(const struct pickle_value *value)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (pickle_is_record(value, classes[i].value))
            return &classes[i];
    return NULL;
}

bool sklearn_is_scaler(const struct pickle_value *value)
{
    return class_of(value) != NULL;
}

/* How many columns the scaler was fitted on. */
static int read_n_dense(const struct scaler *scaler, uint32_t *ret_n)
{
    const struct pickle_value *n = pickle_get(scaler->attributes, "n_features_in_");
    if (sklearn_is_none(n)) {
        *ret_n = 0; /* never fitted: a model without dense columns */
        for (int i = 0; i < PARTS_MAX; i++)
            if (scaler->class->parts[i].name &&
                !sklearn_is_none(pickle_get(scaler->attributes, scaler->class->parts[i].name)))
                return FAIL(scaler, "%s.n_features_in_ is missing", scaler->class->name);
        return 0;
    }
    if (n->kind != PICKLE_INTEGER || n->integer < 0 || n->integer > COLUMNS_MAX)
        return FAIL(scaler, "%s.n_features_in_ is out of range", scaler->class->name);
    *ret_n = (uint32_t)n->integer;
    return 0;
}

/* One of the scaler's arrays into a member of each column's scaling. */
static int read_part(const struct scaler *scaler, const struct part *part)
{
    const struct sklearn_file *file = scaler->sklearn->file;
    double *values;
    uint32_t n;
    if (file->n_dense == 0 ||
        (part->switch_name &&
         sklearn_is_bool(pickle_get(scaler->attributes, part->switch_name), false)))
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof what, "%s.%s", scaler->class->name, part->name);
    const struct pickle_value *array = pickle_get(scaler->attributes, part->name);
    if (sklearn_is_none(array))
        return FAIL(scaler, "%s is missing: the scaler was not fitted", what);
    if (numpy_array_doubles(array, what, scaler->sklearn->arena, &values, &n,
                            scaler->sklearn->error) != 0)
        return -1;
    if (n != file->n_dense)
        return FAIL(scaler, "%s has %u values for %u columns", what, n, file->n_dense);
    for (uint32_t i = 0; i < n; i++)
        memcpy((char *)&file->scaling[i] + part->member, &values[i], sizeof *values);
    return 0;
}

static int read_names(const struct scaler *scaler)
{
    struct sklearn_file *file = scaler->sklearn->file;
    const struct pickle_value *names = pickle_get(scaler->attributes, "feature_names_in_");
    char what[WHAT_MAX];
    uint32_t n, missing;
    snprintf(what, sizeof what, "%s.feature_names_in_", scaler->class->name);
    if (sklearn_is_none(names))
        return 0;
    if (numpy_array_texts(names, what, scaler->sklearn->arena, &file->dense_names, &n, &missing,
                          scaler->sklearn->error) != 0)
        return -1;
    if (n != file->n_dense)
        return FAIL(scaler, "%s has %u names for %u columns", scaler->class->name, n,
                    file->n_dense);
    return 0;
}

/* "clip": of a MinMaxScaler to its range, of a MaxAbsScaler to -1 to 1. */
static int read_clip(const struct scaler *scaler)
{
    const struct sklearn_file *file = scaler->sklearn->file;
    const struct pickle_value *range = pickle_get(scaler->attributes, "feature_range");
    double low = -1, high = 1;
    if (!sklearn_is_bool(pickle_get(scaler->attributes, "clip"), true))
        return 0;
    if (range && ((range->kind != PICKLE_TUPLE && range->kind != PICKLE_LIST) || range->n != 2 ||
                  !numpy_scalar_double(range->items[0], &low) ||
                  !numpy_scalar_double(range->items[1], &high)))
        return FAIL(scaler, "%s.feature_range is not a pair of numbers", scaler->class->name);
    if (!(low <= high))
        return FAIL(scaler, "%s.feature_range is out of order", scaler->class->name);
    for (uint32_t i = 0; i < file->n_dense; i++) {
        file->scaling[i].low = low;
        file->scaling[i].high = high;
    }
    return 0;
}

static int check_column(const struct scaler *scaler, uint32_t i)
{
    const struct sklearn_file *file = scaler->sklearn->file;
    char column[WHAT_MAX];
    if (file->dense_names)
        snprintf(column, sizeof column, "dense column \"%.*s\"", TEXT_SHOWN(file->dense_names[i]));
    else
        snprintf(column, sizeof column, "dense column %u", i + 1);
    for (int p = 0; p < PARTS_MAX && scaler->class->parts[p].name; p++) {
        const struct part *part = &scaler->class->parts[p];
        double value;
        memcpy(&value, (const char *)&file->scaling[i] + part->member, sizeof value);
        if (!isfinite(value) || file->scaling[i].scale == 0)
            return FAIL(scaler, "%s: %s.%s of %g cannot be used", column, scaler->class->name,
                        part->name, isfinite(value) ? file->scaling[i].scale : value);
    }
    return 0;
}

int sklearn_read_scaler(struct sklearn_reader *sklearn, const struct pickle_value *value)
{
    const struct scaler scaler = {sklearn, class_of(value),
                                  sklearn_attributes(value, (enum pickle_name)value->name)};
    struct sklearn_file *file = sklearn->file;
    if (scaler.attributes == NULL)
        return format_error_set(sklearn->error, value->offset, "%s has no attributes",
                                scaler.class->name);
    file->scaler = scaler.class->name;
    if (read_n_dense(&scaler, &file->n_dense) != 0)
        return -1;
    if (file->n_dense > sklearn->arena->limit_bytes / sizeof *file->scaling)
        return FAIL(&scaler, "%s.n_features_in_ is far more than the file has room for",
                    scaler.class->name);
    file->scaling = arena_calloc(sklearn->arena, (size_t)file->n_dense + 1, sizeof *file->scaling);
    if (file->scaling == NULL)
        return format_error_memory(sklearn->error);
    for (uint32_t i = 0; i < file->n_dense; i++)
        file->scaling[i] = SCALING_NONE;
    for (int i = 0; i < PARTS_MAX && scaler.class->parts[i].name; i++)
        if (read_part(&scaler, &scaler.class->parts[i]) != 0)
            return -1;
    if (read_names(&scaler) != 0 || read_clip(&scaler) != 0)
        return -1;
    for (uint32_t i = 0; i < file->n_dense; i++)
        if (check_column(&scaler, i) != 0)
            return -1;
    return 0;
}
