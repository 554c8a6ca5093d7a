/* SPDX-License-Identifier: Apache-2.0 */
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const set_names[N_SETS] = {"scalar", "avx2", "avx512", "avx512 emulated"};

#if defined(__x86_64__)
extern const struct kernels kernels_avx512_emulated;
#endif

/* A part of a mapping whose neighbours are pages that cannot be touched. */
struct guarded {
    char *map;
    size_t bytes;
};

static struct guarded arrays[N_ARRAYS];
float *untouchable;

const struct kernels *set_of(size_t s)
{
#if defined(__x86_64__)
    if (strcmp(set_names[s], "avx512 emulated") == 0) /* on the instructions of AVX2 */
        return kernels_select("avx2") ? &kernels_avx512_emulated : NULL;
#endif
    return kernels_select(set_names[s]);
}

void map_arrays(void)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
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

float *place_array(size_t i, size_t n, enum place place)
{
    const struct guarded *array = &arrays[i];
    char *at = place == AT_END ? array->map + array->bytes - n * sizeof(float) : array->map;
    return (float *)(void *)at;
}

double *place_doubles(size_t i, size_t n, enum place place)
{
    return (double *)(void *)place_array(i, 2 * n, place);
}

bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}
