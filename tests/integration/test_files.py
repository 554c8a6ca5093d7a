# SPDX-License-Identifier: Apache-2.0
"""Files as people have them: click logs that are packed in several ways, the wrong file in the place of a
model, a file that is missing or far too large: which file is blamed, and what the message says to do."""
import gzip
import json
import math
import os
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ENCODER_PATH, MODEL_PATH, Server, check, limit, run_server, wait_until
from training import BIN, TEST_CSV, environment, folder, rows, score, train, write_csv
from wire import ask


# ---------------------------------------------------------------- packed click logs

def packed_parts(n=400):
    """The header with n rows, and n rows more; each packed on its own."""
    lines = rows(2 * n)
    parts = ["\n".join(part) + "\n" for part in (lines[:n + 1], lines[n + 1:])]
    return lines, [gzip.compress(part.encode(), mtime=0) for part in parts]


def test_all_members_of_a_packed_log_are_read_and_padding_behind_them_is_not():
    with folder() as name:
        path = pathlib.Path(name)
        lines, (first, second) = packed_parts()
        whole, _ = score(None, write_csv(path / "plain.csv", lines))
        packed = path / "packed.csv.gz"
        for label, data in (("two members", first + second), ("zeros behind", first + second + bytes(10240)),
                            ("zeros between", first + bytes(512) + second)):
            packed.write_bytes(data)
            scores, err = score(None, packed)
            check(scores == whole and len(scores) == 800, f"{label}: {len(scores)} scores; {err}")
            err = train("--epochs", 1, data=[packed], valid=(), output=path / "model")
            check("read 800 training rows" in err, f"{label}: {err}")


def test_a_packed_log_that_goes_on_as_something_else_is_refused():
    with folder() as name:
        path = pathlib.Path(name)
        lines, (first, second) = packed_parts()
        tail = ("\n".join(lines[401:]) + "\n").encode()
        bad_check = second[:-8] + bytes([second[-8] ^ 1]) + second[-7:]
        packed, good = path / "packed.csv.gz", write_csv(path / "good.csv", lines)
        not_gzip = f"what follows the gzip data at byte {len(first)} is not gzip"
        for label, data, said, n in (
                ("a plain tail", first + tail, not_gzip, 401),
                ("one byte more", first + b"\n", not_gzip, 401),
                ("a cut member", first + second[:-3], f"the end of the gzip member at byte {len(first)} is missing", 801),
                ("a bad checksum", first + bad_check, f"the gzip member at byte {len(first)} is damaged", 801)):
            packed.write_bytes(data)
            expected = f"{packed}: ", said, f"; {n} records were read before"
            _, err = score(None, packed, expect=1)
            check(all(text in err for text in expected) and err.count("\n") == 1, f"dcnv2-score, {label}: {err}")
            for places in ({"data": [packed], "valid": ()}, {"data": [good], "valid": [packed]}):
                err = train("--epochs", 1, output=path / "model", expect=1, **places)
                check(all(text in err for text in expected), f"dcnv2-train, {label}: {err}")
            check(not (path / "model/model.safetensors").exists(), f"{label}: a model was written")


# ---------------------------------------------------------------- which file is blamed

NO_MODEL = "is neither a PyTorch zip file of a state dict nor a file that dcnv2-convert wrote"
MISSING = {"MODEL_PATH": None, "ENCODER_PATH": None, "DENSE_COLS": None, "SPARSE_COLS": None}


def each_program(*flags):
    """(name, exit code, stderr) of the server, dcnv2-convert and dcnv2-score, with these flags and no variables."""
    code, _, err = run_server("--http_port", harness.free_port(), *flags, env=MISSING, timeout=5)
    yield "dcnv2-server", code, err
    for name, more in (("dcnv2-convert", ["-o", "/nowhere/out"]), ("dcnv2-score", [TEST_CSV])):
        variables = {n: v for n, v in environment().items() if n not in MISSING}
        done = subprocess.run([str(word) for word in (BIN / name, *flags, *more)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=limit(10), env=variables)
        harness.check_no_sanitizer_report(done.stderr)
        yield name, done.returncode, done.stderr


def check_blamed(flags, path, said):
    for name, code, err in each_program(*flags):
        check(code == 1 and err.count("\n") == 1, f"{name} {flags}: exit code {code}: {err}")
        check(f"{path}: {said}" in err, f"{name} {flags}: {err}")


def test_a_file_that_is_no_model_is_blamed_before_the_encoder_file_that_is_missing():
    if pathlib.Path("/mnt/models").exists():
        return  # the place of the files that nobody named
    with folder() as name:
        path = pathlib.Path(name)
        for label, data, said in (("metrics.json", b'{\n  "auc": 0.7\n}\n', NO_MODEL), ("page.html", b"<!DOCTYPE html>", NO_MODEL),
                                  ("rows.csv", b"a,b\n1,2\n", NO_MODEL), ("zeros", bytes(100_000), NO_MODEL),
                                  ("encoder.pkl", ENCODER_PATH.read_bytes(), NO_MODEL),
                                  ("cut.pth", MODEL_PATH.read_bytes()[:5000], "is not a PyTorch zip file, or is cut")):
            (path / label).write_bytes(data)
            check_blamed(["--model-path", path / label], path / label, said)
            check_blamed(["--model-path", path / label, "--encoder-path", path / "none"], path / label, said)


def test_a_file_that_nobody_named_and_is_missing_is_told_with_the_flag_that_names_it():
    if pathlib.Path("/mnt/models").exists():
        return
    gone = "cannot be opened: No such file or directory"
    check_blamed(["--model-path", MODEL_PATH], "/mnt/models/preprocess_metadata.pkl",
                 f"{gone}; --encoder-path or ENCODER_PATH names the encoder file of a state dict")
    check_blamed([], "/mnt/models/model_weights.pth", f"{gone}; --model-path or MODEL_PATH names the model file")
    for flags in (["--model-path", "/no/such"], ["--model-path", MODEL_PATH, "--encoder-path", "/no/such"]):
        for name, _, err in each_program(*flags):
            check(err.endswith(f"/no/such: {gone}\n"), f"{name} {flags}: {err}")


def test_a_load_of_garbage_blames_the_model_file_where_no_encoder_file_is():
    with folder() as name:
        path = pathlib.Path(name) / "model.safetensors"
        train("--epochs", 1, data=[write_csv(path.parent / "log.csv", rows(200))], valid=(), output=path.parent)
        with Server("--enable_model_repository", "true", env={**MISSING, "MODEL_PATH": str(path)}) as server:
            for garbage, said in ((b"garbage", NO_MODEL), (b"PK\x03\x04garbage" * 10, "is not a PyTorch zip file")):
                path.with_name("new").write_bytes(garbage)
                os.replace(path.with_name("new"), path)
                answer = ask(server, "POST", "/v2/repository/models/dcnv2/load", b"")
                check(answer.status == 400, f"status {answer.status}")
                check(answer.error().startswith(f"Model with name dcnv2 was not loaded: model file: {said}"), answer.error())
                check(wait_until(lambda: f"{path}: {said}" in server.log(), 2), server.log())


# ---------------------------------------------------------------- checkpoints

def checksum(data):
    """As src/format/checksum.h says."""
    def add(total, word):
        product = (total ^ word) * 0x9E3779B97F4A7C15 % 2 ** 64
        return (product << 29 | product >> 35) % 2 ** 64

    sums, result = [1, 2, 3, 4, 5, 6, 7, 8], 0
    padded = data + bytes(-len(data) % 64)
    for i, (word,) in enumerate(struct.iter_unpack("<Q", padded)):
        sums[i % 8] = add(sums[i % 8], word)
    for word in (*sums, len(data)):
        result = add(result, word)
    return result


def with_number(data, place, number):
    """A checkpoint with another number of the run, and checksums that are right."""
    length = struct.unpack("<Q", data[:8])[0]
    header, body = data[8:8 + length], bytearray(data[8 + length:])
    parsed = json.loads(header)
    begin, end = parsed["run.numbers"]["data_offsets"]
    struct.pack_into("<d", body, begin + 8 * place, number)
    old, new = parsed["__metadata__"]["checksum.run.numbers"], f"{checksum(bytes(body[begin:end])):016x}"
    header = header.replace(old.encode(), new.encode()).replace(parsed["__metadata__"]["checksum"].encode(), b"0" * 16, 1)
    header = header.replace(b"0" * 16, f"{checksum(header):016x}".encode(), 1)
    return data[:8] + header + bytes(body)


def test_a_checkpoint_that_stands_where_no_run_does_is_refused():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "log.csv", rows(200))]
        train("--epochs", 2, data=data, valid=(), output=path)  # 2 batches an epoch
        checkpoint = path / "checkpoint.safetensors"
        good = checkpoint.read_bytes()
        step, epoch, batch, best = range(4)
        for place, number, said in (
                (step, 3.0, f"{checkpoint} stands at step 3, epoch 2, batch 0"), (batch, 1.0, "stands at step 4, epoch 2, batch 1"),
                (batch, 3.0, "an epoch has 2 batches here"), (step, 4.5, "its step is 4.5, which no run has"),
                (step, math.nan, "its step is nan"), (step, 1e300, "its step is 1e+300"), (epoch, -1.0, "its epoch is -1"),
                (epoch, 4e9, "it has measured 2 epochs; 4000000000 are done"), (best, 3.0, "and the best is 3")):
            checkpoint.write_bytes(with_number(good, place, number))
            err = train("--epochs", 3, "--resume", data=data, valid=(), output=path, expect=1)
            check(said in err and f"{checkpoint}" in err, f"number {place} = {number}: {err}")
        checkpoint.write_bytes(with_number(good, step, 4.0))
        err = train("--epochs", 3, "--resume", data=data, valid=(), output=path)
        check("going on after epoch 2, step 4" in err, err)


# ---------------------------------------------------------------- files that are far too large

def memory_bytes():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def sparse(path, first, size):
    """A file of that size which takes no place on the disk."""
    with open(path, "wb") as file:
        file.write(first)
        file.truncate(size)
    return path


def test_a_file_larger_than_memory_is_refused_before_it_is_read():
    with folder() as name:
        size = memory_bytes() + (1 << 40)
        large = sparse(pathlib.Path(name) / "large", MODEL_PATH.read_bytes()[:1000], size)
        for flags in (["--model-path", large, "--encoder-path", ENCODER_PATH], ["--model-path", MODEL_PATH, "--encoder-path", large]):
            check_blamed(flags, large, f"has {size} bytes, and the memory here is ")
        done = subprocess.run([str(BIN / "dcnv2-convert"), "--inspect", str(large)], stderr=subprocess.PIPE, text=True, timeout=limit(10))
        check(done.returncode == 1 and "too large to be read" in done.stderr, done.stderr)
        zeros = sparse(pathlib.Path(name) / "zeros", b"", size)  # by what it is, not by its size
        check_blamed(["--model-path", zeros, "--encoder-path", ENCODER_PATH], zeros, NO_MODEL)


def test_the_containers_memory_counts_where_it_is_less():
    mount = "mount -t tmpfs none /sys/fs/cgroup && "
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec"]
    if os.geteuid() != 0 or subprocess.run([*unshare, mount + "true"], stderr=subprocess.DEVNULL).returncode != 0:
        return  # no mount namespace may be made here
    size = MODEL_PATH.stat().st_size
    with folder() as name:
        for kind, line, code in (("memory.max", size - 1, 1), ("memory.max", size, 0), ("memory.max", "max", 0),
                                 ("memory/memory.limit_in_bytes", size - 1, 1), ("memory/memory.limit_in_bytes", 2 ** 63 - 4096, 0)):
            done = subprocess.run(
                [*unshare, f"{mount} mkdir -p /sys/fs/cgroup/memory; echo {line} > /sys/fs/cgroup/{kind}; exec \"$@\"", "sh",
                 str(BIN / "dcnv2-convert"), "--model-path", str(MODEL_PATH), "--encoder-path", str(ENCODER_PATH), "-o", f"{name}/out"],
                stderr=subprocess.PIPE, text=True, timeout=limit(20))
            check(done.returncode == code, f"{kind} {line}: exit code {done.returncode}: {done.stderr}")
            check(code == 0 or f"has {size} bytes, and the memory here is {line}: " in done.stderr, done.stderr)


def test_what_is_no_regular_file_is_refused_without_waiting():
    with folder() as name:
        path = pathlib.Path(name)
        os.mkfifo(path / "fifo")
        for place, reason in ((path / "fifo", "is not a regular file"), (pathlib.Path("/dev/zero"), "is not a regular file"),
                              (path, "is a folder; name the file in it")):
            for flags in (["--model-path", place, "--encoder-path", ENCODER_PATH], ["--model-path", MODEL_PATH, "--encoder-path", place]):
                check_blamed(flags, place, reason)


if __name__ == "__main__":
    harness.main(globals())
