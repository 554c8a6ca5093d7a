/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maker.h: a spec in the making, of a network whose layers' names are known.
 *
 * No call fails: each notes what went wrong, and one question at the end tells of it.
 */
#ifndef DCNV2_NETWORK_MAKER_H
#define DCNV2_NETWORK_MAKER_H

#include "network/spec.h"
#include "scaling.h"

enum { MAKER_SCALING_STEPS = 5, MAKER_NAME_BYTES = 512 };

struct maker {
    struct network_spec *spec;
    struct arena *arena;
    uint32_t most_layers; /* room in spec->layers */
    bool is_short;        /* of memory */
    bool is_full;         /* of layers: the last one was written over */
};

/* `n` cleared elements, and one more; NULL: no memory. */
void *maker_room(struct maker *maker, size_t n, size_t size);

/* Room for the layers. -1: no memory. */
int maker_begin(struct maker *maker, uint32_t most_layers);

/* A copy of a text, and one that is printed, NUL-terminated both. */
struct text maker_copy(struct maker *maker, struct text text);
struct text maker_text(struct maker *maker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A stack of one tensor. */
struct tensor_stack maker_stack(struct maker *maker, struct text name);

/* A layer behind those there are, which reads one value; epsilon is PyTorch's for norms. */
struct spec_layer *maker_layer(struct maker *maker, enum layer_kind kind, struct text name,
                               uint32_t input);

/* The layer reads these instead. */
void maker_set_inputs(struct maker *maker, struct spec_layer *layer, const uint32_t *inputs,
                      uint32_t n);

/* The number of the layer that was made last. */
static inline uint32_t maker_last(const struct maker *maker)
{
    return maker->spec->n_layers - 1;
}

/* What a scaler does, in steps: [MAKER_SCALING_STEPS] at most; returns how many. */
uint32_t maker_scaling_steps(struct spec_step *steps, const struct scaling *scaling);

#endif
