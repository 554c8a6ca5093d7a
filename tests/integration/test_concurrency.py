# SPDX-License-Identifier: Apache-2.0
"""Many clients at once with requests of every kind; each answer must be right. Short, as it is
what runs under ThreadSanitizer."""
import contextlib
import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Load, Server, check
from samples import (GOOD_BODY, MANY, MANY_SCORES, TWO, TWO_SCORES, V1, V2, bits, check_good,
                     check_scores, metrics, post_v1, repeat, scores_of, select, v1_body, v2_binary,
                     v2_body, v2_document)
from wire import Connection, ask, chunked_request, gzip_bytes, request_bytes

SECONDS = 30 if harness.LONG else 1.5
REPOSITORY = ["--enable_model_repository", "true"]
LOAD = "/v2/repository/models/dcnv2/load"


def request_kinds():
    """(bytes of a request, how its answer is checked) of every kind."""
    binary, binary_headers = v2_binary(select(MANY, range(7)))
    document = {**v2_document(TWO), "id": "my-id"}

    def scored(expected):
        return lambda answer: check_scores(scores_of(answer), expected)

    def status(code):
        return lambda answer: check(answer.status == code, f"status {answer.status}, not {code}")

    def echoes_id(answer):
        check_scores(scores_of(answer), TWO_SCORES)
        check(answer.json()["id"] == "my-id", f"id {answer.json()['id']}")

    return [
        (request_bytes("POST", V1, GOOD_BODY), scored(TWO_SCORES)),
        (request_bytes("POST", V1, v1_body(MANY)), scored(MANY_SCORES)),
        (request_bytes("POST", V1, v1_body(repeat(MANY, 1000))), scored(MANY_SCORES * 5)),
        (request_bytes("POST", V2, json.dumps(document).encode()), echoes_id),
        (request_bytes("POST", V2, binary, binary_headers), scored(MANY_SCORES[:7])),
        (request_bytes("POST", V1, gzip_bytes(GOOD_BODY), [("Content-Encoding", "gzip")]),
         scored(TWO_SCORES)),
        (chunked_request(V2, [v2_body(TWO)[:100], v2_body(TWO)[100:]]), scored(TWO_SCORES)),
        (request_bytes("POST", V1, b'{"inputs": [{'), status(400)),
        (request_bytes("POST", V1, v1_body({**TWO, "price": ["a", "b"]})), status(400)),
        (request_bytes("POST", "/v1/models/nope:predict", GOOD_BODY), status(404)),
        (request_bytes("PUT", V1, b""), status(405)),
        (request_bytes("GET", "/v2/health/ready"), status(200)),
        (request_bytes("GET", "/v2/health/live"), status(200)),
        (request_bytes("GET", "/v1/models/dcnv2"), status(200)),
        (request_bytes("GET", "/metrics"), status(200)),
    ]


def mixed_client(server):
    """A Load client that goes through all kinds, each thread from another start, and connects
    anew now and then."""
    kinds = request_kinds()

    def make_step(number):
        state = {"at": number * 5, "connection": Connection(server, 30)}

        def step():
            data, verify = kinds[state["at"] % len(kinds)]
            state["connection"].send(data)
            answer = state["connection"].response()
            verify(answer)
            state["at"] += 1
            if answer.closes() or state["at"] % 23 == number % 23:
                state["connection"].close()
                state["connection"] = Connection(server, 30)
        return step
    return make_step


def run_for(seconds, *loads):
    time.sleep(seconds)
    for load in loads:
        load.stop(30)


def test_every_answer_is_right_with_many_clients_of_every_kind():
    with Server("--access_log", "true") as server:
        run_for(SECONDS, Load(12, mixed_client(server)))
        check_good(server)


def test_every_answer_is_right_while_the_model_is_loaded_again_and_again():
    with Server(*REPOSITORY) as server:
        def loader(_):
            connection = Connection(server, 30)

            def step():
                check(connection.request("POST", LOAD, b"").status == 200, "load")
            return step

        run_for(SECONDS, Load(8, mixed_client(server)), Load(2, loader))
        check_good(server)


def test_one_row_has_the_same_bits_on_every_thread():
    with Server("--workers", "4") as server:
        expected = bits(scores_of(post_v1(server, MANY)))

        def client(number):
            rows = [(number * 17 + i) % 200 for i in range(number + 1)]
            body = v1_body(select(MANY, rows))
            want = b"".join(expected[4 * row:4 * row + 4] for row in rows)
            connection = Connection(server, 30)

            def step():
                check(bits(scores_of(connection.request("POST", V1, body))) == want, f"{rows}")
            return step

        run_for(SECONDS / 2, Load(12, client))


def test_requests_of_one_moment_are_scored_together_and_each_gets_its_own_answer():
    # While the only worker scores a large request the others come, so that it finds all at once.
    large = v1_body(repeat(MANY, 20_000))
    out_of_range = v1_body({**select(MANY, [3]), "price": [3e38]})
    with Server("--workers", "1", "--access_log", "true", *REPOSITORY) as server:
        expected = bits(scores_of(post_v1(server, MANY)))
        for _ in range(10 if harness.LONG else 3):
            connections = [Connection(server, 30) for _ in range(61)]
            connections[0].send(request_bytes("POST", V1, large))
            for i, connection in enumerate(connections[1:]):
                rows = [(7 * i + k) % 200 for k in range(1 + i % 9)]
                if i % 20 == 7:
                    connection.send(request_bytes("POST", V1, out_of_range))
                elif i % 20 == 13:
                    connection.send(request_bytes("POST", LOAD, b""))
                elif i % 2:
                    document = {**v2_document(select(MANY, rows)), "id": f"id {i}"}
                    connection.send(request_bytes("POST", V2, json.dumps(document).encode()) * 2)
                else:
                    connection.send(request_bytes("POST", V1, v1_body(select(MANY, rows))))
            check_scores(scores_of(connections[0].response()), MANY_SCORES * 100)
            for i, connection in enumerate(connections[1:]):
                rows = [(7 * i + k) % 200 for k in range(1 + i % 9)]
                want = b"".join(expected[4 * row:4 * row + 4] for row in rows)
                if i % 20 == 7:
                    answer = connection.response()
                    check(answer.status == 400, f"out of range: status {answer.status}")
                    answer.error()
                elif i % 20 == 13:
                    check(connection.response().status == 200, "load")
                else:
                    for _ in range(1 + i % 2):
                        answer = connection.response()
                        check(bits(scores_of(answer)) == want, f"rows {rows}")
                        check(not i % 2 or answer.json()["id"] == f"id {i}", "another one's id")
                connection.close()
        check_good(server)


def test_counters_miss_nothing_under_load():
    with Server() as server:
        n_threads, n_requests = 8, 60

        def client(_):
            connection = Connection(server, 30)
            left = [n_requests]

            def step():
                check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
                left[0] -= 1
                return left[0] > 0
            return step

        load = Load(n_threads, client)
        load.join(30)
        load.stop()
        found, n = metrics(server), n_threads * n_requests
        check(found["dcnv2_rows_total"] == 2 * n, f"{found['dcnv2_rows_total']} rows of {2 * n}")
        check(found['request_predict_seconds_count{model_name="dcnv2"}'] == n, "predict count")
        check(found['dcnv2_out_of_vocabulary_total{column="cms_segid"}'] == n, "unknown values")
        answered = sum(value for key, value in found.items()
                       if key.startswith("dcnv2_requests_total{") and 'code="200"' in key)
        check(n <= answered <= n + 1, f"{answered} requests counted of {n}")


def test_ending_while_clients_connect_is_clean():
    for _ in range(5 if harness.LONG else 2):
        with Server("--access_log", "true") as server:
            stop = threading.Event()

            def knock():
                while not stop.is_set():
                    try:
                        ask(server, "POST", V1, GOOD_BODY, timeout=5)
                    except (OSError, harness.Failure):
                        time.sleep(0.001)  # the server is gone, as it should be by then

            threads = [threading.Thread(target=knock) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            try:
                server.stop()
            finally:
                stop.set()
                for thread in threads:
                    thread.join(harness.limit(10))


def test_connections_that_are_reset_at_once_harm_no_worker():
    # The worker that accepts one gives it to another, which may have ended it a moment later.
    with Server("--workers", "4") as server:
        def make_step(_):
            def step():
                with contextlib.suppress(ConnectionError):
                    Connection(server).reset()
            return step

        load = Load(4, make_step)
        time.sleep(SECONDS)
        load.stop()
        check_good(server)


if __name__ == "__main__":
    harness.main(globals())
