/* SPDX-License-Identifier: Apache-2.0 */
/* checks.h: the tests of the program build/tests/kernels, for test_report() to count. */
#ifndef DCNV2_TESTS_KERNELS_CHECKS_H
#define DCNV2_TESTS_KERNELS_CHECKS_H

/* After map_arrays(). */
void run_checks(void);
void run_sigmoid_checks(void);
void run_activation_checks(void);

#endif
