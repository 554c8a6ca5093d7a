# SPDX-License-Identifier: Apache-2.0
"""What the network carries, beside what the same program says on the loopback, byte for byte.

    build/tests/network/shuttle --delay 1 --rate 100 -- python3 tests/network/test_replies.py

DCNV2_TEST_ROWS: rows of a large request, of which slow networks get fewer.
"""
import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import replies
from harness import Load, Server, check, limit
from replies import PROBE_CASE, Case, RecordingConnection, check_none_in_flight, check_replies
from samples import V1, check_good
from wire import request_bytes

ROWS = int(os.environ.get("DCNV2_TEST_ROWS") or 12_000)
SMALL_ROWS = 3
N_CLIENTS = 4
TIMEOUT_S = 120


def recorded(cases):
    """The cases with their replies on the loopback, and that of the probe."""
    with Server(*replies.SERVER_FLAGS, is_reference=True) as server:
        replies.record(server, [PROBE_CASE, *cases])
    return cases


def fast_to_send(cases):
    return [case for case in cases if ", packed body" in case.name or case.name.startswith("v1")]


def check_pipeline(connection, cases, pause=0):
    """All requests at once, while the replies are read, each after the pause."""
    requests = b"".join(case.request for case in cases)
    sender = threading.Thread(target=connection.send, args=(requests,))
    sender.start()
    for case in cases:
        time.sleep(pause)
        case.check(connection.take(len(case.reply)))
    sender.join(limit(TIMEOUT_S))
    check(not connection.buffer, f"bytes behind the last reply: {connection.buffer[:100]!r}")


def test_the_server_is_behind_a_network():
    check(harness.ADDRESS != harness.LOOPBACK and harness.LAUNCHER, "start it by the shuttle")
    with Server() as server:
        check_good(server)


def test_each_kind_of_reply_is_that_of_the_loopback():
    cases = recorded(replies.documents() + replies.predictions(SMALL_ROWS))
    with Server(*replies.SERVER_FLAGS) as server:
        check_replies(server, cases)
        check_none_in_flight(server)


def test_each_kind_of_large_reply_is_that_of_the_loopback():
    cases = recorded(replies.predictions(ROWS))
    with Server(*replies.SERVER_FLAGS) as server:
        check_replies(server, cases)
        check_none_in_flight(server)


def test_many_clients_at_once_get_their_own_replies():
    cases = recorded(fast_to_send(replies.predictions(ROWS)) + replies.documents())
    with Server(*replies.SERVER_FLAGS) as server:
        def client(number):
            order = random.Random(number).sample(cases, len(cases))
            connection = RecordingConnection(server, TIMEOUT_S)

            def step():
                if not order:
                    connection.close()
                    return False
                case = order.pop()
                connection.send(case.request)
                case.check(connection.take(len(case.reply)))
                check(not connection.buffer, f"{case.name}: bytes behind the reply")
            return step

        load = Load(N_CLIENTS, client)
        load.join(TIMEOUT_S)
        load.stop()
        check_none_in_flight(server)


def test_pipelined_requests_are_answered_in_order():
    cases = recorded(fast_to_send(replies.predictions(ROWS // 4)) + replies.predictions(SMALL_ROWS)
                     + replies.documents())
    random.Random(1).shuffle(cases)
    with Server(*replies.SERVER_FLAGS) as server, RecordingConnection(server, TIMEOUT_S) as connection:
        check_pipeline(connection, cases)


def test_a_client_that_stops_reading_gets_the_rest_later():
    case, = recorded([Case("v1", request_bytes("POST", V1, replies.small_v1_body(replies.rows(ROWS))))])
    with Server(*replies.SERVER_FLAGS) as server, RecordingConnection(server, TIMEOUT_S) as connection:
        check_pipeline(connection, [case] * 4, pause=0.3)
        check_none_in_flight(server)


def test_a_large_body_arrives_whole():
    body = replies.small_v1_body(replies.rows(SMALL_ROWS)).rjust(ROWS * 200)
    cases = recorded([Case("v1", request_bytes("POST", V1, body)),
                      Case("v1, chunked", replies.chunked_request(V1, replies.in_chunks(body)))])
    with Server(*replies.SERVER_FLAGS) as server:
        check_replies(server, cases)


if __name__ == "__main__":
    harness.main(globals())
