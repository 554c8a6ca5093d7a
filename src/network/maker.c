/* SPDX-License-Identifier: Apache-2.0 */
#include "network/maker.h"

#include <stdarg.h>
#include <stdio.h>

void *maker_room(struct maker *maker, size_t n, size_t size)
{
    void *found = arena_calloc(maker->arena, n + 1, size);
    maker->is_short |= found == NULL;
    return found;
}

int maker_begin(struct maker *maker, uint32_t most_layers)
{
    maker->most_layers = most_layers;
    maker->spec->layers = maker_room(maker, most_layers, sizeof *maker->spec->layers);
    return maker->spec->layers ? 0 : -1;
}

struct text maker_copy(struct maker *maker, struct text text)
{
    const char *copy = arena_copy_text(maker->arena, text.at, text.length);
    maker->is_short |= copy == NULL;
    return copy ? (struct text){copy, text.length} : (struct text){NULL, 0};
}

struct text maker_text(struct maker *maker, const char *format, ...)
{
    char text[MAKER_NAME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return maker_copy(maker, text_of(text));
}

struct tensor_stack maker_stack(struct maker *maker, struct text name)
{
    struct tensor_part *part = maker_room(maker, 1, sizeof *part);
    if (part == NULL)
        return (struct tensor_stack){0};
    part->name = name;
    return (struct tensor_stack){part, 1};
}

struct spec_layer *maker_layer(struct maker *maker, enum layer_kind kind, struct text name,
                               uint32_t input)
{
    struct network_spec *spec = maker->spec;
    maker->is_full |= spec->n_layers == maker->most_layers;
    spec->n_layers -= spec->n_layers == maker->most_layers;
    struct spec_layer *layer = &spec->layers[spec->n_layers++];
    *layer = (struct spec_layer){.kind = kind, .name = name, .epsilon = 1e-5f};
    maker_set_inputs(maker, layer, &input, 1);
    return layer;
}

void maker_set_inputs(struct maker *maker, struct spec_layer *layer, const uint32_t *inputs,
                      uint32_t n)
{
    uint32_t *copy = maker_room(maker, n, sizeof *copy);
    if (copy)
        memcpy(copy, inputs, n * sizeof *copy);
    layer->inputs = copy;
    layer->n_inputs = n;
}

uint32_t maker_scaling_steps(struct spec_step *steps, const struct scaling *scaling)
{
    uint32_t n = 0;
    steps[n++] = (struct spec_step){.kind = STEP_SUBTRACT, .a = scaling->mean};
    steps[n++] = (struct spec_step){.kind = STEP_DIVIDE, .a = scaling->scale};
    if (scaling_is_standard(scaling))
        return n;
    steps[n++] = (struct spec_step){.kind = STEP_MULTIPLY, .a = scaling->factor};
    steps[n++] = (struct spec_step){.kind = STEP_ADD, .a = scaling->shift};
    if (isfinite(scaling->low))
        steps[n++] = (struct spec_step){.kind = STEP_CLIP, .a = scaling->low, .b = scaling->high};
    return n;
}
