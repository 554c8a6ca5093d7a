/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h: large blocks that live as long as a model, or while one is read.
 *
 * From the operating system in huge pages where it has them: most of the time that a model
 * takes to load is page faults. Given back at once when freed.
 */
#ifndef DCNV2_MEMORY_H
#define DCNV2_MEMORY_H

#include <stddef.h>

/* `size` bytes, zeroed, aligned to 64. NULL: out of memory. */
void *memory_alloc(size_t size);

/* With the size it was allocated with. Accepts NULL. */
void memory_free(void *memory, size_t size);

/* All the memory that the machine has or, if less, the container may use (cgroup v2 or v1). */
size_t memory_limit_bytes(void);

#endif
