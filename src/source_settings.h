/* SPDX-License-Identifier: Apache-2.0 */
/* source_settings.h: the settings that say where a model comes from, the same in every program. */
#ifndef DCNV2_SOURCE_SETTINGS_H
#define DCNV2_SOURCE_SETTINGS_H

#include <string.h>
#include <unistd.h>

#include "dcnv2.h"
#include "settings.h"

/* clang-format off */

/* For a table of settings of `type`, whose `member` is a struct dcnv2_source. */
#define SOURCE_SETTINGS(type, member, model_help)                                                  \
    {"model-path", "MODEL_PATH", SETTING_AT(SETTING_TEXT, type, member.model_path),                \
     model_help " (" SOURCE_MODEL_PATH ")"},                                                       \
    {"encoder-path", "ENCODER_PATH", SETTING_AT(SETTING_TEXT, type, member.encoder_path),          \
     "scikit-learn's fitted encoders (" SOURCE_ENCODER_PATH ")"},                                  \
    {"model-json", "MODEL_JSON", SETTING_AT(SETTING_TEXT, type, member.model_json),                \
     "the description of the network (model.json beside the weights, if it is there)"},            \
    {"strict", NULL, SETTING_AT(SETTING_FLAG, type, member.strict),                                \
     "refuse a model of which something is assumed that changes scores (false)"},                  \
    {"dense-cols", "DENSE_COLS", SETTING_AT(SETTING_LIST, type, member.dense_columns),             \
     "dense columns, by commas; \"a,b\" in quotes is one (those of the encoder file)"},            \
    {"sparse-cols", "SPARSE_COLS", SETTING_AT(SETTING_LIST, type, member.sparse_columns),          \
     "category columns, by commas, in the order of the embeddings (the same)"},                    \
    {"unknown-class", "UNKNOWN_CLASS", SETTING_AT(SETTING_LIST, type, member.unknown_classes),     \
     "COLUMN=CLASS, or =CLASS for all columns: whose row unseen values take (one of their own)"},  \
    {"state-dict-key", "STATE_DICT_KEY", SETTING_AT(SETTING_TEXT, type, member.state_dict_key),    \
     "which state dict of a checkpoint, if it holds several"},                                     \
    {"golden", "GOLDEN", SETTING_AT(SETTING_TEXT, type, member.golden),                            \
     "rows with the scores that the model has to give, or none (golden.json beside the weights)"}, \
    {"golden-tolerance", "GOLDEN_TOLERANCE",                                                       \
     SETTING_AT(SETTING_REAL, type, member.golden_tolerance),                                      \
     "largest distance from them (as the set says, or 1e-5)"}

/* Where KServe's storage initializer puts the files. */
#define SOURCE_MODEL_PATH   "/mnt/models/model_weights.pth"
#define SOURCE_ENCODER_PATH "/mnt/models/preprocess_metadata.pkl"
#define SOURCE_DEFAULTS {.model_path = SOURCE_MODEL_PATH, .encoder_path = SOURCE_ENCODER_PATH}

/* clang-format on */

/* What to say behind "FILE: REASON": how to name a file that is missing where it is looked for if
 * nobody names it. */
static inline const char *source_hint(const char *message)
{
    static const struct {
        const char *path, *hint;
    } files[] = {
        {SOURCE_MODEL_PATH, "; --model-path or MODEL_PATH names the model file"},
        {SOURCE_ENCODER_PATH,
         "; --encoder-path or ENCODER_PATH names the encoder file of a state dict"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strncmp(message, files[i].path, strlen(files[i].path)) == 0 &&
            access(files[i].path, F_OK) != 0)
            return files[i].hint;
    return "";
}

#endif
