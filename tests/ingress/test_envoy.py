# SPDX-License-Identifier: Apache-2.0
"""The server behind Envoy as Istio's ingress gateway: who is let in, the documented clients, and that neither
connections which end nor a server which ends costs a request."""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from gateway import AUDIENCE, DEX, HOST, HOSTS, HOUR, ISSUER, KIND, SERVICE_ACCOUNTS, Gateway, Issuer, headers
from harness import ROOT, Load, Server, check, limit
from samples import GOOD_BODY, TWO, TWO_SCORES, V1, V2, check_scores, metrics, scores_of, v2_body
from wire import Connection, ask

CLIENT_PYTHON = os.environ.get("DCNV2_CLIENT_PYTHON", sys.executable)
DOCUMENTS = ("docs/cluster.md",)
TIMEOUT_OF_ROUTE_S = 10
_shared = {}


def shared():
    """(gateway, its server), started once."""
    if not _shared:
        _shared["server"] = Server()
        _shared["gateway"] = Gateway(_shared["server"])
    return _shared["gateway"], _shared["server"]


def post(gateway, token=None, path=V1, body=GOOD_BODY, host=HOST, **options):
    return ask(gateway, "POST", path, body, headers(token), host=host, **options)


def check_good(gateway, token):
    check_scores(scores_of(post(gateway, token)), TWO_SCORES)


def documented(first_word):
    """A command of the documents that asks through the ingress, its lines joined."""
    for document in DOCUMENTS:
        text = (ROOT / document).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.startswith(first_word + " ") and "$SERVICE_HOSTNAME" in line and ":predict" in line:
                return line
    raise harness.Failure(f"no {first_word} line with $SERVICE_HOSTNAME in {', '.join(DOCUMENTS)}")


def run(command, gateway, token, timeout=60):
    """Runs a documented command against the gateway: only the address differs."""
    check("localhost:8080" in command, command)
    return subprocess.run(["sh", "-c", command.replace("localhost:8080", f"127.0.0.1:{gateway.port}")], cwd=ROOT,
                          env={**os.environ, "SERVICE_HOSTNAME": HOST, "TOKEN": token}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit(timeout), text=True)


def check_hey(report):
    """All replies 200, and nothing that failed; how many a second."""
    statuses = re.findall(r"\[(\d+)\]\s+(\d+) responses", report)
    check([s for s, _ in statuses] == ["200"] and "Error distribution" not in report, report[-800:])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])


def answered(server):
    """How many requests have reached it, but for those of /metrics."""
    return sum(value for name, value in metrics(server).items()
               if name.startswith("dcnv2_requests_total") and "metrics" not in name)


# ---------------------------------------------------------------- who is let in

def test_without_a_token_it_is_403():
    gateway, server = shared()
    before = answered(server)
    for path in (V1, V2, "/v1/models/dcnv2"):
        answer = post(gateway, None, path)
        check(answer.status == 403 and b"RBAC: access denied" in answer.body, f"{path}: {answer.status} {answer.body[:100]}")
    check(ask(gateway, "GET", "/metrics", host=HOST).status == 403, "/metrics")
    check(answered(server) == before, "it reached the server")


def test_no_name_of_the_service_is_open_whatever_port_it_is_asked_with():
    gateway, server = shared()
    before = answered(server)
    for host in HOSTS:
        for asked in (host, host + ":80", host + ":8080", host + ":1", host.upper()):
            status = post(gateway, None, host=asked).status
            check(status in (403, 404), f"{asked}: {status}")
            check(status == 403 or asked != host, f"{asked} is not known")
    check(answered(server) == before, "it reached the server")
    for host in HOSTS:
        check_scores(scores_of(post(gateway, ISSUER.token(), host=host)), TWO_SCORES)


def test_a_bad_or_expired_token_is_401():
    gateway, _ = shared()
    good = ISSUER.token()
    head, payload, signature = good.split(".")
    cases = {"not a token": "abc", "expired": ISSUER.token(lasts=-120), "of an issuer nobody knows": ISSUER.token(iss="https://evil.example"),
             "signed by another key": Issuer().token(), "changed": f"{head}.{payload[:-6]}AAAAAA.{signature}",
             "unsigned": f"{head}.{payload}.", "not yet valid": ISSUER.token(nbf=int(time.time()) + HOUR)}
    for what, token in cases.items():
        answer = post(gateway, token)
        check(answer.status == 401 and b"Jwt" in answer.body, f"a token that is {what}: {answer.status} {answer.body[:100]}")


def test_a_token_made_for_something_else_is_403():
    gateway, _ = shared()
    for audience in (["https://kubernetes.default.svc.cluster.local"], "vault", [], None):
        answer = post(gateway, ISSUER.token(aud=audience))
        check(answer.status == 403, f"audience {audience}: {answer.status}")
    check(post(gateway, ISSUER.token(sub=None)).status == 403, "a token without a subject")


def test_a_good_token_is_200_whoever_gave_it():
    gateway, _ = shared()
    for token in (ISSUER.token(iss=KIND), ISSUER.token(iss=SERVICE_ACCOUNTS), ISSUER.token(aud=["other", AUDIENCE]), ISSUER.token(aud=AUDIENCE),
                  ISSUER.token(iss=DEX, aud="kubeflow-oidc-authservice", sub="CgV1c2Vy", email="user@example.com")):
        check_good(gateway, token)
    check_scores(scores_of(post(gateway, ISSUER.token(), V2, v2_body(TWO))), TWO_SCORES)
    check_scores(scores_of(post(gateway, ISSUER.token(), host=HOST + ":8080")), TWO_SCORES)


def test_another_host_is_404_and_a_mistake_stays_the_servers_400():
    gateway, _ = shared()
    check(post(gateway, ISSUER.token(), host="other.example.com").status == 404, "another host")
    answer = post(gateway, ISSUER.token(), body=b'{"inputs": [')
    check(answer.status == 400 and "Unrecognized request format" in answer.error(), f"{answer.status} {answer.body[:100]}")


# ---------------------------------------------------------------- the documented clients

def test_the_documented_curl_line_gets_200():
    gateway, _ = shared()
    done = run(documented("curl"), gateway, ISSUER.token())
    check(done.returncode == 0 and "HTTP/1.1 200 OK" in done.stderr and '{"predictions":[[0.056723863]]}' in done.stdout,
          f"{done.returncode} {done.stdout[-300:]} {done.stderr[-600:]}")


def test_infer_py_gets_the_same_answer_in_all_four_ways():
    gateway, _ = shared()
    def infer(token):
        return subprocess.run([CLIENT_PYTHON, "deploy/client/infer.py", "--url", f"http://127.0.0.1:{gateway.port}", "--host", HOST,
                               "--token", token], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=limit(90), text=True)
    done = infer(ISSUER.token())
    lines = done.stdout.splitlines()
    check(done.returncode == 0 and len(lines) == 4 and len({line.split("[")[1] for line in lines}) == 1, done.stdout + done.stderr[-600:])
    done = infer(ISSUER.token(lasts=-120))
    check(done.returncode == 1 and "expired" in done.stderr, done.stdout + done.stderr[-600:])


def test_the_documented_hey_line_gets_nothing_but_200():
    gateway, _ = shared()
    command = documented("hey")
    check("-z 30s -c 30" in command, command)
    done = run(command.replace("-z 30s", "-z 10s"), gateway, ISSUER.token())
    check(done.returncode == 0, done.stderr[-600:])
    print(f"hey -z 10s -c 30 through Envoy: {check_hey(done.stdout):.0f} requests/s, all 200", flush=True)


# ---------------------------------------------------------------- connections that end

def test_a_client_idle_for_longer_than_envoy_allows_is_served_anew():
    with Server() as server, Gateway(server, client_idle=1) as gateway:
        token = ISSUER.token()
        with Connection(gateway) as connection:
            check(connection.request("POST", V1, GOOD_BODY, headers(token), host=HOST).status == 200, "first")
            check(connection.is_closed_within(12), "still open")  # Envoy's idle time, and 5 s of draining
        check_good(gateway, token)


def test_requests_after_envoys_and_after_the_servers_idle_time_are_answered():
    token = ISSUER.token()
    for flags, server_idle in (((), 1), (("--idle_timeout", "1"), HOUR)):
        with Server(*flags) as server, Gateway(server, server_idle=server_idle) as gateway:
            with Connection(gateway) as connection:
                for pause in (0, 2.5, 0.2, 2.5):
                    time.sleep(pause)
                    answer = connection.request("POST", V1, GOOD_BODY, headers(token), host=HOST)
                    check_scores(scores_of(answer), TWO_SCORES)
            opened = gateway.counters()["upstream_cx_total"]
            check(opened >= 3, f"{flags}, {server_idle} s: {opened} connections, so none ended")


def ask_at(gateway, token, connections, when):
    """One request on each connection at that time, all at once; the answers' statuses."""
    statuses = []
    ready = threading.Barrier(len(connections))

    def client(connection):
        ready.wait(limit(10))
        time.sleep(max(0, when - time.monotonic()))
        try:
            statuses.append(connection.request("POST", V1, GOOD_BODY, headers(token), host=HOST).status)
        except (harness.Failure, OSError) as error:
            statuses.append(str(error))
    threads = [threading.Thread(target=client, args=(c,), daemon=True) for c in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit(20))
    return statuses


def race(server, gateway, rounds, first_s, last_s):
    """Requests that come just when idle connections end: after pauses from first_s to last_s, 12 at a time.
    (how many were asked, what was not 200)."""
    token = ISSUER.token()
    connections = [Connection(gateway, 15) for _ in range(12)]
    asked, bad = 0, []
    quiet = ask_at(gateway, token, connections, time.monotonic())
    check(quiet == [200] * 12, str(quiet))
    for i in range(rounds):
        pause = first_s + (last_s - first_s) * i / max(1, rounds - 1)
        statuses = ask_at(gateway, token, connections, time.monotonic() + pause)
        asked += len(statuses)
        bad += [s for s in statuses if s != 200]
    for connection in connections:
        connection.close()
    return asked, bad


def test_envoy_closing_idle_connections_while_requests_come_costs_none():
    with Server() as server, Gateway(server, server_idle=1) as gateway:
        asked, bad = race(server, gateway, 12, 0.98, 1.02)
        print(f"Envoy's idle time over as requests come: {asked} requests, {len(bad)} failed, "
              f"{gateway.counters()['upstream_cx_total']} connections", flush=True)
        check(not bad, f"{bad[:5]} {gateway.bad_lines()[:5]}")


def test_the_server_closing_idle_connections_while_requests_come_costs_none():
    # Istio does not send such a request again. What crosses the server's end on the wire no server can answer: it is
    # microseconds here; across a network --idle_timeout should be longer than the proxy's (queue-proxy: 90 s).
    with Server("--idle_timeout", "1") as server, Gateway(server) as gateway:
        asked, bad = race(server, gateway, 14, 0.9, 2.1)
        print(f"the server's idle time over as requests come: {asked} requests, {len(bad)} failed, "
              f"{gateway.counters()['upstream_cx_total']} connections", flush=True)
        check(not bad, f"{bad[:5]} {gateway.bad_lines()[:5]}")


def test_the_routes_timeout_is_a_504():
    with Server() as server, Gateway(server) as gateway:
        server.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            answer = post(gateway, ISSUER.token(), timeout=20)
            took = time.monotonic() - started
        finally:
            server.send_signal(signal.SIGCONT)
        check(answer.status == 504 and TIMEOUT_OF_ROUTE_S - 1 < took < limit(TIMEOUT_OF_ROUTE_S + 3), f"{answer.status} after {took:.1f} s")
        check_good(gateway, ISSUER.token())


# ---------------------------------------------------------------- servers that end

def client_of(gateway, token, number):
    """A step of a client that keeps its connection, or, every fourth, takes a new one each time."""
    state = {"connection": Connection(gateway, 15)}

    def step():
        answer = state["connection"].request("POST", V1, GOOD_BODY, headers(token), host=HOST)
        check_scores(scores_of(answer), TWO_SCORES)
        if answer.closes() or number % 4 == 0:
            state["connection"].close()
            state["connection"] = Connection(gateway, 15)
        time.sleep(random.random() * 0.01)
    return step


def test_a_server_that_drains_costs_no_request():
    # Envoy is never told that the endpoint is gone, which is harder than a cluster.
    token = ISSUER.token()
    for flags in ((), ("--drain_wait", "2")):
        with Server() as stays, Server(*flags) as goes, Gateway(stays, goes) as gateway:
            load = Load(12, lambda number: client_of(gateway, token, number))
            time.sleep(1)
            check(metrics(goes) and goes.is_alive(), "")
            goes.send_signal(signal.SIGTERM)
            check(goes.wait(15) == 0, f"exit code {goes.process.poll()}: {goes.log()[-300:]}")
            time.sleep(1)
            load.stop()
            counters = gateway.counters()
            print(f"draining{' '.join(('',) + flags)}: {load.n_done} requests, none failed; {counters.get('upstream_rq_retry', 0)} tried "
                  "again elsewhere", flush=True)


def test_hey_sees_nothing_but_200_while_a_server_drains_and_another_comes():
    with Server() as stays, Server("--drain_wait", "2") as goes, Gateway(stays, goes) as gateway:
        stop = threading.Timer(2, goes.send_signal, (signal.SIGTERM,))
        stop.start()
        done = run(documented("hey").replace("-z 30s", "-z 6s"), gateway, ISSUER.token())
        stop.join()
        check(goes.wait(10) == 0, f"exit code {goes.process.poll()}")
        print(f"hey while a server drains: {check_hey(done.stdout):.0f} requests/s, all 200", flush=True)


def test_the_shared_gateway_ends_in_order():
    gateway, server = shared()
    gateway.stop()
    with server:
        server.stop()
    _shared.clear()


if __name__ == "__main__":
    harness.main(globals())
