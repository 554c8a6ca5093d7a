/* SPDX-License-Identifier: Apache-2.0 */
/* v2_render.c: scores to a v2 reply, the second half of v2.h. */
#include "number.h"
#include "protocol/json_writer.h"
#include "protocol/v2.h"

enum { FIXED_TEXT_MAX = 320 }; /* keys, punctuation and counts of either reply */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "binary tensors are little-endian");

/* RFC 4122 section 4.4: version 4, variant 10. */
void v2_print_uuid(const unsigned char random[16], char out[V2_UUID_LENGTH])
{
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (int i = 0; i < 16; i++) {
        unsigned byte = random[i];
        if (i == 6)
            byte = (byte & 0x0F) | 0x40;
        else if (i == 8)
            byte = (byte & 0x3F) | 0x80;
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[byte >> 4];
        *at++ = hex[byte & 15];
    }
}

/* "name":"output-0","shape":[N,1],"datatype":"FP32","parameters": */
static char *write_output_head(char *at, uint32_t n_rows)
{
    at = write_raw(at, "\"outputs\":[{\"name\":\"" TENSOR_OUTPUT_NAME "\",\"shape\":[");
    at = write_unsigned(at, n_rows);
    return write_raw(at, ",1],\"datatype\":\"FP32\",\"parameters\":");
}

static char *write_json_reply(char *at, struct text name, struct text id, const float *scores,
                              uint32_t n_rows)
{
    at = write_raw(at, "{\"model_name\":");
    at = write_json_string(at, name);
    at = write_raw(at, ",\"model_version\":null,\"id\":");
    at = write_json_string(at, id);
    at = write_raw(at, ",\"parameters\":null,");
    at = write_output_head(at, n_rows);
    at = write_raw(at, "null,\"data\":[");
    for (uint32_t i = 0; i < n_rows; i++) {
        if (i > 0)
            *at++ = ',';
        at += number_print_float(scores[i], at);
    }
    return write_raw(at, "]}]}");
}

static char *write_binary_head(char *at, struct text name, struct text id, uint32_t n_rows)
{
    at = write_raw(at, "{\"id\":");
    at = write_json_string(at, id);
    at = write_raw(at, ",\"model_name\":");
    at = write_json_string(at, name);
    at = write_raw(at, ",\"model_version\":null,");
    at = write_output_head(at, n_rows);
    at = write_raw(at, "{\"binary_data_size\":");
    at = write_unsigned(at, n_rows * sizeof(float));
    return write_raw(at, "}}]}");
}

struct v2_reply v2_render(struct arena *arena, const char *model_name,
                          const struct v2_options *options, const unsigned char random[16],
                          const float *scores, uint32_t n_rows)
{
    char uuid[V2_UUID_LENGTH];
    const struct text name = text_of(model_name);
    struct text id = options->id;
    if (id.at == NULL) {
        v2_print_uuid(random, uuid);
        id = (struct text){uuid, V2_UUID_LENGTH};
    }
    const size_t row_max = options->binary_output ? sizeof(float) : NUMBER_FLOAT_MAX + 1;
    char *body = arena_alloc(arena, FIXED_TEXT_MAX + json_string_max(name.length) +
                                        json_string_max(id.length) + n_rows * row_max);
    if (body == NULL)
        return (struct v2_reply){{NULL, 0}, 0};
    if (!options->binary_output) {
        const size_t length = (size_t)(write_json_reply(body, name, id, scores, n_rows) - body);
        return (struct v2_reply){{body, length}, length};
    }
    const size_t length = (size_t)(write_binary_head(body, name, id, n_rows) - body);
    memcpy(body + length, scores, n_rows * sizeof(float));
    return (struct v2_reply){{body, length + n_rows * sizeof(float)}, length};
}
