# SPDX-License-Identifier: Apache-2.0
"""deploy/client/infer.py and inference.ipynb against a server, as users run them."""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, check

SCRIPT = ROOT / "deploy/client/infer.py"


def run(*arguments, **environment):
    return subprocess.run([sys.executable, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=harness.limit(120), env={**os.environ, **environment})


class Gateway:
    """Answers every request with one status and body, and keeps the headers that came."""

    def __init__(self, status, body=b""):
        seen = self.headers = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_infer_gets_the_same_answer_in_all_four_ways(server):
    done = run(SCRIPT, "--url", "http://127.0.0.1:%d" % server.port, "--host", "dcnv2.example.com", "--token", "t")
    check(done.returncode == 0, done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    check(len(lines) == 4 and len({line.split("[")[1] for line in lines}) == 1, done.stdout)


def test_infer_sends_host_and_token():
    with Gateway(200, b'{"predictions": [[0.5]]}') as gateway:
        run(SCRIPT, "--url", gateway.url, "--host", "dcnv2.example.com", "--token", "abc")
        check(len(gateway.headers) >= 2, "requests came: %d" % len(gateway.headers))
        for headers in gateway.headers:
            check(headers["Host"] == "dcnv2.example.com", str(headers))
            check(headers["Authorization"] == "Bearer abc", str(headers))


def test_infer_says_what_is_wrong_in_one_line():
    for status, body, expected in ((401, b"Jwt is expired", "the token is bad, expired"), (403, b"RBAC: access denied", "no token"),
                                   (302, b"", "login page"), (404, b"", "no such host or model"), (503, b"no healthy upstream", "no pod is ready"),
                                   (400, b'{"error": "Instance 1: column \\"brand\\" is missing."}', 'column "brand" is missing'),
                                   (200, b"<html>", "is not a prediction"), (200, b"{}", "is not a prediction")):
        with Gateway(status, body) as gateway:
            done = run(SCRIPT, "--url", gateway.url)
        check(done.returncode == 1, "%d: exit code %d" % (status, done.returncode))
        check(expected in done.stderr and done.stderr.count("\n") == 1, "%d: %s" % (status, done.stderr))


def test_infer_says_that_nobody_answers():
    with Gateway(200) as gateway:
        url = gateway.url
    done = run(SCRIPT, "--url", url)
    check(done.returncode == 1 and "no answer from" in done.stderr and "port-forward" in done.stderr, done.stderr)


def test_inference_notebook_runs_top_to_bottom(server):
    notebook = json.loads((ROOT / "deploy/notebooks/inference.ipynb").read_text())
    program = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    done = run("-c", program, DCNV2_URL="http://127.0.0.1:%d" % server.port)
    check(done.returncode == 0, done.stdout + done.stderr)
    check("median" in done.stdout and "400" in done.stdout, done.stdout)


if __name__ == "__main__":
    harness.main(globals())
