# SPDX-License-Identifier: Apache-2.0
"""When an allocation fails, whichever it is. In the middle of a request: the request is answered as
always, or with a 503, or its connection ends; and the next request is answered as always. At the
start: it ends, and a line says why."""
import os
import pathlib
import struct
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, Server, check, run_server
from samples import MANY, TWO, V1, V2, check_good, repeat, v1_body, v2_binary, v2_body
from wire import Connection, chunked_request, gzip_bytes, request_bytes

SOURCE = pathlib.Path(__file__).with_name("fail_allocation.c")
MOST_ALLOCATIONS = 2000  # of one request
NEVER = -1


def failing_environment(folder, n):
    """The environment of a program whose n-th allocation fails."""
    library, control = folder / "fail_allocation.so", folder / "control"
    if not library.exists():
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", SOURCE, "-o", library], check=True)
    control.write_bytes(struct.pack("<qq", n, 0))
    return {"LD_PRELOAD": str(library), "FAIL_ALLOCATION": str(control)}


class FailingServer(Server):
    """A server in which one allocation can be made to fail."""

    def __init__(self, folder):
        self.control = folder / "control"
        super().__init__("--workers", "1", "--enable_model_repository", "true",
                         env=failing_environment(folder, NEVER))
        # It listens a moment before its worker is started, and would end for the lack of one.
        check(harness.wait_until(lambda: "listening on port" in self.log(), 5, step=0.001), self.log())

    def fail(self, n):
        """The n-th allocation from now on fails."""
        with open(self.control, "r+b") as file:
            file.write(struct.pack("<qq", n, 0))

    def has_failed(self):
        """Whether it did; from now on none does."""
        with open(self.control, "r+b") as file:
            n_failed = struct.unpack("<qq", file.read(16))[1]
            file.seek(0)
            file.write(struct.pack("<qq", NEVER, 0))
        return n_failed > 0


LARGE = v1_body(repeat(TWO, 4000))  # more than an exchange keeps
BINARY, BINARY_HEADERS = v2_binary(MANY)
GZIP = [("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")]

CLOSE = ("Connection", "close")


def in_two(data):
    """The head and a part of the body, then the rest."""
    return [data[:1000], data[1000:]]


# What is sent, piece by piece, on a connection that closes behind the reply.
REQUESTS = {
    "v1": [request_bytes("POST", V1, v1_body(TWO), [CLOSE])],
    "v2": [request_bytes("POST", V2, v2_body(TWO), [CLOSE])],
    "v2 binary": [request_bytes("POST", V2, BINARY, [*BINARY_HEADERS, CLOSE])],
    "head in pieces": [b"GET /v1/models HT", b"TP/1.1\r\nHost: h\r\n", b"Connection: close\r\n\r\n"],
    "body in pieces": in_two(request_bytes("POST", V1, LARGE, [CLOSE])),
    "a part of the next one": [request_bytes("POST", V1, v1_body(TWO), [CLOSE]) + b"GET /v1/models HT"],
    "chunks": in_two(chunked_request(V1, [LARGE], [CLOSE])),
    "gzip": [request_bytes("POST", V1, gzip_bytes(LARGE), [*GZIP, CLOSE])],
    "escaped path": [request_bytes("GET", "/v1/models/%64cnv2", headers=[CLOSE])],
    "document": [request_bytes("GET", "/v2/models/dcnv2", headers=[CLOSE])],
    "load": [request_bytes("POST", "/v2/repository/models/dcnv2/load", b"", [CLOSE])],
    "metrics": [request_bytes("GET", "/metrics", headers=[CLOSE])],
    "not found": [request_bytes("GET", "/nope", headers=[CLOSE])],
    "refused": [b"GET / HTTP/3.0\r\n\r\n"],
}


def send(server, pieces):
    """The status of the reply, or None where the connection ends without one."""
    with Connection(server) as connection:
        try:
            for i, piece in enumerate(pieces):
                if i:
                    time.sleep(0.01)  # so that the server has read what came before
                connection.send(piece)
            while connection._fill():
                pass
        except ConnectionError:
            pass
        if not connection.buffer:
            return None
        answer = connection.response()
        check(answer.status != 503 or answer.closes() or answer.header("retry-after"), "503 without Retry-After")
        check(not connection.buffer, f"bytes behind the reply: {connection.buffer[:100]!r}")
        return answer.status


def check_each_failure(folder, pieces):
    """Fails the first allocation that the request makes of a new server, the second, .. until it
    makes no more; some of many. How many there are."""
    with FailingServer(folder) as server:
        expected = send(server, pieces)
    n = 0
    while n < MOST_ALLOCATIONS:
        with FailingServer(folder) as server:
            server.fail(n)
            status = send(server, pieces)
            failed = server.has_failed()
            check_good(server)
            if not failed:
                return n
            check(status in (None, 503, expected), f"allocation {n}: status {status}, not {expected}")
        n += 1 + n // 10
    raise harness.Failure(f"more than {n} allocations")


def with_folder(test):
    if harness.is_sanitized():
        return  # a sanitizer has an allocator of its own
    with tempfile.TemporaryDirectory() as folder:
        test(pathlib.Path(folder))


def test_any_allocation_of_a_first_request_may_fail():
    def test(folder):
        problems = Problems()
        for name, pieces in REQUESTS.items():
            n = problems.collect(name, check_each_failure, folder, pieces)
            problems.check(n is None or n >= 3, f"{name}: {n} allocations")  # connection, exchange, arena
        problems.report()
    with_folder(test)


def test_any_allocation_of_a_warm_server_may_fail():
    def test(folder):
        problems = Problems()
        with FailingServer(folder) as server:
            for name, pieces in REQUESTS.items():
                expected, n = send(server, pieces), 0
                while True:
                    server.fail(n)
                    status = send(server, pieces)
                    if not server.has_failed():
                        break
                    problems.check(status in (None, 503, expected), f"{name}: allocation {n}: status {status}")
                    check_good(server)
                    n += 1 + n // 10
                    check(n < MOST_ALLOCATIONS, f"{name}: it never ends")
            server.stop()  # at once: no request is thought to be under way
        problems.report()
    with_folder(test)


def test_memory_that_was_not_to_be_had_is_not_given_back():
    # Else the sum of what is in use falls below nothing, memory seems short for ever, and whoever is slow is cut.
    def test(folder):
        failed, n = True, 0
        while failed and n < MOST_ALLOCATIONS:
            with FailingServer(folder) as server:
                check_good(server)
                server.fail(n)
                with Connection(server) as part:
                    part.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 60_000)
                    time.sleep(0.05)
                    failed = server.has_failed()
                data = request_bytes("POST", V1, v1_body(TWO))
                with Connection(server) as slow:
                    slow.send(data[:-10])
                    time.sleep(1)
                    slow.send(data[-10:])
                    status = slow.response().status
                    check(status == 200, f"allocation {n}: a slow request has status {status}")
            n += 1
        check(n >= 3 and not failed, f"{n} allocations")  # the connection, its head
    with_folder(test)


def test_any_allocation_of_the_start_may_fail():
    def test(folder):
        problems, n, failed = Problems(), 0, True
        with socket.socket() as taken:  # it never gets as far as to serve
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            while failed and n < MOST_ALLOCATIONS:
                code, out, err = run_server("--http_port", port, env=failing_environment(folder, n))
                failed = struct.unpack("<qq", (folder / "control").read_bytes())[1] > 0
                why = (err.splitlines() or [""])[-1]
                problems.check(code == 1 and out == "", f"allocation {n}: exit code {code}, {err[:200]!r}")
                problems.check(any(word in why for word in ("memory", "cannot start a thread", str(port))),
                               f"allocation {n}: {why[:200]!r}")
                n += 1 + n // 20
        problems.check(n > 20 and not failed, f"{n} allocations")
        problems.report()
    with_folder(test)


if __name__ == "__main__":
    harness.main(globals())
