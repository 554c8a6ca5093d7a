/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h: what the fuzz targets share. A target is a file fuzz_NAME.c with
 * LLVMFuzzerTestOneInput(): any bytes may be given to it, and it ends the process where a promise
 * of the reader is broken; the sanitizers end it where memory is.
 *
 *     make fuzz                   clang's libFuzzer, from the seeds in corpus/NAME
 *     tests/run.py --only address the same targets, built by gcc with replay.c, read their corpus
 *
 * What a fuzzer finds goes to corpus/NAME as a file, and the fault is fixed.
 */
#ifndef DCNV2_TESTS_FUZZ_H
#define DCNV2_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: REQUIRE(%s)\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Reads every byte, so that a sanitizer sees those that are not there. */
static inline void fuzz_touch(const void *at, size_t n)
{
    static volatile unsigned char sum;
    for (size_t i = 0; i < n; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)at)[i]);
}

#endif
