# SPDX-License-Identifier: Apache-2.0
"""A server whose calls on sockets are short, interrupted, refused or reset: each reply has the
bytes that an undisturbed server sends, a reset may cut it but changes none of them, and nothing
is left behind.

DCNV2_TEST_SEEDS: how many seeds.
"""
import contextlib
import math
import pathlib
import random
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import replies
from faulty import HARMLESS, KINDS, RESETS, SEEDS, FaultyServer
from harness import Load, Problems, Server, check, limit, wait_until
from replies import PROBE_CASE, RecordingConnection, check_none_in_flight, check_replies
from samples import MANY, V1, check_good, repeat, v1_body
from wire import Connection, request_bytes

SMALL_ROWS, LARGE_ROWS = 3, 1000 if harness.is_sanitized() else 4000  # with a sanitizer each takes ten times as long
OFTEN, NOW_AND_THEN = 400, 150  # of 1,000 calls
RARELY = 30                     # resets: most replies come
SMALL_BUFFER = 4096             # a client's
N_CLIENTS, TIMEOUT_S = 6, 60
BUSY_S = 2  # with large requests; a busy worker looks at its clients once a second
CASES_OF_EACH, REQUESTS_OF_EACH = 40, 4  # client, connection


def recorded(cases):
    with Server(*replies.SERVER_FLAGS, is_reference=True) as server:
        replies.record(server, [PROBE_CASE, *cases])
    return cases


def large_cases():
    return [case for case in replies.predictions(LARGE_ROWS)
            if "packed body" in case.name or case.name.startswith("v1")]


def few_of_each():
    return recorded(replies.documents() + replies.predictions(SMALL_ROWS) + large_cases())


def test_each_kind_of_fault_alone_changes_no_reply():
    problems, cases = Problems(), few_of_each()
    for kind in HARMLESS:
        with FaultyServer(*replies.SERVER_FLAGS, seed=1, per_mille=OFTEN, which=[kind]) as server:
            some = cases[::4] if harness.is_sanitized() else cases  # with a sanitizer each case takes long
            problems.collect(kind, check_replies, server, some, replies.narrow(SMALL_BUFFER))
            problems.check(server.counts()[kind] > 0, f"{kind} never came")
            check_none_in_flight(server)
    problems.report()


class Client(RecordingConnection):
    """One whose window is small."""

    def __init__(self, server):
        super().__init__(server, TIMEOUT_S, replies.narrow(SMALL_BUFFER))


def shuffled(cases, seed):
    return random.Random(seed).sample(cases, len(cases))


def check_clients(server, cases, seed, connect, ask):
    """Clients at once, each with all cases in an order of its own, by ask(client, case), which
    says whether the connection goes on; the next client is connect(server)."""
    def make_step(number):
        order, state = shuffled(cases, seed * N_CLIENTS + number)[:CASES_OF_EACH], {"client": None}

        def step():
            state["client"] = state["client"] or connect(server)
            goes_on = ask(state["client"], order.pop())
            if not goes_on or len(order) % REQUESTS_OF_EACH == 0:
                state["client"].close()
                state["client"] = None
            return bool(order)
        return step

    load = Load(N_CLIENTS, make_step)
    load.join(TIMEOUT_S)
    load.stop()


def check_nothing_is_left(server, n_files):
    check_none_in_flight(server)
    check(wait_until(lambda: server.n_open_files() <= n_files, 5),
          f"{server.n_open_files()} open files, {n_files} before: {server.open_files()}")


def connect_in_the_end(server):
    """A reset that comes before connect() has returned is its error."""
    return retry(Client, server)


def ask_whole(client, case):
    client.send(case.request)
    case.check(client.take(len(case.reply)))
    check(not client.buffer, f"{case.name}: bytes behind the reply: {client.buffer[:60]!r}")
    return True


def ask_until_reset(client, case):
    """A reply may be cut, but not changed."""
    received = b""
    try:
        client.send(case.request)
        received = client.take(len(case.reply))
    except ConnectionError:
        received = client.buffer
    wrong = case.difference(received)
    check(wrong is None and len(client.buffer) <= len(case.reply), wrong)
    return len(received) == len(case.reply)


def check_seeds(cases, connect, ask, which, per_mille):
    total = dict.fromkeys(KINDS, 0)
    for seed in range(1, SEEDS + 1):
        with FaultyServer(*replies.SERVER_FLAGS, seed=seed, per_mille=per_mille, which=which) as server:
            n_files = server.n_open_files() + 1  # a connection for /metrics may still close
            check_clients(server, cases, seed, connect, ask)
            counts = server.counts()
            retry(check_nothing_is_left, server, n_files)
            retry(check_good, server)
        total = {kind: n + counts[kind] for kind, n in total.items()}
    # Of each call; that each kind comes is checked where it comes alone.
    calls = {kind.split("-")[0] for kind in which}
    never = [call for call in calls if not any(n for kind, n in total.items() if kind.startswith(call))]
    check(not never, f"no fault of {never} came")


def retry(function, *arguments):
    """Until it is not met by a reset; a failure of another kind is one."""
    for _ in range(20):
        try:
            return function(*arguments)
        except ConnectionError:
            pass
        except harness.Failure as failure:
            if "closed with" not in str(failure):
                raise
    return function(*arguments)


def test_100_continue_comes_under_faults():
    case, = recorded(replies.predictions(SMALL_ROWS)[:1])
    head, body = case.request.split(b"\r\n\r\n", 1)
    with FaultyServer(seed=1, per_mille=OFTEN, which=["send-interrupted"]) as server:
        for _ in range(10):
            with RecordingConnection(server, TIMEOUT_S) as connection:
                connection.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
                check(connection.response().status == 100, "no 100")
                connection.send(body)
                case.check(connection.take(len(case.reply)))


def test_all_harmless_faults_at_once_change_no_reply():
    check_seeds(few_of_each(), Client, ask_whole, HARMLESS, NOW_AND_THEN)


def test_a_reset_cuts_a_reply_and_changes_none():
    check_seeds(few_of_each(), connect_in_the_end, ask_until_reset, RESETS, RARELY)


def test_resets_among_all_other_faults_change_no_reply():
    check_seeds(few_of_each(), connect_in_the_end, ask_until_reset, KINDS, NOW_AND_THEN)


def test_pipelined_requests_are_answered_in_order_under_faults():
    cases = few_of_each()
    for seed in range(1, SEEDS + 1):
        order = shuffled(cases, seed)
        with FaultyServer(*replies.SERVER_FLAGS, seed=seed, per_mille=OFTEN, which=HARMLESS) as server, \
                Client(server) as client:
            requests = b"".join(case.request for case in order)
            sender = threading.Thread(target=client.send, args=(requests,))
            sender.start()
            for case in order:
                case.check(client.take(len(case.reply)))
            sender.join(limit(TIMEOUT_S))
            check(not client.buffer, f"bytes behind the last reply: {client.buffer[:60]!r}")


def ask_half_closed(server, request):
    client = Connection(server, TIMEOUT_S)
    client.send(request)
    client.sock.shutdown(socket.SHUT_WR)
    return client


def test_no_part_of_a_100_stands_before_a_reply():
    asked = b"HTTP/1.1 100 Continue\r\n\r\n"
    large = request_bytes("POST", V1, v1_body(repeat(MANY, 20_000)))
    small = request_bytes("POST", V1, v1_body(repeat(MANY, 200)))
    flags = ("--workers", "1", "--max_body_bytes", str(256 << 20))  # room for as many as it takes
    with Server(*flags, is_reference=True) as server, Connection(server, TIMEOUT_S) as client:
        started = time.monotonic()
        client.send(large)
        check(client.response().status == 200, "a large request")
        n_others = math.ceil(BUSY_S / (time.monotonic() - started))
    n_asked = 0
    for seed in range(1, SEEDS + 1):
        with FaultyServer(*flags, seed=seed, per_mille=1000, which=["send-short"]) as server:
            others = [Connection(server, TIMEOUT_S) for _ in range(n_others)]
            for other in others:
                other.send(large[:-1])
            for other in others:  # all of them wait at one moment, however fast the server is
                other.send(large[-1:])
            clients = [ask_half_closed(server, small) for _ in range(10)]
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    while client._fill():
                        pass
                n_asked += bool(client.buffer) and (client.buffer.startswith(asked) or asked.startswith(client.buffer))
                found = client.buffer.removeprefix(asked)
                check(found.startswith(b"HTTP/1.1 200 ") or asked.startswith(found),
                      f"seed {seed}: before the reply stands {found[:60]!r}")
                client.close()
            for other in others:
                other.close()
    check(n_asked > 0, "nobody was asked")


if __name__ == "__main__":
    harness.main(globals())
