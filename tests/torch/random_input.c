/* SPDX-License-Identifier: Apache-2.0 */
#include "random_input.h"

enum { MOST_PARTS = 12, MOST_LIST = 6, MOST_SOURCES = 6 };

/* ---- sources ---- */

void random_sources(struct random_tensors *tensors, struct network_spec *spec)
{
    spec->source = text_of("a test");
    spec->is_exact = true;
    spec->columns = random_room(tensors->arena, 2 * MOST_SOURCES, sizeof *spec->columns);
    spec->lookups = random_room(tensors->arena, MOST_SOURCES, sizeof *spec->lookups);
    spec->values = random_room(tensors->arena, MOST_SOURCES, sizeof *spec->values);
}

/* Whether a part has a new source; else it shares one of the n that there are. */
static bool is_new(struct random *random, uint32_t n)
{
    return n == 0 || (n < MOST_SOURCES && random_once_in(random, 2));
}

static uint32_t random_value(struct random *random, struct network_spec *spec)
{
    return is_new(random, spec->n_values) ? spec->n_values++ : random_of(random, spec->n_values);
}

static void make_lookup(struct random *random, bool is_list, struct spec_lookup *lookup)
{
    lookup->kind = LOOKUP_HASH;
    lookup->hash = (enum hash_kind)random_of(random, 3);
    lookup->modulus = 1 + random_of(random, 40);
    lookup->missing_row = SPEC_DROP;
    lookup->unseen_row = SPEC_REFUSE;
    if (!is_list || random_once_in(random, 2))
        return;
    lookup->max_values = random_once_in(random, 4) ? 1 : MOST_LIST;
    lookup->keep = (enum list_end)random_of(random, 2);
    lookup->is_padded = random_once_in(random, 2);
    lookup->pad = (enum list_end)random_of(random, 2);
    lookup->pad_row = lookup->is_padded ? random_of(random, lookup->modulus) : 0;
}

/* Columns of categories stand before all others: the column of lookup i is i. */
static uint32_t random_lookup(struct random *random, struct network_spec *spec)
{
    if (!is_new(random, spec->n_lookups))
        return random_of(random, spec->n_lookups);
    const uint32_t i = spec->n_lookups++;
    spec->columns[i].is_list = random_once_in(random, 2);
    spec->lookups[i].column = i;
    make_lookup(random, spec->columns[i].is_list, &spec->lookups[i]);
    return i;
}

void random_columns(struct random_tensors *tensors, struct network_spec *spec)
{
    spec->n_categories = spec->n_lookups;
    spec->n_columns = spec->n_lookups + spec->n_values;
    for (uint32_t i = 0; i < spec->n_columns; i++) {
        char *name = random_room(tensors->arena, 16, 1);
        const int length = snprintf(name, 16, "c%u", i);
        spec->columns[i].name = (struct text){name, (size_t)length};
        spec->columns[i].is_number = i >= spec->n_lookups;
    }
    for (uint32_t i = 0; i < spec->n_values; i++)
        spec->values[i].column = spec->n_lookups + i;
}

/* ---- parts ---- */

static void set_pooling(struct random *random, const struct network_spec *spec,
                        struct spec_input *part)
{
    const struct spec_lookup *lookup = &spec->lookups[part->source];
    if (!spec->columns[lookup->column].is_list)
        return;
    const bool may_be_none = lookup->max_values == 1;
    part->pooling = (enum pooling)(may_be_none ? random_of(random, 4) : 1 + random_of(random, 3));
    if (part->pooling == POOLING_NONE)
        return;
    part->mask = (enum pooling_mask)random_of(random, 3);
    if (part->mask == MASK_ROW)
        part->masked_row = lookup->is_padded ? lookup->pad_row : random_of(random, lookup->modulus);
    if (part->pooling != POOLING_MEAN)
        return;
    static const float epsilons[] = {0, 1e-12f, 1e-8f, 0.5f};
    part->epsilon = epsilons[random_of(random, 4)];
    part->at_least = part->epsilon == 0 || random_once_in(random, 2) ? 1 : 0;
}

/* A table of an earlier part that fits is shared at times. */
static bool share_table(struct random *random, const struct network_spec *spec,
                        const struct spec_input *parts, uint32_t n, struct spec_input *part,
                        uint32_t width)
{
    for (uint32_t i = 0; i < n; i++)
        if (parts[i].kind == INPUT_TABLE && parts[i].width == width &&
            spec->lookups[parts[i].source].modulus >= spec->lookups[part->source].modulus &&
            random_once_in(random, 2)) {
            part->tensor = parts[i].tensor;
            return true;
        }
    return false;
}

static void make_table(struct random_tensors *tensors, struct network_spec *spec,
                       struct spec_input *parts, uint32_t n, uint32_t width)
{
    static const struct random_values values = {.spread = 1, .is_table = true};
    struct spec_input *part = &parts[n];
    part->kind = INPUT_TABLE;
    part->source = random_lookup(&tensors->random, spec);
    part->width = width;
    set_pooling(&tensors->random, spec, part);
    if (share_table(&tensors->random, spec, parts, n, part, width))
        return;
    const uint64_t sizes[2] = {spec->lookups[part->source].modulus, width};
    part->tensor = random_part(tensors, sizes, 2, &values);
}

static void make_number(struct random_tensors *tensors, struct network_spec *spec,
                        struct spec_input *part, uint32_t width)
{
    static const struct random_values values = {.spread = 1};
    const uint64_t size = width;
    part->kind = width == 1 && random_once_in(&tensors->random, 2) ? INPUT_VALUE : INPUT_TIMES;
    part->source = random_value(&tensors->random, spec);
    part->width = width;
    if (part->kind == INPUT_TIMES)
        part->tensor = random_part(tensors, &size, 1, &values);
}

void random_input(struct random_tensors *tensors, struct network_spec *spec,
                  struct spec_layer *layer, uint32_t width)
{
    static const uint32_t widths[] = {1, 1, 2, 3, 4, 8, 15, 16, 17, 33};
    struct spec_input *parts = random_room(tensors->arena, MOST_PARTS, sizeof *parts);
    uint32_t left = width, n = 0;
    for (; left > 0; n++) {
        uint32_t own = widths[random_of(&tensors->random, sizeof widths / sizeof *widths)];
        if (own > left || n + 1 == MOST_PARTS || random_once_in(&tensors->random, 10))
            own = left;
        if (random_once_in(&tensors->random, 4))
            make_number(tensors, spec, &parts[n], own);
        else
            make_table(tensors, spec, parts, n, own);
        left -= own;
    }
    for (uint32_t i = 0; i < n; i++)
        parts[i].width = 0; /* spec_resolve() finds them */
    layer->parts = parts;
    layer->n_parts = n;
}

/* ---- rows ---- */

static uint32_t n_in_list(struct random *random, const struct spec_lookup *lookup)
{
    const uint32_t most = lookup->max_values ? lookup->max_values : MOST_LIST;
    return random_of(random, most + 1);
}

/* One row of a batch: values, then padding, or the other way round. */
static uint32_t make_list(struct random *random, const struct spec_lookup *lookup, uint32_t *rows)
{
    const uint32_t n = n_in_list(random, lookup);
    const uint32_t n_all = lookup->is_padded ? lookup->max_values : n;
    const uint32_t first = lookup->is_padded && lookup->pad == LIST_FIRST ? n_all - n : 0;
    for (uint32_t i = 0; i < n_all; i++)
        rows[i] =
            i >= first && i < first + n ? random_of(random, lookup->modulus) : lookup->pad_row;
    return n_all;
}

static struct dcnv2_rows make_rows(struct random_tensors *tensors, const struct network_spec *spec,
                                   const struct spec_lookup *lookup, size_t n_rows)
{
    struct random *random = &tensors->random;
    uint32_t *rows = random_room(tensors->arena, n_rows * MOST_LIST, sizeof *rows);
    uint32_t *offsets = random_room(tensors->arena, n_rows + 1, sizeof *offsets);
    if (!spec->columns[lookup->column].is_list) {
        for (size_t r = 0; r < n_rows; r++)
            rows[r] = random_of(random, lookup->modulus);
        return (struct dcnv2_rows){.rows = rows};
    }
    for (size_t r = 0; r < n_rows; r++)
        offsets[r + 1] = offsets[r] + make_list(random, lookup, rows + offsets[r]);
    return (struct dcnv2_rows){.rows = rows, .offsets = offsets};
}

struct network_batch random_batch(struct random_tensors *tensors, const struct network_spec *spec)
{
    static const size_t sizes[] = {1, 2, 7, 64, 301};
    const size_t n = sizes[random_of(&tensors->random, sizeof sizes / sizeof *sizes)];
    float *dense = random_room(tensors->arena, n * spec->n_values, sizeof *dense);
    struct dcnv2_rows *lookups = random_room(tensors->arena, spec->n_lookups, sizeof *lookups);
    for (size_t i = 0; i < n * spec->n_values; i++)
        dense[i] = random_once_in(&tensors->random, 10) ? 0 : random_normal(&tensors->random);
    for (uint32_t i = 0; i < spec->n_lookups; i++)
        lookups[i] = make_rows(tensors, spec, &spec->lookups[i], n);
    return (struct network_batch){.n_rows = n, .dense = dense, .lookups = lookups};
}
