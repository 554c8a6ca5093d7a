# SPDX-License-Identifier: Apache-2.0
"""The images themselves: what is in them, how large they are, whether they come out the same twice, and
what their bills of materials say."""
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import containers
import harness
from containers import SERVER, TOOLS, inspect, podman, script
from harness import ROOT, check

MOST_BYTES = 10_000_000
IMAGES = {"dcnv2-server": SERVER, "dcnv2-tools": TOOLS}


def files_of(image):
    """{path: tarfile.TarInfo} of the whole file tree."""
    container = podman("create", image, "none").strip()
    try:
        data = subprocess.run(["podman", "export", container], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=harness.limit(60), check=True).stdout
    finally:
        podman("rm", container)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def test_the_images_build_from_a_base_that_is_found_or_made():
    name, base_s = containers.base()
    build_s = containers.build("server", "tools")
    print(f"base {name} in {base_s:.0f} s, server and tools in {build_s:.0f} s", flush=True)


def test_each_is_10_MB_or_less():
    for name, image in IMAGES.items():
        size = inspect(image)["Size"]
        print(f"{name}: {size / 1e6:.2f} MB, goal 10 or less", flush=True)
        check(size <= MOST_BYTES, f"{name} has {size} bytes")


def test_they_hold_the_programs_their_libraries_and_licences_and_nothing_else():
    programs = {"dcnv2-server": {"dcnv2-server"}, "dcnv2-tools": {"dcnv2-convert", "dcnv2-score"}}
    for name, image in IMAGES.items():
        files = {path: member for path, member in files_of(image).items() if not member.isdir()}
        found = {pathlib.PurePath(path).name for path in files if path.startswith("usr/bin/")}
        check(found == programs[name], f"{name}: {found}")
        for path, member in files.items():
            check(re.fullmatch(r"usr/bin/dcnv2-\w+|lib64/ld-linux[^/]*|lib/ld-linux[^/]*|usr/lib/[^/]+-linux-gnu/lib[^/]+\.so[.\d]*"
                               r"|usr/share/doc/[^/]+/(copyright|sbom\.spdx\.json)", path), f"{name} holds {path}")
            check(member.isfile() and member.uid == 0 and member.mode & 0o7022 == 0, f"{name}: {path} has mode {member.mode:o}")


def test_they_run_as_a_numeric_user_and_say_what_they_are():
    version = re.search(r'DCNV2_VERSION "(.*)"', (ROOT / "include/dcnv2.h").read_text())[1]
    for name, image in IMAGES.items():
        about = inspect(image)
        check(about["User"] == "65532:65532", f"{name}: user {about['User']}")
        labels = {key.removeprefix("org.opencontainers.image."): value for key, value in about["Labels"].items()}
        check(labels["title"] == name and labels["version"] == version and labels["licenses"] == "Apache-2.0"
              and re.match(r"[0-9a-f]{40}|unknown$", labels["revision"]) and "source" in labels, f"{name}: {labels}")


def test_two_builds_have_the_same_bytes():
    containers.check_two_builds("server", "tools")


def test_the_bill_of_materials_is_valid_and_names_every_library():
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    for name, image in IMAGES.items():
        path = ROOT / f"build/image/{name}.spdx.json"
        messages = validate_full_spdx_document(parse_file(str(path)), "SPDX-2.3")
        check(not messages, f"{name}: {[m.validation_message for m in messages[:3]]}")
        document = json.loads(path.read_text())
        listed = {file["fileName"][2:] for file in document["files"]}
        held = {p for p, member in files_of(image).items() if member.isfile() and not p.startswith("usr/share/doc/")}
        check(listed == held, f"{name}: listed {listed - held}, not listed {held - listed}")
        packages = {package["name"]: package for package in document["packages"]}
        of_server = {"libnghttp2-14"} if name == "dcnv2-server" else set()
        check(set(packages) == {"libc6", "libcjson1", "libyaml-0-2", "zlib1g", name} | of_server, f"{name}: {set(packages)}")
        for package in packages.values():
            check(package["versionInfo"] and package["licenseDeclared"], str(package))
        for library, licence in (("zlib1g", "Zlib"), ("libcjson1", "MIT"), ("libnghttp2-14", "MIT"), ("libyaml-0-2", "MIT")):
            if library not in packages:
                continue
            check(licence in packages[library]["licenseDeclared"], f"{library}: {packages[library]['licenseDeclared']}")


def test_the_tools_convert_and_score():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        path.chmod(0o777)
        mounts = [f"--volume={ROOT / 'model'}:/in:ro", f"--volume={path}:/out"]
        columns = [f"--env={name}={harness.MODEL_ENV[name]}" for name in ("DENSE_COLS", "SPARSE_COLS")]
        podman("run", "--rm", *containers.HELD, "--network=none", *mounts, *columns, TOOLS, "dcnv2-convert", "--model-path", "/in/model_weights.pth",
               "--encoder-path", "/in/preprocess_metadata.pkl", "-o", "/out/model.safetensors")
        scores = podman("run", "--rm", *containers.HELD, "--network=none", *mounts, TOOLS, "dcnv2-score", "--model-path",
                        "/out/model.safetensors", "/in/test.csv").split()
        rows = len((ROOT / "model/test.csv").read_text().splitlines()) - 1
        check(len(scores) == rows and all(0 < float(s) < 1 for s in scores), f"{len(scores)} scores of {rows} rows")


def test_push_says_that_the_name_has_no_registry():
    code, _, said = script("push.sh", "server", env={"IMAGE": "dcnv2-server:1"}, timeout=60)
    check(code == 1 and "names no registry" in said, said)


if __name__ == "__main__":
    containers.need()
    harness.main(globals())
