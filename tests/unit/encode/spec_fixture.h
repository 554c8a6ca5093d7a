/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_fixture.h: an encoder of a spec that a test writes, and the rows that it gives for a body of
 * v1 or v2, as text: "3 7,0 -": the rows of each row of the batch; "-": none.
 */
#ifndef DCNV2_TESTS_ENCODE_SPEC_FIXTURE_H
#define DCNV2_TESTS_ENCODE_SPEC_FIXTURE_H

#include "encode/encoder.h"
#include "protocol/v1.h"
#include "protocol/v2.h"
#include "test.h"

enum { SPEC_MAX = 4, SPEC_MAX_CLASSES = 16, SPEC_ROWS = 8, SPEC_TEXT = 512 };

struct spec_fixture {
    struct spec_column columns[SPEC_MAX];
    struct spec_value values[SPEC_MAX];
    struct spec_lookup lookups[SPEC_MAX];
    struct vocabulary vocabularies[SPEC_MAX];
    struct network_spec spec;
    enum cell_rules rules;
    struct encode_options options;
    struct arena arena, request;
    struct encoder encoder;
    struct encoded encoded;
    struct category_counts counts[SPEC_MAX];
    struct request_error error;
    struct frame frame;
    char text[SPEC_TEXT];
};

static inline void spec_start(struct spec_fixture *f)
{
    arena_free(&f->arena);
    arena_free(&f->request);
    *f = (struct spec_fixture){.rules = CELLS_AS_WRITTEN};
    arena_init(&f->arena, SIZE_MAX);
    arena_init(&f->request, SIZE_MAX);
    f->spec.columns = f->columns;
    f->spec.values = f->values;
    f->spec.lookups = f->lookups;
}

static inline void spec_end(struct spec_fixture *f)
{
    arena_free(&f->arena);
    arena_free(&f->request);
}

/* Categories come first. */
static inline struct spec_column *spec_column(struct spec_fixture *f, const char *name,
                                              bool is_number)
{
    struct spec_column *column = &f->columns[f->spec.n_columns++];
    *column = (struct spec_column){.name = text_of(name), .is_number = is_number};
    f->spec.n_categories += !is_number;
    return column;
}

/* A vocabulary of classes separated by '|'. */
static inline uint32_t spec_classes(struct spec_fixture *f, const char *list)
{
    struct text classes[SPEC_MAX_CLASSES];
    uint32_t n = 0;
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, "|");
        classes[n++] = (struct text){at, length};
        at += length;
        if (*at == '\0')
            break;
    }
    CHECK(vocabulary_init(&f->vocabularies[f->spec.n_vocabularies], &hash_seed_fixed, &f->arena,
                          classes, n) == 0);
    return f->spec.n_vocabularies++;
}

static inline struct spec_lookup *spec_lookup(struct spec_fixture *f, struct spec_lookup lookup)
{
    f->lookups[f->spec.n_lookups] = lookup;
    return &f->lookups[f->spec.n_lookups++];
}

/* NULL, or why there is no encoder. */
static inline const char *spec_make(struct spec_fixture *f)
{
    static struct format_error error;
    return encoder_init(&f->encoder, &f->arena, &f->spec, f->vocabularies, f->rules, &error) == 0
               ? NULL
               : error.message;
}

static inline void spec_print(struct spec_fixture *f, const struct encoded *encoded, uint32_t i)
{
    const struct dcnv2_rows *rows = &encoded->lookups[i];
    size_t at = 0;
    f->text[0] = '\0';
    for (uint32_t r = 0; r < encoded->n_rows; r++) {
        const uint32_t first = rows->offsets ? rows->offsets[r] : r;
        const uint32_t end = rows->offsets ? rows->offsets[r + 1] : r + 1;
        at += (size_t)snprintf(f->text + at, SPEC_TEXT - at, "%s%s", r ? " " : "",
                               first == end ? "-" : "");
        for (uint32_t k = first; k < end; k++)
            at += (size_t)snprintf(f->text + at, SPEC_TEXT - at, "%s%u", k > first ? "," : "",
                                   rows->rows[k]);
    }
}

/* The body to *f->encoded; -1: f->error. */
static inline int spec_encode(struct spec_fixture *f, const char *body)
{
    struct v2_options v2;
    bool wants_logits;
    const bool is_v2 = strstr(body, "\"datatype\"") != NULL;
    memset(f->counts, 0, sizeof f->counts);
    CHECK(frame_init(&f->frame, &f->encoder.schema, &f->request, SPEC_ROWS) == 0);
    int status = is_v2 ? v2_parse(&f->frame, text_of(body), strlen(body), "m", NULL, &v2, &f->error)
                       : v1_parse(&f->frame, text_of(body), "m", &wants_logits, &f->error);
    if (status == 0)
        status =
            encoder_encode(&f->encoder, &f->frame, &f->options, &f->encoded, f->counts, &f->error);
    return status;
}

/* Rows of look-up `i`, or the message of the refusal. */
static inline const char *spec_rows(struct spec_fixture *f, uint32_t i, const char *body)
{
    if (spec_encode(f, body) != 0)
        return f->error.message;
    spec_print(f, &f->encoded, i);
    return f->text;
}

#define GIVES(f, i, body, expected)                                                                \
    do {                                                                                           \
        const char *found_ = spec_rows(f, i, body);                                                \
        CHECK_MSG(strcmp(found_, expected) == 0, "%s: %s", body, found_);                          \
    } while (0)

#define REFUSES(f, body, part)                                                                     \
    do {                                                                                           \
        const int status_ = spec_encode(f, body);                                                  \
        CHECK_MSG(status_ == -1, "%s is taken", body);                                             \
        CHECK_MSG(status_ == 0 ||                                                                  \
                      ((f)->error.http_status == 400 && strstr((f)->error.message, part)),         \
                  "%s: %s", body, (f)->error.message);                                             \
    } while (0)

#endif
