#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Virtual environments below build/, made anew only when their requirements file changes.

usage: tests/pypi.py NAME REQUIREMENTS     installs build/NAME
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEP_TIMEOUT_S = 1800


def _paths(name):
    folder = os.path.join(ROOT, 'build', name)
    return folder, os.path.join(folder, 'bin/python'), os.path.join(folder, 'installed')


def _mark(requirements):
    with open(os.path.join(ROOT, requirements), 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def _is_marked(stamp, requirements):
    try:
        with open(stamp) as file:
            return file.read() == _mark(requirements)
    except OSError:
        return False


def _set_mark(stamp, requirements):
    with open(stamp, 'w') as file:
        file.write(_mark(requirements))


def find(name, requirements):
    """The interpreter of an environment that holds just these requirements, or None."""
    _, python, stamp = _paths(name)
    return python if _is_marked(stamp, requirements) else None


def install(name, requirements):
    """The same, made where it is missing. Raises subprocess.SubprocessError where that fails."""
    if find(name, requirements) is None:
        folder, python, stamp = _paths(name)
        print('== installing %s' % requirements, flush=True)
        for command in [[sys.executable, '-m', 'venv', '--clear', folder],
                        [python, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check',
                         '-r', os.path.join(ROOT, requirements)]]:
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S, check=True)
        _set_mark(stamp, requirements)
    return find(name, requirements)


def packages(name, requirements, python):
    """A folder for PYTHONPATH with these packages alone, without what they depend on. Raises as install() does."""
    folder, _, stamp = _paths(name)
    if not _is_marked(stamp, requirements):
        print('== installing %s' % requirements, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check', '--no-deps', '--target', folder,
                        '-r', os.path.join(ROOT, requirements)],
                       cwd=ROOT, stdin=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S, check=True)
        _set_mark(stamp, requirements)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name')
    parser.add_argument('requirements')
    arguments = parser.parse_args()
    try:
        install(arguments.name, arguments.requirements)
    except subprocess.SubprocessError as error:
        sys.exit('pypi.py: %s' % error)


if __name__ == '__main__':
    main()
