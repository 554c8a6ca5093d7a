# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand: requests as bytes, answers parsed strictly, over raw sockets.

For well-formed requests: ask() (one a connection) and Connection (many). For bytes after
which the framing cannot be trusted: exchange(), which only collects what comes back.
"""
import json
import socket
import threading
import time
import zlib

import seen
from harness import Failure, check, limit


class Response:
    """One parsed answer. `headers`: (lower-case name, value) in order."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        """The only header of that name, or None."""
        values = [value for key, value in self.headers if key == name.lower()]
        check(len(values) < 2, f"header {name} stands {len(values)} times")
        return values[0] if values else None

    def closes(self):
        return "close" in (self.header("connection") or "").lower()

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure(f"status {self.status}, body is not JSON ({error}): "
                          f"{self.body[:120]!r}") from None

    def error(self):
        """The text of {"error": TEXT}, checked to be all there is."""
        found = self.json()
        check(isinstance(found, dict) and list(found) == ["error"]
              and isinstance(found["error"], str) and found["error"],
              f"status {self.status}, not an error object: {self.body[:120]!r}")
        check((self.header("content-type") or "").startswith("application/json"),
              f"error with content type {self.header('content-type')}")
        return found["error"]


def request_bytes(method, path, body=None, headers=(), version="1.1", host="localhost"):
    """A request as bytes; Content-Length is added for a body, Host unless `host` is None."""
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chunked_request(path, chunks, headers=()):
    """A POST whose body goes in these chunks."""
    head = request_bytes("POST", path, headers=[*headers, ("Transfer-Encoding", "chunked")])
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks if c) + b"0\r\n\r\n"


class AnswerReader:
    """Takes HTTP/1.1 answers from the bytes that came in."""

    def __init__(self, received=b""):
        self.buffer = received
        self.ended = False

    def _fill(self):
        """More bytes into the buffer; false at the end of the connection."""
        self.ended = True
        return False

    def _take(self, n):
        while len(self.buffer) < n:
            check(self._fill(), f"closed with {len(self.buffer)} of {n} bytes")
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def _take_line(self):
        while b"\r\n" not in self.buffer:
            check(self._fill(), f"closed in the middle of a line: {self.buffer[:120]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def response(self, method="GET"):
        """The next whole answer. A failure when the server closes or is silent instead."""
        answer = self._next_response(method)
        seen.note(answer)
        return answer

    def _next_response(self, method):
        while b"\r\n\r\n" not in self.buffer:
            check(self._fill(), f"closed without an answer, after {self.buffer[:120]!r}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        check(words[0] in ("HTTP/1.1", "HTTP/1.0") and len(words) == 3 and words[1].isdigit(),
              f"bad status line {first[:80]!r}")
        status, headers = int(words[1]), []
        for line in lines:
            name, colon, value = line.partition(":")
            check(colon and name and name == name.strip(), f"bad header line {line[:80]!r}")
            headers.append((name.lower(), value.strip()))
        answer = Response(status, headers, b"")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return answer
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            answer.body = self._chunked_body()
        elif answer.header("content-length") is not None:
            answer.body = self._take(int(answer.header("content-length")))
        else:
            while self._fill():
                pass
            answer.body, self.buffer = self.buffer, b""
        return answer

    def _chunked_body(self):
        parts = []
        while True:
            size = int(self._take_line().split(b";")[0], 16)
            if size == 0:
                while self._take_line():
                    pass
                return b"".join(parts)
            parts.append(self._take(size))
            check(self._take(2) == b"\r\n", "chunk without its line end")


class Connection(AnswerReader):
    """A client's TCP connection. `options`: (level, name, value), set before it connects."""

    def __init__(self, server, timeout=10, options=()):
        super().__init__()
        self.sock = socket.socket()
        self.sock.settimeout(limit(timeout))
        for option in options:
            self.sock.setsockopt(*option)
        self.sock.connect((server.address, server.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.sendall(data)

    def _fill(self):
        try:
            data = self.sock.recv(1 << 18)
        except TimeoutError:
            raise Failure(f"no answer in time; so far {self.buffer[:120]!r}") from None
        self.ended = not data
        self.buffer += data
        return bool(data)

    def request(self, method, path, body=None, headers=(), **options):
        self.send(request_bytes(method, path, body, headers, **options))
        return self.response(method)

    def is_closed_within(self, seconds):
        """Whether the server ends the connection in that time. Answers are passed over."""
        end = time.monotonic() + limit(seconds)
        while not self.ended:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.sock.settimeout(left)
            try:
                self.ended = not self.sock.recv(1 << 16)
            except TimeoutError:
                return False
            except OSError:
                self.ended = True
        return True

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def ask(server, method, path, body=None, headers=(), timeout=10, **options):
    """One request on a connection of its own."""
    with Connection(server, timeout) as connection:
        return connection.request(method, path, body, [*headers, ("Connection", "close")],
                                  **options)


class Exchange:
    """All that came back on a connection: the bytes, and how it ended."""

    def __init__(self, raw, ended):
        self.raw, self.ended = raw, ended  # ended: "closed", "reset" or "open"

    def statuses(self):
        """Status of each line that looks like a status line, also where framing is broken."""
        return [int(part[:3]) for part in self.raw.replace(b"HTTP/1.0 ", b"HTTP/1.1 ")
                .split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]

    def first(self):
        """The first answer, parsed; a failure when there is none."""
        check(self.raw, f"no answer ({self.ended})")
        return AnswerReader(self.raw).response()


def exchange(server, data, seconds=5, half_close=False):
    """Sends the bytes on a new connection while reading, until the server ends it or the time
    is up. For input after which the framing cannot be trusted."""
    received, ended = [], "open"
    with Connection(server) as connection:
        sender = threading.Thread(target=_send_quietly, args=(connection.sock, data, half_close))
        sender.start()
        end = time.monotonic() + limit(seconds)
        while time.monotonic() < end:
            connection.sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                part = connection.sock.recv(1 << 18)
            except TimeoutError:
                break
            except OSError:
                ended = "reset"
                break
            if not part:
                ended = "closed"
                break
            received.append(part)
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sender.join(limit(10))
    return Exchange(b"".join(received), ended)


def _send_quietly(sock, data, half_close):
    try:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def gzip_bytes(data, level=6):
    """One gzip member."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
