#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the server beside a fixed reply, KServe's Python server and ONNX Runtime, and prints
one table: both sides, their ratio, the goal, and whether it is met. It is Markdown.

usage: tests/bench/bench.py [--model DIR] [--runs 5] [--seconds 1.5] [--quick]

DIR holds model_weights.pth and preprocess_metadata.pkl: ../shared/taobao-full where that lies
beside the project, else the demo model. What is measured has one core, the client another; the
runs of both sides take turns. A figure is the median of the runs, with the least and the most; a
ratio is the median of the ratios run by run. Every reply is checked: a wrong one makes the exit
code 1. A missed goal does not, it is shown as missed.
"""
import argparse
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

import measures
import programs
import table
from programs import ROOT, Failure

sys.path.insert(0, str(ROOT / "tests"))
import pypi  # noqa: E402

PEER_PACKAGES = ("kserve", "torch", "onnxruntime")


def first_line(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def describe_machine(python):
    """Lines that say where the table was measured."""
    names = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    lines = [
        f"CPU: {names[0] if names else platform.machine()}, {os.cpu_count()} cores; Linux {platform.release()}; "
        f"load average at the start {os.getloadavg()[0]:.2f}",
        f"compiler: {first_line(os.environ.get('CC', 'cc'), '--version')}; "
        f"libmicrohttpd {first_line('pkg-config', '--modversion', 'libmicrohttpd')}"]
    if python:
        asked = "import importlib.metadata as m; print(', '.join(p + ' ' + m.version(p) for p in %r))" % (PEER_PACKAGES,)
        lines.append(f"peers: {first_line(python, '-c', asked)}")
    if len(programs.CORES) < 2:
        lines.append("one core only: the client shares it, which the ratios show")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of load a run and side")
    parser.add_argument("--quick", action="store_true",
                        help="one short run of each, of the demo model, without peers: does it all still work?")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the programs end too

    full, demo = ROOT.parent / "shared/taobao-full", ROOT / "model"
    model = arguments.model or (demo if arguments.quick or not full.is_dir() else full)
    python = None if arguments.quick else pypi.find("venv-peers", "tests/bench/requirements.txt")
    for line in [f"model: {'demo' if model == demo else 'full' if model == full else model}", *describe_machine(python)]:
        print(line, flush=True)
    runs, seconds = (1, 0.1) if arguments.quick else (arguments.runs, arguments.seconds)
    programs.stay_on_client_core()
    rows, failures = [], []
    with tempfile.TemporaryDirectory() as folder:
        bench = measures.Bench(model, pathlib.Path(folder), runs, seconds, python,
                               hey=None if arguments.quick else shutil.which("hey"), quick=arguments.quick)
        for measure in measures.ALL:
            name = measure.__name__.replace("_", " ")
            if sys.stderr.isatty():
                print(f"  .. {name}", file=sys.stderr)
            try:
                rows += measure(bench)
            except (Failure, subprocess.SubprocessError) as error:
                failures.append(f"bench: {name}: {error}")
    print(f"\n{table.render(rows)}\n")
    for note in [*bench.notes, f"- Load average at the end: {os.getloadavg()[0]:.2f}."]:
        print(note)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
