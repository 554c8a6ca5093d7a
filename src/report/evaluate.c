/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.c: one walk over the rows in the order of their scores gives all but grouped AUC, and
 * one in the order of their groups gives that. A row is a key of 64 bits, the group above the
 * score; clicks stand apart from the other rows, so that no label has to be carried along and a
 * walk is a merge of two sorted arrays. Sums run in sorted order: no result depends on the order
 * of the rows.
 */
#include "report/evaluate.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "memory.h"
#include "sum.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, SCORE_BITS = 32 };

static double mean_of(const struct sum *sum, uint64_t n)
{
    return n ? sum_of(sum) / (double)n : NAN;
}

/* ---- keys ---- */

/* Whole numbers in the order of the floats; both zeros are one. */
static uint32_t score_to_key(float score)
{
    uint32_t bits;
    score += 0.0F;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

static float key_to_score(uint32_t key)
{
    const uint32_t bits = key & 0x80000000U ? key & 0x7fffffffU : ~key;
    float score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* Stable, by DIGIT_BITS of the key from `shift` on. False: all were equal, and nothing was done. */
static bool sort_by_digit(const uint64_t *from, uint64_t *to, size_t n, unsigned shift,
                          uint64_t mask)
{
    size_t starts[DIGITS] = {0};
    for (size_t i = 0; i < n; i++)
        starts[(from[i] >> shift) & mask]++;
    if (n == 0 || starts[(from[0] >> shift) & mask] == n)
        return false;
    size_t start = 0;
    for (size_t d = 0; d < DIGITS; d++) {
        const size_t count = starts[d];
        starts[d] = start;
        start += count;
    }
    for (size_t i = 0; i < n; i++)
        to[starts[(from[i] >> shift) & mask]++] = from[i];
    return true;
}

/* Stable, by the half of the key from `shift` on. The sorted keys are back in `keys`. */
static void sort_by_half(uint64_t *keys, uint64_t *scratch, size_t n, unsigned shift)
{
    uint64_t *from = keys, *to = scratch;
    for (unsigned done = 0; done < SCORE_BITS; done += DIGIT_BITS) {
        const unsigned left = SCORE_BITS - done;
        const uint64_t mask = ((uint64_t)1 << (left < DIGIT_BITS ? left : DIGIT_BITS)) - 1;
        if (sort_by_digit(from, to, n, shift + done, mask)) {
            uint64_t *const sorted = to;
            to = from;
            from = sorted;
        }
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof *keys);
}

/* ---- the walk ---- */

struct rows {
    uint64_t *clicks, *others; /* keys */
    size_t n_clicks, n_others;
    uint64_t *scratch; /* room for the larger of the two */
};

/* Rows of one key. */
struct tie {
    uint64_t key;
    uint64_t n_clicks, n_others;
};

struct walk {
    const struct rows *rows;
    uint64_t mask; /* of a key's bits that count */
    size_t click, other;
};

static bool walk_next(struct walk *walk, struct tie *ret_tie)
{
    const struct rows *rows = walk->rows;
    const size_t first_click = walk->click, first_other = walk->other;
    uint64_t key = UINT64_MAX;
    if (first_click == rows->n_clicks && first_other == rows->n_others)
        return false;
    if (first_click < rows->n_clicks)
        key = rows->clicks[first_click] & walk->mask;
    if (first_other < rows->n_others && (rows->others[first_other] & walk->mask) < key)
        key = rows->others[first_other] & walk->mask;
    while (walk->click < rows->n_clicks && (rows->clicks[walk->click] & walk->mask) == key)
        walk->click++;
    while (walk->other < rows->n_others && (rows->others[walk->other] & walk->mask) == key)
        walk->other++;
    *ret_tie = (struct tie){key, walk->click - first_click, walk->other - first_other};
    return true;
}

/* ---- AUC ---- */

struct ranking {
    uint64_t n_clicks, n_others; /* so far */
    uint64_t wins_twice;         /* of a click over a row without: 2, ties 1 */
};

/* Whole numbers are exact up to 2^32 rows: 2 * 2^31 * 2^31. */
static void ranking_add(struct ranking *ranking, const struct tie *tie)
{
    ranking->wins_twice += tie->n_clicks * (2 * ranking->n_others + tie->n_others);
    ranking->n_clicks += tie->n_clicks;
    ranking->n_others += tie->n_others;
}

static bool ranking_has_both(const struct ranking *ranking)
{
    return ranking->n_clicks && ranking->n_others;
}

static double ranking_auc(const struct ranking *ranking)
{
    if (!ranking_has_both(ranking))
        return NAN;
    return (double)ranking->wins_twice / (2.0 * (double)ranking->n_clicks) /
           (double)ranking->n_others;
}

struct group_mean {
    struct sum aucs; /* each times its rows */
    uint64_t n_rows, n_groups;
};

static void group_mean_add(struct group_mean *mean, const struct ranking *group)
{
    if (!ranking_has_both(group))
        return;
    const uint64_t n_rows = group->n_clicks + group->n_others;
    sum_add(&mean->aucs, ranking_auc(group) * (double)n_rows);
    mean->n_rows += n_rows;
    mean->n_groups++;
}

static void measure_groups(const struct rows *rows, struct evaluation *evaluation)
{
    struct walk walk = {rows, UINT64_MAX, 0, 0};
    struct group_mean mean = {0};
    struct ranking group = {0};
    uint64_t number = 0;
    for (struct tie tie; walk_next(&walk, &tie); ranking_add(&group, &tie)) {
        if (tie.key >> SCORE_BITS == number)
            continue;
        group_mean_add(&mean, &group);
        group = (struct ranking){0};
        number = tie.key >> SCORE_BITS;
    }
    group_mean_add(&mean, &group);
    evaluation->grouped_auc = mean_of(&mean.aucs, mean.n_rows);
    evaluation->n_groups = mean.n_groups;
}

/* ---- the rest ---- */

/* scikit-learn takes the complement in float, and clips that as well. */
static double loss_of(float probability)
{
    if (probability < FLT_EPSILON)
        probability = FLT_EPSILON;
    if (probability > 1.0F - FLT_EPSILON)
        probability = 1.0F - FLT_EPSILON;
    return -log((double)probability);
}

static void count_in_histogram(struct evaluation *evaluation, float score, const struct tie *tie)
{
    const double place = (double)score * EVALUATE_BINS;
    const unsigned bin = !(place > 0)             ? 0
                         : place >= EVALUATE_BINS ? EVALUATE_BINS - 1
                                                  : (unsigned)place;
    evaluation->histogram[0][bin] += tie->n_others;
    evaluation->histogram[1][bin] += tie->n_clicks;
}

struct binning {
    struct sum scores[EVALUATE_BINS];
    uint64_t n_rows; /* of all ties so far */
    unsigned bin;
};

/* A tie that reaches over a bin's end is cut there, and its clicks in the same proportion. */
static void fill_bins(struct evaluation *evaluation, struct binning *binning, float score,
                      const struct tie *tie)
{
    const uint64_t n = tie->n_clicks + tie->n_others;
    for (uint64_t i = 0, clicks = 0; i < n;) {
        const uint64_t end = evaluation->n_rows * (binning->bin + 1) / EVALUATE_BINS;
        const uint64_t room = end - binning->n_rows, taken = room < n - i ? room : n - i;
        struct evaluation_bin *bin = &evaluation->bins[binning->bin];
        i += taken;
        bin->n_rows += taken;
        bin->n_clicks += tie->n_clicks * i / n - clicks;
        clicks = tie->n_clicks * i / n;
        sum_add(&binning->scores[binning->bin], (double)taken * (double)score);
        binning->n_rows += taken;
        if (taken == room)
            binning->bin++;
    }
}

static void measure_all(const struct rows *rows, struct evaluation *evaluation)
{
    struct walk walk = {rows, UINT32_MAX, 0, 0};
    struct ranking ranking = {0};
    struct binning binning = {0};
    struct sum losses = {0}, scores = {0};
    for (struct tie tie; walk_next(&walk, &tie);) {
        const float score = key_to_score((uint32_t)tie.key);
        ranking_add(&ranking, &tie);
        if (tie.n_clicks)
            sum_add(&losses, (double)tie.n_clicks * loss_of(score));
        if (tie.n_others)
            sum_add(&losses, (double)tie.n_others * loss_of(1.0F - score));
        sum_add(&scores, (double)(tie.n_clicks + tie.n_others) * (double)score);
        count_in_histogram(evaluation, score, &tie);
        fill_bins(evaluation, &binning, score, &tie);
    }
    const uint64_t n = evaluation->n_rows;
    evaluation->auc = ranking_auc(&ranking);
    evaluation->log_loss = mean_of(&losses, n);
    evaluation->mean_score = mean_of(&scores, n);
    if (rows->n_clicks)
        evaluation->calibration = evaluation->mean_score / ((double)rows->n_clicks / (double)n);
    for (unsigned b = 0; b < EVALUATE_BINS; b++)
        evaluation->bins[b].mean_score = mean_of(&binning.scores[b], evaluation->bins[b].n_rows);
}

static void fill_keys(const float *scores, const uint8_t *labels, const uint32_t *groups, size_t n,
                      const struct rows *rows)
{
    size_t click = 0, other = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t group = groups ? groups[i] : 0;
        const uint64_t key = group << SCORE_BITS | score_to_key(scores[i]);
        if (labels[i])
            rows->clicks[click++] = key;
        else
            rows->others[other++] = key;
    }
}

static void sort_rows(const struct rows *rows, unsigned shift)
{
    sort_by_half(rows->clicks, rows->scratch, rows->n_clicks, shift);
    sort_by_half(rows->others, rows->scratch, rows->n_others, shift);
}

/* What there is to say without an order. False: there is a NaN, or there are no rows. */
static bool count_rows(const float *scores, const uint8_t *labels, size_t n,
                       struct evaluation *evaluation)
{
    bool has_order = n > 0;
    *evaluation = (struct evaluation){.n_rows = n,
                                      .auc = NAN,
                                      .log_loss = NAN,
                                      .mean_score = NAN,
                                      .calibration = NAN,
                                      .grouped_auc = NAN};
    for (unsigned b = 0; b < EVALUATE_BINS; b++)
        evaluation->bins[b].mean_score = NAN;
    for (size_t i = 0; i < n; i++) {
        evaluation->n_clicks += labels[i] != 0;
        has_order &= !isnan(scores[i]);
    }
    return has_order;
}

int evaluate(const float *scores, const uint8_t *labels, const uint32_t *groups, size_t n,
             struct evaluation *ret_evaluation, struct train_error *error)
{
    if (!count_rows(scores, labels, n, ret_evaluation))
        return 0;
    const size_t n_clicks = ret_evaluation->n_clicks, n_others = n - n_clicks;
    const size_t n_scratch = n_clicks > n_others ? n_clicks : n_others;
    const size_t size = (n + n_scratch) * sizeof(uint64_t);
    uint64_t *keys = memory_alloc(size);
    if (keys == NULL)
        return train_error_memory(error);
    const struct rows rows = {keys, keys + n_clicks, n_clicks, n_others, keys + n};
    fill_keys(scores, labels, groups, n, &rows);
    sort_rows(&rows, 0);
    measure_all(&rows, ret_evaluation);
    if (groups) {
        sort_rows(&rows, SCORE_BITS); /* stable: scores stay in order within their group */
        measure_groups(&rows, ret_evaluation);
    }
    memory_free(keys, size);
    return 0;
}
