/* SPDX-License-Identifier: Apache-2.0 */
/* unknown.c: the class that values take which are no class, where somebody has named one. */
#include <stdio.h>

#include "model/model.h"

/* What people call the class of values that the training has not seen. */
static const char *const usual_names[] = {
    "<unknown>", "<unk>",       "<UNK>",  "[UNK]",    "~other",  "<other>",   "other", "__other__",
    "__OTHER__", "<oov>",       "<OOV>",  "OOV",      "oov",     "-1",        "nan",   "unknown",
    "UNKNOWN",   "__unknown__", "unseen", "<unseen>", "__unk__", "_unknown_", "Other", "Unknown"};

enum { NOTE_MAX = 400 };

/* "COLUMN=CLASS" of one column, or "=CLASS" of any: the class; at NULL: it is of others. */
static struct text class_for(const char *item, struct text column)
{
    if (*item == '=')
        return text_of(item + 1);
    const size_t length = strlen(item);
    if (length > column.length && memcmp(item, column.at, column.length) == 0 &&
        item[column.length] == '=')
        return text_of(item + column.length + 1);
    return (struct text){NULL, 0};
}

static uint32_t find_class(const struct dcnv2_model *model, uint32_t column, struct text text)
{
    return vocabulary_find(&model->encoder.vocabularies[column], text.at, text.length);
}

/* One of the source's unknown_classes, in the columns that it is of. */
static int choose(struct reading *reading, struct dcnv2_model *model, const char *item)
{
    bool is_used = false;
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const struct text class = class_for(item, reading->names[i]);
        const uint32_t row = class.at ? find_class(model, i, class) : 0;
        if (class.at == NULL || (row == reading->columns[i].n_classes && *item == '='))
            continue;
        if (row == reading->columns[i].n_classes)
            return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                                   "column \"%.*s\" has no class \"%.*s\", which --unknown-class "
                                   "names",
                                   TEXT_SHOWN(reading->names[i]), TEXT_SHOWN(class));
        reading->columns[i].special.unknown = model->encoder.special[i].unknown = row;
        is_used = true;
    }
    if (is_used)
        return DCNV2_OK;
    return model_error_set(reading->error, DCNV2_ERROR_MODEL, reading->schema_path,
                           "--unknown-class=%.100s names no column that there is, as in u=~other, "
                           "nor a class of any, as in =~other",
                           item);
}

/* The first class that looks like that of unseen values, and is not. */
static int note_usual(const struct reading *reading, struct dcnv2_model *model)
{
    for (uint32_t i = 0; i < reading->n_sparse; i++) {
        const uint32_t n = reading->columns[i].n_classes;
        for (size_t k = 0; k < sizeof usual_names / sizeof *usual_names; k++) {
            const struct text class = text_of(usual_names[k]);
            if (model->encoder.special[i].unknown < n || find_class(model, i, class) == n)
                continue;
            char note[NOTE_MAX];
            const int length = snprintf(
                note, sizeof note,
                "column \"%.*s\" has a class \"%s\", but unseen values take row %u, behind the "
                "classes; if they were trained as that class: --unknown-class=%.*s=%s",
                TEXT_SHOWN(reading->names[i]), class.at, model->encoder.special[i].unknown,
                TEXT_SHOWN(reading->names[i]), class.at);
            model->note = arena_copy_text(&model->arena, note, (size_t)length);
            return model->note ? DCNV2_OK : model_error_memory(reading->error);
        }
    }
    return DCNV2_OK;
}

int model_choose_unknown(struct reading *reading, struct dcnv2_model *model)
{
    const struct dcnv2_columns *wanted = &reading->source->unknown_classes;
    for (size_t i = 0; i < wanted->n; i++) {
        const int status = choose(reading, model, wanted->names[i]);
        if (status != DCNV2_OK)
            return status;
    }
    return note_usual(reading, model);
}
