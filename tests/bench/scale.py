#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large click log: how much memory training takes, how fast it is read beside the disk, and how fast
it is scored beside the server.

usage: tests/bench/scale.py [--rows 5000000] [--factor 1] [--gib-limit 1.5] [--reading-only]

Rows of TaobaoAd_x1's shape are generated below build/ (tests/bench/click_log.c; --factor: of users'
and ads' numbers), trained on for one epoch, or until they are read, and scored by the model that was
learnt. Prints Markdown; exit code 1 where a goal is missed. The disk is the file read by `cat` with
nothing of it in memory, the page cache the same with all of it there. The server, with the same model on
one core, gets v1 requests of 200 of the file's rows each.
"""
import argparse
import csv
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402
import programs  # noqa: E402

TRAIN, SCORE = (harness.BINARY.parent / name for name in ("dcnv2-train", "dcnv2-score"))
GENERATOR = harness.BINARY.parent.parent / "bench/click_log"
COLUMNS = ["--label", "clk", "--dense-cols", "price", "--sparse-cols", harness.MODEL_ENV["SPARSE_COLS"]]
READ = re.compile(r"^read (\d+) training rows in ([\d.]+) s")
EPOCH = re.compile(r"^epoch 1/1: .* (\d+) rows/s")
SCORED = re.compile(r"^(\d+) rows in [\d.]+ s, (\d+) rows/s")
REQUEST_ROWS, N_REQUESTS, CONNECTIONS, LOAD_S = 200, 20, 8, 3


def generate(path, n_rows, seed=1, factor=1):
    with open(path, "wb") as file:
        subprocess.run([GENERATOR, str(n_rows), str(seed), str(factor)], stdout=file, stdin=subprocess.DEVNULL,
                       check=True)
    return path


def train(path, output, *flags, reading_only=False, seconds=3600):
    """Exit code, bytes of peak memory, seconds of reading, rows/s of the epoch, what it said."""
    command = [TRAIN, "--train-data", path, "--output", output, "--epochs", 1, *COLUMNS, *flags]
    kept = {n: v for n, v in os.environ.items() if n not in ("WORLD_SIZE", "PET_NNODES")}
    process = subprocess.Popen([str(part) for part in command], env=kept, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    clock = threading.Timer(seconds, process.kill)
    clock.start()
    said, read_s, rate = "", None, None
    started = time.monotonic()
    try:
        for line in process.stderr:
            said += line
            if READ.match(line):
                read_s = time.monotonic() - started
                if reading_only:
                    process.send_signal(signal.SIGTERM)
            if EPOCH.match(line):
                rate = int(EPOCH.match(line).group(1))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        clock.cancel()
        process.stderr.close()
    return process.returncode, used.ru_maxrss * 1024, read_s, rate, said


def scored(path, model, n_threads, cores, seconds=3600):
    """Rows, and rows/s, of dcnv2-score."""
    with programs.on_cores(cores), open("/dev/null", "wb") as nowhere:
        done = subprocess.run([SCORE, "--model-path", model, "--threads", str(n_threads), path], stdout=nowhere,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True, timeout=seconds)
    return map(int, SCORED.match(done.stderr).groups())


def served(path, model):
    """Rows/s of the server on one core."""
    with open(path, newline="") as file:
        rows = list(itertools.islice(csv.DictReader(file), REQUEST_ROWS * N_REQUESTS))
    names = [name for name in rows[0] if name != "clk"]
    bodies = [json.dumps({"inputs": [{name: [float(row[name]) if name == "price" else row[name] for row in some]
                                      for name in names}]}).encode()
              for some in (rows[i:i + REQUEST_ROWS] for i in range(0, len(rows), REQUEST_ROWS))]
    with tempfile.TemporaryDirectory() as folder, \
            programs.server({"MODEL_PATH": str(model)}, "--workers", "1") as server:
        server.first_answer("GET", "/v2/health/ready")
        requests = programs.Requests(folder, "rows", programs.V1, bodies)
        requests.expect_answers_of(server)
        found = programs.load(server, requests, CONNECTIONS, LOAD_S)
    return found["right"] * REQUEST_ROWS / found["seconds"]


def cat_s(path):
    started = time.monotonic()
    with open("/dev/null", "wb") as nowhere:
        subprocess.run(["cat", path], stdout=nowhere, check=True)
    return time.monotonic() - started


def forget(path):
    """Drops the file's pages from the cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_scoring(path, model, n_rows):
    """[(what, rows/s)], the server last."""
    found = []
    for n_threads in range(1, len(programs.CORES) + 1):
        n, rate = scored(path, model, n_threads, set(programs.CORES[:n_threads]))
        if n != n_rows:
            sys.exit(f"scale: dcnv2-score scored {n} rows of {n_rows}")
        found.append((f"dcnv2-score, threads and cores: {n_threads}", rate))
    return [*found, (f"the server on one core, {REQUEST_ROWS} rows per request", served(path, model))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--factor", type=int, default=1)
    parser.add_argument("--gib-limit", type=float, default=1.5)
    parser.add_argument("--reading-only", action="store_true")
    arguments = parser.parse_args()
    path = ROOT / f"build/scale/{arguments.rows}x{arguments.factor}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(generate(path.with_suffix(".part"), arguments.rows, factor=arguments.factor), path)
    size = path.stat().st_size
    forget(path)
    disk_s = cat_s(path)
    cache_s = min(cat_s(path) for _ in range(3))
    scores = []  # what, rows/s
    with tempfile.TemporaryDirectory() as output:
        code, peak, read_s, rate, said = train(path, output, reading_only=arguments.reading_only)
        if code == 0:
            scores = measure_scoring(path, pathlib.Path(output, "model.safetensors"), arguments.rows)
    expected = 128 + signal.SIGTERM if arguments.reading_only else 0
    if code != expected or read_s is None:
        sys.exit(f"scale: dcnv2-train ended with {code}: {said[-500:]}")
    is_met = peak <= arguments.gib_limit * 2**30
    print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB, load average {os.getloadavg()[0]:.1f}\n\n"
          "| what | seconds | MB/s | rows/s |\n|---|---|---|---|")
    for what, seconds in (("reading and encoding, one thread", read_s), ("the disk: cat, cold", disk_s),
                          ("the page cache: cat", cache_s)):
        print(f"| {what} | {seconds:.2f} | {size / 1e6 / seconds:,.0f} | {arguments.rows / seconds:,.0f} |")
    if rate:
        print(f"| an epoch | {arguments.rows / rate:.2f} | | {rate:,} |")
    for what, rows_a_second in scores:
        print(f"| {what} | {arguments.rows / rows_a_second:.2f} | | {rows_a_second:,.0f} |")
    print(f"\nPeak resident memory: {peak / 2**30:.3f} GiB, goal {arguments.gib_limit} or less: "
          f"{'met' if is_met else 'MISSED'}")
    if scores:
        (_, ours), *_, (_, servers) = scores
        is_met &= ours >= servers
        print(f"dcnv2-score beside the server, a core each: {ours / servers:.2f}, goal 1 or more: "
              f"{'met' if ours >= servers else 'MISSED'}")
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
