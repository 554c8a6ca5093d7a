/* SPDX-License-Identifier: Apache-2.0 */
/* predict.h: predictions of embedding rows that stand in one array: [n_sparse, n_rows]. */
#ifndef DCNV2_TESTS_MODEL_PREDICT_H
#define DCNV2_TESTS_MODEL_PREDICT_H

#include "dcnv2.h"

static inline int predict_logits_of(const dcnv2_model *model, dcnv2_workspace *workspace,
                                    size_t n_rows, const float *dense, const uint32_t *indices,
                                    float *scores, float *logits, struct dcnv2_error *error)
{
    struct dcnv2_rows lookups[64] = {{0}};
    for (size_t i = 0; indices && i < dcnv2_model_n_sparse(model); i++)
        lookups[i].rows = indices + i * n_rows;
    return dcnv2_predict_logits(model, workspace, n_rows, dense, lookups, scores, logits, error);
}

static inline int predict_one_each(const dcnv2_model *model, dcnv2_workspace *workspace,
                                   size_t n_rows, const float *dense, const uint32_t *indices,
                                   float *scores, struct dcnv2_error *error)
{
    struct dcnv2_rows lookups[64] = {{0}};
    for (size_t i = 0; indices && i < dcnv2_model_n_sparse(model); i++)
        lookups[i].rows = indices + i * n_rows;
    return dcnv2_predict(model, workspace, n_rows, dense, lookups, scores, error);
}

#endif
