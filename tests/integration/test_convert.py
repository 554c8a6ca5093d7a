# SPDX-License-Identifier: Apache-2.0
"""dcnv2-convert from outside: its command line, the file that it writes, a server that serves
that file, and what --inspect says of each kind of file."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import modelfile
from harness import (BINARY, ENCODER_PATH, MODEL_ENV, MODEL_PATH, Problems, Server, check,
                     check_no_sanitizer_report, free_port, limit, run_server, server_environment)
from modelfile import WordModel
from samples import MANY, bits, check_good, post_v1, scores_of
from wire import ask

CONVERT = BINARY.with_name("dcnv2-convert")
SPARSE = MODEL_ENV["SPARSE_COLS"].split(",")
NO_COLUMNS = {"DENSE_COLS": None, "SPARSE_COLS": None}
LOAD = "/v2/repository/models/dcnv2/load"
ONE_NUMBER = {"dcnv2_model": 1, "weights": "m.pt", "columns": [{"name": "p", "type": "number"}], "layers": [
    {"name": "x", "kind": "input", "parts": [{"value": "p"}]}, {"name": "out", "kind": "output", "input": "x", "weight": "w"}]}


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="dcnv2-convert-") as name:
        yield pathlib.Path(name)


def run(*arguments, env=None, umask=-1):
    """(exit code, stdout, stderr) of dcnv2-convert."""
    done = subprocess.run([str(CONVERT), *map(str, arguments)], env=server_environment(env),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=limit(20),
                          umask=umask)
    text = done.stderr.decode(errors="replace")
    check_no_sanitizer_report(text)
    return done.returncode, done.stdout.decode(errors="replace"), text


def convert(path, *arguments, env=None):
    code, out, err = run("-o", path, *arguments, env=env)
    check((code, out, err) == (0, "", ""), f"exit code {code}: {out[:100]!r} {err[:300]!r}")
    return path


def converted_env(path):
    """A server's environment in which the converted file is all there is."""
    return {"MODEL_PATH": str(path), "ENCODER_PATH": "/no-such-file", **NO_COLUMNS}


def check_one_line(label, found, code, *parts):
    """This exit code, nothing on stdout, one line on stderr with these parts."""
    check(found[0] == code, f"{label}: exit code {found[0]}: {found[2][:300]!r}")
    check(found[1] == "", f"{label}: stdout is {found[1][:100]!r}")
    check(found[2].count("\n") == 1 and found[2].endswith("\n"), f"{label}: {found[2][:300]!r}")
    for part in parts:
        check(str(part) in found[2], f"{label}: {str(part)!r} is not in {found[2]!r}")


def parts_of(path):
    """(header as a dict, offset of the data, all bytes)"""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), 8 + length, data


# ---------------------------------------------------------------- the command line

def test_help_and_version_go_to_stdout():
    code, out, err = run("--help")
    check(code == 0 and err == "", f"--help: exit code {code}, {err[:100]!r}")
    for word in ("--model-path", "--encoder-path", "--dense-cols", "--sparse-cols", "-o FILE",
                 "--inspect", "--version", *MODEL_ENV):
        check(word in out, f"--help says nothing of {word}")
    code, out, err = run("--version")
    check(code == 0 and err == "" and re.fullmatch(r"dcnv2-convert \d+\.\d+\.\d+\n", out), out)


def test_wrong_usage_is_exit_code_2_and_one_line():
    with folder() as place:
        out, problems = place / "out", Problems()
        for flags in ([], ["-o"], ["-o", ""], ["-o", "--help-me"],
                      ["--inspect"], ["--inspect="], ["--inspect", out, "-o", out],
                      ["--inspect", out, "--inspect", out],
                      ["--inspect", out, "--model-path", out],
                      ["-o", out, "--http_port", "8080"], ["-o", out, "--nope"],
                      ["-o", out, "nope"], ["-o", out, "--model-path"],
                      ["-o", out, "--model-path="], ["-o", out, "--dense-cols", "a,,b"],
                      ["-o", out, "--sparse-cols", "a,a"], ["-x"], ["--output", out],
                      ["nope\nnope"]):
            problems.collect(str(flags), lambda: check_one_line(
                flags, run(*flags), 2, "dcnv2-convert: "))
        problems.check(not out.exists(), "a file was written")
        problems.report()


def test_a_list_of_columns_ends_at_the_flag_behind_it():
    with folder() as place:
        paths = "--model-path", MODEL_PATH, "--encoder-path", ENCODER_PATH
        found = run(*paths, "--dense-cols", "price", "--sparse-cols", *SPARSE, "-o", place / "out", env=NO_COLUMNS)
        check(found == (0, "", ""), f"{found}")
        convert(place / "expected")
        check((place / "out").read_bytes() == (place / "expected").read_bytes(), "another file was written")


def test_the_last_one_of_a_repeated_flag_wins():
    with folder() as place:
        convert(place / "last", "--model-path", "/nowhere", "--model_path", MODEL_PATH)
        check(run("-o", place / "first", "-o", place / "second") == (0, "", ""), "two outputs are refused")
        check(sorted(path.name for path in place.iterdir()) == ["last", "second"], f"{list(place.iterdir())}")


def test_a_source_is_not_written_over():
    with folder() as place:
        for name in (MODEL_PATH, ENCODER_PATH):
            shutil.copy(name, place)
        model, encoder = place / MODEL_PATH.name, place / ENCODER_PATH.name
        env = {"MODEL_PATH": str(model), "ENCODER_PATH": str(encoder)}
        os.link(encoder, place / "link")
        for out in (model, encoder, place / "link"):
            check_one_line(out, run("-o", out, env=env), 2, "is one of the files that are read")
        check(model.read_bytes() == MODEL_PATH.read_bytes(), "the model was changed")


def test_flags_beat_the_environment():
    with folder() as place:
        words = WordModel(place, ["a", "b"])
        by_env = convert(place / "env", env=words.env).read_bytes()
        by_flags = convert(place / "flags", "--model-path", words.model_path, "--encoder-path=" +
                           str(words.encoder_path), "--dense-cols", "price", "--sparse-cols=word")
        check(by_flags.read_bytes() == by_env, "other bytes")


def test_sources_that_are_refused_are_named_and_leave_the_old_file():
    with folder() as place:
        out = convert(place / "model.safetensors")
        before = out.read_bytes()
        bad = place / "bad"
        bad.write_bytes(MODEL_PATH.read_bytes()[:-100])
        for env, parts in (({"MODEL_PATH": str(bad)}, [f"{bad}: "]),
                           ({"ENCODER_PATH": str(bad)}, [f"{bad}: "]),
                           ({"MODEL_PATH": "/no-such-file"}, ["/no-such-file: cannot be opened"]),
                           ({"MODEL_PATH": str(out)}, []),
                           ({"DENSE_COLS": "prices"}, [f"{ENCODER_PATH}: ", "prices"]),
                           ({"SPARSE_COLS": "userid"}, [f"{MODEL_PATH}: ", "cross_layers"])):
            target = place / "other" if env.get("MODEL_PATH") == str(out) else out
            check_one_line(env, run("-o", target, env=env), 1, *parts)
        check(out.read_bytes() == before, "the old file was changed")
        check(sorted(os.listdir(place)) == ["bad", "model.safetensors"], f"{os.listdir(place)}")


def test_what_the_written_file_cannot_hold_names_the_source():
    """A tensor that nobody uses has a name that a converted file gives to vocabularies."""
    with folder() as place:
        weights = place / "m.pt"
        modelfile.write_state_dict(weights, {"w": ([1, 1], [0.5]), "vocabulary.0.text": ([1], [0.5])})
        (place / "model.json").write_text(json.dumps({**ONE_NUMBER, "unused_tensors": ["vocabulary.*"]}))
        env = {name: None for name in MODEL_ENV}
        check_one_line("", run("--model-path", weights, "-o", place / "one", env=env), 1, f"{weights}: ", "tensors of vocabularies")
        check(not (place / "one").exists(), "it was written")


def test_places_that_cannot_be_written_are_named():
    with folder() as place:
        for out in ("/no-such-folder/model", place, "/dev/null/model"):
            check_one_line(out, run("-o", out), 1, f"{out}: cannot be written")
        check(os.listdir(place) == [], f"{os.listdir(place)}")


# ---------------------------------------------------------------- the file

def test_equal_sources_give_equal_bytes_and_the_rights_of_any_new_file():
    with folder() as place:
        first = convert(place / "first")
        check(run("-o", place / "second", umask=0o027)[0] == 0, "not converted")
        check(first.read_bytes() == (place / "second").read_bytes(), "other bytes")
        mode = stat.S_IMODE((place / "second").stat().st_mode)
        check(mode == 0o640, f"mode {mode:o}")
        check(sorted(os.listdir(place)) == ["first", "second"], f"{os.listdir(place)}")


def test_the_header_is_what_the_format_asks_for():
    with folder() as place:
        header, start, data = parts_of(convert(place / "model"))
        check(start % 64 == 0 and data[start - 1:start] in b" }", f"data at {start}")
        end = 0
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            size = {"F32": 4, "U32": 4, "U64": 8, "U8": 1}[tensor["dtype"]]
            for n in tensor["shape"]:
                size *= n
            check(tensor["data_offsets"] == [end, end + size], f"{name}: {tensor}")
            check(end % {"F32": 4, "U32": 4, "U64": 64, "U8": 1}[tensor["dtype"]] == 0, name)
            end += size
        check(start + end == len(data), "the data end elsewhere")


def test_the_schema_is_in_the_metadata():
    with folder() as place:
        words = WordModel(place, ["a", "b"])
        words.encoder_path.write_bytes(modelfile.encoder_pickle(
            {"word": words.words}, mean=0.1, scale=5e-324))
        metadata = parts_of(convert(place / "out", env=words.env))[0]["__metadata__"]
        check(all(isinstance(value, str) for value in metadata.values()), "not only texts")
        check((metadata["format"], metadata["version"]) == ("dcnv2", "2"), f"{metadata}")
        check(json.loads(metadata["sparse_columns"]) == ["word"], metadata["sparse_columns"])
        check(json.loads(metadata["dense_columns"]) == ["price"], metadata["dense_columns"])
        check(json.loads(metadata["mean"]) == [0.1], metadata["mean"])
        check(json.loads(metadata["scale"]) == [5e-324], metadata["scale"])
        for key, path in (("model", words.model_path), ("encoder", words.encoder_path)):
            expected = hashlib.sha256(path.read_bytes()).hexdigest()
            check(metadata[f"{key}_sha256"] == expected, f"{key}: {metadata}")


def test_the_vocabulary_is_in_tensors():
    with folder() as place:
        words = WordModel(place, ["", "a", "grün", "a text that is longer than a slot", "\U0001F600"])
        header, start, data = parts_of(convert(place / "out", env=words.env))

        def tensor(name):
            first, end = header[name]["data_offsets"]
            return data[start + first:start + end]
        offsets = struct.unpack(f"<{len(words.words) + 1}I", tensor("vocabulary.0.offsets"))
        text = tensor("vocabulary.0.text")
        found = [text[a:b].decode() for a, b in zip(offsets, offsets[1:])]
        check(found == words.words, f"{found}")


# ---------------------------------------------------------------- served

def interrupt(place, number):
    """Sends the signal to dcnv2-convert once its file is on the way. Whether it came in time."""
    process = subprocess.Popen([str(CONVERT), "-o", str(place / "model")], env=server_environment(),
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # which nohup ignores
    while process.poll() is None and not any(name.startswith("model.") for name in os.listdir(place)):
        pass
    process.send_signal(number)
    return process.wait(limit(20)) == -number


def test_a_signal_leaves_no_part_of_a_file():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with folder() as place:
            check(any(interrupt(place, number) for _ in range(20)), f"signal {number} never came in time")
            check(os.listdir(place) == ["model"], f"signal {number} left {os.listdir(place)}")
            check(run("--inspect", place / "model")[0] == 0, "the file is not whole")


def test_a_converted_file_is_served_with_the_same_bits():
    with folder() as place:
        # What a file is called does not matter.
        path = convert(place / "model_weights.pth")
        with Server() as pair, Server(env=converted_env(path)) as server:
            check_good(server)
            expected, found = (scores_of(post_v1(s, MANY)) for s in (pair, server))
            check(bits(found) == bits(expected), "other bits than the pair's")
            documents = [json.loads(ask(s, "GET", "/v2/models/dcnv2").body) for s in (pair, server)]
            for document in documents:
                check("loaded_at" in document.pop("parameters"), "nothing says which model it is")
            check(documents[0] == documents[1], f"{documents[1]}")


def test_columns_that_are_given_must_be_the_files():
    with folder() as place:
        path = convert(place / "model")
        with Server(env={"MODEL_PATH": str(path), "ENCODER_PATH": "/no-such-file"}) as server:
            check_good(server)
        swapped = ",".join([SPARSE[1], SPARSE[0], *SPARSE[2:]])
        for env, parts in (({"SPARSE_COLS": swapped}, ["sparse column 1", "userid", "cms_segid"]),
                           ({"SPARSE_COLS": "userid"}, ["has 16 sparse columns; 1 are named"]),
                           ({"DENSE_COLS": "prices"}, ["dense column 1", "price", "prices"])):
            found = run_server("--http_port", free_port(), env={"MODEL_PATH": str(path), **env})
            check_one_line(env, found, 1, f"{path}: ", *parts)


def test_long_and_foreign_words_are_found():
    with folder() as place:
        words = WordModel(place, ["", "a", "grün", "elevenbytes", "twelve bytes",
                                  "a text that is longer than a slot", "\U0001F600" * 20])
        path = convert(place / "model", env=words.env)
        with Server(env=converted_env(path)) as server:
            asked = words.words + ["b", "elevenbyteS", "a text that is longer than a sloT"]
            found = scores_of(post_v1(server, {"word": asked, "price": [0] * len(asked)}))
            check([words.word_of(s) for s in found] == words.words + [None] * 3, f"{found}")


def damaged(data):
    """(what was done, the bytes, what the refusal says)"""
    length = struct.unpack("<Q", data[:8])[0]
    yield "cut in the data", data[:-1], "is cut"
    yield "cut in the header", data[:length // 2], "is cut"
    yield "longer", data + b"\0", "behind the last tensor"
    for at in (8 + length // 2, 8 + length, len(data) // 2, len(data) - 1):
        yield f"byte {at}", data[:at] + bytes([data[at] ^ 1]) + data[at + 1:], ": "
    yield "version", data.replace(b'"version":"2"', b'"version":"4"', 1), 'format version "4"'
    yield "column", data.replace(b"userid", b"useriD", 1), "checksum of the header is wrong"
    yield "weight", data[:-1] + bytes([data[-1] ^ 1]), "checksum of tensor"


def test_damaged_files_are_refused_with_their_reason():
    with folder() as place:
        good, problems = convert(place / "good").read_bytes(), Problems()
        path = place / "bad.safetensors"
        for label, data, reason in damaged(good):
            path.write_bytes(data)
            env = {**converted_env(path), **{n: MODEL_ENV[n] for n in NO_COLUMNS}}
            problems.collect(label, lambda: check_one_line(
                label, run_server("--http_port", free_port(), env=env), 1, f"{path}: ", reason))
            problems.collect(label, lambda: check_one_line(
                label, run("--inspect", path), 1, f"{path}: ", reason))
        problems.report()


def test_load_takes_a_new_converted_file_and_refuses_a_bad_one():
    with folder() as place:
        path, words = place / "model", ["a", "b", "c"]
        first, second = (WordModel(place / name, words) for name in make_folders(place, "1", "2"))
        modelfile.write_state_dict(second.model_path,
                                   modelfile.network_tensors([[1.0, 2.0, 3.0, 0.0]]))
        row = {"word": ["b"], "price": [0]}
        convert(path, env=first.env)
        with Server("--enable_model_repository", "true", env=converted_env(path)) as server:
            old = scores_of(post_v1(server, row))
            convert(path, env=second.env)  # replaces the file that the server has mapped
            check(scores_of(post_v1(server, row)) == old, "changed before the load")
            check(ask(server, "POST", LOAD, b"").status == 200, "not loaded")
            new = scores_of(post_v1(server, row))
            check(abs(new[0] - 0.8807970779778823) < 1e-6, f"{new}")
            bad = place / "bad"
            bad.write_bytes(path.read_bytes()[:-1])
            os.replace(bad, path)
            answer = ask(server, "POST", LOAD, b"")
            check(answer.status == 400 and b"is cut" in answer.body, f"{answer.body[:200]!r}")
            check(scores_of(post_v1(server, row)) == new, "the old model is gone")
            os.unlink(path)
            check(scores_of(post_v1(server, row)) == new, "the old model is gone")


def make_folders(place, *names):
    for name in names:
        (place / name).mkdir()
    return names


def test_load_goes_from_the_pair_to_the_converted_file_and_back():
    with folder() as place:
        path = place / "model"
        shutil.copy(MODEL_PATH, path)
        converted = convert(place / "converted")
        env = {"MODEL_PATH": str(path), **NO_COLUMNS}
        with Server("--enable_model_repository", "true", env=env) as server:
            expected = bits(scores_of(post_v1(server, MANY)))
            for source in (converted, MODEL_PATH):
                shutil.copy(source, place / "next")
                os.replace(place / "next", path)
                answer = ask(server, "POST", LOAD, b"")
                check(answer.status == 200, f"{answer.body[:200]!r}")
                check(bits(scores_of(post_v1(server, MANY))) == expected, f"{source}: other bits")


# ---------------------------------------------------------------- --inspect

def inspect(path):
    code, out, err = run("--inspect", path, env={name: None for name in MODEL_ENV})
    check(code == 0 and err == "", f"{path}: exit code {code}: {err[:300]!r}")
    return out


def test_inspect_shows_a_state_dict():
    out = inspect(MODEL_PATH)
    for part in ("a PyTorch state dict", "1 dense and 16 sparse columns", "x0 129 wide",
                 "2 with layer norm", "deep layers: 128, 64", '[402, 8]', '"embeddings.0.weight"',
                 "tensors: 30"):
        check(part in out, f"{part!r} is not in {out[:600]!r}")


def drawing(out):
    return out[out.index("            layer "):out.index(" multiply-adds per row")]


def test_inspect_draws_the_same_network_of_each_kind_of_source():
    with folder() as place:
        drawn = drawing(inspect(MODEL_PATH))
        for line in ("+-o         cross_layers.1     cross_layer_norm                129 -> 129      17028      17028",
                     "o-+         output             output                            193 -> 1        194        193",
                     "| |           weight      cross_layers.0.0.weight [129, 129]"):
            check(line in drawn, f"{line!r} is not in {drawn}")
        check(max(map(len, drawn.splitlines())) <= 100, "wider than 100 columns")
        check(drawing(inspect(convert(place / "model"))) == drawn, "another drawing of the converted file")


def test_inspect_draws_the_network_that_a_description_tells():
    with folder() as place:
        modelfile.write_state_dict(place / "m.pt", {"w": ([1, 1], [0.5])})
        (place / "model.json").write_text(json.dumps(ONE_NUMBER))
        header = b'{"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'
        (place / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 0.5))
        for path in (place, place / "m.pt", place / "m.safetensors"):
            out = inspect(path)
            check("with a model.json" in out and "weight      w [1, 1]" in drawing(out), out)
        (place / "model.json").write_text("{}")
        for path in (place, place / "m.pt"):
            code, _, err = run("--inspect", path, env={name: None for name in MODEL_ENV})
            check(code == 1 and "model.json" in err and err.count("\n") == 1, f"{path}: {code}: {err}")
        (place / "model.json").unlink()
        out = inspect(place / "m.safetensors")
        check("safetensors of " in out and "network: not recognised" in out and '[1, 1]           "w"' in out, out)


def test_inspect_shows_an_encoder():
    out = inspect(ENCODER_PATH)
    for part in ("LabelEncoder", '"price": mean 0.192017929', '"userid": 401 classes: "1008096"',
                 "sparse columns: 16", '"btag": 1 classes: "1"'):
        check(part in out, f"{part!r} is not in {out[:600]!r}")


def test_inspect_shows_a_converted_file():
    with folder() as place:
        out = inspect(convert(place / "model"))
    for part in ("a converted model", "deep layers: 128, 64", '"price": mean 0.192017929',
                 '"userid": 401 classes: "1008096"', '"vocabulary.15.slots"', '"version": "2"',
                 hashlib.sha256(MODEL_PATH.read_bytes()).hexdigest()):
        check(part in out, f"{part!r} is not in {out[:600]!r}")


def test_inspect_says_why_a_network_is_not_recognised():
    with folder() as place:
        path = place / "other.pth"
        modelfile.write_state_dict(path, {"fc.weight": ([2, 2], [0.0] * 4)})
        out = inspect(path)
        check("network: not recognised: " in out and '"fc.weight"' in out, out)


def test_inspect_prints_hostile_names_on_one_line():
    with folder() as place:
        words = WordModel(place, ["a\nb\x1b[31m", "ok"])
        for path in (words.encoder_path, convert(place / "out", env=words.env)):
            out = inspect(path)
            check('"a?b?[31m"' in out and "\x1b" not in out, out)


def test_inspect_refuses_other_files_with_one_line():
    with folder() as place:
        for name, data in (("empty", b""), ("text", b"hello"), ("zip", b"PK\3\4"),
                           ("pickle", b"\x80\x04N."), ("gzip", b"\x1f\x8b\x08"),
                           ("code", b"\x80\x04cos\nsystem\n(X\x02\0\0\0lstR."),
                           ("safetensors", struct.pack("<Q", 56) + b"{}" + b" " * 54)):
            path = place / name
            path.write_bytes(data)
            check_one_line(name, run("--inspect", path), 1, f"{path}: ")
        for path in (place, place / "missing"):
            check_one_line(path, run("--inspect", path), 1, f"{path}: ")


if __name__ == "__main__":
    harness.main(globals())
