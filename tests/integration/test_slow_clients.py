# SPDX-License-Identifier: Apache-2.0
"""Clients that write and read by 1, 7 or 1,460 bytes with pauses, whose small windows fill the
server's socket many times: each gets the bytes that an ordinary client gets, and no others."""
import concurrent.futures
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import replies
from harness import Problems, Server, check
from replies import PROBE_CASE, Case, check_none_in_flight
from samples import V1, check_good
from wire import Connection, request_bytes

STEPS = (1, 7, 1460)
SMALL_BUFFER, MIDDLE_BUFFER = 2048, 1 << 14  # of a client
N_AT_ONCE = 16
MOST_WRITES = 2000      # of one request
PAUSES, PAUSE_S = 15, 0.001  # of each direction
SMALL_ROWS = 3
LARGE_ROWS = 2000 if harness.is_sanitized() else 8000  # whose reply fills a socket several times
# Four such bodies are 58.0 MB of the 58.7 that large ones may have.
HELD_ROWS, HELD_BYTES, BODIES_IN_BUDGET = 100_000, 14_500_000, 4


class SlowConnection(Connection):
    """A client with small segments and, unless told, a very small window."""

    def __init__(self, server, receive_buffer=SMALL_BUFFER):
        super().__init__(server, 60, replies.narrow(receive_buffer))

    def write(self, data, step):
        step = max(step, len(data) // MOST_WRITES)
        for n, at in enumerate(range(0, len(data), step)):
            pause(n, len(data) // step)
            self.send(data[at:at + step])

    def read(self, n_bytes, step):
        """Up to so many bytes; fewer if the connection ends."""
        parts, n_left = [], n_bytes
        while n_left:
            pause(len(parts), n_bytes // step)
            part = self.sock.recv(min(step, n_left))
            if not part:
                break
            parts.append(part)
            n_left -= len(part)
        return b"".join(parts)


def pause(n, n_in_all):
    """A few times over all of them."""
    if n % (n_in_all // PAUSES + 1) == 0:
        time.sleep(PAUSE_S)


def ask_slowly(server, case, step):
    """The case, then another request, which shows that nothing is left of the first reply."""
    with SlowConnection(server) as connection:
        for request in (case, PROBE_CASE):
            connection.write(request.request, step)
            request.check(connection.read(len(request.reply), step))


def check_slow_clients(cases, steps):
    """Each case by each of these steps."""
    problems = Problems()
    with Server(*replies.SERVER_FLAGS) as server:
        replies.record(server, [PROBE_CASE, *cases])
        with concurrent.futures.ThreadPoolExecutor(N_AT_ONCE) as pool:
            for case in cases:
                for step in steps:
                    pool.submit(problems.collect, f"{case.name}, by {step}", ask_slowly, server, case, step)
        check_none_in_flight(server)
        check_good(server)
    problems.report()


def test_each_route_answers_a_slow_client_as_any_other():
    check_slow_clients(replies.documents() + replies.predictions(SMALL_ROWS), STEPS)


def test_each_large_reply_reaches_a_slow_client_byte_for_byte():
    check_slow_clients(replies.predictions(LARGE_ROWS), STEPS[-1:])


def test_each_kind_of_large_reply_may_be_read_byte_by_byte():
    # The form of a request does not matter to its reply: those that are sent fastest.
    check_slow_clients([case for case in replies.predictions(LARGE_ROWS)
                        if ", packed body" in case.name and "chunked" not in case.name], STEPS[:-1])


def test_the_names_of_metrics_reach_a_slow_client():
    with Server() as server:
        expected = replies.metric_names(server)
        with SlowConnection(server) as connection:
            connection.write(request_bytes("GET", "/metrics"), 1)
            answer = connection.response()
        found = [line for line in answer.body.decode().splitlines() if line.startswith("#")]
        check(found == expected and answer.status == 200, f"status {answer.status}, {found[:5]}")


def test_a_reply_has_the_room_that_its_request_took():
    if harness.is_sanitized():
        return  # 16 MiB are read byte by byte, which takes 20 s
    # All requests together use up the budget of bodies but for less than a reply, which is more
    # than a socket takes. They come at once, so that none is slow.
    body = replies.small_v1_body(replies.rows(HELD_ROWS)).ljust(HELD_BYTES)
    case = Case("v1", request_bytes("POST", V1, body))
    with Server("--workers", "1") as server:
        replies.record(server, [case])
        connections = [SlowConnection(server, MIDDLE_BUFFER) for _ in range(BODIES_IN_BUDGET)]
        senders = [threading.Thread(target=c.send, args=(case.request,)) for c in connections]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(harness.limit(60))
        for connection in connections:
            case.check(connection.read(len(case.reply), MIDDLE_BUFFER))
            connection.close()
        check_good(server)


if __name__ == "__main__":
    harness.main(globals())
