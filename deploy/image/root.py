#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays out the root folder of an image: programs, the shared libraries they need, the licences of all, and
a list of what it is made of. Runs in the Dockerfile's builder.

usage: root.py --name dcnv2-server [--base-packages LIST] FILE ..

FILEs are programs (to /usr/bin) and plugins (*.so, to /usr/lib), stripped. A library is what ldd names; it
goes to the folder of /usr/lib where the loader looks without a cache. With --base-packages the root lies
over an image that has the packages of that list: what they hold is left out. The folder /image/NAME has
the same bytes and times for the same files: SOURCE_DATE_EPOCH is the time of each.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

import sbom


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def needed_by(path):
    """(path the loader takes, as ldd names it) of all libraries and the loader."""
    found = []
    for line in output_of('ldd', path).splitlines():
        match = re.match(r'\t(?:(\S+) => )?(/\S+) \(0x', line)
        if match:
            found.append(match.group(2))
        elif 'not found' in line:
            sys.exit('root.py: %s:%s' % (path, line))
    return found


def package_of(path):
    """The Debian package that holds this file, which may be named below /usr or not."""
    real = os.path.realpath(path)
    for candidate in {real, os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))}:
        for name in (candidate, candidate[4:] if candidate.startswith('/usr/') else '/usr' + candidate):
            done = subprocess.run(['dpkg-query', '-S', name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if done.returncode == 0:
                return done.stdout.split(': ')[0].split(',')[0].split(':')[0]
    sys.exit('root.py: no package holds %s' % path)


def copy_library(root, path):
    """To where the loader finds it: itself at the path that programs name, the rest below /usr/lib."""
    if re.match(r'/lib(32|64|x32)?/ld-', path):
        target = path
    else:
        folder = os.path.realpath(os.path.dirname(path))
        if folder == '/usr/lib' or '-linux-gnu' in os.path.basename(folder):
            target = os.path.join(folder, os.path.basename(path))
        else:
            sys.exit('root.py: the loader would not look in %s for %s' % (folder, path))
    os.makedirs(os.path.dirname(root + target), exist_ok=True)
    shutil.copyfile(path, root + target)
    os.chmod(root + target, 0o755)
    return target


def copy_licence(root, package, source):
    target = '/usr/share/doc/%s/copyright' % package
    os.makedirs(os.path.dirname(root + target), exist_ok=True)
    shutil.copyfile(source, root + target)


def settle(root, epoch):
    """The same owner, rights and times whoever built it and when."""
    for folder, _, files in os.walk(root, topdown=False):
        for path in [os.path.join(folder, name) for name in files] + [folder]:
            executable = os.path.isdir(path) or os.stat(path).st_mode & 0o100
            os.chmod(path, 0o755 if executable else 0o644)
            os.utime(path, (epoch, epoch))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--name', required=True)
    parser.add_argument('--base-packages')
    parser.add_argument('files', nargs='+')
    arguments = parser.parse_args()
    root = os.path.join('/image', arguments.name)
    epoch = int(os.environ.get('SOURCE_DATE_EPOCH') or 0)
    base = set()
    if arguments.base_packages:
        with open(arguments.base_packages) as file:
            base = set(file.read().split())

    ours, libraries = [], {}
    for path in arguments.files:
        target = ('/usr/lib/' if path.endswith('.so') else '/usr/bin/') + os.path.basename(path)
        os.makedirs(os.path.dirname(root + target), exist_ok=True)
        subprocess.run(['strip', '--strip-unneeded', '-o', root + target, path], check=True)
        os.chmod(root + target, 0o755)
        ours.append(target)
        for needed in needed_by(path):
            libraries.setdefault(needed, None)
    packages = {name: [] for name in sorted(base)}
    for path in sorted(libraries):
        package = package_of(path)
        if package not in base:
            packages.setdefault(package, []).append(copy_library(root, path))
            copy_licence(root, package, '/usr/share/doc/%s/copyright' % package)
    copy_licence(root, arguments.name, 'LICENSE')

    document = sbom.Document(arguments.name, re.search(r'#define DCNV2_VERSION "(.*)"', open('include/dcnv2.h').read()).group(1),
                             os.environ.get('REVISION', 'unknown'), epoch)
    for target in ours:
        document.add_file(root, target, 'ours')
    for name in sorted(packages):
        document.add_debian_package(name, 'DEPENDS_ON')
        for target in packages[name]:
            document.add_file(root, target, 'of the Debian package %s' % name)
    document.write(os.path.join(root, 'usr/share/doc', arguments.name, 'sbom.spdx.json'))
    settle(root, epoch)


if __name__ == '__main__':
    main()
