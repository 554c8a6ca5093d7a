/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model.json, as it is. Of one that is read every index lies in its list, and what is written of
 * the spec reads as an equal one.
 */
#include "network/json_spec.h"

#include "format/build.h"
#include "fuzz.h"
#include "network/kinds.h"

enum { ARENA_BYTES = 64 << 20 };

static void touch(struct text text)
{
    fuzz_touch(text.at, text.length);
}

static void check_stack(const struct tensor_stack *stack)
{
    for (uint32_t i = 0; i < stack->n_parts; i++) {
        touch(stack->parts[i].name);
        REQUIRE(stack->parts[i].name.length > 0 && stack->parts[i].n_indices <= 2);
    }
}

static void check_sources(const struct network_spec *spec)
{
    for (uint32_t i = 0; i < spec->n_lookups; i++) {
        const struct spec_lookup *lookup = &spec->lookups[i];
        REQUIRE(lookup->column < spec->n_columns);
        REQUIRE(lookup->kind != LOOKUP_VOCABULARY || lookup->vocabulary < spec->n_vocabularies);
        REQUIRE(lookup->kind != LOOKUP_HASH || lookup->modulus > 0);
        fuzz_touch(lookup->steps, lookup->n_steps * sizeof *lookup->steps);
    }
    for (uint32_t i = 0; i < spec->n_values; i++) {
        REQUIRE(spec->values[i].column >= spec->n_categories);
        REQUIRE(spec->values[i].column < spec->n_columns);
        fuzz_touch(spec->values[i].steps, spec->values[i].n_steps * sizeof *spec->values[i].steps);
    }
}

static void check_layer(const struct network_spec *spec, uint32_t place)
{
    const struct spec_layer *layer = &spec->layers[place];
    touch(layer->name);
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        REQUIRE(layer->inputs[i] < place);
        if (layer->weights)
            check_stack(&layer->weights[i]);
    }
    REQUIRE(!layer_kinds[layer->kind].is_cross || layer->x0 < place);
    for (uint32_t i = 0; i < SPEC_MAX_ROLES; i++)
        check_stack(&layer->tensors[i]);
    for (uint32_t i = 0; i < layer->n_parts; i++)
        REQUIRE(layer->parts[i].source <
                (layer->parts[i].kind == INPUT_TABLE ? spec->n_lookups : spec->n_values));
}

static void check_spec(const struct network_spec *spec)
{
    check_sources(spec);
    REQUIRE(spec->n_layers > 0 && spec->n_layers <= SPEC_MAX_LAYERS);
    for (uint32_t i = 0; i < spec->n_layers; i++)
        check_layer(spec, i);
    REQUIRE(spec->layers[spec->n_layers - 1].kind == LAYER_OUTPUT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct network_spec spec, again;
    struct spec_vocabularies vocabularies, stored;
    struct format_error error = {0};
    struct text written, twice;
    arena_init(&arena, ARENA_BYTES);
    if (spec_json_read(&spec, &vocabularies, &arena, (struct text){(const char *)data, size}, NULL,
                       &error) != 0) {
        REQUIRE(is_one_line(&error));
    } else {
        check_spec(&spec);
        if (spec_json_write(&spec, &vocabularies, &arena, &written) == 0) {
            REQUIRE(spec_json_read(&again, &stored, &arena, written, NULL, &error) == 0 ||
                    error.out_of_memory);
            REQUIRE(error.out_of_memory || spec_json_write(&again, &stored, &arena, &twice) != 0 ||
                    text_equal(written, twice));
        }
    }
    arena_free(&arena);
    return 0;
}
