# SPDX-License-Identifier: Apache-2.0
"""Checks custom resources as an API server with strict field validation does.

A CRD's schema becomes a JSON schema in which unknown fields are errors; then its rules in CEL are
evaluated, except those that compare with an older object. Rules with functions that only Kubernetes
has are left out.
"""
import glob
import json
import os

import cel
import jsonschema
import yaml

Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
SAME = ('enum', 'pattern', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'required',
        'minProperties', 'maxProperties', 'uniqueItems', 'multipleOf')


def load(folder):
    """{(apiVersion, kind): schema} of the CRDs in the folder's *.yaml: files of CRDs, or what
    `kubectl get crd -o yaml` prints."""
    schemas = {}
    for path in sorted(glob.glob(os.path.join(folder, '*.yaml'))):
        with open(path) as file:
            documents = [d for d in yaml.load_all(file, Loader) if d]
        for document in [item for d in documents for item in d.get('items', [d])]:
            if document.get('kind') != 'CustomResourceDefinition':
                continue
            spec = document['spec']
            for version in spec['versions']:
                if version.get('served'):
                    key = spec['group'] + '/' + version['name'], spec['names']['kind']
                    schemas[key] = version['schema']['openAPIV3Schema']
    return schemas


def load_cached(folder, cache):
    """The same, from a file beside build/ where the CRDs did not change: reading YAML takes seconds."""
    stamp = [[path, os.stat(path).st_mtime_ns, os.stat(path).st_size]
             for path in sorted(glob.glob(os.path.join(folder, '*.yaml')))]
    try:
        with open(cache) as file:
            held = json.load(file)
        if held['stamp'] == stamp:
            return {tuple(key): schema for key, schema in held['schemas']}
    except (OSError, ValueError, KeyError):
        pass
    schemas = load(folder)
    with open(cache, 'w') as file:
        json.dump({'stamp': stamp, 'schemas': list(schemas.items())}, file, default=str)
    return schemas


def _values_only(schema):
    """Inside anyOf and the like only values are constrained, nothing is said of unknown fields."""
    result = {}
    for key, value in schema.items():
        if key in ('allOf', 'anyOf', 'oneOf'):
            result[key] = [_values_only(s) for s in value]
        elif key == 'properties':
            result[key] = {name: _values_only(s) for name, s in value.items()}
        elif key in ('not', 'items'):
            result[key] = _values_only(value)
        elif key in SAME or key == 'type':
            result[key] = value
    return result


def to_json_schema(schema, top=False):
    result = {key: schema[key] for key in SAME if key in schema}
    kind = schema.get('type')
    if schema.get('x-kubernetes-int-or-string'):
        kind = ['integer', 'string']
    if kind:
        result['type'] = [*([kind] if isinstance(kind, str) else kind), 'null'] if schema.get('nullable') else kind
    for key, bound in (('exclusiveMinimum', 'minimum'), ('exclusiveMaximum', 'maximum')):
        if schema.get(key) is True:
            result[key] = result.pop(bound)
    if schema.get('format') == 'int32':
        result.setdefault('minimum', -2 ** 31)
        result.setdefault('maximum', 2 ** 31 - 1)
    properties = {name: to_json_schema(s) for name, s in schema.get('properties', {}).items()}
    if top or schema.get('x-kubernetes-embedded-resource'):
        properties.update(apiVersion={'type': 'string'}, kind={'type': 'string'}, metadata={'type': 'object'})
    if properties:
        result['properties'] = properties
    if 'items' in schema:
        result['items'] = to_json_schema(schema['items'])
    rest = schema.get('additionalProperties')
    if isinstance(rest, dict):
        result['additionalProperties'] = to_json_schema(rest)
    elif kind == 'object' and rest is not True and not schema.get('x-kubernetes-preserve-unknown-fields'):
        result['additionalProperties'] = False
    if not schema.get('x-kubernetes-int-or-string'):
        result.update({key: [_values_only(s) for s in schema[key]] for key in ('allOf', 'anyOf', 'oneOf') if key in schema})
    if 'not' in schema:
        result['not'] = _values_only(schema['not'])
    return result


def _children(schema, value):
    """(name, schema, value) of what lies directly below."""
    if isinstance(value, dict):
        rest = schema.get('additionalProperties')
        for key, child in value.items():
            below = schema.get('properties', {}).get(key, rest)
            if isinstance(below, dict):
                yield '.' + key, below, child
    elif isinstance(value, list) and isinstance(schema.get('items'), dict):
        for i, child in enumerate(value):
            yield '[%d]' % i, schema['items'], child


def _fill_defaults(schema, value):
    if isinstance(value, dict):
        for key, below in schema.get('properties', {}).items():
            if 'default' in below:
                value.setdefault(key, below['default'])
    for _, below, child in _children(schema, value):
        _fill_defaults(below, child)


def _broken_rules(schema, value, path=''):
    for rule in schema.get('x-kubernetes-validations', []):
        if 'oldSelf' in rule['rule']:
            continue
        context = cel.Context()
        context.add_variable('self', value)
        try:
            held = cel.evaluate(rule['rule'], context)
        except Exception:  # a function of Kubernetes' own
            continue
        if held is not True:
            yield '%s: %s' % (path or '.', rule.get('message', rule['rule']))
    for name, below, child in _children(schema, value):
        yield from _broken_rules(below, child, path + name)


def problems(schemas, document):
    """What is wrong with a custom resource, a line each."""
    key = document.get('apiVersion'), document.get('kind')
    if key not in schemas:
        return ['no CRD for %s %s' % key]
    validator = jsonschema.Draft7Validator(to_json_schema(schemas[key], top=True))
    found = ['%s: %s' % (error.json_path[1:] or '.', error.message[:300]) for error in validator.iter_errors(document)]
    if not found:
        document = json.loads(json.dumps(document, default=str))
        _fill_defaults(schemas[key], document)
        found = list(_broken_rules(schemas[key], document))
    return found
