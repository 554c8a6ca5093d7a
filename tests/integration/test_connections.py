# SPDX-License-Identifier: Apache-2.0
"""Many connections: who keeps a place, who makes room, and how long anybody else waits. The
probes of a cluster come on connections of their own, and must never wait for the others."""
import contextlib
import multiprocessing
import os
import pathlib
import resource
import select
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, Server, check, fewer, wait_until, whole
from samples import (COLUMNS, GOOD_BODY, TWO_SCORES, V1, check_good, check_scores, metrics, scores_of)
from wire import Connection, ask, gzip_bytes, request_bytes

MIB = 1 << 20
PROBE_LATEST_S = 0.1
STARVED_S = 1.0
LARGE_ROWS = fewer(100_000)
# This process holds the clients' ends.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


class Prober:
    """Asks for liveness, readiness and metrics every 100 ms, each time on a new connection; in a
    process of its own, so that a test's own work does not hold it up. Beside it asks a server that
    has nothing else to do: that tells how long a probe takes on this machine at this time. A probe
    that took longer because other programs had the CPU waited for what the server did meanwhile;
    but not for a second, in which the server may have done nothing at all, though it had a CPU."""

    LEAST_PROBES = 9

    def __init__(self, server, every=0.1):
        context = multiprocessing.get_context("fork")
        self.ending, (self.results, results) = context.Event(), context.Pipe(duplex=False)
        self.idle = Server("--workers", "1")
        self.process = context.Process(target=self.run, args=(server, every, results), daemon=True)
        self.process.start()

    def run(self, server, every, results):
        with contextlib.suppress(PermissionError):
            os.nice(-20)
        slowest, slowest_idle, n, failures = 0.0, 0.0, 0, []
        while not failures and (n < self.LEAST_PROBES or not self.ending.is_set()):
            self.ending.wait(every)
            for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
                try:
                    slowest = max(slowest, self.time_of(server, path))
                    slowest_idle = max(slowest_idle, self.time_of(self.idle, path))
                except (OSError, harness.Failure) as error:
                    failures.append(f"{path}: {error}")
                n += 1
        results.send((slowest, slowest_idle, n, failures))

    @staticmethod
    def time_of(server, path):
        started, worked, queued = time.monotonic(), server.cpu_seconds(), server.queued_seconds()
        status = ask(server, "GET", path, timeout=20).status
        took = time.monotonic() - started
        took -= max(seconds - queued.get(task, 0) for task, seconds in server.queued_seconds().items())
        check(status == 200, f"status {status}")
        return took if took >= STARVED_S else min(took, server.cpu_seconds() - worked)

    def check(self, latest=PROBE_LATEST_S):
        self.ending.set()
        check(self.results.poll(harness.limit(60)), "the probes do not end")
        slowest, slowest_idle, n, failures = self.results.recv()
        self.process.join(10)
        with self.idle:
            self.idle.stop()
        check(not failures, f"{len(failures)} of {n} probes: {failures[:2]}")
        check(slowest < harness.limit(latest) + slowest_idle,
              f"a probe took {slowest * 1e3:.0f} ms, {slowest_idle * 1e3:.0f} of a server without connections")


def connections_by_state(server):
    return {key.split('"')[1]: value for key, value in metrics(server).items()
            if key.startswith("dcnv2_connections{")}


def cut_for(server, reason):
    return metrics(server)[f'dcnv2_connections_cut_total{{reason="{reason}"}}']


def cut_lines(server):
    return [line for line in server.log().splitlines() if "connection cut" in line]


def is_open(connection):
    """Whether the server has not ended it."""
    connection.sock.setblocking(False)
    try:
        return bool(connection.sock.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.sock.settimeout(harness.limit(10))


def close_all(connections):
    for connection in connections:
        connection.close()


# ---------------------------------------------------------------- pooled connections

def pool(server, n):
    """Connections on which a request was answered, and which stay open."""
    connections = [Connection(server) for _ in range(n)]
    for connection in connections:
        connection.send(request_bytes("POST", V1, GOOD_BODY))
    for connection in connections:
        check_scores(scores_of(connection.response()), TWO_SCORES)
    return connections


def test_two_thousand_pooled_connections_hold_up_no_probe():
    with Server() as server:
        prober = Prober(server)
        connections = pool(server, 2000)
        time.sleep(0.5)
        prober.check()
        states = connections_by_state(server)
        check(states["idle"] == 2000, f"{states}")
        check(metrics(server)["dcnv2_connections_limit"] > 2000, "the limit")
        for connection in connections[::100]:
            check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
        check(cut_for(server, "room") == 0 and not cut_lines(server), "a connection was cut")
        close_all(connections)


def test_at_the_limit_the_connection_that_is_idle_longest_makes_room():
    limit, n = 64, 600
    with Server("--max_connections", str(limit), "--workers", "1") as server:
        prober = Prober(server)
        connections = []
        for _ in range(n):
            connections.append(Connection(server))
            check_scores(scores_of(connections[-1].request("POST", V1, GOOD_BODY)), TWO_SCORES)
        prober.check()
        n_open = [is_open(connection) for connection in connections]
        check(all(n_open[-limit:]), "one of the youngest was closed")
        check(not any(n_open[:-2 * limit]), "one of the oldest is open")
        found = metrics(server)
        check(found["dcnv2_connections_limit"] == limit, f"limit {found['dcnv2_connections_limit']}")
        check(sum(connections_by_state(server).values()) <= limit + 8, f"{connections_by_state(server)}")
        check(cut_for(server, "room") >= n - limit - 8, f"{cut_for(server, 'room')} made room")
        lines = cut_lines(server)
        check(0 < len(lines) <= 2, f"{len(lines)} log lines: {lines[:3]}")
        check("makes room" in lines[0], lines[0])
        close_all(connections)


def half_sent(server, body=GOOD_BODY, n_left=20):
    """A request whose body lacks its last bytes; finish() sends these."""
    connection = Connection(server, 30)
    data = request_bytes("POST", V1, body)
    connection.send(data[:-n_left])
    connection.rest = data[-n_left:]
    return connection


def test_a_request_under_way_is_never_cut_for_others():
    limit = 16
    with Server("--max_connections", str(limit), "--workers", "1") as server:
        uploads = [half_sent(server) for _ in range(limit)]
        check(wait_until(lambda: connections_by_state(server)["body"] == limit, 5), "bodies")
        idle = pool_quietly(server, 100)
        for upload in uploads:
            upload.send(upload.rest)
            check_scores(scores_of(upload.response()), TWO_SCORES)
        check(cut_for(server, "room") > 80, "nobody made room")
        close_all(uploads + idle)


def pool_quietly(server, n):
    """Connections with nothing on them."""
    return [Connection(server) for _ in range(n)]


def test_requests_that_wait_behind_others_of_their_connection_are_not_cut_for_parts_of_heads():
    n_each, large = 100, large_request()
    with Server("--max_connections", "2", "--workers", "1") as server:
        slow = Connection(server, 60)
        slow.send(large * 3)
        connections = [Connection(server, 30) for _ in range(3)]
        for connection in connections:
            connection.send(request_bytes("GET", "/v2") * n_each)
        parts = pool_of_parts(server, 30)
        for connection in connections:
            for _ in range(n_each):
                check(connection.response().status == 200, "status")
        check(cut_for(server, "room") > 0, "no room was made")
        close_all([slow, *connections, *parts])


def pool_of_parts(server, n):
    """Connections on which a part of a head has come, one after the other."""
    connections = []
    for _ in range(n):
        connections.append(Connection(server))
        connections[-1].send(b"GET")
        time.sleep(0.01)
    return connections


def test_where_each_place_has_a_request_another_one_is_refused_and_a_probe_is_answered():
    limit = 16
    with Server("--max_connections", str(limit), "--workers", "1") as server:
        uploads = [half_sent(server) for _ in range(limit)]
        check(wait_until(lambda: connections_by_state(server)["body"] == limit, 5), "bodies")
        prober = Prober(server, 0.02)
        for _ in range(20):
            with half_sent(server) as over:
                answer = over.response()
                check(answer.status == 503 and answer.header("retry-after"), f"status {answer.status}")
                check("Too many requests" in answer.error(), answer.error())
        check_good(server)  # a request that is answered at once needs no place
        prober.check()
        for upload in uploads:
            upload.send(upload.rest)
            check_scores(scores_of(upload.response()), TWO_SCORES)
        check_good(server)
        close_all(uploads)


def test_without_more_files_an_idle_connection_makes_room():
    with Server("--workers", "1") as server:
        idle = [connection for _ in range(50) for connection in pool(server, 1)]
        n_files = server.n_open_files()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (n_files, n_files))
        for _ in range(100):
            check_good(server)
        check(cut_for(server, "room") > 0, "nobody made room")
        check(not is_open(idle[0]), "the one that was idle longest is open")
        close_all(idle)


# ---------------------------------------------------------------- slow clients on all connections

def slow_heads(server, n):
    connections = [Connection(server, 30) for _ in range(n)]
    for connection in connections:
        connection.send(b"POST /v1/models/dcnv2:predict HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 3000)
    return connections


def slow_bodies(server, n):
    return [half_sent(server, b" " * 20_000, 10_000) for _ in range(n)]


def slow_readers(server, n):
    cells = ",".join(["1"] * fewer(30_000))
    body = ('{"inputs":[{' + ",".join(f'"{name}":1' for name in COLUMNS[1:])
            + f',"{COLUMNS[0]}":[{cells}]' + "}]}").encode()
    packed = request_bytes("POST", V1, gzip_bytes(body), [("Content-Encoding", "gzip")])
    connections = []
    for _ in range(n):
        connection = Connection.__new__(Connection)
        connection.buffer, connection.ended = b"", False
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sock.settimeout(harness.limit(30))
        connection.sock.connect((server.address, server.port))
        connection.send(packed)
        connections.append(connection)
    return connections


def test_slow_clients_on_all_connections_hold_up_no_probe():
    limit = 300
    problems = Problems()
    for kind, n in ((slow_heads, 2 * limit), (slow_bodies, 2 * limit), (slow_readers, 40)):
        with Server("--max_connections", str(limit), "--workers", "1") as server:
            prober = Prober(server)
            connections = kind(server, n)
            time.sleep(1)
            # Behind a request of 30,000 rows a probe may wait for that one.
            problems.collect(kind.__name__, prober.check, 0.5 if kind is slow_readers else PROBE_LATEST_S)
            problems.collect(f"{kind.__name__}: the next request", check_good, server)
            states = connections_by_state(server)
            problems.check(sum(states.values()) <= limit + 40, f"{kind.__name__}: {states}")
            close_all(connections)
            problems.check(wait_until(lambda: sum(connections_by_state(server).values()) <= 1, 10),
                           f"{kind.__name__}: {connections_by_state(server)}")
    problems.report()


def test_a_connection_on_which_nothing_comes_has_the_time_of_a_header():
    with Server("--header_timeout", "1", "--idle_timeout", "60") as server:
        started = time.monotonic()
        with Connection(server) as silent, Connection(server) as used:
            check(used.request("GET", "/").status == 200, "GET /")
            check(silent.is_closed_within(5), "still open")
            took = time.monotonic() - started
            check(0.9 <= took <= harness.limit(3), f"closed after {took:.1f} s")
            check(used.request("GET", "/").status == 200, "an idle connection was closed as well")


def test_a_body_that_comes_more_slowly_than_its_least_rate_ends_with_a_408():
    with Server("--min_body_rate", "10000", "--body_timeout", whole(60)) as server:
        steady = half_sent(server, b" " * 300_000, 290_000)
        stalled = half_sent(server, b" " * 300_000, 290_000)
        started = time.monotonic()
        for at in range(0, 290_000, 20_000):
            steady.send(steady.rest[at:at + 20_000])
            time.sleep(1)
        answer = stalled.response()
        check(answer.status == 408 and answer.closes(), f"status {answer.status}")
        check("too slowly: 10000 bytes of it after 1" in answer.error(), answer.error())
        check(time.monotonic() - started < harness.limit(20), "late")
        check(steady.response().status == 400, "blanks are no JSON")
        check(cut_for(server, "body") == 1, "the metric")
        close_all([steady, stalled])


# ---------------------------------------------------------------- behind large requests

def rows_body(n_rows):
    cells = ",".join(["1"] * n_rows)
    return ('{"inputs":[{' + ",".join(f'"{name}":[{cells}]' for name in COLUMNS) + "}]}").encode()


def large_request():
    return request_bytes("POST", V1, gzip_bytes(rows_body(LARGE_ROWS), 1), [("Content-Encoding", "gzip")])


def time_alone(server, data):
    """CPU seconds of one large request, the least of two: the first one touches the memory. Waiting is
    counted in the server's CPU seconds, since other programs may have the CPU meanwhile."""
    times = []
    for _ in range(2):
        with Connection(server, 60) as connection:
            started = server.cpu_seconds()
            connection.send(data)
            check(connection.response().status == 200, "rows")
            times.append(server.cpu_seconds() - started)
    return min(times)


def test_a_probe_on_a_new_connection_waits_for_one_large_request_whatever_connects():
    data = large_request()
    with Server("--workers", "1") as server:
        alone = time_alone(server, data)
        connections = [Connection(server, 120) for _ in range(100)]
        for connection in connections:
            connection.send(data)
        slowest = 0.0
        for _ in range(5):
            started = server.cpu_seconds()
            check(ask(server, "GET", "/v2/health/live", timeout=60).status == 200, "liveness")
            slowest = max(slowest, server.cpu_seconds() - started)
        close_all(connections)
        check(slowest < 3 * alone + 0.3, f"a probe took {slowest:.2f} s, one such request {alone:.2f} s")


def test_a_small_request_overtakes_large_ones_and_a_large_one_is_answered_all_the_same():
    data, middle = large_request(), rows_body(1000)
    with Server("--workers", "1") as server:
        alone = time_alone(server, data)
        large = [Connection(server, 120) for _ in range(12)]
        with Connection(server, 60) as connection:
            for other in large:
                other.send(data)
            time.sleep(0.05)
            started = server.cpu_seconds()
            check(connection.request("POST", V1, middle).status == 200, "1,000 rows")
            took = server.cpu_seconds() - started
        check(took < 3 * alone + 0.3, f"1,000 rows took {took:.2f} s, a large request {alone:.2f} s")
        for other in large:
            check(other.response().status == 200, "a large request")
        close_all(large)


def check_work_is_dropped(leave):
    data = large_request()
    with Server("--workers", "1") as server:
        alone = time_alone(server, data)
        gone = [Connection(server, 60) for _ in range(40)]
        for connection in gone:
            connection.send(data)
        time.sleep(0.05)
        for connection in gone:
            leave(connection)
        started = server.cpu_seconds()
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] <= 1, 30), "requests in flight")
        took = server.cpu_seconds() - started
        check(took < 6 * alone + 0.5, f"{took:.2f} s for clients that are gone, one request {alone:.2f} s")


def test_the_work_of_clients_that_are_gone_is_dropped():
    check_work_is_dropped(lambda connection: connection.reset())
    check_work_is_dropped(lambda connection: connection.close())  # FIN: as one that will still read


def test_a_client_that_has_sent_its_end_and_reads_on_is_answered():
    data = large_request()
    with Server("--workers", "1") as server:
        others = [Connection(server, 60) for _ in range(8)]
        with Connection(server, 60) as connection:
            connection.send(data)
            connection.sock.shutdown(socket.SHUT_WR)
            for other in others:
                other.send(data)
            answer = connection.response()
            if answer.status == 100:  # whether it is still there
                answer = connection.response()
            check(len(scores_of(answer)) == LARGE_ROWS, "rows")
        close_all(others)


def test_a_client_that_has_sent_its_end_is_answered_while_others_never_pause():
    body = rows_body(3000)
    with Server("--workers", "1") as server:
        def make_step(_):
            connection = Connection(server, 30)
            return lambda: check(connection.request("POST", V1, body).status == 200, "3,000 rows")

        load = harness.Load(4, make_step)
        try:
            for version in ("1.1", "1.0"):
                with Connection(server, 6) as connection:
                    connection.send(request_bytes("POST", V1, body, version=version))
                    connection.sock.shutdown(socket.SHUT_WR)
                    answer = connection.response()
                    if answer.status == 100:  # whether it is still there
                        answer = connection.response()
                    check(len(scores_of(answer)) == 3000, "rows")
        finally:
            load.stop()


def test_what_comes_behind_an_urgent_byte_is_read():
    data = request_bytes("POST", V1, GOOD_BODY)
    with Server("--workers", "1") as server, Connection(server, 3) as connection:
        check_scores(scores_of(connection.request("POST", V1, GOOD_BODY)), TWO_SCORES)
        for at in (200, len(data) - 20):  # in the head, in the body
            server.send_signal(signal.SIGSTOP)
            connection.send(data[:at])
            connection.sock.send(b"!", socket.MSG_OOB)  # it is no part of the stream
            connection.send(data[at:])
            time.sleep(0.05)
            server.send_signal(signal.SIGCONT)
            check_scores(scores_of(connection.response()), TWO_SCORES)


# ---------------------------------------------------------------- memory for bodies

def test_bodies_that_are_held_shut_nobody_out():
    with Server("--workers", "2") as server:
        held = [half_sent(server, b" " * (16 * MIB), 1) for _ in range(4)]
        for _ in range(3):
            check_good(server)
            check(ask(server, "POST", V1, rows_body(300)).status == 200, "300 rows")
            packed = ask(server, "POST", V1, gzip_bytes(GOOD_BODY), [("Content-Encoding", "gzip")])
            check_scores(scores_of(packed), TWO_SCORES)
            with half_sent(server) as pieces:
                pieces.send(pieces.rest)
                check_scores(scores_of(pieces.response()), TWO_SCORES)
        large = rows_body(30_000)
        check(wait_until(lambda: ask(server, "POST", V1, large, timeout=30).status == 200, 5),
              "a body of a megabyte finds no memory")
        check(cut_for(server, "memory") >= 1, "nobody was cut for memory")
        cut = select.select([c.sock for c in held[:3]], [], [], 0)[0]  # the fourth found no memory
        check(cut, "none of them knows")
        answer = next(c for c in held if c.sock is cut[0]).response()
        check(answer.status == 503 and answer.closes() and answer.header("retry-after"), f"{answer.status}")
        check("came slowest" in answer.error(), answer.error())
        close_all(held)


def test_heads_that_are_held_use_the_same_memory():
    # 600 heads of 60 KiB are 36 MB of 64 for bodies.
    with Server("--workers", "1") as server:
        check_good(server)
        before = server.rss_bytes()
        held = [Connection(server) for _ in range(1500)]
        for connection in held:
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: %b\r\n" % (i, b"y" * 4000)
                                                                         for i in range(14)))
        prober = Prober(server)
        time.sleep(1)
        prober.check()
        check_good(server)
        grown = server.rss_bytes() - before
        check(harness.is_sanitized() or grown < 96 * MIB, f"{grown // MIB} MiB more resident")
        check(cut_for(server, "memory") > 0, "nobody was cut")
        close_all(held)


if __name__ == "__main__":
    harness.main(globals())
