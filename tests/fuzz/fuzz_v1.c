/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a v1 request. */
#include "protocol/v1.h"

#include "fuzz_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    fuzz_frame_init(&f);
    for (int has_lists = 0; has_lists < 2; has_lists++) {
        fuzz_make_lists(&f, has_lists);
        fixture_reset(&f);
        bool wants_logits;
        if (v1_parse(&f.frame, (struct text){(const char *)data, size}, "dcnv2", &wants_logits,
                     &f.error) == 0)
            fuzz_check_frame(&f.frame);
        else
            fuzz_check_error(&f.error);
    }
    fixture_free(&f);
    return 0;
}
