# SPDX-License-Identifier: Apache-2.0
"""A request of every kind, and the bytes of its reply as another server gave them.

What disturbs a connection (a network, a fault of a system call, a slow client) must not change
one byte of a reply. Only Date differs; requests carry ids of their own, so that no reply has a
generated one. /metrics is compared by its names, since its values change with each request.
"""
import itertools
import json
import re
import socket
import time

from harness import check, limit
from samples import COLUMNS, MANY, V1, V2, metrics, select, v1_body, v2_binary, v2_document
from wire import Connection, ask, chunked_request, gzip_bytes, request_bytes

# Not /v2/models/dcnv2, which says when the server loaded its model, and the files' digests once they are known.
GET_ROUTES = ["/", "/v1/models", "/v1/models/dcnv2", "/v2", "/v2/health/live", "/v2/health/ready",
              "/v2/models", "/v2/models/dcnv2/ready"]
LOAD = "/v2/repository/models/dcnv2/load"
SERVER_FLAGS = ["--enable_model_repository", "true"]  # of a server that answers CASES
PROBE = request_bytes("GET", "/v2/health/live")
DATE = re.compile(rb"\r\nDate: ([^\r]{29})\r\n")
CHUNKS = (1, 7, 1460, 65536)
SEGMENT = 536  # bytes: the loopback's 65,483 hide what a network does


def narrow(receive_buffer):
    """Options of a client with small segments and a small window, so that the server's socket is
    full many times. The kernel doubles the buffer."""
    return [(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT),
            (socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)]


class Case:
    """A request, the method that its reply answers, and the bytes of that reply."""

    def __init__(self, name, request, method="POST"):
        self.name, self.request, self.method, self.reply = name, request, method, None

    def difference(self, received):
        """How the bytes differ from the reply, from its start up to their end; None: not at all."""
        same, found = bytearray(self.reply), bytearray(received)
        for date in DATE.finditer(self.reply):
            for text in (same, found):
                text[slice(*date.span(1))] = b"-" * len(text[slice(*date.span(1))])
        if same[:len(found)] == found:
            return None
        at = next((i for i, (a, b) in enumerate(zip(same, found)) if a != b), len(same))
        return (f"{self.name}: byte {at} of {len(same)} is wrong: {bytes(found[at:at + 40])!r}, "
                f"not {bytes(same[at:at + 40])!r}")

    def check(self, received):
        """These bytes are the reply, all of it and nothing else."""
        wrong = self.difference(received)
        check(wrong is None, wrong)
        check(len(received) == len(self.reply),
              f"{self.name}: {len(received)} of {len(self.reply)} bytes")


# ---------------------------------------------------------------- requests

def rows(n):
    """So many rows whose prices differ, so that bytes in a wrong place are seen."""
    columns = {name: values * n for name, values in select(MANY, [3]).items()}
    columns["price"] = [round(i % 9973 * 0.01, 2) for i in range(n)]
    return columns


def small_v1_body(columns):
    """With one list; the other columns are repeated."""
    return v1_body({name: columns[name] if name == "price" else columns[name][0] for name in COLUMNS})


def bodies(n_rows):
    """(name, path, body, headers) of a prediction in each form of request and reply."""
    columns = rows(n_rows)
    yield "v1", V1, small_v1_body(columns), []
    for reply in ("JSON", "binary"):
        document = {"id": "my-id", "parameters": {"binary_data_output": reply == "binary"}}
        body = json.dumps({**v2_document(columns), **document}).encode()
        yield f"v2 JSON to {reply}", V2, body, []
        body, headers = v2_binary(columns, document=document)
        yield f"v2 binary to {reply}", V2, body, headers


def in_chunks(data):
    sizes = itertools.cycle(CHUNKS)
    at = 0
    while at < len(data):
        size = next(sizes)
        yield data[at:at + size]
        at += size


def predictions(n_rows):
    """Each form of request and reply, with its length or in chunks, plain or packed."""
    found = []
    for (name, path, body, headers), packed, unpacked in itertools.product(
            bodies(n_rows), (False, True), (False, True)):
        name = f"{name}, {n_rows} rows{', packed body' * packed}{', packed reply' * unpacked}"
        headers = [*headers, *[("Content-Encoding", "gzip")] * packed,
                   *[("Accept-Encoding", "gzip")] * unpacked]
        body = gzip_bytes(body) if packed else body
        found.append(Case(name, request_bytes("POST", path, body, headers)))
        found.append(Case(name + ", chunked", chunked_request(path, in_chunks(body), headers)))
    return found


def documents():
    """The routes that are no predictions, and replies that tell of a mistake."""
    found = [Case(f"GET {path}", request_bytes("GET", path), "GET") for path in GET_ROUTES]
    found += [Case(f"HEAD {path}", request_bytes("HEAD", path), "HEAD") for path in GET_ROUTES]
    found += [Case("load", request_bytes("POST", LOAD, b"")),
              Case("not found", request_bytes("GET", "/nope"), "GET"),
              Case("wrong method", request_bytes("PUT", V1, b"")),
              Case("no JSON", request_bytes("POST", V1, b"{")),
              Case("no JSON, chunked", chunked_request(V2, [b"[", b"1", b",", b"]"])),
              Case("no number", request_bytes("POST", V1, v1_body({**rows(1), "price": ["x"]})))]
    return found


# ---------------------------------------------------------------- replies

class RecordingConnection(Connection):
    """Gives the bytes of a reply as they came."""

    received = b""

    def _fill(self):
        n = len(self.buffer)
        is_open = super()._fill()
        self.received += self.buffer[n:]
        return is_open

    def framed(self, method):
        """The bytes of the next reply as HTTP frames it; it must be all that comes."""
        self.received = b""
        self.response(method)
        check(not self.buffer, f"bytes behind the reply: {self.buffer[:100]!r}")
        return self.received

    def take(self, n_bytes):
        """Up to so many bytes; fewer if the connection ends."""
        while len(self.buffer) < n_bytes and self._fill():
            pass
        taken, self.buffer = self.buffer[:n_bytes], self.buffer[n_bytes:]
        return taken


def record(server, cases):
    """Asks the server, an undisturbed one, for the reply of each case; the cases."""
    with RecordingConnection(server, 60) as connection:
        for case in cases:
            connection.send(case.request)
            case.reply = connection.framed(case.method)
    return cases


PROBE_CASE = Case("the request behind it", PROBE, "GET")


def check_replies(server, cases, options=()):
    """Each case on a connection of its own, with a second request, which shows that nothing is
    left of the first one's reply."""
    for case in cases:
        with RecordingConnection(server, 60, options) as connection:
            for request in (case, PROBE_CASE):
                connection.send(request.request)
                request.check(connection.take(len(request.reply)))


def metric_names(server):
    answer = ask(server, "GET", "/metrics", timeout=60)
    check(answer.status == 200, f"/metrics: status {answer.status}")
    return [line for line in answer.body.decode().splitlines() if line.startswith("#")]


def check_none_in_flight(server, seconds=5):
    """In the server's own count all requests have ended, but for the one that asks."""
    end = time.monotonic() + limit(seconds)
    while metrics(server)["dcnv2_requests_in_flight"] != 1:
        check(time.monotonic() < end, f"requests are in flight {seconds} s after the last one")
        time.sleep(0.02)
