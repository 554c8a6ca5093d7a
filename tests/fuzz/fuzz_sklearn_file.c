/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a fitted encoder. */
#include "format/sklearn_file.h"

#include <math.h>

#include "format/build.h"
#include "fuzz.h"

enum { ARENA_BYTES = 16 << 20 };

static void check_encoder(const struct sklearn_encoder *encoder)
{
    fuzz_touch(encoder->column.at, encoder->column.length);
    for (uint32_t i = 0; i < encoder->n_classes; i++) {
        fuzz_touch(encoder->classes[i].at, encoder->classes[i].length);
        REQUIRE(i == 0 || !text_equal(encoder->classes[i - 1], encoder->classes[i]));
    }
}

static void check_file(const struct sklearn_file *file)
{
    for (uint32_t i = 0; i < file->n_dense; i++) {
        const struct scaling *scaling = &file->scaling[i];
        REQUIRE(isfinite(scaling->mean) && isfinite(scaling->scale) && scaling->scale != 0);
        REQUIRE(isfinite(scaling->factor) && isfinite(scaling->shift));
        REQUIRE(scaling->low <= scaling->high);
        if (file->dense_names)
            fuzz_touch(file->dense_names[i].at, file->dense_names[i].length);
    }
    for (uint32_t i = 0; i < file->n_encoders; i++)
        check_encoder(&file->encoders[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct sklearn_file file;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    if (sklearn_file_read(&file, &arena, data, size, &error) == 0)
        check_file(&file);
    else
        REQUIRE(is_one_line(&error));
    arena_free(&arena);
    return 0;
}
