# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 (RFC 9113) with prior knowledge: the same replies as over HTTP/1.1, on many streams; and its known attacks,
each with a bound on the server's memory and a probe that is answered meanwhile.

    VENV/bin/python tests/client/test_http2.py    (VENV: see test_client.py)
"""
import gzip
import json
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Problems, Server, check, wait_until
from samples import (GOOD_BODY, MANY, MANY_SCORES, TWO_SCORES, V1, V2, check_good, check_scores, metrics, repeat,
                     v1_body)
from wire import ask

MIB = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
NOT_COMPARED = {"date", "connection"}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Client:
    """One connection, driven by h2."""

    def __init__(self, server, window=None, **settings):
        self.sock = socket.create_connection((server.address, server.port), timeout=harness.limit(10))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        if window is not None:
            codes = h2.settings.SettingCodes
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={
                codes.INITIAL_WINDOW_SIZE: window, codes.MAX_FRAME_SIZE: 1 << 14})
        self.h2.initiate_connection()
        self.replies, self.ended, self.reset, self.gone = {}, set(), {}, None
        self.auto_window, self.is_acknowledged = window is None, False
        self.flush()
        while not self.is_acknowledged:
            check(self.read(), "the connection ended")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def start(self, method, path, body=None, headers=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "h"), *headers]
        self.h2.send_headers(stream, fields, end_stream=end and body is None)
        if body is not None:
            self.send(stream, body, end)
        self.flush()
        return stream

    def send(self, stream, body, end=True, piece=1 << 14):
        at = 0
        while at < len(body):
            room = min(piece, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                self.flush()
                self.read()
                continue
            self.h2.send_data(stream, body[at:at + room])
            at += room
        if end:
            self.h2.end_stream(stream)
        self.flush()

    def read(self):
        """Takes what has come. False: the server has ended the connection."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        for event in self.h2.receive_data(data) if data else []:
            if isinstance(event, h2.events.ResponseReceived):
                self.replies[event.stream_id] = [dict(event.headers), b""]
            elif isinstance(event, h2.events.DataReceived):
                self.replies[event.stream_id][1] += event.data
                if self.auto_window:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = event.error_code
            elif isinstance(event, h2.events.SettingsAcknowledged):
                self.is_acknowledged = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.gone = event
        if data:
            try:
                self.flush()
            except OSError:
                return False
        return bool(data)

    def reply(self, stream):
        """(status, fields, body)"""
        while stream not in self.ended:
            check(stream not in self.reset, f"stream {stream} was reset: {self.reset.get(stream)}")
            check(self.read(), "the connection ended")
        fields, body = self.replies[stream]
        return int(fields[":status"]), {k: v for k, v in fields.items() if k[0] != ":"}, body

    def request(self, *arguments, **options):
        return self.reply(self.start(*arguments, **options))


def scores(body):
    return [row[0] for row in json.loads(body)["predictions"]]


# ---------------------------------------------------------------- the same as over HTTP/1.1

REQUESTS = [
    ("GET", "/", None, ()), ("GET", "/v1/models", None, ()), ("GET", "/v1/models/dcnv2", None, ()),
    ("GET", "/v2", None, ()), ("GET", "/v2/health/live", None, ()), ("GET", "/v2/health/ready/", None, ()),
    ("GET", "/v2/models/dcnv2", None, ()), ("GET", "/v2/models/nope", None, ()), ("GET", "/nope", None, ()),
    ("POST", V1, GOOD_BODY, (("content-type", "application/json"),)), ("POST", V1, b"{", ()), ("PUT", V1, b"", ()),
    ("POST", V1, gzip.compress(GOOD_BODY), (("content-encoding", "gzip"),)),
    ("POST", V1, GOOD_BODY, (("content-encoding", "br"),)),
    ("POST", V1, v1_body(MANY), (("accept-encoding", "gzip"),)),
    ("POST", V1, v1_body(repeat(MANY, 3000)), (("accept-encoding", "gzip"),)),
    ("POST", V1, v1_body(repeat(MANY, 3000)), ()), ("OPTIONS", V1, None, ()), ("OPTIONS", "*", None, ()),
    ("HEAD", "/v2", None, ()), ("POST", V1, GOOD_BODY, (("origin", "http://page.example"), ("x-request-id", "a"))),
    ("OPTIONS", V2, None, (("origin", "http://page.example"),)),
    ("POST", V2, GOOD_BODY, (("inference-header-content-length", "x"),)),
    ("POST", "/inference.GRPCInferenceService/ModelInfer", b"", ()),
]


def test_each_reply_is_that_of_http_1():
    problems = Problems()
    with Server("--cors_origin", "http://page.example") as server, Client(server) as client:
        check(server.logs("sha256"), "no SHA-256, of which the metadata tells")
        streams = [client.start(*request) for request in REQUESTS]
        for request, stream in zip(REQUESTS, streams):
            status, fields, body = client.reply(stream)
            method, path, sent, headers = request
            other = ask(server, method, path, sent, [(name.title(), value) for name, value in headers])
            other_fields = {name.lower(): value for name, value in other.headers if name.lower() not in NOT_COMPARED}
            fields = {name: value for name, value in fields.items() if name not in NOT_COMPARED}
            label = f"{method} {path} {headers}"
            problems.check(status == other.status and body == other.body, f"{label}: {status} {body[:80]}")
            problems.check(fields == other_fields, f"{label}: {fields}, not {other_fields}")
    problems.report()


def test_many_streams_at_once_keep_their_scores():
    with Server("--workers", "1") as server, Client(server) as client:
        streams = []
        for _ in range(20):
            streams += [client.start("POST", V1, GOOD_BODY) for _ in range(10)]
            streams.append(client.start("POST", V1, v1_body(MANY)))
        for i, stream in enumerate(streams):
            check_scores(scores(client.reply(stream)[2]), MANY_SCORES if i % 11 == 10 else TWO_SCORES)


def test_bodies_and_windows_of_any_size():
    with Server() as server:
        with Client(server) as client:
            for piece in (1, 7, 1000):
                stream = client.start("POST", V1, end=False)
                client.send(stream, GOOD_BODY if piece == 1 else v1_body(MANY), piece=piece)
                check_scores(scores(client.reply(stream)[2]), TWO_SCORES if piece == 1 else MANY_SCORES)
        with Client(server, window=10) as client:  # which opens by ten bytes each time
            stream = client.start("POST", V1, v1_body(MANY))
            while stream not in client.ended:
                check(client.read(), "the connection ended")
                if stream in client.replies and stream not in client.ended:
                    client.h2.increment_flow_control_window(10, stream)
                    client.flush()
            check_scores(scores(client.replies[stream][1]), MANY_SCORES)


def test_a_stream_that_is_reset_leaves_the_others():
    with Server("--workers", "1") as server, Client(server) as client:
        large = v1_body(repeat(MANY, 20000))
        kept = []
        for i in range(12):
            stream = client.start("POST", V1, large[:100_000] if i % 3 == 0 else GOOD_BODY, end=i % 3 != 0)
            if i % 2 == 0 or i % 3 == 0:
                client.h2.reset_stream(stream, 8)
                client.flush()
            else:
                kept.append(stream)
        for stream in kept:
            check_scores(scores(client.reply(stream)[2]), TWO_SCORES)
        heavy = client.start("POST", V1, large)
        client.h2.reset_stream(heavy, 8)
        client.flush()
        check_scores(scores(client.request("POST", V1, GOOD_BODY)[2]), TWO_SCORES)
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] <= 1, 5), "a request is still in flight")


def test_what_is_too_large_or_too_late_is_refused():
    with Server("--max_body_bytes", 100_000, "--header_timeout", 1, "--body_timeout", 1) as server:
        with Client(server) as client:
            stream = client.start("POST", V1, end=False, headers=[("content-length", "200000")])
            check(client.reply(stream)[0] == 413, "by its length")
            stream = client.start("POST", V1, end=False)
            client.send(stream, b" " * 65_000, end=False)
            client.send(stream, b" " * 40_000, end=False)
            check(client.reply(stream)[0] == 413, "by its bytes")
            late = client.start("POST", V1, b"{", end=False)
            check(client.reply(late)[0] == 408, "a late body")
            big = [(f"x-{i}", "v" * 8000) for i in range(8)]
            status = client.request("GET", "/v2", headers=big)[0]
            check(status == 200, f"64 KB of fields: {status}")
            check_scores(scores(client.request("POST", V1, GOOD_BODY)[2]), TWO_SCORES)


def test_an_idle_connection_ends():
    with Server("--idle_timeout", 1) as server, Client(server) as client:
        client.request("GET", "/v2")
        while client.read():
            pass


def test_curl_speaks_it():
    with Server() as server:
        out = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", "-d", GOOD_BODY,
                              f"http://{server.address}:{server.port}{V1}"], capture_output=True, timeout=20).stdout
        check(out.endswith(b"2 200"), f"{out!r}")


# ---------------------------------------------------------------- frames of our own

def raw(server, *parts):
    sock = socket.create_connection((server.address, server.port), timeout=harness.limit(10))
    sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + b"".join(parts))
    return sock


# :method, :scheme http, :authority h, :path; without Huffman codes, and nothing enters the table.
GET_HEAD = b"\x82\x86\x01\x01h\x04\x03/v2"
POST_HEAD = b"\x83\x86\x01\x01h\x04" + bytes([len(V1)]) + V1.encode()


def frames_of(data):
    """[(type, flags, stream, payload)]"""
    found, at = [], 0
    while at + 9 <= len(data):
        length = int.from_bytes(data[at:at + 3], "big")
        found.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big"), data[at + 9:at + 9 + length]))
        at += 9 + length
    return found


def flood(server, payload, rounds, bound=64 * MIB):
    """Sends it again and again until the server has enough; a probe is answered meanwhile, and memory stays within its
    bound. Returns the number of bytes that were taken."""
    before, taken = server.rss_bytes(), 0
    sock = raw(server)
    sock.settimeout(harness.limit(2))
    try:
        for i in range(rounds):
            sock.sendall(payload(i) if callable(payload) else payload)
            taken += 1
            if i % 50 == 0:
                check(ask(server, "GET", "/v2/health/live", timeout=5).status == 200, "a probe")
                check(server.rss_bytes() < before + bound, f"{(server.rss_bytes() - before) / MIB:.1f} MiB more")
    except (ConnectionError, TimeoutError):
        pass
    check(server.rss_bytes() < before + bound, f"{(server.rss_bytes() - before) / MIB:.1f} MiB more")
    sock.close()
    check_good(server)
    return taken


def heads(head, flags, first, n):
    return b"".join(frame(HEADERS, flags, first + 2 * i, head) for i in range(n))


def test_requests_on_their_way_at_sigterm_are_answered():
    """h2 takes no reply behind a GOAWAY, so that its frames are read here."""
    def posts(first, n):
        return b"".join(frame(HEADERS, 4, first + 2 * i, POST_HEAD) + frame(DATA, 1, first + 2 * i, GOOD_BODY)
                        for i in range(n))
    with Server("--workers", "1") as server:
        sock = raw(server, posts(1, 60))
        server.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        sock.sendall(posts(121, 20))  # behind the notice, before the number of the last stream
        data = b""
        while piece := sock.recv(1 << 16):
            data += piece
        sock.close()
        ended = {stream for kind, flags, stream, _ in frames_of(data) if kind == DATA and flags & 1}
        bodies = {payload for kind, _, _, payload in frames_of(data) if kind == DATA}
        check(ended == set(range(1, 161, 2)), f"{len(ended)} of 80 requests were answered")
        check(len(bodies) == 1 and scores(bodies.pop()) and any(f[0] == GOAWAY for f in frames_of(data)), "scores, GOAWAY")
        check(server.wait(20) == 0, "the end")


def post(stream, body):
    pieces = [frame(DATA, 0, stream, body[at:at + (1 << 14)]) for at in range(0, len(body), 1 << 14)]
    return frame(HEADERS, 4, stream, POST_HEAD) + b"".join(pieces) + frame(DATA, 1, stream)


def replies_of(sock, data=b"", pause=0):
    """{stream: body} of the replies that end, read up to the server's end; with a pause each piece opens the window again."""
    while piece := sock.recv(1 << 12 if pause else 1 << 16):
        data += piece
        if pause:
            sock.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(piece))))
            time.sleep(pause if len(data) > 1 << 14 else 25 * pause)  # at first longer than a quiet client has
    sock.close()
    found = frames_of(data)
    bodies = {}
    for kind, _, stream, payload in found:
        if kind == DATA:
            bodies[stream] = bodies.get(stream, b"") + payload
    return {stream: bodies[stream] for kind, flags, stream, _ in found if kind == DATA and flags & 1}


WIDE = frame(SETTINGS, 0, 0, b"\0\4\0\x7f\xff\xff") + frame(WINDOW_UPDATE, 0, 0, b"\0\x7f\xff\xff")


def test_requests_before_the_clients_end_are_answered():
    """As over HTTP/1.1. Those that will never be whole end at once, and so does a connection that nobody reads."""
    with Server("--workers", "1") as server:
        for body, expected in ((GOOD_BODY, TWO_SCORES), (v1_body(MANY), MANY_SCORES)):
            sock = socket.create_connection((server.address, server.port), timeout=harness.limit(10))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the end comes with the last bytes
            sock.sendall(PREFACE + WIDE + b"".join(post(stream, body) for stream in (1, 3, 5)) +
                         frame(HEADERS, 4, 7, POST_HEAD))
            sock.shutdown(socket.SHUT_WR)
            replies = replies_of(sock)
            check(set(replies) == {1, 3, 5}, f"{len(expected)} rows: streams {sorted(replies)} of 1, 3, 5 are answered")
            for reply in replies.values():
                check_scores(scores(reply), expected)
        socks = [raw(server, frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0"), post(1, GOOD_BODY)) for _ in range(20)]
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] > 20, 5), "they are not there")
        for sock in socks:
            sock.close()
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] <= 1, 5), "a client that is gone is waited for")


def test_who_reads_slowly_at_sigterm_has_all_of_its_replies():
    body = v1_body(repeat(MANY, 7000))
    with Server("--workers", "1") as server:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(harness.limit(10))
        sock.connect((server.address, server.port))
        sock.sendall(PREFACE + WIDE)
        seen = b""
        while not any(kind == SETTINGS and flags == 0 for kind, flags, _, _ in frames_of(seen)):
            piece = sock.recv(9)
            check(piece, "the connection ended")
            seen += piece
        sock.sendall(frame(SETTINGS, 1, 0) + b"".join(post(stream, body) for stream in (1, 3, 5, 7)))
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] > 1, 5), "they are not there")
        server.send_signal(signal.SIGTERM)
        replies = replies_of(sock, seen, pause=0.01)
        check(set(replies) == {1, 3, 5, 7}, f"streams {sorted(replies)} of 1, 3, 5, 7 are answered")
        check(all(len(scores(reply)) == 7000 for reply in replies.values()), "scores")
        check(server.wait(20) == 0, "the end")


def test_who_reads_nothing_at_sigterm_is_waited_for_no_longer_than_a_reply():
    with Server("--workers", "1", "--body_timeout", "1") as server:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(harness.limit(10))
        sock.connect((server.address, server.port))
        sock.sendall(PREFACE + WIDE + b"".join(post(stream, v1_body(repeat(MANY, 450))) for stream in (1, 3, 5, 7)))
        check(wait_until(lambda: metrics(server)["dcnv2_rows_total"] >= 1800, 5), "they are not scored")
        server.send_signal(signal.SIGTERM)
        check(server.wait(6) == 0, "the end")
        sock.close()


# ---------------------------------------------------------------- attacks

def test_rapid_reset():
    """CVE-2023-44487: streams that are opened and reset at once."""
    def payload(i):
        first = 1 + 200 * i
        return b"".join(frame(HEADERS, 5, first + 2 * k, GET_HEAD) + frame(RST_STREAM, 0, first + 2 * k, b"\0\0\0\x08")
                        for k in range(100))
    with Server("--workers", "1") as server:
        check(flood(server, payload, 600) < 600, "it went on for ever")


def test_made_you_reset():
    """CVE-2025-8671: the server is made to reset streams, by a window update of 0."""
    def payload(i):
        first = 1 + 200 * i
        return b"".join(frame(HEADERS, 5, first + 2 * k, GET_HEAD) + frame(WINDOW_UPDATE, 0, first + 2 * k, b"\0\0\0\0")
                        for k in range(100))
    with Server("--workers", "1") as server:
        check(flood(server, payload, 600) < 600, "it went on for ever")


def test_continuation_flood():
    """CVE-2024-27316: a head that never ends."""
    with Server("--workers", "1") as server:
        head = frame(HEADERS, 1, 1, GET_HEAD)
        check(flood(server, lambda i: head if i == 0 else frame(CONTINUATION, 0, 1, b"\x40\x02xy\x7f\x01" + b"v" * 128) * 10,
                    3000) < 3000, "it went on for ever")


def test_floods_of_frames_that_ask_for_little():
    with Server("--workers", "1") as server:
        for name, payload in (("SETTINGS", frame(SETTINGS, 0, 0)), ("PING", frame(PING, 0, 0, b"12345678")),
                              ("PRIORITY", frame(PRIORITY, 0, 3, b"\0\0\0\0\x10")),
                              ("empty DATA", None), ("unknown", frame(0xEE, 0, 0, b"x"))):
            if payload is None:
                opened = frame(HEADERS, 4, 1, POST_HEAD)
                flood(server, lambda i: opened if i == 0 else frame(DATA, 0, 1) * 1000, 400)
            else:
                flood(server, payload * 1000, 400)


def test_a_bomb_of_header_compression():
    """One field of 4,000 bytes in the table, named again and again in one byte each."""
    field = b"\x40\x01a" + b"\x7f" + b"\xa1\x1e" + b"b" * 4000  # 127 + 33 + 30 * 128 = 4000
    with Server("--workers", "1") as server:
        first = frame(HEADERS, 5, 1, GET_HEAD + field)
        flood(server, lambda i: first if i == 0 else frame(HEADERS, 5, 1 + 2 * i, GET_HEAD + b"\xbe" * 8000), 200)


def test_windows_that_never_open():
    body = v1_body(repeat(MANY, 3000))
    with Server("--workers", "1", "--body_timeout", "2") as server:
        before = server.rss_bytes()
        clients = [Client(server, window=0) for _ in range(4)]
        for client in clients:
            for _ in range(10):
                client.start("POST", V1, body)
        check_good(server)
        check(server.rss_bytes() < before + 64 * MIB, f"{(server.rss_bytes() - before) / MIB:.1f} MiB more")
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] <= 1, 10), "they are held for ever")
        for client in clients:
            client.sock.close()


def test_ten_thousand_idle_streams():
    """Heads whose bodies never come, on 40 connections."""
    with Server("--workers", "1", "--body_timeout", "3") as server:
        before = server.rss_bytes()
        socks = [raw(server, heads(POST_HEAD, 4, 1, 250)) for _ in range(40)]
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] > 2000, 10), "they are not there")
        check_good(server)
        check(server.rss_bytes() < before + 256 * MIB, f"{(server.rss_bytes() - before) / MIB:.1f} MiB more")
        check(wait_until(lambda: metrics(server)["dcnv2_requests_in_flight"] <= 1, 15), "they are held for ever")
        for sock in socks:
            sock.close()
        check_good(server)


def test_garbage_and_pieces():
    with Server("--workers", "1") as server:
        for garbage in (b"\xff" * 100, frame(HEADERS, 5, 1, b"\xff" * 50), frame(DATA, 1, 1, b"x"), frame(SETTINGS, 0, 0, b"x"),
                        frame(HEADERS, 5, 2, GET_HEAD), frame(PING, 0, 1, b"12345678"), frame(99, 255, 7, b"x" * 20)):
            sock = raw(server, garbage)
            sock.settimeout(harness.limit(5))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
            sock.close()
        sock = socket.create_connection((server.address, server.port), timeout=5)
        for byte in PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, GET_HEAD):
            sock.sendall(bytes([byte]))
        seen = b""
        while b"dcnv2-server" not in seen:
            data = sock.recv(1 << 16)
            check(data, f"{seen[:100]!r}")
            seen += data
        sock.close()
        check_good(server)


if __name__ == "__main__":
    harness.main(globals())
