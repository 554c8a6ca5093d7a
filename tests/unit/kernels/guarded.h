/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guarded.h: the kernel sets by name, and arrays for them that lie right before or right
 * behind pages that cannot be touched: an access beyond an array ends the test.
 */
#ifndef DCNV2_TESTS_KERNELS_GUARDED_H
#define DCNV2_TESTS_KERNELS_GUARDED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kernels.h"

enum { MAX_WIDTH = 300, MAX_ROWS = 20, MAX_STRIDE = MAX_WIDTH + 4 * KERNEL_LANES };

static const char *const set_names[] = {"scalar", "avx2", "avx512", "avx512 emulated"};
enum { N_SETS = sizeof set_names / sizeof set_names[0] };

#if defined(__x86_64__)
extern const struct kernels kernels_avx512_emulated;
#endif

/* Set `s` of the names above; NULL: it does not run here. */
static inline const struct kernels *set_of(size_t s)
{
#if defined(__x86_64__)
    if (strcmp(set_names[s], "avx512 emulated") == 0) /* on the instructions of AVX2 */
        return kernels_select("avx2") ? &kernels_avx512_emulated : NULL;
#endif
    return kernels_select(set_names[s]);
}

enum place { AT_END, AT_START };

/* A part of a mapping whose neighbours are pages that cannot be touched. */
struct guarded {
    char *map;
    size_t bytes;
};

enum { N_ARRAYS = 8 };
static struct guarded arrays[N_ARRAYS];
static size_t page_bytes;
static float *untouchable; /* any access ends the test */

static inline void map_arrays(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t most = (size_t)(MAX_WIDTH + 1) * MAX_STRIDE * sizeof(float);
    const size_t bytes = (most + page_bytes - 1) / page_bytes * page_bytes;
    for (size_t i = 0; i < N_ARRAYS; i++) {
        char *map = mmap(NULL, bytes + 2 * page_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect(map, page_bytes, PROT_NONE) != 0 ||
            mprotect(map + page_bytes + bytes, page_bytes, PROT_NONE) != 0) {
            fprintf(stderr, "tests: no guarded memory\n");
            exit(1);
        }
        arrays[i] = (struct guarded){map + page_bytes, bytes};
    }
    untouchable = (float *)(void *)(arrays[0].map - page_bytes);
}

/* `n` floats of array `i`, right before or right behind a guard. */
static inline float *place_array(size_t i, size_t n, enum place place)
{
    const struct guarded *array = &arrays[i];
    char *at = place == AT_END ? array->map + array->bytes - n * sizeof(float) : array->map;
    return (float *)(void *)at;
}

/* The same bits, or both not a number. */
static inline bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

#endif
