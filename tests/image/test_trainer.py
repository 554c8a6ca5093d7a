# SPDX-License-Identifier: Apache-2.0
"""The trainer's image as the operators run it: the arguments, columns and limits of the manifests in
deploy/train, the environment that a PyTorchJob and a TrainJob add, one volume for all. Two and four pods, of
which each is a container; they share a network of their own, where the names that the operators give lead to
the first one. The server's image then serves what they wrote."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import containers
import harness
from containers import TOOLS, TRAINER, USER, Container, ServerContainer, inspect, podman
from harness import ROOT, check
from samples import COLUMNS, check_scores, post_v1, scores_of

N_TRAIN, N_VALID = 3000, 800
VOLUME_GROUP = 100  # fsGroup of the manifests
WRITTEN = ("model_weights.pth", "preprocess_metadata.pkl", "model.safetensors", "metrics.json", "report.html")
JOIN_S = 100


def manifest(path, kind):
    with open(ROOT / "deploy/train" / path) as file:
        return next(d for d in yaml.safe_load_all(file) if d and d["kind"] == kind)


def pytorch_job(n, rank):
    """(container of the manifest, what the training operator 1.9 adds)."""
    job = manifest("pytorchjob/pytorch_job.yaml", "PyTorchJob")
    spec = job["spec"]["pytorchReplicaSpecs"]["Master" if rank == 0 else "Worker"]["template"]["spec"]
    per_node = job["spec"]["nprocPerNode"]
    check(per_node == "1", f"nprocPerNode {per_node}")
    first = job["metadata"]["name"] + "-master-0"
    added = {"PYTHONUNBUFFERED": 1, "MASTER_PORT": 23456, "PET_MASTER_PORT": 23456, "MASTER_ADDR": first,
             "PET_MASTER_ADDR": first, "WORLD_SIZE": n, "RANK": rank, "PET_NODE_RANK": rank,
             "PET_NPROC_PER_NODE": per_node, "PET_NNODES": n}
    return spec, added, first


def train_job(n, rank):
    """(container of the runtime, what the torch policy of trainer 2.1 (without GPUs the CPUs requested, rounded up, are the
    processes), JobSet and Job add)."""
    runtime = manifest("runtime/training_runtime.yaml", "TrainingRuntime")
    name = manifest("trainjob/train_job.yaml", "TrainJob")["metadata"]["name"]
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    first = f"{name}-node-0-0.{name}"
    added = {"PET_NNODES": n, "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": rank, "PET_MASTER_ADDR": first,
             "PET_MASTER_PORT": 29400, "JOB_COMPLETION_INDEX": rank}
    return node["template"]["spec"]["template"]["spec"], added, first


class Pod(Container):
    """A pod of a manifest's specification with its environment, in another container's network."""

    def __init__(self, spec, added, volume, network):
        [container] = spec["containers"]
        security = {**spec["securityContext"], **container["securityContext"]}
        check(security["runAsUser"] == security["runAsGroup"] == USER and security["readOnlyRootFilesystem"]
              and security["capabilities"]["drop"] == ["ALL"] and spec["securityContext"]["fsGroup"] == VOLUME_GROUP, str(security))
        env = {entry["name"]: entry["value"] for entry in container.get("env", [])} | added
        limits = container["resources"]["limits"]
        tmpfs = [f"--tmpfs={m['mountPath']}" for m in container["volumeMounts"] if m["name"] == "tmp"]
        [workspace] = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "workspace"]
        check("command" not in container, "the manifest replaces the image's entry point")
        super().__init__(TRAINER, *container["args"], cpus=limits["cpu"], memory=limits["memory"].lower().rstrip("i"), env=env,
                         mounts=[(volume, workspace), (network.hosts, "/etc/hosts:ro")], network=f"container:{network.holder.id}",
                         flags=[*tmpfs, f"--group-add={VOLUME_GROUP}"])


class Network:
    """A network with nothing but loopback, held open by a container that sleeps, and a file of hosts for its pods in
    which the first one's name leads there."""

    def __init__(self, name, folder):
        self.hosts = folder / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {name}\n")
        self.holder = Container(TRAINER, "600", memory="64m", network="none", flags=["--entrypoint=sleep"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.remove()


def make_volume(parent):
    """A folder as storage gives it with fsGroup: the group may write. The data are a part of the demo's."""
    parent.chmod(0o755)
    folder = parent / "volume"
    random.seed(1)
    for part, source, n in (("train", "train.csv", N_TRAIN), ("valid", "test.csv", N_VALID)):
        lines = (ROOT / "model" / source).read_text().splitlines()
        (folder / "data" / part).mkdir(parents=True)
        (folder / "data" / part / source).write_text("\n".join([lines[0]] + random.sample(lines[1:], n)) + "\n")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 0, VOLUME_GROUP)
        path.chmod(0o2775 if path.is_dir() else 0o664)
    return folder


def check_served(volume, label):
    """The server's image serves the volume as STORAGE_URI mounts it, the pair and the one file alike, with the
    scores that dcnv2-score gives for the same rows."""
    header, *lines = [line.split(",") for line in (volume / "data/valid/test.csv").read_text().splitlines()]
    rows = [dict(zip(header, cells)) for cells in lines[:20]]
    columns = {name: [float(row[name]) if name == "price" else row[name] for row in rows] for name in COLUMNS}
    expected = podman("run", "--rm", *containers.HELD, "--network=none", f"--volume={volume}:/workspace:ro", TOOLS, "dcnv2-score", "--model-path",
                      "/workspace/model.safetensors", "/workspace/data/valid/test.csv").split()[:20]
    for env in ({"MODEL_PATH": "/mnt/models/model_weights.pth", "ENCODER_PATH": "/mnt/models/preprocess_metadata.pkl"},
                {"MODEL_PATH": "/mnt/models/model.safetensors"}):
        with ServerContainer(models=volume, env=env) as server:
            found = scores_of(post_v1(server, columns))
            check_scores(found, list(map(float, expected)))
    check(len(set(found)) > 10, f"{label}: scores {found}")


def train(job, n):
    label = f"{job.__name__}, {n} pods"
    with tempfile.TemporaryDirectory() as folder:
        volume = make_volume(pathlib.Path(folder))
        started = time.monotonic()
        with Network(job(n, 0)[2], volume.parent) as network:
            pods = []
            try:
                for rank in range(n):
                    spec, added, _ = job(n, rank)
                    pods.append(Pod(spec, added, volume, network))
                codes = [pod.wait(JOIN_S) for pod in pods]
                check(codes == [0] * n, f"{label}: exit codes {codes}: {[pod.log()[-300:] for pod in pods]}")
            finally:
                for pod in pods:
                    pod.remove()
        took = time.monotonic() - started
        check(all((volume / name).is_file() for name in WRITTEN), f"{label}: {sorted(p.name for p in volume.iterdir())}")
        found = json.loads((volume / "metrics.json").read_text())
        check(found["ranks"] == n, f"{label}: {found.get('ranks')} ranks")
        check_served(volume, label)
        print(f"{label}: {took:.1f} s, validation AUC {found['best']['auc']:.3f}, served", flush=True)


def test_the_image_builds_and_its_bill_of_materials_is_valid():
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    took = containers.build("server", "tools", "trainer")
    size = inspect(TRAINER)["Size"]
    print(f"trainer's image: {took:.0f} s, {size / 1e6:.0f} MB", flush=True)
    path = ROOT / "build/image/dcnv2-trainer.spdx.json"
    messages = validate_full_spdx_document(parse_file(str(path)), "SPDX-2.3")
    check(not messages, str([m.validation_message[:200] for m in messages[:3]]))
    names = {package["name"] for package in json.loads(path.read_text())["packages"]}
    check({"libtorch1.13", "libgloo0", "libopenblas0-serial", "libc6", "base-files", "dcnv2-trainer"} <= names, str(sorted(names)))


def test_two_builds_have_the_same_bytes():
    containers.check_two_builds("trainer")


def test_it_runs_as_a_numeric_user_with_dcnv2_train_for_its_entry_point():
    about = inspect(TRAINER)
    check(about["User"] == "65532:65532" and about["Config"]["Entrypoint"] == ["/usr/bin/dcnv2-train"], str(about["Config"]))
    done = subprocess.run(["podman", "run", "--rm", *containers.HELD, "--network=none", TRAINER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, text=True)
    check(done.returncode == 0 and "--train-data" in done.stdout, done.stdout)


def test_a_pytorch_job_of_2_pods_trains_and_is_served():
    train(pytorch_job, 2)


def test_a_pytorch_job_of_4_pods_trains_and_is_served():
    train(pytorch_job, 4)


def test_a_train_job_of_2_pods_trains_and_is_served():
    train(train_job, 2)


def test_a_train_job_of_4_pods_trains_and_is_served():
    train(train_job, 4)


def test_sigterm_leaves_a_checkpoint_and_the_next_pods_go_on():
    with tempfile.TemporaryDirectory() as folder:
        volume = make_volume(pathlib.Path(folder))
        spec, added, first = train_job(2, 0)
        spec["containers"][0]["args"] += ["--epochs", "200"]
        with Network(first, volume.parent) as network:
            pods = [Pod(spec, {**added, "PET_NODE_RANK": rank, "JOB_COMPLETION_INDEX": rank}, volume, network) for rank in range(2)]
            try:
                check(harness.wait_until(lambda: "epoch 1/" in pods[0].log(), JOIN_S, 0.5), pods[0].log()[-300:])
                for pod in pods:
                    pod.signal("TERM")
                codes = [pod.wait(60) for pod in pods]
                check(codes == [143, 143], f"{codes}: {pods[0].log()[-300:]}")
                check((volume / "checkpoint.safetensors").is_file(), "no checkpoint")
                pods += [Pod(spec, {**added, "PET_NODE_RANK": rank, "JOB_COMPLETION_INDEX": rank}, volume, network) for rank in range(2)]
                check(harness.wait_until(lambda: "epoch " in pods[2].log(), JOIN_S, 0.5), pods[2].log()[-300:])
                check("starting anew" not in pods[2].log(), pods[2].log()[:600])
            finally:
                for pod in pods:
                    pod.remove()


if __name__ == "__main__":
    containers.need()
    harness.main(globals())
