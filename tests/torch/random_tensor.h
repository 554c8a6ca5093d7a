/* SPDX-License-Identifier: Apache-2.0 */
/* random_tensor.h: tensors of random values, laid out at random as files may hold them. */
#ifndef DCNV2_TESTS_TORCH_RANDOM_TENSOR_H
#define DCNV2_TESTS_TORCH_RANDOM_TENSOR_H

#include "backend/random.h"
#include "network/spec.h"

enum { RANDOM_MAX_TENSORS = 4096 };

struct random_tensors {
    struct random random;
    struct arena *arena;
    struct tensor *tensors; /* [RANDOM_MAX_TENSORS] */
    size_t n;
};

/* A value is centre + spread * a normal number. */
struct random_values {
    float centre, spread;
    bool is_positive; /* of a variance */
    bool is_table;    /* some rows are zeros; the sum of no other is near 0 */
};

/* Ends the test if there is no memory. */
void *random_room(struct arena *arena, size_t n, size_t size);

/* Below n; and once in `n` times. */
uint32_t random_of(struct random *random, uint32_t n);
bool random_once_in(struct random *random, uint32_t n);
float random_normal(struct random *random);

/* A part of a new tensor, of the sizes wanted: transposed, sliced, indexed, of any float type. */
struct tensor_part random_part(struct random_tensors *tensors, const uint64_t *sizes,
                               unsigned n_dims, const struct random_values *values);

/* One such part, or several that are stacked. */
struct tensor_stack random_stack(struct random_tensors *tensors, const uint64_t *sizes,
                                 unsigned n_dims, const struct random_values *values);

#endif
