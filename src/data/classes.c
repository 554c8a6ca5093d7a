/* SPDX-License-Identifier: Apache-2.0 */
#include "data/classes.h"

#include <endian.h>
#include <stdlib.h>

#include "data/pandas_text.h"

/* A distinct cell with the text that pandas gives it. */
struct value {
    uint64_t first; /* eight bytes of it, so that they compare as the text does */
    const char *at;
    uint32_t length;
    uint32_t number;
};

struct fitting {
    const struct interner *cells;
    struct arena arena; /* until it is done */
    struct text *texts; /* [n] as written, by number */
    struct value *values;
    uint64_t *counts; /* [n]; NULL: nothing depends on them */
    enum pandas_type type;
    bool has_missing;
};

static int list_cells(struct fitting *fitting)
{
    const uint32_t n = fitting->cells->n;
    char *bytes = arena_alloc(&fitting->arena, interner_bytes(fitting->cells));
    fitting->texts = arena_calloc(&fitting->arena, n, sizeof *fitting->texts);
    fitting->values = arena_calloc(&fitting->arena, n, sizeof *fitting->values);
    if (!bytes || !fitting->texts || !fitting->values)
        return -1;
    interner_list(fitting->cells, fitting->texts, bytes);
    return 0;
}

static void infer_type(struct fitting *fitting)
{
    struct pandas_inference inference = {0};
    for (uint32_t i = 0; i < fitting->cells->n; i++) {
        if (click_is_missing(fitting->texts[i]))
            inference.has_missing = true;
        else
            pandas_inference_add(&inference, fitting->texts[i]);
    }
    fitting->type = pandas_inference_type(&inference);
    fitting->has_missing = inference.has_missing && fitting->type != PANDAS_AS_WRITTEN;
}

static bool is_missing(const struct fitting *fitting, struct text cell)
{
    return fitting->has_missing && click_is_missing(cell);
}

static int count_cells(struct fitting *fitting, const struct dataset *dataset, uint32_t column)
{
    const size_t word = 1 + (size_t)dataset->n_dense + column;
    fitting->counts = arena_calloc(&fitting->arena, fitting->cells->n, sizeof *fitting->counts);
    if (fitting->counts == NULL)
        return -1;
    for (uint64_t i = 0; i < dataset->n_rows; i++)
        fitting->counts[dataset_row(dataset, i)[word]]++;
    return 0;
}

static struct value value_of(struct text text, uint32_t number)
{
    char first[8] = {0};
    if (text.length > 0)
        memcpy(first, text.at, text.length < 8 ? text.length : 8);
    uint64_t word;
    memcpy(&word, first, 8);
    return (struct value){be64toh(word), text.at, (uint32_t)text.length, number};
}

/* The texts that classes are made of. */
static int make_values(struct fitting *fitting)
{
    char scratch[NUMBER_REPR_MAX];
    for (uint32_t i = 0; i < fitting->cells->n; i++) {
        struct text text = fitting->texts[i];
        if (is_missing(fitting, text))
            text = text_of("nan");
        else
            text = pandas_text(fitting->type, text, scratch);
        if (text.at == scratch) {
            text.at = arena_copy_text(&fitting->arena, scratch, text.length);
            if (text.at == NULL)
                return -1;
        }
        fitting->values[i] = value_of(text, i);
    }
    return 0;
}

static struct text text_of_value(const struct value *value)
{
    return (struct text){value->at, value->length};
}

static int by_text(const void *a, const void *b)
{
    const struct value *left = a, *right = b;
    if (left->first != right->first)
        return left->first < right->first ? -1 : 1;
    return text_compare(text_of_value(left), text_of_value(right));
}

/* The end of the sorted values with the text of values[first]. */
static uint32_t end_of_equal(const struct fitting *fitting, uint32_t first)
{
    uint32_t end = first + 1;
    while (end < fitting->cells->n && by_text(&fitting->values[first], &fitting->values[end]) == 0)
        end++;
    return end;
}

static uint64_t count_of(const struct fitting *fitting, uint32_t first, uint32_t end)
{
    uint64_t count = 0;
    for (uint32_t i = first; fitting->counts && i < end; i++)
        count += fitting->counts[fitting->values[i].number];
    return count;
}

/* Gives each number its row, and keeps at the front of the values one of each class. */
static void choose(struct fitting *fitting, uint64_t min_count, struct fitted_column *column,
                   uint32_t *ret_rows)
{
    struct value *values = fitting->values;
    const uint32_t n = fitting->cells->n;
    for (uint32_t i = 0; i < n; i++)
        if (is_missing(fitting, fitting->texts[i]))
            column->n_missing += fitting->counts[i];
    for (uint32_t first = 0, end; first < n; first = end) {
        end = end_of_equal(fitting, first);
        const bool is_rare = min_count > 1 && count_of(fitting, first, end) < min_count;
        for (uint32_t i = first; i < end; i++)
            ret_rows[values[i].number] = is_rare ? UINT32_MAX : column->n_classes;
        if (is_rare) {
            column->n_rare_values++;
            column->n_rare += count_of(fitting, first, end);
        } else {
            values[column->n_classes++] = values[first];
        }
    }
    for (uint32_t i = 0; i < n; i++)
        if (ret_rows[i] == UINT32_MAX)
            ret_rows[i] = column->n_classes;
}

static int keep_classes(const struct fitting *fitting, struct arena *arena,
                        struct fitted_column *column)
{
    size_t size = 0;
    for (uint32_t i = 0; i < column->n_classes; i++)
        size += fitting->values[i].length;
    char *bytes = arena_alloc(arena, size);
    column->classes = arena_calloc(arena, column->n_classes, sizeof *column->classes);
    if (bytes == NULL || column->classes == NULL)
        return -1;
    for (uint32_t i = 0; i < column->n_classes; i++) {
        const struct value *value = &fitting->values[i];
        memcpy(bytes, value->at, value->length);
        column->classes[i] = (struct text){bytes, value->length};
        bytes += value->length;
    }
    return 0;
}

int classes_fit(const struct interner *cells, const struct dataset *dataset, uint32_t column,
                uint64_t min_count, struct arena *arena, struct fitted_column *ret_column,
                uint32_t *ret_rows)
{
    struct fitting fitting = {.cells = cells};
    arena_init(&fitting.arena, SIZE_MAX);
    int result = list_cells(&fitting);
    if (result == 0) {
        infer_type(&fitting);
        if (fitting.has_missing || min_count > 1)
            result = count_cells(&fitting, dataset, column);
        if (result == 0)
            result = make_values(&fitting);
    }
    if (result == 0) {
        qsort(fitting.values, cells->n, sizeof *fitting.values, by_text);
        choose(&fitting, min_count, ret_column, ret_rows);
        result = keep_classes(&fitting, arena, ret_column);
    }
    arena_free(&fitting.arena);
    return result;
}
