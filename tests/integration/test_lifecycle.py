# SPDX-License-Identifier: Apache-2.0
"""Signals, draining, models loaded and unloaded while serving, and surroundings that fail:
files that vanish, a log that cannot be written, too few file descriptors."""
import contextlib
import json
import os
import pathlib
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ENCODER_PATH, MODEL_PATH, ROOT, Load, Server, check, wait_until
from samples import (GOOD_BODY, MANY, MANY_SCORES, TWO, TWO_SCORES, V1, V2, bits, check_good,
                     check_scores, metrics, post_v1, repeat, scores_of, v1_body, v2_body)
from wire import Connection, ask, request_bytes

REPOSITORY = ["--enable_model_repository", "true"]
LOAD = "/v2/repository/models/dcnv2/load"
UNLOAD = "/v2/repository/models/dcnv2/unload"
PAPER_WEIGHTS = ROOT / "tests/golden/paper/model_weights.pth"


def slow_upload(server, path=V1, body=GOOD_BODY):
    """A connection on which half of a request was sent and understood; finish() sends the rest."""
    connection = Connection(server)
    headers = [("Content-Length", len(body)), ("Expect", "100-continue")]
    connection.send(request_bytes("POST", path, headers=headers))
    check(connection.response().status == 100, "no 100 Continue")
    connection.send(body[:len(body) // 2])

    def finish():
        connection.send(body[len(body) // 2:])
        answer = connection.response()
        connection.close()
        return answer

    connection.finish = finish
    return connection


def check_exit(server, seconds, started=None, code=0):
    """It ends by itself in that time with that exit code, and its stderr is clean."""
    started = time.monotonic() if started is None else started
    found = server.wait(seconds - (time.monotonic() - started) / harness.SLOWDOWN)
    check(found is not None, f"still running after {seconds} s: {server.log()[-500:]}")
    harness.check_no_sanitizer_report(server.log())
    check(code is None or found == code, f"exit code {found}, not {code}: {server.log()[-500:]}")


def is_draining(server):
    return ask(server, "GET", "/v2/health/ready").status == 503


# ---------------------------------------------------------------- signals

def test_an_idle_server_ends_within_a_second_of_sigterm_or_sigint():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            check_good(server)
            started = time.monotonic()
            server.send_signal(number)
            check_exit(server, 1, started)


def test_idle_keep_alive_connections_do_not_delay_the_end():
    with Server() as server:
        connections = [Connection(server) for _ in range(20)]
        for connection in connections[:10]:
            check(connection.request("GET", "/").status == 200, "GET /")
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        check_exit(server, 1.5, started)
        for connection in connections:
            check(connection.is_closed_within(1), "a connection is still open")
            connection.close()


def test_while_draining_readiness_is_503_liveness_200_and_new_requests_are_answered():
    with Server() as server:
        upload = slow_upload(server)
        server.send_signal(signal.SIGTERM)
        check(wait_until(lambda: is_draining(server), 2), "readiness did not turn 503")
        for path, status in (("/v2/health/ready", 503), ("/v2/models/dcnv2/ready", 503),
                             ("/v1/models/dcnv2", 503), ("/v2/health/live", 200), ("/", 200),
                             ("/metrics", 200), ("/v1/models/nope", 404)):
            with Connection(server) as connection:
                answer = connection.request("GET", path)
                check(answer.status == status, f"{path}: status {answer.status}, not {status}")
                check(answer.closes(), f"{path}: without Connection: close")
                check(connection.is_closed_within(2), f"{path}: left open")
                if status == 503:
                    answer.error()
        for path, body in ((V1, GOOD_BODY), (V2, v2_body(TWO))):
            with Connection(server) as connection:
                answer = connection.request("POST", path, body)
                check_scores(scores_of(answer), TWO_SCORES)
                check(answer.closes(), f"{path}: without Connection: close")
        check(server.is_alive(), "it ended with a request under way")
        answer = upload.finish()
        started = time.monotonic()
        check_scores(scores_of(answer), TWO_SCORES)
        check(answer.closes(), "the slow upload's answer has no Connection: close")
        check_exit(server, 1.5, started)


def test_requests_under_way_at_sigterm_are_all_answered():
    big = v1_body(repeat(MANY, 20_000))
    with Server("--min_body_rate", "0") as server:  # the uploads wait for all the rest
        answers, errors = [], []

        def send_and_wait(connection):
            try:
                answers.append(connection.request("POST", V1, big))
            except (harness.Failure, OSError) as error:
                errors.append(error)

        connections = [Connection(server, 30) for _ in range(6)]
        uploads = [slow_upload(server) for _ in range(3)]
        threads = [threading.Thread(target=send_and_wait, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(harness.limit(30))
        for upload in uploads:
            check_scores(scores_of(upload.finish()), TWO_SCORES)
        check(not errors and len(answers) == 6, f"{len(answers)} answers; {errors}")
        for answer in answers:
            check_scores(scores_of(answer), MANY_SCORES * 100)
        check_exit(server, 3)
        for connection in connections:
            connection.close()


def test_requests_that_wait_behind_others_of_their_connection_at_sigterm_are_answered():
    # One is answered a turn, so that from one read to the next some tenths of a second pass.
    n_each, request = round(3000 / harness.SLOWDOWN), request_bytes("GET", "/v2/health/live")
    with Server("--workers", "1") as server:
        connections = [Connection(server, 30) for _ in range(40)]
        for connection in connections:
            check(connection.request("GET", "/v2/health/live").status == 200, "liveness")
        for connection in connections:
            connection.send(request * n_each)
        server.send_signal(signal.SIGTERM)
        ends = selectors.DefaultSelector()
        for connection in connections:
            ends.register(connection.sock, selectors.EVENT_READ, connection)
        end = time.monotonic() + harness.limit(30)
        while ends.get_map() and time.monotonic() < end:
            for key, _ in ends.select(1):
                with contextlib.suppress(ConnectionError):
                    if key.data._fill():
                        continue
                ends.unregister(key.fileobj)
        counts = [connection.buffer.count(b"HTTP/1.1 200 ") for connection in connections]
        check(min(counts) == n_each, f"{sum(n < n_each for n in counts)} connections lack replies, one has {min(counts)}")
        check_exit(server, 3)
        for connection in connections:
            connection.close()


def test_requests_that_wait_for_a_connection_at_sigterm_are_answered():
    with Server("--max_connections", "2") as server:
        uploads = [slow_upload(server), slow_upload(server)]
        waiting = [Connection(server, 15) for _ in range(4)]
        for connection in waiting:
            connection.send(request_bytes("POST", V1, GOOD_BODY))
        time.sleep(0.1)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        for upload in uploads:
            check_scores(scores_of(upload.finish()), TWO_SCORES)
        for connection in waiting:
            check_scores(scores_of(connection.response()), TWO_SCORES)
            connection.close()
        check_exit(server, 3)


def test_sigterm_under_load_fails_no_request():
    # Clients as behind a load balancer: they go on until an answer tells them to close, and
    # open no connection after that.
    rounds = 10 if harness.LONG else 3
    for _ in range(rounds):
        with Server("--drain_wait", "1") as server:
            terminated = threading.Event()

            def client(number):
                connection = Connection(server)
                state = {"connection": connection}

                def step():
                    answer = state["connection"].request("POST", V1, GOOD_BODY)
                    check_scores(scores_of(answer), TWO_SCORES)
                    if answer.closes():
                        check(terminated.is_set(), "closed before SIGTERM")
                        state["connection"].close()
                        return False
                    if number % 4 == 0:  # some clients connect anew each time
                        state["connection"].close()
                        state["connection"] = Connection(server)
                    return True
                return step

            load = Load(8, client)
            wait_until(lambda: load.n_done > 50 or load.failures, 10)
            time.sleep(0.1)
            terminated.set()
            server.send_signal(signal.SIGTERM)
            load.join(10)
            load.stop()
            check(load.n_done > 50, f"only {load.n_done} requests")
            check_exit(server, 3)


def test_new_clients_are_served_for_the_drain_wait():
    with Server("--drain_wait", "2") as server:
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        while not is_draining(server):  # until the main thread has been given a CPU, which takes as long as it takes
            check_good(server)
            check(time.monotonic() - started < 1, "ready a second after SIGTERM")
        while time.monotonic() - started < 1:
            check_good(server)
            check(is_draining(server), "ready again")
        check_exit(server, 4, started)
        check(time.monotonic() - started >= 2, "it ended before the drain wait")


def test_a_second_sigterm_ends_it_at_once():
    with Server() as server:
        upload = slow_upload(server)
        server.send_signal(signal.SIGTERM)
        check(wait_until(lambda: is_draining(server), 2), "readiness did not turn 503")
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        check_exit(server, 1, started, code=None)
        upload.close()


def test_a_request_that_never_ends_is_cut_at_the_grace_period():
    with Server("--grace_period", "1") as server:
        uploads = [slow_upload(server), slow_upload(server)]
        log_before, started = len(server.log()), time.monotonic()
        server.send_signal(signal.SIGTERM)
        check_exit(server, 3, started)
        took = time.monotonic() - started
        check(took >= 0.9, f"cut after {took:.1f} s")
        log = server.log()[log_before:]
        check(any("2" in line for line in log.splitlines()), f"no line with the count 2: {log!r}")
        for upload in uploads:
            upload.close()


def test_sighup_and_sigpipe_are_ignored():
    with Server() as server:
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGHUP):
            server.send_signal(number)
            time.sleep(0.02)
            check_good(server)
        check(not is_draining(server), "not ready after SIGHUP")


def test_clients_that_leave_early_harm_nobody():
    n = 2000 if harness.LONG else 150
    big = v1_body(repeat(MANY, 2000))
    with Server() as server:
        check_good(server)
        before = server.n_open_files()
        for i in range(n):
            with Connection(server) as connection:
                connection.send(request_bytes("POST", V1, (GOOD_BODY, big)[i % 2]))
                if i % 3 == 0:
                    connection.reset()
        check(wait_until(lambda: server.n_open_files() <= before, 10),
              f"{server.n_open_files()} open files, {before} before")
        check_good(server)


# ---------------------------------------------------------------- loading and unloading

def test_unload_takes_the_model_away_and_load_brings_it_back():
    with Server(*REPOSITORY) as server:
        for _ in range(3):
            answer = ask(server, "POST", UNLOAD, b"")
            check(answer.status == 200 and answer.json() == {"name": "dcnv2", "unload": True},
                  f"{answer.body!r}")
            for path, status in (("/v1/models", 200), ("/v1/models/dcnv2", 404),
                                 ("/v2/models/dcnv2", 404), ("/v2/models/dcnv2/ready", 404),
                                 ("/v2/health/ready", 200),
                                 ("/v2/health/live", 200), ("/metrics", 200)):
                found = ask(server, "GET", path)
                check(found.status == status, f"{path}: status {found.status}, not {status}")
            check(ask(server, "GET", "/v1/models").json() == {"models": []}, "/v1/models")
            for path, body in ((V1, GOOD_BODY), (V2, v2_body(TWO))):
                found = ask(server, "POST", path, body)
                check(found.status == 404, f"{path}: status {found.status}")
                check(found.error() == "Model with name dcnv2 does not exist.", found.error())
            check(ask(server, "POST", UNLOAD, b"").status == 404, "a second unload")
            answer = ask(server, "POST", LOAD, b"")
            check(answer.status == 200 and answer.json() == {"name": "dcnv2", "load": True},
                  f"{answer.body!r}")
            check_good(server)
        for verb in ("load", "unload"):
            answer = ask(server, "POST", f"/v2/repository/models/nope/{verb}", b"")
            check(answer.status in (404, 503), f"{verb} of nope: status {answer.status}")
            answer.error()
        check(ask(server, "GET", LOAD).status == 405, "GET on load")


class ModelFolder:
    """A copy of the demo model that a test may replace."""

    def __init__(self, directory):
        self.weights = pathlib.Path(directory) / "weights.pth"
        self.encoder = pathlib.Path(directory) / "encoder.pkl"
        self.flags = ["--model-path", self.weights, "--encoder-path", self.encoder]
        shutil.copy(ENCODER_PATH, self.encoder)
        self.put(MODEL_PATH)

    def put(self, path):
        """Replaces the weights in one step, as a careful uploader does."""
        new = self.weights.with_suffix(".new")
        shutil.copyfile(path, new)
        os.replace(new, self.weights)


def test_load_takes_the_new_files_and_a_bad_file_keeps_the_old_model():
    with tempfile.TemporaryDirectory() as directory:
        folder = ModelFolder(directory)
        with Server(*REPOSITORY, *folder.flags) as server:
            folder.put(PAPER_WEIGHTS)
            check_good(server)  # not before it is loaded
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
            other = scores_of(post_v1(server, TWO))
            check(bits(other) != bits(TWO_SCORES), "the scores of the old weights")
            for bad in (b"", b"<html>", MODEL_PATH.read_bytes()[:5000], None):
                if bad is None:
                    folder.weights.unlink()
                else:
                    folder.weights.write_bytes(bad)
                answer = ask(server, "POST", LOAD, b"")
                check(answer.status == 400, f"status {answer.status}")
                said = answer.error()
                check("was not loaded: model file: " in said and directory not in said, said)
                found = scores_of(post_v1(server, TWO))
                check(bits(found) == bits(other), "not the old model's scores")
                check(ask(server, "GET", "/v2/models/dcnv2/ready").status == 200, "not ready")
            folder.put(MODEL_PATH)
            folder.encoder.write_bytes(b"<html>")
            said = ask(server, "POST", LOAD, b"").error()
            check("was not loaded: encoder file: " in said and directory not in said, said)
            shutil.copy(ENCODER_PATH, folder.encoder)
            check(ask(server, "POST", LOAD, b"").status == 200, "load of good files again")
            check_good(server)


def test_a_load_under_load_mixes_no_two_models():
    with tempfile.TemporaryDirectory() as directory:
        folder = ModelFolder(directory)
        with Server(*REPOSITORY, *folder.flags) as server:
            first = bits(scores_of(post_v1(server, MANY)))
            folder.put(PAPER_WEIGHTS)
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
            allowed = {first, bits(scores_of(post_v1(server, MANY)))}
            check(len(allowed) == 2, "both models give the same scores")
            body, seen = v1_body(MANY), set()

            def client(_):
                connection = Connection(server)

                def step():
                    found = bits(scores_of(connection.request("POST", V1, body)))
                    check(found in allowed, "scores of no model")
                    seen.add(found)
                return step

            load = Load(4, client)
            for i in range(30):
                folder.put((MODEL_PATH, PAPER_WEIGHTS)[i % 2])
                check(ask(server, "POST", LOAD, b"").status == 200, f"load {i}")
                if i % 7 == 3:
                    folder.weights.write_bytes(b"bad")
                    check(ask(server, "POST", LOAD, b"").status == 400, "load of a bad file")
            load.stop()
            check(seen == allowed, f"{len(seen)} of 2 models were seen")


def test_unload_and_load_under_load_give_only_scores_and_404():
    with Server(*REPOSITORY) as server:
        statuses = set()

        def client(_):
            connection = Connection(server)

            def step():
                answer = connection.request("POST", V2, v2_body(TWO))
                statuses.add(answer.status)
                if answer.status == 200:
                    check_scores(scores_of(answer), TWO_SCORES)
                else:
                    check(answer.status == 404, f"status {answer.status}")
            return step

        load = Load(4, client)
        for _ in range(30):
            check(ask(server, "POST", UNLOAD, b"").status == 200, "unload")
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
        load.stop()
        check(statuses == {200, 404}, f"statuses {statuses}")
        check_good(server)


def test_a_load_between_predictions_of_one_moment_delays_none():
    request = request_bytes("POST", V1, v1_body(TWO))
    with Server("--workers", "1", *REPOSITORY) as server:
        check_good(server)
        for _ in range(10):
            with Connection(server) as connection:
                started = time.monotonic()
                connection.send((request + request_bytes("POST", LOAD, b"")) * 4 + request)
                for i in range(9):
                    check(connection.response().status == 200, f"reply {i}")
                took = time.monotonic() - started
                check(took < harness.limit(0.2), f"{took:.2f} s for nine requests")


def test_many_loads_leak_nothing():
    with Server(*REPOSITORY) as server:
        for _ in range(20):
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
        before, files = server.rss_bytes(), server.n_open_files()
        for _ in range(200):
            check(ask(server, "POST", LOAD, b"").status == 200, "load")
        grown = server.rss_bytes() - before
        check(harness.is_sanitized() or grown < 4 << 20, f"{grown >> 10} KiB more resident")
        check(wait_until(lambda: server.n_open_files() <= files, 3),
              f"{server.n_open_files()} files, {files} before")


# ---------------------------------------------------------------- surroundings that fail

def test_model_files_may_be_cut_and_deleted_while_serving():
    with tempfile.TemporaryDirectory() as directory:
        folder = ModelFolder(directory)
        with Server(*folder.flags) as server:
            for path in (folder.weights, folder.encoder):
                with open(path, "r+b") as file:
                    file.truncate(10)
            check_scores(scores_of(post_v1(server, MANY)), MANY_SCORES)
            for path in (folder.weights, folder.encoder):
                path.unlink()
            check_scores(scores_of(post_v1(server, MANY)), MANY_SCORES)


def test_a_closed_stderr_never_writes_a_log_line_to_a_client():
    with Server("--access_log", "true", before_exec=lambda: os.close(2)) as server:
        with Connection(server) as first, Connection(server) as second:
            for _ in range(50):
                for connection in (first, second):
                    check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
            check(not first.buffer and not second.buffer, "bytes behind an answer")
        check_good(server)


def test_a_full_disk_under_stderr_stops_nothing_and_is_counted():
    with open("/dev/full", "wb") as full:
        with Server("--access_log", "true", stderr=full) as server:
            for _ in range(100):
                check_good(server)
            check(wait_until(lambda: metrics(server)["dcnv2_log_lines_dropped_total"] > 0, 3),
                  "no dropped line was counted")


def test_a_pipe_that_nobody_reads_stops_nothing_and_is_counted():
    reader, writer = os.pipe()
    try:
        with Server("--access_log", "true", stderr=writer) as server:
            os.close(writer)
            writer = None
            with Connection(server) as connection:
                for i in range(3000):
                    answer = connection.request("GET", f"/v1/models/m{i:060}")
                    check(answer.status == 404, f"status {answer.status}")
            check_good(server)
            check(wait_until(lambda: metrics(server)["dcnv2_log_lines_dropped_total"] > 0, 3),
                  "no dropped line was counted")
            started = time.monotonic()
            server.send_signal(signal.SIGTERM)
            check_exit(server, 2, started)
    finally:
        os.close(reader)
        if writer is not None:
            os.close(writer)


def test_a_pipe_whose_reader_is_gone_stops_nothing():
    reader, writer = os.pipe()
    with Server("--access_log", "true", stderr=writer) as server:
        os.close(writer)
        os.close(reader)
        for _ in range(20):
            check_good(server)


def test_with_64_file_descriptors_it_says_so_and_outlives_a_flood():
    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with Server(before_exec=few_files) as server:
        check(wait_until(lambda: "listening" in server.log(), 2), server.log())
        log = server.log().lower()
        check("connections" in log and "64" in log, f"nothing is said: {log!r}")
        connections = []
        for _ in range(150):
            connections.append(Connection(server))
            connections[-1].send(request_bytes("GET", "/"))
        n_answered = 0
        for connection in connections[:10]:
            n_answered += connection.response().status == 200
        check(n_answered == 10, f"{n_answered} of the first 10 were answered")
        before = server.cpu_seconds()
        time.sleep(0.5)
        spent = server.cpu_seconds() - before
        check(spent < 0.3, f"{spent:.2f} s of CPU in 0.5 s of waiting: it spins")
        for connection in connections:
            connection.close()
        started = time.monotonic()
        check_good(server)
        check(time.monotonic() - started < harness.limit(2), "the next client waited")


def test_log_lines_are_whole_and_in_the_format_asked_for():
    with Server("--access_log", "true", "--log_format", "json", "--log_level", "debug") as server:
        def client(_):
            connection = Connection(server)
            return lambda: scores_of(connection.request("POST", V1, GOOD_BODY))

        load = Load(4, client)
        time.sleep(0.3)
        load.stop()
        server.stop()
        lines = server.log().splitlines()
        for line in lines:
            check(isinstance(json.loads(line), dict), line)
        n = sum(":predict" in line for line in lines)
        check(0 < n <= load.n_done, f"{n} access lines for {load.n_done} requests")


if __name__ == "__main__":
    harness.main(globals())
