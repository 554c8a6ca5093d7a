/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sklearn_writer.h"

#include "format/little_endian.h"
#include "format/pickle_writer.h"

/* numpy 2 moved it to numpy._core and keeps these two names, without a warning, for pickles. */
#define NUMPY_ARRAYS "numpy.core.multiarray"

static void put_key(struct pickle_writer *pickle, const char *key)
{
    pickle_put_text(pickle, text_of(key));
}

/* ---- numpy's arrays of one dimension, and numbers ---- */

/* dtype(code, align=False, copy=True) with (3, byte order, None, None, None, -1, -1, flags) */
static void put_dtype(struct pickle_writer *pickle, const char *code, const char *byte_order,
                      int flags)
{
    pickle_put_name(pickle, "numpy", "dtype");
    pickle_put_opcode(pickle, OP_MARK);
    put_key(pickle, code);
    pickle_put_opcode(pickle, OP_NEWFALSE);
    pickle_put_opcode(pickle, OP_NEWTRUE);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_REDUCE);
    pickle_put_opcode(pickle, OP_MARK);
    pickle_put_integer(pickle, 3);
    put_key(pickle, byte_order);
    for (int i = 0; i < 3; i++)
        pickle_put_opcode(pickle, OP_NONE);
    pickle_put_integer(pickle, -1);
    pickle_put_integer(pickle, -1);
    pickle_put_integer(pickle, flags);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_BUILD);
}

/* _reconstruct(ndarray, (0,), b"b"), and its state as far as the shape: (1, (n,), .. */
static void start_array(struct pickle_writer *pickle, uint32_t n)
{
    pickle_put_name(pickle, NUMPY_ARRAYS, "_reconstruct");
    pickle_put_opcode(pickle, OP_MARK);
    pickle_put_name(pickle, "numpy", "ndarray");
    pickle_put_integer(pickle, 0);
    pickle_put_opcode(pickle, OP_TUPLE1);
    pickle_put_bytes(pickle, "b", 1);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_REDUCE);
    pickle_put_opcode(pickle, OP_MARK);
    pickle_put_integer(pickle, 1);
    pickle_put_integer(pickle, n);
    pickle_put_opcode(pickle, OP_TUPLE1);
}

static void put_doubles(struct pickle_writer *pickle, const double *values, uint32_t n)
{
    start_array(pickle, n);
    put_dtype(pickle, "f8", "<", 0);
    pickle_put_opcode(pickle, OP_NEWFALSE); /* not in Fortran's order */
    pickle_put_bytes(pickle, values, n * sizeof *values);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_BUILD);
}

static void put_texts(struct pickle_writer *pickle, const struct text *texts, uint32_t n)
{
    enum { OBJECT_FLAGS = 63, BATCH = 1000 }; /* Python's batch, so that its stack stays small */
    start_array(pickle, n);
    put_dtype(pickle, "O8", "|", OBJECT_FLAGS);
    pickle_put_opcode(pickle, OP_NEWFALSE);
    pickle_put_opcode(pickle, OP_EMPTY_LIST);
    for (uint32_t i = 0; i < n; i++) {
        if (i % BATCH == 0)
            pickle_put_opcode(pickle, OP_MARK);
        pickle_put_text(pickle, texts[i]);
        if ((i + 1) % BATCH == 0 || i + 1 == n)
            pickle_put_opcode(pickle, OP_APPENDS);
    }
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_BUILD);
}

/* numpy.int64, which partial_fit() asks for its shape: an int has none. */
static void put_int64(struct pickle_writer *pickle, uint64_t value)
{
    uint8_t bytes[8];
    put_le64(bytes, value);
    pickle_put_name(pickle, NUMPY_ARRAYS, "scalar");
    pickle_put_opcode(pickle, OP_MARK);
    put_dtype(pickle, "i8", "<", 0);
    pickle_put_bytes(pickle, bytes, sizeof bytes);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_REDUCE);
}

/* ---- estimators ---- */

/* A new object of the class, as far as its attributes: they follow as keys and values. */
static void start_object(struct pickle_writer *pickle, const char *module, const char *class_name)
{
    pickle_put_name(pickle, module, class_name);
    pickle_put_opcode(pickle, OP_EMPTY_TUPLE);
    pickle_put_opcode(pickle, OP_NEWOBJ);
    pickle_put_opcode(pickle, OP_EMPTY_DICT);
    pickle_put_opcode(pickle, OP_MARK);
}

static void end_object(struct pickle_writer *pickle, const struct sklearn_contents *contents)
{
    put_key(pickle, "_sklearn_version");
    put_key(pickle, contents->sklearn_version);
    pickle_put_opcode(pickle, OP_SETITEMS);
    pickle_put_opcode(pickle, OP_BUILD);
}

/* What StandardScaler.fit() leaves behind; it takes no data without columns, so that without any
 * the scaler is one that was never fitted. */
static void put_fitted(struct pickle_writer *pickle, const struct sklearn_contents *contents)
{
    const uint32_t n = contents->n_dense;
    if (n == 0)
        return;
    put_key(pickle, "feature_names_in_");
    put_texts(pickle, contents->dense_names, n);
    put_key(pickle, "n_features_in_");
    pickle_put_integer(pickle, n);
    put_key(pickle, "n_samples_seen_");
    put_int64(pickle, contents->n_rows);
    put_key(pickle, "mean_");
    put_doubles(pickle, contents->mean, n);
    put_key(pickle, "var_");
    put_doubles(pickle, contents->var, n);
    put_key(pickle, "scale_");
    put_doubles(pickle, contents->scale, n);
}

static void put_scaler(struct pickle_writer *pickle, const struct sklearn_contents *contents)
{
    static const char *const switches[] = {"with_mean", "with_std", "copy"};
    start_object(pickle, "sklearn.preprocessing._data", "StandardScaler");
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        put_key(pickle, switches[i]);
        pickle_put_opcode(pickle, OP_NEWTRUE);
    }
    put_fitted(pickle, contents);
    end_object(pickle, contents);
}

static void put_encoder(struct pickle_writer *pickle, const struct sklearn_contents *contents,
                        const struct sklearn_column *column)
{
    start_object(pickle, "sklearn.preprocessing._label", "LabelEncoder");
    put_key(pickle, "classes_");
    put_texts(pickle, column->classes, column->n_classes);
    end_object(pickle, contents);
}

int sklearn_write(FILE *stream, const struct sklearn_contents *contents, struct format_error *error)
{
    struct pickle_writer pickle;
    pickle_writer_start(&pickle, stream, 4);
    put_scaler(&pickle, contents);
    pickle_put_opcode(&pickle, OP_EMPTY_DICT);
    for (uint32_t i = 0; i < contents->n_sparse; i++) {
        pickle_put_text(&pickle, contents->sparse[i].name);
        put_encoder(&pickle, contents, &contents->sparse[i]);
        pickle_put_opcode(&pickle, OP_SETITEM);
    }
    pickle_put_opcode(&pickle, OP_TUPLE2);
    return pickle_writer_end(&pickle, error);
}
