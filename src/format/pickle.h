/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickle.h: Python pickles, protocols 2 to 5, read as data.
 *
 * The reader knows a table of the names that PyTorch's and scikit-learn's model files
 * use. A name is a label on a record: there is no way to call anything. Any other name gives
 * records of PICKLE_UNKNOWN, which mean nothing: a checkpoint holds many things beside its
 * tensors, and whoever needs a tensor or an encoder refuses what is none. Every opcode checks the
 * kind of what it works on. Values may be shared and may form cycles; whoever walks them knows how
 * deep to go.
 */
#ifndef DCNV2_FORMAT_PICKLE_H
#define DCNV2_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "format/format_error.h"
#include "text.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_LARGE, /* an integer beyond 64 bits, whose value is not kept */
    PICKLE_FLOAT,
    PICKLE_TEXT,  /* str, UTF-8 (surrogates pass, as Python writes them) */
    PICKLE_BYTES, /* bytes, bytearray */
    PICKLE_TUPLE, /* a frozenset, too */
    PICKLE_LIST,  /* a set, too */
    PICKLE_TEXTS, /* a list of one text or more, and of nothing else */
    PICKLE_DICT,
    PICKLE_NAME,      /* a module.name, not called */
    PICKLE_RECORD,    /* a name applied to arguments: REDUCE, NEWOBJ */
    PICKLE_PERSISTENT /* a persistent id: PyTorch's storages */
};

/* The names that mean something. Old and new homes of one thing share a value. */
enum pickle_name {
    PICKLE_UNKNOWN,           /* all others */
    PICKLE_ORDERED_DICT,      /* collections.OrderedDict */
    PICKLE_CODECS_ENCODE,     /* _codecs.encode: bytes in protocol 2 */
    PICKLE_BYTEARRAY,         /* builtins.bytearray */
    PICKLE_REBUILD_TENSOR,    /* torch._utils._rebuild_tensor_v2 */
    PICKLE_REBUILD_PARAMETER, /* torch._utils._rebuild_parameter, _rebuild_parameter_with_state */
    PICKLE_REBUILD_FROM_TYPE, /* torch._tensor._rebuild_from_type_v2: a tensor with attributes */
    PICKLE_STORAGE_F32,       /* torch.FloatStorage */
    PICKLE_STORAGE_F64,       /* torch.DoubleStorage */
    PICKLE_STORAGE_F16,       /* torch.HalfStorage */
    PICKLE_STORAGE_BF16,      /* torch.BFloat16Storage */
    PICKLE_STORAGE_I64,       /* torch.LongStorage */
    PICKLE_STORAGE_I32,       /* torch.IntStorage */
    PICKLE_STORAGE_I16,       /* torch.ShortStorage */
    PICKLE_STORAGE_I8,        /* torch.CharStorage */
    PICKLE_STORAGE_U8,        /* torch.ByteStorage */
    PICKLE_STORAGE_BOOL,      /* torch.BoolStorage */
    PICKLE_NDARRAY,           /* numpy.ndarray */
    PICKLE_DTYPE,             /* numpy.dtype */
    PICKLE_RECONSTRUCT,       /* numpy.core.multiarray._reconstruct, numpy._core. */
    PICKLE_SCALAR,            /* numpy.core.multiarray.scalar, numpy._core. */
    PICKLE_FROMBUFFER,        /* numpy.core.numeric._frombuffer, numpy._core. */
    PICKLE_JOBLIB_ARRAY,      /* joblib.numpy_pickle.NumpyArrayWrapper */
    PICKLE_STANDARD_SCALER,   /* sklearn.preprocessing._data.StandardScaler */
    PICKLE_MIN_MAX_SCALER,    /* .MinMaxScaler */
    PICKLE_ROBUST_SCALER,     /* .RobustScaler */
    PICKLE_MAX_ABS_SCALER,    /* .MaxAbsScaler */
    PICKLE_LABEL_ENCODER,     /* sklearn.preprocessing._label.LabelEncoder */
    PICKLE_ORDINAL_ENCODER,   /* sklearn.preprocessing._encoders.OrdinalEncoder */
    PICKLE_FUXICTR_PROCESSOR, /* fuxictr.preprocess.feature_processor.FeatureProcessor, and those
                               * of fuxictr.datasets, which only have functions more */
    PICKLE_FUXICTR_TOKENIZER, /* fuxictr.preprocess.tokenizer.Tokenizer */
    PICKLE_FUXICTR_NORMALIZER /* fuxictr.preprocess.normalizer.Normalizer */
};

/* Never copied whole: what is not a RECORD may end behind `text`. */
struct pickle_value {
    uint8_t kind; /* enum pickle_kind */
    uint8_t name; /* enum pickle_name, of NAME and RECORD */
    uint32_t n;   /* items of TUPLE, LIST and TEXTS; pairs of a DICT and of a RECORD */
    uint32_t capacity;
    uint32_t offset; /* in the pickle, for messages */
    union {
        int64_t integer; /* also BOOL: 0 or 1 */
        double number;
        struct text text;            /* TEXT, BYTES; an unknown NAME: "module.name", cut */
        struct pickle_value **items; /* TUPLE, LIST: [n]; DICT: key, value, key, .. [2 n] */
        struct {                     /* PERSISTENT */
            struct pickle_value *id;
            struct pickle_value *before; /* the one read before it, or NULL */
        };
        struct {
            const uint8_t *start; /* of the pickle */
            uint32_t *offsets;    /* [n] */
        } texts;                  /* TEXTS, see pickle_texts() */
        struct {
            struct pickle_value *arguments; /* a TUPLE */
            struct pickle_value *state;     /* set by BUILD, else NULL */
            struct pickle_value **pairs;    /* of an OrderedDict or unknown, [2 n] */
            const char *label;              /* of an unknown one: what was applied */
        } record;
    };
};

/* 0: *ret_value is in the arena and points into `bytes`. -1: *error. */
int pickle_read(struct arena *arena, const uint8_t *bytes, size_t size,
                struct pickle_value **ret_value, struct format_error *error);

/* The first of several pickles. */
struct pickle_first {
    struct pickle_value *value;
    struct pickle_value
        *persistent; /* the last persistent id, which leads to all of them; or NULL */
    size_t size;     /* bytes that it took */
};

int pickle_read_first(struct arena *arena, const uint8_t *bytes, size_t size,
                      struct pickle_first *ret_first, struct format_error *error);

/* Copies a list of TEXTS: ret_texts: [n]. */
void pickle_texts(const struct pickle_value *list, struct text *ret_texts);

/* Item `i` of a list of TEXTS, or of a LIST that has a text there. */
struct text pickle_text_of(const struct pickle_value *list, uint32_t i);

/* "text", "tuple", .. or the module.name of a record, for messages. */
const char *pickle_describe(const struct pickle_value *value);

static inline bool pickle_is_record(const struct pickle_value *value, enum pickle_name name)
{
    return value->kind == PICKLE_RECORD && value->name == name;
}

static inline bool pickle_is_unknown_record(const struct pickle_value *value)
{
    return pickle_is_record(value, PICKLE_UNKNOWN);
}

/* The last value under `key` of pickle_pairs(); NULL: none. Linear. */
struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);

/* Key and value pairs of a DICT, an OrderedDict, or an unknown record that was given some
 * (a defaultdict); NULL: it is none of these. */
struct pickle_value **pickle_pairs(const struct pickle_value *dict, uint32_t *ret_n);

#endif
