# SPDX-License-Identifier: Apache-2.0
"""Envoy with the configuration of an Istio ingress gateway (envoy.yaml.in), and tokens that it believes."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request

import jwt
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import envoy
import harness
from harness import ROOT, check

HOST = "dcnv2.kubeflow-user-example-com.example.com"
# Every name by which KServe and Knative make the service known at the ingress: its own, the predictor's, a canary's
# tags, and those of overlay raw.
HOSTS = [HOST, *(name + "kubeflow-user-example-com.example.com" for name in (
    "dcnv2-predictor.", "prev-dcnv2-predictor.", "latest-dcnv2-predictor.", "dcnv2-", "dcnv2-predictor-"))]
AUDIENCE = "istio-ingressgateway.istio-system.svc.cluster.local"
KIND = "https://kubernetes.default.svc"  # as deploy/cluster/kind.yaml sets it
SERVICE_ACCOUNTS = "https://kubernetes.default.svc.cluster.local"  # where nobody set it
DEX = "http://dex.auth.svc.cluster.local:5556/dex"
ENVOY = pathlib.Path(envoy.__file__).parent / "_bin/envoy"
HOUR = 3600
KEY_ID = "test"


class Issuer:
    """A key and the tokens that it signs."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def key_set(self):
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{"kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "n": key["n"], "e": key["e"]}]})

    def token(self, lasts=HOUR, **claims):
        """As `kubectl create token default-editor --audience=..` gives it, but for the claims named."""
        now = int(time.time())
        payload = {"iss": KIND, "aud": [AUDIENCE], "iat": now - HOUR, "nbf": now - HOUR, "exp": now + lasts,
                   "sub": "system:serviceaccount:kubeflow-user-example-com:default-editor", **claims}
        pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return jwt.encode({k: v for k, v in payload.items() if v is not None}, pem, "RS256", headers={"kid": KEY_ID})


ISSUER = Issuer()


def matcher(pattern):
    """What Istio makes of a pattern of a policy."""
    if pattern.startswith("*"):
        return {"suffix": pattern[1:]}
    return {"prefix": pattern[:-1]} if pattern.endswith("*") else {"exact": pattern}


def this_service():
    """The permissions of deploy/security/ingress.yaml: which requests it is about."""
    rule = yaml.safe_load((ROOT / "deploy/security/ingress.yaml").read_text())["spec"]["rules"][0]
    hosts = [host for to in rule["to"] for host in to["operation"].get("hosts", [])]
    paths = [path for to in rule["to"] for path in to["operation"].get("paths", [])]
    return [{"header": {"name": ":authority", "string_match": {**matcher(host), "ignore_case": True}}} for host in hosts] + [
        {"url_path": {"path": matcher(path)}} for path in paths]


class Gateway:
    """A running Envoy before these servers; has an `address` and a `port`, as wire.ask wants them. Idle times are Istio's, an
    hour, if not given in seconds."""

    address = harness.LOOPBACK

    def __init__(self, *servers, client_idle=HOUR, server_idle=HOUR):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        self.port, self.admin_port = harness.free_port(), harness.free_port()
        endpoints = [f"{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {s.port}}}}}}}}}" for s in servers]
        text = (ROOT / "tests/ingress/envoy.yaml.in").read_text()
        settings = {"PORT": self.port, "ADMIN_PORT": self.admin_port, "DOMAINS": json.dumps([domain for host in HOSTS for domain in (host, host + ":*")]),
                    "THIS_SERVICE": json.dumps(this_service()), "JWKS": json.dumps(ISSUER.key_set()),
                    "CLIENT_IDLE": client_idle, "SERVER_IDLE": server_idle, "ENDPOINTS": ", ".join(endpoints)}
        for name, value in settings.items():
            text = text.replace(f"@{name}@", str(value))
        (folder / "envoy.yaml").write_text(text)
        self.log_path, self.error_path = folder / "access.log", folder / "errors.log"
        with open(self.log_path, "wb") as log, open(self.error_path, "wb") as errors:
            self.process = subprocess.Popen(
                [str(ENVOY), "-c", str(folder / "envoy.yaml"), "--concurrency", "2", "-l", "warn", "--disable-hot-restart"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=errors)
        harness._running.add(self.process)
        if not harness.wait_until(self._is_ready, 30, 0.05):
            said = self.error_path.read_text(errors="replace")[-600:]
            self.stop()
            raise harness.Failure(f"Envoy is not ready: {said}")

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def counters(self):
        """{name: number} of Envoy's upstream counters."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/stats?filter=^cluster.predictor.upstream", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {name.rpartition(".")[2]: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    def bad_lines(self, good=("200",)):
        """Lines of the access log whose status is another one. Envoy writes them with some delay."""
        return [line for line in self.log_path.read_text(errors="replace").splitlines() if line[:3] not in good]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(harness.limit(10))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        harness._running.discard(self.process)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def headers(token=None):
    found = [("Content-Type", "application/json")]
    return found + ([("Authorization", f"Bearer {token}")] if token else [])
