/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_fixture.h: a frame of three columns, and ModelInferRequests that are written for it. */
#ifndef DCNV2_TESTS_GRPC_FIXTURE_H
#define DCNV2_TESTS_GRPC_FIXTURE_H

#include "protocol/grpc_infer.h"
#include "protocol/protobuf.h"

#include "fixture.h"
#include "test.h"

/* Columns: userid and brand are categories, price is dense. */
enum { USERID, BRAND, PRICE, N_COLUMNS, MAX_ROWS = 1000 };

/* Fields of InferTensorContents. */
enum { BOOLS = 1, INTS, INT64S, UINTS, UINT64S, FP32S, FP64S, TEXTS };

static struct fixture f;
static struct grpc_infer_options options;
static struct arena written; /* of the request that is being written */
static struct protobuf_writer w;

#define BYTES(literal)   ((struct text){literal, sizeof(literal) - 1})
#define VALUES_OF(array) ((struct text){(const char *)(array), sizeof(array)})

/* The values of a tensor: bytes of a field of its contents, as they stand there, or raw ones. */
struct input {
    const char *name, *datatype;
    uint64_t rows;
    uint32_t field; /* 0: no contents */
    struct text packed;
};

static inline void begin_request(void)
{
    arena_reset(&written, SIZE_MAX);
    protobuf_writer_init(&w, &written, 1000);
    protobuf_put_text(&w, 1, text_of("dcnv2"));
}

static inline size_t begin_input(const char *name, const char *datatype, uint64_t rows)
{
    const size_t input = protobuf_begin(&w, 5);
    protobuf_put_text(&w, 1, text_of(name));
    protobuf_put_text(&w, 2, text_of(datatype));
    const size_t shape = protobuf_begin(&w, 3);
    protobuf_put_packed(&w, rows);
    protobuf_end(&w, shape);
    return input;
}

static inline void put_input(struct input input)
{
    const size_t tensor = begin_input(input.name, input.datatype, input.rows);
    if (input.field) {
        const size_t contents = protobuf_begin(&w, 5);
        protobuf_put_bytes(&w, input.field, input.packed);
        protobuf_end(&w, contents);
    }
    protobuf_end(&w, tensor);
}

/* A column of as many texts "1". */
static inline void put_ones(const char *name, uint64_t rows)
{
    const size_t tensor = begin_input(name, "BYTES", rows), contents = protobuf_begin(&w, 5);
    for (uint64_t i = 0; i < rows; i++)
        protobuf_put_bytes(&w, TEXTS, BYTES("1"));
    protobuf_end(&w, contents);
    protobuf_end(&w, tensor);
}

/* Parameter of a request (4), an input (4) or an output (2): `choice` of InferParameter. */
static inline void put_parameter(uint32_t field, const char *key, uint32_t choice, uint64_t value)
{
    const size_t entry = protobuf_begin(&w, field);
    protobuf_put_text(&w, 1, text_of(key));
    const size_t parameter = protobuf_begin(&w, 2);
    if (choice) {
        protobuf_put_packed(&w, choice << 3 | PROTOBUF_VARINT);
        protobuf_put_packed(&w, value);
    }
    protobuf_end(&w, parameter);
    protobuf_end(&w, entry);
}

static inline void put_text_parameter(uint32_t field, const char *key, const char *value)
{
    const size_t entry = protobuf_begin(&w, field);
    protobuf_put_text(&w, 1, text_of(key));
    const size_t parameter = protobuf_begin(&w, 2);
    protobuf_put_bytes(&w, 3, text_of(value));
    protobuf_end(&w, parameter);
    protobuf_end(&w, entry);
}

/* In memory that ends with the message, so that a sanitizer sees a byte too many. */
static inline int parse_message(struct text message)
{
    static struct text copy;
    fixture_drop(copy);
    copy = fixture_copy(message.at, message.length);
    fixture_reset(&f);
    options = (struct grpc_infer_options){0};
    const int status = grpc_infer_parse(&f.frame, copy, "dcnv2", &options, &f.error);
    CHECK(f.frame.max_rows == MAX_ROWS);
    if (status != 0)
        CHECK_MSG(error_is_for_clients(&f.error), "\"%s\"", f.error.message);
    for (int c = 0; status == 0 && c < N_COLUMNS; c++)
        CHECK(f.frame.columns[c].n == f.frame.n_rows && f.frame.n_rows > 0);
    return status;
}

static inline int parse_written(void)
{
    return parse_message(protobuf_written(&w));
}

static inline bool accepts_written(uint32_t n_rows)
{
    const bool accepted = parse_written() == 0;
    CHECK_MSG(accepted, "%s", f.error.message);
    if (accepted)
        CHECK_MSG(f.frame.n_rows == n_rows, "%u rows", f.frame.n_rows);
    return accepted && f.frame.n_rows == n_rows;
}

static inline void refuses_written(int http_status, const char *word)
{
    CHECK_MSG(parse_written() == -1, "accepted, expected: %s", word);
    CHECK_MSG(f.error.http_status == http_status, "%d: %s", f.error.http_status, f.error.message);
    CHECK_MSG(strstr(f.error.message, word), "\"%s\" has no \"%s\"", f.error.message, word);
}

static inline const struct cell *cell(uint32_t column, uint32_t row)
{
    return &f.frame.columns[column].cells[row];
}

#endif
