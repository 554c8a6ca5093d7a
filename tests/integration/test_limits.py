# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, many or large, and what the server spends on them."""
import json
import pathlib
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import LONG, Load, Problems, Server, check, fewer, wait_until, whole
from samples import (COLUMNS, GOOD_BODY, MANY, MANY_SCORES, ONE, TWO_SCORES, V1, V2, bits,
                     check_good, check_scores, metrics, post_v1, repeat, scores_of, v1_body, v2_binary,
                     v2_document)
from wire import Connection, ask, chunked_request, request_bytes

MIB = 1 << 20


def drip(connection, data, seconds, pause=0.2):
    """Sends a byte now and then. The seconds until the server ended the connection, or None."""
    started = time.monotonic()
    end = started + harness.limit(seconds)
    connection.sock.settimeout(pause * harness.SLOWDOWN)
    for i in range(len(data)):
        if time.monotonic() > end:
            return None
        try:
            connection.send(data[i:i + 1])
            if not connection.sock.recv(65536):
                return time.monotonic() - started
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - started
    return None


# ---------------------------------------------------------------- slow clients

def test_a_header_or_body_that_drips_is_cut_at_its_deadline():
    # Each byte resets an inactivity timer; only a total deadline ends this.
    with Server("--header_timeout", "1", "--body_timeout", "2", "--idle_timeout", "60") as server:
        problems, results = Problems(), {}
        head = request_bytes("GET", "/", headers=[("X", "y" * 200)])
        body = request_bytes("POST", V1, GOOD_BODY)
        chunked = chunked_request(V1, [bytes([byte]) for byte in GOOD_BODY])
        cases = {"header": (head, 0, 1), "request line": (b"GET /" + b"a" * 200, 0, 1),
                 "silence after a part": (head[:20], 19, 1),
                 "body": (body, len(body) - 300, 2), "chunked body": (chunked, 400, 2)}

        def run(name, data, at_once):
            with Connection(server) as connection:
                connection.send(data[:at_once])
                if name.startswith("silence"):
                    started = time.monotonic()
                    closed = connection.is_closed_within(6)
                    results[name] = time.monotonic() - started if closed else None
                else:
                    results[name] = drip(connection, data[at_once:], 6)

        threads = [threading.Thread(target=run, args=(name, data, at_once))
                   for name, (data, at_once, _) in cases.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.limit(20))
        for name, (_, _, deadline) in cases.items():
            took = results.get(name)
            latest = deadline + harness.limit(2.5)
            problems.check(took is not None and 0.7 * deadline <= took <= latest,
                           f"{name}: closed after {took} s, its deadline is {deadline} s")
        check_good(server)
        problems.report()


def test_an_idle_connection_is_closed_after_the_idle_timeout_and_not_before():
    with Server("--idle_timeout", "2", "--header_timeout", "3") as server:
        with Connection(server) as idle, Connection(server) as silent:
            check(idle.request("GET", "/").status == 200, "GET /")
            time.sleep(1)
            check(idle.request("GET", "/").status == 200, "closed while in use")
            started = time.monotonic()
            check(idle.is_closed_within(5), "an idle connection stays open")
            took = time.monotonic() - started
            check(took >= 1.4, f"closed after {took:.1f} s")
            check(silent.is_closed_within(12), "a connection that never asked stays open")


def test_requests_that_come_as_the_idle_time_ends_are_answered():
    # But for one that crosses the server's end of the connection, within microseconds.
    n_answered, n_dropped = 0, 0
    with Server("--idle_timeout", "1") as server:
        for late in (0.01, 0.03, 0.05, 0.07, 0.09):
            connections = [Connection(server) for _ in range(8)]
            for connection in connections:
                check(connection.request("GET", "/").status == 200, "GET /")
            time.sleep(1 + late)
            for connection in connections:
                if select.select([connection.sock], [], [], 0)[0]:
                    continue  # closed before the request
                try:
                    connection.send(request_bytes("POST", V1, GOOD_BODY))
                    check(connection.response().status == 200, f"{late} s after the idle time")
                    n_answered += 1
                except (OSError, harness.Failure):
                    n_dropped += 1
            for connection in connections:
                connection.close()
    check(n_dropped <= 1, f"{n_answered} answered, {n_dropped} dropped")


def test_a_proxy_may_keep_a_connection_idle_for_its_own_time():
    seconds = 100 if LONG else 3
    with Server() as server:
        with Connection(server) as connection:
            check(connection.request("GET", "/").status == 200, "GET /")
            time.sleep(seconds)
            check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)


def test_a_client_that_does_not_read_holds_up_nobody():
    body = v1_body(repeat(MANY, fewer(30_000)))
    with Server("--body_timeout", whole(2)) as server:
        slow = []
        for _ in range(10):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(harness.limit(20))
            sock.connect((server.address, server.port))
            sock.sendall(request_bytes("POST", V1, body))
            slow.append(sock)
        for _ in range(20):
            started = time.monotonic()
            check_good(server)
            check(time.monotonic() - started < harness.limit(3), "another client waited")
        if LONG:
            time.sleep(harness.limit(90))
            n = server.n_open_files()
            check(n < 40, f"{n} open files after the write deadline")
        for sock in slow:
            sock.close()
        check_good(server)


def scalars(n_rows):
    """A small body of many rows: one list, the rest are repeated."""
    cells = ",".join(["1"] * n_rows)
    return ('{"inputs":[{' + ",".join(f'"{name}":1' for name in COLUMNS[1:])
            + f',"{COLUMNS[0]}":[{cells}]' + "}]}").encode()


def test_replies_that_are_not_taken_hold_no_more_than_themselves():
    # The rows of such a body take 40 MB while it is answered, its reply less than one.
    if harness.is_sanitized():
        return  # its memory use says nothing, and fewer rows find room in the sockets; test_slow_clients.py has others
    body, n_clients = scalars(64_000), 10
    with Server("--workers", "1") as server:
        check(len(scores_of(ask(server, "POST", V1, body, timeout=60))) == 64_000, "rows")
        before, slow = server.rss_bytes(), []
        for _ in range(n_clients):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(harness.limit(30))
            sock.connect((server.address, server.port))
            sock.sendall(request_bytes("POST", V1, body) * 7)
            slow.append(sock)
        answered = lambda: metrics(server)['dcnv2_requests_total{route="v1_predict",code="200"}']  # noqa: E731
        last = -1
        while last != answered():
            last = answered()
            time.sleep(harness.limit(0.5))
        grown = server.rss_bytes() - before
        for sock in slow:
            sock.close()
        check(last > n_clients, f"only {last} replies were begun")
        check(grown < 200 * MIB, f"{grown // MIB} MiB more resident")
        check_good(server)


# ---------------------------------------------------------------- many clients

def test_idle_connections_at_the_limit_give_way_in_the_end():
    with Server("--max_connections", "8", "--header_timeout", "1", "--idle_timeout", "1") as server:
        idle = [Connection(server) for _ in range(30)]
        started = time.monotonic()
        with Connection(server, 20) as connection:
            check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
        check(time.monotonic() - started < harness.limit(15), "the next client waited")
        for connection in idle:
            connection.close()
        check_good(server)


def test_a_flood_of_idle_connections_ends_without_a_trace():
    n = 5000 if LONG else 900
    with Server() as server:
        check_good(server)
        files = server.n_open_files()
        for _ in range(2):
            flood = []
            try:
                for _ in range(n):
                    flood.append(Connection(server))
            except OSError:
                pass  # this process has no more descriptors, or the backlog is full
            check(len(flood) > 300, f"only {len(flood)} connections")
            for connection in flood:
                connection.close()
            started = time.monotonic()
            check_good(server)
            check(time.monotonic() - started < harness.limit(2), "the next client waited")
        check(wait_until(lambda: server.n_open_files() <= files, 5),
              f"{server.n_open_files()} files, {files} before")


def test_the_bodies_in_flight_have_a_budget():
    size, n_clients = 16 * MIB, 24
    with Server() as server:
        check_good(server)
        before, highest = server.rss_bytes(), 0
        answers, failures, ready = [], [], threading.Barrier(n_clients + 1)

        def upload():
            # All bodies lie at the server, but for their last byte, before one is complete.
            try:
                with Connection(server, 40) as connection:
                    connection.send(request_bytes("POST", V1, headers=[("Content-Length", size)]))
                    connection.send(b" " * (size - 1))
                    ready.wait(harness.limit(40))
                    connection.send(b" ")
                    answers.append(connection.response())
            except (OSError, harness.Failure, threading.BrokenBarrierError) as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=upload) for _ in range(n_clients)]
        for thread in threads:
            thread.start()
        while ready.n_waiting < n_clients and any(thread.is_alive() for thread in threads):
            highest = max(highest, server.rss_bytes())
            check(ask(server, "GET", "/v2/health/live").status == 200, "liveness in the flood")
            time.sleep(0.05)
        highest = max(highest, server.rss_bytes())
        ready.wait(harness.limit(10))
        for thread in threads:
            thread.join(harness.limit(40))
        check(not failures, f"{failures[:3]}")
        statuses = sorted(answer.status for answer in answers)
        check(set(statuses) == {400, 503}, f"statuses {statuses}")  # 400: blanks are no JSON
        for answer in answers:
            answer.error()
            check(answer.status == 400 or answer.header("retry-after") == "1",
                  f"Retry-After: {answer.header('retry-after')}")
        grown = highest - before
        check(harness.is_sanitized() or grown < 300 * MIB, f"{grown // MIB} MiB more resident")
        check_good(server)


def test_a_burst_of_uploads_leaves_room_for_the_next_ones():
    size, n_clients = 200 * 1024, 300
    with Server() as server:
        body = b" " * size
        connections = [Connection(server, 40) for _ in range(n_clients)]
        for connection in connections:
            connection.send(request_bytes("POST", V1, headers=[("Content-Length", size)]) + body[:-10])
        for connection in connections:
            connection.send(body[-10:])
        for connection in connections:
            check(connection.response().status in (400, 503), "status")  # blanks are no JSON
            connection.close()
        for _ in range(5):
            check_good(server)
            answer = ask(server, "POST", V1, b" " * (1 << 20))
            check(answer.status == 400, f"status {answer.status} after the burst")


# ---------------------------------------------------------------- large requests

def compact(n_rows):
    """The smallest v1 body of so many rows."""
    cells = ",".join(["1"] * n_rows)
    return ('{"inputs":[{' + ",".join(f'"{name}":[{cells}]' for name in COLUMNS) + "}]}").encode()


def test_rows_up_to_the_limit_are_served_and_one_more_is_413():
    with Server("--max_rows", "10") as server:
        def rows(n):
            columns = repeat(MANY, n)
            scalars = [{name: values[i] for name, values in columns.items()} for i in range(n)]
            yield "v1", V1, v1_body(columns), []
            yield "v1 rows", V1, v1_body(*scalars), []
            yield "v1 nested", V1, v1_body(scalars), []
            yield "v2", V2, json.dumps(v2_document(columns)).encode(), []
            body, headers = v2_binary(columns)
            yield "v2 binary", V2, body, headers

        for name, path, body, headers in rows(10):
            check_scores(scores_of(ask(server, "POST", path, body, headers)), MANY_SCORES[:10])
        for name, path, body, headers in rows(11):
            answer = ask(server, "POST", path, body, headers)
            check(answer.status == 413, f"{name}: status {answer.status}")
            check("10" in answer.error(), f"{name}: {answer.error()}")
        check_good(server)


def test_ten_thousand_rows_are_served_and_more_than_a_hundred_thousand_are_not():
    with Server() as server:
        answer = ask(server, "POST", V1, v1_body(repeat(MANY, 10_000)))
        check_scores(scores_of(answer), MANY_SCORES * 50)
        body, headers = v2_binary(repeat(MANY, 10_000))
        answer = ask(server, "POST", V2, body, headers)
        check_scores(scores_of(answer), MANY_SCORES * 50)
        answer = ask(server, "POST", V1, compact(100_000), timeout=30)
        scores = scores_of(answer)
        check(len(set(scores)) == 1 and len(scores) == 100_000, "100,000 rows")
        answer = ask(server, "POST", V1, compact(100_001), timeout=30)
        check(answer.status == 413, f"100,001 rows: status {answer.status}")
        answer.error()
        check_good(server)


def test_probes_are_answered_within_a_second_during_big_batches():
    seconds = 10 if LONG else 3
    body = v1_body(repeat(MANY, 10_000))
    with Server() as server:
        def client(_):
            connection = Connection(server, 60)

            def step():
                check(len(connection.request("POST", V1, body).body) > 10_000, "a short answer")
            return step

        load = Load(4, client)
        slowest, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            for path in ("/v2/health/live", "/v2/health/ready", "/v1/models/dcnv2"):
                started = time.monotonic()
                check(ask(server, "GET", path, timeout=30).status == 200, path)
                slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.02)
        load.stop(60)
        check(slowest < harness.limit(1), f"a probe took {slowest:.2f} s")


def test_a_probe_waits_for_one_big_request_and_not_for_all_that_came_before_it():
    for body, n_clients in ((compact(fewer(100_000)), 16), (scalars(fewer(64_000)), 40)):  # within the budget of bodies
        check_a_probe_waits_for_one(body, n_clients)


def check_a_probe_waits_for_one(body, n_clients):
    with Server("--workers", "1") as server:
        def cpu_seconds_of(method, path, sent=None):
            before = server.cpu_seconds()
            check(ask(server, method, path, sent, timeout=60).status == 200, path)
            return server.cpu_seconds() - before

        alone = cpu_seconds_of("POST", V1, body)
        connections = [Connection(server, 120) for _ in range(n_clients)]
        senders = [threading.Thread(target=c.send, args=(request_bytes("POST", V1, body),)) for c in connections]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(harness.limit(30))
        slowest, n_probes = 0.0, 0
        while not select.select([c.sock for c in connections[-3:]], [], [], 0)[0] and n_probes < 1000:
            slowest, n_probes = max(slowest, cpu_seconds_of("GET", "/v2/health/live")), n_probes + 1
        for connection in connections:
            check(connection.response().status == 200, "rows")
            connection.close()
        check(n_probes > 3, f"only {n_probes} probes while {n_clients} requests waited")
        check(slowest < 3 * alone + 0.1, f"{slowest:.2f} s of CPU during a probe, {alone:.2f} s for one such request")


# ---------------------------------------------------------------- no growth

def test_memory_and_descriptors_stay_flat_over_many_requests():
    n = fewer(100_000 if LONG else 4000)
    bodies = [(V1, GOOD_BODY), (V2, json.dumps(v2_document(ONE)).encode()), (V1, b"{"),
              (V1, v1_body(MANY)),
              (V1, v1_body({**ONE, "price": ["x"]})), ("/v1/models/nope:predict", GOOD_BODY),
              (V2, v1_body(ONE))]
    with Server() as server:
        with Connection(server) as connection:
            def send(n_requests):
                for i in range(n_requests):
                    path, body = bodies[i % len(bodies)]
                    answer = connection.request("POST", path, body)
                    check(answer.status in (200, 400, 404), f"status {answer.status}")

            send(1000)
            rss, files = server.rss_bytes(), server.n_open_files()
            send(n)
            grown = server.rss_bytes() - rss
            check(harness.is_sanitized() or grown < 1 * MIB, f"{grown >> 10} KiB more resident")
            check(server.n_open_files() == files, f"{server.n_open_files()} files, {files} before")


def test_memory_and_descriptors_stay_flat_over_many_connections():
    n = fewer(100_000 if LONG else 2000)
    with Server() as server:
        def cycle(n_connections):
            for i in range(n_connections):
                with Connection(server) as connection:
                    if i % 4 == 0:
                        check(connection.request("GET", "/").status == 200, "GET /")
                    elif i % 4 == 1:
                        connection.send(b"GET / HT")

        cycle(500)
        check_good(server)
        rss, files = server.rss_bytes(), server.n_open_files()
        cycle(n)
        check_good(server)
        grown = server.rss_bytes() - rss
        check(harness.is_sanitized() or grown < 2 * MIB, f"{grown >> 10} KiB more resident")
        check(wait_until(lambda: server.n_open_files() <= files, 5),
              f"{server.n_open_files()} files, {files} before")


def test_a_large_request_is_given_back():
    with Server() as server:
        for _ in range(50):
            check_good(server)
        rss = server.rss_bytes()
        for _ in range(3):
            check(len(scores_of(post_v1(server, repeat(MANY, 20_000)))) == 20_000, "rows")
        for _ in range(50):
            check_good(server)
        grown = server.rss_bytes() - rss
        check(harness.is_sanitized() or grown < 64 * MIB, f"{grown // MIB} MiB more resident")


def test_probe_storms_leave_no_trace():
    with Server() as server:
        def client(_):
            connection = Connection(server)

            def step():
                for path in ("/", "/v2/health/live", "/v2/health/ready"):
                    check(connection.request("GET", path).status == 200, path)
            return step

        def storm(n_clients, seconds):
            load = Load(n_clients, client)
            time.sleep(seconds)
            load.stop()

        storm(4, 0.3)
        rss = server.rss_bytes()
        storm(4, 1)
        grown = server.rss_bytes() - rss
        check(harness.is_sanitized() or grown < 2 * MIB, f"{grown >> 10} KiB more resident")


def test_any_client_gets_the_same_bits_while_others_misbehave():
    with Server("--header_timeout", "1", "--body_timeout", whole(1)) as server:
        expected = bits(scores_of(post_v1(server, MANY)))

        def good(_):
            connection = Connection(server, 20)
            body = v1_body(MANY)

            def step():
                check(bits(scores_of(connection.request("POST", V1, body))) == expected, "bits")
            return step

        def bad(number):
            tricks = [request_bytes("POST", V1, GOOD_BODY)[:-9], b"\x16\x03\x01\0\0",
                      b"GET / HTTP/1.1\r\n",
                      chunked_request(V1, [GOOD_BODY])[:-3], request_bytes("GET", "/", host=None)]

            def step():
                with Connection(server) as connection:
                    connection.send(tricks[number % len(tricks)])
                    if number % 2:
                        connection.reset()
            return step

        loads = [Load(3, good), Load(5, bad)]
        time.sleep(1.5)
        for load in loads:
            load.stop()


if __name__ == "__main__":
    harness.main(globals())
