/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels: checks every kernel of every set that runs here against the scalar one.
 *
 * usage: kernels                              the checks
 *        kernels --bench [--json] [--model DIR]  speed, and the share of the core's peak
 */
#include <stdbool.h>

#include "bench.h"
#include "checks.h"
#include "guarded.h"
#include "test.h"

int main(int argc, char **argv)
{
    const char *directory = NULL;
    bool bench = false, as_json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            bench = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            as_json = true;
        } else if (strcmp(argv[i], "--model") == 0 && i + 1 < argc) {
            directory = argv[++i];
        } else {
            fprintf(stderr, "usage: kernels [--bench [--json] [--model DIR]]\n");
            return 2;
        }
    }
    if (bench)
        return bench_run(directory, as_json);
    map_arrays();
    run_checks();
    run_sigmoid_checks();
    run_activation_checks();
    return test_report();
}
