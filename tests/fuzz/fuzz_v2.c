/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a v2 request, with what stands behind its JSON: the first two bytes say how many
 * bytes that are. What is remembered of earlier requests must not show.
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

static uint64_t sum(uint64_t before, const void *at, size_t n)
{
    return hash_pair(&hash_seed_fixed, before, hash_bytes(&hash_seed_fixed, at, n));
}

/* Of the cells and of what is answered with. */
static uint64_t sum_frame(const struct frame *frame, const struct v2_options *options)
{
    uint64_t seen = sum(frame->n_rows, &options->binary_output, sizeof options->binary_output);
    seen = sum(seen, &options->wants_logits, sizeof options->wants_logits);
    if (options->id.at)
        seen = sum(seen, options->id.at, options->id.length);
    for (uint32_t c = 0; c < FUZZ_COLUMNS; c++) {
        for (uint32_t i = 0; i < frame->n_rows; i++) {
            const struct cell *cell = &frame->columns[c].cells[i];
            seen = hash_pair(&hash_seed_fixed, seen, cell->kind);
            if (cell->kind == CELL_LIST)
                seen = hash_pair(&hash_seed_fixed, seen, cell->length);
            else if (cell->kind == CELL_TEXT || cell->kind == CELL_INTEGER)
                seen = sum(seen, cell->text, cell->length);
            else if (cell->kind == CELL_FLOAT)
                seen = sum(seen, &cell->number, sizeof cell->number);
            else if (cell->kind == CELL_BOOL)
                seen = hash_pair(&hash_seed_fixed, seen, cell->boolean);
        }
    }
    return seen;
}

/* All that is learned of the body. */
static uint64_t seen_with(struct fixture *f, struct text body, size_t json_length,
                          struct v2_memory *memory)
{
    struct v2_options options = {0};
    fixture_reset(f);
    if (v2_parse(&f->frame, body, json_length, "dcnv2", memory, &options, &f->error) != 0) {
        fuzz_check_error(&f->error);
        return sum((uint64_t)f->error.http_status, f->error.message, strlen(f->error.message));
    }
    fuzz_check_frame(&f->frame);
    const uint64_t seen = sum_frame(&f->frame, &options);
    render(f, &options);
    return seen;
}

/* A request whose tensors begin as many of the corpus do. */
static const char earlier[] =
    "{\"inputs\": [{\"name\": \"userid\", \"shape\": [2], \"datatype\": \"BYTES\", \"data\": "
    "[\"a\", \"b\"]}, {\"name\": \"brand\", \"shape\": [2], \"datatype\": \"BYTES\", \"data\": "
    "[\"a\", \"b\"]}, {\"name\": \"price\", \"shape\": [2], \"datatype\": \"FP64\", \"data\": "
    "[0.5, 1]}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct v2_memory memory;
    struct fixture f;
    if (size < 2)
        return 0;
    const struct text body = {(const char *)data + 2, size - 2};
    const size_t n_binary = data[0] | (size_t)data[1] << 8;
    const size_t json_length = n_binary < body.length ? body.length - n_binary : 0;
    fuzz_frame_init(&f);
    for (int has_lists = 0; has_lists < 2; has_lists++) {
        fuzz_make_lists(&f, has_lists);
        const uint64_t seen = seen_with(&f, body, json_length, NULL);
        memory = (struct v2_memory){0};
        seen_with(&f, text_of(earlier), strlen(earlier), &memory);
        for (int i = 0; i < 2; i++) /* with what the earlier one left, and with its own */
            REQUIRE(seen_with(&f, body, json_length, &memory) == seen);
    }
    fixture_free(&f);
    return 0;
}
