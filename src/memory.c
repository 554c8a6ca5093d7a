/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup.h"

enum { ALIGNMENT = 64, LARGE_BYTES = 1 << 20, PAGE_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* The last huge page is a whole one where more than half of it is needed. */
static size_t mapped_bytes(size_t size)
{
    const bool is_last_large = size % HUGE_PAGE_BYTES > HUGE_PAGE_BYTES / 2;
    return round_up(size, is_last_large ? HUGE_PAGE_BYTES : PAGE_BYTES);
}

/* Address space of `size` bytes that starts where a huge page may start. */
static void *map_aligned(size_t size)
{
    const size_t wanted = size + HUGE_PAGE_BYTES;
    char *map = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    const size_t before = round_up((uintptr_t)map, HUGE_PAGE_BYTES) - (uintptr_t)map;
    if (before)
        munmap(map, before);
    munmap(map + before + size, HUGE_PAGE_BYTES - before);
    return map + before;
}

void *memory_alloc(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    if (size < LARGE_BYTES) {
        const size_t padded = round_up(size ? size : 1, ALIGNMENT);
        void *memory = aligned_alloc(ALIGNMENT, padded);
        if (memory)
            memset(memory, 0, padded);
        return memory;
    }
    const size_t padded = mapped_bytes(size);
    void *memory = map_aligned(padded);
    if (memory)
        madvise(memory, padded, MADV_HUGEPAGE); /* a wish; small pages do as well */
    return memory;
}

void memory_free(void *memory, size_t size)
{
    if (memory == NULL)
        return;
    if (size < LARGE_BYTES)
        free(memory);
    else
        munmap(memory, mapped_bytes(size));
}

/* Of the container, which sees its own group as the root. SIZE_MAX: none ("max" in v2). */
static size_t group_limit_bytes(void)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    char line[32];
    unsigned long long limit;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (cgroup_read_line(files[i], line, sizeof line))
            return sscanf(line, "%llu", &limit) == 1 && limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
    return SIZE_MAX;
}

size_t memory_limit_bytes(void)
{
    const long n_pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
    const size_t group = group_limit_bytes();
    if (n_pages <= 0 || page_bytes <= 0)
        return group;
    const size_t machine = (size_t)n_pages * (size_t)page_bytes;
    return group < machine ? group : machine;
}
