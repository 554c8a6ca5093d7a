/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/random.h"

#include <math.h>

static uint64_t rotate_left(uint64_t value, unsigned n)
{
    return value << n | value >> (64 - n);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void random_start(struct random *random, uint64_t seed, uint64_t stream)
{
    /* Seed and stream each mixed, so that (1, 2) is not (2, 1) and small numbers do not meet. */
    uint64_t state = splitmix(&seed);
    state ^= rotate_left(splitmix(&stream), 32);
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix(&state);
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    unsigned __int128 product = (unsigned __int128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        const uint64_t least = -bound % bound; /* 2^64 mod bound: below it a result is too likely */
        while ((uint64_t)product < least)
            product = (unsigned __int128)random_next(random) * bound;
    }
    return (uint64_t)(product >> 64);
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* ln(x) of a normal positive number, by 2 artanh((m - 1) / (m + 1)) of its mantissa m between
 * sqrt(1/2) and sqrt(2): within some 1e-15. */
static double natural_log(double x)
{
    enum { LAST_POWER = 23 }; /* 0.172^25 / 25 is below 1e-20 */
    static const double ln2 = 0x1.62e42fefa39efp-1, sqrt_half = 0x1.6a09e667f3bcdp-1;
    int exponent;
    double m = frexp(x, &exponent);
    if (m < sqrt_half) {
        m *= 2;
        exponent--;
    }
    const double z = (m - 1) / (m + 1), square = z * z;
    double sum = 0;
    for (int power = LAST_POWER; power > 0; power -= 2)
        sum = sum * square + 1.0 / power;
    return 2 * z * sum + exponent * ln2;
}

/* G. Marsaglia's polar method: a point in the unit circle, without sine and cosine. */
void random_normal_pair(struct random *random, double ret_values[2])
{
    double x, y, square;
    do {
        x = 2 * random_unit(random) - 1;
        y = 2 * random_unit(random) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double factor = sqrt(-2 * natural_log(square) / square);
    ret_values[0] = x * factor;
    ret_values[1] = y * factor;
}
