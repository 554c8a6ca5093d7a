/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels: checks every kernel of every set that runs here against the scalar one.
 *
 * usage: kernels                              the checks
 *        kernels --bench [--json] [--model DIR] [--most-rows N]
 *                                             speed, and the share of the core's peak
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench.h"
#include "checks.h"
#include "guarded.h"
#include "test.h"

int main(int argc, char **argv)
{
    const char *directory = NULL;
    bool bench = false, as_json = false;
    size_t most_rows = SIZE_MAX;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            bench = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            as_json = true;
        } else if (strcmp(argv[i], "--model") == 0 && i + 1 < argc) {
            directory = argv[++i];
        } else if (strcmp(argv[i], "--most-rows") == 0 && i + 1 < argc) {
            most_rows = strtoul(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: kernels [--bench [--json] [--model DIR] [--most-rows N]]\n");
            return 2;
        }
    }
    if (bench)
        return bench_run(directory, as_json, most_rows);
    map_arrays();
    run_checks();
    run_sigmoid_checks();
    run_activation_checks();
    return test_report();
}
