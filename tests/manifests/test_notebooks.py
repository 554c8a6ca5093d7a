#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""train.ipynb, run top to bottom by the real Kubeflow SDK against an API server that answers as a cluster
would: its TrainJob must be right by the real CRD, where there is one.

Run with the packages of requirements.txt.
"""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import crd
import harness
from harness import ROOT, check

NAMESPACE = "kubeflow-user-example-com"
LOG = "epoch 1  loss 0.1573  auc 0.71\nwrote model_weights.pth\n"


class Cluster(http.server.BaseHTTPRequestHandler):
    """As much of an API server as the SDK asks for, with one runtime and jobs that end at once."""
    protocol_version = "HTTP/1.1"
    runtime, jobs, fails = None, {}, False

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def job(self, name):
        condition = {"type": "Failed" if Cluster.fails else "Complete", "status": "True", "reason": "Done", "message": "",
                     "lastTransitionTime": "2026-01-01T00:00:00Z"}
        return {**Cluster.jobs[name], "status": {"conditions": [condition]}}

    def pods(self, name):
        def pod(node):
            return {"metadata": {"name": "%s-node-0-%d" % (name, node), "namespace": NAMESPACE, "labels": {
                        "jobset.sigs.k8s.io/jobset-name": name, "jobset.sigs.k8s.io/replicatedjob-name": "node",
                        "batch.kubernetes.io/job-completion-index": str(node)}},
                    "spec": {"containers": [{"name": "node"}]}, "status": {"phase": "Succeeded"}}
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod(0), pod(1)]}

    def do_GET(self):
        path, _, query = self.path.partition("?")
        name = path.rsplit("/", 1)[1]
        if path.endswith("/trainingruntimes/dcnv2"):
            self.answer(Cluster.runtime)
        elif "/trainjobs/" in path and name in Cluster.jobs:
            self.answer(self.job(name))
        elif path.endswith("/pods"):
            self.answer(self.pods(next(iter(Cluster.jobs))))
        elif path.endswith("/log"):
            self.answer(LOG)
        else:
            self.answer({"kind": "Status", "status": "Failure", "code": 404, "message": self.path}, 404)

    def do_POST(self):
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        job["metadata"].update(namespace=NAMESPACE, creationTimestamp="2026-01-01T00:00:00Z")
        Cluster.jobs[job["metadata"]["name"]] = job
        self.answer(job, 201)


def run_notebook(folder, fails=False):
    """Runs the cells as one program; what it printed, and the jobs it made."""
    Cluster.runtime = yaml.safe_load((ROOT / "deploy/train/runtime/training_runtime.yaml").read_text())
    Cluster.jobs, Cluster.fails = {}, fails
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = pathlib.Path(folder) / "kubeconfig"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "me", "user": {}}],
        "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:%d" % server.server_port}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": NAMESPACE}}]}))
    workspace = pathlib.Path(folder) / "workspace"
    workspace.mkdir()
    (workspace / "metrics.json").write_text('{"auc": 0.71}')
    notebook = json.loads((ROOT / "deploy/notebooks/train.ipynb").read_text())
    program = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=harness.limit(120),
                              env={**os.environ, "KUBECONFIG": str(config), "WORKSPACE": str(workspace), "NO_PROXY": "127.0.0.1"})
    finally:
        server.shutdown()
        server.server_close()
    return done, workspace, list(Cluster.jobs.values())


def crds():
    for folder in (ROOT / "build/crds", ROOT.parent / "shared/platform/crds"):
        if list(folder.glob("*.yaml")):
            return crd.load_cached(str(folder), str(ROOT / "build/crds.json"))
    return None


def test_train_notebook_runs_top_to_bottom():
    with tempfile.TemporaryDirectory() as folder:
        done, workspace, jobs = run_notebook(folder)
        check(done.returncode == 0, done.stdout + done.stderr)
        check("epoch 1  loss 0.1573" in done.stdout, "the log is not shown: " + done.stdout)
        lines = (workspace / "data/train/invented.csv").read_text().splitlines()
        check(len(lines) == 20001 and lines[0].startswith("clk,userid,") and lines[0].endswith(",price"), lines[0])
    [job] = jobs
    check(job["spec"]["runtimeRef"]["kind"] == "TrainingRuntime" and job["spec"]["runtimeRef"]["name"] == "dcnv2", str(job))
    check(job["spec"]["trainer"]["numNodes"] == 2 and "--train-data" in job["spec"]["trainer"]["args"], str(job))
    schemas = crds()
    check(schemas is None or not crd.problems(schemas, job), "the CRD refuses it: %s" % (schemas and crd.problems(schemas, job)))


def test_train_notebook_ends_when_the_job_fails():
    with tempfile.TemporaryDirectory() as folder:
        done, _, _ = run_notebook(folder, fails=True)
    check(done.returncode != 0, done.stdout)
    check("Failed" in done.stderr, done.stderr)


if __name__ == "__main__":
    harness.main(globals())
