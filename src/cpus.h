/* SPDX-License-Identifier: Apache-2.0 */
/* cpus.h: how many CPUs the container may use. */
#ifndef DCNV2_CPUS_H
#define DCNV2_CPUS_H

/* The affinity mask's count, cut to the quota of cgroup v2 or v1 (rounded up). At least 1. */
unsigned cpus_available(void);

#endif
