/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle_names.h"

#define NAME(module, name) module, name, module "." name

/* A name may stand in several homes; the first one is the one that messages show. */
static const struct pickle_name_entry names[] = {
    {NAME("collections", "OrderedDict"), PICKLE_ORDERED_DICT, PICKLE_USE_REDUCE | PICKLE_USE_BUILD},
    {NAME("_codecs", "encode"), PICKLE_CODECS_ENCODE, PICKLE_USE_REDUCE},
    {NAME("builtins", "bytearray"), PICKLE_BYTEARRAY, PICKLE_USE_REDUCE},
    {NAME("__builtin__", "bytearray"), PICKLE_BYTEARRAY, PICKLE_USE_REDUCE},
    {NAME("torch._utils", "_rebuild_tensor_v2"), PICKLE_REBUILD_TENSOR, PICKLE_USE_REDUCE},
    {NAME("torch._utils", "_rebuild_parameter"), PICKLE_REBUILD_PARAMETER, PICKLE_USE_REDUCE},
    {NAME("torch._utils", "_rebuild_parameter_with_state"), PICKLE_REBUILD_PARAMETER,
     PICKLE_USE_REDUCE},
    {NAME("torch._tensor", "_rebuild_from_type_v2"), PICKLE_REBUILD_FROM_TYPE, PICKLE_USE_REDUCE},
    {NAME("torch", "FloatStorage"), PICKLE_STORAGE_F32, PICKLE_USE_VALUE},
    {NAME("torch", "DoubleStorage"), PICKLE_STORAGE_F64, PICKLE_USE_VALUE},
    {NAME("torch", "HalfStorage"), PICKLE_STORAGE_F16, PICKLE_USE_VALUE},
    {NAME("torch", "BFloat16Storage"), PICKLE_STORAGE_BF16, PICKLE_USE_VALUE},
    {NAME("torch", "LongStorage"), PICKLE_STORAGE_I64, PICKLE_USE_VALUE},
    {NAME("torch", "IntStorage"), PICKLE_STORAGE_I32, PICKLE_USE_VALUE},
    {NAME("torch", "ShortStorage"), PICKLE_STORAGE_I16, PICKLE_USE_VALUE},
    {NAME("torch", "CharStorage"), PICKLE_STORAGE_I8, PICKLE_USE_VALUE},
    {NAME("torch", "ByteStorage"), PICKLE_STORAGE_U8, PICKLE_USE_VALUE},
    {NAME("torch", "BoolStorage"), PICKLE_STORAGE_BOOL, PICKLE_USE_VALUE},
    {NAME("numpy", "ndarray"), PICKLE_NDARRAY, PICKLE_USE_VALUE},
    {NAME("numpy", "dtype"), PICKLE_DTYPE, PICKLE_USE_REDUCE | PICKLE_USE_BUILD},
    {NAME("numpy._core.multiarray", "_reconstruct"), PICKLE_RECONSTRUCT,
     PICKLE_USE_REDUCE | PICKLE_USE_BUILD},
    {NAME("numpy.core.multiarray", "_reconstruct"), PICKLE_RECONSTRUCT,
     PICKLE_USE_REDUCE | PICKLE_USE_BUILD},
    {NAME("numpy._core.multiarray", "scalar"), PICKLE_SCALAR, PICKLE_USE_REDUCE},
    {NAME("numpy.core.multiarray", "scalar"), PICKLE_SCALAR, PICKLE_USE_REDUCE},
    {NAME("numpy._core.numeric", "_frombuffer"), PICKLE_FROMBUFFER, PICKLE_USE_REDUCE},
    {NAME("numpy.core.numeric", "_frombuffer"), PICKLE_FROMBUFFER, PICKLE_USE_REDUCE},
    {NAME("sklearn.preprocessing._data", "StandardScaler"), PICKLE_STANDARD_SCALER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("sklearn.preprocessing._data", "MinMaxScaler"), PICKLE_MIN_MAX_SCALER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("sklearn.preprocessing._data", "RobustScaler"), PICKLE_ROBUST_SCALER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("sklearn.preprocessing._data", "MaxAbsScaler"), PICKLE_MAX_ABS_SCALER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("sklearn.preprocessing._label", "LabelEncoder"), PICKLE_LABEL_ENCODER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("sklearn.preprocessing._encoders", "OrdinalEncoder"), PICKLE_ORDINAL_ENCODER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.preprocess.feature_processor", "FeatureProcessor"), PICKLE_FUXICTR_PROCESSOR,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.datasets.avazu", "CustomizedFeatureProcessor"), PICKLE_FUXICTR_PROCESSOR,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.datasets.criteo", "CustomizedFeatureProcessor"), PICKLE_FUXICTR_PROCESSOR,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.datasets.kkbox", "CustomizedFeatureProcessor"), PICKLE_FUXICTR_PROCESSOR,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.preprocess.tokenizer", "Tokenizer"), PICKLE_FUXICTR_TOKENIZER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("fuxictr.preprocess.normalizer", "Normalizer"), PICKLE_FUXICTR_NORMALIZER,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
    {NAME("joblib.numpy_pickle", "NumpyArrayWrapper"), PICKLE_JOBLIB_ARRAY,
     PICKLE_USE_NEWOBJ | PICKLE_USE_BUILD},
};

enum { N_NAMES = sizeof names / sizeof names[0] };

const struct pickle_name_entry *pickle_name_find(struct text module, struct text name)
{
    for (int i = 0; i < N_NAMES; i++)
        if (text_is(module, names[i].module) && text_is(name, names[i].name))
            return &names[i];
    return NULL;
}

const struct pickle_name_entry *pickle_name_entry(enum pickle_name name)
{
    int i = 0;
    while (names[i].value != name)
        i++;
    return &names[i];
}
