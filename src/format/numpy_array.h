/* SPDX-License-Identifier: Apache-2.0 */
/* numpy_array.h: one-dimensional numpy arrays inside a pickle. */
#ifndef DCNV2_FORMAT_NUMPY_ARRAY_H
#define DCNV2_FORMAT_NUMPY_ARRAY_H

#include "format/pickle.h"

/* `what` names the array in messages. Both return -1 with *error set when it is something else. */

/* float64 or float32, either byte order; *ret_values in the arena. */
int numpy_array_doubles(const struct pickle_value *value, const char *what, struct arena *arena,
                        double **ret_values, uint32_t *ret_n, struct format_error *error);

/* str objects, or fixed-width Unicode ("<U12"); *ret_texts in the arena, UTF-8. */
int numpy_array_texts(const struct pickle_value *value, const char *what, struct arena *arena,
                      struct text **ret_texts, uint32_t *ret_n, struct format_error *error);

#endif
