#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large click log: how much memory training takes, and how fast it is read beside the disk.

usage: tests/bench/scale.py [--rows 5000000] [--factor 1] [--gib-limit 1.5] [--reading-only]

Rows of TaobaoAd_x1's shape are generated below build/ (tests/bench/click_log.c; --factor: of users'
and ads' numbers), and trained on for one epoch, or until they are read. Prints Markdown; exit code
1 where the limit is passed. The disk is the file read by `cat` with nothing of it in memory, the page
cache the same with all of it there.
"""
import argparse
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

TRAIN = harness.BINARY.parent / "dcnv2-train"
GENERATOR = harness.BINARY.parent.parent / "bench/click_log"
COLUMNS = ["--label", "clk", "--dense-cols", "price", "--sparse-cols", harness.MODEL_ENV["SPARSE_COLS"]]
READ = re.compile(r"^read (\d+) training rows in ([\d.]+) s")
EPOCH = re.compile(r"^epoch 1/1: .* (\d+) rows/s")


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
    with tempfile.TemporaryDirectory() as output:
        code, peak, read_s, rate, said = train(path, output, reading_only=arguments.reading_only)
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
    print(f"\nPeak resident memory: {peak / 2**30:.3f} GiB, goal {arguments.gib_limit} or less: "
          f"{'met' if is_met else 'MISSED'}")
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
