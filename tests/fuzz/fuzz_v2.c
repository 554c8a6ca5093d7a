/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a v2 request, with what stands behind its JSON: the first two bytes say how many
 * bytes that are.
 */
#include "protocol/v2.h"

#include "fuzz_frame.h"

static void render(struct fixture *f, const struct v2_options *options)
{
    static const unsigned char random[16];
    static const float scores[FUZZ_MAX_ROWS] = {0.25f, 0.5f};
    const struct v2_reply reply =
        v2_render(&f->arena, "dcnv2", options, random, scores, f->frame.n_rows);
    if (reply.body.at == NULL)
        return;
    REQUIRE(reply.json_length <= reply.body.length);
    fuzz_touch(reply.body.at, reply.body.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    struct v2_options options = {{NULL, 0}, false};
    if (size < 2)
        return 0;
    const struct text body = {(const char *)data + 2, size - 2};
    const size_t n_binary = data[0] | (size_t)data[1] << 8;
    const size_t json_length = n_binary < body.length ? body.length - n_binary : 0;
    fuzz_frame_init(&f);
    if (v2_parse(&f.frame, body, json_length, "dcnv2", &options, &f.error) == 0) {
        fuzz_check_frame(&f.frame);
        render(&f, &options);
    } else {
        fuzz_check_error(&f.error);
    }
    fixture_free(&f);
    return 0;
}
