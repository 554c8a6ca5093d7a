# SPDX-License-Identifier: Apache-2.0
"""The programs that a benchmark runs, each on its cores, and the load client beside them."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
import wire  # noqa: E402
from harness import ROOT, Failure, check, limit  # noqa: E402

HERE = ROOT / "tests/bench"
BUILD = harness.BINARY.parent.parent
V1, V2 = "/v1/models/dcnv2:predict", "/v2/models/dcnv2/infer"
START_SECONDS = 60  # PyTorch's import takes most of it

# A core for what is measured, another for who measures. With one core there is nothing to choose.
CORES = sorted(os.sched_getaffinity(0))[:2]
SERVER_CORE, CLIENT_CORE = {CORES[0]}, {CORES[-1]}


def stay_on_client_core():
    os.sched_setaffinity(0, CLIENT_CORE)


@contextlib.contextmanager
def on_cores(cores):
    """Children that are started within stay on these cores."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


class Program:
    """A process; leaving the `with` block ends it. `port`: where it listens, if it does."""

    address = harness.LOOPBACK

    def __init__(self, command, port=None, env=None, cores=SERVER_CORE, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL):
        self.port, self.log_file = port, tempfile.TemporaryFile()
        with on_cores(cores):
            self.started = time.perf_counter()
            self.process = subprocess.Popen([str(part) for part in command], env={**os.environ, **(env or {})},
                                            stdin=stdin, stdout=stdout, stderr=self.log_file, text=True)

    def first_answer(self, *request):
        """Asks until it answers. (the answer, milliseconds since its start)"""
        while True:
            try:
                answer = wire.ask(self, *request)
                return answer, (time.perf_counter() - self.started) * 1e3
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - self.started > limit(START_SECONDS):
                    raise Failure(f"{self.process.args[:2]} did not start: {self.log()[-600:]}") from None
                time.sleep(0.0002)

    def log(self):
        return os.pread(self.log_file.fileno(), 1 << 20, 0).decode(errors="replace")

    def resident_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise Failure("no VmRSS")

    def scheduled_s(self):
        """Seconds that its threads ran, and that they were ready but another program ran."""
        total = [0, 0]
        for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            for i, value in enumerate(path.read_text().split()[:2]):
                total[i] += int(value) / 1e9
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.terminate()
            self.process.wait(limit(40))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        finally:
            self.log_file.close()


class Helper(Program):
    """A program that answers each line of JSON on its standard input with one."""

    def __init__(self, command, **options):
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)

    def ask(self, **question):
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            raise Failure(f"{self.process.args[:2]} does not answer: {self.log()[-600:]}") from None


# ---------------------------------------------------------------- servers

def model_files(directory):
    return {"MODEL_PATH": str(directory / "model_weights.pth"),
            "ENCODER_PATH": str(directory / "preprocess_metadata.pkl")}


def server(files, *flags, cores=SERVER_CORE):
    """dcnv2-server with the model of these files."""
    port = harness.free_port()
    return Program([harness.BINARY, "--http_port", port, "--grpc_port", "0", *flags], port, files, cores)


def fixed_reply(path):
    """The least that a server on libmicrohttpd does: it sends what that file holds."""
    port = harness.free_port()
    return Program([BUILD / "bench/fixed_reply", port, path], port, stdin=subprocess.PIPE)


def kserve(python, files):
    port = harness.free_port()
    return Program([python, HERE / "peer_kserve.py", "--http_port", port], port, files)


def onnx(python, files):
    return Helper([python, HERE / "peer_onnx.py"], env=files)


def onnx_network(python, folder):
    return Helper([python, HERE / "peer_networks.py", folder])


def run_json(*command, cores, env=None, seconds=120):
    """What a program prints, as JSON."""
    with on_cores(cores):
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **(env or {})})
    try:
        out, err = process.communicate(timeout=limit(seconds))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    check(process.returncode == 0, f"{command[0]}: {err[-600:]}")
    return {**json.loads(out), "complaint": err}


# ---------------------------------------------------------------- load

class Requests:
    """Ready-made requests in a folder, with what the body of a right reply contains."""

    def __init__(self, folder, name, path, bodies, method="POST"):
        self.path, self.bodies, self.files = path, bodies, []
        for i, body in enumerate(bodies):
            file = pathlib.Path(folder, f"{name}.{i}")
            file.write_bytes(wire.request_bytes(method, path, body, [("Content-Type", "application/json")]))
            file.with_name(file.name + ".reply").write_bytes(b"")  # any, until more is expected
            self.files.append(file)

    def expect_answers_of(self, program):
        """Takes the program's own answers for right: what is checked is that they stay so. The id
        of a v2 answer stands before its first bracket, and differs each time."""
        for file, body in zip(self.files, self.bodies):
            answer = wire.ask(program, "POST", self.path, body, [("Content-Type", "application/json")], timeout=60)
            check(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
            file.with_name(file.name + ".reply").write_bytes(answer.body[answer.body.index(b"["):])


def client_command(program, requests, connections, seconds, waits=False):
    return [BUILD / "bench/load_client", *(["--wait"] if waits or len(CORES) == 1 else []),
            program.port, connections, seconds, *requests.files]


def load(program, requests, connections, seconds, waits=False, cores=CLIENT_CORE):
    """The load client's figures, with the shares of the time that the program ran, and that it could
    have but others had its core. Where both together are below some 0.9, the client was too slow."""
    before = program.scheduled_s()
    found = run_json(*client_command(program, requests, connections, seconds, waits), cores=cores)
    check(found["wrong"] == 0 and found["right"] > 0,
          f"{requests.path}: {found['wrong']} wrong replies, {found['right']} right ones; {found['complaint']}")
    found["ran"], found["held_up"] = ((now - then) / found["seconds"]
                                      for now, then in zip(program.scheduled_s(), before))
    return found
