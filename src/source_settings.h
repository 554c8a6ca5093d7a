/* SPDX-License-Identifier: Apache-2.0 */
/* source_settings.h: the settings that say where a model comes from, the same in every program. */
#ifndef DCNV2_SOURCE_SETTINGS_H
#define DCNV2_SOURCE_SETTINGS_H

#include "dcnv2.h"
#include "settings.h"

/* clang-format off */

/* For a table of settings of `type`, whose `member` is a struct dcnv2_source. */
#define SOURCE_SETTINGS(type, member, model_help)                                                  \
    {"model-path", "MODEL_PATH", SETTING_AT(SETTING_TEXT, type, member.model_path),                \
     model_help " (/mnt/models/model_weights.pth)"},                                               \
    {"encoder-path", "ENCODER_PATH", SETTING_AT(SETTING_TEXT, type, member.encoder_path),          \
     "scikit-learn's fitted encoders (/mnt/models/preprocess_metadata.pkl)"},                      \
    {"dense-cols", "DENSE_COLS", SETTING_AT(SETTING_LIST, type, member.dense_columns),             \
     "dense columns, by commas (those of the encoder file)"},                                      \
    {"sparse-cols", "SPARSE_COLS", SETTING_AT(SETTING_LIST, type, member.sparse_columns),          \
     "category columns, by commas, in the order of the embeddings (the same)"}

/* Where KServe's storage initializer puts the files. */
#define SOURCE_DEFAULTS                                                                            \
    {.model_path = "/mnt/models/model_weights.pth",                                                \
     .encoder_path = "/mnt/models/preprocess_metadata.pkl"}

/* clang-format on */

#endif
