/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.c: a spec as the text of a model.json. */
#include <math.h>
#include <stdio.h>

#include "network/json_reading.h"
#include "network/kinds.h"
#include "number.h"
#include "protocol/json_writer.h"

enum { FIRST_BYTES = 4096, FORMATTED_BYTES = 128 };

struct writing {
    const struct network_spec *spec;
    const struct spec_vocabularies *vocabularies;
    struct arena *arena;
    char *at; /* NULL: out of memory */
    size_t length, room;
    bool is_first; /* no comma stands before the next member */
};

/* `size` bytes more, to which the caller writes; or NULL. */
static char *reserve(struct writing *w, size_t size)
{
    if (w->at && w->room - w->length < size) {
        const size_t room = 2 * w->room + size;
        char *grown = arena_alloc(w->arena, room);
        if (grown)
            memcpy(grown, w->at, w->length);
        w->at = grown;
        w->room = room;
    }
    return w->at ? w->at + w->length : NULL;
}

static void put(struct writing *w, const char *text)
{
    char *at = reserve(w, strlen(text));
    if (at)
        w->length += (size_t)(write_raw(at, text) - at);
}

static void put_text(struct writing *w, struct text text)
{
    char *at = reserve(w, json_string_max(text.length));
    if (at)
        w->length += (size_t)(write_json_string(at, text) - at);
}

static void put_whole(struct writing *w, uint64_t number)
{
    char *at = reserve(w, 24);
    if (at)
        w->length += (size_t)(write_unsigned(at, number) - at);
}

static void put_double(struct writing *w, double number)
{
    char *at = reserve(w, NUMBER_REPR_MAX);
    if (at)
        w->length += number_print_repr(number, at);
}

static void put_float(struct writing *w, float number)
{
    char *at = reserve(w, NUMBER_FLOAT_MAX);
    if (at)
        w->length += number_print_float(number, at);
}

/* ---- structure ---- */

static void open(struct writing *w, const char *bracket)
{
    put(w, bracket);
    w->is_first = true;
}

static void close(struct writing *w, const char *bracket)
{
    put(w, bracket);
    w->is_first = false;
}

static void next(struct writing *w)
{
    if (!w->is_first)
        put(w, ",");
    w->is_first = false;
}

static void key(struct writing *w, const char *name)
{
    next(w);
    put(w, "\"");
    put(w, name);
    put(w, "\":");
}

static void text_member(struct writing *w, const char *name, struct text text)
{
    key(w, name);
    put_text(w, text);
}

static void whole_member(struct writing *w, const char *name, uint64_t number)
{
    key(w, name);
    put_whole(w, number);
}

static void flag_member(struct writing *w, const char *name, bool is_set)
{
    if (!is_set)
        return;
    key(w, name);
    put(w, "true");
}

static void float_member(struct writing *w, const char *name, float number)
{
    key(w, name);
    put_float(w, number);
}

/* Names of lookups, values and vocabularies, which a spec knows by number. */
static struct text numbered(char out[FORMATTED_BYTES], uint32_t i)
{
    snprintf(out, FORMATTED_BYTES, "%u", i);
    return text_of(out);
}

/* ---- columns ---- */

static void put_columns(struct writing *w)
{
    key(w, "columns");
    open(w, "[");
    for (uint32_t i = 0; i < w->spec->n_columns; i++) {
        const struct spec_column *column = &w->spec->columns[i];
        next(w);
        open(w, "{");
        text_member(w, "name", column->name);
        if (column->is_number)
            text_member(w, "type", text_of("number"));
        flag_member(w, "list", column->is_list);
        if (column->separator.length)
            text_member(w, "separator", column->separator);
        close(w, "}");
    }
    close(w, "]");
}

static void put_vocabularies(struct writing *w)
{
    key(w, "vocabularies");
    open(w, "{");
    for (uint32_t i = 0; i < w->vocabularies->n; i++) {
        next(w);
        put_text(w, w->vocabularies->all[i].name);
        put(w, ":");
        open(w, "{");
        whole_member(w, "stored", w->vocabularies->all[i].n);
        close(w, "}");
    }
    close(w, "}");
}

/* ---- steps ---- */

static void put_bound(struct writing *w, double bound)
{
    if (isfinite(bound))
        put_double(w, bound);
    else
        put(w, "null");
}

static void put_edges(struct writing *w, const struct spec_step *step)
{
    open(w, "[");
    for (uint32_t i = 0; i < step->n_edges; i++) {
        next(w);
        put_double(w, step->edges[i]);
    }
    close(w, "]");
}

static void put_step(struct writing *w, const struct spec_step *step)
{
    const bool is_below = step->kind == STEP_BUCKET && step->b != 0;
    if (json_step_is_bare(step->kind)) {
        put_text(w, text_of(json_step_names[step->kind]));
        return;
    }
    open(w, "{");
    key(w, is_below ? JSON_BUCKET_BELOW : json_step_names[step->kind]);
    if (step->kind == STEP_BUCKET) {
        put_edges(w, step);
    } else if (step->kind == STEP_CLIP) {
        put(w, "[");
        put_bound(w, step->a);
        put(w, ",");
        put_bound(w, step->b);
        put(w, "]");
    } else {
        put_double(w, step->a);
    }
    close(w, "}");
}

static void put_steps(struct writing *w, const struct spec_step *steps, uint32_t n)
{
    if (n == 0)
        return;
    key(w, "steps");
    open(w, "[");
    for (uint32_t i = 0; i < n; i++) {
        next(w);
        put_step(w, &steps[i]);
    }
    close(w, "]");
}

/* ---- lookups and values ---- */

static void put_row(struct writing *w, const char *name, uint32_t row)
{
    if (row == SPEC_REFUSE)
        return;
    key(w, name);
    if (row == SPEC_DROP)
        put(w, "\"drop\"");
    else
        put_whole(w, row);
}

static void put_rows(struct writing *w, const struct spec_lookup *lookup)
{
    key(w, "rows");
    open(w, "[");
    for (uint32_t i = 0; i < w->vocabularies->all[lookup->vocabulary].n; i++) {
        next(w);
        put_whole(w, lookup->rows[i]);
    }
    close(w, "]");
}

static void put_lookup_kind(struct writing *w, const struct spec_lookup *lookup)
{
    if (lookup->kind == LOOKUP_VOCABULARY)
        text_member(w, "vocabulary", w->vocabularies->all[lookup->vocabulary].name);
    if (lookup->kind == LOOKUP_HASH)
        text_member(w, "hash", text_of(json_hash_names[lookup->hash]));
    if (lookup->prefix.length)
        text_member(w, "prefix", lookup->prefix);
    flag_member(w, "integer", lookup->kind == LOOKUP_INTEGER);
    if (lookup->modulus)
        whole_member(w, "modulus", lookup->modulus);
    if (lookup->rows)
        put_rows(w, lookup);
    else if (lookup->first_row)
        whole_member(w, "first_row", lookup->first_row);
}

static void put_list(struct writing *w, const struct spec_lookup *lookup)
{
    if (lookup->max_values == 0)
        return;
    whole_member(w, "max", lookup->max_values);
    text_member(w, "keep", text_of(json_end_names[lookup->keep]));
    if (!lookup->is_padded)
        return;
    text_member(w, "pad", text_of(json_pad_names[lookup->pad]));
    whole_member(w, "pad_row", lookup->pad_row);
}

static void put_lookups(struct writing *w)
{
    char name[FORMATTED_BYTES];
    key(w, "lookups");
    open(w, "{");
    for (uint32_t i = 0; i < w->spec->n_lookups; i++) {
        const struct spec_lookup *lookup = &w->spec->lookups[i];
        key(w, numbered(name, i).at);
        open(w, "{");
        text_member(w, "column", w->spec->columns[lookup->column].name);
        put_lookup_kind(w, lookup);
        if (lookup->kind != LOOKUP_HASH)
            put_row(w, "unseen", lookup->unseen_row);
        put_row(w, "missing", lookup->missing_row);
        put_list(w, lookup);
        put_steps(w, lookup->steps, lookup->n_steps);
        close(w, "}");
    }
    close(w, "}");
}

static void put_values(struct writing *w)
{
    char name[FORMATTED_BYTES];
    key(w, "values");
    open(w, "{");
    for (uint32_t i = 0; i < w->spec->n_values; i++) {
        const struct spec_value *value = &w->spec->values[i];
        key(w, numbered(name, i).at);
        open(w, "{");
        text_member(w, "column", w->spec->columns[value->column].name);
        put_steps(w, value->steps, value->n_steps);
        close(w, "}");
    }
    close(w, "}");
}

/* ---- tensors ---- */

/* A name in which each '{' stands twice. */
static void put_name(struct writing *w, struct text name)
{
    char doubled[2 * SPEC_JSON_MAX_NAME];
    size_t n = 0;
    for (size_t i = 0; i < name.length && n + 2 < sizeof doubled; i++) {
        if (name.at[i] == '{')
            doubled[n++] = '{';
        doubled[n++] = name.at[i];
    }
    put_text(w, (struct text){doubled, n});
}

static void put_tensor(struct writing *w, const struct tensor_part *part)
{
    if (part->n_indices == 0 && part->n_rows == 0 && !part->is_transposed) {
        put_name(w, part->name);
        return;
    }
    open(w, "{");
    key(w, "tensor");
    put_name(w, part->name);
    if (part->n_indices) {
        key(w, "index");
        open(w, "[");
        for (uint32_t i = 0; i < part->n_indices; i++) {
            next(w);
            put_whole(w, part->index[i]);
        }
        close(w, "]");
    }
    if (part->n_rows) {
        key(w, "rows");
        put(w, "[");
        put_whole(w, part->first_row);
        put(w, ",");
        put_whole(w, part->n_rows);
        put(w, "]");
    }
    flag_member(w, "transpose", part->is_transposed);
    close(w, "}");
}

static void put_stack(struct writing *w, const struct tensor_stack *stack)
{
    if (stack->n_parts == 1) {
        put_tensor(w, stack->parts);
        w->is_first = false;
        return;
    }
    open(w, "[");
    for (uint32_t i = 0; i < stack->n_parts; i++) {
        next(w);
        put_tensor(w, &stack->parts[i]);
    }
    close(w, "]");
}

static void stack_member(struct writing *w, const char *name, const struct tensor_stack *stack)
{
    if (stack->n_parts == 0)
        return;
    key(w, name);
    put_stack(w, stack);
}

/* ---- inputs ---- */

static void put_pooling(struct writing *w, const struct spec_input *part)
{
    if (part->pooling == POOLING_NONE)
        return;
    text_member(w, "pooling", text_of(json_pooling_names[part->pooling]));
    key(w, "mask");
    if (part->mask == MASK_ROW) {
        open(w, "{");
        whole_member(w, "row", part->masked_row);
        close(w, "}");
    } else {
        put(w, part->mask == MASK_NONE ? "\"none\"" : "\"nonzero\"");
    }
    if (part->pooling != POOLING_MEAN)
        return;
    float_member(w, "epsilon", part->epsilon);
    float_member(w, "at_least", part->at_least);
}

static void put_part(struct writing *w, const struct spec_input *part)
{
    char name[FORMATTED_BYTES];
    const bool is_table = part->kind == INPUT_TABLE;
    open(w, "{");
    if (is_table) {
        key(w, "table");
        put_tensor(w, &part->tensor);
        w->is_first = false;
    }
    text_member(w, is_table ? "lookup" : "value", numbered(name, part->source));
    if (part->kind == INPUT_TIMES) {
        key(w, "times");
        put_tensor(w, &part->tensor);
    }
    if (is_table) {
        flag_member(w, "one_row", part->n_rows == 1);
        put_pooling(w, part);
    }
    close(w, "}");
}

static void put_parts(struct writing *w, const struct spec_layer *layer)
{
    key(w, "parts");
    open(w, "[");
    for (uint32_t i = 0; i < layer->n_parts; i++) {
        next(w);
        put_part(w, &layer->parts[i]);
    }
    close(w, "]");
}

/* ---- layers ---- */

static void put_inputs(struct writing *w, const struct spec_layer *layer)
{
    if (layer->n_inputs == 0)
        return;
    key(w, "inputs");
    open(w, "[");
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        next(w);
        put_text(w, w->spec->layers[layer->inputs[i]].name);
    }
    close(w, "]");
    if (layer_kinds[layer->kind].is_cross)
        text_member(w, "x0", w->spec->layers[layer->x0].name);
}

static void put_output(struct writing *w, const struct spec_layer *layer)
{
    stack_member(w, "weight", &layer->tensors[ROLE_WEIGHT]);
    stack_member(w, "bias", &layer->tensors[ROLE_BIAS]);
    if (layer->weights == NULL)
        return;
    key(w, "weights");
    open(w, "[");
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        next(w);
        if (layer->weights[i].n_parts)
            put_stack(w, &layer->weights[i]);
        else
            put(w, "null");
    }
    close(w, "]");
}

static void put_layer(struct writing *w, const struct spec_layer *layer)
{
    const struct role *roles = layer_kinds[layer->kind].roles;
    open(w, "{");
    text_member(w, "name", layer->name);
    text_member(w, "kind", text_of(layer_kinds[layer->kind].name));
    put_inputs(w, layer);
    if (json_has_function(layer->kind))
        text_member(w, "function", text_of(activation_names[layer->activation]));
    if (json_has_function(layer->kind) && json_has_slope(layer->activation))
        float_member(w, "slope", layer->slope);
    if (json_default_epsilon(layer->kind, layer->activation) > 0)
        float_member(w, "epsilon", layer->epsilon);
    flag_member(w, "bias_outside", layer->has_bias_outside);
    for (unsigned i = 0; roles[i].key; i++)
        stack_member(w, roles[i].key, &layer->tensors[i]);
    if (layer->kind == LAYER_INPUT)
        put_parts(w, layer);
    if (layer->kind == LAYER_OUTPUT)
        put_output(w, layer);
    close(w, "}");
}

static void put_layers(struct writing *w)
{
    key(w, "layers");
    open(w, "[");
    for (uint32_t i = 0; i < w->spec->n_layers; i++) {
        next(w);
        put_layer(w, &w->spec->layers[i]);
    }
    close(w, "]");
}

/* ---- the whole ---- */

static void put_texts(struct writing *w, const char *name, const struct text *texts, uint32_t n)
{
    if (n == 0)
        return;
    key(w, name);
    open(w, "[");
    for (uint32_t i = 0; i < n; i++) {
        next(w);
        put_text(w, texts[i]);
    }
    close(w, "]");
}

int spec_json_write(const struct network_spec *spec, const struct spec_vocabularies *vocabularies,
                    struct arena *arena, struct text *ret)
{
    struct writing w = {
        .spec = spec, .vocabularies = vocabularies, .arena = arena, .room = FIRST_BYTES};
    w.at = arena_alloc(arena, w.room);
    open(&w, "{");
    whole_member(&w, "dcnv2_model", SPEC_JSON_VERSION);
    text_member(&w, "source", spec->source);
    put_texts(&w, "assumptions", spec->assumptions, spec->n_assumptions);
    put_texts(&w, "unused_tensors", spec->ignored, spec->n_ignored);
    put_columns(&w);
    put_vocabularies(&w);
    put_lookups(&w);
    put_values(&w);
    put_layers(&w);
    close(&w, "}");
    *ret = (struct text){w.at, w.length};
    return w.at ? 0 : -1;
}
