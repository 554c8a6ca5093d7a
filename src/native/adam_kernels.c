/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adam_kernels.c: compiled once for each instruction set, TRAIN_SET being its name, and never with
 * fused operations: a row that is caught up later goes through the very operations, in the same
 * order, that it would have gone through at each step.
 */
#include <stdbool.h>

#include "kernels/constants.h"
#include "native/train_kernels.h"

#ifndef TRAIN_SET
#define TRAIN_SET plain
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(ROW_LANES * 4), may_alias));
typedef int32_t bits __attribute__((vector_size(ROW_LANES * 4), may_alias));
typedef int64_t pairs __attribute__((vector_size(ROW_LANES * 4), may_alias));

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
    const pairs two = (pairs)lanes;
    return (two[0] & two[1] & two[2] & two[3]) == -1;
}

/* p after a step whose moments are m and v. */
INLINE vec moved(const struct adam_constants *constants, struct adam_step step, vec p, vec m, vec v)
{
    return p - (step.size * m) / (step.root * square_root(v) + constants->eps);
}

static void update(const struct adam_constants *constants, struct adam_step step, size_t n,
                   float *p, const float *gradient, float *m, float *v)
{
    const struct adam_constants k = *constants;
    for (size_t i = 0; i < n; i += ROW_LANES) {
        const vec g = load(gradient + i);
        const vec m1 = k.beta1 * load(m + i) + k.rest1 * g;
        const vec v1 = k.beta2 * load(v + i) + k.rest2 * (g * g);
        store(m + i, m1);
        store(v + i, v1);
        store(p + i, moved(&k, step, load(p + i), m1, v1));
    }
}

/* update() with a gradient of 0: adding it makes a zero of -0, and of v nothing else. */
INLINE vec decayed(const struct adam_constants *constants, vec m)
{
    return constants->beta1 * m + 0.0f;
}

/* REPLAY_STEPS or less of eight elements. False: they may still move. */
INLINE bool replay_lanes(const struct adam_constants *constants, size_t width, size_t n_steps,
                         const struct adam_step *steps, bool is_shrinking, float *values)
{
    vec p = load(values), m = load(values + width), v = load(values + 2 * width), before = p;
    for (size_t s = 0; s < n_steps; s++) {
        m = decayed(constants, m);
        v = constants->beta2 * v;
        before = p;
        p = moved(constants, steps[s], p, m, v);
    }
    store(values, p);
    store(values + width, m);
    store(values + 2 * width, v);
    bits is_final = m == 0;
    if (is_shrinking)
        is_final |= (p >= ADAM_STILL_FROM) | (p <= -ADAM_STILL_FROM);
    return all_of((p == before) & is_final);
}

static size_t replay(const struct adam_constants *constants, size_t width, size_t n_steps,
                     const struct adam_step *steps, size_t n_growing, float *values)
{
    enum { REPLAY_STEPS = 16 };
    const struct adam_constants k = *constants;
    size_t n, done = 0;
    for (bool is_still = false; done < n_steps && !is_still; done += n) {
        n = n_steps - done < REPLAY_STEPS ? n_steps - done : REPLAY_STEPS;
        is_still = true;
        for (size_t i = 0; i < width; i += ROW_LANES)
            is_still &= replay_lanes(&k, width, n, steps + done, done + n > n_growing, values + i);
    }
    return done;
}

/* The operations of decayed() until -0 becomes 0, which changes nothing of a p that rests. */
INLINE unsigned decay_rows(const struct adam_constants *constants, size_t width, size_t n_steps,
                           float *const *rows, int n_rows, bool has_m)
{
    const float beta1 = constants->beta1, beta2 = constants->beta2;
    unsigned resting = (1U << n_rows) - 1;
    for (size_t i = 0; i < width; i += ROW_LANES) {
        vec m[DECAY_ROWS], v[DECAY_ROWS];
        UNROLL
        for (int j = 0; j < n_rows; j++) {
            m[j] = load(rows[j] + width + i);
            v[j] = load(rows[j] + 2 * width + i);
        }
        for (size_t s = 0; s < n_steps; s++) {
            UNROLL
            for (int j = 0; j < n_rows; j++) {
                if (has_m)
                    m[j] = beta1 * m[j];
                v[j] = beta2 * v[j];
            }
        }
        UNROLL
        for (int j = 0; j < n_rows; j++) {
            if (has_m)
                store(rows[j] + width + i, m[j] + 0.0f);
            store(rows[j] + 2 * width + i, v[j]);
            if (!all_of(has_m ? beta1 * m[j] == m[j] : beta2 * v[j] == v[j]))
                resting &= ~(1U << j);
        }
    }
    return resting;
}

static void decay_row(const struct adam_constants *constants, size_t width, size_t n_steps,
                      float *row)
{
    decay_rows(constants, width, n_steps, &row, 1, true);
}

static unsigned decay(const struct adam_constants *constants, size_t width,
                      float *const rows[DECAY_ROWS])
{
    return decay_rows(constants, width, DECAY_STEPS, rows, DECAY_ROWS, true);
}

static unsigned decay_v(const struct adam_constants *constants, size_t width,
                        float *const rows[DECAY_ROWS])
{
    return decay_rows(constants, width, DECAY_STEPS, rows, DECAY_ROWS, false);
}

const struct adam_kernels JOIN(adam_kernels_, TRAIN_SET) = {
    .update = update,
    .replay = replay,
    .decay_row = decay_row,
    .decay = decay,
    .decay_v = decay_v,
};
