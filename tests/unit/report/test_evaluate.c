/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: cases by hand, and random rows against the definitions, counted pair by pair. */
#include "report/evaluate.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "test.h"

static struct evaluation evaluated(const float *scores, const uint8_t *labels,
                                   const uint32_t *groups, size_t n)
{
    struct evaluation evaluation;
    struct train_error error;
    memset(&evaluation, 0x5a, sizeof evaluation);
    CHECK(evaluate(scores, labels, groups, n, &evaluation, &error) == 0);
    return evaluation;
}

static bool is_near(double value, double expected)
{
    return fabs(value - expected) <= 1e-12 * fmax(1, fabs(expected));
}

#define CHECK_NEAR(value, expected)                                                                \
    CHECK_MSG(is_near(value, expected), "%.17g, not %.17g", value, (double)(expected))

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- by hand ---- */

TEST(scores_in_the_right_order_have_an_auc_of_one)
{
    const float scores[] = {0.9F, 0.1F, 0.8F, 0.2F};
    const uint8_t labels[] = {1, 0, 1, 0}, reversed[] = {0, 1, 0, 1};
    CHECK(evaluated(scores, labels, NULL, 4).auc == 1);
    CHECK(evaluated(scores, reversed, NULL, 4).auc == 0);
}

TEST(a_tie_counts_half)
{
    const float all_equal[] = {0.3F, 0.3F, 0.3F, 0.3F};
    const uint8_t labels[] = {1, 0, 0, 1};
    CHECK(evaluated(all_equal, labels, NULL, 4).auc == 0.5);
    /* Pairs: 0.5 over 0.5 is half, over 0.2 one; 0.7 over both one: 3.5 of 4. */
    const float scores[] = {0.5F, 0.5F, 0.2F, 0.7F};
    CHECK(evaluated(scores, labels, NULL, 4).auc == 0.875);
}

TEST(both_zeros_are_equal_and_signs_and_infinities_are_in_order)
{
    const float zeros[] = {0.0F, -0.0F};
    const float scores[] = {-INFINITY, -2.0F, -1.0F, -FLT_MIN, 0.0F, 1.0F, INFINITY};
    const uint8_t two[] = {0, 1}, rising[] = {0, 0, 0, 0, 1, 1, 1}, falling[] = {1, 1, 1, 0, 0, 0};
    CHECK(evaluated(zeros, two, NULL, 2).auc == 0.5);
    CHECK(evaluated(scores, rising, NULL, 7).auc == 1);
    CHECK(evaluated(scores, falling, NULL, 6).auc == 0);
}

TEST(one_label_has_no_auc_but_a_log_loss)
{
    const float scores[] = {0.25F, 0.5F};
    const uint8_t none[] = {0, 0}, all[] = {1, 1};
    const struct evaluation without = evaluated(scores, none, NULL, 2);
    const struct evaluation clicks = evaluated(scores, all, NULL, 2);
    CHECK(isnan(without.auc) && isnan(without.calibration) && without.n_clicks == 0);
    CHECK(isnan(clicks.auc) && clicks.calibration == 0.375 && clicks.n_clicks == 2);
    CHECK_NEAR(without.log_loss, -(log(0.75) + log(0.5)) / 2);
    CHECK_NEAR(clicks.log_loss, -(log(0.25) + log(0.5)) / 2);
}

static void check_that_nothing_is_known(const struct evaluation *evaluation)
{
    CHECK(isnan(evaluation->auc) && isnan(evaluation->log_loss) && isnan(evaluation->mean_score));
    CHECK(isnan(evaluation->calibration) && isnan(evaluation->grouped_auc));
    CHECK(evaluation->n_groups == 0);
    for (unsigned b = 0; b < EVALUATE_BINS; b++) {
        CHECK(evaluation->bins[b].n_rows == 0 && isnan(evaluation->bins[b].mean_score));
        CHECK(evaluation->histogram[0][b] == 0 && evaluation->histogram[1][b] == 0);
    }
}

TEST(without_rows_or_with_a_nan_nothing_is_known)
{
    const float scores[] = {0.5F, NAN, 0.25F};
    const uint8_t labels[] = {1, 0, 1};
    const uint32_t groups[] = {0, 0, 0};
    const struct evaluation empty = evaluated(NULL, NULL, NULL, 0);
    const struct evaluation broken = evaluated(scores, labels, groups, 3);
    check_that_nothing_is_known(&empty);
    check_that_nothing_is_known(&broken);
    CHECK(empty.n_rows == 0 && broken.n_rows == 3 && broken.n_clicks == 2);
}

TEST(log_loss_is_clipped_as_scikit_learn_clips_floats)
{
    const float scores[] = {0.0F, 1.0F};
    const uint8_t right[] = {0, 1}, wrong[] = {1, 0};
    CHECK_NEAR(evaluated(scores, right, NULL, 2).log_loss, -log(1 - (double)FLT_EPSILON));
    CHECK_NEAR(evaluated(scores, wrong, NULL, 2).log_loss, -log((double)FLT_EPSILON));
}

TEST(calibration_is_the_mean_score_over_the_click_rate)
{
    const float scores[] = {0.5F, 0.25F, 0.5F, 0.75F};
    const uint8_t labels[] = {0, 0, 1, 0};
    const struct evaluation evaluation = evaluated(scores, labels, NULL, 4);
    CHECK(evaluation.mean_score == 0.5 && evaluation.calibration == 2);
}

/* ---- groups ---- */

TEST(grouped_auc_is_weighted_by_rows_and_leaves_groups_of_one_label_out)
{
    const float scores[] = {0.9F, 0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F, 0.7F};
    const uint8_t labels[] = {1, 0, 1, 0, 0, 0, 1, 1};
    const uint32_t groups[] = {7, 7, 0, 0, 0, UINT32_MAX, 5, 5};
    const struct evaluation evaluation = evaluated(scores, labels, groups, 8);
    CHECK(evaluation.n_groups == 2);
    CHECK_NEAR(evaluation.grouped_auc, (2 * 1.0 + 3 * 0.0) / 5);
    CHECK(isnan(evaluated(scores, labels, NULL, 8).grouped_auc));
}

TEST(one_group_has_the_auc_of_all)
{
    const float scores[] = {0.5F, 0.5F, 0.2F, 0.7F};
    const uint8_t labels[] = {1, 0, 0, 1};
    const uint32_t groups[] = {3, 3, 3, 3}, apart[] = {0, 1, 2, 3};
    CHECK(evaluated(scores, labels, groups, 4).grouped_auc == 0.875);
    const struct evaluation alone = evaluated(scores, labels, apart, 4);
    CHECK(isnan(alone.grouped_auc) && alone.n_groups == 0 && alone.auc == 0.875);
}

/* ---- plots ---- */

TEST(bins_are_equal_in_size_and_rise)
{
    float scores[50];
    uint8_t labels[50];
    for (unsigned i = 0; i < 50; i++) {
        scores[i] = (float)((i * 7) % 50) / 64;
        labels[i] = scores[i] >= 0.5F;
    }
    const struct evaluation evaluation = evaluated(scores, labels, NULL, 50);
    uint64_t n_rows = 0, n_clicks = 0;
    for (unsigned b = 0; b < EVALUATE_BINS; b++) {
        const struct evaluation_bin *bin = &evaluation.bins[b];
        CHECK(bin->n_rows == 2 || bin->n_rows == 3);
        CHECK(b == 0 || bin->mean_score > bin[-1].mean_score);
        n_rows += bin->n_rows;
        n_clicks += bin->n_clicks;
    }
    CHECK(n_rows == 50 && n_clicks == evaluation.n_clicks && n_clicks == 18);
    CHECK(evaluation.bins[19].n_clicks == evaluation.bins[19].n_rows);
    CHECK(evaluation.bins[0].mean_score == 0.5 / 64);
}

TEST(equal_scores_are_cut_between_bins_with_their_share_of_clicks)
{
    float scores[200];
    uint8_t labels[200];
    for (unsigned i = 0; i < 200; i++) {
        scores[i] = 0.25F;
        labels[i] = i < 40;
    }
    const struct evaluation evaluation = evaluated(scores, labels, NULL, 200);
    for (unsigned b = 0; b < EVALUATE_BINS; b++) {
        const struct evaluation_bin *bin = &evaluation.bins[b];
        CHECK(bin->n_rows == 10 && bin->n_clicks == 2 && bin->mean_score == 0.25);
    }
}

TEST(fewer_rows_than_bins_leave_some_empty)
{
    const float scores[] = {0.25F, 0.75F};
    const uint8_t labels[] = {0, 1};
    const struct evaluation evaluation = evaluated(scores, labels, NULL, 2);
    unsigned n_filled = 0;
    for (unsigned b = 0; b < EVALUATE_BINS; b++) {
        n_filled += evaluation.bins[b].n_rows == 1;
        CHECK(isnan(evaluation.bins[b].mean_score) == (evaluation.bins[b].n_rows == 0));
    }
    CHECK(n_filled == 2 && evaluation.bins[19].n_clicks == 1);
}

TEST(histograms_count_by_label_and_keep_what_is_outside)
{
    const float scores[] = {0.0F, 0.0499F, 0.05F, 0.5F, 0.9999F, 1.0F, -3.0F, 7.0F};
    const uint8_t labels[] = {0, 0, 1, 1, 0, 1, 0, 1};
    const struct evaluation evaluation = evaluated(scores, labels, NULL, 8);
    CHECK(evaluation.histogram[0][0] == 3 && evaluation.histogram[1][0] == 0);
    CHECK(evaluation.histogram[1][1] == 1 && evaluation.histogram[1][10] == 1);
    CHECK(evaluation.histogram[0][19] == 1 && evaluation.histogram[1][19] == 2);
}

/* ---- by definition ---- */

enum { N_RANDOM = 4000 };

struct random_rows {
    float scores[N_RANDOM];
    uint8_t labels[N_RANDOM];
    uint32_t groups[N_RANDOM];
};

/* n_values: how many scores there are, fewer for more ties. */
static void fill_random(struct random_rows *rows, uint64_t seed, uint64_t n_values)
{
    for (size_t i = 0; i < N_RANDOM; i++) {
        rows->scores[i] = (float)(next_random(&seed) % n_values) / (float)n_values;
        rows->labels[i] = (double)(next_random(&seed) % 1000) < 600 * (double)rows->scores[i];
        /* Large, far apart, and some with one row only. */
        rows->groups[i] = (uint32_t)(next_random(&seed) % 700) * 5000011U;
    }
}

static double auc_by_pairs(const struct random_rows *rows, const uint32_t *group, double *ret_rows)
{
    double wins = 0, n_pairs = 0;
    *ret_rows = 0;
    for (size_t i = 0; i < N_RANDOM; i++) {
        if (group && rows->groups[i] != *group)
            continue;
        *ret_rows += 1;
        for (size_t k = 0; k < N_RANDOM && rows->labels[i]; k++) {
            if (rows->labels[k] || (group && rows->groups[k] != *group))
                continue;
            wins += rows->scores[i] > rows->scores[k]    ? 1
                    : rows->scores[i] == rows->scores[k] ? 0.5
                                                         : 0;
            n_pairs++;
        }
    }
    return wins / n_pairs;
}

static double loss_of(float score, uint8_t label)
{
    const float p = label ? score : 1.0F - score;
    return -log((double)fmaxf(FLT_EPSILON, fminf(1 - FLT_EPSILON, p)));
}

static void check_against_pairs(const struct random_rows *rows)
{
    const struct evaluation evaluation =
        evaluated(rows->scores, rows->labels, rows->groups, N_RANDOM);
    double n_rows, sum = 0, n_summed = 0, loss = 0;
    uint64_t n_groups = 0;
    CHECK_NEAR(evaluation.auc, auc_by_pairs(rows, NULL, &n_rows));
    for (uint32_t g = 0; g < 700; g++) {
        const uint32_t group = g * 5000011U;
        const double auc = auc_by_pairs(rows, &group, &n_rows);
        if (isnan(auc))
            continue;
        sum += auc * n_rows;
        n_summed += n_rows;
        n_groups++;
    }
    CHECK(evaluation.n_groups == n_groups && n_groups > 100);
    CHECK_NEAR(evaluation.grouped_auc, sum / n_summed);
    for (size_t i = 0; i < N_RANDOM; i++) {
        loss += loss_of(rows->scores[i], rows->labels[i]);
    }
    CHECK_NEAR(evaluation.log_loss, loss / N_RANDOM);
}

TEST(random_rows_agree_with_a_count_of_pairs)
{
    static struct random_rows rows;
    fill_random(&rows, 1, 1 << 24);
    check_against_pairs(&rows);
    fill_random(&rows, 2, 37);
    check_against_pairs(&rows);
}

static void swap_rows(struct random_rows *rows, size_t i, size_t k)
{
    const float score = rows->scores[i];
    const uint8_t label = rows->labels[i];
    const uint32_t group = rows->groups[i];
    rows->scores[i] = rows->scores[k];
    rows->labels[i] = rows->labels[k];
    rows->groups[i] = rows->groups[k];
    rows->scores[k] = score;
    rows->labels[k] = label;
    rows->groups[k] = group;
}

TEST(the_order_of_the_rows_changes_no_bit)
{
    static struct random_rows rows;
    uint64_t seed = 4;
    fill_random(&rows, 3, 100000);
    const struct evaluation before = evaluated(rows.scores, rows.labels, rows.groups, N_RANDOM);
    for (size_t i = N_RANDOM - 1; i > 0; i--) {
        const size_t k = next_random(&seed) % (i + 1);
        swap_rows(&rows, i, k);
    }
    const struct evaluation after = evaluated(rows.scores, rows.labels, rows.groups, N_RANDOM);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
}

/* From 1e-6 to 1, none equal: a plain sum of doubles ends some hundred roundings off. */
TEST(sums_over_many_rows_do_not_drift)
{
    enum { N = 2000000 };
    float *scores = malloc(N * sizeof *scores);
    uint8_t *labels = malloc(N);
    long double sum = 0, losses = 0, block_sum = 0, block_losses = 0;
    uint64_t seed = 5;
    if (!scores || !labels)
        abort();
    for (size_t i = 0; i < N; i++) {
        const double drawn = (double)(next_random(&seed) >> 11) * 0x1p-53;
        scores[i] = (float)exp(log(1e-6) * drawn);
        labels[i] = i % 3 == 0;
        block_sum += scores[i];
        block_losses += loss_of(scores[i], labels[i]);
        if (i % 1000 == 999) {
            sum += block_sum;
            losses += block_losses;
            block_sum = block_losses = 0;
        }
    }
    const struct evaluation evaluation = evaluated(scores, labels, NULL, N);
    const double mean = (double)(sum / N), log_loss = (double)(losses / N);
    CHECK_MSG(fabs(evaluation.mean_score - mean) <= DBL_EPSILON * mean, "%.17g, not %.17g",
              evaluation.mean_score, mean);
    CHECK_MSG(fabs(evaluation.log_loss - log_loss) <= DBL_EPSILON * log_loss, "%.17g, not %.17g",
              evaluation.log_loss, log_loss);
    free(scores);
    free(labels);
}

int main(void)
{
    RUN(scores_in_the_right_order_have_an_auc_of_one);
    RUN(a_tie_counts_half);
    RUN(both_zeros_are_equal_and_signs_and_infinities_are_in_order);
    RUN(one_label_has_no_auc_but_a_log_loss);
    RUN(without_rows_or_with_a_nan_nothing_is_known);
    RUN(log_loss_is_clipped_as_scikit_learn_clips_floats);
    RUN(calibration_is_the_mean_score_over_the_click_rate);
    RUN(grouped_auc_is_weighted_by_rows_and_leaves_groups_of_one_label_out);
    RUN(one_group_has_the_auc_of_all);
    RUN(bins_are_equal_in_size_and_rise);
    RUN(equal_scores_are_cut_between_bins_with_their_share_of_clicks);
    RUN(fewer_rows_than_bins_leave_some_empty);
    RUN(histograms_count_by_label_and_keep_what_is_outside);
    RUN(random_rows_agree_with_a_count_of_pairs);
    RUN(the_order_of_the_rows_changes_no_bit);
    RUN(sums_over_many_rows_do_not_drift);
    return test_report();
}
