#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures training beside PyTorch, and prints one table: rows a second of both sides, their ratio,
the goal, and whether it is met. It is Markdown.

usage: tests/bench/train.py [--runs 5] [--batches 400]

The notebook's network with the tables of its real encoder, batches of 128, one thread on one core.
PyTorch three times (tests/bench/peer_train.py): the notebook's loop, the same with fused Adam, and
that without loader and DDP. Rates are by CPU time, which other programs disturb least; that of
several threads is by the clock. The sides take turns; ours does a whole epoch of 211,033 rows a run, a
peer --batches of it. A figure is the median of the runs, with the least and the most; a ratio is the
median of the ratios run by run. Exit code 1 where a goal is missed.
"""
import argparse
import os
import subprocess
import sys

import programs
import table
from bench import describe_machine
from programs import BUILD, HERE, ROOT, SERVER_CORE, Failure

sys.path.insert(0, str(ROOT / "tests"))
import pypi  # noqa: E402

SPEED = BUILD / "bench/train_speed"
GROWTH_ON_2_CORES = 1.3  # a flat result is no growth; 2 would be all of the second core

PEERS = {  # of peer_train.py: what is said of it, and how many times as fast ours is to be
    "fused": ("the notebook's loop with fused Adam", 7),
    "notebook": ("the notebook's loop", 12),
    "bare": ("fused Adam, no loader, no DDP", 1),
}


def ours(n_threads=1, cores=SERVER_CORE, *more):
    """Rows a second of CPU time, and by the clock."""
    found = programs.run_json(SPEED, n_threads, 128, 1, *more, cores=cores)
    return found["rows_per_cpu_second"], found["rows_per_second"]


def peer(python, form, n_batches):
    found = programs.run_json(python, HERE / "peer_train.py", "--form", form, "--batches", n_batches,
                              cores=SERVER_CORE, seconds=600)
    return found["rows_per_cpu_second"]


def measure(python, n_runs, n_batches):
    both = set(programs.CORES)
    rows = {form: table.Row("one thread, by CPU time", table.Goal(">=", goal), "rows/s", peer=what)
            for form, (what, goal) in PEERS.items()}
    rows["dense"] = table.Row("one thread, by CPU time", table.Goal(">=", 1), "rows/s", peer="ours, --dense-adam")
    rows["threads"] = table.Row(f"{len(both)} threads on {len(both)} cores, by the clock",
                                table.Goal(">=", GROWTH_ON_2_CORES) if len(both) == 2 else None, "rows/s",
                                peer="ours, one thread")
    for run in range(n_runs):
        if sys.stderr.isatty():
            print(f"  .. run {run + 1} of {n_runs}", file=sys.stderr)
        for form in PEERS:
            rows[form].ours.append(ours()[0])
            rows[form].against.append(peer(python, form, n_batches))
        alone = ours()
        rows["dense"].ours.append(alone[0])
        rows["dense"].against.append(ours(1, SERVER_CORE, "dense")[0])
        rows["threads"].ours.append(ours(len(both), both)[1])
        rows["threads"].against.append(alone[1])
    return list(rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batches", type=int, default=400, help="of a peer, a run")
    arguments = parser.parse_args()
    python = pypi.install("venv-train", "tests/bench/requirements-train.txt")
    for line in describe_machine(None):
        print(line, flush=True)
    try:
        rows = measure(python, arguments.runs, arguments.batches)
    except (Failure, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"train: {error}")
    print(f"\n{table.render(rows)}\n\n- Load average at the end: {os.getloadavg()[0]:.2f}.")
    if any(row.verdict() is False for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
