/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h: the table of paths, and how a request's path finds its row. */
#ifndef DCNV2_SERVE_ROUTES_H
#define DCNV2_SERVE_ROUTES_H

#include "arena.h"
#include "text.h"

struct codec;
struct request;

enum route {
    ROUTE_NONE, /* 404, 405 */
    ROUTE_ROOT,
    ROUTE_METRICS,
    ROUTE_V1_MODELS,
    ROUTE_V1_MODEL,
    ROUTE_V1_PREDICT,
    ROUTE_V1_EXPLAIN,
    ROUTE_V2_SERVER,
    ROUTE_V2_LIVE,
    ROUTE_V2_READY,
    ROUTE_V2_MODELS,
    ROUTE_V2_MODEL,
    ROUTE_V2_MODEL_READY,
    ROUTE_V2_INFER,
    ROUTE_V2_VERSION,
    ROUTE_V2_LOAD,
    ROUTE_V2_UNLOAD,
    N_ROUTES
};

/* Names for the metrics' route label, [N_ROUTES]. */
extern const char *const route_names[N_ROUTES];

/* Whether it is asked by who watches the server: health, readiness, metrics. */
bool route_is_probe(enum route route);

/* A path for one method. */
struct route_row {
    enum route route; /* its name in the metrics */
    const char *method;
    const char *path; /* "{m}" stands for a model's name, "{*}" for anything; a segment may end in a
                         literal ":verb" */
    size_t n_segments;
    void (*handle)(struct request *); /* sets the reply; NULL: it is a prediction, .. */
    const struct codec *codec;        /* .. whose bodies are written so */
};

struct route_match {
    enum route route;
    const struct route_row *row; /* NULL: ROUTE_NONE */
    struct text model;           /* decoded, where the path has a model */
    const char *allow; /* of a path that exists, but not for this method, or for OPTIONS */
    bool is_options;   /* the route's methods are asked for, or with ROUTE_NONE the server's */
};

/*
 * `method` and `target` as they came: "POST", "/v1/models/dcnv2%3Apredict". A query or an absolute
 * form's scheme and host are passed over, and one slash at the end of the path. Decoded text is in
 * `arena`, other text in `target`. No memory: ROUTE_NONE.
 */
struct route_match route_find(struct arena *arena, struct text method, struct text target);

#endif
