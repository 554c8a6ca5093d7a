/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcnv2.h: the library boundary of libdcnv2, a DCNv2 click-through-rate model in C.
 *
 * Owns: reading PyTorch and scikit-learn's model files, encoding raw values to
 * embedding rows, and the forward pass.
 * Leaves out: HTTP, logging, threads. An ad server links this and nothing else of this project.
 *
 * Link with what `pkg-config --cflags --libs --static dcnv2` says, once `make install` has written
 * dcnv2.pc: libdcnv2.a, libcjson, libyaml, zlib, libm. The archive is built with -fPIE, for
 * programs.
 *
 * Environment: DCNV2_CPU (scalar, avx2 or avx512) forces an instruction set; dcnv2_model_load()
 * reads it, and fails if the CPU does not have that set. Unset, the fastest set is taken. Scores
 * have the same bits on each.
 *
 * Model: R. Wang et al., "DCN V2: Improved Deep & Cross Network", arXiv:2008.13535,
 * parallel structure, with the cross layer that the model file holds.
 */
#ifndef DCNV2_H
#define DCNV2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DCNV2_VERSION "0.1.0"

#if defined(__GNUC__)
#define DCNV2_API __attribute__((visibility("default")))
#else
#define DCNV2_API
#endif

/* Outcome of every call that can fail: DCNV2_OK or one of the negative codes. */
enum dcnv2_status {
    DCNV2_OK = 0,
    DCNV2_ERROR_IO = -1,      /* a file cannot be opened or read */
    DCNV2_ERROR_FORMAT = -2,  /* a file's bytes are not what its format allows */
    DCNV2_ERROR_MODEL = -3,   /* well-formed files that do not describe one model */
    DCNV2_ERROR_MEMORY = -4,  /* an allocation failed */
    DCNV2_ERROR_ARGUMENT = -5 /* the caller's arguments are out of range */
};

/* Written on failure only. `message` is one line, "FILE: REASON", NUL-terminated, no newline. */
struct dcnv2_error {
    enum dcnv2_status status;
    char message[512];
    size_t n_scored; /* by dcnv2_predict() and dcnv2_predict_logits() alone: the rows before the
                      * one that was refused */
};

/* A list of column names, in the order in which the model was trained. */
struct dcnv2_columns {
    const char *const *names; /* NUL-terminated UTF-8; borrowed for the length of the call */
    size_t n; /* 0: take the names and their order from the encoder or the converted file */
};

/* Where a model comes from. All strings are borrowed for the length of the call. */
struct dcnv2_source {
    const char *model_path;   /* model_weights.pth: a PyTorch state dict, or a checkpoint that holds
                               * one, or safetensors; or a converted file, which holds all of a
                               * model: dcnv2-convert's */
    const char *encoder_path; /* preprocess_metadata.pkl: (StandardScaler, {column: LabelEncoder}),
                               * or another scaler and encoders of scikit-learn, pickled or by
                               * joblib; not read beside a converted file */
    const char *model_json;   /* a model.json, which describes the network; NULL: the one beside
                               * model_path, if there is one. model_path may name its folder */
    struct dcnv2_columns dense_columns;  /* in the scaler's order */
    struct dcnv2_columns sparse_columns; /* column i feeds embeddings.{i}.weight */
    /* "COLUMN=CLASS", or "=CLASS" for each column that has it: the class whose row unseen values
     * take. Of other columns it is the row behind the classes. */
    struct dcnv2_columns unknown_classes;
    bool strict; /* what no file tells and changes scores is an error, and not assumed */
    /* A golden set: rows with the scores of the library that trained the model. They are scored at
     * each load, and a model that does not reproduce them is refused (docs/files.md). NULL: that of
     * a converted file, else golden.json beside the weights, if there is one; "none": none. */
    const char *golden;
    bool match_numbers; /* the set's rows are read as the server's --match_numbers reads requests */
    double golden_tolerance;    /* largest distance of a score; 0: as the set says, or 1e-5 */
    const char *state_dict_key; /* which of a checkpoint's state dicts; NULL: it holds one */
};

/* Weights, scaler and vocabularies. Immutable once loaded: any number of threads may share it. */
typedef struct dcnv2_model dcnv2_model;

/* The scratch memory of a forward pass. One thread at a time. */
typedef struct dcnv2_workspace dcnv2_workspace;

/*
 * Reads both files whole into private memory, checks them against each other and
 * packs the weights; embedding tables that are most of their file stay in those bytes.
 * Nothing in the files is executed. The files may be replaced or removed afterwards.
 * A converted file is found by its content, checked and mapped for the model's life: it
 * may be removed, or replaced by another file (rename), but not be written into or cut.
 * DCNV2_OK: *ret_model is the caller's, to be freed with dcnv2_model_free().
 * Otherwise *ret_model is untouched and *error says which file, what and where.
 */
DCNV2_API int dcnv2_model_load(const struct dcnv2_source *source, dcnv2_model **ret_model,
                               struct dcnv2_error *error);

/* Accepts NULL. No thread may be using the model. */
DCNV2_API void dcnv2_model_free(dcnv2_model *model);

DCNV2_API size_t dcnv2_model_n_dense(const dcnv2_model *model);
DCNV2_API size_t dcnv2_model_n_sparse(const dcnv2_model *model);

/* Column names, NUL-terminated, valid as long as the model. `i` below the count above. */
DCNV2_API const char *dcnv2_model_dense_name(const dcnv2_model *model, size_t i);
DCNV2_API const char *dcnv2_model_sparse_name(const dcnv2_model *model, size_t i);

/* Number of known values of sparse column `i`. It is also the embedding row of every other value,
 * unless the encoder or unknown_classes names another one. */
DCNV2_API uint32_t dcnv2_model_vocabulary_size(const dcnv2_model *model, size_t i);

/*
 * The embedding row of a category value: its position among the column's classes,
 * or the row of unknown values (out-of-vocabulary): dcnv2_model_vocabulary_size(), or another one.
 * `text`: `length` bytes of UTF-8, not NUL-terminated, the value as Python's str() writes it.
 */
DCNV2_API uint32_t dcnv2_model_sparse_index(const dcnv2_model *model, size_t i, const char *text,
                                            size_t length);

/* The scaler's transform of one value of dense column `i`: of a StandardScaler (value - mean) /
 * scale in double. */
DCNV2_API float dcnv2_model_dense_value(const dcnv2_model *model, size_t i, double value);

/*
 * DCNV2_OK: *ret_workspace serves any number of rows per call on `model` (rows are
 * taken in blocks) and is the caller's, to be freed with dcnv2_workspace_free().
 */
DCNV2_API int dcnv2_workspace_create(const dcnv2_model *model, dcnv2_workspace **ret_workspace,
                                     struct dcnv2_error *error);
DCNV2_API void dcnv2_workspace_free(dcnv2_workspace *workspace);

/* Rows of an embedding table, by a look-up of the model: one per row of the batch, or any number.
 */
struct dcnv2_rows {
    const uint32_t *rows;
    const uint32_t
        *offsets; /* NULL: rows[r] is that of row r of the batch; else [n_rows + 1], not
                   * descending: row r has rows[offsets[r]] .. rows[offsets[r + 1] - 1] */
};

/*
 * Click probabilities of `n_rows` rows.
 *   dense:   [n_dense, n_rows], column after column, scaled
 *   lookups: [n_sparse], of each look-up the embedding rows of all rows
 *   scores:  [n_rows], each in [0, 1]
 * A row's score has the same bits alone, in any batch and at any position in it.
 * DCNV2_ERROR_ARGUMENT: an embedding row lies outside its table, a look-up that takes one per row
 * has offsets, or a score is not a number because dense values are too large. `error->n_scored` is
 * the index of the first such row. Rows before that one have their scores; the scores of that row
 * and of all behind it are NaN, even if a row behind it is good.
 * Never allocates. One thread per workspace; the model may be shared.
 */
DCNV2_API int dcnv2_predict(const dcnv2_model *model, dcnv2_workspace *workspace, size_t n_rows,
                            const float *dense, const struct dcnv2_rows *lookups, float *scores,
                            struct dcnv2_error *error);

/*
 * As dcnv2_predict(), with the logits beside: the numbers in front of the sigmoid, computed in
 * double and rounded once.
 *   logits: [n_rows], or NULL: they are not wanted
 * `scores` has the bits that dcnv2_predict() gives. A probability is the sigmoid of the logit
 * before that is rounded, and has not the digits to be turned back: of a logit above 17 it is 1.
 * A logit that is not a finite float is refused as a score that is not a number is; refused rows
 * and those behind them are NaN in both arrays.
 * A function of its own, so that programs built with an earlier header run with this library.
 */
DCNV2_API int dcnv2_predict_logits(const dcnv2_model *model, dcnv2_workspace *workspace,
                                   size_t n_rows, const float *dense,
                                   const struct dcnv2_rows *lookups, float *scores, float *logits,
                                   struct dcnv2_error *error);

#ifdef __cplusplus
}
#endif
#endif
