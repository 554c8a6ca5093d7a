/* SPDX-License-Identifier: Apache-2.0 */
/* sigmoid.c: the sigmoid of every kernel set, through the output kernel. */
#include "checks.h"

#include <math.h>
#include <stdint.h>

#include "guarded.h"
#include "test.h"

static const double U = 0x1p-24; /* half a unit in a float's last place, of 1 */

enum { BATCH = 1024 };

static void sigmoids(const struct kernels *kernels, const float *logits, size_t n, float *scores)
{
    static float *rows, *weight;
    if (rows == NULL) {
        rows = place_array(6, (size_t)BATCH * KERNEL_LANES, AT_END);
        weight = place_array(7, KERNEL_LANES, AT_END);
        weight[0] = 1;
    }
    for (size_t i = 0; i < n; i++)
        rows[i * KERNEL_LANES] = logits[i];
    kernels->output(weight, 1, untouchable, 0, 0, n, rows, KERNEL_LANES, untouchable, KERNEL_LANES,
                    scores);
}

static float sigmoid(const struct kernels *kernels, float logit)
{
    float score;
    sigmoids(kernels, &logit, 1, &score);
    return score;
}

/* Below -87 the score stays what it is there: 1.7e-38, not 0. */
static const double LEAST_SCORE = 1.7e-38;

static void check_sigmoids(const float *logits, size_t n, double *worst)
{
    float expected[BATCH], scores[BATCH];
    sigmoids(&kernels_scalar, logits, n, expected);
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL)
            continue;
        sigmoids(kernels, logits, n, scores);
        for (size_t i = 0; i < n; i++)
            CHECK_MSG(same(scores[i], expected[i]), "%s of %a: %a, %a", kernels->name,
                      (double)logits[i], (double)scores[i], (double)expected[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i])) {
            CHECK(isnan(expected[i]));
            continue;
        }
        const double score = 1 / (1 + exp(-(double)logits[i]));
        const double distance = fabs((double)expected[i] - score);
        CHECK_MSG(distance <= 1.01 * U * score + LEAST_SCORE && expected[i] >= 0 &&
                      expected[i] <= 1,
                  "of %a: %a, in double %a", (double)logits[i], (double)expected[i], score);
        if (score > 1e-37 && distance / score > *worst)
            *worst = distance / score;
    }
}

TEST(the_sigmoid_is_right_over_the_whole_range_of_floats)
{
    float logits[BATCH];
    size_t n = 0;
    double worst = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 4093) {
        const uint32_t word = (uint32_t)bits;
        memcpy(&logits[n++], &word, sizeof word);
        if (n == BATCH) {
            check_sigmoids(logits, n, &worst);
            n = 0;
        }
    }
    check_sigmoids(logits, n, &worst);
    printf("sigmoid: largest relative distance to double %.2f u\n", worst / U);
}

TEST(the_sigmoid_is_right_where_scores_are)
{
    float logits[BATCH];
    double worst = 0;
    for (int block = 0; block < 200; block++) {
        for (int i = 0; i < BATCH; i++)
            logits[i] = (float)(block - 100) + (float)i / BATCH;
        check_sigmoids(logits, BATCH, &worst);
    }
    printf("sigmoid in -100 .. 100: largest relative distance to double %.2f u\n", worst / U);
}

TEST(the_sigmoid_of_zeros_infinities_and_far_logits_is_exact)
{
    for (size_t s = 0; s < N_SETS; s++) {
        const struct kernels *kernels = set_of(s);
        if (kernels == NULL)
            continue;
        CHECK(sigmoid(kernels, 0.0f) == 0.5f && sigmoid(kernels, -0.0f) == 0.5f);
        CHECK(sigmoid(kernels, INFINITY) == 1.0f);
        CHECK(sigmoid(kernels, 100.0f) == 1.0f && sigmoid(kernels, 3.4e38f) == 1.0f);
        const float low[] = {-INFINITY, -3.4e38f, -100.0f, -88.0f};
        for (size_t i = 0; i < 4; i++) {
            const float score = sigmoid(kernels, low[i]);
            CHECK(score >= 0 && (double)score <= LEAST_SCORE);
        }
        CHECK(isnan(sigmoid(kernels, NAN)) && isnan(sigmoid(kernels, -NAN)));
        CHECK(sigmoid(kernels, 1e-45f) == 0.5f && sigmoid(kernels, -1e-45f) == 0.5f);
    }
}

void run_sigmoid_checks(void)
{
    RUN(the_sigmoid_of_zeros_infinities_and_far_logits_is_exact);
    RUN(the_sigmoid_is_right_where_scores_are);
    RUN(the_sigmoid_is_right_over_the_whole_range_of_floats);
}
