/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickle.h: Python pickles, protocols 2 to 5, read as data.
 *
 * The reader knows a table of the names that PyTorch's and scikit-learn's model files
 * use. A name is a label on a record: there is no way to call anything. A file with any
 * other name is refused, naming it. Every opcode checks the kind of what it works on.
 * Values may be shared and may form cycles; whoever walks them knows how deep to go.
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
    PICKLE_FLOAT,
    PICKLE_TEXT,  /* str, UTF-8 (surrogates pass, as Python writes them) */
    PICKLE_BYTES, /* bytes, bytearray */
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_TEXTS, /* a list of one text or more, and of nothing else */
    PICKLE_DICT,
    PICKLE_NAME,      /* an allowed module.name, not called */
    PICKLE_RECORD,    /* an allowed name applied to arguments: REDUCE, NEWOBJ */
    PICKLE_PERSISTENT /* a persistent id: PyTorch's storages */
};

/* The allowed names. Old and new homes of one thing share a value. */
enum pickle_name {
    PICKLE_ORDERED_DICT,      /* collections.OrderedDict */
    PICKLE_CODECS_ENCODE,     /* _codecs.encode: bytes in protocol 2 */
    PICKLE_BYTEARRAY,         /* builtins.bytearray */
    PICKLE_REBUILD_TENSOR,    /* torch._utils._rebuild_tensor_v2 */
    PICKLE_REBUILD_PARAMETER, /* torch._utils._rebuild_parameter */
    PICKLE_STORAGE_F32,       /* torch.FloatStorage */
    PICKLE_STORAGE_F64,       /* torch.DoubleStorage */
    PICKLE_STORAGE_F16,       /* torch.HalfStorage */
    PICKLE_STORAGE_BF16,      /* torch.BFloat16Storage */
    PICKLE_STORAGE_OTHER,   /* torch.LongStorage, ..: read so that a message can name the tensor */
    PICKLE_NDARRAY,         /* numpy.ndarray */
    PICKLE_DTYPE,           /* numpy.dtype */
    PICKLE_RECONSTRUCT,     /* numpy.core.multiarray._reconstruct, numpy._core. */
    PICKLE_SCALAR,          /* numpy.core.multiarray.scalar, numpy._core. */
    PICKLE_FROMBUFFER,      /* numpy.core.numeric._frombuffer, numpy._core. */
    PICKLE_STANDARD_SCALER, /* sklearn.preprocessing._data.StandardScaler */
    PICKLE_LABEL_ENCODER    /* sklearn.preprocessing._label.LabelEncoder */
};

/* Never copied whole: what is not a RECORD may end behind `text`. */
struct pickle_value {
    uint8_t kind; /* enum pickle_kind */
    uint8_t name; /* enum pickle_name, of NAME and RECORD */
    uint32_t n;   /* items of TUPLE, LIST and TEXTS; pairs of DICT and of a RECORD of OrderedDict */
    uint32_t capacity;
    uint32_t offset; /* in the pickle, for messages */
    union {
        int64_t integer; /* also BOOL: 0 or 1 */
        double number;
        struct text text;            /* TEXT, BYTES */
        struct pickle_value **items; /* TUPLE, LIST: [n]; DICT: key, value, key, .. [2 n] */
        struct pickle_value *id;     /* PERSISTENT */
        struct {
            const uint8_t *start; /* of the pickle */
            uint32_t *offsets;    /* [n] */
        } texts;                  /* TEXTS, see pickle_texts() */
        struct {
            struct pickle_value *arguments; /* a TUPLE */
            struct pickle_value *state;     /* set by BUILD, else NULL */
            struct pickle_value **pairs;    /* of an OrderedDict, [2 n] */
        } record;
    };
};

/* 0: *ret_value is in the arena and points into `bytes`. -1: *error. */
int pickle_read(struct arena *arena, const uint8_t *bytes, size_t size,
                struct pickle_value **ret_value, struct format_error *error);

/* Copies a list of TEXTS: ret_texts: [n]. */
void pickle_texts(const struct pickle_value *list, struct text *ret_texts);

/* "text", "tuple", .. or the module.name of a record, for messages. */
const char *pickle_describe(const struct pickle_value *value);

/* The last value under `key` in a DICT or a RECORD of OrderedDict; NULL: none. Linear. */
struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);

/* Key and value pairs of a DICT or a RECORD of OrderedDict; NULL: it is neither. */
struct pickle_value **pickle_pairs(const struct pickle_value *dict, uint32_t *ret_n);

#endif
