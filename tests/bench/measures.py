# SPDX-License-Identifier: Apache-2.0
"""What is measured, a function a group of the table's rows. Each takes the Bench; ALL has the order."""
import collections
import concurrent.futures
import contextlib
import json
import pathlib
import re
import statistics
import subprocess
import time

import networks
import programs
import wire
import workload
from programs import BUILD, CLIENT_CORE, CORES, SERVER_CORE, V1, V2, Requests, check, load
from table import Goal, Row

CPU_INFO = pathlib.Path("/proc/cpuinfo")
CONNECTIONS = 16      # enough that the server never waits for the client
SCORE_TOLERANCE = 1e-6
PREDICTOR_MB = 470    # the published Python predictor, where no peer is installed
HEY_SECONDS = 3
PROBE_PAUSE_S, PROBE_SECONDS = 0.02, 3
LARGE_CONNECTIONS = 3   # a fourth body of that size can be over the server's budget: 503
LARGEST_ROWS = 100000  # --max_rows; such a body stays below --max_body_bytes
NO_PEERS = "not measured: make bench-peers"


class Bench:
    """What the measures share. `python`: the peers' interpreter; `hey`: its path; both may be None."""

    def __init__(self, model, folder, runs, seconds, python, hey, quick):
        self.model, self.folder, self.runs, self.seconds = model, folder, runs, seconds
        self.python, self.hey, self.quick = python, hey, quick
        self.files, self.notes = programs.model_files(model), []
        self.rounds = runs if quick else runs + 1  # the first is to warm up
        self.rows = workload.Rows(self.files["ENCODER_PATH"])
        # Many bodies: no side may find the embedding rows of its only request in the cache.
        self.bodies_200 = [self.rows.body(200) for _ in range(4 if quick else 20)]

    def take_turns(self, *sides):
        """Calls the sides in turn, after a round to warm up; a list of figures a side."""
        rounds = [[side() for side in sides] for _ in range(self.rounds)]
        return [list(series) for series in zip(*rounds[-self.runs:])]

    def rate(self, program, requests, note="", connections=CONNECTIONS, cores_worth=0, **options):
        """A side for take_turns(): requests a second, or those that so many seconds of the program's own time
        serve. `note`: tell at the end how its core was used."""
        loads = []

        def side():
            loads.append(load(program, requests, connections, self.seconds, **options))
            if note and len(loads) == self.rounds:
                ran, held_up = (statistics.median(found[key] for found in loads[-self.runs:])
                                for key in ("ran", "held_up"))
                self.notes.append(f"- {note}: ran {ran:.0%} of the time, other programs had its core {held_up:.0%}.")
            return loads[-1]["rate"] * cores_worth / loads[-1]["ran"] if cores_worth else loads[-1]["rate"]

        return side

    def requests(self, name, path, bodies, program):
        found = Requests(self.folder, name, path, bodies)
        found.expect_answers_of(program)
        return found


def scores_of(program, columns):
    body = json.dumps({"inputs": [columns]}).encode()
    answer = wire.ask(program, "POST", V1, body, [("Content-Type", "application/json")], timeout=60)
    check(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
    return [row[0] for row in answer.json()["predictions"]]


def check_scores_agree(ours, theirs, peer):
    check(len(ours) == len(theirs), f"{peer} gives {len(theirs)} scores, not {len(ours)}")
    distance = max(abs(a - b) for a, b in zip(ours, theirs))
    check(distance <= SCORE_TOLERANCE, f"{peer}'s scores differ by {distance:g}")


# ---------------------------------------------------------------- requests a second

def beside_a_fixed_reply(bench):
    """The goal is beside libmicrohttpd; the second row tells what of the time is HTTP as this server does it."""
    found = []
    for name, path, file, bound in (("v1", V1, workload.ONE_ROW_V1, 0.75), ("v2", V2, workload.ONE_ROW_V2, 0.7)):
        row = Row(f"{name}, one row", Goal(">=", bound), "requests/s", peer="fixed reply")
        own = Row(f"{name}, one row", None, "requests/s", peer="this server's own fixed reply")
        body = file.read_bytes()
        with programs.server(bench.files, "--workers", 1) as ours:
            ours.first_answer("GET", "/v2/health/ready")
            requests = bench.requests(name, path, [body], ours)
            probes = Requests(bench.folder, f"{name}.own", "/v2/health/live", [body], method="GET")
            reply = bench.folder / f"{name}.fixed"
            reply.write_bytes(wire.ask(ours, "POST", path, body).body)
            with programs.fixed_reply(reply) as fixed:
                fixed.first_answer("POST", path, b"{}")
                row.ours, row.against, own.against = bench.take_turns(
                    bench.rate(ours, requests, f"{name}, ours"),
                    bench.rate(fixed, requests, f"{name}, fixed reply"),
                    bench.rate(ours, probes))
                own.ours = row.ours
        found += [row, own]
    return found


def beside_python(bench):
    """One row, and the memory of both after those requests."""
    rate = Row("one row", Goal(">=", 40), "requests/s", peer="KServe", missing=NO_PEERS)
    memory = Row("resident memory", Goal("<=", 1 / 12, shown="1/12"), "MB", peer="KServe")
    bodies = [workload.ONE_ROW_V1.read_bytes()]
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(programs.server(bench.files, "--workers", 1))
        ours.first_answer("GET", "/v2/health/ready")
        sides = [bench.rate(ours, bench.requests("ours", V1, bodies, ours))]
        if bench.python:
            peer = stack.enter_context(programs.kserve(bench.python, bench.files))
            peer.first_answer("GET", "/")
            columns = bench.rows.columns(200)
            check_scores_agree(scores_of(ours, columns), scores_of(peer, columns), "KServe")
            sides.append(bench.rate(peer, bench.requests("kserve", V1, bodies, peer), "KServe"))
        rate.ours, *others = bench.take_turns(*sides)
        load(ours, bench.requests("200", V1, bench.bodies_200, ours), CONNECTIONS, bench.seconds)
        memory.ours = [ours.resident_mb()]
        if bench.python:
            rate.against, memory.against = others[0], [peer.resident_mb()]
        else:
            memory.peer, memory.against = "the published predictor, as known", [PREDICTOR_MB]
    return [rate, memory]


def with_two_workers(bench):
    """The client sleeps when it can: it shares the cores with the second worker. Of one row it needs as much of
    them as the server, so that the clock would tell of the client: there it is what the workers' own time serves."""
    found, client = [], "" if len(CORES) > 1 else " on one core"
    for name, bodies, by_own_time in (("v1, 200 rows, 2 workers and the client on 2 cores", bench.bodies_200, False),
                                      ("v1, one row, 2 workers' own time beside the client on 2 cores",
                                       [workload.ONE_ROW_V1.read_bytes()], True)):
        row = Row(name + client, Goal(">=", 1.5), "requests/s", peer="1 worker")
        with programs.server(bench.files, "--workers", 1) as one, \
                programs.server(bench.files, "--workers", 2, cores=SERVER_CORE | CLIENT_CORE) as two:
            for program in (one, two):
                program.first_answer("GET", "/v2/health/ready")
            requests = bench.requests("workers", V1, bodies, one)
            row.ours, row.against = bench.take_turns(
                bench.rate(two, requests, waits=True, cores=SERVER_CORE | CLIENT_CORE, cores_worth=2 * by_own_time),
                bench.rate(one, requests, waits=True, cores_worth=int(by_own_time)))
        found.append(row)
    return found


# ---------------------------------------------------------------- latency

def under_hey(bench):
    row = Row("hey -c 30: 99th percentile", Goal("<=", 5), "ms", peer="median of the same run",
              missing="not measured: " + ("quick" if bench.quick else "hey is not installed"))
    if not bench.hey:
        return [row]
    with programs.server(bench.files, "--workers", 1) as ours:
        ours.first_answer("GET", "/v2/health/ready")
        command = [bench.hey, "-z", f"{HEY_SECONDS}s", "-c", "30", "-m", "POST", "-T", "application/json",
                   "-D", str(workload.ONE_ROW_V1), f"http://127.0.0.1:{ours.port}{V1}"]
        for _ in range(bench.runs):
            report = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
            statuses = set(re.findall(r"\[(\d+)\]\s+\d+ responses", report))
            check(statuses == {"200"} and "Error distribution" not in report, f"hey: {report[-600:]}")
            median, worst = (float(re.search(rf"{p}%+ in ([0-9.]+) secs", report).group(1)) for p in (50, 99))
            row.ours.append(worst * 1e3)
            row.against.append(median * 1e3)
    return [row]


def probes_beside_large_batches(bench):
    """The kubelet's probe, on a new connection each time, of a server with one worker. One load over
    all runs: what a load leaves behind when it ends would still hold the server's budget in the next."""
    n_rows = 5000 if bench.quick else LARGEST_ROWS
    row = Row(f"longest health probe while {LARGE_CONNECTIONS} clients send {n_rows:,} rows each",
              Goal("<=", 1000, "ms"), "ms", by_worst=True)
    seconds = 0.5 if bench.quick else PROBE_SECONDS
    with programs.server(bench.files, "--workers", 1) as ours, concurrent.futures.ThreadPoolExecutor() as executor:
        ours.first_answer("GET", "/v2/health/ready")
        requests = bench.requests("large", V1, [bench.rows.body(n_rows)], ours)
        batches = executor.submit(load, ours, requests, LARGE_CONNECTIONS, seconds * bench.runs, waits=True)
        slowest, began = collections.defaultdict(float), time.perf_counter()
        while not batches.done():
            start = time.perf_counter()
            answer = wire.ask(ours, "GET", "/v2/health/live", timeout=60)
            check(answer.status == 200, f"a probe was answered with {answer.status}")
            run = min(bench.runs - 1, int((start - began) / seconds))
            slowest[run] = max(slowest[run], (time.perf_counter() - start) * 1e3)
            time.sleep(PROBE_PAUSE_S)
        batches.result()
        row.ours = list(slowest.values())
    return [row]


# ---------------------------------------------------------------- start

def start(bench):
    converted = bench.folder / "model.safetensors"
    subprocess.run([BUILD / "bin/dcnv2-convert", "--model-path", bench.files["MODEL_PATH"], "--encoder-path",
                    bench.files["ENCODER_PATH"], "-o", converted], check=True, stdout=subprocess.DEVNULL, timeout=60)
    body = workload.ONE_ROW_V1.read_bytes()

    def once(files):
        with programs.server(files, "--workers", 1) as ours:
            answer, ms = ours.first_answer("POST", V1, body)
            check(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
            return ms

    pair, one_file = bench.take_turns(lambda: once(bench.files), lambda: once({"MODEL_PATH": str(converted)}))
    return [Row("start to first answer, .pth and .pkl", Goal("<=", 50, "ms"), "ms", pair),
            Row("start to first answer, converted file", Goal("<=", 10, "ms"), "ms", one_file)]


# ---------------------------------------------------------------- forward pass

def forward_pass(bench):
    """Ours as the kernels' own benchmark measures it, ONNX Runtime's, and the server's whole request."""
    rows = {key: Row(f"forward pass, {what}", Goal("<=", bound) if bound else None, "µs", peer="ONNX Runtime",
                     missing=NO_PEERS)
            for key, what, bound in (((1, "separate"), "1 row", 0.15),
                                     ((1, "merged"), "1 row, ONNX Runtime's tables merged by hand", None),
                                     ((200, "separate"), "200 rows", 0.65),
                                     ((4096, "separate"), "4,096 rows", 0.65))}
    whole = Row("v1, 200 rows, whole request", Goal("<=", 1.25), "µs", peer="ONNX Runtime, forward pass alone",
                missing=NO_PEERS)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(programs.server(bench.files, "--workers", 1))
        ours.first_answer("GET", "/v2/health/ready")
        rate = bench.rate(ours, bench.requests("whole", V1, bench.bodies_200, ours), "v1, 200 rows, ours",
                          connections=4)
        sides = [lambda: 1e6 / rate(), lambda: kernels_figures(bench)]
        if bench.python:
            peer = stack.enter_context(programs.onnx(bench.python, bench.files))
            columns = bench.rows.columns(200)
            for form in ("separate", "merged"):
                check_scores_agree(scores_of(ours, columns), peer.ask(form=form, columns=columns)["scores"],
                                   f"ONNX Runtime, {form} tables,")
            sides += [lambda n=n, form=form: peer.ask(form=form, rows=n, seconds=bench.seconds / 3)["us"]
                      for n, form in rows]
        whole.ours, figures, *others = bench.take_turns(*sides)
    for row, series in zip(rows.values(), others):
        row.against = series
    whole.against = rows[200, "separate"].against
    return [whole, *forward_rows(rows, figures)]


def forward_rows(rows, figures):
    """Fills in our side, by the fastest instruction set, and adds a row a set beside the core's peak."""
    peaks = []
    for name, shown, bound in (("avx2", "AVX2", 0.65), ("avx512", "AVX-512", 0.75)):
        runs = [figure[name] for figure in figures if name in figure]
        if runs:
            for (n, _), row in rows.items():
                row.ours = [run[n]["us"] for run in runs]
            largest = [run[4096] for run in runs]
            peaks.append(Row(f"forward pass, 4,096 rows, {shown}", Goal(">=", bound), "GFLOP/s",
                             [entry["gflops"] for entry in largest],
                             [entry["gflops"] / entry["share_of_peak"] for entry in largest], "the core's peak"))
    return [*rows.values(), *peaks]


def kernels_figures(bench):
    """{set: {rows: figures}} of the sets that this CPU has; the scalar one takes long and is no peer."""
    return {name: forward_figures(bench.model, name) for name in instruction_sets()}


def instruction_sets():
    """Those with vectors that this CPU has, the fastest one last."""
    flags = CPU_INFO.read_text()
    return [name for name, flag in (("avx2", " avx2"), ("avx512", " avx512f")) if flag in flags]


def forward_figures(model, name, most_rows=4096):
    """{rows: figures} of the forward pass of the model in that folder, on an instruction set."""
    printed = programs.run_json(BUILD / "tests/kernels", "--bench", "--json", "--model", model, "--most-rows", most_rows,
                                cores=SERVER_CORE, env={"DCNV2_CPU": name})
    return {entry["rows"]: entry for entry in printed["sets"][name]["forward"]}


# ---------------------------------------------------------------- networks of other sizes

def forward_pass_of_other_networks(bench):
    """No goal: the table states what they reach. Scores are compared before."""
    return [row for network in networks.ALL for row in forward_of(bench, network.smaller() if bench.quick else network)]


def forward_of(bench, network):
    rows = {n: Row(f"{network.what}: {n} row{'s' * (n > 1)}", None, "µs", peer="ONNX Runtime", missing=NO_PEERS) for n in (1, 200)}
    folder, sets = bench.folder / network.name, instruction_sets()
    folder.mkdir()
    networks.write(network, folder)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(programs.server({"MODEL_PATH": str(folder)}, "--workers", 1))
        ours.first_answer("GET", "/v2/health/ready")
        columns = networks.columns(network, 200)
        scores = scores_of(ours, columns)
        sides = [lambda: forward_figures(folder, sets[-1], max(rows))] if sets else []
        if bench.python:
            peer = stack.enter_context(programs.onnx_network(bench.python, folder))
            check_scores_agree(scores, peer.ask(columns=columns)["scores"], "ONNX Runtime")
            sides += [lambda n=n: peer.ask(rows=n, seconds=bench.seconds / 3)["us"] for n in rows]
        figures, *others = bench.take_turns(*sides) if sides else [[]]
    for n, row in rows.items():
        row.ours = [run[n]["us"] for run in figures]
    for row, series in zip(rows.values(), others):
        row.against = series
    return rows.values()


ALL = (beside_a_fixed_reply, beside_python, forward_pass, forward_pass_of_other_networks, start, under_hey, with_two_workers,
       probes_beside_large_batches)
