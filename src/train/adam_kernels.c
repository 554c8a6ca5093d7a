/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adam_kernels.c: compiled once for each instruction set, TRAIN_SET being its name, and never with
 * fused operations: a row that is caught up later goes through the very operations, in the same
 * order, that it would have gone through at each step.
 */
#include <stdbool.h>

#include "kernels/constants.h"
#include "train/train_kernels.h"

#ifndef TRAIN_SET
#define TRAIN_SET plain
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(ROW_LANES * 4), may_alias));
typedef int32_t bits __attribute__((vector_size(ROW_LANES * 4), may_alias));

INLINE vec load(const float *from)
{
    return *(const vec *)from;
}

INLINE void store(float *to, vec values)
{
    *(vec *)to = values;
}

INLINE vec square_root(vec x)
{
    vec root;
    UNROLL
    for (int i = 0; i < ROW_LANES; i++)
        root[i] = __builtin_sqrtf(x[i]);
    return root;
}

INLINE bool all_of(bits lanes)
{
    int32_t all = -1;
    UNROLL
    for (int i = 0; i < ROW_LANES; i++)
        all &= lanes[i];
    return all != 0;
}

/* p after a step whose moments are m and v. */
INLINE vec moved(const struct adam_constants *constants, struct adam_step step, vec p, vec m, vec v)
{
    return p - (step.size * m) / (step.root * square_root(v) + constants->eps);
}

static void update(const struct adam_constants *constants, struct adam_step step, size_t n,
                   float *p, const float *gradient, float *m, float *v)
{
    for (size_t i = 0; i < n; i += ROW_LANES) {
        const vec g = load(gradient + i);
        const vec m1 = constants->beta1 * load(m + i) + constants->rest1 * g;
        const vec v1 = constants->beta2 * load(v + i) + constants->rest2 * (g * g);
        store(m + i, m1);
        store(v + i, v1);
        store(p + i, moved(constants, step, load(p + i), m1, v1));
    }
}

/* update() with a gradient of 0: adding it makes a zero of -0, and of v nothing else. */
INLINE vec decayed(const struct adam_constants *constants, vec m)
{
    return constants->beta1 * m + 0.0f;
}

static unsigned replay(const struct adam_constants *constants, size_t width, size_t n_steps,
                       const struct adam_step *const steps[REPLAY_ROWS],
                       const float still_from[REPLAY_ROWS], float *const rows[REPLAY_ROWS])
{
    const struct adam_constants k = *constants;
    unsigned resting = (1U << REPLAY_ROWS) - 1;
    for (size_t i = 0; i < width; i += ROW_LANES) {
        vec p[REPLAY_ROWS], m[REPLAY_ROWS], v[REPLAY_ROWS], before[REPLAY_ROWS];
        UNROLL
        for (int j = 0; j < REPLAY_ROWS; j++) {
            p[j] = load(rows[j] + i);
            m[j] = load(rows[j] + width + i);
            v[j] = load(rows[j] + 2 * width + i);
            before[j] = p[j];
        }
        for (size_t s = 0; s < n_steps; s++) {
            UNROLL
            for (int j = 0; j < REPLAY_ROWS; j++) {
                m[j] = decayed(&k, m[j]);
                v[j] = k.beta2 * v[j];
                before[j] = p[j];
                p[j] = moved(&k, steps[j][s], p[j], m[j], v[j]);
            }
        }
        UNROLL
        for (int j = 0; j < REPLAY_ROWS; j++) {
            store(rows[j] + i, p[j]);
            store(rows[j] + width + i, m[j]);
            store(rows[j] + 2 * width + i, v[j]);
            const bits is_final = (m[j] == 0) | (p[j] >= still_from[j]) | (p[j] <= -still_from[j]);
            if (!all_of((p[j] == before[j]) & is_final))
                resting &= ~(1U << j);
        }
    }
    return resting;
}

static unsigned decay(const struct adam_constants *constants, size_t width, size_t n_steps,
                      float *const rows[DECAY_ROWS])
{
    const struct adam_constants k = *constants;
    unsigned resting = (1U << DECAY_ROWS) - 1;
    for (size_t i = 0; i < width; i += ROW_LANES) {
        vec m[DECAY_ROWS], v[DECAY_ROWS];
        UNROLL
        for (int j = 0; j < DECAY_ROWS; j++) {
            m[j] = load(rows[j] + width + i);
            v[j] = load(rows[j] + 2 * width + i);
        }
        for (size_t s = 0; s < n_steps; s++) {
            UNROLL
            for (int j = 0; j < DECAY_ROWS; j++) {
                m[j] = k.beta1 * m[j];
                v[j] = k.beta2 * v[j];
            }
        }
        UNROLL
        for (int j = 0; j < DECAY_ROWS; j++) {
            /* -0 as decayed() has it: of p, which rests, it would change nothing */
            store(rows[j] + width + i, m[j] + 0.0f);
            store(rows[j] + 2 * width + i, v[j]);
            if (!all_of(k.beta1 * m[j] == m[j]))
                resting &= ~(1U << j);
        }
    }
    return resting;
}

static unsigned decay_v(const struct adam_constants *constants, size_t width, size_t n_steps,
                        float *const rows[DECAY_ROWS])
{
    const float beta2 = constants->beta2;
    unsigned resting = (1U << DECAY_ROWS) - 1;
    for (size_t i = 2 * width; i < 3 * width; i += ROW_LANES) {
        vec v[DECAY_ROWS];
        UNROLL
        for (int j = 0; j < DECAY_ROWS; j++)
            v[j] = load(rows[j] + i);
        for (size_t s = 0; s < n_steps; s++) {
            UNROLL
            for (int j = 0; j < DECAY_ROWS; j++)
                v[j] = beta2 * v[j];
        }
        UNROLL
        for (int j = 0; j < DECAY_ROWS; j++) {
            store(rows[j] + i, v[j]);
            if (!all_of(beta2 * v[j] == v[j]))
                resting &= ~(1U << j);
        }
    }
    return resting;
}

const struct adam_kernels JOIN(adam_kernels_, TRAIN_SET) = {
    .update = update,
    .replay = replay,
    .decay = decay,
    .decay_v = decay_v,
};
