# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself, in its short form: its table has every row, and every reply was right.
Nothing is said of speed."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
import samples  # noqa: E402
import wire  # noqa: E402
from harness import BINARY, ROOT, check, limit  # noqa: E402

LOAD_CLIENT = BINARY.parent.parent / "bench/load_client"
N_COLUMNS = 6
NETWORKS = ("mixture of 4 experts", "stacked, batch norm", "16 columns of 16 and 4 lists", "22 columns of 32")  # no goals
ROWS = (  # how each begins; those that need peers or hey say so
    "v1, one row", "v1, one row", "v2, one row", "v2, one row", "one row", "resident memory",
    "v1, 200 rows, whole request",
    "forward pass, 1 row", "forward pass, 1 row, ONNX Runtime's tables merged",
    "forward pass, 200 rows", "forward pass, 4,096 rows", *(begin for begin in NETWORKS for _ in range(2)),
    "start to first answer, .pth and .pkl", "start to first answer, converted file",
    "hey -c 30: 99th percentile", "v1, 200 rows, 2 workers", "v1, one row, 2 workers",
    "longest health probe")


def test_the_short_benchmark_prints_its_whole_table():
    done = subprocess.run([sys.executable, "tests/bench/bench.py", "--quick"], cwd=ROOT, timeout=limit(60),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, done.stdout)
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in done.stdout.splitlines() if line.startswith("|")]
    check(len(lines) > 2 and set("".join(lines[1])) == {"-"}, done.stdout)
    check(all(len(line) == N_COLUMNS for line in lines), done.stdout)
    # A row for each instruction set of this CPU comes on top.
    rows = [row for row in lines[2:] if not re.match("forward pass.*AVX", row[0])]
    check([begin for begin, row in zip(ROWS, rows) if row[0].startswith(begin)] == list(ROWS)
          and len(rows) == len(ROWS), f"rows: {[row[0] for row in rows]}")
    for what, ours, against, _, goal, verdict in rows:
        if "this server's own fixed reply" in against or "merged by hand" in what or what.startswith(NETWORKS):
            # they have no goal
            check((goal, verdict) == ("", "-"), f"{what}: {goal} {verdict}")
            continue
        check(re.match(r"[≥≤] [\d/.]+( ms)?$", goal), f"{what}: goal {goal}")
        check(verdict in ("met", "MISSED") or "not measured" in ours + against, f"{what}: {verdict}")
        check(re.match(r"[\d,.]+ \S+$", ours) or ours.startswith("not measured"), f"{what}: {ours}")


def run_load_client(server, folder, expected):
    """Its exit code, what it printed, and its complaint, with v1 requests of two rows."""
    request = pathlib.Path(folder, "request")
    request.write_bytes(wire.request_bytes("POST", samples.V1, samples.GOOD_BODY))
    pathlib.Path(folder, "request.reply").write_text(expected)
    done = subprocess.run([LOAD_CLIENT, "--wait", str(server.port), "3", "0.2", request], timeout=limit(60),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_load_client_tells_right_replies_from_wrong_ones(server):
    with harness.tempfile.TemporaryDirectory() as folder:
        answer = wire.ask(server, "POST", samples.V1, samples.GOOD_BODY).body.decode()
        code, printed, complaint = run_load_client(server, folder, answer)
        check(code == 0 and re.search(r'"right": [1-9]\d*, "wrong": 0,', printed), printed + complaint)
        code, printed, complaint = run_load_client(server, folder, "another answer")
        check(code == 0 and re.search(r'"right": 0, "wrong": [1-9]', printed), printed + complaint)
        check("a wrong reply: HTTP/1.1 200" in complaint, complaint)


def test_the_load_client_says_why_it_ends():
    class Nobody:
        port = harness.free_port()

    with harness.tempfile.TemporaryDirectory() as folder:
        code, _, complaint = run_load_client(Nobody, folder, "")
        check(code == 1 and "Connection refused" in complaint, complaint)


if __name__ == "__main__":
    harness.main(globals())
