/* SPDX-License-Identifier: Apache-2.0 */
#include "cpus.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "cgroup.h"

static unsigned rounded_up(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

/* cgroup v2: "QUOTA PERIOD" or "max PERIOD". A container sees its own group as the root. 0: no
 * limit. */
static unsigned quota_v2(void)
{
    char line[128];
    long long quota, period;
    if (!cgroup_read_line("/sys/fs/cgroup/cpu.max", line, sizeof line) ||
        sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return rounded_up(quota, period);
}

/* cgroup v1: -1 is no limit. */
static unsigned quota_v1(void)
{
    static const char *const directories[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        char path[96], quota[32], period[32];
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directories[i]);
        if (!cgroup_read_line(path, quota, sizeof quota))
            continue;
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directories[i]);
        if (cgroup_read_line(path, period, sizeof period))
            return rounded_up(atoll(quota), atoll(period));
    }
    return 0;
}

unsigned cpus_available(void)
{
    cpu_set_t set;
    unsigned n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        n = (unsigned)CPU_COUNT(&set);
    unsigned quota = quota_v2();
    if (quota == 0)
        quota = quota_v1();
    return quota > 0 && quota < n ? quota : n;
}
