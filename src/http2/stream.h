/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h: a request and its reply on a stream of an HTTP/2 connection.
 *
 * A stream belongs to its connection and is freed when nghttp2 closes it, or with the connection;
 * if its request waits to be scored at that moment, the request is left to the service.
 */
#ifndef DCNV2_HTTP2_STREAM_H
#define DCNV2_HTTP2_STREAM_H

#include <nghttp2/nghttp2.h>

#include "net/connection.h"
#include "serve/request.h"

/* The session of a connection. */
struct http2 {
    struct connection *connection;
    nghttp2_session *ng;
    struct stream *streams; /* the youngest first */
    unsigned n_streams;
    unsigned n_waiting;        /* of these, to be scored at the end of the turn */
    struct body rest;          /* frames that the socket has not taken .. */
    size_t n_rest_sent;        /* .. and how many bytes of them it has */
    bool goes_away;            /* the client was told that the server drains .. */
    uint64_t told_ms;          /* .. since then .. */
    bool is_last_told;         /* .. and which stream was the last */
    uint64_t blocked_ms;       /* since when `rest` is there, or it is over; 0: neither */
    bool is_cut;               /* it ends with the next step */
    bool is_calmed;            /* it was told to go away for its resets */
    bool has_failed;           /* it was told to go away for an error */
    bool has_end;              /* the client has sent its end */
    bool is_over;              /* all is written, and the server's end .. */
    uint64_t n_lingered;       /* .. and so many bytes came behind that */
    uint64_t n_ended, n_reset; /* streams so far */
};

struct stream {
    struct stream *next, *previous;
    struct http2 *owner;
    int32_t id;
    struct request *request;
    struct task task;    /* of a heavy request */
    size_t head_bytes;   /* of its fields, as RFC 9113 section 6.5.2 counts them */
    bool has_head;       /* its head is whole .. */
    bool has_body;       /* .. and its body */
    bool wants_continue; /* the client waits for a 100 (Continue) */
    bool is_waiting;     /* to be scored at the end of the turn */
    bool is_reset;       /* an RST_STREAM is on its way */
    bool is_replied;     /* the reply is given to nghttp2 .. */
    struct text out[2];  /* .. and these bytes of its body are not yet taken */
    uint64_t since_ms;   /* when it began, or when its reply did */
    /* grpc_stream.h, of a call with several answers: */
    struct body queue;   /* messages that are not yet taken, `out` points into it */
    bool is_open;        /* there may be more */
    bool was_ready;      /* what was told last */
    unsigned n_messages; /* that have come */
};

/* NULL: no memory. */
struct stream *stream_open(struct http2 *h, int32_t id);

/* nghttp2 has closed it, or the connection ends. */
void stream_close(struct stream *stream);

/* A field of its head. */
void stream_field(struct stream *stream, struct text name, struct text value);

/* Its head is whole. */
void stream_begin(struct stream *stream);

/* Some bytes of its body. */
void stream_data(struct stream *stream, const char *at, size_t n);

/* Its body is whole: answers it, now or when its turn comes. */
void stream_end(struct stream *stream);

/* Its turn has come (heavy.h). */
void stream_answer(struct stream *stream);

/* An error takes the place of its answer. */
void stream_refuse(struct stream *stream, const struct request_error *error);

/* ---- for grpc_stream.c ---- */

static inline struct body_budget *stream_budget(const struct stream *stream)
{
    return stream->owner->connection->worker->server->setup.budget;
}

/* A header field, as nghttp2 takes and copies it. */
static inline nghttp2_nv stream_field_pair(struct text name, struct text value)
{
    return (nghttp2_nv){.name = (uint8_t *)name.at,
                        .namelen = name.length,
                        .value = (uint8_t *)value.at,
                        .valuelen = value.length,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

/* Its reply is about to be given to nghttp2. */
void stream_replied(struct stream *stream);

/* Takes up to `length` bytes of `out`; their number. */
size_t stream_take_out(struct stream *stream, uint8_t *buffer, size_t length);

#endif
