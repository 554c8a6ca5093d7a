# SPDX-License-Identifier: Apache-2.0
"""What whoever runs the server learns of it: a request's id in the log, why a request was refused, which
files the model in service was made of, and readiness without a model."""
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ENCODER_PATH, MODEL_PATH, ROOT, Server, check, limit, wait_until, whole
from samples import GOOD_BODY, MANY, TWO, V1, V2, check_good, metrics, repeat, v1_body, v2_body
from wire import Connection, ask, chunked_request, exchange, request_bytes

REPOSITORY = ["--enable_model_repository", "true"]
LOAD, UNLOAD = (f"/v2/repository/models/dcnv2/{verb}" for verb in ("load", "unload"))
METADATA = "/v2/models/dcnv2"
PAPER_WEIGHTS = ROOT / "tests/golden/paper/model_weights.pth"
EXPLAIN = "/v1/models/dcnv2:explain"  # a 501
ID_MAX_BYTES = 128


def with_id(number):
    return [("X-Request-Id", f"id-{number}")]


class Log:
    """The lines of a server's log in either form, as (level, message, request id or None)."""

    TEXT = re.compile(r"\S+Z (\w+) +(.*?)(?: request_id=([!-~]+))?")

    def __init__(self, server, kind):
        self.server, self.kind = server, kind

    def parsed(self, line):
        if self.kind == "json":
            fields = json.loads(line)
            return fields["level"], fields["message"], fields.get("request_id")
        return self.TEXT.fullmatch(line).groups()

    def lines(self):
        text = self.server.log()
        return [self.parsed(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_for(self, n, wanted, seconds=5):
        """The lines that are `wanted`, once there are `n`; a failure unless there are exactly so many."""
        def found():
            return [line for line in self.lines() if wanted(line)]
        wait_until(lambda: len(found()) >= n, seconds)
        check(len(found()) == n, f"{len(found())} lines, not {n}: {self.lines()}")
        return found()


def servers(*flags):
    for kind in ("text", "json"):
        with Server("--log_format", kind, *flags) as server:
            yield server, Log(server, kind)


def is_access(line):
    return line[1].endswith(" us")


# ---------------------------------------------------------------- a request's id

def test_the_access_log_tells_the_id_of_each_request_however_it_came():
    large = v1_body(repeat(MANY, 400))
    for server, log in servers("--access_log", "true"):
        exchange(server, request_bytes("GET", "/", headers=with_id(0)), 0.2)
        with Connection(server) as connection:  # one behind the other, in one piece
            connection.send(b"".join(request_bytes("POST", V1, GOOD_BODY, with_id(i)) for i in (1, 2))
                            + request_bytes("POST", V1, GOOD_BODY)
                            + request_bytes("POST", V2, v2_body(TWO), with_id(3)))
            for _ in range(4):
                check(connection.response().status == 200, "several in one piece")
        with Connection(server) as connection:  # byte by byte, then a body that waits for its turn
            for byte in request_bytes("POST", V1, GOOD_BODY, with_id(4)):
                connection.send(bytes([byte]))
            check(connection.response().status == 200, "byte by byte")
            connection.send(chunked_request(V1, [large[:9], large[9:]], with_id(5)))
            check(connection.response().status == 200, "chunks")
            connection.send(request_bytes("POST", V1, large, with_id(6)))
            check(connection.response().status == 200, "large")
        lines = log.wait_for(8, is_access)
        check([line[2] for line in lines] == ["id-0", "id-1", "id-2", None, "id-3", "id-4", "id-5", "id-6"], f"{lines}")
        check(all(level == "info" and re.fullmatch(r"(GET|POST) /\S* 200 \d+ us", message)
                  for level, message, _ in lines), f"{lines}")


def test_requests_scored_together_keep_their_ids_apart():
    large = v1_body(repeat(MANY, 20_000))
    for server, log in servers("--access_log", "true", "--workers", "1"):
        connections = [Connection(server, 30) for _ in range(31)]
        connections[0].send(request_bytes("POST", V1, large, with_id(0)))
        for i, connection in enumerate(connections[1:], 1):  # while the only worker is busy
            connection.send(request_bytes("POST", (V1, V2)[i % 2], (GOOD_BODY, v2_body(TWO))[i % 2], with_id(i)))
        for connection in connections:
            check(connection.response().status == 200, "status")
            connection.close()
        lines = log.wait_for(31, is_access)
        for _, message, request_id in lines:
            number = int(request_id.removeprefix("id-"))
            path = V2 if number % 2 else V1
            check(message.startswith(f"POST {path} 200 "), f"{message} {request_id}")
        check(len({request_id for _, _, request_id in lines}) == 31, f"{lines}")


def test_an_id_with_odd_bytes_adds_no_line_field_or_quote_and_a_long_one_is_cut():
    for server, log in servers("--access_log", "true"):
        cases = {
            b'a"b\\c{}': 'a"b\\c{}', b"two words\tand a tab": "two?words?and?a?tab",
            b"x request_id=y": "x?request_id=y", b"\xc2\x85\xe2\x80\xa8caf\xc3\xa9\xff": "?????caf???",
            b"f" * 4096: "f" * ID_MAX_BYTES, b'"' * 4096: '"' * ID_MAX_BYTES, b" \t ": None, b"": None,
        }
        for sent in cases:
            raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: " + sent + b"\r\nConnection: close\r\n\r\n"
            check(exchange(server, raw, 2).statuses() == [200], f"{sent[:40]}")
        lines = log.wait_for(len(cases), is_access)
        check([line[2] for line in lines] == list(cases.values()), f"{lines}")
        # A control byte is no part of a header: refused, and nothing of it is in the log.
        for byte in (b"\x00", b"\x01", b"\x1b", b"\x7f", b"\r", b"\n"):
            raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: evil" + byte + b"id\r\n\r\n"
            check(exchange(server, raw, 2).statuses() == [400], f"{byte}")
        refused = log.wait_for(6, lambda line: is_access(line) and "400 " in line[1])
        check(all(line[2] is None for line in refused), f"{refused}")
        check("evil" not in server.log(), server.log())


def test_a_failure_is_a_warning_with_route_status_message_and_id():
    for server, log in servers():
        check(ask(server, "POST", EXPLAIN, GOOD_BODY, with_id("a")).status == 501, "explain")
        check(ask(server, "GET", "/v2/models/dcnv2/versions/1", headers=with_id("b")).status == 501, "version")
        check(ask(server, "POST", EXPLAIN, GOOD_BODY).status == 501, "explain")
        check(ask(server, "POST", V1, b"{", with_id("c")).status == 400, "not JSON")
        lines = log.wait_for(3, lambda line: line[0] == "warning")
        check(lines == [("warning", "v1_explain 501: Explanations are not supported yet.", "id-a"),
                        ("warning", "v2_version 501: Model versioning not supported yet.", "id-b"),
                        ("warning", "v1_explain 501: Explanations are not supported yet.", None)], f"{lines}")
        check("id-c" not in server.log(), f"a client's mistake in the log: {server.log()}")


def test_a_clients_mistake_is_a_line_at_debug_level():
    for server, log in servers("--log_level", "debug"):
        messages = {}
        for number, (path, body) in enumerate(((V1, b'{"inputs":[{}]}'), (V1 + "x", GOOD_BODY), (V2, b"["),
                                               (V1, b"x" * 100_000))):
            answer = ask(server, "POST", path, body, with_id(number))
            check(400 <= answer.status < 500, f"status {answer.status}")
            route = {V1: "v1_predict", V2: "v2_infer"}.get(path, "none")
            messages[f"id-{number}"] = f"{route} {answer.status}: {answer.error()}"
        two_lengths = (f"POST {V1} HTTP/1.1\r\nHost: h\r\nX-Request-Id: id-4\r\nContent-Length: 1\r\n"
                       "Content-Length: 1\r\n\r\n1").encode()
        check(exchange(server, two_lengths, 2).statuses() == [400], "two lengths")
        messages["id-4"] = "none 400: Content-Length is given twice."
        lines = log.wait_for(5, lambda line: line[0] == "debug" and line[2])
        check({line[2]: line[1] for line in lines} == messages, f"{lines}")


def test_a_flood_of_failures_is_some_lines_a_second():
    with Server() as server:
        started = time.monotonic()
        with Connection(server) as connection:
            for i in range(500):
                check(connection.request("POST", EXPLAIN, b"{}", with_id(i)).status == 501, "explain")
        n_seconds = time.monotonic() - started + 2
        time.sleep(1.1)
        check(ask(server, "POST", EXPLAIN, b"{}", with_id("last")).status == 501, "explain")
        check(wait_until(lambda: "id-last" in server.log(), 3), server.log())
        shown = server.log().count("v1_explain 501")
        held_back = sum(map(int, re.findall(r"\((\d+) more since", server.log())))
        check(10 < shown <= 10 * n_seconds + 1 and shown + held_back == 501, f"{shown} lines, {held_back} held back")


def test_a_connection_that_is_cut_in_a_request_names_it():
    with Server("--body_timeout", whole(1), "--header_timeout", whole(10)) as server:
        upload = Connection(server)
        upload.send(request_bytes("POST", V1, headers=[("Content-Length", 100), *with_id("body")]) + b"x")
        reader = socket.socket()  # more replies than the socket's buffers hold
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(limit(20))
        reader.connect((server.address, server.port))
        reader.sendall(request_bytes("GET", "/metrics", headers=with_id("reply")) * 400)
        lines = Log(server, "text").wait_for(2, lambda line: line[1].startswith("connection cut"), 15)
        check({line[2] for line in lines} == {"id-body", "id-reply"}, f"{lines}")
        upload.close()
        reader.close()


# ---------------------------------------------------------------- which model

def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Files:
    """The demo model's two files in a folder of their own."""

    def __init__(self, folder):
        self.weights, self.encoder = (pathlib.Path(folder) / name for name in ("weights.pth", "encoder.pkl"))
        self.flags = ["--model-path", self.weights, "--encoder-path", self.encoder]
        shutil.copy(ENCODER_PATH, self.encoder)
        self.put(MODEL_PATH)

    def put(self, path):
        new = self.weights.with_suffix(".new")
        shutil.copyfile(path, new)
        os.replace(new, self.weights)


def infos(server):
    return [key for key in metrics(server) if key.startswith("dcnv2_model_info{")]


def loaded_at(server):
    """Seconds since the epoch, by the metadata and by the metrics, which agree; None: no model."""
    answer = ask(server, "GET", METADATA)
    value = metrics(server).get('dcnv2_model_loaded_timestamp_seconds{model="dcnv2"}')
    if answer.status == 404:
        check(value is None, f"no model, but {value}")
        return None
    said = datetime.datetime.fromisoformat(answer.json()["parameters"]["loaded_at"].replace("Z", "+00:00"))
    check(abs(said.timestamp() - value) < 1e-3, f"{said} is not {value}")
    return value


def check_says(server, model, encoder, n_lines):
    """Metadata, metrics and the last of the log's lines about it name these files."""
    check(wait_until(lambda: infos(server), 10), "the files were not hashed")
    digests = {"model_sha256": sha256(model), **({"encoder_sha256": sha256(encoder)} if encoder else {})}
    parameters = ask(server, "GET", METADATA).json()["parameters"]
    time_said = parameters.pop("loaded_at")
    check(parameters == digests, f"{parameters}, not {digests}")
    check(infos(server) == [f'dcnv2_model_info{{model="dcnv2",model_sha256="{digests["model_sha256"]}",'
                            f'encoder_sha256="{digests.get("encoder_sha256", "")}"}}'], f"{infos(server)}")
    files = [f"{path} sha256 {sha256(path)}" for path in (model, encoder) if path]
    lines = [line for line in server.log().splitlines() if " sha256 " in line]
    check(len(lines) == n_lines, f"{len(lines)} lines, not {n_lines}: {lines}")
    check(lines[-1].endswith(f"info    model dcnv2: {', '.join(files)}, loaded at {time_said}"), lines[-1])


def test_log_metrics_and_metadata_say_which_files_are_served_also_after_a_reload():
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder)
        before = time.time()
        with Server(*REPOSITORY, *files.flags) as server:
            check_says(server, files.weights, files.encoder, 1)
            first = loaded_at(server)
            check(before - 1 <= first <= time.time(), f"loaded at {first}, started at {before}")
            files.put(PAPER_WEIGHTS)
            check(infos(server)[0].split('"')[3] == sha256(MODEL_PATH), "not before it is loaded")
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
            check_says(server, files.weights, files.encoder, 2)
            second = loaded_at(server)
            check(second > first, f"{second} is not behind {first}")
            files.weights.write_bytes(b"garbage")
            check(ask(server, "POST", LOAD, b"").status == 400, "load of garbage")
            check(infos(server)[0].split('"')[3] == sha256(PAPER_WEIGHTS) and loaded_at(server) == second,
                  f"a load that failed: {infos(server)}")
            check(ask(server, "POST", UNLOAD, b"").status == 200, "unload")
            check(infos(server) == [] and loaded_at(server) is None, f"without a model: {infos(server)}")
            files.put(MODEL_PATH)
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
            check_says(server, files.weights, files.encoder, 3)


def test_a_converted_file_is_named_by_its_own_digest():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.safetensors"
        subprocess.run([harness.BINARY.with_name("dcnv2-convert"), "-o", path], env=harness.server_environment(),
                       check=True, timeout=limit(20), stdin=subprocess.DEVNULL)
        with Server("--model-path", path, env={"ENCODER_PATH": None}) as server:
            check_says(server, path, None, 1)
            check_good(server)


def test_a_model_is_never_named_by_the_digest_of_another():
    """Reload after reload, two files in turn, while metadata and metrics are read all the time."""
    known = {sha256(MODEL_PATH), sha256(PAPER_WEIGHTS)}
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder)
        with Server("--workers", "2", *REPOSITORY, *files.flags) as server:
            def step():
                found = ask(server, "GET", METADATA).json()["parameters"]
                if "model_sha256" in found:  # the same model as before: the same digest
                    said = seen.setdefault(found["loaded_at"], found["model_sha256"])
                    check(said == found["model_sha256"] and said in known, f"{said} and {found}")
            seen = {}
            load = harness.Load(2, lambda _: step)
            last = None
            for i in range(20):
                files.put((PAPER_WEIGHTS, MODEL_PATH)[i % 2])
                check(ask(server, "POST", LOAD, b"").status == 200, "load")
                time.sleep(0.005 * (i % 5))
                last = sha256(files.weights)
                if i % 5 == 4:  # between these a digest may never be known
                    now = ask(server, "GET", METADATA).json()["parameters"]["loaded_at"]
                    check(wait_until(lambda: now in seen, 10), f"the files of {now} were not hashed")  # noqa: B023
            check(wait_until(lambda: infos(server), 10), "the files were not hashed")
            load.stop()
            check(infos(server)[0].split('"')[3] == last, f"{infos(server)}")
            check(len(seen) >= 4, f"{seen}")


# ---------------------------------------------------------------- readiness

def statuses(server):
    return {path: ask(server, "GET", path).status
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/dcnv2/ready", "/v1/models/dcnv2")}


def test_without_a_model_the_server_is_not_ready_if_its_readiness_needs_one():
    good = dict.fromkeys(("/v2/health/live", "/v2/health/ready", "/v2/models/dcnv2/ready", "/v1/models/dcnv2"), 200)
    with Server(*REPOSITORY, "--ready_needs_model", "true") as server:
        for _ in range(2):
            check(statuses(server) == good, f"{statuses(server)}")
            check(ask(server, "POST", UNLOAD, b"").status == 200, "unload")
            check(statuses(server) == {"/v2/health/live": 200, "/v2/health/ready": 503,
                                       "/v2/models/dcnv2/ready": 404, "/v1/models/dcnv2": 404}, f"{statuses(server)}")
            answer = ask(server, "GET", "/v2/health/ready")
            check(answer.error() == "Model with name dcnv2 is not loaded.", answer.error())
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
        check(statuses(server) == good, f"{statuses(server)}")


def test_without_a_model_the_server_says_it_is_ready_as_kserves_does_unless_told():
    with Server(*REPOSITORY) as server:
        check(ask(server, "POST", UNLOAD, b"").status == 200, "unload")
        answer = ask(server, "GET", "/v2/health/ready")
        check(answer.status == 200 and answer.json() == {"ready": True}, f"{answer.status} {answer.body!r}")
        check(ask(server, "GET", "/v2/models/dcnv2/ready").status == 404, "the model's own readiness")


if __name__ == "__main__":
    harness.main(globals())
