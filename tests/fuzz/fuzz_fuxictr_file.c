/* SPDX-License-Identifier: Apache-2.0 */
/* FuxiCTR's feature_processor.pkl. */
#include "format/fuxictr_file.h"

#include <math.h>

#include "format/build.h"
#include "fuzz.h"

enum { ARENA_BYTES = 16 << 20 };

static void check_column(const struct fuxictr_file *file, const struct fuxictr_column *column)
{
    REQUIRE(fuxictr_file_find(file, column->name) == column);
    fuzz_touch(column->fill_text.at, column->fill_text.length);
    fuzz_touch(column->preprocess.at, column->preprocess.length);
    REQUIRE(isfinite(column->fill_number));
    if (column->is_scaled)
        REQUIRE(isfinite(column->scaling.mean) && column->scaling.scale != 0);
    if (!column->has_tokenizer)
        return;
    fuzz_touch(column->tokenizer.separator.at, column->tokenizer.separator.length);
    fuzz_touch(column->tokenizer.na_value.at, column->tokenizer.na_value.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct fuxictr_file file;
    struct format_error error;
    arena_init(&arena, ARENA_BYTES);
    if (fuxictr_file_read(&file, &arena, data, size, &error) != 0)
        REQUIRE(is_one_line(&error));
    else
        for (uint32_t i = 0; i < file.n_columns; i++)
            check_column(&file, &file.columns[i]);
    arena_free(&arena);
    return 0;
}
