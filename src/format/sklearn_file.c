/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sklearn_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/inflate.h"
#include "format/numpy_array.h"
#include "format/pickle_opcodes.h"
#include "format/sklearn_scaler.h"

enum {
    WHAT_MAX =
        128, /* "column \"NAME\": LabelEncoder.classes_" with the name as TEXT_SHOWN cuts it */
    ROWS_MAX = INT32_MAX
};

static int by_text(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* A text that stands twice, or NULL. -1: out of memory. Sorted texts, as LabelEncoder's are, cost
 * one look each. */
static int find_twice(struct sklearn_reader *sklearn, const struct text *texts, uint32_t n,
                      const struct text **ret_twice)
{
    bool is_sorted = true;
    *ret_twice = NULL;
    for (uint32_t i = 1; i < n && is_sorted; i++)
        is_sorted = text_compare(texts[i - 1], texts[i]) < 0;
    if (is_sorted)
        return 0;
    struct text *sorted = arena_calloc(sklearn->arena, n, sizeof *sorted);
    if (sorted == NULL)
        return format_error_memory(sklearn->error);
    memcpy(sorted, texts, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_text);
    for (uint32_t i = 1; i < n; i++)
        if (text_equal(sorted[i - 1], sorted[i]))
            *ret_twice = &sorted[i];
    return 0;
}

/* The classes of a column, by its `array`. */
static int read_classes(struct sklearn_reader *sklearn, struct sklearn_encoder *encoder,
                        const struct pickle_value *array, const char *what)
{
    const struct text *twice;
    if (numpy_array_texts(array, what, sklearn->arena, &encoder->classes, &encoder->n_classes,
                          &encoder->missing_row, sklearn->error) != 0 ||
        find_twice(sklearn, encoder->classes, encoder->n_classes, &twice) != 0)
        return -1;
    if (twice)
        return format_error_set(sklearn->error, array->offset, "%s: \"%.*s\" stands twice", what,
                                TEXT_SHOWN(*twice));
    encoder->unknown_row = SKLEARN_NO_ROW;
    return 0;
}

static int read_label_encoder(struct sklearn_reader *sklearn, struct sklearn_encoder *encoder,
                              const struct pickle_value *value)
{
    char what[WHAT_MAX];
    snprintf(what, sizeof what, "column \"%.*s\": LabelEncoder.classes_",
             TEXT_SHOWN(encoder->column));
    const struct pickle_value *fitted = sklearn_attributes(value, PICKLE_LABEL_ENCODER);
    if (fitted == NULL)
        return format_error_set(sklearn->error, value->offset,
                                "column \"%.*s\": %s where a LabelEncoder is expected",
                                TEXT_SHOWN(encoder->column), pickle_describe(value));
    const struct pickle_value *classes = pickle_get(fitted, "classes_");
    if (sklearn_is_none(classes))
        return format_error_set(sklearn->error, value->offset,
                                "%s is missing: the encoder was not fitted", what);
    return read_classes(sklearn, encoder, classes, what);
}

static int make_encoders(struct sklearn_reader *sklearn, uint32_t n)
{
    struct sklearn_file *file = sklearn->file;
    file->encoders = arena_calloc(sklearn->arena, (size_t)n + 1, sizeof *file->encoders);
    return file->encoders ? 0 : format_error_memory(sklearn->error);
}

/* The LabelEncoders of a dict; `is_mixed`: other things in it are passed over. */
static int read_label_encoders(struct sklearn_reader *sklearn, const struct pickle_value *dict,
                               bool is_mixed)
{
    struct sklearn_file *file = sklearn->file;
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(dict, &n);
    if (make_encoders(sklearn, n) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct pickle_value *key = pairs[2 * i], *value = pairs[2 * i + 1];
        if (is_mixed && !pickle_is_record(value, PICKLE_LABEL_ENCODER))
            continue;
        if (key->kind != PICKLE_TEXT)
            return format_error_set(sklearn->error, key->offset, "a column name is %s, not a text",
                                    pickle_describe(key));
        struct sklearn_encoder *encoder = &file->encoders[file->n_encoders++];
        encoder->column = key->text;
        if (read_label_encoder(sklearn, encoder, value) != 0)
            return -1;
    }
    return 0;
}

/* ---- OrdinalEncoder */

/* A row that an attribute names, or SKLEARN_NO_ROW if it is None or NaN. -1: it names none. */
static int read_row(struct sklearn_reader *sklearn, const struct pickle_value *attributes,
                    const char *name, uint32_t *ret_row)
{
    const struct pickle_value *value = pickle_get(attributes, name);
    double row;
    *ret_row = SKLEARN_NO_ROW;
    if (sklearn_is_none(value))
        return 0;
    if (numpy_scalar_double(value, &row) && isnan(row))
        return 0;
    if (!numpy_scalar_double(value, &row) || row != floor(row) || !(row >= 0 && row < ROWS_MAX))
        return format_error_set(sklearn->error, value->offset,
                                "OrdinalEncoder.%s is no row of an embedding table; if the network "
                                "was trained on other "
                                "rows than the encoder gives, describe its columns in a model.json",
                                name);
    *ret_row = (uint32_t)row;
    return 0;
}

/* Its missing values have the last category, NaN, and the code that is set for them. */
static int place_missing(struct sklearn_reader *sklearn, struct sklearn_encoder *encoder,
                         uint32_t missing_row, const char *what)
{
    if (encoder->missing_row == SKLEARN_NO_ROW || encoder->missing_row == missing_row)
        return 0;
    if (missing_row == SKLEARN_NO_ROW)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "%s: missing values are encoded as NaN, which is no row; fit it "
                                "with encoded_missing_value, or on values without missing ones",
                                what);
    if (encoder->missing_row != encoder->n_classes - 1)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "%s: the missing value is not the last category", what);
    encoder->n_classes--;
    encoder->missing_row = missing_row;
    return 0;
}

static int read_ordinal_columns(struct sklearn_reader *sklearn,
                                const struct pickle_value *attributes,
                                const struct pickle_value *categories)
{
    struct sklearn_file *file = sklearn->file;
    const struct pickle_value *names = pickle_get(attributes, "feature_names_in_");
    const struct pickle_value *handling = pickle_get(attributes, "handle_unknown");
    uint32_t unknown_row = SKLEARN_NO_ROW, missing_row, n_names = categories->n, none;
    struct text *columns = NULL;
    if (!sklearn_is_none(names) &&
        numpy_array_texts(names, "OrdinalEncoder.feature_names_in_", sklearn->arena, &columns,
                          &n_names, &none, sklearn->error) != 0)
        return -1;
    if (n_names != categories->n)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "OrdinalEncoder has %u names for %u columns", n_names,
                                categories->n);
    const bool is_set =
        handling && handling->kind == PICKLE_TEXT && text_is(handling->text, "use_encoded_value");
    if ((is_set && read_row(sklearn, attributes, "unknown_value", &unknown_row) != 0) ||
        read_row(sklearn, attributes, "encoded_missing_value", &missing_row) != 0)
        return -1;
    if (is_set && unknown_row == SKLEARN_NO_ROW)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "OrdinalEncoder.unknown_value is NaN, which is no row");
    for (uint32_t i = 0; i < categories->n; i++) {
        struct sklearn_encoder *encoder = &file->encoders[file->n_encoders++];
        char what[WHAT_MAX];
        encoder->column = columns ? columns[i] : (struct text){NULL, 0};
        snprintf(what, sizeof what, "column %u \"%.*s\": OrdinalEncoder.categories_", i + 1,
                 TEXT_SHOWN(encoder->column));
        if (read_classes(sklearn, encoder, categories->items[i], what) != 0 ||
            place_missing(sklearn, encoder, missing_row, what) != 0)
            return -1;
        encoder->unknown_row = unknown_row;
    }
    return 0;
}

static int read_ordinal_encoder(struct sklearn_reader *sklearn, const struct pickle_value *value)
{
    const struct pickle_value *attributes = sklearn_attributes(value, PICKLE_ORDINAL_ENCODER);
    const struct pickle_value *categories =
        attributes ? pickle_get(attributes, "categories_") : NULL;
    sklearn->file->is_ordinal = true;
    if (categories == NULL || categories->kind != PICKLE_LIST)
        return format_error_set(sklearn->error, value->offset,
                                "OrdinalEncoder.categories_ is missing: the encoder was not "
                                "fitted");
    if (sklearn_is_bool(pickle_get(attributes, "_infrequent_enabled"), true))
        return format_error_set(sklearn->error, value->offset,
                                "the OrdinalEncoder groups infrequent values (min_frequency or "
                                "max_categories), which is not read here");
    return make_encoders(sklearn, categories->n) != 0
               ? -1
               : read_ordinal_columns(sklearn, attributes, categories);
}

/* ---- the container */

/* What was found in it. */
struct found {
    const struct pickle_value *scaler, *encoders;
    const struct pickle_value *dict;  /* the first one that is not empty, if encoders are missing */
    const struct pickle_value *other; /* an object, or in a pair anything, that is none of these */
    bool is_mixed;                    /* LabelEncoders stand in the container itself */
};

/* A dict with a LabelEncoder in it. */
static bool holds_label_encoders(const struct pickle_value *value)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    for (uint32_t i = 0; pairs && i < n; i++)
        if (pickle_is_record(pairs[2 * i + 1], PICKLE_LABEL_ENCODER))
            return true;
    return false;
}

static bool is_encoders(const struct pickle_value *value)
{
    return pickle_is_record(value, PICKLE_ORDINAL_ENCODER) || holds_label_encoders(value);
}

/* Keeps what is neither a scaler nor encoders: it may be what the encoding needs. */
static void keep_other(struct found *found, const struct pickle_value *item)
{
    uint32_t n = 0;
    if (pickle_pairs(item, &n)) {
        if (n > 0 && found->dict == NULL)
            found->dict = item;
    } else if (item->kind == PICKLE_NAME ||
               (item->kind == PICKLE_RECORD &&
                !(found->is_mixed && pickle_is_record(item, PICKLE_LABEL_ENCODER)))) {
        found->other = item;
    } else if (item->kind == PICKLE_LIST && item->n > 0 && found->other == NULL &&
               item->items[0]->kind == PICKLE_RECORD) {
        found->other = item; /* of encoders, perhaps, whose columns nobody knows */
    }
}

/* One of the container's items. */
static int look_at(struct sklearn_reader *sklearn, struct found *found,
                   const struct pickle_value *item)
{
    const struct pickle_value **place = sklearn_is_scaler(item) ? &found->scaler
                                        : is_encoders(item)     ? &found->encoders
                                                                : NULL;
    if (place && *place)
        return format_error_set(sklearn->error, item->offset,
                                "holds two %s (%s, %s): which ones the network was trained with is "
                                "not known; write a pair of one scaler and its encoders",
                                *place == found->scaler ? "scalers" : "sets of encoders",
                                pickle_describe(*place), pickle_describe(item));
    if (place)
        *place = item;
    else
        keep_other(found, item);
    return 0;
}

/* The scaler and the encoders in what the file holds. */
static int look_through(struct sklearn_reader *sklearn, struct found *found,
                        const struct pickle_value *root)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(root, &n);
    if (sklearn_is_scaler(root) || pickle_is_record(root, PICKLE_ORDINAL_ENCODER))
        return look_at(sklearn, found, root);
    if (pairs && holds_label_encoders(root)) {
        found->encoders = root;
        found->is_mixed = true;
    }
    int status = 0;
    for (uint32_t i = 0; pairs && i < n && status == 0; i++)
        status = look_at(sklearn, found, pairs[2 * i + 1]);
    if (root->kind != PICKLE_TUPLE && root->kind != PICKLE_LIST)
        return status;
    for (uint32_t i = 0; i < root->n && status == 0; i++)
        status = look_at(sklearn, found, root->items[i]);
    return status;
}

/* What is left over may be a step of the encoding that is not read here: the scores would be wrong.
 * A dict without a LabelEncoder says itself what is wrong with it, if there are no others. */
static int check_others(struct sklearn_reader *sklearn, struct found *found,
                        const struct pickle_value *root)
{
    if (found->encoders == NULL)
        found->encoders = found->dict;
    if (found->other == NULL && (found->scaler || found->encoders))
        return 0;
    const struct pickle_value *other = found->other ? found->other : root;
    return format_error_set(sklearn->error, other->offset,
                            "holds %s; a pair is expected of a scaler (StandardScaler, "
                            "MinMaxScaler, RobustScaler, MaxAbsScaler) and encoders (a dict of "
                            "LabelEncoders, or an OrdinalEncoder)",
                            pickle_describe(other));
}

static int check_columns(struct sklearn_reader *sklearn)
{
    const struct sklearn_file *file = sklearn->file;
    const struct text *twice;
    struct text *columns =
        arena_calloc(sklearn->arena, (size_t)file->n_encoders + 1, sizeof *columns);
    if (columns == NULL)
        return format_error_memory(sklearn->error);
    for (uint32_t i = 0; i < file->n_encoders; i++)
        columns[i] = file->encoders[i].column;
    if (file->n_encoders == 0 || columns[0].at == NULL)
        return 0;
    if (find_twice(sklearn, columns, file->n_encoders, &twice) != 0)
        return -1;
    if (twice)
        return format_error_set(sklearn->error, FORMAT_NO_OFFSET,
                                "column \"%.*s\" has two encoders", TEXT_SHOWN(*twice));
    return 0;
}

static int read_encoders(struct sklearn_reader *sklearn, const struct found *found)
{
    const struct pickle_value *encoders = found->encoders;
    if (encoders == NULL)
        return make_encoders(sklearn, 0);
    const int status = encoders->kind == PICKLE_RECORD && encoders->name == PICKLE_ORDINAL_ENCODER
                           ? read_ordinal_encoder(sklearn, encoders)
                           : read_label_encoders(sklearn, encoders, found->is_mixed);
    return status == 0 ? check_columns(sklearn) : -1;
}

bool sklearn_file_is(const uint8_t *bytes, size_t size)
{
    return size > 0 && (bytes[0] == OP_PROTO || compression_name(bytes, size));
}

int sklearn_file_read(struct sklearn_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error)
{
    struct sklearn_reader sklearn = {arena, error, file};
    struct found found = {0};
    struct pickle_value *root;
    *file = (struct sklearn_file){0};
    if (compression_name(bytes, size) &&
        inflate_whole(arena, bytes, size, &bytes, &size, error) != 0)
        return -1;
    if (pickle_read(arena, bytes, size, &root, error) != 0 ||
        look_through(&sklearn, &found, root) != 0 || check_others(&sklearn, &found, root) != 0)
        return -1;
    if (found.scaler && sklearn_read_scaler(&sklearn, found.scaler) != 0)
        return -1;
    return read_encoders(&sklearn, &found);
}
