/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_allocation.c: a library for LD_PRELOAD that lets one allocation fail. The file that the
 * environment variable FAIL_ALLOCATION names holds two int64_t, for others to write and read at
 * any time: how many allocations succeed before the one that fails (negative: all do), and how
 * many have failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
    _Atomic int64_t n_until_failure;
    _Atomic int64_t n_failed;
};

static struct control none = {-1, 0};
static struct control *control = &none;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAIL_ALLOCATION");
    const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared =
        (void *)syscall(SYS_mmap, NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED)
        control = shared;
    close(file);
}

/* Counts down to -1, once. */
static int fails(void)
{
    if (atomic_load(&control->n_until_failure) < 0 ||
        atomic_fetch_sub(&control->n_until_failure, 1) != 0)
        return 0;
    atomic_fetch_add(&control->n_failed, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

void *mmap(void *wanted, size_t size, int protection, int flags, int file, off_t offset)
{
    if (fails())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, wanted, size, protection, flags, file, offset);
}
