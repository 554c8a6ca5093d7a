/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c: a network in one line. */
#include <stdarg.h>
#include <stdio.h>

#include "network/kinds.h"

/* ---- a line for people ---- */

struct line {
    char *out;
    size_t size, n;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    if (line->n >= line->size)
        return;
    va_start(arguments, format);
    const int n = vsnprintf(line->out + line->n, line->size - line->n, format, arguments);
    va_end(arguments);
    line->n += n > 0 ? (size_t)n : 0;
}

static void put_cross(struct line *line, const struct network_spec *spec)
{
    const char *comma = "";
    put(line, "; cross layers:");
    for (int kind = 0; kind < LAYER_N_KINDS; kind++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < spec->n_layers; i++)
            n += spec->layers[i].kind == (enum layer_kind)kind;
        if (!layer_kinds[kind].is_cross || n == 0)
            continue;
        put(line, "%s %u %s", comma, n, layer_kinds[kind].people);
        comma = ",";
    }
    if (*comma == '\0')
        put(line, " none");
}

static void put_deep(struct line *line, const struct network_spec *spec)
{
    const char *comma = "";
    put(line, "; deep layers:");
    for (uint32_t i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].kind != LAYER_LINEAR)
            continue;
        put(line, "%s %u", comma, spec->layers[i].n_out);
        comma = ",";
    }
    if (*comma == '\0')
        put(line, " none");
}

void spec_describe(const struct network_spec *spec, char *out, size_t out_size)
{
    struct line line = {out, out_size, 0};
    put(&line, "x0 %u wide", spec->layers[0].n_out);
    put_cross(&line, spec);
    put_deep(&line, spec);
}

/* ---- a name ---- */

static struct text name_in(const struct spec_layer *layer)
{
    for (unsigned r = 0; r < SPEC_MAX_ROLES; r++)
        if (layer->tensors[r].n_parts)
            return layer->tensors[r].parts[0].name;
    for (uint32_t i = 0; layer->weights && i < layer->n_inputs; i++)
        if (layer->weights[i].n_parts)
            return layer->weights[i].parts[0].name;
    for (uint32_t p = 0; p < layer->n_parts; p++)
        if (layer->parts[p].kind != INPUT_VALUE)
            return layer->parts[p].tensor.name;
    return (struct text){NULL, 0};
}

const char *spec_anchor(const struct network_spec *spec)
{
    for (uint32_t i = spec->n_layers; i > 0; i--)
        if (name_in(&spec->layers[i - 1]).at)
            return name_in(&spec->layers[i - 1]).at;
    return NULL;
}
