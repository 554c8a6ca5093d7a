# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a test talks to its own server, and is told how that server ended."""
import pathlib
import socket
import sys
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Failure, Server, check
from samples import check_good


def test_a_stranger_on_the_port_is_not_taken_for_the_server():
    with socket.create_server((harness.LOOPBACK, 0)) as stranger:
        taken = stranger.getsockname()[1]
        ports = iter((taken, harness.free_port()))
        with unittest.mock.patch.object(harness, "free_port", lambda: next(ports)), Server() as server:
            check(server.port != taken, "it is the stranger's")
            check_good(server)


def test_a_refused_connection_is_explained_by_the_end_of_the_server():
    try:
        with Server() as server:
            check(server.logs("listening on port"), server.log())
            server.process.kill()
            for _ in range(100):  # until it has ended
                check_good(server)
    except Failure as error:
        check("the server had ended, exit code -9: " in str(error) and "listening on port" in str(error), f"{error}")
        return
    raise Failure("it answers after its end")


if __name__ == "__main__":
    harness.main(globals())
