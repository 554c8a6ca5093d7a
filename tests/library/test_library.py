# SPDX-License-Identifier: Apache-2.0
"""libdcnv2.a as an ad server gets it: installed, found by pkg-config, linked without this project's flags."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ENCODER_PATH, MODEL_PATH, ROOT, check, limit
from samples import TWO_SCORES, check_scores

CC = os.environ.get("CC", "cc")
_installed = {}


def run(*command, **environment):
    return subprocess.run([str(word) for word in command], cwd=ROOT, env={**os.environ, **environment}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit(120))


def must(*command, **environment):
    done = run(*command, **environment)
    check(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr[-800:]}")
    return done.stdout


def installed():
    """The folder that `make install` filled, once."""
    if not _installed:
        _installed["folder"] = tempfile.TemporaryDirectory()
        must("make", "-s", "install", f"DESTDIR={_installed['folder'].name}", "PREFIX=/opt/ads")
    return pathlib.Path(_installed["folder"].name)


def pkg_config(*options):
    root = installed()
    return must("pkg-config", *options, "dcnv2", PKG_CONFIG_PATH=str(root / "opt/ads/lib/pkgconfig"),
                PKG_CONFIG_SYSROOT_DIR=str(root)).split()


def consumer():
    """tests/library/consumer.c, built with what pkg-config says and no other flag of this project."""
    program = installed() / "consumer"
    if not program.exists():
        must(CC, "-std=c99", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", *pkg_config("--cflags"),
             ROOT / "tests/library/consumer.c", "-o", program, *pkg_config("--libs", "--static"))
    return program


def declared():
    """The functions of the header."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/dcnv2.h").read_text(), flags=re.S)
    return sorted(re.findall(r"\b(dcnv2_\w+)\s*\(", text))


def test_a_program_that_links_the_library_gets_the_recorded_scores():
    lines = must(consumer(), MODEL_PATH, ENCODER_PATH).split()
    check_scores([float(line) for line in lines], TWO_SCORES)


def test_a_file_that_is_missing_is_named():
    done = run(consumer(), "/nowhere/weights.pth", ENCODER_PATH)
    check(done.returncode == 1 and done.stderr.startswith("/nowhere/weights.pth: "), done.stderr)


def test_the_instruction_set_is_taken_from_the_environment():
    expected = must(consumer(), MODEL_PATH, ENCODER_PATH)
    check(must(consumer(), MODEL_PATH, ENCODER_PATH, DCNV2_CPU="scalar") == expected, "other bits with DCNV2_CPU=scalar")
    done = run(consumer(), MODEL_PATH, ENCODER_PATH, DCNV2_CPU="abacus")
    check(done.returncode == 1 and "DCNV2_CPU=abacus" in done.stderr, done.stderr)


def test_the_archive_shows_the_functions_of_the_header_and_no_other_name():
    lines = must("nm", "--extern-only", "--defined-only", "--portability", installed() / "opt/ads/lib/libdcnv2.a").splitlines()
    found = [line.split()[0] for line in lines if line and not line.endswith(":")]
    check(sorted(found) == declared() and len(found) > 10, f"{sorted(set(found) ^ set(declared()))}")


def test_only_the_needed_libraries_are_asked_for():
    libraries = {word for word in pkg_config("--libs", "--static") if word.startswith("-l")}
    check({"-ldcnv2", "-lm"} <= libraries, str(libraries))
    for word in sorted(libraries - {"-ldcnv2"}):
        done = run(CC, ROOT / "tests/library/consumer.c", "-o", installed() / "less", *pkg_config("--cflags"),
                   *[flag for flag in pkg_config("--libs", "--static") if flag != word])
        check(done.returncode != 0 and "undefined reference" in done.stderr, f"links without {word}, which dcnv2.pc names")


def test_the_version_is_that_of_the_header():
    [version] = pkg_config("--modversion")
    check(f'#define DCNV2_VERSION "{version}"' in (ROOT / "include/dcnv2.h").read_text(), version)


def test_a_package_that_is_missing_is_named_with_the_target_that_installs_it():
    with tempfile.TemporaryDirectory() as folder:
        for settings, missing in ((["PACKAGES=zlib nosuch"], "nosuch"), (["PKG_CONFIG=nosuch", "PACKAGES=zlib"], "zlib")):
            done = run("make", "-s", f"B={folder}", *settings, "all")
            check(done.returncode == 2 and f"does not find {missing}: make deps installs" in done.stderr, done.stderr)


if __name__ == "__main__":
    harness.main(globals())
