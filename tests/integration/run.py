# SPDX-License-Identifier: Apache-2.0
"""Runs every test file of this folder, one after the other, and adds up.

    python3 tests/integration/run.py [NAME..]

NAME: only files with this in their name. The last line is `N passed, N failed`; exit code 1 if
any failed or a file did not come to its end.
"""
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def run_file(path):
    """(number passed, number failed) of one file, whose output is shown as it comes."""
    started, last = time.monotonic(), ""
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if last:
                print(f"  {last}", flush=True)
            last = line.rstrip("\n")
    totals = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
    took = f"{time.monotonic() - started:.1f} s"
    if not totals:
        print(f"{path.name}: broke off with exit code {process.returncode} after {took}: {last}")
        return 0, 1
    print(f"{path.name}: {last} ({took})", flush=True)
    return int(totals.group(1)), int(totals.group(2))


def main():
    n_passed = n_failed = 0
    for path in sorted(HERE.glob("test_*.py")):
        if len(sys.argv) > 1 and not any(name in path.name for name in sys.argv[1:]):
            continue
        passed, failed = run_file(path)
        n_passed, n_failed = n_passed + passed, n_failed + failed
    print(f"{n_passed} passed, {n_failed} failed")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
