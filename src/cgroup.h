/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.h: the files in which the kernel says what a container may use. */
#ifndef DCNV2_CGROUP_H
#define DCNV2_CGROUP_H

#include <stdbool.h>

/* The first line of a small file, without its end. false: there is no such file, or it is empty. */
bool cgroup_read_line(const char *path, char *line, int size);

#endif
