# SPDX-License-Identifier: Apache-2.0
"""A software bill of materials in SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3), from what dpkg knows.

A package's licence is what its Debian copyright file declares where that is machine-readable (Debian's
"copyright-format 1.0"): all licences of its parts, joined by AND. Debian's short names become SPDX's; one
that SPDX does not have becomes a LicenseRef that points to the copyright file. Anything else is NOASSERTION.
"""
import datetime
import hashlib
import json
import re
import subprocess
import urllib.parse

# Debian's short names where SPDX has another one; the GNU licences are handled by rule.
SPDX_NAMES = {'expat': 'MIT', 'mit': 'MIT', 'zlib': 'Zlib', 'isc': 'ISC', 'x11': 'X11', 'bsd-2-clause': 'BSD-2-Clause',
              'bsd-3-clause': 'BSD-3-Clause', 'bsd-4-clause': 'BSD-4-Clause', 'apache-2.0': 'Apache-2.0',
              'apache-2': 'Apache-2.0', 'mpl-2.0': 'MPL-2.0', 'mpl-1.1': 'MPL-1.1', 'artistic': 'Artistic-1.0',
              'bsl-1.0': 'BSL-1.0', 'cc0-1.0': 'CC0-1.0', 'fsfap': 'FSFAP', 'openssl': 'OpenSSL', 'curl': 'curl',
              'unlicense': 'Unlicense', 'wtfpl': 'WTFPL', 'ofl-1.1': 'OFL-1.1', 'epl-1.0': 'EPL-1.0'}
GNU_NAME = re.compile(r'(gpl|lgpl|agpl|gfdl)-?v?(\d(?:\.\d)?)(?:\.0)?(\+?)', re.IGNORECASE)
GNU_VERSIONS = {'GPL': '1.0 2.0 3.0', 'LGPL': '2.0 2.1 3.0', 'AGPL': '1.0 3.0', 'GFDL': '1.1 1.2 1.3'}


def spdx_name(name, references):
    """SPDX's identifier for one of Debian's short names; what it lacks is noted in references."""
    gnu = GNU_NAME.fullmatch(name)
    if gnu:
        family, version = gnu[1].upper(), gnu[2] if '.' in gnu[2] else gnu[2] + '.0'
        if version in GNU_VERSIONS[family].split():
            return '%s-%s-%s' % (family, version, 'or-later' if gnu[3] else 'only')
    if name.lower() in SPDX_NAMES:
        return SPDX_NAMES[name.lower()]
    reference = 'LicenseRef-Debian-' + re.sub(r'[^A-Za-z0-9.-]+', '-', name).strip('-.')
    references.setdefault(reference, name)
    return reference


def licence_of(copyright_text, references):
    """An SPDX expression, or NOASSERTION."""
    if not re.match(r'\s*Format(-Specification)?:', copyright_text, re.IGNORECASE):
        return 'NOASSERTION'
    expressions = set()
    for stanza in re.split(r'\n\s*\n', copyright_text):
        said = re.search(r'^License:[ \t]*(\S.*)$', stanza, re.MULTILINE)
        if not said or not re.search(r'^Files:', stanza, re.MULTILINE):
            continue
        # "GPL-2+ or Artistic, and Expat": the comma binds weaker than or.
        parts = []
        for part in re.split(r',?\s+and(?:/or)?\s+|,\s*', said[1].strip(), flags=re.IGNORECASE):
            choices = [spdx_name(c.strip(), references) for c in re.split(r'\s+or\s+', part, flags=re.IGNORECASE) if c.strip()]
            if choices:
                parts.append(' OR '.join(choices) if len(choices) == 1 else '(%s)' % ' OR '.join(choices))
        expressions.update(parts)
    return ' AND '.join(sorted(expressions)) or 'NOASSERTION'


def read_licence(path, references):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return licence_of(file.read(), references)
    except OSError:
        return 'NOASSERTION'


def dpkg(package, field):
    done = subprocess.run(['dpkg-query', '-W', '-f', '${%s}\n' % field, package], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.splitlines()[0]


def package_url(name, version, architecture):
    quoted = [urllib.parse.quote(part, safe='') for part in (name, version)]
    return 'pkg:deb/debian/%s@%s?arch=%s' % (*quoted, architecture)


def identifier(kind, name):
    return 'SPDXRef-%s-%s' % (kind, re.sub(r'[^A-Za-z0-9.-]', '-', name))


class Document:
    """One image's."""

    def __init__(self, name, version, revision, epoch):
        self.references, self.relationships, self.files = {}, [], []
        self.created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
        self.name, self.version, self.revision = name, version, revision
        self.image = {'SPDXID': identifier('Image', name), 'name': name, 'versionInfo': version,
                      'primaryPackagePurpose': 'CONTAINER', 'supplier': 'NOASSERTION', 'downloadLocation': 'NOASSERTION',
                      'filesAnalyzed': True, 'licenseConcluded': 'NOASSERTION', 'licenseDeclared': 'Apache-2.0',
                      'licenseInfoFromFiles': ['NOASSERTION'], 'copyrightText': 'NOASSERTION',
                      'sourceInfo': 'revision %s' % revision}
        self.packages = [self.image]
        self.relate('SPDXRef-DOCUMENT', 'DESCRIBES', self.image['SPDXID'])

    def relate(self, one, how, other):
        self.relationships.append({'spdxElementId': one, 'relationshipType': how, 'relatedSpdxElement': other})

    def add_file(self, root, path, comment):
        with open(root + path, 'rb') as file:
            content = file.read()
        self.files.append({'SPDXID': identifier('File', path.lstrip('/')), 'fileName': '.' + path, 'fileTypes': ['BINARY'],
                           'checksums': [{'algorithm': 'SHA1', 'checksumValue': hashlib.sha1(content).hexdigest()},
                                         {'algorithm': 'SHA256', 'checksumValue': hashlib.sha256(content).hexdigest()}],
                           'licenseConcluded': 'NOASSERTION', 'licenseInfoInFiles': ['NOASSERTION'],
                           'copyrightText': 'NOASSERTION', 'comment': comment})
        self.relate(self.image['SPDXID'], 'CONTAINS', self.files[-1]['SPDXID'])

    def add_package(self, name, version, licence, url, source, homepage, how):
        package = {'SPDXID': identifier('Package', name), 'name': name, 'versionInfo': version, 'supplier': 'Organization: Debian',
                   'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False, 'licenseConcluded': 'NOASSERTION',
                   'licenseDeclared': licence, 'copyrightText': 'NOASSERTION', 'sourceInfo': source,
                   'externalRefs': [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl', 'referenceLocator': url}]}
        if homepage:
            package['homepage'] = homepage
        self.packages.append(package)
        self.relate(self.image['SPDXID'], how, package['SPDXID'])

    def add_debian_package(self, name, how):
        version, architecture = dpkg(name, 'Version'), dpkg(name, 'Architecture')
        self.add_package(name, version, read_licence('/usr/share/doc/%s/copyright' % name, self.references),
                         package_url(name, version, architecture),
                         'Debian source package %s %s' % (dpkg(name, 'source:Package'), dpkg(name, 'source:Version')),
                         dpkg(name, 'Homepage'), how)

    def write(self, path):
        sums = sorted(f['checksums'][0]['checksumValue'] for f in self.files)
        code = hashlib.sha1(''.join(sums).encode()).hexdigest()
        self.image['packageVerificationCode'] = {'packageVerificationCodeValue': code}
        document = {'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT',
                    'name': '%s-%s' % (self.name, self.version),
                    'documentNamespace': 'https://spdx.org/spdxdocs/%s-%s-%s-%s' % (self.name, self.version, self.revision, code),
                    'creationInfo': {'created': self.created, 'creators': ['Tool: dcnv2-sbom-%s' % self.version]},
                    'packages': self.packages, 'files': self.files, 'relationships': self.relationships}
        if self.references:
            document['hasExtractedLicensingInfos'] = [
                {'licenseId': key, 'name': name, 'extractedText': 'The licence that Debian names "%s": see '
                 '/usr/share/doc/PACKAGE/copyright of the packages that declare it.' % name}
                for key, name in sorted(self.references.items())]
        with open(path, 'w') as file:
            json.dump(document, file, indent=1)
            file.write('\n')
