/* SPDX-License-Identifier: Apache-2.0 */
#include "format/fuxictr_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "format/numpy_array.h"
#include "format/pickle.h"
#include "format/sklearn_scaler.h"

enum { COLUMNS_MAX = 4096, VALUES_MAX = 4096, NUMBER_BYTES = 24 };

struct reader {
    struct arena *arena;
    struct format_error *error;
    const struct pickle_value *processors; /* the dict "NAME::tokenizer", .. */
};

#define FAIL(reader, ...) format_error_set((reader)->error, FORMAT_NO_OFFSET, __VA_ARGS__)

/* ---- values of the pickle ---- */

static const char *describe(const struct pickle_value *value)
{
    return value ? pickle_describe(value) : "nothing";
}

/* An attribute of the wanted kind, or NULL: *error says what stood there. */
static const struct pickle_value *need(struct reader *reader, const struct pickle_value *dict,
                                       const char *where, const char *key, enum pickle_kind kind,
                                       const char *expected)
{
    const struct pickle_value *value = pickle_get(dict, key);
    if (value && value->kind == kind)
        return value;
    FAIL(reader, "%s.%s: expected %s, found %s", where, key, expected, describe(value));
    return NULL;
}

/* The attributes of an object, or NULL: *error names what it is. */
static const struct pickle_value *attributes_of(struct reader *reader, const char *where,
                                                const struct pickle_value *value,
                                                enum pickle_name name, const char *expected)
{
    const struct pickle_value *found = value ? sklearn_attributes(value, name) : NULL;
    if (found == NULL)
        FAIL(reader, "%s: expected %s, found %s", where, expected, describe(value));
    return found;
}

/* What the data set's column has under "NAME::KIND", or NULL. */
static const struct pickle_value *processor_of(const struct reader *reader, struct text name,
                                               const char *kind)
{
    char key[320];
    const int length = snprintf(key, sizeof key, "%.*s::%s", (int)name.length, name.at, kind);
    return length > 0 && (size_t)length < sizeof key ? pickle_get(reader->processors, key) : NULL;
}

/* ---- a Tokenizer ---- */

static int read_text(struct reader *reader, const struct pickle_value *attributes, const char *key,
                     struct text *ret)
{
    const struct pickle_value *value = pickle_get(attributes, key);
    *ret = (struct text){NULL, 0};
    if (value && value->kind == PICKLE_TEXT)
        *ret = value->text;
    else if (!sklearn_is_none(value))
        return FAIL(reader, "Tokenizer.%s: expected a text, found %s", key, describe(value));
    return 0;
}

static int read_list(struct reader *reader, const struct pickle_value *attributes,
                     struct fuxictr_tokenizer *ret)
{
    const struct pickle_value *most = pickle_get(attributes, "max_len");
    struct text padding;
    double n;
    if (read_text(reader, attributes, "padding", &padding) != 0 ||
        read_text(reader, attributes, "_na_value", &ret->na_value) != 0)
        return -1;
    if (most == NULL || !numpy_scalar_double(most, &n) || !(n >= 0 && n <= VALUES_MAX))
        return FAIL(reader, "Tokenizer.max_len: expected a whole number up to %d, found %s",
                    VALUES_MAX, describe(most));
    ret->max_values = (uint32_t)n;
    ret->pads_in_front = text_is(padding, "pre");
    if (!ret->pads_in_front && !text_is(padding, "post"))
        return FAIL(reader, "Tokenizer.padding: expected \"pre\" or \"post\", found \"%.*s\"",
                    TEXT_SHOWN(padding));
    return 0;
}

static int read_tokenizer(struct reader *reader, const struct pickle_value *value,
                          struct fuxictr_column *ret)
{
    uint32_t n_words = 0;
    struct fuxictr_tokenizer *tokenizer = &ret->tokenizer;
    const struct pickle_value *attributes =
        attributes_of(reader, "processor_dict", value, PICKLE_FUXICTR_TOKENIZER,
                      "a fuxictr.preprocess.tokenizer.Tokenizer");
    const struct pickle_value *words = attributes ? pickle_get(attributes, "vocab") : NULL;
    if (attributes == NULL)
        return -1;
    if (words == NULL || pickle_pairs(words, &n_words) == NULL)
        return FAIL(reader, "Tokenizer.vocab: expected a dict, found %s", describe(words));
    ret->has_tokenizer = true;
    tokenizer->n_words = n_words;
    if (read_text(reader, attributes, "_splitter", &tokenizer->separator) != 0)
        return -1;
    return tokenizer->separator.at ? read_list(reader, attributes, tokenizer) : 0;
}

/* ---- a Normalizer ---- */

/* getattr(scaler, "transform"), as pickle writes a bound method. Such a record means nothing by
 * itself, and nothing is called. */
static const struct pickle_value *owner_of_transform(const struct pickle_value *value)
{
    const struct pickle_value *arguments = value->record.arguments;
    return strcmp(pickle_describe(value), "builtins.getattr") == 0 && arguments->n == 2 &&
                   arguments->items[1]->kind == PICKLE_TEXT &&
                   text_is(arguments->items[1]->text, "transform")
               ? arguments->items[0]
               : NULL;
}

/* The scaler, or the one whose method is held. */
static const struct pickle_value *scaler_of(const struct pickle_value *value)
{
    if (value && pickle_is_unknown_record(value))
        value = owner_of_transform(value);
    return value && sklearn_is_scaler(value) ? value : NULL;
}

static int read_normalizer(struct reader *reader, const struct pickle_value *value,
                           struct fuxictr_column *ret)
{
    struct sklearn_file file = {0};
    struct sklearn_reader sklearn = {reader->arena, reader->error, &file};
    const struct pickle_value *attributes =
        attributes_of(reader, "processor_dict", value, PICKLE_FUXICTR_NORMALIZER,
                      "a fuxictr.preprocess.normalizer.Normalizer");
    if (attributes == NULL)
        return -1;
    const struct pickle_value *held = pickle_get(attributes, "normalizer");
    const struct pickle_value *scaler = scaler_of(held);
    if (scaler == NULL)
        return FAIL(reader, "Normalizer.normalizer: expected a scaler of scikit-learn, found %s",
                    describe(held));
    if (sklearn_read_scaler(&sklearn, scaler) != 0)
        return -1;
    if (file.n_dense != 1)
        return FAIL(reader, "Normalizer.normalizer: %s was fitted on %u columns, not on 1",
                    pickle_describe(scaler), file.n_dense);
    ret->scaling = file.scaling[0];
    ret->is_scaled = true;
    return 0;
}

/* ---- a column of feature_cols ---- */

/* "str", or the type str itself, as who calls the library from a script may write. */
static bool is_dtype(const struct pickle_value *dtype, const char *name)
{
    static const char module[] = "builtins.";
    if (dtype->kind != PICKLE_NAME)
        return dtype->kind == PICKLE_TEXT && text_is(dtype->text, name);
    const char *full = pickle_describe(dtype);
    return strncmp(full, module, sizeof module - 1) == 0 &&
           strcmp(full + sizeof module - 1, name) == 0;
}

static int read_dtype(struct reader *reader, const struct pickle_value *column,
                      struct fuxictr_column *ret)
{
    static const char *const names[] = {
        [FUXICTR_TEXT] = "str", [FUXICTR_INTEGER] = "int", [FUXICTR_FLOAT] = "float"};
    static const char expected[] = "feature_cols.dtype: expected \"str\", \"int\" or \"float\"";
    const struct pickle_value *dtype = pickle_get(column, "dtype");
    for (int i = 0; dtype && i < 3; i++) {
        if (!is_dtype(dtype, names[i]))
            continue;
        ret->dtype = (enum fuxictr_dtype)i;
        return 0;
    }
    if (dtype && dtype->kind == PICKLE_TEXT)
        return FAIL(reader, "%s, found \"%.*s\"", expected, TEXT_SHOWN(dtype->text));
    return FAIL(reader, "%s, found %s", expected, describe(dtype));
}

/* A number as the text that Python's str() gives a whole one. */
static int set_fill_number(struct reader *reader, double number, struct fuxictr_column *ret)
{
    char text[NUMBER_BYTES];
    ret->fill_number = number;
    if (ret->dtype != FUXICTR_INTEGER || !(number > -1e15 && number < 1e15))
        return 0;
    snprintf(text, sizeof text, "%" PRId64, (int64_t)number);
    const char *copy = arena_copy_text(reader->arena, text, strlen(text));
    if (copy == NULL)
        return format_error_memory(reader->error);
    ret->fill_text = text_of(copy);
    return 0;
}

/* What a missing value becomes; the library's defaults are "" and 0. */
static int read_fill(struct reader *reader, const struct pickle_value *column,
                     struct fuxictr_column *ret)
{
    const struct pickle_value *fill = pickle_get(column, "fill_na");
    double number = 0;
    ret->fill_text = (struct text){"", 0};
    if (pickle_get(column, "na_value"))
        return FAIL(reader, "feature_cols.na_value: the key of a FuxiCTR before 2.3, which reads "
                            "values otherwise; fit the columns again, with \"fill_na\"");
    if (fill && fill->kind == PICKLE_TEXT && ret->dtype == FUXICTR_TEXT) {
        ret->fill_text = fill->text;
        return 0;
    }
    if (fill &&
        (ret->dtype == FUXICTR_TEXT || !numpy_scalar_double(fill, &number) || !isfinite(number)))
        return FAIL(reader, "feature_cols.fill_na: expected %s, found %s",
                    ret->dtype == FUXICTR_TEXT ? "a text" : "a number", describe(fill));
    return set_fill_number(reader, number, ret);
}

static int read_column(struct reader *reader, const struct pickle_value *column,
                       struct fuxictr_column *ret)
{
    const struct pickle_value *preprocess = pickle_get(column, "preprocess");
    const struct pickle_value *tokenizer = processor_of(reader, ret->name, "tokenizer");
    const struct pickle_value *normalizer = processor_of(reader, ret->name, "normalizer");
    if (preprocess && preprocess->kind == PICKLE_TEXT)
        ret->preprocess = preprocess->text;
    else if (!sklearn_is_none(preprocess))
        return FAIL(reader, "feature_cols.preprocess: expected a text, found %s",
                    describe(preprocess));
    if (read_dtype(reader, column, ret) != 0 || read_fill(reader, column, ret) != 0 ||
        (tokenizer && read_tokenizer(reader, tokenizer, ret) != 0) ||
        (normalizer && read_normalizer(reader, normalizer, ret) != 0))
        return -1;
    return 0;
}

/* Puts the column's name before a message. Returns -1. */
static int name_column(struct reader *reader, struct text name)
{
    const struct format_error found = *reader->error;
    return found.out_of_memory
               ? -1
               : FAIL(reader, "column \"%.*s\": %s", TEXT_SHOWN(name), found.message);
}

/* ---- the whole ---- */

static int read_columns(struct reader *reader, const struct pickle_value *list,
                        struct fuxictr_file *file)
{
    if (list->n == 0 || list->n > COLUMNS_MAX)
        return FAIL(reader, "feature_cols: expected 1 to %d columns, found %u", COLUMNS_MAX,
                    list->n);
    file->columns = arena_calloc(reader->arena, list->n, sizeof *file->columns);
    if (file->columns == NULL)
        return format_error_memory(reader->error);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct pickle_value *column = list->items[i];
        const struct pickle_value *name =
            need(reader, column, "feature_cols", "name", PICKLE_TEXT, "a text");
        if (name == NULL)
            return -1;
        if (fuxictr_file_find(file, name->text))
            return FAIL(reader, "feature_cols: \"%.*s\" stands twice", TEXT_SHOWN(name->text));
        struct fuxictr_column *ret = &file->columns[file->n_columns++];
        ret->name = name->text;
        if (read_column(reader, column, ret) != 0)
            return name_column(reader, name->text);
    }
    return 0;
}

int fuxictr_file_read(struct fuxictr_file *file, struct arena *arena, const uint8_t *bytes,
                      size_t size, struct format_error *error)
{
    static const char where[] = "FeatureProcessor";
    struct reader reader = {.arena = arena, .error = error};
    struct pickle_value *root;
    *file = (struct fuxictr_file){0};
    if (pickle_read(arena, bytes, size, &root, error) != 0)
        return -1;
    const struct pickle_value *attributes =
        attributes_of(&reader, "the pickle", root, PICKLE_FUXICTR_PROCESSOR,
                      "a fuxictr.preprocess.feature_processor.FeatureProcessor");
    const struct pickle_value *list = attributes ? need(&reader, attributes, where, "feature_cols",
                                                        PICKLE_LIST, "a list of dicts")
                                                 : NULL;
    reader.processors =
        list ? need(&reader, attributes, where, "processor_dict", PICKLE_DICT, "a dict") : NULL;
    return reader.processors ? read_columns(&reader, list, file) : -1;
}

const struct fuxictr_column *fuxictr_file_find(const struct fuxictr_file *file, struct text name)
{
    for (uint32_t i = 0; i < file->n_columns; i++)
        if (text_equal(file->columns[i].name, name))
            return &file->columns[i];
    return NULL;
}
