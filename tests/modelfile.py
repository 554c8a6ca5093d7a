# SPDX-License-Identifier: Apache-2.0
"""Writes small model files without PyTorch and scikit-learn: a state dict as torch.save()
writes it and a pickled (StandardScaler, {column: LabelEncoder}).

The network is as plain as it gets: its cross layer and its DNN add nothing, every embedding
has one number, so that a row's score is sigmoid(the sum of its columns' numbers). With the
numbers chosen, a score tells which class the server found for a value.
"""
import math
import struct
import zipfile


class Name:
    """A class or function, by module and name."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """What calling a Name gives, with a state set on it (None: none)."""

    def __init__(self, function, arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Instance:
    """An object of a class, with its attributes."""

    def __init__(self, kind, attributes):
        self.kind, self.attributes = kind, attributes


class Persistent:
    """An object that the file keeps elsewhere, by its key."""

    def __init__(self, key):
        self.key = key


def pickle_bytes(value, protocol):
    return b"\x80" + bytes([protocol]) + _opcodes(value) + b"."


def _opcodes(value):
    """The opcodes that leave the value on the stack."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, dict):
        return b"}" + _items(value)
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        made = _opcodes(value.function) + _opcodes(value.arguments) + b"R"
        if isinstance(value.state, dict):
            return made + _items(value.state)
        return made if value.state is None else made + _opcodes(value.state) + b"b"
    if isinstance(value, Instance):
        return _opcodes(value.kind) + b")\x81" + _opcodes(value.attributes) + b"b"
    if isinstance(value, Persistent):
        return _opcodes(value.key) + b"Q"
    raise TypeError(type(value))


def _items(pairs):
    return b"(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in pairs.items()) + b"u"


# ---------------------------------------------------------------- state dict

_NOTHING = Call(Name("collections", "OrderedDict"), ())


def rebuilt_tensor(number, shape):
    n = math.prod(shape)
    strides = tuple(math.prod(shape[i + 1:]) for i in range(len(shape)))
    storage = Persistent(("storage", Name("torch", "FloatStorage"), str(number), "cpu", n))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"),
                (storage, 0, tuple(shape), strides, False, _NOTHING))


def write_state_dict(path, tensors):
    """`tensors`: {name: (shape, values in row-major order)}."""
    state = {name: rebuilt_tensor(i, shape)
             for i, (name, (shape, _)) in enumerate(tensors.items())}
    entries = {
        "data.pkl": pickle_bytes(Call(Name("collections", "OrderedDict"), (), state), 2),
        "byteorder": b"little",
        "version": b"3\n",
    }
    for i, (_, values) in enumerate(tensors.values()):
        entries[f"data/{i}"] = struct.pack(f"<{len(values)}f", *values)
    write_zip(path, {f"archive/{name}": data for name, data in entries.items()})


def write_zip(path, entries):
    """Stored entries, always the same bytes for the same entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def network_tensors(tables, n_dense=1, dense_weight=0.0):
    """The network described above. `tables`: the numbers of each category column."""
    width = n_dense + len(tables)
    tensors = {f"embeddings.{i}.weight": ([len(table), 1], table)
               for i, table in enumerate(tables)}
    tensors |= {
        "cross_layers.0.0.weight": ([width, width], [0.0] * width * width),
        "cross_layers.0.0.bias": ([width], [0.0] * width),
        "cross_layers.0.1.weight": ([width], [0.0] * width),
        "cross_layers.0.1.bias": ([width], [0.0] * width),
        "dnn.0.weight": ([2, width], [0.0] * 2 * width),
        "dnn.0.bias": ([2], [0.0] * 2),
        "output.weight": ([1, width + 2],
                          [dense_weight] * n_dense + [1.0] * len(tables) + [0.0] * 2),
        "output.bias": ([1], [0.0]),
    }
    return tensors


# ---------------------------------------------------------------- encoder

def _dtype(code, byte_order, flags):
    return Call(Name("numpy", "dtype"), (code, False, True),
                (3, byte_order, None, None, None, -1, -1, flags))


def _array(shape, dtype, data):
    made = (Name("numpy", "ndarray"), (0,), b"b")
    return Call(Name("numpy.core.multiarray", "_reconstruct"), made,
                (1, shape, dtype, False, data))


def float_array(values):
    return _array((len(values),), _dtype("f8", "<", 0), struct.pack(f"<{len(values)}d", *values))


def text_array(values):
    return _array((len(values),), _dtype("O8", "|", 63), list(values))


def encoder_pickle(vocabularies, dense=("price",), mean=0.0, scale=1.0):
    """`vocabularies`: {column: its classes}, which are written in sorted order."""
    n = len(dense)
    scaler = Instance(Name("sklearn.preprocessing._data", "StandardScaler"), {
        "with_mean": True, "with_std": True, "copy": True,
        "feature_names_in_": text_array(dense), "n_features_in_": n, "n_samples_seen_": 100,
        "mean_": float_array([mean] * n), "var_": float_array([scale * scale] * n),
        "scale_": float_array([scale] * n), "_sklearn_version": "1.5.2"})
    encoders = {
        column: Instance(Name("sklearn.preprocessing._label", "LabelEncoder"),
                         {"classes_": text_array(sorted(classes)), "_sklearn_version": "1.5.2"})
        for column, classes in vocabularies.items()}
    return pickle_bytes((scaler, encoders), 4)


class WordModel:
    """A model of one category column `word`: word_of() tells from a score which of the known
    words the server saw, None for any other."""

    def __init__(self, directory, words):
        self.words = sorted(words)
        self.model_path, self.encoder_path = directory / "words.pth", directory / "words.pkl"
        numbers = [i * 8 / len(self.words) - 4 for i in range(len(self.words) + 1)]
        self.scores = [1 / (1 + math.exp(-number)) for number in numbers]
        write_state_dict(self.model_path, network_tensors([numbers]))
        self.encoder_path.write_bytes(encoder_pickle({"word": self.words}))
        self.env = {"MODEL_PATH": str(self.model_path), "ENCODER_PATH": str(self.encoder_path),
                    "DENSE_COLS": "price", "SPARSE_COLS": "word"}

    def word_of(self, score):
        nearest = min(range(len(self.scores)), key=lambda i: abs(self.scores[i] - score))
        if abs(self.scores[nearest] - score) > 1e-5:
            raise AssertionError(f"score {score} belongs to no word")
        return self.words[nearest] if nearest < len(self.words) else None
