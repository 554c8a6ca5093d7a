# SPDX-License-Identifier: Apache-2.0
"""A warm server allocates nothing for a prediction: every malloc and mmap is counted by caller."""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Server, check, wait_until
from samples import MANY, TWO, V1, V2, repeat, v1_body, v2_body
from wire import Connection, ask, gzip_bytes, request_bytes

SOURCE = pathlib.Path(__file__).with_name("count_allocations.c")
REQUESTS = 200


class CountedServer(Server):
    """A server whose allocations are counted by the preloaded library."""

    def __init__(self, folder):
        library, self.counts_path = folder / "count_allocations.so", folder / "counts"
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", SOURCE, "-o", library], check=True)
        self.counts_path.write_bytes(bytes(16))
        super().__init__("--workers", "1", env={"LD_PRELOAD": str(library),
                                                "COUNT_ALLOCATIONS": str(self.counts_path)})
        # The port listens before the main thread writes its first log line, for which libc reads the time zone.
        check(harness.wait_until(lambda: "listening on port" in self.log(), 10), "no line says that it listens")

    def counts(self):
        """Allocations so far (by the server, by its libraries)."""
        return struct.unpack("<QQ", self.counts_path.read_bytes())


def with_counted_server(test):
    if harness.is_sanitized():
        return  # a sanitizer has an allocator of its own
    with tempfile.TemporaryDirectory() as folder, CountedServer(pathlib.Path(folder)) as server:
        test(server)


def allocations(server, method, path, body=None, headers=()):
    """(by the server, by its libraries) over REQUESTS requests to a server that has seen a few. One of each has a
    body in two pieces, as a network may bring any: it is put together in memory that the server then keeps."""
    data = request_bytes(method, path, body, headers)
    middle = len(data) - len(body or b"") // 2
    with Connection(server) as connection:
        def ask(n_requests):
            for i in range(n_requests):
                if i == 1:
                    connection.send(data[:middle])
                    time.sleep(0.05)
                connection.send(data[middle:] if i == 1 else data)
                reply = connection.response(method)
                check(reply.status == 200, f"status {reply.status}: {reply.body[:200]}")
        ask(3)
        before = server.counts()
        ask(REQUESTS)
        after = server.counts()
    return after[0] - before[0], after[1] - before[1]


def check_none(server, path, body, headers=()):
    ours, libraries = allocations(server, "POST", path, body, headers)
    check(ours == 0, f"{ours} allocations of the server's own in {REQUESTS} requests")
    check(libraries == 0, f"{libraries} allocations of libraries in {REQUESTS} requests")


def test_the_counter_counts_what_the_server_allocates():
    def test(server):
        # The document is as long as it gets once the thread that reads the files' digests is done.
        metadata = lambda: ask(server, "GET", "/v2/models/dcnv2").json()["parameters"]  # noqa: E731
        check(wait_until(lambda: "encoder_sha256" in metadata(), 10), "no digest of the files")
        check(server.counts()[0] > 10, f"only {server.counts()[0]} allocations of the server's own at start")
        ours, libraries = allocations(server, "GET", "/v2/models/dcnv2")  # cJSON writes this document
        check(ours == 0, f"{ours} allocations of the server's own in {REQUESTS} documents")
        check(libraries >= REQUESTS and libraries % REQUESTS == 0,
              f"{libraries} allocations of libraries in {REQUESTS} equal documents")
    with_counted_server(test)


def test_a_v1_prediction_allocates_nothing():
    def test(server):
        check_none(server, V1, v1_body(TWO))
        check_none(server, V1, v1_body(repeat(TWO, 200)))
    with_counted_server(test)


def test_a_v2_prediction_allocates_nothing():
    with_counted_server(lambda server: check_none(server, V2, v2_body(TWO)))


def test_a_compressed_prediction_allocates_nothing():
    with_counted_server(lambda server: check_none(
        server, V1, gzip_bytes(v1_body(MANY)), [("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")]))


if __name__ == "__main__":
    harness.main(globals())
