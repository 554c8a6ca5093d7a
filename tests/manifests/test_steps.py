#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The steps' scripts, with a kubectl, kind and git that write down what they were told.

Run with the packages of requirements.txt, whose kubectl builds the kustomizations.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, check

KUBECTL = os.path.join(os.path.dirname(sys.executable), "kubectl")
STEPS = {"registry-secret": "deploy/step.sh", "storage": "deploy/step.sh", "train-job": "deploy/step.sh",
         "serve": "deploy/step.sh", "security": "deploy/step.sh", "monitoring": "deploy/step.sh",
         "notebooks": "deploy/step.sh", "forward": "deploy/step.sh", "infer": "deploy/step.sh",
         "load-cluster": "deploy/step.sh", "cluster": "deploy/cluster/create.sh", "kind-load": "deploy/cluster/load.sh", "kubeflow": "deploy/kubeflow/install.sh"}
TOOLS = ("sh", "date", "timeout", "cat", "cut", "dirname", "env", "grep", "id", "ls", "mkdir", "rm", "sed", "seq", "sleep", "tail", "tr", "awk")
# Builds and records what is applied; of `get` it answers what a test sets.
STUB = """#!/bin/sh
echo "kubectl $*" >>"$CALLS"
# Of "first|second|last" what is due at this call of its kind.
said() { printf %%s "$1" | awk -F'|' -v n="$(grep -c "^kubectl $kind" "$CALLS")" '{ print (n > NF ? $NF : $n) }'; }
kind="$1 $2"
[ "$1" != version ] || echo "Client Version: ${KUBECTL_VERSION:-v1.31.0}"
case "$1 $2" in
"apply -k") exec %s kustomize "$3" >>"$APPLIED" ;;
"kustomize "*) echo "kind: List" ;;
"wait "*) case "$*" in *"${WAIT_FAILS:-nothing}"*) exit 1 ;; esac ;;
"apply --server-side") [ -n "${APPLY_FAILS:-}" ] && { echo "error: no matches for kind X"; exit 1; } ;;
"get deployments"*) printf '%%b' "${DEPLOYMENTS:-}"; exit "${GET_FAILS:-0}" ;;
"get namespace") [ "$(said "${NAMESPACES:-yes}")" = yes ] || exit 1 ;;
"get pods") said "${PHASES:-Running}" ;;
"get trainjob" | "get pytorchjob") printf '%%b' "$(said "${CONDITIONS:-}")" ;;
"get inferenceservice") case "$*" in
    *components.predictor.url*) printf %%s "http://dcnv2-predictor.ns.example.com" ;;
    *status.url*) printf %%s "${STATUS_URL:-http://dcnv2.ns.example.com}" ;;
    esac ;;
esac
exit 0
""" % KUBECTL


class Machine:
    """A PATH with a few tools, stubs of the others, and what they were called with."""

    def __init__(self, folder, commands=()):
        self.folder = pathlib.Path(folder)
        self.calls, self.applied = self.folder / "calls", self.folder / "applied"
        self.calls.write_text("")
        self.applied.write_text("")
        binaries = self.folder / "bin"
        binaries.mkdir()
        for tool in TOOLS:
            found = subprocess.run(["sh", "-c", "command -v " + tool], capture_output=True, text=True).stdout.strip()
            (binaries / tool).symlink_to(found)
        for command in commands:
            stub = binaries / command
            stub.write_text(STUB if command == "kubectl" else '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' % command)
            stub.chmod(0o755)
        self.environment = {"PATH": str(binaries), "CALLS": str(self.calls), "APPLIED": str(self.applied),
                            "HOME": str(self.folder), "IMAGE": "somebody/dcnv2-server:v7"}

    def with_cluster(self, name="kubeflow"):
        """kind knows a cluster of this name."""
        (self.folder / "bin/kind").write_text('#!/bin/sh\nif [ "$1 $2" = "get clusters" ]; then echo %s; else echo "kind $*" >>"$CALLS"; fi\n' % name)

    def project(self, *names):
        """A copy of these files of the project, for what would otherwise write into it."""
        root = self.folder / "project"
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text((ROOT / name).read_text())
        return root

    def run(self, script, *arguments, **environment):
        return subprocess.run(["sh", str(ROOT / script), *arguments], env={**self.environment, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.limit(60))



def test_images_are_loaded_into_kind_as_archives_of_either_engine():
    for engine in ("podman", "docker"):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kind", engine])
            some.with_cluster()
            root = some.project("deploy/needs.sh", "deploy/cluster/load.sh", "deploy/image/engine.sh", "include/dcnv2.h")
            (root / "deploy/image/build.sh").write_text('#!/bin/sh\necho "build $IMAGE $TRAINER_IMAGE $*" >>"$CALLS"\n')
            (root / "deploy/image/build.sh").chmod(0o755)
            done = some.run(root / "deploy/cluster/load.sh", IMAGE="")
            check(done.returncode == 0 and "export IMAGE=kind.local/dcnv2-server:" in done.stdout, done.stdout + done.stderr)
            lines = [line for line in some.calls.read_text().splitlines() if "info" not in line]
            check(lines[0].startswith("build kind.local/dcnv2-server:") and " kind.local/dcnv2-trainer:" in lines[0], str(lines))
            check([line.split(":")[0] for line in lines[1::2]] == [engine + " save -o build/image/load.tar kind.local/dcnv2-server",
                                                                    engine + " save -o build/image/load.tar kind.local/dcnv2-trainer"], str(lines))
            check(lines[2::2] == ["kind load image-archive build/image/load.tar --name kubeflow"] * 2, str(lines))


def test_images_are_not_built_for_a_kind_cluster_that_is_not_there():
    for commands, name, wanted in ((["kind", "podman"], "another", ["make cluster"]), (["kind"], "kubeflow", ["podman, buildah, or docker"]),
                                   (["kind", "buildah"], "kubeflow", ["saves no archive"]),
                                   (["kind"], "another", ["make cluster", "podman, buildah, or docker"])):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, commands)
            some.with_cluster(name)
            done = some.run("deploy/cluster/load.sh")
            check(done.returncode == 1 and done.stderr.startswith("make kind-load needs:") and all(w in done.stderr for w in wanted)
                  and not some.calls.read_text(), "%s: %s" % (commands, done.stderr))


def test_a_docker_without_a_daemon_makes_no_cluster():
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kind", "kubectl", "docker"])
        (some.folder / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
        done = some.run("deploy/cluster/create.sh", LEAST_CPUS="1", LEAST_GB="1")
        check(done.returncode == 1 and "docker with a daemon" in done.stderr, done.stderr)


def test_a_push_without_a_login_says_so_before_the_build():
    for engine, login, noted in (("podman", "exit 1", True), ("podman", "exit 0", False), ("docker", "{}", True),
                                 ("docker", '{"auths": {"https://index.docker.io/v1/": {}}}', False), ("docker", '{"credsStore": "pass"}', False)):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, [engine])
            if engine == "podman":
                (some.folder / "bin/podman").write_text('#!/bin/sh\n[ "$1" != login ] || %s\necho "podman $*" >>"$CALLS"\n' % login)
            else:
                (some.folder / ".docker").mkdir()
                (some.folder / ".docker/config.json").write_text(login)
            root = some.project("deploy/image/push.sh", "deploy/image/engine.sh", "include/dcnv2.h")
            (root / "deploy/image/build.sh").write_text('#!/bin/sh\necho "build: now" >&2\n')
            (root / "deploy/image/build.sh").chmod(0o755)
            done = some.run(root / "deploy/image/push.sh", "server", IMAGE="docker.io/you/dcnv2-server:v1")
            check(done.returncode == 0 and engine + " push docker.io/you/dcnv2-server:v1" in some.calls.read_text(), done.stderr)
            said = "push: there is no login for docker.io here"
            check(done.stderr.startswith(said) == noted and ("build: now" in done.stderr), "%s %s: %s" % (engine, login, done.stderr))


def train_job(**environment):
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        return some.run("deploy/step.sh", "train-job", **{"PAUSE_S": "0", **environment}), some.calls.read_text().splitlines()


def test_train_job_waits_while_the_image_is_pulled_and_for_the_end_after_the_log():
    done, calls = train_job(PHASES="|Pending|Pending|Running", CONDITIONS="|Suspended: not now\\n|Complete: all jobs\\n")
    kinds = [" ".join(call.split()[1:3]) for call in calls]
    check(done.returncode == 0 and done.stdout.endswith("Complete: all jobs\n"), done.stdout + done.stderr)
    check(kinds.count("get pods") == 4 and kinds.count("get trainjob") == 3, str(kinds))
    check(kinds.index("get pods") < kinds.index("logs -n") < kinds.index("get trainjob"), str(kinds))


def test_train_job_ends_with_the_reason():
    done, _ = train_job(CONDITIONS="|Failed: jobset failed: too many restarts\\n")
    check(done.returncode == 1 and "Failed: jobset failed: too many restarts" in done.stdout, done.stdout + done.stderr)
    done, calls = train_job(PHASES="Pending", START_S="1", PAUSE_S="1")
    check(done.returncode == 1 and "does not run after 1 s" in done.stderr and "kubectl describe pod" in done.stderr, done.stderr)
    check(not any(call.startswith("kubectl logs") for call in calls), str(calls))
    done, _ = train_job(CONDITIONS="Running: still\\n", TRAIN="pytorchjob", TRAIN_S="1", PAUSE_S="1")
    check(done.returncode == 1 and "neither Succeeded nor Failed" in done.stderr, done.stderr)


def arguments_of(step):
    return [step] if STEPS[step] == "deploy/step.sh" else []


def test_every_step_says_what_the_machine_lacks():
    for step, script in STEPS.items():
        with tempfile.TemporaryDirectory() as folder:
            done = Machine(folder).run(script, *arguments_of(step))
        check(done.returncode == 1, "%s: exit code %d" % (step, done.returncode))
        check(done.stderr.startswith("make %s needs:" % step), "%s: %s" % (step, done.stderr))
        wanted = {"kubeflow": "git", "kind-load": "kind"}.get(step, "kubectl")
        check("the command " + wanted in done.stderr, "%s: %s" % (step, done.stderr))


def test_a_step_says_all_that_is_missing_at_once():
    with tempfile.TemporaryDirectory() as folder:
        done = Machine(folder).run("deploy/step.sh", "load-cluster")
    check("hey" in done.stderr and "curl" in done.stderr and "kubectl" in done.stderr, done.stderr)


def test_an_old_kubectl_is_missing_like_none():
    for step, script in STEPS.items():
        for version, accepted in (("v1.30.9", False), ('version.Info{Major:"1", Minor:"27"}', False), ("v1.31.0", True), ("v1.37.1", True)):
            with tempfile.TemporaryDirectory() as folder:
                some = Machine(folder, ["kubectl"])
                done = some.run(script, *arguments_of(step), KUBECTL_VERSION=version, IMAGE="")  # so that no step goes on
                check(("a newer kubectl" in done.stderr) != (accepted or step == "kind-load"), "%s, %s: %s" % (step, version, done.stderr))


def test_a_python_without_venv_is_missing():
    for answer, missing in (("1", True), ("0", False)):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl", "curl", "python3"])
            (some.folder / "bin/python3").write_text('#!/bin/sh\n[ "$1" != -c ] || exit %s\n' % answer)
            done = some.run("deploy/step.sh", "infer")
            check(("python3-venv" in done.stderr) == missing, done.stderr)


def test_a_small_machine_is_told_before_a_cluster_is_made():
    def create(cpus, gb, **environment):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kind", "kubectl", "docker", "nproc"])
            (some.folder / "bin/nproc").write_text("#!/bin/sh\necho %d\n" % cpus)
            (some.folder / "meminfo").write_text("MemTotal:       %d kB\n" % (gb * 1000000))
            done = some.run("deploy/cluster/create.sh", MEMINFO=str(some.folder / "meminfo"), **environment)
            return done.stderr
    said = create(4, 7)
    check("8 CPUs (there are 4;" in said and "15 GB of memory (there are 7;" in said, said)
    for said in (create(8, 16), create(4, 7, LEAST_CPUS="4", LEAST_GB="7")):
        check("CPUs" not in said and "memory" not in said, said)


def test_the_registrys_login_is_found_of_podman_and_of_docker():
    for place in (".docker/config.json", ".config/containers/auth.json", "run/containers/auth.json", "mine.json"):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            path = some.folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"auths": {"docker.io": {"auth": "eDp5"}}}')
            settings = {"XDG_RUNTIME_DIR": str(some.folder / "run"), **({"REGISTRY_AUTH_FILE": str(path)} if place == "mine.json" else {})}
            done = some.run("deploy/step.sh", "registry-secret", **settings)
            check(done.returncode == 0 and "--from-file=.dockerconfigjson=%s" % path in some.calls.read_text(), place + done.stderr)
    with tempfile.TemporaryDirectory() as folder:
        done = Machine(folder, ["kubectl"]).run("deploy/step.sh", "registry-secret", XDG_RUNTIME_DIR=folder)
        check(done.returncode == 1 and "podman login or docker login" in done.stderr, done.stderr)
    with tempfile.TemporaryDirectory() as folder:  # the login itself is in docker's credential store
        some = Machine(folder, ["kubectl"])
        (some.folder / ".docker").mkdir()
        (some.folder / ".docker/config.json").write_text('{"auths": {"https://index.docker.io/v1/": {}}, "credsStore": "desktop"}')
        done = some.run("deploy/step.sh", "registry-secret", XDG_RUNTIME_DIR=folder)
        check(done.returncode == 1 and "REGISTRY_AUTH_FILE=FILE make registry-secret" in done.stderr, done.stderr)


def test_a_step_without_its_predecessor_names_it():
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        stub = pathlib.Path(some.environment["PATH"]) / "kubectl"
        stub.write_text(STUB.replace('case "$1 $2" in', '[ "$2" != pvc ] || exit 1\ncase "$1 $2" in'))
        done = some.run("deploy/step.sh", "serve")
        check(done.returncode == 1 and "make storage" in done.stderr, done.stderr)
        check(some.applied.read_text() == "", "it was applied all the same")


def test_serve_sets_the_image():
    for image, expected in (("somebody/dcnv2:v7", "somebody/dcnv2:v7"), ("kind.local:5000/dcnv2", "kind.local:5000/dcnv2:latest"),
                            ("kind.local:5000/a/dcnv2:0.1", "kind.local:5000/a/dcnv2:0.1"),
                            ("a/dcnv2@sha256:" + "0" * 64, "a/dcnv2@sha256:" + "0" * 64)):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            done = some.run("deploy/step.sh", "serve", IMAGE=image)
            check(done.returncode == 0, done.stderr)
            check("image: %s\n" % expected in some.applied.read_text(), "%s: %s" % (image, some.applied.read_text()))


def test_an_image_that_no_cluster_can_pull_is_refused():
    for step in ("train-job", "notebooks", "serve"):
        for image in ("", "dcnv2-server:0.1.0", "localhost/dcnv2-server:0.1.0"):
            with tempfile.TemporaryDirectory() as folder:
                some = Machine(folder, ["kubectl"])
                done = some.run("deploy/step.sh", step, IMAGE=image)
                check(done.returncode == 1 and "make push IMAGE=" in done.stderr, "%s %s: %s" % (step, image, done.stderr))
                check(some.applied.read_text() == "", "it was applied all the same")


def test_the_trainers_image_follows_the_servers():
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        done = some.run("deploy/step.sh", "notebooks", IMAGE="reg.example:5000/a/dcnv2-server:v2")
        check(done.returncode == 0 and "image: reg.example:5000/a/dcnv2-trainer:v2\n" in some.applied.read_text(), done.stderr + some.applied.read_text())


def test_serve_starts_new_pods_each_time_and_waits_for_these():
    seen = set()
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            done = some.run("deploy/step.sh", "serve")
            check(done.returncode == 0, done.stderr)
            [label] = re.findall(r"    labels:\n      dcnv2/rollout: (\S+)\n", some.applied.read_text())
            waits = [call for call in some.calls.read_text().splitlines() if call.startswith("kubectl wait")]
            check(["condition=Ready" in waits[0], "inferenceservice dcnv2" in waits[1]] == [True] * 2
                  and "-l dcnv2/rollout=" + label in waits[0], str(waits))
            seen.add(label)
        time.sleep(1.1)
    check(len(seen) == 2, str(seen))


def test_serve_waits_until_there_are_pods_to_wait_for():
    # `kubectl wait --for=create -l ..` would fail at once before kubectl 1.33.
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        done = some.run("deploy/step.sh", "serve", PHASES="||dcnv2-predictor-1", PAUSE_S="0")
        calls = some.calls.read_text().splitlines()
        polls = [i for i, call in enumerate(calls) if call.startswith("kubectl get pods") and "dcnv2/rollout=" in call]
        waits = [i for i, call in enumerate(calls) if call.startswith("kubectl wait")]
        check(done.returncode == 0 and len(polls) == 3 and polls[-1] < waits[0], str(calls) + done.stderr)
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        done = some.run("deploy/step.sh", "serve", PHASES="|", PAUSE_S="1", CREATE_S="1")
        check(done.returncode == 1 and "serve: no pod after 1 s" in done.stderr
              and "kubectl describe inferenceservice" in some.calls.read_text(), done.stderr)
    scripts = "".join(path.read_text() for path in (ROOT / "deploy").rglob("*.sh"))
    check(not re.search(r"kubectl wait [^&|]*-l [^&|]*--for=create", scripts), "kubectl before 1.33 does not wait for what a selector finds")


def test_serve_fails_with_the_pods_that_do_not_come():
    for wait in ("pod -n kubeflow-user-example-com -l dcnv2/rollout", "inferenceservice dcnv2"):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            done = some.run("deploy/step.sh", "serve", WAIT_FAILS=wait)
            check(done.returncode == 1 and "kubectl describe inferenceservice" in some.calls.read_text(), wait)


def documented_steps(text):
    """The make targets of its code blocks, in order, each once."""
    lines = [line for block in text.split("```")[1::2] for line in block.splitlines() if line.startswith("make ")]
    return list(dict.fromkeys(word for line in lines for word in line.split("#")[0].split() if word in STEPS or "TARGETS=" in word))


def test_the_document_gives_the_steps_in_an_order_that_works():
    before = [("cluster", "kubeflow"), ("kubeflow", "storage"), ("storage", "notebooks"), ("TARGETS=trainer", "notebooks"),
              ("notebooks", "train-job"), ("train-job", "serve"), ("TARGETS=server", "serve"), ("serve", "forward"), ("forward", "infer")]
    steps = documented_steps((ROOT / "docs/cluster.md").read_text())
    for first, then in before:
        check(first in steps and then in steps and steps.index(first) < steps.index(then), "%s before %s: %s" % (first, then, steps))


def test_the_notebook_is_waited_for_and_shows_how_data_get_there():
    with tempfile.TemporaryDirectory() as folder:
        some = Machine(folder, ["kubectl"])
        done = some.run("deploy/step.sh", "notebooks")
        calls = some.calls.read_text()
        check(done.returncode == 0 and calls.index("apply -k deploy/notebooks") < calls.index("--for=condition=Ready"), calls + done.stderr)
    shown = [line.strip() for line in done.stdout.splitlines() if line.startswith("  kubectl ")]
    check(len(shown) == 3, done.stdout)
    text = (ROOT / "docs/cluster.md").read_text()
    check(all(line in text for line in shown), "docs/cluster.md says other lines than %s" % shown)


def test_serve_applies_each_overlay():
    for overlay in sorted(p.name for p in (ROOT / "deploy/serve/overlays").iterdir()):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            done = some.run("deploy/step.sh", "serve", OVERLAY=overlay)
            check(done.returncode == 0, "%s: %s" % (overlay, done.stderr))
            check("kind: InferenceService" in some.applied.read_text(), overlay)
    with tempfile.TemporaryDirectory() as folder:
        done = Machine(folder, ["kubectl"]).run("deploy/step.sh", "serve", OVERLAY="nonsense")
        check(done.returncode == 1 and "tuned-concurrency" in done.stderr, done.stderr)


def test_train_job_makes_room_and_sets_the_image():
    for train, kind in (("trainjob", "TrainJob"), ("pytorchjob", "PyTorchJob")):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl"])
            done = some.run("deploy/step.sh", "train-job", TRAIN=train, TRAINER_IMAGE="somebody/trainer:v3",
                            CONDITIONS="Complete: all done\\nSucceeded: all done\\n")
            check(done.returncode == 0, done.stderr)
            applied, calls = some.applied.read_text(), some.calls.read_text()
            check("kind: %s\n" % kind in applied and "image: somebody/trainer:v3\n" in applied, applied)
            check(calls.index("kubectl delete " + train) < calls.index("kubectl apply -k"), calls)
            check("--cascade=foreground" in calls, "the last run's pods would still be there: " + calls)


def test_the_services_host_is_found_with_and_without_paths_in_urls():
    for url, host in (("http://dcnv2.ns.example.com", "dcnv2.ns.example.com"),
                      ("http://example.com/serving/ns/dcnv2", "dcnv2-predictor.ns.example.com")):
        with tempfile.TemporaryDirectory() as folder:
            some = Machine(folder, ["kubectl", "curl", "hey"])
            done = some.run("deploy/step.sh", "load-cluster", STATUS_URL=url)
            check(done.returncode == 0 and " -host %s " % host in some.calls.read_text(), "%s: %s %s" % (url, some.calls.read_text(), done.stderr))


def test_the_trainer_writes_where_it_is_told():
    for train, pods in (("trainjob", 1), ("pytorchjob", 2)):
        for output in ({}, {"OUTPUT": "/workspace/next"}):
            with tempfile.TemporaryDirectory() as folder:
                some = Machine(folder, ["kubectl"])
                some.run("deploy/step.sh", "train-job", TRAIN=train, CONDITIONS="Complete: done\\nSucceeded: done\\n", **output)
                wanted = re.compile(r"- --output\n *- %s\n" % output.get("OUTPUT", "/workspace"))
                check(len(wanted.findall(some.applied.read_text())) == pods, "%s %s: %s" % (train, output, some.applied.read_text()))


def kubeflow(folder, **environment):
    """install.sh on a copy of what it needs, whose git gives the pinned commit."""
    some = Machine(folder, ["kubectl", "git"])
    root = some.project("deploy/needs.sh", "deploy/kubeflow/install.sh")
    (root / "build/kubeflow-manifests/.git").mkdir(parents=True)
    pin = [line.split("=")[1] for line in (ROOT / "deploy/kubeflow/install.sh").read_text().splitlines()
           if line.startswith("COMMIT=")][0]
    (pathlib.Path(some.environment["PATH"]) / "git").write_text('#!/bin/sh\necho "git $*" >>"$CALLS"\necho "${HEAD:-%s}"\n' % pin)
    return some, some.run(root / "deploy/kubeflow/install.sh", ATTEMPTS="3", PAUSE_S="0", READY_S="1", **environment)


def test_kubeflow_gives_up_after_its_tries_and_says_why():
    with tempfile.TemporaryDirectory() as folder:
        some, done = kubeflow(folder, APPLY_FAILS="1")
        check(done.returncode == 1, done.stdout)
        check(some.calls.read_text().count("kubectl apply --server-side") == 3, some.calls.read_text())
        check("gave up after 3 tries" in done.stderr and "no matches for kind X" in done.stderr, done.stderr)


def test_kubeflow_says_what_is_not_ready():
    lines = "Deployment istio-system istiod 1 1 <none> <none>\\nDeployment kserve controller 2 <none> <none> <none>\\n" \
            "DaemonSet kube-system cni <none> <none> 3 2\\n"
    with tempfile.TemporaryDirectory() as folder:
        _, done = kubeflow(folder, DEPLOYMENTS=lines)
        check(done.returncode == 1, done.stdout)
        check("Deployment kserve/controller: 0 of 2" in done.stderr, done.stderr)
        check("DaemonSet kube-system/cni: 2 of 3" in done.stderr and "istiod" not in done.stderr, done.stderr)
    with tempfile.TemporaryDirectory() as folder:
        _, done = kubeflow(folder, DEPLOYMENTS="Deployment istio-system istiod 1 1 <none> <none>\\n")
        check(done.returncode == 0 and "Kubeflow is ready" in done.stdout, done.stdout + done.stderr)


def test_kubeflow_is_not_ready_where_kubectl_fails_or_the_namespace_is_missing():
    ready = "Deployment istio-system istiod 1 1 <none> <none>\\n"
    for settings, said in (({"GET_FAILS": "1", "DEPLOYMENTS": ""}, "no list of Deployments"), ({"DEPLOYMENTS": ""}, "no list of Deployments"),
                           ({"DEPLOYMENTS": ready, "NAMESPACES": "no"}, "Namespace kubeflow-user-example-com: not there")):
        with tempfile.TemporaryDirectory() as folder:
            _, done = kubeflow(folder, **settings)
            check(done.returncode == 1 and said in done.stderr and "is ready" not in done.stdout, "%s: %s%s" % (settings, done.stdout, done.stderr))
    with tempfile.TemporaryDirectory() as folder:  # it comes while one waits
        some, done = kubeflow(folder, DEPLOYMENTS=ready, NAMESPACES="no|yes")
        check(done.returncode == 0 and some.calls.read_text().count("get namespace") == 2, done.stdout + done.stderr)


def test_kubeflow_refuses_a_release_that_moved():
    with tempfile.TemporaryDirectory() as folder:
        some, done = kubeflow(folder, HEAD="f" * 40)
        check(done.returncode == 1 and "is not the commit" in done.stderr, done.stderr)
        check("apply" not in some.calls.read_text(), some.calls.read_text())


if __name__ == "__main__":
    harness.main(globals())
