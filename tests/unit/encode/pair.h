/* SPDX-License-Identifier: Apache-2.0 */
/* pair.h: the encoder of a published pair: a class per row, and scaled numbers. */
#ifndef DCNV2_TESTS_ENCODE_PAIR_H
#define DCNV2_TESTS_ENCODE_PAIR_H

#include "encode/encoder.h"
#include "test.h"

enum { PAIR_STEPS = 3 };

/* Of the columns of `schema`. All is in `arena`; the vocabularies are borrowed. */
static inline struct encoder pair_encoder(struct arena *arena, const struct schema *schema,
                                          const struct vocabulary *vocabularies, const double *mean,
                                          const double *scale)
{
    const uint32_t n_sparse = schema->n_sparse, n_dense = schema->n_dense;
    struct network_spec *spec = arena_calloc(arena, 1, sizeof *spec);
    struct encoder encoder;
    struct format_error error = {0};
    *spec = (struct network_spec){.n_columns = n_sparse + n_dense,
                                  .n_categories = n_sparse,
                                  .n_values = n_dense,
                                  .n_lookups = n_sparse,
                                  .n_vocabularies = n_sparse};
    spec->columns = arena_calloc(arena, n_sparse + n_dense + 1, sizeof *spec->columns);
    spec->values = arena_calloc(arena, n_dense + 1, sizeof *spec->values);
    spec->lookups = arena_calloc(arena, n_sparse + 1, sizeof *spec->lookups);
    for (uint32_t c = 0; c < n_sparse + n_dense; c++)
        spec->columns[c] =
            (struct spec_column){.name = schema->names[c], .is_number = c >= n_sparse};
    for (uint32_t c = 0; c < n_sparse; c++)
        spec->lookups[c] = (struct spec_lookup){.column = c,
                                                .vocabulary = c,
                                                .unseen_row = vocabularies[c].n,
                                                .missing_row = vocabularies[c].n};
    for (uint32_t i = 0; i < n_dense; i++) {
        struct spec_step *steps = arena_calloc(arena, PAIR_STEPS, sizeof *steps);
        steps[0] = (struct spec_step){.kind = STEP_FILL};
        steps[1] = (struct spec_step){.kind = STEP_SUBTRACT, .a = mean[i]};
        steps[2] = (struct spec_step){.kind = STEP_DIVIDE, .a = scale[i]};
        spec->values[i] = (struct spec_value){n_sparse + i, steps, PAIR_STEPS};
    }
    CHECK_MSG(encoder_init(&encoder, arena, spec, vocabularies, CELLS_AS_PANDAS, &error) == 0, "%s",
              error.message);
    return encoder;
}

#endif
