# SPDX-License-Identifier: Apache-2.0
"""Ids that were made to collide take no longer than others: where they are read, loaded, converted and asked for.

With a hash that is known, as versions up to 0.1 had one, ids can be made whose searches in a table all start
side by side, so that each walks past all that came before. Each time is compared with that of as many other ids,
in turns, by the least of a few: the machine's load is on both.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import BINARY, Server, check, limit
from modelfile import WordModel
from samples import post_v1, scores_of
from training import environment

N_IDS, N_ASKED, TURNS = 40_000, 10_000, 3
MOST_TIMES = 3  # without a seed it was 20 to 300 times
SLACK_SECONDS = 0.02  # times below are the machine's, not the table's
MASK = (1 << 64) - 1
KINDS = ("flood", "others")
READY = re.compile(r"ready after ([\d.]+) ms")


def old_hash(text):
    """The hash of 9 to 11 bytes, as it was before tables had a seed."""
    low = int.from_bytes(text[:8], "little")
    high = int.from_bytes(text[8:], "little") | (len(text) + 1) << 24
    product = (low ^ 0x9E3779B97F4A7C15) * (high ^ 0xD6E8FEB86659FD93)
    return (product & MASK) ^ product >> 64


def make_ids(kind, n):
    """Distinct ids of ten bytes. `flood`: their searches start in one 8th of any table of the old hash."""
    found, number = [], 0
    while len(found) < n:
        text = b"u%09d" % number
        number += 1 if kind == "flood" else 8
        if kind != "flood" or old_hash(text) & 0xFFFFFFFF < 1 << 29:
            found.append(text.decode())
    return found


ALL_IDS = {kind: make_ids(kind, N_IDS + N_ASKED) for kind in KINDS}
IDS = {kind: ids[:N_IDS] for kind, ids in ALL_IDS.items()}
UNKNOWN = {kind: ids[N_IDS:] for kind, ids in ALL_IDS.items()}


def check_times(label, measure):
    """measure(kind) in seconds, in turns."""
    least = dict.fromkeys(KINDS, float("inf"))
    for turn in range(TURNS):
        for kind in KINDS if turn % 2 else reversed(KINDS):
            least[kind] = min(least[kind], measure(kind))
    most = MOST_TIMES * (least["others"] + SLACK_SECONDS * harness.SLOWDOWN)
    check(least["flood"] <= most, f"{label}: {least['flood']:.3f} s for ids that were made to collide, "
                                  f"{least['others']:.3f} s for others")


def cpu_seconds(*command):
    """What the program took of the CPU, which has to end well."""
    process = subprocess.Popen([str(part) for part in command], env=environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode(errors="replace")
    process.stderr.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    harness.check_no_sanitizer_report(said)
    check(process.returncode == 0, f"exit code {process.returncode}: {said[-400:]}")
    return used.ru_utime + used.ru_stime


def program(name, *arguments):
    return cpu_seconds(BINARY.with_name(name), *arguments)


def write_log(path, ids):
    path.write_text("clk,word,price\n" + "".join(f"{i % 2},{text},1\n" for i, text in enumerate(ids)))
    return path


def in_folders(test):
    """test({kind: a folder with model and log of that kind's ids})."""
    def run():
        with tempfile.TemporaryDirectory(prefix="dcnv2-flood-") as name:
            places = {}
            for kind in KINDS:
                place = pathlib.Path(name) / kind
                place.mkdir()
                places[kind] = place, WordModel(place, IDS[kind]), write_log(place / "log.csv", IDS[kind])
            test(places)
    return run


def test_the_ids_are_a_flood_for_the_old_hash():
    flood, others = ([old_hash(text.encode()) & 0xFFFFFFFF for text in ALL_IDS[kind]] for kind in KINDS)
    check(all(len(set(ids)) == N_IDS + N_ASKED for ids in ALL_IDS.values()), "ids come twice")
    check(max(flood) < 1 << 29 < 7 << 29 < max(others), "no flood, or two")


@in_folders
def test_reading_a_click_log(places):
    def read(kind):
        place, _, log = places[kind]
        return program("dcnv2-train", "--train-data", log, "--valid-data", log, "--label", "clk", "--dense-cols", "price",
                       "--sparse-cols", "word", "--group-col", "word", "--output", place / "trained", "--epochs", 1,
                       "--embedding", 1, "--cross-layers", 1, "--dnn", "none", "--batch-size", 4096, "--threads", 1)
    check_times("dcnv2-train", read)


@in_folders
def test_scoring_a_click_log(places):
    def score(kind):
        _, words, log = places[kind]
        return program("dcnv2-score", "--model-path", words.model_path, "--encoder-path", words.encoder_path,
                       "--dense-cols", "price", "--sparse-cols", "word", log)
    check_times("dcnv2-score", score)


def convert(place, words):
    out = place / "model.safetensors"
    return out, program("dcnv2-convert", "-o", out, "--model-path", words.model_path, "--encoder-path",
                        words.encoder_path, "--dense-cols", "price", "--sparse-cols", "word")


@in_folders
def test_converting(places):
    check_times("dcnv2-convert", lambda kind: convert(*places[kind][:2])[1])


def ready_seconds(env):
    with Server(env=env) as server:
        # The line is written by a thread of its own, perhaps after the first connection.
        check(harness.wait_until(lambda: READY.search(server.log()), 5), server.log()[-300:])
        return float(READY.search(server.log())[1]) / 1000


@in_folders
def test_starting_the_server(places):
    check_times("the start", lambda kind: ready_seconds(places[kind][1].env))


def check_requests(label, envs):
    """Requests for ids that are classes, and for others that start in the same place."""
    with Server(env=envs["flood"]) as flood, Server(env=envs["others"]) as others:
        servers = {"flood": flood, "others": others}

        def ask(kind, asked):
            started = time.monotonic()
            answer = post_v1(servers[kind], {"word": asked, "price": [0] * N_ASKED}, timeout=limit(30))
            seconds = time.monotonic() - started
            check(len(scores_of(answer)) == N_ASKED, f"{answer.body[:200]!r}")
            return seconds
        check_times(f"{label}, classes", lambda kind: ask(kind, IDS[kind][-N_ASKED:]))
        check_times(f"{label}, unknown", lambda kind: ask(kind, UNKNOWN[kind]))


@in_folders
def test_requests(places):
    check_requests("a request", {kind: places[kind][1].env for kind in KINDS})


@in_folders
def test_requests_to_a_converted_file(places):
    envs = {kind: {"MODEL_PATH": str(convert(*places[kind][:2])[0]), "ENCODER_PATH": "/no-such-file",
                   "DENSE_COLS": None, "SPARSE_COLS": None} for kind in KINDS}
    check_requests("a request to a converted file", envs)
    check_times("the start with a converted file", lambda kind: ready_seconds(envs[kind]))


if __name__ == "__main__":
    harness.main(globals())
