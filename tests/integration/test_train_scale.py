# SPDX-License-Identifier: Apache-2.0
"""A click log larger than the demo's: memory in proportion to what 5 million rows may take.

make bench-scale has the 5 million rows. Sanitizer builds take fewer, and as much memory as they like.
"""
import pathlib
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "bench")]
import harness
import scale
from harness import check

N_ROWS = 20_000 if harness.is_sanitized() else 300_000
A_ROW = 1.5 * 2**30 / 5e6  # the goal's share
FIXED = 64 << 20  # the tables: most values come among the first rows


def test_memory_grows_with_the_rows_no_faster_than_the_goal():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        log = scale.generate(path / "log.csv", N_ROWS)
        code, peak, read_s, _, said = scale.train(log, path / "model", seconds=harness.limit(120))
        check(code == 0 and read_s is not None, f"exit code {code}: {said[-400:]}")
        check(f"read {N_ROWS} training rows" in said, said)
        if not harness.is_sanitized():
            check(peak <= FIXED + N_ROWS * A_ROW, f"{peak / 2**20:.0f} MiB, at most {(FIXED + N_ROWS * A_ROW) / 2**20:.0f}")


if __name__ == "__main__":
    harness.main(globals())
