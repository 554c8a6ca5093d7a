#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Virtual environments below build/, made anew only when their requirements file changes.

usage: tests/pypi.py NAME REQUIREMENTS     installs build/NAME
"""
import argparse
import hashlib
import os
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


def find(name, requirements):
    """The interpreter of an environment that holds just these requirements, or None."""
    _, python, stamp = _paths(name)
    try:
        with open(stamp) as file:
            return python if file.read() == _mark(requirements) else None
    except OSError:
        return None


def install(name, requirements):
    """The same, made where it is missing. Raises subprocess.SubprocessError where that fails."""
    if find(name, requirements) is None:
        folder, python, stamp = _paths(name)
        print('== installing %s' % requirements, flush=True)
        for command in [[sys.executable, '-m', 'venv', '--clear', folder],
                        [python, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check',
                         '-r', os.path.join(ROOT, requirements)]]:
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S, check=True)
        with open(stamp, 'w') as file:
            file.write(_mark(requirements))
    return find(name, requirements)


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
