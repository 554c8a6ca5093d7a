/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <stdio.h>
#include <string.h>

bool cgroup_read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const bool found = fgets(line, size, file) != NULL;
    fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}
