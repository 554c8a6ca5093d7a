# SPDX-License-Identifier: Apache-2.0
"""Weights and encoders as people have them: containers, prefixes, scalers, encoders, dtypes.

tests/golden/files holds files that PyTorch, scikit-learn and joblib wrote, with the scores of each row;
what a folder lacks is that of `ok`. Checkpoints of other shapes are put together here (modelfile.py).
"""
import json
import pathlib
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import modelfile
import wire
from harness import check
from modelfile import Call, Instance, Name, Persistent, pickle_bytes, rebuilt_tensor
from samples import V1
from training import BIN, folder

FILES = pathlib.Path(__file__).resolve().parent.parent / "golden/files"
COLUMNS = ["--dense-cols", "price", "--sparse-cols", "u,a"]
FLAGS = {"unknown_class": ["--unknown-class", "u=~other"], "append_unknown": ["--unknown-class", "=<unknown>"]}
REFUSED = {
    "whole_model": ['holds a whole model (__main__.Net)', 'torch.save(model.state_dict(), "model_weights.pth")'],
    "oob": ["its arrays are not in this file", "buffer_callback", "pickle.dump(object, file)"],
    "joblib_bz2": ["compressed with bz2", "compress=(\"zlib\", 3)"],
    "ordinal_unknown_below": ["OrdinalEncoder.unknown_value is no row", "model.json"],
    "ordinal_unknown_row": ['"embeddings.1.weight" has the shape [4, 4]', "needs [7, width]"],
}
TOLERANCE = 1e-6


def part(name, file):
    own = FILES / name / file
    return own if own.exists() else FILES / "ok" / file


def score_folder(name, flags=(), **options):
    return score_pair(part(name, "model_weights.pth"), part(name, "preprocess_metadata.pkl"), part(name, "rows.csv"),
                      *COLUMNS, *flags, **options)


def score_pair(weights, encoder, rows, *flags, expect=0):
    """Scores, and stderr."""
    done = subprocess.run([str(c) for c in (BIN / "dcnv2-score", "--model-path", weights, "--encoder-path", encoder,
                                            *flags, rows)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.limit(60))
    harness.check_no_sanitizer_report(done.stderr)
    check(done.returncode == expect, f"{weights}, {encoder}: exit code {done.returncode}: {done.stderr[-400:]}")
    return [float(line) for line in done.stdout.split()], done.stderr


def check_close(found, expected, what):
    check(len(found) == len(expected) > 0, f"{what}: {len(found)} scores, {len(expected)} expected")
    worst = max(abs(a - b) for a, b in zip(found, expected))
    check(worst <= TOLERANCE, f"{what}: {worst} from what is expected")


def expected_of(name):
    return [float(line) for line in part(name, "expected.txt").read_text().split()]


def test_files_of_every_kind_have_their_scores():
    names = sorted(p.name for p in FILES.iterdir() if p.is_dir() and p.name not in REFUSED)
    check(len(names) >= 30, f"{names}")
    for name in names:
        found, err = score_folder(name, FLAGS.get(name, ()))
        check_close(found, expected_of(name), name)


def test_a_converted_file_keeps_what_its_sources_said():
    for name in ("unknown_class", "append_unknown", "pandas3_nan", "min_max", "min_max_clip", "max_abs_clip", "robust",
                 "ordinal", "int64_classes", "safetensors", "ddp", "checkpoint", "dropout"):
        with folder() as path:
            out = pathlib.Path(path) / "model.safetensors"
            done = subprocess.run([str(c) for c in (
                BIN / "dcnv2-convert", "--model-path", part(name, "model_weights.pth"), "--encoder-path",
                part(name, "preprocess_metadata.pkl"), *COLUMNS, *FLAGS.get(name, ()), "-o", out)],
                capture_output=True, text=True, timeout=harness.limit(60))
            check(done.returncode == 0, f"{name}: {done.stderr}")
            found, _ = score_pair(out, "/nowhere", part(name, "rows.csv"))
            check_close(found, expected_of(name), f"{name}, converted")
            old = b'"version":"2"' in out.read_bytes()[:300]
            plain = name in ("int64_classes", "safetensors", "ddp", "checkpoint", "dropout", "robust", "ordinal")
            check(old == plain, f"{name}: older programs would {'' if old else 'not '}read the file")


def test_what_cannot_be_read_right_is_refused_with_what_to_do():
    for name, words in REFUSED.items():
        found, err = score_folder(name, expect=1)
        check(not found and err.count("\n") == 1, f"{name}: {err}")
        for word in words:
            check(word in err, f"{name}: {word!r} is not in {err}")


# ---------------------------------------------------------------- unknown classes

def test_a_class_that_looks_like_that_of_unseen_values_is_told_of():
    # Without the setting unseen values take the row behind the classes, which the table of this file has.
    found, err = score_folder("append_unknown")
    check('column "u" has a class "<unknown>"' in err and "--unknown-class=u=<unknown>" in err, err)
    found, err = score_folder("append_unknown", FLAGS["append_unknown"])
    check("--unknown-class" not in err, err)
    found, err = score_folder("ok")
    check("--unknown-class" not in err, err)


def test_a_class_that_is_not_there_is_refused():
    for flag, words in (("u=other", 'column "u" has no class "other"'), ("x=a", "--unknown-class=x=a names no column"),
                        ("=zz", "--unknown-class==zz names no column"), ("ua", "names no column")):
        _, err = score_folder("unknown_class", ["--unknown-class", flag], expect=1)
        check(words in err, f"{flag}: {err}")


def test_the_server_scores_and_tells_the_same():
    # Unseen values, in the server's own encoder, which is another one than dcnv2-score's.
    name = "unknown_class"
    rows = [line.split(",") for line in part(name, "rows.csv").read_text().split()[1:]]
    inputs = [{"u": u, "a": a, "price": float(price)} for _, u, a, price in rows]
    paths = {"MODEL_PATH": str(part(name, "model_weights.pth")), "DENSE_COLS": "price", "SPARSE_COLS": "u,a",
             "ENCODER_PATH": str(part(name, "preprocess_metadata.pkl"))}
    with harness.Server(env=paths | {"UNKNOWN_CLASS": "=~other"}) as server:
        reply = ask(server, inputs)
        check_close(reply, expected_of(name), "the server")
        check("--unknown-class" not in server.log(), server.log())
    with harness.Server(env=paths) as server:
        check(server.logs("--unknown-class=u=~other") and server.logs('column "u" has a class "~other"'), server.log())
        far = ask(server, inputs)
        check(abs(far[0] - expected_of(name)[0]) > 0.01, "the setting changes nothing")
    # A missing value is the NaN among the classes, whatever pandas made of it.
    paths["ENCODER_PATH"] = str(part("pandas3_nan", "preprocess_metadata.pkl"))
    paths["MODEL_PATH"] = str(part("pandas3_nan", "model_weights.pth"))
    with harness.Server(env=paths) as server:
        cells = [dict(inputs[0], u=u) for u in (None, "nan")]
        alone = [ask(server, [cell])[0] for cell in cells]
        together = ask(server, cells + [dict(inputs[0], u="zz")])
        check(alone[0] == alone[1] == together[0] == together[1] != together[2], f"{alone}, {together}")


def ask(server, instances):
    """Their scores."""
    reply = wire.ask(server, "POST", V1, json.dumps({"inputs": instances}).encode()).json()
    return [score for row in reply["predictions"] for score in row]


def test_what_unpacks_to_far_more_than_its_size_is_refused():
    with folder() as name:
        path = pathlib.Path(name) / "bomb.pkl"
        path.write_bytes(zlib.compress(b"\x80\x04" + b"0" * (64 << 20), 9))
        found, err = score_pair(part("ok", "model_weights.pth"), path, part("ok", "rows.csv"), *COLUMNS, expect=1)
        check("to less than a 16th of its contents" in err, err)
        data = part("joblib_zlib", "preprocess_metadata.pkl").read_bytes()
        for damaged in (data[:-3], data + b"x", data[:60] + b"\xff" + data[61:]):
            path.write_bytes(damaged)
            found, err = score_pair(part("ok", "model_weights.pth"), path, part("ok", "rows.csv"), *COLUMNS, expect=1)
            check("is compressed with zlib, and damaged, cut" in err, err)


def one_column(classes, table, **options):
    """A pair of one category column, whose score is sigmoid(the number in the value's row)."""
    path = options["path"]
    modelfile.write_state_dict(path / "w.pth", modelfile.network_tensors([table], n_dense=1))
    (path / "e.pkl").write_bytes(modelfile.encoder_pickle({"c": classes}, dense=("p",)))
    (path / "rows.csv").write_text("c,p\n" + "".join(f"{value},0\n" for value in options["values"]))
    return path / "w.pth", path / "e.pkl", path / "rows.csv"


def test_with_a_class_for_unseen_values_a_table_of_as_many_rows_as_classes_is_enough():
    with folder() as name:
        files = one_column(["a", "b", "~other"], [0.5, 1.5, -2.0], values=["b", "zz", "~other", "a"],
                           path=pathlib.Path(name))
        _, err = score_pair(*files, expect=1)
        check("needs [4, width]" in err, err)
        found, _ = score_pair(*files, "--unknown-class", "c=~other")
        check_close(found, [0.81757448, 0.11920292, 0.11920292, 0.62245933], "three rows")


# ---------------------------------------------------------------- checkpoints

def tensors_of(values):
    """A state dict of tensors that `values` hold, and the entries of their storages."""
    state = {name: rebuilt_tensor(i, shape) for i, (name, (shape, _)) in enumerate(values.items())}
    entries = {f"data/{i}": struct.pack(f"<{len(numbers)}f", *numbers)
               for i, (_, numbers) in enumerate(values.values())}
    return Call(Name("collections", "OrderedDict"), (), state), entries


def write_checkpoint(path, value, entries, protocol=2):
    pickle = {"data.pkl": pickle_bytes(value, protocol), "byteorder": b"little", "version": b"3\n"}
    modelfile.write_zip(path, {f"archive/{name}": data for name, data in (pickle | entries).items()})


CLASSES, TABLE, VALUES, SCORES = ["a", "b"], [0.5, 1.5, -2.0], ["a", "b", "c"], [0.62245933, 0.81757448, 0.11920292]


def check_checkpoint(make, *flags, expect=0, words=(), prefix=""):
    """`make(state)`: what the file holds, with the network's state dict in it."""
    with folder() as name:
        path = pathlib.Path(name)
        _, encoder, rows = one_column(CLASSES, TABLE, values=VALUES, path=path)
        values = {prefix + key: tensor for key, tensor in modelfile.network_tensors([TABLE], n_dense=1).items()}
        state, entries = tensors_of(values)
        write_checkpoint(path / "checkpoint.pt", make(state), entries)
        found, err = score_pair(path / "checkpoint.pt", encoder, rows, *flags, expect=expect)
        if expect == 0:
            check_close(found, SCORES, "checkpoint")
        for word in words:
            check(word in err, f"{word!r} is not in {err}")


def optimizer(state):
    """An optimizer's state dict, with tensors of its own."""
    moments = next(iter(state.state.values()))
    return {"state": {0: {"step": 7, "exp_avg": moments}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]}


ARGS = Instance(Name("argparse", "Namespace"), {"lr": 0.1, "pattern": Call(Name("re", "_compile"), ("a+", 32))})
ENUM = Call(Name("recbole.utils.enum_type", "ModelType"), (2,))
SCALAR = Call(Name("numpy._core.multiarray", "scalar"),
              (Call(Name("numpy", "dtype"), ("f8", False, True), (3, "<", None, None, None, -1, -1, 0)), b"\0" * 8))


def test_the_state_dict_of_a_checkpoint_is_found():
    check_checkpoint(lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": optimizer(state), "loss": 0.5})
    check_checkpoint(lambda state: {"module": state, "args": ARGS, "type": ENUM, "best": SCALAR, "rng": [1, 2, None]})
    check_checkpoint(lambda state: {"state_dict": state, "optimizer_states": [optimizer(state)], "callbacks": {},
                                    "hyper_parameters": Call(Name("lightning", "AttributeDict"), (), {"a": ENUM})})
    check_checkpoint(lambda state: {"ckpt": {"weights": {"model": state}}})
    check_checkpoint(lambda state: (state, optimizer(state), ARGS))
    check_checkpoint(lambda state: {"now": state, "rng": next(iter(state.state.values()))})
    check_checkpoint(lambda state: Call(Name("collections", "defaultdict"), (Name("builtins", "dict"),),
                                        {"model": state}))
    check_checkpoint(lambda state: Call(state.function, (), state.state | {"epoch": 4, "note": "x"}))


def test_prefixes_that_all_tensors_share_are_taken_off():
    for prefix in ("module.", "_orig_mod.", "model.", "net.0.", "module._orig_mod.model.", "output.", "dnn.x."):
        check_checkpoint(lambda state: {"model": state}, prefix=prefix)
    counter = rebuilt_tensor(0, [3, 1])
    check_checkpoint(lambda state: Call(state.function, (), {"n_averaged": counter, "bn.num_batches_tracked": counter}
                                        | state.state), prefix="module.")


def test_several_state_dicts_are_named_and_one_is_chosen():
    def two(state):
        other = Call(state.function, (), {name: tensor for name, tensor in state.state.items() if "dnn" not in name})
        return {"model": other, "ema": {"module": state}}
    check_checkpoint(two, expect=1, words=["holds 2 state dicts", '"model", "ema.module"', "--state-dict-key",
                                           "STATE_DICT_KEY"])
    check_checkpoint(two, "--state-dict-key", "ema.module")
    check_checkpoint(two, "--state-dict-key", "ema", expect=1, words=['has no state dict "ema"', '"ema.module"'])
    check_checkpoint(lambda state: state, "--state-dict-key", "model", expect=1, words=["is a state dict itself"])
    check_checkpoint(lambda state: {"model": state, "best": state}, expect=1, words=["holds 2 state dicts"])


def test_tensors_that_hang_on_what_is_not_known_are_refused():
    def replaced(value):
        return lambda state: Call(state.function, (), state.state | {"output.bias": value})
    check_checkpoint(replaced(Call(Name("torchao.dtypes", "AffineQuantizedTensor"), (1,))), expect=1,
                     words=['"output.bias" is torchao.dtypes.AffineQuantizedTensor, not a tensor'])
    tensor = rebuilt_tensor(8, [1])
    wrapped = Call(Name("torch._tensor", "_rebuild_from_type_v2"),
                   (tensor.function, Name("torch", "Tensor"), tensor.arguments, {"note": 1}))
    check_checkpoint(replaced(wrapped))
    subclass = Call(wrapped.function, (tensor.function, Name("my.tensors", "Scaled"), tensor.arguments, {}))
    check_checkpoint(replaced(subclass), expect=1, words=['"output.bias" is torch._tensor._rebuild_from_type_v2'])
    check_checkpoint(lambda state: {"model": Instance(Name("my.nets", "Net"), {
        "_parameters": state, "_buffers": {}, "_modules": {}})}, expect=1, words=["holds a whole model (my.nets.Net)"])


def test_adjacent_layers_without_an_activation_between_are_refused():
    check_checkpoint(lambda state: Call(state.function, (), state.state | {
        "dnn.1.weight": rebuilt_tensor(5, [2, 2])}), expect=1, words=['"dnn.1" follows "dnn.0" at once'])


# ---------------------------------------------------------------- PyTorch before 1.6

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def legacy(values):
    """A file of torch.save() before 1.6."""
    nothing = Call(Name("collections", "OrderedDict"), ())
    state, keys = {}, []
    for i, (name, (shape, numbers)) in enumerate(values.items()):
        rebuilt = rebuilt_tensor(i, shape)
        key = f"{94000000 - i}"
        keys.append(key)
        storage = Persistent(("storage", Name("torch", "FloatStorage"), key, "cpu", len(numbers), None))
        state[name] = Call(rebuilt.function, (storage, *rebuilt.arguments[1:]))
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    data = MAGIC + b"".join(pickle_bytes(value, 2) for value in (
        1001, machine, Call(nothing.function, (), state), keys))
    for _, numbers in values.values():
        data += struct.pack(f"<Q{len(numbers)}f", len(numbers), *numbers)
    return data


def test_a_legacy_file_is_read_whole_or_refused():
    with folder() as name:
        path = pathlib.Path(name)
        _, encoder, rows = one_column(CLASSES, TABLE, values=VALUES, path=path)
        data = legacy(modelfile.network_tensors([TABLE], n_dense=1))
        (path / "old.pth").write_bytes(data)
        found, _ = score_pair(path / "old.pth", encoder, rows)
        check_close(found, SCORES, "legacy")
        for cut, words in ((len(data) - 1, "cut"), (len(data) - 400, "ends in the middle"), (200, "pickle")):
            (path / "old.pth").write_bytes(data[:cut])
            _, err = score_pair(path / "old.pth", encoder, rows, expect=1)
            check(words in err, f"cut at {cut}: {err}")
        (path / "old.pth").write_bytes(data + b"x")
        _, err = score_pair(path / "old.pth", encoder, rows, expect=1)
        check("something behind its storages" in err, err)


if __name__ == "__main__":
    harness.main(globals())
