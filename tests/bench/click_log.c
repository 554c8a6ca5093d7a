/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a click log of TaobaoAd_x1's shape to standard output: label, 16 category columns, price.
 *
 * usage: click_log ROWS SEED [FACTOR]    FACTOR: of the large columns' numbers of values (1)
 *
 * How often a value comes falls with its rank (Zipf, exponent 1). Clicks, 4 % of the rows, depend
 * on user, ad, category and price, so there is something to learn.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const struct column {
    const char *name;
    uint32_t n_values; /* as in the sample that the full demo model was trained on */
    double weight;     /* on the odds of a click */
} columns[] = {
    {"userid", 48325, 0.5},
    {"cms_segid", 96, 0.1},
    {"cms_group_id", 14, 0.1},
    {"final_gender_code", 3, 0.1},
    {"age_level", 8, 0.2},
    {"pvalue_level", 5, 0.1},
    {"shopping_level", 4, 0.1},
    {"occupation", 3, 0.1},
    {"new_user_class_level", 6, 0.1},
    {"adgroup_id", 97760, 0.6},
    {"cate_id", 3665, 0.5},
    {"campaign_id", 78179, 0.2},
    {"customer", 58807, 0.2},
    {"brand", 29655, 0.2},
    {"pid", 3, 0.1},
    {"btag", 2, 0},
};

enum { N_COLUMNS = sizeof columns / sizeof columns[0], LARGE = 1000 };

static uint64_t state;

/* SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators"). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double uniform(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(mix(state) >> 11) * 0x1p-53;
}

/* 0 .. n - 1, k with a chance of about 1 / (k + 1). */
static uint32_t zipf(uint32_t n)
{
    const uint32_t k = (uint32_t)exp(uniform() * log((double)n + 1)) - 1;
    return k < n ? k : n - 1;
}

/* A value's effect, from -1.7 to 1.7 with variance 1. */
static double effect(uint32_t column, uint32_t value)
{
    return ((double)(mix(((uint64_t)(column + 1) << 40) + value) >> 11) * 0x1p-53 - 0.5) * sqrt(12);
}

static char *put_number(char *at, uint32_t number)
{
    char digits[10];
    unsigned n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* A row's text ends before the return value. */
static char *put_row(char *at, uint32_t factor)
{
    char *const label = at;
    const uint32_t price = (uint32_t)(exp(uniform() * 6) * 100); /* 0.01 to 4.03, in 1/10,000 */
    double odds = -2.8 - 0.1 * log(price);
    *at++ = '0';
    for (uint32_t c = 0; c < N_COLUMNS; c++) {
        const bool is_large = columns[c].n_values > LARGE;
        const uint32_t value = zipf(columns[c].n_values * (is_large ? factor : 1));
        odds += columns[c].weight * effect(c, value);
        *at++ = ',';
        /* Ids of six digits and more, each of another value. */
        at = put_number(at, is_large ? (value * 2654435u & 0xffffff) + 100000 : value);
    }
    *at++ = ',';
    at = put_number(at, price / 10000);
    *at++ = '.';
    for (uint32_t digit = 1000; digit > 0; digit /= 10)
        *at++ = (char)('0' + price / digit % 10);
    *at++ = '\n';
    if (uniform() < 1 / (1 + exp(-odds)))
        *label = '1';
    return at;
}

int main(int argc, char **argv)
{
    enum { BUFFER = 1 << 20, MARGIN = 512 };
    static char buffer[BUFFER];
    if (argc < 3 || argc > 4) {
        fputs("usage: click_log ROWS SEED [FACTOR]\n", stderr);
        return 2;
    }
    const unsigned long long n_rows = strtoull(argv[1], NULL, 10);
    state = strtoull(argv[2], NULL, 10) * UINT64_C(0xd1342543de82ef95);
    const uint32_t factor = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
    fputs("clk", stdout);
    for (uint32_t c = 0; c < N_COLUMNS; c++)
        printf(",%s", columns[c].name);
    puts(",price");
    char *at = buffer;
    for (unsigned long long i = 0; i < n_rows; i++) {
        at = put_row(at, factor);
        if (at > buffer + BUFFER - MARGIN) {
            fwrite(buffer, 1, (size_t)(at - buffer), stdout);
            at = buffer;
        }
    }
    fwrite(buffer, 1, (size_t)(at - buffer), stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
